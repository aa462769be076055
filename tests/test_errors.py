"""The tree of errors, and the exit codes they lead to."""

import copy
import pickle

import pytest

from swf_cli import errors
from swf_cli.errors import (
    AccessError,
    Cancelled,
    CheckFailed,
    ConfigurationError,
    ExitCode,
    InvalidRequest,
    InvalidResponseError,
    LimitExceededError,
    NetworkError,
    NoTaskReceived,
    OutcomeUnknown,
    OutputError,
    ServiceError,
    Signalled,
    SwfError,
    TaskClosed,
    TaskNotOpen,
    ThrottlingError,
    UnknownResource,
)

EXIT_CODES = {
    SwfError: 1,
    UnknownResource: 1,
    InvalidRequest: 1,
    LimitExceededError: 1,
    ThrottlingError: 1,
    ServiceError: 1,
    NetworkError: 1,
    InvalidResponseError: 1,
    OutputError: 1,
    ConfigurationError: 2,
    NoTaskReceived: 3,
    TaskNotOpen: 5,
    TaskClosed: 5,
    OutcomeUnknown: 6,
    AccessError: 7,
    CheckFailed: 8,
}


def test_exit_codes_are_the_contracts() -> None:
    """The exit codes are the contract's table."""
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0,
        "REFUSED": 1,
        "USAGE": 2,
        "NO_TASK": 3,
        "CANCEL_REQUESTED": 4,
        "NOT_OPEN": 5,
        "UNKNOWN": 6,
        "NO_ACCESS": 7,
        "CHECK_FAILED": 8,
    }


@pytest.mark.parametrize(("kind", "code"), EXIT_CODES.items(), ids=lambda value: getattr(value, "__name__", value))
def test_each_kind_has_its_exit_code(kind: type[SwfError], code: int) -> None:
    """Each kind of error is an SwfError, and leads to the contract's exit code."""
    assert issubclass(kind, SwfError)
    assert kind("why").exit_code == code


def test_no_kind_is_forgotten() -> None:
    """Whatever else the room of errors has is no SwfError: a new kind needs its line in the table above."""
    kinds = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, SwfError)}
    assert kinds == set(EXIT_CODES)


def test_cancellation_and_signals_are_no_errors() -> None:
    """`except SwfError` does not catch a cancellation, nor `except Exception` a signal."""
    assert issubclass(Cancelled, Exception)
    assert not issubclass(Cancelled, SwfError)
    assert not issubclass(Signalled, Exception)
    assert Signalled(15).number == 15


def make() -> SwfError:
    """Make an error that knows everything."""
    return ThrottlingError(
        "slow down", code="Throttling", request_id="R", retry_attempts=2, possibly_executed=True, hint="wait"
    )


FACTS = {"code": "Throttling", "request_id": "R", "retry_attempts": 2, "possibly_executed": True}


def test_an_error_of_another_kind_keeps_the_facts() -> None:
    """An error made from one of another kind has the same facts; its words only when it has none of its own."""
    same = OutcomeUnknown.of(make())
    other = OutcomeUnknown.of(make(), "who knows", "ask")
    assert type(same) is type(other) is OutcomeUnknown
    assert vars(same) == {**FACTS, "message": "slow down", "hint": "wait"}
    assert vars(other) == {**FACTS, "message": "who knows", "hint": "ask"}
    assert (str(same), str(other)) == ("slow down", "who knows")


def test_an_error_knows_no_more_than_it_is_told() -> None:
    """Without a fault of SWF's behind it, an error has an empty code, no request, no tries, no hint."""
    assert vars(SwfError("why")) == {
        "message": "why",
        "code": "",
        "request_id": None,
        "retry_attempts": 0,
        "possibly_executed": False,
        "hint": None,
    }


def test_errors_survive_a_trip_between_processes() -> None:
    """An error that was copied or pickled (by a process pool, say) has its facts still."""
    for again in (copy.copy(make()), pickle.loads(pickle.dumps(make()))):
        assert type(again) is ThrottlingError
        assert vars(again) == vars(make())
