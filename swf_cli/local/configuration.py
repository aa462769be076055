"""The settings of an execution: those that are given, else the defaults of its workflow type."""

from collections.abc import Mapping
from typing import Any, Final

REQUIRED: Final = {
    "executionStartToCloseTimeout": "EXECUTION_START_TO_CLOSE_TIMEOUT",
    "taskList": "TASK_LIST",
    "taskStartToCloseTimeout": "TASK_START_TO_CLOSE_TIMEOUT",
    "childPolicy": "CHILD_POLICY",
}
"""Required settings in the order in which SWF checks them, and their names in a cause."""

_OPTIONAL: Final = ("taskPriority", "lambdaRole")


def effective_configuration(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the effective settings, without those that neither are given nor have a default."""
    found = {
        name: given.get(name) or defaults.get(f"default{name[0].upper()}{name[1:]}")
        for name in (*REQUIRED, *_OPTIONAL)
    }
    return {name: value for name, value in found.items() if value is not None}


def first_missing(configuration: Mapping[str, Any]) -> str | None:
    """Return the name of the first required setting that is missing, or None."""
    return next((name for name in REQUIRED if name not in configuration), None)
