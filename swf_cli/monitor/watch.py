"""Looks at task lists again and again, and keeps the last figure of each through whatever fails."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..api import count_pending_tasks
from ..models import PendingCount
from ..retry import TRANSIENT

if TYPE_CHECKING:
    import botocore.client


_GLANCE: Final = 0.2  # seconds


@dataclass(frozen=True, slots=True)
class PendingSample:
    """What is known of a task list."""

    task_list: str
    pending: PendingCount | None = None
    """None until a look has succeeded."""

    change: int | None = None
    """Difference to the look before; None when one of the two is not known exactly."""

    seen_at: float = 0.0
    """When it was counted, by the clock of the watch."""

    error: str | None = None
    """Why the last look failed; the figure is older than that then."""


class PendingMonitor:
    """Counts the tasks that wait on task lists, over and over (CountPendingActivityTasks)."""

    def __init__(
        self,
        client: "botocore.client.BaseClient",
        domain: str,
        task_lists: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.figures = [PendingSample(task_list) for task_list in task_lists]
        self._client = client
        self._domain = domain
        self._clock = clock

    def refresh(self) -> list[PendingSample]:
        """Count once, side by side. A fault that may pass leaves a figure as it was; another one is raised."""
        with ThreadPoolExecutor(max_workers=min(8, len(self.figures))) as counters:
            self.figures = list(counters.map(self._look_at, self.figures))
        return self.figures

    def refresh_unless_stopped(self, told_to_stop: Callable[[], bool], meanwhile: Callable[[], None]) -> bool:
        """Look, and tell whether that was done; when it is told to stop first, the look is left to itself."""
        looker = ThreadPoolExecutor(max_workers=1)
        look = looker.submit(self.refresh)
        looker.shutdown(wait=False)
        while not wait_for([look], timeout=_GLANCE).done:
            if told_to_stop():
                return False
            meanwhile()
        look.result()
        return True

    @property
    def counts(self) -> list[PendingCount]:
        """The last count of each list that was ever counted."""
        return [figure.pending for figure in self.figures if figure.pending is not None]

    def exceeds(self, most: int | None) -> bool:
        """Tell whether more than `most` tasks wait on one of them."""
        return most is not None and any(pending.exceeds(most) for pending in self.counts)

    def age(self, figure: PendingSample) -> float:
        """Tell how old a figure is, in seconds."""
        return self._clock() - figure.seen_at

    def _look_at(self, before: PendingSample) -> PendingSample:
        try:
            pending = count_pending_tasks(before.task_list, self._domain, self._client)
        except TRANSIENT as error:
            return PendingSample(before.task_list, before.pending, before.change, before.seen_at, error.message)
        earlier = before.pending
        if earlier is None or earlier.truncated or pending.truncated:
            return PendingSample(before.task_list, pending, None, self._clock())
        return PendingSample(before.task_list, pending, pending.count - earlier.count, self._clock())
