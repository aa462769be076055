"""`swf work` as a process: its streams, its signals, its terminal, its end.

What a worker does with its tasks is tested in tests/worker. SWF_TEST_FULL=1 runs the flood of stderr at full size.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from swf_cli.ledger.records import HeldTask
from swf_cli.ledger.store import Ledger
from tests.helpers.cli import SWF, TASK, Result, invoke, run, shell, wait_until
from tests.helpers.flow import attributes_of, decision
from tests.helpers.local_service import Service, local_service
from tests.helpers.operations import COMPLETE, FAIL, POLL
from tests.helpers.processes import is_running, started, written_pids
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import CONTROLS, error_line, on_terminal, without_escapes

FULL = bool(os.environ.get("SWF_TEST_FULL"))
WORK = ("work", "-d", "media", "-t", "work")
ENDS = {f"ActivityTask{kind}": kind for kind in ("Completed", "Failed", "Canceled", "TimedOut")}

SIGNAL_INTERVAL = 0.25  # seconds; a signal within 0.2 s of the one before is its duplicate

SLOW = "echo $$ > {0}/sh.pid; until [ -e {0}/go ]; do sleep 0.02; done; echo done"
"""A command that runs until the file `go` exists; {0} is the folder."""


@pytest.fixture
def service() -> Iterator[Service]:
    """A local SWF that holds a poll for a tenth of a second."""
    with local_service(hold=0.1) as service:
        service.flow("media")
        yield service


def work(script: str, *options: str, env: Mapping[str, str], **how: Any) -> Result:
    """Run `swf work` with a shell script until it stops."""
    return run(*WORK, *options, "--", "sh", "-c", script, env=env, **how)


@contextmanager
def working(
    script: str, *options: str, env: Mapping[str, str], log: Path, program: Sequence[str] = (SWF,)
) -> Iterator["subprocess.Popen[str]"]:
    """Start `swf work` with a shell script, and its stderr in a file; kill it at the end."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    with (
        log.open("w") as stderr,
        started(
            *WORK, *options, "--", "sh", "-c", script, env=env, program=program, stderr=stderr, **streams
        ) as worker,
    ):
        yield worker


def schedule(service: Service, task_input: str | None = None, **settings: Any) -> str:
    """Put a task on the list, and return its workflow ID."""
    return service.schedule("media", "work", task_input, **settings)


def end(service: Service, workflow: str) -> tuple[str, Any]:
    """Return the one end of the task of an execution, and its attributes."""
    (event,) = [event for event in service.history("media", workflow) if event["eventType"] in ENDS]
    kept = {name: value for name, value in attributes_of(event).items() if not name.endswith("EventId")}
    return ENDS[event["eventType"]], kept


def held(env: Mapping[str, str]) -> list[HeldTask]:
    """Return what the ledger lists."""
    with Ledger.from_env(env) as ledger:
        return ledger.list_held()


class TestStreams:
    """stdin, stdout and stderr of the worker, and of its commands."""

    def test_results(self, service: Service, service_env: dict[str, str]) -> None:
        """Each task gets its own result; nothing is on stdout, and a summary is the last line on stderr."""
        workflows = [schedule(service, str(n)) for n in (1, 2, 3)]
        result = work("read n; echo $((n*2))", "-j", "2", "--max-tasks", "3", env=service_env)
        assert (result.code, result.stdout) == (0, "")
        assert [end(service, workflow) for workflow in workflows] == [
            ("Completed", {"result": number}) for number in ("2", "4", "6")
        ]
        assert result.stderr.splitlines()[-1].startswith("swf: 3 completed, 0 failed, 0 cancelled in ")
        assert held(service_env) == []

    def test_log(self, service: Service, service_env: dict[str, str]) -> None:
        """A line at the start and at the end of each task, its stderr in between; the exit code is 0 all the same."""
        workflow = schedule(service)
        result = work("echo working >&2; exit 3", "--max-tasks", "1", env=service_env)
        task = re.escape(f"[{workflow}/resize-1]")
        first, second, third, reasons, summary = result.stderr.splitlines()
        assert re.fullmatch(rf"swf: {task} started: resize 1, list work, run \S+", first)
        assert re.fullmatch(f"{task} working", second)
        assert re.fullmatch(rf"swf: {task} failed \(exit 3\) after \d\.\d s", third)
        assert reasons == "swf: reasons of failures: exit 3 (1)"
        assert summary.startswith("swf: 0 completed, 1 failed, 0 cancelled in ")
        assert (result.code, result.stdout) == (0, "")
        assert end(service, workflow) == ("Failed", {"reason": "exit 3", "details": "working"})

    def test_controls_are_escaped(self, service: Service, service_env: dict[str, str]) -> None:
        """A command's stderr does nothing to the terminal of whoever watches the worker."""
        schedule(service)
        result = work(r"printf 'a\033[2Jb\007\rc\n\302\233d [bold]e' >&2", "--max-tasks", "1", env=service_env)
        for line in (r"a\x1b[2Jb\x07", "c", r"\x9bd [bold]e"):
            assert f"/resize-1] {line}\n" in result.stderr
        assert not CONTROLS.search(result.stderr)

    def test_live_line_on_a_terminal(self, service: Service, service_env: dict[str, str]) -> None:
        """It shows how many tasks are running, and how many ended which way; the log scrolls above it."""
        schedule(service)
        schedule(service)
        command = ["--max-tasks", "2", "--", "sh", "-c", "echo hello >&2; sleep 0.3"]
        result = on_terminal(*WORK, *command, env=service_env, stdout=False, stderr=True, columns=200)
        text = without_escapes(result.stderr)
        assert "1 running, 0 completed, 0 failed, 0 cancelled in" in text
        assert "1 running, 1 completed, 0 failed, 0 cancelled in" in text
        assert text.count("/resize-1] hello") == 2
        assert text.rstrip().splitlines()[-1].startswith("swf: 2 completed, 0 failed, 0 cancelled in ")

    def test_debug_log_without_token(self, stub: StubService, env: dict[str, str]) -> None:
        """The token is not in the log, not even in faults whose text contains it."""
        token = "SECRET" * 20
        stub.reply(POLL, {**TASK, "taskToken": token})
        for operation in (COMPLETE, FAIL):
            stub.fault(operation, "ValidationException", f"Value '{token}' failed to satisfy a constraint")
            stub.reply(operation)
        result = work("echo $SWF_TASK_TOKEN >&2", "--debug", "--max-tasks", "1", env=env)
        assert result.code == 0
        assert "SECRET" not in result.stderr

    def test_child_that_outlives_the_command(
        self, service: Service, service_env: dict[str, str], tmp_path: Path
    ) -> None:
        """A child that the command leaves behind, with all its streams, delays neither the task nor the worker."""
        workflow = schedule(service, "x" * 32_768)
        try:
            result = work(
                f"sleep 100 & echo $! > {tmp_path}/child.pid; echo done", "--max-tasks", "1", env=service_env
            )
            assert is_running(written_pids(tmp_path, 1)[0])
        finally:
            for pid in written_pids(tmp_path, 1):
                os.kill(pid, signal.SIGKILL)
        assert result.code == 0
        assert end(service, workflow) == ("Completed", {"result": "done"})

    def test_flood_of_stderr(self, service: Service, service_env: dict[str, str]) -> None:
        """20 MB (1 GB at full size) are neither kept in memory nor printed in full; the end is the task's details."""
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
        assert "bytes of stderr skipped" in done.stderr
        assert len(done.stderr) < size / 2

    def test_stderr_that_nobody_reads(self, service: Service, service_env: dict[str, str], tmp_path: Path) -> None:
        """A full pipe delays no poll, no response, no signal and not the worker's end."""
        workflows = [schedule(service) for _ in range(2)]
        flood = "yes 'all work and no play' | head -c 1000000 >&2"
        script = f"{flood}; {SLOW.format(tmp_path)}"
        with started(*WORK, "-j", "2", "--", "sh", "-c", script, env=service_env, stdin=subprocess.DEVNULL) as worker:
            written_pids(tmp_path, 1)
            worker.terminate()
            (tmp_path / "go").touch()
            assert worker.wait(60) == 0
        assert [end(service, workflow) for workflow in workflows] == [("Completed", {"result": "done"})] * 2

    def test_idle_exit(self, service: Service, service_env: dict[str, str]) -> None:
        """A worker that has been without a task for that time exits with 0, and says what it did."""
        result = work("true", "--idle-exit", "0", "-j", "4", env=service_env)
        assert (result.code, result.stdout) == (0, "")
        assert re.fullmatch(r"swf: 0 completed, 0 failed, 0 cancelled in \d+ s \(0\.0 tasks/s\)\n", result.stderr)


def test_ignored_end_of_children(service: Service, service_env: dict[str, str]) -> None:
    """Whatever started the worker may ignore SIGCHLD: how its commands end is known all the same."""
    workflow = schedule(service)
    program = [sys.executable, "-S", "-c", "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN);"]
    program[-1] += "os.execv(sys.argv[1], sys.argv[1:])"
    command = [*WORK, "--max-tasks", "1", "--", "sh", "-c", "exit 3"]
    done = subprocess.run([*program, SWF, *command], env=service_env, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    assert end(service, workflow) == ("Failed", {"reason": "exit 3"})


@pytest.mark.parametrize("option", [[], ["--stream"]])
def test_descriptors_of_the_worker(service: Service, service_env: dict[str, str], option: list[str]) -> None:
    """Commands inherit their three streams, and nothing that the worker has or was given."""
    workflow = schedule(service)
    handler = "import json, os; print(json.dumps({'result': ' '.join(sorted(os.listdir('/dev/fd')))}))"
    program = handler if option else "import os; print(json.dumps(os.listdir('/dev/fd')))"
    script = f"import json, sys; sys.stdin.readline(); {program}"
    with tempfile.TemporaryFile() as file:
        os.set_inheritable(file.fileno(), True)
        command = [*WORK, "--max-tasks", "1", *option, "--", sys.executable, "-S", "-c", script]
        done = subprocess.run([SWF, *command], env=service_env, close_fds=False, timeout=60, check=False)
    assert done.returncode == 0
    kind, attributes = end(service, workflow)
    assert (kind, len(re.findall(r"\d+", attributes["result"]))) == ("Completed", 4)  # and the listed folder


class TestRejected:
    """What is rejected at the start."""

    @pytest.mark.parametrize(
        ("command", "reason"),
        [
            ("no-such-command", "no-such-command: No such file or directory"),
            ("./no-such-command", "./no-such-command: No such file or directory"),
            ("/etc/passwd", "/etc/passwd: Permission denied"),
            ("/tmp", "/tmp: Is a directory"),
            ("", "'': No such file or directory"),
        ],
    )
    def test_command_that_cannot_be_run(
        self, stub: StubService, env: dict[str, str], command: str, reason: str
    ) -> None:
        """Not found, not executable, a folder, empty: exit 2, and nothing is sent."""
        error_line(invoke(*WORK, "--", command, env=env), 2, f"COMMAND: cannot run {reason}")
        assert stub.requests == []

    @pytest.mark.parametrize(
        ("text", "mode", "reason"),
        [
            (b"", 0o755, "it is empty"),
            (b"#!/bin/sh\n", 0o644, "Permission denied"),
            (b"echo done\n", 0o755, "it is a script without a #! line (first line: 'echo done')"),
            (b"#!/no/such/sh\n", 0o755, "its interpreter does not exist (first line: '#!/no/such/sh')"),
            (b"#!/tmp\n", 0o755, "its interpreter is not executable (first line: '#!/tmp')"),
        ],
    )
    def test_file_that_cannot_be_run(
        self, stub: StubService, env: dict[str, str], tmp_path: Path, text: bytes, mode: int, reason: str
    ) -> None:
        """What the kernel would refuse to run is found before the first poll, also with --stream."""
        program = tmp_path / "program"
        program.write_bytes(text)
        program.chmod(mode)
        for options in ([], ["--stream"]):
            result = invoke(*WORK, *options, "--", str(program), env=env)
            error_line(result, 2, f"COMMAND: cannot run {program}: {reason}")
        assert stub.requests == []

    def test_fifo(self, stub: StubService, env: dict[str, str], tmp_path: Path) -> None:
        """A FIFO is not run, and not waited for."""
        os.mkfifo(tmp_path / "program", 0o755)
        result = invoke(*WORK, "--", str(tmp_path / "program"), env=env)
        error_line(result, 2, "it is not a regular file")
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
    def test_option_out_of_range(self, stub: StubService, env: dict[str, str], options: tuple[str, str]) -> None:
        """Exit 2, and nothing is sent."""
        error_line(invoke(*WORK, *options, "--", "true", env=env), 2, options[0])
        assert stub.requests == []

    def test_no_command(self, stub: StubService, env: dict[str, str]) -> None:
        """There must be one."""
        error_line(invoke(*WORK, env=env), 2, "command")
        assert stub.requests == []

    def test_more_jobs_than_files(self, stub: StubService, env: dict[str, str]) -> None:
        """If the system allows too few open files for the jobs, that is said at once."""
        script = f"ulimit -n 256; exec {SWF} {' '.join(WORK)} -j 100 -- true"
        error_line(shell(script, env=env), 2, "100 jobs", "ulimit -n")
        assert stub.requests == []

    def test_no_credentials(self, bare_env: dict[str, str], stub: StubService) -> None:
        """Exit 7 at once, and nothing is sent."""
        env = {**bare_env, "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL_SWF": stub.url}
        error_line(invoke(*WORK, "--", "true", env=env), 7, "credentials")
        assert stub.requests == []

    def test_unknown_domain(self, service: Service, service_env: dict[str, str]) -> None:
        """Exit 1 at once with one line, however many slots there are; there is nothing to sum up."""
        result = run("work", "-d", "nowhere", "-t", "x", "-j", "4", "--", "true", env=service_env)
        error_line(result, 1, "Unknown domain")

    def test_rejected_credentials(self, stub: StubService, env: dict[str, str]) -> None:
        """Exit 7 at once with one line."""
        stub.fault(POLL, "UnrecognizedClientException", "who are you")
        error_line(work("true", "-j", "2", env=env), 7, "who are you")


def test_cancellation_reaches_the_command_and_its_children(
    service: Service, service_env: dict[str, str], tmp_path: Path
) -> None:
    """A heartbeat learns of the request; all processes get SIGTERM, and the task is cancelled with their stderr."""
    workflow = schedule(service)
    script = tmp_path / "work.sh"
    script.write_text(
        "trap 'echo $1 tidied up >&2; exit 1' TERM\n"
        '[ "$1" = parent ] && sh "$0" child &\n'
        f"echo $$ > {tmp_path}/$1.pid; while :; do sleep 0.02; done\n"
    )
    options = ("--heartbeat", "1s", "--grace", "5s", "--max-tasks", "1")
    log = tmp_path / "log"
    with working(f"exec sh {script} parent", *options, env=service_env, log=log) as worker:
        pids = written_pids(tmp_path, 2)
        service.decide("media", workflow, decision("RequestCancelActivityTask", activityId="resize-1"))
        assert worker.wait(60) == 0
    kind, attributes = end(service, workflow)
    assert kind == "Canceled"
    assert {"parent tidied up", "child tidied up"} <= set(attributes["details"].splitlines())
    assert not any(map(is_running, pids))
    assert "1 cancelled" in log.read_text()
    assert held(service_env) == []


class TestSignals:
    """Signals that stop it, in three stages."""

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_first(self, service: Service, service_env: dict[str, str], tmp_path: Path, number: int) -> None:
        """The running task is completed, and no further one is received; the log says what is waited for; exit 0."""
        workflow, log = schedule(service), tmp_path / "log"
        with working(SLOW.format(tmp_path), env=service_env, log=log) as worker:
            written_pids(tmp_path, 1)
            self._send(worker, number, log, "shutting down: waiting for ")
            schedule(service)
            (tmp_path / "go").touch()
            assert worker.wait(60) == 0
        assert end(service, workflow) == ("Completed", {"result": "done"})
        assert service.flow("media").pending() == 1
        assert log.read_text().splitlines()[-1].startswith("swf: 1 completed")

    def test_second(self, service: Service, service_env: dict[str, str], tmp_path: Path) -> None:
        """The commands are stopped, their tasks fail with `worker stopped`, and it dies of the signal."""
        workflow, log = schedule(service), tmp_path / "log"
        with working(SLOW.format(tmp_path), env=service_env, log=log) as worker:
            pid = written_pids(tmp_path, 1)[0]
            self._send(worker, signal.SIGTERM, log, "shutting down")
            self._send(worker, signal.SIGTERM, log, "terminating commands")
            assert worker.wait(60) == -signal.SIGTERM
        assert end(service, workflow)[1]["reason"] == "worker stopped"
        assert not is_running(pid)
        assert log.read_text().splitlines()[-1].startswith("swf: 0 completed, 1 failed")
        assert held(service_env) == []

    def test_third(self, service: Service, service_env: dict[str, str], tmp_path: Path) -> None:
        """A command that ignores SIGTERM is killed before the grace period is over."""
        workflow, log = schedule(service), tmp_path / "log"
        with working(f"trap '' TERM; {SLOW.format(tmp_path)}", "--grace", "1h", env=service_env, log=log) as worker:
            pid = written_pids(tmp_path, 1)[0]
            for words in ("shutting down", "terminating commands", "killing commands"):
                self._send(worker, signal.SIGINT, log, words)
            assert worker.wait(60) == -signal.SIGINT
        assert end(service, workflow)[1]["reason"] == "worker stopped"
        assert not is_running(pid)

    @pytest.mark.parametrize("before", [(), ("shutting down",)], ids=["first", "second"])
    def test_quit(
        self, before: tuple[str, ...], service: Service, service_env: dict[str, str], tmp_path: Path
    ) -> None:
        """SIGQUIT, which Ctrl-\\ sends, kills the commands at once, whatever came before."""
        workflow, log = schedule(service), tmp_path / "log"
        script = f"trap '' TERM; {SLOW.format(tmp_path)}"
        no_core = ("sh", "-c", 'ulimit -c 0; exec "$@"', "sh", SWF)
        with working(script, "--grace", "1h", env=service_env, log=log, program=no_core) as worker:
            pid = written_pids(tmp_path, 1)[0]
            for words in before:
                self._send(worker, signal.SIGTERM, log, words)
            self._send(worker, signal.SIGQUIT, log, "killing commands")
            assert worker.wait(60) == -signal.SIGQUIT
        assert end(service, workflow)[1]["reason"] == "worker stopped"
        assert not is_running(pid)
        assert held(service_env) == []

    def _send(self, worker: "subprocess.Popen[str]", number: int, log: Path, words: str) -> None:
        """Send a signal, and wait until it is handled, and for as long as the next one would be a duplicate."""
        worker.send_signal(number)
        wait_until(lambda: f"swf: {signal.Signals(number).name}: {words}" in log.read_text())
        time.sleep(SIGNAL_INTERVAL)

    def test_ignored_signal(self, service: Service, service_env: dict[str, str], tmp_path: Path) -> None:
        """Under `nohup` SIGHUP is ignored."""
        workflow, log = schedule(service), tmp_path / "log"
        command = ("--max-tasks", "1")
        with working(SLOW.format(tmp_path), *command, env=service_env, log=log, program=("nohup", SWF)) as worker:
            written_pids(tmp_path, 1)
            worker.send_signal(signal.SIGHUP)
            (tmp_path / "go").touch()
            assert worker.wait(60) == 0
        assert end(service, workflow) == ("Completed", {"result": "done"})
        assert "SIGHUP" not in log.read_text()


def test_next_worker_stops_and_fails_an_orphan(service: Service, service_env: dict[str, str], tmp_path: Path) -> None:
    """After `kill -9` of a worker, the next one stops the command with its children, and fails the task."""
    workflow = schedule(service)
    script = f"sleep 100 & echo $! > {tmp_path}/child.pid; echo $$ > {tmp_path}/sh.pid; wait"
    with working(script, env=service_env, log=tmp_path / "log") as worker:
        pids = written_pids(tmp_path, 2)
        wait_until(lambda: [row.group is not None for row in held(service_env)] == [True])
        (orphan,) = held(service_env)
        worker.kill()
        worker.wait()
    try:
        assert all(map(is_running, pids))
        result = work("true", "--idle-exit", "0", env=service_env)
        assert not any(map(is_running, pids))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(orphan.group or 0, signal.SIGKILL)
    assert result.code == 0
    assert end(service, workflow) == ("Failed", {"reason": "worker died"})
    assert "/resize-1] left by a worker that died" in result.stderr
    assert held(service_env) == []
