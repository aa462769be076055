"""One run of a worker's command: from an argument list, in a process group of its own, its output in files."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Final

from ..models import LIMITS
from ..processes import ProcessWatch, group_is_running, signal_and_continue_group

_BYTES_A_CHARACTER: Final = 4
_PIPE: Final = 4_096  # bytes; the least that any pipe takes at once
_CHUNK: Final = 65_536
_LONGEST_LINE: Final = 4_096
_MOST_UNSHOWN: Final = 1_048_576  # bytes of stderr; what is older is passed over, so that showing never falls behind


class UnfitResult(Exception):
    """What the command wrote to stdout can't be the result of a task: the message is the reason."""


class Job:
    """A command that works on one task; `close` it at the end.

    stdout and stderr are unlinked files, and so is stdin unless a pipe holds it, so that a command which does not
    read, writes without end, or leaves a child behind that holds them, holds nobody up. `executable` is the program's
    path, where it is known. Raises OSError or ValueError when it can't be started.
    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], task_input: str, executable: str | None = None
    ) -> None:
        self._shown = 0
        with ExitStack() as stack:
            self._stdout, self._stderr = _open_unlinked(stack), _open_unlinked(stack)
            with ExitStack() as passing:
                stdin = _open_input(passing, task_input.encode("utf-8", "surrogatepass"))
                self._process = subprocess.Popen(
                    command,
                    executable=executable,
                    env=env,
                    stdin=stdin,
                    stdout=self._stdout,
                    stderr=self._stderr,
                    process_group=0,
                )
            self._files = stack.pop_all()
        self.group = self._process.pid
        self._watch = ProcessWatch(self.group)

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the command ends; tell whether it has."""
        return self._watch.wait(seconds)

    def signal(self, number: int) -> None:
        """Send a signal to the command's whole process group; before `status`, while the group is surely its own."""
        signal_and_continue_group(self.group, number)

    def leaves_some(self) -> bool:
        """Tell whether some of its process group still runs."""
        return group_is_running(self.group)

    def status(self) -> int:
        """Give the exit code of a command that has ended; negative for the signal that ended it."""
        return self._process.wait()

    def failure(self) -> str:
        """Put in words how a command that did not exit with 0 ended."""
        status = self.status()
        return f"exit {status}" if status > 0 else f"signal {_name(-status)}"

    def result(self) -> str:
        """Give what the command wrote to stdout, less one trailing newline; whole, or raise UnfitResult."""
        _, most = LIMITS["result"]
        data = os.pread(self._stdout, most * _BYTES_A_CHARACTER + 2, 0)
        try:
            text = data.decode("utf-8").removesuffix("\n") if len(data) < most * _BYTES_A_CHARACTER + 2 else None
        except UnicodeDecodeError:
            raise UnfitResult("the result is not UTF-8 text") from None
        if text is None or len(text) > most:
            size = os.fstat(self._stdout).st_size
            raise UnfitResult(f"the result is over SWF's {most:,} characters: {size:,} bytes")
        return text

    def last_words(self) -> str:
        """Give the end of stderr, as much of it as fits the details of an answer."""
        _, most = LIMITS["details"]
        size = os.fstat(self._stderr).st_size
        data = os.pread(self._stderr, most, max(0, size - most))
        return data.decode("utf-8", "replace").strip("\n")[-most:]

    def new_lines(self, *, ended: bool = False) -> Iterator[str]:
        """Give the lines of stderr that have come since; with `ended` also one that has no newline yet."""
        descriptor = self._stderr
        size = os.fstat(descriptor).st_size
        self._shown = self._shown if self._shown <= size else 0
        if size - self._shown > _MOST_UNSHOWN:
            skipped = size - self._shown - _CHUNK
            self._shown += skipped
            yield f"… {skipped:,} bytes of stderr are not shown"
        while self._shown < size:
            data = os.pread(descriptor, _CHUNK, self._shown)
            whole = data.rfind(b"\n") + 1
            if not whole:
                if not data or (len(data) < _CHUNK and not ended):
                    return
                whole = len(data)
            self._shown += whole
            for line in data[:whole].decode("utf-8", "replace").splitlines():
                for start in range(0, max(1, len(line)), _LONGEST_LINE):
                    yield line[start : start + _LONGEST_LINE]

    def close(self) -> None:
        """Kill what has not ended, collect it, and let go of its files."""
        if not self._watch.wait(0):
            self.signal(signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self._watch.close()
        self._files.close()


def _open_input(stack: ExitStack, data: bytes) -> int:
    """Give a descriptor to read this from; it is closed with the stack, and nobody need read."""
    if len(data) <= _PIPE:
        reader, writer = os.pipe()
        stack.callback(os.close, reader)
        os.write(writer, data)
        os.close(writer)
        return reader
    file = _open_unlinked(stack)
    if os.pwrite(file, data, 0) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return file


def _open_unlinked(stack: ExitStack) -> int:
    """Open a file that has no name, and give its descriptor; it is closed with the stack.

    It is appended to: `echo … > /dev/stderr` opens such a file anew and empties it, and what follows must not leave
    a hole.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # a file system without such files
            flags = os.O_TMPFILE | os.O_EXCL | os.O_RDWR | os.O_APPEND
            descriptor = os.open(tempfile.gettempdir(), flags, 0o600)
            stack.callback(os.close, descriptor)
            return descriptor
    descriptor, path = tempfile.mkstemp()
    stack.callback(os.close, descriptor)
    os.unlink(path)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_RDWR | os.O_APPEND)
    return descriptor


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
