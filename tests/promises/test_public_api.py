"""The public names of the Python API, and what importing them loads."""

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from importlib.resources import files
from typing import TYPE_CHECKING, Any, assert_type

import pytest

import swf_cli

_CONFIGURATION = "heartbeat_timeout=_Sentinel(), priority=None"
SIGNATURES = {
    "ActivityId": "(name, version)",
    "ExecutionId": "(id, run_id)",
    "PartialTaskConfiguration": "(task_list=None, runtime_timeout=_Sentinel(), schedule_timeout=_Sentinel(), "
    f"total_timeout=_Sentinel(), {_CONFIGURATION})",
    "TaskConfiguration": f"(task_list, runtime_timeout, schedule_timeout, total_timeout, {_CONFIGURATION})",
    "WorkerTask": "(token, id, activity, execution, task_started_execution_history_event_id, input=None)",
    "PartialTaskConfiguration.from_api": "(data)",
    "PartialTaskConfiguration.get_api_args": "(self)",
    "TaskConfiguration.from_api": "(data)",
    "WorkerTask.from_api": "(data)",
    "cancel_task": "(token, details=None, client=None)",
    "complete_task": "(token, result=None, client=None)",
    "fail_task": "(token, reason=None, details=None, client=None)",
    "get_number_of_pending_tasks": "(task_list, domain, client=None)",
    "request_task": "(task_list, domain, worker_identity=None, no_tasks_callback=None, client=None)",
    "send_heartbeat": "(token, details=None, client=None)",
}
"""The parameters of the public functions and classes, their order and their defaults."""
EXCEPTIONS = {"Cancelled", "IncompleteTask", "SwfError", "TaskNotOpen", "UnknownResource"}


def find(path: str) -> Any:
    """Return what a dotted name under `swf_cli` stands for."""
    value: Any = swf_cli
    for name in path.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize(("path", "parameters"), SIGNATURES.items(), ids=SIGNATURES)
def test_signatures_do_not_change(path: str, parameters: str) -> None:
    """Every function and class takes these parameters, in this order, with these defaults, by position or by name."""
    signature = inspect.signature(find(path))
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    assert str(signature.replace(parameters=bare, return_annotation=signature.empty)) == parameters
    assert {p.kind for p in bare} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}


def test_types_are_spelled_with_a_bar() -> None:
    """A parameter that may be None is annotated `X | None`."""
    annotations = inspect.get_annotations(swf_cli.PartialTaskConfiguration)
    assert annotations == {
        "task_list": str | None,
        **dict.fromkeys(
            ("runtime_timeout", "schedule_timeout", "total_timeout", "heartbeat_timeout"), timedelta | None
        ),
        "priority": int | None,
    }
    annotations = inspect.get_annotations(swf_cli.request_task)
    assert annotations["no_tasks_callback"] == Callable[[], None] | None
    assert annotations["client"] == "botocore.client.BaseClient | None"
    assert annotations["return"] is swf_cli.WorkerTask


if TYPE_CHECKING:

    def _check_types(task: swf_cli.WorkerTask, configuration: swf_cli.TaskConfiguration) -> None:
        """Fail mypy if a name that is imported lazily loses its type."""
        assert_type(task.input, str | None)
        assert_type(task.activity, swf_cli.ActivityId)
        assert_type(task.execution, swf_cli.ExecutionId)
        assert_type(configuration.heartbeat_timeout, timedelta | None)
        assert_type(swf_cli.get_number_of_pending_tasks(task.id, task.token), int)
        assert_type(swf_cli.request_task("list", "domain"), swf_cli.WorkerTask)
        assert_type(swf_cli.PartialTaskConfiguration.from_api({}), swf_cli.PartialTaskConfiguration)
        assert_type(swf_cli.TaskNotOpen("closed").code, str)


def test_type_checkers_read_the_package() -> None:
    """The package has the marker without which type checkers ignore its annotations."""
    assert files("swf_cli").joinpath("py.typed").is_file()


def python(code: str) -> Any:
    """Run code in a fresh Python after `import swf_cli`; return the JSON that it prints."""
    code = f"import json, sys\nimport swf_cli\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("", id="import swf_cli"),
        pytest.param("dir(swf_cli)", id="dir"),
        pytest.param("from swf_cli import *", id="star"),
        pytest.param("swf_cli.request_task, swf_cli.WorkerTask, swf_cli.Cancelled", id="names"),
    ],
)
def test_importing_loads_neither_botocore_click_nor_rich(code: str) -> None:
    """Importing the package, or any name from it, loads none of its dependencies."""
    loaded = python(f"{code}\nprint(json.dumps(sorted(sys.modules)))")
    assert not {"botocore", "click", "rich", "jmespath", "urllib3"} & set(loaded)


def test_importing_the_package_loads_none_of_its_modules() -> None:
    """`import swf_cli` loads nothing but the version."""
    loaded = python("print(json.dumps([name for name in sys.modules if name.startswith('swf_cli')]))")
    assert sorted(loaded) == ["swf_cli", "swf_cli._version"]


def test_every_public_name_is_there() -> None:
    """Each public name is in `__all__`, is listed by dir(), and is found on first use."""
    code = "print(json.dumps([swf_cli.__all__, dir(swf_cli), [str(getattr(swf_cli, n)) for n in swf_cli.__all__]]))"
    public, listed, values = python(code)
    assert {path for path in SIGNATURES if "." not in path} | EXCEPTIONS | {"unset"} == set(public)
    assert set(public) <= set(listed)
    assert len(set(values)) == len(public)
    assert swf_cli.__version__


def test_public_exceptions_form_one_hierarchy() -> None:
    """`except SwfError` catches every error of a call; a cancellation is not an error."""
    assert issubclass(swf_cli.TaskNotOpen, swf_cli.UnknownResource)
    assert issubclass(swf_cli.UnknownResource, swf_cli.SwfError)
    assert not issubclass(swf_cli.Cancelled, swf_cli.SwfError)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    """An unknown name is an AttributeError that names it, even if a private one of that name exists."""
    for name in ("request_tasks", "call", "LIMITS"):
        with pytest.raises(AttributeError, match=f"'swf_cli' has no attribute '{name}'"):
            getattr(swf_cli, name)
    with pytest.raises(ImportError):
        exec("from swf_cli import request_tasks")
