"""Values as lines that can be copied: no value is cut, padded, or broken by anything but the terminal itself."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from .escaping import escape_controls
from .terminal import to_json

if TYPE_CHECKING:
    from rich.text import Text

_NARROWEST_PROSE: Final = 24  # characters
_COMMAND: Final = re.compile("`[^`]+`")
_KEPT_SPACE: Final = "\0"  # no text that was escaped has one


def cell(value: Any, style: str = "") -> Text:
    """Return a value as text that shows it as it is: no markup of it is interpreted."""
    from rich.text import Text

    if isinstance(value, Text):
        return value
    if value is None:
        return Text("-", style="dim")
    return Text(escape_controls(value if isinstance(value, str) else to_json(value)), style=style)


def join(parts: Iterable[Text | str], separator: str = "\n") -> Text:
    """Return texts under each other, or with another separator between them."""
    from rich.text import Text

    return Text(separator).join(part if isinstance(part, Text) else Text(part) for part in parts)


def card(lines: Iterable[tuple[str, Any]], *, style: str = "dim", indent: int = 0) -> Text:
    """Return values under each other, each beside its name; further lines of a value are indented like its first."""
    from rich.cells import cell_len
    from rich.text import Text

    items = [(escape_controls(name), cell(value)) for name, value in lines]
    width = max((cell_len(name) for name, _ in items), default=0) + 2
    drawn = []
    for name, value in items:
        label = Text(" " * indent).append(name, style=style).append(" " * (width - cell_len(name)))
        drawn.append(label.append_text(join(value.split("\n", allow_blank=True), "\n" + " " * (indent + width))))
    return join(drawn)


def card_of(data: dict[str, Any]) -> Text:
    """Return an object of JSON as a card."""
    return card(((name.replace("_", " "), value) for name, value in flatten(data)), style="bold")


def copyable(command: str | None) -> str | None:
    """Return a command line to copy; None if it has a character that would be shown as its escape."""
    return command if command and escape_controls(command) == command else None


def flatten(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of an object and of the objects in it, with their names."""
    for key, value in data.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key} ")
        else:
            yield prefix + key, value


def wrap(text: str, width: int, keep: Sequence[str] = ()) -> Text:
    """Return a sentence in lines of at most `width` characters, broken at spaces.

    The parts to keep are not broken, nor are commands, which stand in backticks.
    """
    from rich.text import Text

    text = escape_controls(text)
    for part in (*map(escape_controls, keep), *_COMMAND.findall(text)):
        text = text.replace(part, part.replace(" ", _KEPT_SPACE))
    lines = textwrap.wrap(text, max(width, _NARROWEST_PROSE), break_long_words=False, break_on_hyphens=False)
    return Text("\n".join(lines).replace(_KEPT_SPACE, " "))
