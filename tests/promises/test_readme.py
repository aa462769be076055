"""The README's shell blocks do what it says, as they stand."""

import re
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.cli import Result, run, shell, wait_until
from tests.helpers.flow import attributes_of, decision
from tests.helpers.local_service import Service

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
RECIPES = dict(re.findall(r"<!-- recipe: (\w+) -->\n```sh\n(.*?)```", README, re.DOTALL))

# Stand-ins for the programs that the recipes leave to the reader.
PROGRAMS = {
    "worker.sh": RECIPES["work"],
    "resize": 'echo "$1" >> seen.txt; if [ "$1" = broken ]; then echo oops >&2; exit 3; else echo small; fi',
    "encode": 'case "$1" in long) exec sleep 100 ;; broken) exit 3 ;; esac',
    "page-me": 'echo "$1" >> pages.txt',
}


def test_every_shell_block_is_run() -> None:
    """Each shell block is a recipe that a test below runs, or one of the two that CI runs itself."""
    assert len(re.findall(r"^```sh$", README, re.MULTILINE)) == len(RECIPES) + 2
    assert README.count("<!-- install -->") == README.count("<!-- test-command -->") == 1
    assert set(RECIPES) == {
        "work",
        "file",
        "heartbeat",
        "worker",
        "alarm",
        "held",
        "stuck",
        "close",
        "stuckalarm",
        "ci",
        "completion",
    }


def test_the_first_command_is_the_demo() -> None:
    """The first shell block installs it, and ends with a demo that needs nothing else."""
    first = re.search(r"^```sh\n(.*?)```", README, re.DOTALL | re.MULTILINE)
    assert first
    assert first[1].splitlines()[-1] == ".venv/bin/swf local demo"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with the stand-ins."""
    for name, body in PROGRAMS.items():
        program = tmp_path / name
        program.write_text(f"#!/usr/bin/env bash\n{body}\n")
        program.chmod(0o755)
    return tmp_path


def cook(recipe: str, here: Path, env: dict[str, str], every: str = "20s") -> Result:
    """Run a recipe in a folder."""
    script = RECIPES[recipe].replace("--every 20s", f"--every {every}")
    return shell(f"cd {here}\n{script}", env={**env, "PATH": f"{here}:{env['PATH']}"})


def last_event(service: Service, workflow_id: str) -> tuple[str, Any]:
    """Give type and attributes of the last event of an execution that is about an activity task."""
    events = service.history("video", workflow_id)
    event = next(e for e in reversed(events) if e["eventType"].startswith("ActivityTask"))
    return event["eventType"], attributes_of(event)


def test_work_recipe_completes_a_task(service: Service, service_env: dict[str, str], here: Path) -> None:
    """Poll, work, complete: the program's output is the result, whatever the input holds."""
    workflow = service.schedule("video", "resize", 'it\'s $(touch gone)\n"in".png')
    result = cook("work", here, service_env)
    assert (result.code, result.stderr) == (0, "")
    assert (here / "seen.txt").read_text() == 'it\'s $(touch gone)\n"in".png\n'
    assert not (here / "gone").exists()
    kind, attributes = last_event(service, workflow)
    assert (kind, attributes["result"]) == ("ActivityTaskCompleted", "small\n")


def test_work_recipe_fails_a_task(service: Service, service_env: dict[str, str], here: Path) -> None:
    """A program that fails fails the task, with what it said."""
    workflow = service.schedule("video", "resize", "broken")
    assert cook("work", here, service_env).code == 0
    kind, attributes = last_event(service, workflow)
    assert kind == "ActivityTaskFailed"
    assert (attributes["reason"], attributes["details"]) == ("resize failed", "oops\n")


def test_file_recipe(service: Service, service_env: dict[str, str], here: Path) -> None:
    """Poll, heartbeat, complete by a file that only its owner can read."""
    workflow = service.schedule("video", "resize")
    assert cook("file", here, service_env).code == 0
    assert last_event(service, workflow)[0] == "ActivityTaskCompleted"
    assert (here / "task.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("step", "end"), [("short", "ActivityTaskCompleted"), ("broken", "ActivityTaskFailed")])
def test_heartbeat_recipe(service: Service, service_env: dict[str, str], here: Path, step: str, end: str) -> None:
    """Heartbeats go on beside the step, whose end then closes the task."""
    workflow = service.schedule("video", "encode", step)
    result = cook("heartbeat", here, service_env)
    assert (result.code, result.stderr) == (0, "")
    assert last_event(service, workflow)[0] == end


@pytest.mark.parametrize(("how", "code", "end"), [("cancel", 0, "ActivityTaskCanceled"), ("time out", 1, "TimedOut")])
def test_heartbeat_recipe_stops_the_step(
    service: Service, service_env: dict[str, str], here: Path, how: str, code: int, end: str
) -> None:
    """A step whose task is cancelled, or is closed already, is stopped; the former is answered."""
    workflow = service.schedule("video", "encode", "long")
    ended: list[Result] = []
    script = threading.Thread(target=lambda: ended.append(cook("heartbeat", here, service_env, every="1s")))
    script.start()
    wait_until(lambda: "ActivityTaskStarted" in service.names("video", workflow))
    if how == "cancel":
        service.decide("video", workflow, decision("RequestCancelActivityTask", activityId="resize-1"))
    else:
        service.advance(1000)
    script.join(30)
    assert ended[0].code == code, ended[0].stderr
    assert any(name.endswith(end) for name in service.names("video", workflow))


def test_worker_recipe(service: Service, service_env: dict[str, str], here: Path) -> None:
    """The program is run once for each task, with its input, and how it ends closes the task."""
    workflows = [service.schedule("video", "resize", name) for name in ("in.png", "it's $(touch gone)", "broken")]
    RECIPES["this"] = RECIPES["worker"].replace("--idle-exit 5m", "--idle-exit 1s")
    result = cook("this", here, service_env)
    del RECIPES["this"]
    assert (result.code, result.stdout) == (0, "")
    assert "2 completed, 1 failed" in result.stderr
    *done, failed = [last_event(service, workflow) for workflow in workflows]
    assert [attributes["result"] for _, attributes in done] == ["small", "small"]
    assert (failed[1]["reason"], failed[1]["details"]) == ("exit 3", "oops")
    assert not (here / "gone").exists()


def test_alarm_recipe(service: Service, service_env: dict[str, str], here: Path) -> None:
    """The alarm is silent below the limit, and pages when it is passed or the count can't be had."""
    service.schedule("video", "resize")
    assert cook("alarm", here, service_env).stdout == "resize\t1\nupload\t0\n"
    assert not (here / "pages.txt").exists()
    for _ in range(100):
        service.schedule("video", "resize")
    cook("alarm", here, service_env)
    cook("alarm", here, {**service_env, "AWS_ENDPOINT_URL_SWF": "http://127.0.0.1:9"})
    assert (here / "pages.txt").read_text() == "swf pending exited with 8\nswf pending exited with 1\n"


def test_held_recipe(service: Service, service_env: dict[str, str], here: Path) -> None:
    """The task that a script left open is listed, then failed; one that is gone is dropped."""
    for _ in range(2):
        service.schedule("video", "x")
        assert run("poll", "-d", "video", "-t", "x", env=service_env).code == 0
    left = run("held", env=service_env).json
    gone = left[1]
    service.call("TerminateWorkflowExecution", domain="video", workflowId=gone["execution"]["id"])
    result = cook("held", here, service_env)
    assert result.code == 0, result.stderr
    assert left[0]["key"] in result.stdout
    assert gone["key"] not in result.stdout
    kind, attributes = last_event(service, left[0]["execution"]["id"])
    assert (kind, attributes["reason"]) == ("ActivityTaskFailed", "its script died")
    assert run("held", env=service_env).json == []


def test_stuck_recipes(service: Service, service_env: dict[str, str], here: Path) -> None:
    """Symptom to fix: what a dead script left is shown with its command, pages once, and is closed by it."""
    workflow = service.schedule("video", "x", scheduleToCloseTimeout="NONE", startToCloseTimeout="86400")
    assert run("poll", "-d", "video", "-t", "x", env=service_env).code == 0
    assert cook("stuckalarm", here, service_env).code == 0
    assert not (here / "pages.txt").exists()
    service.advance(2000)
    RECIPES["this"] = RECIPES["stuck"].replace("video-7", workflow)
    shown = cook("this", here, service_env)
    del RECIPES["this"]
    assert (shown.code, shown.stderr) == (0, "")
    assert "held-here for 33m" in shown.stdout
    assert "timeline" in shown.stdout
    cook("stuckalarm", here, service_env)
    page = (here / "pages.txt").read_text()
    assert page.startswith("swf stuck exited with 8: held-here\tresize-1\t")
    assert cook("close", here, service_env).code == 0
    kind, attributes = last_event(service, workflow)
    assert (kind, attributes["reason"]) == ("ActivityTaskFailed", "script died")
    cook("stuckalarm", here, service_env)
    assert (here / "pages.txt").read_text() == page


def test_ci_recipe(bare_env: dict[str, str], here: Path) -> None:
    """A worker script that does its work passes, with no AWS settings at all; one that leaves its task fails."""
    result = cook("ci", here, bare_env)
    assert result.code == 0, result.stderr
    assert (here / "seen.txt").read_text() == "in.png\n"
    (here / "worker.sh").write_text("#!/bin/sh\nswf poll -t resize\n")
    assert cook("ci", here, bare_env).code == 1


def test_completion_recipe(bare_env: dict[str, str], here: Path) -> None:
    """The three completion scripts can be written."""
    assert cook("completion", here, bare_env).code == 0
    assert all((here / name).stat().st_size for name in ("swf.bash", "_swf", "swf.fish"))
