"""Text from outside on a terminal is only text: nothing in it moves the cursor, colours, hides or reorders."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from swf_cli.ledger.records import PollSource
from swf_cli.ledger.store import Ledger
from swf_cli.models import ActivityId, ExecutionId, WorkerTask
from tests.helpers.cli import Result
from tests.helpers.events import event
from tests.helpers.operations import (
    CANCEL,
    COMPLETE,
    COUNT,
    DESCRIBE_EXECUTION,
    FAIL,
    HEARTBEAT,
    HISTORY,
    LIST_CLOSED,
    LIST_OPEN,
    POLL,
)
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import invoke_on_terminal, on_terminal

EVIL = (
    "«\x1b[31m»«\x1b]2;title\x07»«\x9b5m»«\x1bc»«\x08»«\x00»«\x7f»«\r»«\n»«\t»«\x0b»«\x85»«\u2028»"
    "«\u202e»«\u2066»«\u200b»«\ufeff»«\u00ad»«\U000e0041»«\u3164»[red]«e" + "\u0301" * 20 + "»[/red]"
)
"""What a terminal must not get, each piece of it in quotes, by which it is recognised."""


def cut(length: int) -> str:
    """Return the pieces that fit a name of this length, none of which is cut. No argument of a process has a NUL."""
    return EVIL.replace("\x00", "")[:length].rpartition("«")[0]


COUNT_OPEN = "CountOpenWorkflowExecutions"
NAME, SHORT = cut(120), cut(64)
NOW = 1_795_485_600.0

_PIECES = [piece for piece in re.findall("«[^»]*»", EVIL) if not piece.isprintable()]

_OURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[0-9]*[AFHJK]|[\r\t]")
"""What `swf` and rich write themselves: colours, the cursor, lines drawn anew, and the tabs between fields."""

_UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff"
    "\U000e0000-\U000e0fff]|\u0301{5}"
)


def check(result: Result) -> None:
    """Check that what a terminal got has nothing of EVIL's pieces as they are, and nothing that is not ours."""
    for shown in (result.stdout, result.stderr):
        assert not [piece for piece in _PIECES if piece in shown], repr(shown)
        assert not _UNSAFE.search(_OURS.sub("", shown)), repr(shown)
    assert "Traceback" not in result.stderr or "«" in result.stderr
    assert "«" in result.stdout + result.stderr, "the text is not shown at all"


EXECUTION = {"workflowId": NAME, "runId": SHORT}
_SETTINGS = {
    "activityType": {"name": NAME, "version": SHORT},
    "taskList": {"name": NAME},
    **dict.fromkeys(("scheduleToStartTimeout", "scheduleToCloseTimeout"), "NONE"),
    **dict.fromkeys(("startToCloseTimeout", "heartbeatTimeout"), "NONE"),
}
EVENTS = [
    event(1, "WorkflowExecutionStarted", NOW + 1),
    event(2, "DecisionTaskScheduled", NOW + 2, taskList={"name": NAME}, startToCloseTimeout="30"),
    event(3, "DecisionTaskStarted", NOW + 3, scheduledEventId=2, identity=NAME),
    event(4, "DecisionTaskCompleted", NOW + 4, scheduledEventId=2, startedEventId=3),
    event(5, "ActivityTaskScheduled", NOW + 5, activityId=NAME, input=EVIL, control=EVIL, **_SETTINGS),
    event(6, "ActivityTaskScheduled", NOW + 6, activityId=f"2{NAME}", **_SETTINGS),
    event(7, "ActivityTaskScheduled", NOW + 7, activityId=f"3{NAME}", **_SETTINGS),
    event(8, "ActivityTaskStarted", NOW + 8, scheduledEventId=5, identity=NAME),
    event(9, "ActivityTaskStarted", NOW + 9, scheduledEventId=6, identity=NAME),
    event(10, "ActivityTaskFailed", NOW + 10, scheduledEventId=6, startedEventId=9, reason=EVIL, details=EVIL),
]
TASK = {
    "taskToken": f"TOKEN{NAME}TOKEN",
    "activityId": NAME,
    "activityType": {"name": NAME, "version": SHORT},
    "workflowExecution": EXECUTION,
    "startedEventId": 8,
    "input": EVIL,
}


def found(stub: StubService) -> None:
    """Reply with hostile data to everything."""
    page = {"executionInfos": [{"execution": EXECUTION, "startTimestamp": NOW, "executionStatus": "OPEN"}]}
    stub.reply(POLL, TASK)
    stub.reply(COUNT, {"count": 3, "truncated": True})
    stub.reply(LIST_OPEN, page)
    stub.reply(LIST_CLOSED, {"executionInfos": []})
    stub.reply(COUNT_OPEN, {"count": 1})
    stub.reply(HISTORY, {"events": EVENTS[::-1]})
    stub.reply(DESCRIBE_EXECUTION, {"executionInfo": {"execution": EXECUTION, "executionStatus": "OPEN"}})


def refused(stub: StubService) -> None:
    """Refuse everything, with a hostile fault and a hostile request ID."""
    for operation in (POLL, COUNT, COUNT_OPEN, LIST_OPEN, HISTORY, HEARTBEAT, COMPLETE, FAIL, CANCEL):
        headers = (("x-amzn-RequestId", "«\x1b[31m»«\x9b5m»"),)
        stub.fault(operation, f"Fault{NAME}", EVIL, headers=headers)


def page(stub: StubService) -> None:
    """Reply with a hostile page of HTML, as a proxy does."""
    body = f"<html><title>{EVIL}</title><body>{EVIL}".encode("utf-8", "surrogatepass")
    headers = (("Content-Type", "text/html"), ("x-amzn-RequestId", "«\x1b[31m»"))
    for operation in (COUNT, COUNT_OPEN, LIST_OPEN, HISTORY, HEARTBEAT, COMPLETE):
        stub.reply(operation, body, status=403, headers=headers)


def closed(stub: StubService) -> None:
    """Say that a task is not open; its history says how it ended."""
    found(stub)
    stub.fault(COMPLETE, "UnknownResourceFault", EVIL)
    ended = event(
        11, "ActivityTaskTimedOut", NOW + 11, scheduledEventId=5, startedEventId=8, timeoutType=EVIL, details=EVIL
    )
    stub.reply(HISTORY, {"events": [ended, *EVENTS[::-1]]})


@dataclass(frozen=True, slots=True)
class Screen:
    """A command line that shows hostile text, and what the service replies."""

    args: tuple[str, ...]
    prepare: Callable[[StubService], None] = found
    environ: tuple[tuple[str, str], ...] = ()
    forms: tuple[str, ...] = ("table", "json", "text")
    """The output formats to run it with; none for a command line that is wrong."""


WHERE = ("-d", NAME, "-t", NAME)
HELD = (("EVIL_LEDGER", "1"),)
SCREENS = {
    "poll": Screen(("poll", *WHERE)),
    "poll query": Screen(("poll", *WHERE, "--query", "input")),
    "poll query list": Screen(("poll", *WHERE, "--query", "[id, [input], execution]")),
    "poll eval": Screen(("poll", *WHERE, "--eval"), forms=("",)),
    "poll refused": Screen(("poll", *WHERE), refused, forms=("json",)),
    "pending": Screen(("pending", *WHERE)),
    "pending several": Screen(("pending", *WHERE, "-t", "other")),
    "pending failed": Screen(("pending", *WHERE, "-t", "other"), refused),
    "pending page": Screen(("pending", *WHERE), page, forms=("json",)),
    "pending over": Screen(("pending", *WHERE, "--max", "1"), forms=("json",)),
    "pending watch": Screen(("pending", *WHERE, "--watch", "--max", "1")),
    "pending watch failed": Screen(("pending", *WHERE, "--watch", "--interval", "1s"), refused, forms=("json",)),
    "tasks": Screen(("tasks", "-d", NAME)),
    "tasks of list": Screen(("tasks", "-d", NAME, "-t", NAME, "--identity", NAME)),
    "tasks of execution": Screen(("tasks", "-d", NAME, "--workflow-id", NAME, "--all")),
    "tasks one": Screen(("tasks", "-d", NAME, "--workflow-id", NAME, "--id", NAME)),
    "tasks failed one": Screen(("tasks", "-d", NAME, "--workflow-id", NAME, "--id", f"2{NAME}")),
    "tasks none": Screen(("tasks", "-d", NAME, "--workflow-id", NAME, "--id", f"4{NAME}"), forms=("json",)),
    **{
        f"tasks by {field}": Screen(("tasks", "-d", NAME, "--by", field))
        for field in ("list", "activity", "identity", "workflow")
    },
    "tasks refused": Screen(("tasks", "-d", NAME), refused, forms=("table",)),
    "stuck": Screen(("stuck", "-d", NAME)),
    "stuck of list": Screen(("stuck", "-d", NAME, "-t", NAME + "x"), forms=("table",)),
    "stuck refused": Screen(("stuck", "-d", NAME), refused, forms=("table",)),
    "held": Screen(("held",), environ=HELD),
    "held query": Screen(("held", "--query", "[].[task_list, identity]"), environ=HELD),
    "held none": Screen(("held", "-t", NAME), environ=(("SWF_LEDGER", NAME),), forms=()),
    "heartbeat": Screen(("heartbeat", "--token", "T", "--details", NAME), refused, forms=("json",)),
    "heartbeat page": Screen(("heartbeat", "--token", "T"), page, forms=("json",)),
    "complete": Screen(("complete", "--token", "T"), refused, forms=("json",)),
    "complete page": Screen(("complete", "--token", "T", "--retry-for", "0s"), page, forms=("json",)),
    "complete closed": Screen(("complete", "--task", NAME), closed, forms=("json",)),
    "fail": Screen(("fail", "--token", "T", "--reason", EVIL.replace("\x00", "") * 9), refused, forms=("json",)),
    "cancel": Screen(("cancel", "--token", "T"), refused, forms=("json",)),
    **{
        f"usage {number}": Screen(args, forms=())
        for number, args in enumerate(
            [
                (NAME,),
                ("pending", f"--{NAME}"),
                ("pending", *WHERE, NAME),
                ("pending", *WHERE, "--output", NAME),
                ("pending", *WHERE, "--query", NAME),
                ("pending", *WHERE, "--endpoint-url", NAME),
                ("pending", *WHERE, "--interval", NAME, "--watch"),
                ("pending", *WHERE, "--max", NAME),
                ("pending", *WHERE, "--profile", NAME),
                ("pending", *WHERE, "--region", NAME),
                ("fail", "--held", NAME),
                ("complete", "--task", f"{NAME}/x"),
                ("complete", "--token", "T", "--result-file", f"{NAME}/x"),
                ("work", *WHERE, "--", NAME),
                ("help", NAME),
                ("completion", NAME),
                ("local", NAME),
                ("local", "schedule", "-t", NAME, "--activity", NAME),
                ("local", "serve", "--host", NAME),
                ("local", "run", "--", NAME),
            ]
        )
    },
    "output variable": Screen(("pending", *WHERE), environ=(("SWF_OUTPUT", NAME),), forms=()),
    "profile variable": Screen(("pending", *WHERE), environ=(("AWS_PROFILE", NAME),), forms=()),
    "endpoint variable": Screen(("pending", *WHERE), environ=(("AWS_ENDPOINT_URL_SWF", NAME),), forms=()),
    "bundle variable": Screen(("pending", *WHERE), environ=(("AWS_CA_BUNDLE", NAME),), forms=()),
}
RUNS = [
    pytest.param(replace(screen, args=(*screen.args, *extra)), id=f"{name} {' '.join(extra)}".strip())
    for name, screen in SCREENS.items()
    for form in screen.forms or ("",)
    for extra in ([("-o", form)] if form else [()])
    + ([("-o", form, "--debug")] if screen.prepare is not found and form else [])
]


@pytest.fixture
def evil_env(env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment whose ledger has hostile rows, and a folder with a hostile task in a file of a hostile name."""
    monkeypatch.chdir(tmp_path)
    shape = {"token": "T", "domain": NAME, "execution": {"id": NAME, "run_id": SHORT}}
    Path(NAME).write_text(json.dumps({**shape, "task_started_execution_history_event_id": 8}), "utf-8")
    task = WorkerTask("T" * 40, NAME, ActivityId(NAME, SHORT), ExecutionId(NAME, SHORT), 8)
    source = PollSource(NAME, NAME, NAME, NAME, "us-east-1", "http://127.0.0.1:1")
    with Ledger(Path(env["SWF_STATE_DIR"])) as ledger:
        for row in (task, None):
            with ledger.record_poll(source, "work") as record:
                if row is None:
                    record.mark_lost()
                else:
                    assert record.assign(row)
    return env


def test_there_are_a_hundred() -> None:
    """The table is as long as it is meant to be."""
    assert len(RUNS) >= 100


@pytest.mark.parametrize("screen", RUNS)
def test_on_a_terminal(screen: Screen, stub: StubService, evil_env: dict[str, str]) -> None:
    """Nothing but what `swf` itself writes reaches stdout or stderr."""
    screen.prepare(stub)
    check(invoke_on_terminal(*screen.args, env=evil_env | dict(screen.environ), columns=120, stderr=True))


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_of_a_worker(stub: StubService, evil_env: dict[str, str], form: str) -> None:
    """The same for a worker's log: its tasks, what a command writes to stderr, and the reason of a failure."""
    stub.reply(POLL, TASK)
    stub.reply(FAIL)
    script = f"cat >&2; printf %s '{NAME}' > $SWF_REASON_FILE; exit 1"
    options = ("--max-tasks", "1", "--orphans", "keep", "--log-format", form, "--verbose")
    result = on_terminal("work", *WHERE, *options, "--", "sh", "-c", script, env=evil_env, stdout=False, stderr=True)
    check(result)
    assert result.code == 0
    failed = dict(stub.requests)[FAIL]
    assert failed["reason"] == NAME
    assert failed["details"].startswith(EVIL[:40])
