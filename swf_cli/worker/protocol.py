"""The lines that a worker and its handlers exchange: JSON objects, one task after the other."""

import json
from typing import Any

from ..ledger.records import PollSource
from ..models import LIMITS, WorkerTask, check_text, replace_surrogates
from ..redaction import redact
from ..responding import Outcome


class ProtocolError(Exception):
    """A handler wrote something that is not the protocol: the message is the reason of the failure."""


def task_line(task: WorkerTask, source: PollSource) -> bytes:
    """Return the line that describes a task: what `swf poll` prints, without its key in the ledger."""
    message = _fields(task) | {"domain": source.domain, "task_list": source.task_list}
    return json.dumps(message, default=_fields).encode() + b"\n"


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}  # what asdict does, at a tenth of its cost


def parse_line(line: bytes) -> Outcome | str:
    """Return what a line of a handler says: the outcome of its task, or the details of the next heartbeat.

    Raise ProtocolError if it is neither.
    """
    try:
        message: Any = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ProtocolError(f"the handler wrote a line that is not JSON: {_excerpt(line)}") from None
    if isinstance(message, dict) and len(message) == 1:
        match message:
            case {"heartbeat": str(text)}:
                return replace_surrogates(text)[: LIMITS["heartbeat details"][1]]
            case {"result": str(text)}:
                return _completed(text)
            case {"failed": dict(texts)} if _are_texts(texts, "reason", "details"):
                return Outcome.failed(texts.get("reason") or "", _cut(texts.get("details")))
            case {"cancelled": dict(texts)} if _are_texts(texts, "details"):
                return Outcome("cancelled", details=_cut(texts.get("details")) or None)
    raise ProtocolError(f"the handler wrote a line that is not the protocol: {_excerpt(line)}")


def is_response(line: bytes) -> bool:
    """Return whether a line of a handler ends a task."""
    try:
        return isinstance(parse_line(line), Outcome)
    except ProtocolError:
        return False


def _are_texts(texts: dict[str, Any], *names: str) -> bool:
    return texts.keys() <= set(names) and all(isinstance(text, str | None) for text in texts.values())


def _completed(text: str) -> Outcome:
    try:
        check_text("result", text)
    except ValueError as error:
        return Outcome.failed(f"invalid result: {error}")
    return Outcome("completed", result=text)


def _cut(details: str | None) -> str:
    """Return as much of the end of details as SWF accepts."""
    return replace_surrogates(details or "")[-LIMITS["details"][1] :]


def _excerpt(line: bytes) -> str:
    return repr(redact(line.decode("utf-8", "replace"))[:80])
