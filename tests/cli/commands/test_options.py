"""The options that commands share: how a task is named, where SWF is, how data looks, what durations are."""

import json
import socket
from pathlib import Path

import pytest

from swf_cli.cli.params import parse_duration
from tests.helpers.cli import TASK, Result, run
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import CONTROLS, error_line, on_terminal

HEARTBEAT = "RecordActivityTaskHeartbeat"
PENDING = ("pending", "-d", "y", "-t", "x")


# --- a task is named


@pytest.mark.parametrize(
    ("arguments", "variables", "stdin"),
    [
        (["--token", "T"], {}, ""),
        ([], {"SWF_TASK_TOKEN": "T"}, ""),
        (["--token", "T"], {"SWF_TASK_TOKEN": "another"}, ""),
        (["--task", "task.json"], {}, ""),
        (["--task", "task.json"], {"SWF_TASK_TOKEN": "another"}, ""),
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
    assert run("heartbeat", *arguments, env=env | variables, stdin=stdin).code == 0
    assert stub.requests == [(HEARTBEAT, {"taskToken": "T"})]


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
        ([], {}, ["--token", "--task", "SWF_TASK_TOKEN"]),
        ([], {"SWF_TASK_TOKEN": ""}, ["--token", "--task", "SWF_TASK_TOKEN"]),
        ([], {"SWF_TASK_TOKEN": "T" * 1_025}, ["--token", "1,025", "1,024"]),
        (["--token", ""], {}, ["--token", "1,024"]),
        (["--token", "T" * 1_025], {}, ["--token", "1,025", "1,024"]),
        (["--token", b"\xe2\x82"], {}, ["--token", "UTF-8"]),
        (["--token", "T", "--task", "text"], {}, ["--token and --task"]),
        (["--token", "T", "--held", "K"], {}, ["--token and --held"]),
        (["--task", "text", "--held", "K"], {}, ["--task and --held"]),
        (["--held", ""], {}, ["--held", "''"]),
        (["--held", "K"], {"SWF_TASK_TOKEN": "T"}, ["--held", "'K'"]),
        (["--task", "none"], {}, ["--task", "none", "No such file"]),
        (["--task", "."], {}, ["--task", "directory"]),
        (["--task", "a\x1b[31mb"], {}, ["--task", "No such file"]),
        (["--task", "bytes"], {}, ["--task", "UTF-8"]),
        (["--task", "text"], {}, ["--task", "JSON"]),
        (["--task", "cut"], {}, ["--task", "JSON"]),
        (["--task", "deep"], {}, ["--task", "JSON"]),
        (["--task", "empty"], {}, ["--task", "JSON"]),
        (["--task", "list"], {}, ["--task", "not a task"]),
        (["--task", "no-token"], {}, ["--task", "not a task"]),
        (["--task", "null"], {}, ["--task", "not a task"]),
        (["--task", "empty-token"], {}, ["--task", "token", "1,024"]),
        (["--task", "long-token"], {}, ["--task", "1,025", "1,024"]),
        (["--task", "surrogate"], {}, ["--task", "UTF-8"]),
        (["--task", "huge"], {}, ["--task", "huge"]),
        (["--task", "/dev/zero"], {}, ["--task", "/dev/zero"]),
    ],
)
def test_a_task_that_is_not_named_well_is_wrong_usage(
    stub: StubService,
    env: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str | bytes],
    variables: dict[str, str],
    words: list[str],
) -> None:
    """No task, two tasks, a bad token, a file that holds no task: exit 2, one line with the option, nothing sent."""
    monkeypatch.chdir(tmp_path)
    for name, data in TASK_FILES.items():
        (tmp_path / name).write_bytes(data)
    error_line(run("heartbeat", *arguments, env=env | variables), 2, *words)
    assert stub.requests == []


# --- where and as whom SWF is called


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
def test_aws_settings_are_found_and_flags_win(
    stub: StubService, env: dict[str, str], tmp_path: Path, variables: dict[str, str], flags: list[str]
) -> None:
    """AWS's variables and profiles work as they do for aws: an empty variable is none, a flag wins.

    A profile's `output` has no say in how data looks.
    """
    config = tmp_path / "config"
    config.write_text(
        "[profile video]\nregion = eu-west-1\naws_access_key_id = A\naws_secret_access_key = S\noutput = text\n"
    )
    stub.reply("CountPendingActivityTasks", {"count": 3})
    variables = {name: value.replace("STUB", stub.url) for name, value in variables.items()}
    flags = [flag.replace("STUB", stub.url) for flag in flags]
    result = run(*PENDING, *flags, env=env | {"AWS_CONFIG_FILE": str(config), **variables})
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
def test_without_region_or_credentials_it_exits_7_with_a_hint(
    stub: StubService, env: dict[str, str], variables: dict[str, str], flags: list[str], word: str, advice: str
) -> None:
    """No region or no credentials, an empty one too: exit 7, what to do about it in a hint, nothing sent."""
    assert advice in error_line(run(*PENDING, *flags, env=env | variables), 7, word)
    assert stub.requests == []


@pytest.mark.parametrize(("variables", "flags"), [({"AWS_PROFILE": "nobody"}, []), ({}, ["--profile", "nobody"])])
def test_a_profile_that_there_is_not_is_wrong_usage(
    stub: StubService, env: dict[str, str], variables: dict[str, str], flags: list[str]
) -> None:
    """A profile that no file has exits 2, with its name and a hint where profiles are; nothing is sent."""
    assert "~/.aws/config" in error_line(run(*PENDING, *flags, env=env | variables), 2, "nobody")
    assert stub.requests == []


@pytest.mark.parametrize(
    "url", ["nowhere", "127.0.0.1:5000", "ftp://127.0.0.1", "http://", "http://a b", "http://h:x"]
)
@pytest.mark.parametrize("way", ["--endpoint-url", "AWS_ENDPOINT_URL_SWF"])
def test_an_endpoint_that_is_no_url_is_wrong_usage(aws_env: dict[str, str], way: str, url: str) -> None:
    """An address that is none exits 2 and is named; with it the option, or that a variable or a profile gave it."""
    if way.startswith("--"):
        error_line(run(*PENDING, way, url, env=aws_env), 2, way, url)
    else:
        result = run(*PENDING, env={**aws_env, way: url})
        hint = error_line(result, 2, url)
        assert "AWS_… variables" in hint


def test_an_endpoint_that_refuses_is_a_failure(aws_env: dict[str, str]) -> None:
    """Nothing listening at the endpoint: exit 1, one line that names the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        error_line(run("poll", "-d", "y", "-t", "x", "--endpoint-url", url, env=aws_env), 1, url)


# --- how data looks


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
        ({}, ["--query", "[count, task_list]"], '[3, "x"]\n'),
        ({}, ["--query", "{n: count}"], '{"n": 3}\n'),
    ],
)
def test_the_form_is_an_option_a_variable_or_a_query(
    stub: StubService, env: dict[str, str], variables: dict[str, str], flags: list[str], shown: str
) -> None:
    """--output wins over SWF_OUTPUT; --query is over the JSON, and prints a scalar bare in table and text."""
    stub.reply("CountPendingActivityTasks", {"count": 3})
    assert run(*PENDING, *flags, env=env | variables) == Result(shown, "", 0)


@pytest.mark.parametrize(
    ("variables", "flags", "words"),
    [
        ({}, ["--output", "yaml"], ["--output", "yaml", "table", "json", "text"]),
        ({"SWF_OUTPUT": "yaml"}, [], ["--output", "yaml", "table", "json", "text"]),
        ({}, ["--color", "green"], ["--color", "green", "auto", "always", "never"]),
        ({}, ["--query", "count["], ["--query"]),
        ({}, ["--query", ""], ["--query"]),
        ({}, ["--query", "no_such_function(@)"], ["--query"]),
        ({}, ["--colour", "never"], ["--colour"]),
        ({}, ["--region"], ["--region"]),
    ],
)
def test_a_form_that_there_is_not_is_wrong_usage(
    stub: StubService, env: dict[str, str], variables: dict[str, str], flags: list[str], words: list[str]
) -> None:
    """An unknown form or a bad JMESPath expression: exit 2, one line that names the option, nothing sent."""
    stub.reply("CountPendingActivityTasks", {"count": 3})
    error_line(run(*PENDING, *flags, env=env | variables), 2, *words)
    assert stub.requests == []


@pytest.mark.parametrize("form", ["json", "text", "table"])
def test_a_task_is_not_lost_to_its_query(stub: StubService, env: dict[str, str], form: str) -> None:
    """A query that can't be applied to the task that came prints the whole task as JSON, and exits 1."""
    stub.reply("PollForActivityTask", TASK)
    result = run("poll", "-d", "y", "-t", "x", "-o", form, "--query", "length(input.name)", env=env)
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
    """A terminal gets colour unless NO_COLOR is set (and not empty) or --color says never; the flag wins."""
    stub.reply("CountPendingActivityTasks", {"count": 3})
    result = on_terminal(*PENDING, *flags, env=env | variables)
    assert ("\x1b[" in result.stdout, result.code) == (coloured, 0)


@pytest.mark.parametrize(("flags", "coloured"), [([], False), (["--color", "always"], True)])
def test_colour_in_a_pipe(stub: StubService, env: dict[str, str], flags: list[str], coloured: bool) -> None:
    """A table in a pipe has colour only when --color says always."""
    stub.reply("CountPendingActivityTasks", {"count": 3})
    assert ("\x1b[" in run(*PENDING, "-o", "table", *flags, env=env).stdout) == coloured


# --- strangers' text in messages


def test_a_message_of_swf_cannot_write_on_the_terminal(stub: StubService, env: dict[str, str]) -> None:
    """What SWF says is shown in one line: no markup, and no control character of it, is interpreted."""
    hostile = "[red]bad[/red] \x1b[31m\x07\x9b2J\n\rswf: forged \u202e\u2066\x7f\ud800 \U0001f600"
    stub.fault("PollForActivityTask", "UnknownResourceFault", hostile)
    result = on_terminal("poll", "-d", "y", "-t", "x", "--color", "always", env=env, stderr=True)
    (line,) = [line for line in result.stderr.splitlines() if "UnknownResourceFault" in line]
    shown = line[line.index("swf: ") :]
    assert not CONTROLS.search(shown)
    assert "[red]bad[/red] \\x1b[31m\\x07\\x9b2J\\n\\rswf: forged \\u202e\\u2066\\x7f\\ud800 \U0001f600" in shown


# --- what is called


@pytest.mark.parametrize("flag", ["--verbose", "-v", "--debug"])
def test_verbose_and_debug_tell_of_calls_and_never_of_a_token(
    stub: StubService, env: dict[str, str], flag: str
) -> None:
    """-v says each call on stderr, --debug also where an error comes from; neither ever shows a token or a secret."""
    secrets = {"TOP-SECRET-TOKEN", "PRIVATE", "HUSH-HUSH-KEY"}
    env["AWS_SECRET_ACCESS_KEY"] = "HUSH-HUSH-KEY"
    stub.fault(HEARTBEAT, "UnknownResourceFault", "Unknown activity")
    result = run("heartbeat", "--token", "TOP-SECRET-TOKEN", "--details", "PRIVATE", flag, env=env)
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
    ],
)
def test_durations(text: str, seconds: int) -> None:
    """A duration is seconds, or counts of d, h, m and s in that order."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *["", " ", "5 m", "5m ", " 5", "5\n", "-1", "+1", "1.5", "1.5h", "1_000", "1e3", "0x10", "9" * 400],
        *["s", "m5", "5M", "5min", "1w", "30m1h", "5m5m", "5m30", "inf", "nan", "\u0663", "\u00bd"],
    ],
)
def test_what_is_no_duration(text: str) -> None:
    """Anything else is refused, and the message says what a duration looks like."""
    with pytest.raises(ValueError, match="1h30m"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["soon", "", "-5"])
def test_a_bad_duration_is_wrong_usage(stub: StubService, env: dict[str, str], text: str) -> None:
    """A duration that is none exits 2, with one line that names the option, and nothing is sent."""
    error_line(run("poll", "-d", "y", "-t", "x", "--timeout", text, env=env), 2, "--timeout", "1h30m")
    assert stub.requests == []
