"""What a failed call means: botocore's exceptions, and replies that are not SWF's, as SwfError."""

import threading
from collections.abc import Mapping
from typing import Any, Final

from ..errors import (
    AccessError,
    CredentialsError,
    IncompleteTask,
    InvalidRequest,
    InvalidResponseError,
    LimitExceededError,
    NetworkError,
    ServiceError,
    SwfError,
    TaskNotOpen,
    ThrottlingError,
    UnknownResource,
)
from ..models import is_token
from .attempt import attempt
from .proxies import advise, describe_failure

HINT_CREDENTIALS: Final = "run `aws configure`, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
HINT_EXPIRED: Final = "sign in again (`aws sso login`, or whatever issued these credentials)"
HINT_REGION: Final = "pass --region, or set AWS_REGION, or the profile's region"
_HINT_DOMAIN: Final = "check its name, and --region and --profile: a domain is known in one region of one account"
_HINT_CLOCK: Final = "check the secret key, the region, and that this machine's clock is right"
_HINT_POLICY: Final = "the IAM policy must allow swf:{operation} on this domain (see `swf help iam`)"

_FAULTS: Final[dict[str, type[SwfError]]] = {
    "UnknownResourceFault": UnknownResource,
    "LimitExceededFault": LimitExceededError,
    "ValidationException": InvalidRequest,
    "ValidationError": InvalidRequest,
    "SerializationException": InvalidRequest,
    **dict.fromkeys(
        (
            "BandwidthLimitExceeded",
            "PriorRequestNotComplete",
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "SlowDown",
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "TooManyRequestsException",
        ),
        ThrottlingError,
    ),
}
# The fault codes of a request whose credentials AWS rejects, and what to do about each.
_ACCESS_FAULTS: Final = {
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException"), HINT_EXPIRED),
    **dict.fromkeys(
        (
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidClientTokenId",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "NotAuthorized",
            "OptInRequired",
            "UnrecognizedClientException",
        ),
        HINT_CREDENTIALS,
    ),
    **dict.fromkeys(("InvalidSignatureException", "RequestExpired", "SignatureDoesNotMatch"), _HINT_CLOCK),
    **dict.fromkeys(("AccessDenied", "AccessDeniedException", "OperationNotPermittedFault"), _HINT_POLICY),
}
# botocore's exceptions, by name, if a request can't be signed.
_UNSIGNED: Final = {
    "NoCredentialsError": HINT_CREDENTIALS,
    "PartialCredentialsError": HINT_CREDENTIALS,
    "CredentialRetrievalError": HINT_CREDENTIALS,
    "MetadataRetrievalError": HINT_CREDENTIALS,
    "UnknownCredentialError": HINT_CREDENTIALS,
    "NoAuthTokenError": HINT_EXPIRED,
    "TokenRetrievalError": HINT_EXPIRED,
    "SSOError": HINT_EXPIRED,
    "LoginError": HINT_EXPIRED,
    "RefreshWithMFAUnsupportedError": HINT_EXPIRED,
    "NoRegionError": HINT_REGION,
    "InvalidConfigError": "check ~/.aws/config",
    "MissingDependencyException": "install the package that this profile needs",
}
# botocore's exceptions, by name, that are raised before a request is sent; for connections that don't report it.
_NEVER_SENT: Final = frozenset({"ConnectTimeoutError", "EndpointConnectionError", "ParamValidationError"})
_NOT_CONNECTED: Final = (
    "CERTIFICATE_VERIFY_FAILED",
    "Tunnel connection failed",
    "Failed to establish a new connection",
)
_GATEWAY_STATUSES: Final = frozenset({500, 502, 504})
"""HTTP statuses with which a gateway says that it got no usable response; SWF may have executed the request."""

_EXCERPT: Final = 200  # characters of a page
_MAX_RETRY_AFTER: Final = 60.0  # seconds


class _Call(threading.local):
    """What is known of the attempts of the call that this thread is making."""

    possibly_executed = False
    """Whether SWF may have executed one of them although its response was lost."""

    token: Any = None
    """The task token in the last response: it is known even if the response is malformed."""


_call: Final = _Call()


def begin_call(*, is_tracked: bool) -> None:
    """Forget the attempts of this thread's previous call. `is_tracked`: whether connections report what they sent."""
    attempt.is_tracked = is_tracked
    attempt.host = ""
    _call.token = None
    _call.possibly_executed = attempt.is_signed = attempt.is_sent = False


def record_signed(**_: Any) -> None:
    """Record that a request was signed (botocore's `before-send` event) and not sent yet; let botocore send it."""
    attempt.is_signed, attempt.is_sent = True, False


def record_attempt(operation: Any, response: Any = None, caught_exception: Exception | None = None, **_: Any) -> None:
    """Record an attempt (botocore's `needs-retry` event): the error of the last does not describe earlier ones.

    Raise InvalidResponseError for a response that was cut short, which older botocores notice before `check_response`
    can.
    """
    error = caught_exception
    if error is not None:
        wrapped = getattr(error, "kwargs", {}).get("error")
        if any("IncompleteRead" in class_names(cause) for cause in getattr(wrapped, "args", ())):
            raise _unusable(operation.name) from error
        _call.possibly_executed |= _is_possibly_executed(error)
    elif response is not None:
        parsed = response[1] or {}
        _call.possibly_executed |= _is_gateway_failure(parsed.get("Error", {}).get("Code"), response[0].status_code)


def is_possibly_executed() -> bool:
    """Return whether SWF may have executed one of this thread's attempts of the current call."""
    return _call.possibly_executed


def _is_possibly_executed(error: Exception) -> bool:
    """Return whether SWF may have executed the request that failed this way."""
    response = getattr(error, "response", None)  # of botocore's network errors: None
    if isinstance(response, dict) and "Error" in response:
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return _is_gateway_failure(response["Error"].get("Code"), status)
    if attempt.is_tracked:
        return attempt.is_sent
    names = class_names(error)
    if names & {"SSLError", "ProxyConnectionError"}:
        message = f"{error} {getattr(error, 'kwargs', {}).get('error')}"
        return not any(text in message for text in _NOT_CONNECTED)
    return not names & (_NEVER_SENT | _UNSIGNED.keys())


def _is_gateway_failure(code: Any, status: Any) -> bool:
    return status in _GATEWAY_STATUSES and str(code) == str(status)


def check_response(response_dict: dict[str, Any], operation_model: Any, **_: Any) -> None:
    """Raise InvalidResponseError for a response that was cut short or isn't SWF's (botocore's `before-parse` event).

    botocore reads both as an empty response, and an empty response to a poll means "no task". An error status whose
    body isn't JSON comes from something between us and SWF: its body is replaced by one that botocore can read, with
    the status as its code.
    """
    import json

    body, status = response_dict["body"], response_dict["status_code"]
    headers = response_dict["headers"]
    length = headers.get("content-length", "")
    # An empty body has a length, unless its head was cut.
    is_whole = len(body) >= int(length) if length.isdigit() else bool(body) or "transfer-encoding" in headers
    try:
        response = json.loads(body.decode()) if body or operation_model.output_shape is not None else {}
    except (ValueError, RecursionError):
        response = None
    if status >= 300:
        location = headers.get("location", "") if status < 400 else ""
        if location:
            message = f"the endpoint redirects to {_describe_address(location)}, which is not followed"
            response_dict["body"] = json.dumps({"__type": str(status), "message": message}).encode()
        elif not isinstance(response, dict) or not isinstance(response.get("__type", ""), str):
            page = body[: 16 * _EXCERPT].decode("utf-8", "replace")
            response_dict["body"] = json.dumps({"__type": str(status), "message": page}).encode()
    elif not is_whole or not isinstance(response, dict) or not _is_swfs(operation_model, response, headers):
        raise _unusable(operation_model.name)
    else:
        _call.token = response.get("taskToken")


def _is_swfs(operation_model: Any, response: dict[str, Any], headers: Mapping[str, str]) -> bool:
    """Return whether a JSON object is SWF's response, by its headers or its content; a captive portal has others.

    An empty one to a poll means that there is no task.
    """
    if "x-amzn-requestid" in headers or "amz-json" in headers.get("content-type", ""):
        return True
    shape = operation_model.output_shape
    if not response:
        return shape is None or operation_model.name.startswith("PollFor")
    return shape is not None and not shape.members.keys().isdisjoint(response)


def check_parsed(operation: str, response: dict[str, Any]) -> None:
    """Raise InvalidResponseError for a response, not empty, of which botocore's parser understood nothing.

    For clients without `check_response`: their callers would take it for success, or for a poll without a task.
    """
    metadata = response.get("ResponseMetadata") or {}
    if response.keys() - {"ResponseMetadata"} or "HTTPHeaders" not in metadata:  # the latter is missing in a stub's
        return
    headers = metadata["HTTPHeaders"]
    length, form = headers.get("content-length", ""), headers.get("content-type", "")
    is_empty = int(length) <= len("{}") if length.isdigit() else not form
    if not is_empty:
        raise _unusable("".join(word.capitalize() for word in operation.split("_")))


def _describe_address(location: str) -> str:
    """Return the host of a Location header, else its path: what precedes or follows may hold a secret."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(location)
    except ValueError:
        return "an address that is not valid"
    return parts.hostname or parts.path or "itself"


def _unusable(operation: str) -> InvalidResponseError:
    message = f"the response to {operation} is cut short or isn't SWF's"
    return InvalidResponseError(message, possibly_executed=True)


def class_names(error: BaseException) -> set[str]:
    """Return the names of an exception's class and of its bases: botocore is not imported to name them."""
    return {base.__name__ for base in type(error).__mro__}


def translate(error: Exception) -> SwfError:
    """Return the SwfError for an exception that the current call raised."""
    wrapped = getattr(error, "kwargs", {}).get("error")
    if isinstance(wrapped, SwfError):  # raised below botocore
        return wrapped
    possibly_executed = _call.possibly_executed or _is_possibly_executed(error)
    response = getattr(error, "response", None)
    if isinstance(response, dict) and "Error" in response:
        # What became of earlier attempts is only known of the sessions' own clients.
        was_retried = response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0
        possibly_executed |= was_retried and not attempt.is_tracked
        return _translate_fault(error, response, possibly_executed)
    names = class_names(error)
    message = describe(error)
    for name, hint in _UNSIGNED.items():
        if name in names:
            return (AccessError if hint is HINT_REGION else CredentialsError)(message, hint=hint)
    if "ParamValidationError" in names:
        return InvalidRequest(message)
    if possibly_executed and isinstance(error, AttributeError | LookupError | TypeError | ValueError):
        # botocore's parser takes for granted that a response has the shape of SWF's model.
        if is_token(_call.token):
            message = f"the response to the poll is malformed: {message}"
            return IncompleteTask(message, token=_call.token, possibly_executed=True)
        return InvalidResponseError(f"the response is malformed: {message}", possibly_executed=True)
    return NetworkError(message, possibly_executed=possibly_executed, hint=advise(error))


def describe(error: Exception) -> str:
    """Return an exception's message in one line."""
    return describe_failure(error) or " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _translate_fault(error: Exception, response: dict[str, Any], possibly_executed: bool) -> SwfError:
    metadata = response.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", 0)
    code = str(response["Error"].get("Code", ""))
    message = str(response["Error"].get("Message") or "no message").strip()
    operation = getattr(error, "operation_name", "SWF")
    kind, hint = _FAULTS.get(code), _ACCESS_FAULTS.get(code)
    if hint is not None:
        kind = AccessError if hint is _HINT_POLICY else CredentialsError
        hint = hint.format(operation=operation)
    elif kind is UnknownResource and message.startswith("Unknown domain"):
        hint = _HINT_DOMAIN
    elif kind is InvalidRequest and message.lower().startswith("invalid token"):
        kind, message = TaskNotOpen, f"SWF does not know this token: {message}"
    elif code.isdigit():
        # From something between us and SWF, often a whole page.
        kind, message = ServiceError, " ".join(message.split())[:_EXCERPT]
    elif kind is None:
        kind = ServiceError if is_transient(status) else SwfError
    return kind(
        f"{operation}: {message} ({code})",
        code=code,
        request_id=metadata.get("RequestId"),
        retry_attempts=metadata.get("RetryAttempts", 0),
        retry_after=_read_retry_after(metadata.get("HTTPHeaders", {}).get("retry-after")),
        possibly_executed=possibly_executed,
        hint=hint,
    )


def is_transient(status: int) -> bool:
    """Return whether the same request may succeed later, by the HTTP status of its response."""
    return status in (408, 429) or status >= 500


def _read_retry_after(value: str | None) -> float:
    """Return the seconds of a Retry-After header, a minute at most; 0 if there is none."""
    if not value:
        return 0.0
    from email.utils import parsedate_to_datetime
    from time import time

    try:
        seconds = float(value) if value.strip().isdigit() else parsedate_to_datetime(value).timestamp() - time()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER)
