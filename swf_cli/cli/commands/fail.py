"""`swf fail`."""

import click

from ...models import TaskReference
from ...responding import Answer, answer
from ..options import GlobalOptions, retry_option, task_options, tell, text_or_file
from ..params import BoundedText


@click.command(
    epilog="""\b
Examples:
  swf fail --task task.json --reason "no such image"
  convert in.png out.jpg 2> errors.txt || swf fail --task task.json --reason convert --details-file errors.txt
"""
)
@click.option(
    "--reason", type=BoundedText("reason"), help="Reason, for telling failures apart, at most 256 characters."
)
@text_or_file("details", "details", "Details, for people")
@retry_option
@task_options
def fail(common: GlobalOptions, task: TaskReference, retry_for: int, reason: str | None, details: str | None) -> None:
    """Close a task as failed, with a reason.

    Whether it is tried again is up to the workflow's decider. Exits with 5 when the task is not open any more.
    """
    what = Answer("failed", reason=reason, details=details)
    answer(common.session().no_retry, task, what, common.ledger(), retry_for=retry_for, tell=tell)
