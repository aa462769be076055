"""Diagnose open tasks that look stuck and suggest a fix. Pure."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from math import inf
from typing import Final, Literal

from ..history import ActivityTask, DecisionTask
from ..ledger.records import HeldTask
from ..models import ExecutionId, format_activity
from ..processes import format_kill, host_name
from ..times import format_duration, iso_time
from .evidence import DomainFacts, ListActivity

REASONS: Final[Mapping[str, str]] = {
    "holder-gone": "the process that took it is gone",
    "no-decider": "no decider takes its decision task",
    "decider-failing": "its decision task is taken and not completed",
    "endless": "started, and it has no timeout of its own",
    "cancelling": "cancellation was requested and not acknowledged",
    "held-here": "taken on this machine by `swf poll` and not closed",
    "overdue": "running longer than expected",
    "unclaimed": "no worker takes tasks from its list",
    "backlog": "queued behind other tasks",
}
"""Every reason, worst first, and its meaning."""

_MARGIN: Final = 60.0  # seconds by which a run may exceed all others without being overdue
_FAILING_TIMEOUTS: Final = 3  # decision tasks that timed out in a row
_KEY = re.compile("[0-9a-f]{8,}")
_FILE_PREFIXES: Final = ("file://", "fileb://", "http://", "https://")  # `aws` reads such values from elsewhere


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a task looks stuck."""

    reason: str
    """A key of `REASONS`."""

    since: float
    """Since when, in epoch seconds."""

    explanation: str
    """The reason in the words of this case."""

    advice: str = ""
    """What to do, or on which condition to run the command."""

    command: str | None = None
    """A command line that closes the task."""

    @property
    def hint(self) -> str:
        """Advice and command. One that begins with `swf ` is a command line that is safe to run as it is."""
        return ": ".join(part for part in (self.advice, self.command) if part)

    @property
    def rank(self) -> tuple[int, float]:
        """Sort key: worst first, then longest first."""
        return list(REASONS).index(self.reason), self.since


def diagnose(
    execution: ExecutionId, task: ActivityTask | DecisionTask, now: float, facts: DomainFacts
) -> Diagnosis | None:
    """Return why a task that was open at `now`, the service's time, looks stuck; None if it does not."""
    # The service tells its time in whole seconds, those of events more exactly: they may lie ahead of it.
    now = max(now, task.waiting_since if task.started_at is None else task.started_at)
    if isinstance(task, DecisionTask):
        return _diagnose_decision(task, now, facts)
    if not task.is_open:
        return None
    if task.started_at is None:
        return _diagnose_waiting(task, now, facts)
    return _diagnose_started(execution, task, task.started_at, now, facts)


def may_look_stuck_later(task: ActivityTask | DecisionTask, now: float, facts: DomainFacts) -> bool:
    """Return whether a task that does not look stuck may do so, as of `now`, once more of the domain was read.

    One whose activity has a completed run can't become overdue: the longest of them only gets longer.
    """
    if isinstance(task, DecisionTask) or task.started_at is None:
        return False
    is_long = now - task.started_at >= facts.older_than
    # Whether a poll was lost depends on the clock skew, which each response corrects.
    return (is_long and task.activity not in facts.runs) or bool(facts.holdings.lost_polls(task))


def _diagnose_decision(task: DecisionTask, now: float, facts: DomainFacts) -> Diagnosis | None:
    task_list = shlex.quote(task.task_list)
    if task.started_at is None and now - task.waiting_since >= facts.older_than:
        explanation = f"its decision task has waited for {format_duration(now - task.waiting_since)}: "
        explanation += f"no decider has taken it from {task_list}"
        hint = _advise_start("decider", task_list, facts)
        if facts.list_is_worked(task):
            idle = max(0.0, now - facts.decision_starts[task.task_list])
            explanation += f"; one took another task of this list {format_duration(idle)} ago"
            hint = f"start more deciders on {task_list}"
        return Diagnosis("no-decider", task.waiting_since, explanation, hint)
    decider = task.identity or task.last_decider or "the decider"
    hint = f"check {decider}, which polls {task_list}: it must complete its decision tasks"
    if task.started_at is not None and now - task.started_at >= facts.older_than:
        running = format_duration(now - task.started_at)
        explanation = f"{decider} took its decision task and has not completed it for {running}"
        return Diagnosis("decider-failing", task.started_at, explanation, hint)
    if task.timeouts >= _FAILING_TIMEOUTS and task.failing_since is not None:
        or_more, at_least = (" or more", "at least ") if task.has_older_timeouts else ("", "")
        failing = f"{at_least}{format_duration(now - task.failing_since)}"
        explanation = f"its last {task.timeouts}{or_more} decision tasks were taken and timed out, for {failing}"
        return Diagnosis("decider-failing", task.failing_since, explanation, hint)
    return None


def _diagnose_waiting(task: ActivityTask, now: float, facts: DomainFacts) -> Diagnosis | None:
    if now - task.waiting_since < facts.older_than:
        return None
    if facts.list_is_worked(task):
        return _diagnose_backlog(task, now, facts)
    task_list = shlex.quote(task.task_list)
    hint = _advise_start("worker", task_list, facts)
    if facts.is_complete and (similar := facts.similar_lists(task)):
        others = " and ".join(map(shlex.quote, similar))
        activity = task.activity.name
        hint += f"; or correct the list name {task_list} if it is misspelled: {activity} runs on {others}"
    explanation = f"{_waited(task, now)}: none of the tasks of {task_list} that were read was started since"
    return Diagnosis("unclaimed", task.waiting_since, explanation, hint)


def _advise_start(who: str, task_list: str, facts: DomainFacts) -> str:
    if not facts.is_complete:
        return f"scan the whole domain first: what was not read may show {who}s of {task_list}"
    if not facts.evidence_is_complete:
        return f"check whether {who}s poll {task_list} before you start one: not all was read that might show them"
    return f"start a {who} on {task_list}, or check why none polls it"


def _waited(task: ActivityTask, now: float) -> str:
    waited = format_duration(now - task.waiting_since)
    if task.first_scheduled_at is None:
        return f"waiting for {waited}"
    return f"it and the tasks before it, which timed out, have waited for at least {waited}"


def _diagnose_backlog(task: ActivityTask, now: float, facts: DomainFacts) -> Diagnosis:
    task_list, seen = shlex.quote(task.task_list), facts.lists.get(task.task_list, ListActivity())
    counts = f"of the tasks read, {seen.waiting} waiting and {seen.started} running"
    idle = max(0.0, now - seen.last_started)
    hint = f"start more workers on {task_list}"
    if idle >= facts.older_than:
        hint = f"check that the workers of {task_list} are alive and poll it, or start more"
    last_start = f"a task of its list was last started {format_duration(idle)} ago"
    explanation = f"{_waited(task, now)}; {last_start}; {counts}"
    return Diagnosis("backlog", task.waiting_since, explanation, f"{hint} ({counts})")


def _diagnose_started(
    execution: ExecutionId, task: ActivityTask, started_at: float, now: float, facts: DomainFacts
) -> Diagnosis | None:
    held = facts.holdings.of_task(execution, task)
    if held is not None and held.holder_alive is False:
        return _diagnose_dead_holder(held, task, started_at, facts)
    loss = _judge_loss(execution, task, facts)
    if loss == "certain":
        explanation = "the response to the poll that received it was lost: nobody has its token"
        return Diagnosis("holder-gone", started_at, explanation, *_ending(execution, task, facts, "nothing to run"))
    if now - started_at < facts.older_than:
        return None
    if loss == "likely":
        explanation = "the response to the poll that received it was probably lost: then nobody has its token"
        check = f"check whether {task.identity} works on it"
        return Diagnosis("holder-gone", started_at, explanation, *_ending(execution, task, facts, check))
    if held is not None and held.holder_alive is None and held.taken_by == "poll":
        command = _closing_command(held, task, facts)
        advice = "if its script is gone" + ("" if command else f", see `{_held_command(facts)}`")
        place = "this machine" if held.host == host_name() else held.host
        explanation = f"taken on {place} by `swf poll` and not closed"
        return Diagnosis("held-here", started_at, explanation, advice, command)
    found = _diagnose_running(execution, task, now - started_at, now, facts)
    if found is not None and loss == "possible":
        doubt = "the response to the poll that received it may have been lost"
        return replace(found, explanation=f"{found.explanation}; {doubt}")
    return found


def _judge_loss(
    execution: ExecutionId, task: ActivityTask, facts: DomainFacts
) -> Literal["certain", "likely", "possible", "none"]:
    """Return how sure it is that the response to the poll that received a task was lost.

    It received one task at most, and another process may have polled under an identity that is not HOST:PID.
    """
    polls = facts.holdings.matching_polls(execution, task, facts.clock_skew)
    if not polls:
        return "none"
    if max(facts.claims[row.key] for row in polls) > len(polls):
        return "possible"
    return "certain" if all(row.identity == f"{row.host[:240]}:{row.pid}" for row in polls) else "likely"


def _diagnose_running(
    execution: ExecutionId, task: ActivityTask, running: float, now: float, facts: DomainFacts
) -> Diagnosis | None:
    worker, started_at = task.identity or "its worker", now - running
    requested_at = task.cancel_requested_at
    if requested_at is not None and now - requested_at >= facts.older_than:
        explanation = f"cancellation was requested {format_duration(now - requested_at)} ago and not acknowledged"
        check = f"check {worker}: it must send heartbeats and honour cancellation"
        return Diagnosis("cancelling", requested_at, explanation, *_ending(execution, task, facts, check))
    if task.never_ends:
        explanation = f"running for {format_duration(running)}, and it has no timeout of its own"
        check = f"check whether {worker} still works on it"
        return Diagnosis("endless", started_at, explanation, *_ending(execution, task, facts, check))
    expected, comparison = _expected_run(task, facts)
    if running <= expected:
        return None
    explanation = f"running for {format_duration(running)}: longer than {comparison}"
    ending = _ending(execution, task, facts, f"check what {worker} is doing")
    return Diagnosis("overdue", started_at, explanation, *ending)


def _diagnose_dead_holder(held: HeldTask, task: ActivityTask, started_at: float, facts: DomainFacts) -> Diagnosis:
    pid = facts.holdings.commands.get(held.key)
    if pid is not None:
        explanation = f"the worker that took it has died, but its command still runs as process {pid}"
        again = facts.invocation.format("stuck")
        hint = f"stop the command first (`{format_kill(pid)}`; KILL if it ignores TERM), then run `{again}` again"
        return Diagnosis("holder-gone", started_at, explanation, hint)
    explanation = f"the process that took it on this machine, {held.pid}, has died"
    command = _closing_command(held, task, facts)
    advice = "" if command else f"see `{_held_command(facts)}`"
    return Diagnosis("holder-gone", started_at, explanation, advice, command)


def _expected_run(task: ActivityTask, facts: DomainFacts) -> tuple[float, str]:
    """Return the seconds a run may take, and what they are: those of the longest, else half of the timeout."""
    runs = facts.runs.get(task.activity)
    if runs is not None:
        longest = format_duration(runs.longest)
        activity = format_activity(task.activity)
        comparison = f"each of the {runs.count} completed runs of {activity} that were read (at most {longest})"
        if runs.count == 1:
            comparison = f"the one completed run of {activity} that was read ({longest})"
        return runs.longest + min(_MARGIN, facts.older_than), comparison
    limit = task.configuration.runtime_timeout
    if not isinstance(limit, timedelta):
        return inf, ""
    seconds = limit.total_seconds()
    return seconds / 2, f"half of its {format_duration(seconds)} start-to-close timeout"


def _held_command(facts: DomainFacts) -> str:
    return facts.invocation.format("held", repeat=("--domain", "--task-list"))


def _closing_command(held: HeldTask, task: ActivityTask, facts: DomainFacts) -> str | None:
    """Return the command line that closes a task held here; None if the row's key is not one."""
    if not _KEY.fullmatch(held.key):
        return None
    if task.cancel_requested_at is not None:
        return facts.invocation.format_held("cancel", held.key, held.endpoint)
    reason = "script died" if held.holder_alive is None else "worker died"
    return facts.invocation.format_held("fail", held.key, held.endpoint, "--reason", reason)


def _ending(execution: ExecutionId, task: ActivityTask, facts: DomainFacts, advice: str) -> tuple[str, str | None]:
    """Return the advice with what closes the task if nobody does, and the command if only that would."""
    if task.deadline is not None:
        return f"{advice}; it times out at {iso_time(task.deadline)}", None
    heartbeat = task.configuration.heartbeat_timeout
    if isinstance(heartbeat, timedelta):
        return f"{advice}; it times out {format_duration(heartbeat.total_seconds())} after its last heartbeat", None
    times_out_at = task.execution_times_out_at
    when = "" if times_out_at is None else f", which times out at {iso_time(times_out_at)}"
    return f"{advice}; it ends only with its workflow{when}", _terminate_command(execution, facts)


def _terminate_command(execution: ExecutionId, facts: DomainFacts) -> str | None:
    """Return the command line that closes an execution; None if a name in it can't be passed on a command line."""
    domains = [option.removeprefix("--domain=") for option in facts.close_command if option.startswith("--domain=")]
    names = (execution.id, execution.run_id, *domains)
    if not facts.close_command or any(name.startswith(_FILE_PREFIXES) for name in names):
        return None
    parts = [*facts.close_command, f"--workflow-id={execution.id}", f"--run-id={execution.run_id}"]
    return shlex.join(parts) if all(part.isprintable() for part in parts) else None
