"""A value that is copied from a terminal is the value: tmux joins the lines that it wrapped, as a selection does."""

import json
import shlex
import shutil
import subprocess
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.big_domain import open_task, start
from tests.helpers.cli import invoke, wait_until
from tests.helpers.local_service import Service
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import invoke_on_terminal

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux")

WORKFLOW = "customer-4711-orders-2026-11-" + "video-transcode-" * 2
TASK_LIST = "image-resize-eu-west-1"
TOKEN = "AAAAKgAAAAEAAAAAAAAAA" + "b+/" * 184 + "xy="  # 576 characters
RUN_ID = "22" + "aB3+/" * 8 + "xyz="  # 46

Shoot = Callable[..., list[str]]


@pytest.fixture
def shoot(tmp_path: Path) -> Iterator[Shoot]:
    """Return the lines of a terminal of some columns after commands, with those that it wrapped joined."""
    socket = f"swf-test-{uuid.uuid4()}"

    def tmux(*args: str) -> str:
        command = ["tmux", "-L", socket, "-f", "/dev/null", *args]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def shot(columns: int, env: dict[str, str], *commands: Sequence[str]) -> list[str]:
        screens = tmp_path / "screens"
        screens.write_text("".join(invoke_on_terminal(*args, env=env, columns=columns).stdout for args in commands))
        size = ("-x", str(columns), "-y", "200")
        tmux("new-session", "-d", "-s", "shot", *size, f"cat {screens}; echo DONE; exec sleep 90")
        lines: list[str] = []

        def is_done() -> bool:
            lines[:] = tmux("capture-pane", "-p", "-J", "-t", "shot").splitlines()
            return "DONE" in lines

        wait_until(is_done)
        tmux("kill-session", "-t", "shot")
        return lines

    tmux("new-session", "-d", "-s", "open", "exec sleep 600")  # the server ends with its last session
    yield shot
    tmux("kill-server")


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_what_is_stuck(service: Service, service_env: dict[str, str], shoot: Shoot, columns: int) -> None:
    """IDs, lists and commands, on the screens of `swf stuck` and `swf tasks`."""
    flow = service.flow("media")
    run_id = start(flow, WORKFLOW, open_task(task_list=TASK_LIST))
    flow.poll(TASK_LIST, identity="worker:1")
    service.advance(660)
    (row,) = invoke("stuck", "-d", "media", env=service_env).json
    command = row["hint"].partition(": ")[2]
    assert shlex.split(command)[-1] == f"--run-id={run_id}"
    for args in (("stuck", "-d", "media"), ("tasks", "-d", "media", "--workflow-id", WORKFLOW, "--id", "resize-1")):
        lines = shoot(columns, service_env, args)
        values = [WORKFLOW, run_id, TASK_LIST, "resize-1", *[command] * (args[0] == "stuck")]
        assert [value for value in values if not any(line.endswith(f" {value}") for line in lines)] == []


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_a_polled_task(stub: StubService, env: dict[str, str], shoot: Shoot, columns: int) -> None:
    """Its token and IDs, on the screens of `swf poll` and `swf held`."""
    task: dict[str, Any] = {
        "taskToken": TOKEN,
        "activityId": "resize-1",
        "activityType": {"name": "resize", "version": "2"},
        "workflowExecution": {"workflowId": WORKFLOW, "runId": RUN_ID},
        "startedEventId": 6,
        "input": json.dumps({"picture": "x" * 200}),
    }
    stub.reply("PollForActivityTask", task)
    lines = shoot(columns, env, ("poll", "-d", "media", "-t", TASK_LIST))
    for value in (TOKEN, WORKFLOW, RUN_ID, TASK_LIST, "resize-1"):
        assert any(line.endswith(f" {value}") for line in lines)
    (held,) = invoke("held", env=env).json
    words = " ".join(shoot(columns, env, ("held",))).split()
    assert {WORKFLOW, TASK_LIST, held["key"], "resize-1"} <= set(words)


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_lists_of_tasks(service: Service, service_env: dict[str, str], shoot: Shoot, columns: int) -> None:
    """IDs, lists and workers are words of the lines; a line without any ends within the width."""
    flow, worker = service.flow("media"), "ip-10-0-12-113.eu-central-1.compute.internal:31337"
    run_id = start(flow, WORKFLOW, open_task(task_list=TASK_LIST), open_task("resize-2", TASK_LIST))
    flow.poll(TASK_LIST, identity=worker)
    held_by = invoke("poll", "-d", "media", "-t", TASK_LIST, "--identity", worker, env=service_env).json["held_key"]
    tasks = ("tasks", "-d", "media")
    lines = shoot(
        columns,
        service_env,
        (*tasks, "--workflow-id", WORKFLOW),
        tasks,
        (*tasks, "--by", "workflow"),
        (*tasks, "--by", "identity"),
        ("pending", "-d", "media", "-t", TASK_LIST),
        ("held",),
    )
    values = {WORKFLOW: 4, run_id: 1, TASK_LIST: 4, "resize-1": 2, "resize-2": 3, worker: 3, held_by: 1}
    words = Counter(" ".join(lines).split())
    assert {value: words[value] for value in values if words[value] < values[value]} == {}
    whole = [line for line in lines if not any(value in line for value in values)]
    assert [line for line in whole if len(line) > columns] == []
