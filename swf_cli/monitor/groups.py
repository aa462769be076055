"""Count tasks by what they have in common."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ..history import ActivityTask
from ..models import ActivityId, ExecutionId
from .stuck import StuckTask

_MAX_LISTS: Final = 4  # groups of a reason


@dataclass(slots=True)
class TaskCount:
    """The open tasks that have a value in common."""

    value: str | ActivityId | None
    scheduled: int = 0
    started: int = 0
    """Those that are cancelling, too."""

    oldest_scheduled_at: float | None = None
    """When the one was scheduled that has waited longest."""

    longest_running_since: float | None = None
    """When the one was started that has run longest."""


class TaskCounter:
    """Counts open tasks by a field: `list`, `activity`, `identity`, `state` or `workflow`."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._counts: dict[Any, TaskCount] = {}

    def add(self, execution: ExecutionId, task: ActivityTask) -> None:
        """Count a task."""
        value = self._value(execution, task)
        count = self._counts.setdefault(value, TaskCount(value))
        if task.started_at is None:
            count.scheduled += 1
            count.oldest_scheduled_at = min(count.oldest_scheduled_at or task.scheduled_at, task.scheduled_at)
        else:
            count.started += 1
            count.longest_running_since = min(count.longest_running_since or task.started_at, task.started_at)

    def counts(self) -> list[TaskCount]:
        """Return the counts, the most tasks first."""
        return sorted(
            self._counts.values(), key=lambda count: (-count.scheduled - count.started, _sort_key(count.value))
        )

    def _value(self, execution: ExecutionId, task: ActivityTask) -> str | ActivityId | None:
        match self._field:
            case "list":
                return task.task_list
            case "activity":
                return task.activity
            case "identity":
                return task.identity
            case "state":
                return task.state
        return execution.id


def _sort_key(value: str | ActivityId | None) -> tuple[str, str]:
    return (value.name, value.version) if isinstance(value, ActivityId) else (value or "", "")


@dataclass(slots=True)
class StuckGroup:
    """The stuck tasks that have reason and task list in common; or those of several lists, if a reason has many."""

    worst: StuckTask
    """The one that has been stuck longest."""

    count: int = 0
    lists: int = 1
    """Number of task lists."""

    def add(self, other: "StuckGroup") -> None:
        """Add the tasks of another group."""
        self.worst = min(self.worst, other.worst, key=lambda each: each.diagnosis.since)
        self.count += other.count


def group_stuck(rows: Iterable[StuckTask]) -> list[StuckGroup]:
    """Group stuck tasks by reason and task list, in the order of the rows.

    Of a reason with more than four lists, the three that have the most tasks are groups, and the others one: deciders
    that use a list for each execution have any number of them.
    """
    reasons: dict[str, dict[str, StuckGroup]] = {}
    for row in rows:
        groups = reasons.setdefault(row.diagnosis.reason, {})
        groups.setdefault(row.task.task_list, StuckGroup(row)).add(StuckGroup(row, 1))
    return [group for groups in reasons.values() for group in _merge_small([*groups.values()])]


def _merge_small(groups: list[StuckGroup]) -> list[StuckGroup]:
    if len(groups) <= _MAX_LISTS:
        return groups
    by_size = sorted(groups, key=lambda group: -group.count)
    first, *others = by_size[_MAX_LISTS - 1 :]
    for other in others:
        first.add(other)
    first.lists += len(others)
    return [*by_size[: _MAX_LISTS - 1], first]
