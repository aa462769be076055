"""Credentials that are about to expire: no call waits for others while they are valid."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from botocore.credentials import RefreshableCredentials

from swf_cli.client.refresh import BackgroundRefresh
from swf_cli.client.session import Session
from swf_cli.errors import CredentialsUnavailable
from tests.client.conftest import ROLE_PROFILE, SetEnv, configure, count
from tests.helpers.aws import REGION
from tests.helpers.cli import wait_until
from tests.helpers.clock import FakeClock
from tests.helpers.operations import COUNT
from tests.helpers.stub_service import StubService

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Process:
    """A credential_process that prints the file `keys`; while `hanging` exists, it first waits to be written to."""

    def __init__(self, home: Path) -> None:
        self.home = home
        script = (
            f"echo >> {home}/runs; if [ -e {home}/hanging ]; then cat {home}/hanging; fi; "
            f"cat {home}/keys || {{ echo sign in first >&2; exit 1; }}"
        )
        (home / "process.sh").write_text(script)
        configure(home, f"[default]\ncredential_process = sh {home}/process.sh\n")

    def issue(self, key: str, minutes: float) -> None:
        """Print this key from now on; it is valid for some minutes."""
        end = datetime.now(UTC) + timedelta(minutes=minutes)
        (self.home / "keys").write_text(
            f'{{"Version": 1, "AccessKeyId": "{key}", "SecretAccessKey": "secret", "SessionToken": "t",'
            f' "Expiration": "{end:%Y-%m-%dT%H:%M:%SZ}"}}'
        )

    @property
    def runs(self) -> int:
        """How often it was run."""
        return len((self.home / "runs").read_text().splitlines())

    def hang(self) -> Callable[[], None]:
        """Hang from now on; return what ends that."""
        path = self.home / "hanging"
        os.mkfifo(path)

        def release() -> None:
            path.write_text("")
            path.unlink()

        return release


@pytest.fixture
def process(tmp_path: Path, set_env: SetEnv, stub: StubService) -> Process:
    """A process whose keys the default profile uses."""
    set_env(AWS_REGION=REGION, AWS_ENDPOINT_URL_SWF=stub.url)
    stub.reply(COUNT, {"count": 1})
    return Process(tmp_path)


def until_key(key: str, session: Session, stub: StubService) -> None:
    """Make calls until one is signed with this key."""
    wait_until(lambda: count(session) and stub.access_keys[-1] == key)


def own_messages(log: pytest.LogCaptureFixture) -> list[str]:
    """Return what `swf_cli` logged; botocore logs such failures too."""
    return [record.getMessage() for record in log.records if record.name.startswith("swf_cli")]


def start_session(process: Process, minutes: float) -> tuple[Session, FakeClock]:
    """Return a session that made a call with keys valid for this long, and its clock."""
    clock = FakeClock()
    session = Session(clock=clock)
    process.issue("AKIDFIRST", minutes)
    count(session)
    return session, clock


def is_refreshing() -> bool:
    """Return whether a refresh is under way."""
    return any(thread.name == "credentials" for thread in threading.enumerate())


@pytest.mark.parametrize("minutes", [14, 9])
def test_no_call_waits_for_a_process_that_hangs(
    minutes: int, process: Process, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """Calls are signed with the keys that are valid; after 15 s that is logged, once."""
    session, clock = start_session(process, minutes)
    clock.advance(5)
    release = process.hang()
    try:
        count(session)
        wait_until(lambda: process.runs == 2)
        for _ in range(4):
            clock.advance(5)
            count(session)
        assert set(stub.access_keys) == {"AKIDFIRST"}
        assert process.runs == 2
        [message] = own_messages(log)
        assert message == (
            "cannot get credentials from credential_process sh of profile default: it has not responded for 15 s; "
            "using the current ones until they expire"
        )
    finally:
        process.issue("AKIDSECOND", 60)
        release()
    until_key("AKIDSECOND", session, stub)


@pytest.mark.parametrize("minutes", [14, 9])
def test_a_refresh_that_fails_is_logged_and_tried_again(
    minutes: int, process: Process, stub: StubService, log: pytest.LogCaptureFixture
) -> None:
    """The keys are used while they are valid. The first failure is logged; 5 s later there is another attempt."""
    session, clock = start_session(process, minutes)
    (process.home / "keys").unlink()
    for runs in (2, 3):
        clock.advance(5)
        count(session)
        wait_until(lambda: not is_refreshing())
        count(session)
        assert process.runs == runs
    assert set(stub.access_keys) == {"AKIDFIRST"}
    [message] = own_messages(log)
    assert message.startswith("cannot get credentials from credential_process sh of profile default: ")
    assert message.endswith("sign in first; using the current ones until they expire")
    process.issue("AKIDSECOND", 60)
    clock.advance(5)
    until_key("AKIDSECOND", session, stub)


def frozen(key: str, minutes: float) -> dict[str, str]:
    """Return credentials as botocore wants them from what issues them, valid for some minutes from `NOON`."""
    expires = (NOON + timedelta(minutes=minutes)).isoformat()
    return {"access_key": key, "secret_key": "secret", "token": "t", "expiry_time": expires}


def test_credentials_that_have_expired_are_waited_for() -> None:
    """Nothing is signed with them. A failure to get others is that of every call, in all threads, for 5 s."""
    clock, now, attempts = FakeClock(), NOON, []

    def fail() -> dict[str, str]:
        attempts.append(clock.now)
        raise ConnectionError("no")

    issue = fail
    credentials = RefreshableCredentials(
        "AKIDFIRST", "secret", "t", NOON + timedelta(minutes=1), lambda: issue(), "test", time_fetcher=lambda: now
    )
    refresh = BackgroundRefresh(credentials, str, clock)
    assert refresh.freeze().access_key == "AKIDFIRST"
    now += timedelta(minutes=1, seconds=1)
    for made in (1, 2):
        clock.advance(5)
        with ThreadPoolExecutor() as pool:
            errors = [call.exception() for call in [pool.submit(refresh.freeze) for _ in range(8)]]
        assert {str(error) for error in errors} == {"no"}
        assert len(attempts) == made
    clock.advance(5)
    issue = partial(frozen, "AKIDSECOND", 60)
    assert refresh.freeze().access_key == "AKIDSECOND"
    assert refresh.current.access_key == "AKIDSECOND"


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A port that accepts connections, and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.mark.usefixtures("instant_retries")
def test_sts_is_given_up_soon(silent: socket.socket, stub: StubService, set_env: SetEnv, tmp_path: Path) -> None:
    """A call to STS is made twice, each with a short timeout; SWF's own clients have their own settings."""
    configure(tmp_path, ROLE_PROFILE)
    url = f"http://127.0.0.1:{silent.getsockname()[1]}"
    set_env(AWS_REGION=REGION, AWS_ENDPOINT_URL_SWF=stub.url, AWS_ENDPOINT_URL_STS=url)
    with pytest.raises(
        CredentialsUnavailable,
        match=r"role/worker of profile role: read timeout: http://127.0.0.1:[0-9]+ did not respond",
    ):
        count(Session(profile="role", call_read_timeout=0.1))
    silent.settimeout(0)
    accepted = 0
    while True:
        try:
            silent.accept()[0].close()
        except BlockingIOError:
            break
        accepted += 1
    assert accepted == 2
    assert stub.requests == []
