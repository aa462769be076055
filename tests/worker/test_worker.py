"""A worker within the test's process: how many tasks it works on, when it stops, and what failing polls do."""

import logging
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

import swf_cli
from swf_cli.client.session import Session
from swf_cli.errors import AccessError, SwfError, UnknownResource
from swf_cli.ledger.records import HeldTask
from swf_cli.ledger.store import Ledger
from swf_cli.models import WorkerTask
from swf_cli.polling import poll_source
from swf_cli.processes import start_id
from swf_cli.retry import Retrier
from swf_cli.worker.config import WorkerConfig
from swf_cli.worker.handlers import FixedCommand
from swf_cli.worker.worker import Worker
from tests.helpers.aws import SETTINGS
from tests.helpers.cli import TASK, wait_until
from tests.helpers.clock import FakeClock
from tests.helpers.events import scheduled, started
from tests.helpers.operations import COMPLETE, FAIL, HEARTBEAT, HISTORY, POLL
from tests.helpers.processes import is_running, written_pids
from tests.helpers.stub_service import StubService

NO_TASK = {"startedEventId": 0}


class Hold(threading.Event):
    """What a reply to a poll waits for: SWF holds the poll for a twentieth of a second."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for less than is asked for."""
        return super().wait(0.05)


class LoopClock(FakeClock):
    """A clock that counts how often a worker's loop reads it: twice each time, or once while a task runs."""

    def __init__(self) -> None:
        super().__init__()
        self._reads = 0

    def __call__(self) -> float:
        """Return the time."""
        self._reads += threading.current_thread().name.startswith("ThreadPoolExecutor")
        return super().__call__()

    def await_loop(self) -> None:
        """Wait until the loop has looked at whether the worker is idle at this time."""
        reads = self._reads
        wait_until(lambda: self._reads >= reads + 4)


class Workers:
    """Workers on the list `work` of the domain `media`, each in a thread of its own."""

    def __init__(self, stub: StubService, session: Session, state: Path, pool: ThreadPoolExecutor) -> None:
        self.stub = stub
        self.session = session
        self.state = state
        self.ledger: Callable[[Path], Ledger] = Ledger
        self.clock: Callable[[], float] | None = None
        """The workers' clock, if it is not the real one."""
        self.retrier: Callable[..., Retrier] = partial(Retrier, first=0.01)
        self.task_lists: tuple[str, ...] = ("work",)
        self._pool = pool
        self._workers: list[Worker] = []

    def start(self, script: str, **config: Any) -> tuple[Worker, "Future[None]"]:
        """Start a worker that runs a shell script, without heartbeats unless told otherwise."""
        ledger = self.ledger(self.state)
        plan = WorkerConfig(FixedCommand(["sh", "-c", script]), **{"heartbeat": "off", **config})
        sources = [poll_source(self.session, "media", task_list, "me") for task_list in self.task_lists]
        retrier, options = self.retrier, {} if self.clock is None else {"clock": self.clock}
        worker = Worker(self.session, sources, ledger, plan, retrier=retrier, access_wait=0.05, **options)  # type: ignore[arg-type]
        self._workers.append(worker)

        def run() -> None:
            with ledger:
                worker.run()

        return worker, self._pool.submit(run)

    def run(self, script: str, **config: Any) -> Worker:
        """Run a worker until it stops."""
        worker, running = self.start(script, **config)
        running.result(60)
        return worker

    def held(self) -> list[HeldTask]:
        """Return what the ledger lists."""
        with Ledger(self.state) as ledger:
            return ledger.list_held()

    def close(self) -> None:
        """Stop all workers."""
        for worker in self._workers:
            worker.shutdown.kill()
        self._pool.shutdown()


@pytest.fixture
def stub(stub: StubService) -> StubService:
    """An SWF that accepts each response."""
    for operation in (COMPLETE, FAIL):
        stub.reply(operation)
    return stub


@pytest.fixture
def workers(
    stub: StubService, session: Session, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Iterator[Workers]:
    """Workers that poll the stub; they are killed at the end."""
    caplog.set_level(logging.INFO, logger="swf_cli")
    workers = Workers(stub, session, tmp_path / "state", ThreadPoolExecutor())
    yield workers
    workers.close()


@pytest.fixture
def own_session(stub: StubService, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session of the test's own that calls the stub: its credentials are in the environment."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    return Session(endpoint_url=stub.url)


def offer(stub: StubService, count: int) -> None:
    """Let the next polls receive tasks, and those after them nothing."""
    for number in range(1, count + 1):
        stub.reply(POLL, {**TASK, "taskToken": f"TOKEN-{number}", "activityId": f"resize-{number}"})
    stub.reply(POLL, NO_TASK, wait=Hold())


def polls(stub: StubService) -> int:
    """Return how many polls were sent."""
    return stub.operations().count(POLL)


def reasons(stub: StubService) -> list[str]:
    """Return the reason of each task that was failed."""
    return [arguments["reason"] for operation, arguments in stub.requests if operation == FAIL]


def until(path: Path) -> str:
    """Return a shell command that waits until a file exists."""
    return f"until [ -e {path} ]; do sleep 0.02; done"


class TestSlots:
    """`-j`, `--max-tasks` and `--idle-exit`."""

    @pytest.mark.parametrize(("slots", "maximum", "offered"), [(1, 1, 2), (2, 3, 3), (8, 3, 5), (2, 4, 5)])
    def test_max_tasks(self, stub: StubService, workers: Workers, slots: int, maximum: int, offered: int) -> None:
        """However many slots there are, it sends no poll for a task more than that; nothing is held at the end."""
        offer(stub, offered)
        worker = workers.run("true", slots=slots, max_tasks=maximum)
        assert worker.stats.ended == {"completed": maximum}
        assert polls(stub) == stub.operations().count(COMPLETE) == maximum
        assert workers.held() == []

    def test_slots_work_in_parallel(self, stub: StubService, workers: Workers, tmp_path: Path) -> None:
        """Three slots run three commands at once; a busy slot does not poll."""
        offer(stub, 4)
        script = f"echo $$ > {tmp_path}/$$.pid; {until(tmp_path / 'go')}"
        worker, running = workers.start(script, slots=3, max_tasks=4)
        pids = written_pids(tmp_path, 3)
        assert (worker.stats.running, polls(stub)) == (3, 3)
        wait_until(lambda: {held.group for held in workers.held()} == set(pids))
        (tmp_path / "go").touch()
        running.result(60)
        assert worker.stats.ended == {"completed": 4}

    def test_idle_exit(self, stub: StubService, workers: Workers, tmp_path: Path) -> None:
        """It stops once it has been without a task for that time; while one runs, the time does not count."""
        clock = workers.clock = LoopClock()
        offer(stub, 1)
        worker, running = workers.start(until(tmp_path / "go"), slots=2, idle_exit=60)
        wait_until(lambda: worker.stats.running == 1)
        clock.now += 100
        clock.await_loop()
        assert not worker.shutdown.draining.is_set()
        (tmp_path / "go").touch()
        wait_until(lambda: worker.stats.running == 0)
        clock.now += 59
        clock.await_loop()
        assert not worker.shutdown.draining.is_set()
        clock.now += 1
        running.result(60)
        assert worker.stats.ended == {"completed": 1}

    @pytest.mark.parametrize("fault", ["ThrottlingException", "AccessDeniedException"])
    def test_idle_without_an_answer(
        self, stub: StubService, workers: Workers, own_session: Session, fault: str
    ) -> None:
        """If SWF answered no poll until then, nobody knows whether there were tasks: the last error is raised."""
        workers.session = own_session
        clock = workers.clock = FakeClock()
        stub.fault(POLL, "ThrottlingException", "slow down")
        stub.fault(POLL, fault, "the reason why")
        _, running = workers.start("true", idle_exit=60)
        wait_until(lambda: polls(stub) >= 3)
        clock.now += 60
        with pytest.raises(SwfError, match=f"^every poll of work failed: .*the reason why \\({fault}\\)$"):
            running.result(60)

    @pytest.mark.parametrize("is_answered", [True, False], ids=["answered", "stopped"])
    def test_failing_polls_at_the_end(self, stub: StubService, workers: Workers, is_answered: bool) -> None:
        """It ends in good order if a poll was answered before, or if it is stopped by someone."""
        clock = workers.clock = FakeClock()
        if is_answered:
            stub.reply(POLL, NO_TASK)
        stub.fault(POLL, "ThrottlingException", "slow down")
        worker, running = workers.start("true", idle_exit=60)
        wait_until(lambda: polls(stub) >= 3)
        if not is_answered:
            worker.shutdown.drain()
        clock.now += 60
        running.result(60)

    def test_idle_only_once_each_list_was_polled(self, stub: StubService, workers: Workers) -> None:
        """With fewer slots than lists, it does not leave before the last list had its turn."""
        workers.task_lists = ("a", "b", "c")
        for _ in range(2):
            stub.reply(POLL, NO_TASK)
        stub.reply(POLL, TASK)
        stub.reply(POLL, NO_TASK)
        worker = workers.run("true", idle_exit=0)
        assert worker.stats.ended == {"completed": 1}
        polled = [arguments["taskList"]["name"] for operation, arguments in stub.requests if operation == POLL]
        assert polled[:3] == ["a", "b", "c"]
        assert set(polled[3:]) == {"a", "b", "c"}

    def test_idle_with_a_list_that_is_never_answered(self, stub: StubService, workers: Workers) -> None:
        """The answers of another list do not hide that; the error names the list."""
        workers.task_lists = ("a", "b")
        for _ in range(9):
            stub.reply(POLL, NO_TASK)
            stub.fault(POLL, "ThrottlingException", "slow down")
        with pytest.raises(SwfError, match=r"^every poll of b failed: "):
            workers.run("true", idle_exit=0)


INCOMPLETE = {name: value for name, value in TASK.items() if name != "activityType"}


class TestIncompleteTasks:
    """Tasks of which only the token is known."""

    def test_failed_by_the_worker(
        self, stub: StubService, workers: Workers, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Its decider learns of it now, and the worker goes on with the next one."""
        stub.reply(POLL, INCOMPLETE | {"taskToken": "ONLY"})
        offer(stub, 1)
        worker = workers.run("true", max_tasks=2)
        reason = "the response to the poll is incomplete: it has no 'activityType'"
        assert [arguments for operation, arguments in stub.requests if operation == FAIL] == [
            {"taskToken": "ONLY", "reason": reason}
        ]
        assert worker.stats.ended == {"failed": 1, "completed": 1}
        assert f"received a task that cannot be run: failed ({reason})" in caplog.messages
        assert workers.held() == []

    def test_they_do_not_empty_the_list(self, stub: StubService, workers: Workers) -> None:
        """Between them the worker waits, ever longer."""
        delays: list[float] = []

        class Recorder(Retrier):
            def next_delay(self, error: SwfError | str, message: str | None = None) -> float | None:
                delay = super().next_delay(error, message)
                delays.append(delay or 0.0)
                return 0.0

        stub.reply(POLL, INCOMPLETE)
        workers.retrier = partial(Recorder, jitter=lambda: 1.0)
        workers.run("true", max_tasks=4)
        assert delays == [1, 2, 4, 8]

    def test_one_that_is_not_closed_stays_on_record(self, stub: StubService, workers: Workers) -> None:
        """If the worker is killed before the response arrives, the token is not lost."""
        stub.reset()
        stub.reply(POLL, INCOMPLETE)
        stub.fault(FAIL, "ThrottlingException")
        worker, running = workers.start("true", max_tasks=1)
        wait_until(lambda: FAIL in stub.operations())
        worker.shutdown.kill()
        running.result(60)
        (held,) = workers.held()
        assert (held.kind, held.token, held.taken_by) == ("broken_poll", "TOKEN", "work")


def test_a_ledger_that_misses_tasks(stub: StubService, workers: Workers) -> None:
    """It forgets them when they are closed, as others: nothing piles up, and none is recorded afterwards."""
    known: set[str] = set()

    class FailingLedger(Ledger):
        def assign_task(self, key: str, task: WorkerTask) -> bool:
            known.add(key)
            return False

        def keep_for_next_poll(self, key: str) -> None:
            known.discard(key)
            super().keep_for_next_poll(key)

    workers.ledger = FailingLedger
    offer(stub, 2)
    assert workers.run("true", max_tasks=2).stats.ended == {"completed": 2}
    assert known == set()


class TestShutdown:
    """Stopping a worker; what it means for a task is tested with the task runner."""

    def test_task_that_arrives_while_draining(self, stub: StubService, workers: Workers) -> None:
        """The poll in flight is waited for, and its task is worked on; no further poll is sent."""
        arrival = threading.Event()
        stub.reply(POLL, TASK, wait=arrival)
        worker, running = workers.start("echo done")
        wait_until(lambda: POLL in stub.operations())
        worker.shutdown.drain()
        arrival.set()
        running.result(60)
        assert stub.operations() == [POLL, COMPLETE]
        assert worker.stats.ended == {"completed": 1}

    def test_drain_lets_tasks_finish(self, stub: StubService, workers: Workers, tmp_path: Path) -> None:
        """A task that is running is completed; no further poll is sent."""
        offer(stub, 2)
        worker, running = workers.start(f"echo $$ > {tmp_path}/sh.pid; {until(tmp_path / 'go')}; echo done")
        written_pids(tmp_path, 1)
        worker.shutdown.drain()
        (tmp_path / "go").touch()
        running.result(60)
        assert [arguments.get("result") for _, arguments in stub.requests] == [None, "done"]
        assert polls(stub) == 1

    def test_terminate_stops_all_commands(self, stub: StubService, workers: Workers, tmp_path: Path) -> None:
        """The commands of all slots are stopped, and their tasks fail with `worker stopped`."""
        offer(stub, 2)
        worker, running = workers.start(f"echo $$ > {tmp_path}/$$.pid; exec sleep 100", slots=2)
        pids = written_pids(tmp_path, 2)
        worker.shutdown.terminate()
        running.result(60)
        assert reasons(stub) == ["worker stopped"] * 2
        assert not any(map(is_running, pids))
        assert workers.held() == []

    def test_kill_leaves_an_open_task_in_the_ledger(self, stub: StubService, workers: Workers) -> None:
        """A task whose response is abandoned stays there for the next worker."""
        stub.reset()
        offer(stub, 1)
        stub.fault(COMPLETE, "ThrottlingException", "Rate exceeded")
        worker, running = workers.start("true")
        wait_until(lambda: COMPLETE in stub.operations())
        worker.shutdown.kill()
        running.result(60)
        assert worker.stats.ended == {"unconfirmed": 1}
        assert [held.id for held in workers.held()] == ["resize-1"]


def test_heartbeats_are_sent_as_the_timeout_asks(stub: StubService, workers: Workers, tmp_path: Path) -> None:
    """With `--heartbeat auto` the timeout is looked up once a command runs for longer, and heartbeats are sent."""
    offer(stub, 1)
    stub.reply(HISTORY, {"events": [started(6, 5), scheduled(5, "1")]})
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    _, running = workers.start(until(tmp_path / "go"), heartbeat="auto", max_tasks=1)
    wait_until(lambda: stub.operations().count(HEARTBEAT) >= 2)
    (tmp_path / "go").touch()
    running.result(60)
    assert stub.operations().count(HISTORY) == 1


def test_tasks_of_an_execution_share_its_history(stub: StubService, workers: Workers, tmp_path: Path) -> None:
    """The timeout of a task that an earlier page of the history showed is found without a call."""
    is_known = threading.Event()
    stub.reply(POLL, {**TASK, "taskToken": "TOKEN-6", "startedEventId": 6})
    stub.reply(POLL, {**TASK, "taskToken": "TOKEN-7", "startedEventId": 7}, wait=is_known)
    stub.reply(POLL, NO_TASK, wait=Hold())
    stub.reply(
        HISTORY,
        {"events": [*(started(number, number - 2) for number in (7, 6)), scheduled(5, "1"), scheduled(4, "1")]},
    )
    stub.reply(HEARTBEAT, {"cancelRequested": False}, action=is_known.set)
    _, running = workers.start(until(tmp_path / "go"), heartbeat="auto", max_tasks=2, slots=2)

    def tokens() -> set[str]:
        return {arguments["taskToken"] for operation, arguments in stub.requests if operation == HEARTBEAT}

    wait_until(lambda: tokens() == {"TOKEN-6", "TOKEN-7"})
    (tmp_path / "go").touch()
    running.result(60)
    assert stub.operations().count(HISTORY) == 1


def test_few_calls_between_task_runner_and_client(stub: StubService, workers: Workers) -> None:
    """While RespondActivityTaskCompleted is sent, TaskRunner.run to client.call are six frames of the package."""
    stacks: list[traceback.StackSummary] = []

    def take_stack() -> None:
        (slot,) = [thread for thread in threading.enumerate() if thread.name == "slot 0"]
        stacks.append(traceback.extract_stack(sys._current_frames()[slot.ident or 0]))

    stub.reset()
    offer(stub, 1)
    stub.reply(COMPLETE, action=take_stack)
    workers.run("true", max_tasks=1)
    package = str(Path(swf_cli.__file__).parent)
    names = [
        Path(frame.filename).stem + "." + frame.name for frame in stacks[0] if frame.filename.startswith(package)
    ]
    between = names[names.index("task_runner.run") : names.index("call.call") + 1]
    assert len(between) <= 6, between


class TestPolls:
    """Polls that fail."""

    def test_unreachable_service(self, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
        """At the start it ends the worker at once."""
        for name, value in SETTINGS.items():
            monkeypatch.setenv(name, value)
        workers.session = Session(endpoint_url="http://127.0.0.1:9")
        with pytest.raises(SwfError, match="could not connect"):
            workers.run("true", slots=4)
        assert workers.held() == []

    @pytest.mark.parametrize(
        ("fault", "kind"), [("UnknownResourceFault", UnknownResource), ("UnrecognizedClientException", AccessError)]
    )
    def test_rejection_at_the_start(
        self, stub: StubService, workers: Workers, caplog: pytest.LogCaptureFixture, fault: str, kind: type[SwfError]
    ) -> None:
        """An unknown domain, or credentials that SWF does not accept, end it at once; nothing else is logged."""
        stub.fault(POLL, fault, "no")
        with pytest.raises(kind):
            workers.run("true", slots=4)
        assert caplog.messages == []

    @pytest.mark.parametrize("fault", ["ThrottlingException", "LimitExceededFault"])
    def test_transient_rejection(
        self, stub: StubService, workers: Workers, caplog: pytest.LogCaptureFixture, fault: str
    ) -> None:
        """Throttling, or 1,000 pollers on the list: it polls again after a while."""
        stub.fault(POLL, fault, "no")
        offer(stub, 1)
        worker = workers.run("true", max_tasks=1)
        assert worker.stats.ended == {"completed": 1}
        assert "; retrying in " in caplog.text

    def test_expired_credentials(
        self,
        stub: StubService,
        workers: Workers,
        own_session: Session,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """They are looked up again, and all slots poll at once with those that are configured by then."""
        workers.session = own_session
        workers.clock = FakeClock()  # both slots fail at the same moment
        both_polled = threading.Barrier(2)  # or one slot would receive both faults
        for _ in range(2):
            stub.reply(POLL, NO_TASK)
        for _ in range(2):
            stub.fault(POLL, "ExpiredTokenException", "expired", action=partial(both_polled.wait, 60))
        offer(stub, 4)
        assert workers.session.poll_client.meta.endpoint_url == stub.url  # there is a client, with the old ones
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDNEW")
        worker = workers.run("true", slots=2, max_tasks=4)
        assert worker.stats.ended == {"completed": 4}
        assert not [line for line in caplog.messages if "expired" in line]
        assert [key for key in dict.fromkeys(stub.access_keys) if key] == [SETTINGS["AWS_ACCESS_KEY_ID"], "AKIDNEW"]

    @pytest.mark.parametrize("fault", ["AccessDeniedException", "ExpiredTokenException"])
    def test_heartbeats_go_on_with_the_keys_that_work(
        self, fault: str, stub: StubService, workers: Workers, own_session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Polls that are refused take no keys away from a running task, although no others can be found."""
        workers.session = own_session
        stub.reply(HEARTBEAT, {"cancelRequested": False})
        for reply in (NO_TASK, NO_TASK, TASK):
            stub.reply(POLL, reply)
        stub.fault(POLL, fault, "no")
        workers.start("sleep 600", slots=2, heartbeat=0.01)
        wait_until(lambda: stub.operations().count(HEARTBEAT) >= 1)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        seen = polls(stub)
        wait_until(lambda: polls(stub) >= seen + 3)
        seen = stub.operations().count(HEARTBEAT)
        wait_until(lambda: stub.operations().count(HEARTBEAT) >= seen + 3)

    def test_rejection_later_on(
        self, stub: StubService, workers: Workers, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A domain that is gone ends it when the running tasks are done: it is logged before, and raised then."""
        clock = workers.clock = FakeClock()
        stub.reply(POLL, TASK)
        stub.fault(POLL, "UnknownResourceFault", "the domain is gone")
        worker, running = workers.start(until(tmp_path / "go"), slots=2)
        wait_until(lambda: worker.shutdown.draining.is_set())
        clock.now += 1
        wait_until(lambda: "the domain is gone" in caplog.text)
        (tmp_path / "go").touch()
        with pytest.raises(UnknownResource):
            running.result(60)
        assert worker.stats.ended == {"completed": 1}

    def test_too_few_threads(self, stub: StubService, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
        """If the machine has no thread for a slot, the others drain, and the worker fails."""
        start = threading.Thread.start

        def start_unless_second_slot(thread: threading.Thread) -> None:
            if thread.name == "slot 1":
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", start_unless_second_slot)
        offer(stub, 0)
        _, running = workers.start("true", slots=3)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            running.result(60)


@pytest.mark.parametrize(("fault", "left"), [("AccessDeniedException", 0), ("UnknownResourceFault", 1)])
def test_task_that_was_closed_elsewhere(stub: StubService, workers: Workers, fault: str, left: int) -> None:
    """A worker that may not read histories does not keep it on record: SWF, which assigned it, rejects its token."""
    stub.reset()
    offer(stub, 1)
    stub.fault(COMPLETE, "UnknownResourceFault", "no open task")
    stub.fault(HISTORY, fault, "no")
    worker = workers.run("true", max_tasks=1)
    assert worker.stats.ended == {"closed elsewhere": 1}
    assert len(workers.held()) == left


class TestOrphans:
    """Tasks of a worker that died."""

    @pytest.fixture
    def leave(self, workers: Workers) -> Callable[..., None]:
        """Record a task of a worker that has ended."""

        def leave(command: int | None = None, **change: Any) -> None:
            source = replace(poll_source(workers.session, "media", "work", "them"), **change)
            with Ledger(workers.state) as ledger:
                record = ledger.record_poll(source, "work")
                record.assign(WorkerTask.from_api(TASK))
                if command is not None:
                    ledger.set_command(record.key, command, start_id(command))

        return leave

    def test_failed_at_once(
        self, stub: StubService, workers: Workers, leave: Callable[[], None], caplog: pytest.LogCaptureFixture
    ) -> None:
        """They fail with the reason `worker died`, while it polls; nothing is held afterwards."""
        for _ in range(3):
            leave()
        offer(stub, 0)
        worker = workers.run("true", idle_exit=0)
        assert reasons(stub) == ["worker died"] * 3
        assert (worker.stats.ended, workers.held()) == ({"failed": 3}, [])
        assert caplog.text.count("left by a worker that died") == 3

    def test_kept(self, stub: StubService, workers: Workers, leave: Callable[[], None]) -> None:
        """`--orphans keep` leaves them open, and in the ledger."""
        leave()
        offer(stub, 0)
        workers.run("true", idle_exit=0, orphans="keep")
        assert set(stub.operations()) == {POLL}
        assert len(workers.held()) == 1

    def test_closed_already(self, stub: StubService, workers: Workers, leave: Callable[[], None]) -> None:
        """A task that was closed at the moment the worker died is dropped from the ledger, and not counted."""
        leave()
        stub.reset()
        offer(stub, 0)
        stub.fault(FAIL, "UnknownResourceFault", "no open task")
        event = {
            "eventId": 7,
            "eventType": "ActivityTaskCompleted",
            "activityTaskCompletedEventAttributes": {"startedEventId": 6},
        }
        stub.reply(HISTORY, {"events": [event]})
        worker = workers.run("true", idle_exit=0)
        assert (worker.stats.ended, workers.held()) == ({}, [])

    def test_orphan_that_may_not_be_closed(
        self, stub: StubService, workers: Workers, leave: Callable[[], None], caplog: pytest.LogCaptureFixture
    ) -> None:
        """It keeps no worker from ending, and is left to the next one.

        That is logged, also if SWF still holds the first poll at that moment.
        """
        leave()
        tried = threading.Event()
        stub.reset()
        stub.reply(POLL, NO_TASK, wait=tried)
        stub.fault(FAIL, "AccessDeniedException", "not authorized")
        worker, running = workers.start("true", idle_exit=0)
        wait_until(lambda: "left by a worker that died" in caplog.text)
        tried.set()
        running.result(60)
        assert (worker.stats.ended, stub.operations().count(FAIL), len(workers.held())) == ({}, 1, 1)

    def test_worker_that_drains(self, stub: StubService, workers: Workers, leave: Callable[..., None]) -> None:
        """It stopped the command of a dead worker, and so fails its task, too."""
        with subprocess.Popen(["sh", "-c", "trap '' TERM; echo; sleep 100"], process_group=0, stdout=PIPE) as command:
            assert command.stdout is not None
            command.stdout.readline()
            leave(command=command.pid)
            polled = threading.Event()
            stub.reset()
            stub.reply(POLL, NO_TASK, wait=polled)
            stub.reply(FAIL)
            worker, running = workers.start("true", grace=0.1)
            wait_until(lambda: POLL in stub.operations())
            worker.shutdown.drain()
            polled.set()
            running.result(60)
            assert command.wait(60) == -signal.SIGKILL
        assert (reasons(stub), workers.held()) == (["worker died"], [])

    @pytest.mark.parametrize(("profile", "left"), [(None, 0), ("another", 1)])
    @pytest.mark.parametrize(
        ("fault", "message"),
        [
            ("UnknownResourceFault", "Unknown execution: WorkflowExecution=[workflowId=video-7, runId=RUN]"),
            ("AccessDeniedException", "not authorized"),
        ],
    )
    def test_deleted_execution(
        self,
        stub: StubService,
        workers: Workers,
        leave: Callable[..., None],
        profile: str | None,
        left: int,
        fault: str,
        message: str,
    ) -> None:
        """What SWF does not know any more is dropped, but not with another profile, maybe of another account.

        The same holds if SWF does not say whether it knows it.
        """
        leave(profile=profile)
        stub.reset()
        offer(stub, 0)
        stub.fault(FAIL, "UnknownResourceFault", "no open task")
        stub.fault(HISTORY, fault, message)
        workers.run("true", idle_exit=0)
        assert len(workers.held()) == left

    def test_retries_are_logged(
        self, stub: StubService, workers: Workers, leave: Callable[[], None], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Once SWF was reached, responses for orphans that are retried are logged."""
        leave()
        connected = threading.Event()
        stub.reset()
        offer(stub, 0)
        stub.fault(FAIL, "ThrottlingException", "slow down", wait=connected)
        stub.reply(FAIL)
        _, running = workers.start("true", idle_exit=0)
        wait_until(lambda: polls(stub) >= 2)
        connected.set()
        running.result(60)
        assert "slow down" in caplog.messages[0]
        assert workers.held() == []

    @pytest.mark.parametrize(
        ("fault", "logged"),
        [
            ("UnknownResourceFault", [f"left by a worker that died (them, process {os.getpid()})"]),
            ("UnrecognizedClientException", []),
        ],
    )
    def test_start_that_fails(
        self,
        stub: StubService,
        workers: Workers,
        leave: Callable[[], None],
        own_session: Session,
        caplog: pytest.LogCaptureFixture,
        fault: str,
        logged: list[str],
    ) -> None:
        """If SWF refuses the first poll, that is the only error; orphans are left to the next worker.

        What it says of an orphan is logged, too.
        """
        workers.session = own_session
        leave()
        refused = threading.Event()
        stub.reset()
        stub.fault(POLL, fault, "no", wait=refused)
        stub.fault(FAIL, fault, "no")
        _, running = workers.start("true")
        wait_until(lambda: FAIL in stub.operations())
        refused.set()
        with pytest.raises(SwfError):
            running.result(60)
        assert [m.partition(":")[0] for m in caplog.messages] == logged
        assert len(workers.held()) == 1

    def test_tasks_of_a_live_worker(self, stub: StubService, workers: Workers, tmp_path: Path) -> None:
        """A second worker on the same list leaves them alone."""
        offer(stub, 1)
        worker, running = workers.start(until(tmp_path / "go"), max_tasks=1)
        wait_until(lambda: worker.stats.running == 1)
        workers.run("true", idle_exit=0)
        (tmp_path / "go").touch()
        running.result(60)
        assert FAIL not in stub.operations()
        assert worker.stats.ended == {"completed": 1}
