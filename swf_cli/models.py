"""SWF's dictionaries as typed, immutable values: identifiers, task configurations, tasks, counts.

No I/O, standard library only.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any, Final, Self

from .fields import number_of, optional_text, text_of

_SECONDS_DIGITS: Final = 8
_PRIORITIES: Final = 2**31

MAX_BYTES_PER_CHARACTER: Final = 4
"""Bytes of UTF-8."""

LIMITS: Final[Mapping[str, tuple[int, int]]] = {
    "token": (1, 1024),
    "result": (0, 32_768),
    "reason": (0, 256),
    "details": (0, 32_768),
    "heartbeat details": (0, 2_048),
    "identity": (0, 256),
    "domain": (1, 256),
    "task list": (1, 256),
    "input": (0, 32_768),
    "workflow ID": (1, 256),
    "run ID": (1, 64),
    "activity ID": (1, 256),
    "activity name": (1, 256),
    "activity version": (1, 64),
}
"""The minimum and maximum number of characters of each kind of text (SWF's service model, 2012-01-25)."""

_SURROGATE = re.compile("[\ud800-\udfff]")


class _Sentinel(Enum):
    """The type of `unset`: an enum, so that copies and pickles stay the one instance."""

    UNSET = "not given"

    def __repr__(self) -> str:
        return "_Sentinel()"

    def __str__(self) -> str:
        return self.value

    def __bool__(self) -> bool:
        return False


unset: Final[Any] = _Sentinel.UNSET
"""A timeout that is not given: neither a duration nor SWF's "NONE"."""


def check_text(kind: str, text: str) -> None:
    """Check a text against SWF's limits, before anything is sent.

    `kind` is a key of `LIMITS`; lengths count characters (code points). Raise ValueError if the text is too short or
    too long, or contains a lone surrogate, which UTF-8 can't encode; TypeError if it is not a str.
    """
    minimum, maximum = LIMITS[kind]
    if not isinstance(text, str):
        raise TypeError(f"{kind} is not a str: {type(text).__name__}")
    if len(text) < minimum:
        raise ValueError(f"{kind} is empty: SWF accepts {minimum} to {maximum:,} characters")
    if len(text) > maximum:
        raise ValueError(f"{kind} is {len(text):,} characters long: SWF accepts at most {maximum:,}")
    if _SURROGATE.search(text):
        raise ValueError(f"{kind} is not UTF-8 text")


def is_token(value: Any) -> bool:
    """Return whether a value may be a task token: text that SWF accepts as one."""
    try:
        check_text("token", value)
    except (TypeError, ValueError):
        return False
    return True


def replace_surrogates(text: str) -> str:
    """Return text with U+FFFD for each lone surrogate, such as Python has for a byte that is not UTF-8."""
    return _SURROGATE.sub("\ufffd", text)


def max_length(kind: str) -> int:
    """Return how many characters SWF accepts of a kind of text, a key of `LIMITS`."""
    return LIMITS[kind][1]


def fit_text(kind: str, text: str) -> str:
    """Return what SWF accepts of a text that may be too long: the end of details, the beginning of any other.

    Lone surrogates become U+FFFD.
    """
    maximum = max_length(kind)
    fitted = replace_surrogates(text)
    return fitted[-maximum:] if kind == "details" else fitted[:maximum]


def parse_timeout(text: str) -> timedelta | None:
    """Return an SWF timeout, whole seconds as a string, as a duration; None for "NONE", which is unlimited.

    Raise ValueError for anything else.
    """
    if text == "NONE":
        return None
    if not re.fullmatch(f"[0-9]{{1,{_SECONDS_DIGITS}}}", text):
        raise ValueError(f"not an SWF timeout: {text!r} is neither whole seconds nor NONE")
    return timedelta(seconds=int(text))


def format_timeout(timeout: timedelta | None) -> str:
    """Return a timeout as SWF expects it: seconds as a string of at most 8 digits, or "NONE" for None.

    Raise ValueError for a duration that is negative, not whole seconds, or longer than that, and TypeError for what
    is none.
    """
    if timeout is None:
        return "NONE"
    if not isinstance(timeout, timedelta):
        raise TypeError(f"a timeout is a timedelta, None or unset: {timeout!r}")
    if timeout < timedelta(0):
        raise ValueError(f"a timeout cannot be negative: {timeout}")
    if timeout.microseconds:
        raise ValueError(f"a timeout is whole seconds: {timeout}")
    seconds = str(timeout // timedelta(seconds=1))
    if len(seconds) > _SECONDS_DIGITS:
        raise ValueError(f"a timeout has at most {_SECONDS_DIGITS} digits of seconds: {timeout}")
    return seconds


_TIMEOUTS: Final = {
    "runtime_timeout": "StartToClose",
    "schedule_timeout": "ScheduleToStart",
    "total_timeout": "ScheduleToClose",
    "heartbeat_timeout": "Heartbeat",
}


def _first(data: Mapping[str, Any], *keys: str) -> Any:
    """Return the value of the first of `keys` that `data` has; None if it has none of them."""
    return next((data[key] for key in keys if data.get(key) is not None), None)


def _read_configuration(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the six settings from any of SWF's three key families, without those that are not there."""
    settings: dict[str, Any] = {}
    if (task_list := _first(data, "taskList", "defaultTaskList")) is not None:
        settings["task_list"] = text_of(task_list, "name")
    for setting, name in _TIMEOUTS.items():
        bare = name[0].lower() + name[1:]
        timeout = _first(data, f"task{name}Timeout", f"{bare}Timeout", f"defaultTask{name}Timeout")
        if timeout is not None:
            settings[setting] = parse_timeout(timeout)
    if (priority := _first(data, "taskPriority", "defaultTaskPriority")) is not None:
        if not re.fullmatch("-?[0-9]{1,10}", str(priority)):
            raise ValueError(f"not an SWF priority: {priority!r}")
        settings["priority"] = int(priority)
    return settings


def _check_settings(configuration: Any) -> None:
    """Raise ValueError for a timeout or a priority that SWF does not accept, TypeError for one of another type."""
    for name in _TIMEOUTS:
        timeout = getattr(configuration, name)
        if timeout is not unset:
            format_timeout(timeout)
    if (priority := configuration.priority) is None:
        return
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise TypeError(f"a priority is an int or None: {priority!r}")
    if not -_PRIORITIES <= priority < _PRIORITIES:
        raise ValueError(f"a priority is from {-_PRIORITIES} to {_PRIORITIES - 1}: {priority}")


@dataclass(frozen=True, slots=True)
class ActivityId:
    """An activity type: its name and version (SWF's ActivityType)."""

    name: str
    """Activity name, 1 to 256 characters."""

    version: str
    """Activity version, 1 to 64 characters."""

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Self:
        """Return the value of SWF's ActivityType."""
        return cls(name=text_of(data, "name"), version=text_of(data, "version"))


def format_activity(activity: ActivityId) -> str:
    """Return name and version of an activity type, as messages and screens show them."""
    return f"{activity.name} {activity.version}"


@dataclass(frozen=True, slots=True)
class ExecutionId:
    """A run of a workflow (SWF's WorkflowExecution)."""

    id: str
    """Workflow ID, chosen by whoever started it; at most one open run has it."""

    run_id: str
    """Run ID, assigned by SWF, unique."""

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Self:
        """Return the value of SWF's WorkflowExecution."""
        return cls(id=text_of(data, "workflowId"), run_id=text_of(data, "runId"))


@dataclass(frozen=True, slots=True)
class TaskConfiguration:
    """Activity task configuration.

    A timeout is a duration in whole seconds, None (SWF's "NONE": unlimited), or the unset sentinel (not given).
    Raise ValueError for a timeout that is negative, not whole seconds, or longer than 8 digits of seconds, and for a
    priority that does not fit 32 bits.
    """

    task_list: str
    """Task list that the task is scheduled on."""

    runtime_timeout: timedelta | None
    """Start-to-close: the maximum time that a worker may take."""

    schedule_timeout: timedelta | None
    """Schedule-to-start: the maximum time that the task may wait for a worker."""

    total_timeout: timedelta | None
    """Schedule-to-close: the maximum time from scheduling to the end."""

    heartbeat_timeout: timedelta | None = unset
    """The maximum time between heartbeats."""

    priority: int | None = None
    """Task priority: higher goes first; None if not given (SWF's default is 0)."""

    def __post_init__(self) -> None:
        _check_settings(self)

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Self:
        """Return the value of SWF API response data.

        The keys are those of activity types (`defaultTask…`), of ScheduleActivityTask decisions and
        ActivityTaskScheduled events, or of `PartialTaskConfiguration.get_api_args` (`task…`). Only the task list is
        required. Raise ValueError without it, or for a value that SWF does not accept, and TypeError or LookupError
        for what is not of its type.
        """
        settings = dict.fromkeys(_TIMEOUTS, unset) | _read_configuration(data)
        if "task_list" not in settings:
            raise ValueError("a task configuration needs a task list")
        return cls(**settings)


@dataclass(frozen=True, slots=True)
class PartialTaskConfiguration:
    """Partial activity task configuration: every setting is optional.

    What a timeout may be, and what is raised for others, is as for `TaskConfiguration`.
    """

    task_list: str | None = None
    """Task list that the task is scheduled on."""

    runtime_timeout: timedelta | None = unset
    """Start-to-close: the maximum time that a worker may take."""

    schedule_timeout: timedelta | None = unset
    """Schedule-to-start: the maximum time that the task may wait for a worker."""

    total_timeout: timedelta | None = unset
    """Schedule-to-close: the maximum time from scheduling to the end."""

    heartbeat_timeout: timedelta | None = unset
    """The maximum time between heartbeats."""

    priority: int | None = None
    """Task priority: higher goes first; None if not given (SWF's default is 0)."""

    def __post_init__(self) -> None:
        _check_settings(self)

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Self:
        """Return the value of SWF API response data; keys and errors are those of `TaskConfiguration.from_api`."""
        return cls(**_read_configuration(data))

    def get_api_args(self) -> dict[str, Any]:
        """Return SWF API request arguments (`taskStartToCloseTimeout`…); a setting that is not given has no key."""
        args: dict[str, Any] = {}
        if self.task_list is not None:
            args["taskList"] = {"name": self.task_list}
        for setting, name in _TIMEOUTS.items():
            timeout = getattr(self, setting)
            if timeout is not unset:
                args[f"task{name}Timeout"] = format_timeout(timeout)
        if self.priority is not None:
            args["taskPriority"] = str(self.priority)
        return args


@dataclass(frozen=True, slots=True)
class WorkerTask:
    """An activity task as PollForActivityTask returns it to a worker."""

    token: str = field(repr=False)
    """Task token, assigned by SWF: anyone who has it can close the task."""

    id: str
    """Activity ID, chosen by the decider; at most one open task of an execution has it."""

    activity: ActivityId
    """Activity type of the task."""

    execution: ExecutionId
    """Execution that the task belongs to."""

    task_started_execution_history_event_id: int
    """History event ID of the task's ActivityTaskStarted."""

    input: str | None = None
    """Task input; None if the decider set none."""

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Self:
        """Return the value of SWF API response data (PollForActivityTask).

        Raise LookupError if something is missing, TypeError if it is not of its type.
        """
        return cls(
            token=text_of(data, "taskToken"),
            id=text_of(data, "activityId"),
            activity=ActivityId.from_api(data["activityType"]),
            execution=ExecutionId.from_api(data["workflowExecution"]),
            task_started_execution_history_event_id=number_of(data, "startedEventId"),
            input=optional_text(data, "input"),
        )


@dataclass(frozen=True, slots=True)
class PendingCount:
    """Number of activity tasks that wait on a task list, as SWF estimates it (CountPendingActivityTasks)."""

    domain: str
    """Domain of the task list."""

    task_list: str
    """Name of the task list."""

    count: int
    """Number of tasks that are scheduled and not started."""

    truncated: bool
    """Whether there are more than `count`."""

    def exceeds(self, maximum: int) -> bool:
        """Return whether more than `maximum` tasks wait; a truncated count is more than any number."""
        return self.truncated or self.count > maximum


@dataclass(frozen=True, slots=True)
class TaskReference:
    """What identifies a held task: its token, and where its history is, as far as that is known."""

    token: str = field(repr=False)
    """Task token."""

    domain: str | None = None
    """Domain of its execution."""

    execution: ExecutionId | None = None
    """Execution that it belongs to."""

    task_started_execution_history_event_id: int | None = None
    """History event ID of its ActivityTaskStarted."""

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Return the task that `swf poll` printed, or at least its token. Raise ValueError if there is none."""
        token = data.get("token") if isinstance(data, dict) else None
        if not isinstance(token, str):
            raise ValueError("it has no token")
        match data:
            case {
                "domain": str(domain),
                "execution": {"id": str(workflow_id), "run_id": str(run_id)},
                "task_started_execution_history_event_id": int(event_id),
            }:
                return cls(token, domain, ExecutionId(workflow_id, run_id), event_id)
        return cls(token)
