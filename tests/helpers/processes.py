"""What the tests of processes share: a process that is started and never left behind, and who is still there."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.helpers.cli import SWF, wait_until


@contextmanager
def started(*args: str, env: Mapping[str, str], **how: Any) -> Iterator["subprocess.Popen[str]"]:
    """Start the installed `swf` with its streams in pipes, in a process group of its own; kill what is left."""
    streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen([SWF, *args], env=dict(env), text=True, process_group=0, **{**streams, **how})
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def is_running(pid: int) -> bool:
    """Tell whether a process is there; a zombie is not."""
    asked = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return asked.stdout.strip()[:1] not in ("", "Z")


def written_pids(folder: Path, count: int) -> list[int]:
    """Wait until so many processes have written their ids to files `*.pid` of a folder; give the ids."""

    def read() -> list[int]:
        texts = [path.read_text() for path in folder.glob("*.pid")]
        return [int(text) for text in texts if text.endswith("\n")]

    wait_until(lambda: len(read()) == count)
    return read()


def is_served(url: str) -> bool:
    """Tell whether something listens at the address of a URL on this machine."""
    try:
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True
