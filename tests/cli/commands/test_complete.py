"""`swf complete`."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.cli import TASK, Result, invoke, shell
from tests.helpers.local_service import Service
from tests.helpers.operations import COMPLETE, HISTORY, POLL
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import error_line


def test_from_poll_to_complete(service: Service, service_env: dict[str, str], tmp_path: Path) -> None:
    """A task is heartbeated and completed by the file that `swf poll` printed; a second completion exits with 5.

    It has left the ledger by then, and the message says how it ended.
    """
    workflow_id = service.schedule("complete", "x", "in.png")
    script = f"""
        set -e
        cd '{tmp_path}'
        swf poll -d complete -t x > task.json
        swf heartbeat --task task.json
        swf complete --task task.json --result ok
        swf complete --task - --result twice < task.json
    """
    result = shell(script, env=service_env)
    error_line(Result("", result.stderr, result.code), 5, "not open: it completed, with another result")
    assert result.stdout == '{"cancel_requested": false}\n'
    assert invoke("held", env=service_env).json == []
    completed = next(e for e in service.history("complete", workflow_id) if e["eventType"] == "ActivityTaskCompleted")
    assert completed["activityTaskCompletedEventAttributes"]["result"] == "ok"


EMOJI = "\U0001f600" * 32_768


@pytest.mark.parametrize(
    ("arguments", "stdin", "sent"),
    [
        ([], b"", {}),
        (["--result", "done"], b"", {"result": "done"}),
        (["--result", ""], b"", {"result": ""}),
        (["--result", "--result"], b"", {"result": "--result"}),
        (["--result", "r" * 32_768], b"", {"result": "r" * 32_768}),
        (["--result-file", "-"], b"", {"result": ""}),
        (["--result-file", "-"], EMOJI.encode(), {"result": EMOJI}),
        (["--result-file", "-"], b"\0\r\n\x1b[31m \n", {"result": "\0\r\n\x1b[31m \n"}),
    ],
)
def test_the_result_is_sent_as_it_was_given(
    stub: StubService, env: dict[str, str], arguments: list[str], stdin: bytes, sent: dict[str, Any]
) -> None:
    """A result up to SWF's limit is sent unchanged, none if none is given; nothing is printed."""
    stub.reply(COMPLETE)
    assert invoke("complete", "--token", "T", *arguments, env=env, stdin=stdin) == Result("", "", 0)
    assert stub.requests == [(COMPLETE, {"taskToken": "T", **sent})]


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (["--result", "r" * 32_769], b"", ["--result:", "32,769", "32,768"]),
        (["--result", "r", "--result-file", "f"], b"", ["--result", "--result-file"]),
        (["--result", b"\xff"], b"", ["--result", "UTF-8"]),
        (["--result-file", "-"], b"r" * 32_769, ["--result-file", "32,769", "32,768"]),
        (["--result-file", "-"], EMOJI.encode() + b"!", ["--result-file", "32,768"]),
        (["--result-file", "-"], b"\x89PNG\r\n", ["--result-file", "UTF-8"]),
        (["--result-file", "-"], b"\xed\xa0\x80", ["--result-file", "UTF-8"]),
        (["--result-file", "missing"], b"", ["--result-file", "missing"]),
        (["--result-file", "/"], b"", ["--result-file", "directory"]),
        (["--result-file", "/dev/zero"], b"", ["--result-file", "32,768"]),
    ],
)
def test_a_bad_result_is_rejected_before_anything_is_sent(
    stub: StubService, env: dict[str, str], arguments: list[str | bytes], stdin: bytes, words: list[str]
) -> None:
    """A result that is too long, binary or unreadable exits with 2, and a line with the option and the limit."""
    error_line(invoke("complete", "--token", "T", *arguments, env=env, stdin=stdin), 2, *words)
    assert stub.requests == []


def test_task_and_result_cannot_both_be_stdin(stub: StubService, env: dict[str, str]) -> None:
    """`--task - --result-file -` is a usage error: stdin can be read once."""
    result = invoke("complete", "--task", "-", "--result-file", "-", env=env, stdin='{"token": "T"}')
    error_line(result, 2, "--task", "--result-file", "stdin")
    assert stub.requests == []


def test_a_completion_whose_response_was_lost_exits_with_6(stub: StubService, env: dict[str, str]) -> None:
    """If a response is lost, SWF may have completed the task: 6 if its execution, and so its history, is unknown."""
    stub.reply(COMPLETE, reset=True)
    result = invoke("complete", "--token", "T", "--retry-for", "0s", env=env)
    assert "history" in error_line(result, 6, "the request was sent but its response was lost", "--task")
    assert stub.operations() == [COMPLETE]


def test_the_history_settles_a_completion_whose_response_was_lost(stub: StubService, env: dict[str, str]) -> None:
    """With the file that `swf poll` printed, the execution's history is read: exit code 0 if it shows this result."""
    ended = {"scheduledEventId": 5, "startedEventId": 6, "result": "ok"}
    event = {
        "eventId": 7,
        "eventTimestamp": 0,
        "eventType": "ActivityTaskCompleted",
        "activityTaskCompletedEventAttributes": ended,
    }
    stub.reply(POLL, TASK)
    stub.reply(COMPLETE, reset=True)
    stub.reply(HISTORY, {"events": [event]})
    task = invoke("poll", "-d", "y", "-t", "x", env=env | {"SWF_LEDGER": "off"}).stdout
    result = invoke("complete", "--task", "-", "--result", "ok", "--retry-for", "0s", env=env, stdin=task)
    assert result == Result("", "", 0)
    _, asked = stub.requests[-1]
    assert (asked["domain"], asked["execution"]) == ("y", TASK["workflowExecution"])


def test_a_completion_that_fails_at_first_is_retried(stub: StubService, env: dict[str, str]) -> None:
    """A throttled attempt is logged and followed by another; if that succeeds, so does the command."""
    stub.fault(COMPLETE, "ThrottlingException", "Rate exceeded")
    stub.reply(COMPLETE)
    result = invoke("complete", "--token", "T", env=env)
    assert (result.stdout, result.code) == ("", 0)
    line = r"swf: .*Rate exceeded \(ThrottlingException\); retrying in 0\.0 s\n"
    assert re.fullmatch(line, result.stderr)
    assert stub.operations() == [COMPLETE] * 2


@pytest.mark.parametrize("retry_for", ["soon", "", "-1s"])
def test_how_long_to_retry_is_a_duration(stub: StubService, env: dict[str, str], retry_for: str) -> None:
    """--retry-for is a duration: anything else exits with 2, and nothing is sent."""
    error_line(invoke("complete", "--token", "T", "--retry-for", retry_for, env=env), 2, "--retry-for")
    assert stub.requests == []


def test_a_completion_that_was_never_sent_exits_with_1(aws_env: dict[str, str], refused_url: str) -> None:
    """If nothing listens at the endpoint, the request certainly never arrived: 1, not 6."""
    result = invoke("complete", "--token", "T", "--retry-for", "0s", "--endpoint-url", refused_url, env=aws_env)
    error_line(result, 1, "could not connect", refused_url)


@pytest.mark.parametrize(
    ("fault", "message", "code", "words"),
    [
        ("UnknownResourceFault", "Unknown activity", 5, ["it was closed, or it timed out"]),
        ("ValidationException", "Invalid token", 5, ["Invalid token", "ValidationException"]),
        ("ValidationException", "Value too long", 1, ["Value too long", "ValidationException"]),
        ("OperationNotPermittedFault", "no", 7, ["no", "OperationNotPermittedFault"]),
    ],
)
def test_a_rejected_completion_exits_by_its_kind(
    stub: StubService, env: dict[str, str], fault: str, message: str, code: int, words: list[str]
) -> None:
    """A task that is not open, or an unknown token, is 5; no access is 7; another rejection is 1."""
    stub.fault(COMPLETE, fault, message)
    error_line(invoke("complete", "--token", "T", env=env), code, *words)
