"""Tasks that look stuck."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..monitor.diagnosis import REASONS
from .cards import card
from .format import Output
from .tables import format_duration, iso_time
from .tasks import _shape

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..history import ActivityTask
    from ..monitor.scanner import Stuck


def show_stuck(output: Output, rows: Sequence[Stuck], now: float) -> None:
    """Write the tasks that look stuck: a block each on a terminal, JSON, or a line each."""
    shapes = [
        {**_shape(row.execution, row.task), "reason": row.diagnosis.reason, "hint": row.diagnosis.hint}
        for row in rows
    ]
    text = "\n".join(
        f"{row.diagnosis.reason}\t{row.task.id}\t{row.execution.id}\t{row.execution.run_id}\t{row.diagnosis.hint}"
        for row in rows
    )
    output.show(shapes, table=lambda: _stuck_blocks(rows, now), text=text)


def _stuck_blocks(rows: Sequence[Stuck], now: float) -> RenderableType:
    """Draw a block for each row: what would be copied stands on lines of its own, whatever the width."""
    from rich.console import Group
    from rich.text import Text

    if not rows:
        return Text("nothing looks stuck")
    blocks: list[RenderableType] = []
    for row in rows:
        task, why = row.task, row.diagnosis
        head = Text(why.reason, style="bold red" if why.reason in ("holder-gone", "endless") else "bold yellow")
        head.append(f" for {format_duration(now - why.since)}: {REASONS[why.reason]}", style="not bold")
        lines = {
            "  task": f"{task.id}  ({task.activity.name} {task.activity.version}, {task.state})",
            "  workflow": row.execution.id,
            "  run": row.execution.run_id,
            "  task list": task.task_list,
            "  identity": task.identity,
            "  deadline": _deadline(task, now),
            "  to do": why.hint,
        }
        block = card(((name, value) for name, value in lines.items() if value is not None), "dim")
        blocks += [head, block, Text()]
    return Group(*blocks[:-1])


def _deadline(task: ActivityTask, now: float) -> str:
    """Say when the task's own timeouts end it."""
    if task.deadline is not None:
        left = task.deadline - now
        return f"{iso_time(task.deadline)} ({f'in {format_duration(left)}' if left > 0 else 'now'})"
    heartbeat = task.configuration.heartbeat_timeout
    if task.started_at is not None and heartbeat:
        return f"never, while a heartbeat comes every {format_duration(heartbeat.total_seconds())}"
    return "never"
