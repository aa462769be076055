"""A proxy on loopback, in front of an SWF, that makes calls fail by operation and rule."""

import http.client
import json
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any, Final, Literal
from urllib.parse import urlsplit

Rule = Callable[[], bool]
"""Returns whether a call fails; asked for each call of its operation that no earlier rule has picked."""

_HEADERS: Final = ("Content-Type", "X-Amz-Target", "Authorization", "X-Amz-Date")


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a call fails."""

    kind: Literal["reset", "late", "cut", "reply", "hang"]

    acted: bool = False
    """Whether the service receives and executes the request before the call fails."""

    status: int = 0
    body: bytes = b""
    """What a `reply` sends instead of the service's response."""

    content_type: str = "application/x-amz-json-1.0"

    after: float = 0.0
    """Seconds after the request at which a `late` response is sent, at the earliest."""


def _refusal(status: int, name: str, message: str) -> Fault:
    return Fault("reply", status=status, body=json.dumps({"__type": name, "message": message}).encode())


RESET_BEFORE: Final = Fault("reset")
RESET_AFTER: Final = Fault("reset", acted=True)
CUT: Final = Fault("cut", acted=True)
"""Close the connection after half of the response's body, or of its first line if it has no body."""

THROTTLE: Final = _refusal(400, "com.amazon.coral.availability#ThrottlingException", "Rate exceeded")
LIMIT: Final = _refusal(400, "com.amazonaws.swf.base.model#LimitExceededFault", "At most 1,000 polls are held")
ERROR_500: Final = _refusal(500, "com.amazon.coral.service#InternalFailure", "We are sorry")
HTML_502: Final = Fault(
    "reply", status=502, body=b"<html><h1>502 Bad Gateway</h1>\r\n</html>", content_type="text/html"
)
HTML_502_AFTER: Final = Fault(
    "reply", acted=True, status=502, body=b"<html><h1>502 Bad Gateway</h1>\r\n</html>", content_type="text/html"
)
HANG_BEFORE: Final = Fault("hang")
HANG_AFTER: Final = Fault("hang", acted=True)


def late(seconds: float) -> Fault:
    """Return a fault that delays the response until at least this long after its request."""
    return Fault("late", acted=True, after=seconds)


def always() -> bool:
    """Pick every call."""
    return True


def nth(*numbers: int) -> Rule:
    """Pick the calls with these numbers, counted from 1."""
    seen = 0

    def picks() -> bool:
        nonlocal seen
        seen += 1
        return seen in numbers

    return picks


def chance(probability: float, random: Random) -> Rule:
    """Pick each call with this probability."""
    return lambda: random.random() < probability


class FaultyProxy:
    """A proxy in front of the SWF at `target`, as a context manager; `on` adds rules for calls that fail.

    Calls that no rule picks pass unchanged, over connections that are kept alive. If a client disconnects while the
    service holds its call, the service sees that too. `url` is the proxy's endpoint.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        assert parts.hostname is not None
        self.target = (parts.hostname, parts.port or 80)
        self.calls: list[tuple[str, Fault | None]] = []
        """Each call's operation and fault, in the order of their arrival."""
        self.ended = threading.Event()
        self._rules: list[tuple[str | None, Fault, Rule]] = []
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def on(self, operation: str | None, fault: Fault, when: Rule = always) -> None:
        """Add a rule for an operation, or for all (None); the first rule that picks a call decides."""
        with self._lock:
            self._rules.append((operation, fault, when))

    def struck(self, operation: str | None = None) -> int:
        """Return the number of calls that failed."""
        return sum(1 for name, fault in list(self.calls) if fault and operation in (None, name))

    def operations(self) -> list[str]:
        """Return the operations that were called, in order."""
        return [operation for operation, _ in list(self.calls)]

    def choose(self, operation: str) -> Fault | None:
        """Record a call, and return its fault."""
        with self._lock:
            rules = (fault for name, fault, when in self._rules if name in (None, operation) and when())
            fault = next(rules, None)
            self.calls.append((operation, fault))
            return fault

    def __enter__(self) -> "FaultyProxy":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, proxy: FaultyProxy) -> None:
        self.proxy = proxy
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Close every connection."""
        for connection in list(self.connections):
            self.shutdown_request(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that went away: tests end clients while they wait."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def wire(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {http.client.responses[self.status]}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, f"Content-Length: {len(self.body)}", "", ""]).encode() + self.body

    def half(self) -> bytes:
        data = self.wire()
        return data[: len(data) - (len(self.body) + 1) // 2] if self.body else data[:7]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._upstream: http.client.HTTPConnection | None = None

    def finish(self) -> None:
        self._close_upstream()
        super().finish()

    def do_POST(self) -> None:
        came = time.monotonic()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        proxy = self.server.proxy
        fault = proxy.choose(self.headers.get("X-Amz-Target", "").partition(".")[2])
        answer = self._forward(body) if fault is None or fault.acted else None
        if fault is None:
            assert answer is not None
            self.wfile.write(answer.wire())
            return
        match fault.kind:
            case "reset":
                self._reset()
            case "hang":
                self._wait_for_disconnect()
            case "reply":
                headers = {"Content-Type": fault.content_type, "x-amzn-RequestId": "PROXY"}
                self.wfile.write(_Answer(fault.status, headers, fault.body).wire())
            case "cut":
                assert answer is not None
                self.wfile.write(answer.half())
                self.close_connection = True
            case "late":
                assert answer is not None
                proxy.ended.wait(max(0.0, came + fault.after - time.monotonic()))
                self.wfile.write(answer.wire())

    def log_message(self, *args: Any) -> None:
        """Log nothing."""

    def _forward(self, body: bytes) -> _Answer:
        """Return the service's response. Raise ConnectionError if either side disconnects."""
        if self._upstream is None:
            self._upstream = http.client.HTTPConnection(*self.server.proxy.target)
            self._upstream.connect()
            self._upstream.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        headers = {name: self.headers[name] for name in _HEADERS if name in self.headers}
        try:
            self._upstream.request("POST", self.path, body, headers)
            self._await_response(self._upstream.sock)
            response = self._upstream.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            # One side disconnected: the other side sees the same.
            self._close_upstream()
            self._reset()
            raise ConnectionAbortedError from error
        kept = {"Content-Type", "x-amzn-RequestId", "Date"}
        return _Answer(response.status, {k: v for k, v in response.getheaders() if k in kept}, data)

    def _await_response(self, upstream: socket.socket) -> None:
        """Wait until the service responds. Raise ConnectionAbortedError if the client disconnects first."""
        while True:
            ready, _, _ = select.select([upstream, self.connection], [], [])
            if upstream in ready:
                return
            if not self.connection.recv(1, socket.MSG_PEEK):
                raise ConnectionAbortedError

    def _close_upstream(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None

    def _wait_for_disconnect(self) -> None:
        """Wait until the client disconnects, or the proxy ends."""
        self.close_connection = True
        while not self.server.proxy.ended.is_set():
            if select.select([self.connection], [], [], 0.05)[0]:
                return

    def _reset(self) -> None:
        """Reset the connection, as a router does that does not know it any more."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()  # it holds the connection too
        self.connection.close()
