"""Two histories of 30 events, and what `swf tasks --all -o json` prints of them, both written by hand.

Times are minutes and seconds after 02:00 on 2026-11-24, UTC.
"""

from typing import Any

from tests.helpers.events import event

_TWO_O_CLOCK = 1_795_485_600


def _event(number: int, minute: int, second: int, kind: str, **values: Any) -> dict[str, Any]:
    return event(number, kind, _TWO_O_CLOCK + 60 * minute + second, **values)


def _scheduled(activity_id: str, name: str, task_list: str, *timeouts: str, **more: str) -> dict[str, Any]:
    """Return the attributes of a scheduled event; timeouts: schedule-to-start, -close, start-to-close, heartbeat."""
    names = ("scheduleToStartTimeout", "scheduleToCloseTimeout", "startToCloseTimeout", "heartbeatTimeout")
    return {
        "activityId": activity_id,
        "activityType": {"name": name, "version": "1"},
        "taskList": {"name": task_list},
        **dict(zip(names, timeouts, strict=True)),
        **more,
    }


_DECISION = {"taskList": {"name": "deciders"}, "startToCloseTimeout": "30", "scheduleToStartTimeout": "NONE"}
_FETCH = _scheduled("fetch-1", "fetch", "net", "60", "300", "120", "NONE")
_RESIZE = _scheduled("resize", "resize", "gpu", "NONE", "NONE", "600", "30", taskPriority="5")
_UPLOAD = _scheduled("upload", "upload", "net", "60", "300", "120", "NONE")

RETRIES: list[dict[str, Any]] = [
    _event(1, 0, 0, "WorkflowExecutionStarted"),
    _event(2, 0, 0, "DecisionTaskScheduled", **_DECISION),
    _event(3, 0, 1, "DecisionTaskStarted", scheduledEventId=2),
    _event(4, 0, 2, "DecisionTaskCompleted", scheduledEventId=2, startedEventId=3),
    _event(5, 0, 2, "ActivityTaskScheduled", **_FETCH, input="http://example.com/in.png"),
    _event(6, 0, 2, "ActivityTaskScheduled", **_RESIZE),
    _event(7, 0, 4, "ActivityTaskStarted", scheduledEventId=5, identity="host-a:1"),
    _event(8, 0, 10, "ActivityTaskCompleted", scheduledEventId=5, startedEventId=7, result="ok"),
    _event(9, 0, 10, "DecisionTaskScheduled", **_DECISION),
    _event(10, 0, 11, "ActivityTaskStarted", scheduledEventId=6, identity="host-b:2"),
    _event(11, 0, 12, "DecisionTaskStarted", scheduledEventId=9),
    _event(12, 0, 13, "DecisionTaskCompleted", scheduledEventId=9, startedEventId=11),
    _event(13, 0, 13, "MarkerRecorded", markerName="fetched"),
    _event(
        14,
        0,
        41,
        "ActivityTaskTimedOut",
        scheduledEventId=6,
        startedEventId=10,
        timeoutType="HEARTBEAT",
        details="50%",
    ),
    _event(15, 0, 41, "DecisionTaskScheduled", **_DECISION),
    _event(16, 0, 42, "DecisionTaskStarted", scheduledEventId=15),
    _event(17, 0, 43, "DecisionTaskCompleted", scheduledEventId=15, startedEventId=16),
    _event(18, 0, 43, "ActivityTaskScheduled", **_RESIZE),
    _event(19, 0, 44, "ActivityTaskStarted", scheduledEventId=18, identity="host-b:2"),
    _event(
        20, 0, 50, "ActivityTaskFailed", scheduledEventId=18, startedEventId=19, reason="bad codec", details="av1"
    ),
    _event(21, 0, 50, "DecisionTaskScheduled", **_DECISION),
    _event(22, 0, 51, "DecisionTaskStarted", scheduledEventId=21),
    _event(23, 0, 52, "DecisionTaskCompleted", scheduledEventId=21, startedEventId=22),
    _event(24, 0, 52, "ActivityTaskScheduled", **_RESIZE),
    _event(25, 0, 52, "ActivityTaskScheduled", **_UPLOAD),
    _event(26, 1, 0, "ActivityTaskStarted", scheduledEventId=24, identity="host-c:3"),
    _event(27, 1, 52, "ActivityTaskTimedOut", scheduledEventId=25, startedEventId=0, timeoutType="SCHEDULE_TO_START"),
    _event(28, 1, 52, "DecisionTaskScheduled", **_DECISION),
    _event(29, 1, 53, "DecisionTaskStarted", scheduledEventId=28),
    _event(30, 1, 54, "WorkflowExecutionSignaled", signalName="hurry"),
]
"""A task that is completed; one that times out without heartbeats, is retried and fails, and is retried and runs; one
that no worker starts."""


def _end(state: str, **what: str) -> dict[str, Any]:
    """Return the JSON of an end."""
    return {"state": state, **dict.fromkeys(("result", "reason", "details", "timeout_type", "cause")), **what}


_NET = {
    "runtime_timeout": 120,
    "schedule_timeout": 60,
    "total_timeout": 300,
    "heartbeat_timeout": None,
    "priority": None,
}
_GPU = {
    "runtime_timeout": 600,
    "schedule_timeout": None,
    "total_timeout": None,
    "heartbeat_timeout": 30,
    "priority": 5,
}
_RETRIED = {
    "kind": "activity",
    "input": None,
    "execution": {"id": "video-7", "run_id": "RUN-A"},
    "id": "resize",
    "activity": {"name": "resize", "version": "1"},
    "task_list": "gpu",
}

RETRIES_TRUTH: list[dict[str, Any]] = [
    {
        "kind": "activity",
        "input": "http://example.com/in.png",
        "end": _end("completed", result="ok"),
        "execution": {"id": "video-7", "run_id": "RUN-A"},
        "id": "fetch-1",
        "activity": {"name": "fetch", "version": "1"},
        "task_list": "net",
        "state": "completed",
        "scheduled_at": "2026-11-24T02:00:02Z",
        "started_at": "2026-11-24T02:00:04Z",
        "closed_at": "2026-11-24T02:00:10Z",
        "identity": "host-a:1",
        "configuration": _NET,
        "deadline": None,
    },
    {
        **_RETRIED,
        "end": _end("timed_out", timeout_type="HEARTBEAT", details="50%"),
        "state": "timed_out",
        "scheduled_at": "2026-11-24T02:00:02Z",
        "started_at": "2026-11-24T02:00:11Z",
        "closed_at": "2026-11-24T02:00:41Z",
        "identity": "host-b:2",
        "configuration": _GPU,
        "deadline": None,
    },
    {
        **_RETRIED,
        "end": _end("failed", reason="bad codec", details="av1"),
        "state": "failed",
        "scheduled_at": "2026-11-24T02:00:43Z",
        "started_at": "2026-11-24T02:00:44Z",
        "closed_at": "2026-11-24T02:00:50Z",
        "identity": "host-b:2",
        "configuration": _GPU,
        "deadline": None,
    },
    {
        **_RETRIED,
        "end": None,
        "state": "started",
        "scheduled_at": "2026-11-24T02:00:52Z",
        "started_at": "2026-11-24T02:01:00Z",
        "closed_at": None,
        "identity": "host-c:3",
        "configuration": _GPU,
        "deadline": "2026-11-24T02:11:00Z",
    },
    {
        "kind": "activity",
        "input": None,
        "end": _end("timed_out", timeout_type="SCHEDULE_TO_START"),
        "execution": {"id": "video-7", "run_id": "RUN-A"},
        "id": "upload",
        "activity": {"name": "upload", "version": "1"},
        "task_list": "net",
        "state": "timed_out",
        "scheduled_at": "2026-11-24T02:00:52Z",
        "started_at": None,
        "closed_at": "2026-11-24T02:01:52Z",
        "identity": None,
        "configuration": _NET,
        "deadline": None,
    },
]

_ENCODE = ("encode", "gpu", "3600", "7200", "3600", "60")
# What is not given has no key: such an event has only two of the timeouts.
_NOTIFY = {
    name: value
    for name, value in _scheduled("notify", "notify", "mail", "NONE", "NONE", "NONE", "NONE").items()
    if name not in ("scheduleToStartTimeout", "heartbeatTimeout")
}

CANCELLATION: list[dict[str, Any]] = [
    _event(1, 0, 0, "WorkflowExecutionStarted"),
    _event(2, 0, 0, "DecisionTaskScheduled", **_DECISION),
    _event(3, 0, 1, "DecisionTaskStarted", scheduledEventId=2),
    _event(4, 0, 2, "DecisionTaskCompleted", scheduledEventId=2, startedEventId=3),
    _event(5, 0, 2, "ActivityTaskScheduled", **_scheduled("encode-1", *_ENCODE)),
    _event(6, 0, 2, "ActivityTaskScheduled", **_scheduled("encode-2", *_ENCODE)),
    _event(7, 0, 2, "ActivityTaskScheduled", **_NOTIFY),
    _event(8, 0, 5, "ActivityTaskStarted", scheduledEventId=5, identity="host-a:1"),
    _event(9, 0, 6, "ActivityTaskStarted", scheduledEventId=7),
    _event(10, 0, 20, "WorkflowExecutionCancelRequested"),
    _event(11, 0, 20, "DecisionTaskScheduled", **_DECISION),
    _event(12, 0, 21, "DecisionTaskStarted", scheduledEventId=11),
    _event(13, 0, 22, "DecisionTaskCompleted", scheduledEventId=11, startedEventId=12),
    _event(14, 0, 22, "ActivityTaskCancelRequested", activityId="encode-1"),
    _event(15, 0, 22, "ActivityTaskCancelRequested", activityId="encode-2"),
    _event(16, 0, 22, "ActivityTaskCanceled", scheduledEventId=6, startedEventId=0, latestCancelRequestedEventId=15),
    _event(17, 0, 22, "RequestCancelActivityTaskFailed", activityId="never-was", cause="ACTIVITY_ID_UNKNOWN"),
    _event(
        18,
        0,
        30,
        "ActivityTaskCanceled",
        scheduledEventId=5,
        startedEventId=8,
        latestCancelRequestedEventId=14,
        details="stopped",
    ),
    _event(19, 0, 30, "DecisionTaskScheduled", **_DECISION),
    _event(20, 0, 31, "DecisionTaskStarted", scheduledEventId=19),
    _event(21, 0, 32, "DecisionTaskCompleted", scheduledEventId=19, startedEventId=20),
    _event(22, 0, 32, "ActivityTaskScheduled", **_scheduled("encode-1", *_ENCODE)),
    _event(23, 0, 32, "ActivityTaskCancelRequested", activityId="notify"),
    _event(24, 0, 33, "ActivityTaskStarted", scheduledEventId=22, identity="host-b:2"),
    _event(25, 0, 34, "TimerStarted", timerId="grace", startToFireTimeout="26"),
    _event(26, 1, 0, "TimerFired", timerId="grace", startedEventId=25),
    _event(27, 1, 0, "DecisionTaskScheduled", **_DECISION),
    _event(28, 1, 1, "DecisionTaskStarted", scheduledEventId=27),
    _event(29, 1, 2, "DecisionTaskCompleted", scheduledEventId=27, startedEventId=28),
    _event(30, 1, 10, "WorkflowExecutionTerminated", cause="OPERATOR_INITIATED"),
]
"""A started task that is cancelled, and one that no worker had started; one that does not acknowledge its
cancellation; one that has the activity ID of the first; and the end of the execution, which cuts the last two off."""

_LONG = {
    "runtime_timeout": 3600,
    "schedule_timeout": 3600,
    "total_timeout": 7200,
    "heartbeat_timeout": 60,
    "priority": None,
}
_ENCODED = {
    "kind": "activity",
    "input": None,
    "execution": {"id": "video-8", "run_id": "RUN-B"},
    "activity": {"name": "encode", "version": "1"},
    "task_list": "gpu",
    "configuration": _LONG,
    "deadline": None,
}

CANCELLATION_TRUTH: list[dict[str, Any]] = [
    {
        **_ENCODED,
        "id": "encode-1",
        "end": _end("cancelled", details="stopped"),
        "state": "cancelled",
        "scheduled_at": "2026-11-24T02:00:02Z",
        "started_at": "2026-11-24T02:00:05Z",
        "closed_at": "2026-11-24T02:00:30Z",
        "identity": "host-a:1",
    },
    {
        **_ENCODED,
        "id": "encode-2",
        "end": _end("cancelled"),
        "state": "cancelled",
        "scheduled_at": "2026-11-24T02:00:02Z",
        "started_at": None,
        "closed_at": "2026-11-24T02:00:22Z",
        "identity": None,
    },
    {
        "kind": "activity",
        "input": None,
        "end": _end("gone", cause="terminated"),
        "execution": {"id": "video-8", "run_id": "RUN-B"},
        "id": "notify",
        "activity": {"name": "notify", "version": "1"},
        "task_list": "mail",
        "state": "cancelling",
        "scheduled_at": "2026-11-24T02:00:02Z",
        "started_at": "2026-11-24T02:00:06Z",
        "closed_at": "2026-11-24T02:01:10Z",
        "identity": None,
        "configuration": dict.fromkeys(
            ("runtime_timeout", "schedule_timeout", "total_timeout", "heartbeat_timeout", "priority")
        ),
        "deadline": None,
    },
    {
        **_ENCODED,
        "id": "encode-1",
        "end": _end("gone", cause="terminated"),
        "state": "started",
        "scheduled_at": "2026-11-24T02:00:32Z",
        "started_at": "2026-11-24T02:00:33Z",
        "closed_at": "2026-11-24T02:01:10Z",
        "identity": "host-b:2",
    },
]
