"""`swf pending --watch`: what is about processes, and how it ends. The rest is in tests/output/test_pending.py."""

import json
import signal
import subprocess
import threading
from collections.abc import Mapping

import pexpect
import pytest

from tests.helpers.cli import SWF, Result, invoke, wait_until
from tests.helpers.local_service import Service
from tests.helpers.processes import started
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import error_line, without_escapes

OPERATION = "CountPendingActivityTasks"
WATCH = ("pending", "-d", "media", "-t", "work", "--watch", "--interval", "1s")


def test_a_terminal_gets_a_live_screen(service: Service, service_env: Mapping[str, str]) -> None:
    """Each count redraws it, with the change since the last one; Ctrl-C ends it by that signal."""
    service.schedule("media", "work")
    screen = pexpect.spawn(SWF, [*WATCH], env=dict(service_env), encoding="utf-8", dimensions=(24, 80), timeout=60)
    try:
        screen.expect(r"work +1 ")
        service.schedule("media", "work")
        service.schedule("media", "work")
        screen.expect(r"work +3 +\+2 ")
        shown = without_escapes(f"{screen.before}{screen.after}")
        screen.sendintr()
        shown += screen.read()
        screen.close()
    finally:
        screen.close(force=True)
    assert screen.signalstatus == signal.SIGINT
    assert "watching for" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_ends_at_once_although_a_count_hangs(
    stub: StubService, env: dict[str, str], number: signal.Signals
) -> None:
    """A service that does not respond does not delay the end: it dies of the signal, and says nothing."""
    hangs = threading.Event()
    stub.reply(OPERATION, {"count": 5})
    stub.reply(OPERATION, {"count": 5}, wait=hangs)
    with started(*WATCH, env=env) as process:
        wait_until(lambda: len(stub.requests) == 2)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert len(stub.requests) == 2  # the one that hangs was neither given up nor retried
    hangs.set()
    assert [json.loads(line)["count"] for line in stdout.splitlines()] == [5]
    assert (stderr, process.returncode) == ("", -number)


def test_a_reader_that_goes_away_ends_it(stub: StubService, env: dict[str, str]) -> None:
    """`| head -1` takes a line, which is there at once, and the watch ends quietly."""
    stub.reply(OPERATION, {"count": 5})
    with started(*WATCH, env=env, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["count"] == 5
        process.stdout.close()
        process.stdout = None
        assert process.wait(timeout=60) == 1
        assert process.stderr
        assert process.stderr.read() == ""


def test_max_ends_it(stub: StubService, env: dict[str, str]) -> None:
    """With --max it goes on until a count exceeds that, prints this last one, and exits 8."""
    for count in (3, 4):
        stub.reply(OPERATION, {"count": count})
    result = invoke(*WATCH, "--max", "3", env=env)
    assert [json.loads(line)["count"] for line in result.stdout.splitlines()] == [3, 4]
    error_line(Result("", result.stderr, result.code), 8, "3", "work")


@pytest.mark.parametrize(
    ("name", "code"), [("UnknownResourceFault", 1), ("OperationNotPermittedFault", 7), ("ExpiredTokenException", 7)]
)
def test_an_error_that_is_not_transient_ends_it(stub: StubService, env: dict[str, str], name: str, code: int) -> None:
    """An unknown domain, no permission, expired credentials: one error with its exit code."""
    stub.fault(OPERATION, name, "the reason why")
    error_line(invoke(*WATCH, env=env), code, "the reason why")


def test_one_of_several_lists_that_is_refused(stub: StubService, env: dict[str, str]) -> None:
    """The others are printed, as without --watch, and the error names the list."""
    stub.reply(OPERATION, {"count": 5})
    stub.fault(OPERATION, "OperationNotPermittedFault", "not you")
    result = invoke(*WATCH, "-t", "upload", env=env)
    counts = {row["task_list"]: row["count"] for row in json.loads(result.stdout)}
    assert sorted(counts.values(), key=str) == [5, None]
    (refused,) = (name for name, count in counts.items() if count is None)
    error_line(Result("", result.stderr, result.code), 7, f"{refused} could not be counted: ", "not you")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--watch", "--interval", "0"], ["--interval"]),
        (["--watch", "--interval", "often"], ["--interval"]),
        (["--interval", "5s"], ["--interval", "--watch"]),
    ],
)
def test_bad_input_is_rejected(stub: StubService, env: dict[str, str], args: list[str], words: list[str]) -> None:
    """An interval that makes no sense, or without --watch, exits 2 before anything is sent."""
    error_line(invoke("pending", "-d", "media", "-t", "work", *args, env=env), 2, *words)
    assert stub.requests == []
