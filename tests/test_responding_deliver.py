"""`Responder.deliver`: a task is closed, however long it takes and whatever SWF says to the first attempt."""

import logging
import threading
from functools import partial
from typing import Any

import pytest

from swf_cli.client.session import Session
from swf_cli.models import ExecutionId, TaskReference
from swf_cli.responding import Outcome, Responder, Settlement
from swf_cli.retry import AccessGate, Retrier
from tests.helpers.clock import FakeClock, InstantEvent
from tests.helpers.operations import CANCEL, COMPLETE, FAIL, HEARTBEAT, HISTORY
from tests.helpers.stub_service import StubService

TASK = TaskReference("TOKEN", "media", ExecutionId("video-7", "RUN"), 6)
DONE = Outcome("completed", result="done")
STOPPED = Outcome("cancelled", details="half way")

TIMED_OUT = "it timed out (HEARTBEAT)"
DELETED = "Unknown execution: WorkflowExecution=[workflowId=video-7, runId=RUN]"


@pytest.fixture
def stub(stub: StubService, caplog: pytest.LogCaptureFixture) -> StubService:
    """A service that responds as the test specifies."""
    caplog.set_level(logging.INFO, logger="swf_cli")
    return stub


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the responder: it advances while the responder waits."""
    return FakeClock()


@pytest.fixture
def stop(clock: FakeClock) -> InstantEvent:
    """What ends the responder's waits."""
    return InstantEvent(clock)


@pytest.fixture
def responder(stub: StubService, session: Session, clock: FakeClock, stop: InstantEvent) -> Responder:
    """A responder with a worker's settings, whose waits take no time."""
    return Responder(
        session.single_attempt_client,
        history_for=120,
        end_attempts=5,
        stop=stop,
        gate=AccessGate(clock=clock),
        retrier=partial(Retrier, clock=clock, jitter=lambda: 1.0),
    )


def show_end(stub: StubService, kind: str | None, **attributes: Any) -> None:
    """Let the history show how the task ended; with None, that it is open."""
    event = {"eventId": 9, "eventType": f"ActivityTask{kind}"}
    event[f"activityTask{kind}EventAttributes"] = {"startedEventId": 6, **attributes}
    started = {"eventId": 6, "eventType": "ActivityTaskStarted"}
    stub.reply(HISTORY, {"events": [event, started] if kind else [started]})


@pytest.mark.parametrize(
    ("outcome", "operation", "arguments", "words"),
    [
        (DONE, COMPLETE, {"result": "done"}, "completed"),
        (Outcome.failed("exit 3", "oops"), FAIL, {"reason": "exit 3", "details": "oops"}, "failed (exit 3)"),
        (STOPPED, CANCEL, {"details": "half way"}, "cancelled"),
    ],
)
def test_sent_once(
    stub: StubService,
    responder: Responder,
    caplog: pytest.LogCaptureFixture,
    outcome: Outcome,
    operation: str,
    arguments: dict[str, str],
    words: str,
) -> None:
    """One call, if nothing goes wrong."""
    stub.reply(operation)
    settlement = responder.deliver(TASK, outcome)
    assert settlement == Settlement("accepted", outcome)
    assert (str(settlement), settlement.is_confirmed) == (words, True)
    assert stub.requests == [(operation, {"taskToken": "TOKEN", **arguments})]
    assert caplog.messages == []


@pytest.mark.parametrize("kind", ["reset", "html", "throttled", "forbidden", "unknown"])
def test_sent_until_swf_accepts_it(
    stub: StubService, responder: Responder, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """Any error that is not about the response is logged and retried, also a fault that SWF did not have before."""
    for _ in range(3):
        match kind:
            case "reset":
                stub.reply(COMPLETE, reset=True)
            case "html":
                stub.reply(COMPLETE, b"<html>", status=502)
            case "forbidden":
                stub.reply(COMPLETE, b"<html>", status=403)
            case "throttled":
                stub.fault(COMPLETE, "ThrottlingException", "no")
            case "unknown":
                stub.fault(COMPLETE, "NewFault", "no")
    stub.reply(COMPLETE)
    assert responder.deliver(TASK, DONE) == Settlement("accepted", DONE)
    assert stub.operations() == [COMPLETE] * 4
    assert [line.partition("; ")[2] for line in caplog.messages] == [
        f"retrying in {delay:.1f} s" for delay in (1, 2, 4)
    ]


def test_longest_wait_is_8_seconds(stub: StubService, responder: Responder, stop: InstantEvent) -> None:
    """However often it fails, it is sent again within that time."""
    for _ in range(20):
        stub.fault(COMPLETE, "ThrottlingException", "no")
    stub.reply(COMPLETE)
    assert responder.deliver(TASK, DONE).is_confirmed
    assert stop.waits[-10:] == [8] * 10


@pytest.mark.parametrize(
    ("rejections", "waits"), [pytest.param(1, [], id="rotated"), pytest.param(2, [30.0], id="not valid yet")]
)
def test_rejected_credentials(
    rejections: int,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
    stub: StubService,
    clock: FakeClock,
    stop: InstantEvent,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It closes the task with the credentials that are configured then; if those are rejected too, after a wait."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOLD")
    session = Session(region="us-east-1", endpoint_url=stub.url)
    responder = Responder(session.single_attempt_client, stop=stop, gate=AccessGate(wait_for=30, clock=clock))
    for _ in range(rejections):
        stub.fault(COMPLETE, "ExpiredTokenException", "expired")
    stub.reply(COMPLETE)
    assert session.single_attempt_client.meta.region_name == "us-east-1"  # there is a client, with the old ones
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDNEW")
    assert responder.deliver(TASK, DONE).is_confirmed
    assert [key for key in stub.access_keys if key] == ["AKIDOLD", *["AKIDNEW"] * rejections]
    assert stop.waits == waits
    assert caplog.messages == [f"{COMPLETE}: expired (ExpiredTokenException); retrying in 30 s" for _ in waits]


class TestLostResponse:
    """The response to an attempt was lost."""

    def test_first_attempt_was_executed(self, stub: StubService, responder: Responder) -> None:
        """The history shows this very outcome."""
        stub.reply(COMPLETE, reset=True)
        stub.fault(COMPLETE, "UnknownResourceFault", "no open task")
        show_end(stub, "Completed", result="done")
        assert responder.deliver(TASK, DONE) == Settlement("accepted", DONE)

    def test_then_no_access(self, stub: StubService, responder: Responder) -> None:
        """Credentials that expire between two attempts lose nothing: the outcome is recognised in the history."""
        stub.reply(COMPLETE, reset=True)
        stub.fault(COMPLETE, "ExpiredTokenException", "expired")
        stub.fault(COMPLETE, "UnknownResourceFault", "no open task")
        stub.fault(HISTORY, "ExpiredTokenException", "expired")
        show_end(stub, "Completed", result="done")
        assert responder.deliver(TASK, DONE) == Settlement("accepted", DONE)

    def test_history_shows_it_late(self, stub: StubService, responder: Responder, clock: FakeClock) -> None:
        """A history that lags by a minute is read until it shows the end."""
        stub.reply(COMPLETE, reset=True)
        stub.fault(COMPLETE, "UnknownResourceFault", "no open task")
        for _ in range(9):
            show_end(stub, None)
        show_end(stub, "Completed", result="done")
        began = clock.now
        assert responder.deliver(TASK, DONE) == Settlement("accepted", DONE)
        assert clock.now - began > 50

    def test_history_never_shows_it(self, stub: StubService, responder: Responder, clock: FakeClock) -> None:
        """After two minutes it is given up, and the outcome is unknown."""
        stub.reply(COMPLETE, reset=True)
        stub.fault(COMPLETE, "UnknownResourceFault", "no open task")
        show_end(stub, None)
        began = clock.now
        settlement = responder.deliver(TASK, DONE)
        assert (settlement.status, settlement.is_confirmed) == ("unknown", False)
        assert str(settlement).startswith("outcome unknown: ")
        assert 112 <= clock.now - began <= 121

    @pytest.mark.parametrize("cause", ["UnknownResourceFault", "ExpiredTokenException"])
    def test_execution_was_deleted(self, stub: StubService, responder: Responder, cause: str) -> None:
        """The attempt may have closed the task, also if it was sent again since: nobody can know any more."""
        stub.reply(COMPLETE, reset=True)
        stub.fault(COMPLETE, cause, "no")
        stub.fault(COMPLETE, "UnknownResourceFault", DELETED)
        if cause == "ExpiredTokenException":
            stub.fault(HISTORY, cause, "no")
        stub.fault(HISTORY, "UnknownResourceFault", DELETED)
        settlement = responder.deliver(TASK, DONE)
        assert (settlement.status, settlement.is_confirmed) == ("unknown", False)
        assert str(settlement).startswith("outcome unknown: ")
        assert stub.operations().count(HISTORY) <= 2

    def test_no_task_reference(self, stub: StubService, responder: Responder) -> None:
        """Without an execution to read the history of, the outcome is unknown at once."""
        stub.reply(COMPLETE, reset=True)
        stub.fault(COMPLETE, "UnknownResourceFault", "no open task")
        assert responder.deliver(TaskReference("TOKEN"), DONE).status == "unknown"
        assert stub.operations() == [COMPLETE] * 2

    def test_another_end_decides_it(self, stub: StubService, responder: Responder) -> None:
        """A response whose fate was unknown is sent again, and the task turns out to be closed by something else."""
        stub.reply(COMPLETE, reset=True)
        stub.fault(COMPLETE, "AccessDeniedException", "no")
        stub.fault(COMPLETE, "UnknownResourceFault", "no open task")
        reads = 0

        def history(_: dict[str, Any]) -> dict[str, Any]:
            nonlocal reads
            reads += 1
            closed = {"eventId": 9, "eventType": "ActivityTaskTimedOut"}
            closed["activityTaskTimedOutEventAttributes"] = {"startedEventId": 6, "timeoutType": "HEARTBEAT"}
            started = {"eventId": 6, "eventType": "ActivityTaskStarted"}
            return {"events": [closed, started] if stub.operations().count(COMPLETE) == 3 else [started]}

        stub.compute(HISTORY, history)
        settlement = responder.deliver(TASK, DONE)
        assert (settlement.status, str(settlement.end)) == ("closed", TIMED_OUT)
        assert reads > 1


class TestNotOpen:
    """The task is not open, and no response was lost."""

    @pytest.mark.parametrize(
        ("kind", "attributes", "words"),
        [
            ("TimedOut", {"timeoutType": "HEARTBEAT"}, "was closed elsewhere: it timed out (HEARTBEAT)"),
            ("Completed", {"result": "another"}, "was closed elsewhere: it completed"),
        ],
    )
    def test_closed_elsewhere(
        self, stub: StubService, responder: Responder, kind: str, attributes: dict[str, str], words: str
    ) -> None:
        """Another end came first: the task is closed, but not by this response."""
        stub.fault(COMPLETE, "UnknownResourceFault", "no open task")
        show_end(stub, kind, **attributes)
        settlement = responder.deliver(TASK, DONE)
        assert (settlement.status, settlement.is_confirmed, str(settlement)) == ("closed", True, words)

    @pytest.mark.parametrize("kind", ["reset", "late"])
    def test_history_shows_it_late(self, stub: StubService, responder: Responder, kind: str) -> None:
        """A history that can't be read at first, or does not show the end yet, is read again."""
        stub.fault(COMPLETE, "UnknownResourceFault", "no open task")
        for _ in range(2):
            if kind == "reset":
                stub.reply(HISTORY, reset=True)
            else:
                show_end(stub, None)
        show_end(stub, "TimedOut", timeoutType="HEARTBEAT")
        settlement = responder.deliver(TASK, DONE)
        assert (settlement.status, str(settlement.end)) == ("closed", TIMED_OUT)

    def test_history_never_shows_it(self, stub: StubService, responder: Responder) -> None:
        """It is read some times only, and the task is not certainly closed."""
        stub.fault(COMPLETE, "UnknownResourceFault", "no open task")
        show_end(stub, None)
        settlement = responder.deliver(TASK, DONE)
        assert (settlement.status, settlement.is_confirmed) == ("not_open", False)
        assert "no open task" in str(settlement)
        assert stub.operations().count(HISTORY) <= 6

    @pytest.mark.parametrize(("outcome", "operation"), [(DONE, COMPLETE), (Outcome.failed("worker died"), FAIL)])
    def test_execution_was_deleted(
        self, stub: StubService, responder: Responder, stop: InstantEvent, outcome: Outcome, operation: str
    ) -> None:
        """The history will not come back: it is read once, without a wait, and the task is certainly closed."""
        stub.fault(operation, "UnknownResourceFault", DELETED)
        stub.fault(HISTORY, "UnknownResourceFault", DELETED)
        settlement = responder.deliver(TASK, outcome)
        assert (settlement.status, settlement.event, settlement.is_confirmed) == ("closed", "closed", True)
        assert str(settlement) == "was closed elsewhere: its workflow execution no longer exists"
        assert (stub.operations(), stop.waits) == ([operation, HISTORY], [])

    def test_find_closed_of_a_deleted_execution(
        self, stub: StubService, responder: Responder, stop: InstantEvent
    ) -> None:
        """A heartbeat found the task closed, and there is no history to wait for."""
        stub.fault(HISTORY, "UnknownResourceFault", DELETED)
        settlement = responder.find_closed(TASK)
        assert (settlement.status, str(settlement.end)) == ("closed", "its workflow execution no longer exists")
        assert (stub.operations(), stop.waits) == ([HISTORY], [])

    @pytest.mark.parametrize(
        ("fault", "is_hidden"), [("AccessDeniedException", True), ("UnknownResourceFault", False)]
    )
    def test_history_cannot_be_read(
        self, stub: StubService, responder: Responder, fault: str, is_hidden: bool
    ) -> None:
        """Only for lack of a permission, it will never show more."""
        stub.fault(COMPLETE, "UnknownResourceFault", "no open task")
        stub.fault(HISTORY, fault, "no")
        delivered, found = responder.deliver(TASK, DONE), responder.find_closed(TASK)
        assert (delivered.status, delivered.is_hidden, delivered.outcome) == ("not_open", is_hidden, DONE)
        assert (found.status, found.is_hidden) == ("not_open", is_hidden)
        assert not responder.find_closed(TaskReference("TOKEN")).is_hidden

    @pytest.mark.parametrize("kind", ["TimedOut", None])
    def test_find_closed(self, stub: StubService, responder: Responder, kind: str | None) -> None:
        """The end of a task that a heartbeat found closed is read from the history; no response is sent."""
        show_end(stub, None)
        show_end(stub, kind, timeoutType="HEARTBEAT")
        settlement = responder.find_closed(TASK)
        assert (settlement.status, str(settlement.end)) == (("closed", TIMED_OUT) if kind else ("not_open", "None"))
        assert not settlement.is_hidden
        assert set(stub.operations()) == {HISTORY}


class TestRejected:
    """Responses that SWF rejects as invalid."""

    def test_result(self, stub: StubService, responder: Responder) -> None:
        """The task fails, with the cause as its reason."""
        stub.fault(COMPLETE, "ValidationException", "no control characters")
        stub.reply(FAIL)
        settlement = responder.deliver(TASK, DONE)
        assert settlement.outcome is not None
        assert (settlement.status, settlement.outcome.state) == ("accepted", "failed")
        reason = stub.requests[1][1]["reason"]
        assert reason.startswith("SWF rejected the result: ")
        assert "no control characters" in reason

    @pytest.mark.parametrize(
        ("outcome", "operation"),
        [(Outcome.failed("exit 3", "\0"), FAIL), (Outcome("cancelled", details="\0"), CANCEL)],
    )
    def test_details(
        self,
        stub: StubService,
        responder: Responder,
        caplog: pytest.LogCaptureFixture,
        outcome: Outcome,
        operation: str,
    ) -> None:
        """They are left out."""
        stub.fault(operation, "ValidationException", "no control characters")
        stub.reply(operation)
        settlement = responder.deliver(TASK, outcome)
        assert settlement.outcome is not None
        assert (settlement.status, settlement.outcome.state) == ("accepted", outcome.state)
        assert "details" not in stub.requests[1][1]
        assert caplog.messages[0].startswith("SWF rejected the details: ")

    def test_reason(self, stub: StubService, responder: Responder) -> None:
        """A plain one is sent in place of it."""
        stub.fault(FAIL, "ValidationException", "no")
        stub.fault(FAIL, "ValidationException", "no")
        stub.reply(FAIL)
        settlement = responder.deliver(TASK, Outcome.failed("cannot run x\0", "more"))
        assert settlement.status == "accepted"
        assert stub.requests[-1][1] == {"taskToken": "TOKEN", "reason": "SWF rejected the response"}

    def test_everything(self, stub: StubService, responder: Responder, stop: InstantEvent) -> None:
        """If SWF rejects even that, it is sent again after a wait."""
        for _ in range(3):
            stub.fault(FAIL, "ValidationException", "no")
        stub.reply(FAIL)
        assert responder.deliver(TASK, Outcome.failed("exit 3")).status == "accepted"
        assert stop.waits == [1, 2]

    def test_requested_cancellation(self, stub: StubService, responder: Responder, clock: FakeClock) -> None:
        """It is sent again, since SWF may take a moment to know of the request; then the task fails."""
        stub.fault(CANCEL, "UnknownResourceFault", "no cancellation was requested")
        show_end(stub, None)
        stub.reply(HEARTBEAT, {"cancelRequested": True})
        stub.reply(FAIL)
        began = clock.now
        settlement = responder.deliver(TASK, STOPPED)
        assert str(settlement) == "failed (SWF did not accept the cancellation)"
        assert stub.operations() == [CANCEL, HISTORY, HEARTBEAT] * 6 + [FAIL]
        assert stub.requests[-1][1]["details"] == "half way"
        assert clock.now - began < 30

    @pytest.mark.parametrize("details", ["half way", None])
    def test_cancellation_that_was_not_requested(
        self, stub: StubService, responder: Responder, stop: InstantEvent, details: str | None
    ) -> None:
        """The task fails at once: no wait makes SWF accept it."""
        stub.fault(CANCEL, "UnknownResourceFault", "no cancellation was requested")
        show_end(stub, None)
        stub.reply(HEARTBEAT, {"cancelRequested": False})
        stub.reply(FAIL)
        settlement = responder.deliver(TASK, Outcome("cancelled", details=details))
        assert str(settlement) == "failed (cancellation of this task was not requested)"
        assert (stub.operations(), stop.waits) == ([CANCEL, HISTORY, HEARTBEAT, FAIL], [])
        assert stub.requests[-1][1].get("details") == details

    def test_cancellation_of_a_closed_task(self, stub: StubService, responder: Responder) -> None:
        """SWF's fault is the same: a heartbeat tells the two apart, and the history shows the end."""
        stub.fault(CANCEL, "UnknownResourceFault", "no cancellation was requested")
        show_end(stub, None)
        show_end(stub, "TimedOut", timeoutType="HEARTBEAT")
        stub.fault(HEARTBEAT, "UnknownResourceFault", "no open task")
        settlement = responder.deliver(TASK, STOPPED)
        assert (settlement.status, str(settlement.end)) == ("closed", TIMED_OUT)
        assert stub.operations() == [CANCEL, HISTORY, HEARTBEAT, HISTORY]


def test_stopped(stub: StubService, responder: Responder, stop: threading.Event) -> None:
    """When stopped it is sent once at least; the task is not certainly closed."""
    stub.reply(COMPLETE, reset=True)
    stop.set()
    settlement = responder.deliver(TASK, DONE)
    assert (settlement.status, settlement.is_confirmed) == ("undelivered", False)
    assert str(settlement).startswith("not closed: the response was not delivered: the connection was closed")
    assert stub.operations().count(COMPLETE) == 1


def test_reason_is_cut_to_the_limit() -> None:
    """A reason has 256 characters, and empty details are none."""
    assert Outcome.failed("x" * 300) == Outcome("failed", reason="x" * 256)
    assert Outcome.failed("x", "").details is None
