"""The state of a local SWF in one region: domains, executions, tokens and deadlines. No locks, no sockets."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from .clock import Clock
from .deadlines import DeadlineQueue
from .entities import ActivityTask, DecisionTask, Domain, Execution, Task, TaskKind, TaskList
from .faults import invalid, unknown
from .quotas import Limits
from .tokens import TokenSigner


class ServiceState:
    """Everything that a local SWF knows at one time in one region.

    `now` is the clock's time in a call, or the deadline's time while a deadline is processed.
    """

    def __init__(
        self, region: str, *, clock: Clock, hold: float, deliver_to_disconnected: bool, limits: Limits
    ) -> None:
        self.region = region
        self.clock = clock
        self.now = 0.0
        self.domains: dict[str, Domain] = {}
        self.runs: dict[str, Execution] = {}
        """Executions by run ID."""
        self.tokens = TokenSigner()
        self.deadlines = DeadlineQueue()
        self.hold = hold
        self.deliver_to_disconnected = deliver_to_disconnected
        self.limits = limits
        self.undelivered: set[TaskList] = set()
        """Task lists that were given tasks since the last delivery."""
        self.deferred: deque[Callable[[], None]] = deque()
        """What a call leads to in other executions, to be done after the call."""
        self.over_limit: list[Execution] = []
        """Executions with more events than SWF allows, to be terminated."""

    def record(self, execution: Execution, event: str, **attributes: Any) -> int:
        """Add an event to an execution's history, and return its ID.

        The last event that SWF allows is the execution's end: any other is dropped, and the execution is terminated
        after the call.
        """
        if len(execution.events) < self.limits.events - 1:
            return execution.add_event(self.now, event, attributes)
        if not execution.over_limit:
            execution.over_limit = True
            self.over_limit.append(execution)
        return self.limits.events

    def domain(self, name: str) -> Domain:
        """Return a domain, which may be deprecated."""
        try:
            return self.domains[name]
        except KeyError:
            raise unknown(f"domain: {name}") from None

    def execution(self, domain: str, wire: Mapping[str, str]) -> Execution:
        """Return an execution, open or closed, by workflow ID and run ID."""
        execution = self.runs.get(wire["runId"])
        found = self.domain(domain)
        if execution is None or execution.domain is not found or execution.id.id != wire["workflowId"]:
            raise unknown(f"execution: WorkflowExecution=[workflowId={wire['workflowId']}, runId={wire['runId']}]")
        return execution

    def token(self, task: Task) -> str:
        """Return the token of a started task."""
        kind: TaskKind = "activity" if isinstance(task, ActivityTask) else "decision"
        return self.tokens.sign(kind, task.execution.id.run_id, task.scheduled_id)

    def activity_task(self, token: str) -> ActivityTask:
        """Return the started activity task of a token."""
        execution, scheduled_id = self._read_token("activity", token)
        task = execution.activities.get(scheduled_id)
        if task is None:
            raise unknown(f"activity, scheduledEventId = {scheduled_id}")
        return task

    def decision_task(self, token: str) -> DecisionTask:
        """Return the started decision task of a token."""
        execution, scheduled_id = self._read_token("decision", token)
        task = execution.decision
        if task is None or task.scheduled_id != scheduled_id:
            raise unknown(f"decision task, scheduledEventId = {scheduled_id}")
        return task

    def _read_token(self, kind: TaskKind, token: str) -> tuple[Execution, int]:
        content = self.tokens.verify(token)
        if content is None or content[0] != kind:
            raise invalid("Invalid token")
        execution = self.runs[content[1]]
        if execution.closed_at is not None:
            raise unknown(f"execution: {execution}")
        return execution, content[2]
