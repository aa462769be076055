"""The README's commands do what it says, word for word."""

import configparser
import io
import json
import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from swf_cli.processes import signal_group
from tests.helpers.cli import SWF, Result, invoke, shell, wait_until
from tests.helpers.flow import activity, attributes_of, decision
from tests.helpers.local_service import Service
from tests.helpers.operations import COUNT
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import installed, on_terminal, without_escapes

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
RECIPES = dict(re.findall(r"<!-- recipe: (\w+) -->\n```sh\n(.*?)```", README, re.DOTALL))
HANDLERS = dict(re.findall(r"<!-- handler: (\w+) -->\n```\w+\n(.*?)```", README, re.DOTALL))
FOR_CI = re.findall(r"<!-- (setup-and-\w+) -->\n```sh\n.*\n```", README)
"""The two commands that CI runs, of one line each."""

# Stand-ins for the programs that the recipes leave to the reader.
PROGRAMS = {
    "worker.sh": RECIPES["work"],
    "resize": """echo "$1" >> seen.txt
case "$1" in
broken) echo oops >&2; exit 3 ;;
binary) printf '\\377' ;;
*) echo small ;;
esac""",
    "encode": """case "$1" in
long) trap 'kill "$!"; sleep 0.2; touch stopped; exit 3' TERM; touch started; sleep 100 & wait ;;
broken) exit 3 ;;
esac""",
    "page-me": 'echo "$1" >> pages.txt',
    "post-to-chat": "cat >> chat.txt",
}
MODULES = {
    "video.py": "def resize(name):\n    return 'small' if name != 'broken' else 1 / 0\n",
    "video.js": "exports.resize = (name) => { if (name === 'broken') throw new TypeError('oops'); return 'small' }\n",
}
UNLIMITED = dict.fromkeys(
    ("scheduleToCloseTimeout", "scheduleToStartTimeout", "startToCloseTimeout", "heartbeatTimeout"), "NONE"
)
TESTED = (
    "work",
    "file",
    "heartbeat",
    "worker",
    "handlers",
    "alarm",
    "held",
    "stuck",
    "close",
    "stuckalarm",
    "chat",
    "ci",
    "advance",
    "completion",
    "serve",
)


def test_every_shell_block_is_run() -> None:
    """Each shell block is a recipe that a test below runs, or one of the two commands that CI runs."""
    assert set(RECIPES) == set(TESTED)
    assert FOR_CI == ["setup-and-demo", "setup-and-test"]
    assert len(re.findall(r"^```sh$", README, re.MULTILINE)) == len(TESTED) + len(FOR_CI)


@pytest.mark.parametrize("name", ["completion", "serve"])
def test_what_is_pasted_has_no_comments(name: str) -> None:
    """An interactive zsh takes them for commands."""
    assert "#" not in RECIPES[name]


@pytest.mark.parametrize("name", TESTED)
def test_no_comment_opens_a_quote(name: str) -> None:
    """Pasted into an interactive zsh, a recipe would wait for the closing one."""
    assert not re.search(r"""(^|\s)#[^\n]*['"`]""", RECIPES[name], re.MULTILINE)


def test_the_first_command_is_the_demo() -> None:
    """The first shell block sets everything up and runs the demo."""
    first = re.search(r"^```sh\n(.*?)```", README, re.DOTALL | re.MULTILINE)
    assert first
    assert first[1].endswith("&& .venv/bin/swf local demo\n")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with the stand-ins."""
    for name, body in PROGRAMS.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    for name, text in MODULES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def changed_recipe(recipe: str, *changes: tuple[str, str]) -> str:
    """Return a recipe in which texts are replaced."""
    script: str = RECIPES[recipe]
    for old, new in changes:
        assert old in script
        script = script.replace(old, new)
    return script


def run_recipe(recipe: str, here: Path, env: dict[str, str], *changes: tuple[str, str], stdin: str = "") -> Result:
    """Run a recipe in a folder, by the system's POSIX shell; `changes` are texts to replace in it."""
    path = f"{here}:{env['PATH']}"
    script = f"cd {here}\n{changed_recipe(recipe, *changes)}"
    return shell(script, env={**env, "PATH": path}, program="sh", stdin=stdin)


def last_event(service: Service, workflow_id: str) -> tuple[str, Any]:
    """Return type and attributes of the last event of an execution that is about an activity task."""
    events = service.history("video", workflow_id)
    event = next(e for e in reversed(events) if e["eventType"].startswith("ActivityTask"))
    return event["eventType"], attributes_of(event)


def test_work_recipe_completes_a_task(service: Service, service_env: dict[str, str], here: Path) -> None:
    """Poll, work, complete: the program's output is the result, whatever the input holds."""
    workflow = service.schedule("video", "resize", 'it\'s $(touch gone)\n"in".png')
    result = run_recipe("work", here, service_env)
    assert (result.code, result.stderr) == (0, "")
    assert (here / "seen.txt").read_text() == 'it\'s $(touch gone)\n"in".png\n'
    assert not (here / "gone").exists()
    kind, attributes = last_event(service, workflow)
    assert (kind, attributes["result"]) == ("ActivityTaskCompleted", "small\n")


def test_work_recipe_fails_a_task(service: Service, service_env: dict[str, str], here: Path) -> None:
    """A program that fails fails the task, with what it said."""
    workflow = service.schedule("video", "resize", "broken")
    assert run_recipe("work", here, service_env).code == 0
    kind, attributes = last_event(service, workflow)
    assert kind == "ActivityTaskFailed"
    assert (attributes["reason"], attributes["details"]) == ("resize failed", "oops\n")


def test_work_recipe_fails_a_task_whose_result_is_none(
    service: Service, service_env: dict[str, str], here: Path
) -> None:
    """A result that `swf complete` rejects is no reason to leave the task open."""
    workflow = service.schedule("video", "resize", "binary")
    result = run_recipe("work", here, service_env)
    assert result.code == 0
    assert "not valid UTF-8" in result.stderr
    kind, attributes = last_event(service, workflow)
    assert (kind, attributes["reason"]) == ("ActivityTaskFailed", "the result is too long or not UTF-8")


@pytest.mark.parametrize(("recipe", "program"), [("work", "resize"), ("heartbeat", "encode")])
def test_a_killed_poll_is_no_task(service_env: dict[str, str], here: Path, recipe: str, program: str) -> None:
    """If `swf poll` is killed before it prints anything, the script ends, and does not take the last task again."""
    (here / program).write_text("#!/bin/sh\ntouch ran\n")
    last_task = {"SWF_TASK_TOKEN": "TOKEN", "SWF_TASK_INPUT": "in.png"}
    result = run_recipe(recipe, here, service_env | last_task, ("swf poll", "exec sh -c 'kill -9 $$'"))
    assert result.code == 128 + signal.SIGKILL
    assert not (here / "ran").exists()


def test_file_recipe(service: Service, service_env: dict[str, str], here: Path) -> None:
    """Poll, heartbeat, complete by a file that only its owner can read."""
    workflow = service.schedule("video", "resize")
    assert run_recipe("file", here, service_env).code == 0
    assert last_event(service, workflow)[0] == "ActivityTaskCompleted"
    assert (here / "task.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("step", "end"), [("short", "ActivityTaskCompleted"), ("broken", "ActivityTaskFailed")])
def test_heartbeat_recipe(service: Service, service_env: dict[str, str], here: Path, step: str, end: str) -> None:
    """Heartbeats are sent while the step runs; how it ends closes the task."""
    workflow = service.schedule("video", "encode", step)
    result = run_recipe("heartbeat", here, service_env)
    assert (result.code, result.stderr) == (0, "")
    assert last_event(service, workflow)[0] == end


STEPS_END = {
    "cancel": (0, "ActivityTaskCanceled"),
    "time out": (1, "ActivityTaskTimedOut"),
    "SIGINT": (1, "ActivityTaskFailed"),
    "SIGTERM": (1, "ActivityTaskFailed"),
}


@pytest.mark.parametrize("program", ["sh", "bash"])
@pytest.mark.parametrize("how", STEPS_END)
def test_heartbeat_recipe_stops_the_step(
    service: Service, service_env: dict[str, str], here: Path, program: str, how: str
) -> None:
    """If the task is cancelled or closed, or the script is to end, the step ends before the task is closed."""
    workflow = service.schedule("video", "encode", "long")
    responses = [(f"swf {verb}", f"[ -e stopped ] && swf {verb}") for verb in ("cancel", "fail")]
    waits = ('wait "$!"', 'touch waits; wait "$!"')
    script = changed_recipe("heartbeat", ("--every 20s", "--every 1s"), waits, *responses)
    env = {**service_env, "PATH": f"{here}:{Path(SWF).parent}:{service_env['PATH']}"}
    with subprocess.Popen([program, "-c", script], env=env, cwd=here, process_group=0) as process:
        try:
            wait_until(lambda: (here / "started").exists() and (here / "waits").exists())
            if how == "cancel":
                service.decide("video", workflow, decision("RequestCancelActivityTask", activityId="resize-1"))
            elif how == "time out":
                service.advance(1000)
            elif how == "SIGINT":  # Ctrl-C: to all processes
                os.killpg(process.pid, signal.SIGINT)
            else:
                process.terminate()
            process.wait(30)
        finally:
            signal_group(process.pid, signal.SIGKILL)
    code, end = STEPS_END[how]
    assert process.returncode == code
    assert (here / "stopped").exists()
    assert end in service.names("video", workflow)


def test_worker_recipe(service: Service, service_env: dict[str, str], here: Path) -> None:
    """The program is run once for each task, with its input, and how it ends closes the task."""
    workflows = [service.schedule("video", "resize", name) for name in ("in.png", "it's $(touch gone)", "broken")]
    result = run_recipe("worker", here, service_env, ("--idle-exit 5m", "--max-tasks 3"))
    assert (result.code, result.stdout) == (0, "")
    assert "2 completed, 1 failed" in result.stderr
    *done, failed = [last_event(service, workflow) for workflow in workflows]
    assert [attributes["result"] for _, attributes in done] == ["small", "small"]
    assert (failed[1]["reason"], failed[1]["details"]) == ("exit 3", "oops")
    assert not (here / "gone").exists()


def test_alarm_recipe(service: Service, service_env: dict[str, str], stub: StubService, here: Path) -> None:
    """The alarm is silent below the limit, and pages when it is passed or the count can't be had."""
    service.schedule("video", "resize")
    assert run_recipe("alarm", here, service_env).stdout == ""
    assert not (here / "pages.txt").exists()
    for _ in range(100):
        service.schedule("video", "resize")
    run_recipe("alarm", here, service_env)
    stub.fault(COUNT, "UnknownResourceFault", "Unknown domain")
    run_recipe("alarm", here, {**service_env, "AWS_ENDPOINT_URL_SWF": stub.url})
    pages = "swf pending exited with 8: resize\t101\nupload\t0\nswf pending exited with 1: resize\t\nupload\t\n"
    assert (here / "pages.txt").read_text() == pages


def test_held_recipe(service: Service, service_env: dict[str, str], here: Path) -> None:
    """The task that a script left open is shown, and failed if the reader says so; one that is closed is dropped."""
    for _ in range(2):
        service.schedule("video", "x")
        assert invoke("poll", "-d", "video", "-t", "x", env=service_env).code == 0
    left = invoke("held", env=service_env).json
    gone = left[1]
    service.call("TerminateWorkflowExecution", domain="video", workflowId=gone["execution"]["id"])
    for answer in ("n\n", ""):
        assert run_recipe("held", here, service_env, stdin=answer).code == 0
        assert [row["key"] for row in invoke("held", env=service_env).json] == [left[0]["key"]]
    result = run_recipe("held", here, service_env, stdin="y\n")
    assert result.code == 0, result.stderr
    shown = result.stderr.splitlines()[0].split("\t")
    assert shown[:4] == [left[0]["key"], "resize-1", left[0]["execution"]["id"], "x"]
    kind, attributes = last_event(service, left[0]["execution"]["id"])
    assert (kind, attributes["reason"]) == ("ActivityTaskFailed", "script died")
    assert invoke("held", env=service_env).json == []


def test_held_recipe_spares_a_task_whose_worker_lives(
    service: Service, service_env: dict[str, str], here: Path
) -> None:
    """The task of a worker that runs is left alone, though it is the newest."""
    service.schedule("video", "x")
    assert invoke("poll", "-d", "video", "-t", "x", env=service_env).code == 0
    service.schedule("video", "y")
    command = [SWF, "work", "-d", "video", "-t", "y", "--", "sh", "-c", "until [ -e done ]; do sleep 0.05; done"]
    worker = subprocess.Popen(command, env=service_env, cwd=here, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: [row["holder_alive"] for row in invoke("held", env=service_env).json] == [True, None])
        assert run_recipe("held", here, service_env, stdin="y\n").code == 0
        assert [row["holder_alive"] for row in invoke("held", env=service_env).json] == [True]
        assert run_recipe("held", here, service_env, stdin="y\n").stderr == ""
        assert [row["holder_alive"] for row in invoke("held", env=service_env).json] == [True]
        with closing(sqlite3.connect(Path(service_env["SWF_STATE_DIR"], "ledger.sqlite3"))) as rows, rows:
            rows.execute("UPDATE held SET host = 'build-17', holder = 'holder-0123456789abcdef', holder_start = NULL")
        assert run_recipe("held", here, service_env, stdin="y\n").stderr == ""
        assert [row["holder_alive"] for row in invoke("held", env=service_env).json] == [None]
    finally:
        (here / "done").touch()
        worker.terminate()
        worker.wait(30)


def kill_worker(service_env: dict[str, str], *options: str) -> None:
    """Start a worker, and once its command runs kill both: a task is left that no one works on."""
    command = [SWF, "work", "-d", "video", *options, "--", "sleep", "100"]
    worker = subprocess.Popen(command, env=service_env, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: any(row["command_pid"] for row in invoke("held", env=service_env).json))
    finally:
        worker.kill()
        worker.wait()
    for row in invoke("held", env=service_env).json:
        if row["command_pid"]:
            os.killpg(row["command_pid"], signal.SIGKILL)
    wait_until(lambda: not any(row["command_pid"] for row in invoke("held", env=service_env).json))


def test_stuck_recipes(service: Service, service_env: dict[str, str], here: Path) -> None:
    """Symptom to fix: what died is shown with what to do, pages, and is closed if that is safe."""
    script = service.schedule("video", "x", scheduleToCloseTimeout="NONE", startToCloseTimeout="86400")
    assert invoke("poll", "-d", "video", "-t", "x", env=service_env).code == 0
    assert run_recipe("stuckalarm", here, service_env).code == 0
    assert not (here / "pages.txt").exists()
    service.advance(2000)
    shown = run_recipe("stuck", here, service_env, ("video-7", script))
    assert (shown.code, shown.stderr) == (0, "")
    assert re.search(r"^held-here +x +1 +33m", shown.stdout, re.MULTILINE)
    assert "timeline" in shown.stdout
    run_recipe("stuckalarm", here, service_env)
    page = (here / "pages.txt").read_text()
    assert re.match(r"swf stuck exited with 8: held-here\t[-0-9T:]+Z\tx\tresize-1\t", page)

    worker = service.schedule("video", "y", scheduleToCloseTimeout="NONE", startToCloseTimeout="86400")
    kill_worker(service_env, "-t", "y")
    key = invoke("held", "-t", "y", env=service_env).json[0]["key"]
    closed = run_recipe("close", here, service_env)
    assert closed.code == 0
    assert f"+ swf fail --held {key} " in closed.stderr
    kind, attributes = last_event(service, worker)
    assert (kind, attributes["reason"]) == ("ActivityTaskFailed", "worker died")
    assert last_event(service, script)[0] == "ActivityTaskStarted"


def test_chat_recipe(service: Service, service_env: dict[str, str], here: Path) -> None:
    """Lists on which tasks wait are reported, unless one of their tasks is running."""
    for task_list in ("busy", "busy", "idle", "idle"):
        service.schedule("video", task_list)
    assert invoke("poll", "-d", "video", "-t", "busy", env=service_env).code == 0
    assert run_recipe("chat", here, service_env).code == 0
    assert re.fullmatch(r"idle: 2 waiting since [-0-9T:]+Z, none running\n", (here / "chat.txt").read_text())
    for _ in range(2):
        assert invoke("poll", "-d", "video", "-t", "idle", env=service_env).code == 0
    (here / "chat.txt").unlink()
    assert run_recipe("chat", here, service_env).code == 0
    assert not (here / "chat.txt").exists()


def test_handlers_recipe(service: Service, service_env: dict[str, str], here: Path) -> None:
    """Each task of two lists runs the program that is named like its activity."""
    folder = here / "handlers"
    folder.mkdir()
    for name in ("resize", "upload"):
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $(cat)"\n')
        (folder / name).chmod(0o755)
    for name in ("resize", "upload", "crop"):
        task_list = "resize" if name == "crop" else name
        options = ("-d", "video", "-t", task_list, "--activity", name, "--workflow-id", name, "--input", "in.png")
        made = invoke("local", "schedule", *options, env=service_env)
        assert made.code == 0, made.stderr
    result = run_recipe("handlers", here, service_env, ("--idle-exit 5m", "--max-tasks 3"))
    assert result.code == 0, result.stderr
    assert last_event(service, "resize")[1]["result"] == "resize in.png"
    assert last_event(service, "upload")[1]["result"] == "upload in.png"
    assert last_event(service, "crop")[1]["reason"] == "no handler for crop"


def handler_command(name: str, here: Path) -> list[str]:
    """Write a handler of the README to a file, and return its command; skip the test if its programs are missing."""
    programs = {"python": [sys.executable], "bash": ["bash", "jq"], "node": ["node"]}[name]
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"no {program}")
    file = here / {"python": "handler.py", "bash": "handler.sh", "node": "handler.js"}[name]
    file.write_text(HANDLERS[name])
    return [programs[0], str(file)]


@pytest.mark.parametrize("name", HANDLERS)
def test_stream_handlers(service: Service, service_env: dict[str, str], here: Path, name: str) -> None:
    """A handler completes and fails tasks, one after the other, whatever their input holds."""
    command = handler_command(name, here)
    inputs = ("in.png", 'it\'s $(touch gone)\n"in".png', "broken", "in.png")
    workflows = [service.schedule("video", "resize", text) for text in inputs]
    options = ("-d", "video", "-t", "resize", "--max-tasks", str(len(inputs)), "--stream")
    work = [SWF, "work", *options, "--", *command]
    done = subprocess.run(work, env=service_env, cwd=here, capture_output=True, text=True, timeout=60, check=True)
    assert "3 completed, 1 failed" in done.stderr
    ends = [last_event(service, workflow)[1] for workflow in workflows]
    assert [end.get("result") for end in ends] == ["small", "small", None, "small"]
    assert ends[2]["reason"] == {"python": "ZeroDivisionError", "bash": "exit 3", "node": "TypeError"}[name]
    assert not (here / "gone").exists()


@pytest.mark.parametrize("name", HANDLERS)
def test_stream_handlers_skip_a_late_cancellation(bare_env: dict[str, str], here: Path, name: str) -> None:
    """A request for cancellation that comes after the response gets none of its own."""
    lines = ['{"input": "in.png"}', '{"cancel_requested": true}', '{"input": null}']
    command, given = handler_command(name, here), "".join(f"{line}\n" for line in lines)
    env = {**bare_env, "PATH": os.environ["PATH"]}
    done = subprocess.run(command, env=env, cwd=here, input=given, capture_output=True, text=True, check=True)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"result": "small"}] * 2, done.stderr


def test_handlers_are_short() -> None:
    """There are three, of about ten lines."""
    assert list(HANDLERS) == ["python", "bash", "node"]
    assert max(len(text.split("\n\n")[-1].splitlines()) for text in HANDLERS.values()) <= 11


def unit() -> configparser.ConfigParser:
    """Return the README's systemd unit."""
    text = re.search(r"<!-- unit -->\n```ini\n(.*?)```", README, re.DOTALL)
    assert text
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text[1])
    return parser


def here_for(words: list[str], here: Path) -> list[str]:
    """Return a command of the README with the programs and files that are there."""
    paths = {"swf": SWF, "/usr/local/bin/swf": SWF, "/opt/video/resize": str(here / "resize")}
    return [paths.get(word, word.replace("/tmp/alive", str(here / "alive"))) for word in words]


def test_the_systemd_unit(service: Service, service_env: dict[str, str], here: Path) -> None:
    """Under the unit's command, systemd learns that the worker is ready, alive and stopping; it exits in time."""
    settings = unit()["Service"]
    assert (settings["Type"], settings["KillMode"]) == ("notify", "mixed")
    workflow = service.schedule("video", "resize")
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"{folder}/notify")
        systemd.settimeout(60)
        env = {**service_env, "NOTIFY_SOCKET": f"{folder}/notify", "WATCHDOG_USEC": "200000"}
        command = here_for(shlex.split(settings["ExecStart"]), here)
        worker = subprocess.Popen(command, env=env, cwd=here, stderr=subprocess.DEVNULL)
        try:
            awaited = {b"READY=1", b"WATCHDOG=1"}
            while awaited:
                awaited.discard(state := systemd.recv(100))
                assert state in (b"READY=1", b"WATCHDOG=1")
            wait_until(lambda: service.names("video", workflow)[-2] == "ActivityTaskCompleted")
            worker.terminate()
            while (state := systemd.recv(100)) != b"STOPPING=1":
                assert state == b"WATCHDOG=1"
            assert worker.wait(30) == 0
        finally:
            worker.kill()
            worker.wait()


@pytest.mark.parametrize("program", installed("systemd-analyze"))
def test_systemd_accepts_the_unit(here: Path, program: str) -> None:
    """The unit has no fault that systemd finds: no setting is misspelled, or in the wrong section."""
    text = io.StringIO()
    unit().write(text, space_around_delimiters=False)
    file = here / "worker.service"
    file.write_text(text.getvalue().replace("/usr/local/bin/swf", SWF))
    done = subprocess.run([program, "verify", "--man=no", str(file)], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "worker.service" in line] == []


def test_the_kubernetes_manifest(service: Service, service_env: dict[str, str], here: Path) -> None:
    """The probe passes while SWF answers the worker, and fails once that was too long ago."""
    manifest = re.search(r"<!-- manifest -->\n```yaml\n(.*?)```", README, re.DOTALL)
    assert manifest
    assert f"terminationGracePeriodSeconds: {unit()['Service']['TimeoutStopSec']}\n" in manifest[1]
    commands = [json.loads(words) for words in re.findall(r"command: (\[.*\])", manifest[1])]
    command, probe = (here_for(words, here) for words in commands)
    alive = here / "alive"
    service.flow("video")

    def is_alive() -> bool:
        return subprocess.run(probe, cwd=here, stderr=subprocess.DEVNULL, check=False).returncode == 0

    assert not is_alive()
    variables = dict(re.findall(r"- \{name: (\w+), value: (\w+)\}", manifest[1]))
    worker = subprocess.Popen(command, env=service_env | variables, cwd=here, stderr=subprocess.DEVNULL)
    try:
        wait_until(is_alive)
        os.utime(alive, (0, 0))
        assert not is_alive()
        wait_until(is_alive)
        worker.terminate()
        assert worker.wait(30) == 0
    finally:
        worker.kill()
        worker.wait()


def test_ci_recipe(bare_env: dict[str, str], here: Path) -> None:
    """A worker script that does its work passes, with no AWS settings at all; one that leaves its task fails."""
    result = run_recipe("ci", here, bare_env)
    assert result.code == 0, result.stderr
    assert (here / "seen.txt").read_text() == "in.png\n"
    (here / "worker.sh").write_text("#!/bin/sh\nswf poll -t resize\n")
    assert run_recipe("ci", here, bare_env).code == 1


def test_serve_recipe(bare_env: dict[str, str], here: Path) -> None:
    """A local SWF is served, a task is completed in the same shell, and nothing is left running."""
    result = run_recipe("serve", here, bare_env)
    assert result.code == 0, result.stderr
    assert '"task_list": "resize", "count": 1' in result.stdout
    assert invoke("held", env=bare_env).json == []


def screen(name: str) -> tuple[list[str], str]:
    """Return the arguments of `swf` for a screen of the README, and the screen."""
    shown = re.search(rf"<!-- screen: {name} -->\n```text\n\$ swf (.*)\n(.*?)```", README, re.DOTALL)
    assert shown
    return shown[1].split(), shown[2]


def start_task(service: Service, workflow: str, task: str, task_list: str, **timeouts: str) -> None:
    """Schedule a task, by default without timeouts, in a new execution."""
    flow, decisions = service.flow("video"), {"name": f"decider of {workflow}"}
    flow.start(workflow, taskList=decisions, executionStartToCloseTimeout="864000")
    token = service.call("PollForDecisionTask", domain="video", taskList=decisions)["taskToken"]
    scheduled = activity(task, task_list, **{**UNLIMITED, **timeouts})
    service.call("RespondDecisionTaskCompleted", taskToken=token, decisions=[scheduled])


def test_the_screen_of_stuck(service: Service, service_env: dict[str, str]) -> None:
    """The README's screen is what the command prints on a terminal of 80 columns, but for ids and times."""
    arguments, shown = screen("stuck")
    flow = service.flow("video")
    flow.start("video-12", taskList={"name": "deciders"}, executionStartToCloseTimeout="864000")
    service.advance(600)
    for number in (9, 10, 11):
        start_task(service, f"video-{number}", "upload-1", "uplaod")
    start_task(service, "video-7", "resize-1", "resize", startToCloseTimeout="7200")
    kill_worker(service_env, "-t", "resize", "--identity", "worker-1:32190")
    service.advance(2460)
    result = on_terminal(*arguments, env=service_env)
    assert _without_ids(result.stdout) == _without_ids(shown)


def test_the_screen_of_tasks(service: Service, service_env: dict[str, str]) -> None:
    """So is that of an execution's tasks."""
    arguments, shown = screen("tasks")
    flow, decisions = service.flow("video"), {"name": "deciders"}
    flow.start("video-8", taskList=decisions, executionStartToCloseTimeout="864000")

    def schedule(task: str, task_list: str, **timeouts: str) -> None:
        token = service.call("PollForDecisionTask", domain="video", taskList=decisions)["taskToken"]
        scheduled = activity(task, task_list, **{**UNLIMITED, **timeouts})
        service.call("RespondDecisionTaskCompleted", taskToken=token, decisions=[scheduled])

    def start(waits: int, task_list: str, identity: str, runs: int) -> str:
        service.advance(waits)
        options = ("-d", "video", "-t", task_list, "--identity", identity)
        key: str = invoke("poll", *options, env=service_env).json["held_key"]
        service.advance(runs)
        return key

    schedule("resize-1", "resize")
    key = start(20, "resize", "worker-1:301", 310)
    assert invoke("complete", "--held", key, "--result", "out.png", env=service_env).code == 0
    schedule("upload-1", "upload", startToCloseTimeout="300")
    start(15, "upload", "worker-2:88", 305)
    schedule("upload-2", "upload", startToCloseTimeout="300")
    key = start(5, "upload", "worker-2:88", 90)
    failed = invoke(
        "fail", "--held", key, "--reason", "exit 3", "--details", "no such bucket: videos", env=service_env
    )
    assert failed.code == 0
    schedule("upload-3", "upload")
    service.advance(30)
    result = on_terminal(*arguments, env=service_env)
    assert _without_ids(result.stdout) == _without_ids(shown)


def _without_ids(text: str) -> list[str]:
    times = r"\d{4}-\d\d-\d\dT[0-9:]+Z|\b\d+h\d+m|\b(\d+m)?\d+s\b"
    patterns = rf"\b[0-9a-f]{{8}}\b|\b22\S{{43}}=|{times}|, \d+, has died| *[█░⧖✓✗]+"
    return [re.sub(patterns, "*", line.rstrip()) for line in without_escapes(text).splitlines()]


def test_advance_recipe(bare_env: dict[str, str], here: Path) -> None:
    """A timeout of ten minutes is tested in no time."""
    assert run_recipe("advance", here, bare_env).code == 0
    changed = run_recipe("advance", here, bare_env, ("advance 11m", "advance 9m"))
    assert changed.code == 1


def test_the_python_block(service: Service, service_env: dict[str, str], here: Path) -> None:
    """The Python example completes a task, as it stands."""
    block = re.search(r"<!-- python -->\n```python\n(.*?)```", README, re.DOTALL)
    assert block
    workflow = service.schedule("video", "resize")
    subprocess.run([sys.executable, "-c", block[1]], env=service_env, cwd=here, check=True)
    assert last_event(service, workflow)[0] == "ActivityTaskCompleted"


def test_completion_recipe(bare_env: dict[str, str], here: Path) -> None:
    """The three files are the scripts that the package ships."""
    assert run_recipe("completion", here, bare_env).code == 0
    shipped = Path(__file__).parents[2] / "completions"
    for name in ("swf.bash", "_swf", "swf.fish"):
        assert (here / name).read_text("utf-8") == (shipped / name).read_text("utf-8")
