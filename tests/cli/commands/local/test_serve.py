"""`swf local serve`, as a process."""

import os
import re
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest

from tests.helpers.cli import SWF, Result, invoke, run, shell, wait_until
from tests.helpers.flow import Flow
from tests.helpers.processes import is_served, started
from tests.helpers.terminal import error_line, installed
from tests.helpers.wire import Refused, Wire


@dataclass(frozen=True, slots=True)
class Served:
    """A `swf local serve` that is ready."""

    process: "subprocess.Popen[str]"
    exports: str
    """Its stdout."""

    @property
    def port(self) -> int:
        """Its port."""
        line = next(line for line in self.exports.splitlines() if "AWS_ENDPOINT_URL_SWF" in line)
        return int(line.rpartition(":")[2].strip("'"))

    def end(self, number: int = signal.SIGTERM) -> Result:
        """Send a signal and wait for its end."""
        self.process.send_signal(number)
        stdout, stderr = self.process.communicate(timeout=30)  # half as long as it may hold a poll
        return Result(stdout, stderr, self.process.returncode)


@contextmanager
def serve(*args: str, env: Mapping[str, str]) -> Iterator[Served]:
    """Run `swf local serve` during a test."""
    with started("local", "serve", *args, env=env) as process:
        lines: list[str] = []
        assert process.stdout
        while not (lines and lines[-1].startswith(("export no_proxy=", "set -gx no_proxy "))):
            lines.append(process.stdout.readline())
            assert lines[-1], process.communicate()[1]
        yield Served(process, "".join(lines))


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("program", installed("bash", "dash", "zsh", "fish"))
def test_its_output_points_there(bare_env: dict[str, str], program: str) -> None:
    """Evaluated in a shell, its output points `swf` at it, whatever the profile and proxy."""
    dead = "http://127.0.0.1:9"
    elsewhere = {"AWS_PROFILE": "no-such-profile", "HTTP_PROXY": dead, "http_proxy": dead, "AWS_ENDPOINT_URL": dead}
    env = {**bare_env, **elsewhere}
    options = ("--shell", "fish") if program == "fish" else ()
    strict = "" if program == "fish" else "set -eu\n"
    with serve("-d", "video", "-d", "audio", *options, env=env) as served:
        script = f"{strict}{served.exports}\nswf local schedule -t x --activity resize\nswf pending -t x -o text"
        result = shell(f"{script}\nswf pending -t x -d audio -o text\necho $SWF_DOMAIN", env=env, program=program)
        assert (result.stdout, result.code) == ("1\n0\nvideo\n", 0), result.stderr
        assert (served.end().stdout, served.process.returncode) == ("", -signal.SIGTERM)


def test_hosts_that_need_no_proxy_are_kept(bare_env: dict[str, str]) -> None:
    """Hosts that bypass the proxy still do."""
    with serve(env={**bare_env, "NO_PROXY": "intra.example"}) as served:
        assert "export NO_PROXY=intra.example,127.0.0.1,localhost,::1\n" in served.exports


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_signals_end_it(bare_env: dict[str, str], number: int) -> None:
    """SIGHUP, SIGINT and SIGTERM end it, also with a poll in flight, and free its port."""
    with serve(env=bare_env) as served:
        wire = Wire(served.port)
        wire.connection.request("POST", "/", POLL, {"X-Amz-Target": "SimpleWorkflowService.PollForActivityTask"})
        assert served.end(number) == Result("", "", -number)
        wire.close()
        with socket.create_server(("127.0.0.1", served.port)):
            pass


POLL = b'{"domain": "local", "taskList": {"name": "x"}}'


def test_ctrl_c_ends_it(bare_env: dict[str, str]) -> None:
    """Ctrl-C ends it by SIGINT."""
    child = pexpect.spawn(SWF, ["local", "serve"], env=bare_env, encoding="utf-8", timeout=60)
    child.expect(r"AWS_ENDPOINT_URL_SWF='?(http://[0-9.:]+)")
    assert isinstance(child.match, re.Match)
    url = child.match[1]
    child.expect("no_proxy")
    assert is_served(url)
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.signalstatus == signal.SIGINT
    assert not is_served(url)


def test_it_says_how_to_use_it(bare_env: dict[str, str], tmp_path: Path) -> None:
    """On a terminal it says how to use it in another shell, and how to stop it; else nothing."""
    for redirected, where in (
        ("", "run the commands above"),
        (f" > {tmp_path}/env", "source the file that stdout goes to"),
    ):
        child = pexpect.spawn("sh", ["-c", f"exec {SWF} local serve{redirected}"], env=bare_env, encoding="utf-8")
        child.expect_exact("swf: serving a local SWF at http://127.0.0.1:", timeout=60)
        child.expect_exact("; press Ctrl-C to stop")
        child.expect_exact(f"hint: in another shell, {where}, then try `swf local schedule -t x --activity y`")
        child.sendintr()
        child.expect(pexpect.EOF)
        child.close()
    with serve(env=bare_env) as served:
        assert served.end().stderr == ""


def test_access_key_id(bare_env: dict[str, str]) -> None:
    """--access-key-id accepts requests with that key only, which its output exports."""
    with serve("--access-key-id", "SECRETKEY", env=bare_env) as served:
        script = f"{served.exports}\nswf pending -t x -o text\nAWS_ACCESS_KEY_ID=other swf pending -t x\necho $?"
        assert shell(script, env=bare_env).stdout == "0\n7\n"


def test_speed(bare_env: dict[str, str]) -> None:
    """--speed runs the clock faster: an hour passes in a moment."""
    with serve("--speed", "100000", env=bare_env) as served:
        wire = Wire(served.port)
        flow = Flow(wire.call, "local")
        flow.call("RegisterWorkflowType", domain="local", name="video", version="1")
        execution = flow.start(
            taskList={"name": "x"},
            taskStartToCloseTimeout="NONE",
            executionStartToCloseTimeout="3600",
            childPolicy="ABANDON",
        )
        wait_until(lambda: flow.names(execution)[-1] == "WorkflowExecutionTimedOut")
        wire.close()


def test_port(bare_env: dict[str, str]) -> None:
    """--port sets the port. If it is in use: exit 2."""
    port = free_port()
    with serve("--port", str(port), env=bare_env) as served:
        assert served.port == port
        error_line(run("local", "serve", "--port", str(port), env=bare_env), 2, str(port), "in use")
        assert served.process.poll() is None


@pytest.mark.parametrize(
    "args",
    [
        ("--port", "65536"),
        ("--port", "-1"),
        ("--port", "http"),
        ("--host", "no-such-host.invalid"),
        ("--host", "192.0.2.1"),
        ("--hold", "0"),
        ("--hold", "2h"),
        ("--hold", "5x"),
        ("--domain", ""),
        ("--domain", "x" * 257),
        ("--domain", "a:b"),
        ("--speed", "0"),
        ("--speed", "fast"),
        ("--shell", "tcsh"),
        ("--access-key-id", ""),
        ("--access-key-id", "a/b"),
    ],
)
def test_bad_input(bare_env: dict[str, str], args: tuple[str, str]) -> None:
    """Invalid values: exit 2, with the option's name."""
    error_line(invoke("local", "serve", *args, env=bare_env), 2, "cannot listen" if args[0] == "--host" else args[0])


def test_a_domain_given_twice_is_one(bare_env: dict[str, str]) -> None:
    """A repeated domain is registered once. SWF_DOMAIN sets the default."""
    with serve("-d", "video", "-d", "video", env=bare_env) as served:
        assert "export SWF_DOMAIN=video\n" in served.exports
    with serve(env={**bare_env, "SWF_DOMAIN": "audio"}) as served:
        assert "export SWF_DOMAIN=audio\n" in served.exports


def test_verbose_says_each_call(bare_env: dict[str, str]) -> None:
    """-v logs one line a call on stderr, rejected ones too, without what a call contains."""
    with serve(env=bare_env) as served:
        wire = Wire(served.port)
        wire.call("ListDomains", registrationStatus="REGISTERED")
        wire.close()
        assert served.end().stderr == ""
    with serve("-v", env=bare_env) as served:
        exports = [shlex.split(line) for line in served.exports.splitlines()]
        env = {**bare_env, **dict(words[1].split("=", 1) for words in exports if words[0] == "export")}
        invoke("local", "schedule", "-t", "x", "--activity", "resize", "--input", "in-the-input", env=env)
        assert invoke("complete", "--token", "in-the-token", env=env).code == 5
        task = invoke("poll", "-t", "x", env=env).stdout
        assert invoke("complete", "--task", "-", "--result", "in-the-result", env=env, stdin=task).code == 0
        said = served.end().stderr
    assert [line for line in said.splitlines() if not line.startswith("swf: ")] == []
    assert len(said.splitlines()) == 11
    assert "in-the" not in said
    assert "swf: RespondActivityTaskCompleted 200 " in said
    assert "swf: RespondActivityTaskCompleted 400 " in said


def test_hold(bare_env: dict[str, str]) -> None:
    """--hold is the longest time that a poll waits."""
    with serve("--hold", "0.2", env=bare_env) as served:
        wire = Wire(served.port)
        begun = time.monotonic()
        assert not Flow(wire.call, "local").poll("x").get("taskToken")
        assert time.monotonic() - begun >= 0.2
        wire.close()


@pytest.mark.parametrize(
    ("args", "waits"), [([], 0), (["--deliver-to-disconnected"], 0), (["--no-deliver-to-disconnected"], 1)]
)
def test_a_task_for_a_client_that_has_gone(bare_env: dict[str, str], args: list[str], waits: int) -> None:
    """A poll whose client has disconnected receives a task, as in SWF, unless switched off."""
    with serve("-v", *args, env=bare_env) as served:
        env = {**bare_env, "ENV": ""}
        gone = Wire(served.port)
        gone.connection.request("POST", "/", POLL, {"X-Amz-Target": "SimpleWorkflowService.PollForActivityTask"})
        gone.close()  # what it sent is read all the same
        script = f"{served.exports}\nswf local schedule -t x --activity resize && swf pending -t x -o text"
        assert shell(script, env=env).stdout == f"{waits}\n"


def test_quotas(bare_env: dict[str, str]) -> None:
    """With --quotas a client over SWF's rates is throttled."""
    with serve("--quotas", env=bare_env) as served:
        wire = Wire(served.port)
        flow = Flow(wire.call, "local")

        def ask_often() -> None:
            for _ in range(400):
                flow.pending("x")

        with pytest.raises(Refused, match="Throttling"):
            ask_often()
        wire.close()


def test_every_address(bare_env: dict[str, str]) -> None:
    """With --host 0.0.0.0 the printed endpoint is on loopback."""
    with serve("--host", "0.0.0.0", env=bare_env) as served:
        assert f"export AWS_ENDPOINT_URL_SWF=http://127.0.0.1:{served.port}\n" in served.exports
        warning = "swf: warning: other machines can use this SWF: it listens on 0.0.0.0\n"
        script = f"{served.exports}\nswf local schedule -t x --activity resize && swf pending -t x -o text"
        assert shell(script, env=bare_env).stdout == "1\n"
        assert served.end().stderr == warning


def test_a_reader_that_has_gone(bare_env: dict[str, str]) -> None:
    """If the reader of its stdout has gone, it exits quietly."""
    read, write = os.pipe()
    os.close(read)
    with started("local", "serve", env=bare_env, stdout=write) as process:
        os.close(write)
        wait_until(lambda: process.poll() is not None)
        assert (process.returncode, process.communicate()[1]) == (1, "")
