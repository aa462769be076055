"""SWF's quotas: API rate limits, and limits on what is open at one time."""

from dataclasses import dataclass
from threading import Lock
from typing import Final

from .faults import Fault

MAX_EXECUTION_SECONDS: Final = 365 * 24 * 60 * 60
MAX_RETENTION_DAYS: Final = 90

RATES: Final = {
    "CountClosedWorkflowExecutions": (2000, 6),
    "CountOpenWorkflowExecutions": (2000, 6),
    "CountPendingActivityTasks": (200, 6),
    "CountPendingDecisionTasks": (200, 6),
    "DeleteActivityType": (200, 6),
    "DeleteWorkflowType": (200, 6),
    "DeprecateActivityType": (200, 6),
    "DeprecateDomain": (100, 6),
    "DeprecateWorkflowType": (200, 6),
    "DescribeActivityType": (2000, 6),
    "DescribeDomain": (200, 6),
    "DescribeWorkflowExecution": (2000, 6),
    "DescribeWorkflowType": (2000, 6),
    "GetWorkflowExecutionHistory": (2000, 60),
    "ListActivityTypes": (200, 6),
    "ListClosedWorkflowExecutions": (200, 6),
    "ListDomains": (100, 6),
    "ListOpenWorkflowExecutions": (200, 48),
    "ListTagsForResource": (50, 30),
    "ListWorkflowTypes": (200, 6),
    "PollForActivityTask": (2000, 200),
    "PollForDecisionTask": (2000, 200),
    "RecordActivityTaskHeartbeat": (2000, 160),
    "RegisterActivityType": (200, 60),
    "RegisterDomain": (100, 6),
    "RegisterWorkflowType": (200, 60),
    "RequestCancelWorkflowExecution": (2000, 30),
    "RespondActivityTaskCanceled": (2000, 200),
    "RespondActivityTaskCompleted": (2000, 200),
    "RespondActivityTaskFailed": (2000, 200),
    "RespondDecisionTaskCompleted": (2000, 200),
    "SignalWorkflowExecution": (2000, 30),
    "StartWorkflowExecution": (2000, 200),
    "TagResource": (50, 30),
    "TerminateWorkflowExecution": (2000, 60),
    "UndeprecateActivityType": (200, 6),
    "UndeprecateDomain": (100, 6),
    "UndeprecateWorkflowType": (200, 6),
    "UntagResource": (50, 30),
}
"""Bucket size and refill rate a second of each operation (developer guide, the same in all regions)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """SWF's limits on what exists at one time."""

    polls: int = 1_000
    """Polls on a task list."""
    open_tasks: int = 1_000
    """Open activity tasks of an execution; likewise timers and child executions."""
    open_executions: int = 100_000
    """Open executions of a domain."""
    events: int = 25_000
    """Events of an execution, which the last of them terminates."""
    tags: int = 50
    """Tags of a domain."""
    counted_tasks: int = 1_000
    """Tasks that CountPendingActivityTasks counts before it reports `truncated`."""


class RateLimits:
    """A token bucket for each operation, full at the start. Safe to use from many threads."""

    def __init__(self) -> None:
        self._levels: dict[str, tuple[float, float]] = {}
        self._lock = Lock()

    def take(self, operation: str, now: float, tokens: int = 1) -> None:
        """Take tokens for a call. Raise a ThrottlingException fault if the bucket holds fewer."""
        size, refill = RATES[operation]
        with self._lock:
            level, at = self._levels.get(operation, (size, now))
            level = min(size, level + (now - at) * refill)
            if level < tokens:
                raise Fault("ThrottlingException", "Rate exceeded")
            self._levels[operation] = level - tokens, now
