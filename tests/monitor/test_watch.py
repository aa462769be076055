"""Task lists that are counted once, or repeatedly."""

import re
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from swf_cli.errors import AccessError, ServiceError, SwfError, ThrottlingError, UnknownResource
from swf_cli.monitor.watch import PendingMonitor, PendingSample, count_lists
from swf_cli.retry import Retrier

SLOW_DOWN = ThrottlingError("slow down")
SORRY = ServiceError("sorry")


class Lists:
    """A client with a script of counts per list: a number, a number and True for more, or a fault."""

    def __init__(self, **counts: list[Any]) -> None:
        self.calls = 0
        self._counts = counts

    def count_pending_activity_tasks(self, domain: str, taskList: dict[str, str]) -> dict[str, Any]:
        """CountPendingActivityTasks."""
        self.calls += 1
        counts = self._counts[taskList["name"]]
        count = counts.pop(0) if len(counts) > 1 else counts[0]
        if isinstance(count, Exception):
            raise count
        number, truncated = count if isinstance(count, tuple) else (count, False)
        return {"count": number, "truncated": truncated}


class Clock(threading.Event):
    """A clock that stands still, but for waits, and the time set."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.time

    def wait(self, timeout: float | None = None) -> bool:
        """Move the time on."""
        self.time += timeout or 0.0
        return False


def monitor_of(clock: Callable[[], float] | None = None, **counts: list[Any]) -> PendingMonitor:
    """Return a monitor of lists with a script of counts."""
    client: Any = Lists(**counts)
    return PendingMonitor(client, "media", list(counts), clock=clock or Clock())


def refresh(monitor: PendingMonitor) -> list[tuple[int | None, int | None, str | None]]:
    """Count, and return count, change and error of each list."""
    monitor.refresh()
    return [
        (
            sample.pending.count if sample.pending else None,
            sample.change,
            sample.error.message if sample.error else None,
        )
        for sample in monitor.samples
    ]


class TestOnce:
    """Each list is counted, or there is a reason why not."""

    def count(self, *names: str, **counts: list[Any]) -> tuple[list[PendingSample], Lists, Clock]:
        """Count lists once."""
        client: Any = Lists(**counts)
        clock = Clock()

        def retrier(**settings: Any) -> Retrier:
            return Retrier(**settings, stop=clock, clock=clock)

        return count_lists(client, "media", names, retrier=retrier, clock=clock), client, clock

    def test_in_the_order_asked(self) -> None:
        """Also if a list is asked for twice."""
        samples, _, _ = self.count("b", "a", "b", a=[1], b=[2, 3])
        assert [sample.task_list for sample in samples] == ["b", "a", "b"]
        assert sorted(sample.pending.count for sample in samples if sample.pending) == [1, 2, 3]

    def test_in_parallel(self) -> None:
        """Each call is on its way before any of them returns."""
        together = threading.Barrier(3, timeout=60)

        class Meeting(Lists):
            def count_pending_activity_tasks(self, domain: str, taskList: dict[str, str]) -> dict[str, Any]:
                together.wait()
                return super().count_pending_activity_tasks(domain, taskList)

        client: Any = Meeting(a=[1], b=[2], c=[3])
        samples = count_lists(client, "media", ["c", "a", "b"])
        assert [sample.pending.count for sample in samples if sample.pending] == [3, 1, 2]

    def test_throttling_is_retried_for_thirty_seconds(self) -> None:
        """What then could not be counted has an error; the others have counts."""
        samples, _, clock = self.count("a", "b", a=[SLOW_DOWN], b=[SLOW_DOWN, SLOW_DOWN, 7])
        assert samples[0] == PendingSample("a", error=SLOW_DOWN)
        assert samples[1].pending is not None
        assert 15 <= clock.time - 100.0 <= 40

    def test_retries_that_take_long_are_logged(self, log: pytest.LogCaptureFixture) -> None:
        """The first line is after a moment, not after the thirty seconds; the lines are few, however many lists."""
        names = [f"list-{number}" for number in range(20)]
        _, _, clock = self.count(*names, **{name: [SLOW_DOWN] for name in names})
        assert all(re.fullmatch(r"slow down; retrying in \d+\.\d s", message) for message in log.messages)
        assert 1 <= len(log.messages) <= 1 + (clock.time - 100.0) / 10

    def test_a_retry_that_succeeds_soon_is_not_logged(self, log: pytest.LogCaptureFixture) -> None:
        """Most throttling is over at once."""
        self.count("a", a=[SLOW_DOWN, 7])
        assert log.messages == []

    def test_one_that_fails_late_is_logged_at_once(self, log: pytest.LogCaptureFixture) -> None:
        """A service that hangs has taken twenty seconds by then."""
        clock = Clock()

        class Hanging(Lists):
            def count_pending_activity_tasks(self, domain: str, taskList: dict[str, str]) -> dict[str, Any]:
                clock.time += 20
                return super().count_pending_activity_tasks(domain, taskList)

        client: Any = Hanging(a=[SORRY, 7])
        count_lists(client, "media", ["a"], retrier=partial(Retrier, stop=clock, clock=clock), clock=clock)
        [message] = log.messages
        assert message.startswith("sorry; retrying in ")

    @pytest.mark.parametrize(("errors", "is_counted"), [(2, True), (3, False)])
    def test_other_transient_errors_are_retried_a_few_times(self, errors: int, is_counted: bool) -> None:
        """The third one is an error."""
        ((sample,), client, _) = self.count("a", a=[*[SORRY] * errors, 7])
        assert (sample.pending is not None, client.calls) == (is_counted, 3)

    def test_a_refusal_is_not_retried(self) -> None:
        """It is an error of its list."""
        error = UnknownResource("no such domain")
        ((sample,), client, clock) = self.count("a", a=[error])
        assert (sample.error, client.calls, clock.time) == (error, 1, 100.0)


class TestRepeatedly:
    """The last count of each list is kept, with its change and rate."""

    def test_the_change_since_the_last_count(self) -> None:
        """The first count has none; the next ones do, up, down or none."""
        monitor = monitor_of(a=[3, 5, 1, 1])
        assert [refresh(monitor)[0][:2] for _ in range(4)] == [(3, None), (5, 2), (1, -4), (1, 0)]

    def test_a_count_that_is_not_exact_has_no_change(self) -> None:
        """Of "more than 1,000" no change is known, nor to it."""
        monitor = monitor_of(a=[(1000, True), (1000, True), 900, 899])
        assert [refresh(monitor)[0][1] for _ in range(4)] == [None, None, None, -1]

    def test_the_rate(self) -> None:
        """Per second, of the last minute; while the list drains, when it will be empty."""
        clock = Clock()
        monitor = monitor_of(clock, a=[(1000, True), 100, 130, 40, 40])
        seen = []
        for _ in range(5):
            monitor.refresh()
            seen.append((monitor.samples[0].rate, monitor.samples[0].empty_in))
            clock.time += 10.0
        assert seen == [(None, None), (None, None), (3.0, None), (-3.0, 40 / 3), (-2.0, 20.0)]

    @pytest.mark.parametrize("interval", [10.0, 60.0, 300.0])
    def test_a_list_that_stopped_draining(self, interval: float) -> None:
        """What it did more than a minute ago, or before the last count, says nothing of when it will be empty."""
        clock = Clock()
        monitor = monitor_of(clock, a=[1000, 500, 200])
        for _ in range(10):
            monitor.refresh()
            clock.time += interval
        assert (monitor.samples[0].rate, monitor.samples[0].empty_in) == (0.0, None)

    def test_transient_errors_keep_the_count(self) -> None:
        """The last count stays, with its time; the other lists go on."""
        clock = Clock()
        monitor = monitor_of(clock, a=[3, SLOW_DOWN, SORRY, 4], b=[7])
        assert refresh(monitor) == [(3, None, None), (7, None, None)]
        clock.time = 105.0
        assert refresh(monitor) == [(3, None, "slow down"), (7, 0, None)]
        assert [sample.counted_at for sample in monitor.samples] == [100.0, 105.0]
        assert refresh(monitor)[0] == (3, None, "sorry")
        assert refresh(monitor)[0] == (4, 1, None)

    def test_not_counted_yet_is_not_zero(self) -> None:
        """A list that could not be counted yet has no count."""
        monitor = monitor_of(a=[SLOW_DOWN, 3])
        assert refresh(monitor) == [(None, None, "slow down")]
        assert monitor.counts == []
        assert refresh(monitor) == [(3, None, None)]

    @pytest.mark.parametrize("fault", [AccessError("expired"), UnknownResource("no such domain")])
    @pytest.mark.parametrize("before", [[], [3]])
    def test_other_errors_are_kept_apart(self, fault: SwfError, before: list[Any]) -> None:
        """No later count would succeed; the other lists are counted, and a transient error is none of those."""
        monitor = monitor_of(a=[*before, fault], b=[7], c=[*before, SORRY])
        for _ in before:
            monitor.refresh()
            assert monitor.refused == []
        kept = before[0] if before else None
        assert [count for count, _, _ in refresh(monitor)] == [kept, 7, kept]
        assert [(sample.task_list, sample.error) for sample in monitor.refused] == [("a", fault)]

    def test_a_limit_is_exceeded_by_any_list(self) -> None:
        """More than N on one list; a truncated count is above any N."""
        monitor = monitor_of(a=[3], b=[5])
        assert not monitor.exceeds(0)
        monitor.refresh()
        assert [monitor.exceeds(maximum) for maximum in (None, 4, 5)] == [False, True, False]
        truncated = monitor_of(a=[(1000, True)])
        truncated.refresh()
        assert truncated.exceeds(5000)

    def test_what_interrupts_a_count_does_not_wait_for_it(self) -> None:
        """A signal, raised while a call hangs, leaves the call to itself; the screen is kept up to date meanwhile."""
        hangs = threading.Event()

        class Slow(Lists):
            def count_pending_activity_tasks(self, domain: str, taskList: dict[str, str]) -> dict[str, Any]:
                hangs.wait(30)
                return super().count_pending_activity_tasks(domain, taskList)

        client: Any = Slow(a=[3])
        monitor = PendingMonitor(client, "media", ["a"], tick=0.01)
        drawn: list[None] = []

        def draw() -> None:
            drawn.append(None)
            if len(drawn) > 1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            monitor.refresh(draw)
        assert not hangs.is_set()
        hangs.set()
        monitor.refresh()
        assert [pending.count for pending in monitor.counts] == [3]
