"""Fixtures: environments, a stub, a local SWF and moto's; and the machine's own settings kept out."""

import gc
import locale
import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore import retryhandler
from botocore.retries.standard import ExponentialBackoff
from botocore.utils import ContainerMetadataFetcher
from hypothesis import settings

from swf_cli.client.session import Session
from tests.helpers.aws import SETTINGS
from tests.helpers.local_service import Service, local_service
from tests.helpers.moto_service import MotoService, moto_service
from tests.helpers.stub_service import StubService

# No test fails on a time, and each run tries the same examples; `--hypothesis-profile default` tries others.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

# Tests that run in the background or under nohup have some signals ignored, and so has every process that they start:
# then `swf` ignores those signals too.
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGTERM, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGTSTP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


def pytest_collection_finish() -> None:
    """Take the thousands of tests that were collected out of every garbage collection."""
    gc.freeze()


def _isolate(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Keep the machine's own AWS and SWF settings, and its locale, out of the tests."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "SWF_", "REQUESTS_")) or name.lower().endswith("_proxy"):
            patch.delenv(name)
    patch.setattr(locale, "getencoding", lambda: "utf-8")
    patch.setenv("HOME", str(home))
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _isolate(monkeypatch, tmp_path)


@pytest.fixture
def instant_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let botocore retry without a delay, also the calls of older versions to STS and SSO."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
    monkeypatch.setattr(retryhandler, "delay_exponential", lambda *_, **__: 0)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let botocore ask the endpoint of a container without pauses; it asks three times."""
    monkeypatch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log of `swf_cli`, from level INFO."""
    caplog.set_level(logging.INFO, "swf_cli")
    return caplog


@pytest.fixture(scope="session")
def _shared_stub() -> Iterator[StubService]:
    service = StubService()
    yield service
    service.close()


@pytest.fixture(scope="session")
def _shared_session(_shared_stub: StubService, tmp_path_factory: pytest.TempPathFactory) -> Session:
    session = Session(endpoint_url=_shared_stub.url)
    with pytest.MonkeyPatch.context() as patch:
        _isolate(patch, tmp_path_factory.mktemp("home"))
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        for client in (session.client, session.poll_client, session.single_attempt_client):
            assert client.meta
    return session


@pytest.fixture
def stub(_shared_stub: StubService) -> StubService:
    """A stub without replies, at the same address for every test: see `session`. Tests don't close it."""
    _shared_stub.reset()
    return _shared_stub


@pytest.fixture
def session(_shared_session: Session, stub: StubService) -> Session:
    """A session that calls `stub`, the same for every test: creating its clients takes a tenth of a second."""
    return _shared_session


@pytest.fixture
def refused_url() -> Iterator[str]:
    """The URL of a port that is taken, but where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def bare_env(tmp_path: Path) -> dict[str, str]:
    """An environment without AWS settings, and with a ledger of its own."""
    return {
        **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "AWS_EC2_METADATA_DISABLED": "true",
        "SWF_STATE_DIR": str(tmp_path / "state"),
    }


@pytest.fixture
def aws_env(bare_env: dict[str, str]) -> dict[str, str]:
    """An environment with a region and made-up credentials."""
    return {**bare_env, **SETTINGS}


@pytest.fixture
def env(aws_env: dict[str, str], stub: StubService) -> dict[str, str]:
    """An environment in which `swf` calls the stub."""
    return {**aws_env, "AWS_ENDPOINT_URL_SWF": stub.url}


@pytest.fixture
def service() -> Iterator[Service]:
    """A local SWF that holds each poll for a fifth of a second."""
    with local_service(hold=0.2) as service:
        yield service


@pytest.fixture
def service_env(aws_env: dict[str, str], service: Service) -> dict[str, str]:
    """An environment in which `swf` calls that local SWF."""
    return {**aws_env, "AWS_ENDPOINT_URL_SWF": service.url}


@pytest.fixture(scope="session")
def moto() -> Iterator[MotoService]:
    """SWF as moto has it, one for all tests: each test uses a domain or a task list of its own."""
    with moto_service(SETTINGS) as service:
        yield service
