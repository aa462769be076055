"""Finding SWF's service model and endpoint."""

import json
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.session
import pytest
from botocore.exceptions import BotoCoreError
from botocore.regions import EndpointResolver

from swf_cli.client.loader import use_fast_loader
from swf_cli.client.session import Session
from tests.client.conftest import SetEnv, count
from tests.helpers.aws import SETTINGS
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
    use_fast_loader(session, "us-east-1")
    assert {"quiz", "sts", "sso", "swf"} <= set(session.get_available_services())
    assert session.get_service_model("quiz").api_version == "2999-01-01"
    assert session.get_service_model("sts").service_name == "sts"


UNKNOWN_REGIONS = ["eu-west-9", "mars-north-1"]  # a region to come, and none


class Sent(Exception):
    """A request is about to be sent, and is not."""


def describe(session: botocore.session.Session, service: str, region: str) -> tuple[str, ...]:
    """Return what a session finds out about a service in a region: also where a call is sent, and how signed."""
    client: Any = session.create_client(service, region_name=region)

    def stop(request: Any, **_: object) -> None:
        raise Sent(request.url, request.headers["Authorization"].decode().split("/", 2)[2].split(",")[0])

    client.meta.events.register("before-send", stop)
    with pytest.raises(Sent) as sent:
        client.get_caller_identity() if service == "sts" else client.list_domains(registrationStatus="REGISTERED")
    return (client.meta.endpoint_url, client.meta.region_name, client.meta.partition, *sent.value.args)


def outcome(session: botocore.session.Session, service: str, region: str) -> object:
    """Return what a session finds out, or what it raises."""
    try:
        return describe(session, service, region)
    except BotoCoreError as error:
        return repr(error)


FIPS, DUAL_STACK = {"AWS_USE_FIPS_ENDPOINT": "true"}, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}
SOME_REGIONS = ["us-east-1", "eu-south-2", "cn-north-1", "us-gov-west-1", "us-iso-east-1", "aws-global"]


@pytest.mark.parametrize(
    ("service", "setting", "regions"),
    [
        ("swf", {}, [*SOME_REGIONS, *UNKNOWN_REGIONS]),
        ("swf", FIPS, SOME_REGIONS),
        ("swf", DUAL_STACK, SOME_REGIONS),
        ("swf", FIPS | DUAL_STACK, SOME_REGIONS),
        ("sts", {}, SOME_REGIONS),
        ("sts", FIPS, SOME_REGIONS),
    ],
)
def test_endpoints_are_as_botocore_finds_them(
    service: str, setting: dict[str, str], regions: list[str], set_env: SetEnv
) -> None:
    """SWF's, and those of a service that credentials may come from."""
    set_env(**SETTINGS, **setting)
    stock = botocore.session.Session()
    for region in regions:
        fast = botocore.session.Session()
        fast.register_component("data_loader", stock.get_component("data_loader"))  # it has read the files
        use_fast_loader(fast, region)
        assert outcome(fast, service, region) == outcome(stock, service, region)


def test_endpoints_in_every_region() -> None:
    """They are SWF's own, whether botocore lists it in a region or not."""
    fast, stock = botocore.session.Session(), botocore.loaders.create_loader()
    known = stock.load_data("endpoints")

    def find(endpoints: Any, region: str) -> tuple[str, ...]:
        endpoint: Any = EndpointResolver(endpoints).construct_endpoint("swf", region)
        signed_for = endpoint.get("credentialScope", {"region": endpoint["endpointName"]})["region"]
        return (endpoint["hostname"], endpoint["dnsSuffix"], endpoint["partition"], signed_for)

    for partition in known["partitions"]:
        for region in {**partition["regions"], **partition["services"].get("swf", {"endpoints": {}})["endpoints"]}:
            fast.register_component("data_loader", stock)
            use_fast_loader(fast, region)
            found, _ = fast.get_component("data_loader").load_data_with_path("endpoints")
            assert find(found, region) == find(known, region)


def test_the_endpoints_of_every_service_are_not_read(set_env: SetEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are botocore's largest file."""
    read: list[str] = []
    load = botocore.loaders.JSONFileLoader.load_file

    def record(loader: botocore.loaders.JSONFileLoader, path: str) -> object:
        read.append(Path(path).name)
        return load(loader, path)

    set_env(**SETTINGS)
    monkeypatch.setattr(botocore.loaders.JSONFileLoader, "load_file", record)
    assert Session(region="eu-west-1").client.meta.endpoint_url == "https://swf.eu-west-1.amazonaws.com"
    assert "partitions" in read
    assert "endpoints" not in read


def test_the_users_own_endpoints_are_found(set_env: SetEnv, tmp_path: Path) -> None:
    """A file of endpoints in AWS_DATA_PATH still counts."""
    endpoints = json.loads(Path(botocore.loaders.Loader.BUILTIN_DATA_PATH, "endpoints.json").read_text())
    endpoints["partitions"][0]["services"]["swf"]["endpoints"]["eu-west-1"] = {"hostname": "swf.example.org"}
    (tmp_path / "endpoints.json").write_text(json.dumps(endpoints))
    set_env(**SETTINGS, AWS_DATA_PATH=str(tmp_path))
    assert Session(region="eu-west-1").client.meta.endpoint_url == "https://swf.example.org"
