"""The README's recipes with ids, identities and list names that others chose: nothing of them runs or changes."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from swf_cli.ledger.records import PollSource, Taker
from swf_cli.ledger.store import Ledger
from swf_cli.models import ActivityId, ExecutionId, WorkerTask
from tests.helpers.cli import TASK, Result, invoke, shell
from tests.helpers.events import event
from tests.helpers.operations import (
    COMPLETE,
    COUNT,
    FAIL,
    HEARTBEAT,
    HISTORY,
    LIST_CLOSED,
    LIST_OPEN,
    POLL,
)
from tests.helpers.stub_service import StubService
from tests.promises.test_readme import PROGRAMS, RECIPES

HOSTILE = (
    "$(touch ran)",
    "`touch ran`",
    "; touch ran;",
    "& touch ran &",
    "| touch ran",
    "> ran",
    "'; touch ran; '",
    '"; touch ran; "',
    "a'$(touch ran)\"$(touch ran)'",
    "swf fail --held x; touch ran",
    "#; touch ran",
    "-rf",
    "--help",
    "~/*",
    "{touch,ran}",
    "\\$(touch ran)\\",
    " leading and trailing ",
    "!!",
    "${IFS}touch${IFS}ran",
    "é 日本 😀",
)
RECORD = 'printf "%s\\0" "$@" "$SWF_TASK_ID" "$SWF_ACTIVITY_NAME" "$SWF_WORKFLOW_ID" > seen'
NOW = 1_795_485_600.0
A_YEAR_AGO = NOW - 31_536_000


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with the programs that the recipes run, which record what they get."""
    here = tmp_path / "here"
    here.mkdir()
    for name in (*PROGRAMS, "aws"):
        program = here / name
        program.write_text(f"#!/bin/sh\n{RECORD}\n")
        program.chmod(0o755)
    return here


def run_recipe(name: str, here: Path, env: dict[str, str], stdin: str = "") -> Result:
    """Run a recipe by the system's POSIX shell."""
    path = f"{here}:{env['PATH']}"
    return shell(f"cd {here}\n{RECIPES[name]}", env=env | {"PATH": path}, program="sh", stdin=stdin)


def ran(here: Path) -> list[Path]:
    """Return the traces that something of a value ran."""
    return list(here.parent.rglob("ran*"))


TASKS = [HOSTILE[first : first + 4] for first in range(0, len(HOSTILE), 4)]
"""Id, activity, workflow ID and input of tasks."""


def hostile_task(activity_id: str, activity: str, workflow_id: str, task_input: str) -> dict[str, Any]:
    """Return SWF's response to a poll that receives such a task."""
    return {
        "taskToken": f"TOKEN {activity_id}",
        "activityId": activity_id,
        "activityType": {"name": activity, "version": "1"},
        "workflowExecution": {"workflowId": workflow_id, "runId": "RUN"},
        "startedEventId": 6,
        "input": task_input,
    }


@pytest.mark.parametrize("recipe", ["work", "heartbeat"])
@pytest.mark.parametrize("values", TASKS)
def test_a_task_of_hostile_values(
    recipe: str, values: tuple[str, str, str, str], stub: StubService, env: dict[str, str], here: Path
) -> None:
    """The program gets id, activity, workflow ID and input byte for byte, and the task is completed."""
    activity_id, activity, workflow_id, task_input = values
    stub.reply(POLL, hostile_task(*values))
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    stub.reply(COMPLETE)
    path = f"{here}:{env['PATH']}"
    script = RECIPES[recipe].replace("--every 20s", "--every 1s")
    result = shell(f"cd {here}\n{script}", env=env | {"SWF_IDENTITY": workflow_id, "PATH": path}, program="sh")
    assert result.code == 0, result.stderr
    assert (here / "seen").read_text().split("\0")[:-1] == [task_input, activity_id, activity, workflow_id]
    assert dict(stub.requests)[POLL]["identity"] == workflow_id
    assert COMPLETE in stub.operations()
    assert ran(here) == []


def test_a_worker_of_hostile_values(stub: StubService, env: dict[str, str], here: Path) -> None:
    """Its commands get the same, but `read` of a shell strips what surrounds a line."""
    for values in TASKS:
        stub.reply(POLL, hostile_task(*values))
    stub.reply(POLL, {})
    stub.reply(COMPLETE)
    script = RECIPES["worker"].replace("--idle-exit 5m", f"--max-tasks {len(TASKS)}")
    for program in PROGRAMS:
        (here / program).write_text(f"#!/bin/sh\n{RECORD.replace('> seen', '> seen.$$')}\n")
    path = f"{here}:{env['PATH']}"
    result = shell(f"cd {here}\n{script}", env=env | {"SWF_IDENTITY": HOSTILE[0], "PATH": path}, program="sh")
    assert result.code == 0, result.stderr
    seen = [tuple(file.read_text().split("\0")[:-1]) for file in here.glob("seen.*")]
    assert sorted(seen) == sorted((task_input.strip(), *names) for *names, task_input in TASKS)
    assert {arguments["identity"] for operation, arguments in stub.requests if operation == POLL} == {HOSTILE[0]}
    assert stub.operations().count(COMPLETE) == len(TASKS)
    assert ran(here) == []


def test_handlers_of_hostile_names(stub: StubService, env: dict[str, str], here: Path) -> None:
    """An activity's name is the name of a file in the folder, or its task fails: it leads nowhere else."""
    names = ("../resize", "/bin/sh", "..", "handlers/../../resize", *HOSTILE[:16])
    (here / "handlers").mkdir()
    handler = here / "handlers" / HOSTILE[0]
    handler.write_text("#!/bin/sh\ncat\n")
    handler.chmod(0o755)
    for name in names:
        stub.reply(POLL, TASK | {"taskToken": f"TOKEN {name}", "activityType": {"name": name, "version": "1"}})
    stub.reply(POLL, {})
    stub.reply(FAIL)
    stub.reply(COMPLETE)
    script = RECIPES["handlers"].replace("--idle-exit 5m", f"--max-tasks {len(names)}")
    result = shell(f"cd {here}\n{script}", env=env, program="sh")
    assert result.code == 0, result.stderr
    failed = {arguments["taskToken"]: arguments["reason"] for kind, arguments in stub.requests if kind == FAIL}
    assert failed == {f"TOKEN {name}": f"no handler for {name}" for name in names if name != HOSTILE[0]}
    assert [arguments["taskToken"] for kind, arguments in stub.requests if kind == COMPLETE] == [
        f"TOKEN {HOSTILE[0]}"
    ]
    assert not (here / "seen").exists()
    assert ran(here) == []


def history(name: str, *, is_started: bool = True) -> dict[str, Any]:
    """Return the history of an execution with one open task, all of whose names are one."""
    scheduled = {
        "activityId": name,
        "activityType": {"name": name, "version": "1"},
        "taskList": {"name": name},
        **dict.fromkeys(("scheduleToStartTimeout", "scheduleToCloseTimeout"), "NONE"),
        **dict.fromkeys(("startToCloseTimeout", "heartbeatTimeout"), "NONE"),
    }
    started = event(6, "ActivityTaskStarted", A_YEAR_AGO + 6, scheduledEventId=5, identity=name)
    waiting = [
        event(5, "ActivityTaskScheduled", A_YEAR_AGO + 5, **scheduled),
        event(1, "WorkflowExecutionStarted", A_YEAR_AGO + 1),
    ]
    return {"events": [started, *waiting] if is_started else waiting}


def open_executions() -> list[dict[str, Any]]:
    """Return an open execution for each hostile name, as a list shows it."""
    rows = [{"execution": {"workflowId": name, "runId": f"RUN-{n}"}} for n, name in enumerate(HOSTILE)]
    return [{**row, "startTimestamp": A_YEAR_AGO, "executionStatus": "OPEN"} for row in rows]


@pytest.fixture
def stuck_env(stub: StubService, env: dict[str, str]) -> dict[str, str]:
    """An environment with an open execution for each hostile name, some of whose tasks a dead worker here held."""
    stub.reply(LIST_OPEN, {"executionInfos": open_executions()})
    stub.reply(LIST_CLOSED, {"executionInfos": []})
    stub.reply(COUNT, {"count": 0})
    stub.compute(HISTORY, lambda arguments: history(arguments["execution"]["workflowId"]))
    stub.reply(FAIL)
    return env


def hold(env: dict[str, str], endpoint: str, *names: str, taken_by: Taker = "work") -> dict[str, str]:
    """Put tasks of these names in the ledger, as a dead process leaves them; return their tokens by key."""
    keys = {}
    with Ledger(Path(env["SWF_STATE_DIR"])) as ledger:
        for name in names:
            execution = ExecutionId(name, f"RUN-{HOSTILE.index(name)}")
            task = WorkerTask(f"TOKEN {name}", name, ActivityId(name, "1"), execution, 6)
            source = PollSource("video", name, name, None, "us-east-1", endpoint)
            with ledger.record_poll(source, taken_by) as record:
                assert record.assign(task)
            keys[record.key] = task.token
    return keys


def test_the_commands_of_hints(stub: StubService, stuck_env: dict[str, str], here: Path) -> None:
    """Each command that a hint ends with is what it says, run by a shell: one argument for each value."""
    domain, profile = HOSTILE[8], HOSTILE[0]
    credentials = here / "credentials"
    credentials.write_text(f"[{profile}]\naws_access_key_id = A\naws_secret_access_key = S\n")
    environ = stuck_env | {"AWS_SHARED_CREDENTIALS_FILE": str(credentials)}
    options = ("-d", domain, "--profile", profile, "--endpoint-url", stub.url)
    result = invoke("stuck", *options, env=environ)
    assert result.code == 0, result.stderr
    commands = {row["execution"]["id"]: row["hint"].partition("with its workflow: ")[2] for row in result.json}
    assert set(commands) == set(HOSTILE)
    for n, name in enumerate(HOSTILE):
        done = shell(f"cd {here}\n{commands[name]}", env={"PATH": f"{here}:{stuck_env['PATH']}"}, program="sh")
        assert (done.stdout, done.stderr, done.code) == ("", "", 0)
        arguments = (here / "seen").read_text().split("\0")[:-4]
        assert arguments[:2] == ["swf", "terminate-workflow-execution"]
        assert arguments[-2:] == [f"--workflow-id={name}", f"--run-id=RUN-{n}"]
        assert set(arguments[2:-2]) == {
            f"--domain={domain}",
            "--region=us-east-1",
            f"--profile={profile}",
            f"--endpoint-url={stub.url}",
        }
    assert ran(here) == []


def test_the_commands_of_the_screen(stub: StubService, stuck_env: dict[str, str]) -> None:
    """What to type next, below the tasks, names the domain, the worst task's workflow and its list."""
    domain = HOSTILE[6]
    screen = invoke("stuck", "-d", domain, "--color", "never", "-o", "table", env=stuck_env).stdout
    *_, more, workflow, task_list = screen.splitlines()
    commands = [shlex.split("swf" + line.partition("  swf")[2]) for line in (more, workflow, task_list)]
    worst = commands[1][-1]
    assert worst in HOSTILE
    assert commands == [
        ["swf", "stuck", "--domain", domain, "--limit", "0"],
        ["swf", "tasks", "--domain", domain, "--workflow-id", worst],
        ["swf", "stuck", "--domain", domain, "--task-list", worst],
    ]


def test_the_recipes_for_what_is_stuck(stub: StubService, stuck_env: dict[str, str], here: Path) -> None:
    """They show every task, page one line, and close those that were held here, by their keys, and nothing else."""
    names = (HOSTILE[0], HOSTILE[6], HOSTILE[9])
    keys = hold(stuck_env, stub.url, *names)
    shown = run_recipe("stuck", here, stuck_env)
    assert "20 tasks look stuck" in shown.stdout
    run_recipe("stuckalarm", here, stuck_env)
    page = (here / "seen").read_text().split("\0")[0]
    assert page.startswith("swf stuck exited with 8: holder-gone\t")
    assert page.split("\t")[2] in names
    closed = run_recipe("close", here, stuck_env)
    assert closed.code == 0, closed.stderr
    sent = [arguments for operation, arguments in stub.requests if operation == FAIL]
    assert sorted(arguments["taskToken"] for arguments in sent) == sorted(keys.values())
    assert {arguments["reason"] for arguments in sent} == {"worker died"}
    assert ran(here) == []


def test_the_recipe_for_a_chat(stub: StubService, env: dict[str, str], here: Path) -> None:
    """Each list on which a task waits is one line, with its very name."""
    stub.reply(LIST_OPEN, {"executionInfos": open_executions()})
    stub.compute(HISTORY, lambda arguments: history(arguments["execution"]["workflowId"], is_started=False))
    (here / "post-to-chat").write_text("#!/bin/sh\ncat > chat\n")
    (here / "post-to-chat").chmod(0o755)
    assert run_recipe("chat", here, env).code == 0
    lines = (here / "chat").read_text().splitlines()
    assert sorted(line.partition(": 1 waiting since ")[0] for line in lines) == sorted(HOSTILE)
    assert ran(here) == []


def test_the_recipe_for_what_is_held(stub: StubService, stuck_env: dict[str, str], here: Path) -> None:
    """It shows the newest, and fails it by its key, whatever the row's names are."""
    keys = hold(stuck_env, stub.url, *HOSTILE, taken_by="poll")
    newest = list(keys)[-1]
    result = run_recipe("held", here, stuck_env, "y\n")
    assert result.code == 0, result.stderr
    assert result.stderr.startswith(f"{newest}\t{HOSTILE[-1]}\t")
    assert [arguments["taskToken"] for operation, arguments in stub.requests if operation == FAIL] == [keys[newest]]
    assert ran(here) == []
