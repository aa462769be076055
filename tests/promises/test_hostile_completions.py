"""Completion with names that others chose: after TAB and Enter nothing ran, and the command got the very name."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.helpers.cli import SWF
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import installed

COMPLETIONS = Path(__file__).parents[2] / "completions"
SHELLS = {
    "bash": ("bash --norc --noprofile -i", f"source {COMPLETIONS}/swf.bash"),
    "zsh": ("zsh -f -i", f"autoload -U compinit; compinit -D -u; source {COMPLETIONS}/_swf"),
    "fish": ("fish --no-config -i", f"source {COMPLETIONS}/swf.fish"),
}

# Each begins with a character of its own, and is completed from it.
NAMES = (
    "a$(touch ran)",
    "b`touch ran`",
    "c;touch ran;",
    "d&touch ran&",
    "e|touch ran",
    "f>ran",
    "g it's",
    'h"touch ran"',
    "i\\n\\",
    "j!!",
    "k{touch,ran}",
    "l*",
    "m:n=o",
    "p#q~",
    "r ${HOME} é😀",
)
UNSEEN = ("0\x1b]2;x\x07", "1\u202ex", "2\u200bx")
"""Names that are not offered."""


class Shell:
    """An interactive shell on a terminal; its `swf` completes, and otherwise only records its arguments."""

    def __init__(self, name: str, folder: Path, env: dict[str, str]) -> None:
        program = folder / "bin" / "swf"
        program.parent.mkdir()
        program.write_text(
            f'#!/bin/sh\n[ -z "$_SWF_COMPLETE" ] || exec {SWF} "$@"\nprintf "%s\\0" "$@" > {folder}/new\n'
            f"mv {folder}/new {folder}/arguments\n"
        )
        program.chmod(0o755)
        self._recorded = folder / "arguments"
        command, setup = SHELLS[name]
        environ = {**os.environ, **env, "PATH": f"{program.parent}:{env['PATH']}"}
        environ = {name: value for name, value in environ.items() if name != "PROMPT_COMMAND"}
        self._child = pexpect.spawn(
            command, env=environ, cwd=str(folder), encoding="utf-8", timeout=30, dimensions=(40, 200)
        )
        self._child.sendline(setup)
        assert self.run("swf ready") == ["ready"]

    def run(self, line: str) -> list[str] | None:
        """Type a line and Enter; return the arguments that `swf` got, None if it was not run."""
        self._recorded.unlink(missing_ok=True)
        self._child.send(line + "\r")
        end = time.monotonic() + 30
        while not self._recorded.exists():
            assert time.monotonic() < end, f"{line!r} ran nothing"
            try:
                self._child.read_nonblocking(65_536, 0.02)
            except pexpect.TIMEOUT:
                continue
        return self._recorded.read_text().split("\0")[:-1]

    def close(self) -> None:
        """End it."""
        self._child.close(force=True)


@pytest.fixture(params=installed(*SHELLS))
def shell(request: pytest.FixtureRequest, tmp_path: Path, env: dict[str, str]) -> Iterator[Shell]:
    """Each shell, with profiles of hostile names."""
    credentials = tmp_path / "credentials"
    credentials.write_text("".join(f"[{name}]\n" for name in (*NAMES, *UNSEEN)), "utf-8")
    shell = Shell(request.param, tmp_path, env | {"AWS_SHARED_CREDENTIALS_FILE": str(credentials)})
    yield shell
    shell.close()


def test_profiles(shell: Shell, tmp_path: Path) -> None:
    """Each hostile name of a profile is one argument, byte for byte; none that is not seen is inserted."""
    completed = [shell.run(f"swf pending --profile {name[0]}\t") for name in NAMES]
    assert completed == [["pending", "--profile", name] for name in NAMES]
    completed = [shell.run(f"swf pending --profile '{name[0]}\t'") for name in UNSEEN]
    assert completed == [["pending", "--profile", name[0]] for name in UNSEEN]
    assert not list(tmp_path.glob("*ran*"))


def test_open_quotes_and_files(shell: Shell, tmp_path: Path) -> None:
    """Behind an open quote a name is inserted so that the quote protects it.

    Files are completed as a word of their own, and behind the = of an option.
    """
    for quote in ("'", '"'):
        assert shell.run(f"swf pending --profile {quote}a\t") == ["pending", "--profile", NAMES[0]]
    assert not list(tmp_path.glob("*ran*"))
    (tmp_path / "task=1 of 2.json").touch()
    for option in ("--task", "--result-file"):
        assert shell.run(f"swf complete {option} ta\t") == ["complete", option, "task=1 of 2.json"]
        assert shell.run(f"swf complete {option}=ta\t") == ["complete", f"{option}=task=1 of 2.json"]


def test_domains(shell: Shell, tmp_path: Path, stub: StubService) -> None:
    """So are the names of the domains of the account."""
    name = "v'$(touch ran);`touch ran` \\"
    stub.reply("ListDomains", {"domainInfos": [{"name": name, "status": "REGISTERED"}]})
    for _ in range(5):  # a busy machine completes nothing within the two seconds
        completed = shell.run("swf pending -d v\t")
        if completed != ["pending", "-d", "v"]:
            break
    assert completed == ["pending", "-d", name]
    assert not list(tmp_path.glob("*ran*"))
