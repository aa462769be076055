"""`swf cancel`, run as a process against the stub; tests/commands/local has it end to end."""

from typing import Any

import pytest

from tests.helpers.cli import Result, run
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import error_line

OPERATION = "RespondActivityTaskCanceled"
HEARTBEAT = "RecordActivityTaskHeartbeat"


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
    """The details are sent as they were given; nothing is printed."""
    stub.reply(OPERATION)
    assert run("cancel", "--token", "T", *arguments, env=env, stdin="stdin") == Result("", "", 0)
    assert stub.requests == [(OPERATION, {"taskToken": "T", **sent})]


def test_over_long_details_are_refused_before_anything_is_sent(stub: StubService, env: dict[str, str]) -> None:
    """Details over SWF's limit exit 2, with one line that names the option and the limit."""
    result = run("cancel", "--token", "T", "--details", "d" * 32_769, env=env)
    error_line(result, 2, "'--details'", "32,769", "32,768")
    assert stub.requests == []


@pytest.mark.parametrize(
    ("heartbeat", "code", "words"),
    [
        ({"body": {"cancelRequested": False}}, 1, ["open", "nobody asked"]),
        ({"body": {"cancelRequested": True}}, 1, ["requested"]),
        (None, 5, ["Unknown activity"]),
    ],
)
def test_a_refused_cancellation_says_whether_the_task_is_open(
    stub: StubService, env: dict[str, str], heartbeat: dict[str, Any] | None, code: int, words: list[str]
) -> None:
    """A closed task (5) and one that nobody asked to cancel (1) get the same fault: a heartbeat tells them apart."""
    stub.fault(OPERATION, "UnknownResourceFault", "Unknown activity")
    if heartbeat is None:
        stub.fault(HEARTBEAT, "UnknownResourceFault", "Unknown activity")
    else:
        stub.reply(HEARTBEAT, **heartbeat)
    error_line(run("cancel", "--token", "T", env=env), code, *words)
    assert stub.operations() == [OPERATION, HEARTBEAT]
