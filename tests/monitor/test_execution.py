"""One execution: how many calls its tasks cost, and that none is missed, whatever happens meanwhile."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swf_cli.errors import InvalidRequest, InvalidResponseError
from swf_cli.models import ExecutionId
from swf_cli.monitor.calls import ScanCalls
from swf_cli.monitor.execution import ExecutionReader, ExecutionTasks
from tests.helpers.big_domain import Recorder, decide, lengthen, open_task, start
from tests.helpers.flow import Flow
from tests.helpers.local_service import Service
from tests.helpers.recorded_execution import RecordedExecution
from tests.helpers.stub_service import StubService

PAGE = 10
"""A page size that makes few events many pages."""

HISTORY = "get_workflow_execution_history"
DESCRIBE = "describe_workflow_execution"
EXECUTION = ExecutionId("w", "RUN")
EMPTY: dict[str, Any] = {"events": []}


def reader_of(client: Any, page_size: int = PAGE) -> ExecutionReader:
    """Return a reader without a rate limit to speak of."""
    return ExecutionReader(ScanCalls(client, "media", rate=10_000.0), page_size)


def reader_at(execution: RecordedExecution, seconds: float = 0.0, page_size: int = PAGE) -> ExecutionReader:
    """Return one whose clock is the execution's, or this many seconds later."""
    calls = ScanCalls(cast("Any", execution), "media", rate=10_000.0, clock=lambda: execution.now + seconds)
    return ExecutionReader(calls, page_size)


def read(execution: RecordedExecution) -> ExecutionTasks:
    """Read the open tasks of an execution."""
    return reader_at(execution).read_open(EXECUTION)


def open_ids(found: ExecutionTasks) -> list[str]:
    """Return the activity IDs of the open tasks."""
    return [task.id for task in found.tasks if task.is_open]


def advance(execution: RecordedExecution, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """Have something happen in an execution."""
    ids = [f"task-{len(execution.events)}-{number}" for number in range(2)]
    happenings: list[Callable[[], None]] = [
        execution.signal,
        execution.take_decision,
        execution.heartbeat,
        lambda: execution.decide(*ids[: draw(st.integers(0, 2))]),
    ]
    if execution.open_ids:
        task = st.sampled_from(sorted(execution.open_ids))
        happenings += [
            lambda: execution.start(draw(task)),
            lambda: execution.close(draw(task)),
            lambda: execution.close(draw(task), "TimedOut"),
        ]
    draw(st.sampled_from(happenings))()


class TestCost:
    """What an execution costs, with the event order and the timestamps of the real service."""

    def test_a_page(self) -> None:
        """A history that fits a page costs that page."""
        execution = RecordedExecution()
        execution.schedule("a")
        assert open_ids(read(execution)) == ["a"]
        assert execution.calls == ["history"]

    def test_a_long_history_with_its_open_tasks_in_the_newest_page(self) -> None:
        """That page and a description, although the description's time is a millisecond after the event's."""
        execution = RecordedExecution(events=100)
        execution.take_decision()
        execution.decide("a", "b")
        execution.start("a")
        assert open_ids(read(execution)) == ["a", "b"]
        assert execution.calls == ["history", "describe"]

    def test_a_decision_task_scheduled_while_another_is_started(self) -> None:
        """The last decision event is DecisionTaskCompleted, and a decision task waits all the same."""
        execution = RecordedExecution(events=100)
        execution.take_decision()
        execution.signal()
        execution.decide("a")
        found = read(execution)
        assert (open_ids(found), found.decision and found.decision.state) == (["a"], "scheduled")
        assert execution.calls == ["history", "describe"]

    def test_heartbeats_cost_one_more_look(self) -> None:
        """They move the time in the description, and add no event."""
        execution = RecordedExecution(events=100)
        execution.take_decision()
        execution.decide("a")
        execution.start("a")
        execution.heartbeat()
        assert open_ids(read(execution)) == ["a"]
        assert execution.calls == ["history", "describe", "history"]

    def test_no_open_task(self) -> None:
        """No page is read in search of tasks that are not there."""
        execution = RecordedExecution(events=100)
        execution.take_decision()
        execution.decide()
        assert open_ids(read(execution)) == []
        assert execution.calls == ["history", "describe"]

    def test_open_tasks_further_back(self) -> None:
        """The pages down to the oldest open task are read."""
        execution = RecordedExecution(events=50)
        execution.take_decision()
        execution.decide("a", "b")
        for _ in range(25):
            execution.signal()
            execution.take_decision()
            execution.decide()
        pages = execution.position("a") // PAGE + 1
        assert open_ids(read(execution)) == ["a", "b"]
        assert execution.calls == ["history", "describe", *["history"] * (pages - 1)]

    def test_a_decision_task_that_waits_further_back(self) -> None:
        """A dead decider is found, however many signals came since."""
        execution = RecordedExecution()
        execution.schedule("a")
        for _ in range(45):
            execution.signal()
        found = read(execution)
        assert found.decision is not None
        assert (found.decision.task_list, execution.calls.count("history")) == ("deciders", 5)

    def test_25_000_events(self) -> None:
        """In pages of 1,000: two calls if the open tasks are in the newest, three with heartbeats."""
        execution = RecordedExecution(events=24_000)
        execution.take_decision()
        execution.signal()
        execution.decide(*"abc")
        execution.start("b")
        assert open_ids(reader_of(execution, 1000).read_open(EXECUTION)) == ["a", "b", "c"]
        assert execution.calls == ["history", "describe"]
        execution.calls.clear()
        execution.heartbeat()
        assert open_ids(reader_of(execution, 1000).read_open(EXECUTION)) == ["a", "b", "c"]
        assert execution.calls == ["history", "describe", "history"]

    @pytest.mark.parametrize("more", [3, 4, 5, 6])
    def test_only_a_second_page_needs_a_description(self, flow: Flow, client: Recorder, more: int) -> None:
        """Of histories of nine to twelve events, in pages of ten, those that have another page are described."""
        run = start(flow, "w", open_task("a"))
        lengthen(flow, "w", more)
        events = len(flow.history({"workflowId": "w", "runId": run}))
        assert open_ids(reader_of(client).read_open(ExecutionId("w", run))) == ["a"]
        assert client.operations()[DESCRIBE] == (events > PAGE)

    def test_a_page_token_beyond_the_first_event_is_not_followed(self, stub: StubService) -> None:
        """SWF may return a token with the page that has the first event."""
        first = {"eventId": 1, "eventTimestamp": 1, "eventType": "WorkflowExecutionStarted"}
        stub.reply("GetWorkflowExecutionHistory", {"events": [first], "nextPageToken": "T"})
        assert reader_of(Recorder.of(stub.url)).read_all(EXECUTION).tasks == []
        assert stub.operations() == ["GetWorkflowExecutionHistory"]

    def test_all_tasks_need_no_description(self, flow: Flow, client: Recorder) -> None:
        """To read every task, each page is read once."""
        run = start(flow, "w", open_task("a"))
        lengthen(flow, "w", 2 * PAGE)
        assert len(reader_of(client).read_all(ExecutionId("w", run)).tasks) == 1
        assert client.operations() == {HISTORY: 3}

    def test_the_newest_page_alone(self) -> None:
        """Evidence costs a page."""
        execution = RecordedExecution(events=100)
        execution.schedule("a")
        assert open_ids(reader_of(execution).read_newest_page(EXECUTION)) == ["a"]
        assert execution.calls == ["history"]

    def test_a_task_by_its_id(self) -> None:
        """Pages are read until the newest task with the ID is found, open or closed."""
        execution = RecordedExecution()
        execution.schedule("a")
        execution.close("a")
        for _ in range(25):
            execution.signal()
        execution.schedule("b")
        found = reader_of(execution).read_task(EXECUTION, "a")
        assert [(task.id, task.is_open) for task in found.tasks] == [("a", False), ("b", True)]
        assert execution.calls == ["history"] * 3


class TestChange:
    """The execution does not stand still while it is read."""

    def old_and_new(self) -> RecordedExecution:
        """Return an execution with an open task far back, and two in the newest page."""
        execution = RecordedExecution(events=10)
        execution.take_decision()
        execution.decide("old")
        for _ in range(30):
            execution.signal()
        execution.take_decision()
        execution.decide("new-1", "new-2")
        return execution

    @pytest.mark.parametrize(
        ("kind", "closed", "decider"),
        [
            (kind, closed, decider)
            for kind in ("Completed", "TimedOut")
            for closed in (["new-1"], ["new-1", "new-2"])
            for decider in ("slow", "quick", "gone")
            # Of one time-out while a decision task waits, the description has the same counts and time as before.
            if (kind, closed, decider) != ("TimedOut", ["new-1"], "gone")
        ],
    )
    def test_tasks_that_close_before_they_are_counted_hide_none(
        self, kind: str, closed: list[str], decider: str
    ) -> None:
        """The count is of fewer tasks than were seen; the old one is found all the same."""
        execution = self.old_and_new()
        if decider == "gone":
            execution.signal()

        def change(operation: str) -> None:
            if operation == "describe":
                for activity_id in closed:
                    execution.close(activity_id, kind)
                if decider == "quick":
                    execution.take_decision()
                    execution.decide("newer")

        execution.before = change
        assert "old" in open_ids(read(execution))

    def test_a_task_that_comes_before_they_are_counted(self) -> None:
        """The count is of one more than the page shows; nothing is read in search of it but the newest page."""
        execution = RecordedExecution(events=100)
        execution.take_decision()
        execution.decide("a")

        def add_one(operation: str) -> None:
            if operation == "describe":
                execution.schedule("b")

        execution.before = add_one
        assert open_ids(read(execution)) == ["a", "b"]
        assert execution.calls == ["history", "describe", "history"]

    def test_more_than_a_page_of_new_events(self) -> None:
        """The newest page is then the only one that is known."""
        execution = self.old_and_new()

        def grow(operation: str) -> None:
            if operation == "describe":
                for _ in range(2 * PAGE):
                    execution.signal()
                execution.schedule("newer")

        execution.before = grow
        assert open_ids(read(execution)) == ["old", "new-1", "new-2", "newer"]

    def test_more_than_a_page_of_new_events_with_new_tasks(self) -> None:
        """The description is older than that page: tasks that it does not count hide none that it does."""
        execution = self.old_and_new()
        execution.close("new-1")
        execution.close("new-2")

        def grow(operation: str) -> None:
            if execution.calls == ["history", "describe"]:
                execution.schedule("counted")
            elif execution.calls == ["history", "describe", "history"]:
                execution.schedule("between")
                for _ in range(2 * PAGE):
                    execution.signal()
                execution.schedule("newer")

        execution.before = grow
        assert open_ids(read(execution)) == ["old", "counted", "between", "newer"]

    @pytest.mark.parametrize("closed", [[], ["new-1"], ["new-1", "new-2"]])
    def test_a_description_that_is_behind_the_history(self, closed: list[str]) -> None:
        """A new task that it does not count yet hides no old one; neither does one that it still counts."""
        execution = self.old_and_new()
        execution.signal()
        execution.take_decision()
        execution.described = execution.describe()
        for activity_id in closed:
            execution.close(activity_id)
        execution.decide("newer")
        expected = {"old", "new-1", "new-2", "newer"}.difference(closed)
        assert set(open_ids(read(execution))) == expected
        pages = execution.position("old") // PAGE + 1
        assert execution.calls.count("history") <= pages + 1

    @pytest.mark.parametrize(("ago", "behind"), [(0.0, 0.7), (600.0, 250.0)])
    def test_a_description_whose_time_is_odd(self, ago: float, behind: float) -> None:
        """A time in whole seconds may be that of any event within the second; an event from minutes ago counts."""
        execution = RecordedExecution(events=4 * PAGE)
        execution.take_decision()
        execution.decide("newest")
        execution.described = execution.describe()
        execution.described["latestActivityTaskTimestamp"] = execution.events[-1]["eventTimestamp"]
        for event in execution.events:
            event["eventTimestamp"] += timedelta(seconds=behind)
        assert open_ids(reader_at(execution, ago).read_open(EXECUTION)) == ["newest"]
        assert execution.calls in (["history", "describe"], ["history", "describe", "history"])

    @pytest.mark.parametrize("at", ["history", "describe"])
    def test_an_execution_that_closes(self, at: str) -> None:
        """What was open is closed with it, whenever that is seen."""
        execution = self.old_and_new()

        def close(operation: str) -> None:
            if operation == at and not execution.is_closed:
                execution.terminate()

        execution.before = close
        found = read(execution)
        assert (open_ids(found), found.decision) == ([], None)
        assert len(execution.calls) <= 3

    def test_a_description_that_is_ahead_of_the_history(self) -> None:
        """Closed, says the description, but not yet the history: then nothing is open."""
        execution = self.old_and_new()
        execution.is_closed = True
        assert open_ids(read(execution)) == []
        assert execution.calls == ["history", "describe", "history"]

    def test_a_history_that_grows_between_pages(self, flow: Flow, client: Recorder) -> None:
        """New events move no page: each is read once."""
        run = start(flow, "w", open_task("old"))
        lengthen(flow, "w", 3 * PAGE)

        def grow(operation: str, arguments: Any) -> None:
            if operation == HISTORY:
                lengthen(flow, "w", PAGE)

        client.before = grow
        assert open_ids(reader_of(client).read_open(ExecutionId("w", run))) == ["old"]

    def test_a_page_token_that_expires(self, service: Service, flow: Flow, client: Recorder) -> None:
        """A page token is valid for a day: the history is read anew."""
        run = start(flow, "w", open_task("old"))
        lengthen(flow, "w", 3 * PAGE)
        tokens = []

        def wait(operation: str, arguments: Any) -> None:
            if operation == HISTORY:
                tokens.append(arguments.get("nextPageToken"))
                if len(tokens) == 3:
                    service.advance(25 * 3600)

        client.before = wait
        assert open_ids(reader_of(client).read_open(ExecutionId("w", run))) == ["old"]
        assert [token is None for token in tokens[:5]] == [True, False, False, True, False]

    def test_a_page_token_that_is_never_valid(self, stub: StubService) -> None:
        """A service that rejects every page token is not asked for ever."""
        event = {"eventId": 9, "eventTimestamp": 1, "eventType": "WorkflowExecutionSignaled"}
        for _ in range(2):
            stub.reply("GetWorkflowExecutionHistory", {"events": [event], "nextPageToken": "T"})
            stub.fault("GetWorkflowExecutionHistory", "ValidationException", "has exceeded its maximum lifetime")
        with pytest.raises(InvalidRequest):
            reader_of(Recorder.of(stub.url)).read_all(EXECUTION)


@given(st.data())
def test_no_task_is_missed_and_no_page_is_wasted(data: st.DataObject) -> None:
    """Whatever happens before and during the calls, and if the description is a few events behind.

    What was never open is not found. What was open all the time is; and if every open task is in the newest page
    all the time, that takes this page, a description and one more look at the newest page at most. A task that
    times out meanwhile is an exception: a description may not show that it is newer.
    """
    execution = RecordedExecution()

    def time_outs() -> int:
        return sum(event["eventType"] == "ActivityTaskTimedOut" for event in execution.events)

    def all_are_near() -> bool:
        # Not further back than the page, although a few events may come before it is read.
        limit = PAGE - 4
        decision = execution.open_decision
        return all(execution.position(name) < limit for name in execution.open_ids) and (
            decision is None or len(execution.events) - decision < limit
        )

    for _ in range(data.draw(st.integers(0, 40))):
        advance(execution, data.draw)
    earlier, behind = time_outs(), execution.describe()
    for _ in range(data.draw(st.integers(0, 3))):
        advance(execution, data.draw)
    always, ever, near = execution.open_ids, set(execution.open_ids), all_are_near()

    def change(operation: str) -> None:
        nonlocal always, near
        if operation == "describe" and data.draw(st.booleans()):
            execution.described = behind
        for _ in range(data.draw(st.integers(0, 2))):
            advance(execution, data.draw)
            ever.update(execution.open_ids)
            near = near and all_are_near()
        always &= execution.open_ids

    execution.before = change
    found = set(open_ids(read(execution)))
    assert found <= ever
    timed_out = time_outs() > earlier
    assert always <= found or timed_out
    if near and not timed_out:
        assert execution.calls in (["history"], ["history", "describe"], ["history", "describe", "history"])


class TestResponses:
    """What a response may lack."""

    @pytest.mark.parametrize(
        "pages", [[{}], [{"events": []}], [{"events": [], "nextPageToken": "T"}, {"events": []}]]
    )
    def test_a_history_without_events(self, stub: StubService, pages: list[Any]) -> None:
        """It is never read as an empty one: each has its first event."""
        for page in pages:
            stub.reply("GetWorkflowExecutionHistory", page)
        counts = {"openActivityTasks": 0, "openDecisionTasks": 0}
        stub.reply("DescribeWorkflowExecution", {"executionInfo": {"executionStatus": "OPEN"}, "openCounts": counts})
        with pytest.raises(InvalidResponseError, match="no events"):
            reader_of(Recorder.of(stub.url)).read_open(EXECUTION)

    @pytest.mark.parametrize("counts", [None, {}, {"openActivityTasks": 1}])
    def test_a_description_without_counts(self, stub: StubService, counts: Any) -> None:
        """It is never read as one of nothing."""
        event = {"eventId": 9, "eventTimestamp": 1, "eventType": "WorkflowExecutionSignaled"}
        stub.reply("GetWorkflowExecutionHistory", {"events": [event], "nextPageToken": "T"})
        stub.reply("DescribeWorkflowExecution", {"executionInfo": {"executionStatus": "OPEN"}, "openCounts": counts})
        with pytest.raises(InvalidResponseError, match="DescribeWorkflowExecution"):
            reader_of(Recorder.of(stub.url)).read_open(EXECUTION)

    def test_malformed_events_are_counted(self, stub: StubService) -> None:
        """They are skipped; the rest of the page is read."""
        good = {"eventId": 1, "eventTimestamp": 1, "eventType": "WorkflowExecutionStarted"}
        bad = {"eventId": 2, "eventTimestamp": 1, "eventType": "ActivityTaskScheduled"}
        stub.reply("GetWorkflowExecutionHistory", {"events": [bad, good]})
        calls = ScanCalls(Recorder.of(stub.url), "media")  # type: ignore[arg-type]
        assert ExecutionReader(calls).read_open(EXECUTION).tasks == []
        assert calls.progress.malformed == 1


def test_a_task_of_the_local_swf_is_found_on_any_page(flow: Flow, client: Recorder) -> None:
    """Of a long history one page is read if its open tasks are in it, more only until they are found."""
    runs = {name: start(flow, name, *tasks) for name, tasks in {"new": [], "old": [open_task("a")]}.items()}
    for name in runs:
        lengthen(flow, name, 4 * PAGE)
        decide(flow, name)
    decide(flow, "new", open_task("b"))
    calls: dict[str, list[str]] = {}
    for name, run in runs.items():
        client.calls.clear()
        assert open_ids(reader_of(client).read_open(ExecutionId(name, run))) == ["b" if name == "new" else "a"]
        calls[name] = [operation for operation, _ in client.calls]
    assert calls["new"] == [HISTORY, DESCRIBE]
    assert calls["old"][:3] == [HISTORY, DESCRIBE, HISTORY]
