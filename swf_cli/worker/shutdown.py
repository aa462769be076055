"""The signals that stop a worker."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import Signalled
from ..signals import on_stop_signals
from .worker import Worker


@contextmanager
def stopping(worker: Worker, tell: Callable[[str], None]) -> Iterator[None]:
    """Hear the signals that end a process: the first drains the worker, the second terminates, the third kills.

    For the main thread. Raises Signalled at the end, unless the worker only drained. A signal that was ignored stays
    ignored.
    """
    steps = (
        (worker.drain, "no new task is taken; waiting for the polls that SWF holds, up to 60 s, and for what runs"),
        (
            worker.terminate,
            "the commands are asked to end, and their tasks failed; waiting for them and the polls",
        ),
        (worker.kill, "the commands are killed, and their tasks failed; waiting for the polls that SWF holds"),
    )
    heard: list[int] = []

    def hear(number: int) -> None:
        heard.append(number)
        step, what = steps[min(len(heard), len(steps)) - 1]
        step()
        tell(f"{signal.Signals(number).name}: {what}")

    with on_stop_signals(hear):
        yield
    if len(heard) > 1:
        raise Signalled(heard[-1])
