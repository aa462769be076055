"""A decider and a worker in plain boto3, with retries, timers, a child, an external signal and continuing as new."""

from collections.abc import Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from swf_cli.local.clock import Clock
from swf_cli.local.server import LocalServer
from tests.helpers.flow import NOW, RealTime, attributes_of, decision

DOMAIN = "shop"
CHARGE = {"name": "charge", "version": "1"}
SHIPPING = {"name": "shipping", "version": "1"}

# The events of each run, in order, as the developer guide has them.
ORDER_EVENTS = """
WorkflowExecutionStarted DecisionTaskScheduled DecisionTaskStarted
DecisionTaskCompleted ActivityTaskScheduled TimerStarted
ActivityTaskStarted ActivityTaskFailed DecisionTaskScheduled DecisionTaskStarted
DecisionTaskCompleted TimerStarted
TimerFired DecisionTaskScheduled DecisionTaskStarted
DecisionTaskCompleted ActivityTaskScheduled
ActivityTaskStarted ActivityTaskCompleted DecisionTaskScheduled DecisionTaskStarted
DecisionTaskCompleted TimerCanceled StartChildWorkflowExecutionInitiated
ChildWorkflowExecutionStarted DecisionTaskScheduled DecisionTaskStarted
DecisionTaskCompleted
WorkflowExecutionSignaled DecisionTaskScheduled DecisionTaskStarted
DecisionTaskCompleted MarkerRecorded
ChildWorkflowExecutionCompleted DecisionTaskScheduled DecisionTaskStarted
DecisionTaskCompleted WorkflowExecutionCompleted
"""
FIRST_SHIPPING_EVENTS = """
WorkflowExecutionStarted DecisionTaskScheduled DecisionTaskStarted
DecisionTaskCompleted SignalExternalWorkflowExecutionInitiated
ExternalWorkflowExecutionSignaled DecisionTaskScheduled DecisionTaskStarted
DecisionTaskCompleted WorkflowExecutionContinuedAsNew
"""
SECOND_SHIPPING_EVENTS = """
WorkflowExecutionStarted DecisionTaskScheduled DecisionTaskStarted
DecisionTaskCompleted TimerStarted
TimerFired DecisionTaskScheduled DecisionTaskStarted
DecisionTaskCompleted WorkflowExecutionCompleted
"""


def decide_order(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Charge, with a retry after ten seconds; ship; complete with what the child returned."""
    charge = decision("ScheduleActivityTask", activityType=CHARGE, activityId=f"charge-{len(events)}")
    latest = [event for event in events if not event["eventType"].startswith("DecisionTask")][-1]
    match latest["eventType"]:
        case "WorkflowExecutionStarted":
            return [charge, decision("StartTimer", timerId="deadline", startToFireTimeout="3600")]
        case "ActivityTaskFailed":
            return [decision("StartTimer", timerId="retry", startToFireTimeout="10")]
        case "TimerFired":
            return [charge]
        case "ActivityTaskCompleted":
            child = {"workflowType": SHIPPING, "workflowId": "shipping-7", "input": "order-7"}
            return [
                decision("CancelTimer", timerId="deadline"),
                decision("StartChildWorkflowExecution", **child),
            ]
        case "WorkflowExecutionSignaled":
            return [decision("RecordMarker", markerName=attributes_of(latest)["signalName"])]
        case "ChildWorkflowExecutionCompleted":
            return [decision("CompleteWorkflowExecution", result=attributes_of(latest)["result"])]
    return []


def decide_shipping(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Signal the order that it is packed, continue as new, and be done five seconds later."""
    started = attributes_of(events[0])
    seen = [event["eventType"] for event in events]
    if "continuedExecutionRunId" in started:
        if "TimerFired" in seen:
            return [decision("CompleteWorkflowExecution", result=f"{started['input']} shipped")]
        return [decision("StartTimer", timerId="drive", startToFireTimeout="5")]
    if "ExternalWorkflowExecutionSignaled" in seen:
        return [decision("ContinueAsNewWorkflowExecution", input=started["input"])]
    return [decision("SignalExternalWorkflowExecution", workflowId=started["input"], signalName="packed")]


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A local SWF whose clock stands still, and whose polls return at once."""
    with LocalServer(clock=Clock(RealTime()), hold=0) as server:
        yield server


@pytest.fixture
def swf(server: LocalServer) -> Iterator[Any]:
    """A boto3 client of it, with the domain and types registered."""
    swf = boto3.client(
        "swf",
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
    )
    swf.register_domain(name=DOMAIN, workflowExecutionRetentionPeriodInDays="1")
    for name in ("order", "shipping"):
        swf.register_workflow_type(
            domain=DOMAIN,
            name=name,
            version="1",
            defaultTaskList={"name": name},
            defaultChildPolicy="TERMINATE",
            defaultTaskStartToCloseTimeout="30",
            defaultExecutionStartToCloseTimeout="86400",
        )
    timeouts = ("ScheduleToStart", "ScheduleToClose", "StartToClose", "Heartbeat")
    swf.register_activity_type(
        domain=DOMAIN,
        **CHARGE,
        defaultTaskList={"name": "charge"},
        **{f"defaultTask{name}Timeout": "600" for name in timeouts},
    )
    yield swf
    swf.close()


class Shop:
    """Deciders and a worker, each of which makes one step at a time."""

    def __init__(self, swf: Any) -> None:
        self._swf = swf
        self._charges = 0

    def work(self) -> bool:
        """Charge, which fails at first. Return whether there was a task."""
        task = self._swf.poll_for_activity_task(domain=DOMAIN, taskList={"name": "charge"})
        if not task.get("taskToken"):
            return False
        self._charges += 1
        if self._charges == 1:
            self._swf.respond_activity_task_failed(taskToken=task["taskToken"], reason="card declined")
        else:
            self._swf.respond_activity_task_completed(taskToken=task["taskToken"], result="charged")
        return True

    def decide(self, task_list: str) -> bool:
        """Decide for one execution, page by page of its history. Return whether there was a task."""
        pages = self._swf.get_paginator("poll_for_decision_task").paginate(
            domain=DOMAIN, taskList={"name": task_list}, PaginationConfig={"PageSize": 5}
        )
        token, events = "", []
        for page in pages:
            token = page.get("taskToken", "")
            events += page.get("events", [])
        if not token:
            return False
        decisions = decide_order(events) if task_list == "order" else decide_shipping(events)
        self._swf.respond_decision_task_completed(taskToken=token, decisions=decisions)
        return True


def runs(swf: Any, workflow_id: str) -> list[dict[str, Any]]:
    """Return the closed runs of a workflow ID, the oldest first."""
    infos: list[dict[str, Any]] = swf.list_closed_workflow_executions(
        domain=DOMAIN,
        startTimeFilter={"oldestDate": 0},
        executionFilter={"workflowId": workflow_id},
        reverseOrder=True,
    )["executionInfos"]
    return infos


def test_an_order(server: LocalServer, swf: Any) -> None:
    """It runs to its end, and its histories have the events written out above."""
    swf.start_workflow_execution(domain=DOMAIN, workflowId="order-7", workflowType={"name": "order", "version": "1"})
    shop = Shop(swf)
    while not runs(swf, "order-7"):
        if not (shop.decide("order") or shop.decide("shipping") or shop.work()):
            server.engine.advance(5)

    histories = {
        info["execution"]["runId"]: swf.get_workflow_execution_history(domain=DOMAIN, execution=info["execution"])[
            "events"
        ]
        for workflow_id in ("order-7", "shipping-7")
        for info in runs(swf, workflow_id)
    }
    order, first, second = histories.values()
    assert [event["eventType"] for event in order] == ORDER_EVENTS.split()
    assert [event["eventType"] for event in first] == FIRST_SHIPPING_EVENTS.split()
    assert [event["eventType"] for event in second] == SECOND_SHIPPING_EVENTS.split()
    assert attributes_of(order[-1])["result"] == "order-7 shipped"
    assert attributes_of(second[0])["parentWorkflowExecution"] == runs(swf, "order-7")[0]["execution"]
    assert order[-1]["eventTimestamp"].timestamp() == NOW + 15
    assert [runs(swf, "shipping-7")[n]["closeStatus"] for n in (0, 1)] == ["CONTINUED_AS_NEW", "COMPLETED"]
