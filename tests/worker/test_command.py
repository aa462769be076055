"""One run of a command: its input, its result, its stderr, its end."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swf_cli.worker.command import Job, UnfitResult
from tests.helpers.processes import is_running, written_pids

Start = Callable[..., Job]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a shell script, or a command, as a job that is closed at the end."""
    jobs: list[Job] = []

    def start(script: str | list[str], task_input: str = "", **env: str) -> Job:
        command = ["sh", "-c", script] if isinstance(script, str) else script
        jobs.append(Job(command, {"PATH": os.environ["PATH"], **env}, task_input))
        return jobs[-1]

    yield start
    for job in jobs:
        job.close()


def ended(job: Job) -> Job:
    """Wait for a job's end."""
    assert job.wait(20)
    return job


EVERY_KIND = {
    "empty": "",
    "short": "in.png\n",
    "a pipe's": "x" * 4_096,
    "a file's": "x" * 4_097,
    "ascii": "x" * 32_768,
    "emoji": "🎬" * 32_768,
    "newlines": "\n" * 32_768,
    "returns": "a\r\nb\r" * 5_000,
    "nul": "a\0b" * 10_000,
    "controls": "".join(map(chr, range(32))) * 1_000,
    "quotes": "$(touch gone) `touch gone` ' \" \\ ; | & > < * ? ~ # !" * 500,
}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_input_arrives_unchanged(start: Start, kind: str) -> None:
    """32,768 characters of any kind reach stdin as UTF-8, byte for byte, and come back as the result."""
    text = EVERY_KIND[kind]
    job = ended(start(["cat"], text))
    assert job.status() == 0
    assert job.result() == text.removesuffix("\n")


def test_input_that_is_no_text_arrives(start: Start) -> None:
    """A lone surrogate, which UTF-8 can't carry, reaches stdin as the three bytes that stand for it."""
    assert ended(start("od -An -tx1", "a\ud83db")).result().split() == ["61", "ed", "a0", "bd", "62"]


@pytest.mark.parametrize("script", ["echo done", "exec < /dev/null; echo done", "exec <&-; echo done"])
def test_input_that_nobody_reads_is_no_error(start: Start, script: str) -> None:
    """A command may ignore its input, or close stdin."""
    job = ended(start(script, "x" * 32_768))
    assert (job.status(), job.result(), job.last_words()) == (0, "done", "")


def test_the_command_gets_no_shell(start: Start) -> None:
    """Arguments are handed on as they are."""
    assert ended(start(["printf", "%s|", "a b", "$(x)", "*", ""])).result() == "a b|$(x)|*||"


def test_the_command_leads_a_group_of_its_own(start: Start) -> None:
    """A signal to the worker's group, such as Ctrl-C, does not reach it."""
    job = start("sleep 100")
    assert os.getpgid(job.group) == job.group != os.getpgrp()


def test_the_environment_is_the_given_one(start: Start) -> None:
    """Nothing but what was given."""
    names = {line.partition("=")[0] for line in ended(start(["env"], A="1")).result().splitlines()}
    assert names == {"PATH", "A"}


@pytest.mark.parametrize(
    ("printed", "result"),
    [
        (r"", ""),
        (r"\n", ""),
        (r"4\n", "4"),
        (r"4\n\n", "4\n"),
        (r"4", "4"),
        (r" 4 \n", " 4 "),
        (r"a\r\n", "a\r"),
        (r"a\000b", "a\0b"),
    ],
)
def test_the_result_is_stdout_less_one_newline(start: Start, printed: str, result: str) -> None:
    """One newline at the end goes, everything else stays."""
    assert ended(start(f"printf '{printed}'")).result() == result


def print_python(text: str) -> list[str]:
    """Give a command that prints what a Python expression says, in UTF-8."""
    return [sys.executable, "-c", f"import sys; sys.stdout.buffer.write({text})"]


@pytest.mark.parametrize("text", ["'x' * 32768", "'\U0001f3ac' * 32768", "'\U0001f3ac' * 32768 + '\\n'"])
def test_the_longest_result(start: Start, text: str) -> None:
    """SWF counts characters: 32,768 of them are a result, whatever they take in UTF-8."""
    assert len(ended(start(print_python(f"({text}).encode()"))).result()) == 32_768


@pytest.mark.parametrize(
    ("data", "size"),
    [
        ("b'x' * 32769", "32,769 bytes"),
        ("('\U0001f3ac' * 32769).encode()", "131,076 bytes"),
        ("('\U0001f3ac' * 32768).encode() + b'\\n\\n'", "131,074 bytes"),
        ("b'\\xff' * 200000", "200,000 bytes"),
        ("b'x' * 5000000", "5,000,000 bytes"),
    ],
)
def test_a_result_over_the_limit_is_none(start: Start, data: str, size: str) -> None:
    """It is refused with its size, and never cut."""
    job = ended(start(print_python(data)))
    with pytest.raises(UnfitResult, match=f"over SWF's 32,768 characters: {size}"):
        job.result()


@pytest.mark.parametrize("data", [r"\377", r"caf\351", r"\360\237\216"])
def test_a_result_that_is_not_utf8_is_none(start: Start, data: str) -> None:
    """Latin-1, or half a character."""
    job = ended(start(f"printf '{data}'"))
    with pytest.raises(UnfitResult, match="not UTF-8"):
        job.result()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 3", "exit 3"),
        ("exit 255", "exit 255"),
        ("kill -9 $$", "signal SIGKILL"),
        ("ulimit -c 0; kill -ABRT $$", "signal SIGABRT"),
    ],
)
def test_how_a_command_failed(start: Start, script: str, words: str) -> None:
    """Its exit code, or the name of the signal that ended it."""
    assert ended(start(script)).failure() == words


def test_a_signal_without_a_name(start: Start) -> None:
    """A real-time signal is told by its number."""
    number = signal.SIGRTMIN + 1
    assert ended(start(f"kill -{number} $$")).failure() == f"signal {number}"


@pytest.mark.parametrize("command", [["no-such-command"], ["/etc/passwd"], ["a\0b"]])
def test_what_can_not_be_started(start: Start, command: list[str]) -> None:
    """It is not there, not executable, or no argument list: an error, and no file is left open."""
    before = os.listdir("/dev/fd")
    with pytest.raises((OSError, ValueError)):
        start(command)
    assert len(os.listdir("/dev/fd")) == len(before)


def test_a_child_that_holds_stdout_holds_nobody_up(start: Start, tmp_path: Path) -> None:
    """A command that leaves a child behind has ended when it ends itself; its result is what was there by then."""
    began = time.monotonic()
    job = ended(start(f"sleep 100 & echo $! > {tmp_path}/child.pid; echo done"))
    assert (job.result(), job.status()) == ("done", 0)
    assert time.monotonic() - began < 10
    os.kill(written_pids(tmp_path, 1)[0], signal.SIGKILL)


class TestStderr:
    """What the command says on stderr."""

    def test_lines_come_as_they_are_written(self, start: Start, tmp_path: Path) -> None:
        """Whole lines are shown while it runs; at the end also one that has no newline."""
        script = (
            f"printf 'one\\ntwo\\nthr' >&2; until [ -e {tmp_path}/go ]; do sleep 0.01; done; printf 'ee\\nfour' >&2"
        )
        job = start(script)
        shown: list[str] = []
        while len(shown) < 2:
            shown += job.new_lines()
        assert shown == ["one", "two"]
        (tmp_path / "go").touch()
        ended(job)
        assert list(job.new_lines()) == ["three"]
        assert list(job.new_lines(ended=True)) == ["four"]
        assert list(job.new_lines(ended=True)) == []

    def test_a_line_without_an_end_is_shown_in_pieces(self, start: Start) -> None:
        """Nobody waits for a newline that never comes."""
        lines = list(ended(start("head -c 100000 /dev/zero | tr '\\0' x >&2")).new_lines())
        assert len(lines) == 16
        assert {len(line) for line in lines} == {4_096}

    def test_what_is_no_text_is_shown(self, start: Start) -> None:
        """Bytes that are not UTF-8 are replaced."""
        job = ended(start(r"printf 'caf\351\n' >&2"))
        assert list(job.new_lines()) == ["caf�"]
        assert job.last_words() == "caf�"

    def test_a_flood_is_not_held_in_memory(self, start: Start) -> None:
        """Of 20 MB, most is passed over, and said to be; the details are the end, of a length that SWF takes."""
        job = ended(start("yes 'all work and no play' | head -c 20000000 >&2; printf 'the end\\n' >&2"))
        lines = list(job.new_lines(ended=True))
        assert lines[0] == "… 19,934,472 bytes of stderr are not shown"
        assert len(lines) < 5_000
        assert len(job.last_words()) <= 32_768
        assert job.last_words().endswith("the end")

    @pytest.mark.parametrize("more", ["", "echo after >&2"])
    def test_a_script_may_open_dev_stderr(self, start: Start, more: str) -> None:
        """`> /dev/stderr` empties the file that stderr is: what comes after is told, and no hole is."""
        job = start(f"echo before >&2; sleep 0.05; echo oops > /dev/stderr; {more}")
        list(job.new_lines())
        ended(job)
        words = ["oops", "after"] if more else ["oops"]
        assert job.last_words().split("\n") == words
        assert "\0" not in "".join(job.new_lines(ended=True))


def test_files_where_none_can_be_without_a_name(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a file system that can't make files without a name, they lose it at once."""
    monkeypatch.setattr(os, "O_TMPFILE", 0, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    job = ended(start("cat; echo on stderr >&2", "in" * 4_096))
    assert (job.result(), job.last_words()) == ("in" * 4_096, "on stderr")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_no_shorter_input(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Input that can't be written whole is an error: no command works on half of it."""
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset: len(data) // 2)
    with pytest.raises(OSError, match="No space left"):
        start("cat", "in" * 4_096)


def test_close_leaves_nothing_behind(start: Start, tmp_path: Path) -> None:
    """A command that runs when its job is closed is killed, with its children, and is no zombie."""
    job = start(f"sleep 100 & echo $! > {tmp_path}/child.pid; echo $$ > {tmp_path}/sh.pid; wait")
    pids = written_pids(tmp_path, 2)
    job.close()
    asked = subprocess.run(["ps", "-o", "pid=", "-p", str(job.group)], capture_output=True, text=True, check=False)
    assert asked.stdout == ""
    deadline = time.monotonic() + 5
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_running, pids))
