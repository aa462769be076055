"""`swf` as process 1 of a container: signals end it, and orphans are reaped."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.cli import SWF, wait_until
from tests.helpers.local_service import Service, local_service

UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


def can_unshare() -> bool:
    """Return whether this machine lets a test have a process 1 of its own."""
    return (
        shutil.which("unshare") is not None
        and not subprocess.run([*UNSHARE, "true"], stderr=subprocess.DEVNULL, check=False).returncode
    )


pytestmark = pytest.mark.skipif(not can_unshare(), reason="needs root and unshare, for a process 1 of its own")


@pytest.fixture
def service() -> Iterator[Service]:
    """A local SWF that holds polls for a fifth of a second."""
    with local_service(hold=0.2) as service:
        yield service


@pytest.fixture
def here(aws_env: dict[str, str], service: Service) -> dict[str, str]:
    """An environment for that service."""
    return {**aws_env, "AWS_ENDPOINT_URL_SWF": service.url}


def child_of(pid: int) -> int:
    """Return the only child of a process, once there is one."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    wait_until(lambda: bool(children.read_text().split()))
    return int(children.read_text().split()[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize(
    "args",
    [("poll", "-d", "media", "-t", "work"), ("pending", "-d", "media", "-t", "work", "--watch")],
    ids=lambda args: args[0],
)
def test_a_signal_ends_it_with_the_number_of_a_death_by_signal(
    args: tuple[str, ...], number: signal.Signals, service: Service, here: dict[str, str]
) -> None:
    """Process 1 does not die of a signal of its own, so it exits with 128 and the number; without a traceback."""
    service.flow("media")
    with subprocess.Popen(
        [*UNSHARE, SWF, *args], env=here, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        pid = child_of(process.pid)
        wait_until(lambda: args[0] != "poll" or bool(service.server.engine.held_polls("media", "work")))
        if args[0] == "pending":
            assert process.stdout is not None
            process.stdout.readline()
        os.kill(pid, number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert b"Traceback" not in errors
    assert errors.count(b"\n") <= 1


def test_orphans_are_reaped(service: Service, here: dict[str, str], tmp_path: Path) -> None:
    """Children that a command leaves behind become children of process 1, which reaps them when they end."""
    service.schedule("media", "work")
    command = f"(sleep 0.1 &); (sleep 0.2 &); touch {tmp_path}/done"
    args = [SWF, "work", "-d", "media", "-t", "work", "--", "sh", "-c", command]
    with subprocess.Popen([*UNSHARE, *args], env=here, stderr=subprocess.DEVNULL) as process:
        pid = child_of(process.pid)
        wait_until((tmp_path / "done").exists)
        wait_until(lambda: not Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        os.kill(pid, signal.SIGTERM)
        assert process.wait(30) == 0
