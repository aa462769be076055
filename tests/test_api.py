"""The public functions, with the caller's client and with their own."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import MagicMock

import botocore.exceptions as boto
import botocore.session
import pytest
from botocore.stub import Stubber

from swf_cli.api import (
    cancel_task,
    complete_task,
    count_pending_tasks,
    fail_task,
    get_number_of_pending_tasks,
    poll_once,
    request_task,
    send_heartbeat,
)
from swf_cli.client.session import Session, default_session
from swf_cli.errors import (
    AccessError,
    Cancelled,
    CredentialsError,
    IncompleteTask,
    InvalidRequest,
    InvalidResponseError,
    LimitExceededError,
    NetworkError,
    ServiceError,
    SwfError,
    TaskNotOpen,
    ThrottlingError,
    UnknownResource,
)
from swf_cli.models import LIMITS, WorkerTask
from tests.helpers.aws import SETTINGS, create_client
from tests.helpers.cli import TASK
from tests.helpers.operations import COMPLETE, COUNT, HEARTBEAT, POLL
from tests.helpers.stub_service import NOT_SWFS, StubService

Function = Callable[..., Any]

NO_TASK: list[dict[str, Any]] = [{"startedEventId": 0}, {"startedEventId": 0, "taskToken": ""}]
"""Responses to a poll without a task: as captures show it, and as SWF's model says."""

FUNCTIONS: dict[Function, tuple[str, dict[str, Any], dict[str, str], dict[str, Any]]] = {
    request_task: (
        "poll_for_activity_task",
        {"domain": "d", "taskList": {"name": "l"}},
        {"task_list": "l", "domain": "d"},
        TASK,
    ),
    complete_task: ("respond_activity_task_completed", {"taskToken": "T"}, {"token": "T"}, {}),
    fail_task: ("respond_activity_task_failed", {"taskToken": "T"}, {"token": "T"}, {}),
    cancel_task: ("respond_activity_task_canceled", {"taskToken": "T"}, {"token": "T"}, {}),
    send_heartbeat: (
        "record_activity_task_heartbeat",
        {"taskToken": "T"},
        {"token": "T"},
        {"cancelRequested": False},
    ),
    get_number_of_pending_tasks: (
        "count_pending_activity_tasks",
        {"domain": "d", "taskList": {"name": "l"}},
        {"task_list": "l", "domain": "d"},
        {"count": 3},
    ),
}
"""Each function: its operation, what it sends at least, the arguments for that, and SWF's response."""

each_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)


@pytest.fixture(scope="module")
def shared_client() -> Any:
    """A client of the caller's, the same for every test."""
    return create_client(read_timeout=70)


@pytest.fixture
def client() -> Any:
    """A client of the caller's, for one test."""
    return create_client(read_timeout=70)


@pytest.fixture
def swf(shared_client: Any) -> Iterator[Stubber]:
    """The responses to `shared_client`: an unexpected call is an SwfError, a missing one fails the test."""
    with Stubber(shared_client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture(scope="module")
def _wire(_shared_stub: StubService) -> Any:
    return create_client(_shared_stub.url, read_timeout=70)


@pytest.fixture
def wire(_wire: Any, stub: StubService) -> Any:
    """A client of the caller's that calls the stub: for responses that SWF sends although its model lacks them."""
    return _wire


@each_function
def test_what_is_not_given_is_not_sent(function: Function, shared_client: Any, swf: Stubber) -> None:
    """Each function calls its operation once, without the arguments that are None."""
    operation, sent, given, reply = FUNCTIONS[function]
    swf.add_response(operation, reply, sent)
    got = function(**given, client=shared_client)
    assert got == {request_task: WorkerTask.from_api(TASK), get_number_of_pending_tasks: 3}.get(function)


@pytest.mark.parametrize("text", ["some", ""])
@pytest.mark.parametrize(
    ("function", "name", "key"),
    [
        (request_task, "worker_identity", "identity"),
        (complete_task, "result", "result"),
        (fail_task, "reason", "reason"),
        (fail_task, "details", "details"),
        (cancel_task, "details", "details"),
        (send_heartbeat, "details", "details"),
    ],
)
def test_what_is_given_is_sent(
    function: Function, name: str, key: str, text: str, shared_client: Any, swf: Stubber
) -> None:
    """An optional text is sent as it is; an empty one too, since it is not None."""
    operation, sent, given, reply = FUNCTIONS[function]
    swf.add_response(operation, reply, {**sent, key: text})
    function(**given, **{name: text}, client=shared_client)


@pytest.mark.parametrize(
    ("function", "name", "kind"),
    [
        (request_task, "task_list", "task list"),
        (request_task, "domain", "domain"),
        (request_task, "worker_identity", "identity"),
        (get_number_of_pending_tasks, "task_list", "task list"),
        (get_number_of_pending_tasks, "domain", "domain"),
        (complete_task, "token", "token"),
        (complete_task, "result", "result"),
        (fail_task, "token", "token"),
        (fail_task, "reason", "reason"),
        (fail_task, "details", "details"),
        (cancel_task, "token", "token"),
        (cancel_task, "details", "details"),
        (send_heartbeat, "token", "token"),
        (send_heartbeat, "details", "heartbeat details"),
    ],
)
def test_texts_are_checked_against_swfs_limits(
    function: Function, name: str, kind: str, shared_client: Any, swf: Stubber
) -> None:
    """A text at its limit is sent; one that is longer, empty but required, or has a lone surrogate is a ValueError.

    Then nothing was sent: an unexpected call would be an SwfError.
    """
    operation, _, given, reply = FUNCTIONS[function]
    least, most = LIMITS[kind]
    for length in (least, most):
        swf.add_response(operation, reply)
        function(**{**given, name: "é" * length}, client=shared_client)
    for text in ["é" * (most + 1), "\ud800", *[""] * least]:
        with pytest.raises(ValueError, match=f"^{kind} is "):
            function(**{**given, name: text}, client=shared_client)


def snapshot(client: Any) -> list[Any]:
    """Return what can be changed of a client: its methods, its settings, the handlers of its events."""
    assert client.exceptions  # botocore adds them on first use
    settings = [dict(vars(thing)) for thing in (client, type(client), client.meta, client.meta.config)]
    return [type(client), *settings, repr(client.meta.events._emitter._handlers._root)]


@each_function
def test_the_callers_client_is_not_modified(function: Function, shared_client: Any, swf: Stubber) -> None:
    """No call changes or wraps the client that it is given, whether it succeeds or fails."""
    operation, _, given, reply = FUNCTIONS[function]
    swf.add_response(operation, reply)
    swf.add_client_error(operation, "OperationNotPermittedFault")
    before = snapshot(shared_client)
    function(**given, client=shared_client)
    with pytest.raises(SwfError):
        function(**given, client=shared_client)
    assert snapshot(shared_client) == before


@pytest.mark.usefixtures("instant_retries")
@each_function
def test_without_a_client_the_environment_is_used(
    function: Function, stub: StubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a client, the functions call where the environment says, and never retry a poll."""
    for name, value in {**SETTINGS, "AWS_ENDPOINT_URL_SWF": stub.url}.items():
        monkeypatch.setenv(name, value)
    operation, sent, given, reply = FUNCTIONS[function]
    on_wire = operation.title().replace("_", "")
    default_session.cache_clear()
    try:
        stub.reply(on_wire, reply)
        function(**given)
        assert stub.requests == [(on_wire, sent)]
        stub.reset()
        stub.fault(on_wire, "InternalFailure", status=500)
        with pytest.raises(ServiceError):
            function(**given)
        assert len(stub.requests) == (1 if function is request_task else 3)
    finally:
        default_session.cache_clear()


def test_no_task_calls_back_and_polls_again(stub: StubService, wire: Any) -> None:
    """A missing token and an empty one both mean "no task": the callback is called each time before the next poll."""
    for reply in [*NO_TASK, *NO_TASK, TASK]:
        stub.reply(POLL, reply)
    polls: list[int] = []
    task = request_task("l", "d", no_tasks_callback=lambda: polls.append(len(stub.requests)), client=wire)
    assert task == WorkerTask.from_api(TASK)
    assert polls == [1, 2, 3, 4]
    assert stub.requests == [(POLL, {"domain": "d", "taskList": {"name": "l"}})] * 5


def test_polls_that_nobody_holds_are_spaced(stub: StubService, wire: Any) -> None:
    """SWF holds a poll for a minute: what responds at once, time after time, is not flooded."""
    sent: list[float] = []
    for _ in range(4):
        stub.reply(POLL, NO_TASK[0], action=lambda: sent.append(time.monotonic()))
    stub.reply(POLL, TASK, action=lambda: sent.append(time.monotonic()))
    request_task("l", "d", client=wire)
    pauses = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert all(pause >= least for pause, least in zip(pauses, (0.025, 0.05, 0.05, 0.05), strict=True))


@pytest.mark.parametrize(
    ("reply", "is_empty"),
    [
        ({"body": b"<html>sign in</html>", "headers": (("Content-Type", "text/html"),)}, False),
        ({"body": b'{"taskToken": "TOK'}, False),
        ({"body": {"error": "login required"}, "headers": NOT_SWFS}, False),
        ({"body": {"__type": "swf#UnknownResourceFault"}}, False),
        ({"body": {}}, True),
        ({"body": b""}, True),
    ],
    ids=["page", "cut", "of others", "fault", "empty object", "empty"],
)
@pytest.mark.parametrize("function", [complete_task, fail_task, send_heartbeat, request_task])
def test_what_botocore_reads_as_empty_is_no_success(
    function: Function, reply: dict[str, Any], is_empty: bool, stub: StubService, wire: Any
) -> None:
    """A caller's client takes a broken response for an empty one: the task may be open, or taken by the poll."""
    operation, _, given, _ = FUNCTIONS[function]
    on_wire = operation.title().replace("_", "")
    stub.reply(on_wire, **reply)
    stub.reply(on_wire, TASK if function is request_task else None)
    if is_empty:
        function(**given, client=wire)
        return
    with pytest.raises(
        InvalidResponseError, match=f"^the response to {on_wire} is cut short or is not SWF's$"
    ) as caught:
        function(**given, client=wire)
    assert caught.value.possibly_executed
    assert stub.operations() == [on_wire]


def test_a_client_of_another_service() -> None:
    """That is a mistake of the caller's, not a response that was lost."""
    client = botocore.session.Session().create_client("sts", region_name="us-east-1")
    with pytest.raises(AttributeError, match="respond_activity_task_completed"):
        complete_task("T", client=client)


@pytest.mark.parametrize("reply", NO_TASK)
def test_no_task_without_a_callback_polls_again(reply: dict[str, Any], stub: StubService, wire: Any) -> None:
    """Without a callback, a response without a task means another poll."""
    stub.reply(POLL, reply)
    stub.reply(POLL, TASK)
    assert request_task("l", "d", client=wire).token == "TOKEN"


def test_a_callback_that_raises_ends_the_polling(stub: StubService, wire: Any) -> None:
    """What the callback raises is raised as it is, and no poll follows."""
    stub.reply(POLL, NO_TASK[0])

    def stop() -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        request_task("l", "d", no_tasks_callback=stop, client=wire)
    assert len(stub.requests) == 1


@pytest.mark.parametrize(
    "path",
    [
        "activityId",
        "activityType",
        "activityType.name",
        "activityType.version",
        "workflowExecution",
        "workflowExecution.workflowId",
        "workflowExecution.runId",
        "startedEventId",
    ],
)
def test_a_task_with_something_missing_is_incomplete(path: str, stub: StubService, wire: Any) -> None:
    """A response with a token but not the rest of a task is an error that says so, and has the token."""
    reply = json.loads(json.dumps(TASK))
    *above, name = path.split(".")
    del (reply[above[0]] if above else reply)[name]
    stub.reply(POLL, reply)
    with pytest.raises(IncompleteTask, match=f"it has no '{name}'") as caught:
        request_task("l", "d", client=wire)
    assert (caught.value.token, caught.value.possibly_executed) == ("TOKEN", True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activityId": None}, "has no 'activityId'"),
        ({"activityType": {"name": ["resize"], "version": "1"}}, "name is not text"),
        ({"activityType": "resize"}, "^the response to the poll is malformed: "),
        ({"workflowExecution": ["video-7", "RUN"]}, "is malformed: "),
        ({"workflowExecution": {"workflowId": "video-7", "runId": {}}}, "runId is not text"),
        ({"startedEventId": "6"}, "startedEventId is not a number"),
        ({"input": 7}, "input is not text"),
    ],
)
def test_a_task_with_something_of_another_type_is_incomplete(
    change: dict[str, Any], message: str, stub: StubService, session: Session
) -> None:
    """The same if the response is not what SWF's model says, even if botocore can't read it."""
    stub.reply(POLL, TASK | change)
    with pytest.raises(IncompleteTask, match=message) as caught:
        poll_once("l", "d", None, session.poll_client)
    assert (caught.value.token, caught.value.possibly_executed) == ("TOKEN", True)


@pytest.mark.parametrize(
    "change",
    [
        {"taskToken": 5},
        {"taskToken": ["TOKEN"]},
        {"taskToken": "T" * 1_025, "activityId": None},
        {"taskToken": "\ud800", "activityId": None},
    ],
)
def test_what_is_no_token_is_a_broken_response(change: dict[str, Any], stub: StubService, wire: Any) -> None:
    """A token that SWF would not accept closes no task."""
    stub.reply(POLL, TASK | change)
    with pytest.raises(InvalidResponseError) as caught:
        request_task("l", "d", client=wire)
    assert caught.value.possibly_executed


@pytest.mark.parametrize("read_timeout", [60, 69.9])
def test_a_short_read_timeout_warns(read_timeout: float) -> None:
    """A poll over a client that stops reading before 70 s warns, at the caller's line, and goes on."""
    client = create_client(read_timeout=read_timeout)
    with Stubber(client) as responses:
        responses.add_response("poll_for_activity_task", TASK)
        with pytest.warns(UserWarning, match=rf"stops reading after {read_timeout:g} s.* 70 s") as caught:
            assert request_task("l", "d", client=client).token == "TOKEN"
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("read_timeout", [70, 90, None])
def test_a_sufficient_read_timeout_does_not_warn(
    read_timeout: float | None, recwarn: pytest.WarningsRecorder
) -> None:
    """A client that reads for 70 s or more, or forever, is fine."""
    client = create_client(read_timeout=read_timeout)
    with Stubber(client) as responses:
        responses.add_response("poll_for_activity_task", TASK)
        request_task("l", "d", client=client)
    assert not recwarn.list


def test_a_mock_is_a_client_too() -> None:
    """Its configuration says nothing of timeouts."""
    client = MagicMock()
    client.poll_for_activity_task.return_value = TASK
    assert request_task("l", "d", client=client).token == "TOKEN"


@pytest.mark.parametrize("event", ["provide-client-params", "before-call", "request-created", "before-send"])
@pytest.mark.parametrize("error", [KeyError("tenant"), RuntimeError("shutting down")])
def test_what_a_callers_event_handler_raises_is_not_changed(client: Any, event: str, error: Exception) -> None:
    """It is the caller's own exception, not one of SWF's; nothing was sent."""

    def fail(**_: Any) -> None:
        raise error

    client.meta.events.register(f"{event}.swf", fail)
    with pytest.raises(type(error)) as caught:
        complete_task("T", client=client)
    assert caught.value is error


def test_a_count_without_truncated_is_complete(
    shared_client: Any, swf: Stubber, recwarn: pytest.WarningsRecorder
) -> None:
    """A response without `truncated` is a complete count, as is one with false: no warning."""
    for reply in ({"count": 3}, {"count": 3, "truncated": False}):
        swf.add_response("count_pending_activity_tasks", reply)
        assert get_number_of_pending_tasks("l", "d", shared_client) == 3
    swf.add_response("count_pending_activity_tasks", {"count": 0})
    assert count_pending_tasks("l", "d", shared_client).truncated is False
    assert not recwarn.list


def test_a_truncated_count_warns(shared_client: Any, swf: Stubber) -> None:
    """If there are more tasks than the returned number, there is a warning at the caller's line."""
    swf.add_response("count_pending_activity_tasks", {"count": 1000, "truncated": True})
    with pytest.warns(UserWarning, match="more than 1000 tasks are pending on l") as caught:
        assert get_number_of_pending_tasks("l", "d", shared_client) == 1000
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("reply", [{}, {"truncated": False}, {"count": "many"}, {"count": [3]}, {"count": -5}])
def test_a_missing_count_is_a_broken_response(reply: dict[str, Any], stub: StubService, wire: Any) -> None:
    """A response without a count is an error, not zero."""
    stub.reply(COUNT, reply)
    with pytest.raises(InvalidResponseError, match="no count"):
        get_number_of_pending_tasks("l", "d", wire)


def test_a_requested_cancellation_is_raised(shared_client: Any, swf: Stubber) -> None:
    """A heartbeat raises Cancelled if cancellation was requested, which `except SwfError` does not catch."""
    swf.add_response("record_activity_task_heartbeat", {"cancelRequested": True})
    with pytest.raises(Cancelled) as caught:
        send_heartbeat("T", client=shared_client)
    assert not isinstance(caught.value, SwfError)


def test_a_heartbeat_without_a_body_is_no_cancellation(stub: StubService, wire: Any) -> None:
    """A response that does not mention cancellation means that none was requested."""
    stub.reply(HEARTBEAT, {})
    send_heartbeat("T", client=wire)


FAULTS = [
    ("UnknownResourceFault", 400, UnknownResource, 1),
    ("LimitExceededFault", 400, LimitExceededError, 1),
    ("ValidationException", 400, InvalidRequest, 1),
    ("SerializationException", 400, InvalidRequest, 1),
    ("ThrottlingException", 400, ThrottlingError, 1),
    ("Throttling", 400, ThrottlingError, 1),
    ("RequestLimitExceeded", 400, ThrottlingError, 1),
    ("OperationNotPermittedFault", 400, AccessError, 7),
    ("AccessDeniedException", 400, AccessError, 7),
    ("AccessDenied", 403, AccessError, 7),
    ("ExpiredTokenException", 400, CredentialsError, 7),
    ("ExpiredToken", 403, CredentialsError, 7),
    ("UnrecognizedClientException", 400, CredentialsError, 7),
    ("InvalidClientTokenId", 403, CredentialsError, 7),
    ("InvalidSignatureException", 400, CredentialsError, 7),
    ("MissingAuthenticationTokenException", 400, CredentialsError, 7),
    ("InternalFailure", 500, ServiceError, 1),
    ("ServiceUnavailable", 503, ServiceError, 1),
    ("504", 504, ServiceError, 1),
    ("413", 413, ServiceError, 1),
    ("SomethingNewFault", 400, SwfError, 1),
    ("", 400, SwfError, 1),
]


@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.parametrize(("code", "status", "kind", "exit_code"), FAULTS)
def test_each_fault_is_an_error_of_its_class(
    code: str, status: int, kind: type[SwfError], exit_code: int, retries: int, shared_client: Any, swf: Stubber
) -> None:
    """Each fault, an unknown one too, is an SwfError of its class, with AWS's facts, and botocore's as its cause.

    A page of a gateway that got no reply leaves open what SWF did, and so does a retry of the caller's client, which
    may have lost a response; a fault of SWF's shows that it did nothing.
    """
    swf.add_client_error(
        "count_pending_activity_tasks",
        code,
        "the reason",
        status,
        response_meta={"RequestId": "R-1", "RetryAttempts": retries},
    )
    with pytest.raises(SwfError, match="CountPendingActivityTasks: the reason") as caught:
        count_pending_tasks("l", "d", shared_client)
    error = caught.value
    assert type(error) is kind
    assert (error.code, error.request_id, error.retry_attempts) == (code, "R-1", retries)
    assert "the reason" in error.message
    assert error.exit_code == exit_code
    assert (error.hint is not None) == (exit_code == 7)
    assert error.possibly_executed == (code == "504" or retries > 0)
    assert isinstance(error.__cause__, boto.ClientError)


@pytest.mark.parametrize("function", [complete_task, fail_task, send_heartbeat])
@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (
            "UnknownResourceFault",
            "Unknown activity, scheduledEventId = 5",
            "the task is not open: it was closed, or it timed out",
        ),
        (
            "UnknownResourceFault",
            "Unknown execution: WorkflowExecution=[workflowId=w, runId=r]",
            "the task is not open: its workflow execution is closed",
        ),
        (
            "UnknownResourceFault",
            "something else",
            "the task is not open: {}: something else (UnknownResourceFault)",
        ),
        (
            "ValidationException",
            "Invalid token",
            "{}: SWF does not know this token: Invalid token (ValidationException)",
        ),
    ],
)
def test_a_task_that_is_not_open_is_an_error_of_its_own(
    function: Function, code: str, message: str, words: str, shared_client: Any, swf: Stubber
) -> None:
    """A response or a heartbeat for a task that is closed, or with a token that SWF does not know, is TaskNotOpen."""
    swf.add_client_error(FUNCTIONS[function][0], code, message, response_meta={"RequestId": "R-1"})
    with pytest.raises(TaskNotOpen) as caught:
        function("T", client=shared_client)
    assert (caught.value.exit_code, caught.value.code, caught.value.request_id) == (5, code, "R-1")
    fault = caught.value.__cause__
    assert isinstance(fault, boto.ClientError)
    assert str(caught.value) == words.format(fault.operation_name)


def test_a_rejected_cancellation_is_not_a_closed_task(shared_client: Any, swf: Stubber) -> None:
    """SWF rejects the cancellation of an open task without a request with the same fault: it is not TaskNotOpen."""
    swf.add_client_error("respond_activity_task_canceled", "UnknownResourceFault")
    with pytest.raises(UnknownResource) as caught:
        cancel_task("T", client=shared_client)
    assert type(caught.value) is UnknownResource


URL = "http://127.0.0.1"


@pytest.mark.parametrize(
    ("failure", "kind", "possibly_executed"),
    [
        (boto.EndpointConnectionError(endpoint_url=URL, error="refused"), NetworkError, False),
        (boto.ConnectTimeoutError(endpoint_url=URL, error="slow"), NetworkError, False),
        (boto.ProxyConnectionError(proxy_url=URL, error="Failed to establish a new connection"), NetworkError, False),
        (boto.ProxyConnectionError(proxy_url=URL, error="Tunnel connection failed: 403"), NetworkError, False),
        (boto.ProxyConnectionError(proxy_url=URL, error="Remote end closed connection"), NetworkError, True),
        (boto.SSLError(endpoint_url=URL, error=OSError("[SSL: CERTIFICATE_VERIFY_FAILED]")), NetworkError, False),
        (boto.SSLError(endpoint_url=URL, error=OSError("EOF occurred")), NetworkError, True),
        (boto.ReadTimeoutError(endpoint_url=URL, error="slow"), NetworkError, True),
        (boto.ConnectionClosedError(endpoint_url=URL), NetworkError, True),
        (boto.HTTPClientError(error="odd"), NetworkError, True),
        (boto.NoCredentialsError(), CredentialsError, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_network_failure_is_an_swf_error(
    failure: Exception, kind: type[SwfError], possibly_executed: bool, client: Any
) -> None:
    """What botocore raises for the network is an SwfError, which knows whether the request may have arrived."""

    def fail(**_: Any) -> None:
        raise failure

    client.meta.events.register("before-send.swf", fail)
    with pytest.raises(SwfError) as caught:
        complete_task("T", client=client)
    error = caught.value
    assert type(error) is kind
    assert (error.possibly_executed, error.code, error.request_id) == (possibly_executed, "", None)
    assert error.__cause__ is failure


@pytest.mark.parametrize("body", ["<!DOCTYPE html>erroné".encode("latin-1"), b"[]"])
def test_a_response_that_botocore_cant_parse_is_an_swf_error(body: bytes, stub: StubService, wire: Any) -> None:
    """If botocore fails to parse a response to the caller's client, the call may have been executed: an SwfError."""
    stub.reply(COMPLETE, body, status=502)
    with pytest.raises(SwfError) as caught:
        complete_task("T", client=wire)
    assert caught.value.possibly_executed
    assert caught.value.__cause__ is not None
