"""Times and durations as people read them."""

import time
from typing import Final

_UNITS: Final = (("d", 86_400, "h", 3_600), ("h", 3_600, "m", 60), ("m", 60, "s", 1))


def iso_time(seconds: float) -> str:
    """Return a time, in seconds since the epoch, as ISO 8601 in UTC, in whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def format_duration(seconds: float) -> str:
    """Return a duration in its two greatest units, rounded down, such as `45s`, `5m03s`, `1h30m` or `2d04h`."""
    whole = max(0, int(seconds))
    for unit, size, lower_unit, lower_size in _UNITS:
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // lower_size:02}{lower_unit}"
    return f"{whole}s"
