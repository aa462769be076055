"""Run a command against a local SWF: its environment, its process group, its end."""

import contextlib
import math
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final

from ..errors import Signalled
from ..processes import end_group

GRACE: Final = 10.0
"""Seconds from the signal that asks a command to end to the one that ends it."""

_DUPLICATE_WINDOW: Final = 0.2  # seconds

_FOREIGN: Final = (
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "SWF_TASK_TOKEN",
)
"""Variables that would lead a client elsewhere."""

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def settings(url: str, domain: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Give the variables that lead a client to a local SWF; the credentials are made up, and nobody checks them.

    What goes past a proxy in `environ` still does.
    """
    before = environ.get("NO_PROXY") or environ.get("no_proxy")
    hosts = ",".join(filter(None, (before, "127.0.0.1,localhost,::1")))
    return {
        "AWS_ENDPOINT_URL_SWF": url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SWF_DOMAIN": domain,
        "NO_PROXY": hosts,
        "no_proxy": hosts,
    }


def environment(url: str, domain: str, state: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Give the environment of a command that is to use a local SWF and a state folder of its own."""
    kept = {name: value for name, value in environ.items() if name not in _FOREIGN}
    made = kept | settings(url, domain, environ) | {"SWF_STATE_DIR": state}
    if shutil.which("swf", path=made.get("PATH")) is None:
        # Run from an environment that is not on the PATH: the command should find the same swf.
        beside = [os.path.dirname(os.path.abspath(program)) for program in (sys.argv[0], sys.executable)]
        made["PATH"] = os.pathsep.join([made.get("PATH", os.defpath), *beside])
    return made


def exports(url: str, domain: str, environ: Mapping[str, str]) -> str:
    """Give the shell text that leads a shell's commands to a local SWF."""
    lines = [f"unset {' '.join(_FOREIGN)}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in settings(url, domain, environ).items()]
    return "\n".join(lines) + "\n"


def run_command(command: Sequence[str], env: Mapping[str, str], grace: float = GRACE) -> int:
    """Run a command in a process group of its own, and wait for it.

    Whatever of its group is left when it ends, or when a signal asks this process to end, is ended too: asked first,
    killed after `grace` seconds, or at a second signal. Gives its exit code, 128 + N for signal N. Raises Signalled
    when it was ended by one of the signals that end a process, and OSError when it can't be run.
    """
    with _without_echoes():
        with signals_held() as arrived:
            process = subprocess.Popen(command, env=env, process_group=0)
        try:
            if arrived:
                raise Signalled(arrived[0])
            with _Terminal(process.pid) as terminal, _hearing(signal.SIGCHLD) as wait:
                status = _status(process, terminal, wait)
        except Signalled as end:
            with contextlib.suppress(Signalled):
                _end_group(process, end.number, grace)
            raise
        _end_group(process, signal.SIGTERM, grace)
    if status < 0:
        if -status in _ENDING:
            raise Signalled(-status)
        return 128 - status
    return status


@contextmanager
def _handling(handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle the signals that end this process; one that was ignored stays ignored."""
    handlers = {number: signal.getsignal(number) for number in _ENDING}
    caught = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in caught:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in caught.items():
            signal.signal(number, handler)


@contextmanager
def signals_held() -> Iterator[list[int]]:
    """Keep the signals that end this process from unwinding a step half-way; give those that came."""
    arrived: list[int] = []
    with _handling(lambda number, _: arrived.append(number)):
        yield arrived


@contextmanager
def _without_echoes() -> Iterator[None]:
    """Raise Signalled for a signal that ends this process, but not for its echo.

    `timeout` sends its signal twice at once, to the process and to its group: that is no second request.
    """
    last = -math.inf

    def hear(number: int, _: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _DUPLICATE_WINDOW:
            last = now
            raise Signalled(number)

    with _handling(hear):
        yield


class _Terminal:
    """The terminal that this process has, if any; it gives the foreground to a process group, and takes it back.

    It is given at once when stdin and stdout are that terminal. In a pipeline others may read from it too: there the
    group gets it when it first reads from it.
    """

    def __init__(self, group: int) -> None:
        self._group = group
        self.given = False
        """Whether the group has the foreground from us."""
        try:
            self._descriptor = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            self._descriptor = -1

    def __enter__(self) -> "_Terminal":
        # Who is not in the foreground is stopped for taking it back, unless the signal is ignored.
        self._before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        if os.isatty(0) and os.isatty(1):
            self.give()
        return self

    def __exit__(self, *_: object) -> None:
        if self.given:
            with contextlib.suppress(OSError):  # it has hung up
                os.tcsetpgrp(self._descriptor, os.getpgrp())
        signal.signal(signal.SIGTTOU, self._before)
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def give(self) -> bool:
        """Give the group the foreground, if it is ours to give; tell whether the group has it."""
        self.given = False
        with contextlib.suppress(OSError):
            foreground = os.tcgetpgrp(self._descriptor)
            if foreground == os.getpgrp():
                os.tcsetpgrp(self._descriptor, self._group)
            self.given = foreground in (os.getpgrp(), self._group)
        return self.given


def wait_for_ever() -> None:
    """Wait until a signal's handler raises."""
    with _hearing() as wait:
        while True:
            wait()


@contextmanager
def _hearing(*numbers: int) -> Iterator[Callable[[], object]]:
    """Give a function that waits for a signal, these too that nobody handles.

    It returns at once for one that came a now before: a lock or `waitpid` would miss that, and wait on.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        handlers = {number: signal.signal(number, lambda *_: None) for number in numbers}
        descriptor = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            yield lambda: ours.recv(4096)
        finally:
            signal.set_wakeup_fd(descriptor)
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _status(process: "subprocess.Popen[bytes]", terminal: _Terminal, wait: Callable[[], object]) -> int:
    """Wait for a process, give its exit code; when the terminal stops it (Ctrl-Z), stop too, and go on with it."""
    while True:
        changed, status = os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)
        if not changed:
            wait()
            continue
        if not os.WIFSTOPPED(status):
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode
        if os.WSTOPSIG(status) in (signal.SIGTTIN, signal.SIGTTOU):
            stop = not terminal.give()
        elif terminal.given:
            stop = True
        else:
            continue  # whoever stopped it goes on with it
        if stop:
            os.killpg(os.getpgrp(), signal.SIGTSTP)
            terminal.give()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGCONT)


def _end_group(process: "subprocess.Popen[bytes]", number: int, grace: float) -> None:
    """End a process group: signal it, wait for it to be gone, kill what is left; at once when Signalled is raised."""
    end_group(process.pid, number, grace=grace, reap=lambda: process.poll() is not None, shield=signals_held)
