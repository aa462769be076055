"""`swf local serve`, as processes."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pexpect
import pytest

from tests.helpers.cli import SWF, Result, run, shell, wait_until
from tests.helpers.flow import Flow
from tests.helpers.processes import is_served, started
from tests.helpers.terminal import error_line, installed
from tests.helpers.wire import Refused, Wire


@dataclass(frozen=True, slots=True)
class Served:
    """A `swf local serve` that is ready."""

    process: "subprocess.Popen[str]"
    exports: str
    """What it printed."""

    @property
    def port(self) -> int:
        """The port it is on."""
        line = next(line for line in self.exports.splitlines() if "AWS_ENDPOINT_URL_SWF=" in line)
        return int(line.rpartition(":")[2].strip("'"))

    def end(self, number: int = signal.SIGTERM) -> Result:
        """Send it a signal, and wait for its end."""
        self.process.send_signal(number)
        stdout, stderr = self.process.communicate(timeout=10)
        return Result(stdout, stderr, self.process.returncode)


@contextmanager
def serve(*args: str, env: Mapping[str, str]) -> Iterator[Served]:
    """Run `swf local serve` until the test is over."""
    with started("local", "serve", *args, env=env) as process:
        lines: list[str] = []
        assert process.stdout
        while not (lines and lines[-1].startswith("export no_proxy=")):
            lines.append(process.stdout.readline())
            assert lines[-1], process.communicate()[1]
        yield Served(process, "".join(lines))


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("program", installed("bash", "dash", "zsh"))
def test_its_lines_lead_there(bare_env: dict[str, str], program: str) -> None:
    """The lines it prints, evaluated in a shell, lead every `swf` of that shell to it, past proxies and profiles."""
    dead = "http://127.0.0.1:9"
    elsewhere = {"AWS_PROFILE": "no-such-profile", "HTTP_PROXY": dead, "http_proxy": dead, "AWS_ENDPOINT_URL": dead}
    env = {**bare_env, **elsewhere}
    with serve("-d", "video", "-d", "audio", env=env) as served:
        script = f"set -eu\n{served.exports}\nswf local schedule -t x --activity resize\nswf pending -t x -o text"
        result = shell(f"{script}\nswf pending -t x -d audio -o text\necho $SWF_DOMAIN", env=env, program=program)
        assert (result.stdout, result.code) == ("1\n0\nvideo\n", 0), result.stderr
        assert (served.end().stdout, served.process.returncode) == ("", -signal.SIGTERM)


def test_hosts_that_need_no_proxy_are_kept(bare_env: dict[str, str]) -> None:
    """What goes past the proxy still does in the shell that takes its lines."""
    with serve(env={**bare_env, "NO_PROXY": "intra.example"}) as served:
        assert "export NO_PROXY=intra.example,127.0.0.1,localhost,::1\n" in served.exports


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_signals_end_it(bare_env: dict[str, str], number: int) -> None:
    """SIGHUP, SIGINT or SIGTERM end it by that signal, held polls or not, and its port is free again."""
    with serve(env=bare_env) as served:
        wire = Wire(served.port)
        wire.connection.request("POST", "/", POLL, {"X-Amz-Target": "SimpleWorkflowService.PollForActivityTask"})
        assert served.end(number) == Result("", "", -number)
        wire.close()
        with socket.create_server(("127.0.0.1", served.port)):
            pass


POLL = b'{"domain": "local", "taskList": {"name": "x"}}'


def test_ctrl_c_ends_it(bare_env: dict[str, str]) -> None:
    """Ctrl-C on its terminal ends it, by SIGINT."""
    child = pexpect.spawn(SWF, ["local", "serve"], env=bare_env, encoding="utf-8", timeout=10)
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


def test_port(bare_env: dict[str, str]) -> None:
    """--port N is the port; when it is in use: exit 2, which names it, and nothing on stdout."""
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
        ("--domain", ""),
        ("--domain", "x" * 257),
    ],
)
def test_bad_input(bare_env: dict[str, str], args: tuple[str, str]) -> None:
    """A port, an address, a hold or a domain that can't be is exit 2, at once."""
    error_line(run("local", "serve", *args, env=bare_env), 2, "can't listen" if args[0] == "--host" else args[0])


def test_a_domain_given_twice_is_one(bare_env: dict[str, str]) -> None:
    """A domain that is named twice is registered once; SWF_DOMAIN stands in for --domain."""
    with serve("-d", "video", "-d", "video", env=bare_env) as served:
        assert "export SWF_DOMAIN=video\n" in served.exports
    with serve(env={**bare_env, "SWF_DOMAIN": "audio"}) as served:
        assert "export SWF_DOMAIN=audio\n" in served.exports


def test_verbose_says_each_call(bare_env: dict[str, str]) -> None:
    """-v says one line a call on stderr, refused ones too, and nothing that a call carries; else it is silent."""
    secret = "in-the-input"
    for args, lines in ([], 0), (["-v"], 11):
        with serve(*args, env=bare_env) as served:
            script = (
                f"{served.exports}\nswf local schedule -t x --activity resize --input {secret}\n"
                "swf complete --token in-the-token\nswf poll -t x | swf complete --task - --result in-the-result"
            )
            assert shell(script, env=bare_env).code == 0
            said = served.end().stderr
            assert [line for line in said.splitlines() if not line.startswith("swf: ")] == []
            assert len(said.splitlines()) == lines
            assert "in-the" not in said
    assert "swf: RespondActivityTaskCompleted 200 " in said
    assert "swf: RespondActivityTaskCompleted 400 " in said


def test_hold(bare_env: dict[str, str]) -> None:
    """--hold is how long an empty poll is held."""
    with serve("--hold", "0.2", env=bare_env) as served:
        wire = Wire(served.port)
        begun = time.monotonic()
        assert not Flow(wire.call, "local").poll("x").get("taskToken")
        assert 0.15 < time.monotonic() - begun < 5
        wire.close()


@pytest.mark.parametrize(
    ("args", "waits"), [([], 0), (["--deliver-to-disconnected"], 0), (["--no-deliver-to-disconnected"], 1)]
)
def test_a_task_for_a_client_that_has_gone(bare_env: dict[str, str], args: list[str], waits: int) -> None:
    """A held poll whose client has gone is given a task all the same, as SWF does, unless told otherwise."""
    with serve("-v", *args, env=bare_env) as served:
        env = {**bare_env, "ENV": ""}
        gone = Wire(served.port)
        gone.connection.request("POST", "/", POLL, {"X-Amz-Target": "SimpleWorkflowService.PollForActivityTask"})
        time.sleep(0.1)  # held by now
        gone.close()
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
    """With --host 0.0.0.0, for other machines or containers, its lines lead this machine's clients by loopback."""
    with serve("--host", "0.0.0.0", env=bare_env) as served:
        assert f"export AWS_ENDPOINT_URL_SWF=http://127.0.0.1:{served.port}\n" in served.exports
        script = f"{served.exports}\nswf local schedule -t x --activity resize && swf pending -t x -o text"
        assert shell(script, env=bare_env).stdout == "1\n"


def test_a_reader_that_has_gone(bare_env: dict[str, str]) -> None:
    """When nobody reads its lines it ends, quietly, and serves nothing."""
    read, write = os.pipe()
    os.close(read)
    with started("local", "serve", env=bare_env, stdout=write) as process:
        os.close(write)
        wait_until(lambda: process.poll() is not None)
        assert (process.returncode, process.communicate()[1]) == (1, "")
