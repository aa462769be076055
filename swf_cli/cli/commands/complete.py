"""`swf complete`."""

import click

from ...models import TaskReference
from ...responding import Answer, answer
from ..options import GlobalOptions, retry_option, task_options, tell, text_or_file


@click.command(
    epilog="""\b
Examples:
  swf complete --task task.json --result ok
  make-thumbnail | swf complete --task task.json --result-file -
"""
)
@text_or_file("result", "result", "Result of the task")
@retry_option
@task_options
def complete(common: GlobalOptions, task: TaskReference, retry_for: int, result: str | None) -> None:
    """Close a task as completed, with its result.

    Exits with 5 when the task is not open any more.
    """
    what = Answer("completed", result=result)
    answer(common.session().no_retry, task, what, common.ledger(), retry_for=retry_for, tell=tell)
