"""`swf complete`, run as a process."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.cli import TASK, Result, run, shell
from tests.helpers.local_service import Service
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import error_line

OPERATION = "RespondActivityTaskCompleted"


def test_from_poll_to_complete(service: Service, service_env: dict[str, str], tmp_path: Path) -> None:
    """A polled task is kept alive and completed by the file that poll printed; a second complete exits 5.

    It has left the record of held tasks then, and history names the end that came first.
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
    error_line(Result("", result.stderr, result.code), 5, "not open: it completed, by another answer")
    assert result.stdout == '{"cancel_requested": false}\n'
    assert run("held", env=service_env).json == []
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
    """A result up to SWF's limit is sent whole and unchanged, none when none is given; nothing is printed."""
    stub.reply(OPERATION)
    assert run("complete", "--token", "T", *arguments, env=env, stdin=stdin) == Result("", "", 0)
    assert stub.requests == [(OPERATION, {"taskToken": "T", **sent})]


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (["--result", "r" * 32_769], b"", ["'--result'", "32,769", "32,768"]),
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
def test_a_bad_result_is_refused_before_anything_is_sent(
    stub: StubService, env: dict[str, str], arguments: list[str | bytes], stdin: bytes, words: list[str]
) -> None:
    """An over-long, binary or unreadable result exits 2, with one line that names the option and the limit."""
    error_line(run("complete", "--token", "T", *arguments, env=env, stdin=stdin), 2, *words)
    assert stub.requests == []


def test_task_and_result_cannot_both_be_stdin(stub: StubService, env: dict[str, str]) -> None:
    """`--task - --result-file -` is wrong usage: stdin is read once."""
    result = run("complete", "--task", "-", "--result-file", "-", env=env, stdin='{"token": "T"}')
    error_line(result, 2, "--task", "--result-file", "stdin")
    assert stub.requests == []


def test_an_answer_whose_reply_was_lost_exits_6(stub: StubService, env: dict[str, str]) -> None:
    """A lost reply leaves open whether SWF took the answer: 6 when nothing tells which execution's history to ask."""
    stub.reply(OPERATION, reset=True)
    result = run("complete", "--token", "T", "--retry-for", "0s", env=env)
    assert "history" in error_line(result, 6, "was sent and its reply lost", "--task")
    assert stub.operations() == [OPERATION]


def test_history_settles_an_answer_whose_reply_was_lost(stub: StubService, env: dict[str, str]) -> None:
    """With the file that poll printed, the execution's history is asked: exit 0 when it shows this very answer."""
    ended = {"scheduledEventId": 5, "startedEventId": 6, "result": "ok"}
    event = {
        "eventId": 7,
        "eventTimestamp": 0,
        "eventType": "ActivityTaskCompleted",
        "activityTaskCompletedEventAttributes": ended,
    }
    stub.reply("PollForActivityTask", TASK)
    stub.reply(OPERATION, reset=True)
    stub.reply("GetWorkflowExecutionHistory", {"events": [event]})
    task = run("poll", "-d", "y", "-t", "x", env=env | {"SWF_LEDGER": "off"}).stdout
    result = run("complete", "--task", "-", "--result", "ok", "--retry-for", "0s", env=env, stdin=task)
    assert result == Result("", "", 0)
    _, asked = stub.requests[-1]
    assert (asked["domain"], asked["execution"]) == ("y", TASK["workflowExecution"])


def test_an_answer_that_fails_at_first_is_sent_again(stub: StubService, env: dict[str, str]) -> None:
    """A throttled or broken try is told and followed by another: only the last word counts when that is success."""
    stub.fault(OPERATION, "ThrottlingException", "Rate exceeded")
    stub.reply(OPERATION)
    result = run("complete", "--token", "T", env=env)
    assert (result.stdout, result.code) == ("", 0)
    told = r"swf: .*Rate exceeded \(ThrottlingException\); trying again in [01]\.\d s\n"
    assert re.fullmatch(told, result.stderr)
    assert stub.operations() == [OPERATION] * 2


@pytest.mark.parametrize("retry_for", ["soon", "", "-1s"])
def test_how_long_to_retry_is_a_duration(stub: StubService, env: dict[str, str], retry_for: str) -> None:
    """--retry-for takes a duration: anything else exits 2, and nothing is sent."""
    error_line(run("complete", "--token", "T", "--retry-for", retry_for, env=env), 2, "--retry-for")
    assert stub.requests == []


def test_an_answer_that_never_left_exits_1(stub: StubService, env: dict[str, str]) -> None:
    """When nothing listens at the endpoint the answer certainly never arrived: 1, not 6."""
    stub.close()
    error_line(run("complete", "--token", "T", "--retry-for", "0s", env=env), 1, "could not connect", stub.url)


@pytest.mark.parametrize(
    ("fault", "message", "code"),
    [
        ("UnknownResourceFault", "Unknown activity", 5),
        ("ValidationException", "Invalid token", 5),
        ("ValidationException", "Value too long", 1),
        ("OperationNotPermittedFault", "no", 7),
    ],
)
def test_a_refused_answer_exits_by_its_kind(
    stub: StubService, env: dict[str, str], fault: str, message: str, code: int
) -> None:
    """A task that is not open, or a token that SWF does not know, is 5; a refusal of access 7; another refusal 1."""
    stub.fault(OPERATION, fault, message)
    error_line(run("complete", "--token", "T", env=env), code, message, fault)
