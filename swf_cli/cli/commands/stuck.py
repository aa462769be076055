"""`swf stuck`."""

import click

from ...errors import CheckFailed, Signalled
from ..options import GlobalOptions, common_options, tell
from ..params import BoundedText, Duration


@click.command(
    epilog="""\b
Examples:
  swf stuck -d video
  swf stuck -d video -t resize --older-than 1h --check || page-someone
"""
)
@click.option(
    "--task-list",
    "-t",
    "task_lists",
    envvar="SWF_TASK_LIST",
    show_envvar=True,
    multiple=True,
    type=BoundedText("task list"),
    help="Only tasks of this list; may be given several times.",
)
@click.option("--activity", metavar="NAME", type=BoundedText("activity name"), help="Only tasks of this activity.")
@click.option(
    "--older-than",
    type=Duration(),
    default="10m",
    show_default=True,
    help="How long a task may wait or be in hand, and a cancellation go unanswered.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the worst so many.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, max=1000, min_open=True),
    default=30,
    show_default=True,
    help="History reads a second; SWF's quota is some 60 for all of an account.",
)
@click.option("--check", is_flag=True, help="Exit with 8 when a task looks stuck.")
@common_options(domain_required=True)
def stuck(
    common: GlobalOptions,
    task_lists: tuple[str, ...],
    activity: str | None,
    older_than: int,
    limit: int | None,
    rate: float,
    check: bool,
) -> None:
    """Find the open tasks that look stuck: why each does, and what to do.

    Reads the open executions of the domain, a year back. Ctrl-C shows what was found so far.
    """
    from ... import signals
    from ...monitor.scanner import DomainScanner, find_stuck
    from ...output import progress, stuck

    client, stopped = common.session().no_retry, signals.StopRequest()
    survey = DomainScanner(client, common.domain, rate=rate, stop=stopped.stop, tell=tell)
    holdings = common.ledger().holdings(common.domain, client.meta.region_name, client.meta.endpoint_url)
    with signals.on_stop_signals(stopped.hear), progress.scan_progress(survey, common.output.color):
        rows = find_stuck(survey, holdings, older_than=older_than, task_lists=task_lists, activity=activity)
    stuck.show_stuck(common.output, rows[:limit], survey.now())
    if limit is not None and len(rows) > limit:
        tell(f"{len(rows) - limit} more look stuck")
    if missed := survey.progress.skipped:
        tell(f"{missed} execution{'s' if missed > 1 else ''} could not be read: what is stuck there is not shown")
    if stopped.number or survey.failure:
        tell("stopped before the end: this is partial, only what was found so far")
    if stopped.number:
        raise Signalled(stopped.number)
    if survey.failure:
        raise survey.failure
    if check and rows:
        raise CheckFailed(f"{len(rows)} task{'s look' if len(rows) > 1 else ' looks'} stuck")
