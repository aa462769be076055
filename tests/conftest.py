"""Fixtures: a clean environment, a stub, a local SWF, moto's; and no AWS settings of the machine's own."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.local_service import Service, local_service
from tests.helpers.moto_service import MotoService, moto_service
from tests.helpers.stub_service import StubService

# Whoever runs the tests in the background, or under nohup, has some signals ignored, and so has every process that a
# test starts: what `swf` does about a signal would not be seen.
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGTERM, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep whatever AWS or SWF settings the machine has out of the tests."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "SWF_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def stub() -> Iterator[StubService]:
    """A service that answers as the test tells it to."""
    service = StubService()
    yield service
    service.close()


@pytest.fixture
def bare_env(tmp_path: Path) -> dict[str, str]:
    """An environment with no AWS settings at all, and a record of held tasks of its own."""
    return {
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
    return {
        **bare_env,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }


@pytest.fixture
def env(aws_env: dict[str, str], stub: StubService) -> dict[str, str]:
    """An environment in which `swf` calls the stub."""
    return {**aws_env, "AWS_ENDPOINT_URL_SWF": stub.url}


@pytest.fixture
def service() -> Iterator[Service]:
    """A local SWF of the test's own, which holds a poll for a second."""
    with local_service() as service:
        yield service


@pytest.fixture
def service_env(aws_env: dict[str, str], service: Service) -> dict[str, str]:
    """An environment in which `swf` calls that local SWF."""
    return {**aws_env, "AWS_ENDPOINT_URL_SWF": service.url}


@pytest.fixture(scope="session")
def moto() -> Iterator[MotoService]:
    """moto's SWF, one for all tests: each test takes a domain or a task list of its own."""
    credentials = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
    with moto_service(credentials) as service:
        yield service
