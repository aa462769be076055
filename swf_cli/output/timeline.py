"""When a task waited and ran, as a line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.text import Text

    from ..history import ActivityTask


_ENDS: Final = {
    "completed": ("✓", "+", "green"),
    "failed": ("✗", "x", "red"),
    "cancelled": ("⊘", "-", "yellow"),
    "timed_out": ("⧖", "t", "magenta"),
    "gone": ("†", "|", "dim"),
}
_NARROWEST: Final = 12  # characters of a timeline
_WIDEST: Final = 60


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
