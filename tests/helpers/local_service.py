"""A local SWF for tests of commands, and ways to set it up and inspect it."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from swf_cli.local.faults import Fault
from swf_cli.local.handler import HttpOptions
from swf_cli.local.quotas import RateLimits
from swf_cli.local.server import LocalServer
from tests.helpers.flow import Flow, activity, over


@dataclass(frozen=True, slots=True)
class Service:
    """A running local SWF."""

    server: LocalServer

    @property
    def url(self) -> str:
        """Endpoint URL."""
        return self.server.url

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call an operation by its name, without HTTP."""
        return self.server.engine.call(operation, arguments)

    def advance(self, seconds: float) -> None:
        """Move its clock forward."""
        self.server.engine.advance(seconds)

    def flow(self, domain: str) -> Flow:
        """Return a domain, registered with a workflow type and an activity type if it was not."""
        flow = Flow(over(self.server.engine), domain)
        with suppress(Fault):
            flow.register()
        return flow

    def schedule(self, domain: str, task_list: str, task_input: str | None = None, **settings: Any) -> str:
        """Schedule an activity task `resize` version 1 in a new execution, and return its workflow ID."""
        flow, workflow_id = self.flow(domain), f"video-{uuid.uuid4()}"
        decisions = {"name": f"decisions-{workflow_id}"}
        flow.start(workflow_id, taskList=decisions)
        task = self.call("PollForDecisionTask", domain=domain, taskList=decisions)
        wanted = settings if task_input is None else {"input": task_input, **settings}
        decision = activity(task_list=task_list, **wanted)
        self.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=[decision])
        return workflow_id

    def decide(self, domain: str, workflow_id: str, *decisions: dict[str, Any]) -> None:
        """Signal an execution that `schedule` started, and complete its decision task."""
        decisions_on = {"name": f"decisions-{workflow_id}"}
        self.call("SignalWorkflowExecution", domain=domain, workflowId=workflow_id, signalName="decide")
        task = self.call("PollForDecisionTask", domain=domain, taskList=decisions_on)
        self.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=list(decisions))

    def history(self, domain: str, workflow_id: str) -> list[dict[str, Any]]:
        """Return the events of an open execution."""
        found = self.call(
            "ListOpenWorkflowExecutions",
            domain=domain,
            startTimeFilter={"oldestDate": 0},
            executionFilter={"workflowId": workflow_id},
        )
        return self.flow(domain).history(found["executionInfos"][0]["execution"])

    def all_events(self, domain: str, execution: dict[str, str]) -> Iterator[dict[str, Any]]:
        """Yield all the events of an execution, however many pages there are."""
        token: dict[str, Any] = {}
        while True:
            page = self.call("GetWorkflowExecutionHistory", domain=domain, execution=execution, **token)
            yield from page["events"]
            if "nextPageToken" not in page:
                return
            token = {"nextPageToken": page["nextPageToken"]}

    def names(self, domain: str, workflow_id: str) -> list[str]:
        """Return the types of an execution's events, in order."""
        return [event["eventType"] for event in self.history(domain, workflow_id)]


@contextmanager
def local_service(
    *, hold: float = 1.0, rate_limits: RateLimits | None = None, access_key_id: str | None = None, **settings: Any
) -> Iterator[Service]:
    """Serve a local SWF on a free port of loopback. The settings are those of `LocalServer`."""
    with LocalServer(hold=hold, options=HttpOptions(access_key_id, rate_limits), **settings) as server:
        yield Service(server)
