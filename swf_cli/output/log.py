"""The log on stderr: one handler, whose lines are safe for a terminal and never delay whoever logs."""

from __future__ import annotations

import logging
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from ..redaction import redact
from .escaping import safe_json
from .progress import describe_stats
from .terminal import describe_dropped, print_stderr, stderr_writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..worker.config import WorkerStats

_DEBUG_LOGGERS: Final = (
    "botocore.credentials",
    "botocore.configprovider",
    "botocore.retries",
    "urllib3.connectionpool",
)
_MAX_REASONS: Final = 10


class StderrHandler(logging.Handler):
    """Prints each record on stderr, as one line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        print_stderr(self.format(record))


class TextFormatter(logging.Formatter):
    """Formats a record as `swf: message`, with the task it is about in brackets: `[WORKFLOW ID/ACTIVITY ID]`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        task = getattr(record, "task", None)
        about = f"[{task['workflow_id']}/{task['id']}] " if task else ""
        if getattr(record, "event", None) == "stderr":
            return about + record.getMessage()
        level = "warning: " if record.levelno == logging.WARNING else ""
        return f"swf: {about}{level}{record.getMessage()}"


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object: `time`, `level`, `event`, `message`, and if there are any, `task` and more.

    `event` says what happened: `handlers`, `started`, `stderr`, `completed`, `failed`, `cancelled`, `closed`,
    `unconfirmed`, `retry`, `shutdown`, `summary`, `error`, or `log` for anything else. `task` has `id`,
    `workflow_id`, `run_id`, `activity` and `task_list`. The end of a task has `seconds` and `reason`, an error `hint`
    and with --debug `traceback`, the summary `ended` and `reasons` (counts), `handlers` the names of activities.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "log"),
            "message": redact(record.getMessage()),  # before it is JSON, in which a secret looks different
        }
        task = getattr(record, "task", None)
        if task:
            line["task"] = task
        line |= getattr(record, "fields", {})
        encoding = getattr(sys.__stderr__, "encoding", None) or "utf-8"
        return safe_json(line, ascii_only=encoding.lower() not in ("utf-8", "utf8"))

    def describe_dropped(self, count: int) -> str:
        """Return the line that says that nobody read some lines."""
        message = describe_dropped(count)
        return self.format(logging.LogRecord("swf_cli", logging.WARNING, "", 0, message, (), None))


def configure_logging(form: Literal["text", "json"] = "text") -> None:
    """Send the log of `swf_cli` to stderr, from level INFO."""
    # No line names its caller, thread or process: not looking for them halves the cost of a record.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logger = logging.getLogger("swf_cli")
    # The one that there may be already: with --debug, loggers of botocore have it too.
    handler = next((it for it in logger.handlers if isinstance(it, StderrHandler)), None) or StderrHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    if form == "json":
        stderr_writer().describe_dropped = JsonFormatter().describe_dropped
    logger.handlers = [handler]
    logger.setLevel(min(logger.level or logging.INFO, logging.INFO))
    logger.propagate = False


def log_thread_error(args: threading.ExceptHookArgs) -> None:
    """Log what ended a thread unexpectedly: Python's own hook prints whatever the error says, and may block."""
    thread = args.thread.name if args.thread else "?"
    logging.getLogger("swf_cli").error(
        "unexpected %s in thread %s: %s", args.exc_type.__name__, thread, args.exc_value
    )


def set_verbosity(*, verbose: bool, debug: bool) -> None:
    """Log each SWF call; with `debug`, also what botocore does before it. Never the arguments of a call."""
    logger = logging.getLogger("swf_cli")
    if verbose or debug:
        logger.setLevel(logging.DEBUG)
    for name in _DEBUG_LOGGERS if debug else ():
        botocore_logger = logging.getLogger(name)
        botocore_logger.handlers = logger.handlers
        botocore_logger.setLevel(logging.DEBUG)


def is_json() -> bool:
    """Return whether the log is JSON."""
    handlers = logging.getLogger("swf_cli").handlers
    return bool(handlers) and isinstance(handlers[0].formatter, JsonFormatter)


def report_error(message: str, hint: str | None, traceback: Sequence[str] = ()) -> None:
    """Print what ends a command: as two lines, or as one object where the log is JSON."""
    if is_json():
        fields = {"hint": hint, "traceback": "\n".join(traceback)}
        found = {name: text for name, text in fields.items() if text}
        logging.getLogger("swf_cli").error("%s", message, extra={"event": "error", "fields": found})
        return
    for line in (*traceback, f"swf: {message}"):
        print_stderr(line)
    if hint:
        print_stderr(f"hint: {hint}")


def log_handlers(activities: Sequence[str], broken: Mapping[str, OSError]) -> None:
    """Log the activities that a worker has handlers for, and the files in their folder that can't be started."""
    log = logging.getLogger("swf_cli")
    usable = [name for name in activities if name not in broken]
    fields = {"handlers": usable}
    log.info("%s", f"handlers: {', '.join(usable) or 'none'}", extra={"event": "handlers", "fields": fields})
    for name, error in broken.items():
        log.warning("%s in the handlers folder cannot be started: %s", name, error.strerror)


def log_summary(stats: WorkerStats) -> None:
    """Log what a worker has done: how many tasks ended which way, and which failures were how frequent."""
    log = logging.getLogger("swf_cli")
    if stats.reasons and not is_json():
        reasons = ", ".join(f"{reason} ({count})" for reason, count in stats.reasons.most_common(_MAX_REASONS))
        more = len(stats.reasons) - _MAX_REASONS
        log.info("reasons of failures: %s%s", reasons, f", and {more} more" if more > 0 else "")
    fields = {"ended": dict(stats.ended), "reasons": dict(stats.reasons.most_common())}
    log.info("%s", describe_stats(stats), extra={"event": "summary", "fields": fields})
