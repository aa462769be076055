"""A worker's task is closed, however long it takes, and whatever SWF says to the first answer."""

import threading
from typing import Any

import pytest

from swf_cli.client.session import Session
from swf_cli.errors import AccessError
from swf_cli.models import ExecutionId, TaskReference
from swf_cli.responding import Answer, failure, settle
from swf_cli.worker.credentials import Access
from swf_cli.worker.responder import Closed, Closer
from tests.helpers.cli import wait_until
from tests.helpers.stub_service import StubService

COMPLETE = "RespondActivityTaskCompleted"
FAIL = "RespondActivityTaskFailed"
CANCEL = "RespondActivityTaskCanceled"
HEARTBEAT = "RecordActivityTaskHeartbeat"
HISTORY = "GetWorkflowExecutionHistory"

TASK = TaskReference("TOKEN", "media", ExecutionId("video-7", "RUN"), 6)
DONE = Answer("completed", result="done")
STOPPED = Answer("cancelled", details="half way")


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are short; the credentials are made up."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr("swf_cli.worker.credentials._LOCKED_OUT", 0.05)
    monkeypatch.setattr("swf_cli.worker.responder._HISTORY_LAG", 0.2)
    monkeypatch.setattr("swf_cli.worker.responder.backoff", lambda attempt: 0.01)
    monkeypatch.setattr(settle, "__kwdefaults__", {**(settle.__kwdefaults__ or {}), "wait": _soon})


def _soon(attempt: int, most: float = 0.0) -> float:
    return 0.01


class Office:
    """A closer over the stub, and what it said."""

    def __init__(self, stub: StubService) -> None:
        self.said: list[str] = []
        self.stop = threading.Event()
        session = Session(region="us-east-1", endpoint_url=stub.url)
        self.closer = Closer(session, Access(session))

    def close(self, answer: Answer) -> Closed:
        """Close the task."""
        return self.closer.close(TASK, answer, stop=self.stop, tell=self.said.append)


@pytest.fixture
def office(stub: StubService) -> Office:
    """A closer over the stub."""
    return Office(stub)


def shows(stub: StubService, kind: str | None, **attributes: Any) -> None:
    """Have history show how the task ended."""
    event = {"eventId": 9, "eventType": f"ActivityTask{kind}"}
    event[f"activityTask{kind}EventAttributes"] = {"startedEventId": 6, **attributes}
    started = {"eventId": 6, "eventType": "ActivityTaskStarted"}
    stub.reply(HISTORY, {"events": [event, started] if kind else [started]})


@pytest.mark.parametrize(
    ("answer", "operation", "sent", "words"),
    [
        (DONE, COMPLETE, {"result": "done"}, "completed"),
        (failure("exit 3", "oops"), FAIL, {"reason": "exit 3", "details": "oops"}, "failed (exit 3)"),
        (STOPPED, CANCEL, {"details": "half way"}, "cancelled"),
    ],
)
def test_an_answer_is_sent_once(
    stub: StubService, office: Office, answer: Answer, operation: str, sent: dict[str, str], words: str
) -> None:
    """One call, when nothing goes wrong."""
    stub.reply(operation)
    assert office.close(answer) == Closed(answer.state, words, True)
    assert stub.requests == [(operation, {"taskToken": "TOKEN", **sent})]
    assert office.said == []


@pytest.mark.parametrize("wrong", ["reset", "502", "throttled", "403 page", "NewFault"])
def test_it_is_sent_until_swf_takes_it(stub: StubService, office: Office, wrong: str) -> None:
    """Whatever is in the way, be it a portal's page or a fault that nobody knows, is told, and tried again."""
    for _ in range(3):
        if wrong == "reset":
            stub.reply(COMPLETE, reset=True)
        elif wrong == "502":
            stub.reply(COMPLETE, b"<html>", status=502)
        elif wrong == "403 page":
            stub.reply(COMPLETE, b"<html>", status=403)
        else:
            stub.fault(COMPLETE, {"throttled": "ThrottlingException"}.get(wrong, wrong), "no")
    stub.reply(COMPLETE)
    assert office.close(DONE).state == "completed"
    assert stub.operations() == [COMPLETE] * 4
    assert len(office.said) == 3


def test_credentials_that_expired(stub: StubService, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits, finds credentials anew, and closes the task with those."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOLD")
    stub.fault(COMPLETE, "ExpiredTokenException", "expired")
    stub.reply(COMPLETE)
    assert office.closer._session.no_retry
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDNEW")
    assert office.close(DONE).state == "completed"
    assert "expired" in office.said[0]
    credentials = office.closer._session.no_retry._request_signer._credentials  # type: ignore[attr-defined]
    assert credentials.access_key == "AKIDNEW"


def test_a_lost_reply_that_was_taken(stub: StubService, office: Office) -> None:
    """SWF took the first try: history shows this very answer."""
    stub.reply(COMPLETE, reset=True)
    stub.fault(COMPLETE, "UnknownResourceFault", "no open task")
    shows(stub, "Completed", result="done")
    assert office.close(DONE) == Closed("completed", "completed", True)


def test_a_lost_reply_and_then_no_access(stub: StubService, office: Office) -> None:
    """Credentials that expire between two tries lose nothing: it goes on, and knows its own answer in history."""
    stub.reply(COMPLETE, reset=True)
    stub.fault(COMPLETE, "ExpiredTokenException", "expired")
    stub.fault(COMPLETE, "UnknownResourceFault", "no open task")
    stub.fault(HISTORY, "ExpiredTokenException", "expired")
    shows(stub, "Completed", result="done")
    assert office.close(DONE) == Closed("completed", "completed", True)


@pytest.mark.parametrize(
    ("kind", "attributes", "words"),
    [
        ("TimedOut", {"timeoutType": "HEARTBEAT"}, "it timed out (HEARTBEAT)"),
        ("Completed", {"result": "another"}, "it completed, by another answer"),
    ],
)
def test_another_end_came_first(
    stub: StubService, office: Office, kind: str, attributes: dict[str, str], words: str
) -> None:
    """The task is lost to us, and certainly closed."""
    stub.fault(COMPLETE, "UnknownResourceFault", "no open task")
    shows(stub, kind, **attributes)
    closed = office.close(DONE)
    assert (closed.state, closed.certain) == ("lost", True)
    assert words in closed.words


@pytest.mark.parametrize("wrong", ["reset", "late"])
def test_an_end_that_history_shows_later(stub: StubService, office: Office, wrong: str) -> None:
    """History that can't be read at first, or does not show the end yet, is read again."""
    stub.fault(COMPLETE, "UnknownResourceFault", "no open task")
    for _ in range(2):
        if wrong == "reset":
            stub.reply(HISTORY, reset=True)
        else:
            shows(stub, None)
    shows(stub, "TimedOut", timeoutType="HEARTBEAT")
    closed = office.close(DONE)
    assert closed == Closed("lost", "was not open any more: it timed out (HEARTBEAT)", True)


@pytest.mark.parametrize("lost", [False, True])
def test_history_that_never_shows_an_end(stub: StubService, office: Office, lost: bool) -> None:
    """It is asked for some time only, and the task is not certainly closed."""
    if lost:
        stub.reply(COMPLETE, reset=True)
    stub.fault(COMPLETE, "UnknownResourceFault", "no open task")
    shows(stub, None)
    closed = office.close(DONE)
    assert (closed.state, closed.certain) == ("lost", False)


class TestRefused:
    """Answers that SWF refuses as invalid."""

    def test_a_result(self, stub: StubService, office: Office) -> None:
        """The task fails, with a reason that says so."""
        stub.fault(COMPLETE, "ValidationException", "no control characters")
        stub.reply(FAIL)
        closed = office.close(DONE)
        assert closed.state == "failed"
        assert stub.requests[1][1]["reason"].startswith("SWF refused the result: ")
        assert "no control characters" in stub.requests[1][1]["reason"]

    @pytest.mark.parametrize(
        ("answer", "operation"), [(failure("exit 3", "\0"), FAIL), (Answer("cancelled", details="\0"), CANCEL)]
    )
    def test_details(self, stub: StubService, office: Office, answer: Answer, operation: str) -> None:
        """They are left out."""
        stub.fault(operation, "ValidationException", "no control characters")
        stub.reply(operation)
        assert office.close(answer).state == answer.state
        assert "details" not in stub.requests[1][1]
        assert "refused the details" in office.said[0]

    def test_a_reason(self, stub: StubService, office: Office) -> None:
        """A plain one is sent in its place."""
        stub.fault(FAIL, "ValidationException", "no")
        stub.fault(FAIL, "ValidationException", "no")
        stub.reply(FAIL)
        assert office.close(failure("can't run x\0", "more")).state == "failed"
        assert stub.requests[-1][1] == {"taskToken": "TOKEN", "reason": "SWF refused the answer"}

    def test_a_cancellation_that_was_asked_for(self, stub: StubService, office: Office) -> None:
        """It is tried again, since what a heartbeat said may take a moment; then the task fails, and is not left."""
        stub.fault(CANCEL, "UnknownResourceFault", "no cancellation was requested")
        shows(stub, None)
        stub.reply(HEARTBEAT, {"cancelRequested": True})
        stub.reply(FAIL)
        closed = office.close(STOPPED)
        assert closed.words == "failed (SWF did not take the cancellation)"
        assert stub.operations().count(CANCEL) == 6
        assert stub.requests[-1][1]["details"] == "half way"


def test_it_gives_up_when_told_to(stub: StubService, office: Office) -> None:
    """It is sent once at least; the task is not certainly closed."""
    stub.reply(COMPLETE, reset=True)
    office.stop.set()
    closed = office.close(DONE)
    assert (closed.state, closed.certain) == ("lost", False)
    assert stub.operations() == [COMPLETE]


def test_reasons_are_cut_to_what_swf_takes() -> None:
    """A reason has 256 characters, and empty details are none."""
    assert failure("x" * 300) == Answer("failed", reason="x" * 256)
    assert failure("x", "").details is None


def test_many_wait_and_one_line_tells(stub: StubService) -> None:
    """When credentials stop working, all threads wait, one warning is said, and they are found anew once."""
    session = Session(region="us-east-1", endpoint_url=stub.url)
    renewed: list[None] = []
    session.reset = lambda: renewed.append(None)  # type: ignore[method-assign]
    access, said, stop = Access(session), list[str](), threading.Event()
    waiting = [
        threading.Thread(target=access.wait, args=(AccessError("expired"), stop, said.append)) for _ in range(8)
    ]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()
    assert len(said) == len(renewed) == 1


def test_who_waits_is_told_to_stop(stub: StubService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for credentials once it is time to stop."""
    monkeypatch.setattr("swf_cli.worker.credentials._LOCKED_OUT", 60)
    session, stop = Session(region="us-east-1", endpoint_url=stub.url), threading.Event()
    thread = threading.Thread(target=Access(session).wait, args=(AccessError("expired"), stop, lambda line: None))
    thread.start()
    stop.set()
    wait_until(lambda: not thread.is_alive())
