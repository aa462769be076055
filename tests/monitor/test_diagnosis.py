"""Why a task looks stuck, and what to do about it."""

import shlex
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from swf_cli.history import ActivityTask, DecisionTask, End
from swf_cli.invocation import Invocation
from swf_cli.ledger.records import HeldTask
from swf_cli.models import ActivityId, ExecutionId, PartialTaskConfiguration
from swf_cli.monitor.diagnosis import REASONS, Diagnosis, diagnose, may_look_stuck_later
from swf_cli.monitor.evidence import CompletedRuns, DomainFacts, Holdings
from swf_cli.processes import host_name
from tests.helpers.held import held_task, lost_poll

EXECUTION = ExecutionId("video-7", "RUN")
MINUTE = 60.0
NOW = 100_000.0

DAY = PartialTaskConfiguration("x", runtime_timeout=timedelta(days=1))
WAITING = ActivityTask("a", ActivityId("resize", "1"), "x", DAY, NOW - 20 * MINUTE)
STARTED = replace(WAITING, started_at=NOW - 15 * MINUTE, started_event_id=6, identity="host:1")
ENDLESS = replace(STARTED, configuration=PartialTaskConfiguration("x"))
CANCELLING = replace(STARTED, cancel_requested_at=NOW - 11 * MINUTE)
HELD = held_task(execution=EXECUTION, task_list="x", identity="host:1", taken_at=NOW - 15 * MINUTE)
DEAD = replace(HELD, holder_alive=False)
ALIVE = replace(HELD, holder_alive=True)
LOST = lost_poll(task_list="x", identity="host:1", taken_at=NOW - 15 * MINUTE - 30)
DECISION = DecisionTask(
    "deciders", PartialTaskConfiguration("deciders"), scheduled_at=NOW - 20 * MINUTE, waiting_since=NOW - 20 * MINUTE
)
TAKEN = replace(DECISION, started_at=NOW - 15 * MINUTE, identity="decider:1")

CLOSE = ("aws", "swf", "terminate-workflow-execution", "--domain=media", "--region=us-east-1")


def facts_of(*rows: HeldTask, commands: dict[str, int] | None = None, **fields: Any) -> DomainFacts:
    """Return what is known, with an --older-than of ten minutes and these rows of the ledger."""
    return DomainFacts(10 * MINUTE, Holdings(rows, commands or {}), CLOSE, **fields)


def look(task: ActivityTask | DecisionTask, *rows: HeldTask, **fields: Any) -> Diagnosis | None:
    """Diagnose a task now."""
    return diagnose(EXECUTION, task, NOW, facts_of(*rows, **fields))


def certain(task: ActivityTask | DecisionTask, *rows: HeldTask, **fields: Any) -> Diagnosis:
    """Diagnose a task that looks stuck."""
    found = look(task, *rows, **fields)
    assert found is not None
    return found


def reason(task: ActivityTask | DecisionTask, *rows: HeldTask, **fields: Any) -> str | None:
    """Return the reason alone."""
    found = look(task, *rows, **fields)
    return None if found is None else found.reason


def completed(seconds: float) -> ActivityTask:
    """Return a run that was completed in this many seconds, long ago."""
    return replace(STARTED, started_at=1000.0, closed_at=1000.0 + seconds, end=End("completed"))


@pytest.mark.parametrize(
    ("task", "rows", "expected"),
    [
        (replace(WAITING, scheduled_at=NOW + 0.9), [], "unclaimed"),
        (replace(STARTED, started_at=NOW + 0.9), [HELD], "held-here"),
        (replace(DECISION, waiting_since=NOW + 0.9), [], "no-decider"),
        (replace(TAKEN, started_at=NOW + 0.9), [], "decider-failing"),
    ],
)
def test_all_that_is_open_with_no_time_to_wait(
    task: ActivityTask | DecisionTask, rows: list[HeldTask], expected: str
) -> None:
    """Also what began within the second that the service's clock shows."""
    found = diagnose(EXECUTION, task, NOW, DomainFacts(0, Holdings(rows, {}), CLOSE))
    assert found is not None
    assert found.reason == expected


@pytest.mark.parametrize(
    ("task", "rows", "expected"),
    [
        (WAITING, [], "unclaimed"),
        (STARTED, [], None),
        (STARTED, [HELD], "held-here"),
        (STARTED, [ALIVE], None),
        (STARTED, [DEAD], "holder-gone"),
        (STARTED, [LOST], "holder-gone"),
        (ENDLESS, [], "endless"),
        (CANCELLING, [], "cancelling"),
        # Of several that apply:
        (replace(ENDLESS, cancel_requested_at=NOW - 11 * MINUTE), [DEAD], "holder-gone"),
        (replace(ENDLESS, cancel_requested_at=NOW - 11 * MINUTE), [LOST], "holder-gone"),
        (replace(ENDLESS, cancel_requested_at=NOW - 11 * MINUTE), [HELD], "held-here"),
        (replace(ENDLESS, cancel_requested_at=NOW - 11 * MINUTE), [], "cancelling"),
        (replace(ENDLESS, cancel_requested_at=NOW - 11 * MINUTE), [ALIVE], "cancelling"),
    ],
)
def test_each_reason_has_its_place(task: ActivityTask, rows: list[HeldTask], expected: str | None) -> None:
    """The first that applies of holder-gone, held-here, cancelling, endless, overdue; else unclaimed, backlog."""
    assert reason(task, *rows) == expected


def test_reasons_are_a_closed_list_worst_first() -> None:
    """Rows are sorted by severity, then by how long they have been stuck."""
    assert list(REASONS) == [
        "holder-gone",
        "no-decider",
        "decider-failing",
        "endless",
        "cancelling",
        "held-here",
        "overdue",
        "unclaimed",
        "backlog",
    ]
    early, late = Diagnosis("endless", 5.0, ""), Diagnosis("endless", 9.0, "")
    worse = Diagnosis("holder-gone", 99.0, "")
    assert sorted([late, worse, early], key=lambda diagnosis: diagnosis.rank) == [worse, early, late]


@pytest.mark.parametrize("state", ["completed", "gone"])
def test_a_closed_task_is_never_stuck(state: str) -> None:
    """Neither is one whose execution is closed."""
    assert reason(replace(ENDLESS, end=End(state), closed_at=NOW), DEAD) is None


class TestDecisions:
    """Decision tasks: is there a decider, and does it work?"""

    def test_one_that_waits(self) -> None:
        """From --older-than on there is no decider; the list is named."""
        found = certain(DECISION)
        assert (found.reason, found.since) == ("no-decider", NOW - 20 * MINUTE)
        assert found.explanation == "its decision task has waited for 20m00s: no decider has taken it from deciders"
        assert found.hint == "start a decider on deciders, or check why none polls it"
        assert reason(replace(DECISION, waiting_since=NOW - 10 * MINUTE)) == "no-decider"
        assert reason(replace(DECISION, waiting_since=NOW - 10 * MINUTE + 1)) is None

    @pytest.mark.parametrize(
        ("task_list", "ago", "is_polled"), [("deciders", 1, True), ("x", 1, False), ("deciders", 21, False)]
    )
    def test_one_whose_deciders_are_busy(self, task_list: str, ago: int, is_polled: bool) -> None:
        """A decider took another task of its list while it waited: no decider is missing, but there are too few."""
        facts = facts_of()
        facts.observe([], {task_list: NOW - ago * MINUTE})
        found = diagnose(EXECUTION, DECISION, NOW, facts)
        assert found is not None
        assert (found.reason, found.hint == "start more deciders on deciders") == ("no-decider", is_polled)
        if is_polled:
            assert found.explanation.endswith("from deciders; one took another task of this list 1m00s ago")

    def test_one_that_is_started(self) -> None:
        """From --older-than on its decider is failing; it is named."""
        found = certain(TAKEN)
        assert (found.reason, found.since) == ("decider-failing", NOW - 15 * MINUTE)
        assert found.explanation == "decider:1 took its decision task and has not completed it for 15m00s"
        assert found.hint == "check decider:1, which polls deciders: it must complete its decision tasks"
        assert reason(replace(TAKEN, started_at=NOW - 10 * MINUTE)) == "decider-failing"
        assert reason(replace(TAKEN, started_at=NOW - 10 * MINUTE + 1)) is None
        anonymous = certain(replace(TAKEN, identity=None))
        assert anonymous.explanation == "the decider took its decision task and has not completed it for 15m00s"

    @pytest.mark.parametrize(("timeouts", "expected"), [(0, None), (2, None), (3, "decider-failing")])
    @pytest.mark.parametrize("task", [DECISION, TAKEN])
    def test_three_timeouts_in_a_row(self, task: DecisionTask, timeouts: int, expected: str | None) -> None:
        """Its decider is failing, whether it has the next one or not; since the start of the first."""
        young = replace(
            task,
            waiting_since=NOW - MINUTE,
            started_at=task.started_at and NOW - MINUTE,
            timeouts=timeouts,
            failing_since=NOW - 4 * MINUTE if timeouts else None,
            last_decider="decider:0",
        )
        assert reason(young) == expected
        if expected:
            found = certain(young)
            assert (found.since, found.explanation) == (
                NOW - 4 * MINUTE,
                "its last 3 decision tasks were taken and timed out, for 4m00s",
            )
            assert certain(replace(young, has_older_timeouts=True)).explanation == (
                "its last 3 or more decision tasks were taken and timed out, for at least 4m00s"
            )
            assert f"check {task.identity or 'decider:0'}," in found.hint

    def test_a_decider_that_failed_and_is_gone(self) -> None:
        """One that waits has no decider any more, however many timed out before."""
        assert reason(replace(DECISION, timeouts=9, failing_since=NOW - 3600.0)) == "no-decider"


class TestWaiting:
    """Activity tasks that no worker has started."""

    def test_it_counts_from_older_than_on(self) -> None:
        """One that has waited a second less is not reported."""
        assert reason(replace(WAITING, scheduled_at=NOW - 10 * MINUTE + 1)) is None
        assert reason(replace(WAITING, scheduled_at=NOW - 10 * MINUTE)) == "unclaimed"

    def test_a_list_without_workers(self) -> None:
        """No task of it was started since this one was scheduled, and none is running."""
        facts = facts_of()
        facts.observe(
            [
                WAITING,
                replace(STARTED, task_list="y"),
                replace(completed(5.0), started_at=WAITING.scheduled_at - 1),
            ]
        )
        found = diagnose(EXECUTION, WAITING, NOW, facts)
        assert found == Diagnosis(
            "unclaimed",
            WAITING.scheduled_at,
            "waiting for 20m00s: none of the tasks of x that were read was started since",
            "start a worker on x, or check why none polls it",
        )

    @pytest.mark.parametrize(
        ("running_since", "completed_since", "explanation", "hint"),
        [
            (MINUTE, None, "1m00s ago; of the tasks read, 1 waiting and 1 running", "start more workers on x"),
            (None, MINUTE, "1m00s ago; of the tasks read, 1 waiting and 0 running", "start more workers on x"),
            (
                19 * MINUTE,
                None,
                "19m00s ago; of the tasks read, 1 waiting and 1 running",
                "check that the workers of x are alive and poll it, or start more",
            ),
            (
                None,
                10 * MINUTE,
                "10m00s ago; of the tasks read, 1 waiting and 0 running",
                "check that the workers of x are alive and poll it, or start more",
            ),
            (
                21 * MINUTE,
                None,
                "21m00s ago; of the tasks read, 1 waiting and 1 running",
                "check that the workers of x are alive and poll it, or start more",
            ),
        ],
        ids=["busy", "not seen running", "hangs", "none lately", "none since"],
    )
    def test_a_list_with_workers(
        self, running_since: float | None, completed_since: float | None, explanation: str, hint: str
    ) -> None:
        """It has a backlog. When its last task was started decides whether its workers are to be checked first."""
        facts = facts_of()
        facts.observe([WAITING])
        if running_since is not None:
            facts.observe([replace(STARTED, started_at=NOW - running_since)])
        if completed_since is not None:
            facts.observe([replace(completed(5.0), started_at=NOW - completed_since)])
        assert diagnose(EXECUTION, WAITING, NOW, facts) == Diagnosis(
            "backlog",
            WAITING.scheduled_at,
            f"waiting for 20m00s; a task of its list was last started {explanation}",
            f"{hint} ({explanation.partition('; ')[2]})",
        )

    def test_a_list_whose_workers_are_dead(self) -> None:
        """Tasks that nobody works on are no sign of a worker."""
        facts = facts_of()
        facts.observe([WAITING, STARTED])
        facts.lists["x"].last_started = 0.0
        facts.discount(STARTED)
        found = diagnose(EXECUTION, WAITING, NOW, facts)
        assert found is not None
        assert found.reason == "unclaimed"

    @pytest.mark.parametrize(
        ("task", "who"), [(WAITING, "workers of x"), (DECISION, "deciders of deciders")], ids=["activity", "decision"]
    )
    def test_a_scan_that_did_not_read_everything(self, task: ActivityTask | DecisionTask, who: str) -> None:
        """Whether the list has workers or deciders is not known: nobody is told to start one."""
        found = certain(task, is_complete=False, evidence_is_complete=False)
        assert found.hint == f"scan the whole domain first: what was not read may show {who}"

    @pytest.mark.parametrize(
        ("task", "who"),
        [(WAITING, "workers poll x"), (DECISION, "deciders poll deciders")],
        ids=["activity", "decision"],
    )
    def test_a_failed_look_for_workers(self, task: ActivityTask | DecisionTask, who: str) -> None:
        """The domain was scanned, and they are to be looked for before one is started."""
        found = certain(task, evidence_is_complete=False)
        assert found.hint == (f"check whether {who} before you start one: not all was read that might show them")

    @pytest.mark.parametrize("has_worker", [False, True])
    def test_a_task_that_repeats_others(self, has_worker: bool) -> None:
        """It counts as waiting since the first of them was scheduled, however young it is."""
        facts = facts_of()
        if has_worker:
            facts.observe([replace(completed(5.0), started_at=NOW - 15 * MINUTE)])
        repeated = replace(WAITING, scheduled_at=NOW - MINUTE, first_scheduled_at=NOW - 20 * MINUTE)
        found = diagnose(EXECUTION, repeated, NOW, facts)
        assert found is not None
        assert (found.reason, found.since) == ("backlog" if has_worker else "unclaimed", NOW - 20 * MINUTE)
        assert found.explanation.startswith(
            "it and the tasks before it, which timed out, have waited for at least 20m00s"
        )

    @pytest.mark.parametrize(
        ("name", "activity", "is_named"),
        [
            ("resize-gpu", ActivityId("resize", "1"), True),
            ("resize-gpu", ActivityId("encode", "1"), False),
            ("upload", ActivityId("resize", "1"), False),
        ],
    )
    def test_a_misspelled_list(self, name: str, activity: ActivityId, is_named: bool) -> None:
        """If its activity runs on a list with nearly the same name, that one is named."""
        facts = facts_of()
        facts.observe([replace(STARTED, task_list=name, activity=activity)])
        found = diagnose(EXECUTION, replace(WAITING, task_list="reszie-gpu"), NOW, facts)
        assert found is not None
        expected = "start a worker on reszie-gpu, or check why none polls it"
        if is_named:
            expected += f"; or correct the list name reszie-gpu if it is misspelled: resize runs on {name}"
        assert found.hint == expected
        assert found.reason == "unclaimed"

    def test_a_list_much_like_several(self) -> None:
        """Each list with nearly the same name is named."""
        facts = facts_of()
        facts.observe([replace(STARTED, task_list=name) for name in ("resize-gpus", "resize-gpu")])
        found = diagnose(EXECUTION, replace(WAITING, task_list="reszie-gpu"), NOW, facts)
        assert found is not None
        assert found.hint.endswith(": resize runs on resize-gpu and resize-gpus")

    def test_names_are_quoted(self) -> None:
        """What somebody may copy into a shell is one word."""
        hint = certain(replace(WAITING, task_list="two words; reboot")).hint
        assert hint == "start a worker on 'two words; reboot', or check why none polls it"


class TestOverdue:
    """Activity tasks that run longer than expected."""

    @pytest.mark.parametrize(
        ("ran", "runs", "comparison"),
        [
            (
                15 * MINUTE,
                [60.0, 14 * MINUTE - 1],
                "each of the 2 completed runs of resize 1 that were read (at most 13m59s)",
            ),
            (15 * MINUTE, [14 * MINUTE - 1], "the one completed run of resize 1 that was read (13m59s)"),
            (15 * MINUTE, [60.0, 14 * MINUTE + 1], None),  # less than a minute longer than the longest
            (15 * MINUTE, [14 * MINUTE], None),  # a minute longer, and no more
            (15 * MINUTE, [3600.0, 60.0], None),
            (9 * MINUTE, [5.0], None),  # less than --older-than
            (12 * 3600.0 - 1, [], None),
            (12 * 3600.0 + 1, [], "half of its 1d00h start-to-close timeout"),
        ],
    )
    def test_it_goes_by_completed_runs(self, ran: float, runs: list[float], comparison: str | None) -> None:
        """A minute longer than any completed run, or, with none to compare, longer than half of its timeout."""
        facts = facts_of()
        facts.observe(map(completed, runs))
        found = diagnose(EXECUTION, replace(STARTED, started_at=NOW - ran), NOW, facts)
        assert (found is None) is (comparison is None)
        if found is not None:
            assert (found.reason, found.since) == ("overdue", NOW - ran)
            assert found.explanation.endswith(f": longer than {comparison}")

    def test_it_says_for_how_long_and_until_when(self) -> None:
        """How long it has run, than what that is longer, and when it will time out."""
        found = certain(
            replace(
                STARTED,
                started_at=NOW - 59 * MINUTE,
                configuration=PartialTaskConfiguration("x", runtime_timeout=timedelta(hours=1.5)),
            )
        )
        assert found.explanation == "running for 59m00s: longer than half of its 1h30m start-to-close timeout"
        assert found.hint == "check what host:1 is doing; it times out at 1970-01-02T04:17:40Z"

    def test_only_completed_runs_of_the_same_activity_are_compared(self) -> None:
        """Runs that failed or timed out, and those of another version, are not."""
        facts = facts_of()
        facts.observe(
            [
                replace(completed(1.0), end=End("failed")),
                replace(completed(1.0), end=End("timed_out")),
                replace(completed(1.0), activity=ActivityId("resize", "2")),
            ]
        )
        assert diagnose(EXECUTION, STARTED, NOW, facts) is None

    def test_a_short_older_than_takes_the_margin_away(self) -> None:
        """With --older-than 0, a task is overdue as soon as it runs longer than the completed ones."""
        facts = DomainFacts(0.0)
        facts.observe([completed(15 * MINUTE - 1)])
        found = diagnose(EXECUTION, STARTED, NOW, facts)
        assert found is not None
        assert found.reason == "overdue"

    def test_without_anything_to_go_by(self) -> None:
        """A heartbeat timeout alone does not limit a run."""
        settings = PartialTaskConfiguration("x", heartbeat_timeout=timedelta(seconds=30))
        assert reason(replace(STARTED, configuration=settings)) is None


class TestHolders:
    """Tasks that this machine received."""

    @pytest.mark.parametrize("task", [STARTED, ENDLESS, CANCELLING])
    def test_only_a_gone_holder_is_reported_at_once(self, task: ActivityTask) -> None:
        """Held here, without timeouts, or cancelling: all that is normal until --older-than."""
        young = replace(
            task, started_at=NOW - 9 * MINUTE, cancel_requested_at=task.cancel_requested_at and NOW - MINUTE
        )
        assert reason(young, HELD) is None
        assert reason(young) is None
        assert reason(young, DEAD) == "holder-gone"

    @pytest.mark.parametrize(
        ("poll", "clock_skew", "expected"),
        [
            (replace(LOST, identity="host:2"), 0.0, None),
            (replace(LOST, task_list="y"), 0.0, None),
            (replace(LOST, taken_at=NOW), 0.0, None),  # after the task was started
            (replace(LOST, taken_at=NOW - 20 * MINUTE), 0.0, None),  # SWF holds no poll for five minutes
            (replace(LOST, taken_at=LOST.taken_at + 180), 0.0, None),
            (replace(LOST, taken_at=LOST.taken_at + 180), -180.0, "holder-gone"),  # this machine's clock is fast
            (replace(LOST, taken_at=LOST.taken_at - 180), 180.0, "holder-gone"),  # and slow
            (LOST, 180.0, "holder-gone"),  # and was right at the time
        ],
    )
    def test_a_lost_poll_explains_only_what_it_may_have_received(
        self, poll: HeldTask, clock_skew: float, expected: str | None
    ) -> None:
        """A task of its list and identity, started while SWF held it."""
        assert reason(STARTED, poll, clock_skew=clock_skew) == expected

    @pytest.mark.parametrize(
        ("claims", "polls", "identity", "explanation"),
        [
            (1, 1, "host:1", "the response to the poll that received it was lost: nobody has its token"),
            (2, 2, "host:1", "the response to the poll that received it was lost: nobody has its token"),
            (1, 1, "fleet", "the response to the poll that received it was probably lost: then nobody has its token"),
            (2, 1, "host:1", ""),
            (2, 1, "fleet", ""),
        ],
    )
    def test_how_sure_it_is_that_a_task_was_lost(
        self, claims: int, polls: int, identity: str, explanation: str
    ) -> None:
        """A poll receives one task at most, and another process may poll under an identity that is not HOST:PID."""
        rows = [replace(LOST, key=f"key{number}", identity=identity) for number in range(polls)]
        task = replace(ENDLESS, identity=identity)
        facts = facts_of(*rows)
        for row in rows:
            facts.claims[row.key] = claims
        found = diagnose(EXECUTION, task, NOW, facts)
        assert found is not None
        if not explanation:
            assert found.reason == "endless"
            assert found.explanation.endswith("; the response to the poll that received it may have been lost")
        else:
            assert (found.reason, found.explanation) == ("holder-gone", explanation)
        late = [replace(row, taken_at=NOW - 9 * MINUTE - 30) for row in rows]
        facts.holdings = Holdings(late, {})
        young = diagnose(EXECUTION, replace(task, started_at=NOW - 9 * MINUTE), NOW, facts)
        assert (young is not None) is ("was lost" in explanation)

    def test_a_held_task_was_not_lost(self) -> None:
        """A task that a live worker here has is not taken for one that a lost poll received."""
        assert reason(STARTED, ALIVE, LOST) is None

    def test_a_worker_on_another_host_is_not_known_to_be_dead(self) -> None:
        """Its task is judged like one that was taken elsewhere."""
        unknown = replace(HELD, host="farm-7", taken_by="work")
        assert reason(STARTED, unknown) is None
        assert reason(ENDLESS, unknown) == "endless"

    def test_a_task_polled_at_another_address_is_held(self) -> None:
        """Such as at a VPC endpoint: run IDs are unique. A poll that was lost there says nothing here."""
        facts = facts_of()
        facts.holdings = Holdings(elsewhere=[DEAD, LOST])
        found = diagnose(EXECUTION, STARTED, NOW, facts)
        assert found is not None
        assert found.reason == "holder-gone"
        assert facts.holdings.merge(Holdings()).of_task(EXECUTION, STARTED) == DEAD
        assert facts.holdings.lost_polls(STARTED) == []
        assert facts.holdings.executions_since(0.0) == {}

    def test_a_task_of_another_run_or_start_is_not_held(self) -> None:
        """Run and start must be the task's."""
        other_run = replace(DEAD, execution=ExecutionId("video-7", "OTHER"))
        other_start = replace(DEAD, task_started_execution_history_event_id=7)
        assert reason(STARTED, other_run, other_start) is None

    def test_a_command_that_still_runs(self) -> None:
        """Then nothing is suggested that would have the work started twice."""
        found = certain(STARTED, DEAD, commands={DEAD.key: 4711})
        assert (found.reason, found.since) == ("holder-gone", NOW - 15 * MINUTE)
        assert found.explanation == ("the worker that took it has died, but its command still runs as process 4711")
        assert found.hint == (
            "stop the command first (`kill -s TERM -- -4711`; KILL if it ignores TERM), then run `swf stuck` again"
        )
        assert not found.hint.startswith("swf ")

    @pytest.mark.parametrize(
        ("task", "rows", "expected", "since", "explanation"),
        [
            (
                STARTED,
                [DEAD],
                "holder-gone",
                NOW - 15 * MINUTE,
                "the process that took it on this machine, 1, has died",
            ),
            (
                STARTED,
                [LOST],
                "holder-gone",
                NOW - 15 * MINUTE,
                "the response to the poll that received it was lost: nobody has its token",
            ),
            (
                STARTED,
                [replace(HELD, host=host_name())],
                "held-here",
                NOW - 15 * MINUTE,
                "taken on this machine by `swf poll` and not closed",
            ),
            (
                STARTED,
                [replace(HELD, host="farm-7")],
                "held-here",
                NOW - 15 * MINUTE,
                "taken on farm-7 by `swf poll` and not closed",
            ),
            (
                CANCELLING,
                [],
                "cancelling",
                NOW - 11 * MINUTE,
                "cancellation was requested 11m00s ago and not acknowledged",
            ),
            (
                ENDLESS,
                [],
                "endless",
                NOW - 15 * MINUTE,
                "running for 15m00s, and it has no timeout of its own",
            ),
        ],
    )
    def test_it_says_what_happened_and_since_when(
        self, task: ActivityTask, rows: list[HeldTask], expected: str, since: float, explanation: str
    ) -> None:
        """A task is stuck since its start, or since its cancellation was requested."""
        found = certain(task, *rows)
        assert (found.reason, found.since, found.explanation) == (expected, since, explanation)

    def test_a_cancellation_counts_from_older_than_on(self) -> None:
        """A worker that was asked a second later is not reported."""
        assert reason(replace(STARTED, cancel_requested_at=NOW - 10 * MINUTE)) == "cancelling"
        assert reason(replace(STARTED, cancel_requested_at=NOW - 10 * MINUTE + 1)) is None


class TestHints:
    """What to do: a command only if it is safe to run."""

    @pytest.mark.parametrize(
        ("task", "rows", "hint"),
        [
            (STARTED, [DEAD], "swf fail --held abcd1234 --reason 'worker died'"),
            (CANCELLING, [DEAD], "swf cancel --held abcd1234"),
            (STARTED, [HELD], "if its script is gone: swf fail --held abcd1234 --reason 'script died'"),
            (CANCELLING, [HELD], "if its script is gone: swf cancel --held abcd1234"),
            (STARTED, [LOST], "nothing to run; it times out at 1970-01-03T03:31:40Z"),
            (
                ENDLESS,
                [],
                (
                    "check whether host:1 still works on it; it ends only with its workflow: "
                    "aws swf terminate-workflow-execution --domain=media --region=us-east-1 --workflow-id=video-7 "
                    "--run-id=RUN"
                ),
            ),
            (
                replace(
                    CANCELLING,
                    configuration=PartialTaskConfiguration("x", heartbeat_timeout=timedelta(seconds=90)),
                ),
                [],
                (
                    "check host:1: it must send heartbeats and honour cancellation; it times out 1m30s after its "
                    "last heartbeat"
                ),
            ),
        ],
    )
    def test_each_case(self, task: ActivityTask, rows: list[HeldTask], hint: str) -> None:
        """Only a task whose holder is certainly gone has a command line as its hint."""
        found = certain(task, *rows)
        assert found.hint == hint
        assert found.hint.startswith("swf ") == (rows == [DEAD])

    def test_an_execution_that_times_out(self) -> None:
        """It ends a task that has no timeout of its own."""
        found = certain(replace(ENDLESS, execution_times_out_at=NOW + 3600.0))
        assert found.advice == (
            "check whether host:1 still works on it; it ends only with its workflow, "
            "which times out at 1970-01-02T04:46:40Z"
        )

    def test_a_worker_without_identity(self) -> None:
        """It is called the task's worker."""
        assert certain(replace(ENDLESS, identity=None)).hint.startswith("check whether its worker still works on it;")

    @pytest.mark.parametrize("name", ["swf x", "$(touch X)", "a'b", "-x", "a\nb", "\x1b[2J", "file://x", "\u202e"])
    def test_hostile_names(self, name: str) -> None:
        """They are passed on as one argument each, or no command is suggested; none begins a command."""
        execution = ExecutionId(name, "RUN")
        task = replace(ENDLESS, identity=name, id=name, task_list=name)
        found = diagnose(execution, task, NOW, facts_of())
        assert found is not None
        assert not found.hint.startswith("swf ")
        if found.command is not None:
            assert shlex.split(found.command) == [*CLOSE, f"--workflow-id={name}", "--run-id=RUN"]
        assert (found.command is None) == (not name.isprintable() or name.startswith("file:"))
        for other in (replace(WAITING, task_list=name), replace(DECISION, task_list=name)):
            assert not certain(other).hint.startswith("swf ")

    @pytest.mark.parametrize("domain", ["file:///etc/passwd", "fileb://x", "http://x"])
    def test_a_domain_that_aws_would_read(self, domain: str) -> None:
        """A domain that names a file for `aws` is not made part of a command."""
        close = ("aws", "swf", "terminate-workflow-execution", f"--domain={domain}", "--endpoint-url=http://x")
        found = diagnose(EXECUTION, ENDLESS, NOW, DomainFacts(600.0, close_command=close))
        assert found is not None
        assert found.command is None

    @pytest.mark.parametrize("key", ["abcd1234; reboot", "../x", "ABCD1234", "abc", ""])
    def test_a_key_that_is_none(self, key: str) -> None:
        """It is not made part of a command."""
        assert certain(STARTED, replace(DEAD, key=key)).hint == "see `swf held`"
        assert certain(STARTED, replace(HELD, key=key)).hint == "if its script is gone, see `swf held`"

    def test_options_that_were_given_are_given_again(self) -> None:
        """A suggested command names an unencrypted endpoint, or the domain and the task list that were looked at."""
        given = {"--domain": ["media"], "--task-list": ["x"], "--endpoint-url": ["http://swf.test"]}
        facts = {"invocation": Invocation(given)}
        here = replace(DEAD, endpoint="http://swf.test")
        where = "--endpoint-url http://swf.test --held abcd1234"
        assert certain(CANCELLING, here, **facts).hint == f"swf cancel {where}"
        assert certain(STARTED, here, **facts).hint == f"swf fail {where} --reason 'worker died'"
        assert certain(STARTED, replace(here, key=""), **facts).hint == "see `swf held --domain media --task-list x`"

    def test_no_command_closes_an_execution(self) -> None:
        """If none is known, none is suggested."""
        found = diagnose(EXECUTION, ENDLESS, NOW, DomainFacts(600.0))
        assert found is not None
        assert found.hint.endswith("it ends only with its workflow")


@pytest.mark.parametrize(
    ("task", "rows", "has_runs", "expected"),
    [
        pytest.param(STARTED, [], False, True, id="long run, nothing to compare it with"),
        pytest.param(STARTED, [], True, False, id="long run, others are known"),
        pytest.param(replace(STARTED, started_at=NOW - 10 * MINUTE), [], False, True, id="just as long as allowed"),
        pytest.param(replace(STARTED, started_at=NOW - 5 * MINUTE), [], False, False, id="short run"),
        pytest.param(STARTED, [LOST], True, True, id="may have been lost with a poll"),
        pytest.param(WAITING, [LOST], False, False, id="not started"),
        pytest.param(DECISION, [], False, False, id="decision task"),
        pytest.param(TAKEN, [], False, False, id="decision task that is started"),
    ],
)
def test_what_may_look_stuck_later(
    task: ActivityTask | DecisionTask, rows: list[HeldTask], has_runs: bool, expected: bool
) -> None:
    """Only a started activity task, whose verdict depends on what is read later."""
    runs = {ActivityId("resize", "1"): CompletedRuns(count=1, longest=60.0)} if has_runs else {}
    assert may_look_stuck_later(task, NOW, facts_of(*rows, runs=runs)) is expected
