"""What all tasks of a worker have in common."""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..ledger.records import PollSource
from ..ledger.store import Ledger
from ..signals import SignalSafeEvent
from .config import Plan, Reporter
from .responder import Closer

if TYPE_CHECKING:
    from ..client.session import Session


class Folder:
    """A folder of a process's own under /tmp, there again should somebody have cleaned up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._path = ""

    def path(self) -> str:
        """Give its path. Raises OSError when it can't be made."""
        with self._lock:
            if not os.path.isdir(self._path):
                self._path = tempfile.mkdtemp(prefix="swf-work-")
            return self._path

    def remove(self) -> None:
        """Remove it with all that is in it."""
        with self._lock:
            if self._path:
                shutil.rmtree(self._path, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Setting:
    """What all tasks of a worker have in common."""

    session: "Session"
    origin: PollSource
    ledger: Ledger
    plan: Plan
    reporter: Reporter
    environ: Mapping[str, str]
    closer: Closer
    clock: Callable[[], float] = time.monotonic
    folder: Folder = field(default_factory=Folder)
    terminating: threading.Event = field(default_factory=SignalSafeEvent)
    """The commands are to end, and their tasks to fail."""

    killing: threading.Event = field(default_factory=SignalSafeEvent)
    """They are to be killed, and answers that do not get through given up."""
