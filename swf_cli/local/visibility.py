"""Visibility operations: describe, history, lists and counts of executions."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from .entities import Args, Domain, Execution, Response
from .faults import invalid
from .paging import page_size, page_token, read_page_token, take
from .service import ServiceState


def _info(execution: Execution) -> dict[str, Any]:
    info: dict[str, Any] = {
        "execution": execution.wire,
        "workflowType": execution.wire_type,
        "startTimestamp": round(execution.started_at, 3),
        "executionStatus": "OPEN" if execution.closed_at is None else "CLOSED",
        "cancelRequested": execution.cancel_requested and execution.closed_at is None,  # recorded of closed ones
        "reopenable": False,  # undocumented, as the next
        "reopenGenerationId": 0,
    }
    if execution.closed_at is not None:
        info |= {"closeTimestamp": round(execution.closed_at, 3), "closeStatus": execution.close_status}
    if execution.tags:
        info["tagList"] = execution.tags
    if execution.parent:
        info["parent"] = execution.parent.wire
    return info


def _describe(service: ServiceState, args: Args) -> Response:
    execution = service.execution(args["domain"], args["execution"])
    response: Response = {
        "executionInfo": _info(execution),
        "executionConfiguration": execution.configuration,
        "openCounts": execution.open_counts(),
    }
    if execution.latest_activity_at is not None:
        response["latestActivityTaskTimestamp"] = round(execution.latest_activity_at, 3)
    if execution.context is not None:
        response["latestExecutionContext"] = execution.context
    return response


def _history(service: ServiceState, args: Args) -> Response:
    events = service.execution(args["domain"], args["execution"]).events
    page, rest = events_page(args, events, 0, len(events), read_page_token(service, args, "history"))
    return {"events": page, **page_token(service, args, "history", rest)}


def events_page(
    args: Args, events: list[dict[str, Any]], start: int, end: int, position: int | None
) -> tuple[list[dict[str, Any]], int | None]:
    """Return a page of `events[start:end]`, and the position of the next page, or None if there is none.

    Takes time proportional to the page, not to the history. Events added between two pages do not move the others.
    """
    size = page_size(args)
    if args.get("reverseOrder"):
        high = end if position is None else position
        low = max(start, high - size)
        return events[low:high][::-1], low if low > start else None
    low = start if position is None else position
    high = min(end, low + size)
    return events[low:high], high if high < end else None


Matches = Callable[[Execution], bool]


def _filters(args: Args) -> Matches:
    """Return the filter other than a time filter; SWF accepts at most one."""
    tests: list[Matches] = []
    if found := args.get("executionFilter"):
        workflow_id = found["workflowId"]
        tests.append(lambda each: each.id.id == workflow_id)
    if found := args.get("typeFilter"):
        name, version = found["name"], found.get("version")
        tests.append(lambda each: each.type[0] == name and version in (None, "", each.type[1]))
    if found := args.get("tagFilter"):
        tag = found["tag"]
        tests.append(lambda each: tag in each.tags)
    if found := args.get("closeStatusFilter"):
        status = found["status"]
        tests.append(lambda each: each.close_status == status)
    if len(tests) > 1:
        raise invalid("At most one of executionFilter, typeFilter, tagFilter and closeStatusFilter may be given")
    return tests[0] if tests else lambda _: True


class _Search:
    """The executions that a list or count covers: those within its time filter, in order of time."""

    def __init__(self, domain: Domain, args: Args, *, closed: bool) -> None:
        self.wanted = _filters(args)
        self._executions = domain.executions
        self._by_close: Sequence[int] | None = None
        times = args.get("startTimeFilter")
        if closed and (times is None) == (args.get("closeTimeFilter") is None):
            raise invalid("Exactly one of startTimeFilter and closeTimeFilter must be given")
        keys: Sequence[int]
        if times is None:
            times = args["closeTimeFilter"]
            self._by_close = domain.closed_in_order
            keys = range(len(self._by_close))
        elif workflow := args.get("executionFilter"):
            runs = domain.runs.get(workflow["workflowId"], [])
            keys = [run for run in runs if (domain.executions[run].closed_at is not None) == closed]
        else:
            keys = domain.closed if closed else domain.open
        low = bisect_left(keys, times["oldestDate"], key=self._timestamp)
        latest = times.get("latestDate")
        high = len(keys) if latest is None else bisect_right(keys, latest, key=self._timestamp)
        self.keys = keys if (low, high) == (0, len(keys)) else keys[low:high]
        """A stable key for each execution: pages refer to it."""

    def execution(self, key: int) -> Execution:
        """Return the execution of a key."""
        return self._executions[key if self._by_close is None else self._by_close[key]]

    def _timestamp(self, key: int) -> float:
        execution = self.execution(key)
        return round(execution.started_at if self._by_close is None else execution.closed_at or 0.0, 3)


def _list(closed: bool) -> Callable[[ServiceState, Args], Response]:
    scope = "closed" if closed else "open"

    def operate(service: ServiceState, args: Args) -> Response:
        search = _Search(service.domain(args["domain"]), args, closed=closed)
        page, last = take(
            search.keys,
            search.execution,
            search.wanted,
            after=read_page_token(service, args, scope),
            ascending=bool(args.get("reverseOrder")),
            size=page_size(args),
        )
        return {"executionInfos": [_info(each) for each in page], **page_token(service, args, scope, last)}

    return operate


def _count(closed: bool) -> Callable[[ServiceState, Args], Response]:
    def operate(service: ServiceState, args: Args) -> Response:
        search = _Search(service.domain(args["domain"]), args, closed=closed)
        return {"count": sum(search.wanted(search.execution(key)) for key in search.keys), "truncated": False}

    return operate


OPERATIONS: Final[Mapping[str, Callable[[ServiceState, Args], Response]]] = {
    "DescribeWorkflowExecution": _describe,
    "GetWorkflowExecutionHistory": _history,
    "ListOpenWorkflowExecutions": _list(closed=False),
    "ListClosedWorkflowExecutions": _list(closed=True),
    "CountOpenWorkflowExecutions": _count(closed=False),
    "CountClosedWorkflowExecutions": _count(closed=True),
}
"""Operations by name."""
