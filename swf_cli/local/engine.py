"""SWF's state machine for the activity path, in memory: operations by name, polls that are held, and time."""

import math
from collections.abc import Callable, Mapping
from threading import Condition, Lock
from typing import Final

from . import executions, polls, registry, visibility
from .clock import Clock
from .faults import Fault
from .quotas import Buckets
from .state import Answer, Args, TaskKind
from .world import World

_OPERATIONS: Final[Mapping[str, Callable[[World, Args], Answer]]] = {
    **registry.OPERATIONS,
    **executions.OPERATIONS,
    **visibility.OPERATIONS,
}

_POLLS: Final[Mapping[str, TaskKind]] = {"PollForActivityTask": "activity", "PollForDecisionTask": "decision"}

OPERATIONS: Final = frozenset({*_OPERATIONS, *_POLLS})
"""SWF's names of the operations that are supported."""


def _still_there() -> bool:
    return True


class Engine:
    """A local SWF without the wire. Safe to call from many threads.

    `hold` is how long a poll is held, in seconds of the clock. `hand_to_gone`: whether a held poll whose caller has
    gone is handed a task all the same, as SWF is reported to do. `quotas`: whether SWF's request rates hold.
    """

    def __init__(
        self, clock: Clock | None = None, *, hold: float = 60.0, hand_to_gone: bool = True, quotas: bool = False
    ) -> None:
        self.clock = clock or Clock()
        self._world = World(hold=hold, hand_to_gone=hand_to_gone)
        self._buckets = Buckets() if quotas else None
        self._lock = Lock()
        self._sooner = Condition(self._lock)
        self._waited_for = math.inf
        self._closed = False

    def call(self, operation: str, args: Args, *, alive: Callable[[], bool] = _still_there) -> Answer:
        """Carry out an operation of SWF's; the arguments must be such as its service model allows.

        A poll is held until a task comes or its time is over; `alive` tells whether its caller is still there.
        Raises Fault for what SWF refuses, and for an operation that is not supported.
        """
        if operation not in OPERATIONS:
            raise Fault("UnknownOperationException", f"{operation} is not supported by this local SWF")
        kind = _POLLS.get(operation)
        with self._lock:
            self._world.move_to(self.clock.now())
            if self._buckets:
                self._buckets.take(operation, self._world.moment)
            try:
                if kind is None:
                    return _OPERATIONS[operation](self._world, args)
                if args.get("nextPageToken"):
                    return polls.next_page(self._world, args)
                poll = polls.hold(self._world, kind, args, alive)
            finally:
                self._world.settle()
                if self._world.next_deadline() < self._waited_for:
                    self._sooner.notify()
        poll.done.wait()
        return polls.answer(self._world, kind, poll.task, args)

    def advance(self, seconds: float) -> None:
        """Move the clock ahead: whatever comes due happens before this returns, in order, each at its own time."""
        with self._lock:
            self.clock.advance(seconds)
            self._world.move_to(self.clock.now())
            self._sooner.notify()

    def keep_time(self) -> None:
        """Let things happen as they come due, until `close`: for a thread of its own."""
        with self._lock:
            while not self._closed:
                self._world.move_to(self.clock.now())
                self._waited_for = self._world.next_deadline()
                self._sooner.wait(self.clock.seconds_until(self._waited_for))

    def close(self) -> None:
        """End: polls that are held are answered with no task, `keep_time` returns."""
        with self._lock:
            self._closed = True
            self._world.dismiss()
            self._sooner.notify()
