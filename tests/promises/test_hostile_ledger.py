"""Rows that somebody else put in the ledger: nothing is run, deleted, signalled or sent, and the others are shown."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from swf_cli.ledger.records import PollSource
from swf_cli.ledger.store import Ledger
from swf_cli.models import ActivityId, ExecutionId, WorkerTask
from tests.helpers.cli import Result, invoke, run
from tests.helpers.operations import FAIL, HISTORY, LIST_OPEN, POLL
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import CONTROLS, error_line

STRANGER = "http://stranger.test:8000"
"""An address whose requests go to the proxy that the tests set, which records them."""

HOSTILE: list[dict[str, Any]] = [
    {"key": "../../victim"},
    {"key": "$(touch ran)"},
    {"key": "abcd1234; touch ran"},
    {"key": "-rf"},
    {"key": b"\x00\xff"},
    {"kind": "anything"},
    {"holder": "../../victim"},
    {"holder": "/etc/passwd"},
    {"holder": "holder-0123456789abcdef/../../victim"},
    {"holder": b"\x00"},
    *({"process_group": group, "group_started": "x"} for group in (1, 0, -1, "all", 2**63 - 1, 1.5)),
    {"process_group": 4_000_000, "group_started": None},
    {"taken_at": "yesterday"},
    {"taken_at": 1e300},
    {"taken_at": -1},
    {"pid": -1},
    {"token": None},
    {"token": "t" * 1_000_000},
    {"token": "a\x00b".encode("utf-16")},
    {"id": ""},
    {"workflow_id": "w" * 257},
    {"run_id": b"\xff"},
    {"domain": ""},
    {"host": "h" * 5_000},
    {"host": "a\x00b"},
    {"region": "us-east-1.stranger.test/"},
    {"region": "$(touch ran)"},
    {"endpoint": "file:///etc/passwd"},
    {"endpoint": "http://stranger.test:8000\\@127.0.0.1"},
    {"endpoint": "http://127.0.0.1@stranger.test:8000"},
    {"endpoint": "http://stranger.test:8000\n"},
    {"endpoint": 7},
    {"profile": b"\xff\xfe"},
    {"taken_by": "root"},
]
"""Changes to a row, each of which makes it invalid."""


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that hostile rows name, two folders above the ledger's."""
    victim = tmp_path.parent / "victim"
    victim.write_text("untouched")
    return victim


@pytest.fixture
def bystander() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that leads its group, and has nothing to do with any task."""
    process = subprocess.Popen(["sleep", "100"], process_group=0)
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def away() -> Iterator[StubService]:
    """What the requests reach that leave this machine."""
    service = StubService()
    yield service
    service.close()


@pytest.fixture
def ledger_env(env: dict[str, str], stub: StubService, away: StubService, tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing but the stub is reached directly. It accepts failures, and has no tasks."""
    stub.reply(POLL, {})
    stub.reply(LIST_OPEN, {"executionInfos": []})
    stub.reply(FAIL)
    end = {"scheduledEventId": 5, "startedEventId": 6, "timeoutType": "START_TO_CLOSE"}
    event = {"eventId": 7, "eventTimestamp": 1.0, "eventType": "ActivityTaskTimedOut"}
    stub.reply(HISTORY, {"events": [event | {"activityTaskTimedOutEventAttributes": end}]})
    return env | {"HTTP_PROXY": away.url, "NO_PROXY": "127.0.0.1", "SWF_STATE_DIR": str(tmp_path / "a" / "b")}


def fill(env: dict[str, str], endpoint: str, *changes: dict[str, Any]) -> str:
    """Put a row in the ledger as a dead worker leaves it, and behind its back one for each change; return its key."""
    folder = Path(env["SWF_STATE_DIR"])
    source = PollSource("media", "work", "me", None, "us-east-1", endpoint)
    task = WorkerTask("GOOD", "resize-1", ActivityId("resize", "1"), ExecutionId("video-7", "RUN"), 6)
    with Ledger(folder) as ledger, ledger.record_poll(source, "work") as record:
        assert record.assign(task)
    with closing(sqlite3.connect(folder / "ledger.sqlite3")) as database, database:
        database.row_factory = sqlite3.Row
        good = dict(database.execute("SELECT * FROM held").fetchone())
        for number, change in enumerate(changes):
            row = good | {"key": f"{number:08x}", "token": f"EVIL-{number}"} | change
            values = ", ".join(f":{name}" for name in row)
            database.execute(f"INSERT INTO held ({', '.join(row)}) VALUES ({values})", row)
    return record.key


def work(env: dict[str, str]) -> Result:
    """Run a worker on the list of the rows until it has been idle for a second."""
    return run("work", "-d", "media", "-t", "work", "--idle-exit", "1s", "--", "true", env=env)


def test_a_bad_row_is_skipped_by_every_command(
    stub: StubService, away: StubService, ledger_env: dict[str, str], victim: Path, tmp_path: Path
) -> None:
    """Each is logged once and ignored, the good row is shown, and nothing that a bad one names is touched."""
    key = fill(ledger_env, stub.url, *HOSTILE)
    held = invoke("held", env=ledger_env)
    assert [row["key"] for row in held.json] == [key]
    assert held.stderr.count("skipping row") == len(HOSTILE)
    assert held.code == 0
    assert not CONTROLS.search(held.stderr.replace("\n", ""))
    for form in ("table", "text"):
        assert key in invoke("held", "-o", form, env=ledger_env).stdout
    assert without_skipped(invoke("stuck", "-d", "media", env=ledger_env)) == Result("[]\n", "", 0)
    for row in ("../../victim", "$(touch ran)", "abcd1234", "0000000", "/"):
        error_line(without_skipped(invoke("fail", "--held", row, env=ledger_env)), 2, "--held")
    assert invoke("held", "--prune", env=ledger_env).json == []
    assert work(ledger_env).code == 0
    assert FAIL not in stub.operations()
    assert away.requests == []
    assert victim.read_text() == "untouched"
    assert Path("/etc/passwd").exists()
    assert not list(tmp_path.rglob("ran"))


def without_skipped(result: Result) -> Result:
    """Return a result without the lines about rows that were skipped."""
    lines = [line for line in result.stderr.splitlines(keepends=True) if "skipping row" not in line]
    return Result(result.stdout, "".join(lines), result.code)


def test_no_group_but_a_commands_own_is_signalled(
    stub: StubService, ledger_env: dict[str, str], bystander: "subprocess.Popen[bytes]"
) -> None:
    """A number that another process leads now is none: a worker fails the task, and signals nothing."""
    groups = (bystander.pid, os.getpgid(0), 2**31 - 1)
    fill(ledger_env, stub.url, *({"process_group": group, "group_started": "another"} for group in groups))
    assert [row["command_pid"] for row in invoke("held", env=ledger_env).json] == [None] * 4
    assert work(ledger_env).code == 0
    assert stub.operations().count(FAIL) == 4
    assert bystander.poll() is None


def test_nothing_goes_to_a_strangers_address(
    stub: StubService, away: StubService, ledger_env: dict[str, str]
) -> None:
    """A row whose endpoint is elsewhere and not encrypted is shown, and what would call it is refused.

    Until the address is confirmed: then the request is sent.
    """
    key, evil = fill(ledger_env, stub.url, {"endpoint": STRANGER}), "00000000"
    for command in ("complete", "fail", "cancel", "heartbeat"):
        hint = error_line(invoke(command, "--held", evil, env=ledger_env), 2, evil, STRANGER, "not encrypted")
        assert "--endpoint-url" in hint
    assert {row["key"] for row in invoke("held", env=ledger_env).json} == {key, evil}
    assert invoke("stuck", "-d", "media", env=ledger_env).code == 0
    assert work(ledger_env).code == 0
    pruned = invoke("held", "--prune", env=ledger_env)
    assert [row["key"] for row in pruned.json] == [evil]
    assert f"{evil} is kept" in pruned.stderr
    assert away.requests == []
    away.reply(FAIL)
    assert invoke("fail", "--held", evil, "--endpoint-url", STRANGER, env=ledger_env).code == 0
    assert away.requests == [(FAIL, {"taskToken": "EVIL-0"})]
