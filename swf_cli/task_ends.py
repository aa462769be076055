"""How tasks ended, as the histories of their executions show it."""

import logging
import time
from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING, Any, Final

from .client.call import call
from .errors import SwfError, TaskClosed, TaskNotOpen, UnknownResource
from .history import End, end_of, is_unknown_execution
from .invocation import Invocation
from .models import TaskReference

if TYPE_CHECKING:
    from .client.session import Client, Session
    from .ledger.records import HeldTask
    from .ledger.store import Ledger

DELETED: Final = End("gone", cause="deleted")
"""The end of a task whose execution SWF does not know."""

_PATIENCE: Final = 10.0  # seconds
_PAGE: Final = 100  # events; the end of a task is usually near the end of its history

_log = logging.getLogger(__name__)


def find_end(client: "Client", task: TaskReference, is_over: Callable[[], bool] = lambda: False) -> End | None:
    """Read from the history how a task ended (GetWorkflowExecutionHistory, backwards to its start).

    Return None if the history does not show an end. If SWF does not know the execution, the end is `gone`, with the
    cause `deleted`: this is no proof unless the token was rejected too, since it is also what SWF says in another
    account that has a domain of the same name. Raise LookupError if `task` does not have the execution, and SwfError
    if its history can't be read, or has a further page once `is_over()`.
    """
    execution, started = task.execution, task.task_started_execution_history_event_id
    if task.domain is None or execution is None or started is None:
        raise LookupError("the task's execution is unknown (pass --task)")
    gone = None
    token: dict[str, Any] = {}
    while True:
        try:
            page = call(
                client,
                "get_workflow_execution_history",
                domain=task.domain,
                execution={"workflowId": execution.id, "runId": execution.run_id},
                reverseOrder=True,
                maximumPageSize=_PAGE,
                **token,
            )
        except UnknownResource as error:
            if is_unknown_execution(error, execution):
                return DELETED
            raise
        events = page.get("events", [])
        end = end_of(events, started)
        if end is not None and end.state != "gone":
            return end
        gone = gone or end
        if not page.get("nextPageToken") or any(event.get("eventId", inf) <= started for event in events):
            return gone
        if is_over():
            raise SwfError("it is too long to be read in time")
        token = {"nextPageToken": page["nextPageToken"]}


def explain_not_open(
    client: "Client",
    task: TaskReference,
    ledger: "Ledger",
    error: TaskNotOpen,
    clock: Callable[[], float] = time.monotonic,
) -> TaskNotOpen:
    """Return the error for a task that SWF says is not open: with how it ended, if its history shows that.

    The ledger knows the execution of a task that this machine received, if `task` does not. After 10 seconds no
    further page of the history is read.
    """
    held = ledger.find_token(task.token) if task.execution is None else None
    give_up_at = clock() + _PATIENCE
    try:
        end = find_end(client, held.reference if held else task, lambda: clock() >= give_up_at)
    except (LookupError, SwfError):
        end = None
    return error if end is None else TaskClosed.from_error(error, f"the task is not open: {end}")


def drop_closed(
    ledger: "Ledger",
    rows: "Iterable[HeldTask]",
    session_of: Callable[["HeldTask"], "Session"],
    invocation: Invocation,
) -> None:
    """Drop from the ledger those of its rows whose task the history shows closed.

    Log those whose history can't be read. A task whose execution SWF does not know is kept: the credentials may be
    those of another account, and only a response or a heartbeat would show whether SWF knows the token. `swf fail`
    sends one, and drops it; that command is logged, as `invocation` formats it.
    """
    sessions: dict[tuple[str | None, str, str], Session] = {}
    for held in rows:
        if held.execution is None:
            continue
        place = (held.profile, held.region, held.endpoint)
        try:
            if place not in sessions:
                sessions[place] = session_of(held)
            end = find_end(sessions[place].client, held.reference)
            if end == DELETED:
                _log.info(
                    "%s is kept: SWF does not know its workflow execution; "
                    "if these are the credentials of its account, remove it with: %s",
                    held.key,
                    invocation.format_held("fail", held.key, held.endpoint),
                )
            elif end is not None:
                ledger.drop(held.key)
        except SwfError as error:
            _log.info("%s is kept: %s", held.key, error.message)
