"""How a task ended, as the history of its execution shows it."""

import time
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, Final

from .client.call import call
from .errors import SwfError, TaskClosed, TaskNotOpen, UnknownResource
from .history import End, end_of
from .models import TaskReference

if TYPE_CHECKING:
    from .client.session import Client
    from .ledger.store import Ledger

DELETED: Final = End("gone", cause="deleted")
"""The end of a task whose execution SWF does not know."""

_PATIENCE: Final = 10.0  # seconds
_PAGE: Final = 100  # events; the end of a task is usually near the end of its history


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
            unknown = f"Unknown execution: WorkflowExecution=[workflowId={execution.id}, runId={execution.run_id}] ("
            if unknown in error.message:
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


def explain_not_open(client: "Client", task: TaskReference, ledger: "Ledger", error: TaskNotOpen) -> TaskNotOpen:
    """Return the error for a task that SWF says is not open: with how it ended, if its history shows that.

    The ledger knows the execution of a task that this machine received, if `task` does not.
    """
    held = ledger.find_token(task.token) if task.execution is None else None
    give_up_at = time.monotonic() + _PATIENCE
    try:
        end = find_end(client, held.reference if held else task, lambda: time.monotonic() > give_up_at)
    except (LookupError, SwfError):
        end = None
    return error if end is None else TaskClosed.from_error(error, f"the task is not open: {end}")
