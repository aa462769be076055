"""The hierarchy of errors, and the facts that an error carries."""

import copy
import pickle

from swf_cli.errors import (
    Cancelled,
    IncompleteTask,
    OutcomeUnknown,
    Signalled,
    SwfError,
    TaskNotOpen,
    ThrottlingError,
    explain_unexpected,
)


def make_error() -> SwfError:
    """Return an error with every fact."""
    return ThrottlingError(
        "slow down",
        code="Throttling",
        request_id="R",
        retry_attempts=2,
        retry_after=3.0,
        possibly_executed=True,
        hint="wait",
    )


FACTS = {"code": "Throttling", "request_id": "R", "retry_attempts": 2, "retry_after": 3.0, "possibly_executed": True}


def test_cancellations_and_signals_are_not_errors() -> None:
    """`except SwfError` does not catch a cancellation, nor `except Exception` a signal."""
    assert issubclass(Cancelled, Exception)
    assert not issubclass(Cancelled, SwfError)
    assert not issubclass(Signalled, Exception)
    assert Signalled(15).number == 15


def test_a_copy_as_another_class_keeps_the_facts() -> None:
    """A copy has the facts of the error; its message and hint are replaced only by others that are given."""
    same = OutcomeUnknown.from_error(make_error())
    other = OutcomeUnknown.from_error(make_error(), "who knows", "ask")
    assert type(same) is type(other) is OutcomeUnknown
    assert vars(same) == {**FACTS, "message": "slow down", "hint": "wait"}
    assert vars(other) == {**FACTS, "message": "who knows", "hint": "ask"}
    assert (str(same), str(other)) == ("slow down", "who knows")


def test_a_copy_of_an_incomplete_task_keeps_its_token() -> None:
    """The token is all that closes the task."""
    assert IncompleteTask.from_error(IncompleteTask("it has no input", token="T"), "it is incomplete").token == "T"


def test_a_thread_that_cannot_be_started() -> None:
    """Python does not say which limit is reached: that on processes, or that on memory."""
    message, hint = explain_unexpected(RuntimeError("can't start new thread"))
    assert message == "cannot start another thread"
    assert hint == "raise the limit on processes (`ulimit -u`) or memory (`ulimit -v`), or those of the container"


def test_an_error_without_a_fault_has_no_facts() -> None:
    """An error that is not a fault of SWF has an empty code, no request, no retries and no hint."""
    assert vars(TaskNotOpen("why")) == {
        "message": "why",
        "code": "",
        "request_id": None,
        "retry_attempts": 0,
        "retry_after": 0.0,
        "possibly_executed": False,
        "hint": None,
    }


def test_errors_can_be_copied_and_pickled() -> None:
    """An error that was copied or pickled, by a process pool for example, keeps its class and facts."""
    for again in (copy.copy(make_error()), pickle.loads(pickle.dumps(make_error()))):
        assert type(again) is ThrottlingError
        assert vars(again) == vars(make_error())
