"""`swf local demo`."""

from ....output import terminal
from ...command import command
from .shared import playground


@command(
    epilog="""\b
Example:
  swf local demo
"""
)
def demo() -> int:
    """Show the main commands at work in a few seconds.

    Starts a local SWF, takes one task from scheduled to completed, and shows each command with its output.
    """
    from ....local.demo import walk

    with playground("demo") as (env, folder):
        return walk(env, folder, terminal.write_stdout)
