"""Events of an execution's history to what became of its activity tasks."""

import itertools
from typing import Any

import pytest

from swf_cli.history import End, attributes, end_of, open_activity_ids


def event(number: int, kind: str, **values: Any) -> dict[str, Any]:
    """Make an event, as botocore gives it."""
    return {"eventId": number, "eventType": kind, f"{kind[0].lower()}{kind[1:]}EventAttributes": values}


STARTED = event(6, "ActivityTaskStarted", scheduledEventId=5, identity="me")


@pytest.mark.parametrize(
    ("ending", "end", "words"),
    [
        (
            event(7, "ActivityTaskCompleted", startedEventId=6, result="ok"),
            End("completed", result="ok"),
            "it completed",
        ),
        (event(7, "ActivityTaskCompleted", startedEventId=6), End("completed"), "it completed"),
        (
            event(7, "ActivityTaskFailed", startedEventId=6, reason="bad", details="very"),
            End("failed", reason="bad", details="very"),
            "it failed",
        ),
        (
            event(7, "ActivityTaskCanceled", startedEventId=6, details="page 7"),
            End("cancelled", details="page 7"),
            "it was cancelled",
        ),
        (
            event(7, "ActivityTaskTimedOut", startedEventId=6, timeoutType="HEARTBEAT", details="page 7"),
            End("timed_out", details="page 7", why="HEARTBEAT"),
            "it timed out (HEARTBEAT)",
        ),
        (event(7, "WorkflowExecutionCompleted"), End("gone", why="completed"), "its workflow execution completed"),
        (event(7, "WorkflowExecutionFailed"), End("gone", why="failed"), "its workflow execution failed"),
        (
            event(7, "WorkflowExecutionCanceled"),
            End("gone", why="was cancelled"),
            "its workflow execution was cancelled",
        ),
        (
            event(7, "WorkflowExecutionTerminated"),
            End("gone", why="was terminated"),
            "its workflow execution was terminated",
        ),
        (event(7, "WorkflowExecutionTimedOut"), End("gone", why="timed out"), "its workflow execution timed out"),
        (
            event(7, "WorkflowExecutionContinuedAsNew"),
            End("gone", why="continued as new"),
            "its workflow execution continued as new",
        ),
    ],
)
def test_each_end_is_told_in_words(ending: dict[str, Any], end: End, words: str) -> None:
    """A task's end is found by its started event, with all that was said of it; or its execution's end is."""
    assert end_of([STARTED, ending], 6) == end
    assert str(end) == words


def test_a_tasks_own_end_counts_in_any_order() -> None:
    """However the events come, a task's own end counts before its execution's."""
    events = [
        STARTED,
        event(7, "ActivityTaskFailed", startedEventId=6, reason="bad"),
        event(8, "WorkflowExecutionFailed"),
    ]
    for order in itertools.permutations(events):
        assert end_of(order, 6) == End("failed", reason="bad")


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([], id="nothing"),
        pytest.param([STARTED], id="its start"),
        pytest.param([event(9, "ActivityTaskCompleted", startedEventId=8, result="ok")], id="another task's end"),
        pytest.param([event(9, "ActivityTaskTimedOut", startedEventId=0)], id="a task that nobody started"),
        pytest.param([event(9, "ActivityTaskCancelRequested", activityId="resize-1")], id="a cancellation request"),
        pytest.param([event(9, "WorkflowExecutionCancelRequested")], id="a request to cancel the execution"),
        pytest.param([event(9, "WorkflowExecutionSignaled")], id="a signal"),
        pytest.param([event(9, "SomethingNew", startedEventId=6)], id="an event of a kind unknown"),
    ],
)
def test_what_is_no_end(events: list[dict[str, Any]]) -> None:
    """The end of another task, or a mere request, is no end."""
    assert end_of(events, 6) is None


def test_attributes_are_found_by_the_events_type() -> None:
    """SWF keeps an event's attributes under a key that its type gives; an event may have none."""
    assert attributes(STARTED) == {"scheduledEventId": 5, "identity": "me"}
    assert attributes({"eventId": 1, "eventType": "WorkflowExecutionStarted"}) == {}


def test_open_activity_ids() -> None:
    """Of a whole history, the tasks without an end are open: an id may be open again after it was closed."""
    events = [
        event(5, "ActivityTaskScheduled", activityId="a"),
        event(6, "ActivityTaskScheduled", activityId="b"),
        event(7, "ActivityTaskStarted", scheduledEventId=5),
        event(8, "ActivityTaskCompleted", scheduledEventId=5, startedEventId=7),
        event(9, "ActivityTaskScheduled", activityId="c"),
        event(10, "ActivityTaskScheduled", activityId="a"),
        event(11, "ActivityTaskTimedOut", scheduledEventId=6, startedEventId=0),
    ]
    assert open_activity_ids(events) == ["c", "a"]
