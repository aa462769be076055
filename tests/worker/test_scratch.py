"""The files through which a command reports: its result, the reason of its failure; and their folder."""

import errno
import fcntl
import logging
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swf_cli.worker.files import InvalidResult
from swf_cli.worker.scratch import ScratchDir, TaskFiles
from tests.helpers.operations import CANCEL, COMPLETE, FAIL
from tests.helpers.processes import written_pids
from tests.helpers.worker_tasks import Tasks, folder_of

log = logging.getLogger("swf_cli.worker")


@pytest.fixture
def files(tmp_path: Path) -> TaskFiles:
    """The files of a task."""
    files = TaskFiles()
    files.create(str(tmp_path))
    return files


@pytest.fixture
def result(tmp_path: Path, files: TaskFiles) -> Path:
    """The result file."""
    (path,) = tmp_path.glob("*-result")
    return path


@pytest.fixture
def reason(tmp_path: Path, files: TaskFiles) -> Path:
    """The reason file."""
    (path,) = tmp_path.glob("*-reason")
    return path


def test_fresh_empty_and_private(tmp_path: Path) -> None:
    """Each task has its own, which nobody else can read; they are gone once they are removed."""
    files = TaskFiles()
    names = [set(files.create(str(tmp_path)).values()) for _ in range(2)]
    assert not names[0] & names[1]
    made = list(tmp_path.iterdir())
    assert len(made) == 2
    for path in made:
        assert (path.stat().st_size, stat.S_IMODE(path.stat().st_mode)) == (0, 0o600)
    files.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", None),
        (b"\n", ""),
        (b"done", "done"),
        (b"done\n", "done"),
        (b"done\n\n", "done\n"),
        (b"a\0b\r\n", "a\0b\r"),
        (b"x" * 32_768, "x" * 32_768),
        ("🎬".encode() * 32_768 + b"\n", "🎬" * 32_768),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_result(files: TaskFiles, result: Path, data: bytes, text: str | None) -> None:
    """What was written, less one trailing newline; nothing if nothing was."""
    result.write_bytes(data)
    assert files.read_result(log) == text
    assert files.has_result() is bool(data)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"x" * 32_769, "the result is over SWF's 32,768 characters"),
        ("🎬".encode() * 32_768 + b"\n\n", "the result is over SWF's 32,768 characters"),
        ("🎬".encode() * 40_000, "the result is over SWF's 32,768 characters"),
        (b"x" + "🎬".encode() * 40_000, "the result is over SWF's 32,768 characters"),
        (b"x" * 5_000_000, "the result is over SWF's 32,768 characters"),
        (b"caf\xe9", "the result is not valid UTF-8"),
        (b"\xf0\x9f\x8e", "the result is not valid UTF-8"),
        (b"\xed\xa0\xbd", "the result is not valid UTF-8"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_invalid_result(files: TaskFiles, result: Path, data: bytes, error: str) -> None:
    """A result is never cut, nor changed."""
    result.write_bytes(data)
    with pytest.raises(InvalidResult) as caught:
        files.read_result(log)
    assert str(caught.value) == error


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "folder", "socket link"])
def test_replaced(files: TaskFiles, result: Path, reason: Path, tmp_path: Path, kind: str) -> None:
    """What is not a file is not read, followed or waited for: the result is invalid, and there is no reason."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    for path in (result, reason):
        path.unlink()
        match kind:
            case "link":
                path.symlink_to(secret)
            case "dangling":
                path.symlink_to(tmp_path / "none")
            case "fifo":
                os.mkfifo(path)
            case "folder":
                path.mkdir()
            case _:
                path.symlink_to("/dev/stdin")
    with pytest.raises(InvalidResult, match="the result file cannot be read: "):
        files.read_result(log)
    assert files.read_reason(log) is None


def test_deleted(files: TaskFiles, result: Path, reason: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that the command deleted was not written, and the log says so."""
    caplog.set_level(logging.INFO, logger="swf_cli")
    result.unlink()
    reason.unlink()
    assert (files.read_result(log), files.has_result(), files.read_reason(log)) == (None, False, None)
    assert caplog.messages == [
        "the result file is gone, with what may have been in it; stdout is the result",
        "the reason file cannot be read: No such file or directory",
    ]


def test_reason_that_is_not_utf8(files: TaskFiles, reason: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is sent all the same, and the log says so."""
    caplog.set_level(logging.INFO, logger="swf_cli")
    reason.write_bytes(b"bad \xff\n")
    assert files.read_reason(log) == "bad \ufffd"
    assert caplog.messages == ["the reason is not UTF-8 text; the invalid bytes are sent as U+FFFD"]
    reason.write_bytes("bad \ufffd".encode())
    assert files.read_reason(log) == "bad \ufffd"
    assert len(caplog.messages) == 1
    reason.write_bytes(b"x" + "🎬".encode() * 300)  # of which not all is read
    assert files.read_reason(log) == "x" + "🎬" * 255
    assert caplog.messages[1:] == ["the reason is longer than 256 characters; the rest is cut off"]


def test_progress_before_and_after_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none; nothing in the worker's own folder is taken for it."""
    monkeypatch.chdir(tmp_path)
    Path("-heartbeat").write_text("not of this task")
    files = TaskFiles()
    assert files.read_heartbeat(100) is None
    variables = files.create(str(tmp_path))
    Path(os.fsdecode(variables[b"SWF_HEARTBEAT_FILE"])).write_text("half")
    assert files.read_heartbeat(100) == "half"
    files.remove()
    assert files.read_heartbeat(100) is None


def test_written_by_renaming(files: TaskFiles, result: Path, tmp_path: Path) -> None:
    """A program may write a file of its own, and put it there when it is whole."""
    (tmp_path / "new").write_text("done")
    (tmp_path / "new").replace(result)
    assert files.read_result(log) == "done"


@pytest.mark.parametrize(
    ("data", "text", "is_cut"),
    [
        (b"", None, False),
        (b"\n", None, False),
        (b"no disk\n", "no disk", False),
        (b"two\nlines", "two\nlines", False),
        ("é".encode() * 256, "é" * 256, False),
        ("🎬".encode() * 256 + b"\n", "🎬" * 256, False),
        (b"x" * 257, "x" * 256, True),
        ("🎬".encode() * 257, "🎬" * 256, True),
        (b"x" + "🎬".encode() * 1_000_000, "x" + "🎬" * 255, True),
        (b"caf\xe9", "caf�", False),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_reason(
    files: TaskFiles, reason: Path, data: bytes, text: str | None, is_cut: bool, log: pytest.LogCaptureFixture
) -> None:
    """It never keeps a failure from being reported: one that is too long is cut, and that is logged."""
    reason.write_bytes(data)
    assert files.read_reason(logging.getLogger("swf_cli")) == text
    assert ("the reason is longer than 256 characters; the rest is cut off" in log.messages) is is_cut


@pytest.mark.parametrize(("more", "is_cut"), [("", False), ("y" * 1_000, True)])
def test_reason_that_is_short_enough_without_secrets(
    files: TaskFiles, reason: Path, more: str, is_cut: bool, log: pytest.LogCaptureFixture
) -> None:
    """It is not cut, unless what was not read is."""
    token = "AAAAKgAAAAE".ljust(300, "x")
    reason.write_text(f"not for {token}, nor for {token}{more}")
    assert files.read_reason(logging.getLogger("swf_cli")) == "not for TOKEN, nor for TOKEN"
    assert bool(log.messages) is is_cut


class TestCommands:
    """Commands that write these files."""

    @pytest.mark.parametrize(
        ("script", "response"),
        [
            ("echo log; printf done > $SWF_RESULT_FILE", (COMPLETE, {"result": "done"})),
            ("echo done; rm $SWF_RESULT_FILE", (COMPLETE, {"result": "done"})),
            ("echo why > $SWF_REASON_FILE; echo done", (COMPLETE, {"result": "done"})),
            ("echo why > $SWF_REASON_FILE; echo oops >&2; exit 3", (FAIL, {"reason": "why", "details": "oops"})),
            ("echo why > $SWF_REASON_FILE; kill -9 $$", (FAIL, {"reason": "why"})),
            ("echo done > $SWF_RESULT_FILE; exit 3", (FAIL, {"reason": "exit 3"})),
            (
                "rm $SWF_RESULT_FILE; ln -s /etc/passwd $SWF_RESULT_FILE; echo done",
                (FAIL, {"reason": "the result file cannot be read: it is a symbolic link"}),
            ),
            ("rm $SWF_REASON_FILE; ln -s /etc/passwd $SWF_REASON_FILE; exit 3", (FAIL, {"reason": "exit 3"})),
            (
                "printf done > $SWF_RESULT_FILE; head -c 1000000 /dev/zero; sleep 0.3",
                (COMPLETE, {"result": "done"}),
            ),
            (
                "head -c 100000 /dev/zero | tr '\\0' x > $SWF_RESULT_FILE",
                (FAIL, {"reason": "the result is over SWF's 32,768 characters"}),
            ),
        ],
    )
    def test_response(self, tasks: Tasks, script: str, response: tuple[str, dict[str, str]]) -> None:
        """The result file stands in for stdout, and the reason file for the exit code."""
        tasks.run(script)
        assert tasks.response() == response

    def test_reason_arrives_unchanged(self, tasks: Tasks) -> None:
        """Deciders may branch on it: 256 characters, the longest reason, byte for byte."""
        reason = "no disk: é🎬 \t\"'\\$(touch gone)".ljust(256, "x")
        tasks.environ["REASON"] = reason
        tasks.run('printf %s "$REASON" > $SWF_REASON_FILE; exit 1')
        assert tasks.response() == (FAIL, {"reason": reason})

    def test_cancelled_command(self, tasks: Tasks, tmp_path: Path) -> None:
        """A command that completes on SIGTERM may do so with the file."""
        script = f"trap 'echo partly > $SWF_RESULT_FILE; exit 0' TERM; echo $$ > {tmp_path}/sh.pid"
        running = tasks.start(f"{script}; while :; do sleep 0.02; done", heartbeat=0.05)
        written_pids(tmp_path, 1)
        tasks.request_cancellation()
        running.result(60)
        assert tasks.response() == (COMPLETE, {"result": "partly"})
        assert CANCEL not in tasks.stub.operations()

    def test_files_are_removed(self, tasks: Tasks, tmp_path: Path) -> None:
        """With the task; also what the command put in their place."""
        names = "$SWF_RESULT_FILE $SWF_REASON_FILE $SWF_HEARTBEAT_FILE"
        tasks.run(
            f"echo x > $SWF_HEARTBEAT_FILE; ln -sf /etc/passwd $SWF_RESULT_FILE; echo {names} > {tmp_path}/names"
        )
        files = (tmp_path / "names").read_text().split()
        assert len(files) == 3
        assert not any(map(os.path.lexists, files))


def refusing(call: Callable[..., None], folders: list[str]) -> Callable[..., None]:
    """Return a function of `os` that creates nothing below some folders."""

    def refuse(path: str, *args: Any) -> None:
        if any(str(path).startswith(folder) for folder in folders):
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), path)
        call(path, *args)

    return refuse


class TestScratchDir:
    """The folder of these files."""

    def test_private_and_removed(self, tmp_path: Path) -> None:
        """Nobody else can enter it, and the end of the worker removes it."""
        tmp_path.chmod(0o700)
        scratch = ScratchDir(tmp_path)
        path = folder_of(scratch)
        assert path.parent == tmp_path
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        (path / "left").mkdir()
        scratch.remove()
        assert not path.exists()

    @pytest.mark.parametrize("how", ["deleted", "replaced by a link", "opened to everybody", "made read-only"])
    def test_made_again(self, tmp_path: Path, how: str) -> None:
        """If a command deletes or replaces it, the next task has a new one."""
        tmp_path.chmod(0o700)
        scratch = ScratchDir(tmp_path)
        path = folder_of(scratch)
        if how == "opened to everybody":
            path.chmod(0o777)
        elif how == "made read-only":
            path.chmod(0o500)
        else:
            path.rename(tmp_path / "elsewhere")
        if how == "replaced by a link":
            path.symlink_to(tmp_path / "elsewhere")
        assert folder_of(scratch) != path
        assert stat.S_IMODE(os.lstat(folder_of(scratch)).st_mode) == 0o700
        scratch.remove()

    @pytest.fixture
    def full(self, monkeypatch: pytest.MonkeyPatch) -> set[str]:
        """Folders whose file system is full."""
        full: set[str] = set()
        statvfs = os.statvfs

        def fill(path: str) -> Any:
            if any(str(path).startswith(folder) for folder in full):
                return SimpleNamespace(f_blocks=1_000, f_bavail=1, f_frsize=4_096)
            return statvfs(path)

        monkeypatch.setattr(os, "statvfs", fill)
        return full

    def test_full_disk(self, tmp_path: Path, full: set[str]) -> None:
        """The temporary directory is used meanwhile; files that are on it already go on being used."""
        tmp_path.chmod(0o700)
        scratch, later = ScratchDir(tmp_path), ScratchDir(tmp_path)
        running = TaskFiles()
        result = Path(os.fsdecode(scratch.create(running)[b"SWF_RESULT_FILE"]))
        full.add(str(tmp_path))
        others = [folder_of(scratch), folder_of(scratch), folder_of(later)]
        assert [folder.parent for folder in others] == [Path(tempfile.gettempdir())] * 3
        assert others[0] == others[1]
        result.write_text("done")
        assert running.read_result(log) == "done"
        running.remove()
        assert not result.exists()
        full.clear()
        assert folder_of(scratch) == result.parent
        scratch.remove()
        later.remove()
        assert not any(folder.exists() for folder in (result.parent, *others))

    def test_disk_that_is_full_at_the_start(self, tmp_path: Path, full: set[str]) -> None:
        """The state folder is used once it has space."""
        scratch = ScratchDir(tmp_path / "state")
        full.add(str(tmp_path))
        assert folder_of(scratch).parent == Path(tempfile.gettempdir())
        full.clear()
        assert folder_of(scratch).parent == tmp_path / "state"
        scratch.remove()

    def test_deleted_after_the_disk_was_full(self, tmp_path: Path, full: set[str]) -> None:
        """The state folder goes on being used."""
        tmp_path.chmod(0o700)
        scratch = ScratchDir(tmp_path)
        path = folder_of(scratch)
        full.add(str(tmp_path))
        folder_of(scratch)
        full.clear()
        path.rename(tmp_path / "elsewhere")
        assert folder_of(scratch).parent == tmp_path
        scratch.remove()

    def test_all_disks_are_full(self, tmp_path: Path, full: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """No command starts whose result might not fit. Each retry has the same reason, and leaves nothing behind."""
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        state = tmp_path / "state"
        scratch = ScratchDir(state)
        folder = folder_of(scratch)
        full.add(str(tmp_path))
        for _ in range(2):
            with pytest.raises(OSError, match="No space left on device") as caught:
                folder_of(scratch)
            assert caught.value.filename == str(tmp_path)
        assert list(state.iterdir()) == [folder]
        scratch.remove()

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere files are not created with mknod")
    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere files are not created with mknod")
    @pytest.mark.parametrize("refused_at_first", [["mknod"], ["mkdir", "mknod"]], ids=str)
    def test_state_folder_without_room_at_the_start(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused_at_first: list[str]
    ) -> None:
        """Whether or not the folder of the files can be created there, the temporary directory is used meanwhile."""
        (tmp_path / "state").mkdir()
        scratch = ScratchDir(tmp_path / "state")
        with monkeypatch.context() as patch:
            for name in refused_at_first:
                patch.setattr(os, name, refusing(getattr(os, name), [str(tmp_path)]))
            assert [folder_of(scratch).parent for _ in range(2)] == [Path(tempfile.gettempdir())] * 2
            assert len(list((tmp_path / "state").iterdir())) <= 1
        assert folder_of(scratch).parent == tmp_path / "state"
        scratch.remove()

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere files are not created with mknod")
    def test_folder_without_room_for_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Such as for lack of inodes, or over a quota, which the free space does not show."""
        state, temporary = tmp_path / "state", tmp_path / "tmp"
        temporary.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        scratch, refused = ScratchDir(state), [str(state)]
        assert folder_of(scratch).parent == state
        for name in ("mkdir", "mknod"):
            monkeypatch.setattr(os, name, refusing(getattr(os, name), refused))
        assert folder_of(scratch).parent == temporary
        refused.append(str(temporary))
        folder = next(temporary.iterdir())
        with pytest.raises(OSError, match="Disk quota exceeded") as caught:
            folder_of(scratch)
        assert caught.value.filename == str(temporary)
        assert list(temporary.iterdir()) == [folder]
        monkeypatch.undo()
        scratch.remove()

    def test_what_tasks_left_behind(self, tmp_path: Path) -> None:
        """Such as a child that wrote late, or a folder instead of a file: it is removed now and then.

        Files of running tasks stay, and so does what is not known to be of a task that is over.
        """
        tmp_path.chmod(0o700)
        scratch, running = ScratchDir(tmp_path), TaskFiles()
        results = []
        for files in (TaskFiles(), TaskFiles(), running):
            results.append(Path(os.fsdecode(scratch.create(files)[b"SWF_RESULT_FILE"])))
            if files is not running:
                files.remove()
        late, replaced, kept = results
        late.write_text("late")
        late.with_name(late.name + ".tmp").write_text("late")
        (replaced / "folder").mkdir(parents=True)
        kept.with_name(kept.name + ".tmp").write_text("soon")
        kept.with_name("sedY0mR5x").write_text("soon")
        for _ in range(500):
            folder_of(scratch)
        reason = kept.name.replace("-result", "-reason")
        left = {"lock", "sedY0mR5x", kept.name, f"{kept.name}.tmp", reason}
        assert {path.name for path in kept.parent.iterdir()} == left
        scratch.remove()

    def test_relative_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A command that changes its folder finds its files all the same."""
        monkeypatch.chdir(tmp_path)
        scratch = ScratchDir(Path("state"))
        assert folder_of(scratch).parent == tmp_path / "state"
        scratch.remove()

    @pytest.fixture
    def refused(self, monkeypatch: pytest.MonkeyPatch) -> set[str]:
        """Folders in which no lock can be created."""
        refused: set[str] = set()
        open_ = os.open

        def refuse(path: "str | Path", *args: Any, **how: Any) -> int:
            if str(path).endswith("lock") and any(str(path).startswith(folder) for folder in refused):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            return open_(path, *args, **how)

        monkeypatch.setattr(os, "open", refuse)
        return refused

    def test_folder_that_could_not_be_locked(self, tmp_path: Path, refused: set[str]) -> None:
        """It is removed, and the temporary directory is used."""
        tmp_path.chmod(0o700)
        refused.add(str(tmp_path))
        scratch = ScratchDir(tmp_path)
        assert folder_of(scratch).parent == Path(tempfile.gettempdir())
        assert list(tmp_path.iterdir()) == []
        scratch.remove()

    def test_temporary_folder_that_could_not_be_locked(
        self, tmp_path: Path, refused: set[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is removed, too, and the error does not show its random name: each retry has the same reason."""
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        refused.add(str(tmp_path))
        for parent in (None, tmp_path / "state"):
            with pytest.raises(OSError, match="No space left on device") as caught:
                folder_of(ScratchDir(parent))
            assert caught.value.filename == str(tmp_path)
        assert [path.name for path in tmp_path.rglob("*")] == ["state"]

    def test_folder_without_a_lock(self, tmp_path: Path) -> None:
        """If it is old, its process died before it locked it; a new one may be about to be locked."""
        tmp_path.chmod(0o700)
        for name, age in (("scratch-old", 100), ("scratch-new", 0)):
            (tmp_path / name).mkdir(mode=0o700)
            os.utime(tmp_path / name, (time.time() - age,) * 2)
        scratch = ScratchDir(tmp_path)
        folder_of(scratch)
        scratch.remove()
        assert [path.name for path in tmp_path.iterdir()] == ["scratch-new"]

    @pytest.fixture(params=["scratch-", "swf-work-"])
    def dead(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
        """The folder of a dead process, in the state folder or the temporary directory; which of them is tmp_path."""
        tmp_path.chmod(0o700)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        dead = tmp_path / f"{request.param}dead"
        dead.mkdir(mode=0o700)
        (dead / "lock").touch()
        (dead / "result").touch()
        return dead

    @staticmethod
    def _scratch_beside(dead: Path) -> ScratchDir:
        return ScratchDir(dead.parent if dead.name.startswith("scratch") else None)

    def test_folder_of_a_dead_process(self, dead: Path) -> None:
        """It is removed by the next worker; that of a live one is not."""
        live, other = self._scratch_beside(dead), self._scratch_beside(dead)
        path = folder_of(live)
        folder_of(other)
        assert not dead.exists()
        assert path.exists()
        live.remove()
        other.remove()

    @pytest.mark.parametrize("how", ["a link", "open to others", "of another name", "of another user"])
    def test_what_is_not_the_folder_of_a_dead_process(self, dead: Path, how: str) -> None:
        """It stays: other users may have put anything into the temporary directory."""
        scratch = self._scratch_beside(dead)
        if how == "a link":
            dead.rename(dead.with_name("elsewhere"))
            dead.symlink_to(dead.with_name("elsewhere"))
        elif how == "open to others":
            dead.chmod(0o770)
        elif how == "of another name":
            dead = dead.rename(dead.with_name("other-work-dead"))
        elif os.geteuid():
            pytest.skip("only root can give a folder to another user")
        else:
            os.chown(dead, 65_534, -1)
        folder_of(scratch)
        scratch.remove()
        assert {path.name for path in dead.iterdir()} == {"lock", "result"}

    def test_temporary_directory_that_cannot_be_listed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is used all the same."""

        def refuse(folder: object) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)

        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        scratch = ScratchDir(None)
        with monkeypatch.context() as patch:
            patch.setattr(os, "listdir", refuse)
            assert folder_of(scratch).parent == tmp_path
        scratch.remove()


def test_a_folder_that_is_swept_before_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker may take a new folder for that of a dead one: then there is another one, and no error."""
    lock, swept = fcntl.flock, list[Path]()

    def sweep_first(descriptor: int, operation: int) -> None:
        if not swept:
            (folder,) = tmp_path.glob("scratch-*")
            swept.append(folder)
            shutil.rmtree(folder)
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    scratch = ScratchDir(tmp_path)
    variables = scratch.create(TaskFiles())
    assert Path(os.fsdecode(variables[b"SWF_RESULT_FILE"])).parent in tmp_path.glob("scratch-*")
    assert swept
    scratch.remove()
