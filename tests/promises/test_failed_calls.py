"""What a failed call means to a user: through proxies, without certificates, and with credentials that change."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.helpers.aws import SETTINGS
from tests.helpers.cli import FAST_SWF, SWF, TASK, invoke, wait_until
from tests.helpers.fault_matrix import authority
from tests.helpers.forward_proxy import ForwardProxy
from tests.helpers.issuer import Issuer
from tests.helpers.local_service import Service
from tests.helpers.operations import COMPLETE, HEARTBEAT, POLL
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import error_line

HERE = ("-d", "media", "-t", "work")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The folder of the ledger."""
    return tmp_path / "state"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The certificates that the proxy's tunnel is to be trusted with."""
    path = tmp_path / "ca.pem"
    authority("trusted").cert_pem.write_to_path(str(path))
    return path


def losing(operation: str) -> Callable[[str], bool]:
    """Return what loses the first response to an operation."""
    answers = iter([True])
    return lambda answered: answered == operation and next(answers, False)


@pytest.fixture(params=["plain proxy", "tunnel"])
def through(
    request: pytest.FixtureRequest, bare_env: dict[str, str], state: Path, bundle: Path
) -> Callable[[ForwardProxy], dict[str, str]]:
    """Returns an environment in which SWF is reached through a proxy."""

    def environment(proxy: ForwardProxy) -> dict[str, str]:
        scheme = "http" if request.param == "plain proxy" else "https"
        return {
            **bare_env,
            **SETTINGS,
            "SWF_STATE_DIR": str(state),
            f"{scheme.upper()}_PROXY": proxy.url,
            "AWS_ENDPOINT_URL_SWF": f"{scheme}://swf.test",
            "AWS_CA_BUNDLE": str(bundle),
        }

    return environment


def test_a_proxy_that_loses_the_response_to_a_poll(
    service: Service, through: Callable[[ForwardProxy], dict[str, str]]
) -> None:
    """The task may be assigned to that poll: `swf held` lists it, and polling goes on."""
    for _ in range(2):
        service.schedule("media", "work")
    with ForwardProxy(service.url, losing(POLL)) as proxy:
        env = through(proxy)
        result = invoke("poll", *HERE, env=env)
        held = invoke("held", "-o", "json", env=env).json
    assert result.code == 0
    assert "may have assigned a task" in result.stderr
    assert sorted(row["kind"] for row in held) == ["broken_poll", "task"]
    assert proxy.operations == [POLL, POLL]


def test_a_proxy_that_loses_the_response_to_a_completion(
    service: Service, through: Callable[[ForwardProxy], dict[str, str]], tmp_path: Path
) -> None:
    """It is retried, SWF says that the task is not open, and the history shows that it was this completion."""
    workflow_id = service.schedule("media", "work")
    with ForwardProxy(service.url, losing(COMPLETE)) as proxy:
        env = through(proxy)
        (tmp_path / "task.json").write_text(invoke("poll", *HERE, env=env).stdout)
        result = invoke("complete", "--task", str(tmp_path / "task.json"), "--result", "ok", env=env)
    assert (result.code, result.stdout) == (0, "")
    assert [event["eventType"] for event in service.history("media", workflow_id)].count("ActivityTaskCompleted") == 1


@pytest.mark.parametrize("failing", ["no bundle", "refused", "tunnel refused", "garbage"])
class TestNeverSent:
    """Without certificates, a listener, or a tunnel nothing was sent, and nothing is claimed to be lost."""

    @pytest.fixture
    def env(
        self, failing: str, bare_env: dict[str, str], state: Path, stub: StubService, tmp_path: Path
    ) -> dict[str, str]:
        """An environment in which no request is ever sent."""
        settings = {**bare_env, **SETTINGS, "SWF_STATE_DIR": str(state)}
        match failing:
            case "no bundle":
                secure = stub.url.replace("http:", "https:")
                return settings | {"AWS_ENDPOINT_URL_SWF": secure, "AWS_CA_BUNDLE": "/no/such.pem"}
            case "refused":
                return settings | {"AWS_ENDPOINT_URL_SWF": "http://127.0.0.1:9"}
            case "tunnel refused":  # the stub does not know CONNECT
                return settings | {"AWS_ENDPOINT_URL_SWF": "https://swf.test", "HTTPS_PROXY": stub.url}
        return settings | {"AWS_ENDPOINT_URL_SWF": stub.url.replace("http:", "https:")}

    @pytest.mark.parametrize(
        "args",
        [
            ("poll", *HERE),
            ("complete", "--token", "T", "--retry-for", "0"),
            ("heartbeat", "--token", "T"),
            ("work", *HERE, "--idle-exit", "3s", "--", "true"),
        ],
        ids=lambda args: args[0],
    )
    def test_it_is_an_error_at_once(self, env: dict[str, str], args: tuple[str, ...], stub: StubService) -> None:
        """The command exits with 1 and one line, and `swf held` is empty."""
        result = invoke(*args, env=env)
        assert (result.code, result.stdout, result.stderr.count("swf: ")) == (1, "", 1)
        assert invoke("held", "-o", "json", env=env).json == []
        assert stub.requests == []


COMMANDS = [
    ("poll", *HERE),
    ("complete", "--token", "T"),
    ("heartbeat", "--token", "T"),
    ("heartbeat", "--token", "T", "--every", "1s"),
    ("pending", *HERE),
    ("pending", *HERE, "--watch"),
    ("tasks", "-d", "media"),
    ("stuck", "-d", "media"),
    ("work", *HERE, "--", "true"),
]
"""Each command that calls SWF."""


@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("wrong", ["profile", "file"])
def test_a_problem_with_credentials(
    wrong: str, args: tuple[str, ...], aws_env: dict[str, str], stub: StubService, tmp_path: Path
) -> None:
    """An unknown profile, or a file that can't be parsed, is exit code 7, and is named at once."""
    name = "nobody" if wrong == "profile" else str(tmp_path / "config")
    (tmp_path / "config").write_text("[default]\n" if wrong == "profile" else "garbage")
    env = {**aws_env, "AWS_ENDPOINT_URL_SWF": stub.url, "AWS_CONFIG_FILE": str(tmp_path / "config")}
    options = ("--profile", name) if wrong == "profile" else ()
    error_line(invoke(*args[:1], *options, *args[1:], env=env), 7, name)
    assert stub.requests == []


@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
def test_certificates_that_cannot_be_used(
    args: tuple[str, ...], aws_env: dict[str, str], stub: StubService, tmp_path: Path
) -> None:
    """A file of CA certificates that is missing is exit code 1, and is named at once: no command retries that."""
    bundle = str(tmp_path / "missing.pem")
    env = {**aws_env, "AWS_ENDPOINT_URL_SWF": stub.url.replace("http:", "https:"), "AWS_CA_BUNDLE": bundle}
    error_line(invoke(*args, env=env), 1, bundle, "AWS_CA_BUNDLE")
    assert invoke("held", "-o", "json", env=env).json == []


@pytest.fixture
def credentials(tmp_path: Path, bare_env: dict[str, str], state: Path) -> tuple[dict[str, str], Path]:
    """An environment whose keys are in a file, and that file."""
    path = tmp_path / "credentials"
    write_keys(path, "OLDKEY")
    settings = {
        "AWS_REGION": "us-east-1",
        "AWS_SHARED_CREDENTIALS_FILE": str(path),
        "SWF_STATE_DIR": str(state),
    }
    return bare_env | settings, path


def write_keys(path: Path, key: str) -> None:
    """Replace the keys in a credentials file, as programs that rotate them do."""
    new = path.with_suffix(".new")
    new.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")
    new.replace(path)


def test_keys_that_are_rotated_while_a_command_runs(
    service: Service, credentials: tuple[dict[str, str], Path], tmp_path: Path
) -> None:
    """The worker's heartbeats and its response go on with the new keys: the task completes."""
    env, path = credentials
    workflow_id = service.schedule("media", "work", heartbeatTimeout="60")
    with ForwardProxy(service.url, valid_key="OLDKEY") as proxy:
        env |= {"AWS_ENDPOINT_URL_SWF": proxy.url}
        command = f"touch {tmp_path}/running; until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo done"
        args = ("work", *HERE, "--max-tasks", "1", "--heartbeat", "1s", "--", "sh", "-c", command)
        with subprocess.Popen([SWF, *args], env=env, stderr=subprocess.PIPE, text=True) as worker:
            wait_until((tmp_path / "running").exists)
            write_keys(path, "NEWKEY")
            proxy.valid_key = "NEWKEY"
            before = len(proxy.operations)
            wait_until(lambda: proxy.operations[before:].count(HEARTBEAT) >= 2)
            (tmp_path / "go").touch()
            _, errors = worker.communicate(timeout=60)
    assert worker.returncode == 0, errors
    end = service.history("media", workflow_id)[-2]
    assert end["eventType"] == "ActivityTaskCompleted", errors


def test_keys_that_are_rotated_during_heartbeats(service: Service, credentials: tuple[dict[str, str], Path]) -> None:
    """`swf heartbeat --every` goes on with the new keys, also if they come a moment after the old ones expire."""
    env, path = credentials
    service.schedule("media", "work", heartbeatTimeout="60")
    with ForwardProxy(service.url, valid_key="OLDKEY") as proxy:
        env |= {"AWS_ENDPOINT_URL_SWF": proxy.url}
        token = invoke("poll", *HERE, "-o", "text", env=env).stdout.strip()
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as step:
            args = ("heartbeat", "--token", token, "--every", "1s", "--while-pid", str(step.pid))
            with subprocess.Popen([*FAST_SWF, *args], env=env, stdout=subprocess.PIPE, text=True) as heartbeats:
                wait_until(lambda: HEARTBEAT in proxy.operations)
                proxy.valid_key = "NEWKEY"
                wait_until(lambda: proxy.rejected >= 1)
                write_keys(path, "NEWKEY")
                before = len(proxy.operations)
                wait_until(lambda: len(proxy.operations) >= before + 2)
                step.communicate()
                output, _ = heartbeats.communicate(timeout=60)
    assert (heartbeats.returncode, json.loads(output)) == (0, {"cancel_requested": False})
    assert invoke("complete", "--token", token, env=env | {"AWS_ENDPOINT_URL_SWF": service.url}).code == 0


@pytest.fixture
def container(bare_env: dict[str, str], stub: StubService) -> Iterator[tuple[dict[str, str], Issuer]]:
    """An environment whose credentials come from the endpoint of a container, which fails; and that endpoint."""
    end = datetime.now(UTC) + timedelta(hours=1)
    keys = {"AccessKeyId": "AKIDISSUED", "SecretAccessKey": "secret", "Token": "t", "Expiration": f"{end:%FT%TZ}"}
    issuer = Issuer(json.dumps(keys).encode(), status=500)
    settings = {
        "AWS_REGION": "us-east-1",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{issuer.url}/role",
        "AWS_ENDPOINT_URL_SWF": stub.url,
    }
    yield bare_env | settings, issuer
    issuer.close()


@pytest.mark.usefixtures("no_pauses")
def test_a_credential_endpoint_that_fails_for_a_while(
    container: tuple[dict[str, str], Issuer], stub: StubService
) -> None:
    """A response is retried until there are credentials."""
    env, issuer = container
    stub.reply(COMPLETE)

    def recover() -> None:
        wait_until(lambda: len(issuer.requests) >= 4)  # botocore asks three times
        issuer.status = 200

    with ThreadPoolExecutor() as pool:
        recovery = pool.submit(recover)
        result = invoke("complete", "--token", "T", "--retry-for", "60s", env=env)
        recovery.result()
    assert result.code == 0, result.stderr
    assert "it responded with status 500; retrying in" in result.stderr
    assert "secret" not in result.stderr
    assert stub.access_keys == ["AKIDISSUED"]


@pytest.mark.usefixtures("no_pauses")
def test_a_credential_endpoint_that_keeps_failing(
    container: tuple[dict[str, str], Issuer], stub: StubService
) -> None:
    """Exit code 7, and the endpoint is named."""
    env, issuer = container
    result = invoke("complete", "--token", "T", "--retry-for", "0", env=env)
    assert (result.code, stub.requests) == (7, [])
    assert f"cannot get credentials from container endpoint {issuer.url}/role" in result.stderr


class TestWithoutAHome:
    """Containers run programs as users whom no database knows."""

    @pytest.fixture
    def env(self, env: dict[str, str], stub: StubService, tmp_path: Path) -> dict[str, str]:
        """The environment of such a user."""
        stub.reply(POLL, TASK)
        return {name: value for name, value in env.items() if name not in ("HOME", "SWF_STATE_DIR")}

    def poll(self, env: dict[str, str], where: Path) -> "subprocess.CompletedProcess[str]":
        """Run `swf poll` in a folder, as a user without an entry in the database."""
        code = (
            "import pwd, sys\n"
            "def getpwuid(uid): raise KeyError(uid)\n"
            "pwd.getpwuid = getpwuid\n"
            "from swf_cli.__main__ import main\n"
            f"sys.argv = ['swf', 'poll', *{HERE!r}, '-o', 'text']\n"
            "main()\n"
        )
        return subprocess.run(
            [sys.executable, "-c", code], env=env, cwd=where, capture_output=True, text=True, check=False
        )

    def test_tasks_are_received_and_not_recorded(self, env: dict[str, str], tmp_path: Path) -> None:
        """One warning says so, and no folder named `~` is made."""
        done = self.poll(env, tmp_path)
        assert (done.returncode, done.stdout) == (0, "TOKEN\n")
        (warning,) = done.stderr.splitlines()
        assert "set SWF_STATE_DIR" in warning
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_can_be_named(self, env: dict[str, str], tmp_path: Path) -> None:
        """Then they are recorded."""
        done = self.poll(env | {"SWF_STATE_DIR": str(tmp_path / "state")}, tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "TOKEN\n", "")
        assert [path.name for path in tmp_path.iterdir()] == ["state"]
