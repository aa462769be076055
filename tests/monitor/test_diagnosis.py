"""Why a task looks stuck, and what to do about it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from swf_cli.history import ActivityTask, End
from swf_cli.ledger.records import Holding
from swf_cli.models import ActivityId, ExecutionId, PartialTaskConfiguration
from swf_cli.monitor.diagnosis import REASONS, Diagnosis, DomainFacts, diagnose

EXECUTION = ExecutionId("video-7", "RUN")
MINUTE = 60.0
NOW = 100_000.0

RUNTIME = PartialTaskConfiguration("x", runtime_timeout=timedelta(days=1))
WAITING = ActivityTask("a", ActivityId("resize", "1"), "x", RUNTIME, NOW - 20 * MINUTE)
STARTED = replace(WAITING, started_at=NOW - 15 * MINUTE, started_event_id=6, identity="host:1")
ENDLESS = replace(STARTED, configuration=PartialTaskConfiguration("x"))
CANCELLING = replace(STARTED, cancel_requested_at=NOW - 11 * MINUTE)
HELD = Holding("abcd1234", NOW - 15 * MINUTE, "x", "host:1", "RUN", 6, None)
DEAD = replace(HELD, holder_alive=False)
ALIVE = replace(HELD, holder_alive=True)
BROKEN = Holding("dcba4321", NOW - 15 * MINUTE - 30, "x", "host:1")


def look(task: ActivityTask, *holdings: Holding, **more: Any) -> Diagnosis | None:
    """Diagnose a task now, with ten minutes of patience."""
    return diagnose(EXECUTION, task, NOW, DomainFacts(older_than=10 * MINUTE, holdings=holdings, **more))


def reason(task: ActivityTask, *holdings: Holding, **more: Any) -> str | None:
    """Give the reason alone."""
    found = look(task, *holdings, **more)
    return None if found is None else found.reason


def finished(seconds: float) -> ActivityTask:
    """Make a run that completed in so many seconds, long ago."""
    return replace(STARTED, started_at=1000.0, closed_at=1000.0 + seconds, end=End("completed"))


@pytest.mark.parametrize(
    ("task", "holdings", "expected"),
    [
        (WAITING, [], "unclaimed"),
        (STARTED, [], None),
        (STARTED, [HELD], "held-here"),
        (STARTED, [ALIVE], None),
        (STARTED, [DEAD], "holder-gone"),
        (STARTED, [BROKEN], "holder-gone"),
        (ENDLESS, [], "endless"),
        (CANCELLING, [], "cancelling"),
        # Among several that apply:
        (replace(ENDLESS, cancel_requested_at=NOW - 11 * MINUTE), [DEAD], "holder-gone"),
        (replace(ENDLESS, cancel_requested_at=NOW - 11 * MINUTE), [BROKEN], "holder-gone"),
        (replace(ENDLESS, cancel_requested_at=NOW - 11 * MINUTE), [HELD], "held-here"),
        (replace(ENDLESS, cancel_requested_at=NOW - 11 * MINUTE), [], "cancelling"),
        (replace(ENDLESS, cancel_requested_at=NOW - 11 * MINUTE), [ALIVE], "cancelling"),
    ],
)
def test_each_reason_has_its_place(task: ActivityTask, holdings: list[Holding], expected: str | None) -> None:
    """The first that applies of holder-gone, held-here, cancelling, endless, overdue; else unclaimed, backlog."""
    assert reason(task, *holdings) == expected


def test_reasons_are_a_closed_list_worst_first() -> None:
    """Rows are sorted by severity, then by how long it has been so."""
    assert list(REASONS) == [
        "holder-gone",
        "endless",
        "cancelling",
        "held-here",
        "overdue",
        "unclaimed",
        "backlog",
    ]
    early, late = Diagnosis("endless", "", 5.0), Diagnosis("endless", "", 9.0)
    assert sorted([late, Diagnosis("holder-gone", "", 99.0), early], key=lambda d: d.rank)[1:] == [early, late]


@pytest.mark.parametrize("closed", ["completed", "gone"])
def test_a_closed_task_is_never_stuck(closed: str) -> None:
    """A task that has ended, or whose execution has, is not flagged."""
    assert reason(replace(ENDLESS, end=End(closed), closed_at=NOW), DEAD) is None


def test_waiting_counts_from_older_than_on() -> None:
    """A task that has waited a second less than --older-than is not flagged; one that has waited just as long is."""
    assert reason(replace(WAITING, scheduled_at=NOW - 10 * MINUTE + 1)) is None
    assert reason(replace(WAITING, scheduled_at=NOW - 10 * MINUTE)) == "unclaimed"


def test_a_list_whose_tasks_are_started_has_a_backlog() -> None:
    """When a task of the list was started within --older-than, workers poll it; longer ago, nobody does."""
    around = DomainFacts(older_than=10 * MINUTE)
    around.observe([replace(STARTED, started_at=NOW - 9 * MINUTE, task_list="y")])
    assert diagnose(EXECUTION, WAITING, NOW, around) == Diagnosis(
        "unclaimed", "start a worker on x, or look why none polls it", WAITING.scheduled_at
    )
    around.observe([replace(STARTED, started_at=NOW - 9 * MINUTE), replace(STARTED, started_at=NOW - 40 * MINUTE)])
    assert diagnose(EXECUTION, WAITING, NOW, around) == Diagnosis(
        "backlog", "start more workers on x", WAITING.scheduled_at
    )
    around.last_started["x"] = NOW - 11 * MINUTE
    assert getattr(diagnose(EXECUTION, WAITING, NOW, around), "reason", None) == "unclaimed"


@pytest.mark.parametrize(
    ("ran", "runs", "overdue"),
    [
        (15 * MINUTE, [60.0, 14 * MINUTE - 1], True),
        (15 * MINUTE, [60.0, 14 * MINUTE + 1], False),  # a minute longer than the longest is no news
        (15 * MINUTE, [3600.0, 60.0], False),
        (12 * 3600.0 - 1, [], False),
        (12 * 3600.0 + 1, [], True),  # half its start-to-close
    ],
)
def test_overdue_goes_by_finished_runs_of_its_activity(ran: float, runs: list[float], overdue: bool) -> None:
    """A task is overdue when it runs a minute longer than any run that completed; without one, half its timeout."""
    around = DomainFacts(older_than=10 * MINUTE)
    around.observe(map(finished, runs))
    task = replace(STARTED, started_at=NOW - ran)
    assert (diagnose(EXECUTION, task, NOW, around) is not None) is overdue


def test_only_completed_runs_of_the_same_activity_are_compared() -> None:
    """Runs that failed or timed out, and those of another version, say nothing of how long one takes."""
    around = DomainFacts(older_than=10 * MINUTE)
    around.observe(
        [
            replace(finished(1.0), end=End("failed")),
            replace(finished(1.0), end=End("timed_out")),
            replace(finished(1.0), activity=ActivityId("resize", "2")),
        ]
    )
    assert around.longest_run == {ActivityId("resize", "2"): 1.0}
    assert diagnose(EXECUTION, STARTED, NOW, around) is None


def test_a_short_patience_takes_the_margin_away() -> None:
    """With --older-than 0, a task is overdue as soon as it runs longer than the finished ones."""
    around = DomainFacts(older_than=0.0)
    around.observe([finished(15 * MINUTE - 1)])
    assert getattr(diagnose(EXECUTION, STARTED, NOW, around), "reason", None) == "overdue"


@pytest.mark.parametrize("task", [STARTED, ENDLESS, CANCELLING])
def test_a_started_task_has_time_to_be_worked_on(task: ActivityTask) -> None:
    """HeldTask here, without timeouts, or asked to cancel: all that is normal until --older-than."""
    young = replace(task, started_at=NOW - 9 * MINUTE, cancel_requested_at=task.cancel_requested_at and NOW - MINUTE)
    assert reason(young, HELD) is None
    assert reason(young) is None
    assert reason(young, DEAD) == "holder-gone"


@pytest.mark.parametrize(
    ("broken", "ahead", "expected"),
    [
        (replace(BROKEN, identity="host:2"), 0.0, None),
        (replace(BROKEN, task_list="y"), 0.0, None),
        (replace(BROKEN, taken_at=NOW), 0.0, None),  # after the task was started
        (replace(BROKEN, taken_at=NOW - 20 * MINUTE), 0.0, None),  # SWF holds no poll for five minutes
        (replace(BROKEN, taken_at=BROKEN.taken_at + 180), 0.0, None),
        (replace(BROKEN, taken_at=BROKEN.taken_at + 180), -180.0, "holder-gone"),  # this machine's clock is fast
        (replace(BROKEN, taken_at=BROKEN.taken_at - 180), 180.0, "holder-gone"),  # and slow
        (BROKEN, 180.0, "holder-gone"),  # and was right at the time
    ],
)
def test_a_broken_poll_takes_only_what_it_may_have_been_given(
    broken: Holding, ahead: float, expected: str | None
) -> None:
    """A poll that broke accounts for a task of its list and identity that was started while SWF held it."""
    assert reason(STARTED, broken, ahead=ahead) == expected


def test_a_task_that_is_held_is_no_broken_polls() -> None:
    """A task that a live worker here has is not taken for one that its broken poll lost."""
    assert reason(STARTED, ALIVE, BROKEN) is None


@pytest.mark.parametrize(
    ("task", "holdings", "hint"),
    [
        (STARTED, [DEAD], "swf fail --held abcd1234 --reason 'worker died'"),
        (STARTED, [HELD], "swf fail --held abcd1234 --reason 'script died'"),
        (CANCELLING, [DEAD], "swf cancel --held abcd1234"),
        (CANCELLING, [HELD], "swf cancel --held abcd1234"),
        (
            STARTED,
            [BROKEN],
            "its token is lost with the poll that took it: else its timeouts end it, at the deadline",
        ),
        (ENDLESS, [], "ask host:1 whether it still works on it; else only the end of its workflow ends it"),
        (replace(WAITING, task_list="two words"), [], "start a worker on 'two words', or look why none polls it"),
    ],
)
def test_hints_say_what_to_do(task: ActivityTask, holdings: list[Holding], hint: str) -> None:
    """A hint is the very command that closes the task when this machine can, else a sentence."""
    found = look(task, *holdings)
    assert found is not None
    assert found.hint == hint
