"""Find the open tasks of a domain that look stuck."""

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice, takewhile, zip_longest
from math import inf
from typing import Any, Final

from ..errors import SwfError
from ..history import ActivityTask, DecisionTask
from ..models import ExecutionId
from .diagnosis import Diagnosis, diagnose, may_look_stuck_later
from .evidence import DomainFacts, Holdings
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
    lacks_input: bool = False
    """Whether the task has an input that was not kept."""


@dataclass(slots=True)
class StuckReport:
    """What `find_stuck` found."""

    rows: list[StuckTask] = field(default_factory=list)
    """Worst first."""

    matched: int = 0
    """Number of open tasks that the filter matches."""

    similar_lists: dict[str, list[str]] = field(default_factory=dict)
    """For the filter's task lists that no task was on, names of lists that were probably meant."""

    is_complete: bool = True
    """Whether everything was read."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A task that looked stuck when it was read, or may do so by the end of the scan."""

    execution: ExecutionId
    task: ActivityTask | DecisionTask
    read_at: float
    lacks_input: bool


def find_stuck(
    scanner: DomainScanner,
    facts: DomainFacts,
    wanted: TaskFilter,
    *,
    with_input: int | None = None,
    read_holdings: Callable[[], Holdings] = Holdings,
) -> StuckReport:
    """Return the open tasks of a domain that look stuck, and match the filter.

    Read the executions that started at least `facts.older_than` seconds ago, and those of tasks held here; and, if
    tasks wait on lists where none of these shows a worker or decider, the newest pages of at most 50 others.

    Of the first `with_input` rows, all if it is None, the tasks have their inputs. `read_holdings` reads the ledger
    again after the scan, during which tasks may have been received.

    Memory grows with the tasks that look stuck; with their inputs too, unless `with_input` is 0. Of a task that has
    run for long, and may turn out to be overdue because no completed run of its activity was read so far, about 600
    bytes are kept, without its input: if that is needed in the end, its execution is read again.

    Raise SwfError if no execution could be read; see `ScanCalls.failure` for a scan that ended early.
    """
    return _Search(scanner, facts, wanted, with_input, read_holdings).run()


class _Search:
    def __init__(
        self,
        scanner: DomainScanner,
        facts: DomainFacts,
        wanted: TaskFilter,
        with_input: int | None,
        read_holdings: Callable[[], Holdings],
    ) -> None:
        self._scanner = scanner
        self._calls = scanner.calls
        self._facts = facts
        self._wanted = wanted
        self._with_input = with_input
        self._read_holdings = read_holdings
        self._report = StuckReport()
        self._candidates: list[_Candidate] = []
        self._found_lists: set[str] = set()
        """Task lists of the filter on which a task has waited long, or looks stuck."""
        self._shared: dict[Hashable, Any] = {}
        """Values that many candidates have in common, each once."""
        self._held_runs = facts.holdings.executions_since(-inf).keys()
        self._failed_lists = 0
        """Number of lists of further executions that failed."""
        self._read_runs: set[str] = set()
        """Those of the held ones that were read."""

    def run(self) -> StuckReport:
        """Read what there is, and diagnose it."""
        self._scanner.scan(self._on_execution, older_than=self._facts.older_than)
        self._read_held()
        self._refresh_holdings()
        self._discount_abandoned()
        self._facts.is_complete = self._is_complete
        self._look_for_workers()
        self._refresh_holdings()
        self._report.is_complete = self._is_complete
        self._facts.evidence_is_complete = self._is_complete and not self._failed_lists
        # What the filter leaves out has its part in the diagnoses all the same.
        for each in filter(lambda each: self._wanted.matches(each.task), self._candidates):
            diagnosis = diagnose(each.execution, each.task, each.read_at, self._facts)
            if diagnosis is not None:
                self._report.rows.append(StuckTask(each.execution, each.task, diagnosis, each.lacks_input))
        self._report.similar_lists = self._wanted.similar_lists(self._found_lists.union(self._facts.lists))
        self._report.rows.sort(key=lambda row: (row.diagnosis.rank, row.execution.id, row.execution.run_id))
        self._read_inputs()
        return self._report

    @property
    def _is_complete(self) -> bool:
        """Whether everything was read so far that was to be read."""
        return not (self._calls.is_over or self._calls.progress.skipped)

    def _on_execution(self, found: ExecutionTasks) -> None:
        facts, run_id = self._facts, found.execution.run_id
        if run_id in self._held_runs:
            self._read_runs.add(run_id)
        facts.clock_skew = self._calls.clock_skew
        # A long scan: each task is judged by the time it was read.
        now = self._calls.now()
        # Only what shows a decider at work: there may be a list for each execution.
        lately = {name: at for name, at in found.decision_starts.items() if now - at < facts.older_than}
        facts.observe(found.tasks, lately)
        for task in found.open_tasks:
            self._report.matched += self._wanted.matches(task)
            looks_stuck = diagnose(found.execution, task, now, facts) is not None
            if looks_stuck or now - task.scheduled_at >= facts.older_than:
                self._consider(found.execution, task, now, looks_stuck)

    def _consider(
        self, execution: ExecutionId, task: ActivityTask | DecisionTask, now: float, looks_stuck: bool
    ) -> None:
        """Keep a task if it looks stuck, or may do so later: memory does not grow with the others."""
        if task.task_list in self._wanted.task_lists:
            self._found_lists.add(task.task_list)
        if not looks_stuck and not may_look_stuck_later(task, now, self._facts):
            return
        lacks_input = False
        if isinstance(task, ActivityTask):
            keeps_input = looks_stuck and self._with_input != 0 and self._wanted.matches(task)
            lacks_input = task.input is not None and not keeps_input
            task = replace(
                task,
                activity=self._share(task.activity),
                task_list=self._share(task.task_list),
                configuration=self._share(task.configuration),
                identity=self._share(task.identity),
                input=task.input if keeps_input else None,
            )
        self._candidates.append(_Candidate(execution, task, now, lacks_input))

    def _share(self, value: Any) -> Any:
        return self._shared.setdefault(value, value)

    def _read_held(self) -> None:
        """Read the executions of tasks held here that are too young for the scan."""
        # The ledger has times of this machine's clock, which may have been set since.
        skew = self._calls.clock_skew
        oldest = self._calls.now() - skew - self._facts.older_than - abs(skew)
        held = self._facts.holdings.executions_since(oldest)
        unread = [execution for run_id, execution in held.items() if run_id not in self._read_runs]
        self._scanner.read_each(unread, self._on_execution)

    def _refresh_holdings(self) -> None:
        """Read the ledger again, and count which tasks the lost polls in it may have received."""
        facts = self._facts
        facts.holdings = facts.holdings.merge(self._read_holdings())
        facts.claims.clear()
        for each in self._candidates:
            if isinstance(each.task, ActivityTask):
                polls = facts.holdings.matching_polls(each.execution, each.task, facts.clock_skew)
                facts.claims.update(row.key for row in polls)

    def _discount_abandoned(self) -> None:
        """Have tasks that nobody works on count as no sign of a worker."""
        for each in self._candidates:
            if isinstance(each.task, ActivityTask) and each.task.started_at is not None:
                found = diagnose(each.execution, each.task, each.read_at, self._facts)
                if found is not None and found.reason == "holder-gone":
                    self._facts.discount(each.task)

    def _unexplained(self) -> list[ActivityTask | DecisionTask]:
        """Return the tasks that have waited long on lists that show no sign of a worker or decider."""
        waiting = (each.task for each in self._candidates if each.task.started_at is None)
        return [task for task in waiting if not self._facts.list_is_worked(task)]

    def _look_for_workers(self) -> None:
        """Read the newest pages of the newest executions, open and closed, until each list shows a worker."""
        suspects = self._unexplained()
        if suspects and not self._calls.is_over:
            newest = self._newest_executions(min(task.waiting_since for task in suspects))
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
                self._failed_lists += 1
                _log.info("cannot look for workers in further executions: %s", error.message)
        in_turn = (execution for pair in zip_longest(*lists) for execution in pair if execution is not None)
        unread = (execution for execution in in_turn if execution.run_id not in self._read_runs)
        return list(islice(unread, MAX_EVIDENCE))

    def _read_inputs(self) -> None:
        """Read the executions of rows that need an input that was not kept."""
        rows = self._report.rows
        lacking = {
            (row.execution.run_id, row.task.started_event_id): (number, row.task)
            for number, row in enumerate(rows[: self._with_input])
            if row.lacks_input and isinstance(row.task, ActivityTask)
        }

        def on_execution(found: ExecutionTasks) -> None:
            for read in found.tasks:
                number, task = lacking.pop((found.execution.run_id, read.started_event_id), (None, read))
                if number is not None:
                    rows[number] = replace(rows[number], task=replace(task, input=read.input), lacks_input=False)

        executions = dict.fromkeys(rows[number].execution for number, _ in lacking.values())
        self._scanner.read_each(executions, on_execution)
        if lacking:
            _log.info("stuck tasks whose input could not be read again: %d", len(lacking))
