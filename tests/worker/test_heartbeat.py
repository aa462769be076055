"""The heartbeats of a worker's task: how often, what they carry, and what they bring back."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swf_cli.client.session import Session
from swf_cli.models import WorkerTask
from swf_cli.worker.heartbeat import Heart
from tests.helpers.cli import TASK, wait_until
from tests.helpers.stub_service import StubService

HEARTBEAT = "RecordActivityTaskHeartbeat"
HISTORY = "GetWorkflowExecutionHistory"
DESCRIBE = "DescribeActivityType"


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


class Patient:
    """A heart on a clock that is moved, and what it said."""

    def __init__(self, stub: StubService, interval: Any) -> None:
        self.clock = Clock()
        self.said: list[str] = []
        session = Session(region="us-east-1", endpoint_url=stub.url)
        self.heart = Heart(session, "media", WorkerTask.from_api(TASK), interval, self.said.append, self.clock)

    def step(self) -> float:
        """Take the next step when it is time for it; gives the seconds until then."""
        waited = self.heart.seconds_left()
        self.clock.now += waited
        self.heart.beat()
        return waited


Make = Callable[..., Patient]


@pytest.fixture
def make(stub: StubService, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a heart that beats against the stub, which answers that the task is open."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return lambda interval="auto": Patient(stub, interval)


def beats(stub: StubService) -> None:
    """Have the stub answer that the task goes on."""
    stub.reply(HEARTBEAT, {"cancelRequested": False})


def events(heartbeat: str | None) -> list[dict[str, Any]]:
    """Give the history of the task, newest first."""
    scheduled = {"activityId": "resize-1", **({} if heartbeat is None else {"heartbeatTimeout": heartbeat})}
    return [
        {"eventId": 9, "eventType": "WorkflowExecutionSignaled"},
        {
            "eventId": 6,
            "eventType": "ActivityTaskStarted",
            "activityTaskStartedEventAttributes": {"scheduledEventId": 4},
        },
        {"eventId": 5, "eventType": "ActivityTaskScheduled", "activityTaskScheduledEventAttributes": {}},
        {
            "eventId": 4,
            "eventType": "ActivityTaskScheduled",
            "activityTaskScheduledEventAttributes": scheduled,
        },
        {"eventId": 3, "eventType": "DecisionTaskCompleted"},
    ]


def tells(stub: StubService, heartbeat: str | None, default: str | None = None) -> None:
    """Have the stub tell the task's heartbeat timeout, and its type's default."""
    stub.reply(HISTORY, {"events": events(heartbeat)})
    configuration = {} if default is None else {"defaultTaskHeartbeatTimeout": default}
    stub.reply(DESCRIBE, {"typeInfo": {}, "configuration": configuration})


class TestAuto:
    """`--heartbeat auto`."""

    def test_a_short_task_costs_no_call(self, stub: StubService, make: Make) -> None:
        """Nothing is due before half a second has passed."""
        patient = make()
        assert patient.heart.seconds_left() == 0.5
        patient.clock.now += 0.49
        assert not patient.heart.is_due()
        patient.clock.now += 0.01
        assert patient.heart.is_due()
        assert stub.requests == []

    @pytest.mark.parametrize(
        ("heartbeat", "default", "timeout"),
        [
            ("6", "600", 6),
            ("30", None, 30),
            ("120", None, 120),
            ("86400", None, 180),
            ("NONE", "6", 60),
            (None, "30", 30),
            (None, "NONE", 60),
            (None, None, 60),
        ],
    )
    def test_it_goes_by_the_heartbeat_timeout(
        self, stub: StubService, make: Make, heartbeat: str | None, default: str | None, timeout: int
    ) -> None:
        """A third of the task's own, less some chance; else of its type's default; else of 60 s; 60 s at most."""
        tells(stub, heartbeat, default)
        beats(stub)
        patient = make()
        patient.step()
        assert HEARTBEAT not in stub.operations()
        began = patient.clock.now - 0.5
        waits = []
        for _ in range(5):
            patient.step()
            waits.append(patient.clock.now - began)
            began = patient.clock.now
        assert all(0.7 * timeout / 3 <= wait <= 0.9 * timeout / 3 for wait in waits)
        assert len(set(waits)) > 1
        assert stub.operations().count(HEARTBEAT) == 5
        assert stub.operations().count(HISTORY) == 1
        assert stub.operations().count(DESCRIBE) == (heartbeat is None)
        assert patient.said == []

    def test_history_is_read_backwards(self, stub: StubService, make: Make) -> None:
        """Page by page from its end, and no further than the task's scheduling."""
        pages = events("6")
        for page in ({"events": pages[:2], "nextPageToken": "P2"}, {"events": pages[2:], "nextPageToken": "P3"}):
            stub.reply(HISTORY, page)
        beats(stub)
        patient = make()
        patient.step()
        patient.step()
        asked = [arguments for operation, arguments in stub.requests if operation == HISTORY]
        execution = {"workflowId": "video-7", "runId": "RUN"}
        first = {"domain": "media", "execution": execution, "reverseOrder": True}
        assert asked == [first, {**first, "nextPageToken": "P2"}]

    def test_a_task_that_history_does_not_show_yet(self, stub: StubService, make: Make) -> None:
        """It is kept alive meanwhile, every few seconds, and looked up again."""
        stub.reply(HISTORY, {"events": []})
        stub.reply(HISTORY, {"events": []})
        tells(stub, "6")
        beats(stub)
        patient = make()
        assert [patient.step() <= 5 for _ in range(3)] == [True] * 3
        assert stub.operations() == [HISTORY, HEARTBEAT, HISTORY, HEARTBEAT, HISTORY]
        assert patient.step() <= 1.8

    def test_a_task_that_history_never_shows(self, stub: StubService, make: Make) -> None:
        """It is looked up no more after some tries, and the type's default counts."""
        stub.reply(HISTORY, {"events": []})
        stub.reply(DESCRIBE, {"configuration": {"defaultTaskHeartbeatTimeout": "30"}})
        beats(stub)
        patient = make()
        for _ in range(8):
            patient.step()
        assert stub.operations().count(HISTORY) == 5
        assert 7 <= patient.heart.seconds_left() <= 9

    @pytest.mark.parametrize("wrong", ["reset", "throttled", "html"])
    def test_history_that_can_not_be_read_now(self, stub: StubService, make: Make, wrong: str) -> None:
        """The network, throttling or a 5xx: the task is kept alive, and the timeout looked up again."""
        if wrong == "reset":
            stub.reply(HISTORY, reset=True)
        elif wrong == "throttled":
            stub.fault(HISTORY, "ThrottlingException", "Rate exceeded")
        else:
            stub.reply(HISTORY, b"<html>", status=502)
        tells(stub, "6")
        beats(stub)
        patient = make()
        patient.step()
        assert stub.operations() == [HISTORY, HEARTBEAT]
        assert "can't be looked up now" in patient.said[0]
        patient.step()
        assert patient.step() <= 1.8

    @pytest.mark.parametrize(("default", "timeout"), [("30", 30), ("600", 60), (None, 60)])
    def test_history_that_may_not_be_read(
        self, stub: StubService, make: Make, default: str | None, timeout: int
    ) -> None:
        """Without that permission 60 s count, or the type's default when it is shorter."""
        stub.fault(HISTORY, "AccessDeniedException", "not yours")
        if default is None:
            stub.fault(DESCRIBE, "AccessDeniedException", "not yours")
        else:
            stub.reply(DESCRIBE, {"configuration": {"defaultTaskHeartbeatTimeout": default}})
        beats(stub)
        patient = make()
        patient.step()
        assert 0.7 * timeout / 3 - 0.5 <= patient.heart.seconds_left() <= 0.9 * timeout / 3
        assert HEARTBEAT not in stub.operations()


def test_an_interval_that_was_given(stub: StubService, make: Make) -> None:
    """`--heartbeat 30s` beats that often, less some chance, and looks nothing up."""
    beats(stub)
    patient = make(30)
    assert patient.step() == 30
    assert all(21 <= patient.step() <= 27 for _ in range(4))
    assert set(stub.operations()) == {HEARTBEAT}


def test_off_never_beats(stub: StubService, make: Make) -> None:
    """`--heartbeat off` sends nothing, whatever happens."""
    patient = make("off")
    patient.clock.now += 1e9
    assert not patient.heart.is_due()
    patient.heart.start()
    assert stub.requests == []


class TestNews:
    """What a heartbeat brings back."""

    def test_cancellation(self, stub: StubService, make: Make) -> None:
        """A cancellation that was requested; heartbeats go on while the command tidies up."""
        stub.reply(HEARTBEAT, {"cancelRequested": True})
        patient = make(30)
        patient.step()
        assert patient.heart.news == "cancelled"
        patient.step()
        assert stub.operations() == [HEARTBEAT] * 2

    @pytest.mark.parametrize("fault", ["UnknownResourceFault", "ValidationException"])
    def test_a_task_that_is_not_open(self, stub: StubService, make: Make, fault: str) -> None:
        """It is closed, or its token is none."""
        stub.fault(HEARTBEAT, fault, "Invalid token")
        patient = make(30)
        patient.step()
        assert patient.heart.news == "closed"

    @pytest.mark.parametrize(
        "wrong",
        [{"reset": True}, {"body": {"cancelRequested": False}, "cut": True}, {"status": 502, "body": b"<html>"}],
    )
    def test_the_network(self, stub: StubService, make: Make, wrong: dict[str, Any]) -> None:
        """A heartbeat that is lost is no news: the next one comes soon, and the interval is as before after it."""
        stub.reply(HEARTBEAT, **wrong)
        beats(stub)
        patient = make(30)
        patient.step()
        assert patient.heart.news is None
        assert "the heartbeat failed" in patient.said[0]
        assert patient.step() <= 5
        assert patient.step() >= 21

    @pytest.mark.parametrize("fault", ["ThrottlingException", "ExpiredTokenException", "NewFault"])
    def test_refusals(self, stub: StubService, make: Make, fault: str) -> None:
        """Nor is throttling, nor credentials that have expired, nor a fault that nobody knows."""
        stub.fault(HEARTBEAT, fault, "no")
        beats(stub)
        patient = make(30)
        patient.step()
        assert (patient.heart.news, patient.step() <= 5) == (None, True)
        assert len(patient.said) == 1

    def test_a_broken_network_of_a_short_timeout(self, stub: StubService, make: Make) -> None:
        """Of a heartbeat timeout of 6 s, 4 s without a network leave a try in time."""
        tells(stub, "6")
        stub.reply(HEARTBEAT, {"cancelRequested": False})
        stub.reply(HEARTBEAT, reset=True)
        patient = make()
        patient.step()
        patient.step()
        last = patient.clock.now
        down = last + patient.heart.seconds_left()
        while patient.clock.now < down + 4:
            patient.step()
        assert patient.clock.now + patient.heart.seconds_left() < last + 6


class TestDetails:
    """The heartbeat file."""

    def sent(self, stub: StubService) -> list[str | None]:
        """Give the details of each heartbeat."""
        return [arguments.get("details") for operation, arguments in stub.requests if operation == HEARTBEAT]

    @pytest.mark.parametrize(
        ("data", "details"),
        [
            (b"page 7 of 10", "page 7 of 10"),
            (b"page 6\npage 7\n", "page 7"),
            (b"page 6\npage 7\n\n\n", "page 7"),
            (b"", None),
            (b"\n", None),
            ("\U0001f3ac".encode() * 5_000, "\U0001f3ac" * 2_048),
            (b"x" * 100_000 + b"\nlast\n", "last"),
            (b"caf\xe9", "caf�"),
        ],
    )
    def test_its_last_line_goes_along(
        self, stub: StubService, make: Make, tmp_path: Path, data: bytes, details: str | None
    ) -> None:
        """The last line that is not empty, as much of it as SWF takes."""
        beats(stub)
        patient = make(30)
        patient.heart.notes = f"{tmp_path}/notes"
        (tmp_path / "notes").write_bytes(data)
        patient.step()
        assert self.sent(stub) == [details]

    @pytest.mark.parametrize("kind", ["none", "folder", "pipe"])
    def test_what_is_no_file_is_passed_over(self, stub: StubService, make: Make, tmp_path: Path, kind: str) -> None:
        """Nothing is there, or nothing that could be read: the heartbeat goes without, at once."""
        beats(stub)
        patient = make(30)
        patient.heart.notes = f"{tmp_path}/notes"
        if kind == "folder":
            (tmp_path / "notes").mkdir()
        elif kind == "pipe":
            os.mkfifo(patient.heart.notes)
        patient.step()
        assert self.sent(stub) == [None]

    def test_details_that_swf_refuses(self, stub: StubService, make: Make, tmp_path: Path) -> None:
        """The heartbeat goes without them, since it is what keeps the task alive."""
        stub.fault(HEARTBEAT, "ValidationException", "no such details")
        beats(stub)
        patient = make(30)
        patient.heart.notes = f"{tmp_path}/notes"
        (tmp_path / "notes").write_text("odd")
        patient.step()
        assert self.sent(stub) == ["odd", None]
        assert patient.step() >= 21


def test_it_beats_beside_the_work_until_it_is_stopped(stub: StubService, make: Make) -> None:
    """A thread of its own sends them when they are due, and none any more once it is stopped."""
    beats(stub)
    patient = make(0.02)
    patient.heart._clock = time.monotonic
    patient.heart._due = time.monotonic()
    patient.heart.start()
    patient.heart.start()
    wait_until(lambda: len(stub.requests) >= 3)
    patient.heart.stop()
    time.sleep(0.1)
    count = len(stub.requests)
    time.sleep(0.1)
    assert len(stub.requests) == count


def test_nothing_ends_the_heart_of_a_task(stub: StubService, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised, the next heartbeat is tried."""
    monkeypatch.setattr("swf_cli.worker.heartbeat._LATEST", 0.01)
    beats(stub)
    patient = make(0.02)
    patient.heart._clock = time.monotonic
    patient.heart._due = time.monotonic()
    steps = iter([RuntimeError("oops"), KeyError("oops")])

    def send(client: object) -> None:
        error = next(steps, None)
        if error is not None:
            raise error

    monkeypatch.setattr(patient.heart, "_send", send)
    patient.heart.start()
    wait_until(lambda: len(patient.said) == 2)
    patient.heart.stop()
    assert "unexpected RuntimeError: oops" in patient.said[0]
