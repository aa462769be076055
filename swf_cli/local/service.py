"""The service of a local SWF: its time, its deadlines, and how tasks and executions move on. No locks, no sockets."""

import math
import secrets
from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from typing import Any, Final

from ..models import ExecutionId
from .entities import ActivityTask, DecisionTask, Domain, Execution, Expirable, Poll, Task, TaskKind, TaskList, Timer
from .faults import Fault, invalid, unknown
from .tokens import TokenSigner

MOST_POLLS: Final = 1_000
"""The most polls that SWF holds on a task list."""


class ServiceState:
    """Everything that a local SWF knows, at one now.

    `now` is the time of whatever happens: the clock's in a call, a deadline's own when that is what happens.
    """

    def __init__(self, *, hold: float, deliver_to_disconnected: bool) -> None:
        self.now = 0.0
        self.domains: dict[str, Domain] = {}
        self.runs: dict[str, Execution] = {}
        """Executions by run id."""
        self.tokens = TokenSigner()
        self.hold = hold
        self._deliver_to_disconnected = deliver_to_disconnected
        self._deadlines: list[tuple[float, int, Expirable]] = []
        self._watched = 0
        self._touched: set[TaskList] = set()

    # Time

    def next_deadline(self) -> float:
        """Tell when something may be due next; infinite when nothing is."""
        return self._deadlines[0][0] if self._deadlines else math.inf

    def move_to(self, now: float) -> None:
        """Let time pass: whatever is due happens in order, each at its own now."""
        while self._deadlines and self._deadlines[0][0] <= now:
            due, _, item = heappop(self._deadlines)
            if due != item.queued_for:
                continue
            item.queued_for = math.inf
            if item.deadline() > due:
                self.watch(item)
                continue
            self.now = due
            self._expire(item)
            self.settle()
        self.now = max(self.now, now)

    def watch(self, item: Expirable) -> None:
        """See to it that an item happens when it is due; again whenever its deadline may have come nearer."""
        deadline = item.deadline()
        if deadline < item.queued_for:
            item.queued_for = deadline
            self._watched += 1
            heappush(self._deadlines, (deadline, self._watched, item))

    def _expire(self, item: Expirable) -> None:
        match item:
            case Poll():
                self._answer(item, None)
            case ActivityTask():
                self.finish(item, "ActivityTaskTimedOut", timeoutType=item.first_timeout()[1], details=item.details)
            case DecisionTask(execution=execution):
                item.task_list.drop(item)
                execution.record(
                    self.now,
                    "DecisionTaskTimedOut",
                    timeoutType="START_TO_CLOSE",
                    scheduledEventId=item.scheduled_id,
                    startedEventId=item.started_id,
                )
                self.schedule_decision(execution)
            case Timer(execution=execution):
                del execution.timers[item.timer_id]
                execution.record(self.now, "TimerFired", timerId=item.timer_id, startedEventId=item.started_id)
                self.want_decision(execution)
            case Execution():
                self.close(
                    item,
                    "TIMED_OUT",
                    "WorkflowExecutionTimedOut",
                    timeoutType="START_TO_CLOSE",
                    childPolicy=item.configuration["childPolicy"],
                )

    # Finding things

    def domain(self, name: str) -> Domain:
        """Find a domain, deprecated ones too."""
        try:
            return self.domains[name]
        except KeyError:
            raise unknown(f"domain: {name}") from None

    def execution(self, domain: str, wire: Mapping[str, str]) -> Execution:
        """Find an execution, open or closed, by both of its ids."""
        execution = self.runs.get(wire["runId"])
        found = self.domain(domain)
        if execution is None or execution.domain is not found or execution.id.id != wire["workflowId"]:
            raise unknown(f"execution: WorkflowExecution=[workflowId={wire['workflowId']}, runId={wire['runId']}]")
        return execution

    def token(self, task: Task) -> str:
        """Give the token of a started task."""
        kind: TaskKind = "activity" if isinstance(task, ActivityTask) else "decision"
        return self.tokens.sign(kind, task.execution.id.run_id, task.scheduled_id)

    def activity_task(self, token: str) -> ActivityTask:
        """Find the started activity task of a token."""
        execution, scheduled_id = self._read_token("activity", token)
        task = execution.activities.get(scheduled_id)
        if task is None:
            raise unknown(f"activity, scheduledEventId = {scheduled_id}")
        return task

    def decision_task(self, token: str) -> DecisionTask:
        """Find the started decision task of a token."""
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

    # Polls, and handing out

    def poll(self, task_list: TaskList, identity: str | None, alive: Callable[[], bool]) -> Poll:
        """Hold a poll; it is answered at once when a task waits."""
        if len(task_list.polls) >= MOST_POLLS:
            raise Fault("LimitExceededFault", f"At most {MOST_POLLS:,} polls are held on a task list")
        poll = Poll(task_list, identity, self.now + self.hold, alive)
        task_list.polls[poll] = None
        self._hand_out(task_list)
        if self.hold:
            self.watch(poll)
        elif not poll.done.is_set():
            self._answer(poll, None)
        return poll

    def settle(self) -> None:
        """Hand the tasks that were put on lists to the polls that are held: once all that goes with them is done."""
        while self._touched:
            self._hand_out(self._touched.pop())

    def dismiss(self) -> None:
        """Answer every poll that is held, and any that comes, with no task."""
        self.hold = 0.0
        for domain in self.domains.values():
            for task_list in domain.lists.values():
                for poll in list(task_list.polls):
                    self._answer(poll, None)

    def _hand_out(self, task_list: TaskList) -> None:
        while task_list.waiting and task_list.polls:
            poll = next(iter(task_list.polls))
            gone = not self._deliver_to_disconnected and not poll.alive()
            self._answer(poll, None if gone else self._start(task_list.pop(), poll.identity))

    def _answer(self, poll: Poll, task: Task | None) -> None:
        del poll.task_list.polls[poll]
        poll.task = task
        poll.done.set()

    def _put(self, task: Task) -> None:
        task.task_list.push(task)
        self._touched.add(task.task_list)

    def _start(self, task: Task, identity: str | None) -> Task:
        event = "ActivityTaskStarted" if isinstance(task, ActivityTask) else "DecisionTaskStarted"
        task.started_id = task.execution.record(
            self.now, event, identity=identity, scheduledEventId=task.scheduled_id
        )
        task.started_at = self.now
        if isinstance(task, ActivityTask):
            task.heartbeat_at = self.now
        self.watch(task)
        return task

    # How executions move on

    def start(
        self,
        domain: Domain,
        workflow_id: str,
        type_key: tuple[str, str],
        configuration: dict[str, Any],
        tags: list[str],
        start_input: str | None,
    ) -> Execution:
        """Start an execution, with its first decision task."""
        execution = Execution(
            domain=domain,
            id=ExecutionId(workflow_id, secrets.token_hex(22)),
            type=type_key,
            number=len(domain.executions),
            started_at=self.now,
            configuration=configuration,
            tags=tags,
            decision_list=configuration["taskList"]["name"],
        )
        domain.add(execution)
        self.runs[execution.id.run_id] = execution
        execution.record(
            self.now,
            "WorkflowExecutionStarted",
            **configuration,
            workflowType={"name": type_key[0], "version": type_key[1]},
            tagList=tags or None,
            input=start_input,
            parentInitiatedEventId=0,
        )
        self.watch(execution)
        self.schedule_decision(execution)
        return execution

    def want_decision(self, execution: Execution) -> None:
        """Something happened that a decider must see: schedule a decision task unless one is open.

        One that waits will show it; while one is started, the next is scheduled when that is over.
        """
        if execution.decision is None:
            self.schedule_decision(execution)
        elif execution.decision.started_id:
            execution.news = True

    def schedule_decision(self, execution: Execution) -> None:
        """Schedule a decision task."""
        configuration = execution.configuration
        priority = configuration.get("taskPriority")
        scheduled_id = execution.record(
            self.now,
            "DecisionTaskScheduled",
            taskList={"name": execution.decision_list},
            taskPriority=priority,
            startToCloseTimeout=configuration["taskStartToCloseTimeout"],
        )
        task_list = execution.domain.task_list("decision", execution.decision_list)
        task = DecisionTask(execution, task_list, int(priority or 0), scheduled_id, self.now)
        execution.decision = task
        execution.news = False
        self._put(task)

    def schedule_activity(self, execution: Execution, attributes: dict[str, Any]) -> None:
        """Schedule an activity task; `attributes` are those of its event."""
        scheduled_id = execution.record(self.now, "ActivityTaskScheduled", **attributes)
        task = ActivityTask(
            execution,
            execution.domain.task_list("activity", attributes["taskList"]["name"]),
            int(attributes.get("taskPriority") or 0),
            scheduled_id,
            self.now,
            attributes,
        )
        execution.activities[scheduled_id] = task
        execution.activity_ids[task.activity_id] = task
        execution.latest_activity_at = self.now
        self.watch(task)
        self._put(task)

    def start_timer(self, execution: Execution, timer_id: str, started_id: int, after: float) -> None:
        """Start a timer; its event is in the history."""
        timer = execution.timers[timer_id] = Timer(execution, timer_id, started_id, self.now + after)
        self.watch(timer)

    def finish(self, task: ActivityTask, event: str, **attributes: Any) -> None:
        """Close an activity task with an event."""
        execution = task.execution
        execution.record(
            self.now, event, scheduledEventId=task.scheduled_id, startedEventId=task.started_id, **attributes
        )
        task.task_list.drop(task)
        del execution.activities[task.scheduled_id]
        del execution.activity_ids[task.activity_id]
        self.want_decision(execution)

    def close(self, execution: Execution, status: str, event: str, **attributes: Any) -> None:
        """Close an execution with an event: whatever was open of it is gone."""
        execution.record(self.now, event, **attributes)
        execution.closed_at = self.now
        execution.close_status = status
        for task in execution.activities.values():
            task.task_list.drop(task)
        execution.activities.clear()
        execution.activity_ids.clear()
        execution.timers.clear()
        if execution.decision:
            execution.decision.task_list.drop(execution.decision)
            execution.decision = None
        execution.domain.move_to_closed(execution)
