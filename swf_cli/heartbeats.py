"""Heartbeats at an interval, for as long as a task is worked on."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from .api import send_heartbeat
from .errors import Cancelled
from .retry import TRANSIENT

if TYPE_CHECKING:
    import botocore.client

_AGAIN: Final = 5.0  # seconds to the next try when a heartbeat failed, if the interval is longer


def keep_alive(
    client: "botocore.client.BaseClient",
    token: str,
    details: str | None,
    *,
    every: float,
    wait: Callable[[float], bool],
    tell: Callable[[str], None],
) -> bool:
    """Send heartbeats every so many seconds (RecordActivityTaskHeartbeat) until the work or the task ends.

    `wait` waits so many seconds and tells whether the work has ended meanwhile. A fault that may pass is told, and
    the next heartbeat comes the sooner.

    Returns whether cancellation of the task was requested; False when the work has ended.

    Raises:
        TaskNotOpen: the task is closed, timed out, or the token is unknown
        SwfError: SWF refused the heartbeat
    """
    pause = 0.0
    while not wait(pause):
        try:
            send_heartbeat(token, details, client)
            pause = every
        except Cancelled:
            return True
        except TRANSIENT as error:
            pause = min(every, _AGAIN)
            tell(f"the heartbeat failed: {error.message}; trying again in {pause:g} s")
    return False


def wait_for_ever(seconds: float) -> bool:
    """Wait so long for work that has no end of its own."""
    time.sleep(seconds)
    return False
