"""The types of option values."""

import re
from typing import Any, Final

import click

from ..models import check_text
from ..output.format import compile_query

_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


class BoundedText(click.ParamType[str]):
    """Text within SWF's limits: `kind` is a key of `LIMITS`. An environment variable is one value, blanks and all."""

    name = "text"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Give the text as it is, or refuse it."""
        try:
            check_text(self.kind, value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        return str(value)

    def split_envvar_value(self, rv: str) -> list[str]:
        """Take the variable whole, where click would split it at blanks."""
        return [rv]


class Duration(click.ParamType[int]):
    """A span of time such as `45`, `45s`, `5m`, `1h30m` or `2d`, in seconds."""

    name = "duration"

    def __init__(self, least: int = 0) -> None:
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Give the seconds."""
        try:
            seconds = value if isinstance(value, int) else parse_duration(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        if seconds < self.least:
            self.fail(f"{value} is less than {self.least}s.", param, ctx)
        return seconds


class EndpointUrl(click.ParamType[str]):
    """The address of a service: http or https, and a host."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Give the address as it is, or refuse it."""
        from ..client.session import check_endpoint_url

        try:
            check_endpoint_url(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        return str(value)


class Query(click.ParamType[Any]):
    """A JMESPath expression."""

    name = "expr"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Give the expression compiled."""
        if not isinstance(value, str):
            return value
        try:
            return compile_query(value)
        except ValueError as error:
            self.fail(f"not a JMESPath expression: {error}", param, ctx)


def parse_duration(text: str) -> int:
    """Read a duration such as `45`, `45s`, `5m`, `1h30m` or `2d`; give its seconds. Raises ValueError."""
    if re.fullmatch("[0-9]{1,9}", text, re.ASCII):
        return int(text)
    match = re.fullmatch("".join(f"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS), text, re.ASCII)
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration such as 45, 45s, 5m, 1h30m or 2d")
    return sum(int(count or 0) * seconds for count, seconds in zip(match.groups(), _UNITS.values(), strict=True))
