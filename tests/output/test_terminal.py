"""Messages to stderr, which delay nobody."""

import os
import pty
import sys
import threading
import tty
from collections.abc import Iterator
from contextlib import closing
from typing import IO, cast

import pytest
from rich.console import Console
from rich.live import Live
from rich.text import Text

from swf_cli.output.terminal import RawStderr, StderrWriter, flush_stderr, print_message
from tests.helpers.cli import wait_until
from tests.helpers.terminal import drain, without_escapes

LINES = [f"line {number} {'x' * 1_000}\n" for number in range(200)]
"""More than a pipe's buffer."""


class Pipe:
    """A pipe for stderr; nobody reads it until `drain`. Its test must not leave anything to be written."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self._data = bytearray()
        self._thread = threading.Thread(target=drain, args=(self.reader, self._data))

    def drain(self) -> None:
        """Read from now on, in a thread."""
        self._thread.start()

    def text(self) -> str:
        """Return what was read so far."""
        return self._data.decode()

    def close_reader(self) -> None:
        """Close the reader's end."""
        os.close(self.reader)
        self.reader = -1

    def close(self) -> None:
        """Close both ends."""
        os.close(self.writer)
        if self._thread.is_alive():
            self._thread.join(30)
        if self.reader >= 0:
            os.close(self.reader)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe that nobody reads yet."""
    with closing(Pipe()) as pipe:
        yield pipe


# --- order and completeness


def test_messages_are_whole_and_in_order(pipe: Pipe) -> None:
    """Messages of several threads are not mixed, and those of each thread stay in order."""
    writer = StderrWriter(RawStderr(pipe.writer))
    pipe.drain()

    def write(name: str) -> None:
        for number in range(500):
            writer.write(f"{name} {number}\n")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.flush()
    wait_until(lambda: pipe.text().count("\n") == 1_500)
    lines = [line.split() for line in pipe.text().splitlines()]
    for name in "abc":
        assert [number for each, number in lines if each == name] == [str(number) for number in range(500)]


def writing_threads() -> int:
    """Return how many threads write to stderr: they never end, while others may at any moment."""
    return sum(thread.name == "stderr" for thread in threading.enumerate())


def test_one_thread_writes_whoever_is_first(pipe: Pipe) -> None:
    """Threads that write the first message at the same moment start one writing thread."""
    pipe.drain()
    together = threading.Barrier(8)
    before, interval = writing_threads(), sys.getswitchinterval()

    def write(writer: StderrWriter) -> None:
        together.wait(30)
        writer.write("x\n")

    sys.setswitchinterval(1e-6)
    try:
        for number in range(1, 31):
            writer = StderrWriter(RawStderr(pipe.writer))
            threads = [threading.Thread(target=write, args=(writer,)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            writer.flush()
            assert writing_threads() == before + number
    finally:
        sys.setswitchinterval(interval)


def test_text_that_the_encoding_lacks_is_escaped(pipe: Pipe) -> None:
    """A message that can't be encoded, such as one with a lone surrogate, is written with an escape."""
    assert RawStderr(pipe.writer).write("a\ud800\n") == 3
    pipe.drain()
    wait_until(lambda: pipe.text() == "a\\ud800\n")


def test_a_non_blocking_stderr_is_written_to_completely(pipe: Pipe) -> None:
    """Another program may have made stderr non-blocking: what does not fit is written once it is read."""
    os.set_blocking(pipe.writer, False)
    stderr = RawStderr(pipe.writer)
    thread = threading.Thread(target=lambda: [stderr.write(line) for line in LINES])
    thread.start()
    pipe.drain()
    thread.join(30)
    wait_until(lambda: pipe.text() == "".join(LINES))


# --- a reader that stalls


def test_a_stalled_reader_delays_nobody(pipe: Pipe) -> None:
    """If nobody reads stderr, messages are queued and `flush` gives up; nothing is lost once it is read."""
    writer = StderrWriter(RawStderr(pipe.writer), patience=0.05)
    for line in LINES:
        writer.write(line)
    writer.flush()
    pipe.drain()
    wait_until(lambda: pipe.text() == "".join(LINES))
    writer.flush()


def test_flush_waits_for_a_slow_reader(pipe: Pipe) -> None:
    """As long as something is read, `flush` waits, however long everything takes."""
    writer = StderrWriter(RawStderr(pipe.writer), patience=1.0)
    for line in LINES:
        writer.write(line)
    read = bytearray()

    def read_slowly() -> None:
        while len(read) < sum(map(len, LINES)):
            read.extend(os.read(pipe.reader, 20_000))
            threading.Event().wait(0.02)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    writer.flush()
    assert sum(map(len, LINES)) - len(read) <= 65_536 + 20_000  # what is left is in the pipe already
    reader.join(30)
    assert read.decode() == "".join(LINES)


def test_dropped_messages_are_counted(pipe: Pipe) -> None:
    """When too many are queued, further ones are dropped; their number is reported once stderr is read again."""
    writer = StderrWriter(RawStderr(pipe.writer), maximum=100, patience=0.05)
    for line in LINES * 2:
        writer.write(line)
    pipe.drain()
    wait_until(lambda: pipe.text().endswith("stderr was not read\n"))
    *lines, last = pipe.text().splitlines(keepends=True)
    assert lines == LINES[: len(lines)]
    assert last == f"swf: {len(LINES) * 2 - len(lines)} lines dropped: stderr was not read\n"
    assert len(lines) >= 100
    writer.write("on it goes\n")
    writer.flush()
    wait_until(lambda: pipe.text().endswith("read\non it goes\n"))


def test_a_reader_that_closes_stderr_does_no_harm(pipe: Pipe) -> None:
    """Once the reader has closed stderr, messages are dropped, and so is their number; `flush` does not wait."""
    writer = StderrWriter(RawStderr(pipe.writer), maximum=10, patience=3_600)
    for line in LINES:
        writer.write(line)
    pipe.close_reader()
    for line in ("and\n", "more\n"):
        writer.write(line)
        flushing = threading.Thread(target=writer.flush, daemon=True)
        flushing.start()
        flushing.join(60)
        assert not flushing.is_alive()


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that starts no thread."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)


@pytest.mark.usefixtures("no_threads")
def test_without_a_thread_flush_writes(pipe: Pipe) -> None:
    """Why a command ended is said also on a machine that has no more threads."""
    writer = StderrWriter(RawStderr(pipe.writer))
    writer.write("first\n")
    writer.write("second\n")
    writer.flush()
    assert os.read(pipe.reader, 1_000) == b"first\nsecond\n"


@pytest.mark.usefixtures("no_threads")
def test_without_a_thread_a_stalled_reader_delays_nobody(pipe: Pipe) -> None:
    """Then too, what nobody reads is not waited for."""
    writer = StderrWriter(RawStderr(pipe.writer), patience=0.01)
    for line in LINES:
        writer.write(line)
    writer.flush()
    written = os.read(pipe.reader, 100_000).decode()
    assert written
    assert "".join(LINES).startswith(written)


def test_without_messages_there_is_nothing_to_flush() -> None:
    """`flush` returns at once if nothing was ever written, and starts no thread."""
    before = writing_threads()
    StderrWriter(patience=30).flush()
    assert writing_threads() == before


def test_messages_go_to_stderr_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """A message has the prefix `swf: `, and no line feed of its text breaks the line."""
    print_message("no such task\nswf: forged\x1b[31m")
    flush_stderr()
    assert capfd.readouterr() == ("", "swf: no such task\\nswf: forged\\x1b[31m\n")


# --- the live line


class Ticks:
    """A line that counts how often it was drawn."""

    def __init__(self) -> None:
        self.count = 0

    def __rich__(self) -> Text:
        """Return the next text of the line."""
        self.count += 1
        return Text(f"tick {self.count}")


def test_messages_appear_above_the_live_line() -> None:
    """On a terminal, a message is printed above the line that is kept up to date; at the end the line is removed."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    shown, ticks = bytearray(), Ticks()
    reader = threading.Thread(target=drain, args=(master, shown))
    reader.start()
    stderr = RawStderr(slave)
    assert stderr.isatty()
    console = Console(file=cast("IO[str]", stderr), force_terminal=True, width=80)
    writer = StderrWriter(stderr, refresh_interval=0.01)
    writer.show(Live(ticks, console=console, transient=True, auto_refresh=False))
    wait_until(lambda: ticks.count > 2)
    writer.write("[red]a message[/red]\n")
    wait_until(lambda: shown.rfind(b"tick") > shown.find(b"a message") > 0)
    writer.hide()
    writer.write("the last message\n")
    writer.flush()
    os.close(slave)
    reader.join(60)
    os.close(master)
    before, _, after = shown.decode().partition("[red]a message[/red]\n")
    assert before.endswith("\x1b[2K")  # the line is erased where the message is printed
    assert "tick" in after  # and drawn again below it
    removed, _, last = after.rpartition("\x1b[2K")
    assert (removed.count("tick") > 0, without_escapes(last)) == (True, "the last message\n")
