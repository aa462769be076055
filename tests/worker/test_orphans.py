"""What a worker that died left behind, and who it belongs to."""

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swf_cli.ledger.records import HeldTask, PollSource
from swf_cli.ledger.store import Ledger
from swf_cli.models import ActivityId, ExecutionId
from swf_cli.processes import is_running, start_id
from swf_cli.worker.orphans import end_commands, fail_orphans, find_orphans
from swf_cli.worker.responder import Closed
from tests.helpers.processes import written_pids

HERE = PollSource("media", "work", "me", None, "us-east-1", "http://127.0.0.1:1")

ORPHAN = HeldTask(
    key="k1",
    kind="task",
    token="TOKEN",
    id="resize-1",
    activity=ActivityId("resize", "1"),
    execution=ExecutionId("video-7", "RUN"),
    task_started_execution_history_event_id=6,
    domain="media",
    task_list="work",
    identity="them",
    host=socket.gethostname(),
    pid=1,
    holder_alive=False,
    taken_by="work",
    taken_at=0.0,
    profile="another",
    region="us-east-1",
    endpoint="http://127.0.0.1:1",
)


class Rows(Ledger):
    """A ledger that holds what it is told."""

    def __init__(self, *held: HeldTask) -> None:
        super().__init__(None, lambda warning: None)
        self.held = list(held)

    def list_held(self) -> list[HeldTask]:
        """Give them."""
        return list(self.held)

    def drop(self, key: str) -> None:
        """Drop one."""
        self.held = [held for held in self.held if held.key != key]


def test_an_orphan_is_found() -> None:
    """A task that `swf work` took from this list here, in a process that is dead; whoever it was, by any profile."""
    assert find_orphans(Rows(ORPHAN), HERE) == [ORPHAN]


@pytest.mark.parametrize(
    "change",
    [
        {"taken_by": "poll", "holder_alive": None},
        {"taken_by": "poll", "holder_alive": False},
        {"holder_alive": True},
        {"kind": "broken_poll", "token": None},
        {"task_list": "other"},
        {"domain": "other"},
        {"region": "eu-west-1"},
        {"endpoint": "http://127.0.0.1:2"},
        {"host": "another-machine"},
    ],
)
def test_what_is_none_is_let_alone(change: dict[str, Any]) -> None:
    """ReceivedTask by `swf poll`, by a worker that lives, from another list, domain, region, service or machine."""
    assert find_orphans(Rows(replace(ORPHAN, **change)), HERE) == []


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Three commands that ignore SIGTERM, each with a group of its own."""
    script = f"trap '' TERM; echo $$ > {tmp_path}/$$.pid; while :; do sleep 0.05; done"
    started = [subprocess.Popen(["sh", "-c", script], process_group=0) for _ in range(3)]
    written_pids(tmp_path, 3)
    yield started
    for process in started:
        process.kill()
        process.wait()


def test_commands_are_ended_all_at_once(commands: list["subprocess.Popen[bytes]"]) -> None:
    """However many there are, they share the grace."""
    began = time.monotonic()
    end_commands([replace(ORPHAN, group=p.pid, group_started=start_id(p.pid)) for p in commands], grace=0.5)
    assert time.monotonic() - began < 1.4
    assert not any(is_running(process.pid) for process in commands)


@pytest.mark.parametrize("started", [None, "somebody else"])
def test_a_group_of_somebody_else_is_let_alone(
    commands: list["subprocess.Popen[bytes]"], started: str | None
) -> None:
    """When the group's leader did not start when the ledger says, it is another one by now."""
    end_commands([replace(ORPHAN, group=commands[0].pid, group_started=started), ORPHAN], grace=0)
    assert all(is_running(process.pid) for process in commands)


class Closing:
    """Closes as it is told."""

    def __init__(self, closed: Closed, stop: threading.Event) -> None:
        self.closed = closed
        self.stop = stop
        self.asked: list[str] = []

    def close(self, task: Any, answer: Any, **how: Any) -> Closed:
        """Close a task; nothing more is to be done after the second."""
        self.asked.append(f"{task.token} {answer.state} {answer.reason}")
        if len(self.asked) == 2:
            self.stop.set()
        return self.closed


@pytest.mark.parametrize(
    ("closed", "left", "counted"),
    [
        (Closed("failed", "failed (worker died)", True), 1, 2),
        (Closed("lost", "was not open any more: it completed", True), 1, 0),
        (Closed("lost", "could not be closed", False), 3, 0),
    ],
)
def test_orphans_are_failed(closed: Closed, left: int, counted: int) -> None:
    """Each with the reason `worker died`, and told; one that is certainly closed leaves the ledger, others stay."""
    orphans = [replace(ORPHAN, key=f"k{n}", token=f"T{n}") for n in range(3)]
    ledger, stop, said, counts = Rows(*orphans), threading.Event(), list[str](), list[Closed]()
    closing: Any = Closing(closed, stop)
    fail_orphans(orphans, ledger, closing, stop=stop, tell=said.append, trouble=said.append, count=counts.append)
    assert closing.asked == ["T0 failed worker died", "T1 failed worker died"]
    assert (len(ledger.list_held()), len(counts), len(said)) == (left, counted, 2)
    assert closed.words in said[0]
    assert "T0" not in said[0]
