"""Complete, fail and cancel a task: tried again until SWF says what it made of it, and settled through history.

A fault alone does not tell that an answer was refused: when the reply to its first try was lost, the second one meets
a task that the first has closed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from . import api
from .client.call import call
from .errors import AccessError, Cancelled, OutcomeUnknown, SwfError, TaskClosed, TaskNotOpen, UnknownResource
from .history import End, end_of
from .ledger.records import HeldTask
from .ledger.store import Ledger
from .models import LIMITS, TaskReference
from .retry import TRANSIENT, backoff

if TYPE_CHECKING:
    import botocore.client

    from .client.session import Session


_PAGE: Final = 100  # events; a task's end is mostly near the end of its history
_LONGEST_WAIT: Final = 8.0  # seconds between tries


@dataclass(frozen=True, slots=True)
class Answer:
    """What closes a task: the end that it will have in history."""

    state: str
    """`completed`, `failed` or `cancelled`."""

    result: str | None = None
    reason: str | None = None
    details: str | None = None

    def send(self, client: "botocore.client.BaseClient", token: str) -> None:
        """Send it, once (RespondActivityTaskCompleted, -Failed, -Canceled)."""
        match self.state:
            case "completed":
                api.complete_task(token, self.result, client)
            case "failed":
                api.fail_task(token, self.reason, self.details, client)
            case _:
                api.cancel_task(token, self.details, client)

    def is_end(self, end: End) -> bool:
        """Tell whether a task that ended so was ended by this answer."""
        ours = (self.state, self.result or "", self.reason or "", self.details or "")
        return ours == (end.state, end.result or "", end.reason or "", end.details or "")


def answer(
    client: "botocore.client.BaseClient",
    task: TaskReference,
    what: Answer,
    ledger: Ledger,
    *,
    retry_for: float = 60.0,
    tell: Callable[[str], None] = lambda line: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    wait: Callable[..., float] = backoff,
) -> None:
    """Close a task, and return only when SWF has taken this very answer.

    What may pass (the network, 5xx, throttling) is tried again for `retry_for` seconds. When the reply to a try was
    lost and SWF then says that the task is not open, its execution's history tells which end it had. A task that is
    closed leaves the ledger.

    Args:
        client: makes one try of each call
        task: its token; domain, execution and started event let history be read
        what: the answer
        ledger: knows what `task` does not, for a task that this machine took
        retry_for: seconds

    Raises:
        TaskNotOpen: another end came first, or SWF does not know the token
        UnknownResource: a cancellation that nobody asked for
        OutcomeUnknown: the answer may have been taken, and history could not tell
        SwfError: SWF refused it, or it certainly never got there
    """
    held = ledger.find_token(task.token)
    if task.execution is None and held is not None:
        task = held.reference
    try:
        settle(client, task, what, retry_for=retry_for, tell=tell, clock=clock, sleep=sleep, wait=wait)
    except TaskNotOpen as error:
        # A fault alone is no proof that the task is closed.
        if held is not None and isinstance(error, TaskClosed):
            ledger.drop(held.key)
        raise
    if held is not None:
        ledger.drop(held.key)


def settle(
    client: "botocore.client.BaseClient",
    task: TaskReference,
    what: Answer,
    *,
    retry_for: float,
    tell: Callable[[str], None],
    history_for: float = float("inf"),
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    wait: Callable[..., float] = backoff,
) -> None:
    """Close a task as `answer` does, for a caller that keeps the ledger itself.

    Once SWF has refused it, history is asked for `history_for` seconds at most.

    Raises TaskClosed, of the kinds of TaskNotOpen, when history shows that another end came first.
    """
    _Effort(client, task, what, clock() + retry_for, history_for, tell, clock, sleep, wait).make()


@dataclass(slots=True)
class _Effort:
    """One answer on its way: what was tried so far, and what is known of the task."""

    client: "botocore.client.BaseClient"
    task: TaskReference
    what: Answer
    end_of_patience: float
    history_for: float
    tell: Callable[[str], None]
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    wait: Callable[..., float]
    unclear: SwfError | None = None
    """The first try whose reply was lost."""

    def make(self) -> None:
        attempt = 0
        while True:
            try:
                self.what.send(self.client, self.task.token)
                return
            except UnknownResource as refusal:
                self._settle(refusal)
                return
            except TRANSIENT as error:
                if error.possibly_executed and self.unclear is None:
                    self.unclear = error
                if not self._pause(attempt, error):
                    if self.unclear is None:
                        raise
                    self._settle(error)
                    return
            except SwfError as error:
                if self.unclear is None:
                    raise
                self._settle(error)
                return
            attempt += 1

    def _pause(self, attempt: int, error: SwfError) -> bool:
        """Wait before the next try; False when there is no time left for one."""
        delay = self.wait(attempt, most=_LONGEST_WAIT)
        if self.clock() + delay >= self.end_of_patience:
            return False
        self.tell(f"{error.message}; trying again in {delay:.1f} s")
        self.sleep(delay)
        return True

    def _settle(self, error: SwfError) -> None:
        """Find out whether the answer was taken; returns when it was."""
        end, why = self._read_end()
        if end is not None:
            if self.unclear is not None and self.what.is_end(end):
                return
            by = ", by another answer" if end.state == self.what.state and not self.what.is_end(end) else ""
            raise TaskClosed.of(error, f"the task is not open: {end}{by}") from error
        if self.unclear is not None:
            message = f"the answer was sent and its reply lost ({self.unclear.message}); {why}"
            hint = "the execution's history tells, once it shows the task's end"
            raise OutcomeUnknown.of(self.unclear, message, hint) from error
        if self.what.state == "cancelled" and not isinstance(error, TaskNotOpen):
            raise self._why_not_cancelled(error) from error
        raise error

    def _read_end(self) -> tuple[End | None, str]:
        """Read how the task ended, as long as it takes to show; else say why it can't be told.

        History is eventually consistent: what is not in it yet may come. Only a lost reply is worth the wait.
        """
        attempt = 0
        end_of_patience = min(self.end_of_patience, self.clock() + self.history_for)
        while True:
            try:
                end = read_end(self.client, self.task)
                why = "history does not show the task closed"
            except LookupError as error:
                return None, str(error)
            except AccessError as error:
                return None, f"history could not be read: {error.message}"
            except SwfError as error:
                end, why = None, f"history could not be read: {error.message}"
            if end is not None or self.unclear is None:
                return end, why
            delay = self.wait(attempt, most=_LONGEST_WAIT)
            attempt += 1
            if self.clock() + delay >= end_of_patience:
                return None, why
            self.sleep(delay)

    def _why_not_cancelled(self, refusal: SwfError) -> UnknownResource:
        """Tell a task that nobody asked to cancel from one that is not open: SWF refuses both with one fault."""
        try:
            api.send_heartbeat(self.task.token, client=self.client)
        except TaskNotOpen as error:
            return error
        except Cancelled:
            message, hint = (
                "cancellation of this task was requested, but SWF did not take it",
                "try again in a moment",
            )
        except SwfError:
            message, hint = (
                "SWF did not take the cancellation: the task is closed, or nobody asked to cancel it",
                None,
            )
        else:
            message, hint = (
                "the task is open, and nobody asked to cancel it: SWF refuses that",
                "complete it or fail it",
            )
        return UnknownResource.of(refusal, message, hint)


def read_end(client: "botocore.client.BaseClient", task: TaskReference) -> End | None:
    """Read from history how a task ended (GetWorkflowExecutionHistory, backwards to its start).

    None when history does not show its end. Raises LookupError when it is not known which execution to read, and
    SwfError when it can't be read.
    """
    started = task.task_started_execution_history_event_id
    if task.domain is None or task.execution is None or started is None:
        raise LookupError("and it is not known which execution the task belongs to (--task or the ledger would tell)")
    gone = None
    token: dict[str, Any] = {}
    while True:
        page = call(
            client,
            "get_workflow_execution_history",
            domain=task.domain,
            execution={"workflowId": task.execution.id, "runId": task.execution.run_id},
            reverseOrder=True,
            maximumPageSize=_PAGE,
            **token,
        )
        events = page.get("events", [])
        end = end_of(events, started)
        if end is not None and end.state != "gone":
            return end
        gone = gone or end
        if not page.get("nextPageToken") or any(event["eventId"] <= started for event in events):
            return gone
        token = {"nextPageToken": page["nextPageToken"]}


def prune(ledger: Ledger, session_of: Callable[[HeldTask], "Session"], tell: Callable[[str], None]) -> None:
    """Drop from the ledger the tasks that history shows closed; what can't be read is told, and stays."""
    sessions: dict[tuple[str | None, str, str], Session] = {}
    for held in ledger.list_held():
        if held.token is None:
            continue
        place = (held.profile, held.region, held.endpoint)
        try:
            if place not in sessions:
                sessions[place] = session_of(held)
            if read_end(sessions[place].client, held.reference) is not None:
                ledger.drop(held.key)
        except SwfError as error:
            tell(f"{held.key} stays: {error.message}")


def failure(reason: str, details: str = "") -> Answer:
    """Give the answer that fails a task; the reason is cut to SWF's limit."""
    _, most = LIMITS["reason"]
    return Answer("failed", reason=reason[:most], details=details or None)
