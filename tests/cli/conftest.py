"""A runner of the command line within the test's process: for tables of options and errors."""

from collections.abc import Callable

import pytest

from swf_cli.cli.app import run
from tests.helpers.cli import Result, logging_restored

InProcess = Callable[..., Result]


@pytest.fixture
def in_process(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> InProcess:
    """Return a function that runs `swf` in this process; variables are set for this and later runs of the test."""

    def swf(*args: str, **variables: str) -> Result:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with logging_restored():
            code = run(args)
        return Result(*capfd.readouterr(), code)

    return swf
