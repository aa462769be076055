"""A machine on which commands can't be started does not eat the queue of a healthy fleet."""

import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.cli import SWF, run, shell, wait_until
from tests.helpers.local_service import Service, local_service
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import invoke_on_terminal

SLOTS = 4


@contextmanager
def worker(env: dict[str, str], *command: str, options: tuple[str, ...] = ()) -> Iterator["subprocess.Popen[str]"]:
    """Run a worker with some slots; kill it in the end if it has not ended."""
    args = [SWF, "work", "-d", "media", "-t", "work", "-j", str(SLOTS), *options, "--", *command]
    with subprocess.Popen(args, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ends(service: Service, workflow_ids: list[str]) -> Counter[str]:
    """Count how the tasks of executions ended."""
    kinds: Counter[str] = Counter()
    for workflow_id in workflow_ids:
        for event in service.history("media", workflow_id):
            if event["eventType"] in ("ActivityTaskCompleted", "ActivityTaskFailed", "ActivityTaskTimedOut"):
                kinds[event["eventType"]] += 1
    return kinds


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A command that does a little work."""
    path = tmp_path / "bin" / "command"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\nsleep 0.1\necho done\n")
    path.chmod(0o755)
    return path


def remove_script(script: Path, temporary: Path) -> None:
    """Remove the command."""
    script.unlink()


def remove_temporary_folder(script: Path, temporary: Path) -> None:
    """Remove the folder for temporary files."""
    shutil.rmtree(temporary)


@pytest.mark.parametrize("break_it", [remove_script, remove_temporary_folder])
def test_a_broken_worker_fails_one_task_per_slot_at_most(
    break_it: Callable[[Path, Path], None], aws_env: dict[str, str], script: Path, tmp_path: Path
) -> None:
    """Beside a healthy worker one breaks: it gives up after its grace period, exit 1; the other does the rest."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with local_service(hold=1) as service:
        env = {**aws_env, "AWS_ENDPOINT_URL_SWF": service.url}
        workflow_ids = [service.schedule("media", "work") for _ in range(8)]
        broken_env = env | {"TMPDIR": str(temporary), "SWF_STATE_DIR": str(tmp_path / "other")}
        with (
            worker(broken_env, str(script), options=("--grace", "1s")) as broken,
            worker(env, "sh", "-c", "sleep 0.02") as healthy,
        ):
            # Once it has started: what is broken before that is an error of usage.
            wait_until(lambda: ends(service, workflow_ids).total() == 8)
            wait_until(lambda: len(service.server.engine.held_polls("media", "work")) == 2 * SLOTS)
            break_it(script, temporary)
            # Both workers wait with a poll of each slot, so some of these find it broken.
            workflow_ids += [service.schedule("media", "work") for _ in range(52)]
            _, errors = broken.communicate(timeout=120)
            wait_until(lambda: ends(service, workflow_ids).total() == 60, 120)
            healthy.send_signal(signal.SIGTERM)
            healthy.communicate(timeout=60)
    assert broken.returncode == 1
    assert "cannot be started" in errors
    assert ends(service, workflow_ids)["ActivityTaskFailed"] <= SLOTS
    assert ends(service, workflow_ids)["ActivityTaskTimedOut"] == 0


def test_a_command_that_is_away_for_a_while_costs_nothing(
    aws_env: dict[str, str], script: Path, tmp_path: Path
) -> None:
    """While the command is away the worker does not poll, and its tasks wait; then all of them complete."""
    with local_service(hold=1) as service:
        env = {**aws_env, "AWS_ENDPOINT_URL_SWF": service.url}
        workflow_ids = [service.schedule("media", "work", heartbeatTimeout="2") for _ in range(8)]
        with worker(env, str(script), options=("--heartbeat", "1s", "--max-tasks", "28")) as process:
            # A shell that was started just before would not find its script any more.
            wait_until(lambda: ends(service, workflow_ids).total() == 8)
            away = script.rename(script.with_name("away"))
            workflow_ids += [service.schedule("media", "work", heartbeatTimeout="2") for _ in range(20)]
            assert process.stderr is not None
            assert any("polling is suspended" in line for line in process.stderr)
            wait_until(lambda: "retrying in 1" in process.stderr.readline())  # type: ignore[union-attr]
            away.rename(script)
            _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert ends(service, workflow_ids) == {"ActivityTaskCompleted": 28}


@pytest.mark.parametrize(
    ("script_text", "words"),
    [
        ("#!/no/such/interpreter\n", ["interpreter", "#!/no/such/interpreter"]),
        ("#!/bin/sh\r\necho hello\r\n", ["interpreter", r"#!/bin/sh\r"]),
        ("echo hello\n", ["#! line", "echo hello"]),
    ],
)
def test_a_script_that_cannot_be_executed_is_told_before_the_first_poll(
    script_text: str, words: list[str], env: dict[str, str], tmp_path: Path
) -> None:
    """The message names the script's first line; nothing is sent."""
    path = tmp_path / "script"
    path.write_bytes(script_text.encode())
    path.chmod(0o755)
    result = run("work", "-d", "media", "-t", "work", "--", str(path), env=env)
    assert (result.code, result.stdout) == (2, "")
    assert all(word in result.stderr for word in words)


def test_a_missing_temporary_directory_is_reported_before_the_first_poll(
    stub: StubService, env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a directory for temporary files the worker does not start."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    args = ("work", "-d", "media", "-t", "work", "--idle-exit", "1s", "--", "true")
    result = invoke_on_terminal(*args, env=env, stdout=False)
    assert (result.stdout, result.code, stub.requests) == ("", 1, [])
    assert result.stderr.splitlines() == [
        "swf: cannot write to temporary files: No such file or directory",
        "hint: free some space there, or set TMPDIR",
    ]


def test_a_limit_on_the_size_of_files_is_named(stub: StubService, env: dict[str, str]) -> None:
    """What keeps the worker from writing temporary files may be no lack of space."""
    result = shell("ulimit -f 0; swf work -d media -t work --idle-exit 1s -- true", env=env)
    assert (result.stdout, result.code, stub.requests) == ("", 1, [])
    assert result.stderr.splitlines() == [
        "swf: cannot write to temporary files: File too large",
        "hint: raise the limit on the size of files (`ulimit -f`)",
    ]
