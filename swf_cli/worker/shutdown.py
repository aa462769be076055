"""How a worker is stopped: in three stages, by signals or by the worker itself."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ..errors import Signalled
from ..signals import SignalSafeEvent, handle_stop_signals

_DRAINING: Final = (
    "shutting down: waiting for running tasks and polls in flight (up to 75 s); "
    "send the signal again to stop the commands"
)
_TERMINATING: Final = (
    "terminating commands and failing their tasks; waiting for them and for polls in flight; "
    "send the signal again to kill them"
)
_KILLING: Final = (
    "killing commands and failing their tasks; giving up responses that cannot be delivered; "
    "waiting for polls in flight"
)

_log = logging.getLogger(__name__)


class Shutdown:
    """The stages of stopping a worker. Any thread and any signal handler may call its methods."""

    def __init__(self) -> None:
        self.draining: threading.Event = SignalSafeEvent()
        """Set to send no new poll; running tasks finish."""
        self.terminating: threading.Event = SignalSafeEvent()
        """Set to terminate commands and fail their tasks."""
        self.killing: threading.Event = SignalSafeEvent()
        """Set to kill commands and to abandon responses that are not delivered."""

    def drain(self) -> None:
        """Stop polling and let running tasks finish."""
        self.draining.set()

    def terminate(self) -> None:
        """Terminate running commands and fail their tasks."""
        self.drain()
        self.terminating.set()

    def kill(self) -> None:
        """Kill running commands and abandon responses that are not delivered."""
        self.terminate()
        self.killing.set()


@contextmanager
def staged_shutdown(shutdown: Shutdown) -> Iterator[None]:
    """Let the first stop signal drain a worker, the second terminate and the third kill its commands.

    SIGQUIT kills them at once. For the main thread. Raise Signalled at the end if there was more than one signal, or
    SIGQUIT.
    """
    stages = ((shutdown.drain, _DRAINING), (shutdown.terminate, _TERMINATING), (shutdown.kill, _KILLING))
    arrived: list[int] = []

    def handler(number: int) -> None:
        arrived.append(number)
        reached = len(stages) if signal.SIGQUIT in arrived else min(len(arrived), len(stages))
        stage, description = stages[reached - 1]
        stage()
        _log.info("%s: %s", signal.Signals(number).name, description, extra={"event": "shutdown"})

    # Apart, so that SIGQUIT right after another signal is not dropped as its duplicate.
    with handle_stop_signals(handler), handle_stop_signals(handler, numbers=[signal.SIGQUIT]):
        yield
    if len(arrived) > 1 or signal.SIGQUIT in arrived:
        raise Signalled(arrived[-1])
