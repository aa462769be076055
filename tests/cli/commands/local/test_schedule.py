"""`swf local schedule`."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.helpers.cli import Result, invoke, run
from tests.helpers.flow import attributes_of
from tests.helpers.local_service import Service
from tests.helpers.terminal import error_line

TIMEOUTS = {
    "--schedule-to-start-timeout": "scheduleToStartTimeout",
    "--start-to-close-timeout": "startToCloseTimeout",
    "--schedule-to-close-timeout": "scheduleToCloseTimeout",
    "--heartbeat-timeout": "heartbeatTimeout",
}


def schedule(
    *args: str, env: dict[str, str], activity: str = "resize", runner: Callable[..., Result] = invoke
) -> Result:
    """Run `swf local schedule` for the domain `video` and the task list `x`."""
    return runner("local", "schedule", "-d", "video", "-t", "x", "--activity", activity, *args, env=env)


def scheduled(service: Service, workflow_id: str) -> list[Any]:
    """Return the attributes of the ActivityTaskScheduled events of an execution."""
    return [
        attributes_of(event)
        for event in service.history("video", workflow_id)
        if event["eventType"] == "ActivityTaskScheduled"
    ]


def poll(env: dict[str, str]) -> Any:
    """Poll the list `x`."""
    return invoke("poll", "-d", "video", "-t", "x", env=env).json


def test_it_registers_what_is_missing(service: Service, service_env: dict[str, str]) -> None:
    """On an empty SWF it registers domain and types and schedules a task; stderr says which."""
    result = schedule("--workflow-id", "video-7", "--input", "in.png", env=service_env, runner=run)
    assert (result.stdout, result.code) == ("", 0)
    assert result.stderr.startswith("swf: scheduled resize-1 on task list x in workflow video-7, run ")
    task = poll(service_env)
    assert (task["id"], task["activity"], task["input"]) == ("resize-1", {"name": "resize", "version": "1"}, "in.png")
    assert task["execution"]["id"] == "video-7"
    assert task["execution"]["run_id"] in result.stderr
    assert service.names("video", "video-7")[:5] == [
        "WorkflowExecutionStarted",
        "DecisionTaskScheduled",
        "DecisionTaskStarted",
        "DecisionTaskCompleted",
        "ActivityTaskScheduled",
    ]


@pytest.mark.parametrize("option", [("-o", "json"), ("--query", "@")])
def test_data(service_env: dict[str, str], option: tuple[str, str]) -> None:
    """With --output or --query it prints what it scheduled, and nothing on stderr."""
    result = schedule("--workflow-id", "video-7", *option, env=service_env, activity="resize:2")
    task = poll(service_env)
    assert result.stderr == ""
    assert result.json == {
        "id": "resize-1",
        "activity": {"name": "resize", "version": "2"},
        "execution": task["execution"],
        "domain": "video",
        "task_list": "x",
    }


def test_data_as_text_and_table(service_env: dict[str, str]) -> None:
    """-o text prints the workflow ID, -o table a card."""
    assert schedule("--workflow-id", "video-7", "-o", "text", env=service_env).stdout == "video-7\n"
    workflow_id = schedule("-o", "text", env=service_env).stdout.strip()
    assert workflow_id.startswith("local-")
    card = schedule("--workflow-id", workflow_id, "-o", "table", env=service_env).stdout
    assert re.search(f"workflow ID +{workflow_id} *\n", card)
    assert re.search("run ID +22[A-Za-z0-9+/]{43}= *\n", card)


def test_activity_has_a_version(service_env: dict[str, str]) -> None:
    """--activity is NAME or NAME:VERSION, with version 1 as the default. There is no default input."""
    for activity, version in ("resize:2.0", "2.0"), ("resize", "1"), ("resize:", "1"):
        schedule(env=service_env, activity=activity)
        task = poll(service_env)
        assert (task["activity"], task["input"]) == ({"name": "resize", "version": version}, None)


def test_priority_goes_first(service_env: dict[str, str]) -> None:
    """Tasks are delivered by priority, then by age. The default priority is 0."""
    for name, args in (
        ("low", ["--priority", "-5"]),
        ("none", []),
        ("high", ["--priority", "7"]),
        ("zero", ["--priority", "0"]),
    ):
        assert schedule(*args, env=service_env, activity=name).code == 0
    assert [poll(service_env)["activity"]["name"] for _ in range(4)] == ["high", "none", "zero", "low"]


def test_timeouts_are_unlimited_unless_given(service: Service, service_env: dict[str, str]) -> None:
    """The default timeouts are NONE."""
    schedule("--workflow-id", "w", env=service_env)
    (task,) = scheduled(service, "w")
    assert {name: task[name] for name in TIMEOUTS.values()} == dict.fromkeys(TIMEOUTS.values(), "NONE")


@pytest.mark.parametrize("option", TIMEOUTS)
def test_each_timeout_holds(service: Service, service_env: dict[str, str], option: str) -> None:
    """Each timeout option sets its timeout, and only that one."""
    schedule("--workflow-id", "w", option, "1h30m", env=service_env)
    (task,) = scheduled(service, "w")
    expected = {name: "5400" if name == TIMEOUTS[option] else "NONE" for name in TIMEOUTS.values()}
    assert {name: task[name] for name in TIMEOUTS.values()} == expected
    if option != "--schedule-to-start-timeout":
        poll(service_env)
    service.advance(5300)
    assert "ActivityTaskTimedOut" not in service.names("video", "w")
    service.advance(200)
    event = next(e for e in service.history("video", "w") if e["eventType"] == "ActivityTaskTimedOut")
    kind = option.removeprefix("--").removesuffix("-timeout").upper().replace("-", "_")
    assert attributes_of(event)["timeoutType"] == kind


def test_none_is_unlimited(service: Service, service_env: dict[str, str]) -> None:
    """`none` asks for no timeout."""
    schedule("--workflow-id", "w", "--heartbeat-timeout", "none", "--start-to-close-timeout", "NONE", env=service_env)
    (task,) = scheduled(service, "w")
    assert (task["heartbeatTimeout"], task["startToCloseTimeout"]) == ("NONE", "NONE")


def test_a_second_task_of_an_execution(service: Service, service_env: dict[str, str]) -> None:
    """With the workflow id of an open execution it adds a task to it, also when others are started or closed."""
    for _ in range(2):
        schedule("--workflow-id", "w", env=service_env)
    first = poll(service_env)
    assert invoke("complete", "--task", "-", env=service_env, stdin=json.dumps(first)).code == 0
    assert (
        "scheduled other-3 on task list x in workflow w, "
        in schedule("--workflow-id", "w", env=service_env, activity="other").stderr
    )
    assert [task["activityId"] for task in scheduled(service, "w")] == ["resize-1", "resize-2", "other-3"]
    assert [poll(service_env)["id"] for _ in range(2)] == ["resize-2", "other-3"]


def test_an_execution_is_new_unless_named(service_env: dict[str, str]) -> None:
    """Without --workflow-id each task has a new execution."""
    for _ in range(2):
        schedule(env=service_env)
    assert len({poll(service_env)["execution"]["id"] for _ in range(2)}) == 2


def test_many_at_once(service: Service, service_env: dict[str, str]) -> None:
    """Concurrent processes add one task each to one execution."""
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: schedule("--workflow-id", "w", env=service_env, runner=run), range(4)))
    assert [result.code for result in results] == [0] * 4, results
    assert [task["activityId"] for task in scheduled(service, "w")] == [f"resize-{n}" for n in (1, 2, 3, 4)]


def test_an_execution_that_it_did_not_start(service: Service, service_env: dict[str, str]) -> None:
    """An execution with its own decider is left alone: exit 1."""
    workflow_id = service.schedule("video", "y")
    before = service.names("video", workflow_id)
    error_line(schedule("--workflow-id", workflow_id, env=service_env), 1, workflow_id, "decider")
    assert service.names("video", workflow_id) == before


def test_no_decision_task_is_left(service: Service, service_env: dict[str, str]) -> None:
    """Whatever becomes of the tasks, nothing is stuck afterwards: nobody else decides."""
    for response in ("complete", "fail"):
        schedule(env=service_env)
        assert invoke(response, "--task", "-", env=service_env, stdin=json.dumps(poll(service_env))).code == 0
    for workflow_id in ("timed-out", "withdrawn", "rejected"):
        schedule("--workflow-id", workflow_id, "--schedule-to-start-timeout", "1m", env=service_env)
    assert invoke("local", "cancel", "-d", "video", "--workflow-id", "withdrawn", env=service_env).code == 0
    service.call("DeprecateActivityType", domain="video", activityType={"name": "resize", "version": "1"})
    assert schedule("--workflow-id", "rejected", env=service_env).code == 1
    service.advance(1200)
    result = invoke("stuck", "-d", "video", "--check", env=service_env)
    assert (result.json, result.code) == ([], 0)
    assert schedule("--workflow-id", "timed-out", env=service_env, activity="other").code == 0
    assert poll(service_env)["id"] == "other-2"


def test_what_swf_refuses_is_told(service: Service, service_env: dict[str, str]) -> None:
    """A decision that SWF rejects: exit 1, with SWF's cause."""
    schedule(env=service_env)
    service.call("DeprecateActivityType", domain="video", activityType={"name": "resize", "version": "1"})
    assert schedule(env=service_env).code == 1
    assert "ACTIVITY_TYPE_DEPRECATED" in schedule(env=service_env).stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--activity", ""], ["--activity", "empty"]),
        (["--activity", ":2"], ["--activity", "empty"]),
        (["--activity", "x" * 257], ["--activity", "257"]),
        (["--activity", "x:" + "1" * 65], ["--activity", "65"]),
        (["--input", "x" * 32_769], ["--input", "32,768"]),
        (["--workflow-id", ""], ["--workflow-id"]),
        (["--task-list", ""], ["--task-list"]),
        (["--priority", "2147483648"], ["--priority"]),
        (["--heartbeat-timeout", "soon"], ["--heartbeat-timeout", "soon"]),
        (["--start-to-close-timeout", "-1"], ["--start-to-close-timeout"]),
        (["--start-to-close-timeout", "100000000"], ["--start-to-close-timeout", "longer than"]),
        (["--task-list", "a/b"], ["--task-list", "'a/b'", "contains '/'"]),
        (["--workflow-id", "video|7"], ["--workflow-id", "'video|7'", "contains '|'"]),
        (["--activity", "resize:1:2"], ["--activity", "'1:2'", "contains ':'"]),
        (["--activity", "resize "], ["--activity", "'resize '", "whitespace"]),
        (["--domain", "a\nb"], ["--domain", r"'a\nb'", r"contains '\n'"]),
        (["--domain", "arn"], ["--domain", "'arn'", "reserved"]),
    ],
)
def test_bad_input(service: Service, service_env: dict[str, str], args: list[str], words: list[str]) -> None:
    """Invalid values: exit 2, with the option's name, and nothing is registered."""
    error_line(schedule(*args, env=service_env), 2, *words)
    assert service.call("ListDomains", registrationStatus="REGISTERED")["domainInfos"] == []


def test_the_longest_names(service_env: dict[str, str]) -> None:
    """An activity name of 256 characters can be scheduled."""
    result = schedule(env=service_env, activity="x" * 256 + ":" + "1" * 64)
    assert result.code == 0, result.stderr
    assert poll(service_env)["activity"] == {"name": "x" * 256, "version": "1" * 64}


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[Any]]]:
    """An HTTP proxy that records connections."""
    taken: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, address = listener.accept()
                except OSError:
                    return
                taken.append(address)
                connection.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", taken
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize(
    "command", [["schedule", "-t", "x", "--activity", "resize"], ["cancel", "--workflow-id", "w"]]
)
@pytest.mark.parametrize(
    "endpoint",
    [
        None,
        "https://swf.eu-west-1.amazonaws.com",
        "http://192.0.2.1:4567",
        "http://127.0.0.1.example:80",
        "http://[2001:db8::1]",
    ],
)
def test_another_machine_is_refused(
    aws_env: dict[str, str], proxy: tuple[str, list[Any]], command: list[str], endpoint: str | None
) -> None:
    """AWS and other hosts are rejected before anything is sent: exit 2."""
    url, taken = proxy
    env = {**aws_env, **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), url)}
    args = [] if endpoint is None else ["--endpoint-url", endpoint]
    error_line(invoke("local", *command, "-d", "video", *args, env=env), 2, "not on loopback", "swf local")
    assert taken == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "127.0.0.2"])
def test_loopback_by_any_name(service: Service, service_env: dict[str, str], host: str) -> None:
    """Any name or address of loopback is accepted."""
    url = service.url.replace("127.0.0.1", host)
    assert "not on loopback" not in schedule("--endpoint-url", url, env=service_env).stderr
