"""What workers that died left behind: commands that live on, and tasks that nobody will close."""

import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ..ledger.records import HeldTask, PollSource
from ..ledger.store import Ledger
from ..processes import terminate_group_if_same
from ..responding import failure
from .responder import Closed, Closer

_WORKER_DIED = "worker died"


def find_orphans(ledger: Ledger, origin: PollSource) -> list[HeldTask]:
    """Give the tasks that `swf work` took from the same list, on this machine, in a process that is dead now."""
    here = (origin.endpoint, origin.region, origin.domain, origin.task_list, socket.gethostname())
    return [
        held
        for held in ledger.list_held()
        if (held.kind, held.taken_by, held.holder_alive) == ("task", "work", False)
        and (held.endpoint, held.region, held.domain, held.task_list, held.host) == here
    ]


def end_commands(orphans: Sequence[HeldTask], grace: float) -> None:
    """End the commands that still run on orphans, all at once; never a group that another process leads."""
    groups = [(held.group, held.group_started) for held in orphans if held.group and held.group_started]
    if groups:
        with ThreadPoolExecutor(len(groups)) as pool:
            list(pool.map(lambda group: terminate_group_if_same(*group, grace=grace), groups))


def fail_orphans(
    orphans: Sequence[HeldTask],
    ledger: Ledger,
    closer: Closer,
    *,
    stop: threading.Event,
    tell: Callable[[str], None],
    trouble: Callable[[str], None],
    count: Callable[[Closed], None],
) -> None:
    """Fail orphans, so that their deciders hear of it now; those that `stop` leaves over stay in the ledger.

    `trouble` is told what does not go through, `tell` what became of each.
    """
    for held in orphans:
        if stop.is_set():
            return
        closed = closer.close(held.reference, failure(_WORKER_DIED), stop=stop, tell=trouble)
        if closed.certain:
            ledger.drop(held.key)
        if closed.state == "failed":  # else it had ended before
            count(closed)
        say = tell if closed.certain else trouble
        say(f"{held.id}, left by a worker that died ({held.identity}, process {held.pid}), {closed.words}")
