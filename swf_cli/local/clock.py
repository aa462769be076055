"""Time as the local SWF sees it: it can be moved ahead, or run faster than the service's."""

import math
import time
from collections.abc import Callable


class Clock:
    """Epoch seconds, from a source of seconds; they run `speed` times as fast, and can be moved ahead."""

    def __init__(self, source: Callable[[], float] = time.time, *, speed: float = 1.0) -> None:
        self._source = source
        self._speed = speed
        self._start = source()
        self._ahead = 0.0

    def now(self) -> float:
        """Tell the time."""
        return self._start + (self._source() - self._start) * self._speed + self._ahead

    def advance(self, seconds: float) -> None:
        """Move ahead."""
        self._ahead += seconds

    def seconds_until(self, now: float) -> float | None:
        """Tell how many seconds of the source's a now is away: 0 when it is past, None when it never comes."""
        return None if now == math.inf else max(0.0, (now - self.now()) / self._speed)
