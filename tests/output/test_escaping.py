"""Text from outside, made safe for a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swf_cli.output.escaping import escape_controls
from tests.helpers.terminal import CONTROLS


@given(st.text(st.characters(blacklist_categories=())))
def test_no_control_character_reaches_a_terminal(text: str) -> None:
    """Whatever the text, each control character is escaped, line feeds too; what is safe stays as it is."""
    escaped = escape_controls(text)
    assert not CONTROLS.search(escaped)
    assert "\n" not in escaped
    assert escape_controls(escaped) == escaped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("é 日本 ñ", "é 日本 ñ"),
        ("👩\u200d🚀 ❤\ufe0f 1\ufe0f\u20e3", "👩\u200d🚀 ❤\ufe0f 1\ufe0f\u20e3"),
        ("resize\u200b", "resize\\u200b"),
        ("a\u200db", "a\\u200db"),
        ("a\ufe0f", "a\\ufe0f"),
        ("\u3164\u2065\U000e0041\U000e0fff", "\\u3164\\u2065\\U000e0041\\U000e0fff"),
        ("e" + "\u0301" * 6, "e" + "\u0301" * 4 + "\\u0301" * 2),
        ("a\u2028b\x85c\x9bd", "a\\u2028b\\x85c\\x9bd"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_is_not_seen_is_escaped(text: str, shown: str) -> None:
    """Format characters, fillers and heaps of marks are visible as escapes; emoji and letters of any script stay."""
    assert escape_controls(text) == shown
