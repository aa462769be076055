"""`swf poll`."""

import sys
from typing import TYPE_CHECKING

from ...errors import OutputError, Signalled
from ...output import shell, terminal
from ..command import command, option
from ..options import GlobalOptions, common_options, identity_option, is_given, task_list_option
from ..params import Duration
from ..usage import UsageError

if TYPE_CHECKING:
    from ...polling import ReceivedTask


@command(
    positional="--task-list",
    epilog="""\b
Examples:
  swf poll -d video -t resize > task.json
  eval "$(swf poll -d video -t resize --timeout 5m --eval)"
""",
)
@task_list_option
@identity_option
@option(
    "--timeout",
    type=Duration(),
    help="Stop polling after this long; a poll in flight (up to 60 s) is always finished.",
)
@option("--eval", "for_eval", is_flag=True, help="Print shell assignments (SWF_TASK_TOKEN, ...) for eval.")
@common_options(domain_required=True)
def poll(common: GlobalOptions, task_list: str, identity: str, timeout: int | None, for_eval: bool) -> None:
    """Wait for a task and print it.

    Then complete, fail or cancel the task, and send heartbeats if it has a heartbeat timeout. `swf held` lists it
    until it is closed. Exits with 3 if no task was received within --timeout.

    Ctrl-C waits up to 60 s for the poll in flight, which may still return a task; a second Ctrl-C quits now.
    """
    if for_eval and (is_given("output") or is_given("query")):
        raise UsageError("--eval cannot be combined with --output or --query")
    import logging  # not for a completion

    from ... import polling, signals
    from ...output import progress, tasks

    session = common.session()
    lists = polling.ListRotation(polling.poll_source(session, common.domain, task_list, identity))
    with common.ledger() as ledger, signals.StopRequest().on_signal(polling.STOP_NOTICE) as request:
        with progress.poll_progress(task_list, common.output.color):
            poller = polling.Poller(session, ledger, retrier=common.retrier)
            received = poller.receive(lists, stop=request.event, timeout=timeout)
        if received is None:
            raise Signalled(request.number)
        try:
            if for_eval:
                if "\0" in (received.task.input or ""):
                    message = "the input contains NUL characters, which a shell variable cannot hold; %s"
                    logging.getLogger(__name__).warning(message, "they were removed")
                terminal.write_stdout(shell.shell_task(received.task))
            else:
                tasks.show_task(common.output, received.task, common.domain, task_list, received.key)
                _warn_of_table(common, received)
        except OutputError as error:
            reason = error.message or "the reader closed the pipe"
            raise OutputError(f"{reason}; {received.describe_location()}") from error


def _warn_of_table(common: GlobalOptions, received: "ReceivedTask") -> None:
    """Warn of a file that has a table, which --task cannot read."""
    import logging  # not for a completion

    if common.output.is_screen and not sys.stdout.isatty():
        instead = f"use --held {received.key}, or poll" if received.key else "poll"
        message = "stdout has a table, which --task cannot read: %s with --output json"
        logging.getLogger(__name__).warning(message, instead)
