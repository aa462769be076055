"""Whose files the ledger uses: those of this user alone. Others are refused, with a line that says what to do."""

import logging
import os
import pwd
import shutil
import stat
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from swf_cli.ledger.store import Ledger
from swf_cli.ledger.trust import UntrustedError, open_file, open_folder, state_folder
from tests.helpers.ledger import SOURCE, TASK

STRANGER = 65_534

is_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files to somebody else")


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.lstat().st_mode)


def receive(folder: Path) -> bool:
    """Record a poll and a task in a ledger of its own; return whether it has the task."""
    with Ledger(folder) as ledger, ledger.record_poll(SOURCE, "poll") as record:
        return record.assign(TASK)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_what_is_created_is_for_this_user_alone(umask: int, tmp_path: Path) -> None:
    """The folder, its missing parents and every file: nobody else can read them, whatever the umask."""
    folder, before = tmp_path / "a" / "b", os.umask(umask)
    try:
        ledger = Ledger(folder)
        with ledger.record_poll(SOURCE, "poll") as record:
            assert record.assign(TASK)
        assert {mode(path) for path in (tmp_path / "a", folder)} == {0o700}
        names = {path.name for path in folder.iterdir()}
        assert {"ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"} < names
        assert {mode(path) & 0o077 for path in folder.iterdir()} == {0}
        ledger.close()
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("permissions", "left"),
    [(0o777, 0o755), (0o770, 0o750), (0o2775, 0o2755), (0o722, 0o700), (0o755, 0o755), (0o750, 0o750)],
)
def test_a_folder_that_is_too_open_is_closed(
    permissions: int, left: int, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    """A folder of this user that others could write is no longer, with a line; what they may read they still may."""
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(permissions)
    assert receive(folder)
    assert mode(folder) == left
    warnings = [record.message for record in log.records if record.levelno == logging.WARNING]
    assert warnings == ([f"{folder} was writable by other users; it is no longer"] if left != permissions else [])


def test_a_folder_that_all_share_is_refused(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    """Closing it, as root could /tmp, would take it from everybody: the warning names the variable to set."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    assert not receive(folder)
    assert mode(folder) == 0o1777
    assert list(folder.iterdir()) == []
    (warning,) = [record.message for record in log.records if record.levelno == logging.WARNING]
    assert f"{folder} is shared by all users; set SWF_STATE_DIR" in warning


def link(path: Path, target: Path) -> None:
    """Put a symbolic link there."""
    path.symlink_to(target)


def hard_link(path: Path, target: Path) -> None:
    """Put another name of a file there."""
    path.hardlink_to(target)


def fifo(path: Path, target: Path) -> None:
    """Put a FIFO there, which would block whoever opens it."""
    os.mkfifo(path)


def folder_instead(path: Path, target: Path) -> None:
    """Put a folder there."""
    path.mkdir()


def strangers(path: Path, target: Path) -> None:
    """Put a file of somebody else there."""
    path.touch()
    os.chown(path, STRANGER, STRANGER)


@pytest.mark.parametrize("name", ["ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"])
@pytest.mark.parametrize("put", [link, hard_link, fifo, folder_instead, pytest.param(strangers, marks=is_root)])
def test_a_file_that_was_put_there_is_refused(
    put: Callable[[Path, Path], None], name: str, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    """No token is written to what somebody put in the place of a file, and the poll goes on, with one warning."""
    folder, target = tmp_path / "state", tmp_path / "target"
    folder.mkdir(mode=0o700)
    target.write_text("untouched")
    put(folder / name, target)
    assert not receive(folder)
    assert target.read_text() == "untouched"
    (warning,) = [record.message for record in log.records if record.levelno == logging.WARNING]
    assert name in warning


@pytest.mark.parametrize("dangling", [False, True])
def test_a_folder_that_is_a_link_is_refused(dangling: bool, tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    """A link may lead anywhere: the warning names it, and the variable to set."""
    target = tmp_path / "elsewhere"
    if not dangling:
        target.mkdir(mode=0o700)
    (tmp_path / "state").symlink_to(target)
    assert not receive(tmp_path / "state")
    assert not dangling or not target.exists()
    assert target.exists() is not dangling
    (warning,) = [record.message for record in log.records if record.levelno == logging.WARNING]
    assert "symbolic link" in warning
    assert "SWF_STATE_DIR" in warning


@is_root
def test_somebody_elses_folder_is_refused(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    """Root does not use another user's ledger either: what is in it would be trusted with root's rights."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    os.chown(folder, STRANGER, STRANGER)
    assert not receive(folder)
    assert list(folder.iterdir()) == []
    (warning,) = [record.message for record in log.records if record.levelno == logging.WARNING]
    assert "belongs to user" in warning
    assert "SWF_STATE_DIR" in warning


def as_stranger(action: Callable[[], object]) -> str:
    """Do something as another user, in a child process; return the message of the error, empty if there is none."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the threads of the test runner take no part in this
        child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            action()
        except OSError as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        message = pipe.read().decode()
    os.waitpid(child, 0)
    return message


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder such as /tmp, which everybody can write to."""
    folder = Path(tempfile.mkdtemp(prefix="swf-test-"))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


@is_root
def test_what_a_user_may_not_even_open_is_named_with_its_owner(shared: Path) -> None:
    """A folder or file of root that another user can't open: the message says whose it is, and what to do."""
    roots, own = shared / "roots", shared / "own"
    roots.mkdir(mode=0o700)
    message = as_stranger(lambda: open_folder(roots))
    assert message == f"UntrustedError: {roots} belongs to user root; set SWF_STATE_DIR to a folder of your own"
    assert as_stranger(lambda: os.close(open_folder(own))) == ""
    (own / "f").touch(mode=0o600)
    message = as_stranger(lambda: open_file(open_folder(own), "f", create=True))
    assert message == "UntrustedError: f belongs to user root; remove it"
    message = as_stranger(lambda: open_folder(roots / "deeper"))
    assert message.startswith("PermissionError: ")
    assert str(roots) in message


@is_root
def test_a_user_uses_a_folder_of_their_own(shared: Path) -> None:
    """Parents too are made for that user alone."""
    state = shared / "a" / "state"
    assert as_stranger(lambda: os.close(open_file(open_folder(state), "f", create=True))) == ""
    made = [shared / "a", state, state / "f"]
    assert [(mode(path), path.stat().st_uid) for path in made] == [(0o700, STRANGER)] * 2 + [(0o600, STRANGER)]
    with pytest.raises(UntrustedError, match="belongs to user"):
        open_folder(state)


@is_root
@pytest.mark.parametrize("umask", [0o277, 0o777])
def test_a_umask_that_keeps_the_user_out(umask: int, shared: Path) -> None:
    """It takes nothing from a user who is not root, either: they can use what is created."""
    state = shared / "a" / "state"

    def create() -> None:
        os.umask(umask)
        os.close(open_file(open_folder(state), "f", create=True))

    assert as_stranger(create) == ""
    assert [mode(path) for path in (shared / "a", state, state / "f")] == [0o700, 0o700, 0o600]


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    """Nothing is created, locked or removed through a link with the name of a lock file."""
    folder = open_folder(tmp_path / "state")
    (tmp_path / "state" / "holder-0123456789abcdef").symlink_to(tmp_path / "target")
    with pytest.raises(UntrustedError, match="symbolic link"):
        open_file(folder, "holder-0123456789abcdef", create=True)
    os.close(folder)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SWF_STATE_DIR": "/s", "XDG_STATE_HOME": "/x"}, Path("/s")),
        ({"SWF_STATE_DIR": "", "XDG_STATE_HOME": "/x"}, Path("/x/swf")),
        ({"XDG_STATE_HOME": "x", "HOME": "/home/me"}, Path("/home/me/.local/state/swf")),
        ({"HOME": "/home/me"}, Path("/home/me/.local/state/swf")),
        ({"HOME": ""}, Path("/record/.local/state/swf")),
        ({}, Path("/record/.local/state/swf")),
    ],
)
def test_where_it_is(environ: dict[str, str], expected: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SWF_STATE_DIR, else below XDG_STATE_HOME, else below the home directory; an empty variable counts as unset.

    So does an XDG_STATE_HOME that is not absolute, as its specification says.
    """
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_dir="/record"))
    assert state_folder(environ) == expected


def test_without_a_home_there_is_none(monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture) -> None:
    """With neither HOME nor an entry in the user database the ledger is off, with one warning."""

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert state_folder({}) is None
    assert Ledger.from_env({}).folder is None
    assert log.messages == ["there is no home directory, so received tasks are not recorded; set SWF_STATE_DIR"]
