"""What this machine holds, on a screen, as JSON and as text."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from swf_cli.invocation import Invocation
from swf_cli.ledger.records import HeldTask
from swf_cli.models import ExecutionId
from swf_cli.output.format import Output
from swf_cli.output.held import show_held
from tests.helpers.held import held_task, lost_poll
from tests.output.conftest import Draw

HELD = held_task()
DEAD = held_task(key="dddd1234", taken_by="work", holder_alive=False, pid=7, group=4711, group_start_id="boot/1")
LOST = lost_poll()


def shown(draw: Draw, form: str, rows: Sequence[HeldTask], columns: int = 80, **commands: int) -> list[str]:
    """Print rows, 25 s after they were taken."""
    return draw(lambda: show_held(Output(form), rows, commands, 25.0, "none is held", Invocation()), columns)


def test_a_table(draw: Draw) -> None:
    """Key, task, where, when, by which command, and whether its process is alive."""
    lines = shown(draw, "table", [HELD, LOST], columns=140)
    assert [line.split() for line in lines] == [
        *[["key", "task", "workflow", "activity", "task", "list", "domain", "taken", "taken", "by", "holder"]],
        *[["abcd1234", "resize-1", "video-7", "resize", "1", "work", "media", "25s", "ago", "poll", "unknown"]],
        *[["dcba4321", "lost", "poll", "work", "media", "25s", "ago", "poll", "dead"]],
    ]


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_rows_that_do_not_fit_are_cards(draw: Draw, columns: int) -> None:
    """With a workflow ID of 60 characters, and each value whole."""
    held = replace(HELD, execution=ExecutionId("customer/" + "o" * 51, "RUN"), task_list="encoders-" + "l" * 30)
    lines = shown(draw, "table", [held, LOST], columns=columns)
    assert f"workflow   customer/{'o' * 51}" in lines
    assert f"task list  {held.task_list}" in lines


def test_what_to_do_about_a_dead_worker(draw: Draw) -> None:
    """A command that closes its task; but if its own command still runs, that one is named first."""
    assert shown(draw, "table", [DEAD])[-1] == (
        "dddd1234: its worker has died. To fail the task: swf fail --held dddd1234 --reason 'worker died'"
    )
    assert shown(draw, "table", [DEAD], dddd1234=4711)[-1] == (
        "dddd1234: its worker has died, but its command still runs. "
        "To stop the command, with KILL if it ignores TERM: kill -s TERM -- -4711"
    )
    assert "died" not in "".join(shown(draw, "table", [HELD, LOST]))


def test_a_poll_of_which_only_the_token_is_known(draw: Draw) -> None:
    """It is a task, and can be closed like one."""
    unknown = replace(LOST, token="TOKEN", taken_by="work")
    lines = shown(draw, "table", [unknown], columns=140)
    assert lines[1].split()[:3] == ["dcba4321", "unknown", "task"]
    assert (
        lines[-1]
        == "dcba4321: its worker has died. To fail the task: swf fail --held dcba4321 --reason 'worker died'"
    )


def test_nothing_is_held(draw: Draw) -> None:
    """A line on a screen, an empty array, no text."""
    assert [shown(draw, form, []) for form in ("table", "json", "text")] == [["none is held"], ["[]"], []]


def test_json(draw: Draw) -> None:
    """All that is known, but for the process group: the process ID of a command that still runs is there."""
    lines = shown(draw, "json", [DEAD, LOST], dddd1234=4711)
    dead, lost = json.loads("".join(lines))
    assert len(lines) == 2
    assert dead == {
        "key": "dddd1234",
        "kind": "task",
        "token": "TOKEN",
        "id": "resize-1",
        "activity": {"name": "resize", "version": "1"},
        "execution": {"id": "video-7", "run_id": "RUN"},
        "task_started_execution_history_event_id": 6,
        "domain": "media",
        "task_list": "work",
        "identity": "host:1",
        "host": "host",
        "pid": 7,
        "holder_alive": False,
        "taken_by": "work",
        "taken_at": "1970-01-01T00:00:00Z",
        "profile": None,
        "region": "us-east-1",
        "endpoint": "http://127.0.0.1:1",
        "command_pid": 4711,
    }
    assert list(lost) == list(dead)
    assert (lost["kind"], lost["token"], lost["execution"], lost["command_pid"]) == ("broken_poll", None, None, None)


def test_text(draw: Draw) -> None:
    """Key, kind, IDs, list, domain, holder and time."""
    assert [line.split("\t") for line in shown(draw, "text", [HELD, LOST])] == [
        ["abcd1234", "task", "resize-1", "video-7", "work", "media", "unknown", "1970-01-01T00:00:00Z"],
        ["dcba4321", "broken_poll", "", "", "work", "media", "dead", "1970-01-01T00:00:00Z"],
    ]


def test_hostile_text_is_only_text(draw: Draw) -> None:
    """IDs come from elsewhere: nothing in them is interpreted."""
    hostile = "[red]\x1b[31m\u202e\x9b\t\n"
    assert any(
        "[red]\\x1b[31m\\u202e\\x9b\\t\\n" in line for line in shown(draw, "table", [replace(HELD, id=hostile)])
    )
    (line,) = shown(draw, "text", [replace(HELD, id=hostile)])
    assert line.split("\t")[2] == "[red]\\x1b[31m\\u202e\\x9b\\t\\n"
    assert json.loads("".join(shown(draw, "json", [replace(HELD, id=hostile)])))[0]["id"] == hostile
