"""Commands and their options: help in sections, usage errors with a hint."""

import shlex
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from ..names import did_you_mean
from .usage import UsageError, long_name, naming

if TYPE_CHECKING:
    from ..invocation import Invocation

OWN: Final = "Options"
TASK: Final = "Task"
AWS: Final = "AWS"
OUTPUT: Final = "Output"
_SECTIONS: Final = (OWN, TASK, AWS, OUTPUT)
_NAME_WIDTH: Final = 30
"""The widest column that help gives the names of options; a longer one has its text on the next line."""

_GIVEN: Final = f"{__name__}.given"
"""Key of what the command line gave, in `click.Context.meta`."""


class Option(click.Option):
    """An option that is listed in a section of the help, with one bracket for all that is known of its value.

    `section` is one of OWN, TASK, AWS and OUTPUT. `variable` names an environment variable that something below the
    command line reads, unlike `envvar`. `default_text` describes a default that is found when the command runs.
    """

    def __init__(
        self,
        *args: Any,
        section: str = OWN,
        variable: str | None = None,
        default_text: str | None = None,
        **attributes: Any,
    ) -> None:
        super().__init__(*args, **attributes)
        self.section = section
        self._variable = variable or attributes.get("envvar")
        self._default_text = default_text or attributes.get("default")

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        """Find the value, and record where it came from before it is converted, which older clicks do afterwards."""
        value, source = super().consume_value(ctx, opts)
        assert self.name is not None  # noqa: S101 - an option always has one
        ctx.set_parameter_source(self.name, source)
        if source is ParameterSource.COMMANDLINE and not self.is_flag:
            given = ctx.meta.setdefault(_GIVEN, {})
            given[long_name(self)] = tuple(value) if self.multiple else (value,)
        return value, source

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return names and text: the sentence, then variable, default and whether it is required, in one bracket."""
        record = super().get_help_record(ctx)
        if record is None:
            return None
        notes = {"env var": self._variable, "default": self._default_text}
        bracket = [f"{what}: {value}" for what, value in notes.items() if value is not None]
        bracket += ["required"] if self.required else []
        return record[0], f"{self.help}  [{'; '.join(bracket)}]" if bracket else self.help or ""


def current_invocation() -> "Invocation":
    """Return the options that the command line gave, without flags, for the commands that are suggested."""
    from ..invocation import Invocation  # not at start-up

    return Invocation(click.get_current_context().meta.get(_GIVEN, {}))


class CommonOption(Option):
    """An option of every command that may also be given before the command's name: a group passes it on, unread."""

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Read the value, in a command; in a group neither the value nor its variable is looked at."""
        if isinstance(ctx.command, click.Group):
            return None, args
        return super().handle_parse_result(ctx, opts, args)


class Command(click.Command):
    """A command whose options are listed in sections, and whose usage errors say what to do.

    `positional` is the option that an argument which it does not take was probably meant for, or returns it.
    """

    allow_extra_args = True  # `parse_args` rejects them, with a hint

    def __init__(self, *args: Any, positional: str | Callable[[str], str] | None = None, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._positional = positional

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments. Raise UsageError for one that the command does not take, missing options or not."""
        given = list(args)
        with naming(ctx):
            try:
                extra = super().parse_args(ctx, args)
            except click.MissingParameter:
                if not any(isinstance(param, click.Argument) for param in self.params):
                    _, extra, _ = self.make_parser(ctx).parse_args(given)
                    self._reject(ctx, extra)
                raise
        if not ctx.resilient_parsing:
            self._reject(ctx, extra)
        return extra

    def _reject(self, ctx: click.Context, extra: list[str]) -> None:
        if extra:
            option = self._positional(extra[0]) if callable(self._positional) else self._positional
            meant = did_you_mean([f"{option} {shlex.quote(extra[0])}"] if option else [])
            raise UsageError(f"unexpected argument {extra[0]!r}", ctx, hint=meant)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. A usage error that it raises names it."""
        with naming(ctx):
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section, in columns of one width."""
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in _SECTIONS}
        for param in self.get_params(ctx):
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)):
                sections[getattr(param, "section", OWN)].append(record)
        names = [name for records in sections.values() for name, _ in records]
        width = max(len(name) for name in names if len(name) <= _NAME_WIDTH)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl([(name.ljust(width), text) for name, text in records], col_max=width)


command = partial(click.command, cls=Command)
"""Decorate a function as a Command."""

option = partial(click.option, cls=Option)
"""Add an Option to a command."""
