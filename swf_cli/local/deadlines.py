"""A queue of items that each have a deadline, which may move while they are queued."""

import math
from dataclasses import dataclass, field
from heapq import heappop, heappush


@dataclass(slots=True, eq=False)
class Expirable:
    """Something that expires at its deadline unless it is over before."""

    queued_for: float = field(default=math.inf, init=False)
    """The time for which it is queued; infinite if it is not."""

    def deadline(self) -> float:
        """Return when it expires; infinite if it is over, or never expires."""
        raise NotImplementedError


class DeadlineQueue:
    """Items by deadline. An item whose deadline moves back stays queued for the old one until that has come."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Expirable]] = []
        self._added = 0

    def watch(self, item: Expirable) -> None:
        """Queue an item. Call it again whenever its deadline may have moved forward."""
        deadline = item.deadline()
        if deadline < item.queued_for:
            item.queued_for = deadline
            self._added += 1
            heappush(self._heap, (deadline, self._added, item))

    def next_deadline(self) -> float:
        """Return the earliest time at which an item may expire; infinite if there is none."""
        return self._heap[0][0] if self._heap else math.inf

    def pop_expired(self, now: float) -> tuple[float, Expirable] | None:
        """Remove and return the first item that has expired by now, with its deadline."""
        while self._heap and self._heap[0][0] <= now:
            due, _, item = heappop(self._heap)
            if due != item.queued_for:
                continue
            item.queued_for = math.inf
            if item.deadline() <= due:
                return due, item
            self.watch(item)
        return None
