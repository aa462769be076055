"""`swf poll`."""

import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ...errors import IncompleteTask, OutputError, Signalled, SwfError
from ...output import shell, terminal
from ..command import command, option
from ..options import CommonOptions, common_options, identity_option, is_given, task_list_option
from ..params import Duration
from ..usage import UsageError

if TYPE_CHECKING:
    from ...polling import ReceivedTask

_PRINT_NOTICE: Final = "printing the task that was received; send the signal again to quit immediately"


@command(
    positional="--task-list",
    epilog="""\b
Examples:
  swf poll -d video -t resize > task.json
  task=$(swf poll -d video -t resize --timeout 5m --eval) && eval "$task"
""",
)
@task_list_option
@identity_option
@option(
    "--timeout",
    type=Duration(),
    help="Stop polling after this long; a poll in flight (up to 75 s) is always finished.",
)
@option("--eval", "for_eval", is_flag=True, help="Print shell assignments (SWF_TASK_TOKEN, ...) for eval.")
@common_options(domain_required=True)
def poll(common: CommonOptions, task_list: str, identity: str, timeout: int | None, for_eval: bool) -> None:
    """Wait for a task and print it.

    Then complete, fail or cancel the task, and send heartbeats if it has a heartbeat timeout. `swf held` lists it
    until it is closed. Exits with 3 if no task was received within --timeout.

    Ctrl-C waits up to 75 s for the poll in flight, which may still return a task; a second Ctrl-C quits
    immediately.
    """
    if for_eval and (is_given("output") or is_given("query")):
        raise UsageError("--eval cannot be combined with --output or --query")
    from ... import polling, signals
    from ...output import progress
    from ...output.log import report_error

    terminal.check_stdout()
    session = common.session()
    source = polling.poll_source(session, common.domain, task_list, identity)
    received = None
    try:
        with common.ledger() as ledger, signals.StopRequest().on_signal(polling.STOP_NOTICE) as request:
            with progress.poll_progress(task_list, common.output.color):
                poller = polling.Poller(session, ledger, retrier=common.retrier)
                received = poller.receive(polling.ListRotation(source), stop=request.event, timeout=timeout)
            if received is None:
                raise Signalled(request.number)
            request.notice = _PRINT_NOTICE
            _print(common, received, for_eval)
    except IncompleteTask as error:
        raise _explain_incomplete(common, error, source.endpoint, for_eval) from error
    except Signalled as end:
        if received is not None:
            reason = f"{signal.Signals(end.number).name}: the task may not have been printed in full"
            report_error(*_explain_unprinted(common, received, reason))
        raise


def _print(common: CommonOptions, received: "ReceivedTask", for_eval: bool) -> None:
    import logging  # not for a completion

    from ...output import tasks

    try:
        if for_eval:
            if "\0" in (received.task.input or ""):
                message = "the input contains NUL characters, which a shell variable cannot hold; %s"
                logging.getLogger(__name__).warning(message, "they were removed")
            terminal.write_stdout(shell.shell_task(received.task))
        else:
            tasks.show_polled_task(
                common.output, received.task, common.domain, received.source.task_list, received.key
            )
            _warn_of_table(common, received)
    except OutputError as error:
        message, hint = _explain_unprinted(common, received, error.message or "the reader closed the pipe")
        raise OutputError(message, hint=hint) from error


def _explain_incomplete(common: CommonOptions, error: IncompleteTask, endpoint: str, for_eval: bool) -> SwfError:
    """Return the error about a task of which only the token is known; print that if the ledger does not have it."""
    reason = ("--reason", "incomplete response")
    where, command = "the task is not recorded, and stays open until it times out", None
    if error.key is not None:
        where = f"the task is in `swf held` under {error.key}"
        command = common.invocation.format_held("fail", error.key, endpoint, *reason)
    elif not for_eval:
        with suppress(OutputError):
            # Not in the hint: messages end up in logs, where no token belongs.
            terminal.write_stdout(terminal.to_json({"token": error.token}) + "\n")
            where = "its token was printed; save that as FILE"
            command = common.invocation.format("fail", "--task", "FILE", *reason)
    return SwfError.from_error(error, f"{error.message}; {where}", command and f"to fail it at once: {command}")


def _explain_unprinted(common: CommonOptions, received: "ReceivedTask", reason: str) -> tuple[str, str | None]:
    """Return the message and the hint about a task that was received and could not be printed."""
    from ...output.cards import copyable

    advice, command = received.suggest(common.invocation)
    hint = f"{advice}: {command}" if copyable(command) else None
    return f"{reason}; {received.describe_location()}", hint


def _warn_of_table(common: CommonOptions, received: "ReceivedTask") -> None:
    """Warn of a file that has a table, which --task cannot read."""
    import logging  # not for a completion

    if common.output.is_screen and not sys.stdout.isatty():
        instead = f"use --held {received.key}, or poll" if received.key else "poll"
        message = "stdout has a table, which --task cannot read: %s with --output json"
        logging.getLogger(__name__).warning(message, instead)
