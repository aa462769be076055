"""Requests held against SWF's own service model, as botocore ships it: what is wrong is said as SWF says it."""

import gzip
import json
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from .faults import Fault, invalid

_MODEL: Final = "data/swf/2012-01-25/service-2.json.gz"

_ECHOED: Final = 256
"""The longest value that a message repeats."""

_WHOLE: Final = "Member must be whole seconds"
_WHOLE_OR_NONE: Final = "Member must be whole seconds or NONE"
_PATTERNS: Final = {
    "DurationInSeconds": (r"[0-9]+", _WHOLE),
    "DurationInSecondsOptional": (r"[0-9]+|NONE", _WHOLE_OR_NONE),
    "DurationInDays": (r"[0-9]+|NONE", "Member must be whole days or NONE"),
    "TaskPriority": (r"-?[0-9]{1,10}", "Member must be a whole number"),
}
"""Rules that the model has in words only, by shape."""

_NEVER_NONE: Final = frozenset({"executionStartToCloseTimeout", "defaultExecutionStartToCloseTimeout"})

_JSON: Final = {str: "STRING_VALUE", bool: "TRUE_VALUE", int: "NUMBER_VALUE", float: "DECIMAL_VALUE"}


class ServiceModel:
    """The part of SWF's service model that says what a request may be."""

    def __init__(self) -> None:
        spec = find_spec("botocore")
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError("botocore is not installed: it holds SWF's service model")
        model = json.loads(gzip.decompress((Path(spec.origin).parent / _MODEL).read_bytes()))
        self._shapes: dict[str, Any] = model["shapes"]
        self._inputs: dict[str, str] = {name: each["input"]["shape"] for name, each in model["operations"].items()}

    def check(self, operation: str, args: Mapping[str, Any]) -> None:
        """Check the arguments of an operation.

        Raises SerializationException for a value of a wrong type, ValidationException for everything else that is
        wrong, all of it in one message.
        """
        problems: list[str] = []
        self._check(self._inputs[operation], args, "", problems)
        if problems:
            found = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected"
            raise invalid(f"{found}: {'; '.join(problems)}")

    def _check(self, shape_name: str, value: Any, path: str, problems: list[str]) -> None:
        shape = self._shapes[shape_name]
        match shape["type"]:
            case "structure":
                members = _expect(value, dict, "a structure")
                required = shape.get("required", ())
                for name, member in shape["members"].items():
                    inner = f"{path}.{name}" if path else name
                    if members.get(name) is not None:
                        self._check(member["shape"], members[name], inner, problems)
                    elif name in required:
                        problems.append(_problem("null", inner, "Member must not be null"))
            case "list":
                _measure(len(_expect(value, list, "a list")), shape, value, path, problems)
                for place, each in enumerate(value, start=1):
                    self._check(shape["member"]["shape"], each, f"{path}.{place}.member", problems)
            case "string":
                _measure(len(_expect(value, str, "a String")), shape, value, path, problems)
                _spelling(shape_name, shape, value, path, problems)
            case "boolean":
                _expect(value, bool, "a Boolean")
            case "timestamp":
                _expect(value, (int, float), "a Timestamp")
            case _:
                _expect(value, int, "an Integer")
                _measure(value, shape, value, path, problems, what="value")


def _expect(value: Any, kind: type | tuple[type, ...], spelled: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        given = _JSON.get(type(value), "Start of structure or map found where not expected: it")
        raise Fault("SerializationException", f"{given} can not be converted to {spelled}")
    return value


def _problem(shown: str, path: str, rule: str) -> str:
    return f"Value {shown} at '{path}' failed to satisfy constraint: {rule}"


def _show(value: Any) -> str:
    text = str(value)
    return f"'{text}'" if len(text) <= _ECHOED else f"of {len(text)} characters"


def _measure(
    size: int, shape: Mapping[str, Any], value: Any, path: str, problems: list[str], what: str = "length"
) -> None:
    for bound, broken, spelled in (
        ("min", size < shape.get("min", size), "greater"),
        ("max", size > shape.get("max", size), "less"),
    ):
        if broken:
            rule = f"Member must have {what} {spelled} than or equal to {shape[bound]}"
            problems.append(_problem(_show(value), path, rule))


def _spelling(shape_name: str, shape: Mapping[str, Any], value: str, path: str, problems: list[str]) -> None:
    if value not in shape.get("enum", (value,)):
        rule = f"Member must satisfy enum value set: [{', '.join(shape['enum'])}]"
        problems.append(_problem(_show(value), path, rule))
    pattern, rule = _PATTERNS.get(shape_name, ("", ""))
    if pattern and not re.fullmatch(pattern, value, re.ASCII):
        problems.append(_problem(_show(value), path, rule))
    elif value == "NONE" and path in _NEVER_NONE:
        problems.append(_problem(_show(value), path, _WHOLE))
