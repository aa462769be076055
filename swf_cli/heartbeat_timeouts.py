"""The heartbeat timeouts of the tasks that a worker executes, from the histories of their executions."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from .client.call import call
from .errors import SwfError
from .history import attributes
from .models import ExecutionId, WorkerTask, parse_timeout
from .retry import TRANSIENT, Log
from .times import format_duration

if TYPE_CHECKING:
    from .client.session import Session, SessionClient

_UNKNOWN_TIMEOUT: Final = 60.0  # seconds; the heartbeat timeout if it can't be found, or is unlimited
_CALL_TIMEOUT: Final = 2.0  # seconds
_FIRST_PAGE: Final = 50  # events; those of a task that was just started are usually among the newest
_PAGES: Final = 30  # that are read for a task; the longest history, 25,000 events, has 25
_LOOKUPS: Final = 5  # of a task that the history does not show yet
_LONGEST_DELAY: Final = 5.0  # seconds
_READING_DELAY: Final = 0.1  # seconds between looks at whether another task's page has been read
_READING_DELAYS: Final = 5  # after which a task reads the page itself: the other task's call may hang
_MALFORMED: Final = (LookupError, TypeError, ValueError)  # what reading a response of another shape raises

_log = logging.getLogger(__name__)


class _Run:
    """What was read of the history of a run; its events never change."""

    def __init__(self) -> None:
        self.scheduled: dict[int, int] = {}
        """The ID of the scheduled event, by that of the started event."""
        self.timeouts: dict[int, str] = {}
        """The heartbeat timeout, by the ID of the scheduled event; empty if that does not give one."""
        self.reading = threading.Lock()
        """Held while a page is read."""

    def timeout_of(self, started: int) -> str | None:
        """Return the heartbeat timeout of the task with this started event, None if it was not read yet."""
        scheduled = self.scheduled.get(started)
        return None if scheduled is None else self.timeouts.get(scheduled)

    def add(self, events: Iterable[Mapping[str, Any]]) -> set[int]:
        """Add the events of a page, but for malformed ones; return the IDs of all."""
        ids = set()
        for event in events:
            number: int = event["eventId"]
            ids.add(number)
            match event.get("eventType"):
                case "ActivityTaskScheduled":
                    self.timeouts[number] = attributes(event).get("heartbeatTimeout") or ""
                case "ActivityTaskStarted" if "scheduledEventId" in attributes(event):
                    self.scheduled[number] = attributes(event)["scheduledEventId"]
        return ids


class HeartbeatTimeouts:
    """Finds the heartbeat timeouts of tasks. While tasks of a run are executed, they share what is read of it."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._is_refusal_logged = False
        self._runs: WeakValueDictionary[tuple[str, ExecutionId], _Run] = WeakValueDictionary()

    def lookup(self, domain: str, task: WorkerTask, log: Log) -> "TimeoutLookup":
        """Return a lookup of the timeout of a task; makes no call."""
        # If two threads add a run at once, one of them has it to itself, and reads a page more.
        run = self._runs.setdefault((domain, task.execution), _Run())
        return TimeoutLookup(self._session, domain, task, run, log, self.log_refusal)

    def log_refusal(self, error: SwfError, seconds: float) -> None:
        """Log, once for all tasks, that histories can't be read, and which timeout is assumed instead."""
        if not self._is_refusal_logged:
            self._is_refusal_logged = True
            hint = f"; {error.hint}" if error.hint else ""
            assumed = format_duration(seconds)
            message = "cannot look up heartbeat timeouts, so %s is assumed: %s%s"
            _log.warning(message, assumed, error.message, hint)


class TimeoutLookup:
    """Looks up the heartbeat timeout of a task, a page of the history at a time.

    Heartbeats may be sent between the steps: the timeout counts from the task's start.
    """

    def __init__(
        self,
        session: "Session",
        domain: str,
        task: WorkerTask,
        run: _Run,
        log: Log,
        log_refusal: Callable[[SwfError, float], None],
    ) -> None:
        self.delay = 0.0
        """Seconds until the next step is due, after one that did not find the timeout."""
        self.is_waiting = False
        """Whether the last step made no call, since a page of the same history is being read for another task."""
        self._session = session
        self._domain = domain
        self._task = task
        self._started = task.task_started_execution_history_event_id
        self._run = run
        self._log = log
        self._log_refusal = log_refusal
        self._pages = self._lookups = self._delays = 0
        self._page: dict[str, Any] = {"maximumPageSize": _FIRST_PAGE}
        """Which page is next; empty for the newest one, at its full size."""

    def step(self) -> float | None:
        """Return the timeout in seconds; None if a later step may find it. Reads at most one page of the history."""
        client = self._session.with_timeout(_CALL_TIMEOUT)
        try:
            found = self._find(client)
            if found is None:
                return None
            return _seconds(found) or self._read_default(client) or _UNKNOWN_TIMEOUT
        except TRANSIENT as error:
            self._log.info("cannot look up the heartbeat timeout yet: %s", error.message)
            self._retry_later()
            return None
        except (SwfError, *_MALFORMED) as error:
            # Such as without permission to read the history: the task may have a shorter timeout than its type's.
            seconds = min(self._read_default_if_possible(client) or _UNKNOWN_TIMEOUT, _UNKNOWN_TIMEOUT)
            if isinstance(error, SwfError):
                self._log_refusal(error, seconds)
            return seconds

    def _find(self, client: "SessionClient") -> str | None:
        """Return the timeout of the task's scheduled event, None if it was not read yet; empty for the default."""
        is_reader = self._run.reading.acquire(blocking=False)
        try:
            found = self._run.timeout_of(self._started)
            self.is_waiting = found is None and not is_reader and self._delays < _READING_DELAYS
            if self.is_waiting:
                self._delays, self.delay = self._delays + 1, _READING_DELAY
            elif found is None:
                found = self._read_page(client)
            return found
        finally:
            if is_reader:
                self._run.reading.release()

    def _read_page(self, client: "SessionClient") -> str | None:
        """Read a page (GetWorkflowExecutionHistory, backwards); return what `_find` does, and choose the next page.

        History is eventually consistent: what is not in it yet may appear. Raise LookupError for a malformed event,
        and if a whole history was read without finding the task's.
        """
        if self._pages == _PAGES:
            raise LookupError("no scheduled event in the pages that were read")
        if self._started in self._run.scheduled:
            self._page.pop("maximumPageSize", None)  # its scheduled event is older than what was read
        execution = {"workflowId": self._task.execution.id, "runId": self._task.execution.run_id}
        response = call(
            client,
            "get_workflow_execution_history",
            domain=self._domain,
            execution=execution,
            reverseOrder=True,
            **self._page,
        )
        self._pages += 1
        ids = self._run.add(response.get("events", []))
        found = self._run.timeout_of(self._started)
        if found is not None:
            return found
        if self._started in ids and self._started not in self._run.scheduled:
            raise LookupError("malformed started event")
        token = response.get("nextPageToken")
        is_newest = "nextPageToken" not in self._page
        if not token or (is_newest and max(ids, default=self._started) < self._started):
            self._page = {}
            self._retry_later()
            return None if self._lookups < _LOOKUPS else ""
        # SWF wants the same arguments for each page: those of full size start over.
        self._page = {} if "maximumPageSize" in self._page else {"nextPageToken": token}
        self.delay = 0.0
        return None

    def _retry_later(self) -> None:
        self._lookups += 1
        self.delay = min(_LONGEST_DELAY, 1.0 + self._lookups)

    def _read_default(self, client: "SessionClient") -> float | None:
        """Return the default heartbeat timeout, in seconds, of the task's activity type (DescribeActivityType)."""
        activity = {"name": self._task.activity.name, "version": self._task.activity.version}
        response = call(client, "describe_activity_type", domain=self._domain, activityType=activity)
        return _seconds(response["configuration"].get("defaultTaskHeartbeatTimeout"))

    def _read_default_if_possible(self, client: "SessionClient") -> float | None:
        try:
            return self._read_default(client)
        except (SwfError, *_MALFORMED):
            return None


def _seconds(timeout: str | None) -> float | None:
    """Return the seconds of a timeout, those of an unknown one if it is unlimited; None if it is not given."""
    if not timeout:
        return None
    found = parse_timeout(timeout)
    return found.total_seconds() if found else _UNKNOWN_TIMEOUT
