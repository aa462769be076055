"""The open tasks of a domain, and one task by its ID."""

from typing import Any

import pytest

from swf_cli.errors import UnknownResource
from swf_cli.models import ExecutionId
from swf_cli.monitor.calls import ScanCalls
from swf_cli.monitor.filters import TaskFilter
from swf_cli.monitor.groups import TaskCount
from swf_cli.monitor.scanner import DomainScanner
from swf_cli.monitor.tasks import count_open_tasks, find_open_tasks, read_task
from tests.helpers.big_domain import Recorder, decide, open_task, start
from tests.helpers.flow import Flow
from tests.helpers.local_service import Service


@pytest.fixture
def scanner(client: Recorder) -> DomainScanner:
    """A scanner of the domain."""
    calls: Any = client
    return DomainScanner(ScanCalls(calls, "media", rate=1000.0))


@pytest.fixture
def two(service: Service, flow: Flow) -> None:
    """Two executions with tasks, one without, and one that is closed."""
    start(flow, "first", open_task("a"))
    service.advance(10)
    start(flow, "second", open_task("b"), open_task("c", "other"))
    flow.poll("work", identity="host:1")
    start(flow, "none")
    start(flow, "closed", open_task("d"))
    flow.call("TerminateWorkflowExecution", domain="media", workflowId="closed")


@pytest.mark.usefixtures("two")
def test_the_open_tasks_of_a_domain(scanner: DomainScanner) -> None:
    """The oldest first, of every open execution, and the lists of all."""

    def found(**criteria: Any) -> list[tuple[str, str]]:
        rows, lists = find_open_tasks(scanner, TaskFilter(**criteria))
        assert lists == {"work", "other"}
        return [(row.execution.id, row.task.id) for row in rows]

    assert found() == [("first", "a"), ("second", "b"), ("second", "c")]
    assert found(task_lists=["other"]) == [("second", "c")]
    assert found(state="started", identity="host:1") == [("first", "a")]
    assert found(identity="host:2") == []


@pytest.mark.usefixtures("two")
def test_they_are_counted(scanner: DomainScanner) -> None:
    """By a field, those that match."""
    counts, lists = count_open_tasks(scanner, TaskFilter(), "list")
    assert [(count.value, count.scheduled, count.started) for count in counts] == [("work", 1, 1), ("other", 1, 0)]
    (count,), _ = count_open_tasks(scanner, TaskFilter(state="started"), "identity")
    assert (count.value, count.scheduled, count.started) == ("host:1", 0, 1)
    assert isinstance(count, TaskCount)
    assert lists == {"work", "other"}


def test_one_task(flow: Flow, scanner: DomainScanner) -> None:
    """The newest with the ID, open or closed; for a misspelled ID, the near ones."""
    execution = ExecutionId("w", start(flow, "w", open_task("resize-1")))
    flow.call("RespondActivityTaskCompleted", taskToken=flow.poll("work")["taskToken"], result="first")
    assert read_task(scanner, execution, "resize-1").end is not None
    decide(flow, "w", open_task("resize-1"))
    assert read_task(scanner, execution, "resize-1").is_open
    with pytest.raises(UnknownResource, match="ID resize-2 in workflow w, run ") as raised:
        read_task(scanner, execution, "resize-2")
    assert raised.value.hint == "did you mean resize-1?"
