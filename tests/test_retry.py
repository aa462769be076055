"""Waiting between attempts: how long, how often, until when, and what is logged."""

import logging
import threading
from math import inf

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swf_cli.errors import AccessError, CredentialsError, CredentialsUnavailable, ThrottlingError
from swf_cli.retry import AccessGate, Retrier
from tests.helpers.clock import FakeClock, InstantEvent

ERROR = ThrottlingError("rate exceeded")

seconds = st.floats(0.001, 1_000)
chances = st.floats(0, 1)


def delays_of(retrier: Retrier, count: int) -> list[float | None]:
    """Return the next delays."""
    return [retrier.next_delay(ERROR) for _ in range(count)]


# --- how long


@pytest.mark.parametrize(
    ("jitter", "delays"),
    [
        pytest.param(0.0, [0.5, 1, 2, 4, 8, 15, 15], id="shortest"),
        pytest.param(0.5, [0.75, 1.5, 3, 6, 12, 22.5, 22.5], id="middle"),
        pytest.param(1.0, [1, 2, 4, 8, 16, 30, 30], id="longest"),
    ],
)
def test_delays_double_up_to_30_seconds(jitter: float, delays: list[float]) -> None:
    """By default the delays start at up to 1 s, double, and stay at up to 30 s; half of each is random."""
    assert delays_of(Retrier(jitter=lambda: jitter), 7) == delays


@given(first=seconds, longest=seconds, jitters=st.lists(chances, min_size=1, max_size=40))
@example(first=0.001, longest=66.0, jitters=[0.0] * 18)
def test_each_delay_is_between_half_and_all_of_its_bound(first: float, longest: float, jitters: list[float]) -> None:
    """Whatever the randomness, a delay is at least half of its bound, which doubles from `first` to `longest`."""
    random = iter(jitters)
    retrier = Retrier(first=first, longest=longest, jitter=lambda: next(random), log=None)
    for failures in range(len(jitters)):
        delay, bound = retrier.next_delay(ERROR), min(longest, first * 2.0**failures)
        assert delay is not None
        assert bound / 2 <= delay <= bound


@pytest.mark.parametrize(
    ("jitter", "delays"), [(0.0, [0.5, 1, 0, 30, 30]), (0.25, [0.625, 1.25, 7.5, 30, 30]), (1.0, [1, 2, 30, 30, 30])]
)
def test_clients_that_failed_together_come_back_evenly_spread(jitter: float, delays: list[float]) -> None:
    """After `spread_after` failures one delay is anything up to the longest, and each further one is the longest."""
    assert delays_of(Retrier(spread_after=2, jitter=lambda: jitter), 5) == delays


def test_a_hundred_thousand_failures_do_not_overflow() -> None:
    """An outage of a month is retried as one of a minute is."""
    retrier = Retrier(jitter=lambda: 1.0, log=None)
    assert set(delays_of(retrier, 100_000)[10:]) == {30.0}


def test_a_success_makes_the_next_delay_the_first_one_again() -> None:
    """`reset` starts the delays, and the attempts, anew."""
    retrier = Retrier(jitter=lambda: 1.0, attempts=3)
    assert delays_of(retrier, 2) == [1.0, 2.0]
    retrier.reset()
    assert delays_of(retrier, 3) == [1.0, 2.0, None]
    assert retrier.failures == 3


# --- until when


@given(timeout=st.floats(0, 1_000), jitter=chances)
def test_no_attempt_begins_at_the_timeout_or_later(timeout: float, jitter: float) -> None:
    """Each further attempt begins before the timeout, and there is one as long as that is possible."""
    clock = FakeClock()
    stop = InstantEvent(clock)
    began = clock.now
    retrier = Retrier(timeout=timeout, stop=stop, clock=clock, jitter=lambda: jitter, log=None)
    while retrier.wait(ERROR):
        assert clock.now < began + timeout
        assert retrier.time_left() == began + timeout - clock.now
    bound = min(30.0, 2.0 ** (retrier.failures - 1))
    assert clock.now + bound / 2 + bound / 2 * jitter >= began + timeout


@pytest.mark.parametrize(("asked", "waits"), [(5.0, [5.0] * 12), (60.0, [60.0]), (1e9, [60.0]), (45.0, [45.0, 15.0])])
def test_the_service_may_ask_for_a_delay(asked: float, waits: list[float]) -> None:
    """Retry-After lengthens a delay, but never to where there would be no further attempt."""
    clock = FakeClock()
    stop = InstantEvent(clock)
    retrier = Retrier(longest=4, timeout=60.0, stop=stop, clock=clock, jitter=lambda: 1.0, log=None)
    error = ThrottlingError("rate exceeded", retry_after=asked)
    while retrier.wait(error):
        pass
    assert stop.waits == waits


@pytest.mark.parametrize(("timeout", "attempts"), [(0.0, 1), (1.0, 1), (1.001, 2), (3.001, 3)])
def test_the_timeout_counts_from_the_first_attempt(timeout: float, attempts: int) -> None:
    """A retry that would begin exactly at the timeout is not made."""
    clock = FakeClock()
    retrier = Retrier(timeout=timeout, stop=InstantEvent(clock), clock=clock, jitter=lambda: 1.0)
    made = 1
    while retrier.wait(ERROR):
        made += 1
    assert made == attempts


@given(st.integers(1, 20))
def test_there_are_as_many_attempts_as_allowed(attempts: int) -> None:
    """After the last of `attempts` failures there is no further one."""
    retrier = Retrier(attempts=attempts, stop=InstantEvent(), log=None)
    assert [retrier.wait(ERROR) for _ in range(attempts)] == [*[True] * (attempts - 1), False]


def test_without_limits_it_goes_on() -> None:
    """Without a timeout, attempts or a stop, there is always another attempt."""
    retrier = Retrier(stop=InstantEvent(FakeClock()), log=None)
    assert all(retrier.wait(ERROR) for _ in range(1_000))
    assert retrier.time_left() == inf


def test_a_stop_ends_the_retries(log: pytest.LogCaptureFixture) -> None:
    """Once `stop` is set, there is no further attempt, and none is announced."""
    stop = threading.Event()
    stop.set()
    assert not Retrier(first=600, longest=600, stop=stop).wait(ERROR)
    assert log.messages == []


def test_a_stop_ends_a_wait_that_has_begun() -> None:
    """A thread that waits ten minutes for its next attempt returns when `stop` is set."""
    stop, answers = threading.Event(), []
    retrier = Retrier(first=600, longest=600, stop=stop)
    thread = threading.Thread(target=lambda: answers.append(retrier.wait(ERROR)))
    thread.start()
    stop.set()
    thread.join(60)
    assert answers == [False]


# --- what is logged


def test_each_wait_is_one_line_of_the_log(log: pytest.LogCaptureFixture) -> None:
    """The line has the error's message and the delay; giving up is not logged, since the caller reports it."""
    retrier = Retrier(attempts=3, jitter=lambda: 1.0, stop=InstantEvent())
    assert [retrier.wait(ERROR), retrier.wait("no events yet"), retrier.wait(ERROR)] == [True, True, False]
    assert log.record_tuples == [
        ("swf_cli.retry", logging.INFO, "rate exceeded; retrying in 1.0 s"),
        ("swf_cli.retry", logging.INFO, "no events yet; retrying in 2.0 s"),
    ]
    assert [vars(record)["event"] for record in log.records] == ["retry"] * 2


def test_the_log_is_the_callers(log: pytest.LogCaptureFixture) -> None:
    """A task's own log gets the line; without a log there is none."""
    task_log = logging.LoggerAdapter(logging.getLogger("swf_cli.test"), {"task": "resize-1"})
    Retrier(log=task_log, jitter=lambda: 0.0).next_delay(ERROR)
    Retrier(log=None).next_delay(ERROR)
    (record,) = log.records
    assert (record.name, vars(record)["task"]) == ("swf_cli.test", "resize-1")


# --- access errors

EXPIRED = AccessError("the security token is expired")


@pytest.fixture
def clock() -> FakeClock:
    """The gate's clock."""
    return FakeClock()


def test_calls_wait_after_an_access_error(clock: FakeClock, log: pytest.LogCaptureFixture) -> None:
    """An access error is logged; calls may go on after 30 s."""
    stop = InstantEvent(clock)
    assert AccessGate(clock=clock).wait(EXPIRED, stop)
    assert stop.waits == [30.0]
    assert log.messages == ["the security token is expired; retrying in 30 s"]
    assert [vars(record)["event"] for record in log.records] == ["retry"]


def test_each_further_access_error_waits_again(clock: FakeClock, log: pytest.LogCaptureFixture) -> None:
    """Each is logged."""
    gate, stop = AccessGate(wait_for=5.0, clock=clock), InstantEvent(clock)
    assert [gate.wait(EXPIRED, stop) for _ in range(3)] == [True] * 3
    assert stop.waits == [5.0] * 3
    assert len(log.messages) == 3


def test_an_error_during_the_wait_joins_it(clock: FakeClock) -> None:
    """A call that fails during the wait waits for the rest of it only."""
    gate, late = AccessGate(clock=clock), InstantEvent()

    class Joined(InstantEvent):
        def wait(self, timeout: float | None = None) -> bool:
            clock.advance(29.5)
            assert gate.wait(EXPIRED, late)
            return False

    assert gate.wait(EXPIRED, Joined())
    assert late.waits == [0.5]


def test_many_threads_share_one_wait(clock: FakeClock, log: pytest.LogCaptureFixture) -> None:
    """When all slots of a worker fail at once, one line is logged."""
    gate, slots = AccessGate(clock=clock), 8
    together = threading.Barrier(slots)

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            together.wait(60)
            return False

    stop, answers = Stop(), []
    threads = [threading.Thread(target=lambda: answers.append(gate.wait(EXPIRED, stop))) for _ in range(slots)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [True] * slots
    assert len(log.messages) == 1


@pytest.mark.parametrize(("error", "renewals"), [(AccessError("denied"), 1), (CredentialsError("expired"), 0)])
def test_other_credentials_are_looked_for_after_the_wait(clock: FakeClock, error: AccessError, renewals: int) -> None:
    """Somebody may have replaced those that lack a permission; rejected ones are looked up again by each call."""
    looks = []

    def renew() -> None:
        looks.append(clock.now)
        raise CredentialsUnavailable("the endpoint is down")

    began = clock.now
    assert AccessGate(renew, clock=clock).wait(error, InstantEvent(clock))
    assert looks == [began + 30.0] * renewals


def test_a_stop_ends_the_wait_for_credentials(log: pytest.LogCaptureFixture) -> None:
    """A worker that is stopped does not wait for credentials, and does not say so; the error is logged."""
    stop = threading.Event()
    stop.set()
    assert not AccessGate().wait(EXPIRED, stop)
    assert log.messages == ["the security token is expired"]
