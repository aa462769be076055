"""The files that a command reads and writes."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from swf_cli.redaction import redact
from swf_cli.worker.files import LineReader, ResultReader, open_unlinked

LIKE_AWS = "AAAAKgAAAAE" + "b+/=" * 140
OTHER = "A-token-of-a-service-that-is-not-AWS"
ALMOST_PERIODIC = "SECRET" * 20


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


@pytest.mark.parametrize("final", ["final", "longer than the draft", "é" * 9])
def test_stdout_that_is_written_anew(final: str) -> None:
    """Whatever was read before, and however long it was, what the file holds at the end is the result."""
    with ExitStack() as stack:
        descriptor = open_unlinked(stack)
        reader = ResultReader(descriptor)
        for text in (b"the draft", b"\xc3", final.encode()):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, text)
            reader.read()
        reader.read(ended=True)
        assert reader.text == final


def test_stderr_that_is_written_anew() -> None:
    """Each line is read once, even if the file is longer than before by then."""
    with ExitStack() as stack:
        descriptor = open_unlinked(stack)
        reader = LineReader(descriptor)
        lines = []
        for text in (b"first\n", b"second, and longer\n", b"third\n"):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, text)
            lines += list(reader.read_lines(ended=False))
        assert lines == ["first", "second, and longer", "third"]
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"fourth, the longest of all\n")
        assert reader.tail() == "first\nsecond, and longer\nthird\nfourth, the longest of all"


Stderr = Callable[[str], LineReader]


@pytest.fixture
def stderr() -> Iterator[Stderr]:
    """Make a reader of a file with this text."""
    with ExitStack() as stack:

        def write(text: str) -> LineReader:
            descriptor = open_unlinked(stack)
            os.write(descriptor, text.encode())
            return LineReader(descriptor)

        yield write


def read(reader: LineReader, token: str) -> list[str]:
    """Return the lines as they are logged."""
    return [redact(line, token) for line in reader.read_lines(ended=True, token=token)]


class TestFlood:
    """Stderr that grows faster than it is read."""

    @pytest.fixture
    def descriptor(self) -> Iterator[int]:
        """Open a file as stderr."""
        with ExitStack() as stack:
            yield open_unlinked(stack)

    def test_it_does_not_fill_the_disk(self, descriptor: int) -> None:
        """It is emptied, whatever the command writes meanwhile; a line that began before is skipped."""
        reader = LineReader(descriptor)
        os.write(descriptor, b"all work and no play\n" * 100_000 + b"a line th")
        lines = reader.read_lines(ended=False)
        assert next(lines) == "... 2,034,489 bytes of stderr skipped"
        assert set(lines) == {"all work and no play"}
        assert os.fstat(descriptor).st_size == 0
        os.write(descriptor, b"at ends")
        assert list(reader.read_lines(ended=False)) == []
        assert reader.tail().endswith("\nall work and no play")
        os.write(descriptor, b" here\nthe end\n")
        assert list(reader.read_lines(ended=False)) == ["... 13 bytes of stderr skipped", "the end"]
        assert reader.tail().endswith("\nall work and no play\nthe end")

    @pytest.mark.parametrize("count", [60_000, 200_000])
    def test_a_writer_that_does_not_append(self, descriptor: int, count: int) -> None:
        """Such as one that opened /dev/stderr: it goes on behind a hole, as large as what was read before."""
        reader, writer = LineReader(descriptor), os.open(f"/dev/fd/{descriptor}", os.O_WRONLY)
        os.write(writer, b"all work and no play\n" * count)
        for text in ("FATAL: disk on fire\n", "bye\n"):
            assert set(reader.read_lines(ended=False)) >= {"all work and no play"} or text == "bye\n"
            os.write(writer, text.encode())
            assert list(reader.read_lines(ended=False)) == [text.strip()]
        os.write(writer, b"the end")
        assert reader.tail().endswith("\nall work and no play\nFATAL: disk on fire\nbye\nthe end")
        assert list(reader.read_lines(ended=True)) == ["the end"]
        os.close(writer)

    def test_a_line_that_does_not_end(self, descriptor: int) -> None:
        """Nothing but what may be a secret's beginning is kept of it."""
        reader = LineReader(descriptor)
        for _ in range(2):
            os.write(descriptor, b"x" * 2_000_000)
            assert len("".join(reader.read_lines(ended=False))) < 70_000
            assert os.fstat(descriptor).st_size == 0
        os.write(descriptor, b"x" * 70_000)
        skipped, *rest = reader.read_lines(ended=True)
        assert (skipped, rest) == ("... 61,440 bytes of stderr skipped", ["x" * 8_560])

    def test_the_end_of_a_line_that_was_skipped(self, descriptor: int) -> None:
        """What a command wrote last is kept, even without a newline."""
        reader = LineReader(descriptor)
        os.write(descriptor, b"-\n" * 1_000_000 + b"fat")
        list(reader.read_lines(ended=False))
        os.write(descriptor, b"al: no such file")
        assert list(reader.read_lines(ended=True)) == ["al: no such file"]

    @pytest.mark.parametrize("token", [LIKE_AWS, OTHER, ALMOST_PERIODIC])
    @pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
    def test_token_in_a_line_that_was_skipped(self, descriptor: int, token: str, part: float) -> None:
        """Neither its beginning nor its end is shown."""
        reader, cut = LineReader(descriptor), int(part * len(token))
        os.write(descriptor, b"-\n" * 1_000_000 + token[:cut].encode())
        lines = [redact(line, token) for line in reader.read_lines(ended=False, token=token)]
        os.write(descriptor, f"{token[cut:]}\nend\n".encode())
        lines += read(reader, token)
        assert set(lines[1:]) == {"-", f"... {len(token) - cut + 1} bytes of stderr skipped", "end"}
        assert set(redact(reader.tail(), token)) == set("-\nend")


class TestSecrets:
    """Secrets in lines that are read in parts."""

    @pytest.mark.parametrize("token", [LIKE_AWS, OTHER, ALMOST_PERIODIC])
    @pytest.mark.parametrize("chunk", [61_440, 65_536])
    @pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99, 1.0])
    def test_token_where_a_line_is_cut(self, stderr: Stderr, token: str, chunk: int, part: float) -> None:
        """It is never in two parts."""
        before, after = "é" + "-" * (chunk - 2 - int(part * len(token))), " " + "-" * 70_000
        assert "".join(read(stderr(before + token + after), token)) == f"{before}TOKEN{after}"

    @pytest.mark.parametrize("token", [LIKE_AWS, OTHER, ALMOST_PERIODIC])
    def test_tokens_without_end(self, stderr: Stderr, token: str) -> None:
        """One right behind the other, for longer than is read at once."""
        lines = read(stderr(token * (200_000 // len(token))), token)
        assert len(lines) > 2
        assert set("".join(lines)) == set("TOKEN")

    @pytest.mark.parametrize("part", [1, 0.5, 0])
    def test_token_where_stderr_is_skipped_to(self, stderr: Stderr, part: float) -> None:
        """What is read begins with it, or behind it."""
        rest = "-" * (65_536 - int(part * len(OTHER)))
        first, *lines = read(stderr(" " * 2_000_000 + OTHER + rest), OTHER)
        assert first.endswith("bytes of stderr skipped")
        assert "".join(lines) == ("TOKEN" if part else "") + rest

    @pytest.mark.parametrize("is_read", [False, True])
    @pytest.mark.parametrize("kept", range(1, len(LIKE_AWS), 50))
    def test_token_where_the_end_begins(self, stderr: Stderr, kept: int, is_read: bool) -> None:
        """No part of it is left, even if others that follow make the text shorter."""
        others = f"{LIKE_AWS} " * 30
        reader = stderr("-" * 60_000 + LIKE_AWS + others + "-" * (32_768 + 8_192 - kept - len(others)))
        if is_read:
            list(reader.read_lines(ended=True))
        text = redact(reader.tail())
        assert len(text) < 32_768
        assert set(text) <= set("TOKEN -")
