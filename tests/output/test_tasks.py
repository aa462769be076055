"""What an operator looks at."""

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from swf_cli.errors import SwfError
from swf_cli.history import ActivityTask, End
from swf_cli.models import ActivityId, ExecutionId, PartialTaskConfiguration
from swf_cli.monitor.diagnosis import Diagnosis
from swf_cli.monitor.scanner import Stuck
from swf_cli.output.format import Output
from swf_cli.output.progress import scan_progress
from swf_cli.output.stuck import show_stuck
from swf_cli.output.tables import format_duration
from swf_cli.output.tasks import show_tasks
from tests.helpers.terminal import squeezed

EXECUTION = ExecutionId("video-7", "RUN")
HOUR = PartialTaskConfiguration("gpu", runtime_timeout=timedelta(hours=1))
WAITS = ActivityTask("waits", ActivityId("resize", "1"), "gpu", HOUR, 1000.0)
RUNS = replace(WAITS, id="runs", started_at=1050.0, started_event_id=6, identity="host:1")
DONE = replace(RUNS, id="done", closed_at=1100.0, end=End("completed"))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0s"),
        (0.9, "0s"),
        (59.9, "59s"),
        (60, "1m00s"),
        (303, "5m03s"),
        (5400, "1h30m"),
        (86_399, "23h59m"),
        (187_200, "2d04h"),
    ],
)
def test_a_span_is_put_in_two_units_at_most(seconds: float, words: str) -> None:
    """A span of time is short: the two greatest units, rounded down."""
    assert format_duration(seconds) == words


class Screen(io.StringIO):
    """A stdout that can be read."""

    encoding = "utf-8"


Draw = Callable[[Callable[[], None]], str]


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch) -> Draw:
    """Give what is written to a stdout of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def drawn(show: Callable[[], None]) -> str:
        screen = Screen()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", screen)
            show()
        return screen.getvalue()

    return drawn


def tasks_table(draw: Draw, *tasks: ActivityTask) -> list[str]:
    """Draw the table of an execution's tasks at 1100."""
    text = draw(lambda: show_tasks(Output("table"), EXECUTION, tasks, 1100.0))
    return [line.rstrip() for line in text.splitlines()]


def test_what_tasks_have_in_common_stands_above(draw: Draw) -> None:
    """Activity and task list are columns only where they differ."""
    lines = tasks_table(draw, WAITS, RUNS, DONE)
    assert lines[:5] == [
        "workflow   video-7",
        "run        RUN",
        "activity   resize 1",
        "task list  gpu",
        "timeline   1m40s from 1970-01-01T00:16:40Z",
    ]
    headings = next(line.split() for line in lines if line.startswith(" task  "))
    assert headings == ["task", "state", "waited", "ran", "ends", "in", "timeline"]


def test_a_timeline_is_drawn_to_scale(draw: Draw) -> None:
    """Waiting and running are as long as they took, beside each other, and an end has its mark."""
    waits, runs, done = tasks_table(draw, WAITS, RUNS, DONE)[-4:-1]
    assert waits.split()[:4] == ["waits", "scheduled", "1m40s", "never"]
    assert runs.split()[:5] == ["runs", "started", "50s", "50s", "59m10s"]
    assert done.split()[:4] == ["done", "completed", "50s", "50s"]
    assert abs(runs.count("░") - runs.count("█")) <= 1
    assert waits.count("░") == runs.count("░") + runs.count("█")
    assert done.endswith("█✓")


@pytest.mark.parametrize(
    ("state", "mark", "plainly"),
    [
        ("completed", "✓", "+"),
        ("failed", "✗", "x"),
        ("cancelled", "⊘", "-"),
        ("timed_out", "⧖", "t"),
        ("gone", "†", "|"),
    ],
)
def test_each_end_has_a_mark(
    draw: Draw, monkeypatch: pytest.MonkeyPatch, state: str, mark: str, plainly: str
) -> None:
    """How a task ended is told by a mark, also where only ASCII can be shown."""
    ended = replace(DONE, end=End(state))
    assert any(line.endswith(f"█{mark}") for line in tasks_table(draw, ended))
    monkeypatch.setattr(Screen, "encoding", "ascii")
    assert any(f"={plainly}" in line for line in tasks_table(draw, ended))


def test_an_open_task_can_be_seen_however_short(draw: Draw) -> None:
    """A task that was scheduled this moment has a mark on the timeline."""
    assert "░" in tasks_table(draw, DONE, replace(WAITS, scheduled_at=1100.0))[-2]


def test_long_names_stand_under_the_task(draw: Draw) -> None:
    """Where columns find no room, activity and list stand under the id: one column folds, not three."""
    other = replace(RUNS, id="r" * 40, activity=ActivityId("encode-video", "2.1"), task_list="list-" + "l" * 30)
    lines = tasks_table(draw, WAITS, other)
    assert max(map(len, lines)) <= 80
    assert " task list" not in "\n".join(lines)
    text = squeezed("\n".join(line[:30].partition("  ")[0] for line in lines))
    assert all(value in text for value in ("r" * 40, "encode-video2.1", "list-" + "l" * 30, "resize1"))


def stuck_text(draw: Draw, task: ActivityTask) -> str:
    """Draw the block of a stuck task at 1100."""
    row = Stuck(EXECUTION, task, Diagnosis("overdue", "ask host:1", 1050.0))
    return draw(lambda: show_stuck(Output("table"), [row], 1100.0))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "never"),
        ({"runtime_timeout": timedelta(hours=1)}, "1970-01-01T01:17:30Z (in 59m10s)"),
        ({"runtime_timeout": timedelta(seconds=20)}, "1970-01-01T00:17:50Z (now)"),
        ({"heartbeat_timeout": timedelta(seconds=30)}, "never, while a heartbeat comes every 30s"),
        ({"heartbeat_timeout": None}, "never"),
    ],
)
def test_each_row_says_its_deadline(draw: Draw, settings: dict[str, Any], words: str) -> None:
    """When the task's own timeouts end it, in words; never, or never while heartbeats come."""
    task = replace(RUNS, configuration=PartialTaskConfiguration("gpu", **settings))
    lines = {line[:13].strip(): line[13:].strip() for line in stuck_text(draw, task).splitlines()}
    assert lines["deadline"] == words
    assert lines["to do"] == "ask host:1"


def test_a_row_says_what_its_reason_means(draw: Draw) -> None:
    """Reason, since when, and the reason in words."""
    assert stuck_text(draw, RUNS).startswith("overdue for 50s: it runs longer than it should")


def test_progress_needs_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not being allowed to count the executions takes away the bar, and nothing else."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    class Uncounted:
        class progress:
            executions = skipped = tasks = calls = throttles = 0

        def count_open(self) -> int:
            raise SwfError("not you")

    monkeypatch.setattr(sys, "stderr", Terminal())
    survey: Any = Uncounted()
    with scan_progress(survey, "never"):
        pass
