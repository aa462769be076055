"""The stuck tasks of a domain: what is read to find them, and which they are."""

import time
from dataclasses import replace
from typing import Any

import pytest

from swf_cli.errors import AccessError, InvalidRequest
from swf_cli.history import ActivityTask
from swf_cli.ledger.records import HeldTask
from swf_cli.models import ExecutionId
from swf_cli.monitor.calls import ScanCalls
from swf_cli.monitor.evidence import DomainFacts, Holdings
from swf_cli.monitor.execution import ExecutionTasks
from swf_cli.monitor.filters import TaskFilter
from swf_cli.monitor.scanner import DomainScanner
from swf_cli.monitor.stuck import MAX_EVIDENCE, StuckReport, find_stuck
from tests.helpers.big_domain import Recorder, decide, open_task, start
from tests.helpers.flow import Flow, decision
from tests.helpers.held import held_task, lost_poll
from tests.helpers.local_service import Service

HISTORY = "get_workflow_execution_history"
LIST_OPEN = "list_open_workflow_executions"
LIST_CLOSED = "list_closed_workflow_executions"
DAY = "86400"


def scanner_of(client: Any) -> DomainScanner:
    """Return a scanner without a rate limit to speak of."""
    return DomainScanner(ScanCalls(client, "media", rate=1000.0))


def stuck(client: Any, *held: HeldTask, older_than: float = 600.0, **wanted: Any) -> StuckReport:
    """Find what is stuck."""
    return find_stuck(scanner_of(client), DomainFacts(older_than, Holdings(held)), TaskFilter(**wanted))


def reasons(report: StuckReport) -> list[tuple[str, str]]:
    """Return reason and workflow of each row."""
    return [(row.diagnosis.reason, row.execution.id) for row in report.rows]


def hold(flow: Flow, client: Any, workflow_id: str) -> HeldTask:
    """Start an execution whose task a process of this machine receives, and return the row; the process is alive."""
    run = ExecutionId(workflow_id, start(flow, workflow_id, open_task(startToCloseTimeout=DAY)))
    flow.poll("work", identity="host:1")
    (task,) = scanner_of(client).reader.read_open(run).tasks
    return held_task(
        execution=run,
        taken_at=time.time(),
        holder_alive=True,
        task_started_execution_history_event_id=task.started_event_id,
    )


def work_off(flow: Flow, *task_lists: str) -> None:
    """Complete a waiting task of each list."""
    for task_list in task_lists:
        flow.call("RespondActivityTaskCompleted", taskToken=flow.poll(task_list)["taskToken"])


class TestReading:
    """What is read."""

    def test_a_domain_where_nothing_waits(self, service: Service, flow: Flow, client: Recorder) -> None:
        """The list, and a page of each execution that is old enough: no evidence is needed."""
        start(flow, "old", open_task(startToCloseTimeout=DAY))
        flow.poll("work")
        service.advance(1200)
        start(flow, "young", open_task())
        assert reasons(stuck(client)) == []
        assert client.operations() == {LIST_OPEN: 2, HISTORY: 1}  # the first list told the service's time

    def test_workers_are_looked_for_in_young_executions(self, service: Service, flow: Flow, client: Recorder) -> None:
        """A list that only young executions show busy has a backlog."""
        start(flow, "waits", open_task(task_list="busy"), open_task("second", "busy"))
        service.advance(1200)
        work_off(flow, "busy")
        start(flow, "young", open_task(task_list="other"), open_task("mine", "busy"))
        assert reasons(stuck(client)) == [("backlog", "waits")]  # the execution itself shows it
        start(flow, "waits-2", open_task(task_list="far"))
        service.advance(1200)
        start(flow, "young-2", open_task(task_list="far", taskPriority="9"))
        flow.poll("far")
        assert ("backlog", "waits-2") in reasons(stuck(client))

    def test_workers_are_looked_for_in_closed_executions(
        self, service: Service, flow: Flow, client: Recorder
    ) -> None:
        """A list whose tasks were started lately in executions that have closed has a backlog."""
        start(flow, "before", open_task(task_list="dead"))
        work_off(flow, "dead")
        flow.call("TerminateWorkflowExecution", domain="media", workflowId="before")
        service.advance(10)
        start(flow, "waits-busy", open_task(task_list="busy"))
        start(flow, "waits-dead", open_task(task_list="dead"))
        service.advance(1200)
        start(flow, "after", open_task(task_list="busy", taskPriority="9"))
        work_off(flow, "busy")
        flow.call("TerminateWorkflowExecution", domain="media", workflowId="after")
        assert reasons(stuck(client)) == [("unclaimed", "waits-dead"), ("backlog", "waits-busy")]

    def test_evidence_is_limited(self, service: Service, flow: Flow, client: Recorder) -> None:
        """At most 50 pages, of open and closed executions in turn, and none twice."""
        start(flow, "waits", open_task(task_list="nobody's"))
        service.advance(1200)
        for number in range(40):
            start(flow, f"closed-{number}")
            flow.call("TerminateWorkflowExecution", domain="media", workflowId=f"closed-{number}")
            start(flow, f"young-{number}", open_task(task_list="other"))
        assert reasons(stuck(client)) == [("unclaimed", "waits")]
        operations = client.operations()
        assert operations == {LIST_OPEN: 3, LIST_CLOSED: 1, HISTORY: 1 + 50}
        assert set(client.pages().values()) == {1}

    def test_evidence_ends_with_the_first_sign(self, service: Service, flow: Flow, client: Recorder) -> None:
        """Once every list shows a worker, no further page is read."""
        start(flow, "waits", open_task(task_list="busy"))
        service.advance(1200)
        for number in range(60):
            start(flow, f"young-{number}", open_task(task_list="busy", taskPriority="9"))
            flow.poll("busy")
        assert reasons(stuck(client)) == [("backlog", "waits")]
        assert client.operations()[HISTORY] < 25

    def test_no_permission_for_evidence(
        self, service: Service, flow: Flow, client: Recorder, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Without it the rest is found all the same, and a line says what is missing."""
        start(flow, "waits", open_task(task_list="busy"))
        service.advance(1200)
        start(flow, "young", open_task(task_list="busy", taskPriority="9"))
        flow.poll("busy")

        def refuse(operation: str, arguments: Any) -> None:
            if operation == LIST_CLOSED:
                raise AccessError("not you")

        client.before = refuse
        assert reasons(stuck(client)) == [("backlog", "waits")]
        assert caplog.messages == ["cannot look for workers in further executions: not you"]

    @pytest.mark.parametrize("refused", [LIST_CLOSED, HISTORY])
    def test_a_failed_look_for_workers(self, service: Service, flow: Flow, client: Recorder, refused: str) -> None:
        """Nobody is told to start a worker, nor to scan the domain that was scanned."""
        start(flow, "waits", open_task(task_list="busy"))
        service.advance(1200)
        start(flow, "young", open_task(task_list="other"))

        def refuse(operation: str, arguments: Any) -> None:
            if operation == refused and arguments.get("execution", {}).get("workflowId") != "waits":
                raise InvalidRequest("not today")

        client.before = refuse
        (row,) = stuck(client).rows
        assert row.diagnosis.hint.startswith("check whether workers poll busy before you start one")

    def test_tasks_held_here_are_read_however_young(self, service: Service, flow: Flow, client: Recorder) -> None:
        """A holder that is gone is reported at once."""
        dead = replace(hold(flow, client, "young"), holder_alive=False)
        stale = held_task(key="dddd1234", execution=ExecutionId("gone", "R" * 22), taken_at=time.time() - 3600)
        closed = held_task(key="cccc1234", execution=ExecutionId("gone", "R" * 22), taken_at=time.time())
        client.calls.clear()
        assert reasons(stuck(client, dead, stale, closed)) == [("holder-gone", "young")]
        assert client.operations() == {LIST_OPEN: 1, HISTORY: 2}
        service.advance(1200)
        client.calls.clear()
        assert reasons(stuck(client, dead, stale)) == [("holder-gone", "young")]
        assert client.operations()[HISTORY] == 1

    def test_what_is_young_is_found_as_in_reading_everything(
        self, service: Service, flow: Flow, client: Recorder
    ) -> None:
        """Of 200 executions 190 are younger than --older-than: the same rows, with 10 histories and the evidence."""
        for number in range(10):
            start(flow, f"old-{number}", open_task(task_list=f"list-{number % 3}"))
        service.advance(1200)
        for number in range(190):
            start(flow, f"young-{number}", open_task(task_list=f"list-{number % 4}"))
        flow.poll("list-0")
        report = stuck(client)
        assert client.operations()[HISTORY] <= 10 + MAX_EVIDENCE
        assert len(report.rows) == 9
        facts, everything = DomainFacts(600.0), scanner_of(client)
        found: list[ExecutionTasks] = []
        everything.scan(found.append)
        for each in found:
            facts.observe(each.tasks)
        waiting = [task for each in found for task in each.tasks if task.is_open and task.started_at is None]
        long = [task for task in waiting if everything.calls.now() - task.scheduled_at >= 600.0]
        assert sorted(task.id + task.task_list for task in long) == sorted(
            row.task.id + row.task.task_list for row in report.rows if isinstance(row.task, ActivityTask)
        )


class TestRows:
    """What is reported."""

    @pytest.fixture
    def three(self, service: Service, flow: Flow) -> None:
        """A task that waits, one that is worked on, and two that never end."""
        start(flow, "waits", open_task(task_list="waits"))
        start(flow, "runs", open_task(task_list="runs", startToCloseTimeout=DAY))
        start(flow, "endless", open_task(task_list="endless"), open_task("b", "endless"))
        for task_list in ("runs", "endless", "endless"):
            flow.poll(task_list, identity="host:1")
        service.advance(1200)

    @pytest.mark.usefixtures("three")
    def test_worst_first(self, client: Recorder) -> None:
        """By severity; a task that is worked on normally is not reported."""
        assert reasons(stuck(client)) == [("endless", "endless"), ("endless", "endless"), ("unclaimed", "waits")]

    @pytest.mark.usefixtures("three")
    def test_filters(self, client: Recorder) -> None:
        """With task lists, or an activity's name, only their tasks are reported."""

        def names(**wanted: Any) -> list[str]:
            return [row.execution.id for row in stuck(client, **wanted).rows]

        assert names(task_lists=["waits"]) == ["waits"]
        assert names(task_lists=["waits", "endless"]) == ["endless", "endless", "waits"]
        assert names(activity="resize") == ["endless", "endless", "waits"]
        assert names(activity="encode") == names(task_lists=["Waits"]) == []

    @pytest.mark.usefixtures("three")
    def test_what_a_filter_matched(self, client: Recorder) -> None:
        """How many open tasks match, stuck or not; and which list was probably meant if none is on one."""
        assert stuck(client).matched == 4
        assert stuck(client, task_lists=["runs"]).matched == 1
        report = stuck(client, task_lists=["endles", "waits", "elsewhere"])
        assert (report.matched, report.similar_lists) == (1, {"endles": ["endless"]})

    def test_each_is_judged_by_the_time_it_was_read(self, service: Service, flow: Flow, client: Recorder) -> None:
        """In a scan that takes an hour, what was young when it was read has not waited for an hour."""
        start(flow, "first", open_task(task_list="first"))
        service.advance(1000)
        decide(flow, "first", open_task("b", "second"))
        start(flow, "last")
        service.advance(700)
        read = []

        def later(operation: str, arguments: Any) -> None:
            if operation == HISTORY:
                read.append(operation)
                if len(read) == 2:
                    service.advance(3600)

        client.before = later
        rows = stuck(client, older_than=1500.0).rows
        assert [row.task.task_list for row in rows] == ["first"]

    def test_a_cancelled_task_that_waits_is_closed(self, service: Service, flow: Flow, client: Recorder) -> None:
        """Of two tasks with a cancellation request, the one that runs is cancelling; the other is closed at once."""
        start(flow, "w", open_task("runs", "runs"), open_task("waits", "waits"))
        flow.poll("runs", identity="host:1")
        requests = [decision("RequestCancelActivityTask", activityId=name) for name in ("runs", "waits")]
        decide(flow, "w", *requests)
        decide(flow, "w")
        service.advance(660)
        (row,) = stuck(client).rows
        assert isinstance(row.task, ActivityTask)
        assert (row.task.id, row.task.state, row.diagnosis.reason) == ("runs", "cancelling", "cancelling")

    def test_a_dead_decider(self, service: Service, flow: Flow, client: Recorder) -> None:
        """Its decision task waits; -t selects it by its list, and an activity excludes it."""
        flow.start("dead", taskList={"name": "deciders"})
        service.advance(1200)
        assert reasons(stuck(client)) == [("no-decider", "dead")]
        assert reasons(stuck(client, task_lists=["deciders"])) == [("no-decider", "dead")]
        assert reasons(stuck(client, activity="resize")) == []

    def test_busy_deciders(self, service: Service, flow: Flow, client: Recorder) -> None:
        """They are looked for in young executions too: what they do not take waits for its turn."""
        flow.start("waits", taskList={"name": "deciders"}, taskPriority="1")
        service.advance(1200)
        assert [row.diagnosis.hint for row in stuck(client).rows] == [
            "start a decider on deciders, or check why none polls it"
        ]
        flow.start("young", taskList={"name": "deciders"}, taskPriority="9")
        flow.decide_on("deciders")
        assert [row.diagnosis.hint for row in stuck(client).rows] == ["start more deciders on deciders"]

    def test_a_lost_poll(self, service: Service, flow: Flow, client: Recorder) -> None:
        """A task that was started while it was in flight, under its identity, has no holder."""
        start(flow, "w", open_task(startToCloseTimeout=DAY))
        flow.poll("work", identity="me-1")
        service.advance(700)
        poll = lost_poll(taken_at=time.time() - 5, identity="me-1")
        assert reasons(stuck(client, poll)) == [("holder-gone", "w")]

    def test_a_task_that_is_received_during_the_scan(self, service: Service, flow: Flow, client: Recorder) -> None:
        """It has a holder, although the ledger did not have its row when the scan began."""
        row, poll = hold(flow, client, "w"), lost_poll(taken_at=time.time() - 5)

        def find(*later: HeldTask) -> StuckReport:
            facts = DomainFacts(0.0, Holdings([poll]))
            return find_stuck(scanner_of(client), facts, TaskFilter(), read_holdings=lambda: Holdings([poll, *later]))

        assert reasons(find()) == [("holder-gone", "w")]
        assert reasons(find(row)) == []

    def test_a_task_that_is_closed_during_the_scan(self, service: Service, flow: Flow, client: Recorder) -> None:
        """Its row is gone by then, which does not make it one that a lost poll received."""
        row, poll = hold(flow, client, "w"), lost_poll(taken_at=time.time() - 5)
        facts = DomainFacts(0.0, Holdings([poll, row]))
        found = find_stuck(scanner_of(client), facts, TaskFilter(), read_holdings=lambda: Holdings([poll]))
        assert reasons(found) == []

    def test_tasks_of_dead_workers_are_no_workers(self, service: Service, flow: Flow, client: Recorder) -> None:
        """A list whose only started tasks have dead holders is not one that workers poll."""
        row = replace(hold(flow, client, "dead"), holder_alive=False)
        service.advance(60)
        start(flow, "waits", open_task())
        service.advance(1200)
        assert reasons(stuck(client, row)) == [("holder-gone", "dead"), ("unclaimed", "waits")]
        assert reasons(stuck(client)) == [("backlog", "waits")]

    def test_a_filter_changes_no_diagnosis(self, service: Service, flow: Flow, client: Recorder) -> None:
        """Tasks that it leaves out count: nobody works on that of a dead holder; a lost poll received one of two."""
        row = replace(hold(flow, client, "dead"), holder_alive=False)
        poll = lost_poll(taken_at=time.time() - 5, task_list="lost", identity="host:1")
        flow.call("RegisterActivityType", domain="media", name="encode", version="1")
        encode: dict[str, Any] = {"activityType": {"name": "encode", "version": "1"}}
        for workflow, kind in (("lost-1", {}), ("lost-2", encode)):
            start(flow, workflow, open_task(task_list="lost", **kind))
            flow.poll("lost", identity="host:1")
        service.advance(60)
        start(flow, "waits", open_task(**encode))
        service.advance(1200)
        everything = stuck(client, row, poll).rows
        assert [each.diagnosis.reason for each in everything] == ["holder-gone", "endless", "endless", "unclaimed"]
        for name in ("resize", "encode"):
            filtered = stuck(client, row, poll, activity=name).rows
            diagnoses = [(each.execution, each.diagnosis.reason, each.diagnosis.hint) for each in filtered]
            assert diagnoses == [
                (each.execution, each.diagnosis.reason, each.diagnosis.hint)
                for each in everything
                if isinstance(each.task, ActivityTask) and each.task.activity.name == name
            ]
