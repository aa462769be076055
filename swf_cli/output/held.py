"""What this machine holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .format import Output
from .tables import format_duration, iso_time, table
from .terminal import print_stderr

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..ledger.records import HeldTask


def show_held(output: Output, rows: Sequence[HeldTask], now: float) -> None:
    """Write what this machine holds: a table, JSON, or a line each of key, kind, id and workflow id."""
    text = "\n".join(f"{held.key}\t{held.kind}\t{held.id or ''}\t{_workflow(held)}" for held in rows)
    output.show([_held_shape(held) for held in rows], table=lambda: _held_table(rows, now), text=text)
    for held in rows:
        if held.kind == "task" and held.holder_alive is False:
            print_stderr(f"hint: whoever held {held.key} has died: swf fail --held {held.key} --reason 'worker died'")


def _held_shape(held: HeldTask) -> dict[str, Any]:
    shape = asdict(held) | {"taken_at": iso_time(held.taken_at)}
    del shape["group"], shape["group_started"]
    return shape


def _workflow(held: HeldTask) -> str:
    return held.execution.id if held.execution else ""


def _held_table(rows: Sequence[HeldTask], now: float) -> RenderableType:
    # Of a task that `swf poll` took, whoever it told may live or not.
    holders = {True: "alive", False: "dead", None: "unknown"}
    return table(
        ("key", "task", "activity", "workflow", "task list", "taken", "by", "holder"),
        [
            (
                held.key,
                held.id or "a poll that broke",
                f"{held.activity.name} {held.activity.version}" if held.activity else "",
                _workflow(held),
                f"{held.task_list} in {held.domain}",
                f"{format_duration(now - held.taken_at)} ago",
                held.taken_by,
                holders[held.holder_alive],
            )
            for held in rows
        ],
        whole=("key", "taken", "by", "holder"),
    )
