"""The counts of task lists."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from .cards import cell
from .format import Output
from .tables import format_duration, table
from .terminal import print_stderr

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..models import PendingCount
    from ..monitor.watch import PendingMonitor


def show_counts(output: Output, counts: Sequence[PendingCount]) -> None:
    """Write how many tasks wait: a table, JSON (an array when several lists were asked for), or the bare counts."""
    shapes = [asdict(pending) for pending in counts]
    one = len(counts) == 1
    lines = [f"{pending.count}" if one else f"{pending.task_list}\t{pending.count}" for pending in counts]
    output.show(shapes[0] if one else shapes, table=lambda: _counts_table(counts), text="\n".join(lines))
    for pending in counts:
        if pending.truncated:
            print_stderr(f"swf: warning: more than {pending.count} tasks wait on {pending.task_list}")


def _counts_table(counts: Sequence[PendingCount]) -> RenderableType:
    rows = [(p.domain, p.task_list, f"{p.count}{'+' if p.truncated else ''}") for p in counts]
    return table(("domain", "task list", "pending"), rows)


_PATIENCE: Final = 2.0  # seconds that a look may take before its figures are called old


def watch_pending(
    output: Output, watch: PendingMonitor, interval: float, wait: Callable[[float], bool], over: Callable[[], bool]
) -> None:
    """Look at task lists until `wait`, which waits so many seconds, or `over` says that it is enough.

    A live table on a terminal, else one output a look.
    """
    console = output.console()
    if not sys.stdout.isatty() or console.is_dumb_terminal or output.form not in (None, "table") or output.query:
        while watch.refresh_unless_stopped(lambda: wait(0), lambda: None):
            errors = dict.fromkeys(figure.error for figure in watch.figures if figure.error)
            for error in errors:
                print_stderr(f"swf: {error}")
            if not errors:
                show_counts(output, watch.counts)
            if over() or wait(interval):
                return
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False) as live:

        def draw() -> None:
            live.update(_watch_table(watch, interval), refresh=True)

        while watch.refresh_unless_stopped(lambda: wait(0), draw):
            end = time.monotonic() + interval
            draw()
            if over():
                return
            while (left := end - time.monotonic()) > 0:
                if wait(min(1.0, left)):
                    return
                draw()  # a stale figure ages


def _watch_table(watch: PendingMonitor, interval: float) -> RenderableType:
    """Draw what is known of each list, how old that is when it should be newer, and below what is wrong."""
    from rich.console import Group

    rows = []
    for figure in watch.figures:
        pending, age = figure.pending, watch.age(figure)
        count = "-" if pending is None else f"{pending.count}{'+' if pending.truncated else ''}"
        change = "" if figure.change is None else f"{figure.change:+d}" if figure.change else "0"
        stale = pending is not None and (figure.error is not None or age > interval + _PATIENCE)
        rows.append((figure.task_list, count, change, f"{format_duration(age)} old" if stale else ""))
    errors = dict.fromkeys(figure.error for figure in watch.figures if figure.error)
    shown = table(("task list", "pending", "change", ""), rows, whole=("pending", "change", ""))
    return Group(shown, *map(cell, errors))
