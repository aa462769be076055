"""The calls of a scan: paced, retried, counted, and bounded in time."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import inf
from typing import TYPE_CHECKING, Any, Final

from ..client.call import call
from ..errors import CredentialsUnavailable, SwfError
from ..retry import THROTTLED, TRANSIENT, Retrier
from ..times import format_duration

if TYPE_CHECKING:
    from ..client.session import Client

HISTORY: Final = "get_workflow_execution_history"

_WAITED_OUT: Final = (*THROTTLED, CredentialsUnavailable)
_ATTEMPTS: Final = 4  # per call, except for what is waited out
_FIRST_DELAY: Final = 0.5  # seconds
_LONGEST_DELAY: Final = 5.0  # seconds
_NOTICE_INTERVAL: Final = 30.0  # seconds without a successful call after which that is logged, each time
_IDLE_LIMIT: Final = 300.0  # seconds without a successful call after which the scan ends

_log = logging.getLogger(__name__)


class Stopped(SwfError):
    """The scan was asked to stop."""


@dataclass(slots=True)
class ScanProgress:
    """How far a scan is."""

    executions: int = 0
    tasks: int = 0
    """Open tasks found, of activities and decisions."""

    calls: int = 0
    throttles: int = 0
    skipped: int = 0
    """Executions that could not be read."""

    malformed: int = 0
    """Events and rows of lists that could not be read."""


class RateLimiter:
    """Spaces the calls of many threads evenly. Call `slow_down` when throttled."""

    def __init__(
        self,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._gap = 1 / rate
        self._clock = clock
        self._wait = wait
        self._lock = threading.Lock()
        self._next = clock()

    def acquire(self) -> None:
        """Wait until the next call may start."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if turn > now:
            self._wait(turn - now)

    def slow_down(self, seconds: float) -> None:
        """Start no call for this many seconds."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)


class ScanCalls:
    """Calls SWF for a scan, from many threads.

    Calls that are throttled, or for which there are no credentials at the moment, are retried until no call of the
    scan has succeeded for five minutes, which is logged every 30 s; other transient errors a few times.

    Args:
        client: makes one attempt of each call
        rate: history requests per second
        timeout: seconds after which the scan ends
        stop: ends the scan early
        clock: returns the seconds since the epoch
        monotonic: returns the seconds that waits are measured by
    """

    def __init__(
        self,
        client: "Client",
        domain: str,
        *,
        rate: float = 30.0,
        timeout: float = inf,
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.domain = domain
        self.stop = stop or threading.Event()
        self.progress = ScanProgress()
        self.lock = threading.Lock()
        """Guards `progress`."""
        self.failure: SwfError | None = None
        """Why the scan ended early."""
        self.clock_skew = 0.0
        """Seconds by which the service's clock is ahead of this machine's, by its last response."""
        self._client = client
        self._clock = clock
        self._monotonic = monotonic
        self._timeout = timeout
        self._deadline = monotonic() + timeout
        self._limiter = RateLimiter(rate, monotonic, self._wait)
        self._idle_since: float | None = None
        """Time of the first call, since one succeeded, that is waited out."""
        self._next_notice = _NOTICE_INTERVAL

    def now(self) -> float:
        """Return the service's time, in seconds since the epoch: this machine's clock may differ."""
        return self._clock() + self.clock_skew

    @property
    def is_over(self) -> bool:
        """Whether no further call is to be made."""
        return self.stop.is_set() or self.failure is not None

    def fail(self, error: SwfError) -> SwfError:
        """End the scan with an error, unless it has ended; return the error that it ended with."""
        with self.lock:
            self.failure = self.failure or error
            return self.failure

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call an operation on the domain, and return its response.

        Raise Stopped if the scan is to stop, `failure` if it has ended early, and SwfError if this call failed.
        """
        waited_out = self._retrier()
        failed = self._retrier(attempts=_ATTEMPTS)
        while True:
            self._wait_for_turn(operation)
            try:
                response = call(self._client, operation, domain=self.domain, **arguments)
            except _WAITED_OUT as error:
                delay = waited_out.next_delay(error) or 0.0
                self._note_idle(error)
                if operation == HISTORY:
                    self._limiter.slow_down(delay)
                self._wait(delay)
            except TRANSIENT as error:
                delay_or_none = failed.next_delay(error)
                if delay_or_none is None:
                    raise
                self._wait(delay_or_none)
            else:
                self._note_success(response)
                return response

    def call_once(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call an operation that the scan can do without: no retry, and a failure does not end the scan."""
        return call(self._client, operation, domain=self.domain, **arguments)

    def _retrier(self, attempts: float = inf) -> Retrier:
        return Retrier(first=_FIRST_DELAY, longest=_LONGEST_DELAY, attempts=attempts, log=None)

    def _wait(self, seconds: float) -> None:
        self.stop.wait(max(0.0, min(seconds, self._deadline - self._monotonic())))

    def _wait_for_turn(self, operation: str) -> None:
        if operation == HISTORY:
            self._limiter.acquire()
        if self.stop.is_set():
            raise Stopped("stopped")
        if self._monotonic() >= self._deadline:
            raise self.fail(SwfError(f"not finished within {format_duration(self._timeout)}"))
        if self.failure is not None:
            raise self.failure
        with self.lock:
            self.progress.calls += 1

    def _note_idle(self, error: SwfError) -> None:
        with self.lock:
            self.progress.throttles += isinstance(error, THROTTLED)
            now = self._monotonic()
            self._idle_since = self._idle_since or now
            idle = now - self._idle_since
            is_due = idle >= self._next_notice
            if is_due:
                self._next_notice = idle + _NOTICE_INTERVAL
        if idle >= _IDLE_LIMIT:
            message = f"no call has succeeded for {format_duration(idle)}: {error.message}"
            raise self.fail(type(error).from_error(error, message)) from error
        if is_due:
            _log.info("no call has succeeded for %s, still trying: %s", format_duration(idle), error.message)

    def _note_success(self, response: dict[str, Any]) -> None:
        with self.lock:
            self._idle_since = None
            self._next_notice = _NOTICE_INTERVAL
        date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date:
            try:
                self.clock_skew = parsedate_to_datetime(date).timestamp() - self._clock()
            except ValueError:
                return
