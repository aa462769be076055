"""Rows, as a table."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .cards import _flatten, _shape_card, cell

if TYPE_CHECKING:
    from rich.console import JustifyMethod, RenderableType


def iso_time(seconds: float) -> str:
    """Give a time, in seconds since the epoch, as ISO 8601 in UTC to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


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


def format_duration(seconds: float) -> str:
    """Put a span of time in words as short as `45s`, `5m03s`, `1h30m`, `2d04h`."""
    whole = max(0, int(seconds))
    for unit, size, lower, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // part:02}{lower}"
    return f"{whole}s"
