"""How executions, decision tasks, activity tasks and timers begin and end."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from ..models import ExecutionId
from .entities import SCHEDULED_TYPE, ActivityTask, DecisionTask, Domain, Execution, Start, Timer
from .matching import add_task, deliver
from .service import ServiceState

_AWAITED: Final = ("WorkflowExecutionStarted", "WorkflowExecutionSignaled")
"""Events after which `swf local schedule` and `swf local cancel` poll for a decision task."""


def finish(service: ServiceState) -> None:
    """Do what a call or a deadline leads to: in other executions, at the event limit, and for polls in flight."""
    while service.deferred or service.over_limit or service.undelivered:
        while service.deferred:
            service.deferred.popleft()()
        while service.over_limit:
            terminate_execution(service, service.over_limit.pop(), cause="EVENT_LIMIT_EXCEEDED")
        deliver(service)


def start_execution(service: ServiceState, domain: Domain, start: Start) -> Execution:
    """Start an execution and schedule its first decision task."""
    execution = Execution(
        domain=domain,
        id=ExecutionId(start.workflow_id, start.run_id),
        type=start.type,
        number=len(domain.executions),
        started_at=service.now,
        configuration=start.configuration,
        tags=start.tags or (),
        decision_list=start.configuration["taskList"]["name"],
        parent=start.parent,
        initiated_id=start.initiated_id,
    )
    domain.add(execution)
    service.runs[execution.id.run_id] = execution
    service.record(
        execution,
        "WorkflowExecutionStarted",
        **start.configuration,
        workflowType=execution.wire_type,
        tagList=start.tags or None,
        input=start.input,
        continuedExecutionRunId=start.continued_run_id,
        parentWorkflowExecution=start.parent and start.parent.wire,
        parentInitiatedEventId=start.initiated_id,
    )
    service.deadlines.watch(execution)
    request_decision(service, execution)
    return execution


def close_execution(service: ServiceState, execution: Execution, status: str, event: str, **attributes: Any) -> None:
    """Close an execution with an event. Its open tasks and timers end without events of their own."""
    if execution.over_limit and attributes.get("cause") != "EVENT_LIMIT_EXCEEDED":
        return  # `finish` is about to terminate it
    execution.add_event(service.now, event, attributes)
    execution.closed_at = service.now
    execution.close_status = status
    execution.closed_counts = execution.open_counts()
    execution.domain.move_to_closed(execution)
    for task in execution.activities.values():
        task.task_list.close(task)
    execution.activities.clear()
    execution.activity_ids.clear()
    execution.timers.clear()
    if execution.decision:
        execution.decision.task_list.close(execution.decision)
    execution.decision = execution.next_decision = None
    if status in ("TERMINATED", "TIMED_OUT"):
        for child in execution.children.values():
            service.deferred.append(partial(_apply_child_policy, service, child.execution, attributes["childPolicy"]))
    execution.children.clear()
    _notify_parent(service, execution, attributes)


def terminate_execution(service: ServiceState, execution: Execution, **attributes: Any) -> None:
    """Terminate an execution."""
    policy = attributes.pop("childPolicy", None) or execution.configuration["childPolicy"]
    close_execution(service, execution, "TERMINATED", "WorkflowExecutionTerminated", childPolicy=policy, **attributes)


def request_cancel(service: ServiceState, execution: Execution, **attributes: Any) -> None:
    """Request cancellation of an execution: its decider sees the event."""
    execution.cancel_requested = True
    service.record(execution, "WorkflowExecutionCancelRequested", **{"externalInitiatedEventId": 0, **attributes})
    request_decision(service, execution)


def _apply_child_policy(service: ServiceState, child: Execution, policy: str) -> None:
    if child.closed_at is not None:
        return
    if policy == "TERMINATE":
        terminate_execution(service, child, cause="CHILD_POLICY_APPLIED")
    elif policy == "REQUEST_CANCEL":
        request_cancel(service, child, cause="CHILD_POLICY_APPLIED")


_CHILD_EVENTS: Final = {
    "COMPLETED": ("ChildWorkflowExecutionCompleted", ("result",)),
    "FAILED": ("ChildWorkflowExecutionFailed", ("reason", "details")),
    "CANCELED": ("ChildWorkflowExecutionCanceled", ("details",)),
    "TIMED_OUT": ("ChildWorkflowExecutionTimedOut", ("timeoutType",)),
    "TERMINATED": ("ChildWorkflowExecutionTerminated", ()),
}
"""The parent's event for a child's close status, and the attributes it takes from the child's."""


def _notify_parent(service: ServiceState, child: Execution, attributes: Mapping[str, Any]) -> None:
    """Record a child's end in its open parent. A child that continues as new has not ended."""
    parent = child.parent
    if parent is None or parent.closed_at is not None or child.close_status not in _CHILD_EVENTS:
        return
    event, copied = _CHILD_EVENTS[child.close_status]
    service.record(
        parent,
        event,
        workflowExecution=child.wire,
        workflowType=child.wire_type,
        initiatedEventId=child.initiated_id,
        startedEventId=parent.children.pop(child.initiated_id).started_id,
        **{name: attributes.get(name) for name in copied},
    )
    request_decision(service, parent)


def request_decision(service: ServiceState, execution: Execution) -> None:
    """Schedule a decision task for an event that the decider must see, unless one waits that will show it.

    While a decision task is started, the next is scheduled at once, but delivered after its end. The decider of
    `swf local schedule` needs no decision task for anything but its signals: there is nobody to take it.
    """
    if execution.type == SCHEDULED_TYPE and execution.events[-1]["eventType"] not in _AWAITED:
        return
    if execution.responding:
        execution.decision_requested = True
    elif execution.decision is None:
        execution.decision = _schedule_decision(service, execution)
        _offer_decision(service, execution.decision)
    elif execution.decision.started_id and execution.next_decision is None:
        execution.next_decision = _schedule_decision(service, execution)


def end_decision(service: ServiceState, execution: Execution) -> None:
    """End the current decision task, whose event has been recorded, and offer the next one if there is one."""
    if execution.decision:
        execution.decision.task_list.close(execution.decision)
    execution.decision, execution.next_decision = execution.next_decision, None
    if execution.decision:
        _offer_decision(service, execution.decision)


def _schedule_decision(service: ServiceState, execution: Execution) -> DecisionTask:
    configuration = execution.configuration
    priority = configuration.get("taskPriority")
    name, schedule_to_start = execution.temporary_list or (execution.decision_list, "NONE")
    scheduled_id = service.record(
        execution,
        "DecisionTaskScheduled",
        taskList={"name": name},
        taskPriority=priority,
        scheduleToStartTimeout=schedule_to_start,
        startToCloseTimeout=configuration["taskStartToCloseTimeout"],
    )
    task_list = execution.domain.task_list("decision", name)
    return DecisionTask(execution, task_list, int(priority or 0), scheduled_id, service.now, schedule_to_start)


def _offer_decision(service: ServiceState, task: DecisionTask) -> None:
    task.waiting_since = service.now
    service.deadlines.watch(task)
    add_task(service, task)


def schedule_activity(service: ServiceState, execution: Execution, attributes: dict[str, Any]) -> None:
    """Schedule an activity task, given the attributes of its ActivityTaskScheduled event."""
    scheduled_id = service.record(execution, "ActivityTaskScheduled", **attributes)
    task = ActivityTask(
        execution,
        execution.domain.task_list("activity", attributes["taskList"]["name"]),
        int(attributes.get("taskPriority") or 0),
        scheduled_id,
        service.now,
        attributes,
    )
    execution.activities[scheduled_id] = task
    execution.activity_ids[task.activity_id] = task
    execution.latest_activity_at = service.now
    service.deadlines.watch(task)
    add_task(service, task)


def close_activity(service: ServiceState, task: ActivityTask, event: str, **attributes: Any) -> None:
    """Close an activity task with an event, and request a decision."""
    execution = task.execution
    service.record(execution, event, scheduledEventId=task.scheduled_id, startedEventId=task.started_id, **attributes)
    task.task_list.close(task)
    del execution.activities[task.scheduled_id]
    del execution.activity_ids[task.activity_id]
    execution.latest_activity_at = service.now
    request_decision(service, execution)


def start_timer(service: ServiceState, execution: Execution, timer_id: str, started_id: int, delay: float) -> None:
    """Start a timer whose TimerStarted event has been recorded."""
    timer = execution.timers[timer_id] = Timer(execution, timer_id, started_id, service.now + delay)
    service.deadlines.watch(timer)
