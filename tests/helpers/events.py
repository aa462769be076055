"""Events of activity tasks, as GetWorkflowExecutionHistory returns them."""

from typing import Any


def scheduled(event_id: int, heartbeat: str | None) -> dict[str, Any]:
    """Return the event that scheduled a task with this heartbeat timeout."""
    values = {"activityId": "resize-1", **({} if heartbeat is None else {"heartbeatTimeout": heartbeat})}
    return {"eventId": event_id, "eventType": "ActivityTaskScheduled", "activityTaskScheduledEventAttributes": values}


def started(event_id: int, scheduled_event_id: int) -> dict[str, Any]:
    """Return the event that started a task."""
    values = {"scheduledEventId": scheduled_event_id}
    return {"eventId": event_id, "eventType": "ActivityTaskStarted", "activityTaskStartedEventAttributes": values}


def other(event_id: int) -> dict[str, Any]:
    """Return an event that is none of a task's."""
    return {"eventId": event_id, "eventType": "WorkflowExecutionSignaled"}
