"""`swf local demo`."""

import click

from ....output import terminal
from .shared import playground


@click.command(
    epilog="""\b
Example:
  swf local demo
"""
)
def demo() -> int:
    """Walk through the main job in a few seconds.

    Starts a local SWF, and shows each command and what it prints.
    """
    from ....local.demo import walk

    with playground("demo") as (env, folder):
        return walk(env, folder, terminal.write_stdout)
