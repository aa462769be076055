"""Scan a domain: which executions are read, and in what order."""

import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from ..errors import AccessError, InvalidResponseError, SwfError, UnknownResource
from ..fields import number_of
from ..history import is_unknown_execution
from ..models import ExecutionId
from ..names import did_you_mean, suggest_names
from .calls import ScanCalls, ScanProgress, Stopped
from .execution import BAD_TOKEN, PAGE_SIZE, ExecutionReader, ExecutionTasks

YEAR: Final = 366 * 86_400.0
"""Seconds: SWF's limit on the lifetime of an execution, 365 days, and a day of tolerance."""

_READERS: Final = 8
_MAX_CONSECUTIVE_FAILURES: Final = 20  # executions skipped in a row: the problem is not theirs
_CLOCK_TOLERANCE: Final = 2.0  # seconds that the two clocks may differ by before a list is asked for again
_LIST_OPEN: Final = "list_open_workflow_executions"
_LIST_CLOSED: Final = "list_closed_workflow_executions"

_log = logging.getLogger(__name__)

OnExecution = Callable[[ExecutionTasks], None]
"""Receives what was read of an execution."""


class DomainScanner:
    """Reads the executions of a domain, several at once.

    An execution that can't be read is logged, counted and skipped. A scan that can't go on ends with
    `calls.failure` set.

    Args:
        page_size: events, or executions, per page
    """

    def __init__(self, calls: ScanCalls, *, page_size: int = PAGE_SIZE) -> None:
        self.calls = calls
        self.reader = ExecutionReader(calls, page_size)
        self._page_size = page_size
        self._lock = threading.Lock()
        self._missed: list[SwfError] = []
        """Why executions were skipped, since one was read."""

    @property
    def progress(self) -> ScanProgress:
        """How far the scan is."""
        return self.calls.progress

    def scan(self, on_execution: OnExecution, *, older_than: float = 0.0) -> None:
        """Read the open tasks of every open execution that started at least `older_than` seconds ago.

        Call `on_execution`, from one thread at a time. Raise SwfError if the executions can't be listed, or none of
        them can be read; if the scan ends early after some were, `calls.failure` is set.
        """
        self._read_each(self._open_executions(older_than), self.reader.read_open, on_execution)
        is_empty = not self.progress.executions and not self.calls.stop.is_set()
        if is_empty and (self.calls.failure or self._missed):
            raise self.calls.failure or self._missed[-1]

    def read_each(
        self, executions: Iterable[ExecutionId], on_execution: OnExecution, *, newest_page: bool = False
    ) -> None:
        """Read the open tasks of executions, or what their newest pages show; see `scan`."""
        self._read_each(
            executions, self.reader.read_newest_page if newest_page else self.reader.read_open, on_execution
        )

    def _read_each(
        self,
        executions: Iterable[ExecutionId],
        read: Callable[[ExecutionId], ExecutionTasks],
        on_execution: OnExecution,
    ) -> None:
        # Bound the queue: the executions are never all in memory.
        free = threading.Semaphore(2 * _READERS)
        unexpected: list[Exception] = []

        def read_one(execution: ExecutionId) -> None:
            try:
                if not self.calls.is_over and not unexpected:
                    self._read_one(execution, read, on_execution)
            except Exception as error:
                unexpected.append(error)
            finally:
                free.release()

        with ThreadPoolExecutor(max_workers=_READERS) as readers:
            try:
                for execution in executions:
                    free.acquire()
                    if self.calls.is_over or unexpected:
                        break
                    readers.submit(read_one, execution)
            except Stopped:
                return
            except SwfError as error:
                self.calls.fail(error)
        if unexpected:
            raise unexpected[0]

    def _read_one(
        self,
        execution: ExecutionId,
        read: Callable[[ExecutionId], ExecutionTasks],
        on_execution: OnExecution,
    ) -> None:
        try:
            found = read(execution)
        except Stopped:
            return
        except AccessError as error:
            self.calls.fail(error)
            return
        except SwfError as error:
            if not is_unknown_execution(error, execution):
                if error is not self.calls.failure:
                    self._skip(execution, error)
                return
            found = ExecutionTasks(execution, [])  # closed and deleted since it was listed
        with self._lock:
            self._missed.clear()
            self.progress.executions += 1
            self.progress.tasks += len(found.open_tasks)
            on_execution(found)

    def _skip(self, execution: ExecutionId, error: SwfError) -> None:
        with self._lock:
            self.progress.skipped += 1
            self._missed.append(error)
            is_hopeless = len(self._missed) >= _MAX_CONSECUTIVE_FAILURES
        _log.info("skipping workflow %s, run %s: %s", execution.id, execution.run_id, error.message)
        if is_hopeless:
            self.calls.fail(error)

    def count_open(self, older_than: float = 0.0) -> int:
        """Return the number of open executions that `scan` reads (CountOpenWorkflowExecutions)."""
        times = self._times(older_than)
        response = self.calls.call_once("count_open_workflow_executions", startTimeFilter=times)
        try:
            return number_of(response, "count")
        except (LookupError, TypeError) as error:
            raise InvalidResponseError("the response to CountOpenWorkflowExecutions has no count") from error

    def find(self, workflow_id: str) -> ExecutionId:
        """Return the open run of a workflow ID, else its newest. Raise UnknownResource if there is none."""
        for operation in (_LIST_OPEN, _LIST_CLOSED):
            token: dict[str, str] | None = {}
            while token is not None:
                page = self.calls.call(
                    operation,
                    startTimeFilter={"oldestDate": 0},
                    executionFilter={"workflowId": workflow_id},
                    maximumPageSize=1,
                    **token,
                )
                if found := next(iter(self._executions_of(page)), None):
                    return found[0]
                # A page that is empty may not be the last.
                token = {"nextPageToken": page["nextPageToken"]} if page.get("nextPageToken") else None
        raise self._not_found(workflow_id)

    def _not_found(self, workflow_id: str) -> UnknownResource:
        names: list[str] = []
        with suppress(SwfError):
            names += [execution.id for execution in self.newest_open(self._page_size)]
            names += [execution.id for execution in self.newest_closed(self._page_size)]
        message = f"no execution with the workflow ID {workflow_id} in {self.calls.domain}"
        return UnknownResource(message, hint=did_you_mean(suggest_names(workflow_id, names)))

    def newest_open(self, limit: int, *, younger_than: float = math.inf) -> list[ExecutionId]:
        """Return the newest open executions, of those that `scan` does not read (ListOpenWorkflowExecutions)."""
        earliest = self._latest(younger_than)
        if earliest == math.inf:
            return []
        page = self.calls.call(_LIST_OPEN, startTimeFilter=_since(earliest), maximumPageSize=limit)
        return [execution for execution, started_at in self._executions_of(page) if started_at > earliest]

    def newest_closed(self, limit: int, *, closed_since: float = 0.0) -> list[ExecutionId]:
        """Return the executions that closed last (ListClosedWorkflowExecutions, one page)."""
        page = self.calls.call(_LIST_CLOSED, closeTimeFilter=_since(closed_since), maximumPageSize=limit)
        return [execution for execution, _ in self._executions_of(page)]

    def _times(self, older_than: float) -> dict[str, int]:
        """Return the filter for executions that started at least `older_than` seconds ago."""
        times = {"oldestDate": int(self.calls.now() - YEAR)}
        return {**times, "latestDate": math.ceil(self._latest(older_than))} if older_than else times

    def _latest(self, older_than: float) -> float:
        # The times of the service are whole seconds, rounded down.
        return self.calls.now() - older_than + 1.0 if older_than else math.inf

    def _open_executions(self, older_than: float) -> Iterator[ExecutionId]:
        """List the open executions that started at least `older_than` seconds ago, newest first, each once."""
        times = self._times(older_than)
        page = self._list_open(times, {})
        if older_than and abs(self._latest(older_than) - times["latestDate"]) > _CLOCK_TOLERANCE:
            # The response showed how wrong this machine's clock is.
            times = self._times(older_than)
            page = self._list_open(times, {})
        latest = self._latest(older_than)
        last: dict[str, float] = {}
        """Start times of those listed last, by run ID."""
        while True:
            for execution, started_at in self._executions_of(page):
                if execution.run_id not in last:
                    last[execution.run_id] = started_at
                    if started_at <= latest:
                        yield execution
            if not page.get("nextPageToken"):
                return
            token = {"nextPageToken": page["nextPageToken"]}
            earliest = int(min(last.values(), default=0))
            last = {run_id: started_at for run_id, started_at in last.items() if started_at <= earliest + 1}
            try:
                page = self._list_open(times, token)
            except BAD_TOKEN:
                if times.get("latestDate") == earliest + 1:
                    raise
                # A page token is valid for a day: continue after the last one listed, in whole seconds.
                times["latestDate"] = earliest + 1
                page = self._list_open(times, {})

    def _list_open(self, times: dict[str, Any], token: dict[str, str]) -> dict[str, Any]:
        return self.calls.call(_LIST_OPEN, startTimeFilter=times, maximumPageSize=self._page_size, **token)

    def _executions_of(self, page: dict[str, Any]) -> Iterator[tuple[ExecutionId, float]]:
        """Yield the executions of a page and their start times; skip and count malformed rows."""
        infos = page.get("executionInfos")
        if not isinstance(infos, list):
            raise InvalidResponseError("the response to a list of workflow executions has no executions")
        for info in infos:
            try:
                execution = ExecutionId.from_api(info["execution"])
                yield execution, info["startTimestamp"].timestamp()
            except (AttributeError, LookupError, TypeError):
                with self.calls.lock:
                    self.progress.malformed += 1


def _since(time: float) -> dict[str, int]:
    return {"oldestDate": math.floor(max(0.0, time))}
