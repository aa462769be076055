"""`swf tasks`."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers.big_domain import decide, lengthen, open_task, start
from tests.helpers.cli import Result, invoke, run
from tests.helpers.flow import Flow
from tests.helpers.histories import CANCELLATION, CANCELLATION_TRUTH, RETRIES, RETRIES_TRUTH
from tests.helpers.local_service import Service
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import CONTROLS, error_line, invoke_on_terminal, on_terminal, without_escapes

HISTORY = "GetWorkflowExecutionHistory"
TASKS = ("tasks", "-d", "media", "--workflow-id")
KEYS = [
    *("kind", "execution", "id", "activity", "task_list", "state", "scheduled_at", "started_at", "closed_at"),
    *("identity", "input", "configuration", "deadline", "end"),
]


@pytest.mark.parametrize(
    ("name", "events", "truth"),
    [(("video-7", "RUN-A"), RETRIES, RETRIES_TRUTH), (("video-8", "RUN-B"), CANCELLATION, CANCELLATION_TRUTH)],
    ids=["retries", "cancellation"],
)
@pytest.mark.parametrize("size", [30, 7])
def test_all_tasks_are_those_of_the_history(
    stub: StubService,
    env: dict[str, str],
    name: tuple[str, str],
    events: list[dict[str, Any]],
    truth: list[dict[str, Any]],
    size: int,
) -> None:
    """Each task, in the order of scheduling, with how it ended; every page is read once."""
    assert [event["eventId"] for event in events] == list(range(1, 31))
    pages = [events[::-1][start : start + size] for start in range(0, 30, size)]
    for number, page in enumerate(pages):
        more = {"nextPageToken": f"page-{number + 1}"} if number + 1 < len(pages) else {}
        stub.reply(HISTORY, {"events": page, **more})
    result = invoke(*TASKS, name[0], "--run-id", name[1], "--all", "-o", "json", env=env)
    assert result.json == truth
    assert (result.stderr, result.code) == ("", 0)
    assert [list(row) for row in result.json] == [KEYS] * len(truth)
    assert len(result.stdout.splitlines()) == len(truth)
    tokens = [arguments.get("nextPageToken") for _, arguments in stub.requests]
    assert tokens == [None, *(f"page-{number + 1}" for number in range(len(pages) - 1))]


def test_without_all_only_open_tasks_are_shown(stub: StubService, env: dict[str, str]) -> None:
    """Of the first history one task is open; of the second, whose execution has ended, none."""
    stub.reply(HISTORY, {"events": RETRIES[::-1]})
    stub.reply(HISTORY, {"events": CANCELLATION[::-1]})
    assert invoke(*TASKS, "video-7", "--run-id", "RUN-A", env=env).json == [RETRIES_TRUTH[3]]
    assert invoke(*TASKS, "video-8", "--run-id", "RUN-B", env=env).stdout == "[]\n"


def test_text_is_a_line_for_each_task(stub: StubService, env: dict[str, str]) -> None:
    """Nothing at all if there is no task."""
    stub.reply(HISTORY, {"events": RETRIES[::-1]})
    stub.reply(HISTORY, {"events": CANCELLATION[::-1]})
    args = ("--run-id", "RUN", "-o", "text")
    fields = ("resize", "started", "gpu", "video-7", "RUN", "resize 1", "host-c:3", "2026-11-24T02:01:00Z", "")
    assert invoke(*TASKS, "video-7", *args, env=env) == Result("\t".join(fields) + "\n", "", 0)
    assert invoke(*TASKS, "video-8", *args, env=env) == Result("", "", 0)


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (("--state", "timed_out"), ["resize", "upload"]),  # which implies --all
        (("--all", "-t", "net"), ["fetch-1", "upload"]),
        (("--all", "--activity", "resize"), ["resize"] * 3),
        (("--all", "--identity", "host-b:2", "--state", "failed"), ["resize"]),
        (("--state", "started"), ["resize"]),
        (("--state", "cancelling"), []),
    ],
)
def test_filters(stub: StubService, env: dict[str, str], filters: tuple[str, ...], ids: list[str]) -> None:
    """Each narrows the tasks of an execution down."""
    stub.reply(HISTORY, {"events": RETRIES[::-1]})
    result = invoke(*TASKS, "video-7", "--run-id", "RUN", *filters, env=env)
    assert ([row["id"] for row in result.json], result.stderr, result.code) == (ids, "", 0)


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (("--state", "gone"), ["notify", "encode-1"]),
        (("--all", "--state", "started"), []),
        (("--state", "scheduled"), []),
    ],
)
def test_a_task_that_its_workflow_cut_off_is_gone(
    stub: StubService, env: dict[str, str], filters: tuple[str, ...], ids: list[str]
) -> None:
    """It is chosen by that, and no longer by the state that it had, which its row keeps."""
    stub.reply(HISTORY, {"events": CANCELLATION[::-1]})
    rows = invoke(*TASKS, "video-8", "--run-id", "RUN", *filters, env=env).json
    assert [row["id"] for row in rows] == ids
    assert {row["end"]["state"] for row in rows} <= {"gone"}


def test_a_run_id_may_have_been_copied_over_two_lines(stub: StubService, env: dict[str, str]) -> None:
    """Whitespace in it is dropped."""
    stub.reply(HISTORY, {"events": RETRIES[::-1]})
    assert invoke(*TASKS, "w", "--run-id", " RUN\n  -A\t", env=env).code == 0
    assert stub.requests[0][1]["execution"] == {"workflowId": "w", "runId": "RUN-A"}


def test_one_task(stub: StubService, env: dict[str, str]) -> None:
    """The newest with that ID, open or closed: an object, a line, or a card."""
    stub.reply(HISTORY, {"events": RETRIES[::-1]})
    args = ("--run-id", "RUN-A", "--id")
    assert invoke(*TASKS, "video-7", *args, "fetch-1", env=env).json == RETRIES_TRUTH[0]
    assert invoke(*TASKS, "video-7", *args, "resize", env=env).json == RETRIES_TRUTH[3]
    assert invoke(*TASKS, "video-7", *args, "upload", "-o", "text", env=env).stdout.startswith(
        "upload\ttimed_out\tnet\t"
    )
    shown = without_escapes(invoke_on_terminal(*TASKS, "video-7", *args, "fetch-1", env=env).stdout)
    assert "result                     ok" in shown
    hint = error_line(invoke(*TASKS, "video-7", *args, "fetch-2", env=env), 1, "fetch-2", "video-7", "RUN-A")
    assert hint == "did you mean fetch-1?"


class TestDomain:
    """The open tasks of a domain."""

    @pytest.fixture
    def flow(self, service: Service) -> Flow:
        """A domain with two executions that have three open tasks, and one that is closed."""
        flow = service.flow("media")
        start(flow, "first", open_task("a"))
        service.advance(10)
        start(flow, "second", open_task("b"), open_task("c", "other"))
        flow.poll("work", identity="host:1")
        start(flow, "closed", open_task("d"))
        flow.call("TerminateWorkflowExecution", domain="media", workflowId="closed")
        return flow

    @pytest.mark.usefixtures("flow")
    def test_who_has_what(self, service_env: dict[str, str]) -> None:
        """Every open task, the oldest first; filters narrow them down."""

        def shown(*args: str) -> list[tuple[str, str]]:
            result = invoke("tasks", "-d", "media", *args, env=service_env)
            assert (result.stderr, result.code) == ("", 0)
            return [(row["execution"]["id"], row["id"]) for row in result.json]

        assert shown() == [("first", "a"), ("second", "b"), ("second", "c")]
        assert shown("-t", "other", "-t", "nobody's") == [("second", "c")]
        assert shown("--identity", "host:1") == [("first", "a")]
        assert shown("--state", "scheduled", "--activity", "resize") == [("second", "b"), ("second", "c")]
        assert shown("--activity", "encode") == []

    @pytest.mark.usefixtures("flow")
    def test_counts(self, service_env: dict[str, str]) -> None:
        """By a field of the tasks, also of those of one execution."""
        rows = invoke("tasks", "-d", "media", "--by", "list", env=service_env).json
        assert [(row["list"], row["scheduled"], row["started"]) for row in rows] == [("work", 1, 1), ("other", 1, 0)]
        assert list(rows[0]) == ["list", "scheduled", "started", "oldest_scheduled_at", "longest_running_since"]
        rows = invoke("tasks", "-d", "media", "--by", "workflow", "--state", "scheduled", env=service_env).json
        assert [(row["workflow"], row["scheduled"]) for row in rows] == [("second", 2)]
        rows = invoke(*TASKS, "first", "--by", "identity", env=service_env).json
        assert [(row["identity"], row["started"]) for row in rows] == [("host:1", 1)]

    @pytest.mark.usefixtures("flow")
    @pytest.mark.parametrize("args", [(), ("--by", "state"), ("--workflow-id", "second"), ("--all",)])
    def test_a_misspelled_list_is_named(self, service_env: dict[str, str], args: tuple[str, ...]) -> None:
        """No task is on that list, but on one with nearly the same name, or one that begins with it."""
        of = ("--workflow-id", "second") if args == ("--all",) else ()
        result = invoke("tasks", "-d", "media", "-t", "wor", "-t", "otehr", "-t", "no", *args, *of, env=service_env)
        found = "swf: no task was found on {}; did you mean {}?\n"
        assert result == Result("[]\n", found.format("wor", "work") + found.format("otehr", "other"), 0)

    def test_nothing_open(self, service: Service, service_env: dict[str, str]) -> None:
        """An empty array, or a line on a terminal."""
        service.flow("media")
        assert invoke("tasks", "-d", "media", env=service_env) == Result("[]\n", "", 0)
        assert invoke("tasks", "-d", "media", "--by", "list", env=service_env) == Result("[]\n", "", 0)
        for by in ((), ("--by", "list")):
            shown = invoke_on_terminal("tasks", "-d", "media", "-t", "x", *by, env=service_env).stdout
            assert without_escapes(shown) == "no open activity task matches the options\n"

    def test_a_scan_that_ends_early(self, stub: StubService, env: dict[str, str]) -> None:
        """What was found is printed, then why it ended; the exit code is that of the failure."""
        stub.reply(
            "ListOpenWorkflowExecutions",
            {
                "executionInfos": [{"execution": {"workflowId": "w", "runId": "RUN"}, "startTimestamp": 1000}, {}],
                "nextPageToken": "T",
            },
        )
        stub.fault("ListOpenWorkflowExecutions", "OperationNotPermittedFault", "no more")
        stub.reply(HISTORY, {"events": RETRIES[::-1]})
        result = invoke("tasks", "-d", "media", env=env)
        assert ([row["id"] for row in result.json], result.code) == (["resize"], 7)
        malformed, early, error, _ = result.stderr.splitlines()
        assert malformed == "swf: skipped 1 malformed record in lists and histories"
        assert early == "swf: stopped early: results are incomplete"
        assert "no more" in error


def test_the_open_run_else_the_newest(service: Service, service_env: dict[str, str]) -> None:
    """Without --run-id it is the open run; if none is open, the one that started last; --run-id names any."""
    flow = service.flow("media")
    first = start(flow, "w", open_task("first"))
    flow.call("TerminateWorkflowExecution", domain="media", workflowId="w")
    service.advance(5)
    second = start(flow, "w", open_task("second"))

    def shown(*args: str) -> list[tuple[str, str]]:
        rows = invoke(*TASKS, "w", "--all", *args, env=service_env).json
        return [(row["id"], row["execution"]["run_id"]) for row in rows]

    assert shown() == [("second", second)]
    flow.call("TerminateWorkflowExecution", domain="media", workflowId="w")
    assert shown() == [("second", second)]
    assert shown("--run-id", first) == [("first", first)]


def test_what_is_not_known_is_an_error(service: Service, service_env: dict[str, str]) -> None:
    """An unknown domain, workflow ID or run ID exits 1 with a line that names it, and never looks like no tasks."""
    start(service.flow("media"), "video-7")
    assert error_line(invoke(*TASKS, "nobody", env=service_env), 1, "nobody", "media") == ""
    for name in ("vidoe-7", "vid"):
        assert error_line(invoke(*TASKS, name, env=service_env), 1, name) == "did you mean video-7?"
    error_line(invoke(*TASKS, "video-7", "--run-id", "no-such-run", env=service_env), 1, "no-such-run")
    error_line(invoke("tasks", "-d", "no-such-domain", "--workflow-id", "w", env=service_env), 1, "no-such-domain")
    hint = error_line(invoke("tasks", "-d", "no-such-domain", env=service_env), 1, "no-such-domain")
    assert hint == "check its name, and --region and --profile: a domain is known in one region of one account"


def test_an_execution_without_tasks(service: Service, service_env: dict[str, str]) -> None:
    """An empty array, or a line on a terminal; and the decision task that waits, if one does."""
    flow = service.flow("media")
    start(flow, "w")
    assert invoke(*TASKS, "w", env=service_env) == Result("[]\n", "", 0)
    assert "no open activity task (--all shows closed ones too)" in on_terminal(*TASKS, "w", env=service_env).stdout
    flow.start("dead", taskList={"name": "deciders"})
    service.advance(630)
    shown = without_escapes(on_terminal(*TASKS, "dead", env=service_env).stdout)
    assert re.search(r"decision task  waiting for 10m\d+s on deciders\n", shown)


def test_a_long_open_execution_is_read_back_to_its_open_tasks(service: Service, service_env: dict[str, str]) -> None:
    """Only as many pages are read as it takes to find the open tasks; with --all, every one."""
    flow = service.flow("media")
    start(flow, "w", open_task("old"))
    lengthen(flow, "w", 2100)
    decide(flow, "w", open_task("new"))
    rows = invoke(*TASKS, "w", env=service_env).json
    assert [row["id"] for row in rows] == ["old", "new"]
    assert invoke(*TASKS, "w", "--all", env=service_env).json == rows


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("tasks", "-d", "media", "--run-id", "R"), ["--run-id", "--workflow-id"]),
        (("tasks", "-d", "media", "--id", "a"), ["--id", "--workflow-id"]),
        (("tasks", "-d", "media", "--all"), ["--all", "--workflow-id"]),
        (("tasks", "-d", "media", "--state", "failed"), ["--state failed", "--workflow-id"]),
        (("tasks", "-d", "media", "--state", "done"), ["--state", "done"]),
        (("tasks", "-d", "media", "--by", "age"), ["--by", "age"]),
        ((*TASKS, "w", "--by", "list", "--all"), ["--all", "--by"]),
        ((*TASKS, "w", "--by", "list", "--id", "a"), ["--id", "--by"]),
        ((*TASKS, "w", "--by", "list", "--state", "failed"), ["--state failed", "--by"]),
        ((*TASKS, "w", "--id", "a", "--state", "completed"), ["--state", "--id"]),
        ((*TASKS, "w", "--id", "a", "-t", "other"), ["--task-list", "--id"]),
        ((*TASKS, ""), ["--workflow-id", "256"]),
        ((*TASKS, "w", "--run-id", "r" * 65), ["--run-id", "64"]),
        (("tasks", "--workflow-id", "w"), ["--domain is required"]),
    ],
)
def test_bad_input_is_rejected_before_anything_is_sent(
    stub: StubService, env: dict[str, str], args: tuple[str, ...], words: list[str]
) -> None:
    """What is missing, does not go together, or is over SWF's limits exits 2, with one line that names the option."""
    error_line(invoke(*args, env=env), 2, *words)
    assert stub.requests == []


def _rename(events: list[dict[str, Any]], name: Callable[[str], str]) -> list[dict[str, Any]]:
    """Return the events with other activity IDs."""
    renamed = []
    for event in events:
        key = next((key for key in event if key.endswith("Attributes")), "")
        values = event.get(key, {})
        if "activityId" in values:
            values = {**values, "activityId": name(values["activityId"])}
        renamed.append({**event, key: values})
    return renamed


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_a_terminal_gets_a_timeline(stub: StubService, env: dict[str, str], columns: int) -> None:
    """If there is space: what all have in common once, a row for each task, and nothing is cut."""
    workflow, run_id = "customer-4711/orders/" + "video-" * 6 + "xyz", "22" + "aB3+/" * 8 + "xyz="
    stub.reply(HISTORY, {"events": CANCELLATION[::-1]})
    shown = invoke_on_terminal(*TASKS, workflow, "--run-id", run_id, "--all", env=env, columns=columns).stdout
    text = without_escapes(shown)
    assert all(name in text for name in (workflow, run_id, "encode-1", "encode-2", "notify", "mail"))
    lines = [line.rstrip() for line in text.splitlines()]
    if columns > 60:
        assert max(map(len, lines)) <= columns
        assert "timeline  1m08s from 2026-11-24T02:00:02Z" in lines
        first, second, notify, again = (line for line in lines if "█" in line or "⊘" in line)
        assert ("░" in first, "█" in first, first[-1]) == (True, True, "⊘")
        assert ("█" in second, second[-1]) == (False, "⊘")
        assert ("gone" in notify, notify[-1], again[-1]) == (True, "†", "†")
    assert "its workflow execution was terminated" in text


@pytest.mark.parametrize("is_terminal", [True, False])
def test_in_the_c_locale_only_data_is_not_ascii(is_terminal: bool, stub: StubService, env: dict[str, str]) -> None:
    """With LC_ALL=C the timeline and its marks are ASCII, on a terminal and in a pipe; a name is what it is."""
    stub.reply(HISTORY, {"events": _rename(CANCELLATION, lambda name: f"{name}-\xe9")[::-1]})
    args = (*TASKS, "w", "--run-id", "R", "--all", "--color", "never", "-o", "table")
    env = {**env, "LC_ALL": "C", "COLUMNS": "140"}
    result = on_terminal(*args, env=env, columns=140) if is_terminal else run(*args, env=env)
    assert "encode-1-\xe9" in result.stdout
    assert "==" in result.stdout
    assert result.stdout.replace("\xe9", "").isascii()


def test_long_and_hostile_names(stub: StubService, env: dict[str, str]) -> None:
    """Names that do not fit are never cut; control characters and markup of theirs do nothing."""
    stub.reply(HISTORY, {"events": _rename(RETRIES, lambda name: f"[red]{name}\x1b[2J\u202e{'x' * 90}")[::-1]})
    shown = invoke_on_terminal(*TASKS, "w", "--run-id", "R", "--all", "--color", "never", env=env).stdout
    assert not CONTROLS.search(without_escapes(shown).replace("\r", ""))
    assert "\x1b[2J" not in shown
    assert shown.count(f"[red]resize\\x1b[2J\\u202e{'x' * 90}") == 3
