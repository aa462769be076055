"""Signals that end a process, wherever they come."""

import signal
import subprocess
import sys

import pytest

LOST = """
import signal, sys, time
from swf_cli.__main__ import _obey_signals
from swf_cli.errors import Signalled

class Lost:
    def __del__(self):
        signal.raise_signal(int(sys.argv[1]))

_obey_signals()
try:
    Lost()
    time.sleep(10)
except Signalled as end:
    print(end.number)
"""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_none_is_lost(number: int) -> None:
    """A signal that comes where Python ignores what is raised, such as a destructor, is heard a moment later."""
    done = subprocess.run(
        [sys.executable, "-c", LOST, str(int(number))], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.stderr) == (f"{int(number)}\n", "")


def test_other_errors_of_that_kind_are_told() -> None:
    """What else goes wrong there is told as ever."""
    script = LOST.replace("signal.raise_signal(int(sys.argv[1]))", "raise ValueError('oops')").replace("(10)", "(0)")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert "ValueError: oops" in done.stderr
