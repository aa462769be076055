"""A worker: slots that poll and run a command on each task, until it is told to stop."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from ..client.session import Session
from ..errors import AccessError, SwfError
from ..ledger.records import PollSource
from ..ledger.store import Ledger
from ..polling import ReceivedTask, poll
from ..retry import TRANSIENT, backoff
from ..signals import SignalSafeEvent
from .config import Plan, Reporter, Tally
from .context import Setting
from .credentials import Access
from .orphans import end_commands, fail_orphans, find_orphans
from .responder import Closed, Closer
from .task_runner import Errand

_TICK: Final = 0.2  # seconds between looks at what runs
_AT_ONCE: Final = 1.0  # seconds


class Worker:
    """Takes tasks from a list and runs a command on each, until it is told to stop.

    `drain` starts no new poll and lets run what runs; `terminate` asks the commands to end and fails their tasks;
    `kill` kills them. They may be called from any thread and from signal handlers, in this order.
    """

    def __init__(
        self,
        session: Session,
        origin: PollSource,
        ledger: Ledger,
        plan: Plan,
        reporter: Reporter,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tally = Tally()
        self._session = session
        self._origin = origin
        self._ledger = ledger
        self._plan = plan
        self._reporter = reporter
        self._clock = clock
        self._access = Access(session, clock)
        closer = Closer(session, self._access, clock)
        self._setting = Setting(session, origin, ledger, plan, reporter, dict(environ), closer, clock)
        self._lock = threading.Lock()
        self._draining: threading.Event = SignalSafeEvent()
        self._reached = threading.Event()
        self._permits = plan.max_tasks
        self._busy_at = clock()
        self._fatal: Exception | None = None
        self._fatal_at = float("inf")

    @property
    def has_begun(self) -> bool:
        """Whether SWF has been reached: else there is nothing to sum up."""
        return self._reached.is_set()

    def drain(self) -> None:
        """Start no new poll."""
        self._draining.set()

    def terminate(self) -> None:
        """Ask the commands that run to end."""
        self._draining.set()
        self._setting.terminating.set()

    def kill(self) -> None:
        """Kill the commands that run, and give up answers that do not get through."""
        self.terminate()
        self._setting.killing.set()

    def run(self) -> None:
        """Work until told to stop, or until the plan says so. Raises SwfError when SWF refuses the polls."""
        self._ledger.start_sync_thread()
        orphans = [] if self._plan.keep_orphans else find_orphans(self._ledger, self._origin)
        end_commands(orphans, self._plan.grace)
        self._busy_at = self._clock()
        orphanage = threading.Thread(
            target=lambda: fail_orphans(
                orphans,
                self._ledger,
                self._setting.closer,
                stop=self._draining,
                tell=self._reporter.tell,
                trouble=self._tell_once_reached,
                count=self._count,
            ),
            name="orphans",
        )
        slots = [threading.Thread(target=self._guarded_slot, name=f"slot {n}") for n in range(self._plan.slots)]
        threads = [orphanage, *slots] if orphans else slots
        try:
            for started, thread in enumerate(threads):
                try:
                    thread.start()
                except RuntimeError as error:  # the machine has no more of them
                    self._give_up(error)
                    del threads[started:]
                    break
            for thread in threads:
                while thread.is_alive():
                    thread.join(_TICK)
                    self._tell_of_fatal()
                    if not orphanage.is_alive():
                        self._watch_idleness()
        finally:
            self._setting.folder.remove()
        if self._fatal is not None:
            raise self._fatal

    def _tell_once_reached(self, line: str) -> None:
        """Keep what fails at the start from being told twice: a poll that fails then ends the worker."""
        if self._reached.is_set():
            self._reporter.tell(line)

    def _watch_idleness(self) -> None:
        idle = self._plan.idle_exit
        if idle is not None and not self.tally.running and self._clock() - self._busy_at >= idle:
            self._draining.set()

    def _guarded_slot(self) -> None:
        try:
            self._slot()
        except Exception as error:
            self._give_up(error)

    def _slot(self) -> None:
        key = None
        while self._take_permit():
            taken, key = self._poll(key), None
            if taken is None:
                return
            with self._lock:
                self.tally.running += 1
            try:
                closed = Errand(self._setting, taken).run()
                self._count(closed)
            finally:
                with self._lock:
                    self.tally.running -= 1
                    self._busy_at = self._clock()
            # The row of a task that is closed is the next poll's.
            key = taken.key if closed.certain else None
        if key is not None:
            self._ledger.drop(key)

    def _take_permit(self) -> bool:
        """Take leave to work on one more task; there is none once enough are taken, or it is time to stop."""
        with self._lock:
            if self._draining.is_set() or self._permits == 0:
                return False
            if self._permits is not None:
                self._permits -= 1
            return True

    def _poll(self, key: str | None) -> ReceivedTask | None:
        """Wait for a task; None when it is time to stop. `key` is a row of the ledger to use again."""
        failures = 0
        while not self._draining.is_set():
            try:
                return poll(
                    self._session.poll_client,
                    self._origin,
                    self._ledger,
                    stop=self._draining,
                    tell=self._reporter.tell,
                    taken_by="work",
                    key=key,
                    reached=self._reached,
                )
            except AccessError as error:
                if not self._reached.is_set():
                    raise
                self._access.wait(error, self._draining, self._reporter.tell)
            except TRANSIENT as error:
                # Not the poll itself, which sees to those: the service that gives a role its credentials.
                if not self._reached.is_set():
                    raise
                delay = backoff(failures)
                failures += 1
                self._reporter.tell(f"{error.message}; trying again in {delay:.1f} s")
                self._draining.wait(delay)
            key = None
        if key is not None:
            self._ledger.drop(key)
        return None

    def _give_up(self, error: Exception) -> None:
        with self._lock:
            if self._fatal is None:
                self._fatal, self._fatal_at = error, self._clock()
        self._draining.set()

    def _tell_of_fatal(self) -> None:
        """Say what ends the worker, when that takes a while: else it is said at the end, which is now."""
        error = self._fatal
        if error is not None and self._clock() - self._fatal_at >= _AT_ONCE:
            self._fatal_at = float("inf")
            said = error.message if isinstance(error, SwfError) else f"unexpected {type(error).__name__}: {error}"
            self._reporter.tell(
                f"{said}; no new task is taken; waiting for what runs, and for the polls that SWF holds"
            )

    def _count(self, closed: Closed) -> None:
        with self._lock:
            setattr(self.tally, closed.state, getattr(self.tally, closed.state) + 1)
