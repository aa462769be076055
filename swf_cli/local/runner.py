"""Run a command in a process group, on a terminal if there is one, and end it with everything it started."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from ..errors import Signalled
from ..processes import OrphanReaper, end_group, signal_group
from ..signals import (
    STOP_SIGNALS,
    collect_signals,
    defer_stop_signals,
    raise_on_stop_signals,
    signal_waiter,
    stop_own_group,
)

GRACE: Final = 10.0
"""Seconds between the signal that asks a command to exit and SIGKILL."""

_KEYS: Final = (signal.SIGQUIT, signal.SIGTSTP)
"""What keys of a terminal send, besides SIGINT."""


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
    with raise_on_stop_signals(clock), collect_signals(*_KEYS) as keys, OrphanReaper():
        process: subprocess.Popen[bytes] | None = None
        try:
            with ExitStack() as stack:
                with defer_stop_signals() as arrived:
                    process = _start(command, env)
                    terminal = stack.enter_context(_Terminal(process.pid))
                    wait = stack.enter_context(signal_waiter(signal.SIGCHLD))
                if arrived:
                    signal.raise_signal(arrived[0])  # so that its duplicate is recognised, too
                status = _status(process, terminal, keys, wait)
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


def _start(command: Sequence[str], env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start a command in its own process group. A key that is pressed meanwhile is left to us, for us to pass on.

    Between vfork and exec, Ctrl-Z would stop the child, and us with it: we could neither continue it nor stop.
    A forked child has our handlers until exec.
    """
    before = subprocess._USE_VFORK
    subprocess._USE_VFORK = False  # type: ignore[misc]  # documented as what to set for this
    try:
        process = subprocess.Popen(command, env=env, process_group=0)
    finally:
        subprocess._USE_VFORK = before  # type: ignore[misc]
    OrphanReaper.own_children.add(process.pid)
    return process


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


def _status(
    process: "subprocess.Popen[bytes]", terminal: _Terminal, keys: list[int], wait: Callable[[], object]
) -> int:
    """Wait for a process and return its status. If the terminal stops it (Ctrl-Z), stop and continue with it.

    `keys` are signals that the terminal sent to us: the group was not in its foreground, or not yet. Pass them on.
    """
    while True:
        while keys:
            signal_group(process.pid, key := keys.pop(0))
            if key == signal.SIGTSTP:
                _stop_both(process, terminal)
        changed, status = os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)
        if not changed:
            wait()
            continue
        if not os.WIFSTOPPED(status):
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode
        if os.WSTOPSIG(status) in (signal.SIGTTIN, signal.SIGTTOU):
            if terminal.move_to_foreground():
                signal_group(process.pid, signal.SIGCONT)
            else:
                _stop_both(process, terminal, to_foreground=True)
        elif terminal.is_foreground:
            _stop_both(process, terminal)
        # Otherwise, whoever stopped it will continue it.


def _stop_both(process: "subprocess.Popen[bytes]", terminal: _Terminal, *, to_foreground: bool = False) -> None:
    """Stop with a process that is stopped, and continue it when we are continued."""
    stop_own_group()
    if to_foreground or terminal.is_foreground:
        terminal.move_to_foreground()
    signal_group(process.pid, signal.SIGCONT)


def _end_group(process: "subprocess.Popen[bytes]", number: int, grace: float) -> None:
    """Signal a process group and kill what is left after the grace period, or at once when Signalled is raised."""
    end_group(process.pid, number, grace=grace, reap=lambda: process.poll() is not None, shield=defer_stop_signals)
