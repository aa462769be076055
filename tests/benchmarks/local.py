"""The local SWF compared with moto's and with itself, in one run on one machine.

`python -m tests.benchmarks.local`
"""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

from swf_cli.local.server import LocalServer
from tests.helpers.flow import Flow, activity
from tests.helpers.wire import HEADERS, Wire

_BATCH = 500
"""Tasks of an execution: SWF allows at most 1,000 open ones."""

_POLLERS = 16


def schedule(flow: Flow, tasks: int) -> None:
    """Schedule tasks on the list `work`, in several executions."""
    for execution in range(tasks // _BATCH):
        decisions = {"name": f"decisions-{execution}"}
        flow.start(f"w{execution}", taskList=decisions)
        task = flow.call("PollForDecisionTask", domain=flow.domain, taskList=decisions)
        wanted = [activity(str(n)) for n in range(_BATCH)]
        flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=wanted)


def drain(port: int, tasks: int, pollers: int) -> tuple[float, set[tuple[str, int]]]:
    """Poll for and complete tasks. Return tasks a second, and which were delivered."""
    left = count(1)
    delivered: list[tuple[str, int]] = []

    def work() -> None:
        wire = Wire(port)
        flow = Flow(wire.call)
        while next(left) <= tasks:
            task = flow.poll()
            delivered.append((task["workflowExecution"]["runId"], task["startedEventId"]))
            wire.call("RespondActivityTaskCompleted", taskToken=task["taskToken"])
        wire.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(pollers) as pool:
        for done in [pool.submit(work) for _ in range(pollers)]:
            done.result()
    rate = tasks / (time.perf_counter() - began)
    assert len(delivered) == tasks
    return rate, set(delivered)


def local_rate(tasks: int, pollers: int) -> float:
    """Measure a local SWF in another process. Return tasks a second."""
    script = (
        "import threading; from swf_cli.local.server import LocalServer; "
        "print(LocalServer().start().url, flush=True); threading.Event().wait()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        port = int(process.stdout.readline().rpartition(":")[2])
        wire = Wire(port)
        schedule(Flow(wire.call).register(), tasks)
        rate, delivered = drain(port, tasks, pollers)
        assert len(delivered) == tasks, "a task was delivered twice"
        wire.close()
        process.kill()
    return rate


def moto_rate(tasks: int) -> float:
    """Measure moto's SWF likewise, with one poller: two may receive the same task."""
    with subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", "0"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr
        line = next(line for line in process.stderr if "Running on" in line)
        port = int(line.rpartition(":")[2].split()[0].strip("/"))
        threading.Thread(target=process.stderr.read, daemon=True).start()
        wire = Wire(port)
        schedule(Flow(wire.call).register(), tasks)
        rate, _ = drain(port, tasks, 1)
        wire.close()
        process.kill()
    return rate


def first_response() -> float:
    """Return the seconds from the start of a process to its first response."""
    script = (
        "import sys; from swf_cli.local.server import LocalServer; server = LocalServer().start(); "
        "print(server.url, flush=True); sys.stdin.read()"
    )
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        wire = Wire(int(process.stdout.readline().rpartition(":")[2]))
        wire.call("ListDomains", registrationStatus="REGISTERED")
        passed = time.perf_counter() - began
        wire.close()
        process.kill()
    return passed


def poll_latency(server: LocalServer, port: int, flow: Flow) -> list[float]:
    """Return the seconds from scheduling a task to the end of the poll that receives it, for 50 tasks."""
    times = []
    for n in range(50):
        execution = flow.start(f"latency-{n}", taskList={"name": f"latency-{n}"})
        decisions = {"domain": flow.domain, "taskList": {"name": f"latency-{n}"}}
        token = flow.call("PollForDecisionTask", **decisions)["taskToken"]
        wire = Wire(port)
        ended: list[float] = []

        def poll(wire: Wire = wire, ended: list[float] = ended) -> None:
            Flow(wire.call).poll("latency")
            ended.append(time.perf_counter())

        thread = threading.Thread(target=poll)
        thread.start()
        time.sleep(0.02)
        wanted = [activity(task_list="latency")]
        began = time.perf_counter()
        flow.call("RespondDecisionTaskCompleted", taskToken=token, decisions=wanted)
        thread.join()
        times.append(ended[0] - began)
        wire.close()
        flow.call("TerminateWorkflowExecution", domain=flow.domain, workflowId=execution["workflowId"])
    return sorted(times)


def list_page(flow: Flow) -> tuple[float, float]:
    """Return the seconds for the first and for the slowest page of 100 of the open executions."""
    asked: dict[str, Any] = {"domain": flow.domain, "startTimeFilter": {"oldestDate": 0}, "maximumPageSize": 100}
    times: list[float] = []
    token: dict[str, str] = {}
    while True:
        began = time.perf_counter()
        response = flow.call("ListOpenWorkflowExecutions", **asked, **token)
        times.append(time.perf_counter() - began)
        if "nextPageToken" not in response:
            return times[0], max(times)
        token = {"nextPageToken": response["nextPageToken"]}


def main() -> None:
    """Print all figures."""
    HEADERS["Authorization"] = (  # moto finds its service by it
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/swf/aws4_request, SignedHeaders=host, Signature=0"
    )
    starts = sorted(first_response() for _ in range(5))
    print(f"start to first response: {starts[2] * 1000:.0f} ms (at most 200)")
    moto, one = moto_rate(1000), local_rate(1000, 1)
    print(
        f"poll and complete, 1,000 tasks, 1 poller: {one:.0f}/s, moto {moto:.0f}/s: {one / moto:.1f} x (at least 3)"
    )
    few, many = local_rate(1000, _POLLERS), local_rate(10_000, _POLLERS)
    rates = f"{few:.0f}/s at 1,000 tasks, {many:.0f}/s at 10,000 (at least 1,000/s)"
    print(f"{_POLLERS} pollers: {rates}: {many / few:.2f} x (at least 1)")
    with LocalServer() as server:
        port = int(server.url.rpartition(":")[2])
        wire = Wire(port)
        flow = Flow(wire.call).register()
        times = poll_latency(server, port, flow)
        print(f"held poll: median {times[25] * 1000:.1f} ms, worst of 50 {times[-1] * 1000:.1f} ms (at most 50)")
        for n in range(20_000):
            flow.start(f"open-{n}")
        first, slowest = list_page(flow)
        print(f"20,000 open: first page of 100 {first * 1000:.1f} ms, slowest page {slowest * 1000:.1f} ms")
        wire.close()


if __name__ == "__main__":
    main()
