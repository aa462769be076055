"""Times and durations as people read them."""

import pytest

from swf_cli.times import format_duration, iso_time


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0s"),
        (0.9, "0s"),
        (59.9, "59s"),
        (60, "1m00s"),
        (303, "5m03s"),
        (5400, "1h30m"),
        (86_399, "23h59m"),
        (187_200, "2d04h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, words: str) -> None:
    """The two greatest, rounded down."""
    assert format_duration(seconds) == words


def test_a_time_is_in_utc() -> None:
    """In whole seconds, rounded down."""
    assert iso_time(1_795_485_600.9) == "2026-11-24T02:00:00Z"
