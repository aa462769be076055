"""Serve the local engine over SWF's protocol: awsJson1.0 over HTTP/1.1, on loopback by default."""

import json
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from ..addresses import is_loopback
from .access import AccessPolicy
from .clock import Clock
from .engine import Engine
from .faults import Fault
from .handler import Handler, HttpOptions
from .service_model import ServiceModel

Log = Callable[[str], None]


class LocalServer:
    """A local SWF at an address. Call `start` and `stop`, or use it as a context manager.

    Port 0 picks a free port. `hold` and `deliver_to_disconnected` are those of `Engine`. `log` receives one line for
    each call: operation, status, fault and duration, but neither arguments nor responses. Raise OSError if the
    address cannot be bound.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        hold: float = 60.0,
        deliver_to_disconnected: bool = True,
        clock: Clock | None = None,
        options: HttpOptions | None = None,
        log: Log | None = None,
    ) -> None:
        self.engine = Engine(clock, hold=hold, deliver_to_disconnected=deliver_to_disconnected)
        self._server = HttpServer(host, port, self.engine, options or HttpOptions(), log)
        self.host = self._server.host
        """What it listens on: the address that a name stands for."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - they include loopback
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._server.server_address[1]}"
        """Endpoint URL."""
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True),
            threading.Thread(target=self.engine.keep_time, daemon=True),
        ]

    def start(self) -> "LocalServer":
        """Start serving."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Stop serving: close every connection, also those of polls in flight, and free the address."""
        self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()
        self.engine.close()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> "LocalServer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class HttpServer(socketserver.ThreadingTCPServer):
    """Accepts connections, each served by a `Handler` in a thread of its own."""

    allow_reuse_address = True
    block_on_close = False
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, host: str, port: int, engine: Engine, options: HttpOptions, log: Log | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.engine = engine
        self.options = options
        self.model = ServiceModel()
        self.log = log
        self._connections: set[socket.socket] = set()
        super().__init__((host, port), Handler)
        self.host = host if is_loopback(host) else _read_address(str(self.server_address[0]))
        self.policy = AccessPolicy(self.host, self.server_address[1], options.access_key_id)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, or refuse it over the limit."""
        if len(self._connections) >= self.options.connections:
            _refuse(request)
            self.shutdown_request(request)
            return
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """Close every connection."""
        for connection in list(self._connections):
            self.shutdown_request(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect; any other error is a bug."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _read_address(text: str) -> str:
    """Return an IP address in its own version: IPv4 addresses can be written as IPv6."""
    address = ip_address(text.partition("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or text)


def _refuse(connection: socket.socket) -> None:
    """Report to a client that there are too many connections, if that takes no wait."""
    body = json.dumps(Fault("ServiceUnavailableException", "Too many connections").wire).encode()
    head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with suppress(OSError):
        connection.setblocking(False)
        connection.send(head.encode() + body)
