"""What is known about a domain beyond one task: activity of its task lists, run times, this machine's ledger."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from types import MappingProxyType
from typing import Final

from ..history import ActivityTask, DecisionTask
from ..invocation import Invocation
from ..ledger.records import HeldTask
from ..models import ActivityId, ExecutionId
from ..names import similar_names

_CLOCKS_DIFFER: Final = 5.0  # seconds between this machine's record of a poll and SWF's of the task's start
_LONGEST_POLL: Final = 90.0  # seconds for which SWF may hold a poll, at most


@dataclass(slots=True)
class ListActivity:
    """What was read of an activity task list."""

    waiting: int = 0
    """Tasks that no worker has started."""

    started: int = 0
    """Open tasks that a worker has started."""

    last_started: float = -inf
    """When a task was last started, in epoch seconds."""


@dataclass(slots=True)
class CompletedRuns:
    """What was read of an activity's completed runs."""

    count: int = 0
    longest: float = 0.0
    """Seconds."""


@dataclass(slots=True)
class Holdings:
    """What this machine's ledger has of a domain."""

    rows: Sequence[HeldTask] = ()
    """Their times are by this machine's clock."""

    commands: Mapping[str, int] = field(default_factory=dict)
    """Process IDs of the commands that still run, by the key of their row."""

    elsewhere: Sequence[HeldTask] = ()
    """Rows of a domain of that name at other endpoints: the same domain, maybe, through another address."""

    _by_start: dict[tuple[str, int | None], HeldTask] = field(init=False)
    _lost: list[HeldTask] = field(init=False)

    def __post_init__(self) -> None:
        self._lost = [row for row in self.rows if row.execution is None]
        self._by_start = {
            (row.execution.run_id, row.task_started_execution_history_event_id): row
            for row in (*self.elsewhere, *self.rows)
            if row.execution is not None
        }

    def of_task(self, execution: ExecutionId, task: ActivityTask) -> HeldTask | None:
        """Return the row of a task; None if it was not received here."""
        return self._by_start.get((execution.run_id, task.started_event_id))

    def merge(self, later: "Holdings") -> "Holdings":
        """Return these with what was read later. A row that is gone by then is kept: its task was closed since."""
        rows = {row.key: row for row in (*self.rows, *later.rows)}
        elsewhere = {row.key: row for row in (*self.elsewhere, *later.elsewhere)}
        return Holdings(list(rows.values()), later.commands, list(elsewhere.values()))

    def matching_polls(self, execution: ExecutionId, task: ActivityTask, clock_skew: float) -> list[HeldTask]:
        """Return the lost polls that were in flight when a task was started under their identity; none if it is held.

        This machine's clock may have been set since: it was off by anything up to today's skew.
        """
        if task.started_at is None or self.of_task(execution, task) is not None:
            return []
        earliest = task.started_at - max(0.0, clock_skew) - _LONGEST_POLL
        latest = task.started_at - min(0.0, clock_skew) + _CLOCKS_DIFFER
        return [row for row in self.lost_polls(task) if earliest <= row.taken_at <= latest]

    def lost_polls(self, task: ActivityTask) -> list[HeldTask]:
        """Return the polls that were lost, at any time, under the identity of a task's worker and on its list."""
        return [row for row in self._lost if (row.identity, row.task_list) == (task.identity, task.task_list)]

    def executions_since(self, time: float) -> dict[str, ExecutionId]:
        """Return the executions of tasks received since a time of this machine's clock, by run ID."""
        return {
            row.execution.run_id: row.execution
            for row in self.rows
            if row.execution is not None and row.taken_at >= time
        }


@dataclass(slots=True)
class DomainFacts:
    """What is known about a domain beyond one task. Times are in epoch seconds of the service."""

    older_than: float
    """Seconds for which a task may wait or run."""

    holdings: Holdings = field(default_factory=Holdings)
    close_command: Sequence[str] = ()
    """Command line, less the execution, that closes an execution of the domain; empty if there is none."""

    invocation: Invocation = field(default_factory=Invocation)
    """Formats the commands of `swf` that are suggested."""

    clock_skew: float = 0.0
    """Seconds by which the service's clock is ahead of this machine's."""

    lists: dict[str, ListActivity] = field(default_factory=dict)
    runs: dict[ActivityId, CompletedRuns] = field(default_factory=dict)
    decision_starts: dict[str, float] = field(default_factory=dict)
    """When a decision task was last started, by task list; of those started lately."""

    worked_lists: dict[ActivityId, set[str]] = field(default_factory=dict)
    """Task lists on which workers have started tasks of each activity."""

    claims: Counter[str] = field(default_factory=Counter)
    """How many open tasks each lost poll may have received, by the key of its row: it received one at most."""

    is_complete: bool = True
    """Whether every execution that is old enough was read."""

    evidence_is_complete: bool = True
    """Whether the search for workers in further executions succeeded, or was not needed."""

    def observe(
        self, tasks: Iterable[ActivityTask], decision_starts: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        """Learn from the tasks that a history shows, open and closed, and when decision tasks were last started."""
        for task_list, at in decision_starts.items():
            self.decision_starts[task_list] = max(at, self.decision_starts.get(task_list, at))
        for task in tasks:
            seen = self.lists.setdefault(task.task_list, ListActivity())
            if task.started_at is None:
                seen.waiting += task.is_open
                continue
            seen.started += task.is_open
            seen.last_started = max(seen.last_started, task.started_at)
            self.worked_lists.setdefault(task.activity, set()).add(task.task_list)
            if task.end is not None and task.end.state == "completed" and task.closed_at is not None:
                runs = self.runs.setdefault(task.activity, CompletedRuns())
                runs.count += 1
                runs.longest = max(runs.longest, task.closed_at - task.started_at)

    def discount(self, task: ActivityTask) -> None:
        """Learn that nobody works on a task that was observed as started: it says nothing of its list's workers."""
        self.lists[task.task_list].started -= 1

    def list_is_worked(self, task: ActivityTask | DecisionTask) -> bool:
        """Return whether a task of the list was started since this one waits, or is still being worked on."""
        if isinstance(task, DecisionTask):
            return self.decision_starts.get(task.task_list, -inf) >= task.waiting_since
        seen = self.lists.get(task.task_list, ListActivity())
        return seen.started > 0 or seen.last_started >= task.waiting_since

    def similar_lists(self, task: ActivityTask) -> list[str]:
        """Return the names, similar to that of a task's list, of lists on which its activity was started."""
        return similar_names(task.task_list, sorted(self.worked_lists.get(task.activity, ())))
