"""Private folders for the files through which the commands of running tasks report."""

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
from contextlib import suppress
from pathlib import Path
from typing import Final
from weakref import WeakSet

from ..ledger.trust import make_folder, open_folder
from ..models import MAX_BYTES_PER_CHARACTER, fit_text, max_length
from ..redaction import redact
from ..retry import Log
from .files import InvalidResult, check_space, describe_open_error

_LOCK: Final = "lock"
_MAX_AGE_WITHOUT_LOCK: Final = 60.0  # seconds
_NAME_LENGTH: Final = 16  # characters
_TASK_FILE: Final = re.compile(f"[0-9a-f]{{{_NAME_LENGTH}}}-")
_TASKS_PER_SWEEP: Final = 250
_HEARTBEAT, _RESULT, _REASON = "-heartbeat", "-result", "-reason"


class ScratchDir:
    """Where the files of tasks are: a private folder in `parent`, the state folder, else in the temporary directory.

    Each task uses the first of them that can hold its files at that time.
    """

    def __init__(self, parent: Path | None) -> None:
        temporary = _Folder(None, "swf-work-")
        self._folders = [temporary] if parent is None else [_Folder(parent, "scratch-"), temporary]
        """The preferred one first."""
        self._lock = threading.Lock()
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
        *preferred, last = self._folders
        for folder in preferred:
            with suppress(OSError):  # such as an untrusted one, of which the ledger has warned, or a full disk
                return files.create(folder.prepare())
        return files.create(last.prepare())

    def remove(self) -> None:
        """Remove the folders with everything in them."""
        for folder in self._folders:
            folder.remove()

    def _sweep(self) -> None:
        """Remove what tasks that are over left behind: a child may write late, or a command put a folder there."""
        left = [(folder.path, name) for folder in self._folders for name in _list_task_files(folder.path)]
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


class _Folder:
    """A private folder in `parent`, by default the temporary directory.

    It is created when first needed, and again if something deletes or replaces it. While a process uses it, it holds
    a lock there, so that the folders of dead processes can be told apart and removed.
    """

    def __init__(self, parent: Path | None, prefix: str) -> None:
        self._parent = parent
        self._prefix = prefix
        self._mutex = threading.Lock()
        self._lock_file = -1
        self.path = ""
        """Empty until it is created."""

    def prepare(self) -> str:
        """Return its path, where it is. Raise OSError if it can't be created, or there is no space for a result."""
        parent = self._parent or Path(tempfile.gettempdir())
        with self._mutex:
            with suppress(FileNotFoundError):  # the state folder is created when first needed, too
                check_space(str(parent))
            if not _is_private_folder(self.path):
                self._forget()
                self._create(parent.absolute())  # a command may change its folder
            return self.path

    def remove(self) -> None:
        """Remove it with everything in it."""
        with self._mutex:
            if _is_private_folder(self.path):
                shutil.rmtree(self.path, ignore_errors=True)
            self._forget()

    def _create(self, parent: Path) -> None:
        if self._parent is not None:
            os.close(open_folder(parent))
        check_space(str(parent))
        while not self.path:
            path = parent / f"{self._prefix}{secrets.token_hex(8)}"
            try:
                self._lock_file = _make_locked_folder(path)
            except OSError as error:  # without the random name, so that equal failures have equal reasons
                shutil.rmtree(path, ignore_errors=True)
                raise OSError(error.errno, error.strerror, str(parent)) from error
            if os.fstat(self._lock_file).st_nlink:
                self.path = str(path)
            else:  # before it was locked, another process took it for that of a dead one
                self._forget()
        with suppress(OSError):  # such as a folder that can't be listed
            _remove_abandoned(parent, self._prefix)

    def _forget(self) -> None:
        self.path = ""
        if self._lock_file >= 0:
            os.close(self._lock_file)
            self._lock_file = -1


def _make_locked_folder(path: Path) -> int:
    """Create a folder with a lock file, and return the descriptor of that, which holds the lock."""
    make_folder(path)
    descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


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
        except OSError as error:  # without random names, so that equal failures have equal reasons
            raise OSError(error.errno, error.strerror, os.path.dirname(folder)) from error
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


def _is_private_folder(path: str, parent: int | None = None) -> bool:
    """Return whether it is a folder that this user, and nobody else, can use. No link is followed."""
    with suppress(OSError):
        status = os.lstat(path, dir_fd=parent)
        return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and status.st_mode & 0o777 == 0o700
    return False


def _remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove the private folders whose process is dead; other users may have put anything beside them."""
    folder = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in os.listdir(folder):
            if name.startswith(prefix) and _is_private_folder(name, folder):
                with suppress(OSError):
                    _remove_if_abandoned(name, folder)
    finally:
        os.close(folder)


def _remove_if_abandoned(name: str, parent: int) -> None:
    """Remove a folder if its process is dead. Raise OSError if it is not, or that fails."""
    try:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(os.path.join(name, _LOCK), flags, dir_fd=parent)
    except OSError:  # it is being created, or removed; or its process died in that moment
        if time.time() - os.lstat(name, dir_fd=parent).st_mtime > _MAX_AGE_WITHOUT_LOCK:
            os.rmdir(name, dir_fd=parent)
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(name, ignore_errors=True, dir_fd=parent)
    finally:
        os.close(descriptor)
