"""What the tests of the worker share."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from swf_cli.client.session import Session
from swf_cli.worker.process import WorkerProcess
from tests.helpers.operations import CANCEL, COMPLETE, FAIL, HEARTBEAT
from tests.helpers.stub_service import StubService
from tests.helpers.worker_tasks import Tasks


@pytest.fixture
def tasks(stub: StubService, session: Session, caplog: pytest.LogCaptureFixture) -> Iterator[Tasks]:
    """Commands for tasks; SWF accepts each response, and shows that the task is open."""
    caplog.set_level(logging.INFO, logger="swf_cli")
    for operation in (COMPLETE, FAIL, CANCEL):
        stub.reply(operation)
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    tasks = Tasks(stub, session, ThreadPoolExecutor(1))
    with tasks.scheduler:
        yield tasks
        tasks.close()


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is ever seen to end, as if each waited in the kernel."""
    monkeypatch.setattr(WorkerProcess, "wait", lambda process, seconds: time.sleep(min(seconds, 0.01)))
