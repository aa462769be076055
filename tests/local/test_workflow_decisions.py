"""Decisions about other executions: children, signals, cancellations, and continuing as new."""

from typing import Any

import pytest

from swf_cli.local.engine import Engine
from swf_cli.local.quotas import Limits
from tests.helpers.flow import NOW, Flow, attributes_of, decision, over, refused, still

VIDEO = {"name": "video", "version": "1"}
CONFIGURATION = {
    "childPolicy": "TERMINATE",
    "executionStartToCloseTimeout": "3000",
    "taskList": {"name": "child"},
    "taskStartToCloseTimeout": "30",
}
"""The configuration of a child as `child` starts it."""


def child(workflow_id: str = "child-1", **attributes: Any) -> dict[str, Any]:
    """Return the decision to start a child whose decision tasks are on the list `child`."""
    named = {"workflowId": workflow_id, "workflowType": VIDEO, "taskList": {"name": "child"}}
    return decision("StartChildWorkflowExecution", **{**named, **attributes})


def run_of(flow: Flow, workflow_id: str) -> dict[str, str]:
    """Return the newest run of a workflow ID, open or closed."""
    asked = {
        "domain": flow.domain,
        "startTimeFilter": {"oldestDate": 0},
        "executionFilter": {"workflowId": workflow_id},
    }
    found = flow.call("ListOpenWorkflowExecutions", **asked)["executionInfos"]
    found += flow.call("ListClosedWorkflowExecutions", **asked)["executionInfos"]
    execution: dict[str, str] = found[0]["execution"]
    return execution


@pytest.fixture
def parent(flow: Flow) -> dict[str, str]:
    """An execution with an open child `child-1`; its decision task for the child's start is completed."""
    execution = flow.start()
    flow.decide(child(control="c", input="in", tagList=["t"]))
    flow.decide()
    return execution


class TestChildren:
    """StartChildWorkflowExecution."""

    def test_the_start(self, flow: Flow, parent: dict[str, str]) -> None:
        """The events of parent and child refer to each other."""
        run = run_of(flow, "child-1")
        assert flow.names(parent)[3:] == [
            "DecisionTaskCompleted",
            "StartChildWorkflowExecutionInitiated",
            "ChildWorkflowExecutionStarted",
            "DecisionTaskScheduled",
            "DecisionTaskStarted",
            "DecisionTaskCompleted",
        ]
        assert flow.last(parent, "StartChildWorkflowExecutionInitiated") == {
            **CONFIGURATION,
            "workflowId": "child-1",
            "workflowType": VIDEO,
            "control": "c",
            "input": "in",
            "tagList": ["t"],
            "decisionTaskCompletedEventId": 4,
        }
        assert flow.last(parent, "ChildWorkflowExecutionStarted") == {
            "workflowExecution": run,
            "workflowType": VIDEO,
            "initiatedEventId": 5,
        }
        assert flow.last(run, "WorkflowExecutionStarted") == {
            **CONFIGURATION,
            "workflowType": VIDEO,
            "input": "in",
            "tagList": ["t"],
            "parentWorkflowExecution": parent,
            "parentInitiatedEventId": 5,
        }
        assert flow.describe(parent)["openCounts"]["openChildWorkflowExecutions"] == 1
        info = flow.describe(run)["executionInfo"]
        assert (info["parent"], info["tagList"]) == (parent, ["t"])

    def test_several(self, flow: Flow) -> None:
        """Children start after all decisions of the response, each with an event of its own."""
        execution = flow.start()
        flow.decide(child("a"), decision("RecordMarker", markerName="m"), child("b"))
        assert flow.names(execution)[4:] == [
            "StartChildWorkflowExecutionInitiated",
            "MarkerRecorded",
            "StartChildWorkflowExecutionInitiated",
            "ChildWorkflowExecutionStarted",
            "DecisionTaskScheduled",
            "ChildWorkflowExecutionStarted",
        ]
        assert flow.describe(execution)["openCounts"]["openChildWorkflowExecutions"] == 2

    @pytest.mark.parametrize(
        ("closing", "event", "copied"),
        [
            (decision("CompleteWorkflowExecution", result="r"), "Completed", {"result": "r"}),
            (
                decision("FailWorkflowExecution", reason="r", details="d"),
                "Failed",
                {"reason": "r", "details": "d"},
            ),
            (decision("CancelWorkflowExecution", details="d"), "Canceled", {"details": "d"}),
        ],
    )
    def test_an_end_by_decision(
        self, flow: Flow, parent: dict[str, str], closing: dict[str, Any], event: str, copied: dict[str, str]
    ) -> None:
        """The parent has the child's result, and a decision task."""
        run = run_of(flow, "child-1")
        flow.decide_on("child", closing)
        assert flow.last(parent, f"ChildWorkflowExecution{event}") == {
            "workflowExecution": run,
            "workflowType": VIDEO,
            "initiatedEventId": 5,
            "startedEventId": 6,
            **copied,
        }
        assert flow.names(parent)[-1] == "DecisionTaskScheduled"
        assert flow.describe(parent)["openCounts"]["openChildWorkflowExecutions"] == 0

    def test_an_end_by_timeout(self, engine: Engine, flow: Flow) -> None:
        """The parent is told of a child's timeout, at its own time."""
        execution = flow.start()
        flow.decide(child(executionStartToCloseTimeout="60"))
        engine.advance(100)
        event = next(e for e in flow.history(execution) if e["eventType"] == "ChildWorkflowExecutionTimedOut")
        assert event["eventTimestamp"] == NOW + 60
        assert attributes_of(event)["timeoutType"] == "START_TO_CLOSE"

    def test_an_end_by_termination(self, flow: Flow, parent: dict[str, str]) -> None:
        """The parent is told of a child's termination."""
        flow.call("TerminateWorkflowExecution", domain=flow.domain, workflowId="child-1", reason="r")
        assert flow.last(parent, "ChildWorkflowExecutionTerminated") == {
            "workflowExecution": run_of(flow, "child-1"),
            "workflowType": VIDEO,
            "initiatedEventId": 5,
            "startedEventId": 6,
        }

    def test_a_closed_parent(self, flow: Flow, parent: dict[str, str]) -> None:
        """A child outlives a parent that completes, whose history does not change any more."""
        flow.signal()
        flow.decide(decision("CompleteWorkflowExecution"))
        before = flow.names(parent)
        flow.decide_on("child", decision("CompleteWorkflowExecution"))
        assert flow.names(parent) == before
        assert flow.describe(parent)["openCounts"]["openChildWorkflowExecutions"] == 1

    def test_a_parent_that_completes_with_the_start(self, flow: Flow) -> None:
        """A child that the last response of its parent starts is started."""
        execution = flow.start()
        flow.decide(child(), decision("CompleteWorkflowExecution"))
        assert flow.names(execution)[-2:] == ["StartChildWorkflowExecutionInitiated", "WorkflowExecutionCompleted"]
        assert flow.last(run_of(flow, "child-1"), "WorkflowExecutionStarted")["parentWorkflowExecution"] == execution

    def test_a_workflow_id_in_use(self, flow: Flow) -> None:
        """It fails after it was initiated, as WORKFLOW_ALREADY_RUNNING."""
        execution = flow.start()
        flow.start("child-1", taskList={"name": "other"})
        flow.decide(child(control="c"))
        assert flow.names(execution)[-3:] == [
            "StartChildWorkflowExecutionInitiated",
            "StartChildWorkflowExecutionFailed",
            "DecisionTaskScheduled",
        ]
        assert flow.last(execution, "StartChildWorkflowExecutionFailed") == {
            "workflowId": "child-1",
            "workflowType": VIDEO,
            "control": "c",
            "cause": "WORKFLOW_ALREADY_RUNNING",
            "initiatedEventId": 5,
            "decisionTaskCompletedEventId": 4,
        }

    @pytest.mark.parametrize(
        ("attributes", "cause"),
        [
            ({"workflowType": {"name": "none", "version": "1"}}, "WORKFLOW_TYPE_DOES_NOT_EXIST"),
            ({"workflowType": {"name": "old", "version": "1"}}, "WORKFLOW_TYPE_DEPRECATED"),
            (
                {"workflowType": {"name": "bare", "version": "1"}},
                "DEFAULT_EXECUTION_START_TO_CLOSE_TIMEOUT_UNDEFINED",
            ),
            (
                {"workflowType": {"name": "bare", "version": "1"}, "executionStartToCloseTimeout": "9"},
                "DEFAULT_TASK_START_TO_CLOSE_TIMEOUT_UNDEFINED",
            ),
            (
                {
                    "workflowType": {"name": "bare", "version": "1"},
                    "executionStartToCloseTimeout": "9",
                    "taskStartToCloseTimeout": "9",
                },
                "DEFAULT_CHILD_POLICY_UNDEFINED",
            ),
        ],
    )
    def test_a_type_that_cannot_be_started(self, flow: Flow, attributes: dict[str, Any], cause: str) -> None:
        """It fails without being initiated."""
        for name in ("bare", "old"):
            flow.call("RegisterWorkflowType", domain=flow.domain, name=name, version="1")
        flow.call("DeprecateWorkflowType", domain=flow.domain, workflowType={"name": "old", "version": "1"})
        execution = flow.start()
        flow.decide(child(**attributes))
        assert flow.names(execution)[-2:] == ["StartChildWorkflowExecutionFailed", "DecisionTaskScheduled"]
        failed = flow.last(execution, "StartChildWorkflowExecutionFailed")
        assert (failed["cause"], failed["initiatedEventId"]) == (cause, 0)

    @pytest.mark.parametrize(
        ("limits", "cause"),
        [
            (Limits(open_tasks=2), "OPEN_CHILDREN_LIMIT_EXCEEDED"),
            (Limits(open_executions=3), "OPEN_WORKFLOWS_LIMIT_EXCEEDED"),
        ],
    )
    def test_too_many(self, limits: Limits, cause: str) -> None:
        """A child over SWF's limits fails; the limit holds within one response too."""
        flow = Flow(over(Engine(still(), hold=0, limits=limits))).register()
        execution = flow.start()
        if cause == "OPEN_WORKFLOWS_LIMIT_EXCEEDED":
            flow.start("other", taskList={"name": "other"})
            flow.start("third", taskList={"name": "other"})
            with refused("LimitExceededFault", "Limit on open workflow executions per domain reached"):
                flow.start("fourth")
        flow.decide(child("a"), child("b"), child("c"))
        assert flow.last(execution, "StartChildWorkflowExecutionFailed")["cause"] == cause


class TestChildPolicies:
    """What the end of a parent does to its children."""

    @pytest.fixture
    def family(self, flow: Flow) -> dict[str, str]:
        """A parent with a child that has a child, of the child policies TERMINATE and ABANDON."""
        execution = flow.start()
        flow.decide(child(childPolicy="ABANDON"))
        flow.decide_on("child", child("grandchild", taskList={"name": "grandchild"}))
        return execution

    def states(self, flow: Flow) -> list[str]:
        """Return the states of child and grandchild."""
        infos = [flow.describe(run_of(flow, name))["executionInfo"] for name in ("child-1", "grandchild")]
        return [info.get("closeStatus", "OPEN") for info in infos]

    def terminate(self, flow: Flow, **args: Any) -> None:
        """Terminate the parent."""
        flow.call("TerminateWorkflowExecution", domain=flow.domain, workflowId="video-7", **args)

    def test_terminate(self, flow: Flow, family: dict[str, str]) -> None:
        """Children are terminated, and their own policies apply to theirs."""
        self.terminate(flow)
        assert flow.last(family, "WorkflowExecutionTerminated")["childPolicy"] == "TERMINATE"
        assert flow.last(run_of(flow, "child-1"), "WorkflowExecutionTerminated") == {
            "cause": "CHILD_POLICY_APPLIED",
            "childPolicy": "ABANDON",
        }
        assert self.states(flow) == ["TERMINATED", "OPEN"]
        assert flow.describe(family)["openCounts"]["openChildWorkflowExecutions"] == 1

    def test_request_cancel(self, flow: Flow, family: dict[str, str]) -> None:
        """The deciders of children are asked to cancel."""
        self.terminate(flow, childPolicy="REQUEST_CANCEL")
        assert flow.last(family, "WorkflowExecutionTerminated")["childPolicy"] == "REQUEST_CANCEL"
        run = run_of(flow, "child-1")
        assert flow.last(run, "WorkflowExecutionCancelRequested") == {
            "cause": "CHILD_POLICY_APPLIED",
            "externalInitiatedEventId": 0,
        }
        assert flow.describe(run)["executionInfo"]["cancelRequested"] is True
        flow.decide_on("child", decision("CancelWorkflowExecution"))
        assert self.states(flow) == ["CANCELED", "OPEN"]
        assert flow.describe(run)["executionInfo"]["cancelRequested"] is False

    def test_abandon(self, flow: Flow, family: dict[str, str]) -> None:
        """Children go on."""
        self.terminate(flow, childPolicy="ABANDON")
        assert flow.last(family, "WorkflowExecutionTerminated")["childPolicy"] == "ABANDON"
        assert self.states(flow) == ["OPEN", "OPEN"]

    def test_a_timeout(self, engine: Engine, flow: Flow) -> None:
        """The policy applies when a parent times out, too."""
        flow.start(executionStartToCloseTimeout="60")
        flow.decide(child())
        engine.advance(60)
        assert flow.describe(run_of(flow, "child-1"))["executionInfo"]["closeStatus"] == "TERMINATED"

    def test_a_long_line_of_descendants(self, flow: Flow) -> None:
        """However deep a family is, all of it is terminated."""
        flow.start()
        flow.decide(child("0"))
        for number in range(1, 500):
            flow.decide_on("child", child(str(number)))
            flow.decide_on("child")  # of the parent, for the start of the child
        self.terminate(flow)
        counted = flow.call("CountOpenWorkflowExecutions", domain=flow.domain, startTimeFilter={"oldestDate": 0})
        assert counted["count"] == 0


class TestContinueAsNew:
    """ContinueAsNewWorkflowExecution."""

    def test_it_starts_a_new_run(self, flow: Flow) -> None:
        """The run closes, and a new one starts with what is given and the defaults of its type."""
        execution = flow.start(tagList=["old"], executionStartToCloseTimeout="77")
        flow.decide(decision("ContinueAsNewWorkflowExecution", input="in", tagList=["new"], taskPriority="5"))
        run = run_of(flow, "video-7")
        started = {
            "childPolicy": "TERMINATE",
            "executionStartToCloseTimeout": "3000",
            "taskList": {"name": "decisions"},
            "taskStartToCloseTimeout": "30",
            "taskPriority": "5",
            "workflowType": VIDEO,
            "input": "in",
            "tagList": ["new"],
        }
        assert flow.last(execution, "WorkflowExecutionContinuedAsNew") == {
            **started,
            "newExecutionRunId": run["runId"],
            "decisionTaskCompletedEventId": 4,
        }
        assert flow.last(run, "WorkflowExecutionStarted") == {
            **started,
            "continuedExecutionRunId": execution["runId"],
            "parentInitiatedEventId": 0,
        }
        assert flow.describe(execution)["executionInfo"]["closeStatus"] == "CONTINUED_AS_NEW"
        assert flow.poll_decision()["workflowExecution"] == run

    def test_another_version(self, flow: Flow) -> None:
        """`workflowTypeVersion` names the version of the new run."""
        flow.call("RegisterWorkflowType", domain=flow.domain, name="video", version="2", defaultChildPolicy="ABANDON")
        execution = flow.start()
        given = {"executionStartToCloseTimeout": "9", "taskStartToCloseTimeout": "NONE"}
        version = {"workflowTypeVersion": "2", "taskList": {"name": "two"}}
        flow.decide(decision("ContinueAsNewWorkflowExecution", **given, **version))
        continued = flow.last(execution, "WorkflowExecutionContinuedAsNew")
        assert (continued["workflowType"]["version"], continued["childPolicy"]) == ("2", "ABANDON")

    @pytest.mark.parametrize(
        ("given", "cause"),
        [
            ({"workflowTypeVersion": "9"}, "WORKFLOW_TYPE_DOES_NOT_EXIST"),
            ({"workflowTypeVersion": "2"}, "DEFAULT_EXECUTION_START_TO_CLOSE_TIMEOUT_UNDEFINED"),
            ({"workflowTypeVersion": "3"}, "WORKFLOW_TYPE_DEPRECATED"),
        ],
    )
    def test_a_type_that_cannot_be_started(self, flow: Flow, given: dict[str, str], cause: str) -> None:
        """It fails, the execution stays open, and a decision task is scheduled."""
        for version in ("2", "3"):
            flow.call("RegisterWorkflowType", domain=flow.domain, name="video", version=version)
        flow.call("DeprecateWorkflowType", domain=flow.domain, workflowType={"name": "video", "version": "3"})
        execution = flow.start()
        flow.decide(decision("ContinueAsNewWorkflowExecution", **given))
        assert flow.names(execution)[-2:] == ["ContinueAsNewWorkflowExecutionFailed", "DecisionTaskScheduled"]
        assert flow.last(execution, "ContinueAsNewWorkflowExecutionFailed") == {
            "cause": cause,
            "decisionTaskCompletedEventId": 4,
        }

    def test_a_child(self, flow: Flow, parent: dict[str, str]) -> None:
        """A child that continues as new is still the parent's child: its last run reports its end."""
        flow.decide_on("child", decision("ContinueAsNewWorkflowExecution", taskList={"name": "child"}))
        assert flow.names(parent)[-1] == "DecisionTaskCompleted"
        assert flow.describe(parent)["openCounts"]["openChildWorkflowExecutions"] == 1
        run = run_of(flow, "child-1")
        assert flow.last(run, "WorkflowExecutionStarted")["parentWorkflowExecution"] == parent
        flow.decide_on("child", decision("CompleteWorkflowExecution", result="r"))
        assert flow.last(parent, "ChildWorkflowExecutionCompleted") == {
            "workflowExecution": run,
            "workflowType": VIDEO,
            "initiatedEventId": 5,
            "startedEventId": 6,
            "result": "r",
        }


class TestExternal:
    """SignalExternalWorkflowExecution and RequestCancelExternalWorkflowExecution."""

    @pytest.fixture
    def pair(self, flow: Flow) -> tuple[dict[str, str], dict[str, str]]:
        """Two executions, of which the second has decided once."""
        target = flow.start("target", taskList={"name": "target"})
        flow.decide_on("target")
        return flow.start(), target

    def test_a_signal(self, flow: Flow, pair: tuple[dict[str, str], dict[str, str]]) -> None:
        """Both histories record it, and both get a decision task."""
        source, target = pair
        flow.decide(
            decision("SignalExternalWorkflowExecution", workflowId="target", signalName="s", input="i", control="c")
        )
        assert flow.names(source)[4:] == [
            "SignalExternalWorkflowExecutionInitiated",
            "ExternalWorkflowExecutionSignaled",
            "DecisionTaskScheduled",
        ]
        assert flow.last(source, "SignalExternalWorkflowExecutionInitiated") == {
            "workflowId": "target",
            "signalName": "s",
            "input": "i",
            "control": "c",
            "decisionTaskCompletedEventId": 4,
        }
        assert flow.last(source, "ExternalWorkflowExecutionSignaled") == {
            "workflowExecution": target,
            "initiatedEventId": 5,
        }
        assert flow.names(target)[4:] == ["WorkflowExecutionSignaled", "DecisionTaskScheduled"]
        assert flow.last(target, "WorkflowExecutionSignaled") == {
            "signalName": "s",
            "input": "i",
            "externalWorkflowExecution": source,
            "externalInitiatedEventId": 5,
        }

    def test_a_cancellation(self, flow: Flow, pair: tuple[dict[str, str], dict[str, str]]) -> None:
        """Both histories record it, and both get a decision task."""
        source, target = pair
        named = {"workflowId": "target", "runId": target["runId"]}
        flow.decide(decision("RequestCancelExternalWorkflowExecution", **named, control="c"))
        assert flow.names(source)[4:] == [
            "RequestCancelExternalWorkflowExecutionInitiated",
            "ExternalWorkflowExecutionCancelRequested",
            "DecisionTaskScheduled",
        ]
        assert flow.last(source, "RequestCancelExternalWorkflowExecutionInitiated") == {
            **named,
            "control": "c",
            "decisionTaskCompletedEventId": 4,
        }
        assert flow.last(source, "ExternalWorkflowExecutionCancelRequested") == {
            "workflowExecution": target,
            "initiatedEventId": 5,
        }
        assert flow.last(target, "WorkflowExecutionCancelRequested") == {
            "externalWorkflowExecution": source,
            "externalInitiatedEventId": 5,
        }
        assert flow.describe(target)["executionInfo"]["cancelRequested"] is True

    @pytest.mark.parametrize(
        ("name", "given"),
        [
            ("SignalExternalWorkflowExecution", {"signalName": "s"}),
            ("RequestCancelExternalWorkflowExecution", {}),
        ],
    )
    @pytest.mark.parametrize("named", [{"workflowId": "none"}, {"workflowId": "target", "runId": "other"}])
    @pytest.mark.usefixtures("pair")
    def test_an_unknown_execution(self, flow: Flow, name: str, given: dict[str, str], named: dict[str, str]) -> None:
        """It is initiated, fails, and schedules a decision task."""
        flow.decide(decision(name, **given, **named, control="c"))
        source = run_of(flow, "video-7")
        assert flow.names(source)[4:] == [f"{name}Initiated", f"{name}Failed", "DecisionTaskScheduled"]
        assert flow.last(source, f"{name}Failed") == {
            **named,
            "control": "c",
            "cause": "UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION",
            "initiatedEventId": 5,
            "decisionTaskCompletedEventId": 4,
        }

    def test_a_last_signal(self, flow: Flow, pair: tuple[dict[str, str], dict[str, str]]) -> None:
        """A signal is delivered although its sender completes with the same response."""
        source, target = pair
        signal = decision("SignalExternalWorkflowExecution", workflowId="target", signalName="s")
        flow.decide(signal, decision("CompleteWorkflowExecution"))
        assert flow.names(source)[-1] == "WorkflowExecutionCompleted"
        assert flow.last(target, "WorkflowExecutionSignaled")["externalWorkflowExecution"] == source

    def test_itself(self, flow: Flow) -> None:
        """An execution can signal itself."""
        execution = flow.start()
        flow.decide(decision("SignalExternalWorkflowExecution", workflowId="video-7", signalName="s"))
        assert flow.names(execution)[4:] == [
            "SignalExternalWorkflowExecutionInitiated",
            "WorkflowExecutionSignaled",
            "DecisionTaskScheduled",
            "ExternalWorkflowExecutionSignaled",
        ]
