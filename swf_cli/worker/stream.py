"""Handlers that are kept running: one process per busy slot, a JSON line per task in, JSON lines out.

The worker writes a task to the handler's stdin; the handler writes heartbeats, and then one response, to its stdout.
"""

import fcntl
import logging
import os
import select
import struct
import sys
import termios
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from ..heartbeats import HeartbeatSignal
from ..processes import start_id
from ..responding import Outcome
from ..turns import waiting
from .handlers import explain_start_error
from .process import TICK, WorkerProcess, without_task
from .protocol import ProtocolError, excerpt, is_response, parse_line, task_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .task_runner import TaskRunner, WorkerContext

_LONGEST_LINE: Final = 1_048_576  # bytes
_CHUNK: Final = 65_536  # bytes
_WITHHELD: Final = 2  # bytes of the end of a task: a brace and a newline, without which nobody takes it for whole
_CANCEL_REQUEST: Final = b'{"cancel_requested": true}\n'

_log = logging.getLogger(__name__)


class Recycled(Exception):
    """A handler that had done tasks before ended, and never read the task that was written to it."""


class StreamProcess(WorkerProcess):
    """A handler, with pipes to its stdin and from its stdout, neither of which can block the worker."""

    def __init__(self, command: "Sequence[str]", env: "Mapping[bytes, bytes]", executable: str) -> None:
        files, theirs = ExitStack(), ExitStack()
        with files, theirs:
            stdin, self._stdin = os.pipe()
            theirs.callback(os.close, stdin)
            files.callback(self.close_stdin)
            self._stdout, stdout = os.pipe()
            theirs.callback(os.close, stdout)
            files.callback(os.close, self._stdout)
            os.set_blocking(self._stdin, False)
            os.set_blocking(self._stdout, False)
            self._output = select.poll()
            self._output.register(self._stdout, select.POLLIN)
            self._shows_reads = _shrink(self._stdin)
            super().__init__(command, env, executable, (stdin, stdout), files)
        try:
            self.start_id = start_id(self.group)
            """See `processes.start_id`."""
        except BaseException:  # such as of a lack of processes, where `ps` is needed
            self.close()
            raise
        self._unsent = b""
        self._barrier: int | None = None
        """How many bytes of `_unsent` may be sent before the handler has read all before them; None for all."""
        self._received = b""
        self.has_closed_stdout = False
        self.responses = 0
        """Number of tasks that it responded to."""
        self.is_retired = False
        """Whether it gets no other task."""

    def close_stdin(self) -> None:
        """Close the stdin of the handler: there are no more tasks."""
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1

    def write_task(self, line: bytes) -> None:
        """Write the line of a task to the handler, as `write` does.

        The end of it follows once the handler has read the rest, and has written nothing until then: a second
        response to its last task must not be taken for the response to this one.
        """
        if self._shows_reads:
            self._barrier = len(self._unsent) + len(line) - _WITHHELD
        self.write(line)

    def write(self, line: bytes) -> None:
        """Write a line to the handler; what it does not take now, `exchange` writes."""
        self._unsent += line
        self._flush()

    def exchange(self, seconds: float) -> list[bytes]:
        """Write what the handler takes, and return the lines that it wrote; wait up to `seconds` for either.

        Raise ProtocolError for a line that is too long.
        """
        if self.has_closed_stdout:
            self.wait(seconds)
            return []
        poll = select.poll()
        poll.register(self._stdout, select.POLLIN)
        if self._unsent and self._stdin >= 0:
            poll.register(self._stdin, select.POLLOUT)
        with waiting():
            ready = dict(poll.poll(seconds * 1000))
        if self._stdin in ready:
            if self._barrier == 0 and not self._output.poll(0):
                self._barrier = None
            self._flush()
        return self._read_lines() if self._stdout in ready else []

    def _flush(self) -> None:
        if self._stdin < 0:
            return
        try:
            written = os.write(self._stdin, self._unsent[: self._barrier])
        except BlockingIOError:
            return
        except OSError:  # it closed its stdin, or ended
            self.close_stdin()
            return
        self._unsent = self._unsent[written:]
        if self._barrier is not None:
            self._barrier -= written

    def _read_lines(self) -> list[bytes]:
        try:
            data = os.read(self._stdout, _CHUNK)
        except BlockingIOError:
            return []
        self.has_closed_stdout = not data
        *lines, self._received = (self._received + data).split(b"\n")
        if any(len(line) > _LONGEST_LINE for line in (self._received, *lines)):
            raise ProtocolError(f"the handler wrote a line over {_LONGEST_LINE:,} bytes")
        return lines

    @property
    def unfinished_line(self) -> bytes:
        """What it wrote of a line whose newline is still missing."""
        return self._received

    def unread(self) -> int:
        """Return how many bytes the handler has not read of what was written to it."""
        if self._stdin < 0:
            return len(self._unsent)
        # On macOS, the end of a pipe that is written to always shows 0.
        (in_pipe,) = struct.unpack("i", fcntl.ioctl(self._stdin, termios.FIONREAD, bytes(4)))
        return len(self._unsent) + int(in_pipe)

    def has_closed_stdin(self) -> bool:
        """Return whether nothing that is written to it can be read any more."""
        if self._stdin < 0:
            return True
        poll = select.poll()
        poll.register(self._stdin, 0)
        return bool(poll.poll(0))

    def can_take_task(self) -> bool:
        """Return whether it waits for a task: it runs, reads, and has written nothing unprompted."""
        if self.is_retired or self._received or self.wait(0):
            return False
        return not self._output.poll(0) and not self.has_closed_stdin()


class StreamExecutor:
    """Passes the tasks of a slot to a handler, which is started when needed and replaced when it ends."""

    def __init__(self, context: "WorkerContext", longest_end: float = 1.0) -> None:
        """Use a handler for the tasks of a slot.

        One that closes its stdin or stdout gets the grace period to exit, and at least `longest_end` seconds.
        """
        self._context = context
        self._longest_end = longest_end
        self._handler: StreamProcess | None = None
        self._last: TaskRunner | None = None
        """The last task that was passed to it: what it writes to stderr before the next one is about that task."""
        self._busy = threading.Lock()

    def run(self, runner: "TaskRunner") -> Outcome | None:
        """Pass a task to the handler; return the outcome, or None if the task is not open any more.

        Raise OSError if a handler can't be started, even after some time.
        """
        with self._busy:
            while True:
                handler = runner.context.start_gate.start(self._ready_handler, is_over=runner.is_over, log=runner.log)
                if handler is None:
                    return runner.outcome_of_stopped(None)
                self._last = runner
                runner.record_command(handler.group, handler.start_id)
                with suppress(Recycled):
                    return self._exchange(runner, handler)

    def forward_idle_stderr(self) -> None:
        """Log what the handler wrote to stderr since the last task, unless it works on one."""
        if self._busy.acquire(blocking=False):
            try:
                if self._last is not None and self._handler is not None:
                    self._last.log_stderr(self._handler)
            finally:
                self._busy.release()

    def _exchange(self, runner: "TaskRunner", handler: StreamProcess) -> Outcome | None:
        try:
            outcome = _Exchange(runner, handler, self._longest_end).run()
        except ProtocolError as error:
            self._stop(handler)
            return Outcome.failed(str(error), handler.stderr_tail())
        if outcome is None:
            self._stop(handler)
            return runner.outcome_of_stopped(handler)
        return outcome

    def close(self) -> None:
        """Close the handler's stdin, and stop it if it does not exit within the grace period."""
        with self._busy:
            if self._handler is None:
                return
            self._handler.close_stdin()
            end = time.monotonic() + self._context.config.grace
            while not self._handler.wait(TICK) and time.monotonic() < end:
                self._forward()
                if self._context.shutdown.terminating.is_set():
                    break
            self._replace()

    def _ready_handler(self) -> StreamProcess:
        """Return a handler that waits for a task: the one at hand, or a new one."""
        handler = self._handler
        if handler is not None and handler.can_take_task():
            self._forward(ended=True)
            handler.clear_stderr()
            return handler
        self._replace()
        command, executable = self._context.config.programs.find("")
        try:
            with waiting():
                self._handler = StreamProcess(command, without_task(self._context.environ), executable)
        except OSError as error:
            raise explain_start_error(error, executable) from error
        return self._handler

    def _replace(self) -> None:
        """Stop the handler at hand, if it still runs, and forget it."""
        handler = self._handler
        if handler is None:
            return
        is_ending = not handler.is_retired and handler.has_closed_stdin()  # its files are closed before it has ended
        if handler.wait(TICK if is_ending else 0):
            self._forward(ended=True)
            if not handler.is_retired and handler.returncode() != 0:
                _log.warning("the handler ended between two tasks (%s)", handler.describe_exit())
        else:
            if not handler.is_retired and not is_ending:
                _log.warning("the handler wrote to stdout between two tasks, or closed it; it is replaced")
            self._stop(handler)
        handler.close()
        self._handler = None

    def _stop(self, handler: StreamProcess) -> None:
        """Stop the handler, unless it has ended; `_replace` forgets it."""
        handler.is_retired = True
        if not handler.wait(0) and not handler.why_stuck:
            handler.stop(self._context.config.grace, self._context.shutdown.killing, self._forward)
        self._forward(ended=True)

    def _forward(self, *, ended: bool = False) -> None:
        if self._last is not None and self._handler is not None:
            self._last.forward_stderr(self._handler, ended=ended)


class _Exchange:
    """One task at a handler."""

    def __init__(self, runner: "TaskRunner", handler: StreamProcess, longest_end: float) -> None:
        self._runner = runner
        self._longest_end = max(runner.context.config.grace, longest_end)
        self._handler = handler
        self._details: str | None = None
        self._cancelled_at: float | None = None
        self._closed_at: float | None = None
        """Since when the handler can't read its task, or can't respond."""
        runner.heartbeat_details = lambda: self._details

    def run(self) -> Outcome | None:
        """Pass the task, and return its outcome; None if the handler is to be stopped.

        Raise ProtocolError if the handler does not keep to the protocol, and Recycled if it never read the task.
        """
        runner, handler = self._runner, self._handler
        handler.write_task(task_line(runner.task, runner.source))
        while True:
            outcome = self._read(handler.exchange(TICK))
            if outcome is not None:
                runner.forward_stderr(handler)
                return outcome
            if handler.wait(0):
                return self._outcome_of_death()
            runner.forward_stderr(handler)
            self._check_pipes()
            if runner.is_over() and self._is_to_stop():
                return None

    def _read(self, lines: "Sequence[bytes]") -> Outcome | None:
        """Return the outcome among the lines that the handler wrote, if there is one."""
        for number, line in enumerate(lines, 1):
            response = parse_line(line, self._runner.log)
            if isinstance(response, Outcome):
                self._accept(response, lines[number:])
                return response
            self._details = response or None
        return None

    def _accept(self, response: Outcome, later: "Sequence[bytes]") -> None:
        """Raise ProtocolError if the response may not be to this task; retire the handler if it can't get another."""
        handler = self._handler
        if self._is_unread():
            raise ProtocolError("the handler responded before it read its task")
        if handler.responses and any(is_response(line) for line in later):
            raise ProtocolError("the handler responded twice, maybe first to its last task")
        handler.responses += 1
        if later:
            self._runner.log.warning("the handler wrote more after its response; it is replaced")
        # What it has not read of the request to cancel, it would take for the next task.
        if later or (self._cancelled_at is not None and response.state != "cancelled"):
            handler.is_retired = True
            handler.close_stdin()

    def _outcome_of_death(self) -> Outcome | None:
        """Return the outcome if the handler ended before it responded; None if the task was to be stopped."""
        handler, runner = self._handler, self._runner
        # What it wrote is in the pipe, and no more than that is read: a child of it may write without end.
        for _ in range(_LONGEST_LINE // _CHUNK):
            if outcome := self._read(handler.exchange(0)):
                return outcome
        if runner.is_over():
            return None
        if handler.responses and self._is_unread():
            raise Recycled
        handler.is_retired = True
        runner.forward_stderr(handler, ended=True)
        if handler.unfinished_line:
            runner.log.warning("the handler's last line has no newline: %s", excerpt(handler.unfinished_line))
        return Outcome.failed(handler.describe_exit(), handler.stderr_tail())

    def _is_unread(self) -> bool:
        """Return whether the handler has not read the whole of the task."""
        requested = 0 if self._cancelled_at is None else len(_CANCEL_REQUEST)
        return self._handler.unread() > requested

    def _check_pipes(self) -> None:
        """Raise ProtocolError if the handler can't respond any more, and does not end either."""
        handler = self._handler
        has_stopped_reading = self._is_unread() and handler.has_closed_stdin()
        if not has_stopped_reading and not handler.has_closed_stdout:
            return
        if self._closed_at is None:
            self._closed_at = time.monotonic()
        # A process that ends closes its files a moment before.
        if time.monotonic() - self._closed_at >= self._longest_end:
            raise ProtocolError(f"the handler closed its {'stdin' if has_stopped_reading else 'stdout'}")

    def _is_to_stop(self) -> bool:
        """Return whether to stop the handler: at once, or when it had time to respond to a request to cancel."""
        runner = self._runner
        if runner.context.shutdown.terminating.is_set() or runner.signal is not HeartbeatSignal.CANCEL_REQUESTED:
            return True
        if self._cancelled_at is None:
            self._cancelled_at = time.monotonic()
            self._handler.write(_CANCEL_REQUEST)
        return time.monotonic() - self._cancelled_at >= runner.context.config.grace


def _shrink(pipe: int) -> bool:
    """Make a pipe as small as it can be; return whether it can be written to only when it is empty."""
    if sys.platform == "linux":
        with suppress(OSError):
            return fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1) == os.sysconf("SC_PAGESIZE")
    return False
