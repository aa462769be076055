"""`swf held`."""

import time

import click

from ...errors import SwfError
from ...output.held import show_held
from ..options import GlobalOptions, common_options, tell


@click.command(
    epilog="""\b
Examples:
  swf held
  swf fail --held 3f2a --reason "script died"
"""
)
@click.option("--prune", is_flag=True, help="First drop the tasks that SWF's history shows closed.")
@common_options()
def held(common: GlobalOptions, prune: bool) -> None:
    """List the tasks that this machine took and has not closed.

    Newest first; and the polls that broke, each of which may have taken a task with it, for a week.
    """
    ledger = common.ledger()
    if prune:
        from ...responding import prune as drop_closed

        drop_closed(ledger, lambda row: common.of(row).session(), tell)
    rows = ledger.list_held()
    if not ledger.is_usable:
        raise SwfError("what is held can't be told")
    show_held(common.output, rows, time.time())
