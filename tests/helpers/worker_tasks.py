"""One task of a worker after the other, without a worker: against a stub, each in a thread."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from swf_cli.client.session import Session
from swf_cli.heartbeat_timeouts import HeartbeatTimeouts
from swf_cli.heartbeats import HeartbeatScheduler
from swf_cli.ledger.records import PollSource
from swf_cli.ledger.store import Ledger
from swf_cli.models import WorkerTask
from swf_cli.polling import ReceivedTask
from swf_cli.responding import Settlement
from swf_cli.retry import AccessGate, Retrier
from swf_cli.worker.command import CommandExecutor
from swf_cli.worker.config import WorkerConfig
from swf_cli.worker.handlers import FixedCommand, Programs
from swf_cli.worker.liveness import Liveness
from swf_cli.worker.process import encode_environ
from swf_cli.worker.scratch import ScratchDir, TaskFiles
from swf_cli.worker.shutdown import Shutdown
from swf_cli.worker.start_gate import StartGate
from swf_cli.worker.task_runner import TaskExecutor, TaskRunner, WorkerContext
from tests.helpers.cli import TASK
from tests.helpers.operations import CANCEL, COMPLETE, FAIL, HEARTBEAT
from tests.helpers.stub_service import StubService


class Tasks:
    """Runs commands for tasks, each in a thread."""

    def __init__(self, stub: StubService, session: Session, pool: ThreadPoolExecutor) -> None:
        self.stub = stub
        self.token = "TOKEN"
        self.shutdown = Shutdown()
        self.ledger = Ledger(None)
        self.scheduler = HeartbeatScheduler()
        self.environ = {"PATH": os.environ["PATH"]}
        self._session = session
        self._pool = pool
        self._contexts: list[WorkerContext] = []

    def context(self, programs: Programs, **config: Any) -> WorkerContext:
        """Return what tasks of a worker share; without heartbeats, unless told otherwise."""
        context = WorkerContext(
            session=self._session,
            ledger=self.ledger,
            config=WorkerConfig(programs, **{"heartbeat": "off", **config}),
            environ=encode_environ(self.environ),
            shutdown=self.shutdown,
            access_gate=AccessGate(),
            start_gate=StartGate(0, lambda error: None),
            scheduler=self.scheduler,
            heartbeat_timeouts=HeartbeatTimeouts(self._session),
            scratch=ScratchDir(None),
            liveness=Liveness({}),
            retrier=partial(Retrier, first=0.01),
        )
        self._contexts.append(context)
        return context

    def submit(
        self, context: WorkerContext, executor: TaskExecutor, task_input: str = "", **task: Any
    ) -> "Future[Settlement]":
        """Start a task."""
        source = PollSource("media", "work", "me", None, "us-east-1", self.stub.url)
        response = {**TASK, "taskToken": self.token, "input": task_input, **task}
        received = ReceivedTask(WorkerTask.from_api(response), source, "key")
        return self._pool.submit(TaskRunner(context, received, executor).run)

    def start(
        self,
        script: str | list[str],
        task_input: str = "",
        before: Callable[[], object] = lambda: None,
        **config: Any,
    ) -> "Future[Settlement]":
        """Start a shell script, or a command.

        `before` is called once the command was found, and before it is started.
        """
        programs = FixedCommand(["sh", "-c", script] if isinstance(script, str) else script)
        before()
        return self.submit(self.context(programs, **config), CommandExecutor(), task_input)

    def run(self, script: str | list[str], task_input: str = "", **config: Any) -> Settlement:
        """Run a shell script, or a command, to its end."""
        return self.start(script, task_input, **config).result(60)

    def responses(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the responses that were sent, without the token."""
        return [
            (operation, {name: value for name, value in arguments.items() if name != "taskToken"})
            for operation, arguments in self.stub.requests
            if operation in (COMPLETE, FAIL, CANCEL)
        ]

    def response(self) -> tuple[str, dict[str, Any]]:
        """Return the one response that was sent, without the token."""
        (response,) = self.responses()
        return response

    def heartbeat_details(self) -> list[str | None]:
        """Return the details of each heartbeat."""
        return [arguments.get("details") for operation, arguments in self.stub.requests if operation == HEARTBEAT]

    def request_cancellation(self) -> None:
        """Let the response to the next heartbeat request cancellation."""
        self.stub.reply(HEARTBEAT, {"cancelRequested": True})

    def close(self) -> None:
        """Stop what is still running."""
        self.shutdown.kill()
        self._pool.shutdown()
        for context in self._contexts:
            context.scratch.remove()


def folder_of(scratch: ScratchDir) -> Path:
    """Return the folder in which the files of the next task are created."""
    files = TaskFiles()
    variables = scratch.create(files)
    files.remove()
    return Path(os.fsdecode(variables[b"SWF_RESULT_FILE"])).parent
