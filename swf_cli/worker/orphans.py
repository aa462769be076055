"""What workers that died left behind: commands that still run, and tasks that nobody will close."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..ledger.records import HeldTask, PollSource, command_pid
from ..ledger.store import Ledger
from ..polling import has_reached_swf
from ..processes import end_groups, host_name
from ..responding import Outcome, Responder, Settlement, may_drop
from ..retry import Log
from .task_runner import TaskLog

_WORKER_DIED = "worker died"

_log = logging.getLogger(__name__)


def find_orphans(ledger: Ledger, *sources: PollSource) -> list[HeldTask]:
    """Return what `swf work` took from the same lists, on this machine, in processes that are dead.

    These are tasks and lost polls: a handler that is kept running may have outlived its worker while it had no task.
    """
    lists = {(source.endpoint, source.region, source.domain, source.task_list) for source in sources}
    return [
        held
        for held in ledger.list_held()
        if (held.taken_by, held.holder_alive) == ("work", False)
        and (held.endpoint, held.region, held.domain, held.task_list) in lists
        and held.host == host_name()
    ]


def stop_commands(orphans: Sequence[HeldTask], grace: float, kill: threading.Event) -> list[HeldTask]:
    """Stop the commands of orphans that still run, all at once; never a group that another process leads.

    They get SIGTERM, and after `grace` seconds, or once `kill` is set, SIGKILL. Return the orphans without a command
    that runs: the others stay in the ledger, since their tasks would be executed twice.
    """
    running = [f"process {held.group}" for held in orphans if command_pid(held)]
    if running:
        _log.info("stopping what dead workers left running: %s", ", ".join(running))
    leaders = {held.group: held.group_start_id for held in orphans if held.group and held.group_start_id}
    why = "the worker's user may not signal it, or it waits in the kernel"
    try:
        left = end_groups(leaders, grace=grace, kill=kill)
    except OSError as error:
        left, why = list(leaders), error.strerror or str(error)
    for group in left:
        _log.warning("cannot stop process %d, which a dead worker left running; its task stays open: %s", group, why)
    return [held for held in orphans if held.group not in left]


def fail_orphans(
    orphans: Sequence[HeldTask],
    ledger: Ledger,
    responder: Responder,
    *,
    stop: threading.Event,
    count: Callable[[Settlement], None],
) -> None:
    """Fail the tasks among orphans, so that their deciders learn of it now.

    Each is tried once, and stays in the ledger if it can't be closed; so do those left when `stop` is set, or
    when SWF does not answer and the responder is to stop. The responder's log gets what is about not reaching SWF.
    """
    tasks = [orphan for orphan in orphans if orphan.token is not None]
    log: Log = _log
    while tasks and not stop.is_set():
        held = tasks.pop(0)
        log = TaskLog(held, held.task_list, responder.log)
        settlement = replace(responder, log=log).respond(held.reference, Outcome.failed(_WORKER_DIED))
        log = _log if settlement.error is None or has_reached_swf(settlement.error) else responder.log
        if may_drop(held, settlement, held.reference, responder.client):
            ledger.drop(held.key)
        if settlement.status == "accepted":
            count(settlement)
        TaskLog(held, held.task_list, log).event(
            settlement.event, "left by a worker that died (%s, process %s): %s", held.identity, held.pid, settlement
        )
        if settlement.status in ("undelivered", "unknown") and responder.stop.is_set():
            break
    if tasks:
        log.warning("tasks of dead workers that stay open, see `swf held`: %d", len(tasks))
