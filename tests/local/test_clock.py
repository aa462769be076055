"""The clock."""

import math

from swf_cli.local.clock import Clock
from tests.helpers.flow import NOW, RealTime


def test_it_runs_with_real_time() -> None:
    """A clock shows real time, times its speed since its start, and what it was advanced by."""
    real_time = RealTime()
    clock = Clock(real_time, speed=60)
    real_time.seconds += 2
    assert clock.now() == NOW + 120
    clock.advance(7.5)
    assert clock.now() == NOW + 127.5
    assert clock.at(NOW + 3) == NOW + 187.5


def test_real_seconds() -> None:
    """A moment of the clock is sooner in real seconds by its speed."""
    clock = Clock(RealTime(), speed=60)
    assert clock.real_seconds_until(NOW + 600) == 10
    assert clock.real_seconds_until(NOW - 600) == 0
    assert clock.real_seconds_until(math.inf) is None
