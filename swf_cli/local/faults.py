"""The faults of SWF, spelled as it spells them on the wire."""

from typing import Final

_NAMESPACES: Final = {
    "ValidationException": "com.amazon.coral.validate",
    "ThrottlingException": "com.amazon.coral.availability",
    "SerializationException": "com.amazon.coral.service",
    "UnknownOperationException": "com.amazon.coral.service",
    "RequestEntityTooLargeException": "com.amazon.coral.service",
}


class Fault(Exception):
    """A call that SWF refuses: the fault's name without its namespace, what it says, and the HTTP status."""

    def __init__(self, name: str, message: str, status: int = 400) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message
        self.status = status

    @property
    def wire(self) -> dict[str, str]:
        """The body of the answer."""
        namespace = _NAMESPACES.get(self.name, "com.amazonaws.swf.base.model")
        return {"__type": f"{namespace}#{self.name}", "message": self.message}


def unknown(what: str) -> Fault:
    """Make the fault for a thing that SWF does not know, or that is closed."""
    return Fault("UnknownResourceFault", f"Unknown {what}")


def invalid(message: str) -> Fault:
    """Make the fault for a request that breaks a rule of SWF's."""
    return Fault("ValidationException", message)
