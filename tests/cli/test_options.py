"""Options that commands share: the task, the service, the output, durations."""

import json
from pathlib import Path

import pytest

from swf_cli.cli.params import parse_duration
from tests.helpers.cli import TASK, Result, invoke
from tests.helpers.operations import COMPLETE, COUNT, HEARTBEAT, HISTORY, POLL
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import CONTROLS, error_line, invoke_on_terminal

PENDING = ("pending", "-d", "y", "-t", "x")
TASK_JSON = {
    "token": "T",
    "domain": "y",
    "execution": {"id": "w", "run_id": "R"},
    "task_started_execution_history_event_id": 6,
}


# --- the task


@pytest.mark.parametrize(
    ("arguments", "variables", "stdin"),
    [
        (["--token", "T"], {}, ""),
        ([], {"SWF_TASK_TOKEN": "T"}, ""),
        (["--token", "T"], {"SWF_TASK_TOKEN": "another"}, ""),
        (["--task", "task.json"], {}, ""),
        (["--task", "task.json"], {"SWF_TASK_TOKEN": "T" * 1_025}, ""),
        (["--task", "task.json"], {"SWF_TASK_TOKEN": " "}, ""),
        (["--task", "-"], {}, '\n{"token": "T", "input": null, "new": 1}\n'),
    ],
)
def test_a_task_is_named_by_token_file_stdin_or_variable(
    stub: StubService,
    env: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    variables: dict[str, str],
    stdin: str,
) -> None:
    """--token, --task FILE and --task - each name the task, and win over SWF_TASK_TOKEN."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "task.json").write_text('{"token": "T"}')
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    assert invoke("heartbeat", *arguments, env=env | variables, stdin=stdin).code == 0
    assert stub.requests == [(HEARTBEAT, {"taskToken": "T"})]


COPIED = " AAAA\n  b+/\r\n\tcc== \u00a0\u3000"
"""A token as it may come out of a terminal, a mail or a ticket."""


@pytest.mark.parametrize(
    ("arguments", "variables", "stdin"),
    [
        (["--token", COPIED], {}, ""),
        ([], {"SWF_TASK_TOKEN": COPIED}, ""),
        (["--task", "-"], {}, json.dumps({"token": COPIED})),
        (["--task", "-"], {}, f'{{"token": "{COPIED}"}}'),
        (["--task", "-"], {}, f'\ufeff{{"token": "{COPIED}"}}'),
    ],
)
def test_whitespace_in_a_token_is_dropped(
    stub: StubService, env: dict[str, str], arguments: list[str], variables: dict[str, str], stdin: str
) -> None:
    """A token that was copied with line breaks is the token, wherever it is given; also after a byte order mark."""
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    assert invoke("heartbeat", *arguments, env=env | variables, stdin=stdin).code == 0
    assert stub.requests == [(HEARTBEAT, {"taskToken": "AAAAb+/cc=="})]


def test_whitespace_in_the_run_id_of_a_task_file_is_dropped(stub: StubService, env: dict[str, str]) -> None:
    """So is that of its run ID, with which the history is read; a workflow ID may have any, and keeps it."""
    task = {**TASK_JSON, "execution": {"id": "a  b", "run_id": "RU\nN "}}
    stub.fault(COMPLETE, "UnknownResourceFault", "Unknown activity")
    stub.reply(HISTORY, {"events": []})
    assert invoke("complete", "--task", "-", env=env, stdin=json.dumps(task)).code == 5
    assert stub.requests[1][1]["execution"] == {"workflowId": "a  b", "runId": "RUN"}


@pytest.mark.parametrize("blanks", [" ", "\n", "\u00a0\t"])
def test_a_token_of_blanks_alone_is_rejected(stub: StubService, env: dict[str, str], blanks: str) -> None:
    """It is a wrong token, not none: nothing is sent."""
    error_line(invoke("heartbeat", "--token", blanks, env=env), 2, "--token", "empty")
    error_line(invoke("heartbeat", env=env | {"SWF_TASK_TOKEN": blanks}), 2, "SWF_TASK_TOKEN", "empty")
    result = invoke("heartbeat", "--task", "-", env=env, stdin=json.dumps({"token": blanks}))
    error_line(result, 2, "--task", "empty")
    error_line(invoke("tasks", "-d", "y", "--workflow-id", "w", "--run-id", blanks, env=env), 2, "--run-id", "empty")
    assert stub.requests == []


TASK_FILES = {
    "bytes": b"\xff",
    "text": b"TOKEN",
    "cut": b'{"token": "T',
    "deep": b"[" * 100_000,
    "list": b'[{"token": "T"}]',
    "no-token": b'{"id": "resize-1"}',
    "null": b'{"token": null}',
    "empty-token": b'{"token": ""}',
    "long-token": json.dumps({"token": "T" * 1_025}).encode(),
    "surrogate": b'{"token": "\\ud800"}',
    "empty": b"",
    "huge": b" " * 1_048_577,
}


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        ([], {}, ["no task given"]),
        ([], {"SWF_TASK_TOKEN": ""}, ["no task given"]),
        ([], {"SWF_TASK_TOKEN": "T" * 1_025}, ["--token (from SWF_TASK_TOKEN)", "1,025", "1,024"]),
        (["--token", ""], {}, ["--token", "1,024"]),
        (["--token", "T" * 1_025], {}, ["--token", "1,025", "1,024"]),
        (["--token", b"\xe2\x82"], {}, ["--token", "UTF-8"]),
        (["--token", "T", "--task", "text"], {}, ["--token and --task are mutually exclusive"]),
        (["--token", "T", "--held", "K"], {}, ["--token and --held are mutually exclusive"]),
        (["--task", "text", "--held", "K"], {}, ["--task and --held are mutually exclusive"]),
        (["--held", ""], {}, ["--held", "''"]),
        (["--held", "K"], {"SWF_TASK_TOKEN": "T"}, ["--held", "'K'"]),
        (["--task", ""], {}, ["--task: the file name is empty"]),
        (["--task", "none"], {}, ["--task", "none", "No such file"]),
        (["--task", "."], {}, ["--task", "directory"]),
        (["--task", "a\x1b[31mb"], {}, ["--task", "No such file"]),
        (["--task", "bytes"], {}, ["--task: bytes is not valid UTF-8"]),
        (["--task", "text"], {}, ["--task: text is not JSON from `swf poll`"]),
        (["--task", "cut"], {}, ["--task: cut is not JSON from `swf poll`"]),
        (["--task", "deep"], {}, ["--task: deep is not JSON from `swf poll`"]),
        (["--task", "empty"], {}, ["--task: empty is empty"]),
        (["--task", "-"], {}, ["--task: stdin is empty"]),
        (["--task", "list"], {}, ["--task", "is not a task from `swf poll`: it has no token"]),
        (["--task", "no-token"], {}, ["--task", "is not a task from `swf poll`: it has no token"]),
        (["--task", "null"], {}, ["--task", "is not a task from `swf poll`: it has no token"]),
        (["--task", "empty-token"], {}, ["--task", "token", "1,024"]),
        (["--task", "long-token"], {}, ["--task", "1,025", "1,024"]),
        (["--task", "surrogate"], {}, ["--task", "UTF-8"]),
        (["--task", "huge"], {}, ["--task", "huge"]),
        (["--task", "/dev/zero"], {}, ["--task", "/dev/zero"]),
    ],
)
def test_a_task_that_is_not_named_properly_is_a_usage_error(
    stub: StubService,
    env: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str | bytes],
    variables: dict[str, str],
    words: list[str],
) -> None:
    """No task, two tasks, a bad token, a file without a task: exit code 2, a line with the option, nothing sent."""
    monkeypatch.chdir(tmp_path)
    for name, data in TASK_FILES.items():
        (tmp_path / name).write_bytes(data)
    error_line(invoke("heartbeat", *arguments, env=env | variables), 2, *words)
    assert stub.requests == []


@pytest.mark.parametrize(
    ("variables", "why", "advice"),
    [
        ({"SWF_LEDGER": "off"}, "received tasks are not recorded: SWF_LEDGER is off", "unset SWF_LEDGER, or "),
        ({"SWF_STATE_DIR": "/dev/null/x"}, "the list of held tasks cannot be read", ""),
    ],
)
def test_a_key_without_a_ledger(
    stub: StubService, env: dict[str, str], variables: dict[str, str], why: str, advice: str
) -> None:
    """The hint does not send anybody to a list that there is not: exit code 2, nothing sent."""
    result = invoke("complete", "--held", "ab", env=env | variables)
    error, hint = result.stderr.splitlines()[-2:]
    assert (error, hint) == (f"swf: --held: {why}", f"hint: {advice}name the task with --task or --token")
    assert (result.code, stub.requests) == (2, [])


@pytest.mark.parametrize(
    ("command", "option"), [("complete", "--result-file"), ("fail", "--details-file"), ("cancel", "--details-file")]
)
def test_an_empty_file_name_is_a_usage_error(
    stub: StubService, env: dict[str, str], command: str, option: str
) -> None:
    """Such as that of a variable which is not set: exit code 2, a line with the option, nothing sent."""
    error_line(invoke(command, "--token", "T", option, "", env=env), 2, f"{option}: the file name is empty")
    assert stub.requests == []


def test_ids_are_spelled_as_in_running_text(env: dict[str, str]) -> None:
    """An ID that is over SWF's limit is a workflow ID or a run ID, as everywhere in text."""
    for option, name in (("--workflow-id", "workflow ID"), ("--run-id", "run ID"), ("--id", "activity ID")):
        shown = invoke("tasks", "-d", "d", option, "x" * 300, env=env).stderr
        assert shown.startswith(f"swf: {option}: {name} is 300 characters long: ")


# --- the service


@pytest.mark.parametrize(
    ("variables", "flags"),
    [
        ({"AWS_ENDPOINT_URL_SWF": "http://127.0.0.1:1"}, ["--endpoint-url", "STUB"]),
        ({"AWS_ENDPOINT_URL_SWF": "", "AWS_ENDPOINT_URL": "STUB"}, []),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "eu-west-1"}, []),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, ["--region", "eu-west-1"]),
        ({"AWS_REGION": "not a region"}, ["--region", "eu-west-1"]),
        ({"AWS_PROFILE": "no such profile"}, ["--profile", "video"]),
        ({"AWS_PROFILE": "video"}, []),
        ({"AWS_PROFILE": ""}, []),
        ({"AWS_PROFILE": "video", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, []),
        ({"AWS_PROFILE": "video", "AWS_REGION": ""}, []),
    ],
)
def test_aws_settings_are_used_and_flags_win(
    stub: StubService, env: dict[str, str], tmp_path: Path, variables: dict[str, str], flags: list[str]
) -> None:
    """AWS's variables and profiles work as they do for `aws`: an empty variable is unset, a flag wins.

    A profile's `output` is ignored.
    """
    config = tmp_path / "config"
    config.write_text(
        "[profile video]\nregion = eu-west-1\naws_access_key_id = A\naws_secret_access_key = S\noutput = text\n"
    )
    stub.reply(COUNT, {"count": 3})
    variables = {name: value.replace("STUB", stub.url) for name, value in variables.items()}
    flags = [flag.replace("STUB", stub.url) for flag in flags]
    result = invoke(*PENDING, *flags, env=env | {"AWS_CONFIG_FILE": str(config), **variables})
    assert (result.stderr, result.code) == ("", 0)
    assert result.json["count"] == 3


@pytest.mark.parametrize(
    ("variables", "flags", "word", "advice"),
    [
        ({"AWS_REGION": ""}, [], "region", "--region"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, ["--region", ""], "region", "--region"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, [], "credentials", "AWS_ACCESS_KEY_ID"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, [], "credentials", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_without_region_or_credentials_it_exits_with_7(
    stub: StubService, env: dict[str, str], variables: dict[str, str], flags: list[str], word: str, advice: str
) -> None:
    """No region or no credentials, or empty ones: exit code 7, a hint that says what to do, nothing sent."""
    assert advice in error_line(invoke(*PENDING, *flags, env=env | variables), 7, word)
    assert stub.requests == []


@pytest.mark.parametrize(("variables", "flags"), [({"AWS_PROFILE": "nobody"}, []), ({}, ["--profile", "nobody"])])
def test_an_unknown_profile_exits_with_7(
    stub: StubService, env: dict[str, str], variables: dict[str, str], flags: list[str]
) -> None:
    """A profile that does not exist exits with 7, with its name and a hint where profiles are; nothing is sent."""
    assert "~/.aws/config" in error_line(invoke(*PENDING, *flags, env=env | variables), 7, "nobody")
    assert stub.requests == []


@pytest.mark.parametrize(
    "url", ["nowhere", "127.0.0.1:5000", "ftp://127.0.0.1", "http://", "http://a b", "http://h:x"]
)
@pytest.mark.parametrize("way", ["--endpoint-url", "AWS_ENDPOINT_URL_SWF"])
def test_an_endpoint_that_is_not_a_url_is_a_usage_error(aws_env: dict[str, str], way: str, url: str) -> None:
    """A bad address exits with 2 and is named, with the option or the variable."""
    arguments, env = ([way, url], aws_env) if way.startswith("--") else ([], {**aws_env, way: url})
    error_line(invoke(*PENDING, *arguments, env=env), 2, way, url)


def test_an_endpoint_that_refuses_connections_is_a_failure(aws_env: dict[str, str], refused_url: str) -> None:
    """If nothing listens at the endpoint: exit code 1, and one line with the address."""
    result = invoke("poll", "-d", "y", "-t", "x", "--endpoint-url", refused_url, env=aws_env)
    error_line(result, 1, refused_url)


# --- the output


@pytest.mark.parametrize(
    ("variables", "flags", "shown"),
    [
        ({}, [], '{"domain": "y", "task_list": "x", "count": 3, "truncated": false}\n'),
        ({"SWF_OUTPUT": ""}, [], '{"domain": "y", "task_list": "x", "count": 3, "truncated": false}\n'),
        ({"SWF_OUTPUT": "text"}, [], "3\n"),
        ({"SWF_OUTPUT": "text"}, ["-o", "json", "--query", "count"], "3\n"),
        ({"SWF_OUTPUT": "json"}, ["--output", "text"], "3\n"),
        ({}, ["--query", "task_list"], '"x"\n'),
        ({}, ["--query", "task_list", "-o", "text"], "x\n"),
        ({}, ["--query", "task_list", "-o", "table"], "x\n"),
        ({}, ["--query", "truncated", "-o", "table"], "false\n"),
        ({}, ["--query", "nothing"], "null\n"),
        ({}, ["--query", "[count, task_list]"], '[3,\n"x"]\n'),
        ({}, ["--query", "{n: count}"], '{"n": 3}\n'),
    ],
)
def test_the_format_is_an_option_a_variable_or_a_query(
    stub: StubService, env: dict[str, str], variables: dict[str, str], flags: list[str], shown: str
) -> None:
    """--output wins over SWF_OUTPUT; --query filters the JSON, and prints a scalar bare in table and text."""
    stub.reply(COUNT, {"count": 3})
    assert invoke(*PENDING, *flags, env=env | variables) == Result(shown, "", 0)


@pytest.mark.parametrize(
    ("variables", "flags", "words"),
    [
        ({}, ["--output", "yaml"], ["--output", "yaml", "table", "json", "text"]),
        ({"SWF_OUTPUT": "yaml"}, [], ["--output (from SWF_OUTPUT)", "yaml", "table, json, text"]),
        ({}, ["--color", "green"], ["--color", "green", "auto", "always", "never"]),
        ({}, ["--query", "count["], ["--query"]),
        ({}, ["--query", ""], ["--query"]),
        ({}, ["--query", "no_such_function(@)"], ["--query"]),
        ({}, ["--colour", "never"], ["--colour"]),
        ({}, ["--region"], ["--region"]),
    ],
)
def test_an_unknown_format_is_a_usage_error(
    stub: StubService, env: dict[str, str], variables: dict[str, str], flags: list[str], words: list[str]
) -> None:
    """An unknown format or a bad JMESPath expression: exit code 2, a line with the option, nothing sent."""
    stub.reply(COUNT, {"count": 3})
    error_line(invoke(*PENDING, *flags, env=env | variables), 2, *words)
    assert stub.requests == []


@pytest.mark.parametrize("form", ["json", "text", "table"])
def test_a_task_is_not_lost_to_its_query(stub: StubService, env: dict[str, str], form: str) -> None:
    """A query that fails on the task prints the whole task as JSON, and exits with 1."""
    stub.reply(POLL, TASK)
    result = invoke("poll", "-d", "y", "-t", "x", "-o", form, "--query", "length(input.name)", env=env)
    assert result.json["token"] == "TOKEN"
    error_line(Result("", result.stderr, result.code), 1, "--query")


@pytest.mark.parametrize(
    ("variables", "flags", "coloured"),
    [
        ({}, [], True),
        ({}, ["--color", "auto"], True),
        ({"NO_COLOR": ""}, [], True),
        ({"NO_COLOR": "1"}, [], False),
        ({"NO_COLOR": "1"}, ["--color", "always"], True),
        ({}, ["--color", "never"], False),
    ],
)
def test_colour_on_a_terminal(
    stub: StubService, env: dict[str, str], variables: dict[str, str], flags: list[str], coloured: bool
) -> None:
    """A terminal gets colour unless NO_COLOR is set (and not empty) or --color is never; the flag wins."""
    stub.reply(COUNT, {"count": 3})
    result = invoke_on_terminal(*PENDING, *flags, env=env | variables)
    assert ("\x1b[" in result.stdout, result.code) == (coloured, 0)


@pytest.mark.parametrize(("flags", "coloured"), [([], False), (["--color", "always"], True)])
def test_colour_in_a_pipe(stub: StubService, env: dict[str, str], flags: list[str], coloured: bool) -> None:
    """A table in a pipe has colour only if --color is always."""
    stub.reply(COUNT, {"count": 3})
    assert ("\x1b[" in invoke(*PENDING, "-o", "table", *flags, env=env).stdout) == coloured


# --- text from outside in messages


def test_a_message_of_swf_cannot_write_on_the_terminal(stub: StubService, env: dict[str, str]) -> None:
    """SWF's message is one line: its markup is not interpreted, and its control characters are escaped."""
    hostile = "[red]bad[/red] \x1b[31m\x07\x9b2J\n\rswf: forged \u202e\u2066\x7f\ud800 \U0001f600"
    stub.fault(POLL, "UnknownResourceFault", hostile)
    result = invoke_on_terminal("poll", "-d", "y", "-t", "x", "--color", "always", env=env, stderr=True)
    (line,) = [line for line in result.stderr.splitlines() if "UnknownResourceFault" in line]
    shown = line[line.index("swf: ") :]
    assert not CONTROLS.search(shown)
    assert "[red]bad[/red] \\x1b[31m\\x07\\x9b2J\\n\\rswf: forged \\u202e\\u2066\\x7f\\ud800 \U0001f600" in shown


# --- verbosity


@pytest.mark.parametrize("flag", ["--verbose", "-v", "--debug"])
def test_verbose_and_debug_log_calls_and_never_a_token(stub: StubService, env: dict[str, str], flag: str) -> None:
    """-v logs each call on stderr, --debug also tracebacks; neither ever shows a token or a secret."""
    secrets = {"TOP-SECRET-TOKEN", "PRIVATE", "HUSH-HUSH-KEY"}
    env["AWS_SECRET_ACCESS_KEY"] = "HUSH-HUSH-KEY"
    stub.fault(HEARTBEAT, "UnknownResourceFault", "Unknown activity")
    result = invoke("heartbeat", "--token", "TOP-SECRET-TOKEN", "--details", "PRIVATE", flag, env=env)
    assert (result.stdout, result.code) == ("", 5)
    assert "record_activity_task_heartbeat" in result.stderr
    assert ("Traceback" in result.stderr) == (flag == "--debug")
    assert {secret for secret in secrets if secret in result.stderr} == set()


# --- durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("45", 45),
        ("45s", 45),
        ("5m", 300),
        ("90m", 5_400),
        ("1h30m", 5_400),
        ("2d", 172_800),
        ("1d2h3m4s", 93_784),
        ("007", 7),
        ("99999999", 99_999_999),
        ("0000000000000000000001d", 86_400),
    ],
)
def test_durations(text: str, seconds: int) -> None:
    """A duration is seconds, or counts of d, h, m and s in that order."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *["", " ", "5 m", "5m ", " 5", "5\n", "-1", "+1", "1.5", "1.5h", "1_000", "1e3", "0x10"],
        *["s", "m5", "5M", "5min", "1w", "30m1h", "5m5m", "5m30", "inf", "nan", "\u0663", "\u00bd"],
    ],
)
def test_other_texts_are_not_durations(text: str) -> None:
    """Anything else is an error, whose message shows examples of durations."""
    with pytest.raises(ValueError, match="1h30m"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["100000000", "1158d", "1157d9h46m40s", "9" * 400, "1d" + "9" * 30 + "s"])
def test_what_is_too_long_for_a_duration(text: str) -> None:
    """A duration of more than 8 digits of seconds is refused, however it is written."""
    with pytest.raises(ValueError, match="is longer than"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["soon", "", "-5"])
def test_a_bad_duration_is_a_usage_error(stub: StubService, env: dict[str, str], text: str) -> None:
    """A bad duration exits with 2, and a line with the option; nothing is sent."""
    error_line(invoke("poll", "-d", "y", "-t", "x", "--timeout", text, env=env), 2, "--timeout", "1h30m")
    assert stub.requests == []
