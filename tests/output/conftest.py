"""What the tests of the screens share: a stdout of a given width that can be read."""

import io
import sys
from collections.abc import Callable

import pytest

Draw = Callable[..., list[str]]


class Screen(io.StringIO):
    """A stdout that can be read."""

    encoding = "utf-8"


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch) -> Draw:
    """Return the lines that a function writes to a stdout of some columns."""

    def drawn(show: Callable[[], object], columns: int = 80, encoding: str = "utf-8") -> list[str]:
        screen = Screen()
        with monkeypatch.context() as patch:
            patch.setenv("COLUMNS", str(columns))
            patch.setattr(Screen, "encoding", encoding)
            patch.setattr(sys, "stdout", screen)
            show()
        return screen.getvalue().split("\n")[:-1]

    return drawn
