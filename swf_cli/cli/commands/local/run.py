"""`swf local run`."""

import click

from .shared import domain_option, playground


@click.command(
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    epilog="""\b
Example:
  swf local run -- sh -c 'swf local schedule -t x --activity resize --input in.png && ./worker.sh'
""",
)
@domain_option()
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(domain: str, command: tuple[str, ...]) -> int:
    """Run a command against a local SWF that lives as long as it does.

    Exits with the command's exit code. The command finds the service, the domain, made-up credentials and an empty
    `swf held` in its environment.
    """
    from ....local.runner import run_command

    with playground(domain) as (env, _):
        try:
            return run_command(command, env)
        except OSError as error:
            raise click.UsageError(f"can't run {command[0]}: {error.strerror}.") from error
