"""`swf stuck`."""

import os
import re
import shlex
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from swf_cli.ledger.records import PollSource
from swf_cli.ledger.store import Ledger
from tests.helpers.big_domain import decide, open_task, start
from tests.helpers.cli import Result, invoke, run, wait_until
from tests.helpers.flow import Flow, decision
from tests.helpers.local_service import Service
from tests.helpers.processes import is_running, started, written_pids
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import CONTROLS, error_line, invoke_on_terminal, on_terminal, without_escapes

STUCK = ("stuck", "-d", "media")
DAY = "86400"
SAFE = "swf "
"""How a hint begins that is safe to run."""


def activity_type(flow: Flow, name: str) -> dict[str, Any]:
    """Register an activity, and return it as a part of a decision."""
    flow.call("RegisterActivityType", domain=flow.domain, name=name, version="1")
    return {"activityType": {"name": name, "version": "1"}}


def reasons(result: Result) -> dict[str, str]:
    """Return the reason of each workflow that is reported."""
    return {row["execution"]["id"]: row["reason"] for row in result.json}


@contextmanager
def worker(env: Mapping[str, str], folder: Path, task_list: str) -> "Iterator[tuple[Popen[str], int]]":
    """Run `swf work` until its command runs; yield it, and the ID of the command; end both."""
    folder.mkdir()
    command = ("sh", "-c", f"echo $$ > {shlex.quote(str(folder))}/command.pid; exec sleep 300")
    with started("work", "-d", "media", "-t", task_list, "--", *command, env=env) as process:
        (pid,) = written_pids(folder, 1)
        try:
            yield process, pid
        finally:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # it has a process group of its own


def kill(process: "Popen[str]") -> None:
    """Kill a worker, and wait until it is gone."""
    process.kill()
    process.wait()


@pytest.fixture
def flow(service: Service) -> Flow:
    """A domain."""
    return service.flow("media")


def wait_by_design(flow: Flow) -> None:
    """Start what waits by design: for a timer, a signal, a child, a worker that is at work."""
    start(flow, "timer", decision("StartTimer", timerId="grace", startToFireTimeout="259200"))
    start(flow, "signal")
    child = {
        "workflowId": "child",
        "workflowType": {"name": "video", "version": "1"},
        "taskList": {"name": "children"},
    }
    limits = {"executionStartToCloseTimeout": DAY, "taskStartToCloseTimeout": DAY, "childPolicy": "TERMINATE"}
    start(flow, "parent", decision("StartChildWorkflowExecution", **child, **limits))
    decide(flow, "parent")  # it has seen that its child started
    task = flow.call("PollForDecisionTask", domain="media", taskList={"name": "children"})
    timer = decision("StartTimer", timerId="grace", startToFireTimeout="259200")
    flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=[timer])
    start(flow, "fine", open_task(task_list="fine", startToCloseTimeout=DAY))
    flow.poll("fine", identity="elsewhere:1")


def start_deciders(flow: Flow) -> None:
    """Start executions whose decider is dead, and whose decider is busy for long."""
    flow.start("dead-decider", taskList={"name": "dead"}, executionStartToCloseTimeout=DAY)
    flow.start(
        "slow-decider", taskList={"name": "slow"}, taskStartToCloseTimeout=DAY, executionStartToCloseTimeout=DAY
    )
    flow.call("PollForDecisionTask", domain="media", taskList={"name": "slow"}, identity="decider:1")


def schedule_on_lists(flow: Flow) -> None:
    """Schedule on a list without workers, a misspelled one, and a busy one."""
    start(flow, "unclaimed", open_task(task_list="nobody's"))
    start(flow, "misspelled", open_task(task_list="endles"))
    start(flow, "backlog", open_task("first", "busy"), open_task("second", "busy"), open_task("third", "busy"))
    flow.poll("busy", identity="elsewhere:1")


def start_elsewhere(service: Service, flow: Flow) -> None:
    """Start tasks elsewhere: without timeouts, asked to cancel, and slower than one before."""
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


def test_a_labelled_domain(service: Service, flow: Flow, service_env: dict[str, str], tmp_path: Path) -> None:
    """Each reason is right; what waits by design is not reported; each safe hint closes its task and nothing else."""
    wait_by_design(flow)
    start_deciders(flow)
    schedule_on_lists(flow)
    start_elsewhere(service, flow)
    # Tasks that are started, here: by scripts, and by workers.
    for name in ("script", "script-asked"):
        start(flow, name, open_task(task_list=name, startToCloseTimeout=DAY))
        run("poll", "-d", "media", "-t", name, env=service_env)
    decide(flow, "script-asked", decision("RequestCancelActivityTask", activityId="resize-1"))
    for name in ("dead-worker", "dead-asked", "dead-but-command", "live-worker"):
        start(flow, name, open_task(task_list=name, startToCloseTimeout=DAY))
    with worker(service_env, tmp_path / "1", "dead-worker") as (process, _):
        kill(process)
    with worker(service_env, tmp_path / "2", "dead-asked") as (process, _):
        kill(process)
    decide(flow, "dead-asked", decision("RequestCancelActivityTask", activityId="resize-1"))
    with (
        worker(service_env, tmp_path / "3", "dead-but-command") as (process, command),
        worker(service_env, tmp_path / "4", "live-worker"),
    ):
        kill(process)
        service.advance(11 * 60)
        flow.start(
            "failing-decider",
            taskList={"name": "failing"},
            taskStartToCloseTimeout="3",
            executionStartToCloseTimeout=DAY,
        )
        for _ in range(3):
            flow.call("PollForDecisionTask", domain="media", taskList={"name": "failing"}, identity="decider:2")
            service.advance(4)
        service.advance(11 * 60)
        decide(flow, "signal")
        start(flow, "young", open_task(task_list="nobody's"))

        result = invoke(*STUCK, env=service_env)
        assert (result.stderr, result.code) == ("", 0)
        assert reasons(result) == {
            "dead-worker": "holder-gone",
            "dead-asked": "holder-gone",
            "dead-but-command": "holder-gone",
            "dead-decider": "no-decider",
            "failing-decider": "no-decider",
            "slow-decider": "decider-failing",
            "endless": "endless",
            "cancelling": "cancelling",
            "script": "held-here",
            "script-asked": "held-here",
            "overdue": "overdue",
            "unclaimed": "unclaimed",
            "misspelled": "unclaimed",
            "backlog": "backlog",
        }
        hints = {row["execution"]["id"]: row["hint"] for row in result.json}
        assert hints["backlog"] == (
            "check that the workers of busy are alive and poll it, or start more "
            "(of the tasks read, 2 waiting and 1 running)"
        )
        assert hints["misspelled"].endswith("if it is misspelled: resize runs on endless")
        assert hints["dead-but-command"].startswith(f"stop the command first (`kill -s TERM -- -{command}`; ")
        assert is_running(command)
        assert "aws swf terminate-workflow-execution --domain=media --region=us-east-1 " in hints["endless"]
        assert hints["script"].startswith("if its script is gone: swf fail --held ")
        safe = {workflow: hint for workflow, hint in hints.items() if hint.startswith(SAFE)}
        assert list(safe) == ["dead-worker", "dead-asked"]
        before = {name: service.names("media", name) for name in [*hints, "live-worker", "fine"]}
        for workflow, hint in safe.items():
            assert invoke(*shlex.split(hint)[1:], env=service_env) == Result("", "", 0)
            closed = "ActivityTaskCanceled" if workflow == "dead-asked" else "ActivityTaskFailed"
            assert closed in service.names("media", workflow)
        after = {name: service.names("media", name) for name in before}
        assert [name for name in before if before[name] != after[name]] == list(safe)
        assert reasons(invoke(*STUCK, env=service_env)).keys() == hints.keys() - safe.keys()


def test_a_decider_that_fails_again_and_again(service: Service, flow: Flow, service_env: dict[str, str]) -> None:
    """Three time-outs in a row are reported although each is short; the decider is named."""
    flow.start("w", taskList={"name": "failing"}, taskStartToCloseTimeout="30", executionStartToCloseTimeout=DAY)
    service.advance(660)
    for _ in range(3):
        flow.call("PollForDecisionTask", domain="media", taskList={"name": "failing"}, identity="decider:2")
        service.advance(31)
    (row,) = invoke(*STUCK, env=service_env).json
    assert (row["kind"], row["id"], row["activity"], row["task_list"]) == ("decision", None, None, "failing")
    assert (row["reason"], row["state"]) == ("decider-failing", "scheduled")
    assert row["hint"] == "check decider:2, which polls failing: it must complete its decision tasks"


def test_a_row_is_that_of_tasks(service: Service, flow: Flow, service_env: dict[str, str]) -> None:
    """With since when, the reason and the hint; as text, the same in fields."""
    run_id = start(flow, "w", open_task(startToCloseTimeout=DAY, heartbeatTimeout="30", taskPriority="7"))
    service.advance(660)
    (row,) = invoke(*STUCK, env=service_env).json
    (task,) = invoke("tasks", "-d", "media", "--workflow-id", "w", env=service_env).json
    hint = "start a worker on work, or check why none polls it"
    assert row == {**task, "since": row["scheduled_at"], "reason": "unclaimed", "hint": hint}
    assert row["configuration"] == {
        "runtime_timeout": 86400,
        "schedule_timeout": None,
        "total_timeout": None,
        "heartbeat_timeout": 30,
        "priority": 7,
    }
    text = invoke(*STUCK, "-o", "text", env=service_env).stdout
    assert text == f"unclaimed\t{row['since']}\twork\tresize-1\tw\t{run_id}\t{hint}\n"


def test_inputs_are_part_of_the_data(service: Service, flow: Flow, service_env: dict[str, str]) -> None:
    """JSON and queries have the whole input of each row."""
    for number in (1, 2):
        start(flow, f"w{number}", open_task(input=f"{number}" * 8000))
    service.advance(660)
    whole = ["1" * 8000, "2" * 8000]
    assert [row["input"] for row in invoke(*STUCK, env=service_env).json] == whole
    assert [row["input"] for row in invoke(*STUCK, "--limit", "1", env=service_env).json] == whole[:1]
    assert invoke(*STUCK, "--query", "[].input", "-o", "text", env=service_env).stdout.split() == whole


def test_a_task_that_went_to_a_lost_poll(service: Service, flow: Flow, service_env: dict[str, str]) -> None:
    """The ledger has a poll that was lost, and a task was started under its identity: nobody has its token."""
    source = PollSource("media", "work", "me-1", None, "us-east-1", service.url)
    with Ledger(Path(service_env["SWF_STATE_DIR"])) as ledger, ledger.record_poll(source, "poll") as record:
        record.mark_lost()
    start(flow, "w", open_task(startToCloseTimeout=DAY))
    flow.poll("work", identity="me-1")
    (row,) = invoke(*STUCK, "--older-than", "0", env=service_env).json
    assert (row["reason"], row["identity"]) == ("holder-gone", "me-1")
    assert row["hint"] == f"check whether me-1 works on it; it times out at {row['deadline']}"


@pytest.mark.parametrize("command", ["stuck", "tasks"])
def test_an_activity_with_a_version_is_no_name(command: str, service_env: dict[str, str]) -> None:
    """It would match nothing, and nothing would look stuck."""
    result = invoke(command, "-d", "media", "--activity", "resize:1", env=service_env)
    assert (result.code, result.stdout) == (2, "")
    assert "--activity: SWF rejects the name 'resize:1': it contains ':'" in result.stderr


def test_the_endpoint_may_be_spelled_differently(service: Service, flow: Flow, service_env: dict[str, str]) -> None:
    """The record of held tasks is used whatever the service's address is: a VPC endpoint, or a trailing slash."""
    start(flow, "w", open_task(startToCloseTimeout=DAY))
    invoke("poll", "-d", "media", "-t", "work", env=service_env)
    for url in (service.url, f"{service.url}/", service.url.replace("127.0.0.1", "localhost")):
        (row,) = invoke(*STUCK, "--older-than", "0", "--endpoint-url", url, env=service_env).json
        assert (row["reason"], row["execution"]["id"]) == ("held-here", "w")


@pytest.fixture
def three(service: Service, flow: Flow) -> None:
    """Three tasks that no worker takes, of two lists and two activities, scheduled a minute apart."""
    encode = activity_type(flow, "encode")
    for number, settings in enumerate([{}, encode, encode]):
        start(flow, f"w{number}", open_task(task_list="ab"[number % 2], **settings))
        service.advance(60)
    service.advance(660)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("command", [STUCK, ["tasks", "-d", "media"]], ids=["stuck", "tasks"])
def test_a_list_that_a_variable_chooses(command: Sequence[str], service_env: dict[str, str]) -> None:
    """A line says so: what is on other lists is not shown. An option says what was asked for."""
    env = {**service_env, "SWF_TASK_LIST": "b"}
    result = invoke(*command, env=env)
    assert [row["execution"]["id"] for row in result.json] == ["w1"]
    assert result.stderr == "swf: only tasks on b are shown, since SWF_TASK_LIST is set\n"
    assert invoke(*command, "-t", "b", env=env).stderr == ""


@pytest.mark.usefixtures("three")
def test_lists_activity_and_limit_choose_rows(service_env: dict[str, str]) -> None:
    """--task-list, several times, and --activity choose tasks; --limit keeps the worst and logs how many it hides."""

    def shown(*args: str) -> list[str]:
        result = invoke(*STUCK, *args, env=service_env)
        assert (result.stderr, result.code) == ("", 0)
        return list(reasons(result))

    assert shown() == ["w0", "w1", "w2"]
    assert shown("-t", "a") == ["w0", "w2"]
    assert shown("-t", "a", "-t", "b") == ["w0", "w1", "w2"]
    assert shown("--activity", "encode") == ["w1", "w2"]
    assert shown("-t", "a", "--activity", "encode") == ["w2"]
    assert shown("-t", "nobody") == []
    assert shown("--older-than", "12m30s") == ["w0", "w1"]
    assert shown("--limit", "0") == ["w0", "w1", "w2"]
    result = invoke(*STUCK, "--limit", "2", env=service_env)
    assert (list(reasons(result)), result.stderr, result.code) == (["w0", "w1"], "swf: 1 more look stuck\n", 0)


def test_a_misspelled_filter_is_named(service: Service, flow: Flow, service_env: dict[str, str]) -> None:
    """No task is on that list, but on one with nearly the same name: a line says so, for scripts too."""
    start(flow, "w", open_task(task_list="resize"))
    service.advance(660)
    result = invoke(*STUCK, "-t", "reszie", "--check", env=service_env)
    assert result == Result("[]\n", "swf: no task was found on reszie; did you mean resize?\n", 0)
    shown = invoke_on_terminal(*STUCK, "-t", "nobody", env=service_env).stdout
    assert shown == "Nothing looks stuck: 1 execution and 1 open task read. No open task matches the options.\n"


@pytest.mark.usefixtures("three")
def test_check_is_for_alarms(service_env: dict[str, str]) -> None:
    """--check exits 8 if a task looks stuck, after printing as ever, also one that --limit hides; else 0."""
    result = invoke(*STUCK, "--check", "--limit", "1", env=service_env)
    assert (list(reasons(result)), result.code) == (["w0"], 8)
    assert result.stderr == "swf: 2 more look stuck\nswf: 3 tasks look stuck\n"
    assert invoke(*STUCK, "--check", "-t", "b", env=service_env).stderr == "swf: 1 task looks stuck\n"
    assert invoke(*STUCK, "--check", "-t", "nobody", env=service_env) == Result("[]\n", "", 0)


def test_a_domain_with_nothing_open(service: Service, flow: Flow, service_env: dict[str, str]) -> None:
    """Nothing is stuck: an empty array, no line of text, a sentence on a terminal; exit 0."""
    assert invoke(*STUCK, "--check", env=service_env) == Result("[]\n", "", 0)
    assert invoke(*STUCK, "-o", "text", env=service_env) == Result("", "", 0)
    shown = on_terminal(*STUCK, env=service_env).stdout
    assert shown == "Nothing looks stuck: 0 executions and 0 open tasks read.\n"


def test_an_unknown_domain_is_an_error(service: Service, service_env: dict[str, str]) -> None:
    """A domain that SWF does not know exits 1, with one line that names it; on a terminal too."""
    error_line(invoke("stuck", "-d", "no-such-domain", "--check", env=service_env), 1, "no-such-domain")
    shown = invoke_on_terminal("stuck", "-d", "no-such-domain", env=service_env, stderr=True)
    assert ("no-such-domain" in shown.stderr, shown.stdout, shown.code) == (True, "", 1)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--older-than", "soon"], ["--older-than", "soon"]),
        (["--limit", "-1"], ["--limit"]),
        (["--rate", "0"], ["--rate"]),
        (["--rate", "-1"], ["--rate"]),
        (["--rate", "nan"], ["--rate"]),
        (["--rate", "inf"], ["--rate"]),
        (["--rate", "1e-320"], ["--rate"]),
        (["--timeout", "0"], ["--timeout"]),
        (["-t", ""], ["--task-list"]),
        (["--activity", ""], ["--activity"]),
        (["extra"], ["extra"]),
    ],
)
def test_bad_input_is_rejected_before_anything_is_sent(
    stub: StubService, env: dict[str, str], args: list[str], words: list[str]
) -> None:
    """It exits 2, with one line that names the option."""
    error_line(invoke(*STUCK, *args, env=env), 2, *words)
    assert stub.requests == []


def _waiting_since(scheduled: float, **attributes: Any) -> dict[str, Any]:
    """Return a history with one task that waits."""
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


@pytest.fixture
def waiting(stub: StubService) -> StubService:
    """A service with executions that each have a task that waits, and none of which shows a worker."""
    stub.reply("ListOpenWorkflowExecutions", _executions(9))
    stub.reply("ListClosedWorkflowExecutions", {"executionInfos": []})
    stub.reply("GetWorkflowExecutionHistory", _waiting_since(1000.0))
    return stub


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_shows_what_was_found_so_far(waiting: StubService, env: dict[str, str], number: int) -> None:
    """Stopped half-way, it prints what it has, logs that this is not all, and dies of the signal."""
    with started(*STUCK, "--rate", "2", "--check", env=env) as process:
        wait_until(lambda: waiting.operations().count("GetWorkflowExecutionHistory") >= 2)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    result = Result(stdout, stderr, process.returncode)
    assert 1 <= len(result.json) < 9
    assert (result.stderr, result.code) == ("swf: interrupted: results are incomplete\n", -number)


def test_a_timeout_shows_what_was_found_so_far(waiting: StubService, env: dict[str, str]) -> None:
    """After --timeout, it prints what it has, and exits 1."""
    result = invoke(*STUCK, "--rate", "2", "--timeout", "1s", env=env)
    assert 1 <= len(result.json) < 9
    assert result.stderr == "swf: stopped early: results are incomplete\nswf: not finished within 1s\n"
    assert result.code == 1


def test_a_check_that_failed_before_the_timeout(waiting: StubService, env: dict[str, str]) -> None:
    """What was found looks stuck, whatever was not read: exit code 8."""
    result = invoke(*STUCK, "--rate", "2", "--timeout", "1s", "--check", env=env)
    early, reason, error = result.stderr.splitlines()
    assert (early, reason) == ("swf: stopped early: results are incomplete", "swf: not finished within 1s")
    assert (error.endswith(" stuck"), result.code) == (True, 8)


def test_an_alarm_is_not_silent_if_something_else_than_swf_responds(stub: StubService, env: dict[str, str]) -> None:
    """A list of executions without executions is an error, also after a page that had some."""
    stub.reply("ListOpenWorkflowExecutions", {})
    error_line(invoke("stuck", "-d", "media", "--check", env=env), 1, "no executions")
    stub.reset()
    stub.reply("ListOpenWorkflowExecutions", {**_executions(2), "nextPageToken": "T"})
    stub.reply("ListOpenWorkflowExecutions", {})
    stub.reply("ListClosedWorkflowExecutions", {"executionInfos": []})
    stub.reply("GetWorkflowExecutionHistory", _waiting_since(time.time()))
    result = invoke("stuck", "-d", "media", "--check", "-o", "json", env=env)
    assert (result.code, "no executions" in result.stderr) == (1, True)


def test_a_scan_that_breaks_off_shows_what_it_has(stub: StubService, env: dict[str, str]) -> None:
    """If the list can't be read on, what was found is printed, and the exit code is that of the failure."""
    history = "GetWorkflowExecutionHistory"

    def wait_for_histories() -> None:
        wait_until(lambda: stub.operations().count(history) == 2)

    stub.reply("ListOpenWorkflowExecutions", {**_executions(2), "nextPageToken": "T"})
    stub.fault("ListOpenWorkflowExecutions", "OperationNotPermittedFault", "no more", action=wait_for_histories)
    stub.reply(history, _waiting_since(1000.0))
    result = invoke(*STUCK, "--rate", "1000", "--check", env=env)
    assert (len(result.json), result.code) == (2, 7)
    early, error, _ = result.stderr.splitlines()
    assert early == "swf: stopped early: results are incomplete"
    assert "no more" in error


@pytest.mark.parametrize(("check", "code"), [([], 0), (["--check", "--older-than", "60d"], 1)])
def test_an_execution_that_cannot_be_read(
    stub: StubService, env: dict[str, str], check: list[str], code: int
) -> None:
    """It is logged and skipped; the end says so, and no check can pass that does not know everything."""
    stub.reply("ListOpenWorkflowExecutions", _executions(2))
    stub.reply("ListClosedWorkflowExecutions", {"executionInfos": []})
    stub.fault("GetWorkflowExecutionHistory", "ValidationException", "not this one")
    stub.reply("GetWorkflowExecutionHistory", _waiting_since(1000.0 if not check else time.time()))
    result = invoke(*STUCK, *check, env=env)
    assert (len(result.json), result.code) == (0 if check else 1, code)
    skipped, summary, *error = result.stderr.splitlines()
    assert skipped.startswith("swf: skipping workflow w")
    assert skipped.endswith(": GetWorkflowExecutionHistory: not this one (ValidationException)")
    assert summary == "swf: 1 execution could not be read: results are incomplete"
    assert error == (["swf: --check is not certain: not everything could be read"] if check else [])


@pytest.mark.parametrize(
    ("infos", "events"),
    [([{}], []), ([], [{"eventId": 2, "eventTimestamp": 1000, "eventType": "ActivityTaskScheduled"}])],
)
def test_a_check_of_malformed_responses(
    stub: StubService, env: dict[str, str], infos: list[Any], events: list[Any]
) -> None:
    """A row of the list that names no execution, or an event that can't be read, could hide a stuck task."""
    stub.reply("ListOpenWorkflowExecutions", {"executionInfos": [*_executions(1)["executionInfos"], *infos]})
    stub.reply("GetWorkflowExecutionHistory", {"events": [*events, *_waiting_since(time.time())["events"]]})
    assert invoke(*STUCK, env=env).code == 0
    result = invoke(*STUCK, "--check", env=env)
    malformed, error = result.stderr.splitlines()
    assert (malformed, result.code) == ("swf: skipped 1 malformed record in lists and histories", 1)
    assert error == "swf: --check is not certain: not everything could be read"


def test_a_clock_that_is_minutes_off_makes_nothing_stuck(
    service: Service, flow: Flow, service_env: dict[str, str]
) -> None:
    """The service's time counts, not this machine's: what was scheduled a minute ago has waited a minute."""
    service.advance(240)
    start(flow, "w", open_task())
    service.advance(62)
    assert invoke(*STUCK, "--older-than", "2m", env=service_env).json == []
    assert reasons(invoke(*STUCK, "--older-than", "1m", env=service_env)) == {"w": "unclaimed"}


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_a_terminal_gets_a_summary_and_cards(stub: StubService, env: dict[str, str], columns: int) -> None:
    """What one would copy is whole, and hostile text does nothing."""
    workflow, task_list = "customer-4711/" + "orders/" * 6, "media encoding " + "x" * 100
    run_id = "22" + "aB3+/" * 8 + "xyz="
    info = {"execution": {"workflowId": workflow, "runId": run_id}, "startTimestamp": 1000}
    stub.reply("CountOpenWorkflowExecutions", {"count": 1})
    stub.reply("ListOpenWorkflowExecutions", {"executionInfos": [info]})
    stub.reply("ListClosedWorkflowExecutions", {"executionInfos": []})
    evil = {
        "activityId": "[red]a\x1b[2J\u202e",
        "scheduleToStartTimeout": "99999999",
        "taskList": {"name": task_list},
    }
    stub.reply("GetWorkflowExecutionHistory", _waiting_since(time.time() - 3605, **evil))
    shown = invoke_on_terminal(*STUCK, env=env, columns=columns, stderr=True)
    assert shown.code == 0
    text = without_escapes(shown.stdout)
    assert text.startswith("1 task looks stuck: 1 execution and 1 open task read.\n")
    assert not CONTROLS.search(text.replace("\r", ""))
    assert "\x1b[2J" not in shown.stdout
    for value in (workflow, run_id, task_list, r"[red]a\x1b[2J\u202e", f"'{task_list}'"):
        assert value in text
    assert re.search(" executions?, ", shown.stderr)  # its progress


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize(
    ("variables", "flags", "styled"),
    [({}, [], True), ({"NO_COLOR": "1"}, [], False), ({}, ["--color", "never"], False)],
)
def test_the_style_of_the_progress(
    env: dict[str, str], variables: dict[str, str], flags: list[str], styled: bool
) -> None:
    """It is dim, unless NO_COLOR or --color asks for plain text."""
    shown = invoke_on_terminal(*STUCK, *flags, env=env | variables, stderr=True)
    assert ("\x1b[2m" in shown.stderr, "9 executions, " in shown.stderr) == (styled, True)
