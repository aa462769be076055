"""`swf poll`."""

import array
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import termios
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from swf_cli.output.shell import EVAL_VARIABLES, shell_no_task
from tests.helpers.cli import SWF, TASK, Result, Unwritable, invoke, run, run_unwritable, shell, wait_until
from tests.helpers.operations import FAIL, POLL
from tests.helpers.processes import started
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import (
    FULL_DEVICE,
    error_line,
    installed,
    invoke_on_terminal,
    on_terminal,
    without_escapes,
)

ON_LIST = ("poll", "-d", "y", "-t", "x")
VARIABLES = (*EVAL_VARIABLES, "SWF_TASK_INPUT")


def _polled(stub: StubService) -> dict[str, Any]:
    """Return the arguments of the one poll that was sent."""
    ((operation, arguments),) = stub.requests
    assert operation == POLL
    return arguments


def test_a_task_is_one_json_object_in_a_pipe(stub: StubService, env: dict[str, str]) -> None:
    """In a pipe, the task is one line of JSON with the keys that scripts rely on, in their order."""
    stub.reply(POLL, TASK)
    result = run(*ON_LIST, "--timeout", "0", env=env | {"SWF_LEDGER": "off"})
    assert result.stdout == (
        '{"token": "TOKEN", "id": "resize-1", "activity": {"name": "resize", "version": "2"}, '
        '"execution": {"id": "video-7", "run_id": "RUN"}, "task_started_execution_history_event_id": 6, '
        '"input": "in.png", "domain": "y", "task_list": "x", "held_key": null}\n'
    )
    assert (result.stderr, result.code) == ("", 0)


def test_input_is_null_when_there_is_none_and_text_is_the_token(stub: StubService, env: dict[str, str]) -> None:
    """A task without input has `"input": null`; `-o text` prints only the token."""
    stub.reply(POLL, {key: value for key, value in TASK.items() if key != "input"})
    assert invoke(*ON_LIST, env=env).json["input"] is None
    assert invoke(*ON_LIST, "-o", "text", env=env).stdout == "TOKEN\n"


def test_a_table_on_a_terminal_names_every_part_of_the_task(stub: StubService, env: dict[str, str]) -> None:
    """On a terminal, the task is a table with a line for each value."""
    stub.reply(POLL, TASK)
    shown = invoke_on_terminal(*ON_LIST, env=env | {"SWF_LEDGER": "off"}).stdout
    lines = [line.split() for line in without_escapes(shown).splitlines()]
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
        ["held", "key", "-"],
    ]


def test_the_key_of_a_task_in_the_ledger(stub: StubService, env: dict[str, str]) -> None:
    """The JSON has it; `swf held` lists the task under it."""
    stub.reply(POLL, TASK)
    key = invoke(*ON_LIST, env=env).json["held_key"]
    assert [held["key"] for held in invoke("held", env=env).json] == [key]


def test_a_table_in_a_file_is_a_warning(stub: StubService, env: dict[str, str]) -> None:
    """SWF_OUTPUT=table is heeded also by `swf poll > task.json`: a line says what to use instead."""
    stub.reply(POLL, TASK)
    result = invoke(*ON_LIST, env=env | {"SWF_OUTPUT": "table"})
    (held,) = invoke("held", env=env).json
    assert result.code == 0
    assert result.stdout.startswith("token ")
    assert result.stderr == (
        "swf: warning: stdout has a table, which --task cannot read: "
        f"use --held {held['key']}, or poll with --output json\n"
    )
    assert invoke_on_terminal(*ON_LIST, env=env, stderr=True).stderr.count("warning") == 0


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
    """SWF_DOMAIN, SWF_TASK_LIST (one list, including blanks) and SWF_IDENTITY are defaults of the flags, which win.

    The default identity is HOST:PID.
    """
    stub.reply(POLL, TASK)
    shown = invoke("poll", *flags, env=env | variables).json
    assert (shown["domain"], shown["task_list"]) == (domain, task_list)
    asked = _polled(stub)
    assert (asked["domain"], asked["taskList"]) == (domain, {"name": task_list})
    if identity is None:
        assert re.fullmatch(re.escape(socket.gethostname()) + r":\d+", asked["identity"])
    else:
        assert asked["identity"] == identity


def test_polling_goes_on_until_a_task_is_received(stub: StubService, env: dict[str, str]) -> None:
    """A response without a token, or with an empty one, means no task: without --timeout it polls again."""
    for empty in ({"startedEventId": 0}, {"taskToken": "", "startedEventId": 0}, {}):
        stub.reply(POLL, empty)
    stub.reply(POLL, TASK)
    assert invoke(*ON_LIST, env=env).json["token"] == "TOKEN"
    assert len(stub.requests) == 4


def test_no_task_within_the_timeout_exits_with_3(stub: StubService, env: dict[str, str]) -> None:
    """After --timeout no new poll is sent: exit code 3, one line, nothing on stdout."""
    stub.reply(POLL, {"startedEventId": 0})
    error_line(invoke(*ON_LIST, "--timeout", "0s", env=env), 3, "no task", "x")
    _polled(stub)


def test_the_poll_in_flight_is_waited_for_after_the_timeout(stub: StubService, env: dict[str, str]) -> None:
    """A task that the poll in flight receives is printed, although --timeout has passed by then."""
    stub.reply(POLL, TASK)
    assert invoke(*ON_LIST, "--timeout", "0", env=env).json["token"] == "TOKEN"
    _polled(stub)


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ({"reset": True}, "closed"),
        ({"body": TASK, "cut": True}, "cut short"),
        ({"body": b"<html>hello</html>"}, "is not SWF's"),
        ({"body": b""}, "is not SWF's"),
        ({"body": b"[]"}, "is not SWF's"),
        ({"status": 500, "body": b"<html>sorry</html>"}, "500"),
    ],
)
def test_a_lost_poll_is_logged_and_stays_on_record(
    stub: StubService, env: dict[str, str], how: dict[str, Any], word: str
) -> None:
    """If its response is lost, SWF may have assigned a task: stderr says so, and `swf held` lists the poll.

    No task was received, though: exit code 3 once the time is over.
    """
    stub.reply(POLL, **how)
    result = invoke(*ON_LIST, "--identity", "me-1", "--timeout", "0", env=env)
    lost, last = result.stderr.splitlines()
    assert lost.startswith("swf: poll failed: ")
    assert word in lost
    assert "SWF may have assigned a task to this poll (identity me-1)" in lost
    error_line(Result(result.stdout, last, result.code), 3, "no task", "every poll failed", word)
    _polled(stub)
    (held,) = invoke("held", env=env).json
    assert (held["kind"], held["identity"], held["task_list"]) == ("broken_poll", "me-1", "x")


INCOMPLETE = {name: value for name, value in TASK.items() if name != "activityType"}


@pytest.mark.parametrize("form", [[], ["--eval"], ["-o", "table"]], ids=["json", "eval", "table"])
def test_a_task_of_which_only_the_token_is_known_is_held(
    stub: StubService, env: dict[str, str], form: list[str]
) -> None:
    """If the response lacks something, the command that fails the task is suggested; it works, and drops the task."""
    stub.reply(POLL, INCOMPLETE)
    stub.reply(FAIL)
    result = run(*ON_LIST, *form, env=env)
    (held,) = invoke("held", env=env).json
    assert (held["kind"], held["token"], held["id"], held["holder_alive"]) == ("broken_poll", "TOKEN", None, None)
    command = f"swf fail --held {held['key']} --reason 'incomplete response'"
    assert result.code == 1
    assert result.stderr == (
        "swf: the response to the poll is incomplete: it has no 'activityType'; "
        f"the task is in `swf held` under {held['key']}\n"
        f"hint: to fail it at once: {command}\n"
    )
    assert result.stdout == ("" if "--eval" not in form else shell_no_task(1))
    assert shell(command, env=env).code == 0
    assert stub.requests[1:] == [(FAIL, {"taskToken": "TOKEN", "reason": "incomplete response"})]
    assert invoke("held", env=env).json == []


@pytest.mark.parametrize("form", [[], ["-o", "table"]], ids=["json", "table"])
def test_a_token_that_cannot_be_held_is_printed(
    stub: StubService, env: dict[str, str], form: list[str], tmp_path: Path
) -> None:
    """Without a ledger, stdout gets the token, and the suggested command takes that; no message has the token."""
    stub.reply(POLL, INCOMPLETE)
    stub.reply(FAIL)
    result = invoke(*ON_LIST, *form, env=env | {"SWF_LEDGER": "off"})
    assert (result.stdout, result.code) == ('{"token": "TOKEN"}\n', 1)
    message, hint = result.stderr.splitlines()
    assert message.endswith("it has no 'activityType'; its token was printed; save that as FILE")
    assert "TOKEN" not in result.stderr
    (tmp_path / "FILE").write_text(result.stdout)
    command = hint.removeprefix("hint: to fail it at once: ")
    assert shell(f"cd {tmp_path}; {command}", env=env).code == 0
    assert stub.requests[1:] == [(FAIL, {"taskToken": "TOKEN", "reason": "incomplete response"})]


@pytest.mark.parametrize(("where", "form"), [("unread", []), (None, ["--eval"])], ids=["unread", "eval"])
def test_a_token_that_can_be_neither_held_nor_printed(
    stub: StubService, env: dict[str, str], where: Unwritable | None, form: list[str]
) -> None:
    """Without a ledger, and nowhere to print the token: stderr says that the task stays open."""
    stub.reply(POLL, INCOMPLETE)
    settings = env | {"SWF_LEDGER": "off"}
    args = (*ON_LIST, *form)
    result = run_unwritable(where, *args, env=settings) if where else invoke(*args, env=settings)
    assert result.code == 1
    assert result.stderr.endswith("; the task is not recorded, and stays open until it times out\n")


@pytest.mark.parametrize("fault", ["ThrottlingException", "LimitExceededFault"])
def test_a_poll_that_is_rejected_for_now_is_retried(stub: StubService, env: dict[str, str], fault: str) -> None:
    """Throttling, and too many pollers, are logged and retried: exit code 0 with the task that is received then."""
    stub.fault(POLL, fault, "not now")
    stub.reply(POLL, TASK)
    result = invoke(*ON_LIST, env=env)
    assert (result.json["token"], result.code) == ("TOKEN", 0)
    line = rf"swf: poll failed: .*not now \({fault}\); retrying in 0\.0 s\n"
    assert re.fullmatch(line, result.stderr)
    assert [held["kind"] for held in invoke("held", env=env).json] == ["task"]  # a rejected poll received no task


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
def test_a_rejected_poll_exits_by_its_kind(
    stub: StubService, env: dict[str, str], fault: str, code: int, hinted: bool
) -> None:
    """A permanent fault is one line with its name and message: exit code 7 and a hint for access, otherwise 1."""
    stub.fault(POLL, fault, "the reason why")
    hint = error_line(invoke(*ON_LIST, env=env), code, fault, "the reason why")
    assert bool(hint) >= hinted
    _polled(stub)


@pytest.mark.parametrize("redirection", [">&-", "1< /dev/null"])
def test_nothing_is_polled_that_could_not_be_printed(
    stub: StubService, env: dict[str, str], redirection: str
) -> None:
    """With stdout closed, or open for reading only, no task is taken."""
    stub.reply(POLL, TASK)
    result = shell(f"swf poll --task-list x --domain y {redirection}", env=env)
    assert error_line(result, 1, "stdout is closed") == ""
    assert stub.requests == []


@pytest.mark.parametrize("form", [[], ["--eval"], ["-o", "table"]], ids=["json", "eval", "table"])
@pytest.mark.parametrize(
    ("where", "words"),
    [
        pytest.param("full", "No space left", marks=FULL_DEVICE),
        ("unread", "the reader closed the pipe"),
    ],
)
def test_a_task_that_cannot_be_printed_is_held(
    stub: StubService, env: dict[str, str], form: list[str], where: Unwritable, words: str
) -> None:
    """With stdout full, or read by nobody: exit code 1, its key in `swf held`, and how to fail it."""
    stub.reply(POLL, TASK)
    result = run_unwritable(where, *ON_LIST, *form, env=env)
    hint = error_line(result, 1, words)
    (held,) = invoke("held", env=env).json
    assert f"; the task is in `swf held` under {held['key']}\n" in result.stderr
    assert hint == f"if nobody works on it: swf fail --held {held['key']} --reason 'not printed'"
    assert (held["kind"], held["token"], held["id"]) == ("task", "TOKEN", "resize-1")


def test_a_task_that_can_neither_be_printed_nor_held_is_named(stub: StubService, env: dict[str, str]) -> None:
    """Without a ledger, stderr says which task of which execution is lost: exit code 1."""
    stub.reply(POLL, TASK)
    result = run_unwritable("unread", *ON_LIST, env=env | {"SWF_LEDGER": "off"})
    hint = error_line(result, 1, "the task is not recorded", "resize-1", "video-7", "RUN")
    command = "swf tasks --domain y --workflow-id video-7 --run-id RUN --id resize-1"
    assert hint == f"see when it times out: {command}"


def test_no_command_that_could_not_be_copied_is_suggested(stub: StubService, env: dict[str, str]) -> None:
    """With a character in it that is shown as its escape, it would name another workflow."""
    stub.reply(POLL, TASK | {"workflowExecution": {"workflowId": "video\u3164", "runId": "RUN"}})
    result = run_unwritable("unread", *ON_LIST, env=env | {"SWF_LEDGER": "off"})
    assert error_line(result, 1, "the task is not recorded", r"video\u3164") == ""


@pytest.mark.parametrize("form", [[], ["--eval"]], ids=["json", "eval"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_while_a_task_is_printed(
    stub: StubService, env: dict[str, str], form: list[str], number: signal.Signals
) -> None:
    """To a reader that has stalled: it quits, by that signal, and says where the task is and how to fail it."""
    stub.reply(POLL, TASK | {"input": "\U0001f600" * 32_768})
    with started(*ON_LIST, *form, env=env, errors="replace") as process:
        assert process.stdout is not None
        stdout = process.stdout
        wait_until(lambda: is_stalled(stdout.fileno()))
        process.send_signal(number)
        assert process.stderr is not None
        notice = process.stderr.readline()
        time.sleep(0.25)  # within a fifth of a second it would be a duplicate, such as `timeout` sends
        process.send_signal(number)
        _, stderr = process.communicate(timeout=10)
    (held,) = invoke("held", env=env).json
    again = "send the signal again to quit immediately"
    assert notice == f"swf: {number.name}: printing the task that was received; {again}\n"
    message, hint = stderr.splitlines()
    where = f"the task is in `swf held` under {held['key']}"
    assert message == f"swf: {number.name}: the task may not have been printed in full; {where}"
    assert hint == f"hint: if nobody works on it: swf fail --held {held['key']} --reason 'not printed'"
    assert (process.returncode, held["kind"]) == (-number, "task")


def is_stalled(descriptor: int) -> bool:
    """Return whether a pipe is full: its capacity is 64 KiB, at most."""
    waiting = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, waiting)
    return waiting[0] >= 16_384


def test_the_wait_is_shown_on_a_terminal_and_then_removed(stub: StubService, env: dict[str, str]) -> None:
    """While it waits, a line on stderr says so if that is a terminal, and is removed; stdout has only data."""
    stub.reply(POLL, TASK)
    result = on_terminal("poll", "-d", "y", "-t", "[red]x", env=env, stdout=False, stderr=True)
    assert result.json["token"] == "TOKEN"
    assert "waiting for a task on [red]x  0:00" in without_escapes(result.stderr)
    assert result.stderr.rindex("\x1b[?25h") > result.stderr.rindex("\x1b[?25l")  # the cursor is visible again
    assert result.stderr.rindex("\x1b[2K") > result.stderr.rindex("waiting")  # the line is erased


def test_the_wait_is_not_shown_elsewhere(stub: StubService, env: dict[str, str]) -> None:
    """A stderr that is not a terminal gets no such line, even if stdout is a terminal."""
    stub.reply(POLL, {})
    stub.reply(POLL, TASK)
    assert invoke_on_terminal(*ON_LIST, env=env, stdout=True, stderr=False).stderr == ""


# --- signals


@contextmanager
def _waiting(stub: StubService, env: Mapping[str, str], *command: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command, in a process group of its own, and go on once its poll is in flight."""
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
    """An event until which the first poll is held; it receives a task then."""
    event = threading.Event()
    stub.reply(POLL, TASK, wait=event)
    yield event
    event.set()


@pytest.fixture
def release_empty(stub: StubService) -> Iterator[threading.Event]:
    """An event until which the first poll is held; it receives no task then."""
    event = threading.Event()
    stub.reply(POLL, {"startedEventId": 0}, wait=event)
    yield event
    event.set()


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send a signal to a poll, and return the line that it logs."""
    assert process.stderr is not None
    process.send_signal(number)
    line = process.stderr.readline()
    assert line.startswith(f"swf: {number.name}: waiting up to 75 s for the poll in flight")
    assert "send the signal again to quit immediately" in line
    return line


ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", ENDING)
def test_without_a_task_it_dies_of_the_signal(
    stub: StubService, env: dict[str, str], release_empty: threading.Event, number: signal.Signals
) -> None:
    """After SIGINT, SIGTERM or SIGHUP no new poll is sent, and the one in flight is waited for, which stderr says.

    If it receives no task, the process dies of that signal, and nothing stays on record.
    """
    with _waiting(stub, env, SWF, *ON_LIST) as process:
        _signal(process, number)
        release_empty.set()
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == -number
    assert len(stub.requests) == 1
    assert invoke("held", env=env).json == []


@pytest.mark.parametrize("number", ENDING)
def test_a_task_that_is_received_after_a_signal_is_printed(
    stub: StubService, env: dict[str, str], release: threading.Event, number: signal.Signals
) -> None:
    """If the poll in flight receives a task, it is printed despite the signal: exit code 0."""
    with _waiting(stub, env, SWF, *ON_LIST) as process:
        _signal(process, number)
        release.set()
        stdout, _ = process.communicate(timeout=60)
    assert (process.returncode, json.loads(stdout)["token"]) == (0, "TOKEN")


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("number", ENDING)
def test_a_second_signal_quits_at_once(stub: StubService, env: dict[str, str], number: signal.Signals) -> None:
    """The same signal again ends it at once, by that signal; the poll is logged with its identity, and on record."""
    with _waiting(stub, env, SWF, *ON_LIST, "--identity", "me-1") as process:
        _signal(process, number)
        time.sleep(0.25)  # within a fifth of a second it would be a duplicate, such as `timeout` sends
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (-number, "")
    assert "SWF may have assigned a task to this poll (identity me-1)" in stderr
    (held,) = invoke("held", env=env).json
    assert (held["kind"], held["identity"], held["holder_alive"]) == ("broken_poll", "me-1", False)


@pytest.mark.usefixtures("release")
def test_a_poll_that_was_killed_stays_on_record(stub: StubService, env: dict[str, str]) -> None:
    """A poll is on record before it is sent: kill -9 leaves it there; a poll in flight is not listed."""
    with _waiting(stub, env, SWF, *ON_LIST) as process:
        assert invoke("held", env=env).json == []
        process.kill()
    (held,) = invoke("held", env=env).json
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
def test_an_ignored_signal_stays_ignored(
    stub: StubService, env: dict[str, str], release: threading.Event, number: signal.Signals, script: str
) -> None:
    """Under nohup, or with a trap that ignores the signal, the wait goes on, and the task is printed."""
    with _waiting(stub, env, "sh", "-c", script) as process:
        process.send_signal(number)
        release.set()
        stdout, _ = process.communicate(timeout=60)
    assert (process.returncode, json.loads(stdout)["token"]) == (0, "TOKEN")


def test_ctrl_c_stops_the_shell_loop_around_it(
    stub: StubService, env: dict[str, str], release_empty: threading.Event
) -> None:
    """`while swf poll …; do :; done` in bash stops if SIGINT is sent to the whole group, as Ctrl-C does."""
    with _waiting(stub, env, "bash", "-c", "while swf poll -d y -t x || true; do :; done") as process:
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("swf: SIGINT: ")
        release_empty.set()
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == -signal.SIGINT
    assert len(stub.requests) == 1


def test_a_signal_reaches_eval(stub: StubService, env: dict[str, str], release_empty: threading.Event) -> None:
    """A poll for eval that a signal ends still prints its failure: 128 plus the signal's number."""
    with _waiting(stub, env, SWF, *ON_LIST, "--eval") as process:
        _signal(process, signal.SIGTERM)
        release_empty.set()
        stdout, _ = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (-signal.SIGTERM, f"unset {' '.join(VARIABLES)}; (exit 143)\n")


# --- for eval


@pytest.mark.parametrize("program", installed("bash", "dash", "zsh"))
@pytest.mark.parametrize("task_input", ["$(touch X); \"'\n", "\U0001f600" * 32_768], ids=["quotes", "emoji"])
def test_eval_then_fail_works_whatever_the_input(
    stub: StubService, env: dict[str, str], tmp_path: Path, program: str, task_input: str
) -> None:
    """`eval "$(swf poll --eval …)"; swf fail --reason bad` works with an input that is shell code, or very long."""
    stub.reply(POLL, TASK | {"input": task_input})
    stub.reply(FAIL)
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
    assert stub.requests[1:] == [(FAIL, {"taskToken": "TOKEN", "reason": "bad"})]
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
        ("poll -d y -t x --timeout 0 --eval", 3),
        ("-d local poll -t x --timeout 0 --eval", 3),
        ("poll -d y -t rejected --eval", 1),
        ("poll -d y -t throttled --timeout 0 --eval", 3),
        ("--region help poll -d y -t forbidden --eval", 7),
        ("poll -d y --eval", 2),
        ("poll --eval --eva", 2),
        ("-d local pol --eval", 2),
    ],
)
def test_without_a_task_eval_fails_and_leaves_no_task_behind(
    stub: StubService, env: dict[str, str], program: str, arguments: str, code: int
) -> None:
    """Without a task, eval returns the exit code, so that `set -e` stops the script; no variable stays set."""
    if "throttled" in arguments:
        stub.fault(POLL, "ThrottlingException", "no")
    elif code in (1, 7):
        stub.fault(POLL, {1: "UnknownResourceFault", 7: "AccessDeniedException"}[code], "no")
    else:
        stub.reply(POLL, {})
    result = invoke(*arguments.split(), env=env)
    assert result.code == code
    script = f"""
        export {" ".join(f"{name}=before" for name in VARIABLES)}
        (set -e; eval "$text"; echo went on)
        eval "$text" || echo "eval $?"
        for name in {" ".join(VARIABLES)}; do eval "echo \\${{$name-gone}}"; done
    """
    lines = shell(script, env=env | {"text": result.stdout}, program=program).stdout.splitlines()
    assert lines == [f"eval {code}", *["gone"] * len(VARIABLES)]


@pytest.mark.parametrize("option", [("--output", "json"), ("-o", "text"), ("--query", "id")])
def test_eval_excludes_other_formats(stub: StubService, env: dict[str, str], option: tuple[str, str]) -> None:
    """--eval with --output or --query is a usage error, and no poll is sent."""
    stub.reply(POLL, TASK)
    result = invoke(*ON_LIST, "--eval", *option, env=env)
    assert (result.code, stub.requests) == (2, [])
    assert result.stdout.endswith("(exit 2)\n")
    assert "--eval" in result.stderr


def test_eval_ignores_the_output_variable(stub: StubService, env: dict[str, str]) -> None:
    """SWF_OUTPUT is the format of data; --eval prints shell assignments all the same."""
    stub.reply(POLL, TASK)
    assert invoke(*ON_LIST, "--eval", env=env | {"SWF_OUTPUT": "table"}).stdout.startswith(
        "export SWF_TASK_TOKEN=TOKEN\n"
    )
