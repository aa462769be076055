"""Which of the processes that wrote to the ledger are alive: each locks a file of its own for as long as it lives."""

import errno
import fcntl
import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from ..processes import host_name, is_from_here, is_running, start_id
from .trust import open_file

HOLDER_NAME: Final = re.compile(r"holder-[0-9a-f]{16}")

_TOUCH_INTERVAL: Final = 86_400.0  # seconds; programs that clean up remove files that are older than some days

_ATTEMPTS: Final = 100


class HolderLock:
    """The lock file of this process, in the folder whose descriptor it is given; created when first needed."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._touched_at = 0.0
        self._folder = -1
        self._name: str | None = None
        self._descriptor = -1

    def acquire(self, folder: int) -> str:
        """Return the name of the lock file, which this process holds from now on. Raise OSError if it can't."""
        if self._name is None:
            name, descriptor = _create_locked_file(folder)
            self._name, self._descriptor, self._folder = name, descriptor, os.dup(folder)
            self._touched_at = self._monotonic()
        return self._name

    def touch(self) -> None:
        """Update the file's timestamps once a day, so that clean-up programs keep it."""
        if self._name is not None and self._monotonic() - self._touched_at > _TOUCH_INTERVAL:
            self._touched_at = self._monotonic()
            with suppress(OSError):
                os.utime(self._descriptor)

    def release(self) -> None:
        """Remove the lock file: this process holds nothing any more."""
        if self._name is not None:
            with suppress(OSError):
                os.unlink(self._name, dir_fd=self._folder)
            os.close(self._descriptor)
            os.close(self._folder)
            self._name = None


def _create_locked_file(folder: int) -> tuple[str, int]:
    """Create and lock a file in a folder; return its name and descriptor. Raise OSError if that fails."""
    for _ in range(_ATTEMPTS):
        name = f"holder-{secrets.token_hex(8)}"
        descriptor = open_file(folder, name, create=True, exclusive=True)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.stat(name, dir_fd=folder)
        except (BlockingIOError, FileNotFoundError):
            # Another process found the file before it was locked, and took it for one of a dead process.
            os.close(descriptor)
        else:
            return name, descriptor
    raise OSError(errno.EAGAIN, "new files are removed or locked by something else")


def holder_is_alive(folder: int, name: str, host: str, pid: int, started: str | None) -> bool | None:
    """Return whether the process of a lock file is alive; None if it can't be known. Remove the file of a dead one.

    If nobody holds the lock, `started` decides: the start ID of the process, see `processes.start_id`. The folder may
    be shared by machines that do not see each other's locks, or a copy.
    """
    try:
        descriptor = open_file(folder, name)
    except FileNotFoundError:
        return _is_that_process(host, pid, started)
    try:
        # Shared: another process that looks at the same moment must not be taken for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        is_alive = _is_that_process(host, pid, started)
        if is_alive is False:
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
        return is_alive
    finally:
        os.close(descriptor)


def _is_that_process(host: str, pid: int, started: str | None) -> bool | None:
    """Return whether a process is the one with a start ID, and running; None for a process of another machine."""
    if host != host_name() and not (started and is_from_here(started)):
        return None
    return started is not None and start_id(pid) == started and is_running(pid)
