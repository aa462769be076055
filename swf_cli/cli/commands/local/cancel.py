"""`swf local cancel`."""

import click

from ...options import GlobalOptions, common_options, tell
from ...params import BoundedText
from .shared import decider


@click.command(
    epilog="""\b
Example:
  swf local cancel --workflow-id video-7
"""
)
@click.option("--workflow-id", required=True, type=BoundedText("workflow id"), help="Execution of the tasks.")
@click.option(
    "--id", "activity_id", type=BoundedText("activity id"), help="Activity id of one task; all unless given."
)
@common_options(domain_required=True)
def cancel(common: GlobalOptions, workflow_id: str, activity_id: str | None) -> None:
    """Ask to cancel the activity tasks of an execution.

    A task that no worker has started is cancelled at once; the worker of a started one hears of it by a heartbeat.
    Exits with 5 when there is no such open task.
    """
    asked = decider(common).request_cancel(workflow_id, activity_id)
    tell(f"asked to cancel {', '.join(asked)} of workflow {workflow_id}")
