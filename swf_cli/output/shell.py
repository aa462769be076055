"""A task as shell text."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Final

from .escaping import escape_controls

if TYPE_CHECKING:
    from ..models import WorkerTask


EVAL_VARIABLES: Final = (
    "SWF_TASK_TOKEN",
    "SWF_TASK_ID",
    "SWF_ACTIVITY_NAME",
    "SWF_ACTIVITY_VERSION",
    "SWF_WORKFLOW_ID",
    "SWF_RUN_ID",
)


def shell_task(task: WorkerTask) -> str:
    """Return a task as shell text, safe for `eval` whatever its input holds.

    The input is unset first, since a variable that was exported before would be exported again, and may be too
    long for the environment of any further command.
    """
    values = (
        task.token,
        task.id,
        task.activity.name,
        task.activity.version,
        task.execution.id,
        task.execution.run_id,
    )
    exports = (f"export {name}={_quote(value)}" for name, value in zip(EVAL_VARIABLES, values, strict=True))
    task_input = f"unset SWF_TASK_INPUT; SWF_TASK_INPUT={_quote(task.input or '')}"
    return "".join(f"{line}\n" for line in (*exports, task_input))


def shell_no_task(code: int) -> str:
    """Return shell text that leaves no task behind and gives `eval` an exit code, so that `set -e` stops."""
    return f"unset {' '.join(EVAL_VARIABLES)} SWF_TASK_INPUT; (exit {code})\n"


def _quote(value: str) -> str:
    # A terminal evaluates nothing, but obeys control characters. No shell variable holds a NUL.
    return shlex.quote(escape_controls(value) if sys.stdout.isatty() else value.replace("\0", ""))
