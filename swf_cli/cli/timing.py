"""Times that no option sets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Timing:
    """How long calls and retries wait. A program that runs the command line, such as a test, may pass other times."""

    session: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of `Session`: `poll_read_timeout` and `call_read_timeout`, in seconds, and `clock`."""

    first_delay: float = 1.0
    """Seconds before the first retry, at most."""
