"""One execution whose history and description behave as recorded from the real service.

An event that a decider must see adds DecisionTaskScheduled with the same time, also while another decision task is
started. `latestActivityTaskTimestamp` is the time of the last event of an activity task, other than a
time-out, and a millisecond more; heartbeats move it.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

_CONFIGURATION = dict.fromkeys(
    ("scheduleToStartTimeout", "scheduleToCloseTimeout", "startToCloseTimeout", "heartbeatTimeout"), "NONE"
)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


class RecordedExecution:
    """An execution, and the client to read it with. Time moves by a second with each event."""

    def __init__(self, events: int = 0) -> None:
        self.events: list[dict[str, Any]] = []
        self.calls: list[str] = []
        """Names of the operations that were called."""
        self.before: Callable[[str], None] = lambda operation: None
        """Runs before each call."""
        self.is_closed = False
        self.described: dict[str, Any] | None = None
        """What DescribeWorkflowExecution returns although it is out of date; None if it is up to date."""
        self._now = 1_000_000.0
        self._latest: float | None = None
        self._open: dict[int, str] = {}
        self._waiting: int | None = None
        """Event ID of the decision task that waits."""
        self._started: tuple[int, int] | None = None
        """Event IDs of the scheduling and the start of the decision task that is started."""
        self._record("WorkflowExecutionStarted")
        for _ in range(events):
            self.signal()

    @property
    def now(self) -> float:
        """The time, in seconds since the epoch."""
        return self._now

    @property
    def open_ids(self) -> set[str]:
        """Activity IDs of the open tasks."""
        return set(self._open.values())

    @property
    def open_decision(self) -> int | None:
        """Event ID of the scheduling of the decision task that is started, else of the one that waits."""
        return self._started[0] if self._started else self._waiting

    def position(self, activity_id: str) -> int:
        """Return how many events are newer than the scheduling of an open task."""
        return len(self.events) - next(number for number, name in self._open.items() if name == activity_id)

    def _record(self, kind: str, **values: Any) -> int:
        number = len(self.events) + 1
        self._now += 0.0 if kind == "DecisionTaskScheduled" else 1.0
        name = f"{kind[0].lower()}{kind[1:]}EventAttributes"
        self.events.append({"eventId": number, "eventType": kind, "eventTimestamp": _time(self._now), name: values})
        return number

    def _record_activity(self, kind: str, **values: Any) -> int:
        number = self._record(kind, **values)
        if kind != "ActivityTaskTimedOut":
            self._latest = self._now + 0.001
        return number

    def _want_decision(self) -> None:
        if self._waiting is None:
            values = {"taskList": {"name": "deciders"}, "startToCloseTimeout": "30", "scheduleToStartTimeout": "NONE"}
            self._waiting = self._record("DecisionTaskScheduled", **values)

    def signal(self) -> None:
        """Signal it."""
        self._record("WorkflowExecutionSignaled", signalName="tick")
        self._want_decision()

    def take_decision(self) -> None:
        """Have a decider start the decision task that waits, if none is started."""
        waiting = self._waiting
        if waiting is not None and self._started is None:
            start = self._record("DecisionTaskStarted", scheduledEventId=waiting, identity="decider")
            self._waiting, self._started = None, (waiting, start)

    def decide(self, *activity_ids: str) -> None:
        """Have the decider complete the decision task that is started, scheduling these tasks."""
        if self._started is not None:
            scheduled, started = self._started
            self._record("DecisionTaskCompleted", scheduledEventId=scheduled, startedEventId=started)
            self._started = None
            for activity_id in activity_ids:
                self.schedule(activity_id)

    def schedule(self, activity_id: str) -> None:
        """Schedule an activity task."""
        number = self._record_activity(
            "ActivityTaskScheduled",
            activityId=activity_id,
            activityType={"name": "resize", "version": "1"},
            taskList={"name": "work"},
            **_CONFIGURATION,
        )
        self._open[number] = activity_id

    def start(self, activity_id: str) -> None:
        """Have a worker start a task."""
        self._record_activity("ActivityTaskStarted", scheduledEventId=self._number(activity_id), identity="worker")

    def heartbeat(self) -> None:
        """Have a worker send a heartbeat."""
        self._now += 1.0
        self._latest = self._now

    def close(self, activity_id: str, kind: str = "Completed") -> None:
        """Close a task."""
        number = self._number(activity_id)
        del self._open[number]
        values = {"timeoutType": "HEARTBEAT"} if kind == "TimedOut" else {}
        self._record_activity(f"ActivityTask{kind}", scheduledEventId=number, startedEventId=0, **values)
        self._want_decision()

    def terminate(self) -> None:
        """Close the execution."""
        self._record("WorkflowExecutionTerminated", cause="OPERATOR_INITIATED")
        self._open.clear()
        self._waiting = self._started = None
        self.is_closed = True

    def _number(self, activity_id: str) -> int:
        return next(number for number, name in self._open.items() if name == activity_id)

    # The client

    def get_workflow_execution_history(
        self, maximumPageSize: int, nextPageToken: str | None = None, **_: Any
    ) -> dict[str, Any]:
        """GetWorkflowExecutionHistory, in reverse order."""
        self._call("history")
        end = len(self.events) if nextPageToken is None else int(nextPageToken)
        start = max(0, end - maximumPageSize)
        token = {"nextPageToken": str(start)} if start else {}
        return {"events": self.events[start:end][::-1], **token}

    def describe_workflow_execution(self, **_: Any) -> dict[str, Any]:
        """DescribeWorkflowExecution."""
        self._call("describe")
        return self.described or self.describe()

    def describe(self) -> dict[str, Any]:
        """Return an up-to-date description."""
        latest = {} if self._latest is None else {"latestActivityTaskTimestamp": _time(self._latest)}
        return {
            "executionInfo": {"executionStatus": "CLOSED" if self.is_closed else "OPEN"},
            "openCounts": {
                "openActivityTasks": len(self._open),
                "openDecisionTasks": int(self.open_decision is not None),
            },
            **latest,
        }

    def _call(self, operation: str) -> None:
        self.calls.append(operation)
        self.before(operation)
