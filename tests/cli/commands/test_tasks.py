"""`swf tasks`, run as a process."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers.big_domain import decide, lengthen, open_task, start
from tests.helpers.cli import Result, run
from tests.helpers.histories import CANCELLATION, CANCELLATION_TRUTH, RETRIES, RETRIES_TRUTH
from tests.helpers.local_service import Service
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import CONTROLS, error_line, on_terminal, squeezed, without_escapes

HISTORY = "GetWorkflowExecutionHistory"
TASKS = ("tasks", "-d", "media", "--workflow-id")


@pytest.mark.parametrize(
    ("name", "events", "truth"),
    [(("video-7", "RUN-A"), RETRIES, RETRIES_TRUTH), (("video-8", "RUN-B"), CANCELLATION, CANCELLATION_TRUTH)],
    ids=["retries", "cancellation"],
)
@pytest.mark.parametrize("size", [30, 7])
def test_a_history_is_told_as_it_was(
    stub: StubService,
    env: dict[str, str],
    name: tuple[str, str],
    events: list[dict[str, Any]],
    truth: list[dict[str, Any]],
    size: int,
) -> None:
    """Every task of a history, in the order of scheduling, as a person reads it: hand-written, shape and all."""
    assert [event["eventId"] for event in events] == list(range(1, 31))
    pages = [events[::-1][start : start + size] for start in range(0, 30, size)]
    for number, page in enumerate(pages):
        more = {"nextPageToken": f"page-{number + 1}"} if number + 1 < len(pages) else {}
        stub.reply(HISTORY, {"events": page, **more})
    result = run(*TASKS, name[0], "--run-id", name[1], "--all", "-o", "json", env=env)
    assert result.json == truth
    assert (result.stderr, result.code) == ("", 0)
    assert [list(row) for row in result.json] == [
        [
            *("execution", "id", "activity", "task_list", "state", "scheduled_at", "started_at", "closed_at"),
            *("identity", "configuration", "deadline"),
        ]
    ] * len(truth)
    tokens = [arguments.get("nextPageToken") for _, arguments in stub.requests]
    assert tokens == [None, *(f"page-{number + 1}" for number in range(len(pages) - 1))]


def test_without_all_only_open_tasks_are_shown(stub: StubService, env: dict[str, str]) -> None:
    """Of the first history one task is open; of the second, whose execution has ended, none."""
    stub.reply(HISTORY, {"events": RETRIES[::-1]})
    stub.reply(HISTORY, {"events": CANCELLATION[::-1]})
    assert run(*TASKS, "video-7", "--run-id", "RUN-A", env=env).json == [RETRIES_TRUTH[3]]
    assert run(*TASKS, "video-8", "--run-id", "RUN-B", env=env).stdout == "[]\n"


def test_text_is_a_line_for_each_task(stub: StubService, env: dict[str, str]) -> None:
    """`-o text` prints id, state and task list by tabs; nothing at all when there is no task."""
    stub.reply(HISTORY, {"events": RETRIES[::-1]})
    stub.reply(HISTORY, {"events": CANCELLATION[::-1]})
    args = ("--run-id", "RUN", "-o", "text")
    assert run(*TASKS, "video-7", *args, env=env) == Result("resize\tstarted\tgpu\n", "", 0)
    assert run(*TASKS, "video-8", *args, env=env) == Result("", "", 0)


def test_the_open_run_else_the_newest(service: Service, service_env: dict[str, str]) -> None:
    """Without --run-id it is the open run; when none is open, the one that started last; --run-id names any."""
    flow = service.flow("media")
    first = start(flow, "w", open_task("first"))
    flow.call("TerminateWorkflowExecution", domain="media", workflowId="w")
    service.advance(5)
    second = start(flow, "w", open_task("second"))

    def shown(*args: str) -> list[tuple[str, str]]:
        rows = run(*TASKS, "w", "--all", *args, env=service_env).json
        return [(row["id"], row["execution"]["run_id"]) for row in rows]

    assert shown() == [("second", second)]
    flow.call("TerminateWorkflowExecution", domain="media", workflowId="w")
    assert shown() == [("second", second)]
    assert shown("--run-id", first) == [("first", first)]


def test_what_is_not_known_is_a_refusal(service: Service, service_env: dict[str, str]) -> None:
    """An unknown domain, workflow id or run id exits 1 with a line that names it, and never looks like no tasks."""
    start(service.flow("media"), "w")
    error_line(run(*TASKS, "nobody", env=service_env), 1, "nobody", "media")
    error_line(run(*TASKS, "w", "--run-id", "no-such-run", env=service_env), 1, "no-such-run")
    error_line(run("tasks", "-d", "no-such-domain", "--workflow-id", "w", env=service_env), 1, "no-such-domain")


def test_an_execution_without_tasks(service: Service, service_env: dict[str, str]) -> None:
    """No task is no failure: an empty array, or a line on a terminal that says so."""
    start(service.flow("media"), "w")
    assert run(*TASKS, "w", env=service_env) == Result("[]\n", "", 0)
    assert "no activity task is open" in on_terminal(*TASKS, "w", env=service_env).stdout


def test_a_long_open_execution_is_read_back_to_its_open_tasks(service: Service, service_env: dict[str, str]) -> None:
    """Only as many pages are read as it takes to find the open tasks; with --all, every one."""
    flow = service.flow("media")
    start(flow, "w", open_task("old"))
    lengthen(flow, "w", 2100)
    decide(flow, "w", open_task("new"))
    rows = run(*TASKS, "w", env=service_env).json
    assert [row["id"] for row in rows] == ["old", "new"]
    assert run(*TASKS, "w", "--all", env=service_env).json == rows


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("tasks", "-d", "media"), ["--workflow-id"]),
        ((*TASKS, ""), ["--workflow-id", "256"]),
        ((*TASKS, "w", "--run-id", "r" * 65), ["--run-id", "64"]),
        (("tasks", "--workflow-id", "w"), ["--domain", "SWF_DOMAIN"]),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    stub: StubService, env: dict[str, str], args: tuple[str, ...], words: list[str]
) -> None:
    """What is missing or over SWF's limits exits 2, with one line that names the option."""
    error_line(run(*args, env=env), 2, *words)
    assert stub.requests == []


def _rename(events: list[dict[str, Any]], name: Callable[[str], str]) -> list[dict[str, Any]]:
    """Give other activity ids to the tasks of a history."""
    renamed = []
    for event in events:
        key = next((key for key in event if key.endswith("Attributes")), "")
        values = event.get(key, {})
        if "activityId" in values:
            values = {**values, "activityId": name(values["activityId"])}
        renamed.append({**event, key: values})
    return renamed


@pytest.mark.parametrize("columns", [80, 140])
def test_a_terminal_gets_a_timeline(stub: StubService, env: dict[str, str], columns: int) -> None:
    """On a terminal: what all have in common once, a row for each task with a timeline, and nothing is cut."""
    workflow, run_id = "customer-4711/orders/" + "video-" * 12, "RUN-" + "a" * 60
    stub.reply(HISTORY, {"events": CANCELLATION[::-1]})
    shown = on_terminal(*TASKS, workflow, "--run-id", run_id, "--all", env=env, columns=columns).stdout
    lines = without_escapes(shown).splitlines()
    assert max(map(len, lines)) <= columns
    text = squeezed(shown)
    assert all(name in text for name in (workflow, run_id, "encode-1", "encode-2", "notify", "mail"))
    assert "timeline1m08sfrom2026-11-24T02:00:02Z" in text
    first, second, notify, again = (line for line in lines if "█" in line or "⊘" in line)
    assert ("░" in first, "█" in first, first.rstrip()[-1]) == (True, True, "⊘")
    assert ("█" in second, second.rstrip()[-1]) == (False, "⊘")
    assert ("gone" in notify, notify.rstrip()[-1], again.rstrip()[-1]) == (True, "†", "†")


def test_long_names_fold_and_strangers_control_nothing(stub: StubService, env: dict[str, str]) -> None:
    """Names that do not fit fold and are never cut; control characters and markup of theirs do nothing."""
    stub.reply(HISTORY, {"events": _rename(RETRIES, lambda name: f"[red]{name}\x1b[2J\u202e{'x' * 90}")[::-1]})
    shown = on_terminal(*TASKS, "w", "--run-id", "R", "--all", "--color", "never", env=env).stdout
    assert not CONTROLS.search(without_escapes(shown).replace("\r", ""))
    assert "\x1b[2J" not in shown
    lines = [line for line in without_escapes(shown).splitlines() if line]
    assert max(map(len, lines)) <= 80
    folded = squeezed("\n".join(line[:30] for line in lines))
    assert "x" * 20 in folded
    assert sum(line.count("x") for line in lines) >= 5 * 90
