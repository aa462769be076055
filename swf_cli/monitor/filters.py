"""Choose tasks by what they are."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..history import ActivityTask, DecisionTask
from ..names import suggest_names


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Chooses the tasks that match all of its criteria; the default matches every task."""

    task_lists: Collection[str] = ()
    """Names of task lists, any of which matches."""

    activity: str | None = None
    """Name of an activity type."""

    identity: str | None = None
    """Identity of a worker or decider."""

    state: str | None = None
    """State of a task, or of its end, such as `gone`."""

    def matches(self, task: ActivityTask | DecisionTask) -> bool:
        """Return whether a task matches."""
        end = task.end if isinstance(task, ActivityTask) else None
        return (
            (not self.task_lists or task.task_list in self.task_lists)
            and self.activity in (None, task.activity.name if isinstance(task, ActivityTask) else "")
            and self.identity in (None, task.identity)
            and self.state in (None, end.state if end else task.state)
        )

    def similar_lists(self, found: Iterable[str]) -> dict[str, list[str]]:
        """Return, for each of its task lists that is not among those found, which of them were probably meant."""
        names = set(found)
        meant = {name: suggest_names(name, names) for name in self.task_lists if name not in names}
        return {name: near for name, near in meant.items() if near}

    def __bool__(self) -> bool:
        return self != TaskFilter()
