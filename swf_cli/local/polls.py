"""PollForActivityTask and PollForDecisionTask."""

from collections.abc import Callable
from typing import Any

from .entities import ActivityTask, Args, Poll, Response, Task, TaskKind
from .matching import hold_poll
from .paging import page_token, read_page_token
from .service import ServiceState
from .visibility import events_page


def hold(service: ServiceState, kind: TaskKind, args: Args, is_connected: Callable[[], bool]) -> Poll:
    """Hold a poll, which ends at once if a task waits."""
    task_list = service.domain(args["domain"]).task_list(kind, args["taskList"]["name"])
    return hold_poll(service, task_list, args.get("identity"), is_connected)


def respond(service: ServiceState, kind: TaskKind, task: Task | None, args: Args) -> Response:
    """Return the response of a poll that has ended. Needs no lock: nobody else has the task's token yet."""
    if isinstance(task, ActivityTask):
        return _activity(service, task)
    if task is not None:
        return _decision(service, task, args, None)
    return {"startedEventId": 0} if kind == "activity" else {"previousStartedEventId": 0, "startedEventId": 0}


def next_page(service: ServiceState, args: Args) -> Response:
    """Return a further page of the history of a decision task (PollForDecisionTask with a `nextPageToken`)."""
    token, position = read_page_token(service, args, "poll")
    return _decision(service, service.decision_task(token), args, position)


def _activity(service: ServiceState, task: ActivityTask) -> Response:
    given = {} if task.attributes["input"] is None else {"input": task.attributes["input"]}
    return {
        "taskToken": service.token(task),
        "activityId": task.activity_id,
        "activityType": task.attributes["activityType"],
        "workflowExecution": task.execution.wire,
        "startedEventId": task.started_id,
        **given,
    }


def _decision(service: ServiceState, task: Task, args: Args, position: Any) -> Response:
    execution, token = task.execution, service.token(task)
    previous = execution.previous_started_id
    start = previous - 1 if previous and args.get("startAtPreviousStartedEvent") else 0
    events, rest = events_page(args, execution.events, start, task.started_id, position)
    return {
        "taskToken": token,
        "startedEventId": task.started_id,
        "previousStartedEventId": previous,
        "workflowExecution": execution.wire,
        "workflowType": execution.wire_type,
        "events": events,
        **page_token(service, args, "poll", rest and [token, rest]),
    }
