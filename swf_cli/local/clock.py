"""The clock of a local SWF: it can run faster than real time, and can be advanced."""

import math
import time
from collections.abc import Callable


class Clock:
    """Epoch seconds that run `speed` times as fast as `real_time`, a function that returns seconds."""

    def __init__(self, real_time: Callable[[], float] = time.time, *, speed: float = 1.0) -> None:
        self.real_time = real_time
        self._speed = speed
        self._start = real_time()
        self._advanced = 0.0

    def now(self) -> float:
        """Return the time in epoch seconds."""
        return self.at(self.real_time())

    def at(self, real_time: float) -> float:
        """Return what the clock shows at a real time, as far as it is known now."""
        return self._start + (real_time - self._start) * self._speed + self._advanced

    def advance(self, seconds: float) -> None:
        """Move the clock forward by a number of its own seconds."""
        self._advanced += seconds

    def real_seconds_until(self, moment: float) -> float | None:
        """Return the real seconds until a moment: 0 if it is past, None if it never comes."""
        return None if moment == math.inf else max(0.0, (moment - self.now()) / self._speed)
