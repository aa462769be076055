"""Domains full of executions, some with long histories, for tests and benchmarks of what scans a domain."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import botocore.client

from swf_cli.client.session import Session
from swf_cli.errors import ThrottlingError
from swf_cli.local.faults import Fault
from swf_cli.local.quotas import RATES, RateLimits
from tests.helpers.flow import Flow, activity

UNLIMITED = dict.fromkeys(
    ("scheduleToStartTimeout", "scheduleToCloseTimeout", "startToCloseTimeout", "heartbeatTimeout"), "NONE"
)


def start(flow: Flow, workflow_id: str, *decisions: dict[str, Any]) -> str:
    """Start an execution without a timeout to speak of, and decide once for it; return its run ID."""
    decisions_on = {"name": f"decisions-{workflow_id}"}
    run = flow.start(workflow_id, taskList=decisions_on, executionStartToCloseTimeout="31536000")["runId"]
    task = flow.call("PollForDecisionTask", domain=flow.domain, taskList=decisions_on)
    flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=list(decisions))
    return run


def open_task(activity_id: str = "resize-1", task_list: str = "work", **settings: Any) -> dict[str, Any]:
    """Return the decision that schedules a task; without `settings`, no timeout ever closes it."""
    return activity(activity_id, task_list, **{**UNLIMITED, **settings})


def decide(flow: Flow, workflow_id: str, *decisions: dict[str, Any]) -> None:
    """Signal an execution, and decide for it."""
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
    """Add this many events to an execution's history, of a kind that has nothing to do with activity tasks."""
    for _ in range(events):
        flow.call("SignalWorkflowExecution", domain=flow.domain, workflowId=workflow_id, signalName="tick")


def big_domain(flow: Flow, executions: int, working: int, long: int, events: int) -> None:
    """Fill a domain: `working` of its executions have an open task, `long` of these at least this many events.

    Every other of the long ones has its open task in the newest page, and no decision task; the others have both
    further back.
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


BeforeCall = Callable[[str, dict[str, Any]], None]
"""Runs before a call is sent; what it raises is the outcome of the call."""


def no_op(operation: str, arguments: dict[str, Any]) -> None:
    """Let a call happen."""


def limited(spent: str | None = None) -> BeforeCall:
    """Return what throttles a client's calls at SWF's quotas; the bucket of operation `spent` is empty at first."""
    limits = RateLimits()

    def take(operation: str, arguments: dict[str, Any]) -> None:
        try:
            limits.take("".join(map(str.capitalize, operation.split("_"))), time.monotonic())
        except Fault as fault:
            raise ThrottlingError(fault.message) from fault

    if spent is not None:
        burst, _ = RATES["".join(map(str.capitalize, spent.split("_")))]
        for _ in range(burst):
            take(spent, {})
    return take


class Recorder:
    """A client that remembers its calls, and can be made to do something first, or to fail."""

    def __init__(self, client: botocore.client.BaseClient) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        """Each call: operation, as botocore names its method, and arguments."""
        self.before: BeforeCall = no_op
        self._client = client

    @classmethod
    def of(cls, url: str) -> "Recorder":
        """Return one for the service at an address."""
        return cls(Session(region="us-east-1", endpoint_url=url).single_attempt_client.botocore)

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def called(**arguments: Any) -> Any:
            self.calls.append((operation, arguments))
            self.before(operation, arguments)
            return getattr(self._client, operation)(**arguments)

        return called

    def operations(self) -> Counter[str]:
        """Return how often each operation was called."""
        return Counter(operation for operation, _ in self.calls)

    def pages(self) -> Counter[tuple[str, str | None]]:
        """Return how often each page of each history was requested: run ID and page token."""
        return Counter(
            (arguments["execution"]["runId"], arguments.get("nextPageToken"))
            for operation, arguments in self.calls
            if operation == "get_workflow_execution_history"
        )
