"""What a worker says on stderr."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .progress import live_line
from .terminal import print_stderr

if TYPE_CHECKING:
    from ..worker.config import Tally


class WorkReporter:
    """Tells on stderr what a worker does: a line when a task starts and ends, its command's stderr, how it stands."""

    def __init__(self, color: str = "auto") -> None:
        self._color = color
        self._lock = threading.Lock()

    def tell(self, line: str) -> None:
        """Say a line of the worker's own."""
        with self._lock:
            print_stderr(f"swf: {line}")

    def show(self, task_id: str, line: str) -> None:
        """Show a line of a command's stderr, marked with its task."""
        with self._lock:
            print_stderr(f"[{task_id}] {line}")

    @contextmanager
    def live(self, tally: Tally) -> Iterator[None]:
        """Show on stderr, if it is a terminal, how the worker stands."""
        with live_line(lambda: self._standing(tally), self._color):
            yield

    def sum_up(self, tally: Tally) -> None:
        """Say at the end what was done."""
        self.tell(self._standing(tally))

    def _standing(self, tally: Tally) -> str:
        seconds = time.monotonic() - tally.started_at
        counts = [f"{tally.completed} completed", f"{tally.failed} failed", f"{tally.cancelled} cancelled"]
        if tally.lost:
            counts.append(f"{tally.lost} lost")
        if tally.running:
            counts.insert(0, f"{tally.running} running")
        rate = tally.ended / seconds if seconds else 0.0
        return f"{', '.join(counts)} in {seconds:.0f} s ({rate:.1f} tasks/s)"
