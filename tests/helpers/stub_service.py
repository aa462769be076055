"""A service that responds as a test specifies."""

import json
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NOT_SWFS = (("Content-Type", "application/json"), ("x-amzn-RequestId", ""))
"""Headers of a response of something between us and SWF."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of the stub: a status and a body, or what goes wrong instead."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    """Sent beside those of SWF, or instead; an empty one is not sent."""
    reset: bool = False
    """Reset the connection instead of replying."""
    cut: bool = False
    """Announce the whole body and send half of it."""
    wait: threading.Event | None = None
    """Reply when this is set."""
    action: Callable[[], object] | None = None
    """Called before the reply is sent."""
    compute: Callable[[dict[str, Any]], Any] | None = None
    """Returns the body, as JSON, for the arguments of the request."""


class StubService:
    """An SWF on loopback that replies to each operation with its given replies in turn; the last one is repeated."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        """Operation and arguments of each request, in order."""
        self.access_keys: list[str] = []
        """Access key ID that signed each request, in order; empty if it was not signed."""
        self.peers: list[tuple[str, int]] = []
        """Address of the connection of each request, in order."""
        self._replies: dict[str, list[Reply]] = defaultdict(list)
        self._lock = threading.Lock()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                operation = self.headers["X-Amz-Target"].partition(".")[2]
                stub._answer(self, operation, json.loads(body))

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Ignore clients that went away: tests end clients while they wait."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        """Endpoint URL."""
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        stopping = threading.Thread(target=self._server.shutdown)
        stopping.start()
        with suppress(OSError):  # a connection wakes the server up, and it need not wait for its interval
            socket.create_connection(("127.0.0.1", self._server.server_port), timeout=1).close()
        stopping.join()
        self._server.server_close()

    def reset(self) -> None:
        """Forget all requests and replies."""
        with self._lock:
            self.requests.clear()
            self.access_keys.clear()
            self.peers.clear()
            self._replies.clear()

    def reply(self, operation: str, body: Any = None, **how: Any) -> None:
        """Add a reply to an operation: `body` as JSON, bytes as they are, or None for an empty one."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self._replies[operation].append(Reply(body=data, **how))

    def compute(self, operation: str, body: Callable[[dict[str, Any]], Any]) -> None:
        """Add a reply to an operation whose body depends on the arguments of the request."""
        self._replies[operation].append(Reply(compute=body))

    def fault(self, operation: str, name: str, message: str = "", *, status: int = 400, **how: Any) -> None:
        """Add a fault to an operation, spelled as SWF spells it."""
        body = {"__type": f"com.amazonaws.swf.base.model#{name}", "message": message}
        self.reply(operation, body, status=status, **how)

    def operations(self) -> list[str]:
        """Return the operations that were called, in order."""
        return [operation for operation, _ in self.requests]

    def _answer(self, handler: BaseHTTPRequestHandler, operation: str, arguments: dict[str, Any]) -> None:
        with self._lock:
            self.requests.append((operation, arguments))
            self.peers.append(handler.client_address)
            self.access_keys.append(
                handler.headers.get("Authorization", "").partition("Credential=")[2].partition("/")[0]
            )
            replies = self._replies[operation]
            reply = (
                replies.pop(0) if len(replies) > 1 else replies[0] if replies else Reply(status=400)
            )  # never retried
        if reply.compute is not None:
            reply = replace(reply, body=json.dumps(reply.compute(arguments)).encode())
        if reply.wait is not None:
            reply.wait.wait(60)
        if reply.action is not None:
            reply.action()
        if reply.reset:
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.connection.close()
            handler.close_connection = True
            return
        handler.send_response(reply.status)
        headers = {"Content-Type": "application/x-amz-json-1.0", "x-amzn-RequestId": "REQUEST", **dict(reply.headers)}
        for name, value in headers.items():
            if value:
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(reply.body)))
        handler.end_headers()
        handler.wfile.write(reply.body[: len(reply.body) // 2] if reply.cut else reply.body)
        handler.close_connection = handler.close_connection or reply.cut
