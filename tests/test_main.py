"""The `swf` process: its standard streams, its boundary for errors, and what it loads to start."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from swf_cli import __version__
from tests.helpers.cli import TASK, Result, run, shell
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import FULL_DEVICE, error_line

PENDING = "swf pending -d y -t x"


@pytest.fixture
def counting(stub: StubService) -> StubService:
    """A stub that has three tasks pending."""
    stub.reply("CountPendingActivityTasks", {"count": 3})
    return stub


COMMANDS = [PENDING, f"{PENDING} -o text", f"{PENDING} -o table", "swf --help", "swf poll --help", "swf --version"]
COMMANDS += ["swf completion bash"]


@pytest.mark.usefixtures("counting")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("stdout", "words"),
    [(">&-", "stdout is closed"), pytest.param("> /dev/full", "stdout: No space left", marks=FULL_DEVICE)],
)
def test_data_that_cannot_be_written_is_a_failure(env: dict[str, str], command: str, stdout: str, words: str) -> None:
    """stdout closed or full: exit 1 and one line that says so, for data, help and version alike."""
    error_line(shell(f"{command} {stdout}", env=env), 1, words)


@pytest.mark.usefixtures("counting")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_has_gone_ends_it_quietly(env: dict[str, str], command: str) -> None:
    """When the reader of stdout has gone away, nothing is said, and the exit code is 1."""
    # The reader has gone before anything is written: its end is closed, then the command starts.
    script = f"""{{ sleep 0.1; {command}; echo "code $?" >&2; }} | exec true"""
    assert shell(script, env=env) == Result("", "code 1\n", 0)


def test_a_reader_that_takes_the_beginning_gets_it(stub: StubService, env: dict[str, str]) -> None:
    """With `swf poll | head -c 1` and a task larger than a pipe holds, the beginning is read.

    A task is no line of a report: it is told where it is now.
    """
    stub.reply("PollForActivityTask", TASK | {"input": "\U0001f600" * 32_768})
    script = '{ swf poll -d y -t x; echo "code $?" >&2; } | head -c 1'
    result = shell(script, env=env)
    assert (result.stdout, result.code) == ("{", 0)
    told = r"swf: the reader has gone away; the task is in `swf held` under [0-9a-f]{8}\ncode 1\n"
    assert re.fullmatch(told, result.stderr)


def test_a_closed_stderr_or_stdin_does_no_harm(counting: StubService, env: dict[str, str]) -> None:
    """Without stderr or stdin data is printed and exit codes are given as ever, and no socket takes their place."""
    counted = '{"domain": "y", "task_list": "x", "count": 3, "truncated": false}\n'
    assert shell(f"{PENDING} -v 2>&-", env=env) == Result(counted, "", 0)
    assert shell(f"{PENDING} 0<&- 2>&-", env=env) == Result(counted, "", 0)
    assert shell("swf poll 2>&-", env=env) == Result("", "", 2)
    assert shell("swf poll 0<&- >&- 2>&-", env=env) == Result("", "", 2)
    error_line(shell("swf heartbeat --task - <&-", env=env), 2, "--task")


@FULL_DEVICE
@pytest.mark.parametrize(("command", "code"), [("swf poll", 2), ("swf", 2), (f"{PENDING} -v --max 2", 8)])
def test_a_full_stderr_changes_no_exit_code(
    counting: StubService, env: dict[str, str], command: str, code: int
) -> None:
    """A message that can't be written is dropped: scripts get the exit code that the contract says."""
    assert shell(f"{command} 2> /dev/full > /dev/null", env=env) == Result("", "", code)


@FULL_DEVICE
def test_a_heartbeat_whose_answer_cannot_be_written_says_so(stub: StubService, env: dict[str, str]) -> None:
    """A cancellation that could not be printed is a failure, not a silent 4."""
    stub.reply("RecordActivityTaskHeartbeat", {"cancelRequested": True})
    error_line(shell("swf heartbeat --token T > /dev/full", env=env), 1, "No space left")


def test_only_debug_shows_a_traceback(stub: StubService, env: dict[str, str]) -> None:
    """An error is one line and a hint; with --debug its traceback comes before them, in wrong usage too."""
    stub.fault("CountPendingActivityTasks", "LimitExceededFault", "too many")
    for arguments, code in ((["-t", "x"], 1), ([], 2)):
        plain = run("pending", "-d", "y", *arguments, env=env)
        error_line(plain, code)
        debug = run("pending", "-d", "y", "--debug", *arguments, env=env)
        assert "Traceback (most recent call last):\n" in debug.stderr
        assert (debug.stderr.endswith(plain.stderr), debug.stdout, debug.code) == (True, "", code)


def test_it_speaks_utf8_in_any_locale(stub: StubService, env: dict[str, str]) -> None:
    """In the C locale data is UTF-8 all the same, and a message that can't be encoded does no harm."""
    stub.reply("PollForActivityTask", TASK | {"input": "é\U0001f600"})
    for locale in ({"LC_ALL": "C"}, {"LC_ALL": "POSIX"}, {"PYTHONIOENCODING": "ascii"}):
        assert run("poll", "-d", "y", "-t", "x", env=env | locale).json["input"] == "é\U0001f600"
        error_line(run("poll", "-d", "y", "-t", "x" * 257 + "é", env=env | locale), 2, "256")


def test_python_m_is_the_same_command(bare_env: dict[str, str]) -> None:
    """`python -m swf_cli` is `swf`."""
    done = subprocess.run(
        [sys.executable, "-m", "swf_cli", "--version"], env=bare_env, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == (f"swf {__version__}\n", "", 0)


def _loaded(*args: str, env: Mapping[str, str]) -> set[str]:
    """Run the command line in a process of its own, and give the modules that are loaded at its end."""
    script = """
import json, sys
from swf_cli.cli.app import run
try:
    run(sys.argv[1:])
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *args], env=dict(env), capture_output=True, text=True, check=True
    )
    assert done.stdout != ""
    return set(json.loads(done.stderr.splitlines()[-1]))


SLOW = {"botocore", "urllib3", "rich", "jmespath", "sqlite3", "importlib.metadata"}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--help"], None),
        (["--version"], None),
        (["poll", "--help"], None),
        (["pending", "--help"], None),
        ([], "swf p"),
        ([], "swf complete --re"),
        ([], "swf pending --output "),
        ([], "swf pending --profile d"),
    ],
)
def test_what_help_version_and_completion_do_not_load(
    bare_env: dict[str, str], tmp_path: Path, args: list[str], words: str | None
) -> None:
    """Help, version, and completing a command, an option or a fixed value load nothing that is slow to load."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[default]\n")
    asked = (
        {}
        if words is None
        else {
            "_SWF_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
    )
    loaded = _loaded(*args, env=bare_env | asked)
    assert loaded & SLOW == set()
    assert "click" in loaded  # what was looked at is the process that did the work


@pytest.mark.usefixtures("counting")
def test_what_json_does_not_load(env: dict[str, str]) -> None:
    """A command that prints JSON does its call without rich, and loads no other command."""
    loaded = _loaded("pending", "-d", "y", "-t", "x", "-o", "json", env=env)
    assert loaded & {"rich", "sqlite3", "swf_cli.cli.commands.poll", "swf_cli.polling"} == set()
    assert {"botocore", "swf_cli.cli.commands.pending"} <= loaded


def test_importing_the_package_loads_no_dependency(bare_env: dict[str, str]) -> None:
    """`import swf_cli` loads neither botocore, click nor rich."""
    script = "import sys, swf_cli; sys.exit(bool({'botocore', 'click', 'rich'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", script], env=bare_env, check=False).returncode == 0
