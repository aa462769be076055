"""What workers that died left behind: commands that still run, and tasks that nobody will close."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ..ledger.records import HeldTask, PollSource
from ..ledger.store import Ledger
from ..processes import host_name, terminate_group_if_same
from ..responding import Outcome, Responder, Settlement
from .task_runner import TaskLog

_WORKER_DIED = "worker died"


def find_orphans(ledger: Ledger, source: PollSource) -> list[HeldTask]:
    """Return what `swf work` took from the same list, on this machine, in a process that is dead.

    These are tasks and lost polls: a handler that is kept running may have outlived its worker while it had no task.
    """
    here = (source.endpoint, source.region, source.domain, source.task_list, host_name())
    return [
        held
        for held in ledger.list_held()
        if (held.taken_by, held.holder_alive) == ("work", False)
        and (held.endpoint, held.region, held.domain, held.task_list, held.host) == here
    ]


def stop_commands(orphans: Sequence[HeldTask], grace: float) -> None:
    """Stop the commands of orphans that still run, in parallel; never a group that another process leads."""
    groups = [(held.group, held.group_start_id) for held in orphans if held.group and held.group_start_id]
    if groups:
        with ThreadPoolExecutor(len(groups)) as pool:
            list(pool.map(lambda group: terminate_group_if_same(*group, grace=grace), groups))


def fail_orphans(
    orphans: Sequence[HeldTask],
    ledger: Ledger,
    responder: Responder,
    *,
    stop: threading.Event,
    count: Callable[[Settlement], None],
) -> None:
    """Fail the tasks among orphans, so that their deciders learn of it now.

    Tasks that are left when `stop` is set stay in the ledger. Those that are closed are logged here, the others by
    the responder's log.
    """
    responder_log = responder.log
    for held in (orphan for orphan in orphans if orphan.kind == "task"):
        if stop.is_set():
            return
        responder.log = log = TaskLog(held, held.task_list, responder_log)
        settlement = responder.deliver(held.reference, Outcome.failed(_WORKER_DIED))
        if settlement.is_confirmed:
            ledger.drop(held.key)
            log = TaskLog(held, held.task_list)
        if settlement.status == "accepted":
            count(settlement)
        log.event(
            settlement.event, "left by a worker that died (%s, process %s): %s", held.identity, held.pid, settlement
        )
