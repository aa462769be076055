"""Heartbeats: one scheduler thread sends those of every task that a process works on."""

import heapq
import itertools
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Final, Self

from .api import record_heartbeat
from .daemon_pool import DaemonPool
from .errors import (
    Cancelled,
    CredentialsError,
    InvalidRequest,
    NetworkError,
    SwfError,
    TaskNotOpen,
    explain_unexpected,
)
from .heartbeat_timeouts import TimeoutLookup
from .retry import TRANSIENT, Log
from .times import format_duration

if TYPE_CHECKING:
    from .client.session import Session, SessionClient

_FIRST_LOOKUP: Final = 0.5  # seconds a command runs before its task's heartbeat timeout is looked up
_LONGEST_INTERVAL: Final = 60.0  # seconds; only its response reports a cancellation request
_SHORTEST_RETRY: Final = 0.1  # seconds
_LONGEST_RETRY: Final = 5.0  # seconds
_END_CHECK: Final = 0.2  # seconds between looks at what a heartbeat said
_FIRST_REMINDER: Final = 15.0  # seconds of failures until a reminder; the next ones take twice as long each
_SENDERS: Final = 32  # threads; started as they are needed
_REMOVED: Final = 1_000  # entries of removed tasks that may wait in the heap until they are due

_log = logging.getLogger(__name__)


class HeartbeatSignal(Enum):
    """What SWF said in response to a heartbeat."""

    CANCEL_REQUESTED = "cancel requested"
    TASK_CLOSED = "task closed"


class _Outage:
    """Logs failures in a row: the first, then ever fewer of them, and their end. A long outage fills no log."""

    def __init__(self, log: Log, clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock
        self._began: float | None = None
        self._reminder = 0.0

    def fail(self, message: str, level: int = logging.INFO) -> None:
        """Note that a heartbeat failed."""
        now = self._clock()
        if self._began is None:
            self._began, self._reminder = now, _FIRST_REMINDER
            self._log.log(level, "heartbeat failed: %s", message)
        elif now - self._began >= self._reminder:
            self._reminder = 2 * (now - self._began)
            self._log.log(level, "heartbeats still fail after %s: %s", format_duration(now - self._began), message)

    def end(self) -> None:
        """Note that SWF accepted a heartbeat."""
        if self._began is not None:
            duration = format_duration(max(1.0, self._clock() - self._began))
            self._log.info("heartbeats are accepted again, after %s", duration)
            self._began = None


class HeartbeatSender:
    """Sends the heartbeats of one task; a `HeartbeatScheduler` calls `send` when it is due.

    A failed heartbeat is retried sooner than the interval: after 1/20 of it on network errors and 1/4 on others, but
    at least 0.1 and at most 5 seconds.
    """

    def __init__(
        self,
        session: "Session",
        token: str,
        interval: float,
        *,
        details: Callable[[], str | None] = lambda: None,
        stop_on_rejection: bool = False,
        log: Log = _log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send one every `interval` seconds, the first at once.

        `details` returns the progress message of the next heartbeat. `stop_on_rejection` is whether an error that
        is not transient ends the heartbeats; credentials that stop working do not, since others may replace them.
        """
        self.signal: HeartbeatSignal | None = None
        """What SWF last signalled about the task; TASK_CLOSED is final."""
        self.error: SwfError | None = None
        """What ended the heartbeats, with `stop_on_rejection` or if the task is closed."""
        self.due = clock()
        """When the next step is due, by `clock`; infinite if never."""
        self.changed = threading.Event()
        """Set when `signal` or `error` is."""
        self.failure: SwfError | None = None
        """Why the last heartbeat failed; None if SWF accepted it."""
        self.has_succeeded = False
        """Whether SWF ever accepted a heartbeat."""
        self.log = log
        self.outage = _Outage(log, clock)
        self._session = session
        self._token = token
        self._interval: float | None = interval
        self._details = details
        self._rejected_details: str | None = None
        self._stop_on_rejection = stop_on_rejection
        self._on_success: Callable[[], None] = lambda: None
        self._clock = clock

    def send(self) -> None:
        """Take the next step: send a heartbeat (RecordActivityTaskHeartbeat), and set `due` for the one after it."""
        interval = self._interval or _LONGEST_RETRY
        now = self._clock()
        try:
            self._send(self._session.with_timeout(interval / 2))
        except Cancelled:
            self._accept()
            self._report(HeartbeatSignal.CANCEL_REQUESTED)
        except TaskNotOpen as error:
            self._report(HeartbeatSignal.TASK_CLOSED, error)
            return
        except SwfError as error:
            self.failure = error
            is_transient = isinstance(error, TRANSIENT) or (
                isinstance(error, CredentialsError) and self.has_succeeded
            )
            if self._stop_on_rejection and not is_transient:
                self._report(None, error)
                return
            part = 20 if isinstance(error, NetworkError) else 4
            delay = min(max(interval / part, _SHORTEST_RETRY), _LONGEST_RETRY)
            self.due = self._clock() + delay
            self.outage.fail(error.message)
            return
        else:
            self._accept()
        self._on_success()
        self.due = now + self._spread(interval)

    def _accept(self) -> None:
        self.has_succeeded, self.failure = True, None
        self.outage.end()

    def _report(self, signal: HeartbeatSignal | None, error: SwfError | None = None) -> None:
        self.signal, self.error = signal or self.signal, error
        if error is not None:
            self.due = inf
        self.changed.set()

    def _spread(self, interval: float) -> float:
        return interval

    def _send(self, client: "SessionClient") -> None:
        details = self._details()
        if details == self._rejected_details:
            details = None
        try:
            record_heartbeat(client, self._token, details)
        except (InvalidRequest, ValueError) as error:
            if details is None:
                raise
            self._rejected_details = details
            self.log.info("heartbeat details rejected, sending without them: %s", error)
            record_heartbeat(client, self._token)


class AutomaticHeartbeatSender(HeartbeatSender):
    """Sends the heartbeats of a worker's task, at an interval that goes by the task's heartbeat timeout.

    `interval` is in seconds; or it is a lookup that finds the heartbeat timeout, a third of which is used; or None
    for no heartbeats.
    """

    def __init__(
        self,
        session: "Session",
        token: str,
        interval: float | TimeoutLookup | None,
        *,
        details: Callable[[], str | None] = lambda: None,
        on_success: Callable[[], None] = lambda: None,
        log: Log = _log,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        lookup = interval if isinstance(interval, TimeoutLookup) else None
        fixed = interval if isinstance(interval, float | int) else _FIRST_LOOKUP
        super().__init__(session, token, fixed, details=details, log=log, clock=clock)
        self._on_success = on_success
        self._lookup = lookup  # kept when the interval is known: tasks of the same run share what was read
        self._jitter = jitter
        self._began = self.due
        self.due = inf if interval is None else self._began + fixed
        if lookup is not None:
            self._interval = None

    def send(self) -> None:
        """Send a heartbeat. While the interval is not known, look it up instead, and send one if that takes long."""
        if self._lookup is None or self._interval is not None:
            super().send()
            return
        timeout = self._lookup.step()
        if timeout is not None:
            self._interval = min(timeout / 3, _LONGEST_INTERVAL)
            self.due = self._began + self._spread(self._interval)
            return
        if self._lookup.is_waiting:
            self.due = inf
        else:
            super().send()
        if self.error is None:
            self.due = min(self.due, self._clock() + self._lookup.delay)

    def _spread(self, interval: float) -> float:
        # Jitter spreads the load; with 0.9 of a third of the timeout, one is in time after an outage of two thirds.
        return interval * (0.7 + 0.2 * self._jitter())


@dataclass(order=True, slots=True)
class _Entry:
    due: float
    count: int
    sender: HeartbeatSender | None = field(compare=False)
    """None once its task is removed."""


class HeartbeatScheduler:
    """Sends heartbeats when they are due: one thread schedules, and a few others send. Use it as a context manager.

    Its threads are daemons: a call that hangs does not delay the end of the process.
    """

    def __init__(self, *, senders: int = _SENDERS, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._condition = threading.Condition()
        self._heap: list[_Entry] = []
        self._entries: dict[HeartbeatSender, _Entry | None] = {}
        """The tasks, and their entries in the heap; None while a heartbeat is in flight."""
        self._wakes_at = inf
        """When its thread looks at the heap next: most tasks are over by then, and never wake it."""
        self._count = itertools.count()
        self._pool = DaemonPool("heartbeat sender", senders)
        self._is_closed = False

    def __enter__(self) -> Self:
        """Start sending. Raise RuntimeError if the machine has no more threads."""
        self._pool.start_thread()
        threading.Thread(target=self._run, name="heartbeats", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, sender: HeartbeatSender) -> None:
        """Send this task's heartbeats from now on."""
        with self._condition:
            self._entries[sender] = None
            self._push(sender)

    def remove(self, sender: HeartbeatSender) -> None:
        """Send no more heartbeats of this task. One in flight is not waited for."""
        with self._condition:
            entry = self._entries.pop(sender, None)
            if entry is not None:
                entry.sender = None
            if len(self._heap) > 2 * len(self._entries) + _REMOVED:
                self._heap = [entry for entry in self._heap if entry.sender is not None]
                heapq.heapify(self._heap)

    def close(self) -> None:
        """Send no more heartbeats at all."""
        with self._condition:
            self._is_closed = True
            self._entries.clear()
            self._condition.notify()
            self._pool.close()

    def _push(self, sender: HeartbeatSender) -> None:
        if sender in self._entries and sender.due < inf:
            entry = self._entries[sender] = _Entry(sender.due, next(self._count), sender)
            heapq.heappush(self._heap, entry)
            if sender.due < self._wakes_at:
                self._condition.notify()

    def _run(self) -> None:
        with self._condition:
            while not self._is_closed:
                while self._heap and self._heap[0].sender is None:
                    heapq.heappop(self._heap)
                self._wakes_at = self._heap[0].due if self._heap else inf
                wait = self._wakes_at - self._clock()
                if wait > 0:
                    self._condition.wait(wait if self._heap else None)
                else:
                    self._submit_first()

    def _submit_first(self) -> None:
        sender = heapq.heappop(self._heap).sender
        if sender is not None:
            self._entries[sender] = None
            self._pool.submit(partial(self._send, sender))

    def _send(self, sender: HeartbeatSender) -> None:
        if sender not in self._entries:
            return
        try:
            sender.send()
        except Exception as error:
            # Whatever it is, the next heartbeat may get through.
            sender.due = self._clock() + _LONGEST_RETRY
            sender.outage.fail(explain_unexpected(error)[0], logging.ERROR)
        with self._condition:
            self._push(sender)


def send_heartbeats(
    session: "Session",
    token: str,
    details: str | None,
    *,
    every: float,
    has_ended: Callable[[float], bool] | None = None,
) -> bool:
    """Send heartbeats every `every` seconds (RecordActivityTaskHeartbeat) until the work or the task ends.

    `has_ended` waits for the work to end, for the seconds it is given, and returns whether it has; None if it has no
    end of its own. Transient errors are logged, and the next heartbeat is sent sooner.

    Returns whether cancellation of the task was requested; False if the work has ended.

    Raises:
        TaskNotOpen: the task is closed, timed out, or the token is unknown
        SwfError: SWF rejected the heartbeat, or the work has ended and all heartbeats failed
    """
    if has_ended is not None and has_ended(0):
        return False
    sender = HeartbeatSender(session, token, every, details=lambda: details, stop_on_rejection=True)
    with HeartbeatScheduler() as scheduler:
        scheduler.add(sender)
        while not sender.changed.wait(None if has_ended is None else 0):
            if has_ended is not None and has_ended(_END_CHECK):
                _check_last(sender)
                return False
    if sender.error is not None:
        raise sender.error
    return True


def _check_last(sender: HeartbeatSender) -> None:
    """Log it if the last heartbeats failed; raise SwfError if all did."""
    if sender.failure is None:
        return
    if not sender.has_succeeded:
        raise sender.failure
    _log.warning("the process ended while heartbeats failed: %s", sender.failure.message)
