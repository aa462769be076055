"""The counts of task lists: once, or as a screen that is kept up to date."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from ..times import format_duration
from .cards import cell, join
from .format import Output
from .tables import table
from .terminal import write_stdout

if TYPE_CHECKING:
    from rich.text import Text

    from ..monitor.watch import PendingMonitor, PendingSample

_STALE_AFTER: Final = 2.0  # seconds beyond the interval after which the age of a count is shown
_TICK: Final = 1.0  # seconds

_log = logging.getLogger(__name__)


def show_counts(
    output: Output, domain: str, samples: Sequence[PendingSample], warned: set[str] | None = None
) -> None:
    """Print the counts of task lists: of several as an array; of one, if it was counted, as an object.

    Warn of each that is truncated, unless its list is in `warned`, and add it there.
    """
    warned = set() if warned is None else warned
    rows = [_row(domain, sample) for sample in samples]
    if len(samples) > 1:
        text: list[tuple[Any, ...]] = [(row["task_list"], row["count"]) for row in rows]
        output.emit(rows, screen=lambda width: _draw_counts(domain, samples, width), text=text)
    elif samples[0].pending is not None and samples[0].error is None:
        text = [(samples[0].pending.count,)]
        output.emit(rows[0], screen=lambda width: _draw_counts(domain, samples, width), text=text)
    for sample in samples:
        if sample.pending is not None and sample.pending.truncated and sample.task_list not in warned:
            warned.add(sample.task_list)
            _log.warning("more than %d tasks are pending on %s", sample.pending.count, sample.task_list)


def _row(domain: str, sample: PendingSample) -> dict[str, Any]:
    if sample.pending is not None and sample.error is None:
        return asdict(sample.pending)
    error = sample.error.message if sample.error else None
    return {"domain": domain, "task_list": sample.task_list, "count": None, "truncated": None, "error": error}


def _draw_counts(domain: str, samples: Sequence[PendingSample], width: int) -> Text:
    rows = [(domain, sample.task_list, _count(sample)) for sample in samples]
    notes = [sample.error.message if sample.error else "" for sample in samples]
    return table(("domain", "task list", "pending"), rows, width, notes)


def _count(sample: PendingSample) -> str:
    if sample.pending is None:
        return "-"
    return f"{sample.pending.count}{'+' if sample.pending.truncated else ''}"


def watch_pending(
    output: Output,
    domain: str,
    monitor: PendingMonitor,
    interval: float,
    is_over: Callable[[], bool],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Count task lists every `interval` seconds: a live screen on a terminal, else an output each.

    Return once `is_over`, or if an error is not transient: see `monitor.refused`.
    """
    if output.is_screen and sys.stdout.isatty() and not output.console().is_dumb_terminal:
        _draw_repeatedly(output, monitor, interval, is_over, sleep)
    else:
        _print_repeatedly(output, domain, monitor, interval, is_over, sleep)


def _print_repeatedly(
    output: Output,
    domain: str,
    monitor: PendingMonitor,
    interval: float,
    is_over: Callable[[], bool],
    sleep: Callable[[float], None],
) -> None:
    output, warned = replace(output, is_repeated=True), set[str]()
    while True:
        monitor.refresh()
        show_counts(output, domain, monitor.samples, warned)
        if monitor.refused:
            return
        for error in _errors(monitor.samples):
            _log.info("%s", error)
        if is_over():
            return
        sleep(interval)


def _draw_repeatedly(
    output: Output,
    monitor: PendingMonitor,
    interval: float,
    is_over: Callable[[], bool],
    sleep: Callable[[float], None],
) -> None:
    screen = _LiveScreen(output)

    def draw() -> None:
        screen.draw(_draw_watch(monitor, interval, output.console().width))

    while True:
        monitor.refresh(draw)
        draw()
        if monitor.refused or is_over():
            return
        end = monitor.now() + interval
        while (left := end - monitor.now()) > 0:
            sleep(min(_TICK, left))
            draw()


def _errors(samples: Sequence[PendingSample]) -> list[str]:
    return list(dict.fromkeys(sample.error.message for sample in samples if sample.error))


class _LiveScreen:
    """Draws in place of what it drew before. Long lines are left to the terminal, as everywhere."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._rows = 0

    def draw(self, drawn: Text) -> None:
        """Draw, over what was drawn before."""
        width, height = self._output.console().size
        top = "\x1b[H" if self._rows >= height else f"\x1b[{self._rows}F"
        write_stdout((f"{top}\x1b[J" if self._rows else "") + self._output.render(drawn))
        lines = drawn.split("\n", allow_blank=True)
        self._rows = sum(max(1, -(-line.cell_len // width)) for line in lines)


def _draw_watch(monitor: PendingMonitor, interval: float, width: int) -> Text:
    """Return the counts, their change and rate, how old a count is that should be newer, and the errors."""
    now = monitor.now()
    clock = time.strftime("%H:%M:%S")
    head = cell(f"{clock}  watching for {format_duration(now - monitor.started_at)}", "dim")
    names = ("task list", "pending", "change", "per minute", "empty in", "")
    rows = []
    for sample in monitor.samples:
        age = now - sample.counted_at
        is_stale = sample.pending is not None and (sample.error is not None or age > interval + _STALE_AFTER)
        rows.append(
            (
                sample.task_list,
                _count(sample),
                _signed(sample.change, "d"),
                _signed(None if sample.rate is None else sample.rate * 60, ".1f"),
                "" if sample.empty_in is None else format_duration(sample.empty_in),
                f"{format_duration(age)} old" if is_stale else "",
            )
        )
    return join([head, table(names, rows, width), *map(cell, _errors(monitor.samples))])


def _signed(number: float | None, spec: str) -> str:
    if number is None:
        return ""
    return f"{number:+{spec}}" if number else "0"
