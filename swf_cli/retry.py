"""Decide whether, when and until when to retry a failed call. Heartbeats are retried at intervals of their own."""

import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Final

from .errors import (
    CredentialsError,
    CredentialsUnavailable,
    LimitExceededError,
    NetworkError,
    ServiceError,
    SwfError,
    ThrottlingError,
)

Log = logging.Logger | logging.LoggerAdapter[logging.Logger]
"""What lines are logged to."""

THROTTLED: Final = (ThrottlingError, LimitExceededError)
"""Errors for calls that are too frequent, or too many at a time."""

TRANSIENT: Final = (NetworkError, ServiceError, *THROTTLED, CredentialsUnavailable)
"""Errors after which the same call may succeed."""

_log = logging.getLogger(__name__)


class Retrier:
    """Waits between attempts, with exponential backoff and jitter.

    The delays grow from `first` to `longest` seconds, doubling; each is between half of that and all of it. There is
    no further attempt after `attempts` of them, once the next one would begin `timeout` seconds or more after this
    object was made, or when `stop` is set. If the service asks for a longer delay than is left until then, the last
    attempt is made at that very moment.

    After `spread_after` failures, one delay is anything up to `longest` seconds, and all further ones are `longest`:
    so thousands of clients that failed at the same moment come back evenly spread.

    Args:
        log: where each wait is announced, at level INFO; None for silence
        stop: ends a wait early
    """

    def __init__(  # noqa: PLR0913 - each has a default, and the last two are only for tests
        self,
        *,
        first: float = 1.0,
        longest: float = 30.0,
        spread_after: float = inf,
        timeout: float = inf,
        attempts: float = inf,
        stop: threading.Event | None = None,
        log: Log | None = _log,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._first = first
        self._longest = longest
        self._spread_after = spread_after
        self._attempts = attempts
        self._stop = stop or threading.Event()
        self._log = log
        self._clock = clock
        self._jitter = jitter
        self._deadline = clock() + timeout
        self.failures = 0
        """Failed attempts since the last success."""

    def time_left(self) -> float:
        """Return the seconds until the timeout."""
        return self._deadline - self._clock()

    def reset(self) -> None:
        """Note that an attempt succeeded: the next delay is the first one again."""
        self.failures = 0

    def wait(self, error: SwfError | str, message: str | None = None) -> bool:
        """Wait as `next_delay` says, after an attempt that failed with `error`. Return whether there is to be one."""
        delay = self.next_delay(error, message)
        return delay is not None and not self._stop.wait(delay)

    def next_delay(self, error: SwfError | str, message: str | None = None) -> float | None:
        """Return the seconds to wait before the next attempt; None if there is to be none.

        They are logged with `message`, or that of the error.
        """
        delay = self._backoff()
        self.failures += 1
        left = self.time_left()
        if self.failures >= self._attempts or delay >= left or self._stop.is_set():
            return None
        if isinstance(error, SwfError):
            # If the service asks for more time than is left, the last attempt is made at the very end.
            delay = max(delay, min(error.retry_after, left))
        if self._log is not None:
            message = message or (error.message if isinstance(error, SwfError) else error)
            self._log.info("%s; retrying in %.1f s", message, delay, extra={"event": "retry"})
        return delay

    def _backoff(self) -> float:
        if self.failures > self._spread_after:
            return self._longest
        if self.failures == self._spread_after:
            return self._longest * self._jitter()
        whole = min(self._longest, self._first * 2.0 ** min(self.failures, 60))
        return whole / 2 + whole / 2 * self._jitter()


class AccessGate:
    """A wait that all threads share after an access error: others may have rotated keys, or changed a policy.

    Args:
        renew: looks for other credentials after the wait; what it raises as SwfError is ignored
        wait_for: seconds to wait before calls are tried again
    """

    def __init__(
        self,
        renew: Callable[[], object] = lambda: None,
        *,
        wait_for: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._renew = renew
        self._wait_for = wait_for
        self._clock = clock
        self._lock = threading.Lock()
        self._open_at = -inf

    def wait(
        self,
        error: SwfError,
        stop: threading.Event,
        log: Log = _log,
    ) -> bool:
        """Wait until calls may succeed again; log it once, however many threads wait. Return False if stopped."""
        with self._lock:
            is_first = self._open_at <= self._clock()
            if is_first:
                self._open_at = self._clock() + self._wait_for
            open_at = self._open_at
        if is_first and stop.is_set():
            log.info("%s", error.message)
        elif is_first:
            log.info("%s; retrying in %g s", error.message, self._wait_for, extra={"event": "retry"})
        is_stopped = stop.wait(max(0.0, open_at - self._clock()))
        if is_first and not is_stopped and not isinstance(error, CredentialsError):
            # Rejected credentials are looked up again by each call; those that lack a permission only here.
            with suppress(SwfError):
                self._renew()
        return not is_stopped
