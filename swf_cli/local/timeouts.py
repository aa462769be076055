"""Advance a service's time: timeouts, timers and polls end, in order, each at its own time."""

from typing import Any

from .deadlines import Expirable
from .entities import ActivityTask, DecisionTask, Execution, Poll, Timer
from .lifecycle import close_activity, close_execution, end_decision, finish, request_decision
from .matching import end_poll
from .service import ServiceState


def advance_to(service: ServiceState, now: float) -> None:
    """Process whatever is due by now."""
    while expired := service.deadlines.pop_expired(now):
        service.now, item = expired
        _expire(service, item)
        finish(service)
    service.now = max(service.now, now)


def _expire(service: ServiceState, item: Expirable | Any) -> None:
    match item:
        case Poll():
            end_poll(item, None)
        case ActivityTask():
            _, timeout_type = item.first_timeout()
            close_activity(service, item, "ActivityTaskTimedOut", timeoutType=timeout_type, details=item.details)
        case DecisionTask():
            _expire_decision(service, item)
        case Timer(execution=execution):
            del execution.timers[item.timer_id]
            service.record(execution, "TimerFired", timerId=item.timer_id, startedEventId=item.started_id)
            request_decision(service, execution)
        case Execution():
            close_execution(
                service,
                item,
                "TIMED_OUT",
                "WorkflowExecutionTimedOut",
                timeoutType="START_TO_CLOSE",
                childPolicy=item.configuration["childPolicy"],
            )


def _expire_decision(service: ServiceState, task: DecisionTask) -> None:
    execution = task.execution
    service.record(
        execution,
        "DecisionTaskTimedOut",
        timeoutType="START_TO_CLOSE" if task.started_id else "SCHEDULE_TO_START",
        scheduledEventId=task.scheduled_id,
        startedEventId=task.started_id,
    )
    execution.temporary_list = None
    end_decision(service, execution)
    request_decision(service, execution)
