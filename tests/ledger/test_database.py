"""The ledger's file: damaged, locked, replaced, on a full disk; and what survives a crash of the machine."""

import errno
import logging
import os
import resource
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from swf_cli.ledger.database import Database
from swf_cli.ledger.store import Ledger
from swf_cli.models import ExecutionId
from tests.helpers.cli import wait_until
from tests.helpers.clock import FakeClock
from tests.helpers.ledger import SOURCE, TASK, in_process, open_descriptors, record_task
from tests.ledger.conftest import Open

DATABASE = "ledger.sqlite3"


# --- what goes wrong


def _write(folder: Path, *statements: str) -> None:
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


def _damaged(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / DATABASE).write_bytes(os.urandom(8_192))


def _newer(folder: Path) -> None:
    _write(folder, "PRAGMA user_version = 99")


def _other_table(folder: Path) -> None:
    _write(
        folder,
        "CREATE TABLE held (key TEXT, token TEXT, holder TEXT, taken_at TEXT)",
        "INSERT INTO held VALUES ('k', 'TOKEN', 'h', 'today')",
        "PRAGMA user_version = 1",
    )


def _file_for_folder(folder: Path) -> None:
    folder.parent.mkdir()
    folder.touch()


def _folder_for_file(folder: Path) -> None:
    (folder / DATABASE).mkdir(parents=True)


UNUSABLE = {
    "damaged": _damaged,
    "newer": _newer,
    "another table": _other_table,
    "a file for its folder": _file_for_folder,
    "a folder for its file": _folder_for_file,
}


def use(ledger: Ledger) -> None:
    """Call every method of a ledger."""
    with ledger:
        with ledger.record_poll(SOURCE, "poll") as record:
            record.assign(TASK)
        ledger.set_command(record.key, 1, "1")
        ledger.keep_for_next_poll(record.key)
        ledger.record_poll(SOURCE, "poll").mark_lost()
        ledger.find_token("TOKEN")
        ledger.list_held()
        ledger.drop_reusable()
        ledger.drop(record.key)


@pytest.mark.parametrize("first", ["use", "list_held", "find_token"])
@pytest.mark.parametrize("spoil", UNUSABLE.values(), ids=UNUSABLE)
def test_a_ledger_that_cannot_be_used_warns_once(
    spoil: Callable[[Path], None], first: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Damaged, written by a newer version, or not a database: one warning, and everything else goes on."""
    spoil(folder)
    before = open_descriptors()
    ledger = Ledger(folder)
    if first == "list_held":
        assert ledger.list_held() == []
    elif first == "find_token":
        assert ledger.find_token("TOKEN") is None
    use(ledger)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"cannot use the list of held tasks in {folder}: ")
    assert ledger.is_usable is False
    if spoil is _newer:
        assert record.getMessage().endswith("it was written by a newer swf")
    assert open_descriptors() == before


def test_a_folder_that_cannot_exist_warns_once(
    tmp_path: Path, open_ledger: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder whose name is too long is one warning, whether the ledger is read or written."""
    for look in (lambda ledger: ledger.list_held(), use):
        look(open_ledger(tmp_path / ("x" * 300)))
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("file/state", "Not a directory"),
        (f"{'x' * 300}/state", f"cannot open {{}}/{'x' * 300}: File name too long"),
    ],
)
def test_a_folder_that_cannot_exist_is_said_why(
    folder: str, why: str, tmp_path: Path, open_ledger: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason names what can't be opened, unless that is the folder; it has no number."""
    (tmp_path / "file").touch()
    use(open_ledger(tmp_path / folder))
    assert caplog.messages == [f"cannot use the list of held tasks in {tmp_path / folder}: {why.format(tmp_path)}"]


@pytest.fixture
def open_parent() -> Iterator[Path]:
    """A folder that other users may enter; every run of pytest closes those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o711)
        yield path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("mode", [0o500, 0o000], ids=["read-only", "closed"])
def test_a_folder_without_permission_warns_once(mode: int, open_parent: Path) -> None:
    """A user who can't write to the folder, or not even list it, gets one warning, and everything else goes on."""
    folder = open_parent / "state"
    folder.mkdir()
    folder.chmod(mode)
    os.chown(folder, 65_534, 65_534)
    code = (
        "import os; from tests.ledger.test_database import use;"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); use(ledger)"
    )
    with in_process(folder, code) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    (warning,) = said.splitlines()
    why = "cannot open ledger.sqlite3: Permission denied" if mode else "Permission denied"
    assert warning == f"WARNING cannot use the list of held tasks in {folder}: {why}"


def test_a_lock_of_another_process_is_waited_for(
    folder: Path, open_ledger: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """A lock that another process lets go of delays an operation; one that it keeps is one warning."""
    patient, hasty = open_ledger(), open_ledger(busy_timeout=0.05)
    first, second = record_task(patient), record_task(hasty, replace(TASK, token="OTHER"))
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        threading.Timer(0.1, other.execute, ["COMMIT"]).start()
        patient.drop(first)
        assert caplog.messages == []
        other.execute("BEGIN EXCLUSIVE")
        release = threading.Timer(3, other.execute, ["COMMIT"])
        release.start()
        hasty.drop(second)
        use(hasty)
        release.cancel()
        other.execute("COMMIT")
    (message,) = caplog.messages
    assert "locked" in message
    assert [held.key for held in patient.list_held()] == [second]


def test_reading_does_not_wait_for_writers(folder: Path, open_ledger: Open, caplog: pytest.LogCaptureFixture) -> None:
    """A task is found by its token while another process writes, also by a process that opens the ledger then."""
    key = record_task(open_ledger())
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found = open_ledger(busy_timeout=0.05).find_token("TOKEN")
    assert found is not None
    assert found.key == key
    assert caplog.messages == []


def test_a_failed_operation_leaves_no_lock(open_ledger: Open, caplog: pytest.LogCaptureFixture) -> None:
    """If something fails in the middle of a transaction, other processes can still write."""

    def fail() -> float:
        raise RuntimeError("no time")

    other = open_ledger(busy_timeout=0.05)
    key = record_task(other)
    ledger = open_ledger(clock=fail)
    assert ledger.list_held() == []
    other.drop(key)
    assert [message.rpartition(": ")[2] for message in caplog.messages] == ["no time"]


def test_a_ledger_that_failed_is_tried_again_after_a_minute(
    folder: Path, open_ledger: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """For 60 s after a failure the ledger is left alone; then it records what it missed. One warning is enough."""
    clock = FakeClock()
    ledger = open_ledger(monotonic=clock)
    _file_for_folder(folder)
    missed = [ledger.record_poll(SOURCE, "poll")]
    assert not missed[0].assign(TASK)
    folder.unlink()
    clock.now += 59.9
    missed.append(ledger.record_poll(SOURCE, "poll"))
    assert not missed[1].assign(TASK)
    assert not folder.exists()
    clock.now += 0.1
    keys = [record_task(ledger), *(record.key for record in missed)]
    assert {held.key for held in open_ledger().list_held()} == set(keys)
    assert not ledger.is_usable  # it may lack what was recorded meanwhile
    (folder / DATABASE).unlink()
    (folder / DATABASE).mkdir()
    ledger.close()
    assert ledger.list_held() == []
    assert len(caplog.messages) == 1


def test_what_changed_while_the_ledger_was_disabled_is_written_later(folder: Path, open_ledger: Open) -> None:
    """A row that was taken over meanwhile is up to date as soon as the ledger is tried again: also what stays."""
    clock = FakeClock()
    ledger, other = open_ledger(monotonic=clock, busy_timeout=0.01), open_ledger()
    key = record_task(ledger)
    ledger.set_command(key, 4_711, "first")
    ledger.keep_for_next_poll(key)
    source = replace(SOURCE, task_list="another")
    with closing(sqlite3.connect(folder / DATABASE)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        record = ledger.record_poll(source, "work")
        assert record.key == key
        assert not record.assign(TASK)
        ledger.set_command(key, 4_712, "second")
        ledger.keep_for_next_poll(key)
    clock.now += 60
    assert ledger.record_poll(source, "work").assign(TASK)
    ledger.set_command(key, 4_712, "second")
    (held,) = other.list_held()
    assert (held.task_list, held.taken_by, held.group, held.group_start_id) == ("another", "work", 4_712, "second")


@pytest.mark.parametrize("how", ["tried again", "closed"])
def test_what_was_dropped_while_the_ledger_was_disabled_is_deleted_later(
    how: str, folder: Path, open_ledger: Open
) -> None:
    """A task that was closed meanwhile is not held any more."""
    clock = FakeClock()
    ledger, other = open_ledger(monotonic=clock, busy_timeout=0.01), open_ledger()
    keys = [record_task(ledger), record_task(ledger)]
    with closing(sqlite3.connect(folder / DATABASE)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        for key in keys:
            ledger.drop(key)
    assert {held.key for held in other.list_held()} == set(keys)
    if how == "closed":
        ledger.close()
    else:
        clock.now += 60
        ledger.list_held()
    assert other.list_held() == []


@contextmanager
def no_file_over(size: int) -> Iterator[None]:
    """Make writes fail that would make a file larger than this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_without_space_warns_once(
    folder: Path, open_ledger: Open, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that can't be written is not held, which `assign` returns; what is there already stays."""
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_blocks=1, f_bavail=0))
    ledger, other = open_ledger(), open_ledger()
    key = record_task(ledger)
    task = replace(TASK, token="T" * 1_024, id="i" * 256, execution=ExecutionId("w" * 256, "r" * 64))
    with no_file_over((folder / f"{DATABASE}-wal").stat().st_size + 40_000):
        kept = [ledger.record_poll(SOURCE, "poll").assign(task) for _ in range(20)]
    assert kept[0] is True
    assert kept[-1] is False
    assert caplog.messages == [f"cannot use the list of held tasks in {folder}: No space left on device"]
    assert key in [held.key for held in other.list_held()]


def test_text_that_cannot_be_stored_warns(open_ledger: Open, caplog: pytest.LogCaptureFixture) -> None:
    """A task whose ID no encoding can represent is not held, and its poll goes on all the same; others are held."""
    ledger = open_ledger()
    assert not ledger.record_poll(SOURCE, "poll").assign(replace(TASK, id="a\ud800"))
    ledger.record_poll(replace(SOURCE, identity="a\ud800"), "poll")
    task, poll = caplog.messages
    assert task == "the task is not recorded in the list of held tasks: activity ID is not UTF-8 text"
    assert poll.startswith(f"cannot record text that is not UTF-8 in the list of held tasks in {ledger.folder}: ")
    key = record_task(ledger)
    assert [held.key for held in ledger.list_held()] == [key]
    assert ledger.is_usable


# --- surviving a crash of the machine


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the threads that synced the database's log to disk, once for each time."""
    threads: list[str] = []

    def sync(descriptor: int) -> None:
        os.fstat(descriptor)
        threads.append(threading.current_thread().name)

    monkeypatch.setattr(os, "fdatasync", sync, raising=False)
    return threads


def test_a_task_is_synced_to_disk_before_it_counts_as_held(open_ledger: Open, syncs: list[str]) -> None:
    """`swf poll` prints a task once its row survives a crash of the machine."""
    ledger = open_ledger()
    key = record_task(ledger)
    assert syncs == ["MainThread"]
    ledger.drop(key)
    assert len(syncs) == 1  # a row that comes back is pruned later
    record_task(ledger)
    assert len(syncs) == 2


def has_length(values: list[str], length: int) -> bool:
    """Return whether a list has this length."""
    return len(values) == length


def test_a_platform_without_fdatasync_uses_fsync(
    open_ledger: Open, syncs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no fdatasync on macOS."""
    monkeypatch.setattr(os, "fsync", os.fdatasync)
    monkeypatch.delattr(os, "fdatasync")
    record_task(open_ledger())
    assert syncs == ["MainThread"] * 2  # the folder too: the database is new


def test_a_worker_syncs_in_the_background(open_ledger: Open, syncs: list[str]) -> None:
    """A worker's slots do not wait for the disk: a daemon thread syncs what was recorded, each time."""
    ledger = open_ledger()
    ledger.start_sync_thread()
    tasks = [replace(TASK, token=token) for token in "abc"]
    for number, task in enumerate(tasks, 1):
        record_task(ledger, task)
        wait_until(partial(has_length, syncs, number))
    assert set(syncs) == {"ledger"}
    assert [thread.daemon for thread in threading.enumerate() if thread.name == "ledger"].count(False) == 0


def test_a_task_that_could_not_be_synced_is_not_held(
    open_ledger: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If the disk fails, the poller is told that the ledger does not have the task, and there is one warning."""

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", fail, raising=False)
    ledger = open_ledger()
    assert [ledger.record_poll(SOURCE, "poll").assign(TASK) for _ in range(2)] == [False, False]
    assert len(caplog.messages) == 1
    assert "Input/output error" in caplog.messages[0]


def test_a_poll_that_ends_while_rows_are_restored(
    folder: Path, open_ledger: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """When a ledger that failed works again, what other threads drop meanwhile does not disable it anew."""

    class Clock(FakeClock):
        on_read: Callable[[], None] | None = None

        def __call__(self) -> float:
            if self.on_read is not None and folder.is_dir():
                on_read, self.on_read = self.on_read, None
                on_read()
            return super().__call__()

    clock = Clock()
    ledger = open_ledger(monotonic=clock)
    _file_for_folder(folder)
    records = [ledger.record_poll(SOURCE, "work") for _ in range(3)]
    folder.unlink()
    clock.advance(60)
    clock.on_read = lambda: ledger.drop(records[2].key)  # read as the first row is restored
    assert records[0].assign(TASK)
    assert clock.on_read is None
    assert len(caplog.messages) == 1


def test_a_database_that_can_not_even_be_closed(tmp_path: Path) -> None:
    """It is disabled all the same."""
    database = Database(tmp_path / "state", lambda connection: None)
    assert database.run(lambda connection: "done", "not done") == "done"
    os.close(database.folder_descriptor)
    assert database.run(lambda connection: str(connection.execute("no SQL")), "not done") == "not done"
    assert not database.is_usable
