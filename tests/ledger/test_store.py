"""The tasks that this machine holds, across processes, crashes and damage."""

import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swf_cli.ledger.records import PollSource
from swf_cli.ledger.store import Ledger
from swf_cli.models import ActivityId, ExecutionId, TaskReference, WorkerTask
from tests.helpers.cli import wait_until

ORIGIN = PollSource("video", "resize", "me@here", "west", "us-east-1", "http://swf.test")
TASK = WorkerTask("TOKEN", "resize-1", ActivityId("resize", "2"), ExecutionId("video-7", "RUN"), 6, "PRIVATE INPUT")
WEEK = 7 * 86_400

Open = Callable[..., Ledger]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the ledger is kept; not there yet."""
    return tmp_path / "deep" / "state"


@pytest.fixture
def warnings() -> list[str]:
    """What the ledgers of this test warned of."""
    return []


@pytest.fixture
def open_ledger(folder: Path, warnings: list[str]) -> Iterator[Open]:
    """Opens a ledger of the folder, as another process would; all are closed at the end."""
    opened: list[Ledger] = []

    def open_one(where: Path | None = None, **how: Any) -> Ledger:
        opened.append(Ledger(where or folder, warnings.append, **how))
        return opened[-1]

    yield open_one
    for ledger in opened:
        ledger.close()
        if ledger._connection is not None:
            ledger._connection.close()


def take(ledger: Ledger, task: WorkerTask = TASK) -> str:
    """Take a task with a poll, and give its key."""
    key = ledger.begin_poll(ORIGIN, "poll")
    assert ledger.assign_task(key, task)
    return key


def in_process(folder: Path, code: str) -> "subprocess.Popen[str]":
    """Run code that has `ledger`, `ORIGIN` and `TASK` in a process of its own."""
    script = f"""
import sys, time
from pathlib import Path
from swf_cli.ledger.store import Ledger
from tests.ledger.test_store import ORIGIN, TASK, take
ledger = Ledger(Path(sys.argv[1]), lambda warning: print(warning, flush=True))
{code}
"""
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


# --- rows


def test_a_task_takes_the_place_of_its_poll(open_ledger: Open) -> None:
    """A task's row holds all that is needed to find and close it: everything but its input."""
    ledger = open_ledger(clock=lambda: 1_700_000_000.5)
    key = take(ledger)
    (held,) = ledger.list_held()
    assert held == ledger.find_key(key) == ledger.find_token("TOKEN")
    assert (held.key, held.kind, held.token, held.id) == (key, "task", "TOKEN", "resize-1")
    assert (held.activity, held.execution) == (TASK.activity, TASK.execution)
    assert held.task_started_execution_history_event_id == 6
    assert PollSource(held.domain, held.task_list, held.identity, held.profile, held.region, held.endpoint) == ORIGIN
    assert (held.pid, held.taken_by, held.taken_at) == (os.getpid(), "poll", 1_700_000_000.5)
    assert held.reference == TaskReference("TOKEN", "video", ExecutionId("video-7", "RUN"), 6)


def test_newest_first(open_ledger: Open) -> None:
    """Rows come newest first; a poll that goes on counts from its last beginning."""
    now = iter(range(100))
    ledger = open_ledger(clock=lambda: float(next(now)))
    first, second, third = (ledger.begin_poll(ORIGIN, "work") for _ in range(3))
    for key in (first, second, third):
        ledger.assign_task(key, replace(TASK, token=key))
    broken = ledger.begin_poll(ORIGIN, "work")
    ledger.mark_poll_lost(broken)
    ledger.poll_again(first)
    ledger.mark_poll_lost(first)
    assert [held.key for held in ledger.list_held()] == [first, broken, third, second]


def test_a_row_that_is_dropped_is_gone(open_ledger: Open) -> None:
    """A row goes when it is dropped, and only then: other processes see that at once."""
    ledger, other = open_ledger(), open_ledger()
    key = take(ledger)
    kept = take(ledger, replace(TASK, token="OTHER"))
    other.drop("no such key")
    ledger.drop(key)
    assert [held.key for held in other.list_held()] == [kept]
    assert other.find_token("TOKEN") is None


def test_a_poll_that_broke_has_no_task(open_ledger: Open) -> None:
    """A poll that broke names no task, also where its row had held one before."""
    ledger = open_ledger()
    key = take(ledger)
    ledger.poll_again(key)
    ledger.mark_poll_lost(key)
    (held,) = ledger.list_held()
    assert (held.kind, held.token, held.id, held.activity, held.execution) == ("broken_poll", *[None] * 4)
    assert held.task_started_execution_history_event_id is None
    with pytest.raises(ValueError, match=rf"{key} is a poll that broke"):
        _ = held.reference
    assert ledger.find_token("TOKEN") is None


def test_a_key_is_found_by_its_beginning(open_ledger: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """As much of a key as no other row has will do; one that several have, or none, names nothing."""
    keys = iter(["ab12cd34", "ab99cd34", "ff00ff00"])
    monkeypatch.setattr(secrets, "token_hex", lambda count: next(keys) if count == 4 else "holder")
    ledger = open_ledger()
    for token in ("ONE", "TWO", "THREE"):
        take(ledger, replace(TASK, token=token))
    assert [ledger.find_key(key).token for key in ("ab1", "ab99cd34", "f")] == ["ONE", "TWO", "THREE"]
    for beginning, words in (("ab", "2 rows"), ("b12", "no row"), ("", "no row"), ("%", "no row"), ("AB1", "no row")):
        with pytest.raises(ValueError, match=words):
            ledger.find_key(beginning)


def test_keys_are_short_and_unlike(open_ledger: Open) -> None:
    """A key has eight characters that are easy to type, and no two rows have one."""
    ledger = open_ledger()
    keys = [ledger.begin_poll(ORIGIN, "work") for _ in range(50)]
    assert len(set(keys)) == 50
    assert all(len(key) == 8 and set(key) <= set("0123456789abcdef") for key in keys)


def test_broken_polls_are_kept_for_a_week_and_tasks_for_ever(open_ledger: Open, folder: Path) -> None:
    """After a week a poll that broke is of no use any more; a task that may still be open is."""
    time = [0.0]
    ledger, other = open_ledger(clock=lambda: time[0]), open_ledger(clock=lambda: time[0])
    broken, task = ledger.begin_poll(ORIGIN, "poll"), take(ledger)
    ledger.mark_poll_lost(broken)
    ledger.close()
    time[0] = WEEK
    assert {held.key for held in other.list_held()} == {broken, task}
    time[0] = WEEK + 1
    assert [held.key for held in other.list_held()] == [task]
    with sqlite3.connect(folder / "ledger.sqlite3") as database:
        assert database.execute("SELECT key FROM held").fetchall() == [(task,)]
    database.close()


# --- who holds it


def test_a_poll_is_hidden_while_its_process_lives(open_ledger: Open) -> None:
    """A long poll that goes on well is not listed; when its process has gone, it is a poll that broke."""
    ledger, other = open_ledger(), open_ledger()
    key = ledger.begin_poll(ORIGIN, "work")
    assert other.list_held() == ledger.list_held() == []
    ledger.close()
    (held,) = other.list_held()
    assert (held.key, held.kind, held.holder_alive) == (key, "broken_poll", False)


@pytest.mark.parametrize(("taken_by", "afterwards"), [("work", False), ("poll", None)])
def test_a_holder_is_alive_until_its_process_is_killed(
    taken_by: str, afterwards: bool | None, folder: Path, open_ledger: Open
) -> None:
    """`kill -9` of a process leaves its task, and shows its holder dead; that `swf poll` has ended is no harm."""
    other = open_ledger()
    take_one = f"key = ledger.begin_poll(ORIGIN, {taken_by!r}); ledger.assign_task(key, TASK)"
    code = f"{take_one}; print(key, flush=True); input()"
    with in_process(folder, code) as process:
        assert process.stdout is not None
        key = process.stdout.readline().strip()
        assert [(held.key, held.holder_alive, held.pid) for held in other.list_held()] == [(key, True, process.pid)]
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert [(held.key, held.kind, held.holder_alive) for held in other.list_held()] == [(key, "task", afterwards)]


def test_a_poll_whose_process_is_killed_stays_on_record(folder: Path, open_ledger: Open) -> None:
    """`kill -9` in the middle of a long poll leaves it on record: SWF may hand it a task."""
    with in_process(folder, "print(ledger.begin_poll(ORIGIN, 'poll'), flush=True); input()") as process:
        assert process.stdout is not None
        key = process.stdout.readline().strip()
        assert open_ledger().list_held() == []
        process.kill()
    assert [(held.key, held.kind) for held in open_ledger().list_held()] == [(key, "broken_poll")]


def test_holders_leave_no_files_behind(folder: Path, open_ledger: Open) -> None:
    """The file that a process locks goes with it, or is cleared away when its death is noticed."""
    ledger = open_ledger()
    take(ledger)
    assert len(list(folder.glob("holder-*"))) == 1
    ledger.close()
    ledger.close()
    assert list(folder.glob("holder-*")) == []
    with in_process(folder, "take(ledger); print('ready', flush=True); input()") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert len(list(folder.glob("holder-*"))) == 1
    assert len(open_ledger().list_held()) == 2
    assert list(folder.glob("holder-*")) == []


# --- what it keeps from others


def test_nobody_else_can_read_it(folder: Path, open_ledger: Open) -> None:
    """The folder is 0700, and each file in it 0600, whatever the umask."""
    before = os.umask(0)
    try:
        take(open_ledger())
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert {path.name for path in folder.iterdir()} >= {"ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"}


def test_it_never_holds_an_input(folder: Path, open_ledger: Open) -> None:
    """No file of it holds what a task is about, only what names it."""
    take(open_ledger())
    everything = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"TOKEN" in everything
    assert b"PRIVATE" not in everything


def test_to_look_makes_no_ledger(folder: Path, open_ledger: Open) -> None:
    """Where nothing was ever taken, looking finds nothing, and leaves nothing behind."""
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
        ({"SWF_LEDGER": "off", "SWF_STATE_DIR": "A"}, None),
    ],
)
def test_where_it_is_kept(
    environ: dict[str, str], where: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under SWF_STATE_DIR, else XDG_STATE_HOME/swf, else ~/.local/state/swf; nowhere with SWF_LEDGER=off."""
    monkeypatch.chdir(tmp_path)
    ledger = Ledger.from_env(environ, pytest.fail)
    key = ledger.begin_poll(ORIGIN, "poll")
    assert ledger.assign_task(key, TASK) == (where is not None)
    made = [str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("ledger.sqlite3")]
    assert made == ([] if where is None else [where])
    assert len(ledger.list_held()) == (where is not None)
    ledger.close()
    if ledger._connection is not None:
        ledger._connection.close()


# --- what goes wrong


def _garbage(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "ledger.sqlite3").write_bytes(os.urandom(8_192))


def _newer(folder: Path) -> None:
    folder.mkdir(parents=True)
    with sqlite3.connect(folder / "ledger.sqlite3") as database:
        database.execute("PRAGMA user_version = 2")
    database.close()


def _other_table(folder: Path) -> None:
    folder.mkdir(parents=True)
    with sqlite3.connect(folder / "ledger.sqlite3") as database:
        database.execute("CREATE TABLE held (key TEXT, token TEXT, holder TEXT, taken_at TEXT)")
        database.execute("INSERT INTO held VALUES ('k', 'TOKEN', 'h', 'today')")
        database.execute("PRAGMA user_version = 1")
    database.close()


def _file_for_folder(folder: Path) -> None:
    folder.parent.mkdir()
    folder.touch()


def _folder_for_file(folder: Path) -> None:
    (folder / "ledger.sqlite3").mkdir(parents=True)


UNUSABLE = {
    "damaged": _garbage,
    "newer": _newer,
    "another table": _other_table,
    "a file for its folder": _file_for_folder,
    "a folder for its file": _folder_for_file,
}


def use(ledger: Ledger) -> None:
    """Do all that can be done with a ledger."""
    key = ledger.begin_poll(ORIGIN, "poll")
    ledger.poll_again(key)
    ledger.assign_task(key, TASK)
    ledger.mark_poll_lost(ledger.begin_poll(ORIGIN, "work"))
    ledger.find_token("TOKEN")
    ledger.list_held()
    ledger.drop(key)
    ledger.close()


@pytest.mark.parametrize("first", ["use", "rows", "find_token"])
@pytest.mark.parametrize("spoil", UNUSABLE.values(), ids=UNUSABLE)
def test_a_ledger_that_cannot_be_used_warns_once(
    spoil: Callable[[Path], None], first: str, folder: Path, open_ledger: Open, warnings: list[str]
) -> None:
    """Damaged, written by a newer swf, in a place that is none: that is told once, and everything goes on."""
    spoil(folder)
    ledger = open_ledger()
    if first == "rows":
        assert ledger.list_held() == []
    elif first == "find_token":
        assert ledger.find_token("TOKEN") is None
    use(ledger)
    (warning,) = warnings
    assert str(folder) in warning
    if spoil is _newer:
        assert "a newer swf has written it" in warning


def test_a_path_that_is_none_warns_once(tmp_path: Path, open_ledger: Open, warnings: list[str]) -> None:
    """A folder that can't be, since its name is too long, is told once."""
    for look in (lambda ledger: ledger.list_held(), use):
        look(open_ledger(tmp_path / ("x" * 300)))
    assert len(warnings) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("mode", [0o500, 0o000], ids=["read-only", "closed"])
def test_a_folder_that_is_not_ours_warns_once(mode: int, tmp_path: Path) -> None:
    """Whoever may not write the folder, or not look into it, is told so once, and goes on."""
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(mode)
    os.chown(folder, 65_534, 65_534)
    script = (
        "import os, sys; from pathlib import Path; from swf_cli.ledger.store import Ledger;"
        "from tests.ledger.test_store import use; os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        "use(Ledger(Path(sys.argv[1]), print))"
    )
    for path in tmp_path.parents:
        if path.stat().st_uid == os.geteuid() and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o011)
    tmp_path.chmod(0o711)
    done = subprocess.run(
        [sys.executable, "-c", script, folder],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (warning,) = done.stdout.splitlines()
    assert str(folder) in warning


def test_a_locked_database_is_waited_for_and_then_done_without(
    folder: Path, open_ledger: Open, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock of another process is waited for; one that is never let go is told once, and everything goes on."""
    monkeypatch.setattr("swf_cli.ledger.store._PATIENCE", 0.3)
    patient, unlucky = open_ledger(), open_ledger()
    first, second = take(patient), take(unlucky, replace(TASK, token="OTHER"))
    other = sqlite3.connect(folder / "ledger.sqlite3", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    threading.Timer(0.1, other.execute, ["COMMIT"]).start()
    patient.drop(first)
    assert warnings == []
    other.execute("BEGIN EXCLUSIVE")
    unlucky.drop(second)
    use(unlucky)
    other.execute("COMMIT")
    other.close()
    (warning,) = warnings
    assert "locked" in warning
    assert [held.key for held in open_ledger().list_held()] == [second]


def test_a_full_disk_warns_once(open_ledger: Open, warnings: list[str]) -> None:
    """A task that finds no room is not held, which its poller hears; what is there already stays."""
    ledger = open_ledger()
    key = take(ledger)
    assert ledger._connection is not None
    ledger._connection.execute("PRAGMA max_page_count = 1")  # no more than there are
    task = replace(TASK, token="T" * 1_024, id="i" * 256, execution=ExecutionId("w" * 256, "r" * 64))
    kept = [ledger.assign_task(ledger.begin_poll(ORIGIN, "poll"), task) for _ in range(8)]
    assert kept[-1] is False
    (warning,) = warnings
    assert "full" in warning
    assert key in [held.key for held in open_ledger().list_held()]


def test_a_text_that_cannot_be_stored_is_done_without(open_ledger: Open, warnings: list[str]) -> None:
    """A task whose id no encoding carries is not held, and its poll goes on all the same."""
    ledger = open_ledger()
    assert not ledger.assign_task(ledger.begin_poll(ORIGIN, "poll"), replace(TASK, id="a\ud800"))
    assert len(warnings) == 1


# --- many at once


def test_twenty_processes_make_one_ledger_at_once(folder: Path, open_ledger: Open) -> None:
    """Twenty processes that start on a fresh ledger at one moment lose no row, and none of them warns."""
    code = "input(); print(take(ledger)); print(take(ledger))"
    processes = [in_process(folder, code) for _ in range(20)]
    try:
        for process in processes:  # each waits for its line
            assert process.stdin is not None
            process.stdin.write("\n")
        for process in processes:
            assert process.stdin is not None
            process.stdin.flush()
        said = [line for process in processes for line in process.communicate(timeout=60)[0].splitlines()]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [line for line in said if " " in line] == []
    assert len(said) == 40
    assert {held.key for held in open_ledger().list_held()} == set(said)


def test_threads_share_a_ledger(open_ledger: Open, warnings: list[str]) -> None:
    """Slots of one worker use one ledger at once, with one lock to show that they live."""
    ledger = open_ledger()

    def slot(name: str) -> None:
        for n in range(25):
            key = ledger.begin_poll(ORIGIN, "work")
            ledger.assign_task(key, replace(TASK, token=f"{name}-{n}"))
            if n % 2:
                ledger.drop(key)

    threads = [threading.Thread(target=slot, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    wait_until(lambda: not any(thread.is_alive() for thread in threads))
    assert {held.token for held in ledger.list_held()} == {f"{name}-{n}" for name in "ab" for n in range(0, 25, 2)}
    assert warnings == []
