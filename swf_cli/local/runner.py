"""Run a command in a process group, on a terminal if there is one, and end it with everything it started."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ..errors import Signalled
from ..processes import OrphanReaper, end_group
from ..signals import STOP_SIGNALS, defer_stop_signals, raise_on_stop_signals, signal_waiter

GRACE: Final = 10.0
"""Seconds between the signal that asks a command to exit and SIGKILL."""


def run_command(
    command: Sequence[str],
    env: Mapping[str, str],
    grace: float = GRACE,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Run a command in its own process group and return its exit code: 128 + N if it died of signal N.

    What is left of the group is ended when the command ends, or when this process is asked to end: it receives the
    signal, and SIGKILL after `grace` seconds or at a second signal. Raise Signalled if the command died of SIGHUP,
    SIGINT or SIGTERM, or if this process received one; raise OSError if the command cannot be run.
    """
    with raise_on_stop_signals(clock), OrphanReaper():
        process: subprocess.Popen[bytes] | None = None
        try:
            with defer_stop_signals() as arrived:
                process = subprocess.Popen(command, env=env, process_group=0)
                OrphanReaper.own_children.add(process.pid)
            if arrived:
                signal.raise_signal(arrived[0])  # so that its duplicate is recognised, too
            with _Terminal(process.pid) as terminal, signal_waiter(signal.SIGCHLD) as wait:
                status = _status(process, terminal, wait)
        except Signalled as end:
            if process is not None:
                with contextlib.suppress(Signalled):
                    _end_group(process, end.number, grace)
            raise
        _end_group(process, signal.SIGTERM, grace)
    if status < 0:
        if -status in STOP_SIGNALS:
            raise Signalled(-status)
        return 128 - status
    return status


class _Terminal:
    """The controlling terminal, if there is one: makes a process group its foreground group, and takes that back.

    If stdin and stdout are the terminal, that happens at once. In a pipeline other processes may read from the
    terminal too: there it happens when the group first reads from it.
    """

    def __init__(self, group: int) -> None:
        self._group = group
        self.is_foreground = False
        """Whether the group is in the foreground because of us."""
        try:
            self._descriptor = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            self._descriptor = -1

    def __enter__(self) -> "_Terminal":
        # A background process that calls tcsetpgrp is stopped, unless it ignores the signal.
        self._before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        if os.isatty(0) and os.isatty(1):
            self.move_to_foreground()
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_foreground:
            with contextlib.suppress(OSError):  # the terminal has hung up
                os.tcsetpgrp(self._descriptor, os.getpgrp())
        signal.signal(signal.SIGTTOU, self._before)
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def move_to_foreground(self) -> bool:
        """Move the group to the foreground if we are there, and return whether it is there."""
        self.is_foreground = False
        with contextlib.suppress(OSError):
            foreground = os.tcgetpgrp(self._descriptor)
            if foreground == os.getpgrp():
                os.tcsetpgrp(self._descriptor, self._group)
            self.is_foreground = foreground in (os.getpgrp(), self._group)
        return self.is_foreground


def wait_for_signal() -> None:
    """Wait until a signal's handler raises."""
    with signal_waiter() as wait:
        while True:
            wait()


def _status(process: "subprocess.Popen[bytes]", terminal: _Terminal, wait: Callable[[], object]) -> int:
    """Wait for a process and return its status. If the terminal stops it (Ctrl-Z), stop and continue with it."""
    while True:
        changed, status = os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)
        if not changed:
            wait()
            continue
        if not os.WIFSTOPPED(status):
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode
        if os.WSTOPSIG(status) in (signal.SIGTTIN, signal.SIGTTOU):
            stop = not terminal.move_to_foreground()
        elif terminal.is_foreground:
            stop = True
        else:
            continue  # whoever stopped it will continue it
        if stop:
            os.killpg(os.getpgrp(), signal.SIGTSTP)
            terminal.move_to_foreground()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGCONT)


def _end_group(process: "subprocess.Popen[bytes]", number: int, grace: float) -> None:
    """Signal a process group and kill what is left after the grace period, or at once when Signalled is raised."""
    end_group(process.pid, number, grace=grace, reap=lambda: process.poll() is not None, shield=defer_stop_signals)
