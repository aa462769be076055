"""`swf cancel`."""

import click

from ...models import TaskReference
from ...responding import Answer, answer
from ..options import GlobalOptions, retry_option, task_options, tell, text_or_file


@click.command(
    epilog="""\b
Example:
  swf heartbeat --task task.json || [ $? -ne 4 ] || swf cancel --task task.json --details "stopped at page 7"
"""
)
@text_or_file("details", "details", "Details, for people")
@retry_option
@task_options
def cancel(common: GlobalOptions, task: TaskReference, retry_for: int, details: str | None) -> None:
    """Close a task as cancelled, once its cancellation was requested.

    SWF takes this only after the workflow's decider asked for it, which `swf heartbeat` tells. Exits with 5 when
    the task is not open any more, and with 1 when it is open and nobody asked.
    """
    what = Answer("cancelled", details=details)
    answer(common.session().no_retry, task, what, common.ledger(), retry_for=retry_for, tell=tell)
