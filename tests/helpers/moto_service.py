"""A moto server on loopback, and a small decider for it."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class MotoService:
    """A moto server, and a client for it."""

    url: str
    client: Any

    def schedule(self, domain: str, task_list: str, task_input: str | None = None, **settings: Any) -> str:
        """Schedule an activity task `resize` version 1, and return the workflow ID of its execution."""
        already = self.client.exceptions
        with suppress(already.DomainAlreadyExistsFault):
            self.client.register_domain(name=domain, workflowExecutionRetentionPeriodInDays="1")
        with suppress(already.TypeAlreadyExistsFault):
            self.client.register_workflow_type(
                domain=domain,
                name="video",
                version="1",
                defaultTaskList={"name": "decisions"},
                defaultChildPolicy="TERMINATE",
                defaultTaskStartToCloseTimeout="300",
                defaultExecutionStartToCloseTimeout="3000",
            )
        with suppress(already.TypeAlreadyExistsFault):
            self.client.register_activity_type(domain=domain, name="resize", version="1")
        workflow_id = f"video-{uuid.uuid4()}"
        decisions = f"decisions-{workflow_id}"
        self.client.start_workflow_execution(
            domain=domain,
            workflowId=workflow_id,
            workflowType={"name": "video", "version": "1"},
            taskList={"name": decisions},
        )
        decision = self.client.poll_for_decision_task(domain=domain, taskList={"name": decisions})
        attributes = {
            "activityType": {"name": "resize", "version": "1"},
            "activityId": "resize-1",
            "taskList": {"name": task_list},
            "scheduleToStartTimeout": "600",
            "scheduleToCloseTimeout": "600",
            "startToCloseTimeout": "600",
            "heartbeatTimeout": "NONE",
            **({} if task_input is None else {"input": task_input}),
            **settings,
        }
        self.client.respond_decision_task_completed(
            taskToken=decision["taskToken"],
            decisions=[
                {
                    "decisionType": "ScheduleActivityTask",
                    "scheduleActivityTaskDecisionAttributes": attributes,
                }
            ],
        )
        return workflow_id

    def history(self, domain: str, workflow_id: str) -> list[dict[str, Any]]:
        """Return the events of an open execution."""
        executions = self.client.list_open_workflow_executions(domain=domain, startTimeFilter={"oldestDate": 0})[
            "executionInfos"
        ]
        execution = next(e["execution"] for e in executions if e["execution"]["workflowId"] == workflow_id)
        events: list[dict[str, Any]] = self.client.get_workflow_execution_history(domain=domain, execution=execution)[
            "events"
        ]
        return events


@contextmanager
def moto_service(credentials: Mapping[str, str]) -> Iterator[MotoService]:
    """Serve moto's SWF on a free port of loopback."""
    import botocore.session
    from botocore.config import Config
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = botocore.session.Session().create_client(
        "swf",
        region_name=credentials["AWS_REGION"],
        endpoint_url=url,
        aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"mode": "standard", "total_max_attempts": 1}),
    )
    try:
        yield MotoService(url, client)
    finally:
        client.close()
        server.stop()
