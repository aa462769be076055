"""What `swf stuck` and `swf tasks` share: a scan that a signal or a failure ends early."""

import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from typing import Final

from .. import signals
from ..errors import CheckFailed, ExitCode, Signalled
from ..monitor.calls import ScanCalls
from ..monitor.scanner import DomainScanner
from ..names import did_you_mean
from ..output.progress import count_of, scan_progress
from ..output.terminal import is_stalled
from .options import CommonOptions, is_given

_NOTICE_DELAY: Final = 1.0  # seconds
_WRITE_PATIENCE: Final = 2.0  # seconds

_log = logging.getLogger(__name__)


class Scan:
    """A scan of the domain that the options name.

    Args:
        rate: history requests per second
        timeout: seconds after which it ends; None for none
    """

    def __init__(self, common: CommonOptions, *, rate: float = 30.0, timeout: float | None = None) -> None:
        session = common.session()
        self._color = common.output.color
        self._request = signals.StopRequest()
        self._is_done = threading.Event()
        self._is_written = threading.Event()
        self.client = session.single_attempt_client if timeout is None else session.with_timeout(timeout)
        self.calls = ScanCalls(
            self.client,
            common.domain,
            rate=rate,
            timeout=inf if timeout is None else timeout,
            stop=self._request.event,
        )
        self.scanner = DomainScanner(self.calls)

    @contextmanager
    def running(self, older_than: float = 0.0) -> Iterator[DomainScanner]:
        """Show the progress of a scan, and let signals end it."""
        threading.Thread(target=self._explain_wait, name="stop notice", daemon=True).start()
        with self._request.on_signal(), scan_progress(self.scanner, older_than, self._color):
            yield self.scanner
        self._is_done.set()
        if self._request.number:
            threading.Thread(target=self._repeat_signal, name="repeated signal", daemon=True).start()

    def _repeat_signal(self) -> None:
        """Send the signal that ended the scan again if what was found is written, and nobody reads it."""
        while not self._is_written.wait(_WRITE_PATIENCE):
            if is_stalled(_WRITE_PATIENCE):
                os.kill(os.getpid(), self._request.number)

    def _explain_wait(self) -> None:
        """Say what is waited for after a signal, if that takes a while."""
        self._request.event.wait()
        if not self._is_done.wait(_NOTICE_DELAY):
            _log.info("waiting up to 20 s for the calls in flight; send the signal again to quit immediately")

    def log_lists(self, similar_lists: Mapping[str, Sequence[str]]) -> None:
        """Log which task lists were probably meant by those that no task is on, and if a variable chose them."""
        chosen = os.environ.get("SWF_TASK_LIST")
        if chosen and not is_given("task_lists"):  # perhaps it was forgotten
            _log.info("only tasks on %s are shown, since SWF_TASK_LIST is set", chosen)
        for task_list, near in similar_lists.items():
            _log.info("no task was found on %s; %s", task_list, did_you_mean(near))

    def finish(self, check_failed: CheckFailed | None = None) -> None:
        """Log what was not read. Raise Signalled, the failure that ended the scan early, or `check_failed`.

        A check that failed has done so whatever else would be found: exit code 1 is for failures without another.
        """
        self._is_written.set()
        progress, failure = self.calls.progress, self.calls.failure
        if progress.malformed:
            _log.info("skipped %s in lists and histories", count_of(progress.malformed, "malformed record"))
        if progress.skipped:
            _log.info("%s could not be read: results are incomplete", count_of(progress.skipped, "execution"))
        if self._request.number or failure:
            _log.info("%s: results are incomplete", "interrupted" if self._request.number else "stopped early")
        if self._request.number:
            raise Signalled(self._request.number)
        if failure and check_failed and failure.exit_code == ExitCode.REFUSED:
            _log.info("%s", failure.message)
        elif failure:
            raise failure
        if check_failed:
            raise check_failed
