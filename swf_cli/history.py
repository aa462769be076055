"""The tasks of an execution as values, and what its history events say about their ends. Pure."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from .errors import SwfError, UnknownResource
from .fields import optional_text, text_of
from .models import ActivityId, ExecutionId, PartialTaskConfiguration

ACTIVITY_ENDS: Final = {
    "ActivityTaskCompleted": "completed",
    "ActivityTaskFailed": "failed",
    "ActivityTaskCanceled": "cancelled",
    "ActivityTaskTimedOut": "timed_out",
}
"""Events that close an activity task, and the state it has then."""

EXECUTION_ENDS: Final = {
    "WorkflowExecutionCompleted": "completed",
    "WorkflowExecutionFailed": "failed",
    "WorkflowExecutionCanceled": "cancelled",
    "WorkflowExecutionTerminated": "terminated",
    "WorkflowExecutionTimedOut": "timed_out",
    "WorkflowExecutionContinuedAsNew": "continued_as_new",
}
"""Events that close an execution, and how it ended."""

_CAUSES: Final = {
    "completed": "completed",
    "failed": "failed",
    "cancelled": "was cancelled",
    "terminated": "was terminated",
    "timed_out": "timed out",
    "continued_as_new": "continued as new",
    "deleted": "no longer exists",
}


@dataclass(frozen=True, slots=True)
class End:
    """How an activity task ended."""

    state: str
    """`completed`, `failed`, `cancelled`, `timed_out`; or `gone`: its execution ended first."""

    result: str | None = None
    reason: str | None = None
    """Reason of the failure; of a task that is `gone`, that of its execution's end."""

    details: str | None = None
    timeout_type: str | None = None
    """Kind of timeout, as SWF names it."""

    cause: str | None = None
    """How the execution of a task that is `gone` ended: `completed`, `failed`, `cancelled`, `terminated`,
    `timed_out`, `continued_as_new`; `deleted` if SWF does not know the execution any more, as after the retention
    period of its domain."""

    def __str__(self) -> str:
        match self.state:
            case "timed_out":
                return f"it timed out ({self.timeout_type})"
            case "gone":
                return f"its workflow execution {_CAUSES.get(self.cause or '', 'ended')}"
            case "cancelled":
                return "it was cancelled"
        return f"it {self.state}"


def attributes(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the attributes of an event, whatever its type."""
    name = event["eventType"]
    found: Mapping[str, Any] = event.get(f"{name[0].lower()}{name[1:]}EventAttributes", {})
    return found


def end_of(events: Iterable[Mapping[str, Any]], started_event_id: int) -> End | None:
    """Return how the task with this ActivityTaskStarted event ended; None if these events do not show it.

    The events may be in any order; malformed ones are skipped. The task's own end takes precedence over its
    execution's.
    """
    gone = None
    for event in events:
        with suppress(LookupError, TypeError):
            kind, values = event["eventType"], attributes(event)
            if kind in ACTIVITY_ENDS and values.get("startedEventId") == started_event_id:
                return activity_end(event)
            if kind in EXECUTION_ENDS and event["eventId"] > started_event_id:
                gone = execution_end(event)
    return gone


def open_activity_ids(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the activity IDs of the tasks that a whole history shows open, in the order of scheduling."""
    scheduled: dict[int, str] = {}
    for event in events:
        kind, values = event["eventType"], attributes(event)
        if kind == "ActivityTaskScheduled":
            scheduled[event["eventId"]] = values["activityId"]
        elif kind in ACTIVITY_ENDS:
            scheduled.pop(values["scheduledEventId"], None)
    return list(scheduled.values())


@dataclass(frozen=True, slots=True)
class ActivityTask:
    """An activity task of an execution, as its history shows it. Times are seconds since the epoch."""

    id: str
    activity: ActivityId
    task_list: str
    configuration: PartialTaskConfiguration
    """Effective configuration: that of the ActivityTaskScheduled event."""

    scheduled_at: float
    input: str | None = None
    started_event_id: int | None = None
    started_at: float | None = None
    identity: str | None = None
    """Identity of the worker that started it."""

    cancel_requested_at: float | None = None
    closed_at: float | None = None
    end: End | None = None
    first_scheduled_at: float | None = None
    """If it repeats tasks that timed out without being started: when the first of those read was scheduled."""

    execution_times_out_at: float | None = None
    """When its execution times out; None if never, or if the execution's first event was not read."""

    @property
    def waiting_since(self) -> float:
        """Since when a worker could have taken it, or a task that it repeats."""
        return self.scheduled_at if self.first_scheduled_at is None else self.first_scheduled_at

    @property
    def state(self) -> str:
        """One of scheduled, started, cancelling, completed, failed, cancelled, timed_out.

        A task that its execution's end cut off keeps the state it had, and has a `closed_at`.
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
        """When its own timeouts close it, whatever heartbeats are sent; None if they never do, or if it is closed."""
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
        """Whether it is started and has no timeout of its own that would close it, not even a heartbeat timeout."""
        settings = self.configuration
        timeouts = (settings.runtime_timeout, settings.total_timeout, settings.heartbeat_timeout)
        endless = not any(isinstance(timeout, timedelta) for timeout in timeouts)
        return self.is_open and self.started_at is not None and endless


@dataclass(frozen=True, slots=True)
class DecisionTask:
    """The open decision task of an execution. Times are seconds since the epoch."""

    task_list: str
    configuration: PartialTaskConfiguration
    """Its timeouts and priority."""

    scheduled_at: float
    waiting_since: float
    """Since when a decider could have taken it: not while the one before it was started."""

    started_at: float | None = None
    identity: str | None = None
    """Identity of the decider that started it."""

    timeouts: int = 0
    """How many started decision tasks timed out in a row before it."""

    failing_since: float | None = None
    """When the first of those was started."""

    has_older_timeouts: bool = False
    """Whether there may be more of those on older pages, which were not read."""

    last_decider: str | None = None
    """Identity of the decider that started the last one that timed out."""

    @property
    def state(self) -> str:
        """`scheduled` or `started`."""
        return "scheduled" if self.started_at is None else "started"

    @property
    def deadline(self) -> float | None:
        """When its timeout closes it, upon which SWF schedules another; None if it never does."""
        timeout = self.configuration.runtime_timeout
        if self.started_at is None or not isinstance(timeout, timedelta):
            return None
        return self.started_at + timeout.total_seconds()


def is_unknown_execution(error: SwfError, execution: ExecutionId) -> bool:
    """Return whether an error says that SWF does not know this execution: it does not exist, or no longer."""
    named = f"Unknown execution: WorkflowExecution=[workflowId={execution.id}, runId={execution.run_id}] ("
    return isinstance(error, UnknownResource) and named in error.message


def event_time(event: Mapping[str, Any]) -> float:
    """Return the time of an event, in seconds since the epoch."""
    timestamp = event["eventTimestamp"]
    return timestamp.timestamp() if isinstance(timestamp, datetime) else float(timestamp)


def activity_end(event: Mapping[str, Any]) -> End:
    """Return how a task ended, from its closing event. Raise LookupError or TypeError for a malformed one."""
    values = attributes(event)
    return End(
        ACTIVITY_ENDS[event["eventType"]],
        optional_text(values, "result"),
        optional_text(values, "reason"),
        optional_text(values, "details"),
        optional_text(values, "timeoutType"),
    )


def execution_end(event: Mapping[str, Any]) -> End:
    """Return how the tasks ended that an execution's end cut off. Raise as `activity_end` does."""
    values = attributes(event)
    reason = optional_text(values, "reason")
    if values.get("cause") not in (None, "OPERATOR_INITIATED"):
        reason = reason or text_of(values, "cause")  # such as EVENT_LIMIT_EXCEEDED
    cause = EXECUTION_ENDS[event["eventType"]]
    return End("gone", reason=reason, details=optional_text(values, "details"), cause=cause)
