"""What botocore's own connections do not offer: how far a request got, and limits on reuse and on responses.

A connection's timeout is for one read, so that a response which arrives byte by byte would never be given up.

botocore lets nobody choose its connection classes, so this replaces an attribute of its HTTP session that is not
public. Without that attribute everything still works, but how far a request got has to be guessed from its error.
"""

import io
import time
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, Final

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)

from ..errors import InvalidResponseError
from ..turns import waiting
from .attempt import attempt

if TYPE_CHECKING:
    import botocore.client

MAX_RESPONSE: Final = 16 * 1024 * 1024
"""Bytes; the body of a longer response is not read."""

MAX_IDLE: Final = 50.0
"""Seconds after which an idle connection is not used again: NAT gateways and firewalls drop it silently."""

_CHUNK: Final = 65_536  # bytes


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until a time after which reads raise TimeoutError."""

    def __init__(self, raw: io.RawIOBase, sock: Any, seconds: float) -> None:
        self._raw = raw
        self._sock = sock
        self._deadline = time.monotonic() + seconds
        self._is_first = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._is_first:  # it has the socket's own timeout, and waits for SWF
            self._is_first = False
            with waiting():
                return self._raw.readinto(buffer)
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    """Is read, from its status to the end of its body, within the time that its connection has for one read."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        seconds = sock.gettimeout()
        if seconds is not None:
            self.fp = io.BufferedReader(_DeadlineReader(self.fp.detach(), sock, seconds))


class _TrackedConnection:
    """Reports when the last byte of a request is about to be written. Mixed into botocore's connections.

    It writes headers and body at once, where urllib3 would write them one after the other: a system call and, with
    TLS, a record less.
    """

    response_class = _Response
    idle_since = 0.0
    _is_connecting = False
    _body = b""
    _unsent = 0
    _headers = b""

    def connect(self) -> None:
        self._is_connecting = True  # what is sent meanwhile opens a tunnel
        try:
            with waiting():
                super().connect()  # type: ignore[misc]
        finally:
            self._is_connecting = False

    def request(self, method: str, url: str, body: Any = None, *args: Any, **kwargs: Any) -> Any:
        attempt.is_sent = False
        self._body = body if isinstance(body, bytes) else b""
        self._unsent = -1  # the headers come first
        self._headers = b""
        return super().request(method, url, body, *args, **kwargs)  # type: ignore[misc]

    def send(self, data: Any) -> Any:
        if self.sock is None and self.auto_open:  # type: ignore[attr-defined]
            self.connect()
        if not self._is_connecting:
            if self._unsent < 0:
                self._unsent = 0 if data.endswith(self._body) else len(self._body)
                if self._unsent:
                    self._headers = data
                    return
            else:
                self._unsent -= len(data)
                data, self._headers = self._headers + data, b""
            if self._unsent <= 0:
                attempt.is_sent = True
        super().send(data)  # type: ignore[misc]
        if attempt.is_sent and attempt.on_sent is not None:
            attempt.on_sent()


class _HTTPConnection(_TrackedConnection, AWSHTTPConnection):  # type: ignore[misc]
    pass


class _HTTPSConnection(_TrackedConnection, AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _LimitedPool:
    """Does not reuse connections that were idle for long, and does not read endless responses."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)  # type: ignore[misc]
        if connection.idle_since and time.monotonic() - connection.idle_since > MAX_IDLE:
            connection.close()  # it connects again when used
        return connection

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since = time.monotonic()
        super()._put_conn(conn)  # type: ignore[misc]

    def urlopen(self, *args: Any, **kwargs: Any) -> Any:
        # botocore follows no redirect, but has urllib3 prepare for it, which fails for some.
        response = super().urlopen(*args, **kwargs | {"redirect": False})  # type: ignore[misc]
        stream = response.stream

        def limited_stream(*_: Any) -> Any:
            size = 0
            for chunk in stream(_CHUNK):
                size += len(chunk)
                if size > MAX_RESPONSE:
                    response.close()
                    message = f"the response is longer than {MAX_RESPONSE // 1024**2} MiB"
                    raise InvalidResponseError(message, possibly_executed=True)
                yield chunk

        response.stream = limited_stream
        return response


class _HTTPPool(_LimitedPool, AWSHTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(_LimitedPool, AWSHTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


def track_requests(client: "botocore.client.BaseClient") -> bool:
    """Make a new client use the connections of this module; return whether it does."""
    http_session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    classes = getattr(http_session, "_pool_classes_by_scheme", None)
    if not isinstance(classes, dict):
        return False
    classes.update({"http": _HTTPPool, "https": _HTTPSPool})
    return True
