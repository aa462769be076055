"""The lines that a worker and its handlers exchange: JSON objects, one task after the other."""

import json
import logging
from typing import Any, Final

from ..ledger.records import PollSource
from ..models import WorkerTask, check_text, fit_text, max_length, replace_surrogates
from ..redaction import redact
from ..responding import Outcome
from ..retry import Log

_log = logging.getLogger(__name__)


def _make_object(pairs: list[tuple[str, Any]]) -> Any:
    """Return the dictionary of a JSON object; if a key is repeated, the pairs, which are nothing of the protocol."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else pairs


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_make_object)


class ProtocolError(Exception):
    """A handler wrote something that is not the protocol: the message is the reason of the failure."""


def task_line(task: WorkerTask, source: PollSource) -> bytes:
    """Return the line that describes a task: what `swf poll` prints, without its key in the ledger."""
    message = _fields(task) | {"domain": source.domain, "task_list": source.task_list}
    return json.dumps(message, default=_fields).encode() + b"\n"


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}  # what asdict does, at a tenth of its cost


def parse_line(line: bytes, log: Log = _log) -> Outcome | str:
    """Return what a line of a handler says: the outcome of its task, or the details of the next heartbeat.

    A reason or details over SWF's limits are cut, and the log says so. Raise ProtocolError if the line is neither.
    """
    try:
        message = _DECODER.decode(line.decode("utf-8"))
    except ValueError:
        raise ProtocolError(f"the handler wrote a line that is not JSON: {excerpt(line)}") from None
    except RecursionError:
        raise ProtocolError(f"the handler wrote a line that is nested too deeply: {excerpt(line)}") from None
    if isinstance(message, dict) and len(message) == 1:
        match message:
            case {"heartbeat": str(text)}:
                return fit_text("heartbeat details", text)
            case {"result": str(text)}:
                return _completed(text)
            case {"failed": dict(texts)} if _are_texts(texts, "reason", "details"):
                return Outcome.failed(_fit(texts, "reason", log), _fit(texts, "details", log))
            case {"cancelled": dict(texts)} if _are_texts(texts, "details"):
                return Outcome("cancelled", details=_fit(texts, "details", log) or None)
    raise ProtocolError(f"the handler wrote a line that is not the protocol: {excerpt(line)}")


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


def _fit(texts: dict[str, str | None], kind: str, log: Log) -> str:
    """Return as much of a text without secrets as SWF accepts: the beginning of a reason, the end of details."""
    text = redact(texts.get(kind) or "")  # without them, it may be short enough
    what = "reason is" if kind == "reason" else "details are"
    if replace_surrogates(text) != text:
        log.info("the %s not UTF-8 text; lone surrogates are sent as U+FFFD", what)
    maximum = max_length(kind)
    if len(text) > maximum:
        part = "rest" if kind == "reason" else "beginning"
        log.info("the %s longer than %d characters; the %s is cut off", what, maximum, part)
    return fit_text(kind, text)


def excerpt(line: bytes) -> str:
    """Return the beginning of a line of a handler, as a message quotes it."""
    return repr(redact(line.decode("utf-8", "replace"))[:80])
