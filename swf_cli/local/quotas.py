"""SWF's quotas: a token bucket for each operation (the developer guide's table, the same in all regions)."""

from typing import Final

from .faults import Fault

QUOTAS: Final = {
    "CountClosedWorkflowExecutions": (2000, 6),
    "CountOpenWorkflowExecutions": (2000, 6),
    "CountPendingActivityTasks": (200, 6),
    "CountPendingDecisionTasks": (200, 6),
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
    "TerminateWorkflowExecution": (2000, 60),
    "UndeprecateActivityType": (200, 6),
    "UndeprecateDomain": (100, 6),
    "UndeprecateWorkflowType": (200, 6),
}
"""The most calls at once, and how many more each second, for each operation and account."""


class RateLimits:
    """The buckets of one account, full at first."""

    def __init__(self) -> None:
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, operation: str, now: float) -> None:
        """Take a token for a call; raises ThrottlingException when there is none."""
        size, refill = QUOTAS[operation]
        level, at = self._levels.get(operation, (size, now))
        level = min(size, level + (now - at) * refill)
        if level < 1:
            raise Fault("ThrottlingException", "Rate exceeded")
        self._levels[operation] = level - 1, now
