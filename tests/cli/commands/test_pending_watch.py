"""`swf pending --watch`, run as a process."""

import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pexpect
import pytest

from tests.helpers.cli import SWF, Result, run, wait_until
from tests.helpers.local_service import Service
from tests.helpers.processes import started
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import error_line, without_escapes

OPERATION = "CountPendingActivityTasks"
WATCH = ("pending", "-d", "media", "-t", "work", "--watch", "--interval", "1s")


@contextmanager
def on_screen(*args: str, env: Mapping[str, str], columns: int = 80) -> Iterator["pexpect.spawn[str]"]:
    """Run `swf` on a terminal of its own, and end it if it has not ended."""
    child = pexpect.spawn(SWF, list(args), env=dict(env), encoding="utf-8", dimensions=(24, columns), timeout=20)
    try:
        yield child
    finally:
        child.close(force=True)


def expect(child: "pexpect.spawn[str]", *words: str) -> str:
    """Wait until a line of the screen holds these words, in order; give what was drawn up to there."""
    child.expect(r"[^\r\n]*?".join(words))
    return without_escapes(f"{child.before}{child.after}")


def test_a_terminal_gets_a_live_table_with_the_change(service: Service, service_env: dict[str, str]) -> None:
    """Each look redraws the table, with the change since the last look; Ctrl-C ends it by that signal."""
    service.schedule("media", "work")
    with on_screen(*WATCH, "-t", "idle", env=service_env) as child:
        shown = expect(child, "task list", "pending", "change")
        expect(child, "work", "1")
        expect(child, "work", "1", "0")
        service.schedule("media", "work")
        service.schedule("media", "work")
        expect(child, "work", "3", r"\+2")
        service.flow("media").poll("work")
        expect(child, "work", "2", "-1")
        expect(child, "idle", "0", "0")
        child.sendintr()
        rest = child.read()
        child.close()
    assert child.signalstatus == signal.SIGINT
    assert "\x1b[?25h" in rest  # the cursor is shown again
    assert "Traceback" not in shown + rest


def test_a_pipe_gets_a_json_line_a_look(stub: StubService, env: dict[str, str]) -> None:
    """In a pipe each look is one line of JSON, of the shape of `swf pending`, there as soon as it is known."""
    for count in (1, 2, 3):
        stub.reply(OPERATION, {"count": count})
    with started(*WATCH, env=env) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        rest, stderr = process.communicate(timeout=10)
    assert [json.loads(line) for line in lines] == [
        {"domain": "media", "task_list": "work", "count": count, "truncated": False} for count in (1, 2)
    ]
    assert (stderr, process.returncode) == ("", -signal.SIGTERM)
    assert all(json.loads(line) for line in rest.splitlines())


def test_several_lists_are_one_array_a_look(stub: StubService, env: dict[str, str]) -> None:
    """Several lists are an array, in the order asked; --query applies to each look."""
    stub.reply(OPERATION, {"count": 4})
    args = ("-t", "other", "--max", "3", "--query", "[].task_list")
    assert run(*WATCH, *args, env=env).stdout == '["work", "other"]\n'


def test_max_ends_it(stub: StubService, env: dict[str, str]) -> None:
    """With --max it goes on until a count is above that, prints this last one, and exits 8."""
    for count in (3, 4):
        stub.reply(OPERATION, {"count": count})
    result = run(*WATCH, "--max", "3", env=env)
    assert [json.loads(line)["count"] for line in result.stdout.splitlines()] == [3, 4]
    error_line(Result("", result.stderr, result.code), 8, "3", "work")


def _throttle(stub: StubService) -> None:
    stub.fault(OPERATION, "ThrottlingException", "Rate exceeded")


def _reset(stub: StubService) -> None:
    stub.reply(OPERATION, reset=True)


def _fail(stub: StubService) -> None:
    stub.reply(OPERATION, b"<html>sorry</html>", status=502)


@pytest.mark.parametrize(
    ("fault", "word"),
    [(_throttle, "Rate exceeded"), (_reset, "Connection"), (_fail, "502")],
    ids=["throttled", "reset", "502"],
)
def test_a_pipe_survives_what_may_pass(
    stub: StubService, env: dict[str, str], fault: Callable[[StubService], None], word: str
) -> None:
    """ThrottlingError, cut off, or served a 502: told on stderr, no line for that look, and the next ones come."""
    stub.reply(OPERATION, {"count": 1})
    for _ in range(3):  # as many as a call is tried
        fault(stub)
    stub.reply(OPERATION, {"count": 9})
    result = run(*WATCH, "--max", "8", env=env)
    assert [json.loads(line)["count"] for line in result.stdout.splitlines()] == [1, 9]
    told, check = result.stderr.splitlines()
    assert (told[:5], word in told) == ("swf: ", True)
    assert result.code == 8
    assert "more than 8" in check


def test_a_terminal_shows_how_old_a_figure_is(stub: StubService, env: dict[str, str]) -> None:
    """When a look fails, the last figure stays with its age, which goes on; the next one that succeeds takes over."""
    stub.reply(OPERATION, {"count": 5})
    for _ in range(6):
        _fail(stub)
    stub.reply(OPERATION, {"count": 6})
    with on_screen(*WATCH, env=env) as child:
        expect(child, "work", "5")
        expect(child, "work", "5", r"\d+s old")
        expect(child, "502")
        expect(child, "work", "6", r"\+1")
        child.sendintr()
        child.read()
        child.close()
    assert child.signalstatus == signal.SIGINT


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_at_once_when_a_look_hangs(stub: StubService, env: dict[str, str], number: signal.Signals) -> None:
    """A service that does not answer does not hold up Ctrl-C: it dies of the signal, without a word."""
    hangs = threading.Event()
    stub.reply(OPERATION, {"count": 5})
    stub.reply(OPERATION, {"count": 5}, wait=hangs)
    with started(*WATCH, env=env) as process:
        wait_until(lambda: len(stub.requests) == 2)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=10)
    hangs.set()
    assert (len(stdout.splitlines()), stderr, process.returncode) == (1, "", -number)


def test_a_reader_that_goes_away_ends_it(stub: StubService, env: dict[str, str]) -> None:
    """`| head -1` takes a line, and the watch ends quietly."""
    stub.reply(OPERATION, {"count": 5})
    with started(*WATCH, env=env, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        assert process.wait(timeout=20) == 1
        assert process.stderr
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("name", "code"), [("UnknownResourceFault", 1), ("OperationNotPermittedFault", 7), ("ExpiredTokenException", 7)]
)
@pytest.mark.parametrize("looks", [0, 1])
def test_what_will_not_pass_ends_it(stub: StubService, env: dict[str, str], looks: int, name: str, code: int) -> None:
    """An unknown domain, no permission, expired credentials: one error with its exit code, at once or later."""
    for _ in range(looks):
        stub.reply(OPERATION, {"count": 5})
    stub.fault(OPERATION, name, "the reason why")
    result = run(*WATCH, env=env)
    assert len(result.stdout.splitlines()) == looks
    error_line(Result("", result.stderr, result.code), code, "the reason why")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--watch", "--interval", "0"], ["--interval"]),
        (["--watch", "--interval", "often"], ["--interval"]),
        (["--interval", "5s"], ["--interval", "--watch"]),
    ],
)
def test_bad_input_is_refused(stub: StubService, env: dict[str, str], args: list[str], words: list[str]) -> None:
    """An interval that makes no sense, or without --watch, exits 2 before anything is sent."""
    error_line(run("pending", "-d", "media", "-t", "work", *args, env=env), 2, *words)
    assert stub.requests == []


@pytest.mark.parametrize("columns", [80, 140])
def test_nothing_is_cut(stub: StubService, env: dict[str, str], columns: int) -> None:
    """A long name folds, its figures stay whole, and an error stands below the table."""
    name = "media-encoding-" + "x" * 120
    stub.reply(OPERATION, {"count": 1000, "truncated": True})
    for _ in range(3):
        _throttle(stub)
    args: tuple[Any, ...] = ("pending", "-d", "media", "-t", name, "--watch", "--interval", "1s")
    with on_screen(*args, env=env, columns=columns) as child:
        shown = expect(child, r"1000\+", "old")
        shown += expect(child, "Rate exceeded")
        child.sendintr()
        shown += without_escapes(child.read())
    lines = shown.splitlines()
    assert max(map(len, lines)) <= columns
    assert sum(line.count("x") for line in lines) >= 120
