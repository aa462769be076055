"""A loader that finds SWF's service model without searching every service's folder."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import botocore.client
    import botocore.session


def _use_fast_loader(session: "botocore.session.Session") -> None:
    """Find SWF's model without a search of every service's folder, which costs more than all else of a client.

    For swf only: profiles with roles or SSO call other services, and those go to botocore's own loader.
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
