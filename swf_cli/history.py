"""Events of an execution's history to what became of its activity tasks. Pure: it takes values and gives values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from .models import ActivityId, PartialTaskConfiguration

_ENDS: Final = {
    "ActivityTaskCompleted": "completed",
    "ActivityTaskFailed": "failed",
    "ActivityTaskCanceled": "cancelled",
    "ActivityTaskTimedOut": "timed_out",
}
_DECISION_WAITS: Final = ("DecisionTaskScheduled", "DecisionTaskStarted")
_DECISION_OVER: Final = ("DecisionTaskCompleted", "DecisionTaskTimedOut")
_EXECUTION_ENDS: Final = {
    "WorkflowExecutionCompleted": "completed",
    "WorkflowExecutionFailed": "failed",
    "WorkflowExecutionCanceled": "was cancelled",
    "WorkflowExecutionTerminated": "was terminated",
    "WorkflowExecutionTimedOut": "timed out",
    "WorkflowExecutionContinuedAsNew": "continued as new",
}


@dataclass(frozen=True, slots=True)
class End:
    """How an activity task ended."""

    state: str
    """`completed`, `failed`, `cancelled`, `timed_out`; or `gone`: its execution ended before it did."""

    result: str | None = None
    reason: str | None = None
    details: str | None = None
    why: str = ""
    """The kind of timeout, as SWF names it, or how the execution ended."""

    def __str__(self) -> str:
        match self.state:
            case "timed_out":
                return f"it timed out ({self.why})"
            case "gone":
                return f"its workflow execution {self.why}"
            case "cancelled":
                return "it was cancelled"
        return f"it {self.state}"


def attributes(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the attributes of an event, whatever its type."""
    name = event["eventType"]
    found: Mapping[str, Any] = event.get(f"{name[0].lower()}{name[1:]}EventAttributes", {})
    return found


def end_of(events: Iterable[Mapping[str, Any]], started_event_id: int) -> End | None:
    """Find how the task with this ActivityTaskStarted event ended; None when these events do not say.

    The events may come in any order. The task's own end counts before its execution's.
    """
    gone = None
    for event in events:
        kind, values = event["eventType"], attributes(event)
        if kind in _ENDS and values.get("startedEventId") == started_event_id:
            return _end(event)
        if kind in _EXECUTION_ENDS and event["eventId"] > started_event_id:
            gone = End("gone", why=_EXECUTION_ENDS[kind])
    return gone


def open_activity_ids(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """Give the activity ids of the tasks that a whole history shows open, in the order they were scheduled."""
    scheduled: dict[int, str] = {}
    for event in events:
        kind, values = event["eventType"], attributes(event)
        if kind == "ActivityTaskScheduled":
            scheduled[event["eventId"]] = values["activityId"]
        elif kind in _ENDS:
            scheduled.pop(values["scheduledEventId"], None)
    return list(scheduled.values())


@dataclass(frozen=True, slots=True)
class ActivityTask:
    """An activity task of an execution, as its history tells it. Times are seconds since the epoch."""

    id: str
    activity: ActivityId
    task_list: str
    configuration: PartialTaskConfiguration
    """Effective configuration, as it is on the scheduled event."""

    scheduled_at: float
    started_event_id: int | None = None
    started_at: float | None = None
    identity: str | None = None
    """Who started it."""

    cancel_requested_at: float | None = None
    closed_at: float | None = None
    end: End | None = None

    @property
    def state(self) -> str:
        """One of scheduled, started, cancelling, completed, failed, cancelled, timed_out.

        A task whose execution ended before it did stays in the state it had then, with a `closed_at`.
        """
        if self.end is not None and self.end.state != "gone":
            return self.end.state
        if self.started_at is None:
            return "scheduled"
        return "started" if self.cancel_requested_at is None else "cancelling"

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.end is None

    @property
    def deadline(self) -> float | None:
        """When its own timeouts end it, however many heartbeats come; None when never, or when it is closed."""
        settings = self.configuration
        limits = [(self.scheduled_at, settings.total_timeout)]
        if self.started_at is None:
            limits.append((self.scheduled_at, settings.schedule_timeout))
        else:
            limits.append((self.started_at, settings.runtime_timeout))
        ends = [since + timeout.total_seconds() for since, timeout in limits if isinstance(timeout, timedelta)]
        return min(ends, default=None) if self.is_open else None

    @property
    def never_ends(self) -> bool:
        """Whether a worker has it and no timeout will ever take it away, not even that of the heartbeat."""
        settings = self.configuration
        timeouts = (settings.runtime_timeout, settings.total_timeout, settings.heartbeat_timeout)
        endless = not any(isinstance(timeout, timedelta) for timeout in timeouts)
        return self.is_open and self.started_at is not None and endless


class TaskReader:
    """Reads the activity tasks of an execution out of its history, given in pages, forwards or backwards.

    Events of other kinds are passed over. Read backwards, the end of a task comes before its beginning, so that a
    task that is found without one is open.
    """

    def __init__(self) -> None:
        self._scheduled: dict[int, Mapping[str, Any]] = {}
        self._started: dict[int, Mapping[str, Any]] = {}
        self._ended: dict[int, Mapping[str, Any]] = {}
        self._cancels: dict[str, list[Mapping[str, Any]]] = {}
        self._execution_end: Mapping[str, Any] | None = None
        self._last_decision = (0, "")
        self.newest_at = 0.0
        """Time of the newest event that was read; 0 when none was."""
        self.is_whole = False
        """Whether the first event was read: there is nothing before it."""

    def read(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take in a page; one that was read before changes nothing."""
        for event in events:
            kind, number = event["eventType"], event["eventId"]
            self.newest_at = max(self.newest_at, seconds(event))
            self.is_whole = self.is_whole or number == 1
            if kind == "ActivityTaskScheduled":
                self._scheduled[number] = event
            elif kind == "ActivityTaskStarted":
                self._started[attributes(event)["scheduledEventId"]] = event
            elif kind in _ENDS:
                self._ended[attributes(event)["scheduledEventId"]] = event
            elif kind == "ActivityTaskCancelRequested":
                self._cancels.setdefault(attributes(event)["activityId"], []).append(event)
            elif kind in _DECISION_WAITS or kind in _DECISION_OVER:
                self._last_decision = max(self._last_decision, (number, kind))
            elif kind in _EXECUTION_ENDS:
                self._execution_end = event

    @property
    def is_over(self) -> bool:
        """Whether the execution has ended, and all of its tasks with it."""
        return self._execution_end is not None

    @property
    def decision_may_wait(self) -> bool:
        """Whether a decision task was open, or may have been, when the newest page was read."""
        return self._last_decision[1] not in _DECISION_OVER

    @property
    def open_found(self) -> int:
        """How many open tasks are known from their scheduling on."""
        return 0 if self._execution_end else len(self._scheduled.keys() - self._ended.keys())

    def tasks(self) -> list[ActivityTask]:
        """Give the tasks whose scheduling was read, in that order."""
        return [self._task(number) for number in sorted(self._scheduled)]

    def _task(self, number: int) -> ActivityTask:
        event = self._scheduled[number]
        scheduled = attributes(event)
        started, ended = self._started.get(number), self._ended.get(number)
        end, closed_at = None, None
        if ended is not None:
            end, closed_at = _end(ended), seconds(ended)
        elif self._execution_end is not None:
            closed_at = seconds(self._execution_end)
            end = End("gone", why=_EXECUTION_ENDS[self._execution_end["eventType"]])
        return ActivityTask(
            id=scheduled["activityId"],
            activity=ActivityId.from_api(scheduled["activityType"]),
            task_list=scheduled["taskList"]["name"],
            configuration=PartialTaskConfiguration.from_api(scheduled),
            scheduled_at=seconds(event),
            started_event_id=started["eventId"] if started else None,
            started_at=seconds(started) if started else None,
            identity=attributes(started).get("identity") if started else None,
            cancel_requested_at=self._cancel_requested_at(number, scheduled["activityId"], ended),
            closed_at=closed_at,
            end=end,
        )

    def _cancel_requested_at(self, number: int, activity_id: str, ended: Mapping[str, Any] | None) -> float | None:
        """Find the request that came while this task was the open one of its activity id."""
        last = ended["eventId"] if ended else float("inf")
        asked = [seconds(event) for event in self._cancels.get(activity_id, ()) if number < event["eventId"] < last]
        return min(asked, default=None)


def seconds(event: Mapping[str, Any]) -> float:
    """Give the time of an event in seconds since the epoch."""
    moment = event["eventTimestamp"]
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)


def _end(event: Mapping[str, Any]) -> End:
    values = attributes(event)
    return End(
        _ENDS[event["eventType"]],
        values.get("result"),
        values.get("reason"),
        values.get("details"),
        values.get("timeoutType", ""),
    )
