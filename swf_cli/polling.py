"""The life of a long poll: it is never abandoned while SWF holds it, and leaves a record if its response is lost.

SWF may assign a task to any poll that it holds, even if the client is gone; nobody ever sees that task's token.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

from .api import EmptyPollPauses, poll_once
from .client.attempt import attempt
from .errors import (
    ConnectionSettingError,
    CredentialsError,
    IncompleteTask,
    NetworkError,
    NoTaskReceived,
    Signalled,
    SwfError,
)
from .invocation import Invocation
from .ledger.records import PollSource, Taker
from .models import WorkerTask
from .retry import TRANSIENT, Retrier
from .times import format_duration

if TYPE_CHECKING:
    from .client.session import Session
    from .ledger.store import Ledger

STOP_NOTICE = (
    "waiting up to 75 s for the poll in flight, which may still return a task; "
    "send the signal again to quit immediately"
)
"""What to log when a signal asks to stop polling."""

_NEVER_CONNECTED: Final = (NetworkError, CredentialsError, ConnectionSettingError)
_LONGEST_DELAY: Final = 60.0  # seconds; as long as SWF holds a poll, so that returning pollers stay spread
_SPREAD_AFTER: Final = 3  # failures
_LONGEST_PAUSE: Final = 1.0  # seconds after a poll that nobody held
_SIMILAR_LOSSES: Final = 3
_SHORTEST_LOSS: Final = 2.0  # seconds
_LOSS_SPREAD: Final = 0.1  # of the longest

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReceivedTask:
    """A task that a poll received."""

    task: WorkerTask
    source: PollSource

    row_key: str
    """Key of its row in the ledger, which may be in memory only."""

    is_recorded: bool = True
    """Whether the ledger could write that row."""

    @property
    def key(self) -> str | None:
        """Its key in the ledger; None if the ledger does not have it."""
        return self.row_key if self.is_recorded else None

    def describe_location(self) -> str:
        """Return where the task can be found if it could not be printed."""
        if self.key is not None:
            return f"the task is in `swf held` under {self.key}"
        where = f"{self.task.id} of workflow {self.task.execution.id}, run {self.task.execution.run_id}"
        return f"the task is not recorded, and stays open until it times out: {where}"

    def suggest(self, invocation: Invocation) -> tuple[str, str]:
        """Return what to do if it could not be printed, and the command line for that."""
        if self.key is not None:
            reason = ("--reason", "not printed")
            return "if nobody works on it", invocation.format_held("fail", self.key, self.source.endpoint, *reason)
        execution = self.task.execution
        names = ("--workflow-id", execution.id, "--run-id", execution.run_id, "--id", self.task.id)
        return "see when it times out", invocation.format("tasks", *names)


def poll_source(session: "Session", domain: str, task_list: str, identity: str) -> PollSource:
    """Return where a session's polls are sent, as the ledger records it."""
    meta = session.poll_client.meta
    return PollSource(domain, task_list, identity, session.profile, meta.region_name, meta.endpoint_url)


class ListRotation:
    """Spreads polls over task lists, so that none starves. Threads may share it.

    The next poll goes to a list with the fewest polls in flight, and of those to the one that was polled longest ago.
    """

    def __init__(self, *sources: PollSource) -> None:
        self._sources = list(sources)
        self._lock = threading.Lock()
        self._in_flight: Counter[str] = Counter()

    @contextmanager
    def next(self) -> Iterator[PollSource]:
        """Yield where to poll next; the poll is in flight until the context ends."""
        with self._lock:
            source = min(self._sources, key=lambda source: self._in_flight[source.task_list])
            self._sources.remove(source)
            self._sources.append(source)
            self._in_flight[source.task_list] += 1
        try:
            yield source
        finally:
            with self._lock:
                self._in_flight[source.task_list] -= 1


class PollObserver:
    """Callbacks for the stages of a poll; these do nothing."""

    def on_poll(self) -> None:
        """A poll is about to be sent."""

    def on_sent(self) -> None:
        """A poll was sent."""

    def on_response(self) -> None:
        """SWF responded to a poll."""

    def on_failure(self, error: SwfError) -> None:
        """A poll failed with a transient error."""


class Poller:
    """Polls task lists (PollForActivityTask). Threads may share it.

    Args:
        session: its `poll_client` is used
        ledger: records each poll, and the task that it received
        taken_by: the command that polls
        retrier: creates what decides on delays between failed polls; it is given a timeout
    """

    def __init__(
        self,
        session: "Session",
        ledger: "Ledger",
        *,
        taken_by: Taker = "poll",
        observer: PollObserver | None = None,
        retrier: Callable[..., Retrier] = Retrier,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._ledger = ledger
        self._taken_by = taken_by
        self._observer = observer or PollObserver()
        self._retrier = retrier
        self._clock = clock
        self._losses: deque[float] = deque(maxlen=_SIMILAR_LOSSES)
        """After how many seconds the last polls were lost, one after the other."""
        self._is_loss_logged = False
        self.is_connected = False
        """Whether SWF was ever reached."""
        self._empty_at: dict[str, float] = {}
        """When SWF last answered that there was no task, by task list."""
        self._failed: dict[str, tuple[float, SwfError]] = {}
        """When a poll last failed, and why, by task list."""

    def receive(
        self,
        lists: ListRotation,
        *,
        stop: threading.Event,
        timeout: float | None = None,
        wait_until_ready: Callable[[], object] = lambda: None,
    ) -> ReceivedTask | None:
        """Wait for a task; return None once `stop` is set and no poll is in flight.

        After `stop`, or after `timeout` seconds, no new poll is sent, and the one in flight is waited for. At least
        one poll is sent unless `stop` is set. Transient errors are logged and retried. `wait_until_ready` is called
        before each poll, and may set `stop`.

        Raises:
            IncompleteTask: SWF's response lacks something of the task
            NoTaskReceived: there was no task within `timeout`
            SwfError: SWF refused the poll, or was never reached
        """
        deadline = inf if timeout is None else self._clock() + timeout
        retrier = self._retrier(
            longest=_LONGEST_DELAY,
            spread_after=_SPREAD_AFTER,
            timeout=inf if timeout is None else timeout,
            stop=stop,
        )
        pauses = EmptyPollPauses(_LONGEST_PAUSE, retrier=self._retrier)
        while not stop.is_set():
            wait_until_ready()
            if stop.is_set():
                return None
            began = self._clock()
            with lists.next() as source:
                try:
                    received = self._poll(source)
                except TRANSIENT as error:
                    failure: SwfError | None = error
                else:
                    failure = None
            if failure is None:
                self._note_answer()
                retrier.reset()
                if received is not None:
                    return received
                self._empty_at[source.task_list] = self._clock()
                delay = pauses.after(self._clock() - began)
            else:
                self._note_failure(failure, self._clock() - began)
                message = _describe_failure(failure, source)
                delay = retrier.next_delay(failure, message) or inf
                if delay == inf:  # there is to be no other poll
                    _log.info("%s", message)
            if delay and stop.wait(min(delay, max(0.0, deadline - self._clock()))):
                return None
            if timeout is not None and self._clock() >= deadline:
                raise self._no_task(source, timeout)
        return None

    def _no_task(self, source: PollSource, timeout: float) -> NoTaskReceived:
        message = f"no task received on {source.task_list} within {format_duration(timeout)}"
        last = self.failure_since(source, -inf)
        if last is not None and not self.was_empty(source, -inf):
            message += f"; every poll failed: {last.message}"
        return NoTaskReceived(message)

    def was_empty(self, source: PollSource, since: float) -> bool:
        """Return whether SWF has reported a list empty at or after `since`, by the poller's clock."""
        empty_at = self._empty_at.get(source.task_list)
        return empty_at is not None and empty_at >= since

    def failure_since(self, source: PollSource, since: float) -> SwfError | None:
        """Return why a poll of a list last failed; None if none has at or after `since`, by the poller's clock."""
        failed_at, error = self._failed.get(source.task_list, (-inf, None))
        return error if failed_at >= since else None

    def _note_answer(self) -> None:
        self.is_connected = True
        self._losses.clear()
        self._observer.on_response()

    def _note_failure(self, error: SwfError, seconds: float) -> None:
        """Raise the error if SWF was never reached."""
        self.is_connected |= has_reached_swf(error)
        if not self.is_connected:
            raise error
        self._observer.on_failure(error)
        self._note_loss(error, seconds)

    def _note_loss(self, error: SwfError, seconds: float) -> None:
        """Log it, once, if polls are lost after about the same time again and again."""
        if not error.possibly_executed or seconds < _SHORTEST_LOSS:
            return
        self._losses.append(seconds)
        losses = self._losses.copy()  # another thread may clear them
        if len(losses) < _SIMILAR_LOSSES or max(losses) - min(losses) > _LOSS_SPREAD * max(losses):
            return
        if not self._is_loss_logged:
            self._is_loss_logged = True
            _log.warning(
                "something between this machine and SWF closes connections after %.0f s; raise its timeout to "
                "at least 75 s, or tasks are lost",
                sum(losses) / len(losses),
            )

    def _poll(self, source: PollSource) -> ReceivedTask | None:
        with self._ledger.record_poll(source, self._taken_by) as record:
            self._observer.on_poll()
            attempt.on_sent = self._observer.on_sent
            try:
                task = poll_once(source.task_list, source.domain, source.identity, self._session.poll_client)
            except IncompleteTask as error:
                self._note_answer()
                if record.mark_lost(error.token):
                    error.key = record.key
                raise
            except SwfError as error:
                self._failed[source.task_list] = self._clock(), error
                if error.possibly_executed:
                    record.mark_lost()
                raise
            except Signalled:
                _log.info("%s", _describe_loss(source))
                raise
            finally:
                attempt.on_sent = None
            if task is None:
                return None
            return ReceivedTask(task, source, record.key, record.assign(task))


def has_reached_swf(error: SwfError) -> bool:
    """Return whether a call that failed reached SWF, with credentials that it accepts."""
    return error.possibly_executed or not isinstance(error, _NEVER_CONNECTED)


def _describe_failure(error: SwfError, source: PollSource) -> str:
    failure = f"poll failed: {error.message}"
    return f"{failure}; {_describe_loss(source)}" if error.possibly_executed else failure


def _describe_loss(source: PollSource) -> str:
    # In full: a log is read in other shells than the one that polls.
    where = Invocation({"--domain": [source.domain], "--task-list": [source.task_list]})
    command = where.format("held", repeat=("--domain", "--task-list"))
    return (
        f"SWF may have assigned a task to this poll (identity {source.identity}), which would stay open until it "
        f"times out; see `{command}`"
    )
