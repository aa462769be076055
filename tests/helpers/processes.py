"""Processes that a test starts and never leaves behind, and what is still running."""

import errno
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.helpers.cli import SWF, wait_until


@contextmanager
def started(
    *args: str, env: Mapping[str, str], program: Sequence[str] = (SWF,), **how: Any
) -> Iterator["subprocess.Popen[str]"]:
    """Start the installed `swf` with its streams in pipes, in a process group of its own; kill what is left of it.

    `program` is what to start instead, such as a program that starts `swf`.
    """
    streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen([*program, *args], env=dict(env), text=True, process_group=0, **{**streams, **how})
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def is_running(pid: int) -> bool:
    """Return whether a process is running; a zombie is not."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()[:1] not in ("", "Z")


def refuse_signal(group: int, number: int) -> None:
    """Refuse to signal a process group, in the place of os.killpg, as if all its processes were another user's."""
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def written_pids(folder: Path, count: int) -> list[int]:
    """Wait until this many processes have written their IDs to files `*.pid` of a folder; return the IDs."""

    def read() -> list[int]:
        texts = [path.read_text() for path in folder.glob("*.pid")]
        return [int(text) for text in texts if text.endswith("\n")]

    wait_until(lambda: len(read()) == count)
    return read()


def is_served(url: str) -> bool:
    """Return whether something listens at the address of a URL on this machine."""
    try:
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True
