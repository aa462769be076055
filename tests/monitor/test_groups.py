"""Tasks counted by what they have in common, and chosen by what they are."""

from dataclasses import replace
from typing import Any

import pytest

from swf_cli.history import ActivityTask, DecisionTask
from swf_cli.models import ActivityId, ExecutionId, PartialTaskConfiguration
from swf_cli.monitor.diagnosis import Diagnosis
from swf_cli.monitor.filters import TaskFilter
from swf_cli.monitor.groups import TaskCount, TaskCounter, group_stuck
from swf_cli.monitor.stuck import StuckTask

SETTINGS = PartialTaskConfiguration("gpu")
WAITS = ActivityTask("a", ActivityId("resize", "1"), "gpu", SETTINGS, 1000.0)
RUNS = replace(WAITS, id="b", scheduled_at=900.0, started_at=950.0, identity="host:1")
CANCELLING = replace(RUNS, id="c", started_at=940.0, cancel_requested_at=960.0)
OTHER = replace(WAITS, id="d", activity=ActivityId("upload", "2"), task_list="net", scheduled_at=990.0)
DECISION = DecisionTask("deciders", SETTINGS, 1000.0, 1000.0, identity="decider:1")


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("list", [("gpu", 2, 2, 995.0, 940.0), ("net", 1, 0, 990.0, None)]),
        (
            "activity",
            [(ActivityId("resize", "1"), 2, 2, 995.0, 940.0), (ActivityId("upload", "2"), 1, 0, 990.0, None)],
        ),
        ("identity", [(None, 3, 0, 990.0, None), ("host:1", 0, 2, None, 940.0)]),
        (
            "state",
            [("scheduled", 3, 0, 990.0, None), ("cancelling", 0, 1, None, 940.0), ("started", 0, 1, None, 950.0)],
        ),
        ("workflow", [("video-7", 2, 2, 990.0, 940.0), ("video-8", 1, 0, 995.0, None)]),
    ],
)
def test_open_tasks_are_counted(field: str, expected: list[tuple[Any, ...]]) -> None:
    """Those that wait and those that are started, and which have longest; the most first."""
    counter = TaskCounter(field)
    for task in (WAITS, RUNS, CANCELLING, OTHER):
        counter.add(ExecutionId("video-7", "RUN"), task)
    counter.add(ExecutionId("video-8", "RUN"), replace(WAITS, scheduled_at=995.0))
    if field == "workflow":  # four of video-7
        assert counter.counts()[0] == TaskCount("video-7", 2, 2, 990.0, 940.0)
    assert counter.counts() == [TaskCount(*values) for values in expected]


def test_nothing_to_count() -> None:
    """No task is no count."""
    assert TaskCounter("list").counts() == []


def test_stuck_tasks_are_grouped_by_reason_and_list() -> None:
    """In the order of the rows, with the one that has been stuck longest as an example."""

    def row(reason: str, task: ActivityTask, since: float) -> StuckTask:
        return StuckTask(ExecutionId("w", "RUN"), task, Diagnosis(reason, since, ""))

    rows = [
        row("endless", RUNS, 5.0),
        row("endless", RUNS, 4.0),
        row("unclaimed", WAITS, 3.0),
        row("unclaimed", OTHER, 2.0),
    ]
    groups = group_stuck(rows)
    assert [(group.worst, group.count) for group in groups] == [(rows[1], 2), (rows[2], 1), (rows[3], 1)]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([1, 1, 1, 1], [(1, 1), (1, 1), (1, 1), (1, 1)]),
        ([1, 3, 1, 2, 2, 1], [(3, 1), (2, 1), (2, 1), (3, 3)]),
        ([1] * 190, [(1, 1), (1, 1), (1, 1), (187, 187)]),
    ],
)
def test_the_small_lists_of_a_reason_are_one_group(sizes: list[int], expected: list[tuple[int, int]]) -> None:
    """At most four groups of a reason, whatever the number of its lists; none of another reason is among them."""

    def rows(reason: str) -> list[StuckTask]:
        return [
            StuckTask(ExecutionId("w", "RUN"), replace(WAITS, task_list=f"l{number}"), Diagnosis(reason, since, ""))
            for number, size in enumerate(sizes)
            for since in range(1000 - number, 1000 - number + size)
        ]

    groups = group_stuck([*rows("no-decider"), *rows("unclaimed")])
    assert [(group.count, group.lists) for group in groups] == expected * 2
    longest = min(row.diagnosis.since for row in rows("unclaimed"))
    assert min(group.worst.diagnosis.since for group in groups) == longest


@pytest.mark.parametrize(
    ("criteria", "matching"),
    [
        ({}, [WAITS, RUNS, CANCELLING, OTHER, DECISION]),
        ({"task_lists": ["gpu"]}, [WAITS, RUNS, CANCELLING]),
        ({"task_lists": ["net", "deciders"]}, [OTHER, DECISION]),
        ({"activity": "resize"}, [WAITS, RUNS, CANCELLING]),
        ({"identity": "host:1"}, [RUNS, CANCELLING]),
        ({"identity": "decider:1"}, [DECISION]),
        ({"state": "scheduled"}, [WAITS, OTHER, DECISION]),
        ({"state": "cancelling"}, [CANCELLING]),
        ({"activity": "resize", "state": "scheduled"}, [WAITS]),
    ],
)
def test_a_filter_matches_all_its_criteria(
    criteria: dict[str, Any], matching: list[ActivityTask | DecisionTask]
) -> None:
    """Each narrows it down; without any, everything matches."""
    wanted = TaskFilter(**criteria)
    assert [task for task in (WAITS, RUNS, CANCELLING, OTHER, DECISION) if wanted.matches(task)] == matching
    assert bool(wanted) == bool(criteria)
