"""Starting commands on a machine on which that may fail: without losing their tasks, and without taking more."""

import errno
import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable
from math import inf
from subprocess import DEVNULL
from typing import Final, TypeVar

from ..retry import Log, Retrier
from .handlers import StartError

T = TypeVar("T")

_FIRST_DELAY: Final = 0.2  # seconds
_LONGEST_DELAY: Final = 2.0  # seconds
_TICK: Final = 0.2  # seconds
_SHORTAGE: Final = 60.0  # seconds

_log = logging.getLogger(__name__)


def check_process_slots(shell: str = "/bin/sh") -> None:
    """Raise StartError if a shell can't start three processes: commands would start, and fail for lack of more."""
    probe = [shell, "-c", "sleep 0.05 & sleep 0.05 & sleep 0.05 & wait"]
    try:
        subprocess.run(probe, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, timeout=5, check=True)
    except (FileNotFoundError, PermissionError):
        pass  # this machine has no shell, such as some containers
    except OSError as error:
        raise StartError(error.errno, error.strerror) from error
    except subprocess.SubprocessError as error:
        raise StartError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error


class StartGate:
    """Closed while commands can't be started: no slot polls meanwhile, and starting those of its tasks is retried.

    After `grace` seconds those tasks fail, and `on_give_up` is called with the error.
    """

    def __init__(
        self,
        grace: float,
        on_give_up: Callable[[OSError], None],
        *,
        check_slots: Callable[[], None] = check_process_slots,
        retrier: Callable[..., Retrier] = Retrier,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._grace = grace
        self._on_give_up = on_give_up
        self._check_slots = check_slots
        self._retrier = retrier
        self._clock = clock
        self._sleep = sleep
        self._condition = threading.Condition()
        self._closed_at: float | None = None
        self._retrying = 0
        """Number of tasks whose command is still to be started."""
        self._has_given_up = False
        self._probing = threading.Lock()
        self._is_short_until = -inf
        """Until when process slots are short: commands that start then may be unable to start their own."""

    def start(self, start: Callable[[], T], *, is_over: Callable[[], bool], log: Log) -> T | None:
        """Call `start` until it raises no OSError, and return what it returns.

        Return None once `is_over()`: the task needs no command any more. Raise the OSError when the time is up.
        """
        retrier, is_started = None, False
        try:
            while not is_over():
                try:
                    if self._clock() < self._is_short_until:
                        with self._probing:
                            self._check_slots()
                    started = start()
                except OSError as error:
                    if error.errno == errno.EAGAIN:
                        self._is_short_until = self._clock() + _SHORTAGE
                    retrier = retrier or self._close(error, log)
                    delay = retrier.next_delay(f"cannot start the command: {error}")
                    if delay is None:  # the last attempt is made at the very end
                        delay = retrier.time_left()
                    if delay <= 0:
                        self._give_up(error)
                        raise
                    self._sleep_unless_over(delay, is_over)
                else:
                    is_started = True
                    return started
            return None
        finally:
            if retrier is not None:
                self._leave(is_started=is_started)

    def wait_until_open(self, stop: threading.Event) -> None:
        """Wait while commands can't be started; return early once `stop` is set."""
        with self._condition:
            while self._closed_at is not None and not stop.is_set():
                self._condition.wait(_TICK)

    def _close(self, error: OSError, log: Log) -> Retrier:
        with self._condition:
            self._retrying += 1
            is_first = self._closed_at is None
            self._closed_at = closed_at = self._clock() if self._closed_at is None else self._closed_at
            left = 0.0 if self._has_given_up else closed_at + self._grace - self._clock()
        if is_first:
            _log.warning("commands cannot be started, so polling is suspended: %s", error)
        return self._retrier(first=_FIRST_DELAY, longest=_LONGEST_DELAY, timeout=left, log=log)

    def _leave(self, *, is_started: bool) -> None:
        """Open the gate once no start is retried any more.

        That another program starts proves nothing: a folder of handlers may have a broken one among them.
        """
        with self._condition:
            self._retrying -= 1
            is_opened = not self._retrying and self._closed_at is not None
            if is_opened:
                self._closed_at = None
                self._condition.notify_all()
        if is_opened and is_started:
            _log.info("commands can be started again")
        elif is_opened and not self._has_given_up:
            _log.info("the tasks whose commands could not be started are over")

    def _give_up(self, error: OSError) -> None:
        with self._condition:
            is_first = not self._has_given_up
            self._has_given_up = True
        if is_first:
            self._on_give_up(error)

    def _sleep_unless_over(self, seconds: float, is_over: Callable[[], bool]) -> None:
        end = self._clock() + seconds
        while (left := end - self._clock()) > 0 and not is_over():
            self._sleep(min(left, _TICK))
