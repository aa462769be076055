"""Whether a worker makes progress: for a watchdog, and for a liveness probe."""

import errno
import logging
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from .files import describe_open_error

POLL_ALLOWANCE: Final = 80.0
"""Seconds that a poll may take: SWF holds it, and it is given up after 75."""

RETRY_ALLOWANCE: Final = 120.0
"""Seconds that a wait after a failed poll may take."""

SERVICE_VARIABLES: Final = frozenset({"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"})
"""Environment variables that are meant for the worker, not for the commands that it runs."""

_ALLOWANCE: Final = 60.0  # seconds between two signs of life of a slot that does not poll
_SHORTEST_INTERVAL: Final = 0.05  # seconds
_LONGEST_INTERVAL: Final = 3_600.0  # seconds

_log = logging.getLogger(__name__)


class Liveness:
    """Signs of life of a worker's slots, for systemd (sd_notify) and for a file that a probe looks at.

    Args:
        environ: NOTIFY_SOCKET is where systemd listens; WATCHDOG_USEC how long it waits for a sign of life
        alive_file: its modification time is set with every answered poll and heartbeat
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        alive_file: str | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._interval = _watchdog_interval(environ)
        self._alive_file = alive_file
        self._clock = clock
        self._deadlines: dict[int, float] = {}
        """Until when each slot, by its thread, may go without a further sign of life."""
        self._silent_since: float | None = None
        """When the first poll since the last response was sent; None if there was none."""
        self.running = 0
        """Number of tasks that are being worked on."""
        self._is_ready = False
        self._is_touched = True
        self._is_stopping = False
        self._stop = threading.Event()

    def start(self) -> None:
        """Start the watchdog, if systemd asked for one. Raise OSError if the alive file can't be written."""
        if self._alive_file is not None:
            _touch(self._alive_file)
        if self._address and self._interval:
            threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def stopping(self) -> None:
        """Notify systemd, once, that the worker is stopping."""
        if not self._is_stopping:
            self._is_stopping = self._notify("STOPPING=1")

    def stop(self) -> None:
        """Notify systemd that the worker is stopping, and stop the watchdog."""
        self.stopping()
        self._stop.set()

    def beat(self, allowance: float = _ALLOWANCE) -> None:
        """Note that this thread makes progress, and will again within `allowance` seconds."""
        self._deadlines[threading.get_ident()] = self._clock() + allowance

    def end(self) -> None:
        """Note that this thread is done, or waits for something that others take care of."""
        self._deadlines.pop(threading.get_ident(), None)

    def polled(self) -> None:
        """Note that this thread is about to send a poll."""
        self.beat(POLL_ALLOWANCE)
        if self._silent_since is None:
            self._silent_since = self._clock()

    def ready(self) -> None:
        """Notify systemd, once, that the worker is ready: a poll is out."""
        if not self._is_ready:
            self._is_ready = self._notify("READY=1")

    def answered(self) -> None:
        """Note that a poll got an answer, or a failure that is not silence."""
        self._silent_since = None
        self.beat(RETRY_ALLOWANCE)

    def touch(self) -> None:
        """Touch the alive file: SWF answered."""
        if self._alive_file is not None:
            try:
                _touch(self._alive_file)
                self._is_touched = True
            except OSError as error:
                if self._is_touched:
                    _log.warning("cannot touch %s: %s", self._alive_file, describe_open_error(error))
                self._is_touched = False

    def is_alive(self) -> bool:
        """Return whether all slots make progress: a poll without an answer is progress for 80 seconds."""
        now = self._clock()
        since = self._silent_since
        is_answered = self.running or since is None or now - since <= POLL_ALLOWANCE
        return bool(is_answered) and all(deadline >= now for deadline in list(self._deadlines.values()))

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            if self.is_alive():
                self._notify("WATCHDOG=1")

    def _notify(self, state: str) -> bool:
        """Send a datagram to systemd; return whether it was sent, or nobody wants it. It is never waited for."""
        if not self._address:
            return True
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0)) as connection:
                connection.setblocking(False)
                connection.sendto(state.encode(), address)
        except (OSError, ValueError) as error:
            _log.debug("cannot notify systemd: %s", error)
            return False
        return True


def _watchdog_interval(environ: Mapping[str, str]) -> float:
    """Return the seconds between signs of life that systemd wants from this process; 0 if it wants none."""
    pid, watchdog = environ.get("WATCHDOG_PID", ""), environ.get("WATCHDOG_USEC", "")
    if pid not in ("", str(os.getpid())) or not watchdog.isdecimal() or watchdog.strip("0") == "":
        return 0.0
    return min(max(float(watchdog) / 2e6, _SHORTEST_INTERVAL), _LONGEST_INTERVAL)


def _touch(path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # a probe could not go by its time
            raise OSError(errno.EINVAL, "it is not a regular file")
        os.utime(descriptor)
    finally:
        os.close(descriptor)
