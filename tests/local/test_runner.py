"""A command that is run against a local SWF: what it finds in its environment, and that nothing of it is left."""

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
from swf_cli.local.runner import environment, exports, run_command
from tests.helpers.processes import is_running, written_pids
from tests.helpers.terminal import installed

URL = "http://127.0.0.1:4567"


@pytest.fixture
def env() -> dict[str, str]:
    """The environment of the commands."""
    return {"PATH": os.environ.get("PATH", os.defpath)}


@pytest.fixture
def _signals_unwind() -> Iterator[None]:
    """Signals that end a process raise Signalled, as they do in `swf`."""

    def unwind(number: int, _: object) -> None:
        raise Signalled(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, unwind) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(*numbers: int, after: Path, pause: float = 0.3) -> threading.Thread:
    """Send signals to this process, one after the other, once a file is there."""

    def wait_and_send() -> None:
        written_pids(after, 1)
        for number in numbers:
            signal.pthread_kill(threading.main_thread().ident or 0, number)
            time.sleep(pause)

    thread = threading.Thread(target=wait_and_send)
    thread.start()
    return thread


class TestEnvironment:
    """The variables that lead a command to a local SWF."""

    def test_it_leads_there_and_nowhere_else(self) -> None:
        """Endpoint, credentials, region, domain and state folder are the local SWF's; what led elsewhere is gone."""
        foreign = {
            "AWS_PROFILE": "work",
            "AWS_DEFAULT_PROFILE": "work",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
            "AWS_ENDPOINT_URL": "http://elsewhere",
            "AWS_ENDPOINT_URL_SWF": "http://elsewhere",
            "AWS_ACCESS_KEY_ID": "AKIDREAL",
            "AWS_SECRET_ACCESS_KEY": "real",
            "AWS_SESSION_TOKEN": "real",
            "AWS_REGION": "eu-west-1",
            "SWF_DOMAIN": "real",
            "SWF_TASK_TOKEN": "real",
            "SWF_STATE_DIR": "/real",
        }
        made = environment(URL, "video", "/state", {"PATH": "/bin", "EDITOR": "vi", **foreign})
        made.pop("PATH")
        assert made == {
            "EDITOR": "vi",
            "AWS_ENDPOINT_URL_SWF": URL,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "SWF_DOMAIN": "video",
            "SWF_STATE_DIR": "/state",
            "NO_PROXY": "127.0.0.1,localhost,::1",
            "no_proxy": "127.0.0.1,localhost,::1",
        }

    @pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
    def test_what_went_past_the_proxy_still_does(self, name: str) -> None:
        """Loopback is added to the hosts that need no proxy, whichever spelling held them."""
        made = environment(URL, "video", "/state", {name: "intra.example"})
        assert made["NO_PROXY"] == made["no_proxy"] == "intra.example,127.0.0.1,localhost,::1"

    def test_the_path_is_kept_when_it_has_swf(self, tmp_path: Path) -> None:
        """A PATH that has a `swf` stays as it is."""
        (tmp_path / "swf").touch(0o755)
        assert environment(URL, "video", "/state", {"PATH": str(tmp_path)})["PATH"] == str(tmp_path)

    def test_swf_is_found_behind_the_path(self, tmp_path: Path) -> None:
        """Else this `swf` is found behind all that the PATH has."""
        path = environment(URL, "video", "/state", {"PATH": str(tmp_path)})["PATH"]
        assert path.startswith(f"{tmp_path}{os.pathsep}")

    @pytest.mark.parametrize("program", installed("sh", "bash", "dash", "zsh"))
    @pytest.mark.parametrize("domain", ["video", "it's $(touch gone) `touch gone`; touch gone", "two words"])
    def test_exports_mean_the_same_in_a_shell(self, program: str, domain: str, tmp_path: Path) -> None:
        """The shell text sets and unsets the same variables, and runs nothing, whatever a name holds."""
        before = {"PATH": os.environ["PATH"], "AWS_PROFILE": "work", "NO_PROXY": "intra.example"}
        script = f"set -eu\n{exports(URL, domain, before)}env -0"
        shown = subprocess.run(
            [program, "-c", script], env=before, cwd=tmp_path, capture_output=True, check=True
        ).stdout
        found = dict(line.split("=", 1) for line in shown.decode().split("\0") if line)
        expected = environment(URL, domain, "/state", before)
        for name in ("PATH", "SWF_STATE_DIR"):
            del expected[name]
        assert {name: value for name, value in found.items() if name in expected} == expected
        assert "AWS_PROFILE" not in found
        assert not (tmp_path / "gone").exists()


class TestRunCommand:
    """`run_command`."""

    @pytest.mark.parametrize(
        ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -6 $$", 134)]
    )
    def test_gives_the_exit_code(self, env: dict[str, str], script: str, code: int) -> None:
        """The command's exit code; 128 + N when signal N ended it, as a shell has it."""
        assert run_command(["sh", "-c", f"ulimit -c 0; {script}"], env) == code

    @pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
    def test_passes_on_the_signals_that_end(self, env: dict[str, str], number: int) -> None:
        """A command that was ended by one of the signals that end a process ends this one alike."""
        with pytest.raises(Signalled) as caught:
            run_command(["sh", "-c", f"kill -{number} $$"], env)
        assert caught.value.number == number

    def test_refuses_what_can_not_be_run(self, env: dict[str, str]) -> None:
        """A command that is not there is an OSError."""
        with pytest.raises(FileNotFoundError):
            run_command(["no-such-command"], env)

    @pytest.mark.parametrize("leave", ["", "kill -STOP $!;"])
    def test_ends_background_jobs(self, env: dict[str, str], tmp_path: Path, leave: str) -> None:
        """What the command leaves running, or stopped, in the background ends with it, at once."""
        begun = time.monotonic()
        assert run_command(["sh", "-c", f"sleep 100 & echo $! > {tmp_path}/job.pid; {leave} exit 3"], env) == 3
        assert not is_running(written_pids(tmp_path, 1)[0])
        assert time.monotonic() - begun < 5

    def test_kills_a_job_that_ignores_the_request(self, env: dict[str, str], tmp_path: Path) -> None:
        """A background job that ignores SIGTERM is killed when the grace is over."""
        job = f"trap '' TERM; echo $$ > {tmp_path}/job.pid; while :; do sleep 0.05; done"
        wait = f"while ! [ -s {tmp_path}/job.pid ]; do sleep 0.01; done"
        assert run_command(["sh", "-c", f"sh -c {shlex.quote(job)} & {wait}"], env, grace=0.2) == 0
        assert not is_running(written_pids(tmp_path, 1)[0])

    @pytest.mark.usefixtures("_signals_unwind")
    @pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_all_of_the_command(self, env: dict[str, str], tmp_path: Path, number: int) -> None:
        """A signal to this process alone reaches the command and its children, and is raised when they are gone."""
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
        """A command that ignores the signal is killed when the grace is over."""
        sender = send(signal.SIGTERM, after=tmp_path)
        script = f"trap '' TERM; echo $$ > {tmp_path}/sh.pid; while :; do sleep 0.05; done"
        with pytest.raises(Signalled):
            run_command(["sh", "-c", script], env, grace=0.2)
        sender.join()
        assert not is_running(written_pids(tmp_path, 1)[0])

    @pytest.mark.usefixtures("_signals_unwind")
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it may interrupt an open file
    def test_a_second_signal_ends_the_grace(self, env: dict[str, str], tmp_path: Path) -> None:
        """Who asks twice does not wait: the command is killed."""
        begun = time.monotonic()
        sender = send(signal.SIGTERM, signal.SIGINT, after=tmp_path)
        script = f"trap '' TERM INT; echo $$ > {tmp_path}/sh.pid; while :; do sleep 0.05; done"
        with pytest.raises(Signalled) as caught:
            run_command(["sh", "-c", script], env, grace=60)
        sender.join()
        assert caught.value.number == signal.SIGTERM
        assert not is_running(written_pids(tmp_path, 1)[0])
        assert time.monotonic() - begun < 10

    @pytest.mark.usefixtures("_signals_unwind")
    def test_an_echo_is_no_second_signal(self, env: dict[str, str], tmp_path: Path) -> None:
        """`timeout` sends its signal twice at once: the command has its grace all the same."""
        sender = send(signal.SIGTERM, signal.SIGTERM, after=tmp_path, pause=0.001)
        tidy = f"sleep 0.1; echo tidy > {tmp_path}/tidy; exit"
        script = f"trap '{tidy}' TERM; echo $$ > {tmp_path}/sh.pid; while :; do sleep 0.05; done"
        with pytest.raises(Signalled):
            run_command(["sh", "-c", script], env)
        sender.join()
        assert (tmp_path / "tidy").exists()

    @pytest.mark.usefixtures("_signals_unwind")
    def test_a_signal_while_it_starts(self, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        """A signal in the very moment in which the command is started leaves no command behind."""
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
