"""Tasks on a screen, as JSON and as text."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from swf_cli.history import ActivityTask, DecisionTask, End
from swf_cli.models import ActivityId, ExecutionId, PartialTaskConfiguration
from swf_cli.monitor.execution import ExecutionTasks
from swf_cli.monitor.groups import TaskCount
from swf_cli.monitor.tasks import FoundTask
from swf_cli.output.format import Output
from swf_cli.output.tasks import show_execution, show_open_tasks, show_task, show_task_counts
from tests.output.conftest import Draw

RUN_ID = "22" + "aB3+/" * 8 + "xyz="
"""46 characters, as SWF's are."""

EXECUTION = ExecutionId("video-7", RUN_ID)
HOUR = PartialTaskConfiguration("gpu", runtime_timeout=timedelta(hours=1))
WAITS = ActivityTask("waits", ActivityId("resize", "1"), "gpu", HOUR, 1000.0, input="in.png")
RUNS = replace(WAITS, id="runs", started_at=1050.0, started_event_id=6, identity="host:1")
DONE = replace(RUNS, id="done", closed_at=1100.0, end=End("completed", result="out.png"))
DECISION = DecisionTask("deciders", HOUR, 1000.0, 1040.0)
NOW = 1100.0


def execution_screen(draw: Draw, *tasks: ActivityTask, columns: int = 80, **more: Any) -> list[str]:
    """Draw the tasks of an execution."""
    encoding = more.pop("encoding", "utf-8")
    found = ExecutionTasks(EXECUTION, list(tasks), **more)
    return draw(lambda: show_execution(Output("table"), found, NOW, "nothing"), columns, encoding)


class TestExecution:
    """The tasks of an execution."""

    def test_what_tasks_have_in_common_stands_above(self, draw: Draw) -> None:
        """Activity, list and worker are columns only where they differ."""
        lines = execution_screen(draw, WAITS, RUNS, DONE)
        assert lines[:6] == [
            "workflow   video-7",
            f"run        {RUN_ID}",
            "activity   resize 1",
            "task list  gpu",
            "timeline   1m40s from 1970-01-01T00:16:40Z",
            "",
        ]
        assert lines[6].split() == ["task", "state", "waited", "ran", "ends", "in", "worker", "timeline"]
        assert "worker     host:1" in execution_screen(draw, RUNS, DONE)

    def test_a_decision_task_stands_above(self, draw: Draw) -> None:
        """One that waits, with its list; one that is started, with its decider."""
        lines = execution_screen(draw, WAITS, decision=DECISION)
        assert "decision task  waiting for 1m00s on deciders" in lines
        taken = replace(DECISION, started_at=1070.0, identity="decider:1")
        lines = execution_screen(draw, WAITS, decision=taken)
        assert "decision task  started 30s ago by decider:1 from deciders" in lines

    def test_a_task_that_only_its_heartbeat_timeout_ends(self, draw: Draw) -> None:
        """It does not run for ever; when it ends depends on its heartbeats."""
        settings = PartialTaskConfiguration("gpu", heartbeat_timeout=timedelta(minutes=5))
        *_, line = execution_screen(draw, replace(RUNS, configuration=settings), columns=120)
        assert "5m00s without heartbeat" in line
        *_, line = execution_screen(draw, replace(WAITS, configuration=settings), columns=120)
        assert line.split()[:4] == ["waits", "scheduled", "1m40s", "never"]

    def test_a_timeline_is_drawn_to_scale(self, draw: Draw) -> None:
        """Waiting and running are as long as they took, beside each other, and an end has its mark."""
        waits, runs, done = execution_screen(draw, WAITS, RUNS, DONE)[7:]
        assert waits.split()[:4] == ["waits", "scheduled", "1m40s", "never"]
        assert runs.split()[:6] == ["runs", "started", "50s", "50s", "59m10s", "host:1"]
        assert done.split()[:5] == ["done", "completed", "50s", "50s", "host:1"]
        assert abs(runs.count("░") - runs.count("█")) <= 1
        assert waits.count("░") == runs.count("░") + runs.count("█")
        assert done.endswith("█✓")

    @pytest.mark.parametrize(
        ("state", "mark", "ascii_mark"),
        [
            ("completed", "✓", "+"),
            ("failed", "✗", "x"),
            ("cancelled", "⊘", "-"),
            ("timed_out", "⧖", "t"),
            ("gone", "†", "|"),
        ],
    )
    def test_each_end_has_a_mark(self, draw: Draw, state: str, mark: str, ascii_mark: str) -> None:
        """Also where only ASCII can be shown."""
        ended = replace(DONE, end=End(state))
        assert any(line.endswith(f"█{mark}") for line in execution_screen(draw, ended))
        assert any(line.endswith(f"={ascii_mark}") for line in execution_screen(draw, ended, encoding="ascii"))

    def test_an_open_task_can_be_seen_however_short(self, draw: Draw) -> None:
        """A task that was scheduled this moment has a mark on the timeline."""
        assert "░" in execution_screen(draw, DONE, replace(WAITS, scheduled_at=NOW))[-1]

    @pytest.mark.parametrize(
        ("end", "note"),
        [
            (End("completed", result="out.png"), None),
            (End("failed", reason="exit 1", details="line 1\nTypeError: x\n"), "failed: exit 1: TypeError: x"),
            (End("failed"), "failed"),
            (End("cancelled", details="stopped at 7"), "cancelled: stopped at 7"),
            (End("timed_out", timeout_type="HEARTBEAT", details="50%"), "timed out (HEARTBEAT): 50%"),
            (
                End("gone", cause="terminated", reason="clean up"),
                "its workflow execution was terminated: clean up",
            ),
            (End("gone", cause="timed_out"), "its workflow execution timed out"),
        ],
    )
    def test_why_each_ended_stands_below_it(self, draw: Draw, end: End, note: str | None) -> None:
        """Reason, timeout type and the last line of the details."""
        lines = execution_screen(draw, replace(DONE, end=end))
        assert lines[-1] == f"  {note}" if note else lines[-1].startswith("done")

    def test_no_task(self, draw: Draw) -> None:
        """A line says so, below which execution it is of."""
        assert execution_screen(draw) == ["workflow  video-7", f"run       {RUN_ID}", "", "nothing"]

    @pytest.mark.parametrize("columns", [60, 80, 140])
    def test_nothing_is_cut_or_broken(self, draw: Draw, columns: int) -> None:
        """The timeline goes first; then rows become cards; each value stays on one line."""
        long = replace(
            RUNS,
            id="transcode-" + "s" * 30,
            activity=ActivityId("encode-video", "2.1"),
            task_list="encoders-" + "l" * 20,
            identity="encoder-17.eu-west-1.example.com:4711",
        )
        text = "\n".join(execution_screen(draw, WAITS, long, columns=columns))
        for value in (RUN_ID, long.id, "encode-video 2.1", long.task_list, str(long.identity)):
            assert value in text
        assert "░" not in text

    def test_the_timeline_shrinks_first(self, draw: Draw) -> None:
        """With less space it is shorter, and the columns stay; then it is gone, and they still stay."""
        widths = []
        for columns in (140, 80, 66, 52):
            lines = execution_screen(draw, WAITS, RUNS, DONE, columns=columns)
            assert any(line.startswith("task ") for line in lines)
            widths.append(max(line.count("░") for line in lines))
        assert widths[0] > widths[1] > widths[2] > widths[3] == 0

    def test_a_task_may_have_begun_after_now(self, draw: Draw) -> None:
        """The service's time is known in whole seconds: what has just begun is no wider than the rest."""
        ahead = replace(WAITS, scheduled_at=NOW + 0.2)
        for tasks in ([replace(WAITS, scheduled_at=NOW - 0.1), replace(ahead, started_at=NOW + 0.9)], [ahead]):
            lines = execution_screen(draw, *tasks)
            assert [line for line in lines if len(line) > 80] == []
            assert any(line.startswith("task ") for line in lines)

    def test_text(self, draw: Draw) -> None:
        """A line of fields for each task; none has a tab or a line break of its own."""
        failed = replace(DONE, id="a\tb\nc", end=End("failed", reason="exit 1", details="more"))
        found = ExecutionTasks(EXECUTION, [WAITS, RUNS, failed])
        lines = draw(lambda: show_execution(Output("text"), found, NOW, ""))
        assert [line.split("\t") for line in lines] == [
            ["waits", "scheduled", "gpu", "video-7", RUN_ID, "resize 1", "", "1970-01-01T00:16:40Z", ""],
            ["runs", "started", "gpu", "video-7", RUN_ID, "resize 1", "host:1", "1970-01-01T00:17:30Z", ""],
            [
                *("a\\tb\\nc", "failed", "gpu", "video-7", RUN_ID, "resize 1", "host:1"),
                *("1970-01-01T00:18:20Z", "exit 1"),
            ],
        ]


class TestDomain:
    """The open tasks of a domain."""

    ROWS = (FoundTask(EXECUTION, WAITS), FoundTask(ExecutionId("video-8", RUN_ID), RUNS))

    def test_a_table(self, draw: Draw) -> None:
        """Which workflow and task, where, in which state, for how long, and who has it."""
        lines = draw(lambda: show_open_tasks(Output("table"), self.ROWS, NOW, "nothing"))
        assert [line.split() for line in lines] == [
            ["workflow", "task", "activity", "task", "list", "state", "in", "state", "for", "worker"],
            ["video-7", "waits", "resize", "1", "gpu", "scheduled", "1m40s"],
            ["video-8", "runs", "resize", "1", "gpu", "started", "50s", "host:1"],
        ]

    @pytest.mark.parametrize("columns", [60, 80, 140])
    def test_rows_that_do_not_fit_are_cards(self, draw: Draw, columns: int) -> None:
        """With a workflow ID of 60 characters."""
        row = FoundTask(ExecutionId("customer/" + "o" * 51, RUN_ID), RUNS)
        lines = draw(lambda: show_open_tasks(Output("table"), [row], NOW, ""), columns)
        assert (len(lines) == 2) == (columns == 140)
        assert any(row.execution.id in line for line in lines)

    def test_none(self, draw: Draw) -> None:
        """A line on a screen, an empty array, no text."""
        assert draw(lambda: show_open_tasks(Output("table"), [], NOW, "nothing")) == ["nothing"]
        assert draw(lambda: show_open_tasks(Output("json"), [], NOW, "nothing")) == ["[]"]
        assert draw(lambda: show_open_tasks(Output("text"), [], NOW, "nothing")) == []

    def test_json_has_an_element_per_line(self, draw: Draw) -> None:
        """So that line-based tools work on it; it is one document all the same."""
        lines = draw(lambda: show_open_tasks(Output("json"), self.ROWS, NOW, ""))
        assert len(lines) == 2
        assert [row["id"] for row in json.loads("".join(lines))] == ["waits", "runs"]


class TestCounts:
    """The open tasks of a domain, counted."""

    COUNTS = (TaskCount(ActivityId("resize", "1"), 12, 3, 1000.0, 1050.0), TaskCount(None, 0, 1, None, 1090.0))

    def test_each_format(self, draw: Draw) -> None:
        """The field's value, how many wait and are started, and for how long."""
        screen, data, text = (
            draw(lambda form=form: show_task_counts(Output(form), self.COUNTS, "activity", NOW, "nothing"))
            for form in ("table", "json", "text")
        )
        assert [line.split() for line in screen] == [
            ["activity", "scheduled", "started", "longest", "wait", "longest", "run"],
            ["resize", "1", "12", "3", "1m40s", "50s"],
            ["-", "0", "1", "10s"],
        ]
        assert json.loads("".join(data)) == [
            {
                "activity": {"name": "resize", "version": "1"},
                "scheduled": 12,
                "started": 3,
                "oldest_scheduled_at": "1970-01-01T00:16:40Z",
                "longest_running_since": "1970-01-01T00:17:30Z",
            },
            {
                "activity": None,
                "scheduled": 0,
                "started": 1,
                "oldest_scheduled_at": None,
                "longest_running_since": "1970-01-01T00:18:10Z",
            },
        ]
        assert text == [
            "resize 1\t12\t3\t1970-01-01T00:16:40Z\t1970-01-01T00:17:30Z",
            "\t0\t1\t\t1970-01-01T00:18:10Z",
        ]


class TestOne:
    """One task, with everything that is known of it."""

    def test_an_open_one(self, draw: Draw) -> None:
        """IDs, times with their age, timeouts, input; what is not known is left out."""
        task = replace(
            RUNS,
            cancel_requested_at=1090.0,
            configuration=replace(HOUR, total_timeout=None, heartbeat_timeout=timedelta(seconds=30), priority=5),
        )
        assert draw(lambda: show_task(Output("table"), EXECUTION, task, NOW)) == [
            "workflow                   video-7",
            f"run                        {RUN_ID}",
            "task                       runs",
            "activity                   resize 1",
            "task list                  gpu",
            "state                      cancelling",
            "scheduled                  1970-01-01T00:16:40Z (1m40s ago)",
            "started                    1970-01-01T00:17:30Z (50s ago)",
            "worker                     host:1",
            "cancel requested           1970-01-01T00:18:10Z (10s ago)",
            "deadline                   1970-01-01T01:17:30Z (in 59m10s)",
            "start to close timeout     1h00m",
            "schedule to close timeout  none",
            "heartbeat timeout          30s",
            "priority                   5",
            "input                      in.png",
        ]

    def test_a_closed_one(self, draw: Draw) -> None:
        """How it ended, with all lines of its details."""
        end = End("failed", reason="exit 1", details="line 1\n\x1b[2Jline 2\n")
        lines = draw(lambda: show_task(Output("table"), EXECUTION, replace(DONE, end=end), NOW))
        assert lines[-4:] == [
            "input                   in.png",
            "reason                  exit 1",
            "details                 line 1",
            "                        \\x1b[2Jline 2",
        ]
        gone = replace(DONE, end=End("gone", reason="clean up", cause="continued_as_new"))
        lines = draw(lambda: show_task(Output("table"), EXECUTION, gone, NOW))
        assert lines[-2:] == ["reason                  clean up", "workflow ended          continued as new"]
        assert "state                   gone" in lines
        (line,) = draw(lambda: show_task(Output("text"), EXECUTION, gone, NOW))
        assert line.split("\t")[1::7] == ["gone", "clean up"]

    def test_json_is_one_row(self, draw: Draw) -> None:
        """An object, as in the array of all tasks."""
        (line,) = draw(lambda: show_task(Output("json"), EXECUTION, DONE, NOW))
        row = json.loads(line)
        assert (row["kind"], row["id"], row["input"]) == ("activity", "done", "in.png")
        assert row["end"] == {
            "state": "completed",
            "result": "out.png",
            "reason": None,
            "details": None,
            "timeout_type": None,
            "cause": None,
        }


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "none"),
        ({"runtime_timeout": timedelta(hours=1)}, "1970-01-01T01:17:30Z (in 59m10s)"),
        ({"runtime_timeout": timedelta(seconds=20)}, "1970-01-01T00:17:50Z (now)"),
        ({"heartbeat_timeout": timedelta(seconds=30)}, "none, as long as a heartbeat is sent every 30s"),
        ({"heartbeat_timeout": None}, "none"),
    ],
)
def test_the_deadline_in_words(draw: Draw, settings: dict[str, Any], words: str) -> None:
    """When the task's own timeouts close it; or that none does, perhaps as long as heartbeats are sent."""
    task = replace(RUNS, configuration=PartialTaskConfiguration("gpu", **settings))
    lines = draw(lambda: show_task(Output("table"), EXECUTION, task, NOW))
    assert next(line.split(maxsplit=1)[1] for line in lines if line.startswith("deadline")) == words
