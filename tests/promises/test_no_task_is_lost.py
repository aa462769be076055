"""Whatever dies, a task is finished, or handed to someone, or listed with the token that closes it: real processes.

SWF_TEST_FULL=1 runs the trials and the storm at their full size; SWF_TEST_REAL_HOLD=1 a poll that is answered late in
real time.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
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
from tests.helpers.cli import SWF, TASK, Result, run, shell, wait_until
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
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import FULL_DEVICE

POLL = "PollForActivityTask"
COMPLETE = "RespondActivityTaskCompleted"
ON_WORK = ("-d", "media", "-t", "work")
FULL = bool(os.environ.get("SWF_TEST_FULL"))
HOLD = 1.0
"""Seconds for which the local SWF holds a poll: SWF's own 60, at a sixtieth."""

_SCALED = """
import sys
from swf_cli.client import session as client

client.CALL_READ_TIMEOUT = client.CALL_READ_TIMEOUT / 40
client.Session.__init__.__kwdefaults__["poll_read_timeout"] = client.POLL_READ_TIMEOUT / 60
from swf_cli.__main__ import main

main()
"""


def run_scaled(*args: str, env: Mapping[str, str]) -> Result:
    """Run `swf` as a process whose read timeouts are scaled down: those of polls to a sixtieth, as `HOLD` is."""
    done = subprocess.run(
        [sys.executable, "-c", _SCALED, *args], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    return Result(done.stdout, done.stderr, done.returncode)


def held(env: Mapping[str, str]) -> list[dict[str, Any]]:
    """Give what `swf held` lists."""
    rows: list[dict[str, Any]] = run("held", "-o", "json", env=env).json
    return rows


def kinds(env: Mapping[str, str]) -> list[str]:
    """Give the kinds of what `swf held` lists."""
    return [row["kind"] for row in held(env)]


@pytest.fixture(autouse=True)
def _signals_reach_children() -> Iterator[None]:
    """Have children get the signals, also where the tests run under nohup or in the background."""
    numbers = [signal.SIGINT, signal.SIGHUP, signal.SIGTERM]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    yield
    for number in numbers:
        signal.signal(number, before[number])


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A local SWF that hands tasks to gone clients too, as SWF does."""
    with LocalServer(hold=HOLD, deliver_to_disconnected=True) as server:
        yield server


@pytest.fixture
def flow(server: LocalServer) -> Flow:
    """Its domain, with both types."""
    return Flow(over(server.engine)).register()


@pytest.fixture
def proxy(server: LocalServer) -> Iterator[FaultyProxy]:
    """The wire to it."""
    with FaultyProxy(server.url) as proxy:
        yield proxy


@pytest.fixture
def env(aws_env: dict[str, str], proxy: FaultyProxy) -> dict[str, str]:
    """An environment in which `swf` calls the local SWF, over the wire that goes wrong."""
    path = os.pathsep.join([str(Path(SWF).parent), aws_env["PATH"]])
    return {**aws_env, "PATH": path, "AWS_ENDPOINT_URL_SWF": proxy.url}


@pytest.fixture
def task_file(tmp_path: Path, flow: Flow, env: dict[str, str]) -> Path:
    """A task that `swf poll` took, in a file; it is that of the execution `video-7`."""
    flow.schedule()
    path = tmp_path / "task.json"
    path.write_text(run("poll", *ON_WORK, env=env).stdout)
    return path


def events(flow: Flow, task_file: Path) -> Counter[str]:
    """Count the events of the history of a task's execution, by type."""
    execution = json.loads(task_file.read_text())["execution"]
    return Counter(flow.names({"workflowId": execution["id"], "runId": execution["run_id"]}))


# --- a signal at any moment


@pytest.mark.parametrize("deliver_to_disconnected", [True, False])
def test_no_signal_loses_a_task(aws_env: dict[str, str], deliver_to_disconnected: bool) -> None:
    """Whenever a signal comes, and whenever the task: it is open on the list, was printed, or is in `swf held`.

    Whether the service hands tasks to clients that have gone, as SWF does, or sees that they have.
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
                if random.random() < 0.8:  # else both may come before it polls
                    wait_until(lambda: POLL in proxy.operations() or process.poll() is not None, timeout=30)
                began = time.monotonic()
                for moment, act in sorted([(task_at, schedule), (signal_at, lambda: process.send_signal(which))]):
                    time.sleep(max(0.0, began + moment - time.monotonic()))
                    act()
                stdout, stderr = process.communicate(timeout=30)
            # Before `swf` itself has begun, Python ends at a SIGINT in its own way.
            too_early = which is signal.SIGINT and "KeyboardInterrupt" in stderr
            assert too_early or process.returncode in (0, -which), (process.returncode, which, stderr)
            return execution, stdout

        with ThreadPoolExecutor(6) as pool:
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
        print(f"deliver_to_disconnected={deliver_to_disconnected}: {dict(fates)}")
        assert fates["lost"] == 0
        assert fates["on the list"]
        assert fates["printed"]
        assert [row for row in rows if row["kind"] != "task"] == []


def test_a_signal_while_a_task_is_printed_lets_it_be_printed(stub: StubService, aws_env: dict[str, str]) -> None:
    """Also with SWF_LEDGER=off, when what is printed is the only record of the task."""
    stub.reply(POLL, TASK | {"input": "\U0001f600" * 32_768})  # more than a pipe takes
    env = {**aws_env, "AWS_ENDPOINT_URL_SWF": stub.url, "SWF_LEDGER": "off"}
    with subprocess.Popen([SWF, "poll", *ON_WORK], env=env, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        beginning = os.read(process.stdout.fileno(), 1)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(beginning + rest)["token"] == TASK["taskToken"]


# --- answers that come late


def when_polled(proxy: FaultyProxy, seconds: float, act: Callable[[], object]) -> None:
    """Do something so many seconds after the first poll."""

    def wait() -> None:
        wait_until(lambda: POLL in proxy.operations())
        time.sleep(seconds)
        act()

    threading.Thread(target=wait, daemon=True).start()


def test_a_task_that_comes_after_the_hold_is_received_by_the_first_poll(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str]
) -> None:
    """SWF answers up to 69 s after the poll began (here at a sixtieth of the time): that poll gets the task."""
    proxy.on(POLL, late(69 / 60))
    when_polled(proxy, 0.8, flow.schedule)
    result = run_scaled("poll", *ON_WORK, env=env)
    assert (result.json["id"], result.stderr) == ("resize-1", "")
    assert proxy.operations() == [POLL]


@pytest.mark.skipif(not os.environ.get("SWF_TEST_REAL_HOLD"), reason="it takes over a minute: SWF_TEST_REAL_HOLD=1")
def test_a_task_that_comes_after_65_seconds_is_received(aws_env: dict[str, str]) -> None:
    """The same in real time: SWF holds the poll for 60 s, has a task at 59 s, and its answer comes after 65 s."""
    with LocalServer(hold=60) as server, FaultyProxy(server.url) as proxy:
        proxy.on(POLL, late(65))
        flow = Flow(over(server.engine)).register()
        when_polled(proxy, 59, flow.schedule)
        started = time.monotonic()
        result = run("poll", *ON_WORK, env={**aws_env, "AWS_ENDPOINT_URL_SWF": proxy.url}, timeout=120)
        print(f"received after {time.monotonic() - started:.1f} s: {result}")
        assert (result.json["id"], result.stderr) == ("resize-1", "")
        assert proxy.operations() == [POLL]


# --- polls that break


@pytest.mark.parametrize("fault", [RESET_BEFORE, CUT, ERROR_500, HTML_502_AFTER, HANG_AFTER])
def test_a_poll_that_broke_is_on_record_and_polling_goes_on(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str], fault: Fault
) -> None:
    """When a poll's answer is lost, stderr says whose task it may be, `swf held` lists the poll, and it polls again.

    The record stays even if the service had done nothing, since nobody can know.
    """
    for name in ("video-7", "video-8"):
        flow.schedule(name)
    proxy.on(POLL, fault, nth(1))
    result = run_scaled("poll", *ON_WORK, "--identity", "me", env=env)
    assert result.json["execution"]["id"] == ("video-8" if fault.acted else "video-7")
    assert "may still hand a task" in result.stderr
    assert "the identity me" in result.stderr
    assert sorted(kinds(env)) == ["broken_poll", "task"]
    assert proxy.operations() == [POLL, POLL]


@pytest.mark.parametrize("fault", [THROTTLE, LIMIT])
def test_a_poll_that_was_refused_for_now_is_tried_again(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str], fault: Fault
) -> None:
    """Over SWF's rate, or with 1,000 polls on the list, it waits and polls again; no task was at stake."""
    flow.schedule()
    proxy.on(POLL, fault, nth(1))
    started = time.monotonic()
    result = run("poll", *ON_WORK, env=env)
    assert time.monotonic() - started > 0.5
    assert result.json["id"] == "resize-1"
    assert "polling again in" in result.stderr
    assert kinds(env) == ["task"]


def test_a_refusal_counts_in_the_time_given(flow: Flow, proxy: FaultyProxy, env: dict[str, str]) -> None:
    """With --timeout, a storm of throttling ends with exit 3 in that time, and leaves nothing on record."""
    proxy.on(POLL, THROTTLE)
    started = time.monotonic()
    result = run("poll", *ON_WORK, "--timeout", "1s", env=env)
    assert time.monotonic() - started < 5
    assert (result.code, result.stdout) == (3, "")
    assert kinds(env) == []


# --- answers that are lost


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
def test_a_completion_whose_answer_was_lost_is_done(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str], task_file: Path, fault: Fault, known: str
) -> None:
    """The service took it, and its answer did not arrive: history shows that, so exit 0; it was done once."""
    proxy.on(COMPLETE, fault, nth(1))
    if known == "by --task":
        named = ["--task", str(task_file)]
        env = {**env, "SWF_LEDGER": "off"}
    else:
        named = ["--token", json.loads(task_file.read_text())["token"]]
    result = run_scaled("complete", *named, "--result", "done", env=env)
    assert (result.code, result.stdout) == (0, "")
    assert events(flow, task_file)["ActivityTaskCompleted"] == 1
    assert proxy.operations().count(COMPLETE) == 2
    if known == "by the ledger":
        assert held(env) == []


@pytest.mark.parametrize("fault", [RESET_BEFORE, ERROR_500, HTML_502, HANG_BEFORE, THROTTLE])
def test_a_completion_that_did_not_arrive_is_sent_again(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str], task_file: Path, fault: Fault
) -> None:
    """The network, a 5xx, a throttling, a service that hangs: it is sent again, and done once."""
    proxy.on(COMPLETE, fault, nth(1))
    result = run_scaled("complete", "--task", str(task_file), env=env)
    assert (result.code, result.stdout) == (0, "")
    assert "trying again in" in result.stderr
    assert events(flow, task_file)["ActivityTaskCompleted"] == 1
    assert held(env) == []


@pytest.mark.parametrize("fault", [None, RESET_BEFORE])
def test_a_completion_of_a_task_that_timed_out_says_so(
    server: LocalServer, proxy: FaultyProxy, env: dict[str, str], task_file: Path, fault: Fault | None
) -> None:
    """Exit 5 with the name of the timeout, also when the answer to the first try was lost; it leaves the ledger."""
    server.engine.advance(301)
    if fault:
        proxy.on(COMPLETE, fault, nth(1))
    result = run("complete", "--task", str(task_file), env=env)
    assert (result.code, result.stdout) == (5, "")
    assert "timed out (START_TO_CLOSE)" in result.stderr
    assert held(env) == []


def test_a_completion_of_which_nothing_is_known_is_unknown(
    proxy: FaultyProxy, env: dict[str, str], task_file: Path
) -> None:
    """With a token alone, and no ledger, nobody can tell whether the lost answer was this one's: exit 6."""
    proxy.on(COMPLETE, CUT, nth(1))
    token = json.loads(task_file.read_text())["token"]
    result = run("complete", "--token", token, env={**env, "SWF_LEDGER": "off"})
    assert (result.code, result.stdout) == (6, "")


@pytest.mark.parametrize("then", [RESET_BEFORE, HANG_BEFORE, THROTTLE])
def test_a_lost_answer_that_history_can_not_settle_is_unknown(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str], task_file: Path, then: Fault
) -> None:
    """When everything fails after the first try, it is exit 6; the task stays listed until history can be read."""
    proxy.on(COMPLETE, RESET_AFTER, nth(1))
    struck = len(proxy.calls)
    proxy.on(None, then, lambda: COMPLETE in proxy.operations()[struck:] and not over_now.is_set())
    over_now = threading.Event()
    result = run_scaled("complete", "--task", str(task_file), "--retry-for", "1s", env=env)
    assert (result.code, result.stdout) == (6, "")
    assert kinds(env) == ["task"]
    over_now.set()
    assert events(flow, task_file)["ActivityTaskCompleted"] == 1
    assert run("held", "--prune", "-o", "json", env=env).json == []


def test_a_completion_that_certainly_never_arrived_is_a_failure(
    server: LocalServer, flow: Flow, env: dict[str, str], tmp_path: Path
) -> None:
    """When every connection is refused, nothing was sent: exit 1, and the task is still open, and listed."""
    flow.schedule()
    with FaultyProxy(server.url) as proxy:
        gone = {**env, "AWS_ENDPOINT_URL_SWF": proxy.url}
        (tmp_path / "task.json").write_text(run("poll", *ON_WORK, env=gone).stdout)
    started = time.monotonic()
    result = run("complete", "--task", str(tmp_path / "task.json"), "--retry-for", "1s", env=gone)
    assert time.monotonic() - started < 10
    assert (result.code, result.stdout) == (1, "")
    assert "ActivityTaskCompleted" not in events(flow, tmp_path / "task.json")
    assert kinds(env) == ["task"]
    assert run("complete", "--task", str(tmp_path / "task.json"), env=env).code == 0
    assert kinds(env) == []


def test_a_storm_of_throttling_is_a_failure_that_leaves_the_task_open(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str], task_file: Path
) -> None:
    """SWF refused every try, so nothing was done: exit 1, and the task is open and listed."""
    proxy.on(COMPLETE, THROTTLE)
    result = run("complete", "--task", str(task_file), "--retry-for", "2s", env=env)
    assert (result.code, result.stdout) == (1, "")
    assert "Rate exceeded" in result.stderr
    assert "ActivityTaskCompleted" not in events(flow, task_file)
    assert kinds(env) == ["task"]


# --- what dies between poll and answer, and output that goes nowhere


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
    result = run("fail", "--held", row["key"][:4], "--reason", "script died", env=env)
    assert result == Result("", "", 0)
    assert flow.last(execution, "ActivityTaskFailed")["reason"] == "script died"
    assert held(env) == []


def test_a_poll_that_was_killed_leaves_a_record(
    server: LocalServer, flow: Flow, proxy: FaultyProxy, env: dict[str, str]
) -> None:
    """After `kill -9` of the poll itself nobody can know the token: `swf held` lists a poll that broke."""
    with subprocess.Popen([SWF, "poll", *ON_WORK], env=env) as process:
        wait_until(lambda: POLL in proxy.operations())
        assert held(env) == []  # it lives, and all is well
        process.kill()
    flow.schedule()
    (row,) = held(env)
    assert (row["kind"], row["token"], row["pid"], row["holder_alive"]) == ("broken_poll", None, process.pid, False)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("swf poll -d media -t work > /dev/full", marks=FULL_DEVICE),
        "swf poll -d media -t work >&-",
        "swf poll -d media -t work | true; exit ${PIPESTATUS[0]}",
        pytest.param("swf poll -d media -t work --eval > /dev/full", marks=FULL_DEVICE),
        "swf poll -d media -t work --eval | true; exit ${PIPESTATUS[0]}",
    ],
)
def test_a_task_that_can_not_be_printed_is_listed(flow: Flow, env: dict[str, str], script: str) -> None:
    """With stdout full, closed or read by nobody, poll exits 1, and says under which key `swf held` has the task."""
    flow.schedule()
    result = shell(script, env=env)
    (row,) = held(env)
    assert result.code == 1
    assert f"the task is in `swf held` under {row['key']}" in result.stderr
    assert (row["kind"], row["id"]) == ("task", "resize-1")
    assert run("complete", "--held", row["key"], env=env).code == 0


# --- the shell around it

LOOP = "while swf poll -d media -t work; do echo again; done"


@pytest.mark.parametrize("interactive", [False, True])
def test_ctrl_c_stops_the_shell_loop_around_it(
    flow: Flow, proxy: FaultyProxy, env: dict[str, str], interactive: bool
) -> None:
    """On a terminal, Ctrl-C ends `while swf poll …; do …; done` in bash, and the poll it stopped takes no task."""
    options = ["--norc", "--noprofile", "-i"] if interactive else ["-c", LOOP]
    bash = pexpect.spawn("bash", options, env=env, encoding="utf-8", timeout=20)
    try:
        if interactive:
            bash.sendline(LOOP)
        wait_until(lambda: POLL in proxy.operations())
        bash.sendintr()
        bash.expect("SIGINT: SWF may be handing a task")
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
    """When the terminal of `nohup swf poll` goes, it polls on, and prints a task that comes later."""
    script = f"cd '{tmp_path}'; nohup swf poll -d media -t work > task.json 2> said & echo $!; wait"
    bash = pexpect.spawn("bash", ["-c", script], env=env, encoding="utf-8", timeout=20)
    bash.expect(r"(\d+)\r\n")
    assert isinstance(bash.match, re.Match)
    pid = int(bash.match[1])
    try:
        wait_until(lambda: POLL in proxy.operations())
        bash.close(force=True)  # the terminal hangs up
        os.kill(pid, signal.SIGHUP)
        wait_until(lambda: proxy.operations().count(POLL) == 2)
        flow.schedule()
        wait_until(lambda: (tmp_path / "task.json").read_text().endswith("\n"))
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert json.loads((tmp_path / "task.json").read_text())["id"] == "resize-1"
    assert kinds(env) == ["task"]


# --- many processes, one ledger, and a wire that goes wrong

_WORKER = """
me=$1
while [ ! -e stop ] && kill -0 "$2"; do
  swf poll -d media -t work --timeout 2 > "task-$me" 2>> said
  code=$?
  if [ $code = 0 ]; then
    swf complete --task "task-$me" --result "$me-$((++number))" 2>> said
    echo "complete $? $me-$number" >> "codes-$me"
  elif [ $code != 3 ]; then
    echo "poll $code" >> "codes-$me"
  fi
done
"""


class Decider:
    """Has one activity task of each execution completed: one that timed out is scheduled again."""

    def __init__(self, flow: Flow, engine: Engine, patience: float) -> None:
        self._flow = flow
        self._engine = engine
        self._patience = patience
        self.completed = 0
        self.tries = 0

    def work(self, tasks: int) -> None:
        """Decide until so many executions are completed.

        What is started and makes no move for as long as `patience` seconds, with nothing left on the list, times out.
        """
        moved = time.monotonic()
        end = moved + 40 * self._patience
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
        self.tries += 1
        no_limits = {"scheduleToStartTimeout": "NONE", "scheduleToCloseTimeout": "NONE"}
        return [activity(f"resize-{seen['ActivityTaskScheduled'] + 1}", **no_limits)]


def test_many_processes_close_each_task_once_while_the_wire_goes_wrong(
    server: LocalServer, flow: Flow, proxy: FaultyProxy, env: dict[str, str], tmp_path: Path
) -> None:
    """With one ledger, and faults on a tenth of all calls, each task is completed once and none is left listed.

    A task that went to a poll whose answer was lost is out of everybody's reach until it times out; then its decider
    has it done again, as deciders do.
    """
    workers, tasks = (20, 500) if FULL else (6, 24)
    random = Random(4)
    faults = [RESET_BEFORE, RESET_AFTER, CUT, ERROR_500, HTML_502, HTML_502_AFTER, THROTTLE]
    for fault in faults:
        proxy.on(None, fault, chance(0.1 / len(faults), random))
    limits = {"executionStartToCloseTimeout": "31536000", "taskStartToCloseTimeout": "NONE"}
    executions = [flow.start(f"video-{number}", **limits) for number in range(tasks)]
    decider, started = Decider(flow, server.engine, patience=15 if FULL else 2), time.monotonic()
    command = ["bash", "-c", _WORKER, "worker"]
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
    print(
        f"{workers} processes, {tasks} tasks, {decider.tries} tries in {time.monotonic() - started:.0f} s; "
        f"{proxy.struck()} of {len(proxy.calls)} calls went wrong; {dict(codes)}; left in the ledger: {dict(rows)}"
    )
    results = []
    for execution in executions:
        assert flow.names(execution).count("ActivityTaskCompleted") == 1
        results.append([flow.last(execution, "ActivityTaskCompleted")["result"]])
    assert sorted(results) == sorted(done)
    assert set(codes) <= {"complete 0", "complete 5"}
    assert rows["task"] == 0
    assert proxy.struck() > 0
    assert "can't be used" not in (tmp_path / "said").read_text()
