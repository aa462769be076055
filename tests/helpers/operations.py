"""SWF's operations, as they are named on the wire."""

from typing import Final

POLL: Final = "PollForActivityTask"
COMPLETE: Final = "RespondActivityTaskCompleted"
FAIL: Final = "RespondActivityTaskFailed"
CANCEL: Final = "RespondActivityTaskCanceled"
HEARTBEAT: Final = "RecordActivityTaskHeartbeat"
COUNT: Final = "CountPendingActivityTasks"
HISTORY: Final = "GetWorkflowExecutionHistory"
DESCRIBE_EXECUTION: Final = "DescribeWorkflowExecution"
DESCRIBE_ACTIVITY: Final = "DescribeActivityType"
LIST_OPEN: Final = "ListOpenWorkflowExecutions"
LIST_CLOSED: Final = "ListClosedWorkflowExecutions"
LIST_DOMAINS: Final = "ListDomains"
POLL_DECISION: Final = "PollForDecisionTask"
COMPLETE_DECISION: Final = "RespondDecisionTaskCompleted"
