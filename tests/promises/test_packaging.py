"""What the package declares agrees with what is tested and shipped."""

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_the_lowest_versions_are_those_that_are_tested() -> None:
    """The tests with the lowest versions pin each dependency to the lower bound that the package declares."""
    declared = [re.sub(r">=([\d.]+),.*", r" \1", dependency) for dependency in PROJECT["project"]["dependencies"]]
    tested = [pin.replace("==", " ") for pin in PROJECT["tool"]["tox"]["env"]["lowest"]["deps"]]
    assert [_padded(bound) for bound in declared] == [_padded(pin) for pin in tested if not pin.startswith("boto3 ")]


def _padded(requirement: str) -> tuple[str, list[int]]:
    name, version = requirement.split()
    numbers = [int(number) for number in version.split(".")]
    return name, numbers + [0] * (3 - len(numbers))


def test_the_classifiers_are_the_pythons_that_are_tested() -> None:
    """Each Python that a classifier names is one that tox runs, from the oldest that may be installed on."""
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    assert named == [name for name in PROJECT["tool"]["tox"]["env_list"] if name != "lowest"]
    assert PROJECT["project"]["requires-python"] == f">={named[0]}"


def test_the_completion_scripts_are_shipped() -> None:
    """The wheel puts each completion script where its shell looks."""
    shipped = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert sorted(shipped) == sorted(f"completions/{path.name}" for path in (ROOT / "completions").iterdir())
