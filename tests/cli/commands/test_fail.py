"""`swf fail`, run as a process."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.cli import Result, run
from tests.helpers.local_service import Service
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import error_line

OPERATION = "RespondActivityTaskFailed"


def test_fail_closes_a_task_with_its_reason(service: Service, service_env: dict[str, str]) -> None:
    """What history says of the task's end is the reason and the details that were given."""
    workflow_id = service.schedule("fail", "x")
    task = run("poll", "-d", "fail", "-t", "x", env=service_env).stdout
    ended = run("fail", "--task", "-", "--reason", "bad", "--details", "very", env=service_env, stdin=task)
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
    """Texts up to SWF's limits are sent whole and unchanged; nothing is printed."""
    stub.reply(OPERATION)
    assert run("fail", "--token", "T", *arguments, env=env, stdin="from stdin\n") == Result("", "", 0)
    assert stub.requests == [(OPERATION, {"taskToken": "T", **sent})]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--reason", "r" * 257], ["'--reason'", "257", "256"]),
        (["--reason", b"\xc3"], ["--reason", "UTF-8"]),
        (["--details", "d" * 32_769], ["'--details'", "32,769", "32,768"]),
        (["--details", "d", "--details-file", "f"], ["--details", "--details-file"]),
        (["--details-file", "binary"], ["--details-file", "UTF-8"]),
        (["--details-file", "long"], ["--details-file", "32,769", "32,768"]),
        (["--details-file", "none"], ["--details-file", "none"]),
    ],
)
def test_bad_texts_are_refused_before_anything_is_sent(
    stub: StubService,
    env: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str | bytes],
    words: list[str],
) -> None:
    """An over-long, binary or unreadable text exits 2, with one line that names the option and the limit."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "long").write_text("d" * 32_769)
    error_line(run("fail", "--token", "T", *arguments, env=env), 2, *words)
    assert stub.requests == []


def test_a_task_that_is_not_open_exits_5(stub: StubService, env: dict[str, str]) -> None:
    """Failing a task that is closed, timed out or unknown exits 5."""
    stub.fault(OPERATION, "UnknownResourceFault", "Unknown activity")
    error_line(run("fail", "--token", "T", env=env), 5, "Unknown activity")
