"""Running the command line: as a process, from a shell script, or within the test's own process."""

import json
import logging
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Literal
from unittest import mock

from swf_cli.cli import app
from tests.helpers.fast_swf import FAST

SWF = str(Path(sys.executable).with_name("swf"))
"""The `swf` that is installed beside the Python that runs the tests."""

TASK: dict[str, Any] = {
    "taskToken": "TOKEN",
    "activityId": "resize-1",
    "activityType": {"name": "resize", "version": "2"},
    "workflowExecution": {"workflowId": "video-7", "runId": "RUN"},
    "startedEventId": 6,
    "input": "in.png",
}
"""SWF's response to a poll that receives a task."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run of `swf` printed, and how it ended."""

    stdout: str
    stderr: str
    code: int
    """Exit code; negative for the signal that ended it."""

    @property
    def json(self) -> Any:
        """Stdout, parsed."""
        return json.loads(self.stdout)


FAST_SWF = [sys.executable, str(Path(__file__).with_name("fast_swf.py"))]
"""A command that is `swf` with short timeouts and delays."""


def run(
    *args: str | bytes,
    env: Mapping[str, str],
    stdin: str | bytes = "",
    timeout: float = 60,
    fast: bool = False,
) -> Result:
    """Run the installed `swf`, or the one with short times, as a process with its streams in pipes.

    `env` is its whole environment.
    """
    done = subprocess.run(
        [*(FAST_SWF if fast else [SWF]), *args],
        env=dict(env),
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Result(
        done.stdout.decode("utf-8", "surrogatepass"),
        done.stderr.decode("utf-8", "surrogatepass"),
        done.returncode,
    )


def invoke(*args: str | bytes, env: Mapping[str, str], stdin: str | bytes = "") -> Result:
    """Run the command line in this process, with its streams in files; `env` is its whole environment.

    A hundred times faster than `run` for a usage error: for tables of options and errors. Retries are fast too. It
    needs the main thread.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(TemporaryFile()) for _ in range(3)]
        files[0].write(stdin.encode() if isinstance(stdin, str) else stdin)
        files[0].seek(0)
        code = invoke_with([file.fileno() for file in files], *args, env=env)
        return Result(_read(files[1]), _read(files[2]), code)


def invoke_with(streams: Sequence[int], *args: str | bytes, env: Mapping[str, str]) -> int:
    """Run the command line in this process with these descriptors as its streams; return its exit code."""
    with _streams(streams), mock.patch.dict(os.environ, env, clear=True), logging_restored():
        code = app.run([os.fsdecode(arg) for arg in args], FAST)
        sys.stdout.flush()
        sys.stderr.flush()
        return code


@contextmanager
def _streams(streams: Sequence[int]) -> Iterator[None]:
    """Replace the standard streams, descriptors and all."""
    before = [os.dup(number) for number in range(3)]
    with ExitStack() as stack:
        try:
            for number, (name, stream) in enumerate(zip(("stdin", "stdout", "stderr"), streams, strict=True)):
                os.dup2(stream, number)
                mode, errors = ("w", "surrogatepass") if number else ("r", "strict")
                file = stack.enter_context(open(number, mode, encoding="utf-8", errors=errors, closefd=False))
                stack.enter_context(mock.patch.object(sys, name, file))
            yield
        finally:
            for number, descriptor in enumerate(before):
                os.dup2(descriptor, number)
                os.close(descriptor)


@contextmanager
def logging_restored() -> Iterator[None]:
    """Log only where the command line says, and undo that afterwards, so that later tests can capture the log."""

    def loggers() -> list[logging.Logger]:
        known = logging.root.manager.loggerDict.values()
        return [logging.root, *(logger for logger in known if isinstance(logger, logging.Logger))]

    hook = threading.excepthook
    before = {logger: (list(logger.handlers), logger.level, logger.propagate) for logger in loggers()}
    logging.root.handlers = []  # pytest's own, which would print on the streams of the test
    try:
        yield
    finally:
        threading.excepthook = hook
        for logger in loggers():
            logger.handlers, level, logger.propagate = before.get(logger, ([], logging.NOTSET, True))
            logger.setLevel(level)


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "surrogatepass")


Unwritable = Literal["closed", "full", "unread"]


def run_unwritable(how: Unwritable, *args: str, env: Mapping[str, str]) -> Result:
    """Run the installed `swf` with a stdout that is closed, a full device, or a pipe whose reader has closed it."""
    if how == "closed":
        return shell(f"{shlex.join(['swf', *args])} >&-", env=env)
    if how == "full":
        stdout = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, stdout = os.pipe()
        os.close(reader)
    try:
        command = [SWF, *args]
        done = subprocess.run(command, env=dict(env), stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(stdout)
    return Result("", done.stderr, done.returncode)


def shell(
    script: str, *, env: Mapping[str, str], program: str = "bash", stdin: str = "", timeout: float = 60
) -> Result:
    """Run a shell script with the installed `swf` on its PATH."""
    path = os.pathsep.join([str(Path(SWF).parent), env.get("PATH", os.defpath)])
    done = subprocess.run(
        [program, "-c", script],
        env={**env, "PATH": path},
        input=stdin.encode(),
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Result(done.stdout.decode(), done.stderr.decode(), done.returncode)


def wait_until(condition: Callable[[], object], timeout: float = 60, interval: float = 0.01) -> None:
    """Wait until a condition holds; fail the test if it does not within `timeout` seconds.

    The condition is looked at less and less often: many start processes. `interval` is the first pause, in seconds.
    """
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "the condition did not become true in time"
        time.sleep(interval)
        interval = min(1.2 * interval, 0.1)
