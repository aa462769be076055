"""Connections to SWF: which are used again, and how much of a response is read."""

from http.client import HTTPConnection

import pytest

from swf_cli.api import count_pending_tasks
from swf_cli.client import transport
from swf_cli.client.session import Session
from swf_cli.errors import InvalidResponseError, NetworkError
from tests.client.conftest import SetEnv, count
from tests.helpers.aws import SETTINGS
from tests.helpers.fault_matrix import FaultServer, Phase, Transport, Wire, judge
from tests.helpers.operations import COUNT
from tests.helpers.stub_service import StubService


@pytest.fixture
def session(stub: StubService, set_env: SetEnv) -> Session:
    """A session without connections."""
    set_env(**SETTINGS)
    return Session(endpoint_url=stub.url)


@pytest.mark.parametrize(("idle", "connections"), [(transport.MAX_IDLE, 1), (0.0, 2)])
def test_a_connection_that_was_idle_for_long_is_not_used_again(
    idle: float,
    connections: int,
    stub: StubService,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NAT gateways and firewalls have dropped it; another one has its place."""
    monkeypatch.setattr(transport, "MAX_IDLE", idle)
    stub.reply(COUNT, {"count": 1})
    count(session)
    count(session)
    assert len(set(stub.peers)) == connections


def test_connections_are_dropped_before_nats_do() -> None:
    """The strictest common one is a NAT that forgets connections after a minute."""
    assert 0 < transport.MAX_IDLE <= 50


@pytest.mark.parametrize("extra", [0, 1])
def test_a_response_that_is_too_long_is_refused(extra: int, stub: StubService, session: Session) -> None:
    """One of exactly the limit is read."""
    body = b'{"count": 1}'.ljust(transport.MAX_RESPONSE + extra)
    stub.reply(COUNT, body)
    if not extra:
        count(session)
        return
    with pytest.raises(InvalidResponseError, match="the response is longer than 16 MiB") as raised:
        count(session)
    assert raised.value.possibly_executed


def test_a_server_of_another_protocol(set_env: SetEnv) -> None:
    """The message says so: the connection was not closed."""

    def greet(wire: Wire) -> None:
        wire.read_head()
        wire.connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

    server = FaultServer("direct", Phase("SSH", "may have been executed", greet))
    url = f"http://127.0.0.1:{server.port}"
    set_env(**SETTINGS)
    try:
        with pytest.raises(NetworkError) as raised:
            count_pending_tasks("l", "d", Session(endpoint_url=url).single_attempt_client)
    finally:
        server.close()
    assert raised.value.message == f"the response from {url} is not HTTP"


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 102\r\n"


def drip_head(wire: Wire) -> None:
    """Respond, the headers byte by byte."""
    wire.read_request()
    wire.drip(HEAD + b"X: 1\r\n" * 10)
    wire.connection.sendall(b"\r\n" + b'{"count": 1}'.ljust(102))


def drip_body(wire: Wire) -> None:
    """Respond, the body byte by byte."""
    wire.read_request()
    wire.connection.sendall(HEAD + b"\r\n")
    wire.drip(b'{"count": 1}'.ljust(102))


@pytest.mark.parametrize(
    ("transport", "phase", "timeout"),
    [
        ("direct", Phase("response: slow head", "may have been executed", drip_head), 0.3),
        ("direct", Phase("response: slow body", "may have been executed", drip_body), 0.3),
        ("tls", Phase("response: slow body", "may have been executed", drip_body), 1),
        ("tunnel", Phase("tunnel: slow head", "never sent", before="drip"), 0.3),
    ],
    ids=["head", "body", "body, TLS", "tunnel"],
)
def test_a_response_that_arrives_byte_by_byte_is_given_up(transport: Transport, phase: Phase, timeout: float) -> None:
    """The timeout is for the whole of it, whatever arrives meanwhile."""
    verdict = judge(transport, phase, "count_pending_activity_tasks", timeout)
    assert verdict.is_right_for(phase), verdict


def test_headers_and_body_are_written_at_once(
    stub: StubService, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That saves a system call, and with TLS a record."""
    written: list[bytes] = []
    send = HTTPConnection.send

    def record(connection: HTTPConnection, data: bytes) -> None:
        written.append(data)
        send(connection, data)

    monkeypatch.setattr(HTTPConnection, "send", record)
    stub.reply(COUNT, {"count": 1})
    count(session)
    assert len(written) == 1
    assert b'\r\n\r\n{"domain"' in written[0]
