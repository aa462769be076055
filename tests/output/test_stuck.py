"""The screen of stuck tasks, and its forms for scripts."""

import json
import shlex
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from swf_cli.history import ActivityTask, DecisionTask
from swf_cli.invocation import Invocation
from swf_cli.models import ActivityId, ExecutionId, PartialTaskConfiguration
from swf_cli.monitor.calls import ScanProgress
from swf_cli.monitor.diagnosis import Diagnosis
from swf_cli.monitor.stuck import StuckReport, StuckTask
from swf_cli.output.format import Output
from swf_cli.output.stuck import StuckScreen, show_stuck
from tests.output.conftest import Draw

RUN_ID = "22" + "aB3+/" * 8 + "xyz="
SETTINGS = PartialTaskConfiguration("gpu", runtime_timeout=timedelta(hours=1))
TASK = ActivityTask(
    "resize-1",
    ActivityId("resize", "1"),
    "gpu",
    SETTINGS,
    1000.0,
    started_event_id=6,
    started_at=1050.0,
    identity="host:1",
)
GONE = StuckTask(
    ExecutionId("video-7", RUN_ID),
    TASK,
    Diagnosis(
        "holder-gone", 1050.0, "the process has died", command="swf fail --held abcd1234 --reason 'worker died'"
    ),
)
WAITS = StuckTask(
    ExecutionId("video-8", RUN_ID),
    replace(TASK, id="resize-2", started_at=None, started_event_id=None, identity=None),
    Diagnosis("unclaimed", 1000.0, "waiting for 1m40s", "start a worker on gpu, or check why none polls it"),
)
DECIDES = StuckTask(
    ExecutionId("video-9", RUN_ID),
    DecisionTask("deciders", PartialTaskConfiguration("deciders"), 1000.0, 1010.0),
    Diagnosis("no-decider", 1010.0, "its decision task has waited for 1m30s", "start a decider on deciders"),
)
SCREEN = StuckScreen(
    ScanProgress(executions=30, tasks=42), now=1100.0, invocation=Invocation({"--domain": ["media"]})
)


def screen(draw: Draw, *rows: StuckTask, columns: int = 80, limit: int | None = None, **more: Any) -> list[str]:
    """Draw the screen."""
    matched, is_complete = more.pop("matched", len(rows)), more.pop("is_complete", True)
    report = StuckReport([*rows], matched=matched, is_complete=is_complete)
    return draw(lambda: show_stuck(Output("table"), report, replace(SCREEN, **more), limit), columns)


def test_the_whole_screen(draw: Draw) -> None:
    """What was read, the reasons by task list, the worst tasks, and what to type next."""
    assert screen(draw, GONE, DECIDES, WAITS, replace(WAITS, execution=ExecutionId("video-6", RUN_ID))) == [
        "4 tasks look stuck: 30 executions and 42 open tasks read.",
        "",
        "reason       task list  tasks  longest  example",
        "holder-gone  gpu            1  50s      video-7",
        "no-decider   deciders       1  1m30s    video-9",
        "unclaimed    gpu            2  1m40s    video-8",
        "",
        "holder-gone: the process has died",
        "  task       resize-1",
        "  activity   resize 1",
        "  workflow   video-7",
        f"  run        {RUN_ID}",
        "  task list  gpu",
        "  worker     host:1",
        "  deadline   1970-01-01T01:17:30Z (in 59m10s)",
        "  to do      swf fail --held abcd1234 --reason 'worker died'",
        "",
        "no-decider: its decision task has waited for 1m30s",
        "  workflow   video-9",
        f"  run        {RUN_ID}",
        "  task list  deciders",
        "  to do      start a decider on deciders",
        "",
        *unclaimed("video-8"),
        "",
        *unclaimed("video-6"),
        "",
        "its workflow   swf tasks --domain media --workflow-id video-7",
        "its task list  swf stuck --domain media --task-list gpu",
    ]


def unclaimed(workflow_id: str) -> list[str]:
    """Return the card of a task that waits."""
    return [
        "unclaimed: waiting for 1m40s",
        "  task       resize-2",
        "  activity   resize 1",
        f"  workflow   {workflow_id}",
        f"  run        {RUN_ID}",
        "  task list  gpu",
        "  deadline   none",
        "  to do      start a worker on gpu, or check why none polls it",
    ]


@pytest.mark.parametrize(
    ("limit", "cards", "more"), [(None, 5, "2 more"), (3, 3, "4 more"), (0, 7, None), (7, 7, None)]
)
def test_the_worst_are_shown(draw: Draw, limit: int | None, cards: int, more: str | None) -> None:
    """Five, or --limit, or all; the groups have all of them, and the command for the rest is there."""
    lines = screen(draw, *[WAITS] * 7, limit=limit)
    assert sum(line.startswith("unclaimed:") for line in lines) == cards
    assert "unclaimed  gpu            7  1m40s    video-8" in lines
    rest = [line for line in lines if line.endswith("--limit 0")]
    assert [line.split("  ")[0] for line in rest] == ([more] if more else [])


def test_one_task(draw: Draw) -> None:
    """One task looks stuck; that of one execution with a single open task."""
    lines = screen(draw, GONE, progress=ScanProgress(executions=1, tasks=1))
    assert lines[0] == "1 task looks stuck: 1 execution and 1 open task read."


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "."),
        ({"is_filtered": True, "matched": 3}, "."),
        ({"is_filtered": True}, ". No open task matches the options."),
        ({"is_complete": False}, "; the scan is incomplete."),
    ],
)
def test_nothing_looks_stuck(draw: Draw, more: dict[str, Any], words: str) -> None:
    """What was read, whether that was everything, and whether the options matched any task at all."""
    assert screen(draw, **more) == [f"Nothing looks stuck: 30 executions and 42 open tasks read{words}"]


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_what_would_be_copied_is_whole(draw: Draw, columns: int) -> None:
    """IDs, names and commands are never broken, whatever the width; sentences are, at blanks."""
    workflow, task_list = "customer/" + "orders " * 7 + "x", "media encoding " + "x" * 40
    command = shlex.join(["aws", "swf", "terminate-workflow-execution", f"--workflow-id={workflow}", RUN_ID])
    row = StuckTask(
        ExecutionId(workflow, RUN_ID),
        replace(TASK, task_list=task_list, id="i" * 60),
        Diagnosis(
            "endless",
            1000.0,
            f"running on '{task_list}' for longer than anybody would have thought possible",
            f"check whether host:1 still works on '{task_list}', then run `swf stuck --domain 'a b' --profile p` "
            "again; it ends only with its workflow",
            command,
        ),
    )
    lines = screen(draw, row, columns=columns)
    text = "\n".join(lines)
    again = "`swf stuck --domain 'a b' --profile p`"
    for value in (workflow, task_list, "i" * 60, RUN_ID, command, f"'{task_list}'", again):
        assert value in text
    assert f"--workflow-id '{workflow}'" in text
    assert f"--task-list '{task_list}'" in text
    wide = (workflow, task_list, "i" * 60)
    assert all(len(line) <= columns or any(value in line for value in wide) for line in lines)
    assert not any(line.endswith(" ") for line in lines)


def test_hostile_text_is_only_text(draw: Draw) -> None:
    """No markup is interpreted, and no control character of it reaches the terminal."""
    evil = "[red]\x1b[2J\u202e\n"
    row = StuckTask(
        ExecutionId(evil, evil),
        replace(TASK, id=evil, task_list=evil, identity=evil, activity=ActivityId(evil, evil)),
        Diagnosis("endless", 1000.0, evil, evil, evil),
    )
    text = "\n".join(screen(draw, row))
    assert "[red]\\x1b[2J\\u202e\\n" in text
    assert not {"\x1b", "\u202e"} & set(text)
    (line,) = draw(lambda: show_stuck(Output("text"), StuckReport([row]), SCREEN, None))
    assert line.split("\t")[2:6] == ["[red]\\x1b[2J\\u202e\\n"] * 4


def test_a_command_that_could_not_be_copied_is_not_shown(draw: Draw) -> None:
    """One with a character that is shown as its escape would name another workflow; JSON has it."""
    workflow = "w\u3164"
    command = shlex.join(["aws", "swf", "terminate-workflow-execution", f"--workflow-id={workflow}"])
    row = StuckTask(
        ExecutionId(workflow, RUN_ID), TASK, Diagnosis("endless", 1000.0, "it runs", "close its workflow", command)
    )
    text = "\n".join(screen(draw, row))
    assert "to do      close its workflow\n" in text
    assert "aws" not in text
    assert "swf tasks" not in text
    assert "swf stuck --domain media --task-list gpu" in text
    assert draw(lambda: show_stuck(Output("text"), StuckReport([row]), SCREEN, None))[0].endswith(
        "\tclose its workflow"
    )
    (data,) = json.loads("".join(draw(lambda: show_stuck(Output("json"), StuckReport([row]), SCREEN, None))))
    assert data["hint"] == f"close its workflow: {command}"


def test_json(draw: Draw) -> None:
    """A row of `swf tasks`, and since when, why, and what to do; one element per line."""
    report = StuckReport([GONE, DECIDES])
    lines = draw(lambda: show_stuck(Output("json"), report, SCREEN, None))
    gone, decides = json.loads("".join(lines))
    assert len(lines) == 2
    assert list(gone) == [
        *("kind", "execution", "id", "activity", "task_list", "state", "scheduled_at", "started_at", "closed_at"),
        *("identity", "input", "configuration", "deadline", "end", "since", "reason", "hint"),
    ]
    assert gone == {
        "kind": "activity",
        "execution": {"id": "video-7", "run_id": RUN_ID},
        "id": "resize-1",
        "activity": {"name": "resize", "version": "1"},
        "task_list": "gpu",
        "state": "started",
        "scheduled_at": "1970-01-01T00:16:40Z",
        "started_at": "1970-01-01T00:17:30Z",
        "closed_at": None,
        "identity": "host:1",
        "input": None,
        "configuration": {
            "runtime_timeout": 3600,
            "schedule_timeout": None,
            "total_timeout": None,
            "heartbeat_timeout": None,
            "priority": None,
        },
        "deadline": "1970-01-01T01:17:30Z",
        "end": None,
        "since": "1970-01-01T00:17:30Z",
        "reason": "holder-gone",
        "hint": "swf fail --held abcd1234 --reason 'worker died'",
    }
    assert list(decides) == list(gone)
    assert list(decides["configuration"]) == list(gone["configuration"])
    assert (decides["kind"], decides["id"], decides["activity"], decides["task_list"], decides["state"]) == (
        *("decision", None, None, "deciders", "scheduled"),
    )


def test_text(draw: Draw) -> None:
    """Reason, since, list, IDs and hint; a decision task has no activity ID."""
    lines = draw(lambda: show_stuck(Output("text"), StuckReport([GONE, DECIDES]), SCREEN, None))
    assert [line.split("\t") for line in lines] == [
        [
            *("holder-gone", "1970-01-01T00:17:30Z", "gpu", "resize-1", "video-7", RUN_ID),
            "swf fail --held abcd1234 --reason 'worker died'",
        ],
        ["no-decider", "1970-01-01T00:16:50Z", "deciders", "", "video-9", RUN_ID, "start a decider on deciders"],
    ]


@pytest.mark.parametrize(("limit", "shown"), [(None, 7), (0, 7), (2, 2)])
def test_scripts_get_all_unless_limited(draw: Draw, limit: int | None, shown: int) -> None:
    """How many were left out is returned."""
    left: list[int] = []
    report = StuckReport([WAITS] * 7)
    assert len(draw(lambda: left.append(show_stuck(Output("json"), report, SCREEN, limit)))) == shown
    assert left == [7 - shown]


def test_an_example_that_does_not_fit_stands_below(draw: Draw) -> None:
    """A long workflow ID makes no card of a row of the summary."""
    row = replace(WAITS, execution=ExecutionId("customer/" + "o" * 51, RUN_ID))
    lines = screen(draw, row, GONE)
    assert lines[2:7] == [
        "reason       task list  tasks  longest",
        "unclaimed    gpu            1  1m40s",
        f"  such as customer/{'o' * 51}",
        "holder-gone  gpu            1  50s",
        "  such as video-7",
    ]


def test_a_list_that_does_not_fit_stands_below(draw: Draw) -> None:
    """Above the example: the rows stay rows."""
    task_list = "decisions-of-" + "o" * 60
    row = replace(WAITS, task=replace(WAITS.task, task_list=task_list))
    assert screen(draw, row, GONE)[2:9] == [
        "reason       tasks  longest",
        "unclaimed        1  1m40s",
        f"  on {task_list}",
        "  such as video-8",
        "holder-gone      1  50s",
        "  on gpu",
        "  such as video-7",
    ]


def test_a_reason_with_many_lists_is_four_rows(draw: Draw) -> None:
    """Deciders that use a list for each execution make no screen of thousands of rows."""
    rows = [replace(DECIDES, task=replace(DECIDES.task, task_list=f"decisions-{n}")) for n in range(1000)]
    lines = screen(draw, *rows)
    assert [line.split() for line in lines[3:7]] == [
        *(["no-decider", f"decisions-{n}", "1", "1m30s", "video-9"] for n in range(3)),
        ["no-decider", "997", "other", "lists", "997", "1m30s", "video-9"],
    ]
    assert len(lines) < 60
