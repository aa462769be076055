"""`swf local cancel`."""

from ....output import terminal
from ...command import command, option
from ...options import CommonOptions, common_options
from ...params import Name
from .shared import decider


@command(
    epilog="""\b
Example:
  swf local cancel --workflow-id video-7
"""
)
@option("--workflow-id", metavar="ID", required=True, type=Name("workflow ID"), help="Workflow ID of the tasks.")
@option(
    "--id", "activity_id", metavar="ID", type=Name("activity ID"), default_text="all", help="Activity ID of one task."
)
@common_options(domain_required=True)
def cancel(common: CommonOptions, workflow_id: str, activity_id: str | None) -> None:
    """Request cancellation of the activity tasks of an execution.

    A task that is not started is cancelled at once. A started one shows the request in the response to its next
    heartbeat. Exits with 5 if no such task is open.
    """
    requested = decider(common).request_cancel(workflow_id, activity_id)
    terminal.print_message(f"requested cancellation of {', '.join(requested)} in workflow {workflow_id}")
