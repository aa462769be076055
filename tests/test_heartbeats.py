"""Heartbeats: how often one is sent, what a response to one means, and the scheduler that serves all tasks."""

import gc
import logging
import math
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from swf_cli.client.session import Session
from swf_cli.errors import AccessError, NetworkError, SwfError, TaskNotOpen
from swf_cli.heartbeat_timeouts import HeartbeatTimeouts
from swf_cli.heartbeats import (
    AutomaticHeartbeatSender,
    HeartbeatScheduler,
    HeartbeatSender,
    HeartbeatSignal,
    send_heartbeats,
)
from swf_cli.local.clock import Clock
from swf_cli.models import WorkerTask
from tests.helpers.cli import TASK, wait_until
from tests.helpers.clock import FakeClock
from tests.helpers.events import other, scheduled, started
from tests.helpers.faulty_proxy import RESET_BEFORE, FaultyProxy
from tests.helpers.local_service import Service, local_service
from tests.helpers.operations import DESCRIBE_ACTIVITY, HEARTBEAT, HISTORY
from tests.helpers.stub_service import StubService

DAY = 86_400.0  # seconds

TRANSIENT_FAULTS: dict[str, Callable[[StubService, str], None]] = {
    "reset": lambda stub, operation: stub.reply(operation, reset=True),
    "cut": lambda stub, operation: stub.reply(operation, {"cancelRequested": False}, cut=True),
    "html": lambda stub, operation: stub.reply(operation, b"<html>busy</html>", status=502),
    "500": lambda stub, operation: stub.fault(operation, "InternalFailure", status=500),
    "throttled": lambda stub, operation: stub.fault(operation, "ThrottlingException"),
    "limit": lambda stub, operation: stub.fault(operation, "LimitExceededFault"),
}


@pytest.fixture(autouse=True)
def _log_all(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="swf_cli")


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the senders."""
    return FakeClock()


def step(sender: HeartbeatSender, clock: FakeClock) -> float:
    """Move the clock to the sender's next step and take it; return the seconds until then."""
    waited = sender.due - clock.now
    clock.now += waited
    sender.send()
    return waited


def accept_heartbeats(stub: StubService) -> None:
    """Let the stub respond that the task is open."""
    stub.reply(HEARTBEAT, {"cancelRequested": False})


class TestInterval:
    """`swf heartbeat --every`: the senders of one interval."""

    def test_first_at_once_then_at_the_interval(self, session: Session, stub: StubService, clock: FakeClock) -> None:
        """The first is due at once; each carries the details."""
        accept_heartbeats(stub)
        sender = HeartbeatSender(session, "TOKEN", 20, details=lambda: "page 7", clock=clock)
        assert [step(sender, clock) for _ in range(4)] == [0, 20, 20, 20]
        assert stub.requests == [(HEARTBEAT, {"taskToken": "TOKEN", "details": "page 7"})] * 4

    @pytest.mark.parametrize(
        ("kind", "delay"), [("reset", 1), ("cut", 1), ("html", 5), ("500", 5), ("throttled", 5), ("limit", 5)]
    )
    def test_retried_sooner_after_a_transient_error(
        self,
        kind: str,
        delay: float,
        session: Session,
        stub: StubService,
        clock: FakeClock,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The task's timeout goes on: after 1/20 of the interval on network errors, else 1/4; then as before."""
        TRANSIENT_FAULTS[kind](stub, HEARTBEAT)
        accept_heartbeats(stub)
        sender = HeartbeatSender(session, "TOKEN", 20, stop_on_rejection=True, clock=clock)
        assert [step(sender, clock) for _ in range(3)] == [0, delay, 20]
        assert (sender.signal, sender.error, sender.changed.is_set()) == (None, None, False)
        failure, end = caplog.messages
        assert failure.startswith("heartbeat failed: ")
        assert end == f"heartbeats are accepted again, after {delay}s"

    def test_a_long_outage_fills_no_log(
        self, session: Session, stub: StubService, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A failure is logged at once, then after 15 s, after twice the time each, and when it is over."""
        stub.fault(HEARTBEAT, "ThrottlingException", "slow")
        sender = HeartbeatSender(session, "TOKEN", 1, clock=clock)
        for _ in range(4 * 100):
            step(sender, clock)
        accept_heartbeats(stub)
        step(sender, clock)
        step(sender, clock)
        why = f"{HEARTBEAT}: slow (ThrottlingException)"
        assert caplog.messages == [
            f"heartbeat failed: {why}",
            f"heartbeats still fail after 15s: {why}",
            f"heartbeats still fail after 30s: {why}",
            f"heartbeats still fail after 1m00s: {why}",
            "heartbeats are accepted again, after 1m40s",
        ]

    def test_each_outage_is_logged(
        self, session: Session, stub: StubService, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """One that follows another is logged like the first."""
        for _ in range(2):
            stub.fault(HEARTBEAT, "ThrottlingException", "slow")
            accept_heartbeats(stub)
        sender = HeartbeatSender(session, "TOKEN", 1, clock=clock)
        for _ in range(4):
            step(sender, clock)
        assert [line[:16] for line in caplog.messages] == ["heartbeat failed", "heartbeats are a"] * 2

    @pytest.mark.parametrize(("interval", "delay"), [(1, 0.1), (40, 2), (200, 5)])
    def test_delay_of_a_retry(
        self, interval: float, delay: float, session: Session, stub: StubService, clock: FakeClock
    ) -> None:
        """It is between 0.1 and 5 s."""
        stub.reply(HEARTBEAT, reset=True)
        sender = HeartbeatSender(session, "TOKEN", interval, clock=clock)
        step(sender, clock)
        assert sender.due - clock.now == pytest.approx(delay)


class TestAutomaticInterval:
    """`swf work --heartbeat auto`."""

    @pytest.fixture
    def sender(self, session: Session, clock: FakeClock) -> AutomaticHeartbeatSender:
        """A sender for a task that began at this moment; its jitter is half of what it may be."""
        return automatic(session, WorkerTask.from_api(TASK), clock)

    def test_short_task_costs_no_call(self, sender: HeartbeatSender, clock: FakeClock) -> None:
        """Nothing is due before half a second has passed."""
        assert sender.due == clock.now + 0.5

    @pytest.mark.parametrize(
        ("heartbeat", "default", "timeout"),
        [
            ("6", "600", 6),
            ("30", None, 30),
            ("120", None, 120),
            ("86400", None, 180),
            ("NONE", "6", 60),
            (None, "30", 30),
            (None, "NONE", 60),
            (None, None, 60),
        ],
    )
    def test_follows_the_heartbeat_timeout(
        self,
        sender: HeartbeatSender,
        stub: StubService,
        clock: FakeClock,
        caplog: pytest.LogCaptureFixture,
        heartbeat: str | None,
        default: str | None,
        timeout: int,
    ) -> None:
        """A third of the task's own timeout, else of its type's default, else of 60 s; at most 60 s; less jitter."""
        show_timeout(stub, heartbeat, default)
        accept_heartbeats(stub)
        began = clock.now
        step(sender, clock)
        assert HEARTBEAT not in stub.operations()
        step(sender, clock)
        waits = [clock.now - began, *(step(sender, clock) for _ in range(4))]
        assert waits == pytest.approx([0.8 * timeout / 3] * 5)
        assert stub.operations().count(HEARTBEAT) == 5
        assert stub.operations().count(HISTORY) == 1
        assert stub.operations().count(DESCRIBE_ACTIVITY) == (heartbeat is None)
        assert caplog.messages == []

    @pytest.mark.parametrize(("jitter", "part"), [(0.0, 0.7), (1.0, 0.9)])
    def test_jitter(self, session: Session, stub: StubService, clock: FakeClock, jitter: float, part: float) -> None:
        """Heartbeats are sent after 0.7 to 0.9 of the interval, which spreads the load."""
        accept_heartbeats(stub)
        sender = AutomaticHeartbeatSender(session, "TOKEN", 30, clock=clock, jitter=lambda: jitter)
        assert [step(sender, clock) for _ in range(3)] == pytest.approx([30, 30 * part, 30 * part])

    def test_task_that_history_does_not_show_yet(
        self, sender: HeartbeatSender, stub: StubService, clock: FakeClock
    ) -> None:
        """Heartbeats are sent meanwhile, every few seconds, and it is looked up again before each."""
        stub.reply(HISTORY, {"events": []})
        stub.reply(HISTORY, {"events": []})
        show_timeout(stub, "6")
        accept_heartbeats(stub)
        assert [step(sender, clock) for _ in range(3)] == pytest.approx([0.5, 2, 3])
        assert stub.operations() == [HISTORY, HEARTBEAT, HISTORY, HEARTBEAT, HISTORY]
        # The timeout counts from the task's start, which is 5.5 s ago: a heartbeat is overdue.
        step(sender, clock)
        assert step(sender, clock) == pytest.approx(1.6)

    def test_task_that_history_never_shows(
        self, sender: HeartbeatSender, stub: StubService, clock: FakeClock
    ) -> None:
        """After five lookups the type's default counts."""
        stub.reply(HISTORY, {"events": []})
        stub.reply(DESCRIBE_ACTIVITY, {"configuration": {"defaultTaskHeartbeatTimeout": "30"}})
        accept_heartbeats(stub)
        for _ in range(8):
            step(sender, clock)
        assert stub.operations().count(HISTORY) == 5
        assert sender.due - clock.now == pytest.approx(8)

    @pytest.mark.parametrize("kind", ["reset", "html", "throttled"])
    def test_transient_error_of_a_lookup(
        self,
        sender: HeartbeatSender,
        stub: StubService,
        clock: FakeClock,
        caplog: pytest.LogCaptureFixture,
        kind: str,
    ) -> None:
        """A heartbeat is sent in place of it, and the timeout is looked up again."""
        TRANSIENT_FAULTS[kind](stub, HISTORY)
        show_timeout(stub, "6")
        accept_heartbeats(stub)
        step(sender, clock)
        assert stub.operations() == [HISTORY, HEARTBEAT]
        assert caplog.messages[0].startswith("cannot look up the heartbeat timeout yet: ")
        step(sender, clock)
        step(sender, clock)
        assert step(sender, clock) == pytest.approx(1.6)

    @pytest.mark.parametrize(("default", "timeout"), [("30", 30), ("600", 60), (None, 60)])
    def test_no_permission_to_read_history(
        self, sender: HeartbeatSender, stub: StubService, clock: FakeClock, default: str | None, timeout: int
    ) -> None:
        """60 s are assumed, or the type's default if it is shorter: the task may have a shorter timeout than that."""
        stub.fault(HISTORY, "AccessDeniedException", "not permitted")
        if default is None:
            stub.fault(DESCRIBE_ACTIVITY, "AccessDeniedException", "not permitted")
        else:
            stub.reply(DESCRIBE_ACTIVITY, {"configuration": {"defaultTaskHeartbeatTimeout": default}})
        accept_heartbeats(stub)
        began = clock.now
        step(sender, clock)
        assert sender.due - began == pytest.approx(0.8 * timeout / 3)
        assert HEARTBEAT not in stub.operations()

    @pytest.mark.parametrize(
        ("described", "timeout"),
        [
            ({"configuration": {"defaultTaskHeartbeatTimeout": "30"}}, 30),
            ({"configuration": {"defaultTaskHeartbeatTimeout": "soon"}}, 60),
            ({}, 60),
        ],
    )
    def test_malformed_response_to_a_lookup(
        self, sender: HeartbeatSender, stub: StubService, clock: FakeClock, described: dict[str, Any], timeout: int
    ) -> None:
        """Heartbeats are sent all the same, as if the history could not be read."""
        stub.reply(HISTORY, {"events": [{"eventId": 6}]})
        stub.reply(DESCRIBE_ACTIVITY, described)
        accept_heartbeats(stub)
        began = clock.now
        step(sender, clock)
        assert sender.due - began == pytest.approx(0.8 * timeout / 3)
        step(sender, clock)
        assert stub.operations() == [HISTORY, DESCRIBE_ACTIVITY, HEARTBEAT]

    def test_closed_task_is_left_alone(self, sender: HeartbeatSender, stub: StubService, clock: FakeClock) -> None:
        """A task that turns out to be closed before its timeout is known gets no further heartbeat."""
        stub.reply(HISTORY, {"events": []})
        stub.fault(HEARTBEAT, "UnknownResourceFault", "no open task")
        step(sender, clock)
        assert (sender.signal, sender.due) == (HeartbeatSignal.TASK_CLOSED, math.inf)

    @pytest.mark.parametrize("down_for", [0, 4])
    def test_never_times_out(
        self, monkeypatch: pytest.MonkeyPatch, aws_env: dict[str, str], clock: FakeClock, down_for: float
    ) -> None:
        """A task of 20 s with a heartbeat timeout of 6 s stays open, also if the network is down for 4 s of them."""
        with local_service(clock=Clock(lambda: 1e9)) as service, FaultyProxy(service.url) as proxy:
            task = receive(service, heartbeatTimeout="6")
            for name, value in (aws_env | {"AWS_ENDPOINT_URL_SWF": proxy.url}).items():
                monkeypatch.setenv(name, value)
            # Right after a heartbeat: the longest time to the next one that can get through.
            began, down_at = clock.now, math.inf
            proxy.on(None, RESET_BEFORE, lambda: down_at <= clock.now < down_at + down_for)
            sender = automatic(Session(), task, clock)
            while clock.now < began + 20:
                service.advance(step(sender, clock))
                if clock.now > began + 5 and math.isinf(down_at):
                    down_at = clock.now
            assert sender.signal is None
            assert (proxy.struck(HEARTBEAT) > 0) == (down_for > 0)
            assert proxy.operations().count(HISTORY) == 1
            service.call("RespondActivityTaskCompleted", taskToken=task.token)

    def test_off(self, session: Session, stub: StubService, clock: FakeClock) -> None:
        """`--heartbeat off` never sends one."""
        sender = AutomaticHeartbeatSender(session, "TOKEN", None, clock=clock)
        assert sender.due == math.inf
        with HeartbeatScheduler() as scheduler:
            scheduler.add(sender)
            scheduler.remove(sender)
        assert stub.requests == []


def automatic(session: Session, task: WorkerTask, clock: FakeClock) -> AutomaticHeartbeatSender:
    """Return a sender that looks the task's timeout up; its jitter is half of what it may be."""
    lookup = HeartbeatTimeouts(session).lookup("media", task, logging.getLogger("swf_cli"))
    return AutomaticHeartbeatSender(session, task.token, lookup, clock=clock, jitter=lambda: 0.5)


def events(heartbeat: str | None) -> list[dict[str, Any]]:
    """Return a history with the task's events, newest first."""
    return [other(9), started(6, 4), scheduled(5, None), scheduled(4, heartbeat), other(3)]


def show_timeout(stub: StubService, heartbeat: str | None, default: str | None = None) -> None:
    """Let the stub show the task's heartbeat timeout, and its type's default."""
    stub.reply(HISTORY, {"events": events(heartbeat)})
    configuration = {} if default is None else {"defaultTaskHeartbeatTimeout": default}
    stub.reply(DESCRIBE_ACTIVITY, {"typeInfo": {}, "configuration": configuration})


def receive(service: Service, **settings: str) -> WorkerTask:
    """Schedule a task with these timeouts, and poll for it."""
    service.schedule("media", "work", **settings)
    return WorkerTask.from_api(service.call("PollForActivityTask", domain="media", taskList={"name": "work"}))


class TestSignal:
    """What the response to a heartbeat means for the task."""

    @pytest.fixture
    def sender(self, session: Session, clock: FakeClock) -> AutomaticHeartbeatSender:
        """A sender that is due in 30 s, and then every 24."""
        return AutomaticHeartbeatSender(session, "TOKEN", 30, clock=clock, jitter=lambda: 0.5)

    def test_cancellation(self, sender: HeartbeatSender, stub: StubService, clock: FakeClock) -> None:
        """Cancellation was requested; heartbeats go on while the command cleans up."""
        stub.reply(HEARTBEAT, {"cancelRequested": True})
        step(sender, clock)
        assert (sender.signal, sender.changed.is_set()) == (HeartbeatSignal.CANCEL_REQUESTED, True)
        assert step(sender, clock) == pytest.approx(24)
        assert stub.operations() == [HEARTBEAT] * 2

    @pytest.mark.parametrize("fault", ["UnknownResourceFault", "ValidationException"])
    def test_task_that_is_not_open(
        self, sender: HeartbeatSender, stub: StubService, clock: FakeClock, fault: str
    ) -> None:
        """It is closed, or the token is invalid: no further heartbeat is due."""
        stub.reply(HEARTBEAT, {"cancelRequested": True})
        stub.fault(HEARTBEAT, fault, "Invalid token")
        step(sender, clock)
        step(sender, clock)
        assert (sender.signal, sender.due) == (HeartbeatSignal.TASK_CLOSED, math.inf)

    @pytest.mark.parametrize("kind", ["reset", "cut", "html"])
    def test_transient_error(
        self,
        sender: HeartbeatSender,
        stub: StubService,
        clock: FakeClock,
        caplog: pytest.LogCaptureFixture,
        kind: str,
    ) -> None:
        """It says nothing about the task: the next heartbeat is sent soon, and the interval is as before after it."""
        TRANSIENT_FAULTS[kind](stub, HEARTBEAT)
        accept_heartbeats(stub)
        step(sender, clock)
        assert sender.signal is None
        assert "heartbeat failed: " in caplog.text
        assert step(sender, clock) <= 5
        assert step(sender, clock) == pytest.approx(24)

    @pytest.mark.parametrize("fault", ["ThrottlingException", "ExpiredTokenException", "NewFault"])
    def test_rejection(
        self,
        sender: HeartbeatSender,
        stub: StubService,
        clock: FakeClock,
        caplog: pytest.LogCaptureFixture,
        fault: str,
    ) -> None:
        """Nor does throttling, nor do expired credentials, nor a fault that no version of SWF had before."""
        stub.fault(HEARTBEAT, fault, "no")
        accept_heartbeats(stub)
        step(sender, clock)
        assert sender.signal is None
        assert step(sender, clock) == 5
        assert caplog.messages[1:] == ["heartbeats are accepted again, after 5s"]

    def test_rejected_details(
        self, session: Session, stub: StubService, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The heartbeat is sent without them, since it keeps the task open."""
        stub.fault(HEARTBEAT, "ValidationException", "no such details")
        accept_heartbeats(stub)
        sender = HeartbeatSender(session, "TOKEN", 30, details=lambda: "odd", clock=clock)
        step(sender, clock)
        assert [arguments.get("details") for _, arguments in stub.requests] == ["odd", None]
        assert step(sender, clock) == 30
        assert caplog.messages[0].startswith("heartbeat details rejected, sending without them: ")

    def test_rejected_details_are_not_sent_again(
        self, session: Session, stub: StubService, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """They cost one call and one line, until there are others."""

        stub.fault(HEARTBEAT, "ValidationException", "no")
        accept_heartbeats(stub)
        details = ["odd", "odd", "new"]
        sender = HeartbeatSender(session, "TOKEN", 30, details=lambda: details.pop(0), clock=clock)
        for _ in range(3):
            step(sender, clock)
        assert [arguments.get("details") for _, arguments in stub.requests] == ["odd", None, None, "new"]
        assert len(caplog.messages) == 1


class RecordingSender(HeartbeatSender):
    """A sender that is always due, and whose steps call a function of the test's."""

    def __init__(
        self, on_send: Callable[["RecordingSender"], object] = lambda sender: None, due: float = 0.0
    ) -> None:
        super().__init__(Session(region="us-east-1"), "TOKEN", 30)
        self.due = due
        self.sent = 0
        self._on_send = on_send

    def send(self) -> None:
        """Count a heartbeat."""
        self.sent += 1
        self._on_send(self)


def once(sender: HeartbeatSender) -> None:
    """Let no further step be due."""
    sender.due = math.inf


def scheduler_threads() -> list[threading.Thread]:
    """Return the threads of schedulers that are running."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("heartbeat")]


class TestScheduler:
    """One scheduler for all tasks of a process."""

    @pytest.fixture
    def release(self) -> Iterator[threading.Event]:
        """What hung calls wait for; set at the end of the test, whose scheduler's threads end then."""
        release = threading.Event()
        yield release
        release.set()
        wait_until(lambda: scheduler_threads() == [])

    def test_few_threads_for_many_tasks(self, release: threading.Event) -> None:
        """300 tasks whose calls all hang take 33 threads; when the calls return, every task gets its heartbeat."""

        def hang(sender: RecordingSender) -> None:
            once(sender)
            release.wait(60)

        senders = [RecordingSender(hang) for _ in range(300)]
        with HeartbeatScheduler() as scheduler:
            for sender in senders:
                scheduler.add(sender)
            wait_until(lambda: sum(sender.sent for sender in senders) == 32)
            assert len(scheduler_threads()) == 33
            release.set()
            wait_until(lambda: all(sender.sent == 1 for sender in senders))
            assert len(scheduler_threads()) == 33

    def test_two_threads_are_enough_for_calls_that_return(self, release: threading.Event) -> None:
        """Threads are started only while all others are busy."""
        senders = [RecordingSender(once) for _ in range(20)]
        with HeartbeatScheduler() as scheduler:
            for sender in senders:
                scheduler.add(sender)
                wait_until(lambda sender=sender: sender.sent == 1)  # type: ignore[misc]
            assert len(scheduler_threads()) <= 3

    def test_hung_call_delays_no_other_task(self, release: threading.Event) -> None:
        """While one call hangs, the other tasks get their heartbeats, and that task no second one."""
        hung = RecordingSender(lambda sender: release.wait(60))
        others = [RecordingSender() for _ in range(3)]
        with HeartbeatScheduler() as scheduler:
            scheduler.add(hung)
            wait_until(lambda: hung.sent == 1)
            for sender in others:
                scheduler.add(sender)
            wait_until(lambda: all(sender.sent >= 5 for sender in others))
            assert hung.sent == 1

    def test_removed_task(self, release: threading.Event) -> None:
        """A task that was removed gets no heartbeat, but for one that is in flight."""
        removed, remaining = RecordingSender(), RecordingSender()
        with HeartbeatScheduler(senders=1) as scheduler:
            scheduler.add(removed)
            scheduler.add(remaining)
            wait_until(lambda: removed.sent >= 3)
            scheduler.remove(removed)
            before = remaining.sent
            wait_until(lambda: remaining.sent > before + 1)
            count, before = removed.sent, remaining.sent
            wait_until(lambda: remaining.sent > before + 10)
            assert removed.sent == count

    def test_task_removed_while_it_waits_for_a_thread(self, release: threading.Event) -> None:
        """It gets no heartbeat either."""
        hung, removed, last = RecordingSender(lambda sender: release.wait(60)), RecordingSender(), RecordingSender()
        with HeartbeatScheduler(senders=1) as scheduler:
            for sender in (hung, removed, last):
                scheduler.add(sender)
            wait_until(lambda: hung.sent == 1)
            scheduler.remove(removed)
            release.set()
            wait_until(lambda: last.sent >= 3)
            assert removed.sent == 0

    def test_task_removed_before_it_is_due(self, release: threading.Event) -> None:
        """Its time comes, and nothing is sent."""
        clock = FakeClock()
        removed, last = RecordingSender(once, due=clock.now + 10), RecordingSender(once, due=clock.now + 20)
        with HeartbeatScheduler(clock=clock) as scheduler:
            scheduler.add(removed)
            scheduler.remove(removed)
            clock.now += 20
            scheduler.add(last)
            scheduler.add(RecordingSender(once, due=clock.now - 20))
            wait_until(lambda: last.sent == 1)
            assert removed.sent == 0

    def test_removed_tasks_are_freed(self, release: threading.Event) -> None:
        """Neither a task that was sent for nor one that is due in a day is kept in memory."""
        sent = [RecordingSender() for _ in range(5)]
        waiting = [RecordingSender(due=time.monotonic() + DAY) for _ in range(5)]
        with HeartbeatScheduler() as scheduler:
            for sender in (*sent, *waiting):
                scheduler.add(sender)
            wait_until(lambda: all(sender.sent for sender in sent))
            for sender in (*sent, *waiting):
                scheduler.remove(sender)
            references = [weakref.ref(sender) for sender in (*sent, *waiting)]
            sent.clear()
            waiting.clear()
            del sender
            wait_until(lambda: not any(reference() for reference in references))

    def test_memory_does_not_grow_with_the_tasks_removed(self, release: threading.Event) -> None:
        """10,000 tasks that end long before their first heartbeat is due leave few objects behind."""
        due = time.monotonic() + DAY
        with HeartbeatScheduler() as scheduler:
            gc.collect()
            before = len(gc.get_objects())
            for sender in [RecordingSender(due=due) for _ in range(10_000)]:
                scheduler.add(sender)
                scheduler.remove(sender)
            del sender
            gc.collect()
            assert len(gc.get_objects()) - before < 2_000

    def test_unexpected_error(self, release: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
        """Whatever is raised is logged, and the next heartbeat is sent 5 s later."""

        def fail_once(sender: RecordingSender) -> None:
            if sender.sent == 1:
                raise ValueError("oops")
            once(sender)

        clock = FakeClock()
        failing = RecordingSender(fail_once)
        with HeartbeatScheduler(clock=clock) as scheduler:
            scheduler.add(failing)
            wait_until(lambda: failing.due == clock.now + 5)
            assert caplog.messages == ["heartbeat failed: unexpected ValueError: oops"]
            clock.now += 5
            scheduler.add(RecordingSender(once, due=clock.now - 1))
            wait_until(lambda: failing.sent == 2)

    def test_no_more_threads(self, release: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
        """If the machine has no more threads, those that were started send all heartbeats."""

        def hang(sender: RecordingSender) -> None:
            once(sender)
            release.wait(60)

        with HeartbeatScheduler() as scheduler:
            monkeypatch.setattr(threading.Thread, "start", _no_more_threads)
            hung = RecordingSender(hang)
            senders = [hung, *(RecordingSender(once) for _ in range(5))]
            for sender in senders:
                scheduler.add(sender)
            wait_until(lambda: hung.sent == 1)
            release.set()
            wait_until(lambda: all(sender.sent == 1 for sender in senders))

    def test_no_thread_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Then a scheduler can't be started, and says so before there is a task."""
        monkeypatch.setattr(threading.Thread, "start", _no_more_threads)
        with pytest.raises(RuntimeError, match="can't start new thread"), HeartbeatScheduler():
            pytest.fail("it started")

    def test_closed_scheduler_sends_nothing(self, release: threading.Event) -> None:
        """After the end of the context its threads end, and nothing is sent."""
        sender = RecordingSender()
        with HeartbeatScheduler() as scheduler:
            scheduler.add(sender)
            wait_until(lambda: sender.sent >= 3)
        wait_until(lambda: scheduler_threads() == [])
        count = sender.sent
        scheduler.add(sender)
        assert sender.sent == count


def _no_more_threads(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


class TestSendHeartbeats:
    """`send_heartbeats`: until the work or the task ends."""

    def test_until_the_work_ends(self, session: Session, stub: StubService) -> None:
        """Heartbeats are sent until then; cancellation was not requested."""
        accept_heartbeats(stub)

        def has_ended(seconds: float) -> bool:
            time.sleep(seconds / 40)
            return len(stub.requests) >= 3

        assert send_heartbeats(session, "TOKEN", "page 7", every=0.01, has_ended=has_ended) is False
        assert stub.requests[:3] == [(HEARTBEAT, {"taskToken": "TOKEN", "details": "page 7"})] * 3

    def test_work_that_has_ended(self, session: Session, stub: StubService) -> None:
        """No heartbeat is sent for work that has ended before the first one."""
        assert send_heartbeats(session, "TOKEN", None, every=1, has_ended=lambda seconds: True) is False
        assert stub.requests == []

    @pytest.mark.parametrize("has_ended", [None, lambda seconds: False])
    def test_until_cancellation(
        self, session: Session, stub: StubService, has_ended: Callable[[float], bool] | None
    ) -> None:
        """A cancellation request ends them, whether or not the work has an end of its own."""
        accept_heartbeats(stub)
        stub.reply(HEARTBEAT, {"cancelRequested": True})
        assert send_heartbeats(session, "TOKEN", None, every=0.01, has_ended=has_ended) is True
        assert len(stub.requests) >= 2

    def test_failed_heartbeats(self, session: Session, stub: StubService, caplog: pytest.LogCaptureFixture) -> None:
        """They are retried until the work ends; if SWF accepted none, that is the error."""
        stub.reply(HEARTBEAT, reset=True)

        def has_ended(seconds: float) -> bool:
            time.sleep(seconds / 40)
            return len(stub.requests) >= 4

        with pytest.raises(NetworkError) as caught:
            send_heartbeats(session, "TOKEN", None, every=0.01, has_ended=has_ended)
        assert caught.value.exit_code == 1
        assert caplog.messages == [f"heartbeat failed: {caught.value.message}"]

    def test_last_heartbeats_failed(
        self, session: Session, stub: StubService, caplog: pytest.LogCaptureFixture
    ) -> None:
        """If SWF accepted one before, the work has ended all the same; the last failure is a warning."""
        accept_heartbeats(stub)
        stub.fault(HEARTBEAT, "ThrottlingException", "slow")

        def has_ended(seconds: float) -> bool:
            time.sleep(seconds / 40)
            return bool(caplog.messages)

        assert send_heartbeats(session, "TOKEN", None, every=0.01, has_ended=has_ended) is False
        assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
            ("INFO", f"heartbeat failed: {HEARTBEAT}: slow (ThrottlingException)"),
            ("WARNING", f"the process ended while heartbeats failed: {HEARTBEAT}: slow (ThrottlingException)"),
        ]

    @pytest.mark.parametrize(
        ("fault", "kind", "exit_code"),
        [
            ("UnknownResourceFault", TaskNotOpen, 5),
            ("OperationNotPermittedFault", AccessError, 7),
            ("ValidationException", SwfError, 1),
        ],
    )
    def test_rejection_ends_it(
        self, fault: str, kind: type[SwfError], exit_code: int, session: Session, stub: StubService
    ) -> None:
        """A task that is not open, no access, any other rejection: it is raised, and no further heartbeat is sent."""
        stub.fault(HEARTBEAT, fault, "the reason why")
        with pytest.raises(kind, match="the reason why") as caught:
            send_heartbeats(session, "TOKEN", None, every=0.01)
        assert caught.value.exit_code == exit_code
        assert not isinstance(caught.value, NetworkError)
        assert len(stub.requests) == 1
