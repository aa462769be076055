"""`swf fail`."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.cli import Result, invoke
from tests.helpers.local_service import Service
from tests.helpers.operations import FAIL
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import error_line


def test_fail_closes_a_task_with_its_reason(service: Service, service_env: dict[str, str]) -> None:
    """The history shows the given reason and details as the task's end."""
    workflow_id = service.schedule("fail", "x")
    task = invoke("poll", "-d", "fail", "-t", "x", env=service_env).stdout
    ended = invoke("fail", "--task", "-", "--reason", "bad", "--details", "very", env=service_env, stdin=task)
    assert ended == Result("", "", 0)
    failed = next(e for e in service.history("fail", workflow_id) if e["eventType"] == "ActivityTaskFailed")
    attributes = failed["activityTaskFailedEventAttributes"]
    assert (attributes["reason"], attributes["details"]) == ("bad", "very")


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ([], {}),
        (["--reason", "", "--details", ""], {"reason": "", "details": ""}),
        (["--reason", "é" * 256, "--details", "d" * 32_768], {"reason": "é" * 256, "details": "d" * 32_768}),
        (["--details-file", "-"], {"details": "from stdin\n"}),
    ],
)
def test_reason_and_details_are_sent_as_they_were_given(
    stub: StubService, env: dict[str, str], arguments: list[str], sent: dict[str, Any]
) -> None:
    """Texts up to SWF's limits are sent unchanged; nothing is printed."""
    stub.reply(FAIL)
    assert invoke("fail", "--token", "T", *arguments, env=env, stdin="from stdin\n") == Result("", "", 0)
    assert stub.requests == [(FAIL, {"taskToken": "T", **sent})]


@pytest.mark.parametrize(
    ("arguments", "sent", "words"),
    [
        (["--reason", "é" * 300], {"reason": "é" * 256}, ["--reason", "first 256"]),
        (["--reason", b"\xc3 bad"], {"reason": "\ufffd bad"}, ["--reason", "UTF-8"]),
        (["--details", "d" * 32_769 + "end"], {"details": "d" * 32_765 + "end"}, ["--details", "last 32,768"]),
        (["--details-file", "binary"], {"details": "\ufffd\ufffd\x00"}, ["--details-file", "UTF-8"]),
        (["--details-file", "long"], {"details": "d" * 32_765 + "end"}, ["--details-file", "last 32,768"]),
    ],
)
def test_a_failure_text_never_prevents_the_failure_from_being_reported(
    stub: StubService,
    env: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str | bytes],
    sent: dict[str, str],
    words: list[str],
) -> None:
    """A long reason keeps its beginning, long details their end, and other bytes are replaced: stderr says so."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "long").write_text("d" * 40_000 + "end")
    stub.reply(FAIL)
    done = invoke("fail", "--token", "T", *arguments, env=env)
    assert (done.code, done.stdout) == (0, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("swf: warning: ")
    assert [word for word in words if word not in line] == []
    assert stub.requests == [(FAIL, {"taskToken": "T", **sent})]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--details", "d", "--details-file", "f"], ["--details", "--details-file"]),
        (["--details-file", "none"], ["--details-file", "none"]),
    ],
)
def test_contradictions_and_missing_files_are_rejected_before_anything_is_sent(
    stub: StubService,
    env: dict[str, str],
    arguments: list[str],
    words: list[str],
) -> None:
    """Two sources of details, or one that cannot be read, exit with 2."""
    error_line(invoke("fail", "--token", "T", *arguments, env=env), 2, *words)
    assert stub.requests == []


def test_a_task_that_is_not_open_exits_with_5(stub: StubService, env: dict[str, str]) -> None:
    """Failing a task that is closed, timed out or unknown exits with 5."""
    stub.fault(FAIL, "UnknownResourceFault", "Unknown activity")
    error_line(invoke("fail", "--token", "T", env=env), 5, "it was closed, or it timed out")
