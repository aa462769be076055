"""The local SWF beside moto's, and beside itself: ratios, on one machine in one run.

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
    """Put tasks on the list `work`, some of each execution."""
    for execution in range(tasks // _BATCH):
        decisions = {"name": f"decisions-{execution}"}
        flow.start(f"w{execution}", taskList=decisions)
        task = flow.call("PollForDecisionTask", domain=flow.domain, taskList=decisions)
        wanted = [activity(str(n)) for n in range(_BATCH)]
        flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=wanted)


def drain(port: int, tasks: int, pollers: int) -> tuple[float, set[tuple[str, int]]]:
    """Poll and complete tasks until all are done; gives tasks a second, and which were delivered."""
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
    """Measure a local SWF in a process of its own, as its clients see it."""
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
    """Measure moto's SWF the same way; one poller, since two can be handed the same task."""
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


def first_answer() -> float:
    """Time a whole process, from its start to its first answer."""
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
    """Time from the answer that schedules a task to the end of the held poll that gets it."""
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
    """Time a page of 100 out of the open executions: the first, and the slowest of all."""
    asked: dict[str, Any] = {"domain": flow.domain, "startTimeFilter": {"oldestDate": 0}, "maximumPageSize": 100}
    times: list[float] = []
    token: dict[str, str] = {}
    while True:
        began = time.perf_counter()
        answer = flow.call("ListOpenWorkflowExecutions", **asked, **token)
        times.append(time.perf_counter() - began)
        if "nextPageToken" not in answer:
            return times[0], max(times)
        token = {"nextPageToken": answer["nextPageToken"]}


def main() -> None:
    """Print it all."""
    HEADERS["Authorization"] = (  # moto finds its service by it; nobody checks it
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/swf/aws4_request, SignedHeaders=host, Signature=0"
    )
    starts = sorted(first_answer() for _ in range(5))
    print(f"start to first answer: {starts[2] * 1000:.0f} ms (at most 400)")
    moto, one = moto_rate(1000), local_rate(1000, 1)
    print(
        f"poll and complete, 1,000 tasks, 1 poller: {one:.0f}/s, moto {moto:.0f}/s: {one / moto:.1f} x (at least 3)"
    )
    few, many = local_rate(1000, _POLLERS), local_rate(10_000, _POLLERS)
    print(f"{_POLLERS} pollers: {few:.0f}/s at 1,000 tasks, {many:.0f}/s at 10,000: {many / few:.2f} x (at least 1)")
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
