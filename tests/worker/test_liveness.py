"""Signs of life: datagrams for systemd, and a file for a probe."""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swf_cli.errors import NetworkError, ThrottlingError
from swf_cli.worker.liveness import Progress
from swf_cli.worker.worker import PollProgress
from tests.helpers.cli import wait_until
from tests.helpers.clock import FakeClock


class Systemd:
    """The socket that a service manager listens on."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(60)

    def read(self) -> str:
        """Wait for a datagram."""
        return self.socket.recv(1_000).decode()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    """A service manager, by a path or, on Linux, by an abstract name."""
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("only Linux has abstract names")
    manager = Systemd(f"{tmp_path}/notify" if request.param == "path" else f"@{tmp_path}/notify")
    yield manager
    manager.socket.close()


@pytest.fixture
def clock() -> FakeClock:
    """The worker's clock."""
    return FakeClock()


@pytest.fixture
def progress(clock: FakeClock) -> Progress:
    """The progress of a worker that nobody watches."""
    return Progress({}, clock=clock)


def test_ready_and_stopping(systemd: Systemd) -> None:
    """Each is sent once, without waiting."""
    progress = Progress({"NOTIFY_SOCKET": systemd.address})
    progress.start()
    for _ in range(2):
        progress.ready()
    for _ in range(2):
        progress.stopping()
    progress.stop()
    assert [systemd.read(), systemd.read()] == ["READY=1", "STOPPING=1"]
    systemd.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.read()


def test_ready_is_sent_again_if_it_could_not_be(tmp_path: Path) -> None:
    """A service manager that is not there yet, or whose queue is full, hears of it with a later poll."""
    progress = Progress({"NOTIFY_SOCKET": f"{tmp_path}/notify"})
    progress.ready()
    systemd = Systemd(f"{tmp_path}/notify")
    progress.ready()
    assert systemd.read() == "READY=1"
    systemd.socket.close()


@pytest.mark.parametrize("address", ["", "/no/such/socket", "@", "/etc/passwd", "x" * 200, "/tmp/a\0b", "é"])
def test_address_of_nobody(address: str) -> None:
    """It is no error."""
    progress = Progress({"NOTIFY_SOCKET": address})
    progress.start()
    progress.ready()
    progress.stop()


class TestWatchdog:
    """When the watchdog is fed."""

    def test_interval(self, systemd: Systemd) -> None:
        """Twice within the time that the service manager waits."""
        progress = Progress({"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "200000"})
        progress.start()
        assert [systemd.read(), systemd.read()] == ["WATCHDOG=1"] * 2
        progress.stop()
        assert systemd.read() in ("WATCHDOG=1", "STOPPING=1")

    @pytest.mark.parametrize(
        ("environ", "count"),
        [
            ({}, 0),
            ({"WATCHDOG_USEC": "0"}, 0),
            ({"WATCHDOG_USEC": "-1"}, 0),
            ({"WATCHDOG_USEC": "soon"}, 0),
            ({"WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"}, 0),
            ({"WATCHDOG_USEC": "200000", "WATCHDOG_PID": str(os.getpid())}, 1),
            ({"WATCHDOG_USEC": "9" * 5_000}, 1),
        ],
    )
    def test_only_if_it_is_asked_for(self, systemd: Systemd, environ: dict[str, str], count: int) -> None:
        """By a number of microseconds, and meant for this process."""
        before = set(threading.enumerate())
        progress = Progress({"NOTIFY_SOCKET": systemd.address, **environ})
        progress.start()
        assert len(set(threading.enumerate()) - before) == count
        progress.stop()

    def test_slot_that_hangs(self, progress: Progress, clock: FakeClock) -> None:
        """A slot that shows no sign of life for a minute stops it, although others do; one that is done does not."""
        progress.beat()
        clock.advance(59)
        other = threading.Thread(target=progress.beat)
        other.start()
        other.join()
        assert progress.is_alive()
        clock.advance(2)
        assert not progress.is_alive()
        progress.end()
        assert progress.is_alive()

    @pytest.mark.parametrize(("seconds", "is_alive"), [(75, True), (79, True), (81, False)])
    def test_poll_that_hangs(self, progress: Progress, clock: FakeClock, seconds: float, is_alive: bool) -> None:
        """A poll that SWF holds is progress for 75 seconds."""
        PollProgress(progress).on_poll()
        clock.advance(seconds)
        assert progress.is_alive() is is_alive

    def test_service_that_hangs(self, progress: Progress, clock: FakeClock) -> None:
        """That polls are given up and sent again is no progress if none of them is ever answered."""
        polls = PollProgress(progress)
        for _ in range(2):
            polls.on_poll()
            clock.advance(75)
            polls.on_failure(NetworkError("no response in time", possibly_executed=True))
        assert not progress.is_alive()
        polls.on_poll()
        polls.on_response()
        assert progress.is_alive()

    def test_service_that_hangs_while_a_task_runs(self, progress: Progress, clock: FakeClock) -> None:
        """Nobody is to kill a worker that works."""
        polls = PollProgress(progress)
        progress.running = 1
        for _ in range(3):
            polls.on_poll()
            clock.advance(75)
            polls.on_failure(NetworkError("no response in time", possibly_executed=True))
            clock.advance(60)
            assert progress.is_alive()

    @pytest.mark.parametrize("error", [NetworkError("connection refused"), ThrottlingError("slow down")])
    def test_service_that_refuses(self, progress: Progress, clock: FakeClock, error: NetworkError) -> None:
        """A restart would not help: failures that come at once, and the waits after them, are progress."""
        polls = PollProgress(progress)
        for _ in range(5):
            polls.on_poll()
            polls.on_failure(error)
            clock.advance(60)  # the longest wait
            assert progress.is_alive()

    def test_poll_after_a_long_wait(self, progress: Progress, clock: FakeClock) -> None:
        """The time that a poll may take begins when it is sent, not with the answer before."""
        polls = PollProgress(progress)
        polls.on_poll()
        polls.on_failure(ThrottlingError("slow down"))
        clock.advance(60)
        polls.on_poll()
        clock.advance(75)
        assert progress.is_alive()


class TestAliveFile:
    """The file that a probe looks at."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        """Its path."""
        return tmp_path / "alive"

    @pytest.fixture
    def is_touched(self, file: Path) -> Callable[[Callable[[], None]], bool]:
        """A function that returns whether another one touches the file."""

        def is_touched(act: Callable[[], None]) -> bool:
            os.utime(file, (0, 0))
            act()
            return file.stat().st_mtime > 0

        return is_touched

    def test_moves_with_answers(self, file: Path, is_touched: Callable[[Callable[[], None]], bool]) -> None:
        """It is made at the start, and touched by each answered poll and heartbeat; not by what fails."""
        progress = Progress({}, str(file))
        progress.start()
        assert file.read_bytes() == b""
        polls = PollProgress(progress)
        assert is_touched(polls.on_response)
        assert is_touched(progress.touch)
        assert not is_touched(polls.on_poll)
        assert not is_touched(polls.on_sent)
        assert not is_touched(lambda: polls.on_failure(ThrottlingError("slow down")))
        assert not is_touched(lambda: polls.on_failure(NetworkError("cut", possibly_executed=True)))

    def test_content_is_kept(self, file: Path) -> None:
        """A file that was given by mistake loses nothing."""
        file.write_text("precious")
        Progress({}, str(file)).start()
        assert file.read_text() == "precious"

    def test_deleted(self, file: Path, caplog: pytest.LogCaptureFixture) -> None:
        """It is made again; if that is not possible, it is no error any more, but logged once each time it begins."""
        progress = Progress({}, str(file))
        progress.start()
        file.unlink()
        progress.touch()
        assert file.exists()
        for _ in range(2):
            file.unlink()
            file.symlink_to("other")
            progress.touch()
            progress.touch()
            file.unlink()
            progress.touch()
            assert file.exists()
        assert caplog.messages == [f"cannot touch {file}: it is a symbolic link"] * 2

    @pytest.mark.parametrize("kind", ["folder", "link", "fifo", "missing"])
    def test_file_that_cannot_be_used(self, file: Path, kind: str) -> None:
        """No link is followed, and no reader of a FIFO waited for."""
        match kind:
            case "folder":
                file.mkdir()
            case "link":
                file.symlink_to("other")
            case "fifo":
                os.mkfifo(file)
        path = file / "none" if kind == "missing" else file
        with pytest.raises(OSError, match=r"\[Errno"):
            Progress({}, str(path)).start()


def test_nothing_waits_for_systemd(tmp_path: Path) -> None:
    """A service manager that reads nothing delays nobody."""
    systemd = Systemd(f"{tmp_path}/notify")
    progress = Progress({"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "1"})
    progress.start()
    done = threading.Event()

    def notify_often() -> None:
        for _ in range(2_000):
            Progress({"NOTIFY_SOCKET": systemd.address}).ready()
        done.set()

    threading.Thread(target=notify_often, daemon=True).start()
    wait_until(done.is_set)
    progress.stop()
    systemd.socket.close()
