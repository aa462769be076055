"""`swf help`."""

from contextlib import suppress

import click
from click.shell_completion import CompletionItem

from ...names import did_you_mean, suggest_names
from ...output import terminal
from ..command import command
from ..topics import SUMMARIES, TEXTS
from ..usage import UsageError


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a topic or a command, or a command of the group that the words before it name."""
    names = ctx.params.get("topic") or ()
    items = {} if names else {name: CompletionItem(name, help=line) for name, line in SUMMARIES.items()}
    with suppress(UsageError):
        group = _find(ctx.find_root(), names)
        items |= {item.value: item for item in group.command.shell_complete(group, incomplete)}
    return [item for name, item in items.items() if name.startswith(incomplete)]


@command(
    epilog="""\b
Examples:
  swf help poll
  swf help exit-codes
"""
)
@click.argument("topic", nargs=-1, metavar="[COMMAND|TOPIC]", shell_complete=_complete)
@click.pass_context
def help(ctx: click.Context, topic: tuple[str, ...]) -> None:  # noqa: A001 - a command's function has its name
    """Show help for a command or a topic."""
    texts = [TEXTS[topic[0]]] if len(topic) == 1 and topic[0] in TEXTS else []
    try:
        texts.append(_find(ctx.find_root(), topic).get_help() + "\n")  # a topic may have a command's name
    except UsageError as error:
        if topic and topic[0] in TEXTS and len(topic) > 1:
            raise UsageError(f"{topic[0]} is a topic, and takes no arguments") from error
        if not texts:
            raise
    terminal.write_stdout("\n".join(texts))


def _find(root: click.Context, names: tuple[str, ...]) -> click.Context:
    """Return a context for the command that the names lead to. Raise UsageError if there is none."""
    ctx = root
    for name in names:
        group = ctx.command
        if not isinstance(group, click.Group):
            raise UsageError(f"`{ctx.command_path}` has no commands")
        found = group.get_command(ctx, name)
        if found is None:
            raise _unknown(ctx, group, name)
        ctx = click.Context(found, parent=ctx, info_name=name)
    return ctx


def _unknown(ctx: click.Context, group: click.Group, name: str) -> UsageError:
    commands = group.list_commands(ctx)
    near = suggest_names(name, [*commands, *SUMMARIES] if ctx.parent is None else commands)
    path = "swf help" if ctx.parent is None else f"swf help {ctx.info_name}"
    hint = did_you_mean(f"`{path} {one}`" for one in near)
    return UsageError(f"no such command or topic: {name!r}", hint=hint or "see `swf help`")
