"""Groups of commands: loaded when needed, common options before or after a command's name."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from ..names import did_you_mean, suggest_names
from .command import OWN, CommonOption
from .common import declare_common
from .usage import MissingCommand, UsageError, long_name, naming


class LazyGroup(click.Group):
    """A group that knows its commands' names and help, by purpose, and loads a command when it is needed.

    It takes the common options too, and passes them on to the command.

    `package` holds the commands, each in a module of its name that defines a command of that name. `sections` are
    headings, each with commands and their one-line help.
    """

    def __init__(
        self, *args: Any, package: str, sections: Mapping[str, Mapping[str, str]], **attributes: Any
    ) -> None:
        super().__init__(*args, **attributes)
        self._package = package
        self._sections = sections
        self._help = {name: line for section in sections.values() for name, line in section.items()}
        for declare in declare_common():
            declare(self)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self._help)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command; None if there is none of that name."""
        if cmd_name not in self._help:
            return None
        found: click.Command = getattr(import_module(f".{cmd_name}", self._package), cmd_name)
        return found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the group's own options, and put common options behind the command's name. Raise MissingCommand."""
        with naming(ctx):
            opts, rest, order = self.make_parser(ctx).parse_args(list(args))
        own, common = [], []
        for param in dict.fromkeys(order):
            name = long_name(param)
            if not isinstance(param, CommonOption):
                own.append(name)
            elif self._is_taken(ctx, rest, name):
                common.append(name if param.is_flag else f"{name}={opts[param.name]}")
        if not own and not rest and not ctx.resilient_parsing:
            raise MissingCommand(ctx)
        return super().parse_args(ctx, [*own, *rest[:1], *common, *rest[1:]])

    def _is_taken(self, ctx: click.Context, rest: list[str], option: str) -> bool:
        """Return whether the command takes an option: to one that has no use for it, an alias may still give it."""
        found = self.get_command(ctx, rest[0]) if rest else None
        return found is None or any(option in param.opts for param in found.params)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name. Raise UsageError if there is none."""
        name, found = args[0], self.get_command(ctx, args[0])
        if found is None and not ctx.resilient_parsing:
            raise UsageError(f"no such command: {name!r}", ctx, hint=self._suggest(ctx, name))
        return name if found else None, found, args[1:]

    def _suggest(self, ctx: click.Context, name: str) -> str | None:
        near = suggest_names(name, self._help)
        for inner in (self.get_command(ctx, one) for one in self._help):
            if isinstance(inner, click.Group) and name in inner.list_commands(ctx):
                near.append(f"{inner.name} {name}")
        return did_you_mean(f"`{ctx.command_path} {one}`" for one in near)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by purpose, then the group's own options."""
        self.format_commands(ctx, formatter)
        own = [param for param in self.get_params(ctx) if not isinstance(param, CommonOption)]
        with formatter.section(OWN):
            formatter.write_dl([record for param in own if (record := param.get_help_record(ctx))])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by purpose."""
        width = max(map(len, self._help))
        for title, commands in self._sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), line) for name, line in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name, without loading any, or an option."""
        names = [CompletionItem(name, help=line) for name, line in self._help.items() if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)
