"""Amazon SWF activity tasks: typed functions and values, and the `swf` command over them.

The names below are loaded when they are first used; importing this package loads no other.
"""

from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from .api import cancel_task, complete_task, fail_task, get_number_of_pending_tasks, request_task, send_heartbeat
    from .errors import Cancelled, IncompleteTask, SwfError, TaskNotOpen, UnknownResource
    from .models import ActivityId, ExecutionId, PartialTaskConfiguration, TaskConfiguration, WorkerTask, unset

__all__ = [
    "ActivityId",
    "Cancelled",
    "ExecutionId",
    "IncompleteTask",
    "PartialTaskConfiguration",
    "SwfError",
    "TaskConfiguration",
    "TaskNotOpen",
    "UnknownResource",
    "WorkerTask",
    "cancel_task",
    "complete_task",
    "fail_task",
    "get_number_of_pending_tasks",
    "request_task",
    "send_heartbeat",
    "unset",
]

# The modules of the public names; those of functions are in `api`.
_HOMES = {
    "errors": {"Cancelled", "IncompleteTask", "SwfError", "TaskNotOpen", "UnknownResource"},
    "models": {
        "ActivityId",
        "ExecutionId",
        "PartialTaskConfiguration",
        "TaskConfiguration",
        "WorkerTask",
        "unset",
    },
}


if not TYPE_CHECKING:  # a type checker would take any name for one of the package's

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        module = next((module for module, names in _HOMES.items() if name in names), "api")
        value = globals()[name] = getattr(import_module(f".{module}", __name__), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
