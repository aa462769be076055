"""Writing to stdout and stderr: text from outside made safe for a terminal, and messages that never block."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import select
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ..errors import OutputError
from ..redaction import redact
from .escaping import escape_controls, safe_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer
    from rich.live import Live

_MAX_QUEUED: Final = 10_000  # messages
_FLUSH_PATIENCE: Final = 0.5  # seconds without progress after which queued messages are abandoned
_REFRESH_INTERVAL: Final = 0.5  # seconds
_CLOSED: Final = "stdout is closed"
_BATCH_DELAY: Final = 0.03  # seconds
_WRITE_SIZE: Final = 4_096  # bytes that stdout is given at once


def to_json(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON that stdout's encoding can carry."""
    return safe_json(value, indent, ascii_only=sys.stdout.encoding.lower() not in ("utf-8", "utf8"))


def draws_ascii(encoding: str) -> bool:
    """Return whether lines and marks are drawn in ASCII on a stream, by its encoding and the locale.

    Under LC_ALL=C streams are still UTF-8, so that data is unchanged; lines and marks are ASCII, as users of that
    locale expect.
    """
    import locale

    return any(name.lower() not in ("utf-8", "utf8") for name in (encoding, locale.getencoding()))


def is_plain(color: str) -> bool:
    """Return whether nothing is coloured, dim or bold, by --color and NO_COLOR; the option wins."""
    return color == "never" or (color == "auto" and bool(os.environ.get("NO_COLOR")))


def write_stdout(text: str) -> None:
    """Write data to stdout, all of it. Raise OutputError, with an empty message if the reader closed the pipe."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except ValueError as error:  # text that its encoding can't carry
        discard(sys.stdout.fileno())
        raise OutputError(f"cannot write to stdout: {error}") from error


def check_stdout() -> None:
    """Raise OutputError if stdout was closed, or not opened for writing, when the process started."""
    if fcntl.fcntl(1, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OutputError(_CLOSED)


def _describe_write_error(error: OSError) -> str:
    """Return why stdout could not be written to; empty if the reader closed the pipe, and so knows."""
    if isinstance(error, BrokenPipeError):
        return ""
    return _CLOSED if error.errno == errno.EBADF else f"cannot write to stdout: {error.strerror}"


def discard(descriptor: int) -> None:
    """Drop what is written to a descriptor from now on, also what Python still buffers and writes when it exits."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write data to a descriptor, all of it, even if another process that shares it made it non-blocking."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()


class RawStdout(io.FileIO):
    """Stdout below Python's buffer, which would lose what a non-blocking descriptor does not take at once."""

    waits_since: float | None = None
    """When stdout last accepted something of what is being written, by the monotonic clock; None if nothing is."""

    def __init__(self) -> None:
        super().__init__(1, "w", closefd=False)

    def write(self, data: ReadableBuffer) -> int:
        """Write data, all of it. Raise OutputError, with an empty message if the reader closed the pipe."""
        view = memoryview(data).cast("B")
        try:
            for start in range(0, len(view), _WRITE_SIZE):
                RawStdout.waits_since = time.monotonic()
                write_all(1, view[start : start + _WRITE_SIZE])
        except OSError as error:
            discard(1)
            raise OutputError(_describe_write_error(error)) from error
        finally:
            RawStdout.waits_since = None
        return len(view)


def is_stalled(seconds: float) -> bool:
    """Return whether stdout has accepted nothing for some seconds of what is being written to it."""
    since = RawStdout.waits_since
    return since is not None and time.monotonic() - since >= seconds


class RawStderr(io.TextIOBase):
    """Stderr without Python's buffer, whose lock a stalled write would hold until the process exits."""

    encoding = "utf-8"

    def __init__(self, descriptor: int = 2) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.encoding = getattr(sys.__stderr__, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write text, all of it."""
        write_all(self._descriptor, text.encode(self.encoding, "backslashreplace"))
        return len(text)

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        """Return its descriptor."""
        return self._descriptor


class StderrWriter:
    """Writes messages to stderr from a thread of its own: a reader that stalls delays nobody else.

    While a live line is shown, messages appear above it. When too many are queued, further ones are dropped and
    counted.

    Args:
        maximum: how many messages are queued
        patience: seconds without progress after which `flush` gives up
        refresh_interval: seconds between updates of the live line
    """

    def __init__(
        self,
        stderr: RawStderr | None = None,
        *,
        maximum: int = _MAX_QUEUED,
        patience: float = _FLUSH_PATIENCE,
        refresh_interval: float = _REFRESH_INTERVAL,
    ) -> None:
        from queue import SimpleQueue  # not at start-up

        self._maximum = maximum
        self._patience = patience
        self._refresh_interval = refresh_interval
        self._stderr = stderr or RawStderr()
        self._queue: SimpleQueue[str | Callable[[], None]] = SimpleQueue()  # its put() is safe in signal handlers
        # A list, since pop() is atomic: several threads, or a signal handler, may put the first message.
        self._unstarted = [threading.Thread(target=self._run, name="stderr", daemon=True)]
        self._is_flushing = threading.Event()
        self._dropped = 0
        self._written = 0
        self._live: Live | None = None
        self.describe_dropped: Callable[[int], str] = lambda count: f"swf: {describe_dropped(count)}"
        """Returns the line that says how many lines were dropped."""

    def write(self, text: str) -> None:
        """Queue a message: whole lines."""
        if self._queue.qsize() >= self._maximum:
            self._dropped += 1
            return
        self._put(text)

    def show(self, live: Live) -> None:
        """Show a live line until `hide`. It must not refresh itself."""

        def start() -> None:
            self._live = live
            live.start(refresh=True)

        self._put(start)

    def hide(self) -> None:
        """Remove the live line."""

        def stop() -> None:
            if self._live is not None:
                self._live.stop()
                self._live = None

        self._put(stop)
        self.flush()

    def flush(self) -> None:
        """Wait until what is queued is written, as long as there is progress."""
        if self._unstarted:
            self._write_without_thread()
            return
        done = threading.Event()
        self._is_flushing.set()
        self._queue.put(self._report_dropped)
        self._queue.put(done.set)
        written = self._written
        while not done.wait(self._patience) and written != self._written:
            written = self._written
        self._is_flushing.clear()

    def _write_without_thread(self) -> None:
        """Write what is queued, as far as stderr takes it: this machine has no thread for it."""
        poll = select.poll()
        poll.register(self._stderr.fileno(), select.POLLOUT)
        with suppress(OSError, ValueError):
            while not self._queue.empty() and poll.poll(self._patience * 1000):
                item = self._queue.get_nowait()
                if callable(item):
                    item()
                else:
                    self._print(item)

    def _put(self, item: str | Callable[[], None]) -> None:
        self._queue.put(item)
        if self._unstarted:
            with suppress(IndexError):
                self._start(self._unstarted.pop())

    def _start(self, thread: threading.Thread) -> None:
        try:
            thread.start()
        except RuntimeError:  # the machine has no more threads now: the next message tries again
            self._unstarted.append(thread)

    def _run(self) -> None:
        from queue import Empty

        while True:
            try:
                item = self._queue.get(timeout=self._refresh_interval if self._live else None)
            except Empty:
                self._refresh()
                continue
            if not callable(item):
                self._is_flushing.wait(_BATCH_DELAY)  # a busy worker logs many lines: they are written together
            with suppress(OSError, ValueError):  # a stderr that can't be written to is not an error
                self._handle(item)
                if self._queue.empty():
                    self._report_dropped()
            self._written += 1

    def _handle(self, item: str | Callable[[], None]) -> None:
        """Handle an item, and with a message those that are queued behind it."""
        from queue import Empty

        messages: list[str] = []
        while not callable(item):
            messages.append(item)
            try:
                item = self._queue.get_nowait()
            except Empty:
                break
        if messages:
            self._print("".join(messages))
        if callable(item):
            item()

    def _report_dropped(self) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._print(f"{self.describe_dropped(dropped)}\n")

    def _refresh(self) -> None:
        if self._live is not None:
            with suppress(OSError, ValueError):
                self._live.refresh()

    def _print(self, text: str) -> None:
        if self._live is not None:
            from rich.text import Text

            self._live.console.print(Text(text.removesuffix("\n")), soft_wrap=True)
            return
        self._stderr.write(text)


def describe_dropped(count: int) -> str:
    """Return the message about dropped lines."""
    return f"{count:,} lines dropped: stderr was not read"


_stderr: StderrWriter | None = None


def stderr_writer() -> StderrWriter:
    """Return the process's writer to stderr."""
    global _stderr
    if _stderr is None:
        _stderr = StderrWriter()
    return _stderr


def print_stderr(line: str) -> None:
    """Queue a line for stderr, made safe for a terminal and without secrets."""
    stderr_writer().write(f"{escape_controls(redact(line))}\n")


def print_message(message: str) -> None:
    """Queue a message of `swf` for stderr."""
    print_stderr(f"swf: {message}")


def flush_stderr() -> None:
    """Wait until stderr has what was printed, unless nobody reads it."""
    if _stderr is not None:
        _stderr.flush()
