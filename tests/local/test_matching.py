"""Which poll receives which task, and when."""

import threading
from collections import Counter
from typing import Any

import pytest

from swf_cli.local.clock import Clock
from swf_cli.local.engine import Engine
from swf_cli.local.entities import TaskKind
from swf_cli.local.quotas import Limits
from tests.helpers.cli import wait_until
from tests.helpers.flow import Flow, RealTime, activity, decision, over, refused, still


class HeldPoll:
    """A poll in flight on an engine, in a thread of its own."""

    def __init__(
        self,
        engine: Engine,
        task_list: str = "work",
        *,
        kind: TaskKind = "activity",
        is_connected: bool = True,
        **args: Any,
    ) -> None:
        self._response: dict[str, Any] = {}

        def poll() -> None:
            operation = f"PollFor{kind.capitalize()}Task"
            named = {"domain": "media", "taskList": {"name": task_list}}
            self._response = engine.call(operation, {**named, **args}, is_connected=lambda: is_connected)

        self._thread = threading.Thread(target=poll, daemon=True)
        self._thread.start()
        wait_until(lambda: bool(engine.held_polls("media", task_list, kind)))

    def result(self) -> dict[str, Any]:
        """Wait for the response."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self._response

    @property
    def held(self) -> bool:
        """Whether it is still in flight."""
        return self._thread.is_alive()


class TestPolling:
    """PollForActivityTask."""

    def test_by_priority_then_by_age(self, flow: Flow) -> None:
        """The highest priority goes first, then the oldest task. The default priority is 0."""
        flow.start()
        priorities = {"a": "0", "b": "-1", "c": "5", "d": "5", "e": "2147483647"}
        flow.decide(activity("none"), *(activity(name, taskPriority=given) for name, given in priorities.items()))
        assert [flow.poll()["activityId"] for _ in range(6)] == ["e", "c", "d", "none", "a", "b"]

    def test_an_empty_list(self, flow: Flow) -> None:
        """The responses have no token, as recorded from the real service."""
        assert flow.poll() == {"startedEventId": 0}
        assert flow.poll_decision() == {"previousStartedEventId": 0, "startedEventId": 0}

    def test_tasks_of_a_closed_execution_are_gone(self, flow: Flow) -> None:
        """They are neither counted nor delivered."""
        flow.schedule("one", taskPriority="1")
        flow.schedule("two")
        flow.call("TerminateWorkflowExecution", domain=flow.domain, workflowId="one")
        assert flow.pending() == 1
        assert flow.poll()["workflowExecution"]["workflowId"] == "two"

    def test_a_poll_is_held_until_a_task_comes(self) -> None:
        """It returns once a task is scheduled on its task list."""
        engine = Engine(still())
        flow = Flow(over(engine)).register()
        poll = HeldPoll(engine, identity="w")
        flow.schedule("other", task_list="other")
        assert poll.held
        execution = flow.schedule("video-7")
        assert poll.result()["workflowExecution"] == execution
        assert flow.names(execution)[4:] == ["ActivityTaskScheduled", "ActivityTaskStarted"]
        assert flow.last(execution, "ActivityTaskStarted")["identity"] == "w"

    @pytest.mark.parametrize("kind", ["activity", "decision"])
    @pytest.mark.parametrize("speed", [1, 1000])
    def test_a_poll_is_held_for_its_time(self, kind: TaskKind, speed: float) -> None:
        """Then it returns without a task. A fast clock, or one that is advanced, does not end it sooner."""
        real_time = RealTime()
        engine = Engine(Clock(real_time, speed=speed), hold=60)
        Flow(over(engine)).register()
        poll = HeldPoll(engine, kind=kind)
        engine.advance(1_000_000)
        assert engine.held_polls("media", "work", kind)
        real_time.seconds += 59.9
        engine.advance(0)
        assert engine.held_polls("media", "work", kind)
        real_time.seconds += 0.1
        engine.advance(0)
        assert poll.result()["startedEventId"] == 0

    def test_a_task_scheduled_by_a_closing_decider_is_not_delivered(self) -> None:
        """All decisions of a response take effect together: the execution closes before a task can start."""
        engine = Engine(still())
        flow = Flow(over(engine)).register()
        poll = HeldPoll(engine)
        execution = flow.start()
        flow.decide(activity(), decision("CompleteWorkflowExecution"))
        assert poll.held
        assert flow.names(execution)[-2:] == ["ActivityTaskScheduled", "WorkflowExecutionCompleted"]
        engine.close()
        assert poll.result() == {"startedEventId": 0}

    @pytest.mark.parametrize("deliver_to_disconnected", [True, False])
    def test_a_poll_whose_caller_has_gone(self, deliver_to_disconnected: bool) -> None:
        """It receives the task, as reported of the real service, unless `deliver_to_disconnected` is off."""
        engine = Engine(still(), hold=60, deliver_to_disconnected=deliver_to_disconnected)
        flow = Flow(over(engine)).register()
        poll = HeldPoll(engine, is_connected=False)
        flow.schedule()
        assert ("taskToken" in poll.result()) is deliver_to_disconnected
        assert flow.pending() == (0 if deliver_to_disconnected else 1)

    def test_too_many_polls(self) -> None:
        """A poll over the limit of its task list is a LimitExceededFault."""
        engine = Engine(still(), limits=Limits(polls=1))
        flow = Flow(over(engine)).register()
        poll = HeldPoll(engine)
        with refused("LimitExceededFault", "Limit on maximum concurrent poll requests per task list reached"):
            flow.poll()
        flow.schedule()
        assert poll.result()["activityId"] == "resize-1"

    def test_many_pollers_get_each_task_once(self) -> None:
        """16 pollers receive 2,000 tasks that are scheduled while they poll, each task exactly once."""
        engine = Engine(still())
        flow = Flow(over(engine)).register()
        received: list[tuple[str, int]] = []

        def work() -> None:
            while "taskToken" in (task := flow.poll()):
                received.append((task["workflowExecution"]["runId"], task["startedEventId"]))
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
        while len(received) < 2000:
            workers[0].join(0.01)
        engine.close()
        for worker in workers:
            worker.join(60)
        assert len(received) == 2000
        assert set(Counter(received).values()) == {1}
        open_tasks = [each["openCounts"]["openActivityTasks"] for each in map(flow.describe, self._open(flow))]
        assert open_tasks == [0] * 4

    @staticmethod
    def _open(flow: Flow) -> list[dict[str, str]]:
        infos = flow.call("ListOpenWorkflowExecutions", domain=flow.domain, startTimeFilter={"oldestDate": 0})
        return [info["execution"] for info in infos["executionInfos"]]
