"""The credentials that a worker's threads share."""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..errors import SwfError

if TYPE_CHECKING:
    from ..client.session import Session


Tell = Callable[[str], None]

_LOCKED_OUT: Final = 30.0  # seconds to wait for credentials that work again


class Access:
    """The credentials that a worker's threads share: when they stop working, all wait, and they are found anew."""

    def __init__(self, session: "Session", clock: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._clock = clock
        self._lock = threading.Lock()
        self._until = self._renewed = float("-inf")

    def wait(self, error: SwfError, stop: threading.Event, tell: Tell) -> None:
        """Wait until it is worth another try, or until `stop` is set; one line tells of it, however many wait."""
        with self._lock:
            first = self._until <= self._clock()
            if first:
                self._until = self._clock() + _LOCKED_OUT
            until = self._until
        if first:
            tell(f"{error.message}; trying again in {_LOCKED_OUT:g} s")
        stop.wait(until - self._clock())
        with self._lock:
            if self._renewed < until:
                self._renewed = until
                self._session.reset()
