"""A process that a worker starts: in its own session and process group, its stderr read by lines."""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from ..processes import OrphanReaper, ProcessWatch, group_is_running, signal_and_continue_group
from ..turns import waiting
from .files import LineReader, open_unlinked

if TYPE_CHECKING:
    import threading

_OF_A_TASK: Final = (
    *(b"SWF_TASK_", b"SWF_ACTIVITY_", b"SWF_WORKFLOW_ID", b"SWF_RUN_ID"),
    *(b"SWF_HEARTBEAT_FILE", b"SWF_RESULT_FILE", b"SWF_REASON_FILE"),
)

TICK: Final = 0.2
"""Seconds between looks at a running process."""

_KILL_TICKS: Final = 50  # looks at a process that was sent SIGKILL

_log = logging.getLogger(__name__)


class WorkerProcess:
    """A process of a worker; `close` it at the end.

    Its stderr is an unlinked file: a process that writes without end, or leaves a child behind that holds it, blocks
    nothing. Raises OSError or ValueError if it can't be started.

    Args:
        command: program and arguments
        executable: path of the program
        streams: descriptors for its stdin and stdout
        files: closed with the process
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[bytes, bytes],
        executable: str | None,
        streams: tuple[int, int],
        files: ExitStack,
    ) -> None:
        with files:
            stderr = open_unlinked(files)
            # Not os.posix_spawn: it keeps all other threads waiting for longer.
            self._popen = subprocess.Popen(
                command,
                executable=executable,
                env=env,
                stdin=streams[0],
                stdout=streams[1],
                stderr=stderr,
                # A session has no terminal: a command that asks for a password fails, where it would be stopped.
                start_new_session=True,
            )
            self._files = files.pop_all()
        self.group = self._popen.pid
        """Its process group, and the ID of its leader."""
        self.why_stuck = ""
        """Why it goes on, although it was to be stopped; empty if it does not."""
        OrphanReaper.own_children.add(self.group)
        self._watch = ProcessWatch(self.group)
        self._stderr = LineReader(stderr)

    def wait(self, seconds: float) -> bool:
        """Wait for the process to end, for at most this long; return whether it has."""
        if not seconds:
            return self._watch.wait(0)
        with waiting():
            return self._watch.wait(seconds)

    def returncode(self) -> int:
        """Return the exit code of a process that has ended; negative for the signal that ended it."""
        return self._popen.wait()

    def describe_exit(self) -> str:
        """Return how a process ended, or that it did not, as the reason of a failure."""
        if self.why_stuck:
            return f"process {self.group} {self.why_stuck}"
        code = self.returncode()
        return f"exit {code}" if code >= 0 else f"signal {_signal_name(-code)}"

    def stderr_tail(self) -> str:
        """Return the end of stderr, for the details of a response; see `LineReader.tail`."""
        return self._stderr.tail()

    def clear_stderr(self) -> None:
        """Forget what was read of stderr: it is about a task that is over."""
        self._stderr.forget()

    def read_stderr_lines(self, *, ended: bool = False, token: str | None = None) -> Iterator[str]:
        """Yield the lines of stderr that are new; see `LineReader.read_lines`."""
        return self._stderr.read_lines(ended=ended, token=token)

    def stop(self, grace: float, kill: "threading.Event", on_tick: Callable[[], object]) -> None:
        """Send SIGTERM to the process group, then SIGKILL after the grace period, or once `kill` is set.

        A process that waits in the kernel, such as for a file server, may not end for hours: after 10 seconds it is
        left to end by itself, and so is at once one of another user, see `why_stuck`. `on_tick` is called now and
        then. Call it before `returncode`, which reaps the process: after that, the ID of the group may be reused.
        """
        kill_at = time.monotonic() + grace
        can_signal = self._signal(signal.SIGTERM)
        while can_signal and (not self.wait(TICK) or group_is_running(self.group)):
            on_tick()
            if kill.wait(TICK / 4) or time.monotonic() >= kill_at:
                break
        for _ in range(_KILL_TICKS):
            if not self._signal(signal.SIGKILL):
                self.why_stuck = "runs as another user and cannot be stopped"
                break
            if self.wait(TICK):
                return
            on_tick()
        else:
            self.why_stuck = "was killed, but waits in the kernel and does not end"
        _log.warning("%s; it is left to end by itself", self.describe_exit())

    def _signal(self, number: int) -> bool:
        """Signal the process group; return whether that was permitted, or the process has ended."""
        return signal_and_continue_group(self.group, number) or self.wait(TICK)

    def close(self) -> None:
        """Kill it if it has not ended, reap it, and close its files."""
        if not self._watch.wait(0):
            signal_and_continue_group(self.group, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(0 if self.why_stuck else 1)
            OrphanReaper.own_children.discard(self.group)
        self._watch.close()
        self._files.close()


def encode_environ(environ: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return an environment as processes get it: encoded once for all of them."""
    return {os.fsencode(name): os.fsencode(value) for name, value in environ.items()}


def without_task(environ: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return an environment without variables that name a task: the worker may itself run for one."""
    return {name: value for name, value in environ.items() if not name.startswith(_OF_A_TASK)}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
