"""An HTTP proxy before a local SWF: plain, or a tunnel whose TLS ends here. It may lose responses that SWF gave."""

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from tests.helpers.fault_matrix import Wire, server_context

_EXPIRED = {"__type": "com.amazon.coral.service#ExpiredTokenException", "message": "The token has expired"}


class ForwardProxy:
    """Forwards requests to the SWF at `target`, whatever their address; use it as a context manager.

    `loses` is called with the operation of each request that SWF has answered: the connection ends without the
    response if it returns true. With `valid_key`, requests that are signed with another access key ID are rejected as
    those of expired credentials are.
    """

    def __init__(
        self,
        target: str,
        loses: Callable[[str], bool] = lambda operation: False,
        valid_key: str | None = None,
    ) -> None:
        self.valid_key = valid_key
        self._target = urlsplit(target).netloc
        self._loses = loses
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._context: ssl.SSLContext = server_context("trusted", "swf.test")
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.operations: list[str] = []
        """Operations that were forwarded, in order."""
        self.rejected = 0
        """Requests that were rejected for their key."""

    def __enter__(self) -> "ForwardProxy":
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            head, body = Wire(connection, []).read()
            if not head.startswith(b"CONNECT "):
                self._forward(connection, head, body)
                return
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with self._context.wrap_socket(connection, server_side=True) as secured:
                self._forward(secured, *Wire(secured, []).read())

    def _forward(self, connection: socket.socket, head: bytes, body: bytes) -> None:
        if self.valid_key is not None and f"Credential={self.valid_key}/".encode() not in head:
            self.rejected += 1
            Wire(connection, []).respond(400, json.dumps(_EXPIRED).encode())
            return
        lines = head.decode().split("\r\n")[1:]
        headers = dict(line.split(": ", 1) for line in lines)
        operation = headers["X-Amz-Target"].partition(".")[2]
        swf = http.client.HTTPConnection(self._target)
        swf.request("POST", "/", body, {**headers, "Host": self._target})
        response = swf.getresponse()
        data = response.read()
        swf.close()
        self.operations.append(operation)
        if not self._loses(operation):
            Wire(connection, []).respond(response.status, data)
