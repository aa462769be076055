"""The engine: operations by name."""

from swf_cli.local.engine import Engine
from tests.helpers.flow import refused


def test_unknown_operations_are_rejected_by_name(engine: Engine) -> None:
    """An operation that SWF does not have is named."""
    with refused("UnknownOperationException", "Nope is not an operation of SWF"):
        engine.call("Nope", {})
