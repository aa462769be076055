"""A fleet on paper: `python -m tests.benchmarks.fleet [--pollers N]`, on a virtual clock and without sockets.

2,000 pollers on 20 lists, with the worker's own code for polls, responses and retries, against the local SWF with
SWF's quotas, and a service that is unreachable for a minute. Afterwards the calls a second stay near the steady rate,
all pollers are back soon, and each task is done once. Prints the curve.
"""

import argparse
import logging
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from swf_cli.client.session import Session
from swf_cli.errors import NetworkError, ThrottlingError
from swf_cli.ledger.records import PollSource
from swf_cli.ledger.store import Ledger
from swf_cli.local.clock import Clock
from swf_cli.local.engine import Engine
from swf_cli.local.entities import Poll
from swf_cli.local.faults import Fault
from swf_cli.local.matching import end_poll
from swf_cli.local.quotas import RateLimits
from swf_cli.models import TaskReference
from swf_cli.polling import ListRotation, Poller
from swf_cli.responding import Outcome, Responder
from swf_cli.retry import Retrier
from tests.benchmarks.virtual_time import VirtualEvent, VirtualTime
from tests.helpers.flow import TIMEOUTS, Flow, activity

DOMAIN = "media"
LISTS = 20
OUTAGE_AT, OUTAGE = 300.0, 60.0  # seconds
END = 900.0
TASKS = 4  # a second
WORK = 5.0  # seconds
WINDOW = 10  # seconds
MOST = 1.5


class VirtualEngine(Engine):
    """A local SWF that holds polls in virtual time."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__(Clock(time), hold=60.0)
        self.held: set[Poll] = set()
        self._time = time
        time.on_advance = lambda: self.advance(0)

    def wait_for(self, poll: Poll) -> None:
        """Wait for the end of a poll, while others run."""
        if not poll.done.is_set():
            poll.done = VirtualEvent(self._time)
            self.held.add(poll)
            poll.done.wait()
            self.held.discard(poll)


class Service:
    """What workers reach: an SWF with its quotas, and sometimes nothing. Its methods are those of a client."""

    def __init__(self, engine: VirtualEngine, time: VirtualTime) -> None:
        self.is_up = True
        self.calls: Counter[int] = Counter()
        """Calls that workers made, by second."""
        self.errors: Counter[str] = Counter()
        self.reached_at: dict[str, float] = {}
        """When each poller, by its identity, first reached it since the outage began."""
        self._engine = engine
        self._time = time
        self._quotas = RateLimits()

    def poll_for_activity_task(self, **arguments: Any) -> dict[str, Any]:
        """Hold a poll (PollForActivityTask)."""
        self._arrive("PollForActivityTask")
        self.reached_at.setdefault(arguments["identity"], self._time.now)
        answer = self._engine.call("PollForActivityTask", arguments)
        if not self.is_up:
            self.errors["reset"] += 1
            raise NetworkError("the connection was reset", possibly_executed=True)
        return answer

    def respond_activity_task_completed(self, **arguments: Any) -> dict[str, Any]:
        """Complete a task (RespondActivityTaskCompleted)."""
        self._arrive("RespondActivityTaskCompleted")
        return self._engine.call("RespondActivityTaskCompleted", arguments)

    def fail(self) -> None:
        """Become unreachable: what is held is cut off."""
        self.is_up = False
        self.reached_at.clear()
        for poll in list(self._engine.held):
            end_poll(poll, None)

    def _arrive(self, operation: str) -> None:
        """Count a call. Raise SwfError if it is refused."""
        self.calls[int(self._time.now)] += 1
        if not self.is_up:
            self.errors["refused"] += 1
            raise NetworkError("connection refused")
        try:
            self._quotas.take(operation, self._time.now)
        except Fault as fault:
            self.errors["throttled"] += 1
            raise ThrottlingError(fault.message) from fault


class Fleet:
    """Pollers that do tasks, and a decider that schedules them."""

    def __init__(self, time: VirtualTime, service: Service, engine: Engine, seed: int) -> None:
        self.done: Counter[str] = Counter()
        """How often each task was completed, by workflow ID."""
        self.scheduled = 0
        self._time = time
        self._service = service
        self._engine = engine
        self._flow = Flow(lambda operation, **arguments: engine.call(operation, arguments), DOMAIN).register()
        self._retrier: Callable[..., Retrier] = partial(Retrier, clock=time, jitter=Random(seed).random)
        self._stop = VirtualEvent(time)
        client = SimpleNamespace(poll_client=service, single_attempt_client=service)
        self._session = cast("Session", client)
        self._ledger = Ledger(None)

    def poller(self, number: int) -> None:
        """Poll, work, respond, as a slot of a worker does."""
        source = PollSource(DOMAIN, f"list-{number % LISTS}", f"poller-{number}", None, "us-east-1", "http://x")
        lists = ListRotation(source)
        poller = Poller(self._session, self._ledger, retrier=self._retrier, clock=self._time)
        while received := poller.receive(lists, stop=self._stop):
            self._time.sleep(WORK)
            task = received.task
            responder = Responder(cast("Any", self._service), stop=self._stop, retrier=self._retrier)
            settlement = responder.deliver(TaskReference(task.token, DOMAIN, task.execution), Outcome("completed"))
            assert settlement.status == "accepted", settlement
            self.done[task.execution.id] += 1

    def decider(self) -> None:
        """Schedule tasks at a steady rate, while the service is there."""
        while self._time.now < END - 100:
            self._time.sleep(1 / TASKS)
            if self._service.is_up:
                self._schedule(f"task-{self.scheduled}", f"list-{self.scheduled % LISTS}")
                self.scheduled += 1

    def _schedule(self, workflow_id: str, task_list: str) -> None:
        decisions = f"decisions-{workflow_id}"
        self._flow.start(workflow_id, taskList={"name": decisions})
        self._flow.decide_on(decisions, activity(task_list=task_list, **dict.fromkeys(TIMEOUTS, "NONE")))


def tick(time: VirtualTime) -> None:
    """Let the service look at its deadlines now and then: polls end although nothing else happens."""
    while time.now < END:
        time.sleep(0.1)


def curve(calls: Counter[int], steady: float) -> None:
    """Print the calls a second."""
    for second in range(int(OUTAGE_AT) - 60, int(END), WINDOW):
        rate = sum(calls[second + n] for n in range(WINDOW)) / WINDOW
        is_out = OUTAGE_AT <= second < OUTAGE_AT + OUTAGE
        bar = "#" * min(60, round(rate / steady * 20))
        print(f"{second - int(OUTAGE_AT):+5d} s {rate:8.1f} calls/s {'outage ' if is_out else '       '}{bar}")


def main() -> None:
    """Print the curve, and what it shows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pollers", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.getLogger("swf_cli").setLevel(logging.CRITICAL)
    random, time = Random(given.seed), VirtualTime()
    engine = VirtualEngine(time)
    service = Service(engine, time)
    fleet = Fleet(time, service, engine, given.seed)
    for number in range(given.pollers):  # workers of a fleet are started over some time
        time.start(partial(fleet.poller, number), random.uniform(0, 60))
    time.start(fleet.decider, 60)
    time.start(partial(tick, time))
    time.run(OUTAGE_AT)
    service.fail()
    time.run(OUTAGE_AT + OUTAGE)
    service.is_up = True
    service.reached_at.clear()
    time.run(END)
    steady = [service.calls[second] for second in range(120, int(OUTAGE_AT))]
    rate = sum(steady) / len(steady)
    curve(service.calls, rate)
    print(f"steady: {rate:.1f} calls/s on average, at most {_highest(service.calls, 120, OUTAGE_AT):.1f}")
    highest = _highest(service.calls, OUTAGE_AT + OUTAGE, END)
    print(f"after the outage: at most {highest:.1f} calls/s in {WINDOW} s, {highest / rate:.2f} x; at most {MOST}")
    last = max(service.reached_at.values()) - OUTAGE_AT - OUTAGE
    print(f"{len(service.reached_at)} of {given.pollers} pollers are back, the last after {last:.0f} s; at most 120")
    most = max(fleet.done.values())
    print(f"{fleet.scheduled} tasks were scheduled, {len(fleet.done)} completed, each {most} time at most")
    print(f"failed calls: {dict(service.errors)}")
    assert len(fleet.done) == fleet.scheduled == fleet.done.total(), "tasks were lost, or done twice"


def _highest(calls: Counter[int], begin: float, end: float) -> float:
    """Return the most calls a second, on average over a window."""
    seconds = range(int(begin), int(end) - WINDOW)
    return max(sum(calls[second + n] for n in range(WINDOW)) for second in seconds) / WINDOW


if __name__ == "__main__":
    main()
