"""`swf local serve`."""

import os

import click

from ....output import terminal
from ...options import tell
from .shared import domain_option, serving


@click.command(
    epilog="""\b
Example, and what to do then in another shell:
  swf local serve -d video > local.env
  . ./local.env
"""
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="Port; 0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@domain_option(multiple=True)
@click.option(
    "--hold",
    type=click.FloatRange(min=0, max=3600, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds that a long poll is held.",
)
@click.option("--quotas", is_flag=True, help="Throttle as SWF does.")
@click.option(
    "--deliver-to-disconnected/--no-deliver-to-disconnected",
    default=True,
    show_default=True,
    help="Whether a held poll whose client has gone is handed a task all the same, as SWF does.",
)
@click.option("--verbose", "-v", is_flag=True, help="Say each call on stderr.")
def serve(
    port: int,
    host: str,
    domains: tuple[str, ...],
    hold: float,
    quotas: bool,
    deliver_to_disconnected: bool,
    verbose: bool,
) -> None:
    """Serve a local SWF until it is stopped.

    Prints, once it is ready, the shell lines that lead other commands to it.
    """
    from ....local.runner import exports, wait_for_ever

    settings = {
        "hold": hold,
        "quotas": quotas,
        "deliver_to_disconnected": deliver_to_disconnected,
        "log": tell if verbose else None,
    }
    with serving(domains, host=host, port=port, **settings) as server:
        terminal.write_stdout(exports(server.url, domains[0], os.environ))
        wait_for_ever()
