"""The decider of `swf local schedule` and `swf local cancel`."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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
    """A local SWF whose polls return after 0.2 s."""
    with local_service(hold=0.2) as service:
        yield service


@pytest.fixture
def decider(service: Service, tmp_path: Path) -> Decider:
    """A decider for a domain that is not registered yet."""
    return Decider(Session(endpoint_url=service.url), "video", tmp_path)


def on(task_list: str) -> PartialTaskConfiguration:
    """Return the configuration of a task without timeouts."""
    return PartialTaskConfiguration(
        task_list, runtime_timeout=None, schedule_timeout=None, total_timeout=None, heartbeat_timeout=None
    )


def test_a_long_history_is_read_to_its_end(service: Service, decider: Decider) -> None:
    """With a history of several pages, activity IDs stay unique and open tasks are found."""
    execution, first = decider.schedule(RESIZE, on("x"), workflow_id="w")
    for _ in range(1100):
        service.call("SignalWorkflowExecution", domain="video", workflowId="w", signalName="noise")
    _, second = decider.schedule(RESIZE, on("x"), workflow_id="w")
    assert (first, second) == ("resize-1", "resize-2")
    assert len(service.flow("video").history({"workflowId": "w", "runId": execution.run_id})) == 1000
    assert decider.request_cancel("w") == ["resize-1", "resize-2"]


def test_the_configuration_is_the_tasks(service: Service, decider: Decider) -> None:
    """The decision has timeouts, list and priority under its own keys."""
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
    """If neither the task nor its type has a timeout, the error has SWF's cause."""
    with pytest.raises(SwfError, match="DEFAULT_SCHEDULE_TO_START_TIMEOUT_UNDEFINED"):
        decider.schedule(RESIZE, PartialTaskConfiguration("x"))


def test_a_decision_that_another_took(service: Service, decider: Decider) -> None:
    """If another decider has the decision task, that is the error."""
    decider.schedule(RESIZE, on("x"), workflow_id="w")
    open_ones = service.call("ListOpenWorkflowExecutions", domain="video", startTimeFilter={"oldestDate": 0})
    described = service.flow("video").describe(open_ones["executionInfos"][0]["execution"])
    service.call("SignalWorkflowExecution", domain="video", workflowId="w", signalName="other")
    taken = service.call(
        "PollForDecisionTask", domain="video", taskList=described["executionConfiguration"]["taskList"]
    )
    assert taken["taskToken"]
    with pytest.raises(SwfError, match="no decision task received for workflow w"):
        decider.schedule(RESIZE, on("x"), workflow_id="w")


def test_nothing_to_cancel(decider: Decider) -> None:
    """Requesting cancellation of a task or execution that is not open raises TaskNotOpen."""
    decider.schedule(RESIZE, on("x"), workflow_id="w")
    with pytest.raises(TaskNotOpen, match="no activity task other of workflow w is open"):
        decider.request_cancel("w", "other")
    with pytest.raises(TaskNotOpen, match="nobody"):
        decider.request_cancel("nobody")


def test_a_closed_execution_is_started_anew(service: Service, decider: Decider) -> None:
    """The workflow ID of a closed execution starts a new run."""
    first, _ = decider.schedule(RESIZE, on("x"), workflow_id="w")
    service.call("TerminateWorkflowExecution", domain="video", workflowId="w")
    second, activity_id = decider.schedule(RESIZE, on("x"), workflow_id="w")
    assert (second.id, activity_id) == ("w", "resize-1")
    assert second.run_id != first.run_id


class Spy:
    """A client that calls `before` with the name of each operation."""

    def __init__(self, client: Any, before: Callable[[str], None]) -> None:
        self._client = client
        self._before = before

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._client, name)
        if callable(value):
            self._before(name)
        return value


class TestLock:
    """Deciders of one user take turns, by a lock in the state folder."""

    def test_it_is_held_while_deciding(self, service: Service, tmp_path: Path) -> None:
        """No other process can lock the file between the signal and the end of the decision; it is private."""
        state = tmp_path / "new" / "state"
        lock = state / "decider.lock"
        held: dict[str, bool] = {}

        def look(operation: str) -> None:
            with lock.open("r+") as file, suppress(BlockingIOError):
                held[operation] = True
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held[operation] = False

        session = Session(endpoint_url=service.url)
        Decider(session, "video", state).schedule(RESIZE, on("x"), workflow_id="w")
        assert (state.stat().st_mode & 0o777, lock.stat().st_mode & 0o777) == (0o700, 0o600)
        spied: Any = SimpleNamespace(
            client=Spy(session.client.botocore, look), poll_client=Spy(session.poll_client.botocore, look)
        )
        Decider(spied, "video", state).request_cancel("w")
        steps = ("signal_workflow_execution", "poll_for_decision_task", "respond_decision_task_completed")
        assert [held[step] for step in steps] == [True] * 3
        look("afterwards")
        assert not held["afterwards"]

    def test_links_are_not_followed(self, service: Service, tmp_path: Path) -> None:
        """If the lock or its folder is a symbolic link, no file is created, and the task is scheduled without."""
        target = tmp_path / "target"
        target.mkdir()
        (tmp_path / "linked").symlink_to(target)
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / "decider.lock").symlink_to(target / "file")
        for state in ("linked", "state"):
            decider = Decider(Session(endpoint_url=service.url), "video", tmp_path / state)
            decider.schedule(RESIZE, on("x"), workflow_id="w")
        assert list(target.iterdir()) == []

    def test_a_folder_that_cannot_be_made(self, service: Service, tmp_path: Path) -> None:
        """Without a state folder the task is scheduled without the lock."""
        (tmp_path / "file").touch()
        decider = Decider(Session(endpoint_url=service.url), "video", tmp_path / "file" / "state")
        assert decider.schedule(RESIZE, on("x"), workflow_id="w")[1] == "resize-1"
