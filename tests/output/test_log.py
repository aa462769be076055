"""The log on stderr."""

import errno
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swf_cli.output.log import (
    JsonFormatter,
    TextFormatter,
    configure_logging,
    log_handlers,
    log_summary,
    log_thread_error,
    report_error,
    set_verbosity,
)
from swf_cli.output.terminal import RawStderr, StderrWriter, flush_stderr
from swf_cli.responding import Outcome, Settlement
from swf_cli.worker.config import WorkerStats
from tests.helpers.cli import logging_restored
from tests.helpers.terminal import CONTROLS

TASK = {"workflow_id": "video-7", "id": "resize-1"}


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Restore the loggers that the log configures."""
    with logging_restored():
        yield


def lines(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Return what was logged since the last time."""
    flush_stderr()
    out, err = capfd.readouterr()
    assert out == ""
    return err.splitlines()


@pytest.mark.parametrize(
    ("level", "extra", "line"),
    [
        (logging.INFO, {}, "swf: poll failed: no"),
        (logging.WARNING, {}, "swf: warning: poll failed: no"),
        (logging.ERROR, {}, "swf: poll failed: no"),
        (logging.INFO, {"task": TASK}, "swf: [video-7/resize-1] poll failed: no"),
        (logging.WARNING, {"task": TASK}, "swf: [video-7/resize-1] warning: poll failed: no"),
        (logging.INFO, {"task": TASK, "event": "stderr"}, "[video-7/resize-1] poll failed: no"),
    ],
)
def test_a_line_has_its_task_and_its_level(level: int, extra: dict[str, Any], line: str) -> None:
    """Warnings say so; a line about a task names it, and a line that its command wrote has no prefix of ours."""
    record = logging.getLogger("swf_cli").makeRecord("swf_cli", level, "", 0, "poll failed: %s", ("no",), None)
    vars(record).update(extra)
    assert TextFormatter().format(record) == line


def test_a_record_is_one_line_without_control_characters(capfd: pytest.CaptureFixture[str]) -> None:
    """A message of SWF, or the name of a task, can neither move the cursor nor forge a line."""
    configure_logging()
    hostile = {"workflow_id": "a\x1b[2Jb", "id": "c\u202ed"}
    logging.getLogger("swf_cli.polling").info("%s", "no\nswf: forged\r\x85\u2028end", extra={"task": hostile})
    assert lines(capfd) == ["swf: [a\\x1b[2Jb/c\\u202ed] no\\nswf: forged\\r\\x85\\u2028end"]


def test_other_loggers_are_silent(capfd: pytest.CaptureFixture[str]) -> None:
    """Only the log of this package is printed, from level INFO, and once however often it is configured."""
    configure_logging()
    configure_logging()
    logging.getLogger("swf_cli.api").debug("not asked for")
    logging.getLogger("swf_cli.api").info("printed")
    logging.getLogger("botocore.credentials").info("not ours")
    assert lines(capfd) == ["swf: printed"]


@pytest.mark.parametrize(
    ("verbose", "debug", "shown"),
    [
        (False, False, []),
        (True, False, ["swf: call"]),
        (False, True, ["swf: call", "swf: found credentials"]),
    ],
)
def test_verbosity(verbose: bool, debug: bool, shown: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """--verbose logs SWF calls; --debug also what botocore does before a call."""
    configure_logging()
    set_verbosity(verbose=verbose, debug=debug)
    logging.getLogger("swf_cli.client.call").debug("call")
    logging.getLogger("botocore.credentials").debug("found credentials")
    logging.getLogger("botocore.endpoint").debug("the body of a request")
    assert lines(capfd) == shown


class TestJson:
    """Lines of JSON, one object each."""

    def test_fields(self, capfd: pytest.CaptureFixture[str]) -> None:
        """What every line has, and what there is only for some."""
        configure_logging("json")
        log = logging.getLogger("swf_cli.worker")
        log.info("working %d%%", 7, extra={"task": TASK, "event": "stderr", "fields": {"seconds": 1.5}})
        log.warning("look out")
        first, second = map(json.loads, lines(capfd))
        for line in (first, second):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
        assert first == {"level": "info", "event": "stderr", "message": "working 7%", "task": TASK, "seconds": 1.5}
        assert second == {"level": "warning", "event": "log", "message": "look out"}

    def test_error(self, capfd: pytest.CaptureFixture[str]) -> None:
        """It is one object, with its hint and traceback if there are any."""
        configure_logging("json")
        report_error("no region is set", "set AWS_REGION", ["Traceback:", "  a line"])
        report_error("no", None)
        first, second = map(json.loads, lines(capfd))
        assert (first["level"], first["event"], first["message"]) == ("error", "error", "no region is set")
        assert (first["hint"], first["traceback"]) == ("set AWS_REGION", "Traceback:\n  a line")
        assert not {"hint", "traceback"} & second.keys()

    @given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")))
    def test_any_text(self, text: str) -> None:
        """Whatever a command writes, the line is one line, parses to the same text, and is safe for a terminal."""
        record = logging.LogRecord("swf_cli", logging.INFO, "", 0, "%s", (text,), None)
        vars(record)["task"] = {"workflow_id": text, "id": text}
        line = JsonFormatter().format(record)
        assert not CONTROLS.search(line)
        assert json.loads(line)["message"] == json.loads(line)["task"]["id"] == text

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
    def test_encoding_of_stderr(self, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A line that stderr's encoding can't carry is escaped as JSON, not as Python escapes it."""
        text = "é € 🎬 \x1b[2J \u202e \ud83d"
        with Path(os.devnull).open("w", encoding=encoding) as stderr:
            monkeypatch.setattr(sys, "__stderr__", stderr)
            line = JsonFormatter().format(logging.LogRecord("swf_cli", logging.INFO, "", 0, text, (), None))
            reader, writer = os.pipe()
            RawStderr(writer).write(line)
        os.close(writer)
        with os.fdopen(reader, encoding=encoding) as written:
            assert json.loads(written.read())["message"] == text

    def test_through_the_writer(self, capfd: pytest.CaptureFixture[str]) -> None:
        """What makes lines safe for a terminal finds nothing to do in them."""
        configure_logging("json")
        texts = ["a\x1b[2Jb\x07\r\x85\u2028", "\u0301" * 9, "\ufe0f\u200d🎬\U000e0100", '\\x1b "quoted"', "\ud83d"]
        for text in texts:
            logging.getLogger("swf_cli.worker").info("%s", text)
        assert [json.loads(line)["message"] for line in lines(capfd)] == texts

    def test_dropped_lines(self) -> None:
        """If stderr is not read for long, the line that says how many were dropped is an object too."""
        configure_logging("json")
        reader, descriptor = os.pipe()
        writer = StderrWriter(RawStderr(descriptor), maximum=2)
        writer.describe_dropped = JsonFormatter().describe_dropped
        for _ in range(100_000):
            writer.write("{}\n")
        with os.fdopen(reader) as written:
            writer.flush()
            os.close(descriptor)
            found = [json.loads(line) for line in written]
        dropped = [line["message"] for line in found if line]
        assert dropped
        assert all("lines dropped: stderr was not read" in line for line in dropped)


class TestSummary:
    """The end of a worker's log."""

    @pytest.fixture
    def stats(self) -> WorkerStats:
        """Of a worker with some failures."""
        stats = WorkerStats()
        for reason in ("exit 3", "no disk", "exit 3", ""):
            stats.count(Settlement("accepted", Outcome.failed(reason)))
        stats.count(Settlement("accepted", Outcome("completed")))
        return stats

    def test_text(self, stats: WorkerStats, capfd: pytest.CaptureFixture[str]) -> None:
        """The reasons of failures, the most frequent first; then what became of tasks, as the last line."""
        configure_logging()
        log_summary(stats)
        reasons, counts = lines(capfd)
        assert reasons == "swf: reasons of failures: exit 3 (2), no disk (1), no reason (1)"
        assert counts.startswith("swf: 1 completed, 4 failed, 0 cancelled in ")

    def test_many_reasons(self, capfd: pytest.CaptureFixture[str]) -> None:
        """The line is not endless, and neither is what is kept."""
        configure_logging()
        stats = WorkerStats()
        for number in range(1_000):
            stats.count(Settlement("accepted", Outcome.failed(f"file {number} is gone")))
        log_summary(stats)
        assert len(stats.reasons) == 101
        assert lines(capfd)[0].endswith(", file 8 is gone (1), and 91 more")

    def test_no_failure(self, capfd: pytest.CaptureFixture[str]) -> None:
        """Then there are no reasons."""
        configure_logging()
        log_summary(WorkerStats())
        assert len(lines(capfd)) == 1

    def test_json(self, stats: WorkerStats, capfd: pytest.CaptureFixture[str]) -> None:
        """One object has all the counts."""
        configure_logging("json")
        log_summary(stats)
        (line,) = map(json.loads, lines(capfd))
        assert (line["event"], line["ended"]) == ("summary", {"failed": 4, "completed": 1})
        assert line["reasons"] == {"exit 3": 2, "no disk": 1, "no reason": 1}

    def test_handlers(self, capfd: pytest.CaptureFixture[str]) -> None:
        """Their activities, at the start; those that can't be started are only warned of."""
        broken = {"encode": OSError(errno.EACCES, "Permission denied")}
        configure_logging()
        log_handlers(["encode", "resize", "upload"], broken)
        log_handlers(["encode"], broken)
        configure_logging("json")
        log_handlers(["encode", "resize", "upload"], broken)
        first, warning, none, _, line, _ = lines(capfd)
        assert first == "swf: handlers: resize, upload"
        assert warning == "swf: warning: encode in the handlers folder cannot be started: Permission denied"
        assert none == "swf: handlers: none"
        assert json.loads(line)["handlers"] == ["resize", "upload"]


def test_an_error_of_a_thread(capfd: pytest.CaptureFixture[str]) -> None:
    """What ends a thread unexpectedly is one line, whatever the error says."""
    configure_logging()

    def run() -> None:
        try:
            raise RuntimeError("a\nswf: forged \x1b[31m")
        except RuntimeError as error:
            log_thread_error(threading.ExceptHookArgs((type(error), error, None, threading.current_thread())))

    thread = threading.Thread(target=run, name="reader")
    thread.start()
    thread.join()
    flush_stderr()
    assert capfd.readouterr().err == "swf: unexpected RuntimeError in thread reader: a\\nswf: forged \\x1b[31m\n"
