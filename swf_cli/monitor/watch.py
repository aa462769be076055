"""Count the pending tasks of task lists: once, or repeatedly, keeping the last counts through failures."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..api import count_pending_tasks
from ..errors import SwfError
from ..models import PendingCount
from ..retry import THROTTLED, TRANSIENT, Retrier

if TYPE_CHECKING:
    from ..client.session import Client

S = TypeVar("S")
T = TypeVar("T")

_PARALLEL: Final = 8  # calls
_ATTEMPTS: Final = 3  # per count, except for throttling
_RETRY_THROTTLED_FOR: Final = 30.0  # seconds
_FIRST_NOTICE: Final = 1.0  # seconds without all counts after which retries are logged
_NOTICE_INTERVAL: Final = 10.0  # seconds, at least, from one such line to the next: there may be many lists
_TICK: Final = 1.0  # seconds
_RATE_WINDOW: Final = 60.0  # seconds

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PendingSample:
    """What is known of a task list."""

    task_list: str
    pending: PendingCount | None = None
    """The last count; None if none has succeeded."""

    counted_at: float = 0.0
    """When that was, by the monitor's clock."""

    change: int | None = None
    """Difference from the count before; None if one of the two is not exact."""

    recent: tuple[tuple[int, float], ...] = ()
    """Exact counts of the last minute and their times, oldest first; at least two, if there have been two."""

    error: SwfError | None = None
    """Why the last attempt failed; `pending` is from an earlier one."""

    @property
    def rate(self) -> float | None:
        """Change per second in the last minute; None if there are no two exact counts, or the last is not."""
        if self.pending is None or self.pending.truncated or len(self.recent) < 2:
            return None
        (first, began), (last, ended) = self.recent[0], self.recent[-1]
        return (last - first) / (ended - began) if ended > began else None

    @property
    def empty_in(self) -> float | None:
        """Seconds from the last count until the list is empty at this rate; None if it does not drain."""
        if self.rate is None or self.rate >= 0 or self.pending is None:
            return None
        return self.pending.count / -self.rate


class _RetryLog(logging.LoggerAdapter[logging.Logger]):
    """Logs retries, of all lists together, after a moment and then from time to time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(_log)
        self._clock = clock
        self._lock = threading.Lock()
        self._due = clock() + _FIRST_NOTICE

    def log(self, level: int, msg: object, *args: object, **extra: Any) -> None:
        """Log a line if one is due."""
        with self._lock:
            is_due = self._clock() >= self._due
            if is_due:
                self._due = self._clock() + _NOTICE_INTERVAL
        if is_due:
            self.logger.log(level, msg, *args, **extra)


def count_lists(
    client: "Client",
    domain: str,
    task_lists: Sequence[str],
    *,
    retrier: Callable[..., Retrier] = Retrier,
    clock: Callable[[], float] = time.monotonic,
) -> list[PendingSample]:
    """Count the pending tasks of each list once, in parallel.

    Throttled counts are retried for 30 s, other transient errors a few times, which is logged if it takes long. What
    could not be counted has an error. `client` makes one attempt of each call.
    """
    log = _RetryLog(clock)

    def count(task_list: str) -> PendingSample:
        throttled, failed = retrier(timeout=_RETRY_THROTTLED_FOR, log=log), retrier(attempts=_ATTEMPTS, log=log)
        while True:
            try:
                pending = count_pending_tasks(task_list, domain, client)
            except SwfError as error:
                policy = throttled if isinstance(error, THROTTLED) else failed
                if not isinstance(error, TRANSIENT) or not policy.wait(error):
                    return PendingSample(task_list, error=error)
            else:
                return PendingSample(task_list, pending)

    return _in_parallel(count, task_lists)


class PendingMonitor:
    """Counts the pending tasks of task lists repeatedly (CountPendingActivityTasks).

    Args:
        tick: seconds between calls of `on_wait` while it counts
    """

    def __init__(
        self,
        client: "Client",
        domain: str,
        task_lists: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
        tick: float = _TICK,
    ) -> None:
        self.samples = [PendingSample(task_list) for task_list in task_lists]
        self.started_at = clock()
        self._client = client
        self._domain = domain
        self._clock = clock
        self._tick = tick

    def now(self) -> float:
        """Return the time by the monitor's clock."""
        return self._clock()

    def refresh(self, on_wait: Callable[[], None] = lambda: None) -> None:
        """Count each list once, calling `on_wait` from time to time until that is done.

        An error keeps the last count. One that is not transient is in `refused` too: no later count would succeed.
        """
        self.samples = _in_parallel(self._count, self.samples, on_wait, self._tick)

    @property
    def refused(self) -> list[PendingSample]:
        """Those that have an error that is not transient."""
        return [sample for sample in self.samples if sample.error and not isinstance(sample.error, TRANSIENT)]

    @property
    def counts(self) -> list[PendingCount]:
        """The last count of each list that was counted."""
        return [sample.pending for sample in self.samples if sample.pending is not None]

    def exceeds(self, maximum: int | None) -> bool:
        """Return whether more than `maximum` tasks are pending on one of them."""
        return maximum is not None and any(pending.exceeds(maximum) for pending in self.counts)

    def _count(self, before: PendingSample) -> PendingSample:
        try:
            pending = count_pending_tasks(before.task_list, self._domain, self._client)
        except SwfError as error:
            return PendingSample(
                before.task_list, before.pending, before.counted_at, before.change, before.recent, error
            )
        now, earlier = self._clock(), before.pending
        is_exact = earlier is not None and not earlier.truncated and not pending.truncated
        return PendingSample(
            before.task_list,
            pending,
            now,
            change=pending.count - earlier.count if earlier is not None and is_exact else None,
            recent=before.recent if pending.truncated else _add(before.recent, (pending.count, now)),
        )


def _add(recent: tuple[tuple[int, float], ...], count: tuple[int, float]) -> tuple[tuple[int, float], ...]:
    """Return the counts with another, without those from more than a minute before it but for the last one."""
    young = [each for each in recent if count[1] - each[1] <= _RATE_WINDOW]
    return (*(young or recent[-1:]), count)


def _in_parallel(
    function: Callable[[S], T],
    values: Sequence[S],
    on_wait: Callable[[], None] | None = None,
    tick: float | None = None,
) -> list[T]:
    """Return the results for all values, in their order. An exception, such as a signal's, does not wait for them."""
    if len(values) == 1 and on_wait is None:
        return [function(values[0])]
    from concurrent.futures import ThreadPoolExecutor, wait  # not at start-up

    pool = ThreadPoolExecutor(max_workers=min(_PARALLEL, len(values)))
    try:
        results = [pool.submit(function, value) for value in values]
        while wait(results, timeout=tick).not_done:
            if on_wait is not None:
                on_wait()
        return [result.result() for result in results]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
