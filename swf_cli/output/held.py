"""What this machine holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from ..models import format_activity
from ..processes import format_kill
from ..times import format_duration, iso_time
from .cards import cell, join
from .format import Output
from .tables import table

if TYPE_CHECKING:
    from rich.text import Text

    from ..invocation import Invocation
    from ..ledger.records import HeldTask

# Nobody knows whether the script that `swf poll` gave a task to is alive, nor some processes on other hosts.
_HOLDERS: Final = {True: "alive", False: "dead", None: "unknown"}


def show_held(
    output: Output,
    rows: Sequence[HeldTask],
    commands: Mapping[str, int],
    now: float,
    if_empty: str,
    invocation: Invocation,
) -> None:
    """Print what this machine holds; `if_empty` is the message if that is nothing.

    `commands` has the process IDs of the commands that still run, by the key of their row; `invocation` formats what
    to do about a task.
    """
    output.emit(
        [_row(held, commands.get(held.key)) for held in rows],
        screen=lambda width: _screen(rows, commands, now, width, invocation) if rows else cell(if_empty, "dim"),
        text=[_text_fields(held) for held in rows],
    )


def _row(held: HeldTask, command_pid: int | None) -> dict[str, Any]:
    row = asdict(held) | {"taken_at": iso_time(held.taken_at), "command_pid": command_pid}
    del row["group"], row["group_start_id"]
    return row


def _text_fields(held: HeldTask) -> tuple[Any, ...]:
    return (
        held.key,
        held.kind,
        held.id,
        held.execution and held.execution.id,
        held.task_list,
        held.domain,
        _HOLDERS[held.holder_alive],
        iso_time(held.taken_at),
    )


def _screen(
    rows: Sequence[HeldTask], commands: Mapping[str, int], now: float, width: int, invocation: Invocation
) -> Text:
    names = ("key", "task", "workflow", "activity", "task list", "domain", "taken", "taken by", "holder")
    drawn = table(
        names,
        [
            (
                held.key,
                held.id or cell(held.name, "dim"),
                held.execution.id if held.execution else "",
                format_activity(held.activity) if held.activity else "",
                held.task_list,
                held.domain,
                f"{format_duration(now - held.taken_at)} ago",
                held.taken_by,
                _HOLDERS[held.holder_alive],
            )
            for held in rows
        ],
        width,
    )
    orphans = [
        _advise(held, commands.get(held.key), invocation)
        for held in rows
        if held.holder_alive is False and held.token
    ]
    return join([drawn, join(orphans)], "\n\n") if orphans else drawn


def _advise(held: HeldTask, command_pid: int | None, invocation: Invocation) -> Text:
    if command_pid is not None:
        advice = "To stop the command, with KILL if it ignores TERM"
        kill = format_kill(command_pid)
        return cell(f"{held.key}: its worker has died, but its command still runs. {advice}: {kill}")
    command = invocation.format_held("fail", held.key, held.endpoint, "--reason", "worker died")
    return cell(f"{held.key}: its worker has died. To fail the task: {command}")
