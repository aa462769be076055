"""The entities of a local SWF: domains, types, executions with their histories and open tasks, and polls."""

import math
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from threading import Event
from typing import Any, Final, Literal

from ..models import ExecutionId
from .clock import Clock
from .deadlines import Expirable
from .quotas import MAX_EXECUTION_SECONDS

Args = Mapping[str, Any]
"""The arguments of an operation as they are on the wire, validated against SWF's service model."""

Response = dict[str, Any]
"""The response of an operation as it is on the wire."""

TaskKind = Literal["activity", "decision"]
TypeKind = Literal["activity", "workflow"]

TypeKey = tuple[str, str]
"""Name and version of a workflow type or an activity type."""

SCHEDULED_TYPE: Final[TypeKey] = ("swf-local", "1")
"""The workflow type of `swf local schedule`, whose decider signals an execution before it decides, and then goes."""


def timeout_seconds(timeout: str) -> float:
    """Return the seconds of an SWF timeout; "NONE" is infinite."""
    return math.inf if timeout == "NONE" else float(timeout)


@dataclass(slots=True, eq=False)
class Poll(Expirable):
    """A long poll in flight (PollForActivityTask, PollForDecisionTask)."""

    task_list: "TaskList"
    identity: str | None
    clock: Clock
    until: float
    """The real time at which it ends: neither the clock's speed nor an advance ends it sooner."""
    is_connected: Callable[[], bool]
    """Returns whether the client is still connected."""
    task: "Task | None" = None
    done: Event = field(default_factory=Event)

    def deadline(self) -> float:
        """Return when the poll ends without a task."""
        return math.inf if self.done.is_set() else self.clock.at(self.until)


@dataclass(slots=True, eq=False)
class Task(Expirable):
    """An open task. It is on its task list until it is started."""

    execution: "Execution"
    task_list: "TaskList"
    priority: int
    scheduled_id: int
    scheduled_at: float
    open: bool = field(default=True, init=False)
    started_id: int = field(default=0, init=False)
    """Event ID of its start; 0 if it is not started."""
    started_at: float = field(default=0.0, init=False)


@dataclass(slots=True, eq=False)
class DecisionTask(Task):
    """A decision task. Until the one before it ends, it is scheduled but not on its task list."""

    schedule_to_start: str = "NONE"
    """Timeout of a temporary task list, in which it must be started."""
    waiting_since: float = field(default=math.inf, init=False)
    """When it was put on its task list."""

    def deadline(self) -> float:
        """Return when its start-to-close timeout ends it, or that of a temporary task list."""
        if not self.open:
            return math.inf
        if not self.started_id:
            return self.waiting_since + timeout_seconds(self.schedule_to_start)
        return self.started_at + timeout_seconds(self.execution.configuration["taskStartToCloseTimeout"])


@dataclass(slots=True, eq=False)
class ActivityTask(Task):
    """An activity task."""

    attributes: dict[str, Any]
    """Attributes of its ActivityTaskScheduled event."""
    heartbeat_at: float = field(default=0.0, init=False)
    """When it was started, or last sent a heartbeat."""
    details: str | None = field(default=None, init=False)
    """Details of the last heartbeat that had any."""
    cancel_requested_id: int = field(default=0, init=False)
    """Event ID of the last cancellation request; 0 if there was none."""

    @property
    def activity_id(self) -> str:
        """Activity ID, chosen by the decider."""
        activity_id: str = self.attributes["activityId"]
        return activity_id

    def first_timeout(self) -> tuple[float, str]:
        """Return when the first of its timeouts is due, and its type."""
        limits = {"SCHEDULE_TO_CLOSE": self.scheduled_at + timeout_seconds(self.attributes["scheduleToCloseTimeout"])}
        if self.started_id:
            limits["START_TO_CLOSE"] = self.started_at + timeout_seconds(self.attributes["startToCloseTimeout"])
            limits["HEARTBEAT"] = self.heartbeat_at + timeout_seconds(self.attributes["heartbeatTimeout"])
        else:
            limits["SCHEDULE_TO_START"] = self.scheduled_at + timeout_seconds(
                self.attributes["scheduleToStartTimeout"]
            )
        return min((due, timeout_type) for timeout_type, due in limits.items())

    def deadline(self) -> float:
        """Return when the first of its four timeouts ends it."""
        return self.first_timeout()[0] if self.open else math.inf


@dataclass(slots=True, eq=False)
class Timer(Expirable):
    """A timer that a decider started."""

    execution: "Execution"
    timer_id: str
    started_id: int
    fires_at: float

    def deadline(self) -> float:
        """Return when it fires."""
        return self.fires_at if self.execution.timers.get(self.timer_id) is self else math.inf


class TaskList:
    """Tasks that wait for a poll, by priority (highest first) then age; and polls that wait for a task."""

    def __init__(self) -> None:
        self.polls: OrderedDict[Poll, None] = OrderedDict()
        self.waiting = 0
        """Number of tasks that wait."""
        self._heap: list[tuple[int, int, Task]] = []
        self._pushed = 0

    def push(self, task: Task) -> None:
        """Add a task."""
        self._pushed += 1
        self.waiting += 1
        heappush(self._heap, (-task.priority, self._pushed, task))

    def pop(self) -> Task:
        """Remove and return the next task. There must be one."""
        while True:
            task = heappop(self._heap)[2]
            if task.open:
                self.waiting -= 1
                return task

    def close(self, task: Task) -> None:
        """Close a task. If it waits, no poll will receive it."""
        task.open = False
        if not task.started_id:
            self.waiting -= 1


@dataclass(slots=True, eq=False)
class Child:
    """A child execution, as its parent knows it."""

    execution: "Execution"
    started_id: int
    """Event ID of the parent's ChildWorkflowExecutionStarted."""


@dataclass(frozen=True, slots=True)
class Start:
    """What an execution is started with."""

    workflow_id: str
    run_id: str
    type: TypeKey
    configuration: dict[str, Any]
    """DescribeWorkflowExecution's `executionConfiguration`."""
    tags: Sequence[str] | None
    input: str | None
    parent: "Execution | None" = None
    initiated_id: int = 0
    """Event ID of the parent's StartChildWorkflowExecutionInitiated."""
    continued_run_id: str | None = None
    """Run ID of the execution that it continues."""


@dataclass(slots=True, eq=False)
class Execution(Expirable):
    """A workflow execution, with its history and its open tasks and timers."""

    domain: "Domain"
    id: ExecutionId
    type: TypeKey
    number: int
    """Index in `Domain.executions`."""
    started_at: float
    configuration: dict[str, Any]
    """DescribeWorkflowExecution's `executionConfiguration`."""
    tags: Sequence[str]
    decision_list: str
    """Name of the task list of its decision tasks."""
    temporary_list: tuple[str, str] | None = None
    """A task list that overrides `decision_list`, and the timeout after which it no longer does."""
    events: list[dict[str, Any]] = field(default_factory=list)
    activities: dict[int, ActivityTask] = field(default_factory=dict)
    """Open activity tasks by the event ID of their scheduling."""
    activity_ids: dict[str, ActivityTask] = field(default_factory=dict)
    """Open activity tasks by activity ID."""
    timers: dict[str, Timer] = field(default_factory=dict)
    """Open timers by timer ID."""
    children: dict[int, Child] = field(default_factory=dict)
    """Open child executions by the event ID of their StartChildWorkflowExecutionInitiated."""
    starting_children: int = 0
    """Number of child executions that are initiated and not yet started."""
    parent: "Execution | None" = None
    initiated_id: int = 0
    """Event ID of the parent's StartChildWorkflowExecutionInitiated; 0 without a parent."""
    decision: DecisionTask | None = None
    """The decision task that waits or is started."""
    next_decision: DecisionTask | None = None
    """A decision task that was scheduled while `decision` is started, and is delivered after its end."""
    responding: bool = False
    """Whether decisions are being carried out: a decision task is scheduled after the last of them."""
    decision_requested: bool = False
    """Whether a decision task was requested meanwhile."""
    previous_started_id: int = 0
    """Event ID of the start of the last decision task that was completed."""
    over_limit: bool = False
    """Whether its history has reached the limit, so that it is about to be terminated."""
    closed_at: float | None = None
    close_status: str | None = None
    closed_counts: dict[str, int] | None = None
    cancel_requested: bool = False
    context: str | None = None
    latest_activity_at: float | None = None

    def deadline(self) -> float:
        """Return when its start-to-close timeout ends it."""
        if self.closed_at is not None:
            return math.inf
        timeout = timeout_seconds(self.configuration["executionStartToCloseTimeout"])
        return self.started_at + min(timeout, MAX_EXECUTION_SECONDS)

    def open_counts(self) -> dict[str, int]:
        """Return DescribeWorkflowExecution's `openCounts`: those at its close if it is closed."""
        return self.closed_counts or {
            "openActivityTasks": len(self.activities),
            "openDecisionTasks": int(self.decision is not None),
            "openTimers": len(self.timers),
            "openChildWorkflowExecutions": len(self.children),
            "openLambdaFunctions": 0,
        }

    def add_event(self, now: float, event: str, attributes: Mapping[str, Any]) -> int:
        """Add an event to the history and return its ID. Attributes that are None are left out."""
        event_id = len(self.events) + 1
        self.events.append(
            {
                "eventTimestamp": round(now, 3),
                "eventType": event,
                "eventId": event_id,
                f"{event[0].lower()}{event[1:]}EventAttributes": {
                    name: value for name, value in attributes.items() if value is not None
                },
            }
        )
        return event_id

    @property
    def wire(self) -> dict[str, str]:
        """SWF's WorkflowExecution structure."""
        return {"workflowId": self.id.id, "runId": self.id.run_id}

    @property
    def wire_type(self) -> dict[str, str]:
        """SWF's WorkflowType structure."""
        return {"name": self.type[0], "version": self.type[1]}

    def __str__(self) -> str:
        return f"WorkflowExecution=[workflowId={self.id.id}, runId={self.id.run_id}]"


@dataclass(slots=True, eq=False)
class Registered:
    """A registered workflow type or activity type."""

    key: TypeKey
    description: str | None
    defaults: dict[str, Any]
    created_at: float
    deprecated_at: float | None = None


@dataclass(slots=True, eq=False)
class Domain:
    """A domain and everything in it."""

    name: str
    description: str | None
    retention: str
    tags: dict[str, str | None]
    deprecated: bool = False
    types: dict[TypeKind, dict[TypeKey, Registered]] = field(default_factory=lambda: {"activity": {}, "workflow": {}})
    lists: dict[tuple[TaskKind, str], TaskList] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    """All executions in order of their starts. The lists below hold indexes into it."""
    open: list[int] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    closed_in_order: list[int] = field(default_factory=list)
    """Closed executions in the order in which they closed."""
    runs: dict[str, list[int]] = field(default_factory=dict)
    """The runs of each workflow ID."""

    def task_list(self, kind: TaskKind, name: str) -> TaskList:
        """Return a task list, created on first use: every name is valid in SWF."""
        return self.lists.setdefault((kind, name), TaskList())

    def open_run(self, workflow_id: str) -> Execution | None:
        """Return the open run of a workflow ID, or None if there is none."""
        runs = self.runs.get(workflow_id)
        latest = self.executions[runs[-1]] if runs else None
        return latest if latest and latest.closed_at is None else None

    def find_open(self, workflow_id: str, run_id: str | None) -> Execution | None:
        """Return the open run of a workflow ID, or None if there is none, or it is not the run of a given ID."""
        execution = self.open_run(workflow_id)
        return execution if execution and run_id in (None, "", execution.id.run_id) else None

    def add(self, execution: Execution) -> None:
        """Add an execution that has just started."""
        self.executions.append(execution)
        self.open.append(execution.number)
        self.runs.setdefault(execution.id.id, []).append(execution.number)

    def move_to_closed(self, execution: Execution) -> None:
        """Move an execution that has just closed from the open to the closed ones."""
        del self.open[bisect_left(self.open, execution.number)]
        insort(self.closed, execution.number)
        self.closed_in_order.append(execution.number)
