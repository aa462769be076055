"""Rows of the ledger, made up."""

from typing import Any

from swf_cli.ledger.records import HeldTask
from swf_cli.models import ActivityId, ExecutionId

_TASK: dict[str, Any] = {
    "key": "abcd1234",
    "kind": "task",
    "token": "TOKEN",
    "id": "resize-1",
    "activity": ActivityId("resize", "1"),
    "execution": ExecutionId("video-7", "RUN"),
    "task_started_execution_history_event_id": 6,
    "domain": "media",
    "task_list": "work",
    "identity": "host:1",
    "host": "host",
    "pid": 1,
    "holder_alive": None,
    "taken_by": "poll",
    "taken_at": 0.0,
    "profile": None,
    "region": "us-east-1",
    "endpoint": "http://127.0.0.1:1",
}
_LOST_POLL: dict[str, Any] = {
    **_TASK,
    **dict.fromkeys(("token", "id", "activity", "execution", "task_started_execution_history_event_id")),
    "key": "dcba4321",
    "kind": "broken_poll",
    "holder_alive": False,
}


def held_task(**fields: Any) -> HeldTask:
    """Return a row of a task that `swf poll` received, with these fields."""
    return HeldTask(**_TASK | fields)


def lost_poll(**fields: Any) -> HeldTask:
    """Return a row of a poll that was lost, with these fields."""
    return HeldTask(**_LOST_POLL | fields)
