"""Values from SWF's dictionaries, and back."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from botocore.loaders import Loader
from hypothesis import given
from hypothesis import strategies as st

from swf_cli.models import (
    LIMITS,
    ActivityId,
    ExecutionId,
    PartialTaskConfiguration,
    PendingCount,
    TaskConfiguration,
    TaskReference,
    WorkerTask,
    check_text,
    fit_text,
    format_timeout,
    is_token,
    parse_timeout,
    unset,
)
from tests.helpers.cli import TASK

LONGEST = 99_999_999
TIMEOUTS = ("runtime_timeout", "schedule_timeout", "total_timeout", "heartbeat_timeout")
FIELDS = ("task_list", *TIMEOUTS, "priority")
SEED = (
    "taskList",
    "taskStartToCloseTimeout",
    "taskScheduleToStartTimeout",
    "taskScheduleToCloseTimeout",
    "taskHeartbeatTimeout",
    "taskPriority",
)
DECISION = (
    "taskList",
    "startToCloseTimeout",
    "scheduleToStartTimeout",
    "scheduleToCloseTimeout",
    "heartbeatTimeout",
    "taskPriority",
)
ACTIVITY_TYPE = (
    "defaultTaskList",
    "defaultTaskStartToCloseTimeout",
    "defaultTaskScheduleToStartTimeout",
    "defaultTaskScheduleToCloseTimeout",
    "defaultTaskHeartbeatTimeout",
    "defaultTaskPriority",
)
FAMILIES = {
    family: dict(zip(FIELDS, keys, strict=True))
    for family, keys in {"seed": SEED, "decision": DECISION, "activity type": ACTIVITY_TYPE}.items()
}
"""SWF's three spellings of the six settings, by field."""
any_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)

timeouts = st.one_of(
    st.just(unset), st.none(), st.integers(0, LONGEST).map(lambda seconds: timedelta(seconds=seconds))
)
configurations = st.fixed_dictionaries(
    {
        "task_list": st.none() | st.text(min_size=1, max_size=256),
        **dict.fromkeys(TIMEOUTS, timeouts),
        "priority": st.none() | st.integers(-(2**31), 2**31 - 1),
    }
)


def spell(family: dict[str, str], given_settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings as SWF spells them in one of its key families; what is not given has no key."""
    spelled: dict[str, Any] = {}
    for field, value in given_settings.items():
        if value is unset or (value is None and field not in TIMEOUTS):
            continue
        if field == "task_list":
            spelled[family[field]] = {"name": value}
        elif field == "priority":
            spelled[family[field]] = str(value)
        else:
            spelled[family[field]] = "NONE" if value is None else str(int(value.total_seconds()))
    return spelled


@given(configurations)
def test_round_trip_keeps_every_setting(made: dict[str, Any]) -> None:
    """Settings survive a round trip through API arguments: not given, unlimited, or a duration."""
    configuration = PartialTaskConfiguration(**made)
    arguments = configuration.get_api_args()
    assert arguments == spell(FAMILIES["seed"], made)
    again = PartialTaskConfiguration.from_api(arguments)
    assert again == configuration
    assert all((getattr(again, field) is unset) == (made[field] is unset) for field in TIMEOUTS)


@any_family
@given(made=configurations)
def test_each_key_family_reads_the_same(family: dict[str, str], made: dict[str, Any]) -> None:
    """The same settings are equal in each spelling: `get_api_args`, decisions and events, activity types."""
    assert PartialTaskConfiguration.from_api(spell(family, made)) == PartialTaskConfiguration(**made)
    made |= {"task_list": "list"}
    assert TaskConfiguration.from_api(spell(family, made)) == TaskConfiguration(**made)


@any_family
def test_only_the_task_list_is_required(family: dict[str, str]) -> None:
    """A TaskConfiguration requires a task list; missing timeouts are not given, which is not unlimited."""
    configuration = TaskConfiguration.from_api({family["task_list"]: {"name": "list"}})
    assert configuration == TaskConfiguration("list", unset, unset, unset, unset, None)
    assert all(getattr(configuration, field) is unset for field in TIMEOUTS)
    with pytest.raises(ValueError, match=r"^a task configuration needs a task list$"):
        TaskConfiguration.from_api({family["runtime_timeout"]: "5"})


def test_nothing_given_is_nothing_sent() -> None:
    """An empty configuration has no API arguments, and is what an empty dictionary is read as."""
    assert PartialTaskConfiguration().get_api_args() == {}
    assert PartialTaskConfiguration.from_api({}) == PartialTaskConfiguration()


@pytest.mark.parametrize(
    ("timeout", "why"),
    [
        pytest.param(timedelta(milliseconds=1500), "whole seconds", id="fraction"),
        pytest.param(timedelta(microseconds=1), "whole seconds", id="microsecond"),
        pytest.param(timedelta(seconds=-1), "negative", id="negative"),
        pytest.param(timedelta(seconds=LONGEST + 1), "8 digits", id="nine digits"),
    ],
)
@pytest.mark.parametrize("field", TIMEOUTS)
def test_a_duration_that_swf_rejects_is_an_error(field: str, timeout: timedelta, why: str) -> None:
    """A fraction of a second, a negative duration and one of over 8 digits are a ValueError that says which."""
    with pytest.raises(ValueError, match=why):
        format_timeout(timeout)
    whole: dict[str, Any] = {"task_list": "list", **dict.fromkeys(TIMEOUTS), field: timeout}
    for configuration in (PartialTaskConfiguration, TaskConfiguration):
        with pytest.raises(ValueError, match=why):
            configuration(**whole)


@pytest.mark.parametrize("timeout", [5, 5.0, "5", "NONE"])
def test_what_is_no_duration_is_an_error(timeout: Any) -> None:
    """A number does not say of what; the error says what is meant instead."""
    with pytest.raises(TypeError, match=f"a timeout is a timedelta, None or unset: {timeout!r}"):
        PartialTaskConfiguration(runtime_timeout=timeout)


@pytest.mark.parametrize(
    "text", ["", "1e3", " 5", "5 ", "5\n", "+5", "-5", "1.5", "1_0", "0x5", "٣", "none", "None", "123456789"]
)
@any_family
def test_a_timeout_that_is_not_swfs_is_an_error(family: dict[str, str], text: str) -> None:
    """Anything but plain digits or NONE, such as digits of another script, is a ValueError."""
    with pytest.raises(ValueError, match="not an SWF timeout"):
        parse_timeout(text)
    with pytest.raises(ValueError, match="not an SWF timeout"):
        PartialTaskConfiguration.from_api({family["total_timeout"]: text})


@pytest.mark.parametrize("priority", ["", "1_0", " 1", "+1", "1.5", 1.5, True, "\u0663", "9" * 5_000])
@any_family
def test_a_priority_that_is_not_swfs_is_an_error(family: dict[str, str], priority: Any) -> None:
    """Anything but a whole number in plain digits is a ValueError."""
    with pytest.raises(ValueError, match="not an SWF priority"):
        PartialTaskConfiguration.from_api({family["priority"]: priority})


def test_the_range_of_priorities() -> None:
    """They have 32 bits; the error says which are allowed."""
    for priority in (-(2**31), 2**31 - 1):
        assert PartialTaskConfiguration(priority=priority).get_api_args() == {"taskPriority": str(priority)}
    for priority in (-(2**31) - 1, 2**31):
        with pytest.raises(ValueError, match=f"^a priority is from -2147483648 to 2147483647: {priority}$"):
            PartialTaskConfiguration(priority=priority)


@pytest.mark.parametrize("task_list", ["list", {"name": None}, {"name": 5}, {}, []])
@any_family
def test_a_task_list_without_a_name_is_an_error(family: dict[str, str], task_list: Any) -> None:
    """What has not the shape of SWF's TaskList is a TypeError or LookupError."""
    with pytest.raises((TypeError, LookupError)):
        PartialTaskConfiguration.from_api({family["task_list"]: task_list})


@pytest.mark.parametrize(
    ("text", "timeout"),
    [
        ("0", timedelta(0)),
        ("00000005", timedelta(seconds=5)),
        ("99999999", timedelta(seconds=LONGEST)),
        ("NONE", None),
    ],
)
def test_swfs_timeouts_are_read(text: str, timeout: timedelta | None) -> None:
    """Up to 8 digits of seconds are a timedelta; NONE is None."""
    assert parse_timeout(text) == timeout


def test_the_unset_sentinel_prints_its_meaning() -> None:
    """The unset sentinel prints as "not given", is false, and is not None."""
    assert (str(unset), f"{unset}", repr(unset)) == ("not given", "not given", "_Sentinel()")
    assert not unset
    assert unset is not None


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, *(lambda value, p=p: pickle.loads(pickle.dumps(value, p)) for p in range(6))],
)
def test_copies_keep_what_is_not_given(again: Any) -> None:
    """Copies and pickles of the sentinel are the sentinel, so that `is unset` still holds."""
    assert again(unset) is unset
    configuration = again(PartialTaskConfiguration("list", schedule_timeout=None))
    assert configuration == PartialTaskConfiguration("list", schedule_timeout=None)
    assert configuration.runtime_timeout is unset


VALUES = [
    ActivityId("resize", "2"),
    ExecutionId("video-7", "RUN"),
    TaskConfiguration("list", None, None, None),
    PartialTaskConfiguration(),
    WorkerTask.from_api(TASK),
    PendingCount("d", "l", 3, False),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_immutable(value: Any) -> None:
    """No field of a value can be set, deleted or added; equal values have the same hash."""
    for field in fields(value):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, None)
        with pytest.raises(FrozenInstanceError):
            delattr(value, field.name)
    with pytest.raises((AttributeError, TypeError)):
        value.something_else = 1
    assert copy.deepcopy(value) == value
    assert len({value, copy.deepcopy(value)}) == 1


def test_a_task_is_read_from_the_response_to_a_poll() -> None:
    """A task has everything of SWF's response; its input is None if the decider set none, and "" if it set that."""
    task = WorkerTask.from_api({**TASK, "ResponseMetadata": {}})
    assert task == WorkerTask(
        token="TOKEN",
        id="resize-1",
        activity=ActivityId("resize", "2"),
        execution=ExecutionId("video-7", "RUN"),
        task_started_execution_history_event_id=6,
        input="in.png",
    )
    assert WorkerTask.from_api({key: TASK[key] for key in TASK if key != "input"}).input is None
    assert WorkerTask.from_api({**TASK, "input": ""}).input == ""


@pytest.mark.parametrize("value", [WorkerTask.from_api(TASK), TaskReference("TOKEN", "d")])
def test_a_token_is_not_shown(value: Any) -> None:
    """Whoever has the token can close the task: it does not get into logs with the rest."""
    assert "TOKEN" not in repr(value)


SHAPES = {
    "token": "TaskToken",
    "result": "Data",
    "reason": "FailureReason",
    "details": "Data",
    "heartbeat details": "LimitedData",
    "identity": "Identity",
    "domain": "DomainName",
    "task list": "Name",
    "input": "Data",
    "workflow ID": "WorkflowId",
    "run ID": "WorkflowRunId",
    "activity ID": "ActivityId",
    "activity name": "Name",
    "activity version": "Version",
}
"""What SWF's service model calls each kind of text."""


def test_limits_are_swfs() -> None:
    """The limits are those of SWF's service model."""
    shapes = Loader().load_service_model("swf", "service-2")["shapes"]
    model = {kind: (shapes[name].get("min", 0), shapes[name]["max"]) for kind, name in SHAPES.items()}
    assert dict(LIMITS) == model


@pytest.mark.parametrize("character", ["x", "é", "😀"])
@pytest.mark.parametrize("kind", LIMITS)
def test_lengths_count_characters(kind: str, character: str) -> None:
    """A limit counts characters, not bytes; the message has the kind of text, its length and the limit."""
    least, most = LIMITS[kind]
    if least:
        with pytest.raises(ValueError, match=f"^{kind} is empty: SWF accepts {least} to {most:,} characters$"):
            check_text(kind, "")
    check_text(kind, character * most)
    check_text(kind, character * least)
    with pytest.raises(ValueError, match=f"^{kind} is {most + 1:,} characters long: .* {most:,}$"):
        check_text(kind, character * (most + 1))


@pytest.mark.parametrize("value", [None, b"TOKEN", 7])
def test_what_is_no_text_is_an_error(value: Any) -> None:
    """The message has the kind of text, and the type of what was passed instead."""
    with pytest.raises(TypeError, match=f"^token is not a str: {type(value).__name__}$"):
        check_text("token", value)


@pytest.mark.parametrize("made", [PartialTaskConfiguration, partial(TaskConfiguration, "l", None, None, None)])
@pytest.mark.parametrize(
    ("priority", "kind"),
    [(True, TypeError), (1.5, TypeError), ("1", TypeError), (2**31, ValueError), (-(2**31) - 1, ValueError)],
)
def test_a_priority_that_swf_rejects_is_an_error(
    made: Callable[..., Any], priority: Any, kind: type[Exception]
) -> None:
    """SWF would refuse the decision, long after the mistake."""
    with pytest.raises(kind, match=r"^a priority is "):
        made(priority=priority)


@pytest.mark.parametrize("surrogate", ["\ud800", "ok \udc80 ok", "\udc3d\ud83d", "ok\udfff"])
def test_a_lone_surrogate_is_an_error(surrogate: str) -> None:
    """Text that UTF-8 can't encode is a ValueError that names its kind."""
    with pytest.raises(ValueError, match="result is not UTF-8"):
        check_text("result", surrogate)


@pytest.mark.parametrize(
    ("pending", "most", "exceeds"),
    [
        (PendingCount("d", "l", 3, False), 2, True),
        (PendingCount("d", "l", 3, False), 3, False),
        (PendingCount("d", "l", 0, False), 0, False),
        (PendingCount("d", "l", 1000, True), 10**9, True),
    ],
)
def test_a_truncated_count_exceeds_every_number(pending: PendingCount, most: int, exceeds: bool) -> None:
    """A count exceeds every smaller number; a truncated one exceeds every number."""
    assert pending.exceeds(most) is exceeds


EXECUTION = {"id": "video-7", "run_id": "RUN"}
PRINTED = {
    "token": "TOKEN",
    "id": "resize-1",
    "activity": {"name": "resize", "version": "2"},
    "execution": EXECUTION,
    "task_started_execution_history_event_id": 6,
    "input": None,
    "domain": "video",
    "task_list": "resize",
}


def test_a_reference_is_read_from_what_poll_printed() -> None:
    """A reference has the token, and what leads to the task's history."""
    reference = TaskReference("TOKEN", "video", ExecutionId("video-7", "RUN"), 6)
    assert TaskReference.from_json(PRINTED) == reference


@pytest.mark.parametrize(
    "changed",
    [
        {"domain": None},
        {"domain": 5},
        {"execution": None},
        {"execution": []},
        {"execution": {"id": "video-7"}},
        {"execution": {**EXECUTION, "id": 7}},
        {"execution": {**EXECUTION, "run_id": None}},
        {"task_started_execution_history_event_id": "6"},
        {"task_started_execution_history_event_id": None},
    ],
)
def test_a_reference_may_be_a_token_alone(changed: dict[str, Any]) -> None:
    """If anything is missing that leads to the history, or is of another type, the token is what is left."""
    assert TaskReference.from_json({**PRINTED, **changed}) == TaskReference("TOKEN")
    without = {key: value for key, value in PRINTED.items() if key not in changed}
    assert TaskReference.from_json(without) == TaskReference("TOKEN")


@pytest.mark.parametrize("data", [None, [], [PRINTED], "TOKEN", {}, {"token": None}, {"token": 5}])
def test_a_reference_needs_a_token(data: Any) -> None:
    """Anything without a token is rejected."""
    with pytest.raises(ValueError, match=r"^it has no token$"):
        TaskReference.from_json(data)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("T", True),
        ("T" * 1_024, True),
        ("", False),
        ("T" * 1_025, False),
        (7, False),
        (None, False),
        ("\ud83d", False),
    ],
)
def test_what_may_be_a_token(value: object, expected: bool) -> None:
    """Text of the length that SWF accepts."""
    assert is_token(value) is expected


@pytest.mark.parametrize(
    ("kind", "length", "fitted"),
    [
        ("reason", 257, "b" + "x" * 255),
        ("heartbeat details", 2_049, "b" + "x" * 2_047),
        ("details", 32_769, "x" * 32_767 + "e"),
        ("details", 3, "bxe"),
    ],
)
def test_what_is_sent_of_a_text_that_is_too_long(kind: str, length: int, fitted: str) -> None:
    """The beginning says what failed; of details the end does, which is where a traceback ends."""
    assert fit_text(kind, f"b{'x' * (length - 2)}e") == fitted
    assert fit_text(kind, "lone \ud83d") == "lone \ufffd"
