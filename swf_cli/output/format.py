"""Values as a table, JSON or text on stdout; lines, warnings and the live waiting line on stderr.

This is the only room that knows rich and jmespath; each is loaded when it is needed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import OutputError
from .tables import _generic_table
from .terminal import escape_controls, to_json, write_stdout

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


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
        """Write a value to stdout, given its JSON shape, its table and its text. Raises OutputError."""
        form = self.form or ("table" if sys.stdout.isatty() else "json")
        if self.query is not None:
            shape = self._search(shape)
            text = _as_text(shape)
            if form == "table" and isinstance(shape, list | dict):
                write_stdout(self.render(_generic_table(shape)))
                return
            form = "text" if form == "table" else form
        if form == "json":
            write_stdout(to_json(shape, indent=2 if sys.stdout.isatty() else None) + "\n")
        elif form == "text" and shape == []:
            write_stdout("")
        elif form == "text":
            write_stdout(
                "\n".join(map(escape_controls, text.split("\n"))) + "\n" if sys.stdout.isatty() else text + "\n"
            )
        else:
            write_stdout(self.render(table()))

    def _search(self, shape: Any) -> Any:
        from jmespath.exceptions import JMESPathError

        try:
            return self.query.search(shape)
        except JMESPathError as error:
            # The data may be a task that nobody else has: all of it, then, before the complaint.
            write_stdout(to_json(shape) + "\n")
            message = f"--query can't be applied, so all is printed: {' '.join(str(error).split())}"
            raise OutputError(message) from error

    def render(self, renderable: RenderableType) -> str:
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
