"""Lists, counts, histories and their pages."""

from typing import Any

import pytest

from swf_cli.local.engine import Engine
from swf_cli.local.faults import Fault
from tests.helpers.flow import NOW, Flow, decision, refused


class TestLists:
    """Lists and counts of executions, and pages."""

    @pytest.fixture
    def many(self, engine: Engine, flow: Flow) -> Flow:
        """Ten executions, one second apart. The first four are closed, in reverse order."""
        flow.call(
            "RegisterWorkflowType",
            domain=flow.domain,
            name="video",
            version="2",
            defaultTaskList={"name": "decisions"},
            defaultChildPolicy="TERMINATE",
            defaultTaskStartToCloseTimeout="30",
            defaultExecutionStartToCloseTimeout="3000",
        )
        for n in range(10):
            kind = {"name": "video", "version": str(1 + n % 2)}
            flow.start(f"w{n}", workflowType=kind, tagList=["even"] if n % 2 == 0 else [])
            engine.advance(1)
        for n in (3, 2, 1, 0):
            flow.call("TerminateWorkflowExecution", domain=flow.domain, workflowId=f"w{n}")
            engine.advance(1)
        return flow

    @staticmethod
    def listed(flow: Flow, which: str, **args: Any) -> str:
        """Return the numbers of the executions in a list, which the count must match."""
        found = flow.call(f"List{which}WorkflowExecutions", domain=flow.domain, **args)["executionInfos"]
        counted = {name: value for name, value in args.items() if name != "reverseOrder"}
        count = flow.call(f"Count{which}WorkflowExecutions", domain=flow.domain, **counted)
        assert count == {"count": len(found), "truncated": False}
        return "".join(info["execution"]["workflowId"][1:] for info in found)

    @pytest.mark.parametrize(
        ("which", "args", "found"),
        [
            ("Open", {"startTimeFilter": {"oldestDate": 0}}, "987654"),
            ("Open", {"startTimeFilter": {"oldestDate": 0}, "reverseOrder": True}, "456789"),
            ("Open", {"startTimeFilter": {"oldestDate": NOW + 5, "latestDate": NOW + 7}}, "765"),
            ("Open", {"startTimeFilter": {"oldestDate": 0}, "executionFilter": {"workflowId": "w5"}}, "5"),
            ("Open", {"startTimeFilter": {"oldestDate": 0}, "executionFilter": {"workflowId": "w1"}}, ""),
            ("Open", {"startTimeFilter": {"oldestDate": 0}, "typeFilter": {"name": "video"}}, "987654"),
            ("Open", {"startTimeFilter": {"oldestDate": 0}, "typeFilter": {"name": "video", "version": "2"}}, "975"),
            ("Open", {"startTimeFilter": {"oldestDate": 0}, "typeFilter": {"name": "x"}}, ""),
            ("Open", {"startTimeFilter": {"oldestDate": 0}, "tagFilter": {"tag": "even"}}, "864"),
            ("Closed", {"startTimeFilter": {"oldestDate": 0}}, "3210"),
            ("Closed", {"closeTimeFilter": {"oldestDate": 0}}, "0123"),
            ("Closed", {"closeTimeFilter": {"oldestDate": NOW + 11, "latestDate": NOW + 12}}, "12"),
            ("Closed", {"startTimeFilter": {"oldestDate": 0}, "executionFilter": {"workflowId": "w1"}}, "1"),
            ("Closed", {"startTimeFilter": {"oldestDate": 0}, "closeStatusFilter": {"status": "TERMINATED"}}, "3210"),
            ("Closed", {"startTimeFilter": {"oldestDate": 0}, "closeStatusFilter": {"status": "FAILED"}}, ""),
            ("Closed", {"closeTimeFilter": {"oldestDate": 0}, "tagFilter": {"tag": "even"}}, "02"),
        ],
    )
    def test_filters_and_order(self, many: Flow, which: str, args: dict[str, Any], found: str) -> None:
        """Each filter finds what it names, newest first by default, and the count matches."""
        assert self.listed(many, which, **args) == found

    def test_pages(self, many: Flow) -> None:
        """Pages neither skip nor repeat an execution, although executions start and close between them."""
        asked = {"domain": many.domain, "startTimeFilter": {"oldestDate": 0}, "maximumPageSize": 2}
        first = many.call("ListOpenWorkflowExecutions", **asked)
        many.call("TerminateWorkflowExecution", domain=many.domain, workflowId="w8")
        many.call("TerminateWorkflowExecution", domain=many.domain, workflowId="w6")
        many.start("new")
        second = many.call("ListOpenWorkflowExecutions", **asked, nextPageToken=first["nextPageToken"])
        third = many.call("ListOpenWorkflowExecutions", **asked, nextPageToken=second["nextPageToken"])
        pages = [
            [info["execution"]["workflowId"] for info in page["executionInfos"]] for page in (first, second, third)
        ]
        assert pages == [["w9", "w8"], ["w7", "w5"], ["w4"]]
        assert "nextPageToken" not in third

    def test_filters_that_do_not_go_together(self, many: Flow) -> None:
        """Two filters, or none or two time filters for closed executions, are rejected."""
        time = {"oldestDate": 0}
        for args in ({}, {"startTimeFilter": time, "closeTimeFilter": time}):
            with refused("ValidationException", "Exactly one of startTimeFilter and closeTimeFilter must be given"):
                many.call("ListClosedWorkflowExecutions", domain=many.domain, **args)
        with pytest.raises(Fault, match="At most one of executionFilter"):
            many.call(
                "CountOpenWorkflowExecutions",
                domain=many.domain,
                startTimeFilter=time,
                tagFilter={"tag": "t"},
                executionFilter={"workflowId": "w"},
            )

    def test_page_tokens(self, engine: Engine, many: Flow) -> None:
        """A page token that is made up, from another query, or older than a day is rejected."""
        asked = {"domain": many.domain, "startTimeFilter": {"oldestDate": 0}, "maximumPageSize": 2}
        token = many.call("ListOpenWorkflowExecutions", **asked)["nextPageToken"]
        other = {**asked, "startTimeFilter": {"oldestDate": 1}}
        for args, made_up in ((asked, "made up"), (asked, "A" * 80), (other, token)):
            with refused("ValidationException", "Invalid token"):
                many.call("ListOpenWorkflowExecutions", **args, nextPageToken=made_up)
        with refused("ValidationException", "Invalid token"):
            many.call("ListDomains", registrationStatus="REGISTERED", nextPageToken=token)
        engine.advance(24 * 3600 + 1)
        with refused("ValidationException", "Specified token has exceeded its maximum lifetime"):
            many.call("ListOpenWorkflowExecutions", **asked, nextPageToken=token)

    @pytest.mark.parametrize("reverse", [False, True])
    def test_history_in_pages(self, flow: Flow, reverse: bool) -> None:
        """Pages of a growing history neither skip nor repeat an event, in either order."""
        execution = flow.start()
        flow.decide(*(decision("RecordMarker", markerName=str(n)) for n in range(16)))
        asked = {"domain": flow.domain, "execution": execution, "maximumPageSize": 10, "reverseOrder": reverse}
        first = flow.call("GetWorkflowExecutionHistory", **asked)
        flow.call("SignalWorkflowExecution", domain=flow.domain, workflowId="video-7", signalName="s")
        rest = flow.call(
            "GetWorkflowExecutionHistory", **{**asked, "maximumPageSize": 1000}, nextPageToken=first["nextPageToken"]
        )
        ids = [event["eventId"] for event in first["events"] + rest["events"]]
        assert ids == (list(range(20, 0, -1)) if reverse else list(range(1, 23)))
        assert "nextPageToken" not in rest
