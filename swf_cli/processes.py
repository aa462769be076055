"""Processes and process groups: identity, waiting and termination."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import ClassVar, Final

_ENDED: Final = (b"Z", b"X")  # states of a process on Linux
_POLL_INTERVAL: Final = 0.01  # seconds between looks at what is to end
_KILL_TIMEOUT: Final = 1.0  # seconds
_LONGEST_END: Final = 10.0  # seconds from SIGKILL to the end of a process that does not wait in the kernel
_REAP_INTERVAL: Final = 1.0  # seconds


class ProcessWatch:
    """Waits for a process, given by its ID, to end; a zombie has ended."""

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
            # This Python was built for an older kernel, or a sandbox has no such call: poll.
            self._end = None

    def wait(self, seconds: float) -> bool:
        """Wait for the process to end, for at most this many seconds; return whether it has."""
        if not self._ended:
            self._ended = self._wait_event(seconds) if self._end is not None else self._wait_polling(seconds)
            if self._ended:
                self.close()
        return self._ended

    def _wait_event(self, seconds: float) -> bool:
        # Not select(), which takes no descriptor above 1,023.
        if sys.platform == "linux":
            poll = select.poll()
            assert self._end is not None  # noqa: S101 - else there is nothing to wait for
            poll.register(self._end, select.POLLIN)
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
def _epoch() -> str | None:
    """Return what process IDs and start times count within: this boot, and this container; None if that is hidden."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}/"
    except OSError:  # such as in a systemd unit with ProcSubset=pid
        return None


def _stat(pid: int | str) -> list[bytes]:
    """Return what Linux knows of a process: its state, its parent, its group, …; empty if it does not exist."""
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
    output = subprocess.run(["ps", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return output.stdout.strip()


def start_id(pid: int) -> str | None:
    """Return an ID of a process's start, which a later process with its PID does not share.

    None if there is no such process, or the system does not tell.
    """
    if sys.platform == "linux":
        epoch, fields = _epoch(), _stat(pid)
        return epoch + fields[19].decode("ascii") if epoch and fields else None
    return _ps("lstart", pid) or None


@cache
def own_start_id() -> str | None:
    """Return the start ID of this process."""
    return start_id(os.getpid())


def is_from_here(start_id: str) -> bool:
    """Return whether a start ID was made on this machine since it booted, in this container."""
    epoch = _epoch() if sys.platform == "linux" else None
    return epoch is not None and start_id.startswith(epoch)


def is_running(pid: int) -> bool:
    """Return whether a process is running; a zombie is not."""
    if sys.platform == "linux":
        fields = _stat(pid)
        return bool(fields) and fields[0] not in _ENDED
    return _ps("stat", pid)[:1] not in ("", "Z")


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; return whether a process got it: there may be none, or only other users'.

    Refuse this process's own group, and IDs that address more than one group.
    """
    if group <= 1 or group == os.getpgrp():
        return False
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS raises the latter for a group of zombies
        return False
    return True


def format_kill(group: int) -> str:
    """Return the command line that asks a process group to end: dash takes no `-TERM` before the `--`."""
    return f"kill -s TERM -- -{group}"


def signal_and_continue_group(group: int, number: int) -> bool:
    """Send a signal to a process group, and continue those of its processes that are stopped."""
    return signal_group(group, number) and signal_group(group, signal.SIGCONT)


def group_is_running(group: int) -> bool:
    """Return whether a process of a group is running; zombies may wait long until their parent reaps them.

    Where other processes are hidden, a group whose leader is a zombie of this process has ended.
    """
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's; on macOS, or a group of zombies
        pass
    else:
        if sys.platform != "linux":
            return True
    states = _group_states(group)
    return any(state not in _ENDED for state in states) if states else not _is_zombie_child(group)


def _group_states(group: int) -> list[bytes]:
    """Return the states of the processes of a group, as far as they are shown to this one."""
    if sys.platform == "linux":
        names = os.listdir("/proc") if os.path.isdir("/proc/self") else []
        members = [fields for name in names if name.isdecimal() and (fields := _stat(name))]
        return [state for state, _, its_group, *_ in members if int(its_group) == group]
    rows = subprocess.run(["ps", "-axo", "pgid=,stat="], capture_output=True, check=False).stdout.splitlines()
    return [state[:1] for its_group, state in map(bytes.split, rows) if int(its_group) == group]


def _is_zombie_child(pid: int) -> bool:
    """Return whether a process is a child of this one that has ended, and is not reaped."""
    if sys.platform == "linux":  # macOS does not hide processes
        with suppress(ChildProcessError):
            return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return False


def end_group(
    group: int,
    number: int = signal.SIGTERM,
    *,
    grace: float,
    reap: Callable[[], bool] = lambda: False,
    shield: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> bool:
    """Stop a process group: send a signal, wait `grace` seconds for it to end, kill what is left of it.

    Args:
        group: ID of the group
        number: signal that asks it to end
        grace: seconds to wait
        reap: reaps the group's leader, if it is a child of this process and has ended; returns whether it did
        shield: keeps a signal that arrives here from interrupting the killing; one that arrives before ends the grace

    Returns:
        whether the group is gone
    """
    is_gone = False
    try:
        is_gone = _signal_and_wait(group, number, grace, reap)
    finally:
        if not is_gone:
            with shield():
                is_gone = _signal_and_wait(group, signal.SIGKILL, min(grace, _KILL_TIMEOUT), reap)
    return is_gone


def _signal_and_wait(group: int, number: int, timeout: float, reap: Callable[[], bool]) -> bool:
    """Signal a process group, and return whether it is gone in time."""
    jobs_got_term = number in (signal.SIGTERM, signal.SIGKILL)
    end = time.monotonic() + timeout
    if not signal_and_continue_group(group, number):
        return not group_is_running(group)
    while time.monotonic() < end:
        if reap() and not jobs_got_term:
            signal_group(group, signal.SIGTERM)  # a shell has its background jobs ignore SIGINT
            jobs_got_term = True
        if not group_is_running(group):
            reap()
            return True
        time.sleep(_POLL_INTERVAL)
    return False


def end_groups(leaders: Mapping[int, str], *, grace: float, kill: threading.Event) -> list[int]:
    """Stop the process groups that processes lead, all at once, each if its leader has the start ID.

    They get SIGTERM, and what is left of them after `grace` seconds, or once `kill` is set, gets SIGKILL. Once its
    leader has ended, a group keeps its number for as long as a process of it is left.

    Returns:
        those that are running, such as ones that this user may not signal
    """
    groups = left = [pid for pid, started in leaders.items() if start_id(pid) == started]
    for number, seconds, stop in (
        (signal.SIGTERM, grace, kill),
        (signal.SIGKILL, _LONGEST_END, threading.Event()),
    ):
        left = [pid for pid in left if start_id(pid) in (leaders[pid], None)]
        left = [pid for pid in left if signal_and_continue_group(pid, number)]
        end = time.monotonic() + seconds
        while (left := list(filter(group_is_running, left))) and time.monotonic() < end:
            if stop.wait(_POLL_INTERVAL):
                break
    return [pid for pid in groups if start_id(pid) in (leaders[pid], None) and group_is_running(pid)]


class OrphanReaper:
    """Reaps the orphans that Linux gives to process 1, for as long as it is used as a context manager.

    It does nothing in any other process. Children of this process's own are left to whoever waits for them: those in
    `own_children`, and any that is reaped within a second.
    """

    own_children: ClassVar[set[int]] = set()

    def __init__(self) -> None:
        self._stop = threading.Event()

    def __enter__(self) -> "OrphanReaper":
        if os.getpid() == 1 and sys.platform == "linux":
            threading.Thread(target=self._run, name="reaper", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def _run(self) -> None:
        seen: set[str] = set()
        while not self._stop.wait(_REAP_INTERVAL):
            zombies = {name for name in os.listdir("/proc") if name.isdecimal() and _stat(name)[:2] == [b"Z", b"1"]}
            for name in zombies & seen:
                if int(name) not in self.own_children:
                    with suppress(ChildProcessError):
                        os.waitpid(int(name), os.WNOHANG)
            seen = zombies


def raise_open_file_limit(count: int) -> bool:
    """Allow this process, and those it starts, this many open files; return whether it is possible."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return True
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    except (ValueError, OSError):
        return False
    return True


@cache
def host_name() -> str:
    """Return the name of this machine, `localhost` if it has none; bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(socket.gethostname()).decode("utf-8", "replace") or "localhost"
