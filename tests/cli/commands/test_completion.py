"""Completion scripts, and what the shells get from them."""

import socket
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from tests.helpers.cli import SWF, Result, invoke, run, shell, wait_until
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import installed

SCRIPTS = {"bash": "swf.bash", "zsh": "_swf", "fish": "swf.fish"}
COMPLETIONS = Path(__file__).parents[3] / "completions"


def _complete(*words: str, env: dict[str, str], runner: Callable[..., Result] = invoke) -> Result:
    """Ask as fish and zsh ask, with the last of the words incomplete."""
    return runner(*words, env=env | {"_SWF_COMPLETE": "fish"})


def _complete_domain(*words: str, env: dict[str, str]) -> Result:
    """Do so in a process of its own, which ends itself if SWF does not respond in time."""
    return _complete(*words, env=env, runner=run)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_in_the_repository_are_the_generated_ones(bare_env: dict[str, str], name: str) -> None:
    """`swf completion SHELL` prints the script that the repository has in completions/."""
    expected = (COMPLETIONS / SCRIPTS[name]).read_text(encoding="utf-8")
    assert run("completion", name, env=bare_env) == Result(expected, "", 0)


LOADED = {
    # Completes `swf pe` as bash would on TAB.
    "bash": "source {}; complete -p swf > /dev/null; COMP_LINE='swf pe'; COMP_POINT=6; _swf;"
    ' echo "${{COMPREPLY[@]}}"',
    "zsh": "autoload -U compinit; compinit -D -u; source {}; [[ $_comps[swf] = _swf ]] && echo pending",
    "fish": "source {}; complete -C 'swf pe' | string split -f 1 \\t",
}


@pytest.mark.parametrize("name", installed(*SCRIPTS))
def test_a_real_shell_loads_the_script(bare_env: dict[str, str], name: str) -> None:
    """The shell takes the script, and a shell that can be asked completes a command with it."""
    result = shell(LOADED[name].format(f"'{COMPLETIONS / SCRIPTS[name]}'"), env=bare_env, program=name)
    assert result == Result("pending\n", "", 0)


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["p"], ["poll", "pending"]),
        (["c"], ["complete", "cancel", "completion"]),
        (["--v"], ["--version", "--verbose"]),
        (["--profile", "w"], ["west", "work"]),
        (["--region", "x", "pe"], ["pending"]),
        (["poll", "--ti"], ["--timeout"]),
        (["fail", "--d"], ["--details", "--details-file", "--domain", "--debug"]),
        (["pending", "--output", ""], ["table", "json", "text"]),
        (["pending", "-o", "j"], ["json"]),
        (["pending", "--color", "a"], ["auto", "always"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["help", "ex"], ["exit-codes"]),
        (["help", "st"], ["stuck"]),
        (["help", "local", "s"], ["serve", "schedule"]),
        (["poll", "--profile", "w"], ["west", "work"]),
    ],
)
def test_commands_options_and_fixed_values_are_completed(
    bare_env: dict[str, str], tmp_path: Path, words: list[str], values: list[str]
) -> None:
    """Commands, options, fixed values, and the profiles of AWS's config and credentials files are completed."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(
        "[default]\n[profile work]\n[profile other]\n[sso-session wrong]\n[services wrong]\n"
    )
    (tmp_path / ".aws" / "credentials").write_text("[west]\n")
    result = _complete(*words, env=bare_env)
    assert [line.split("\t")[1] for line in result.stdout.splitlines()] == values
    assert (result.stderr, result.code) == ("", 0)


@pytest.mark.parametrize("words", [["help", "no-such-command", ""], ["help", "poll", ""]])
def test_nothing_is_completed_after_a_mistake(bare_env: dict[str, str], words: list[str]) -> None:
    """After a word that leads nowhere nothing is completed, and nothing is said."""
    assert _complete(*words, env=bare_env) == Result("", "", 0)


def test_profiles_come_from_the_files_that_the_variables_name(bare_env: dict[str, str], tmp_path: Path) -> None:
    """AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE say where profiles are; a broken file holds none."""
    (tmp_path / "c").write_text('[default]\n[profile "two words"]\n')
    (tmp_path / "broken").write_bytes(b"\xff[no section\n")
    variables = {"AWS_CONFIG_FILE": str(tmp_path / "c"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "broken")}
    result = _complete("poll", "--profile", "", env=bare_env | variables)
    assert result == Result("value\tdefault\nvalue\ttwo words\n", "", 0)


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["--", "x-res"], ["value\tx-resize", "value\tx-resize-all"]),
        (["x-res"], ["value\tx-resize", "value\tx-resize-all"]),
        (["--", "./x-res"], ["path"]),
        (["--", "x-resize", "x-res"], ["path"]),
        (["--", "sh", "-c", "x-res"], ["path"]),
    ],
)
@pytest.mark.parametrize("command", [("work", "-d", "video", "-t", "x"), ("local", "run", "-d", "video")])
def test_a_command_to_run_is_completed(
    bare_env: dict[str, str], tmp_path: Path, command: tuple[str, ...], words: list[str], values: list[str]
) -> None:
    """With the programs on the PATH, each once; a path and a program's arguments with files."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for name, mode in {
            "x-resize": 0o755,
            "x-resize-all": 0o755,
            "x-render": 0o755,
            "x-resize.txt": 0o644,
        }.items():
            (tmp_path / folder / name).touch(mode)
        (tmp_path / folder / "x-resize.d").mkdir()
    path = f"{tmp_path}/a:{tmp_path}/missing:{tmp_path}/b:{bare_env['PATH']}"
    result = _complete(*command, *words, env=bare_env | {"PATH": path})
    assert result.stdout.splitlines() == values


def test_domains_come_from_swf(stub: StubService, env: dict[str, str]) -> None:
    """--domain is completed with the registered domains, asked for as the other options on the line say."""
    stub.reply(
        "ListDomains", {"domainInfos": [{"name": n, "status": "REGISTERED"} for n in ("video", "audio", "vast")]}
    )
    variables = env | {"AWS_ENDPOINT_URL_SWF": "http://127.0.0.1:1"}
    expected = Result("value\tvideo\nvalue\tvast\n", "", 0)
    # A machine that is too busy to answer within the two seconds completes nothing: then it is asked again.
    wait_until(lambda: _complete_domain("pending", "--endpoint-url", stub.url, "-d", "v", env=variables) == expected)
    assert stub.requests[0] == ("ListDomains", {"registrationStatus": "REGISTERED"})


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_REGION": ""},
        {"AWS_SECRET_ACCESS_KEY": ""},
        {"AWS_PROFILE": "nobody"},
        {"AWS_ENDPOINT_URL_SWF": "nowhere"},
        {},
    ],
)
def test_domains_are_silent_on_any_failure(stub: StubService, env: dict[str, str], variables: dict[str, str]) -> None:
    """No region, no credentials, no such profile, no URL, a refusal of SWF's: nothing is completed, nothing said."""
    stub.fault("ListDomains", "OperationNotPermittedFault", "no")
    result = _complete_domain("pending", "-d", "", env=env | variables)
    assert (result.stdout.strip(), result.stderr, result.code) == ("", "", 0)


@pytest.mark.parametrize("listens", [True, False])
def test_domains_are_not_waited_for(aws_env: dict[str, str], listens: bool) -> None:
    """An endpoint that never answers, or refuses, completes nothing: the process ends by itself, silently."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listens:
            silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        result = _complete_domain("pending", "-d", "", env=aws_env | {"AWS_ENDPOINT_URL_SWF": url})
    assert (result.stdout.strip(), result.stderr, result.code) == ("", "", 0)


def test_completion_asks_nobody_for_an_mfa_code(stub: StubService, bare_env: dict[str, str], tmp_path: Path) -> None:
    """With a profile that needs an MFA code, completion gives nothing rather than ask for it on the terminal."""
    config = tmp_path / "config"
    config.write_text(
        "[profile admin]\nregion = us-east-1\nrole_arn = arn:aws:iam::123456789012:role/admin\n"
        "source_profile = base\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n"
        "[profile base]\naws_access_key_id = A\naws_secret_access_key = S\n"
    )
    variables = {"AWS_CONFIG_FILE": str(config), "AWS_ENDPOINT_URL": stub.url}
    # Its controlling terminal, which is where it would ask.
    words = ["pending", "--profile", "admin", "-d", ""]
    environ = {**bare_env, **variables, "_SWF_COMPLETE": "fish"}
    child = pexpect.spawn(SWF, words, env=environ, encoding="utf-8", timeout=60)
    shown = child.read()
    child.close()
    assert (shown.strip(), child.exitstatus) == ("", 0)
    assert stub.requests == []
