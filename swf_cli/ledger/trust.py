"""Whose files the ledger uses: only a folder and files that belong to this user and that nobody else can write.

All functions raise UntrustedError, an OSError, if something is not; its message says what, whose, and what to do.
"""

import errno
import logging
import os
import pwd
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

_OWNER_ONLY: Final = 0o700
_WRITABLE_BY_OTHERS: Final = 0o022
_OWN_FOLDER: Final = "set SWF_STATE_DIR to a folder of your own"

_log = logging.getLogger(__name__)


class UntrustedError(OSError):
    """A folder or file that somebody else owns, can write, or put there."""


def state_folder(environ: Mapping[str, str]) -> Path | None:
    """Return SWF_STATE_DIR, else XDG_STATE_HOME/swf, else ~/.local/state/swf; None without a home directory."""
    if environ.get("SWF_STATE_DIR"):
        return Path(environ["SWF_STATE_DIR"])
    state = environ.get("XDG_STATE_HOME", "")
    if state.startswith("/"):  # others are invalid, and to be ignored (XDG Base Directory Specification)
        return Path(state, "swf")
    home = environ.get("HOME") or _home_on_record()
    return Path(home, ".local", "state", "swf") if home else None


def _home_on_record() -> str | None:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return None


def open_folder(path: Path) -> int:
    """Return a descriptor of the folder at `path`, which is created for this user alone if it is missing.

    A folder of this user that others can write is closed to them, and a line is logged; one that all users share,
    such as /tmp is for root, is not. What is only readable stays so: the files in it are not.
    """
    _create(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            message = f"{path} is a symbolic link; set SWF_STATE_DIR to the folder itself"
            raise UntrustedError(message) from error
        _check_owner(path, status, _OWN_FOLDER)
        raise
    try:
        status = os.fstat(descriptor)
        _check_owner(path, status, _OWN_FOLDER)
        if status.st_mode & _WRITABLE_BY_OTHERS:
            if status.st_mode & stat.S_ISVTX:
                raise UntrustedError(f"{path} is shared by all users; {_OWN_FOLDER}")
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~_WRITABLE_BY_OTHERS)
            _log.warning("%s was writable by other users; it is no longer", path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _create(path: Path) -> None:
    """Create a folder and its missing parents, each for this user alone."""
    for folder in (*reversed(path.parents), path):
        if not os.path.lexists(folder):
            with suppress(FileExistsError):
                make_folder(folder)


def make_folder(path: Path) -> None:
    """Create a folder for this user alone, whatever the umask. Raise FileExistsError if there is something."""
    path.mkdir(mode=_OWNER_ONLY)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except PermissionError:  # a umask that takes the right to read from this user
        path.chmod(_OWNER_ONLY)
        return
    try:
        os.fchmod(descriptor, _OWNER_ONLY)
    finally:
        os.close(descriptor)


def open_file(folder: int, name: str, *, create: bool = False, exclusive: bool = False) -> int:
    """Return a descriptor, for reading and writing, of a file in a folder that `open_folder` opened.

    Raise FileNotFoundError or FileExistsError as os.open does.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    flags |= (os.O_CREAT if create else 0) | (os.O_EXCL if exclusive else 0)
    try:
        descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UntrustedError(f"{name} is a symbolic link; remove it") from error
        with suppress(FileNotFoundError):  # it could not be created
            check_file(name, os.stat(name, dir_fd=folder, follow_symlinks=False))  # it may give a better reason
        raise
    try:
        check_file(name, os.fstat(descriptor))
        os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check_file(name: str, status: os.stat_result) -> None:
    """Raise UntrustedError unless this is the status of a regular file of this user, without other names."""
    if not stat.S_ISREG(status.st_mode):
        raise UntrustedError(f"{name} is not a regular file; remove it")
    _check_owner(name, status, "remove it")
    if status.st_nlink > 1:
        raise UntrustedError(f"{name} has other names (hard links); remove it")


def _check_owner(what: object, status: os.stat_result, action: str) -> None:
    if status.st_uid != os.geteuid():
        raise UntrustedError(f"{what} belongs to {_user_name(status.st_uid)}; {action}")


def _user_name(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user ID {uid}"
