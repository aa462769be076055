"""The files that a command reads and writes: unlinked, so that a command which misuses them blocks nothing."""

import codecs
import errno
import fcntl
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Final

from ..models import MAX_BYTES_PER_CHARACTER, max_length
from ..redaction import MAX_SECRET, safe_length

_PIPE_CAPACITY: Final = 4_096  # bytes that every pipe holds
_CHUNK: Final = 65_536  # bytes
_RESULT_BYTES: Final = MAX_BYTES_PER_CHARACTER * (max_length("result") + 2)  # a longer stdout can't be a result
_KEPT: Final = max_length("details") + 2 * MAX_SECRET  # bytes of the end of stderr
_COMPARED: Final = 64  # bytes before what is read next
_MAX_UNREAD: Final = 1_048_576  # bytes of stderr; what is older is skipped, so that forwarding never falls behind


def check_temporary_space() -> None:
    """Raise OSError unless the temporary directory has space for the files of a command."""
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError:  # it lists folders, and not why each can't be used
        folder = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - see why the first one can't
    with ExitStack() as stack:
        descriptor = open_unlinked(stack, folder)
        check_space(folder)
        os.write(descriptor, b"\0" * _PIPE_CAPACITY)


class InvalidResult(Exception):
    """What the command wrote to stdout can't be the result of a task: the message is the reason."""


class ResultReader:
    """Reads the file that is a command's stdout, as long as it can be a result."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = 0
        self._error: str | None = None
        self.text = ""

    def read(self, *, ended: bool = False) -> None:
        """Read it, whole: the command may have emptied it meanwhile. Raise InvalidResult if it can't be a result."""
        size = os.fstat(self._descriptor).st_size
        if self._error is None and (ended or size != self._size):
            self._size = size
            self._check(os.pread(self._descriptor, _RESULT_BYTES, 0), ended=ended)
        if self._error is not None:
            # It is of no more use: free the disk space.
            os.ftruncate(self._descriptor, 0)
            raise InvalidResult(self._error)

    def _check(self, data: bytes, *, ended: bool) -> None:
        maximum = max_length("result")
        is_whole = ended and len(data) < _RESULT_BYTES
        try:
            self.text, _ = codecs.utf_8_decode(data, "strict", is_whole)
        except UnicodeDecodeError:
            self._error = "the result is not valid UTF-8"
        if len(self.text.removesuffix("\n")) > maximum or len(data) == _RESULT_BYTES:
            self._error = self._error or f"the result is over SWF's {maximum:,} characters"


class LineReader:
    """Reads the file that is a command's stderr, by lines, and keeps its end. What was read does not stay on disk."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._offset = 0
        self._before = b""
        """The last bytes before the offset, if any were read."""
        self._tail = b""
        self._is_cut = False
        """Whether the file begins within a line whose beginning was skipped."""

    def tail(self) -> str:
        """Return the end: if it is ASCII, at least what fits the details. It does not begin within a secret."""
        size = self._look()
        start = max(self._offset, size - _KEPT)
        data = b"" if self._is_cut else os.pread(self._descriptor, _KEPT, start)
        data = (self._tail + data)[-_KEPT:]
        if len(data) == _KEPT:
            data = data[_find_cut(data[: 2 * MAX_SECRET]) :]
        return data.decode("utf-8", "replace").strip("\n")

    def forget(self) -> None:
        """Forget the end of what was read so far."""
        self._tail = b""

    def read_lines(self, *, ended: bool, token: str | None = None) -> Iterator[str]:
        """Yield the lines that are new; if `ended`, also one without a newline.

        Longer ones than 64 KiB are yielded in parts, but neither the token nor another secret is.
        """
        size = self._look()
        if size - self._offset > _MAX_UNREAD:
            yield from self._skip_to_end(size, ended=ended, token=token)
            return
        if self._is_cut:
            data = os.pread(self._descriptor, _CHUNK, self._offset)
            skipped = data.find(b"\n") + 1
            if not skipped and len(data) < _CHUNK and not ended:
                return
            skipped = skipped or _find_cut(data, token)
            self._offset += skipped
            self._is_cut = False
            if skipped:
                yield f"... {skipped:,} bytes of stderr skipped"
        while self._offset < size:
            data = os.pread(self._descriptor, _CHUNK, self._offset)
            length = data.rfind(b"\n") + 1
            if not length:
                if not data or (len(data) < _CHUNK and not ended):
                    return
                length = _find_cut(data, token) if len(data) == _CHUNK else len(data)
            self._advance(data[:length])
            yield from data[:length].decode("utf-8", "replace").splitlines()

    def _look(self) -> int:
        """Return the file's size. If the command emptied it, such as by `> /dev/stderr`, reading begins anew."""
        before = os.pread(self._descriptor, len(self._before), self._offset - len(self._before))
        if before != self._before:
            self._begin_anew()
        if not self._before:
            self._skip_hole()
        return os.fstat(self._descriptor).st_size

    def _skip_hole(self) -> None:
        """Skip the hole of a writer that does not append: after the file was emptied, it goes on where it was."""
        if os.pread(self._descriptor, 1, self._offset) != b"\0":
            return
        with suppress(OSError):  # a file system that does not know where its holes are
            self._offset = os.lseek(self._descriptor, self._offset, os.SEEK_DATA)
        data = os.pread(self._descriptor, _CHUNK, self._offset)
        self._offset += len(data) - len(data.lstrip(b"\0"))

    def _begin_anew(self) -> None:
        self._offset, self._before = 0, b""

    def _skip_to_end(self, size: int, *, ended: bool, token: str | None) -> Iterator[str]:
        """Yield the last lines of a file that grows faster than it is read, and empty it: it would fill the disk."""
        begin = size - _CHUNK - MAX_SECRET
        data = os.pread(self._descriptor, size - begin, begin)
        is_whole = data.endswith(b"\n")
        data = data[_find_cut(data[: 2 * MAX_SECRET], token) :]
        data = data[data.find(b"\n") + 1 :]
        if not ended:
            data = data[: data.rfind(b"\n") + 1 or _find_cut(data, token)]
        end = os.fstat(self._descriptor).st_size
        skipped = end - self._offset - len(data)
        os.ftruncate(self._descriptor, 0)
        self._begin_anew()
        self._is_cut = not ended and not (is_whole and end == size)
        self._tail = (self._tail + data)[-_KEPT:]
        yield f"... {skipped:,} bytes of stderr skipped"
        yield from data.decode("utf-8", "replace").splitlines()

    def _advance(self, data: bytes) -> None:
        self._offset += len(data)
        self._before = data[-_COMPARED:]
        self._tail = (self._tail + data)[-_KEPT:]
        if self._offset > _MAX_UNREAD and os.fstat(self._descriptor).st_size == self._offset:
            # Read to its end: what is kept of it is in memory. The command appends, wherever the file ends.
            os.ftruncate(self._descriptor, 0)
            self._begin_anew()


def _find_cut(data: bytes, token: str | None = None) -> int:
    """Return where to cut bytes that go on, so that no secret is in two parts; see `safe_length`."""
    text = data.decode("utf-8", "surrogateescape")
    return len(text[: safe_length(text, token)].encode("utf-8", "surrogateescape"))


def describe_open_error(error: OSError) -> str:
    """Return why a file could not be opened that must be a regular one."""
    if error.errno == errno.ELOOP:
        return "it is a symbolic link"
    if error.errno in (errno.ENXIO, errno.EOPNOTSUPP):  # of a FIFO that nobody reads, and of a socket
        return "it is not a regular file"
    return error.strerror or str(error)


def open_input(stack: ExitStack, data: bytes) -> int:
    """Return a descriptor to read `data` from, already written whether or not it is read; the stack closes it."""
    if len(data) <= _PIPE_CAPACITY:
        reader, writer = os.pipe()
        stack.callback(os.close, reader)
        if data:
            os.write(writer, data)
        os.close(writer)
        return reader
    file = open_unlinked(stack)
    written = 0
    while written < len(data):  # the write after one that was cut short says why
        written += os.pwrite(file, data[written:], written)
    return file


def open_unlinked(stack: ExitStack, folder: str | None = None) -> int:
    """Open a file that has no name, for appending, and return its descriptor; the stack closes it.

    `folder` is the folder whose file system holds it, by default the temporary directory.
    `echo … > /dev/stderr` opens such a file anew and empties it: what follows must not leave a hole.
    """
    folder = folder or tempfile.gettempdir()
    if sys.platform == "linux":
        with suppress(OSError):  # a file system without such files
            flags = os.O_TMPFILE | os.O_EXCL | os.O_RDWR | os.O_APPEND
            descriptor = os.open(folder, flags, 0o600)
            stack.callback(os.close, descriptor)
            return descriptor
    try:
        descriptor, path = tempfile.mkstemp(dir=folder)
    except OSError as error:  # without the random name, so that equal failures have equal reasons
        raise OSError(error.errno, error.strerror, folder) from error
    stack.callback(os.close, descriptor)
    os.unlink(path)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_RDWR | os.O_APPEND)
    return descriptor


def check_space(folder: str) -> None:
    """Raise OSError unless a folder has space for a result: a command must not fail for the lack of it."""
    file_system = os.statvfs(folder)
    free = file_system.f_bavail * file_system.f_frsize
    # Some, such as ramfs, do not say how large they are.
    if file_system.f_blocks and free < max_length("result") * MAX_BYTES_PER_CHARACTER:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)
