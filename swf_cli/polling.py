"""The life of a long poll: it is never abandoned while SWF holds it, and leaves a record when it breaks.

SWF may hand a task to any poll that it holds, also to one whose client has gone; nobody ever sees that task's token.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .api import poll_once
from .errors import NetworkError, NoTaskReceived, Signalled, SwfError
from .ledger.records import PollSource, Taker
from .ledger.store import Ledger
from .models import WorkerTask
from .retry import TRANSIENT, backoff

if TYPE_CHECKING:
    import botocore.client

    from .client.session import Session


@dataclass(frozen=True, slots=True)
class ReceivedTask:
    """A task that was taken."""

    task: WorkerTask

    key: str | None
    """Its key in the ledger; None when the ledger does not hold it."""

    @property
    def describe_location(self) -> str:
        """Say where the task can be found when it could not be handed on."""
        if self.key is not None:
            return f"the task is in `swf held` under {self.key}"
        where = f"{self.task.id} of workflow {self.task.execution.id}, run {self.task.execution.run_id}"
        return f"the task is on no record, and open until it times out: {where}"


def origin(session: "Session", domain: str, task_list: str, identity: str) -> PollSource:
    """Give where a session's polls go, as the ledger keeps it."""
    meta = session.poll_client.meta
    return PollSource(domain, task_list, identity, session.profile, meta.region_name, meta.endpoint_url)


def poll(
    client: "botocore.client.BaseClient",
    origin: PollSource,
    ledger: Ledger,
    *,
    stop: threading.Event,
    tell: Callable[[str], None],
    taken_by: Taker = "poll",
    timeout: float | None = None,
    key: str | None = None,
    reached: threading.Event | None = None,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[int], float] = backoff,
) -> ReceivedTask | None:
    """Wait for a task on a list (PollForActivityTask); None when `stop` was set and SWF holds no poll of ours.

    After `stop`, or after `timeout` seconds, no new long poll is started, and the one that SWF holds is waited for.
    At least one poll is made unless `stop` is set. `key` is a row of the ledger to use again; `reached` is set once
    SWF has been reached. A poll that breaks stays in the ledger, since SWF may have handed
    it a task; faults that may pass are told, and it goes on after a wait.

    Raises:
        NoTaskReceived: none came in that time
        SwfError: SWF refused the poll, or could not be reached at all
    """
    started = clock()
    reached = reached or threading.Event()
    idle = True  # whether it is certain that SWF holds no poll of ours, and gave it nothing
    failures = 0
    try:
        while not stop.is_set():
            delay = 0.0
            if key is None:
                key = ledger.begin_poll(origin, taken_by)
            else:
                ledger.poll_again(key)
            idle = False
            try:
                task = poll_once(origin.task_list, origin.domain, origin.identity, client)
            except TRANSIENT as error:
                if error.possibly_executed or not isinstance(error, NetworkError):
                    reached.set()
                if not reached.is_set():
                    idle = True
                    raise
                if error.possibly_executed:
                    ledger.mark_poll_lost(key)
                    key = None
                idle = True
                delay = wait(failures)
                failures += 1
                tell(_complain(error, origin, delay))
            except SwfError:
                idle = True
                raise
            except Signalled:
                ledger.mark_poll_lost(key)
                tell(_warn(origin))
                raise
            else:
                if task is not None:
                    reached.set()
                    return ReceivedTask(task, key if ledger.assign_task(key, task) else None)
                idle = True
                failures = 0
                reached.set()
            if timeout is not None:
                left = timeout - (clock() - started)
                if left <= delay:
                    stop.wait(max(0.0, left))
                    if stop.is_set():
                        break
                    raise NoTaskReceived(f"no task came on {origin.task_list} in {timeout:g} s")
            if delay:
                stop.wait(delay)
        return None
    finally:
        if key is not None and idle:
            ledger.drop(key)


def _warn(origin: PollSource) -> str:
    return (
        f"SWF may still hand a task to this poll, under the identity {origin.identity}: "
        "it would be open until it times out; `swf held` keeps the poll on record"
    )


def _complain(error: SwfError, origin: PollSource, delay: float) -> str:
    said = f"the poll failed: {error.message}; polling again in {delay:.1f} s"
    return f"{said}; {_warn(origin)}" if error.possibly_executed else said
