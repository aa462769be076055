"""Usage errors: what is wrong in one line, and what to do about it in another."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click
from click.core import ParameterSource

from ..names import did_you_mean, suggest_names

_MOST_OWNERS: Final = 4
"""An option of more commands than this is a common one: that others have it says nothing."""


_LONGEST_PATH: Final = 255
"""Characters of a file's path, beyond which it is taken for a token."""


class UsageError(click.UsageError):
    """Wrong usage, with a hint what to do about it; without one the hint is to see the command's help."""

    def __init__(self, message: str, ctx: click.Context | None = None, *, hint: str | None = None) -> None:
        super().__init__(message, ctx)
        self.hint = hint


class MissingCommand(click.UsageError):
    """A group was run without a command: its help is the answer."""

    def __init__(self, ctx: click.Context) -> None:
        super().__init__("no command given", ctx)
        self.help = ctx.get_help()


def long_name(param: click.Parameter) -> str:
    """Return the long name of an option."""
    return max(param.opts, key=len)


@contextmanager
def naming(ctx: click.Context) -> Iterator[None]:
    """Have usage errors that name no command name the one of this context."""
    try:
        yield
    except click.UsageError as error:
        error.ctx = error.ctx or ctx
        raise


def guess_task_option(argument: str) -> str:
    """Return the option that names a task by what this probably is: a key, a token, or else a file."""
    if re.fullmatch("[0-9a-f]{2,40}", argument):
        return "--held"
    return "--token" if len(argument) > _LONGEST_PATH else "--task"


def explain(error: click.ClickException) -> tuple[str, str | None]:
    """Return the message and the hint for an error of the command line."""
    ctx = getattr(error, "ctx", None)
    help_hint = f"see `{ctx.command_path if ctx else 'swf'} --help`"
    if isinstance(error, UsageError):
        return error.message, error.hint or help_hint
    if isinstance(error, click.NoSuchOption):
        name = ctx.command_path if ctx else "swf"
        return f"`{name}` has no option {error.option_name}", _suggest_option(error.option_name, ctx) or help_hint
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return _explain_missing(error.param, ctx, help_hint)
    if isinstance(error, click.BadParameter):
        return f"{_name(error)}: {_plain(error.message)}", help_hint
    if isinstance(error, click.BadOptionUsage):
        return _explain_value(error, ctx), help_hint
    return _plain(error.format_message()), help_hint if isinstance(error, click.UsageError) else None


def _plain(message: str) -> str:
    """Make one line of a message of click's, which lists choices on lines of their own, and begins with a capital."""
    line = " ".join(message.split()).rstrip(".")
    return line[:1].lower() + line[1:] if line[1:2].islower() else line


def _explain_missing(param: click.Parameter, ctx: click.Context | None, help_hint: str) -> tuple[str, str]:
    if isinstance(param, click.Argument):
        hint: str = getattr(param.type, "hint", help_hint)
        return f"no {param.human_readable_name.upper().rstrip('.')} given", hint
    name = long_name(param)
    return f"{name} is required", f"pass {name}, or set {param.envvar}" if param.envvar else help_hint


def _name(error: click.BadParameter) -> str:
    """Return the name of what has a bad value: an argument, or an option and the variable that gave the value."""
    param, ctx = error.param, error.ctx
    if param is None or error.param_hint is not None:
        return " ".join([error.param_hint] if isinstance(error.param_hint, str) else error.param_hint or [])
    if isinstance(param, click.Argument):
        return param.human_readable_name.upper()
    name = long_name(param)
    by_variable = ctx and param.name and ctx.get_parameter_source(param.name) is ParameterSource.ENVIRONMENT
    return f"{name} (from {param.envvar})" if by_variable else name


def _explain_value(error: click.BadOptionUsage, ctx: click.Context | None) -> str:
    params = ctx.command.params if ctx else []
    flags = {name for param in params if isinstance(param, click.Option) and param.is_flag for name in param.opts}
    return f"{error.option_name} {'takes no value' if error.option_name in flags else 'requires a value'}"


def _suggest_option(name: str, ctx: click.Context | None) -> str | None:
    """Suggest the command that has an option, or a near option of the command itself."""
    if ctx is None:
        return None
    owners = [path for path, command in _commands(ctx.find_root()) if name in _options(command)]
    if 0 < len(owners) <= _MOST_OWNERS:
        *others, last = [f"`{path}`" for path in owners]
        return f"{name} is an option of {' and '.join([', '.join(others), last] if others else [last])}"
    return did_you_mean(suggest_names(name, _options(ctx.command)))


def _commands(root: click.Context) -> Iterator[tuple[str, click.Command]]:
    groups = [(root.command_path, root.command)]
    for path, group in groups:
        assert isinstance(group, click.Group)  # noqa: S101 - the root is one, and only groups are added
        for name in group.list_commands(root):
            command = group.get_command(root, name)
            if isinstance(command, click.Group):
                groups.append((f"{path} {name}", command))
            elif command is not None:
                yield f"{path} {name}", command


def _options(command: click.Command) -> set[str]:
    return {name for param in _option_params(command) for name in param.opts}


def _option_params(command: click.Command) -> list[click.Option]:
    return [param for param in command.params if isinstance(param, click.Option)]


def read_options(ctx: click.Context, args: Sequence[str]) -> Mapping[str, Any]:
    """Return the options of a command line by parameter name, without defaults and variables, despite its mistakes.

    A word is read as the command's own parser reads it: the value of an option is neither an option nor a command.
    With an unknown command or option, the options of every command count, since any may have been meant.
    """
    options, rest, is_wrong = _parse(ctx, args)
    if isinstance(ctx.command, click.Group) and rest and not is_wrong:
        name, *args = rest
        if found := ctx.command.get_command(ctx, name):
            inner = click.Context(found, parent=ctx, info_name=name, **found.context_settings)
            return {**options, **read_options(inner, args)}
        is_wrong = True
    if is_wrong:
        commands = [command for _, command in _commands(ctx.find_root())]
        params = {tuple(param.opts): param for command in commands for param in _option_params(command)}
        anything = click.Command(None, params=list(params.values()))
        options = {**options, **_parse(click.Context(anything, parent=ctx), args)[0]}
    return options


def _parse(ctx: click.Context, args: Sequence[str]) -> tuple[dict[str, Any], list[str], bool]:
    """Return a command's options, the words that are left, and whether there was a mistake, which is skipped."""
    parser, words, is_wrong = ctx.command.make_parser(ctx), list(args), False
    while True:
        unread = list(words)
        try:
            options, rest, _ = parser.parse_args(unread)
        except click.UsageError:
            is_wrong = True
            # The parser takes words out of its list: the last that it took is the wrong one.
            position = len(words) - len(unread) - 1
            name, equals, _ = words[position].partition("=")
            words[position : position + 1] = [name] if equals else []  # --eval=x is a mistake, but means --eval
        else:
            return options, rest, is_wrong
