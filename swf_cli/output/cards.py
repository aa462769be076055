"""One thing, as a card."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .terminal import escape_controls, to_json

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text


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
    return Text(escape_controls(value if isinstance(value, str) else to_json(value)))
