"""PollForActivityTask and PollForDecisionTask: what is held, and what is answered."""

from collections.abc import Callable
from typing import Any

from .paging import page_token, read_page_token
from .state import ActivityTask, Answer, Args, Poll, Task, TaskKind
from .visibility import events_page
from .world import World


def hold(world: World, kind: TaskKind, args: Args, alive: Callable[[], bool]) -> Poll:
    """Hold a poll; it is done at once when a task waits."""
    task_list = world.domain(args["domain"]).task_list(kind, args["taskList"]["name"])
    return world.poll(task_list, args.get("identity"), alive)


def answer(world: World, kind: TaskKind, task: Task | None, args: Args) -> Answer:
    """Answer a poll that is done. Needs no lock: whoever has the token is the first to change anything of it."""
    if isinstance(task, ActivityTask):
        return _activity(world, task)
    if task is not None:
        return _decision(world, task, args, None)
    return {"startedEventId": 0} if kind == "activity" else {"previousStartedEventId": 0, "startedEventId": 0}


def next_page(world: World, args: Args) -> Answer:
    """Answer a PollForDecisionTask that asks for more of the history of a decision task it was given."""
    token, position = read_page_token(world, args, "poll")
    return _decision(world, world.decision_task(token), args, position)


def _activity(world: World, task: ActivityTask) -> Answer:
    given = {} if task.attributes["input"] is None else {"input": task.attributes["input"]}
    return {
        "taskToken": world.token(task),
        "activityId": task.activity_id,
        "activityType": task.attributes["activityType"],
        "workflowExecution": task.execution.wire,
        "startedEventId": task.started_id,
        **given,
    }


def _decision(world: World, task: Task, args: Args, position: Any) -> Answer:
    execution, token = task.execution, world.token(task)
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
        **page_token(world, args, "poll", rest and [token, rest]),
    }
