"""Turns: of the threads that take part, one runs at a time, except for what waits.

A thread gives the interpreter's lock away with each system call, however short. If another thread wants it, the first
has to wait until it gets it back, and each of them is put to sleep and woken for that: dozens of times for a task. A
thread that has its turn is not disturbed by the others that take part.

This is about speed alone. What waits without saying so loses its turn to the next thread after a moment.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_PATIENCE: Final = 0.02  # seconds


class Turns:
    """The turns of a group of threads."""

    def __init__(self, *, patience: float = _PATIENCE) -> None:
        """Let a thread that has its turn be overtaken after `patience` seconds."""
        self._patience = patience
        self._lock = threading.Lock()

    @contextmanager
    def member(self) -> Iterator[None]:
        """Make this thread take part, within the context."""
        _of_thread.lock = self.take()
        _of_thread.turns = self
        try:
            yield
        finally:
            _of_thread.turns = None
            _of_thread.lock.release()

    def take(self) -> threading.Lock:
        """Wait for a turn; return the lock to release at its end."""
        lock = self._lock
        if not lock.acquire(timeout=self._patience):
            lock = threading.Lock()
            lock.acquire()
            self._lock = lock  # who has the other one is not waited for any more
        return lock


class _OfThread(threading.local):
    turns: Turns | None = None
    """What this thread takes part in."""

    lock: threading.Lock
    """What it releases at the end of its turn."""


_of_thread: Final = _OfThread()


@contextmanager
def waiting() -> Iterator[None]:
    """Let the other threads have their turns within the context, if this thread takes part in any."""
    turns, _of_thread.turns = _of_thread.turns, None
    if turns is None:
        yield
        return
    _of_thread.lock.release()
    try:
        yield
    finally:
        _of_thread.lock = turns.take()
        _of_thread.turns = turns
