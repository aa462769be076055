"""A command that runs for one task: its input, its result, its stderr, its end."""

import errno
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from swf_cli.processes import group_is_running
from swf_cli.worker.command import CommandProcess
from swf_cli.worker.files import InvalidResult
from swf_cli.worker.process import encode_environ
from tests.helpers.cli import wait_until
from tests.helpers.processes import is_running, written_pids

Start = Callable[..., CommandProcess]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a shell script, or a command; what is left of its process group is killed at the end."""
    processes: list[CommandProcess] = []

    def start(script: str | list[str], task_input: str = "", **env: str) -> CommandProcess:
        command = ["sh", "-c", script] if isinstance(script, str) else script
        processes.append(CommandProcess(command, encode_environ({"PATH": os.environ["PATH"], **env}), task_input))
        return processes[-1]

    yield start
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.group, signal.SIGKILL)
        process.close()


def ended(process: CommandProcess) -> CommandProcess:
    """Wait for the end of a command."""
    assert process.wait(60)
    return process


INPUTS = {
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


@pytest.mark.parametrize("kind", INPUTS)
def test_input_arrives_unchanged(start: Start, kind: str) -> None:
    """32,768 characters of any kind reach stdin as UTF-8, byte for byte, and are the result of `cat`."""
    text = INPUTS[kind]
    process = ended(start(["cat"], text))
    assert process.returncode() == 0
    assert process.result() == text.removesuffix("\n")


def test_lone_surrogates_in_input(start: Start) -> None:
    """A lone surrogate, which is not valid in UTF-8, reaches stdin as three bytes."""
    assert ended(start("od -An -tx1", "a\ud83db")).result().split() == ["61", "ed", "a0", "bd", "62"]


@pytest.mark.parametrize("script", ["echo done", "exec < /dev/null; echo done", "exec <&-; echo done"])
def test_unread_input_is_not_an_error(start: Start, script: str) -> None:
    """A command may ignore its input, or close stdin."""
    process = ended(start(script, "x" * 32_768))
    assert (process.returncode(), process.result(), process.stderr_tail()) == (0, "done", "")


def test_no_shell_interprets_the_arguments(start: Start) -> None:
    """Arguments are passed as they are."""
    assert ended(start(["printf", "%s|", "a b", "$(x)", "*", ""])).result() == "a b|$(x)|*||"


def test_own_process_group(start: Start) -> None:
    """The command leads a process group: a signal to the worker's group, such as Ctrl-C, does not reach it.

    It also leads a session, and so has no terminal: the kernel would stop it for reading from the worker's.
    """
    process = start("sleep 100")
    assert os.getpgid(process.group) == process.group != os.getpgrp()
    assert os.getsid(process.group) == process.group


def test_environment(start: Start) -> None:
    """The environment is the one that was passed, and nothing else."""
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
def test_result_is_stdout_less_one_newline(start: Start, printed: str, result: str) -> None:
    """One trailing newline is removed, and nothing else."""
    assert ended(start(f"printf '{printed}'")).result() == result


def print_python(text: str) -> list[str]:
    """Return a command that prints the value of a Python expression, which is bytes."""
    return [sys.executable, "-S", "-c", f"import sys; sys.stdout.buffer.write({text})"]


@pytest.mark.parametrize("text", ["'x' * 32768", "'\U0001f3ac' * 32768", "'\U0001f3ac' * 32768 + '\\n'"])
def test_longest_result(start: Start, text: str) -> None:
    """SWF counts characters: 32,768 of them are a result, however many bytes they are in UTF-8."""
    assert len(ended(start(print_python(f"({text}).encode()"))).result()) == 32_768


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("b'x' * 32769", "over SWF's 32,768 characters"),
        ("('\U0001f3ac' * 32769).encode()", "over SWF's 32,768 characters"),
        ("('\U0001f3ac' * 32768).encode() + b'\\n\\n'", "over SWF's 32,768 characters"),
        ("b'\\xff' * 200000", "not valid UTF-8"),
        ("b'x' * 5000000", "over SWF's 32,768 characters"),
    ],
)
def test_oversize_result(start: Start, data: str, error: str) -> None:
    """A result over SWF's limit is rejected, and never cut; the file that held it is emptied."""
    process = ended(start(print_python(data)))
    with pytest.raises(InvalidResult, match=error):
        process.result()


@pytest.mark.parametrize("data", [r"\377", r"caf\351", r"\360\237\216"])
def test_result_that_is_not_utf8(start: Start, data: str) -> None:
    """Latin-1, or half a character, is not a result."""
    process = ended(start(f"printf '{data}'"))
    with pytest.raises(InvalidResult, match="not valid UTF-8"):
        process.result()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 3", "exit 3"),
        ("exit 255", "exit 255"),
        ("kill -9 $$", "signal SIGKILL"),
        ("ulimit -c 0; kill -ABRT $$", "signal SIGABRT"),
    ],
)
def test_reason_of_a_failure(start: Start, script: str, reason: str) -> None:
    """The reason is the exit code, or the name of the signal that ended the command."""
    assert ended(start(script)).describe_exit() == reason


def test_signal_without_a_name(start: Start) -> None:
    """A real-time signal is described by its number."""
    number = signal.SIGRTMIN + 1
    assert ended(start(f"kill -{number} $$")).describe_exit() == f"signal {number}"


@pytest.mark.parametrize("command", [["no-such-command"], ["/etc/passwd"], ["a\0b"]])
def test_command_that_cannot_be_started(start: Start, command: list[str]) -> None:
    """A command that is missing, not executable or not an argument list is an error; no file is left open."""
    before = os.listdir("/dev/fd")
    with pytest.raises((OSError, ValueError)):
        start(command)
    assert len(os.listdir("/dev/fd")) == len(before)


def test_child_that_holds_stdout_delays_nothing(start: Start) -> None:
    """A command has ended when it ends itself; a child that it leaves behind with its stdout is not waited for."""
    process = ended(start("sleep 100 & echo done"))
    assert (process.result(), process.returncode()) == ("done", 0)
    assert group_is_running(process.group)


class TestStderr:
    """What the command writes to stderr."""

    def test_lines_appear_as_they_are_written(self, start: Start, tmp_path: Path) -> None:
        """Whole lines are returned while it runs; at the end also one that has no newline."""
        until_go = f"until [ -e {tmp_path}/go ]; do sleep 0.01; done"
        process = start(f"printf 'one\\ntwo\\nthr' >&2; {until_go}; printf 'ee\\nfour' >&2")
        wait_until(lambda: list(process.read_stderr_lines()) == ["one", "two"])
        (tmp_path / "go").touch()
        ended(process)
        assert list(process.read_stderr_lines()) == ["three"]
        assert list(process.read_stderr_lines(ended=True)) == ["four"]
        assert list(process.read_stderr_lines(ended=True)) == []

    def test_a_line_without_end(self, start: Start) -> None:
        """A newline that never comes is not waited for."""
        lines = list(ended(start("head -c 100000 /dev/zero | tr '\\0' x >&2")).read_stderr_lines())
        assert [len(line) for line in lines] == [61_440]

    def test_bytes_that_are_not_utf8(self, start: Start) -> None:
        """They are replaced."""
        process = ended(start(r"printf 'caf\351\n' >&2"))
        assert list(process.read_stderr_lines()) == ["caf�"]
        assert process.stderr_tail() == "caf�"

    def test_flood_is_not_held_in_memory(self, start: Start) -> None:
        """Of 20 MB most is skipped, which is logged; its end is kept, more than SWF accepts."""
        process = ended(start("yes 'all work and no play' | head -c 20000000 >&2; printf 'the end\\n' >&2"))
        lines = list(process.read_stderr_lines(ended=True))
        assert lines[0] == "... 19,934,481 bytes of stderr skipped"
        assert len(lines) < 5_000
        assert 32_768 <= len(process.stderr_tail()) <= 40_000
        assert process.stderr_tail().endswith("the end")

    @pytest.mark.parametrize("more", ["", "echo after >&2"])
    def test_script_that_opens_dev_stderr(self, start: Start, tmp_path: Path, more: str) -> None:
        """`> /dev/stderr` empties the file that stderr is: what was read before stays, and what follows is read."""
        until_go = f"until [ -e {tmp_path}/go ]; do sleep 0.01; done"
        process = start(f"echo before, and more >&2; {until_go}; echo oops > /dev/stderr; {more}")
        wait_until(lambda: list(process.read_stderr_lines()) == ["before, and more"])
        (tmp_path / "go").touch()
        ended(process)
        lines = ["oops", "after"] if more else ["oops"]
        assert process.stderr_tail().split("\n") == ["before, and more", *lines]
        assert list(process.read_stderr_lines(ended=True)) == lines


def test_file_system_without_unnamed_files(start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where a file can't be created without a name, its name is removed at once."""
    monkeypatch.setattr(os, "O_TMPFILE", 0, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    process = ended(start("cat; echo on stderr >&2", "in" * 4_096))
    assert (process.result(), process.stderr_tail()) == ("in" * 4_096, "on stderr")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("why", [errno.ENOSPC, errno.EFBIG])
def test_input_that_cannot_be_written_whole(start: Start, monkeypatch: pytest.MonkeyPatch, why: int) -> None:
    """A full disk, or a limit on the size of files, is an error: no command works on half of its input."""

    def write(descriptor: int, data: bytes, offset: int) -> int:
        if offset:
            raise OSError(why, os.strerror(why))
        return os.write(descriptor, data[:100])

    monkeypatch.setattr(os, "pwrite", write)
    with pytest.raises(OSError, match=os.strerror(why)):
        start("cat", "in" * 4_096)


def test_input_that_is_written_in_parts(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command reads all of it."""
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset: pwrite(descriptor, data[:1_000], offset))
    assert ended(start("cat", "in" * 4_096)).result() == "in" * 4_096


def test_temporary_folder_that_is_gone(start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error names the folder, not a file with a random name: equal failures have equal reasons."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError) as caught:
        start("true")
    assert caught.value.filename == str(tmp_path / "gone")


def test_close_kills_what_still_runs(start: Start, tmp_path: Path) -> None:
    """A command that still runs is killed with its children when it is closed, and does not stay a zombie."""
    process = start(f"sleep 100 & echo $! > {tmp_path}/child.pid; echo $$ > {tmp_path}/sh.pid; wait")
    pids = written_pids(tmp_path, 2)
    process.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(process.group, os.WNOHANG)
    wait_until(lambda: not any(map(is_running, pids)))
