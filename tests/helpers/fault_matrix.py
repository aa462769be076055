"""A transport that fails on purpose, in every phase of a call.

`python -m tests.helpers.fault_matrix` prints what each failure was taken for.

It stands in for SWF, for a proxy before it, and for the tunnel that a proxy opens, and records what it executed.
"""

import os
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import trustme

from swf_cli.client.call import call
from swf_cli.client.session import Session
from swf_cli.errors import SwfError
from tests.helpers.aws import CREDENTIALS

Transport = Literal["direct", "tls", "proxy", "tunnel"]
TRANSPORTS: Final[tuple[Transport, ...]] = ("direct", "tls", "proxy", "tunnel")

Meaning = Literal["never sent", "may have been executed", "transient", "refused", "ok"]

TOKEN = "AAAAKgAAAAEAAAAAAAAAA" + "x" * 555
OPERATIONS: Final[dict[str, dict[str, Any]]] = {
    "poll_for_activity_task": {"domain": "d", "taskList": {"name": "l"}},
    "respond_activity_task_completed": {"taskToken": TOKEN, "result": "r" * 32_768},
    "respond_activity_task_failed": {"taskToken": TOKEN, "reason": "why"},
    "respond_activity_task_canceled": {"taskToken": TOKEN},
    "record_activity_task_heartbeat": {"taskToken": TOKEN},
    "count_pending_activity_tasks": {"domain": "d", "taskList": {"name": "l"}},
}

_RESPONSE: Final = b'{"startedEventId": 0, "cancelRequested": false, "count": 1}'
_PAGE: Final = b"<html>something else</html>"
_OTHERS: Final = b'{"error": "login required"}'


@dataclass
class Wire:
    """One connection at the server's end."""

    connection: socket.socket
    executed: list[bool]

    def read_request(self) -> None:
        """Read a request, whole, and execute it."""
        self.read_head()
        self.executed.append(True)

    def read_head(self) -> bytes:
        """Read a request, and return its head."""
        return self.read()[0]

    def read(self) -> tuple[bytes, bytes]:
        """Read a request, and return its head and its body."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += self._receive()
        return head, body

    def _receive(self) -> bytes:
        data = self.connection.recv(65_536)
        if not data:
            raise ConnectionError("the client has gone")
        return data

    def respond(
        self, status: int = 200, body: bytes = _RESPONSE, length: int | None = None, headers: str = ""
    ) -> None:
        """Write a response."""
        size = len(body) if length is None else length
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {size}\r\nConnection: close\r\n{headers}\r\n"
        self.connection.sendall(head.encode() + body)

    def drip(self, data: bytes) -> None:
        """Write bytes one by one, slowly."""
        for byte in data:
            self.connection.sendall(bytes([byte]))
            time.sleep(0.02)

    def reset(self) -> None:
        """Break the connection with a RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        plain = self.connection.detach() if not isinstance(self.connection, ssl.SSLSocket) else None
        if plain is not None:
            os.close(plain)
        else:
            self.connection.close()


@dataclass(frozen=True)
class Phase:
    """A phase in which a call fails, and what that means."""

    name: str
    meaning: Meaning
    act: Callable[[Wire], None] = lambda wire: None
    """What happens once the connection is there."""

    before: Literal[
        "", "refuse", "close", "garbage", "old TLS", "untrusted", "other name", "407", "502", "503", "drip"
    ] = ""
    """What happens before that."""

    transports: tuple[Transport, ...] = TRANSPORTS


def _after(act: Callable[[Wire], None]) -> Callable[[Wire], None]:
    def run(wire: Wire) -> None:
        wire.read_request()
        act(wire)

    return run


def _status(status: int, headers: str = "", body: bytes = _PAGE) -> Callable[[Wire], None]:
    def run(wire: Wire) -> None:
        wire.read_head()
        wire.respond(status, body, headers=headers)

    return run


def _cut_head(wire: Wire) -> None:
    wire.connection.sendall(b"HTTP/1.1 200 X\r\nContent-Le")


_TLS: Final[tuple[Transport, ...]] = ("tls", "tunnel")
_FAULT: Final = b'{"__type": "com.amazonaws.swf.base.model#OperationNotPermittedFault", "message": "no"}'

PHASES: Final = (
    Phase("connection refused", "never sent", before="refuse"),
    Phase("tunnel refused: 407", "never sent", before="407", transports=("tunnel",)),
    Phase("tunnel refused: 502", "never sent", before="502", transports=("tunnel",)),
    Phase("tunnel refused: 503", "never sent", before="503", transports=("tunnel",)),
    Phase("handshake: closed", "never sent", before="close", transports=_TLS),
    Phase("handshake: garbage", "never sent", before="garbage", transports=_TLS),
    Phase("handshake: old version", "never sent", before="old TLS", transports=_TLS),
    Phase("handshake: untrusted", "never sent", before="untrusted", transports=_TLS),
    Phase("handshake: other name", "never sent", before="other name", transports=_TLS),
    Phase("request read, then FIN", "may have been executed", _after(lambda wire: None)),
    Phase("request read, then RST", "may have been executed", _after(Wire.reset)),
    Phase("response: head cut", "may have been executed", _after(_cut_head)),
    Phase("response: body cut", "may have been executed", _after(lambda w: w.respond(body=_RESPONSE[:9], length=60))),
    Phase("response: nothing", "may have been executed", _after(lambda w: w.respond(body=b"", length=60))),
    Phase("response: not JSON", "may have been executed", _after(lambda w: w.respond(body=_PAGE))),
    Phase("response: not UTF-8", "may have been executed", _after(lambda w: w.respond(body=b'{"a": "\xff"}'))),
    Phase("response: too short", "may have been executed", _after(lambda w: w.respond(length=9))),
    Phase("gateway: 502 page", "may have been executed", _after(lambda w: w.respond(502, _PAGE))),
    Phase("gateway: 504 page", "may have been executed", _after(lambda w: w.respond(504, _PAGE))),
    Phase("page: 302", "transient", _status(302, "Location: http://127.0.0.1:9/\r\n")),
    Phase("page: 307", "transient", _status(307, "Location: http://127.0.0.1:9/\r\n")),
    Phase("page: 403", "transient", _status(403)),
    Phase("page: 407", "transient", _status(407)),
    Phase("page: 408", "transient", _status(408, body=b"")),
    Phase("page: 413", "transient", _status(413)),
    Phase("page: 429", "transient", _status(429, "Retry-After: 7\r\n")),
    Phase("page: 503", "transient", _status(503, "Retry-After: 7\r\n")),
    Phase("AWS: 403", "refused", _status(403, body=_FAULT)),
    Phase("response: JSON of others", "may have been executed", _after(lambda w: w.respond(body=_OTHERS))),
    Phase("answered", "ok", _after(lambda w: w.respond(headers="Content-Type: application/x-amz-json-1.0\r\n"))),
)


@cache
def authority(name: str) -> trustme.CA:
    """Return a certificate authority, the same for each name."""
    return trustme.CA(organization_name=name)


@cache
def server_context(issuer: str, name: str) -> ssl.SSLContext:
    """Return the context of a server with this name, certified by this authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority(issuer).issue_cert(name).configure_cert(context)
    return context


@dataclass
class FaultServer:
    """Listens on loopback, and fails each connection in one phase."""

    transport: Transport
    phase: Phase
    executed: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        if self.phase.before == "refuse":
            self._listener.close()
            return
        name = "other.test" if self.phase.before == "other name" else "127.0.0.1"
        self._context = server_context("untrusted" if self.phase.before == "untrusted" else "trusted", name)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
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
            connection.settimeout(60)
            if self.transport == "tunnel" and not self._open_tunnel(connection):
                return
            if self.transport not in ("tls", "tunnel"):
                self.phase.act(Wire(connection, self.executed))
            elif self._fails_handshake(connection):
                return
            else:
                with self._context.wrap_socket(connection, server_side=True) as secured:
                    self.phase.act(Wire(secured, self.executed))

    def _open_tunnel(self, connection: socket.socket) -> bool:
        wire = Wire(connection, [])
        wire.read_head()
        if self.phase.before == "drip":
            wire.drip(b"HTTP/1.1 200 Connection established\r\n" + b"X: 1\r\n" * 20)
        if self.phase.before.isdigit():
            wire.respond(int(self.phase.before), _PAGE)
            return False
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return True

    def _fails_handshake(self, connection: socket.socket) -> bool:
        match self.phase.before:
            case "close":
                connection.recv(1)
                return True
            case "garbage":
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                return True
            case "old TLS":
                connection.recv(4_096)
                connection.sendall(b"\x15\x03\x01\x00\x02\x02\x46")  # alert: protocol version
                return True
        return False


@dataclass(frozen=True)
class Verdict:
    """What a call was taken for, and whether the server had executed it."""

    meaning: Meaning
    was_executed: bool
    retry_after: float = 0.0
    message: str = ""

    def is_right_for(self, phase: Phase) -> bool:
        """Return whether the call was judged as what it was."""
        return self.meaning == phase.meaning and not (self.was_executed and self.meaning in ("never sent", "refused"))


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set environment variables for a while; AWS's and those of proxies have no other values meanwhile."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def judge(transport: Transport, phase: Phase, operation: str, timeout: float = 60) -> Verdict:
    """Call an operation over a transport that fails in a phase, and return what the call is taken for.

    `timeout` is in seconds, for the connection and for the response.
    """
    server = FaultServer(transport, phase)
    with ExitStack() as stack:
        stack.callback(server.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = CREDENTIALS | {"AWS_REGION": "us-east-1", "HOME": str(folder)}
        here = f"127.0.0.1:{server.port}"
        scheme, host = {
            "direct": ("http", here),
            "tls": ("https", here),
            "proxy": ("http", "127.0.0.1:9"),
            "tunnel": ("https", "127.0.0.1:9"),
        }[transport]
        if transport in ("proxy", "tunnel"):
            settings[f"{scheme.upper()}_PROXY"] = f"http://{here}"
        if scheme == "https" and phase.before != "refuse":
            bundle = folder / "ca.pem"
            authority("trusted").cert_pem.write_to_path(str(bundle))
            settings["AWS_CA_BUNDLE"] = str(bundle)
        stack.enter_context(environment(**settings))
        session = Session(endpoint_url=f"{scheme}://{host}", poll_read_timeout=timeout, call_read_timeout=timeout)
        client = session.poll_client if operation.startswith("poll") else session.single_attempt_client
        try:
            call(client, operation, **OPERATIONS[operation])
        except SwfError as error:
            return Verdict(_meaning(error), bool(server.executed), error.retry_after, error.message)
        return Verdict("ok", bool(server.executed))


def _meaning(error: SwfError) -> Meaning:
    from swf_cli.errors import NetworkError
    from swf_cli.retry import TRANSIENT

    if error.possibly_executed:
        return "may have been executed"
    if isinstance(error, NetworkError):
        return "never sent"
    return "transient" if isinstance(error, TRANSIENT) else "refused"


def main() -> int:
    """Print the matrix; return the number of calls that were misjudged."""
    wrong = total = 0
    for phase in PHASES:
        cells = []
        for transport in TRANSPORTS:
            if transport not in phase.transports:
                cells.append("-")
                continue
            verdicts = [judge(transport, phase, operation) for operation in OPERATIONS]
            right = sum(verdict.is_right_for(phase) for verdict in verdicts)
            cells.append(f"{right}/{len(verdicts)}")
            wrong += len(verdicts) - right
            total += len(verdicts)
        print(f"{phase.name:26}{phase.meaning:26}" + "".join(f"{cell:>8}" for cell in cells))
    print(f"{total} calls ({len(OPERATIONS)} operations; {', '.join(TRANSPORTS)}), {wrong} misjudged")
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(), 1))
