"""The tasks that this machine holds, across processes, crashes and damage."""

import errno
import logging
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from swf_cli.errors import NetworkError, Signalled
from swf_cli.ledger.database import Database
from swf_cli.ledger.records import PollSource
from swf_cli.ledger.store import Ledger, PollRecord
from swf_cli.models import ExecutionId, TaskReference
from tests.helpers.cli import wait_until
from tests.helpers.clock import FakeClock
from tests.helpers.ledger import SOURCE, TASK, record_task
from tests.ledger.conftest import Open

DATABASE = "ledger.sqlite3"
WEEK = 7 * 86_400
ROOT = Path(__file__).parents[2]


@contextmanager
def in_process(folder: Path, code: str) -> Iterator["subprocess.Popen[str]"]:
    """Run code that uses `ledger`, `SOURCE` and `TASK` in a process of its own, whose stdin and stdout are pipes."""
    script = f"""
import logging, sys
from pathlib import Path
from swf_cli.ledger.store import Ledger
from tests.helpers.ledger import SOURCE, TASK, record_task
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
ledger = Ledger(Path(sys.argv[1]))
{code}
"""
    command = [sys.executable, "-c", script, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def read_line(process: "subprocess.Popen[str]") -> str:
    """Return the next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def open_descriptors() -> list[str]:
    """Return the descriptors that this process has open."""
    return sorted(os.listdir("/dev/fd"))


# --- rows


def test_a_task_replaces_its_poll(open_ledger: Open) -> None:
    """The row of a task has all that is needed to find and close it: everything but its input."""
    ledger = open_ledger(clock=lambda: 1_700_000_000.5)
    key = record_task(ledger)
    (held,) = ledger.list_held()
    assert held == ledger.find_key(key) == ledger.find_token("TOKEN")
    assert (held.key, held.kind, held.token, held.id) == (key, "task", "TOKEN", "resize-1")
    assert (held.activity, held.execution, held.run_id) == (TASK.activity, TASK.execution, "RUN")
    assert held.task_started_execution_history_event_id == 6
    assert PollSource(held.domain, held.task_list, held.identity, held.profile, held.region, held.endpoint) == SOURCE
    assert (held.pid, held.taken_by, held.taken_at) == (os.getpid(), "poll", 1_700_000_000.5)
    assert held.host
    assert (held.group, held.group_start_id) == (None, None)
    assert held.reference == TaskReference("TOKEN", "video", ExecutionId("video-7", "RUN"), 6)


def test_rows_are_listed_newest_first(open_ledger: Open) -> None:
    """A row counts from the beginning of its last poll, or from the receipt of its task."""
    clock = FakeClock()
    ledger = open_ledger(clock=clock)

    def record(name: str) -> str:
        clock.now += 1
        return record_task(ledger, replace(TASK, token=name))

    first, second, third = (record(name) for name in "abc")
    clock.now += 1
    lost = ledger.record_poll(SOURCE, "work")
    lost.mark_lost()
    ledger.drop(first, reuse=True)
    clock.now += 1
    again = ledger.record_poll(SOURCE, "work")
    again.mark_lost()
    assert again.key == first
    assert [held.key for held in ledger.list_held()] == [first, lost.key, third, second]


def test_a_dropped_row_is_gone(open_ledger: Open) -> None:
    """A row is deleted when it is dropped, and only then: other processes see that at once."""
    ledger, other = open_ledger(), open_ledger()
    key = record_task(ledger)
    kept = record_task(ledger, replace(TASK, token="OTHER"))
    other.drop("no such key")
    ledger.drop(key)
    assert [held.key for held in other.list_held()] == [kept]
    assert other.find_token("TOKEN") is None


def test_the_command_of_a_task_is_recorded(open_ledger: Open) -> None:
    """A worker records the process group of a task's command; a poll in that row has none."""
    ledger = open_ledger()
    key = record_task(ledger, taken_by="work")
    ledger.set_command(key, 4_711, "start-1")
    (held,) = ledger.list_held()
    assert (held.group, held.group_start_id) == (4_711, "start-1")
    ledger.drop(key, reuse=True)
    ledger.record_poll(SOURCE, "work").mark_lost()
    assert ledger.find_key(key).group is None


def test_a_command_that_is_kept_is_recorded_once(open_ledger: Open) -> None:
    """A handler that gets one task after the other is written down once, and is on record for each of them."""
    ledger, other = open_ledger(), open_ledger()
    key = record_task(ledger, taken_by="work")
    for group in (4_711, 4_711, 4_712):
        ledger.set_command(key, group, f"start-{group}")
        assert other.find_key(key).group == group
        ledger.drop(key, reuse=True)
        ledger.record_poll(SOURCE, "work").assign(TASK)
        assert (other.find_key(key).group, other.find_key(key).group_start_id) == (group, f"start-{group}")


def test_a_row_stays_with_its_thread(open_ledger: Open) -> None:
    """A handler that is kept running is never on record for a task of another slot."""
    ledger = open_ledger()
    key = record_task(ledger, taken_by="work")
    ledger.set_command(key, 4_711, "start-4711")
    ledger.drop(key, reuse=True)
    with ThreadPoolExecutor(1) as slot:
        another = slot.submit(record_task, ledger, taken_by="work").result()
    assert another != key
    assert ledger.find_key(another).group is None
    assert record_task(ledger, taken_by="work") == key
    ledger.drop(key, reuse=True)
    ledger.close()
    assert [held.key for held in open_ledger().list_held()] == [another]


def test_a_lost_poll_has_no_task(open_ledger: Open) -> None:
    """A poll that was lost names no task, even if its row had one before."""
    ledger = open_ledger()
    key = record_task(ledger)
    ledger.drop(key, reuse=True)
    ledger.record_poll(SOURCE, "poll").mark_lost()
    (held,) = ledger.list_held()
    assert (held.key, held.kind) == (key, "broken_poll")
    assert (held.token, held.id, held.activity, held.execution, held.run_id) == (None,) * 5
    assert held.task_started_execution_history_event_id is None
    with pytest.raises(ValueError, match=f"{key} is a lost poll"):
        _ = held.reference
    assert ledger.find_token("TOKEN") is None
    lost = ledger.record_poll(SOURCE, "poll")
    lost.assign(TASK)
    lost.mark_lost()
    held = ledger.find_key(lost.key)
    assert (held.token, held.id, held.task_started_execution_history_event_id) == (None,) * 3


def test_a_key_is_found_by_any_unique_prefix(open_ledger: Open) -> None:
    """A prefix that no other key has is enough; one that several keys have, or none, names nothing."""
    ledger = open_ledger()
    keys = [record_task(ledger, replace(TASK, token=str(number))) for number in range(17)]
    shared, count = Counter(key[0] for key in keys).most_common(1)[0]
    for key in keys:
        unique = next(key[:n] for n in range(1, 9) if sum(other.startswith(key[:n]) for other in keys) == 1)
        assert ledger.find_key(unique).key == ledger.find_key(key).key == key
    with pytest.raises(ValueError, match=f"^{count} rows of `swf held` have a key that begins with '{shared}'"):
        ledger.find_key(shared)
    for prefix in (keys[0][1:], "", "%", keys[0].upper() + "!"):
        with pytest.raises(ValueError, match=r"^no row of `swf held` has a key that begins with"):
            ledger.find_key(prefix)


@pytest.mark.parametrize(("count", "more"), [(10, ""), (11, ", ...")])
def test_a_prefix_of_several_keys_names_ten_of_them(count: int, more: str, open_ledger: Open) -> None:
    """What a prefix may mean is listed, newest first, with the activity ID; nothing is if no key has the prefix."""
    clock = FakeClock()
    ledger = open_ledger(clock=clock)
    names: dict[str, list[str]] = {}
    while max(map(len, names.values()), default=0) < count:
        clock.now += 1
        key = record_task(ledger, replace(TASK, token=str(clock.now)))
        names.setdefault(key[0], []).insert(0, f"{key} (resize-1)")
    prefix = next(prefix for prefix, keys in names.items() if len(keys) == count)
    with pytest.raises(ValueError, match="key that begins with") as caught:
        ledger.find_key(prefix)
    listed = ", ".join(names[prefix][:10])
    assert str(caught.value) == f"{count} rows of `swf held` have a key that begins with {prefix!r}: {listed}{more}"
    with pytest.raises(ValueError, match=r"^no row of `swf held` has a key that begins with 'x'$"):
        ledger.find_key("x")


def test_a_lost_poll_is_named_as_one(open_ledger: Open) -> None:
    """It has no activity ID by which it could be told from a task."""
    ledger = open_ledger()
    records = [ledger.record_poll(SOURCE, "work") for _ in range(17)]
    for record in records:
        record.mark_lost()
    shared = Counter(record.key[0] for record in records).most_common(1)[0][0]
    with pytest.raises(ValueError, match=r": [0-9a-f]{8} \(lost poll\), [0-9a-f]{8} \(lost poll\)"):
        ledger.find_key(shared)


def test_keys_are_short_and_differ(open_ledger: Open) -> None:
    """A key has eight characters that are easy to type, and no two rows have the same."""
    ledger = open_ledger()
    keys = [ledger.record_poll(SOURCE, "work").key for _ in range(50)]
    assert len(set(keys)) == 50
    assert all(len(key) == 8 and set(key) <= set("0123456789abcdef") for key in keys)


def test_lost_polls_are_kept_for_a_week_and_tasks_forever(open_ledger: Open, folder: Path) -> None:
    """After a week a lost poll is of no use any more; a task may still be open."""
    clock = FakeClock(0.0)
    ledger, other = open_ledger(clock=clock), open_ledger(clock=clock)
    lost, task, alive = ledger.record_poll(SOURCE, "poll"), record_task(ledger), other.record_poll(SOURCE, "work")
    lost.mark_lost()
    ledger.close()
    clock.now = WEEK
    assert {held.key for held in other.list_held()} == {lost.key, task}
    clock.now = WEEK + 1
    assert [held.key for held in other.list_held()] == [task]
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        rows = database.execute("SELECT key FROM held").fetchall()
    assert {key for (key,) in rows} == {task, alive.key}  # that of a process that is alive is still in flight


# --- a poll on record


def test_a_poll_that_received_nothing_leaves_no_record(open_ledger: Open) -> None:
    """A poll that ends without a task is not on record; the next one reuses its row, unless SWF rejected it."""
    ledger, other = open_ledger(), open_ledger()
    with ledger.record_poll(SOURCE, "poll") as first:
        pass
    with pytest.raises(NetworkError), ledger.record_poll(SOURCE, "poll") as second:
        raise NetworkError("never sent")
    with ledger.record_poll(SOURCE, "poll") as third:
        pass
    assert (second.key == first.key, third.key == first.key) == (True, False)
    ledger.close()
    assert other.list_held() == []


def test_a_poll_in_flight_is_in_the_database(open_ledger: Open, folder: Path) -> None:
    """The row says that it is a poll, also if it had been a task before: other versions of `swf` read it too."""
    ledger = open_ledger()
    ledger.drop(record_task(ledger), reuse=True)
    polls = [ledger.record_poll(SOURCE, "work") for _ in range(2)]
    assert len({poll.key for poll in polls}) == 2
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        assert database.execute("SELECT kind, token, run_id FROM held").fetchall() == [("poll", None, None)] * 2


@pytest.mark.parametrize("error", [Signalled(signal.SIGTERM), RuntimeError("unexpected"), MemoryError()])
def test_an_abandoned_poll_stays_on_record(error: BaseException, open_ledger: Open) -> None:
    """A poll that ends by a signal, or in a way that nobody foresaw, may have received a task: it counts as lost."""
    ledger = open_ledger()
    with pytest.raises(type(error)), ledger.record_poll(SOURCE, "poll") as record:
        raise error
    assert [(held.key, held.kind) for held in ledger.list_held()] == [(record.key, "broken_poll")]


@pytest.mark.parametrize("settle", [lambda record: record.assign(TASK), PollRecord.mark_lost], ids=["task", "lost"])
def test_a_settled_record_is_kept(settle: Callable[[PollRecord], object], open_ledger: Open) -> None:
    """What was recorded of a poll stays, whatever goes wrong after it."""
    ledger = open_ledger()
    record = ledger.record_poll(SOURCE, "poll")
    settle(record)
    before = ledger.list_held()
    with pytest.raises(Signalled), record:
        raise Signalled(signal.SIGTERM)
    assert before == ledger.list_held()
    assert [held.key for held in before] == [record.key]


def test_the_next_poll_reuses_a_row(open_ledger: Open, folder: Path) -> None:
    """A row that is dropped for reuse is the next poll's, with its task list; without a next poll it is deleted."""
    ledger, other = open_ledger(), open_ledger()
    key = record_task(ledger, taken_by="work")
    ledger.drop(key, reuse=True)
    with ledger.record_poll(replace(SOURCE, task_list="encode"), "work") as record:
        assert record.key == key
        assert record.assign(TASK)
    assert [(held.key, held.task_list) for held in other.list_held()] == [(key, "encode")]
    more = record_task(ledger)
    assert more != key
    for each in (key, more):
        ledger.drop(each, reuse=True)
    for left in (1, 0, 0):
        ledger.drop_reusable()
        with closing(sqlite3.connect(folder / DATABASE)) as database:
            assert database.execute("SELECT count(*) FROM held").fetchone() == (left,)


def test_closing_deletes_the_rows_kept_for_reuse(open_ledger: Open) -> None:
    """A closed task is not listed once the process that closed it has ended."""
    ledger, other = open_ledger(), open_ledger()
    for key in [record_task(ledger, replace(TASK, token=token)) for token in "ab"]:
        ledger.drop(key, reuse=True)
    ledger.close()
    assert other.list_held() == []


def test_a_row_that_is_gone_is_not_reused(open_ledger: Open) -> None:
    """If another process deleted a row (`swf held --prune`), the next poll is on record all the same."""
    ledger, other = open_ledger(), open_ledger()
    key = record_task(ledger)
    ledger.drop(key, reuse=True)
    other.drop(key)
    assert [held.key for held in other.list_held()] == []
    again = record_task(ledger)
    assert [held.key for held in other.list_held()] == [again]


def test_a_poll_whose_row_is_gone_still_gets_its_task(open_ledger: Open) -> None:
    """If somebody deleted the row during the poll, the task is recorded all the same, and counts as held."""
    ledger, other = open_ledger(), open_ledger()
    record = ledger.record_poll(SOURCE, "poll")
    other.drop(record.key)
    assert record.assign(TASK)
    assert [held.key for held in other.list_held()] == [record.key]


def test_a_database_that_is_replaced_gets_what_is_still_held(folder: Path, open_ledger: Open) -> None:
    """The row of a task that is held is written again, with its command; what was dropped or lost is not."""
    clock = FakeClock()
    ledger = open_ledger(monotonic=clock)
    dropped, kept = (record_task(ledger, taken_by="work") for _ in range(2))
    ledger.set_command(kept, 4_711, "start-1")
    ledger.set_command("no such key", 4_712, "start-2")
    ledger.drop(dropped)
    ledger.record_poll(SOURCE, "work").mark_lost()
    for path in folder.glob(f"{DATABASE}*"):
        path.unlink()
    clock.now += 1
    ledger.record_poll(SOURCE, "work")
    (held,) = ledger.list_held()
    assert (held.key, held.group, held.group_start_id) == (kept, 4_711, "start-1")


# --- who holds it


def test_a_poll_is_hidden_while_its_process_is_alive(open_ledger: Open) -> None:
    """A poll in flight is not listed; once its process has ended, it is a lost poll."""
    ledger, other = open_ledger(), open_ledger()
    record = ledger.record_poll(SOURCE, "work")
    assert other.list_held() == ledger.list_held() == []
    ledger.close()
    (held,) = other.list_held()
    assert (held.key, held.kind, held.holder_alive) == (record.key, "broken_poll", False)


def test_a_process_without_its_lock_file_is_alive(folder: Path, open_ledger: Open) -> None:
    """If somebody removed the file, its start ID shows that the process still holds its task."""
    ledger, other = open_ledger(), open_ledger()
    key = record_task(ledger, taken_by="work")
    (lock,) = folder.glob("holder-*")
    lock.unlink()
    assert [(held.key, held.holder_alive) for held in other.list_held()] == [(key, True)]


@pytest.mark.parametrize(("taken_by", "afterwards"), [("work", False), ("poll", None)])
def test_a_holder_is_alive_until_its_process_is_killed(
    taken_by: str, afterwards: bool | None, folder: Path, open_ledger: Open
) -> None:
    """`kill -9` leaves the task of a process, whose holder is dead; `swf poll` ends once it has printed a task."""
    other = open_ledger()
    with in_process(folder, f"print(record_task(ledger, taken_by={taken_by!r}), flush=True); input()") as process:
        key = read_line(process)
        assert [(held.key, held.holder_alive, held.pid) for held in other.list_held()] == [(key, True, process.pid)]
    assert process.returncode == -signal.SIGKILL
    assert [(held.key, held.kind, held.holder_alive) for held in other.list_held()] == [(key, "task", afterwards)]
    found = other.find_token("TOKEN")
    assert found is not None
    assert found.holder_alive is afterwards


def test_a_poll_whose_process_is_killed_stays_on_record(folder: Path, open_ledger: Open) -> None:
    """`kill -9` in the middle of a long poll leaves it on record: SWF may assign it a task."""
    ledger = open_ledger()
    with in_process(folder, "print(ledger.record_poll(SOURCE, 'poll').key, flush=True); input()") as process:
        key = read_line(process)
        assert ledger.list_held() == []
    assert [(held.key, held.kind) for held in ledger.list_held()] == [(key, "broken_poll")]


def test_dead_holders_leave_no_files(folder: Path, open_ledger: Open) -> None:
    """The lock file of a process is removed when it ends, or when its death is noticed."""
    ledger, other = open_ledger(), open_ledger()
    record_task(ledger)
    assert len(list(folder.glob("holder-*"))) == 1
    ledger.close()
    assert list(folder.glob("holder-*")) == []
    with in_process(folder, "record_task(ledger); print('ready', flush=True); input()") as process:
        assert read_line(process) == "ready"
    assert len(list(folder.glob("holder-*"))) == 1
    assert len(other.list_held()) == 2
    assert list(folder.glob("holder-*")) == []


# --- what it keeps open, and from others


def test_closing_leaves_nothing_open(folder: Path) -> None:
    """After the `with`, the database, its log and the lock file are closed; the ledger can be closed again."""
    before = open_descriptors()
    with Ledger(folder) as ledger:
        record_task(ledger)
        assert len(open_descriptors()) > len(before)
    assert open_descriptors() == before
    ledger.close()


def test_only_the_user_can_read_it(folder: Path, open_ledger: Open) -> None:
    """The folder has mode 0700 and each file in it 0600, whatever the umask."""
    before = os.umask(0)
    try:
        record_task(open_ledger())
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert {path.name for path in folder.iterdir()} >= {DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"}


def test_it_never_stores_an_input(folder: Path, open_ledger: Open) -> None:
    """No file of it contains the input of a task, only what identifies it."""
    record_task(open_ledger())
    everything = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"TOKEN" in everything
    assert b"PRIVATE" not in everything


def test_reading_creates_no_ledger(folder: Path, open_ledger: Open) -> None:
    """If nothing was ever recorded, reading finds nothing and leaves nothing behind."""
    ledger = open_ledger()
    assert (ledger.list_held(), ledger.find_token("T")) == ([], None)
    with pytest.raises(ValueError, match="no row"):
        ledger.find_key("ab")
    assert not folder.exists()


@pytest.mark.parametrize(
    ("environ", "where"),
    [
        ({"SWF_STATE_DIR": "A", "XDG_STATE_HOME": "B"}, "A"),
        ({"SWF_STATE_DIR": "", "XDG_STATE_HOME": "B"}, "B/swf"),
        ({"XDG_STATE_HOME": ""}, ".local/state/swf"),
        ({}, ".local/state/swf"),
        ({"SWF_LEDGER": "on"}, ".local/state/swf"),
        ({"SWF_LEDGER": "OFF", "SWF_STATE_DIR": "A"}, None),
        ({"SWF_LEDGER": "off", "SWF_STATE_DIR": "A"}, None),
    ],
)
def test_the_environment_says_where_it_is(
    environ: dict[str, str],
    where: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Under SWF_STATE_DIR, else XDG_STATE_HOME/swf, else ~/.local/state/swf; nowhere with SWF_LEDGER=off."""
    monkeypatch.chdir(tmp_path)
    with Ledger.from_env(environ) as ledger:
        assert ledger.record_poll(SOURCE, "poll").assign(TASK) == (where is not None)
        found = [str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob(DATABASE)]
        assert found == ([] if where is None else [where])
        assert len(ledger.list_held()) == (where is not None)
        assert ledger.is_usable
    assert caplog.messages == []


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
        ledger.drop(record.key, reuse=True)
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
    assert record.getMessage().startswith(f"cannot use the ledger in {folder}: ")
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("mode", [0o500, 0o000], ids=["read-only", "closed"])
def test_a_folder_without_permission_warns_once(mode: int, tmp_path: Path) -> None:
    """A user who can't write to the folder, or not even list it, gets one warning, and everything else goes on."""
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(mode)
    os.chown(folder, 65_534, 65_534)
    for path in tmp_path.parents:
        if path.stat().st_uid == os.geteuid() and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o011)
    tmp_path.chmod(0o711)
    code = (
        "import os; from tests.ledger.test_store import use;"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); use(ledger)"
    )
    with in_process(folder, code) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    (warning,) = said.splitlines()
    assert warning.startswith(f"WARNING cannot use the ledger in {folder}: ")


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
    ledger.drop(key, reuse=True)
    source = replace(SOURCE, task_list="another")
    with closing(sqlite3.connect(folder / DATABASE)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        record = ledger.record_poll(source, "work")
        assert record.key == key
        assert not record.assign(TASK)
        ledger.set_command(key, 4_712, "second")
        ledger.drop(key, reuse=True)
    clock.now += 60
    assert ledger.record_poll(source, "work").assign(TASK)
    ledger.set_command(key, 4_712, "second")
    (held,) = other.list_held()
    assert (held.task_list, held.taken_by, held.group, held.group_start_id) == ("another", "work", 4_712, "second")


@contextmanager
def no_file_over(size: int) -> Iterator[None]:
    """Make writes fail that would make a file larger than this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_without_space_warns_once(folder: Path, open_ledger: Open, caplog: pytest.LogCaptureFixture) -> None:
    """A task that can't be written is not held, which `assign` returns; what is there already stays."""
    ledger, other = open_ledger(), open_ledger()
    key = record_task(ledger)
    task = replace(TASK, token="T" * 1_024, id="i" * 256, execution=ExecutionId("w" * 256, "r" * 64))
    with no_file_over((folder / f"{DATABASE}-wal").stat().st_size + 40_000):
        kept = [ledger.record_poll(SOURCE, "poll").assign(task) for _ in range(20)]
    assert kept[0] is True
    assert kept[-1] is False
    assert len(caplog.messages) == 1
    assert key in [held.key for held in other.list_held()]


def test_text_that_cannot_be_stored_warns(open_ledger: Open, caplog: pytest.LogCaptureFixture) -> None:
    """A task whose ID no encoding can represent is not held, and its poll goes on all the same; others are held."""
    ledger = open_ledger()
    assert not ledger.record_poll(SOURCE, "poll").assign(replace(TASK, id="a\ud800"))
    (warning,) = caplog.messages
    assert warning.startswith(f"cannot record what is not UTF-8 text in the ledger in {ledger.folder}: ")
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


# --- many at once


def test_many_processes_create_one_ledger_at_once(folder: Path, open_ledger: Open) -> None:
    """Processes that start on a fresh ledger at the same moment lose no row, and none of them warns."""
    script = "print('ready', flush=True); input(); print(record_task(ledger)); print(record_task(ledger))"
    with ExitStack() as stack:
        processes = [stack.enter_context(in_process(folder, script)) for _ in range(12)]
        assert [read_line(process) for process in processes] == ["ready"] * 12
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        said = [line for process in processes for line in process.communicate(timeout=60)[0].splitlines()]
    assert [line for line in said if " " in line] == []
    assert len(said) == 24
    assert {held.key for held in open_ledger().list_held()} == set(said)


def test_threads_share_a_ledger(open_ledger: Open, caplog: pytest.LogCaptureFixture) -> None:
    """The slots of a worker use one ledger at once, with its thread that syncs to disk."""
    ledger = open_ledger()
    ledger.start_sync_thread()

    def slot(name: str) -> None:
        for number in range(25):
            key = record_task(ledger, replace(TASK, token=f"{name}-{number}"), taken_by="work")
            if number % 2:
                ledger.drop(key, reuse=number % 4 == 1)

    threads = [threading.Thread(target=slot, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in threads:
        ledger.drop_reusable()
    assert {held.token for held in ledger.list_held()} == {f"{name}-{n}" for name in "ab" for n in range(0, 25, 2)}
    assert caplog.messages == []


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
