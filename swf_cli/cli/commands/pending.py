"""`swf pending`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import CheckFailed, SwfError
from ..command import command, option
from ..options import CommonOptions, common_options, is_given, task_lists_option
from ..params import Duration, WholeNumber
from ..usage import UsageError

if TYPE_CHECKING:
    from ...models import PendingCount
    from ...monitor.watch import PendingSample


@command(
    positional="--task-list",
    epilog="""\b
Examples:
  swf pending --domain video --task-list resize
  swf pending -d video -t resize -t upload --max 100 || page-someone
  swf pending -d video -t resize --watch

\b
With --output text, it prints the count; for several lists, a line for each:
  task list and count, separated by a tab; no count if counting failed

\b
When piped, --watch prints one line of JSON per refresh (for several lists, an
array), or with --output text the lines above.
""",
)
@task_lists_option("Task list to count.", required=True)
@option("--max", "maximum", type=WholeNumber(), help="Exit with 8 if more than N tasks wait on a list.")
@option("--watch", "watched", is_flag=True, help="Refresh continuously; with --max, until the limit is exceeded.")
@option("--interval", type=Duration(minimum=1), default="5s", help="Refresh interval, with --watch.")
@common_options(domain_required=True)
def pending(
    common: CommonOptions, task_lists: tuple[str, ...], maximum: int | None, watched: bool, interval: int
) -> None:
    """Count the tasks waiting on task lists.

    Counts are SWF's estimates of the tasks that no worker has started. A misspelled task list is not an error: its
    count is 0.
    """
    if is_given("interval") and not watched:
        raise UsageError("--interval requires --watch")
    from ...monitor.watch import PendingMonitor, count_lists
    from ...output.pending import show_counts, watch_pending

    if watched:
        monitor = PendingMonitor(common.session().client, common.domain, task_lists)
        watch_pending(common.output, common.domain, monitor, interval, lambda: monitor.exceeds(maximum))
        _raise_first_error(monitor.refused, task_lists)
        _check(monitor.counts, maximum)
        return
    samples = count_lists(common.session().single_attempt_client, common.domain, task_lists, retrier=common.retrier)
    show_counts(common.output, common.domain, samples)
    _raise_first_error(samples, task_lists)
    _check([sample.pending for sample in samples if sample.pending is not None], maximum)


def _raise_first_error(samples: "Sequence[PendingSample]", task_lists: "Sequence[str]") -> None:
    """Raise the error of the first list that could not be counted, named if there are several; log the others'."""
    import logging  # not for a completion

    log = logging.getLogger(__name__)
    failed = [(sample.task_list, sample.error) for sample in samples if sample.error is not None]
    for task_list, error in failed[1:]:
        log.info("%s could not be counted: %s", task_list, error.message)
    if failed:
        task_list, error = failed[0]
        raise _about(task_list, error) if len(task_lists) > 1 else error


def _about(task_list: str, error: SwfError) -> SwfError:
    named = type(error).from_error(error, f"{task_list} could not be counted: {error.message}")
    named.__cause__ = error.__cause__
    return named


def _check(counts: "Sequence[PendingCount]", maximum: int | None) -> None:
    over = [pending.task_list for pending in counts if maximum is not None and pending.exceeds(maximum)]
    if over:
        tasks = "task waits" if maximum == 1 else "tasks wait"
        raise CheckFailed(f"more than {maximum} {tasks} on {', '.join(over)}")
