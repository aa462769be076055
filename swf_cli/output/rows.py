"""Tasks as JSON rows, and their deadlines and ends in words."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from ..history import ActivityTask, DecisionTask, End
from ..times import format_duration, iso_time

if TYPE_CHECKING:
    from ..models import ExecutionId

_TIMEOUTS: Final = ("runtime_timeout", "schedule_timeout", "total_timeout", "heartbeat_timeout")


def task_row(execution: ExecutionId, task: ActivityTask | DecisionTask) -> dict[str, Any]:
    """Return the JSON row of a task."""
    activity = task if isinstance(task, ActivityTask) else None
    return {
        "kind": "decision" if activity is None else "activity",
        "execution": {"id": execution.id, "run_id": execution.run_id},
        "id": activity and activity.id,
        "activity": activity and {"name": activity.activity.name, "version": activity.activity.version},
        "task_list": task.task_list,
        "state": task.state,
        "scheduled_at": iso_time(task.scheduled_at),
        "started_at": optional_time(task.started_at),
        "closed_at": activity and optional_time(activity.closed_at),
        "identity": task.identity,
        "input": activity and activity.input,
        "configuration": _configuration(task),
        "deadline": optional_time(task.deadline),
        "end": activity and activity.end and asdict(activity.end),
    }


def _configuration(task: ActivityTask | DecisionTask) -> dict[str, Any]:
    timeouts = {name: getattr(task.configuration, name) for name in _TIMEOUTS}
    seconds = {
        name: int(timeout.total_seconds()) if isinstance(timeout, timedelta) else None
        for name, timeout in timeouts.items()
    }
    return {**seconds, "priority": task.configuration.priority}


def optional_time(seconds: float | None) -> str | None:
    """Return a time as ISO 8601, None for None."""
    return None if seconds is None else iso_time(seconds)


def describe_deadline(task: ActivityTask | DecisionTask, now: float) -> str:
    """Return when a task's own timeouts close it."""
    if task.deadline is not None:
        left = task.deadline - now
        return f"{iso_time(task.deadline)} ({f'in {format_duration(left)}' if left > 0 else 'now'})"
    heartbeat = task.configuration.heartbeat_timeout
    if task.started_at is not None and isinstance(heartbeat, timedelta):
        return f"none, as long as a heartbeat is sent every {format_duration(heartbeat.total_seconds())}"
    return "none"


def describe_end(end: End) -> str:
    """Return why a task ended, in one line; nothing for one that was completed."""
    words = {"failed": "failed", "cancelled": "cancelled", "timed_out": f"timed out ({end.timeout_type})"}
    if end.state == "gone":
        what = str(end)
    elif end.state in words:
        what = words[end.state]
    else:
        return ""
    last_line = (end.details or "").strip().rpartition("\n")[2]
    return ": ".join(part for part in (what, end.reason, last_line) if part)
