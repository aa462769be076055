"""Tasks that look stuck: what was read, the reasons by task list, the worst tasks, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..history import ActivityTask, DecisionTask
from ..invocation import WHERE, Invocation
from ..models import format_activity
from ..monitor.groups import StuckGroup, group_stuck
from ..times import format_duration, iso_time
from .cards import card, cell, copyable, join, wrap
from .format import Output
from .progress import count_of
from .rows import describe_deadline, task_row
from .tables import table, table_width

if TYPE_CHECKING:
    from rich.text import Text

    from ..monitor.calls import ScanProgress
    from ..monitor.stuck import StuckReport, StuckTask

_DEFAULT_LIMIT: Final = 5
"""Tasks that are shown as cards."""

_LABEL: Final = 13  # characters before the values of a card
_PACE: Final = ("--older-than", "--rate", "--timeout")
"""The options of `swf stuck` that say what counts as stuck, and how fast to read."""

_BAD: Final = ("holder-gone", "no-decider", "decider-failing", "endless")


@dataclass(frozen=True, slots=True)
class StuckScreen:
    """What the screen shows besides the tasks."""

    progress: ScanProgress
    now: float
    invocation: Invocation = field(default_factory=Invocation)
    is_filtered: bool = False
    """Whether only some tasks were looked at."""


def show_stuck(output: Output, report: StuckReport, screen: StuckScreen, limit: int | None) -> int:
    """Print the tasks that look stuck, worst first; return how many were left out.

    `limit` is the most to print, 0 for all; None for all, but five on a screen.
    """
    if limit is None:
        limit = _DEFAULT_LIMIT if output.is_screen else 0
    rows = report.rows[: limit or None]
    output.emit(
        [_stuck_row(row) for row in rows],
        screen=lambda width: _draw(report, rows, screen, width),
        text=[_text_fields(row) for row in rows],
    )
    return len(report.rows) - len(rows)


def _stuck_row(row: StuckTask) -> dict[str, Any]:
    why = row.diagnosis
    return {
        **task_row(row.execution, row.task),
        "since": iso_time(why.since),
        "reason": why.reason,
        "hint": why.hint,
    }


def _text_fields(row: StuckTask) -> tuple[Any, ...]:
    why, task = row.diagnosis, row.task
    activity_id = task.id if isinstance(task, ActivityTask) else None
    run = row.execution
    hint = why.hint if copyable(why.command) == why.command else why.advice
    return why.reason, iso_time(why.since), task.task_list, activity_id, run.id, run.run_id, hint


def _draw(report: StuckReport, rows: Sequence[StuckTask], screen: StuckScreen, width: int) -> Text:
    found = (
        f"{count_of(screen.progress.executions, 'execution')} and {count_of(screen.progress.tasks, 'open task')} read"
    )
    if not report.is_complete:
        found += "; the scan is incomplete"
    if not report.rows:
        return cell(f"Nothing looks stuck: {found}.{_no_match(report, screen)}")
    looks = f"{count_of(len(report.rows), 'task')} {'looks' if len(report.rows) == 1 else 'look'} stuck"
    parts = [
        cell(f"{looks}: {found}."),
        _draw_groups(report.rows, screen.now, width),
        *[_draw_task(row, screen.now, width) for row in rows],
        _draw_next(report, rows, screen),
    ]
    return join(parts, "\n\n")


def _no_match(report: StuckReport, screen: StuckScreen) -> str:
    if not screen.is_filtered or report.matched:
        return ""
    return " No open task matches the options."


def _draw_groups(rows: Sequence[StuckTask], now: float, width: int) -> Text:
    """Return a row for each reason and task list, with an example; what has no space beside it stands below."""
    groups = group_stuck(rows)
    columns = {
        "reason": [cell(group.worst.diagnosis.reason, _style(group.worst)) for group in groups],
        "task list": [_name_list(group) for group in groups],
        "tasks": [cell(str(group.count)) for group in groups],
        "longest": [cell(format_duration(now - group.worst.diagnosis.since)) for group in groups],
        "example": [cell(group.worst.execution.id) for group in groups],
    }
    notes: list[list[Text]] = [[] for _ in groups]
    for name, words in (("example", "such as "), ("task list", "on ")):
        if table_width(tuple(columns), list(zip(*columns.values(), strict=True))) <= width:
            break
        for note, value in zip(notes, columns.pop(name), strict=True):
            note.insert(0, join([cell(words), value], ""))
    lines = [join(note, "\n  ") for note in notes]
    return table(tuple(columns), list(zip(*columns.values(), strict=True)), width, lines)


def _name_list(group: StuckGroup) -> Text:
    return cell(group.worst.task.task_list) if group.lists == 1 else cell(f"{group.lists} other lists", "dim")


def _style(row: StuckTask) -> str:
    return "red" if row.diagnosis.reason in _BAD else "yellow"


def _draw_task(row: StuckTask, now: float, width: int) -> Text:
    """Return a task as a card: each value that one would copy on a line of its own."""
    task, why, is_decision = row.task, row.diagnosis, isinstance(row.task, DecisionTask)
    command = copyable(why.command)
    keep = (task.task_list, shlex.quote(task.task_list), row.execution.id)
    head = wrap(f"{why.reason}: {why.explanation}", width, keep)
    head.stylize(f"bold {_style(row)}", 0, len(why.reason))
    lines: list[tuple[str, Any]] = []
    if isinstance(task, ActivityTask):
        lines += [("task", task.id), ("activity", format_activity(task.activity))]
    lines += [
        ("workflow", row.execution.id),
        ("run", row.execution.run_id),
        ("task list", task.task_list),
        ("decider" if is_decision else "worker", task.identity),
        ("deadline", None if is_decision and task.deadline is None else describe_deadline(task, now)),
        ("to do", wrap(why.advice + ":" * bool(command), width - _LABEL, keep) if why.advice else command),
        ("", command if why.advice else None),
    ]
    return join([head, card(((name, value) for name, value in lines if value is not None), indent=2)])


def _draw_next(report: StuckReport, rows: Sequence[StuckTask], screen: StuckScreen) -> Text:
    """Return the commands to type next."""
    worst, command = report.rows[0], screen.invocation.format
    on_list = command("stuck", "--task-list", worst.task.task_list, repeat=(*WHERE, *_PACE))
    lines = [("its workflow", command("tasks", "--workflow-id", worst.execution.id)), ("its task list", on_list)]
    if len(report.rows) > len(rows):
        everything = command("stuck", "--limit", "0", repeat=(*WHERE, "--task-list", "--activity", *_PACE))
        lines.insert(0, (f"{len(report.rows) - len(rows):,} more", everything))
    return card((name, line) for name, text in lines if (line := copyable(text)))
