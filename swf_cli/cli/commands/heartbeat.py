"""`swf heartbeat`."""

import click

from ...errors import Cancelled, ExitCode
from ...models import TaskReference
from ...output import tasks
from ..options import GlobalOptions, task_options, tell
from ..params import BoundedText, Duration


@click.command(
    epilog="""\b
Examples:
  swf heartbeat --task task.json --details "page 7 of 10"
  ./encode in.mov & swf heartbeat --task task.json --every 20s --while-pid $!
"""
)
@click.option("--details", type=BoundedText("heartbeat details"), help="How far it is, at most 2,048 characters.")
@click.option("--every", type=Duration(least=1), help="Go on, with one heartbeat every so often.")
@click.option(
    "--while-pid", metavar="PID", type=click.IntRange(1, 2**31 - 1), help="With --every: until this process ends."
)
@task_options
def heartbeat(
    common: GlobalOptions, task: TaskReference, details: str | None, every: int | None, while_pid: int | None
) -> int:
    """Tell SWF that a task is alive, and hear whether it should stop.

    Exits with 4 when its cancellation was requested: stop the work, then `swf cancel`. Exits with 5 when the task
    is not open any more.
    """
    if while_pid is not None and every is None:
        raise click.UsageError("--while-pid goes with --every.")
    from ...api import send_heartbeat
    from ...heartbeats import keep_alive, wait_for_ever
    from ...processes import ProcessWatch

    session = common.session()
    try:
        if every is None:
            send_heartbeat(task.token, details, session.client)
            cancelled = False
        else:
            wait = wait_for_ever if while_pid is None else ProcessWatch(while_pid).wait
            client = session.with_timeout(every / 2)  # a service that hangs is told of, and asked again, in time
            cancelled = keep_alive(client, task.token, details, every=every, wait=wait, tell=tell)
    except Cancelled:
        cancelled = True
    tasks.show_heartbeat(common.output, cancel_requested=cancelled)
    return ExitCode.CANCEL_REQUESTED if cancelled else ExitCode.DONE
