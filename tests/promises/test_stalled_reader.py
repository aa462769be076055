"""Nothing waits for stderr: while nobody reads it, commands work, obey signals, and end."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.helpers.cli import FAST_SWF, TASK, wait_until
from tests.helpers.local_service import Service, local_service
from tests.helpers.operations import COMPLETE, HEARTBEAT, POLL
from tests.helpers.processes import is_running, written_pids
from tests.helpers.stub_service import StubService

ON_LIST = ("poll", "-d", "y", "-t", "x")
WORK = ("work", "-d", "media", "-t", "work")
SIGNAL_INTERVAL = 0.3  # seconds; a signal within 0.2 s of the one before is its duplicate


@pytest.fixture
def calls() -> list[str]:
    """A line for each call that the local SWF received."""
    return []


@pytest.fixture
def service(calls: list[str]) -> Iterator[Service]:
    """A local SWF that holds polls for a fifth of a second."""
    with local_service(hold=0.2, log=calls.append) as service:
        yield service


@pytest.fixture
def service_env(aws_env: dict[str, str], service: Service) -> dict[str, str]:
    """An environment for that service."""
    return {**aws_env, "AWS_ENDPOINT_URL_SWF": service.url}


@pytest.fixture
def unread() -> Iterator[int]:
    """The writing end of a pipe that is full, and that nobody reads."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x")
    os.set_blocking(writer, True)
    yield writer
    os.close(writer)
    os.close(reader)


@contextmanager
def running(*args: str, env: Mapping[str, str], stderr: int) -> Iterator["subprocess.Popen[str]"]:
    """Start `swf` with this stderr, and kill it in the end if it has not ended."""
    with subprocess.Popen([*FAST_SWF, *args], env=dict(env), stdout=subprocess.PIPE, stderr=stderr, text=True) as swf:
        try:
            yield swf
        finally:
            swf.kill()


def test_a_task_is_received_and_completed(stub: StubService, env: dict[str, str], unread: int) -> None:
    """Retries are logged, and neither they nor the result wait for the log."""
    stub.fault(POLL, "ThrottlingException")
    stub.reply(POLL, TASK)
    stub.fault(COMPLETE, "ThrottlingException")
    stub.reply(COMPLETE)
    with running(*ON_LIST, "-v", env=env, stderr=unread) as swf:
        stdout, _ = swf.communicate(timeout=60)
        assert (json.loads(stdout)["token"], swf.returncode) == ("TOKEN", 0)
    with running("complete", "--token", "TOKEN", env=env, stderr=unread) as swf:
        assert (swf.communicate(timeout=60)[0], swf.returncode) == ("", 0)
    assert stub.operations() == [POLL, POLL, COMPLETE, COMPLETE]


def test_heartbeats_go_on(stub: StubService, env: dict[str, str], unread: int) -> None:
    """A heartbeat that fails is logged, and the next one is sent."""
    for _ in range(2):
        stub.fault(HEARTBEAT, "LimitExceededFault", "too many")
    stub.reply(HEARTBEAT, {"cancelRequested": True})
    with running("heartbeat", "--token", "T", "--every", "1s", env=env, stderr=unread) as swf:
        assert (swf.communicate(timeout=60)[0], swf.returncode) == ('{"cancel_requested": true}\n', 4)
    assert len(stub.requests) == 3


def test_a_poll_is_stopped(stub: StubService, env: dict[str, str], unread: int) -> None:
    """The notice of a stop is logged; the process then dies of the signal, as always."""
    release = threading.Event()
    stub.reply(POLL, {}, wait=release)
    with running(*ON_LIST, env=env, stderr=unread) as swf:
        wait_until(lambda: stub.requests != [])
        swf.send_signal(signal.SIGTERM)
        release.set()
        assert (swf.communicate(timeout=60)[0], swf.returncode) == ("", -signal.SIGTERM)
    assert len(stub.requests) == 1


@pytest.fixture
def scan(stub: StubService, env: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A scan of a domain that finds more than a pipe holds, and was sent SIGTERM in the middle."""
    rows = [{"execution": {"workflowId": "w", "runId": f"RUN-{n}"}, "startTimestamp": 1000} for n in range(999)]
    stub.reply("ListOpenWorkflowExecutions", {"executionInfos": rows})
    values = {
        "activityId": "resize-1",
        "activityType": {"name": "resize", "version": "1"},
        "taskList": {"name": "x"},
        "input": "x" * 32_768,
    }
    scheduled = {"eventId": 1, "eventTimestamp": 1000.0, "eventType": "ActivityTaskScheduled"}
    page = {"events": [scheduled | {"activityTaskScheduledEventAttributes": values}]}
    stub.reply("GetWorkflowExecutionHistory", page)
    with subprocess.Popen([*FAST_SWF, "tasks", "-d", "y", "-o", "json"], env=env, stdout=subprocess.PIPE) as swf:
        try:
            wait_until(lambda: stub.operations().count("GetWorkflowExecutionHistory") >= 10)
            swf.send_signal(signal.SIGTERM)
            yield swf
        finally:
            swf.kill()


def test_a_scan_ends_although_nobody_reads_it(scan: "subprocess.Popen[bytes]") -> None:
    """What was found before a signal is written, but not waited for if nobody takes it."""
    assert scan.wait(timeout=30) == -signal.SIGTERM


def test_a_scan_is_written_to_a_slow_reader(scan: "subprocess.Popen[bytes]") -> None:
    """What was found before a signal is written as long as it is read, however slowly."""
    assert scan.stdout is not None
    data = b""
    for _ in range(9):
        data += os.read(scan.stdout.fileno(), 8_192)
        time.sleep(0.3)
    data += scan.stdout.read()
    assert len(json.loads(data)) >= 10
    assert scan.wait(timeout=30) == -signal.SIGTERM


@pytest.mark.parametrize(
    ("args", "code"), [([], 2), (["poll"], 2), (["poll", "--debug"], 2), (["complete", "--token", "T"], 7)]
)
def test_errors_end_the_process(args: list[str], code: int, bare_env: dict[str, str], unread: int) -> None:
    """A message that nobody reads is given up, and the exit code is the same."""
    with running(*args, env=bare_env, stderr=unread) as swf:
        assert (swf.communicate(timeout=60)[0], swf.returncode) == ("", code)


def test_a_worker_goes_on(
    service: Service, calls: list[str], service_env: dict[str, str], unread: int, tmp_path: Path
) -> None:
    """While a command floods stderr, heartbeats are sent, and then its result; SIGTERM drains."""
    workflow_id = service.schedule("media", "work", heartbeatTimeout="60")
    lines = "yes 'a line that nobody reads, again and again' | head -n 10000 >&2"
    flood = f"until [ -e {tmp_path}/enough ]; do {lines}; sleep 0.1; done; echo ok"
    with running(*WORK, "--heartbeat", "1s", "--", "sh", "-c", flood, env=service_env, stderr=unread) as worker:
        wait_until(lambda: sum(call.startswith(HEARTBEAT) for call in calls) >= 2)
        (tmp_path / "enough").touch()
        wait_until(lambda: "ActivityTaskCompleted" in service.names("media", workflow_id))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0


def test_a_worker_is_stopped(service: Service, service_env: dict[str, str], unread: int, tmp_path: Path) -> None:
    """Repeated signals kill a command that ignores SIGTERM, long before the grace period is over."""
    workflow_id = service.schedule("media", "work")
    script = f"trap '' TERM; echo $$ > {tmp_path}/sh.pid; while :; do sleep 0.05; done"
    with running(*WORK, "-v", "--grace", "1h", "--", "sh", "-c", script, env=service_env, stderr=unread) as worker:
        (command,) = written_pids(tmp_path, 1)
        while worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                worker.wait(SIGNAL_INTERVAL)
        assert worker.returncode == -signal.SIGTERM
    assert not is_running(command)
    assert "ActivityTaskFailed" in service.names("media", workflow_id)
