"""`swf poll`, run as a process."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from swf_cli.output.shell import EVAL_VARIABLES
from tests.helpers.cli import SWF, TASK, Result, run, shell, wait_until
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import FULL_DEVICE, error_line, installed, on_terminal, without_escapes

POLL = ("poll", "-d", "y", "-t", "x")
VARIABLES = (*EVAL_VARIABLES, "SWF_TASK_INPUT")


def _polled(stub: StubService) -> dict[str, Any]:
    """Give the arguments of the one poll that was made."""
    ((operation, arguments),) = stub.requests
    assert operation == "PollForActivityTask"
    return arguments


def test_a_task_is_one_json_object_in_a_pipe(stub: StubService, env: dict[str, str]) -> None:
    """In a pipe, poll prints the task as one line of JSON with the keys that scripts rely on, in their order."""
    stub.reply("PollForActivityTask", TASK)
    result = run(*POLL, "--timeout", "0", env=env)
    assert result.stdout == (
        '{"token": "TOKEN", "id": "resize-1", "activity": {"name": "resize", "version": "2"}, '
        '"execution": {"id": "video-7", "run_id": "RUN"}, "task_started_execution_history_event_id": 6, '
        '"input": "in.png", "domain": "y", "task_list": "x"}\n'
    )
    assert (result.stderr, result.code) == ("", 0)


def test_input_is_null_when_there_is_none_and_text_is_the_token(stub: StubService, env: dict[str, str]) -> None:
    """A task without input has `"input": null`; `-o text` prints the bare token."""
    stub.reply("PollForActivityTask", {key: value for key, value in TASK.items() if key != "input"})
    assert run(*POLL, env=env).json["input"] is None
    assert run(*POLL, "-o", "text", env=env).stdout == "TOKEN\n"


def test_a_table_on_a_terminal_names_every_part_of_the_task(stub: StubService, env: dict[str, str]) -> None:
    """On a terminal, poll prints a table with a line for each value."""
    stub.reply("PollForActivityTask", TASK)
    lines = [line.split() for line in without_escapes(on_terminal(*POLL, env=env).stdout).splitlines()]
    assert lines == [
        ["token", "TOKEN"],
        ["id", "resize-1"],
        ["activity", "name", "resize"],
        ["activity", "version", "2"],
        ["execution", "id", "video-7"],
        ["execution", "run", "id", "RUN"],
        ["task", "started", "execution", "history", "event", "id", "6"],
        ["input", "in.png"],
        ["domain", "y"],
        ["task", "list", "x"],
    ]


@pytest.mark.parametrize(
    ("variables", "flags", "domain", "task_list", "identity"),
    [
        ({}, ["-d", "y", "-t", "x"], "y", "x", None),
        ({}, ["--domain", "y", "--task-list", "x", "--identity", "me"], "y", "x", "me"),
        ({"SWF_DOMAIN": "y", "SWF_TASK_LIST": "  a b ", "SWF_IDENTITY": "m e"}, [], "y", "  a b ", "m e"),
        (
            {"SWF_DOMAIN": "no", "SWF_TASK_LIST": "no", "SWF_IDENTITY": "no"},
            ["-d", "y", "-t", "x", "--identity", "me"],
            "y",
            "x",
            "me",
        ),
        ({"SWF_IDENTITY": ""}, ["-d", "y", "-t", "x"], "y", "x", None),
    ],
)
def test_what_is_polled_comes_from_flags_before_variables(
    stub: StubService,
    env: dict[str, str],
    variables: dict[str, str],
    flags: list[str],
    domain: str,
    task_list: str,
    identity: str | None,
) -> None:
    """SWF_DOMAIN, SWF_TASK_LIST (one list, blanks and all) and SWF_IDENTITY stand in for the flags, which win.

    Without an identity it is HOST:PID.
    """
    stub.reply("PollForActivityTask", TASK)
    shown = run("poll", *flags, env=env | variables).json
    assert (shown["domain"], shown["task_list"]) == (domain, task_list)
    asked = _polled(stub)
    assert (asked["domain"], asked["taskList"]) == (domain, {"name": task_list})
    if identity is None:
        assert re.fullmatch(re.escape(socket.gethostname()) + r":\d+", asked["identity"])
    else:
        assert asked["identity"] == identity


def test_polling_goes_on_until_a_task_comes(stub: StubService, env: dict[str, str]) -> None:
    """A reply without a token, or with an empty one, is no task: without --timeout, poll asks again."""
    for empty in ({"startedEventId": 0}, {"taskToken": "", "startedEventId": 0}, {}):
        stub.reply("PollForActivityTask", empty)
    stub.reply("PollForActivityTask", TASK)
    assert run(*POLL, env=env).json["token"] == "TOKEN"
    assert len(stub.requests) == 4


def test_no_task_in_the_time_given_exits_3(stub: StubService, env: dict[str, str]) -> None:
    """After --timeout no new long poll is started: exit 3, one line, nothing on stdout."""
    stub.reply("PollForActivityTask", {"startedEventId": 0})
    error_line(run(*POLL, "--timeout", "0s", env=env), 3, "no task", "x")
    _polled(stub)


def test_the_poll_in_flight_is_waited_for_after_the_timeout(stub: StubService, env: dict[str, str]) -> None:
    """A task that SWF gives to the poll in flight is printed, although --timeout had passed before it came."""
    late = threading.Event()
    stub.reply("PollForActivityTask", TASK, wait=late)
    threading.Timer(0.8, late.set).start()
    assert run(*POLL, "--timeout", "0", env=env).json["token"] == "TOKEN"
    _polled(stub)


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ({"reset": True}, "closed"),
        ({"body": TASK, "cut": True}, "cut short"),
        ({"body": b"<html>hello</html>"}, "isn't SWF's"),
        ({"body": b""}, "isn't SWF's"),
        ({"body": b"[]"}, "isn't SWF's"),
        ({"body": {"taskToken": "TOKEN"}}, "activityId"),
        ({"status": 500, "body": b"<html>sorry</html>"}, "500"),
        ({"status": 503, "body": {"__type": "InternalFailure", "message": "sorry"}}, "sorry"),
    ],
)
def test_a_poll_that_broke_is_told_and_stays_on_record(
    stub: StubService, env: dict[str, str], how: dict[str, Any], word: str
) -> None:
    """When its reply is lost, SWF may have handed out a task: stderr says to whom, and `swf held` lists the poll.

    It is no task, though: when the time is over, exit 3.
    """
    stub.reply("PollForActivityTask", **how)
    result = run(*POLL, "--identity", "me-1", "--timeout", "0", env=env)
    told, last = result.stderr.splitlines()
    assert told.startswith("swf: the poll failed: ")
    assert [text for text in (word, "may still hand a task to this poll", "identity me-1") if text not in told] == []
    error_line(Result(result.stdout, last, result.code), 3, "no task")
    _polled(stub)
    (held,) = run("held", env=env).json
    assert (held["kind"], held["identity"], held["task_list"]) == ("broken_poll", "me-1", "x")


@pytest.mark.parametrize("fault", ["ThrottlingException", "LimitExceededFault"])
def test_a_poll_that_was_put_off_goes_on_until_a_task_comes(
    stub: StubService, env: dict[str, str], fault: str
) -> None:
    """Throttling, and too many pollers, are told and waited out: the task that comes then is printed, exit 0."""
    stub.fault("PollForActivityTask", fault, "not now")
    stub.reply("PollForActivityTask", TASK)
    result = run(*POLL, env=env)
    assert (result.json["token"], result.code) == ("TOKEN", 0)
    told = rf"swf: the poll failed: .*not now \({fault}\); polling again in [01]\.\d s\n"
    assert re.fullmatch(told, result.stderr)
    assert [held["kind"] for held in run("held", env=env).json] == ["task"]  # what was refused took no task


@pytest.mark.parametrize(
    ("fault", "code", "hinted"),
    [
        ("AccessDenied", 7, True),
        ("AccessDeniedException", 7, True),
        ("ExpiredToken", 7, True),
        ("ExpiredTokenException", 7, True),
        ("UnrecognizedClientException", 7, True),
        ("OperationNotPermittedFault", 7, True),
        ("UnknownResourceFault", 1, False),
        ("ValidationException", 1, False),
        ("NobodyKnowsThisFault", 1, False),
    ],
)
def test_what_swf_refuses_exits_by_its_kind(
    stub: StubService, env: dict[str, str], fault: str, code: int, hinted: bool
) -> None:
    """A fault that will not pass is one line with its name and message: 7 with a hint for access; else 1."""
    stub.fault("PollForActivityTask", fault, "the reason why")
    hint = error_line(run(*POLL, env=env), code, fault, "the reason why")
    assert bool(hint) >= hinted
    _polled(stub)


@pytest.mark.parametrize("form", ["", "--eval", "-o table", "-o text"])
@pytest.mark.parametrize(
    ("where", "word"),
    [
        (">&-", "stdout is closed"),
        pytest.param("> /dev/full", "No space left", marks=FULL_DEVICE),
        ("| exec true", "the reader has gone away"),
    ],
)
def test_a_task_that_cannot_be_printed_is_held(
    stub: StubService, env: dict[str, str], form: str, where: str, word: str
) -> None:
    """With stdout closed, full, or read by nobody: exit 1, and stderr says under which key it is in `swf held`."""
    late = threading.Event()  # whoever reads has gone before the task comes
    stub.reply("PollForActivityTask", TASK, wait=late)
    threading.Timer(0.5, late.set).start()
    result = shell(f'{{ swf poll -d y -t x {form}; echo "code $?" >&2; }} {where}', env=env)
    *lines, code = result.stderr.splitlines()
    assert code == "code 1"
    error_line(Result(result.stdout, "\n".join(lines), 1), 1, word, "the task is in `swf held` under ")
    (held,) = run("held", env=env).json
    assert lines[0].endswith(f"under {held['key']}")
    assert (held["kind"], held["token"], held["id"]) == ("task", "TOKEN", "resize-1")


def test_a_task_that_cannot_be_printed_nor_held_is_named(stub: StubService, env: dict[str, str]) -> None:
    """With the record turned off, stderr says which task of which execution is lost: exit 1."""
    stub.reply("PollForActivityTask", TASK)
    result = shell("swf poll -d y -t x >&-", env=env | {"SWF_LEDGER": "off"})
    error_line(result, 1, "on no record", "resize-1", "video-7", "RUN")


def test_a_wait_is_shown_on_a_terminal_and_leaves_nothing_behind(stub: StubService, env: dict[str, str]) -> None:
    """While it waits, a line on stderr says so if that is a terminal, and goes; stdout holds only data."""
    late = threading.Event()
    stub.reply("PollForActivityTask", TASK, wait=late)
    threading.Timer(0.9, late.set).start()
    result = on_terminal(*POLL, "-t", "[red]x", env=env, stdout=False, stderr=True)
    assert result.json["token"] == "TOKEN"
    assert "waiting for a task on [red]x  0:00" in without_escapes(result.stderr)
    assert result.stderr.rindex("\x1b[?25h") > result.stderr.rindex("\x1b[?25l")  # the cursor is there again
    assert result.stderr.rindex("\x1b[2K") > result.stderr.rindex("waiting")  # the line is wiped


def test_no_wait_is_shown_elsewhere(stub: StubService, env: dict[str, str]) -> None:
    """A stderr that is no terminal gets no waiting line, though stdout is a terminal."""
    stub.reply("PollForActivityTask", {})
    stub.reply("PollForActivityTask", TASK)
    assert on_terminal(*POLL, env=env, stdout=True, stderr=False).stderr == ""


# --- signals


@pytest.fixture(autouse=True)
def _signals_reach_children() -> Iterator[None]:
    """Have children get the signals, also where the tests run under nohup or in the background."""
    numbers = [signal.SIGINT, signal.SIGHUP, signal.SIGTERM]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    yield
    for number in numbers:
        signal.signal(number, before[number])


@contextmanager
def _waiting(stub: StubService, env: Mapping[str, str], *command: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command, in a process group of its own, and go on when its poll is held."""
    path = os.pathsep.join([str(Path(SWF).parent), env["PATH"]])
    with subprocess.Popen(
        command,
        env={**env, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            wait_until(lambda: stub.requests != [])
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def release(stub: StubService) -> Iterator[threading.Event]:
    """Hold the first poll until the test sets this, and then give it a task."""
    event = threading.Event()
    stub.reply("PollForActivityTask", TASK, wait=event)
    yield event
    event.set()


@pytest.fixture
def give_nothing(stub: StubService) -> Iterator[threading.Event]:
    """Hold the first poll until the test sets this, and then give it no task."""
    event = threading.Event()
    stub.reply("PollForActivityTask", {"startedEventId": 0}, wait=event)
    yield event
    event.set()


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send a signal to a poll, and give the line that it says to that."""
    assert process.stderr is not None
    process.send_signal(number)
    line = process.stderr.readline()
    assert line.startswith(f"swf: {number.name}: SWF may be handing a task to the poll that it holds")
    assert "again gives up" in line
    return line


ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_it_by_that_very_signal_when_no_task_came(
    stub: StubService, env: dict[str, str], give_nothing: threading.Event, number: signal.Signals
) -> None:
    """SIGINT, SIGTERM and SIGHUP start no new poll, and wait for the one that is held, which stderr says.

    When it brings nothing, the process dies of the signal that it got, and nothing stays on record.
    """
    with _waiting(stub, env, SWF, *POLL) as process:
        _signal(process, number)
        give_nothing.set()
        assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == -number
    assert len(stub.requests) == 1
    assert run("held", env=env).json == []


@pytest.mark.parametrize("number", ENDING)
def test_a_task_that_comes_after_a_signal_is_printed(
    stub: StubService, env: dict[str, str], release: threading.Event, number: signal.Signals
) -> None:
    """The task that SWF hands to the poll it holds is printed, although a signal asked to stop: exit 0."""
    with _waiting(stub, env, SWF, *POLL) as process:
        _signal(process, number)
        release.set()
        stdout, _ = process.communicate(timeout=10)
    assert (process.returncode, json.loads(stdout)["token"]) == (0, "TOKEN")


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("number", ENDING)
def test_a_second_signal_gives_up_at_once(stub: StubService, env: dict[str, str], number: signal.Signals) -> None:
    """The same signal again ends it at once, by that signal; who may still get a task is said, and on record."""
    with _waiting(stub, env, SWF, *POLL, "--identity", "me-1") as process:
        _signal(process, number)
        time.sleep(0.25)  # within a fifth of a second it would be an echo, as `timeout` makes it
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=10)
    assert (process.returncode, stdout) == (-number, "")
    assert "may still hand a task to this poll, under the identity me-1" in stderr
    (held,) = run("held", env=env).json
    assert (held["kind"], held["identity"], held["holder_alive"]) == ("broken_poll", "me-1", False)


@pytest.mark.usefixtures("release")
def test_a_poll_that_was_killed_stays_on_record(stub: StubService, env: dict[str, str]) -> None:
    """A poll is on record before it starts: kill -9 leaves it there, and a poll that lives is not listed."""
    with _waiting(stub, env, SWF, *POLL) as process:
        assert run("held", env=env).json == []
        process.kill()
    (held,) = run("held", env=env).json
    assert (held["kind"], held["token"], held["pid"]) == ("broken_poll", None, process.pid)


@pytest.mark.parametrize(
    ("number", "script"),
    [
        (signal.SIGHUP, "trap '' HUP; exec swf poll -d y -t x"),
        (signal.SIGHUP, "exec nohup swf poll -d y -t x"),
        (signal.SIGINT, "trap '' INT; exec swf poll -d y -t x"),
        (signal.SIGTERM, "trap '' TERM; exec swf poll -d y -t x"),
    ],
)
def test_a_signal_that_was_ignored_stays_ignored(
    stub: StubService, env: dict[str, str], release: threading.Event, number: signal.Signals, script: str
) -> None:
    """Under nohup, or a trap that ignores the signal, it does not end the wait, and the task is printed."""
    with _waiting(stub, env, "sh", "-c", script) as process:
        process.send_signal(number)
        release.set()
        stdout, _ = process.communicate(timeout=10)
    assert (process.returncode, json.loads(stdout)["token"]) == (0, "TOKEN")


def test_ctrl_c_stops_the_shell_loop_around_it(
    stub: StubService, env: dict[str, str], give_nothing: threading.Event
) -> None:
    """`while swf poll …; do :; done` in bash stops when SIGINT comes to the whole group, as Ctrl-C sends it."""
    with _waiting(stub, env, "bash", "-c", "while swf poll -d y -t x || true; do :; done") as process:
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("swf: SIGINT: ")
        give_nothing.set()
        assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == -signal.SIGINT
    assert len(stub.requests) == 1


def test_a_signal_unsets_what_eval_would_set(
    stub: StubService, env: dict[str, str], give_nothing: threading.Event
) -> None:
    """A poll for eval that a signal ends still gives eval its failure: 128 and the signal's number."""
    with _waiting(stub, env, SWF, *POLL, "--eval") as process:
        _signal(process, signal.SIGTERM)
        give_nothing.set()
        stdout, _ = process.communicate(timeout=10)
    assert (process.returncode, stdout) == (-signal.SIGTERM, f"unset {' '.join(VARIABLES)}; (exit 143)\n")


# --- for eval


@pytest.mark.parametrize("program", installed("bash", "dash", "zsh"))
@pytest.mark.parametrize("task_input", ["$(touch X); \"'\n", "\U0001f600" * 32_768], ids=["quotes", "emoji"])
def test_eval_then_fail_works_whatever_the_input(
    stub: StubService, env: dict[str, str], tmp_path: Path, program: str, task_input: str
) -> None:
    """`eval "$(swf poll --eval …)"; swf fail --reason bad` works with an input that would run or not fit."""
    stub.reply("PollForActivityTask", TASK | {"input": task_input})
    stub.reply("RespondActivityTaskFailed")
    script = f"""
        cd '{tmp_path}'
        export SWF_TASK_INPUT=before SWF_TASK_TOKEN=before
        eval "$(swf poll -d y -t x --eval)" || exit 99
        printf %s "$SWF_TASK_INPUT" > input
        env > environment
        swf fail --reason bad
    """
    result = shell(script, env=env, program=program)
    assert result == Result("", "", 0)
    assert (tmp_path / "input").read_bytes() == task_input.encode()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["environment", "input", "state"]
    assert stub.requests[1:] == [("RespondActivityTaskFailed", {"taskToken": "TOKEN", "reason": "bad"})]
    environment = (tmp_path / "environment").read_text()
    assert sorted(line for line in environment.splitlines() if line.startswith("SWF_")) == [
        "SWF_ACTIVITY_NAME=resize",
        "SWF_ACTIVITY_VERSION=2",
        "SWF_RUN_ID=RUN",
        f"SWF_STATE_DIR={tmp_path}/state",
        "SWF_TASK_ID=resize-1",
        "SWF_TASK_TOKEN=TOKEN",
        "SWF_WORKFLOW_ID=video-7",
    ]


@pytest.mark.parametrize("program", installed("bash", "dash"))
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("-d y -t x --timeout 0", 3),
        ("-d y -t refused", 1),
        ("-d y -t forbidden", 7),
        ("-d y", 2),
        ("--eval --eva", 2),
    ],
)
def test_without_a_task_eval_fails_and_leaves_no_task_behind(
    stub: StubService, env: dict[str, str], program: str, arguments: str, code: int
) -> None:
    """With no task, a refusal or wrong usage, eval gets the exit code, so that `set -e` stops; nothing stays set."""
    if code in (1, 7):
        stub.fault("PollForActivityTask", {1: "UnknownResourceFault", 7: "AccessDeniedException"}[code], "no")
    else:
        stub.reply("PollForActivityTask", {})
    script = f"""
        export {" ".join(f"{name}=before" for name in VARIABLES)}
        text="$(swf poll --eval {arguments})" || echo "process $?"
        (set -e; eval "$text"; echo went on)
        eval "$text" || echo "eval $?"
        for name in {" ".join(VARIABLES)}; do eval "echo \\${{$name-gone}}"; done
    """
    lines = shell(script, env=env, program=program).stdout.splitlines()
    assert lines == [f"process {code}", f"eval {code}", *["gone"] * len(VARIABLES)]


@pytest.mark.parametrize("option", [("--output", "json"), ("-o", "text"), ("--query", "id")])
def test_eval_goes_with_no_other_form(stub: StubService, env: dict[str, str], option: tuple[str, str]) -> None:
    """--eval with --output or --query is wrong usage, and nothing is polled; SWF_OUTPUT is no such option."""
    stub.reply("PollForActivityTask", TASK)
    result = run(*POLL, "--eval", *option, env=env)
    assert (result.code, stub.requests) == (2, [])
    assert result.stdout.endswith("(exit 2)\n")
    assert "--eval" in result.stderr


def test_eval_is_not_moved_by_the_output_variable(stub: StubService, env: dict[str, str]) -> None:
    """SWF_OUTPUT says how data looks; what --eval prints is shell text all the same."""
    stub.reply("PollForActivityTask", TASK)
    assert run(*POLL, "--eval", env=env | {"SWF_OUTPUT": "table"}).stdout.startswith("export SWF_TASK_TOKEN=TOKEN\n")
