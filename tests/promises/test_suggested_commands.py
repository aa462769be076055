"""Commands that are printed to be run work when they are pasted in the shell that ran the one that printed them.

That shell's variables name another domain, another region and an endpoint where nothing listens, and have no
credentials: all that is right was given as options.
"""

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers.big_domain import open_task, start
from tests.helpers.cli import SWF, Result, run, run_unwritable, shell, wait_until
from tests.helpers.flow import Flow
from tests.helpers.local_service import Service
from tests.helpers.processes import is_running
from tests.helpers.stub_service import StubService

DAY = "86400"


class Shell:
    """A shell whose variables are all wrong, and the options that are right."""

    def __init__(self, env: dict[str, str], folder: Path, url: str) -> None:
        (folder / "config").write_text("[profile on-call]\naws_access_key_id = A\naws_secret_access_key = S\n")
        self.env = {
            **env,
            "AWS_CONFIG_FILE": str(folder / "config"),
            "AWS_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL_SWF": "http://127.0.0.1:1",
            "SWF_DOMAIN": "elsewhere",
        }
        where = ("--profile", "on-call", "--region", "us-east-1", "--endpoint-url", url)
        self.options = ("--domain", "media", *where)

    def swf(self, *args: str) -> Result:
        """Run `swf` with the options."""
        return run(*args, *self.options, env=self.env)

    def paste(self, command: str) -> Result:
        """Run a command that was printed; it must succeed, and say nothing on stderr."""
        assert command.startswith("swf ")
        result = shell(command, env=self.env)
        assert (result.stderr, result.code) == ("", 0), command
        return result


@pytest.fixture
def here(bare_env: dict[str, str], tmp_path: Path, service: Service) -> Shell:
    """A shell for a local SWF."""
    return Shell(bare_env, tmp_path, service.url)


@pytest.fixture
def flow(service: Service) -> Flow:
    """A domain."""
    return service.flow("media")


def labelled(text: str, label: str) -> str:
    """Return the value that stands behind a label on a screen."""
    (value,) = re.findall(rf"^ *{label}  +(.*)$", text, re.MULTILINE)
    return str(value)


def in_backticks(text: str) -> str:
    """Return the one command of `swf` that a sentence names."""
    (command,) = re.findall("`(swf [^`]*)`", text)
    return str(command)


def start_worker(here: Shell, task_list: str) -> "tuple[subprocess.Popen[bytes], int]":
    """Start a worker, and return it, and the process ID of its command once that runs."""
    command = [SWF, "work", *here.options, "-t", task_list, "--", "sleep", "300"]
    worker = subprocess.Popen(command, env=here.env, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: any(row["command_pid"] for row in here.swf("held", "-t", task_list).json), 30)
    except AssertionError:
        end(worker)
        raise
    (pid,) = (row["command_pid"] for row in here.swf("held", "-t", task_list).json)
    return worker, pid


def end(*processes: "subprocess.Popen[bytes]", groups: Sequence[int] = ()) -> None:
    """Kill processes, and process groups."""
    for process in processes:
        process.kill()
        process.wait()
    for group in groups:
        os.killpg(group, signal.SIGKILL)


def test_what_to_type_next_after_stuck(service: Service, flow: Flow, here: Shell) -> None:
    """The rest, with the filters that were given; the workflow and the task list of the worst."""
    for number in range(3):
        start(flow, f"customer 1.{number}", open_task(task_list="it's full"), open_task("other", "other list"))
    service.advance(1200)
    filters = ("-t", "it's full", "-t", "no such", "--older-than", "15m", "--rate", "50")
    shown = here.swf("stuck", "-o", "table", "--limit", "1", *filters).stdout
    everything = here.paste(labelled(shown, "2 more") + " -o json").json
    assert [row["task_list"] for row in everything] == ["it's full"] * 3
    on_list = here.paste(labelled(shown, "its task list") + " -o json").json
    assert [row["task_list"] for row in on_list] == ["it's full"] * 3
    in_workflow = here.paste(labelled(shown, "its workflow") + " -o json").json
    assert {(row["execution"]["id"], row["id"]) for row in in_workflow} == {
        ("customer 1.0", "resize-1"),
        ("customer 1.0", "other"),
    }
    assert here.paste(labelled(shown, "2 more") + " --older-than 1h").json == []


def test_what_to_do_about_a_task_whose_holder_is_gone(service: Service, flow: Flow, here: Shell) -> None:
    """The commands of `swf stuck` and `swf held` close it, and name only what is not on record."""
    for name in ("first", "second"):
        start(flow, name, open_task(task_list=name, startToCloseTimeout=DAY))
    workers = [start_worker(here, name) for name in ("first", "second")]
    end(*[worker for worker, _ in workers], groups=[group for _, group in workers])
    wait_until(lambda: not any(row["command_pid"] for row in here.swf("held").json))
    command = labelled(here.swf("stuck", "-o", "table", "-t", "first").stdout, "to do")
    assert re.fullmatch("swf fail --held [0-9a-f]{8} --reason 'worker died'", command)
    here.paste(command)
    assert "ActivityTaskFailed" in service.names("media", "first")
    (advice,) = re.findall("has died. To fail the task: (.*)", here.swf("held", "-o", "table").stdout)
    here.paste(advice)
    assert "ActivityTaskFailed" in service.names("media", "second")


def test_to_look_again_once_a_command_was_stopped(service: Service, flow: Flow, here: Shell) -> None:
    """What kills the command of a dead worker, and then `swf stuck` with the same options."""
    start(flow, "w", open_task(task_list="work", startToCloseTimeout=DAY))
    worker, group = start_worker(here, "work")
    end(worker)
    (row,) = here.swf("stuck").json
    kill, again = re.findall("`([^`]*)`", row["hint"])
    assert shell(kill, env=here.env, program="sh").code == 0
    wait_until(lambda: not is_running(group))
    (row,) = here.paste(again).json
    assert row["hint"].startswith("swf fail --held ")


def test_a_poll_whose_response_was_lost(stub: StubService, bare_env: dict[str, str], tmp_path: Path) -> None:
    """The log names the command that lists it, whatever the variables exclude."""
    here = Shell(bare_env, tmp_path, stub.url)
    here.env["SWF_TASK_LIST"] = "another"
    stub.reply("PollForActivityTask", reset=True)
    lost = here.swf("poll", "-t", "work list", "--timeout", "0")
    (held,) = here.paste(in_backticks(lost.stderr)).json
    assert (held["kind"], held["task_list"]) == ("broken_poll", "work list")


@pytest.mark.parametrize("ledger", ["", "off"])
def test_a_task_that_could_not_be_printed(service: Service, flow: Flow, here: Shell, ledger: str) -> None:
    """The hint fails it; or, where it is not on record, shows when it times out."""
    start(flow, "w 1", open_task(task_list="work", startToCloseTimeout=DAY))
    here.env["SWF_LEDGER"] = ledger
    result = run_unwritable("unread", "poll", "-t", "work", *here.options, env=here.env)
    _, hint = result.stderr.splitlines()
    advice, _, command = hint.removeprefix("hint: ").partition(": ")
    pasted = here.paste(command)
    if ledger == "off":
        assert advice == "see when it times out"
        assert (pasted.json["id"], pasted.json["state"]) == ("resize-1", "started")
        assert pasted.json["deadline"] is not None
    else:
        assert (advice, pasted.stdout) == ("if nobody works on it", "")
        assert "ActivityTaskFailed" in service.names("media", "w 1")
