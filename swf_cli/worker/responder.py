"""Close a worker's task, however long it takes: refused answers, credentials that expired, a network that is down."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ..errors import AccessError, InvalidRequest, OutcomeUnknown, SwfError, TaskClosed, TaskNotOpen, UnknownResource
from ..history import End
from ..models import TaskReference
from ..responding import Answer, failure, read_end, settle
from ..retry import TRANSIENT, backoff
from .credentials import Access, Tell

if TYPE_CHECKING:
    from ..client.session import Session


_HISTORY_LAG: Final = 120.0  # seconds in which history shows a task's end
_REFUSED: Final = "SWF refused the answer"
_LOOKS: Final = 5  # into history, for the end of a task that is not open
_CANCELLATIONS: Final = 5  # tries of one that SWF does not take although it was asked for


class GivenUp(Exception):
    """It was told to stop before the answer got through."""


@dataclass(frozen=True, slots=True)
class Closed:
    """What became of a task."""

    state: str
    """`completed`, `failed`, `cancelled`; or `lost`: not closed by us, as far as is known."""

    words: str

    certain: bool
    """Whether the task is certainly closed."""


class Closer:
    """Closes the tasks of a worker."""

    def __init__(self, session: "Session", access: Access, clock: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._access = access
        self._clock = clock

    def close(self, task: TaskReference, answer: Answer, *, stop: threading.Event, tell: Tell) -> Closed:
        """Close a task, and give up only when SWF says that it is not open, or when `stop` is set."""
        try:
            return _Closing(self, self._session, self._access, self._clock, task, answer, stop, tell).make()
        except GivenUp:
            return Closed("lost", "could not be closed: its answer did not get through", False)

    def find_end(self, task: TaskReference, stop: threading.Event) -> End | None:
        """Find in history the end of a task that is not open: it may take a moment to show. None without one."""
        for attempt in range(_LOOKS):
            try:
                end = read_end(self._session.no_retry, task)
            except TRANSIENT:
                end = None
            except SwfError:
                return None
            if end is not None:
                return end
            if stop.wait(backoff(attempt)):
                break
        return None


@dataclass(slots=True)
class _Closing:
    """One answer on its way."""

    closer: Closer
    session: "Session"
    access: Access
    clock: Callable[[], float]
    task: TaskReference
    answer: Answer
    stop: threading.Event
    tell: Tell
    attempts: int = 0
    sent: Answer | None = None
    """What may have closed it, although its reply was lost."""

    def make(self) -> Closed:
        while True:
            try:
                settle(
                    self.session.no_retry,
                    self.task,
                    self.answer,
                    retry_for=float("inf"),
                    history_for=_HISTORY_LAG,
                    tell=self.tell,
                    clock=self.clock,
                    sleep=self.sleep,
                )
            except InvalidRequest as error:
                self.lessen(error)
            except TaskNotOpen as error:
                return self.not_open(error)
            except OutcomeUnknown as error:
                if isinstance(error.__cause__, UnknownResource):
                    return Closed("lost", f"may be closed: {error.message}", False)
                # It is sent again: SWF takes one answer of a task, however often it comes.
                self.sent = self.answer
                self.wait(error.__cause__ if isinstance(error.__cause__, SwfError) else error)
            except UnknownResource as error:
                if self.answer.state != "cancelled":
                    self.wait(error)
                elif self.attempts < _CANCELLATIONS:
                    self.pause(error)
                else:
                    self.answer = failure("SWF did not take the cancellation", self.answer.details or "")
            except SwfError as error:
                self.wait(error)
            else:
                return self.done(self.answer)

    def done(self, answer: Answer) -> Closed:
        return Closed(answer.state, f"{answer.state} ({answer.reason})" if answer.reason else answer.state, True)

    def lessen(self, error: InvalidRequest) -> None:
        """Take an answer that SWF may accept in the place of one that it refuses."""
        if self.answer.state == "completed":
            self.answer = failure(f"SWF refused the result: {error.message}")
        elif self.answer.details is not None:
            self.tell(f"SWF refused the details: {error.message}")
            self.answer = replace(self.answer, details=None)
        elif self.answer.state == "cancelled":
            self.answer = failure(f"SWF refused the cancellation: {error.message}")
        elif self.answer != failure(_REFUSED):
            self.answer = failure(_REFUSED)
        else:
            self.wait(error)

    def not_open(self, error: TaskNotOpen) -> Closed:
        """Tell which end came first, if history does; it may be one that we sent."""
        if isinstance(error, TaskClosed) and self.sent is None:
            return Closed("lost", f"was not open any more: {error.message}", True)
        end = self.closer.find_end(self.task, self.stop)
        if end is not None and self.sent is not None and self.sent.is_end(end):
            return self.done(self.sent)
        return Closed("lost", f"was not open any more: {end or error.message}", end is not None)

    def wait(self, error: SwfError) -> None:
        """Wait for what may pass: credentials that work again, or whatever stands before SWF."""
        if not isinstance(error, AccessError):
            self.pause(error)
            return
        self.access.wait(error, self.stop, self.tell)
        self.sleep(0)

    def pause(self, error: SwfError) -> None:
        delay = backoff(self.attempts)
        self.attempts += 1
        self.tell(f"{error.message}; trying again in {delay:.1f} s")
        self.sleep(delay)

    def sleep(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise GivenUp
