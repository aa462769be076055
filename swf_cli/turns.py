"""Turns: of the threads in a group, only one runs Python at a time.

Python releases the interpreter's lock at each system call, however short. If another thread is waiting for the lock,
it takes it, and the first one has to wait to get it back: two context switches, dozens of times for a task. A thread
that has its turn is not interrupted by the others of its group.

Turns only affect speed. A thread that blocks outside `waiting` is overtaken by the next one after a moment.
"""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
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
            self._lock = lock  # the holder of the old lock is no longer waited for
        return lock


class _OfThread(threading.local):
    turns: Turns | None = None
    """What this thread takes part in."""

    lock: threading.Lock
    """What it releases at the end of its turn."""


_of_thread: Final = _OfThread()


class _Waiting:
    """A context for `waiting`. A generator would take twice as long to enter, and each task enters many."""

    __slots__ = ("_turns",)

    def __enter__(self) -> None:
        self._turns = _of_thread.turns
        if self._turns is not None:
            _of_thread.turns = None
            _of_thread.lock.release()

    def __exit__(self, *_: object) -> None:
        if self._turns is not None:
            _of_thread.lock = self._turns.take()
            _of_thread.turns = self._turns


def waiting() -> AbstractContextManager[None]:
    """Let the other threads have their turns within the context, if this thread takes part in any."""
    return _Waiting()
