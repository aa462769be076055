"""What the tests of clients share: settings, and calls over a session."""

from collections.abc import Callable
from pathlib import Path

import pytest

from swf_cli import api
from swf_cli.client.session import Session
from swf_cli.models import WorkerTask

SetEnv = Callable[..., None]

ROLE_PROFILE = """
[profile role]
role_arn = arn:aws:iam::123456789012:role/worker
source_profile = base
[profile base]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = sup3r-secret-key-of-mine
"""


@pytest.fixture
def set_env(monkeypatch: pytest.MonkeyPatch) -> SetEnv:
    """A function that sets environment variables by keyword."""

    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


def configure(home: Path, text: str) -> None:
    """Write ~/.aws/config."""
    folder = home / ".aws"
    folder.mkdir(exist_ok=True)
    (folder / "config").write_text(text)


def count(session: Session) -> int:
    """Make a call over the client for calls."""
    return api.count_pending_tasks("l", "d", session.client).count


def complete(session: Session) -> None:
    """Respond to a task over the client for calls."""
    api.call_with_token(session.client, "respond_activity_task_completed", "T", {})


def poll(session: Session) -> WorkerTask | None:
    """Poll once, over the client for polls."""
    return api.poll_once("l", "d", None, session.poll_client)
