"""SWF's protocol over the local engine: awsJson1.0 over HTTP/1.1, on loopback unless told otherwise."""

import json
import secrets
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from .clock import Clock
from .engine import OPERATIONS, Engine
from .faults import Fault
from .service_model import ServiceModel

_TARGET: Final = "SimpleWorkflowService."

_MOST_BYTES: Final = 1024 * 1024
"""The longest body of a request: SWF's limit."""

_TOO_LARGE: Final = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

Log = Callable[[str], None]


class LocalServer:
    """A local SWF at an address: `start` it, use `url`, `stop` it; or use it as a context manager.

    `port` 0 takes a free one. `hold` is how long a poll is held, in seconds. `deliver_to_disconnected`: whether
    a held poll whose client has gone is given a task all the same, as SWF is reported to do.
    `quotas`: whether SWF's request
    rates hold. `log` is given one line for each call: operation, status, fault, time; no arguments and no answers.
    Raises OSError, when it is made, if the address can't be had.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        hold: float = 60.0,
        deliver_to_disconnected: bool = True,
        quotas: bool = False,
        clock: Clock | None = None,
        log: Log | None = None,
    ) -> None:
        self.engine = Engine(clock, hold=hold, deliver_to_disconnected=deliver_to_disconnected, quotas=quotas)
        self._server = _Server(host, port, self.engine, log)
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - whoever listens on all, is here too
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._server.server_address[1]}"
        """Endpoint URL."""
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True),
            threading.Thread(target=self.engine.keep_time, daemon=True),
        ]

    def start(self) -> "LocalServer":
        """Begin to serve."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """End: the address is free again, polls that are held get no answer, and every connection is closed."""
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()
        self.engine.close()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> "LocalServer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    block_on_close = False
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, host: str, port: int, engine: Engine, log: Log | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.engine = engine
        self.model = ServiceModel()
        self.log = log
        self._connections: set[socket.socket] = set()
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Close every connection."""
        for connection in list(self._connections):
            self.shutdown_request(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away; any other failure is ours."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        started = time.perf_counter()
        target = self.headers.get("X-Amz-Target", "")
        operation = target.removeprefix(_TARGET)
        known = operation in OPERATIONS and target.startswith(_TARGET)
        status, name = 200, ""
        try:
            body = self._read()
            if not known:
                raise Fault("UnknownOperationException", f"{operation[:256]!r} is not supported by this local SWF")
            answer: Any = self._call(operation, body)
        except Fault as fault:
            status, name, answer = fault.status, fault.name, fault.wire
        self._send(status, json.dumps(answer, separators=(",", ":")).encode() if answer else b"")
        if status == _TOO_LARGE:
            self._discard()
        if self.server.log:
            passed = (time.perf_counter() - started) * 1000
            words = [operation if known else "?", str(status), name, f"{passed:.1f} ms"]
            self.server.log(" ".join(word for word in words if word))

    def log_message(self, *args: Any) -> None:
        """Leave the log to `do_POST`."""

    def _read(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self.close_connection = True
            raise Fault("SerializationException", "A request needs its Content-Length")
        if int(length) > _MOST_BYTES:
            self.close_connection = True
            raise Fault("RequestEntityTooLargeException", "A request may have 1 MB at most", _TOO_LARGE)
        return self.rfile.read(int(length))

    def _discard(self) -> None:
        """Read on for a while: a client that is still sending would see a broken connection and no answer."""
        self.connection.settimeout(1)
        left = 16 * _MOST_BYTES
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while left > 0 and (data := self.rfile.read1(_MOST_BYTES)):
                left -= len(data)

    def _call(self, operation: str, body: bytes) -> Any:
        try:
            args = json.loads(body, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise Fault("SerializationException", "The request's body is not JSON") from None
        if not isinstance(args, dict):
            raise Fault("SerializationException", "Start of structure or map expected")
        self.server.model.check(operation, args)
        return self.server.engine.call(operation, args, alive=self._alive)

    def _alive(self) -> bool:
        """Tell whether the client is still there: it is unless it closed its end, or the connection broke."""
        try:
            return bool(self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _send(self, status: int, body: bytes) -> None:
        head = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            f"x-amzn-RequestId: {secrets.token_hex(16)}",
            f"Date: {self.date_time_string(int(self.server.engine.clock.now()))}",
            "Content-Type: application/x-amz-json-1.0",
            f"Content-Length: {len(body)}",
            *(["Connection: close"] if self.close_connection else []),
        ]
        self.wfile.write("\r\n".join([*head, "", ""]).encode() + body)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
