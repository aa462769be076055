"""`swf pending`."""

from collections.abc import Sequence

import click

from ... import api
from ...errors import CheckFailed, Signalled
from ...models import PendingCount
from ...output.pending import show_counts
from ..options import GlobalOptions, common_options, is_given
from ..params import BoundedText, Duration


@click.command(
    epilog="""\b
Examples:
  swf pending --domain video --task-list resize
  swf pending -d video -t resize -t upload --max 100 || page-someone
  swf pending -d video -t resize --watch
"""
)
@click.option(
    "--task-list",
    "-t",
    "task_lists",
    envvar="SWF_TASK_LIST",
    show_envvar=True,
    required=True,
    multiple=True,
    type=BoundedText("task list"),
    help="Task list to count; may be given several times.",
)
@click.option("--max", "most", type=click.IntRange(min=0), help="Exit with 8 when more than this many wait.")
@click.option("--watch", "watched", is_flag=True, help="Look again and again; with --max until more wait.")
@click.option("--interval", type=Duration(least=1), default="5s", show_default=True, help="Time between two looks.")
@common_options(domain_required=True)
def pending(
    common: GlobalOptions, task_lists: tuple[str, ...], most: int | None, watched: bool, interval: int
) -> None:
    """Count the tasks that wait on task lists.

    The counts are SWF's estimates, of tasks that no worker has started; a list that nobody uses counts 0.
    """
    if is_given("interval") and not watched:
        raise click.UsageError("--interval goes with --watch.")
    client = common.session().client
    if not watched:
        counts = api.count_pending_on(task_lists, common.domain, client)
        show_counts(common.output, counts)
        _check(counts, most)
        return
    from ... import signals
    from ...monitor.watch import PendingMonitor
    from ...output.pending import watch_pending

    stopped, watch = signals.StopRequest(), PendingMonitor(client, common.domain, task_lists)
    with signals.on_stop_signals(stopped.hear):
        watch_pending(common.output, watch, interval, stopped.stop.wait, lambda: watch.exceeds(most))
    if stopped.number:
        raise Signalled(stopped.number)
    _check(watch.counts, most)


def _check(counts: Sequence[PendingCount], most: int | None) -> None:
    over = [pending.task_list for pending in counts if most is not None and pending.exceeds(most)]
    if over:
        raise CheckFailed(f"more than {most} tasks wait on {', '.join(over)}")
