"""Which failures may pass, and how long to wait before the next try."""

import random
from collections.abc import Callable
from typing import Final

from .errors import LimitExceededError, NetworkError, ServiceError, ThrottlingError

TRANSIENT: Final = (NetworkError, ServiceError, ThrottlingError, LimitExceededError)
"""Faults that may pass: whatever was asked can be asked again."""


def backoff(attempt: int, *, most: float = 30.0, jitter: Callable[[], float] = random.random) -> float:
    """Give the seconds to wait before the next try: up to 1 s, then 2 s, 4 s… up to `most`; half of it is chance."""
    whole = min(most, 2.0 ** min(attempt, 16))
    return whole / 2 + whole / 2 * jitter()
