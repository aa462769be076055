"""One task of a worker: its command runs, is stopped if need be, and decides the response."""

import os
import signal
import sys
from pathlib import Path

import pytest

from swf_cli.ledger.store import Ledger
from swf_cli.worker.command import CommandExecutor
from swf_cli.worker.handlers import FixedCommand
from tests.helpers.cli import wait_until
from tests.helpers.operations import CANCEL, COMPLETE, FAIL, HEARTBEAT, HISTORY
from tests.helpers.processes import is_running, refuse_signal, written_pids
from tests.helpers.worker_tasks import Tasks

FOREVER = "while :; do sleep 0.02; done"


class TestOutcome:
    """What the end of the command means for the task."""

    @pytest.mark.parametrize(
        ("script", "operation", "arguments"),
        [
            ("read n; echo $((n * 2))", COMPLETE, {"result": "14"}),
            ("true", COMPLETE, {"result": ""}),
            ("echo some; echo oops >&2; exit 3", FAIL, {"reason": "exit 3", "details": "oops"}),
            ("exit 1", FAIL, {"reason": "exit 1"}),
            ("kill -KILL $$", FAIL, {"reason": "signal SIGKILL"}),
            ("kill -TERM $$", FAIL, {"reason": "signal SIGTERM"}),
            (r"printf '\377'; echo why >&2", FAIL, {"reason": "the result is not valid UTF-8", "details": "why"}),
            (
                "head -c 32769 /dev/zero | tr '\\0' x",
                FAIL,
                {"reason": "the result is over SWF's 32,768 characters"},
            ),
        ],
    )
    def test_end_of_the_command(self, tasks: Tasks, script: str, operation: str, arguments: dict[str, str]) -> None:
        """Exit 0 completes the task with stdout; anything else, or an invalid result, fails it with stderr's end."""
        settlement = tasks.run(script, "7\n")
        assert settlement.status == "accepted"
        assert tasks.response() == (operation, arguments)

    def test_redacted_text_is_as_long_as_swf_accepts(self, tasks: Tasks, tmp_path: Path) -> None:
        """A password may be shorter than what is sent instead of it."""
        url, sent = "redis://:p@cache ", tmp_path / "sent"
        script = f"""
            printf '{url}%0300d' 0 > $SWF_REASON_FILE; printf '{url}%02100d' 0 > $SWF_HEARTBEAT_FILE
            printf '%032763d{url}' 0 >&2; while [ ! -e {sent} ]; do sleep 0.02; done; exit 1
        """
        running = tasks.start(script, heartbeat=0.05)
        wait_until(lambda: any(tasks.heartbeat_details()))
        sent.touch()
        running.result(60)
        operation, arguments = tasks.response()
        assert operation == FAIL
        assert (len(arguments["reason"]), len(arguments["details"])) == (256, 32_768)
        assert arguments["reason"].startswith("redis://SECRET@cache 0")
        assert {details and len(details) for details in tasks.heartbeat_details()} <= {None, 2_048}

    def test_command_that_cannot_be_started(self, tasks: Tasks, tmp_path: Path) -> None:
        """The task fails, and the reason says why."""
        program = tmp_path / "gone"
        program.write_text("#!/bin/sh")
        program.chmod(0o755)
        tasks.run([str(program)], before=program.unlink)
        operation, arguments = tasks.response()
        assert operation == FAIL
        assert arguments["reason"] == f"cannot run the command: No such file or directory: {tmp_path}/gone"

    def test_nul_in_a_workflow_id(self, tasks: Tasks) -> None:
        """SWF allows it, and no environment variable can hold it: the task fails, and the reason names that."""
        context = tasks.context(FixedCommand(["true"]))
        execution = {"workflowId": "a\0b", "runId": "RUN"}
        tasks.submit(context, CommandExecutor(), workflowExecution=execution).result(60)
        assert tasks.response() == (FAIL, {"reason": "cannot run the command: SWF_WORKFLOW_ID cannot hold a NUL"})

    def test_no_temporary_space(self, tasks: Tasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A missing temporary directory fails the task, and the reason says why."""
        monkeypatch.setattr("tempfile.tempdir", f"{tmp_path}/gone")
        tasks.run("true")
        assert tasks.response()[1]["reason"].startswith("cannot run the command: No such file or directory: ")

    def test_error_of_the_worker(self, tasks: Tasks, tmp_path: Path) -> None:
        """An unexpected error fails the task and kills the command: neither is left behind."""

        class BrokenLedger(Ledger):
            def set_command(self, key: str, group: int, start_id: str | None) -> None:
                written_pids(tmp_path, 1)
                raise IndexError("list index out of range")

        tasks.ledger = BrokenLedger(None)
        tasks.run(f"echo $$ > {tmp_path}/sh.pid; exec sleep 100")
        assert tasks.response() == (FAIL, {"reason": "the worker failed: IndexError: list index out of range"})
        assert not is_running(written_pids(tmp_path, 1)[0])

    def test_record_of_the_command(self, tasks: Tasks) -> None:
        """A command is in the ledger from its start on, unless the slot's last one was brief; then, from 10 ms on."""
        recorded: list[int] = []

        class Recorder(Ledger):
            def set_command(self, key: str, group: int, start_id: str | None) -> None:
                recorded.append(group)

        tasks.ledger = Recorder(None)
        executor = CommandExecutor()
        for script, count in (("exit 0", 1), ("sleep 0.1", 2), ("exit 0", 3)):
            tasks.submit(tasks.context(FixedCommand(["sh", "-c", script])), executor).result(60)
            assert len(recorded) == count
        for _ in range(30):
            tasks.submit(tasks.context(FixedCommand(["true"])), executor).result(60)
        assert len(recorded) < 33

    def test_environment(self, tasks: Tasks, tmp_path: Path) -> None:
        """The command's environment names its task; its parent is the worker."""
        tasks.run(f"env > {tmp_path}/env; echo $PPID")
        found = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
        for variable in ("SWF_HEARTBEAT_FILE", "SWF_RESULT_FILE", "SWF_REASON_FILE"):
            assert found.pop(variable).startswith("/")
        assert {name: value for name, value in found.items() if name.startswith("SWF_")} == {
            "SWF_TASK_TOKEN": "TOKEN",
            "SWF_TASK_ID": "resize-1",
            "SWF_ACTIVITY_NAME": "resize",
            "SWF_ACTIVITY_VERSION": "2",
            "SWF_WORKFLOW_ID": "video-7",
            "SWF_RUN_ID": "RUN",
            "SWF_DOMAIN": "media",
            "SWF_TASK_LIST": "work",
        }
        assert tasks.response()[1] == {"result": str(os.getpid())}


class TestLog:
    """What is logged about a task."""

    def test_start_stderr_and_end(self, tasks: Tasks, caplog: pytest.LogCaptureFixture) -> None:
        """One line at the start and one at the end, the command's stderr in between; each with its task."""
        tasks.run("echo working >&2; exit 3")
        first, second, last = caplog.records
        assert first.getMessage() == "started: resize 2, list work, run RUN"
        assert (second.getMessage(), vars(second)["event"]) == ("working", "stderr")
        assert last.getMessage().startswith("failed (exit 3) after 0.")
        assert [vars(record)["event"] for record in (first, last)] == ["started", "failed"]
        for record in caplog.records:
            assert vars(record)["task"] == {
                "id": "resize-1",
                "workflow_id": "video-7",
                "run_id": "RUN",
                "activity": {"name": "resize", "version": "2"},
                "task_list": "work",
            }

    def test_no_token(self, tasks: Tasks, caplog: pytest.LogCaptureFixture) -> None:
        """The token is not logged, even if the command's stderr or SWF's fault contains it; `%` means nothing."""
        tasks.token = "SECRET" * 20
        tasks.stub.reset()
        for operation in (COMPLETE, FAIL):
            tasks.stub.fault(
                operation, "ValidationException", f"Value '{tasks.token}' failed to satisfy a constraint"
            )
            tasks.stub.reply(operation)
        tasks.run("echo 100% of $SWF_TASK_TOKEN. >&2")
        assert "100% of TOKEN." in caplog.messages
        assert "SECRET" not in caplog.text

    def test_no_part_of_the_token(self, tasks: Tasks, caplog: pytest.LogCaptureFixture) -> None:
        """Nor is it logged in two parts, if a line is so long that it is."""
        tasks.token = "SECRET" * 20
        fill = "head -c {} /dev/zero | tr '\\0' x >&2;"
        tasks.run(f"{fill.format(61_400)} printf %s $SWF_TASK_TOKEN >&2; {fill.format(9_000)}")
        assert "TOKEN" in caplog.text
        assert "SECRET" not in caplog.text


class TestHeartbeats:
    """What heartbeats carry, and what their responses cause."""

    def test_cancellation(self, tasks: Tasks, tmp_path: Path) -> None:
        """SIGTERM reaches the command and its children; they clean up, and stderr's end is the details."""
        tidy = f"trap 'echo bye >&2; touch {tmp_path}/$$.tidied; exit 1' TERM; echo $$ > {tmp_path}/$$.pid;"
        child = f"{tidy} {FOREVER}".replace("'", '"')
        running = tasks.start(f"sh -c '{child}' & {tidy} {FOREVER}", heartbeat=0.05)
        pids = written_pids(tmp_path, 2)
        tasks.request_cancellation()
        assert str(running.result(60)) == "cancelled"
        operation, arguments = tasks.response()
        assert (operation, arguments["details"].count("bye")) == (CANCEL, 2)
        assert len(list(tmp_path.glob("*.tidied"))) == 2
        assert not any(map(is_running, pids))

    def test_grace_period_is_the_childrens_too(self, tasks: Tasks, tmp_path: Path) -> None:
        """A command that ends at once does not shorten it for a child that cleans up."""
        tidy = (
            f'trap "until [ -e {tmp_path}/go ]; do sleep 0.02; done; touch {tmp_path}/tidied; exit" TERM;'
            f" echo $$ > {tmp_path}/c.pid;"
        )
        script = f"trap 'touch {tmp_path}/ended; exit 1' TERM; sh -c '{tidy} {FOREVER}' & {FOREVER}"
        running = tasks.start(script, heartbeat=0.05, grace=3_600)
        written_pids(tmp_path, 1)
        tasks.request_cancellation()
        wait_until(lambda: (tmp_path / "ended").exists())
        (tmp_path / "go").touch()
        assert str(running.result(60)) == "cancelled"
        assert (tmp_path / "tidied").exists()

    def test_stdout_that_goes_on_does_not_fill_the_disk(self, tasks: Tasks, tmp_path: Path) -> None:
        """What is no result any more is not kept until the grace period is over."""
        script = (
            "import os, pathlib, signal, time",
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
            "end = time.monotonic() + 1.5",
            "written = 0",
            "while time.monotonic() < end:",
            "    written += os.write(1, b'x' * 65_536)",
            f"pathlib.Path({str(tmp_path / 'sizes')!r}).write_text(f'{{os.fstat(1).st_size}} {{written}}')",
        )
        tasks.run([sys.executable, "-c", "\n".join(script)], grace=60)
        kept, written = map(int, (tmp_path / "sizes").read_text().split())
        assert kept < written / 2
        assert tasks.response()[1]["reason"] == "the result is over SWF's 32,768 characters"

    @pytest.mark.parametrize("grace", [0, 0.1])
    def test_killed_after_the_grace_period(self, tasks: Tasks, tmp_path: Path, grace: float) -> None:
        """A command that ignores SIGTERM is killed with its children."""
        stubborn = f"trap '' TERM; echo $$ > {tmp_path}/$$.pid; {FOREVER}"
        child = stubborn.replace("'", '"')
        running = tasks.start(f"sh -c '{child}' & {stubborn}", heartbeat=0.05, grace=grace)
        pids = written_pids(tmp_path, 2)
        tasks.request_cancellation()
        assert str(running.result(60)) == "cancelled"
        wait_until(lambda: not any(map(is_running, pids)))

    def test_command_that_completes_all_the_same(self, tasks: Tasks, tmp_path: Path) -> None:
        """One that exits with 0 on SIGTERM completes its task."""
        script = f"trap 'echo partly; exit 0' TERM; echo $$ > {tmp_path}/sh.pid; {FOREVER}"
        running = tasks.start(script, heartbeat=0.05)
        written_pids(tmp_path, 1)
        tasks.request_cancellation()
        assert str(running.result(60)) == "completed"
        assert tasks.response() == (COMPLETE, {"result": "partly"})

    def test_task_that_is_closed_elsewhere(
        self, tasks: Tasks, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The command is stopped, and no response is sent; the log has the end that the history shows."""
        script = f"trap 'touch {tmp_path}/stopped; exit 0' TERM; echo $$ > {tmp_path}/sh.pid; {FOREVER}"
        running = tasks.start(script, heartbeat=0.05)
        pid = written_pids(tmp_path, 1)[0]
        timed_out = {"startedEventId": 6, "timeoutType": "HEARTBEAT"}
        events = [
            {"eventId": 9, "eventType": "ActivityTaskTimedOut", "activityTaskTimedOutEventAttributes": timed_out},
            {"eventId": 6, "eventType": "ActivityTaskStarted"},
        ]
        tasks.stub.reply(HISTORY, {"events": events})
        tasks.stub.fault(HEARTBEAT, "UnknownResourceFault", "no open task")
        settlement = running.result(60)
        assert (settlement.status, settlement.is_confirmed) == ("closed", True)
        assert not {COMPLETE, FAIL, CANCEL}.intersection(tasks.stub.operations())
        assert (tmp_path / "stopped").exists()
        assert not is_running(pid)
        assert caplog.messages[-1].startswith("was closed elsewhere: it timed out (HEARTBEAT) after ")

    def test_details_are_the_last_line_of_the_heartbeat_file(self, tasks: Tasks, tmp_path: Path) -> None:
        """The last line that is not empty, as much of it as SWF accepts; nothing if there is none."""
        contents: list[tuple[bytes, str | None]] = [
            (b"page 7 of 10", "page 7 of 10"),
            (b"page 6\npage 7\n", "page 7"),
            (b"", None),
            (b"page 7\npage 8\n\n\n", "page 8"),
            (b"\n", None),
            ("\U0001f3ac".encode() * 5_000, "\U0001f3ac" * 2_048),
            (b"x" * 100_000 + b"\nlast\n", "last"),
            (b"caf\xe9", "caf�"),
        ]
        tasks.start(f"echo $SWF_HEARTBEAT_FILE > {tmp_path}/name; exec sleep 100", heartbeat=0.03)
        file = heartbeat_file(tmp_path)
        for data, details in contents:
            file.write_bytes(data)
            await_details(tasks, details)

    @pytest.mark.parametrize("kind", ["missing", "directory", "fifo"])
    def test_no_heartbeat_file(self, tasks: Tasks, tmp_path: Path, kind: str) -> None:
        """Without a file that can be read, heartbeats are sent without details, and are not delayed."""
        tasks.start(f"echo $SWF_HEARTBEAT_FILE > {tmp_path}/name; exec sleep 100", heartbeat=0.03)
        file = heartbeat_file(tmp_path)
        if kind == "directory":
            file.mkdir()
        elif kind == "fifo":
            os.mkfifo(file)
        await_details(tasks, None)
        assert set(tasks.heartbeat_details()) == {None}

    def test_heartbeat_file_is_removed(self, tasks: Tasks, tmp_path: Path) -> None:
        """The file is removed when the task is closed."""
        tasks.run(f"echo page 7 > $SWF_HEARTBEAT_FILE; echo $SWF_HEARTBEAT_FILE > {tmp_path}/name")
        assert not heartbeat_file(tmp_path).exists()

    def test_directory_that_was_deleted(self, tasks: Tasks) -> None:
        """A heartbeat file can be written although something deleted the directory while the last task ran."""
        assert str(tasks.run('rm -r "${SWF_HEARTBEAT_FILE%/*}"')) == "completed"
        assert str(tasks.run('echo x > "$SWF_HEARTBEAT_FILE"; rm -r "${SWF_HEARTBEAT_FILE%/*}"')) == "completed"

    def test_sent_until_the_response_is_accepted(self, tasks: Tasks) -> None:
        """A task is kept open while its response is retried."""
        tasks.stub.reset()
        tasks.stub.reply(HEARTBEAT, {"cancelRequested": False})
        tasks.stub.fault(COMPLETE, "ThrottlingException", "Rate exceeded")
        running = tasks.start("true", heartbeat=0.05)
        wait_until(lambda: COMPLETE in tasks.stub.operations())
        count = len(tasks.heartbeat_details())
        wait_until(lambda: len(tasks.heartbeat_details()) >= count + 2)
        tasks.stub.reply(COMPLETE)
        assert running.result(60).status == "accepted"


def heartbeat_file(folder: Path) -> Path:
    """Return the path that a command wrote to the file `name`, once it did."""
    name = folder / "name"
    wait_until(lambda: name.exists() and name.read_text().endswith("\n"))
    return Path(name.read_text().strip())


def await_details(tasks: Tasks, details: str | None) -> None:
    """Wait until two heartbeats with these details were sent from now on."""
    count = len(tasks.heartbeat_details())
    wait_until(lambda: tasks.heartbeat_details()[count:].count(details) >= 2)


class TestShutdown:
    """What stopping the worker means for a task that is running."""

    @pytest.mark.parametrize("code", [0, 9])
    def test_terminate(self, tasks: Tasks, tmp_path: Path, code: int) -> None:
        """The command is stopped, and its task fails with `worker stopped`, whatever the exit code."""
        script = f"trap 'echo bye >&2; exit {code}' TERM; echo $$ > {tmp_path}/sh.pid; {FOREVER}"
        running = tasks.start(script)
        pid = written_pids(tmp_path, 1)[0]
        tasks.shutdown.terminate()
        assert str(running.result(60)) == "failed (worker stopped)"
        operation, arguments = tasks.response()
        assert (operation, arguments["reason"]) == (FAIL, "worker stopped")
        assert arguments["details"].endswith("bye")
        assert not is_running(pid)

    def test_task_that_arrives_after_that(self, tasks: Tasks, tmp_path: Path) -> None:
        """It fails with the same reason, and its command is not started."""
        tasks.shutdown.terminate()
        tasks.run(f"touch {tmp_path}/started")
        assert tasks.response() == (FAIL, {"reason": "worker stopped"})
        assert not (tmp_path / "started").exists()

    def test_kill(self, tasks: Tasks, tmp_path: Path) -> None:
        """A command that ignores SIGTERM is killed before the grace period is over."""
        script = f"trap '' TERM; echo $$ > {tmp_path}/sh.pid; {FOREVER}"
        running = tasks.start(script, grace=3_600)
        pid = written_pids(tmp_path, 1)[0]
        tasks.shutdown.terminate()
        tasks.shutdown.kill()
        assert str(running.result(60)) == "failed (worker stopped)"
        assert not is_running(pid)

    @pytest.mark.usefixtures("stuck")
    @pytest.mark.parametrize("is_cancelled", [False, True])
    def test_command_that_does_not_end(
        self, tasks: Tasks, tmp_path: Path, caplog: pytest.LogCaptureFixture, is_cancelled: bool
    ) -> None:
        """One that waits in the kernel after SIGKILL keeps neither its slot nor the worker: its task fails."""
        running = tasks.start(f"echo bye >&2; echo $$ > {tmp_path}/sh.pid; exec sleep 100", heartbeat=0.05, grace=0)
        (pid,) = written_pids(tmp_path, 1)
        if is_cancelled:
            tasks.request_cancellation()
        else:
            tasks.shutdown.terminate()
        reason = f"process {pid} was killed, but waits in the kernel and does not end"
        assert str(running.result(60)) == f"failed ({reason})"
        assert tasks.response() == (FAIL, {"reason": reason, "details": "bye"})
        assert f"{reason}; it is left to end by itself" in caplog.messages
        assert not is_running(pid)

    @pytest.mark.filterwarnings("ignore:subprocess:ResourceWarning")  # it is left running
    def test_command_of_another_user(
        self, tasks: Tasks, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One that the worker may not signal, such as `sudo`, is not waited for: its task fails."""
        running = tasks.start(f"echo $$ > {tmp_path}/sh.pid; exec sleep 100", grace=30)
        (pid,) = written_pids(tmp_path, 1)
        with monkeypatch.context() as patch:
            patch.setattr(os, "killpg", refuse_signal)
            tasks.shutdown.terminate()
            reason = f"process {pid} runs as another user and cannot be stopped"
            assert str(running.result(60)) == f"failed ({reason})"
        assert f"{reason}; it is left to end by itself" in caplog.messages
        assert is_running(pid)
        os.killpg(pid, signal.SIGKILL)

    def test_kill_abandons_the_response(self, tasks: Tasks) -> None:
        """A response that is not accepted is given up, and the task is not certainly closed."""
        tasks.stub.reset()
        tasks.stub.fault(COMPLETE, "ThrottlingException", "Rate exceeded")
        running = tasks.start("true")
        wait_until(lambda: COMPLETE in tasks.stub.operations())
        tasks.shutdown.kill()
        settlement = running.result(60)
        assert (settlement.status, settlement.is_confirmed) == ("undelivered", False)
