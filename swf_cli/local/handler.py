"""One client connection: read requests, call the engine, send responses."""

import io
import json
import secrets
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final

from ..addresses import is_loopback
from . import registry
from .engine import OPERATIONS
from .faults import Fault
from .quotas import RateLimits

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from .server import HttpServer

_TARGETS: Final = ("SimpleWorkflowService", "com.amazonaws.swf.service.model.SimpleWorkflowService")
"""The prefixes of X-Amz-Target, of which the second is that of older SDKs."""

_SETUP: Final = frozenset({*registry.OPERATIONS, "StartWorkflowExecution"})
"""Operations after which the connection is closed.

A program that sets things up and then forks workers, as simpleflow does, would share the connection between them. On
AWS, TLS ends such a connection; here responses would reach the wrong process.
"""

ADVANCE_TARGET: Final = "SwfLocal.AdvanceClock"
"""X-Amz-Target of the one operation that SWF does not have: move the clock forward by `seconds`."""
MAX_ADVANCE: Final = 10 * 365 * 24 * 60 * 60

_MAX_BODY: Final = 1024 * 1024
"""SWF's limit on the body of a request, in bytes."""
_MAX_HEAD: Final = 64 * 1024
_MAX_LINE: Final = 8 * 1024
_DISCARDED: Final = 16 * _MAX_BODY


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """Whom the server serves, and within which limits."""

    access_key_id: str | None = None
    """The access key ID that requests must be signed with; None for any, or none."""
    rate_limits: RateLimits | None = None
    """Throttles calls if given."""
    connections: int = 512
    """Concurrent connections."""
    request_timeout: float = 20.0
    """Seconds in which a request must arrive, and a response be read."""
    idle_timeout: float = 300.0
    """Seconds that a connection may wait for its next request."""


class Handler(BaseHTTPRequestHandler):
    """Serves one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "HttpServer"

    def setup(self) -> None:
        """Read with deadlines."""
        super().setup()
        self.rfile.close()
        self._reader = _TimedReader(self.connection)
        self.rfile = self._buffer = io.BufferedReader(self._reader)
        self._operation = "?"

    def handle_one_request(self) -> None:
        """Read a request and respond to it."""
        options = self.server.options
        try:
            self._reader.expect(options.idle_timeout)
            if not self._buffer.peek(1):
                raise ConnectionAbortedError
        except OSError:  # closed by the client, or idle for too long
            self.close_connection = True
            return
        started = time.perf_counter()
        self._operation = "?"
        try:
            self._reader.expect(options.request_timeout, _MAX_HEAD)
            self.raw_requestline = self.rfile.readline(_MAX_LINE + 1)
            if len(self.raw_requestline) > _MAX_LINE:
                raise _bad_request("The request line is too long", HTTPStatus.REQUEST_URI_TOO_LONG)
            if self.parse_request():
                self._respond(started)
        except TimeoutError:
            self._reject(_bad_request("The request did not arrive in time", HTTPStatus.REQUEST_TIMEOUT), started)
        except Fault as fault:
            self._reject(fault, started)

    def _respond(self, started: float) -> None:
        if self.command != "POST":
            raise _bad_request("The method must be POST", HTTPStatus.METHOD_NOT_ALLOWED)
        region = self.server.policy.check(self.headers)
        body = self._read_body()
        try:
            response = self._call(region, body)
        except Fault as fault:
            self._fail(fault, started)
        else:
            self._send(HTTPStatus.OK, response)
            self._log(HTTPStatus.OK, "", started)

    def _read_body(self) -> bytes:
        lengths = self.headers.get_all("Content-Length") or [""]
        length = lengths[0]
        if len(lengths) > 1 or "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            raise _bad_request("A request needs one Content-Length, and no Transfer-Encoding")
        if len(length) > len(str(_MAX_BODY)) or int(length) > _MAX_BODY:
            raise Fault(
                "RequestEntityTooLargeException",
                "A request may have at most 1 MB",
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            )
        self._reader.lift_limit()
        return self.rfile.read(int(length))

    def _call(self, region: str, body: bytes) -> Any:
        target = self.headers.get("X-Amz-Target", "")
        prefix, _, operation = target.rpartition(".")
        if target != ADVANCE_TARGET and (operation not in OPERATIONS or prefix not in _TARGETS):
            name = operation if prefix in _TARGETS else target
            raise Fault("UnknownOperationException", f"{name[:256]!r} is not an operation of SWF")
        self._operation = operation
        self.close_connection = self.close_connection or operation in _SETUP
        try:
            args = json.loads(body, parse_constant=_reject_constant)
        except (ValueError, RecursionError):
            raise _bad_request("The request's body is not JSON") from None
        if not isinstance(args, dict):
            raise _bad_request("Start of structure or map expected")
        if target == ADVANCE_TARGET:
            return self._advance(args)
        self.server.model.validate(operation, args)
        if limits := self.server.options.rate_limits:
            limits.take(operation, self.server.engine.clock.now())
        self.connection.settimeout(None)  # `_is_connected` must not wait
        return self.server.engine.call(operation, args, region=region, is_connected=self._is_connected)

    def _advance(self, args: dict[str, Any]) -> Any:
        if not is_loopback(self.client_address[0]):
            raise Fault("AccessDeniedException", "Only clients on loopback can advance the clock", 403)
        seconds = args.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_ADVANCE:
            raise Fault("ValidationException", f"seconds must be a number from 0 to {MAX_ADVANCE}")
        self.server.engine.advance(seconds)
        return {"now": round(self.server.engine.clock.now(), 3)}

    def _is_connected(self) -> bool:
        """Return whether the client is still connected."""
        try:
            return bool(self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Reject a request that `parse_request` cannot read."""
        status = code if code < HTTPStatus.INTERNAL_SERVER_ERROR else HTTPStatus.BAD_REQUEST
        self._reject(_bad_request((message or "The request is not HTTP/1.1")[:256], status), time.perf_counter())

    def _reject(self, fault: Fault, started: float) -> None:
        """Respond with a fault to a request that was not read whole, and close the connection."""
        self.close_connection = True
        self._fail(fault, started)
        self._discard()

    def _fail(self, fault: Fault, started: float) -> None:
        self._send(fault.status, fault.wire)
        self._log(fault.status, fault.name, started)

    def _send(self, status: int, response: Any) -> None:
        body = json.dumps(response, separators=(",", ":")).encode() if response else b""
        head = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            f"x-amzn-RequestId: {secrets.token_hex(16)}",
            f"Date: {self.date_time_string(int(self.server.engine.clock.now()))}",
            "Content-Type: application/x-amz-json-1.0",
            f"Content-Length: {len(body)}",
            *(["Connection: close"] if self.close_connection else []),
        ]
        self.connection.settimeout(self.server.options.request_timeout)
        self.wfile.write("\r\n".join([*head, "", ""]).encode() + body)

    def _discard(self) -> None:
        """Read what a client still sends for up to a second: closed at once, it would not see the response."""
        self._reader.expect(1.0, _DISCARDED)
        with suppress(OSError, Fault):
            self.connection.shutdown(socket.SHUT_WR)
            while self._buffer.read1(_MAX_BODY):
                pass

    def _log(self, status: int, fault: str, started: float) -> None:
        if self.server.log:
            duration = f"{(time.perf_counter() - started) * 1000:.1f} ms"
            self.server.log(" ".join(filter(None, (self._operation, str(int(status)), fault, duration))))

    def log_message(self, *args: Any) -> None:
        """Log nothing here: `_log` does."""


class _TimedReader(io.RawIOBase):
    """Reads from a socket until a deadline, however slowly data arrives, and up to a limit."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._deadline = 0.0
        self._left = 0.0

    def expect(self, seconds: float, limit: float = float("inf")) -> None:
        """Allow the client this many seconds and bytes from now on."""
        self._deadline = time.monotonic() + seconds
        self._left = limit

    def lift_limit(self) -> None:
        """Allow any number of bytes until the deadline."""
        self._left = float("inf")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read some bytes. Raise TimeoutError at the deadline, and a fault over the limit."""
        if self._left <= 0:
            raise _bad_request("The request's headers are too long", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._connection.settimeout(remaining)
        count = self._connection.recv_into(buffer)
        self._left -= count
        return count


def _bad_request(message: str, status: int = HTTPStatus.BAD_REQUEST) -> Fault:
    return Fault("SerializationException", message, status)


def _reject_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
