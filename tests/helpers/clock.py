"""Time that moves only when a test, or a wait, moves it."""

import threading


class FakeClock:
    """A clock that shows `now`; call it to read it."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move it."""
        self.now += seconds


class InstantEvent(threading.Event):
    """An event whose waits take no time: each moves the clock, if there is one, and is noted in `waits`.

    It is set by the wait with the number `set_by`, counted from 1.
    """

    def __init__(self, clock: FakeClock | None = None, *, set_by: int | None = None) -> None:
        super().__init__()
        self.waits: list[float] = []
        """Seconds of each wait while it was not set."""
        self._clock = clock
        self._set_by = set_by

    def wait(self, timeout: float | None = None) -> bool:
        """Move the clock; return whether it is set."""
        assert timeout is not None, "this wait would never end"
        if not self.is_set():
            self.waits.append(timeout)
            if self._clock is not None:
                self._clock.advance(timeout)
            if len(self.waits) == self._set_by:
                self.set()
        return self.is_set()
