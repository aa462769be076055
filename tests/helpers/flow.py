"""A domain with a workflow type and an activity type, and a decider by hand, on any SWF; and engines to test."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from botocore import xform_name

from swf_cli.local.clock import Clock
from swf_cli.local.engine import DEFAULT_REGION, Engine
from swf_cli.local.faults import Fault

Call = Callable[..., dict[str, Any]]
"""Calls an operation by its name, with its arguments by name."""

NOW = 1_700_000_000.0
"""The time of `still`."""

TIMEOUTS: dict[str, str] = {
    "scheduleToStartTimeout": "100",
    "scheduleToCloseTimeout": "400",
    "startToCloseTimeout": "300",
    "heartbeatTimeout": "NONE",
}
"""The default timeouts of `activity`."""


def decision(name: str, /, **attributes: Any) -> dict[str, Any]:
    """Return a decision as it is on the wire."""
    return {"decisionType": name, f"{name[0].lower()}{name[1:]}DecisionAttributes": attributes}


def activity(activity_id: str = "resize-1", task_list: str = "work", **attributes: Any) -> dict[str, Any]:
    """Return the decision that schedules an activity task."""
    return decision(
        "ScheduleActivityTask",
        **{
            "activityId": activity_id,
            "activityType": {"name": "resize", "version": "1"},
            "taskList": {"name": task_list},
            **TIMEOUTS,
            **attributes,
        },
    )


def attributes_of(event: Mapping[str, Any]) -> Any:
    """Return the attributes of a history event."""
    name = event["eventType"]
    return event[f"{name[0].lower()}{name[1:]}EventAttributes"]


def over(engine: Engine, region: str = DEFAULT_REGION) -> Call:
    """Return a function that calls an engine in a region."""
    return lambda operation, **args: engine.call(operation, args, region=region)


def over_client(client: Any) -> Call:
    """Return a function that calls a botocore client."""
    return lambda operation, **args: getattr(client, xform_name(operation))(**args)


class RealTime:
    """A real time that passes only when a test says so. It begins at `NOW`."""

    def __init__(self) -> None:
        self.seconds = NOW

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


def still() -> Clock:
    """Return a clock that stands still at `NOW`."""
    return Clock(RealTime())


@contextmanager
def refused(name: str, message: str) -> Iterator[None]:
    """Expect a fault of an engine with exactly this message."""
    with pytest.raises(Fault) as caught:
        yield
    assert (caught.value.name, caught.value.message) == (name, message)


@dataclass(frozen=True, slots=True)
class Flow:
    """A domain, and what deciders, workers and operators do in it."""

    call: Call
    domain: str = "media"

    def register(self) -> "Flow":
        """Register the domain and both types."""
        self.call("RegisterDomain", name=self.domain, workflowExecutionRetentionPeriodInDays="1")
        self.call(
            "RegisterWorkflowType",
            domain=self.domain,
            name="video",
            version="1",
            defaultTaskList={"name": "decisions"},
            defaultChildPolicy="TERMINATE",
            defaultTaskStartToCloseTimeout="30",
            defaultExecutionStartToCloseTimeout="3000",
        )
        self.call("RegisterActivityType", domain=self.domain, name="resize", version="1")
        return self

    def start(self, workflow_id: str = "video-7", **args: Any) -> dict[str, str]:
        """Start an execution."""
        run = self.call(
            "StartWorkflowExecution",
            **{
                "domain": self.domain,
                "workflowId": workflow_id,
                "workflowType": {"name": "video", "version": "1"},
                **args,
            },
        )
        return {"workflowId": workflow_id, "runId": run["runId"]}

    def poll_decision(self, **args: Any) -> dict[str, Any]:
        """Poll for a decision task."""
        return self.call("PollForDecisionTask", domain=self.domain, taskList={"name": "decisions"}, **args)

    def decide(self, *decisions: Mapping[str, Any], **args: Any) -> dict[str, Any]:
        """Poll for a decision task, complete it, and return it."""
        return self.decide_on("decisions", *decisions, **args)

    def decide_on(self, task_list: str, *decisions: Mapping[str, Any], **args: Any) -> dict[str, Any]:
        """Poll a task list for a decision task, complete it, and return it."""
        task = self.call("PollForDecisionTask", domain=self.domain, taskList={"name": task_list})
        self.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=list(decisions), **args)
        return task

    def signal(self, workflow_id: str = "video-7", **args: Any) -> None:
        """Signal an execution."""
        self.call("SignalWorkflowExecution", domain=self.domain, workflowId=workflow_id, signalName="s", **args)

    def schedule(self, workflow_id: str = "video-7", task_list: str = "work", **attributes: Any) -> dict[str, str]:
        """Start an execution with one activity task."""
        execution = self.start(workflow_id)
        self.decide(activity(task_list=task_list, **attributes))
        return execution

    def poll(self, task_list: str = "work", **args: Any) -> dict[str, Any]:
        """Poll for an activity task."""
        return self.call("PollForActivityTask", domain=self.domain, taskList={"name": task_list}, **args)

    def pending(self, task_list: str = "work") -> int:
        """Count the pending activity tasks of a list."""
        response = self.call("CountPendingActivityTasks", domain=self.domain, taskList={"name": task_list})
        return int(response["count"])

    def history(self, execution: Mapping[str, str], **args: Any) -> list[dict[str, Any]]:
        """Return a page of events."""
        response = self.call("GetWorkflowExecutionHistory", domain=self.domain, execution=execution, **args)
        events: list[dict[str, Any]] = response["events"]
        return events

    def names(self, execution: Mapping[str, str]) -> list[str]:
        """Return the types of an execution's events, in order."""
        return [event["eventType"] for event in self.history(execution)]

    def last(self, execution: Mapping[str, str], name: str) -> Any:
        """Return the attributes of the last event of a type."""
        return attributes_of(next(e for e in self.history(execution, reverseOrder=True) if e["eventType"] == name))

    def describe(self, execution: Mapping[str, str]) -> Any:
        """Describe an execution."""
        return self.call("DescribeWorkflowExecution", domain=self.domain, execution=execution)
