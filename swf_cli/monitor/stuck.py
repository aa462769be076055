"""Find the open tasks of a domain that look stuck."""

import logging
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, takewhile, zip_longest
from math import inf
from typing import Final

from ..errors import SwfError
from ..history import ActivityTask, DecisionTask
from ..models import ExecutionId
from .diagnosis import Diagnosis, diagnose
from .evidence import DomainFacts
from .execution import ExecutionTasks
from .filters import TaskFilter
from .scanner import DomainScanner

MAX_EVIDENCE: Final = 50
"""History pages of the newest executions, at most, read to distinguish lists without workers from busy ones."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StuckTask:
    """An open task that looks stuck."""

    execution: ExecutionId
    task: ActivityTask | DecisionTask
    diagnosis: Diagnosis


@dataclass(slots=True)
class StuckReport:
    """What `find_stuck` found."""

    rows: list[StuckTask] = field(default_factory=list)
    """Worst first."""

    matched: int = 0
    """Number of open tasks that the filter matches."""

    near_lists: dict[str, list[str]] = field(default_factory=dict)
    """For the filter's task lists that no task was on, names of lists that were probably meant."""


def find_stuck(scanner: DomainScanner, facts: DomainFacts, wanted: TaskFilter) -> StuckReport:
    """Return the open tasks of a domain that look stuck, and match the filter.

    Read the executions that started at least `facts.older_than` seconds ago, and those of tasks held here; and, if
    tasks wait on lists where none of these shows a worker, the newest pages of at most 50 others.

    Raise SwfError if no execution could be read; see `ScanCalls.failure` for a scan that ended early.
    """
    return _Search(scanner, facts, wanted).run()


class _Search:
    def __init__(self, scanner: DomainScanner, facts: DomainFacts, wanted: TaskFilter) -> None:
        self._scanner = scanner
        self._calls = scanner.calls
        self._facts = facts
        self._wanted = wanted
        self._report = StuckReport()
        self._candidates: list[tuple[ExecutionId, ActivityTask | DecisionTask, float]] = []
        self._held_runs = facts.holdings.executions_since(-inf).keys()
        self._read_runs: set[str] = set()
        """Those of the held ones that were read."""

    def run(self) -> StuckReport:
        """Read what there is, and diagnose it."""
        self._scanner.scan(self._on_execution, older_than=self._facts.older_than)
        self._read_held()
        self._look_for_workers()
        for execution, task, now in self._candidates:
            diagnosis = diagnose(execution, task, now, self._facts)
            if diagnosis is not None:
                self._report.rows.append(StuckTask(execution, task, diagnosis))
        found = {*self._facts.lists, *(task.task_list for _, task, _ in self._candidates)}
        self._report.near_lists = self._wanted.near_lists(found)
        self._report.rows.sort(key=lambda row: (row.diagnosis.rank, row.execution.id, row.execution.run_id))
        return self._report

    def _on_execution(self, found: ExecutionTasks) -> None:
        facts, run_id = self._facts, found.execution.run_id
        if run_id in self._held_runs:
            self._read_runs.add(run_id)
        facts.observe(found.tasks)
        facts.clock_skew = self._calls.clock_skew
        # A long scan: each task is judged by the time it was read.
        now = self._calls.now()
        for task in filter(self._wanted.matches, found.open_tasks):
            self._report.matched += 1
            # Of the young ones, only those that look stuck at once are kept: memory does not grow with them.
            if now - task.scheduled_at >= facts.older_than or diagnose(found.execution, task, now, facts):
                self._candidates.append((found.execution, task, now))

    def _read_held(self) -> None:
        """Read the executions of tasks held here that are too young for the scan."""
        # The ledger has times of this machine's clock, which may have been set since.
        skew = self._calls.clock_skew
        oldest = self._calls.now() - skew - self._facts.older_than - abs(skew)
        held = self._facts.holdings.executions_since(oldest)
        unread = [execution for run_id, execution in held.items() if run_id not in self._read_runs]
        self._scanner.read_each(unread, self._on_execution)

    def _unexplained(self) -> list[ActivityTask]:
        """Return the tasks that have waited long on lists that show no sign of a worker."""
        return [
            task
            for _, task, _ in self._candidates
            if isinstance(task, ActivityTask) and task.started_at is None and not self._facts.list_is_worked(task)
        ]

    def _look_for_workers(self) -> None:
        """Read the newest pages of the newest executions, open and closed, until each list shows a worker."""
        suspects = self._unexplained()
        if suspects and not self._calls.is_over:
            newest = self._newest_executions(min(task.scheduled_at for task in suspects))
            needed = takewhile(lambda _: self._unexplained(), newest)
            self._scanner.read_each(needed, self._on_execution, newest_page=True)

    def _newest_executions(self, closed_since: float) -> list[ExecutionId]:
        """List the newest executions that were not read, open and closed ones in turn."""
        lists: list[list[ExecutionId]] = []
        for list_newest in (
            partial(self._scanner.newest_open, younger_than=self._facts.older_than),
            partial(self._scanner.newest_closed, closed_since=closed_since),
        ):
            try:
                lists.append(list_newest(MAX_EVIDENCE))
            except SwfError as error:
                _log.info("cannot look for workers in further executions: %s", error.message)
        in_turn = (execution for pair in zip_longest(*lists) for execution in pair if execution is not None)
        unread = (execution for execution in in_turn if execution.run_id not in self._read_runs)
        return list(islice(unread, MAX_EVIDENCE))
