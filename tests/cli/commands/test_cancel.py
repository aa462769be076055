"""`swf cancel` against the stub; tests/cli/commands/local has it end to end."""

from typing import Any

import pytest

from tests.helpers.cli import Result, invoke
from tests.helpers.operations import CANCEL, HEARTBEAT
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import error_line


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ([], {}),
        (["--details", "at page 7"], {"details": "at page 7"}),
        (["--details-file", "-"], {"details": "stdin"}),
    ],
)
def test_cancel_closes_a_task(
    stub: StubService, env: dict[str, str], arguments: list[str], sent: dict[str, Any]
) -> None:
    """The details are sent unchanged; nothing is printed."""
    stub.reply(CANCEL)
    assert invoke("cancel", "--token", "T", *arguments, env=env, stdin="stdin") == Result("", "", 0)
    assert stub.requests == [(CANCEL, {"taskToken": "T", **sent})]


def test_over_long_details_are_cut(stub: StubService, env: dict[str, str]) -> None:
    """Of details over SWF's limit the end is sent, which is said on stderr; they never prevent the cancellation."""
    stub.reply(CANCEL)
    result = invoke("cancel", "--token", "T", "--details", "a" + "d" * 32_768, env=env)
    assert (result.code, result.stdout) == (0, "")
    assert "the last 32,768 are sent" in result.stderr
    assert stub.requests == [(CANCEL, {"taskToken": "T", "details": "d" * 32_768})]


@pytest.mark.parametrize(
    ("heartbeat", "code", "words"),
    [
        ({"body": {"cancelRequested": False}}, 1, ["cancellation of this task was not requested"]),
        ({"body": {"cancelRequested": True}}, 1, ["SWF rejected the cancellation, although it was requested"]),
        (None, 5, ["it was closed, or it timed out"]),
    ],
)
def test_a_rejected_cancellation_says_whether_the_task_is_open(
    stub: StubService, env: dict[str, str], heartbeat: dict[str, Any] | None, code: int, words: list[str]
) -> None:
    """SWF's fault is the same for a closed task (5) and for one without a request (1): a heartbeat shows which."""
    stub.fault(CANCEL, "UnknownResourceFault", "Unknown activity")
    if heartbeat is None:
        stub.fault(HEARTBEAT, "UnknownResourceFault", "Unknown activity")
    else:
        stub.reply(HEARTBEAT, **heartbeat)
    error_line(invoke("cancel", "--token", "T", env=env), code, *words)
    assert stub.operations() == [CANCEL, HEARTBEAT]
