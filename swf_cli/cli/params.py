"""The types of option values. What they check with is imported when they do: every start loads this module."""

import math
import re
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # generic from click 8.4 on

_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_LONGEST: Final = 99_999_999
"""The longest duration, in seconds (three years): as many digits as SWF gives a timeout."""


class FileName(click.Path):
    """A file or folder name; an empty one, as from an unset shell variable, is rejected."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name, or fail."""
        if not value:
            self.fail("the file name is empty", param, ctx)
        return super().convert(value, param, ctx)


class BoundedText(ParamType):
    """Text within SWF's limits: `kind` is a key of `LIMITS`. An environment variable is one value, blanks and all."""

    name = "text"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text unchanged, or fail."""
        from ..models import check_text

        try:
            check_text(self.kind, value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)

    def split_envvar_value(self, rv: str) -> list[str]:
        """Return the variable's value as one, where click would split it at blanks."""
        return [rv]


class Name(BoundedText):
    """A name that SWF accepts: one that it rejects could match nothing."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name unchanged, or fail."""
        name = super().convert(value, param, ctx)
        check_name(name, param, ctx)
        return name


def check_name(name: str, param: click.Parameter | None, ctx: click.Context | None) -> None:
    """Raise BadParameter for a name that SWF rejects."""
    from ..names import find_problem

    if problem := find_problem(name):
        raise click.BadParameter(f"SWF rejects the name {name!r}: it {problem}", ctx, param)


class Identifier(BoundedText):
    """A token or run ID, which hold no whitespace: what copying it from a terminal inserted is dropped."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the identifier without whitespace, or fail."""
        return super().convert(drop_whitespace(value), param, ctx)


def drop_whitespace(text: str) -> str:
    """Return text without any whitespace."""
    return "".join(text.split())


class Choice(ParamType):
    """One of a fixed set of words."""

    name = "choice"

    def __init__(self, *words: str) -> None:
        self.words = words

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Return the words as help shows them: `[table|json|text]`."""
        return f"[{'|'.join(self.words)}]"

    @property
    def hint(self) -> str:
        """What to do if there is none, or another word."""
        return f"pass {', '.join(self.words[:-1])} or {self.words[-1]}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word, or fail."""
        if value not in self.words:
            self.fail(f"{value!r} is not one of {', '.join(self.words)}", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete a word."""
        return [CompletionItem(word) for word in self.words if word.startswith(incomplete)]


class WholeNumber(ParamType):
    """A whole number from `minimum` to `maximum`."""

    name = "n"

    def __init__(self, minimum: int = 0, maximum: int = 2**31 - 1) -> None:
        self.minimum = minimum
        self.maximum = maximum

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number, or fail."""
        if isinstance(value, int):
            return value
        if not re.fullmatch("[+-]?[0-9]{1,20}", value, re.ASCII):
            self.fail(f"{value!r} is not a whole number", param, ctx)
        number = int(value)
        if not self.minimum <= number <= self.maximum:
            self.fail(f"{number} is not between {self.minimum:,} and {self.maximum:,}", param, ctx)
        return number


class Number(ParamType):
    """A number from `minimum` to `maximum`."""

    name = "n"

    def __init__(self, minimum: float, maximum: float) -> None:
        self.minimum = minimum
        self.maximum = maximum

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, or fail."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        if not self.minimum <= number <= self.maximum:
            self.fail(f"{value} is not between {self.minimum:,} and {self.maximum:,}", param, ctx)
        return number


class Duration(ParamType):
    """A duration such as `45`, `45s`, `5m`, `1h30m` or `2d`, in seconds, of at least `minimum`."""

    name = "duration"

    def __init__(self, minimum: int = 0) -> None:
        self.minimum = minimum

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds, or fail."""
        try:
            seconds = value if isinstance(value, int) else parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds < self.minimum:
            self.fail(f"{value} is less than {self.minimum}s", param, ctx)
        return seconds


class EndpointUrl(ParamType):
    """The URL of a service: http or https, and a host."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the URL unchanged, or fail."""
        from ..addresses import check_endpoint_url

        try:
            check_endpoint_url(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class Query(ParamType):
    """A JMESPath expression."""

    name = "expr"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the compiled expression, or fail."""
        from ..output.format import compile_query

        if not isinstance(value, str):
            return value
        try:
            return compile_query(value)
        except ValueError as error:
            self.fail(f"{value!r} is not a JMESPath expression: {error}", param, ctx)


def parse_duration(text: str) -> int:
    """Return the seconds of a duration such as `45`, `45s`, `5m`, `1h30m` or `2d`. Raise ValueError if invalid."""
    match = re.fullmatch("".join(f"(?:([0-9]+){unit})?" for unit in _UNITS) + "|([0-9]+)", text, re.ASCII)
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration such as 45, 45s, 5m, 1h30m or 2d")
    counts = [count or "0" for count in match.groups()]
    too_long = any(len(count.lstrip("0")) > len(str(_LONGEST)) for count in counts)
    seconds = 0 if too_long else sum(int(n) * unit for n, unit in zip(counts, [*_UNITS.values(), 1], strict=True))
    if too_long or seconds > _LONGEST:
        raise ValueError(f"{text!r} is longer than {_LONGEST // _UNITS['d']}d")
    return seconds
