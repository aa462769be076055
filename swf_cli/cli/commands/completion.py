"""`swf completion`."""

import click
from click.shell_completion import get_completion_class

from ...output import terminal


@click.command(
    epilog="""\b
Examples:
  swf completion bash > ~/.local/share/bash-completion/completions/swf
  swf completion zsh > "${fpath[1]}/_swf"
  swf completion fish > ~/.config/fish/completions/swf.fish
"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    kind = get_completion_class(shell)
    assert kind is not None, f"click completes no {shell}"  # noqa: S101
    terminal.write_stdout(kind(ctx.find_root().command, {}, "swf", "_SWF_COMPLETE").source() + "\n")
