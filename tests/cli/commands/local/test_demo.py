"""`swf local demo`, as a process."""

import json
import re
from pathlib import Path

import pytest

from swf_cli.local import demo
from tests.helpers.cli import invoke, run
from tests.helpers.terminal import invoke_on_terminal


def test_it_walks_through_the_main_job(bare_env: dict[str, str], tmp_path: Path) -> None:
    """Whatever the user's settings are, it shows each command and its output, and leaves nothing behind."""
    settings = {"SWF_OUTPUT": "text", "SWF_LEDGER": "off", "SWF_TASK_LIST": "another"}
    (tmp_path / "tmp").mkdir()
    env = {**bare_env, **settings, "TMPDIR": str(tmp_path / "tmp"), "PATH": "/usr/bin:/bin"}
    result = run("local", "demo", env=env)
    assert result.code == 0, result.stderr
    shown = dict(re.findall(r"^\$ (.*)\n((?:[^#$\n].*\n)*)", result.stdout, re.MULTILINE))
    assert list(shown) == [command for _, command in demo.STEPS]
    assert all(f"# {why}\n" in result.stdout for why, _ in demo.STEPS)
    counts = [json.loads(text.splitlines()[0])["count"] for command, text in shown.items() if "pending" in command]
    assert counts == [1, 0]
    assert json.loads(shown["swf held"])[0]["id"] == "resize-1"
    assert '{"cancel_requested": false}' in result.stdout
    assert result.stdout.endswith(f"[]\n\n{demo.END}")
    assert list((tmp_path / "tmp").iterdir()) == []
    assert invoke("held", env=bare_env).json == []


def test_a_terminal_is_that_of_the_steps(monkeypatch: pytest.MonkeyPatch, bare_env: dict[str, str]) -> None:
    """On a terminal the commands print on it, tables for instance."""
    monkeypatch.setattr(demo, "STEPS", (("One.", "test -t 1"),))
    result = invoke_on_terminal("local", "demo", env=bare_env)
    assert (result.code, result.stderr) == (0, "")


def test_it_stops_at_a_step_that_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bare_env: dict[str, str]
) -> None:
    """A step that fails is the last one, and its exit code is returned."""
    monkeypatch.setattr(demo, "STEPS", (("One.", "true"), ("Two.", "exit 3"), ("Three.", "true")))
    shown: list[str] = []
    assert demo.walk(bare_env, str(tmp_path), shown.append) == 3
    assert "".join(shown) == "# One.\n$ true\n\n# Two.\n$ exit 3\n"
