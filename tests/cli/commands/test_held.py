"""`swf held`, and the tasks that `--held KEY` names."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swf_cli.ledger.records import PollSource
from swf_cli.ledger.store import Ledger
from swf_cli.models import ActivityId, ExecutionId, WorkerTask
from swf_cli.processes import start_id
from tests.helpers.cli import TASK, Result, invoke, run, shell
from tests.helpers.local_service import Service
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import error_line, invoke_on_terminal, on_terminal, without_escapes

SOURCE = PollSource("video", "resize", "me@here", "west", "eu-west-1", "http://127.0.0.1:1")
HELD = WorkerTask("TOKEN", "resize-1", ActivityId("resize", "2"), ExecutionId("video-7", "RUN"), 6)
KEYS = [
    *("key", "kind", "token", "id", "activity", "execution", "task_started_execution_history_event_id", "domain"),
    *("task_list", "identity", "host", "pid", "holder_alive", "taken_by", "taken_at", "profile", "region"),
    *("endpoint", "command_pid"),
]


@pytest.fixture
def ledger(bare_env: dict[str, str]) -> Iterator[Ledger]:
    """The ledger that `swf` finds, to put rows in."""
    with Ledger(Path(bare_env["SWF_STATE_DIR"])) as ledger:
        yield ledger


def put(ledger: Ledger, task: WorkerTask | None = HELD, source: PollSource = SOURCE, taken_by: Any = "poll") -> str:
    """Put a task, or a lost poll, in the ledger, and return its key."""
    with ledger.record_poll(source, taken_by) as record:
        if task is None:
            record.mark_lost()
        else:
            assert record.assign(task)
    return record.key


def held_keys(env: dict[str, str]) -> list[str]:
    """Return the keys that `swf held` lists."""
    return [held["key"] for held in invoke("held", env=env).json]


# --- the list


def test_a_task_that_was_polled_is_listed_until_it_is_closed(service: Service, service_env: dict[str, str]) -> None:
    """From the poll on, the task is an object with the keys that scripts rely on, in their order; then gone."""
    workflow_id = service.schedule("video", "resize", "PRIVATE-INPUT")
    task = invoke("poll", "-d", "video", "-t", "resize", "--identity", "me", env=service_env).json
    result = invoke("held", env=service_env)
    assert (result.stderr, result.code) == ("", 0)
    (held,) = result.json
    assert list(held) == KEYS
    assert re.fullmatch("[0-9a-f]{8}", held["key"])
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", held["taken_at"])
    same = {*KEYS} & task.keys()
    assert same == {*task} - {"input", "held_key"}
    assert held["key"] == task["held_key"]
    assert {key: held[key] for key in same} == {key: task[key] for key in same}
    assert held["execution"]["id"] == workflow_id
    assert {key: held[key] for key in KEYS if key not in same | {"key", "pid", "taken_at"}} == {
        "kind": "task",
        "identity": "me",
        "host": socket.gethostname(),
        "holder_alive": None,
        "taken_by": "poll",
        "profile": None,
        "region": "us-east-1",
        "endpoint": service.url,
        "command_pid": None,
    }
    assert invoke("complete", "--token", task["token"], "--result", "PRIVATE-RESULT", env=service_env).code == 0
    assert invoke("held", env=service_env).json == []
    kept = b"".join(path.read_bytes() for path in Path(service_env["SWF_STATE_DIR"]).iterdir())
    assert b"PRIVATE" not in kept


def test_a_lost_poll_has_no_token(stub: StubService, env: dict[str, str]) -> None:
    """A poll that may have received a task is listed with the same keys; what is not known is null."""
    stub.reply("PollForActivityTask", reset=True)
    run("poll", "-d", "y", "-t", "x", "--identity", "me", "--timeout", "0", env=env)
    (held,) = invoke("held", env=env).json
    assert list(held) == KEYS
    unknown = ("token", "id", "activity", "execution", "task_started_execution_history_event_id")
    assert {held[key] for key in unknown} == {None}
    assert (held["kind"], held["identity"], held["holder_alive"]) == ("broken_poll", "me", False)


def test_nothing_is_held(bare_env: dict[str, str]) -> None:
    """It needs no ledger, region or credentials: an empty list, no text, and nothing is created."""
    assert invoke("held", env=bare_env) == Result("[]\n", "", 0)
    assert invoke("held", "-o", "text", env=bare_env) == Result("", "", 0)
    assert on_terminal("held", env=bare_env).code == 0
    assert not Path(bare_env["SWF_STATE_DIR"]).exists()


def test_text_is_a_line_each(ledger: Ledger, bare_env: dict[str, str]) -> None:
    """`-o text` prints fields by tabs; --query is over the JSON."""
    key = put(ledger)
    (line,) = invoke("held", "-o", "text", env=bare_env).stdout.splitlines()
    assert line.split("\t")[:7] == [key, "task", "resize-1", "video-7", "resize", "video", "alive"]
    assert invoke("held", "--query", "[].token", "-o", "text", env=bare_env).stdout == "TOKEN\n"
    assert invoke("held", "--query", "[?id=='resize-2']", "-o", "text", env=bare_env).stdout == ""


def hidden(count: int, variable: str, options: str = "") -> str:
    """Return the line about rows that a variable excludes."""
    return f"swf: {count} more, which {variable} excludes: env -u {variable} swf held{options}\n"


@pytest.mark.parametrize(
    ("flags", "variables", "shown", "message"),
    [
        ([], {}, "abc", ""),
        (["-d", "video"], {}, "ac", ""),
        (["-t", "resize"], {}, "ab", ""),
        (["-d", "video", "-t", "upload", "-t", "x"], {}, "c", ""),
        (["-d", "elsewhere"], {}, "", ""),
        ([], {"SWF_DOMAIN": "video"}, "ac", hidden(1, "SWF_DOMAIN")),
        (
            [],
            {"SWF_TASK_LIST": "upload"},
            "c",
            hidden(2, "SWF_TASK_LIST"),
        ),
    ],
)
def test_filters(
    ledger: Ledger,
    bare_env: dict[str, str],
    flags: list[str],
    variables: dict[str, str],
    shown: str,
    message: str,
) -> None:
    """By domain and task list; what a variable excludes, perhaps forgotten, is counted on stderr."""
    rows = {"a": ("video", "resize"), "b": ("audio", "resize"), "c": ("video", "upload")}
    for name, (domain, task_list) in rows.items():
        put(ledger, replace(HELD, id=name, token=name), replace(SOURCE, domain=domain, task_list=task_list))
    result = invoke("held", *flags, env=bare_env | variables)
    assert (sorted(row["id"] for row in result.json), result.stderr) == (sorted(shown), message)
    if message:  # the command that it names shows the rest
        every = shell(message.partition(": ")[2].partition(": ")[2], env=bare_env | variables)
        more = re.match("swf: ([0-9]+) more", message)
        assert more
        assert (len(every.json), every.stderr) == (len(shown) + int(more[1]), "")


def test_a_screen_without_rows_says_why(ledger: Ledger, bare_env: dict[str, str]) -> None:
    """Whether nothing is held, or nothing that matches."""
    put(ledger)
    args = ("held", "-d", "vidoe", "-o", "table")
    assert invoke(*args, env=bare_env).stdout == "no task held here matches the options\n"
    empty = bare_env | {"SWF_STATE_DIR": f"{bare_env['SWF_STATE_DIR']}/none"}
    assert invoke(*args, env=empty).stdout == "no task is held here\n"


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_a_screen_cuts_nothing(columns: int, ledger: Ledger, bare_env: dict[str, str]) -> None:
    """On a terminal each value is whole, and only a line with a long one is wider than the terminal."""
    task_id = "".join(f"i{n:03}" for n in range(64))
    workflow_id = "customer/" + "o" * 51
    key = put(ledger, replace(HELD, id=task_id, execution=ExecutionId(workflow_id, "RUN")))
    lost = put(ledger, None)
    result = invoke_on_terminal("held", env=bare_env, columns=columns)
    assert (result.stderr, result.code) == ("", 0)
    lines = without_escapes(result.stdout).splitlines()
    assert all(len(line) <= columns or task_id in line or workflow_id in line for line in lines)
    for value in (key, lost, task_id, workflow_id):
        assert any(line.split()[-1:] == [value] for line in lines)


def test_hostile_text_is_only_text(ledger: Ledger, bare_env: dict[str, str]) -> None:
    """Nothing in it is interpreted on a terminal, and JSON has it unchanged."""
    hostile = "[red]\x1b[31m\u202e\x9b"
    put(ledger, replace(HELD, id=hostile))
    shown = invoke_on_terminal("held", env=bare_env, columns=140).stdout
    assert "[red]\\x1b[31m\\u202e\\x9b" in without_escapes(shown)
    assert invoke("held", env=bare_env).json[0]["id"] == hostile


def test_a_dead_holder_is_marked(service: Service, service_env: dict[str, str]) -> None:
    """A task of a worker that was killed is marked, and there is a command that closes it."""
    service.schedule("video", "resize")
    task = service.flow("video").poll("resize")
    script = f"""
import os, signal
from swf_cli.ledger.store import Ledger
from swf_cli.models import WorkerTask
from tests.cli.commands.test_held import HELD, SOURCE, Path, put, replace
ledger = Ledger(Path({service_env["SWF_STATE_DIR"]!r}))
source = replace(SOURCE, profile=None, region="us-east-1", endpoint={service.url!r})
put(ledger, WorkerTask.from_api({task!r}), source, "work")
os.kill(os.getpid(), signal.SIGKILL)
"""
    worker = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[3], check=False)
    assert worker.returncode == -signal.SIGKILL
    (held,) = invoke("held", env=service_env).json
    assert (held["taken_by"], held["holder_alive"]) == ("work", False)
    shown = without_escapes(on_terminal("held", env=service_env, columns=140).stdout).splitlines()
    assert shown[1].endswith("dead")
    command = f"swf fail --held {held['key']} --reason 'worker died'"
    assert shown[-1] == f"{held['key']}: its worker has died. To fail the task: {command}"
    assert invoke("fail", "--held", held["key"], "--reason", "worker died", env=service_env) == Result("", "", 0)
    assert held_keys(service_env) == []


def test_a_live_holder_is_marked(ledger: Ledger, bare_env: dict[str, str]) -> None:
    """While the process that took a task is alive, its holder is."""
    put(ledger, taken_by="work")
    result = invoke("held", env=bare_env)
    assert (result.json[0]["holder_alive"], result.json[0]["pid"], result.stderr) == (True, os.getpid(), "")


def test_a_command_that_still_runs(ledger: Ledger, bare_env: dict[str, str]) -> None:
    """The leader of its process group is named as long as it runs, and never another process with its ID."""
    key = put(ledger, taken_by="work")
    with subprocess.Popen(["sleep", "300"], process_group=0) as command:
        ledger.set_command(key, command.pid, start_id(command.pid))
        assert invoke("held", env=bare_env).json[0]["command_pid"] == command.pid
        ledger.set_command(key, command.pid, "another")
        assert invoke("held", env=bare_env).json[0]["command_pid"] is None
        ledger.set_command(key, command.pid, start_id(command.pid))
        command.kill()
    assert invoke("held", env=bare_env).json[0]["command_pid"] is None


@pytest.mark.parametrize("spoil", ["garbage", "off"])
def test_an_unusable_ledger_stops_nothing(spoil: str, ledger: Ledger, stub: StubService, env: dict[str, str]) -> None:
    """With a damaged ledger a task is polled and closed all the same, with a warning each; disabled, with none
    but of what lists it.

    A damaged one is never listed as an empty one: that is exit 1.
    """
    put(ledger)
    if spoil == "off":
        env["SWF_LEDGER"] = "off"
    else:
        for path in Path(env["SWF_STATE_DIR"]).glob("ledger*"):
            path.write_bytes(b"garbage" * 1_000)
    stub.reply("PollForActivityTask", TASK)
    stub.reply("RespondActivityTaskCompleted")
    polled = invoke("poll", "-d", "y", "-t", "x", env=env)
    completed = invoke("complete", "--task", "-", env=env, stdin=polled.stdout)
    listed = invoke("held", env=env)
    assert (polled.code, completed.code, polled.json["token"]) == (0, 0, "TOKEN")
    warning = r"swf: warning: cannot use the list of held tasks in .*: .*\n"
    for result in (polled, completed):
        assert re.fullmatch("" if spoil == "off" else warning, result.stderr)
    if spoil == "off":
        assert listed == Result("[]\n", "swf: received tasks are not recorded: SWF_LEDGER is off\n", 0)
    else:
        assert (listed.stdout, listed.code) == ("", 1)
        assert re.fullmatch(f"{warning}swf: cannot read the list of held tasks\n", listed.stderr)


# --- --prune


def test_prune_drops_what_swf_says_is_closed(service: Service, service_env: dict[str, str]) -> None:
    """--prune drops tasks that were closed elsewhere, and lists the rest; it heeds the filters."""
    for number in range(3):
        service.schedule("video", f"list-{number}", startToCloseTimeout="300" if number else "30")
    tasks = [invoke("poll", "-d", "video", "-t", f"list-{number}", env=service_env).json for number in range(3)]
    service.advance(60)  # the first one times out
    service.call("RespondActivityTaskFailed", taskToken=tasks[1]["token"])
    assert len(held_keys(service_env)) == 3
    assert invoke("held", "--prune", "-t", "list-2", env=service_env).json[0]["token"] == tasks[2]["token"]
    assert len(held_keys(service_env)) == 3
    result = invoke("held", "--prune", env=service_env)
    assert (result.stderr, result.code) == ("", 0)
    assert [held["token"] for held in result.json] == [tasks[2]["token"]]
    assert len(held_keys(service_env)) == 1


def test_prune_keeps_what_it_cannot_ask_about(ledger: Ledger, aws_env: dict[str, str]) -> None:
    """A task whose service can't be reached stays, and the reason is logged; lost polls are no tasks, and stay."""
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{taken.getsockname()[1]}"
        keys = {put(ledger, source=replace(SOURCE, profile="nobody")), put(ledger, None)}
        keys.add(put(ledger, source=replace(SOURCE, profile="nobody", endpoint=away)))
        result = invoke("held", "--prune", env=aws_env)
    assert ({held["key"] for held in result.json}, result.code) == (keys, 0)
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert all(re.fullmatch(r"swf: [0-9a-f]{8} is kept: .*nobody.*", line) for line in lines)


def test_a_task_whose_execution_was_deleted_can_be_removed(
    ledger: Ledger, stub: StubService, env: dict[str, str]
) -> None:
    """The retention period is over: --prune can't be sure of it, and names the command that removes the row."""
    unknown = "Unknown execution: WorkflowExecution=[workflowId=video-7, runId=RUN]"
    for operation in ("GetWorkflowExecutionHistory", "RespondActivityTaskFailed"):
        stub.fault(operation, "UnknownResourceFault", unknown)
    key = put(ledger, source=replace(SOURCE, profile=None, endpoint=stub.url))
    result = invoke("held", "--prune", env=env)
    assert ([held["key"] for held in result.json], result.code) == ([key], 0)
    command = result.stderr.rstrip().rpartition(": ")[2]
    assert command == f"swf fail --held {key}"
    removed = shell(command, env=env)
    error_line(removed, 5, "not open: its workflow execution no longer exists")
    assert held_keys(env) == []


@pytest.mark.parametrize("flags", [["--profile", "other"], []], ids=["another profile", "another endpoint"])
def test_a_row_is_not_removed_by_another_account(
    flags: list[str], ledger: Ledger, stub: StubService, env: dict[str, str], tmp_path: Path
) -> None:
    """SWF knows nothing of the task there: exit 5, and the row stays, also if the task is named by its token."""
    unknown = "Unknown execution: WorkflowExecution=[workflowId=video-7, runId=RUN]"
    for operation in ("GetWorkflowExecutionHistory", "RespondActivityTaskFailed"):
        stub.fault(operation, "UnknownResourceFault", unknown)
    (tmp_path / "config").write_text("[profile other]\naws_access_key_id = B\naws_secret_access_key = S\n")
    endpoint = stub.url if flags else "http://127.0.0.1:1"
    key = put(ledger, source=replace(SOURCE, profile=None, endpoint=endpoint))
    name = ["--held", key] if flags else ["--token", "TOKEN"]
    result = invoke("fail", *name, *flags, env=env | {"AWS_CONFIG_FILE": str(tmp_path / "config")})
    hint = error_line(result, 5, "may be open elsewhere")
    assert f"pass --held {key}, " in hint
    assert "no profile" in hint
    assert held_keys(env) == [key]


# --- --held


ANSWERS = {
    "complete": ("RespondActivityTaskCompleted", {}, 0),
    "fail": ("RespondActivityTaskFailed", {}, 0),
    "cancel": ("RespondActivityTaskCanceled", {}, 0),
    "heartbeat": ("RecordActivityTaskHeartbeat", {"cancelRequested": False}, 1),
}


@pytest.mark.parametrize("command", ANSWERS)
@pytest.mark.parametrize("length", [1, 4, 8])
def test_a_task_is_named_by_its_key(
    command: str, length: int, ledger: Ledger, stub: StubService, env: dict[str, str], tmp_path: Path
) -> None:
    """A key, or enough of it, names the task, and the row its endpoint, region and profile.

    Here only the row knows where the task is, and only its profile has credentials.
    """
    operation, reply, left = ANSWERS[command]
    config = tmp_path / "config"
    config.write_text("[profile west]\naws_access_key_id = A\naws_secret_access_key = S\n")
    for name in ("AWS_ENDPOINT_URL_SWF", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del env[name]
    stub.reply(operation, reply)
    key = put(ledger, source=replace(SOURCE, endpoint=stub.url))
    result = invoke(command, "--held", key[:length], "-v", env=env | {"AWS_CONFIG_FILE": str(config)})
    assert (result.code, stub.requests) == (0, [(operation, {"taskToken": "TOKEN"})]), result.stderr
    assert len(ledger.list_held()) == left


def test_options_win_over_the_row(ledger: Ledger, stub: StubService, env: dict[str, str], tmp_path: Path) -> None:
    """A profile and an endpoint on the command line are used, whatever the row says: the worker's may not be ours."""
    config = tmp_path / "config"
    config.write_text("[profile on-call]\naws_access_key_id = OURS\naws_secret_access_key = S\n")
    stub.reply("RespondActivityTaskFailed")
    key = put(ledger, source=replace(SOURCE, profile="gone", endpoint="https://swf.gone.example"))
    options = ("--profile", "on-call", "--endpoint-url", stub.url, "--region", SOURCE.region)
    result = invoke("fail", "--held", key, *options, env=env | {"AWS_CONFIG_FILE": str(config)})
    assert result == Result("", "", 0)
    assert stub.requests == [("RespondActivityTaskFailed", {"taskToken": "TOKEN"})]
    assert stub.access_keys == ["OURS"]
    assert ledger.list_held() == []


@pytest.mark.parametrize("command", ANSWERS)
def test_a_task_of_another_region(command: str, ledger: Ledger, stub: StubService, env: dict[str, str]) -> None:
    """A token is good in one region: another one on the command line is an error, one in the environment is not."""
    key = put(ledger, source=replace(SOURCE, endpoint=stub.url, profile=None))
    result = invoke(command, "--held", key, "--region", "us-west-1", env=env)
    assert error_line(result, 2, "--region", key, SOURCE.region) == "leave --region out"
    assert stub.requests == []
    operation, reply, _ = ANSWERS[command]
    stub.reply(operation, reply)
    assert invoke(command, "--held", key, env=env | {"AWS_REGION": "us-west-1"}).code == 0


def test_an_ambiguous_key(ledger: Ledger, stub: StubService, env: dict[str, str]) -> None:
    """Of 17 keys two begin alike: that prefix exits 2, the rows are listed, and nothing is sent."""
    keys = [put(ledger, replace(HELD, token=f"T{number}")) for number in range(17)]
    first = next(key[0] for key in keys if sum(other[0] == key[0] for other in keys) > 1)
    many = sum(key[0] == first for key in keys)
    for command in ANSWERS:
        result = invoke(command, "--held", first, env=env)
        hint = error_line(result, 2, "--held", f"{many} rows", repr(first))
        assert hint == "pass a key that `swf held` shows"
        listed = [key for key in keys if key.startswith(first)][:10]
        assert all(f"{key} (resize-1)" in result.stderr for key in listed)
    assert stub.requests == []


@pytest.mark.parametrize("command", ANSWERS)
def test_a_key_that_names_no_task_is_wrong_usage(
    command: str, ledger: Ledger, stub: StubService, env: dict[str, str]
) -> None:
    """A key that no row has, and that of a lost poll, exit 2 with one line; nothing is sent."""
    broken = put(ledger, None)
    error_line(invoke(command, "--held", "zz", env=env), 2, "--held", "no row", "'zz'")
    error_line(invoke(command, "--held", broken, env=env), 2, "--held", broken, "lost poll")
    assert stub.requests == []


def test_a_held_task_that_was_closed_is_dropped(service: Service, service_env: dict[str, str]) -> None:
    """A held task that timed out meanwhile: exit 5, how it ended, and it leaves the list without --prune."""
    service.schedule("video", "resize", startToCloseTimeout="30")
    invoke("poll", "-d", "video", "-t", "resize", env=service_env)
    service.advance(60)
    (key,) = held_keys(service_env)
    result = invoke("complete", "--held", key, env=service_env)
    error_line(result, 5, "not open: it timed out (START_TO_CLOSE)")
    assert held_keys(service_env) == []


@pytest.mark.parametrize(
    ("flags", "keys_of", "profile"),
    [(["--profile", "west"], "west", "west"), ([], "west", "west"), ([], "environment", None)],
    ids=["option", "variable", "variable beside keys"],
)
def test_the_profile_on_record_leads_back(
    flags: list[str],
    keys_of: str,
    profile: str | None,
    stub: StubService,
    env: dict[str, str],
    tmp_path: Path,
) -> None:
    """`--held` uses the credentials that the poll had: keys in the environment take precedence over AWS_PROFILE."""
    keys = "aws_access_key_id = A\naws_secret_access_key = S\n" if keys_of == "west" else ""
    (tmp_path / "config").write_text(f"[profile west]\n{keys}")
    env |= {"AWS_CONFIG_FILE": str(tmp_path / "config")} | ({} if flags else {"AWS_PROFILE": "west"})
    if keys_of == "west":
        del env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]
    stub.reply("PollForActivityTask", TASK)
    stub.reply("RespondActivityTaskCompleted")
    assert invoke("poll", "-d", "y", "-t", "x", *flags, env=env).code == 0
    (held,) = invoke("held", env=env).json
    assert held["profile"] == profile
    assert invoke("complete", "--held", held["key"], env=env) == Result("", "", 0)


def test_keys_are_completed(ledger: Ledger, bare_env: dict[str, str]) -> None:
    """`--held` completes the keys of what has a token, not those of lost polls, and says what each is about."""
    key = put(ledger)
    put(ledger, None)
    completing = {"_SWF_COMPLETE": "zsh"}
    words = ("fail", "--held", key[:2])
    result = invoke(*words, env=bare_env | completing)
    assert result == Result(f"described\t{key}\tresize-1 of video-7, on resize\n", "", 0)
    with ledger.record_poll(SOURCE, "poll") as record:
        record.mark_lost("TOKEN")
    result = invoke("fail", "--held", record.key, env=bare_env | completing)
    assert result.stdout == f"described\t{record.key}\tunknown task, on resize\n"
    Path(bare_env["SWF_STATE_DIR"], "ledger.sqlite3").write_bytes(b"garbage" * 1_000)
    assert invoke(*words, env=bare_env | completing).stderr == ""


def test_task_lists_are_completed(ledger: Ledger, bare_env: dict[str, str]) -> None:
    """`--task-list` completes the lists that this machine took tasks from, in the domain that was named."""
    put(ledger)
    for domain, values in (("video", "value\tresize\n"), ("other", "")):
        result = invoke("pending", "-d", domain, "-t", "re", env=bare_env | {"_SWF_COMPLETE": "fish"})
        assert result == Result(values, "", 0)
