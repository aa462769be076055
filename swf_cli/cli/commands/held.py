"""`swf held`."""

import time
from typing import TYPE_CHECKING

from ...errors import SwfError
from ..command import command, option
from ..options import GlobalOptions, common_options, is_given, task_lists_option

if TYPE_CHECKING:
    from ...ledger.records import HeldTask


@command(
    epilog="""\b
Examples:
  swf held
  swf held -d video -t resize
  swf fail --held 3f2a --reason "script died"

\b
With --output text, each task is a line of fields separated by tabs:
  key, kind, activity ID, workflow ID, task list, domain, holder (alive, dead
  or unknown), taken at
""",
)
@task_lists_option("Only tasks of this list.")
@option("--prune", is_flag=True, help="First remove tasks that the execution history shows as closed.")
@common_options()
def held(common: GlobalOptions, task_lists: tuple[str, ...], prune: bool) -> None:
    """List tasks taken on this machine and not closed.

    Newest first. Also lists, for a week, polls whose response was lost and that may have received a task.
    """
    import logging  # not for a completion

    from ...ledger.locks import command_pid
    from ...output.held import show_held

    with common.ledger() as ledger:
        everything = ledger.list_held()
        rows = _choose(everything, common.domain, task_lists)
        if prune and rows:
            from ...responding import prune as drop_closed

            drop_closed(ledger, lambda row: common.for_held_task(row).session(), rows)
            everything = ledger.list_held()
            rows = _choose(everything, common.domain, task_lists)
        if not ledger.is_usable:
            raise SwfError("cannot read the list of held tasks")
    commands = {row.key: pid for row in rows if (pid := command_pid(row)) is not None}
    show_held(common.output, rows, commands, time.time())
    if len(rows) < len(everything) and not (is_given("domain") or is_given("task_lists")):
        hidden = len(everything) - len(rows)
        logging.getLogger(__name__).info("%d more, which SWF_DOMAIN or SWF_TASK_LIST exclude", hidden)


def _choose(rows: "list[HeldTask]", domain: str, task_lists: tuple[str, ...]) -> "list[HeldTask]":
    return [row for row in rows if domain in ("", row.domain) and (not task_lists or row.task_list in task_lists)]
