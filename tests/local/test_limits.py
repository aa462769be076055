"""Limits on the size of a history and on the number of open executions."""

from typing import Any

import pytest

from swf_cli.local.engine import Engine
from swf_cli.local.quotas import Limits
from tests.helpers.flow import Flow, activity, attributes_of, decision, over, refused, still


def limited(**limits: int) -> Flow:
    """Return a domain on an engine with other limits than SWF's."""
    return Flow(over(Engine(still(), hold=0, limits=Limits(**limits)))).register()


def test_25_000_events(flow: Flow) -> None:
    """SWF's limit: the 25,000th event terminates the execution, and the signal that would have been it is lost."""
    execution = flow.start(taskStartToCloseTimeout="NONE")
    flow.decide(activity())
    for _ in range(24_994):
        flow.signal()
    newest, before = flow.history(execution, reverseOrder=True, maximumPageSize=2)
    assert newest["eventId"] == 25_000
    assert attributes_of(newest) == {"cause": "EVENT_LIMIT_EXCEEDED", "childPolicy": "TERMINATE"}
    assert before["eventType"] == "WorkflowExecutionSignaled"
    assert flow.describe(execution)["executionInfo"]["closeStatus"] == "TERMINATED"
    assert flow.pending() == 0
    with refused("UnknownResourceFault", "Unknown execution, workflowId = video-7"):
        flow.signal()


def test_a_response_over_the_limit() -> None:
    """Decisions beyond the limit are dropped, also one that would close the execution, and leave no tasks."""
    flow = limited(events=7)
    execution = flow.start()
    flow.decide(*(activity(str(number)) for number in range(5)), decision("CompleteWorkflowExecution"))
    assert flow.names(execution)[3:] == [
        "DecisionTaskCompleted",
        "ActivityTaskScheduled",
        "ActivityTaskScheduled",
        "WorkflowExecutionTerminated",
    ]
    assert flow.pending() == 0
    assert "taskToken" not in flow.poll()


def test_a_response_that_closes_at_the_limit() -> None:
    """The last event may be the execution's own end."""
    flow = limited(events=5)
    execution = flow.start()
    flow.decide(decision("CompleteWorkflowExecution"))
    assert flow.names(execution)[-1] == "WorkflowExecutionCompleted"


@pytest.mark.parametrize("events", [6, 7, 8])
def test_a_task_at_the_limit(events: int) -> None:
    """Wherever the limit is reached, the execution is terminated and its task is gone."""
    flow = limited(events=events)
    execution = flow.schedule()
    token = flow.poll().get("taskToken")
    if flow.describe(execution)["executionInfo"]["executionStatus"] == "OPEN":
        flow.call("RespondActivityTaskCompleted", taskToken=token)
    assert flow.names(execution)[-1] == "WorkflowExecutionTerminated"
    assert len(flow.names(execution)) == events
    assert flow.describe(execution)["executionInfo"]["closeStatus"] == "TERMINATED"
    assert flow.pending() == 0


@pytest.mark.parametrize(
    "decided",
    [
        decision(
            "StartChildWorkflowExecution",
            workflowId="child",
            workflowType={"name": "video", "version": "1"},
            taskList={"name": "child"},
        ),
        decision("SignalExternalWorkflowExecution", workflowId="other", signalName="s"),
        decision("ContinueAsNewWorkflowExecution"),
    ],
    ids=lambda decided: decided["decisionType"],
)
def test_other_executions_at_the_limit(decided: dict[str, Any]) -> None:
    """A decision whose event is dropped has no effect on other executions, but the last event may continue as new."""
    flow = limited(events=5)
    other = flow.start("other", taskList={"name": "other"})
    execution = flow.start()
    flow.decide(decided)
    ends = {"WorkflowExecutionTerminated": 1, "WorkflowExecutionContinuedAsNew": 2}
    counted = flow.call("CountOpenWorkflowExecutions", domain=flow.domain, startTimeFilter={"oldestDate": 0})
    assert counted["count"] == ends[flow.names(execution)[-1]]
    assert flow.names(other) == ["WorkflowExecutionStarted", "DecisionTaskScheduled"]


def test_a_parent_at_the_limit() -> None:
    """A child that ends can terminate its parent, and the parent's policy applies to its other children."""
    flow = limited(events=10)
    execution = flow.start()
    child = {"workflowType": {"name": "video", "version": "1"}, "taskList": {"name": "child"}}
    flow.decide(*(decision("StartChildWorkflowExecution", workflowId=name, **child) for name in "ab"))
    assert flow.names(execution)[-1] == "ChildWorkflowExecutionStarted"
    flow.decide_on("child", decision("CompleteWorkflowExecution"))
    assert flow.names(execution)[-1] == "WorkflowExecutionTerminated"
    assert (
        flow.call("CountOpenWorkflowExecutions", domain=flow.domain, startTimeFilter={"oldestDate": 0})["count"] == 0
    )


def test_open_executions() -> None:
    """A start over the limit of a domain is rejected."""
    flow = limited(open_executions=1)
    flow.start("one")
    with refused("LimitExceededFault", "Limit on open workflow executions per domain reached"):
        flow.start("two")
    flow.call("TerminateWorkflowExecution", domain=flow.domain, workflowId="one")
    flow.start("two")


def test_swfs_limits() -> None:
    """The defaults are SWF's."""
    assert Limits() == Limits(
        polls=1_000, open_tasks=1_000, open_executions=100_000, events=25_000, tags=50, counted_tasks=1_000
    )
