"""The life of a long poll."""

import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swf_cli.api import poll_once
from swf_cli.client.session import Session
from swf_cli.errors import IncompleteTask, NetworkError, NoTaskReceived, Signalled, SwfError, TaskNotOpen
from swf_cli.invocation import Invocation
from swf_cli.ledger.records import HeldTask, PollSource
from swf_cli.ledger.store import Ledger
from swf_cli.models import TaskReference, WorkerTask
from swf_cli.polling import ListRotation, Poller, PollObserver, ReceivedTask, poll_source
from swf_cli.retry import Retrier
from swf_cli.times import format_duration
from tests.helpers.aws import SETTINGS
from tests.helpers.cli import TASK
from tests.helpers.clock import FakeClock, InstantEvent
from tests.helpers.ledger import SOURCE
from tests.helpers.operations import POLL
from tests.helpers.stub_service import StubService

NO_TASK = {"startedEventId": 0}
ON_LIST = replace(SOURCE, domain="d", task_list="l")
REQUEST = (POLL, {"domain": "d", "taskList": {"name": "l"}, "identity": SOURCE.identity})
MAY_HAVE_TASK = "SWF may have assigned a task to this poll (identity me@here)"
LIST_IT = "`swf held --domain d --task-list l`"


class Harness:
    """A poller of the list `l` in the domain `d`, with a ledger; waits after failures move its clock."""

    def __init__(self, session: Session, folder: Path | None) -> None:
        self.clock = FakeClock()
        self.stop = InstantEvent(self.clock)
        self.folder = folder
        self.ledger = Ledger(folder)
        retrier = partial(Retrier, clock=self.clock, jitter=lambda: 1.0)
        self.poller = Poller(session, self.ledger, retrier=retrier, clock=self.clock)

    def receive(self, timeout: float | None = None) -> ReceivedTask | None:
        """Poll."""
        return self.poller.receive(ListRotation(ON_LIST), stop=self.stop, timeout=timeout)

    def held(self) -> list[HeldTask]:
        """Return what is on record once this process has ended."""
        self.ledger.close()
        with Ledger(self.folder) as ledger:
            return ledger.list_held()


@pytest.fixture
def harness(session: Session, tmp_path: Path, log: pytest.LogCaptureFixture) -> Iterator[Harness]:
    """A harness with a fresh ledger; its log is captured."""
    harness = Harness(session, tmp_path / "state")
    yield harness
    harness.ledger.close()


# --- waiting for a task


def test_polling_goes_on_until_there_is_a_task(
    harness: Harness, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """Without a timeout it polls until a task is received, however long that takes, with its identity each time."""
    for response in (NO_TASK, NO_TASK, TASK):
        stub.reply(POLL, response, action=lambda: harness.clock.advance(1e9))
    received = harness.receive()
    assert received is not None
    assert received.task == WorkerTask.from_api(TASK)
    assert received.source is ON_LIST
    assert stub.requests == [REQUEST] * 3
    assert log.messages == []
    assert harness.stop.waits == []
    (held,) = harness.held()
    assert (held.key, held.token, held.kind) == (received.key, "TOKEN", "task")
    assert (held.taken_by, held.task_list) == ("poll", "l")
    assert received.describe_location() == f"the task is in `swf held` under {received.key}"


def test_each_poll_waits_until_it_may_be_sent(harness: Harness, stub: StubService) -> None:
    """Also the one after a poll without a task, and the retry of a failed one; then none is sent once stopped."""
    sent: list[int] = []

    def wait_until_ready() -> None:
        sent.append(len(stub.requests))
        if len(sent) == 4:
            harness.stop.set()

    stub.reply(POLL, NO_TASK)
    stub.fault(POLL, "ThrottlingException")
    stub.reply(POLL, NO_TASK)
    lists = ListRotation(ON_LIST)
    assert harness.poller.receive(lists, stop=harness.stop, wait_until_ready=wait_until_ready) is None
    assert sent == [0, 1, 2, 3]
    assert stub.requests == [REQUEST] * 3


def test_what_the_last_polls_of_a_list_brought(harness: Harness, stub: StubService) -> None:
    """Whether it was empty, and why a poll failed, since a time; that a task was received does not make it empty."""
    other, poller = replace(ON_LIST, task_list="other"), harness.poller
    assert not poller.was_empty(ON_LIST, -inf)
    assert poller.failure_since(ON_LIST, -inf) is None
    harness.clock.now = 5.0
    stub.reply(POLL, TASK)
    stub.fault(POLL, "ThrottlingException", "slow down")
    stub.reply(POLL, NO_TASK)
    assert harness.receive() is not None
    assert not poller.was_empty(ON_LIST, -inf)
    with pytest.raises(NoTaskReceived):
        harness.receive(timeout=10.0)
    failure = poller.failure_since(ON_LIST, 5.0)
    assert failure is not None
    assert failure.code == "ThrottlingException"
    assert poller.failure_since(ON_LIST, 5.1) is None
    harness.clock.now = 20.0
    with pytest.raises(NoTaskReceived):
        harness.receive(timeout=0)
    assert [poller.was_empty(ON_LIST, since) for since in (20.0, 20.1)] == [True, False]
    assert not poller.was_empty(other, -inf)
    assert poller.failure_since(other, -inf) is None


def test_the_ledger_records_which_command_polls(session: Session, harness: Harness, stub: StubService) -> None:
    """A worker's poller records its tasks as those of a worker."""
    stub.reply(POLL, TASK)
    Poller(session, harness.ledger, taken_by="work").receive(ListRotation(ON_LIST), stop=harness.stop)
    assert [held.taken_by for held in harness.held()] == ["work"]


@pytest.mark.parametrize(
    ("timeout", "durations"),
    [
        pytest.param(0, [0], id="none at all: one poll"),
        pytest.param(0.5, [60], id="over while SWF held the poll"),
        pytest.param(90, [60, 60], id="over in the second poll"),
        pytest.param(60, [59.75, 0.25], id="over at that very moment"),
    ],
)
def test_no_poll_starts_after_the_timeout(
    timeout: float, durations: list[float], harness: Harness, stub: StubService
) -> None:
    """At least one poll is sent, and none begins once the time is over: exit code 3, and nothing on record."""
    for seconds in durations:
        stub.reply(POLL, NO_TASK, action=partial(harness.clock.advance, seconds))
    stub.reply(POLL, TASK)
    with pytest.raises(NoTaskReceived, match=rf"^no task received on l within {format_duration(timeout)}$") as caught:
        harness.receive(timeout)
    assert caught.value.exit_code == 3
    assert len(stub.requests) == len(durations)
    assert harness.held() == []


def test_the_poll_in_flight_is_waited_for(harness: Harness, stub: StubService) -> None:
    """A task that is received by a poll begun in time is returned, however late."""
    stub.reply(POLL, NO_TASK, action=partial(harness.clock.advance, 59))
    stub.reply(POLL, TASK, action=partial(harness.clock.advance, 300))
    received = harness.receive(60)
    assert received is not None
    assert received.task.token == "TOKEN"


def test_the_source_says_where_polls_are_sent(tmp_path: Path) -> None:
    """The ledger records profile, region and endpoint with each poll, so that its task can be closed there."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(
        "[profile west]\nregion = us-west-2\naws_access_key_id = AKIDWEST\naws_secret_access_key = secret\n"
    )
    session = Session(profile="west", endpoint_url="http://swf.test")
    assert poll_source(session, "d", "l", "me") == PollSource("d", "l", "me", "west", "us-west-2", "http://swf.test")


# --- failures


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"reset": True}, id="reset"),
        pytest.param({"body": TASK, "cut": True}, id="cut"),
        pytest.param({"body": b"<html>", "status": 200}, id="page"),
        pytest.param({"status": 502}, id="gateway"),
    ],
)
def test_a_lost_poll_stays_on_record_and_polling_goes_on(
    how: dict[str, Any], harness: Harness, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """If a response is lost, SWF may have assigned a task: that is logged with the identity, and stays on record."""
    stub.reply(POLL, **how)
    stub.reply(POLL, TASK)
    received = harness.receive()
    assert received is not None
    (message,) = log.messages
    assert message.startswith("poll failed: ")
    assert MAY_HAVE_TASK in message
    assert message.endswith("; retrying in 1.0 s")
    task, lost = sorted(harness.held(), key=lambda held: held.kind, reverse=True)
    assert (task.key, lost.kind, lost.identity, lost.token) == (received.key, "broken_poll", "me@here", None)


INCOMPLETE = {name: value for name, value in TASK.items() if name != "activityType"}


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (INCOMPLETE, "the response to the poll is incomplete: it has no 'activityType'"),
        (TASK | {"startedEventId": "6"}, "the response to the poll is malformed: startedEventId is not a number"),
    ],
)
def test_the_token_of_an_incomplete_task_is_on_record(
    reply: dict[str, Any], message: str, harness: Harness, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """It ends the polling: the next task may be no better. The token is all that is known, and can be found."""
    stub.reply(POLL, reply)
    with pytest.raises(IncompleteTask, match=f"^{message}$") as caught:
        harness.receive()
    assert (len(stub.requests), log.messages, harness.stop.waits) == (1, [], [])
    (held,) = harness.held()
    assert (held.key, held.kind, held.token, held.id) == (caught.value.key, "broken_poll", "TOKEN", None)
    assert held.reference == TaskReference("TOKEN", "d")


def test_an_incomplete_task_without_a_ledger(session: Session, stub: StubService) -> None:
    """The error has the token, and no key."""
    stub.reply(POLL, INCOMPLETE)
    with pytest.raises(IncompleteTask) as caught:
        Harness(session, None).receive()
    assert (caught.value.token, caught.value.key) == ("TOKEN", None)


def test_an_incomplete_task_is_an_answer(harness: Harness, stub: StubService) -> None:
    """It shows that SWF was reached and has tasks."""
    stub.fault(POLL, "ThrottlingException")
    stub.reply(POLL, INCOMPLETE)
    with pytest.raises(IncompleteTask):
        harness.receive()
    assert harness.poller.is_connected


@pytest.mark.parametrize(("seconds", "delay"), [("7", 7.0), ("3600", 60.0), ("0", 1.0), ("soon", 1.0), ("-5", 1.0)])
@pytest.mark.parametrize("status", [429, 503])
def test_a_server_says_when_to_poll_again(
    status: int, seconds: str, delay: float, harness: Harness, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """Retry-After is heeded, up to a minute."""
    stub.reply(POLL, b"<html>", status=status, headers=(("Retry-After", seconds),))
    stub.reply(POLL, TASK)
    assert harness.receive() is not None
    assert harness.stop.waits == [delay]
    assert log.messages[0].endswith(f"; retrying in {delay:.1f} s")
    assert [held.kind for held in harness.held()] == ["task"]


def lose(harness: Harness, stub: StubService, *seconds: float) -> None:
    """Lose the response to a poll after each of these times, and then receive a task."""
    for after in seconds:
        stub.reply(POLL, reset=True, action=partial(harness.clock.advance, after))
    stub.reply(POLL, TASK)
    assert harness.receive() is not None


def test_polls_that_break_after_the_same_time(
    harness: Harness, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """It is said once that something closes connections, and after how long."""
    lose(harness, stub, 30.2, 29.9, 30.1, 30.0, 30.0, 30.0)
    warnings = [record.getMessage() for record in log.records if record.levelname == "WARNING"]
    (warning,) = warnings
    assert warning == (
        "something between this machine and SWF closes connections after 30 s; raise its timeout to at least "
        "75 s, or tasks are lost"
    )


@pytest.mark.parametrize("times", [(27, 30, 30), (2, 2, 2), (50, 30, 30, 30)], ids=["a tenth", "soon", "the last"])
def test_how_much_alike_lost_polls_are(
    times: tuple[float, ...], harness: Harness, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """The last three have a common cause if their times, of 2 s at least, differ by a tenth at most."""
    lose(harness, stub, *times)
    assert len([record for record in log.records if record.levelname == "WARNING"]) == 1


@pytest.mark.parametrize("times", [(30, 30), (30, 3, 50, 12), (0.1, 0.1, 0.1, 0.1)], ids=["few", "varied", "at once"])
def test_polls_that_break_for_other_reasons(
    times: tuple[float, ...], harness: Harness, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """A few, or those that break after different times or at once, have no common cause."""
    lose(harness, stub, *times)
    assert [record for record in log.records if record.levelname == "WARNING"] == []


def test_pollers_come_back_evenly_spread(harness: Harness, stub: StubService) -> None:
    """After three failures a delay is up to a minute, for as long as SWF holds a poll, and then a minute each."""
    for _ in range(5):
        stub.reply(POLL, status=500)
    stub.reply(POLL, TASK)
    assert harness.receive() is not None
    assert harness.stop.waits == [1.0, 2.0, 4.0, 60.0, 60.0]


def test_an_observer_learns_what_happens_to_polls(session: Session, harness: Harness, stub: StubService) -> None:
    """It is called as each poll begins, is sent, fails or is answered, and for no other call of that thread."""
    events: list[object] = []

    class Observer(PollObserver):
        def on_poll(self) -> None:
            events.append("poll")

        def on_sent(self) -> None:
            events.append("sent")

        def on_response(self) -> None:
            events.append("response")

        def on_failure(self, error: SwfError) -> None:
            events.append(type(error))

    stub.reply(POLL, reset=True)
    stub.reply(POLL, TASK)
    retrier = partial(Retrier, clock=harness.clock)
    poller = Poller(session, harness.ledger, observer=Observer(), retrier=retrier, clock=harness.clock)
    assert poller.receive(ListRotation(ON_LIST), stop=harness.stop) is not None
    poll_once("l", "d", "me", session.poll_client)
    assert events == ["poll", "sent", NetworkError, "poll", "sent", "response"]


@pytest.mark.parametrize("fault", ["LimitExceededFault", "ThrottlingException"])
def test_a_poll_that_was_rejected_for_now_leaves_no_record(
    fault: str, harness: Harness, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """Too many pollers, or calls, are logged and retried; those polls received no task, so they are not on record."""
    stub.fault(POLL, fault, "later")
    stub.fault(POLL, fault, "later")
    stub.reply(POLL, TASK)
    received = harness.receive()
    assert received is not None
    assert log.messages == [
        f"poll failed: {POLL}: later ({fault}); retrying in {delay} s" for delay in ("1.0", "2.0")
    ]
    assert [held.key for held in harness.held()] == [received.key]


def test_delays_grow_until_a_poll_succeeds(harness: Harness, stub: StubService) -> None:
    """Each failure in a row lengthens the delay; a poll that SWF answered, with a task or without, resets it."""
    for reply in ({"reset": True}, {"status": 500}, {"body": NO_TASK}, {"reset": True}, {"body": TASK}):
        stub.reply(POLL, **reply)
    harness.receive()
    assert harness.stop.waits == [1.0, 2.0, 0.05, 1.0]


def test_polls_that_nobody_holds_are_spaced(harness: Harness, stub: StubService) -> None:
    """SWF holds a poll; what answers at once that there is no task is asked at most once a second in the end."""
    for _ in range(7):
        stub.reply(POLL, NO_TASK)
    stub.reply(POLL, NO_TASK, action=lambda: harness.clock.advance(0.1))
    for reply in (NO_TASK, TASK):
        stub.reply(POLL, reply)
    assert harness.receive() is not None
    assert harness.stop.waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 0.05]


@pytest.mark.parametrize(("timeout", "waits"), [(0, [0.0]), (0.5, [0.5]), (1.0, [1.0]), (2.5, [1.0, 1.5])])
def test_the_timeout_includes_delays(
    timeout: float, waits: list[float], harness: Harness, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """A delay that would outlast the timeout ends with it, and no poll follows; the failure is still logged."""
    stub.reply(POLL, reset=True)
    with pytest.raises(NoTaskReceived):
        harness.receive(timeout)
    assert len(stub.requests) == len(waits)
    assert harness.stop.waits == waits
    assert len(log.messages) == len(waits)
    assert all(message.startswith("poll failed: ") and MAY_HAVE_TASK in message for message in log.messages)
    assert ["retrying in" in message for message in log.messages] == [*[True] * (len(waits) - 1), False]


FAILURES: dict[str, dict[str, Any]] = {
    "a page of a proxy": {"body": b"<html>Forbidden</html>", "status": 403},
    "throttled": {"body": {"__type": "ThrottlingException", "message": "slow down"}, "status": 400},
    "500": {"status": 500},
    "reset": {"reset": True},
}


@pytest.mark.parametrize("failure", FAILURES)
def test_it_says_so_if_every_poll_failed(failure: str, harness: Harness, stub: StubService) -> None:
    """After the timeout, the message has the last error: nobody knows whether there was a task."""
    stub.reply(POLL, reset=True)
    stub.reply(POLL, **FAILURES[failure])
    with pytest.raises(NoTaskReceived, match=r"within 30s; every poll failed: \S"):
        harness.receive(30)


@pytest.mark.parametrize("failure", FAILURES)
def test_an_answer_among_failures(failure: str, harness: Harness, stub: StubService) -> None:
    """If SWF answered one of the polls, no task was received, whatever came before or after."""
    for reply in (FAILURES[failure], {"body": NO_TASK}, FAILURES[failure]):
        stub.reply(POLL, **reply)
    with pytest.raises(NoTaskReceived, match=r"within 30s$"):
        harness.receive(30)


def test_a_stop_ends_a_delay_at_once(harness: Harness, stub: StubService) -> None:
    """When it is stopped while it waits after a failure, it returns at once: no poll is in flight."""
    stub.fault(POLL, "ThrottlingException")
    harness.stop = InstantEvent(harness.clock, set_by=2)
    assert harness.receive() is None
    assert len(stub.requests) == 2
    assert harness.held() == []


def test_a_stop_ends_the_last_delay_too(harness: Harness, stub: StubService) -> None:
    """A stop counts also while it waits for the timeout: then it was stopped, and did not run out of time."""
    stub.fault(POLL, "ThrottlingException")
    harness.stop = InstantEvent(harness.clock, set_by=1)
    assert harness.receive(0.5) is None


@pytest.mark.parametrize(("fault", "exit_code"), [("UnknownResourceFault", 1), ("OperationNotPermittedFault", 7)])
def test_a_permanent_rejection_is_raised(
    fault: str, exit_code: int, harness: Harness, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """A poll that SWF rejects is an error of its kind: an unknown domain is exit code 1, not a closed task's 5."""
    stub.fault(POLL, fault, "Unknown domain: d")
    with pytest.raises(SwfError, match="Unknown domain: d") as caught:
        harness.receive()
    assert caught.value.exit_code == exit_code
    assert not isinstance(caught.value, TaskNotOpen)
    assert (len(stub.requests), log.messages, harness.held()) == (1, [], [])


# --- whether SWF was ever reached


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubService]:
    """A service that the test may stop."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    service = StubService()
    yield service
    service.close()


def test_a_service_that_was_never_reached_is_an_error(
    mortal: StubService, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    """If nothing ever listened at the address, it is probably wrong: that is raised, not retried."""
    mortal.close()
    harness = Harness(Session(endpoint_url=mortal.url), tmp_path / "state")
    with pytest.raises(NetworkError) as caught:
        harness.receive()
    assert not caught.value.possibly_executed
    assert not harness.poller.is_connected
    assert (log.messages, harness.held()) == ([], [])


def test_a_service_that_was_reached_is_waited_for(
    mortal: StubService, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    """Once SWF has been reached, a refused connection is logged and retried; no task was at stake."""
    mortal.reply(POLL, NO_TASK, headers=(("Connection", "close"),), action=mortal.close)
    harness = Harness(Session(endpoint_url=mortal.url), tmp_path / "state")
    harness.stop = InstantEvent(harness.clock, set_by=3)
    assert harness.receive() is None
    assert harness.poller.is_connected
    assert len(log.messages) == 2
    assert all("could not connect" in message for message in log.messages)
    assert not any("may have assigned" in message for message in log.messages)
    assert harness.held() == []


@pytest.mark.parametrize(
    ("how", "connected"),
    [
        pytest.param({"reset": True}, True, id="its response was lost"),
        pytest.param({"status": 503}, True, id="it failed"),
        pytest.param({"body": {"__type": "ThrottlingException"}, "status": 400}, True, id="it throttled the poll"),
        pytest.param({"body": {"__type": "AccessDeniedException"}, "status": 400}, False, id="it denied access"),
    ],
)
def test_whether_a_service_was_reached(
    how: dict[str, Any], connected: bool, harness: Harness, stub: StubService
) -> None:
    """A transient failure of SWF shows that it was reached; a rejection is the first poll's, and ends the polling."""
    assert not harness.poller.is_connected
    harness.stop = InstantEvent(harness.clock, set_by=1)
    stub.reply(POLL, **how)
    with suppress(SwfError):
        harness.receive()
    assert harness.poller.is_connected is connected


# --- it is never abandoned


def test_a_poll_that_fails_after_a_stop_is_logged(
    harness: Harness, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """No other poll follows, and none is announced."""
    stub.reply(POLL, reset=True, action=harness.stop.set)
    assert harness.receive() is None
    (message,) = log.messages
    assert message.startswith("poll failed: ")
    assert "retrying" not in message


def test_after_a_stop_no_poll_starts(harness: Harness, stub: StubService) -> None:
    """If it is stopped before it begins, it does not poll at all."""
    harness.stop.set()
    assert harness.receive() is None
    assert (stub.requests, harness.held()) == ([], [])


@pytest.mark.parametrize("response", [NO_TASK, TASK], ids=["no task", "task"])
def test_a_poll_in_flight_at_a_stop_is_waited_for(
    response: dict[str, Any], harness: Harness, stub: StubService
) -> None:
    """If it is stopped while a poll is in flight, its task is returned, and no other poll starts."""
    stub.reply(POLL, response, action=harness.stop.set)
    received = harness.receive()
    assert (received and received.task.token) == response.get("taskToken")
    assert len(stub.requests) == 1
    assert len(harness.held()) == (received is not None)


def test_an_abandoned_poll_stays_on_record(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    """A signal that abandons the poll in flight leaves it on record, and its identity is logged."""

    def poll_for_activity_task(**_: Any) -> None:
        raise Signalled(signal.SIGTERM)

    session: Any = SimpleNamespace(poll_client=SimpleNamespace(poll_for_activity_task=poll_for_activity_task))
    harness = Harness(session, tmp_path / "state")
    with pytest.raises(Signalled):
        harness.receive()
    assert log.messages == [f"{MAY_HAVE_TASK}, which would stay open until it times out; see {LIST_IT}"]
    assert [held.kind for held in harness.held()] == ["broken_poll"]


@pytest.mark.parametrize("warnings", [0, 1], ids=["without a ledger", "with one that can't be written"])
def test_polling_needs_no_ledger(
    warnings: int, session: Session, tmp_path: Path, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """Without a ledger, or if it can't be written, the task is returned all the same, and has no key."""
    stub.reply(POLL, TASK)
    (tmp_path / "file").touch()
    received = Harness(session, tmp_path / "file" if warnings else None).receive()
    assert received is not None
    assert (received.key, len(log.messages)) == (None, warnings)
    assert received.describe_location() == (
        "the task is not recorded, and stays open until it times out: resize-1 of workflow video-7, run RUN"
    )


def test_what_to_do_with_a_task_that_could_not_be_printed() -> None:
    """One that is recorded can be failed by its key; of another it can be seen when it times out."""
    received = ReceivedTask(WorkerTask.from_api(TASK), ON_LIST, "abcd1234")
    given = Invocation({"--domain": ["d"], "--endpoint-url": [ON_LIST.endpoint]})
    assert received.suggest(given) == (
        "if nobody works on it",
        "swf fail --endpoint-url http://swf.test --held abcd1234 --reason 'not printed'",
    )
    assert replace(received, is_recorded=False).suggest(given) == (
        "see when it times out",
        "swf tasks --domain d --endpoint-url http://swf.test --workflow-id video-7 --run-id RUN --id resize-1",
    )
