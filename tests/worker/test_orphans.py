"""Orphans: which tasks and commands a dead worker left behind, and what becomes of them."""

import errno
import logging
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from swf_cli.client.session import Session
from swf_cli.errors import AccessError, CredentialsError, NetworkError, OutcomeUnknown, SwfError, TaskNotOpen
from swf_cli.history import End
from swf_cli.ledger.records import HeldTask, PollSource
from swf_cli.ledger.store import Ledger
from swf_cli.models import ActivityId, ExecutionId, TaskReference
from swf_cli.output.log import TextFormatter
from swf_cli.processes import host_name, start_id
from swf_cli.responding import Outcome, Responder, Settlement
from swf_cli.worker import orphans
from swf_cli.worker.orphans import fail_orphans, find_orphans, stop_commands
from tests.helpers.processes import is_running, refuse_signal, written_pids

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


class ListLedger(Ledger):
    """A ledger with these rows."""

    def __init__(self, *held: HeldTask) -> None:
        super().__init__(None)
        self.held = list(held)

    def list_held(self) -> list[HeldTask]:
        """Return the rows."""
        return list(self.held)

    def drop(self, key: str) -> None:
        """Drop a row."""
        self.held = [held for held in self.held if held.key != key]


def test_orphan_is_found() -> None:
    """A task that a dead `swf work` received from this list on this machine, with whatever identity and profile.

    Or the poll for one: a handler that is kept running may have outlived its worker while it had no task.
    """
    lost = replace(ORPHAN, kind="broken_poll", token=None)
    assert find_orphans(ListLedger(ORPHAN, lost), HERE) == [ORPHAN, lost]


def test_orphan_on_a_machine_whose_name_is_not_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is known by the name that the ledger records."""
    monkeypatch.setattr(socket, "gethostname", lambda: "build\udcff")
    host_name.cache_clear()
    try:
        orphan = replace(ORPHAN, host="build\ufffd")
        assert find_orphans(ListLedger(orphan), HERE) == [orphan]
    finally:
        host_name.cache_clear()


@pytest.mark.parametrize(
    "change",
    [
        {"taken_by": "poll", "holder_alive": None},
        {"taken_by": "poll", "holder_alive": False},
        {"holder_alive": True},
        {"task_list": "other"},
        {"domain": "other"},
        {"region": "eu-west-1"},
        {"endpoint": "http://127.0.0.1:2"},
        {"host": "another-machine"},
    ],
)
def test_what_is_not_an_orphan(change: dict[str, Any]) -> None:
    """A task of `swf poll`, of a live worker, or of another list, domain, region, service or machine."""
    assert find_orphans(ListLedger(replace(ORPHAN, **change)), HERE) == []


class TestStopCommands:
    """Commands that outlived their worker."""

    @pytest.fixture
    def start(self, tmp_path: Path) -> Iterator[Callable[[str], list["subprocess.Popen[bytes]"]]]:
        """Start three commands that run this shell script on SIGTERM, each in a process group of its own."""
        processes: list[subprocess.Popen[bytes]] = []

        def start(on_term: str) -> list["subprocess.Popen[bytes]"]:
            script = f"trap '{on_term}' TERM; echo $$ > {tmp_path}/$$.pid; while :; do sleep 0.02; done"
            processes.extend(subprocess.Popen(["sh", "-c", script], process_group=0) for _ in range(3))
            written_pids(tmp_path, 3)
            return processes

        yield start
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def test_all_in_parallel(self, start: Callable[[str], list["subprocess.Popen[bytes]"]], tmp_path: Path) -> None:
        """All get SIGTERM before the grace period of any is over: each command waits for the others' here."""
        all_terminated = f"[ $(ls {tmp_path}/*.term | wc -l) = 3 ]"
        commands = start(
            f"touch {tmp_path}/$$.term; until {all_terminated}; do sleep 0.02; done; touch {tmp_path}/$$.clean; exit"
        )
        orphans = [orphan_of(process) for process in commands]
        assert stop_commands(orphans, 30, threading.Event()) == orphans
        assert len(list(tmp_path.glob("*.clean"))) == 3
        assert not any(is_running(process.pid) for process in commands)

    def test_killed_after_the_grace_period(self, start: Callable[[str], list["subprocess.Popen[bytes]"]]) -> None:
        """Commands that ignore SIGTERM are killed."""
        commands = start("")
        stop_commands([orphan_of(process) for process in commands], 0.1, threading.Event())
        assert [process.wait() for process in commands] == [-signal.SIGKILL] * 3

    def test_killed_when_the_worker_is_to_kill(
        self, start: Callable[[str], list["subprocess.Popen[bytes]"]], log: pytest.LogCaptureFixture
    ) -> None:
        """A worker that is stopped meanwhile does not wait for the grace period. What it waits for is logged."""
        commands = start("")
        kill = threading.Event()
        threading.Timer(0.1, kill.set).start()
        stop_commands([orphan_of(process) for process in commands], 3_600, kill)
        assert [process.wait() for process in commands] == [-signal.SIGKILL] * 3
        processes = ", ".join(f"process {process.pid}" for process in commands)
        assert log.messages == [f"stopping what dead workers left running: {processes}"]

    def test_command_that_cannot_be_stopped(
        self,
        start: Callable[[str], list["subprocess.Popen[bytes]"]],
        log: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Such as one of another user's: it is logged, and its task is not to be failed while it runs."""
        (command, *_) = start("")
        killpg = os.killpg

        def refuse(group: int, number: int) -> None:
            if group == command.pid:
                refuse_signal(group, number)
            killpg(group, number)

        with monkeypatch.context() as patch:
            patch.setattr(os, "killpg", refuse)
            assert stop_commands([orphan_of(command), ORPHAN], 3_600, threading.Event()) == [ORPHAN]
        assert is_running(command.pid)
        why = "the worker's user may not signal it, or it waits in the kernel"
        message = f"cannot stop process {command.pid}, which a dead worker left running; its task stays open: {why}"
        assert log.messages[1:] == [message]

    def test_commands_of_which_nothing_is_known(
        self, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Such as for lack of processes, where `ps` is needed: they may be running, so their tasks are kept."""

        def fail(leaders: dict[int, str], **how: Any) -> list[int]:
            raise BlockingIOError(errno.EAGAIN, "no more processes")

        monkeypatch.setattr(orphans, "end_groups", fail)
        orphan = replace(ORPHAN, group=4_711, group_start_id="start")
        assert stop_commands([orphan, ORPHAN], 0, threading.Event()) == [ORPHAN]
        assert [message.partition(": ")[2] for message in log.messages] == ["no more processes"]

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to start a process as another user")
    def test_command_that_runs_as_another_user(self) -> None:
        """A worker of root's may have started it with `setpriv` or `su`: its start ID says so, and it is stopped."""
        with subprocess.Popen(["sleep", "100"], process_group=0, user=65_534) as command:
            try:
                orphan = orphan_of(command)
                assert stop_commands([orphan], 3_600, threading.Event()) == [orphan]
                assert command.wait() == -signal.SIGTERM
            finally:
                command.kill()

    @pytest.mark.parametrize("started", [None, "somebody else"])
    def test_group_of_another_process(
        self, start: Callable[[str], list["subprocess.Popen[bytes]"]], started: str | None
    ) -> None:
        """A group is left alone if its leader did not start when the ledger says, or if the ledger has no group."""
        commands = start("")
        stop_commands([replace(orphan_of(commands[0]), group_start_id=started), ORPHAN], 0, threading.Event())
        assert all(is_running(process.pid) for process in commands)


def orphan_of(process: "subprocess.Popen[bytes]") -> HeldTask:
    """Return an orphan whose command is this process."""
    return replace(ORPHAN, group=process.pid, group_start_id=start_id(process.pid))


WORKER_DIED = Outcome.failed("worker died")


@dataclass(slots=True)
class FakeResponder(Responder):
    """A responder that returns the same settlement each time, and sets `stop` with the second."""

    client: Any = field(default_factory=lambda: Session().single_attempt_client)
    settlement: Settlement = field(default_factory=lambda: Settlement("accepted", WORKER_DIED))
    responses: list[tuple[TaskReference, Outcome]] = field(default_factory=list)

    def respond(self, task: TaskReference, outcome: Outcome) -> Settlement:
        """Record a response."""
        self.responses.append((task, outcome))
        if len(self.responses) == 2:
            self.stop.set()
        return self.settlement


@pytest.mark.parametrize(
    ("settlement", "left", "counted"),
    [
        (Settlement("accepted", WORKER_DIED), 1, 2),
        (Settlement("closed", WORKER_DIED, End("completed"), TaskNotOpen("the task is not open")), 1, 0),
        (Settlement("not_open", WORKER_DIED, error=TaskNotOpen("no open task")), 3, 0),
        (Settlement("undelivered", WORKER_DIED, error=NetworkError("connection reset")), 3, 0),
    ],
    ids=lambda value: value.status if isinstance(value, Settlement) else str(value),
)
def test_orphans_are_failed(
    settlement: Settlement, left: int, counted: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Each with the reason `worker died`, until stopped; one that is certainly closed is dropped from the ledger."""
    caplog.set_level(logging.INFO, logger="swf_cli")
    orphans = [replace(ORPHAN, key=f"k{n}", token=f"T{n}") for n in range(3)]
    lost = replace(ORPHAN, key="lost", kind="broken_poll", token=None)
    ledger, responder, counts = ListLedger(*orphans), FakeResponder(settlement=settlement), list[Settlement]()
    fail_orphans([lost, *orphans], ledger, responder, stop=responder.stop, count=counts.append)
    assert responder.responses == [(orphan.reference, WORKER_DIED) for orphan in orphans[:2]]
    assert (len(ledger.list_held()), counts) == (left, [settlement] * counted)
    line = f"left by a worker that died (them, process 1): {settlement}"
    assert caplog.messages == [line, line, "tasks of dead workers that stay open, see `swf held`: 1"]
    about = [vars(record)["task"] for record in caplog.records[:2]]
    assert [(task["workflow_id"], task["id"], task["task_list"]) for task in about] == [
        ("video-7", "resize-1", "work")
    ] * 2


def test_an_orphan_of_which_only_the_token_is_known(caplog: pytest.LogCaptureFixture) -> None:
    """It is failed too; the log does not say which task it is, since nobody knows."""
    caplog.set_level(logging.INFO, logger="swf_cli")
    unknown = dict.fromkeys(("id", "activity", "execution", "task_started_execution_history_event_id"))
    orphan = replace(ORPHAN, kind="broken_poll", **unknown)  # type: ignore[arg-type]
    ledger, responder, counts = ListLedger(orphan), FakeResponder(), list[Settlement]()
    fail_orphans([orphan], ledger, responder, stop=responder.stop, count=counts.append)
    assert responder.responses == [(TaskReference("TOKEN", "media"), WORKER_DIED)]
    assert (len(counts), ledger.list_held()) == (1, [])
    (record,) = caplog.records
    assert TextFormatter().format(record).startswith("swf: left by a worker that died (them, process 1): failed")


def test_stopped_before_the_first(log: pytest.LogCaptureFixture) -> None:
    """A worker that is to end at once fails no orphans: they are left to the next one, and that is logged."""
    ledger, responder, stop = ListLedger(ORPHAN), FakeResponder(), threading.Event()
    stop.set()
    fail_orphans([ORPHAN], ledger, responder, stop=stop, count=lambda settlement: None)
    assert (responder.responses, ledger.list_held()) == ([], [ORPHAN])
    assert log.messages == ["tasks of dead workers that stay open, see `swf held`: 1"]


@pytest.mark.parametrize(
    ("settlement", "attempts"),
    [
        (Settlement("accepted", WORKER_DIED), 3),
        (Settlement("rejected", WORKER_DIED, error=AccessError("not authorized")), 3),
        (Settlement("undelivered", WORKER_DIED, error=NetworkError("connection refused")), 1),
        (Settlement("unknown", WORKER_DIED, error=OutcomeUnknown("read timed out")), 1),
    ],
    ids=lambda value: value.status if isinstance(value, Settlement) else str(value),
)
def test_worker_that_shuts_down(settlement: Settlement, attempts: int, log: pytest.LogCaptureFixture) -> None:
    """Their commands were stopped, so each orphan is tried once; but no further one if SWF does not answer."""
    orphans = [replace(ORPHAN, key=f"k{n}", token=f"T{n}") for n in range(3)]
    ledger, responder = ListLedger(*orphans), FakeResponder(settlement=settlement)
    responder.stop.set()
    fail_orphans(orphans, ledger, responder, stop=threading.Event(), count=lambda settlement: None)
    assert len(responder.responses) == attempts
    left = ["tasks of dead workers that stay open, see `swf held`: 2"] if attempts == 1 else []
    assert [message for message in log.messages if "stay open" in message] == left


@pytest.mark.parametrize(
    ("error", "is_logged"),
    [
        (AccessError("not authorized"), True),
        (TaskNotOpen("no open task"), True),
        (NetworkError("connection refused"), False),
        (NetworkError("connection reset", possibly_executed=True), True),
        (CredentialsError("no credentials"), False),
    ],
    ids=str,
)
def test_what_is_logged_before_the_first_poll_was_answered(
    log: pytest.LogCaptureFixture, error: SwfError, is_logged: bool
) -> None:
    """What SWF replied is logged at once; that it can't be reached ends the worker with one error."""
    elsewhere = logging.getLogger("elsewhere")
    responder = FakeResponder(settlement=Settlement("rejected", WORKER_DIED, error=error), log=elsewhere)
    fail_orphans([ORPHAN], ListLedger(ORPHAN), responder, stop=responder.stop, count=lambda settlement: None)
    assert len(log.messages) == is_logged
