"""What `swf stuck` costs: `python -m tests.benchmarks.stuck`.

Prints calls by operation, whether the rows are those of reading everything, and memory, for
- 2,000 open executions under SWF's quotas, 100 with open tasks, 4 of them with nearly 25,000 events;
- 10,000 open executions of which 9,700 are younger than --older-than;
- one execution of 25,000 events as recorded from the real service, its open tasks in the newest page, with
  heartbeats, and further back;
- 2,000 and 20,000 executions, each with a task that runs normally and has an input of 8 kB: the memory, in the worst
  case, where no completed run shows how long such tasks take. Fails if it grows with the inputs.
The local SWF is in a process of its own, and so is what is measured.
"""

import os
import resource
import subprocess
import sys
import time
from typing import Any

from swf_cli.client.session import Session
from swf_cli.history import ActivityTask
from swf_cli.models import ExecutionId
from swf_cli.monitor.calls import ScanCalls
from swf_cli.monitor.evidence import DomainFacts
from swf_cli.monitor.execution import ExecutionReader, ExecutionTasks
from swf_cli.monitor.filters import TaskFilter
from swf_cli.monitor.scanner import DomainScanner
from swf_cli.monitor.stuck import StuckReport, find_stuck
from tests.benchmarks.timing import ratio
from tests.helpers.big_domain import Recorder, big_domain, limited, no_op, open_task, start
from tests.helpers.local_service import local_service
from tests.helpers.recorded_execution import RecordedExecution

_WORKING = 100
"""Executions with an open task."""

_OLD, _YOUNG = 300, 9_700
_INPUT = 8_000  # characters
_MOST_MEMORY = 1.3
"""Ratio for ten times the executions: about 600 bytes are kept of each task that may turn out to be overdue."""

_OLDER_THAN = 600.0  # seconds

ENV = {**os.environ, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}


def serve(what: str, executions: int, long: int) -> None:
    """Serve a domain until stdin ends.

    To be weighed, one whose tasks all run normally; else a big one or, of no executions, one that is mostly young.
    """
    with local_service() as service:
        flow = service.flow("media")
        if what == "weigh":
            for number in range(executions):
                task_input = f"{number:010}".ljust(_INPUT, "x")
                start(flow, f"w{number:05}", open_task(startToCloseTimeout="86400", input=task_input))
                flow.poll("work", identity="host:1")
            service.advance(1200)
        elif executions:
            big_domain(flow, executions, _WORKING, long, 24_900)
            service.advance(1200)
        else:
            for number in range(_OLD):
                start(flow, f"old-{number}", open_task(task_list=f"list-{number % 7}"))
            service.advance(1200)
            for number in range(_YOUNG):
                start(flow, f"young-{number}", open_task(task_list=f"list-{number % 9}"))
        print(service.url, flush=True)
        sys.stdin.read()


def scan(client: Any) -> tuple[DomainScanner, StuckReport]:
    """Find what is stuck, as fast as the service allows."""
    scanner = DomainScanner(ScanCalls(client, "media", rate=1000.0))
    return scanner, find_stuck(scanner, DomainFacts(_OLDER_THAN), TaskFilter())


def stuck_ids(report: StuckReport) -> set[tuple[str, str]]:
    """Return run and activity ID of the stuck activity tasks."""
    return {(row.execution.run_id, row.task.id) for row in report.rows if isinstance(row.task, ActivityTask)}


def everything(scanner: DomainScanner, client: Recorder) -> set[tuple[str, str]]:
    """Return run and activity ID of what has waited or run for long, in every event of every execution."""
    client.before = no_op
    executions: list[ExecutionId] = []
    scanner.scan(lambda read: executions.append(read.execution))
    found: list[ExecutionTasks] = [scanner.reader.read_all(execution) for execution in executions]
    oldest = scanner.calls.now() - _OLDER_THAN
    return {
        (each.execution.run_id, task.id)
        for each in found
        for task in each.tasks
        if task.is_open and task.scheduled_at <= oldest
    }


def measure(url: str, quotas: bool) -> None:
    """Scan a domain, and print the calls that took, and whether it found all there is."""
    client = Recorder.of(url)
    if quotas:
        client.before = limited()
    began = time.monotonic()
    scanner, report = scan(client)
    seconds, calls, pages = time.monotonic() - began, client.operations(), client.pages()
    throttles = scanner.progress.throttles
    print(f"{len(report.rows)} rows in {seconds:.1f} s; {len(pages)} pages, {throttles} throttles, {dict(calls)}")
    print(f"pages read twice: {sum(pages.values()) - len(pages) - throttles}")
    print(f"as reading everything: {everything(scanner, client) == stuck_ids(report)}")


def weigh(url: str) -> None:
    """Scan a domain where nothing is stuck, and print the MiB that took."""
    _, report = scan(Session(region="us-east-1", endpoint_url=url).single_attempt_client)
    assert not report.rows
    assert report.matched
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024))


def read_one(title: str, execution: RecordedExecution) -> None:
    """Read one execution in pages of 1,000 events, and print the calls that took."""
    calls: Any = execution
    found = ExecutionReader(ScanCalls(calls, "media", rate=1000.0)).read_open(ExecutionId("w", "RUN"))
    is_right = {task.id for task in found.tasks if task.is_open} == execution.open_ids
    calls = ", ".join(f"{execution.calls.count(name)} {name}" for name in ("history", "describe"))
    print(f"{len(execution.events):,} events, {title}: {calls}; right: {is_right}")


def read_long_executions() -> None:
    """Read executions of 25,000 events that differ in where their open tasks are."""
    for title, tail, heartbeats in (
        ("open tasks in the newest page", 100, 0),
        ("open tasks in the newest page, with heartbeats", 100, 1),
        ("open tasks 4,500 events back", 4_500, 0),
    ):
        execution = RecordedExecution(events=25_000 - tail - 4)
        execution.take_decision()
        execution.signal()
        execution.decide("a", "b")
        execution.start("a")
        for _ in range(tail // 4):
            execution.take_decision()
            execution.signal()
            execution.decide()
        for _ in range(heartbeats):
            execution.heartbeat()
        read_one(title, execution)


def run(what: str, executions: int, long: int = 0, *, quotas: bool = False) -> str:
    """Serve a domain and measure, each in a process of its own; return what is printed."""
    serving = [sys.executable, "-m", __spec__.name, "serve", what, str(executions), str(long)]
    with subprocess.Popen(serving, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENV) as server:
        assert server.stdout
        assert server.stdin
        url = server.stdout.readline().strip()
        measuring = [sys.executable, "-m", __spec__.name, what, url, str(int(quotas))]
        done = subprocess.run(measuring, stdout=subprocess.PIPE, text=True, env=ENV, check=True)
        server.stdin.close()
    return done.stdout.strip()


def main() -> None:
    """Print it all."""
    match sys.argv[1:]:
        case ["serve", what, executions, long]:
            serve(what, int(executions), int(long))
        case ["measure", url, quotas]:
            measure(url, quotas == "1")
        case ["weigh", url, _]:
            weigh(url)
        case _:
            # First: the peak of a process is at least what its parent had when it began.
            few, many = float(run("weigh", 2000)), float(run("weigh", 20_000))
            print(f"MiB at 2,000 and at 20,000 executions: {few:.1f}, {many:.1f}")
            ratio("MiB at 20,000 / at 2,000", many, few, _MOST_MEMORY)
            print("2,000 executions, 4 of them with nearly 25,000 events, under quotas:")
            print(run("measure", 2000, 4, quotas=True))
            print(f"{_OLD + _YOUNG:,} executions, {_YOUNG:,} of them young:")
            print(run("measure", 0))
            read_long_executions()
            assert many / few <= _MOST_MEMORY, "memory grows with the inputs"


if __name__ == "__main__":
    main()
