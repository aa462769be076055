"""Whatever dies, a task is closed, or printed, or listed with the token that closes it.

What dies or is signalled is a process; what a network loses is lost to the command line within the test's own.

SWF_TEST_FULL=1 runs the trials and the storm at full size; SWF_TEST_REAL_HOLD=1 runs a poll whose response is late in
real time. Both log figures: see them with --log-cli-level=INFO.
"""

import json
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pexpect
import pytest

from swf_cli.local.engine import Engine
from swf_cli.local.server import LocalServer
from tests.helpers.cli import FAST_SWF, SWF, TASK, Result, invoke, run, shell, wait_until
from tests.helpers.faulty_proxy import (
    CUT,
    ERROR_500,
    HANG_AFTER,
    HANG_BEFORE,
    HTML_502,
    HTML_502_AFTER,
    LIMIT,
    RESET_AFTER,
    RESET_BEFORE,
    THROTTLE,
    Fault,
    FaultyProxy,
    chance,
    late,
    nth,
)
from tests.helpers.flow import Flow, activity, decision, over
from tests.helpers.operations import COMPLETE, POLL
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import FULL_DEVICE

ON_WORK = ("-d", "media", "-t", "work")
FULL = bool(os.environ.get("SWF_TEST_FULL"))
HOLD = 1.0
"""Seconds for which the local SWF holds a poll: a sixtieth of SWF's own, as in the timeouts of `fast_swf`."""

_log = logging.getLogger(__name__)


def held(env: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the rows of `swf held`."""
    rows: list[dict[str, Any]] = invoke("held", "-o", "json", env=env).json
    return rows


def kinds(env: Mapping[str, str]) -> list[str]:
    """Return the kinds of the rows of `swf held`."""
    return [row["kind"] for row in held(env)]


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A local SWF that assigns tasks to disconnected clients too, as SWF does."""
    with LocalServer(hold=HOLD, deliver_to_disconnected=True) as server:
        yield server


@pytest.fixture
def flow(server: LocalServer) -> Flow:
    """A domain of that SWF, with both types."""
    return Flow(over(server.engine)).register()


@pytest.fixture
def proxy(server: LocalServer) -> Iterator[FaultyProxy]:
    """A proxy in front of that SWF."""
    with FaultyProxy(server.url) as proxy:
        yield proxy


@pytest.fixture
def env(aws_env: dict[str, str], proxy: FaultyProxy) -> dict[str, str]:
    """An environment in which `swf` calls the proxy."""
    path = os.pathsep.join([str(Path(SWF).parent), aws_env["PATH"]])
    return {**aws_env, "PATH": path, "AWS_ENDPOINT_URL_SWF": proxy.url}


@pytest.fixture
def task_file(tmp_path: Path, flow: Flow, env: dict[str, str]) -> Path:
    """A file with a task that `swf poll` received; its execution is `video-7`."""
    flow.schedule()
    path = tmp_path / "task.json"
    path.write_text(invoke("poll", *ON_WORK, env=env).stdout)
    return path


def events(flow: Flow, task_file: Path) -> Counter[str]:
    """Count the events in the history of a task's execution, by type."""
    execution = json.loads(task_file.read_text())["execution"]
    return Counter(flow.names({"workflowId": execution["id"], "runId": execution["run_id"]}))


# --- a signal at any moment


@pytest.mark.parametrize("deliver_to_disconnected", [True, False])
def test_no_signal_loses_a_task(aws_env: dict[str, str], deliver_to_disconnected: bool) -> None:
    """Whenever the signal and the task arrive, the task is on its list, was printed, or is in `swf held`.

    That holds if the service assigns tasks to disconnected clients, as SWF does, and if it does not.
    """
    trials = 200 if FULL else 12
    with LocalServer(hold=HOLD, deliver_to_disconnected=deliver_to_disconnected) as server:
        flow, deciding = Flow(over(server.engine)).register(), threading.Lock()

        def trial(number: int) -> tuple[dict[str, str], str]:
            random = Random(f"{number} {deliver_to_disconnected}")
            task_at = random.uniform(0, 1.4 * HOLD)
            signal_at = max(
                0, task_at + random.choice([random.uniform(-HOLD, HOLD / 2), random.uniform(-0.02, 0.06)])
            )
            which = random.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
            execution: dict[str, str] = {}

            def schedule() -> None:
                with deciding:
                    execution.update(flow.schedule(f"video-{number}", f"list-{number}"))

            with FaultyProxy(server.url) as proxy:
                process = subprocess.Popen(
                    [SWF, "poll", "-d", "media", "-t", f"list-{number}"],
                    env={**aws_env, "AWS_ENDPOINT_URL_SWF": proxy.url},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                if random.random() < 0.8:  # otherwise both may arrive before the first poll
                    wait_until(lambda: POLL in proxy.operations() or process.poll() is not None)
                began = time.monotonic()
                for moment, act in sorted([(task_at, schedule), (signal_at, lambda: process.send_signal(which))]):
                    time.sleep(max(0.0, began + moment - time.monotonic()))
                    act()
                stdout, stderr = process.communicate(timeout=30)
            # Before `swf` has installed its handlers, Python ends in its own way at a SIGINT.
            too_early = which is signal.SIGINT and "KeyboardInterrupt" in stderr
            assert too_early or process.returncode in (0, -which), (process.returncode, which, stderr)
            return execution, stdout

        with ThreadPoolExecutor(12) as pool:
            done = list(pool.map(trial, range(trials)))
        rows = held(aws_env)
        listed = {row["execution"]["run_id"] for row in rows if row["kind"] == "task"}
        fates: Counter[str] = Counter()
        for execution, stdout in done:
            if "ActivityTaskStarted" not in flow.names(execution):
                fates["on the list"] += 1
            elif stdout and json.loads(stdout)["execution"]["run_id"] == execution["runId"]:
                fates["printed"] += 1
            elif execution["runId"] in listed:
                fates["held"] += 1
            else:
                fates["lost"] += 1
        _log.info("deliver_to_disconnected=%s: %s", deliver_to_disconnected, dict(fates))
        assert fates["lost"] == 0
        assert fates["on the list"]
        assert fates["printed"]
        assert [row for row in rows if row["kind"] != "task"] == []


def test_a_signal_does_not_interrupt_printing(stub: StubService, aws_env: dict[str, str]) -> None:
    """A task is printed whole despite a signal: with SWF_LEDGER=off it is the only record."""
    stub.reply(POLL, TASK | {"input": "\U0001f600" * 32_768})  # more than a pipe takes
    env = {**aws_env, "AWS_ENDPOINT_URL_SWF": stub.url, "SWF_LEDGER": "off"}
    command = [SWF, "poll", *ON_WORK]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        beginning = os.read(process.stdout.fileno(), 1)
        process.send_signal(signal.SIGTERM)
        assert b"printing the task" in process.stderr.readline()
        rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(beginning + rest)["token"] == TASK["taskToken"]


# --- responses that are late


def when_polled(proxy: FaultyProxy, seconds: float, act: Callable[[], object]) -> None:
    """Do something this many seconds after the first poll."""

    def wait() -> None:
        wait_until(lambda: POLL in proxy.operations())
        time.sleep(seconds)
        act()

    threading.Thread(target=wait, daemon=True).start()


def test_a_task_after_the_hold_is_received_by_the_first_poll(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str]
) -> None:
    """SWF may respond up to 69 s after the poll began, at a sixtieth of the time here: that poll gets the task."""
    proxy.on(POLL, late(69 / 60))
    when_polled(proxy, 0.8, flow.schedule)
    result = run("poll", *ON_WORK, env=env, fast=True)
    assert (result.json["id"], result.stderr) == ("resize-1", "")
    assert proxy.operations() == [POLL]


@pytest.mark.skipif(not os.environ.get("SWF_TEST_REAL_HOLD"), reason="it takes over a minute: SWF_TEST_REAL_HOLD=1")
def test_a_task_after_65_seconds_is_received(aws_env: dict[str, str]) -> None:
    """The same in real time: SWF holds the poll for 60 s, has a task at 59 s, and responds after 65 s."""
    with LocalServer(hold=60) as server, FaultyProxy(server.url) as proxy:
        proxy.on(POLL, late(65))
        flow = Flow(over(server.engine)).register()
        when_polled(proxy, 59, flow.schedule)
        result = run("poll", *ON_WORK, env={**aws_env, "AWS_ENDPOINT_URL_SWF": proxy.url}, timeout=120)
        assert (result.json["id"], result.stderr) == ("resize-1", "")
        assert proxy.operations() == [POLL]


# --- polls whose response is lost


@pytest.mark.parametrize("fault", [RESET_BEFORE, CUT, HTML_502_AFTER, HANG_AFTER])
def test_a_lost_poll_is_on_record_and_polling_goes_on(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str], fault: Fault
) -> None:
    """If a poll's response is lost, stderr says so with its identity, `swf held` lists it, and it polls again.

    It is on record even if the service did nothing, since nobody can know.
    """
    for name in ("video-7", "video-8"):
        flow.schedule(name)
    proxy.on(POLL, fault, nth(1))
    result = invoke("poll", *ON_WORK, "--identity", "me", env=env)
    assert result.json["execution"]["id"] == ("video-8" if fault.acted else "video-7")
    assert "SWF may have assigned a task to this poll (identity me)" in result.stderr
    assert sorted(kinds(env)) == ["broken_poll", "task"]
    assert proxy.operations() == [POLL, POLL]


@pytest.mark.parametrize("fault", [THROTTLE, LIMIT, ERROR_500])
def test_a_poll_that_is_rejected_for_now_is_retried(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str], fault: Fault
) -> None:
    """Over SWF's rate, with 1,000 polls on the list, or if SWF fails: polled again, and no task was at stake."""
    flow.schedule()
    proxy.on(POLL, fault, nth(1))
    result = invoke("poll", *ON_WORK, env=env)
    assert result.json["id"] == "resize-1"
    assert "retrying in" in result.stderr
    assert kinds(env) == ["task"]


def test_delays_after_rejections_count_towards_the_timeout(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str]
) -> None:
    """With --timeout, a storm of throttling ends with exit code 3, and leaves nothing on record."""
    proxy.on(POLL, THROTTLE)
    result = invoke("poll", *ON_WORK, "--timeout", "1s", env=env)
    assert (result.code, result.stdout) == (3, "")
    assert kinds(env) == []


# --- completions whose response is lost


@pytest.mark.parametrize(
    ("fault", "known"),
    [
        (CUT, "by --task"),
        (CUT, "by the ledger"),
        (RESET_AFTER, "by --task"),
        (HTML_502_AFTER, "by the ledger"),
        (HANG_AFTER, "by --task"),
    ],
)
def test_a_completion_whose_response_was_lost_succeeds(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str], task_file: Path, fault: Fault, known: str
) -> None:
    """SWF accepted it, but its response did not arrive: the history shows that, so exit code 0."""
    proxy.on(COMPLETE, fault, nth(1))
    if known == "by --task":
        named = ["--task", str(task_file)]
        env = {**env, "SWF_LEDGER": "off"}
    else:
        named = ["--token", json.loads(task_file.read_text())["token"]]
    result = invoke("complete", *named, "--result", "done", env=env)
    assert (result.code, result.stdout) == (0, "")
    assert events(flow, task_file)["ActivityTaskCompleted"] == 1
    assert proxy.operations().count(COMPLETE) == 2
    if known == "by the ledger":
        assert held(env) == []


@pytest.mark.parametrize("fault", [RESET_BEFORE, ERROR_500, HTML_502, HANG_BEFORE, THROTTLE])
def test_a_completion_that_did_not_arrive_is_retried(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str], task_file: Path, fault: Fault
) -> None:
    """After a network error, a 5xx, throttling, or a service that hangs it is retried, and accepted once."""
    proxy.on(COMPLETE, fault, nth(1))
    result = invoke("complete", "--task", str(task_file), env=env)
    assert (result.code, result.stdout) == (0, "")
    assert "retrying in" in result.stderr
    assert events(flow, task_file)["ActivityTaskCompleted"] == 1
    assert held(env) == []


@pytest.mark.parametrize("fault", [None, RESET_BEFORE])
def test_a_completion_of_a_task_that_timed_out_says_so(
    server: LocalServer, proxy: FaultyProxy, env: dict[str, str], task_file: Path, fault: Fault | None
) -> None:
    """Exit code 5 with the kind of timeout, even if the first response was lost; the task leaves the ledger."""
    server.engine.advance(301)
    if fault:
        proxy.on(COMPLETE, fault, nth(1))
    result = run("complete", "--task", str(task_file), env=env, fast=True)
    assert (result.code, result.stdout) == (5, "")
    assert "timed out (START_TO_CLOSE)" in result.stderr
    assert held(env) == []


def test_a_lost_response_without_an_execution_is_unknown(
    proxy: FaultyProxy, env: dict[str, str], task_file: Path
) -> None:
    """With a token alone, and no ledger, there is no history to read: exit code 6."""
    proxy.on(COMPLETE, CUT, nth(1))
    token = json.loads(task_file.read_text())["token"]
    result = invoke("complete", "--token", token, env={**env, "SWF_LEDGER": "off"})
    assert (result.code, result.stdout) == (6, "")


@pytest.mark.parametrize("then", [RESET_BEFORE, HANG_BEFORE, THROTTLE])
def test_a_lost_response_that_the_history_can_not_settle_is_unknown(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str], task_file: Path, then: Fault
) -> None:
    """If all else fails after the first attempt: exit code 6; the task stays listed until its history can be read."""
    proxy.on(COMPLETE, RESET_AFTER, nth(1))
    before, is_over = len(proxy.calls), threading.Event()
    proxy.on(None, then, lambda: COMPLETE in proxy.operations()[before:] and not is_over.is_set())
    result = invoke("complete", "--task", str(task_file), "--retry-for", "1s", env=env)
    assert (result.code, result.stdout) == (6, "")
    assert kinds(env) == ["task"]
    is_over.set()
    assert events(flow, task_file)["ActivityTaskCompleted"] == 1
    assert invoke("held", "--prune", "-o", "json", env=env).json == []


def test_a_completion_that_certainly_never_arrived_is_a_failure(
    server: LocalServer, flow: Flow, env: dict[str, str], tmp_path: Path
) -> None:
    """If every connection is refused, nothing was sent: exit code 1, and the task is still open, and listed."""
    flow.schedule()
    with FaultyProxy(server.url) as proxy:
        gone = {**env, "AWS_ENDPOINT_URL_SWF": proxy.url}
        (tmp_path / "task.json").write_text(invoke("poll", *ON_WORK, env=gone).stdout)
    result = invoke("complete", "--task", str(tmp_path / "task.json"), "--retry-for", "1s", env=gone)
    assert (result.code, result.stdout) == (1, "")
    assert "ActivityTaskCompleted" not in events(flow, tmp_path / "task.json")
    assert kinds(env) == ["task"]
    assert invoke("complete", "--task", str(tmp_path / "task.json"), env=env).code == 0
    assert kinds(env) == []


def test_a_storm_of_throttling_is_a_failure_that_leaves_the_task_open(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str], task_file: Path
) -> None:
    """If SWF throttled every attempt, none was executed: exit code 1, and the task is open and listed."""
    proxy.on(COMPLETE, THROTTLE)
    result = invoke("complete", "--task", str(task_file), "--retry-for", "1s", env=env)
    assert (result.code, result.stdout) == (1, "")
    assert "Rate exceeded" in result.stderr
    assert "ActivityTaskCompleted" not in events(flow, task_file)
    assert kinds(env) == ["task"]


# --- what dies between poll and response, and output that is lost


def test_a_script_that_was_killed_leaves_its_task_listed(flow: Flow, env: dict[str, str], tmp_path: Path) -> None:
    """After `kill -9` between poll and complete, `swf held` lists the task, and `swf fail --held KEY` closes it."""
    execution = flow.schedule()
    script = "swf poll -d media -t work > task.json; touch taken; sleep 60; swf complete --task task.json"
    with subprocess.Popen(["bash", "-c", script], env=env, cwd=tmp_path, start_new_session=True) as process:
        wait_until(lambda: (tmp_path / "taken").exists())
        os.killpg(process.pid, signal.SIGKILL)
    (row,) = held(env)
    assert (row["kind"], row["id"], row["execution"]["id"]) == ("task", "resize-1", "video-7")
    assert row["token"] == json.loads((tmp_path / "task.json").read_text())["token"]
    result = invoke("fail", "--held", row["key"][:4], "--reason", "script died", env=env)
    assert result == Result("", "", 0)
    assert flow.last(execution, "ActivityTaskFailed")["reason"] == "script died"
    assert held(env) == []


def test_a_poll_that_was_killed_leaves_a_record(
    server: LocalServer, flow: Flow, proxy: FaultyProxy, env: dict[str, str]
) -> None:
    """After `kill -9` of the poll itself nobody can know the token: `swf held` lists a lost poll."""
    with subprocess.Popen([SWF, "poll", *ON_WORK], env=env) as process:
        wait_until(lambda: POLL in proxy.operations())
        assert held(env) == []  # it is in flight
        process.kill()
    flow.schedule()
    (row,) = held(env)
    assert (row["kind"], row["token"], row["pid"], row["holder_alive"]) == ("broken_poll", None, process.pid, False)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("swf poll -d media -t work > /dev/full", marks=FULL_DEVICE),
        "swf poll -d media -t work | true; exit ${PIPESTATUS[0]}",
        pytest.param("swf poll -d media -t work --eval > /dev/full", marks=FULL_DEVICE),
        "swf poll -d media -t work --eval | true; exit ${PIPESTATUS[0]}",
    ],
)
def test_a_task_that_can_not_be_printed_is_listed(flow: Flow, env: dict[str, str], script: str) -> None:
    """If stdout is full or not read, poll exits with 1, and prints the task's key in `swf held`."""
    flow.schedule()
    result = shell(script, env=env)
    (row,) = held(env)
    assert result.code == 1
    assert f"the task is in `swf held` under {row['key']}" in result.stderr
    assert (row["kind"], row["id"]) == ("task", "resize-1")
    assert invoke("complete", "--held", row["key"], env=env).code == 0


# --- the shell around it

LOOP = "while swf poll -d media -t work; do echo again; done"


@pytest.mark.parametrize("interactive", [False, True])
def test_ctrl_c_stops_the_shell_loop_around_it(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str], interactive: bool
) -> None:
    """On a terminal, Ctrl-C ends `while swf poll …; do …; done` in bash; the stopped poll receives no task."""
    options = ["--norc", "--noprofile", "-i"] if interactive else ["-c", LOOP]
    bash = pexpect.spawn("bash", options, env=env, encoding="utf-8", timeout=60)
    try:
        if interactive:
            bash.sendline(LOOP)
        wait_until(lambda: POLL in proxy.operations())
        bash.sendintr()
        bash.expect("SIGINT: waiting up to 75 s for the poll in flight")
        if interactive:
            bash.sendline("echo status-$?")
            bash.expect("status-130")
            bash.sendline("exit 0")
        bash.expect(pexpect.EOF)
        bash.wait()
        assert bash.signalstatus == (None if interactive else signal.SIGINT)
    finally:
        bash.close(force=True)
    assert proxy.operations() == [POLL]
    flow.schedule()
    assert flow.pending() == 1
    assert held(env) == []


@pytest.mark.skipif(shutil.which("nohup") is None, reason="no nohup")
def test_under_nohup_a_hang_up_changes_nothing(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str], tmp_path: Path
) -> None:
    """After its terminal is gone, `nohup swf poll` goes on, and prints the task that it receives."""
    script = f"cd '{tmp_path}'; nohup swf poll -d media -t work > task.json 2> log & echo $!; wait"
    bash = pexpect.spawn("bash", ["-c", script], env=env, encoding="utf-8", timeout=60)
    bash.expect(r"(\d+)\r\n")
    assert isinstance(bash.match, re.Match)
    pid = int(bash.match[1])
    try:
        wait_until(lambda: POLL in proxy.operations())
        bash.close(force=True)  # the terminal hangs up
        os.kill(pid, signal.SIGHUP)
        wait_until(lambda: proxy.operations().count(POLL) >= 2)
        flow.schedule()
        wait_until(lambda: (tmp_path / "task.json").read_text().endswith("\n"))
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert json.loads((tmp_path / "task.json").read_text())["id"] == "resize-1"
    assert kinds(env) == ["task"]


# --- many processes, one ledger, and an unreliable network

_WORKER = """
me=$1
while [ ! -e stop ] && kill -0 "$2"; do
  swf poll -d media -t work --timeout 2 > "task-$me" 2>> log
  code=$?
  if [ $code = 0 ]; then
    swf complete --task "task-$me" --result "$me-$((++number))" 2>> log
    echo "complete $? $me-$number" >> "codes-$me"
  elif [ $code != 3 ]; then
    echo "poll $code" >> "codes-$me"
  fi
done
"""


class Decider:
    """Gets one activity task of each execution completed: one that times out is scheduled again."""

    def __init__(self, flow: Flow, engine: Engine, patience: float) -> None:
        self._flow = flow
        self._engine = engine
        self._patience = patience
        self.completed = 0
        self.attempts = 0

    def work(self, tasks: int) -> None:
        """Decide until this many executions are completed.

        If nothing happens for `patience` seconds, and nothing is on the list, the tasks that are started time out.
        """
        moved = time.monotonic()
        end = moved + (600 if FULL else 300)
        while self.completed < tasks:
            assert time.monotonic() < end, f"only {self.completed} of {tasks} are completed"
            task = self._flow.poll_decision()
            if "taskToken" in task:
                moved = time.monotonic()
                decisions = self._decide(Counter(event["eventType"] for event in task["events"]))
                self._flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=decisions)
            elif time.monotonic() - moved > self._patience and self._flow.pending() == 0:
                self._engine.advance(301)
                moved = time.monotonic()

    def _decide(self, seen: Counter[str]) -> list[dict[str, Any]]:
        if seen["ActivityTaskCompleted"]:
            self.completed += 1
            return [decision("CompleteWorkflowExecution")]
        if seen["ActivityTaskScheduled"] > seen["ActivityTaskTimedOut"]:
            return []
        self.attempts += 1
        no_limits = {"scheduleToStartTimeout": "NONE", "scheduleToCloseTimeout": "NONE"}
        return [activity(f"resize-{seen['ActivityTaskScheduled'] + 1}", **no_limits)]


def test_many_processes_close_each_task_once_on_an_unreliable_network(
    server: LocalServer, flow: Flow, proxy: FaultyProxy, env: dict[str, str], tmp_path: Path
) -> None:
    """With one ledger, and faults on a tenth of all calls, each task is completed once and none is left listed.

    A task that SWF assigned to a lost poll can't be closed by anybody until it times out; then its decider schedules
    it again, as deciders do.
    """
    workers, tasks = (20, 500) if FULL else (4, 12)
    random = Random(4)
    faults = [RESET_BEFORE, RESET_AFTER, CUT, ERROR_500, HTML_502, HTML_502_AFTER, THROTTLE]
    for fault in faults:
        proxy.on(None, fault, chance(0.1 / len(faults), random))
    limits = {"executionStartToCloseTimeout": "31536000", "taskStartToCloseTimeout": "NONE"}
    executions = [flow.start(f"video-{number}", **limits) for number in range(tasks)]
    decider, started = Decider(flow, server.engine, patience=15 if FULL else 2), time.monotonic()
    command = ["bash", "-c", f'swf() {{ {shlex.join(FAST_SWF)} "$@"; }}\n{_WORKER}', "worker"]
    processes = [
        subprocess.Popen([*command, f"{number}", f"{os.getpid()}"], env=env, cwd=tmp_path, start_new_session=True)
        for number in range(workers)
    ]
    try:
        decider.work(tasks)
    finally:
        (tmp_path / "stop").touch()
        for process in processes:
            try:
                process.wait(timeout=60)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
    lines = [line.split() for path in tmp_path.glob("codes-*") for line in path.read_text().splitlines()]
    done = [result for command, code, *result in lines if (command, code) == ("complete", "0")]
    codes = Counter(f"{command} {code}" for command, code, *_ in lines)
    rows = Counter(kinds(env))
    seconds, failed = time.monotonic() - started, proxy.struck()
    _log.info("%d processes, %d tasks, %d attempts in %.0f s", workers, tasks, decider.attempts, seconds)
    _log.info("%d of %d calls failed; %s; in the ledger: %s", failed, len(proxy.calls), dict(codes), dict(rows))
    results = []
    for execution in executions:
        assert flow.names(execution).count("ActivityTaskCompleted") == 1
        results.append([flow.last(execution, "ActivityTaskCompleted")["result"]])
    assert sorted(results) == sorted(done)
    assert set(codes) <= {"complete 0", "complete 5"}
    assert rows["task"] == 0
    assert failed > 0
    assert "cannot use the list of held tasks" not in (tmp_path / "log").read_text()
