"""Connections to SWF: which are used again, and how much of a response is read."""

from http.client import HTTPConnection

import pytest

from swf_cli.client import transport
from swf_cli.client.session import Session
from swf_cli.errors import InvalidResponseError
from tests.client.conftest import SetEnv, count
from tests.helpers.aws import SETTINGS
from tests.helpers.operations import COUNT
from tests.helpers.stub_service import StubService


@pytest.fixture
def session(shared_stub: StubService, set_env: SetEnv) -> Session:
    """A session without connections."""
    set_env(**SETTINGS)
    return Session(endpoint_url=shared_stub.url)


@pytest.mark.parametrize(("idle", "connections"), [(transport.MAX_IDLE, 1), (0.0, 2)])
def test_a_connection_that_was_idle_for_long_is_not_used_again(
    idle: float,
    connections: int,
    shared_stub: StubService,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NAT gateways and firewalls have dropped it; another one has its place."""
    monkeypatch.setattr(transport, "MAX_IDLE", idle)
    shared_stub.reply(COUNT, {"count": 1})
    count(session)
    count(session)
    assert len(set(shared_stub.peers)) == connections


def test_connections_are_dropped_before_nats_do() -> None:
    """The strictest common one is a NAT that forgets connections after a minute."""
    assert 0 < transport.MAX_IDLE <= 50


@pytest.mark.parametrize("extra", [0, 1])
def test_a_response_that_is_too_long_is_refused(extra: int, shared_stub: StubService, session: Session) -> None:
    """One of exactly the limit is read."""
    body = b'{"count": 1}'.ljust(transport.MAX_RESPONSE + extra)
    shared_stub.reply(COUNT, body)
    if not extra:
        count(session)
        return
    with pytest.raises(InvalidResponseError, match="the response is longer than 16 MiB") as raised:
        count(session)
    assert raised.value.possibly_executed


def test_headers_and_body_are_written_at_once(
    shared_stub: StubService, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That saves a system call, and with TLS a record."""
    written: list[bytes] = []
    send = HTTPConnection.send

    def record(connection: HTTPConnection, data: bytes) -> None:
        written.append(data)
        send(connection, data)

    monkeypatch.setattr(HTTPConnection, "send", record)
    shared_stub.reply(COUNT, {"count": 1})
    count(session)
    assert len(written) == 1
    assert b'\r\n\r\n{"domain"' in written[0]
