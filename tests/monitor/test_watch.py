"""Task lists, looked at again and again."""

import threading
import time
from typing import Any

import pytest

from swf_cli.errors import AccessError, ServiceError, ThrottlingError, UnknownResource
from swf_cli.monitor.watch import PendingMonitor


class Lists:
    """A client that counts as it is told: a number, a number and true for more, or a fault."""

    def __init__(self, **counts: list[Any]) -> None:
        self._counts = counts

    def count_pending_activity_tasks(self, domain: str, taskList: dict[str, str]) -> dict[str, Any]:
        """CountPendingActivityTasks."""
        counts = self._counts[taskList["name"]]
        told = counts.pop(0) if len(counts) > 1 else counts[0]
        if isinstance(told, Exception):
            raise told
        count, truncated = told if isinstance(told, tuple) else (told, False)
        return {"count": count, "truncated": truncated}


def watch(**counts: list[Any]) -> PendingMonitor:
    """PendingMonitor the lists, by a clock that stands still."""
    client: Any = Lists(**counts)
    return PendingMonitor(client, "media", list(counts), clock=lambda: 100.0)


def figures(watched: PendingMonitor) -> list[tuple[int | None, int | None, str | None]]:
    """Look, and give count, change and error of each list."""
    return [(f.pending.count if f.pending else None, f.change, f.error) for f in watched.refresh()]


def test_a_look_tells_the_change_since_the_last() -> None:
    """The first look has no change; the next ones do, up, down or none."""
    watched = watch(a=[3, 5, 1, 1])
    assert [figures(watched)[0][:2] for _ in range(4)] == [(3, None), (5, 2), (1, -4), (1, 0)]


def test_a_count_that_is_no_number_has_no_change() -> None:
    """Of "more than 1,000" no change can be told, nor to it."""
    watched = watch(a=[(1000, True), (1000, True), 900, 899])
    assert [figures(watched)[0][1] for _ in range(4)] == [None, None, None, -1]


def test_what_may_pass_keeps_the_figure() -> None:
    """Throttling, and faults of network and service: the last figure stays, with its age; the others go on."""
    now = 100.0
    client: Any = Lists(a=[3, ThrottlingError("slow down"), ServiceError("sorry"), 4], b=[7])
    watched = PendingMonitor(client, "media", ["a", "b"], clock=lambda: now)
    assert figures(watched) == [(3, None, None), (7, None, None)]
    now = 105.0
    assert figures(watched) == [(3, None, "slow down"), (7, 0, None)]
    assert [watched.age(figure) for figure in watched.figures] == [5.0, 0.0]
    assert figures(watched)[0] == (3, None, "sorry")
    assert figures(watched)[0] == (4, 1, None)


def test_nothing_counted_yet_is_not_zero() -> None:
    """A list that could not be counted yet has no figure."""
    watched = watch(a=[ThrottlingError("slow down"), 3])
    assert figures(watched) == [(None, None, "slow down")]
    assert watched.counts == []
    assert figures(watched) == [(3, None, None)]


@pytest.mark.parametrize("fault", [AccessError("expired"), UnknownResource("no such domain")])
@pytest.mark.parametrize("before", [[], [3]])
def test_what_will_not_pass_is_raised(fault: Exception, before: list[Any]) -> None:
    """An unknown domain, or credentials that have expired: no look will ever succeed."""
    watched = watch(a=[*before, fault])
    for _ in before:
        watched.refresh()
    with pytest.raises(type(fault)):
        watched.refresh()


def test_a_limit_is_exceeded_by_any_list() -> None:
    """More than N on one list, or a count that says that there are more, is above N."""
    watched = watch(a=[3], b=[5])
    watched.refresh()
    assert [watched.exceeds(most) for most in (None, 4, 5)] == [False, True, False]
    assert _looked(watch(a=[(1000, True)])).exceeds(5000)


def _looked(watched: PendingMonitor) -> PendingMonitor:
    watched.refresh()
    return watched


def test_a_look_that_takes_long_is_not_waited_for_when_told_to_stop() -> None:
    """Told to stop amid a look that hangs, it is left to itself; meanwhile the screen is kept up to date."""
    hangs = threading.Event()

    class Slow(Lists):
        def count_pending_activity_tasks(self, domain: str, taskList: dict[str, str]) -> dict[str, Any]:
            hangs.wait(30)
            return super().count_pending_activity_tasks(domain, taskList)

    client: Any = Slow(a=[3])
    watched = PendingMonitor(client, "media", ["a"])
    drawn: list[None] = []
    began = time.monotonic()
    assert not watched.refresh_unless_stopped(lambda: len(drawn) > 1, lambda: drawn.append(None))
    assert time.monotonic() - began < 10
    hangs.set()
    assert watched.refresh_unless_stopped(lambda: False, lambda: None)
    assert [pending.count for pending in watched.counts] == [3]


def test_a_fault_amid_a_look_is_raised_where_it_is_looked_at() -> None:
    """What a look raises in its thread comes to whoever looks."""
    with pytest.raises(AccessError):
        watch(a=[AccessError("expired")]).refresh_unless_stopped(lambda: False, lambda: None)
