"""Rows as a table, or as cards if they do not fit the width."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from .cards import card, card_of, cell, flatten, join

if TYPE_CHECKING:
    from rich.text import Text

_GAP: Final = 2  # characters between columns


def table(
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    width: int,
    notes: Sequence[Text | str] = (),
) -> Text:
    """Return rows under names; or, if a line would be wider than `width`, a card for each row.

    `notes` has a line below each row, or none.
    """
    cells = [[cell(value) for value in row] for row in rows]
    if table_width(names, cells) > width:
        return _cards(names, cells, notes)
    headings = [cell(name, "bold") for name in names]
    widths = _widths(names, cells)
    is_number = [all(re.fullmatch(r"[+-]?[\d.]+\+?", str(row[n])) for row in cells) for n in range(len(names))]
    lines = [_line(headings, widths, is_number)] if any(names) else []
    for number, row in enumerate(cells):
        lines.append(_line(row, widths, is_number))
        if number < len(notes) and notes[number]:
            lines.append(join(["  ", cell(notes[number], "dim")], ""))
    return join(lines)


def table_width(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
    """Return the width of the widest line of a table."""
    return sum(_widths(names, [[cell(value) for value in row] for row in rows])) + _GAP * (len(names) - 1)


def table_of(data: list[Any] | dict[str, Any], width: int) -> Text:
    """Return JSON as a table: an object as a card, a list as rows."""
    if isinstance(data, dict):
        return card_of(data)
    rows = [dict(flatten(item)) if isinstance(item, dict) else {"": item} for item in data]
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    return table(names, [tuple(row.get(name, "") for name in names) for row in rows], width)


def _widths(names: Sequence[str], rows: Sequence[Sequence[Text]]) -> list[int]:
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return [
        max(cell(name).cell_len, *(value.cell_len for value in column), 0)
        for name, column in zip(names, columns, strict=True)
    ]


def _line(row: Sequence[Text], widths: Sequence[int], is_number: Sequence[bool]) -> Text:
    drawn = []
    for number, (value, width) in enumerate(zip(row, widths, strict=True)):
        padding = " " * (width - value.cell_len)
        if is_number[number]:
            drawn.append(join([padding, value], ""))
        else:
            drawn.append(join([value, "" if number == len(row) - 1 else padding], ""))
    line = join(drawn, " " * _GAP)
    line.rstrip()
    return line


def _cards(names: Sequence[str], rows: Sequence[Sequence[Text]], notes: Sequence[Text | str]) -> Text:
    cards = []
    for number, row in enumerate(rows):
        lines = [(name, value) for name, value in zip(names, row, strict=True) if value.plain]
        note = [("", notes[number])] if number < len(notes) and notes[number] else []
        cards.append(card([*lines, *note]))
    return join(cards, "\n\n")
