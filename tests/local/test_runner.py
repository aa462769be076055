"""Commands run against a local SWF: exit codes, signals, and that nothing is left running."""

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swf_cli.errors import Signalled
from swf_cli.local.runner import run_command
from tests.helpers.processes import is_running, written_pids


@pytest.fixture
def env() -> dict[str, str]:
    """The environment of the commands."""
    return {"PATH": os.environ.get("PATH", os.defpath)}


@pytest.fixture
def _signals_unwind() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP raise Signalled, as in `swf`."""

    def unwind(number: int, _: object) -> None:
        raise Signalled(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, unwind) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(*numbers: int, after: Path, pause: float = 0.3) -> threading.Thread:
    """Send signals to this process, one after the other, once a command has written its process ID."""

    def wait_and_send() -> None:
        written_pids(after, 1)
        for number in numbers:
            signal.pthread_kill(threading.main_thread().ident or 0, number)
            time.sleep(pause)

    thread = threading.Thread(target=wait_and_send)
    thread.start()
    return thread


class TestRunCommand:
    """`run_command`."""

    @pytest.mark.parametrize(
        ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -6 $$", 134)]
    )
    def test_gives_the_exit_code(self, env: dict[str, str], script: str, code: int) -> None:
        """The command's exit code, or 128 + N if it died of signal N."""
        assert run_command(["sh", "-c", f"ulimit -c 0; {script}"], env) == code

    @pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
    def test_passes_on_the_signals_that_end(self, env: dict[str, str], number: int) -> None:
        """If the command died of SIGHUP, SIGINT or SIGTERM, Signalled is raised."""
        with pytest.raises(Signalled) as caught:
            run_command(["sh", "-c", f"kill -{number} $$"], env)
        assert caught.value.number == number

    def test_refuses_what_can_not_be_run(self, env: dict[str, str]) -> None:
        """A command that does not exist is an OSError."""
        with pytest.raises(FileNotFoundError):
            run_command(["no-such-command"], env)

    @pytest.mark.parametrize("leave", ["", "kill -STOP $!;"])
    def test_ends_background_jobs(self, env: dict[str, str], tmp_path: Path, leave: str) -> None:
        """Background jobs, running or stopped, end with the command."""
        script = f"sleep 1000 & echo $! > {tmp_path}/job.pid; {leave} exit 3"
        assert run_command(["sh", "-c", script], env, grace=600) == 3
        assert not is_running(written_pids(tmp_path, 1)[0])

    def test_kills_a_job_that_ignores_the_request(self, env: dict[str, str], tmp_path: Path) -> None:
        """A background job that ignores SIGTERM is killed after the grace period."""
        job = f"trap '' TERM; echo $$ > {tmp_path}/job.pid; while :; do sleep 0.05; done"
        wait = f"while ! [ -s {tmp_path}/job.pid ]; do sleep 0.01; done"
        assert run_command(["sh", "-c", f"sh -c {shlex.quote(job)} & {wait}"], env, grace=0.2) == 0
        assert not is_running(written_pids(tmp_path, 1)[0])

    @pytest.mark.usefixtures("_signals_unwind")
    @pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_all_of_the_command(self, env: dict[str, str], tmp_path: Path, number: int) -> None:
        """A signal to this process ends the command and its children, and is raised when they are gone."""
        children = "".join(f"sh -c 'echo $$ > {tmp_path}/{n}.pid; exec sleep 100' & " for n in range(3))
        sender = send(number, after=tmp_path / "ready")
        wait = f"while ! [ -s {tmp_path}/2.pid ]; do sleep 0.01; done; mkdir {tmp_path}/ready"
        script = f"{children} {wait}; echo $$ > {tmp_path}/ready/sh.pid; wait; sleep 100"
        with pytest.raises(Signalled) as caught:
            run_command(["sh", "-c", script], env)
        sender.join()
        assert caught.value.number == number
        pids = [*written_pids(tmp_path, 3), *written_pids(tmp_path / "ready", 1)]
        assert [pid for pid in pids if is_running(pid)] == []

    @pytest.mark.usefixtures("_signals_unwind")
    def test_the_grace_is_limited(self, env: dict[str, str], tmp_path: Path) -> None:
        """A command that ignores the signal is killed after the grace period."""
        sender = send(signal.SIGTERM, after=tmp_path)
        script = f"trap '' TERM; echo $$ > {tmp_path}/sh.pid; while :; do sleep 0.05; done"
        with pytest.raises(Signalled):
            run_command(["sh", "-c", script], env, grace=0.2)
        sender.join()
        assert not is_running(written_pids(tmp_path, 1)[0])

    @pytest.mark.usefixtures("_signals_unwind")
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it may interrupt an open file
    def test_a_second_signal_ends_the_grace(self, env: dict[str, str], tmp_path: Path) -> None:
        """A second signal kills the command at once."""
        sender = send(signal.SIGTERM, signal.SIGINT, after=tmp_path)
        script = f"trap '' TERM INT; echo $$ > {tmp_path}/sh.pid; while :; do sleep 0.05; done"
        with pytest.raises(Signalled) as caught:
            run_command(["sh", "-c", script], env, grace=600)
        sender.join()
        assert caught.value.number == signal.SIGTERM
        assert not is_running(written_pids(tmp_path, 1)[0])

    @pytest.mark.usefixtures("_signals_unwind")
    def test_an_echo_is_no_second_signal(self, env: dict[str, str], tmp_path: Path) -> None:
        """`timeout` sends its signal twice at the same moment: that is not a second signal."""
        sender = send(signal.SIGTERM, signal.SIGTERM, after=tmp_path, pause=0.05)
        cleanup = f"sleep 0.1; echo cleanup > {tmp_path}/cleanup; exit"
        script = f"trap '{cleanup}' TERM; echo $$ > {tmp_path}/sh.pid; while :; do sleep 0.05; done"
        with pytest.raises(Signalled):
            run_command(["sh", "-c", script], env, clock=lambda: 7.0)
        sender.join()
        assert (tmp_path / "cleanup").exists()

    @pytest.mark.usefixtures("_signals_unwind")
    def test_an_echo_of_a_signal_while_it_starts(
        self, env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A signal that arrives while the command is being started has a duplicate like any other."""

        class Interrupted(subprocess.Popen[bytes]):
            def __init__(self, *args: Any, **how: Any) -> None:
                super().__init__(*args, **how)
                written_pids(tmp_path, 1)
                signal.raise_signal(signal.SIGTERM)

        cleanup = f"mkdir {tmp_path}/asked; echo $$ > {tmp_path}/asked/sh.pid; sleep 0.1; touch {tmp_path}/done; exit"
        sender = send(signal.SIGTERM, after=tmp_path / "asked")
        monkeypatch.setattr(subprocess, "Popen", Interrupted)
        script = f"trap '{cleanup}' TERM; echo $$ > {tmp_path}/sh.pid; while :; do sleep 0.05; done"
        with pytest.raises(Signalled):
            run_command(["sh", "-c", script], env, clock=lambda: 7.0)
        sender.join()
        assert (tmp_path / "done").exists()

    @pytest.mark.usefixtures("_signals_unwind")
    def test_a_signal_while_it_starts(self, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        """A signal while the command is being started leaves no command behind."""
        begun: list[int] = []

        class Interrupted(subprocess.Popen[bytes]):
            def __init__(self, *args: Any, **how: Any) -> None:
                super().__init__(*args, **how)
                begun.append(self.pid)
                signal.raise_signal(signal.SIGTERM)

        monkeypatch.setattr(subprocess, "Popen", Interrupted)
        with pytest.raises(Signalled) as caught:
            run_command(["sleep", "100"], env)
        monkeypatch.undo()
        assert caught.value.number == signal.SIGTERM
        assert [pid for pid in begun if is_running(pid)] == []
        assert len(begun) == 1
