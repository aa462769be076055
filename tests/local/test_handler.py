"""Requests and responses, as clients see them on the wire."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from swf_cli.local.handler import HttpOptions
from swf_cli.local.server import LocalServer
from tests.helpers.cli import wait_until
from tests.helpers.flow import Flow, decision, over, over_client
from tests.helpers.wire import Refused, Wire, port_of, refused

VALIDATION = "com.amazon.coral.validate#ValidationException"
SERIALIZATION = "com.amazon.coral.service#SerializationException"


def head(server: LocalServer, method: str = "POST") -> bytes:
    """Return the beginning of a request to a server."""
    return f"{method} / HTTP/1.1\r\nHost: 127.0.0.1:{port_of(server)}\r\n".encode()


class TestProtocol:
    """awsJson1.0 over HTTP/1.1."""

    def test_an_answer(self, wire: Wire, wired: Flow) -> None:
        """A response has SWF's headers, and times in epoch seconds."""
        reply = wire.send("SimpleWorkflowService.DescribeDomain", b'{"name": "media"}')
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "application/x-amz-json-1.0"
        assert len(reply.headers["x-amzn-RequestId"]) >= 32
        assert "GMT" in reply.headers["Date"]
        execution = wired.start()
        assert abs(wired.describe(execution)["executionInfo"]["startTimestamp"] - time.time()) < 60

    def test_an_operation_that_answers_nothing(self, wire: Wire) -> None:
        """The body is empty, as recorded from the real service."""
        args = {"name": "d", "workflowExecutionRetentionPeriodInDays": "1"}
        reply = wire.send("SimpleWorkflowService.RegisterDomain", json.dumps(args).encode())
        assert (reply.status, reply.body) == (200, b"")

    def test_connections(self, wire: Wire, wired: Flow) -> None:
        """Calls and faults reuse one connection, but for operations that set things up: a program may fork then."""
        wired.start()
        wired.pending()
        used = wire.connection.sock
        for _ in range(3):
            with refused(VALIDATION, "Invalid token"):
                wire.call("RespondActivityTaskCompleted", taskToken="t")
            wired.pending()
        assert wire.connection.sock is used
        wired.start("other")
        assert wire.connection.sock is None

    def test_botocore_understands_it(self, server: LocalServer) -> None:
        """A botocore client completes a task, and sees faults by name."""
        import botocore.session
        from botocore.exceptions import ClientError

        client: Any = botocore.session.Session().create_client(
            "swf",
            region_name="us-east-1",
            endpoint_url=server.url,
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="secret",
        )
        flow = Flow(over_client(client)).register()
        flow.schedule(input="hi")
        task = flow.poll()
        assert task["input"] == "hi"
        flow.call("RespondActivityTaskCompleted", taskToken=task["taskToken"], result="ok")
        with pytest.raises(ClientError) as caught:
            flow.call("RespondActivityTaskCompleted", taskToken=task["taskToken"], result="ok")
        error = caught.value.response["Error"]
        assert (error["Code"], error["Message"]) == ("UnknownResourceFault", "Unknown activity, scheduledEventId = 5")
        client.close()

    def test_texts_of_every_kind(self, wired: Flow) -> None:
        """Input and result are returned unchanged, whatever characters they contain."""
        text = 'é\u0000\u2028\U0001f600\ud800"\\</script>' * 1000
        execution = wired.schedule(input=text)
        task = wired.poll()
        assert task["input"] == text
        wired.call("RespondActivityTaskCompleted", taskToken=task["taskToken"], result=text)
        assert wired.last(execution, "ActivityTaskCompleted")["result"] == text


class TestBadRequests:
    """Malformed requests are rejected as SWF rejects them, and the server keeps serving."""

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"no", b"\xff\xfe", b'{"name": NaN}', b"[" * 100_000, b'{"name": "x"} {}'],
        ids=["empty", "cut", "word", "not-utf-8", "nan", "deep", "two"],
    )
    def test_not_json(self, wire: Wire, body: bytes) -> None:
        """A body that is not JSON is a SerializationException."""
        reply = wire.send("SimpleWorkflowService.DescribeDomain", body)
        assert (reply.status, reply.json["__type"]) == (400, SERIALIZATION)
        assert wire.call("ListDomains", registrationStatus="REGISTERED") == {"domainInfos": []}

    @pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"1"])
    def test_not_an_object(self, wire: Wire, body: bytes) -> None:
        """A body that is not a JSON object is a SerializationException."""
        reply = wire.send("SimpleWorkflowService.DescribeDomain", body)
        fault = {"__type": SERIALIZATION, "message": "Start of structure or map expected"}
        assert (reply.status, reply.json) == (400, fault)

    @pytest.mark.parametrize(
        ("operation", "args"),
        [
            ("DescribeDomain", {"name": 1}),
            ("DescribeDomain", {"name": ["x"]}),
            ("DescribeDomain", {"name": True}),
            ("PollForActivityTask", {"domain": "d", "taskList": "l"}),
            ("ListDomains", {"registrationStatus": "REGISTERED", "maximumPageSize": "1"}),
            ("ListDomains", {"registrationStatus": "REGISTERED", "maximumPageSize": True}),
            ("ListDomains", {"registrationStatus": "REGISTERED", "maximumPageSize": 1.5}),
            ("ListDomains", {"registrationStatus": "REGISTERED", "reverseOrder": 1}),
            ("ListOpenWorkflowExecutions", {"domain": "d", "startTimeFilter": {"oldestDate": "today"}}),
            ("RespondDecisionTaskCompleted", {"taskToken": "t", "decisions": {}}),
        ],
    )
    def test_wrong_types(self, wire: Wire, operation: str, args: dict[str, Any]) -> None:
        """A value of the wrong type is a SerializationException."""
        with pytest.raises(Refused) as caught:
            wire.call(operation, **args)
        assert caught.value.kind == SERIALIZATION
        assert "can not be converted to a" in caught.value.message

    @pytest.mark.parametrize(
        ("operation", "args", "value", "rule"),
        [
            ("DescribeDomain", {}, "null at 'name'", "Member must not be null"),
            ("DescribeDomain", {"name": None}, "null at 'name'", "Member must not be null"),
            ("DescribeDomain", {"name": ""}, "'' at 'name'", "Member must have length greater than or equal to 1"),
            (
                "DescribeDomain",
                {"name": "x" * 257},
                "of 257 characters at 'name'",
                "Member must have length less than or equal to 256",
            ),
            (
                "CountPendingActivityTasks",
                {"domain": "d", "taskList": {}},
                "null at 'taskList.name'",
                "Member must not be null",
            ),
            (
                "ListDomains",
                {"registrationStatus": "X"},
                "'X' at 'registrationStatus'",
                "Member must satisfy enum value set: [REGISTERED, DEPRECATED]",
            ),
            (
                "ListDomains",
                {"registrationStatus": "DEPRECATED", "maximumPageSize": 1001},
                "'1001' at 'maximumPageSize'",
                "Member must have value less than or equal to 1000",
            ),
            (
                "RegisterActivityType",
                {"domain": "d", "name": "n", "version": "1", "defaultTaskHeartbeatTimeout": "1h"},
                "'1h' at 'defaultTaskHeartbeatTimeout'",
                "Member must be whole seconds or NONE",
            ),
            (
                "RegisterWorkflowType",
                {"domain": "d", "name": "n", "version": "1", "defaultExecutionStartToCloseTimeout": "NONE"},
                "'NONE' at 'defaultExecutionStartToCloseTimeout'",
                "Member must be whole seconds",
            ),
            (
                "RegisterActivityType",
                {"domain": "d", "name": "n", "version": "1", "defaultTaskPriority": "high"},
                "'high' at 'defaultTaskPriority'",
                "Member must be a whole number",
            ),
            (
                "StartWorkflowExecution",
                {
                    "domain": "d",
                    "workflowId": "w",
                    "workflowType": {"name": "n", "version": "1"},
                    "tagList": ["t"] * 6,
                },
                f"'{['t'] * 6}' at 'tagList'",
                "Member must have length less than or equal to 5",
            ),
            (
                "RespondDecisionTaskCompleted",
                {"taskToken": "t", "decisions": [decision("RecordMarker", markerName="m"), decision("RecordMarker")]},
                "null at 'decisions.2.member.recordMarkerDecisionAttributes.markerName'",
                "Member must not be null",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) and " " not in value else "",
    )
    def test_against_the_service_model(
        self, wire: Wire, operation: str, args: dict[str, Any], value: str, rule: str
    ) -> None:
        """A value that the service model does not allow is a ValidationException, in SWF's words."""
        with refused(VALIDATION, f"1 validation error detected: Value {value} failed to satisfy constraint: {rule}"):
            wire.call(operation, **args)

    def test_unknown_decisions(self, wire: Wire) -> None:
        """A decision that SWF does not have is rejected by name."""
        with pytest.raises(Refused) as caught:
            wire.call("RespondDecisionTaskCompleted", taskToken="t", decisions=[{"decisionType": "Nope"}])
        assert caught.value.kind == VALIDATION
        assert "Value 'Nope' at 'decisions.1.member.decisionType'" in caught.value.message

    def test_everything_that_is_wrong_is_said_at_once(self, wire: Wire) -> None:
        """All errors are in one message."""
        with refused(
            VALIDATION,
            "2 validation errors detected: "
            "Value null at 'domain' failed to satisfy constraint: Member must not be null; "
            "Value null at 'taskList' failed to satisfy constraint: Member must not be null",
        ):
            wire.call("PollForActivityTask")

    @pytest.mark.parametrize(
        ("target", "named"),
        [
            (None, "''"),
            ("SimpleWorkflowService.Nope", "'Nope'"),
            ("ListDomains", "'ListDomains'"),
            ("DynamoDB_20120810.ListTables", "'DynamoDB_20120810.ListTables'"),
        ],
    )
    def test_unknown_operations(self, wire: Wire, target: str | None, named: str) -> None:
        """A missing or unknown operation, or one of another service, is rejected by name."""
        reply = wire.send(target, b"{}")
        kind = "com.amazon.coral.service#UnknownOperationException"
        assert (reply.status, reply.json) == (
            400,
            {"__type": kind, "message": f"{named} is not an operation of SWF"},
        )

    def test_over_a_megabyte(self, wire: Wire) -> None:
        """A request over SWF's limit is rejected and its connection closed; one just under it is accepted."""
        under = b'{"name": "d"' + b" " * (1024 * 1024 - 13) + b"}"
        reply = wire.send("SimpleWorkflowService.DescribeDomain", under)
        assert reply.json["message"] == "Unknown domain: d"
        for more in (1, 8 * 1024 * 1024):
            reply = wire.send("SimpleWorkflowService.DescribeDomain", under + b" " * more)
            assert reply.status == 413
            assert reply.json["__type"] == "com.amazon.coral.service#RequestEntityTooLargeException"
            assert reply.headers["Connection"] == "close"

    def test_a_length_that_is_announced_only(self, server: LocalServer) -> None:
        """A request with a huge Content-Length is rejected before it is read."""
        with socket.create_connection(("127.0.0.1", port_of(server)), 5) as plain:
            plain.sendall(head(server) + b"Content-Length: 999999999999\r\n\r\n")
            assert plain.recv(100).startswith(b"HTTP/1.1 413 ")

    @pytest.mark.parametrize(
        "header",
        [
            b"",
            b"Content-Length: -1\r\n",
            b"Content-Length: 0x2\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Content-Length: 2\r\nContent-Length: 3\r\n",
            b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        ],
    )
    def test_no_valid_length(self, server: LocalServer, header: bytes) -> None:
        """A request without a valid length is rejected and its connection closed."""
        with socket.create_connection(("127.0.0.1", port_of(server)), 5) as plain:
            plain.sendall(head(server) + header + b"\r\n")
            answer = b"".join(iter(lambda: plain.recv(1000), b""))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert SERIALIZATION.encode() in answer

    def test_a_client_that_hangs_up_in_the_middle(self, server: LocalServer, wire: Wire) -> None:
        """The server keeps serving, and prints nothing on stderr."""
        for begun in (b"", b"POST / HT", head(server) + b"Content-Length: 9\r\n\r\n{", b"\x16\x03\x01\x00"):
            with socket.create_connection(("127.0.0.1", port_of(server)), 5) as plain:
                plain.sendall(begun)
        assert wire.call("ListDomains", registrationStatus="REGISTERED") == {"domainInfos": []}


def exchange(server: LocalServer, *parts: bytes) -> bytes:
    """Send bytes on a new connection, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", port_of(server)), 10) as plain:
        for part in parts:
            plain.sendall(part)
        return b"".join(iter(lambda: plain.recv(65_536), b""))


class TestLimits:
    """Requests that are malformed, too long or too slow get a 4xx response, and nothing is printed on stderr."""

    @pytest.fixture(autouse=True)
    def _silent(self, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
        yield
        assert capfd.readouterr().err == ""

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (b"POST /" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n", 414),
            (b"POST / HTTP/1.1\r\n" + b"X-Header: y\r\n" * 200 + b"\r\n", 431),
            (b"POST / HTTP/1.1\r\nX-Header: " + b"y" * 200_000 + b"\r\n\r\n", 431),
            (b"POST / HTTP/1.1\r\n" + (b"X-Header: " + b"y" * 6_000 + b"\r\n") * 50 + b"\r\n", 431),
            (b"POST / HTTP/9.9\r\n\r\n", 400),
            (b"POST / HTTP/x\r\n\r\n", 400),
            (b"POST\r\n\r\n", 400),
            (b"\xff\xfe\x00 / HTTP/1.1\r\n\r\n", 405),
            (b"GET / HTTP/1.1\r\n\r\n", 405),
            (b"OPTIONS / HTTP/1.1\r\nOrigin: http://example.com\r\n\r\n", 405),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        ],
        ids=["line", "headers", "header", "head", "version", "no-version", "word", "binary", "get", "options", "tls"],
    )
    def test_malformed(self, server: LocalServer, wire: Wire, request_: bytes, status: int) -> None:
        """A 4xx response with a fault, and the connection is closed."""
        response = exchange(server, request_)
        assert response.startswith(f"HTTP/1.1 {status} ".encode()), response
        assert json.loads(response.partition(b"\r\n\r\n")[2])["__type"] == SERIALIZATION
        assert b"\r\nConnection: close\r\n" in response
        assert wire.call("ListDomains", registrationStatus="REGISTERED") == {"domainInfos": []}

    @pytest.mark.parametrize("digits", [20, 5_000])
    def test_a_long_number(self, server: LocalServer, digits: int) -> None:
        """A Content-Length of any number of digits is too large."""
        response = exchange(server, head(server) + b"Content-Length: " + b"9" * digits + b"\r\n\r\n")
        assert response.startswith(b"HTTP/1.1 413 ")

    @pytest.mark.parametrize(
        "drips",
        [
            [b"P", b"O", b"S", b"T"],
            [b"POST / HTTP/1.1\r\n", b"X-A: b\r\n"],
            [b"POST / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: 1000\r\n\r\n", b"{", b" "],
        ],
        ids=["line", "headers", "body"],
    )
    def test_a_client_that_drips(self, drips: list[bytes]) -> None:
        """A request must arrive within its time, however regularly its bytes come."""
        with LocalServer(options=HttpOptions(request_timeout=0.3)) as server:
            port = str(port_of(server)).encode()
            with socket.create_connection(("127.0.0.1", port_of(server)), 10) as plain:
                plain.sendall(drips[0].replace(b"PORT", port))
                ended = threading.Event()

                def drip() -> None:
                    with suppress(OSError):
                        while not ended.wait(0.05):
                            plain.sendall(drips[-1])

                dripping = threading.Thread(target=drip)
                dripping.start()
                response = b"".join(iter(lambda: plain.recv(1000), b""))
                ended.set()
                dripping.join()
        assert response.startswith(b"HTTP/1.1 408 ")

    def test_an_idle_connection(self) -> None:
        """A connection that waits too long for its next request is closed without a response."""
        with LocalServer(options=HttpOptions(idle_timeout=0.2)) as server:
            assert exchange(server) == b""
            target = b"X-Amz-Target: SimpleWorkflowService.RecordActivityTaskHeartbeat\r\n"
            response = exchange(server, head(server) + target + b"Content-Length: 2\r\n\r\n{}")
        assert response.startswith(b"HTTP/1.1 400 ")
        assert b"\r\nConnection: close\r\n" not in response

    def test_a_client_that_does_not_read(self) -> None:
        """A response that is not read in time ends its connection, and frees its thread."""
        with LocalServer(options=HttpOptions(request_timeout=0.3)) as server:
            flow = Flow(over(server.engine)).register()
            execution = flow.start(input="x" * 32_000)
            flow.decide(*(decision("RecordMarker", markerName=str(n), details="x" * 32_000) for n in range(200)))
            args = json.dumps({"domain": flow.domain, "execution": execution}).encode()
            before = set(threading.enumerate())  # some of which may end
            with socket.socket() as plain:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                plain.connect(("127.0.0.1", port_of(server)))
                plain.sendall(
                    head(server)
                    + b"X-Amz-Target: SimpleWorkflowService.GetWorkflowExecutionHistory\r\n"
                    + f"Content-Length: {len(args)}\r\n\r\n".encode()
                    + args
                )
                wait_until(lambda: set(threading.enumerate()) - before)
                wait_until(lambda: not set(threading.enumerate()) - before)

    def test_too_many_connections(self) -> None:
        """A connection over the limit is refused with 503; once another is closed, there is space again."""
        with LocalServer(options=HttpOptions(connections=3)) as server:
            wires = [Wire(port_of(server)) for _ in range(3)]
            for wire in wires:
                assert wire.send("SimpleWorkflowService.RecordActivityTaskHeartbeat", b"{}").status == 400
            response = exchange(server)
            assert response.startswith(b"HTTP/1.1 503 ")
            assert b"ServiceUnavailableException" in response
            wires.pop().close()
            wait_until(lambda: not is_refused(server))
            for wire in wires:
                wire.close()

    def test_the_defaults(self) -> None:
        """512 connections, and 20 s for a request."""
        assert HttpOptions() == HttpOptions(None, None, connections=512, request_timeout=20.0, idle_timeout=300.0)


def is_refused(server: LocalServer) -> bool:
    """Return whether a new connection is refused."""
    wire = Wire(port_of(server))
    try:
        return wire.send("SimpleWorkflowService.RecordActivityTaskHeartbeat", b"{}").status == 503
    except ConnectionError:  # closed before the request was read
        return True
    finally:
        wire.close()
