"""The decider of `swf local`: it schedules activity tasks and requests their cancellation.

It is stateless: each call signals an execution, polls for the decision task that follows, and completes it. It uses
SWF's API only. The local SWF schedules no decision task of its executions that it would not poll for.
"""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..client.call import call
from ..errors import SwfError, TaskNotOpen, UnknownResource
from ..history import attributes, open_activity_ids
from ..ledger.trust import open_file, open_folder
from ..models import ActivityId, ExecutionId, PartialTaskConfiguration
from .entities import SCHEDULED_TYPE

if TYPE_CHECKING:
    from ..client.session import Session


_WORKFLOW: Final = {"name": SCHEDULED_TYPE[0], "version": SCHEDULED_TYPE[1]}
_NAME_LENGTH: Final = 240  # of an activity's name in an activity ID, which is limited to 256 characters
_ALREADY_EXISTS: Final = frozenset({"DomainAlreadyExistsFault", "TypeAlreadyExistsFault"})

Events = list[dict[str, Any]]
Decisions = list[dict[str, Any]]


class Decider:
    """Decides for the executions it started in a domain.

    `state_dir` is the folder of the lock that keeps several processes from deciding at once; None for no lock.
    """

    def __init__(self, session: "Session", domain: str, state_dir: Path | None) -> None:
        self._lock_folder = state_dir
        self._client = session.client
        self._poll_client = session.poll_client
        self._domain = domain

    def schedule(
        self,
        activity: ActivityId,
        configuration: PartialTaskConfiguration,
        task_input: str | None = None,
        workflow_id: str | None = None,
    ) -> tuple[ExecutionId, str]:
        """Schedule an activity task, and return its execution and its activity ID.

        The domain and types are registered if they are missing, and an execution is started unless one with the
        workflow ID is open. The activity ID is the activity's name with a number. A timeout that is not given is the
        default of the activity type; the types registered here have none. Raise SwfError for whatever SWF rejects.
        """
        self._register(activity)
        if workflow_id is None:
            return self._schedule(activity, configuration, task_input, f"local-{secrets.token_hex(4)}")
        with _exclusive(self._lock_folder):
            return self._schedule(activity, configuration, task_input, workflow_id)

    def request_cancel(self, workflow_id: str, activity_id: str | None = None) -> list[str]:
        """Request cancellation of one open activity task of an execution, or of all, and return their activity IDs.

        Raise TaskNotOpen if there is none.
        """
        with _exclusive(self._lock_folder):
            return self._request_cancel(workflow_id, activity_id)

    def _schedule(
        self, activity: ActivityId, configuration: PartialTaskConfiguration, task_input: str | None, workflow_id: str
    ) -> tuple[ExecutionId, str]:
        try:
            execution, decision_list = self._find(workflow_id)
            self._signal(execution, "schedule")
        except UnknownResource:
            execution, decision_list = self._start(workflow_id)
        activity_id = ""

        def decide(events: Events) -> Decisions:
            nonlocal activity_id
            number = sum(event["eventType"] == "ActivityTaskScheduled" for event in events) + 1
            activity_id = f"{activity.name[:_NAME_LENGTH]}-{number}"
            decision = {
                "activityType": {"name": activity.name, "version": activity.version},
                "activityId": activity_id,
                **_decision_arguments(configuration),
                **({} if task_input is None else {"input": task_input}),
            }
            return [{"decisionType": "ScheduleActivityTask", "scheduleActivityTaskDecisionAttributes": decision}]

        self._decide(execution, decision_list, decide)
        return execution, activity_id

    def _request_cancel(self, workflow_id: str, activity_id: str | None) -> list[str]:
        execution, decision_list = self._find(workflow_id)
        self._signal(execution, "cancel")
        requested: list[str] = []

        def decide(events: Events) -> Decisions:
            requested.extend(name for name in open_activity_ids(events) if activity_id in (None, name))
            return [
                {
                    "decisionType": "RequestCancelActivityTask",
                    "requestCancelActivityTaskDecisionAttributes": {"activityId": name},
                }
                for name in requested
            ]

        self._decide(execution, decision_list, decide)
        if not requested:
            which = "no activity task" if activity_id is None else f"no activity task {activity_id}"
            raise TaskNotOpen(f"{which} of workflow {workflow_id} is open")
        return requested

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return call(self._client, operation, domain=self._domain, **arguments)

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
                call(self._client, operation, **arguments)
            except SwfError as error:
                if error.code not in _ALREADY_EXISTS:
                    raise

    def _find(self, workflow_id: str) -> tuple[ExecutionId, str]:
        """Return the open execution of a workflow ID, and the task list of its decision tasks."""
        reply = self._call(
            "list_open_workflow_executions",
            startTimeFilter={"oldestDate": 0},
            executionFilter={"workflowId": workflow_id},
        )
        if not reply["executionInfos"]:
            raise TaskNotOpen(f"no execution with workflow ID {workflow_id} is open in domain {self._domain}")
        found = reply["executionInfos"][0]
        if found["workflowType"] != _WORKFLOW:
            raise SwfError(
                f"workflow {workflow_id} was not started by `swf local schedule`, so it has its own decider"
            )
        described = self._call("describe_workflow_execution", execution=found["execution"])
        return ExecutionId.from_api(found["execution"]), described["executionConfiguration"]["taskList"]["name"]

    def _start(self, workflow_id: str) -> tuple[ExecutionId, str]:
        decision_list = f"swf-local-{secrets.token_hex(8)}"
        reply = self._call(
            "start_workflow_execution",
            workflowId=workflow_id,
            workflowType=_WORKFLOW,
            taskList={"name": decision_list},
            childPolicy="TERMINATE",
            taskStartToCloseTimeout="60",
            executionStartToCloseTimeout=str(365 * 86_400),
        )
        return ExecutionId(workflow_id, reply["runId"]), decision_list

    def _signal(self, execution: ExecutionId, name: str) -> None:
        self._call("signal_workflow_execution", workflowId=execution.id, runId=execution.run_id, signalName=name)

    def _decide(self, execution: ExecutionId, decision_list: str, decide: Callable[[Events], Decisions]) -> None:
        arguments = {"domain": self._domain, "taskList": {"name": decision_list}}
        page = call(self._poll_client, "poll_for_decision_task", **arguments)
        if not page.get("taskToken"):
            raise SwfError(f"no decision task received for workflow {execution.id}: another decider has it")
        token, events = page["taskToken"], page["events"]
        while page.get("nextPageToken"):
            page = call(self._poll_client, "poll_for_decision_task", **arguments, nextPageToken=page["nextPageToken"])
            events += page["events"]
        call(self._client, "respond_decision_task_completed", taskToken=token, decisions=decide(events))
        self._check(execution, page["startedEventId"])

    def _check(self, execution: ExecutionId, decision_started: int) -> None:
        """Raise SwfError if the decision failed."""
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
                    raise SwfError(f"SWF rejected the decision: {cause}", code=cause)


@contextmanager
def _exclusive(folder: Path | None) -> Iterator[None]:
    """Let one process at a time decide: two would receive each other's decision tasks.

    The lock is `decider.lock` in `folder`. If that cannot be opened or locked, go on without.
    """
    with ExitStack() as stack:
        if folder is not None:
            with suppress(OSError):
                descriptor = _open_lock(folder)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _open_lock(folder: Path) -> int:
    """Return a descriptor of the lock file. Raise OSError unless folder and file are real and this user's own."""
    descriptor = open_folder(folder)
    try:
        return open_file(descriptor, "decider.lock", create=True)
    finally:
        os.close(descriptor)


def _decision_arguments(configuration: PartialTaskConfiguration) -> dict[str, Any]:
    """Return a configuration under the keys of a decision: `startToCloseTimeout`, not `taskStartToCloseTimeout`."""
    return {
        key[4].lower() + key[5:] if key.endswith("Timeout") else key: value
        for key, value in configuration.get_api_args().items()
    }
