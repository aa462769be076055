"""`swf stuck`, run as a process."""

import shlex
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.big_domain import decide, open_task, start
from tests.helpers.cli import Result, run, wait_until
from tests.helpers.flow import Flow, decision
from tests.helpers.local_service import Service
from tests.helpers.processes import started
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import CONTROLS, error_line, on_terminal, squeezed, without_escapes

STUCK = ("stuck", "-d", "media")
DAY = "86400"


def activity_type(flow: Flow, name: str) -> dict[str, Any]:
    """Register an activity and give it as part of a decision."""
    flow.call("RegisterActivityType", domain=flow.domain, name=name, version="1")
    return {"activityType": {"name": name, "version": "1"}}


def reasons(result: Result) -> dict[str, str]:
    """Give the reason of each workflow that is shown."""
    return {row["execution"]["id"]: row["reason"] for row in result.json}


def work_until_killed(service: Service, env: Mapping[str, str], folder: Path, task_list: str) -> None:
    """Have `swf work` take a task, and kill it while its command runs."""
    there = folder / "there"
    command = ("sh", "-c", f"touch {shlex.quote(str(there))}; exec sleep 60")
    with started("work", "-d", "media", "-t", task_list, "--", *command, env=env) as process:
        wait_until(there.exists)
        process.kill()
        process.wait()
    there.unlink()


@pytest.fixture
def flow(service: Service) -> Flow:
    """A domain."""
    return service.flow("media")


def test_every_reason_is_named_and_every_command_closes_its_task(
    service: Service, flow: Flow, service_env: dict[str, str], tmp_path: Path
) -> None:
    """One task of each kind: each has its reason, in order of severity, and the commands among the hints work."""
    start(flow, "unclaimed", open_task(task_list="nobody's"))
    start(flow, "backlog", open_task("first", "busy"), open_task("second", "busy"))
    start(flow, "endless", open_task(task_list="endless"))
    flow.poll("endless", identity="elsewhere:1")
    start(flow, "cancelling", open_task(task_list="cancelling", heartbeatTimeout=DAY))
    flow.poll("cancelling", identity="elsewhere:1")
    decide(flow, "cancelling", decision("RequestCancelActivityTask", activityId="resize-1"))
    slow = activity_type(flow, "slow")
    start(flow, "overdue", open_task("done", "slow", startToCloseTimeout=DAY, **slow))
    token = flow.poll("slow", identity="elsewhere:1")["taskToken"]
    service.advance(60)
    flow.call("RespondActivityTaskCompleted", taskToken=token)
    decide(flow, "overdue", open_task("runs", "slow", startToCloseTimeout=DAY, **slow))
    flow.poll("slow", identity="elsewhere:1")
    start(flow, "held-here", open_task(task_list="held", startToCloseTimeout=DAY))
    run("poll", "-d", "media", "-t", "held", env=service_env)
    start(flow, "asked-here", open_task(task_list="asked", startToCloseTimeout=DAY))
    run("poll", "-d", "media", "-t", "asked", env=service_env)
    decide(flow, "asked-here", decision("RequestCancelActivityTask", activityId="resize-1"))
    start(flow, "holder-gone", open_task(task_list="gone", startToCloseTimeout=DAY))
    work_until_killed(service, service_env, tmp_path, "gone")
    start(flow, "fine", open_task(task_list="fine", startToCloseTimeout=DAY))
    flow.poll("fine", identity="elsewhere:1")
    service.advance(11 * 60)
    flow.poll("busy", identity="elsewhere:1")
    start(flow, "young", open_task(task_list="nobody's"))

    result = run(*STUCK, env=service_env)
    assert (result.stderr, result.code) == ("", 0)
    assert list(reasons(result).items()) == [
        ("holder-gone", "holder-gone"),
        ("endless", "endless"),
        ("cancelling", "cancelling"),
        ("held-here", "held-here"),
        ("asked-here", "held-here"),
        ("overdue", "overdue"),
        ("unclaimed", "unclaimed"),
        ("backlog", "backlog"),
    ]
    commands = {row["execution"]["id"]: row["hint"] for row in result.json if row["hint"].startswith("swf ")}
    assert list(commands) == ["holder-gone", "held-here", "asked-here"]
    for workflow, command in commands.items():
        assert run(*shlex.split(command)[1:], env=service_env) == Result("", "", 0)
        ends = [name for name in service.names("media", workflow) if name.startswith("ActivityTask")]
        assert ends[-1] == ("ActivityTaskCanceled" if workflow == "asked-here" else "ActivityTaskFailed")
    assert not commands.keys() & reasons(run(*STUCK, env=service_env)).keys()


def test_a_row_has_the_shape_that_scripts_rely_on(service: Service, flow: Flow, service_env: dict[str, str]) -> None:
    """A row is that of `swf tasks`, with the reason and the hint."""
    run_id = start(flow, "w", open_task(startToCloseTimeout=DAY, heartbeatTimeout="30", taskPriority="7"))
    service.advance(660)
    (row,) = run(*STUCK, env=service_env).json
    (task,) = run("tasks", "-d", "media", "--workflow-id", "w", env=service_env).json
    hint = "start a worker on work, or look why none polls it"
    assert row == {**task, "reason": "unclaimed", "hint": hint}
    assert row == {
        "execution": {"id": "w", "run_id": run_id},
        "id": "resize-1",
        "activity": {"name": "resize", "version": "1"},
        "task_list": "work",
        "state": "scheduled",
        "scheduled_at": row["scheduled_at"],
        "started_at": None,
        "closed_at": None,
        "identity": None,
        "configuration": {
            "runtime_timeout": 86400,
            "schedule_timeout": None,
            "total_timeout": None,
            "heartbeat_timeout": 30,
            "priority": 7,
        },
        "deadline": None,
        "reason": "unclaimed",
        "hint": hint,
    }
    text = run(*STUCK, "-o", "text", env=service_env).stdout
    assert text == f"unclaimed\tresize-1\tw\t{run_id}\t{hint}\n"


def test_a_task_that_a_live_worker_here_works_on_is_fine(
    service: Service, flow: Flow, service_env: dict[str, str], tmp_path: Path
) -> None:
    """A task of a live `swf work` of this machine is not flagged, however long ago it was taken."""
    start(flow, "w", open_task(startToCloseTimeout=DAY))
    there = tmp_path / "there"
    command = ("sh", "-c", f"touch {there}; exec sleep 60")
    with started("work", "-d", "media", "-t", "work", "--", *command, env=service_env):
        wait_until(there.exists)
        service.advance(3600)
        assert run(*STUCK, env=service_env).json == []
    assert reasons(run(*STUCK, env=service_env)) == {"w": "holder-gone"}


def test_a_task_that_went_to_a_broken_poll_is_known(
    service: Service, flow: Flow, service_env: dict[str, str]
) -> None:
    """A poll is killed while SWF holds it, and gets a task: whoever took that is gone, and its token is lost."""
    with started("poll", "-d", "media", "-t", "work", "--identity", "me-1", env=service_env) as process:
        polls = service.flow("media").call
        wait_until(lambda: _held_polls(service) == 1)
        process.kill()
        process.wait()
        start(flow, "w", open_task(startToCloseTimeout=DAY))
    assert polls("CountPendingActivityTasks", domain="media", taskList={"name": "work"})["count"] == 0
    (row,) = run(*STUCK, env=service_env).json
    assert (row["reason"], row["identity"]) == ("holder-gone", "me-1")
    assert row["hint"] == "its token is lost with the poll that took it: else its timeouts end it, at the deadline"
    service.advance(1800)
    assert reasons(run(*STUCK, env=service_env)) == {"w": "holder-gone"}


def _held_polls(service: Service) -> int:
    world = service.server.engine._service
    return len(world.domain("media").task_list("activity", "work").polls)


@pytest.fixture
def three(service: Service, flow: Flow) -> None:
    """Three tasks that nobody takes, of two lists and two activities, scheduled a minute apart."""
    encode = activity_type(flow, "encode")
    for number, settings in enumerate([{}, encode, encode]):
        start(flow, f"w{number}", open_task(task_list="ab"[number % 2], **settings))
        service.advance(60)
    service.advance(660)


@pytest.mark.usefixtures("three")
def test_lists_activity_and_limit_choose_rows(service_env: dict[str, str]) -> None:
    """--task-list, several times, and --activity choose tasks; --limit keeps the worst and says how many it hides."""

    def shown(*args: str) -> list[str]:
        result = run(*STUCK, *args, env=service_env)
        assert (result.stderr, result.code) == ("", 0)
        return list(reasons(result))

    assert shown() == ["w0", "w1", "w2"]
    assert shown("-t", "a") == ["w0", "w2"]
    assert shown("-t", "a", "-t", "b") == ["w0", "w1", "w2"]
    assert shown("--activity", "encode") == ["w1", "w2"]
    assert shown("-t", "a", "--activity", "encode") == ["w2"]
    assert shown("-t", "nobody") == []
    assert shown("--older-than", "12m30s") == ["w0", "w1"]
    result = run(*STUCK, "--limit", "2", env=service_env)
    assert (list(reasons(result)), result.stderr, result.code) == (["w0", "w1"], "swf: 1 more look stuck\n", 0)


@pytest.mark.usefixtures("three")
def test_check_is_for_alarms(service_env: dict[str, str]) -> None:
    """--check exits 8 when a row is there, after printing them as ever, also those that --limit hides; else 0."""
    result = run(*STUCK, "--check", "--limit", "1", env=service_env)
    assert (list(reasons(result)), result.code) == (["w0"], 8)
    assert result.stderr == "swf: 2 more look stuck\nswf: 3 tasks look stuck\n"
    assert run(*STUCK, "--check", "-t", "b", env=service_env).stderr == "swf: 1 task looks stuck\n"
    assert run(*STUCK, "--check", "-t", "nobody", env=service_env) == Result("[]\n", "", 0)


def test_a_domain_with_nothing_open(service: Service, flow: Flow, service_env: dict[str, str]) -> None:
    """Nothing open is nothing stuck: an empty array, no line of text, a sentence on a terminal; exit 0."""
    assert run(*STUCK, "--check", env=service_env) == Result("[]\n", "", 0)
    assert run(*STUCK, "-o", "text", env=service_env) == Result("", "", 0)
    assert "nothing looks stuck" in on_terminal(*STUCK, env=service_env).stdout


def test_an_unknown_domain_is_a_refusal(service: Service, service_env: dict[str, str]) -> None:
    """A domain that SWF does not know exits 1, with one line that names it; on a terminal too."""
    error_line(run("stuck", "-d", "no-such-domain", "--check", env=service_env), 1, "no-such-domain")
    shown = on_terminal("stuck", "-d", "no-such-domain", env=service_env, stderr=True)
    assert ("no-such-domain" in shown.stderr, shown.stdout, shown.code) == (True, "", 1)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--older-than", "soon"], ["--older-than", "soon"]),
        (["--limit", "0"], ["--limit"]),
        (["--rate", "0"], ["--rate"]),
        (["--rate", "-1"], ["--rate"]),
        (["-t", ""], ["--task-list"]),
        (["--activity", ""], ["--activity"]),
        (["extra"], ["extra"]),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    stub: StubService, env: dict[str, str], args: list[str], words: list[str]
) -> None:
    """What makes no sense exits 2, with one line that names the option."""
    error_line(run(*STUCK, *args, env=env), 2, *words)
    assert stub.requests == []


def _waiting_since(scheduled: float, **attributes: Any) -> dict[str, Any]:
    """Give a history with one task that waits."""
    values = {
        "activityId": "a",
        "activityType": {"name": "resize", "version": "1"},
        "taskList": {"name": "work"},
        **attributes,
    }
    name = "activityTaskScheduledEventAttributes"
    event = {"eventId": 1, "eventTimestamp": scheduled, "eventType": "ActivityTaskScheduled", name: values}
    return {"events": [event]}


def _executions(count: int) -> dict[str, Any]:
    return {
        "executionInfos": [
            {"execution": {"workflowId": f"w{number}", "runId": f"RUN-{number}"}, "startTimestamp": 1000}
            for number in range(count)
        ]
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_shows_what_was_found_so_far(stub: StubService, env: dict[str, str], number: int) -> None:
    """Stopped half-way, it prints what it has, says that this is partial, and dies of the signal."""
    stub.reply("ListOpenWorkflowExecutions", _executions(9))
    stub.reply("GetWorkflowExecutionHistory", _waiting_since(1000.0))
    with started(*STUCK, "--rate", "1", "--check", env=env) as process:
        wait_until(lambda: "GetWorkflowExecutionHistory" in stub.operations())
        time.sleep(0.2)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=10)
    result = Result(stdout, stderr, process.returncode)
    assert 1 <= len(result.json) < 9
    assert "partial" in result.stderr
    assert result.code == -number


def test_a_survey_that_breaks_off_shows_what_it_has(stub: StubService, env: dict[str, str]) -> None:
    """When the list can't be read on, what was found is printed, and the exit code is that of the failure."""
    stub.reply("ListOpenWorkflowExecutions", {**_executions(2), "nextPageToken": "T"})
    stub.fault("ListOpenWorkflowExecutions", "OperationNotPermittedFault", "no more")
    stub.reply("GetWorkflowExecutionHistory", _waiting_since(1000.0))
    result = run(*STUCK, "--rate", "1000", "--check", env=env)
    assert (len(result.json), result.code) == (2, 7)
    assert "partial" in result.stderr
    assert "no more" in result.stderr


def test_an_execution_that_cannot_be_read_is_told(stub: StubService, env: dict[str, str]) -> None:
    """One that can't be read is named on stderr and passed over; the end says that it may hide something."""
    stub.reply("ListOpenWorkflowExecutions", _executions(2))
    stub.fault("GetWorkflowExecutionHistory", "ValidationException", "not this one")
    stub.reply("GetWorkflowExecutionHistory", _waiting_since(1000.0))
    result = run(*STUCK, env=env)
    assert (len(result.json), result.code) == (1, 0)
    told, summary = result.stderr.splitlines()
    assert told.startswith("swf: workflow w")
    assert told.endswith("is passed over: GetWorkflowExecutionHistory: not this one (ValidationException)")
    assert summary == "swf: 1 execution could not be read: what is stuck there is not shown"


def test_a_clock_that_is_minutes_off_makes_nothing_stuck(
    service: Service, flow: Flow, service_env: dict[str, str]
) -> None:
    """The service's time counts, not this machine's: what was scheduled a minute ago has waited a minute."""
    service.advance(240)
    start(flow, "w", open_task())
    service.advance(62)
    assert run(*STUCK, "--older-than", "2m", env=service_env).json == []
    assert reasons(run(*STUCK, "--older-than", "1m", env=service_env)) == {"w": "unclaimed"}


@pytest.mark.parametrize("columns", [80, 140])
def test_a_terminal_gets_a_block_for_each(stub: StubService, env: dict[str, str], columns: int) -> None:
    """On a terminal each row is a block: reason, meaning, and what one would copy, folded and never cut."""
    workflow, task_list = "customer-4711/" + "orders/" * 20, "media encoding " + "x" * 100
    info = {"execution": {"workflowId": workflow, "runId": "R" * 60}, "startTimestamp": 1000}
    stub.reply("CountOpenWorkflowExecutions", {"count": 1})
    stub.reply("ListOpenWorkflowExecutions", {"executionInfos": [info]})
    evil = {
        "activityId": "[red]a\x1b[2J\u202e",
        "scheduleToStartTimeout": "99999999",
        "taskList": {"name": task_list},
    }
    stub.reply("GetWorkflowExecutionHistory", _waiting_since(time.time() - 3605, **evil))
    shown = on_terminal(*STUCK, env=env, columns=columns, stderr=True)
    assert shown.code == 0
    lines = without_escapes(shown.stdout).splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[0] == "unclaimed for 1h00m: no worker takes tasks from its list"
    assert not CONTROLS.search(without_escapes(shown.stdout).replace("\r", ""))
    assert "\x1b[2J" not in shown.stdout
    text = squeezed(shown.stdout)
    for value in (workflow, "R" * 60, task_list, r"[red]a\x1b[2J\u202e(resize1,scheduled)", f"'{task_list}'"):
        assert value.replace(" ", "") in text
    assert "0 executions" in shown.stderr
    assert "1 open tasks" not in shown.stdout
