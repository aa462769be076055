"""A decider of one kind of workflow, for trying things: it schedules activity tasks and asks to cancel them.

It has no state of its own: each call signals the execution, takes the decision task that follows, and answers it. It
speaks SWF's own API, and only to a service on loopback, since it registers and starts what nobody else expects.
"""

import fcntl
import ipaddress
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ..client.call import call
from ..errors import SwfError, TaskNotOpen, UnknownResource
from ..history import attributes, open_activity_ids
from ..models import ActivityId, ExecutionId, PartialTaskConfiguration

if TYPE_CHECKING:
    from ..client.session import Session


_WORKFLOW: Final = {"name": "swf-local", "version": "1"}
_NAME: Final = 240  # characters of an activity's name in an activity id, which may have 256
_HELD: Final = frozenset({"DomainAlreadyExistsFault", "TypeAlreadyExistsFault"})

Events = list[dict[str, Any]]
Decisions = list[dict[str, Any]]


class Decider:
    """Decides for the executions that it started in a domain. Raises ValueError for a service not on loopback."""

    def __init__(self, session: "Session", domain: str) -> None:
        self._calls = session.client
        self._polling = session.poll_client
        self._domain = domain
        url = self._calls.meta.endpoint_url
        if not _is_loopback(urlsplit(url).hostname or ""):
            raise ValueError(f"{url} is not on this machine: this is for trying things with `swf local` only")

    def schedule(
        self,
        activity: ActivityId,
        configuration: PartialTaskConfiguration,
        task_input: str | None = None,
        workflow_id: str | None = None,
    ) -> tuple[ExecutionId, str]:
        """Put an activity task on a list (ScheduleActivityTask), and register whatever that needs.

        A timeout that is not given is the activity type's; one that is registered here has none, and SWF refuses the
        task. An open execution with this workflow id gets one more task; else one is started. Gives the execution,
        and the activity id: the activity's name with a number. Raises SwfError for what SWF refuses.
        """
        self._register(activity)
        if workflow_id is None:
            return self._schedule(activity, configuration, task_input, f"local-{secrets.token_hex(4)}")
        with _alone():
            return self._schedule(activity, configuration, task_input, workflow_id)

    def request_cancel(self, workflow_id: str, activity_id: str | None = None) -> list[str]:
        """Ask to cancel an open task of an execution, or all of them (RequestCancelActivityTask).

        Gives the activity ids that it asked to cancel. Raises TaskNotOpen when there is none.
        """
        with _alone():
            return self._request_cancel(workflow_id, activity_id)

    def _schedule(
        self, activity: ActivityId, configuration: PartialTaskConfiguration, task_input: str | None, workflow_id: str
    ) -> tuple[ExecutionId, str]:
        try:
            execution, decisions_on = self._find(workflow_id)
            self._signal(execution, "schedule")
        except UnknownResource:
            execution, decisions_on = self._start(workflow_id)
        chosen = ""

        def decide(events: Events) -> Decisions:
            nonlocal chosen
            number = sum(event["eventType"] == "ActivityTaskScheduled" for event in events) + 1
            chosen = f"{activity.name[:_NAME]}-{number}"
            decision = {
                "activityType": {"name": activity.name, "version": activity.version},
                "activityId": chosen,
                **_decision_arguments(configuration),
                **({} if task_input is None else {"input": task_input}),
            }
            kind = "ScheduleActivityTask"
            return [{"decisionType": kind, "scheduleActivityTaskDecisionAttributes": decision}]

        self._decide(execution, decisions_on, decide)
        return execution, chosen

    def _request_cancel(self, workflow_id: str, activity_id: str | None) -> list[str]:
        execution, decisions_on = self._find(workflow_id)
        self._signal(execution, "cancel")
        asked: list[str] = []

        def decide(events: Events) -> Decisions:
            asked.extend(name for name in open_activity_ids(events) if activity_id in (None, name))
            kind = "RequestCancelActivityTask"
            return [
                {"decisionType": kind, "requestCancelActivityTaskDecisionAttributes": {"activityId": name}}
                for name in asked
            ]

        self._decide(execution, decisions_on, decide)
        if not asked:
            which = "no activity task" if activity_id is None else f"no activity task {activity_id}"
            raise TaskNotOpen(f"{which} of {workflow_id} is open")
        return asked

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return call(self._calls, operation, domain=self._domain, **arguments)

    def _register(self, activity: ActivityId) -> None:
        register = (
            ("register_domain", {"name": self._domain, "workflowExecutionRetentionPeriodInDays": "1"}),
            ("register_workflow_type", {"domain": self._domain, **_WORKFLOW}),
            (
                "register_activity_type",
                {"domain": self._domain, "name": activity.name, "version": activity.version},
            ),
        )
        for operation, arguments in register:
            try:
                call(self._calls, operation, **arguments)
            except SwfError as error:
                if error.code not in _HELD:
                    raise

    def _find(self, workflow_id: str) -> tuple[ExecutionId, str]:
        """Give the open execution with a workflow id, and the task list of its decisions."""
        reply = self._call(
            "list_open_workflow_executions",
            startTimeFilter={"oldestDate": 0},
            executionFilter={"workflowId": workflow_id},
        )
        if not reply["executionInfos"]:
            raise TaskNotOpen(f"no execution with the workflow id {workflow_id} is open in {self._domain}")
        found = reply["executionInfos"][0]
        if found["workflowType"] != _WORKFLOW:
            raise SwfError(f"{workflow_id} was not started by `swf local schedule`: it has a decider of its own")
        described = self._call("describe_workflow_execution", execution=found["execution"])
        return ExecutionId.from_api(found["execution"]), described["executionConfiguration"]["taskList"]["name"]

    def _start(self, workflow_id: str) -> tuple[ExecutionId, str]:
        decisions_on = f"swf-local-{secrets.token_hex(8)}"
        reply = self._call(
            "start_workflow_execution",
            workflowId=workflow_id,
            workflowType=_WORKFLOW,
            taskList={"name": decisions_on},
            childPolicy="TERMINATE",
            taskStartToCloseTimeout="60",
            executionStartToCloseTimeout=str(365 * 86_400),
        )
        return ExecutionId(workflow_id, reply["runId"]), decisions_on

    def _signal(self, execution: ExecutionId, name: str) -> None:
        self._call("signal_workflow_execution", workflowId=execution.id, runId=execution.run_id, signalName=name)

    def _decide(self, execution: ExecutionId, decisions_on: str, decide: Callable[[Events], Decisions]) -> None:
        arguments = {"domain": self._domain, "taskList": {"name": decisions_on}}
        page = call(self._polling, "poll_for_decision_task", **arguments)
        if not page.get("taskToken"):
            raise SwfError(f"no decision task came for {execution.id}")
        token, events = page["taskToken"], page["events"]
        while page.get("nextPageToken"):
            page = call(self._polling, "poll_for_decision_task", **arguments, nextPageToken=page["nextPageToken"])
            events += page["events"]
        call(self._calls, "respond_decision_task_completed", taskToken=token, decisions=decide(events))
        self._check(execution, page["startedEventId"])

    def _check(self, execution: ExecutionId, decision_started: int) -> None:
        """Raise what SWF says of a decision that it did not carry out."""
        history = self._call(
            "get_workflow_execution_history",
            execution={"workflowId": execution.id, "runId": execution.run_id},
            reverseOrder=True,
            maximumPageSize=100,
        )
        for event in history["events"]:
            if event["eventId"] > decision_started and event["eventType"].endswith("ActivityTaskFailed"):
                cause = attributes(event).get("cause")
                if cause:
                    raise SwfError(f"SWF did not carry out the decision: {cause}", code=cause)


@contextmanager
def _alone() -> Iterator[None]:
    """Let one process of this machine decide at a time: two would wait for each other's decision tasks."""
    with open(__file__, "rb") as file:
        with suppress(OSError):  # a file system that has no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _decision_arguments(configuration: PartialTaskConfiguration) -> dict[str, Any]:
    """Give a configuration under the keys of a decision, which drop the seed's `task` before a timeout's name."""
    return {
        key[4].lower() + key[5:] if key.endswith("Timeout") else key: value
        for key, value in configuration.get_api_args().items()
    }


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
