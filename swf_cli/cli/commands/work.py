"""`swf work`."""

import gc
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ...errors import CheckFailed
from .. import completers
from ..command import command, option
from ..options import CommonOptions, common_options, identity_option, task_lists_option
from ..params import Choice, Duration, FileName, WholeNumber
from ..usage import UsageError

if TYPE_CHECKING:
    from ...worker.config import WorkerConfig, WorkerStats
    from ...worker.handlers import Programs

_FILES: Final = 64  # that are open whatever the number of slots
_FILES_PER_SLOT: Final = 10  # connections, and what a command reads and writes
_GARBAGE: Final = 10_000  # objects
_SWITCH_INTERVAL: Final = 0.05  # seconds


class Heartbeat(Duration):
    """`auto`, `off`, or a duration."""

    name = "auto|off|duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the word, or the seconds, or fail."""
        return value if value in ("auto", "off") else super().convert(value, param, ctx)


@command(
    context_settings={"allow_interspersed_args": False},
    epilog="""\b
Examples:
  swf work -d video -t resize -j 4 -- ./resize.sh
  swf work -d video -t resize -t upload -j 8 --handlers ./handlers
  swf work -d video -t resize -j 4 --stream -- python3 handler.py
""",
)
@task_lists_option("Task list to poll.", required=True)
@identity_option
@option(
    "--handlers",
    metavar="DIR",
    type=FileName(),
    help="Run DIR/ACTIVITY-NAME for each task, instead of COMMAND.",
)
@option("--stream", is_flag=True, help="Keep COMMAND running: a JSON line per task on stdin, JSON lines on stdout.")
@option(
    "--jobs",
    "-j",
    "slots",
    type=WholeNumber(1, 1000),
    default=1,
    help="Number of concurrent tasks (SWF allows 1,000 pollers per list).",
)
@option(
    "--heartbeat",
    type=Heartbeat(minimum=1),
    default="auto",
    help="Longest time between heartbeats; auto is a third of the task's heartbeat timeout, at most 60 s.",
)
@option(
    "--grace",
    type=Duration(),
    default="10s",
    help="Time between SIGTERM and SIGKILL when stopping COMMAND, and for retrying if it cannot be started.",
)
@option("--max-tasks", type=WholeNumber(1), help="Exit after N tasks.")
@option(
    "--idle-exit",
    type=Duration(),
    help="Exit after this long without a task, once each list was empty; polls in flight may add up to 75 s.",
)
@option(
    "--orphans",
    type=Choice("fail", "keep"),
    default="fail",
    help="At start-up, stop and fail tasks left by a crashed worker on this machine, or leave them alone.",
)
@option("--log-format", type=Choice("text", "json"), default="text", help="Format of the log on stderr.")
@option(
    "--alive-file",
    metavar="FILE",
    type=FileName(),
    help="Touch FILE with every answered poll and heartbeat, for liveness probes.",
)
@option("--check", is_flag=True, help="Exit with 8 if a task failed.")
@common_options(domain_required=True)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, shell_complete=completers.programs)
def work(
    common: CommonOptions,
    task_lists: tuple[str, ...],
    identity: str,
    command: tuple[str, ...],
    log_format: str,
    check: bool,
    **settings: Any,
) -> None:
    """Run COMMAND for each task, as an activity worker.

    COMMAND reads the task's input from stdin. It inherits the worker's environment, AWS variables included, plus
    SWF_TASK_ID, SWF_ACTIVITY_NAME, SWF_WORKFLOW_ID and more (`swf help scripting`). Exit code 0 completes the task
    with stdout, or the file $SWF_RESULT_FILE, as its result; anything else fails it, with the file $SWF_REASON_FILE
    as reason and the end of stderr as details. The last line of $SWF_HEARTBEAT_FILE is sent with the next heartbeat.

    Ctrl-C or SIGTERM stops polling and waits for running tasks; a second one terminates the commands, a third kills
    them. Ctrl-\\ (SIGQUIT) kills them at once.
    """
    from ...output.log import configure_logging, log_summary
    from ...output.progress import work_progress
    from ...polling import poll_source
    from ...processes import OrphanReaper
    from ...worker.shutdown import staged_shutdown
    from ...worker.worker import Worker

    if log_format == "json":
        configure_logging("json")
    handlers: str | None = settings.pop("handlers")
    programs = _find_programs(command, handlers, settings["stream"])
    config = _configure(programs, settings)
    session = common.session(connections=config.slots + 2)
    sources = [poll_source(session, common.domain, name, identity) for name in dict.fromkeys(task_lists)]
    _prepare_process()
    with common.ledger() as ledger, OrphanReaper():
        worker = Worker(session, sources, ledger, config, retrier=common.retrier)
        progress = nullcontext() if log_format == "json" else work_progress(worker.stats, common.output.color)
        with staged_shutdown(worker.shutdown):
            try:
                with progress:
                    worker.run()
            finally:
                if worker.is_connected:
                    log_summary(worker.stats)
    if check:
        _check(worker.stats)


def _find_programs(command: tuple[str, ...], handlers: str | None, stream: bool) -> "Programs":
    from ...output.log import log_handlers
    from ...worker.handlers import FixedCommand, HandlerFolder

    if handlers is not None and (command or stream):
        raise UsageError(f"--handlers and {'--stream' if stream else 'COMMAND'} are mutually exclusive")
    if handlers is None and not command:
        raise UsageError("no COMMAND given", hint="pass `-- COMMAND`, or --handlers DIR")
    try:
        if handlers is None:
            return FixedCommand(command)
        folder = HandlerFolder(Path(handlers))
        log_handlers(folder.names(), folder.find_broken())
    except OSError as error:
        if command:
            what, option = f"run {command[0] or repr('')}", "COMMAND"
        else:
            what, option = f"use {handlers}", "--handlers"
        raise click.BadParameter(f"cannot {what}: {error.strerror}", param_hint=option) from error
    return folder


def _configure(programs: "Programs", settings: dict[str, Any]) -> "WorkerConfig":
    from ...output.progress import count_of
    from ...processes import raise_open_file_limit
    from ...worker.config import WorkerConfig

    config = WorkerConfig(programs, **settings)
    if not raise_open_file_limit(files := config.slots * _FILES_PER_SLOT + _FILES):
        message = f"{count_of(config.slots, 'job')} would need {files} open files (see `ulimit -n`)"
        raise click.BadParameter(message, param_hint="--jobs")
    return config


def _prepare_process() -> None:
    """Prepare this process to live long, and to start others.

    Unlike a short command's, its garbage is collected. Threads are switched less often than every 5 ms, which would
    slow down those that work. SIGCHLD is reset: if the parent ignored it, the exit status of commands would be lost.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    gc.freeze()
    gc.set_threshold(_GARBAGE, 20, 20)
    sys.setswitchinterval(_SWITCH_INTERVAL)


def _check(stats: "WorkerStats") -> None:
    from ...output.progress import describe_failures

    if stats.failed_here:
        raise CheckFailed(describe_failures(stats))
