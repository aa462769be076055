"""What a fleet needs of `swf work`, as processes: several lists, handlers, JSON logs, probes, checks."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.cli import TASK, Result, invoke, run, shell, wait_until
from tests.helpers.flow import attributes_of
from tests.helpers.local_service import Service, local_service
from tests.helpers.operations import COMPLETE, HEARTBEAT, POLL
from tests.helpers.processes import is_running, started, written_pids
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import error_line, on_terminal

WORK = ("work", "-d", "media", "-t", "work")
UNTIL_GO = "echo $$ > {0}/$SWF_TASK_LIST.pid; until [ -e {0}/go ] || ! kill -0 $PPID; do sleep 0.02; done"
"""A command that runs until the file `go` exists, or its worker is gone; {0} is the folder."""


@pytest.fixture
def service() -> Iterator[Service]:
    """A local SWF that holds a poll for a tenth of a second."""
    with local_service(hold=0.1) as service:
        service.flow("media")
        yield service


def failure(service: Service, workflow: str) -> Any:
    """Return the attributes of the failure of an execution's task."""
    return attributes_of(
        next(e for e in service.history("media", workflow) if e["eventType"] == "ActivityTaskFailed")
    )


def json_log(result: Result | str) -> list[dict[str, Any]]:
    """Return the lines of a log, each of which must be an object."""
    text = result if isinstance(result, str) else result.stderr
    found: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    for line in found:
        assert {"time", "level", "event", "message"} <= line.keys()
    return found


class TestLists:
    """Several task lists."""

    @pytest.mark.parametrize(("slots", "tasks"), [(1, [2, 2, 2]), (2, [0, 0, 3]), (3, [3, 0, 3]), (8, [5, 1, 2])])
    def test_all_are_polled(
        self, service: Service, service_env: dict[str, str], slots: int, tasks: list[int]
    ) -> None:
        """With fewer slots than lists, as many, and more: a task on any of them is done, and logged with its list.

        With fewer there is a warning: a task may wait for as long as SWF holds the polls of other lists.
        """
        lists = ["a", "b", "c"]
        for name, count in zip(lists, tasks, strict=True):
            for _ in range(count):
                service.schedule("media", name)
        options = ["-t", "a", "-t", "b", "-t", "c", "-t", "a", "-j", str(slots), "--max-tasks", str(sum(tasks))]
        command = ["--log-format", "json", "--", "sh", "-c", "echo $SWF_TASK_LIST"]
        result = run("work", "-d", "media", *options, *command, env=service_env)
        assert result.code == 0, result.stderr
        completed = [line["task"]["task_list"] for line in json_log(result) if line["event"] == "completed"]
        assert [completed.count(name) for name in lists] == tasks
        warnings = [line["message"] for line in json_log(result) if line["level"] == "warning"]
        longest = {1: "2m00s", 2: "1m00s"}.get(slots)
        waiting = (
            f"{slots} of 3 task lists are polled at a time: tasks on the others wait up to {longest} (see --jobs)"
        )
        assert warnings == ([waiting] if slots < 3 else [])

    def test_held_has_the_list_of_each(self, service: Service, service_env: dict[str, str], tmp_path: Path) -> None:
        """The ledger records where each task came from, and where each poll went."""
        for name in ("a", "b"):
            service.schedule("media", name)
        options = ["-t", "a", "-t", "b", "-j", "2", "--max-tasks", "2"]
        with started(
            "work", "-d", "media", *options, "--", "sh", "-c", UNTIL_GO.format(tmp_path), env=service_env
        ) as worker:
            written_pids(tmp_path, 2)
            rows = invoke("held", "-o", "json", env=service_env).json
            (tmp_path / "go").touch()
            assert worker.wait(60) == 0
        assert sorted(row["task_list"] for row in rows) == ["a", "b"]
        assert invoke("held", "-o", "json", env=service_env).json == []

    def test_orphans_of_each(self, service: Service, service_env: dict[str, str], tmp_path: Path) -> None:
        """A worker fails those of all its lists, and leaves alone those of others."""
        workflows = {name: service.schedule("media", name) for name in ("a", "b", "c")}
        options = ["-t", "a", "-t", "b", "-t", "c", "-j", "3"]
        script = UNTIL_GO.format(tmp_path)
        with started("work", "-d", "media", *options, "--", "sh", "-c", script, env=service_env) as worker:
            pids = written_pids(tmp_path, 3)
            wait_until(lambda: all(row["command_pid"] for row in invoke("held", "-o", "json", env=service_env).json))
            worker.kill()
            worker.wait()
        try:
            options = ["-t", "a", "-t", "b", "--idle-exit", "0", "--check"]
            result = run("work", "-d", "media", *options, "--", "true", env=service_env)
        finally:
            for pid in pids:
                if is_running(pid):
                    os.killpg(pid, signal.SIGKILL)
        assert result.code == 0, result.stderr  # --check is about tasks that it ran
        for name in ("a", "b"):
            assert failure(service, workflows[name])["reason"] == "worker died"
            assert f"swf: [{workflows[name]}/resize-1] left by a worker that died" in result.stderr
        assert [row["task_list"] for row in invoke("held", "-o", "json", env=service_env).json] == ["c"]


class TestHandlers:
    """--handlers."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A folder with two handlers."""
        folder = tmp_path / "handlers"
        folder.mkdir(mode=0o755)
        for name in ("resize", "upload"):
            (folder / name).write_text('#!/bin/sh\necho "${SWF_ACTIVITY_NAME}d $#"\n')
            (folder / name).chmod(0o755)
        return folder

    def test_tasks(self, service: Service, service_env: dict[str, str], folder: Path) -> None:
        """The handlers are logged at the start; each runs for its activity; an activity without one fails."""
        service.call("RegisterActivityType", domain="media", name="encode", version="1")
        done = service.schedule("media", "work")
        failed = service.schedule("media", "work", activityType={"name": "encode", "version": "1"})
        (folder / "\x1b[31mREADME").write_text("not a program")
        result = run(*WORK, "--handlers", str(folder), "--max-tasks", "2", env=service_env)
        assert result.code == 0
        assert result.stderr.startswith(
            "swf: handlers: resize, upload\n"
            "swf: warning: \\x1b[31mREADME in the handlers folder cannot be started: Permission denied\n"
        )
        assert "reasons of failures: no handler for encode (1)" in result.stderr
        assert failure(service, failed)["reason"] == "no handler for encode"
        assert attributes_of(service.history("media", done)[-2])["result"] == "resized 0"

    def test_current_folder(self, service: Service, service_env: dict[str, str], folder: Path) -> None:
        """Not the PATH, on which there may be a program with the activity's name."""
        service.schedule("media", "work")
        script = f"cd {folder} && swf {' '.join(WORK)} --handlers . --max-tasks 1 --check"
        result = shell(script, env=service_env)
        assert result.code == 0, result.stderr

    @pytest.mark.parametrize("kind", ["missing", "empty", "link", "file", "writable"])
    def test_folder_that_is_refused(
        self, stub: StubService, env: dict[str, str], folder: Path, tmp_path: Path, kind: str
    ) -> None:
        """Exit 2 with the reason, before anything is sent."""
        path, reason = (
            folder,
            {
                "missing": "No such file or directory",
                "empty": "it has no executable file",
                "link": "it is a symbolic link; pass the folder that it points to",
                "file": "it is not a folder",
                "writable": "it is writable by everybody",
            }[kind],
        )
        match kind:
            case "missing":
                path = tmp_path / "none"
            case "empty":
                path = tmp_path / "empty"
                path.mkdir()
            case "link":
                path = tmp_path / "link"
                path.symlink_to(folder)
            case "file":
                path = folder / "resize"
            case "writable":
                path.chmod(0o777)
        result = invoke(*WORK, "--handlers", str(path), env=env)
        error_line(result, 2, f"--handlers: cannot use {path}: {reason}")
        assert stub.requests == []

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--handlers", ".", "--", "true"], "--handlers and COMMAND are mutually exclusive"),
            (["--handlers", ".", "--stream"], "--handlers and --stream are mutually exclusive"),
            (["--stream"], "no COMMAND given"),
            (["--log-format", "xml", "--", "true"], "--log-format"),
            (["--alive-file", "/no/such/folder/alive", "--", "true"], "cannot write to /no/such/folder/alive"),
            (["--alive-file", "", "--", "true"], "--alive-file: the file name is empty"),
            (["--handlers", ""], "--handlers: the file name is empty"),
        ],
    )
    def test_options_that_do_not_go_together(
        self, stub: StubService, env: dict[str, str], options: list[str], message: str
    ) -> None:
        """Exit 2, and nothing is sent."""
        error_line(invoke(*WORK, *options, env=env), 2, message)
        assert stub.requests == []

    def test_folder_that_is_gone_for_a_while(
        self, service: Service, service_env: dict[str, str], folder: Path
    ) -> None:
        """The worker stops polling, keeps its task, and goes on when the folder is back."""
        service.schedule("media", "work")
        away = folder.with_name("away")
        options = ["--handlers", str(folder), "--max-tasks", "1", "--check"]
        with started(*WORK, *options, env=service_env) as worker:
            assert worker.stderr is not None
            assert "handlers:" in worker.stderr.readline()
            service.schedule("media", "work")
            folder.rename(away)
            away.rename(folder)
            assert worker.wait(60) == 0


class TestStream:
    """--stream."""

    HANDLER = """
import json, os, sys, time
open("%s/%%d.pid" %% os.getpid(), "w").write("%%d\\n" %% os.getpid())
for line in sys.stdin:
    task = json.loads(line)
    while task["input"] == "long":
        time.sleep(0.05)
    print(json.dumps({"result": task["input"]}), flush=True)
"""

    def command(self, folder: Path) -> list[str]:
        """Return the arguments of a handler that notes its process ID, and returns its input."""
        return ["--stream", "--", sys.executable, "-S", "-c", self.HANDLER % folder]

    def test_tasks_of_several_slots(self, service: Service, service_env: dict[str, str], tmp_path: Path) -> None:
        """A process per busy slot does them all, and is gone at the end."""
        workflows = [service.schedule("media", "work", str(n)) for n in range(20)]
        result = run(*WORK, "-j", "3", "--max-tasks", "20", "--check", *self.command(tmp_path), env=service_env)
        assert result.code == 0, result.stderr
        results = [attributes_of(service.history("media", workflow)[-2])["result"] for workflow in workflows]
        assert results == [str(n) for n in range(20)]
        pids = [int(path.stem) for path in tmp_path.glob("*.pid")]
        assert 1 <= len(pids) <= 3
        assert not any(map(is_running, pids))

    def test_no_process_without_a_task(self, service: Service, service_env: dict[str, str], tmp_path: Path) -> None:
        """Idle slots start none."""
        result = run(*WORK, "-j", "3", "--idle-exit", "0", *self.command(tmp_path), env=service_env)
        assert (result.code, list(tmp_path.glob("*.pid"))) == (0, [])

    def test_idle_handler_that_writes(self, service: Service, service_env: dict[str, str], tmp_path: Path) -> None:
        """Its stderr is logged while no task arrives, and does not fill the disk."""
        service.schedule("media", "work", "short")
        *command, script = self.command(tmp_path)
        script += "    print('cleaning up', 'x' * 2_000_000, sep='\\n', file=sys.stderr, flush=True)\n"
        log = tmp_path / "log"
        with log.open("w") as file, started(*WORK, *command, script, env=service_env, stderr=file) as worker:
            (handler,) = written_pids(tmp_path, 1)
            wait_until(lambda: "bytes of stderr skipped" in log.read_text())
            if sys.platform == "linux":
                wait_until(lambda: Path(f"/proc/{handler}/fd/2").stat().st_size < 1_000_000)
            worker.terminate()
            assert worker.wait(60) == 0

    def test_killed_worker(self, service: Service, service_env: dict[str, str], tmp_path: Path) -> None:
        """An idle handler ends with its worker; a busy one is stopped by the next worker, which fails its task."""
        for text in ("short", "long"):
            service.schedule("media", "work", text)
        with started(*WORK, "-j", "2", *self.command(tmp_path), env=service_env) as worker:
            pids = written_pids(tmp_path, 2)
            rows: list[dict[str, Any]] = []

            def is_one_idle() -> bool:
                rows[:] = invoke("held", "-o", "json", env=service_env).json
                return len(rows) == 1 and rows[0]["command_pid"] is not None

            wait_until(is_one_idle)
            worker.kill()
            worker.wait()
        busy = rows[0]["command_pid"]
        (idle,) = set(pids) - {busy}
        try:
            wait_until(lambda: not is_running(idle))
            assert is_running(busy)
            result = run(*WORK, "--idle-exit", "0", "--", "true", env=service_env)
            assert not is_running(busy)
        finally:
            for pid in pids:
                if is_running(pid):
                    os.kill(pid, signal.SIGKILL)
        assert "left by a worker that died" in result.stderr
        kinds = [row["kind"] for row in invoke("held", "-o", "json", env=service_env).json]
        assert kinds == ["broken_poll"]  # that of the idle slot

    def test_killed_worker_whose_idle_handler_stays(
        self, service: Service, service_env: dict[str, str], tmp_path: Path
    ) -> None:
        """A handler that does not end with its stdin is stopped by the next worker, also if it had no task."""
        workflow = service.schedule("media", "work", "short")
        *command, script = self.command(tmp_path)
        script += "while True: time.sleep(0.05)\n"
        with started(*WORK, *command, script, env=service_env) as worker:
            (handler,) = written_pids(tmp_path, 1)
            wait_until(lambda: "Completed" in service.history("media", workflow)[-2]["eventType"])
            wait_until(lambda: invoke("held", "-o", "json", env=service_env).json == [])
            worker.kill()
            worker.wait()
        try:
            (row,) = invoke("held", "-o", "json", env=service_env).json
            assert (row["kind"], row["command_pid"]) == ("broken_poll", handler)
            run(*WORK, "--idle-exit", "0", "--", "true", env=service_env)
            assert not is_running(handler)
        finally:
            if is_running(handler):
                os.kill(handler, signal.SIGKILL)

    def test_drain(self, service: Service, service_env: dict[str, str], tmp_path: Path) -> None:
        """SIGTERM lets the handler finish; then its stdin ends, and so does it; exit 0."""
        workflow = service.schedule("media", "work")
        script = f"""
read -r task; echo $$ > {tmp_path}/sh.pid
until [ -e {tmp_path}/go ]; do sleep 0.02; done
echo '{{"result": "done"}}'
read -r task || touch {tmp_path}/ended
"""
        with started(*WORK, "--stream", "--", "sh", "-c", script, env=service_env) as worker:
            (pid,) = written_pids(tmp_path, 1)
            worker.terminate()
            assert worker.stderr is not None
            while "shutting down" not in worker.stderr.readline():
                pass
            (tmp_path / "go").touch()
            assert worker.wait(60) == 0
        assert (tmp_path / "ended").exists()
        assert not is_running(pid)
        assert attributes_of(service.history("media", workflow)[-2])["result"] == "done"


class TestReasons:
    """Failure reasons that deciders branch on, and --check."""

    def test_reason_reaches_history(self, service: Service, service_env: dict[str, str]) -> None:
        """256 characters, the most that SWF takes, arrive byte for byte; the log and the summary have them too."""
        workflow = service.schedule("media", "work")
        reason = "no disk: é🎬 %s \"'\\".ljust(256, "x")
        script = 'printf %s "$REASON" > $SWF_REASON_FILE; exit 1'
        env = {**service_env, "REASON": reason}
        result = run(*WORK, "--max-tasks", "1", "--log-format", "json", "--", "sh", "-c", script, env=env)
        assert failure(service, workflow)["reason"] == reason
        *_, end, summary = json_log(result)
        assert (end["event"], end["reason"]) == ("failed", reason)
        assert summary["reasons"] == {reason: 1}

    @pytest.mark.parametrize(
        ("script", "options", "code"),
        [
            ("true", ["--check"], 0),
            ("exit 3", ["--check"], 8),
            ("exit 3", [], 0),
            ("head -c 40000 /dev/zero", ["--check"], 8),
        ],
    )
    def test_check(
        self, service: Service, service_env: dict[str, str], script: str, options: list[str], code: int
    ) -> None:
        """Exit 8 if a task failed, and only with --check."""
        service.schedule("media", "work")
        result = run(*WORK, "--max-tasks", "1", *options, "--", "sh", "-c", script, env=service_env)
        assert result.code == code
        assert ("swf: 1 task failed" in result.stderr) is (code == 8)

    def test_check_counts_all(self, service: Service, service_env: dict[str, str]) -> None:
        """The line says how many failed; with --stream too."""
        for _ in range(3):
            service.schedule("media", "work")
        command = ["--stream", "--", "sh", "-c", "while read -r x; do echo '{\"failed\": {}}'; done"]
        result = run(*WORK, "--max-tasks", "3", "--check", *command, env=service_env)
        assert (result.code, result.stderr.splitlines()[-1]) == (8, "swf: 3 tasks failed")
        assert "reasons of failures: no reason (3)" in result.stderr


class TestJsonLog:
    """--log-format json: whatever happens, each line of stderr is an object."""

    HOSTILE = r"""
        yes 'all work and no play' | head -c 3000000 >&2
        printf '\nswf: forged\n{"event": "completed"}\n\033[2J\007\r\n\302\233 caf\351 \342\200\256\n' >&2
        printf '\0\377\376 no newline' >&2; head -c 5000 /dev/zero >&2; printf '\n"quote\\' >&2
        exit 3
    """

    def test_hostile_stderr(self, service: Service, service_env: dict[str, str]) -> None:
        """What a command writes is the message of an object that names its task."""
        workflow = service.schedule("media", "work")
        command = ["sh", "-c", self.HOSTILE]
        result = run(*WORK, "--max-tasks", "1", "--log-format", "json", "--", *command, env=service_env)
        log = json_log(result)
        assert [line["event"] for line in log if line["event"] != "stderr"] == ["started", "failed", "summary"]
        task = {
            "id": "resize-1",
            "workflow_id": workflow,
            "activity": {"name": "resize", "version": "1"},
            "task_list": "work",
        }
        for line in log[:-1]:
            assert {name: value for name, value in line["task"].items() if name != "run_id"} == task
        messages = [line["message"] for line in log if line["event"] == "stderr"]
        forged = messages.index("swf: forged")
        assert messages[forged + 1] == '{"event": "completed"}'
        assert messages[-1] == '"quote\\'
        assert any("\x1b[2J\x07" in message for message in messages)
        assert (log[-2]["reason"], log[-1]["ended"], log[-1]["reasons"]) == ("exit 3", {"failed": 1}, {"exit 3": 1})

    def test_stderr_of_ascii(self, service: Service, service_env: dict[str, str]) -> None:
        """Where stderr can't carry a character, it is escaped as JSON has it."""
        service.schedule("media", "work")
        env = {**service_env, "PYTHONIOENCODING": "ascii", "TEXT": "é € 🎬"}
        command = ["sh", "-c", 'echo "$TEXT" >&2']
        result = run(*WORK, "--max-tasks", "1", "--log-format", "json", "--", *command, env=env)
        assert [line["message"] for line in json_log(result) if line["event"] == "stderr"] == ["é € 🎬"]

    @pytest.mark.parametrize(
        ("options", "code", "word"),
        [
            (["-j", "0", "--", "true"], 2, "--jobs"),
            (["--no-such-option", "--", "true"], 2, "no-such-option"),
            (["--", "no-such-command"], 2, "COMMAND"),
            (["--handlers", "/no/such/folder"], 2, "--handlers"),
            ([], 2, "COMMAND"),
            (["--debug", "--", "no-such-command"], 2, "COMMAND"),
            (["--alive-file", "/no/such/folder/alive", "--", "true"], 2, "alive"),
            (["--region", "not a region", "--", "true"], 2, ""),
            (["--profile", "none", "--", "true"], 7, "none"),
            (["--endpoint-url", "http://127.0.0.1:9", "--debug", "--", "true"], 1, "connect"),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("spelling", [["--log-format", "json"], ["--log-format=json"]])
    def test_errors_before_the_start(
        self, env: dict[str, str], options: list[str], code: int, word: str, spelling: list[str]
    ) -> None:
        """Usage errors too, although they are found before the option is read; --debug adds a traceback to others."""
        result = invoke(*WORK, *spelling, *options, env=env)
        assert (result.code, result.stdout) == (code, "")
        *_, error = json_log(result)
        assert (error["level"], error["event"]) == ("error", "error")
        assert word in error["message"]
        assert ("traceback" in error) is ("--debug" in options and code != 2)

    def test_signals_and_retries(self, stub: StubService, env: dict[str, str]) -> None:
        """Each has its event."""
        stub.fault(POLL, "ThrottlingException", "Rate exceeded")
        with started(*WORK, "--log-format", "json", "--", "true", env=env) as worker:
            assert worker.stderr is not None
            first = worker.stderr.readline()
            worker.terminate()
            log = json_log(first + worker.stderr.read())
        assert [line["event"] for line in log] == ["retry", "shutdown", "summary"]

    def test_terminal(self, service: Service, service_env: dict[str, str]) -> None:
        """There is no live line among the objects."""
        service.schedule("media", "work")
        options = ["--max-tasks", "1", "--log-format", "json", "--", "sh", "-c", "sleep 0.6"]
        result = on_terminal(*WORK, *options, env=service_env, stdout=False, stderr=True)
        assert [line["event"] for line in json_log(result)] == ["started", "completed", "summary"]


class TestSystemd:
    """sd_notify."""

    @pytest.fixture
    def manager(self, tmp_path: Path) -> Iterator[socket.socket]:
        """The socket of a service manager."""
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
            manager.bind(f"{tmp_path}/notify")
            manager.settimeout(60)
            yield manager

    def test_life_of_a_worker(
        self, stub: StubService, env: dict[str, str], manager: socket.socket, tmp_path: Path
    ) -> None:
        """READY=1 while the first poll is held, WATCHDOG=1 ever after, STOPPING=1 while the last task still runs."""
        arrival = threading.Event()
        stub.reply(POLL, TASK, wait=arrival)
        stub.reply(COMPLETE)
        env = {**env, "NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "200000"}
        script = f"env > {tmp_path}/env; {UNTIL_GO.format(tmp_path)}"
        with started(*WORK, "--heartbeat", "off", "--", "sh", "-c", script, env=env) as worker:
            seen = [manager.recv(100).decode()]
            while seen[-1] != "READY=1":
                seen.append(manager.recv(100).decode())
            wait_until(lambda: stub.operations() == [POLL])
            assert [manager.recv(100) for _ in range(2)] == [b"WATCHDOG=1"] * 2
            arrival.set()
            written_pids(tmp_path, 1)
            worker.terminate()
            while manager.recv(100) != b"STOPPING=1":
                pass
            assert manager.recv(100) == b"WATCHDOG=1"
            (tmp_path / "go").touch()
            assert worker.wait(60) == 0
        variables = (tmp_path / "env").read_text()
        assert not re.search("^(NOTIFY|WATCHDOG)_", variables, re.MULTILINE)

    def test_frozen_process(self, stub: StubService, env: dict[str, str], manager: socket.socket) -> None:
        """Within its interval the watchdog stops, and goes on when the process does."""
        stub.reply(POLL, TASK, wait=threading.Event())
        env = {**env, "NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "100000"}
        with started(*WORK, "--", "true", env=env) as worker:
            while manager.recv(100) != b"READY=1":
                pass
            worker.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, worker.pid, os.WSTOPPED | os.WNOWAIT)
            manager.setblocking(False)
            with suppress(BlockingIOError):
                while manager.recv(100):  # what was sent before
                    pass
            manager.settimeout(0.2)  # twice the time within which a sign of life is wanted
            with pytest.raises(TimeoutError):
                manager.recv(100)
            worker.send_signal(signal.SIGCONT)
            manager.settimeout(60)
            assert manager.recv(100) == b"WATCHDOG=1"

    @pytest.mark.skipif(shutil.which("systemd-notify") is None, reason="no systemd here")
    def test_as_systemd_notify(self, service: Service, service_env: dict[str, str], manager: socket.socket) -> None:
        """Its READY=1 is the datagram that systemd's own tool sends."""
        env = {**service_env, "NOTIFY_SOCKET": manager.getsockname()}
        subprocess.run(["systemd-notify", "--no-block", "--ready"], env=env, check=True)
        theirs = manager.recv(1_000)
        assert run(*WORK, "--idle-exit", "0", "--", "true", env=env).code == 0
        assert manager.recv(1_000) == theirs == b"READY=1"
        assert manager.recv(1_000) == b"STOPPING=1"


class TestAliveFile:
    """--alive-file."""

    PROBE = 'test -n "$(find {0} -mmin -2)"'
    """An exec probe: the file was touched within the last two minutes."""

    def age(self, file: Path) -> None:
        """Let the file look ten minutes old."""
        now = file.stat().st_mtime
        os.utime(file, (now - 600, now - 600))

    def is_alive(self, file: Path) -> bool:
        """Run the probe."""
        return subprocess.run(["sh", "-c", self.PROBE.format(file)], check=False).returncode == 0

    def test_polls(self, service: Service, service_env: dict[str, str], tmp_path: Path) -> None:
        """Answered polls touch it, also those without a task."""
        file = tmp_path / "alive"
        with started(*WORK, "--alive-file", str(file), "--", "true", env=service_env):
            wait_until(file.exists)
            for _ in range(3):
                self.age(file)
                wait_until(lambda: self.is_alive(file))

    def test_heartbeats(self, stub: StubService, env: dict[str, str], tmp_path: Path) -> None:
        """Answered heartbeats do, while no slot polls."""
        file = tmp_path / "alive"
        stub.reply(POLL, TASK)
        stub.reply(HEARTBEAT, {"cancelRequested": False})
        command = ["--heartbeat", "1s", "--", "sh", "-c", UNTIL_GO.format(tmp_path)]
        with started(*WORK, "--alive-file", str(file), *command, env=env):
            written_pids(tmp_path, 1)
            self.age(file)
            wait_until(lambda: self.is_alive(file))
        assert POLL in stub.operations()
        assert stub.operations().count(POLL) == 1

    def test_service_that_hangs(self, stub: StubService, env: dict[str, str], tmp_path: Path) -> None:
        """It does not move while no poll is answered."""
        file, answer = tmp_path / "alive", threading.Event()
        stub.reply(POLL, {"startedEventId": 0}, wait=answer)
        with started(*WORK, "--alive-file", str(file), "--", "true", env=env):
            wait_until(lambda: POLL in stub.operations())
            self.age(file)
            assert not self.is_alive(file)
            answer.set()
            wait_until(lambda: self.is_alive(file))
