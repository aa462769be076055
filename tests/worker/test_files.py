"""The files that a command reads and writes."""

import os
from contextlib import ExitStack

import pytest

from swf_cli.worker.files import ResultReader, open_unlinked


def test_stdout_that_is_emptied_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command may do so at any moment: reading ends, and what it writes afterwards is the result."""
    with ExitStack() as stack:
        descriptor = open_unlinked(stack)
        os.write(descriptor, b"draft")
        reader = ResultReader(descriptor)
        pread = os.pread

        def empty_and_pread(descriptor: int, count: int, offset: int) -> bytes:
            os.ftruncate(descriptor, 0)
            return pread(descriptor, count, offset)

        with monkeypatch.context() as patch:
            patch.setattr(os, "pread", empty_and_pread)
            reader.read()
        os.write(descriptor, b"final")
        reader.read(ended=True)
        assert reader.text == "final"
