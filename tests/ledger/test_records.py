"""Rows as values: whatever is recorded can be read back, or a task would be lost with its process."""

import os
import socket
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st

from swf_cli.ledger.records import PollSource, check_row, command_pid
from swf_cli.ledger.store import Ledger
from swf_cli.models import LIMITS, ActivityId, ExecutionId, WorkerTask
from swf_cli.processes import host_name, start_id
from tests.helpers.held import held_task
from tests.helpers.ledger import SOURCE, TASK, record_task


def texts(kind: str) -> st.SearchStrategy[str]:
    """Return texts of a kind: any that SWF accepts, and often the longest ones."""
    minimum, maximum = LIMITS[kind]
    characters = st.characters(exclude_categories=["Cs"])
    longest = characters.map(lambda character: character * maximum)
    return st.one_of(st.text(characters, min_size=minimum, max_size=maximum), longest)


def names() -> st.SearchStrategy[str]:
    """Return names as a system may have them."""
    return st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=255)


SOURCES = st.builds(
    PollSource,
    domain=texts("domain"),
    task_list=texts("task list"),
    identity=texts("identity"),
    profile=st.none() | names(),
    region=st.from_regex("[a-zA-Z0-9]([a-zA-Z0-9-]{,61}[a-zA-Z0-9])?", fullmatch=True),  # what botocore accepts
    endpoint=st.sampled_from(
        ["http://127.0.0.1:5000", "HTTPS://swf.Local.amazonaws.com/", "http://[fe80::1%25e0]:80"]
    ),
)
TASKS = st.builds(
    WorkerTask,
    token=texts("token"),
    id=texts("activity ID"),
    activity=st.builds(ActivityId, texts("activity name"), texts("activity version")),
    execution=st.builds(ExecutionId, texts("workflow ID"), texts("run ID")),
    task_started_execution_history_event_id=st.integers(1, 2**31 - 1),
    input=st.none(),
)


@settings(max_examples=30)
@given(SOURCES, TASKS, st.just("") | names(), st.none() | names())
@example(SOURCE, TASK, "", None)
def test_what_is_recorded_is_valid(source: PollSource, task: WorkerTask, host: str, start: str | None) -> None:
    """A poll, a task, its command, a lost poll, and one of which only the token is known."""
    host_name.cache_clear()
    try:
        with (
            patch.object(socket, "gethostname", lambda: host),
            tempfile.TemporaryDirectory() as folder,
            Ledger(Path(folder)) as ledger,
        ):
            key = record_task(ledger, task, source, "work")
            ledger.set_command(key, 4_711, start)
            ledger.record_poll(source, "poll")
            ledger.record_poll(source, "work").mark_lost()
            ledger.record_poll(source, "work").mark_lost(task.token)
            with closing(sqlite3.connect(Path(folder, "ledger.sqlite3"))) as database:
                database.row_factory = sqlite3.Row
                rows = database.execute("SELECT * FROM held").fetchall()
            assert len(rows) == 4
            for row in rows:
                check_row(row)
            assert ledger.find_key(key).group == (start and 4_711)
    finally:
        host_name.cache_clear()


def test_the_command_of_a_task_is_the_process_that_was_started_for_it() -> None:
    """A command that has ended, even if it is a zombie, or another process with its ID is not the task's."""
    with subprocess.Popen(["sleep", "60"]) as process:
        started = start_id(process.pid)
        assert started is not None
        held = held_task(group=process.pid, group_start_id=started)
        assert command_pid(held) == process.pid
        assert command_pid(held_task(group=process.pid, group_start_id=started + "0")) is None
        assert command_pid(held_task(group=process.pid)) is None
        assert command_pid(held_task(group_start_id=started)) is None
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert command_pid(held) is None
    assert command_pid(held) is None
    assert command_pid(held_task(group=process.pid)) is None
