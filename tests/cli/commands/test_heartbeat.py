"""`swf heartbeat`."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.cli import TASK, Result, invoke, run, wait_until
from tests.helpers.events import started as started_event
from tests.helpers.operations import HEARTBEAT, HISTORY, POLL
from tests.helpers.processes import started
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import error_line, on_terminal, without_escapes


@pytest.mark.parametrize(
    ("requested", "form", "shown"),
    [
        (False, [], '{"cancel_requested": false}\n'),
        (True, [], '{"cancel_requested": true}\n'),
        (False, ["-o", "text"], "false\n"),
        (True, ["-o", "text"], "true\n"),
        (True, ["--query", "cancel_requested"], "true\n"),
    ],
)
def test_a_heartbeat_prints_whether_to_stop(
    stub: StubService, env: dict[str, str], requested: bool, form: list[str], shown: str
) -> None:
    """A heartbeat prints whether cancellation was requested, and exits with 4 if it was, without a message."""
    stub.reply(HEARTBEAT, {"cancelRequested": requested})
    assert invoke("heartbeat", "--token", "T", *form, env=env) == Result(shown, "", 4 if requested else 0)


def test_another_word_is_no_cancellation(stub: StubService, env: dict[str, str]) -> None:
    """A response of another shape is an error, and does not stop the work."""
    stub.reply(HEARTBEAT, {"cancelRequested": "false"})
    error_line(invoke("heartbeat", "--token", "T", env=env), 1, "cancelRequested is not true or false")


def test_a_terminal_gets_a_table(stub: StubService, env: dict[str, str]) -> None:
    """On a terminal it is a table, with the same exit code."""
    stub.reply(HEARTBEAT, {"cancelRequested": True})
    result = on_terminal("heartbeat", "--token", "T", env=env)
    assert (without_escapes(result.stdout).split(), result.code) == (["cancel", "requested", "true"], 4)


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [([], {}), (["--details", "d" * 2_048], {"details": "d" * 2_048}), (["--details", ""], {"details": ""})],
)
def test_details_are_sent_as_they_were_given(
    stub: StubService, env: dict[str, str], arguments: list[str], sent: dict[str, Any]
) -> None:
    """Details up to SWF's limit are sent with the heartbeat, unchanged."""
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    assert invoke("heartbeat", "--token", "T", *arguments, env=env).code == 0
    assert stub.requests == [(HEARTBEAT, {"taskToken": "T", **sent})]


def test_over_long_details_are_refused_before_anything_is_sent(stub: StubService, env: dict[str, str]) -> None:
    """Heartbeat details over 2,048 characters exit 2, with one line that names the option and the limit."""
    result = invoke("heartbeat", "--token", "T", "--details", "d" * 2_049, env=env)
    error_line(result, 2, "--details:", "2,049", "2,048")
    assert stub.requests == []


@pytest.mark.parametrize(
    ("fault", "code"), [("UnknownResourceFault", 5), ("OperationNotPermittedFault", 7), ("NewFault", 1)]
)
def test_a_rejected_heartbeat_exits_by_its_kind(
    stub: StubService, env: dict[str, str], fault: str, code: int
) -> None:
    """A task that is not open is 5, no access is 7, another rejection is 1; nothing is printed."""
    stub.fault(HEARTBEAT, fault, "the reason why")
    error_line(invoke("heartbeat", "--token", "T", env=env), code, "the reason why", fault)


def test_a_lost_heartbeat_is_a_plain_failure(stub: StubService, env: dict[str, str]) -> None:
    """A heartbeat closes nothing: if its response is lost it is sent again, and the last error counts."""
    stub.reply(HEARTBEAT, reset=True)
    stub.fault(HEARTBEAT, "LimitExceededFault", "too many")
    error_line(invoke("heartbeat", "--token", "T", env=env), 1, "too many")
    assert stub.operations() == [HEARTBEAT] * 2


# --- at an interval

EVERY = ("heartbeat", "--token", "T", "--every", "1s")
CONTINUE = {"cancelRequested": False}


@pytest.fixture
def work() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that runs until it is stopped, and stays a zombie until the test ends."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_heartbeats_end_with_the_work(
    stub: StubService, env: dict[str, str], work: "subprocess.Popen[bytes]"
) -> None:
    """If the process ends, and be it as a zombie, the heartbeats end: one line at the end, exit code 0."""
    stub.reply(HEARTBEAT, CONTINUE)
    with started(*EVERY, "--while-pid", str(work.pid), "--details", "p. 7", env=env) as process:
        wait_until(lambda: stub.requests != [])
        work.kill()
        stdout, stderr = process.communicate(timeout=60)
    assert (stdout, stderr, process.returncode) == ('{"cancel_requested": false}\n', "", 0)
    assert {str(request) for request in stub.requests} == {str((HEARTBEAT, {"taskToken": "T", "details": "p. 7"}))}


@pytest.mark.parametrize("collected", [True, False], ids=["gone", "zombie"])
def test_work_that_is_over_gets_no_heartbeat(
    stub: StubService, env: dict[str, str], work: "subprocess.Popen[bytes]", collected: bool
) -> None:
    """If the process had ended before: exit code 0 at once, and no heartbeat is sent."""
    work.kill()
    if collected:
        work.wait()
    result = run(*EVERY, "--while-pid", str(work.pid), env=env)
    assert (result, stub.requests) == (Result('{"cancel_requested": false}\n', "", 0), [])


def test_a_cancellation_ends_the_heartbeats(
    stub: StubService, env: dict[str, str], work: "subprocess.Popen[bytes]"
) -> None:
    """If cancellation is requested: one line, exit code 4; the process still runs, and its parent is to stop it."""
    stub.reply(HEARTBEAT, {"cancelRequested": True})
    result = invoke(*EVERY, "--while-pid", str(work.pid), env=env)
    assert result == Result('{"cancel_requested": true}\n', "", 4)
    assert (stub.operations(), work.poll()) == ([HEARTBEAT], None)


def test_a_task_that_closes_ends_the_heartbeats(stub: StubService, env: dict[str, str]) -> None:
    """If the task is closed: nothing on stdout, exit code 5."""
    stub.fault(HEARTBEAT, "UnknownResourceFault", "Unknown activity")
    error_line(invoke(*EVERY, env=env), 5, "it was closed, or it timed out")


@pytest.mark.parametrize(("named", "every"), [("token", []), ("task", []), ("held", []), ("held", ["--every", "1s"])])
@pytest.mark.parametrize("is_readable", [True, False], ids=["", "no history"])
def test_how_a_closed_task_ended(
    is_readable: bool, named: str, every: list[str], stub: StubService, env: dict[str, str], tmp_path: Path
) -> None:
    """The history says so, of the execution that the task or the ledger names; else SWF's reply counts."""
    stub.reply(POLL, TASK)
    task = invoke("poll", "-d", "media", "-t", "work", env=env)
    (tmp_path / "task.json").write_text(task.stdout)
    values = {"scheduledEventId": 5, "startedEventId": 6, "timeoutType": "HEARTBEAT"}
    end = {"eventId": 8, "eventType": "ActivityTaskTimedOut", "activityTaskTimedOutEventAttributes": values}
    stub.fault(HEARTBEAT, "UnknownResourceFault", "Unknown activity, scheduledEventId = 5")
    if is_readable:
        stub.reply(HISTORY, {"events": [end, started_event(6, 5)]})
    else:
        stub.fault(HISTORY, "AccessDeniedException", "no")
    names = {"token": "TOKEN", "task": str(tmp_path / "task.json"), "held": task.json["held_key"]}
    result = invoke("heartbeat", f"--{named}", names[named], *every, env=env)
    why = "it timed out (HEARTBEAT)" if is_readable else "it was closed, or it timed out"
    assert error_line(result, 5, f"swf: the task is not open: {why}") == ""


def test_a_transient_fault_is_logged_and_the_next_heartbeat_is_sent(stub: StubService, env: dict[str, str]) -> None:
    """A heartbeat that fails is logged, and does not end the others."""
    stub.fault(HEARTBEAT, "LimitExceededFault", "too many")
    stub.reply(HEARTBEAT, {"cancelRequested": True})
    result = invoke(*EVERY, env=env)
    assert (result.stdout, result.code) == ('{"cancel_requested": true}\n', 4)
    assert result.stderr == (
        f"swf: heartbeat failed: {HEARTBEAT}: too many (LimitExceededFault)\n"
        "swf: heartbeats are accepted again, after 1s\n"
    )


def test_work_that_ends_without_a_heartbeat_is_an_error(
    stub: StubService, env: dict[str, str], work: "subprocess.Popen[bytes]"
) -> None:
    """If SWF accepted no heartbeat before the process ended, the last error decides on the exit code."""
    stub.fault(HEARTBEAT, "LimitExceededFault", "too many")
    with started(*EVERY, "--while-pid", str(work.pid), env=env) as process:
        assert process.stderr is not None
        failure = process.stderr.readline()
        work.kill()
        stdout, stderr = process.communicate(timeout=60)
    why = f"{HEARTBEAT}: too many (LimitExceededFault)"
    assert failure == f"swf: heartbeat failed: {why}\n"
    assert (stdout, stderr, process.returncode) == ("", f"swf: {why}\n", 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_heartbeats(stub: StubService, env: dict[str, str], number: signal.Signals) -> None:
    """SIGINT, SIGTERM and SIGHUP end it without a message, by that signal, and leave the task as it is."""
    stub.reply(HEARTBEAT, CONTINUE)
    with started(*EVERY, env=env) as process:
        wait_until(lambda: stub.requests != [])
        process.send_signal(number)
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == -number
    assert set(stub.operations()) == {HEARTBEAT}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--while-pid", "1"], ["--while-pid", "--every"]),
        (["--every", "0"], ["--every", "0"]),
        (["--every", "often"], ["--every", "1h30m"]),
        (["--every", "1s", "--while-pid", "0"], ["--while-pid"]),
        (["--every", "1s", "--while-pid", "-5"], ["--while-pid"]),
        (["--every", "1s", "--while-pid", "x"], ["--while-pid"]),
        (["--every", "1s", "--while-pid", "99999999999"], ["--while-pid"]),
    ],
)
def test_a_bad_interval_or_process_is_a_usage_error(
    stub: StubService, env: dict[str, str], arguments: list[str], words: list[str]
) -> None:
    """An interval under a second, an impossible process ID, --while-pid alone: exit code 2, and nothing is sent."""
    error_line(invoke("heartbeat", "--token", "T", *arguments, env=env), 2, *words)
    assert stub.requests == []
