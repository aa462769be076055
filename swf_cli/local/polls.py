"""PollForActivityTask and PollForDecisionTask: what is held, and what is answered."""

from collections.abc import Callable
from typing import Any

from .entities import ActivityTask, Answer, Args, Poll, Task, TaskKind
from .paging import page_token, read_page_token
from .service import ServiceState
from .visibility import events_page


def hold(service: ServiceState, kind: TaskKind, args: Args, alive: Callable[[], bool]) -> Poll:
    """Hold a poll; it is done at once when a task waits."""
    task_list = service.domain(args["domain"]).task_list(kind, args["taskList"]["name"])
    return service.poll(task_list, args.get("identity"), alive)


def answer(service: ServiceState, kind: TaskKind, task: Task | None, args: Args) -> Answer:
    """Answer a poll that is done. Needs no lock: whoever has the token is the first to change anything of it."""
    if isinstance(task, ActivityTask):
        return _activity(service, task)
    if task is not None:
        return _decision(service, task, args, None)
    return {"startedEventId": 0} if kind == "activity" else {"previousStartedEventId": 0, "startedEventId": 0}


def next_page(service: ServiceState, args: Args) -> Answer:
    """Answer a PollForDecisionTask that asks for more of the history of a decision task it was given."""
    token, position = read_page_token(service, args, "poll")
    return _decision(service, service.decision_task(token), args, position)


def _activity(service: ServiceState, task: ActivityTask) -> Answer:
    given = {} if task.attributes["input"] is None else {"input": task.attributes["input"]}
    return {
        "taskToken": service.token(task),
        "activityId": task.activity_id,
        "activityType": task.attributes["activityType"],
        "workflowExecution": task.execution.wire,
        "startedEventId": task.started_id,
        **given,
    }


def _decision(service: ServiceState, task: Task, args: Args, position: Any) -> Answer:
    execution, token = task.execution, service.token(task)
    previous = execution.previous_started_id
    start = previous - 1 if previous and args.get("startAtPreviousStartedEvent") else 0
    events, rest = events_page(args, execution.events, start, task.started_id, position)
    return {
        "taskToken": token,
        "startedEventId": task.started_id,
        "previousStartedEventId": previous,
        "workflowExecution": execution.wire,
        "workflowType": {"name": execution.type[0], "version": execution.type[1]},
        "events": events,
        **page_token(service, args, "poll", rest and [token, rest]),
    }
