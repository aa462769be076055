"""The one way to call an SWF operation."""

import logging
import time
from typing import TYPE_CHECKING, Any

from ..errors import CredentialsError, CredentialsUnavailable, InvalidResponseError, SwfError
from ..redaction import redact
from .attempt import attempt
from .faults import is_foreign, translate
from .responses import check_parsed
from .session import Session, SessionClient

if TYPE_CHECKING:
    import botocore.client

    from .session import Client

_log = logging.getLogger(__name__)


def call(client: "Client", operation: str, **arguments: Any) -> dict[str, Any]:
    """Call an SWF operation, named as botocore's method (`poll_for_activity_task`), and return its response.

    If SWF rejects the credentials of a session's client, and the session finds others, the call is made once more.
    Raise SwfError, or a class of it, for whatever goes wrong; never an exception of botocore. What an event handler
    of a caller's client raises is not changed.
    """
    if not isinstance(client, SessionClient):
        return _call(client, None, operation, arguments)
    session = client.session
    generation = session.generation
    try:
        return _call(client.botocore, session, operation, arguments)
    except CredentialsError as error:
        if not _renew(session, generation, error):
            raise
        _log.debug("%s; calling again with other credentials", error.message)
    return _call(client.botocore, session, operation, arguments)


def _renew(session: Session, generation: int, rejection: CredentialsError) -> bool:
    """Return whether the session has other credentials than those that were rejected.

    Raise CredentialsUnavailable, which is transient, if what provides them failed.
    """
    try:
        return session.renew(generation)
    except CredentialsUnavailable as error:
        if isinstance(rejection, CredentialsUnavailable):  # they had expired, and there was nothing to reject
            return False
        message = f"{rejection.message}; {error.message}"
        raise CredentialsUnavailable.from_error(rejection, message, error.hint) from rejection


def _call(
    client: "botocore.client.BaseClient", session: Session | None, operation: str, arguments: dict[str, Any]
) -> dict[str, Any]:
    method = getattr(client, operation)
    attempt.begin(is_tracked=session is not None and session.is_tracked)
    started = time.monotonic()
    try:
        response: dict[str, Any] = method(**arguments)
        if session is None:
            check_parsed(operation, response)
    except SwfError as error:
        _log_call(operation, started, error)
        raise
    except Exception as error:
        # Not only botocore's own exceptions: its parser raises others for what it can't parse.
        if session is None and is_foreign(error):
            raise
        fault = translate(error)
        if session is not None and not attempt.is_signed:
            fault = session.explain(error)
        fault.message = redact(fault.message, arguments.get("taskToken"))
        fault.args = (fault.message,)
        _log_call(operation, started, fault)
        raise fault from error
    _log_call(operation, started, None)
    token = arguments.get("nextPageToken")
    if token and response.get("nextPageToken") == token:
        raise InvalidResponseError("the response repeats the token of its page: there would be no end of pages")
    return response


def _log_call(operation: str, started: float, error: SwfError | None) -> None:
    outcome = "ok" if error is None else error.code or type(error).__name__
    request = f", request {error.request_id}" if error and error.request_id else ""
    _log.debug("%s: %s (%.3f s%s)", operation, outcome, time.monotonic() - started, request)
