"""The operations that start executions, act on open ones, and answer or count tasks."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from .decisions import respond_decision_task_completed
from .entities import Answer, Args, Execution, TaskKind
from .faults import Fault, unknown
from .registry import usable_domain, usable_type
from .service import ServiceState

_MOST_COUNTED: Final = 1_000
"""The most pending tasks that are counted; beyond, the count is truncated."""

_CONFIGURATION: Final = {
    "executionStartToCloseTimeout": "defaultExecutionStartToCloseTimeout",
    "taskList": "defaultTaskList",
    "taskStartToCloseTimeout": "defaultTaskStartToCloseTimeout",
    "childPolicy": "defaultChildPolicy",
}
"""What an execution must be given, or its type have a default for: in the order in which SWF looks."""


def _start(service: ServiceState, args: Args) -> Answer:
    domain = usable_domain(service, args["domain"])
    registered = usable_type(domain, "workflow", args["workflowType"])
    configuration: dict[str, Any] = {}
    for name, default in _CONFIGURATION.items():
        value = args.get(name) or registered.defaults.get(default)
        if value is None:
            raise Fault("DefaultUndefinedFault", name)
        configuration[name] = value
    for name, default in (("taskPriority", "defaultTaskPriority"), ("lambdaRole", "defaultLambdaRole")):
        value = args.get(name) or registered.defaults.get(default)
        if value is not None:
            configuration[name] = value
    if domain.open_run(args["workflowId"]):
        raise Fault("WorkflowExecutionAlreadyStartedFault", "Already Started")
    execution = service.start(
        domain, args["workflowId"], registered.key, configuration, args.get("tagList") or [], args.get("input")
    )
    return {"runId": execution.id.run_id}


def _open_execution(service: ServiceState, args: Args) -> Execution:
    """Find the open execution of a workflow id, and of a run id if there is one."""
    workflow_id, run_id = args["workflowId"], args.get("runId")
    execution = service.domain(args["domain"]).open_run(workflow_id)
    if execution is None or run_id not in (None, "", execution.id.run_id):
        if run_id:
            raise unknown(f"execution: WorkflowExecution=[workflowId={workflow_id}, runId={run_id}]")
        raise unknown(f"execution, workflowId = {workflow_id}")
    return execution


def _signal(service: ServiceState, args: Args) -> Answer:
    execution = _open_execution(service, args)
    execution.record(
        service.now,
        "WorkflowExecutionSignaled",
        signalName=args["signalName"],
        input=args.get("input"),
        externalInitiatedEventId=0,
    )
    service.want_decision(execution)
    return {}


def _request_cancel(service: ServiceState, args: Args) -> Answer:
    execution = _open_execution(service, args)
    execution.record(service.now, "WorkflowExecutionCancelRequested", externalInitiatedEventId=0)
    execution.cancel_requested = True
    service.want_decision(execution)
    return {}


def _terminate(service: ServiceState, args: Args) -> Answer:
    execution = _open_execution(service, args)
    service.close(
        execution,
        "TERMINATED",
        "WorkflowExecutionTerminated",
        reason=args.get("reason"),
        details=args.get("details"),
        childPolicy=args.get("childPolicy") or execution.configuration["childPolicy"],
        cause="OPERATOR_INITIATED",
    )
    return {}


def _heartbeat(service: ServiceState, args: Args) -> Answer:
    task = service.activity_task(args["taskToken"])
    task.heartbeat_at = service.now
    task.details = args.get("details", task.details)
    return {"cancelRequested": bool(task.cancel_requested_id)}


def _complete(service: ServiceState, args: Args) -> Answer:
    service.finish(service.activity_task(args["taskToken"]), "ActivityTaskCompleted", result=args.get("result"))
    return {}


def _fail(service: ServiceState, args: Args) -> Answer:
    task = service.activity_task(args["taskToken"])
    service.finish(task, "ActivityTaskFailed", reason=args.get("reason"), details=args.get("details"))
    return {}


def _cancel(service: ServiceState, args: Args) -> Answer:
    task = service.activity_task(args["taskToken"])
    if not task.cancel_requested_id:
        raise unknown(f"cancellation request of the activity, scheduledEventId = {task.scheduled_id}")
    service.finish(
        task,
        "ActivityTaskCanceled",
        details=args.get("details"),
        latestCancelRequestedEventId=task.cancel_requested_id,
    )
    return {}


def _count(kind: TaskKind) -> Callable[[ServiceState, Args], Answer]:
    def operate(service: ServiceState, args: Args) -> Answer:
        waiting = service.domain(args["domain"]).task_list(kind, args["taskList"]["name"]).waiting
        return {"count": min(waiting, _MOST_COUNTED), "truncated": waiting > _MOST_COUNTED}

    return operate


OPERATIONS: Final[Mapping[str, Callable[[ServiceState, Args], Answer]]] = {
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
"""Operations by SWF's names."""
