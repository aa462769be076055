"""Rows as tables and cards: nothing is cut, padded or broken."""

import pytest

from swf_cli.output.cards import card, card_of, cell, wrap
from swf_cli.output.tables import table

NAMES = ("task list", "pending")
ROWS = [("gpu", "3"), ("upload", "1000+")]


def test_a_table_has_columns_under_names() -> None:
    """Numbers are aligned to the right; no line has trailing blanks."""
    assert table(NAMES, ROWS, 80).plain.split("\n") == [
        "task list  pending",
        "gpu              3",
        "upload       1000+",
    ]


def test_a_table_that_does_not_fit_becomes_cards() -> None:
    """One for each row, with the same names; what is empty is left out."""
    rows = [("gpu", "3", "now"), ("x" * 30, "1000+", "")]
    assert table((*NAMES, "note"), rows, 30).plain.split("\n") == [
        "task list  gpu",
        "pending    3",
        "note       now",
        "",
        f"task list  {'x' * 30}",
        "pending    1000+",
    ]


@pytest.mark.parametrize(("width", "is_table"), [(18, True), (17, False)])
def test_it_fits_to_the_last_column(width: int, is_table: bool) -> None:
    """A line as wide as the terminal fits."""
    assert (table(NAMES, ROWS, width).plain.split("\n")[0] == "task list  pending") is is_table


def test_notes_stand_below_their_rows() -> None:
    """A note is a line of its own, in a table and in a card; a long one makes no card of a table."""
    notes = ["", "a long note " * 20]
    assert table(NAMES, ROWS, 80, notes).plain.split("\n")[-2:] == ["upload       1000+", f"  {notes[1]}"]
    assert table(NAMES, ROWS, 10, notes).plain.split("\n")[-1] == f"           {notes[1]}"


def test_wide_characters_take_two_columns() -> None:
    """Columns are aligned as a terminal shows them."""
    lines = table(("a", "b"), [("日本", "x"), ("abcd", "y")], 80).plain.split("\n")
    assert lines == ["a     b", "日本  x", "abcd  y"]


@pytest.mark.parametrize("names", [(), ("a", "b")])
def test_no_rows(names: tuple[str, ...]) -> None:
    """Only the names, if there are any."""
    assert table(names, [], 80).plain == "  ".join(names)


def test_a_cell_shows_a_value_as_it_is() -> None:
    """No markup is interpreted, controls are escaped, and what is not text is JSON."""
    assert [cell(value).plain for value in ("[red]\x1b[2J\n", None, True, [1])] == [
        "[red]\\x1b[2J\\n",
        "-",
        "true",
        "[1]",
    ]


def test_a_card_of_json() -> None:
    """Objects within the object have longer names; names are escaped like values."""
    assert card_of({"a_b": {"c": 1}, "\x1b": None}).plain.split("\n") == ["a b c  1", "\\x1b   -"]


def test_further_lines_of_a_value_are_indented() -> None:
    """A text that was wrapped, or has lines, stands beside its name."""
    lines = card([("to do", wrap("start a worker on gpu", 24)), ("x", "1")], indent=2).plain.split("\n")
    assert lines == ["  to do  start a worker on gpu", "  x      1"]
    lines = card([("to do", wrap("start a worker on gpu, or check why", 24))]).plain.split("\n")
    assert lines == ["to do  start a worker on gpu,", "       or check why"]


def test_wrapping_breaks_no_value() -> None:
    """Lines are broken at blanks, but for those within the parts to keep; nothing is longer but for these."""
    name = "two words and more of them"
    text = wrap(f"start a worker on '{name}', or check why none polls it\x1b", 30, (name,)).plain
    assert text.split("\n") == ["start a worker on", f"'{name}',", "or check why none polls it\\x1b"]
    assert text.replace("\n", " ") == f"start a worker on '{name}', or check why none polls it\\x1b"
