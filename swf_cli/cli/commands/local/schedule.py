"""`swf local schedule`."""

from collections.abc import Iterator
from datetime import timedelta
from functools import wraps
from typing import Any

import click

from ....models import ActivityId, PartialTaskConfiguration, check_text
from ....output import terminal
from ....output.cards import card
from ...command import command, option
from ...options import CommandFunction, CommonOptions, Decorator, apply_options, common_options
from ...params import BoundedText, Duration, Name, ParamType, WholeNumber, check_name
from .shared import decider


class Timeout(Duration):
    """A duration, or `none` for unlimited."""

    name = "duration|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a timedelta, or None for unlimited."""
        if isinstance(value, str) and value.lower() == "none":
            return None
        return timedelta(seconds=super().convert(value, param, ctx))


class Activity(ParamType):
    """An activity type, as NAME or NAME:VERSION."""

    name = "name[:version]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ActivityId:
        """Return the activity type."""
        name, _, version = value.partition(":")
        activity = ActivityId(name, version or "1")
        try:
            check_text("activity name", activity.name)
            check_text("activity version", activity.version)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        for each in (activity.name, activity.version):
            check_name(each, param, ctx)
        return activity


def configuration_options(command: CommandFunction) -> CommandFunction:
    """Add the options of a task's configuration; the command gets a `PartialTaskConfiguration`."""

    def timeout(name: str, what: str) -> Decorator:
        return option(f"--{name}-timeout", type=Timeout(), default_text="none", help=f"{what}.")

    options: list[Decorator] = [
        option(
            "--task-list",
            "-t",
            metavar="NAME",
            envvar="SWF_TASK_LIST",
            required=True,
            type=Name("task list"),
            help="Task list.",
        ),
        option(
            "--priority",
            type=WholeNumber(minimum=-(2**31)),
            default_text="0",
            help="Priority: higher goes first.",
        ),
        timeout("schedule-to-start", "Maximum time to wait for a worker"),
        timeout("start-to-close", "Maximum time for a worker to complete it"),
        timeout("schedule-to-close", "Maximum time from scheduled to completed"),
        timeout("heartbeat", "Maximum time between heartbeats"),
    ]

    @wraps(command)
    def with_configuration(*positional: Any, **arguments: Any) -> Any:
        configuration = PartialTaskConfiguration(
            arguments.pop("task_list"),
            runtime_timeout=arguments.pop("start_to_close_timeout"),
            schedule_timeout=arguments.pop("schedule_to_start_timeout"),
            total_timeout=arguments.pop("schedule_to_close_timeout"),
            heartbeat_timeout=arguments.pop("heartbeat_timeout"),
            priority=arguments.pop("priority"),
        )
        return command(*positional, configuration=configuration, **arguments)

    return apply_options(options, with_configuration)


@command(
    epilog="""\b
Examples:
  swf local schedule --task-list resize --activity resize --input in.png
  swf local schedule -t resize --activity resize:2 --workflow-id video-7 --heartbeat-timeout 30s
  workflow_id=$(swf local schedule -t resize --activity resize -o text)
"""
)
@option("--activity", required=True, type=Activity(), help="Activity type; version 1 if none is given.")
@option("--input", "task_input", type=BoundedText("input"), help="Input, at most 32,768 characters.")
@option(
    "--workflow-id",
    metavar="ID",
    type=Name("workflow ID"),
    default_text="a new ID",
    help="Workflow ID to add the task to, started if it is not open.",
)
@configuration_options
@common_options(domain_required=True)
def schedule(
    common: CommonOptions,
    configuration: PartialTaskConfiguration,
    activity: ActivityId,
    task_input: str | None,
    workflow_id: str | None,
) -> None:
    """Schedule an activity task.

    Registers the domain and types if they are missing, starts an execution unless --workflow-id names an open
    one, and acts as its decider. Reports the task on stderr, or prints it as data with --output or --query. Only
    works with a local SWF.
    """
    execution, activity_id = decider(common).schedule(activity, configuration, task_input, workflow_id)
    if common.output.format or common.output.query is not None:
        data = {
            "id": activity_id,
            "activity": {"name": activity.name, "version": activity.version},
            "execution": {"id": execution.id, "run_id": execution.run_id},
            "domain": common.domain,
            "task_list": configuration.task_list,
        }
        common.output.emit(data, screen=lambda _: card(_lines(data)), text=[(execution.id,)])
    else:
        where = f"in workflow {execution.id}, run {execution.run_id}"
        terminal.print_message(f"scheduled {activity_id} on task list {configuration.task_list} {where}")


def _lines(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    execution, activity = data["execution"], data["activity"]
    yield "id", data["id"]
    yield "activity", f"{activity['name']}:{activity['version']}"
    yield "workflow ID", execution["id"]
    yield "run ID", execution["run_id"]
    yield "domain", data["domain"]
    yield "task list", data["task_list"]
