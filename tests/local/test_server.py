"""The server: SWF's protocol, as clients see it on the wire."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from swf_cli.local.server import LocalServer
from tests.helpers.cli import wait_until
from tests.helpers.flow import Flow, activity, decision
from tests.helpers.wire import Refused, Wire, refused

VALIDATION = "com.amazon.coral.validate#ValidationException"
SERIALIZATION = "com.amazon.coral.service#SerializationException"


def port_of(server: LocalServer) -> int:
    """Give the port of a server."""
    return int(server.url.rpartition(":")[2])


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A server on a free port."""
    with LocalServer() as server:
        yield server


@pytest.fixture
def wire(server: LocalServer) -> Iterator[Wire]:
    """A connection to it."""
    wire = Wire(port_of(server))
    yield wire
    wire.close()


@pytest.fixture
def flow(wire: Wire) -> Flow:
    """The domain and its types, on that server."""
    return Flow(wire.call).register()


def held_polls(server: LocalServer) -> int:
    """Count the polls that a server holds."""
    domains = server.engine._service.domains.values()
    return sum(len(each.polls) for domain in domains for each in list(domain.lists.values()))


def poll_in_thread(server: LocalServer) -> "tuple[ThreadPoolExecutor, Any]":
    """Begin a poll on a connection of its own, and give it once the server holds it."""
    pool = ThreadPoolExecutor(1)
    before = held_polls(server)

    def call() -> dict[str, Any]:
        wire = Wire(port_of(server))
        try:
            return Flow(wire.call).poll()
        finally:
            wire.close()

    poll = pool.submit(call)
    wait_until(lambda: held_polls(server) > before)
    return pool, poll


class TestProtocol:
    """awsJson1.0 over HTTP/1.1."""

    def test_an_answer(self, wire: Wire, flow: Flow) -> None:
        """It has SWF's headers, and times in epoch seconds."""
        reply = wire.send("SimpleWorkflowService.DescribeDomain", b'{"name": "media"}')
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "application/x-amz-json-1.0"
        assert len(reply.headers["x-amzn-RequestId"]) >= 32
        assert "GMT" in reply.headers["Date"]
        execution = flow.start()
        assert abs(flow.describe(execution)["executionInfo"]["startTimestamp"] - time.time()) < 60

    def test_an_operation_that_answers_nothing(self, wire: Wire) -> None:
        """Its body is empty, as the real service's is."""
        args = {"name": "d", "workflowExecutionRetentionPeriodInDays": "1"}
        reply = wire.send("SimpleWorkflowService.RegisterDomain", json.dumps(args).encode())
        assert (reply.status, reply.body) == (200, b"")

    def test_a_connection_is_kept(self, wire: Wire, flow: Flow) -> None:
        """Calls and faults, one after the other, use the same connection."""
        wire.call("ListDomains", registrationStatus="REGISTERED")
        used = wire.connection.sock
        for _ in range(3):
            with refused("com.amazonaws.swf.base.model#DomainAlreadyExistsFault", "media"):
                wire.call("RegisterDomain", name="media", workflowExecutionRetentionPeriodInDays="1")
            wire.call("ListDomains", registrationStatus="REGISTERED")
        assert wire.connection.sock is used

    def test_botocore_understands_it(self, server: LocalServer) -> None:
        """An ordinary client runs the main path, and sees faults under their names."""
        import botocore.session
        from botocore.exceptions import ClientError

        client: Any = botocore.session.Session().create_client(
            "swf",
            region_name="us-east-1",
            endpoint_url=server.url,
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="secret",
        )
        flow = Flow(lambda operation, **args: client._make_api_call(operation, args)).register()
        flow.schedule(input="hi")
        task = flow.poll()
        assert task["input"] == "hi"
        flow.call("RespondActivityTaskCompleted", taskToken=task["taskToken"], result="ok")
        with pytest.raises(ClientError) as caught:
            flow.call("RespondActivityTaskCompleted", taskToken=task["taskToken"], result="ok")
        error = caught.value.response["Error"]
        assert (error["Code"], error["Message"]) == ("UnknownResourceFault", "Unknown activity, scheduledEventId = 5")
        client.close()

    def test_texts_of_every_kind(self, flow: Flow) -> None:
        """Input, result and details come out as they went in, whatever characters they hold."""
        text = 'é\u0000\u2028\U0001f600\ud800"\\</script>' * 1000
        execution = flow.schedule(input=text)
        task = flow.poll()
        assert task["input"] == text
        flow.call("RespondActivityTaskCompleted", taskToken=task["taskToken"], result=text)
        assert flow.last(execution, "ActivityTaskCompleted")["result"] == text


class TestBadRequests:
    """What is not a request of SWF's is refused as SWF refuses it, and the server goes on."""

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"no", b"\xff\xfe", b'{"name": NaN}', b"[" * 100_000, b'{"name": "x"} {}'],
        ids=["empty", "cut", "word", "not-utf-8", "nan", "deep", "two"],
    )
    def test_not_json(self, wire: Wire, body: bytes) -> None:
        """A body that is not JSON."""
        reply = wire.send("SimpleWorkflowService.DescribeDomain", body)
        assert (reply.status, reply.json["__type"]) == (400, SERIALIZATION)
        assert wire.call("ListDomains", registrationStatus="REGISTERED") == {"domainInfos": []}

    @pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"1"])
    def test_not_an_object(self, wire: Wire, body: bytes) -> None:
        """JSON, and no object."""
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
        """A value of another type than the service model's."""
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
        """A value that the service model does not allow is a ValidationException, worded as SWF words it."""
        with refused(VALIDATION, f"1 validation error detected: Value {value} failed to satisfy constraint: {rule}"):
            wire.call(operation, **args)

    def test_unknown_decisions(self, wire: Wire) -> None:
        """A decision that SWF does not have is refused by name."""
        with pytest.raises(Refused) as caught:
            wire.call("RespondDecisionTaskCompleted", taskToken="t", decisions=[{"decisionType": "Nope"}])
        assert caught.value.kind == VALIDATION
        assert "Value 'Nope' at 'decisions.1.member.decisionType'" in caught.value.message

    def test_everything_that_is_wrong_is_said_at_once(self, wire: Wire) -> None:
        """Two errors, one message."""
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
            ("SimpleWorkflowService.DeleteActivityType", "'DeleteActivityType'"),
            ("ListDomains", "'ListDomains'"),
            ("DynamoDB_20120810.ListTables", "'DynamoDB_20120810.ListTables'"),
        ],
    )
    def test_unknown_operations(self, wire: Wire, target: str | None, named: str) -> None:
        """An operation that is missing, made up, not supported, or another service's is refused by name."""
        reply = wire.send(target, b"{}")
        kind = "com.amazon.coral.service#UnknownOperationException"
        assert (reply.status, reply.json) == (
            400,
            {"__type": kind, "message": f"{named} is not supported by this local SWF"},
        )

    def test_over_a_megabyte(self, wire: Wire) -> None:
        """A request over SWF's limit is refused and the connection closed; one just under it is read."""
        under = b'{"name": "d"' + b" " * (1024 * 1024 - 13) + b"}"
        reply = wire.send("SimpleWorkflowService.DescribeDomain", under)
        assert reply.json["message"] == "Unknown domain: d"
        for more in (1, 8 * 1024 * 1024):
            reply = wire.send("SimpleWorkflowService.DescribeDomain", under + b" " * more)
            assert reply.status == 413
            assert reply.json["__type"] == "com.amazon.coral.service#RequestEntityTooLargeException"
            assert reply.headers["Connection"] == "close"

    def test_a_length_that_is_announced_only(self, server: LocalServer) -> None:
        """A request that claims to be huge is refused before it is read."""
        with socket.create_connection(("127.0.0.1", port_of(server)), 5) as plain:
            plain.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n")
            assert plain.recv(100).startswith(b"HTTP/1.1 413 ")

    @pytest.mark.parametrize("header", [b"", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n"])
    def test_no_length(self, server: LocalServer, header: bytes) -> None:
        """A request whose length is not known is refused and the connection closed."""
        with socket.create_connection(("127.0.0.1", port_of(server)), 5) as plain:
            plain.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n")
            answer = b"".join(iter(lambda: plain.recv(1000), b""))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert SERIALIZATION.encode() in answer

    def test_a_made_up_page_token(self, wire: Wire) -> None:
        """It is a ValidationException."""
        with refused(VALIDATION, "Invalid token"):
            wire.call("ListDomains", registrationStatus="REGISTERED", nextPageToken="made up")

    def test_a_client_that_hangs_up_in_the_middle(self, server: LocalServer, wire: Wire) -> None:
        """The server goes on, and says nothing on stderr."""
        for begun in (b"", b"POST / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{", b"\x16\x03\x01\x00"):
            with socket.create_connection(("127.0.0.1", port_of(server)), 5) as plain:
                plain.sendall(begun)
        assert wire.call("ListDomains", registrationStatus="REGISTERED") == {"domainInfos": []}


class TestLongPolls:
    """Polls are held, and answered when there is something."""

    def test_answered_as_soon_as_a_task_comes(self, server: LocalServer, flow: Flow) -> None:
        """A held poll is answered right after the task was scheduled, not at some next look."""
        pool, poll = poll_in_thread(server)
        execution = flow.start()
        scheduled = time.perf_counter()
        flow.decide(activity())
        task = poll.result(5)
        passed = time.perf_counter() - scheduled
        pool.shutdown()
        assert task["workflowExecution"] == execution
        assert passed < 0.5  # 50 ms is what the benchmark shows: this says only that nothing looks once a second

    def test_empty_after_its_time(self, server: LocalServer, flow: Flow) -> None:
        """A poll is held for 60 s; then its answer is what captures of the real service show, and no error."""
        wire = Wire(port_of(server))
        with ThreadPoolExecutor(1) as pool:
            args = json.dumps({"domain": "media", "taskList": {"name": "work"}}).encode()
            poll = pool.submit(wire.send, "SimpleWorkflowService.PollForActivityTask", args)
            wait_until(lambda: held_polls(server) == 1)
            server.engine.advance(59)
            assert not poll.done()
            server.engine.advance(1)
            reply = poll.result(5)
        wire.close()
        assert (reply.status, reply.body) == (200, b'{"startedEventId":0}')

    def test_a_hold_of_its_own(self) -> None:
        """How long a poll is held can be told; real time passes by itself."""
        with LocalServer(hold=0.1) as server:
            wire = Wire(port_of(server))
            flow = Flow(wire.call).register()
            began = time.monotonic()
            assert flow.poll_decision() == {"previousStartedEventId": 0, "startedEventId": 0}
            assert time.monotonic() - began >= 0.1
            wire.close()

    @pytest.mark.parametrize("deliver_to_disconnected", [True, False])
    def test_a_client_that_has_gone(self, deliver_to_disconnected: bool) -> None:
        """Its poll takes a task with it, as the real service's is reported to; with the switch off the task stays."""
        with LocalServer(deliver_to_disconnected=deliver_to_disconnected) as server:
            wire = Wire(port_of(server))
            flow = Flow(wire.call).register()
            gone = Wire(port_of(server))
            body = json.dumps({"domain": "media", "taskList": {"name": "work"}, "identity": "gone"})
            gone.connection.request("POST", "/", body, {"X-Amz-Target": "SimpleWorkflowService.PollForActivityTask"})
            wait_until(lambda: held_polls(server) == 1)
            gone.close()
            execution = flow.schedule()
            if deliver_to_disconnected:
                assert flow.pending() == 0
                assert flow.last(execution, "ActivityTaskStarted") == {"identity": "gone", "scheduledEventId": 5}
            else:
                assert flow.pending() == 1
                assert flow.poll()["workflowExecution"] == execution
            wire.close()

    def test_each_task_once(self) -> None:
        """Eight clients at once take and complete 200 tasks, none twice and none missing."""
        with LocalServer(hold=0.1) as server:
            main = Wire(port_of(server))
            flow = Flow(main.call).register()
            flow.start()
            flow.decide(*(activity(str(n)) for n in range(200)))

            def work() -> list[str]:
                wire = Wire(port_of(server))
                taken = []
                while "taskToken" in (task := Flow(wire.call).poll()):
                    taken.append(task["activityId"])
                    wire.call("RespondActivityTaskCompleted", taskToken=task["taskToken"])
                wire.close()
                return taken

            with ThreadPoolExecutor(8) as pool:
                workers = [pool.submit(work) for _ in range(8)]
                taken = Counter(each for worker in workers for each in worker.result(20))
            main.close()
        assert taken == Counter(str(n) for n in range(200))

    def test_a_hundred_clients_at_once(self, server: LocalServer, flow: Flow) -> None:
        """All are held, and all are answered; the server answers others meanwhile."""
        wires = [Wire(port_of(server)) for _ in range(100)]
        body = json.dumps({"domain": "media", "taskList": {"name": "work"}})
        headers = {"X-Amz-Target": "SimpleWorkflowService.PollForActivityTask"}
        for wire in wires:
            wire.connection.request("POST", "/", body, headers)
        wait_until(lambda: held_polls(server) == 100)
        flow.start()
        flow.decide(*(activity(str(n)) for n in range(100)))
        taken = {json.loads(wire.connection.getresponse().read())["activityId"] for wire in wires}
        assert taken == {str(n) for n in range(100)}
        for wire in wires:
            wire.close()


class TestLife:
    """Starting, stopping, and what is said meanwhile."""

    def test_stop_ends_everything(self) -> None:
        """HeldTask polls get no answer, threads end, and the port is free for the next."""
        before = threading.active_count()
        server = LocalServer().start()
        wire = Wire(port_of(server))
        Flow(wire.call).register()
        pool, poll = poll_in_thread(server)
        server.stop()
        with pytest.raises(ConnectionError):
            poll.result(5)
        pool.shutdown()
        wire.close()
        wait_until(lambda: threading.active_count() <= before)  # a thread of an earlier test may have ended too
        with LocalServer(port=port_of(server)) as again:
            assert again.url == server.url

    def test_a_port_in_use(self, server: LocalServer) -> None:
        """It is an OSError when the server is made."""
        with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
            LocalServer(port=port_of(server))

    def test_it_listens_on_loopback(self, server: LocalServer) -> None:
        """Unless another address is asked for, nobody else can reach it."""
        assert server.url.startswith("http://127.0.0.1:")
        assert server._server.socket.getsockname()[0] == "127.0.0.1"

    def test_the_log(self) -> None:
        """One line a call: operation, status, fault and time; never an argument, a token or an answer."""
        lines: list[str] = []
        with LocalServer(log=lines.append) as server:
            wire = Wire(port_of(server))
            flow = Flow(wire.call).register()
            flow.schedule(input="secret")
            task = flow.poll(identity="secret")
            wire.send("SimpleWorkflowService.secret", b"{}")
            with pytest.raises(Refused):
                wire.call("RespondActivityTaskCompleted", taskToken="secret")
            wait_until(lambda: len(lines) == 9)
            wire.close()
        words = [line.rpartition(" ")[0].rpartition(" ")[0] for line in lines]
        assert words == [
            "RegisterDomain 200",
            "RegisterWorkflowType 200",
            "RegisterActivityType 200",
            "StartWorkflowExecution 200",
            "PollForDecisionTask 200",
            "RespondDecisionTaskCompleted 200",
            "PollForActivityTask 200",
            "? 400 UnknownOperationException",
            "RespondActivityTaskCompleted 400 ValidationException",
        ]
        assert all(line.endswith(" ms") for line in lines)
        assert not any(secret in line for line in lines for secret in ("secret", task["taskToken"]))

    def test_quotas(self) -> None:
        """With the switch on, a client over SWF's rate is throttled as SWF does it."""
        with LocalServer(quotas=True) as server:
            wire = Wire(port_of(server))
            for _ in range(100):
                wire.call("ListDomains", registrationStatus="REGISTERED")
            with refused("com.amazon.coral.availability#ThrottlingException", "Rate exceeded"):
                for _ in range(100):
                    wire.call("ListDomains", registrationStatus="REGISTERED")
            wire.close()

    def test_it_is_light(self) -> None:
        """Serving needs SWF's service model, and neither botocore, click nor rich."""
        script = (
            "import sys; from swf_cli.local.server import LocalServer; LocalServer().start().stop(); "
            "print({'botocore', 'click', 'rich', 'urllib3'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=20)
        assert done.stdout == "set()\n"
