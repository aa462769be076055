"""Calls to an SWF on the wire: one connection, no signature, no retries."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from swf_cli.local.server import LocalServer

HEADERS = {"Content-Type": "application/x-amz-json-1.0"}


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: status, headers and raw body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class Refused(Exception):
    """A fault."""

    def __init__(self, fault: dict[str, str]) -> None:
        super().__init__(fault)
        self.kind = fault["__type"]
        self.message = fault["message"]


def port_of(server: LocalServer) -> int:
    """Return the port of a server."""
    return int(server.url.rpartition(":")[2])


class Wire:
    """A persistent connection to a port of 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def send(self, target: str | None, body: bytes, **headers: str) -> Reply:
        """Send a request as it is, and return the response."""
        named = {} if target is None else {"X-Amz-Target": target}
        self.connection.request("POST", "/", body, {**HEADERS, **named, **headers})
        answer = self.connection.getresponse()
        return Reply(answer.status, dict(answer.getheaders()), answer.read())

    def call(self, operation: str, **args: Any) -> dict[str, Any]:
        """Call an operation. Raise Refused for a fault."""
        reply = self.send(f"SimpleWorkflowService.{operation}", json.dumps(args).encode())
        if reply.status != 200:
            raise Refused(reply.json)
        answer: dict[str, Any] = reply.json if reply.body else {}
        return answer

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


@contextmanager
def refused(kind: str, message: str) -> Iterator[None]:
    """Expect a fault with exactly this type and message."""
    with pytest.raises(Refused) as caught:
        yield
    assert (caught.value.kind, caught.value.message) == (kind, message)
