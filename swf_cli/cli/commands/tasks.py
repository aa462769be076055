"""`swf tasks`."""

import click

from ..options import GlobalOptions, common_options
from ..params import BoundedText


@click.command(
    epilog="""\b
Examples:
  swf tasks -d video --workflow-id video-7
  swf tasks -d video --workflow-id video-7 --all
"""
)
@click.option("--workflow-id", required=True, type=BoundedText("workflow id"), help="Workflow id of the execution.")
@click.option("--run-id", type=BoundedText("run id"), help="Run of it; the open one unless given, else the newest.")
@click.option("--all", "everything", is_flag=True, help="Closed tasks too, and how each ended.")
@common_options(domain_required=True)
def tasks(common: GlobalOptions, workflow_id: str, run_id: str | None, everything: bool) -> None:
    """Show the activity tasks of an execution.

    Where each is, since when, and when its own timeouts end it.
    """
    from ...models import ExecutionId
    from ...monitor.scanner import DomainScanner
    from ...output import tasks

    survey = DomainScanner(common.session().no_retry, common.domain)
    execution = ExecutionId(workflow_id, run_id) if run_id else survey.find(workflow_id)
    found = [task for task in survey.tasks(execution, everything=everything) if everything or task.is_open]
    tasks.show_tasks(common.output, execution, found, survey.now())
