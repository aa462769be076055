"""`swf tasks`."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ..command import command, option
from ..options import CommonOptions, common_options, is_given, option_name, task_lists_option
from ..params import BoundedText, Choice, Identifier, Name
from ..usage import UsageError

if TYPE_CHECKING:
    from ...models import ExecutionId
    from ...monitor.filters import TaskFilter
    from ..scanning import Scan

_OPEN_STATES: Final = ("scheduled", "started", "cancelling")
_CLOSED_STATES: Final = ("completed", "failed", "cancelled", "timed_out", "gone")


@command(
    positional="--workflow-id",
    epilog="""\b
Examples:
  swf tasks -d video
  swf tasks -d video --by list
  swf tasks -d video --workflow-id video-7 --all
  swf tasks -d video --workflow-id video-7 --id resize-1

\b
With --output text, each task is a line of fields separated by tabs:
  activity ID, state, task list, workflow ID, run ID, activity, worker, time
  of the last change, reason of the end
and with --by:
  value, scheduled, started, oldest scheduled at, longest running since
""",
)
@option(
    "--workflow-id",
    metavar="ID",
    type=BoundedText("workflow ID"),
    default_text="all workflows",
    help="Only tasks of this workflow.",
)
@option(
    "--run-id",
    metavar="ID",
    type=Identifier("run ID"),
    default_text="the open run, else the newest",
    help="Run ID.",
)
@option(
    "--id",
    "activity_id",
    metavar="ID",
    type=BoundedText("activity ID"),
    help="Show everything about the task with this ID.",
)
@task_lists_option("Only tasks of this list.")
@option("--activity", metavar="NAME", type=Name("activity name"), help="Only tasks of this activity.")
@option("--identity", type=BoundedText("identity"), help="Only tasks that a worker of this identity started.")
@option(
    "--state",
    type=Choice(*_OPEN_STATES, *_CLOSED_STATES),
    metavar="STATE",
    help=f"Only tasks in this state: {', '.join((*_OPEN_STATES, *_CLOSED_STATES))}.",
)
@option("--all", "include_closed", is_flag=True, help="Also show closed tasks, and how each ended.")
@option(
    "--by",
    "field",
    metavar="FIELD",
    type=Choice("list", "activity", "identity", "state", "workflow"),
    help="Count the open tasks by list, activity, identity, state or workflow.",
)
@common_options(domain_required=True)
def tasks(
    common: CommonOptions,
    workflow_id: str | None,
    run_id: str | None,
    activity_id: str | None,
    include_closed: bool,
    field: str | None,
    **filters: Any,
) -> None:
    """Show the activity tasks of an execution or a domain.

    Shows the state of each task, and for how long it has been in that state. Without --workflow-id, it shows every
    open task of the domain; with --id, everything about one task.
    """
    from ...monitor.filters import TaskFilter
    from ..scanning import Scan

    wanted = TaskFilter(**filters)
    include_closed = include_closed or wanted.state in _CLOSED_STATES
    closed_option = "--all" if is_given("include_closed") else f"--state {wanted.state}"
    needs_workflow = {"--run-id": run_id, "--id": activity_id, closed_option: include_closed}
    for name, value in needs_workflow.items():
        if value and workflow_id is None:
            raise UsageError(f"{name} requires --workflow-id")
        if value and field and name != "--run-id":
            raise UsageError(f"{name} cannot be combined with --by, which counts open tasks")
    for name in filters if activity_id is not None else ():
        if is_given(name):
            raise UsageError(f"{option_name(name)} cannot be combined with --id, which names one task")
    scan = Scan(common)
    if workflow_id is None:
        _show_domain(common, scan, wanted, field)
    else:
        execution = _find(scan, workflow_id, run_id)
        if activity_id is not None:
            _show_task(common, scan, execution, activity_id)
        else:
            _show_execution(common, scan, execution, wanted, include_closed, field)
    scan.finish()


def _find(scan: "Scan", workflow_id: str, run_id: str | None) -> "ExecutionId":
    from ...models import ExecutionId

    if run_id is None:
        return scan.scanner.find(workflow_id)
    return ExecutionId(workflow_id, run_id)


def _show_domain(common: CommonOptions, scan: "Scan", wanted: "TaskFilter", field: str | None) -> None:
    from ...monitor.tasks import count_open_tasks, find_open_tasks
    from ...output.tasks import show_open_tasks, show_task_counts

    what = "no open activity task" + _matching(wanted)
    if field is not None:
        with scan.running() as scanner:
            counts, lists = count_open_tasks(scanner, wanted, field)
        show_task_counts(common.output, counts, field, scan.calls.now(), what)
    else:
        with scan.running() as scanner:
            rows, lists = find_open_tasks(scanner, wanted)
        show_open_tasks(common.output, rows, scan.calls.now(), what)
    scan.log_lists(wanted.similar_lists(lists))


def _show_execution(
    common: CommonOptions,
    scan: "Scan",
    execution: "ExecutionId",
    wanted: "TaskFilter",
    include_closed: bool,
    field: str | None,
) -> None:
    from ...monitor.tasks import count_tasks
    from ...output.tasks import show_execution, show_task_counts

    reader = scan.scanner.reader
    found = reader.read_all(execution) if include_closed else reader.read_open(execution)
    similar_lists = wanted.similar_lists(task.task_list for task in found.tasks)
    found = replace(found, tasks=[t for t in found.tasks if (include_closed or t.is_open) and wanted.matches(t)])
    what = "no activity task" if include_closed else "no open activity task (--all shows closed ones too)"
    what += _matching(wanted)
    if field is not None:
        show_task_counts(common.output, count_tasks(found, field), field, scan.calls.now(), what)
    else:
        show_execution(common.output, found, scan.calls.now(), what)
    scan.log_lists(similar_lists)


def _matching(wanted: "TaskFilter") -> str:
    return " matches the options" if wanted else ""


def _show_task(common: CommonOptions, scan: "Scan", execution: "ExecutionId", activity_id: str) -> None:
    from ...monitor.tasks import read_task
    from ...output.tasks import show_task

    show_task(common.output, execution, read_task(scan.scanner, execution, activity_id), scan.calls.now())
