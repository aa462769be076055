"""SWF's state machine for the activity path, in memory: operations by name, polls that are held, and time."""

import math
from collections.abc import Callable, Mapping
from threading import Condition, Lock
from typing import Final

from . import executions, polls, registry, visibility
from .clock import Clock
from .entities import Answer, Args, TaskKind
from .faults import Fault
from .quotas import RateLimits
from .service import ServiceState

_OPERATIONS: Final[Mapping[str, Callable[[ServiceState, Args], Answer]]] = {
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

    `hold` is how long a poll is held, in seconds of the clock. `deliver_to_disconnected`: whether a held
    poll whose caller has gone is given a task all the same, as SWF is reported to do.
    `quotas`: whether SWF's request rates hold.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        hold: float = 60.0,
        deliver_to_disconnected: bool = True,
        quotas: bool = False,
    ) -> None:
        self.clock = clock or Clock()
        self._service = ServiceState(hold=hold, deliver_to_disconnected=deliver_to_disconnected)
        self._rate_limits = RateLimits() if quotas else None
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
            self._service.move_to(self.clock.now())
            if self._rate_limits:
                self._rate_limits.take(operation, self._service.now)
            try:
                if kind is None:
                    return _OPERATIONS[operation](self._service, args)
                if args.get("nextPageToken"):
                    return polls.next_page(self._service, args)
                poll = polls.hold(self._service, kind, args, alive)
            finally:
                self._service.settle()
                if self._service.next_deadline() < self._waited_for:
                    self._sooner.notify()
        poll.done.wait()
        return polls.answer(self._service, kind, poll.task, args)

    def advance(self, seconds: float) -> None:
        """Move the clock ahead: whatever comes due happens before this returns, in order, each at its own time."""
        with self._lock:
            self.clock.advance(seconds)
            self._service.move_to(self.clock.now())
            self._sooner.notify()

    def keep_time(self) -> None:
        """Let things happen as they come due, until `close`: for a thread of its own."""
        with self._lock:
            while not self._closed:
                self._service.move_to(self.clock.now())
                self._waited_for = self._service.next_deadline()
                self._sooner.wait(self.clock.seconds_until(self._waited_for))

    def close(self) -> None:
        """End: polls that are held are answered with no task, `keep_time` returns."""
        with self._lock:
            self._closed = True
            self._service.dismiss()
            self._sooner.notify()
