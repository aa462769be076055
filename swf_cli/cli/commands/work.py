"""`swf work`."""

import gc
import sys
from typing import Any, Final, Literal

import click

from ...output import log
from ..options import GlobalOptions, common_options, poller_options, tell
from ..params import Duration

_FILES: Final = 64  # that are open whatever the number of slots
_GARBAGE: Final = 10_000  # objects
_TURN: Final = 0.05  # seconds
_FILES_A_SLOT: Final = 8  # connections, and what a command writes to


class Heartbeat(Duration):
    """`auto`, `off`, or a duration."""

    name = "auto|off|duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Give the word, or the seconds."""
        return value if value in ("auto", "off") else super().convert(value, param, ctx)


@click.command(
    context_settings={"allow_interspersed_args": False},
    epilog="""\b
Examples:
  swf work -d video -t resize -j 4 -- ./resize.sh
  swf work -d video -t resize --max-tasks 1 -- sh -c 'read name; convert "$name" -resize 50% "small-$name"'
""",
)
@poller_options
@click.option(
    "--jobs",
    "-j",
    "slots",
    metavar="N",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Tasks to work on at once; SWF lets 1,000 poll a list.",
)
@click.option(
    "--heartbeat",
    type=Heartbeat(least=1),
    default="auto",
    show_default=True,
    help="How often to send heartbeats; auto is a third of the task's heartbeat timeout, 60 s at most.",
)
@click.option(
    "--grace",
    type=Duration(),
    default="10s",
    show_default=True,
    help="Time from asking COMMAND to end (TERM) to killing it.",
)
@click.option("--max-tasks", metavar="N", type=click.IntRange(min=1), help="Stop after so many tasks.")
@click.option(
    "--idle-exit",
    type=Duration(),
    help="Stop when no task has come for so long, once the polls that SWF holds are over (60 s at most).",
)
@click.option(
    "--orphans",
    type=click.Choice(["fail", "keep"]),
    default="fail",
    show_default=True,
    help="What to do, at the start, with tasks of a worker here that died: end their commands and fail them, or not.",
)
@common_options(domain_required=True)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def work(
    common: GlobalOptions,
    task_list: str,
    identity: str,
    slots: int,
    heartbeat: float | Literal["auto", "off"],
    grace: int,
    max_tasks: int | None,
    idle_exit: int | None,
    orphans: str,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND once for each task: a worker of any program.

    COMMAND gets the input on stdin, and SWF_TASK_ID, SWF_ACTIVITY_NAME, SWF_WORKFLOW_ID and more in its environment.
    Exit code 0 completes the task with what it wrote to stdout; anything else fails it, with the end of stderr.
    The last line that it writes to the file $SWF_HEARTBEAT_FILE goes with the next heartbeat.

    Ctrl-C or SIGTERM takes no new task and lets finish what runs; twice asks the commands to end; three times kills.
    """
    from shutil import which

    from ... import polling
    from ...processes import raise_open_file_limit
    from ...worker.config import Plan
    from ...worker.shutdown import stopping
    from ...worker.worker import Worker

    executable = which(command[0])
    if executable is None:
        raise click.BadParameter(f"{command[0]} is not found, or not executable.", param_hint="COMMAND")
    if not raise_open_file_limit(files := slots * _FILES_A_SLOT + _FILES):
        raise click.BadParameter(f"{slots} jobs need {files} open files: see `ulimit -n`.", param_hint="--jobs")
    session, ledger = common.session(connections=slots + 2), common.ledger()
    origin = polling.origin(session, common.domain, task_list, identity)
    plan = Plan(command, executable, slots, heartbeat, grace, max_tasks, idle_exit, orphans == "keep")
    # This process lives long: its garbage is collected, unlike a short command's. Its threads mostly wait; when they
    # do not, turns of 5 ms cost them some of their speed.
    gc.freeze()
    gc.set_threshold(_GARBAGE, 20, 20)
    sys.setswitchinterval(_TURN)
    try:
        reporter = log.WorkReporter(common.output.color)
        worker = Worker(session, origin, ledger, plan, reporter)
        with stopping(worker, tell):
            try:
                with reporter.live(worker.tally):
                    worker.run()
            finally:
                if worker.has_begun:
                    reporter.sum_up(worker.tally)
    finally:
        ledger.close()
