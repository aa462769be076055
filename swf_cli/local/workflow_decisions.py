"""Decisions that close or continue an execution, and those about child and external executions.

What they lead to in other executions happens right after the call, and is recorded with events of its own, as in SWF.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from .configuration import REQUIRED, effective_configuration, first_missing
from .entities import Child, Domain, Execution, Registered, Start, TypeKey
from .lifecycle import close_execution, request_cancel, request_decision, start_execution
from .service import ServiceState
from .task_decisions import Decide
from .tokens import new_run_id


def _close(
    status: str,
    event: str,
    names: tuple[str, ...],
    service: ServiceState,
    execution: Execution,
    given: Mapping[str, Any],
    completed_id: int,
) -> bool:
    """Close the execution, with the attributes of these names that the decision has."""
    attributes = {name: given.get(name) for name in names}
    close_execution(service, execution, status, event, **attributes, decisionTaskCompletedEventId=completed_id)
    return True


def _continue_as_new(
    service: ServiceState, execution: Execution, given: Mapping[str, Any], completed_id: int
) -> bool:
    domain = execution.domain
    key = execution.type[0], given.get("workflowTypeVersion") or execution.type[1]
    configuration, cause = _configure(domain, key, given)
    if cause:
        service.record(
            execution,
            "ContinueAsNewWorkflowExecutionFailed",
            cause=cause,
            decisionTaskCompletedEventId=completed_id,
        )
        return False
    run_id = new_run_id()
    close_execution(
        service,
        execution,
        "CONTINUED_AS_NEW",
        "WorkflowExecutionContinuedAsNew",
        **configuration,
        input=given.get("input"),
        tagList=given.get("tagList"),
        workflowType={"name": key[0], "version": key[1]},
        newExecutionRunId=run_id,
        decisionTaskCompletedEventId=completed_id,
    )
    start = Start(
        workflow_id=execution.id.id,
        run_id=run_id,
        type=key,
        configuration=configuration,
        tags=given.get("tagList"),
        input=given.get("input"),
        parent=execution.parent,
        initiated_id=execution.initiated_id,
        continued_run_id=execution.id.run_id,
    )
    continued = start_execution(service, domain, start)
    if execution.parent and execution.initiated_id in execution.parent.children:
        execution.parent.children[execution.initiated_id].execution = continued
    return True


def _configure(domain: Domain, key: TypeKey, given: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Return the configuration of a new execution of a workflow type, and the cause if that fails."""
    registered: Registered | None = domain.types["workflow"].get(key)
    if registered is None:
        return {}, "WORKFLOW_TYPE_DOES_NOT_EXIST"
    if registered.deprecated_at is not None:
        return {}, "WORKFLOW_TYPE_DEPRECATED"
    configuration = effective_configuration(given, registered.defaults)
    missing = first_missing(configuration)
    return configuration, missing and f"DEFAULT_{REQUIRED[missing]}_UNDEFINED"


def _start_child(service: ServiceState, execution: Execution, given: Mapping[str, Any], completed_id: int) -> bool:
    domain, workflow_type = execution.domain, given["workflowType"]
    key = workflow_type["name"], workflow_type["version"]
    configuration, cause = _configure(domain, key, given)
    named = {"workflowId": given["workflowId"], "workflowType": workflow_type, "control": given.get("control")}
    if cause is None and len(execution.children) + execution.starting_children >= service.limits.open_tasks:
        cause = "OPEN_CHILDREN_LIMIT_EXCEEDED"
    if cause is None and len(domain.open) >= service.limits.open_executions:
        cause = "OPEN_WORKFLOWS_LIMIT_EXCEEDED"
    failed = partial(
        service.record,
        execution,
        "StartChildWorkflowExecutionFailed",
        **named,
        decisionTaskCompletedEventId=completed_id,
    )
    if cause:
        failed(cause=cause, initiatedEventId=0)
        return False
    initiated_id = service.record(
        execution,
        "StartChildWorkflowExecutionInitiated",
        **named,
        **configuration,
        input=given.get("input"),
        tagList=given.get("tagList"),
        decisionTaskCompletedEventId=completed_id,
    )
    start = Start(
        workflow_id=given["workflowId"],
        run_id=new_run_id(),
        type=key,
        configuration=configuration,
        tags=given.get("tagList"),
        input=given.get("input"),
        parent=execution,
        initiated_id=initiated_id,
    )

    def effect() -> None:
        execution.starting_children -= 1
        if execution.over_limit:
            return
        if domain.open_run(start.workflow_id) is None:
            child = start_execution(service, domain, start)
            _record_child_started(service, execution, child)
        elif execution.closed_at is None:
            failed(cause="WORKFLOW_ALREADY_RUNNING", initiatedEventId=initiated_id)
            request_decision(service, execution)

    execution.starting_children += 1
    service.deferred.append(effect)
    return True


def _record_child_started(service: ServiceState, parent: Execution, child: Execution) -> None:
    if parent.closed_at is not None:
        return
    started_id = service.record(
        parent,
        "ChildWorkflowExecutionStarted",
        workflowExecution=child.wire,
        workflowType=child.wire_type,
        initiatedEventId=child.initiated_id,
    )
    parent.children[child.initiated_id] = Child(child, started_id)
    request_decision(service, parent)


@dataclass(frozen=True, slots=True)
class _Message:
    """What a decision sends to an external execution."""

    decision: str
    """The decision's name, with which the events of its own execution begin."""
    delivered: str
    """The event of its own execution once the message is delivered."""
    attributes: tuple[str, ...]
    """Attributes of the decision that its Initiated event has, beside those that both kinds have."""
    deliver: Callable[[ServiceState, Execution, Execution, Mapping[str, Any], int], None]
    """Delivers it, given source, target, attributes, and the ID of the Initiated event."""


def _send(
    message: _Message, service: ServiceState, execution: Execution, given: Mapping[str, Any], completed_id: int
) -> bool:
    named = {name: given.get(name) for name in ("workflowId", "runId", "control")}
    initiated_id = service.record(
        execution,
        f"{message.decision}Initiated",
        **named,
        **{name: given.get(name) for name in message.attributes},
        decisionTaskCompletedEventId=completed_id,
    )

    def effect() -> None:
        if execution.over_limit:
            return
        target = execution.domain.find_open(given["workflowId"], given.get("runId"))
        if target:
            message.deliver(service, execution, target, given, initiated_id)
        if execution.closed_at is not None:
            return
        if target:
            service.record(execution, message.delivered, workflowExecution=target.wire, initiatedEventId=initiated_id)
        else:
            service.record(
                execution,
                f"{message.decision}Failed",
                **named,
                cause="UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION",
                initiatedEventId=initiated_id,
                decisionTaskCompletedEventId=completed_id,
            )
        request_decision(service, execution)

    service.deferred.append(effect)
    return True


def _deliver_signal(
    service: ServiceState, source: Execution, target: Execution, given: Mapping[str, Any], initiated_id: int
) -> None:
    service.record(
        target,
        "WorkflowExecutionSignaled",
        signalName=given["signalName"],
        input=given.get("input"),
        externalWorkflowExecution=source.wire,
        externalInitiatedEventId=initiated_id,
    )
    request_decision(service, target)


def _deliver_cancellation(
    service: ServiceState, source: Execution, target: Execution, _: Mapping[str, Any], initiated_id: int
) -> None:
    request_cancel(service, target, externalWorkflowExecution=source.wire, externalInitiatedEventId=initiated_id)


_SIGNAL: Final = _Message(
    "SignalExternalWorkflowExecution",
    "ExternalWorkflowExecutionSignaled",
    ("signalName", "input"),
    _deliver_signal,
)
_CANCELLATION: Final = _Message(
    "RequestCancelExternalWorkflowExecution",
    "ExternalWorkflowExecutionCancelRequested",
    (),
    _deliver_cancellation,
)

DECISIONS: Final[Mapping[str, Decide]] = {
    "StartChildWorkflowExecution": _start_child,
    "SignalExternalWorkflowExecution": partial(_send, _SIGNAL),
    "RequestCancelExternalWorkflowExecution": partial(_send, _CANCELLATION),
}
"""Decisions by name, but for those that close the execution."""

CLOSING: Final[Mapping[str, Decide]] = {
    "CompleteWorkflowExecution": partial(_close, "COMPLETED", "WorkflowExecutionCompleted", ("result",)),
    "FailWorkflowExecution": partial(_close, "FAILED", "WorkflowExecutionFailed", ("reason", "details")),
    "CancelWorkflowExecution": partial(_close, "CANCELED", "WorkflowExecutionCanceled", ("details",)),
    "ContinueAsNewWorkflowExecution": _continue_as_new,
}
"""Decisions that close the execution. Each must be the last of its response."""
