"""SWF activity task management: the public functions, one per SWF operation, and what commands use beside them.

Each takes a botocore SWF client, which it neither modifies nor wraps; without one it uses a client of its own,
created from the environment as `aws` would. Arguments are checked against SWF's limits before anything is sent
(ValueError); whatever goes wrong after that is an `SwfError`.
"""

import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from .client.call import call
from .client.session import POLL_READ_TIMEOUT, default_session
from .errors import Cancelled, IncompleteTask, InvalidResponseError, TaskNotOpen, UnknownResource
from .fields import flag_of, number_of
from .models import PendingCount, WorkerTask, check_text, is_token
from .retry import Retrier

if TYPE_CHECKING:
    import botocore.client

    from .client.session import Client

_SHORTEST_HOLD: Final = 0.1  # seconds
_FIRST_PAUSE: Final = 0.05  # seconds
_LONGEST_PAUSE: Final = 0.1  # seconds
_NOT_OPEN: Final = {
    "Unknown activity": "it was closed, or it timed out",
    "Unknown execution": "its workflow execution is closed",
}
"""What SWF says of a task that is not open, and what that means."""


def request_task(
    task_list: str,
    domain: str,
    worker_identity: str | None = None,
    no_tasks_callback: Callable[[], None] | None = None,
    client: "botocore.client.BaseClient | None" = None,
) -> WorkerTask:
    """Request (poll for) an activity task; blocks until a task is received (PollForActivityTask).

    SWF holds each poll for up to 60 seconds. Pass a client with a read timeout of at least 70 seconds and without
    retries: with a shorter timeout, or if a poll is retried while its response is on its way, that task is lost.
    There is no other record of the task: keep its token until it is closed.

    Args:
        task_list: activity task list to request from, 1 to 256 characters
        domain: domain of the task list, 1 to 256 characters
        worker_identity: activity worker identity, recorded in the execution history, at most 256 characters
        no_tasks_callback: called after each poll that returned no task; what it raises ends the polling
        client: SWF client

    Returns:
        activity task

    Raises:
        ValueError: a name is over SWF's limits; nothing was sent
        SwfError: the poll failed; if `possibly_executed`, SWF may have assigned a task to this worker's identity. Of
            an `IncompleteTask` only its `token` is known: fail that task, or it stays open until it times out
    """
    if client is None:
        poll_client: Client = default_session().poll_client
    else:
        _warn_of_short_timeout(client)
        poll_client = client
    pauses = EmptyPollPauses()
    while True:
        began = time.monotonic()
        task = poll_once(task_list, domain, worker_identity, poll_client)
        if task is not None:
            return task
        pause = pauses.after(time.monotonic() - began)
        if no_tasks_callback is not None:
            no_tasks_callback()
        time.sleep(pause)


class EmptyPollPauses:
    """Delays after polls without a task: none if SWF held the poll, increasing while it answers at once.

    Args:
        longest: seconds, at most
    """

    def __init__(self, longest: float = _LONGEST_PAUSE, *, retrier: Callable[..., Retrier] = Retrier) -> None:
        self._retrier = retrier(first=_FIRST_PAUSE, longest=longest, log=None)

    def after(self, seconds: float) -> float:
        """Return the seconds to wait after a poll that took `seconds`."""
        if seconds >= _SHORTEST_HOLD:
            self._retrier.reset()
            return 0.0
        return self._retrier.next_delay("no task") or 0.0


def poll_once(task_list: str, domain: str, worker_identity: str | None, client: "Client") -> WorkerTask | None:
    """Poll for an activity task once (PollForActivityTask): up to 60 seconds. Return None if there was no task.

    Arguments and errors are those of `request_task`.
    """
    check_text("task list", task_list)
    check_text("domain", domain)
    arguments: dict[str, Any] = {"domain": domain, "taskList": {"name": task_list}}
    if worker_identity is not None:
        check_text("identity", worker_identity)
        arguments["identity"] = worker_identity
    response = call(client, "poll_for_activity_task", **arguments)
    # According to SWF's model the token is empty if there is no task; on the wire it is missing.
    token = response.get("taskToken")
    if not token:
        return None
    try:
        return WorkerTask.from_api(response)
    except (KeyError, TypeError) as error:
        what = f"is incomplete: it has no {error}" if isinstance(error, KeyError) else f"is malformed: {error}"
        message = f"the response to the poll {what}"
        if is_token(token):
            raise IncompleteTask(message, token=token, possibly_executed=True) from error
        raise InvalidResponseError(message, possibly_executed=True) from error


def _warn_of_short_timeout(client: "botocore.client.BaseClient") -> None:
    timeout = getattr(client.meta.config, "read_timeout", None)
    if isinstance(timeout, int | float) and timeout < POLL_READ_TIMEOUT:
        warnings.warn(
            f"this client stops reading after {timeout:g} s, but SWF may return a task up to "
            f"{POLL_READ_TIMEOUT} s after the poll began, and that task would be lost; "
            f"use botocore.config.Config(read_timeout={POLL_READ_TIMEOUT}) or more",
            stacklevel=3,
        )


def complete_task(
    token: str,
    result: str | None = None,
    client: "botocore.client.BaseClient | None" = None,
) -> None:
    """Complete the current activity task (RespondActivityTaskCompleted).

    Only valid if the activity task is open.

    Args:
        token: activity task token, 1 to 1,024 characters
        result: task result, at most 32,768 characters
        client: SWF client

    Raises:
        ValueError: an argument is over SWF's limits; nothing was sent
        TaskNotOpen: the task is closed, timed out, or the token is unknown
        SwfError: the call failed
    """
    call_with_token(client, "respond_activity_task_completed", token, {"result": result})


def fail_task(
    token: str,
    reason: str | None = None,
    details: str | None = None,
    client: "botocore.client.BaseClient | None" = None,
) -> None:
    """Fail the current activity task (RespondActivityTaskFailed).

    Only valid if the activity task is open.

    Args:
        token: activity task token, 1 to 1,024 characters
        reason: failure reason, usually for classification, at most 256 characters
        details: failure details, usually for explanation, at most 32,768 characters
        client: SWF client

    Raises:
        ValueError: an argument is over SWF's limits; nothing was sent
        TaskNotOpen: the task is closed, timed out, or the token is unknown
        SwfError: the call failed
    """
    call_with_token(client, "respond_activity_task_failed", token, {"reason": reason, "details": details})


def cancel_task(
    token: str,
    details: str | None = None,
    client: "botocore.client.BaseClient | None" = None,
) -> None:
    """Cancel the current activity task (RespondActivityTaskCanceled).

    Only valid if the activity task is open and has a cancellation request.

    Args:
        token: activity task token, 1 to 1,024 characters
        details: extra information, usually for explanation, at most 32,768 characters
        client: SWF client

    Raises:
        ValueError: an argument is over SWF's limits; nothing was sent
        UnknownResource: the task is not open, or its cancellation was not requested: SWF does not say which
        SwfError: the call failed
    """
    call_with_token(client, "respond_activity_task_canceled", token, {"details": details})


def send_heartbeat(
    token: str,
    details: str | None = None,
    client: "botocore.client.BaseClient | None" = None,
) -> None:
    """Send a heartbeat to SWF for the current activity task (RecordActivityTaskHeartbeat).

    Args:
        token: activity task token, 1 to 1,024 characters
        details: activity task progress message, at most 2,048 characters
        client: SWF client

    Raises:
        Cancelled: cancellation of the activity task was requested
        ValueError: an argument is over SWF's limits; nothing was sent
        TaskNotOpen: the task is closed, timed out, or the token is unknown
        SwfError: the call failed
    """
    record_heartbeat(client, token, details)


def record_heartbeat(client: "Client | None", token: str, details: str | None = None) -> None:
    """Send a heartbeat (RecordActivityTaskHeartbeat); the errors are those of `send_heartbeat`."""
    response = call_with_token(client, "record_activity_task_heartbeat", token, {"heartbeat details": details})
    try:
        is_cancelled = flag_of(response, "cancelRequested")
    except TypeError as error:
        raise InvalidResponseError(f"the response to RecordActivityTaskHeartbeat is malformed: {error}") from error
    if is_cancelled:
        raise Cancelled("cancellation of this activity task was requested")


def call_with_token(
    client: "Client | None", operation: str, token: str, texts: dict[str, str | None]
) -> dict[str, Any]:
    """Call an operation on the task of a token, and return its response.

    `texts` has the operation's other arguments by their kind, a key of `models.LIMITS` whose last word is the name of
    the argument. Errors are those of `complete_task`, and of `cancel_task` for a cancellation.
    """
    check_text("token", token)
    arguments = {"taskToken": token}
    for kind, text in texts.items():
        if text is not None:
            check_text(kind, text)
            arguments[kind.rpartition(" ")[2]] = text
    try:
        return call(default_session().client if client is None else client, operation, **arguments)
    except UnknownResource as error:
        # SWF rejects a cancellation that was not requested with the same fault, although the task is open.
        if operation == "respond_activity_task_canceled":
            raise
        if isinstance(error, TaskNotOpen):
            raise
        # SWF's own words read as if the type were unknown.
        why = next((why for words, why in _NOT_OPEN.items() if words in error.message), error.message)
        raise TaskNotOpen.from_error(error, f"the task is not open: {why}") from error.__cause__


def count_pending_tasks(task_list: str, domain: str, client: "Client | None" = None) -> PendingCount:
    """Count the activity tasks that wait on a task list (CountPendingActivityTasks).

    The count is SWF's estimate, and 0 for a list that was never used.

    Args:
        task_list: activity task list, 1 to 256 characters
        domain: domain of the task list, 1 to 256 characters
        client: SWF client

    Raises:
        ValueError: a name is over SWF's limits; nothing was sent
        SwfError: the call failed
    """
    check_text("task list", task_list)
    check_text("domain", domain)
    ready = default_session().client if client is None else client
    response = call(ready, "count_pending_activity_tasks", domain=domain, taskList={"name": task_list})
    try:
        return PendingCount(domain, task_list, number_of(response, "count"), flag_of(response, "truncated"))
    except (LookupError, TypeError) as error:
        raise InvalidResponseError("the response to CountPendingActivityTasks has no count") from error


def get_number_of_pending_tasks(
    task_list: str,
    domain: str,
    client: "botocore.client.BaseClient | None" = None,
) -> int:
    """Get the number of pending activity tasks (CountPendingActivityTasks).

    Warns if the number of pending tasks is greater than what's returned.

    Args:
        task_list: activity task list, 1 to 256 characters
        domain: domain of the task list, 1 to 256 characters
        client: SWF client

    Returns:
        number of pending tasks

    Raises:
        ValueError: a name is over SWF's limits; nothing was sent
        SwfError: the call failed
    """
    pending = count_pending_tasks(task_list, domain, client)
    if pending.truncated:
        warnings.warn(f"more than {pending.count} tasks are pending on {task_list}", stacklevel=2)
    return pending.count
