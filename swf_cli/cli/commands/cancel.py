"""`swf cancel`."""

from ...models import TaskReference
from ..command import command
from ..options import CommonOptions, retry_option, task_options, text_or_file
from ..usage import guess_task_option


@command(
    positional=guess_task_option,
    epilog="""\b
Example:
  swf cancel --task task.json --details "stopped at page 7"
""",
)
@text_or_file("details", "Human-readable details")
@retry_option
@task_options
def cancel(common: CommonOptions, task: TaskReference, retry_for: int, details: str | None) -> None:
    """Report a task as cancelled, once cancellation was requested.

    SWF accepts this only after the workflow's decider requested the cancellation, which `swf heartbeat` reports.
    Exits with 5 if the task is not open, and with 1 if its cancellation was not requested.
    """
    from ...responding import Outcome, close_task

    responder = common.responder(retry_for)
    with common.ledger() as ledger:
        close_task(responder, task, Outcome("cancelled", details=details), ledger)
