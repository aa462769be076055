"""What an operator looks at: the tasks of an execution, stuck tasks, task lists over time, a survey's progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from .errors import SwfError
from .models import unset
from .monitor.diagnosis import REASONS
from .render import Output, card, cell, iso_time, live_line, say, show_counts, table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from .history import ActivityTask
    from .ledger.records import Held
    from .models import ExecutionId
    from .monitor.scanner import Stuck, Survey
    from .monitor.watch import Watch

_TIMEOUTS: Final = ("runtime_timeout", "schedule_timeout", "total_timeout", "heartbeat_timeout")
_ENDS: Final = {
    "completed": ("✓", "+", "green"),
    "failed": ("✗", "x", "red"),
    "cancelled": ("⊘", "-", "yellow"),
    "timed_out": ("⧖", "t", "magenta"),
    "gone": ("†", "|", "dim"),
}
_NARROWEST: Final = 12  # characters of a timeline
_WIDEST: Final = 60
_PATIENCE: Final = 2.0  # seconds that a look may take before its figures are called old


def span(seconds: float) -> str:
    """Put a span of time in words as short as `45s`, `5m03s`, `1h30m`, `2d04h`."""
    whole = max(0, int(seconds))
    for unit, size, lower, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // part:02}{lower}"
    return f"{whole}s"


def show_held(output: Output, rows: Sequence[Held], now: float) -> None:
    """Write what this machine holds: a table, JSON, or a line each of key, kind, id and workflow id."""
    text = "\n".join(f"{held.key}\t{held.kind}\t{held.id or ''}\t{_workflow(held)}" for held in rows)
    output.show([_held_shape(held) for held in rows], table=lambda: _held_table(rows, now), text=text)
    for held in rows:
        if held.kind == "task" and held.holder_alive is False:
            say(f"hint: whoever held {held.key} has died: swf fail --held {held.key} --reason 'worker died'")


def _held_shape(held: Held) -> dict[str, Any]:
    shape = asdict(held) | {"taken_at": iso_time(held.taken_at)}
    del shape["group"], shape["group_started"]
    return shape


def _workflow(held: Held) -> str:
    return held.execution.id if held.execution else ""


def _held_table(rows: Sequence[Held], now: float) -> RenderableType:
    # Of a task that `swf poll` took, whoever it told may live or not.
    holders = {True: "alive", False: "dead", None: "unknown"}
    return table(
        ("key", "task", "activity", "workflow", "task list", "taken", "by", "holder"),
        [
            (
                held.key,
                held.id or "a poll that broke",
                f"{held.activity.name} {held.activity.version}" if held.activity else "",
                _workflow(held),
                f"{held.task_list} in {held.domain}",
                f"{span(now - held.taken_at)} ago",
                held.taken_by,
                holders[held.holder_alive],
            )
            for held in rows
        ],
        whole=("key", "taken", "by", "holder"),
    )


def show_tasks(output: Output, execution: ExecutionId, tasks: Sequence[ActivityTask], now: float) -> None:
    """Write the activity tasks of an execution: a table with a timeline, JSON, or a line each."""
    text = "\n".join(f"{task.id}\t{task.state}\t{task.task_list}" for task in tasks)
    shapes = [_shape(execution, task) for task in tasks]
    output.show(shapes, table=lambda: _tasks_table(execution, tasks, now, output.console().width), text=text)


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
        "waited": [span((task.started_at or end) - task.scheduled_at) for task, end in zip(tasks, ends, strict=True)],
        "ran": ["" if task.started_at is None else span(ends[n] - task.started_at) for n, task in enumerate(tasks)],
        "ends in": [_ends_in(task, now) for task in tasks],
    }
    if not any(columns["ends in"]):
        del columns["ends in"]
    for name in ("activity", "task list"):
        if len(set(columns[name])) == 1:
            title[name] = columns.pop(name)[0]
    title["timeline"] = f"{span(last - first)} from {iso_time(first)}"
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
    return "never" if task.deadline is None else span(task.deadline - now)


def _stack(first: str, *more: str) -> Text:
    """Put texts under each other in one cell."""
    stacked = cell(first)
    for text in more:
        stacked.append("\n").append_text(cell(text))
        stacked.stylize("dim", len(first))
    return stacked


def _timeline(task: ActivityTask, end: float, first: float, scale: float) -> Text:
    """Draw when a task waited and ran, at so many characters a second, and how it ended."""
    from rich.text import Text

    plainly = not (sys.stdout.encoding or "").lower().startswith("utf")
    wait, run = (".", "=") if plainly else ("░", "█")
    began = end if task.started_at is None else task.started_at
    stops = [round((moment - first) * scale) for moment in (task.scheduled_at, began, end)]
    mark, plain_mark, style = _ENDS.get(task.end.state if task.end else "", ("", "", "cyan"))
    if not mark:  # what is open can be seen, however short
        stops[1 if task.started_at is None else 2] += stops[0] == stops[2]
    line = Text(" " * stops[0])
    line.append(wait * (stops[1] - stops[0]), style="dim")
    line.append(run * (stops[2] - stops[1]), style=style)
    line.append(plain_mark if plainly else mark, style=style)
    return line


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
        head.append(f" for {span(now - why.since)}: {REASONS[why.reason]}", style="not bold")
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
        return f"{iso_time(task.deadline)} ({f'in {span(left)}' if left > 0 else 'now'})"
    heartbeat = task.configuration.heartbeat_timeout
    if task.started_at is not None and heartbeat:
        return f"never, while a heartbeat comes every {span(heartbeat.total_seconds())}"
    return "never"


@contextmanager
def surveying(survey: Survey, color: str) -> Iterator[None]:
    """Show on stderr, if it is a terminal, how far a survey is."""
    progress, total = survey.progress, 0
    if sys.stderr.isatty():
        with suppress(SwfError):  # there is no bar, then
            total = survey.count_open()

    def line() -> str:
        done = progress.executions + progress.passed_over
        filled = min(20, 20 * done // total) if total else 0
        bar = f"[{'#' * filled}{'.' * (20 - filled)}] " if total else ""
        told = f"{bar}{done} executions, {progress.tasks} open tasks, {progress.calls} calls"
        return f"{told}, {progress.throttles} throttled" if progress.throttles else told

    with live_line(line, color):
        yield


def watch_pending(
    output: Output, watch: Watch, interval: float, wait: Callable[[float], bool], over: Callable[[], bool]
) -> None:
    """Look at task lists until `wait`, which waits so many seconds, or `over` says that it is enough.

    A live table on a terminal, else one output a look.
    """
    console = output.console()
    if not sys.stdout.isatty() or console.is_dumb_terminal or output.form not in (None, "table") or output.query:
        while watch.look_unless(lambda: wait(0), lambda: None):
            errors = dict.fromkeys(figure.error for figure in watch.figures if figure.error)
            for error in errors:
                say(f"swf: {error}")
            if not errors:
                show_counts(output, watch.counts)
            if over() or wait(interval):
                return
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False) as live:

        def draw() -> None:
            live.update(_watch_table(watch, interval), refresh=True)

        while watch.look_unless(lambda: wait(0), draw):
            end = time.monotonic() + interval
            draw()
            if over():
                return
            while (left := end - time.monotonic()) > 0:
                if wait(min(1.0, left)):
                    return
                draw()  # a stale figure ages


def _watch_table(watch: Watch, interval: float) -> RenderableType:
    """Draw what is known of each list, how old that is when it should be newer, and below what is wrong."""
    from rich.console import Group

    rows = []
    for figure in watch.figures:
        pending, age = figure.pending, watch.age(figure)
        count = "-" if pending is None else f"{pending.count}{'+' if pending.truncated else ''}"
        change = "" if figure.change is None else f"{figure.change:+d}" if figure.change else "0"
        stale = pending is not None and (figure.error is not None or age > interval + _PATIENCE)
        rows.append((figure.task_list, count, change, f"{span(age)} old" if stale else ""))
    errors = dict.fromkeys(figure.error for figure in watch.figures if figure.error)
    shown = table(("task list", "pending", "change", ""), rows, whole=("pending", "change", ""))
    return Group(shown, *map(cell, errors))
