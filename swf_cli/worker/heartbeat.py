"""The heartbeats of a worker's task, from a thread of their own, so that a slow network holds up nothing else."""

import os
import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

from ..api import send_heartbeat
from ..client.call import call
from ..client.session import Session
from ..errors import Cancelled, InvalidRequest, NetworkError, SwfError, TaskNotOpen
from ..history import attributes
from ..models import LIMITS, WorkerTask, parse_timeout
from ..retry import TRANSIENT

if TYPE_CHECKING:
    import botocore.client


_SHORT: Final = 0.5  # seconds that a command runs before its task's heartbeat timeout is looked up
_UNKNOWN_TIMEOUT: Final = 60.0  # seconds; the heartbeat timeout when it can't be found, or is unlimited
_LONGEST_INTERVAL: Final = 60.0  # seconds; a cancellation is heard of by a heartbeat
_LOOKUP_TIMEOUT: Final = 5.0  # seconds
_LOOKUPS: Final = 5  # of a task that history does not show yet
_SOONEST: Final = 0.1  # seconds
_LATEST: Final = 5.0  # seconds to the next try at most, when one has failed


class Heart:
    """Tells SWF that a task is alive, and hears whether it still should be. `start` it once it `is_due`; `stop` it.

    `interval` is in seconds; `auto` finds the task's heartbeat timeout, and goes by a third of it; `off` never beats.
    """

    def __init__(
        self,
        session: Session,
        domain: str,
        task: WorkerTask,
        interval: float | Literal["auto", "off"],
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.news: Literal["cancelled", "closed"] | None = None
        """What SWF has said of the task: that its cancellation was requested, or that it is not open any more."""

        self.notes: str | None = None
        """The file whose last line goes with each heartbeat."""

        self._session = session
        self._domain = domain
        self._task = task
        self._tell = tell
        self._clock = clock
        self._began = clock()
        self._interval = interval if isinstance(interval, float | int) else None
        self._lookups = 0
        self._due = float("inf") if interval == "off" else self._began + (self._interval or _SHORT)
        self._stopped: threading.Event | None = None

    def is_due(self) -> bool:
        """Tell whether it is time for the first step: most tasks are done before, and cost no thread."""
        return self._stopped is None and self._clock() >= self._due

    def start(self) -> None:
        """Beat from now on, whenever it is time."""
        if self._stopped is None and self._due < float("inf"):
            self._stopped = threading.Event()
            # A call that hangs must not keep the process from its end.
            threading.Thread(target=self._run, args=(self._stopped,), name="heart", daemon=True).start()

    def stop(self) -> None:
        """Beat no more. Does not wait for a heartbeat that is on its way."""
        if self._stopped is not None:
            self._stopped.set()

    @property
    def _is_stopped(self) -> bool:
        return self._stopped is not None and self._stopped.is_set()

    def _run(self, stopped: threading.Event) -> None:
        while self.news != "closed" and not stopped.wait(self.seconds_left()):
            try:
                self.beat()
            except Exception as error:
                # Whatever it is, the next one may get through.
                self._due = self._clock() + _LATEST
                self._tell(f"the heartbeat failed: unexpected {type(error).__name__}: {error}")

    def seconds_left(self) -> float:
        """Tell how long it is to the next step."""
        return max(0.0, self._due - self._clock())

    def beat(self) -> None:
        """Take the next step: find the interval, or send a heartbeat (RecordActivityTaskHeartbeat)."""
        if self._interval is None:
            self._interval = self._find_interval()
            if self._interval is not None:
                self._due = self._began + self._pause(self._interval)
                return
        interval = min(_LATEST, 1.0 + self._lookups) if self._interval is None else self._interval
        now = self._clock()
        try:
            self._send(self._session.with_timeout(interval / 2))
        except Cancelled:
            self.news = self.news or "cancelled"
        except TaskNotOpen:
            self.news = "closed"
        except SwfError as error:
            # Never the end of a task: what SWF did not hear, it may hear the next time, which comes the sooner.
            # A broken network may be whole again at any moment; who is asked for less gets a little less.
            part = 20 if isinstance(error, NetworkError) else 4
            self._due = self._clock() + min(max(interval / part, _SOONEST), _LATEST)
            if not self._is_stopped:
                self._tell(f"the heartbeat failed: {error.message}")
            return
        self._due = now + self._pause(interval)

    def _pause(self, interval: float) -> float:
        # Chance spreads the load. Of a timeout of 6 s, a network that is down for 4 s leaves 2: less than a third.
        return interval * random.uniform(0.7, 0.9)  # noqa: S311 - it hides nothing

    def _send(self, client: "botocore.client.BaseClient") -> None:
        details = self._details()
        try:
            send_heartbeat(self._task.token, details, client)
        except (InvalidRequest, ValueError) as error:
            if details is None:
                raise
            self._tell(f"the heartbeat goes without its details: {error}")
            send_heartbeat(self._task.token, None, client)

    def _details(self) -> str | None:
        """Give the last line of the command's heartbeat file, if it wrote one."""
        _, most = LIMITS["heartbeat details"]
        if self.notes is None:
            return None
        try:
            # A pipe of that name must not hold up the heartbeat.
            with open(os.open(self.notes, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 4 * most))
                lines = file.read().decode("utf-8", "replace").rstrip("\n").split("\n")
        except OSError:
            return None
        return lines[-1][:most] or None

    def _find_interval(self) -> float | None:
        """Find the seconds between heartbeats; None when they may be found later."""
        client = self._session.with_timeout(_LOOKUP_TIMEOUT)
        self._lookups += 1
        most = None
        try:
            scheduled = self._read_scheduled(client)
            if scheduled is None and self._lookups < _LOOKUPS:
                return None
            found = (scheduled or {}).get("heartbeatTimeout") or self._default_timeout(client)
        except TRANSIENT as error:
            self._tell(f"its heartbeat timeout can't be looked up now: {error.message}")
            return None
        except SwfError:
            # History may not be read, so the task may have been given a shorter one than its type's default.
            found, most = self._default_timeout_if_allowed(client), _UNKNOWN_TIMEOUT
        timeout = parse_timeout(found) if found else None
        seconds = timeout.total_seconds() if timeout else _UNKNOWN_TIMEOUT
        return min(min(seconds, most or seconds) / 3, _LONGEST_INTERVAL)

    def _read_scheduled(self, client: "botocore.client.BaseClient") -> dict[str, Any] | None:
        """Read the task's scheduled event (GetWorkflowExecutionHistory, backwards from its start); None without one.

        History is eventually consistent: what is not in it yet may come.
        """
        task, scheduled = self._task, None
        arguments: dict[str, Any] = {
            "domain": self._domain,
            "execution": {"workflowId": task.execution.id, "runId": task.execution.run_id},
            "reverseOrder": True,
        }
        while not self._is_stopped:
            page = call(client, "get_workflow_execution_history", **arguments)
            for event in page.get("events", []):
                if event["eventId"] == task.task_started_execution_history_event_id:
                    scheduled = attributes(event)["scheduledEventId"]
                elif event["eventId"] == scheduled:
                    return dict(attributes(event))
            if not page.get("nextPageToken"):
                break
            arguments["nextPageToken"] = page["nextPageToken"]
        return None

    def _default_timeout(self, client: "botocore.client.BaseClient") -> str | None:
        """Read the default of its activity type (DescribeActivityType)."""
        activity = {"name": self._task.activity.name, "version": self._task.activity.version}
        reply = call(client, "describe_activity_type", domain=self._domain, activityType=activity)
        found: str | None = reply["configuration"].get("defaultTaskHeartbeatTimeout")
        return found

    def _default_timeout_if_allowed(self, client: "botocore.client.BaseClient") -> str | None:
        try:
            return self._default_timeout(client)
        except SwfError:
            return None
