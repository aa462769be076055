"""A stand-in for the services that issue credentials: STS, SSO, a container's or an instance's endpoint."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


class Issuer:
    """A service on loopback that issues credentials: it records each request, and sends the same reply to all."""

    def __init__(self, reply: bytes, status: int = 200) -> None:
        self.reply, self.status = reply, status
        """What is sent next."""
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        """Path, headers and body of each request."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                issuer.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                reply = issuer.reply
                self.send_response(issuer.status)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_PUT = do_POST

            def log_message(self, *args: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)
