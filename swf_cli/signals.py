"""Stop signals, and keys of the terminal: the one place that installs handlers for them.

A signal that is ignored when a handler would be installed stays ignored. All functions are for the main thread.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from .errors import Signalled

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a process to end."""

_DUPLICATE_WINDOW: Final = 0.2  # seconds
_LOST_SIGNAL_DELAY: Final = 1.1 * _DUPLICATE_WINDOW  # seconds; sooner, it would be dropped as a duplicate


class SignalSafeEvent(threading.Event):
    """An Event that a signal handler may set, even while it interrupts this thread's own wait for it.

    threading.Event has a lock that the interrupted thread may hold. `set` is final: there is no `clear`.
    """

    def __init__(self) -> None:
        from queue import Empty, SimpleQueue  # not at start-up

        super().__init__()
        self._is_set = False
        self._wake_ups: SimpleQueue[None] = SimpleQueue()  # its put() is reentrant
        self._empty = Empty

    def is_set(self) -> bool:
        """Return whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Set it, and wake every thread that waits for it."""
        self._is_set = True
        self._wake_ups.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or for `timeout` seconds. Return whether it is set."""
        if not self._is_set:
            try:
                self._wake_ups.get(timeout=None if timeout is None else max(0.0, timeout))
            except self._empty:
                return self._is_set
            self._wake_ups.put(None)  # for the next waiting thread
        return self._is_set


@contextmanager
def handle_stop_signals(
    handler: Callable[[int], None],
    clock: Callable[[], float] = time.monotonic,
    *,
    numbers: Iterable[int] = STOP_SIGNALS,
) -> Iterator[None]:
    """Call `handler` with the number of each stop signal that arrives, or of each of `numbers`.

    `timeout` sends its signal twice at once, to the process and to its group: the second of two signals within 0.2 s
    is dropped as a duplicate.
    """
    last = -_DUPLICATE_WINDOW

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal last
        now = clock()
        if now - last >= _DUPLICATE_WINDOW:
            last = now
            handler(number)

    with _handlers(handle, numbers):
        yield


@contextmanager
def defer_stop_signals() -> Iterator[list[int]]:
    """Collect stop signals instead of letting them interrupt a step half-way; yield the list they are put in."""
    with collect_signals(*STOP_SIGNALS) as arrived:
        yield arrived


@contextmanager
def collect_signals(*numbers: int) -> Iterator[list[int]]:
    """Put signals in the list that is yielded, instead of what they would do; those that are ignored stay ignored."""
    arrived: list[int] = []
    with _handlers(lambda number, _: arrived.append(number), numbers):
        yield arrived


@contextmanager
def raise_on_stop_signals(clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Raise Signalled for each stop signal, but not for its duplicate."""

    def handler(number: int) -> None:
        raise Signalled(number)

    with handle_stop_signals(handler, clock):
        yield


@contextmanager
def _handlers(
    handle: Callable[[int, FrameType | None], None], numbers: Iterable[int] = STOP_SIGNALS
) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in numbers}
    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])


class StopRequest:
    """Set by the first stop signal."""

    def __init__(self) -> None:
        self.event: threading.Event = SignalSafeEvent()
        self.number = 0
        """The signal, once `event` is set."""
        self.notice: str | None = None
        """What to log when the first signal arrives."""

    def set(self, number: int) -> None:
        """Record that this signal asked to stop."""
        self.number = number
        self.event.set()

    @contextmanager
    def on_signal(
        self, notice: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> Iterator["StopRequest"]:
        """Let the first stop signal set it, and log `notice`; raise Signalled for the second."""
        import logging  # not at start-up

        log = logging.getLogger(__name__)
        self.notice = notice

        def handler(number: int) -> None:
            if self.event.is_set():
                raise Signalled(number)
            self.set(number)
            if self.notice is not None:
                log.info("%s: %s", signal.Signals(number).name, self.notice)

        with handle_stop_signals(handler, clock):
            yield self


@contextmanager
def signal_waiter(*numbers: int) -> Iterator[Callable[[], object]]:
    """Yield a function that waits for a signal that has a handler, or for one of `numbers`, which need none.

    It returns at once for one that arrived a moment before: a lock or `waitpid` would miss that, and wait on.
    """
    import socket  # not at start-up

    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        handlers = {number: signal.signal(number, lambda *_: None) for number in numbers}
        descriptor = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            yield lambda: ours.recv(4096)
        finally:
            signal.set_wakeup_fd(descriptor)
            for number, handler in handlers.items():
                signal.signal(number, handler)


def stop_own_group() -> None:
    """Stop this process and its group as Ctrl-Z does, unless that is ignored; return when it is continued."""
    handler = signal.getsignal(signal.SIGTSTP)
    if handler is not signal.SIG_IGN:
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.killpg(os.getpgrp(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)


class ProcessSignals:
    """What stop signals do to the `swf` process outside of the commands that handle them: they unwind it."""

    def __init__(self) -> None:
        self.arrived: list[int] = []
        """The signals that were raised as Signalled."""

    def install(self) -> None:
        """Raise Signalled in the main thread for each stop signal from now on."""
        for number in STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._raise)
        sys.unraisablehook = self._send_again

    def uninstall(self) -> None:
        """Let stop signals end the process at once."""
        for number in STOP_SIGNALS:
            if signal.getsignal(number) == self._raise:
                signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _raise(self, number: int, _: FrameType | None) -> None:
        self.arrived.append(number)
        raise Signalled(number)

    def _send_again(self, lost: "sys.UnraisableHookArgs") -> None:
        """Repeat a signal that was raised where Python drops exceptions: in a destructor, or as an import ends."""
        if not isinstance(lost.exc_value, Signalled):
            sys.__unraisablehook__(lost)
            return
        number = lost.exc_value.number
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(number))
        signal.setitimer(signal.ITIMER_REAL, _LOST_SIGNAL_DELAY)
