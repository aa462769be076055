"""Usage errors: one clear line, a hint that says what to do, exit code 2."""

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import InProcess
from tests.helpers.cli import Result
from tests.helpers.terminal import error_line

STUCK = ("stuck", "-d", "video")


@pytest.mark.parametrize(
    ("args", "message", "hint"),
    [
        (["pol"], "no such command: 'pol'", "did you mean `swf poll`?"),
        (["completed"], "no such command: 'completed'", "did you mean `swf complete`?"),
        (["comp"], "no such command: 'comp'", "did you mean `swf complete` or `swf completion`?"),
        (["heartbeet"], "no such command: 'heartbeet'", "did you mean `swf heartbeat`?"),
        (["schedule"], "no such command: 'schedule'", "did you mean `swf local schedule`?"),
        (["frobnicate"], "no such command: 'frobnicate'", "see `swf --help`"),
        (["local", "scedule"], "no such command: 'scedule'", "did you mean `swf local schedule`?"),
        (["local", "xyz"], "no such command: 'xyz'", "see `swf local --help`"),
        (["poll", "--task-lst"], "`swf poll` has no option --task-lst", "did you mean --task-list?"),
        (["poll", "--frobnicate"], "`swf poll` has no option --frobnicate", "see `swf poll --help`"),
        (["poll", "--older-than", "1h"], "`swf poll` has no option --older-than", "option of `swf stuck`"),
        (["stuck", "--while-pid", "1"], "`swf stuck` has no option --while-pid", "option of `swf heartbeat`"),
        (
            ["tasks", "-d", "video", "--held", "3f2a"],
            "`swf tasks` has no option --held",
            "--held is an option of `swf heartbeat`, `swf complete`, `swf fail` and `swf cancel`",
        ),
        (["poll", "--port", "1"], "`swf poll` has no option --port", "option of `swf local serve`"),
        (
            ["tasks", "--details", "x"],
            "`swf tasks` has no option --details",
            "option of `swf heartbeat`, `swf fail` and `swf cancel`",
        ),
        (["completion", "--region", "x"], "`swf completion` has no option --region", "see `swf completion --help`"),
        (["--timeout", "5", "poll"], "`swf` has no option --timeout", "option of `swf poll`"),
        (["--regoin", "x", "poll"], "`swf` has no option --regoin", "did you mean --region?"),
        (["tasks", "video-7"], "unexpected argument 'video-7'", "did you mean --workflow-id video-7?"),
        (["tasks", "-d", "video", "a b"], "unexpected argument 'a b'", "did you mean --workflow-id 'a b'?"),
        (["pending", "resize"], "unexpected argument 'resize'", "did you mean --task-list resize?"),
        (["poll", "-d", "video", "resize"], "unexpected argument 'resize'", "did you mean --task-list resize?"),
        ([*STUCK, "resize"], "unexpected argument 'resize'", "did you mean --task-list resize?"),
        (["complete", "task.json"], "unexpected argument 'task.json'", "did you mean --task task.json?"),
        (["complete", "3f2a"], "unexpected argument '3f2a'", "did you mean --held 3f2a?"),
        (["fail", "AAAAKg" + "b" * 314], "unexpected argument 'AAAAKgb", "did you mean --token AAAAKgb"),
        (["held", "3f2a"], "unexpected argument '3f2a'", "see `swf held --help`"),
        (["poll", "-t", "a"], "--domain is required", "pass --domain, or set SWF_DOMAIN"),
        (["poll", "-d", "video"], "--task-list is required", "pass --task-list, or set SWF_TASK_LIST"),
        (["tasks", "-d", "video", "--id", "resize-1"], "--id requires --workflow-id", ""),
        (["completion"], "no SHELL given", "pass bash, zsh or fish"),
        (["completion", "tcsh"], "shell 'tcsh' is not supported", "pass bash, zsh or fish"),
        (["completion", "bash", "zsh"], "unexpected argument 'zsh'", "see `swf completion --help`"),
        (["local", "run"], "no COMMAND given", "see `swf local run --help`"),
        (["work", "-d", "video", "-t", "x"], "no COMMAND given", "pass `-- COMMAND`, or --handlers DIR"),
        (["work", "-d", "video", "-t", "x", "no/such"], "COMMAND: cannot run no/such: No such file or directory", ""),
        (["complete"], "no task given", "use --task, --token or --held, or set SWF_TASK_TOKEN"),
        (["complete", "--token", "T", "--held", "K"], "--token and --held are mutually exclusive", "one of them"),
        (["poll", "-d"], "-d requires a value", "see `swf poll --help`"),
        (["work", "--check=x"], "--check takes no value", "see `swf work --help`"),
        (["--debug=x", "poll"], "--debug takes no value", "see `swf --help`"),
        (["poll", "-d", "y", "-t", "a", "-t", "b"], "--task-list: only one task list can be polled, not 2", ""),
        (["pending", "-d", "y", "-t", "x", "--interval", "5s"], "--interval requires --watch", ""),
        (["heartbeat", "--token", "T", "--while-pid", "1"], "--while-pid requires --every", ""),
        ([*STUCK, "--older-than", "99999999999d"], "--older-than: '99999999999d' is longer than 1157d", ""),
        ([*STUCK, "--older-than", "soon"], "--older-than: 'soon' is not a duration such as 45, 45s", ""),
        ([*STUCK, "--rate", "nan"], "--rate: 'nan' is not a number", ""),
        ([*STUCK, "--rate", "inf"], "--rate: inf is not between 0.01 and 1,000", ""),
        ([*STUCK, "--rate", "5e-324"], "--rate: 5e-324 is not between 0.01 and 1,000", ""),
        ([*STUCK, "--rate", "fast"], "--rate: 'fast' is not a number", ""),
        ([*STUCK, "--limit", "1e3"], "--limit: '1e3' is not a whole number", ""),
        ([*STUCK, "--limit", "\u0663"], "--limit: '\u0663' is not a whole number", ""),
        ([*STUCK, "--limit", "9" * 5000], "is not a whole number", ""),
        ([*STUCK, "--limit", "-1"], "--limit: -1 is not between 0 and 2,147,483,647", ""),
        ([*STUCK, "-o", "yaml"], "--output: 'yaml' is not one of table, json, text", ""),
        ([*STUCK, "--query", "a["], "--query: 'a[' is not a JMESPath expression", ""),
        ([*STUCK, "--endpoint-url", "here"], "--endpoint-url: 'here' is not a URL such as", ""),
        (["help", "pol"], "no such command or topic: 'pol'", "did you mean `swf help poll`?"),
        (["help", "exit-codes", "poll"], "exit-codes is a topic, and takes no arguments", ""),
        (["help", "exit-code"], "no such command or topic: 'exit-code'", "did you mean `swf help exit-codes`?"),
        (["help", "xyz"], "no such command or topic: 'xyz'", "see `swf help`"),
        (["help", "local", "serv"], "no such command or topic: 'serv'", "did you mean `swf help local serve`?"),
        (["help", "poll", "x"], "`swf poll` has no commands", "see `swf help --help`"),
        (["local", "serve", "here"], "unexpected argument 'here'", "see `swf local serve --help`"),
    ],
)
def test_what_is_wrong_and_what_to_do(in_process: InProcess, args: list[str], message: str, hint: str) -> None:
    """Wrong usage is exit code 2, one line that says what is wrong, and a hint."""
    assert hint in error_line(in_process(*args), 2, message)


def test_a_bad_value_of_a_variable_names_the_variable(in_process: InProcess) -> None:
    """A value that came from the environment is reported with its variable, unless an option was given as well."""
    message = "--output (from SWF_OUTPUT): 'yaml' is not one of table, json, text"
    error_line(in_process("held", SWF_OUTPUT="yaml"), 2, message)
    error_line(in_process("held", "-o", "xml", SWF_OUTPUT="yaml"), 2, "--output: 'xml' is not one of")


def test_the_last_of_an_option_wins(in_process: InProcess) -> None:
    """An option that is given twice has the value that was given last."""
    error_line(in_process("stuck", "-d", "video", "--limit", "5", "--limit", "many"), 2, "'many'")
    error_line(in_process("stuck", "-d", "video", "--limit", "many", "--limit", "5", "--rate", "x"), 2, "--rate")


def test_a_mistake_with_eval_reaches_the_shell(in_process: InProcess) -> None:
    """A usage error of `swf poll --eval` is a line on stderr, and its exit code on stdout; one list twice is none."""
    result = in_process("poll", "-d", "y", "-t", "a", "-t", "a", "--eval", "--query", "x")
    assert result.stdout.endswith("(exit 2)\n")
    error_line(Result("", result.stderr, result.code), 2, "--eval cannot be combined with --output or --query")


POLL_AND_FAIL = ("poll", "-t", "x", "--eval", "--timeout", "soon")


@pytest.mark.parametrize(
    "args",
    [
        ["-d", "local", *POLL_AND_FAIL],
        ["-dlocal", *POLL_AND_FAIL],
        ["--domain=local", *POLL_AND_FAIL],
        ["-vd", "local", *POLL_AND_FAIL],
        ["-d", "video", "-d", "local", *POLL_AND_FAIL],
        ["--profile", "work", "--region", "help", *POLL_AND_FAIL],
        [*POLL_AND_FAIL, "-d", "local", "--identity", "--"],
        ["--", *POLL_AND_FAIL, "-d", "local"],
        ["poll", "--eval", "-d"],
        ["poll", "--eval=x"],
        ["poll", "--eval", "--eval", "stray"],
        ["poll", "--frobnicate", "local", "--eval"],
        ["poll", "-x", "--frobnicate=x", "--eval"],
        ["--color", "never", "poll", "--frobnicate", "--eval"],
        ["-d", "local", "--eval", "poll"],
        ["--timeout", "local", "poll", "--eval"],
        ["--frobnicate", "local", "poll", "--eval"],
        ["-d", "local", "pol", "--eval"],
        ["--", "pol", "--eval"],
        ["local", "poll", "--eval"],
        ["tasks", "--eval"],
        ["--eval"],
    ],
    ids=" ".join,
)
def test_every_mistake_with_eval_reaches_the_shell(in_process: InProcess, args: list[str]) -> None:
    """Wherever the mistake is, a shell that evaluates the output gets the exit code; a value is not a command."""
    result = in_process(*args)
    assert result.code == 2
    assert result.stdout.endswith("(exit 2)\n")


@pytest.mark.parametrize(
    "args",
    [
        ["poll", "-d", "y", "-t", "x", "--timeout", "soon", "--identity", "--eval"],
        ["poll", "-t", "x", "--timeout", "soon", "-d", "--eval"],
        ["-d", "--eval", "poll", "-t", "x", "--timeout", "soon"],
        ["-d", "poll", "fail", "--reason", "--eval"],
        ["-d", "poll", "--frobnicate", "fail", "--reason", "--eval"],
        ["poll", "-t", "x", "--", "--eval"],
        ["work", "-d", "y", "-t", "x", "--frobnicate", "--", "swf", "poll", "--eval"],
        ["work", "-d", "y", "-t", "x", "-j", "0", "swf", "poll", "--eval"],
    ],
    ids=" ".join,
)
def test_a_value_or_an_argument_is_no_eval(in_process: InProcess, args: list[str]) -> None:
    """A word `--eval` that is the value of an option, or an argument, makes no shell code of the output."""
    result = in_process(*args)
    assert (result.stdout, result.code) == ("", 2)


@pytest.mark.parametrize(
    ("args", "is_debug"),
    [
        (["--debug", "held"], True),
        (["-d", "poll", "held", "--debug", "--debug"], True),
        (["-vd", "--", "held", "--debug"], True),
        (["--", "held", "--debug"], True),
        (["held", "-d", "--debug"], False),
        (["--profile", "--debug", "held"], False),
        (["held", "--region=--debug"], False),
    ],
    ids=str,
)
def test_a_value_is_no_debug(in_process: InProcess, tmp_path: Path, args: list[str], is_debug: bool) -> None:
    """An error has a traceback if --debug is an option, not if it is the value of one."""
    (tmp_path / "file").touch()
    result = in_process(*args, SWF_STATE_DIR=str(tmp_path / "file"))
    assert result.code == 1
    assert ("Traceback" in result.stderr) is is_debug


WRONG_WORK = ("work", "-d", "y", "-t", "x", "-j", "0")


@pytest.mark.parametrize(
    ("args", "is_json"),
    [
        (["--profile", "poll", *WRONG_WORK, "--log-format", "json", "--", "true"], True),
        ([*WRONG_WORK, "--log-format", "text", "--log-format=json", "--", "true"], True),
        (["--frobnicate", "work", "--log-format", "json"], True),
        (["work", "--frobnicate", "x", "--log-format", "json", "--", "true"], True),
        (["wrok", "--log-format", "json"], True),
        ([*WRONG_WORK, "--log-format", "json", "--log-format", "text", "--", "true"], False),
        ([*WRONG_WORK, "--identity", "--log-format=json", "--", "true"], False),
        ([*WRONG_WORK, "true", "--log-format", "json"], False),
    ],
    ids=str,
)
def test_a_value_is_no_format_of_the_log(in_process: InProcess, args: list[str], is_json: bool) -> None:
    """An error is JSON if the last --log-format that is an option asks for it."""
    result = in_process(*args)
    assert result.code == 2
    if is_json:
        assert json.loads(result.stderr)["event"] == "error"
    else:
        assert result.stderr.startswith("swf: ")


def test_a_command_that_cannot_be_loaded(in_process: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is reported all the same, also to a shell that evaluates the output."""
    monkeypatch.setitem(sys.modules, "swf_cli.cli.commands.poll", None)
    result = in_process("-d", "local", "poll", "-t", "x", "--eval")
    assert (result.code, result.stdout.endswith("(exit 1)\n")) == (1, True)
    assert result.stderr.startswith("swf: unexpected ModuleNotFoundError: ")
