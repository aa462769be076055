"""`swf local cancel`."""

from pathlib import Path

import pytest

from tests.helpers.cli import Result, invoke
from tests.helpers.flow import attributes_of
from tests.helpers.local_service import Service
from tests.helpers.terminal import error_line


@pytest.fixture
def video_env(service_env: dict[str, str]) -> dict[str, str]:
    """An environment with the domain `video` and the task list `x`."""
    return {**service_env, "SWF_DOMAIN": "video", "SWF_TASK_LIST": "x"}


def schedule(env: dict[str, str]) -> None:
    """Schedule a task in workflow `w`."""
    assert invoke("local", "schedule", "--activity", "resize", "--workflow-id", "w", env=env).code == 0


def test_from_request_to_cancelled(service: Service, video_env: dict[str, str], tmp_path: Path) -> None:
    """After a request `swf heartbeat` exits 4 and `swf cancel` succeeds."""
    schedule(video_env)
    task = tmp_path / "task.json"
    task.write_text(invoke("poll", env=video_env).stdout)
    assert invoke("heartbeat", "--task", str(task), env=video_env).json == {"cancel_requested": False}
    asked = invoke("local", "cancel", "--workflow-id", "w", env=video_env)
    assert asked == Result("", "swf: requested cancellation of resize-1 in workflow w\n", 0)
    heartbeat = invoke("heartbeat", "--task", str(task), env=video_env)
    assert (heartbeat.json, heartbeat.code) == ({"cancel_requested": True}, 4)
    assert invoke("cancel", "--task", str(task), "--details", "half way", env=video_env) == Result("", "", 0)
    event = next(e for e in service.history("video", "w") if e["eventType"] == "ActivityTaskCanceled")
    assert attributes_of(event)["details"] == "half way"


def test_a_task_that_waits_is_cancelled_at_once(service: Service, video_env: dict[str, str]) -> None:
    """A task that no worker has started leaves its list."""
    schedule(video_env)
    assert invoke("local", "cancel", "--workflow-id", "w", env=video_env).code == 0
    assert invoke("pending", "-o", "text", env=video_env).stdout == "0\n"
    assert service.names("video", "w")[-2:] == ["ActivityTaskCancelRequested", "ActivityTaskCanceled"]


def test_one_or_all(video_env: dict[str, str]) -> None:
    """--id selects one task; the default is all that are open."""
    for _ in range(3):
        schedule(video_env)
    one = invoke("local", "cancel", "--workflow-id", "w", "--id", "resize-2", env=video_env)
    assert one.stderr == "swf: requested cancellation of resize-2 in workflow w\n"
    rest = invoke("local", "cancel", "--workflow-id", "w", env=video_env)
    assert rest.stderr == "swf: requested cancellation of resize-1, resize-3 in workflow w\n"


@pytest.mark.parametrize(("args", "words"), [([], ["no activity task"]), (["--id", "resize-9"], ["resize-9"])])
def test_no_such_open_task(video_env: dict[str, str], args: list[str], words: list[str]) -> None:
    """If the execution has no such open task: exit 5."""
    schedule(video_env)
    invoke("local", "cancel", "--workflow-id", "w", "--id", "resize-1", env=video_env)
    error_line(invoke("local", "cancel", "--workflow-id", "w", *args, env=video_env), 5, "w", *words)


def test_no_such_execution(service: Service, video_env: dict[str, str]) -> None:
    """If no such execution is open: exit 5. An unknown domain: exit 1."""
    service.flow("video")
    error_line(invoke("local", "cancel", "--workflow-id", "nobody", env=video_env), 5, "nobody", "video")
    error_line(invoke("local", "cancel", "--workflow-id", "w", "-d", "nowhere", env=video_env), 1, "nowhere")


def test_an_execution_that_schedule_did_not_start(service: Service, video_env: dict[str, str]) -> None:
    """An execution with its own decider is left alone: exit 1."""
    workflow_id = service.schedule("video", "y")
    before = service.names("video", workflow_id)
    error_line(invoke("local", "cancel", "--workflow-id", workflow_id, env=video_env), 1, workflow_id, "decider")
    assert service.names("video", workflow_id) == before


def test_the_workflow_id_is_required(video_env: dict[str, str]) -> None:
    """--workflow-id is required."""
    error_line(invoke("local", "cancel", env=video_env), 2, "--workflow-id")
