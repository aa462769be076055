"""A process per task: the input on stdin, the result on stdout or in a file."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from ..heartbeats import HeartbeatSignal
from ..models import max_length
from ..processes import start_id
from ..responding import Outcome
from ..turns import waiting
from .files import InvalidResult, ResultReader, check_space, open_input, open_unlinked
from .handlers import NoHandlerError, explain_start_error
from .process import TICK, WorkerProcess
from .scratch import TaskFiles

if TYPE_CHECKING:
    from .task_runner import TaskRunner

_BRIEF: Final = 0.01  # seconds; recording a command that ends within them would take longer than it runs


class CommandProcess(WorkerProcess):
    """A command that runs for one task. Its stdin and stdout are unlinked files, or a pipe with all its input."""

    def __init__(
        self, command: Sequence[str], env: Mapping[bytes, bytes], task_input: str, executable: str | None = None
    ) -> None:
        files = ExitStack()
        with ExitStack() as until_started, files:
            stdout = open_unlinked(files)
            check_space(tempfile.gettempdir())
            stdin = open_input(until_started, task_input.encode("utf-8", "surrogatepass"))
            super().__init__(command, env, executable, (stdin, stdout), files)
        self._stdout = ResultReader(stdout)

    def check_result(self) -> None:
        """Raise InvalidResult if what was written to stdout so far can't become the result of a task."""
        self._stdout.read()

    def result(self) -> str:
        """Return what the command wrote to stdout, less one trailing newline. Raise InvalidResult if it can't be."""
        self._stdout.read(ended=True)
        return self._stdout.text.removesuffix("\n")


class CommandExecutor:
    """Runs a command for each task that it is given."""

    def __init__(self) -> None:
        self._was_brief = False
        """Whether the last command ended so soon that the next one is recorded only if it does not."""

    def run(self, runner: "TaskRunner") -> Outcome | None:
        """Run the command of a task; return the outcome, or None if the task is not open any more.

        Raise OSError or ValueError if it can't be started, even after some time.
        """
        files, command = TaskFiles(), None
        runner.heartbeat_details = lambda: files.read_heartbeat(max_length("heartbeat details"))
        try:
            with waiting():
                command = runner.context.start_gate.start(
                    lambda: self._start(runner, files), is_over=runner.is_over, log=runner.log
                )
            if command is None:
                return runner.outcome_of_stopped(None)
            return self._supervise(runner, command, files)
        except NoHandlerError as error:
            return Outcome.failed(str(error))
        finally:
            if command is not None:
                command.close()
            files.remove()

    def forward_idle_stderr(self) -> None:
        """Do nothing: each command ended with its task."""

    def close(self) -> None:
        """Do nothing: each command ended with its task."""

    def _start(self, runner: "TaskRunner", files: TaskFiles) -> CommandProcess:
        context, task = runner.context, runner.task
        command, executable = context.config.programs.find(task.activity.name)
        try:
            env = {**context.environ, **runner.environment(), **context.scratch.create(files)}
            return CommandProcess(command, env, task.input or "", executable)
        except OSError as error:
            raise explain_start_error(error, executable) from error

    def _supervise(self, runner: "TaskRunner", command: CommandProcess, files: TaskFiles) -> Outcome | None:
        """Wait for the command to end, or stop it; return the outcome, or None if the task is not open any more."""

        def look() -> InvalidResult | None:
            runner.forward_stderr(command)
            return _check_result(command, files)

        is_recorded = not self._was_brief
        if is_recorded:
            runner.record_command(command.group, start_id(command.group))
        self._was_brief = command.wait(_BRIEF)
        if not (is_recorded or self._was_brief):
            runner.record_command(command.group, start_id(command.group))
        while not command.wait(TICK):
            invalid = look()
            if invalid or runner.is_over():
                command.stop(runner.context.config.grace, runner.context.shutdown.killing, look)
                runner.forward_stderr(command, ended=True)
                if invalid:
                    return Outcome.failed(str(invalid), command.stderr_tail())
                return self._outcome_of_stopped(runner, command, files)
        runner.forward_stderr(command, ended=True)
        return _outcome_of(runner, command, files)

    def _outcome_of_stopped(self, runner: "TaskRunner", command: CommandProcess, files: TaskFiles) -> Outcome | None:
        is_cancelled = runner.signal is HeartbeatSignal.CANCEL_REQUESTED
        if is_cancelled and not command.why_stuck and command.returncode() == 0:
            return _outcome_of(runner, command, files)
        return runner.outcome_of_stopped(command)


def _check_result(command: CommandProcess, files: TaskFiles) -> InvalidResult | None:
    """Return why stdout can't be the result any more; None if it can, or if a file is the result."""
    try:
        command.check_result()
    except InvalidResult as error:
        return None if files.has_result() else error
    return None


def _outcome_of(runner: "TaskRunner", command: CommandProcess, files: TaskFiles) -> Outcome:
    """Return the outcome that a command's own end means."""
    if command.returncode() != 0:
        reason = files.read_reason(runner.log) or command.describe_exit()
        return Outcome.failed(reason, command.stderr_tail())
    try:
        written = files.read_result(runner.log)
        return Outcome("completed", result=command.result() if written is None else written)
    except InvalidResult as error:
        return Outcome.failed(str(error), command.stderr_tail())
