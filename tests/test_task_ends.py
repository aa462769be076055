"""How a task ended, read from the history of its execution."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swf_cli.client.session import Session
from swf_cli.errors import ServiceError, SwfError, TaskClosed, TaskNotOpen
from swf_cli.history import End
from swf_cli.invocation import Invocation
from swf_cli.ledger.records import HeldTask
from swf_cli.ledger.store import Ledger
from swf_cli.models import ExecutionId, TaskReference, WorkerTask
from swf_cli.task_ends import drop_closed, explain_not_open, find_end
from tests.helpers.cli import TASK
from tests.helpers.clock import FakeClock
from tests.helpers.events import event
from tests.helpers.ledger import SOURCE, record_task
from tests.helpers.operations import HISTORY
from tests.helpers.stub_service import StubService

UNKNOWN_EXECUTION = "Unknown execution: WorkflowExecution=[workflowId=video-7, runId=RUN] (123456789012)"
REFERENCE = TaskReference("TOKEN", "video", ExecutionId("video-7", "RUN"), 6)


def closing(kind: str, **values: Any) -> dict[str, Any]:
    """Return the event that closed the task of `REFERENCE`."""
    return event(8, kind, scheduledEventId=5, startedEventId=6, **values)


STARTED = event(6, "ActivityTaskStarted", scheduledEventId=5)


def test_history_is_read_backwards_to_the_start_of_the_task(session: Session, stub: StubService) -> None:
    """Of a long history only the end is read: backwards, page by page, no further than the task's start."""
    stub.reply(HISTORY, {"events": [event(300, "MarkerRecorded")], "nextPageToken": "2"})
    stub.reply(HISTORY, {"events": [event(9, "MarkerRecorded"), STARTED], "nextPageToken": "3"})
    assert find_end(session.single_attempt_client, REFERENCE) is None
    execution = {"workflowId": "video-7", "runId": "RUN"}
    first = {"domain": "video", "execution": execution, "reverseOrder": True, "maximumPageSize": 100}
    assert [arguments for _, arguments in stub.requests] == [first, {**first, "nextPageToken": "2"}]


def test_a_history_may_have_an_empty_page(session: Session, stub: StubService) -> None:
    """A page without events is no end, and not the last page."""
    stub.reply(HISTORY, {"nextPageToken": "2"})
    stub.reply(HISTORY, {})
    assert find_end(session.single_attempt_client, REFERENCE) is None
    assert len(stub.requests) == 2


def test_a_history_may_be_too_long(session: Session, stub: StubService) -> None:
    """When the time is up, no further page is read."""
    for number in range(5):
        stub.reply(HISTORY, {"events": [event(300 - number, "MarkerRecorded")], "nextPageToken": f"{number}"})
    is_over = iter([False, False, True])
    with pytest.raises(SwfError, match="too long to be read in time"):
        find_end(session.single_attempt_client, REFERENCE, lambda: next(is_over))
    assert len(stub.requests) == 3


def test_a_tasks_own_end_counts_before_its_executions(session: Session, stub: StubService) -> None:
    """If the execution ended too, how the task itself ended counts, even on a later page."""
    stub.reply(HISTORY, {"events": [event(300, "WorkflowExecutionCompleted")], "nextPageToken": "2"})
    stub.reply(HISTORY, {"events": [closing("ActivityTaskFailed", reason="bad"), STARTED]})
    end = find_end(session.single_attempt_client, REFERENCE)
    assert end is not None
    assert (end.state, end.reason) == ("failed", "bad")


@pytest.mark.parametrize("pages", [1, 2])
def test_the_executions_end_is_the_end_of_its_tasks(pages: int, session: Session, stub: StubService) -> None:
    """A task without an end of its own ended with its execution, also if its start is on a later page."""
    end = event(300, "WorkflowExecutionTerminated")
    if pages == 1:
        stub.reply(HISTORY, {"events": [end, STARTED]})
    else:
        stub.reply(HISTORY, {"events": [end], "nextPageToken": "2"})
        stub.reply(HISTORY, {"events": [STARTED]})
    found = find_end(session.single_attempt_client, REFERENCE)
    assert found is not None
    assert (found.state, str(found)) == ("gone", "its workflow execution was terminated")


def test_a_malformed_event_does_not_end_the_search(session: Session, stub: StubService) -> None:
    """It is skipped, and older pages are read."""
    end = closing("ActivityTaskCompleted", result="ok")
    malformed = {name: value for name, value in STARTED.items() if name != "eventId"}
    stub.reply(HISTORY, {"events": [malformed], "nextPageToken": "2"})
    stub.reply(HISTORY, {"events": [end, STARTED]})
    assert find_end(session.single_attempt_client, REFERENCE) == End("completed", result="ok")


@pytest.mark.parametrize(
    "reference",
    [
        replace(REFERENCE, domain=None),
        replace(REFERENCE, execution=None),
        replace(REFERENCE, task_started_execution_history_event_id=None),
    ],
)
def test_a_reference_that_lacks_a_part_has_no_history(
    reference: TaskReference, session: Session, stub: StubService
) -> None:
    """Domain, execution and started event are all needed to find a task's end."""
    with pytest.raises(LookupError):
        find_end(session.single_attempt_client, reference)
    assert stub.requests == []


# --- why a task is not open


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A fresh ledger."""
    with Ledger(tmp_path / "state") as ledger:
        yield ledger


NOT_OPEN = TaskNotOpen("the task is not open", code="UnknownResourceFault", request_id="R")


def test_why_a_task_is_not_open(session: Session, stub: StubService, ledger: Ledger) -> None:
    """The error says how the task ended, and keeps what SWF said."""
    stub.reply(HISTORY, {"events": [closing("ActivityTaskCompleted", result="r"), STARTED]})
    error = explain_not_open(session.single_attempt_client, REFERENCE, ledger, NOT_OPEN)
    assert isinstance(error, TaskClosed)
    assert error.message == f"the task is not open: {End('completed', result='r')}"
    assert (error.code, error.request_id) == ("UnknownResourceFault", "R")


def test_why_a_task_of_the_ledger_is_not_open(session: Session, stub: StubService, ledger: Ledger) -> None:
    """Of a token alone, the ledger knows the execution; that of a task from `swf poll` is its own."""
    record_task(ledger, WorkerTask.from_api(TASK), replace(SOURCE, domain="held"))
    stub.reply(HISTORY, {"events": [closing("ActivityTaskCompleted"), STARTED]})
    error = explain_not_open(session.single_attempt_client, TaskReference("TOKEN"), ledger, NOT_OPEN)
    assert isinstance(error, TaskClosed)
    explain_not_open(session.single_attempt_client, replace(REFERENCE, domain="own"), ledger, NOT_OPEN)
    assert [arguments["domain"] for _, arguments in stub.requests] == ["held", "own"]
    assert explain_not_open(session.single_attempt_client, TaskReference("ANOTHER"), ledger, NOT_OPEN) is NOT_OPEN
    assert len(stub.requests) == 2


@pytest.mark.parametrize("seconds", [9.9, 10.0])
def test_a_history_is_not_read_for_longer_than_ten_seconds(
    seconds: float, session: Session, stub: StubService, ledger: Ledger
) -> None:
    """Why a task is not open is worth that, and no more; nor is a history that can't be read an error."""
    clock = FakeClock()
    page = {"events": [event(300, "MarkerRecorded")], "nextPageToken": "2"}
    stub.reply(HISTORY, page, action=lambda: clock.advance(seconds))
    stub.reply(HISTORY, {"events": [closing("ActivityTaskCompleted"), STARTED]})
    error = explain_not_open(session.single_attempt_client, REFERENCE, ledger, NOT_OPEN, clock)
    assert (error is NOT_OPEN) is (seconds >= 10)
    assert len(stub.requests) == (1 if seconds >= 10 else 2)


def record(ledger: Ledger, **attributes: Any) -> str:
    """Put the task in the ledger, and return its key."""
    return record_task(ledger, WorkerTask.from_api(TASK), replace(SOURCE, **attributes))


# --- tasks of the ledger that are closed


def test_closed_tasks_are_dropped(
    session: Session, ledger: Ledger, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """Closed tasks go; open ones, lost polls, and tasks whose history can't be read, which is logged, stay."""
    keys = [record(ledger) for _ in range(3)]
    poll = ledger.record_poll(SOURCE, "poll")
    poll.mark_lost()
    stub.reply(HISTORY, {"events": [STARTED]})
    stub.reply(HISTORY, {"events": [event(9, "WorkflowExecutionCompleted"), STARTED]})
    stub.fault(HISTORY, "OperationNotPermittedFault", "not for you")
    asked = [held.key for held in ledger.list_held() if held.key in keys]
    places: list[HeldTask] = []

    def session_of(held: HeldTask) -> Session:
        places.append(held)
        return session

    drop_closed(ledger, ledger.list_held(), session_of, Invocation())
    assert {held.key for held in ledger.list_held()} == {poll.key, asked[0], asked[2]}
    (message,) = log.messages
    assert message.startswith(f"{asked[2]} is kept: ")
    assert "not for you" in message
    assert len(places) == 1  # one place, one session
    assert set(stub.operations()) == {HISTORY}  # a heartbeat would restart the task's heartbeat timeout


def test_only_the_given_rows_are_looked_at(session: Session, ledger: Ledger, stub: StubService) -> None:
    """With rows, the other tasks of the ledger stay, and their histories are not read."""
    first, second = record(ledger), record(ledger)
    stub.reply(HISTORY, {"events": [closing("ActivityTaskCompleted"), STARTED]})
    drop_closed(ledger, [ledger.find_key(first)], lambda _: session, Invocation())
    assert [held.key for held in ledger.list_held()] == [second]
    assert stub.operations() == [HISTORY]


def test_a_place_that_cannot_be_reached_keeps_its_own_tasks(
    session: Session, ledger: Ledger, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """A profile that is gone, or a service that is down, keeps its own tasks only."""
    record(ledger)
    away = record(ledger, profile="gone")
    stub.reply(HISTORY, {"events": [closing("ActivityTaskCompleted"), STARTED]})

    def session_of(held: HeldTask) -> Session:
        if held.profile == "gone":
            raise ServiceError("no such profile")
        return session

    drop_closed(ledger, ledger.list_held(), session_of, Invocation())
    assert [held.key for held in ledger.list_held()] == [away]
    assert log.messages == [f"{away} is kept: no such profile"]


@pytest.mark.parametrize(
    ("different", "value"), [("profile", "another"), ("region", "eu-west-3"), ("endpoint", "https://another.example")]
)
def test_each_place_is_asked_itself(
    different: str, value: str, session: Session, ledger: Ledger, stub: StubService
) -> None:
    """Tasks that were received with another profile, region or endpoint are looked up there."""
    record(ledger)
    record(ledger, **{different: value})
    stub.reply(HISTORY, {"events": [STARTED]})
    places: list[str | None] = []

    def session_of(held: HeldTask) -> Session:
        places.append(getattr(held, different))
        return session

    drop_closed(ledger, ledger.list_held(), session_of, Invocation())
    assert sorted(map(str, places)) == sorted([str(getattr(SOURCE, different)), value])


def test_a_task_whose_execution_is_unknown_is_kept(
    session: Session, ledger: Ledger, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """Another account would say the same: the command that removes the row is logged, and nothing else is sent."""
    key = record(ledger)
    stub.fault(HISTORY, "UnknownResourceFault", UNKNOWN_EXECUTION)
    drop_closed(ledger, ledger.list_held(), lambda _: session, Invocation())
    assert [held.token for held in ledger.list_held()] == ["TOKEN"]
    (message,) = log.messages
    assert message.startswith(f"{key} is kept: SWF does not know its workflow execution; ")
    assert message.endswith(f": swf fail --held {key}")


def test_the_command_for_such_a_task_confirms_an_endpoint_again(
    session: Session, ledger: Ledger, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """One that is not encrypted: without the option the command would be refused."""
    endpoint = "http://swf.example"
    key = record(ledger, endpoint=endpoint)
    stub.fault(HISTORY, "UnknownResourceFault", UNKNOWN_EXECUTION)
    invocation = Invocation({"--endpoint-url": [endpoint]})
    drop_closed(ledger, ledger.list_held(), lambda _: session, invocation)
    assert log.messages[0].endswith(f": swf fail --endpoint-url {endpoint} --held {key}")
    assert stub.operations() == [HISTORY]
