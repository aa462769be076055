"""What the tests share: running the installed `swf`, and a service on loopback that answers as it is told."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
"""What SWF answers to a poll that gets a task."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run of `swf` left behind."""

    stdout: str
    stderr: str
    code: int
    """Exit code; negative for the signal that ended it."""

    @property
    def json(self) -> Any:
        """Stdout, parsed."""
        return json.loads(self.stdout)


def run(
    *args: str | bytes,
    env: Mapping[str, str],
    stdin: str | bytes = "",
    timeout: float = 60,
) -> Result:
    """Run the installed `swf` as a process with both streams in pipes; `env` is its whole environment."""
    done = subprocess.run(
        [SWF, *args],
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


def shell(script: str, *, env: Mapping[str, str], program: str = "bash", timeout: float = 60) -> Result:
    """Run a shell script with the installed `swf` on its PATH."""
    path = os.pathsep.join([str(Path(SWF).parent), env.get("PATH", os.defpath)])
    done = subprocess.run(
        [program, "-c", script],
        env={**env, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Result(done.stdout.decode(), done.stderr.decode(), done.returncode)


def wait_until(condition: Callable[[], bool], timeout: float = 10) -> None:
    """Wait until a condition holds, looking often; fails the test when it does not in time."""
    import time

    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
