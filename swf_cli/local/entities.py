"""What a local SWF remembers: domains, types, executions with their histories and open tasks, and who polls."""

import math
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from threading import Event
from typing import Any, Literal

from ..models import ExecutionId

Args = Mapping[str, Any]
"""The arguments of an operation, as they come over the wire: checked against SWF's service model."""

Answer = dict[str, Any]
"""What an operation answers, as it goes over the wire."""

TaskKind = Literal["activity", "decision"]
TypeKind = Literal["activity", "workflow"]

TypeKey = tuple[str, str]
"""Name and version of a workflow type or an activity type."""


def seconds(timeout: str) -> float:
    """Read an SWF timeout; "NONE" is infinite."""
    return math.inf if timeout == "NONE" else float(timeout)


@dataclass(slots=True, eq=False)
class Expirable:
    """Something that happens at a now of its own, unless it is over by then."""

    queued_for: float = field(default=math.inf, init=False)
    """The now for which it stands in the queue of deadlines."""

    def deadline(self) -> float:
        """Tell when it is due; infinite when it is over, or never due."""
        raise NotImplementedError


@dataclass(slots=True, eq=False)
class Poll(Expirable):
    """A long poll that is held (PollForActivityTask, PollForDecisionTask)."""

    task_list: "TaskList"
    identity: str | None
    until: float
    alive: Callable[[], bool]
    """Tells whether whoever polls is still there."""
    task: "Task | None" = None
    done: Event = field(default_factory=Event)

    def deadline(self) -> float:
        """When the poll is answered with no task."""
        return math.inf if self.done.is_set() else self.until


@dataclass(slots=True, eq=False)
class Task(Expirable):
    """An open task: on its task list until it is started."""

    execution: "Execution"
    task_list: "TaskList"
    priority: int
    scheduled_id: int
    scheduled_at: float
    open: bool = field(default=True, init=False)
    started_id: int = field(default=0, init=False)
    """Event id of the task's start; 0 while it waits."""
    started_at: float = field(default=0.0, init=False)


@dataclass(slots=True, eq=False)
class DecisionTask(Task):
    """A decision task; at most one of an execution is open."""

    def deadline(self) -> float:
        """Start-to-close, from the execution's configuration."""
        if not self.open or not self.started_id:
            return math.inf
        return self.started_at + seconds(self.execution.configuration["taskStartToCloseTimeout"])


@dataclass(slots=True, eq=False)
class ActivityTask(Task):
    """An activity task."""

    attributes: dict[str, Any]
    """Attributes of its ActivityTaskScheduled event."""
    heartbeat_at: float = field(default=0.0, init=False)
    """When it was started, or last gave a heartbeat."""
    details: str | None = field(default=None, init=False)
    """Details of the last heartbeat."""
    cancel_requested_id: int = field(default=0, init=False)
    """Event id of the latest cancellation request; 0 when there is none."""

    @property
    def activity_id(self) -> str:
        """Activity id, chosen by the decider."""
        activity_id: str = self.attributes["activityId"]
        return activity_id

    def first_timeout(self) -> tuple[float, str]:
        """Tell which of the four timeouts is due first, and when."""
        limits = {"SCHEDULE_TO_CLOSE": self.scheduled_at + seconds(self.attributes["scheduleToCloseTimeout"])}
        if self.started_id:
            limits["START_TO_CLOSE"] = self.started_at + seconds(self.attributes["startToCloseTimeout"])
            limits["HEARTBEAT"] = self.heartbeat_at + seconds(self.attributes["heartbeatTimeout"])
        else:
            limits["SCHEDULE_TO_START"] = self.scheduled_at + seconds(self.attributes["scheduleToStartTimeout"])
        return min((now, kind) for kind, now in limits.items())

    def deadline(self) -> float:
        """The first of its four timeouts."""
        return self.first_timeout()[0] if self.open else math.inf


@dataclass(slots=True, eq=False)
class Timer(Expirable):
    """A timer that a decider started."""

    execution: "Execution"
    timer_id: str
    started_id: int
    fires_at: float

    def deadline(self) -> float:
        """When it fires."""
        return self.fires_at if self.execution.timers.get(self.timer_id) is self else math.inf


class TaskList:
    """Tasks that wait for a worker, by priority (higher first), then age; and the polls that wait for a task."""

    def __init__(self) -> None:
        self.polls: OrderedDict[Poll, None] = OrderedDict()
        self.waiting = 0
        """How many tasks wait."""
        self._heap: list[tuple[int, int, Task]] = []
        self._pushed = 0

    def push(self, task: Task) -> None:
        """Add a task."""
        self._pushed += 1
        self.waiting += 1
        heappush(self._heap, (-task.priority, self._pushed, task))

    def pop(self) -> Task:
        """Take the next task; there must be one."""
        while True:
            task = heappop(self._heap)[2]
            if task.open:
                self.waiting -= 1
                return task

    def drop(self, task: Task) -> None:
        """Close a task: if it waits here, it is never taken."""
        task.open = False
        if not task.started_id:
            self.waiting -= 1


@dataclass(slots=True, eq=False)
class Execution(Expirable):
    """A workflow execution, with its history and what is open of it."""

    domain: "Domain"
    id: ExecutionId
    type: TypeKey
    number: int
    """Its place among the domain's executions, in the order of their starts."""
    started_at: float
    configuration: dict[str, Any]
    """DescribeWorkflowExecution's `executionConfiguration`."""
    tags: list[str]
    decision_list: str
    """Name of the task list of its decision tasks."""
    events: list[dict[str, Any]] = field(default_factory=list)
    activities: dict[int, ActivityTask] = field(default_factory=dict)
    """Open activity tasks by the event id of their scheduling."""
    activity_ids: dict[str, ActivityTask] = field(default_factory=dict)
    """Open activity tasks by activity id."""
    timers: dict[str, Timer] = field(default_factory=dict)
    """Open timers by timer id."""
    decision: DecisionTask | None = None
    news: bool = False
    """Whether something happened, since the decision task started, that a decider must see."""
    previous_started_id: int = 0
    """Event id of the start of the last decision task that was completed."""
    closed_at: float | None = None
    close_status: str | None = None
    cancel_requested: bool = False
    context: str | None = None
    latest_activity_at: float | None = None

    def deadline(self) -> float:
        """Start-to-close."""
        if self.closed_at is not None:
            return math.inf
        return self.started_at + seconds(self.configuration["executionStartToCloseTimeout"])

    def record(self, now: float, event: str, **attributes: Any) -> int:
        """Add an event to the history, and give its id; attributes that are None are left out."""
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
        """SWF's WorkflowExecution."""
        return {"workflowId": self.id.id, "runId": self.id.run_id}

    def __str__(self) -> str:
        return f"WorkflowExecution=[workflowId={self.id.id}, runId={self.id.run_id}]"


@dataclass(slots=True, eq=False)
class Registered:
    """A workflow type or an activity type: its registration."""

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
    deprecated: bool = False
    types: dict[TypeKind, dict[TypeKey, Registered]] = field(default_factory=lambda: {"activity": {}, "workflow": {}})
    lists: dict[tuple[TaskKind, str], TaskList] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    """All executions, in the order of their starts; elsewhere they are known by their place here."""
    open: list[int] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    closed_in_order: list[int] = field(default_factory=list)
    """Closed ones in the order of their closing."""
    runs: dict[str, list[int]] = field(default_factory=dict)
    """The runs of each workflow id."""

    def task_list(self, kind: TaskKind, name: str) -> TaskList:
        """Give a task list; SWF has every one that is asked for."""
        return self.lists.setdefault((kind, name), TaskList())

    def open_run(self, workflow_id: str) -> Execution | None:
        """Give the one open run of a workflow id."""
        runs = self.runs.get(workflow_id)
        latest = self.executions[runs[-1]] if runs else None
        return latest if latest and latest.closed_at is None else None

    def add(self, execution: Execution) -> None:
        """Take in an execution that has just started."""
        self.executions.append(execution)
        self.open.append(execution.number)
        self.runs.setdefault(execution.id.id, []).append(execution.number)

    def move_to_closed(self, execution: Execution) -> None:
        """Note that an execution has just closed."""
        del self.open[bisect_left(self.open, execution.number)]
        insort(self.closed, execution.number)
        self.closed_in_order.append(execution.number)
