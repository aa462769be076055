"""The tasks of an execution, read from the pages of its history."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swf_cli.history import ActivityTask, DecisionTask, End
from swf_cli.models import unset
from swf_cli.monitor.task_reader import TaskReader
from tests.helpers.events import event
from tests.helpers.histories import CANCELLATION, RETRIES

SCHEDULED = RETRIES[4]
STARTED = RETRIES[6]


def read(*events: dict[str, Any]) -> list[ActivityTask]:
    """Return the tasks of some events, read as one page."""
    reader = TaskReader()
    reader.read(events)
    return reader.tasks()


@pytest.mark.parametrize("history", [RETRIES, CANCELLATION], ids=["retries", "cancellation"])
@given(size=st.integers(1, 31), backwards=st.booleans())
def test_the_order_of_pages_makes_no_difference(history: list[dict[str, Any]], size: int, backwards: bool) -> None:
    """In pages of any size, forwards or backwards, and read twice, a history shows the same tasks."""
    events = history[::-1] if backwards else history
    reader = TaskReader()
    for start in range(0, len(events), size):
        reader.read(events[start : start + size])
        reader.read(events[start : start + size])
    assert reader.tasks() == read(*history)
    assert reader.is_whole


def test_what_is_open_is_found_on_the_way_back() -> None:
    """Read backwards, a task is known to be open once its scheduling is read without an end."""
    reader = TaskReader()
    found = []
    for one in reversed(RETRIES):
        reader.read([one])
        found.append(reader.open_found)
    assert (found[5], found[6], found[-1]) == (0, 1, 1)  # event 24 is the scheduling of the one that is open
    assert max(found) == 1


def test_an_execution_that_is_over_has_no_open_task() -> None:
    """The end of its execution closes a task: it keeps the state it had."""
    notify = read(*CANCELLATION)[2]
    assert (notify.state, notify.is_open, notify.deadline, str(notify.end)) == (
        "cancelling",
        False,
        None,
        "its workflow execution was terminated",
    )
    reader = TaskReader()
    reader.read(CANCELLATION)
    assert (reader.is_over, reader.open_found) == (True, 0)


def test_a_cancellation_request_belongs_to_the_task_that_was_open_then() -> None:
    """Of tasks that share an activity ID, only the one that was open at the time has the request."""
    first, second = (found for found in read(*CANCELLATION) if found.id == "encode-1")
    assert first.cancel_requested_at is not None
    assert second.cancel_requested_at is None


def test_unknown_events_are_ignored() -> None:
    """An event of an unknown type, with or without attributes, changes nothing."""
    unknown = [
        {"eventId": 8, "eventTimestamp": 1, "eventType": "ActivityTaskBeamedUp"},
        {"eventId": 9, "eventTimestamp": 1, "eventType": "X", "xEventAttributes": {"scheduledEventId": 5}},
    ]
    assert read(SCHEDULED, STARTED, *unknown) == read(SCHEDULED, STARTED)


def test_times_may_be_parsed() -> None:
    """A time that botocore has parsed and one as it is on the wire are the same."""
    parsed = {**SCHEDULED, "eventTimestamp": datetime.fromtimestamp(SCHEDULED["eventTimestamp"], UTC)}
    assert read(parsed) == read(SCHEDULED)


def test_a_timeout_that_is_not_given_is_not_unlimited() -> None:
    """A timeout that the event does not have is not given; NONE is unlimited."""
    settings = read(*CANCELLATION)[2].configuration
    assert (settings.heartbeat_timeout, settings.runtime_timeout) == (unset, None)


class TestMalformed:
    """A malformed event is skipped and counted, and hides nothing else."""

    @pytest.mark.parametrize(
        "bad",
        [
            None,
            {},
            "text",
            {"eventId": 7},
            {**STARTED, "eventTimestamp": None},
            {**STARTED, "eventId": "seven"},
            {**STARTED, "activityTaskStartedEventAttributes": None},
            {**STARTED, "activityTaskStartedEventAttributes": {"identity": "host-a:1"}},
            {**STARTED, "activityTaskStartedEventAttributes": {"scheduledEventId": 5, "identity": 7}},
            event(8, "ActivityTaskFailed", scheduledEventId=5, startedEventId=7, reason=["bad"]),
            event(8, "ActivityTaskCancelRequested", activityId=None),
            event(8, "DecisionTaskScheduled", startToCloseTimeout="30"),
            event(8, "WorkflowExecutionTerminated", cause=7),
        ],
    )
    def test_one_that_cannot_be_read(self, bad: Any) -> None:
        """What else is on the page is read."""
        reader = TaskReader()
        reader.read([bad, SCHEDULED])
        assert reader.tasks() == read(SCHEDULED)
        assert (reader.malformed, reader.open_found) == (1, 1)

    @pytest.mark.parametrize(
        "values",
        [
            {"activityId": None},
            {"activityType": {"name": "fetch"}},
            {"taskList": {}},
            {"startToCloseTimeout": "soon"},
            {"input": 7},
        ],
    )
    def test_a_task_that_cannot_be_read_counts_as_found(self, values: dict[str, Any]) -> None:
        """Nobody looks for it on older pages; its end is its end all the same."""
        good = SCHEDULED["activityTaskScheduledEventAttributes"]
        reader = TaskReader()
        for _ in range(2):
            reader.read([{**SCHEDULED, "activityTaskScheduledEventAttributes": {**good, **values}}])
        assert (reader.tasks(), reader.malformed, reader.open_found) == ([], 1, 1)
        reader.read([RETRIES[7]])
        assert reader.open_found == 0


def unstarted(number: int, at: float, *closed: float, **values: Any) -> list[dict[str, Any]]:
    """Return the events of a task that no worker started: its scheduling, and its time-out if it has one."""
    values = {**SCHEDULED["activityTaskScheduledEventAttributes"], "activityId": f"fetch-{number}", **values}
    ends = [
        event(number + 1, "ActivityTaskTimedOut", end, scheduledEventId=number, timeoutType="SCHEDULE_TO_START")
        for end in closed
    ]
    return [event(number, "ActivityTaskScheduled", at, **values), *ends]


class TestRepeatedTasks:
    """A task that repeats others, which no worker started."""

    @pytest.mark.parametrize(
        ("before", "since"),
        [
            (unstarted(10, 11.0, 300.0), 590.0),  # it had waited for a second less than has passed since
            (unstarted(10, 10.0, 300.0), 10.0),
            ([*unstarted(8, 0.0, 150.0), *unstarted(10, 160.0, 450.0)], 0.0),
            ([*unstarted(8, 0.0, 150.0), *unstarted(10, 160.0, 450.0, taskList={"name": "other"})], 590.0),
            (unstarted(10, 10.0, 300.0, activityType={"name": "fetch", "version": "2"}), 590.0),
            ([*unstarted(8, 0.0, 595.0), event(11, "ActivityTaskStarted", 300.0, scheduledEventId=8)], 590.0),
            ([*unstarted(8, 0.0, 300.0), *unstarted(10, 20.0), *unstarted(12, 30.0)], 0.0),
        ],
        ids=["too long ago", "just in time", "twice", "other list", "other activity", "started", "several at a time"],
    )
    def test_since_when_it_waits(self, before: list[dict[str, Any]], since: float) -> None:
        """Since the first of those that timed out in a row was scheduled."""
        *_, task = read(*before, *unstarted(20, 590.0))
        assert task.waiting_since == since


def decision(*events: dict[str, Any]) -> DecisionTask | None:
    """Return the open decision task of some events."""
    reader = TaskReader()
    reader.read(reversed(events))
    return reader.decision


def scheduled(number: int, at: float | None = None) -> dict[str, Any]:
    """Return the event that schedules a decision task."""
    return event(number, "DecisionTaskScheduled", at, taskList={"name": "deciders"}, startToCloseTimeout="30")


def taken(number: int, of: int, at: float | None = None) -> dict[str, Any]:
    """Return the event that starts a decision task."""
    return event(number, "DecisionTaskStarted", at, scheduledEventId=of, identity=f"decider-{number}")


def completed(number: int, of: int, started: int, at: float | None = None) -> dict[str, Any]:
    """Return the event that completes a decision task."""
    return event(number, "DecisionTaskCompleted", at, scheduledEventId=of, startedEventId=started)


def timed_out(number: int, of: int, started: int, kind: str = "START_TO_CLOSE") -> dict[str, Any]:
    """Return the event that a decision task timed out."""
    return event(number, "DecisionTaskTimedOut", scheduledEventId=of, startedEventId=started, timeoutType=kind)


class TestDecisions:
    """The open decision task."""

    def test_none(self) -> None:
        """A decision task that was completed is not open, nor is that of an execution that is over."""
        assert decision() is None
        assert decision(scheduled(2), taken(3, 2), completed(4, 2, 3)) is None
        assert decision(scheduled(2), event(3, "WorkflowExecutionTerminated")) is None

    def test_one_that_waits(self) -> None:
        """It waits since it was scheduled, with its list and timeout."""
        found = decision(scheduled(2), taken(3, 2), completed(4, 2, 3), scheduled(5))
        assert found is not None
        assert (found.state, found.task_list, found.scheduled_at, found.waiting_since) == (
            "scheduled",
            "deciders",
            5.0,
            5.0,
        )

    def test_one_that_is_started(self) -> None:
        """It is with a decider."""
        found = decision(scheduled(2), taken(3, 2))
        assert found is not None
        assert (found.state, found.started_at, found.identity, found.deadline) == ("started", 3.0, "decider-3", 33.0)

    def test_one_scheduled_while_another_is_started(self) -> None:
        """The started one counts; the other waits from the moment that the first is completed."""
        both = (scheduled(2), taken(3, 2), scheduled(4))
        started = decision(*both)
        assert started is not None
        assert (started.scheduled_at, started.identity) == (2.0, "decider-3")
        waiting = decision(*both, completed(5, 2, 3, at=50.0))
        assert waiting is not None
        assert (waiting.scheduled_at, waiting.waiting_since, waiting.identity) == (4.0, 50.0, None)

    def test_time_outs_in_a_row(self) -> None:
        """Those since the last completion count, from the start of the first; a completion begins anew."""
        row = [completed(4, 2, 3), scheduled(5), taken(6, 5), timed_out(7, 5, 6), scheduled(8), taken(9, 8)]
        first = decision(scheduled(2), taken(3, 2), *row)
        assert first is not None
        assert (first.timeouts, first.failing_since, first.last_decider) == (1, 6.0, "decider-6")
        more = [timed_out(10, 8, 9), scheduled(11)]
        second = decision(scheduled(2), taken(3, 2), *row, *more)
        assert second is not None
        assert (second.timeouts, second.failing_since, second.last_decider) == (2, 6.0, "decider-9")
        third = decision(*row, *more, taken(12, 11), completed(13, 11, 12), scheduled(14))
        assert third is not None
        assert (third.timeouts, third.failing_since, third.last_decider) == (0, None, None)

    @pytest.mark.parametrize(
        ("before", "expected"),
        [
            ([scheduled(5), taken(6, 5)], True),
            ([completed(4, 2, 3), scheduled(5), taken(6, 5)], False),
            ([event(1, "WorkflowExecutionStarted"), scheduled(5), taken(6, 5)], False),
        ],
        ids=["not read", "completed before", "from the start"],
    )
    def test_time_outs_that_were_not_read(self, before: list[dict[str, Any]], expected: bool) -> None:
        """More than those on the pages read may have come before, unless these show how they began."""
        found = decision(*before, timed_out(7, 5, 6), scheduled(8))
        assert found is not None
        assert (found.timeouts, found.has_older_timeouts) == (1, expected)

    def test_one_that_nobody_took_and_swf_replaced(self) -> None:
        """A task that timed out on a list of its own, and its replacement, wait since the first was scheduled."""
        nobody = timed_out(4, 2, 0, "SCHEDULE_TO_START")
        found = decision(scheduled(2), nobody, scheduled(5), timed_out(6, 5, 0, "SCHEDULE_TO_START"), scheduled(7))
        assert found is not None
        assert (found.waiting_since, found.timeouts) == (2.0, 0)

    @pytest.mark.parametrize(
        ("events", "is_open", "may_be_older"),
        [
            ([], False, True),
            ([event(9, "WorkflowExecutionSignaled")], False, True),
            ([taken(9, 2)], True, True),
            ([completed(9, 2, 3)], False, True),  # another may have been scheduled after 3, and before 9
            ([completed(9, 7, 8)], False, False),
            ([taken(8, 7), completed(9, 7, 8)], False, False),
            ([timed_out(9, 2, 0, "SCHEDULE_TO_START")], False, False),
            ([completed(8, 6, 7), scheduled(9)], True, False),
        ],
    )
    def test_whether_one_may_be_on_older_pages(
        self, events: list[dict[str, Any]], is_open: bool, may_be_older: bool
    ) -> None:
        """An open one was scheduled after the start of the last one that was closed."""
        reader = TaskReader()
        reader.read(events)
        assert (reader.has_open_decision, reader.decision_may_be_older) == (is_open, may_be_older)

    def test_when_the_last_ones_were_started(self) -> None:
        """By task list: a start whose scheduling was not read has no list."""
        reader = TaskReader()
        reader.read(
            [taken(3, 2), scheduled(4), taken(5, 4, at=50.0), scheduled(7), taken(8, 7, at=80.0), scheduled(9)]
        )
        assert reader.decision_starts == {"deciders": 80.0}

    def test_a_start_without_its_scheduling(self) -> None:
        """What is known of a decision task begins with its scheduling."""
        assert decision(taken(9, 2)) is None


@given(st.lists(st.sampled_from(["schedule", "start", "close"]), max_size=40), st.data())
def test_the_open_tasks_on_older_pages_are_counted(steps: list[str], data: st.DataObject) -> None:
    """Whichever newest events are read, and whatever came before or after the count, the sum is right.

    The count may be older than what is read.
    """
    events: list[dict[str, Any]] = []
    open_ids: list[int] = []
    sizes = [0]
    for number, step in enumerate(steps, start=1):
        if step == "close" and open_ids:
            closed = open_ids.pop(data.draw(st.integers(0, len(open_ids) - 1)))
            events.append(event(number, "ActivityTaskCompleted", scheduledEventId=closed, startedEventId=0))
        elif step == "schedule":
            open_ids.append(number)
            events.append({**SCHEDULED, "eventId": number, "eventTimestamp": float(number)})
        else:
            events.append(event(number, "WorkflowExecutionSignaled"))
        sizes.append(len(open_ids))
    first_read = data.draw(st.integers(0, len(events)))
    counted = data.draw(st.integers(first_read, len(events)))
    reader = TaskReader()
    reader.read(events[first_read:])
    older = sum(number <= first_read for number in open_ids)
    assert reader.count_older(sizes[counted], float(counted)) == older


@pytest.mark.parametrize(("timeout", "expected"), [("7300", 7301.0), ("NONE", None), (None, None)])
def test_when_the_execution_times_out(timeout: str | None, expected: float | None) -> None:
    """A task knows it, if the first event was read."""
    values: dict[str, Any] = {} if timeout is None else {"executionStartToCloseTimeout": timeout}
    (task,) = read(event(1, "WorkflowExecutionStarted", **values), SCHEDULED)
    assert task.execution_times_out_at == expected


def test_how_tasks_ended() -> None:
    """The end has what the closing event says; a task that its execution cut off has the execution's end."""
    ends = [task.end for task in read(*CANCELLATION)]
    assert ends == [
        End("cancelled", details="stopped"),
        End("cancelled"),
        End("gone", cause="terminated"),
        End("gone", cause="terminated"),
    ]
    assert read(*RETRIES)[0].input == "http://example.com/in.png"
