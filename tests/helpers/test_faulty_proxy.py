"""The proxy that tests of the network rely on: each fault does what it says."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from random import Random
from urllib.parse import urlsplit

import pytest

from swf_cli.local.server import LocalServer
from tests.helpers.cli import wait_until
from tests.helpers.faulty_proxy import (
    CUT,
    ERROR_500,
    HANG_AFTER,
    HANG_BEFORE,
    HTML_502,
    HTML_502_AFTER,
    LIMIT,
    RESET_AFTER,
    RESET_BEFORE,
    THROTTLE,
    Fault,
    FaultyProxy,
    chance,
    late,
    nth,
)
from tests.helpers.flow import Flow, over
from tests.helpers.wire import Wire

COUNT = {"domain": "media", "taskList": {"name": "work"}}
ANSWER = {"count": 1, "truncated": False}


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A local SWF with one task on a list."""
    with LocalServer(hold=10, deliver_to_disconnected=False) as server:
        Flow(over(server.engine)).register().schedule()
        yield server


@pytest.fixture
def proxy(server: LocalServer) -> Iterator[FaultyProxy]:
    """A proxy before it."""
    with FaultyProxy(server.url) as proxy:
        yield proxy


@pytest.fixture
def connect(proxy: FaultyProxy) -> Iterator[Callable[[], Wire]]:
    """Open a connection to the proxy."""
    port = urlsplit(proxy.url).port
    assert port is not None
    wires: list[Wire] = []

    def connect() -> Wire:
        wires.append(Wire(port))
        return wires[-1]

    yield connect
    for wire in wires:
        wire.close()


def waits(server: LocalServer) -> int:
    """Return the number of tasks that wait: none if a poll was executed."""
    return Flow(over(server.engine)).pending()


def poll(wire: Wire) -> dict[str, object]:
    """Poll; the task is assigned if the service receives the request."""
    return wire.call("PollForActivityTask", **COUNT)


def test_other_calls_pass_over_one_connection(connect: Callable[[], Wire], proxy: FaultyProxy) -> None:
    """Responses, empty ones and faults too, are the service's own, and the connection stays open."""
    wire = connect()
    assert wire.call("CountPendingActivityTasks", **COUNT) == ANSWER
    socket = wire.connection.sock
    task = poll(wire)
    assert wire.call("RespondActivityTaskCompleted", taskToken=task["taskToken"]) == {}
    refused = wire.send(
        "SimpleWorkflowService.RespondActivityTaskCompleted", json.dumps({"taskToken": task["taskToken"]}).encode()
    )
    assert (refused.status, refused.json["__type"].partition("#")[2]) == (400, "UnknownResourceFault")
    assert wire.connection.sock is socket
    assert proxy.struck() == 0
    assert proxy.operations()[1:] == ["PollForActivityTask", *["RespondActivityTaskCompleted"] * 2]


@pytest.mark.parametrize(("fault", "left"), [(RESET_BEFORE, 1), (RESET_AFTER, 0)])
def test_a_reset_is_before_or_after_the_execution(
    connect: Callable[[], Wire], proxy: FaultyProxy, server: LocalServer, fault: Fault, left: int
) -> None:
    """The client sees a connection reset; the service executed the call, or never received it."""
    proxy.on("PollForActivityTask", fault)
    with pytest.raises(ConnectionResetError):
        poll(connect())
    assert waits(server) == left


def test_an_answer_is_cut_in_its_body(connect: Callable[[], Wire], proxy: FaultyProxy, server: LocalServer) -> None:
    """Half of the body is sent, then the connection is closed; the service executed the call."""
    proxy.on("PollForActivityTask", CUT)
    with pytest.raises(http.client.IncompleteRead) as caught:
        poll(connect())
    assert caught.value.partial.startswith(b'{"taskToken":')
    assert abs(len(caught.value.partial) - (caught.value.expected or 0)) <= 1
    assert waits(server) == 0


def test_an_answer_without_a_body_is_cut_in_its_first_line(connect: Callable[[], Wire], proxy: FaultyProxy) -> None:
    """Not even the status of the response to a completion is sent, and the task is closed."""
    wire = connect()
    token = poll(wire)["taskToken"]
    proxy.on("RespondActivityTaskCompleted", CUT, nth(1))
    with pytest.raises(http.client.BadStatusLine):
        connect().call("RespondActivityTaskCompleted", taskToken=token)
    again = wire.send("SimpleWorkflowService.RespondActivityTaskCompleted", json.dumps({"taskToken": token}).encode())
    assert again.status == 400


@pytest.mark.parametrize(
    ("fault", "status", "kind", "left"),
    [
        (THROTTLE, 400, "com.amazon.coral.availability#ThrottlingException", 1),
        (LIMIT, 400, "com.amazonaws.swf.base.model#LimitExceededFault", 1),
        (ERROR_500, 500, "com.amazon.coral.service#InternalFailure", 1),
        (HTML_502, 502, None, 1),
        (HTML_502_AFTER, 502, None, 0),
    ],
)
def test_a_reply_in_place_of_the_services(
    connect: Callable[[], Wire],
    proxy: FaultyProxy,
    server: LocalServer,
    fault: Fault,
    status: int,
    kind: str | None,
    left: int,
) -> None:
    """Throttling as SWF spells it, a 500 in JSON, a 502 with a page; the connection stays open."""
    proxy.on("PollForActivityTask", fault)
    wire = connect()
    reply = wire.send("SimpleWorkflowService.PollForActivityTask", json.dumps(COUNT).encode())
    assert reply.status == status
    if kind is None:
        assert reply.headers["Content-Type"] == "text/html"
        assert reply.body.startswith(b"<html>")
    else:
        assert reply.json["__type"] == kind
    assert waits(server) == left
    assert wire.call("CountPendingActivityTasks", **COUNT)["count"] == left


def test_an_answer_is_late(connect: Callable[[], Wire], proxy: FaultyProxy, server: LocalServer) -> None:
    """The response is sent the given time after the request, and is the service's own."""
    proxy.on("PollForActivityTask", late(0.3))
    started = time.monotonic()
    assert poll(connect())["activityId"] == "resize-1"
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize(("fault", "left"), [(HANG_BEFORE, 1), (HANG_AFTER, 0)])
def test_a_hanging_service_never_answers(
    connect: Callable[[], Wire], proxy: FaultyProxy, server: LocalServer, fault: Fault, left: int
) -> None:
    """Nothing is sent until the client gives up; the service executed the call, or never received it."""
    proxy.on("PollForActivityTask", fault)
    wire = connect()
    wire.connection.timeout = 0.3
    with pytest.raises(TimeoutError):
        poll(wire)
    assert waits(server) == left


def test_the_service_sees_that_a_client_disconnects(
    connect: Callable[[], Wire], proxy: FaultyProxy, server: LocalServer
) -> None:
    """A local SWF that ignores disconnected clients sees through the proxy that one disconnected."""
    poll(connect())
    wire = connect()
    wire.connection.timeout = 0.2
    with pytest.raises(TimeoutError):
        poll(wire)
    wire.close()
    flow = Flow(over(server.engine))
    (poll_held,) = server.engine.held_polls("media", "work")
    wait_until(lambda: not poll_held.is_connected())
    flow.schedule("video-8")
    assert waits(server) == 1


def test_rules_strike_by_operation_number_and_chance(connect: Callable[[], Wire], proxy: FaultyProxy) -> None:
    """The first rule that picks a call decides; `nth` counts from 1; the same seed picks the same calls."""
    proxy.on("CountPendingActivityTasks", THROTTLE, nth(2, 3))
    proxy.on(None, ERROR_500, nth(2))
    wire = connect()
    target = "SimpleWorkflowService.CountPendingActivityTasks"
    got = [wire.send(target, json.dumps(COUNT).encode()).status for _ in range(5)]
    assert got == [200, 400, 400, 500, 200]
    assert [fault for _, fault in proxy.calls] == [None, THROTTLE, THROTTLE, ERROR_500, None]
    strikes = chance(0.1, Random(4))
    struck = [strikes() for _ in range(1000)]
    again = chance(0.1, Random(4))
    assert struck == [again() for _ in range(1000)]
    assert 60 < sum(struck) < 140
