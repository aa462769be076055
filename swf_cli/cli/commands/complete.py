"""`swf complete`."""

from ...models import TaskReference
from ..command import command
from ..options import CommonOptions, retry_option, task_options, text_or_file
from ..usage import guess_task_option


@command(
    positional=guess_task_option,
    epilog="""\b
Examples:
  swf complete --task task.json --result ok
  make-thumbnail | swf complete --task task.json --result-file -
""",
)
@text_or_file("result", "Result of the task")
@retry_option
@task_options
def complete(common: CommonOptions, task: TaskReference, retry_for: int, result: str | None) -> None:
    """Complete a task, with its result.

    Exits with 5 if the task is not open.
    """
    from ...responding import Outcome, close_task

    responder = common.responder(retry_for)
    with common.ledger() as ledger:
        close_task(responder, task, Outcome("completed", result=result), ledger)
