"""Which HTTP requests the local SWF accepts, by their Host, Origin and Authorization headers."""

import re
import secrets
from email.message import Message
from typing import Final

from ..addresses import is_loopback
from .engine import DEFAULT_REGION
from .faults import Fault

_HTTP_PORT: Final = 80
_CREDENTIAL: Final = re.compile(r"Credential=([^/,\s]{1,128})/[0-9]{8}/([a-z0-9-]{1,32})/swf/aws4_request")


def new_access_key_id() -> str:
    """Return a random access key ID."""
    return f"LOCAL{secrets.token_hex(16).upper()}"


class AccessPolicy:
    """Accepts requests that no web page can send, and only those of one access key ID if there is one.

    On loopback a request must name the server in its Host header: a page whose host name resolves to loopback (DNS
    rebinding) sends its own.
    """

    def __init__(self, host: str, port: int, access_key_id: str | None) -> None:
        name = f"[{host}]" if ":" in host else host
        self._access_key_id = access_key_id
        self._address = f"{name}:{port}"
        self._hosts: frozenset[str] | None = None
        """The accepted Host headers; None for any."""
        if is_loopback(host):
            names = {name, "127.0.0.1", "localhost", "[::1]"}
            self._hosts = frozenset(f"{name}:{port}" for name in names) | (names if port == _HTTP_PORT else set())

    def check(self, headers: "Message[str, str]") -> str:
        """Return the region of a request that is accepted; else raise a fault."""
        hosts = headers.get_all("Host") or [""]
        if self._hosts is not None and (len(hosts) > 1 or hosts[0].lower() not in self._hosts):
            raise Fault("AccessDeniedException", f"This server is {self._address}, not {hosts[0][:256]!r}", 403)
        if "Origin" in headers:
            raise Fault("AccessDeniedException", "Requests of web pages are not accepted", 403)
        found = _CREDENTIAL.search(headers.get("Authorization", ""))
        if self._access_key_id is not None:
            if found is None:
                raise Fault("MissingAuthenticationTokenException", "Request is missing Authentication Token")
            if not secrets.compare_digest(found[1].encode(), self._access_key_id.encode()):
                raise Fault("UnrecognizedClientException", "The security token included in the request is invalid.")
        return found[2] if found else DEFAULT_REGION
