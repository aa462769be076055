"""Read the open and closed tasks of an execution from the pages of its history. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from math import inf
from typing import Any

from ..fields import optional_text, text_of
from ..history import (
    ACTIVITY_ENDS,
    EXECUTION_ENDS,
    ActivityTask,
    DecisionTask,
    End,
    activity_end,
    attributes,
    event_time,
    execution_end,
)
from ..models import ActivityId, PartialTaskConfiguration, parse_timeout


@dataclass(frozen=True, slots=True)
class _Start:
    """A start event of a task."""

    event_id: int
    at: float
    identity: str | None


@dataclass(frozen=True, slots=True)
class _Closing:
    """A closing event of a task."""

    event_id: int
    at: float
    started_event_id: int
    """0 if the task was never started."""

    end: End | None = None
    """How an activity task ended."""

    timeout_type: str | None = None
    """Kind of timeout of a decision task; None if it was completed."""


class TaskReader:
    """Reads the tasks of an execution from the pages of its history, in any order.

    Events of other kinds are ignored; malformed ones are skipped and counted. Read backwards, the end of a task comes
    before its scheduling: a task that is found without an end is open. Tasks and events are matched by event IDs: the
    order of events and their timestamps say nothing certain.
    """

    def __init__(self) -> None:
        self._scheduled: dict[int, ActivityTask] = {}
        self._unreadable: set[int] = set()
        """Scheduled events that are malformed: their tasks count as found."""
        self._started: dict[int, _Start] = {}
        self._closed: dict[int, _Closing] = {}
        self._cancels: dict[str, dict[int, float]] = {}
        self._decisions: dict[int, DecisionTask] = {}
        self._decision_starts: dict[int, _Start] = {}
        self._decision_ends: dict[int, _Closing] = {}
        self._execution_times_out_at: float | None = None
        self._execution_end: tuple[float, End] | None = None
        self._malformed: set[str] = set()
        self.newest_at = 0.0
        """Time of the newest event read; 0 if none was."""
        self.newest_id = 0
        self.oldest_id: float = inf

    def read(self, events: Iterable[Any]) -> None:
        """Read a page; reading one again changes nothing."""
        for event in events:
            try:
                self._read(event)
            except (AttributeError, LookupError, TypeError, ValueError):
                self._skip(event)

    def _skip(self, event: Any) -> None:
        number = event.get("eventId") if isinstance(event, Mapping) else None
        self._malformed.add(repr(number or event))
        if isinstance(number, int) and event.get("eventType") == "ActivityTaskScheduled":
            self._unreadable.add(number)

    def _read(self, event: Mapping[str, Any]) -> None:
        kind, number, at, values = (
            text_of(event, "eventType"),
            event["eventId"] + 0,
            event_time(event),
            attributes(event),
        )
        match kind:
            case "ActivityTaskScheduled":
                self._scheduled[number] = _scheduled(values, at)
            case "ActivityTaskStarted":
                self._started[values["scheduledEventId"]] = _Start(number, at, optional_text(values, "identity"))
            case "ActivityTaskCancelRequested":
                self._cancels.setdefault(text_of(values, "activityId"), {})[number] = at
            case "DecisionTaskScheduled":
                configuration = PartialTaskConfiguration.from_api(values)
                task_list = text_of(values["taskList"], "name")
                self._decisions[number] = DecisionTask(task_list, configuration, at, at)
            case "DecisionTaskStarted":
                start = _Start(number, at, optional_text(values, "identity"))
                self._decision_starts[values["scheduledEventId"]] = start
            case "DecisionTaskCompleted" | "DecisionTaskTimedOut":
                timeout_type = text_of(values, "timeoutType") if kind == "DecisionTaskTimedOut" else None
                closing = _Closing(number, at, values.get("startedEventId") or 0, timeout_type=timeout_type)
                self._decision_ends[values["scheduledEventId"]] = closing
            case "WorkflowExecutionStarted":
                timeout = parse_timeout(optional_text(values, "executionStartToCloseTimeout") or "NONE")
                self._execution_times_out_at = None if timeout is None else at + timeout.total_seconds()
            case _ if kind in ACTIVITY_ENDS:
                closing = _Closing(number, at, values.get("startedEventId") or 0, activity_end(event))
                self._closed[values["scheduledEventId"]] = closing
            case _ if kind in EXECUTION_ENDS:
                self._execution_end = at, execution_end(event)
        self.newest_at = max(self.newest_at, at)
        self.newest_id = max(self.newest_id, number)
        self.oldest_id = min(self.oldest_id, number)

    @property
    def is_whole(self) -> bool:
        """Whether the first event of the history was read."""
        return self.oldest_id == 1

    @property
    def malformed(self) -> int:
        """How many events could not be read."""
        return len(self._malformed)

    @property
    def is_over(self) -> bool:
        """Whether the execution has ended, and all of its tasks with it."""
        return self._execution_end is not None

    # Activity tasks

    @property
    def open_found(self) -> int:
        """How many open tasks were found: those whose scheduling was read."""
        return 0 if self.is_over else len((self._scheduled.keys() | self._unreadable) - self._closed.keys())

    def count_older(self, open_tasks: int, at: float) -> int:
        """Return how many of the tasks that are open now were scheduled before the events that were read.

        `open_tasks` is the number of open tasks in a state that has the events up to time `at`; or all of them, if
        fewer are open in that state than are known to be.
        """
        for limit in (at, inf):
            known, closed_since = self._count_at(limit)
            if known <= open_tasks:
                return max(0, open_tasks - known - closed_since)
        return 0

    def _count_at(self, at: float) -> tuple[int, int]:
        """Return how many tasks were open at a time, and how many tasks from before the events were closed since."""
        # Whether `at`, the time of a description, moves with time-outs and cancellations is not certain: if they are
        # counted although they came later, too much is read; otherwise a task might be missed.
        is_closed = {
            number: closing.at <= at or (closing.end is not None and closing.end.state in ("timed_out", "cancelled"))
            for number, closing in self._closed.items()
        }
        known = len(self._unreadable - self._closed.keys()) + sum(
            task.scheduled_at <= at and not is_closed.get(number, False) for number, task in self._scheduled.items()
        )
        older = is_closed.keys() - self._scheduled.keys() - self._unreadable
        return known, sum(not is_closed[number] for number in older)

    def has_task(self, activity_id: str) -> bool:
        """Return whether the scheduling of a task with this activity ID was read."""
        return any(task.id == activity_id for task in self._scheduled.values())

    def tasks(self) -> list[ActivityTask]:
        """Return the tasks whose scheduling was read, in that order."""
        return list(_link_repeated(self._task(number) for number in sorted(self._scheduled)))

    def _task(self, number: int) -> ActivityTask:
        task, started, closing = self._scheduled[number], self._started.get(number), self._closed.get(number)
        end, closed_at = None, None
        if closing is not None:
            end, closed_at = closing.end, closing.at
        elif self._execution_end is not None:
            closed_at, end = self._execution_end
        return replace(
            task,
            started_event_id=started.event_id if started else None,
            started_at=started.at if started else None,
            identity=started.identity if started else None,
            cancel_requested_at=self._cancel_requested_at(number, task.id, closing.event_id if closing else inf),
            closed_at=closed_at,
            end=end,
            execution_times_out_at=self._execution_times_out_at,
        )

    def _cancel_requested_at(self, number: int, activity_id: str, closed: float) -> float | None:
        """Return when cancellation was requested while this task was the open one with its activity ID."""
        requests = self._cancels.get(activity_id, {})
        return min((at for event_id, at in requests.items() if number < event_id < closed), default=None)

    # Decision tasks

    @property
    def has_open_decision(self) -> bool:
        """Whether a decision task was found that is scheduled or started, and not closed."""
        return not self.is_over and bool(self._open_decisions())

    @property
    def decision_may_be_older(self) -> bool:
        """Whether an open decision task may have been scheduled before the events that were read.

        It was scheduled after the start of the last one that was closed: decision tasks of an execution are taken one
        after the other.
        """
        last = max(self._decision_ends.values(), key=lambda closing: closing.event_id, default=None)
        return last is None or (last.started_event_id or last.event_id) + 1 < self.oldest_id

    @property
    def decision_starts(self) -> dict[str, float]:
        """When a decision task of each task list was last started."""
        starts: dict[str, float] = {}
        for number in self._decisions.keys() & self._decision_starts.keys():
            task_list, at = self._decisions[number].task_list, self._decision_starts[number].at
            starts[task_list] = max(at, starts.get(task_list, at))
        return starts

    @property
    def decision(self) -> DecisionTask | None:
        """The open decision task, if its scheduling was read.

        While one is started another may be scheduled, which no decider gets before the first is closed.
        """
        if self.is_over:
            return None
        found = self._open_decisions()
        number = min((number for number in found if number in self._decision_starts), default=min(found, default=0))
        if number not in self._decisions:
            return None
        task, start = self._decisions[number], self._decision_starts.get(number)
        before = sorted(self._decision_ends.items(), key=lambda item: item[1].event_id, reverse=True)
        timeouts = [number for number, _ in takewhile(lambda item: item[1].timeout_type is not None, before)]
        starts = [self._decision_starts[number] for number in timeouts if number in self._decision_starts]
        return replace(
            task,
            waiting_since=self._waiting_since(task, before),
            started_at=start.at if start else None,
            identity=start.identity if start else None,
            timeouts=len(starts),
            has_older_timeouts=bool(starts) and len(timeouts) == len(before) and not self.is_whole,
            failing_since=starts[-1].at if starts else None,
            last_decider=starts[0].identity if starts else None,
        )

    def _open_decisions(self) -> set[int]:
        return (self._decisions.keys() | self._decision_starts.keys()) - self._decision_ends.keys()

    def _waiting_since(self, task: DecisionTask, before: list[tuple[int, _Closing]]) -> float:
        """Return since when there was a decision task that a decider could take, although SWF replaced some since."""
        never_taken = [number for number, _ in takewhile(lambda item: not item[1].started_event_id, before)]
        if never_taken and never_taken[-1] in self._decisions:
            return self._decisions[never_taken[-1]].scheduled_at
        return max(task.scheduled_at, before[0][1].at) if before else task.scheduled_at


def _link_repeated(tasks: Iterable[ActivityTask]) -> Iterator[ActivityTask]:
    """Yield tasks, in the order of scheduling; those that repeat others know when the first of them was scheduled.

    A task repeats the last one of its activity and list if that timed out without being started, and not long ago:
    no longer than that one had waited.
    """
    repeated: dict[tuple[ActivityId, str], ActivityTask] = {}
    for task in tasks:
        kind = task.activity, task.task_list
        found = task
        if task.started_at is not None:
            repeated.pop(kind, None)
        elif kind in repeated:
            last = repeated[kind]
            closed_at = last.closed_at or last.scheduled_at
            if task.scheduled_at - closed_at <= closed_at - last.scheduled_at:
                found = replace(task, first_scheduled_at=last.waiting_since)
        if found.state == "timed_out" and found.started_at is None:
            repeated[kind] = found
        yield found


def _scheduled(values: Mapping[str, Any], at: float) -> ActivityTask:
    return ActivityTask(
        id=text_of(values, "activityId"),
        activity=ActivityId.from_api(values["activityType"]),
        task_list=text_of(values["taskList"], "name"),
        configuration=PartialTaskConfiguration.from_api(values),
        scheduled_at=at,
        input=optional_text(values, "input"),
    )
