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
    masters: list[int] = []
    slaves: list[int] = []

    def output(terminal: bool) -> int:
        master, slave = pty.openpty() if terminal else os.pipe()
        if terminal:
            tty.setraw(slave)
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        masters.append(master)
        slaves.append(slave)
        return slave

    out, err = output(stdout), output(stderr)
    taken = [bytearray(), bytearray()]
    process = subprocess.Popen([SWF, *args], env=dict(env), stdin=subprocess.PIPE, stdout=out, stderr=err)
    for slave in slaves:
        os.close(slave)
    readers = [threading.Thread(target=drain, args=pair) for pair in zip(masters, taken, strict=True)]
    for reader in readers:
        reader.start()
    try:
        process.communicate(stdin.encode(), timeout=timeout)
    finally:
        process.kill()
        process.wait()
        for reader in readers:
            reader.join()
        for master in masters:
            os.close(master)
    return Result(taken[0].decode("utf-8"), taken[1].decode("utf-8"), process.returncode)


def invoke_on_terminal(*args: str, env: Mapping[str, str], columns: int = 80) -> Result:
    """Run the command line in this process, with stdout and stderr on terminals of their own; see `invoke`."""
    masters, taken = [], [bytearray(), bytearray()]
    slaves = []
    for _ in taken:
        master, slave = pty.openpty()
        tty.setraw(slave)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        masters.append(master)
        slaves.append(slave)
    readers = [threading.Thread(target=drain, args=pair) for pair in zip(masters, taken, strict=True)]
    for reader in readers:
        reader.start()
    try:
        with Path(os.devnull).open("rb") as nothing:
            code = invoke_with((nothing.fileno(), *slaves), *args, env=env)
    finally:
        for slave in slaves:
            os.close(slave)
        for reader in readers:
            reader.join()
        for master in masters:
            os.close(master)
    return Result(taken[0].decode("utf-8"), taken[1].decode("utf-8"), code)


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
