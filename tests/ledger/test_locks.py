"""Which holders of a ledger are alive."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from swf_cli.ledger.locks import HolderLock, holder_is_alive
from swf_cli.ledger.trust import open_folder
from swf_cli.processes import host_name, start_id
from tests.helpers.clock import FakeClock

DEAD = "holder-0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    """A descriptor of the ledger's folder."""
    descriptor = open_folder(tmp_path / "state")
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of that folder."""
    return tmp_path / "state"


def is_alive(folder: int, name: str) -> bool:
    """Return whether a holder is alive, going by its lock file alone."""
    alive = holder_is_alive(folder, name, host_name(), os.getpid(), None)
    assert alive is not None
    return alive


def test_a_holder_is_alive_until_it_releases_its_lock(folder: int, path: Path) -> None:
    """A holder has one lock file, whose name stays; releasing it, once or twice, removes the file."""
    lock = HolderLock()
    name = lock.acquire(folder)
    assert lock.acquire(folder) == name
    assert [file.name for file in path.iterdir()] == [name]
    assert (path / name).stat().st_mode & 0o777 == 0o600
    assert is_alive(folder, name)
    lock.release()
    lock.release()
    assert list(path.iterdir()) == []
    assert not is_alive(folder, name)


def test_a_holder_that_has_released_its_lock_can_take_another(folder: int, path: Path) -> None:
    """What was held under the first name is not held by the second."""
    lock = HolderLock()
    first = lock.acquire(folder)
    lock.release()
    second = lock.acquire(folder)
    assert first != second
    assert [is_alive(folder, name) for name in (first, second)] == [False, True]
    lock.release()


def test_another_process_that_looks_is_not_the_holder(folder: int, path: Path) -> None:
    """A dead holder is dead, however many look at its file at the same moment."""
    with (path / DEAD).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert not is_alive(folder, DEAD)


def test_the_file_of_a_dead_holder_is_removed(folder: int, path: Path) -> None:
    """A file that nobody locks is that of a process that died; looking at it clears it away."""
    (path / DEAD).touch()
    assert not is_alive(folder, DEAD)
    assert list(path.iterdir()) == []


def test_a_lock_whose_file_is_already_gone_can_be_released(folder: int, path: Path) -> None:
    """Somebody may have emptied the folder."""
    lock = HolderLock()
    (path / lock.acquire(folder)).unlink()
    lock.release()


def test_a_new_lock_is_never_taken_for_that_of_a_dead_process(folder: int, path: Path) -> None:
    """While others remove the files of dead holders, a lock that was acquired is there, and held."""
    done = threading.Event()

    def clean_up() -> None:
        while not done.is_set():
            for file in path.iterdir():
                is_alive(folder, file.name)

    cleaners = [threading.Thread(target=clean_up) for _ in range(2)]
    for cleaner in cleaners:
        cleaner.start()
    try:
        for _ in range(300):
            lock = HolderLock()
            assert is_alive(folder, lock.acquire(folder))
            lock.release()
    finally:
        done.set()
        for cleaner in cleaners:
            cleaner.join()


def test_a_lock_whose_file_is_always_removed_fails(folder: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Creating files is not tried forever."""
    flock = fcntl.flock

    def remove_and_flock(descriptor: int, how: int) -> None:
        for file in path.iterdir():
            file.unlink()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", remove_and_flock)
    with pytest.raises(OSError, match="new files are removed or locked by something else"):
        HolderLock().acquire(folder)
    assert list(path.iterdir()) == []


def test_a_file_that_somebody_removed_does_not_make_a_process_dead(folder: int, path: Path) -> None:
    """Then the start ID of the process tells: it is alive as long as it is that very process."""
    with subprocess.Popen(["sleep", "60"]) as process:
        started = start_id(process.pid)
        assert started is not None
        assert holder_is_alive(folder, DEAD, host_name(), process.pid, started)
        assert holder_is_alive(folder, DEAD, host_name(), process.pid, started + "0") is False
        process.kill()
    assert holder_is_alive(folder, DEAD, host_name(), process.pid, started) is False


def test_a_zombie_is_dead(folder: int) -> None:
    """A process that was killed, and not yet reaped by its parent, holds nothing."""
    with subprocess.Popen(["sleep", "60"]) as process:
        started = start_id(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert holder_is_alive(folder, DEAD, host_name(), process.pid, started) is False


def test_a_process_of_another_host_is_not_known_to_be_dead(folder: int, path: Path) -> None:
    """A folder that hosts share may not show their locks: their files stay, and nobody is told that they died."""
    other_boot = "0b0b0b0b-0000-0000-0000-000000000000/1/17"
    (path / DEAD).touch(mode=0o600)
    for started in (None, other_boot):
        assert holder_is_alive(folder, DEAD, "farm-7", os.getpid(), started) is None
    assert [file.name for file in path.iterdir()] == [DEAD]
    lock = HolderLock()
    assert holder_is_alive(folder, lock.acquire(folder), "farm-7", os.getpid(), other_boot) is True
    lock.release()


@pytest.mark.skipif(sys.platform != "linux", reason="start IDs name the boot on Linux only")
def test_a_renamed_host_is_the_same_machine(folder: int) -> None:
    """Start IDs show it: a laptop's name may follow its network."""
    with subprocess.Popen(["sleep", "60"]) as process:
        started = start_id(process.pid)
        assert holder_is_alive(folder, DEAD, "farm-7", process.pid, started) is True
        process.kill()
    assert holder_is_alive(folder, DEAD, "farm-7", process.pid, started) is False


def test_the_file_is_touched_once_a_day(folder: int, path: Path) -> None:
    """Programs that remove old files leave it alone."""
    clock = FakeClock()
    lock = HolderLock(clock)
    file = path / lock.acquire(folder)
    for passed, is_touched in ((86_400.0, False), (1.0, True), (86_400.0, False), (1.0, True)):
        os.utime(file, (0, 0))
        clock.now += passed
        lock.touch()
        assert (file.stat().st_mtime > 0) is is_touched
    lock.release()


def test_a_file_that_can_not_be_touched_is_still_locked(
    folder: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that became read-only keeps nobody from working."""

    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    clock = FakeClock()
    lock = HolderLock(clock)
    name = lock.acquire(folder)
    monkeypatch.setattr(os, "utime", read_only)
    clock.now += 100_000.0
    lock.touch()
    assert is_alive(folder, name)
    lock.release()
