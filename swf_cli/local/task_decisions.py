"""Decisions about an execution's own activity tasks, timers, markers and Lambda functions."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from .entities import Execution, Registered, timeout_seconds
from .lifecycle import close_activity, schedule_activity, start_timer
from .service import ServiceState

Decide = Callable[[ServiceState, Execution, Mapping[str, Any], int], bool]
"""Carries out a decision, given its attributes and the ID of the DecisionTaskCompleted event; False if it failed."""

_SETTINGS: Final = {
    "taskList": "TASK_LIST",
    "scheduleToStartTimeout": "SCHEDULE_TO_START_TIMEOUT",
    "scheduleToCloseTimeout": "SCHEDULE_TO_CLOSE_TIMEOUT",
    "startToCloseTimeout": "START_TO_CLOSE_TIMEOUT",
    "heartbeatTimeout": "HEARTBEAT_TIMEOUT",
}
"""Required settings of an activity task, and their names in a cause."""


def _schedule_activity_task(
    service: ServiceState, execution: Execution, given: Mapping[str, Any], completed_id: int
) -> bool:
    activity_type = given["activityType"]
    registered = execution.domain.types["activity"].get((activity_type["name"], activity_type["version"]))
    settings = {} if registered is None else _activity_settings(given, registered)
    if cause := _activity_failure(service, execution, given["activityId"], registered, settings):
        service.record(
            execution,
            "ScheduleActivityTaskFailed",
            activityType=activity_type,
            activityId=given["activityId"],
            cause=cause,
            decisionTaskCompletedEventId=completed_id,
        )
        return False
    schedule_activity(
        service,
        execution,
        {
            "activityType": activity_type,
            "activityId": given["activityId"],
            "input": given.get("input"),
            "control": given.get("control"),
            **settings,
            "decisionTaskCompletedEventId": completed_id,
        },
    )
    return True


def _activity_settings(given: Mapping[str, Any], registered: Registered) -> dict[str, Any]:
    """Return the settings of an activity task, each given or a default of its type, else None."""
    settings = {}
    for name in (*_SETTINGS, "taskPriority"):
        title = f"{name[0].upper()}{name[1:]}"
        default = f"default{title}" if name.startswith("task") else f"defaultTask{title}"
        value = given.get(name)
        settings[name] = registered.defaults.get(default) if value is None else value
    return settings


def _activity_failure(
    service: ServiceState,
    execution: Execution,
    activity_id: str,
    registered: Registered | None,
    settings: Mapping[str, Any],
) -> str | None:
    if registered is None:
        return "ACTIVITY_TYPE_DOES_NOT_EXIST"
    if registered.deprecated_at is not None:
        return "ACTIVITY_TYPE_DEPRECATED"
    if activity_id in execution.activity_ids:
        return "ACTIVITY_ID_ALREADY_IN_USE"
    if len(execution.activities) >= service.limits.open_tasks:
        return "OPEN_ACTIVITIES_LIMIT_EXCEEDED"
    missing = next((title for name, title in _SETTINGS.items() if settings[name] is None), None)
    return missing and f"DEFAULT_{missing}_UNDEFINED"


def _request_cancel_activity_task(
    service: ServiceState, execution: Execution, given: Mapping[str, Any], completed_id: int
) -> bool:
    activity_id = given["activityId"]
    task = execution.activity_ids.get(activity_id)
    if task is None:
        service.record(
            execution,
            "RequestCancelActivityTaskFailed",
            activityId=activity_id,
            cause="ACTIVITY_ID_UNKNOWN",
            decisionTaskCompletedEventId=completed_id,
        )
        return False
    task.cancel_requested_id = service.record(
        execution, "ActivityTaskCancelRequested", activityId=activity_id, decisionTaskCompletedEventId=completed_id
    )
    if not task.started_id:
        close_activity(service, task, "ActivityTaskCanceled", latestCancelRequestedEventId=task.cancel_requested_id)
    return True


def _start_timer(service: ServiceState, execution: Execution, given: Mapping[str, Any], completed_id: int) -> bool:
    timer_id = given["timerId"]
    cause = (
        "TIMER_ID_ALREADY_IN_USE"
        if timer_id in execution.timers
        else "OPEN_TIMERS_LIMIT_EXCEEDED"
        if len(execution.timers) >= service.limits.open_tasks
        else None
    )
    if cause:
        service.record(
            execution, "StartTimerFailed", timerId=timer_id, cause=cause, decisionTaskCompletedEventId=completed_id
        )
        return False
    started_id = service.record(
        execution,
        "TimerStarted",
        timerId=timer_id,
        control=given.get("control"),
        startToFireTimeout=given["startToFireTimeout"],
        decisionTaskCompletedEventId=completed_id,
    )
    start_timer(service, execution, timer_id, started_id, timeout_seconds(given["startToFireTimeout"]))
    return True


def _cancel_timer(service: ServiceState, execution: Execution, given: Mapping[str, Any], completed_id: int) -> bool:
    timer = execution.timers.pop(given["timerId"], None)
    if timer is None:
        service.record(
            execution,
            "CancelTimerFailed",
            timerId=given["timerId"],
            cause="TIMER_ID_UNKNOWN",
            decisionTaskCompletedEventId=completed_id,
        )
        return False
    service.record(
        execution,
        "TimerCanceled",
        timerId=timer.timer_id,
        startedEventId=timer.started_id,
        decisionTaskCompletedEventId=completed_id,
    )
    return True


def _record_marker(service: ServiceState, execution: Execution, given: Mapping[str, Any], completed_id: int) -> bool:
    service.record(
        execution,
        "MarkerRecorded",
        markerName=given["markerName"],
        details=given.get("details"),
        decisionTaskCompletedEventId=completed_id,
    )
    return True


def _schedule_lambda_function(
    service: ServiceState, execution: Execution, given: Mapping[str, Any], completed_id: int
) -> bool:
    """Fail: without a role as documented, and with one since there is no Lambda here."""
    has_role = "lambdaRole" in execution.configuration
    service.record(
        execution,
        "ScheduleLambdaFunctionFailed",
        id=given["id"],
        name=given["name"],
        cause="LAMBDA_SERVICE_NOT_AVAILABLE_IN_REGION" if has_role else "OPERATION_NOT_PERMITTED",
        decisionTaskCompletedEventId=completed_id,
    )
    return False


DECISIONS: Final[Mapping[str, Decide]] = {
    "ScheduleActivityTask": _schedule_activity_task,
    "RequestCancelActivityTask": _request_cancel_activity_task,
    "StartTimer": _start_timer,
    "CancelTimer": _cancel_timer,
    "RecordMarker": _record_marker,
    "ScheduleLambdaFunction": _schedule_lambda_function,
}
"""Decisions by name."""
