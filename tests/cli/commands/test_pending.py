"""`swf pending`, run as a process."""

import re
from typing import Any

import pytest

from tests.helpers.cli import Result, run
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
    assert run("pending", "-t", "x", "-d", "pending-one", "-o", "text", env=service_env).stdout == "3\n"


def test_several_lists_are_shown_in_the_order_asked(service: Service, service_env: dict[str, str]) -> None:
    """Several lists are a JSON array, or LIST<TAB>COUNT lines, in the order asked; one that nobody uses counts 0."""
    for task_list in ("b", "a", "b"):
        service.schedule("pending-several", task_list)
    args = ["pending", "-d", "pending-several", "-t", "b", "-t", "unused", "-t", "a", "-t", "b"]
    assert run(*args, env=service_env).json == [
        {"domain": "pending-several", "task_list": task_list, "count": count, "truncated": False}
        for task_list, count in [("b", 2), ("unused", 0), ("a", 1), ("b", 2)]
    ]
    assert run(*args, "-o", "text", env=service_env) == Result("b\t2\nunused\t0\na\t1\nb\t2\n", "", 0)


def test_an_unknown_domain_is_a_refusal(service: Service, service_env: dict[str, str]) -> None:
    """A domain that SWF does not know exits 1, with one line that names it."""
    error_line(run("pending", "-d", "no-such-domain", "-t", "x", env=service_env), 1, "no-such-domain")


def test_a_terminal_gets_a_table(stub: StubService, env: dict[str, str]) -> None:
    """On a terminal, lists are rows under headings, in the order asked."""
    stub.reply(OPERATION, {"count": 3, "truncated": False})
    shown = without_escapes(on_terminal("pending", "-d", "y", "-t", "x", "-t", "[b]w", env=env).stdout)
    rows = [re.split(r"\s{2,}", line.strip()) for line in shown.splitlines() if re.search(r"\w", line)]
    assert rows == [["domain", "task list", "pending"], ["y", "x", "3"], ["y", "[b]w", "3"]]


def test_truncated_count_warns_and_exceeds_every_max(stub: StubService, env: dict[str, str]) -> None:
    """A truncated count is `1000+` in a table, warns on stderr, and is above any --max."""
    stub.reply(OPERATION, {"count": 1000, "truncated": True})
    result = run("pending", "-t", "x", "-d", "y", "-o", "table", "--max", "5000", env=env)
    assert "1000+" in result.stdout
    assert "warning" in result.stderr
    assert result.code == 8
    result = run("pending", "-t", "x", "-d", "y", env=env)
    assert result.json == {"domain": "y", "task_list": "x", "count": 1000, "truncated": True}
    assert ("warning" in result.stderr, result.code) == (True, 0)


@pytest.mark.parametrize(("count", "code"), [(3, 0), (4, 8)])
def test_max_is_a_check(stub: StubService, env: dict[str, str], count: int, code: int) -> None:
    """--max N exits 8 when a list has more than N, after printing the counts as ever."""
    stub.reply(OPERATION, {"count": count})
    result = run("pending", "-d", "y", "-t", "x", "--max", "3", env=env)
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
    """SWF_TASK_LIST is one list, blanks and all; --task-list wins over it."""
    stub.reply(OPERATION, {"count": 0})
    assert run("pending", "-d", "y", *flags, env=env | variables).code == 0
    assert sorted(arguments["taskList"]["name"] for _, arguments in stub.requests) == sorted(asked)


@pytest.mark.parametrize(
    ("flags", "variables", "words"),
    [
        (["-d", "y"], {}, ["--task-list", "SWF_TASK_LIST"]),
        (["-d", "y"], {"SWF_TASK_LIST": ""}, ["--task-list"]),
        (["-t", "x"], {"SWF_DOMAIN": ""}, ["--domain", "SWF_DOMAIN"]),
        (["-d", "", "-t", "x"], {}, ["--domain", "256"]),
        (["-d", "d" * 257, "-t", "x"], {}, ["--domain", "257", "256"]),
        (["-d", "y", "-t", ""], {}, ["--task-list", "256"]),
        (["-d", "y", "-t", "x" * 257], {}, ["--task-list", "257", "256"]),
        (["-d", "y", "-t", "x", "--max", "-1"], {}, ["--max"]),
        (["-d", "y", "-t", "x", "--max", "many"], {}, ["--max"]),
        (["-d", "y", "-t", "x", "w"], {}, ["w"]),
        (["-d", "y", "-t", b"\xff"], {}, ["-t", "UTF-8"]),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    stub: StubService, env: dict[str, str], flags: list[str | bytes], variables: dict[str, str], words: list[str]
) -> None:
    """A name that is missing, empty or over the limit exits 2, with one line that names the option and the limit."""
    error_line(run("pending", *flags, env=env | variables), 2, *words)
    assert stub.requests == []


@pytest.mark.parametrize(
    "how",
    [{"body": b"<html>hello</html>"}, {"body": {"count": 3}, "cut": True}, {"body": {}}],
    ids=["not-json", "cut", "no-count"],
)
def test_a_reply_that_makes_no_sense_is_a_failure(
    stub: StubService, env: dict[str, str], how: dict[str, Any]
) -> None:
    """A reply that is cut short, is no JSON, or holds no count is never read as zero: exit 1."""
    stub.reply(OPERATION, **how)
    error_line(run("pending", "-d", "y", "-t", "x", env=env), 1, OPERATION)


def test_one_failing_list_fails_all(stub: StubService, env: dict[str, str]) -> None:
    """When one of several lists can't be counted nothing is printed, and the exit code is that of the failure."""
    stub.reply(OPERATION, {"count": 3})
    stub.fault(OPERATION, "OperationNotPermittedFault", "the reason why")
    error_line(run("pending", "-d", "y", "-t", "x", "-t", "w", env=env), 7, "the reason why")


def test_a_server_failure_is_tried_again(stub: StubService, env: dict[str, str]) -> None:
    """A count that meets a 5xx is asked for again."""
    stub.reply(OPERATION, b"<html>sorry</html>", status=502)
    stub.reply(OPERATION, {"count": 3})
    assert run("pending", "-d", "y", "-t", "x", "-o", "text", env=env) == Result("3\n", "", 0)
