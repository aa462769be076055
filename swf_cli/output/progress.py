"""The live line on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ..errors import SwfError
from .terminal import escape_controls

if TYPE_CHECKING:
    from rich.text import Text

    from ..monitor.scanner import DomainScanner


@contextmanager
def poll_progress(task_list: str, color: str = "auto") -> Iterator[None]:
    """Show on stderr, if it is a terminal, how long a task has been waited for."""
    started = time.monotonic()

    def line() -> str:
        minutes, seconds = divmod(int(time.monotonic() - started), 60)
        return f"waiting for a task on {escape_controls(task_list)}  {minutes}:{seconds:02}"

    with live_line(line, color):
        yield


@contextmanager
def live_line(line: Callable[[], str], color: str) -> Iterator[None]:
    """Keep a line on stderr up to date, if it is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    class Line:
        def __rich__(self) -> Text:
            return Text(line(), style="dim", no_wrap=True, overflow="ellipsis")

    console = Console(stderr=True, no_color=True if color == "never" else None, highlight=False)
    with Live(Line(), console=console, transient=True, refresh_per_second=2, redirect_stdout=False):
        yield


@contextmanager
def scan_progress(survey: DomainScanner, color: str) -> Iterator[None]:
    """Show on stderr, if it is a terminal, how far a survey is."""
    progress, total = survey.progress, 0
    if sys.stderr.isatty():
        with suppress(SwfError):  # there is no bar, then
            total = survey.count_open()

    def line() -> str:
        done = progress.executions + progress.skipped
        filled = min(20, 20 * done // total) if total else 0
        bar = f"[{'#' * filled}{'.' * (20 - filled)}] " if total else ""
        told = f"{bar}{done} executions, {progress.tasks} open tasks, {progress.calls} calls"
        return f"{told}, {progress.throttles} throttled" if progress.throttles else told

    with live_line(line, color):
        yield
