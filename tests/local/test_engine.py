"""The engine on a clock that stands still unless a test moves it."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from swf_cli.local.clock import Clock
from swf_cli.local.engine import Engine
from swf_cli.local.faults import Fault
from tests.helpers.flow import TIMEOUTS, Flow, activity, attributes_of, decision, over

NOW = 1_700_000_000.0


def still() -> Clock:
    """Make a clock that stands still."""
    return Clock(lambda: NOW)


@pytest.fixture
def engine() -> Engine:
    """An engine that answers an empty poll at once."""
    return Engine(still(), hold=0)


@pytest.fixture
def flow(engine: Engine) -> Flow:
    """The domain and its types."""
    return Flow(over(engine)).register()


@contextmanager
def refused(name: str, message: str) -> Iterator[None]:
    """Expect a fault, with just this message."""
    with pytest.raises(Fault) as caught:
        yield
    assert (caught.value.name, caught.value.message) == (name, message)


def held(engine: Engine, operation: str, **args: Any) -> "HeldTask":
    """Begin a poll in a thread of its own, and give it once the engine holds it."""
    return HeldTask(engine, operation, args)


class HeldTask:
    """A poll that an engine holds."""

    def __init__(self, engine: Engine, operation: str, args: dict[str, Any], alive: bool = True) -> None:
        self.answer: dict[str, Any] = {}
        holding = threading.Event()

        def there() -> bool:
            return alive

        def call() -> None:
            holding.set()
            self.answer = engine.call(operation, args, alive=there)

        self._thread = threading.Thread(target=call, daemon=True)
        self._thread.start()
        holding.wait()
        kind = "activity" if operation == "PollForActivityTask" else "decision"
        task_list = engine._service.domains[args["domain"]].task_list(kind, args["taskList"]["name"])  # type: ignore[arg-type]
        while self._thread.is_alive() and not task_list.polls:
            pass

    def result(self) -> dict[str, Any]:
        """Wait for the answer."""
        self._thread.join(5)
        assert not self._thread.is_alive()
        return self.answer

    @property
    def held(self) -> bool:
        """Whether it has no answer yet."""
        return self._thread.is_alive()


class TestHistory:
    """What SWF writes of a task, and of an execution."""

    def test_a_task_from_its_start_to_its_completion(self, engine: Engine, flow: Flow) -> None:
        """Every event of the path is there, refers to the right ones, and holds what was given."""
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
            ("DecisionTaskScheduled", {"taskList": {"name": "decisions"}, "startToCloseTimeout": "30"}),
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
            ("DecisionTaskScheduled", {"taskList": {"name": "decisions"}, "startToCloseTimeout": "30"}),
            ("DecisionTaskStarted", {"scheduledEventId": 8}),
            ("DecisionTaskCompleted", {"scheduledEventId": 8, "startedEventId": 9}),
            ("WorkflowExecutionCompleted", {"result": "all", "decisionTaskCompletedEventId": 10}),
        ]

    def test_a_failed_task(self, flow: Flow) -> None:
        """RespondActivityTaskFailed leaves its reason and details."""
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
        """Each way to close leaves its event and its status, and takes the execution from the open to the closed."""
        execution = flow.start()
        flow.decide(decision(name, **given))
        assert flow.last(execution, event) == {**given, "decisionTaskCompletedEventId": 4}
        info = flow.describe(execution)["executionInfo"]
        assert (info["executionStatus"], info["closeStatus"], info["closeTimestamp"]) == ("CLOSED", status, NOW)

    def test_signal_cancellation_request_and_termination(self, flow: Flow) -> None:
        """Each leaves its event; the first two give the decider a task, and the last takes it away."""
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
        """RecordMarker leaves its event."""
        execution = flow.start()
        flow.decide(decision("RecordMarker", markerName="m", details="d"))
        assert flow.last(execution, "MarkerRecorded") == {
            "markerName": "m",
            "details": "d",
            "decisionTaskCompletedEventId": 4,
        }


class TestTimeouts:
    """Whatever is due happens at its own moment, in order."""

    @pytest.mark.parametrize(
        ("given", "started", "kind", "after"),
        [
            ({"scheduleToStartTimeout": "100"}, False, "SCHEDULE_TO_START", 100),
            ({"startToCloseTimeout": "300"}, True, "START_TO_CLOSE", 305),
            ({"scheduleToCloseTimeout": "200"}, True, "SCHEDULE_TO_CLOSE", 200),
            ({"scheduleToCloseTimeout": "50"}, False, "SCHEDULE_TO_CLOSE", 50),
            ({"heartbeatTimeout": "60"}, True, "HEARTBEAT", 72),
        ],
    )
    def test_each_of_the_four(
        self, engine: Engine, flow: Flow, given: dict[str, str], started: bool, kind: str, after: int
    ) -> None:
        """Each fires when it is due and not before, with the last heartbeat's details, and wakes the decider."""
        execution = flow.schedule(**given)
        if started:
            engine.advance(5)
            token = flow.poll()["taskToken"]
            engine.advance(7)
            flow.call("RecordActivityTaskHeartbeat", taskToken=token, details="half")
        engine.advance(after - (12 if started else 0) - 0.001)
        assert "ActivityTaskTimedOut" not in flow.names(execution)
        engine.advance(1000)
        event = next(e for e in flow.history(execution) if e["eventType"] == "ActivityTaskTimedOut")
        assert event["eventTimestamp"] == NOW + after
        assert attributes_of(event) == {
            "timeoutType": kind,
            "scheduledEventId": 5,
            "startedEventId": 6 if started else 0,
            **({"details": "half"} if started else {}),
        }
        assert flow.names(execution)[-1] == "DecisionTaskScheduled"
        assert flow.pending() == 0
        if started:
            with refused("UnknownResourceFault", "Unknown activity, scheduledEventId = 5"):
                flow.call("RespondActivityTaskCompleted", taskToken=token)

    def test_heartbeats_keep_a_task_alive(self, engine: Engine, flow: Flow) -> None:
        """Each heartbeat moves the heartbeat timeout; one without details keeps those of the one before."""
        execution = flow.schedule(heartbeatTimeout="10")
        token = flow.poll()["taskToken"]
        flow.call("RecordActivityTaskHeartbeat", taskToken=token, details="one")
        for _ in range(5):
            engine.advance(9)
            assert flow.call("RecordActivityTaskHeartbeat", taskToken=token) == {"cancelRequested": False}
        engine.advance(10)
        assert flow.last(execution, "ActivityTaskTimedOut")["details"] == "one"
        assert flow.history(execution)[-1]["eventTimestamp"] == NOW + 55

    def test_none_never_ends(self, engine: Engine, flow: Flow) -> None:
        """A task whose timeouts are all NONE is open for as long as its execution."""
        execution = flow.schedule(**dict.fromkeys(TIMEOUTS, "NONE"))
        token = flow.poll()["taskToken"]
        engine.advance(2999)
        assert flow.call("RecordActivityTaskHeartbeat", taskToken=token) == {"cancelRequested": False}
        engine.advance(1)
        assert flow.names(execution)[-2:] == ["ActivityTaskStarted", "WorkflowExecutionTimedOut"]

    def test_an_execution_that_times_out(self, engine: Engine, flow: Flow) -> None:
        """Its event comes at its deadline, and its tasks are gone."""
        execution = flow.schedule(scheduleToStartTimeout="NONE", scheduleToCloseTimeout="NONE")
        engine.advance(5000)
        assert flow.last(execution, "WorkflowExecutionTimedOut") == {
            "timeoutType": "START_TO_CLOSE",
            "childPolicy": "TERMINATE",
        }
        info = flow.describe(execution)["executionInfo"]
        assert (info["closeStatus"], info["closeTimestamp"]) == ("TIMED_OUT", NOW + 3000)
        assert flow.pending() == 0

    def test_a_decider_that_does_not_answer(self, engine: Engine, flow: Flow) -> None:
        """Its decision task times out and comes again; the old token is worth nothing."""
        execution = flow.start()
        first = flow.poll_decision()
        engine.advance(31)
        assert flow.history(execution)[3]["eventTimestamp"] == NOW + 30
        assert flow.last(execution, "DecisionTaskTimedOut") == {
            "timeoutType": "START_TO_CLOSE",
            "scheduledEventId": 2,
            "startedEventId": 3,
        }
        second = flow.poll_decision()
        assert (second["startedEventId"], second["previousStartedEventId"]) == (6, 0)
        with refused("UnknownResourceFault", "Unknown decision task, scheduledEventId = 2"):
            flow.call("RespondDecisionTaskCompleted", taskToken=first["taskToken"])
        flow.call("RespondDecisionTaskCompleted", taskToken=second["taskToken"])

    def test_what_is_due_happens_in_order(self, engine: Engine, flow: Flow) -> None:
        """However far the clock jumps, timers and timeouts of all executions happen each at its own time."""
        one, two = flow.start("one"), flow.start("two")
        flow.decide(
            activity(scheduleToStartTimeout="40"), decision("StartTimer", timerId="t", startToFireTimeout="20")
        )
        flow.decide(
            activity(scheduleToStartTimeout="30"), decision("StartTimer", timerId="t", startToFireTimeout="50")
        )
        engine.advance(60)
        happened = [
            (event["eventTimestamp"] - NOW, execution["workflowId"], event["eventType"])
            for execution in (one, two)
            for event in flow.history(execution)
            if event["eventType"] in ("TimerFired", "ActivityTaskTimedOut")
        ]
        assert sorted(happened) == [
            (20, "one", "TimerFired"),
            (30, "two", "ActivityTaskTimedOut"),
            (40, "one", "ActivityTaskTimedOut"),
            (50, "two", "TimerFired"),
        ]

    def test_time_passes_by_itself(self) -> None:
        """With `keep_time` in a thread, what is due happens with no call; a clock can run faster than the world's."""
        engine = Engine(Clock(speed=1000), hold=600)
        keeper = threading.Thread(target=engine.keep_time, daemon=True)
        keeper.start()
        flow = Flow(over(engine)).register()
        flow.start(taskStartToCloseTimeout="NONE")
        flow.decide(decision("StartTimer", timerId="t", startToFireTimeout="60"))
        assert flow.poll_decision()["events"][-3]["eventType"] == "TimerFired"
        engine.close()
        keeper.join(5)
        assert not keeper.is_alive()


class TestTimers:
    """StartTimer and CancelTimer."""

    def test_a_timer_fires_once(self, engine: Engine, flow: Flow) -> None:
        """It leaves TimerStarted and TimerFired, and its id can be used again."""
        execution = flow.start()
        flow.decide(decision("StartTimer", timerId="t", startToFireTimeout="20", control="c"))
        assert flow.describe(execution)["openCounts"]["openTimers"] == 1
        engine.advance(100)
        assert flow.last(execution, "TimerStarted") == {
            "timerId": "t",
            "startToFireTimeout": "20",
            "control": "c",
            "decisionTaskCompletedEventId": 4,
        }
        assert flow.last(execution, "TimerFired") == {"timerId": "t", "startedEventId": 5}
        flow.decide(decision("StartTimer", timerId="t", startToFireTimeout="20"))
        assert flow.names(execution)[-1] == "TimerStarted"

    def test_a_cancelled_timer_does_not_fire(self, engine: Engine, flow: Flow) -> None:
        """It leaves TimerCanceled instead; cancelling it again fails, and wakes the decider."""
        execution = flow.start()
        flow.decide(
            decision("StartTimer", timerId="t", startToFireTimeout="20"),
            decision("CancelTimer", timerId="t"),
            decision("CancelTimer", timerId="t"),
        )
        engine.advance(25)
        assert flow.names(execution)[4:] == [
            "TimerStarted",
            "TimerCanceled",
            "CancelTimerFailed",
            "DecisionTaskScheduled",
        ]
        assert flow.last(execution, "TimerCanceled") == {
            "timerId": "t",
            "startedEventId": 5,
            "decisionTaskCompletedEventId": 4,
        }
        assert flow.last(execution, "CancelTimerFailed")["cause"] == "TIMER_ID_UNKNOWN"

    def test_timers_that_can_not_be_started(self, flow: Flow) -> None:
        """An id in use, and one timer more than SWF allows, fail with their causes."""
        execution = flow.start()
        timers = [decision("StartTimer", timerId=str(n), startToFireTimeout="9") for n in [*range(1000), 0, 1000]]
        flow.decide(*timers)
        failed = [attributes_of(e) for e in flow.history(execution, reverseOrder=True)[1:3]]
        assert [(each["timerId"], each["cause"]) for each in failed] == [
            ("1000", "OPEN_TIMERS_LIMIT_EXCEEDED"),
            ("0", "TIMER_ID_ALREADY_IN_USE"),
        ]


class TestScheduling:
    """ScheduleActivityTask."""

    def test_what_is_not_given_comes_from_the_type(self, flow: Flow) -> None:
        """The event holds the effective settings, whether the decision or the type's defaults give them."""
        flow.call(
            "RegisterActivityType",
            domain=flow.domain,
            name="resize",
            version="2",
            defaultTaskList={"name": "usual"},
            defaultTaskPriority="3",
            defaultTaskScheduleToStartTimeout="1",
            defaultTaskScheduleToCloseTimeout="2",
            defaultTaskStartToCloseTimeout="3",
            defaultTaskHeartbeatTimeout="NONE",
        )
        execution = flow.start()
        kind = {"name": "resize", "version": "2"}
        flow.decide(
            decision("ScheduleActivityTask", activityType=kind, activityId="a", startToCloseTimeout="33"),
        )
        event = flow.last(execution, "ActivityTaskScheduled")
        assert event == {
            "activityType": kind,
            "activityId": "a",
            "taskList": {"name": "usual"},
            "taskPriority": "3",
            "scheduleToStartTimeout": "1",
            "scheduleToCloseTimeout": "2",
            "startToCloseTimeout": "33",
            "heartbeatTimeout": "NONE",
            "decisionTaskCompletedEventId": 4,
        }

    @pytest.mark.parametrize(
        ("missing", "cause"),
        [
            ("taskList", "DEFAULT_TASK_LIST_UNDEFINED"),
            ("scheduleToStartTimeout", "DEFAULT_SCHEDULE_TO_START_TIMEOUT_UNDEFINED"),
            ("scheduleToCloseTimeout", "DEFAULT_SCHEDULE_TO_CLOSE_TIMEOUT_UNDEFINED"),
            ("startToCloseTimeout", "DEFAULT_START_TO_CLOSE_TIMEOUT_UNDEFINED"),
            ("heartbeatTimeout", "DEFAULT_HEARTBEAT_TIMEOUT_UNDEFINED"),
        ],
    )
    def test_a_setting_that_nothing_gives(self, flow: Flow, missing: str, cause: str) -> None:
        """The task is not scheduled; the event names the default that is not there, and the decider is woken."""
        execution = flow.start()
        wanted = activity()
        del wanted["scheduleActivityTaskDecisionAttributes"][missing]
        flow.decide(wanted)
        assert flow.names(execution)[-2:] == ["ScheduleActivityTaskFailed", "DecisionTaskScheduled"]
        assert flow.last(execution, "ScheduleActivityTaskFailed") == {
            "activityType": {"name": "resize", "version": "1"},
            "activityId": "resize-1",
            "cause": cause,
            "decisionTaskCompletedEventId": 4,
        }

    def test_types_that_can_not_be_used(self, flow: Flow) -> None:
        """A type that does not exist, or is deprecated, fails with its cause."""
        execution = flow.start()
        unknown = activity(activityType={"name": "resize", "version": "9"})
        flow.decide(unknown)
        assert flow.last(execution, "ScheduleActivityTaskFailed")["cause"] == "ACTIVITY_TYPE_DOES_NOT_EXIST"
        flow.call("DeprecateActivityType", domain=flow.domain, activityType={"name": "resize", "version": "1"})
        flow.decide(activity())
        assert flow.last(execution, "ScheduleActivityTaskFailed")["cause"] == "ACTIVITY_TYPE_DEPRECATED"

    def test_an_id_is_used_by_one_open_task(self, flow: Flow) -> None:
        """It is refused while that is open, and free again once it is closed."""
        execution = flow.start()
        flow.decide(activity("a"), activity("a"))
        assert flow.last(execution, "ScheduleActivityTaskFailed")["cause"] == "ACTIVITY_ID_ALREADY_IN_USE"
        flow.call("RespondActivityTaskCompleted", taskToken=flow.poll()["taskToken"])
        flow.decide(activity("a"))
        assert flow.names(execution)[-1] == "ActivityTaskScheduled"

    def test_at_most_a_thousand_are_open(self, flow: Flow) -> None:
        """One more fails; the count of those that wait is exact up to a thousand and truncated beyond."""
        execution = flow.start("one")
        flow.decide(*(activity(str(n)) for n in range(1001)))
        assert flow.last(execution, "ScheduleActivityTaskFailed")["cause"] == "OPEN_ACTIVITIES_LIMIT_EXCEEDED"
        assert flow.describe(execution)["openCounts"]["openActivityTasks"] == 1000
        asked = {"domain": flow.domain, "taskList": {"name": "work"}}
        assert flow.call("CountPendingActivityTasks", **asked) == {"count": 1000, "truncated": False}
        flow.call("TerminateWorkflowExecution", domain=flow.domain, workflowId="one")
        flow.start("two")
        flow.decide(*(activity(str(n)) for n in range(1000)))
        flow.start("three")
        flow.decide(activity())
        assert flow.call("CountPendingActivityTasks", **asked) == {"count": 1000, "truncated": True}


class TestCancellation:
    """RequestCancelActivityTask, and what it leads to."""

    def test_a_task_that_waits_is_cancelled_at_once(self, flow: Flow) -> None:
        """No worker is ever handed it, and the decider is woken."""
        execution = flow.schedule()
        flow.call("SignalWorkflowExecution", domain=flow.domain, workflowId="video-7", signalName="s")
        flow.decide(decision("RequestCancelActivityTask", activityId="resize-1"))
        assert flow.names(execution)[-3:] == [
            "ActivityTaskCancelRequested",
            "ActivityTaskCanceled",
            "DecisionTaskScheduled",
        ]
        assert flow.last(execution, "ActivityTaskCancelRequested") == {
            "activityId": "resize-1",
            "decisionTaskCompletedEventId": 9,
        }
        assert flow.last(execution, "ActivityTaskCanceled") == {
            "scheduledEventId": 5,
            "startedEventId": 0,
            "latestCancelRequestedEventId": 10,
        }
        assert flow.pending() == 0
        assert "taskToken" not in flow.poll()

    def test_a_started_task_learns_of_it_by_heartbeat(self, flow: Flow) -> None:
        """Only then is RespondActivityTaskCanceled taken; before, it is refused and the task stays open."""
        execution = flow.schedule()
        token = flow.poll()["taskToken"]
        with refused("UnknownResourceFault", "Unknown cancellation request of the activity, scheduledEventId = 5"):
            flow.call("RespondActivityTaskCanceled", taskToken=token)
        assert flow.call("RecordActivityTaskHeartbeat", taskToken=token) == {"cancelRequested": False}
        flow.call("SignalWorkflowExecution", domain=flow.domain, workflowId="video-7", signalName="s")
        flow.decide(decision("RequestCancelActivityTask", activityId="resize-1"))
        assert flow.names(execution)[-1] == "ActivityTaskCancelRequested"
        assert flow.call("RecordActivityTaskHeartbeat", taskToken=token) == {"cancelRequested": True}
        flow.call("RespondActivityTaskCanceled", taskToken=token, details="tidied up")
        assert flow.last(execution, "ActivityTaskCanceled") == {
            "details": "tidied up",
            "scheduledEventId": 5,
            "startedEventId": 6,
            "latestCancelRequestedEventId": 11,
        }

    def test_a_task_that_is_not_open(self, flow: Flow) -> None:
        """The request fails, and the decider is woken."""
        execution = flow.start()
        flow.decide(decision("RequestCancelActivityTask", activityId="nope"))
        assert flow.names(execution)[-1] == "DecisionTaskScheduled"
        assert flow.last(execution, "RequestCancelActivityTaskFailed") == {
            "activityId": "nope",
            "cause": "ACTIVITY_ID_UNKNOWN",
            "decisionTaskCompletedEventId": 4,
        }


class TestTokens:
    """A token closes its task once, and nothing else does."""

    ANSWERS = (
        "RecordActivityTaskHeartbeat",
        "RespondActivityTaskCompleted",
        "RespondActivityTaskFailed",
        "RespondActivityTaskCanceled",
    )

    @pytest.mark.parametrize("operation", ANSWERS)
    def test_of_a_closed_task(self, flow: Flow, operation: str) -> None:
        """It is refused by naming the task."""
        flow.schedule()
        token = flow.poll()["taskToken"]
        flow.call("RespondActivityTaskCompleted", taskToken=token)
        with refused("UnknownResourceFault", "Unknown activity, scheduledEventId = 5"):
            flow.call(operation, taskToken=token)

    @pytest.mark.parametrize("operation", ANSWERS)
    def test_of_a_closed_execution(self, flow: Flow, operation: str) -> None:
        """It is refused by naming the execution."""
        run = flow.schedule()["runId"]
        token = flow.poll()["taskToken"]
        flow.call("TerminateWorkflowExecution", domain=flow.domain, workflowId="video-7")
        message = f"Unknown execution: WorkflowExecution=[workflowId=video-7, runId={run}]"
        with refused("UnknownResourceFault", message):
            flow.call(operation, taskToken=token)

    @pytest.mark.parametrize("operation", [*ANSWERS, "RespondDecisionTaskCompleted"])
    def test_that_is_none(self, flow: Flow, operation: str) -> None:
        """Garbage, a token of another SWF, one that was changed and one of another kind are all invalid."""
        flow.schedule()
        other = Flow(over(Engine(still(), hold=0))).register()
        other.schedule()
        token = flow.poll()["taskToken"]
        of_decision = flow.start("b") and flow.poll_decision()["taskToken"]
        wrong = token if operation == "RespondDecisionTaskCompleted" else of_decision
        for made_up in ("x", "é", "AAAA", other.poll()["taskToken"], token[:-5] + "AAAA=", wrong):
            with refused("ValidationException", "Invalid token"):
                flow.call(operation, taskToken=made_up)


class TestDecisionTasks:
    """PollForDecisionTask and RespondDecisionTaskCompleted."""

    def test_one_is_open_at_a_time(self, flow: Flow) -> None:
        """What happens while one is started waits for it, and then makes one new task."""
        execution = flow.start()
        asked = {"domain": flow.domain, "taskList": {"name": "decisions"}}
        assert flow.call("CountPendingDecisionTasks", **asked) == {"count": 1, "truncated": False}
        task = flow.poll_decision()
        for _ in range(2):
            flow.call("SignalWorkflowExecution", domain=flow.domain, workflowId="video-7", signalName="s")
        assert flow.call("CountPendingDecisionTasks", **asked)["count"] == 0
        assert flow.describe(execution)["openCounts"]["openDecisionTasks"] == 1
        flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"])
        assert flow.names(execution)[3:] == [
            "WorkflowExecutionSignaled",
            "WorkflowExecutionSignaled",
            "DecisionTaskCompleted",
            "DecisionTaskScheduled",
        ]
        assert flow.poll_decision()["previousStartedEventId"] == 3

    @pytest.mark.parametrize("how", ["Complete", "Fail", "Cancel"])
    def test_an_execution_does_not_close_over_news(self, flow: Flow, how: str) -> None:
        """A decider that has not seen what happened meanwhile can't close: it gets another task."""
        execution = flow.start()
        task = flow.poll_decision()
        flow.call("SignalWorkflowExecution", domain=flow.domain, workflowId="video-7", signalName="s")
        closing = decision(f"{how}WorkflowExecution")
        flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=[closing])
        assert flow.last(execution, f"{how}WorkflowExecutionFailed") == {
            "cause": "UNHANDLED_DECISION",
            "decisionTaskCompletedEventId": 5,
        }
        flow.decide(closing)
        assert flow.describe(execution)["executionInfo"]["executionStatus"] == "CLOSED"

    def test_what_is_refused_leaves_no_trace(self, flow: Flow) -> None:
        """A close that is not last, a decision or an option that is not supported: none of the answer is done."""
        execution = flow.start()
        token = flow.poll_decision()["taskToken"]
        close = {"decisionType": "CompleteWorkflowExecution"}
        child = {"decisionType": "StartChildWorkflowExecution"}
        bare = {"decisionType": "RecordMarker"}
        for given, message in (
            ({"decisions": [close, activity()]}, "Close must be last decision in list"),
            (
                {"decisions": [activity(), child]},
                (
                    "StartChildWorkflowExecution, at 'decisions.2.member.decisionType', "
                    "is not supported by this local SWF"
                ),
            ),
            (
                {"decisions": [bare]},
                (
                    "1 validation error detected: Value null at "
                    "'decisions.1.member.recordMarkerDecisionAttributes' failed to satisfy constraint: "
                    "Member must not be null"
                ),
            ),
            (
                {"taskListScheduleToStartTimeout": "1"},
                "taskListScheduleToStartTimeout is not supported by this local SWF",
            ),
        ):
            with refused("ValidationException", message):
                flow.call("RespondDecisionTaskCompleted", taskToken=token, **given)
        assert flow.names(execution)[-1] == "DecisionTaskStarted"
        flow.call("RespondDecisionTaskCompleted", taskToken=token, decisions=[close])

    def test_a_task_list_of_its_own(self, flow: Flow) -> None:
        """A decider can move an execution's later decision tasks to another list."""
        flow.start()
        flow.decide(taskList={"name": "mine"})
        flow.call("SignalWorkflowExecution", domain=flow.domain, workflowId="video-7", signalName="s")
        asked = {"domain": flow.domain, "taskList": {"name": "mine"}}
        assert flow.call("PollForDecisionTask", **asked)["startedEventId"] == 7

    def test_history_in_pages(self, flow: Flow) -> None:
        """The events up to the task's start come in pages, either way round; or since the start before."""
        execution = flow.start()
        flow.decide(*(decision("RecordMarker", markerName=str(n)) for n in range(10)))
        flow.call("SignalWorkflowExecution", domain=flow.domain, workflowId="video-7", signalName="s")
        asked = {"maximumPageSize": 7, "reverseOrder": True}
        first = flow.poll_decision(**asked)
        second = flow.poll_decision(**asked, nextPageToken=first["nextPageToken"])
        third = flow.poll_decision(**asked, nextPageToken=second["nextPageToken"])
        ids = [event["eventId"] for page in (first, second, third) for event in page["events"]]
        assert ids == list(range(17, 0, -1))
        assert "nextPageToken" not in third
        assert {page["taskToken"] for page in (first, second, third)} == {first["taskToken"]}
        flow.call("RespondDecisionTaskCompleted", taskToken=first["taskToken"])
        with refused("UnknownResourceFault", "Unknown decision task, scheduledEventId = 16"):
            flow.poll_decision(**asked, nextPageToken=first["nextPageToken"])
        flow.call("SignalWorkflowExecution", domain=flow.domain, workflowId="video-7", signalName="s")
        since = flow.poll_decision(startAtPreviousStartedEvent=True)
        assert [event["eventId"] for event in since["events"]] == [17, 18, 19, 20, 21]
        assert len(flow.history(execution)) == 21


class TestPolling:
    """PollForActivityTask: who gets which task, and when."""

    def test_by_priority_then_by_age(self, flow: Flow) -> None:
        """Higher goes first; of equal ones, the one that has waited longest; no priority is 0."""
        flow.start()
        priorities = {"a": "0", "b": "-1", "c": "5", "d": "5", "e": "2147483647"}
        flow.decide(activity("none"), *(activity(name, taskPriority=given) for name, given in priorities.items()))
        assert [flow.poll()["activityId"] for _ in range(6)] == ["e", "c", "d", "none", "a", "b"]

    def test_an_empty_list(self, flow: Flow) -> None:
        """The answers have no token, as captures of the real service show."""
        assert flow.poll() == {"startedEventId": 0}
        assert flow.poll_decision() == {"previousStartedEventId": 0, "startedEventId": 0}

    def test_tasks_of_a_closed_execution_are_gone(self, flow: Flow) -> None:
        """They are neither counted nor handed out."""
        flow.schedule("one", taskPriority="1")
        flow.schedule("two")
        flow.call("TerminateWorkflowExecution", domain=flow.domain, workflowId="one")
        assert flow.pending() == 1
        assert flow.poll()["workflowExecution"]["workflowId"] == "two"

    def test_a_poll_is_held_until_a_task_comes(self) -> None:
        """It is answered once a task is scheduled on its own list."""
        engine = Engine(still())
        flow = Flow(over(engine)).register()
        poll = held(engine, "PollForActivityTask", domain=flow.domain, taskList={"name": "work"}, identity="w")
        flow.schedule("other", task_list="other")
        assert poll.held
        execution = flow.schedule("video-7")
        assert poll.result()["workflowExecution"] == execution
        assert flow.names(execution)[4:] == ["ActivityTaskScheduled", "ActivityTaskStarted"]
        assert flow.last(execution, "ActivityTaskStarted")["identity"] == "w"

    @pytest.mark.parametrize("operation", ["PollForActivityTask", "PollForDecisionTask"])
    def test_a_poll_is_held_for_its_time(self, operation: str) -> None:
        """Then it is answered with no task."""
        engine = Engine(still(), hold=60)
        flow = Flow(over(engine)).register()
        poll = held(engine, operation, domain=flow.domain, taskList={"name": "decisions"})
        engine.advance(59.9)
        assert poll.held
        engine.advance(0.1)
        assert poll.result()["startedEventId"] == 0

    def test_a_task_scheduled_by_a_closing_decider_is_not_handed_out(self) -> None:
        """All the decisions of an answer happen at once: the execution is closed before anyone could start it."""
        engine = Engine(still())
        flow = Flow(over(engine)).register()
        poll = held(engine, "PollForActivityTask", domain=flow.domain, taskList={"name": "work"})
        execution = flow.start()
        flow.decide(activity(), decision("CompleteWorkflowExecution"))
        assert poll.held
        assert flow.names(execution)[-2:] == ["ActivityTaskScheduled", "WorkflowExecutionCompleted"]
        engine.close()
        assert poll.result() == {"startedEventId": 0}

    @pytest.mark.parametrize("deliver_to_disconnected", [True, False])
    def test_a_poll_whose_caller_has_gone(self, deliver_to_disconnected: bool) -> None:
        """It is handed the task all the same, as the real service is reported to do; or not, if so told."""
        engine = Engine(still(), hold=60, deliver_to_disconnected=deliver_to_disconnected)
        flow = Flow(over(engine)).register()
        asked = {"domain": flow.domain, "taskList": {"name": "work"}}
        poll = HeldTask(engine, "PollForActivityTask", asked, alive=False)
        flow.schedule()
        assert ("taskToken" in poll.result()) is deliver_to_disconnected
        assert flow.pending() == (0 if deliver_to_disconnected else 1)

    def test_too_many_polls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One more poll on a list than SWF holds is a LimitExceededFault; other lists are not concerned."""
        monkeypatch.setattr("swf_cli.local.service.MOST_POLLS", 1)
        engine = Engine(still())
        flow = Flow(over(engine)).register()
        poll = held(engine, "PollForActivityTask", domain=flow.domain, taskList={"name": "work"})
        with refused("LimitExceededFault", "At most 1 polls are held on a task list"):
            flow.poll()
        flow.schedule()
        assert poll.result()["activityId"] == "resize-1"

    def test_many_pollers_get_each_task_once(self) -> None:
        """16 pollers take 2,000 tasks that come while they poll: each is delivered exactly once."""
        engine = Engine(still())
        flow = Flow(over(engine)).register()
        taken: list[tuple[str, int]] = []

        def work() -> None:
            while "taskToken" in (task := flow.poll()):
                taken.append((task["workflowExecution"]["runId"], task["startedEventId"]))
                flow.call("RespondActivityTaskCompleted", taskToken=task["taskToken"])

        workers = [threading.Thread(target=work, daemon=True) for _ in range(16)]
        for worker in workers:
            worker.start()
        for part in range(4):
            decisions = {"name": str(part)}
            flow.start(str(part), taskList=decisions)
            token = flow.call("PollForDecisionTask", domain=flow.domain, taskList=decisions)["taskToken"]
            tasks = [activity(str(n)) for n in range(500)]
            flow.call("RespondDecisionTaskCompleted", taskToken=token, decisions=tasks)
        while len(taken) < 2000:
            workers[0].join(0.01)
        engine.close()
        for worker in workers:
            worker.join(5)
        assert len(taken) == 2000
        assert set(Counter(taken).values()) == {1}
        open_tasks = [each["openCounts"]["openActivityTasks"] for each in map(flow.describe, self._open(flow))]
        assert open_tasks == [0] * 4

    @staticmethod
    def _open(flow: Flow) -> list[dict[str, str]]:
        infos = flow.call("ListOpenWorkflowExecutions", domain=flow.domain, startTimeFilter={"oldestDate": 0})
        return [info["execution"] for info in infos["executionInfos"]]


class TestExecutions:
    """StartWorkflowExecution and DescribeWorkflowExecution."""

    def test_one_open_run_of_a_workflow_id(self, flow: Flow) -> None:
        """Another start is refused while a run is open, and is a new run once it is closed."""
        first = flow.start()
        with refused("WorkflowExecutionAlreadyStartedFault", "Already Started"):
            flow.start()
        flow.decide(decision("CompleteWorkflowExecution"))
        second = flow.start()
        assert second["runId"] != first["runId"]
        assert flow.describe(first)["executionInfo"]["executionStatus"] == "CLOSED"
        assert flow.describe(second)["executionInfo"]["executionStatus"] == "OPEN"

    def test_a_description(self, engine: Engine, flow: Flow) -> None:
        """It holds the effective configuration, what is open, the latest context and activity."""
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
        """DefaultUndefinedFault names it."""
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
        """Both ids and the domain must be those of one execution."""
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


class TestRegistry:
    """Domains and types."""

    def test_domains(self, flow: Flow) -> None:
        """They are registered, described, listed by name, deprecated and brought back."""
        flow.call("RegisterDomain", name="b", workflowExecutionRetentionPeriodInDays="7", description="d")
        with refused("DomainAlreadyExistsFault", "b"):
            flow.call("RegisterDomain", name="b", workflowExecutionRetentionPeriodInDays="7")
        info = {
            "name": "b",
            "status": "REGISTERED",
            "arn": "arn:aws:swf:us-east-1:123456789012:/domain/b",
            "description": "d",
        }
        assert flow.call("DescribeDomain", name="b") == {
            "domainInfo": info,
            "configuration": {"workflowExecutionRetentionPeriodInDays": "7"},
        }
        listed = flow.call("ListDomains", registrationStatus="REGISTERED")["domainInfos"]
        assert [each["name"] for each in listed] == ["b", "media"]
        flow.call("DeprecateDomain", name="media")
        assert flow.call("ListDomains", registrationStatus="REGISTERED") == {"domainInfos": [info]}
        for refuse in (lambda: flow.call("DeprecateDomain", name="media"), flow.start):
            with refused("DomainDeprecatedFault", "media"):
                refuse()
        flow.call("UndeprecateDomain", name="media")
        with refused("DomainAlreadyExistsFault", "media"):
            flow.call("UndeprecateDomain", name="media")
        flow.start()
        with refused("UnknownResourceFault", "Unknown domain: nope"):
            flow.call("DescribeDomain", name="nope")

    @pytest.mark.parametrize(("kind", "name"), [("Activity", "resize"), ("Workflow", "video")])
    def test_types(self, engine: Engine, flow: Flow, kind: str, name: str) -> None:
        """They are registered, described with their defaults, listed by name, deprecated and brought back."""
        key = f"{kind.lower()}Type"
        wire = {"name": name, "version": "2"}
        called = {"domain": flow.domain, key: wire}
        spelled = f"{kind}Type=[name={name}, version=2]"
        registered = {
            "domain": flow.domain,
            **wire,
            "description": "d",
            "defaultTaskList": {"name": "l"},
            "defaultTaskStartToCloseTimeout": "9",
        }
        flow.call(f"Register{kind}Type", **registered)
        with refused("TypeAlreadyExistsFault", spelled):
            flow.call(f"Register{kind}Type", **registered)
        assert flow.call(f"Describe{kind}Type", **called) == {
            "typeInfo": {key: wire, "status": "REGISTERED", "creationDate": NOW, "description": "d"},
            "configuration": {"defaultTaskList": {"name": "l"}, "defaultTaskStartToCloseTimeout": "9"},
        }
        flow.call(f"Register{kind}Type", **{**registered, "name": "a"})
        asked = {"domain": flow.domain, "registrationStatus": "REGISTERED"}

        def listed(**args: Any) -> list[str]:
            infos = flow.call(f"List{kind}Types", **asked, **args)["typeInfos"]
            return [f"{each[key]['name']} {each[key]['version']}" for each in infos]

        assert listed() == ["a 2", f"{name} 1", f"{name} 2"]
        assert listed(reverseOrder=True, name=name) == [f"{name} 2", f"{name} 1"]
        first = flow.call(f"List{kind}Types", **asked, maximumPageSize=2)
        assert listed(maximumPageSize=2, nextPageToken=first["nextPageToken"]) == [f"{name} 2"]

        engine.advance(3)
        flow.call(f"Deprecate{kind}Type", **called)
        info = flow.call(f"Describe{kind}Type", **called)["typeInfo"]
        assert (info["status"], info["deprecationDate"]) == ("DEPRECATED", NOW + 3)
        assert listed(name=name) == [f"{name} 1"]
        with refused("TypeDeprecatedFault", spelled):
            flow.call(f"Deprecate{kind}Type", **called)
        flow.call(f"Undeprecate{kind}Type", **called)
        with refused("TypeAlreadyExistsFault", spelled):
            flow.call(f"Undeprecate{kind}Type", **called)
        with refused("UnknownResourceFault", f"Unknown type: {kind}Type=[name=x, version=2]"):
            flow.call(f"Describe{kind}Type", domain=flow.domain, **{key: {"name": "x", "version": "2"}})

    def test_a_deprecated_workflow_type_starts_nothing(self, flow: Flow) -> None:
        """StartWorkflowExecution says so; and what is not registered is unknown."""
        flow.call("DeprecateWorkflowType", domain=flow.domain, workflowType={"name": "video", "version": "1"})
        with refused("TypeDeprecatedFault", "WorkflowType=[name=video, version=1]"):
            flow.start()
        with refused("UnknownResourceFault", "Unknown type: WorkflowType=[name=x, version=1]"):
            flow.start(workflowType={"name": "x", "version": "1"})


class TestLists:
    """Lists and counts of executions, and pages."""

    @pytest.fixture
    def many(self, engine: Engine, flow: Flow) -> Flow:
        """Ten executions, a second apart; the first four were closed, the last of them first."""
        flow.call(
            "RegisterWorkflowType",
            domain=flow.domain,
            name="video",
            version="2",
            defaultTaskList={"name": "decisions"},
            defaultChildPolicy="TERMINATE",
            defaultTaskStartToCloseTimeout="30",
            defaultExecutionStartToCloseTimeout="3000",
        )
        for n in range(10):
            kind = {"name": "video", "version": str(1 + n % 2)}
            flow.start(f"w{n}", workflowType=kind, tagList=["even"] if n % 2 == 0 else [])
            engine.advance(1)
        for n in (3, 2, 1, 0):
            flow.call("TerminateWorkflowExecution", domain=flow.domain, workflowId=f"w{n}")
            engine.advance(1)
        return flow

    @staticmethod
    def listed(flow: Flow, which: str, **args: Any) -> str:
        """Give the numbers of the executions that a list finds; the count of the same must agree."""
        found = flow.call(f"List{which}WorkflowExecutions", domain=flow.domain, **args)["executionInfos"]
        counted = {name: value for name, value in args.items() if name != "reverseOrder"}
        count = flow.call(f"Count{which}WorkflowExecutions", domain=flow.domain, **counted)
        assert count == {"count": len(found), "truncated": False}
        return "".join(info["execution"]["workflowId"][1:] for info in found)

    @pytest.mark.parametrize(
        ("which", "args", "found"),
        [
            ("Open", {"startTimeFilter": {"oldestDate": 0}}, "987654"),
            ("Open", {"startTimeFilter": {"oldestDate": 0}, "reverseOrder": True}, "456789"),
            ("Open", {"startTimeFilter": {"oldestDate": NOW + 5, "latestDate": NOW + 7}}, "765"),
            ("Open", {"startTimeFilter": {"oldestDate": 0}, "executionFilter": {"workflowId": "w5"}}, "5"),
            ("Open", {"startTimeFilter": {"oldestDate": 0}, "executionFilter": {"workflowId": "w1"}}, ""),
            ("Open", {"startTimeFilter": {"oldestDate": 0}, "typeFilter": {"name": "video"}}, "987654"),
            ("Open", {"startTimeFilter": {"oldestDate": 0}, "typeFilter": {"name": "video", "version": "2"}}, "975"),
            ("Open", {"startTimeFilter": {"oldestDate": 0}, "typeFilter": {"name": "x"}}, ""),
            ("Open", {"startTimeFilter": {"oldestDate": 0}, "tagFilter": {"tag": "even"}}, "864"),
            ("Closed", {"startTimeFilter": {"oldestDate": 0}}, "3210"),
            ("Closed", {"closeTimeFilter": {"oldestDate": 0}}, "0123"),
            ("Closed", {"closeTimeFilter": {"oldestDate": NOW + 11, "latestDate": NOW + 12}}, "12"),
            ("Closed", {"startTimeFilter": {"oldestDate": 0}, "executionFilter": {"workflowId": "w1"}}, "1"),
            ("Closed", {"startTimeFilter": {"oldestDate": 0}, "closeStatusFilter": {"status": "TERMINATED"}}, "3210"),
            ("Closed", {"startTimeFilter": {"oldestDate": 0}, "closeStatusFilter": {"status": "FAILED"}}, ""),
            ("Closed", {"closeTimeFilter": {"oldestDate": 0}, "tagFilter": {"tag": "even"}}, "02"),
        ],
    )
    def test_filters_and_order(self, many: Flow, which: str, args: dict[str, Any], found: str) -> None:
        """Each filter finds just what it names, the newest first unless told; counts agree."""
        assert self.listed(many, which, **args) == found

    def test_pages(self, many: Flow) -> None:
        """A list comes in pages that lose and repeat nothing, though executions close and start between them."""
        asked = {"domain": many.domain, "startTimeFilter": {"oldestDate": 0}, "maximumPageSize": 2}
        first = many.call("ListOpenWorkflowExecutions", **asked)
        many.call("TerminateWorkflowExecution", domain=many.domain, workflowId="w8")
        many.call("TerminateWorkflowExecution", domain=many.domain, workflowId="w6")
        many.start("new")
        second = many.call("ListOpenWorkflowExecutions", **asked, nextPageToken=first["nextPageToken"])
        third = many.call("ListOpenWorkflowExecutions", **asked, nextPageToken=second["nextPageToken"])
        pages = [
            [info["execution"]["workflowId"] for info in page["executionInfos"]] for page in (first, second, third)
        ]
        assert pages == [["w9", "w8"], ["w7", "w5"], ["w4"]]
        assert "nextPageToken" not in third

    def test_filters_that_do_not_go_together(self, many: Flow) -> None:
        """Two filters beside the time, or not just one time for closed ones, are refused."""
        time = {"oldestDate": 0}
        for args in ({}, {"startTimeFilter": time, "closeTimeFilter": time}):
            with refused("ValidationException", "Exactly one of startTimeFilter and closeTimeFilter must be given"):
                many.call("ListClosedWorkflowExecutions", domain=many.domain, **args)
        with pytest.raises(Fault, match="At most one of executionFilter"):
            many.call(
                "CountOpenWorkflowExecutions",
                domain=many.domain,
                startTimeFilter=time,
                tagFilter={"tag": "t"},
                executionFilter={"workflowId": "w"},
            )

    def test_page_tokens(self, engine: Engine, many: Flow) -> None:
        """One that is made up, or of another query, or older than a day, is refused."""
        asked = {"domain": many.domain, "startTimeFilter": {"oldestDate": 0}, "maximumPageSize": 2}
        token = many.call("ListOpenWorkflowExecutions", **asked)["nextPageToken"]
        other = {**asked, "startTimeFilter": {"oldestDate": 1}}
        for args, made_up in ((asked, "made up"), (asked, "A" * 80), (other, token)):
            with refused("ValidationException", "Invalid token"):
                many.call("ListOpenWorkflowExecutions", **args, nextPageToken=made_up)
        with refused("ValidationException", "Invalid token"):
            many.call("ListDomains", registrationStatus="REGISTERED", nextPageToken=token)
        engine.advance(24 * 3600 + 1)
        with refused("ValidationException", "Specified token has exceeded its maximum lifetime"):
            many.call("ListOpenWorkflowExecutions", **asked, nextPageToken=token)

    @pytest.mark.parametrize("reverse", [False, True])
    def test_history_in_pages(self, flow: Flow, reverse: bool) -> None:
        """Pages of a history that grows while it is read lose and repeat nothing, either way round."""
        execution = flow.start()
        flow.decide(*(decision("RecordMarker", markerName=str(n)) for n in range(16)))
        asked = {"domain": flow.domain, "execution": execution, "maximumPageSize": 10, "reverseOrder": reverse}
        first = flow.call("GetWorkflowExecutionHistory", **asked)
        flow.call("SignalWorkflowExecution", domain=flow.domain, workflowId="video-7", signalName="s")
        rest = flow.call(
            "GetWorkflowExecutionHistory", **{**asked, "maximumPageSize": 1000}, nextPageToken=first["nextPageToken"]
        )
        ids = [event["eventId"] for event in first["events"] + rest["events"]]
        assert ids == (list(range(20, 0, -1)) if reverse else list(range(1, 23)))
        assert "nextPageToken" not in rest


class TestQuotas:
    """SWF's request rates, when they are switched on."""

    def test_a_bucket_empties_and_fills(self) -> None:
        """Over its burst an operation is throttled, alone, until its bucket has filled again at its rate."""
        engine = Engine(still(), hold=0, quotas=True)
        flow = Flow(over(engine)).register()
        asked = {"registrationStatus": "REGISTERED"}
        for _ in range(100):
            flow.call("ListDomains", **asked)
        with refused("ThrottlingException", "Rate exceeded"):
            flow.call("ListDomains", **asked)
        flow.start()
        engine.advance(0.5)
        for _ in range(3):
            flow.call("ListDomains", **asked)
        with refused("ThrottlingException", "Rate exceeded"):
            flow.call("ListDomains", **asked)

    def test_every_operation_has_one(self) -> None:
        """Nothing that is supported goes without a quota, and without the switch there is none."""
        from swf_cli.local.engine import OPERATIONS
        from swf_cli.local.quotas import QUOTAS

        assert set(QUOTAS) == OPERATIONS
        flow = Flow(over(Engine(still(), hold=0))).register()
        for _ in range(101):
            flow.call("ListDomains", registrationStatus="REGISTERED")


def test_unknown_operations_are_refused_by_name(engine: Engine) -> None:
    """An operation that SWF has and the engine does not support is named."""
    with refused("UnknownOperationException", "DeleteActivityType is not supported by this local SWF"):
        engine.call("DeleteActivityType", {})
