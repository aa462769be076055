"""What a worker is to do, and what it has done."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from ..responding import Settlement
from .handlers import Programs

Heartbeat = float | Literal["auto", "off"]
"""Seconds between heartbeats; `auto` goes by the task's heartbeat timeout."""


_MAX_REASONS = 100


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What a worker is to do."""

    programs: Programs
    """What to run for a task."""

    stream: bool = False
    """Keep the program running, and pass it one task after the other."""

    slots: int = 1
    """Number of concurrent tasks."""

    heartbeat: Heartbeat = "auto"

    grace: float = 10.0
    """Seconds between SIGTERM and SIGKILL when a command is stopped, and for which starting one is retried."""

    max_tasks: int | None = None
    """Exit after this many tasks."""

    idle_exit: float | None = None
    """Exit after this many seconds without a task."""

    orphans: Literal["fail", "keep"] = "fail"
    """What to do at start-up with the tasks and commands of workers that died."""

    alive_file: str | None = None
    """File to touch with every answered poll and heartbeat."""


@dataclass(slots=True)
class WorkerStats:
    """How many tasks are running, and how many ended which way."""

    running: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    """By `completed`, `failed`, `cancelled`, `closed elsewhere` and `unconfirmed`."""

    reasons: Counter[str] = field(default_factory=Counter)
    """The reasons of the tasks that failed, and how often each was given."""

    orphans: int = 0
    """How many of those that failed were left by a worker that died."""

    timed_out: int = 0
    """How many of those that were closed elsewhere timed out."""

    started_at: float = field(default_factory=time.monotonic)

    @property
    def failed_here(self) -> int:
        """How many tasks failed, or timed out, that this worker ran."""
        return self.ended["failed"] - self.orphans + self.timed_out

    def count(self, settlement: Settlement) -> None:
        """Count a task that ended."""
        outcome = settlement.outcome
        if settlement.status == "accepted" and outcome is not None:
            self.ended[outcome.state] += 1
            if outcome.state == "failed":
                reason = outcome.reason or "no reason"
                is_known = reason in self.reasons or len(self.reasons) < _MAX_REASONS
                self.reasons[reason if is_known else "other reasons"] += 1
        else:
            self.timed_out += settlement.end is not None and settlement.end.state == "timed_out"
            self.ended["closed elsewhere" if settlement.event == "closed" else "unconfirmed"] += 1
