"""How far the current request of a thread got: what distinguishes "never sent" from "possibly executed"."""

import threading
from collections.abc import Callable
from typing import Final


class Attempt(threading.local):
    """How far this thread's current request got."""

    is_tracked = False
    """Whether its connection reports that."""

    is_signed = False
    """Whether there were credentials to sign it with; only meaningful if it is tracked."""

    is_sent = False
    """Whether the last byte of the request was about to be written: SWF may have the whole of it."""

    host = ""
    """The host that it is for; empty if that is not known."""

    on_sent: Callable[[], None] | None = None
    """Called when it was written."""


attempt: Final = Attempt()
