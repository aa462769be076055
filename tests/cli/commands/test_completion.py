"""Completion scripts, and what the shells get from them."""

import socket
import time
from pathlib import Path

import pexpect
import pytest

from tests.helpers.cli import SWF, Result, run, shell
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import error_line, installed

SCRIPTS = {"bash": "swf.bash", "zsh": "_swf", "fish": "swf.fish"}
COMPLETIONS = Path(__file__).parents[3] / "completions"


def _complete(*words: str, env: dict[str, str]) -> Result:
    """Ask as bash asks, with the last of the words incomplete."""
    asked = {"_SWF_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["swf", *words]), "COMP_CWORD": str(len(words))}
    return run(env=env | asked)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_in_the_repository_are_the_generated_ones(bare_env: dict[str, str], name: str) -> None:
    """`swf completion SHELL` prints the script that the repository has in completions/."""
    expected = (COMPLETIONS / SCRIPTS[name]).read_text(encoding="utf-8")
    assert run("completion", name, env=bare_env) == Result(expected, "", 0)


LOADED = {
    # Completes `swf pe` as bash would on TAB.
    "bash": "source {}; complete -p swf > /dev/null; COMP_WORDS=(swf pe); COMP_CWORD=1; _swf_completion swf;"
    ' echo "${{COMPREPLY[@]}}"',
    "zsh": "autoload -U compinit; compinit -D -u; source {}; [[ $_comps[swf] = _swf_completion ]] && echo pending",
    "fish": "source {}; complete -C 'swf pe' | string split -f 1 \\t",
}


@pytest.mark.parametrize("name", installed(*SCRIPTS))
def test_a_real_shell_loads_the_script(bare_env: dict[str, str], name: str) -> None:
    """The shell takes the script, and a shell that can be asked completes a command with it."""
    result = shell(LOADED[name].format(f"'{COMPLETIONS / SCRIPTS[name]}'"), env=bare_env, program=name)
    assert result == Result("pending\n", "", 0)


def test_a_shell_that_is_none_of_the_three(bare_env: dict[str, str]) -> None:
    """Another shell is wrong usage, and the line names the three."""
    error_line(run("completion", "tcsh", env=bare_env), 2, "tcsh", "bash", "zsh", "fish")


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["p"], ["poll", "pending"]),
        (["c"], ["complete", "cancel", "completion"]),
        (["--v"], ["--version"]),
        (["poll", "--ti"], ["--timeout"]),
        (["fail", "--d"], ["--details", "--details-file", "--domain", "--debug"]),
        (["pending", "--output", ""], ["table", "json", "text"]),
        (["pending", "-o", "j"], ["json"]),
        (["pending", "--color", "a"], ["auto", "always"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
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
    assert [line.partition(",")[2] for line in result.stdout.splitlines()] == values
    assert (result.stderr, result.code) == ("", 0)


def test_profiles_come_from_the_files_that_the_variables_name(bare_env: dict[str, str], tmp_path: Path) -> None:
    """AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE say where profiles are; a broken file holds none."""
    (tmp_path / "c").write_text('[default]\n[profile "two words"]\n')
    (tmp_path / "broken").write_bytes(b"\xff[no section\n")
    variables = {"AWS_CONFIG_FILE": str(tmp_path / "c"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "broken")}
    result = _complete("poll", "--profile", "", env=bare_env | variables)
    assert result == Result("plain,default\nplain,two words\n", "", 0)


def test_domains_come_from_swf(stub: StubService, env: dict[str, str]) -> None:
    """--domain is completed with the registered domains, asked for as the other options on the line say."""
    stub.reply(
        "ListDomains", {"domainInfos": [{"name": n, "status": "REGISTERED"} for n in ("video", "audio", "vast")]}
    )
    variables = env | {"AWS_ENDPOINT_URL_SWF": "http://127.0.0.1:1"}
    result = _complete("pending", "--endpoint-url", stub.url, "--domain", "v", env=variables)
    assert result == Result("plain,video\nplain,vast\n", "", 0)
    assert stub.requests == [("ListDomains", {"registrationStatus": "REGISTERED"})]


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
    result = _complete("pending", "-d", "", env=env | variables)
    assert (result.stdout.strip(), result.stderr, result.code) == ("", "", 0)


@pytest.mark.parametrize("listens", [True, False])
def test_domains_are_waited_for_two_seconds_at_most(aws_env: dict[str, str], listens: bool) -> None:
    """An endpoint that never answers, or refuses, holds the shell for two seconds at most, and nothing is said."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listens:
            silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        result = _complete("pending", "-d", "", env=aws_env | {"AWS_ENDPOINT_URL_SWF": url})
    assert (result.stdout.strip(), result.stderr, result.code) == ("", "", 0)
    assert time.monotonic() - started < 5  # two, and what a process may take to start on a busy machine


def test_completion_asks_nobody_for_an_mfa_code(stub: StubService, bare_env: dict[str, str], tmp_path: Path) -> None:
    """With a profile that needs an MFA code, completion gives nothing rather than ask for it on the terminal."""
    config = tmp_path / "config"
    config.write_text(
        "[profile admin]\nregion = us-east-1\nrole_arn = arn:aws:iam::123456789012:role/admin\n"
        "source_profile = base\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n"
        "[profile base]\naws_access_key_id = A\naws_secret_access_key = S\n"
    )
    asked = {"_SWF_COMPLETE": "bash_complete", "COMP_WORDS": "swf pending --profile admin -d ", "COMP_CWORD": "5"}
    variables = {"AWS_CONFIG_FILE": str(config), "AWS_ENDPOINT_URL": stub.url}
    # Its controlling terminal, which is where it would ask.
    child = pexpect.spawn(SWF, env={**bare_env, **variables, **asked}, encoding="utf-8", timeout=20)
    shown = child.read()
    child.close()
    assert (shown.strip(), child.exitstatus) == ("", 0)
    assert stub.requests == []
