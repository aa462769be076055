"""The live line on stderr, if it is a terminal: what a long command is doing."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Literal, cast

from ..errors import SwfError
from .escaping import escape_controls
from .terminal import RawStderr, draws_ascii, is_plain, stderr_writer

if TYPE_CHECKING:
    from rich.text import Text

    from ..monitor.scanner import DomainScanner
    from ..worker.config import WorkerStats


@contextmanager
def poll_progress(task_list: str, color: str) -> Iterator[None]:
    """Show how long `swf poll` has been waiting."""
    started = time.monotonic()

    def line() -> str:
        minutes, seconds = divmod(int(time.monotonic() - started), 60)
        return f"waiting for a task on {escape_controls(task_list)}  {minutes}:{seconds:02}"

    with live_line(line, color):
        yield


@contextmanager
def work_progress(stats: WorkerStats, color: str) -> Iterator[None]:
    """Show what a worker has done."""
    with live_line(lambda: describe_stats(stats), color):
        yield


def describe_stats(stats: WorkerStats) -> str:
    """Return how many tasks a worker is running, and how many ended which way."""
    seconds = time.monotonic() - stats.started_at
    counts = [f"{stats.running} running"] if stats.running else []
    counts += [f"{stats.ended[state]} {state}" for state in ("completed", "failed", "cancelled")]
    counts += [f"{stats.ended[state]} {state}" for state in ("closed elsewhere", "unconfirmed") if stats.ended[state]]
    rate = stats.ended.total() / seconds if seconds else 0.0
    return f"{', '.join(counts)} in {seconds:.0f} s ({rate:.1f} tasks/s)"


@contextmanager
def live_line(line: Callable[[], str], color: str) -> Iterator[None]:
    """Keep a line on stderr up to date, if it is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    stderr = RawStderr()
    overflow: Literal["crop", "ellipsis"] = "crop" if draws_ascii(stderr.encoding) else "ellipsis"

    class Line:
        def __rich__(self) -> Text:
            return Text(line(), style="dim", no_wrap=True, overflow=overflow)

    color_system: Literal["auto"] | None = None if is_plain(color) else "auto"
    console = Console(file=cast("IO[str]", stderr), color_system=color_system, highlight=False)
    writer = stderr_writer()
    writer.show(
        Live(
            Line(),
            console=console,
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
    )
    try:
        yield
    finally:
        writer.hide()


@contextmanager
def scan_progress(scanner: DomainScanner, older_than: float, color: str) -> Iterator[None]:
    """Show the progress of a scan of the executions that started at least `older_than` seconds ago."""
    progress, total = scanner.progress, 0

    def count() -> None:
        nonlocal total
        with suppress(SwfError):  # then there is no bar
            total = scanner.count_open(older_than)

    if sys.stderr.isatty():  # a call that hangs does not delay the scan
        threading.Thread(target=count, name="count", daemon=True).start()

    def line() -> str:
        done = progress.executions + progress.skipped
        filled = min(20, 20 * done // total) if total else 0
        bar = f"[{'#' * filled}{'.' * (20 - filled)}] " if total else ""
        counts = (done, "execution"), (progress.tasks, "open task"), (progress.calls, "call")
        text = bar + ", ".join(count_of(*count) for count in counts)
        return f"{text}, {progress.throttles} throttled" if progress.throttles else text

    with live_line(line, color):
        yield


def describe_failures(stats: WorkerStats) -> str:
    """Return how many tasks failed that a worker ran, and how many of them by timing out."""
    failed, timed_out = count_of(stats.failed_here, "task"), stats.timed_out
    if timed_out == stats.failed_here:
        return f"{failed} timed out"
    return f"{failed} failed" + (f", {timed_out} of them by timing out" if timed_out else "")


def count_of(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural unless it is 1."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
