"""What a command prints on stdout: a screen for people, JSON, or text for scripts.

The output package alone knows rich and jmespath, which are imported when needed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..errors import OutputError
from .escaping import escape_controls
from .terminal import is_plain, to_json, write_stdout

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_NOT_THE_REASON: Final = re.compile(r"^(Invalid|Bad) jmespath expression: |(, for expression)?:\n.*", re.I | re.S)
"""What jmespath's messages begin with, and end with: the expression, and a caret on a line of its own."""


def compile_query(expression: str) -> Any:
    """Compile a JMESPath expression. Raise ValueError if it is invalid."""
    import jmespath
    from jmespath.exceptions import JMESPathError
    from jmespath.functions import Functions

    try:
        query = jmespath.compile(expression)
    except JMESPathError as error:
        raise ValueError(" ".join(_NOT_THE_REASON.sub("", str(error)).split())) from error
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    nodes: list[dict[str, Any]] = [{"type": "root", "children": [query.parsed]}]
    for node in nodes:
        children = [child for child in node["children"] if isinstance(child, dict)]  # those of a slice are numbers
        if node["type"] == "function_expression":
            _check_function(node["value"], len(children), Functions.FUNCTION_TABLE)
        elif any(child["type"] == "expref" for child in children):
            raise ValueError("only an argument of a function begins with &")
        if node["type"] == "slice" and node["children"][-1] == 0:
            raise ValueError("the step of a slice is not 0")
        nodes += children
    return query


def _check_function(name: str, arguments: int, known: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ValueError for a function call that can't work: jmespath itself finds that only when it has data."""
    from .progress import count_of

    if name not in known:
        raise ValueError(f"there is no function {name}()")
    signature = known[name]["signature"]
    is_variadic = bool(signature) and signature[-1].get("variadic", False)
    if arguments < len(signature) or (arguments > len(signature) and not is_variadic):
        least = "at least " if is_variadic else ""
        raise ValueError(f"{name}() takes {least}{count_of(len(signature), 'argument')}, not {arguments}")


@dataclass(frozen=True, slots=True)
class Output:
    """How a command prints its data: the format, a JMESPath query over its JSON, and colour."""

    format: str | None = None
    """`table`, `json` or `text`; None for a table on a terminal, else JSON."""

    query: Any = None
    """A compiled query, see `compile_query`; None for all data."""

    color: str = "auto"
    """`auto`, `always` or `never`."""

    is_repeated: bool = False
    """Whether `emit` is called again and again: if stdout is no terminal, each JSON value is a line, arrays too."""

    @property
    def is_screen(self) -> bool:
        """Whether `emit` draws the screen of the command."""
        return self._format == "table" and self.query is None

    @property
    def needs_data(self) -> bool:
        """Whether `emit` prints the JSON, or what a query finds in it."""
        return self._format == "json" or self.query is not None

    @property
    def _format(self) -> str:
        return self.format or ("table" if sys.stdout.isatty() else "json")

    def emit(self, data: Any, *, screen: Callable[[int], Text], text: Iterable[Sequence[Any]]) -> None:
        """Write data to stdout, in one of its forms. Raise OutputError if that fails.

        If it is the form that fails, everything is written as JSON first: it may be a task that nobody else has.

        Args:
            data: what JSON shows and a query searches
            screen: draws it for a terminal of a number of columns
            text: its rows and their fields, for `--output text`
        """
        try:
            if self.query is not None:
                formatted = self._format_result(self.query.search(data))
            elif self._format == "json":
                formatted = self._format_json(data)
            elif self._format == "text":
                formatted = "".join(f"{_format_fields(row)}\n" for row in text)
            else:
                formatted = self.render(screen(self.console().width))
        except Exception as error:
            write_stdout(self._format_json(data))
            what = f"format it for --output {self._format}" if self.query is None else "apply --query"
            message = f"cannot {what}, so everything is printed as JSON: {_explain(error)}"
            raise OutputError(message) from error
        write_stdout(formatted)

    def _format_result(self, result: Any) -> str:
        if self._format == "json":
            return self._format_json(result)
        if self._format == "table" and isinstance(result, list | dict):
            from .tables import table_of

            return self.render(table_of(result, self.console().width))
        if isinstance(result, str):
            # Bare: what reads it gets the very text, and there is no field that it could break.
            return (escape_controls(result) if sys.stdout.isatty() else result) + "\n"
        rows = result if isinstance(result, list) else [result]
        return "".join(f"{_format_fields([row])}\n" for row in rows)

    def _format_json(self, data: Any) -> str:
        if self.is_repeated and not sys.stdout.isatty():
            return to_json(data) + "\n"
        return format_json(data)

    def render(self, drawn: Text) -> str:
        """Return what the terminal of stdout shows, with colour if it has any."""
        console = self.console()
        with console.capture() as capture:
            console.print(drawn, soft_wrap=True)
        return capture.get()

    def console(self) -> Console:
        """Return the console of stdout."""
        from rich.console import Console

        if self.color == "always":
            return Console(force_terminal=True, no_color=False, color_system="standard", highlight=False)
        if is_plain(self.color):
            return Console(color_system=None, highlight=False)
        return Console(highlight=False)


def _explain(error: Exception) -> str:
    """Return why data could not be formatted, without the data: it is not for a log."""
    from jmespath.exceptions import JMESPathTypeError

    if isinstance(error, JMESPathTypeError):
        return f"{error.function_name}() cannot take a value of type {error.actual_type}"
    return " ".join(str(error).split()) or type(error).__name__


def format_json(data: Any) -> str:
    """Return JSON: indented on a terminal, else a line for each element of an array, and one for anything else."""
    if sys.stdout.isatty():
        return to_json(data, indent=2) + "\n"
    if isinstance(data, list):
        return "[" + ",\n".join(map(to_json, data)) + "]\n"
    return to_json(data) + "\n"


def _format_fields(values: Iterable[Any]) -> str:
    """Return a line of `--output text`: fields separated by tabs, none of which holds a tab or a line break."""
    return "\t".join(_format_field(value) for value in values)


def _format_field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return _format_fields(value.values())
    if isinstance(value, list):
        return _format_fields(value)
    return escape_controls(value if isinstance(value, str) else to_json(value))
