"""Signs of life: datagrams for systemd, and a file for a probe."""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swf_cli.errors import NetworkError, ThrottlingError
from swf_cli.worker.liveness import Liveness
from swf_cli.worker.worker import PollLiveness
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
def liveness(clock: FakeClock) -> Liveness:
    """The liveness of a worker that nobody watches."""
    return Liveness({}, clock=clock)


def test_ready_and_stopping(systemd: Systemd) -> None:
    """Each is sent once, without waiting."""
    liveness = Liveness({"NOTIFY_SOCKET": systemd.address})
    liveness.start()
    for _ in range(2):
        liveness.ready()
    for _ in range(2):
        liveness.stopping()
    liveness.stop()
    assert [systemd.read(), systemd.read()] == ["READY=1", "STOPPING=1"]
    systemd.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.read()


def test_ready_is_sent_again_if_it_could_not_be(tmp_path: Path) -> None:
    """A service manager that is not there yet, or whose queue is full, hears of it with a later poll."""
    liveness = Liveness({"NOTIFY_SOCKET": f"{tmp_path}/notify"})
    liveness.ready()
    systemd = Systemd(f"{tmp_path}/notify")
    liveness.ready()
    assert systemd.read() == "READY=1"
    systemd.socket.close()


@pytest.mark.parametrize("address", ["", "/no/such/socket", "@", "/etc/passwd", "x" * 200, "/tmp/a\0b", "é"])
def test_address_of_nobody(address: str) -> None:
    """It is no error."""
    liveness = Liveness({"NOTIFY_SOCKET": address})
    liveness.start()
    liveness.ready()
    liveness.stop()


class TestWatchdog:
    """When the watchdog is fed."""

    def test_interval(self, systemd: Systemd) -> None:
        """Twice within the time that the service manager waits."""
        liveness = Liveness({"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "200000"})
        liveness.start()
        assert [systemd.read(), systemd.read()] == ["WATCHDOG=1"] * 2
        liveness.stop()
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
        liveness = Liveness({"NOTIFY_SOCKET": systemd.address, **environ})
        liveness.start()
        assert len(set(threading.enumerate()) - before) == count
        liveness.stop()

    def test_slot_that_hangs(self, liveness: Liveness, clock: FakeClock) -> None:
        """A slot that shows no sign of life for a minute stops it, although others do; one that is done does not."""
        liveness.beat()
        clock.advance(59)
        other = threading.Thread(target=liveness.beat)
        other.start()
        other.join()
        assert liveness.is_alive()
        clock.advance(2)
        assert not liveness.is_alive()
        liveness.end()
        assert liveness.is_alive()

    @pytest.mark.parametrize(("seconds", "is_alive"), [(75, True), (79, True), (81, False)])
    def test_poll_that_hangs(self, liveness: Liveness, clock: FakeClock, seconds: float, is_alive: bool) -> None:
        """A poll that SWF holds is progress for 75 seconds."""
        PollLiveness(liveness).on_poll()
        clock.advance(seconds)
        assert liveness.is_alive() is is_alive

    def test_service_that_hangs(self, liveness: Liveness, clock: FakeClock) -> None:
        """That polls are given up and sent again is no progress if none of them is ever answered."""
        polls = PollLiveness(liveness)
        for _ in range(2):
            polls.on_poll()
            clock.advance(75)
            polls.on_failure(NetworkError("no response in time", possibly_executed=True))
        assert not liveness.is_alive()
        polls.on_poll()
        polls.on_response()
        assert liveness.is_alive()

    def test_service_that_hangs_while_a_task_runs(self, liveness: Liveness, clock: FakeClock) -> None:
        """Nobody is to kill a worker that works."""
        polls = PollLiveness(liveness)
        liveness.running = 1
        for _ in range(3):
            polls.on_poll()
            clock.advance(75)
            polls.on_failure(NetworkError("no response in time", possibly_executed=True))
            clock.advance(60)
            assert liveness.is_alive()

    @pytest.mark.parametrize("error", [NetworkError("connection refused"), ThrottlingError("slow down")])
    def test_service_that_refuses(self, liveness: Liveness, clock: FakeClock, error: NetworkError) -> None:
        """A restart would not help: failures that come at once, and the waits after them, are liveness."""
        polls = PollLiveness(liveness)
        for _ in range(5):
            polls.on_poll()
            polls.on_failure(error)
            clock.advance(60)  # the longest wait
            assert liveness.is_alive()

    def test_poll_after_a_long_wait(self, liveness: Liveness, clock: FakeClock) -> None:
        """The time that a poll may take begins when it is sent, not with the answer before."""
        polls = PollLiveness(liveness)
        polls.on_poll()
        polls.on_failure(ThrottlingError("slow down"))
        clock.advance(60)
        polls.on_poll()
        clock.advance(75)
        assert liveness.is_alive()


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
        liveness = Liveness({}, str(file))
        liveness.start()
        assert file.read_bytes() == b""
        polls = PollLiveness(liveness)
        assert is_touched(polls.on_response)
        assert is_touched(liveness.touch)
        assert not is_touched(polls.on_poll)
        assert not is_touched(polls.on_sent)
        assert not is_touched(lambda: polls.on_failure(ThrottlingError("slow down")))
        assert not is_touched(lambda: polls.on_failure(NetworkError("cut", possibly_executed=True)))

    def test_content_is_kept(self, file: Path) -> None:
        """A file that was given by mistake loses nothing."""
        file.write_text("precious")
        Liveness({}, str(file)).start()
        assert file.read_text() == "precious"

    @pytest.mark.parametrize("kind", ["device", "pipe"])
    def test_not_a_regular_file(self, file: Path, kind: str) -> None:
        """No probe could go by its time."""
        path = os.devnull if kind == "device" else str(file)
        if kind == "pipe":
            os.mkfifo(path)
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with pytest.raises(OSError, match="it is not a regular file"):
            Liveness({}, path).start()
        if kind == "pipe":
            os.close(reader)

    @pytest.mark.parametrize("kind", ["pipe", "socket"])
    def test_replaced(
        self, file: Path, kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the system says of a pipe that nobody reads, or of a socket, would not help."""
        if kind == "pipe":
            os.mkfifo(file)
        else:
            monkeypatch.chdir(file.parent)  # the address of a socket is short
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(file.name)
        Liveness({}, str(file)).touch()
        assert caplog.messages == [f"cannot touch {file}: it is not a regular file"]

    def test_deleted(self, file: Path, caplog: pytest.LogCaptureFixture) -> None:
        """It is made again; if that is not possible, it is no error any more, but logged once each time it begins."""
        liveness = Liveness({}, str(file))
        liveness.start()
        file.unlink()
        liveness.touch()
        assert file.exists()
        for _ in range(2):
            file.unlink()
            file.symlink_to("other")
            liveness.touch()
            liveness.touch()
            file.unlink()
            liveness.touch()
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
            Liveness({}, str(path)).start()


def test_nothing_waits_for_systemd(tmp_path: Path) -> None:
    """A service manager that reads nothing delays nobody."""
    systemd = Systemd(f"{tmp_path}/notify")
    liveness = Liveness({"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "1"})
    liveness.start()
    done = threading.Event()

    def notify_often() -> None:
        for _ in range(2_000):
            Liveness({"NOTIFY_SOCKET": systemd.address}).ready()
        done.set()

    threading.Thread(target=notify_often, daemon=True).start()
    wait_until(done.is_set)
    liveness.stop()
    systemd.socket.close()
