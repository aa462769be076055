"""`swf local run`, as a process: COMMAND's environment, its end, and that nothing is left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from swf_cli.local.runner import GRACE
from tests.helpers.cli import SWF, Result, run, shell, wait_until
from tests.helpers.processes import is_running, is_served, started, written_pids
from tests.helpers.terminal import error_line

SHOW = f"{sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"


@pytest.fixture
def tmp_env(bare_env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """An environment without AWS settings, and with an empty folder for temporary files."""
    (tmp_path / "tmp").mkdir()
    return {**bare_env, "TMPDIR": str(tmp_path / "tmp"), "PATH": f"{Path(SWF).parent}{os.pathsep}{bare_env['PATH']}"}


@pytest.fixture
def left(tmp_env: dict[str, str]) -> "Iterator[list[Path]]":
    """Assert at the end of a test that no temporary file is left."""
    yield []
    assert list(Path(tmp_env["TMPDIR"]).iterdir()) == []


pytestmark = pytest.mark.usefixtures("left")


def family(folder: Path) -> str:
    """Return a script with children, grandchildren and a background job, which write their process IDs."""
    return (
        f"echo $AWS_ENDPOINT_URL_SWF > {folder}/url; "
        f"sh -c 'echo $$ > {folder}/1.pid; sleep 100 & echo $! > {folder}/2.pid; wait' & "
        f"sh -c 'echo $$ > {folder}/3.pid; exec sleep 100'; :"
    )


def assert_all_gone(folder: Path) -> None:
    """Assert that neither the family nor its local SWF runs."""
    assert [pid for pid in written_pids(folder, 3) if is_running(pid)] == []
    assert not is_served((folder / "url").read_text().strip())


class TestEnvironment:
    """COMMAND's environment."""

    def test_the_job_in_one_line(self, tmp_env: dict[str, str], tmp_path: Path) -> None:
        """Schedule, count, poll, complete and count in one shell."""
        script = (
            "swf local schedule -t x --activity resize --input hi && swf pending -t x -o text && "
            "swf poll -t x > t.json && swf complete --task t.json --result ok && swf pending -t x -o text"
        )
        result = shell(f"cd {tmp_path} && swf local run -- sh -c '{script}'", env=tmp_env)
        assert (result.stdout, result.code) == ("1\n0\n", 0)
        assert json.loads((tmp_path / "t.json").read_text())["input"] == "hi"

    def test_it_leads_to_the_service_and_nowhere_else(self, tmp_env: dict[str, str]) -> None:
        """Whatever the AWS settings and proxies, `swf` in COMMAND reaches the local SWF."""
        dead = "http://127.0.0.1:9"
        foreign = {
            "AWS_PROFILE": "no-such-profile",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
            "AWS_ENDPOINT_URL": dead,
            "AWS_SESSION_TOKEN": "real",
            "AWS_REGION": "eu-west-1",
            "SWF_TASK_TOKEN": "real",
            "HTTP_PROXY": dead,
            "http_proxy": dead,
            "NO_PROXY": "intra.example",
        }
        env = {**tmp_env, **foreign}
        result = run("local", "run", "-d", "video", "--", "sh", "-c", f"swf pending -t x; {SHOW}", env=env)
        assert result.code == 0, result.stderr
        counted, found = (json.loads(line) for line in result.stdout.splitlines())
        assert counted == {"domain": "video", "task_list": "x", "count": 0, "truncated": False}
        assert found["AWS_ENDPOINT_URL_SWF"].startswith("http://127.0.0.1:")
        assert found["AWS_ACCESS_KEY_ID"].startswith("LOCAL")
        assert found["AWS_SECRET_ACCESS_KEY"] == "local"
        assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "us-east-1"
        assert found["SWF_DOMAIN"] == "video"
        assert found["NO_PROXY"] == found["no_proxy"] == "intra.example,127.0.0.1,localhost,::1"
        gone = {"AWS_PROFILE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"}
        assert not (gone | {"SWF_TASK_TOKEN"}) & found.keys()

    def test_nobody_else_can_use_it(self, tmp_env: dict[str, str]) -> None:
        """Without the access key of this run, another `swf` is refused: exit 7."""
        script = (
            "for key in local $AWS_ACCESS_KEY_ID; do AWS_ACCESS_KEY_ID=$key swf pending -t x -o text; echo $?; done"
        )
        result = run("local", "run", "sh", "-c", script, env=tmp_env)
        assert result.stdout.splitlines() == ["7", "0", "0"]
        assert "security token" in result.stderr.lower()
        keys = [run("local", "run", "sh", "-c", "echo $AWS_ACCESS_KEY_ID", env=tmp_env).stdout for _ in range(2)]
        assert keys[0] != keys[1]

    def test_speed_and_advance(self, tmp_env: dict[str, str]) -> None:
        """With --speed timeouts come sooner, and `swf local advance` needs no waiting at all."""
        scheduled = "swf local schedule -t x --activity resize --schedule-to-start-timeout"
        wait = "until [ $(swf pending -t x -o text) = 0 ]; do :; done; echo timed out"
        fast = run("local", "run", "--speed", "1000", "sh", "-c", f"{scheduled} 1m; {wait}", env=tmp_env)
        assert fast.stdout == "timed out\n"
        script = f"{scheduled} 1d; swf pending -t x -o text; swf local advance 1d; swf pending -t x -o text"
        advanced = run("local", "run", "sh", "-c", script, env=tmp_env)
        assert advanced.stdout == "1\n0\n"
        assert "swf: the clock of the local SWF now shows 20" in advanced.stderr

    def test_it_holds_tasks_apart(self, tmp_env: dict[str, str]) -> None:
        """COMMAND has its own list of held tasks, which is removed afterwards."""
        script = "set -e; swf local schedule -t x --activity resize; swf poll -t x; swf held --query 'length(@)'; "
        script += "echo $SWF_STATE_DIR"
        result = run("local", "run", "sh", "-c", script, env=tmp_env)
        assert result.code == 0, result.stderr
        _, held, state = result.stdout.splitlines()
        assert held == "1"
        assert state.startswith(tmp_env["TMPDIR"])
        assert not Path(state).exists()
        assert run("held", env=tmp_env).json == []

    def test_the_domain_is_local_unless_named(self, tmp_env: dict[str, str]) -> None:
        """The default domain is `local`; --domain and SWF_DOMAIN set another."""
        command = ("local", "run", "--", "sh", "-c", "echo $SWF_DOMAIN")
        assert run(*command, env=tmp_env).stdout == "local\n"
        assert run(*command, env={**tmp_env, "SWF_DOMAIN": "video"}).stdout == "video\n"

    def test_swf_is_found(self, tmp_env: dict[str, str]) -> None:
        """COMMAND finds `swf` even if it is not on the PATH."""
        elsewhere = {**tmp_env, "PATH": "/usr/bin:/bin"}
        assert run("local", "run", "--", "sh", "-c", "swf --version", env=elsewhere).stdout.startswith("swf ")
        module = [sys.executable, "-m", "swf_cli", "local", "run", "--", "swf", "--version"]
        found = subprocess.run(module, env=elsewhere, capture_output=True, text=True, check=False)
        assert found.stdout.startswith("swf "), found.stderr

    def test_stdin_is_commands(self, tmp_env: dict[str, str]) -> None:
        """COMMAND inherits stdin, and nothing else is written to stdout."""
        assert run("local", "run", "cat", env=tmp_env, stdin="a\nb") == Result("a\nb", "", 0)

    def test_options_behind_command_are_commands(self, tmp_env: dict[str, str]) -> None:
        """Arguments after COMMAND are passed to it, with or without `--`."""
        assert run("local", "run", "echo", "-d", "--help", "x", env=tmp_env).stdout == "-d --help x\n"
        assert run("local", "run", "--", "echo", "--", "-d", env=tmp_env).stdout == "-- -d\n"


class TestEnd:
    """COMMAND's end."""

    @pytest.mark.parametrize(
        ("script", "code"), [("exit 0", 0), ("exit 5", 5), ("no-such", 127), ("kill -9 $$", 137)]
    )
    def test_exit_code(self, tmp_env: dict[str, str], script: str, code: int) -> None:
        """The exit code is COMMAND's, or 128 + N if it died of signal N."""
        assert run("local", "run", "--", "sh", "-c", script, env=tmp_env).code == code

    @pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
    def test_signal(self, tmp_env: dict[str, str], number: int) -> None:
        """If COMMAND dies of SIGHUP, SIGINT or SIGTERM, so does `swf`, and a shell loop stops."""
        assert run("local", "run", "--", "sh", "-c", f"kill -{number} $$", env=tmp_env).code == -number

    @pytest.mark.parametrize("command", ["no-such-command", "/", "/etc/passwd"])
    def test_a_command_that_can_not_be_run(self, tmp_env: dict[str, str], command: str) -> None:
        """A COMMAND that is not found or not executable: exit 2."""
        error_line(run("local", "run", "--", command, env=tmp_env), 2, command)

    def test_no_command(self, tmp_env: dict[str, str]) -> None:
        """COMMAND is required."""
        error_line(run("local", "run", env=tmp_env), 2, "command")

    def test_background_jobs_end_with_command(self, tmp_env: dict[str, str], tmp_path: Path) -> None:
        """Background jobs of COMMAND end with it."""
        script = f"sh -c 'sleep 100 & echo $! > {tmp_path}/1.pid; wait' & sleep 0.3; exit 4"
        assert run("local", "run", "--", "sh", "-c", script, env=tmp_env).code == 4
        assert not is_running(written_pids(tmp_path, 1)[0])


class TestSignals:
    """Signals to `swf local run`."""

    @pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
    def test_to_the_process_alone(self, tmp_env: dict[str, str], tmp_path: Path, number: int) -> None:
        """A signal ends COMMAND with its descendants, the local SWF, and `swf` itself."""
        with started("local", "run", "--", "sh", "-c", family(tmp_path), env=tmp_env) as process:
            written_pids(tmp_path, 3)
            process.send_signal(number)
            assert process.wait(GRACE - 1) == -number
            assert_all_gone(tmp_path)

    def test_command_may_clean_up(self, tmp_env: dict[str, str], tmp_path: Path) -> None:
        """COMMAND receives the signal and can clean up while the local SWF still runs."""
        cleanup = "swf pending -t x -o text; echo clean; exit"
        script = f"trap '{cleanup}' TERM; echo $$ > {tmp_path}/1.pid; while :; do sleep 0.05; done"
        with started("local", "run", "--", "sh", "-c", script, env=tmp_env) as process:
            written_pids(tmp_path, 1)
            process.send_signal(signal.SIGTERM)
            assert process.communicate(timeout=60)[0] == "0\nclean\n"
            assert process.returncode == -signal.SIGTERM

    def test_a_second_one_kills(self, tmp_env: dict[str, str], tmp_path: Path) -> None:
        """A COMMAND that ignores the first signal is killed at the second."""
        trap = f"trap 'touch {tmp_path}/received' TERM"
        script = f"{trap}; echo $AWS_ENDPOINT_URL_SWF; echo $$ > {tmp_path}/1.pid; while :; do sleep 0.05; done"
        with started("local", "run", "--", "sh", "-c", script, env=tmp_env) as process:
            (pid,) = written_pids(tmp_path, 1)
            process.send_signal(signal.SIGTERM)
            wait_until((tmp_path / "received").exists)
            time.sleep(0.3)  # a signal that comes right after another is taken for its echo
            assert is_running(pid)
            process.send_signal(signal.SIGTERM)
            assert process.wait(GRACE - 1) == -signal.SIGTERM
            assert not is_running(pid)
            assert not is_served(process.communicate()[0].strip())

    def test_at_any_moment(self, tmp_env: dict[str, str], tmp_path: Path) -> None:
        """A signal at any moment of start-up leaves neither COMMAND nor a temporary file behind."""
        for trial in range(10):
            folder = tmp_path / str(trial)
            folder.mkdir()
            script = f"echo $$ > {folder}/1.pid; exec sleep 100"
            with started("local", "run", "--", "sh", "-c", script, env=tmp_env) as process:
                try:
                    process.wait(0.05 + trial * 0.025)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGTERM)
                assert process.wait(GRACE - 1) == -signal.SIGTERM
        # One that was killed before it wrote its ID left an empty file; one that is left has written it by now.
        written = [text for path in tmp_path.glob("*/*.pid") if (text := path.read_text()).endswith("\n")]
        assert [text for text in written if is_running(int(text))] == []


def _ps(pid: int, columns: str) -> str:
    done = subprocess.run(["ps", "-ww", "-o", columns, "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _children(pid: int) -> Path:
    """Return the file that lists the children of a process, on Linux."""
    return Path(f"/proc/{pid}/task/{pid}/children")


PROMPT = ("--norc", "--noprofile", "-i")


class Terminal:
    """A terminal that runs `swf local run`, or a shell."""

    def __init__(self, command: str, *args: str, env: dict[str, str]) -> None:
        self.child = pexpect.spawn(command, list(args), env=env, encoding="utf-8", timeout=60, echo=False)

    def expect(self, *texts: str) -> None:
        """Wait for texts to appear in this order."""
        for text in texts:
            self.child.expect_exact(text)

    def wait_for_command(self) -> None:
        """Wait until COMMAND is in the foreground, and not stopped: `swf` is not about to continue it."""

        def is_ready() -> bool:
            leader = os.tcgetpgrp(self.child.child_fd)
            state, _, args = _ps(leader, "stat=,args=").partition(" ")
            return leader != self.child.pid and state[:1] not in ("", "T") and " local run " not in args

        wait_until(is_ready)

    def stop(self) -> None:
        """Press Ctrl-Z, and wait until the shell has a stopped job."""
        self.child.sendcontrol("z")
        self.expect("Stopped", "READY> ")

    def end(self) -> tuple[int | None, int | None]:
        """Wait for its end, and return exit code and signal."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus, self.child.signalstatus


@pytest.fixture
def prompt(tmp_env: dict[str, str]) -> "Iterator[Terminal]":
    """A shell with job control on a terminal."""
    shell = Terminal("bash", *PROMPT, env={**tmp_env, "TERM": "dumb", "PS1": "READY> "})
    shell.expect("READY> ")
    yield shell
    shell.child.close(force=True)


class TestTerminal:
    """On a terminal."""

    def test_ctrl_c(self, tmp_env: dict[str, str], tmp_path: Path) -> None:
        """Ctrl-C ends COMMAND with its descendants, the local SWF, and `swf` by SIGINT."""
        terminal = Terminal(SWF, "local", "run", "--", "sh", "-c", family(tmp_path), env=tmp_env)
        written_pids(tmp_path, 3)
        terminal.wait_for_command()
        terminal.child.sendintr()
        assert terminal.end() == (None, signal.SIGINT)
        assert_all_gone(tmp_path)

    def test_ctrl_c_is_commands(self, tmp_env: dict[str, str]) -> None:
        """A COMMAND that handles Ctrl-C decides how it ends."""
        script = "trap 'echo caught; exit 7' INT; echo begun; while :; do sleep 0.05; done"
        terminal = Terminal(SWF, "local", "run", "--", "sh", "-c", script, env=tmp_env)
        terminal.expect("begun")
        terminal.wait_for_command()
        terminal.child.sendintr()
        terminal.expect("caught")
        assert terminal.end() == (7, None)

    def test_hang_up(self, tmp_env: dict[str, str], tmp_path: Path) -> None:
        """Closing the terminal ends COMMAND with its descendants, and the local SWF."""
        terminal = Terminal(SWF, "local", "run", "--", "sh", "-c", family(tmp_path), env=tmp_env)
        written_pids(tmp_path, 3)
        os.close(terminal.child.child_fd)
        wait_until(lambda: not is_running(terminal.child.pid or 0))
        assert_all_gone(tmp_path)

    def test_command_reads_from_it(self, tmp_env: dict[str, str]) -> None:
        """COMMAND can read from the terminal."""
        terminal = Terminal(SWF, "local", "run", "--", "sh", "-c", "echo who; read x; echo hello $x", env=tmp_env)
        terminal.expect("who")
        terminal.child.sendline("you")
        terminal.expect("hello you")
        assert terminal.end() == (0, None)

    def test_ctrl_z_and_fg(self, prompt: Terminal) -> None:
        """Ctrl-Z stops `swf` and COMMAND; `fg` continues both, and COMMAND has the terminal again."""
        prompt.child.sendline("swf local run -- sh -c 'echo begun; read x; echo \"<$x>\"'")
        prompt.expect("begun\r\n")
        prompt.wait_for_command()
        prompt.stop()
        prompt.child.sendline("fg")
        prompt.expect("swf local run")
        prompt.child.sendline("word")
        prompt.expect("<word>", "READY> ")

    def test_ctrl_z_and_bg(self, prompt: Terminal, tmp_path: Path) -> None:
        """Ctrl-Z and `bg` continue both while the shell keeps the terminal."""
        # It starts no process while it waits: one that is stopped between fork and exec would keep it from stopping.
        script = f"echo begun; while ! [ -e {tmp_path}/go ]; do :; done; swf pending -t x -o text > {tmp_path}/n"
        prompt.child.sendline(f"swf local run -- sh -c '{script}'")
        prompt.expect("begun\r\n")
        prompt.wait_for_command()
        prompt.stop()
        prompt.child.sendline("bg")
        prompt.expect("READY> ")
        prompt.child.sendline(f'touch {tmp_path}/go; wait; echo "<$(cat {tmp_path}/n)>"')
        prompt.expect("<0>", "READY> ")

    def test_ctrl_z_in_a_pipeline(self, prompt: Terminal, tmp_path: Path) -> None:
        """Ctrl-Z stops COMMAND too if it is not in the foreground, and `fg` continues it."""
        script = f"echo $$ > {tmp_path}/1.pid; echo beg''un; exec sleep 100"
        prompt.child.sendline(f"swf local run -- sh -c '{script}' | cat")
        prompt.expect("begun\r\n")
        (pid,) = written_pids(tmp_path, 1)
        prompt.stop()
        wait_until(lambda: _ps(pid, "stat=").startswith("T"))
        prompt.child.sendline("fg")
        wait_until(lambda: _ps(pid, "stat=").startswith("S"))
        prompt.child.sendintr()
        prompt.expect("READY> ")

    def test_ctrl_backslash_in_a_pipeline(self, prompt: Terminal, tmp_path: Path) -> None:
        """Ctrl-\\ ends COMMAND if it is not in the foreground, and `swf` removes what it made."""
        script = f"ulimit -c 0; echo $$ > {tmp_path}/1.pid; echo beg''un; exec sleep 100"
        prompt.child.sendline(f"set -o pipefail; swf local run -- sh -c '{script}' | sh -c 'trap : QUIT; cat; cat'")
        prompt.expect("begun\r\n")
        (pid,) = written_pids(tmp_path, 1)
        prompt.child.sendcontrol("\\")
        prompt.expect("READY> ")
        prompt.child.sendline("echo code=$?")
        prompt.expect("code=131")
        assert not is_running(pid)

    @pytest.mark.skipif(
        not _children(os.getpid()).exists(), reason="the system does not list the children of a process"
    )
    def test_ctrl_z_before_command_is_executed(self, tmp_env: dict[str, str]) -> None:
        """A child that is still in the group of `swf` receives Ctrl-Z too, and does not keep `swf` from stopping."""
        own, *others = tmp_env["PATH"].split(os.pathsep)
        path = os.pathsep.join([own, *["/x"] * 40_000, *others])  # looking for COMMAND there takes the child a while
        terminal = Terminal("bash", *PROMPT, env={**tmp_env, "TERM": "dumb", "PS1": "READY> ", "PATH": path})
        terminal.expect("READY> ")
        terminal.child.sendline("swf local run -- sleep 100")
        pid = terminal.child.pid or 0
        for _ in range(2):
            wait_until(_children(pid).read_text, interval=0)
            pid = int(_children(pid).read_text())
        os.kill(pid, signal.SIGTSTP)  # as the terminal does, before the child has left the group
        try:
            terminal.stop()
        except pexpect.TIMEOUT:
            os.kill(pid, signal.SIGKILL)  # nothing else would end the two
            raise
        terminal.child.sendline("fg")
        terminal.wait_for_command()
        terminal.child.sendintr()
        terminal.expect("READY> ")
        terminal.child.close(force=True)

    def test_a_pipeline_keeps_the_terminal(self, prompt: Terminal) -> None:
        """A pager behind `swf local run` can read from the terminal."""
        pager = "sh -c 'cat; read x < /dev/tty; echo \"<$x>\"'"
        prompt.child.sendline(f"swf local run -- sh -c 'echo beg''un; sleep 0.3' | {pager}")
        prompt.expect("begun\r\n")
        prompt.child.sendline("key")
        prompt.expect("<key>", "READY> ")

    def test_command_in_a_pipeline_reads_from_it(self, prompt: Terminal) -> None:
        """A COMMAND whose output is piped can read from the terminal."""
        prompt.child.sendline("swf local run -- sh -c 'echo beg''un; read x; echo \"<$x>\"' | cat")
        prompt.expect("begun\r\n")
        prompt.child.sendline("word")
        prompt.expect("<word>", "READY> ")
        prompt.child.sendline("swf local run -- sh -c 'echo beg''un; exec sleep 100' | cat")
        prompt.expect("begun\r\n")
        prompt.child.sendintr()
        prompt.expect("READY> ")


def test_nothing_of_the_machine_is_asked(tmp_env: dict[str, str]) -> None:
    """It works without a home folder and an AWS config file."""
    nowhere: dict[str, Any] = {**tmp_env, "HOME": "/nonexistent", "AWS_CONFIG_FILE": "/nonexistent/config"}
    result = run("local", "run", "--", "swf", "pending", "-t", "x", "-o", "text", env=nowhere)
    assert (result.stdout, result.code) == ("0\n", 0)
