"""The worker: slots that poll, and run a command for each task, until it is stopped."""

import errno
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ..client.session import Session
from ..errors import AccessError, ConfigurationError, IncompleteTask, SwfError, explain_unexpected
from ..heartbeat_timeouts import HeartbeatTimeouts
from ..heartbeats import HeartbeatScheduler
from ..ledger.records import HeldTask, PollSource
from ..ledger.store import Ledger
from ..models import TaskReference
from ..polling import ListRotation, Poller, PollObserver, ReceivedTask
from ..redaction import redact
from ..responding import Outcome, Settlement
from ..retry import TRANSIENT, AccessGate, Retrier
from ..times import format_duration
from ..turns import Turns
from .command import CommandExecutor
from .config import WorkerConfig, WorkerStats
from .files import check_temporary_space, describe_open_error
from .liveness import RETRY_ALLOWANCE, SERVICE_VARIABLES, Liveness
from .orphans import fail_orphans, find_orphans, stop_commands
from .process import encode_environ
from .scratch import ScratchDir
from .shutdown import Shutdown
from .start_gate import StartGate
from .stream import StreamExecutor
from .task_runner import TaskExecutor, TaskRunner, WorkerContext

_HOLD: Final = 60  # seconds that SWF holds a poll
_TICK: Final = 0.2  # seconds between looks at the slots
_ORPHAN_RETRIES: Final = 60.0  # seconds for which failing the task of a dead worker is retried
_IDLE_INTERVAL: Final = 1.0  # seconds between looks at what idle handlers write
_FATAL_DELAY: Final = 1.0  # seconds after which a fatal error is logged before the worker has ended

_log = logging.getLogger(__name__)


class Worker:
    """Polls task lists and runs a program for each task, until `shutdown` or its configuration stops it.

    Args:
        sources: where to poll; at least one
        retrier: creates the Retriers of polls and responses
        access_wait: seconds to wait for new credentials or permissions after an access error
    """

    def __init__(
        self,
        session: Session,
        sources: Sequence[PollSource],
        ledger: Ledger,
        config: WorkerConfig,
        *,
        environ: Mapping[str, str] = os.environ,
        retrier: Callable[..., Retrier] = Retrier,
        access_wait: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stats = WorkerStats()
        self.shutdown = Shutdown()
        self._sources = sources
        self._lists = ListRotation(*sources)
        self._context = WorkerContext(
            session=session,
            ledger=ledger,
            config=config,
            environ=encode_environ({name: environ[name] for name in environ if name not in SERVICE_VARIABLES}),
            shutdown=self.shutdown,
            access_gate=AccessGate(lambda: session.renew(session.generation), wait_for=access_wait, clock=clock),
            start_gate=StartGate(config.grace, self._give_up_starting, retrier=retrier, clock=clock),
            scheduler=HeartbeatScheduler(clock=clock),
            heartbeat_timeouts=HeartbeatTimeouts(session),
            scratch=ScratchDir(ledger.folder),
            liveness=Liveness(environ, config.alive_file, clock=clock),
            retrier=retrier,
            clock=clock,
        )
        self._poller = Poller(
            session,
            ledger,
            taken_by="work",
            observer=PollLiveness(self._context.liveness),
            retrier=retrier,
            clock=clock,
        )
        self._turns = Turns()
        self._executors: list[TaskExecutor] = []
        self._looked_at = clock()
        self._lock = threading.Lock()
        self._permits = config.max_tasks
        self._busy_at = clock()
        self._fatal: Exception | None = None
        self._fatal_at = float("inf")

    @property
    def is_connected(self) -> bool:
        """Whether SWF was ever reached."""
        return self._poller.is_connected

    def run(self) -> None:
        """Work until stopped.

        Raise SwfError if SWF refuses the polls, was never reached, or answered none of a list until `idle_exit`.
        """
        context, config = self._context, self._context.config
        self._check_files()
        if config.slots < len(self._sources):
            turns = math.ceil(len(self._sources) / config.slots)
            _log.warning(
                "%d of %d task lists are polled at a time: tasks on the others wait up to %s (see --jobs)",
                config.slots,
                len(self._sources),
                format_duration((turns - 1) * _HOLD),
            )
        context.ledger.start_sync_thread()
        orphans: list[HeldTask] = []
        if config.orphans == "fail":
            orphans = find_orphans(context.ledger, *self._sources)
        self._busy_at = context.clock()
        orphan_thread = threading.Thread(target=self._clear, args=(orphans,), name="orphans")
        slots = [threading.Thread(target=self._guarded_slot, name=f"slot {n}") for n in range(config.slots)]
        threads = [orphan_thread, *slots] if orphans else slots
        with context.scheduler:
            try:
                self._run_threads(threads, orphan_thread)
            finally:
                context.liveness.stop()
                context.scratch.remove()
        if self._fatal is not None:
            raise self._fatal

    def _clear(self, orphans: Sequence[HeldTask]) -> None:
        """Stop what dead workers left running, and fail their tasks."""
        orphans = stop_commands(orphans, self._context.config.grace, self.shutdown.killing)
        responder = self._context.responder(self.shutdown.draining, _LogOnceConnected(_log, self._poller))
        responder = replace(responder, retry_for=_ORPHAN_RETRIES, gate=None)
        fail_orphans(orphans, self._context.ledger, responder, stop=self.shutdown.killing, count=self._count_orphan)

    def _check_files(self) -> None:
        """Raise SwfError if the temporary directory or the alive file can't be written to."""
        try:
            check_temporary_space()
        except OSError as error:
            hint = "free some space there, or set TMPDIR"
            if error.errno == errno.EFBIG:
                hint = "raise the limit on the size of files (`ulimit -f`)"
            raise SwfError(f"cannot write to temporary files: {error.strerror}", hint=hint) from error
        try:
            self._context.liveness.start()
        except OSError as error:
            message = f"cannot write to {self._context.config.alive_file}: {describe_open_error(error)}"
            raise ConfigurationError(message) from error

    def _run_threads(self, threads: list[threading.Thread], orphan_thread: threading.Thread) -> None:
        for started, thread in enumerate(threads):
            try:
                thread.start()
            except RuntimeError as error:  # the machine has no more of them
                self._record_fatal(error)
                del threads[started:]
                break
        for thread in threads:
            while thread.is_alive():
                thread.join(_TICK)
                self._log_fatal()
                self._forward_idle_stderr()
                if self.shutdown.draining.is_set():
                    self._context.liveness.stopping()
                if not orphan_thread.is_alive():
                    self._check_idle()

    def _forward_idle_stderr(self) -> None:
        now = self._context.clock()
        if now - self._looked_at >= _IDLE_INTERVAL:
            self._looked_at = now
            for executor in list(self._executors):  # slots add theirs when they start
                executor.forward_idle_stderr()

    def _check_idle(self) -> None:
        idle = self._context.config.idle_exit
        if idle is None or self.shutdown.draining.is_set():
            return
        busy_at = self._busy_at
        if self.stats.running or self._context.clock() - busy_at < idle:
            return
        unknown = [source for source in self._sources if not self._poller.was_empty(source, busy_at)]
        failures = {source.task_list: self._poller.failure_since(source, busy_at) for source in unknown}
        if None in failures.values():
            return  # there may be tasks on a list whose turn is still to come
        for task_list, failure in failures.items():  # nobody knows whether there were tasks
            if failure is not None:
                message = f"every poll of {task_list} failed: {failure.message}"
                self._record_fatal(type(failure).from_error(failure, message))
        self.shutdown.drain()

    def _guarded_slot(self) -> None:
        executor: TaskExecutor = StreamExecutor(self._context) if self._context.config.stream else CommandExecutor()
        self._executors.append(executor)
        try:
            with self._turns.member():
                self._slot(executor)
        except Exception as error:
            self._record_fatal(error)
        finally:
            self._context.ledger.drop_reusable()
            executor.close()
            self._context.liveness.end()

    def _slot(self, executor: TaskExecutor) -> None:
        incomplete = self._context.retrier(stop=self.shutdown.draining, log=None)
        while self._take_permit():
            try:
                received = self._receive()
            except IncompleteTask as error:
                self._fail_incomplete(error)
                incomplete.wait(error)  # the next ones may be no better: this is not to empty the list
                continue
            if received is None:
                return
            incomplete.reset()
            with self._lock:
                self.stats.running += 1
                self._context.liveness.running += 1
            try:
                settlement = TaskRunner(self._context, received, executor).run()
                self._count(settlement)
            finally:
                with self._lock:
                    self.stats.running -= 1
                    self._context.liveness.running -= 1
                    self._busy_at = self._context.clock()
            if settlement.is_confirmed or settlement.is_hidden:  # SWF gave us the token, so its word is enough
                self._context.ledger.keep_for_next_poll(received.row_key)

    def _fail_incomplete(self, error: IncompleteTask) -> None:
        """Fail a task of which only the token is known, so that its decider learns of it now."""
        self._context.liveness.end()
        responder = self._context.responder(self.shutdown.killing, _log)
        reference = TaskReference(error.token, self._sources[0].domain)
        settlement = responder.deliver(reference, Outcome.failed(error.message))
        _log.warning("received a task that cannot be run: %s", redact(str(settlement), error.token))
        self._count(settlement)
        if settlement.is_confirmed and error.key is not None:
            self._context.ledger.drop(error.key)
        self._busy_at = self._context.clock()

    def _take_permit(self) -> bool:
        """Return whether to work on one more task."""
        with self._lock:
            if self.shutdown.draining.is_set() or self._permits == 0:
                return False
            if self._permits is not None:
                self._permits -= 1
            return True

    def _receive(self) -> ReceivedTask | None:
        """Wait for a task; return None when stopped."""
        draining = self.shutdown.draining
        retrier = self._context.retrier(stop=draining)
        while not draining.is_set():
            try:
                return self._poller.receive(self._lists, stop=draining, wait_until_ready=self._wait_until_open)
            except AccessError as error:
                if not self.is_connected:
                    raise
                self._context.liveness.answered()
                self._context.access_gate.wait(error, draining)
            except TRANSIENT as error:
                # The poller retries its own, once SWF was reached: another slot reached it since.
                if not self.is_connected:
                    raise
                retrier.wait(error)
        return None

    def _wait_until_open(self) -> None:
        """Wait while commands can't be started."""
        self._context.liveness.end()
        self._context.start_gate.wait_until_open(self.shutdown.draining)

    def _give_up_starting(self, error: OSError) -> None:
        hint = "fix that on this machine, and start the worker again"
        self._record_fatal(SwfError(f"commands cannot be started: {error}", hint=hint))

    def _record_fatal(self, error: Exception) -> None:
        with self._lock:
            if self._fatal is None:
                self._fatal, self._fatal_at = error, self._context.clock()
        self.shutdown.drain()

    def _log_fatal(self) -> None:
        """Log what ends the worker, if that takes a while; otherwise it is printed at the end, which is now."""
        error = self._fatal
        if error is not None and self._context.clock() - self._fatal_at >= _FATAL_DELAY:
            self._fatal_at = float("inf")
            message = error.message if isinstance(error, SwfError) else explain_unexpected(error)[0]
            _log.info("%s; shutting down: waiting for running tasks and polls in flight", message)

    def _count(self, settlement: Settlement) -> None:
        with self._lock:
            self.stats.count(settlement)

    def _count_orphan(self, settlement: Settlement) -> None:
        with self._lock:
            self.stats.orphans += 1
            self.stats.count(settlement)


class PollLiveness(PollObserver):
    """Reports what happens to a worker's polls as signs of life."""

    def __init__(self, liveness: Liveness) -> None:
        self._liveness = liveness

    def on_poll(self) -> None:
        """Allow the poll its time."""
        self._liveness.polled()

    def on_sent(self) -> None:
        """Report that the worker is ready."""
        self._liveness.ready()

    def on_response(self) -> None:
        """Report that SWF responded."""
        self._liveness.ready()  # where it is not known when a request was sent
        self._liveness.answered()
        self._liveness.touch()

    def on_failure(self, error: SwfError) -> None:
        """Report a failure that came at once; one that came when the time was up is no answer."""
        if error.possibly_executed:
            self._liveness.beat(RETRY_ALLOWANCE)
        else:
            self._liveness.answered()


class _LogOnceConnected(logging.LoggerAdapter[logging.Logger]):
    """Drops lines until SWF was reached: a worker that never reaches it reports one error, which ends it."""

    def __init__(self, log: logging.Logger, poller: Poller) -> None:
        super().__init__(log)
        self._poller = poller

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a line if SWF was reached."""
        if self._poller.is_connected:
            self.logger.log(level, msg, *args, **kwargs)
