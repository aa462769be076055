"""Completing, failing and cancelling: retried, and settled through history when a reply was lost."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
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
from swf_cli.ledger.records import HeldTask, PollSource
from swf_cli.ledger.store import Ledger
from swf_cli.models import ExecutionId, TaskReference, WorkerTask
from swf_cli.responding import Answer, answer, prune, read_end
from tests.helpers.cli import TASK
from tests.helpers.stub_service import StubService

CANCEL, HEARTBEAT = "RespondActivityTaskCanceled", "RecordActivityTaskHeartbeat"
HISTORY = "GetWorkflowExecutionHistory"

TOKEN_ALONE = TaskReference("TOKEN")
REFERENCE = TaskReference("TOKEN", "video", ExecutionId("video-7", "RUN"), 6)

ANSWERS: dict[str, tuple[Answer, str, dict[str, str]]] = {
    "complete": (Answer("completed", result="ok"), "RespondActivityTaskCompleted", {"result": "ok"}),
    "fail": (
        Answer("failed", reason="why", details="how"),
        "RespondActivityTaskFailed",
        {"reason": "why", "details": "how"},
    ),
    "cancel": (Answer("cancelled", details="how"), CANCEL, {"details": "how"}),
}
"""Each answer, its operation, and what is sent beside the token."""
EVENTS = {"complete": "ActivityTaskCompleted", "fail": "ActivityTaskFailed", "cancel": "ActivityTaskCanceled"}

each_answer = pytest.mark.parametrize(("what", "operation", "sent"), ANSWERS.values(), ids=ANSWERS)


def event(number: int, kind: str, **values: Any) -> dict[str, Any]:
    """Make a history event, as it goes over the wire."""
    attributes = f"{kind[0].lower()}{kind[1:]}EventAttributes"
    return {"eventId": number, "eventTimestamp": 0, "eventType": kind, attributes: values}


def ended(kind: str, **values: Any) -> dict[str, Any]:
    """Make the event that ended the task that `REFERENCE` names."""
    return event(8, kind, scheduledEventId=5, startedEventId=6, **values)


STARTED = event(6, "ActivityTaskStarted", scheduledEventId=5)


class Desk:
    """Answers, on a clock that only moves when somebody sleeps; each wait is of one second."""

    def __init__(self, session: Session, stub: StubService, folder: Path) -> None:
        self.session = session
        self.stub = stub
        self.told: list[str] = []
        self.slept: list[float] = []
        self.ledger = Ledger(folder, pytest.fail)

    def take(self) -> str:
        """Put the task in the ledger, and give its key."""
        key = self.ledger.begin_poll(PollSource("video", "resize", "me", None, "us-east-1", self.stub.url), "poll")
        assert self.ledger.assign_task(key, WorkerTask.from_api(TASK))
        return key

    def answer(self, what: Answer, task: TaskReference = TOKEN_ALONE, retry_for: float = 60.0) -> None:
        """Answer."""
        answer(
            self.session.no_retry,
            task,
            what,
            self.ledger,
            retry_for=retry_for,
            tell=self.told.append,
            clock=lambda: 1_000.0 + sum(self.slept),
            sleep=self.slept.append,
            wait=lambda attempt, most: 1.0,
        )

    def held(self) -> list[str | None]:
        """Give the tokens of the tasks that are held."""
        return [held.token for held in self.ledger.list_held()]


@pytest.fixture
def desk(env: dict[str, str], stub: StubService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A desk that calls the stub."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    desk = Desk(Session(), stub, tmp_path / "state")
    yield desk
    desk.ledger.close()


# --- answers that are heard


@each_answer
def test_an_answer_is_sent_once(
    what: Answer, operation: str, sent: dict[str, str], desk: Desk, stub: StubService
) -> None:
    """An answer that SWF takes is sent once, with all that was given; the task is held no more."""
    stub.reply(operation)
    desk.take()
    desk.answer(what)
    assert stub.requests == [(operation, {"taskToken": "TOKEN", **sent})]
    assert (desk.told, desk.held()) == ([], [])


@each_answer
def test_a_task_that_is_not_open_is_told(
    what: Answer, operation: str, sent: dict[str, str], desk: Desk, stub: StubService
) -> None:
    """When SWF knows no such open task, and nothing tells whose history to ask, that is exit 5."""
    for refused in (operation, HEARTBEAT):
        stub.fault(refused, "UnknownResourceFault", "Unknown activity")
    with pytest.raises(TaskNotOpen, match="Unknown activity") as caught:
        desk.answer(what)
    assert (caught.value.exit_code, isinstance(caught.value, TaskClosed)) == (5, False)
    assert HISTORY not in stub.operations()


@each_answer
def test_a_fault_alone_does_not_prove_that_a_task_is_closed(
    what: Answer, operation: str, sent: dict[str, str], desk: Desk, stub: StubService
) -> None:
    """A refusal that history does not bear out leaves the task on record: exit 5, asked once, not waited for."""
    for refused in (operation, HEARTBEAT):
        stub.fault(refused, "UnknownResourceFault", "Unknown activity")
    stub.reply(HISTORY, {"events": [STARTED]})
    desk.take()
    with pytest.raises(TaskNotOpen, match="Unknown activity"):
        desk.answer(what)
    assert stub.operations().count(HISTORY) == 1
    assert (desk.slept, desk.held()) == ([], ["TOKEN"])


@each_answer
@pytest.mark.parametrize(
    ("end", "words"),
    [
        pytest.param(ended("ActivityTaskTimedOut", timeoutType="HEARTBEAT"), "timed out (HEARTBEAT)", id="timed out"),
        pytest.param(event(9, "WorkflowExecutionTerminated"), "execution was terminated", id="gone"),
    ],
)
def test_history_names_the_end_that_came_first(
    end: dict[str, Any], words: str, what: Answer, operation: str, sent: dict[str, str], desk: Desk, stub: StubService
) -> None:
    """A task that is closed is exit 5, and told how it ended; only then does it leave the record."""
    stub.fault(operation, "UnknownResourceFault", "Unknown activity")
    stub.reply(HISTORY, {"events": [end, STARTED]})
    desk.take()
    with pytest.raises(TaskClosed) as caught:
        desk.answer(what, REFERENCE)
    assert (caught.value.exit_code, caught.value.code) == (5, "UnknownResourceFault")
    assert words in caught.value.message
    assert desk.held() == []


# --- answers whose reply is lost


LOST: dict[str, Callable[[StubService, str], None]] = {
    "reset": lambda stub, operation: stub.reply(operation, reset=True),
    "500": lambda stub, operation: stub.fault(operation, "InternalFailure", status=500),
    "page": lambda stub, operation: stub.reply(operation, b"<html>busy</html>", status=503),
}


@each_answer
@pytest.mark.parametrize("lose", LOST.values(), ids=LOST)
def test_a_refusal_after_a_lost_reply_is_not_believed(
    lose: Callable[[StubService, str], None],
    what: Answer,
    operation: str,
    sent: dict[str, str],
    desk: Desk,
    stub: StubService,
) -> None:
    """A first try whose reply was lost may be why the second finds no open task: history says so, and all is well."""
    lose(stub, operation)
    stub.fault(operation, "UnknownResourceFault", "Unknown activity")
    kind = {key: EVENTS[name] for name, (_, key, _) in ANSWERS.items()}[operation]
    stub.reply(HISTORY, {"events": [ended(kind, **sent), STARTED]})
    desk.take()
    desk.answer(what)  # by its token alone: the ledger knows the execution
    assert stub.operations() == [operation, operation, HISTORY]
    assert "trying again in 1.0 s" in desk.told[0]
    assert desk.held() == []


@each_answer
def test_without_an_execution_it_is_unknown(
    what: Answer, operation: str, sent: dict[str, str], desk: Desk, stub: StubService
) -> None:
    """With a token alone, and nothing in the ledger, no history can be asked: exit 6, and what would tell."""
    stub.reply(operation, reset=True)
    stub.fault(operation, "UnknownResourceFault", "Unknown activity")
    with pytest.raises(OutcomeUnknown, match=r"its reply lost .*--task or the ledger would tell") as caught:
        desk.answer(what)
    assert caught.value.exit_code == 6
    assert "history" in str(caught.value.hint)
    assert stub.operations() == [operation] * 2


@each_answer
@pytest.mark.parametrize("lose", LOST.values(), ids=LOST)
def test_an_answer_whose_reply_never_comes_is_unknown(
    lose: Callable[[StubService, str], None],
    what: Answer,
    operation: str,
    sent: dict[str, str],
    desk: Desk,
    stub: StubService,
) -> None:
    """When no try is heard of as long as it is tried, the answer may have been taken: exit 6, and still on record."""
    lose(stub, operation)
    stub.reply(HISTORY, {"events": [STARTED]})
    desk.take()
    with pytest.raises(OutcomeUnknown, match="history does not show the task closed") as caught:
        desk.answer(what, retry_for=2.5)
    assert isinstance(caught.value.__cause__, SwfError)
    assert stub.operations() == [*[operation] * 3, HISTORY]
    assert (desk.slept, desk.held()) == ([1.0, 1.0], ["TOKEN"])


@each_answer
def test_a_lost_reply_does_not_matter_when_the_next_is_heard(
    what: Answer, operation: str, sent: dict[str, str], desk: Desk, stub: StubService
) -> None:
    """When a later try is taken, the answer is given."""
    stub.reply(operation, reset=True)
    stub.reply(operation)
    desk.answer(what)
    assert stub.operations() == [operation] * 2


COMPLETE = ANSWERS["complete"][0]
COMPLETED = "RespondActivityTaskCompleted"


@pytest.fixture
def lost(stub: StubService) -> None:
    """A completion whose reply is lost, and whose second try finds no open task."""
    stub.reply(COMPLETED, reset=True)
    stub.fault(COMPLETED, "UnknownResourceFault", "Unknown activity")


@pytest.mark.usefixtures("lost")
@pytest.mark.parametrize(
    ("end", "words"),
    [
        (ended("ActivityTaskCompleted", result="other"), "it completed, by another answer"),
        (ended("ActivityTaskCompleted"), "it completed, by another answer"),
        (ended("ActivityTaskFailed", reason="bad"), "it failed"),
        (ended("ActivityTaskCanceled"), "it was cancelled"),
        (ended("ActivityTaskTimedOut", timeoutType="START_TO_CLOSE"), "it timed out (START_TO_CLOSE)"),
        (event(9, "WorkflowExecutionTimedOut"), "its workflow execution timed out"),
        (event(9, "WorkflowExecutionContinuedAsNew"), "its workflow execution continued as new"),
    ],
)
def test_another_end_that_came_first_is_named(end: dict[str, Any], words: str, desk: Desk, stub: StubService) -> None:
    """The same end with another result, another end, the execution's end: exit 5, which one, and off the record."""
    stub.reply(HISTORY, {"events": [end, STARTED]})
    desk.take()
    with pytest.raises(TaskClosed) as caught:
        desk.answer(COMPLETE)
    assert caught.value.message == f"the task is not open: {words}"
    assert desk.held() == []


@pytest.mark.usefixtures("lost")
def test_history_that_lags_is_read_again(desk: Desk, stub: StubService) -> None:
    """History is eventually consistent: an end that it shows at the third look is in time."""
    stub.reply(HISTORY, {"events": [STARTED]})
    stub.fault(HISTORY, "ThrottlingException", "Rate exceeded")
    stub.reply(HISTORY, {"events": [ended("ActivityTaskCompleted", result="ok"), STARTED]})
    desk.answer(COMPLETE, REFERENCE)
    assert stub.operations() == [COMPLETED, COMPLETED, *[HISTORY] * 3]
    assert desk.slept == [1.0, 1.0, 1.0]


@pytest.mark.usefixtures("lost")
@pytest.mark.parametrize(
    ("retry_for", "reads"),
    [(0.0, 1), (10.0, 9)],
    ids=["at least once", "as long as it is retried"],
)
def test_history_that_never_shows_it_is_unknown(retry_for: float, reads: int, desk: Desk, stub: StubService) -> None:
    """An end that does not show as long as is retried leaves it open: exit 6, and the task stays on record."""
    stub.reply(HISTORY, {"events": [STARTED]})
    desk.take()
    with pytest.raises(OutcomeUnknown, match="history does not show the task closed"):
        desk.answer(COMPLETE, retry_for=retry_for)
    assert stub.operations().count(HISTORY) == reads
    assert sum(desk.slept) <= retry_for
    assert desk.held() == ["TOKEN"]


@pytest.mark.usefixtures("lost")
@pytest.mark.parametrize(
    ("fault", "reads"), [("AccessDeniedException", 1), ("OperationNotPermittedFault", 1), ("ThrottlingException", 9)]
)
def test_history_that_cannot_be_read_is_unknown(fault: str, reads: int, desk: Desk, stub: StubService) -> None:
    """Where history is forbidden, or fails to the end, it can't be known: exit 6, and why."""
    stub.fault(HISTORY, fault, "not for you")
    with pytest.raises(OutcomeUnknown, match=rf"history could not be read: .*not for you \({fault}\)"):
        desk.answer(COMPLETE, REFERENCE, retry_for=10)
    assert stub.operations().count(HISTORY) == reads


def test_a_refusal_of_another_kind_after_a_lost_reply_is_settled_too(desk: Desk, stub: StubService) -> None:
    """Credentials that expire between two tries hide the outcome: history may be read still, else exit 6, not 7."""
    stub.reply(COMPLETED, reset=True)
    for operation in (COMPLETED, HISTORY):
        stub.fault(operation, "ExpiredTokenException", "expired")
    with pytest.raises(OutcomeUnknown, match="expired"):
        desk.answer(COMPLETE, REFERENCE)
    assert stub.operations() == [COMPLETED, COMPLETED, HISTORY]


# --- answers that certainly never arrived


@each_answer
@pytest.mark.parametrize(
    ("fault", "kind", "exit_code", "tries"),
    [("ThrottlingException", ThrottlingError, 1, 3), ("OperationNotPermittedFault", AccessError, 7, 1)],
)
def test_what_certainly_never_happened_is_told(
    fault: str,
    kind: type[SwfError],
    exit_code: int,
    tries: int,
    what: Answer,
    operation: str,
    sent: dict[str, str],
    desk: Desk,
    stub: StubService,
) -> None:
    """An answer that was throttled to the end, or not permitted, was not given, and is no unknown."""
    stub.fault(operation, fault)
    desk.take()
    with pytest.raises(kind) as caught:
        desk.answer(what, retry_for=2.5)
    assert caught.value.exit_code == exit_code
    assert stub.operations() == [operation] * tries
    assert desk.held() == ["TOKEN"]


@each_answer
def test_an_answer_that_never_arrived_is_told(what: Answer, operation: str, sent: dict[str, str], desk: Desk) -> None:
    """When nobody listens as long as it is tried, the answer certainly never arrived: exit 1."""
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        desk.session = Session(endpoint_url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(NetworkError) as caught:
            desk.answer(what, REFERENCE, retry_for=2.5)
    assert (type(caught.value), caught.value.exit_code) == (NetworkError, 1)
    assert len(desk.told) == 2


@pytest.mark.parametrize(("retry_for", "tries"), [(0.0, 1), (1.0, 1), (1.5, 2), (10.0, 10)])
def test_what_may_pass_is_retried_so_long_and_no_longer(
    retry_for: float, tries: int, desk: Desk, stub: StubService
) -> None:
    """No try starts after --retry-for, and at least one is made."""
    stub.fault(COMPLETED, "ThrottlingException")
    with pytest.raises(ThrottlingError):
        desk.answer(COMPLETE, retry_for=retry_for)
    assert len(stub.requests) == tries
    assert len(desk.told) == tries - 1


# --- cancelling a task that nobody asked to cancel


CANCELLED = ANSWERS["cancel"][0]


def test_cancelling_an_open_task_that_nobody_asked_to_cancel(desk: Desk, stub: StubService) -> None:
    """SWF refuses to cancel a task unasked; a heartbeat tells that it is open: exit 1, and what to do instead."""
    stub.fault(CANCEL, "UnknownResourceFault", "Unknown activity")
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    with pytest.raises(UnknownResource, match="nobody asked to cancel it") as caught:
        desk.answer(CANCELLED)
    assert (caught.value.exit_code, caught.value.hint) == (1, "complete it or fail it")
    assert (caught.value.code, caught.value.request_id) == ("UnknownResourceFault", "REQUEST")
    assert stub.requests == [(CANCEL, {"taskToken": "TOKEN", "details": "how"}), (HEARTBEAT, {"taskToken": "TOKEN"})]


def test_a_task_that_was_not_cancelled_is_still_held(desk: Desk, stub: StubService) -> None:
    """An open task that nobody asked to cancel stays on record."""
    stub.fault(CANCEL, "UnknownResourceFault", "Unknown activity")
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    stub.reply(HISTORY, {"events": [STARTED]})
    desk.take()
    with pytest.raises(UnknownResource):
        desk.answer(CANCELLED)
    assert desk.held() == ["TOKEN"]


def test_cancelling_just_as_cancellation_is_requested(desk: Desk, stub: StubService) -> None:
    """When SWF refused, and yet cancellation was requested, another try is advised: exit 1."""
    stub.fault(CANCEL, "UnknownResourceFault")
    stub.reply(HEARTBEAT, {"cancelRequested": True})
    with pytest.raises(UnknownResource, match="cancellation of this task was requested") as caught:
        desk.answer(CANCELLED)
    assert (caught.value.exit_code, caught.value.hint) == (1, "try again in a moment")


@pytest.mark.parametrize("fault", ["OperationNotPermittedFault", "ThrottlingException", "InternalFailure"])
def test_cancelling_when_the_heartbeat_does_not_tell(fault: str, desk: Desk, stub: StubService) -> None:
    """Where the heartbeat fails, both reasons are named: exit 1, and not the heartbeat's own failure."""
    stub.fault(CANCEL, "UnknownResourceFault")
    stub.fault(HEARTBEAT, fault, status=500 if fault == "InternalFailure" else 400)
    with pytest.raises(UnknownResource, match="closed, or nobody asked") as caught:
        desk.answer(CANCELLED)
    assert (caught.value.exit_code, caught.value.code) == (1, "UnknownResourceFault")
    assert type(caught.value) is UnknownResource


def test_cancelling_with_a_token_that_is_none_asks_no_further(desk: Desk, stub: StubService) -> None:
    """A token that SWF never gave is exit 5 at once."""
    stub.fault(CANCEL, "ValidationException", "Invalid token")
    with pytest.raises(TaskNotOpen):
        desk.answer(CANCELLED)
    assert stub.operations() == [CANCEL]


# --- reading how a task ended


def test_history_is_read_backwards_to_the_start_of_the_task(desk: Desk, stub: StubService) -> None:
    """Of a long history only the end is read: backwards, page after page, no further than the task's start."""
    stub.reply(HISTORY, {"events": [event(300, "MarkerRecorded")], "nextPageToken": "2"})
    stub.reply(HISTORY, {"events": [event(9, "MarkerRecorded"), STARTED], "nextPageToken": "3"})
    assert read_end(desk.session.no_retry, REFERENCE) is None
    first, second = (arguments for _, arguments in stub.requests)
    assert (first["execution"], first["domain"]) == ({"workflowId": "video-7", "runId": "RUN"}, "video")
    assert first["reverseOrder"] is second["reverseOrder"] is True
    assert ("nextPageToken" in first, second["nextPageToken"]) == (False, "2")


def test_a_tasks_own_end_counts_before_its_executions(desk: Desk, stub: StubService) -> None:
    """When the execution ended too, on a later page even, what counts is how the task itself ended."""
    stub.reply(HISTORY, {"events": [event(300, "WorkflowExecutionCompleted")], "nextPageToken": "2"})
    stub.reply(HISTORY, {"events": [ended("ActivityTaskFailed", reason="bad"), STARTED]})
    end = read_end(desk.session.no_retry, REFERENCE)
    assert end is not None
    assert (end.state, end.reason) == ("failed", "bad")


@pytest.mark.parametrize(
    "reference",
    [
        replace(REFERENCE, domain=None),
        replace(REFERENCE, execution=None),
        replace(REFERENCE, task_started_execution_history_event_id=None),
    ],
)
def test_a_reference_that_lacks_a_part_names_no_history(
    reference: TaskReference, desk: Desk, stub: StubService
) -> None:
    """Domain, execution and started event are all needed to find a task's end."""
    with pytest.raises(LookupError):
        read_end(desk.session.no_retry, reference)
    assert stub.requests == []


# --- prune


def test_prune_drops_what_history_shows_closed_and_nothing_else(desk: Desk, stub: StubService) -> None:
    """Tasks that are closed go; open ones, polls that broke, and what can't be read, which is told, stay."""
    keys = [desk.take() for _ in range(3)]
    broken = desk.ledger.begin_poll(PollSource("video", "resize", "me", None, "us-east-1", stub.url), "poll")
    desk.ledger.mark_poll_lost(broken)
    stub.reply(HISTORY, {"events": [STARTED]})
    stub.reply(HISTORY, {"events": [event(9, "WorkflowExecutionCompleted"), STARTED]})
    stub.fault(HISTORY, "OperationNotPermittedFault", "not for you")
    asked = [held.key for held in desk.ledger.list_held() if held.key in keys]
    sessions: list[HeldTask] = []

    def session_of(held: HeldTask) -> Session:
        sessions.append(held)
        return desk.session

    prune(desk.ledger, session_of, desk.told.append)
    assert {held.key for held in desk.ledger.list_held()} == {broken, asked[0], asked[2]}
    (told,) = desk.told
    assert told.startswith(f"{asked[2]} stays: ")
    assert "not for you" in told
    assert len(sessions) == 1  # one place, one session
    assert set(stub.operations()) == {HISTORY}  # a heartbeat would move the task's clock


def test_prune_goes_on_when_a_place_cannot_be_reached(desk: Desk, stub: StubService) -> None:
    """A profile that is gone, or a place that is down, keeps its tasks, and does not keep others from being read."""
    desk.take()
    stub.reply(HISTORY, {"events": [ended("ActivityTaskCompleted"), STARTED]})
    away = desk.ledger.begin_poll(PollSource("video", "resize", "me", "gone", "us-east-1", stub.url), "poll")
    desk.ledger.assign_task(away, WorkerTask.from_api({**TASK, "taskToken": "AWAY"}))

    def session_of(held: HeldTask) -> Session:
        if held.profile == "gone":
            raise ServiceError("no such profile")
        return desk.session

    prune(desk.ledger, session_of, desk.told.append)
    assert desk.held() == ["AWAY"]
    assert desk.told == [f"{away} stays: no such profile"]
