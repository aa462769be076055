"""Handlers that are kept running: the protocol, and what becomes of a task when a handler breaks it."""

import errno
import json
import logging
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from swf_cli.responding import Settlement
from swf_cli.worker import stream
from swf_cli.worker.handlers import FixedCommand
from swf_cli.worker.stream import StreamExecutor, StreamProcess
from tests.helpers.cli import wait_until
from tests.helpers.ledger import open_descriptors
from tests.helpers.operations import CANCEL, COMPLETE, FAIL, HEARTBEAT, HISTORY
from tests.helpers.processes import is_running, written_pids
from tests.helpers.worker_tasks import Tasks

PRELUDE = """
import json, os, select, signal, sys, time
def say(**message):
    print(json.dumps(message), flush=True)
def read():
    line = sys.stdin.readline()
    return json.loads(line) if line else sys.exit(0)
def until(name):
    while not os.path.exists(name):
        time.sleep(0.01)
def mark(name, text=""):
    with open(name + ".new", "w") as file:
        file.write(text)
    os.rename(name + ".new", name)
"""

TEXTS = {"reason": "no disk", "details": "full"}


class Handlers:
    """Passes tasks to a handler, one after the other, as a slot of a worker does."""

    def __init__(self, tasks: Tasks, folder: Path) -> None:
        self.tasks = tasks
        self.folder = folder
        self._execution: StreamExecutor | None = None

    def use(self, program: str | list[str], *, longest_end: float = 1.0, **config: Any) -> None:
        """Use a Python script, which begins with `PRELUDE` and runs in the test's folder, or a command."""
        if isinstance(program, str):
            body = f"{PRELUDE}os.chdir({str(self.folder)!r})\n{textwrap.dedent(program)}"
            program = [sys.executable, "-S", "-c", body]
        self.context = self.tasks.context(FixedCommand(program), stream=True, **{"grace": 5.0, **config})
        self._execution = StreamExecutor(self.context, longest_end)

    def start(self, task_input: str = "", **task: Any) -> "Future[Settlement]":
        """Start a task."""
        assert self._execution is not None
        return self.tasks.submit(self.context, self._execution, task_input, **task)

    def run(self, task_input: str = "", **task: Any) -> tuple[str, dict[str, Any]]:
        """Run a task, and return the response to it."""
        self.start(task_input, **task).result(60)
        return self.tasks.responses()[-1]

    def result(self, task_input: str = "") -> str:
        """Run a task, and return its result."""
        operation, arguments = self.run(task_input)
        assert operation == COMPLETE, arguments
        return str(arguments["result"])

    def close(self) -> None:
        """End the slot."""
        if self._execution is not None:
            self._execution.close()


@pytest.fixture
def handlers(tasks: Tasks, tmp_path: Path) -> Iterator[Handlers]:
    """A slot of a worker; its handler is killed at the end."""
    handlers = Handlers(tasks, tmp_path)
    yield handlers
    tasks.shutdown.kill()
    handlers.close()


ECHO_PID = "while task := read(): say(result=str(os.getpid()))"


class TestTasks:
    """What a handler gets, and what its response means."""

    def test_task_is_what_poll_prints(self, handlers: Handlers) -> None:
        """One line, in UTF-8, with the keys of `swf poll` except `held_key`."""
        handlers.use("while line := sys.stdin.readline(): say(result=line)")
        text = '"in" é\n\u2028🎬.png'
        line = handlers.result(text)
        assert line.endswith("}\n")
        assert json.loads(line) == {
            "token": "TOKEN",
            "id": "resize-1",
            "activity": {"name": "resize", "version": "2"},
            "execution": {"id": "video-7", "run_id": "RUN"},
            "task_started_execution_history_event_id": 6,
            "input": text,
            "domain": "media",
            "task_list": "work",
        }

    def test_one_process_for_many_tasks(self, handlers: Handlers) -> None:
        """It is kept running, as the child of the worker and the leader of a process group."""
        handlers.use("while read(): say(result=f'{os.getpid()} {os.getppid()} {os.getpgrp()}')")
        results = {handlers.result() for _ in range(5)}
        (pid, parent, group) = results.pop().split()
        assert not results
        assert (parent, group) == (str(os.getpid()), pid)

    @pytest.mark.parametrize("size", [0, 1, 32_768])
    def test_input_and_result_of_any_length(self, handlers: Handlers, size: int) -> None:
        """Emoji, which take most bytes, up to SWF's limit; and back."""
        handlers.use("while task := read(): say(result=task['input'])")
        assert handlers.result("🎬" * size) == "🎬" * size

    def test_shell_handler(self, handlers: Handlers) -> None:
        """A shell can be one, and CR LF ends a line too."""
        handlers.use(["sh", "-c", r"""while read -r line; do printf '{"result": "done"}\r\n'; done"""])
        assert [handlers.result(), handlers.result()] == ["done", "done"]

    def test_environment(self, handlers: Handlers) -> None:
        """It names no task: also not the one that the worker itself may run for."""
        names = ("SWF_TASK_TOKEN", "SWF_WORKFLOW_ID", "SWF_RESULT_FILE", "SWF_REASON_FILE")
        handlers.tasks.environ |= dict.fromkeys(names, "outer")
        handlers.tasks.environ |= {"SWF_DOMAIN": "media", "AWS_REGION": "eu-west-1"}
        handlers.use("while read(): say(result=' '.join(sorted(os.environ)))")
        found = [name for name in handlers.result().split() if name.startswith(("SWF_", "AWS_"))]
        assert found == ["AWS_REGION", "SWF_DOMAIN"]

    def test_heartbeats(self, handlers: Handlers) -> None:
        """The last text is sent with each heartbeat, until another replaces it; a new task begins without one."""
        handlers.use(
            """
            while read():
                until("first"); say(heartbeat="page 1"); say(heartbeat="page 2")
                until("second"); say(heartbeat="\\U0001f3ac" * 3_000)
                until("third"); say(heartbeat="lone \\ud83d")
                until("fourth"); say(result="done")
            """,
            heartbeat=0.03,
        )
        running = handlers.start()
        expected = [None, "page 2", "🎬" * 2_048, "lone �"]
        for details, step in zip(expected, ("first", "second", "third", "fourth"), strict=True):
            count = len(handlers.tasks.heartbeat_details())
            wait_until(lambda: handlers.tasks.heartbeat_details()[count:].count(details) >= 2)  # noqa: B023
            (handlers.folder / step).touch()
        assert str(running.result(60)) == "completed"

    @pytest.mark.parametrize(
        ("message", "operation", "arguments"),
        [
            ({"result": "done\n"}, COMPLETE, {"result": "done\n"}),
            ({"failed": TEXTS}, FAIL, TEXTS),
            ({"failed": {"reason": "no disk"}}, FAIL, {"reason": "no disk"}),
            ({"failed": {"reason": "x" * 257}}, FAIL, {"reason": "x" * 256}),
            ({"failed": {"reason": "é" * 256}}, FAIL, {"reason": "é" * 256}),
            ({"failed": {"details": "a" + "x" * 32_768}}, FAIL, {"reason": "", "details": "x" * 32_768}),
            ({"failed": {"reason": "lone \ud83d", "details": None}}, FAIL, {"reason": "lone �"}),
            ({"cancelled": {"details": "tidied up"}}, CANCEL, {"details": "tidied up"}),
            ({"cancelled": {}}, CANCEL, {}),
            (
                {"result": "x" * 32_769},
                FAIL,
                {"reason": "invalid result: result is 32,769 characters long: SWF accepts at most 32,768"},
            ),
            ({"result": "lone \ud83d"}, FAIL, {"reason": "invalid result: result is not UTF-8 text"}),
        ],
        ids=str,
    )
    def test_responses(
        self, handlers: Handlers, message: dict[str, Any], operation: str, arguments: dict[str, Any]
    ) -> None:
        """Each kind, and what is too long: a result fails the task, failure text is cut; the handler goes on."""
        handlers.use(
            """
            say(**json.loads(read()["input"]))
            read(); say(result="and on")
            """
        )
        assert handlers.run(json.dumps(message)) == (operation, arguments)
        assert handlers.result() == "and on"

    def test_reason_that_is_cut(self, handlers: Handlers, caplog: pytest.LogCaptureFixture) -> None:
        """The log says so, of that task."""
        handlers.use("read(); say(failed={'reason': 'x' * 257})")
        handlers.run()
        (record,) = [record for record in caplog.records if "cut off" in record.getMessage()]
        assert record.getMessage() == "the reason is longer than 256 characters; the rest is cut off"
        assert vars(record)["task"]["id"] == "resize-1"


class TestLines:
    """Lines that a handler writes, one by one."""

    @pytest.mark.parametrize("size", [1_048_576, 1_048_577, 5_000_000])
    @pytest.mark.parametrize("end", ["\n", ""])
    def test_longest_line(self, handlers: Handlers, size: int, end: str) -> None:
        """A line may have 1 MiB: of a longer one no more is read, whether it ever ends or not."""
        handlers.use(
            f"""
            read()
            text = json.dumps({{"heartbeat": ""}})
            sys.stdout.write(text[:-2] + "x" * ({size} - len(text)) + text[-2:] + {end!r})
            sys.stdout.flush()
            until("go")
            say(result="done")
            """
        )
        if size > 1_048_576:
            assert handlers.run() == (FAIL, {"reason": "the handler wrote a line over 1,048,576 bytes"})
        elif end:
            (handlers.folder / "go").touch()
            assert handlers.result() == "done"


READS = [
    (
        "read(); print('oops', file=sys.stderr, flush=True); print('{}', flush=True); time.sleep(100)",
        "the handler wrote a line that is not the protocol: '{}'",
        "oops",
    ),
    ("read(); print('oops', file=sys.stderr); sys.exit(3)", "exit 3", "oops"),
    ("read(); sys.exit(0)", "exit 0", None),
    ("read(); sys.stdout.write(json.dumps({'result': 'done'})); sys.exit(0)", "exit 0", None),
    ("read(); os.kill(os.getpid(), 9)", "signal SIGKILL", None),
    ('read(); sys.stdout.write(\'{"result": "do\'); sys.exit(1)', "exit 1", None),
    ("read(); say(heartbeat='x'); sys.exit(2)", "exit 2", None),
    ("read(); os.close(1); time.sleep(0.3); sys.exit(3)", "exit 3", None),
    ("read(); os.close(1); time.sleep(100)", "the handler closed its stdout", None),
]
DOES_NOT_READ = [
    ("print('welcome', flush=True); read()", "the handler wrote a line that is not JSON: 'welcome'", None),
    ("sys.exit(0)", "exit 0", None),
    ("os.close(0); mark('closed'); time.sleep(100)", "the handler closed its stdin", None),
    ("os.close(0); say(result='x'); time.sleep(100)", "the handler responded before it read its task", None),
    ("say(result='x'); time.sleep(100)", "the handler responded before it read its task", None),
    ("say(result='x'); sys.exit(0)", "the handler responded before it read its task", None),
]


class TestBrokenHandlers:
    """What does not keep to the protocol fails its task, and never the next one: another handler gets that."""

    @pytest.mark.parametrize(
        ("size", "script", "reason", "details"),
        [(10, *case) for case in READS + DOES_NOT_READ] + [(32_768, *case) for case in DOES_NOT_READ],
    )
    def test_task_fails_and_the_next_one_gets_another_handler(
        self, handlers: Handlers, size: int, script: str, reason: str, details: str | None
    ) -> None:
        """The first handler breaks the protocol, after it noted its process ID; the second one does not.

        32,768 characters do not fit the pipe, which makes a difference to handlers that do not read.
        """
        handlers.use(
            f"""
            if not os.path.exists("pid"):
                mark("pid", str(os.getpid()))
                {script}
            while read(): say(result=str(os.getpid()))
            """,
            longest_end=0.1 if reason.startswith("the handler closed") else 1.0,
            grace=0.1,
        )
        expected = {"reason": reason} if details is None else {"reason": reason, "details": details}
        assert handlers.run("🎬" * size) == (FAIL, expected)
        first = int((handlers.folder / "pid").read_text())
        assert handlers.result() != str(first)
        assert not is_running(first)

    def test_line_without_newline(self, handlers: Handlers, caplog: pytest.LogCaptureFixture) -> None:
        """It is no response; the log says so."""
        handlers.use("read(); sys.stdout.write(json.dumps({'result': 'done'}))")
        assert handlers.run("") == (FAIL, {"reason": "exit 0"})
        assert 'the handler\'s last line has no newline: \'{"result": "done"}\'' in caplog.messages

    def test_two_responses_at_once(self, handlers: Handlers, caplog: pytest.LogCaptureFixture) -> None:
        """The first one counts; the second one is never that of the next task."""
        handlers.use(
            """
            if not os.path.exists("first"):
                mark("first"); read()
                print('{"result": "one"}\\n{"result": "two"}', flush=True)
                time.sleep(100)
            while read(): say(result="of another handler")
            """
        )
        assert [handlers.result(), handlers.result()] == ["one", "of another handler"]
        assert "the handler wrote more after its response; it is replaced" in caplog.messages

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows when a pipe is empty")
    @pytest.mark.parametrize("size", [0, 5_000, 32_768])
    def test_second_response_as_the_next_task_arrives(self, handlers: Handlers, size: int) -> None:
        """A handler that responds again and then reads on: that is never the response to the task that it reads."""
        handlers.use(
            """
            if not os.path.exists("first"):
                mark("first"); read(); say(result="one")
                select.select([0], [], []); say(result="one again")
            while read(): say(result="another")
            """
        )
        assert handlers.result() == "one"
        reason = "the handler responded before it read its task"
        assert handlers.run("x" * size) == (FAIL, {"reason": reason})
        assert handlers.result("x" * size) == "another"

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows when a pipe is empty")
    def test_handler_that_needs_no_newline(self, handlers: Handlers) -> None:
        """A task is not whole before the handler has read what comes before its end: here it reads bytes."""
        handlers.use(
            """
            task = b""
            while data := os.read(0, 1 << 20):
                task += data
                try:
                    found = json.loads(task)
                except ValueError:
                    continue
                task = b""; say(result=found["input"])
            """
        )
        for text in ("a", "{}" * 3_000, "", "}\n"):
            assert handlers.result(text) == text

    def test_two_responses_at_once_to_a_later_task(self, handlers: Handlers) -> None:
        """The first one may be a second one to the task before: neither becomes a result."""
        handlers.use(
            """
            if not os.path.exists("first"):
                mark("first"); read(); say(result="one"); read()
                print('{"result": "one again"}\\n{"result": "two"}', flush=True)
                time.sleep(100)
            while read(): say(result="of another handler")
            """
        )
        assert handlers.result() == "one"
        assert handlers.run() == (FAIL, {"reason": "the handler responded twice, maybe first to its last task"})
        assert handlers.result() == "of another handler"

    @pytest.mark.parametrize("line", ['{"result": "two"}', "bye", '{"heartbeat": "still here"}', "\\ud83d"])
    def test_output_between_two_tasks(self, handlers: Handlers, caplog: pytest.LogCaptureFixture, line: str) -> None:
        """What a handler writes while it has no task is never the response to the next one."""
        handlers.use(
            f"""
            if not os.path.exists("first"):
                mark("first"); read(); say(result="one"); until("go")
                os.write(1, {line.encode()!r} + b"\\n")
                mark("written"); time.sleep(100)
            while read(): say(result="of another handler")
            """
        )
        assert handlers.result() == "one"
        (handlers.folder / "go").touch()
        wait_until((handlers.folder / "written").exists)
        assert handlers.result() == "of another handler"
        assert "the handler wrote to stdout between two tasks, or closed it; it is replaced" in caplog.messages

    def test_handler_that_never_reads(self, handlers: Handlers) -> None:
        """Input that fits no pipe blocks nothing: heartbeats are sent, and a request to cancel stops the handler."""
        handlers.use("mark('pid', str(os.getpid())); time.sleep(100)", heartbeat=0.05, grace=0)
        running = handlers.start("🎬" * 32_768)
        wait_until((handlers.folder / "pid").exists)
        wait_until(lambda: len(handlers.tasks.heartbeat_details()) > 2)
        handlers.tasks.request_cancellation()
        assert str(running.result(60)) == "cancelled"
        assert not is_running(int((handlers.folder / "pid").read_text()))

    def test_child_that_holds_stdout(self, handlers: Handlers) -> None:
        """The end of a handler is noticed although a child of it still has its streams."""
        handlers.use(
            """
            read()
            child = os.fork()
            if not child:
                time.sleep(100)
            mark("child", str(child))
            os._exit(3)
            """
        )
        try:
            assert handlers.run() == (FAIL, {"reason": "exit 3"})
        finally:
            os.kill(int((handlers.folder / "child").read_text()), signal.SIGKILL)

    def test_children_that_write_without_end(self, handlers: Handlers) -> None:
        """The end of the handler is noticed all the same; they end, since nobody reads what they write."""
        handlers.use(
            """
            read()
            for number in range(4):
                if not os.fork():
                    mark(f"{number}.pid", f"{os.getpid()}\\n")
                    while True:
                        os.write(1, b'{"heartbeat": "x"}\\n' * 200)
            until("3.pid")
            os._exit(3)
            """
        )
        assert handlers.run() == (FAIL, {"reason": "exit 3"})
        handlers.close()
        wait_until(lambda: not any(map(is_running, written_pids(handlers.folder, 4))))

    def test_handler_that_cannot_be_started(self, handlers: Handlers, tmp_path: Path) -> None:
        """The task fails, and the reason says why."""
        program = tmp_path / "gone"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        handlers.use([str(program)])
        program.unlink()
        reason = f"cannot run the command: No such file or directory: {program}"
        assert handlers.run() == (FAIL, {"reason": reason})

    def test_error_after_the_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The handler is killed and reaped, since nothing else knows of it, and leaves no file open."""
        pids: list[int] = []

        def refuse(pid: int) -> str:
            pids.append(pid)
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

        monkeypatch.setattr(stream, "start_id", refuse)
        before = open_descriptors()
        with pytest.raises(BlockingIOError):
            StreamProcess(["cat"], {b"PATH": os.fsencode(os.environ["PATH"])}, "/bin/cat")
        assert open_descriptors() == before
        with pytest.raises(ChildProcessError):
            os.waitpid(pids[0], os.WNOHANG)


class TestRecycling:
    """Handlers that end between two tasks."""

    def test_exit_while_idle(self, handlers: Handlers, caplog: pytest.LogCaptureFixture) -> None:
        """With code 0 it is replaced silently; with another one that is logged too."""
        handlers.use(
            """
            number = int(read()["input"])
            say(result=str(os.getpid()))
            sys.exit(number)
            """
        )
        pids = set()
        for number in ("0", "3", "0"):
            pids.add(pid := int(handlers.result(number)))
            wait_until(lambda: not is_running(pid))
        assert len(pids) == 3
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert warnings == ["the handler ended between two tasks (exit 3)"]

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is not known what is in a pipe")
    @pytest.mark.parametrize(
        ("end", "how"),
        [("sys.exit(0)", None), ("sys.exit(3)", "exit 3"), ("os.kill(os.getpid(), 9)", "signal SIGKILL")],
    )
    def test_end_just_as_a_task_arrives(
        self, handlers: Handlers, caplog: pytest.LogCaptureFixture, end: str, how: str | None
    ) -> None:
        """A task that a handler never read goes to the next one; with another code than 0, its end is logged."""
        handlers.use(
            f"""
            if not os.path.exists("first"):
                mark("first"); read(); say(result="one"); select.select([0], [], []); {end}
            while read(): say(result="two")
            """
        )
        assert handlers.result() == "one"
        assert handlers.result() == "two"
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert warnings == ([] if how is None else [f"the handler ended between two tasks ({how})"])

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is not known what is in a pipe")
    def test_handlers_that_all_end_just_as_a_task_arrives(self, handlers: Handlers) -> None:
        """The second one that does fails the task: no handler may be able to read it."""
        handlers.use(
            """
            if not os.path.exists("first"):
                mark("first"); read(); say(result="one")
            select.select([0], [], []); sys.exit(3)
            """
        )
        assert handlers.result() == "one"
        assert handlers.run() == (FAIL, {"reason": "exit 3"})

    def test_handler_that_closes_stdin_after_its_task(self, handlers: Handlers) -> None:
        """Its response counts; the next task goes to another one."""
        handlers.use("read(); os.close(0); say(result=str(os.getpid())); time.sleep(100)", grace=0.1)
        assert handlers.result() != handlers.result()

    def test_stderr_between_two_tasks(self, handlers: Handlers, caplog: pytest.LogCaptureFixture) -> None:
        """It is logged with the task before, and is no detail of the next one's failure."""
        handlers.use(
            """
            read(); say(result="one"); until("go")
            print("cache written", file=sys.stderr, flush=True); mark("written")
            read(); print("oops", file=sys.stderr, flush=True); sys.exit(3)
            """
        )
        handlers.result()
        (handlers.folder / "go").touch()
        wait_until((handlers.folder / "written").exists)
        operation, arguments = handlers.run(activityId="resize-2")
        assert (operation, arguments) == (FAIL, {"reason": "exit 3", "details": "oops"})
        lines = [
            (record.getMessage(), vars(record)["task"]["id"])
            for record in caplog.records
            if vars(record).get("event") == "stderr"
        ]
        assert lines == [("cache written", "resize-1"), ("oops", "resize-2")]


class TestCancellation:
    """A request to cancel, and a task that is closed elsewhere."""

    def test_handler_that_cancels(self, handlers: Handlers) -> None:
        """It is told, responds, and gets the next task."""
        handlers.use(
            """
            read(); mark("started")
            assert read() == {"cancel_requested": True}
            say(cancelled={"details": "tidied up"})
            read(); say(result="the same")
            """,
            heartbeat=0.05,
        )
        running = handlers.start()
        wait_until((handlers.folder / "started").exists)
        handlers.tasks.request_cancellation()
        running.result(60)
        assert handlers.tasks.responses() == [(CANCEL, {"details": "tidied up"})]
        assert handlers.result() == "the same"

    @pytest.mark.parametrize(
        ("response", "expected"),
        [
            ({"result": "all the same"}, (COMPLETE, {"result": "all the same"})),
            ({"failed": {"reason": "broke"}}, (FAIL, {"reason": "broke"})),
        ],
    )
    def test_handler_that_responds_otherwise(
        self, handlers: Handlers, response: dict[str, Any], expected: tuple[str, dict[str, Any]]
    ) -> None:
        """Its response counts; but the request that it never read would be its next task, so it gets none."""
        handlers.use(
            f"""
            if not os.path.exists("first"):
                read(); mark("first"); select.select([0], [], []); say(**{response!r}); time.sleep(100)
            while read(): say(result="of another handler")
            """,
            heartbeat=0.05,
        )
        running = handlers.start()
        wait_until((handlers.folder / "first").exists)
        handlers.tasks.request_cancellation()
        running.result(60)
        assert handlers.tasks.responses() == [expected]
        assert handlers.result() == "of another handler"

    @pytest.mark.parametrize("is_stubborn", [False, True])
    def test_handler_that_does_not_respond(self, handlers: Handlers, is_stubborn: bool) -> None:
        """After the grace period it gets SIGTERM, and then SIGKILL; its task is cancelled with the end of stderr."""
        handlers.use(
            f"""
            def on_term(number, frame):
                print("bye", file=sys.stderr, flush=True)
                if not {is_stubborn}: sys.exit(0)
            signal.signal(signal.SIGTERM, on_term)
            mark("pid", str(os.getpid()))
            while True: read()
            """,
            heartbeat=0.05,
            grace=0.1,
        )
        running = handlers.start()
        wait_until((handlers.folder / "pid").exists)
        handlers.tasks.request_cancellation()
        assert str(running.result(60)) == "cancelled"
        assert handlers.tasks.responses() == [(CANCEL, {"details": "bye"})]
        wait_until(lambda: not is_running(int((handlers.folder / "pid").read_text())))

    def test_handler_that_ends(self, handlers: Handlers) -> None:
        """One that exits once it is told cancels its task, whatever the code."""
        handlers.use("read(); mark('started'); read(); print('bye', file=sys.stderr); sys.exit(3)", heartbeat=0.05)
        running = handlers.start()
        wait_until((handlers.folder / "started").exists)
        handlers.tasks.request_cancellation()
        running.result(60)
        assert handlers.tasks.responses() == [(CANCEL, {"details": "bye"})]

    def test_task_that_is_closed_elsewhere(self, handlers: Handlers) -> None:
        """The handler is stopped at once, and nothing is sent; the next task gets another one."""
        handlers.use(
            """
            if not os.path.exists("pid"):
                mark("pid", str(os.getpid())); read(); time.sleep(100)
            while read(): say(result="of another handler")
            """,
            heartbeat=0.05,
        )
        stub = handlers.tasks.stub
        running = handlers.start()
        wait_until((handlers.folder / "pid").exists)
        timed_out = {"startedEventId": 6, "timeoutType": "HEARTBEAT"}
        events = [
            {"eventId": 9, "eventType": "ActivityTaskTimedOut", "activityTaskTimedOutEventAttributes": timed_out},
            {"eventId": 6, "eventType": "ActivityTaskStarted"},
        ]
        stub.reply(HISTORY, {"events": events})
        stub.fault(HEARTBEAT, "UnknownResourceFault", "no open task")
        assert running.result(60).status == "closed"
        assert handlers.tasks.responses() == []
        assert not is_running(int((handlers.folder / "pid").read_text()))
        stub.reset()
        stub.reply(COMPLETE)
        stub.reply(HEARTBEAT, {"cancelRequested": False})
        assert handlers.result() == "of another handler"


class TestEnd:
    """The end of a slot."""

    @pytest.fixture
    def idle(self, handlers: Handlers) -> Callable[..., int]:
        """Use a handler that did one task, and return its process ID."""

        def use(script: str, **config: Any) -> int:
            handlers.use(f"read(); say(result=str(os.getpid()))\n{textwrap.dedent(script)}", **config)
            return int(handlers.result())

        return use

    def test_stdin_is_closed(self, handlers: Handlers, idle: Callable[..., int]) -> None:
        """The handler sees the end of its input, and has the grace period to exit."""
        pid = idle("assert not sys.stdin.readline()\ntime.sleep(0.3)\nmark('tidied')", grace=60)
        handlers.close()
        assert (handlers.folder / "tidied").exists()
        assert not is_running(pid)

    @pytest.mark.parametrize("on_term", ["signal.SIG_DFL", "signal.SIG_IGN"])
    def test_handler_that_does_not_exit(self, handlers: Handlers, idle: Callable[..., int], on_term: str) -> None:
        """After the grace period it gets SIGTERM, and then SIGKILL."""
        pid = idle(f"signal.signal(signal.SIGTERM, {on_term})\nmark('ready')\ntime.sleep(100)", grace=0.1)
        wait_until((handlers.folder / "ready").exists)
        handlers.close()
        assert not is_running(pid)

    @pytest.mark.parametrize("stage", ["terminate", "kill"])
    def test_second_signal_ends_the_grace(self, handlers: Handlers, idle: Callable[..., int], stage: str) -> None:
        """A handler that does not exit is terminated, or killed, at once."""
        on_term = "signal.SIG_IGN" if stage == "kill" else "signal.SIG_DFL"
        pid = idle(f"signal.signal(signal.SIGTERM, {on_term})\nmark('ready')\ntime.sleep(100)", grace=3_600)
        wait_until((handlers.folder / "ready").exists)
        getattr(handlers.tasks.shutdown, stage)()
        handlers.close()
        assert not is_running(pid)

    @pytest.mark.usefixtures("stuck")
    def test_handler_that_never_ends(self, handlers: Handlers) -> None:
        """One that waits in the kernel after SIGKILL keeps its slot from nothing: the next task gets another one."""
        handlers.use(
            """
            if not os.path.exists("1.pid"):
                mark("1.pid", f"{os.getpid()}\\n"); read(); say(nonsense=1); time.sleep(100)
            while read(): say(result="of another handler")
            """,
            grace=0,
        )
        assert handlers.run()[1]["reason"].startswith("the handler wrote a line that is not the protocol")
        assert handlers.result() == "of another handler"
        handlers.close()
        assert not is_running(*written_pids(handlers.folder, 1))

    def test_terminate_stops_a_busy_handler(self, handlers: Handlers) -> None:
        """Its task fails with `worker stopped` and the end of stderr."""
        handlers.use("mark('1.pid', f'{os.getpid()}\\n'); read(); time.sleep(100)")
        running = handlers.start()
        (pid,) = written_pids(handlers.folder, 1)
        handlers.tasks.shutdown.terminate()
        assert str(running.result(60)) == "failed (worker stopped)"
        assert not is_running(pid)
