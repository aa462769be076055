"""`swf poll`."""

import click

from ...errors import OutputError, Signalled
from ...output import progress, shell, tasks, terminal
from ..options import GlobalOptions, common_options, is_given, poller_options, tell
from ..params import Duration


@click.command(
    epilog="""\b
Examples:
  swf poll -d video -t resize > task.json
  eval "$(swf poll -d video -t resize --timeout 5m --eval)"
"""
)
@poller_options
@click.option("--timeout", type=Duration(), help="Start no new long poll (of up to 60 s) after this time.")
@click.option("--eval", "for_eval", is_flag=True, help="Print shell text that sets SWF_TASK_TOKEN and more.")
@common_options(domain_required=True)
def poll(common: GlobalOptions, task_list: str, identity: str, timeout: int | None, for_eval: bool) -> None:
    """Wait for a task and print it.

    The task is yours from then on: complete, fail or cancel it, and send heartbeats if it has a heartbeat timeout.
    Until it is closed, `swf held` lists it. Exits with 3 when no task came before --timeout.

    Ctrl-C waits for the poll that SWF holds, up to 60 s, since SWF may be handing it a task; twice gives up.
    """
    if for_eval and (is_given("output") or is_given("query")):
        raise click.UsageError("--eval prints shell text: it can't go with --output or --query.")
    from ... import polling, signals

    session, ledger = common.session(), common.ledger()
    origin = polling.origin(session, common.domain, task_list, identity)
    try:
        with signals.graceful_stop(tell) as asked:
            with progress.poll_progress(task_list, common.output.color):
                taken = polling.poll(session.poll_client, origin, ledger, stop=asked.stop, tell=tell, timeout=timeout)
            if taken is None:
                raise Signalled(asked.number)
            try:
                if for_eval:
                    terminal.write_stdout(shell.shell_task(taken.task))
                else:
                    tasks.show_task(common.output, taken.task, common.domain, task_list)
            except OutputError as error:
                why = error.message or "the reader has gone away"
                raise OutputError(f"{why}; {taken.describe_location}") from error
    finally:
        ledger.close()
