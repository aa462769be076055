"""Common options before and after a command's name, and help in sections."""

import re

import click
import pytest

from swf_cli.cli.app import SECTIONS, swf
from swf_cli.cli.command import AWS, OUTPUT, OWN, TASK, Command, Option
from tests.cli.conftest import InProcess
from tests.helpers.cli import invoke, run
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import error_line

COMMANDS = [name for section in SECTIONS.values() for name in section]
PENDING = "CountPendingActivityTasks"


@pytest.mark.parametrize(
    "args",
    [
        ["-d", "video", "-o", "text", "pending", "-t", "x"],
        ["--domain=video", "--output", "text", "pending", "-t", "x"],
        ["-dvideo", "-otext", "pending", "-t", "x"],
        ["-o", "text", "pending", "-d", "video", "-t", "x"],
        ["-d", "audio", "-o", "json", "pending", "-d", "video", "-t", "x", "-o", "text"],
        ["-d", "audio", "-d", "video", "-o", "text", "pending", "-t", "x"],
        ["-vd", "video", "--color", "never", "-o", "text", "pending", "-t", "x"],
    ],
)
def test_common_options_stand_before_or_after_the_command(
    stub: StubService, env: dict[str, str], args: list[str]
) -> None:
    """Common options mean the same on both sides of a command's name; of two, the last wins."""
    stub.reply(PENDING, {"count": 3})
    result = invoke(*args, env=env)
    assert (result.stdout, result.code) == ("3\n", 0), result.stderr
    assert stub.requests == [(PENDING, {"domain": "video", "taskList": {"name": "x"}})]


def test_a_common_option_before_the_command_wins_over_its_variable(stub: StubService, env: dict[str, str]) -> None:
    """A flag wins over the environment, wherever it stands."""
    stub.reply(PENDING, {"count": 3})
    variables = env | {"SWF_DOMAIN": "audio", "SWF_OUTPUT": "json"}
    assert run("-d", "video", "-o", "text", "pending", "-t", "x", env=variables).stdout == "3\n"
    assert stub.requests[0][1]["domain"] == "video"


@pytest.mark.parametrize(
    "args",
    [
        ["-d", "video", "local", "schedule", "-t", "x", "--activity", "a"],
        ["local", "-d", "video", "schedule", "-t", "x", "--activity", "a"],
        ["--region", "r", "local", "schedule", "-t", "x", "--activity", "a", "-d", "video"],
    ],
)
def test_common_options_pass_through_a_group_within(in_process: InProcess, args: list[str]) -> None:
    """Common options reach a command of `swf local` from before either name: what is missing is credentials."""
    error_line(in_process(*args, AWS_REGION="us-east-1"), 7, "credentials")


@pytest.mark.parametrize(
    "args",
    [["help", "exit-codes"], ["completion", "bash"], ["local", "run", "--", "true"], ["local", "demo", "--help"]],
)
def test_a_command_without_a_use_for_common_options(in_process: InProcess, args: list[str]) -> None:
    """With an alias such as `swf --profile prod`, every command works."""
    assert in_process("--profile", "prod", "-o", "json", "-v", *args).code == 0


def test_an_unknown_option_behind_the_command(in_process: InProcess) -> None:
    """There it was meant for this command."""
    error_line(in_process("completion", "--profile", "prod", "bash"), 2, "`swf completion` has no option --profile")


@pytest.mark.parametrize(("variable", "value"), [("SWF_DOMAIN", "d" * 300), ("SWF_OUTPUT", "yaml")])
def test_a_group_reads_no_variables(in_process: InProcess, variable: str, value: str) -> None:
    """A bad value of a variable does not disturb a command that has no use for it."""
    assert in_process("help", "exit-codes", **{variable: value}).code == 0


def test_common_options_alone_are_no_command(in_process: InProcess) -> None:
    """Options without a command print the help on stderr, exit code 2."""
    for args in ((), ("-d", "video"), ("local", "-d", "video")):
        result = in_process(*args)
        assert (result.stdout, result.code) == ("", 2)
        assert result.stderr.startswith("Usage: swf ")


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "local"])
def test_help_groups_the_options(in_process: InProcess, name: str) -> None:
    """A command's own options come first, then those that name a task, AWS's and the output's, in that order."""
    command = swf.get_command(click.Context(swf), name)
    assert isinstance(command, Command)
    text = in_process(name, "--help").stdout
    titles = re.findall(r"^(\w+):$", text, re.MULTILINE)
    expected = {param.section for param in command.params if isinstance(param, Option)} | {OWN}
    assert titles == [title for title in (OWN, TASK, AWS, OUTPUT) if title in expected]
    for param in command.params:
        if isinstance(param, Option):
            start = text.index(f"\n{param.section}:\n")
            section = text[start : text.find("\n\n", start + 1)]
            assert re.search(rf"^  (-\w, )?{max(param.opts, key=len)}\b", section, re.MULTILINE), param.opts
            assert not re.search(r"^  [^ -]", section, re.MULTILINE)


def test_help_of_stuck_fits_two_screens(in_process: InProcess) -> None:
    """`swf stuck --help` has at most 48 lines of 80 columns."""
    lines = in_process("stuck", "--help", COLUMNS="80").stdout.splitlines()
    assert len(lines) <= 48
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "local"])
def test_the_style_of_help(name: str) -> None:
    """Every option has a text that ends as a sentence does; a number's metavar is N; a repeatable option says so."""
    command = swf.get_command(click.Context(swf), name)
    assert command is not None
    for param in command.params:
        if not isinstance(param, click.Option):
            continue
        text = param.help or ""
        assert text[:1].isupper(), (param.opts, text)
        assert text.endswith("."), (param.opts, text)
        if param.type.name == "n":
            assert param.metavar in (None, "PID")  # None: the name of the type
        if param.multiple and param.name == "task_lists":
            assert text.endswith("Can be passed multiple times.")


def test_a_bad_common_option_before_the_command_is_the_commands_error(in_process: InProcess) -> None:
    """A bad value given before the command is reported with the hint to see that command's help."""
    hint = error_line(in_process("--color", "green", "held"), 2, "--color: 'green' is not one of auto, always, never")
    assert hint == "see `swf held --help`"
