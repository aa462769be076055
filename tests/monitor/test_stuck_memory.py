"""The memory that finding stuck tasks takes, and that what is not kept changes nothing of what is reported."""

import gc
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from swf_cli.errors import InvalidRequest
from swf_cli.history import ActivityTask, DecisionTask, End
from swf_cli.models import ActivityId, ExecutionId, PartialTaskConfiguration
from swf_cli.monitor.calls import ScanCalls
from swf_cli.monitor.diagnosis import diagnose
from swf_cli.monitor.evidence import DomainFacts, Holdings
from swf_cli.monitor.execution import ExecutionTasks
from swf_cli.monitor.filters import TaskFilter
from swf_cli.monitor.scanner import DomainScanner, OnExecution
from swf_cli.monitor.stuck import find_stuck
from tests.helpers.big_domain import Recorder, open_task, start
from tests.helpers.flow import Flow
from tests.helpers.held import held_task, lost_poll
from tests.helpers.local_service import Service

RESIZE = ActivityId("resize", "1")
NOW = 100_000.0
MINUTE = 60.0


class Domain(DomainScanner):
    """Scans a domain that was made up: the executions in this order, with the clock skew of each one's response."""

    def __init__(self, executions: Iterable[ExecutionTasks], skews: Iterable[float] = ()) -> None:
        client: Any = None
        super().__init__(ScanCalls(client, "media", clock=lambda: NOW))
        self._executions = executions
        self._skews = iter(skews)

    def scan(self, on_execution: OnExecution, *, older_than: float = 0.0) -> None:
        """Report the executions."""
        for execution in self._executions:
            self.calls.clock_skew = next(self._skews, 0.0)
            on_execution(execution)

    def read_each(
        self, executions: Iterable[ExecutionId], on_execution: OnExecution, *, newest_page: bool = False
    ) -> None:
        """Report some of them."""
        wanted = set(executions)
        for execution in self._executions:
            if execution.execution in wanted:
                on_execution(execution)

    def newest_open(self, limit: int, *, younger_than: float = 0.0) -> list[ExecutionId]:
        """List none."""
        return []

    def newest_closed(self, limit: int, *, closed_since: float = 0.0) -> list[ExecutionId]:
        """List none."""
        return []


def execution_of(number: int, *tasks: ActivityTask, decision: DecisionTask | None = None) -> ExecutionTasks:
    """Return what is read of an execution whose names are as long as real ones."""
    return ExecutionTasks(ExecutionId(f"customer-4711/order-{number}", f"22{number:043}="), [*tasks], decision)


def running(number: int, **fields: Any) -> ActivityTask:
    """Return a task that runs normally, of which nothing is shared with others, with an input of 8 kB."""
    an_hour_ago = NOW - 60 * MINUTE + number / 1e6
    task = ActivityTask(
        id=f"resize-{number}",
        activity=ActivityId("".join(["res", "ize"]), "1"),
        task_list="".join(["wo", "rk"]),
        configuration=PartialTaskConfiguration("".join(["wo", "rk"]), runtime_timeout=timedelta(hours=10)),
        scheduled_at=an_hour_ago,
        input=f"{number:010}" * 800,
        started_event_id=1000 + number,
        started_at=an_hour_ago + 1,
        identity="".join(["host", ":1"]),
    )
    return replace(task, **fields)


def completed_run(number: int, seconds: float) -> ActivityTask:
    """Return a task that was completed after so long."""
    started_at = NOW - 50 * MINUTE
    return running(number, started_at=started_at, closed_at=started_at + seconds, end=End("completed"))


def peak(executions: Iterable[ExecutionTasks], **options: Any) -> int:
    """Return the bytes that finding what is stuck takes at most."""
    tracemalloc.start()
    try:
        find_stuck(Domain(executions), DomainFacts(600.0), TaskFilter(), **options)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class TestMemory:
    """What is kept of a domain, however many executions it has."""

    def test_tasks_that_may_turn_out_to_be_overdue(self) -> None:
        """Hundreds of bytes are kept of each, not its input of 8 kB."""
        few, many = (peak(execution_of(n, running(n)) for n in range(count)) for count in (100, 2100))
        assert (many - few) / 2000 < 900

    def test_tasks_that_are_not_stuck(self) -> None:
        """Nothing is kept of those that are sure not to be reported."""
        kept: list[int] = []

        def executions() -> Iterator[ExecutionTasks]:
            yield execution_of(0, completed_run(0, 3600.0))
            for number in range(1, 300):
                young = running(number, started_at=NOW - MINUTE)
                taken = DecisionTask("deciders", young.configuration, NOW - 60 * MINUTE, NOW - MINUTE)
                yield execution_of(number, running(number), young, decision=taken)
            kept.append(sum(isinstance(each, ActivityTask | DecisionTask) for each in gc.get_objects()))

        before = sum(isinstance(each, ActivityTask | DecisionTask) for each in gc.get_objects())
        assert not find_stuck(Domain(executions()), DomainFacts(600.0), TaskFilter()).rows
        assert kept[0] - before < 10

    def test_rows_that_need_no_input(self) -> None:
        """For a screen, hundreds of bytes are kept of a stuck task; JSON has the inputs."""

        def waiting(count: int) -> Iterator[ExecutionTasks]:
            for number in range(count):
                yield execution_of(number, running(number, started_at=None, started_event_id=None, identity=None))

        few, many = peak(waiting(100), with_input=0), peak(waiting(1100), with_input=0)
        assert (many - few) / 1000 < 2000
        rows = find_stuck(Domain(waiting(3)), DomainFacts(600.0), TaskFilter()).rows
        assert [getattr(row.task, "input", None) for row in rows] == [running(number).input for number in range(3)]


def histories(client: Recorder) -> int:
    """Return how many pages of histories were requested."""
    return client.operations()["get_workflow_execution_history"]


class TestLaterEvidence:
    """Tasks that only what is read later shows to be stuck."""

    @pytest.fixture
    def overdue(self, service: Service, flow: Flow) -> None:
        """Two tasks that run; one that waits; and, read last, a closed execution where such a run was short."""
        for number in (1, 2):
            settings = {"startToCloseTimeout": "86400", "input": f"input {number}"}
            start(flow, f"slow-{number}", open_task(task_list="slow", **settings))
            flow.poll("slow")
            service.advance(1)
        start(flow, "waits", open_task(task_list="dead", input="input 3"))
        service.advance(1200)
        start(flow, "quick", open_task(task_list="quick"))
        flow.call("RespondActivityTaskCompleted", taskToken=flow.poll("quick")["taskToken"])
        flow.call("TerminateWorkflowExecution", domain="media", workflowId="quick")

    @staticmethod
    def inputs(client: Recorder, with_input: int | None) -> list[tuple[str, str | None]]:
        """Return reason and input of each row."""
        calls: Any = client
        scanner = DomainScanner(ScanCalls(calls, "media", rate=1000.0))
        report = find_stuck(scanner, DomainFacts(600.0), TaskFilter(), with_input=with_input)
        return [(row.diagnosis.reason, getattr(row.task, "input", None)) for row in report.rows]

    @pytest.mark.usefixtures("overdue")
    def test_inputs_are_read_again(self, client: Recorder) -> None:
        """Only those that are needed, and were not kept."""
        rows = [("overdue", "input 1"), ("overdue", "input 2"), ("unclaimed", "input 3")]
        assert self.inputs(client, None) == rows
        assert histories(client) == 4 + 2
        client.calls.clear()
        assert self.inputs(client, 1)[0] == rows[0]
        assert histories(client) == 4 + 1
        client.calls.clear()
        assert self.inputs(client, 0) == [("overdue", None), ("overdue", None), ("unclaimed", None)]
        assert histories(client) == 4

    @pytest.mark.usefixtures("overdue")
    def test_an_input_that_cannot_be_read_again(self, client: Recorder, caplog: pytest.LogCaptureFixture) -> None:
        """The task is reported all the same, and a line says that its input is missing."""

        def refuse(operation: str, arguments: Any) -> None:
            if histories(client) == 6:
                raise InvalidRequest("not again")

        client.before = refuse
        overdue = self.inputs(client, None)[:2]
        assert [reason for reason, _ in overdue] == ["overdue", "overdue"]
        assert [task_input for _, task_input in overdue].count(None) == 1
        assert caplog.messages[-1] == "stuck tasks whose input could not be read again: 1"


def made_up(random: Random, number: int) -> ExecutionTasks:
    """Return an execution with tasks in states that differ by little in what matters."""
    scheduled_at = NOW - random.choice([5, 9.5, 10, 11, 20, 60, 300]) * MINUTE
    taken: dict[str, Any] = {
        "started_event_id": 6,
        "started_at": scheduled_at + random.choice([-1, 0, 30, 300, 3000]),
        "identity": random.choice(["me:1", "host:1"]),
    }
    waits: dict[str, Any] = dict.fromkeys(taken)
    asked = random.choice([None, NOW - 5 * MINUTE, NOW - 11 * MINUTE])
    task = running(
        number,
        activity=random.choice([RESIZE, ActivityId("encode", "1"), ActivityId("mux", "2")]),
        task_list=random.choice(["work", "works", "other"]),
        scheduled_at=scheduled_at,
        configuration=PartialTaskConfiguration(
            runtime_timeout=random.choice([None, timedelta(minutes=30), timedelta(hours=10)]),
            total_timeout=random.choice([None, timedelta(days=1)]),
        ),
        **random.choice([waits, taken, taken, {**taken, "cancel_requested_at": asked}]),
    )
    tasks = [task]
    if random.random() < 0.2:
        seconds = random.choice([1.0, 10 * MINUTE, 20 * MINUTE, 2 * 60 * MINUTE])
        tasks.append(replace(completed_run(number, seconds), activity=task.activity, task_list=task.task_list))
    decision = DecisionTask("deciders", task.configuration, scheduled_at, scheduled_at, taken["started_at"])
    return execution_of(number, *tasks, decision=decision if random.random() < 0.2 else None)


@pytest.mark.parametrize("seed", range(60))
def test_the_rows_are_those_of_keeping_everything(seed: int) -> None:
    """Whatever the order: each task that is old enough is judged by all that was read, and has its input."""
    random = Random(seed)
    executions = [made_up(random, number) for number in range(random.choice([3, 10, 30]))]
    skews = [random.choice([0.0, 0.0, -400.0, 500.0]) for _ in executions]
    runs = [each.execution for each in executions]
    lost_at = NOW - random.choice([10, 15, 60]) * MINUTE
    holdings = Holdings(
        [
            *(
                held_task(key=f"abcd123{number}", execution=runs[number], holder_alive=is_alive, taken_at=NOW)
                for number, is_alive in enumerate((True, None, False))
            ),
            lost_poll(identity="me:1", host="me", pid=1, task_list="work", taken_at=lost_at),
        ]
    )
    report = find_stuck(Domain(executions, skews), DomainFacts(600.0, holdings), TaskFilter())

    facts, expected, judged = DomainFacts(600.0, holdings), [], []
    for each, skew in zip(executions, skews, strict=True):
        facts.observe(each.tasks)
        facts.clock_skew = skew
        for task in each.open_tasks:
            if NOW + skew - task.scheduled_at >= 600.0 or diagnose(each.execution, task, NOW + skew, facts):
                judged.append((each.execution, task, NOW + skew))
    started = [
        (execution, task, now)
        for execution, task, now in judged
        if isinstance(task, ActivityTask) and task.started_at is not None
    ]
    for execution, task, _ in started:
        facts.claims.update(row.key for row in holdings.matching_polls(execution, task, facts.clock_skew))
    found = [(task, diagnose(execution, task, now, facts)) for execution, task, now in started]
    for task, diagnosis in found:
        if diagnosis is not None and diagnosis.reason == "holder-gone":
            facts.discount(task)
    for execution, task, now in judged:
        if diagnosis := diagnose(execution, task, now, facts):
            expected.append((diagnosis.rank, execution.id, execution.run_id, task, diagnosis))
    expected.sort(key=lambda row: row[:3])
    assert [(row.task, row.diagnosis) for row in report.rows] == [row[3:] for row in expected]
