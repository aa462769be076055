"""The `swf` process: its standard streams, its error boundary, and what it loads at start-up."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from swf_cli import __version__
from swf_cli.ledger.store import Ledger
from tests.helpers.cli import SWF, TASK, Result, Unwritable, invoke, run, run_unwritable, shell
from tests.helpers.ledger import SOURCE
from tests.helpers.operations import COMPLETE, COUNT, FAIL, HEARTBEAT, POLL
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import FULL_DEVICE, error_line

PENDING = "swf pending -d y -t x"


@pytest.fixture
def counting(stub: StubService) -> StubService:
    """A stub that counts three pending tasks."""
    stub.reply(COUNT, {"count": 3})
    return stub


each_output = pytest.mark.parametrize(
    "arguments",
    [
        "pending -d y -t x",
        "pending -d y -t x -o text",
        "pending -d y -t x -o table",
        "--help",
        "poll --help",
        "--version",
        "completion bash",
    ],
)


@pytest.mark.usefixtures("counting")
@each_output
@pytest.mark.parametrize(
    ("how", "words"),
    [("closed", "stdout is closed"), pytest.param("full", "stdout: No space left", marks=FULL_DEVICE)],
)
def test_data_that_cannot_be_written_is_a_failure(
    env: dict[str, str], arguments: str, how: Unwritable, words: str
) -> None:
    """If stdout is closed or full: exit code 1 and one line that says so, for data, help and version alike."""
    error_line(run_unwritable(how, *arguments.split(), env=env), 1, words)


@pytest.mark.usefixtures("counting")
@each_output
def test_a_closed_pipe_ends_it_quietly(env: dict[str, str], arguments: str) -> None:
    """If the reader of stdout has closed the pipe, there is no message, and the exit code is 1."""
    assert run_unwritable("unread", *arguments.split(), env=env) == Result("", "", 1)


@pytest.mark.usefixtures("counting")
@pytest.mark.parametrize("none", ["0", "00", "\u00b2", "\u0663", "-5", "9" * 5_000])
def test_columns_that_no_terminal_has_are_ignored(none: str, env: dict[str, str]) -> None:
    """COLUMNS=0 and LINES=0 are as good as unset, and so is what rich takes for a number that Python does not."""
    table = run("pending", "-d", "y", "-t", "x", "-o", "table", env=env)
    assert run("pending", "-d", "y", "-t", "x", "-o", "table", env=env | {"COLUMNS": none, "LINES": none}) == table
    assert table.stdout


def test_a_non_blocking_stdout_gets_everything(env: dict[str, str], tmp_path: Path) -> None:
    """Another process that shares the pipe may have made it so: its reader gets all, also of more than it holds."""
    with Ledger(tmp_path / "state") as ledger:
        for _ in range(400):
            ledger.record_poll(SOURCE, "poll").mark_lost()
    env = {**env, "SWF_STATE_DIR": str(tmp_path / "state")}
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as pipe:
        os.set_blocking(writer, False)
        with subprocess.Popen([SWF, "held"], env=env, stdout=writer, stderr=subprocess.PIPE) as process:
            os.close(writer)
            written = pipe.read()
            assert process.stderr is not None
            assert (process.stderr.read(), process.wait()) == (b"", 0)
    assert len(written) > 100_000
    assert written.decode() == invoke("held", env=env).stdout


def test_a_reader_that_takes_the_beginning_gets_it(stub: StubService, env: dict[str, str]) -> None:
    """With `swf poll | head -c 1` and a task that is larger than a pipe's buffer, the beginning is read.

    The rest of a task matters, so stderr says where to find it.
    """
    stub.reply(POLL, TASK | {"input": "\U0001f600" * 32_768})
    script = '{ swf poll -d y -t x; echo "code $?" >&2; } | head -c 1'
    result = shell(script, env=env)
    assert (result.stdout, result.code) == ("{", 0)
    lines = (
        r"swf: the reader closed the pipe; the task is in `swf held` under ([0-9a-f]{8})\nhint: .* \1 .*\ncode 1\n"
    )
    assert re.fullmatch(lines, result.stderr)


def test_a_closed_stderr_or_stdin_does_no_harm(counting: StubService, env: dict[str, str]) -> None:
    """Without stderr or stdin, data and exit codes are the same, and no socket takes their descriptors."""
    counted = '{"domain": "y", "task_list": "x", "count": 3, "truncated": false}\n'
    assert shell(f"{PENDING} -v 2>&-", env=env) == Result(counted, "", 0)
    assert shell(f"{PENDING} 0<&- 2>&-", env=env) == Result(counted, "", 0)
    assert shell("swf poll 2>&-", env=env) == Result("", "", 2)
    assert shell("swf poll 0<&- >&- 2>&-", env=env) == Result("", "", 2)
    error_line(shell("swf heartbeat --task - <&-", env=env), 2, "--task")


@pytest.mark.parametrize(
    "command", ["complete --result-file -", "fail --details-file -", "complete --result-file /dev/stdin"]
)
def test_a_closed_stdin_is_not_an_empty_one(command: str, stub: StubService, env: dict[str, str]) -> None:
    """What can't be read is wrong usage; an empty file is an empty text."""
    error_line(shell(f"swf {command} --token T <&-", env=env), 2, "cannot read", "stdin")
    assert stub.requests == []
    stub.reply(COMPLETE)
    stub.reply(FAIL)
    assert shell(f"swf {command} --token T < /dev/null", env=env).code == 0


@pytest.mark.parametrize("task", ["-", "/dev/stdin"])
@pytest.mark.parametrize("result", ["-", "/dev/stdin"])
def test_stdin_is_read_once(stub: StubService, env: dict[str, str], task: str, result: str) -> None:
    """It can't be both the task and its result, by whatever name: the second one would be empty."""
    command = f"""echo '{{"token": "T"}}' | swf complete --task {task} --result-file {result}"""
    error_line(shell(command, env=env), 2, "--task and --result-file cannot both read stdin")
    assert stub.requests == []


@FULL_DEVICE
@pytest.mark.parametrize(("command", "code"), [("swf poll", 2), ("swf", 2), (f"{PENDING} -v --max 2", 8)])
def test_a_full_stderr_changes_no_exit_code(
    counting: StubService, env: dict[str, str], command: str, code: int
) -> None:
    """A message that can't be written is dropped: the exit code is the same."""
    assert shell(f"{command} 2> /dev/full > /dev/null", env=env) == Result("", "", code)


@FULL_DEVICE
def test_a_cancellation_that_cannot_be_printed_is_a_failure(stub: StubService, env: dict[str, str]) -> None:
    """If the data could not be printed, the exit code is 1, not 4."""
    stub.reply(HEARTBEAT, {"cancelRequested": True})
    error_line(run_unwritable("full", "heartbeat", "--token", "T", env=env), 1, "No space left")


def test_only_debug_shows_a_traceback(stub: StubService, env: dict[str, str]) -> None:
    """An error is one line and a hint; with --debug they follow a traceback, but not for a usage error."""
    stub.fault(COUNT, "UnknownResourceFault", "no such domain")
    plain = invoke("pending", "-d", "y", "-t", "x", env=env)
    error_line(plain, 1)
    debug = invoke("pending", "-d", "y", "-t", "x", "--debug", env=env)
    assert "Traceback (most recent call last):\n" in debug.stderr
    assert (debug.stderr.endswith(plain.stderr), debug.stdout, debug.code) == (True, "", 1)
    error_line(invoke("pending", "-d", "y", "--debug", env=env), 2)


def test_data_is_utf8_in_any_locale(stub: StubService, env: dict[str, str]) -> None:
    """In the C locale data is UTF-8 too, and a message that can't be encoded is escaped."""
    stub.reply(POLL, TASK | {"input": "é\U0001f600"})
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
    """Run the command line in a process of its own, and return the modules that are loaded at its end."""
    script = """
import json, sys
from swf_cli.cli.app import run
try:
    run(sys.argv[1:])
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
    unmeasured = {name: value for name, value in env.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", script, *args], env=unmeasured, capture_output=True, text=True, check=True
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
    """Help, version, and completing a command, an option or a fixed value load none of the slow modules."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[default]\n")
    asked = {} if words is None else {"_SWF_COMPLETE": "bash"}
    loaded = _loaded(*args, *([] if words is None else [" \t\n=:", words]), env=bare_env | asked)
    assert loaded & SLOW == set()
    assert "click" in loaded


@pytest.mark.usefixtures("counting")
def test_what_json_does_not_load(env: dict[str, str]) -> None:
    """A command that prints JSON loads neither rich nor another command."""
    loaded = _loaded("pending", "-d", "y", "-t", "x", "-o", "json", env=env)
    assert loaded & {"rich", "sqlite3", "swf_cli.cli.commands.poll", "swf_cli.polling"} == set()
    assert {"botocore", "swf_cli.cli.commands.pending"} <= loaded


NO_THREADS = """
import sys, threading

def start(thread):
    raise RuntimeError("can't start new thread")

threading.Thread.start = start
sys.argv[0] = "swf"
from swf_cli.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["fail", "--token", "T", "--bogus"], 2, "`swf fail` has no option --bogus"),
        (["pending", "-d", "media", "-t", "x", "-t", "y"], 1, "cannot start another thread"),
    ],
)
def test_a_machine_without_threads(
    arguments: list[str], code: int, error: str, aws_env: dict[str, str], refused_url: str
) -> None:
    """An error is printed although the thread that usually prints cannot be started; the lack of one is an error."""
    done = subprocess.run(
        [sys.executable, "-c", NO_THREADS, *arguments],
        env=aws_env | {"AWS_ENDPOINT_URL_SWF": refused_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(f"swf: {error}\nhint: ")
