"""The calls of a scan: their pace, their retries, and when they end."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from swf_cli.errors import (
    AccessError,
    CredentialsUnavailable,
    LimitExceededError,
    NetworkError,
    ServiceError,
    SwfError,
    ThrottlingError,
)
from swf_cli.monitor.calls import HISTORY, RateLimiter, ScanCalls, Stopped


class Clock(threading.Event):
    """A clock that only waiting moves; also the event whose wait does it."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.time

    def wait(self, timeout: float | None = None) -> bool:
        """Move the time on."""
        self.time += timeout or 0.0
        return self.is_set()


class Client:
    """A client whose every call has the outcome that `outcome` returns or raises."""

    def __init__(self, outcome: Callable[[], dict[str, Any]]) -> None:
        self.calls: list[str] = []
        self._outcome = outcome

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        def call(**arguments: Any) -> dict[str, Any]:
            self.calls.append(operation)
            return self._outcome()

        return call


def raising(*errors: Exception | None) -> Callable[[], dict[str, Any]]:
    """Return an outcome that is one error after the other, the last one for ever; None is success."""
    left = list(errors)

    def outcome() -> dict[str, Any]:
        error = left.pop(0) if len(left) > 1 else left[0]
        if error is not None:
            raise error
        return {}

    return outcome


@pytest.fixture
def clock(caplog: pytest.LogCaptureFixture) -> Clock:
    """A clock, and the log from level INFO."""
    caplog.set_level(logging.INFO, "swf_cli")
    return Clock()


def new_calls(clock: Clock, outcome: Callable[[], dict[str, Any]], **settings: Any) -> tuple[ScanCalls, Client]:
    """Return the calls of a scan, and the client that they go to."""
    client: Any = Client(outcome)
    settings = {"rate": 1000.0, "stop": clock, "clock": clock, "monotonic": clock, **settings}
    return ScanCalls(client, "media", **settings), client


def test_the_rate_is_held() -> None:
    """Calls are spaced evenly, however many threads make them; throttling puts them off."""
    now, waited = 100.0, []

    def wait(seconds: float) -> None:
        waited.append(round(seconds, 3))

    limiter = RateLimiter(10.0, clock=lambda: now, wait=wait)
    for _ in range(4):
        limiter.acquire()
    assert waited == [0.1, 0.2, 0.3]
    limiter.slow_down(2.0)
    limiter.acquire()
    assert waited[-1] == 2.0


def test_only_history_requests_are_paced(clock: Clock) -> None:
    """Two a second of those; the others as they come."""
    calls, _ = new_calls(clock, raising(None), rate=2.0)
    for _ in range(5):
        calls.call("describe_workflow_execution")
    assert clock.time == 1000.0
    for _ in range(5):
        calls.call(HISTORY)
    assert clock.time == 1002.0
    assert calls.progress.calls == 10


def test_throttling_is_waited_out(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A call that is throttled some times succeeds in the end, and nothing is logged."""
    slow_down = ThrottlingError("Rate exceeded")
    calls, client = new_calls(clock, raising(slow_down, slow_down, slow_down, None))
    assert calls.call(HISTORY) == {}
    assert (len(client.calls), calls.progress.throttles, calls.failure) == (4, 3, None)
    assert 1.0 < clock.time - 1000.0 < 30.0
    assert caplog.messages == []


@pytest.mark.parametrize("kind", [ThrottlingError, LimitExceededError, CredentialsUnavailable])
def test_lasting_throttling_is_logged_and_ends_the_scan(
    clock: Clock, caplog: pytest.LogCaptureFixture, kind: type[SwfError]
) -> None:
    """Every 30 s a line says so; after five minutes without a successful call the scan has failed."""
    calls, _ = new_calls(clock, raising(kind("Rate exceeded")))
    with pytest.raises(kind, match=r"no call has succeeded for 5m\d\ds: Rate exceeded"):
        calls.call("describe_workflow_execution")
    assert calls.is_over
    assert 300.0 <= clock.time - 1000.0 < 306.0
    assert 8 <= len(caplog.messages) <= 10
    assert caplog.messages[0].startswith("no call has succeeded for 3")
    assert caplog.messages[0].endswith("s, still trying: Rate exceeded")
    with pytest.raises(kind):
        calls.call("list_open_workflow_executions")


def test_one_call_that_succeeds_keeps_the_scan_going(clock: Clock) -> None:
    """Only throttling without any success ends it, however long it lasts."""
    slow_down = ThrottlingError("Rate exceeded")
    calls, _ = new_calls(clock, raising(*[*[slow_down] * 50, None] * 20))
    for _ in range(20):
        calls.call(HISTORY)
    assert clock.time - 1000.0 > 1800.0
    assert calls.failure is None


@pytest.mark.parametrize("error", [NetworkError("Connection reset"), ServiceError("Sorry")])
def test_other_transient_errors_are_retried_a_few_times(clock: Clock, error: SwfError) -> None:
    """Three of them are survived; the fourth fails the call, and not the scan."""
    calls, client = new_calls(clock, raising(error, error, error, None))
    assert calls.call(HISTORY) == {}
    calls, client = new_calls(clock, raising(error))
    with pytest.raises(type(error)):
        calls.call(HISTORY)
    assert (len(client.calls), calls.failure) == (4, None)


def test_a_refusal_is_not_retried(clock: Clock) -> None:
    """What SWF refuses it would refuse again."""
    calls, client = new_calls(clock, raising(AccessError("not you")))
    with pytest.raises(AccessError):
        calls.call(HISTORY)
    assert len(client.calls) == 1


@pytest.mark.parametrize("outcome", [None, ThrottlingError("Rate exceeded")])
def test_the_timeout_ends_the_scan(clock: Clock, outcome: Exception | None) -> None:
    """No call begins after it, whether they succeed or not, and no wait goes beyond it."""
    calls, _ = new_calls(clock, raising(outcome), timeout=60.0, rate=0.5)

    def call_for_ever() -> None:
        while True:
            calls.call(HISTORY)

    with pytest.raises(SwfError, match="not finished within 1m00s"):
        call_for_ever()
    assert clock.time == 1060.0
    assert isinstance(calls.failure, SwfError)


def test_stop_ends_the_scan(clock: Clock) -> None:
    """Once it is to stop, no call is made; that is not a failure."""
    calls, client = new_calls(clock, raising(None))
    clock.set()
    with pytest.raises(Stopped):
        calls.call(HISTORY)
    assert (client.calls, calls.is_over, calls.failure) == ([], True, None)


def test_the_first_failure_is_the_scans(clock: Clock) -> None:
    """A later one does not replace it."""
    calls, _ = new_calls(clock, raising(None))
    first = SwfError("first")
    assert calls.fail(first) is first
    assert calls.fail(SwfError("second")) is first


@pytest.mark.parametrize(
    ("date", "skew"),
    [
        ("Thu, 01 Jan 1970 00:20:00 GMT", 200.0),
        ("Thu, 01 Jan 1970 00:10:00 GMT", -400.0),
        ("soon", 0.0),
        (None, 0.0),
    ],
)
def test_the_services_clock_is_read_from_its_responses(clock: Clock, date: str | None, skew: float) -> None:
    """The Date header tells how far this machine's clock is off; without one it is taken to be right."""
    headers = {} if date is None else {"date": date}
    calls, _ = new_calls(clock, lambda: {"ResponseMetadata": {"HTTPHeaders": headers}})
    calls.call(HISTORY)
    assert (calls.clock_skew, calls.now()) == (skew, 1000.0 + skew)
