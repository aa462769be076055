"""RespondDecisionTaskCompleted and the decisions."""

import pytest

from swf_cli.local.engine import Engine
from tests.helpers.flow import Flow, activity, attributes_of, decision, refused


class TestTimers:
    """StartTimer and CancelTimer."""

    def test_a_timer_fires_once(self, engine: Engine, flow: Flow) -> None:
        """TimerStarted and TimerFired are recorded, and the timer ID can be used again."""
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
        """TimerCanceled is recorded instead. Cancelling it again fails and schedules a decision task."""
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
        """A timer ID in use, and a timer over the limit, fail with their causes."""
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
        """The event holds the effective settings, from the decision or from the defaults of the type."""
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
        """The task is not scheduled, the cause names the missing default, and a decision task is scheduled."""
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
        """A type that does not exist or is deprecated fails with its cause."""
        execution = flow.start()
        unknown = activity(activityType={"name": "resize", "version": "9"})
        flow.decide(unknown)
        assert flow.last(execution, "ScheduleActivityTaskFailed")["cause"] == "ACTIVITY_TYPE_DOES_NOT_EXIST"
        flow.call("DeprecateActivityType", domain=flow.domain, activityType={"name": "resize", "version": "1"})
        flow.decide(activity())
        assert flow.last(execution, "ScheduleActivityTaskFailed")["cause"] == "ACTIVITY_TYPE_DEPRECATED"

    def test_an_id_is_used_by_one_open_task(self, flow: Flow) -> None:
        """It is rejected while the task is open, and can be used again afterwards."""
        execution = flow.start()
        flow.decide(activity("a"), activity("a"))
        assert flow.last(execution, "ScheduleActivityTaskFailed")["cause"] == "ACTIVITY_ID_ALREADY_IN_USE"
        flow.call("RespondActivityTaskCompleted", taskToken=flow.poll()["taskToken"])
        flow.decide(activity("a"))
        assert flow.names(execution)[-1] == "ActivityTaskScheduled"

    def test_at_most_a_thousand_are_open(self, flow: Flow) -> None:
        """A task over the limit fails. The count of pending tasks is exact up to 1,000 and truncated beyond."""
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
    """RequestCancelActivityTask."""

    def test_a_task_that_waits_is_cancelled_at_once(self, flow: Flow) -> None:
        """No worker receives it, and a decision task is scheduled."""
        execution = flow.schedule()
        flow.signal()
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
        """RespondActivityTaskCanceled is rejected before the request and accepted after it."""
        execution = flow.schedule()
        token = flow.poll()["taskToken"]
        with refused("UnknownResourceFault", "Unknown cancellation request of the activity, scheduledEventId = 5"):
            flow.call("RespondActivityTaskCanceled", taskToken=token)
        assert flow.call("RecordActivityTaskHeartbeat", taskToken=token) == {"cancelRequested": False}
        flow.signal()
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
        """The request fails and schedules a decision task."""
        execution = flow.start()
        flow.decide(decision("RequestCancelActivityTask", activityId="nope"))
        assert flow.names(execution)[-1] == "DecisionTaskScheduled"
        assert flow.last(execution, "RequestCancelActivityTaskFailed") == {
            "activityId": "nope",
            "cause": "ACTIVITY_ID_UNKNOWN",
            "decisionTaskCompletedEventId": 4,
        }


class TestDecisionTasks:
    """PollForDecisionTask and RespondDecisionTaskCompleted."""

    def test_an_event_while_one_is_started(self, flow: Flow) -> None:
        """The next decision task is scheduled at once, and is delivered after the end of the started one."""
        execution = flow.start()
        asked = {"domain": flow.domain, "taskList": {"name": "decisions"}}
        assert flow.call("CountPendingDecisionTasks", **asked) == {"count": 1, "truncated": False}
        task = flow.poll_decision()
        for _ in range(2):
            flow.signal()
        assert flow.call("CountPendingDecisionTasks", **asked)["count"] == 0
        assert flow.describe(execution)["openCounts"]["openDecisionTasks"] == 1
        assert "taskToken" not in flow.poll_decision()
        flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"])
        following = flow.poll_decision()
        assert following["previousStartedEventId"] == 3
        assert flow.names(execution)[2:] == [
            "DecisionTaskStarted",
            "WorkflowExecutionSignaled",
            "DecisionTaskScheduled",
            "WorkflowExecutionSignaled",
            "DecisionTaskCompleted",
            "DecisionTaskStarted",
        ]
        assert flow.last(execution, "DecisionTaskStarted") == {"scheduledEventId": 5}
        assert [event["eventId"] for event in following["events"]] == list(range(1, 9))

    def test_an_event_while_one_waits(self, flow: Flow) -> None:
        """No second decision task is scheduled."""
        execution = flow.start()
        flow.signal()
        assert flow.names(execution)[1:] == ["DecisionTaskScheduled", "WorkflowExecutionSignaled"]

    def test_events_of_decisions(self, flow: Flow) -> None:
        """A decision task for the events that decisions cause is scheduled after the last of them."""
        execution = flow.schedule()
        flow.signal()
        flow.decide(
            decision("CancelTimer", timerId="none"),
            decision("RequestCancelActivityTask", activityId="resize-1"),
            decision("RecordMarker", markerName="m"),
        )
        assert flow.names(execution)[8:] == [
            "DecisionTaskCompleted",
            "CancelTimerFailed",
            "ActivityTaskCancelRequested",
            "ActivityTaskCanceled",
            "MarkerRecorded",
            "DecisionTaskScheduled",
        ]

    def test_a_timeout_while_the_next_is_scheduled(self, engine: Engine, flow: Flow) -> None:
        """If the started one times out, the one already scheduled is delivered, and no third is scheduled."""
        execution = flow.start()
        flow.poll_decision()
        flow.signal()
        engine.advance(30)
        assert flow.names(execution)[3:] == [
            "WorkflowExecutionSignaled",
            "DecisionTaskScheduled",
            "DecisionTaskTimedOut",
        ]
        flow.poll_decision()
        assert flow.last(execution, "DecisionTaskStarted") == {"scheduledEventId": 5}

    @pytest.mark.parametrize("how", ["Complete", "Fail", "Cancel"])
    def test_an_execution_does_not_close_over_unseen_events(self, flow: Flow, how: str) -> None:
        """A decider that has not seen the latest event cannot close the execution; it gets another decision task."""
        execution = flow.start()
        task = flow.poll_decision()
        flow.signal()
        closing = decision(f"{how}WorkflowExecution")
        flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=[closing])
        assert flow.last(execution, f"{how}WorkflowExecutionFailed") == {
            "cause": "UNHANDLED_DECISION",
            "decisionTaskCompletedEventId": 6,
        }
        flow.decide(closing)
        assert flow.describe(execution)["executionInfo"]["executionStatus"] == "CLOSED"

    def test_a_rejected_response(self, flow: Flow) -> None:
        """A rejected response carries out none of its decisions."""
        execution = flow.start()
        token = flow.poll_decision()["taskToken"]
        close = {"decisionType": "CompleteWorkflowExecution"}
        bare = {"decisionType": "RecordMarker"}
        for given, message in (
            ({"decisions": [close, activity()]}, "Close must be last decision in list"),
            (
                {"decisions": [bare]},
                (
                    "1 validation error detected: Value null at "
                    "'decisions.1.member.recordMarkerDecisionAttributes' failed to satisfy constraint: "
                    "Member must not be null"
                ),
            ),
        ):
            with refused("ValidationException", message):
                flow.call("RespondDecisionTaskCompleted", taskToken=token, **given)
        assert flow.names(execution)[-1] == "DecisionTaskStarted"
        flow.call("RespondDecisionTaskCompleted", taskToken=token, decisions=[close])

    def test_a_task_list_of_its_own(self, flow: Flow) -> None:
        """A decider can move later decision tasks to another task list."""
        flow.start()
        flow.decide(taskList={"name": "mine"})
        flow.signal()
        asked = {"domain": flow.domain, "taskList": {"name": "mine"}}
        assert flow.call("PollForDecisionTask", **asked)["startedEventId"] == 7

    def test_a_temporary_task_list(self, engine: Engine, flow: Flow) -> None:
        """A task list override with a timeout ends when a decision task is not started in time."""
        execution = flow.start()
        flow.decide(taskList={"name": "sticky"}, taskListScheduleToStartTimeout="10")
        flow.signal()
        assert flow.last(execution, "DecisionTaskCompleted") == {
            "scheduledEventId": 2,
            "startedEventId": 3,
            "taskList": {"name": "sticky"},
            "taskListScheduleToStartTimeout": "10",
        }
        scheduled = {"taskList": {"name": "sticky"}, "scheduleToStartTimeout": "10", "startToCloseTimeout": "30"}
        assert flow.last(execution, "DecisionTaskScheduled") == scheduled
        engine.advance(10)
        assert flow.last(execution, "DecisionTaskTimedOut") == {
            "timeoutType": "SCHEDULE_TO_START",
            "scheduledEventId": 6,
            "startedEventId": 0,
        }
        assert flow.last(execution, "DecisionTaskScheduled") == {
            "taskList": {"name": "decisions"},
            "scheduleToStartTimeout": "NONE",
            "startToCloseTimeout": "30",
        }
        assert flow.poll_decision()["startedEventId"] == 9

    def test_a_temporary_task_list_in_use(self, engine: Engine, flow: Flow) -> None:
        """It stays while decision tasks are started in time, and ends when one is not completed in time."""
        sticky = {"domain": flow.domain, "taskList": {"name": "sticky"}}
        flow.start()
        flow.decide(taskList={"name": "sticky"}, taskListScheduleToStartTimeout="10")
        for _ in range(2):
            flow.signal()
            task = flow.call("PollForDecisionTask", **sticky)
            engine.advance(20)
            flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"])
        flow.signal()
        flow.call("PollForDecisionTask", **sticky)
        engine.advance(30)
        assert "taskToken" not in flow.call("PollForDecisionTask", **sticky)
        assert flow.poll_decision()["taskToken"]

    def test_history_in_pages(self, flow: Flow) -> None:
        """Events up to the task's start come in pages, in either order, or only those since the previous start."""
        execution = flow.start()
        flow.decide(*(decision("RecordMarker", markerName=str(n)) for n in range(10)))
        flow.signal()
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
        flow.signal()
        since = flow.poll_decision(startAtPreviousStartedEvent=True)
        assert [event["eventId"] for event in since["events"]] == [17, 18, 19, 20, 21]
        assert len(flow.history(execution)) == 21


class TestLambdaFunctions:
    """ScheduleLambdaFunction, which always fails here."""

    @pytest.mark.parametrize(
        ("role", "cause"),
        [
            ({}, "OPERATION_NOT_PERMITTED"),
            ({"lambdaRole": "arn:aws:iam::123456789012:role/r"}, "LAMBDA_SERVICE_NOT_AVAILABLE_IN_REGION"),
        ],
    )
    def test_it_fails(self, flow: Flow, role: dict[str, str], cause: str) -> None:
        """Without a role as documented; with one since there is no Lambda. A decision task is scheduled."""
        execution = flow.start(**role)
        flow.decide(decision("ScheduleLambdaFunction", id="i", name="f"))
        assert flow.names(execution)[4:] == ["ScheduleLambdaFunctionFailed", "DecisionTaskScheduled"]
        assert flow.last(execution, "ScheduleLambdaFunctionFailed") == {
            "id": "i",
            "name": "f",
            "cause": cause,
            "decisionTaskCompletedEventId": 4,
        }
