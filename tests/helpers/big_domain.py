"""Domains full of executions, long histories among them, for tests and benchmarks of what walks a domain."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import botocore.client

from swf_cli.client.session import Session
from tests.helpers.flow import Flow, activity

UNLIMITED = dict.fromkeys(
    ("scheduleToStartTimeout", "scheduleToCloseTimeout", "startToCloseTimeout", "heartbeatTimeout"), "NONE"
)


def start(flow: Flow, workflow_id: str, *decisions: dict[str, Any]) -> str:
    """Start an execution that lasts as long as the test, and decide once for it; give its run id."""
    decisions_on = {"name": f"decisions-{workflow_id}"}
    run = flow.start(workflow_id, taskList=decisions_on, executionStartToCloseTimeout="31536000")["runId"]
    task = flow.call("PollForDecisionTask", domain=flow.domain, taskList=decisions_on)
    flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=list(decisions))
    return run


def open_task(activity_id: str = "resize-1", task_list: str = "work", **settings: Any) -> dict[str, Any]:
    """Make the decision that schedules a task which no timeout ever ends, unless told."""
    return activity(activity_id, task_list, **{**UNLIMITED, **settings})


def decide(flow: Flow, workflow_id: str, *decisions: dict[str, Any]) -> None:
    """Have an execution's decider decide once more."""
    flow.call("SignalWorkflowExecution", domain=flow.domain, workflowId=workflow_id, signalName="decide")
    name = flow.call(
        "ListOpenWorkflowExecutions",
        domain=flow.domain,
        startTimeFilter={"oldestDate": 0},
        executionFilter={"workflowId": workflow_id},
    )["executionInfos"][0]["execution"]
    described = flow.describe(name)
    decisions_on = described["executionConfiguration"]["taskList"]
    task = flow.call("PollForDecisionTask", domain=flow.domain, taskList=decisions_on)
    flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=list(decisions))


def lengthen(flow: Flow, workflow_id: str, events: int) -> None:
    """Add so many events to an execution's history, of a kind that has nothing to do with activity tasks."""
    for _ in range(events):
        flow.call("SignalWorkflowExecution", domain=flow.domain, workflowId=workflow_id, signalName="tick")


def big_domain(flow: Flow, executions: int, working: int, long: int, events: int) -> None:
    """Fill a domain: of its executions `working` have an open task, and `long` of these a history of so many events.

    Of the long ones every other has its open task in the newest page.
    """
    for number in range(executions):
        workflow = f"w{number:05}"
        if number >= working:
            start(flow, workflow)
        elif number >= long:
            start(flow, workflow, open_task(task_list=f"list-{number % 7}"))
        elif number % 2:
            start(flow, workflow, open_task(task_list="deep"))
            lengthen(flow, workflow, events)
        else:
            start(flow, workflow)
            lengthen(flow, workflow, events)
            decide(flow, workflow, open_task(task_list="shallow"))


class Recorder:
    """A client that remembers what was called, and can be made to do something first, or to fail."""

    def __init__(self, client: botocore.client.BaseClient) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        """Each call: operation, as botocore names its method, and arguments."""
        self.before: Callable[[str, dict[str, Any]], None] = lambda operation, arguments: None
        self._client = client

    @classmethod
    def of(cls, url: str) -> "Recorder":
        """Make one of a service at an address."""
        return cls(Session(region="us-east-1", endpoint_url=url).no_retry)

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def called(**arguments: Any) -> Any:
            self.calls.append((operation, arguments))
            self.before(operation, arguments)
            return getattr(self._client, operation)(**arguments)

        return called

    def operations(self) -> Counter[str]:
        """Count the calls of each operation."""
        return Counter(operation for operation, _ in self.calls)

    def pages(self) -> Counter[tuple[str, str | None]]:
        """Count how often each page of each history was asked for: run id and page token."""
        return Counter(
            (arguments["execution"]["runId"], arguments.get("nextPageToken"))
            for operation, arguments in self.calls
            if operation == "get_workflow_execution_history"
        )
