"""Why an open activity task looks stuck, and what to do about it. Pure: values and the time in, values out."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..history import ActivityTask
from ..ledger.records import Holding
from ..models import ActivityId, ExecutionId

REASONS: Final[Mapping[str, str]] = {
    "holder-gone": "whoever took it is gone",
    "endless": "a worker has it, and no timeout will ever end it",
    "cancelling": "it was asked to cancel, and there is no answer since",
    "held-here": "this machine took it, and has not closed it",
    "overdue": "it runs longer than it should",
    "unclaimed": "no worker takes tasks from its list",
    "backlog": "workers take tasks from its list, and it waits its turn",
}
"""Every reason, worst first, and what it means."""

_CLOCKS_DIFFER: Final = 5.0  # seconds between this machine's record of a poll and SWF's of the task's start
_LONGEST_POLL: Final = 90.0  # seconds for which SWF may hold a poll, and hand it a task, at the very most
_MARGIN: Final = 60.0  # seconds; a run that takes a little longer than all others is no news


@dataclass(slots=True)
class DomainFacts:
    """What the histories that were read, and the ledger, say beyond a task itself. Times are in epoch seconds."""

    older_than: float
    """Seconds from which on waiting is too long."""

    last_started: dict[str, float] = field(default_factory=dict)
    """When a task of each task list was last started."""

    longest_run: dict[ActivityId, float] = field(default_factory=dict)
    """The longest that a run of each activity took which completed, in seconds."""

    holdings: Sequence[Holding] = ()
    """Their times are by this machine's clock."""

    ahead: float = 0.0
    """How many seconds the service's clock is ahead of this machine's."""

    def observe(self, tasks: Iterable[ActivityTask]) -> None:
        """Take in tasks that a history shows, open and closed."""
        for task in tasks:
            if task.started_at is None:
                continue
            last = self.last_started.get(task.task_list, task.started_at)
            self.last_started[task.task_list] = max(last, task.started_at)
            if task.end is not None and task.end.state == "completed" and task.closed_at is not None:
                run = task.closed_at - task.started_at
                self.longest_run[task.activity] = max(self.longest_run.get(task.activity, 0.0), run)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a task looks stuck."""

    reason: str
    """A key of `REASONS`."""

    hint: str
    """What to do: a command when one closes the task, else a sentence."""

    since: float
    """Since when it is so, in epoch seconds."""

    @property
    def rank(self) -> tuple[int, float]:
        """Sort by this: worst first, then longest first."""
        return list(REASONS).index(self.reason), self.since


def diagnose(execution: ExecutionId, task: ActivityTask, now: float, around: DomainFacts) -> Diagnosis | None:
    """Tell why a task that was open at that time of the service looks stuck; None when it does not."""
    if not task.is_open:
        return None
    if task.started_at is None:
        return _diagnose_waiting(task, now, around)
    return _diagnose_started(execution, task, task.started_at, now, around)


def _diagnose_waiting(task: ActivityTask, now: float, around: DomainFacts) -> Diagnosis | None:
    if now - task.scheduled_at < around.older_than:
        return None
    task_list = shlex.quote(task.task_list)
    if around.last_started.get(task.task_list, float("-inf")) >= now - around.older_than:
        return Diagnosis("backlog", f"start more workers on {task_list}", task.scheduled_at)
    return Diagnosis("unclaimed", f"start a worker on {task_list}, or look why none polls it", task.scheduled_at)


def _diagnose_started(
    execution: ExecutionId, task: ActivityTask, started_at: float, now: float, around: DomainFacts
) -> Diagnosis | None:
    held = _find_holding(execution, task, around.holdings)
    if held is not None and held.holder_alive is False:
        return Diagnosis("holder-gone", _close(held, task, "worker died"), started_at)
    if held is None and _broken_poll(task, started_at, around):
        return Diagnosis("holder-gone", f"its token is lost with the poll that took it: {_wait(task)}", started_at)
    if now - started_at >= around.older_than:
        if held is not None and held.holder_alive is None:
            return Diagnosis("held-here", _close(held, task, "script died"), started_at)
        asked_at = task.cancel_requested_at
        if asked_at is not None and now - asked_at >= around.older_than:
            return Diagnosis(
                "cancelling", f"{_worker(task)} for heartbeats, and to heed them; {_wait(task)}", asked_at
            )
        if task.never_ends:
            return Diagnosis("endless", f"{_worker(task)} whether it still works on it; {_wait(task)}", started_at)
    if now - started_at > _expected_run(task, around):
        return Diagnosis("overdue", f"{_worker(task)} what it is doing; {_wait(task)}", started_at)
    return None


def _expected_run(task: ActivityTask, around: DomainFacts) -> float:
    """Give how long a run of this activity may take: as the longest finished one, else half its start-to-close."""
    longest = around.longest_run.get(task.activity)
    if longest is not None:
        return longest + min(_MARGIN, around.older_than)
    limit = task.configuration.runtime_timeout
    return limit.total_seconds() / 2 if limit else float("inf")


def _find_holding(execution: ExecutionId, task: ActivityTask, holdings: Sequence[Holding]) -> Holding | None:
    place = (execution.run_id, task.started_event_id)
    return next((held for held in holdings if (held.run_id, held.started_event_id) == place), None)


def _broken_poll(task: ActivityTask, started_at: float, around: DomainFacts) -> bool:
    """Tell whether a poll that broke was held when the task was started under its identity.

    This machine's clock may have been set since: it may have been off by anything up to what it is off by now.
    """
    earliest = started_at - max(0.0, around.ahead) - _LONGEST_POLL
    latest = started_at - min(0.0, around.ahead) + _CLOCKS_DIFFER
    return any(
        held.run_id is None
        and (held.identity, held.task_list) == (task.identity, task.task_list)
        and earliest <= held.taken_at <= latest
        for held in around.holdings
    )


def _close(held: Holding, task: ActivityTask, reason: str) -> str:
    if task.cancel_requested_at is not None:
        return f"swf cancel --held {held.key}"
    return f"swf fail --held {held.key} --reason '{reason}'"


def _worker(task: ActivityTask) -> str:
    return f"ask {task.identity or 'its worker'}"


def _wait(task: ActivityTask) -> str:
    if task.deadline is not None:
        return "else its timeouts end it, at the deadline"
    if task.never_ends:
        return "else only the end of its workflow ends it"
    return "else its heartbeat timeout ends it, once it sends none"
