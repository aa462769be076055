"""Task tokens."""

import base64

import pytest

from swf_cli.local.engine import Engine
from tests.helpers.flow import Flow, activity, over, refused, still


class TestTokens:
    """A token closes its task once."""

    ANSWERS = (
        "RecordActivityTaskHeartbeat",
        "RespondActivityTaskCompleted",
        "RespondActivityTaskFailed",
        "RespondActivityTaskCanceled",
    )

    @pytest.mark.parametrize("operation", ANSWERS)
    def test_of_a_closed_task(self, flow: Flow, operation: str) -> None:
        """The fault names the task."""
        flow.schedule()
        token = flow.poll()["taskToken"]
        flow.call("RespondActivityTaskCompleted", taskToken=token)
        with refused("UnknownResourceFault", "Unknown activity, scheduledEventId = 5"):
            flow.call(operation, taskToken=token)

    @pytest.mark.parametrize("operation", ANSWERS)
    def test_of_a_closed_execution(self, flow: Flow, operation: str) -> None:
        """The fault names the execution."""
        run = flow.schedule()["runId"]
        token = flow.poll()["taskToken"]
        flow.call("TerminateWorkflowExecution", domain=flow.domain, workflowId="video-7")
        message = f"Unknown execution: WorkflowExecution=[workflowId=video-7, runId={run}]"
        with refused("UnknownResourceFault", message):
            flow.call(operation, taskToken=token)

    @pytest.mark.parametrize("operation", [*ANSWERS, "RespondDecisionTaskCompleted"])
    def test_that_is_none(self, flow: Flow, operation: str) -> None:
        """Garbage, a token of another SWF, an altered token and one of another kind are invalid."""
        flow.schedule()
        other = Flow(over(Engine(still(), hold=0))).register()
        other.schedule()
        token = flow.poll()["taskToken"]
        of_decision = flow.start("b") and flow.poll_decision()["taskToken"]
        wrong = token if operation == "RespondDecisionTaskCompleted" else of_decision
        for made_up in ("x", "é", "AAAA", other.poll()["taskToken"], token[:-5] + "AAAA=", wrong):
            with refused("ValidationException", "Invalid token"):
                flow.call(operation, taskToken=made_up)


class TestShape:
    """Tokens and run IDs look like those recorded from the real service."""

    def test_task_tokens(self, flow: Flow) -> None:
        """A task token has 300 to 576 characters of base64, with `+`, `/` and `=`, and SWF's beginning."""
        flow.start()
        flow.decide(*(activity(str(number)) for number in range(20)))
        flow.signal()
        tokens = [flow.poll_decision()["taskToken"], *(flow.poll()["taskToken"] for _ in range(20))]
        assert len(set(tokens)) == 21
        for token in tokens:
            assert 300 <= len(token) <= 576
            assert token.startswith("AAAAKgAAAAEAAAAAAAAAA")
            assert len(base64.b64decode(token, validate=True)) == 239
        assert {"+", "/", "="} <= set("".join(tokens))

    def test_page_tokens(self, flow: Flow) -> None:
        """A page token begins likewise, and has over 1,000 and at most 2,048 characters."""
        longest = {"domain": flow.domain, "version": "\U0001f600" * 64}
        for letter in "ab":
            flow.call("RegisterActivityType", **longest, name=letter + "\U0001f600" * 255)
        execution = flow.start()
        history = flow.call(
            "GetWorkflowExecutionHistory", domain=flow.domain, execution=execution, maximumPageSize=1
        )["nextPageToken"]
        asked = {"domain": flow.domain, "registrationStatus": "REGISTERED", "maximumPageSize": 1}
        types = flow.call("ListActivityTypes", **asked)["nextPageToken"]
        for token in (history, types):
            assert 1000 < len(token) <= 2048
            assert token.startswith("AAAAKgAAAAEAAAAAAAAAA")
        following = flow.call("ListActivityTypes", **asked, nextPageToken=types)["typeInfos"]
        assert following[0]["activityType"]["name"].startswith("b")

    def test_run_ids(self, flow: Flow) -> None:
        """A run ID has 46 characters: two, and the base64 of 32 bytes."""
        runs = [flow.start(str(number))["runId"] for number in range(20)]
        assert len(set(runs)) == 20
        for run in runs:
            assert (len(run), run[:2], len(base64.b64decode(run[2:], validate=True))) == (46, "22", 32)
