"""Read the tasks of one execution, in as few calls as possible."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from ..errors import InvalidRequest, InvalidResponseError, TaskNotOpen
from ..history import ActivityTask, DecisionTask
from ..models import ExecutionId
from .calls import HISTORY, ScanCalls
from .task_reader import TaskReader

PAGE_SIZE: Final = 1000
"""Events, or executions, per page: SWF's maximum."""

BAD_TOKEN: Final = (InvalidRequest, TaskNotOpen)
"""The faults for an expired page token."""

_NO_EVENTS: Final = "the response to GetWorkflowExecutionHistory has no events"
_LONGEST_LAG: Final = 300.0  # seconds by which a description may be behind the history
_TIME_TOLERANCE: Final = 0.002  # seconds by which the times of an event and of a description may differ


@dataclass(frozen=True, slots=True)
class ExecutionTasks:
    """What was read of an execution."""

    execution: ExecutionId
    tasks: list[ActivityTask]
    """Its open activity tasks, and the closed ones on the same pages."""

    decision: DecisionTask | None = None
    """Its open decision task."""

    decision_starts: Mapping[str, float] = field(default_factory=dict)
    """When a decision task of it was last started, by task list."""

    @property
    def open_tasks(self) -> list[ActivityTask | DecisionTask]:
        """Its open activity tasks, and its open decision task."""
        found: list[ActivityTask | DecisionTask] = [task for task in self.tasks if task.is_open]
        return found if self.decision is None else [*found, self.decision]


class ExecutionReader:
    """Reads executions from their histories.

    A history of one page shows everything. Of a longer one the newest page is read, then the number of open tasks
    (DescribeWorkflowExecution); if that shows something newer, the newest page once more; then older pages, as long
    as open tasks are missing.

    Args:
        page_size: events per page
    """

    def __init__(self, calls: ScanCalls, page_size: int = PAGE_SIZE) -> None:
        self._calls = calls
        self._page_size = page_size

    def read_open(self, execution: ExecutionId) -> ExecutionTasks:
        """Read the open tasks."""
        return _Reading(self._calls, execution, self._page_size).read_open()

    def read_all(self, execution: ExecutionId) -> ExecutionTasks:
        """Read all tasks: the whole history."""
        return _Reading(self._calls, execution, self._page_size).read_back(lambda _: False)

    def read_newest_page(self, execution: ExecutionId) -> ExecutionTasks:
        """Read the tasks that were scheduled on the newest page."""
        return _Reading(self._calls, execution, self._page_size).read_back(lambda _: True)

    def read_task(self, execution: ExecutionId, activity_id: str) -> ExecutionTasks:
        """Read back until the newest task with this activity ID is found."""
        return _Reading(self._calls, execution, self._page_size).read_back(
            lambda reader: reader.has_task(activity_id)
        )


class _Reading:
    """One reading of an execution's history, newest page first."""

    def __init__(self, calls: ScanCalls, execution: ExecutionId, page_size: int) -> None:
        self._calls = calls
        self._execution = execution
        self._wire = {"workflowId": execution.id, "runId": execution.run_id}
        self._page_size = page_size
        self._reader = TaskReader()
        self._token: str | None = None
        self._has_expired = False
        self._is_closed = False

    def read_open(self) -> ExecutionTasks:
        """Read the newest page, and older ones as long as open tasks are missing."""
        self._take(self._call())
        if not self._has_more or self._reader.is_over:
            return self._result()
        known_to, description = self._reader.newest_id, self._describe()
        counted_at = description.counted_at(self._calls.now())
        if description.is_newer_than(self._reader):
            self._read_newer()
            if description.is_closed or self._reader.is_over:
                self._is_closed = True
                return self._result()

        def is_enough(reader: TaskReader) -> bool:
            decision_is_found = reader.decision is not None or not reader.decision_may_be_older
            return (
                reader.oldest_id <= known_to + 1
                and not reader.count_older(description.open_tasks, counted_at)
                and (decision_is_found or not description.has_decision)
            )

        return self._read_on(is_enough)

    def read_back(self, is_enough: Callable[[TaskReader], bool]) -> ExecutionTasks:
        """Read from the newest page back until it is enough."""
        self._take(self._call())
        return self._read_on(is_enough)

    def _read_on(self, is_enough: Callable[[TaskReader], bool]) -> ExecutionTasks:
        while self._has_more and not is_enough(self._reader):
            try:
                page = self._call(nextPageToken=self._token)
            except BAD_TOKEN:
                if self._has_expired:
                    raise
                # A page token is valid for a day: start again at the newest page.
                self._has_expired = True
                page = self._call()
            self._take(page)
        return self._result()

    @property
    def _has_more(self) -> bool:
        return self._token is not None and not self._reader.is_whole

    def _call(self, **token: Any) -> dict[str, Any]:
        page = self._calls.call(
            HISTORY, execution=self._wire, reverseOrder=True, maximumPageSize=self._page_size, **token
        )
        if not isinstance(page.get("events"), list):
            raise InvalidResponseError(_NO_EVENTS)
        return page

    def _take(self, page: dict[str, Any]) -> None:
        self._reader.read(page["events"])
        self._token = page.get("nextPageToken") or None

    def _describe(self) -> "_Description":
        described = self._calls.call("describe_workflow_execution", execution=self._wire)
        try:
            latest = described.get("latestActivityTaskTimestamp")
            return _Description(
                is_closed=described["executionInfo"]["executionStatus"] == "CLOSED",
                open_tasks=int(described["openCounts"]["openActivityTasks"]),
                has_decision=bool(described["openCounts"]["openDecisionTasks"]),
                latest_at=0.0 if latest is None else latest.timestamp(),
            )
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise InvalidResponseError("unexpected response to DescribeWorkflowExecution") from error

    def _read_newer(self) -> None:
        """Read the newest page again."""
        page = self._call()
        newer = TaskReader()
        newer.read(page["events"])
        if newer.oldest_id <= self._reader.newest_id + 1:
            self._reader.read(page["events"])
        else:  # more than a page of events since: what was read is no longer next to it
            self._reader, self._token = newer, page.get("nextPageToken") or None

    def _result(self) -> ExecutionTasks:
        if not self._reader.newest_id and not self._reader.malformed:  # every history has its first event
            raise InvalidResponseError(_NO_EVENTS)
        with self._calls.lock:
            self._calls.progress.malformed += self._reader.malformed
        tasks, decision = self._reader.tasks(), self._reader.decision
        if self._is_closed:  # the description may say so before the history does
            tasks, decision = [task for task in tasks if not task.is_open], None
        return ExecutionTasks(self._execution, tasks, decision, self._reader.decision_starts)


@dataclass(frozen=True, slots=True)
class _Description:
    """What DescribeWorkflowExecution says of an execution's tasks."""

    is_closed: bool
    open_tasks: int
    """Number of open activity tasks."""

    has_decision: bool
    """Whether a decision task is open."""

    latest_at: float
    """Time of the last event of an activity task, perhaps also of a heartbeat; 0 if there was none."""

    def counted_at(self, now: float) -> float:
        """Return the time up to which activity tasks are counted: it may be a little behind the history."""
        if not self.latest_at:
            return inf
        tolerance = 0.999 if self.latest_at.is_integer() else _TIME_TOLERANCE  # it may be in whole seconds
        return max(self.latest_at + tolerance, now - _LONGEST_LAG)

    def is_newer_than(self, reader: TaskReader) -> bool:
        """Return whether it may be newer than the newest page that was read."""
        decision_has_changed = (
            not (reader.has_open_decision or reader.decision_may_be_older)
            if self.has_decision
            else reader.has_open_decision
        )
        return (
            self.is_closed
            or decision_has_changed
            or self.open_tasks < reader.open_found
            or self.latest_at > reader.newest_at + _TIME_TOLERANCE
        )
