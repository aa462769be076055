"""`swf heartbeat`."""

from ...errors import Cancelled, ExitCode, TaskNotOpen
from ...models import TaskReference
from ..command import command, option
from ..options import CommonOptions, task_options
from ..params import BoundedText, Duration, WholeNumber
from ..usage import UsageError, guess_task_option


@command(
    positional=guess_task_option,
    epilog="""\b
Examples:
  swf heartbeat --task task.json --details "page 7 of 10"
  ./encode in.mov & swf heartbeat --task task.json --every 20s --while-pid $!
""",
)
@option("--details", type=BoundedText("heartbeat details"), help="Progress message, up to 2,048 characters.")
@option("--every", type=Duration(minimum=1), help="Keep sending a heartbeat at this interval.")
@option("--while-pid", metavar="PID", type=WholeNumber(1), help="With --every, stop when this process ends.")
@task_options
def heartbeat(
    common: CommonOptions, task: TaskReference, details: str | None, every: int | None, while_pid: int | None
) -> int:
    """Send a heartbeat and report whether cancellation was requested.

    Exits with 4 if cancellation was requested: stop the work, then run `swf cancel`. Exits with 5 if the task is
    not open. With --while-pid, exits with 0 when the process ends, unless SWF accepted no heartbeat.
    """
    if while_pid is not None and every is None:
        raise UsageError("--while-pid requires --every")
    from ...api import record_heartbeat
    from ...heartbeats import send_heartbeats
    from ...output import tasks
    from ...processes import OrphanReaper, ProcessWatch
    from ...task_ends import explain_not_open

    session = common.session()
    try:
        if every is None:
            record_heartbeat(session.client, task.token, details)
            cancelled = False
        else:
            has_ended = None if while_pid is None else ProcessWatch(while_pid).wait
            with OrphanReaper():
                cancelled = send_heartbeats(session, task.token, details, every=every, has_ended=has_ended)
    except Cancelled:
        cancelled = True
    except TaskNotOpen as error:
        with common.ledger() as ledger:
            raise explain_not_open(session.single_attempt_client, task, ledger, error) from error.__cause__
    tasks.show_heartbeat(common.output, cancel_requested=cancelled)
    return ExitCode.CANCEL_REQUESTED if cancelled else ExitCode.DONE
