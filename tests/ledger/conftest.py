"""Ledgers in a folder of the test's own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swf_cli.ledger.store import Ledger

Open = Callable[..., Ledger]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the ledger, which does not exist yet."""
    return tmp_path / "deep" / "state"


@pytest.fixture
def open_ledger(folder: Path) -> Iterator[Open]:
    """A function that opens the ledger as another process would; what it opened is closed at the end."""
    opened: list[Ledger] = []

    def open_one(where: Path | None = None, **how: Any) -> Ledger:
        opened.append(Ledger(where or folder, **how))
        return opened[-1]

    yield open_one
    for ledger in opened:
        ledger.close()
