"""Finding SWF's service model."""

import json
from pathlib import Path

import botocore.loaders
import botocore.session
import pytest

from swf_cli.client.loader import use_fast_loader
from swf_cli.client.session import Session
from tests.client.conftest import SetEnv, count
from tests.helpers.operations import COUNT
from tests.helpers.stub_service import StubService


def test_no_directory_of_services_is_searched(
    env: dict[str, str], set_env: SetEnv, stub: StubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Creating clients does not look through the directory of every service, which takes long."""

    def search(*_: object) -> None:
        raise AssertionError("searched the directory of every service")

    set_env(**env)
    monkeypatch.setattr(botocore.loaders.Loader, "list_available_services", search)
    stub.reply(COUNT, {"count": 3})
    session = Session()
    assert count(session) == 3
    assert session.poll_client.meta


def write_model(folder: Path, service: str) -> None:
    """Write a small service model of a later date than any."""
    model = {
        "version": "2.0",
        "metadata": {
            "apiVersion": "2999-01-01",
            "endpointPrefix": service,
            "jsonVersion": "1.0",
            "protocol": "json",
            "serviceFullName": service,
            "serviceId": service.upper(),
            "signatureVersion": "v4",
            "targetPrefix": service,
        },
        "operations": {},
        "shapes": {},
    }
    place = folder / service / "2999-01-01"
    place.mkdir(parents=True)
    (place / "service-2.json").write_text(json.dumps(model))


def test_the_users_own_models_are_found(env: dict[str, str], set_env: SetEnv, tmp_path: Path) -> None:
    """AWS_DATA_PATH still counts: for SWF's model, and for those of other services."""
    write_model(tmp_path / "models", "swf")
    write_model(tmp_path / "models", "quiz")
    set_env(**env, AWS_DATA_PATH=str(tmp_path / "models"))
    assert Session().client.meta.service_model.api_version == "2999-01-01"
    session = botocore.session.Session()
    use_fast_loader(session)
    assert {"quiz", "sts", "sso", "swf"} <= set(session.get_available_services())
    assert session.get_service_model("quiz").api_version == "2999-01-01"
    assert session.get_service_model("sts").service_name == "sts"
