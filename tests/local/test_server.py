"""The server: long polls, starting, stopping and logging."""

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from swf_cli.local.clock import Clock
from swf_cli.local.handler import HttpOptions
from swf_cli.local.quotas import RateLimits
from swf_cli.local.server import LocalServer
from tests.helpers.cli import wait_until
from tests.helpers.flow import Flow, RealTime, activity
from tests.helpers.wire import Refused, Wire, port_of, refused


def held_polls(server: LocalServer) -> int:
    """Return the number of polls in flight."""
    return len(server.engine.held_polls("media", "work"))


def poll_in_thread(server: LocalServer) -> "tuple[ThreadPoolExecutor, Any]":
    """Start a poll on a new connection, and return it once the server holds it."""
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


class TestLongPolls:
    """Long polls."""

    def test_a_poll_receives_a_task(self, server: LocalServer, wired: Flow) -> None:
        """A poll in flight returns as soon as a task is scheduled."""
        pool, poll = poll_in_thread(server)
        execution = wired.start()
        wired.decide(activity())
        task = poll.result(5)
        pool.shutdown()
        assert task["workflowExecution"] == execution

    def test_an_empty_poll(self) -> None:
        """After 60 s a poll returns the empty response recorded from the real service."""
        real_time = RealTime()
        with LocalServer(clock=Clock(real_time)) as server, ThreadPoolExecutor(1) as pool:
            wire = Wire(port_of(server))
            Flow(wire.call).register()
            args = json.dumps({"domain": "media", "taskList": {"name": "work"}}).encode()
            poll = pool.submit(wire.send, "SimpleWorkflowService.PollForActivityTask", args)
            wait_until(lambda: held_polls(server) == 1)
            for seconds in (59, 1):
                assert held_polls(server) == 1
                real_time.seconds += seconds
                server.engine.advance(0)
            reply = poll.result(5)
            wire.close()
        assert (reply.status, reply.body) == (200, b'{"startedEventId":0}')

    def test_a_hold_of_its_own(self) -> None:
        """`hold` is the longest time that a poll waits."""
        with LocalServer(hold=0.1) as server:
            wire = Wire(port_of(server))
            flow = Flow(wire.call).register()
            began = time.monotonic()
            assert flow.poll_decision() == {"previousStartedEventId": 0, "startedEventId": 0}
            assert time.monotonic() - began >= 0.1
            wire.close()

    @pytest.mark.parametrize("deliver_to_disconnected", [True, False])
    def test_a_client_that_has_gone(self, deliver_to_disconnected: bool) -> None:
        """Its poll receives a task, as reported of the real service, unless `deliver_to_disconnected` is off."""
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
        """Eight concurrent clients complete 200 tasks, each exactly once."""
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

    def test_a_hundred_clients_at_once(self, server: LocalServer, wired: Flow) -> None:
        """All polls are held and receive a task, while the server handles other calls."""
        wires = [Wire(port_of(server)) for _ in range(100)]
        body = json.dumps({"domain": "media", "taskList": {"name": "work"}})
        headers = {"X-Amz-Target": "SimpleWorkflowService.PollForActivityTask"}
        for wire in wires:
            wire.connection.request("POST", "/", body, headers)
        wait_until(lambda: held_polls(server) == 100)
        wired.start()
        wired.decide(*(activity(str(n)) for n in range(100)))
        taken = {json.loads(wire.connection.getresponse().read())["activityId"] for wire in wires}
        assert taken == {str(n) for n in range(100)}
        for wire in wires:
            wire.close()


class TestLife:
    """Starting, stopping and logging."""

    def test_stop_ends_everything(self) -> None:
        """Polls in flight get no response, threads end, and the port can be used again."""
        before = set(threading.enumerate())
        server = LocalServer().start()
        wire = Wire(port_of(server))
        Flow(wire.call).register()
        pool, poll = poll_in_thread(server)
        server.stop()
        with pytest.raises(ConnectionError):
            poll.result(5)
        pool.shutdown()
        wire.close()
        wait_until(lambda: not set(threading.enumerate()) - before)
        with LocalServer(port=port_of(server)) as again:
            assert again.url == server.url

    def test_a_port_in_use(self, server: LocalServer) -> None:
        """It is an OSError."""
        with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
            LocalServer(port=port_of(server))

    def test_it_listens_on_loopback(self, server: LocalServer) -> None:
        """The default address is loopback."""
        assert urlsplit(server.url).hostname == "127.0.0.1"

    def test_an_address_of_loopback_by_another_name(self) -> None:
        """Its URL is that of the address: other commands see that it is on loopback, and web pages are refused."""
        with LocalServer("127.1") as server:
            assert server.host == "127.0.0.1"
            assert server.url.startswith("http://127.0.0.1:")
            request = urllib.request.Request(server.url, b"{}", {"Host": "evil.example"})
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(request, timeout=60)

    def test_the_log(self) -> None:
        """One line a call: operation, status, fault and duration, but no arguments, tokens or responses."""
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
        calls = [
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
        assert sorted(words) == sorted(calls)  # a connection may log after the next has begun
        assert all(line.endswith(" ms") for line in lines)
        assert not any(secret in line for line in lines for secret in ("secret", task["taskToken"]))

    def test_quotas(self) -> None:
        """With rate limits a client is throttled as by SWF."""
        with LocalServer(options=HttpOptions(rate_limits=RateLimits())) as server:
            wire = Wire(port_of(server))
            for _ in range(100):
                wire.call("ListDomains", registrationStatus="REGISTERED")
            with refused("com.amazon.coral.availability#ThrottlingException", "Rate exceeded"):
                for _ in range(100):
                    wire.call("ListDomains", registrationStatus="REGISTERED")
            wire.close()

    def test_it_is_light(self) -> None:
        """Serving imports neither botocore, click nor rich."""
        script = (
            "import sys; from swf_cli.local.server import LocalServer; LocalServer().start().stop(); "
            "print({'botocore', 'click', 'rich', 'urllib3'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout == "set()\n"
