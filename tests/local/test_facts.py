"""What is known of the real service, from recordings, its documentation and issues, as tables."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from swf_cli.local.clock import Clock
from swf_cli.local.engine import Engine
from swf_cli.local.quotas import RATES, Limits
from swf_cli.local.server import LocalServer
from tests.helpers.cli import wait_until
from tests.helpers.flow import NOW, Flow, RealTime, activity, attributes_of, decision, over
from tests.helpers.wire import Refused, Wire, port_of

# --- Sizes

SIZES = [
    # operation, member, most characters
    ("RespondActivityTaskCompleted", "result", 32_768),
    ("RespondActivityTaskFailed", "reason", 256),
    ("RespondActivityTaskFailed", "details", 32_768),
    ("RespondActivityTaskCanceled", "details", 32_768),
    ("RecordActivityTaskHeartbeat", "details", 2_048),
    ("RecordActivityTaskHeartbeat", "taskToken", 1_024),
    ("PollForActivityTask", "identity", 256),
]


@pytest.mark.parametrize(("operation", "member", "most"), SIZES)
def test_sizes(wire: Wire, operation: str, member: str, most: int) -> None:
    """A text may have as many characters as documented, and not one more."""
    required = {"PollForActivityTask": {"domain": "d", "taskList": {"name": "l"}}}
    args = required.get(operation, {"taskToken": "t"})
    for length, refused_for in (
        (most, {"Invalid token", "Unknown domain: d"}),
        (most + 1, {"1 validation error detected"}),
    ):
        with pytest.raises(Refused) as caught:
            wire.call(operation, **{**args, member: "é" * length})
        assert caught.value.message.partition(": Value")[0] in refused_for


LIMITS = {
    "polls": 1_000,
    "open_tasks": 1_000,
    "open_executions": 100_000,
    "events": 25_000,
    "counted_tasks": 1_000,
}


@pytest.mark.parametrize(("name", "most"), LIMITS.items())
def test_limits(name: str, most: int) -> None:
    """What may exist at one time."""
    assert getattr(Limits(), name) == most


RATE_LIMITS = [
    # operation, bucket, refill a second
    ("GetWorkflowExecutionHistory", 2_000, 60),
    ("ListOpenWorkflowExecutions", 200, 48),
    ("DescribeWorkflowExecution", 2_000, 6),
    ("CountPendingActivityTasks", 200, 6),
]


@pytest.mark.parametrize(("operation", "bucket", "refill"), RATE_LIMITS)
def test_rate_limits(operation: str, bucket: int, refill: int) -> None:
    """Token buckets per operation."""
    assert RATES[operation] == (bucket, refill)


# --- Faults

Situation = Callable[[Flow], dict[str, Any]]


def closed_task(flow: Flow) -> dict[str, Any]:
    """Return the token of a completed task."""
    flow.schedule()
    token = flow.poll()["taskToken"]
    flow.call("RespondActivityTaskCompleted", taskToken=token)
    return {"taskToken": token}


def timed_out_task(flow: Flow) -> dict[str, Any]:
    """Return the token of a task whose heartbeat timeout was 0."""
    flow.schedule(heartbeatTimeout="0")
    token = flow.poll()["taskToken"]
    return {"taskToken": token}


def closed_execution(flow: Flow) -> dict[str, Any]:
    """Return the token of a task whose execution was terminated."""
    flow.schedule()
    token = flow.poll()["taskToken"]
    flow.call("TerminateWorkflowExecution", domain=flow.domain, workflowId="video-7")
    return {"taskToken": token}


def open_task(flow: Flow) -> dict[str, Any]:
    """Return the token of a task whose cancellation nobody requested."""
    flow.schedule()
    return {"taskToken": flow.poll()["taskToken"]}


RESPONSES = (
    "RespondActivityTaskCompleted",
    "RespondActivityTaskFailed",
    "RespondActivityTaskCanceled",
    "RecordActivityTaskHeartbeat",
)
FAULTS = [
    *((closed_task, each, "Unknown activity") for each in RESPONSES),
    *((timed_out_task, each, "Unknown activity") for each in RESPONSES),
    *(
        (closed_execution, each, "Unknown execution: WorkflowExecution=[workflowId=video-7, runId=")
        for each in RESPONSES
    ),
    (open_task, "RespondActivityTaskCanceled", "Unknown "),
]


@pytest.mark.parametrize(("situation", "operation", "begins"), FAULTS)
def test_faults_of_responses(flow: Flow, situation: Situation, operation: str, begins: str) -> None:
    """A response to a task that is not open, or to cancel one unasked, is an UnknownResourceFault."""
    args = situation(flow)
    with pytest.raises(Exception, match="UnknownResourceFault") as caught:
        flow.call(operation, **args)
    assert str(caught.value).partition(": ")[2].startswith(begins)


# --- Histories

History = Callable[[Flow], None]


def start_child(flow: Flow) -> None:
    """Start a child, which completes while a decider works."""
    child = {"workflowId": "child", "workflowType": {"name": "video", "version": "1"}, "taskList": {"name": "child"}}
    flow.decide(decision("StartChildWorkflowExecution", **child))
    task = flow.poll_decision()
    flow.decide_on("child", decision("CompleteWorkflowExecution"))
    flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"])
    flow.decide(decision("CompleteWorkflowExecution"))


def signal_while_deciding(flow: Flow) -> None:
    """Signal twice while a decider works."""
    task = flow.poll_decision()
    flow.signal()
    flow.signal()
    flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"])
    flow.poll_decision()


def signal_while_waiting(flow: Flow) -> None:
    """Signal while a decision task waits."""
    flow.signal()
    flow.poll_decision()


def cancel(flow: Flow) -> None:
    """Request cancellation while an activity task is open, and cancel the execution."""
    flow.decide(activity())
    flow.poll()
    flow.call("RequestCancelWorkflowExecution", domain=flow.domain, workflowId="video-7")
    flow.decide(decision("CancelWorkflowExecution"))


HISTORIES = [
    (
        start_child,  # recorded in 2017 and 2023
        """DecisionTaskStarted DecisionTaskCompleted StartChildWorkflowExecutionInitiated
        ChildWorkflowExecutionStarted DecisionTaskScheduled DecisionTaskStarted
        ChildWorkflowExecutionCompleted DecisionTaskScheduled
        DecisionTaskCompleted DecisionTaskStarted DecisionTaskCompleted WorkflowExecutionCompleted""",
    ),
    (
        signal_while_deciding,
        """DecisionTaskStarted WorkflowExecutionSignaled DecisionTaskScheduled WorkflowExecutionSignaled
        DecisionTaskCompleted DecisionTaskStarted""",
    ),
    (signal_while_waiting, "WorkflowExecutionSignaled DecisionTaskStarted"),
    (
        cancel,
        """DecisionTaskStarted DecisionTaskCompleted ActivityTaskScheduled ActivityTaskStarted
        WorkflowExecutionCancelRequested DecisionTaskScheduled DecisionTaskStarted DecisionTaskCompleted
        WorkflowExecutionCanceled""",
    ),
]


@pytest.mark.parametrize(("happens", "events"), HISTORIES)
def test_histories(flow: Flow, happens: History, events: str) -> None:
    """The order of events, as recorded."""
    execution = flow.start()
    happens(flow)
    assert flow.names(execution) == ["WorkflowExecutionStarted", "DecisionTaskScheduled", *events.split()]


ATTRIBUTES = [
    # event, attributes as recorded, besides those that the execution has
    ("WorkflowExecutionStarted", {"parentInitiatedEventId": 0}),
    ("DecisionTaskScheduled", {"scheduleToStartTimeout": "NONE"}),
    ("WorkflowExecutionSignaled", {"externalInitiatedEventId": 0}),
    ("WorkflowExecutionCancelRequested", {"externalInitiatedEventId": 0}),
    ("ActivityTaskTimedOut", {"startedEventId": 0}),
]


@pytest.mark.parametrize(("event", "attributes"), ATTRIBUTES)
def test_attributes(engine: Engine, flow: Flow, event: str, attributes: Mapping[str, Any]) -> None:
    """Attributes of events."""
    execution = flow.schedule()
    flow.signal()
    flow.call("RequestCancelWorkflowExecution", domain=flow.domain, workflowId="video-7")
    engine.advance(200)
    found = next(each for each in flow.history(execution) if each["eventType"] == event)
    assert attributes.items() <= attributes_of(found).items()


# --- Descriptions


def describe_after(flow: Flow, engine: Engine, *decisions: dict[str, Any]) -> dict[str, Any]:
    """Describe an execution that was asked to cancel, has a started activity task, and decided then."""
    execution = flow.schedule()
    engine.advance(1)
    flow.poll()
    flow.call("RequestCancelWorkflowExecution", domain=flow.domain, workflowId="video-7")
    engine.advance(1)
    flow.decide(*decisions)
    return flow.describe(execution)  # type: ignore[no-any-return]


DESCRIPTIONS = [
    # decisions, cancelRequested, open activity and decision tasks
    ([], True, (1, 0)),
    ([decision("CancelWorkflowExecution")], False, (1, 0)),
]


@pytest.mark.parametrize(("decisions", "cancel_requested", "counts"), DESCRIPTIONS)
def test_descriptions(
    engine: Engine, flow: Flow, decisions: list[dict[str, Any]], cancel_requested: bool, counts: tuple[int, int]
) -> None:
    """The request to cancel is not shown once the execution is closed, but the counts at its close are."""
    found = describe_after(flow, engine, *decisions)
    assert found["executionInfo"]["cancelRequested"] is cancel_requested
    assert (found["openCounts"]["openActivityTasks"], found["openCounts"]["openDecisionTasks"]) == counts
    assert found["latestActivityTaskTimestamp"] == NOW + 1
    assert (found["executionInfo"]["reopenable"], found["executionInfo"]["reopenGenerationId"]) == (False, 0)


LATEST_ACTIVITY = [
    # what happens at the second second, whether it is the latest activity
    ("RespondActivityTaskCompleted", True),
    ("RespondActivityTaskFailed", True),
    ("RecordActivityTaskHeartbeat", False),
]


@pytest.mark.parametrize(("operation", "counts"), LATEST_ACTIVITY)
def test_latest_activity(engine: Engine, flow: Flow, operation: str, counts: bool) -> None:
    """`latestActivityTaskTimestamp` is the time of the last activity event; a heartbeat is none."""
    execution = flow.schedule()
    assert flow.describe(execution)["latestActivityTaskTimestamp"] == NOW
    engine.advance(1)
    token = flow.poll()["taskToken"]
    assert flow.describe(execution)["latestActivityTaskTimestamp"] == NOW + 1
    engine.advance(1)
    flow.call(operation, taskToken=token)
    assert flow.describe(execution)["latestActivityTaskTimestamp"] == NOW + (2 if counts else 1)


def test_a_null_tag(flow: Flow) -> None:
    """A tag list of one null, which an old SDK sends, comes back as it is."""
    execution = flow.start(tagList=[None])
    assert flow.describe(execution)["executionInfo"]["tagList"] == [None]
    assert flow.last(execution, "WorkflowExecutionStarted")["tagList"] == [None]


# --- Polls and pages


def test_too_many_polls() -> None:
    """At most 1,000 polls wait on a task list."""
    engine = Engine(Clock(RealTime()), limits=Limits(polls=0))
    with pytest.raises(
        Exception, match="LimitExceededFault: Limit on maximum concurrent poll requests per task list"
    ):
        Flow(over(engine)).register().poll()


@pytest.mark.parametrize(
    ("operation", "response"),
    [
        ("PollForActivityTask", b'{"startedEventId":0}'),
        ("PollForDecisionTask", b'{"previousStartedEventId":0,"startedEventId":0}'),
    ],
)
def test_an_empty_poll(operation: str, response: bytes) -> None:
    """A poll without a task returns after 60 s, without the key `taskToken`."""
    real_time = RealTime()
    with LocalServer(clock=Clock(real_time)) as server:
        wire = Wire(port_of(server))
        Flow(wire.call).register()
        body = '{"domain": "media", "taskList": {"name": "work"}}'
        wire.connection.request("POST", "/", body, {"X-Amz-Target": f"SimpleWorkflowService.{operation}"})
        kind = "activity" if "Activity" in operation else "decision"
        wait_until(lambda: bool(server.engine.held_polls("media", "work", kind)))  # type: ignore[arg-type]
        real_time.seconds += 60
        server.engine.advance(0)
        assert wire.connection.getresponse().read() == response
        wire.close()


def test_an_old_page_token(engine: Engine, flow: Flow) -> None:
    """A page token expires after a day."""
    asked = {"domain": flow.domain, "execution": flow.start(), "maximumPageSize": 1}
    token = flow.call("GetWorkflowExecutionHistory", **asked)["nextPageToken"]
    engine.advance(24 * 60 * 60 + 1)
    with pytest.raises(Exception, match="ValidationException: Specified token has exceeded its maximum lifetime"):
        flow.call("GetWorkflowExecutionHistory", **asked, nextPageToken=token)


# --- Time


def test_a_year_of_timeouts(engine: Engine, flow: Flow) -> None:
    """All four timeouts of an activity task, and an execution's timeout of a year, at their own times."""
    year = 365 * 24 * 60 * 60
    execution = flow.start(executionStartToCloseTimeout=str(year), taskStartToCloseTimeout="NONE")
    none = dict.fromkeys(("scheduleToStartTimeout", "startToCloseTimeout", "scheduleToCloseTimeout"), "NONE")
    flow.decide(
        activity("waits", "waiting", **{**none, "scheduleToStartTimeout": "600"}),
        activity("runs", "running", **{**none, "startToCloseTimeout": "3600"}),
        activity("lasts", "waiting", **{**none, "scheduleToCloseTimeout": "86400"}),
        activity("silent", "running", **none, heartbeatTimeout="60"),
    )
    for _ in range(2):
        flow.poll("running")
    engine.advance(year - 1)
    timed_out = {
        attributes_of(event)["timeoutType"]: event["eventTimestamp"] - NOW
        for event in flow.history(execution)
        if event["eventType"] == "ActivityTaskTimedOut"
    }
    assert timed_out == {
        "HEARTBEAT": 60,
        "SCHEDULE_TO_START": 600,
        "START_TO_CLOSE": 3_600,
        "SCHEDULE_TO_CLOSE": 86_400,
    }
    assert flow.describe(execution)["executionInfo"]["executionStatus"] == "OPEN"
    engine.advance(1)
    info = flow.describe(execution)["executionInfo"]
    assert (info["closeStatus"], info["closeTimestamp"]) == ("TIMED_OUT", NOW + year)


# --- The wire

TARGETS = [
    "SimpleWorkflowService.ListDomains",
    "com.amazonaws.swf.service.model.SimpleWorkflowService.ListDomains",  # SDKs before 2018
]


@pytest.mark.parametrize("target", TARGETS)
def test_targets(wire: Wire, target: str) -> None:
    """Both forms of X-Amz-Target that SDKs send."""
    reply = wire.send(target, b'{"registrationStatus": "REGISTERED"}')
    assert (reply.status, reply.json) == (200, {"domainInfos": []})
    assert reply.headers["Content-Type"] == "application/x-amz-json-1.0"
    assert reply.headers["Date"].endswith(" GMT")


FAULT_TYPES = [
    # operation, arguments, type
    ("DescribeDomain", {"name": "d"}, "com.amazonaws.swf.base.model#UnknownResourceFault"),
    ("DescribeDomain", {"name": "a:b"}, "com.amazon.coral.validate#ValidationException"),
    ("DescribeDomain", {"name": 1}, "com.amazon.coral.service#SerializationException"),
]


@pytest.mark.parametrize(("operation", "args", "fault"), FAULT_TYPES)
def test_fault_types(wire: Wire, operation: str, args: dict[str, Any], fault: str) -> None:
    """Faults have the namespaces recorded."""
    with pytest.raises(Refused) as caught:
        wire.call(operation, **args)
    assert caught.value.kind == fault


def test_timestamps(wired: Flow) -> None:
    """Times are numbers of seconds with milliseconds."""
    started = wired.describe(wired.start())["executionInfo"]["startTimestamp"]
    assert isinstance(started, float | int)
    assert round(started, 3) == started
