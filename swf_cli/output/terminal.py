"""Text that is safe for a terminal, stdout and stderr."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from contextlib import suppress
from typing import Any

from ..errors import OutputError

# Everything that moves the cursor, colours, or reorders a terminal's text: C0, DEL and C1 controls, the line and
# paragraph separators, the bidirectional controls; and lone surrogates, which no encoding carries.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escape_controls(text: str) -> str:
    """Make a stranger's text safe for a terminal: each control character becomes its escape, such as `\\x1b`."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def to_json(value: Any, indent: int | None = None) -> str:
    """Give JSON that says the same as `value` and holds no raw control character."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    if sys.stdout.encoding.lower() not in ("utf-8", "utf8"):
        return json.dumps(value, indent=indent)
    # Those that JSON itself leaves raw can only stand in a string, where an escape means the same.
    return re.sub(
        "[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]",
        lambda match: f"\\u{ord(match[0]):04x}",
        text,
    )


def write_stdout(text: str) -> None:
    """Write data to stdout, all of it. Raises OutputError; with an empty message when the reader has gone away."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        discard_stdout()
        raise OutputError(why_not_written(error)) from error


def why_not_written(error: OSError | ValueError) -> str:
    """Say why stdout took no data; nothing when its reader has gone away, which knows."""
    if isinstance(error, BrokenPipeError):
        return ""
    if not isinstance(error, OSError):
        return f"can't write to stdout: {error}"
    return "stdout is closed" if error.errno == errno.EBADF else f"can't write to stdout: {error.strerror}"


def discard_stdout() -> None:
    """Drop what stdout still buffers, so that Python does not fail on it once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def print_stderr(line: str) -> None:
    """Say one line on stderr, made safe for a terminal. A stderr that can't be written to is no error."""
    with suppress(OSError, ValueError, RuntimeError):  # the last in a signal handler, amid another write
        sys.stderr.write(f"{escape_controls(line)}\n")
        sys.stderr.flush()
