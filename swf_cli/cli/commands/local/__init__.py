"""`swf local`: a local SWF, and what puts tasks on its lists."""

import click

from ...group import LazyGroup

SECTIONS = {
    "Start one": {
        "demo": "Walk through the main job in a few seconds.",
        "run": "Run a command against a local SWF that lives as long as it does.",
        "serve": "Serve a local SWF until it is stopped.",
    },
    "Decide, as a workflow would": {
        "schedule": "Put an activity task on a task list.",
        "cancel": "Ask to cancel the activity tasks of an execution.",
    },
}


@click.command(
    cls=LazyGroup,
    package=__name__,
    sections=SECTIONS,
    epilog="`swf local COMMAND --help` tells a command's options and gives an example.",
)
def local() -> None:
    """Run a local SWF, and put tasks on its lists.

    It keeps everything in memory, listens on loopback only, and checks no signature: it is for trying and testing.
    """
