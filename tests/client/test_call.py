"""Calls: how often each is made, and what a response or a failure means."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.retries.standard import ExponentialBackoff

from swf_cli import api
from swf_cli.client.call import call
from swf_cli.client.session import Session
from swf_cli.errors import (
    CredentialsError,
    ExitCode,
    InvalidRequest,
    InvalidResponseError,
    NetworkError,
    ServiceError,
    SwfError,
    TaskNotOpen,
    ThrottlingError,
)
from tests.client.conftest import SetEnv, complete, count, poll
from tests.helpers.aws import SETTINGS, create_client
from tests.helpers.cli import TASK, wait_until
from tests.helpers.operations import COMPLETE, COUNT, HEARTBEAT, HISTORY, POLL
from tests.helpers.stub_service import NOT_SWFS, StubService

pytestmark = pytest.mark.usefixtures("instant_retries")

NewSession = Callable[..., Session]


@pytest.fixture
def new_session(stub: StubService, set_env: SetEnv) -> NewSession:
    """A function that creates a session of the test's own, with settings; it calls the stub, or another endpoint."""
    set_env(**SETTINGS)
    return lambda endpoint_url=stub.url, **settings: Session(endpoint_url=endpoint_url, **settings)


# --- how often


FAILURES: dict[str, Callable[[StubService, str], None]] = {
    "500": lambda stub, operation: stub.fault(operation, "InternalFailure", status=500),
    "503 page": lambda stub, operation: stub.reply(operation, b"<html>busy</html>", status=503),
    "504 page": lambda stub, operation: stub.reply(operation, b"<html>no reply</html>", status=504),
    "reset": lambda stub, operation: stub.reply(operation, reset=True),
    "throttled": lambda stub, operation: stub.fault(operation, "ThrottlingException"),
}
"""Transient failures."""

each_failure = pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
MORE, FEWER = {"AWS_MAX_ATTEMPTS": "7", "AWS_RETRY_MODE": "legacy"}, {"AWS_MAX_ATTEMPTS": "1"}


@each_failure
def test_a_poll_is_never_retried(
    failure: Callable[[StubService, str], None], new_session: NewSession, stub: StubService, set_env: SetEnv
) -> None:
    """A poll that fails is not repeated, whatever the environment says: its response may be on its way."""
    set_env(**MORE)
    failure(stub, POLL)
    with pytest.raises(SwfError) as caught:
        poll(new_session())
    assert stub.operations() == [POLL]
    assert caught.value.retry_attempts == 0


@each_failure
@pytest.mark.parametrize("variables", [MORE, FEWER], ids=["more", "fewer"])
def test_other_calls_are_attempted_three_times(
    failure: Callable[[StubService, str], None],
    variables: dict[str, str],
    new_session: NewSession,
    stub: StubService,
    set_env: SetEnv,
) -> None:
    """A call that fails transiently is made three times in all, whatever the environment says."""
    set_env(**variables)
    failure(stub, COUNT)
    session = new_session()
    with pytest.raises(SwfError):
        count(session)
    assert stub.operations() == [COUNT] * 3
    assert session.client.meta.config.retries["mode"] == "standard"


@each_failure
def test_calls_that_their_caller_retries_are_attempted_once(
    failure: Callable[[StubService, str], None], session: Session, stub: StubService
) -> None:
    """The client `single_attempt_client`, and one for a given time, make one attempt."""
    failure(stub, COUNT)
    for client in (session.single_attempt_client, session.with_timeout(5)):
        with pytest.raises(SwfError):
            api.count_pending_tasks("l", "d", client)
    assert stub.operations() == [COUNT] * 2


@each_failure
def test_a_failure_that_passes_is_not_seen(
    failure: Callable[[StubService, str], None], session: Session, stub: StubService
) -> None:
    """If the third attempt succeeds, so does the call."""
    failure(stub, COUNT)
    failure(stub, COUNT)
    stub.reply(COUNT, {"count": 3})
    assert count(session) == 3


def test_a_rejection_is_not_retried(session: Session, stub: StubService) -> None:
    """A permanent fault is raised after one attempt."""
    stub.fault(COUNT, "UnknownResourceFault", "Unknown domain: d")
    with pytest.raises(SwfError, match=r"Unknown domain: d \(UnknownResourceFault\)") as caught:
        count(session)
    assert stub.operations() == [COUNT]
    assert (caught.value.request_id, caught.value.retry_attempts) == ("REQUEST", 0)


def test_an_error_knows_how_often_the_call_was_retried(session: Session, stub: StubService) -> None:
    """After three attempts an error has two retries."""
    stub.fault(COUNT, "ThrottlingException", "Rate exceeded")
    with pytest.raises(ThrottlingError) as caught:
        count(session)
    assert (caught.value.retry_attempts, caught.value.request_id) == (2, "REQUEST")


# --- responses that are not SWF's


BROKEN: dict[str, dict[str, Any]] = {
    "cut": {"body": TASK, "cut": True},
    "cut after the object": {"body": b'{"startedEventId": 0, "count": 0}' + b" " * 50, "cut": True},
    "cut to nothing": {"body": b"{", "cut": True},
    "page": {"body": b"<html>sign in to this network</html>"},
    "half an object": {"body": b'{"taskToken": "TOK'},
    "empty": {"body": b""},
    "list": {"body": b"[]"},
    "null": {"body": b"null"},
    "not UTF-8": {"body": b"\xff\xfe{\x00}\x00"},
    "no content": {"status": 204},
    "of others": {"body": {"error": "login required"}, "headers": NOT_SWFS},
    "fault with the status of a success": {"body": {"__type": "swf#ThrottlingException", "message": "slow down"}},
    "fault of a gateway": {"body": {"__type": "swf#UnknownResourceFault", "message": "no"}, "headers": NOT_SWFS},
}


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN)
def test_a_broken_response_to_a_poll_is_never_no_task(
    reply: dict[str, Any], session: Session, stub: StubService
) -> None:
    """A response that is cut short, or isn't SWF's, may have contained a task: that is an InvalidResponseError."""
    stub.reply(POLL, **reply)
    with pytest.raises(InvalidResponseError) as caught:
        poll(session)
    assert caught.value.possibly_executed
    assert stub.operations() == [POLL]


def test_a_response_that_botocore_has_no_error_for(session: Session, stub: StubService) -> None:
    """The message is what is wrong, not that botocore did not foresee it."""
    stub.reply(POLL, TASK, headers=(("Content-Length", "7"),))  # beside the right one
    with pytest.raises(NetworkError, match=r"^Content-Length contained multiple unmatching values") as caught:
        poll(session)
    assert caught.value.possibly_executed


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN)
def test_a_broken_response_to_a_call_is_an_error(reply: dict[str, Any], session: Session, stub: StubService) -> None:
    """Such a response is neither a count nor a heartbeat without a cancellation request."""
    for operation in (COUNT, HEARTBEAT):
        stub.reply(operation, **reply)
    with pytest.raises(InvalidResponseError):
        count(session)
    with pytest.raises(InvalidResponseError):
        api.record_heartbeat(session.client, "T")


@pytest.mark.parametrize("body", [None, {}, {"new": "key"}])
def test_a_response_to_a_completion_needs_no_body(body: Any, session: Session, stub: StubService) -> None:
    """SWF confirms a completion with an empty body."""
    stub.reply(COMPLETE, body)
    complete(session)
    assert stub.operations() == [COMPLETE]


@pytest.mark.parametrize(
    "reply",
    [
        {"body": b"<html>hello</html>"},
        {"body": b"{", "cut": True},
        BROKEN["of others"],
        BROKEN["fault with the status of a success"],
    ],
)
def test_what_is_not_swfs_does_not_confirm_a_completion(
    reply: dict[str, Any], session: Session, stub: StubService
) -> None:
    """A page, or an object, of something in between does not show that SWF accepted the response."""
    stub.reply(COMPLETE, **reply)
    with pytest.raises(InvalidResponseError) as caught:
        complete(session)
    assert caught.value.possibly_executed


LATIN = "<!DOCTYPE html><p>passerelle erronée".encode("latin-1")


@pytest.mark.parametrize("status", [302, 400, 407, 502])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>no</html>", id="page"),
        pytest.param(b"<!DOCTYPE html><p>no", id="longer page"),
        pytest.param(LATIN, id="page that is not UTF-8"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"no"', id="text"),
        pytest.param(b'{"__type": 5, "message": ["no"]}', id="odd types"),
        pytest.param(b'{"__type": "", "message": "no"}', id="a type without a name"),
        pytest.param(b'{"__type": "gateway#"}', id="a namespace without a name"),
    ],
)
def test_a_rejection_by_something_in_between_is_transient(
    status: int, body: bytes, new_session: NewSession, stub: StubService
) -> None:
    """A proxy's rejection, whatever its body, is a ServiceError of one line; after a 502 SWF may have executed it."""
    stub.reply(COMPLETE, body, status=status)
    with pytest.raises(ServiceError) as caught:
        complete(new_session())
    error = caught.value
    assert error.possibly_executed == (status >= 500)
    assert error.exit_code == ExitCode.REFUSED
    assert error.message.endswith(f"({status})")
    assert len(error.message) < 300
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("InvalidTokenException", "aws configure"),
        ("NotAuthorizedException", "aws configure"),
        ("RequestTimeTooSkewed", "clock"),
        ("SubscriptionRequiredException", "aws configure"),
    ],
)
def test_rejected_credentials_are_no_access(code: str, hint: str, session: Session, stub: StubService) -> None:
    """Whatever AWS calls the rejection: exit code 7, and a hint."""
    stub.fault(COUNT, code, "no")
    with pytest.raises(CredentialsError) as caught:
        count(session)
    assert hint in str(caught.value.hint)


def test_a_long_page_is_cut(session: Session, stub: StubService) -> None:
    """A message has one line of a proxy's page."""
    stub.reply(COMPLETE, b"<!DOCTYPE html>\n" + b"<p>no\n" * 10_000, status=400)
    with pytest.raises(SwfError) as caught:
        complete(session)
    assert len(caught.value.message) < 300
    assert "\n" not in caught.value.message


def test_an_unknown_token_is_a_task_that_is_not_open(session: Session, stub: StubService) -> None:
    """A token that SWF does not know is that of a task that is not open."""
    stub.fault(COMPLETE, "ValidationException", "Invalid token")
    with pytest.raises(TaskNotOpen, match="SWF does not know this token: Invalid token"):
        complete(session)


# --- whether SWF may have executed it


def test_a_refused_connection_executed_nothing(new_session: NewSession, refused_url: str) -> None:
    """If nothing listens, nothing can have been executed."""
    session = new_session(refused_url)
    for use in (complete, poll):
        with pytest.raises(NetworkError) as caught:
            use(session)
        assert not caught.value.possibly_executed


@pytest.mark.parametrize(
    ("failures", "possibly_executed"),
    [
        (["reset"], True),
        (["504 page"], True),
        (["500"], False),
        (["503 page"], False),
        (["throttled"], False),
        (["rejected"], False),
        (["reset", "rejected"], True),
        (["reset", "throttled"], True),
        (["504 page", "throttled"], True),
        (["504 page", "rejected"], True),
        (["500", "rejected"], False),
        (["throttled", "rejected"], False),
        (["throttled", "reset"], True),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else None,
)
def test_any_attempt_may_have_been_executed(
    failures: list[str], possibly_executed: bool, session: Session, stub: StubService
) -> None:
    """One attempt without a response is enough: the rejection of a later one does not show that none was executed."""
    for failure in failures:
        if failure == "rejected":
            stub.fault(COMPLETE, "UnknownResourceFault")
        else:
            FAILURES[failure](stub, COMPLETE)
    with pytest.raises(SwfError) as caught:
        complete(session)
    assert caught.value.possibly_executed == possibly_executed


def test_a_refused_connection_does_not_undo_a_reset(new_session: NewSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first attempt that was cut off may have been executed, even if nothing listens any more at the second."""
    service = StubService()
    service.reply(COMPLETE, reset=True)

    def between_the_attempts(*_: Any) -> float:
        service.close()
        return 0

    monkeypatch.setattr(ExponentialBackoff, "delay_amount", between_the_attempts)
    with pytest.raises(NetworkError, match="could not connect") as caught:
        complete(new_session(service.url))
    assert len(service.requests) == 1
    assert caught.value.possibly_executed


def test_a_lost_response_does_not_count_for_the_next_call(session: Session, stub: StubService) -> None:
    """Each call is judged by its own attempts."""
    stub.reply(COMPLETE, reset=True)
    with pytest.raises(NetworkError):
        complete(session)
    stub.fault(COUNT, "ThrottlingException")
    with pytest.raises(ThrottlingError) as caught:
        count(session)
    assert not caught.value.possibly_executed


def test_a_lost_response_does_not_count_for_another_thread(session: Session, stub: StubService) -> None:
    """A call is judged by its own attempts, whatever happens to another thread's meanwhile."""
    gate = threading.Event()
    rejection = {"__type": "com.amazonaws.swf.base.model#UnknownResourceFault"}
    stub.reply(COUNT, rejection, status=400, wait=gate)
    stub.reply(COMPLETE, reset=True)
    with ThreadPoolExecutor(1) as pool:
        counting = pool.submit(count, session)
        wait_until(lambda: stub.operations() == [COUNT])
        with pytest.raises(NetworkError) as lost:
            complete(session)
        gate.set()
        rejected = counting.exception(10)
    assert isinstance(rejected, SwfError)
    assert (lost.value.possibly_executed, rejected.possibly_executed) == (True, False)


@pytest.mark.parametrize(("use", "operation"), [(poll, POLL), (complete, COMPLETE)], ids=["poll", "complete"])
def test_a_response_that_is_late_may_have_been_executed(
    use: Callable[[Session], Any], operation: str, new_session: NewSession, stub: StubService
) -> None:
    """A read that timed out does not show what SWF did."""
    gate = threading.Event()
    stub.reply(operation, TASK, wait=gate)
    with pytest.raises(NetworkError) as caught:
        use(new_session(poll_read_timeout=0.1, call_read_timeout=0.1))
    gate.set()
    assert caught.value.possibly_executed


def test_pages_without_end(session: Session, stub: StubService) -> None:
    """A page whose token is that of the next page too would be read again and again."""
    for reply, sent in (("2", None), ("3", "2"), ("3", "3"), ("", "3"), ("", None)):
        stub.reset()
        stub.reply(HISTORY, {"events": [], "nextPageToken": reply})
        token = {"nextPageToken": sent} if sent else {}
        arguments = {"domain": "d", "execution": {"workflowId": "w", "runId": "r"}, **token}
        if reply == sent:
            with pytest.raises(InvalidResponseError, match="no end of pages"):
                call(session.client, "get_workflow_execution_history", **arguments)
        else:
            assert call(session.client, "get_workflow_execution_history", **arguments)["nextPageToken"] == reply


def test_an_invalid_request_is_not_sent(stub: StubService) -> None:
    """Arguments that the botocore client of a caller rejects are an InvalidRequest, and nothing was sent."""
    with pytest.raises(InvalidRequest) as caught:
        call(create_client(stub.url), "count_pending_activity_tasks", domain="d")
    assert not caught.value.possibly_executed
    assert stub.requests == []


# --- the log


def test_each_call_is_logged_without_its_arguments(
    session: Session, stub: StubService, caplog: pytest.LogCaptureFixture
) -> None:
    """At level DEBUG: the operation, how it ended, how long it took and its request; never a token."""
    caplog.set_level(logging.DEBUG, "swf_cli")
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    stub.fault(HEARTBEAT, "UnknownResourceFault", "Unknown activity")
    stub.reply(HEARTBEAT, b"<html>")
    api.record_heartbeat(session.client, "SECRET", "PRIVATE")
    for error in (TaskNotOpen, InvalidResponseError):
        with pytest.raises(error):
            api.record_heartbeat(session.client, "SECRET", "PRIVATE")
    assert [message.partition(" (")[0] for message in caplog.messages] == [
        "record_activity_task_heartbeat: ok",
        "record_activity_task_heartbeat: UnknownResourceFault",
        "record_activity_task_heartbeat: InvalidResponseError",
    ]
    assert [message.rpartition(" s")[2] for message in caplog.messages] == [")", ", request REQUEST)", ")"]
    assert not any("SECRET" in message or "PRIVATE" in message for message in caplog.messages)
