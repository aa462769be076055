"""Validation of requests against SWF's service model, and the names that SWF forbids."""

from typing import Any

import pytest

from swf_cli.local.faults import Fault
from swf_cli.local.service_model import NAMES, ServiceModel
from tests.helpers.flow import decision, refused

MODEL = ServiceModel()
FORBIDDEN = ["a:b", "a/b", "a|b", "a\nb", "\x00", "a\x7f", "\x9f", " a", "a ", "\ta", "a\u2003", "arn"]
ALLOWED = ["a", "a b", "é", "arn2", "ARN", "my-arn", "a.b_c-d", "\U0001f600", "a\\b", "{a}"]
TOKEN = {"taskToken": "t"}


def smallest(shape_name: str, **given: Any) -> Any:
    """Return a value of a shape that has only the required members, and `given`."""
    shape = MODEL.shapes[shape_name]
    if shape["type"] == "structure":
        needed = {name: smallest(shape["members"][name]["shape"]) for name in shape.get("required", ())}
        return {**needed, **given}
    if shape["type"] == "string":
        return shape.get("enum", ["1"])[0]
    return {"list": [], "timestamp": 0, "integer": 1, "boolean": True}[shape["type"]]


def places(shape_name: str, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the paths to all names in a structure, but for the decisions of a response."""
    found = []
    for name, member in MODEL.shapes[shape_name]["members"].items():
        inner = (*path, name)
        if member["shape"] in NAMES:
            found.append(inner)
        elif MODEL.shapes[member["shape"]]["type"] == "structure":
            found += places(member["shape"], inner)
    return found


def with_name(shape_name: str, path: tuple[str, ...], name: str) -> dict[str, Any]:
    """Return a structure that is valid but for one name."""
    first, *rest = path
    shape = MODEL.shapes[shape_name]["members"][first]["shape"]
    value: Any = with_name(shape, tuple(rest), name) if rest else name
    structure: dict[str, Any] = smallest(shape_name, **{first: value})
    return structure


OPERATIONS = [(operation, path) for operation, shape in MODEL.inputs.items() for path in places(shape)]
DECISIONS = [
    (member.removesuffix("DecisionAttributes"), path)
    for member, value in MODEL.shapes["Decision"]["members"].items()
    if member != "decisionType"
    for path in places(value["shape"])
]


def test_there_are_many_places() -> None:
    """The tests below cover all operations that take a name, and eight decisions."""
    assert len({operation for operation, _ in OPERATIONS}) == 31
    assert {name for name, _ in DECISIONS} == {
        "cancelTimer",
        "continueAsNewWorkflowExecution",
        "requestCancelActivityTask",
        "requestCancelExternalWorkflowExecution",
        "scheduleActivityTask",
        "signalExternalWorkflowExecution",
        "startChildWorkflowExecution",
        "startTimer",
    }


@pytest.mark.parametrize(("operation", "path"), OPERATIONS, ids=lambda value: ".".join(value) if value[0] else "")
def test_names_in_operations(operation: str, path: tuple[str, ...]) -> None:
    """Every member of an operation that is a name rejects forbidden names and accepts others."""
    for name in FORBIDDEN:
        with refused("ValidationException", f"Invalid {path[-1]}: {name}"):
            MODEL.validate(operation, with_name(MODEL.inputs[operation], path, name))
    for name in ALLOWED:
        MODEL.validate(operation, with_name(MODEL.inputs[operation], path, name))


@pytest.mark.parametrize(("name", "path"), DECISIONS)
def test_names_in_decisions(name: str, path: tuple[str, ...]) -> None:
    """Likewise every member of a decision."""
    shape = MODEL.shapes["Decision"]["members"][f"{name}DecisionAttributes"]["shape"]
    decision_type = name[0].upper() + name[1:]
    for forbidden in FORBIDDEN:
        wrong = decision(decision_type, **with_name(shape, path, forbidden))
        with refused("ValidationException", f"Invalid {path[-1]}: {forbidden}"):
            MODEL.validate("RespondDecisionTaskCompleted", {**TOKEN, "decisions": [wrong]})
    for allowed in ALLOWED:
        right = decision(decision_type, **with_name(shape, path, allowed))
        MODEL.validate("RespondDecisionTaskCompleted", {**TOKEN, "decisions": [right]})


@pytest.mark.parametrize(
    ("operation", "args"),
    [
        ("SignalWorkflowExecution", {"domain": "d", "workflowId": "w", "signalName": "a:b/c|d ", "runId": "22a/b="}),
        ("PollForActivityTask", {"domain": "d", "taskList": {"name": "l"}, "identity": "host:1 "}),
        ("RespondDecisionTaskCompleted", {**TOKEN, "decisions": [decision("RecordMarker", markerName="a:b")]}),
    ],
    ids=["signal-and-run-id", "identity", "marker"],
)
def test_other_texts_are_free(operation: str, args: dict[str, Any]) -> None:
    """Signal names, run IDs, identities and marker names are not names in this sense."""
    MODEL.validate(operation, args)


def domain(days: str) -> tuple[str, dict[str, Any]]:
    """Return the registration of a domain with a retention period."""
    return "RegisterDomain", {"name": "d", "workflowExecutionRetentionPeriodInDays": days}


def start(seconds: str) -> tuple[str, dict[str, Any]]:
    """Return the start of an execution with a timeout."""
    named = {"domain": "d", "workflowId": "w", "workflowType": {"name": "n", "version": "1"}}
    return "StartWorkflowExecution", {**named, "executionStartToCloseTimeout": seconds}


def child(seconds: str) -> tuple[str, dict[str, Any]]:
    """Return the decision to start a child with a timeout."""
    named = {"workflowId": "w", "workflowType": {"name": "n", "version": "1"}}
    started = decision("StartChildWorkflowExecution", **named, executionStartToCloseTimeout=seconds)
    return "RespondDecisionTaskCompleted", {**TOKEN, "decisions": [started]}


@pytest.mark.parametrize(
    ("request_", "path", "value", "rule"),
    [
        (domain("91"), "workflowExecutionRetentionPeriodInDays", "91", "less than or equal to 90"),
        (start("31536001"), "executionStartToCloseTimeout", "31536001", "less than or equal to 31536000"),
        (start("NONE"), "executionStartToCloseTimeout", "NONE", "whole seconds"),
        (
            child("31536001"),
            "decisions.1.member.startChildWorkflowExecutionDecisionAttributes.executionStartToCloseTimeout",
            "31536001",
            "less than or equal to 31536000",
        ),
    ],
)
def test_maxima(request_: tuple[str, dict[str, Any]], path: str, value: str, rule: str) -> None:
    """A retention of over 90 days and an execution of over a year are rejected."""
    with pytest.raises(Fault) as caught:
        MODEL.validate(*request_)
    assert caught.value.name == "ValidationException"
    assert f"Value '{value}' at '{path}'" in caught.value.message
    assert caught.value.message.endswith(rule)


@pytest.mark.parametrize(
    "request_", [domain("90"), domain("NONE"), domain("0"), start("31536000"), start("0"), child("NONE")]
)
def test_the_largest_values(request_: tuple[str, dict[str, Any]]) -> None:
    """The largest values are accepted, and NONE where it is documented."""
    MODEL.validate(*request_)


def test_a_very_long_number() -> None:
    """A number that Python cannot parse is rejected for its length."""
    with pytest.raises(Fault, match="Value of 5000 characters at 'executionStartToCloseTimeout' failed"):
        MODEL.validate(*start("9" * 5000))


def test_a_null_tag() -> None:
    """A null in a tag list is accepted, as recorded from the real service."""
    operation, args = start("1")
    MODEL.validate(operation, {**args, "tagList": [None]})
    with refused(
        "SerializationException",
        "Start of structure or map found where not expected: it can not be converted to a structure",
    ):
        MODEL.validate("RespondDecisionTaskCompleted", {**TOKEN, "decisions": [None]})
