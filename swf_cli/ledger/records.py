"""The rows of the ledger, as values."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ..addresses import check_endpoint_url
from ..models import ActivityId, ExecutionId, TaskReference, check_text
from ..processes import is_running, start_id
from .locks import HOLDER_NAME

Taker = Literal["poll", "work"]
"""The command that polled: `swf poll` or `swf work`."""


@dataclass(frozen=True, slots=True)
class PollSource:
    """Where a poll is sent, and as whom."""

    domain: str
    task_list: str
    identity: str
    profile: str | None
    region: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class HeldTask:
    """A task that this machine received and has not closed, or a poll that was lost.

    Of a poll whose response was incomplete, only the task's token is known.
    """

    key: str
    """Names the row; so does any prefix of it that no other row has."""

    kind: Literal["task", "broken_poll"]
    token: str | None = field(repr=False)
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
    """Whether the process that received it is alive.

    None for `swf poll`, which ends once it has printed the task, and for a process on another host that shares the
    folder, but whose locks are not seen here.
    """

    taken_by: Taker
    taken_at: float
    """When it was received, or when the poll began, in seconds since the epoch."""

    profile: str | None
    region: str
    endpoint: str

    group: int | None = None
    """Process group of the command that `swf work` runs on the task, or ran on the last one before the poll."""

    group_start_id: str | None = None
    """Start ID of the leader of that group, see `processes.start_id`."""

    @property
    def name(self) -> str:
        """What messages call it: its activity ID, if that is known."""
        return self.id or ("unknown task" if self.token else "lost poll")

    @property
    def reference(self) -> TaskReference:
        """The task's reference. Raises ValueError for a lost poll."""
        if self.token is None:
            raise ValueError(f"{self.key} is a lost poll: if it received a task, the token is unknown")
        return TaskReference(self.token, self.domain, self.execution, self.task_started_execution_history_event_id)


def command_pid(held: HeldTask) -> int | None:
    """Return the process ID of the command that runs for a task, the leader of its process group.

    None if it has ended, or there was none.
    """
    if held.group is None or held.group_start_id is None or start_id(held.group) != held.group_start_id:
        return None
    return held.group if is_running(held.group) else None


def running_commands(rows: Iterable[HeldTask]) -> dict[str, int]:
    """Return the process IDs of the commands that run for tasks, by the key of the row; see `command_pid`."""
    return {row.key: pid for row in rows if (pid := command_pid(row)) is not None}


def read_row(row: Mapping[str, Any], holder_is_alive: bool | None) -> HeldTask:
    """Return a row of the database as a value. The row is valid, see `check_row`."""
    is_task = row["kind"] == "task"
    token = None if row["kind"] == "poll" else row["token"]
    return HeldTask(
        key=row["key"],
        kind="task" if is_task else "broken_poll",
        token=token,
        id=row["id"] if is_task else None,
        activity=ActivityId(row["activity_name"], row["activity_version"]) if is_task else None,
        execution=ExecutionId(row["workflow_id"], row["run_id"]) if is_task else None,
        task_started_execution_history_event_id=row["started_event_id"] if is_task else None,
        domain=row["domain"],
        task_list=row["task_list"],
        identity=row["identity"],
        host=row["host"],
        pid=row["pid"],
        holder_alive=None if token and row["taken_by"] == "poll" and not holder_is_alive else holder_is_alive,
        taken_by=row["taken_by"],
        taken_at=row["taken_at"],
        profile=row["profile"],
        region=row["region"],
        endpoint=row["endpoint"],
        group=row["process_group"],
        group_start_id=row["group_started"],
    )


_TASK_TEXTS: Final = {
    "token": "token",
    "id": "activity ID",
    "activity_name": "activity name",
    "activity_version": "activity version",
    "workflow_id": "workflow ID",
    "run_id": "run ID",
}
_TEXTS: Final = {"domain": "domain", "task_list": "task list", "identity": "identity"}
_SHORT_TEXT: Final = re.compile("[^\0\ud800-\udfff]{1,1024}", re.DOTALL)
"""What SWF sets no limit to; neither a NUL nor what UTF-8 can't encode."""

_LATEST_TIME: Final = 4_102_444_800.0  # 2100-01-01


def check_row(row: Mapping[str, Any]) -> None:
    """Raise ValueError unless each value of a row is of the kind that this program writes: none is trusted."""
    _check_texts(row, _TEXTS)
    if row["kind"] == "task":
        check_task(row)
    elif row["kind"] == "broken_poll" and row["token"] is not None:
        _check_texts(row, {"token": "token"})
    for column in ("host", "region", "endpoint", "profile", "group_started", "holder_start"):
        value = row[column]
        if value is None and column in ("profile", "group_started", "holder_start"):
            continue
        if not isinstance(value, str) or not re.fullmatch(_SHORT_TEXT, value):
            raise ValueError(f"{column} is not a short text")
    try:
        check_endpoint_url(row["endpoint"])
    except ValueError as error:
        raise ValueError(f"endpoint: {error}") from error
    taken_at = row["taken_at"]
    has_group = row["process_group"] is not None
    checks = {
        "key": isinstance(row["key"], str) and re.fullmatch("[0-9a-f]{8,64}", row["key"]),
        "kind": row["kind"] in ("poll", "task", "broken_poll"),
        "holder": HOLDER_NAME.fullmatch(str(row["holder"])),
        "region": re.fullmatch("[A-Za-z0-9-]+", row["region"]),
        "taken_by": row["taken_by"] in ("poll", "work"),
        "taken_at": isinstance(taken_at, float) and 0 <= taken_at < _LATEST_TIME,
        "pid": _is_id(row["pid"], 1),
        "process_group": not has_group or (_is_id(row["process_group"], 2) and row["group_started"] is not None),
    }
    for column, is_valid in checks.items():
        if not is_valid:
            raise ValueError(f"{column} is not valid")


def check_task(row: Mapping[str, Any]) -> None:
    """Raise ValueError unless what a row says about its task is within SWF's limits."""
    _check_texts(row, _TASK_TEXTS)
    if not _is_id(row["started_event_id"], 1):
        raise ValueError("started_event_id is not valid")


def _check_texts(row: Mapping[str, Any], kinds: Mapping[str, str]) -> None:
    for column, kind in kinds.items():
        if not isinstance(row[column], str):
            raise ValueError(f"{column} is not text")
        check_text(kind, row[column])


def _is_id(value: Any, minimum: int) -> bool:
    return isinstance(value, int) and minimum <= value < 2**31
