"""Terminals to run `swf` on, and the form that an error must have."""

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import termios
import threading
import tty
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.cli import SWF, Result, invoke_with

_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# What text from outside must not send to a terminal: C0 (except line feeds), DEL, C1, bidirectional controls.
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


FULL_DEVICE = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
"""Marks a test that needs a file that is always full."""


def installed(*programs: str) -> list[Any]:
    """Return programs as parameters of a test, which is skipped for those that are not installed."""
    return [
        pytest.param(program, marks=pytest.mark.skipif(shutil.which(program) is None, reason=f"no {program}"))
        for program in programs
    ]


def on_terminal(
    *args: str,
    env: Mapping[str, str],
    columns: int = 80,
    stdout: bool = True,
    stderr: bool = False,
    stdin: str = "",
    timeout: float = 60,
) -> Result:
    """Run `swf` with stdout, stderr or both on their own terminals (raw, without echo), the rest in pipes."""
    with _Outputs(stdout, stderr, columns) as outputs:
        out, err = outputs.descriptors
        process = subprocess.Popen([SWF, *args], env=dict(env), stdin=subprocess.PIPE, stdout=out, stderr=err)
        try:
            process.communicate(stdin.encode(), timeout=timeout)
        finally:
            process.kill()
            process.wait()
    return outputs.result(process.returncode)


def invoke_on_terminal(
    *args: str, env: Mapping[str, str], columns: int = 80, stdout: bool = True, stderr: bool = False
) -> Result:
    """Run the command line in this process, its outputs as with `on_terminal`, its stdin empty; see `invoke`."""
    with _Outputs(stdout, stderr, columns) as outputs, Path(os.devnull).open("rb") as nothing:
        code = invoke_with((nothing.fileno(), *outputs.descriptors), *args, env=env)
    return outputs.result(code)


class _Outputs:
    """Two terminals or pipes, for stdout and stderr, and what is written to them until the end of the block."""

    def __init__(self, stdout: bool, stderr: bool, columns: int) -> None:
        pairs = [self._open(is_terminal, columns) for is_terminal in (stdout, stderr)]
        self.descriptors = [output for _, output in pairs]
        self._read = [bytearray(), bytearray()]
        self._masters = [master for master, _ in pairs]
        self._readers = [
            threading.Thread(target=drain, args=pair) for pair in zip(self._masters, self._read, strict=True)
        ]

    @staticmethod
    def _open(is_terminal: bool, columns: int) -> tuple[int, int]:
        if not is_terminal:
            return os.pipe()
        master, output = pty.openpty()
        tty.setraw(output)
        fcntl.ioctl(output, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        return master, output

    def __enter__(self) -> "_Outputs":
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        for output in self.descriptors:
            os.close(output)
        for reader in self._readers:
            reader.join()
        for master in self._masters:
            os.close(master)

    def result(self, code: int) -> Result:
        """Return what was written, and an exit code."""
        stdout, stderr = (data.decode("utf-8") for data in self._read)
        return Result(stdout, stderr, code)


def drain(descriptor: int, into: bytearray) -> None:
    """Read a pipe or the master of a terminal until its last writer closes it."""
    while True:
        try:
            data = os.read(descriptor, 65_536)
        except OSError:  # the last writer has closed the terminal
            return
        if not data:
            return
        into += data


def without_escapes(text: str) -> str:
    """Remove escape sequences, those that `swf` itself writes, from what a terminal shows."""
    return _ESCAPE_SEQUENCE.sub("", text)


def squeezed(text: str) -> str:
    """Remove escapes, blanks and line breaks from a terminal's text, so that a folded value is whole again."""
    return "".join(without_escapes(text).split())


def error_line(result: Result, code: int, *words: str) -> str:
    """Check the form of a failure: nothing on stdout, one line `swf: …`, at most one `hint: …`. Return the hint.

    The `swf:` line contains `words`, in any case; the hint is empty if there is none.
    """
    assert result.stdout == ""
    assert result.code == code, result.stderr
    first, *more = result.stderr.splitlines()
    assert first.startswith("swf: ")
    assert [word for word in words if word.lower() not in first.lower()] == [], first
    assert len(more) <= 1, result.stderr
    assert all(line.startswith("hint: ") for line in more), result.stderr
    assert not CONTROLS.search(result.stderr)
    return more[0].removeprefix("hint: ") if more else ""
