"""A service that answers as a test tells it to."""

import json
import socket
import struct
import threading
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of the stub: a status and a body, or what goes wrong in its place."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    reset: bool = False
    """Reset the connection in place of a reply."""
    cut: bool = False
    """Announce the whole body and send half of it."""
    wait: threading.Event | None = None
    """Reply when this is set."""


class StubService:
    """An SWF on loopback that answers each operation with the replies it was given; the last one goes on."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        """Operation and arguments of each request, in order."""
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

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Say nothing of a client that went away: tests end clients while they wait."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        """Endpoint URL."""
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def reply(self, operation: str, body: Any = None, **how: Any) -> None:
        """Add a reply to an operation: `body` as JSON, bytes as they are, or None for an empty one."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self._replies[operation].append(Reply(body=data, **how))

    def fault(self, operation: str, name: str, message: str = "", *, status: int = 400) -> None:
        """Add a fault of SWF's to an operation, spelled as SWF spells it."""
        body = {"__type": f"com.amazonaws.swf.base.model#{name}", "message": message}
        self.reply(operation, body, status=status)

    def operations(self) -> list[str]:
        """Name the operations that were called, in order."""
        return [operation for operation, _ in self.requests]

    def _answer(self, handler: BaseHTTPRequestHandler, operation: str, arguments: dict[str, Any]) -> None:
        with self._lock:
            self.requests.append((operation, arguments))
            replies = self._replies[operation]
            reply = replies.pop(0) if len(replies) > 1 else replies[0] if replies else Reply(status=599)
        if reply.wait is not None:
            reply.wait.wait(60)
        if reply.reset:
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.connection.close()
            handler.close_connection = True
            return
        handler.send_response(reply.status)
        headers = {"Content-Type": "application/x-amz-json-1.0", "x-amzn-RequestId": "REQUEST", **dict(reply.headers)}
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(reply.body)))
        handler.end_headers()
        handler.wfile.write(reply.body[: len(reply.body) // 2] if reply.cut else reply.body)
        handler.close_connection = handler.close_connection or reply.cut
