"""An engine on a clock that stands still unless a test advances it, and a server."""

from collections.abc import Iterator

import pytest

from swf_cli.local.engine import Engine
from swf_cli.local.server import LocalServer
from tests.helpers.flow import Flow, over, still
from tests.helpers.wire import Wire, port_of


@pytest.fixture
def engine() -> Engine:
    """An engine that returns from an empty poll at once."""
    return Engine(still(), hold=0)


@pytest.fixture
def flow(engine: Engine) -> Flow:
    """A domain with its types."""
    return Flow(over(engine)).register()


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A server on a free port."""
    with LocalServer() as server:
        yield server


@pytest.fixture
def wire(server: LocalServer) -> Iterator[Wire]:
    """A connection to the server."""
    wire = Wire(port_of(server))
    yield wire
    wire.close()


@pytest.fixture
def wired(wire: Wire) -> Flow:
    """A domain with its types on the server."""
    return Flow(wire.call).register()
