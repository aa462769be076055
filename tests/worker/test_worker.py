"""A worker, in this process: how many tasks it takes, when it stops, and how it answers."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swf_cli.client.session import Session
from swf_cli.errors import AccessError, SwfError, UnknownResource
from swf_cli.ledger.store import Ledger
from swf_cli.polling import origin
from swf_cli.worker.config import Plan
from swf_cli.worker.worker import Worker
from tests.helpers.cli import TASK, wait_until
from tests.helpers.flow import attributes_of, decision
from tests.helpers.local_service import Service, local_service
from tests.helpers.processes import is_running, written_pids
from tests.helpers.stub_service import StubService

POLL = "PollForActivityTask"
ENDS = {f"ActivityTask{kind}" for kind in ("Completed", "Failed", "Canceled", "TimedOut")}


class Report:
    """What a worker tells."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.shown: list[tuple[str, str]] = []

    def tell(self, line: str) -> None:
        """Say a line."""
        self.lines.append(line)

    def show(self, task_id: str, line: str) -> None:
        """Show a line of stderr."""
        self.shown.append((task_id, line))

    def __contains__(self, words: str) -> bool:
        """Tell whether a line has these words."""
        return any(words in line for line in self.lines)


class Staff:
    """Workers on the list `work` of the domain `media`, that are stopped at the end."""

    def __init__(self, url: str, state: Path) -> None:
        self.url = url
        self.report = Report()
        self.state = state
        self.error: BaseException | None = None
        self._hired: list[tuple[Worker, threading.Thread, Ledger]] = []

    def hire(self, script: str | list[str], **plan: Any) -> Worker:
        """Make a worker that runs a shell script, or a command."""
        command = ["sh", "-c", script] if isinstance(script, str) else script
        session = Session(region="us-east-1", endpoint_url=self.url)
        ledger = Ledger(self.state, self.report.tell)
        worker = Worker(session, origin(session, "media", "work", "me"), ledger, Plan(command, **plan), self.report)
        self._hired.append((worker, threading.Thread(target=self._run, args=(worker, ledger)), ledger))
        return worker

    def start(self, script: str | list[str], **plan: Any) -> Worker:
        """Have one work beside the test."""
        worker = self.hire(script, **plan)
        self._hired[-1][1].start()
        return worker

    def work(self, script: str | list[str], **plan: Any) -> Worker:
        """Have one work until it stops by itself."""
        worker = self.start(script, **plan)
        self.wait()
        return worker

    def wait(self) -> None:
        """Wait until the last one stops; raises what it raised."""
        self._hired[-1][1].join(30)
        assert not self._hired[-1][1].is_alive()
        if self.error is not None:
            raise self.error

    def held(self) -> list[Any]:
        """Give what the ledger holds."""
        return Ledger(self.state, self.report.tell).list_held()

    def _run(self, worker: Worker, ledger: Ledger) -> None:
        try:
            worker.run()
        except BaseException as error:
            self.error = error
        finally:
            ledger.close()

    def dismiss(self) -> None:
        """Stop all."""
        for worker, thread, _ in self._hired:
            worker.kill()
            if thread.ident is not None:
                thread.join(30)
                assert not thread.is_alive()


@pytest.fixture
def service() -> Iterator[Service]:
    """A local SWF that holds a poll for a fifth of a second."""
    with local_service(hold=0.2) as service:
        service.flow("media")
        yield service


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials are made up."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture
def staff(service: Service, tmp_path: Path) -> Iterator[Staff]:
    """Workers of that local SWF."""
    staff = Staff(service.url, tmp_path / "state")
    yield staff
    staff.dismiss()


@pytest.fixture
def stub_staff(stub: StubService, tmp_path: Path) -> Iterator[Staff]:
    """Workers of the stub."""
    staff = Staff(stub.url, tmp_path / "state")
    yield staff
    staff.dismiss()


def schedule(service: Service, task_input: str | None = None, **settings: Any) -> str:
    """Put a task on the list; gives its workflow id."""
    return service.schedule("media", "work", task_input, **settings)


def end(service: Service, workflow: str) -> tuple[str, Any]:
    """Give the one end of the task of an execution, and what it holds."""
    (event,) = [event for event in service.history("media", workflow) if event["eventType"] in ENDS]
    kept = {name: value for name, value in attributes_of(event).items() if not name.endswith("EventId")}
    return event["eventType"].removeprefix("ActivityTask"), kept


def cancel(service: Service, workflow: str) -> None:
    """Ask to cancel the task of an execution."""
    service.decide("media", workflow, decision("RequestCancelActivityTask", activityId="resize-1"))


class TestHowMany:
    """`-j`, `--max-tasks`, `--idle-exit`."""

    @pytest.mark.parametrize(("slots", "most", "there"), [(1, 1, 2), (2, 3, 3), (8, 3, 5), (2, 4, 5)])
    def test_max_tasks(self, service: Service, staff: Staff, slots: int, most: int, there: int) -> None:
        """It takes so many tasks and no more, however many slots it has, and then stops; nothing is held."""
        for _ in range(there):
            schedule(service)
        worker = staff.work("true", slots=slots, max_tasks=most)
        assert worker.tally.completed == most
        assert service.flow("media").pending() == there - most
        assert staff.held() == []

    def test_slots_work_side_by_side(self, service: Service, staff: Staff, tmp_path: Path) -> None:
        """Three slots run three commands at once, and not a fourth; a busy slot does not poll."""
        for _ in range(4):
            schedule(service)
        worker = staff.start(f"echo $$ > {tmp_path}/$$.pid; until [ -e {tmp_path}/go ]; do sleep 0.02; done", slots=3)
        written_pids(tmp_path, 3)
        time.sleep(0.3)
        assert worker.tally.running == 3
        assert service.flow("media").pending() == 1
        (tmp_path / "go").touch()
        wait_until(lambda: worker.tally.completed == 4)

    def test_idle_exit(self, service: Service, staff: Staff) -> None:
        """It stops once no task has come for so long, and not while one runs."""
        schedule(service)
        began = time.monotonic()
        worker = staff.work("sleep 0.7", idle_exit=0.3)
        assert worker.tally.completed == 1
        assert time.monotonic() - began >= 1.0

    def test_a_task_that_comes_as_it_stops_is_worked_on(self, service: Service, staff: Staff) -> None:
        """Whatever a poll brings that SWF holds when it stops is run, answered, and counted."""
        worker = staff.start("echo done")
        wait_until(lambda: worker._reached.is_set())
        worker.drain()
        workflow = schedule(service)
        staff.wait()
        if worker.tally.completed:
            assert end(service, workflow) == ("Completed", {"result": "done"})
        else:
            assert service.flow("media").pending() == 1


class TestAnswers:
    """What closes the task."""

    @pytest.mark.parametrize(
        ("script", "kind", "attributes"),
        [
            ("read n; echo $((n * 2))", "Completed", {"result": "14"}),
            ("true", "Completed", {"result": ""}),
            ("echo some; echo oops >&2; exit 3", "Failed", {"reason": "exit 3", "details": "oops"}),
            ("exit 1", "Failed", {"reason": "exit 1"}),
            ("kill -KILL $$", "Failed", {"reason": "signal SIGKILL"}),
            ("kill -TERM $$", "Failed", {"reason": "signal SIGTERM"}),
            (r"printf '\377'; echo why >&2", "Failed", {"reason": "the result is not UTF-8 text", "details": "why"}),
            (
                "head -c 32769 /dev/zero | tr '\\0' x",
                "Failed",
                {"reason": "the result is over SWF's 32,768 characters: 32,769 bytes"},
            ),
        ],
    )
    def test_the_end_of_the_command(
        self, service: Service, staff: Staff, script: str, kind: str, attributes: dict[str, str]
    ) -> None:
        """Exit 0 completes the task with stdout; anything else, or no fit result, fails it with the end of stderr."""
        workflow = schedule(service, "7\n")
        staff.work(script, max_tasks=1)
        assert end(service, workflow) == (kind, attributes)
        assert staff.held() == []

    def test_a_command_that_can_not_be_started(self, service: Service, staff: Staff, tmp_path: Path) -> None:
        """One that is there no more fails the task, with why."""
        workflow = schedule(service)
        staff.work([f"{tmp_path}/gone"], max_tasks=1)
        kind, attributes = end(service, workflow)
        assert (kind, attributes["reason"].startswith(f"can't run {tmp_path}/gone: ")) == ("Failed", True)

    def test_no_place_for_files(
        self, service: Service, staff: Staff, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A full or missing /tmp fails the task, with why."""
        monkeypatch.setattr("tempfile.tempdir", f"{tmp_path}/gone")
        workflow = schedule(service)
        staff.work("true", max_tasks=1)
        assert end(service, workflow)[1]["reason"].startswith("can't run sh: ")

    def test_whatever_goes_wrong_neither_command_nor_task_is_left(
        self, service: Service, staff: Staff, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A fault of the worker's own fails the task, and kills the command."""
        monkeypatch.setattr(
            "swf_cli.worker.task_runner.Errand._attend", lambda errand, job: written_pids(tmp_path, 1)[9]
        )
        workflow = schedule(service)
        staff.work(f"echo $$ > {tmp_path}/sh.pid; sleep 100", max_tasks=1)
        assert end(service, workflow) == (
            "Failed",
            {"reason": "the worker failed: IndexError: list index out of range"},
        )
        assert not is_running(written_pids(tmp_path, 1)[0])

    def test_the_environment(self, service: Service, staff: Staff, tmp_path: Path) -> None:
        """The command finds all that names its task."""
        workflow = schedule(service)
        staff.work(f"env > {tmp_path}/env; echo $PPID", max_tasks=1)
        found = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
        execution = service.call("ListOpenWorkflowExecutions", domain="media", startTimeFilter={"oldestDate": 0})[
            "executionInfos"
        ][0]["execution"]
        assert found.pop("SWF_TASK_TOKEN")
        assert found.pop("SWF_HEARTBEAT_FILE").startswith("/")
        assert {name: value for name, value in found.items() if name.startswith("SWF_")} == {
            "SWF_TASK_ID": "resize-1",
            "SWF_ACTIVITY_NAME": "resize",
            "SWF_ACTIVITY_VERSION": "1",
            "SWF_WORKFLOW_ID": workflow,
            "SWF_RUN_ID": execution["runId"],
            "SWF_DOMAIN": "media",
            "SWF_TASK_LIST": "work",
        }
        assert end(service, workflow)[1] == {"result": str(os.getpid())}

    def test_never_a_token_is_told(self, service: Service, staff: Staff) -> None:
        """Neither by the worker, nor when the command's stderr holds it."""
        schedule(service)
        staff.work("echo token $SWF_TASK_TOKEN. >&2; exit 3", max_tasks=1)
        assert staff.report.shown == [("resize-1", "token TOKEN.")]

    def test_what_is_told(self, service: Service, staff: Staff) -> None:
        """A line when it starts and one when it ends: id, activity, execution, outcome, seconds."""
        workflow = schedule(service)
        staff.work("exit 3", max_tasks=1)
        first, last = staff.report.lines
        assert first.startswith(f"resize-1 started: resize 1, workflow {workflow}, run ")
        assert last.startswith("resize-1 failed (exit 3) after 0.")
        assert f": resize 1, workflow {workflow}, run " in last


class TestHeartbeats:
    """What a heartbeat brings."""

    def test_cancellation(self, service: Service, staff: Staff, tmp_path: Path) -> None:
        """TERM goes to the command and its children; they tidy up, and the task is cancelled with what was said."""
        workflow = schedule(service)
        tidy = f"trap 'echo bye >&2; touch {tmp_path}/$$.tidied; exit 1' TERM; echo $$ > {tmp_path}/$$.pid;"
        wait = "while :; do sleep 0.02; done"
        staff.start(f"sh -c '{tidy.replace(chr(39), chr(34))} {wait}' & {tidy} {wait}", heartbeat=0.1, max_tasks=1)
        pids = written_pids(tmp_path, 2)
        cancel(service, workflow)
        staff.wait()
        kind, attributes = end(service, workflow)
        assert (kind, attributes["details"].count("bye")) == ("Canceled", 2)
        assert len(list(tmp_path.glob("*.tidied"))) == 2
        assert not any(map(is_running, pids))
        assert staff.held() == []

    def test_children_have_the_grace_too(self, service: Service, staff: Staff, tmp_path: Path) -> None:
        """A command that ends at once does not take it from a child that tidies up."""
        workflow = schedule(service)
        tidy = f'trap "sleep 0.3; touch {tmp_path}/tidied; exit" TERM; echo $$ > {tmp_path}/c.pid;'
        script = f"sh -c '{tidy} while :; do sleep 0.02; done' & wait"
        staff.start(script, heartbeat=0.1, max_tasks=1)
        written_pids(tmp_path, 1)
        cancel(service, workflow)
        staff.wait()
        assert end(service, workflow)[0] == "Canceled"
        assert (tmp_path / "tidied").exists()

    @pytest.mark.parametrize("grace", [0, 0.3])
    def test_who_ignores_the_request_is_killed(
        self, service: Service, staff: Staff, tmp_path: Path, grace: float
    ) -> None:
        """After the grace, with the children."""
        workflow = schedule(service)
        stubborn = f"trap '' TERM; echo $$ > {tmp_path}/$$.pid; while :; do sleep 0.02; done"
        staff.start(f"({stubborn}) & {stubborn}", heartbeat=0.1, grace=grace, max_tasks=1)
        wait_until(lambda: any(tmp_path.glob("*.pid")))
        cancel(service, workflow)
        began = time.monotonic()
        staff.wait()
        assert grace <= time.monotonic() - began
        assert end(service, workflow)[0] == "Canceled"

    def test_a_command_that_is_done_all_the_same(self, service: Service, staff: Staff, tmp_path: Path) -> None:
        """One that ends with 0 when it is asked to end completes its task."""
        workflow = schedule(service)
        script = f"trap 'echo partly; exit 0' TERM; echo $$ > {tmp_path}/sh.pid; while :; do sleep 0.02; done"
        worker = staff.start(script, heartbeat=0.1, max_tasks=1)
        written_pids(tmp_path, 1)
        cancel(service, workflow)
        staff.wait()
        assert end(service, workflow) == ("Completed", {"result": "partly"})
        assert worker.tally.completed == 1

    def test_a_task_that_is_closed_meanwhile(self, service: Service, staff: Staff, tmp_path: Path) -> None:
        """The command is ended, and nothing is answered; the task leaves the ledger."""
        workflow = schedule(service, startToCloseTimeout="30")
        script = (
            f"trap 'touch {tmp_path}/asked; exit 0' TERM; echo $$ > {tmp_path}/sh.pid; while :; do sleep 0.02; done"
        )
        worker = staff.start(script, heartbeat=0.1, max_tasks=1)
        pid = written_pids(tmp_path, 1)[0]
        service.advance(31)
        staff.wait()
        assert end(service, workflow)[0] == "TimedOut"
        assert (tmp_path / "asked").exists()
        assert not is_running(pid)
        assert worker.tally.lost == 1
        assert staff.held() == []

    def test_the_heartbeat_file(self, service: Service, staff: Staff, tmp_path: Path) -> None:
        """Its last line is what SWF heard last of a task that timed out; the file goes with the task."""
        workflow = schedule(service, startToCloseTimeout="30")
        script = f"echo page 7 > $SWF_HEARTBEAT_FILE; echo $SWF_HEARTBEAT_FILE > {tmp_path}/name; exec sleep 100"
        staff.start(script, heartbeat=0.1, max_tasks=1)
        wait_until(lambda: (tmp_path / "name").exists())
        time.sleep(0.4)
        service.advance(31)
        staff.wait()
        assert end(service, workflow)[1]["details"] == "page 7"
        assert not Path((tmp_path / "name").read_text().strip()).parent.exists()

    def test_a_folder_that_somebody_cleaned_up(self, service: Service, staff: Staff, tmp_path: Path) -> None:
        """The heartbeat file can be written although /tmp was emptied meanwhile."""
        workflows = [schedule(service) for _ in range(2)]
        staff.work('rm -r "${SWF_HEARTBEAT_FILE%/*}"; echo gone', max_tasks=1)
        staff.work('echo x > "$SWF_HEARTBEAT_FILE"; rm -r "${SWF_HEARTBEAT_FILE%/*}"', max_tasks=1)
        assert [end(service, workflow)[0] for workflow in workflows] == ["Completed"] * 2

    def test_a_task_is_kept_alive_until_its_answer_gets_through(self, stub: StubService, stub_staff: Staff) -> None:
        """Heartbeats go on while the answer is tried again."""
        stub.reply(POLL, TASK)
        stub.fault("RespondActivityTaskCompleted", "ThrottlingException", "Rate exceeded")
        stub.reply("RecordActivityTaskHeartbeat", {"cancelRequested": False})
        worker = stub_staff.start("true", heartbeat=0.2, max_tasks=1)
        wait_until(lambda: stub.operations().count("RecordActivityTaskHeartbeat") >= 2)
        worker.kill()
        stub_staff.wait()
        assert worker.tally.lost == 1
        assert [held.id for held in stub_staff.held()] == ["resize-1"]


class TestStopping:
    """`drain`, `terminate`, `kill`."""

    SLOW = "trap 'exit 9' TERM; echo $$ > {0}/sh.pid; until [ -e {0}/go ]; do sleep 0.02; done; echo done"

    def test_drain(self, service: Service, staff: Staff, tmp_path: Path) -> None:
        """What runs is left to end, and no further task is taken."""
        workflow = schedule(service)
        worker = staff.start(self.SLOW.format(tmp_path))
        written_pids(tmp_path, 1)
        worker.drain()
        schedule(service)
        time.sleep(0.3)
        (tmp_path / "go").touch()
        staff.wait()
        assert end(service, workflow) == ("Completed", {"result": "done"})
        assert service.flow("media").pending() == 1

    def test_terminate(self, service: Service, staff: Staff, tmp_path: Path) -> None:
        """Commands are asked to end, and their tasks fail with `worker stopped`, whatever their exit code."""
        workflow = schedule(service)
        worker = staff.start(self.SLOW.format(tmp_path).replace("exit 9", "exit 0"))
        pid = written_pids(tmp_path, 1)[0]
        worker.terminate()
        staff.wait()
        kind, attributes = end(service, workflow)
        assert (kind, attributes["reason"]) == ("Failed", "worker stopped")
        assert not is_running(pid)

    def test_a_task_that_comes_after_that_is_not_begun(self, service: Service, staff: Staff, tmp_path: Path) -> None:
        """It fails with the same reason, and no command runs."""
        worker = staff.start(f"touch {tmp_path}/begun")
        wait_until(lambda: worker._reached.is_set())
        worker._setting.terminating.set()
        workflow = schedule(service)
        wait_until(lambda: worker.tally.failed == 1)
        assert end(service, workflow) == ("Failed", {"reason": "worker stopped"})
        assert not (tmp_path / "begun").exists()

    def test_kill(self, service: Service, staff: Staff, tmp_path: Path) -> None:
        """Who ignores the request is killed before the grace is over."""
        workflow = schedule(service)
        script = f"trap '' TERM; echo $$ > {tmp_path}/sh.pid; while :; do sleep 0.02; done"
        worker = staff.start(script, grace=60)
        written_pids(tmp_path, 1)
        worker.terminate()
        worker.kill()
        staff.wait()
        assert end(service, workflow)[1]["reason"] == "worker stopped"


class TestPolls:
    """Polls that fail."""

    def test_a_service_that_can_not_be_reached(self, tmp_path: Path) -> None:
        """At the start that ends the worker at once."""
        staff = Staff("http://127.0.0.1:9", tmp_path / "state")
        with pytest.raises(SwfError, match="Could not connect"):
            staff.work("true", slots=4)
        assert staff.held() == []

    @pytest.mark.parametrize(
        ("fault", "kind"), [("UnknownResourceFault", UnknownResource), ("UnrecognizedClientException", AccessError)]
    )
    def test_a_refusal_at_the_start(
        self, stub: StubService, stub_staff: Staff, fault: str, kind: type[SwfError]
    ) -> None:
        """An unknown domain, or credentials that are none, end it at once."""
        stub.fault(POLL, fault, "no")
        with pytest.raises(kind):
            stub_staff.work("true", slots=4)
        assert stub_staff.report.lines == []

    @pytest.mark.parametrize("fault", ["ThrottlingException", "LimitExceededFault"])
    def test_a_refusal_for_now(self, stub: StubService, stub_staff: Staff, fault: str) -> None:
        """Throttling, or 1,000 pollers on the list: it polls again after a while."""
        stub.fault(POLL, fault, "no")
        stub.reply(POLL, TASK)
        stub.reply("RespondActivityTaskCompleted")
        worker = stub_staff.work("true", max_tasks=1)
        assert worker.tally.completed == 1
        assert "polling again in" in stub_staff.report

    def test_credentials_that_expire(
        self, stub: StubService, stub_staff: Staff, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Polling stops with one warning, what runs goes on, and it polls again with what is configured then."""
        monkeypatch.setattr("swf_cli.worker.credentials._LOCKED_OUT", 0.3)
        stub.reply(POLL, {"startedEventId": 0})
        stub.reply(POLL, TASK)
        for _ in range(2):
            stub.fault(POLL, "ExpiredTokenException", "expired")
        stub.reply(POLL, TASK)
        stub.reply("RespondActivityTaskCompleted")
        worker = stub_staff.work("sleep 0.2", slots=2, max_tasks=4)
        assert worker.tally.completed == 4
        assert len([line for line in stub_staff.report.lines if "expired" in line]) <= 2

    def test_a_refusal_later_on(self, stub: StubService, stub_staff: Staff, tmp_path: Path) -> None:
        """A domain that is gone ends it when what runs is done: it says so at once, and raises it then."""
        go = tmp_path / "go"
        stub.reply(POLL, TASK)
        stub.fault(POLL, "UnknownResourceFault", "the domain is gone")
        stub.reply("RespondActivityTaskCompleted")
        worker = stub_staff.start(f"until [ -e {go} ]; do sleep 0.02; done", slots=2)
        wait_until(lambda: "the domain is gone" in stub_staff.report)
        go.touch()
        with pytest.raises(UnknownResource):
            stub_staff.wait()
        assert worker.tally.completed == 1


class TestOrphans:
    """Tasks of a worker that died."""

    @pytest.fixture
    def left(self, service: Service, staff: Staff) -> Callable[[], str]:
        """Has a worker that is no more leave a task; gives its workflow."""

        def leave() -> str:
            workflow = schedule(service)
            session = Session(region="us-east-1", endpoint_url=service.url)
            ledger = Ledger(staff.state, staff.report.tell)
            there = origin(session, "media", "work", "them")
            from swf_cli.polling import poll

            poll(session.poll_client, there, ledger, stop=threading.Event(), tell=print, taken_by="work")
            ledger.close()
            return workflow

        return leave

    def test_they_are_failed_at_once(self, service: Service, staff: Staff, left: Callable[[], str]) -> None:
        """With the reason `worker died`, beside the polls; nothing is held then."""
        workflows = [left() for _ in range(3)]
        worker = staff.work("true", idle_exit=0)
        assert [end(service, workflow) for workflow in workflows] == [("Failed", {"reason": "worker died"})] * 3
        assert (worker.tally.failed, staff.held()) == (3, [])

    def test_they_may_be_kept(self, service: Service, staff: Staff, left: Callable[[], str]) -> None:
        """`--orphans keep` leaves them open, and on record."""
        workflow = left()
        staff.work("true", idle_exit=0, keep_orphans=True)
        assert service.names("media", workflow)[-1] == "ActivityTaskStarted"
        assert len(staff.held()) == 1

    def test_one_that_was_answered_after_all(self, service: Service, staff: Staff, left: Callable[[], str]) -> None:
        """A task that was closed in the moment in which the worker died leaves the ledger, as it ended."""
        workflow = left()
        (held,) = staff.held()
        service.call("RespondActivityTaskCompleted", taskToken=held.token)
        worker = staff.work("true", idle_exit=0)
        assert end(service, workflow)[0] == "Completed"
        assert (worker.tally.failed, staff.held()) == (0, [])

    def test_a_start_that_fails_says_it_once(self, stub: StubService, service: Service, staff: Staff) -> None:
        """When SWF can't be reached at the start, orphans wait for the next one, and add no noise."""
        broken = Staff(stub.url, staff.state)
        stub.reply(POLL, TASK)
        worker = broken.start("sleep 100", heartbeat="off")
        wait_until(lambda: worker.tally.running == 1)
        stub.reply("RespondActivityTaskFailed", reset=True)
        worker.kill()
        broken.wait()
        assert len(broken.held()) == 1
        stub._replies.clear()
        stub.fault(POLL, "UnknownResourceFault", "no such domain")
        again = Staff(stub.url, staff.state)
        with pytest.raises(UnknownResource):
            again.work("true")
        assert again.report.lines == []
        assert len(again.held()) == 1
