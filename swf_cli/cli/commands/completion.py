"""`swf completion`."""

from typing import Any

import click

from ...output import terminal
from ..command import command
from ..params import Choice
from ..shells import SCRIPTS
from ..usage import UsageError


class Shell(Choice):
    """A shell that there is a completion script for."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the shell's name. Raise UsageError if it is not supported."""
        if value not in self.words:
            raise UsageError(f"shell {value!r} is not supported", ctx, hint=self.hint)
        return str(value)


@command(
    epilog="""\b
Examples:
  swf completion bash > ~/.local/share/bash-completion/completions/swf
  swf completion zsh > "${fpath[1]}/_swf"
  swf completion fish > ~/.config/fish/completions/swf.fish
"""
)
@click.argument("shell", type=Shell(*SCRIPTS))
def completion(shell: str) -> None:
    """Print a shell completion script."""
    terminal.write_stdout(SCRIPTS[shell])
