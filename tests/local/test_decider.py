"""The decider of `swf local schedule` and `swf local cancel`, over a local SWF."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from swf_cli.client.session import Session
from swf_cli.errors import SwfError, TaskNotOpen
from swf_cli.local.decider import Decider
from swf_cli.models import ActivityId, PartialTaskConfiguration
from tests.helpers.local_service import Service, local_service

RESIZE = ActivityId("resize", "1")


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch, aws_env: dict[str, str]) -> None:
    for name in aws_env:
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, aws_env[name])


@pytest.fixture
def service() -> Iterator[Service]:
    """A local SWF that holds a poll for a moment."""
    with local_service(hold=0.2) as service:
        yield service


@pytest.fixture
def decider(service: Service) -> Decider:
    """The decider of a domain that is not registered yet."""
    return Decider(Session(endpoint_url=service.url), "video")


def on(task_list: str) -> PartialTaskConfiguration:
    """Make the configuration of a task on a list, with no timeouts."""
    return PartialTaskConfiguration(
        task_list, runtime_timeout=None, schedule_timeout=None, total_timeout=None, heartbeat_timeout=None
    )


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "http://127.1.2.3"])
def test_loopback_is_taken(url: str) -> None:
    """A service on loopback is one to try things on."""
    Decider(Session(endpoint_url=url), "video")


@pytest.mark.parametrize("url", [None, "http://192.0.2.1", "http://localhost.example", "http://[2001:db8::1]:80"])
def test_any_other_is_refused(url: str | None) -> None:
    """Any other service is a ValueError that names it."""
    with pytest.raises(ValueError, match=f"^{(url or 'https://swf').split('[')[0]}.* is not on this machine"):
        Decider(Session(endpoint_url=url), "video")


def test_a_long_history_is_read_to_its_end(service: Service, decider: Decider) -> None:
    """The activity ids stay unique, and open tasks are found, in a history of several pages."""
    execution, first = decider.schedule(RESIZE, on("x"), workflow_id="w")
    for _ in range(1100):
        service.call("SignalWorkflowExecution", domain="video", workflowId="w", signalName="noise")
    _, second = decider.schedule(RESIZE, on("x"), workflow_id="w")
    assert (first, second) == ("resize-1", "resize-2")
    assert len(service.flow("video").history({"workflowId": "w", "runId": execution.run_id})) == 1000
    assert decider.request_cancel("w") == ["resize-1", "resize-2"]


def test_the_configuration_is_the_tasks(service: Service, decider: Decider) -> None:
    """Timeouts, list and priority go into the decision under its own keys."""
    configuration = PartialTaskConfiguration(
        "x",
        runtime_timeout=timedelta(seconds=1),
        schedule_timeout=timedelta(seconds=2),
        total_timeout=timedelta(seconds=3),
        heartbeat_timeout=None,
        priority=-4,
    )
    decider.schedule(RESIZE, configuration, "in.png", "w")
    event = next(e for e in service.history("video", "w") if e["eventType"] == "ActivityTaskScheduled")
    attributes = event["activityTaskScheduledEventAttributes"]
    assert attributes.pop("decisionTaskCompletedEventId")
    assert attributes == {
        "activityId": "resize-1",
        "activityType": {"name": "resize", "version": "1"},
        "taskList": {"name": "x"},
        "input": "in.png",
        "taskPriority": "-4",
        "startToCloseTimeout": "1",
        "scheduleToStartTimeout": "2",
        "scheduleToCloseTimeout": "3",
        "heartbeatTimeout": "NONE",
    }


def test_a_timeout_that_is_not_given(decider: Decider) -> None:
    """Where neither the task nor its type says how long, SWF refuses the task, and so it is told."""
    with pytest.raises(SwfError, match="DEFAULT_SCHEDULE_TO_START_TIMEOUT_UNDEFINED"):
        decider.schedule(RESIZE, PartialTaskConfiguration("x"))


def test_a_decision_that_another_took(service: Service, decider: Decider) -> None:
    """When another decider holds the decision task, it says that none came."""
    decider.schedule(RESIZE, on("x"), workflow_id="w")
    open_ones = service.call("ListOpenWorkflowExecutions", domain="video", startTimeFilter={"oldestDate": 0})
    described = service.flow("video").describe(open_ones["executionInfos"][0]["execution"])
    service.call("SignalWorkflowExecution", domain="video", workflowId="w", signalName="other")
    taken = service.call(
        "PollForDecisionTask", domain="video", taskList=described["executionConfiguration"]["taskList"]
    )
    assert taken["taskToken"]
    with pytest.raises(SwfError, match="no decision task came for w"):
        decider.schedule(RESIZE, on("x"), workflow_id="w")


def test_nothing_to_cancel(decider: Decider) -> None:
    """Asking to cancel what is not open is TaskNotOpen, whether the task or the execution is not."""
    decider.schedule(RESIZE, on("x"), workflow_id="w")
    with pytest.raises(TaskNotOpen, match="no activity task other of w is open"):
        decider.request_cancel("w", "other")
    with pytest.raises(TaskNotOpen, match="nobody"):
        decider.request_cancel("nobody")


def test_a_closed_execution_is_started_anew(service: Service, decider: Decider) -> None:
    """The workflow id of an execution that has ended starts another run."""
    first, _ = decider.schedule(RESIZE, on("x"), workflow_id="w")
    service.call("TerminateWorkflowExecution", domain="video", workflowId="w")
    second, activity_id = decider.schedule(RESIZE, on("x"), workflow_id="w")
    assert (second.id, activity_id) == ("w", "resize-1")
    assert second.run_id != first.run_id
