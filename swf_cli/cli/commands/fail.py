"""`swf fail`."""

from ...models import TaskReference
from ..command import command, option
from ..inputs import FailureText
from ..options import CommonOptions, retry_option, task_options, text_or_file
from ..usage import guess_task_option


@command(
    positional=guess_task_option,
    epilog="""\b
Examples:
  swf fail --task task.json --reason "no such image"
  convert in.png out.jpg 2> errors.txt || swf fail --task task.json --reason convert --details-file errors.txt
""",
)
@option("--reason", type=FailureText("reason"), help="Failure reason, to classify failures, up to 256 characters.")
@text_or_file("details", "Human-readable details")
@retry_option
@task_options
def fail(common: CommonOptions, task: TaskReference, retry_for: int, reason: str | None, details: str | None) -> None:
    """Fail a task, with a reason.

    The workflow's decider decides whether to retry it. Exits with 5 if the task is not open.
    """
    from ...responding import Outcome, close_task

    responder = common.responder(retry_for)
    with common.ledger() as ledger:
        close_task(responder, task, Outcome("failed", reason=reason, details=details), ledger)
