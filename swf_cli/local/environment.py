"""The environment variables that point AWS clients at a local SWF."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from .engine import DEFAULT_REGION

Shell = Literal["sh", "fish"]

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

_CONFLICTING: Final = (
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "SWF_TASK_TOKEN",
)
"""Variables that would point a client elsewhere."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a client needs to call a local SWF."""

    url: str
    domain: str
    access_key_id: str = "local"

    def settings(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that point a client here. Hosts that bypass a proxy in `environ` still do."""
        before = (environ.get("NO_PROXY") or environ.get("no_proxy") or "").split(",")
        hosts = ",".join(dict.fromkeys([*filter(None, map(str.strip, before)), *_LOOPBACK]))
        return {
            "AWS_ENDPOINT_URL_SWF": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": DEFAULT_REGION,
            "AWS_DEFAULT_REGION": DEFAULT_REGION,
            "SWF_DOMAIN": self.domain,
            "NO_PROXY": hosts,
            "no_proxy": hosts,
        }


def environment(endpoint: Endpoint, state_dir: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a command that uses a local SWF, with a state folder of its own."""
    kept = {name: value for name, value in environ.items() if name not in _CONFLICTING}
    made = kept | endpoint.settings(environ) | {"SWF_STATE_DIR": state_dir}
    if shutil.which("swf", path=made.get("PATH")) is None:
        # In a virtual environment that is not on the PATH: let the command find the same swf.
        installed = [str(Path(program).absolute().parent) for program in (sys.argv[0], sys.executable)]
        made["PATH"] = os.pathsep.join([made.get("PATH", os.defpath), *installed])
    return made


def exports(endpoint: Endpoint, environ: Mapping[str, str], shell: Shell = "sh") -> str:
    """Return the commands of a shell that point its clients at a local SWF."""
    settings = endpoint.settings(environ)
    if shell == "fish":
        lines = [f"set -e {name}" for name in _CONFLICTING]
        lines += [f"set -gx {name} {_quote_for_fish(value)}" for name, value in settings.items()]
    else:
        lines = [f"unset {' '.join(_CONFLICTING)}"]
        lines += [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    return "\n".join(lines) + "\n"


def _quote_for_fish(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
