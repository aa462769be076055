"""A loader that finds SWF's service model and endpoint without reading what botocore knows of every service."""

import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import botocore.loaders
    import botocore.session


def use_fast_loader(session: "botocore.session.Session", region: str) -> None:
    """Make a session find SWF's model and its endpoint in a region directly.

    botocore's search for the model costs more than the rest of creating a client, and reading its endpoints as much
    as a call. Other services, which profiles with roles or SSO call, are found by botocore's own loader.
    """
    from botocore.loaders import Loader

    class SwfLoader(Loader):
        def list_available_services(self, type_name: str) -> list[str]:
            return ["swf"]

    class FastLoader:
        def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
            loader = swf if service_name == "swf" else stock
            return loader.load_service_model(service_name, type_name, api_version)

        def load_data_with_path(self, name: str) -> Any:
            if name == "endpoints" and _has_common_endpoint(session, stock, region):
                return _common_endpoints(stock), stock.BUILTIN_DATA_PATH
            return stock.load_data_with_path(name)

        def __getattr__(self, name: str) -> Any:
            return getattr(stock, name)

    stock = session.get_component("data_loader")
    swf = SwfLoader(extra_search_paths=list(stock.search_paths), include_default_search_paths=False)
    session.register_component("data_loader", FastLoader())


def _has_common_endpoint(session: "botocore.session.Session", stock: "botocore.loaders.Loader", region: str) -> bool:
    """Return whether SWF's endpoint in a region has the name that most services' endpoints have."""
    if session.get_config_variable("use_fips_endpoint") or session.get_config_variable("use_dualstack_endpoint"):
        return False
    folders = (path for path in stock.search_paths if stock.file_loader.exists(f"{path}/endpoints"))
    if not stock.is_builtin_path(next(folders, "")):  # the user has a file of endpoints
        return False
    return any(re.match(partition["regionRegex"], region) for partition in _partitions(stock))


def _common_endpoints(stock: "botocore.loaders.Loader") -> dict[str, Any]:
    """Return botocore's endpoints, those of other services than SWF read only when needed."""

    @cache
    def services() -> dict[str, Any]:
        partitions = stock.load_data("endpoints")["partitions"]
        return {partition["partition"]: partition["services"] for partition in partitions}

    class Services(dict[str, Any]):
        def __init__(self, partition: str) -> None:
            self.partition = partition

        def get(self, name: str, default: Any = None) -> Any:
            return default if name == "swf" else services().get(self.partition, {}).get(name, default)

    return {
        "partitions": [
            {
                "partition": partition["id"],
                "dnsSuffix": partition["outputs"]["dnsSuffix"],
                "regionRegex": partition["regionRegex"],
                "regions": partition["regions"],
                "defaults": {
                    "hostname": "{service}.{region}.{dnsSuffix}",
                    "protocols": ["https"],
                    "signatureVersions": ["v4"],
                },
                "services": Services(partition["id"]),
            }
            for partition in _partitions(stock)
        ]
    }


def _partitions(stock: "botocore.loaders.Loader") -> list[dict[str, Any]]:
    partitions: list[dict[str, Any]] = stock.load_data("partitions")["partitions"]
    return partitions
