"""Threads on a virtual clock: one runs at a time, and time passes only while all of them wait."""

import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable

_STACK = 262_144  # bytes


class VirtualTime:
    """Runs functions in threads, which wait by `sleep` and by `VirtualEvent`s. Call it to read the clock."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.on_advance: Callable[[], None] = lambda: None
        """Called whenever the clock has moved."""
        self._ready: deque[threading.Lock] = deque()
        self._sleeping: list[tuple[float, int, threading.Lock]] = []
        self._count = itertools.count()
        self._is_parked = threading.Semaphore(0)
        self._local = threading.local()

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def start(self, function: Callable[[], object], delay: float = 0.0) -> None:
        """Run a function in a thread, after a delay."""
        turn = threading.Lock()
        turn.acquire()

        def run() -> None:
            self._local.turn = turn
            turn.acquire()
            try:
                function()
            finally:
                self._is_parked.release()

        threading.stack_size(_STACK)
        threading.Thread(target=run, daemon=True).start()
        self._wake_at(self.now + delay, turn)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._wake_at(self.now + seconds, self._local.turn)
        self.park()

    def current(self) -> threading.Lock:
        """Return what stands for the running thread in `wake`."""
        turn: threading.Lock = self._local.turn
        return turn

    def wake(self, turn: threading.Lock) -> None:
        """Let a parked thread go on."""
        self._ready.append(turn)

    def park(self) -> None:
        """Let others run, until this thread is woken."""
        self._is_parked.release()
        self._local.turn.acquire()

    def run(self, until: float) -> None:
        """Let threads run until a time."""
        while True:
            while self._ready:
                self._ready.popleft().release()
                self._is_parked.acquire()
            if not self._sleeping or self._sleeping[0][0] > until:
                return
            self.now, _, turn = heapq.heappop(self._sleeping)
            self._ready.append(turn)
            self.on_advance()

    def _wake_at(self, moment: float, turn: threading.Lock) -> None:
        heapq.heappush(self._sleeping, (moment, next(self._count), turn))


class VirtualEvent(threading.Event):
    """An event whose waits take virtual time."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__()
        self._time = time
        self._waiting: list[threading.Lock] = []

    def set(self) -> None:
        """Set it, and wake those that wait without a limit."""
        super().set()
        for turn in self._waiting:
            self._time.wake(turn)
        self._waiting.clear()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it; if `timeout` is given, for that long whatever happens."""
        if self.is_set():
            return True
        if timeout is not None:
            self._time.sleep(timeout)
        else:
            self._waiting.append(self._time.current())
            self._time.park()
        return self.is_set()
