"""Text from outside, made safe for a terminal: nothing in it moves the cursor, reorders, or is invisible."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

_MAX_MARKS: Final = 4
"""Combining marks in a row; more of them spill over other lines."""

_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Controls, format characters such as those that reorder text, lone surrogates, and line separators."""

_INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Characters of other categories that leave no trace."""

_EMOJI: Final = range(0x1F000, 0x1FB00)
"""Where emoji are that this Python does not know; other characters that it does not know may be invisible."""

_JOINER, _EMOJI_STYLE, _KEYCAP = "\u200d", "\ufe0f", "\u20e3"


def escape_controls(text: str) -> str:
    """Return text that is safe for a terminal: each unsafe character as its escape, such as `\\x1b` or `\\u200b`."""
    return _escape(text, lambda char: char.encode("unicode_escape").decode("ascii"))


def safe_json(value: Any, indent: int | None = None, *, ascii_only: bool = False) -> str:
    """Return a value as JSON in which each unsafe character is escaped, which means the same.

    Raise ValueError for a number that JSON does not have.
    """
    if ascii_only:
        return json.dumps(value, indent=indent, allow_nan=False)
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    lines = (_escape(line, lambda char: json.dumps(char)[1:-1]) for line in text.split("\n"))
    return "\n".join(lines)


def _escape(text: str, escape: Callable[[str], str]) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if is_safe else escape(char) for char, is_safe in _classify(text))


def _classify(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each character, and whether it is safe where it stands."""
    from unicodedata import category  # not at start-up

    marks = 0
    for index, char in enumerate(text):
        kind = category(char)
        is_mark = kind in ("Mn", "Me")
        marks = marks + 1 if is_mark else 0
        if char == _JOINER or "\ufe00" <= char <= _EMOJI_STYLE or "\U000e0100" <= char <= "\U000e01ef":
            yield char, _is_in_emoji(text, index, category)
        elif kind == "Cn":
            yield char, ord(char) in _EMOJI
        else:
            yield char, kind not in _UNSAFE_CATEGORIES and char not in _INVISIBLE and marks <= _MAX_MARKS


def _is_in_emoji(text: str, index: int, category: Callable[[str], str]) -> bool:
    """Return whether a joiner or a variation selector is part of an emoji, whose look it changes."""
    before, char, after = text[index - 1 : index], text[index], text[index + 1 : index + 2]
    is_after_emoji = bool(before) and (category(before) in ("So", "Sk") or before == _EMOJI_STYLE)
    if char == _JOINER:
        return is_after_emoji and bool(after) and category(after) in ("So", "Sk")
    return char == _EMOJI_STYLE and (after == _KEYCAP or (is_after_emoji and before != _EMOJI_STYLE))
