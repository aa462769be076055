"""Heartbeats at an interval."""

from collections.abc import Callable
from typing import Any

import pytest

from swf_cli.client.session import Session
from swf_cli.errors import AccessError, NetworkError, SwfError, TaskNotOpen
from swf_cli.heartbeats import keep_alive, wait_for_ever
from tests.helpers.stub_service import StubService

HEARTBEAT = "RecordActivityTaskHeartbeat"


@pytest.fixture
def client(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client that calls the stub, once each time."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return Session().no_retry


class Work:
    """Work that ends after so many waits; it notes them and takes no time."""

    def __init__(self, waits: int) -> None:
        self.left = waits
        self.waited: list[float] = []
        self.told: list[str] = []

    def wait(self, seconds: float) -> bool:
        """Wait."""
        self.waited.append(seconds)
        self.left -= 1
        return self.left < 0

    def keep_alive(self, client: Any, every: float = 20.0, details: str | None = None) -> bool:
        """Send heartbeats as long as it is worked on."""
        return keep_alive(client, "TOKEN", details, every=every, wait=self.wait, tell=self.told.append)


def test_heartbeats_go_on_until_the_work_ends(client: Any, stub: StubService) -> None:
    """The first heartbeat comes at once, the others at the interval; when the work ends, so do they."""
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    work = Work(3)
    assert work.keep_alive(client, details="page 7") is False
    assert stub.requests == [(HEARTBEAT, {"taskToken": "TOKEN", "details": "page 7"})] * 3
    assert (work.waited, work.told) == ([0.0, 20.0, 20.0, 20.0], [])


def test_work_that_has_ended_gets_no_heartbeat(client: Any, stub: StubService) -> None:
    """For work that was over before the first heartbeat none is sent."""
    assert Work(0).keep_alive(client) is False
    assert stub.requests == []


def test_a_cancellation_ends_it(client: Any, stub: StubService) -> None:
    """When cancellation is requested, that is told, and no further heartbeat is sent."""
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    stub.reply(HEARTBEAT, {"cancelRequested": True})
    assert Work(9).keep_alive(client) is True
    assert len(stub.requests) == 2


@pytest.mark.parametrize(
    "fail",
    [
        lambda stub: stub.reply(HEARTBEAT, reset=True),
        lambda stub: stub.reply(HEARTBEAT, b"<html>busy</html>", status=502),
        lambda stub: stub.fault(HEARTBEAT, "InternalFailure", status=500),
        lambda stub: stub.fault(HEARTBEAT, "ThrottlingException"),
        lambda stub: stub.fault(HEARTBEAT, "LimitExceededFault"),
    ],
    ids=["reset", "page", "500", "throttled", "limit"],
)
@pytest.mark.parametrize(("every", "sooner"), [(20.0, 5.0), (2.0, 2.0)])
def test_a_fault_that_may_pass_is_told_and_survived(
    fail: Callable[[StubService], None], every: float, sooner: float, client: Any, stub: StubService
) -> None:
    """After a fault the next heartbeat comes the sooner, since the task's timeout runs on; then at the interval."""
    fail(stub)
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    work = Work(3)
    assert work.keep_alive(client, every) is False
    assert work.waited == [0.0, sooner, every, every]
    (told,) = work.told
    assert told.startswith("the heartbeat failed: ")
    assert told.endswith(f"; trying again in {sooner:g} s")


def test_a_service_that_is_not_there_is_waited_for(client: Any, stub: StubService) -> None:
    """While nobody listens, heartbeats are tried on: the work goes on, and so may the task."""
    stub.close()
    work = Work(3)
    assert work.keep_alive(client) is False
    assert len(work.told) == 3


@pytest.mark.parametrize(
    ("fault", "kind", "exit_code"),
    [
        ("UnknownResourceFault", TaskNotOpen, 5),
        ("OperationNotPermittedFault", AccessError, 7),
        ("ValidationException", SwfError, 1),
    ],
)
def test_a_refusal_ends_it(fault: str, kind: type[SwfError], exit_code: int, client: Any, stub: StubService) -> None:
    """A task that is not open, no access, any other refusal: that is raised, and no further heartbeat is sent."""
    stub.fault(HEARTBEAT, fault, "the reason why")
    with pytest.raises(kind, match="the reason why") as caught:
        Work(9).keep_alive(client)
    assert caught.value.exit_code == exit_code
    assert not isinstance(caught.value, NetworkError)
    assert len(stub.requests) == 1


def test_work_without_an_end_of_its_own() -> None:
    """It is waited for so long, and is never over."""
    assert wait_for_ever(0.01) is False
