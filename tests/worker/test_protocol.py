"""The lines that a worker and its handlers exchange."""

import json
import logging
from dataclasses import asdict
from typing import Any

import pytest

from swf_cli.ledger.records import PollSource
from swf_cli.models import ActivityId, ExecutionId, WorkerTask
from swf_cli.responding import Outcome
from swf_cli.worker.protocol import ProtocolError, parse_line, task_line

SOURCE = PollSource("media", "work", "me@here", None, "us-east-1", "http://127.0.0.1:1")

SWF_TOKEN = "AAAAKgAAAAE".ljust(300, "x")

BAD_LINES = {
    b"": "not JSON",
    b"hello": "not JSON",
    b'{"result": "done"': "not JSON",
    b'{"result": "caf\xe9"}': "not JSON",
    b"\xff\xfe": "not JSON",
    b"[" * 100_000: "nested too deeply",
    b"1" * 5_000: "not JSON",
    b"null": "not the protocol",
    b'"done"': "not the protocol",
    b"[]": "not the protocol",
    b"{}": "not the protocol",
    b'["result", "done"]': "not the protocol",
    b'{"result": null}': "not the protocol",
    b'{"result": 7}': "not the protocol",
    b'{"result": {"a": 1}}': "not the protocol",
    b'{"result": "done", "failed": {}}': "not the protocol",
    b'{"result": "done", "result": "done"}': "not the protocol",
    b'{"failed": {"reason": "a", "reason": "b"}}': "not the protocol",
    b'{"result": "done", "heartbeat": "x"}': "not the protocol",
    b'{"result": "done", "id": "resize-1"}': "not the protocol",
    b'{"heartbeat": 50}': "not the protocol",
    b'{"failed": "no disk"}': "not the protocol",
    b'{"failed": {"reason": 3}}': "not the protocol",
    b'{"failed": {"details": ["a"]}}': "not the protocol",
    b'{"failed": {"reason": "r", "code": "c"}}': "not the protocol",
    b'{"cancelled": true}': "not the protocol",
    b'{"cancelled": {"reason": "r"}}': "not the protocol",
    b'{"cancel_requested": true}': "not the protocol",
    b'{"done": "yes"}': "not the protocol",
}


@pytest.mark.parametrize("text", [None, "", "line\n", "caf\u00e9 \U0001f600 \ud800"])
def test_line_of_a_task(text: str | None) -> None:
    """It is one line of ASCII with all that is known of the task, and where it was polled."""
    task = WorkerTask("TOKEN", "resize-1", ActivityId("resize", "1"), ExecutionId("video-7", "RUN"), 6, text)
    line = task_line(task, SOURCE)
    assert json.loads(line) == asdict(task) | {"domain": "media", "task_list": "work"}
    assert (line.isascii(), line.count(b"\n"), line[-2:]) == (True, 1, b"}\n")


@pytest.mark.parametrize("line", BAD_LINES, ids=lambda line: repr(line[:40]))
def test_line_that_is_not_the_protocol(line: bytes) -> None:
    """The error quotes its beginning."""
    with pytest.raises(ProtocolError, match=f"a line that is {BAD_LINES[line]}: ") as caught:
        parse_line(line)
    assert len(str(caught.value)) < 256


def test_text_that_is_short_enough_without_secrets(log: pytest.LogCaptureFixture) -> None:
    """It is not cut."""
    line = json.dumps({"failed": {"reason": f"not for {SWF_TOKEN}, nor for {SWF_TOKEN}"}}).encode()
    assert parse_line(line) == Outcome.failed("not for TOKEN, nor for TOKEN")
    assert log.messages == []


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        ({"failed": {"reason": "r" * 256, "details": "d" * 32_768}}, []),
        ({"failed": {"reason": "r" * 257}}, ["the reason is longer than 256 characters; the rest is cut off"]),
        (
            {"failed": {"details": "d" * 32_769}},
            ["the details are longer than 32768 characters; the beginning is cut off"],
        ),
        (
            {"cancelled": {"details": "d" * 32_769}},
            ["the details are longer than 32768 characters; the beginning is cut off"],
        ),
        (
            {"failed": {"reason": "\ud83d", "details": "\ud83d"}},
            [
                f"the {what} not UTF-8 text; lone surrogates are sent as U+FFFD"
                for what in ("reason is", "details are")
            ],
        ),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_changed_is_logged(
    message: dict[str, Any], lines: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """An explanation that SWF would not accept is no reason not to respond."""
    caplog.set_level(logging.INFO, logger="swf_cli")
    parse_line(json.dumps(message).encode(), logging.getLogger("swf_cli"))
    assert caplog.messages == lines


@pytest.mark.parametrize(
    ("line", "response"),
    [
        (b'{"heartbeat": "page 7"}', "page 7"),
        (b'{"heartbeat": ""}', ""),
        (b' {"result" : "caf\xc3\xa9"}\r', Outcome("completed", result="café")),
        (b'{"failed": {}}', Outcome.failed("")),
        (b'{"failed": {"reason": null}}', Outcome.failed("")),
        (b'{"cancelled": {"details": ""}}', Outcome("cancelled")),
    ],
)
def test_line_of_the_protocol(line: bytes, response: Outcome | str) -> None:
    """Blanks do not matter, and what may be missing may be null."""
    assert parse_line(line) == response
