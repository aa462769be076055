"""The fields of SWF's responses, which may be malformed: botocore checks no types."""

from collections.abc import Mapping
from typing import Any


def text_of(values: Mapping[str, Any], key: str) -> str:
    """Return a text. Raise LookupError if it is missing, TypeError if it is not text."""
    value = values[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} is not text")
    return value


def optional_text(values: Mapping[str, Any], key: str) -> str | None:
    """Return a text, None if it is missing. Raise TypeError if it is not text."""
    return None if values.get(key) is None else text_of(values, key)


def number_of(values: Mapping[str, Any], key: str) -> int:
    """Return a whole number from 0 up. Raise LookupError if it is missing, TypeError if it is not one."""
    value = values[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{key} is not a number")
    return value


def flag_of(values: Mapping[str, Any], key: str) -> bool:
    """Return a flag, false if it is missing. Raise TypeError if it is something else."""
    value = values.get(key)
    if not isinstance(value, bool | None):
        raise TypeError(f"{key} is not true or false")
    return bool(value)
