"""Refreshing credentials that are about to expire, without a call that waits for it."""

import logging
import threading
from collections.abc import Callable
from typing import Any, Final

from ..redaction import register_secrets

LOOKUP_INTERVAL: Final = 5.0
"""Seconds between lookups, for as long as they find no credentials that work."""

_SLOW: Final = 15.0  # seconds

_log = logging.getLogger(__name__)


class BackgroundRefresh:
    """Refreshes a botocore session's credentials in a thread of its own while they are valid.

    botocore refreshes them from 15 minutes before they expire, while it signs a request: an endpoint that hangs would
    keep every call waiting although the credentials can be used. Here, a call waits only once they have expired.

    Args:
        credentials: botocore's; their public methods are replaced
        explain: makes a message of what botocore raised
    """

    def __init__(self, credentials: Any, explain: Callable[[Exception], str], clock: Callable[[], float]) -> None:
        self._is_static = not hasattr(credentials, "refresh_needed")
        self._refresh_needed = getattr(credentials, "refresh_needed", lambda *_: False)
        self._freeze = credentials.get_frozen_credentials
        self._explain = explain
        self._clock = clock
        self._waiting = threading.Lock()
        self._failure: Exception | None = None
        self._running = threading.Lock()
        self._thread: threading.Thread | None = None
        self._began = clock()  # of the last refresh
        self._is_announced = False
        self.current: Any = None
        """The credentials that were used last, frozen."""
        credentials.refresh_needed = self._may_refresh
        credentials.get_frozen_credentials = self.freeze

    def freeze(self) -> Any:
        """Return the current credentials, frozen. botocore calls it to sign each request.

        Their secrets are registered for redaction.
        """
        if self._is_static and self.current is not None:
            return self.current
        frozen = self.current = self._replace_expired() if self._refresh_needed(0) else self._freeze()
        register_secrets(frozen.secret_key, frozen.token)
        if self._refresh_needed():
            self._start()
        return frozen

    def _replace_expired(self) -> Any:
        """Wait for other credentials. A failure is that of every call of the next seconds, in all threads."""
        with self._waiting:
            if self._failure is not None and self._clock() - self._began < LOOKUP_INTERVAL:
                raise self._failure
            self._failure = None
            try:
                return self._freeze()
            except Exception as error:
                self._failure = error
                raise
            finally:
                self._began = self._clock()

    def _may_refresh(self, refresh_in: float | None = None) -> bool:
        """Return whether botocore is to refresh the credentials in this thread; with 0, whether they have expired."""
        return bool(self._refresh_needed(0) or (refresh_in != 0 and threading.current_thread() is self._thread))

    def _start(self) -> None:
        elapsed = self._clock() - self._began
        if elapsed < LOOKUP_INTERVAL:
            return
        if not self._running.acquire(blocking=False):
            if elapsed >= _SLOW:
                self._announce(TimeoutError(f"it has not responded for {elapsed:.0f} s"))
            return
        self._began = self._clock()
        self._thread = threading.Thread(target=self._refresh, name="credentials", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the machine has no more threads
            self._running.release()

    def _refresh(self) -> None:
        try:
            self._freeze()
            self._is_announced = False
        except Exception as error:
            self._announce(error)
        finally:
            self._thread = None
            self._running.release()

    def _announce(self, problem: Exception) -> None:
        """Log a problem, once until a refresh succeeds."""
        if not self._is_announced:
            self._is_announced = True
            _log.warning("%s; using the current ones until they expire", self._explain(problem))
