"""What a failed call means, over every transport: compared with what the server really executed."""

from collections.abc import Callable

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swf_cli.client.attempt import attempt, record_signed
from swf_cli.client.call import call
from swf_cli.client.faults import describe
from swf_cli.client.masking import mask
from swf_cli.client.session import Session
from swf_cli.errors import NetworkError, ServiceError
from tests.client.conftest import complete, count
from tests.helpers.aws import SETTINGS
from tests.helpers.fault_matrix import (
    OPERATIONS,
    PHASES,
    TRANSPORTS,
    FaultServer,
    Phase,
    Transport,
    Wire,
    environment,
    judge,
)
from tests.helpers.operations import COMPLETE, COUNT
from tests.helpers.stub_service import StubService

combinations = st.sampled_from(
    [(transport, phase, operation) for phase in PHASES for transport in phase.transports for operation in OPERATIONS]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(combinations)
def test_no_failure_is_misjudged(combination: tuple[Transport, Phase, str]) -> None:
    """Whatever the transport, the phase and the operation: never sent is never executed, and the other way round."""
    transport, phase, operation = combination
    verdict = judge(transport, phase, operation)
    assert verdict.is_right_for(phase), verdict


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_each_phase_is_judged_once(phase: Phase) -> None:
    """Each phase of a poll, over the transport on which it says most."""
    verdict = judge(phase.transports[-1], phase, "poll_for_activity_task")
    assert verdict.is_right_for(phase), verdict


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_retry_after_is_passed_on(transport: Transport) -> None:
    """The Retry-After of a page is known to whoever retries."""
    phase = next(phase for phase in PHASES if phase.name == "page: 503")
    assert judge(transport, phase, "record_activity_task_heartbeat").retry_after == 7.0


@pytest.mark.parametrize(
    ("location", "address"),
    [
        ("https://user:hush@login.example:8443/hush?token=hush", "login.example"),
        ("//login.example/hush", "login.example"),
        ("/sign-in?token=hush", "/sign-in"),
        ("?hush", "itself"),
        ("https://[hush", "an address that is not valid"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("body", [b"", b"{}", b"<html>Moved</html>"])
def test_a_redirect_says_where_to(
    body: bytes, status: int, location: str, address: str, stub: StubService, session: Session
) -> None:
    """The host is named, and nothing that may be secret; a portal that redirects may be gone in a moment."""
    for operation in (COUNT, COMPLETE):
        stub.reply(operation, body, status=status, headers=(("Location", location),))
    uses: list[Callable[[Session], object]] = [count, complete]
    for use in uses:
        with pytest.raises(ServiceError) as caught:
            use(session)
        message = f"the endpoint redirects to {address}, which is not followed ({status})"
        assert caught.value.message.endswith(f": {message}")
        assert not caught.value.possibly_executed


def test_a_response_without_end_is_not_read() -> None:
    """A response over 16 MiB is given up, and the call may have been executed."""

    def pour(wire: Wire) -> None:
        wire.read_request()
        wire.connection.sendall(b"HTTP/1.1 200 X\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            wire.connection.sendall(b"x" * 1_048_576)

    server = FaultServer("direct", Phase("endless", "may have been executed", pour))
    with environment(**SETTINGS):
        client = Session(endpoint_url=f"http://127.0.0.1:{server.port}").single_attempt_client
        with pytest.raises(NetworkError, match="16 MiB") as caught:
            call(client, "count_pending_activity_tasks", domain="d", taskList={"name": "l"})
    server.close()
    assert caught.value.possibly_executed


def test_each_attempt_begins_unsent() -> None:
    """A call's second attempt, which may fail before it is connected, is not taken for sent as the first one was."""
    attempt.is_sent = True
    record_signed()
    assert (attempt.is_signed, attempt.is_sent) == (True, False)


def test_the_reason_survives_the_masking_of_a_query() -> None:
    """Messages about credentials lose the queries of URLs, and nothing that follows them."""
    error = EndpointConnectionError(endpoint_url="http://127.0.0.1:1/federation/credentials?role_name=x&account_id=1")
    error.kwargs["error"] = Exception()
    error.kwargs["error"].__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert (
        mask(describe(error)) == "could not connect to http://127.0.0.1:1/federation/credentials: Connection refused"
    )
