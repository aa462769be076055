"""The tasks of an execution as values, and how history events say that they ended."""

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from swf_cli.history import ActivityTask, DecisionTask, End, attributes, end_of, open_activity_ids
from swf_cli.models import ActivityId, PartialTaskConfiguration
from tests.helpers.events import event

STARTED = event(6, "ActivityTaskStarted", scheduledEventId=5, identity="me")


@pytest.mark.parametrize(
    ("closing", "end", "words"),
    [
        (event(7, "ActivityTaskCompleted", startedEventId=6, result="ok"), End("completed", "ok"), "it completed"),
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
            End("timed_out", details="page 7", timeout_type="HEARTBEAT"),
            "it timed out (HEARTBEAT)",
        ),
        (
            event(7, "WorkflowExecutionCompleted", result="not the task's"),
            End("gone", cause="completed"),
            "its workflow execution completed",
        ),
        (
            event(7, "WorkflowExecutionFailed", reason="bad", details="very"),
            End("gone", reason="bad", details="very", cause="failed"),
            "its workflow execution failed",
        ),
        (
            event(7, "WorkflowExecutionCanceled", details="page 7"),
            End("gone", details="page 7", cause="cancelled"),
            "its workflow execution was cancelled",
        ),
        (
            event(7, "WorkflowExecutionTerminated", cause="OPERATOR_INITIATED"),
            End("gone", cause="terminated"),
            "its workflow execution was terminated",
        ),
        (
            event(7, "WorkflowExecutionTerminated", cause="EVENT_LIMIT_EXCEEDED"),
            End("gone", reason="EVENT_LIMIT_EXCEEDED", cause="terminated"),
            "its workflow execution was terminated",
        ),
        (
            event(7, "WorkflowExecutionTerminated", cause="CHILD_POLICY_APPLIED", reason="tidy up"),
            End("gone", reason="tidy up", cause="terminated"),
            "its workflow execution was terminated",
        ),
        (event(7, "WorkflowExecutionTimedOut"), End("gone", cause="timed_out"), "its workflow execution timed out"),
        (
            event(7, "WorkflowExecutionContinuedAsNew"),
            End("gone", cause="continued_as_new"),
            "its workflow execution continued as new",
        ),
    ],
)
def test_each_end_is_found(closing: dict[str, Any], end: End, words: str) -> None:
    """A task's end is found by its started event, with everything it says; or its execution's end is."""
    assert end_of([STARTED, closing], 6) == end
    assert str(end) == words


def test_a_tasks_own_end_counts_in_any_order() -> None:
    """Whatever the order of the events, a task's own end takes precedence over its execution's."""
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
        pytest.param([event(9, "SomethingNew", startedEventId=6)], id="an event of an unknown type"),
        pytest.param([{"eventId": 9}], id="an event without a type"),
        pytest.param([event(9, "ActivityTaskFailed", startedEventId=6, reason=7)], id="a reason that is no text"),
    ],
)
def test_what_is_not_an_end(events: list[dict[str, Any]]) -> None:
    """The end of another task, a mere request, and a malformed event are not a task's end."""
    assert end_of(events, 6) is None


def test_the_end_of_an_execution_comes_after_the_start() -> None:
    """Only an event after the task's start closes its execution; an end is named even if its cause is unknown."""
    closing = event(7, "WorkflowExecutionFailed")
    assert end_of([closing], 7) is None
    assert end_of([closing, event(8, "MarkerRecorded")], 6) == End("gone", cause="failed")
    assert str(End("gone")) == str(End("gone", cause="something_new")) == "its workflow execution ended"


def test_attributes_are_found_by_the_events_type() -> None:
    """An event has its attributes under a key derived from its type; it may have none."""
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
        event(12, "ActivityTaskTimedOut", scheduledEventId=4, startedEventId=0),  # of a task that it does not show
    ]
    assert open_activity_ids(events) == ["c", "a"]


def task(started_at: float | None = None, **timeouts: Any) -> ActivityTask:
    """Return an open task that was scheduled at 1000."""
    configuration = PartialTaskConfiguration("x", **timeouts)
    started: dict[str, Any] = {} if started_at is None else {"started_at": started_at, "started_event_id": 6}
    return ActivityTask("a", ActivityId("resize", "1"), "x", configuration, 1000.0, **started)


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("started_at", "timeouts", "deadline"),
    [
        (None, {}, None),
        (None, {"schedule_timeout": None, "total_timeout": None}, None),
        (None, {"schedule_timeout": 60 * SECOND, "total_timeout": 300 * SECOND}, 1060.0),
        (None, {"schedule_timeout": 400 * SECOND, "total_timeout": 300 * SECOND}, 1300.0),
        (None, {"runtime_timeout": 10 * SECOND, "heartbeat_timeout": SECOND}, None),
        (1020.0, {"schedule_timeout": 10 * SECOND}, None),
        (1020.0, {"runtime_timeout": 120 * SECOND, "total_timeout": 300 * SECOND}, 1140.0),
        (1020.0, {"runtime_timeout": 600 * SECOND, "total_timeout": 300 * SECOND}, 1300.0),
        (1020.0, {"runtime_timeout": None, "heartbeat_timeout": 30 * SECOND}, None),
        (1020.0, {"runtime_timeout": 0 * SECOND}, 1020.0),
    ],
)
def test_the_deadline_is_the_first_of_its_timeouts(
    started_at: float | None, timeouts: dict[str, timedelta | None], deadline: float | None
) -> None:
    """Schedule timeouts count from scheduling, start-to-close from the start; heartbeats may go on for ever."""
    assert task(started_at, **timeouts).deadline == deadline


@pytest.mark.parametrize(
    ("started_at", "timeouts", "never"),
    [
        (1020.0, {}, True),
        (1020.0, {"runtime_timeout": None, "total_timeout": None, "heartbeat_timeout": None}, True),
        (1020.0, {"heartbeat_timeout": 30 * SECOND}, False),
        (1020.0, {"runtime_timeout": 0 * SECOND}, False),
        (1020.0, {"schedule_timeout": 30 * SECOND}, True),
        (None, {}, False),
    ],
)
def test_a_started_task_without_timeouts_never_ends(
    started_at: float | None, timeouts: dict[str, timedelta | None], never: bool
) -> None:
    """Only start-to-close, schedule-to-close and heartbeat end a started task."""
    assert task(started_at, **timeouts).never_ends is never


def test_a_closed_task_has_no_deadline() -> None:
    """Its timeouts are over."""
    assert replace(task(schedule_timeout=SECOND), end=End("completed"), closed_at=1001.0).deadline is None


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "scheduled"),
        ({"started_at": 1020.0}, "started"),
        ({"started_at": 1020.0, "cancel_requested_at": 1030.0}, "cancelling"),
        ({"end": End("failed")}, "failed"),
        ({"end": End("gone")}, "scheduled"),
        ({"started_at": 1020.0, "end": End("gone")}, "started"),
    ],
)
def test_a_task_that_is_gone_keeps_its_state(fields: dict[str, Any], state: str) -> None:
    """Its own end is its state; the end of its execution is not."""
    assert replace(task(), **fields).state == state


@pytest.mark.parametrize(
    ("started_at", "timeout", "state", "deadline"),
    [
        (None, 30 * SECOND, "scheduled", None),
        (1020.0, 30 * SECOND, "started", 1050.0),
        (1020.0, None, "started", None),
    ],
)
def test_a_decision_task_times_out_once_it_is_started(
    started_at: float | None, timeout: timedelta | None, state: str, deadline: float | None
) -> None:
    """Only start-to-close closes a decision task here."""
    settings = PartialTaskConfiguration("deciders", runtime_timeout=timeout)
    decision = DecisionTask("deciders", settings, 1000.0, 1000.0, started_at=started_at)
    assert (decision.state, decision.deadline) == (state, deadline)
