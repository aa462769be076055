"""Processes: how the end of one is awaited, how one is told from another, how a group is ended."""

import fcntl
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from swf_cli.processes import (
    ProcessWatch,
    end_group,
    group_is_running,
    is_running,
    raise_open_file_limit,
    start_id,
    terminate_group_if_same,
)
from swf_cli.signals import SignalSafeEvent
from tests.helpers.cli import wait_until
from tests.helpers.processes import written_pids


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that waits until it is told to end."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_process_is_awaited(child: "subprocess.Popen[bytes]") -> None:
    """A process that lives is waited for as long as is told, and its end is seen, once and for all."""
    watch = ProcessWatch(child.pid)
    assert not watch.wait(0)
    assert not watch.wait(0.05)
    child.kill()
    assert watch.wait(10)
    assert watch.wait(0)


def test_a_zombie_has_ended(child: "subprocess.Popen[bytes]") -> None:
    """A process that has ended and that nobody collected has ended: `swf` is no parent of what it watches."""
    watch = ProcessWatch(child.pid)
    os.kill(child.pid, signal.SIGTERM)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is a zombie still
    assert watch.wait(0)
    assert ProcessWatch(child.pid).wait(0)


def test_a_process_that_is_not_there_has_ended(child: "subprocess.Popen[bytes]") -> None:
    """An id that no process has any more is that of one that has ended."""
    child.kill()
    child.wait()
    assert ProcessWatch(child.pid).wait(0)


def test_watches_leave_nothing_open(child: "subprocess.Popen[bytes]") -> None:
    """A watch lets go of what it holds when the process ends, or when it is closed."""
    before = len(os.listdir("/dev/fd"))
    watches = [ProcessWatch(child.pid) for _ in range(3)]
    watches.pop().close()
    child.kill()
    wait_until(lambda: child.poll() is not None)
    assert all(watch.wait(10) for watch in watches)
    assert len(os.listdir("/dev/fd")) == before


def test_a_watch_may_have_a_high_number(child: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker with many jobs has more than 1,024 files open, and still sees each end."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 1_500 or sys.platform != "linux":
        pytest.skip("no so high number here")
    low = os.pidfd_open(child.pid)
    monkeypatch.setattr(os, "pidfd_open", lambda pid: fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 1_500))
    watch = ProcessWatch(child.pid)
    assert not watch.wait(0.01)
    child.kill()
    assert watch.wait(10)
    os.close(low)


def test_a_process_is_awaited_without_the_systems_help(
    child: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Python or the system can't tell of an end, it is looked for from time to time."""
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    watch = ProcessWatch(child.pid)
    assert not watch.wait(0.03)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert watch.wait(10)


def test_a_fingerprint_is_of_one_process(child: "subprocess.Popen[bytes]") -> None:
    """It stays while the process is there, differs from that of any other, and there is none without a process."""
    with subprocess.Popen(["sleep", "100"]) as other:
        own = start_id(child.pid)
        assert own == start_id(child.pid)
        assert own is not None
        time.sleep(0.02)  # ids are used again only later than that
        assert start_id(os.getpid()) not in (own, None)
        other.kill()
    assert start_id(other.pid) is None


def test_a_zombie_does_not_run(child: "subprocess.Popen[bytes]") -> None:
    """A process runs until it has ended; nobody needs to have collected it."""
    assert is_running(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_running(child.pid)
    child.wait()
    assert not is_running(child.pid)


class TestGroups:
    """`end_group`, `terminate_group_if_same`, `group_is_running`."""

    @pytest.fixture
    def lead(self, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
        """A shell that leads a group with a child; both have written their ids."""
        script = f"sleep 100 & echo $! > {tmp_path}/child.pid; echo $$ > {tmp_path}/sh.pid; wait"
        with subprocess.Popen(["sh", "-c", script], process_group=0) as process:
            written_pids(tmp_path, 2)
            yield process
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    def test_a_group_ends_with_its_children(self, lead: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
        """All of it is asked, and gone at once; a leader that is not collected yet does not count."""
        began = time.monotonic()
        assert end_group(lead.pid, grace=30)
        assert time.monotonic() - began < 10
        assert not any(map(is_running, written_pids(tmp_path, 2)))

    @pytest.mark.parametrize("stop", [False, True])
    def test_who_ignores_the_request_is_killed(self, tmp_path: Path, stop: bool) -> None:
        """After the grace; also one that is stopped."""
        script = f"trap '' TERM; echo $$ > {tmp_path}/sh.pid; while :; do sleep 0.05; done"
        with subprocess.Popen(["sh", "-c", script], process_group=0) as process:
            written_pids(tmp_path, 1)
            if stop:
                os.kill(process.pid, signal.SIGSTOP)
            began = time.monotonic()
            assert end_group(process.pid, grace=0.3)
            assert 0.3 <= time.monotonic() - began < 5
        assert process.returncode == -signal.SIGKILL

    def test_a_stopped_group_hears_the_request(self, tmp_path: Path) -> None:
        """Who is stopped goes on, to tidy up and end."""
        script = (
            f"trap 'touch {tmp_path}/tidied; exit' TERM; echo $$ > {tmp_path}/sh.pid; while :; do sleep 0.05; done"
        )
        with subprocess.Popen(["sh", "-c", script], process_group=0) as process:
            written_pids(tmp_path, 1)
            os.kill(process.pid, signal.SIGSTOP)
            assert end_group(process.pid, grace=30)
        assert (tmp_path / "tidied").exists()

    def test_a_group_outlives_its_leader(self, lead: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
        """It runs as long as one of it does."""
        lead.kill()
        lead.wait()
        assert group_is_running(lead.pid)
        assert end_group(lead.pid, grace=30)
        assert not group_is_running(lead.pid)

    def test_the_group_that_was_meant_is_ended(self, lead: "subprocess.Popen[bytes]") -> None:
        """A group whose leader started when it was told."""
        started = start_id(lead.pid)
        assert started is not None
        assert terminate_group_if_same(lead.pid, started, grace=30)
        assert not group_is_running(lead.pid)

    @pytest.mark.parametrize("started", ["", "another boot/1/2", "0"])
    def test_another_group_is_let_alone(self, lead: "subprocess.Popen[bytes]", started: str) -> None:
        """The same id, another start: somebody else has it now."""
        assert not terminate_group_if_same(lead.pid, started, grace=0)
        assert is_running(lead.pid)

    def test_a_group_that_is_gone_is_let_alone(self, lead: "subprocess.Popen[bytes]") -> None:
        """Nothing is signalled when nobody has the id."""
        started = start_id(lead.pid)
        assert started is not None
        end_group(lead.pid, grace=30)
        lead.wait()
        assert not terminate_group_if_same(lead.pid, started, grace=0)


@pytest.mark.parametrize(("hard", "count", "allowed"), [(256, 100, True), (256, 256, True), (256, 257, False)])
def test_files_that_may_be_open(hard: int, count: int, allowed: bool) -> None:
    """The soft limit is raised as far as is needed, up to the hard one."""
    script = (
        "import resource, sys; from swf_cli.processes import raise_open_file_limit; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (128, {hard})); "
        f"print(raise_open_file_limit({count}), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(allowed), str(max(128, count) if allowed else 128)]
    assert raise_open_file_limit(3)


def test_a_flag_may_be_set_by_a_handler_that_interrupts_its_wait() -> None:
    """A signal handler sets a flag while the same thread waits for it: the wait ends at once, and never hangs."""
    for _ in range(20):
        flag = SignalSafeEvent()
        before = signal.signal(signal.SIGALRM, lambda *_, flag=flag: flag.set())
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.005)
            assert flag.wait(10)
        finally:
            signal.signal(signal.SIGALRM, before)
        assert flag.is_set()
        assert flag.wait(0)


def test_a_flag_that_is_not_set_is_waited_for_in_vain() -> None:
    """A wait for a flag ends when its time is over, and tells so; several threads hear of one flag."""
    flag = SignalSafeEvent()
    assert not flag.wait(0.01)
    with ThreadPoolExecutor(2) as threads:
        waits = [threads.submit(flag.wait, 10) for _ in range(2)]
        flag.set()
        flag.set()
        assert [wait.result() for wait in waits] == [True, True]
