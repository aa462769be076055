"""`swf stuck` on big domains: `python -m tests.benchmarks.stuck`.

Prints, for 2,000 open executions, 100 with open tasks, 4 of them with 25,000 events, under SWF's quotas: calls by
operation, history pages, throttles, and whether the rows are those of reading everything. Then the memory it takes at
2,000 and at 20,000 executions. The local SWF is in a process of its own, and so is what is measured.
"""

import os
import resource
import subprocess
import sys
import time

from swf_cli.client.session import Session
from swf_cli.local.quotas import RateLimits
from swf_cli.models import ExecutionId
from swf_cli.monitor.scanner import DomainScanner, find_stuck
from tests.helpers.big_domain import Recorder, big_domain
from tests.helpers.local_service import local_service

_WORKING = 100
"""Executions with an open task."""

ENV = {**os.environ, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}


def serve(executions: int, long: int, quotas: bool) -> None:
    """Serve a domain until stdin ends."""
    with local_service() as service:
        big_domain(service.flow("media"), executions, _WORKING, long, 25_000)
        service.advance(1200)
        service.server.engine._rate_limits = RateLimits() if quotas else None
        print(service.url, flush=True)
        sys.stdin.read()


def measure(url: str) -> None:
    """DomainScanner a domain, and print the calls that took, and whether it found all there is."""
    client = Recorder.of(url)
    survey = DomainScanner(client, "media", rate=1000.0)  # type: ignore[arg-type]
    began = time.monotonic()
    rows = find_stuck(survey, (), older_than=600)
    seconds, calls, pages = time.monotonic() - began, client.operations(), client.pages()
    throttles = survey.progress.throttles
    print(f"{len(rows)} rows in {seconds:.1f} s; {len(pages)} pages, {throttles} throttles, {dict(calls)}")
    print(f"pages read twice: {sum(pages.values()) - len(pages) - throttles}")
    named = (arguments["execution"] for _, arguments in client.calls if "execution" in arguments)
    truth = {
        (execution.run_id, task.id)
        for execution in {ExecutionId.from_api(name) for name in named}
        for task in survey.tasks(execution, everything=True)
        if task.is_open
    }
    print(f"as reading everything: {truth == {(row.execution.run_id, row.task.id) for row in rows}}")


def weigh(url: str) -> None:
    """DomainScanner a domain, and print the MiB that took."""
    client = Session(region="us-east-1", endpoint_url=url).no_retry
    rows = find_stuck(DomainScanner(client, "media", rate=1000.0), (), older_than=600)
    assert len(rows) == _WORKING
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024))


def run(what: str, executions: int, *, long: int, quotas: bool) -> str:
    """Serve a domain and measure, each in a process of its own; give what is printed."""
    serving = [sys.executable, "-m", __spec__.name, "serve", str(executions), str(long), str(int(quotas))]
    with subprocess.Popen(serving, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENV) as server:
        assert server.stdout
        assert server.stdin
        url = server.stdout.readline().strip()
        measuring = [sys.executable, "-m", __spec__.name, what, url]
        done = subprocess.run(measuring, stdout=subprocess.PIPE, text=True, env=ENV, check=True)
        server.stdin.close()
    return done.stdout.strip()


def main() -> None:
    """Print it all."""
    match sys.argv[1:]:
        case ["serve", executions, long, quotas]:
            serve(int(executions), int(long), quotas == "1")
        case ["measure", url]:
            measure(url)
        case ["weigh", url]:
            weigh(url)
        case _:
            print(run("measure", 2000, long=4, quotas=True))
            few = float(run("weigh", 2000, long=0, quotas=False))
            many = float(run("weigh", 20_000, long=0, quotas=False))
            print(f"MiB at 2,000 and at 20,000 executions: {few:.1f}, {many:.1f}: {many / few:.2f} x (flat is 1)")


if __name__ == "__main__":
    main()
