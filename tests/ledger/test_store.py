"""The tasks that this machine holds, across processes, crashes and damage."""

import os
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swf_cli.errors import NetworkError, Signalled
from swf_cli.ledger.records import PollSource
from swf_cli.ledger.store import Ledger, PollRecord
from swf_cli.models import ExecutionId, TaskReference
from tests.helpers.clock import FakeClock
from tests.helpers.ledger import SOURCE, TASK, in_process, open_descriptors, read_line, record_task
from tests.ledger.conftest import Open

DATABASE = "ledger.sqlite3"
WEEK = 7 * 86_400


# --- rows


def test_a_task_replaces_its_poll(open_ledger: Open) -> None:
    """The row of a task has all that is needed to find and close it: everything but its input."""
    ledger = open_ledger(clock=lambda: 1_700_000_000.5)
    key = record_task(ledger)
    (held,) = ledger.list_held()
    assert held == ledger.find_key(key) == ledger.find_token("TOKEN")
    assert (held.key, held.kind, held.token, held.id) == (key, "task", "TOKEN", "resize-1")
    assert (held.activity, held.execution) == (TASK.activity, TASK.execution)
    assert held.task_started_execution_history_event_id == 6
    assert PollSource(held.domain, held.task_list, held.identity, held.profile, held.region, held.endpoint) == SOURCE
    assert (held.pid, held.taken_by, held.taken_at) == (os.getpid(), "poll", 1_700_000_000.5)
    assert held.host
    assert (held.group, held.group_start_id) == (None, None)
    assert held.reference == TaskReference("TOKEN", "video", ExecutionId("video-7", "RUN"), 6)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"token": "T" * 1_025}, "token is 1,025 characters long: SWF accepts at most 1,024"),
        ({"execution": ExecutionId("w" * 257, "RUN")}, "workflow ID is 257 characters long: SWF accepts at most 256"),
        ({"task_started_execution_history_event_id": 0}, "started_event_id is not valid"),
        ({"task_started_execution_history_event_id": 2**63}, "started_event_id is not valid"),
    ],
)
def test_a_task_that_could_not_be_read_back_is_not_recorded(
    changed: dict[str, Any], why: str, open_ledger: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """One that is not within SWF's limits leaves no row, and no lost poll either: it was received."""
    ledger = open_ledger()
    assert not ledger.record_poll(SOURCE, "poll").assign(replace(TASK, **changed))
    assert caplog.messages == [f"the task is not recorded in the list of held tasks: {why}"]
    ledger.close()
    assert open_ledger().list_held() == []


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
    ledger.keep_for_next_poll(first)
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
    ledger.keep_for_next_poll(key)
    ledger.record_poll(SOURCE, "work").mark_lost()
    assert ledger.find_key(key).group is None


def test_a_command_that_is_kept_is_recorded_once(open_ledger: Open) -> None:
    """A handler that gets one task after the other is written down once, and is on record for each of them."""
    ledger, other = open_ledger(), open_ledger()
    key = record_task(ledger, taken_by="work")
    for group in (4_711, 4_711, 4_712):
        ledger.set_command(key, group, f"start-{group}")
        assert other.find_key(key).group == group
        ledger.keep_for_next_poll(key)
        ledger.record_poll(SOURCE, "work").assign(TASK)
        assert (other.find_key(key).group, other.find_key(key).group_start_id) == (group, f"start-{group}")


def test_a_row_stays_with_its_thread(open_ledger: Open) -> None:
    """A handler that is kept running is never on record for a task of another slot."""
    ledger = open_ledger()
    key = record_task(ledger, taken_by="work")
    ledger.set_command(key, 4_711, "start-4711")
    ledger.keep_for_next_poll(key)
    with ThreadPoolExecutor(1) as slot:
        another = slot.submit(record_task, ledger, taken_by="work").result()
    assert another != key
    assert ledger.find_key(another).group is None
    assert record_task(ledger, taken_by="work") == key
    ledger.keep_for_next_poll(key)
    ledger.close()
    assert [held.key for held in open_ledger().list_held()] == [another]


def test_a_lost_poll_has_no_task(open_ledger: Open) -> None:
    """A poll that was lost names no task, even if its row had one before."""
    ledger = open_ledger()
    key = record_task(ledger)
    ledger.keep_for_next_poll(key)
    ledger.record_poll(SOURCE, "poll").mark_lost()
    (held,) = ledger.list_held()
    assert (held.key, held.kind) == (key, "broken_poll")
    assert (held.token, held.id, held.activity, held.execution) == (None,) * 4
    assert held.task_started_execution_history_event_id is None
    with pytest.raises(ValueError, match=f"{key} is a lost poll"):
        _ = held.reference
    assert ledger.find_token("TOKEN") is None
    lost = ledger.record_poll(SOURCE, "poll")
    lost.assign(TASK)
    lost.mark_lost()
    held = ledger.find_key(lost.key)
    assert (held.token, held.id, held.task_started_execution_history_event_id) == (None,) * 3


def test_a_poll_of_which_only_the_token_is_known(open_ledger: Open) -> None:
    """It is found by its key and by its token, until it is dropped."""
    ledger = open_ledger()
    key = record_task(ledger)
    ledger.keep_for_next_poll(key)
    assert ledger.record_poll(SOURCE, "poll").mark_lost("ONLY")
    ledger.close()
    ledger = open_ledger()
    held = ledger.find_key(key)
    assert ledger.find_token("ONLY") == held
    assert (held.kind, held.token, held.name) == ("broken_poll", "ONLY", "unknown task")
    assert (held.id, held.activity, held.execution, held.task_started_execution_history_event_id) == (None,) * 4
    assert held.reference == TaskReference("ONLY", SOURCE.domain)
    ledger.drop(key)
    assert (ledger.list_held(), ledger.find_token("ONLY")) == ([], None)


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


@pytest.mark.parametrize("token", [None, "ONLY"])
def test_whether_a_lost_poll_is_on_record(token: str | None, open_ledger: Open) -> None:
    """A caller may say where to find it only if the ledger could write the row."""
    assert open_ledger().record_poll(SOURCE, "poll").mark_lost(token)
    with Ledger(None) as off:
        assert not off.record_poll(SOURCE, "poll").mark_lost(token)


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
    ledger.keep_for_next_poll(record_task(ledger))
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
    ledger.keep_for_next_poll(key)
    with ledger.record_poll(replace(SOURCE, task_list="encode"), "work") as record:
        assert record.key == key
        assert record.assign(TASK)
    assert [(held.key, held.task_list) for held in other.list_held()] == [(key, "encode")]
    more = record_task(ledger)
    assert more != key
    for each in (key, more):
        ledger.keep_for_next_poll(each)
    for left in (1, 0, 0):
        ledger.drop_reusable()
        with closing(sqlite3.connect(folder / DATABASE)) as database:
            assert database.execute("SELECT count(*) FROM held").fetchone() == (left,)


def test_closing_deletes_the_rows_kept_for_reuse(open_ledger: Open) -> None:
    """A closed task is not listed once the process that closed it has ended."""
    ledger, other = open_ledger(), open_ledger()
    for key in [record_task(ledger, replace(TASK, token=token)) for token in "ab"]:
        ledger.keep_for_next_poll(key)
    ledger.close()
    assert other.list_held() == []


def test_a_row_that_is_gone_is_not_reused(open_ledger: Open) -> None:
    """If another process deleted a row (`swf held --prune`), the next poll is on record all the same."""
    ledger, other = open_ledger(), open_ledger()
    key = record_task(ledger)
    ledger.keep_for_next_poll(key)
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
    """Under SWF_STATE_DIR, else ~/.local/state/swf; nowhere with SWF_LEDGER=off."""
    monkeypatch.chdir(tmp_path)
    with Ledger.from_env({"HOME": str(tmp_path), **environ}) as ledger:
        assert ledger.record_poll(SOURCE, "poll").assign(TASK) == (where is not None)
        found = [str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob(DATABASE)]
        assert found == ([] if where is None else [where])
        assert len(ledger.list_held()) == (where is not None)
        assert ledger.is_usable
    assert caplog.messages == []


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
            if number % 4 == 1:
                ledger.keep_for_next_poll(key)
            elif number % 4 == 3:
                ledger.drop(key)

    threads = [threading.Thread(target=slot, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in threads:
        ledger.drop_reusable()
    assert {held.token for held in ledger.list_held()} == {f"{name}-{n}" for name in "ab" for n in range(0, 25, 2)}
    assert caplog.messages == []
