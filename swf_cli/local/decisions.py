"""RespondDecisionTaskCompleted: complete a decision task and carry out its decisions."""

from collections.abc import Mapping
from typing import Any, Final

from . import task_decisions, workflow_decisions
from .entities import Args, Execution, Response
from .faults import invalid
from .lifecycle import end_decision, request_decision
from .service import ServiceState
from .task_decisions import Decide

_CLOSING: Final = workflow_decisions.CLOSING
_DECISIONS: Final[Mapping[str, Decide]] = {**task_decisions.DECISIONS, **workflow_decisions.DECISIONS, **_CLOSING}


def respond_decision_task_completed(service: ServiceState, args: Args) -> Response:
    """Complete a decision task and carry out its decisions in order."""
    task = service.decision_task(args["taskToken"])
    decisions = [_read(position, decision) for position, decision in enumerate(args.get("decisions") or (), start=1)]
    if any(name in _CLOSING for name, _ in decisions[:-1]):
        raise invalid("Close must be last decision in list")
    execution = task.execution
    completed_id = service.record(
        execution,
        "DecisionTaskCompleted",
        executionContext=args.get("executionContext"),
        scheduledEventId=task.scheduled_id,
        startedEventId=task.started_id,
        taskList=args.get("taskList"),
        taskListScheduleToStartTimeout=args.get("taskListScheduleToStartTimeout"),
    )
    execution.previous_started_id = task.started_id
    execution.context = args.get("executionContext", execution.context)
    _override_task_list(execution, args)
    unhandled = execution.next_decision is not None
    end_decision(service, execution)
    execution.responding, execution.decision_requested = True, False
    for name, attributes in decisions:
        if execution.over_limit:
            break
        if name in _CLOSING and unhandled:
            service.record(
                execution, f"{name}Failed", cause="UNHANDLED_DECISION", decisionTaskCompletedEventId=completed_id
            )
        elif not _DECISIONS[name](service, execution, attributes, completed_id):
            request_decision(service, execution)
    execution.responding = False
    if execution.decision_requested and execution.closed_at is None:
        request_decision(service, execution)
    return {}


def _override_task_list(execution: Execution, args: Args) -> None:
    """Use another task list for the decision tasks to come: for good, or as long as its timeout is met."""
    if task_list := args.get("taskList"):
        timeout = args.get("taskListScheduleToStartTimeout")
        if timeout in (None, "NONE"):
            execution.decision_list, execution.temporary_list = task_list["name"], None
        else:
            execution.temporary_list = task_list["name"], timeout


def _read(position: int, decision: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return a decision's name and attributes."""
    name = decision["decisionType"]
    member = f"{name[0].lower()}{name[1:]}DecisionAttributes"
    attributes = decision.get(member)
    if attributes is None and name not in _CLOSING:
        raise invalid(
            f"1 validation error detected: Value null at 'decisions.{position}.member.{member}' "
            "failed to satisfy constraint: Member must not be null"
        )
    return name, attributes or {}
