"""Operations that start and change executions, respond to tasks, and count pending tasks."""

from collections.abc import Callable, Mapping
from typing import Final

from .configuration import effective_configuration, first_missing
from .decisions import respond_decision_task_completed
from .entities import Args, Execution, Response, Start, TaskKind
from .faults import Fault, unknown
from .lifecycle import (
    close_activity,
    request_cancel,
    request_decision,
    start_execution,
    terminate_execution,
)
from .registry import usable_domain, usable_type
from .service import ServiceState
from .tokens import new_run_id


def _start(service: ServiceState, args: Args) -> Response:
    domain = usable_domain(service, args["domain"])
    registered = usable_type(domain, "workflow", args["workflowType"])
    configuration = effective_configuration(args, registered.defaults)
    if missing := first_missing(configuration):
        raise Fault("DefaultUndefinedFault", missing)
    if domain.open_run(args["workflowId"]):
        raise Fault("WorkflowExecutionAlreadyStartedFault", "Already Started")
    if len(domain.open) >= service.limits.open_executions:
        raise Fault("LimitExceededFault", "Limit on open workflow executions per domain reached")
    start = Start(
        workflow_id=args["workflowId"],
        run_id=new_run_id(),
        type=registered.key,
        configuration=configuration,
        tags=args.get("tagList"),
        input=args.get("input"),
    )
    return {"runId": start_execution(service, domain, start).id.run_id}


def _open_execution(service: ServiceState, args: Args) -> Execution:
    """Return the open execution of a workflow ID, whose run ID must match if one is given."""
    workflow_id, run_id = args["workflowId"], args.get("runId")
    execution = service.domain(args["domain"]).find_open(workflow_id, run_id)
    if execution is None:
        if run_id:
            raise unknown(f"execution: WorkflowExecution=[workflowId={workflow_id}, runId={run_id}]")
        raise unknown(f"execution, workflowId = {workflow_id}")
    return execution


def _signal(service: ServiceState, args: Args) -> Response:
    execution = _open_execution(service, args)
    service.record(
        execution,
        "WorkflowExecutionSignaled",
        signalName=args["signalName"],
        input=args.get("input"),
        externalInitiatedEventId=0,
    )
    request_decision(service, execution)
    return {}


def _request_cancel(service: ServiceState, args: Args) -> Response:
    request_cancel(service, _open_execution(service, args))
    return {}


def _terminate(service: ServiceState, args: Args) -> Response:
    terminate_execution(
        service,
        _open_execution(service, args),
        reason=args.get("reason"),
        details=args.get("details"),
        childPolicy=args.get("childPolicy"),
        cause="OPERATOR_INITIATED",
    )
    return {}


def _heartbeat(service: ServiceState, args: Args) -> Response:
    task = service.activity_task(args["taskToken"])
    task.heartbeat_at = service.now
    task.details = args.get("details", task.details)
    return {"cancelRequested": bool(task.cancel_requested_id)}


def _complete(service: ServiceState, args: Args) -> Response:
    close_activity(
        service, service.activity_task(args["taskToken"]), "ActivityTaskCompleted", result=args.get("result")
    )
    return {}


def _fail(service: ServiceState, args: Args) -> Response:
    task = service.activity_task(args["taskToken"])
    close_activity(service, task, "ActivityTaskFailed", reason=args.get("reason"), details=args.get("details"))
    return {}


def _cancel(service: ServiceState, args: Args) -> Response:
    task = service.activity_task(args["taskToken"])
    if not task.cancel_requested_id:
        raise unknown(f"cancellation request of the activity, scheduledEventId = {task.scheduled_id}")
    close_activity(
        service,
        task,
        "ActivityTaskCanceled",
        details=args.get("details"),
        latestCancelRequestedEventId=task.cancel_requested_id,
    )
    return {}


def _count(kind: TaskKind) -> Callable[[ServiceState, Args], Response]:
    def operate(service: ServiceState, args: Args) -> Response:
        waiting = service.domain(args["domain"]).task_list(kind, args["taskList"]["name"]).waiting
        limit = service.limits.counted_tasks
        return {"count": min(waiting, limit), "truncated": waiting > limit}

    return operate


OPERATIONS: Final[Mapping[str, Callable[[ServiceState, Args], Response]]] = {
    "StartWorkflowExecution": _start,
    "SignalWorkflowExecution": _signal,
    "RequestCancelWorkflowExecution": _request_cancel,
    "TerminateWorkflowExecution": _terminate,
    "RespondDecisionTaskCompleted": respond_decision_task_completed,
    "RecordActivityTaskHeartbeat": _heartbeat,
    "RespondActivityTaskCompleted": _complete,
    "RespondActivityTaskFailed": _fail,
    "RespondActivityTaskCanceled": _cancel,
    "CountPendingActivityTasks": _count("activity"),
    "CountPendingDecisionTasks": _count("decision"),
}
"""Operations by name."""
