"""What is printed: screens that cut nothing, JSON that changes nothing, text and shell text that are safe."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from swf_cli.errors import OutputError
from swf_cli.models import ActivityId, ExecutionId, WorkerTask
from swf_cli.output import escaping, shell, terminal
from swf_cli.output.format import Output, compile_query
from tests.helpers.cli import TASK, run
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import CONTROLS, installed, invoke_on_terminal, on_terminal, squeezed, without_escapes

C0 = "".join(map(chr, range(1, 32)))
C1 = "".join(map(chr, range(0x7F, 0xA0)))
BIDI = "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
HOSTILE = {
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


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_text_from_outside_is_only_text_on_a_terminal(stub: StubService, env: dict[str, str], text: str) -> None:
    """Nothing of text from outside is interpreted, and no control character of it reaches the terminal."""
    stub.reply("PollForActivityTask", TASK | {"input": text, "activityId": text[:256]})
    result = invoke_on_terminal("poll", "-d", "y", "-t", "x", "--color", "always", env=env)
    assert result.code == 0
    shown = without_escapes(result.stdout)
    assert not CONTROLS.search(shown)
    shown = squeezed(shown)
    for value in (text, text[:256]):
        assert squeezed(escaping.escape_controls(value)) in shown


@pytest.mark.parametrize("columns", [24, 60, 80, 140])
def test_identifiers_are_left_to_the_terminals_wrapping(stub: StubService, env: dict[str, str], columns: int) -> None:
    """A token of 1,024 characters, and IDs of 256, are each on one line, whatever the width."""
    token = "".join(f"<{n:05}>" for n in range(147))[:1_024]
    workflow_id = "".join(f"w{n:03}" for n in range(64))
    execution = {"workflowId": workflow_id, "runId": workflow_id[::-1]}
    stub.reply("PollForActivityTask", TASK | {"taskToken": token, "workflowExecution": execution})
    result = invoke_on_terminal("poll", "-d", "y", "-t", "x", env=env, columns=columns)
    values = [line.split()[-1] for line in without_escapes(result.stdout).splitlines()]
    for value in (token, workflow_id, workflow_id[::-1]):
        assert value in values


@pytest.mark.parametrize("terminal", [True, False])
def test_json_carries_text_from_outside_unchanged(stub: StubService, env: dict[str, str], terminal: bool) -> None:
    """JSON, on a terminal too, parses to the very text; on a terminal it holds no raw control character."""
    text = "".join(HOSTILE.values())[:32_768]
    stub.reply("PollForActivityTask", TASK | {"input": text})
    args = ["poll", "-d", "y", "-t", "x", "-o", "json"]
    result = on_terminal(*args, env=env) if terminal else run(*args, env=env)
    assert result.json["input"] == text
    if terminal:
        assert not CONTROLS.search(result.stdout)


def test_a_bare_text_is_safe_on_a_terminal_and_unchanged_in_a_pipe(stub: StubService, env: dict[str, str]) -> None:
    """A query that yields a text prints the very text in a pipe, and without control characters on a terminal."""
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
    result = invoke_on_terminal("pending", "-d", "y", "-t", "x", "-t", "[b]w", "--query", query, env=env)
    lines = [line.split() for line in without_escapes(result.stdout).replace("─", "").splitlines()]
    assert [line for line in lines if line] == shown
    assert (result.stderr, result.code) == ("", 0)


@pytest.mark.parametrize("program", installed("bash", "dash", "zsh"))
def test_shell_text_is_safe_for_eval(tmp_path: Path, program: str) -> None:
    """What --eval prints sets each variable to the very text, less NUL, whatever the text holds; and runs nothing."""
    texts = [
        *HOSTILE.values(),
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
    assert escaping.escape_controls(value) == text


@pytest.mark.parametrize("value", [*HOSTILE.values(), None, 3, {"a": ["\x9b", True]}])
def test_to_json_says_the_same(value: Any) -> None:
    """JSON parses to the value it was made of, and no control character is raw in it."""
    text = terminal.to_json(value)
    assert json.loads(text) == value
    assert not CONTROLS.search(text)


def emitted(monkeypatch: pytest.MonkeyPatch, data: Any, form: str, query: str, *, terminal: bool = False) -> str:
    """Return what is printed of a query over some JSON."""

    class Stdout(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return terminal

    stdout = Stdout()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        output = Output(form, compile_query(query), "never")
        output.emit(data, screen=lambda width: pytest.fail("not the screen"), text=[])
    return stdout.getvalue()


@pytest.mark.parametrize(
    ("query", "text", "lines"),
    [
        ("[0]", "a\\tb\t1\t\n", ['{"n": "a\\tb", "c": 1, "x": null}']),
        ("[].n", "a\\tb\nc\\n\\x1b\n", ['["a\\tb",', '"c\\n\\u001b"]']),
        ("[].[n, c]", "a\\tb\t1\nc\\n\\x1b\ttrue\n", ['[["a\\tb", 1],', '["c\\n\\u001b", true]]']),
        ("[0].c", "1\n", ["1"]),
        ("[1].c", "true\n", ["true"]),
        ("[0].x", "\n", ["null"]),
        ("[?c == `9`]", "", ["[]"]),
        ("length(@)", "2\n", ["2"]),
        ("[0].n", "a\tb\n", ['"a\\tb"']),
    ],
)
def test_the_result_of_a_query(monkeypatch: pytest.MonkeyPatch, query: str, text: str, lines: list[str]) -> None:
    """As text: a scalar bare, a list a line each, objects and lists in it as fields; as JSON: a line per element."""
    data = [{"n": "a\tb", "c": 1, "x": None}, {"n": "c\n\x1b", "c": True, "x": None}]
    assert emitted(monkeypatch, data, "text", query) == text
    assert emitted(monkeypatch, data, "json", query).splitlines() == lines
    assert json.loads(emitted(monkeypatch, data, "json", query, terminal=True)) == json.loads("".join(lines))


@pytest.mark.parametrize("output_format", ["table", "json", "text"])
@pytest.mark.parametrize(
    "expression",
    [
        *("abs(@)", "to_number('nan')", "[`1e400`]", "ceil(to_number('inf'))"),
        "max_by([{a: 'x'}, {a: `1`}], &a)",
    ],
)
def test_a_query_that_fails_loses_nothing(
    capsys: pytest.CaptureFixture[str], output_format: str, expression: str
) -> None:
    """The data may be a task that nobody else has: whatever the result of the query is, nothing less is printed."""
    with pytest.raises(OutputError, match=r"^cannot apply --query, so everything is printed as JSON: .") as caught:
        Output(output_format, compile_query(expression)).emit("7", screen=lambda width: pytest.fail("no"), text=[])
    assert "\n" not in caught.value.message
    assert capsys.readouterr().out == '"7"\n'


def test_a_form_that_fails_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """If a task can't be drawn, for whatever reason, it is printed as JSON."""

    def screen(width: int) -> Text:
        raise ZeroDivisionError("no such width")

    with pytest.raises(OutputError) as caught:
        Output("table").emit([{"id": 1}, {"id": 2}], screen=screen, text=[])
    failure = "cannot format it for --output table"
    assert caught.value.message == f"{failure}, so everything is printed as JSON: no such width"
    assert capsys.readouterr().out == '[{"id": 1},\n{"id": 2}]\n'


def test_a_query_that_fails_does_not_log_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    """It may be the input of a task, which is nobody's but the task's."""
    with pytest.raises(OutputError) as caught:
        Output("text", compile_query("sum(@)")).emit(
            {"input": "private"}, screen=lambda width: pytest.fail("no"), text=[]
        )
    message = "cannot apply --query, so everything is printed as JSON: sum() cannot take a value of type object"
    assert caught.value.message == message
    assert capsys.readouterr().out == '{"input": "private"}\n'


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        *(("[:1].n", ["a"]), ("[0:2].n", ["a", "b"]), ("[::-1].n", ["b", "a"]), ("keys([0])[:1]", ["n"])),
        *(("[0].n[0:1]", None), ("[?n=='a'] | [0].n", "a"), ("[].{x: n, y: c}[0]", {"x": "a", "y": 1})),
        *(
            ("merge([0], {z: `2`})", {"n": "a", "c": 1, "z": 2}),
            ("not_null(q, [0].c)", 1),
            ("sort_by(@, &c)[1].n", "b"),
        ),
        *(("[?!q && (c > `1` || n == 'a')].c", [1, 2]), ("[][].n", ["a", "b"]), ("[*].[n, c][]", ["a", 1, "b", 2])),
    ],
)
def test_every_kind_of_expression(monkeypatch: pytest.MonkeyPatch, expression: str, result: Any) -> None:
    """Of JMESPath: slices, filters, projections, functions of any number of arguments."""
    data = [{"n": "a", "c": 1}, {"n": "b", "c": 2}]
    assert json.loads(emitted(monkeypatch, data, "json", expression)) == result


@pytest.mark.parametrize(
    "expression",
    [
        *("[", "sum(", "no_such_function(@)", "[].{a: no_such(b)}", "[:1].length()", "join(',')", "not_null()"),
        *(
            "&n",
            "{a: &n}",
            "[&n]",
            "a | &n",
            "[::0]",
            "a[0:1:0].b",
            "length(a, b)",
            "[" * 3_000,
            "(" * 3_000,
            "!" * 3_000 + "a",
        ),
    ],
    ids=lambda expression: expression[:20],
)
def test_an_invalid_query(expression: str) -> None:
    """It is rejected before there is any data."""
    with pytest.raises(ValueError, match=r"."):
        compile_query(expression)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "cannot be empty"),
        ("[", "Incomplete expression"),
        ("sum(", "Incomplete expression"),
        ("a[?b=", "Unknown token '='"),
        ("a b", 'Unexpected token: b: Parse error at column 2, token "b" (UNQUOTED_IDENTIFIER)'),
        ("no_such_function(@)", "there is no function no_such_function()"),
        ("[].{a: no_such(b)}", "there is no function no_such()"),
    ],
)
def test_the_reason_why_a_query_is_invalid(expression: str, reason: str) -> None:
    """It neither repeats the query nor points into it."""
    with pytest.raises(ValueError, match=rf"^{re.escape(reason)}\.?$"):
        compile_query(expression)


@pytest.mark.parametrize("output_format", ["table", "json", "text"])
def test_only_json_and_queries_need_all_the_data(output_format: str) -> None:
    """Screens and text show what they show, whatever else the data has."""
    assert Output(output_format).needs_data == (output_format == "json")
    assert Output(output_format, compile_query("[].input")).needs_data
