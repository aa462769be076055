"""SWF's dictionaries to values and back."""

import copy
import pickle
from dataclasses import FrozenInstanceError, fields
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swf_cli.models import (
    LIMITS,
    ActivityId,
    ExecutionId,
    PartialTaskConfiguration,
    PendingCount,
    TaskConfiguration,
    WorkerTask,
    check_text,
    format_timeout,
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
    """Spell settings as SWF does in one of its key families; what is not given has no key."""
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
@settings(deadline=None)
def test_round_trip_keeps_every_setting(made: dict[str, Any]) -> None:
    """Written as API arguments and read again, each setting is what it was: not given, unlimited, or a duration."""
    configuration = PartialTaskConfiguration(**made)
    arguments = configuration.get_api_args()
    assert arguments == spell(FAMILIES["seed"], made)
    again = PartialTaskConfiguration.from_api(arguments)
    assert again == configuration
    assert all((getattr(again, field) is unset) == (made[field] is unset) for field in TIMEOUTS)


@any_family
@given(made=configurations)
@settings(deadline=None)
def test_each_key_family_reads_the_same(family: dict[str, str], made: dict[str, Any]) -> None:
    """The same settings, spelled as the seed, as decisions and events, or as activity types do, are equal."""
    assert PartialTaskConfiguration.from_api(spell(family, made)) == PartialTaskConfiguration(**made)
    made |= {"task_list": "list"}
    assert TaskConfiguration.from_api(spell(family, made)) == TaskConfiguration(**made)


@any_family
def test_only_the_task_list_is_needed(family: dict[str, str]) -> None:
    """A TaskConfiguration needs a task list; the timeouts SWF leaves out are not given, which is not unlimited."""
    configuration = TaskConfiguration.from_api({family["task_list"]: {"name": "list"}})
    assert configuration == TaskConfiguration("list", unset, unset, unset, unset, None)
    assert all(getattr(configuration, field) is unset for field in TIMEOUTS)
    with pytest.raises(ValueError, match="task list"):
        TaskConfiguration.from_api({family["runtime_timeout"]: "5"})


def test_nothing_given_is_nothing_sent() -> None:
    """An empty configuration gives no API arguments, and is what an empty dictionary reads as."""
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
def test_a_duration_swf_cant_take_is_refused(field: str, timeout: timedelta, why: str) -> None:
    """A fraction of a second, a negative duration and one over 8 digits are a ValueError that says which."""
    with pytest.raises(ValueError, match=why):
        format_timeout(timeout)
    whole: dict[str, Any] = {"task_list": "list", **dict.fromkeys(TIMEOUTS), field: timeout}
    for configuration in (PartialTaskConfiguration, TaskConfiguration):
        with pytest.raises(ValueError, match=why):
            configuration(**whole)


@pytest.mark.parametrize(
    "text", ["", "1e3", " 5", "5 ", "5\n", "+5", "-5", "1.5", "1_0", "0x5", "٣", "none", "None", "123456789"]
)
@any_family
def test_a_timeout_that_is_not_swfs_is_refused(family: dict[str, str], text: str) -> None:
    """What is neither plain digits nor NONE, such as a number in another script, is a ValueError."""
    with pytest.raises(ValueError, match="not an SWF timeout"):
        parse_timeout(text)
    with pytest.raises(ValueError, match="not an SWF timeout"):
        PartialTaskConfiguration.from_api({family["total_timeout"]: text})


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


def test_unset_says_that_it_is_not_given() -> None:
    """The unset sentinel prints as what it means, is false, and is no None."""
    assert (str(unset), f"{unset}", repr(unset)) == ("not given", "not given", "_Sentinel()")
    assert not unset
    assert unset is not None


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, *(lambda value, p=p: pickle.loads(pickle.dumps(value, p)) for p in range(6))],
)
def test_copies_keep_what_is_not_given(again: Any) -> None:
    """Copies and pickles of the sentinel are the sentinel, so that `is unset` goes on to hold."""
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
    """No field of a value can be set or deleted, nor can one be added; equal values can stand in for each other."""
    for field in fields(value):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, None)
        with pytest.raises(FrozenInstanceError):
            delattr(value, field.name)
    with pytest.raises((AttributeError, TypeError)):
        value.something_else = 1
    assert copy.deepcopy(value) == value
    assert len({value, copy.deepcopy(value)}) == 1


def test_a_task_is_read_from_a_polls_reply() -> None:
    """A task has everything of SWF's reply; its input is None when the decider gave none, "" when it gave that."""
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


def test_limits_are_swfs() -> None:
    """The limits are those of the contract."""
    assert dict(LIMITS) == {
        "token": (1, 1024),
        "result": (0, 32_768),
        "reason": (0, 256),
        "details": (0, 32_768),
        "heartbeat details": (0, 2_048),
        "identity": (0, 256),
        "domain": (1, 256),
        "task list": (1, 256),
        "input": (0, 32_768),
        "workflow id": (1, 256),
        "activity id": (1, 256),
        "activity name": (1, 256),
        "activity version": (1, 64),
        "run id": (1, 64),
    }


@pytest.mark.parametrize("character", ["x", "é", "😀"])
@pytest.mark.parametrize("kind", LIMITS)
def test_lengths_count_characters(kind: str, character: str) -> None:
    """A text is held to its limit in characters, not bytes; the message names the text, its length and the limit."""
    least, most = LIMITS[kind]
    check_text(kind, character * most)
    check_text(kind, character * least)
    with pytest.raises(ValueError, match=f"^{kind} is {most + 1:,} characters long: .* {most:,}$"):
        check_text(kind, character * (most + 1))


@pytest.mark.parametrize("surrogate", ["\ud800", "ok \udc80 ok", "\udc3d\ud83d", "ok\udfff"])
def test_a_lone_surrogate_is_refused(surrogate: str) -> None:
    """A text that UTF-8 can't carry is a ValueError that names it."""
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
    """A count exceeds what is less than it; a truncated one exceeds any number."""
    assert pending.exceeds(most) is exceeds
