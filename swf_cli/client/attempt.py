"""What is known of the call that a thread makes: what distinguishes "never sent" from "possibly executed"."""

import threading
from collections.abc import Callable
from typing import Any, Final


class Attempt(threading.local):
    """What is known of this thread's current call: how far its request got, and what became of earlier ones."""

    is_tracked = False
    """Whether the connection reports how much of the request it has sent."""

    is_signed = False
    """Whether there were credentials to sign it with; only meaningful if it is tracked."""

    is_sent = False
    """Whether the last byte of the request was about to be written: SWF may have the whole of it."""

    possibly_executed = False
    """Whether SWF may have executed an earlier request of the call, although its response was lost."""

    token: Any = None
    """The task token in the last response: it is known even if the response is malformed."""

    origin = ""
    """Scheme and host that the call goes to, as a URL; empty if they are not known."""

    on_sent: Callable[[], None] | None = None
    """Called once the request has been written."""

    def begin(self, *, is_tracked: bool) -> None:
        """Forget the previous call. `is_tracked`: whether connections report what they sent."""
        self.is_tracked = is_tracked
        self.origin, self.token = "", None
        self.possibly_executed = self.is_signed = self.is_sent = False


attempt: Final = Attempt()


def record_signed(**_: Any) -> None:
    """Record that a request was signed (botocore's `before-send` event) and not sent yet; let botocore send it."""
    attempt.is_signed, attempt.is_sent = True, False
