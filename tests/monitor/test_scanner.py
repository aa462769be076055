"""Which executions of a domain are read, and what becomes of those that cannot be."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from swf_cli.errors import (
    AccessError,
    InvalidRequest,
    InvalidResponseError,
    SwfError,
    ThrottlingError,
    UnknownResource,
)
from swf_cli.models import ExecutionId
from swf_cli.monitor.calls import ScanCalls
from swf_cli.monitor.execution import ExecutionTasks
from swf_cli.monitor.scanner import DomainScanner
from tests.helpers.big_domain import Recorder, big_domain, limited, no_op, open_task, start
from tests.helpers.events import event
from tests.helpers.flow import Flow
from tests.helpers.local_service import Service, local_service
from tests.helpers.stub_service import StubService

HISTORY = "get_workflow_execution_history"
DESCRIBE = "describe_workflow_execution"
LIST = "list_open_workflow_executions"
PAGE = 10


def new_scanner(client: Any, page_size: int = 1000, **settings: Any) -> DomainScanner:
    """Return a scanner of the domain without a rate limit to speak of."""
    return DomainScanner(ScanCalls(client, "media", **{"rate": 1000.0, **settings}), page_size=page_size)


def open_ids(scanner: DomainScanner, older_than: float = 0.0) -> dict[str, list[str]]:
    """Return the activity IDs of the open tasks of each workflow, and check that each was read once."""
    found: dict[str, list[str]] = {}

    def on_execution(read: ExecutionTasks) -> None:
        assert read.execution.id not in found
        found[read.execution.id] = [task.id for task in read.tasks if task.is_open]

    scanner.scan(on_execution, older_than=older_than)
    return found


def refuse_history(error: SwfError, workflow_id: str | None = None) -> Callable[[str, dict[str, Any]], None]:
    """Return what refuses to read the history of a workflow, or of each."""

    def refuse(operation: str, arguments: dict[str, Any]) -> None:
        if operation == HISTORY and workflow_id in (None, arguments["execution"]["workflowId"]):
            raise error

    return refuse


def info(workflow_id: str, run_id: str = "RUN", started: float = 1000) -> dict[str, Any]:
    """Return a row of a list of executions."""
    return {"execution": {"workflowId": workflow_id, "runId": run_id}, "startTimestamp": started}


class TestScan:
    """Every open execution that is old enough is read once."""

    def test_a_page_of_each(self, flow: Flow, client: Recorder) -> None:
        """Two executions, with and without an open task: the list, and a page of each history."""
        start(flow, "one", open_task())
        start(flow, "none")
        scanner = new_scanner(client)
        assert open_ids(scanner) == {"one": ["resize-1"], "none": []}
        assert client.operations() == {LIST: 1, HISTORY: 2}
        assert (scanner.progress.executions, scanner.progress.tasks, scanner.progress.calls) == (2, 1, 3)

    def test_a_domain_with_nothing_open(self, flow: Flow, client: Recorder) -> None:
        """Nothing is read, nothing is wrong."""
        assert open_ids(new_scanner(client)) == {}
        assert client.operations() == {LIST: 1}

    def test_young_executions_are_neither_listed_nor_read(
        self, service: Service, flow: Flow, client: Recorder
    ) -> None:
        """SWF leaves them out of the list."""
        start(flow, "old", open_task())
        service.advance(1000)
        for number in range(2 * PAGE):
            start(flow, f"young-{number}", open_task())
        scanner = new_scanner(client, page_size=PAGE)
        assert open_ids(scanner, older_than=600) == {"old": ["resize-1"]}
        # This machine's clock is 1,000 s behind, which the first response tells.
        assert client.operations() == {LIST: 2, HISTORY: 1}
        client.calls.clear()
        assert scanner.count_open(600) == 1
        assert open_ids(scanner, older_than=600) == {"old": ["resize-1"]}
        assert client.operations() == {"count_open_workflow_executions": 1, LIST: 1, HISTORY: 1}

    @pytest.mark.parametrize("off", [-300.0, 300.0])
    def test_a_clock_that_is_minutes_off(self, service: Service, flow: Flow, client: Recorder, off: float) -> None:
        """The service's clock decides how old an execution is."""
        start(flow, "old", open_task())
        service.advance(100)
        start(flow, "young", open_task())
        scanner = new_scanner(client, clock=lambda: time.time() + 100 + off)
        assert open_ids(scanner, older_than=60) == {"old": ["resize-1"]}
        assert abs(scanner.calls.clock_skew + off) < 5

    def test_a_list_of_many_pages(self, service: Service, flow: Flow, client: Recorder) -> None:
        """Each execution of each page is read once, also those that started in the same second."""
        for number in range(3 * PAGE):
            start(flow, f"w{number}", open_task())
        assert len(open_ids(new_scanner(client, page_size=PAGE))) == 3 * PAGE
        assert set(client.pages().values()) == {1}

    def test_a_page_token_that_expires(self, service: Service, flow: Flow, client: Recorder) -> None:
        """The list goes on from where it was, and each execution is read once."""
        for number in range(3 * PAGE):
            start(flow, f"w{number}", open_task())
            service.advance(0.05)
        expired: list[Any] = []

        def wait(operation: str, arguments: Any) -> None:
            if operation == LIST and "nextPageToken" in arguments and not expired:
                expired.append(arguments)
                service.advance(25 * 3600)

        client.before = wait
        assert len(open_ids(new_scanner(client, page_size=PAGE))) == 3 * PAGE
        assert len(expired) == 1
        assert set(client.pages().values()) == {1}

    def test_a_page_token_that_is_never_valid(self, stub: StubService) -> None:
        """A service that rejects every page token is not asked for ever."""
        page = {"executionInfos": [info("w")], "nextPageToken": "T"}
        for _ in range(2):
            stub.reply("ListOpenWorkflowExecutions", page)
            stub.fault("ListOpenWorkflowExecutions", "ValidationException", "has exceeded its maximum lifetime")
        stub.reply("GetWorkflowExecutionHistory", {"events": [event(1, "WorkflowExecutionStarted")]})
        scanner = new_scanner(Recorder.of(stub.url))
        assert open_ids(scanner) == {"w": []}
        assert isinstance(scanner.calls.failure, InvalidRequest)

    @pytest.mark.parametrize("reply", [{}, {"nextPageToken": "T"}])
    def test_a_list_without_executions_is_not_an_empty_one(self, stub: StubService, reply: dict[str, Any]) -> None:
        """Whatever sent that is not SWF: an alarm must not be silent."""
        stub.reply("ListOpenWorkflowExecutions", reply)
        stub.reply("ListClosedWorkflowExecutions", reply)
        scanner = new_scanner(Recorder.of(stub.url))
        with pytest.raises(InvalidResponseError, match="no executions"):
            open_ids(scanner)
        with pytest.raises(InvalidResponseError, match="no executions"):
            scanner.find("w")

    @pytest.mark.parametrize("reply", [{}, {"count": "many"}])
    def test_a_response_without_a_count(self, stub: StubService, reply: dict[str, Any]) -> None:
        """It is an error like any other of SWF's."""
        stub.reply("CountOpenWorkflowExecutions", reply)
        with pytest.raises(InvalidResponseError, match="no count"):
            new_scanner(Recorder.of(stub.url)).count_open()

    def test_a_count_that_is_throttled(self, stub: StubService) -> None:
        """The scan does without it: it is not retried, and the scan goes on."""
        stub.fault("CountOpenWorkflowExecutions", "ThrottlingException", "Rate exceeded")
        scanner = new_scanner(Recorder.of(stub.url))
        with pytest.raises(ThrottlingError):
            scanner.count_open()
        assert stub.operations() == ["CountOpenWorkflowExecutions"]
        assert not scanner.calls.is_over

    def test_malformed_rows_are_skipped_and_counted(self, stub: StubService) -> None:
        """The executions that can be read are."""
        rows = [{}, {"execution": {"workflowId": "x"}}, info("w"), {"execution": info("v")["execution"]}]
        stub.reply("ListOpenWorkflowExecutions", {"executionInfos": rows})
        stub.reply("GetWorkflowExecutionHistory", {"events": [event(1, "WorkflowExecutionStarted")]})
        scanner = new_scanner(Recorder.of(stub.url))
        assert open_ids(scanner) == {"w": []}
        assert scanner.progress.malformed == 3


def test_a_big_domain_under_quotas() -> None:
    """Under SWF's quotas, one of them spent: as few calls as can be, nothing fails, nothing is missed."""
    executions, working, long, events = 120, 20, 4, 2500
    with local_service() as service:
        client = Recorder.of(service.url)
        big_domain(service.flow("media"), executions, working, long, events)
        client.before = limited(spent=HISTORY)
        scanner = new_scanner(client)
        read: list[ExecutionTasks] = []
        scanner.scan(read.append)
        calls, throttles = client.operations(), scanner.progress.throttles
        assert throttles > 0
        client.before = no_op
        pages = client.pages()
        # A page of each, and two more of each long one whose tasks are among its oldest events.
        assert len(pages) == executions + 2 * (long // 2)
        assert calls == {LIST: 1, HISTORY: len(pages) + throttles, DESCRIBE: long}
        # Every other of the long ones has an open decision task besides.
        assert (scanner.progress.executions, scanner.progress.tasks) == (executions, working + long // 2)
        # When an execution times out is known only of those whose first event was read.
        found = [
            (each.execution, replace(task, execution_times_out_at=None))
            for each in read
            for task in each.tasks
            if task.is_open
        ]
        everything = [
            (each.execution, replace(task, execution_times_out_at=None))
            for each in read
            for task in scanner.reader.read_all(each.execution).tasks
            if task.is_open
        ]
        assert len(found) == working
        assert sorted(found, key=str) == sorted(everything, key=str)


class TestFailures:
    """What goes wrong costs as little as it can."""

    def test_an_execution_that_cannot_be_read(
        self, flow: Flow, client: Recorder, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is logged, counted and skipped; the rest is read."""
        for name in ("a", "b", "c"):
            start(flow, name, open_task())
        client.before = refuse_history(InvalidRequest("not today"), "b")
        scanner = new_scanner(client)
        assert sorted(open_ids(scanner)) == ["a", "c"]
        assert (scanner.progress.executions, scanner.progress.skipped, scanner.calls.failure) == (2, 1, None)
        (message,) = caplog.messages
        assert message.startswith("skipping workflow b, run ")
        assert message.endswith(": not today")

    @pytest.mark.parametrize("is_gone", [True, False])
    def test_an_execution_that_closes_after_it_was_listed(
        self, flow: Flow, client: Recorder, caplog: pytest.LogCaptureFixture, is_gone: bool
    ) -> None:
        """Its tasks are closed with it: it counts as read, also if SWF does not know it any more."""
        start(flow, "w", open_task())

        def close(operation: str, arguments: Any) -> None:
            if operation == HISTORY:
                flow.call("TerminateWorkflowExecution", domain="media", workflowId="w")
                if is_gone:
                    run = "workflowId={workflowId}, runId={runId}".format(**arguments["execution"])
                    raise UnknownResource(f"Unknown execution: WorkflowExecution=[{run}] (UnknownResourceFault)")

        client.before = close
        scanner = new_scanner(client)
        assert open_ids(scanner) == {"w": []}
        assert (caplog.messages, scanner.progress.skipped, client.operations()) == ([], 0, {LIST: 1, HISTORY: 1})

    @pytest.mark.parametrize(
        "error",
        [
            UnknownResource("Unknown domain: media (UnknownResourceFault)"),
            UnknownResource("Unknown execution: WorkflowExecution=[workflowId=x, runId=RUN] (UnknownResourceFault)"),
        ],
    )
    def test_something_else_that_swf_does_not_know(self, flow: Flow, client: Recorder, error: SwfError) -> None:
        """It says nothing of the execution, which is not read then."""
        start(flow, "w", open_task())
        client.before = refuse_history(error)
        scanner = new_scanner(client)
        with pytest.raises(UnknownResource, match="Unknown"):
            open_ids(scanner)
        assert scanner.progress.skipped == 1

    def test_none_can_be_read(self, flow: Flow, client: Recorder) -> None:
        """A domain of which nothing could be read is never shown as one with nothing open."""
        start(flow, "a", open_task())
        client.before = refuse_history(SwfError("not today"))
        with pytest.raises(SwfError, match="not today"):
            open_ids(new_scanner(client))

    def test_no_permission(self, flow: Flow, client: Recorder, caplog: pytest.LogCaptureFixture) -> None:
        """It ends the scan at once: one error, not one for each execution."""
        for number in range(60):
            start(flow, f"w{number}", open_task())
        client.before = refuse_history(AccessError("not you"))
        with pytest.raises(AccessError):
            open_ids(new_scanner(client))
        assert (caplog.messages, client.operations()[HISTORY] < 30) == ([], True)

    def test_one_failure_after_the_other(self, flow: Flow, client: Recorder) -> None:
        """When execution after execution fails, it ends, and keeps what it has."""
        for number in range(200):
            start(flow, f"w{number}", open_task())
        served = []

        def fail(operation: str, arguments: Any) -> None:
            if operation == HISTORY:
                served.append(operation)
                if len(served) > 20:
                    raise SwfError("gone")

        client.before = fail
        scanner = new_scanner(client)
        assert len(open_ids(scanner)) == 20
        assert str(scanner.calls.failure) == "gone"
        assert client.operations()[HISTORY] < 80

    def test_transient_errors_are_retried(self, stub: StubService) -> None:
        """Throttling, and a failure of the service, fail no scan."""
        stub.fault("ListOpenWorkflowExecutions", "ThrottlingException", "Rate exceeded")
        stub.reply("ListOpenWorkflowExecutions", {"executionInfos": [info("w")]})
        stub.reply("GetWorkflowExecutionHistory", b"<html>sorry</html>", status=502)
        stub.reply("GetWorkflowExecutionHistory", {"events": [event(1, "WorkflowExecutionStarted")]})
        scanner = new_scanner(Recorder.of(stub.url))
        assert open_ids(scanner) == {"w": []}
        assert (scanner.progress.throttles, scanner.progress.calls) == (1, 4)

    def test_an_unknown_domain(self, service: Service, client: Recorder) -> None:
        """It is an error, not an empty domain."""
        with pytest.raises(UnknownResource, match="media"):
            open_ids(new_scanner(client))

    def test_stopped_half_way(self, flow: Flow, client: Recorder) -> None:
        """It makes no further call, and returns what it has."""
        for number in range(100):
            start(flow, f"w{number}", open_task())
        stop = threading.Event()

        def count(operation: str, arguments: Any) -> None:
            if client.operations()[HISTORY] == 20:
                stop.set()

        client.before = count
        scanner = new_scanner(client, stop=stop)
        assert 10 <= len(open_ids(scanner)) <= 30
        assert scanner.calls.failure is None
        assert client.operations()[HISTORY] <= 30

    def test_a_bug_is_not_swallowed(self, flow: Flow, client: Recorder) -> None:
        """An unexpected exception of the callback, in a thread, is raised here."""
        start(flow, "w", open_task())

        def on_execution(read: ExecutionTasks) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            new_scanner(client).scan(on_execution)


class TestFind:
    """A workflow ID without a run ID."""

    def test_the_open_run_else_the_newest(self, service: Service, flow: Flow, client: Recorder) -> None:
        """The open run is found; if none is open, the one that started last."""
        scanner = new_scanner(client)
        first = start(flow, "w")
        flow.call("TerminateWorkflowExecution", domain="media", workflowId="w")
        service.advance(10)
        assert scanner.find("w").run_id == first
        second = start(flow, "w")
        assert scanner.find("w").run_id == second
        service.advance(10)
        flow.call("TerminateWorkflowExecution", domain="media", workflowId="w")
        assert scanner.find("w").run_id == second

    def test_near_matches_are_suggested(self, flow: Flow, client: Recorder) -> None:
        """Open and closed executions with similar IDs are; others are not."""
        start(flow, "order-4711")
        start(flow, "order-4712")
        start(flow, "customer")
        flow.call("TerminateWorkflowExecution", domain="media", workflowId="order-4711")
        with pytest.raises(UnknownResource, match="odrer-4711 in media") as raised:
            new_scanner(client).find("odrer-4711")
        assert raised.value.hint == "did you mean order-4711 or order-4712?"
        with pytest.raises(UnknownResource) as raised:
            new_scanner(client).find("nobody")
        assert raised.value.hint is None

    def test_no_permission_to_list_hides_no_answer(self, flow: Flow, client: Recorder) -> None:
        """Without near matches the error is the same."""

        def refuse(operation: str, arguments: Any) -> None:
            if "executionFilter" not in arguments:
                raise AccessError("not you")

        client.before = refuse
        with pytest.raises(UnknownResource, match="nobody"):
            new_scanner(client).find("nobody")

    def test_an_empty_page_is_not_the_last(self, stub: StubService) -> None:
        """SWF may return an empty page and a token: the search goes on."""
        stub.reply("ListOpenWorkflowExecutions", {"executionInfos": []})
        stub.reply("ListClosedWorkflowExecutions", {"executionInfos": [], "nextPageToken": "T"})
        stub.reply("ListClosedWorkflowExecutions", {"executionInfos": [info("w")]})
        assert new_scanner(Recorder.of(stub.url)).find("w") == ExecutionId("w", "RUN")
        assert stub.requests[-1][1]["nextPageToken"] == "T"
