"""The ledger's SQLite file: opened only if it is safe, reopened if replaced, disabled for a while if it fails."""

import errno
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from .trust import UntrustedError, open_file, open_folder

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

_DATABASE: Final = "ledger.sqlite3"
_SCHEMA_VERSION: Final = 2
_RETRY_AFTER: Final = 60.0  # seconds for which a ledger that failed is disabled
_CHECK_INTERVAL: Final = 1.0  # seconds between looks whether the files are still the same
_SYNC_INTERVAL: Final = 0.01  # seconds

BUSY_TIMEOUT: Final = 10.0
"""Seconds to wait for a lock of another process."""

COLUMNS: Final = {
    "key": "TEXT PRIMARY KEY",
    "kind": "TEXT NOT NULL",
    "token": "TEXT",
    "id": "TEXT",
    "activity_name": "TEXT",
    "activity_version": "TEXT",
    "workflow_id": "TEXT",
    "run_id": "TEXT",
    "started_event_id": "INTEGER",
    "domain": "TEXT NOT NULL",
    "task_list": "TEXT NOT NULL",
    "identity": "TEXT NOT NULL",
    "host": "TEXT NOT NULL",
    "pid": "INTEGER NOT NULL",
    "holder": "TEXT NOT NULL",
    "taken_by": "TEXT NOT NULL",
    "taken_at": "REAL NOT NULL",
    "profile": "TEXT",
    "region": "TEXT NOT NULL",
    "endpoint": "TEXT NOT NULL",
    "process_group": "INTEGER",
    "group_started": "TEXT",
    "holder_start": "TEXT",
}
"""The columns of the one table, and their types."""

_SCHEMA: Final = f"CREATE TABLE IF NOT EXISTS held ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())});"
_UPGRADES: Final = {0: _SCHEMA, 1: "ALTER TABLE held ADD COLUMN holder_start TEXT;"}
"""What brings a database of each version to the current one."""

_log = logging.getLogger(__name__)


class Database:
    """The database in a folder. Threads may share it.

    Args:
        folder: where it is kept, created when first needed; None disables it
        on_open: is called with each new connection, also after the ledger was disabled
        monotonic: returns seconds that no change of the time moves
    """

    def __init__(
        self,
        folder: Path | None,
        on_open: Callable[["sqlite3.Connection"], None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        busy_timeout: float = BUSY_TIMEOUT,
    ) -> None:
        self.folder = folder
        self._on_open = on_open
        self._monotonic = monotonic
        self._busy_timeout = busy_timeout
        self._disabled_until = float("-inf")
        self.is_usable = True
        """Whether every operation has succeeded so far."""
        self.lock = threading.RLock()
        """Held during each operation."""
        self._connection: sqlite3.Connection | None = None
        self.folder_descriptor = -1
        """The open folder; negative while the database is closed."""
        self._log_file = -1
        self._unsynced: threading.Event | None = None
        self._inodes: tuple[object, ...] = ()
        self._check_at = float("-inf")

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    def exists(self) -> bool:
        """Return whether there is one, or something in its place."""
        if self.folder is None:
            return False
        try:
            (self.folder / _DATABASE).stat()
        except FileNotFoundError:
            return False
        except OSError:
            pass  # `run` fails with it too, and reports it
        return True

    def transact(self, operation: Callable[["sqlite3.Connection"], T], default: T) -> T:
        """Run an operation of more than one statement in a transaction; see `run`."""

        def transaction(connection: "sqlite3.Connection") -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = operation(connection)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(Exception):
                    connection.execute("ROLLBACK")
                raise
            return result

        return self.run(transaction, default)

    def run(self, operation: Callable[["sqlite3.Connection"], T], default: T) -> T:
        """Run an operation; return `default` if the ledger is disabled, or fails and thereby disables itself.

        A single statement is a transaction of its own: the threads of a worker queue up here.
        """
        with self.lock:
            if self.folder is None or self._monotonic() < self._disabled_until:
                return default
            try:
                return operation(self._connect())
            except UnicodeEncodeError as error:
                _log.warning(
                    "cannot record text that is not UTF-8 in the list of held tasks in %s: %s", self.folder, error
                )
                return default
            except Exception as error:
                # Not only SQLite's own: a damaged database holds anything.
                self._disable(error)
                return default

    def enable(self) -> None:
        """Open it now, if it is disabled, for `on_open` to write what it missed."""
        with self.lock:
            self._disabled_until = float("-inf")
            self.run(lambda _: None, None)

    def _disable(self, error: Exception) -> None:
        if self.is_usable:
            self.is_usable = False
            _log.warning("cannot use the list of held tasks in %s: %s", self.folder, self._describe(error))
        self._disabled_until = self._monotonic() + _RETRY_AFTER
        with suppress(Exception):
            self.close()  # `on_open` will write what it misses meanwhile

    def _describe(self, error: Exception) -> str:
        """Return what failed and why, without the number of the error."""
        if not isinstance(error, OSError) or not error.strerror:
            # SQLite has several messages for a full disk, such as "disk I/O error".
            return os.strerror(errno.ENOSPC) if self._is_full() else str(error)
        is_named = error.filename is None or str(error.filename) == str(self.folder)
        return error.strerror if is_named else f"cannot open {error.filename}: {error.strerror}"

    def _is_full(self) -> bool:
        assert self.folder is not None  # noqa: S101 - `run` checks that
        with suppress(OSError):
            file_system = os.statvfs(self.folder)
            return bool(file_system.f_blocks) and not file_system.f_bavail
        return False

    def start_sync_thread(self) -> None:
        """Start a background thread that syncs what is committed to disk, for a process that polls continuously.

        If the machine crashes, what was committed within the last 10 ms or so may be lost. Waiting for the disk
        instead leaves the same gap, and costs each task that wait.
        """
        self._unsynced = threading.Event()
        threading.Thread(target=self._keep_synced, args=(self._unsynced,), name="ledger", daemon=True).start()

    def _keep_synced(self, unsynced: threading.Event) -> None:
        while True:
            unsynced.wait()
            time.sleep(_SYNC_INTERVAL)
            unsynced.clear()
            self._sync_now()

    def sync(self) -> bool:
        """Make what is committed survive a crash of the machine; return whether it does, or will in a moment."""
        if self._unsynced is None:
            return self._sync_now()
        self._unsynced.set()
        return True

    def _sync_now(self) -> bool:
        # SQLite would do it within each transaction, while other threads wait. Its log exists as long as the
        # connection does, and SQLite takes no lock on it that another descriptor could release.
        try:
            with self.lock:
                if self._connection is None:
                    return False
                if self._log_file < 0:
                    self._log_file = open_file(self.folder_descriptor, f"{_DATABASE}-wal")
                    os.fsync(self.folder_descriptor)
                log_file = os.dup(self._log_file)
            try:
                getattr(os, "fdatasync", os.fsync)(log_file)
            finally:
                os.close(log_file)
        except OSError as error:
            with self.lock:
                self._disable(error)
            return False
        return True

    def _connect(self) -> "sqlite3.Connection":
        """Return the connection to the database; a new one if its files were deleted or replaced."""
        if self._connection is not None and self._monotonic() >= self._check_at:
            self._check_at = self._monotonic() + _CHECK_INTERVAL
            if self._read_inodes() != self._inodes:
                self.close()
        if self._connection is None:
            self._open()
        assert self._connection is not None  # noqa: S101
        return self._connection

    def _read_inodes(self) -> tuple[object, ...]:
        assert self.folder is not None  # noqa: S101 - `run` checks that
        try:
            files = [(self.folder / f"{_DATABASE}{suffix}").stat() for suffix in ("", "-wal")]
        except OSError:
            return ()
        return tuple((file.st_dev, file.st_ino) for file in files)

    def _open(self) -> None:
        import sqlite3

        assert self.folder is not None  # noqa: S101 - `run` checks that
        self.folder_descriptor = open_folder(self.folder)
        try:
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.close(open_file(self.folder_descriptor, f"{_DATABASE}{suffix}", create=not suffix))
            connection = self._connection = sqlite3.connect(
                self.folder / _DATABASE, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            connection.text_factory = lambda data: data.decode(
                "utf-8", "surrogateescape"
            )  # `check_row` rejects those
            connection.execute("PRAGMA synchronous = NORMAL")  # see `sync`
            connection.execute("PRAGMA trusted_schema = OFF")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > _SCHEMA_VERSION:
                raise _IncompatibleError("it was written by a newer swf")
            if version < _SCHEMA_VERSION:
                self._upgrade(connection)
            connection.execute("SELECT key FROM held LIMIT 1").fetchone()  # creates the log
            self._inodes = self._read_inodes()
            here = [os.stat(f"{_DATABASE}{suffix}", dir_fd=self.folder_descriptor) for suffix in ("", "-wal")]
            if self._inodes != tuple((file.st_dev, file.st_ino) for file in here):
                raise UntrustedError(f"{self.folder} was replaced while it was opened")
            self._on_open(connection)  # not before: it writes tokens
        except BaseException:
            self.close()
            raise

    def _upgrade(self, connection: "sqlite3.Connection") -> None:
        """Bring the tables to the current version; one process at a time, since SQLite does not wait for WAL mode."""
        fcntl.flock(self.folder_descriptor, fcntl.LOCK_EX)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version < _SCHEMA_VERSION:
                steps = _UPGRADES[version]
                connection.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")
        finally:
            fcntl.flock(self.folder_descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close it; the next operation opens it again."""
        connection, descriptors = self._connection, (self._log_file, self.folder_descriptor)
        self._connection, self._log_file, self.folder_descriptor = None, -1, -1
        if connection is not None:
            connection.close()
        for descriptor in descriptors:
            if descriptor >= 0:
                os.close(descriptor)


class _IncompatibleError(Exception):
    """The ledger exists, but this version can't use it."""
