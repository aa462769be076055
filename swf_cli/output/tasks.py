"""What an operator looks at: the tasks of an execution, stuck tasks, task lists over time, a survey's progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from ..models import unset
from .cards import _shape_card, card, cell
from .format import Output, _as_text
from .tables import format_duration, iso_time, table
from .timeline import _NARROWEST, _WIDEST, _timeline

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from ..history import ActivityTask
    from ..models import ExecutionId, WorkerTask


_TIMEOUTS: Final = ("runtime_timeout", "schedule_timeout", "total_timeout", "heartbeat_timeout")


def show_tasks(output: Output, execution: ExecutionId, tasks: Sequence[ActivityTask], now: float) -> None:
    """Write the activity tasks of an execution: a table with a timeline, JSON, or a line each."""
    text = "\n".join(f"{task.id}\t{task.state}\t{task.task_list}" for task in tasks)
    shapes = [_shape(execution, task) for task in tasks]
    output.show(shapes, table=lambda: _tasks_table(execution, tasks, now, output.console().width), text=text)


def _shape(execution: ExecutionId, task: ActivityTask) -> dict[str, Any]:
    """Give the JSON shape of a row of `tasks` and `stuck`."""
    settings = task.configuration
    timeouts = {name: getattr(settings, name) for name in _TIMEOUTS}
    configuration: dict[str, Any] = {
        name: None if timeout is None else int(timeout.total_seconds())
        for name, timeout in timeouts.items()
        if timeout is not unset
    }
    return {
        "execution": {"id": execution.id, "run_id": execution.run_id},
        "id": task.id,
        "activity": {"name": task.activity.name, "version": task.activity.version},
        "task_list": task.task_list,
        "state": task.state,
        "scheduled_at": iso_time(task.scheduled_at),
        "started_at": _time(task.started_at),
        "closed_at": _time(task.closed_at),
        "identity": task.identity,
        "configuration": {**configuration, "priority": settings.priority},
        "deadline": _time(task.deadline),
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else iso_time(seconds)


def _tasks_table(execution: ExecutionId, tasks: Sequence[ActivityTask], now: float, width: int) -> RenderableType:
    """Draw a row for each task; what all have in common stands above, and what finds no room under the task's id."""
    from rich.cells import cell_len
    from rich.console import Group
    from rich.text import Text

    title = {"workflow": execution.id, "run": execution.run_id}
    if not tasks:
        return Group(
            card(title.items(), "dim"), Text("no activity task is open; --all shows closed ones too", style="dim")
        )
    ends = [now if task.closed_at is None else task.closed_at for task in tasks]
    first, last = min(task.scheduled_at for task in tasks), max(ends)
    columns: dict[str, list[Any]] = {
        "task": [task.id for task in tasks],
        "activity": [f"{task.activity.name} {task.activity.version}" for task in tasks],
        "task list": [task.task_list for task in tasks],
        "state": [
            "gone" if task.end and task.end.state == "gone" else task.state.replace("_", " ") for task in tasks
        ],
        "waited": [
            format_duration((task.started_at or end) - task.scheduled_at)
            for task, end in zip(tasks, ends, strict=True)
        ],
        "ran": [
            "" if task.started_at is None else format_duration(ends[n] - task.started_at)
            for n, task in enumerate(tasks)
        ],
        "ends in": [_ends_in(task, now) for task in tasks],
    }
    if not any(columns["ends in"]):
        del columns["ends in"]
    for name in ("activity", "task list"):
        if len(set(columns[name])) == 1:
            title[name] = columns.pop(name)[0]
    title["timeline"] = f"{format_duration(last - first)} from {iso_time(first)}"
    room = width - sum(max(len(name), *map(cell_len, texts)) + 3 for name, texts in columns.items()) - 2
    if room < _NARROWEST:
        more = [columns.pop(name) for name in ("activity", "task list") if name in columns]
        columns["task"] = [_stack(*texts) for texts in zip(columns["task"], *more, strict=True)]
    scale = (max(_NARROWEST, min(_WIDEST, room)) - 1) / max(last - first, 1e-9)
    columns["timeline"] = [_timeline(task, end, first, scale) for task, end in zip(tasks, ends, strict=True)]
    whole = [name for name in columns if name not in ("task", "activity", "task list")]
    return Group(
        card(title.items(), "dim"), table(tuple(columns), list(zip(*columns.values(), strict=True)), whole=whole)
    )


def _ends_in(task: ActivityTask, now: float) -> str:
    if not task.is_open:
        return ""
    return "never" if task.deadline is None else format_duration(task.deadline - now)


def _stack(first: str, *more: str) -> Text:
    """Put texts under each other in one cell."""
    stacked = cell(first)
    for text in more:
        stacked.append("\n").append_text(cell(text))
        stacked.stylize("dim", len(first))
    return stacked


def show_task(output: Output, task: WorkerTask, domain: str, task_list: str) -> None:
    """Write a task that was polled: a card, JSON, or its token."""
    shape = {**asdict(task), "domain": domain, "task_list": task_list}
    output.show(shape, table=lambda: _shape_card(shape), text=task.token)


def show_heartbeat(output: Output, cancel_requested: bool) -> None:
    """Write what a heartbeat brought back."""
    shape = {"cancel_requested": cancel_requested}
    output.show(shape, table=lambda: _shape_card(shape), text=_as_text(cancel_requested))
