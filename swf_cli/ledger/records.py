"""The rows of the ledger as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..models import ActivityId, ExecutionId, TaskReference

Taker = Literal["poll", "work"]


@dataclass(frozen=True, slots=True)
class PollSource:
    """Where a poll goes, and as whom."""

    domain: str
    task_list: str
    identity: str
    profile: str | None
    region: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class HeldTask:
    """A row of the ledger: a task that this machine took and has not closed, or a poll that broke."""

    key: str
    """Names the row; any beginning of it that no other row has does too."""

    kind: Literal["task", "broken_poll"]
    token: str | None
    id: str | None
    activity: ActivityId | None
    execution: ExecutionId | None
    task_started_execution_history_event_id: int | None
    domain: str
    task_list: str
    identity: str
    host: str
    pid: int

    holder_alive: bool | None
    """Whether the process that took it lives; None when it was `swf poll`, which ends once it has told its caller."""

    taken_by: Literal["poll", "work"]
    taken_at: float
    """When it was taken, or when the poll began, in seconds since the epoch."""

    profile: str | None
    region: str
    endpoint: str

    group: int | None = None
    """Process group of the command that `swf work` runs on the task."""

    group_started: str | None = None
    """Fingerprint of the process that leads it, see `processes.start_id`."""

    @property
    def reference(self) -> TaskReference:
        """What names the task. Raises ValueError for a poll that broke."""
        if self.token is None:
            raise ValueError(f"{self.key} is a poll that broke: if it got a task, its token is lost")
        return TaskReference(self.token, self.domain, self.execution, self.task_started_execution_history_event_id)


def _read_row(row: Mapping[str, Any], lives: bool) -> HeldTask:
    task = row["kind"] == "task"
    return HeldTask(
        key=row["key"],
        kind="task" if task else "broken_poll",
        token=row["token"] if task else None,
        id=row["id"] if task else None,
        activity=ActivityId(row["activity_name"], row["activity_version"]) if task else None,
        execution=ExecutionId(row["workflow_id"], row["run_id"]) if task else None,
        task_started_execution_history_event_id=row["started_event_id"] if task else None,
        domain=row["domain"],
        task_list=row["task_list"],
        identity=row["identity"],
        host=row["host"],
        pid=row["pid"],
        holder_alive=None if task and row["taken_by"] == "poll" and not lives else lives,
        taken_by=row["taken_by"],
        taken_at=row["taken_at"],
        profile=row["profile"],
        region=row["region"],
        endpoint=row["endpoint"],
        group=row["process_group"],
        group_started=row["group_started"],
    )


@dataclass(frozen=True, slots=True)
class Holding:
    """What this machine's ledger says of a task, or of a poll that broke."""

    key: str
    taken_at: float
    task_list: str
    identity: str
    run_id: str | None = None
    """Run of the task's execution; None for a poll that broke."""

    started_event_id: int | None = None
    holder_alive: bool | None = None
    """None when it can't be known: `swf poll` took it, and whoever it told may live."""
