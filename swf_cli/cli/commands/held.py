"""`swf held`."""

import os
import time
from typing import TYPE_CHECKING

from ...errors import SwfError
from ..command import command, option
from ..options import CommonOptions, common_options, is_given, task_lists_option

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
def held(common: CommonOptions, task_lists: tuple[str, ...], prune: bool) -> None:
    """List tasks that this machine polled and has not closed.

    Newest first. Also lists, for a week, polls whose response was lost and that may have received a task, and those
    whose response lacked all of the task but its token.
    """
    from ...ledger.records import running_commands
    from ...output.held import show_held

    with common.ledger() as ledger:
        everything = ledger.list_held()
        rows = _choose(everything, common.domain, task_lists)
        if prune and rows:
            from ...task_ends import drop_closed

            drop_closed(ledger, rows, lambda row: common.for_held_task(row).session(), common.invocation)
            everything = ledger.list_held()
            rows = _choose(everything, common.domain, task_lists)
        if not ledger.is_usable:
            raise SwfError("cannot read the list of held tasks")
    if ledger.folder is None and os.environ.get("SWF_LEDGER"):
        import logging  # not for a completion

        logging.getLogger(__name__).info("received tasks are not recorded: SWF_LEDGER is off")
    if_empty = "no task held here matches the options" if everything else "no task is held here"
    show_held(common.output, rows, running_commands(rows), time.time(), if_empty, common.invocation)
    asked = {"SWF_DOMAIN": is_given("domain"), "SWF_TASK_LIST": is_given("task_lists")}
    in_domain, on_lists = common.domain if asked["SWF_DOMAIN"] else "", task_lists if asked["SWF_TASK_LIST"] else ()
    hidden = len(_choose(everything, in_domain, on_lists)) - len(rows)
    if hidden:
        _log_hidden(
            common, hidden, [name for name, is_asked in asked.items() if os.environ.get(name) and not is_asked]
        )


def _log_hidden(common: CommonOptions, hidden: int, variables: list[str]) -> None:
    """Log how many rows variables exclude, which were perhaps forgotten, and how to see them."""
    import logging  # not for a completion

    unset = " ".join(f"-u {name}" for name in variables)
    command = f"env {unset} {common.invocation.format('held', repeat=('--domain', '--task-list'))}"
    exclude = "excludes" if len(variables) == 1 else "exclude"
    message = "%d more, which %s %s: %s"
    logging.getLogger(__name__).info(message, hidden, " and ".join(variables), exclude, command)


def _choose(rows: "list[HeldTask]", domain: str, task_lists: tuple[str, ...]) -> "list[HeldTask]":
    return [row for row in rows if domain in ("", row.domain) and (not task_lists or row.task_list in task_lists)]
