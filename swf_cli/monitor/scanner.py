"""Which executions of a domain to read, how far back, and how fast."""

import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from ..client.call import call
from ..errors import (
    AccessError,
    InvalidRequest,
    LimitExceededError,
    NetworkError,
    ServiceError,
    SwfError,
    TaskNotOpen,
    ThrottlingError,
    UnknownResource,
)
from ..history import ActivityTask, TaskReader
from ..ledger.records import Holding
from ..models import ExecutionId
from .diagnosis import Diagnosis, DomainFacts, diagnose

if TYPE_CHECKING:
    import botocore.client


PAGE: Final = 1000
"""Events, or executions, of a page: the most that SWF gives."""

YEAR: Final = 366 * 86_400.0
"""Seconds; no execution lives longer."""

_HISTORY: Final = "get_workflow_execution_history"
_BAD_TOKEN: Final = (InvalidRequest, TaskNotOpen)  # what SWF makes of a page token that has expired
_CLOSED: Final = -1.0
_READERS: Final = 8
_TRIES: Final = 4  # of a call that fails for another reason than throttling
_MAX_CONSECUTIVE_FAILURES: Final = 20  # executions passed over in a row: it is not they that can't be read
_LONGEST_PAUSE: Final = 5.0  # seconds


@dataclass(slots=True)
class Progress:
    """How far a survey is."""

    executions: int = 0
    tasks: int = 0
    calls: int = 0
    throttles: int = 0
    skipped: int = 0


class RateLimiter:
    """Spaces calls out evenly, for many threads; each throttling pushes them further apart for a while."""

    def __init__(
        self,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._gap = 1 / rate
        self._clock = clock
        self._wait = wait
        self._lock = threading.Lock()
        self._next = clock()

    def acquire(self) -> None:
        """Wait for the turn of a call."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if turn > now:
            self._wait(turn - now)

    def slow_down(self, seconds: float) -> None:
        """Let no call start for so long."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)


class DomainScanner:
    """Reads a domain's open executions, or one execution, in the fewest calls that tell which tasks are open.

    A history that fits a page (1,000 events) tells everything. Of a longer one the newest page is read, then how many
    tasks are open (DescribeWorkflowExecution), then further pages backwards until those are found. `client` makes one
    try of each call: throttling is waited out here, for as long as it takes, and other faults a few times.
    """

    def __init__(
        self,
        client: "botocore.client.BaseClient",
        domain: str,
        *,
        rate: float = 30.0,
        stop: threading.Event | None = None,
        tell: Callable[[str], None] = lambda line: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.progress = Progress()
        self.failure: SwfError | None = None
        """Why it could not go on, after some executions were read."""
        self._client = client
        self._domain = domain
        self._stop = stop or threading.Event()
        self._tell = tell
        self._clock = clock
        self.ahead = 0.0
        """How many seconds the service's clock is ahead of this machine's, as its last reply told."""
        self._pace = RateLimiter(rate, wait=self._stop.wait)
        self._lock = threading.Lock()
        self._missed: list[SwfError] = []
        """Why executions were passed over, since one was read."""

    def now(self) -> float:
        """Tell the service's time, in seconds since the epoch: this machine's clock may differ."""
        return self._clock() + self.ahead

    def open_tasks(self, see: Callable[[ExecutionId, list[ActivityTask]], None]) -> None:
        """Read every open execution (ListOpenWorkflowExecutions, a year back), several at once.

        `see` is given, one call at a time, the tasks that were read of each: its open ones, and such closed ones as
        came with them. An execution that can't be read is told and passed over. Stops early when `stop` is set.

        Raises SwfError when the executions can't be listed, or none of them read. When it can't go on after some
        were, it sets `failure`.
        """
        # As many may wait as are read: a domain's executions never stand in memory all at once.
        free = threading.Semaphore(2 * _READERS)

        def read(execution: ExecutionId) -> None:
            try:
                if not (self._stop.is_set() or self.failure):
                    self._read_and_show(execution, see)
            finally:
                free.release()

        with ThreadPoolExecutor(max_workers=_READERS) as readers:
            try:
                for execution in self._executions():
                    free.acquire()
                    if self._stop.is_set() or self.failure:
                        break
                    readers.submit(read, execution)
            except SwfError as error:
                self.failure = error
        nothing = not self.progress.executions and not self._stop.is_set()
        if nothing and (self.failure or self._missed):
            raise self.failure or self._missed[-1]

    def _read_and_show(self, execution: ExecutionId, see: Callable[[ExecutionId, list[ActivityTask]], None]) -> None:
        try:
            tasks = self.tasks(execution)
        except UnknownResource:
            tasks = []  # it has closed, and is gone, since it was listed
        except _Stopped:
            return
        except AccessError as error:
            self.failure = error
            return
        except (SwfError, LookupError, TypeError, ValueError) as error:
            fault = error if isinstance(error, SwfError) else SwfError(f"its history makes no sense: {error!r}")
            self._skip(execution, fault)
            return
        with self._lock:
            self._missed.clear()
            self.progress.executions += 1
            self.progress.tasks += sum(task.is_open for task in tasks)
            see(execution, tasks)

    def _skip(self, execution: ExecutionId, fault: SwfError) -> None:
        with self._lock:
            self.progress.skipped += 1
            self._missed.append(fault)
            if len(self._missed) >= _MAX_CONSECUTIVE_FAILURES:
                self.failure = fault
        self._tell(f"workflow {execution.id}, run {execution.run_id} is passed over: {fault.message}")

    def tasks(self, execution: ExecutionId, *, everything: bool = False) -> list[ActivityTask]:
        """Read the open tasks of an execution, or all of them; see the class for which calls that takes."""
        reader = TaskReader()
        arguments = {
            "execution": {"workflowId": execution.id, "runId": execution.run_id},
            "reverseOrder": True,
            "maximumPageSize": PAGE,
        }
        to_find = float("inf") if everything else None
        expired = False
        while True:
            try:
                page = self._call(_HISTORY, **arguments)
            except _BAD_TOKEN:
                if expired or "nextPageToken" not in arguments:
                    raise
                # SWF takes a page token for a day: once more from the newest page.
                expired = True
                del arguments["nextPageToken"]
                continue
            reader.read(page["events"])
            if reader.is_whole or not page.get("nextPageToken"):
                break
            if to_find is None:
                to_find = 0 if reader.is_over else self._count_open(execution, reader)
            if to_find == _CLOSED:
                return []
            if reader.open_found >= to_find:
                break
            arguments["nextPageToken"] = page["nextPageToken"]
        return reader.tasks()

    def find(self, workflow_id: str) -> ExecutionId:
        """Find the open run of a workflow id, else its newest. Raises UnknownResource when there is none."""
        for operation in ("list_open_workflow_executions", "list_closed_workflow_executions"):
            token: dict[str, str] | None = {}
            while token is not None:
                page = self._call(
                    operation,
                    startTimeFilter={"oldestDate": 0},
                    executionFilter={"workflowId": workflow_id},
                    maximumPageSize=1,
                    **token,
                )
                if page["executionInfos"]:
                    return ExecutionId.from_api(page["executionInfos"][0]["execution"])
                # A page may be empty and not the last.
                token = {"nextPageToken": page["nextPageToken"]} if page.get("nextPageToken") else None
        raise UnknownResource(f"no execution with the workflow id {workflow_id} is known in {self._domain}")

    def count_open(self) -> int:
        """Count the open executions (CountOpenWorkflowExecutions)."""
        since = {"startTimeFilter": {"oldestDate": self._oldest()}}
        return int(self._call("count_open_workflow_executions", **since)["count"])

    def _count_open(self, execution: ExecutionId, reader: TaskReader) -> float:
        """Tell how many open tasks to look for in further pages (DescribeWorkflowExecution).

        When it shows that something has happened since the newest page was read, the count is not of what these pages
        show: then all of them are read. `_CLOSED` when it has closed since.
        """
        where = {"workflowId": execution.id, "runId": execution.run_id}
        described = self._call("describe_workflow_execution", execution=where)
        if described["executionInfo"]["executionStatus"] == "CLOSED":
            return _CLOSED
        counts = described["openCounts"]
        scheduled_at = described.get("latestActivityTaskTimestamp")
        grown = (
            counts["openActivityTasks"] < reader.open_found
            or (counts["openDecisionTasks"] and not reader.decision_may_wait)
            or (scheduled_at is not None and scheduled_at.timestamp() > reader.newest_at)
        )
        return float("inf") if grown else int(counts["openActivityTasks"])

    def _oldest(self) -> int:
        return int(self.now() - YEAR)

    def _executions(self) -> Iterator[ExecutionId]:
        """List the open executions, newest first, each once."""
        since: dict[str, Any] = {"oldestDate": self._oldest()}
        token: dict[str, str] = {}
        near: dict[str, float] = {}
        """Start times of those that were listed last, by run id."""
        while True:
            try:
                page = self._call(
                    "list_open_workflow_executions", startTimeFilter=since, maximumPageSize=PAGE, **token
                )
            except _Stopped:
                return
            except _BAD_TOKEN:
                last = int(min(near.values(), default=0))
                if not token or since.get("latestDate") == last + 1:
                    raise
                # SWF takes a page token for a day: on from the last one listed, to a whole second.
                since, token = {**since, "latestDate": last + 1}, {}
                continue
            for info in page["executionInfos"]:
                execution = ExecutionId.from_api(info["execution"])
                if execution.run_id not in near:
                    near[execution.run_id] = info["startTimestamp"].timestamp()
                    yield execution
            if not page.get("nextPageToken"):
                return
            token = {"nextPageToken": page["nextPageToken"]}
            last = int(min(near.values(), default=0))
            near = {run_id: started for run_id, started in near.items() if started <= last + 1}

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        failures = throttles = 0
        while True:
            if operation == _HISTORY:
                self._pace.acquire()
            if self._stop.is_set():
                raise _Stopped("stopped")
            with self._lock:
                self.progress.calls += 1
            try:
                reply = call(self._client, operation, domain=self._domain, **arguments)
            except (ThrottlingError, LimitExceededError):
                with self._lock:
                    self.progress.throttles += 1
                pause = min(_LONGEST_PAUSE, 0.25 * 2**throttles) * random.uniform(0.5, 1.0)  # noqa: S311
                throttles = min(throttles + 1, 8)
                if operation == _HISTORY:
                    self._pace.slow_down(pause)
                self._stop.wait(pause)
            except (NetworkError, ServiceError):
                failures += 1
                if failures >= _TRIES:
                    raise
                self._stop.wait(min(_LONGEST_PAUSE, 0.25 * 2**failures))
            else:
                self._note_time(reply)
                return reply

    def _note_time(self, reply: dict[str, Any]) -> None:
        date = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date:
            try:
                self.ahead = parsedate_to_datetime(date).timestamp() - self._clock()
            except ValueError:
                return


class _Stopped(SwfError):
    """It was told to stop."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """An open task that looks stuck."""

    execution: ExecutionId
    task: ActivityTask
    diagnosis: Diagnosis


def find_stuck(
    survey: DomainScanner,
    holdings: Sequence[Holding],
    *,
    older_than: float,
    task_lists: Collection[str] = (),
    activity: str | None = None,
) -> list[Stuck]:
    """Find the open tasks of a domain that look stuck, worst first; those of some lists or one activity, if named.

    `holdings` is what this machine's ledger has of that domain; `older_than` is in seconds. Raises SwfError when no
    execution could be read; see `DomainScanner.failure` when not all could.
    """
    around = DomainFacts(older_than=older_than, holdings=holdings)
    found: list[tuple[ExecutionId, ActivityTask, float]] = []

    def see(execution: ExecutionId, tasks: list[ActivityTask]) -> None:
        around.observe(tasks)
        # What is open now may be closed by the end of a long survey: each is judged by the time that it was read.
        now = survey.now()
        found.extend(
            (execution, task, now)
            for task in tasks
            if task.is_open
            and (not task_lists or task.task_list in task_lists)
            and activity in (None, task.activity.name)
        )

    survey.open_tasks(see)
    around.ahead = survey.ahead
    stuck = [
        Stuck(execution, task, diagnosis)
        for execution, task, now in found
        if (diagnosis := diagnose(execution, task, now, around)) is not None
    ]
    return sorted(stuck, key=lambda row: (row.diagnosis.rank, row.execution.id, row.execution.run_id))
