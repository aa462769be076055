"""A domain with a workflow type and an activity type, and a decider by hand, over any SWF that can be called."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from swf_cli.local.engine import Engine

Call = Callable[..., dict[str, Any]]
"""Calls an operation by SWF's name, with SWF's arguments by name."""

TIMEOUTS: dict[str, str] = {
    "scheduleToStartTimeout": "100",
    "scheduleToCloseTimeout": "400",
    "startToCloseTimeout": "300",
    "heartbeatTimeout": "NONE",
}
"""What `Flow.activity` gives unless told."""


def decision(name: str, **attributes: Any) -> dict[str, Any]:
    """Make a decision, as it goes over the wire."""
    return {"decisionType": name, f"{name[0].lower()}{name[1:]}DecisionAttributes": attributes}


def activity(activity_id: str = "resize-1", task_list: str = "work", **attributes: Any) -> dict[str, Any]:
    """Make the decision that schedules an activity task."""
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
    """Give the attributes of a history event."""
    name = event["eventType"]
    return event[f"{name[0].lower()}{name[1:]}EventAttributes"]


def over(engine: Engine) -> Call:
    """Call an engine."""
    return lambda operation, **args: engine.call(operation, args)


@dataclass(frozen=True, slots=True)
class Flow:
    """The domain, and what a decider and an operator do in it."""

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
        """Take the next decision task and answer it; gives the task."""
        task = self.poll_decision()
        self.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=list(decisions), **args)
        return task

    def schedule(self, workflow_id: str = "video-7", task_list: str = "work", **attributes: Any) -> dict[str, str]:
        """Start an execution with one activity task."""
        execution = self.start(workflow_id)
        self.decide(activity(task_list=task_list, **attributes))
        return execution

    def poll(self, task_list: str = "work", **args: Any) -> dict[str, Any]:
        """Poll for an activity task."""
        return self.call("PollForActivityTask", domain=self.domain, taskList={"name": task_list}, **args)

    def pending(self, task_list: str = "work") -> int:
        """Count the tasks that wait."""
        answer = self.call("CountPendingActivityTasks", domain=self.domain, taskList={"name": task_list})
        return int(answer["count"])

    def history(self, execution: Mapping[str, str], **args: Any) -> list[dict[str, Any]]:
        """Give a page of events."""
        answer = self.call("GetWorkflowExecutionHistory", domain=self.domain, execution=execution, **args)
        events: list[dict[str, Any]] = answer["events"]
        return events

    def names(self, execution: Mapping[str, str]) -> list[str]:
        """Give the types of an execution's events, in order."""
        return [event["eventType"] for event in self.history(execution)]

    def last(self, execution: Mapping[str, str], name: str) -> Any:
        """Give the attributes of the last event of a type."""
        return attributes_of(next(e for e in self.history(execution, reverseOrder=True) if e["eventType"] == name))

    def describe(self, execution: Mapping[str, str]) -> Any:
        """Describe an execution."""
        return self.call("DescribeWorkflowExecution", domain=self.domain, execution=execution)
