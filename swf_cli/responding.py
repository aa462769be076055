"""Responding to a task: complete, fail or cancel it, until it is settled what became of it.

A fault alone does not mean that a response was rejected: if the reply to the first attempt was lost, the second one
finds the task closed by the first. The execution's history tells the two apart.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Final, Literal, Self, TypeVar

from .api import call_with_token, record_heartbeat
from .client.session import SessionClient
from .errors import (
    AccessError,
    Cancelled,
    InvalidRequest,
    OutcomeUnknown,
    ServiceError,
    SwfError,
    TaskClosed,
    TaskNotOpen,
    UnknownResource,
)
from .history import End
from .models import TaskReference, fit_text, replace_surrogates
from .retry import TRANSIENT, AccessGate, Log, Retrier
from .task_ends import DELETED, find_end
from .times import format_duration

if TYPE_CHECKING:
    from .client.session import Client
    from .ledger.records import HeldTask
    from .ledger.store import Ledger

_LONGEST_DELAY: Final = 8.0  # seconds between attempts
_DAY: Final = 86_400.0  # seconds
_STOPPED_TIMEOUT: Final = 2.0  # seconds, of a read of the history once stopped
_CANCELLATIONS: Final = 5  # attempts of a cancellation that SWF rejects although it was requested
_REJECTED: Final = "SWF rejected the response"
_OTHERS: Final = {
    "completed": "another result",
    "failed": "another reason or other details",
    "cancelled": "other details",
}
"""How a response differs, by its state, that left a task in the same one."""

_log = logging.getLogger(__name__)

E = TypeVar("E", bound=SwfError)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task is to be closed."""

    state: Literal["completed", "failed", "cancelled"]
    result: str | None = None
    reason: str | None = None
    details: str | None = None

    @classmethod
    def failed(cls, reason: str, details: str = "") -> Self:
        """Return a failure that SWF accepts: a reason over its limit is cut, what UTF-8 can't encode is replaced."""
        return cls("failed", reason=fit_text("reason", reason), details=replace_surrogates(details) or None)

    def send(self, client: "Client", token: str) -> None:
        """Send it, once (RespondActivityTaskCompleted, -Failed, -Canceled). Raise what `api.complete_task` raises."""
        match self.state:
            case "completed":
                call_with_token(client, "respond_activity_task_completed", token, {"result": self.result})
            case "failed":
                texts = {"reason": self.reason, "details": self.details}
                call_with_token(client, "respond_activity_task_failed", token, texts)
            case "cancelled":
                call_with_token(client, "respond_activity_task_canceled", token, {"details": self.details})

    def matches(self, end: End) -> bool:
        """Return whether a task that ended this way was closed by this outcome."""
        ours = (self.state, self.result or "", self.reason or "", self.details or "")
        return ours == (end.state, end.result or "", end.reason or "", end.details or "")

    def __str__(self) -> str:
        return f"{self.state} ({self.reason})" if self.reason else self.state


class _NotRequestedError(UnknownResource):
    """The task is open, and nobody asked for its cancellation."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a response."""

    status: Literal["accepted", "closed", "not_open", "rejected", "undelivered", "unknown"]
    """`closed`: the history shows another end, or SWF knows neither the task nor its execution; `not_open`: SWF says
    so, but the history does not show an end; `rejected`: SWF refused the response; `undelivered`: it never arrived;
    `unknown`: its reply was lost, and the history could not tell."""

    outcome: Outcome | None = None
    end: End | None = None
    """How the task ended, if `closed`."""

    error: SwfError | None = None
    """What to raise, if `respond` or `deliver` was to close the task and did not."""

    is_hidden: bool = False
    """Whether it is `not_open` for lack of the permission to read the history: nobody will ever know more."""

    @property
    def event(self) -> str:
        """One word: `completed`, `failed`, `cancelled`, `closed` (elsewhere) or `unconfirmed`."""
        if self.status == "accepted" and self.outcome is not None:
            return self.outcome.state
        return "closed" if self.status in ("closed", "not_open") else "unconfirmed"

    @property
    def is_confirmed(self) -> bool:
        """Whether the task is certainly closed."""
        return self.status in ("accepted", "closed")

    def __str__(self) -> str:
        match self.status:
            case "accepted":
                return str(self.outcome)
            case "closed" | "not_open":
                return f"was closed elsewhere: {self.end or (self.error and self.error.message) or 'reason unknown'}"
            case "undelivered":
                return f"not closed: the response was not delivered: {self.error and self.error.message}"
        return str(self.error and self.error.message)


@dataclass(slots=True)
class Responder:
    """Sends responses. `respond` settles one; `deliver` does not give up.

    `client` makes one attempt of each call.
    """

    client: "Client"
    retry_for: float = inf
    """Seconds for which transient errors are retried, and a lost response is looked for in the history."""

    history_for: float = inf
    """Seconds, at most, of looking for a lost response in the history."""

    end_attempts: float = 1
    """How many times `deliver` and `find_closed` read the history for the end of a task that is not open."""

    stop: threading.Event = field(default_factory=threading.Event)
    """Ends every wait."""

    log: Log = _log
    gate: AccessGate | None = None
    """What `deliver` waits for after an access error."""

    retrier: Callable[..., Retrier] = Retrier

    def respond(self, task: TaskReference, outcome: Outcome) -> Settlement:
        """Close a task, and return when it is settled whether this response did it.

        Transient errors are retried. If the reply to an attempt was lost and SWF then says that the task is not open,
        or the time is up, the execution's history decides. When stopped, it is read once.
        """
        retrier = self._new_retrier(self.retry_for, log=self.log)
        lost = None  # the first attempt whose reply was lost
        may_match = False  # whether an end like `outcome` may be that of an attempt
        while True:
            try:
                outcome.send(self.client, task.token)
            except TRANSIENT as error:
                if error.possibly_executed and lost is None:
                    lost = error
                may_match |= error.possibly_executed or isinstance(error, ServiceError)
                if not retrier.wait(error, _describe(error)):
                    return self._settle(task, outcome, error, lost, retrier.time_left(), may_match=may_match)
            except SwfError as error:
                return self._settle(task, outcome, error, lost, retrier.time_left(), may_match=may_match)
            else:
                return Settlement("accepted", outcome)

    def deliver(self, task: TaskReference, outcome: Outcome) -> Settlement:
        """Close a task as `respond` does, and give up only if it is not open, or when stopped.

        A response that SWF rejects is replaced by one that it is more likely to accept; one whose fate is unknown is
        sent again, since SWF accepts one response per task, however often it arrives.
        """
        retrier, undecided = self._new_retrier(log=self.log), None
        while True:
            settlement = self._await_closed(task, self.respond(task, outcome))
            error = settlement.error
            if undecided is not None and (decided := _decide(undecided, settlement.end)) is not None:
                return decided
            if settlement.status == "unknown" and error and not isinstance(error.__cause__, UnknownResource):
                undecided, cause = settlement, error.__cause__
                error = cause if isinstance(cause, SwfError) else error
            elif settlement.status != "rejected" or error is None:
                return settlement
            replacement = self._replace_rejected(outcome, error, retrier)
            if replacement is not None:
                outcome = replacement
            elif not self._wait_to_send_again(error, retrier):
                return Settlement("undelivered", outcome, error=error)

    def find_closed(self, task: TaskReference) -> Settlement:
        """Return how a task ended that SWF says is not open."""
        return self._await_closed(task, Settlement("not_open"))

    def _await_closed(self, task: TaskReference, settlement: Settlement) -> Settlement:
        """Wait for the history to show the end of a task that is not open."""
        if settlement.status != "not_open":
            return settlement
        end, _, is_hidden = self._await_end(task, attempts=self.end_attempts)
        return replace(settlement, status="closed" if end else "not_open", end=end, is_hidden=is_hidden)

    def _replace_rejected(self, outcome: Outcome, error: SwfError, retrier: Retrier) -> Outcome | None:
        """Return a response that SWF is more likely to accept, or None to send the same again."""
        if isinstance(error, InvalidRequest):
            if outcome.state == "completed":
                return Outcome.failed(f"SWF rejected the result: {error.message}")
            if outcome.details is not None:
                self.log.info("SWF rejected the details: %s", error.message)
                return replace(outcome, details=None)
            if outcome.state == "cancelled":
                return Outcome.failed(f"SWF rejected the cancellation: {error.message}")
            return Outcome.failed(_REJECTED) if outcome.reason != _REJECTED else None
        if isinstance(error, _NotRequestedError):
            return Outcome.failed(error.message, outcome.details or "")
        if isinstance(error, UnknownResource) and retrier.failures >= _CANCELLATIONS:
            return Outcome.failed("SWF did not accept the cancellation", outcome.details or "")
        return None

    def _wait_to_send_again(self, error: SwfError, retrier: Retrier) -> bool:
        if isinstance(error, AccessError) and self.gate is not None:
            return self.gate.wait(error, self.stop, self.log)
        return retrier.wait(error, _describe(error))

    def _settle(
        self,
        task: TaskReference,
        outcome: Outcome,
        failure: SwfError,
        lost: SwfError | None,
        time_left: float,
        *,
        may_match: bool,
    ) -> Settlement:
        if lost is None and not isinstance(failure, UnknownResource):
            return Settlement("undelivered" if isinstance(failure, TRANSIENT) else "rejected", outcome, error=failure)
        end, why_not, is_hidden = self._await_end(task, attempts=inf if may_match else 1, time_left=time_left)
        is_deleted = end == DELETED
        if lost is None and end in (None, DELETED) and not isinstance(failure, TaskNotOpen):
            failure = _caused_by(self._explain_rejected_cancel(task, failure), failure)
        if is_deleted and (lost is not None or not isinstance(failure, TaskNotOpen)):
            # How the task ended can't be known any more, or it was not its token that SWF rejected.
            end, why_not = None, "its workflow execution no longer exists"
        if end is not None:
            is_same = outcome.matches(end)
            if may_match and is_same:
                return Settlement("accepted", outcome)
            other = f", with {_OTHERS[outcome.state]}" if end.state == outcome.state and not is_same else ""
            closed = TaskClosed.from_error(failure, f"the task is not open: {end}{other}")
            return Settlement("closed", outcome, end, _caused_by(closed, failure))
        if lost is not None:
            message = f"outcome unknown: the request was sent but its response was lost ({lost.message}); {why_not}"
            hint = None if is_deleted else "check the execution history for the task's closing event"
            return Settlement(
                "unknown", outcome, error=_caused_by(OutcomeUnknown.from_error(lost, message, hint), failure)
            )
        if isinstance(failure, TaskNotOpen):
            return Settlement("not_open", outcome, error=failure, is_hidden=is_hidden)
        return Settlement("rejected", outcome, error=failure)

    def _await_end(
        self, task: TaskReference, *, attempts: float, time_left: float = inf
    ) -> tuple[End | None, str, bool]:
        """Read how the task ended, waiting for it to show up.

        If it is not known, return None, why, and whether that is for lack of the permission to read the history.

        History is eventually consistent: what is not in it yet may appear. A read that fails with a transient error
        is none of the `attempts`.
        """
        retrier = self._new_retrier(min(time_left, self.history_for))
        client, reads = self.client, 0
        if self.stop.is_set() and isinstance(client, SessionClient):
            client = client.session.with_timeout(_STOPPED_TIMEOUT)  # SWF may hang, which is why it is to stop
        while True:
            try:
                end = find_end(client, task, lambda: retrier.time_left() <= 0 or self.stop.is_set())
                why_not = "the history does not show the task closed"
                reads += 1
            except LookupError as error:
                return None, str(error), False
            except TRANSIENT as error:
                end, why_not = None, f"the history could not be read: {error.message}"
            except AccessError as error:
                return None, f"the history could not be read: {error.message}", True
            except SwfError as error:
                end, why_not = None, f"the history could not be read: {error.message}"
                reads += 1
            delay = None if end is not None or reads >= attempts else retrier.next_delay(why_not)
            if delay is None:
                return end, why_not, False
            if retrier.failures == 1:
                limit = min(retrier.time_left(), _DAY)
                self.log.info("%s; reading it again for up to %s", why_not, format_duration(limit))
            if self.stop.wait(delay):
                return end, why_not, False

    def _explain_rejected_cancel(self, task: TaskReference, rejection: SwfError) -> UnknownResource:
        """Distinguish a task without a cancellation request from a closed one: SWF's fault is the same."""
        try:
            record_heartbeat(self.client, task.token)
        except TaskNotOpen as error:
            return error
        except Cancelled:
            message = "SWF rejected the cancellation, although it was requested"
            return UnknownResource.from_error(rejection, message, "try again in a moment")
        except SwfError:
            message = "SWF rejected the cancellation: the task is closed, or its cancellation was not requested"
            return UnknownResource.from_error(rejection, message)
        message = "cancellation of this task was not requested"
        return _NotRequestedError.from_error(rejection, message, "complete or fail the task")

    def _new_retrier(self, timeout: float = inf, *, log: Log | None = None) -> Retrier:
        return self.retrier(longest=_LONGEST_DELAY, timeout=timeout, stop=self.stop, log=log)


def close_task(responder: Responder, task: TaskReference, outcome: Outcome, ledger: "Ledger") -> None:
    """Close a task, and drop it from the ledger once it is closed. Return only if SWF accepted this response.

    The ledger knows the execution of a task that this machine received, if `task` does not. See `may_drop`.

    Raises:
        TaskNotOpen: the task was closed by something else, or SWF does not know the token
        UnknownResource: a cancellation that was not requested
        OutcomeUnknown: the response may have been accepted, and the history could not tell
        SwfError: SWF rejected it, or it certainly never arrived
    """
    held = ledger.find_token(task.token)
    if task.execution is None and held is not None:
        task = held.reference
    settlement = responder.respond(task, outcome)
    error = settlement.error
    if held is not None:
        if may_drop(held, settlement, task, responder.client):
            ledger.drop(held.key)
        elif error is not None and settlement.is_confirmed:
            raise _explain_kept(error, held)
    if error is not None:
        raise error


def may_drop(held: "HeldTask", settlement: Settlement, task: TaskReference, client: "Client") -> bool:
    """Return whether a row of the ledger can be dropped, since its task is certainly closed.

    If all that SWF says is that it does not know the token, and maybe not the execution either, only if the row has
    that execution, and the client's profile, region and endpoint: another account may have a domain of the same name.
    """
    if settlement.end != DELETED and not settlement.is_hidden:
        return settlement.is_confirmed
    if task != held.reference or not isinstance(client, SessionClient):
        return False
    source = (client.session.profile, client.meta.region_name, client.meta.endpoint_url)
    return source == (held.profile, held.region, held.endpoint)


def _explain_kept(error: SwfError, held: "HeldTask") -> TaskNotOpen:
    message = "SWF knows neither the task nor its workflow execution; the task may be open elsewhere"
    profile = "no profile" if held.profile is None else f"profile {held.profile!r}"
    hint = (
        f"pass --held {held.key}, and use what the task was received with: {profile}, region {held.region}, "
        f"endpoint {held.endpoint}"
    )
    return _caused_by(TaskNotOpen.from_error(error, message, hint), error)


def _decide(undecided: Settlement, end: End | None) -> Settlement | None:
    """Return what became of a response whose fate was unknown, by the task's end; None while that is not known."""
    if end is None or undecided.outcome is None:
        return None
    if undecided.outcome.matches(end):
        return Settlement("accepted", undecided.outcome)
    return undecided if end == DELETED else None


def _describe(error: SwfError) -> str:
    return f"response failed: {error.message}"


def _caused_by(error: E, cause: BaseException) -> E:
    error.__cause__ = cause
    return error
