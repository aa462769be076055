"""The signals that end a process: an event that a handler may set, and what a signal asked for."""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from .errors import Signalled

_DUPLICATE_WINDOW: Final = 0.2  # seconds
_ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def on_stop_signals(hear: Callable[[int], None], clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Hear the signals that end a process, each time that one comes; for the main thread.

    A signal that was ignored stays ignored. `timeout` sends its signal twice at once, to the process and to the
    group that it is in: the second of two within a fifth of a second is the first one's echo.
    """
    last = -_DUPLICATE_WINDOW

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal last
        now = clock()
        if now - last >= _DUPLICATE_WINDOW:
            last = now
            hear(number)

    before = {number: signal.getsignal(number) for number in _ENDING_SIGNALS}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


class StopRequest:
    """What a signal asked for."""

    def __init__(self) -> None:
        self.stop: threading.Event = SignalSafeEvent()
        self.number = 0
        """The signal, once `stop` is set."""

    def hear(self, number: int) -> None:
        """Take note of a signal."""
        self.number = number
        self.stop.set()


@contextmanager
def graceful_stop(tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> Iterator[StopRequest]:
    """Hear the signals that end a process: the first asks to stop, the second gives up at once (Signalled)."""
    asked = StopRequest()

    def hear(number: int) -> None:
        if asked.stop.is_set():
            raise Signalled(number)
        asked.hear(number)
        tell(
            f"{signal.Signals(number).name}: SWF may be handing a task to the poll that it holds, so that is waited "
            "for, up to 60 s; the same signal again gives up at once"
        )

    with on_stop_signals(hear, clock):
        yield asked


class SignalSafeEvent(threading.Event):
    """An event that a signal handler may set, also when it interrupts this thread's own wait for it.

    An ordinary one has a lock, which the interrupted thread may hold just then: nothing would ever go on.
    """

    def __init__(self) -> None:
        super().__init__()
        self._raised = False
        self._reader, self._writer = os.pipe()

    def is_set(self) -> bool:
        """Tell whether it is set; it is never cleared."""
        return self._raised

    def set(self) -> None:
        """Set it, and wake all that wait for it."""
        if not self._raised:
            self._raised = True
            os.write(self._writer, b"!")  # never read: it stays readable to all that wait

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or for so many seconds; tell whether it is."""
        if not self._raised:
            select.select([self._reader], [], [], timeout)
        return self._raised

    def __del__(self) -> None:
        os.close(self._reader)
        os.close(self._writer)
