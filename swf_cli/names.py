"""The rule for names that SWF states in its API reference, but not in its service model; and what was meant."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from difflib import SequenceMatcher

_MIN_SIMILARITY: Final = 0.8
_MAX_EDITS: Final = 3  # characters that differ: long names may be similar although they are not misspellings
_MAX_NAMES: Final = 3
_SHORTEST_BEGINNING: Final = 3  # characters
_FORBIDDEN: Final = re.compile("[:/|\x00-\x1f\x7f-\x9f]")


def find_problem(name: str) -> str | None:
    """Return why SWF rejects a name, such as "contains ':'", or None if it accepts it."""
    if found := _FORBIDDEN.search(name):
        return f"contains {found[0]!r}"
    if name != name.strip():
        return "starts or ends with whitespace"
    return "is reserved" if name == "arn" else None


def similar_names(name: str, candidates: Iterable[str]) -> list[str]:
    """Return the candidates that differ little from a name, without it, the closest first; at most three.

    Differences in case alone always count as little.
    """
    from difflib import SequenceMatcher  # not at start-up

    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(name.lower())
    scored = []
    for candidate in dict.fromkeys(candidates):
        matcher.set_seq1(candidate.lower())
        is_near = matcher.real_quick_ratio() >= _MIN_SIMILARITY and matcher.quick_ratio() >= _MIN_SIMILARITY
        if candidate != name and is_near and matcher.ratio() >= _MIN_SIMILARITY and _edits(matcher) <= _MAX_EDITS:
            scored.append((-matcher.ratio(), candidate))
    return [candidate for _, candidate in sorted(scored)[:_MAX_NAMES]]


def suggest_names(name: str, candidates: Iterable[str]) -> list[str]:
    """Return the candidates that somebody may have meant by a name that does not exist; at most three.

    Those that differ little from it, then those that it is the beginning of: it may have been copied in part.
    """
    names = sorted({*candidates} - {name})
    begun = [other for other in names if other.startswith(name) and len(name) >= _SHORTEST_BEGINNING]
    return list(dict.fromkeys([*similar_names(name, names), *begun]))[:_MAX_NAMES]


def did_you_mean(names: Iterable[str]) -> str | None:
    """Return the hint that suggests names; None if there are none."""
    text = " or ".join(names)
    return f"did you mean {text}?" if text else None


def _edits(matcher: "SequenceMatcher[str]") -> int:
    return sum(max(a2 - a1, b2 - b1) for kind, a1, a2, b1, b2 in matcher.get_opcodes() if kind != "equal")
