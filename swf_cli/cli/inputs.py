"""What commands read from files and stdin: a task, a text. Bad input is a usage error that names the option."""

import codecs
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from ..models import MAX_BYTES_PER_CHARACTER, TaskReference, check_text, fit_text, max_length
from .params import ParamType, drop_whitespace
from .usage import UsageError

_TASK_FILE_LIMIT: Final = 1_048_576  # bytes: SWF's limit on a request, and so on everything that a task holds
_STDIN: Final = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")  # opened anew, a closed one would be empty
_POLL_HINT: Final = "save it with `swf poll --output json`, or name the task with --held (see `swf held`)"


def is_stdin(path: str) -> bool:
    """Return whether a file name stands for stdin."""
    return path in _STDIN


def read_task(path: str) -> TaskReference:
    """Read a task from a file that holds what `swf poll` printed, or from stdin for `-`. Raise UsageError."""
    data = _read(path, "--task", _TASK_FILE_LIMIT, f"{_TASK_FILE_LIMIT:,} bytes")
    text = _decode(data.removeprefix(codecs.BOM_UTF8), path, "--task")  # which PowerShell adds
    if not text.strip():
        raise UsageError(f"--task: {_name(path)} is empty", hint=_POLL_HINT)
    try:
        # A copy of it may have line breaks, also within strings.
        task = TaskReference.from_json(json.loads(text, strict=False))
    except (json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"--task: {_name(path)} is not JSON from `swf poll`", hint=_POLL_HINT) from error
    except ValueError as error:
        raise UsageError(f"--task: {_name(path)} is not a task from `swf poll`: {error}", hint=_POLL_HINT) from error
    execution = task.execution and replace(task.execution, run_id=drop_whitespace(task.execution.run_id))
    task = replace(task, token=drop_whitespace(task.token), execution=execution)
    _check(task.token, "--task", "token")
    return task


def read_text(path: str, option: str, kind: str) -> str:
    """Read a text within SWF's limits from a file, or from stdin for `-`; `kind` is a key of LIMITS.

    Raise BadParameter for a file that can't be read, is not UTF-8, or is too long.
    """
    maximum = max_length(kind)
    data = _read(path, option, maximum * MAX_BYTES_PER_CHARACTER, f"SWF's {maximum:,} characters")
    return _check(_decode(data, path, option), option, kind)


def read_failure_text(path: str, option: str, kind: str) -> str:
    """Read text that explains a failure, of any length and encoding; see `FailureText`.

    Raise BadParameter for a file that can't be read.
    """
    with _open(path, option) as file:
        size = 2 * max_length(kind) * MAX_BYTES_PER_CHARACTER
        data = b""
        while more := file.read(size):
            data = (data + more)[-size:]
    return _fit_failure_text(data, option, kind)


class FailureText(ParamType):
    """Text that explains a failure, which it never keeps from being reported: what does not fit is changed.

    Of a `reason` that is too long the beginning is kept, of `details` the end; bytes that are not UTF-8 become
    U+FFFD. Both are reported on stderr.
    """

    name = "text"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text, or what can be sent of it."""
        name = f"--{param.name}" if param is not None else self.kind
        return _fit_failure_text(os.fsencode(value), name, self.kind)


def _fit_failure_text(data: bytes, option: str, kind: str) -> str:
    """Return what can be sent of text that explains a failure, and say on stderr what was changed."""
    import logging  # not at start-up

    log, maximum = logging.getLogger(__name__), max_length(kind)
    text = data.decode("utf-8", "replace")
    if "\ufffd" in text and data.decode("utf-8", "ignore") != text:
        log.warning("%s is not valid UTF-8; the invalid bytes are sent as U+FFFD", option)
    if len(text) > maximum:
        end = "first" if kind == "reason" else "last"
        count = f"{maximum:,}"
        log.warning("%s is longer than SWF's %s characters; the %s %s are sent", option, count, end, count)
    return fit_text(kind, text)


def _name(path: str) -> str:
    return "stdin" if path == "-" else path


def _read(path: str, option: str, limit: int, limit_text: str) -> bytes:
    """Read at most `limit` bytes, which `limit_text` describes; more than that is an error."""
    with _open(path, option) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise click.BadParameter(f"{_name(path)} is longer than {limit_text}", param_hint=option)
    return data


@contextmanager
def _open(path: str, option: str) -> Iterator[BinaryIO]:
    """Open a file, or stdin for `-`. Raise BadParameter if it can't be read."""
    try:
        if is_stdin(path):
            yield sys.stdin.buffer
        else:
            with Path(path).open("rb") as file:
                yield file
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise click.BadParameter(f"cannot read {_name(path)}: {reason}", param_hint=option) from error


def _decode(data: bytes, path: str, option: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{_name(path)} is not valid UTF-8", param_hint=option) from error


def _check(text: str, option: str, kind: str) -> str:
    try:
        check_text(kind, text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error
    return text
