"""`swf local schedule`."""

from datetime import timedelta
from typing import Any

import click

from ....models import ActivityId, PartialTaskConfiguration, check_text, format_timeout
from ...options import Decorator, GlobalOptions, common_options, tell
from ...params import BoundedText, Duration
from .shared import decider


class Timeout(Duration):
    """A duration, or `none` for unlimited."""

    name = "duration|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Give a timedelta, or None for unlimited."""
        if isinstance(value, str) and value.lower() == "none":
            return None
        timeout = timedelta(seconds=super().convert(value, param, ctx))
        try:
            format_timeout(timeout)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        return timeout


class Activity(click.ParamType[ActivityId]):
    """An activity type, NAME or NAME:VERSION; its version is 1 unless given."""

    name = "name[:version]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ActivityId:
        """Give name and version, or refuse them."""
        name, _, version = value.partition(":")
        activity = ActivityId(name, version or "1")
        try:
            check_text("activity name", activity.name)
            check_text("activity version", activity.version)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        return activity


def timeout_option(name: str, what: str) -> Decorator:
    """Add an option for a timeout, unlimited unless given."""
    return click.option(f"--{name}-timeout", type=Timeout(), help=f"{what}; unlimited unless given.")


@click.command(
    epilog="""\b
Examples:
  swf local schedule --task-list resize --activity resize --input in.png
  swf local schedule -t resize --activity resize:2 --workflow-id video-7 --heartbeat-timeout 30s
"""
)
@click.option(
    "--task-list",
    "-t",
    envvar="SWF_TASK_LIST",
    show_envvar=True,
    required=True,
    type=BoundedText("task list"),
    help="Task list to put it on.",
)
@click.option("--activity", required=True, type=Activity(), help="Activity type; version 1 unless given.")
@click.option(
    "--input", "task_input", type=BoundedText("input"), help="Input of the task, at most 32,768 characters."
)
@click.option(
    "--workflow-id", type=BoundedText("workflow id"), help="Execution to add it to, or to start; a new one."
)
@click.option("--priority", type=click.IntRange(-(2**31), 2**31 - 1), help="Higher goes first; 0 unless given.")
@timeout_option("schedule-to-start", "The longest it may wait for a worker")
@timeout_option("start-to-close", "The longest a worker may take")
@timeout_option("schedule-to-close", "The longest from scheduling to the end")
@timeout_option("heartbeat", "The longest from one heartbeat to the next")
@common_options(domain_required=True)
def schedule(
    common: GlobalOptions,
    task_list: str,
    activity: ActivityId,
    task_input: str | None,
    workflow_id: str | None,
    priority: int | None,
    schedule_to_start_timeout: timedelta | None,
    start_to_close_timeout: timedelta | None,
    schedule_to_close_timeout: timedelta | None,
    heartbeat_timeout: timedelta | None,
) -> None:
    """Put an activity task on a task list.

    Registers what is missing, starts an execution and decides for it, by SWF's own API; on a local SWF only.
    """
    configuration = PartialTaskConfiguration(
        task_list,
        runtime_timeout=start_to_close_timeout,
        schedule_timeout=schedule_to_start_timeout,
        total_timeout=schedule_to_close_timeout,
        heartbeat_timeout=heartbeat_timeout,
        priority=priority,
    )
    execution, activity_id = decider(common).schedule(activity, configuration, task_input, workflow_id)
    tell(f"scheduled {activity_id} of workflow {execution.id}, run {execution.run_id}, on {task_list}")
