"""A ledger that somebody else wrote to, deleted or replaced: nothing in it is trusted, and nothing is lost."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swf_cli.ledger.store import Ledger
from tests.helpers.clock import FakeClock
from tests.helpers.ledger import SOURCE, TASK, record_task

DATABASE = "ledger.sqlite3"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the ledger is kept."""
    return tmp_path / "state"


def spoil(folder: Path, column: str, value: Any) -> None:
    """Change a row behind the ledger's back."""
    with closing(sqlite3.connect(folder / DATABASE)) as database, database:
        database.execute(f"UPDATE held SET {column} = ? WHERE token = 'BAD'", (value,))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("key", "../../etc/passwd"),
        ("key", "$(touch x)"),
        ("key", "12345"),
        ("kind", "other"),
        ("holder", "../../home/me/.ssh/id_rsa"),
        ("holder", "holder-0123456789abcdef/../x"),
        ("holder", "holder-0123456789abcdef\n"),
        ("holder", ""),
        ("token", b"\x00\x01"),
        ("token", "t" * 1_025),
        ("id", ""),
        ("workflow_id", "w" * 257),
        ("run_id", None),
        ("run_id", b"\xff\xfe"),
        ("started_event_id", 0),
        ("started_event_id", 2**31),
        ("domain", "d" * 257),
        ("host", ""),
        ("pid", 0),
        ("pid", 2**31),
        ("pid", "1; rm -rf /"),
        ("taken_by", "somebody"),
        ("taken_at", "today"),
        ("taken_at", -1.0),
        ("taken_at", 1e300),
        ("region", "us-east-1/../x"),
        ("endpoint", "file:///etc/passwd"),
        ("endpoint", "http://"),
        ("process_group", 1),
        ("process_group", 0),
        ("process_group", -1),
        ("process_group", "all"),
        ("process_group", 2**31),
    ],
)
def test_a_bad_row_is_skipped_and_the_others_are_shown(
    column: str, value: Any, folder: Path, log: pytest.LogCaptureFixture
) -> None:
    """It is logged, once, and neither found by its key or token, nor shown, nor acted on."""
    with Ledger(folder) as writer:
        good = record_task(writer, replace(TASK, token="GOOD"))
        record_task(writer, replace(TASK, token="BAD"))
        spoil(folder, column, value)
        with Ledger(folder) as ledger:
            assert [held.key for held in ledger.list_held()] == [good]
            assert [held.key for held in ledger.list_held()] == [good]
            assert ledger.find_token("BAD") is None
            (warning,) = [record.getMessage() for record in log.records if "skipping row" in record.getMessage()]
            assert ledger.is_usable
    assert column.replace("_", " ") in warning.replace("_", " ").lower()


@pytest.mark.parametrize("value", ["", "t" * 1_025, b"\x00"])
def test_a_bad_token_of_a_lost_poll(value: Any, folder: Path, log: pytest.LogCaptureFixture) -> None:
    """It is checked as that of a task."""
    with Ledger(folder) as writer:
        writer.record_poll(SOURCE, "poll").mark_lost("BAD")
        spoil(folder, "token", value)
        with Ledger(folder) as ledger:
            assert ledger.list_held() == []
    assert "token" in log.messages[0]


def test_a_token_of_a_poll_in_flight_is_ignored(folder: Path) -> None:
    """No poll has one before SWF responds."""
    with Ledger(folder) as writer:
        writer.record_poll(SOURCE, "poll").mark_lost("BAD")
        spoil(folder, "holder_start", None)
        spoil(folder, "kind", "poll")
    with Ledger(folder) as ledger:
        (held,) = ledger.list_held()
        assert (held.kind, held.token, ledger.find_token("BAD")) == ("broken_poll", None, None)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("key", "12345678"),
        ("key", "0123456789abcdef" * 4),
        ("pid", 1),
        ("pid", 2**31 - 1),
        ("started_event_id", 1),
        ("started_event_id", 2**31 - 1),
        ("process_group", 2),
        ("process_group", 2**31 - 1),
        ("host", "h"),
        ("host", "h" * 1_024),
        ("region", "r-1"),
        ("taken_at", 0.0),
        ("taken_at", 4_102_444_799.0),
    ],
)
def test_a_row_at_the_limits_is_shown(column: str, value: Any, folder: Path, log: pytest.LogCaptureFixture) -> None:
    """What may just be is no reason to skip a row."""
    with Ledger(folder) as writer:
        writer.set_command(record_task(writer, replace(TASK, token="BAD")), 12_345, "1:2")
        spoil(folder, column, value)
        with Ledger(folder) as ledger:
            (held,) = ledger.list_held()
    assert held.token == "BAD"
    assert log.messages == []


def test_deleted_files_are_noticed_and_rows_written_again(folder: Path) -> None:
    """A process whose ledger somebody deletes goes on with a new one, which has all that the process holds."""
    clock = FakeClock()
    with Ledger(folder, monotonic=clock) as ledger:
        first = record_task(ledger, replace(TASK, token="FIRST"))
        shutil.rmtree(folder)
        clock.now += 2
        second = record_task(ledger, replace(TASK, token="SECOND"))
        with Ledger(folder) as other:
            assert {held.key: held.token for held in other.list_held()} == {first: "FIRST", second: "SECOND"}


def test_a_replaced_file_is_noticed_too(folder: Path) -> None:
    """The same if another database stands in its place, such as one from a backup."""
    clock = FakeClock()
    with Ledger(folder, monotonic=clock) as ledger:
        first = record_task(ledger, replace(TASK, token="FIRST"))
        (folder / DATABASE).rename(folder / "backup")
        clock.now += 2
        second = record_task(ledger, replace(TASK, token="SECOND"))
        with Ledger(folder) as other:
            assert {held.key for held in other.list_held()} == {first, second}


def test_a_poll_that_could_not_be_recorded_is_recorded_with_its_task(folder: Path) -> None:
    """If the ledger fails when the poll begins and works when the task arrives, the task is recorded."""
    clock = FakeClock()
    folder.parent.joinpath("state").write_text("in its place")
    with Ledger(folder, monotonic=clock) as ledger, ledger.record_poll(SOURCE, "poll") as record:
        folder.unlink()
        clock.now += 60
        assert record.assign(TASK)
        assert ledger.find_token(TASK.token) is not None


def test_a_ledger_of_the_first_version_is_read_and_upgraded(folder: Path) -> None:
    """Rows that an older version wrote are still there."""
    with Ledger(folder) as ledger:
        key = record_task(ledger)
    with closing(sqlite3.connect(folder / DATABASE)) as database, database:
        database.execute("ALTER TABLE held DROP COLUMN holder_start")
        database.execute("PRAGMA user_version = 1")
    with Ledger(folder) as ledger:
        assert [held.key for held in ledger.list_held()] == [key]
        record_task(ledger, replace(TASK, token="NEW"))
        assert len(ledger.list_held()) == 2
