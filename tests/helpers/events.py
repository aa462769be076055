"""Events of histories, as GetWorkflowExecutionHistory returns them."""

from typing import Any


def event(number: int, kind: str, at: float | None = None, **values: Any) -> dict[str, Any]:
    """Return an event with these attributes; `at` is in seconds since the epoch, by default as many as its number."""
    attributes = f"{kind[0].lower()}{kind[1:]}EventAttributes"
    return {
        "eventId": number,
        "eventTimestamp": float(number) if at is None else at,
        "eventType": kind,
        attributes: values,
    }


def scheduled(number: int, heartbeat: str | None) -> dict[str, Any]:
    """Return the event that scheduled a task with this heartbeat timeout."""
    timeout: dict[str, Any] = {} if heartbeat is None else {"heartbeatTimeout": heartbeat}
    return event(number, "ActivityTaskScheduled", activityId="resize-1", **timeout)


def started(number: int, scheduled_number: int) -> dict[str, Any]:
    """Return the event that started a task."""
    return event(number, "ActivityTaskStarted", scheduledEventId=scheduled_number)


def other(number: int) -> dict[str, Any]:
    """Return an event that is none of a task's."""
    return {"eventId": number, "eventType": "WorkflowExecutionSignaled"}
