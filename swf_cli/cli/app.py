"""The `swf` command: its subcommands by purpose, each loaded when it is run; and the boundary for errors."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

import click
from click.core import ParameterSource

from .._version import __version__
from ..errors import ExitCode, OutputError, Signalled, SwfError
from ..output import shell, terminal
from .group import LazyGroup

SECTIONS: Final = {
    "Take a task, keep it alive, finish it": {
        "poll": "Wait for a task and print it.",
        "heartbeat": "Tell SWF that a task is alive, and hear whether it should stop.",
        "complete": "Close a task as completed, with its result.",
        "fail": "Close a task as failed, with a reason.",
        "cancel": "Close a task as cancelled, once its cancellation was requested.",
    },
    "Find what is stuck": {
        "stuck": "Find the open tasks that look stuck: why each does, and what to do.",
        "tasks": "Show the activity tasks of an execution.",
    },
    "Work on every task": {
        "work": "Run COMMAND once for each task: a worker of any program.",
    },
    "See what waits, and what is held": {
        "pending": "Count the tasks that wait on task lists.",
        "held": "List the tasks that this machine took and has not closed.",
    },
    "Try it without AWS": {
        "local": "Run a local SWF, and put tasks on its lists.",
    },
    "Set up the shell": {
        "completion": "Print the completion script of a shell.",
    },
}


@click.command(
    cls=LazyGroup,
    package="swf_cli.cli.commands",
    sections=SECTIONS,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
    epilog="`swf COMMAND --help` tells a command's options and gives an example.",
)
@click.version_option(__version__, message="swf %(version)s")
def swf() -> None:
    """Work with Amazon SWF activity tasks: take one, keep it alive, finish it, and count what waits."""


def run(args: Sequence[str]) -> int:
    """Run the command line and give its exit code: the one place where an error becomes a line and a code."""
    code: int = ExitCode.REFUSED
    try:
        code = _run(args)
    except Signalled as end:
        code = 128 + end.number
        raise
    finally:
        # What a shell evals must tell it of every failure: the exit code of `$(…)` inside eval is lost.
        if code and args[:1] == ["poll"] and "--eval" in args and not {"--help", "-h"}.intersection(args):
            _write_shell_failure(code)
    return code


def _run(args: Sequence[str]) -> int:
    try:
        _check_utf8(args)
        return int(swf.main(list(args), prog_name="swf", standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        with suppress(OSError):
            sys.stderr.write(f"{error.format_message()}\n")
        return ExitCode.USAGE
    except click.ClickException as error:
        # click lists choices on lines of their own.
        _explain(args, error, " ".join(_message(error).split()), _usage_hint(args, error))
        return error.exit_code
    except click.Abort as error:
        _explain(args, error, "given up", None)
        return ExitCode.REFUSED
    except OutputError as error:
        if error.message:  # else the reader has gone away, and knows
            _explain(args, error, error.message, None)
        return error.exit_code
    except SwfError as error:
        _explain(args, error, error.message, error.hint)
        return error.exit_code
    except OSError as error:
        # What click itself prints, such as help, goes to stdout without passing by `render.write`.
        terminal.discard_stdout()
        _explain(args, error, terminal.why_not_written(error), None)
        return ExitCode.REFUSED
    except Exception as error:
        _explain(args, error, f"unexpected {type(error).__name__}: {error}", "--debug shows where it comes from")
        return ExitCode.REFUSED


def _check_utf8(args: Sequence[str]) -> None:
    for before, arg in zip(("", *args), args, strict=False):
        try:
            arg.encode()
        except UnicodeEncodeError as error:
            what = f"the value of {before}" if before.startswith("-") else "an argument"
            raise click.UsageError(f"{what} is not UTF-8 text: {arg!r}.") from error


def _explain(args: Sequence[str], error: BaseException, message: str, hint: str | None) -> None:
    if "--debug" in _own_options(args):
        import traceback

        for line in "".join(traceback.format_exception(error)).splitlines():
            terminal.print_stderr(line)
    terminal.print_stderr(f"swf: {message.rstrip('.')}")
    if hint:
        terminal.print_stderr(f"hint: {hint}")


def _own_options(args: Sequence[str]) -> Iterator[str]:
    for arg in args:
        if arg == "--":
            return
        yield arg


def _message(error: click.ClickException) -> str:
    """Give click's message, without the variable that it names beside an option that was given itself."""
    message, param = error.format_message(), getattr(error, "param", None)
    ctx: click.Context | None = getattr(error, "ctx", None)
    given = ctx and param and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
    return message.replace(f" (env var: {param.envvar!r})", "", 1) if given and param else message


def _usage_hint(args: Sequence[str], error: click.ClickException) -> str | None:
    ctx: click.Context | None = getattr(error, "ctx", None)
    command = " ".join(["swf", *args[:1]]) if ctx is None else ctx.command_path
    return f"see `{command} --help`" if isinstance(error, click.UsageError) else None


def _write_shell_failure(code: int) -> None:
    with suppress(OutputError):
        terminal.write_stdout(shell.shell_no_task(code))
