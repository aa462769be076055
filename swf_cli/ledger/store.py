"""The ledger: what this machine has polled for and received, and has not closed.

Its errors never stop a poll or a response: it logs one warning and is disabled for a minute at a time.
"""

import itertools
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from ..errors import SwfError
from ..models import WorkerTask
from ..processes import host_name, own_start_id
from .database import BUSY_TIMEOUT, COLUMNS, Database
from .locks import HolderLock, holder_is_alive
from .records import HeldTask, PollSource, Taker, check_row, check_task, read_row
from .trust import state_folder

if TYPE_CHECKING:
    import sqlite3

_KEEP_LOST_POLLS: Final = 7 * 86_400  # seconds
_KEY_LENGTH: Final = 8  # characters
_DELETE: Final = "DELETE FROM held WHERE key = ?"
_LONGEST_POLL: Final = 300.0  # seconds; longer than any poll is in flight
_MAX_LISTED: Final = 10  # keys in a message

_log = logging.getLogger(__name__)


class Ledger:
    """The ledger of one state folder. Threads may share it; close it at the end, or use it as a context manager.

    Args:
        folder: where it is kept, created when first needed; None disables it
        clock: returns the seconds since the epoch
        monotonic: returns seconds that no change of the time moves
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        busy_timeout: float = BUSY_TIMEOUT,
    ) -> None:
        self._database = Database(folder, self._restore_rows, monotonic=monotonic, busy_timeout=busy_timeout)
        self._lock = self._database.lock
        self._clock = clock
        self._rows: dict[str, dict[str, Any]] = {}
        """The rows that this process wrote and has not dropped, by key."""
        self._undeleted: set[str] = set()
        """Keys of rows that were dropped while the ledger was disabled."""
        self._reusable: dict[int, list[str]] = {}
        """Keys of rows whose task is closed, by the thread whose next poll takes one over."""
        self._reported: set[Any] = set()
        self._holder = HolderLock(monotonic)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Return the ledger in the state folder, see `state_folder`. SWF_LEDGER=off disables it."""
        if environ.get("SWF_LEDGER", "").lower() == "off":
            return cls(None)
        folder = state_folder(environ)
        if folder is None:
            _log.warning("there is no home directory, so received tasks are not recorded; set SWF_STATE_DIR")
        return cls(folder)

    @property
    def folder(self) -> Path | None:
        """Where it is kept; None if it is disabled."""
        return self._database.folder

    @property
    def is_usable(self) -> bool:
        """Whether every operation has succeeded so far."""
        return self._database.is_usable

    def start_sync_thread(self) -> None:
        """Sync what is recorded to disk in the background, for a process that polls continuously."""
        self._database.start_sync_thread()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def record_poll(self, source: PollSource, taken_by: Taker) -> "PollRecord":
        """Record that a poll is about to be sent."""
        with self._lock:
            key = self._pop_reusable() or secrets.token_hex(_KEY_LENGTH // 2)
            self._holder.touch()
        row = dict.fromkeys(COLUMNS, None) | _as_columns(source)
        row |= {"key": key, "kind": "poll", "host": host_name(), "pid": os.getpid(), "taken_by": taken_by}
        del row["taken_at"]
        if key in self._rows:
            # As they were: a handler that is kept running gets its thread's next task too, and nothing else has its
            # start ID.
            for name in ("holder", "holder_start", "process_group", "group_started"):
                del row[name]
        self._write(key, row)
        return PollRecord(self, key)

    def assign_task(self, key: str, task: WorkerTask) -> bool:
        """Replace a poll by the task that it received, durably. Return whether the ledger has the task now."""
        received = {
            "kind": "task",
            "token": task.token,
            "id": task.id,
            "activity_name": task.activity.name,
            "activity_version": task.activity.version,
            "workflow_id": task.execution.id,
            "run_id": task.execution.run_id,
            "started_event_id": task.task_started_execution_history_event_id,
        }
        try:
            check_task(received)
        except ValueError as error:
            _log.warning("the task is not recorded in the list of held tasks: %s", error)
            self.drop(key)
            return False
        return self._write(key, received) and self._database.sync()

    def set_command(self, key: str, group: int, start_id: str | None) -> None:
        """Record the process group of the command that runs for a task, and the start ID of its leader.

        A group whose leader has no start ID is not recorded: nothing would tell it from a later one with its number.
        """
        command = {"process_group": group if start_id else None, "group_started": start_id}
        row = self._rows.get(key)
        if row is not None and not command.items() <= row.items():
            row |= command
            values = (*command.values(), key)
            self._execute("UPDATE held SET process_group = ?, group_started = ? WHERE key = ?", *values)

    def mark_poll_lost(self, key: str, token: str | None = None) -> bool:
        """Record that the response to this poll was lost, or all of it but the token: SWF may have assigned a task.

        Return whether the ledger has it now.
        """
        # The process group on record goes on with other tasks, and must not be stopped for this one.
        gone = {"kind": "broken_poll", "token": token, "process_group": None, "group_started": None}
        is_recorded = self._write(key, gone | {"taken_at": self._rows[key]["taken_at"]})
        del self._rows[key]
        return is_recorded and (token is None or self._database.sync())

    def _write(self, key: str, changes: dict[str, Any]) -> bool:
        """Change a row, or insert it, whole: the file may have lost it. Return whether the ledger has it."""
        before = self._rows.get(key, {})
        row = self._rows[key] = before | {"taken_at": float(self._clock())} | changes

        def operation(connection: "sqlite3.Connection") -> bool:
            if before and row["holder"] is not None:
                changed = (name for name in changes if row[name] != before[name])
                assignments = ", ".join(f"{name} = :{name}" for name in ("taken_at", *changed))
                if connection.execute(f"UPDATE held SET {assignments} WHERE key = :key", row).rowcount:  # noqa: S608
                    return True
            self._insert(connection, row)
            return True

        return self._database.run(operation, False)

    def _restore_rows(self, connection: "sqlite3.Connection") -> None:
        while self._undeleted:
            connection.execute(_DELETE, (next(iter(self._undeleted)),))
            self._undeleted.pop()
        for row in list(self._rows.values()):  # other threads add theirs meanwhile
            with suppress(UnicodeEncodeError):  # one that can't be stored keeps no other from it
                self._insert(connection, row)

    def _insert(self, connection: "sqlite3.Connection", row: dict[str, Any]) -> None:
        if row["holder"] is None:
            row |= {"holder": self._holder.acquire(self._database.folder_descriptor), "holder_start": own_start_id()}
        placeholders = ", ".join(f":{name}" for name in COLUMNS)
        connection.execute(f"INSERT OR REPLACE INTO held ({', '.join(COLUMNS)}) VALUES ({placeholders})", row)  # noqa: S608

    def drop(self, key: str) -> None:
        """Delete a row: its poll received nothing, or its task is closed."""
        row = self._rows.pop(key, None)
        is_deleted = self._database.run(lambda connection: bool(connection.execute(_DELETE, (key,))), False)
        if not is_deleted and self.folder is not None and (row is None or row["holder"] is not None):
            self._undeleted.add(key)

    def keep_for_next_poll(self, key: str) -> None:
        """Keep a row that could be dropped for this thread's next poll, which takes it over at less cost."""
        with self._lock:
            self._reusable.setdefault(threading.get_ident(), []).append(key)

    def drop_reusable(self) -> None:
        """Delete a row that was kept for this thread's next poll, if there is one: there is no next poll."""
        with self._lock:
            key = self._pop_reusable()
        if key is not None:
            self.drop(key)

    def _pop_reusable(self) -> str | None:
        keys = self._reusable.get(threading.get_ident())
        return keys.pop() if keys else None

    def list_held(self) -> list[HeldTask]:
        """Return what is held, newest first: tasks, and for a week polls that were lost or whose process died."""

        def operation(connection: "sqlite3.Connection") -> list[HeldTask]:
            oldest = self._clock() - _KEEP_LOST_POLLS
            held = []
            for row in connection.execute("SELECT * FROM held ORDER BY taken_at DESC, key").fetchall():
                if not self._is_valid(row):
                    continue
                is_alive = self._is_alive(row)
                if row["kind"] == "task":
                    held.append(read_row(row, is_alive))
                elif row["taken_at"] >= oldest:
                    is_over = is_alive is None and row["taken_at"] < self._clock() - _LONGEST_POLL
                    if row["kind"] == "broken_poll" or is_alive is False or is_over:
                        held.append(read_row(row, is_alive))
                elif not is_alive:
                    connection.execute(_DELETE, (row["key"],))
            return held

        return self._database.transact(operation, []) if self._database.exists() else []

    def find_token(self, token: str) -> HeldTask | None:
        """Return the held task with this token, or None."""

        def operation(connection: "sqlite3.Connection") -> HeldTask | None:
            rows = connection.execute("SELECT * FROM held WHERE token = ? AND kind != 'poll'", (token,)).fetchall()
            return next((read_row(row, self._is_alive(row)) for row in rows if self._is_valid(row)), None)

        return self._database.run(operation, None) if self._database.exists() else None

    def find_key(self, prefix: str) -> HeldTask:
        """Return the one row whose key has this prefix. Raise ValueError if there is none, or more than one."""
        found = [held for held in self.list_held() if held.key.startswith(prefix)] if prefix else []
        if len(found) != 1:
            matches = f"{len(found)} rows of `swf held` have" if found else "no row of `swf held` has"
            keys = ", ".join(f"{held.key} ({held.name})" for held in found[:_MAX_LISTED])
            more = ", ..." if len(found) > _MAX_LISTED else ""
            raise ValueError(f"{matches} a key that begins with {prefix!r}" + (f": {keys}{more}" if keys else ""))
        return found[0]

    def close(self) -> None:
        """Close the database and release this process's lock; it holds nothing from now on."""
        for key in itertools.chain(*self._reusable.values()):
            self.drop(key)
        self._reusable.clear()
        if self._undeleted:
            self._database.enable()
        with self._lock:
            if self._database.is_open and any(row["holder_start"] for row in self._rows.values()):
                # The process may go on, but no longer works on these tasks.
                row = next(iter(self._rows.values()))
                self._execute("UPDATE held SET holder_start = NULL WHERE holder = ?", row["holder"])
            self._holder.release()
            self._database.close()

    def _is_valid(self, row: Any) -> bool:
        """Return whether a row can be used; log it once if it can't."""
        try:
            check_row(row)
        except ValueError as error:
            key = repr(row["key"])[:80]
            if key not in self._reported:
                self._reported.add(key)
                _log.warning("skipping row %s of the list of held tasks in %s: %s", key, self.folder, error)
            return False
        return True

    def _is_alive(self, row: Any) -> bool | None:
        holder = (row["holder"], row["host"], row["pid"], row["holder_start"])
        return holder_is_alive(self._database.folder_descriptor, *holder)

    def _execute(self, statement: str, *values: Any) -> None:
        """Execute a statement, if there is a ledger."""
        self._database.run(lambda connection: connection.execute(statement, values), None)


@cache
def _as_columns(source: PollSource) -> dict[str, Any]:
    return asdict(source)


class PollRecord:
    """A poll on record, while it is sent: as a context manager.

    Leaving it drops the record unless a task was assigned or the poll was marked as lost. An exception that is not an
    answer to the poll, such as a signal, marks it as lost.
    """

    def __init__(self, ledger: Ledger, key: str) -> None:
        self.key = key
        self._ledger = ledger
        self._is_settled = False

    def assign(self, task: WorkerTask) -> bool:
        """Record the task that the poll received. Return whether the ledger has the task now."""
        self._is_settled = True
        return self._ledger.assign_task(self.key, task)

    def mark_lost(self, token: str | None = None) -> bool:
        """Record that the response to this poll was lost, or all of it but the token: SWF may have assigned a task.

        Return whether the ledger has it now.
        """
        self._is_settled = True
        return self._ledger.mark_poll_lost(self.key, token)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_settled:
            return
        if error is None or isinstance(error, SwfError | ValueError):
            drop = self._ledger.keep_for_next_poll if error is None else self._ledger.drop
            drop(self.key)
        else:
            self._ledger.mark_poll_lost(self.key)
