"""The variables that point a command at a local SWF."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from swf_cli.local.environment import Endpoint, Shell, environment, exports

URL = "http://127.0.0.1:4567"
VIDEO = Endpoint(URL, "video", "KEY")


def test_it_leads_there_and_nowhere_else() -> None:
    """Endpoint, credentials, region, domain and state folder are set; conflicting variables are removed."""
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
    made = environment(VIDEO, "/state", {"PATH": "/bin", "EDITOR": "vi", **foreign})
    made.pop("PATH")
    assert made == {
        "EDITOR": "vi",
        "AWS_ENDPOINT_URL_SWF": URL,
        "AWS_ACCESS_KEY_ID": "KEY",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SWF_DOMAIN": "video",
        "SWF_STATE_DIR": "/state",
        "NO_PROXY": "127.0.0.1,localhost,::1",
        "no_proxy": "127.0.0.1,localhost,::1",
    }


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize("hosts", ["intra.example", "intra.example,127.0.0.1,localhost,::1", ", intra.example,"])
def test_what_went_past_the_proxy_still_does(name: str, hosts: str) -> None:
    """Loopback is added, once, to the hosts that bypass the proxy, in either spelling of the variable."""
    made = environment(VIDEO, "/state", {name: hosts})
    assert made["NO_PROXY"] == made["no_proxy"] == "intra.example,127.0.0.1,localhost,::1"


def test_the_path_is_kept_when_it_has_swf(tmp_path: Path) -> None:
    """A PATH that contains `swf` is kept."""
    (tmp_path / "swf").touch(0o755)
    assert environment(VIDEO, "/state", {"PATH": str(tmp_path)})["PATH"] == str(tmp_path)


def test_swf_is_found_behind_the_path(tmp_path: Path) -> None:
    """Otherwise the folder of this `swf` is appended."""
    path = environment(VIDEO, "/state", {"PATH": str(tmp_path)})["PATH"]
    assert path.startswith(f"{tmp_path}{os.pathsep}")


HOSTILE = "it's $(touch gone) `touch gone`; touch gone\n\\'\\\\ \"*"


@pytest.mark.parametrize(
    ("program", "shell"),
    [
        ("sh", "sh"),
        ("bash", "sh"),
        ("dash", "sh"),
        ("zsh", "sh"),
        ("fish", "fish"),
    ],
)
@pytest.mark.parametrize("domain", ["video", "two words", HOSTILE])
def test_exports_mean_the_same_in_a_shell(program: str, shell: Shell, domain: str, tmp_path: Path) -> None:
    """The shell commands set and unset the same variables, and nothing in a name is run."""
    if shutil.which(program) is None:
        pytest.skip(f"no {program}")
    endpoint = Endpoint(URL, domain, "KEY")
    before = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_PROFILE": "work",
        "NO_PROXY": "intra.example",
    }
    options = "set -eu\n" if shell == "sh" else ""
    script = f"{options}{exports(endpoint, before, shell)}env -0"
    shown = subprocess.run([program, "-c", script], env=before, cwd=tmp_path, capture_output=True, check=True)
    assert shown.stderr == b""
    found = dict(line.split("=", 1) for line in shown.stdout.decode().split("\0") if line)
    assert {name: found[name] for name in endpoint.settings(before)} == endpoint.settings(before)
    assert found["NO_PROXY"] == "intra.example,127.0.0.1,localhost,::1"
    assert "AWS_PROFILE" not in found
    assert not (tmp_path / "gone").exists()
