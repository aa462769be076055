"""`swf work`, as a process: tasks done, cancelled, kept alive, and none lost, whoever dies.

SWF_TEST_FULL=1 runs the storm and the flood of stderr at their full size.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from swf_cli.local.clock import Clock
from tests.helpers.cli import SWF, TASK, Result, run, shell, wait_until
from tests.helpers.faulty_proxy import (
    CUT,
    ERROR_500,
    HTML_502,
    RESET_AFTER,
    RESET_BEFORE,
    THROTTLE,
    Fault,
    FaultyProxy,
    chance,
)
from tests.helpers.flow import activity, attributes_of, decision
from tests.helpers.local_service import Service, local_service
from tests.helpers.processes import is_running, started, written_pids
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import CONTROLS, error_line, on_terminal, without_escapes

POLL = "PollForActivityTask"
FULL = bool(os.environ.get("SWF_TEST_FULL"))
WORK = ("work", "-d", "media", "-t", "work")
ENDS = {f"ActivityTask{kind}": kind for kind in ("Completed", "Failed", "Canceled", "TimedOut")}


@pytest.fixture
def service() -> Iterator[Service]:
    """A local SWF that holds a poll for half a second."""
    with local_service(hold=0.5) as service:
        service.flow("media")
        yield service


def work(script: str | list[str], *options: str, env: Mapping[str, str], **how: Any) -> Result:
    """Have `swf work` run a shell script, or a command, until it stops."""
    command = ["sh", "-c", script] if isinstance(script, str) else script
    return run(*WORK, *options, "--", *command, env=env, **how)


def schedule(service: Service, task_input: str | None = None, **settings: Any) -> str:
    """Put a task on the list; gives its workflow id."""
    return service.schedule("media", "work", task_input, **settings)


def end(service: Service, workflow: str) -> tuple[str, Any]:
    """Give the one end of the task of an execution, and what it holds."""
    (event,) = [event for event in service.history("media", workflow) if event["eventType"] in ENDS]
    kept = {name: value for name, value in attributes_of(event).items() if not name.endswith("EventId")}
    return ENDS[event["eventType"]], kept


def held(env: Mapping[str, str]) -> list[dict[str, Any]]:
    """Give what `swf held` lists."""
    rows: list[dict[str, Any]] = run("held", "-o", "json", env=env).json
    return rows


class TestDone:
    """Tasks that are done."""

    def test_three_tasks_by_two_slots(self, bare_env: dict[str, str]) -> None:
        """The issue's own script: 2, 4 and 6 are the results, nothing is held, nothing is on stdout but that."""
        script = """
        swf local run -- sh -c '
          for i in 1 2 3; do swf local schedule -t x --activity resize --input $i --workflow-id w; done
          swf work -t x -j 2 --max-tasks 3 -- sh -c "read n; echo \\$((n*2))"
          swf held -o json; swf tasks --workflow-id w --all -o json --query "[].state"
        '"""
        result = shell(script, env=bare_env)
        assert result.code == 0, result.stderr
        assert [json.loads(line) for line in result.stdout.splitlines()] == [[], ["completed"] * 3]
        assert "swf: 3 completed, 0 failed, 0 cancelled in " in result.stderr

    def test_the_results(self, service: Service, service_env: dict[str, str]) -> None:
        """Each task gets its own result."""
        workflows = [schedule(service, str(n)) for n in (1, 2, 3)]
        result = work("read n; echo $((n*2))", "-j", "2", "--max-tasks", "3", env=service_env)
        assert (result.code, result.stdout) == (0, "")
        assert [end(service, workflow)[1]["result"] for workflow in workflows] == ["2", "4", "6"]
        assert held(service_env) == []

    def test_it_exits_0_however_the_tasks_ended(self, service: Service, service_env: dict[str, str]) -> None:
        """A worker that stopped in good order is no failure when its tasks are."""
        workflow = schedule(service)
        result = work("echo oops >&2; exit 3", "--max-tasks", "1", env=service_env)
        assert (result.code, result.stdout) == (0, "")
        assert end(service, workflow) == ("Failed", {"reason": "exit 3", "details": "oops"})

    def test_input_of_every_kind(self, service: Service, service_env: dict[str, str]) -> None:
        """32,768 characters, whatever they are, go through a command and come back."""
        kinds = ["🎬" * 32_768, "a\0\n\r\t\x1b[31m" * 3_276, "$(touch gone) `x` '\"\\" * 1_500, "\n" * 32_768, ""]
        workflows = [schedule(service, text) for text in kinds]
        result = work(["cat"], "-j", "2", "--max-tasks", str(len(kinds)), env=service_env)
        assert f"{len(kinds)} completed" in result.stderr
        results = [end(service, workflow)[1]["result"] for workflow in workflows]
        assert results == [text.removesuffix("\n") for text in kinds]

    @pytest.mark.parametrize(
        ("script", "reason"),
        [
            ("head -c 32769 /dev/zero | tr '\\0' x", "the result is over SWF's 32,768 characters: 32,769 bytes"),
            (r"printf '\377'", "the result is not UTF-8 text"),
            ("kill -SEGV $$", "signal SIGSEGV"),
        ],
    )
    def test_what_is_no_result(self, service: Service, service_env: dict[str, str], script: str, reason: str) -> None:
        """A result that does not fit is never cut: the task fails, and says why."""
        workflow = schedule(service)
        work(f"ulimit -c 0; {script}", "--max-tasks", "1", env=service_env)
        assert end(service, workflow) == ("Failed", {"reason": reason})

    @pytest.mark.parametrize(
        "script", ["sleep 100 & echo $! > {0}/child.pid; echo done", "exec 0<&-; echo $$ > {0}/child.pid; echo done"]
    )
    def test_what_must_hold_nobody_up(
        self, service: Service, service_env: dict[str, str], tmp_path: Path, script: str
    ) -> None:
        """A child that is left behind with stdout in its hands, or stdin closed."""
        workflow = schedule(service, "x" * 32_768)
        result = work(script.format(tmp_path), "--max-tasks", "1", env=service_env)
        assert result.code == 0
        assert end(service, workflow) == ("Completed", {"result": "done"})
        with suppress(ProcessLookupError):
            os.kill(written_pids(tmp_path, 1)[0], signal.SIGKILL)

    def test_a_flood_of_stderr(self, service: Service, service_env: dict[str, str]) -> None:
        """20 MB (1 GB at full size) of stderr are neither kept in memory nor all shown; the end is the details."""
        workflow = schedule(service)
        size = 1_000_000_000 if FULL else 20_000_000
        limit = ["bash", "-c", 'ulimit -v 1000000; exec "$@"', "-", SWF]
        script = f"yes 'all work and no play' | head -c {size} >&2; echo the end >&2; exit 3"
        done = subprocess.run(
            [*limit, *WORK, "--max-tasks", "1", "--", "sh", "-c", script],
            env=service_env,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-1_000:]
        kind, attributes = end(service, workflow)
        assert (kind, attributes["reason"]) == ("Failed", "exit 3")
        assert len(attributes["details"]) <= 32_768
        assert attributes["details"].endswith("the end")
        assert "bytes of stderr are not shown" in done.stderr
        assert len(done.stderr) < size / 2

    def test_idle_exit(self, service: Service, service_env: dict[str, str]) -> None:
        """It stops when no task has come for so long, with exit 0."""
        result = work("true", "--idle-exit", "0", "-j", "4", env=service_env)
        assert (result.code, result.stdout) == (0, "")
        assert re.fullmatch(r"swf: 0 completed, 0 failed, 0 cancelled in \d+ s \(0\.0 tasks/s\)\n", result.stderr)


class TestTold:
    """What it says on stderr."""

    def test_the_log(self, service: Service, service_env: dict[str, str]) -> None:
        """A line at the start and at the end of each task, its stderr in between, and a summary; never a token."""
        workflow = schedule(service)
        result = work("echo working on $SWF_TASK_TOKEN >&2; exit 3", "--max-tasks", "1", env=service_env)
        begun, said, ended, summary = result.stderr.splitlines()
        assert begun.startswith(f"swf: resize-1 started: resize 1, workflow {workflow}, run ")
        assert said == "[resize-1] working on TOKEN"
        assert re.match(rf"swf: resize-1 failed \(exit 3\) after \d\.\d s: resize 1, workflow {workflow}, ", ended)
        assert summary.startswith("swf: 0 completed, 1 failed, 0 cancelled in ")

    def test_controls_are_neutralised(self, service: Service, service_env: dict[str, str]) -> None:
        """A command's stderr does nothing to the terminal of who watches the worker."""
        schedule(service)
        result = work(r"printf 'a\033[2Jb\007\rc\n\302\233d [bold]e' >&2", "--max-tasks", "1", env=service_env)
        for line in (r"a\x1b[2Jb\x07", "c", r"\x9bd [bold]e"):
            assert f"[resize-1] {line}\n" in result.stderr
        assert not CONTROLS.search(result.stderr)

    def test_a_terminal_has_a_live_line(self, service: Service, service_env: dict[str, str]) -> None:
        """It says how many run, are done, failed and cancelled, and how fast; the log scrolls above it."""
        schedule(service)
        schedule(service)
        command = ["--max-tasks", "2", "--", "sh", "-c", "echo hello >&2; sleep 1"]
        result = on_terminal(*WORK, *command, env=service_env, stdout=False, stderr=True, columns=200)
        text = without_escapes(result.stderr)
        assert "1 running, 0 completed, 0 failed, 0 cancelled in" in text
        assert "1 running, 1 completed, 0 failed, 0 cancelled in" in text
        assert text.count("[resize-1] hello") == 2
        assert text.rstrip().splitlines()[-1].startswith("swf: 2 completed, 0 failed, 0 cancelled in ")

    def test_the_debug_log_holds_no_token(self, stub: StubService, env: dict[str, str]) -> None:
        """Nor do faults whose text has it."""
        token = "SECRET" * 20
        stub.reply(POLL, {**TASK, "taskToken": token})
        for operation in ("RespondActivityTaskCompleted", "RespondActivityTaskFailed"):
            stub.fault(operation, "ValidationException", f"Value '{token}' failed to satisfy a constraint")
            stub.reply(operation)
        result = work("echo $SWF_TASK_TOKEN >&2", "--debug", "--max-tasks", "1", env=env)
        assert result.code == 0
        assert "SECRET" not in result.stderr


class TestRefused:
    """What is refused before anything is done."""

    @pytest.mark.parametrize("command", ["no-such-command", "./no-such-command", "/etc/passwd", "/tmp", ""])
    def test_a_command_that_can_not_be_run(self, stub: StubService, env: dict[str, str], command: str) -> None:
        """Not found, not executable, a folder: exit 2, and nothing is sent."""
        error_line(work([command], env=env), 2, "COMMAND", "not found, or not executable")
        assert stub.requests == []

    @pytest.mark.parametrize(
        "options",
        [
            ("-j", "0"),
            ("-j", "1001"),
            ("-j", "2000"),
            ("-j", "x"),
            ("--max-tasks", "0"),
            ("--heartbeat", "0"),
            ("--heartbeat", "often"),
            ("--grace", "-1"),
            ("--idle-exit", "soon"),
            ("--orphans", "eat"),
        ],
    )
    def test_options_out_of_range(self, stub: StubService, env: dict[str, str], options: tuple[str, str]) -> None:
        """Exit 2, and nothing is sent."""
        error_line(work("true", *options, env=env), 2, options[0])
        assert stub.requests == []

    def test_no_command(self, stub: StubService, env: dict[str, str]) -> None:
        """There must be one."""
        error_line(run(*WORK, env=env), 2, "command")
        assert stub.requests == []

    def test_more_jobs_than_files(self, stub: StubService, env: dict[str, str]) -> None:
        """Where the system allows too few open files for so many jobs, it says so at once."""
        script = f"ulimit -n 256; exec {SWF} {' '.join(WORK)} -j 100 -- true"
        error_line(shell(script, env=env), 2, "100 jobs", "ulimit -n")
        assert stub.requests == []

    def test_an_unknown_domain(self, service: Service, service_env: dict[str, str]) -> None:
        """Exit 1 at once, however many slots there are, with one line about it."""
        result = run("work", "-d", "nowhere", "-t", "x", "-j", "4", "--", "true", env=service_env)
        assert (result.code, result.stdout) == (1, "")
        assert len(result.stderr.splitlines()) == 1
        assert "Unknown domain" in result.stderr

    def test_no_credentials(self, bare_env: dict[str, str], stub: StubService) -> None:
        """Exit 7 at once, and nothing is sent."""
        env = {**bare_env, "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL_SWF": stub.url}
        error_line(work("true", env=env), 7, "credentials")
        assert stub.requests == []

    def test_credentials_that_swf_does_not_take(self, stub: StubService, env: dict[str, str]) -> None:
        """Exit 7 at once."""
        stub.fault(POLL, "UnrecognizedClientException", "who are you")
        result = work("true", "-j", "2", env=env)
        assert (result.code, "who are you" in result.stderr) == (7, True)

    def test_a_service_that_is_not_there(self, aws_env: dict[str, str]) -> None:
        """Exit 1 at once."""
        result = work("true", env={**aws_env, "AWS_ENDPOINT_URL_SWF": "http://127.0.0.1:9"})
        assert (result.code, "Could not connect" in result.stderr) == (1, True)


_FASTER = """
import sys, threading, time
speed = float(sys.argv.pop(1))
monotonic, wait = time.monotonic, threading.Event.wait
time.monotonic = lambda: monotonic() * speed
threading.Event.wait = lambda event, timeout=None: wait(event, timeout if timeout is None else timeout / speed)
from swf_cli.__main__ import main
main()
"""
"""A `swf` in which a worker's time runs faster, as it does in a local SWF with a faster clock."""

SPEED = 4


@contextmanager
def faster(script: str, *options: str, env: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """Start `swf work` with a faster clock."""
    command = [sys.executable, "-c", _FASTER, str(SPEED), *WORK, *options, "--", "sh", "-c", script]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env=env, text=True, process_group=0, **streams)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


class TestKeptAlive:
    """A heartbeat timeout of 6 s, and a command of 20 s; both clocks run four times as fast."""

    @pytest.mark.parametrize("down_for", [0, 4])
    def test_it_never_times_out(self, aws_env: dict[str, str], tmp_path: Path, down_for: int) -> None:
        """Nor when the network is down for 4 s in the middle."""
        down: list[float] = []
        with local_service(clock=Clock(speed=SPEED), hold=2) as service, FaultyProxy(service.url) as proxy:
            workflow = service.schedule("media", "work", heartbeatTimeout="6")
            proxy.on(None, RESET_BEFORE, lambda: bool(down) and time.monotonic() < down[0] + down_for / SPEED)
            env = {**aws_env, "AWS_ENDPOINT_URL_SWF": proxy.url}
            with faster(f"sleep {20 / SPEED}; echo done", "--max-tasks", "1", env=env) as worker:
                wait_until(lambda: proxy.operations().count("RecordActivityTaskHeartbeat") == 3)
                down.append(time.monotonic())
                _, said = worker.communicate(timeout=30)
            assert worker.returncode == 0, said
            assert end(service, workflow) == ("Completed", {"result": "done"})

            assert ("the heartbeat failed" in said) == bool(down_for)
            assert proxy.operations().count("GetWorkflowExecutionHistory") == 1

    def test_without_heartbeats_it_does(self, aws_env: dict[str, str]) -> None:
        """With `--heartbeat off` SWF gives it up after 6 s: the two above prove something."""
        with local_service(clock=Clock(speed=20), hold=2) as service:
            workflow = service.schedule("media", "work", heartbeatTimeout="6")
            env = {**aws_env, "AWS_ENDPOINT_URL_SWF": service.url}
            result = work("sleep 0.6", "--heartbeat", "off", "--max-tasks", "1", env=env)
            assert end(service, workflow)[0] == "TimedOut"
            assert "it timed out (HEARTBEAT)" in result.stderr


def test_a_cancellation_reaches_the_command_and_its_children(
    service: Service, service_env: dict[str, str], tmp_path: Path
) -> None:
    """TERM is seen by all of them, and ActivityTaskCanceled is in history within the interval and the grace."""
    workflow = schedule(service)
    script = tmp_path / "work.sh"
    script.write_text(
        "trap 'echo $1 tidied up >&2; exit 1' TERM\n"
        '[ "$1" = parent ] && sh "$0" child &\n'
        f"echo $$ > {tmp_path}/$1.pid; while :; do sleep 0.02; done\n"
    )
    command = ["--heartbeat", "1s", "--grace", "5s", "--max-tasks", "1", "--", "sh", str(script), "parent"]
    with started(*WORK, *command, env=service_env) as worker:
        pids = written_pids(tmp_path, 2)
        service.decide("media", workflow, decision("RequestCancelActivityTask", activityId="resize-1"))
        began = time.monotonic()
        _, said = worker.communicate(timeout=20)
    assert time.monotonic() - began < 6
    assert worker.returncode == 0
    kind, attributes = end(service, workflow)
    assert kind == "Canceled"
    assert {"parent tidied up", "child tidied up"} <= set(attributes["details"].splitlines())
    assert not any(map(is_running, pids))
    assert "1 cancelled" in said
    assert held(service_env) == []


class TestSignals:
    """Signals that stop it."""

    SLOW = "echo $$ > {0}/sh.pid; until [ -e {0}/go ]; do sleep 0.02; done; echo done"

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_the_first_drains(
        self, service: Service, service_env: dict[str, str], tmp_path: Path, number: int
    ) -> None:
        """What runs is waited for, and what it waits for is said; then it exits with 0."""
        workflow = schedule(service)
        with started(*WORK, "-j", "2", "--", "sh", "-c", self.SLOW.format(tmp_path), env=service_env) as worker:
            written_pids(tmp_path, 1)
            worker.send_signal(number)
            time.sleep(0.7)
            schedule(service)
            assert worker.poll() is None
            (tmp_path / "go").touch()
            _, said = worker.communicate(timeout=20)
        assert worker.returncode == 0
        assert end(service, workflow) == ("Completed", {"result": "done"})
        assert f"{signal.Signals(number).name}: no new task is taken; waiting for " in said
        assert "swf: 1 completed" in said
        assert service.flow("media").pending() == 1

    def test_the_second_ends_the_commands(
        self, service: Service, service_env: dict[str, str], tmp_path: Path
    ) -> None:
        """They are asked to end, their tasks fail with `worker stopped`, and it dies of the signal."""
        workflow = schedule(service)
        with started(*WORK, "--", "sh", "-c", self.SLOW.format(tmp_path), env=service_env) as worker:
            pid = written_pids(tmp_path, 1)[0]
            worker.terminate()
            time.sleep(0.4)
            worker.terminate()
            _, said = worker.communicate(timeout=20)
        assert worker.returncode == -signal.SIGTERM
        assert end(service, workflow)[1]["reason"] == "worker stopped"
        assert not is_running(pid)
        assert "the commands are asked to end" in said
        assert said.splitlines()[-1].startswith("swf: 0 completed, 1 failed")
        assert held(service_env) == []

    def test_the_third_kills_them(self, service: Service, service_env: dict[str, str], tmp_path: Path) -> None:
        """Who ignores TERM is killed before the grace is over."""
        workflow = schedule(service)
        script = f"trap '' TERM; {self.SLOW.format(tmp_path)}"
        with started(*WORK, "--grace", "1h", "--", "sh", "-c", script, env=service_env) as worker:
            pid = written_pids(tmp_path, 1)[0]
            for _ in range(3):
                worker.send_signal(signal.SIGINT)
                time.sleep(0.4)
            _, said = worker.communicate(timeout=20)
        assert worker.returncode == -signal.SIGINT
        assert end(service, workflow)[1]["reason"] == "worker stopped"
        assert not is_running(pid)
        assert "the commands are killed" in said

    def test_a_signal_that_was_ignored_stays_ignored(
        self, service: Service, service_env: dict[str, str], tmp_path: Path
    ) -> None:
        """Under `nohup` a SIGHUP does nothing."""
        schedule(service)
        command = [SWF, *WORK, "--max-tasks", "1", "--", "sh", "-c", self.SLOW.format(tmp_path)]
        process = subprocess.Popen(
            ["nohup", *command], env=service_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        written_pids(tmp_path, 1)
        process.send_signal(signal.SIGHUP)
        (tmp_path / "go").touch()
        _, said = process.communicate(timeout=20)
        assert (process.returncode, "SIGHUP" in said) == (0, False)


class TestOrphans:
    """`kill -9` of the worker."""

    STUBBORN = "trap '' TERM; echo $$ > {0}/sh.pid; (while :; do sleep 0.02; done) & while :; do sleep 0.02; done"

    @pytest.fixture
    def orphan(self, service: Service, service_env: dict[str, str], tmp_path: Path) -> Iterator[tuple[str, int]]:
        """A task whose worker was killed, and its command, which lives on and ignores TERM."""
        workflow = schedule(service)
        with started(*WORK, "--", "sh", "-c", self.STUBBORN.format(tmp_path), env=service_env) as worker:
            pid = written_pids(tmp_path, 1)[0]
            wait_until(lambda: [row["kind"] for row in held(service_env)] == ["task"])
            time.sleep(0.2)
            worker.kill()
            worker.wait()
        yield workflow, pid
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    def test_the_next_worker_ends_and_fails_it(
        self, service: Service, service_env: dict[str, str], orphan: tuple[str, int]
    ) -> None:
        """The command and its children are ended, then the task fails with `worker died`; nothing is held."""
        workflow, pid = orphan
        assert is_running(pid)
        result = work("true", "--grace", "1s", "--idle-exit", "0", env=service_env)
        assert result.code == 0
        assert not is_running(pid)
        assert end(service, workflow) == ("Failed", {"reason": "worker died"})
        assert "resize-1, left by a worker that died" in result.stderr
        assert held(service_env) == []

    def test_another_list_is_none_of_its_business(
        self, service: Service, service_env: dict[str, str], orphan: tuple[str, int]
    ) -> None:
        """Nor is it with `--orphans keep`: the command runs on, and the task stays open and listed."""
        workflow, pid = orphan
        run("work", "-d", "media", "-t", "other", "--idle-exit", "0", "--", "true", env=service_env)
        work("true", "--orphans", "keep", "--idle-exit", "0", env=service_env)
        assert is_running(pid)
        assert service.names("media", workflow)[-1] == "ActivityTaskStarted"
        assert [row["holder_alive"] for row in held(service_env)] == [False]

    def test_a_task_of_swf_poll_is_let_alone(self, service: Service, service_env: dict[str, str]) -> None:
        """Whoever polled it works on it, for all that anybody knows."""
        workflow = schedule(service)
        run("poll", "-d", "media", "-t", "work", env=service_env)
        work("true", "--idle-exit", "0", env=service_env)
        assert service.names("media", workflow)[-1] == "ActivityTaskStarted"
        assert [row["taken_by"] for row in held(service_env)] == ["poll"]

    def test_a_worker_that_lives_keeps_its_tasks(
        self, service: Service, service_env: dict[str, str], tmp_path: Path
    ) -> None:
        """A second worker on the same list does not touch them."""
        workflow = schedule(service)
        slow = TestSignals.SLOW.format(tmp_path)
        with started(*WORK, "--max-tasks", "1", "--", "sh", "-c", slow, env=service_env) as worker:
            written_pids(tmp_path, 1)
            work("true", "--idle-exit", "0", env=service_env)
            (tmp_path / "go").touch()
            worker.communicate(timeout=20)
        assert end(service, workflow) == ("Completed", {"result": "done"})


class TestStorm:
    """Many tasks, faults on a tenth of all calls, and workers that are stopped and killed."""

    TASKS = 1_000 if FULL else 80
    FAULTS: tuple[tuple[Fault, float], ...] = (
        (RESET_BEFORE, 0.02),
        (RESET_AFTER, 0.02),
        (CUT, 0.015),
        (ERROR_500, 0.015),
        (HTML_502, 0.01),
        (THROTTLE, 0.02),
    )
    SCRIPT = """
    name={0}/$SWF_RUN_ID-$SWF_TASK_ID
    set -C
    echo $$ > $name.running || echo twice >> {0}/twice
    sleep 0.0$(($$ % 10))
    rm $name.running
    set +C
    echo end >> $name.ended
    cat
    """

    def test_each_task_ends_exactly_once(
        self, service: Service, service_env: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A SIGTERM and a restart, then a kill -9 and a restart: each ends once, none is left started.

        No command runs twice for one task. A task that was handed to a poll which broke, or to one of a worker that
        was killed just then, is lost with its token: it times out, and `swf held` lists a broken poll for each.
        """
        flow, executions = service.flow("media"), []
        for number in range(0, self.TASKS, 500):
            executions.append(flow.start(f"storm-{number}"))
            count = min(500, self.TASKS - number)
            flow.decide(*(activity(str(n), startToCloseTimeout="900", input=str(n)) for n in range(count)))
        marks = tmp_path / "marks"
        marks.mkdir()
        log = tmp_path / "log"
        seed = random.Random(5)

        def ended() -> int:
            return len(list(marks.glob("*.ended")))

        with FaultyProxy(service.url) as proxy, log.open("w") as stderr:
            for fault, probability in self.FAULTS:
                proxy.on(None, fault, chance(probability, seed))
            env = {**service_env, "AWS_ENDPOINT_URL_SWF": proxy.url}
            options = ("-j", "8", "--grace", "2s", "--heartbeat", "1s")
            command = ("--", "sh", "-c", self.SCRIPT.format(marks))
            how = {"stdout": subprocess.DEVNULL, "stderr": stderr}
            with started(*WORK, *options, *command, env=env, **how) as first:
                wait_until(lambda: ended() >= self.TASKS // 3, timeout=120)
                first.terminate()
                assert first.wait(timeout=60) == 0
            with started(*WORK, *options, *command, env=env, **how) as second:
                wait_until(lambda: ended() >= self.TASKS * 2 // 3, timeout=120)
                second.kill()
            with started(*WORK, *options, "--idle-exit", "3s", *command, env=env, **how) as third:
                assert third.wait(timeout=300) == 0
            broken = [row for row in held(service_env) if row["kind"] == "broken_poll"]
            tasks_held = [row for row in held(service_env) if row["kind"] == "task"]
            share = proxy.struck() / len(proxy.calls)
        assert tasks_held == []
        ends = self._ends(service, executions)
        lost = self.TASKS - sum(ends.values())
        service.advance(901)
        after = self._ends(service, executions)
        with capsys.disabled():
            print(f" [{self.TASKS} tasks, {share:.0%} faults: {dict(after)}, {len(broken)} broken polls]", end="")
        assert sum(after.values()) == self.TASKS
        assert after["TimedOut"] == lost <= len(broken)
        assert after["Completed"] >= self.TASKS * 0.6
        assert after["Failed"] <= 8
        assert not (marks / "twice").exists()
        assert all(path.read_text() == "end\n" for path in marks.glob("*.ended"))
        said = log.read_text()
        assert len(re.findall("worker died", said)) == after["Failed"]
        assert "unexpected" not in said

    def _ends(self, service: Service, executions: list[dict[str, str]]) -> Counter[str]:
        """Count the ends of tasks, and see that each has at most one."""
        ends: Counter[str] = Counter()
        for execution in executions:
            token: dict[str, Any] = {}
            closed: list[int] = []
            while True:
                page = service.call("GetWorkflowExecutionHistory", domain="media", execution=execution, **token)
                for event in page["events"]:
                    if event["eventType"] in ENDS:
                        ends[ENDS[event["eventType"]]] += 1
                        closed.append(attributes_of(event)["scheduledEventId"])
                if "nextPageToken" not in page:
                    break
                token = {"nextPageToken": page["nextPageToken"]}
            assert len(closed) == len(set(closed))
        return ends
