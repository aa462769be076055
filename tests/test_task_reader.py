"""Pages of a history, forwards or backwards, to the activity tasks of an execution."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swf_cli.history import ActivityTask, TaskReader
from swf_cli.models import ActivityId, PartialTaskConfiguration, unset
from tests.helpers.histories import CANCELLATION, RETRIES

SCHEDULED = RETRIES[4]
STARTED = RETRIES[6]


def read(*events: dict[str, Any]) -> list[ActivityTask]:
    """Read some events as one page."""
    reader = TaskReader()
    reader.read(events)
    return reader.tasks()


def task(started_at: float | None = None, **timeouts: Any) -> ActivityTask:
    """Make an open task that was scheduled at 1000."""
    configuration = PartialTaskConfiguration("x", **timeouts)
    started: dict[str, Any] = {} if started_at is None else {"started_at": started_at, "started_event_id": 6}
    return ActivityTask("a", ActivityId("resize", "1"), "x", configuration, 1000.0, **started)


@pytest.mark.parametrize("history", [RETRIES, CANCELLATION], ids=["retries", "cancellation"])
@given(size=st.integers(1, 31), backwards=st.booleans())
def test_the_order_of_pages_makes_no_difference(history: list[dict[str, Any]], size: int, backwards: bool) -> None:
    """In pages of any size, forwards or backwards, or a page twice, a history shows the same tasks."""
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
    for event in reversed(RETRIES):
        reader.read([event])
        found.append(reader.open_found)
    assert (found[5], found[6], found[-1]) == (0, 1, 1)  # event 24 is the scheduling of the one that is open
    assert max(found) == 1


def test_an_execution_that_is_over_has_no_open_task() -> None:
    """The end of its execution is the end of a task that had none: it keeps the state it had, and is not open."""
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
    """Of tasks that share an activity id, only the one that was open when it was asked to cancel has the request."""
    first, second = (found for found in read(*CANCELLATION) if found.id == "encode-1")
    assert first.cancel_requested_at is not None
    assert second.cancel_requested_at is None


def test_unknown_events_are_passed_over() -> None:
    """An event of a kind that nobody has heard of, with or without attributes, changes nothing."""
    unknown = [
        {"eventId": 8, "eventTimestamp": 1, "eventType": "ActivityTaskBeamedUp"},
        {"eventId": 9, "eventTimestamp": 1, "eventType": "X", "xEventAttributes": {"scheduledEventId": 5}},
    ]
    assert read(SCHEDULED, STARTED, *unknown) == read(SCHEDULED, STARTED)


def test_times_are_read_as_botocore_gives_them() -> None:
    """A time that botocore has parsed and one as it goes over the wire are the same."""
    parsed = {**SCHEDULED, "eventTimestamp": datetime.fromtimestamp(SCHEDULED["eventTimestamp"], UTC)}
    assert read(parsed) == read(SCHEDULED)


def test_a_timeout_that_is_not_given_is_not_unlimited() -> None:
    """A timeout that the event does not hold is not given; NONE is unlimited."""
    settings = read(*CANCELLATION)[2].configuration
    assert (settings.heartbeat_timeout, settings.runtime_timeout) == (unset, None)


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("started_at", "timeouts", "deadline"),
    [
        (None, {}, None),
        (None, {"schedule_timeout": None, "total_timeout": None}, None),
        (None, {"schedule_timeout": 60 * SECOND, "total_timeout": 300 * SECOND}, 1060.0),
        (None, {"schedule_timeout": 400 * SECOND, "total_timeout": 300 * SECOND}, 1300.0),
        (None, {"runtime_timeout": 10 * SECOND, "heartbeat_timeout": SECOND}, None),
        (1020.0, {"schedule_timeout": 10 * SECOND}, None),
        (1020.0, {"runtime_timeout": 120 * SECOND, "total_timeout": 300 * SECOND}, 1140.0),
        (1020.0, {"runtime_timeout": 600 * SECOND, "total_timeout": 300 * SECOND}, 1300.0),
        (1020.0, {"runtime_timeout": None, "heartbeat_timeout": 30 * SECOND}, None),
        (1020.0, {"runtime_timeout": 0 * SECOND}, 1020.0),
    ],
)
def test_the_deadline_is_that_of_the_first_of_its_timeouts(
    started_at: float | None, timeouts: dict[str, timedelta | None], deadline: float | None
) -> None:
    """Waiting counts from scheduling, running from the start, the total from scheduling; heartbeats may go on."""
    assert task(started_at, **timeouts).deadline == deadline


@pytest.mark.parametrize(
    ("started_at", "timeouts", "never"),
    [
        (1020.0, {}, True),
        (1020.0, {"runtime_timeout": None, "total_timeout": None, "heartbeat_timeout": None}, True),
        (1020.0, {"heartbeat_timeout": 30 * SECOND}, False),
        (1020.0, {"runtime_timeout": 0 * SECOND}, False),
        (1020.0, {"schedule_timeout": 30 * SECOND}, True),
        (None, {}, False),
    ],
)
def test_a_started_task_without_timeouts_never_ends(
    started_at: float | None, timeouts: dict[str, timedelta | None], never: bool
) -> None:
    """Only start-to-close, schedule-to-close and heartbeat end a started task."""
    assert task(started_at, **timeouts).never_ends is never
