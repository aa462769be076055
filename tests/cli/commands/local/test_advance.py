"""`swf local advance`."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.helpers.cli import invoke
from tests.helpers.local_service import Service, local_service
from tests.helpers.terminal import error_line


def test_timeouts_come_due(service: Service, service_env: dict[str, str]) -> None:
    """When it returns, a task that timed out on the way has its event; stderr shows the clock."""
    workflow_id = service.schedule("video", "x", scheduleToStartTimeout="600", scheduleToCloseTimeout="NONE")
    result = invoke("local", "advance", "9m", env=service_env)
    assert (result.stdout, result.code) == ("", 0)
    assert "ActivityTaskTimedOut" not in service.names("video", workflow_id)
    shown = datetime.fromisoformat(invoke("local", "advance", "2m", env=service_env).stderr.split()[-1])
    assert "ActivityTaskTimedOut" in service.names("video", workflow_id)
    expected = datetime.now(UTC) + timedelta(minutes=11)
    assert abs((shown - expected).total_seconds()) < 60


@pytest.mark.parametrize("duration", ["soon", "-1", "", "1.5", "4000d"])
def test_bad_input(service_env: dict[str, str], duration: str) -> None:
    """Anything but a duration that SWF could have as a timeout: exit 2."""
    error_line(invoke("local", "advance", "--", duration, env=service_env), 2, "DURATION: ")


@pytest.mark.parametrize("url", [None, "http://192.0.2.1", "http://localhost.example"])
def test_only_a_local_swf(aws_env: dict[str, str], url: str | None) -> None:
    """AWS and other hosts are rejected before anything is sent: exit 2."""
    args = [] if url is None else ["--endpoint-url", url]
    error_line(invoke("local", "advance", "1m", *args, env=aws_env), 2, "not on loopback")


def test_the_access_key(aws_env: dict[str, str]) -> None:
    """Without the access key of a local SWF that requires one: exit 7."""
    with local_service(access_key_id="KEY") as service:
        env = {**aws_env, "AWS_ENDPOINT_URL_SWF": service.url}
        error_line(invoke("local", "advance", "1m", env=env), 7)
        assert invoke("local", "advance", "1m", env={**env, "AWS_ACCESS_KEY_ID": "KEY"}).code == 0
