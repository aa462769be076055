"""Values as a table, JSON or text on stdout; lines, warnings and the live waiting line on stderr.

This is the only room that knows rich and jmespath; each is loaded when it is needed.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from .errors import OutputFailed

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod, RenderableType
    from rich.text import Text

    from .models import PendingCount, WorkerTask
    from .worker.config import Tally

# Everything that moves the cursor, colours, or reorders a terminal's text: C0, DEL and C1 controls, the line and
# paragraph separators, the bidirectional controls; and lone surrogates, which no encoding carries.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

EVAL_VARIABLES: Final = (
    "SWF_TASK_TOKEN",
    "SWF_TASK_ID",
    "SWF_ACTIVITY_NAME",
    "SWF_ACTIVITY_VERSION",
    "SWF_WORKFLOW_ID",
    "SWF_RUN_ID",
)


def plain(text: str) -> str:
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


def compile_query(expression: str) -> Any:
    """Compile a JMESPath expression. Raises ValueError when it is none."""
    import jmespath
    from jmespath.exceptions import JMESPathError
    from jmespath.functions import Functions

    try:
        query = jmespath.compile(expression)
    except JMESPathError as error:
        raise ValueError(" ".join(str(error).split())) from error
    nodes = [query.parsed]
    for node in nodes:
        nodes += node["children"]
        # jmespath itself finds this only when the data is there.
        if node["type"] == "function_expression" and node["value"] not in Functions.FUNCTION_TABLE:
            raise ValueError(f"there is no function {node['value']}()")
    return query


@dataclass(frozen=True, slots=True)
class Output:
    """How a command's data is to look: its form, a JMESPath query over its JSON shape, and colour."""

    form: str | None = None
    """`table`, `json` or `text`; None for a table on a terminal, else JSON."""

    query: Any = None
    """What `compile_query` gave, or None."""

    color: str = "auto"
    """`auto`, `always` or `never`."""

    def show(self, shape: Any, *, table: Callable[[], RenderableType], text: str) -> None:
        """Write a value to stdout, given its JSON shape, its table and its text. Raises OutputFailed."""
        form = self.form or ("table" if sys.stdout.isatty() else "json")
        if self.query is not None:
            shape = self._search(shape)
            text = _as_text(shape)
            if form == "table" and isinstance(shape, list | dict):
                write(self.draw(_generic_table(shape)))
                return
            form = "text" if form == "table" else form
        if form == "json":
            write(to_json(shape, indent=2 if sys.stdout.isatty() else None) + "\n")
        elif form == "text" and shape == []:
            write("")
        elif form == "text":
            write("\n".join(map(plain, text.split("\n"))) + "\n" if sys.stdout.isatty() else text + "\n")
        else:
            write(self.draw(table()))

    def _search(self, shape: Any) -> Any:
        from jmespath.exceptions import JMESPathError

        try:
            return self.query.search(shape)
        except JMESPathError as error:
            # The data may be a task that nobody else has: all of it, then, before the complaint.
            write(to_json(shape) + "\n")
            message = f"--query can't be applied, so all is printed: {' '.join(str(error).split())}"
            raise OutputFailed(message) from error

    def draw(self, renderable: RenderableType) -> str:
        """Give what a terminal as wide as ours would show."""
        console = self.console()
        with console.capture() as capture:
            console.print(renderable)
        return capture.get()

    def console(self) -> Console:
        """Give the console that stdout is drawn on."""
        from rich.console import Console

        if self.color == "always":
            return Console(force_terminal=True, no_color=False, color_system="standard", highlight=False)
        if self.color == "never" or os.environ.get("NO_COLOR"):
            return Console(color_system=None, highlight=False)
        return Console(highlight=False)


def write(text: str) -> None:
    """Write data to stdout, all of it. Raises OutputFailed; with an empty message when the reader has gone away."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        discard_stdout()
        raise OutputFailed(why_not_written(error)) from error


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


def say(line: str) -> None:
    """Say one line on stderr, made safe for a terminal. A stderr that can't be written to is no error."""
    with suppress(OSError, ValueError, RuntimeError):  # the last in a signal handler, amid another write
        sys.stderr.write(f"{plain(line)}\n")
        sys.stderr.flush()


def show_task(output: Output, task: WorkerTask, domain: str, task_list: str) -> None:
    """Write a task that was polled: a card, JSON, or its token."""
    shape = {**asdict(task), "domain": domain, "task_list": task_list}
    output.show(shape, table=lambda: _shape_card(shape), text=task.token)


def show_counts(output: Output, counts: Sequence[PendingCount]) -> None:
    """Write how many tasks wait: a table, JSON (an array when several lists were asked for), or the bare counts."""
    shapes = [asdict(pending) for pending in counts]
    one = len(counts) == 1
    lines = [f"{pending.count}" if one else f"{pending.task_list}\t{pending.count}" for pending in counts]
    output.show(shapes[0] if one else shapes, table=lambda: _counts_table(counts), text="\n".join(lines))
    for pending in counts:
        if pending.truncated:
            say(f"swf: warning: more than {pending.count} tasks wait on {pending.task_list}")


def show_heartbeat(output: Output, cancel_requested: bool) -> None:
    """Write what a heartbeat brought back."""
    shape = {"cancel_requested": cancel_requested}
    output.show(shape, table=lambda: _shape_card(shape), text=_as_text(cancel_requested))


def iso_time(seconds: float) -> str:
    """Give a time, in seconds since the epoch, as ISO 8601 in UTC to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def shell_task(task: WorkerTask) -> str:
    """Give a task as shell text, safe for `eval` whatever its input holds.

    The input is unset first, since a variable that was exported before would be exported again, and may be too
    long for the environment of any further command.
    """
    values = (
        task.token,
        task.id,
        task.activity.name,
        task.activity.version,
        task.execution.id,
        task.execution.run_id,
    )
    exports = (f"export {name}={_quote(value)}" for name, value in zip(EVAL_VARIABLES, values, strict=True))
    task_input = f"unset SWF_TASK_INPUT; SWF_TASK_INPUT={_quote(task.input or '')}"
    return "".join(f"{line}\n" for line in (*exports, task_input))


def shell_no_task(code: int) -> str:
    """Give shell text that leaves no task behind and gives `eval` an exit code, so that `set -e` stops."""
    return f"unset {' '.join(EVAL_VARIABLES)} SWF_TASK_INPUT; (exit {code})\n"


def _quote(value: str) -> str:
    # No shell variable holds a NUL.
    return shlex.quote(value.replace("\0", ""))


@contextmanager
def waiting(task_list: str, color: str = "auto") -> Iterator[None]:
    """Show on stderr, if it is a terminal, how long a task has been waited for."""
    started = time.monotonic()

    def line() -> str:
        minutes, seconds = divmod(int(time.monotonic() - started), 60)
        return f"waiting for a task on {plain(task_list)}  {minutes}:{seconds:02}"

    with live_line(line, color):
        yield


@contextmanager
def live_line(line: Callable[[], str], color: str) -> Iterator[None]:
    """Keep a line on stderr up to date, if it is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    class Line:
        def __rich__(self) -> Text:
            return Text(line(), style="dim", no_wrap=True, overflow="ellipsis")

    console = Console(stderr=True, no_color=True if color == "never" else None, highlight=False)
    with Live(Line(), console=console, transient=True, refresh_per_second=2, redirect_stdout=False):
        yield


class WorkReporter:
    """Tells on stderr what a worker does: a line when a task starts and ends, its command's stderr, how it stands."""

    def __init__(self, color: str = "auto") -> None:
        self._color = color
        self._lock = threading.Lock()

    def tell(self, line: str) -> None:
        """Say a line of the worker's own."""
        with self._lock:
            say(f"swf: {line}")

    def show(self, task_id: str, line: str) -> None:
        """Show a line of a command's stderr, marked with its task."""
        with self._lock:
            say(f"[{task_id}] {line}")

    @contextmanager
    def live(self, tally: Tally) -> Iterator[None]:
        """Show on stderr, if it is a terminal, how the worker stands."""
        with live_line(lambda: self._standing(tally), self._color):
            yield

    def sum_up(self, tally: Tally) -> None:
        """Say at the end what was done."""
        self.tell(self._standing(tally))

    def _standing(self, tally: Tally) -> str:
        seconds = time.monotonic() - tally.started_at
        counts = [f"{tally.completed} completed", f"{tally.failed} failed", f"{tally.cancelled} cancelled"]
        if tally.lost:
            counts.append(f"{tally.lost} lost")
        if tally.running:
            counts.insert(0, f"{tally.running} running")
        rate = tally.ended / seconds if seconds else 0.0
        return f"{', '.join(counts)} in {seconds:.0f} s ({rate:.1f} tasks/s)"


def card(lines: Iterable[tuple[str, Any]], style: str = "bold") -> RenderableType:
    """Draw one thing: its values under each other, beside their names; a long one folds, and none is cut."""
    from rich.table import Table

    drawn = Table.grid(padding=(0, 2))
    drawn.add_column(style=style, overflow="fold")
    drawn.add_column(overflow="fold")
    for name, value in lines:
        drawn.add_row(cell(name), cell(value))
    return drawn


def _shape_card(shape: dict[str, Any]) -> RenderableType:
    return card((name.replace("_", " "), value) for name, value in _flatten(shape))


def _counts_table(counts: Sequence[PendingCount]) -> RenderableType:
    rows = [(p.domain, p.task_list, f"{p.count}{'+' if p.truncated else ''}") for p in counts]
    return table(("domain", "task list", "pending"), rows)


def _generic_table(shape: list[Any] | dict[str, Any]) -> RenderableType:
    """Draw what a query gave: an object as a card, a list as rows."""
    if isinstance(shape, dict):
        return _shape_card(shape)
    rows = [dict(_flatten(item)) if isinstance(item, dict) else {"": item} for item in shape]
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    return table(names, [tuple(row.get(name, "") for name in names) for row in rows])


def table(names: Sequence[str], rows: Sequence[Sequence[Any]], whole: Sequence[str] = ()) -> RenderableType:
    """Draw rows under names; what is too wide for its column folds, save in those of `whole`; nothing is cut."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, show_header=any(names), pad_edge=False)
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    for name, values in zip(names, columns, strict=True):
        number = all(re.fullmatch(r"[+-]?\d+\+?", str(value)) for value in values)
        justify: JustifyMethod = "right" if number else "left"
        made.add_column(cell(name), overflow="fold", justify=justify, no_wrap=name in whole)
    for row in rows:
        made.add_row(*map(cell, row))
    return made


def _flatten(shape: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in shape.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key} ")
        else:
            yield prefix + key, value


def cell(value: Any) -> Text:
    """Give a cell that shows a value as it is: no markup of it is interpreted."""
    from rich.text import Text

    if isinstance(value, Text):
        return value
    if value is None:
        return Text("-", style="dim")
    return Text(plain(value if isinstance(value, str) else to_json(value)))


def _as_text(shape: Any) -> str:
    """Give what a query gave as bare text: a scalar as it is, a list a line each, an object's values by tabs."""
    if isinstance(shape, str):
        return shape
    if isinstance(shape, list):
        return "\n".join(_as_line(item) for item in shape)
    return _as_line(shape)


def _as_line(shape: Any) -> str:
    if shape is None or isinstance(shape, str):
        return shape or ""
    if isinstance(shape, dict):
        return "\t".join(_as_line(value) for value in shape.values())
    if isinstance(shape, list):
        return "\t".join(_as_line(value) for value in shape)
    return to_json(shape)
