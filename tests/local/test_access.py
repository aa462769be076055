"""Which requests the server accepts."""

import json
from collections.abc import Iterator

import pytest

from swf_cli.local.access import new_access_key_id
from swf_cli.local.handler import HttpOptions
from swf_cli.local.server import LocalServer
from tests.helpers.flow import Flow
from tests.helpers.wire import Reply, Wire, port_of

DENIED = "com.amazon.coral.service#AccessDeniedException"


def signed(key: str, region: str = "us-east-1", service: str = "swf") -> dict[str, str]:
    """Return the Authorization header of a request, with a signature that nobody verifies."""
    scope = f"{key}/20260101/{region}/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}


def ask(wire: Wire, **headers: str) -> Reply:
    """List the domains."""
    return wire.send("SimpleWorkflowService.ListDomains", b'{"registrationStatus": "REGISTERED"}', **headers)


def fault(reply: Reply) -> tuple[int, str]:
    """Return the status and fault of a response."""
    return reply.status, reply.json["__type"].partition("#")[2]


class TestHost:
    """On loopback a request must name the server."""

    @pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
    def test_its_own_names(self, server: LocalServer, wire: Wire, name: str) -> None:
        """Every name of loopback is accepted, with the right port."""
        assert ask(wire, Host=f"{name}:{port_of(server)}").status == 200

    @pytest.mark.parametrize(
        "host",
        [
            "example.com:PORT",
            "localhost",
            "127.0.0.1:1",
            "127.0.0.1.example.com:PORT",
            "x@localhost:PORT",
            "",
            "[::1]",
        ],
    )
    def test_any_other(self, server: LocalServer, wire: Wire, host: str) -> None:
        """The name of another host, or another port, is rejected: a page's host name may resolve to loopback."""
        reply = ask(wire, Host=host.replace("PORT", str(port_of(server))))
        assert fault(reply) == (403, "AccessDeniedException")
        assert str(port_of(server)) in reply.json["message"]

    def test_none_or_two(self, server: LocalServer) -> None:
        """A request without a Host header, or with two, is rejected."""
        for hosts in ([], ["localhost", "localhost"]):
            wire = Wire(port_of(server))
            wire.connection.putrequest("POST", "/", skip_host=True)
            for host in hosts:
                wire.connection.putheader("Host", f"{host}:{port_of(server)}")
            wire.connection.putheader("Content-Length", "0")
            wire.connection.endheaders()
            response = wire.connection.getresponse()
            assert (response.status, response.read()[:1]) == (403, b"{")
            wire.close()

    def test_beyond_loopback(self) -> None:
        """On all addresses any name is accepted: the server does not know its own."""
        with LocalServer("0.0.0.0") as server:
            wire = Wire(port_of(server))
            assert ask(wire, Host="swf.example.com").status == 200
            wire.close()


class TestOrigin:
    """Web pages cannot call the server."""

    @pytest.mark.parametrize("origin", ["http://example.com", "null", "http://127.0.0.1:PORT", ""])
    @pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
    def test_any_is_rejected(self, host: str, origin: str) -> None:
        """A cross-origin request, and one of a page whose host name resolves to the server, has an Origin header."""
        with LocalServer(host) as server:
            wire = Wire(port_of(server))
            reply = ask(wire, Origin=origin.replace("PORT", str(port_of(server))))
            wire.close()
            assert fault(reply) == (403, "AccessDeniedException")
            assert server.engine.call("ListDomains", {"registrationStatus": "REGISTERED"}) == {"domainInfos": []}

    def test_a_simple_request(self, server: LocalServer, wire: Wire) -> None:
        """A form that a page posts without asking first does nothing, and no response allows the page to read it."""
        body = json.dumps({"name": "d", "workflowExecutionRetentionPeriodInDays": "1"}).encode()
        plain = {"Content-Type": "text/plain", "Origin": "http://example.com"}
        reply = wire.send("SimpleWorkflowService.RegisterDomain", body, **plain)
        assert reply.status == 403
        assert not [name for name in reply.headers if name.lower().startswith("access-control")]
        assert server.engine.call("ListDomains", {"registrationStatus": "REGISTERED"}) == {"domainInfos": []}


class TestAccessKey:
    """With an access key ID only its requests are accepted."""

    @pytest.fixture
    def guarded(self) -> Iterator[Wire]:
        """A connection to a server with the access key ID `KEY`."""
        with LocalServer(options=HttpOptions(access_key_id="KEY")) as server:
            wire = Wire(port_of(server))
            yield wire
            wire.close()

    def test_the_right_one(self, guarded: Wire) -> None:
        """Its requests are accepted; nobody verifies the signature."""
        assert ask(guarded, **signed("KEY")).status == 200

    @pytest.mark.parametrize("key", ["OTHER", "KEY2", "key", "KE"])
    def test_another(self, guarded: Wire, key: str) -> None:
        """Another access key ID is rejected as AWS rejects an unknown one."""
        assert fault(ask(guarded, **signed(key))) == (400, "UnrecognizedClientException")

    @pytest.mark.parametrize(
        "headers", [{}, {"Authorization": "KEY"}, signed("KEY", service="s3"), {"Authorization": "Credential=/KEY"}]
    )
    def test_none(self, guarded: Wire, headers: dict[str, str]) -> None:
        """A request that is not signed for SWF is rejected."""
        assert fault(ask(guarded, **headers)) == (400, "MissingAuthenticationTokenException")

    def test_without_one(self, wire: Wire) -> None:
        """By default any credentials are accepted, and none."""
        for headers in (signed("ANY"), {}):
            assert ask(wire, **headers).status == 200

    def test_random_ones(self) -> None:
        """Random access key IDs differ, and are valid in a credential scope."""
        keys = {new_access_key_id() for _ in range(10)}
        assert len(keys) == 10
        assert all(key.isalnum() and 16 <= len(key) <= 128 for key in keys)


class TestRegion:
    """The credential scope names the region."""

    def test_domains(self, wire: Wire) -> None:
        """A domain is in the region of the request that registered it, by default in us-east-1."""
        body = json.dumps({"name": "media", "workflowExecutionRetentionPeriodInDays": "1"}).encode()
        describe, named = "SimpleWorkflowService.DescribeDomain", b'{"name": "media"}'
        wire.send("SimpleWorkflowService.RegisterDomain", body, **signed("ANY", "eu-west-1"))
        reply = wire.send(describe, named, **signed("ANY", "eu-west-1"))
        assert reply.json["domainInfo"]["arn"] == "arn:aws:swf:eu-west-1:123456789012:/domain/media"
        for headers in ({}, signed("ANY"), signed("ANY", "../x")):
            assert fault(wire.send(describe, named, **headers)) == (400, "UnknownResourceFault")


class TestAdvance:
    """The operation that advances the clock, which SWF does not have."""

    TARGET = "SwfLocal.AdvanceClock"

    def test_it_advances(self, server: LocalServer, wire: Wire, wired: Flow) -> None:
        """Timeouts that become due have happened when it returns."""
        execution = wired.start(executionStartToCloseTimeout="600")
        before = server.engine.clock.now()
        reply = wire.send(self.TARGET, b'{"seconds": 600}')
        assert reply.json["now"] >= before + 599
        assert wired.describe(execution)["executionInfo"]["closeStatus"] == "TIMED_OUT"

    @pytest.mark.parametrize("seconds", ["-1", '"1"', "null", "true", "1e99", "[]"])
    def test_bad_values(self, wire: Wire, seconds: str) -> None:
        """Anything but a number of seconds up to ten years is rejected."""
        assert fault(wire.send(self.TARGET, f'{{"seconds": {seconds}}}'.encode())) == (400, "ValidationException")
        assert fault(wire.send(self.TARGET, b"{}")) == (400, "ValidationException")

    def test_it_is_guarded(self, wire: Wire) -> None:
        """The same checks apply as to SWF's operations."""
        assert wire.send(self.TARGET, b'{"seconds": 1}', Origin="http://example.com").status == 403
        with LocalServer(options=HttpOptions(access_key_id="KEY")) as guarded:
            other = Wire(port_of(guarded))
            assert fault(other.send(self.TARGET, b'{"seconds": 1}')) == (400, "MissingAuthenticationTokenException")
            assert other.send(self.TARGET, b'{"seconds": 1}', **signed("KEY")).status == 200
            other.close()
