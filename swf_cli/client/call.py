"""The one way to call an SWF operation."""

import time
from typing import TYPE_CHECKING, Any

from ..errors import SwfError
from .faults import _attempts, _may_have_acted, _translate

if TYPE_CHECKING:
    import botocore.client
    import botocore.session


def call(client: "botocore.client.BaseClient", operation: str, **arguments: Any) -> dict[str, Any]:
    """Call an SWF operation, named as botocore's method (`poll_for_activity_task`), and give its reply.

    Raises SwfError, or one of its kinds, for whatever goes wrong; never botocore's own exceptions.
    """
    _attempts.unclear = False
    started = time.monotonic()
    try:
        reply: dict[str, Any] = getattr(client, operation)(**arguments)
    except SwfError as error:
        _log(operation, started, error)
        raise
    except Exception as error:
        # Not only botocore's own: what it can't parse ends in whatever its parser stumbled over.
        # Of a client that we did not make, the last try's error is all there is to go by.
        fault = _translate(error, possibly_executed=_attempts.unclear or _may_have_acted(error))
        _log(operation, started, fault)
        raise fault from error
    _log(operation, started, None)
    return reply


def _log(operation: str, started: float, error: SwfError | None) -> None:
    import logging  # no part of start-up: botocore has loaded it by now

    outcome = "done" if error is None else error.code or type(error).__name__
    request = f", request {error.request_id}" if error and error.request_id else ""
    seconds = time.monotonic() - started
    logging.getLogger("swf_cli").info("%s: %s (%.3f s%s)", operation, outcome, seconds, request)
