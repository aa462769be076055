"""The HTTP proxy that a request goes through: whether its setting can be used, and what it did with a request."""

import os
import re
from typing import Any, Final

from ..errors import ConnectionSettingError
from .attempt import attempt

_MAX_PORT: Final = 65_535
_MAX_REASON: Final = 200  # characters

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HOST_AND_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[\w.-]*)(?::([0-9]*))?")
_TUNNEL_REFUSED: Final = re.compile(r"Tunnel connection failed: ([0-9]{3}.*)", re.DOTALL)


class Proxies:
    """The proxies of one session. botocore finds them when it creates a client, and reads them when it connects."""

    def __init__(self) -> None:
        self._checked: set[str] = set()

    def check(self, **event: Any) -> None:
        """Raise ConnectionSettingError for a request whose proxy can't be used (botocore's `before-send` event).

        Record what the request is for.
        """
        from urllib.parse import urlsplit

        parts = urlsplit(event["request"].url)
        origin = attempt.origin = f"{parts.scheme}://{parts.netloc}/"
        if origin in self._checked:
            return
        problem = explain_setting(origin)
        if problem is not None:
            raise problem
        self._checked.add(origin)


def explain_setting(url: str) -> ConnectionSettingError | None:
    """Return the error to raise if a URL is called through a proxy whose setting can't be used. It has no secret."""
    from urllib.parse import urlsplit

    proxy, name = _find_setting(url)
    reason = _find_problem(proxy) if proxy else None
    if reason is None:
        return None
    hint = f"set {name} to http://HOST:PORT, or add {urlsplit(url).hostname} to NO_PROXY"
    place = name if name in os.environ else "the system settings"
    return ConnectionSettingError(f"cannot use the proxy in {place}: {reason}", hint=hint)


def _find_setting(url: str) -> tuple[str, str]:
    """Return the proxy of requests to a URL, empty for none, and the variable that sets it."""
    from urllib.parse import urlsplit

    from botocore.utils import get_environ_proxies

    variable = f"{urlsplit(url).scheme or 'https'}_proxy"
    proxy = get_environ_proxies(url).get(variable.removesuffix("_proxy")) or ""
    # Lower case wins, as for Python.
    names = (name for name in sorted(os.environ, reverse=True) if name.lower() == variable)
    return proxy, next((name for name in names if os.environ[name] == proxy), variable)


def _find_problem(proxy: str) -> str | None:
    """Return why botocore can't use a proxy; None if it can. A URL without a scheme is one of HTTP."""
    from urllib.parse import unquote

    scheme = _SCHEME.match(proxy)
    if scheme and scheme[1] not in ("http", "https"):
        is_http = scheme[1].lower() in ("http", "https")
        return (
            "its scheme is not in lower case"
            if is_http
            else f"it is {scheme[1]}, and only HTTP proxies are supported"
        )
    if not scheme and proxy.startswith(("http:", "https:")):
        return "its scheme is not followed by //"
    rest = proxy[scheme.end() :] if scheme else proxy.removeprefix("//")
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    if "@" in rest[len(authority) :]:
        return r"in a user name and a password, / must be written as %2F, ? as %3F, # as %23, and \ as %5C"
    login, _, address = authority.rpartition("@")
    if not unquote(login).isascii():
        return "its user name or password is not ASCII"
    if re.search(r"[\x00-\x20\x7f]", proxy):
        return "it contains a blank or a control character"
    return _find_problem_of_address(address)


def _find_problem_of_address(address: str) -> str | None:
    found = _HOST_AND_PORT.fullmatch(address)
    if not found:
        return "its host or port is not valid"
    host, port = found.groups()
    if not host:
        return "it has no host"
    if port and int(port[:6]) > _MAX_PORT:
        return f"its port is over {_MAX_PORT}"
    try:
        host.encode("idna")
    except UnicodeError:
        return "its host is not valid"
    return None


def describe_failure(error: Exception) -> str | None:
    """Return what a proxy did with a request; None if an exception is not botocore's for a proxy that failed."""
    from urllib.parse import urlsplit

    values = getattr(error, "kwargs", {})
    if type(error).__name__ != "ProxyConnectionError" or "proxy_url" not in values:
        return None
    proxy = f"the proxy at {_read_address(values['proxy_url'])}"
    cause = values.get("error")
    cause = getattr(cause, "original_error", cause)
    refusal = _TUNNEL_REFUSED.search(str(cause))
    if refusal:
        reason = " ".join(refusal[1].split()).removesuffix(" None")  # of a response that gives none
        host = urlsplit(attempt.origin).hostname or "the endpoint"
        return f"{proxy} refused to connect to {host}: {reason[:_MAX_REASON]}"
    if not isinstance(cause, ConnectionError):
        origin = getattr(cause, "__cause__", None) or cause
        reason = getattr(origin, "strerror", None) or " ".join(str(origin).split())
        return f"cannot connect to {proxy}: {reason[:_MAX_REASON]}"
    return f"the connection through {proxy} was closed without a response"


def describe_silence(error: Exception) -> str | None:
    """Return that a proxy opened no tunnel in time; None if an exception has another cause."""
    if (
        type(error).__name__ != "ReadTimeoutError"
        or not (attempt.is_tracked and attempt.is_signed)
        or attempt.is_sent
    ):
        return None
    proxy, _ = _find_setting(attempt.origin)
    if not proxy:
        return None
    return f"the proxy at {_read_address(proxy)} did not connect to {_read_address(attempt.origin)} in time"


def advise(error: Exception) -> str | None:
    """Return what to do about a proxy that failed; None if there is nothing to advise."""
    refusal = _TUNNEL_REFUSED.search(str(getattr(error, "kwargs", {}).get("error")))
    return advise_login() if refusal and refusal[1].startswith("407") else None


def advise_login() -> str:
    """Return what to do about the proxy of this thread's current call, which responded with status 407."""
    proxy, name = _find_setting(attempt.origin)
    if "@" in proxy:
        return f"the proxy rejected the user name and password in {name}: correct them"
    return f"put user name and password into the proxy's URL: {name}=http://<user>:<password>@HOST:PORT"


def _read_address(url: str) -> str:
    """Return host and port of a proxy, without the user name and password that may precede them."""
    return re.split(r"[/?#]", re.sub(r"^(\w+:)?//", "", url).rpartition("@")[2], maxsplit=1)[0]
