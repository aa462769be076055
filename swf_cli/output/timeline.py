"""When a task waited and ran, as a line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from .terminal import draws_ascii

if TYPE_CHECKING:
    from rich.text import Text

    from ..history import ActivityTask

NARROWEST: Final = 8
"""Characters of the shortest timeline that is drawn."""

WIDEST: Final = 60
"""Characters of the longest one."""

_ENDS: Final = {
    "completed": ("✓", "+", "green"),
    "failed": ("✗", "x", "red"),
    "cancelled": ("⊘", "-", "yellow"),
    "timed_out": ("⧖", "t", "magenta"),
    "gone": ("†", "|", "dim"),
}


def timeline(task: ActivityTask, end: float, first: float, scale: float) -> Text:
    """Return when a task waited and ran, and how it ended, in `scale` characters per second from time `first`."""
    from rich.text import Text

    ascii_only = draws_ascii(sys.stdout.encoding)
    wait, run = (".", "=") if ascii_only else ("░", "█")
    started = end if task.started_at is None else task.started_at
    offsets = [round((time - first) * scale) for time in (task.scheduled_at, started, end)]
    mark, ascii_mark, style = _ENDS.get(task.end.state if task.end else "", ("", "", "cyan"))
    if not mark:  # an open task is visible, however short
        offsets[1 if task.started_at is None else 2] += offsets[0] == offsets[2]
    line = Text(" " * offsets[0])
    line.append(wait * (offsets[1] - offsets[0]), style="dim")
    line.append(run * (offsets[2] - offsets[1]), style=style)
    line.append(ascii_mark if ascii_only else mark, style=style)
    return line
