"""The rule for names that SWF states in its API reference, but not in its service model."""

import re
from typing import Final

SHAPES: Final = frozenset({"ActivityId", "DomainName", "Name", "TimerId", "Version", "VersionOptional", "WorkflowId"})
"""The shapes of the service model to which the rule applies; `Name` includes task lists and types."""

_FORBIDDEN: Final = re.compile("[:/|\x00-\x1f\x7f-\x9f]")


def find_problem(name: str) -> str | None:
    """Return why SWF rejects a name, such as "contains ':'", or None if it accepts it."""
    if found := _FORBIDDEN.search(name):
        return f"contains {found[0]!r}"
    if name != name.strip():
        return "starts or ends with whitespace"
    return "is reserved" if name == "arn" else None
