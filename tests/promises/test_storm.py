"""A storm in which no task is lost: many tasks, faults on a tenth of all calls, workers that are stopped and killed.

In each form of `swf work`: a command, a folder of handlers, handlers that are kept running. SWF_TEST_FULL=1 runs it
with 1,000 tasks; it logs figures: see them with --log-cli-level=INFO.
"""

import logging
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from swf_cli.ledger.store import Ledger
from tests.helpers.cli import FAST_SWF, wait_until
from tests.helpers.faulty_proxy import (
    CUT,
    ERROR_500,
    HTML_502,
    RESET_AFTER,
    RESET_BEFORE,
    THROTTLE,
    Fault,
    FaultyProxy,
    chance,
)
from tests.helpers.flow import activity, attributes_of
from tests.helpers.local_service import Service, local_service
from tests.helpers.processes import is_running, started

FULL = bool(os.environ.get("SWF_TEST_FULL"))
TASKS = 1_000 if FULL else 60
ENDS = {f"ActivityTask{kind}": kind for kind in ("Completed", "Failed", "Canceled", "TimedOut")}
FAULTS: tuple[tuple[Fault, float], ...] = (
    (RESET_BEFORE, 0.02),
    (RESET_AFTER, 0.02),
    (CUT, 0.015),
    (ERROR_500, 0.015),
    (HTML_502, 0.01),
    (THROTTLE, 0.02),
)
OPTIONS = ("-d", "media", "-t", "work", "-j", "8", "--grace", "2s", "--heartbeat", "1s")

SCRIPT = """#!/bin/sh
name={0}/$SWF_WORKFLOW_ID-$SWF_TASK_ID
set -C
echo $$ > $name.running || echo twice >> {0}/twice
sleep 0.0$(($$ % 10))
rm $name.running
set +C
echo end >> $name.ended
cat
"""
"""What runs for a task: it notes its beginning and its end in the folder {0}. Its result is the task's input."""

HANDLER = """
import json, os, sys, time
open("{0}/%d.pid" % os.getpid(), "w").write("%d\\n" % os.getpid())
for number, line in enumerate(sys.stdin, 1):
    task = json.loads(line)
    name = "{0}/%s-%s" % (task["execution"]["id"], task["id"])
    try:
        open(name + ".running", "x").close()
    except FileExistsError:
        open("{0}/twice", "a").write("twice\\n")
    print(json.dumps({{"heartbeat": "half way"}}), flush=True)
    time.sleep(number % 10 / 100)
    os.unlink(name + ".running")
    open(name + ".ended", "a").write("end\\n")
    print(json.dumps({{"result": task["input"]}}), flush=True)
    if number == 7:
        sys.exit(0)
"""
"""The same as a handler that is kept running, and recycles itself now and then."""

_log = logging.getLogger(__name__)

Form = Callable[[Path, Path], Sequence[str]]


def command(folder: Path, marks: Path) -> Sequence[str]:
    """Return the arguments of a worker that runs a command."""
    return ["--", "sh", "-c", SCRIPT.format(marks)]


def handlers(folder: Path, marks: Path) -> Sequence[str]:
    """Return the arguments of a worker that runs the handlers of a folder."""
    program = folder / "handlers" / "resize"
    if not program.exists():
        program.parent.mkdir()
        program.write_text(SCRIPT.format(marks))
        program.chmod(0o755)
    return ["--handlers", str(program.parent)]


def stream(folder: Path, marks: Path) -> Sequence[str]:
    """Return the arguments of a worker that keeps handlers running."""
    return ["--stream", "--", sys.executable, "-S", "-c", HANDLER.format(marks)]


@pytest.fixture
def service() -> Iterator[Service]:
    """A local SWF that holds a poll for a tenth of a second."""
    with local_service(hold=0.1) as service:
        service.flow("media")
        yield service


@pytest.mark.parametrize("form", [command, handlers, stream])
def test_each_task_ends_exactly_once(
    service: Service, service_env: dict[str, str], tmp_path: Path, form: Form
) -> None:
    """After SIGTERM and a restart, then `kill -9` and a restart, each task has one end, and none is left started.

    No command runs twice for one task. A task that SWF assigned to a poll whose response was lost, or whose worker
    was killed at that moment, is lost with its token: it times out, and `swf held` lists a lost poll.
    """
    flow, executions, began = service.flow("media"), [], time.monotonic()
    for number in range(0, TASKS, 500):
        executions.append(flow.start(f"storm-{number}"))
        count = min(500, TASKS - number)
        flow.decide(*(activity(str(n), startToCloseTimeout="900", input=str(n)) for n in range(count)))
    marks = tmp_path / "marks"
    marks.mkdir()
    logs = [tmp_path / f"log-{number}" for number in range(3)]
    seed = random.Random(5)

    def ended() -> int:
        return len(list(marks.glob("*.ended")))

    with FaultyProxy(service.url) as proxy, ExitStack() as stack:
        for fault, probability in FAULTS:
            proxy.on(None, fault, chance(probability, seed))
        env = {**service_env, "AWS_ENDPOINT_URL_SWF": proxy.url}

        def start(log: Path, *more: str) -> Any:
            stderr = stack.enter_context(log.open("w"))
            args = ["work", *OPTIONS, *more, *form(tmp_path, marks)]
            return stack.enter_context(started(*args, env=env, program=FAST_SWF, stderr=stderr))

        first = start(logs[0])
        wait_until(lambda: ended() >= TASKS // 3, timeout=120)
        first.terminate()
        assert first.wait(60) == 0
        second = start(logs[1])
        wait_until(lambda: ended() >= TASKS * 2 // 3, timeout=120)
        second.kill()
        second.wait()
        third = start(logs[2], "--idle-exit", "1s")
        assert third.wait(300) == 0
        calls, failed = len(proxy.calls), proxy.struck()
    with Ledger.from_env(service_env) as ledger:
        kinds = Counter(row.kind for row in ledger.list_held())
    assert kinds["task"] == 0
    lost = TASKS - sum(count_ends(service, executions).values())
    service.advance(901)
    ends = count_ends(service, executions)
    log = "".join(path.read_text() for path in logs)
    figures = f"{dict(ends)}; {failed} of {calls} calls failed; {dict(kinds)}; {time.monotonic() - began:.0f} s"
    _log.info("%s: %d tasks: %s", form.__name__, TASKS, figures)
    assert sum(ends.values()) == TASKS
    assert ends["TimedOut"] == lost <= kinds["broken_poll"]
    assert ends["Completed"] >= TASKS * 0.6
    assert ends["Failed"] <= 8
    assert not (marks / "twice").exists()
    assert all(path.read_text() == "end\n" for path in marks.glob("*.ended"))
    assert len(re.findall(r"\(worker died\)", log)) == ends["Failed"]
    assert "unexpected" not in log
    assert "the handler" not in log
    wait_until(lambda: not any(is_running(int(path.stem)) for path in marks.glob("*.pid")))


def count_ends(service: Service, executions: list[dict[str, str]]) -> Counter[str]:
    """Count the ends of tasks; each task has at most one."""
    ends: Counter[str] = Counter()
    for execution in executions:
        closed = []
        for event in service.all_events("media", execution):
            if event["eventType"] in ENDS:
                ends[ENDS[event["eventType"]]] += 1
                closed.append(attributes_of(event)["scheduledEventId"])
        assert len(closed) == len(set(closed))
    return ends
