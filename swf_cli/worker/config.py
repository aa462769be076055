"""What a worker is to do, and how it stands."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker is to do."""

    command: Sequence[str]
    """Program and arguments."""

    executable: str | None = None
    """Where the program is, so that it need not be searched for each time."""

    slots: int = 1
    """How many tasks are worked on at once."""

    heartbeat: float | Literal["auto", "off"] = "auto"
    """Seconds between heartbeats; `auto` goes by the task's heartbeat timeout."""

    grace: float = 10.0
    """Seconds between asking a command to end and killing it."""

    max_tasks: int | None = None
    """Stop after so many tasks."""

    idle_exit: float | None = None
    """Stop after so many seconds without a task."""

    keep_orphans: bool = False
    """Leave alone the tasks and commands of workers that died."""


class Reporter(Protocol):
    """What a worker tells a person."""

    def tell(self, line: str) -> None:
        """Say a line of the worker's own."""

    def show(self, task_id: str, line: str) -> None:
        """Show a line of a command's stderr."""


@dataclass(slots=True)
class Tally:
    """How many tasks a worker has in hand, and how many ended how."""

    running: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    lost: int = 0
    """Closed by another end before they were answered, or not known to be closed."""

    started_at: float = field(default_factory=time.monotonic)

    @property
    def ended(self) -> int:
        """All that are done with."""
        return self.completed + self.failed + self.cancelled + self.lost
