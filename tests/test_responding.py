"""Completing, failing and cancelling: retried, and settled through the history if a response is lost."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import pytest

from swf_cli.client.session import Session
from swf_cli.errors import (
    AccessError,
    NetworkError,
    OutcomeUnknown,
    ServiceError,
    SwfError,
    TaskClosed,
    TaskNotOpen,
    ThrottlingError,
    UnknownResource,
)
from swf_cli.history import End
from swf_cli.ledger.store import Ledger
from swf_cli.models import ExecutionId, TaskReference, WorkerTask
from swf_cli.responding import Outcome, Responder, Settlement, close_task
from swf_cli.retry import AccessGate, Retrier
from tests.helpers.aws import SETTINGS, create_client
from tests.helpers.cli import TASK
from tests.helpers.clock import FakeClock, InstantEvent
from tests.helpers.events import event
from tests.helpers.ledger import SOURCE, record_task
from tests.helpers.operations import CANCEL, COMPLETE, FAIL, HEARTBEAT, HISTORY
from tests.helpers.stub_service import StubService

TOKEN_ALONE = TaskReference("TOKEN")
REFERENCE = TaskReference("TOKEN", "video", ExecutionId("video-7", "RUN"), 6)

OUTCOMES: dict[str, tuple[Outcome, str, dict[str, str]]] = {
    "complete": (Outcome("completed", result="ok"), COMPLETE, {"result": "ok"}),
    "fail": (Outcome("failed", reason="why", details="how"), FAIL, {"reason": "why", "details": "how"}),
    "cancel": (Outcome("cancelled", details="how"), CANCEL, {"details": "how"}),
}
"""Each outcome, its operation, and what is sent besides the token."""
EVENTS = {COMPLETE: "ActivityTaskCompleted", FAIL: "ActivityTaskFailed", CANCEL: "ActivityTaskCanceled"}

each_outcome = pytest.mark.parametrize(("outcome", "operation", "sent"), OUTCOMES.values(), ids=OUTCOMES)


def closing(kind: str, **values: Any) -> dict[str, Any]:
    """Return the event that closed the task of `REFERENCE`."""
    return event(8, kind, scheduledEventId=5, startedEventId=6, **values)


STARTED = event(6, "ActivityTaskStarted", scheduledEventId=5)


class Harness:
    """Responds over the stub, with a ledger; waits move its clock, and last 1, 2, 4, 8, 8… seconds."""

    def __init__(self, session: Session, folder: Path) -> None:
        self.session = session
        self.clock = FakeClock()
        self.stop = InstantEvent(self.clock)
        self.ledger = Ledger(folder)

    def record(self, **attributes: Any) -> str:
        """Put the task in the ledger, and return its key."""
        source = replace(SOURCE, **attributes)
        return record_task(self.ledger, WorkerTask.from_api(TASK), source)

    def responder(self, **how: Any) -> Responder:
        """Return a responder."""
        retrier = partial(Retrier, clock=self.clock, jitter=lambda: 1.0)
        return Responder(
            self.session.single_attempt_client, **{"retry_for": 60.0, "retrier": retrier, "stop": self.stop, **how}
        )

    def close_task(self, outcome: Outcome, task: TaskReference = TOKEN_ALONE, **how: Any) -> None:
        """Close the task."""
        close_task(self.responder(**how), task, outcome, self.ledger)

    def respond(self, outcome: Outcome, **how: Any) -> Settlement:
        """Respond to the task, whose execution is known."""
        return self.responder(**how).respond(REFERENCE, outcome)

    def held(self) -> list[str | None]:
        """Return the tokens of the tasks that are held."""
        return [held.token for held in self.ledger.list_held()]


@pytest.fixture
def harness(session: Session, tmp_path: Path) -> Iterator[Harness]:
    """A harness with a fresh ledger."""
    harness = Harness(session, tmp_path / "state")
    yield harness
    harness.ledger.close()


# --- responses that arrive


@each_outcome
def test_a_response_is_sent_once(
    outcome: Outcome,
    operation: str,
    sent: dict[str, str],
    harness: Harness,
    stub: StubService,
    log: pytest.LogCaptureFixture,
) -> None:
    """A response that SWF accepts is sent once, with everything that was given; the task is held no more."""
    stub.reply(operation)
    harness.record()
    harness.close_task(outcome)
    assert stub.requests == [(operation, {"taskToken": "TOKEN", **sent})]
    assert (log.messages, harness.held()) == ([], [])


def test_swf_may_ask_for_a_longer_wait(harness: Harness, stub: StubService) -> None:
    """The next attempt is made no sooner than the response to the last one says."""
    for _ in range(2):
        stub.reply(COMPLETE, b"busy", status=503, headers={"Retry-After": "30"})
    stub.reply(COMPLETE)
    began = harness.clock()
    assert harness.respond(COMPLETED, retry_for=300.0).status == "accepted"
    assert harness.clock() - began >= 60


def test_a_task_of_another_machine_can_be_closed(harness: Harness, stub: StubService) -> None:
    """Closing a task that is not in the ledger leaves the others there."""
    stub.reply(COMPLETE)
    harness.record()
    harness.close_task(COMPLETED, TaskReference("ANOTHER"))
    assert harness.held() == ["TOKEN"]


@each_outcome
def test_a_task_that_is_not_open_is_an_error(
    outcome: Outcome, operation: str, sent: dict[str, str], harness: Harness, stub: StubService
) -> None:
    """If SWF knows no such open task, and its execution is not known, that is exit code 5."""
    for rejected in (operation, HEARTBEAT):
        stub.fault(rejected, "UnknownResourceFault", "Unknown activity")
    with pytest.raises(TaskNotOpen, match="it was closed, or it timed out") as caught:
        harness.close_task(outcome)
    assert (caught.value.exit_code, isinstance(caught.value, TaskClosed)) == (5, False)
    assert HISTORY not in stub.operations()


@each_outcome
def test_a_fault_alone_does_not_prove_that_a_task_is_closed(
    outcome: Outcome, operation: str, sent: dict[str, str], harness: Harness, stub: StubService
) -> None:
    """A rejection that the history does not confirm leaves the task in the ledger; the history is read once."""
    for rejected in (operation, HEARTBEAT):
        stub.fault(rejected, "UnknownResourceFault", "Unknown activity")
    stub.reply(HISTORY, {"events": [STARTED]})
    harness.record()
    with pytest.raises(TaskNotOpen, match="it was closed, or it timed out"):
        harness.close_task(outcome)
    assert stub.operations().count(HISTORY) == 1
    assert (harness.stop.waits, harness.held()) == ([], ["TOKEN"])


@each_outcome
@pytest.mark.parametrize(
    ("end", "words"),
    [
        pytest.param(
            closing("ActivityTaskTimedOut", timeoutType="HEARTBEAT"), "timed out (HEARTBEAT)", id="timed out"
        ),
        pytest.param(event(9, "WorkflowExecutionTerminated"), "execution was terminated", id="gone"),
    ],
)
def test_the_history_says_how_the_task_ended(
    end: dict[str, Any],
    words: str,
    outcome: Outcome,
    operation: str,
    sent: dict[str, str],
    harness: Harness,
    stub: StubService,
) -> None:
    """A task that is closed is exit code 5, with how it ended; only then does it leave the ledger."""
    stub.fault(operation, "UnknownResourceFault", "Unknown activity")
    stub.reply(HISTORY, {"events": [end, STARTED]})
    harness.record()
    with pytest.raises(TaskClosed) as caught:
        harness.close_task(outcome, REFERENCE)
    assert (caught.value.exit_code, caught.value.code) == (5, "UnknownResourceFault")
    assert isinstance(caught.value.__cause__, UnknownResource)
    assert words in caught.value.message
    assert harness.held() == []


# --- tasks whose execution SWF has deleted


UNKNOWN_EXECUTION = "Unknown execution: WorkflowExecution=[workflowId=video-7, runId=RUN]"


@pytest.fixture
def here(session: Session, stub: StubService) -> dict[str, Any]:
    """Where the harness's responder calls SWF, for `Harness.record`."""
    return {"profile": None, "region": session.client.meta.region_name, "endpoint": stub.url}


def delete_execution(stub: StubService) -> None:
    """Let SWF know neither the task nor its execution, as after the retention period."""
    for operation in (COMPLETE, FAIL, CANCEL, HEARTBEAT, HISTORY):
        stub.fault(operation, "UnknownResourceFault", UNKNOWN_EXECUTION)


@each_outcome
@pytest.mark.parametrize("task", [TOKEN_ALONE, REFERENCE], ids=["token", "reference"])
def test_a_task_whose_execution_was_deleted_is_closed(
    task: TaskReference,
    outcome: Outcome,
    operation: str,
    sent: dict[str, str],
    harness: Harness,
    stub: StubService,
    here: dict[str, Any],
) -> None:
    """If SWF knows neither the token nor the execution: exit code 5, and out of the ledger, after one read."""
    delete_execution(stub)
    harness.record(**here)
    with pytest.raises(
        TaskClosed, match=r"^the task is not open: its workflow execution no longer exists$"
    ) as caught:
        harness.close_task(outcome, task)
    assert caught.value.exit_code == 5
    assert stub.operations() == [operation, HISTORY, *([HEARTBEAT] if operation == CANCEL else [])]
    assert (harness.stop.waits, harness.held()) == ([], [])


def test_a_token_that_swf_rejects_as_invalid_is_unknown_too(
    harness: Harness, stub: StubService, here: dict[str, Any]
) -> None:
    """That is also what SWF may say of a token, and `swf local` says it of one from before it was restarted."""
    stub.fault(FAIL, "ValidationException", "Invalid token")
    stub.fault(HISTORY, "UnknownResourceFault", UNKNOWN_EXECUTION)
    harness.record(**here)
    with pytest.raises(TaskClosed, match="no longer exists"):
        harness.close_task(OUTCOMES["fail"][0])
    assert harness.held() == []


@pytest.mark.parametrize(
    ("different", "value", "words"),
    [
        ("profile", "another", "profile 'another'"),
        ("region", "eu-west-3", "region eu-west-3"),
        ("endpoint", "https://another.example", "endpoint https://another.example"),
    ],
)
def test_a_task_that_another_account_may_know_is_kept(
    different: str, value: str, words: str, harness: Harness, stub: StubService, here: dict[str, Any]
) -> None:
    """SWF says the same in another account or region: the row stays, and the hint says what the task needs."""
    delete_execution(stub)
    key = harness.record(**here | {different: value})
    with pytest.raises(TaskNotOpen, match="may be open elsewhere") as caught:
        harness.close_task(COMPLETED)
    assert (caught.value.exit_code, isinstance(caught.value, TaskClosed)) == (5, False)
    assert f"pass --held {key}, " in str(caught.value.hint)
    assert words in str(caught.value.hint)
    assert harness.held() == ["TOKEN"]


@pytest.mark.parametrize(
    ("fault", "different", "is_held"),
    [
        ("AccessDeniedException", {}, False),
        ("AccessDeniedException", {"profile": "another"}, True),
        ("AccessDeniedException", {"region": "eu-west-3"}, True),
        ("AccessDeniedException", {"endpoint": "https://another.example"}, True),
        ("UnknownResourceFault", {}, True),  # such as of a domain that only another account has
        (None, {}, True),
    ],
)
def test_a_task_whose_history_may_not_be_read(
    fault: str | None,
    different: dict[str, str],
    is_held: bool,
    harness: Harness,
    stub: StubService,
    here: dict[str, Any],
) -> None:
    """SWF's word about the token is all that there is: enough where the task came from, and not elsewhere."""
    stub.fault(COMPLETE, "UnknownResourceFault", "Unknown activity")
    if fault is None:
        stub.reply(HISTORY, {"events": [STARTED]})
    else:
        stub.fault(HISTORY, fault, "no")
    harness.record(**here | different)
    with pytest.raises(TaskNotOpen, match="the task is not open: ") as caught:
        harness.close_task(COMPLETED)
    assert not isinstance(caught.value, TaskClosed)
    assert harness.held() == (["TOKEN"] if is_held else [])


def test_a_client_of_unknown_origin_drops_nothing(harness: Harness, stub: StubService, here: dict[str, Any]) -> None:
    """A botocore client of a caller's own has no profile to compare."""
    delete_execution(stub)
    harness.record(**here)
    with pytest.raises(TaskNotOpen, match="may be open elsewhere"):
        close_task(Responder(create_client(stub.url)), TOKEN_ALONE, COMPLETED, harness.ledger)
    assert harness.held() == ["TOKEN"]


@pytest.mark.parametrize("change", [{"domain": "other"}, {"execution": ExecutionId("video-8", "RUN")}])
def test_another_execution_than_that_on_record_proves_nothing(
    change: dict[str, Any], harness: Harness, stub: StubService, here: dict[str, Any]
) -> None:
    """A file for --task may name any execution: that SWF does not know it says nothing about the row's."""
    task = replace(REFERENCE, **change)
    assert task.execution is not None
    unknown = f"Unknown execution: WorkflowExecution=[workflowId={task.execution.id}, runId=RUN]"
    stub.fault(COMPLETE, "UnknownResourceFault", "Unknown activity")
    stub.fault(HISTORY, "UnknownResourceFault", unknown)
    harness.record(**here)
    with pytest.raises(TaskNotOpen) as caught:
        harness.close_task(COMPLETED, task)
    message = "SWF knows neither the task nor its workflow execution; the task may be open elsewhere"
    assert caught.value.message == message
    assert f"what the task was received with: no profile, region {here['region']}, " in str(caught.value.hint)
    assert isinstance(caught.value.__cause__, TaskClosed)
    assert harness.held() == ["TOKEN"]


@pytest.mark.parametrize(
    "message",
    [
        "Unknown domain: video",
        "Unknown execution",
        UNKNOWN_EXECUTION.replace("runId=RUN", "runId=RUN2"),
        UNKNOWN_EXECUTION.replace("video-7", "video-77"),
    ],
)
def test_another_unknown_resource_is_not_a_deleted_execution(
    message: str, harness: Harness, stub: StubService, here: dict[str, Any]
) -> None:
    """A domain that SWF does not know, as in another account, or another execution, leaves the task in the ledger."""
    stub.fault(COMPLETE, "UnknownResourceFault", UNKNOWN_EXECUTION)
    stub.fault(HISTORY, "UnknownResourceFault", message)
    harness.record(**here)
    with pytest.raises(TaskNotOpen) as caught:
        harness.close_task(COMPLETED)
    assert not isinstance(caught.value, TaskClosed)
    assert harness.held() == ["TOKEN"]


@each_outcome
def test_a_lost_response_to_a_deleted_execution_is_unknown(
    outcome: Outcome, operation: str, sent: dict[str, str], harness: Harness, stub: StubService, here: dict[str, Any]
) -> None:
    """The attempt whose reply was lost may have closed the task: exit code 6, after one read of the history."""
    stub.reply(operation, reset=True)
    delete_execution(stub)
    harness.record(**here)
    with pytest.raises(
        OutcomeUnknown, match=r"response was lost .*; its workflow execution no longer exists$"
    ) as caught:
        harness.close_task(outcome)
    assert (caught.value.exit_code, caught.value.hint) == (6, None)
    assert stub.operations() == [operation, operation, HISTORY]
    assert harness.held() == ["TOKEN"]


def test_a_task_that_swf_knows_is_open_whatever_the_history_says(
    harness: Harness, stub: StubService, here: dict[str, Any]
) -> None:
    """A cancellation that was not requested is rejected with the fault of a closed task; the heartbeat decides."""
    stub.fault(CANCEL, "UnknownResourceFault", "Unknown activity")
    stub.fault(HISTORY, "UnknownResourceFault", UNKNOWN_EXECUTION)
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    harness.record(**here)
    with pytest.raises(UnknownResource, match=r"^cancellation of this task was not requested$"):
        harness.close_task(CANCELLED)
    assert harness.held() == ["TOKEN"]


# --- responses whose reply is lost


LOST: dict[str, Callable[[StubService, str], None]] = {
    "reset": lambda stub, operation: stub.reply(operation, reset=True),
    "cut": lambda stub, operation: stub.reply(operation, b"{", cut=True),
    "page of a gateway": lambda stub, operation: stub.reply(operation, b"<html>no reply</html>", status=504),
}
"""Replies that leave open what SWF did."""
FAILED: dict[str, Callable[[StubService, str], None]] = {
    "500": lambda stub, operation: stub.fault(operation, "InternalFailure", status=500),
    "page": lambda stub, operation: stub.reply(operation, b"<html>busy</html>", status=503),
}
"""Failures of SWF, or before it, as which it closes no task; but it did so if the history says so."""


@each_outcome
@pytest.mark.parametrize("lose", (LOST | FAILED).values(), ids=LOST | FAILED)
def test_a_rejection_after_a_lost_reply_is_checked(
    lose: Callable[[StubService, str], None],
    outcome: Outcome,
    operation: str,
    sent: dict[str, str],
    harness: Harness,
    stub: StubService,
    log: pytest.LogCaptureFixture,
) -> None:
    """The second attempt may find the task closed by the first: the history shows that, and all is well."""
    lose(stub, operation)
    stub.fault(operation, "UnknownResourceFault", "Unknown activity")
    stub.reply(HISTORY, {"events": [closing(EVENTS[operation], **sent), STARTED]})
    harness.record()
    harness.close_task(outcome)  # by its token alone: the ledger knows the execution
    assert stub.operations() == [operation, operation, HISTORY]
    (message,) = log.messages
    assert message.endswith("; retrying in 1.0 s")
    assert harness.held() == []


@each_outcome
def test_without_an_execution_the_outcome_is_unknown(
    outcome: Outcome, operation: str, sent: dict[str, str], harness: Harness, stub: StubService
) -> None:
    """With a token alone, and no ledger, there is no history to read: exit code 6, and what would help."""
    stub.reply(operation, reset=True)
    stub.fault(operation, "UnknownResourceFault", "Unknown activity")
    with pytest.raises(
        OutcomeUnknown, match=r"its response was lost .*execution is unknown \(pass --task\)$"
    ) as caught:
        harness.close_task(outcome)
    assert caught.value.exit_code == 6
    assert "history" in str(caught.value.hint)
    assert stub.operations() == [operation] * 2


@each_outcome
@pytest.mark.parametrize("lose", LOST.values(), ids=LOST)
def test_a_response_whose_replies_are_all_lost_is_unknown(
    lose: Callable[[StubService, str], None],
    outcome: Outcome,
    operation: str,
    sent: dict[str, str],
    harness: Harness,
    stub: StubService,
) -> None:
    """If no attempt is answered in time, SWF may have accepted one: exit code 6, and the task stays in the ledger."""
    lose(stub, operation)
    stub.reply(HISTORY, {"events": [STARTED]})
    harness.record()
    with pytest.raises(OutcomeUnknown, match=r"history does not show the task closed$") as caught:
        harness.close_task(outcome, retry_for=4.0)
    assert isinstance(caught.value.__cause__, SwfError)
    assert stub.operations() == [*[operation] * 3, HISTORY]
    assert (harness.stop.waits, harness.held()) == ([1.0, 2.0], ["TOKEN"])


@each_outcome
def test_a_lost_reply_does_not_matter_if_a_later_attempt_is_accepted(
    outcome: Outcome, operation: str, sent: dict[str, str], harness: Harness, stub: StubService
) -> None:
    """If a later attempt is accepted, the response was delivered."""
    stub.reply(operation, reset=True)
    stub.reply(operation)
    harness.close_task(outcome)
    assert stub.operations() == [operation] * 2


COMPLETED = OUTCOMES["complete"][0]


@pytest.fixture
def lost(stub: StubService) -> None:
    """A completion whose reply is lost, and whose second attempt finds no open task."""
    stub.reply(COMPLETE, reset=True)
    stub.fault(COMPLETE, "UnknownResourceFault", "Unknown activity")


@pytest.mark.usefixtures("lost")
@pytest.mark.parametrize(
    ("end", "words"),
    [
        (closing("ActivityTaskCompleted", result="other"), "it completed, with another result"),
        (closing("ActivityTaskCompleted"), "it completed, with another result"),
        (closing("ActivityTaskFailed", reason="bad"), "it failed"),
        (closing("ActivityTaskCanceled"), "it was cancelled"),
        (closing("ActivityTaskTimedOut", timeoutType="START_TO_CLOSE"), "it timed out (START_TO_CLOSE)"),
        (event(9, "WorkflowExecutionTimedOut"), "its workflow execution timed out"),
        (event(9, "WorkflowExecutionContinuedAsNew"), "its workflow execution continued as new"),
    ],
)
def test_another_end_is_named(end: dict[str, Any], words: str, harness: Harness, stub: StubService) -> None:
    """Another result, another end, or the execution's end: exit code 5 with which, and out of the ledger."""
    stub.reply(HISTORY, {"events": [end, STARTED]})
    harness.record()
    with pytest.raises(TaskClosed) as caught:
        harness.close_task(COMPLETED)
    assert caught.value.message == f"the task is not open: {words}"
    assert harness.held() == []


def test_a_history_that_is_throttled_is_read_again(harness: Harness, stub: StubService) -> None:
    """A read that fails for now is none of the attempts: the task is found closed, and is held no more."""
    harness.record()
    stub.fault(COMPLETE, "UnknownResourceFault", "Unknown activity")
    for _ in range(4):
        stub.fault(HISTORY, "ThrottlingException", "slow down")
    stub.reply(HISTORY, {"events": [STARTED, closing("ActivityTaskTimedOut", timeoutType="HEARTBEAT")][::-1]})
    with pytest.raises(TaskNotOpen, match="HEARTBEAT"):
        harness.close_task(COMPLETED, REFERENCE)
    assert harness.held() == []
    assert harness.stop.waits == [1, 2, 4, 8]


def test_the_same_end_by_another_process_is_not_ours(harness: Harness, stub: StubService) -> None:
    """If no reply was lost, an equal end in the history is that of another response: exit code 5."""
    stub.fault(COMPLETE, "UnknownResourceFault", "Unknown activity")
    stub.reply(HISTORY, {"events": [closing("ActivityTaskCompleted", result="ok"), STARTED]})
    with pytest.raises(TaskClosed, match=r"it completed$"):
        harness.close_task(COMPLETED, REFERENCE)
    settlement = harness.respond(COMPLETED)
    assert (settlement.status, settlement.outcome) == ("closed", COMPLETED)
    assert settlement.end == End("completed", result="ok")


@pytest.mark.usefixtures("lost")
def test_history_that_lags_is_read_again(harness: Harness, stub: StubService, log: pytest.LogCaptureFixture) -> None:
    """History is eventually consistent: an end that only the third attempt shows is in time.

    The log says that the response failed, and once what takes so long.
    """
    stub.reply(HISTORY, {"events": [STARTED]})
    stub.fault(HISTORY, "ThrottlingException", "Rate exceeded")
    stub.reply(HISTORY, {"events": [closing("ActivityTaskCompleted", result="ok"), STARTED]})
    harness.close_task(COMPLETED, REFERENCE)
    assert stub.operations() == [COMPLETE, COMPLETE, *[HISTORY] * 3]
    assert harness.stop.waits == [1.0, 1.0, 2.0]
    failed, waiting = log.messages
    assert failed.startswith("response failed: the connection was closed ")
    assert waiting == "the history does not show the task closed; reading it again for up to 59s"


@pytest.mark.usefixtures("lost")
def test_a_long_history_is_not_read_past_the_time(harness: Harness, stub: StubService) -> None:
    """Its newest page is read in any case; further ones while there is time."""
    stub.reply(HISTORY, {"events": [event(900, "MarkerRecorded")], "nextPageToken": "2"})
    with pytest.raises(OutcomeUnknown, match=r"the history could not be read: it is too long to be read in time$"):
        harness.close_task(COMPLETED, REFERENCE, retry_for=0)
    assert stub.operations() == [COMPLETE, HISTORY]


@pytest.mark.usefixtures("lost")
def test_a_long_history_is_read_up_to_the_last_moment(harness: Harness, stub: StubService) -> None:
    """A page that is asked for half a second before the time is up may show that the response was accepted."""
    page = {"events": [event(900, "MarkerRecorded")], "nextPageToken": "2"}
    stub.reply(HISTORY, page, action=lambda: harness.clock.advance(58.5))
    stub.reply(HISTORY, {"events": [closing("ActivityTaskCompleted", result="ok"), STARTED]})
    harness.close_task(COMPLETED, REFERENCE)
    assert stub.operations() == [COMPLETE, COMPLETE, HISTORY, HISTORY]


@pytest.mark.usefixtures("lost")
@pytest.mark.parametrize(
    ("limits", "waits"),
    [
        pytest.param({"retry_for": 1.5}, [1.0], id="at least once"),
        pytest.param({"retry_for": 10.0}, [1.0, 1.0, 2.0, 4.0], id="for as long as it is retried"),
        pytest.param({"retry_for": 60.0, "history_for": 4.0}, [1.0, 1.0, 2.0], id="no longer than it may lag"),
    ],
)
def test_history_that_never_shows_the_end_is_unknown(
    limits: dict[str, Any], waits: list[float], harness: Harness, stub: StubService
) -> None:
    """If the history does not show the end in time: exit code 6, and the task stays in the ledger."""
    stub.reply(HISTORY, {"events": [STARTED]})
    harness.record()
    with pytest.raises(OutcomeUnknown, match=r"history does not show the task closed$"):
        harness.close_task(COMPLETED, **limits)
    assert harness.stop.waits == waits
    assert stub.operations().count(HISTORY) == len(waits)
    assert harness.held() == ["TOKEN"]


@pytest.mark.usefixtures("lost")
@pytest.mark.parametrize(
    ("fault", "reads"), [("AccessDeniedException", 1), ("OperationNotPermittedFault", 1), ("ThrottlingException", 4)]
)
def test_history_that_cannot_be_read_is_unknown(fault: str, reads: int, harness: Harness, stub: StubService) -> None:
    """If reading the history is not permitted, or fails until the end: exit code 6, and why."""
    stub.fault(HISTORY, fault, "not for you")
    with pytest.raises(OutcomeUnknown, match=rf"the history could not be read: .*not for you \({fault}\)$"):
        harness.close_task(COMPLETED, REFERENCE, retry_for=10)
    assert stub.operations().count(HISTORY) == reads


def test_a_lost_reply_is_not_forgotten(harness: Harness, stub: StubService) -> None:
    """An end like the response may be that of any attempt whose reply was lost, also if a later one was throttled."""
    stub.reply(COMPLETE, reset=True)
    stub.fault(COMPLETE, "ThrottlingException")
    stub.fault(COMPLETE, "UnknownResourceFault", "Unknown activity")
    stub.reply(HISTORY, {"events": [closing("ActivityTaskCompleted", result="ok"), STARTED]})
    assert harness.respond(COMPLETED) == Settlement("accepted", COMPLETED)


def test_a_lost_reply_is_looked_for_once_the_time_is_up(harness: Harness, stub: StubService) -> None:
    """The last attempt may be the one that closed the task."""
    stub.reply(COMPLETE, reset=True)
    stub.reply(HISTORY, {"events": [closing("ActivityTaskCompleted", result="ok"), STARTED]})
    assert harness.respond(COMPLETED, retry_for=0.0) == Settlement("accepted", COMPLETED)


@pytest.mark.parametrize("is_rejected", [False, True], ids=["not shown", "rejected"])
def test_the_history_is_read_as_often_as_allowed(is_rejected: bool, harness: Harness, stub: StubService) -> None:
    """A history that does not show an end, or that SWF does not return, is read `end_attempts` times."""
    if is_rejected:
        stub.fault(HISTORY, "UnknownResourceFault", "Unknown execution")
    else:
        stub.reply(HISTORY, {"events": [STARTED]})
    settlement = harness.responder(end_attempts=3, history_for=60.0).find_closed(REFERENCE)
    assert settlement.status == "not_open"
    assert stub.operations() == [HISTORY] * 3


def test_another_rejection_after_a_lost_reply_is_checked_too(harness: Harness, stub: StubService) -> None:
    """Credentials that expire between two attempts hide the outcome: exit code 6, not 7."""
    stub.reply(COMPLETE, reset=True)
    for operation in (COMPLETE, HISTORY):
        stub.fault(operation, "ExpiredTokenException", "expired")
    with pytest.raises(OutcomeUnknown, match="expired"):
        harness.close_task(COMPLETED, REFERENCE)
    assert stub.operations() == [COMPLETE, COMPLETE, HISTORY]


def test_the_message_is_that_of_the_attempt_that_was_lost(harness: Harness, stub: StubService) -> None:
    """What a later attempt said does not hide why the outcome is unknown; it is the cause."""
    stub.reply(COMPLETE, reset=True)
    stub.fault(COMPLETE, "InternalFailure", "later", status=500)
    stub.fault(COMPLETE, "ExpiredTokenException", "expired")
    stub.reply(HISTORY, {"events": [STARTED]})
    settlement = harness.respond(COMPLETED, retry_for=3.5)
    assert (settlement.status, settlement.outcome) == ("unknown", COMPLETED)
    assert settlement.error is not None
    assert "connection was closed" in settlement.error.message
    assert settlement.error.hint == "check the execution history for the task's closing event"
    assert isinstance(settlement.error.__cause__, AccessError)


# --- responses that certainly never arrived


@each_outcome
@pytest.mark.parametrize(
    ("fault", "kind", "attempts"),
    [
        ("ThrottlingException", ThrottlingError, 3),
        ("InternalFailure", ServiceError, 3),
        ("OperationNotPermittedFault", AccessError, 1),
    ],
)
def test_a_response_that_was_certainly_not_accepted_is_its_own_error(
    fault: str,
    kind: type[SwfError],
    attempts: int,
    outcome: Outcome,
    operation: str,
    sent: dict[str, str],
    harness: Harness,
    stub: StubService,
) -> None:
    """A response that failed until the end, or was not permitted, was not delivered, and is not unknown."""
    stub.fault(operation, fault, status=500 if kind is ServiceError else 400)
    harness.record()
    with pytest.raises(kind):
        harness.close_task(outcome, retry_for=4.0)
    assert stub.operations() == [operation] * attempts
    assert harness.held() == ["TOKEN"]
    settlement = harness.respond(outcome, retry_for=0)
    status = "rejected" if kind is AccessError else "undelivered"
    assert (settlement.status, settlement.outcome, settlement.is_confirmed) == (status, outcome, False)
    assert HISTORY not in stub.operations()


@each_outcome
def test_a_response_that_never_left_is_a_network_error(
    outcome: Outcome,
    operation: str,
    sent: dict[str, str],
    harness: Harness,
    refused_url: str,
    monkeypatch: pytest.MonkeyPatch,
    log: pytest.LogCaptureFixture,
) -> None:
    """If nothing listens for as long as it is retried, the response certainly never arrived: exit code 1."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    harness.session = Session(endpoint_url=refused_url)
    with pytest.raises(NetworkError) as caught:
        harness.close_task(outcome, REFERENCE, retry_for=4.0)
    assert (type(caught.value), caught.value.exit_code) == (NetworkError, 1)
    assert [message.rpartition("; ")[2] for message in log.messages if "could not connect" in message] == [
        "retrying in 1.0 s",
        "retrying in 2.0 s",
    ]


@pytest.mark.parametrize(
    ("retry_for", "waits"), [(0.0, []), (1.0, []), (1.5, [1.0]), (24.0, [1.0, 2.0, 4.0, 8.0, 8.0])]
)
def test_transient_errors_are_retried_for_the_given_time(
    retry_for: float, waits: list[float], harness: Harness, stub: StubService
) -> None:
    """No attempt starts after --retry-for, and at least one is made; delays grow to 8 s."""
    stub.fault(COMPLETE, "ThrottlingException")
    with pytest.raises(ThrottlingError):
        harness.close_task(COMPLETED, retry_for=retry_for)
    assert harness.stop.waits == waits
    assert len(stub.requests) == len(waits) + 1


# --- cancelling a task whose cancellation was not requested


CANCELLED = OUTCOMES["cancel"][0]


def test_cancelling_without_a_request(harness: Harness, stub: StubService) -> None:
    """SWF rejects that; a heartbeat shows that the task is open: exit code 1, and what to do instead."""
    stub.fault(CANCEL, "UnknownResourceFault", "Unknown activity")
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    with pytest.raises(UnknownResource, match=r"^cancellation of this task was not requested$") as caught:
        harness.close_task(CANCELLED)
    assert (caught.value.exit_code, caught.value.hint) == (1, "complete or fail the task")
    assert (caught.value.code, caught.value.request_id) == ("UnknownResourceFault", "REQUEST")
    assert isinstance(caught.value.__cause__, UnknownResource)
    assert stub.requests == [(CANCEL, {"taskToken": "TOKEN", "details": "how"}), (HEARTBEAT, {"taskToken": "TOKEN"})]


def test_a_task_that_was_not_cancelled_is_still_held(harness: Harness, stub: StubService) -> None:
    """An open task whose cancellation was not requested stays in the ledger."""
    stub.fault(CANCEL, "UnknownResourceFault", "Unknown activity")
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    stub.reply(HISTORY, {"events": [STARTED]})
    harness.record()
    with pytest.raises(UnknownResource):
        harness.close_task(CANCELLED)
    assert harness.held() == ["TOKEN"]
    settlement = harness.respond(CANCELLED)
    assert (settlement.status, settlement.outcome, settlement.is_confirmed) == ("rejected", CANCELLED, False)


def test_cancelling_just_as_cancellation_is_requested(harness: Harness, stub: StubService) -> None:
    """If SWF rejected it although cancellation was requested, the advice is to try again: exit code 1."""
    stub.fault(CANCEL, "UnknownResourceFault")
    stub.reply(HEARTBEAT, {"cancelRequested": True})
    message = r"^SWF rejected the cancellation, although it was requested$"
    with pytest.raises(UnknownResource, match=message) as caught:
        harness.close_task(CANCELLED)
    assert (caught.value.exit_code, caught.value.hint) == (1, "try again in a moment")


@pytest.mark.parametrize("fault", ["OperationNotPermittedFault", "ThrottlingException", "InternalFailure"])
def test_cancelling_when_the_heartbeat_fails(fault: str, harness: Harness, stub: StubService) -> None:
    """If the heartbeat fails, both reasons are named: exit code 1, and not the heartbeat's own error."""
    stub.fault(CANCEL, "UnknownResourceFault")
    stub.fault(HEARTBEAT, fault, status=500 if fault == "InternalFailure" else 400)
    message = r"^SWF rejected the cancellation: the task is closed, or its cancellation was not requested$"
    with pytest.raises(UnknownResource, match=message) as caught:
        harness.close_task(CANCELLED)
    assert (caught.value.exit_code, caught.value.code) == (1, "UnknownResourceFault")
    assert type(caught.value) is UnknownResource


def test_cancelling_with_an_unknown_token_sends_no_heartbeat(harness: Harness, stub: StubService) -> None:
    """A token that SWF does not know is exit code 5 at once."""
    stub.fault(CANCEL, "ValidationException", "Invalid token")
    with pytest.raises(TaskNotOpen):
        harness.close_task(CANCELLED)
    assert stub.operations() == [CANCEL]


# --- responses that are delivered however long it takes


def test_an_access_error_waits_for_new_credentials(
    harness: Harness, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """Also when a lost response made the outcome unknown: after 30 s the response is sent again."""
    gate = AccessGate(clock=harness.clock)
    stub.reply(COMPLETE, reset=True)
    stub.fault(COMPLETE, "ExpiredTokenException", "expired")
    stub.reply(COMPLETE)
    stub.reply(HISTORY, {"events": [STARTED]})
    how = {"gate": gate, "retry_for": inf, "history_for": 1.0, "log": logging.getLogger("swf_cli.test")}
    settlement = harness.responder(**how).deliver(REFERENCE, COMPLETED)
    assert (settlement.status, settlement.outcome, settlement.error) == ("accepted", COMPLETED, None)
    assert harness.stop.waits == [1.0, 30.0]
    assert {record.name for record in log.records if "retrying" in record.getMessage()} == {"swf_cli.test"}


def test_without_a_gate_an_access_error_is_retried(
    harness: Harness, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the next attempt follows after the usual delay."""
    stub.fault(COMPLETE, "AccessDeniedException", "not for you")
    stub.reply(COMPLETE)
    assert harness.responder().deliver(REFERENCE, COMPLETED).status == "accepted"
    assert log.messages == [f"response failed: {COMPLETE}: not for you (AccessDeniedException); retrying in 1.0 s"]


def test_a_stop_abandons_a_response(harness: Harness, stub: StubService) -> None:
    """When it is stopped, the settlement has the response that was not delivered, and why."""
    stub.fault(COMPLETE, "AccessDeniedException", "not for you")
    harness.stop.set()
    settlement = harness.responder().deliver(REFERENCE, COMPLETED)
    assert (settlement.status, settlement.outcome) == ("undelivered", COMPLETED)
    assert isinstance(settlement.error, AccessError)


def test_a_stop_after_a_lost_response(harness: Harness, stub: StubService) -> None:
    """The history is read once also when stopped, but not waited for if SWF hangs."""
    stub.reply(COMPLETE, reset=True)
    stub.reply(HISTORY, {"events": [closing("ActivityTaskCompleted", result="ok"), STARTED]})
    harness.stop.set()
    assert (harness.respond(COMPLETED).status, stub.operations()) == ("accepted", [COMPLETE, HISTORY])


def test_a_stop_while_swf_hangs(harness: Harness, stub: StubService) -> None:
    """The history is given up after two seconds, and the outcome is unknown."""
    release = threading.Event()
    stub.reply(COMPLETE, reset=True)
    stub.reply(HISTORY, {}, wait=release)
    harness.stop.set()
    began = time.monotonic()
    try:
        assert (harness.respond(COMPLETED).status, stub.operations()) == ("unknown", [COMPLETE, HISTORY])
    finally:
        release.set()
    assert time.monotonic() - began < 10


def test_a_stop_after_an_answer(harness: Harness, stub: StubService) -> None:
    """If SWF answers, the history is read once also when stopped."""
    stub.fault(COMPLETE, "UnknownResourceFault", "no open task")
    stub.reply(HISTORY, {"events": [closing("ActivityTaskTimedOut", timeoutType="HEARTBEAT"), STARTED]})
    harness.stop.set()
    assert (harness.respond(COMPLETED).status, stub.operations()) == ("closed", [COMPLETE, HISTORY])


def test_rejected_details_are_logged(harness: Harness, stub: StubService, log: pytest.LogCaptureFixture) -> None:
    """A failure without the details that SWF rejects is better than none; the log says why they are missing."""
    stub.fault(FAIL, "ValidationException", "no control characters")
    stub.reply(FAIL)
    assert harness.responder().deliver(REFERENCE, Outcome.failed("why", "how")).status == "accepted"
    assert stub.requests[-1] == (FAIL, {"taskToken": "TOKEN", "reason": "why"})
    message = f"SWF rejected the details: {FAIL}: no control characters (ValidationException)"
    assert log.messages == [message]


def test_a_rejected_cancellation_becomes_a_failure(harness: Harness, stub: StubService) -> None:
    """A cancellation that SWF rejects as malformed, even without details, is reported as a failure that says so."""
    stub.fault(CANCEL, "ValidationException", "odd")
    stub.reply(FAIL)
    settlement = harness.responder().deliver(REFERENCE, Outcome("cancelled"))
    reason = f"SWF rejected the cancellation: {CANCEL}: odd (ValidationException)"
    assert settlement == Settlement("accepted", Outcome("failed", reason=reason))
    assert stub.requests[-1] == (FAIL, {"taskToken": "TOKEN", "reason": reason})


@pytest.mark.parametrize("details", [None, "how"])
def test_a_cancellation_that_swf_never_accepts_becomes_a_failure(
    details: str | None, harness: Harness, stub: StubService
) -> None:
    """A requested cancellation that SWF keeps rejecting is reported as a failure, with its details if it has any."""
    stub.fault(CANCEL, "UnknownResourceFault", "no cancellation was requested")
    stub.reply(HISTORY, {"events": [STARTED]})
    stub.reply(HEARTBEAT, {"cancelRequested": True})
    stub.reply(FAIL)
    settlement = harness.responder().deliver(REFERENCE, Outcome("cancelled", details=details))
    failure = Outcome("failed", reason="SWF did not accept the cancellation", details=details)
    assert settlement == Settlement("accepted", failure)
    assert stub.operations().count(CANCEL) == 6


# --- outcomes and settlements as text


def test_a_reason_is_cut_to_swfs_limit() -> None:
    """A failure keeps the first 256 characters of its reason; empty details are none."""
    assert Outcome.failed("x" * 255 + "yz") == Outcome("failed", reason="x" * 255 + "y")
    assert Outcome.failed("x", "").details is None
    assert Outcome.failed("no \udcff", "\udcff!") == Outcome("failed", reason="no \ufffd", details="\ufffd!")
    assert Outcome.failed("x", "how") == Outcome("failed", reason="x", details="how")


@pytest.mark.parametrize(
    ("outcome", "end", "matches"),
    [
        (Outcome("completed", result="ok"), End("completed", result="ok"), True),
        (Outcome("completed", result=""), End("completed"), True),
        (Outcome("completed"), End("completed", result=""), True),
        (Outcome("completed", result="ok"), End("completed", result="OK"), False),
        (Outcome("failed", reason="a", details="b"), End("failed", reason="a", details="b"), True),
        (Outcome("failed", reason="a", details="b"), End("failed", reason="x", details="b"), False),
        (Outcome("failed", reason="a", details="b"), End("failed", reason="a", details="x"), False),
        (Outcome("failed"), End("cancelled"), False),
        (Outcome("cancelled", details="a"), End("cancelled", details="a"), True),
    ],
)
def test_an_outcome_matches_the_end_it_causes(outcome: Outcome, end: End, matches: bool) -> None:
    """State, result, reason and details are compared; an empty text and none are the same."""
    assert outcome.matches(end) is matches


@pytest.mark.parametrize(
    ("settlement", "text", "confirmed"),
    [
        (Settlement("accepted", COMPLETED), "completed", True),
        (Settlement("accepted", Outcome.failed("exit 3")), "failed (exit 3)", True),
        (Settlement("closed", end=End("failed")), "was closed elsewhere: it failed", True),
        (
            Settlement("not_open", error=TaskNotOpen("Unknown activity")),
            "was closed elsewhere: Unknown activity",
            False,
        ),
        (Settlement("not_open"), "was closed elsewhere: reason unknown", False),
        (
            Settlement("undelivered", error=NetworkError("no")),
            "not closed: the response was not delivered: no",
            False,
        ),
        (Settlement("rejected", error=AccessError("no access")), "no access", False),
        (Settlement("unknown", error=OutcomeUnknown("who knows")), "who knows", False),
    ],
)
def test_a_settlement_can_be_logged(settlement: Settlement, text: str, confirmed: bool) -> None:
    """A line of the log says what became of the task, and only the certain cases count as closed."""
    assert (str(settlement), settlement.is_confirmed) == (text, confirmed)
