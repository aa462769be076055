"""`swf local`: run a local SWF and schedule tasks on it."""

import click

from ...group import LazyGroup

SECTIONS = {
    "Start a local SWF": {
        "demo": "Show the main commands at work in a few seconds.",
        "run": "Run COMMAND against a local SWF, which ends with it.",
        "serve": "Serve a local SWF until interrupted.",
    },
    "Use a local SWF": {
        "schedule": "Schedule an activity task.",
        "cancel": "Request cancellation of the activity tasks of an execution.",
        "advance": "Advance the clock by DURATION.",
    },
}


@click.command(
    cls=LazyGroup,
    package=__name__,
    sections=SECTIONS,
    epilog="Run `swf local COMMAND --help` for a command's options and an example.",
)
def local() -> None:
    """Run a local SWF and schedule tasks on it.

    For development and tests: it keeps everything in memory, listens on loopback by default, and verifies no
    signatures.
    """
