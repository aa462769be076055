"""Validate requests against SWF's service model, as botocore ships it, with SWF's error messages."""

import gzip
import json
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from ..names import find_problem
from .faults import Fault, invalid
from .quotas import MAX_EXECUTION_SECONDS, MAX_RETENTION_DAYS

_MODEL: Final = "data/swf/2012-01-25/service-2.json.gz"

_MAX_ECHO: Final = 256
"""The longest value that an error message repeats."""

_SECONDS: Final = "Member must be whole seconds"
_PATTERNS: Final = {
    "DurationInSeconds": (r"[0-9]+", _SECONDS),
    "DurationInSecondsOptional": (r"[0-9]+|NONE", f"{_SECONDS} or NONE"),
    "DurationInDays": (r"[0-9]+|NONE", "Member must be whole days or NONE"),
    "TaskPriority": (r"-?[0-9]{1,10}", "Member must be a whole number"),
}
"""Rules that the model states only in its documentation, by shape."""

NAMES: Final = frozenset({"ActivityId", "DomainName", "Name", "TimerId", "Version", "VersionOptional", "WorkflowId"})
"""The shapes of names, see `names.find_problem`; `Name` includes task lists and types."""

_EXECUTION_TIMEOUTS: Final = ("executionStartToCloseTimeout", "defaultExecutionStartToCloseTimeout")

_MAXIMA: Final = {
    "workflowExecutionRetentionPeriodInDays": MAX_RETENTION_DAYS,
    **dict.fromkeys(_EXECUTION_TIMEOUTS, MAX_EXECUTION_SECONDS),
}
"""The largest values of members, from the developer guide."""
_MAX_DIGITS: Final = 8  # of a duration; Python refuses to parse very long numbers

_JSON: Final = {str: "STRING_VALUE", bool: "TRUE_VALUE", int: "NUMBER_VALUE", float: "DECIMAL_VALUE"}


class ServiceModel:
    """The request half of SWF's service model."""

    def __init__(self) -> None:
        spec = find_spec("botocore")
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError("botocore is not installed, which ships SWF's service model")
        model = json.loads(gzip.decompress((Path(spec.origin).parent / _MODEL).read_bytes()))
        self.shapes: Mapping[str, Any] = model["shapes"]
        self.inputs: Mapping[str, str] = {
            name: operation["input"]["shape"] for name, operation in model["operations"].items()
        }
        """The shape of each operation's arguments."""

    def validate(self, operation: str, args: Mapping[str, Any]) -> None:
        """Validate the arguments of an operation.

        Raise a SerializationException fault for a value of the wrong type. Raise a ValidationException fault that
        lists all violated constraints, or if there are none, names the first forbidden name.
        """
        validation = _Validation(self.shapes)
        validation.check(self.inputs[operation], args, "")
        if count := len(validation.problems):
            found = f"{count} validation error{'s' if count > 1 else ''} detected"
            raise invalid(f"{found}: {'; '.join(validation.problems)}")
        if validation.forbidden_names:
            raise invalid(validation.forbidden_names[0])


class _Validation:
    """One request's validation: what violates a constraint, by path."""

    def __init__(self, shapes: Mapping[str, Any]) -> None:
        self._shapes = shapes
        self.problems: list[str] = []
        self.forbidden_names: list[str] = []

    def check(self, shape_name: str, value: Any, path: str) -> None:
        """Check a value and all that it contains."""
        shape = self._shapes[shape_name]
        match shape["type"]:
            case "structure":
                self._check_structure(shape, _expect(value, dict, "a structure"), path)
            case "list":
                self._check_size(shape, len(_expect(value, list, "a list")), value, path)
                for position, member in enumerate(value, start=1):
                    if member is not None or shape_name != "TagList":  # recorded: SWF accepts a null tag
                        self.check(shape["member"]["shape"], member, f"{path}.{position}.member")
            case "string":
                self._check_size(shape, len(_expect(value, str, "a String")), value, path)
                self._check_text(shape_name, value, path)
            case "boolean":
                _expect(value, bool, "a Boolean")
            case "timestamp":
                _expect(value, (int, float), "a Timestamp")
            case _:
                self._check_size(shape, _expect(value, int, "an Integer"), value, path, what="value")

    def _check_structure(self, shape: Mapping[str, Any], members: Mapping[str, Any], path: str) -> None:
        required = shape.get("required", ())
        for name, member in shape["members"].items():
            inner = f"{path}.{name}" if path else name
            if members.get(name) is not None:
                self.check(member["shape"], members[name], inner)
            elif name in required:
                self.problems.append(f"Value null at '{inner}' failed to satisfy constraint: Member must not be null")

    def _check_size(self, shape: Mapping[str, Any], size: int, value: Any, path: str, what: str = "length") -> None:
        for bound, broken, comparison in (
            ("min", size < shape.get("min", size), "greater"),
            ("max", size > shape.get("max", size), "less"),
        ):
            if broken:
                self._reject(value, path, f"Member must have {what} {comparison} than or equal to {shape[bound]}")

    def _check_text(self, shape_name: str, value: str, path: str) -> None:
        allowed = self._shapes[shape_name].get("enum")
        if allowed and value not in allowed:
            self._reject(value, path, f"Member must satisfy enum value set: [{', '.join(allowed)}]")
        pattern, rule = _PATTERNS.get(shape_name, ("", ""))
        member = path.rpartition(".")[2]
        if pattern and not re.fullmatch(pattern, value, re.ASCII):
            self._reject(value, path, rule)
        elif value == "NONE" and path in _EXECUTION_TIMEOUTS:  # at the top level: decisions may say NONE
            self._reject(value, path, _SECONDS)
        elif member in _MAXIMA and value != "NONE" and len(value) <= _MAX_DIGITS and int(value) > _MAXIMA[member]:
            self._reject(value, path, f"Member must have value less than or equal to {_MAXIMA[member]}")
        elif shape_name in NAMES and find_problem(value):
            self.forbidden_names.append(f"Invalid {member}: {value}")

    def _reject(self, value: Any, path: str, rule: str) -> None:
        text = str(value)
        shown = f"'{text}'" if len(text) <= _MAX_ECHO else f"of {len(text)} characters"
        self.problems.append(f"Value {shown} at '{path}' failed to satisfy constraint: {rule}")


def _expect(value: Any, kind: type | tuple[type, ...], expected: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        given = _JSON.get(type(value), "Start of structure or map found where not expected: it")
        raise Fault("SerializationException", f"{given} can not be converted to {expected}")
    return value
