"""`swf stuck`."""

from typing import TYPE_CHECKING, Any

from ...errors import CheckFailed, SwfError
from ..command import command, option
from ..options import CommonOptions, common_options, task_lists_option
from ..params import Duration, Name, Number, WholeNumber

if TYPE_CHECKING:
    from ...ledger.records import HeldTask
    from ...ledger.store import Ledger
    from ...monitor.evidence import Holdings
    from ..scanning import Scan


@command(
    positional="--task-list",
    epilog="""\b
Examples:
  swf stuck -d video
  swf stuck -d video -t resize --older-than 1h --check || page-someone

\b
With --output text, each task is a line of fields separated by tabs:
  reason, since, task list, activity ID, workflow ID, run ID, hint
""",
)
@task_lists_option("Only tasks of this list.")
@option("--activity", metavar="NAME", type=Name("activity name"), help="Only tasks of this activity.")
@option(
    "--older-than",
    type=Duration(),
    default="10m",
    help="Report tasks that have waited, run or ignored a cancellation this long.",
)
@option(
    "--limit",
    type=WholeNumber(),
    default_text="5 in a table, else 0",
    help="Show at most N tasks, worst first; 0 for all.",
)
@option(
    "--rate",
    type=Number(0.01, 1_000),
    default=30,
    help="History requests per second (account quota: about 60).",
)
@option("--timeout", type=Duration(minimum=1), help="Stop reading after this long, and show what was found.")
@option("--check", is_flag=True, help="Exit with 8 if a task looks stuck.")
@common_options(domain_required=True)
def stuck(
    common: CommonOptions,
    task_lists: tuple[str, ...],
    activity: str | None,
    older_than: int,
    limit: int | None,
    check: bool,
    **bounds: Any,
) -> None:
    """Find open tasks that look stuck, with the reason and what to do.

    Reads the executions that started at least --older-than ago. Ctrl-C shows what was found so far.
    `swf help stuck` explains the reasons.
    """
    import logging  # not for a completion

    from ...monitor.evidence import DomainFacts
    from ...monitor.filters import TaskFilter
    from ...monitor.stuck import find_stuck
    from ...output.stuck import StuckScreen, show_stuck
    from ..scanning import Scan

    log = logging.getLogger(__name__)
    scan, wanted = Scan(common, **bounds), TaskFilter(task_lists, activity)
    with_input = (limit or None) if common.output.needs_data else 0
    with common.ledger() as ledger:

        def read_holdings() -> "Holdings":
            return _holdings(common, scan, ledger)

        facts = DomainFacts(older_than, read_holdings(), _close_command(common, scan), common.invocation)
        with scan.running(older_than) as scanner:
            report = find_stuck(scanner, facts, wanted, with_input=with_input, read_holdings=read_holdings)
    screen = StuckScreen(scanner.progress, scan.calls.now(), common.invocation, is_filtered=bool(wanted))
    left_out = show_stuck(common.output, report, screen, limit)
    scan.log_lists(report.similar_lists)
    if left_out and not common.output.is_screen:
        log.info("%d more look stuck", left_out)
    looks = f"{len(report.rows)} task{'s look' if len(report.rows) > 1 else ' looks'} stuck"
    scan.finish(CheckFailed(looks) if check and report.rows else None)
    if check and (scanner.progress.skipped or scanner.progress.malformed):
        raise SwfError("--check is not certain: not everything could be read")


def _holdings(common: CommonOptions, scan: "Scan", ledger: "Ledger") -> "Holdings":
    """Return what is held here of the domain."""
    from ...ledger.records import running_commands
    from ...monitor.evidence import Holdings

    meta = scan.client.meta
    rows = [row for row in ledger.list_held() if row.domain == common.domain]
    here: list[HeldTask] = []
    elsewhere: list[HeldTask] = []
    for row in rows:
        is_here = (row.region, row.endpoint.rstrip("/")) == (meta.region_name, meta.endpoint_url.rstrip("/"))
        (here if is_here else elsewhere).append(row)
    return Holdings(here, running_commands(rows), elsewhere)


def _close_command(common: CommonOptions, scan: "Scan") -> list[str]:
    """Return the command line, less the execution, that closes an execution of the domain."""
    options = {
        "--domain": common.domain,
        "--region": scan.client.meta.region_name,
        "--profile": common.profile,
        "--endpoint-url": common.endpoint_url,
    }
    given = [f"{option}={value}" for option, value in options.items() if value]
    return ["aws", "swf", "terminate-workflow-execution", *given]
