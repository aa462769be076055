"""`swf local run`, as processes: what COMMAND finds, how it ends, and that nothing of it is left."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.helpers.cli import SWF, Result, run, shell, wait_until
from tests.helpers.processes import is_running, is_served, started, written_pids
from tests.helpers.terminal import error_line

SHOW = f"{sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"


@pytest.fixture
def tmp_env(bare_env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """An environment with no AWS settings, and a folder for temporary files that nobody else uses."""
    (tmp_path / "tmp").mkdir()
    return {**bare_env, "TMPDIR": str(tmp_path / "tmp"), "PATH": f"{Path(SWF).parent}{os.pathsep}{bare_env['PATH']}"}


@pytest.fixture
def left(tmp_env: dict[str, str]) -> "Iterator[list[Path]]":
    """Check, when the test is over, that `swf` left no temporary file."""
    yield []
    assert list(Path(tmp_env["TMPDIR"]).iterdir()) == []


pytestmark = pytest.mark.usefixtures("left")


def family(folder: Path) -> str:
    """Give a script with children, grandchildren and a background job, which all write their process ids."""
    return (
        f"echo $AWS_ENDPOINT_URL_SWF > {folder}/url; "
        f"sh -c 'echo $$ > {folder}/1.pid; sleep 100 & echo $! > {folder}/2.pid; wait' & "
        f"sh -c 'echo $$ > {folder}/3.pid; sleep 100; :'; :"
    )


def assert_all_gone(folder: Path) -> None:
    """Assert that nothing of the family runs, and that its service is not served any more."""
    assert [pid for pid in written_pids(folder, 3) if is_running(pid)] == []
    assert not is_served((folder / "url").read_text().strip())


class TestEnvironment:
    """What COMMAND finds."""

    def test_the_job_in_one_line(self, tmp_env: dict[str, str], tmp_path: Path) -> None:
        """Schedule, count, take, complete, count, in one shell against a service of its own: 1, then 0."""
        script = (
            "swf local schedule -t x --activity resize --input hi && swf pending -t x -o text && "
            "swf poll -t x > t.json && swf complete --task t.json --result ok && swf pending -t x -o text"
        )
        result = shell(f"cd {tmp_path} && swf local run -- sh -c '{script}'", env=tmp_env)
        assert (result.stdout, result.code) == ("1\n0\n", 0)
        assert json.loads((tmp_path / "t.json").read_text())["input"] == "hi"

    def test_it_leads_to_the_service_and_nowhere_else(self, tmp_env: dict[str, str]) -> None:
        """Whatever AWS settings were there, `swf` in COMMAND reaches the local SWF, past any proxy, as nobody."""
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
        assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == ("local", "local")
        assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "us-east-1"
        assert found["SWF_DOMAIN"] == "video"
        assert found["NO_PROXY"] == found["no_proxy"] == "intra.example,127.0.0.1,localhost,::1"
        gone = {"AWS_PROFILE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"}
        assert not (gone | {"SWF_TASK_TOKEN"}) & found.keys()

    def test_it_holds_tasks_apart(self, tmp_env: dict[str, str]) -> None:
        """Tasks that COMMAND takes are in a `swf held` of its own, which is gone afterwards."""
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
        """The domain is `local`; --domain or SWF_DOMAIN names another."""
        command = ("local", "run", "--", "sh", "-c", "echo $SWF_DOMAIN")
        assert run(*command, env=tmp_env).stdout == "local\n"
        assert run(*command, env={**tmp_env, "SWF_DOMAIN": "video"}).stdout == "video\n"

    def test_swf_is_found(self, tmp_env: dict[str, str], bare_env: dict[str, str]) -> None:
        """Run by its path, from an environment that is not on the PATH, `swf` is found by COMMAND all the same."""
        elsewhere = {**tmp_env, "PATH": "/usr/bin:/bin"}
        assert run("local", "run", "--", "sh", "-c", "swf --version", env=elsewhere).stdout.startswith("swf ")
        module = [sys.executable, "-m", "swf_cli", "local", "run", "--", "swf", "--version"]
        found = subprocess.run(module, env=elsewhere, capture_output=True, text=True, check=False)
        assert found.stdout.startswith("swf "), found.stderr

    def test_stdin_is_commands(self, tmp_env: dict[str, str]) -> None:
        """COMMAND reads what is on stdin, and stdout is its alone."""
        assert run("local", "run", "cat", env=tmp_env, stdin="a\nb") == Result("a\nb", "", 0)

    def test_options_behind_command_are_commands(self, tmp_env: dict[str, str]) -> None:
        """All that stands behind COMMAND goes to it, with or without `--`."""
        assert run("local", "run", "echo", "-d", "--help", "x", env=tmp_env).stdout == "-d --help x\n"
        assert run("local", "run", "--", "echo", "--", "-d", env=tmp_env).stdout == "-- -d\n"


class TestEnd:
    """How COMMAND's end is told."""

    @pytest.mark.parametrize(
        ("script", "code"), [("exit 0", 0), ("exit 5", 5), ("no-such", 127), ("kill -9 $$", 137)]
    )
    def test_exit_code(self, tmp_env: dict[str, str], script: str, code: int) -> None:
        """COMMAND's exit code is ours; 128 + N when signal N ended it."""
        assert run("local", "run", "--", "sh", "-c", script, env=tmp_env).code == code

    @pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
    def test_signal(self, tmp_env: dict[str, str], number: int) -> None:
        """COMMAND ended by SIGHUP, SIGINT or SIGTERM: so is `swf`, and a shell loop around it stops."""
        assert run("local", "run", "--", "sh", "-c", f"kill -{number} $$", env=tmp_env).code == -number

    @pytest.mark.parametrize("command", ["no-such-command", "/", "/etc/passwd"])
    def test_a_command_that_can_not_be_run(self, tmp_env: dict[str, str], command: str) -> None:
        """A COMMAND that is not found, or is no program, is bad input: exit 2, and its name."""
        error_line(run("local", "run", "--", command, env=tmp_env), 2, command)

    def test_no_command(self, tmp_env: dict[str, str]) -> None:
        """COMMAND is required."""
        error_line(run("local", "run", env=tmp_env), 2, "command")

    def test_background_jobs_end_with_command(self, tmp_env: dict[str, str], tmp_path: Path) -> None:
        """A job that COMMAND leaves behind ends with it, and the exit code is COMMAND's."""
        script = f"sh -c 'sleep 100 & echo $! > {tmp_path}/1.pid; wait' & sleep 0.3; exit 4"
        assert run("local", "run", "--", "sh", "-c", script, env=tmp_env).code == 4
        assert not is_running(written_pids(tmp_path, 1)[0])


class TestSignals:
    """A signal to `swf local run`, or to the terminal it is on."""

    @pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
    def test_to_the_process_alone(self, tmp_env: dict[str, str], tmp_path: Path, number: int) -> None:
        """It ends COMMAND, children and grandchildren, then the service, then `swf` by that signal."""
        with started("local", "run", "--", "sh", "-c", family(tmp_path), env=tmp_env) as process:
            written_pids(tmp_path, 3)
            process.send_signal(number)
            assert process.wait(5) == -number
            assert_all_gone(tmp_path)

    def test_command_may_tidy_up(self, tmp_env: dict[str, str], tmp_path: Path) -> None:
        """COMMAND hears of the signal and has time to tidy up, with the service still there."""
        tidy = "swf pending -t x -o text; echo tidy; exit"
        script = f"trap '{tidy}' TERM; echo $$ > {tmp_path}/1.pid; while :; do sleep 0.05; done"
        with started("local", "run", "--", "sh", "-c", script, env=tmp_env) as process:
            written_pids(tmp_path, 1)
            process.send_signal(signal.SIGTERM)
            assert process.communicate(timeout=10)[0] == "0\ntidy\n"
            assert process.returncode == -signal.SIGTERM

    def test_a_second_one_kills(self, tmp_env: dict[str, str], tmp_path: Path) -> None:
        """COMMAND that does not end at the first signal is killed at the second."""
        script = f"trap '' TERM; echo $AWS_ENDPOINT_URL_SWF; echo $$ > {tmp_path}/1.pid; while :; do sleep 0.05; done"
        with started("local", "run", "--", "sh", "-c", script, env=tmp_env) as process:
            (pid,) = written_pids(tmp_path, 1)
            process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.3)
            assert is_running(pid)
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == -signal.SIGTERM
            assert not is_running(pid)
            assert not is_served(process.communicate()[0].strip())

    def test_at_any_moment(self, tmp_env: dict[str, str], tmp_path: Path) -> None:
        """A signal at whatever moment of start-up leaves neither COMMAND nor a temporary file."""
        for trial in range(10):
            folder = tmp_path / str(trial)
            folder.mkdir()
            script = f"echo $$ > {folder}/1.pid; exec sleep 100"
            with started("local", "run", "--", "sh", "-c", script, env=tmp_env) as process:
                try:
                    process.wait(0.05 + trial * 0.025)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGTERM)
                assert process.wait(5) == -signal.SIGTERM
            assert [path for path in folder.glob("*.pid") if is_running(int(path.read_text()))] == []


class Terminal:
    """A terminal with `swf local run` on it, or a shell that runs it."""

    def __init__(self, command: str, *args: str, env: dict[str, str]) -> None:
        self.child = pexpect.spawn(command, list(args), env=env, encoding="utf-8", timeout=10, echo=False)

    def expect(self, *texts: str) -> None:
        """Wait for texts to be shown, one after the other."""
        for text in texts:
            self.child.expect_exact(text)

    def end(self) -> tuple[int | None, int | None]:
        """Wait for its end; give exit code and signal."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus, self.child.signalstatus


@pytest.fixture
def prompt(tmp_env: dict[str, str]) -> "Iterator[Terminal]":
    """A shell with job control on a terminal."""
    shell = Terminal("bash", "--norc", "--noprofile", "-i", env={**tmp_env, "TERM": "dumb", "PS1": "READY> "})
    shell.expect("READY> ")
    yield shell
    shell.child.close(force=True)


class TestTerminal:
    """On a terminal."""

    def test_ctrl_c(self, tmp_env: dict[str, str], tmp_path: Path) -> None:
        """Ctrl-C ends COMMAND and all that it started, the service, and `swf`, by SIGINT."""
        terminal = Terminal(SWF, "local", "run", "--", "sh", "-c", family(tmp_path), env=tmp_env)
        written_pids(tmp_path, 3)
        terminal.child.sendintr()
        assert terminal.end() == (None, signal.SIGINT)
        assert_all_gone(tmp_path)

    def test_ctrl_c_is_commands(self, tmp_env: dict[str, str]) -> None:
        """COMMAND that handles Ctrl-C goes on, and ends as it likes."""
        script = "trap 'echo caught; exit 7' INT; echo begun; while :; do sleep 0.05; done"
        terminal = Terminal(SWF, "local", "run", "--", "sh", "-c", script, env=tmp_env)
        terminal.expect("begun")
        wait_until(lambda: os.tcgetpgrp(terminal.child.child_fd) != terminal.child.pid)  # the terminal is COMMAND's
        terminal.child.sendintr()
        terminal.expect("caught")
        assert terminal.end() == (7, None)

    def test_hang_up(self, tmp_env: dict[str, str], tmp_path: Path) -> None:
        """A terminal that is closed takes COMMAND and all that it started with it, and the service."""
        terminal = Terminal(SWF, "local", "run", "--", "sh", "-c", family(tmp_path), env=tmp_env)
        written_pids(tmp_path, 3)
        os.close(terminal.child.child_fd)
        wait_until(lambda: not is_running(terminal.child.pid or 0))
        assert_all_gone(tmp_path)

    def test_command_reads_from_it(self, tmp_env: dict[str, str]) -> None:
        """COMMAND may be a dialogue."""
        terminal = Terminal(SWF, "local", "run", "--", "sh", "-c", "echo who; read x; echo hello $x", env=tmp_env)
        terminal.expect("who")
        terminal.child.sendline("you")
        terminal.expect("hello you")
        assert terminal.end() == (0, None)

    def test_ctrl_z_and_fg(self, prompt: Terminal) -> None:
        """Ctrl-Z stops it, with COMMAND; `fg` goes on with both, and COMMAND has the terminal again."""
        prompt.child.sendline("swf local run -- sh -c 'echo begun; read x; echo \"<$x>\"'")
        prompt.expect("begun\r\n")
        prompt.child.sendcontrol("z")
        prompt.expect("Stopped", "READY> ")
        prompt.child.sendline("fg")
        prompt.expect("swf local run")
        prompt.child.sendline("word")
        prompt.expect("<word>", "READY> ")

    def test_ctrl_z_and_bg(self, prompt: Terminal, tmp_path: Path) -> None:
        """Ctrl-Z and `bg` go on with both while the shell keeps the terminal."""
        script = (
            f"echo begun; while ! [ -e {tmp_path}/go ]; do sleep 0.05; done; swf pending -t x -o text > {tmp_path}/n"
        )
        prompt.child.sendline(f"swf local run -- sh -c '{script}'")
        prompt.expect("begun\r\n")
        prompt.child.sendcontrol("z")
        prompt.expect("Stopped", "READY> ")
        prompt.child.sendline("bg")
        prompt.expect("READY> ")
        prompt.child.sendline(f'touch {tmp_path}/go; wait; echo "<$(cat {tmp_path}/n)>"')
        prompt.expect("<0>", "READY> ")

    def test_a_pipeline_keeps_the_terminal(self, prompt: Terminal) -> None:
        """A pager behind `swf local run` reads its keys from the terminal."""
        pager = "sh -c 'cat; read x < /dev/tty; echo \"<$x>\"'"
        prompt.child.sendline(f"swf local run -- sh -c 'echo beg''un; sleep 0.3' | {pager}")
        prompt.expect("begun\r\n")
        prompt.child.sendline("key")
        prompt.expect("<key>", "READY> ")

    def test_command_in_a_pipeline_reads_from_it(self, prompt: Terminal) -> None:
        """COMMAND whose output goes to a pipe may read from the terminal all the same."""
        prompt.child.sendline("swf local run -- sh -c 'echo beg''un; read x; echo \"<$x>\"' | cat")
        prompt.expect("begun\r\n")
        prompt.child.sendline("word")
        prompt.expect("<word>", "READY> ")
        prompt.child.sendline("swf local run -- sh -c 'echo beg''un; sleep 100' | cat")
        prompt.expect("begun\r\n")
        prompt.child.sendintr()
        prompt.expect("READY> ")


def test_nothing_of_the_machine_is_asked(tmp_env: dict[str, str], tmp_path: Path) -> None:
    """It works with no home, no AWS config and a read-only working folder."""
    nowhere: dict[str, Any] = {**tmp_env, "HOME": "/nonexistent", "AWS_CONFIG_FILE": "/nonexistent/config"}
    result = run("local", "run", "--", "swf", "pending", "-t", "x", "-o", "text", env=nowhere)
    assert (result.stdout, result.code) == ("0\n", 0)
