"""RespondDecisionTaskCompleted: what each decision does, and how it fails."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from .entities import Answer, Args, Execution, Registered, seconds
from .faults import invalid
from .service import ServiceState

MOST_OPEN: Final = 1_000
"""The most open activity tasks, and the most open timers, of an execution."""

Decide = Callable[[ServiceState, Execution, Mapping[str, Any], int], bool]
"""Carries out a decision, given its attributes and the DecisionTaskCompleted event's id; false when it failed."""


def respond_decision_task_completed(service: ServiceState, args: Args) -> Answer:
    """RespondDecisionTaskCompleted: carry out the decisions, in order."""
    task = service.decision_task(args["taskToken"])
    decisions = [_read(place, decision) for place, decision in enumerate(args.get("decisions") or (), start=1)]
    if any(decide in _CLOSING for decide, _ in decisions[:-1]):
        raise invalid("Close must be last decision in list")
    if args.get("taskListScheduleToStartTimeout"):
        raise invalid("taskListScheduleToStartTimeout is not supported by this local SWF")
    execution = task.execution
    completed_id = execution.record(
        service.now,
        "DecisionTaskCompleted",
        executionContext=args.get("executionContext"),
        scheduledEventId=task.scheduled_id,
        startedEventId=task.started_id,
        taskList=args.get("taskList"),
    )
    execution.previous_started_id = task.started_id
    execution.context = args.get("executionContext", execution.context)
    if args.get("taskList"):
        execution.decision_list = args["taskList"]["name"]
    unseen = execution.news
    for decide, attributes in decisions:
        if decide in _CLOSING and unseen:
            event = f"{_CLOSING[decide]}WorkflowExecutionFailed"
            execution.record(
                service.now, event, cause="UNHANDLED_DECISION", decisionTaskCompletedEventId=completed_id
            )
        elif not decide(service, execution, attributes, completed_id):
            execution.news = True
    if execution.closed_at is None:
        task.task_list.drop(task)
        execution.decision = None
        if execution.news:
            service.schedule_decision(execution)
    return {}


def _read(place: int, decision: Mapping[str, Any]) -> tuple[Decide, Mapping[str, Any]]:
    name = decision["decisionType"]
    decide = _DECISIONS.get(name)
    if decide is None:
        raise invalid(f"{name}, at 'decisions.{place}.member.decisionType', is not supported by this local SWF")
    key = f"{name[0].lower()}{name[1:]}DecisionAttributes"
    attributes = decision.get(key)
    if attributes is None:
        if decide not in _CLOSING:
            raise invalid(
                f"1 validation error detected: Value null at 'decisions.{place}.member.{key}' "
                "failed to satisfy constraint: Member must not be null"
            )
        attributes = {}
    return decide, attributes


def _schedule_activity_task(
    service: ServiceState, execution: Execution, given: Mapping[str, Any], completed_id: int
) -> bool:
    kind = given["activityType"]
    registered = execution.domain.types["activity"].get((kind["name"], kind["version"]))
    cause = _why_not(execution, given, registered)
    if cause or registered is None:
        execution.record(
            service.now,
            "ScheduleActivityTaskFailed",
            activityType=kind,
            activityId=given["activityId"],
            cause=cause,
            decisionTaskCompletedEventId=completed_id,
        )
        return False
    effective = {name: _effective(given, registered, name) for name in _SETTINGS}
    service.schedule_activity(
        execution,
        {
            "activityType": kind,
            "activityId": given["activityId"],
            "input": given.get("input"),
            "control": given.get("control"),
            **effective,
            "taskPriority": _effective(given, registered, "taskPriority"),
            "decisionTaskCompletedEventId": completed_id,
        },
    )
    return True


_SETTINGS: Final = {
    "taskList": "TASK_LIST",
    "scheduleToStartTimeout": "SCHEDULE_TO_START_TIMEOUT",
    "scheduleToCloseTimeout": "SCHEDULE_TO_CLOSE_TIMEOUT",
    "startToCloseTimeout": "START_TO_CLOSE_TIMEOUT",
    "heartbeatTimeout": "HEARTBEAT_TIMEOUT",
}
"""What an activity task must be given, or its type have a default for; and how SWF spells it in a cause."""


def _why_not(execution: Execution, given: Mapping[str, Any], registered: Registered | None) -> str | None:
    if registered is None:
        return "ACTIVITY_TYPE_DOES_NOT_EXIST"
    if registered.deprecated_at is not None:
        return "ACTIVITY_TYPE_DEPRECATED"
    if given["activityId"] in execution.activity_ids:
        return "ACTIVITY_ID_ALREADY_IN_USE"
    if len(execution.activities) >= MOST_OPEN:
        return "OPEN_ACTIVITIES_LIMIT_EXCEEDED"
    for name, spelled in _SETTINGS.items():
        if _effective(given, registered, name) is None:
            return f"DEFAULT_{spelled}_UNDEFINED"
    return None


def _effective(given: Mapping[str, Any], registered: Registered, name: str) -> Any:
    value = given.get(name)
    default = (
        f"default{name[0].upper()}{name[1:]}"
        if name.startswith("task")
        else f"defaultTask{name[0].upper()}{name[1:]}"
    )
    return registered.defaults.get(default) if value is None else value


def _request_cancel_activity_task(
    service: ServiceState, execution: Execution, given: Mapping[str, Any], completed_id: int
) -> bool:
    activity_id = given["activityId"]
    task = execution.activity_ids.get(activity_id)
    if task is None:
        execution.record(
            service.now,
            "RequestCancelActivityTaskFailed",
            activityId=activity_id,
            cause="ACTIVITY_ID_UNKNOWN",
            decisionTaskCompletedEventId=completed_id,
        )
        return False
    task.cancel_requested_id = execution.record(
        service.now, "ActivityTaskCancelRequested", activityId=activity_id, decisionTaskCompletedEventId=completed_id
    )
    if not task.started_id:
        service.finish(task, "ActivityTaskCanceled", latestCancelRequestedEventId=task.cancel_requested_id)
    return True


def _start_timer(service: ServiceState, execution: Execution, given: Mapping[str, Any], completed_id: int) -> bool:
    timer_id = given["timerId"]
    cause = (
        "TIMER_ID_ALREADY_IN_USE"
        if timer_id in execution.timers
        else "OPEN_TIMERS_LIMIT_EXCEEDED"
        if len(execution.timers) >= MOST_OPEN
        else None
    )
    if cause:
        execution.record(
            service.now,
            "StartTimerFailed",
            timerId=timer_id,
            cause=cause,
            decisionTaskCompletedEventId=completed_id,
        )
        return False
    started_id = execution.record(
        service.now,
        "TimerStarted",
        timerId=timer_id,
        control=given.get("control"),
        startToFireTimeout=given["startToFireTimeout"],
        decisionTaskCompletedEventId=completed_id,
    )
    service.start_timer(execution, timer_id, started_id, seconds(given["startToFireTimeout"]))
    return True


def _cancel_timer(service: ServiceState, execution: Execution, given: Mapping[str, Any], completed_id: int) -> bool:
    timer = execution.timers.pop(given["timerId"], None)
    if timer is None:
        execution.record(
            service.now,
            "CancelTimerFailed",
            timerId=given["timerId"],
            cause="TIMER_ID_UNKNOWN",
            decisionTaskCompletedEventId=completed_id,
        )
        return False
    execution.record(
        service.now,
        "TimerCanceled",
        timerId=timer.timer_id,
        startedEventId=timer.started_id,
        decisionTaskCompletedEventId=completed_id,
    )
    return True


def _record_marker(service: ServiceState, execution: Execution, given: Mapping[str, Any], completed_id: int) -> bool:
    execution.record(
        service.now,
        "MarkerRecorded",
        markerName=given["markerName"],
        details=given.get("details"),
        decisionTaskCompletedEventId=completed_id,
    )
    return True


def _complete(service: ServiceState, execution: Execution, given: Mapping[str, Any], completed_id: int) -> bool:
    service.close(
        execution,
        "COMPLETED",
        "WorkflowExecutionCompleted",
        result=given.get("result"),
        decisionTaskCompletedEventId=completed_id,
    )
    return True


def _fail(service: ServiceState, execution: Execution, given: Mapping[str, Any], completed_id: int) -> bool:
    service.close(
        execution,
        "FAILED",
        "WorkflowExecutionFailed",
        reason=given.get("reason"),
        details=given.get("details"),
        decisionTaskCompletedEventId=completed_id,
    )
    return True


def _cancel(service: ServiceState, execution: Execution, given: Mapping[str, Any], completed_id: int) -> bool:
    service.close(
        execution,
        "CANCELED",
        "WorkflowExecutionCanceled",
        details=given.get("details"),
        decisionTaskCompletedEventId=completed_id,
    )
    return True


_DECISIONS: Final[Mapping[str, Decide]] = {
    "ScheduleActivityTask": _schedule_activity_task,
    "RequestCancelActivityTask": _request_cancel_activity_task,
    "StartTimer": _start_timer,
    "CancelTimer": _cancel_timer,
    "RecordMarker": _record_marker,
    "CompleteWorkflowExecution": _complete,
    "FailWorkflowExecution": _fail,
    "CancelWorkflowExecution": _cancel,
}

_CLOSING: Final[Mapping[Decide, str]] = {_complete: "Complete", _fail: "Fail", _cancel: "Cancel"}
"""The decisions that close an execution, with the name that the event of their failure begins with."""
