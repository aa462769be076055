"""Addresses of services: which are valid, which are encrypted, and which are on this machine."""

import re
from typing import Final

_NOT_OF_AN_ENDPOINT: Final = re.compile(r"[\\@?#]")
"""What stands in no URL of an endpoint, and around what may be a secret."""


def check_endpoint_url(url: str) -> None:
    """Raise ValueError unless `url` is http or https and has a host: no user, no query, nothing ambiguous.

    In `http://a\\@b` the host is `b` for Python, and `a` for what connects to it.
    """
    from urllib.parse import urlsplit  # not at start-up

    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not re.fullmatch(r"[!-~]+", url) or _NOT_OF_AN_ENDPOINT.search(url):
        raise ValueError(explain_bad_url(url))


def explain_bad_url(url: str) -> str:
    """Return the message for a text that is not the URL of an endpoint; it repeats no text that may hold a secret."""
    example = "is not a URL such as http://127.0.0.1:5000"
    if _NOT_OF_AN_ENDPOINT.search(url):
        return f"the endpoint {example}: it has a user name, a query, a fragment or a backslash"
    return f"{url!r} {example}"


def is_protected_url(url: str) -> bool:
    """Return whether what is sent to a URL stays secret: it is https, or does not leave this machine."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Return whether an IP address or host name is on loopback."""
    from ipaddress import ip_address  # not at start-up

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
