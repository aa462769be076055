"""What the tests of the monitor share: a domain on a local SWF, and a client that remembers its calls."""

import logging

import pytest

from tests.helpers.big_domain import Recorder
from tests.helpers.flow import Flow
from tests.helpers.local_service import Service


@pytest.fixture(autouse=True)
def _credentials_and_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "swf_cli")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture
def flow(service: Service) -> Flow:
    """An empty domain."""
    return service.flow("media")


@pytest.fixture
def client(service: Service) -> Recorder:
    """A client that remembers its calls."""
    return Recorder.of(service.url)
