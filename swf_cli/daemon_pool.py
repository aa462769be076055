"""Threads that run functions, and do not keep the process from ending."""

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue


class DaemonPool:
    """Runs functions in up to `maximum` threads with a name. Unlike those of an executor, they are daemons."""

    def __init__(self, name: str, maximum: int) -> None:
        self._name = name
        self._maximum = maximum
        self._threads = 0
        self._lock = threading.Lock()
        self._unfinished = 0
        """Functions that are queued or running."""
        self._queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()

    def start_thread(self) -> None:
        """Start one of the threads. Raise RuntimeError if the machine has no more."""
        threading.Thread(target=self._run, name=self._name, daemon=True).start()
        self._threads += 1

    def submit(self, function: Callable[[], object]) -> None:
        """Queue a function; start another thread if all are busy."""
        with self._lock:
            self._unfinished += 1
            are_all_busy = self._unfinished > self._threads
        if are_all_busy and self._threads < self._maximum:
            with suppress(RuntimeError):  # those that were started get to it
                self.start_thread()
        self._queue.put(function)

    def close(self) -> None:
        """End the threads once what is queued has run."""
        for _ in range(self._threads):
            self._queue.put(None)

    def _run(self) -> None:
        while self._run_next():
            pass

    def _run_next(self) -> bool:
        function = self._queue.get()  # while it waits, no variable keeps the last function alive
        if function is None:
            return False
        function()
        with self._lock:
            self._unfinished -= 1
        return True
