"""Tasks: those of an execution, those of a domain, one of them, and a task that was polled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..models import format_activity
from ..times import format_duration, iso_time
from .cards import card, card_of, cell, join
from .format import Output
from .rows import describe_deadline, describe_end, optional_time, task_row
from .tables import table, table_width
from .timeline import NARROWEST, WIDEST, timeline

if TYPE_CHECKING:
    from rich.text import Text

    from ..history import ActivityTask, DecisionTask
    from ..models import ActivityId, ExecutionId, WorkerTask
    from ..monitor.execution import ExecutionTasks
    from ..monitor.groups import TaskCount
    from ..monitor.tasks import FoundTask

_COMMON_ABOVE = ("activity", "task list", "worker")
"""Columns that move above the table if all rows have the same value."""


def show_execution(output: Output, found: ExecutionTasks, now: float, if_empty: str) -> None:
    """Print the activity tasks of an execution; `if_empty` is the message if there are none."""
    output.emit(
        [task_row(found.execution, task) for task in found.tasks],
        screen=lambda width: _execution_screen(found, now, width, if_empty),
        text=[_text_fields(found.execution, task) for task in found.tasks],
    )


def show_open_tasks(output: Output, rows: Sequence[FoundTask], now: float, if_empty: str) -> None:
    """Print open activity tasks of a domain; `if_empty` is the message if there are none."""
    output.emit(
        [task_row(row.execution, row.task) for row in rows],
        screen=lambda width: _domain_screen(rows, now, width, if_empty),
        text=[_text_fields(row.execution, row.task) for row in rows],
    )


def _text_fields(execution: ExecutionId, task: ActivityTask) -> tuple[Any, ...]:
    end = task.end and (task.end.reason or task.end.timeout_type or task.end.cause)
    return (
        task.id,
        task.end.state if task.end else task.state,
        task.task_list,
        execution.id,
        execution.run_id,
        format_activity(task.activity),
        task.identity,
        iso_time(_state_since(task)),
        end,
    )


def show_task_counts(output: Output, counts: Sequence[TaskCount], field: str, now: float, if_empty: str) -> None:
    """Print how many open tasks have each value of a field; `if_empty` is the message if there are none."""

    def age(time: float | None) -> str:
        return "" if time is None else format_duration(now - time)

    def screen(width: int) -> Text:
        if not counts:
            return cell(if_empty, "dim")
        ages = [(age(count.oldest_scheduled_at), age(count.longest_running_since)) for count in counts]
        return table(
            (field, "scheduled", "started", "longest wait", "longest run"),
            [
                (_format_value(count.value), str(count.scheduled), str(count.started), *both)
                for count, both in zip(counts, ages, strict=True)
            ],
            width,
        )

    output.emit(
        [{field: _json_value(count.value), **_counts(count)} for count in counts],
        screen=screen,
        text=[(_format_value(count.value), *_counts(count).values()) for count in counts],
    )


def _counts(count: TaskCount) -> dict[str, Any]:
    return {
        "scheduled": count.scheduled,
        "started": count.started,
        "oldest_scheduled_at": optional_time(count.oldest_scheduled_at),
        "longest_running_since": optional_time(count.longest_running_since),
    }


def _json_value(value: str | ActivityId | None) -> Any:
    return value if value is None or isinstance(value, str) else asdict(value)


def _format_value(value: str | ActivityId | None) -> str | None:
    return value if value is None or isinstance(value, str) else format_activity(value)


def show_task(output: Output, execution: ExecutionId, task: ActivityTask, now: float) -> None:
    """Print everything that is known of a task."""
    output.emit(
        task_row(execution, task),
        screen=lambda _: _task_card(execution, task, now),
        text=[_text_fields(execution, task)],
    )


def _task_card(execution: ExecutionId, task: ActivityTask, now: float) -> Text:
    settings, end = task.configuration, task.end
    timeouts = {
        "schedule to start": settings.schedule_timeout,
        "start to close": settings.runtime_timeout,
        "schedule to close": settings.total_timeout,
        "heartbeat": settings.heartbeat_timeout,
    }
    lines: list[tuple[str, Any]] = [
        ("workflow", execution.id),
        ("run", execution.run_id),
        ("task", task.id),
        ("activity", format_activity(task.activity)),
        ("task list", task.task_list),
        ("state", _state(task)),
        ("scheduled", _time_and_age(task.scheduled_at, now)),
        ("started", _time_and_age(task.started_at, now)),
        ("worker", task.identity),
        ("cancel requested", _time_and_age(task.cancel_requested_at, now)),
        ("closed", _time_and_age(task.closed_at, now)),
        ("deadline", describe_deadline(task, now) if task.is_open else None),
        *[(f"{name} timeout", _timeout(timeout)) for name, timeout in timeouts.items()],
        ("priority", None if settings.priority is None else str(settings.priority)),
        ("input", _block(task.input)),
    ]
    if end is not None:
        lines += [
            ("result", _block(end.result)),
            ("reason", end.reason),
            ("details", _block(end.details)),
            ("timeout", end.timeout_type),
            ("workflow ended", end.cause and end.cause.replace("_", " ")),
        ]
    return card((name, value) for name, value in lines if value is not None)


def _state(task: ActivityTask) -> str:
    return (task.end.state if task.end else task.state).replace("_", " ")


def _time_and_age(time: float | None, now: float) -> str | None:
    return None if time is None else f"{iso_time(time)} ({format_duration(now - time)} ago)"


def _timeout(timeout: Any) -> str | None:
    if timeout is None:
        return "none"
    return format_duration(timeout.total_seconds()) if timeout else None


def _block(text: str | None) -> Text | None:
    """Return a text of lines."""
    return None if text is None else join(map(cell, text.removesuffix("\n").split("\n")))


def _execution_screen(found: ExecutionTasks, now: float, width: int, if_empty: str) -> Text:
    """Return a row for each task, with a timeline if there is space; what all have in common stands above."""
    execution, tasks = found.execution, found.tasks
    above: list[tuple[str, Any]] = [("workflow", execution.id), ("run", execution.run_id)]
    if found.decision is not None:
        above.append(("decision task", _describe_decision(found.decision, now)))
    if not tasks:
        return join([card(above), cell(if_empty, "dim")], "\n\n")
    ends = [_end(task, now) for task in tasks]
    first, last = min(task.scheduled_at for task in tasks), max(ends)
    columns: dict[str, list[Any]] = {
        "task": [task.id for task in tasks],
        "activity": [format_activity(task.activity) for task in tasks],
        "task list": [task.task_list for task in tasks],
        "state": [_state(task) for task in tasks],
        "waited": [
            format_duration((task.started_at or end) - task.scheduled_at)
            for task, end in zip(tasks, ends, strict=True)
        ],
        "ran": [
            "" if task.started_at is None else format_duration(end - task.started_at)
            for task, end in zip(tasks, ends, strict=True)
        ],
        "ends in": [_ends_in(task, now) for task in tasks],
        "worker": [task.identity or "" for task in tasks],
    }
    for name in ("ends in", "worker"):
        if not any(columns[name]):
            del columns[name]
    for name in _COMMON_ABOVE:
        if len(set(columns.get(name, ()))) == 1:
            above.append((name, columns.pop(name)[0]))
    available = width - table_width(tuple(columns), list(zip(*columns.values(), strict=True))) - 2
    if available >= NARROWEST:
        above.append(("timeline", f"{format_duration(last - first)} from {iso_time(first)}"))
        scale = (min(WIDEST, available) - 1) / max(last - first, 1e-9)
        columns["timeline"] = [timeline(task, end, first, scale) for task, end in zip(tasks, ends, strict=True)]
    notes = [describe_end(task.end) if task.end else "" for task in tasks]
    rows = list(zip(*columns.values(), strict=True))
    return join([card(above), table(tuple(columns), rows, width, notes)], "\n\n")


def _end(task: ActivityTask, now: float) -> float:
    """Return when a task ended, or now: not before it began, since times of the service are whole seconds."""
    end = now if task.closed_at is None else task.closed_at
    return max(end, task.scheduled_at, task.started_at or 0.0)


def _describe_decision(task: DecisionTask, now: float) -> Text:
    if task.started_at is None:
        words = f"waiting for {format_duration(now - task.waiting_since)} on "
        return join([words, cell(task.task_list)], "")
    words = f"started {format_duration(now - task.started_at)} ago by "
    return join([words, cell(task.identity), " from ", cell(task.task_list)], "")


def _ends_in(task: ActivityTask, now: float) -> str:
    if not task.is_open:
        return ""
    heartbeat = task.configuration.heartbeat_timeout
    if task.deadline is not None:
        return format_duration(task.deadline - now)
    if task.started_at is not None and isinstance(heartbeat, timedelta):
        return f"{format_duration(heartbeat.total_seconds())} without heartbeat"
    return "never"


def _domain_screen(rows: Sequence[FoundTask], now: float, width: int, if_empty: str) -> Text:
    if not rows:
        return cell(if_empty, "dim")
    names = ("workflow", "task", "activity", "task list", "state", "in state for", "worker")
    return table(
        names,
        [
            (
                row.execution.id,
                row.task.id,
                format_activity(row.task.activity),
                row.task.task_list,
                _state(row.task),
                format_duration(now - _state_since(row.task)),
                row.task.identity or "",
            )
            for row in rows
        ],
        width,
    )


def _state_since(task: ActivityTask) -> float:
    times = (task.closed_at, task.cancel_requested_at, task.started_at)
    return next((time for time in times if time is not None), task.scheduled_at)


def show_polled_task(output: Output, task: WorkerTask, domain: str, task_list: str, held_key: str | None) -> None:
    """Print a task that was polled; as text, its token."""
    data = {**asdict(task), "domain": domain, "task_list": task_list, "held_key": held_key}
    output.emit(data, screen=lambda _: card_of(data), text=[(task.token,)])


def show_heartbeat(output: Output, cancel_requested: bool) -> None:
    """Print whether cancellation was requested."""
    data = {"cancel_requested": cancel_requested}
    output.emit(data, screen=lambda _: card_of(data), text=[(cancel_requested,)])
