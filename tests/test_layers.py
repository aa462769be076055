"""The rules of the house on which room imports which, held by a linter."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the package and its rules, to break."""
    shutil.copytree(ROOT / "swf_cli", tmp_path / "swf_cli", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def _lint(house: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache"],
        cwd=house,
        env={**os.environ, "PYTHONPATH": str(house), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_house_keeps_its_rules(house: Path) -> None:
    """As it stands, no room imports one above it, and each knows only what it may."""
    result = _lint(house)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("room", "line", "rule"),
    [
        ("models.py", "from . import api", "A room imports only rooms below it"),
        ("errors.py", "from .render import plain", "A room imports only rooms below it"),
        ("tasks.py", "from .answers import complete", "A room imports only rooms below it"),
        ("tasks.py", "import click", "Only the commands know click"),
        ("render.py", "import click", "Only the commands know click"),
        ("tasks.py", "import botocore.session", "Only the client knows botocore"),
        ("commands/pending.py", "import botocore.session", "Only the client knows botocore"),
        ("commands/pending.py", "import rich", "Only render and views know rich"),
        ("polling.py", "def late() -> None:\n    import jmespath", "Only render and views know rich"),
        ("attic.py", "", "A room imports only rooms below it"),
    ],
)
def test_a_broken_rule_is_found(house: Path, room: str, line: str, rule: str) -> None:
    """An import upward, a library in a room that must not know it, or a room that has no place: the linter fails."""
    with (house / "swf_cli" / room).open("a") as file:
        file.write(f"\n{line}\n")
    result = _lint(house)
    assert result.returncode != 0
    assert rule in result.stdout
