"""Timeouts and timers, on a clock that tests advance."""

import threading

import pytest

from swf_cli.local.clock import Clock
from swf_cli.local.engine import Engine
from tests.helpers.flow import NOW, TIMEOUTS, Flow, activity, attributes_of, decision, over, refused


class TestTimeouts:
    """Deadlines are processed in order, each at its own time."""

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
        """Each times out exactly when due, keeps the last heartbeat's details, and schedules a decision task."""
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
        """A heartbeat restarts the heartbeat timeout. Without details it keeps the previous ones."""
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
        """A task whose timeouts are all NONE stays open until its execution closes."""
        execution = flow.schedule(**dict.fromkeys(TIMEOUTS, "NONE"))
        token = flow.poll()["taskToken"]
        engine.advance(2999)
        assert flow.call("RecordActivityTaskHeartbeat", taskToken=token) == {"cancelRequested": False}
        engine.advance(1)
        assert flow.names(execution)[-2:] == ["ActivityTaskStarted", "WorkflowExecutionTimedOut"]

    def test_an_execution_that_times_out(self, engine: Engine, flow: Flow) -> None:
        """The event has the deadline's time, and open tasks are removed."""
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
        """The decision task times out and is scheduled again; the old token is rejected."""
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
        """However far the clock is advanced, timers and timeouts of all executions get their own times."""
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
        """With `keep_time` in a thread, a timer fires without any call; a clock can run faster than real time."""
        engine = Engine(Clock(speed=1000), hold=600)
        keeper = threading.Thread(target=engine.keep_time, daemon=True)
        keeper.start()
        flow = Flow(over(engine)).register()
        flow.start(taskStartToCloseTimeout="NONE")
        flow.decide(decision("StartTimer", timerId="t", startToFireTimeout="60"))
        assert flow.poll_decision()["events"][-3]["eventType"] == "TimerFired"
        engine.close()
        keeper.join(60)
        assert not keeper.is_alive()
