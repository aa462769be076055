"""Processes: how the end of one is awaited, how one is told from another with its ID, how a group is ended."""

import fcntl
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from swf_cli.processes import (
    ProcessWatch,
    end_group,
    end_groups,
    group_is_running,
    is_running,
    raise_open_file_limit,
    start_id,
)
from tests.helpers.cli import wait_until
from tests.helpers.processes import refuse_signal, written_pids


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that runs until it is signalled."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def await_zombie(process: "subprocess.Popen[bytes]") -> None:
    """Wait until a process has ended, and do not reap it."""
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


class TestWatch:
    """`ProcessWatch`."""

    def test_end_of_a_process(self, child: "subprocess.Popen[bytes]") -> None:
        """While the process runs, a wait ends at its timeout; its end is noticed, once and for all."""
        watch = ProcessWatch(child.pid)
        assert not watch.wait(0)
        assert not watch.wait(0.01)
        child.kill()
        assert watch.wait(60)
        assert watch.wait(0)

    def test_zombie(self, child: "subprocess.Popen[bytes]") -> None:
        """A process that nobody has reaped has ended: `swf` is not the parent of what it watches."""
        watch = ProcessWatch(child.pid)
        child.terminate()
        await_zombie(child)
        assert watch.wait(0)
        assert ProcessWatch(child.pid).wait(0)

    def test_unused_id(self, child: "subprocess.Popen[bytes]") -> None:
        """A process that does not exist any more has ended."""
        child.kill()
        child.wait()
        assert ProcessWatch(child.pid).wait(0)

    def test_descriptors_are_closed(self, child: "subprocess.Popen[bytes]") -> None:
        """A watch closes its descriptor when the process ends, or when it is closed itself."""
        before = len(os.listdir("/dev/fd"))
        watches = [ProcessWatch(child.pid) for _ in range(3)]
        watches.pop().close()
        child.kill()
        assert all(watch.wait(60) for watch in watches)
        assert len(os.listdir("/dev/fd")) == before

    def test_high_descriptor(self, child: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch) -> None:
        """A worker with many jobs has more than 1,024 files open, and still notices each end."""
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 1_500 or sys.platform != "linux":
            pytest.skip("no descriptors with such high numbers here")
        low = os.pidfd_open(child.pid)
        monkeypatch.setattr(os, "pidfd_open", lambda pid: fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 1_500))
        watch = ProcessWatch(child.pid)
        assert not watch.wait(0.01)
        child.kill()
        assert watch.wait(60)
        os.close(low)

    def test_system_without_such_a_call(
        self, child: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where Python or the system can't report an end, the watch looks for it repeatedly."""
        monkeypatch.delattr(os, "pidfd_open", raising=False)
        watch = ProcessWatch(child.pid)
        assert not watch.wait(0.03)
        child.kill()
        await_zombie(child)
        assert watch.wait(60)


def test_start_id_names_one_process(child: "subprocess.Popen[bytes]") -> None:
    """It stays the same while the process runs, differs from that of another, and is None without a process."""
    own = start_id(child.pid)
    assert own is not None
    assert own == start_id(child.pid)
    assert start_id(os.getpid()) not in (own, None)
    child.kill()
    child.wait()
    assert start_id(child.pid) is None


@pytest.mark.skipif(sys.platform != "linux", reason="start IDs name the boot on Linux only")
def test_no_start_id_where_the_boot_is_hidden() -> None:
    """A system that does not tell its boot, such as a unit with ProcSubset=pid, has no start IDs, and no errors."""
    code = """
import os, pathlib
def hide(*_): raise FileNotFoundError(2, "No such file or directory", "/proc/sys/kernel/random/boot_id")
pathlib.Path.read_text = hide
from swf_cli.processes import is_from_here, is_running, start_id
print(start_id(os.getpid()), is_from_here("anything"), is_running(os.getpid()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["None", "False", "True"]


def test_zombie_is_not_running(child: "subprocess.Popen[bytes]") -> None:
    """A process is running until it has ended; it need not be reaped."""
    assert is_running(child.pid)
    child.kill()
    await_zombie(child)
    assert not is_running(child.pid)
    child.wait()
    assert not is_running(child.pid)


Start = Callable[[str], "subprocess.Popen[bytes]"]


class TestGroups:
    """`end_group`, `end_groups`, `group_is_running`."""

    @pytest.fixture
    def start(self, tmp_path: Path) -> Iterator[Start]:
        """Start a shell script that leads a process group and writes its ID; the group is killed at the end."""
        processes: list[subprocess.Popen[bytes]] = []

        def start(script: str) -> "subprocess.Popen[bytes]":
            command = ["sh", "-c", f"echo $$ > {tmp_path}/sh.pid; {script}"]
            processes.append(subprocess.Popen(command, process_group=0))
            return processes[-1]

        yield start
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @pytest.fixture
    def leader(self, start: Start, tmp_path: Path) -> "subprocess.Popen[bytes]":
        """A shell that leads a group with a child; both have written their IDs."""
        process = start(f"sleep 100 & echo $! > {tmp_path}/child.pid; wait")
        written_pids(tmp_path, 2)
        return process

    def test_group_ends_with_its_children(self, leader: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
        """All of it gets the signal, and the end is noticed although the leader is not reaped yet."""
        assert end_group(leader.pid, grace=3_600)
        assert not any(map(is_running, written_pids(tmp_path, 2)))

    @pytest.mark.parametrize("stop", [False, True])
    def test_killed_after_the_grace_period(self, start: Start, tmp_path: Path, stop: bool) -> None:
        """A group that ignores the signal is killed, also one that is stopped."""
        process = start(f"trap '' TERM; echo $$ > {tmp_path}/ready.pid; while :; do sleep 0.02; done")
        written_pids(tmp_path, 2)
        if stop:
            os.kill(process.pid, signal.SIGSTOP)
        assert end_group(process.pid, grace=0.3)
        assert process.wait() == -signal.SIGKILL

    def test_stopped_group_gets_the_signal(self, start: Start, tmp_path: Path) -> None:
        """A stopped process is continued, so that it can clean up."""
        tidy = f"trap 'touch {tmp_path}/tidied; exit' TERM; echo $$ > {tmp_path}/ready.pid"
        process = start(f"{tidy}; while :; do sleep 0.02; done")
        written_pids(tmp_path, 2)
        os.kill(process.pid, signal.SIGSTOP)
        assert end_group(process.pid, grace=3_600)
        assert (tmp_path / "tidied").exists()

    def test_group_outlives_its_leader(self, leader: "subprocess.Popen[bytes]") -> None:
        """A group is running as long as one of its processes is."""
        leader.kill()
        leader.wait()
        assert group_is_running(leader.pid)
        assert end_group(leader.pid, grace=3_600)
        assert not group_is_running(leader.pid)

    @pytest.mark.parametrize("hidden", ["/proc/1", "/proc"], ids=["other users'", "all"])
    def test_zombie_where_processes_are_hidden(self, hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A group ends with its leader, reaped or not, also where processes are hidden (hidepid), or all are."""
        isdir = os.path.isdir
        monkeypatch.setattr(os.path, "isdir", lambda path: not str(path).startswith(hidden) and isdir(path))
        with subprocess.Popen(["sleep", "100"], process_group=0) as leader:
            assert group_is_running(leader.pid)
            leader.kill()
            await_zombie(leader)
            assert not group_is_running(leader.pid)
        assert not group_is_running(leader.pid)

    def test_same_leader(self, leader: "subprocess.Popen[bytes]") -> None:
        """A group is terminated if its leader is the process with that start ID."""
        started = start_id(leader.pid)
        assert started is not None
        assert end_groups({leader.pid: started}, grace=3_600, kill=threading.Event()) == []
        assert not group_is_running(leader.pid)

    def test_group_that_may_not_be_signalled(
        self, leader: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is not waited for, and known to be running until its processes have ended."""
        started = start_id(leader.pid)
        assert started is not None
        with monkeypatch.context() as patch:
            patch.setattr(os, "killpg", refuse_signal)
            assert end_groups({leader.pid: started}, grace=3_600, kill=threading.Event()) == [leader.pid]
            assert not end_group(leader.pid, grace=3_600)
        os.killpg(leader.pid, signal.SIGKILL)
        await_zombie(leader)
        wait_until(lambda: not group_is_running(leader.pid))
        with monkeypatch.context() as patch:
            patch.setattr(os, "killpg", refuse_signal)  # as macOS does for a group of zombies
            assert not group_is_running(leader.pid)

    @pytest.mark.parametrize("started", ["", "another boot/1/2", "0"])
    def test_another_leader(self, leader: "subprocess.Popen[bytes]", started: str) -> None:
        """With another start ID, the process ID belongs to another process by now: nothing is signalled."""
        end_groups({leader.pid: started}, grace=0, kill=threading.Event())
        assert is_running(leader.pid)

    def test_no_leader(self, leader: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
        """Nothing is signalled if no process has the ID, though the group has others."""
        started = start_id(leader.pid)
        assert started is not None
        leader.kill()
        leader.wait()
        end_groups({leader.pid: started}, grace=0, kill=threading.Event())
        assert is_running(*(pid for pid in written_pids(tmp_path, 2) if pid != leader.pid))

    def test_groups_are_stopped_at_once(self, start: Start, tmp_path: Path) -> None:
        """They share the grace period, and need no threads; one that a request to kill interrupts is killed."""
        processes = []
        for number in range(3):
            stubborn = f"trap '' TERM; echo $$ > {tmp_path}/ready-{number}.pid; while :; do sleep 0.02; done"
            processes.append(start(stubborn))
        written_pids(tmp_path, 4)
        leaders = {process.pid: started for process in processes if (started := start_id(process.pid))}
        kill = threading.Event()
        kill.set()
        end_groups(leaders, grace=3_600, kill=kill)
        assert [process.wait() for process in processes] == [-signal.SIGKILL] * 3


@pytest.mark.parametrize(("hard", "count", "allowed"), [(256, 100, True), (256, 256, True), (256, 257, False)])
def test_open_file_limit(hard: int, count: int, allowed: bool) -> None:
    """The soft limit is raised as far as needed, up to the hard one."""
    script = (
        "import resource; from swf_cli.processes import raise_open_file_limit; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (128, {hard})); "
        f"print(raise_open_file_limit({count}), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(allowed), str(max(128, count) if allowed else 128)]


def test_open_file_limit_that_is_high_enough() -> None:
    """A limit that is high enough is left alone."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert raise_open_file_limit(3)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
