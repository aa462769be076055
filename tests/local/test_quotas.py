"""API rate limits."""

import pytest

from swf_cli.local.engine import OPERATIONS
from swf_cli.local.faults import Fault
from swf_cli.local.quotas import RATES, RateLimits


def test_a_bucket_empties_and_refills() -> None:
    """Over its bucket size an operation is throttled, until the bucket refills at its rate."""
    limits = RateLimits()
    for _ in range(100):
        limits.take("ListDomains", 0.0)
    with pytest.raises(Fault, match="ThrottlingException: Rate exceeded"):
        limits.take("ListDomains", 0.0)
    limits.take("DescribeDomain", 0.0)
    for _ in range(3):
        limits.take("ListDomains", 0.5)
    with pytest.raises(Fault, match="ThrottlingException"):
        limits.take("ListDomains", 0.5)


def test_a_bucket_never_exceeds_its_size() -> None:
    """After a long pause a bucket is full."""
    limits = RateLimits()
    limits.take("ListDomains", 0.0, 100)
    with pytest.raises(Fault, match="ThrottlingException"):
        limits.take("ListDomains", 1_000_000.0, 101)
    limits.take("ListDomains", 1_000_000.0, 100)


def test_every_operation_has_a_rate() -> None:
    """Every supported operation has a rate limit."""
    assert set(RATES) == OPERATIONS
