"""`swf work`, as section 4 of the contract asks: `python -m tests.benchmarks.work [--simpleflow BIN] [--aws BIN]`.

Side by side, over one local SWF in a process of its own: tasks a second of `swf work -j 4 -- true`, of a bare
botocore loop with 4 threads and `subprocess.run(["true"])`, of simpleflow's worker with 4 processes, and of a shell
loop over `aws`; then what an idle `swf work -j 8` costs. simpleflow (PyPI) and `aws` are best in virtual environments
of their own: BIN is the command in it.

A rate is told by the history: tasks, over the time from the first that was started to the last that was closed. So it
holds nobody's start.
"""

import argparse
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.timing import python
from tests.helpers.cli import SWF
from tests.helpers.flow import Flow, activity
from tests.helpers.wire import Wire

DOMAIN = "bench"
SLOTS = 4

BARE = f"""
import itertools, subprocess, sys, threading
import botocore.config, botocore.session

task_list, left = sys.argv[1], iter(range(int(sys.argv[2])))
config = botocore.config.Config(read_timeout=90, retries={{"total_max_attempts": 1}})
client = botocore.session.Session().create_client("swf", config=config)
lock = threading.Lock()

def slot():
    while True:
        with lock:
            if next(left, None) is None:
                return
        task = client.poll_for_activity_task(domain="{DOMAIN}", taskList={{"name": task_list}})
        subprocess.run(["true"])
        client.respond_activity_task_completed(taskToken=task["taskToken"])

threads = [threading.Thread(target=slot) for _ in range({SLOTS})]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""

AWS_LOOP = f"""
for n in $(seq $2); do
  token=$($AWS swf poll-for-activity-task --domain {DOMAIN} --task-list "name=$1" --query taskToken --output text)
  true
  $AWS swf respond-activity-task-completed --task-token "$token"
done
"""

ACTIVITY = """
import subprocess
from simpleflow import activity

@activity.with_attributes(task_list="work", version="1")
def run():
    subprocess.run(["true"])
"""
"""What simpleflow's worker runs: it knows an activity by the name of a Python function."""


class Bench:
    """A domain of a local SWF in another process, and who works on its lists."""

    def __init__(self, env: Mapping[str, str]) -> None:
        url = env["AWS_ENDPOINT_URL_SWF"]
        self.flow = Flow(Wire(int(url.rpartition(":")[2])).call, DOMAIN)
        self.flow.call("RegisterActivityType", domain=DOMAIN, name="swf_bench_activity.run", version="1")
        for kind in ("RegisterWorkflowType", "RegisterActivityType"):
            self.flow.call(kind, domain=DOMAIN, name="video" if "Work" in kind else "resize", version="1")
        self.env = env
        self.lists = 0

    def rate(self, command: Sequence[str], tasks: int, name: str = "resize") -> float:
        """Give tasks a second: `command` gets the list and the number of tasks as arguments, or is told to stop."""
        self.lists += 1
        task_list, decisions = f"work-{self.lists}", {"name": f"decisions-{self.lists}"}
        execution = self.flow.start(
            task_list,
            taskList=decisions,
            executionStartToCloseTimeout="3000",
            taskStartToCloseTimeout="300",
            childPolicy="TERMINATE",
        )
        given = {"activityType": {"name": name, "version": "1"}, "input": '{"args": [], "kwargs": {}}'}
        task = self.flow.call("PollForDecisionTask", domain=DOMAIN, taskList=decisions)
        wanted = [activity(str(n), task_list, **given) for n in range(tasks)]
        self.flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=wanted)
        filled = [part.replace("LIST", task_list).replace("COUNT", str(tasks)) for part in command]
        with subprocess.Popen(filled, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                while process.poll() is None and self._left(execution):
                    time.sleep(0.2)
            finally:
                if "COUNT" not in command or self._left(execution):
                    process.terminate()
        assert not self._left(execution), f"{command[0]} ended with {process.returncode}, and did not do all"
        events = self._events(execution)
        started = min(e["eventTimestamp"] for e in events if e["eventType"] == "ActivityTaskStarted")
        closed = [e["eventTimestamp"] for e in events if e["eventType"] == "ActivityTaskCompleted"]
        assert len(closed) == tasks
        return float(tasks / (max(closed) - started))

    def _left(self, execution: dict[str, str]) -> int:
        return int(self.flow.describe(execution)["openCounts"]["openActivityTasks"])

    def _events(self, execution: dict[str, str]) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        token: dict[str, Any] = {}
        while True:
            page = self.flow.call("GetWorkflowExecutionHistory", domain=DOMAIN, execution=execution, **token)
            events += page["events"]
            if "nextPageToken" not in page:
                return events
            token = {"nextPageToken": page["nextPageToken"]}

    def idle(self, seconds: float) -> None:
        """Print what an idle worker takes of memory and of a processor."""
        command = [SWF, "work", "-d", DOMAIN, "-t", "nobody", "-j", "8", "--", "true"]
        with subprocess.Popen(command, env=self.env, stderr=subprocess.DEVNULL) as process:
            time.sleep(3)
            before, began = _cpu(process.pid), time.monotonic()
            first = _resident(process.pid)
            time.sleep(seconds)
            used = (_cpu(process.pid) - before) / (time.monotonic() - began)
            last = _resident(process.pid)
            process.send_signal(signal.SIGKILL)
        print(f"idle with -j 8: {first:.1f} MiB, after {seconds:.0f} s {last:.1f} MiB; at most 60")
        print(f"idle with -j 8: {used * 100:.2f} % of a processor; less than 1 %")


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    kib = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(kib.split()[1]) / 1024


def main() -> None:
    """Print the rates and the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--simpleflow", help="path of the simpleflow command")
    parser.add_argument("--aws", default=shutil.which("aws"), help="path of the aws command")
    parser.add_argument("--tasks", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--idle", type=float, default=30, help="seconds")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # The ledger is where it would be: on a disk, not on what may be a file system in memory.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "LANG": "C.UTF-8",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONPATH": home,
            "AWS": given.aws or "",
        }
        Path(home, "swf_bench_activity.py").write_text(ACTIVITY)
        # Nobody waits long for the polls that are held when a worker is told to stop.
        with served(env, hold=2) as there:
            compare(Bench(there), given)
        with served(env, hold=60) as there:
            Bench(there).idle(given.idle)


@contextmanager
def served(env: Mapping[str, str], hold: int) -> Iterator[dict[str, str]]:
    """Serve a local SWF in a process of its own, and give the environment that leads to it."""
    serve = [SWF, "local", "serve", "-d", DOMAIN, "--hold", str(hold)]
    with subprocess.Popen(serve, env=env, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        lines = iter(server.stdout.readline, "")
        url = next(line for line in lines if "AWS_ENDPOINT_URL_SWF=" in line).partition("=")[2].strip()
        try:
            yield {**env, "AWS_ENDPOINT_URL_SWF": url}
        finally:
            server.kill()


def compare(bench: Bench, given: argparse.Namespace) -> None:
    """Print tasks a second, and how they compare."""
    ours = [SWF, "work", "-d", DOMAIN, "-t", "LIST", "-j", str(SLOTS), "--max-tasks", "COUNT", "--", "true"]
    bare = [*python(BARE), "LIST", "COUNT"]
    rates: dict[str, list[float]] = {"swf work -j 4 -- true": [], "bare botocore, 4 threads": []}
    ratios = []
    for _ in range(given.rounds):
        pair = [bench.rate(ours, given.tasks), bench.rate(bare, given.tasks)]
        for values, rate in zip(rates.values(), pair, strict=True):
            values.append(rate)
        ratios.append(pair[0] / pair[1])
    medians = {name: statistics.median(values) for name, values in rates.items()}
    if given.simpleflow:
        start = ["worker.start", "--domain", DOMAIN, "--task-list", "LIST", "--nb-processes", str(SLOTS)]
        values = [bench.rate([given.simpleflow, *start], 60, "swf_bench_activity.run") for _ in range(3)]
        medians["simpleflow, 4 processes"] = statistics.median(values)
    if given.aws:
        medians["a shell loop over aws"] = bench.rate(["sh", "-c", AWS_LOOP, "sh", "LIST", "COUNT"], 4)
    for name, rate in medians.items():
        print(f"{name:28} {rate:8.2f} tasks/s")
    best = [max(values) for values in rates.values()]
    print(f"of the fastest rounds: {best[0]:.0f} and {best[1]:.0f} tasks/s, {best[0] / best[1]:.2f}")
    ours_rate, *theirs = medians.values()
    least = {"simpleflow, 4 processes": 2.0, "a shell loop over aws": 100.0}
    print(f"swf work / bare botocore: {statistics.median(ratios):.2f}, median of the rounds' ratios; at least 0.80")
    for name, rate in zip(list(medians)[2:], theirs[1:], strict=True):
        print(f"swf work / {name}: {ours_rate / rate:.1f}; at least {least[name]:.0f}")


if __name__ == "__main__":
    # Where the machine's own limits are low, the children need no more than this process.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
