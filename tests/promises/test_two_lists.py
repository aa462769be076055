"""A flooded task list does not starve another one that the same worker polls.

SWF_TEST_FULL=1 runs it with a longer flood.
"""

import logging
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.cli import wait_until
from tests.helpers.flow import activity, attributes_of
from tests.helpers.local_service import Service, local_service
from tests.helpers.processes import started

SLOTS = 4
FLOOD, QUIET = (280, 20) if os.environ.get("SWF_TEST_FULL") else (120, 10)
_log = logging.getLogger(__name__)

ACTIVITIES = ("resize", "encode", "upload")


@pytest.fixture
def service() -> Iterator[Service]:
    """A local SWF that holds a poll for a second, with three activity types."""
    with local_service(hold=1) as service:
        service.flow("media")
        for name in ACTIVITIES[1:]:
            service.call("RegisterActivityType", domain="media", name=name, version="1")
        yield service


@pytest.fixture
def handlers(tmp_path: Path) -> Path:
    """A folder with a handler for each activity."""
    folder = tmp_path / "handlers"
    folder.mkdir(mode=0o755)
    for name in ACTIVITIES:
        (folder / name).write_text('#!/bin/sh\nsleep 0.02\necho "$SWF_ACTIVITY_NAME on $SWF_TASK_LIST"\n')
        (folder / name).chmod(0o755)
    return folder


def test_a_flooded_list_does_not_starve_another(
    service: Service, service_env: dict[str, str], handlers: Path
) -> None:
    """While many tasks wait on one list, a task on the other is started before the slots have taken one more each.

    That is at most the run time of a task, and a poll, after it was scheduled; whatever its activity.
    """
    flow = service.flow("media")
    flood = flow.start("flood", taskList={"name": "flood"})
    wanted = [
        activity(f"flood-{n}", "flooded", activityType={"name": ACTIVITIES[n % 3], "version": "1"})
        for n in range(FLOOD)
    ]
    flow.decide_on("flood", *wanted)
    quiet: list[str] = []
    options = ["-t", "flooded", "-t", "quiet", "-j", str(SLOTS), "--max-tasks", str(FLOOD + QUIET), "--check"]
    options += ["--handlers", str(handlers)]
    with started("work", "-d", "media", *options, env=service_env, stderr=subprocess.DEVNULL) as worker:
        for number in range(QUIET):
            wait_until(lambda: FLOOD - flow.pending("flooded") > (number + 1) * FLOOD // (QUIET + 5))  # noqa: B023
            activity_type = {"name": ACTIVITIES[number % 3], "version": "1"}
            quiet.append(service.schedule("media", "quiet", activityType=activity_type))
        assert worker.wait(120) == 0
    began: list[float] = []
    ended: dict[str, Counter[str]] = {"flood": Counter(), "quiet": Counter()}
    for event in service.all_events("media", flood):
        if event["eventType"] == "ActivityTaskStarted":
            began.append(event["eventTimestamp"])
        elif event["eventType"] == "ActivityTaskCompleted":
            ended["flood"][attributes_of(event)["result"]] += 1
    overtaken, waits = [], []
    for workflow in quiet:
        at = {event["eventType"]: event for event in service.history("media", workflow)}
        scheduled, start = (at[f"ActivityTask{kind}"]["eventTimestamp"] for kind in ("Scheduled", "Started"))
        overtaken.append(sum(scheduled < moment < start for moment in began))
        waits.append(start - scheduled)
        ended["quiet"][attributes_of(at["ActivityTaskCompleted"])["result"]] += 1
    _log.info("the longest wait was %.3f s; overtaken by at most %d tasks", max(waits), max(overtaken))
    assert max(overtaken) <= SLOTS, overtaken
    assert (ended["flood"].total(), ended["quiet"].total()) == (FLOOD, QUIET)
    assert set(ended["flood"]) == {f"{name} on flooded" for name in ACTIVITIES}
    assert set(ended["quiet"]) == {f"{name} on quiet" for name in ACTIVITIES}
