"""Which program runs for a task, and whether it can be started."""

import errno
import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

_FIRST_LINE: Final = 200  # bytes
_BINARY_MAGIC: Final = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xce\xfa\xed\xfe")


class StartError(OSError):
    """A program can't be started; its text is the reason, without Python's `[Errno N]`."""

    def __str__(self) -> str:
        return f"{self.strerror}: {self.filename}" if self.filename else str(self.strerror)


class NoHandlerError(Exception):
    """No program handles an activity: the message is the reason of the failure."""


class Programs(Protocol):
    """Finds the program to run for a task."""

    def find(self, activity_name: str) -> tuple[Sequence[str], str]:
        """Return program and arguments, and the path of the program. Raise OSError if it can't be started."""


class FixedCommand:
    """The same command for every task. Raises OSError if its program can't be started."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._path = find_program(command[0])

    def find(self, activity_name: str) -> tuple[Sequence[str], str]:
        """Return the command."""
        return self._command, self._path


class HandlerFolder:
    """A folder with a program for each activity, named like it; looked at for each task.

    Raises OSError if the folder can't be used: it must be one itself, not a link, and not writable by everybody.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()  # a program without a folder before its name would be searched for on the PATH
        if not self.names():
            raise StartError(errno.ENOENT, "it has no executable file", str(path))

    def names(self) -> list[str]:
        """Return the activities that there are programs for."""
        _check_folder(self._path)
        return sorted(
            _activity_of(entry.name)
            for entry in os.scandir(self._path)
            if _is_plain(entry.name) and os.path.isfile(entry.path) and os.access(entry.path, os.X_OK)
        )

    def find_broken(self) -> dict[str, OSError]:
        """Return the files of the folder that can't be started, each with the reason.

        A task of such an activity keeps the worker from polling, and ends it after the grace period.
        """
        broken = {}
        for name in sorted(map(_activity_of, filter(_is_plain, os.listdir(self._path)))):
            try:
                find_program(self.find(name)[1])
            except NoHandlerError:
                pass  # such as a folder
            except OSError as error:
                broken[name] = error
        return broken

    def find(self, activity_name: str) -> tuple[Sequence[str], str]:
        """Return the program of an activity.

        Raise NoHandlerError if there is none, and OSError if the folder is not as it was, such as while it is being
        replaced: it may have one.
        """
        try:
            _check_folder(self._path)
            file_name = _file_name_of(activity_name)
            status = self._status_of(file_name)
            if status is None or not stat.S_ISREG(status.st_mode):
                raise NoHandlerError(f"no handler for {activity_name}")
        except OSError as error:
            raise StartError(error.errno, error.strerror, error.filename) from error
        path = str(self._path / file_name)
        if status.st_mode & stat.S_IWOTH:
            raise StartError(errno.EACCES, "it is writable by everybody", path)
        return [path], path

    def _status_of(self, file_name: str) -> os.stat_result | None:
        """Return what has a name, None for nothing. Raise OSError if that can't be determined."""
        if not _is_plain(file_name):
            return None
        path = self._path / file_name
        try:
            return path.stat()
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None
            if error.errno != errno.ENOENT or path.is_symlink() or not self.names():
                raise  # such as of a link whose target is being replaced, or a volume that is not mounted
            return None


def _file_name_of(activity: str) -> str:
    """Return the name of an activity's file as Python has it: its bytes are UTF-8, whatever the locale.

    A name that UTF-8 can't encode, which SWF has none of, is that of no file.
    """
    try:
        return os.fsdecode(activity.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return ""


def _activity_of(file_name: str) -> str:
    return os.fsencode(file_name).decode("utf-8", "surrogateescape")


def _is_plain(name: str) -> bool:
    return bool(name) and not name.startswith(".") and os.sep not in name and "\0" not in name


def _check_folder(path: Path) -> None:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise StartError(errno.ELOOP, "it is a symbolic link; pass the folder that it points to", str(path))
    if not stat.S_ISDIR(status.st_mode):
        raise StartError(errno.ENOTDIR, "it is not a folder", str(path))
    if status.st_mode & stat.S_IWOTH:
        raise StartError(errno.EACCES, "it is writable by everybody", str(path))


def find_program(name: str) -> str:
    """Return the path of a program, searched for as a shell does. Raise OSError if it can't be started."""
    path = shutil.which(name)
    if path is None:
        code = errno.ENOENT
        if os.sep in name and os.path.exists(name):
            code = errno.EISDIR if os.path.isdir(name) else errno.EACCES
        raise StartError(code, os.strerror(code), name)
    if not os.path.isfile(path):  # opening a FIFO would wait
        raise StartError(errno.EACCES, "it is not a regular file", path)
    _check_script(path)
    return path


def explain_start_error(error: OSError, path: str) -> StartError:
    """Return an error that says more, if the program is a script whose interpreter can't be started."""
    if error.errno in (errno.ENOENT, errno.ENOEXEC):
        try:
            _check_script(path)
        except StartError as reason:
            return reason
        except OSError:
            pass  # it is not there at all
    return StartError(error.errno, error.strerror or str(error), error.filename)


def _check_script(path: str) -> None:
    """Raise OSError, naming the first line, if a file is a script that can't be executed directly."""
    with suppress(PermissionError), open(path, "rb") as file:
        start = file.read(_FIRST_LINE)
        line = start.partition(b"\n")[0]
        shown = line.decode("utf-8", "backslashreplace")
        if line.startswith(b"#!"):
            words = line[2:].split(None, 1)
            interpreter = os.fsdecode(words[0]) if words else ""
            if line.endswith(b"\r") or not os.path.exists(interpreter):
                raise StartError(errno.ENOENT, f"its interpreter does not exist (first line: {shown!r})", path)
            if not (os.path.isfile(interpreter) and os.access(interpreter, os.X_OK)):
                raise StartError(errno.EACCES, f"its interpreter is not executable (first line: {shown!r})", path)
        elif not start:
            raise StartError(errno.ENOEXEC, "it is empty", path)
        elif not start.startswith(_BINARY_MAGIC) and b"\0" not in start:
            raise StartError(errno.ENOEXEC, f"it is a script without a #! line (first line: {shown!r})", path)
