"""`swf pending`."""

import re
from typing import Any

import pytest

from tests.helpers.cli import Result, invoke, run
from tests.helpers.local_service import Service
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import error_line, on_terminal, without_escapes

OPERATION = "CountPendingActivityTasks"


def test_one_list_is_one_object_in_a_pipe(service: Service, service_env: dict[str, str]) -> None:
    """In a pipe, one list prints one JSON object; with `-o text`, the bare count."""
    for _ in range(3):
        service.schedule("pending-one", "x")
    result = run("pending", "--task-list", "x", "--domain", "pending-one", env=service_env)
    assert result.stdout == '{"domain": "pending-one", "task_list": "x", "count": 3, "truncated": false}\n'
    assert (result.stderr, result.code) == ("", 0)
    assert invoke("pending", "-t", "x", "-d", "pending-one", "-o", "text", env=service_env).stdout == "3\n"


def test_several_lists_are_shown_in_the_order_asked(service: Service, service_env: dict[str, str]) -> None:
    """Several lists are a JSON array, an element per line, or LIST<TAB>COUNT lines; an unused list counts 0."""
    for task_list in ("b", "a", "b"):
        service.schedule("pending-several", task_list)
    args = ["pending", "-d", "pending-several", "-t", "b", "-t", "unused", "-t", "a", "-t", "b"]
    assert len(invoke(*args, env=service_env).stdout.splitlines()) == 4
    assert invoke(*args, env=service_env).json == [
        {"domain": "pending-several", "task_list": task_list, "count": count, "truncated": False}
        for task_list, count in [("b", 2), ("unused", 0), ("a", 1), ("b", 2)]
    ]
    assert invoke(*args, "-o", "text", env=service_env) == Result("b\t2\nunused\t0\na\t1\nb\t2\n", "", 0)


def test_an_unknown_domain_is_an_error(service: Service, service_env: dict[str, str]) -> None:
    """A domain that SWF does not know exits 1, with one line that names it."""
    error_line(invoke("pending", "-d", "no-such-domain", "-t", "x", env=service_env), 1, "no-such-domain")


def test_a_terminal_gets_a_table(stub: StubService, env: dict[str, str]) -> None:
    """On a terminal, lists are rows under headings, in the order asked."""
    stub.reply(OPERATION, {"count": 3, "truncated": False})
    shown = without_escapes(on_terminal("pending", "-d", "y", "-t", "x", "-t", "[b]w", env=env).stdout)
    rows = [re.split(r"\s{2,}", line.strip()) for line in shown.splitlines() if re.search(r"\w", line)]
    assert rows == [["domain", "task list", "pending"], ["y", "x", "3"], ["y", "[b]w", "3"]]


def test_truncated_count_warns_and_exceeds_every_max(stub: StubService, env: dict[str, str]) -> None:
    """A truncated count is `1000+` in a table, warns on stderr, and is above any --max."""
    stub.reply(OPERATION, {"count": 1000, "truncated": True})
    result = invoke("pending", "-t", "x", "-d", "y", "-o", "table", "--max", "5000", env=env)
    assert "1000+" in result.stdout
    assert "warning" in result.stderr
    assert result.code == 8
    result = invoke("pending", "-t", "x", "-d", "y", env=env)
    assert result.json == {"domain": "y", "task_list": "x", "count": 1000, "truncated": True}
    assert ("warning" in result.stderr, result.code) == (True, 0)


@pytest.mark.parametrize(
    ("maximum", "words"), [(0, "more than 0 tasks wait on x"), (1, "more than 1 task waits on x")]
)
def test_the_failed_check_is_told_in_the_right_number(
    stub: StubService, env: dict[str, str], maximum: int, words: str
) -> None:
    """The message of --max 1 is in the singular."""
    stub.reply(OPERATION, {"count": 2})
    result = invoke("pending", "-d", "y", "-t", "x", "--max", str(maximum), env=env)
    assert result.stderr == f"swf: {words}\n"


@pytest.mark.parametrize(("count", "code"), [(3, 0), (4, 8)])
def test_max_is_a_check(stub: StubService, env: dict[str, str], count: int, code: int) -> None:
    """--max N exits 8 if a list has more than N, after printing the counts as ever."""
    stub.reply(OPERATION, {"count": count})
    result = invoke("pending", "-d", "y", "-t", "x", "--max", "3", env=env)
    assert (result.json["count"], result.code) == (count, code)
    if code:
        error_line(Result("", result.stderr, result.code), 8, "3", "x")
    else:
        assert result.stderr == ""


@pytest.mark.parametrize(
    ("variables", "flags", "asked"),
    [
        ({"SWF_TASK_LIST": "one list"}, [], ["one list"]),
        ({"SWF_TASK_LIST": " x\t"}, [], [" x\t"]),
        ({"SWF_TASK_LIST": "no"}, ["-t", "x", "-t", "w"], ["x", "w"]),
    ],
)
def test_the_task_list_variable_is_one_list(
    stub: StubService, env: dict[str, str], variables: dict[str, str], flags: list[str], asked: list[str]
) -> None:
    """SWF_TASK_LIST is one list, blanks included; --task-list takes precedence."""
    stub.reply(OPERATION, {"count": 0})
    assert invoke("pending", "-d", "y", *flags, env=env | variables).code == 0
    assert sorted(arguments["taskList"]["name"] for _, arguments in stub.requests) == sorted(asked)


@pytest.mark.parametrize(
    ("flags", "variables", "words"),
    [
        (["-d", "y"], {}, ["--task-list is required"]),
        (["-d", "y"], {"SWF_TASK_LIST": ""}, ["--task-list is required"]),
        (["-t", "x"], {"SWF_DOMAIN": ""}, ["--domain is required"]),
        (["-d", "", "-t", "x"], {}, ["--domain", "256"]),
        (["-d", "d" * 257, "-t", "x"], {}, ["--domain", "257", "256"]),
        (["-d", "y", "-t", ""], {}, ["--task-list", "256"]),
        (["-d", "y", "-t", "x" * 257], {}, ["--task-list", "257", "256"]),
        (["-d", "y", "-t", "x", "--max", "-1"], {}, ["--max: -1 is not between 0 and"]),
        (["-d", "y", "-t", "x", "--max", "1e3"], {}, ["--max: '1e3' is not a whole number"]),
        (["-d", "y", "-t", "x", "w"], {}, ["'w'"]),
        (["-d", "y", "-t", b"\xff"], {}, ["-t", "UTF-8"]),
    ],
)
def test_bad_input_is_rejected_before_anything_is_sent(
    stub: StubService, env: dict[str, str], flags: list[str | bytes], variables: dict[str, str], words: list[str]
) -> None:
    """A name that is missing, empty or over the limit exits 2, with one line that names the option and the limit."""
    error_line(invoke("pending", *flags, env=env | variables), 2, *words)
    assert stub.requests == []


@pytest.mark.parametrize(
    "how",
    [
        {"body": b"<html>hello</html>"},
        {"body": {"count": 3}, "cut": True},
        {"body": {}},
        {"body": {"count": True}},
        {"body": {"count": 3, "truncated": "false"}},
    ],
    ids=["not-json", "cut", "no-count", "flag", "no-flag"],
)
def test_an_invalid_response_is_an_error(stub: StubService, env: dict[str, str], how: dict[str, Any]) -> None:
    """One that is cut short, is not JSON, or has no count is never read as zero: exit 1."""
    stub.reply(OPERATION, **how)
    error_line(invoke("pending", "-d", "y", "-t", "x", env=env), 1, OPERATION)


def test_a_list_that_cannot_be_counted(stub: StubService, env: dict[str, str]) -> None:
    """The others are printed; it has no count, and a reason; the exit code is that of the first error."""
    for _ in range(2):
        stub.fault(OPERATION, "OperationNotPermittedFault", "the reason why")
    stub.reply(OPERATION, {"count": 3})
    lists = [f"list-{number}" for number in range(3)]
    result = invoke("pending", "-d", "y", *[f"-t{name}" for name in lists], "--max", "2", env=env)
    assert [row["task_list"] for row in result.json] == lists
    counted, failed = sorted(result.json, key=lambda row: row["count"] is None)[0::2]
    assert counted == {"domain": "y", "task_list": counted["task_list"], "count": 3, "truncated": False}
    assert (list(failed), failed["count"], failed["truncated"]) == (
        ["domain", "task_list", "count", "truncated", "error"],
        None,
        None,
    )
    assert "the reason why" in failed["error"]
    assert result.code == 7
    second, first, _ = result.stderr.splitlines()
    without = [name for name in lists if name != counted["task_list"]]
    assert first.startswith(f"swf: {without[0]} could not be counted: {OPERATION}: the reason why")
    assert second.startswith(f"swf: {without[1]} could not be counted: {OPERATION}: the reason why")


def test_as_text_it_has_no_count(stub: StubService, env: dict[str, str]) -> None:
    """So that a script that reckons with it notices."""
    stub.fault(OPERATION, "OperationNotPermittedFault", "the reason why")
    result = invoke("pending", "-d", "y", "-t", "a", "-t", "b", "-o", "text", env=env)
    assert (result.stdout, result.code) == ("a\t\nb\t\n", 7)


def test_a_server_failure_is_retried(stub: StubService, env: dict[str, str]) -> None:
    """A count that meets a 5xx is retried."""
    stub.reply(OPERATION, b"<html>sorry</html>", status=502)
    stub.reply(OPERATION, {"count": 3})
    assert invoke("pending", "-d", "y", "-t", "x", "-o", "text", env=env) == Result("3\n", "", 0)
