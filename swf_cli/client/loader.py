"""A loader that finds SWF's service model without searching the directory of every service."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import botocore.session


def use_fast_loader(session: "botocore.session.Session") -> None:
    """Make a session find SWF's model directly: botocore's search costs more than the rest of creating a client.

    Other services, which profiles with roles or SSO call, are found by botocore's own loader.
    """
    from botocore.loaders import Loader

    class SwfLoader(Loader):
        def list_available_services(self, type_name: str) -> list[str]:
            return ["swf"]

    class FastLoader:
        def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
            loader = swf if service_name == "swf" else stock
            return loader.load_service_model(service_name, type_name, api_version)

        def __getattr__(self, name: str) -> Any:
            return getattr(stock, name)

    stock = session.get_component("data_loader")
    swf = SwfLoader(extra_search_paths=list(stock.search_paths), include_default_search_paths=False)
    session.register_component("data_loader", FastLoader())
