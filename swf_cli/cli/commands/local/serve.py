"""`swf local serve`."""

import os
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from ....output import terminal
from ...command import command, option
from ...params import Choice, Number, WholeNumber, parse_duration
from .shared import domain_option, serving, speed_option

if TYPE_CHECKING:
    from ....local.environment import Shell


class Seconds(Number):
    """A duration such as `45s` or `5m`, or a number of seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds, or fail."""
        with suppress(ValueError):
            return super().convert(float(value.removesuffix("s")), param, ctx)
        try:
            return super().convert(parse_duration(value), param, ctx)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _check_access_key_id(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"\w{1,128}", value, re.ASCII):
        raise click.BadParameter("it must have 1 to 128 letters, digits or underscores", ctx, param)
    return value


@command(
    epilog="""\b
Example, then in another shell:
  swf local serve -d video > local.env
  . ./local.env
"""
)
@option("--port", type=WholeNumber(maximum=65535), default=0, help="Port; 0 picks a free one.")
@option("--host", default="127.0.0.1", help="Address to listen on.")
@domain_option(multiple=True)
@option(
    "--access-key-id",
    metavar="ID",
    callback=_check_access_key_id,
    default_text="accept any credentials",
    help="Only accept requests signed with this access key ID.",
)
@option(
    "--hold",
    type=Seconds(0.001, 3_600),
    default="60s",
    help="Longest time that a poll waits for a task; seconds may have a fraction.",
)
@speed_option
@option("--quotas", is_flag=True, help="Enforce SWF's API rate limits.")
@option(
    "--deliver-to-disconnected/--no-deliver-to-disconnected",
    default=True,
    default_text="deliver",
    help="Deliver tasks to polls whose client has disconnected, as SWF does.",
)
@option(
    "--shell",
    type=Choice("sh", "fish"),
    default="sh",
    help="Shell to print commands for; sh includes bash and zsh.",
)
@option("--verbose", "-v", is_flag=True, help="Log each call on stderr.")
def serve(
    host: str, domains: tuple[str, ...], access_key_id: str | None, shell: "Shell", verbose: bool, **settings: Any
) -> None:
    """Serve a local SWF until interrupted.

    When it is ready, prints shell commands that point AWS clients at it.
    """
    import logging  # not for a completion

    from ....addresses import is_loopback
    from ....local.environment import Endpoint, exports
    from ....local.handler import HttpOptions
    from ....local.quotas import RateLimits
    from ....local.runner import wait_for_signal

    limits = RateLimits() if settings.pop("quotas") else None
    options = HttpOptions(access_key_id=access_key_id, rate_limits=limits)
    with serving(
        domains, host=host, options=options, log=terminal.print_message if verbose else None, **settings
    ) as server:
        endpoint = Endpoint(server.url, domains[0], access_key_id or "local")
        if not is_loopback(server.host):
            logging.getLogger(__name__).warning("other machines can use this SWF: it listens on %s", server.host)
        terminal.write_stdout(exports(endpoint, os.environ, shell))
        if sys.stderr.isatty():
            _explain(server.url)
        wait_for_signal()


def _explain(url: str) -> None:
    """Print how to use the local SWF, and how to stop it."""
    terminal.print_message(f"serving a local SWF at {url}; press Ctrl-C to stop")
    where = "run the commands above" if sys.stdout.isatty() else "source the file that stdout goes to"
    terminal.print_stderr(f"hint: in another shell, {where}, then try `swf local schedule -t x --activity y`")
