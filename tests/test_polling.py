"""The life of a long poll."""

import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swf_cli import polling
from swf_cli.client.session import Session
from swf_cli.errors import NetworkError, NoTaskReceived, Signalled, SwfError, TaskNotOpen
from swf_cli.ledger.records import HeldTask, PollSource
from swf_cli.ledger.store import Ledger
from swf_cli.models import WorkerTask
from swf_cli.polling import ReceivedTask, poll
from swf_cli.retry import backoff
from swf_cli.signals import graceful_stop
from tests.helpers.cli import TASK
from tests.helpers.stub_service import StubService

POLL = "PollForActivityTask"
NO_TASK = {"startedEventId": 0}


@pytest.fixture
def session(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session that calls the stub."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return Session()


class Desk:
    """A poll of the list `l` in the domain `d`, its ledger, and what was told; it never waits unless told to."""

    def __init__(self, session: Session, folder: Path) -> None:
        self.client: Any = session.poll_client
        self.origin = PollSource("d", "l", "me@here", None, "us-east-1", "http://swf.test")
        self.told: list[str] = []
        self.ledger = Ledger(folder, self.told.append)
        self.stop = threading.Event()
        self.waited: list[int] = []

    def poll(self, **how: Any) -> ReceivedTask | None:
        """Poll, with no wait after a fault."""

        def wait(failures: int) -> float:
            self.waited.append(failures)
            return 0.0

        defaults: dict[str, Any] = {"stop": self.stop, "tell": self.told.append, "wait": wait}
        return poll(self.client, self.origin, self.ledger, **defaults | how)

    def held(self) -> list[HeldTask]:
        """Give what is on record once this process has gone."""
        self.ledger.close()
        return self.ledger.list_held()


@pytest.fixture
def desk(session: Session, tmp_path: Path) -> Iterator[Desk]:
    """A desk with a fresh ledger."""
    desk = Desk(session, tmp_path / "state")
    yield desk
    desk.ledger.close()


def clock(*times: float) -> Callable[[], float]:
    """A clock that shows these times, one a look."""
    left: Iterator[float] = iter(times)
    return lambda: next(left)


# --- waiting for a task


def test_a_task_is_waited_for_under_an_identity(desk: Desk, stub: StubService) -> None:
    """Without a timeout it polls until a task comes, however long, and says who it is each time."""
    for reply in (NO_TASK, NO_TASK, TASK):
        stub.reply(POLL, reply)
    taken = desk.poll(clock=itertools.count(0, 1e9).__next__)
    assert taken is not None
    assert taken.task == WorkerTask.from_api(TASK)
    assert stub.requests == [(POLL, {"domain": "d", "taskList": {"name": "l"}, "identity": "me@here"})] * 3
    assert desk.told == []
    (held,) = desk.held()
    assert (held.key, held.token, held.kind) == (taken.key, "TOKEN", "task")


@pytest.mark.parametrize(
    ("timeout", "times", "polls"),
    [
        pytest.param(0, (100, 100), 1, id="none at all: one poll"),
        pytest.param(0.5, (100, 160), 1, id="over while SWF held the poll"),
        pytest.param(90, (100, 160, 220), 2, id="over in the second poll"),
        pytest.param(60, (100, 159.9, 160), 2, id="over at the very second"),
    ],
)
def test_no_poll_starts_after_the_timeout(
    timeout: float, times: tuple[float, ...], polls: int, desk: Desk, stub: StubService
) -> None:
    """At least one poll is made, and none begins when the time is over: exit 3, and nothing on record."""
    stub.reply(POLL, NO_TASK)
    with pytest.raises(NoTaskReceived, match=f"no task came on l in {timeout:g} s") as caught:
        desk.poll(timeout=timeout, clock=clock(*times))
    assert caught.value.exit_code == 3
    assert len(stub.requests) == polls
    assert desk.held() == []


def test_the_poll_in_flight_is_waited_for(desk: Desk, stub: StubService) -> None:
    """A task that comes in a poll begun in time is given, however late."""
    stub.reply(POLL, NO_TASK)
    stub.reply(POLL, TASK)
    taken = desk.poll(timeout=60, clock=clock(100, 159, 300))
    assert taken is not None
    assert taken.task.token == "TOKEN"


# --- faults


BROKEN = [
    pytest.param({"reset": True}, id="reset"),
    pytest.param({"body": TASK, "cut": True}, id="cut"),
    pytest.param({"body": b"<html>", "status": 200}, id="page"),
    pytest.param({"body": {"taskToken": "T", "startedEventId": 1}}, id="half a task"),
    pytest.param({"status": 502}, id="gateway"),
]


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_poll_may_have_taken_a_task_and_polling_goes_on(
    how: dict[str, Any], desk: Desk, stub: StubService
) -> None:
    """When a poll breaks, SWF may have handed it a task: that is told with the identity, and stays on record."""
    stub.reply(POLL, **how)
    stub.reply(POLL, TASK)
    taken = desk.poll()
    assert taken is not None
    (told,) = desk.told
    assert "may still hand a task to this poll, under the identity me@here" in told
    task, broken = sorted(desk.held(), key=lambda held: held.kind, reverse=True)
    assert (task.key, broken.kind, broken.identity, broken.token) == (taken.key, "broken_poll", "me@here", None)


@pytest.mark.parametrize("fault", ["LimitExceededFault", "ThrottlingException"])
def test_what_was_put_off_took_no_task(fault: str, desk: Desk, stub: StubService) -> None:
    """Too many pollers, or calls, is told and tried again; SWF refused those polls, so none of them is on record."""
    stub.fault(POLL, fault, "later")
    stub.fault(POLL, fault, "later")
    stub.reply(POLL, TASK)
    taken = desk.poll()
    assert [f"later ({fault}); polling again in 0.0 s" in line for line in desk.told] == [True, True]
    assert [held.key for held in desk.held()] == [taken and taken.key]


def test_waits_grow_until_a_poll_is_answered(desk: Desk, stub: StubService) -> None:
    """Each failure in a row lengthens the wait; a poll that SWF answered, with a task or not, starts it anew."""
    for reply in ({"reset": True}, {"status": 500}, {"body": NO_TASK}, {"reset": True}, {"body": TASK}):
        stub.reply(POLL, **reply)
    desk.poll()
    assert desk.waited == [0, 1, 0]


@pytest.mark.parametrize(
    ("attempt", "chance", "seconds"),
    [(0, 0, 0.5), (0, 1, 1), (1, 0, 1), (1, 1, 2), (4, 1, 16), (5, 1, 30), (10_000, 0, 15), (10_000, 1, 30)],
)
def test_backoff(attempt: int, chance: float, seconds: float) -> None:
    """The wait doubles from 1 s up to 30 s, half of it by chance, so that many do not come back at once."""
    assert backoff(attempt, jitter=lambda: chance) == seconds
    assert backoff(attempt, most=8, jitter=lambda: 1) <= 8


def test_the_timeout_counts_waits_too(desk: Desk, stub: StubService) -> None:
    """A wait that would last beyond --timeout is cut short, and no poll starts after it: NoTaskReceived."""
    stub.fault(POLL, "ThrottlingException")
    with pytest.raises(NoTaskReceived):
        desk.poll(timeout=10.0, clock=clock(0, 9.99), wait=lambda failures: 30.0)
    assert len(stub.requests) == 1


def test_a_stop_ends_a_wait_at_once(desk: Desk, stub: StubService) -> None:
    """Told to stop while it waits after a fault, it stops there and then: SWF holds no poll."""
    stub.fault(POLL, "ThrottlingException")
    threading.Timer(0.05, desk.stop.set).start()
    assert desk.poll(wait=lambda failures: 30.0) is None
    assert len(stub.requests) == 1
    assert desk.held() == []


@pytest.mark.parametrize(("fault", "exit_code"), [("UnknownResourceFault", 1), ("OperationNotPermittedFault", 7)])
def test_a_refusal_that_will_not_pass_is_raised(fault: str, exit_code: int, desk: Desk, stub: StubService) -> None:
    """A poll that SWF refused is an error of its kind: an unknown domain is exit 1, and not a closed task's 5."""
    stub.fault(POLL, fault, "Unknown domain: d")
    with pytest.raises(SwfError, match="Unknown domain: d") as caught:
        desk.poll()
    assert caught.value.exit_code == exit_code
    assert not isinstance(caught.value, TaskNotOpen)
    assert (len(stub.requests), desk.told, desk.held()) == (1, [], [])


def test_a_service_that_was_never_reached_is_raised(desk: Desk, stub: StubService) -> None:
    """When nobody listens from the start, the address is probably wrong: that is raised, not tried for ever."""
    stub.close()
    with pytest.raises(NetworkError) as caught:
        desk.poll()
    assert not caught.value.possibly_executed
    assert (desk.told, desk.held()) == ([], [])


def test_a_service_that_was_reached_is_waited_for(desk: Desk, stub: StubService) -> None:
    """Once SWF has been reached, it is waited for: nobody listening is told, and polling goes on."""

    def after_the_first_poll() -> float:
        if stub.requests:
            stub.close()
        return 0.0

    def wait(failures: int) -> float:
        desk.stop.set()
        return 0.0

    stub.reply(POLL, NO_TASK, headers=(("Connection", "close"),))
    assert desk.poll(timeout=60, clock=after_the_first_poll, wait=wait) is None
    (told,) = desk.told
    assert "Could not connect" in told
    assert "hand a task" not in told
    assert desk.held() == []


# --- it is never abandoned


def test_after_a_stop_no_poll_starts(desk: Desk, stub: StubService) -> None:
    """Told to stop before it began, it polls not once."""
    desk.stop.set()
    assert desk.poll() is None
    assert (stub.requests, desk.held()) == ([], [])


@pytest.mark.parametrize("reply", [NO_TASK, TASK], ids=["no task", "task"])
def test_the_poll_that_is_held_at_a_stop_is_waited_for(reply: dict[str, Any], desk: Desk, stub: StubService) -> None:
    """Told to stop while SWF holds the poll, it waits for that one: its task is given, and no other poll starts."""
    stub.reply(POLL, reply, wait=desk.stop)
    threading.Timer(0.1, desk.stop.set).start()
    taken = desk.poll()
    assert (taken and taken.task.token) == reply.get("taskToken")
    assert len(stub.requests) == 1
    assert len(desk.held()) == (taken is not None)


def test_a_poll_that_is_given_up_stays_on_record(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given up while SWF holds it, the poll stays on record, and it is told to whom SWF may still hand a task."""

    def held(*_: Any) -> None:
        raise Signalled(signal.SIGTERM)

    monkeypatch.setattr(polling, "poll_once", held)
    with pytest.raises(Signalled):
        desk.poll()
    (told,) = desk.told
    assert "under the identity me@here" in told
    assert [row.kind for row in desk.held()] == ["broken_poll"]


def test_a_poll_goes_on_without_a_ledger(desk: Desk, stub: StubService, tmp_path: Path) -> None:
    """With no ledger, or one that can't be written, the task is given all the same, and has no key there."""
    stub.reply(POLL, TASK)
    (tmp_path / "file").touch()
    for folder, warnings in ((None, 0), (tmp_path / "file", 1)):
        told: list[str] = []
        desk.ledger = Ledger(folder, told.append)
        taken = desk.poll()
        assert taken is not None
        assert (taken.key, len(told)) == (None, warnings)
        assert "resize-1 of workflow video-7, run RUN" in taken.describe_location


# --- signals


ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have no signal ignored, also where the tests run under nohup; and have them back at the end."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", ENDING)
def test_the_first_signal_asks_and_the_second_gives_up(number: signal.Signals) -> None:
    """The first signal only asks to stop, which is told; another one gives up at once."""
    told: list[str] = []
    with graceful_stop(told.append, clock(100, 100.3)) as asked:
        assert not asked.stop.is_set()
        os.kill(os.getpid(), number)
        assert asked.stop.is_set()
        assert asked.number == number
        with pytest.raises(Signalled) as caught:
            os.kill(os.getpid(), number)
    assert caught.value.number == number
    (line,) = told
    assert line.startswith(f"{number.name}: ")
    assert "up to 60 s" in line


@pytest.mark.usefixtures("handlers")
def test_an_echo_of_the_first_signal_is_not_a_second() -> None:
    """`timeout` sends its signal twice at once, to the process and to its group: that is one request to stop."""
    told: list[str] = []
    with graceful_stop(told.append, clock(100, 100.1, 100.19)) as asked:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert asked.stop.is_set()
    assert len(told) == 1


@pytest.mark.usefixtures("handlers")
def test_signals_are_as_they_were_afterwards() -> None:
    """Afterwards each signal does what it did before; one that was ignored (`nohup`) stays ignored throughout."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with graceful_stop(lambda line: None) as asked:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not asked.stop.is_set()
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert [signal.getsignal(number) for number in ENDING] == [
        signal.default_int_handler,
        signal.SIG_DFL,
        signal.SIG_IGN,
    ]
