"""Executions and activity tasks from start to close, as histories and descriptions show them."""

from typing import Any

import pytest

from swf_cli.local.engine import Engine
from tests.helpers.flow import NOW, TIMEOUTS, Flow, activity, attributes_of, decision, refused


class TestHistory:
    """The events of an execution's history."""

    def test_a_task_from_its_start_to_its_completion(self, engine: Engine, flow: Flow) -> None:
        """Every event is recorded, with references to the right events and with its attributes."""
        execution = flow.start(input="in", tagList=["t"])
        task = flow.poll_decision(identity="decider")
        flow.call(
            "RespondDecisionTaskCompleted",
            taskToken=task["taskToken"],
            executionContext="context",
            decisions=[activity(input="in.png", control="c", taskPriority="7")],
        )
        engine.advance(2)
        worker = flow.poll(identity="worker")
        flow.call("RespondActivityTaskCompleted", taskToken=worker["taskToken"], result="out")
        flow.decide(decision("CompleteWorkflowExecution", result="all"))

        assert worker == {
            "taskToken": worker["taskToken"],
            "activityId": "resize-1",
            "activityType": {"name": "resize", "version": "1"},
            "workflowExecution": execution,
            "startedEventId": 6,
            "input": "in.png",
        }
        events = flow.history(execution)
        assert [event["eventId"] for event in events] == list(range(1, 12))
        assert [event["eventTimestamp"] - NOW for event in events] == [0] * 5 + [2] * 6
        assert [(event["eventType"], attributes_of(event)) for event in events] == [
            (
                "WorkflowExecutionStarted",
                {
                    "executionStartToCloseTimeout": "3000",
                    "taskList": {"name": "decisions"},
                    "taskStartToCloseTimeout": "30",
                    "childPolicy": "TERMINATE",
                    "workflowType": {"name": "video", "version": "1"},
                    "tagList": ["t"],
                    "input": "in",
                    "parentInitiatedEventId": 0,
                },
            ),
            (
                "DecisionTaskScheduled",
                {"taskList": {"name": "decisions"}, "scheduleToStartTimeout": "NONE", "startToCloseTimeout": "30"},
            ),
            ("DecisionTaskStarted", {"identity": "decider", "scheduledEventId": 2}),
            ("DecisionTaskCompleted", {"executionContext": "context", "scheduledEventId": 2, "startedEventId": 3}),
            (
                "ActivityTaskScheduled",
                {
                    "activityType": {"name": "resize", "version": "1"},
                    "activityId": "resize-1",
                    "input": "in.png",
                    "control": "c",
                    "taskList": {"name": "work"},
                    "taskPriority": "7",
                    "decisionTaskCompletedEventId": 4,
                    **TIMEOUTS,
                },
            ),
            ("ActivityTaskStarted", {"identity": "worker", "scheduledEventId": 5}),
            ("ActivityTaskCompleted", {"result": "out", "scheduledEventId": 5, "startedEventId": 6}),
            (
                "DecisionTaskScheduled",
                {"taskList": {"name": "decisions"}, "scheduleToStartTimeout": "NONE", "startToCloseTimeout": "30"},
            ),
            ("DecisionTaskStarted", {"scheduledEventId": 8}),
            ("DecisionTaskCompleted", {"scheduledEventId": 8, "startedEventId": 9}),
            ("WorkflowExecutionCompleted", {"result": "all", "decisionTaskCompletedEventId": 10}),
        ]

    def test_a_failed_task(self, flow: Flow) -> None:
        """RespondActivityTaskFailed records reason and details."""
        execution = flow.schedule()
        flow.call("RespondActivityTaskFailed", taskToken=flow.poll()["taskToken"], reason="r", details="d")
        assert flow.last(execution, "ActivityTaskFailed") == {
            "reason": "r",
            "details": "d",
            "scheduledEventId": 5,
            "startedEventId": 6,
        }

    @pytest.mark.parametrize(
        ("name", "given", "event", "status"),
        [
            ("CompleteWorkflowExecution", {"result": "r"}, "WorkflowExecutionCompleted", "COMPLETED"),
            ("FailWorkflowExecution", {"reason": "r", "details": "d"}, "WorkflowExecutionFailed", "FAILED"),
            ("CancelWorkflowExecution", {"details": "d"}, "WorkflowExecutionCanceled", "CANCELED"),
        ],
    )
    def test_a_decision_closes_the_execution(
        self, flow: Flow, name: str, given: dict[str, str], event: str, status: str
    ) -> None:
        """Each closing decision records its event and sets the close status."""
        execution = flow.start()
        flow.decide(decision(name, **given))
        assert flow.last(execution, event) == {**given, "decisionTaskCompletedEventId": 4}
        info = flow.describe(execution)["executionInfo"]
        assert (info["executionStatus"], info["closeStatus"], info["closeTimestamp"]) == ("CLOSED", status, NOW)

    def test_signal_cancellation_request_and_termination(self, flow: Flow) -> None:
        """Each records its event. The first two schedule a decision task, and termination removes it."""
        execution = flow.start()
        flow.decide()
        named = {"domain": flow.domain, "workflowId": "video-7"}
        flow.call("SignalWorkflowExecution", signalName="s", input="i", **named)
        flow.call("RequestCancelWorkflowExecution", runId="", **named)
        assert flow.names(execution)[4:] == [
            "WorkflowExecutionSignaled",
            "DecisionTaskScheduled",
            "WorkflowExecutionCancelRequested",
        ]
        assert flow.last(execution, "WorkflowExecutionSignaled") == {
            "signalName": "s",
            "input": "i",
            "externalInitiatedEventId": 0,
        }
        assert flow.describe(execution)["executionInfo"]["cancelRequested"] is True
        flow.call("TerminateWorkflowExecution", runId=execution["runId"], reason="r", details="d", **named)
        assert flow.last(execution, "WorkflowExecutionTerminated") == {
            "reason": "r",
            "details": "d",
            "childPolicy": "TERMINATE",
            "cause": "OPERATOR_INITIATED",
        }
        assert "taskToken" not in flow.poll_decision()
        with refused("UnknownResourceFault", "Unknown execution, workflowId = video-7"):
            flow.call("SignalWorkflowExecution", signalName="s", **named)
        closed = f"WorkflowExecution=[workflowId=video-7, runId={execution['runId']}]"
        with refused("UnknownResourceFault", f"Unknown execution: {closed}"):
            flow.call("TerminateWorkflowExecution", runId=execution["runId"], **named)

    def test_markers(self, flow: Flow) -> None:
        """RecordMarker records its event."""
        execution = flow.start()
        flow.decide(decision("RecordMarker", markerName="m", details="d"))
        assert flow.last(execution, "MarkerRecorded") == {
            "markerName": "m",
            "details": "d",
            "decisionTaskCompletedEventId": 4,
        }


class TestExecutions:
    """StartWorkflowExecution and DescribeWorkflowExecution."""

    def test_one_open_run_of_a_workflow_id(self, flow: Flow) -> None:
        """A second start is rejected while a run is open. After that, it is a new run."""
        first = flow.start()
        with refused("WorkflowExecutionAlreadyStartedFault", "Already Started"):
            flow.start()
        flow.decide(decision("CompleteWorkflowExecution"))
        second = flow.start()
        assert second["runId"] != first["runId"]
        assert flow.describe(first)["executionInfo"]["executionStatus"] == "CLOSED"
        assert flow.describe(second)["executionInfo"]["executionStatus"] == "OPEN"

    def test_a_description(self, engine: Engine, flow: Flow) -> None:
        """It holds the effective configuration, the open counts, and the latest context and activity time."""
        execution = flow.start(tagList=["a", "b"], taskPriority="4", executionStartToCloseTimeout="77")
        engine.advance(1)
        flow.decide(
            activity(), decision("StartTimer", timerId="t", startToFireTimeout="9"), executionContext="context"
        )
        assert flow.describe(execution) == {
            "executionInfo": {
                "execution": execution,
                "workflowType": {"name": "video", "version": "1"},
                "startTimestamp": NOW,
                "executionStatus": "OPEN",
                "cancelRequested": False,
                "reopenable": False,
                "reopenGenerationId": 0,
                "tagList": ["a", "b"],
            },
            "executionConfiguration": {
                "executionStartToCloseTimeout": "77",
                "taskList": {"name": "decisions"},
                "taskStartToCloseTimeout": "30",
                "childPolicy": "TERMINATE",
                "taskPriority": "4",
            },
            "openCounts": {
                "openActivityTasks": 1,
                "openDecisionTasks": 0,
                "openTimers": 1,
                "openChildWorkflowExecutions": 0,
                "openLambdaFunctions": 0,
            },
            "latestActivityTaskTimestamp": NOW + 1,
            "latestExecutionContext": "context",
        }

    @pytest.mark.parametrize(
        ("default", "name"),
        [
            ("defaultExecutionStartToCloseTimeout", "executionStartToCloseTimeout"),
            ("defaultTaskList", "taskList"),
            ("defaultTaskStartToCloseTimeout", "taskStartToCloseTimeout"),
            ("defaultChildPolicy", "childPolicy"),
        ],
    )
    def test_a_setting_that_nothing_gives(self, flow: Flow, default: str, name: str) -> None:
        """DefaultUndefinedFault names the missing setting."""
        defaults: dict[str, Any] = {
            "defaultExecutionStartToCloseTimeout": "1",
            "defaultTaskList": {"name": "x"},
            "defaultTaskStartToCloseTimeout": "1",
            "defaultChildPolicy": "ABANDON",
        }
        del defaults[default]
        flow.call("RegisterWorkflowType", domain=flow.domain, name="bare", version="1", **defaults)
        with refused("DefaultUndefinedFault", name):
            flow.start(workflowType={"name": "bare", "version": "1"})

    def test_unknown_executions(self, flow: Flow) -> None:
        """Domain, workflow ID and run ID must match."""
        execution = flow.start()
        flow.call("RegisterDomain", name="other", workflowExecutionRetentionPeriodInDays="NONE")
        for domain, wrong in (
            (flow.domain, {**execution, "workflowId": "x"}),
            (flow.domain, {**execution, "runId": "x"}),
            ("other", execution),
        ):
            named = f"WorkflowExecution=[workflowId={wrong['workflowId']}, runId={wrong['runId']}]"
            for operation in ("DescribeWorkflowExecution", "GetWorkflowExecutionHistory"):
                with refused("UnknownResourceFault", f"Unknown execution: {named}"):
                    flow.call(operation, domain=domain, execution=wrong)
