"""Run one task: what executes it, its heartbeats, its response, its log."""

import logging
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from ..heartbeat_timeouts import HeartbeatTimeouts, TimeoutLookup
from ..heartbeats import AutomaticHeartbeatSender, HeartbeatScheduler, HeartbeatSignal
from ..models import TaskReference, WorkerTask, fit_text, format_activity
from ..polling import ReceivedTask
from ..redaction import redact
from ..responding import Outcome, Responder, Settlement
from ..retry import AccessGate, Log, Retrier
from .config import WorkerConfig
from .liveness import Liveness
from .process import WorkerProcess
from .scratch import ScratchDir
from .shutdown import Shutdown
from .start_gate import StartGate

if TYPE_CHECKING:
    import threading

    from ..client.session import Session
    from ..ledger.records import HeldTask
    from ..ledger.store import Ledger

_HISTORY_LAG: Final = 120.0  # seconds within which the history shows a task's end
_END_ATTEMPTS: Final = 5  # reads of the history for the end of a task that is not open
_LONGEST_LINE: Final = 4_096  # characters of stderr that are logged as one line
_WORKER_STOPPED: Final = "worker stopped"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What all tasks of a worker share."""

    session: "Session"
    ledger: "Ledger"
    config: WorkerConfig
    environ: Mapping[bytes, bytes]
    shutdown: Shutdown
    access_gate: AccessGate
    start_gate: StartGate
    scheduler: HeartbeatScheduler
    heartbeat_timeouts: HeartbeatTimeouts
    scratch: ScratchDir
    liveness: Liveness
    retrier: Callable[..., Retrier] = Retrier
    clock: Callable[[], float] = time.monotonic

    def responder(self, stop: "threading.Event", log: Log) -> Responder:
        """Return a Responder for a task."""
        return Responder(
            self.session.single_attempt_client,
            history_for=_HISTORY_LAG,
            end_attempts=_END_ATTEMPTS,
            stop=stop,
            log=log,
            gate=self.access_gate,
            retrier=self.retrier,
        )


class TaskExecutor(Protocol):
    """Executes the tasks of a slot: with a command each, or a handler that is kept running."""

    def run(self, runner: "TaskRunner") -> Outcome | None:
        """Execute a task; return the outcome, or None if the task is not open any more. Raise OSError if it can't."""

    def forward_idle_stderr(self) -> None:
        """Log what was written to stderr since the last task, unless one is executed. Any thread may call this."""

    def close(self) -> None:
        """End: the slot gets no more tasks."""


class TaskLog(logging.LoggerAdapter[logging.Logger]):
    """Logs lines about one task, without its token."""

    def __init__(self, task: "WorkerTask | HeldTask", task_list: str, log: Log = _log) -> None:
        activity, execution = task.activity, task.execution
        about = {
            "id": task.id,
            "workflow_id": execution and execution.id,
            "run_id": execution and execution.run_id,
            "activity": activity and {"name": activity.name, "version": activity.version},
            "task_list": task_list,
        }
        super().__init__(cast("logging.Logger", log), {"task": about} if task.id else {})  # an adapter will do
        self._token = task.token

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the task to a record."""
        return msg, {**kwargs, "extra": {**(self.extra or {}), **kwargs.get("extra", {})}}

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a line without the task's token."""
        super().log(level, "%s", redact(str(msg) % args if args else str(msg), self._token), **kwargs)

    def event(self, event: str, msg: str, *args: object, **fields: Any) -> None:
        """Log a line with the name of what happened, and further fields."""
        self.log(logging.INFO, msg, *args, extra={"event": event, "fields": fields})


class TaskRunner:
    """Runs one received task to completion. Call `run` once; executors use the rest."""

    def __init__(self, context: WorkerContext, received: ReceivedTask, executor: TaskExecutor) -> None:
        self.context = context
        self.task = received.task
        self.source = received.source
        self.log = TaskLog(received.task, received.source.task_list)
        self.heartbeat_details: Callable[[], str | None] = lambda: None
        """Returns the details of the next heartbeat."""
        self._row_key = received.row_key
        self._executor = executor
        self._sender = AutomaticHeartbeatSender(
            context.session,
            received.task.token,
            self._heartbeat_interval(),
            details=lambda: self._redact("heartbeat details", self.heartbeat_details()) or None,
            on_success=context.liveness.touch,
            log=self.log,
            clock=context.clock,
        )

    def _heartbeat_interval(self) -> float | TimeoutLookup | None:
        match self.context.config.heartbeat:
            case "auto":
                return self.context.heartbeat_timeouts.lookup(self.source.domain, self.task, self.log)
            case "off":
                return None
            case seconds:
                return seconds

    def run(self) -> Settlement:
        """Execute the task and respond; return what became of it."""
        task, began = self.task, self.context.clock()
        what = format_activity(task.activity), self.source.task_list, task.execution.run_id
        self.log.event("started", "started: %s, list %s, run %s", *what)
        self.context.scheduler.add(self._sender)
        try:
            outcome = self._execute()
            self.context.liveness.end()  # the responder's calls and waits are limited each, but not together
            responder = self.context.responder(self.context.shutdown.killing, self.log)
            started = task.task_started_execution_history_event_id
            reference = TaskReference(task.token, self.source.domain, task.execution, started)
            if outcome is None:
                settlement = responder.find_closed(reference)
            else:
                reason, details = self._redact("reason", outcome.reason), self._redact("details", outcome.details)
                settlement = responder.deliver(reference, replace(outcome, reason=reason, details=details))
        finally:
            self.context.scheduler.remove(self._sender)
        seconds = self.context.clock() - began
        fields = {"seconds": round(seconds, 3), "reason": settlement.outcome and settlement.outcome.reason}
        self.log.event(settlement.event, "%s after %.1f s", settlement, seconds, **fields)
        return settlement

    def _execute(self) -> Outcome | None:
        if self.context.shutdown.terminating.is_set():
            return Outcome.failed(_WORKER_STOPPED)
        try:
            return self._executor.run(self)
        except (OSError, ValueError) as error:
            return Outcome.failed(f"cannot run the command: {error}")
        except Exception as error:
            # Whatever it is, neither the process nor the task is left behind.
            return Outcome.failed(f"the worker failed: {type(error).__name__}: {error}")

    def _redact(self, kind: str, text: str | None) -> str | None:
        """Return text without secrets, as long as SWF accepts; redacted, it may be longer than it was."""
        return None if text is None else fit_text(kind, redact(text, self.task.token))

    @property
    def signal(self) -> HeartbeatSignal | None:
        """What SWF said of the task in response to a heartbeat."""
        return self._sender.signal

    def is_over(self) -> bool:
        """Return whether the task is not to be executed, or not any longer."""
        self.context.liveness.beat()
        return self.context.shutdown.terminating.is_set() or self._sender.signal is not None

    def outcome_of_stopped(self, process: WorkerProcess | None) -> Outcome | None:
        """Return the outcome of a process that was stopped, or never started; None if the task is closed."""
        details = process.stderr_tail() if process else ""
        match self._sender.signal:
            case HeartbeatSignal.TASK_CLOSED:
                return None
            case _ if process and process.why_stuck:
                return Outcome.failed(process.describe_exit(), details)
            case HeartbeatSignal.CANCEL_REQUESTED:
                return Outcome("cancelled", details=details or None)
        return Outcome.failed(_WORKER_STOPPED, details)

    def record_command(self, group: int, start_id: str | None) -> None:
        """Record the process group that works on the task in the ledger, so that it can be stopped if we die."""
        self.context.ledger.set_command(self._row_key, group, start_id)

    def environment(self) -> dict[bytes, bytes]:
        """Return the environment variables that describe the task to a command: in UTF-8, whatever the locale.

        Raise ValueError if one can't hold its value.
        """
        task = self.task
        variables = {
            b"SWF_TASK_TOKEN": task.token,
            b"SWF_TASK_ID": task.id,
            b"SWF_ACTIVITY_NAME": task.activity.name,
            b"SWF_ACTIVITY_VERSION": task.activity.version,
            b"SWF_WORKFLOW_ID": task.execution.id,
            b"SWF_RUN_ID": task.execution.run_id,
            b"SWF_DOMAIN": self.source.domain,
            b"SWF_TASK_LIST": self.source.task_list,
        }
        for name, value in variables.items():
            if "\0" in value:
                raise ValueError(f"{name.decode()} cannot hold a NUL")
        return {name: value.encode("utf-8", "surrogatepass") for name, value in variables.items()}

    def forward_stderr(self, process: WorkerProcess, *, ended: bool = False) -> None:
        """Log the lines that a process wrote to stderr; that is a sign of life of the slot."""
        self.context.liveness.beat()
        self.log_stderr(process, ended=ended)

    def log_stderr(self, process: WorkerProcess, *, ended: bool = False) -> None:
        """Log the lines that a process wrote to stderr."""
        for line in process.read_stderr_lines(ended=ended, token=self.task.token):
            whole = redact(line, self.task.token)
            for start in range(0, max(1, len(whole)), _LONGEST_LINE):
                self.log.event("stderr", "%s", whole[start : start + _LONGEST_LINE])
