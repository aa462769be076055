"""A private folder for the files through which the commands of running tasks report, in the state folder."""

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final
from weakref import WeakSet

from ..ledger.trust import make_folder, open_folder
from ..models import MAX_BYTES_PER_CHARACTER, fit_text, max_length
from ..redaction import redact
from ..retry import Log
from .files import InvalidResult, check_space, describe_open_error

_PREFIX: Final = "scratch-"
_LOCK: Final = "lock"
_MAX_AGE_WITHOUT_LOCK: Final = 60.0  # seconds
_NAME_LENGTH: Final = 16  # characters
_TASK_FILE: Final = re.compile(f"[0-9a-f]{{{_NAME_LENGTH}}}-")
_TASKS_PER_SWEEP: Final = 250
_HEARTBEAT, _RESULT, _REASON = "-heartbeat", "-result", "-reason"


class ScratchDir:
    """A private folder, created when first needed and again if something deletes or replaces it.

    It lies in `parent`, the state folder; while that can't hold what is needed, in the temporary directory. While a
    process uses it, it holds a lock there, so that the folders of dead processes can be told apart and removed.
    """

    def __init__(self, parent: Path | None) -> None:
        self._parent = parent
        self._lock = threading.Lock()
        self._locks: dict[str, int] = {}
        """The descriptor of the lock of each folder in use, by its path, the preferred one first."""
        self._files: WeakSet[TaskFiles] = WeakSet()
        """The files of tasks, also of some that are over."""
        self._until_sweep = _TASKS_PER_SWEEP

    def create(self, files: "TaskFiles") -> dict[bytes, bytes]:
        """Create the files of a task; return the environment variables that name them.

        Raise OSError if they can't be created, or there is no space for a result.
        """
        with self._lock:
            self._files.add(files)
            self._until_sweep -= 1
            is_due = not self._until_sweep
        if is_due:
            self._sweep()
        tried: set[str] = set()
        while True:
            folder, is_new = self._find(tried)
            try:
                return files.create(folder)
            except OSError:
                if is_new:
                    raise
                tried.add(folder)

    def remove(self) -> None:
        """Remove it with everything in it."""
        with self._lock:
            for path in list(self._locks):
                if _is_private_folder(path):
                    shutil.rmtree(path, ignore_errors=True)
                self._forget(path)

    def _sweep(self) -> None:
        """Remove what tasks that are over left behind: a child may write late, or a command put a folder there."""
        left = [(folder, name) for folder in list(self._locks) for name in _list_task_files(folder)]
        with self._lock:  # after the look at the folder, so that it has all tasks whose files were there
            self._until_sweep = _TASKS_PER_SWEEP
            running = {files.prefix for files in self._files}
        for folder, name in left:
            if os.path.join(folder, name[:_NAME_LENGTH]) not in running:
                path = os.path.join(folder, name)
                try:
                    os.unlink(path)
                except OSError:
                    shutil.rmtree(path, ignore_errors=True)

    def _find(self, tried: Collection[str]) -> tuple[str, bool]:
        """Return the path of a folder with space for a result that was not tried, and whether it is new."""
        with self._lock:
            for path in list(self._locks):
                if not _is_private_folder(path):
                    self._forget(path)
                elif path not in tried:
                    with suppress(OSError):
                        check_space(path)
                        return path, False
            return self._create(), True

    def _create(self) -> str:
        if self._parent is not None:
            with suppress(OSError):  # an untrusted folder, of which the ledger has warned, or a full disk
                parent = self._parent.absolute()  # a command may change its folder
                folder = open_folder(parent)
                try:
                    _remove_abandoned(parent, folder)
                finally:
                    os.close(folder)
                return self._create_in(parent, _PREFIX)
        return self._create_in(Path(tempfile.gettempdir()), "swf-work-")

    def _create_in(self, parent: Path, prefix: str) -> str:
        check_space(str(parent))
        path = parent / f"{prefix}{secrets.token_hex(8)}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            make_folder(path)
            self._locks[str(path)] = os.open(path / _LOCK, flags, 0o600)
            fcntl.flock(self._locks[str(path)], fcntl.LOCK_EX)
        except OSError as error:  # without the random name, so that equal failures have equal reasons
            shutil.rmtree(path, ignore_errors=True)
            self._forget(str(path))
            raise OSError(error.errno, error.strerror, str(parent)) from error
        return str(path)

    def _forget(self, path: str) -> None:
        descriptor = self._locks.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)


class TaskFiles:
    """The files through which a command reports: its progress, its result, the reason of its failure."""

    def __init__(self) -> None:
        self.prefix = ""
        """What their paths begin with, while they may be there."""

    def create(self, folder: str) -> dict[bytes, bytes]:
        """Create them, empty, in a private folder; return the environment variables that name them."""
        self.remove()
        self.prefix = os.path.join(folder, secrets.token_hex(_NAME_LENGTH // 2))
        try:
            for suffix in (_RESULT, _REASON):
                _create_file(self.prefix + suffix)
        except OSError as error:  # without the random name, so that equal failures have equal reasons
            raise OSError(error.errno, error.strerror, folder) from error
        return {
            b"SWF_HEARTBEAT_FILE": os.fsencode(self.prefix + _HEARTBEAT),
            b"SWF_RESULT_FILE": os.fsencode(self.prefix + _RESULT),
            b"SWF_REASON_FILE": os.fsencode(self.prefix + _REASON),
        }

    def remove(self) -> None:
        """Remove them."""
        if self.prefix:
            for suffix in (_HEARTBEAT, _RESULT, _REASON):
                with suppress(OSError):
                    os.unlink(self.prefix + suffix)
            self.prefix = ""

    def read_heartbeat(self, maximum: int) -> str | None:
        """Return the last line of the heartbeat file, at most this many characters; None if there is none."""
        prefix = self.prefix  # `remove` may be called meanwhile, by another thread
        if not prefix:
            return None
        with suppress(OSError):
            text = _read(prefix + _HEARTBEAT, MAX_BYTES_PER_CHARACTER * maximum, from_end=True).decode(
                "utf-8", "replace"
            )
            return text.rstrip("\n").split("\n")[-1][:maximum] or None
        return None

    def has_result(self) -> bool:
        """Return whether something was written to the result file, or put in its place."""
        status = self._result_status()
        return status is not None and not _is_empty(status)

    def _result_status(self) -> os.stat_result | None:
        with suppress(OSError):
            return os.lstat(self.prefix + _RESULT)
        return None

    def read_result(self, log: Log) -> str | None:
        """Return what was written to the result file, less one trailing newline; None if nothing was.

        Raise InvalidResult if it can't be the result of a task.
        """
        maximum = max_length("result")
        status = self._result_status()
        if status is None:
            log.warning("the result file is gone, with what may have been in it; stdout is the result")
            return None
        if _is_empty(status):  # most commands do not write it
            return None
        try:
            data = _read(self.prefix + _RESULT, MAX_BYTES_PER_CHARACTER * maximum + 2)
            is_over = len(data) > MAX_BYTES_PER_CHARACTER * maximum + 1  # then the last character may be cut in half
            text = data.decode("utf-8", "replace" if is_over else "strict").removesuffix("\n")
        except UnicodeDecodeError:
            raise InvalidResult("the result is not valid UTF-8") from None
        except OSError as error:
            raise InvalidResult(f"the result file cannot be read: {describe_open_error(error)}") from error
        if is_over or len(text) > maximum:
            raise InvalidResult(f"the result is over SWF's {maximum:,} characters")
        return text

    def read_reason(self, log: Log) -> str | None:
        """Return what was written to the reason file, less one trailing newline; None if nothing was.

        It never keeps a failure from being reported: what does not fit SWF's limit is cut, and logged.
        """
        maximum = max_length("reason")
        try:
            data = _read(self.prefix + _REASON, MAX_BYTES_PER_CHARACTER * maximum + 2)
        except OSError as error:
            log.warning("the reason file cannot be read: %s", describe_open_error(error))
            return None
        text = data.decode("utf-8", "replace").removesuffix("\n")
        is_cut = len(data) > MAX_BYTES_PER_CHARACTER * maximum + 1
        if not is_cut and data.decode("utf-8", "ignore").removesuffix("\n") != text:
            log.info("the reason is not UTF-8 text; the invalid bytes are sent as U+FFFD")
        text = redact(text)  # without secrets, it may be short enough
        if is_cut or len(text) > maximum:
            log.info("the reason is longer than %d characters; the rest is cut off", maximum)
        return fit_text("reason", text) or None


def _list_task_files(folder: str) -> list[str]:
    """Return the names in a folder that are of files of tasks, or of what a command made of such a name."""
    with suppress(OSError):
        return [name for name in os.listdir(folder) if _TASK_FILE.match(name)]
    return []


def _is_empty(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and not status.st_size


def _create_file(path: str) -> None:
    """Create an empty file that only this user can read. Raise OSError if there is something with that name."""
    if sys.platform == "linux":  # elsewhere only root may
        os.mknod(path, stat.S_IFREG | 0o600)
    else:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _read(path: str, limit: int, *, from_end: bool = False) -> bytes:
    """Return up to `limit` bytes of a file that a command wrote. Raise OSError if it is not a regular file.

    A command may put anything in its place: no link is followed.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        return os.pread(descriptor, limit, max(0, status.st_size - limit) if from_end else 0)
    finally:
        os.close(descriptor)


def _is_private_folder(path: str) -> bool:
    with suppress(OSError):
        status = os.lstat(path)
        return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077
    return False


def _remove_abandoned(parent: Path, folder: int) -> None:
    """Remove the folders whose process is dead."""
    for name in os.listdir(folder):
        if not name.startswith(_PREFIX) or not _is_private_folder(str(parent / name)):
            continue
        try:
            flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(os.path.join(name, _LOCK), flags, dir_fd=folder)
        except OSError:
            # It is being created, or removed; or its process died in that moment.
            with suppress(OSError):
                if time.time() - os.stat(name, dir_fd=folder).st_mtime > _MAX_AGE_WITHOUT_LOCK:
                    os.rmdir(name, dir_fd=folder)
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)
