"""Match tasks that wait with polls that wait."""

from collections.abc import Callable

from .entities import ActivityTask, Poll, Task, TaskList
from .faults import Fault
from .service import ServiceState


def hold_poll(
    service: ServiceState, task_list: TaskList, identity: str | None, is_connected: Callable[[], bool]
) -> Poll:
    """Hold a poll, which ends at once if a task waits. Raise a LimitExceededFault over the limit of a task list."""
    if len(task_list.polls) >= service.limits.polls:
        raise Fault("LimitExceededFault", "Limit on maximum concurrent poll requests per task list reached")
    poll = Poll(task_list, identity, service.clock, service.clock.real_time() + service.hold, is_connected)
    task_list.polls[poll] = None
    _match(service, task_list)
    if service.hold:
        service.deadlines.watch(poll)
    elif not poll.done.is_set():
        end_poll(poll, None)
    return poll


def end_poll(poll: Poll, task: Task | None) -> None:
    """End a poll with a task, or without one."""
    del poll.task_list.polls[poll]
    poll.task = task
    poll.done.set()


def end_all_polls(service: ServiceState) -> None:
    """End every poll without a task, and from now on each new one at once."""
    service.hold = 0.0
    for domain in service.domains.values():
        for task_list in domain.lists.values():
            for poll in list(task_list.polls):
                end_poll(poll, None)


def add_task(service: ServiceState, task: Task) -> None:
    """Put a task on its list. `deliver` gives it to a poll."""
    task.task_list.push(task)
    service.undelivered.add(task.task_list)


def deliver(service: ServiceState) -> None:
    """Match the tasks that a call added with polls, once the call is complete."""
    while service.undelivered:
        _match(service, service.undelivered.pop())


def _match(service: ServiceState, task_list: TaskList) -> None:
    while task_list.waiting and task_list.polls:
        poll = next(iter(task_list.polls))
        if service.deliver_to_disconnected or poll.is_connected():
            end_poll(poll, _start(service, task_list.pop(), poll.identity))
        else:
            end_poll(poll, None)


def _start(service: ServiceState, task: Task, identity: str | None) -> Task:
    event = "ActivityTaskStarted" if isinstance(task, ActivityTask) else "DecisionTaskStarted"
    execution = task.execution
    task.started_id = service.record(execution, event, identity=identity, scheduledEventId=task.scheduled_id)
    task.started_at = service.now
    if isinstance(task, ActivityTask):
        task.heartbeat_at = execution.latest_activity_at = service.now
    service.deadlines.watch(task)
    return task
