"""How a task ended, read from the history of its execution."""

from dataclasses import replace
from typing import Any

import pytest

from swf_cli.client.session import Session
from swf_cli.errors import SwfError
from swf_cli.history import End
from swf_cli.models import ExecutionId, TaskReference
from swf_cli.task_ends import find_end
from tests.helpers.events import event
from tests.helpers.operations import HISTORY
from tests.helpers.stub_service import StubService

REFERENCE = TaskReference("TOKEN", "video", ExecutionId("video-7", "RUN"), 6)


def closing(kind: str, **values: Any) -> dict[str, Any]:
    """Return the event that closed the task of `REFERENCE`."""
    return event(8, kind, scheduledEventId=5, startedEventId=6, **values)


STARTED = event(6, "ActivityTaskStarted", scheduledEventId=5)


def test_history_is_read_backwards_to_the_start_of_the_task(session: Session, stub: StubService) -> None:
    """Of a long history only the end is read: backwards, page by page, no further than the task's start."""
    stub.reply(HISTORY, {"events": [event(300, "MarkerRecorded")], "nextPageToken": "2"})
    stub.reply(HISTORY, {"events": [event(9, "MarkerRecorded"), STARTED], "nextPageToken": "3"})
    assert find_end(session.no_retry, REFERENCE) is None
    execution = {"workflowId": "video-7", "runId": "RUN"}
    first = {"domain": "video", "execution": execution, "reverseOrder": True, "maximumPageSize": 100}
    assert [arguments for _, arguments in stub.requests] == [first, {**first, "nextPageToken": "2"}]


def test_a_history_may_have_an_empty_page(session: Session, stub: StubService) -> None:
    """A page without events is no end, and not the last page."""
    stub.reply(HISTORY, {"nextPageToken": "2"})
    stub.reply(HISTORY, {})
    assert find_end(session.no_retry, REFERENCE) is None
    assert len(stub.requests) == 2


def test_a_history_may_be_too_long(session: Session, stub: StubService) -> None:
    """When the time is up, no further page is read."""
    for number in range(5):
        stub.reply(HISTORY, {"events": [event(300 - number, "MarkerRecorded")], "nextPageToken": f"{number}"})
    is_over = iter([False, False, True])
    with pytest.raises(SwfError, match="too long to be read in time"):
        find_end(session.no_retry, REFERENCE, lambda: next(is_over))
    assert len(stub.requests) == 3


def test_a_tasks_own_end_counts_before_its_executions(session: Session, stub: StubService) -> None:
    """If the execution ended too, how the task itself ended counts, even on a later page."""
    stub.reply(HISTORY, {"events": [event(300, "WorkflowExecutionCompleted")], "nextPageToken": "2"})
    stub.reply(HISTORY, {"events": [closing("ActivityTaskFailed", reason="bad"), STARTED]})
    end = find_end(session.no_retry, REFERENCE)
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
    found = find_end(session.no_retry, REFERENCE)
    assert found is not None
    assert (found.state, str(found)) == ("gone", "its workflow execution was terminated")


def test_a_malformed_event_does_not_end_the_search(session: Session, stub: StubService) -> None:
    """It is skipped, and older pages are read."""
    end = closing("ActivityTaskCompleted", result="ok")
    malformed = {name: value for name, value in STARTED.items() if name != "eventId"}
    stub.reply(HISTORY, {"events": [malformed], "nextPageToken": "2"})
    stub.reply(HISTORY, {"events": [end, STARTED]})
    assert find_end(session.no_retry, REFERENCE) == End("completed", result="ok")


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
        find_end(session.no_retry, reference)
    assert stub.requests == []
