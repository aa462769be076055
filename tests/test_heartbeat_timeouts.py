"""The look-up of a heartbeat timeout: what it reads of the history, what tasks share, what is sent meanwhile."""

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from swf_cli.client.session import Session, SessionClient
from swf_cli.heartbeat_timeouts import HeartbeatTimeouts, TimeoutLookup
from swf_cli.heartbeats import AutomaticHeartbeatSender
from swf_cli.models import WorkerTask
from tests.helpers.cli import TASK, wait_until
from tests.helpers.clock import FakeClock
from tests.helpers.events import other, scheduled, started
from tests.helpers.operations import DESCRIBE_ACTIVITY, HEARTBEAT, HISTORY
from tests.helpers.stub_service import StubService

EXECUTION = {"workflowId": "video-7", "runId": "RUN"}
READ = {"domain": "media", "execution": EXECUTION, "reverseOrder": True}
"""Arguments of each read of the history, but for the page."""
FIRST = {"maximumPageSize": 50}

log = logging.getLogger("swf_cli")


@pytest.fixture
def stub(stub: StubService) -> StubService:
    """A service on which tasks are open, and their type has a timeout of 600 s."""
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    stub.reply(DESCRIBE_ACTIVITY, {"configuration": {"defaultTaskHeartbeatTimeout": "600"}})
    return stub


@pytest.fixture
def timeouts(session: Session) -> HeartbeatTimeouts:
    """What finds the timeouts of a worker's tasks."""
    return HeartbeatTimeouts(session)


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the senders."""
    return FakeClock()


def look_up(
    timeouts: HeartbeatTimeouts, started_id: int, *, domain: str = "media", run: str = "RUN"
) -> TimeoutLookup:
    """Return a lookup for the task with this started event."""
    execution = {**EXECUTION, "runId": run}
    task = WorkerTask.from_api({**TASK, "startedEventId": started_id, "workflowExecution": execution})
    return timeouts.lookup(domain, task, log)


def reads(stub: StubService) -> list[dict[str, Any]]:
    """Return which page each read of the history asked for."""
    found = [arguments for operation, arguments in stub.requests if operation == HISTORY]
    assert all(arguments.items() >= READ.items() for arguments in found)
    return [{name: value for name, value in arguments.items() if name not in READ} for arguments in found]


class History:
    """A history of which the stub shows pages of up to 1,000 events, as they were asked for."""

    def __init__(self, stub: StubService, *events: dict[str, Any]) -> None:
        self.events = sorted(events, key=lambda event: -event["eventId"])
        stub.compute(HISTORY, self._page)

    def _page(self, arguments: dict[str, Any]) -> dict[str, Any]:
        begin = int(arguments.get("nextPageToken", 0))
        end = begin + arguments.get("maximumPageSize", 1_000)
        rest = {"nextPageToken": str(end)} if end < len(self.events) else {}
        return {"events": self.events[begin:end], **rest}


def history(stub: StubService, length: int, *events: dict[str, Any]) -> History:
    """Let the stub show a history of this length that has these events."""
    ids = {event["eventId"] for event in events}
    return History(stub, *events, *(other(number) for number in range(1, length + 1) if number not in ids))


class TestPages:
    """Which pages are read, and what is sent between them."""

    @pytest.fixture
    def sender(self, session: Session, timeouts: HeartbeatTimeouts, clock: FakeClock) -> AutomaticHeartbeatSender:
        """A sender for the task that event 6,000 started."""
        lookup = look_up(timeouts, 6_000)
        return AutomaticHeartbeatSender(session, "TOKEN", lookup, clock=clock, jitter=lambda: 0.5)

    def test_events_of_a_new_task(
        self, sender: AutomaticHeartbeatSender, stub: StubService, clock: FakeClock
    ) -> None:
        """One small page is enough in the longest history, and no heartbeat is sent for it."""
        history(stub, 6_010, started(6_000, 5_990), scheduled(5_990, "6"))
        began = clock.now
        sender.send()
        assert reads(stub) == [FIRST]
        assert stub.operations() == [HISTORY]
        assert sender.due - began == pytest.approx(1.6)

    def test_task_that_waited_long(
        self, sender: AutomaticHeartbeatSender, stub: StubService, clock: FakeClock
    ) -> None:
        """Full pages are read until its scheduled event; a heartbeat is sent after each, and the next step is due."""
        history(stub, 6_010, started(6_000, 3_500), scheduled(3_500, "6"))
        began = clock.now
        for _ in range(3):
            sender.send()
            assert sender.due == clock.now
        assert stub.operations() == [HISTORY, HEARTBEAT] * 3
        sender.send()
        assert reads(stub) == [FIRST, {}, {"nextPageToken": "1000"}, {"nextPageToken": "2000"}]
        assert stub.operations()[6:] == [HISTORY]
        assert sender.due - began == pytest.approx(1.6)

    def test_history_that_ends_before_the_task(
        self, sender: AutomaticHeartbeatSender, stub: StubService, clock: FakeClock
    ) -> None:
        """It does not show the task's start yet: no older page is read, and the newest again later."""
        shown = history(stub, 5_999, scheduled(5_990, "6"))
        sender.send()
        assert sender.due - clock.now == pytest.approx(2)
        shown.events.insert(0, started(6_000, 5_990))
        sender.send()
        assert reads(stub) == [FIRST, {}]
        assert stub.operations() == [HISTORY, HEARTBEAT, HISTORY]

    def test_page_that_is_lost(self, sender: AutomaticHeartbeatSender, stub: StubService) -> None:
        """It is read again, and not those before it."""
        stub.reply(HISTORY, {"events": [started(6_000, 10)], "nextPageToken": "P2"})
        stub.reply(HISTORY, {"events": [started(6_000, 10)], "nextPageToken": "P2"})
        stub.reply(HISTORY, reset=True)
        stub.reply(HISTORY, {"events": [scheduled(10, "6")]})
        for _ in range(4):
            sender.send()
        assert reads(stub) == [FIRST, {}, {"nextPageToken": "P2"}, {"nextPageToken": "P2"}]
        assert stub.operations() == [HISTORY, HEARTBEAT] * 3 + [HISTORY]

    def test_network_that_was_down(self, sender: AutomaticHeartbeatSender, stub: StubService) -> None:
        """However often a read failed, the pages are read once one succeeds, before the type's default counts."""
        for _ in range(6):
            stub.reply(HISTORY, reset=True)
        history(stub, 6_010, started(6_000, 5_500), scheduled(5_500, "6"))
        for _ in range(8):
            sender.send()
        assert reads(stub) == [FIRST] * 7 + [{}]
        assert DESCRIBE_ACTIVITY not in stub.operations()

    def test_too_many_pages(self, sender: AutomaticHeartbeatSender, stub: StubService, clock: FakeClock) -> None:
        """After 30, more than a history may have, 60 s are assumed, as without permission to read it."""
        pages = itertools.count(2)
        stub.compute(HISTORY, lambda _: {"events": [started(6_000, 10)], "nextPageToken": f"P{next(pages)}"})
        began = clock.now
        for _ in range(31):
            sender.send()
        assert stub.operations() == [HISTORY, HEARTBEAT] * 30 + [DESCRIBE_ACTIVITY]
        assert sender.due - began == pytest.approx(16)

    def test_history_that_may_not_be_read(
        self, stub: StubService, timeouts: HeartbeatTimeouts, caplog: pytest.LogCaptureFixture
    ) -> None:
        """That is logged once for all tasks, with the permission that is missing and the timeout that is assumed."""
        stub.fault(HISTORY, "AccessDeniedException", "no")
        assert [look_up(timeouts, number).step() for number in (6, 9)] == [60, 60]
        (message,) = caplog.messages
        assert message.startswith("cannot look up heartbeat timeouts, so 1m00s is assumed: ")
        assert "the IAM policy must allow swf:GetWorkflowExecutionHistory" in message

    def test_longest_history(self, stub: StubService, timeouts: HeartbeatTimeouts) -> None:
        """The first event that can schedule a task is found in 25,000."""
        history(stub, 25_000, scheduled(5, "7"), started(24_990, 5))
        lookup = look_up(timeouts, 24_990)
        for _ in range(25):
            assert lookup.step() is None
        assert lookup.step() == 7

    def test_call_that_hangs(
        self,
        sender: AutomaticHeartbeatSender,
        stub: StubService,
        session: Session,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """It is given 2 s, and the heartbeat after it as long: a timeout of 6 s does not pass."""
        limits: list[float] = []

        def with_timeout(
            seconds: float, original: Callable[[float], SessionClient] = session.with_timeout
        ) -> SessionClient:
            limits.append(int(seconds))
            return original(seconds)

        monkeypatch.setattr(session, "with_timeout", with_timeout)
        stub.reply(HISTORY, reset=True)
        sender.send()
        assert stub.operations() == [HISTORY, HEARTBEAT]
        assert limits == [2, 2]


class TestSharing:
    """What is read for a task is known to the others of its run."""

    def test_events_of_other_tasks(self, timeouts: HeartbeatTimeouts, stub: StubService) -> None:
        """Each has the timeout of its own scheduled event; only one that started later needs another page."""
        events = [event for n in range(1, 11) for event in (scheduled(n, str(n)), started(10 + n, n))]
        shown = history(stub, 20, *events)
        lookups = {n: look_up(timeouts, 10 + n) for n in range(1, 11)}
        assert {n: lookup.step() for n, lookup in lookups.items()} == {n: n for n in range(1, 11)}
        assert len(reads(stub)) == 1
        shown.events[:0] = [started(22, 21), scheduled(21, "30")]
        assert [look_up(timeouts, number).step() for number in (22, 13)] == [30, 3]
        assert len(reads(stub)) == 2

    def test_many_tasks_of_one_decision(self, timeouts: HeartbeatTimeouts, stub: StubService) -> None:
        """The one page that shows where 400 tasks were scheduled is read once: then only how they started is."""
        length = 800
        events = [event for n in range(1, 401) for event in (scheduled(n, str(n)), started(400 + n, n))]
        history(stub, length, *events)
        held = [look_up(timeouts, 400 + n) for n in range(1, 401)]
        for n in range(400, 0, -1):
            while (timeout := held[n - 1].step()) is None:
                pass
            assert timeout == n
        assert reads(stub) == [FIRST, {}]

    def test_start_that_is_known(self, timeouts: HeartbeatTimeouts, stub: StubService) -> None:
        """If another task's small page showed the start but not the scheduled event, full pages are read at once."""
        history(stub, 100, scheduled(10, "6"), scheduled(11, "9"), started(98, 10), started(99, 11))
        first, second = look_up(timeouts, 98), look_up(timeouts, 99)
        assert [first.step(), second.step(), first.step()] == [None, 9, 6]
        assert reads(stub) == [FIRST, {}]

    @pytest.mark.parametrize("other_run", [{"run": "RUN-2"}, {"domain": "media-2"}])
    def test_other_runs(self, timeouts: HeartbeatTimeouts, stub: StubService, other_run: dict[str, str]) -> None:
        """Events of the same IDs in the history of another run, or in another domain, are others."""
        stub.reply(HISTORY, {"events": [started(6, 5), scheduled(5, "6")]})
        stub.reply(HISTORY, {"events": [started(6, 5), scheduled(5, "90")]})
        first, second = look_up(timeouts, 6), look_up(timeouts, 6, **other_run)
        assert (first.step(), second.step()) == (6, 90)

    def test_only_while_a_task_of_the_run_is_executed(self, timeouts: HeartbeatTimeouts, stub: StubService) -> None:
        """Nothing is kept of a history once the last of its tasks has ended."""
        history(stub, 6, started(6, 5), scheduled(5, "6"))
        first, second = look_up(timeouts, 6), look_up(timeouts, 6)
        first.step()
        del first
        second.step()
        assert len(reads(stub)) == 1
        del second
        look_up(timeouts, 6).step()
        assert len(reads(stub)) == 2

    def test_malformed_events(self, timeouts: HeartbeatTimeouts, stub: StubService) -> None:
        """They are no harm to the tasks that have others; their own tasks count as without a history."""
        malformed = [{"eventId": 9}, {"eventId": 8, "eventType": "ActivityTaskStarted"}]
        stub.reply(HISTORY, {"events": [*malformed, started(6, 5), scheduled(5, "6")]})
        assert look_up(timeouts, 6).step() == 6
        assert look_up(timeouts, 9).step() == 60


class TestConcurrentReads:
    """One page of a history is read at a time; a task waits for that of another, but not for long."""

    @pytest.fixture
    def finish(self, timeouts: HeartbeatTimeouts, stub: StubService) -> Iterator[Callable[[], None]]:
        """Until it is called, a task of event 6 reads a page that shows tasks of events 6 and 7."""
        release = threading.Event()
        page = {"events": [started(7, 5), started(6, 4), scheduled(5, "9"), scheduled(4, "6")]}
        stub.reply(HISTORY, page, wait=release)
        stub.reply(HISTORY, page)
        with ThreadPoolExecutor() as pool:
            reading = pool.submit(look_up(timeouts, 6).step)
            wait_until(lambda: stub.operations() == [HISTORY])

            def finish() -> None:
                release.set()
                assert reading.result(60) == 6

            try:
                yield finish
            finally:
                finish()

    @pytest.fixture
    def sender(self, session: Session, timeouts: HeartbeatTimeouts, clock: FakeClock) -> AutomaticHeartbeatSender:
        """A sender for the task that event 7 started."""
        return AutomaticHeartbeatSender(session, "TOKEN", look_up(timeouts, 7), clock=clock, jitter=lambda: 0.5)

    def test_page_that_is_being_read(
        self,
        sender: AutomaticHeartbeatSender,
        stub: StubService,
        clock: FakeClock,
        finish: Callable[[], None],
    ) -> None:
        """It is awaited, without a call: the next look is a tenth of a second later."""
        began = clock.now
        sender.send()
        assert sender.due - clock.now == pytest.approx(0.1)
        finish()
        sender.send()
        assert sender.due - began == pytest.approx(2.4)
        assert stub.operations() == [HISTORY]

    def test_page_that_takes_long(
        self, sender: AutomaticHeartbeatSender, stub: StubService, clock: FakeClock, finish: Callable[[], None]
    ) -> None:
        """After half a second the task reads one itself: no call that hangs delays the heartbeats of others."""
        began = clock.now
        for _ in range(5):
            sender.send()
            clock.now = sender.due
        assert stub.operations() == [HISTORY]
        sender.send()
        assert stub.operations() == [HISTORY] * 2
        assert clock.now - began == pytest.approx(0.5)
        assert sender.due - began == pytest.approx(2.4)
