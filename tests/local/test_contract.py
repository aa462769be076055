"""SWF's behaviour, on this project's local SWF and on moto's, which was written independently.

Known differences of moto are marked with a reason. The marks are strict: they fail once moto is fixed.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from swf_cli.local.server import LocalServer
from tests.helpers.flow import Flow, activity, attributes_of, decision, over_client
from tests.helpers.moto_service import MotoService


def against_both(*, gap_of_moto: str | None = None) -> pytest.MarkDecorator:
    """Run a test against the local SWF and against moto. `gap_of_moto` is why it fails there."""
    marks = [pytest.mark.xfail(reason=f"moto: {gap_of_moto}", strict=True)] if gap_of_moto else []
    return pytest.mark.parametrize("flow", ["local", pytest.param("moto", marks=marks)], indirect=True)


@pytest.fixture(scope="module")
def local() -> Iterator[Any]:
    """A client of a local SWF that all tests share: each uses its own domain."""
    import botocore.session
    from botocore.config import Config

    with LocalServer(hold=0.05) as server:
        client: Any = botocore.session.Session().create_client(
            "swf",
            region_name="us-east-1",
            endpoint_url=server.url,
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="secret",
            config=Config(retries={"mode": "standard", "total_max_attempts": 1}),
        )
        yield client
        client.close()


@pytest.fixture
def flow(request: pytest.FixtureRequest, local: Any, moto: MotoService) -> Flow:
    """A new domain with its types, on the SWF that the test names."""
    client = local if request.param == "local" else moto.client
    return Flow(over_client(client), f"d-{uuid.uuid4()}").register()


@contextmanager
def refused(code: str, message: str) -> Iterator[None]:
    """Expect a fault with exactly this message."""
    with pytest.raises(ClientError) as caught:
        yield
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == (code, message)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def signal(flow: Flow) -> None:
    """Signal the execution, so that a decision task is scheduled."""
    flow.call("SignalWorkflowExecution", domain=flow.domain, workflowId="video-7", signalName="s", input="i")


@against_both()
def test_domains_and_types_are_registered_once(flow: Flow) -> None:
    """A second registration is rejected; the message names the domain or type."""
    with refused("DomainAlreadyExistsFault", flow.domain):
        flow.call("RegisterDomain", name=flow.domain, workflowExecutionRetentionPeriodInDays="1")
    with refused("TypeAlreadyExistsFault", "ActivityType=[name=resize, version=1]"):
        flow.call("RegisterActivityType", domain=flow.domain, name="resize", version="1")
    with refused("TypeAlreadyExistsFault", "WorkflowType=[name=video, version=1]"):
        flow.call("RegisterWorkflowType", domain=flow.domain, name="video", version="1")


@against_both()
def test_deprecation(flow: Flow) -> None:
    """A deprecated type starts no executions. Types and domains cannot be deprecated twice."""
    kind = {"name": "video", "version": "1"}
    flow.call("DeprecateWorkflowType", domain=flow.domain, workflowType=kind)
    for refuse in (
        flow.start,
        lambda: flow.call("DeprecateWorkflowType", domain=flow.domain, workflowType=kind),
    ):
        with refused("TypeDeprecatedFault", "WorkflowType=[name=video, version=1]"):
            refuse()
    flow.call("DeprecateDomain", name=flow.domain)
    with refused("DomainDeprecatedFault", flow.domain):
        flow.call("DeprecateDomain", name=flow.domain)


@against_both(gap_of_moto="a deprecated domain takes types and starts executions")
@pytest.mark.parametrize("operation", ["RegisterActivityType", "RegisterWorkflowType"])
def test_a_deprecated_domain(flow: Flow, operation: str) -> None:
    """It accepts neither types nor executions, as documented for DeprecateDomain."""
    flow.call("DeprecateDomain", name=flow.domain)
    for refuse in (lambda: flow.call(operation, domain=flow.domain, name="x", version="1"), flow.start):
        with refused("DomainDeprecatedFault", flow.domain):
            refuse()


@against_both()
def test_what_is_unknown(flow: Flow) -> None:
    """The message names the unknown resource as SWF does."""
    with refused("UnknownResourceFault", "Unknown domain: nope"):
        flow.call("DescribeDomain", name="nope")
    with refused("UnknownResourceFault", "Unknown type: ActivityType=[name=x, version=1]"):
        flow.call("DescribeActivityType", domain=flow.domain, activityType={"name": "x", "version": "1"})
    with refused("UnknownResourceFault", "Unknown execution: WorkflowExecution=[workflowId=w, runId=r]"):
        flow.describe({"workflowId": "w", "runId": "r"})
    with refused("UnknownResourceFault", "Unknown execution, workflowId = video-7"):
        signal(flow)


@against_both()
def test_one_open_run_of_a_workflow_id(flow: Flow) -> None:
    """A second start is rejected while a run is open."""
    flow.start()
    with refused("WorkflowExecutionAlreadyStartedFault", "Already Started"):
        flow.start()


@against_both()
def test_settings_that_nothing_gives(flow: Flow) -> None:
    """DefaultUndefinedFault names the first missing setting."""
    flow.call("RegisterWorkflowType", domain=flow.domain, name="bare", version="1")
    with refused("DefaultUndefinedFault", "executionStartToCloseTimeout"):
        flow.start(workflowType={"name": "bare", "version": "1"})
    with refused("DefaultUndefinedFault", "taskList"):
        flow.start(workflowType={"name": "bare", "version": "1"}, executionStartToCloseTimeout="9")


@against_both()
def test_the_events_of_a_task(flow: Flow) -> None:
    """The events from start to completion, and their references to each other."""
    execution = flow.start(input="in")
    flow.decide(activity(input="in.png"))
    task = flow.poll(identity="worker")
    assert (task["activityId"], task["startedEventId"], task["input"]) == ("resize-1", 6, "in.png")
    assert task["workflowExecution"] == execution
    flow.call("RespondActivityTaskCompleted", taskToken=task["taskToken"], result="out")
    decided = flow.decide(decision("CompleteWorkflowExecution", result="all"))
    assert decided["previousStartedEventId"] == 3
    assert flow.names(execution) == [
        "WorkflowExecutionStarted",
        "DecisionTaskScheduled",
        "DecisionTaskStarted",
        "DecisionTaskCompleted",
        "ActivityTaskScheduled",
        "ActivityTaskStarted",
        "ActivityTaskCompleted",
        "DecisionTaskScheduled",
        "DecisionTaskStarted",
        "DecisionTaskCompleted",
        "WorkflowExecutionCompleted",
    ]
    refers = {
        name: {key: value for key, value in attributes_of(event).items() if key.endswith("EventId")}
        for event in flow.history(execution)
        if "Activity" in (name := event["eventType"]) or name == "WorkflowExecutionCompleted"
    }
    assert refers == {
        "ActivityTaskScheduled": {"decisionTaskCompletedEventId": 4},
        "ActivityTaskStarted": {"scheduledEventId": 5},
        "ActivityTaskCompleted": {"scheduledEventId": 5, "startedEventId": 6},
        "WorkflowExecutionCompleted": {"decisionTaskCompletedEventId": 10},
    }
    assert flow.last(execution, "ActivityTaskStarted")["identity"] == "worker"
    assert flow.last(execution, "ActivityTaskCompleted")["result"] == "out"


@against_both()
def test_a_failed_task(flow: Flow) -> None:
    """Reason and details are recorded, and a decision task is scheduled."""
    execution = flow.schedule()
    flow.call("RespondActivityTaskFailed", taskToken=flow.poll()["taskToken"], reason="r", details="d")
    failed = {"reason": "r", "details": "d", "scheduledEventId": 5, "startedEventId": 6}
    assert flow.last(execution, "ActivityTaskFailed") == failed
    assert flow.names(execution)[-1] == "DecisionTaskScheduled"


@against_both()
def test_tokens(flow: Flow) -> None:
    """A made-up token is invalid. For a completed task or closed execution the message names that."""
    execution = flow.schedule()
    with refused("ValidationException", "Invalid token"):
        flow.call("RespondActivityTaskCompleted", taskToken="made up")
    token = flow.poll()["taskToken"]
    flow.call("RespondActivityTaskCompleted", taskToken=token)
    with refused("UnknownResourceFault", "Unknown activity, scheduledEventId = 5"):
        flow.call("RespondActivityTaskCompleted", taskToken=token)
    flow.decide(activity("second"))
    token = flow.poll()["taskToken"]
    flow.call("TerminateWorkflowExecution", domain=flow.domain, workflowId="video-7")
    named = f"WorkflowExecution=[workflowId=video-7, runId={execution['runId']}]"
    with refused("UnknownResourceFault", f"Unknown execution: {named}"):
        flow.call("RespondActivityTaskCompleted", taskToken=token)


@against_both(gap_of_moto="an answer to a task that failed is an HTML 500")
def test_an_answer_to_a_failed_task(flow: Flow) -> None:
    """It is rejected like a response to a completed task."""
    flow.schedule()
    token = flow.poll()["taskToken"]
    flow.call("RespondActivityTaskFailed", taskToken=token)
    with refused("UnknownResourceFault", "Unknown activity, scheduledEventId = 5"):
        flow.call("RespondActivityTaskCompleted", taskToken=token)


@against_both()
@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"activityType": {"name": "resize", "version": "9"}}, "ACTIVITY_TYPE_DOES_NOT_EXIST"),
        ({"taskList": None}, "DEFAULT_TASK_LIST_UNDEFINED"),
        ({"heartbeatTimeout": None}, "DEFAULT_HEARTBEAT_TIMEOUT_UNDEFINED"),
        ({"scheduleToCloseTimeout": None}, "DEFAULT_SCHEDULE_TO_CLOSE_TIMEOUT_UNDEFINED"),
    ],
)
def test_tasks_that_can_not_be_scheduled(flow: Flow, given: dict[str, Any], cause: str) -> None:
    """The event has SWF's cause, and a decision task is scheduled."""
    execution = flow.start()
    wanted = activity(**given)
    attributes = wanted["scheduleActivityTaskDecisionAttributes"]
    wanted["scheduleActivityTaskDecisionAttributes"] = {k: v for k, v in attributes.items() if v is not None}
    flow.decide(wanted)
    assert flow.last(execution, "ScheduleActivityTaskFailed")["cause"] == cause
    assert flow.names(execution)[-1] == "DecisionTaskScheduled"


@against_both()
def test_an_id_of_an_open_task(flow: Flow) -> None:
    """It is rejected while that task is open."""
    execution = flow.start()
    flow.decide(activity("a"), activity("a"))
    assert flow.last(execution, "ScheduleActivityTaskFailed")["cause"] == "ACTIVITY_ID_ALREADY_IN_USE"


@against_both(gap_of_moto="an activity id can be used once only, also after its task is closed")
def test_an_id_of_a_closed_task(flow: Flow) -> None:
    """It can be used again."""
    execution = flow.schedule()
    flow.call("RespondActivityTaskCompleted", taskToken=flow.poll()["taskToken"])
    flow.decide(activity())
    assert flow.names(execution)[-1] == "ActivityTaskScheduled"


@against_both(gap_of_moto="the scheduled event has what the decision gave, not what holds")
def test_the_scheduled_event_has_the_effective_timeouts(flow: Flow) -> None:
    """Timeouts from the type's defaults are included."""
    defaults = {"defaultTaskHeartbeatTimeout": "7"}
    flow.call("RegisterActivityType", domain=flow.domain, name="resize", version="2", **defaults)
    execution = flow.start()
    wanted = activity(activityType={"name": "resize", "version": "2"})
    del wanted["scheduleActivityTaskDecisionAttributes"]["heartbeatTimeout"]
    flow.decide(wanted)
    assert flow.last(execution, "ActivityTaskScheduled")["heartbeatTimeout"] == "7"


@against_both()
def test_closing_comes_last(flow: Flow) -> None:
    """If a decision follows a closing one, all are rejected."""
    execution = flow.start()
    with refused("ValidationException", "Close must be last decision in list"):
        flow.decide({"decisionType": "CompleteWorkflowExecution"}, activity())
    assert flow.names(execution)[-1] == "DecisionTaskStarted"


@against_both()
@pytest.mark.parametrize(
    ("name", "event", "status"),
    [
        ("CompleteWorkflowExecution", "WorkflowExecutionCompleted", "COMPLETED"),
        ("FailWorkflowExecution", "WorkflowExecutionFailed", "FAILED"),
        ("CancelWorkflowExecution", "WorkflowExecutionCanceled", "CANCELED"),
    ],
)
def test_each_way_to_close(flow: Flow, name: str, event: str, status: str) -> None:
    """It records its event and sets the close status."""
    execution = flow.start()
    flow.decide(decision(name))
    assert flow.names(execution)[-1] == event
    assert flow.describe(execution)["executionInfo"]["closeStatus"] == status


@against_both()
def test_termination(flow: Flow) -> None:
    """It records its event, with SWF's cause."""
    execution = flow.start()
    flow.call("TerminateWorkflowExecution", domain=flow.domain, workflowId="video-7", reason="r", details="d")
    assert flow.last(execution, "WorkflowExecutionTerminated") == {
        "reason": "r",
        "details": "d",
        "childPolicy": "TERMINATE",
        "cause": "OPERATOR_INITIATED",
    }


@against_both()
def test_signals_and_markers(flow: Flow) -> None:
    """Both record their events. A signal schedules a decision task."""
    execution = flow.start()
    flow.decide(decision("RecordMarker", markerName="m", details="d"))
    assert flow.last(execution, "MarkerRecorded")["decisionTaskCompletedEventId"] == 4
    signal(flow)
    assert flow.names(execution)[-2:] == ["WorkflowExecutionSignaled", "DecisionTaskScheduled"]


@against_both()
def test_timers(flow: Flow) -> None:
    """Starting a timer ID in use and cancelling an unknown one fail with SWF's causes."""
    execution = flow.start()
    timer = decision("StartTimer", timerId="t", startToFireTimeout="1")
    flow.decide(timer, timer, decision("CancelTimer", timerId="u"), decision("CompleteWorkflowExecution"))
    assert flow.names(execution)[4:7] == ["TimerStarted", "StartTimerFailed", "CancelTimerFailed"]
    assert flow.last(execution, "StartTimerFailed")["cause"] == "TIMER_ID_ALREADY_IN_USE"
    assert flow.last(execution, "CancelTimerFailed")["cause"] == "TIMER_ID_UNKNOWN"


@against_both(gap_of_moto="the event is spelled TimerCancelled")
def test_a_cancelled_timer(flow: Flow) -> None:
    """It records its event, spelled as in the service model."""
    execution = flow.start()
    timer = decision("StartTimer", timerId="t", startToFireTimeout="1")
    flow.decide(timer, decision("CancelTimer", timerId="t"))
    assert flow.last(execution, "TimerCanceled")["startedEventId"] == 5


@against_both(gap_of_moto="a signal without input is an HTML 500")
def test_a_signal_without_input(flow: Flow) -> None:
    """Input is optional."""
    execution = flow.start()
    flow.call("SignalWorkflowExecution", domain=flow.domain, workflowId="video-7", signalName="s")
    assert flow.last(execution, "WorkflowExecutionSignaled")["signalName"] == "s"


@against_both()
def test_open_counts(flow: Flow) -> None:
    """The description counts what is open."""
    execution = flow.schedule()
    counts = flow.describe(execution)["openCounts"]
    assert (counts["openActivityTasks"], counts["openDecisionTasks"], counts["openTimers"]) == (1, 0, 0)


@against_both()
def test_history_the_other_way_round(flow: Flow) -> None:
    """The newest event comes first."""
    execution = flow.schedule()
    ids = [event["eventId"] for event in flow.history(execution, reverseOrder=True)]
    assert ids == [5, 4, 3, 2, 1]


@against_both(gap_of_moto="the priority of a task is ignored")
def test_priority(flow: Flow) -> None:
    """The higher priority goes first."""
    flow.start()
    flow.decide(activity("low", taskPriority="1"), activity("high", taskPriority="2"))
    assert flow.poll()["activityId"] == "high"


@against_both(gap_of_moto="tasks that were started are counted too")
def test_pending_tasks(flow: Flow) -> None:
    """Only tasks that no worker has started are counted."""
    flow.start()
    flow.decide(activity("a"), activity("b"))
    assert flow.pending() == 2
    flow.poll()
    assert flow.pending() == 1


@against_both(gap_of_moto="tasks of a closed execution stay on their list")
def test_tasks_of_a_closed_execution(flow: Flow) -> None:
    """They are not counted."""
    flow.schedule()
    flow.call("TerminateWorkflowExecution", domain=flow.domain, workflowId="video-7")
    assert flow.pending() == 0


@against_both(gap_of_moto="there is no RequestCancelActivityTask")
def test_a_task_that_waits_is_cancelled_at_once(flow: Flow) -> None:
    """The decider's request closes it."""
    execution = flow.schedule()
    signal(flow)
    flow.decide(decision("RequestCancelActivityTask", activityId="resize-1"))
    assert flow.names(execution)[-3:-1] == ["ActivityTaskCancelRequested", "ActivityTaskCanceled"]


@against_both(gap_of_moto="there is no RequestCancelActivityTask, and a heartbeat always says no")
def test_a_started_task_is_asked_to_cancel(flow: Flow) -> None:
    """The worker sees the request in a heartbeat response, and may then cancel the task."""
    execution = flow.schedule()
    token = flow.poll()["taskToken"]
    signal(flow)
    flow.decide(decision("RequestCancelActivityTask", activityId="resize-1"))
    assert flow.call("RecordActivityTaskHeartbeat", taskToken=token)["cancelRequested"] is True
    flow.call("RespondActivityTaskCanceled", taskToken=token, details="d")
    assert flow.last(execution, "ActivityTaskCanceled")["details"] == "d"


@against_both(gap_of_moto="there is no RespondActivityTaskCanceled")
def test_cancelling_unasked(flow: Flow) -> None:
    """It is rejected, and the task stays open."""
    execution = flow.schedule()
    token = flow.poll()["taskToken"]
    with pytest.raises(ClientError, match="UnknownResourceFault"):
        flow.call("RespondActivityTaskCanceled", taskToken=token)
    flow.call("RespondActivityTaskCompleted", taskToken=token)
    assert "ActivityTaskCompleted" in flow.names(execution)


@against_both(gap_of_moto="there is no RequestCancelWorkflowExecution")
def test_an_execution_is_asked_to_cancel(flow: Flow) -> None:
    """The event schedules a decision task."""
    execution = flow.start()
    flow.decide()
    flow.call("RequestCancelWorkflowExecution", domain=flow.domain, workflowId="video-7")
    assert flow.names(execution)[-2:] == ["WorkflowExecutionCancelRequested", "DecisionTaskScheduled"]


@against_both(gap_of_moto="each event schedules a decision task of its own")
def test_one_decision_task_at_a_time(flow: Flow) -> None:
    """Several events lead to one decision task."""
    execution = flow.start()
    signal(flow)
    signal(flow)
    assert flow.names(execution).count("DecisionTaskScheduled") == 1


@against_both(gap_of_moto="an execution completes over what its decider has not seen")
def test_an_execution_does_not_close_over_unseen_events(flow: Flow) -> None:
    """The close fails as UNHANDLED_DECISION, and a decision task is scheduled."""
    execution = flow.start()
    task = flow.poll_decision()
    signal(flow)
    close = decision("CompleteWorkflowExecution")
    flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=[close])
    assert flow.last(execution, "CompleteWorkflowExecutionFailed")["cause"] == "UNHANDLED_DECISION"
    assert flow.names(execution)[3:] == [
        "WorkflowExecutionSignaled",
        "DecisionTaskScheduled",
        "DecisionTaskCompleted",
        "CompleteWorkflowExecutionFailed",
    ]


@against_both(gap_of_moto="histories and lists have no pages")
def test_pages(flow: Flow) -> None:
    """A page that is not the last has a token for the next."""
    execution = flow.schedule()
    asked = {"domain": flow.domain, "execution": execution, "maximumPageSize": 3}
    first = flow.call("GetWorkflowExecutionHistory", **asked)
    second = flow.call("GetWorkflowExecutionHistory", **asked, nextPageToken=first["nextPageToken"])
    assert [event["eventId"] for event in first["events"] + second["events"]] == [1, 2, 3, 4, 5]
    assert "nextPageToken" not in second


@against_both(gap_of_moto="lists of executions come in the order of their starts")
def test_the_newest_execution_first(flow: Flow) -> None:
    """Newest first is the default."""
    flow.start("one")
    flow.start("two")
    answer = flow.call("ListOpenWorkflowExecutions", domain=flow.domain, startTimeFilter={"oldestDate": 0})
    assert [info["execution"]["workflowId"] for info in answer["executionInfos"]] == ["two", "one"]


@against_both(gap_of_moto="all filters but the tag's are ignored")
@pytest.mark.parametrize(
    "given",
    [
        {"executionFilter": {"workflowId": "one"}},
        {"typeFilter": {"name": "photo"}},
        {"startTimeFilter": {"oldestDate": 0, "latestDate": 1}},
    ],
    ids=["execution", "type", "time"],
)
def test_filters(flow: Flow, given: dict[str, Any]) -> None:
    """Only executions that match the filter are listed."""
    flow.start("two")
    asked = {"domain": flow.domain, "startTimeFilter": {"oldestDate": 0}, **given}
    assert flow.call("ListOpenWorkflowExecutions", **asked)["executionInfos"] == []


@against_both()
def test_lists_of_open_and_closed(flow: Flow) -> None:
    """An execution is in exactly one of the two lists."""
    flow.start("one")
    flow.start("two")
    flow.call("TerminateWorkflowExecution", domain=flow.domain, workflowId="one")
    since = {"startTimeFilter": {"oldestDate": 0}}
    for which, workflow_id in (("Open", "two"), ("Closed", "one")):
        found = flow.call(f"List{which}WorkflowExecutions", domain=flow.domain, **since)["executionInfos"]
        assert [info["execution"]["workflowId"] for info in found] == [workflow_id]


@against_both(gap_of_moto="what SWF's service model does not allow is not refused")
def test_the_service_model_holds(flow: Flow) -> None:
    """A name that is too long is a ValidationException."""
    with pytest.raises(ClientError, match="Member must have length less than or equal to 256"):
        flow.pending("x" * 257)


@against_both(gap_of_moto="names are not checked")
@pytest.mark.parametrize("name", ["a:b", "a/b", "a|b", "a\x7f", " a", "a ", "arn"])
def test_forbidden_names(flow: Flow, name: str) -> None:
    """A name that the documentation forbids is rejected."""
    with refused("ValidationException", f"Invalid workflowId: {name}"):
        flow.start(name)


@against_both(gap_of_moto="values are not checked")
def test_maxima(flow: Flow) -> None:
    """A retention of over 90 days, and an execution of over a year, are rejected."""
    with pytest.raises(ClientError, match="Member must have value less than or equal to 90"):
        flow.call("RegisterDomain", name="b", workflowExecutionRetentionPeriodInDays="91")
    with pytest.raises(ClientError, match="Member must have value less than or equal to 31536000"):
        flow.start(executionStartToCloseTimeout="31536001")


@against_both(gap_of_moto="there are no DeleteActivityType and DeleteWorkflowType")
@pytest.mark.parametrize(("kind", "name"), [("activity", "resize"), ("workflow", "video")])
def test_deleted_types(flow: Flow, kind: str, name: str) -> None:
    """A type must be deprecated before it is deleted."""
    called = {"domain": flow.domain, f"{kind}Type": {"name": name, "version": "1"}}
    with refused("TypeNotDeprecatedFault", f"{kind.capitalize()}Type=[name={name}, version=1]"):
        flow.call(f"Delete{kind.capitalize()}Type", **called)
    flow.call(f"Deprecate{kind.capitalize()}Type", **called)
    flow.call(f"Delete{kind.capitalize()}Type", **called)


@against_both()
def test_tags(flow: Flow) -> None:
    """Tags of a domain."""
    arn = flow.call("DescribeDomain", name=flow.domain)["domainInfo"]["arn"]
    tags = [{"key": "team", "value": "a"}]
    flow.call("TagResource", resourceArn=arn, tags=tags)
    assert flow.call("ListTagsForResource", resourceArn=arn)["tags"] == tags


@against_both(gap_of_moto="there is no StartChildWorkflowExecution")
def test_children(flow: Flow) -> None:
    """A child reports its result to its parent."""
    execution = flow.start()
    child = {"workflowType": {"name": "video", "version": "1"}, "taskList": {"name": "child"}}
    flow.decide(decision("StartChildWorkflowExecution", workflowId="child", **child))
    flow.decide_on("child", decision("CompleteWorkflowExecution", result="r"))
    assert flow.last(execution, "ChildWorkflowExecutionCompleted")["result"] == "r"


@against_both(gap_of_moto="there is no ContinueAsNewWorkflowExecution")
def test_continuing_as_new(flow: Flow) -> None:
    """The execution closes, and a new run starts."""
    execution = flow.start()
    flow.decide(decision("ContinueAsNewWorkflowExecution"))
    continued = flow.last(execution, "WorkflowExecutionContinuedAsNew")
    assert flow.poll_decision()["workflowExecution"]["runId"] == continued["newExecutionRunId"]


@against_both(gap_of_moto="there is no SignalExternalWorkflowExecution")
def test_external_signals(flow: Flow) -> None:
    """An execution signals another."""
    target = flow.start("target", taskList={"name": "target"})
    flow.start()
    flow.decide(decision("SignalExternalWorkflowExecution", workflowId="target", signalName="s"))
    assert flow.last(target, "WorkflowExecutionSignaled")["externalInitiatedEventId"] == 5


@against_both(gap_of_moto="run IDs have another length")
def test_run_ids(flow: Flow) -> None:
    """A run ID has 46 characters."""
    assert len(flow.start()["runId"]) == 46
