"""Processes and their groups: how one is told from another with its id, how its end is awaited, how it is ended."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import Final

_ENDED: Final = (b"Z", b"X")  # states of a process on Linux
_POLL_INTERVAL: Final = 0.01  # seconds between looks at what is ending
_KILL_TIMEOUT: Final = 1.0  # seconds


class ProcessWatch:
    """Watches a process, by its id, for its end; a zombie has ended."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = False
        self._end: int | None = None
        try:
            if sys.platform == "linux":
                self._end = os.pidfd_open(pid)  # readable from the end on
            else:
                self._queue = select.kqueue()
                exits = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, fflags=select.KQ_NOTE_EXIT)
                self._queue.control([exits], 0, 0)
                self._end = self._queue.fileno()
        except ProcessLookupError:
            self._ended = True
        except (AttributeError, OSError):
            # This Python was built for an older kernel, or a sandbox has no such call: look from time to time.
            self._end = None

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the process ends; tell whether it has."""
        if not self._ended:
            self._ended = self._wait_event(seconds) if self._end is not None else self._wait_polling(seconds)
            if self._ended:
                self.close()
        return self._ended

    def _wait_event(self, seconds: float) -> bool:
        # Not select(), which takes no descriptor above 1,023.
        if sys.platform == "linux":
            poll = select.poll()
            poll.register(self._end or 0, select.POLLIN)
            return bool(poll.poll(seconds * 1000))
        return bool(self._queue.control(None, 1, seconds))

    def _wait_polling(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while is_running(self._pid):
            left = end - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, _POLL_INTERVAL))
        return True

    def close(self) -> None:
        """Stop watching."""
        if self._end is not None:
            if sys.platform == "linux":
                os.close(self._end)
            else:
                self._queue.close()
            self._end = None


@cache
def _epoch() -> str:
    """Name what process ids and start times count within: this boot, and this container."""
    if sys.platform != "linux":
        return ""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}/"


def _stat(pid: int | str) -> list[bytes]:
    """Read what Linux knows of a process: its state, its parent, its group and more; nothing when there is none."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:
        return []
    try:
        # The command's name, in brackets, may hold anything.
        return os.read(descriptor, 4_096).rpartition(b")")[2].split()
    except OSError:
        return []
    finally:
        os.close(descriptor)


def _ps(column: str, pid: int) -> str:
    told = subprocess.run(["ps", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return told.stdout.strip()


def start_id(pid: int) -> str | None:
    """Tell a process from any other that has, had or will have its id, by when it started; None without one."""
    if sys.platform == "linux":
        fields = _stat(pid)
        return _epoch() + fields[19].decode("ascii") if fields else None
    return _ps("lstart", pid) or None


def is_running(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    if sys.platform == "linux":
        fields = _stat(pid)
        return bool(fields) and fields[0] not in _ENDED
    return _ps("stat", pid)[:1] not in ("", "Z")


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; tells whether there was anything to send it to."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
        return False
    return True


def signal_and_continue_group(group: int, number: int) -> bool:
    """Send a signal to a process group, also to what of it is stopped and would not hear of it."""
    return signal_group(group, number) and signal_group(group, signal.SIGCONT)


def group_is_running(group: int) -> bool:
    """Tell whether a process of a group runs: one that has ended may wait for long until somebody reaps it."""
    if not signal_group(group, 0):
        return False
    if not os.path.isdir("/proc/1"):
        return True
    members = [fields for name in os.listdir("/proc") if name.isdecimal() and (fields := _stat(name))]
    return any(int(its_group) == group and state not in _ENDED for state, _, its_group, *_ in members)


def end_group(
    group: int,
    number: int = signal.SIGTERM,
    *,
    grace: float,
    reap: Callable[[], bool] = lambda: False,
    shield: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> bool:
    """End a process group: signal it, wait `grace` seconds for it to be gone, kill what is left of it.

    `reap` collects the group's leader, when that is a child of ours and has ended, and tells whether it has. What is
    raised while it waits, by a signal of our own, ends the grace; `shield` keeps the killing from such.
    Tells whether the group is gone.
    """
    gone = False
    try:
        gone = _signal_and_wait(group, number, grace, reap)
    finally:
        if not gone:
            with shield():
                gone = _signal_and_wait(group, signal.SIGKILL, min(grace, _KILL_TIMEOUT), reap)
    return gone


def _signal_and_wait(group: int, number: int, patience: float, reap: Callable[[], bool]) -> bool:
    """Signal a process group, and tell whether it is gone in time."""
    asked_jobs = number in (signal.SIGTERM, signal.SIGKILL)
    end = time.monotonic() + patience
    if not signal_and_continue_group(group, number):
        return True
    while time.monotonic() < end:
        if reap() and not asked_jobs:
            signal_group(group, signal.SIGTERM)  # a shell has its background jobs ignore SIGINT
            asked_jobs = True
        if not group_is_running(group):
            reap()
            return True
        time.sleep(_POLL_INTERVAL)
    return False


def terminate_group_if_same(pid: int, started: str, *, grace: float) -> bool:
    """End the process group that a process leads, if it is the one that started then; tells whether it was."""
    with suppress(OSError):
        if start_id(pid) == started:
            return end_group(pid, grace=grace)
    return False


def raise_open_file_limit(count: int) -> bool:
    """Let this process have so many files open, and the commands that it starts; tells whether it may."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return True
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    except (ValueError, OSError):
        return False
    return True
