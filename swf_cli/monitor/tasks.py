"""Find open activity tasks, in a domain or in one execution."""

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import UnknownResource
from ..history import ActivityTask
from ..models import ExecutionId
from ..names import did_you_mean, suggest_names
from .execution import ExecutionTasks
from .filters import TaskFilter
from .groups import TaskCount, TaskCounter
from .scanner import DomainScanner


@dataclass(frozen=True, slots=True)
class FoundTask:
    """An activity task and its execution."""

    execution: ExecutionId
    task: ActivityTask


def find_open_tasks(scanner: DomainScanner, wanted: TaskFilter) -> tuple[list[FoundTask], set[str]]:
    """Return the open activity tasks of a domain that match, the oldest first, and the task lists of all.

    Raise SwfError if no execution could be read; see `ScanCalls.failure` for a scan that ended early.
    """
    found: list[FoundTask] = []
    lists = _for_each(scanner, wanted, lambda execution, task: found.append(FoundTask(execution, task)))
    return sorted(found, key=lambda row: (row.task.scheduled_at, row.execution.id, row.task.id)), lists


def count_open_tasks(scanner: DomainScanner, wanted: TaskFilter, field: str) -> tuple[list[TaskCount], set[str]]:
    """Count the open activity tasks of a domain that match, by a field, see `TaskCounter`.

    Return the counts, and the task lists of all. Errors are those of `find_open_tasks`.
    """
    counter = TaskCounter(field)
    lists = _for_each(scanner, wanted, counter.add)
    return counter.counts(), lists


def count_tasks(found: ExecutionTasks, field: str) -> list[TaskCount]:
    """Count the tasks of an execution by a field."""
    counter = TaskCounter(field)
    for task in found.tasks:
        counter.add(found.execution, task)
    return counter.counts()


def _for_each(
    scanner: DomainScanner, wanted: TaskFilter, on_task: Callable[[ExecutionId, ActivityTask], None]
) -> set[str]:
    """Call a function with each open task that matches, and return the task lists of all."""
    lists: set[str] = set()

    def on_execution(found: ExecutionTasks) -> None:
        for task in filter(lambda task: task.is_open, found.tasks):
            lists.add(task.task_list)
            if wanted.matches(task):
                on_task(found.execution, task)

    scanner.scan(on_execution)
    return lists


def read_task(scanner: DomainScanner, execution: ExecutionId, activity_id: str) -> ActivityTask:
    """Return the newest task of an execution with an activity ID. Raise UnknownResource if there is none."""
    found = scanner.reader.read_task(execution, activity_id).tasks
    for task in reversed(found):
        if task.id == activity_id:
            return task
    hint = did_you_mean(suggest_names(activity_id, [task.id for task in found]))
    message = f"no activity task with the ID {activity_id} in workflow {execution.id}, run {execution.run_id}"
    raise UnknownResource(message, hint=hint)
