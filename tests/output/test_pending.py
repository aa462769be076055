"""The counts of task lists, once and as a screen that is kept up to date."""

import io
import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest

from swf_cli.errors import ServiceError, ThrottlingError
from swf_cli.models import PendingCount
from swf_cli.monitor.watch import PendingMonitor, PendingSample
from swf_cli.output.format import Output, compile_query
from swf_cli.output.pending import show_counts, watch_pending
from tests.helpers.terminal import without_escapes
from tests.output.conftest import Draw

SLOW_DOWN = ThrottlingError("Rate exceeded")


def sample(task_list: str, count: int | None, truncated: bool = False) -> PendingSample:
    """Return a count, or a list that could not be counted."""
    if count is None:
        return PendingSample(task_list, error=SLOW_DOWN)
    return PendingSample(task_list, PendingCount("media", task_list, count, truncated))


class TestOnce:
    """Counts that are printed once."""

    SEVERAL = (sample("gpu", 3), sample("net", None), sample("mail", 1000, True))

    def test_one_list(self, draw: Draw) -> None:
        """An object, the bare count, or a table of one row."""
        one = [sample("gpu", 3)]
        data, text, screen = (
            draw(lambda form=form: show_counts(Output(form), "media", one)) for form in ("json", "text", "table")
        )
        assert data == ['{"domain": "media", "task_list": "gpu", "count": 3, "truncated": false}']
        assert text == ["3"]
        assert [line.split() for line in screen] == [["domain", "task", "list", "pending"], ["media", "gpu", "3"]]

    def test_several_lists(self, draw: Draw) -> None:
        """An array, an element per line; what could not be counted has no count, and a reason."""
        lines = draw(lambda: show_counts(Output("json"), "media", self.SEVERAL))
        assert len(lines) == 3
        assert json.loads("".join(lines)) == [
            {"domain": "media", "task_list": "gpu", "count": 3, "truncated": False},
            {"domain": "media", "task_list": "net", "count": None, "truncated": None, "error": "Rate exceeded"},
            {"domain": "media", "task_list": "mail", "count": 1000, "truncated": True},
        ]

    def test_text(self, draw: Draw) -> None:
        """List and count by a tab; no count if it is not known."""
        lines = draw(lambda: show_counts(Output("text"), "media", self.SEVERAL))
        assert lines == ["gpu\t3", "net\t", "mail\t1000"]

    def test_a_table(self, draw: Draw) -> None:
        """More than a count is marked, and the reason for none stands below it."""
        lines = draw(lambda: show_counts(Output("table"), "media", self.SEVERAL))
        assert [line.split() for line in lines[1:]] == [
            ["media", "gpu", "3"],
            ["media", "net", "-"],
            ["Rate", "exceeded"],
            ["media", "mail", "1000+"],
        ]

    def test_a_truncated_count_is_a_warning(self, draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
        """Each is logged."""
        draw(lambda: show_counts(Output("json"), "media", self.SEVERAL))
        assert caplog.messages == ["more than 1000 tasks are pending on mail"]

    def test_a_truncated_count_is_one_warning_of_a_watch(self, draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
        """It is not repeated with each refresh."""
        warned: set[str] = set()
        for _ in range(2):
            draw(lambda: show_counts(Output("json"), "media", self.SEVERAL, warned))
        assert caplog.messages == ["more than 1000 tasks are pending on mail"]

    def test_one_list_that_could_not_be_counted(self, draw: Draw) -> None:
        """Nothing is printed: whoever asked raises the error."""
        for form in ("json", "text", "table"):
            assert draw(lambda form=form: show_counts(Output(form), "media", [sample("gpu", None)])) == []


class Client:
    """A client with a script of counts, the last of which goes on."""

    def __init__(self, *counts: Any) -> None:
        self._counts = list(counts)

    def count_pending_activity_tasks(self, **_: Any) -> dict[str, Any]:
        """CountPendingActivityTasks."""
        count = self._counts.pop(0) if len(self._counts) > 1 else self._counts[0]
        if isinstance(count, Exception):
            raise count
        return {"count": count, "truncated": False}


class Clock:
    """A clock that only sleeping moves, and that stops a watch after some sleeps."""

    def __init__(self, sleeps: int) -> None:
        self.time = 100.0
        self.left = sleeps

    def __call__(self) -> float:
        """Return the time."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Move the time on."""
        self.time += seconds
        self.left -= 1

    def is_over(self) -> bool:
        """Return whether it was slept often enough."""
        return self.left <= 0


def watch(*counts: Any, sleeps: int, lists: tuple[str, ...] = ("gpu",), output: Output | None = None) -> None:
    """Watch lists, every five seconds."""
    client: Any = Client(*counts)
    clock = Clock(sleeps)
    monitor = PendingMonitor(client, "media", lists, clock=clock, tick=0.01)
    watch_pending(output or Output(), "media", monitor, 5.0, clock.is_over, clock.sleep)


class TestWatchInAPipe:
    """One output for each count."""

    def test_a_line_of_json_each(self, draw: Draw) -> None:
        """As without --watch."""
        lines = draw(lambda: watch(1, 2, 3, sleeps=2))
        assert [json.loads(line)["count"] for line in lines] == [1, 2, 3]

    def test_a_query_applies_to_each(self, draw: Draw) -> None:
        """On each count anew."""
        output = Output(query=compile_query("count"))
        assert draw(lambda: watch(1, 2, sleeps=1, output=output)) == ["1", "2"]

    def test_a_line_of_json_each_for_several_lists(self, draw: Draw) -> None:
        """An array, whatever a query makes of it: what reads the stream reads a line at a time."""
        lines = draw(lambda: watch(1, 1, 2, 2, sleeps=1, lists=("a", "b")))
        assert [[row["count"] for row in json.loads(line)] for line in lines] == [[1, 1], [2, 2]]
        output = Output("json", compile_query("[].count"))
        assert draw(lambda: watch(1, 1, 2, 2, sleeps=1, lists=("a", "b"), output=output)) == ["[1, 1]", "[2, 2]"]

    def test_lines_of_text_for_several_lists(self, draw: Draw) -> None:
        """One for each list, each time."""
        lines = draw(lambda: watch(1, 1, 2, 2, sleeps=1, lists=("a", "b"), output=Output("text")))
        assert lines == ["a\t1", "b\t1", "a\t2", "b\t2"]

    def test_transient_errors_are_logged(self, draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
        """There is no line for a count that failed, and the next ones come."""
        caplog.set_level(logging.INFO, "swf_cli")
        lines = draw(lambda: watch(1, SLOW_DOWN, ServiceError("sorry"), 9, sleeps=3))
        assert [json.loads(line)["count"] for line in lines] == [1, 9]
        assert caplog.messages == ["Rate exceeded", "sorry"]

    def test_of_several_lists_the_others_are_printed(self, draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
        """As without --watch."""
        caplog.set_level(logging.INFO, "swf_cli")
        lines = draw(lambda: watch(SLOW_DOWN, 9, sleeps=0, lists=("a", "b")))
        assert sorted(row["count"] or 0 for row in json.loads("".join(lines))) == [0, 9]


class Terminal(io.StringIO):
    """A stdout that is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return True


Screens = Callable[..., list[str]]


@pytest.fixture
def screens(monkeypatch: pytest.MonkeyPatch) -> Screens:
    """Return each screen that a watch draws on a terminal, without escape sequences."""

    def drawn(*counts: Any, columns: int = 80, lines: int = 24, **how: Any) -> list[str]:
        terminal = Terminal()
        with monkeypatch.context() as patch:
            patch.setenv("COLUMNS", str(columns))
            patch.setenv("LINES", str(lines))
            patch.setenv("TERM", "xterm-256color")
            patch.setattr(sys, "stdout", terminal)
            watch(*counts, **how)
        return [without_escapes(part) for part in terminal.getvalue().split("\x1b[J")]

    return drawn


class TestWatchOnATerminal:
    """A screen that is drawn anew every second."""

    def test_clock_change_rate_and_when_it_is_empty(self, screens: Screens) -> None:
        """Of the last minute, and since the last count."""
        first, *_, last = screens(40, 30, 26, sleeps=10)
        assert first.splitlines()[1].split() == [
            *("task", "list", "pending", "change", "per", "minute", "empty", "in")
        ]
        assert first.splitlines()[2].split() == ["gpu", "40"]
        clock, watching = last.splitlines()[0].split("  ")
        assert len(clock) == len("12:34:56")
        assert watching == "watching for 10s"
        assert last.splitlines()[2].split() == ["gpu", "26", "-4", "-84.0", "18s"]

    def test_a_count_that_grows_is_never_empty(self, screens: Screens) -> None:
        """Up has a sign; and nothing changed is 0."""
        *_, last = screens(0, 30, 30, sleeps=10)
        assert last.splitlines()[2].split() == ["gpu", "30", "0", "+180.0"]

    def test_how_old_a_count_is(self, screens: Screens) -> None:
        """When a count fails, the last one stays with its age, which grows, and the error stands below."""
        *_, before, last = screens(5, SLOW_DOWN, sleeps=10)
        assert before.splitlines()[2].split() == ["gpu", "5", "10s", "old"]
        assert last.splitlines()[2:] == [before.splitlines()[2], "Rate exceeded"]
        ages = [screen.splitlines()[2].split()[2:] for screen in screens(5, SLOW_DOWN, sleeps=10)]
        assert ages[:6] == [[]] * 6
        assert ages[6:9] == [["5s", "old"], ["6s", "old"], ["7s", "old"]]

    def test_each_screen_replaces_the_last(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """By as many rows as the terminal took for it, long lines wrapped; or by all, if it was full."""

        def moves(columns: int, lines: int) -> list[str]:
            terminal = Terminal()
            with monkeypatch.context() as patch:
                patch.setenv("COLUMNS", str(columns))
                patch.setenv("LINES", str(lines))
                patch.setenv("TERM", "xterm-256color")
                patch.setattr(sys, "stdout", terminal)
                watch(5, sleeps=1, lists=("x" * 100,))
            return [part.rpartition("\x1b")[2] for part in terminal.getvalue().split("\x1b[J")[:-1]]

        # The first line, and a card: the name of 100 characters after 11 others, and the count.
        assert moves(200, 24)[-1] == "[3F"
        assert moves(80, 24)[-1] == "[4F"
        assert moves(111, 24)[-1] == "[3F"
        assert moves(80, 4)[-1] == "[H"

    @pytest.mark.parametrize("columns", [60, 80, 140])
    def test_nothing_is_cut(self, screens: Screens, columns: int) -> None:
        """A long list name is whole, whatever the width."""
        name = "media-encoding-" + "x" * 120
        assert all(name in screen for screen in screens(1000, sleeps=1, lists=(name,), columns=columns))
