"""The live line of a scan."""

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from swf_cli.errors import SwfError
from swf_cli.output.progress import scan_progress


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
