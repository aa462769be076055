"""SWF activity task management: the functions that take, finish, fail, cancel, keep alive and count tasks.

Each takes a botocore SWF client, which it neither changes nor wraps; without one it uses a client of its own, made
from the environment as `aws` would. Texts are held against SWF's limits before anything is sent (ValueError), and
whatever goes wrong after that is an `SwfError`.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from .client.call import call
from .client.session import LEAST_POLL_READ_TIMEOUT, default_session
from .errors import Cancelled, InvalidResponseError, TaskNotOpen, UnknownResource
from .models import PendingCount, WorkerTask, check_text

if TYPE_CHECKING:
    import botocore.client


_COUNTS_AT_ONCE: Final = 8  # botocore keeps ten connections


def request_task(
    task_list: str,
    domain: str,
    worker_identity: str | None = None,
    no_tasks_callback: Callable[[], None] | None = None,
    client: "botocore.client.BaseClient | None" = None,
) -> WorkerTask:
    """Request (poll for) an activity task; blocks until a task is received (PollForActivityTask).

    SWF holds each poll for up to 60 seconds. Hand it a client that reads for at least 70 s and does not retry:
    with a shorter timeout, or a retry of a poll whose answer is on its way, the task of that answer is lost.

    Args:
        task_list: activity task list to request from, 1 to 256 characters
        domain: domain of the task list, 1 to 256 characters
        worker_identity: activity worker identity, recorded in the execution's history, at most 256 characters
        no_tasks_callback: called each time that SWF had no task; what it raises ends the polling
        client: SWF client

    Returns:
        activity task

    Raises:
        ValueError: a name that is over SWF's limits; nothing was sent
        SwfError: the poll failed; with `possibly_executed`, SWF may have handed a task to this worker's identity
    """
    if client is None:
        client = default_session().poll_client
    else:
        _warn_of_short_timeout(client)
    while True:
        task = poll_once(task_list, domain, worker_identity, client)
        if task is not None:
            return task
        if no_tasks_callback is not None:
            no_tasks_callback()


def poll_once(
    task_list: str, domain: str, worker_identity: str | None, client: "botocore.client.BaseClient"
) -> WorkerTask | None:
    """Poll for an activity task once (PollForActivityTask): up to 60 seconds, then None when there was no task.

    Arguments and errors are those of `request_task`.
    """
    check_text("task list", task_list)
    check_text("domain", domain)
    arguments: dict[str, Any] = {"domain": domain, "taskList": {"name": task_list}}
    if worker_identity is not None:
        check_text("identity", worker_identity)
        arguments["identity"] = worker_identity
    reply = call(client, "poll_for_activity_task", **arguments)
    # SWF's model says that the token is empty when there is no task; on the wire it is missing.
    if not reply.get("taskToken"):
        return None
    try:
        return WorkerTask.from_api(reply)
    except KeyError as error:
        raise InvalidResponseError(f"the poll's reply has no {error}", possibly_executed=True) from error


def _warn_of_short_timeout(client: "botocore.client.BaseClient") -> None:
    timeout: float | None = getattr(client.meta.config, "read_timeout", None)
    if timeout is not None and timeout < LEAST_POLL_READ_TIMEOUT:
        warnings.warn(
            f"this client stops reading after {timeout:g} s: SWF may hand out a task up to "
            f"{LEAST_POLL_READ_TIMEOUT} s after the poll began, and that task would be lost; "
            f"give it botocore.config.Config(read_timeout={LEAST_POLL_READ_TIMEOUT} or more)",
            stacklevel=3,
        )


def _or_default(client: "botocore.client.BaseClient | None") -> "botocore.client.BaseClient":
    return default_session().client if client is None else client


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
        ValueError: a text that is over SWF's limits; nothing was sent
        TaskNotOpen: the task is closed, timed out, or the token is unknown
        SwfError: another failure
    """
    _answer("respond_activity_task_completed", token, client, result=("result", result))


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
        ValueError: a text that is over SWF's limits; nothing was sent
        TaskNotOpen: the task is closed, timed out, or the token is unknown
        SwfError: another failure
    """
    _answer("respond_activity_task_failed", token, client, reason=("reason", reason), details=("details", details))


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
        ValueError: a text that is over SWF's limits; nothing was sent
        UnknownResource: the task is not open, or its cancellation was not requested: SWF does not say which
        SwfError: another failure
    """
    _answer("respond_activity_task_canceled", token, client, details=("details", details))


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
        ValueError: a text that is over SWF's limits; nothing was sent
        TaskNotOpen: the task is closed, timed out, or the token is unknown
        SwfError: another failure
    """
    reply = _answer("record_activity_task_heartbeat", token, client, details=("heartbeat details", details))
    if reply.get("cancelRequested"):
        raise Cancelled("cancellation of this activity task was requested")


def _answer(
    operation: str,
    token: str,
    client: "botocore.client.BaseClient | None",
    **texts: tuple[str, str | None],
) -> dict[str, Any]:
    """Call one of the operations that take a token, with those texts (kind and value) that are given."""
    check_text("token", token)
    arguments = {"taskToken": token}
    for name, (kind, text) in texts.items():
        if text is not None:
            check_text(kind, text)
            arguments[name] = text
    try:
        return call(_or_default(client), operation, **arguments)
    except UnknownResource as error:
        # A cancellation that nobody asked for is refused with the same fault while the task is open.
        if operation == "respond_activity_task_canceled":
            raise
        raise TaskNotOpen.of(error) from error.__cause__


def count_pending_tasks(
    task_list: str, domain: str, client: "botocore.client.BaseClient | None" = None
) -> PendingCount:
    """Count the activity tasks that wait on a task list (CountPendingActivityTasks).

    The count is SWF's estimate, and 0 for a list that nobody has ever used.

    Args:
        task_list: activity task list, 1 to 256 characters
        domain: domain of the task list, 1 to 256 characters
        client: SWF client

    Raises:
        ValueError: a name that is over SWF's limits; nothing was sent
        SwfError: the call failed
    """
    check_text("task list", task_list)
    check_text("domain", domain)
    reply = call(
        _or_default(client),
        "count_pending_activity_tasks",
        domain=domain,
        taskList={"name": task_list},
    )
    if "count" not in reply:
        raise InvalidResponseError("the reply to CountPendingActivityTasks holds no count")
    return PendingCount(domain, task_list, reply["count"], bool(reply.get("truncated", False)))


def count_pending_on(
    task_lists: Sequence[str], domain: str, client: "botocore.client.BaseClient | None" = None
) -> list[PendingCount]:
    """Count the tasks that wait on several lists side by side, and give the counts in the order of the lists.

    See `count_pending_tasks`; the first failure is raised.
    """
    if len(task_lists) == 1:
        return [count_pending_tasks(task_lists[0], domain, client)]
    from concurrent.futures import ThreadPoolExecutor

    ready = _or_default(client)
    pool = ThreadPoolExecutor(max_workers=_COUNTS_AT_ONCE)
    try:
        return list(pool.map(lambda task_list: count_pending_tasks(task_list, domain, ready), task_lists))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


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
        ValueError: a name that is over SWF's limits; nothing was sent
        SwfError: the call failed
    """
    pending = count_pending_tasks(task_list, domain, client)
    if pending.truncated:
        warnings.warn(f"more than {pending.count} tasks are pending on {task_list}", stacklevel=2)
    return pending.count
