"""`swf local run`."""

import click

from ... import completers
from ...command import command
from ...usage import UsageError
from .shared import domain_option, playground, speed_option


@command(
    context_settings={"allow_interspersed_args": False},
    epilog="""\b
Example:
  swf local run -- sh -c 'swf local schedule -t x --activity resize --input in.png && ./worker.sh'
""",
)
@domain_option()
@speed_option
@click.argument(
    "command_line",
    metavar="COMMAND...",
    nargs=-1,
    required=True,
    type=click.UNPROCESSED,
    shell_complete=completers.programs,
)
def run(domain: str, speed: float, command_line: tuple[str, ...]) -> int:
    """Run COMMAND against a local SWF, which ends with it.

    COMMAND's environment points AWS clients at the local SWF and its domain, with made-up credentials that only it
    has, and an empty list of held tasks. Exits with COMMAND's exit code.
    """
    from ....local.runner import run_command

    with playground(domain, speed) as (env, _):
        try:
            return run_command(command_line, env)
        except OSError as error:
            raise UsageError(f"cannot run {command_line[0]}: {error.strerror}") from error
