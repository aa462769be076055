"""SWF's state machine in memory: operations by name, long polls, and time."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from threading import Condition, Lock
from typing import Final

from . import executions, polls, registry, tags, visibility
from .clock import Clock
from .entities import Args, Poll, Response, TaskKind
from .faults import Fault
from .lifecycle import finish
from .matching import end_all_polls
from .quotas import Limits
from .service import ServiceState
from .timeouts import advance_to

_OPERATIONS: Final[Mapping[str, Callable[[ServiceState, Args], Response]]] = {
    **registry.OPERATIONS,
    **tags.OPERATIONS,
    **executions.OPERATIONS,
    **visibility.OPERATIONS,
}

_POLLS: Final[Mapping[str, TaskKind]] = {"PollForActivityTask": "activity", "PollForDecisionTask": "decision"}

OPERATIONS: Final = frozenset({*_OPERATIONS, *_POLLS})
"""The names of the operations."""

DEFAULT_REGION: Final = "us-east-1"


def _always_connected() -> bool:
    return True


class Engine:
    """A local SWF without HTTP. Safe to call from many threads.

    `hold` is the longest time that a poll waits, in real seconds, whatever the clock shows. With
    `deliver_to_disconnected`, a task may go to a poll whose client has disconnected, as reported of SWF.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        hold: float = 60.0,
        deliver_to_disconnected: bool = True,
        limits: Limits | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self._new_state = partial(
            ServiceState,
            clock=self.clock,
            hold=hold,
            deliver_to_disconnected=deliver_to_disconnected,
            limits=limits or Limits(),
        )
        self._states: dict[str, ServiceState] = {}
        """The state of each region that was called."""
        self._lock = Lock()
        self._deadline_changed = Condition(self._lock)
        self._awaited_deadline = math.inf
        self._closed = False

    def call(
        self,
        operation: str,
        args: Args,
        *,
        region: str = DEFAULT_REGION,
        is_connected: Callable[[], bool] = _always_connected,
    ) -> Response:
        """Run an operation in a region; its arguments must be valid by SWF's service model.

        A poll returns when it receives a task or its time is over; `is_connected` returns whether its client is still
        connected. Raise Fault if SWF rejects the call, or if there is no such operation.
        """
        if operation not in OPERATIONS:
            raise Fault("UnknownOperationException", f"{operation} is not an operation of SWF")
        kind = _POLLS.get(operation)
        with self._lock:
            service = self._state(region)
            advance_to(service, self.clock.now())
            try:
                if kind is None:
                    return _OPERATIONS[operation](service, args)
                if args.get("nextPageToken"):
                    return polls.next_page(service, args)
                poll = polls.hold(service, kind, args, is_connected)
            finally:
                finish(service)
                if service.deadlines.next_deadline() < self._awaited_deadline:
                    self._deadline_changed.notify()
        self.wait_for(poll)
        return polls.respond(service, kind, poll.task, args)

    def wait_for(self, poll: Poll) -> None:
        """Wait for the end of a poll."""
        poll.done.wait()

    def _state(self, region: str) -> ServiceState:
        if region not in self._states:
            self._states[region] = self._new_state(region)
        return self._states[region]

    def held_polls(
        self, domain: str, task_list: str, kind: TaskKind = "activity", *, region: str = DEFAULT_REGION
    ) -> tuple[Poll, ...]:
        """Return the polls that wait on a task list, the oldest first."""
        with self._lock:
            return tuple(self._state(region).domain(domain).task_list(kind, task_list).polls)

    def advance(self, seconds: float) -> None:
        """Move the clock forward, and process in order whatever becomes due, each at its own time."""
        with self._lock:
            self.clock.advance(seconds)
            self._advance_all()
            self._deadline_changed.notify()

    def _advance_all(self) -> None:
        for service in self._states.values():
            advance_to(service, self.clock.now())

    def keep_time(self) -> None:
        """Process deadlines as they come, until `close`. Run it in a thread of its own."""
        with self._lock:
            while not self._closed:
                self._advance_all()
                deadlines = [service.deadlines.next_deadline() for service in self._states.values()]
                self._awaited_deadline = min(deadlines, default=math.inf)
                self._deadline_changed.wait(self.clock.real_seconds_until(self._awaited_deadline))

    def close(self) -> None:
        """End all polls without a task, and `keep_time`."""
        with self._lock:
            self._closed = True
            for service in self._states.values():
                end_all_polls(service)
            self._deadline_changed.notify()
