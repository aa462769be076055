"""The live line of a scan, and counts."""

import io
import sys
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from swf_cli.errors import SwfError
from swf_cli.output.progress import describe_failures, scan_progress
from swf_cli.worker.config import WorkerStats


def test_it_needs_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan goes on without permission to count the executions."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    class Uncounted:
        progress = SimpleNamespace(executions=0, skipped=0, tasks=0, calls=0, throttles=0)

        def count_open(self, older_than: float) -> int:
            raise SwfError("not you")

    monkeypatch.setattr(sys, "stderr", Terminal())
    scanner: Any = Uncounted()
    with scan_progress(scanner, 0.0, "never"):
        pass


@pytest.mark.parametrize(
    ("failed", "timed_out", "text"),
    [
        (1, 0, "1 task failed"),
        (2, 0, "2 tasks failed"),
        (2, 1, "3 tasks failed, 1 of them by timing out"),
        (0, 1, "1 task timed out"),
        (0, 2, "2 tasks timed out"),
    ],
)
def test_failures(failed: int, timed_out: int, text: str) -> None:
    """Those of which all timed out are not said to have failed."""
    assert describe_failures(WorkerStats(ended=Counter(failed=failed), timed_out=timed_out)) == text
