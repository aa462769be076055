"""`swf work` beside other workers: `python -m tests.benchmarks.work [--simpleflow BIN] [--aws BIN]`.

All work on one local SWF, in a process of its own: `swf work -j 4 -- true`, a bare botocore loop with 4 threads and
`subprocess.run(["true"])`, simpleflow's worker with 4 processes, and a shell loop over `aws`. The first two are
compared by the processor time that the worker itself takes for a task, without its commands; all by tasks a second.
Then what an idle `swf work -j 8` takes, and how many threads a busy `swf work -j 300` has. Install simpleflow (PyPI)
and `aws` in virtual environments of their own: BIN is the command in it.

Nobody's start is measured: each begins with a few tasks that do not count. A rate is taken from the history: tasks,
over the time from the first that was started to the last that was closed.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.timing import python
from tests.helpers.cli import SWF
from tests.helpers.flow import Flow, activity, attributes_of
from tests.helpers.wire import Wire

DOMAIN = "bench"
SLOTS = 4
WARM_UP = 8 * SLOTS  # tasks
OURS, THEIRS = "swf work -j 4 -- true", "bare botocore, 4 threads"

BARE = f"""
import subprocess, sys, threading
import botocore.config, botocore.session

task_list = sys.argv[1]
config = botocore.config.Config(read_timeout=90, retries={{"total_max_attempts": 1}})
client = botocore.session.Session().create_client("swf", config=config)

def slot():
    while True:
        task = client.poll_for_activity_task(domain="{DOMAIN}", taskList={{"name": task_list}})
        if not task.get("taskToken"):
            continue
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
"""What simpleflow's worker runs: an activity is named after a Python function."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """How fast a worker was."""

    rate: float
    """Tasks a second."""

    cpu: float
    """Seconds of processor time that the worker took for a task, without its child processes."""


class Bench:
    """A domain of a local SWF in another process, and workers on its lists."""

    def __init__(self, env: Mapping[str, str]) -> None:
        url = env["AWS_ENDPOINT_URL_SWF"]
        self.flow = Flow(Wire(int(url.rpartition(":")[2])).call, DOMAIN)
        self.flow.call("RegisterActivityType", domain=DOMAIN, name="swf_bench_activity.run", version="1")
        for kind in ("RegisterWorkflowType", "RegisterActivityType"):
            self.flow.call(kind, domain=DOMAIN, name="video" if "Work" in kind else "resize", version="1")
        self.env = env
        self.lists = 0

    def measure(
        self, command: Sequence[str], tasks: int, *, warm_up: int = WARM_UP, name: str = "resize"
    ) -> Measurement:
        """Measure a command, in whose arguments LIST is the task list and COUNT the number of tasks; then stop it."""
        self.lists += 1
        task_list = f"work-{self.lists}"
        execution, decisions = self._start(task_list)
        filled = [part.replace("LIST", task_list).replace("COUNT", str(warm_up + tasks)) for part in command]
        with subprocess.Popen(filled, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                if warm_up:
                    self._do(process, execution, decisions, [f"warm-up-{n}" for n in range(warm_up)], name)
                before = _cpu(process.pid)
                self._do(process, execution, decisions, [f"task-{n}" for n in range(tasks)], name)
                cpu = _cpu(process.pid) - before
            finally:
                process.terminate()
        return Measurement(self._rate(execution, tasks), cpu / tasks)

    def _start(self, workflow_id: str) -> tuple[dict[str, str], str]:
        """Start an execution, and return it with its list of decision tasks."""
        decisions = f"decisions-{workflow_id}"
        execution = self.flow.start(
            workflow_id,
            taskList={"name": decisions},
            executionStartToCloseTimeout="3000",
            taskStartToCloseTimeout="300",
            childPolicy="TERMINATE",
        )
        return execution, decisions

    def _do(
        self, process: "subprocess.Popen[bytes]", execution: dict[str, str], decisions: str, ids: list[str], name: str
    ) -> None:
        """Schedule tasks, and wait until they are closed."""
        attributes = {"activityType": {"name": name, "version": "1"}, "input": '{"args": [], "kwargs": {}}'}
        task = self.flow.call("PollForDecisionTask", domain=DOMAIN, taskList={"name": decisions})
        wanted = [activity(activity_id, execution["workflowId"], **attributes) for activity_id in ids]
        self.flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=wanted)
        while self.flow.describe(execution)["openCounts"]["openActivityTasks"]:
            assert process.poll() is None, f"it ended with {process.returncode}, and did not do all tasks"
            time.sleep(0.1)

    def _rate(self, execution: dict[str, str], tasks: int) -> float:
        """Return tasks a second, from the history; those of the warm-up do not count."""
        events = self._events(execution)
        scheduled = {
            event["eventId"]
            for event in events
            if event["eventType"] == "ActivityTaskScheduled"
            and attributes_of(event)["activityId"].startswith("task-")
        }
        times: dict[str, list[float]] = {"ActivityTaskStarted": [], "ActivityTaskCompleted": []}
        for event in events:
            if event["eventType"] in times and attributes_of(event)["scheduledEventId"] in scheduled:
                times[event["eventType"]].append(event["eventTimestamp"])
        assert len(times["ActivityTaskCompleted"]) == tasks
        return tasks / (max(times["ActivityTaskCompleted"]) - min(times["ActivityTaskStarted"]))

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
        """Print how much memory and processor time an idle worker takes."""
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

    def busy(self, slots: int) -> None:
        """Print how many threads a worker has while all its slots are busy, and all their heartbeats are sent."""
        self.lists += 1
        task_list = f"work-{self.lists}"
        execution, decisions = self._start(task_list)
        task = self.flow.call("PollForDecisionTask", domain=DOMAIN, taskList={"name": decisions})
        wanted = [activity(f"task-{number}", task_list) for number in range(slots)]
        self.flow.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=wanted)
        options = ["-d", DOMAIN, "-t", task_list, "-j", str(slots), "--heartbeat", "1s", "--max-tasks", str(slots)]
        command = [SWF, "work", *options, "--", "sleep", "15"]
        threads = [0]
        with subprocess.Popen(command, env=self.env, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                threads.append(_status(process.pid, "Threads"))
                time.sleep(0.05)
        started = [event for event in self._events(execution) if event["eventType"] == "ActivityTaskStarted"]
        ended = [event for event in self._events(execution) if event["eventType"] == "ActivityTaskCompleted"]
        assert started[-1]["eventTimestamp"] < ended[0]["eventTimestamp"], "not all tasks ran at once"
        assert len(ended) == slots
        print(f"busy with -j {slots}: {max(threads)} threads; at most {slots + 50}")


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    return _status(pid, "VmRSS") / 1024


def _status(pid: int, name: str) -> int:
    """Return a number from a process's status; 0 if it has ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


def main() -> None:
    """Print the measurements and the ratios."""
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
        env = {**environment(home), "PYTHONPATH": home, "AWS": given.aws or ""}
        Path(home, "swf_bench_activity.py").write_text(ACTIVITY)
        # A worker that is stopped waits for the polls that are held.
        with served(env, hold=2) as there:
            bench = Bench(there)
            compare(bench, given)
            bench.busy(300)
        with served(env, hold=60) as there:
            Bench(there).idle(given.idle)


def environment(home: str) -> dict[str, str]:
    """Return the environment of all programs, whose files are in this folder."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": home,
        "LANG": "C.UTF-8",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def served(env: Mapping[str, str], hold: int) -> Iterator[dict[str, str]]:
    """Serve a local SWF in a process of its own, and yield the environment of its clients."""
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
    """Print processor time for a task, tasks a second, and how they compare."""
    swf = [SWF, "work", "-d", DOMAIN, "-t", "LIST", "-j", str(SLOTS), "--", "true"]
    bare = [*python(BARE), "LIST"]
    pairs = [(bench.measure(swf, given.tasks), bench.measure(bare, given.tasks)) for _ in range(given.rounds)]
    rates = {name: statistics.median(pair[index].rate for pair in pairs) for index, name in enumerate((OURS, THEIRS))}
    if given.simpleflow:
        start = ["worker.start", "--domain", DOMAIN, "--task-list", "LIST", "--nb-processes", str(SLOTS)]
        command = [given.simpleflow, *start]
        measured = [bench.measure(command, 60, name="swf_bench_activity.run").rate for _ in range(3)]
        rates["simpleflow, 4 processes"] = statistics.median(measured)
    if given.aws:
        loop = ["sh", "-c", AWS_LOOP, "sh", "LIST", "COUNT"]
        rates["a shell loop over aws"] = bench.measure(loop, 4, warm_up=1).rate
    for index, name in enumerate((OURS, THEIRS)):
        values = [pair[index].cpu * 1_000 for pair in pairs]
        print(f"{name:28} {statistics.median(values):8.2f} ms of processor time a task, least {min(values):.2f}")
    for name, rate in rates.items():
        print(f"{name:28} {rate:8.2f} tasks/s")
    ratios = [ours.cpu / theirs.cpu for ours, theirs in pairs]
    print(f"processor time a task, swf work / bare botocore: {statistics.median(ratios):.2f}; at most 1.15")
    ratios = [ours.rate / theirs.rate for ours, theirs in pairs]
    print(f"tasks/s, swf work / bare botocore: {statistics.median(ratios):.2f}; depends on the free processors")
    for name, least in (("simpleflow, 4 processes", 2), ("a shell loop over aws", 100)):
        if name in rates:
            print(f"tasks/s, swf work / {name}: {rates[OURS] / rates[name]:.1f}; at least {least}")


if __name__ == "__main__":
    # Where the machine's own limits are low, the children need no more than this process.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
