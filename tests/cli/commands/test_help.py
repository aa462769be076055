"""What `swf` says about itself: help, version, and the form of its usage errors."""

import re

import pytest

from swf_cli import __version__
from swf_cli.cli.app import SECTIONS, swf
from tests.helpers.cli import Result, invoke, run
from tests.helpers.terminal import error_line

COMMANDS = {name: line for section in SECTIONS.values() for name, line in section.items()}
VARIABLES = {
    "poll": {"--domain": "SWF_DOMAIN", "--task-list": "SWF_TASK_LIST", "--identity": "SWF_IDENTITY"},
    "work": {"--domain": "SWF_DOMAIN", "--task-list": "SWF_TASK_LIST", "--identity": "SWF_IDENTITY"},
    "pending": {"--domain": "SWF_DOMAIN", "--task-list": "SWF_TASK_LIST"},
    "tasks": {"--domain": "SWF_DOMAIN"},
    "stuck": {"--domain": "SWF_DOMAIN", "--task-list": "SWF_TASK_LIST"},
    "held": {},
    **{name: {"--token": "SWF_TASK_TOKEN"} for name in ("complete", "fail", "cancel", "heartbeat")},
}
COMMON = {
    "--output": "SWF_OUTPUT",
    "--profile": "AWS_PROFILE",
    "--region": "AWS_REGION",
    "--endpoint-url": "AWS_ENDPOINT_URL_SWF",
}


DEFAULTS = {
    **{(name, "--retry-for"): "60s" for name in ("complete", "fail", "cancel")},
    ("pending", "--interval"): "5s",
    ("stuck", "--older-than"): "10m",
    ("stuck", "--rate"): "30",
    ("work", "--jobs"): "1",
    ("work", "--heartbeat"): "auto",
    ("work", "--grace"): "10s",
    ("work", "--orphans"): "fail",
    ("work", "--log-format"): "text",
}
"""What scripts that do not give an option rely on."""


def _options(help_text: str) -> dict[str, str]:
    """Return what a help says of each option, by its long name."""
    entries = re.findall(r"^  (-.*\n(?:    .*\n)*)", help_text, re.MULTILINE)
    return {re.findall(r"--[a-z-]+", entry)[0]: " ".join(entry.split()) for entry in entries}


def test_help_groups_the_commands_by_purpose(bare_env: dict[str, str]) -> None:
    """`swf --help` shows every command with its sentence, under a heading that tells what it is for."""
    for flag in ("--help", "-h"):
        result = run(flag, env=bare_env)
        assert (result.stderr, result.code) == ("", 0)
        at = -1
        for title, commands in SECTIONS.items():
            section = result.stdout.index(f"\n{title}:\n")
            assert section > at
            for name, line in commands.items():
                at = result.stdout.index(f"\n  {name} ", section)
                assert re.match(rf"{name} +{re.escape(line)}\n", result.stdout[at + 3 :])


@pytest.mark.parametrize(("command", "option"), DEFAULTS)
def test_defaults(bare_env: dict[str, str], command: str, option: str) -> None:
    """Help shows the default of an option, which is part of the interface."""
    shown = _options(invoke(command, "--help", env=bare_env).stdout)[option]
    assert f"default: {DEFAULTS[command, option]}]" in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_what_may_be_copied_from_help_is_whole(bare_env: dict[str, str], command: str) -> None:
    """No option is broken at its hyphens, and only commands are longer than a terminal is wide."""
    lines = invoke(command, "--help", env={**bare_env, "COLUMNS": "80"}).stdout.splitlines()
    assert [line for line in lines if re.search(r"--[a-z-]*-$", line)] == []
    assert [line for line in lines if len(line) > 80 and " swf " not in line] == []


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "local"])  # a group: see its own tests
def test_every_command_teaches_itself(bare_env: dict[str, str], command: str) -> None:
    """A command's help has its sentence in the group's help, the variable of each option, and an example."""
    result = invoke(command, "--help", env=bare_env)
    assert (result.stderr, result.code) == ("", 0)
    assert f"\n  {COMMANDS[command]}\n" in result.stdout
    assert re.search(rf"\n  Examples?:\n(    .*\n)*?    .*\bswf {command}\b", result.stdout)
    if command in ("completion", "help"):
        return
    options = _options(result.stdout)
    for option, variable in (VARIABLES[command] | COMMON).items():
        assert re.search(rf"\[env var: {variable}\b", options[option]), options[option]
    assert {"--domain", "--query", "--verbose", "--debug", "--help"} <= options.keys()


def test_the_table_of_commands_is_that_of_the_commands() -> None:
    """Each command that the group lists loads, has that name, and no other sentence as its own help."""
    import click

    ctx = click.Context(swf)
    assert isinstance(swf, click.Group)
    for name, line in COMMANDS.items():
        command = swf.get_command(ctx, name)
        assert command is not None
        assert command.name == name
        assert (command.help or "").splitlines()[0] == line


def test_version_is_one_line(bare_env: dict[str, str]) -> None:
    """`swf --version` prints the version, as the package has it."""
    assert run("--version", env=bare_env) == Result(f"swf {__version__}\n", "", 0)


def test_no_command_shows_the_help_as_wrong_usage(bare_env: dict[str, str]) -> None:
    """`swf` alone explains itself on stderr and exits 2."""
    result = run(env=bare_env)
    assert (result.stdout, result.code) == ("", 2)
    assert result.stderr == run("--help", env=bare_env).stdout


@pytest.mark.parametrize(
    "arguments", [["\x1b[31m[red]x[/red]"], ["completion"], ["completion", "tcsh"], ["poll", b"\xff"]]
)
def test_wrong_usage_is_one_clean_line(bare_env: dict[str, str], arguments: list[str | bytes]) -> None:
    """Whatever is wrong with the arguments is one line, without escaped line breaks."""
    result = invoke(*arguments, env=bare_env)
    error_line(result, 2)
    assert "\\n" not in result.stderr
