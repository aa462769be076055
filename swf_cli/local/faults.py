"""SWF's faults, as they appear on the wire."""

from typing import Final

_NAMESPACES: Final = {
    "ValidationException": "com.amazon.coral.validate",
    "ThrottlingException": "com.amazon.coral.availability",
    "SerializationException": "com.amazon.coral.service",
    "UnknownOperationException": "com.amazon.coral.service",
    "RequestEntityTooLargeException": "com.amazon.coral.service",
    "AccessDeniedException": "com.amazon.coral.service",
    "MissingAuthenticationTokenException": "com.amazon.coral.service",
    "ServiceUnavailableException": "com.amazon.coral.availability",
    "UnrecognizedClientException": "com.amazon.coral.service",
}


class Fault(Exception):
    """A rejected call: the fault's name without its namespace, its message, and the HTTP status."""

    def __init__(self, name: str, message: str, status: int = 400) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message
        self.status = status

    @property
    def wire(self) -> dict[str, str]:
        """The response body."""
        namespace = _NAMESPACES.get(self.name, "com.amazonaws.swf.base.model")
        return {"__type": f"{namespace}#{self.name}", "message": self.message}


def unknown(what: str) -> Fault:
    """Return an UnknownResourceFault for a resource that does not exist or is closed."""
    return Fault("UnknownResourceFault", f"Unknown {what}")


def invalid(message: str) -> Fault:
    """Return a ValidationException."""
    return Fault("ValidationException", message)
