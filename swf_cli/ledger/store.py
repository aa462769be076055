"""The tasks that this machine has taken and not closed: an SQLite database that outlives whatever took them.

Nothing that goes wrong with the ledger stops a poll or an answer: it warns once, and does without from then on.
"""

import fcntl
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..models import WorkerTask
from .records import HeldTask, PollSource, Taker, _read_row

if TYPE_CHECKING:
    import sqlite3

    from .records import Holding


T = TypeVar("T")

_DATABASE: Final = "ledger.sqlite3"
_VERSION: Final = 1
_PATIENCE: Final = 10.0  # seconds to wait for a lock of another process; many at once on a busy machine need some
_RETRY_AFTER: Final = 60.0  # seconds to do without a ledger that failed: a worker outlives a full disk
_SYNC_WITHIN: Final = 0.01  # seconds
_KEEP_BROKEN_POLLS: Final = 7 * 86_400  # seconds
_SHORTEST_KEY: Final = 8  # characters

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS held (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    token TEXT,
    id TEXT,
    activity_name TEXT,
    activity_version TEXT,
    workflow_id TEXT,
    run_id TEXT,
    started_event_id INTEGER,
    domain TEXT NOT NULL,
    task_list TEXT NOT NULL,
    identity TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    holder TEXT NOT NULL,
    taken_by TEXT NOT NULL,
    taken_at REAL NOT NULL,
    profile TEXT,
    region TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    process_group INTEGER,
    group_started TEXT
);
CREATE INDEX IF NOT EXISTS held_token ON held (token);
"""


class Ledger:
    """The ledger of one state folder, as one process uses it; may be shared by threads.

    Args:
        folder: where it is kept, made when first needed; None turns it off
        warn: told once, in a sentence, when the ledger can't be used
        clock: gives the seconds since the epoch
    """

    def __init__(
        self,
        folder: Path | None,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._warn = warn
        self._clock = clock
        self._off_until = 0.0
        self.is_usable = True
        """Whether it has done all that was asked of it so far."""
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._log = -1
        self._unsynced: threading.Event | None = None
        self._polling: dict[str, float] = {}
        """Rows whose poll is under way, and since when, as far as that is not written."""

        self._holder: str | None = None
        self._holder_file = -1

    @classmethod
    def from_env(cls, environ: Mapping[str, str], warn: Callable[[str], None]) -> "Ledger":
        """Give the ledger under SWF_STATE_DIR, else XDG_STATE_HOME/swf, else ~/.local/state/swf; or none."""
        if environ.get("SWF_LEDGER", "").lower() == "off":
            return cls(None, warn)
        state = environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
        return cls(Path(environ.get("SWF_STATE_DIR") or Path(state, "swf")), warn)

    def begin_poll(self, origin: PollSource, taken_by: Taker) -> str:
        """Record that a long poll is about to start. Gives the row's key, also when nothing could be recorded."""
        key = secrets.token_hex(_SHORTEST_KEY // 2)

        def work(connection: "sqlite3.Connection") -> None:
            row = asdict(origin) | {
                "key": key,
                "kind": "poll",
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "holder": self._lock_holder_file(),
                "taken_by": taken_by,
                "taken_at": self._clock(),
            }
            marks = ", ".join(f":{name}" for name in row)
            connection.execute(f"INSERT INTO held ({', '.join(row)}) VALUES ({marks})", row)  # noqa: S608

        self._attempt(work, None)
        return key

    def poll_again(self, key: str) -> None:
        """Record that what the row held is done with, and that another poll is about to start in its place."""
        if self._unsynced is None:
            self._poll_again(key, self._clock())
        else:
            # A task that the next poll brings at once takes the row, and nobody need have written this.
            with self._lock:
                self._polling[key] = self._clock()
            self._unsynced.set()

    def _poll_again(self, key: str, began: float) -> None:
        self._execute(
            "UPDATE held SET kind = 'poll', token = NULL, process_group = NULL, taken_at = ? WHERE key = ?",
            began,
            key,
        )

    def _write_polls(self) -> None:
        with self._lock:
            while self._polling:
                self._poll_again(*self._polling.popitem())

    def set_command(self, key: str | None, group: int, started: str | None) -> None:
        """Record the process group of the command that works on a task, and when it started."""
        self._execute("UPDATE held SET process_group = ?, group_started = ? WHERE key = ?", group, started, key)

    def mark_poll_lost(self, key: str) -> None:
        """Record that SWF may have handed a task to this poll which nobody received."""
        self._write_polls()
        self._execute("UPDATE held SET kind = 'broken_poll' WHERE key = ?", key)

    def assign_task(self, key: str, task: WorkerTask) -> bool:
        """Put a task in the place of its poll, durably. Tells whether the ledger holds it now."""
        with self._lock:
            self._polling.pop(key, None)
        changed = self._execute(
            "UPDATE held SET kind = 'task', token = ?, id = ?, activity_name = ?, activity_version = ?,"
            " workflow_id = ?, run_id = ?, started_event_id = ?, taken_at = ? WHERE key = ?",
            task.token,
            task.id,
            task.activity.name,
            task.activity.version,
            task.execution.id,
            task.execution.run_id,
            task.task_started_execution_history_event_id,
            self._clock(),
            key,
        )
        return changed == 1 and self._sync()

    def drop(self, key: str) -> None:
        """Forget a row: its poll brought nothing, or its task is closed."""
        self._execute("DELETE FROM held WHERE key = ?", key)

    def list_held(self) -> list[HeldTask]:
        """Give what is held, newest first: tasks, and polls that broke or whose process died, for a week."""

        def work(connection: "sqlite3.Connection") -> list[HeldTask]:
            oldest = self._clock() - _KEEP_BROKEN_POLLS
            rows = connection.execute("SELECT * FROM held ORDER BY taken_at DESC, key").fetchall()
            alive = {holder: self._holder_is_alive(holder) for holder in {row["holder"] for row in rows}}
            held = []
            for row in rows:
                lives = alive[row["holder"]]
                if row["kind"] == "task":
                    held.append(_read_row(row, lives))
                elif row["taken_at"] >= oldest:
                    if row["kind"] == "broken_poll" or not lives:
                        held.append(_read_row(row, lives))
                elif not lives:
                    connection.execute("DELETE FROM held WHERE key = ?", (row["key"],))
            return held

        return self._transact(work, []) if self._exists() else []

    def find_token(self, token: str) -> HeldTask | None:
        """Give the task with this token, if it is held."""

        def work(connection: "sqlite3.Connection") -> HeldTask | None:
            row = connection.execute("SELECT * FROM held WHERE token = ?", (token,)).fetchone()
            return _read_row(row, self._holder_is_alive(row["holder"])) if row else None

        return self._attempt(work, None) if self._exists() else None

    def holdings(self, domain: str, region: str, endpoint: str) -> "list[Holding]":
        """Give what this machine holds of one domain of one service, for a diagnosis."""
        from .records import Holding  # no part of a poll's start-up

        return [
            Holding(
                held.key,
                held.taken_at,
                held.task_list,
                held.identity,
                held.execution.run_id if held.execution else None,
                held.task_started_execution_history_event_id,
                held.holder_alive,
            )
            for held in self.list_held()
            if (held.domain, held.region, held.endpoint) == (domain, region, endpoint)
        ]

    def find_key(self, beginning: str) -> HeldTask:
        """Give the one row whose key begins so. Raises ValueError when there is none, or more than one."""
        found = [held for held in self.list_held() if held.key.startswith(beginning)] if beginning else []
        if len(found) != 1:
            many = f"{len(found)} rows of `swf held` have" if found else "no row of `swf held` has"
            raise ValueError(f"{many} a key that begins with {beginning!r}")
        return found[0]

    def close(self) -> None:
        """Let go of the ledger at the end of the process: it is no live holder from then on."""
        self._write_polls()
        with self._lock:
            if self._holder is not None and self._folder is not None:
                with suppress(OSError):
                    (self._folder / self._holder).unlink()
                os.close(self._holder_file)
                self._holder = None

    def _exists(self) -> bool:
        if self._folder is None:
            return False
        try:
            (self._folder / _DATABASE).stat()
        except FileNotFoundError:
            return False
        except OSError:
            pass  # `_attempt` meets it too, and tells
        return True

    def _execute(self, statement: str, *values: Any) -> int:
        """Execute a statement; give the number of rows it changed, 0 when there is no ledger."""
        return self._attempt(lambda connection: connection.execute(statement, values).rowcount, 0)

    def _transact(self, work: Callable[["sqlite3.Connection"], T], without: T) -> T:
        """Do some work of more than one statement in a transaction; see `_attempt`."""

        def whole(connection: "sqlite3.Connection") -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                done = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(Exception):
                    connection.execute("ROLLBACK")
                raise
            return done

        return self._attempt(whole, without)

    def _attempt(self, work: Callable[["sqlite3.Connection"], T], without: T) -> T:
        """Do some work; when the ledger can't, warn once, and give `without`, for a minute without trying again.

        A statement alone is a transaction. Threads of a worker queue up here, and each further statement is one more
        turn that they wait for.
        """
        with self._lock:
            if self._folder is None or self._clock() < self._off_until:
                return without
            try:
                if self._connection is None:
                    self._connection = self._open()
                return work(self._connection)
            except Exception as error:
                # Not only SQLite's own: a damaged database holds anything, and some text can't be stored.
                self._give_up(error)
                return without

    def _give_up(self, error: Exception) -> None:
        if self.is_usable:
            self.is_usable = False
            self._warn(f"the record of held tasks in {self._folder} can't be used: {error}")
        self._off_until = self._clock() + _RETRY_AFTER

    def start_sync_thread(self) -> None:
        """Have a thread of its own sync what is committed, from now on: for a process that polls again and again.

        A machine that stops within some 10 ms loses what it took in them, as one does that stops while a caller waits
        for the disk; and a task that is closed sooner costs no wait.
        """
        self._unsynced = threading.Event()
        threading.Thread(target=self._keep_synced, args=(self._unsynced,), name="ledger", daemon=True).start()

    def _keep_synced(self, unsynced: threading.Event) -> None:
        while True:
            unsynced.wait()
            time.sleep(_SYNC_WITHIN)
            unsynced.clear()
            self._write_polls()
            self._sync_now()

    def _sync(self) -> bool:
        """Have what is committed outlive the machine; tells whether it does, or will in a moment."""
        if self._unsynced is None:
            return self._sync_now()
        self._unsynced.set()
        return True

    def _sync_now(self) -> bool:
        # SQLite would do it within each transaction, while other threads wait. The log is there as long as the
        # connection is, and SQLite takes no lock of it that another descriptor could break.
        try:
            with self._lock:
                if self._folder is None or self._connection is None:
                    return False
                if self._log < 0:
                    self._log = os.open(self._folder / f"{_DATABASE}-wal", os.O_RDONLY)
                    _sync_folder(self._folder)
            getattr(os, "fdatasync", os.fsync)(self._log)
        except OSError as error:
            with self._lock:
                self._give_up(error)
            return False
        return True

    def _open(self) -> "sqlite3.Connection":
        import sqlite3

        assert self._folder is not None  # noqa: S101 - `_attempt` sees to it
        if not self._folder.is_dir():
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            self._folder.mkdir(mode=0o700, exist_ok=True)
        # Made by hand, so that nobody else can read it from its first moment on; SQLite's side files follow it.
        path = self._folder / _DATABASE
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = NORMAL")  # see `_sync`
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise _Unusable("a newer swf has written it")
        if version < _VERSION:
            self._set_up(connection)
        return connection

    def _set_up(self, connection: "sqlite3.Connection") -> None:
        """Make the tables; one process at a time, since SQLite does not wait for a change of the journal mode."""
        assert self._folder is not None  # noqa: S101
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        finally:
            os.close(folder)

    def _lock_holder_file(self) -> str:
        """Take this process's lock, once, and give the name of its file: whoever holds it lives."""
        assert self._folder is not None  # noqa: S101
        while self._holder is None:
            name = f"holder-{secrets.token_hex(8)}"
            descriptor = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.stat(self._folder / name)
            except (BlockingIOError, FileNotFoundError):
                # Another process took the file, not locked yet, for one that a dead process left.
                os.close(descriptor)
            else:
                self._holder, self._holder_file = name, descriptor
        return self._holder

    def _holder_is_alive(self, holder: str) -> bool:
        """Tell whether the process that holds this file lives; clears away the file of one that does not."""
        assert self._folder is not None  # noqa: S101
        try:
            descriptor = os.open(self._folder / holder, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(OSError):
                (self._folder / holder).unlink()
            return False
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Unusable(Exception):
    """The ledger is there, and not ours to use."""
