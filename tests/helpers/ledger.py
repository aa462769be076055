"""A task and a poll to put in a ledger, and processes that use one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from swf_cli.ledger.records import PollSource, Taker
from swf_cli.ledger.store import Ledger
from swf_cli.models import ActivityId, ExecutionId, WorkerTask

_ROOT = Path(__file__).parents[2]

SOURCE = PollSource("video", "resize", "me@here", "west", "us-east-1", "http://swf.test")
TASK = WorkerTask("TOKEN", "resize-1", ActivityId("resize", "2"), ExecutionId("video-7", "RUN"), 6, "PRIVATE INPUT")


def record_task(
    ledger: Ledger, task: WorkerTask = TASK, source: PollSource = SOURCE, taken_by: Taker = "poll"
) -> str:
    """Put a task in the ledger as its poll does, and return its key."""
    with ledger.record_poll(source, taken_by) as record:
        assert record.assign(task)
    return record.key


@contextmanager
def in_process(folder: Path, code: str) -> Iterator["subprocess.Popen[str]"]:
    """Run code that uses `ledger`, `SOURCE` and `TASK` in a process of its own, whose stdin and stdout are pipes."""
    script = f"""
import logging, sys
from pathlib import Path
from swf_cli.ledger.store import Ledger
from tests.helpers.ledger import SOURCE, TASK, record_task
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
ledger = Ledger(Path(sys.argv[1]))
{code}
"""
    command = [sys.executable, "-c", script, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def read_line(process: "subprocess.Popen[str]") -> str:
    """Return the next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def open_descriptors() -> list[str]:
    """Return the descriptors that this process has open."""
    return sorted(os.listdir("/dev/fd"))
