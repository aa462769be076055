"""The root of the command line: the commands by purpose, and the boundary where errors become exit codes."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import click

from .._version import __version__
from ..errors import ExitCode, OutputError, Signalled, SwfError, explain_unexpected
from ..output import shell, terminal
from . import topics
from .group import LazyGroup
from .timing import Timing
from .usage import MissingCommand, explain, read_options

SECTIONS: Final = {
    "Handle one task": {
        "poll": "Wait for a task and print it.",
        "heartbeat": "Send a heartbeat and report whether cancellation was requested.",
        "complete": "Complete a task, with its result.",
        "fail": "Fail a task, with a reason.",
        "cancel": "Report a task as cancelled, once cancellation was requested.",
    },
    "Find what is stuck": {
        "stuck": "Find open tasks that look stuck, with the reason and what to do.",
        "tasks": "Show the activity tasks of an execution or a domain.",
    },
    "Run a worker": {
        "work": "Run COMMAND for each task, as an activity worker.",
    },
    "Inspect queues and held tasks": {
        "pending": "Count the tasks waiting on task lists.",
        "held": "List tasks that this machine polled and has not closed.",
    },
    "Try it without AWS": {
        "local": "Run a local SWF and schedule tasks on it.",
    },
    "Help and shell completion": {
        "help": "Show help for a command or a topic.",
        "completion": "Print a shell completion script.",
    },
}


class Root(LazyGroup):
    """The root group: it lists the topics of `swf help` too."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the topics, and where to read on."""
        with formatter.section("Topics of `swf help TOPIC`"):
            formatter.write_dl(list(topics.SUMMARIES.items()))
        super().format_epilog(ctx, formatter)


@click.command(
    cls=Root,
    package="swf_cli.cli.commands",
    sections=SECTIONS,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
    epilog="Run `swf COMMAND --help` for options and examples. Options common to all commands, such as --domain and "
    "--output, may stand before or after the command.",
)
@click.version_option(__version__, message="swf %(version)s", help="Show the version and exit.")
@click.pass_context
def swf(ctx: click.Context) -> None:
    """Poll, run and inspect Amazon SWF activity tasks."""
    if ctx.invoked_subcommand in ("help", "completion"):  # they log nothing, and start in no time
        return
    import threading

    from ..output.log import configure_logging, log_thread_error

    configure_logging()
    threading.excepthook = log_thread_error


def run(args: Sequence[str], timing: Timing | None = None) -> int:
    """Run the command line and return its exit code: the one place where an error becomes a line and a code."""
    if shell_name := os.environ.get("_SWF_COMPLETE"):
        from .shells import complete

        return complete(swf, shell_name, args)
    code: int = ExitCode.REFUSED
    try:
        code = _run(args, timing)
    except Signalled as end:
        code = 128 + end.number
        raise
    finally:
        # A shell must learn of every failure from what it evaluates: the exit code of `$(...)` in an eval is lost.
        if code and _read_options(args).get("for_eval"):
            _write_shell_failure(code)
        terminal.flush_stderr()
    return code


def _run(args: Sequence[str], timing: Timing | None) -> int:
    try:
        return int(swf.main(list(args), prog_name="swf", standalone_mode=False, obj=timing) or 0)
    except MissingCommand as error:
        for line in error.help.splitlines():
            terminal.print_stderr(line)
        return ExitCode.USAGE
    except click.ClickException as error:
        _print_error(args, error, *explain(error))
        return error.exit_code
    except click.Abort as error:
        _print_error(args, error, "aborted", None)
        return ExitCode.REFUSED
    except SwfError as error:
        if error.message:  # empty if the reader of stdout closed the pipe
            _print_error(args, error, error.message, error.hint)
        return error.exit_code
    except Exception as error:
        _print_error(args, error, *explain_unexpected(error))
        return ExitCode.REFUSED


def _print_error(args: Sequence[str], error: BaseException, message: str, hint: str | None) -> None:
    from ..output.log import configure_logging, report_error

    options = _read_options(args)
    is_usage = isinstance(error, click.UsageError)  # where it was raised says nothing about it
    lines = list(_traceback(error)) if options.get("debug") and not is_usage else []
    if options.get("log_format") == "json":
        configure_logging("json")  # the error may be one of the command line itself
    report_error(message.rstrip("."), hint, lines)


def _traceback(error: BaseException) -> Iterator[str]:
    """Yield the lines of a traceback, with each message as one: it may hold line breaks of others."""
    import traceback

    origin = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if origin is not None:
        yield from _traceback(origin)
        yield "which led to:"
    yield "Traceback (most recent call last):"
    for frame in traceback.format_tb(error.__traceback__):
        yield from frame.splitlines()
    yield f"{type(error).__module__}.{type(error).__qualname__}: {error}"


def _read_options(args: Sequence[str]) -> Mapping[str, Any]:
    try:
        return read_options(click.Context(swf, info_name="swf", **swf.context_settings), args)
    except Exception:  # a command that can't be loaded, for one, must not keep its error from being reported
        return {"for_eval": "--eval" in args, "debug": "--debug" in args}


def _write_shell_failure(code: int) -> None:
    with suppress(OutputError):
        terminal.write_stdout(shell.shell_no_task(code))
