"""How values look: tables that cut nothing, JSON that changes nothing, shell text that is safe."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from swf_cli.models import ActivityId, ExecutionId, WorkerTask
from swf_cli.output import shell, terminal
from tests.helpers.cli import TASK, run
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import CONTROLS, installed, on_terminal, squeezed, without_escapes

C0 = "".join(map(chr, range(1, 32)))
C1 = "".join(map(chr, range(0x7F, 0xA0)))
BIDI = "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
STRANGERS = {
    "markup": "[bold red]x[/bold red] [link=http://a]b[/link] [/] [ [[",
    "ansi": "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J \x9b31m",
    "C0": C0 + "\0",
    "C1": C1,
    "bidi": BIDI + " \u05d0\u05d1",
    "surrogates": "a\ud800b\udfffc",
    "emoji": "\U0001f600\U0001f469\u200d\U0001f680 \u2764\ufe0f",
    "lines": "a\r\nb\n\n\tc  ",
    "json": '{"a": "\\u001b[31m"}',
    "long": "0123456789abcdef" * 2_048,
}


@pytest.mark.parametrize("text", STRANGERS.values(), ids=STRANGERS)
def test_a_strangers_text_is_only_text_on_a_terminal(stub: StubService, env: dict[str, str], text: str) -> None:
    """In a table nothing of a stranger's text is interpreted, and no control character of it reaches the terminal."""
    stub.reply("PollForActivityTask", TASK | {"input": text, "activityId": text[:256]})
    result = on_terminal("poll", "-d", "y", "-t", "x", "--color", "always", env=env)
    assert result.code == 0
    shown = without_escapes(result.stdout)
    assert not CONTROLS.search(shown)
    shown = squeezed(shown)
    for value in (text, text[:256]):
        assert squeezed(terminal.escape_controls(value)) in shown


@pytest.mark.parametrize("columns", [24, 40, 80])
def test_a_table_cuts_no_token(stub: StubService, env: dict[str, str], columns: int) -> None:
    """A token of 1,024 characters, and ids of 256, are all there on a terminal of any width: they fold."""
    token = "".join(f"<{n:05}>" for n in range(147))[:1_024]
    workflow_id = "".join(f"w{n:03}" for n in range(64))
    execution = {"workflowId": workflow_id, "runId": workflow_id[::-1]}
    stub.reply("PollForActivityTask", TASK | {"taskToken": token, "workflowExecution": execution})
    result = on_terminal("poll", "-d", "y", "-t", "x", env=env, columns=columns)
    lines = without_escapes(result.stdout).splitlines()
    assert all(len(line) <= columns for line in lines)
    values = lines[0].index("<00000")  # the column of the values, beside their names
    shown = "".join(line[values:].strip() for line in lines)
    for value in (token, workflow_id, workflow_id[::-1]):
        assert value in shown


def test_a_table_cuts_no_task_list(stub: StubService, env: dict[str, str]) -> None:
    """A task list of 256 characters folds within its column, and the count beside it stays whole."""
    task_list = "".join(f"t{n:03}" for n in range(64))
    stub.reply("CountPendingActivityTasks", {"count": 1_234})
    shown = without_escapes(on_terminal("pending", "-d", "y", "-t", task_list, env=env).stdout)
    heading, _, *lines = [line for line in shown.splitlines() if line.strip()]
    assert "".join(line[heading.index("task list") : heading.index("pending")].strip() for line in lines) == task_list
    assert "1234" in shown


@pytest.mark.parametrize("terminal", [True, False])
def test_json_carries_a_strangers_text_unchanged(stub: StubService, env: dict[str, str], terminal: bool) -> None:
    """JSON, on a terminal too, parses to the very text; on a terminal it holds no raw control character."""
    text = "".join(STRANGERS.values())[:32_768]
    stub.reply("PollForActivityTask", TASK | {"input": text})
    args = ["poll", "-d", "y", "-t", "x", "-o", "json"]
    result = on_terminal(*args, env=env) if terminal else run(*args, env=env)
    assert result.json["input"] == text
    if terminal:
        assert not CONTROLS.search(result.stdout)


def test_text_on_a_terminal_is_made_safe_and_in_a_pipe_unchanged(stub: StubService, env: dict[str, str]) -> None:
    """`-o text` gives a pipe the text as it is, and a terminal the same without its control characters."""
    text = "[red]\x1b[31m\u202e\x9b"
    stub.reply("PollForActivityTask", TASK | {"input": text})
    args = ["poll", "-d", "y", "-t", "x", "-o", "text", "--query", "input"]
    assert run(*args, env=env).stdout == f"{text}\n"
    assert on_terminal(*args, env=env).stdout == "[red]\\x1b[31m\\u202e\\x9b\n"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("[].{n: count, l: task_list}", [["n", "l"], ["3", "x"], ["3", "[b]w"]]),
        ("[].task_list", [["x"], ["[b]w"]]),
        ("[0]", [["domain", "y"], ["task", "list", "x"], ["count", "3"], ["truncated", "false"]]),
        ("[1].task_list", [["[b]w"]]),
        ("[?count > `9`]", []),
    ],
)
def test_a_query_is_drawn_as_a_table(
    stub: StubService, env: dict[str, str], query: str, shown: list[list[str]]
) -> None:
    """On a terminal a query's objects become rows, an object a line for each value, a scalar stays bare."""
    stub.reply("CountPendingActivityTasks", {"count": 3})
    result = on_terminal("pending", "-d", "y", "-t", "x", "-t", "[b]w", "--query", query, env=env)
    lines = [line.split() for line in without_escapes(result.stdout).replace("─", "").splitlines()]
    assert [line for line in lines if line] == shown
    assert (result.stderr, result.code) == ("", 0)


@pytest.mark.parametrize("program", installed("bash", "dash", "zsh"))
def test_shell_text_is_safe_for_eval(tmp_path: Path, program: str) -> None:
    """What --eval prints sets each variable to the very text, less NUL, whatever the text holds; and runs nothing."""
    texts = [
        *STRANGERS.values(),
        "$(touch X); \"'\n",
        "`touch X`",
        "' ; touch X ; '",
        "-n",
        "--",
        "\\",
        "\\\\n\\0",
        "'",
        "''",
        "!!",
        "~",
        "*",
        "",
        "\n\n",
        "a\r\n",
        "é\udcff",
        "\U0001f600" * 32_768,
        "$'\\x41'",
        C0 + C1,
    ]
    for n, text in enumerate(texts):
        task = WorkerTask(f"{text[:200]}T", text[:200], ActivityId("resize", "2"), ExecutionId("W", "RUN"), 6, text)
        (tmp_path / f"{n}.sh").write_bytes(shell.shell_task(task).encode("utf-8", "surrogatepass"))
    script = f"""
        for n in {" ".join(map(str, range(len(texts))))}; do
            export SWF_TASK_INPUT=before
            eval "$(cat $n.sh)" || exit
            printf '%s' "$SWF_TASK_INPUT" > $n.input
            printf '%s' "$SWF_TASK_TOKEN" > $n.token
            printenv SWF_TASK_INPUT > $n.exported && exit 99
        done
        exit 0
    """
    done = subprocess.run([program, "-c", script], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    for n, text in enumerate(texts):
        for name, value in (("input", text), ("token", f"{text[:200]}T")):
            expected = value.replace("\0", "").encode("utf-8", "surrogatepass")
            assert (tmp_path / f"{n}.{name}").read_bytes() == expected
    assert not (tmp_path / "X").exists()


@pytest.mark.parametrize(
    ("value", "text"),
    [("a\x1bb", "a\\x1bb"), ("\u202e", "\\u202e"), ("\ud800", "\\ud800"), ("é[b]\U0001f600", "é[b]\U0001f600")],
)
def test_plain_escapes_controls_and_nothing_else(value: str, text: str) -> None:
    """A control character becomes a visible escape; letters, emoji and markup stay what they are."""
    assert terminal.escape_controls(value) == text


@pytest.mark.parametrize("value", [*STRANGERS.values(), None, 3, {"a": ["\x9b", True]}])
def test_to_json_says_the_same(value: Any) -> None:
    """JSON parses to the value it was made of, and no control character is raw in it."""
    text = terminal.to_json(value)
    assert json.loads(text) == value
    assert not CONTROLS.search(text)
