"""The seed's functions, over a client of the caller's and over one of their own."""

import json
import threading
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import botocore.exceptions as boto
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.stub import Stubber

from swf_cli.api import (
    cancel_task,
    complete_task,
    count_pending_on,
    count_pending_tasks,
    fail_task,
    get_number_of_pending_tasks,
    request_task,
    send_heartbeat,
)
from swf_cli.client.session import default_session
from swf_cli.errors import (
    AccessError,
    Cancelled,
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
from tests.helpers.cli import TASK
from tests.helpers.stub_service import StubService

Function = Callable[..., Any]

NO_TASK: list[dict[str, Any]] = [{"startedEventId": 0}, {"startedEventId": 0, "taskToken": ""}]
"""A poll that gets no task: as captures show it, and as SWF's model says."""

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
"""Each function: its operation, what it sends at least, the arguments for that, and SWF's reply."""

each_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)


session = cache(botocore.session.Session)


def make_client(endpoint_url: str | None = None, read_timeout: float | None = 70) -> Any:
    """Make a client as a caller of the Python layer would, one that tries once."""
    return session().create_client(
        "swf",
        region_name="us-east-1",
        endpoint_url=endpoint_url,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(read_timeout=read_timeout, retries={"mode": "standard", "total_max_attempts": 1}),
    )


@pytest.fixture
def client() -> Any:
    """A client of the caller's."""
    return make_client()


@pytest.fixture
def swf(client: Any) -> Iterator[Stubber]:
    """What that client is answered: a call more than expected is an SwfError, a call less fails the test."""
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def wire(stub: StubService) -> Any:
    """A client of the caller's that calls the stub: for replies that SWF gives, but its model does not know."""
    return make_client(endpoint_url=stub.url)


@each_function
def test_what_is_not_given_is_not_sent(function: Function, client: Any, swf: Stubber) -> None:
    """Each function calls its operation, once, and leaves out what is None."""
    operation, sent, given, reply = FUNCTIONS[function]
    swf.add_response(operation, reply, sent)
    got = function(**given, client=client)
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
def test_what_is_given_is_sent(function: Function, name: str, key: str, text: str, client: Any, swf: Stubber) -> None:
    """An optional text is sent as it is; an empty one too, since it is not None."""
    operation, sent, given, reply = FUNCTIONS[function]
    swf.add_response(operation, reply, {**sent, key: text})
    function(**given, **{name: text}, client=client)


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
def test_texts_are_held_to_swfs_limits(function: Function, name: str, kind: str, client: Any, swf: Stubber) -> None:
    """A text at its limit is sent; one character over, none where one is needed, or a lone surrogate is a ValueError.

    Then nothing was sent: a call that is not expected would be an SwfError.
    """
    operation, _, given, reply = FUNCTIONS[function]
    least, most = LIMITS[kind]
    for length in (least, most):
        swf.add_response(operation, reply)
        function(**{**given, name: "é" * length}, client=client)
    for text in ["é" * (most + 1), "\ud800", *[""] * least]:
        with pytest.raises(ValueError, match=f"^{kind} is "):
            function(**{**given, name: text}, client=client)


def anatomy(client: Any) -> list[Any]:
    """Take down what there is to change of a client: its methods, its settings, who listens to its events."""
    assert client.exceptions  # which botocore adds on first use
    settings = [dict(vars(thing)) for thing in (client, type(client), client.meta, client.meta.config)]
    return [type(client), *settings, repr(client.meta.events._emitter._handlers._root)]


@each_function
def test_the_callers_client_is_left_as_it_is(function: Function, client: Any, swf: Stubber) -> None:
    """No call changes or wraps the client it was handed, whether it succeeds or fails."""
    operation, _, given, reply = FUNCTIONS[function]
    swf.add_response(operation, reply)
    swf.add_client_error(operation, "OperationNotPermittedFault")
    before = anatomy(client)
    function(**given, client=client)
    with pytest.raises(SwfError):
        function(**given, client=client)
    assert anatomy(client) == before


@each_function
def test_without_a_client_the_environment_is_used(
    function: Function, stub: StubService, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a client, the functions call where the environment says, one session for the process."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    operation, sent, given, reply = FUNCTIONS[function]
    wire_name = operation.title().replace("_", "")
    stub.reply(wire_name, reply)
    default_session.cache_clear()
    try:
        function(**given)
        function(**given)
        assert stub.requests == [(wire_name, sent)] * 2
        used = {"client", "poll_client"} & set(vars(default_session()))
        assert used == {"poll_client" if function is request_task else "client"}
    finally:
        default_session.cache_clear()


def test_no_task_calls_back_and_polls_again(stub: StubService, wire: Any) -> None:
    """A missing token and an empty one both mean no task: the callback is called each time, then it polls again."""
    for reply in [*NO_TASK, *NO_TASK, TASK]:
        stub.reply("PollForActivityTask", reply)
    polls: list[int] = []
    task = request_task("l", "d", no_tasks_callback=lambda: polls.append(len(stub.requests)), client=wire)
    assert task == WorkerTask.from_api(TASK)
    assert polls == [1, 2, 3, 4]
    assert stub.requests == [("PollForActivityTask", {"domain": "d", "taskList": {"name": "l"}})] * 5


@pytest.mark.parametrize("reply", NO_TASK)
def test_no_task_without_a_callback_polls_again(reply: dict[str, Any], stub: StubService, wire: Any) -> None:
    """Without a callback, no task just means another poll."""
    stub.reply("PollForActivityTask", reply)
    stub.reply("PollForActivityTask", TASK)
    assert request_task("l", "d", client=wire).token == "TOKEN"


def test_a_callback_that_raises_ends_the_polling(stub: StubService, wire: Any) -> None:
    """What the callback raises comes out, as it is, and no poll follows."""
    stub.reply("PollForActivityTask", NO_TASK[0])

    def give_up() -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        request_task("l", "d", no_tasks_callback=give_up, client=wire)
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
def test_a_task_with_something_missing_is_a_broken_reply(path: str, stub: StubService, wire: Any) -> None:
    """A reply with a token but not the rest of a task is an error that says so: the task may be lost with it."""
    reply = json.loads(json.dumps(TASK))
    *above, name = path.split(".")
    del (reply[above[0]] if above else reply)[name]
    stub.reply("PollForActivityTask", reply)
    with pytest.raises(InvalidResponseError, match=name) as caught:
        request_task("l", "d", client=wire)
    assert caught.value.possibly_executed


@pytest.mark.parametrize("read_timeout", [60, 69.9])
def test_a_client_that_gives_up_too_soon_warns(read_timeout: float) -> None:
    """A poll over a client that gives up reading before 70 s warns, at the caller's line, and goes on."""
    client = make_client(read_timeout=read_timeout)
    with Stubber(client) as swf:
        swf.add_response("poll_for_activity_task", TASK)
        with pytest.warns(UserWarning, match=rf"stops reading after {read_timeout:g} s.* 70 s") as caught:
            assert request_task("l", "d", client=client).token == "TOKEN"
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("read_timeout", [70, 90, None])
def test_a_client_that_reads_long_enough_does_not_warn(
    read_timeout: float | None, recwarn: pytest.WarningsRecorder
) -> None:
    """A client that reads for 70 s or more, or for ever, is fine."""
    client = make_client(read_timeout=read_timeout)
    with Stubber(client) as swf:
        swf.add_response("poll_for_activity_task", TASK)
        request_task("l", "d", client=client)
    assert not recwarn.list


def test_a_count_without_truncated_is_whole(client: Any, swf: Stubber, recwarn: pytest.WarningsRecorder) -> None:
    """A reply without `truncated` is a whole count, as is one with false: no warning."""
    for reply in ({"count": 3}, {"count": 3, "truncated": False}):
        swf.add_response("count_pending_activity_tasks", reply)
        assert get_number_of_pending_tasks("l", "d", client) == 3
    swf.add_response("count_pending_activity_tasks", {"count": 0})
    assert count_pending_tasks("l", "d", client).truncated is False
    assert not recwarn.list


def test_a_truncated_count_warns(client: Any, swf: Stubber) -> None:
    """When there are more tasks than the number says, a warning at the caller's line tells."""
    swf.add_response("count_pending_activity_tasks", {"count": 1000, "truncated": True})
    with pytest.warns(UserWarning, match="more than 1000 tasks are pending on l") as caught:
        assert get_number_of_pending_tasks("l", "d", client) == 1000
    assert [warning.filename for warning in caught] == [__file__]


def test_a_count_that_is_missing_is_a_broken_reply(stub: StubService, wire: Any) -> None:
    """A reply that holds no count is an error, not zero."""
    stub.reply("CountPendingActivityTasks", {"truncated": False})
    with pytest.raises(InvalidResponseError, match="no count"):
        get_number_of_pending_tasks("l", "d", wire)


def test_several_lists_are_asked_side_by_side(client: Any) -> None:
    """Several lists are asked at the same time, and their counts come in the order asked, whichever is first."""
    lists = ["ccc", "a", "bb"]
    together = threading.Barrier(len(lists), timeout=10)

    def answer(params: dict[str, Any], **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        together.wait()
        name = json.loads(params["body"])["taskList"]["name"]
        return AWSResponse("", 200, HTTPHeaders(), None), {"count": len(name)}

    client.meta.events.register("before-call.swf", answer)
    counts = count_pending_on(lists, "d", client)
    assert [(count.task_list, count.count) for count in counts] == [("ccc", 3), ("a", 1), ("bb", 2)]


def test_several_lists_fail_with_the_first_failure(stub: StubService, wire: Any) -> None:
    """When lists can't be counted, the error is that of the first."""
    stub.fault("CountPendingActivityTasks", "UnknownResourceFault", "Unknown domain: d")
    with pytest.raises(UnknownResource, match="Unknown domain: d"):
        count_pending_on(["a", "b"], "d", wire)


def test_a_requested_cancellation_is_raised(client: Any, swf: Stubber) -> None:
    """A heartbeat raises Cancelled when cancellation was requested, which no `except SwfError` catches."""
    swf.add_response("record_activity_task_heartbeat", {"cancelRequested": True})
    with pytest.raises(Cancelled) as caught:
        send_heartbeat("T", client=client)
    assert not isinstance(caught.value, SwfError)


def test_a_heartbeat_without_an_answer_is_no_cancellation(stub: StubService, wire: Any) -> None:
    """A reply that does not tell of a cancellation is none."""
    stub.reply("RecordActivityTaskHeartbeat", {})
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
    ("ExpiredTokenException", 400, AccessError, 7),
    ("ExpiredToken", 403, AccessError, 7),
    ("UnrecognizedClientException", 400, AccessError, 7),
    ("InvalidClientTokenId", 403, AccessError, 7),
    ("InvalidSignatureException", 400, AccessError, 7),
    ("MissingAuthenticationTokenException", 400, AccessError, 7),
    ("InternalFailure", 500, ServiceError, 1),
    ("ServiceUnavailable", 503, ServiceError, 1),
    ("504", 504, ServiceError, 1),
    ("413", 413, SwfError, 1),
    ("SomethingNewFault", 400, SwfError, 1),
    ("", 400, SwfError, 1),
]


@pytest.mark.parametrize(("code", "status", "kind", "exit_code"), FAULTS)
def test_each_fault_becomes_an_error_of_its_kind(
    code: str, status: int, kind: type[SwfError], exit_code: int, client: Any, swf: Stubber
) -> None:
    """Each fault, a new one too, is an SwfError of its kind, with AWS's facts, and botocore's as the cause.

    A fault in the 500s may have come after the deed; any other says that nothing was done.
    """
    swf.add_client_error(
        "count_pending_activity_tasks",
        code,
        "the reason",
        status,
        response_meta={"RequestId": "R-1", "RetryAttempts": 2},
    )
    with pytest.raises(SwfError, match="CountPendingActivityTasks: the reason") as caught:
        count_pending_tasks("l", "d", client)
    error = caught.value
    assert type(error) is kind
    assert (error.code, error.request_id, error.retry_attempts) == (code, "R-1", 2)
    assert "the reason" in error.message
    assert error.exit_code == exit_code
    assert (error.hint is not None) == (exit_code == 7)
    assert error.possibly_executed == (status >= 500)
    assert isinstance(error.__cause__, boto.ClientError)


@pytest.mark.parametrize("function", [complete_task, fail_task, send_heartbeat])
@pytest.mark.parametrize(
    ("code", "message"), [("UnknownResourceFault", "Unknown activity"), ("ValidationException", "Invalid token")]
)
def test_a_task_that_is_not_open_is_told(
    function: Function, code: str, message: str, client: Any, swf: Stubber
) -> None:
    """An answer or a heartbeat for a task that is closed, or for a token that SWF never gave, is TaskNotOpen."""
    swf.add_client_error(FUNCTIONS[function][0], code, message, response_meta={"RequestId": "R-1"})
    with pytest.raises(TaskNotOpen, match=message) as caught:
        function("T", client=client)
    assert (caught.value.exit_code, caught.value.code, caught.value.request_id) == (5, code, "R-1")
    assert isinstance(caught.value.__cause__, boto.ClientError)


def test_a_refused_cancellation_does_not_say_that_the_task_is_closed(client: Any, swf: Stubber) -> None:
    """SWF refuses to cancel an open task that nobody asked to cancel with the same fault: it is not TaskNotOpen."""
    swf.add_client_error("respond_activity_task_canceled", "UnknownResourceFault")
    with pytest.raises(UnknownResource) as caught:
        cancel_task("T", client=client)
    assert type(caught.value) is UnknownResource


URL = "http://127.0.0.1"


@pytest.mark.parametrize(
    ("failure", "kind", "possibly_executed"),
    [
        (boto.EndpointConnectionError(endpoint_url=URL, error="refused"), NetworkError, False),
        (boto.ConnectTimeoutError(endpoint_url=URL, error="slow"), NetworkError, False),
        (boto.ProxyConnectionError(proxy_url=URL, error="refused"), NetworkError, False),
        (boto.SSLError(endpoint_url=URL, error=OSError("[SSL: CERTIFICATE_VERIFY_FAILED]")), NetworkError, False),
        (boto.SSLError(endpoint_url=URL, error=OSError("EOF occurred")), NetworkError, True),
        (boto.ReadTimeoutError(endpoint_url=URL, error="slow"), NetworkError, True),
        (boto.ConnectionClosedError(endpoint_url=URL), NetworkError, True),
        (boto.HTTPClientError(error="odd"), NetworkError, True),
        (boto.NoCredentialsError(), AccessError, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_failure_of_the_network_is_an_error_of_the_tree(
    failure: Exception, kind: type[SwfError], possibly_executed: bool, client: Any
) -> None:
    """What botocore raises for the network is an SwfError, which tells whether the request may have arrived."""

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
def test_what_botocore_cant_read_is_an_error_of_the_tree(body: bytes, stub: StubService, wire: Any) -> None:
    """A reply that botocore itself falls over, over a client of the caller's, is an SwfError: it may have acted."""
    stub.reply("RespondActivityTaskCompleted", body, status=502)
    with pytest.raises(SwfError) as caught:
        complete_task("T", client=wire)
    assert caught.value.possibly_executed
    assert caught.value.__cause__ is not None
