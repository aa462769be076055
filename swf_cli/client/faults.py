"""What a failed call means: botocore's exceptions as SwfError."""

import re
from typing import Any, Final

from ..addresses import is_loopback
from ..errors import (
    AccessError,
    ConfigurationError,
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
from .proxies import advise, advise_login, describe_failure, describe_silence
from .responses import unusable

HINT_CREDENTIALS: Final = "run `aws configure`, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
HINT_EXPIRED: Final = "sign in again (`aws sso login`, or whatever issued these credentials)"
HINT_SETTING: Final = "check the AWS_* variables and the profile in ~/.aws/config and ~/.aws/credentials"
HINT_REGION: Final = "pass --region, or set AWS_REGION, or the profile's region"
_HINT_LOCAL: Final = "start a local SWF with `swf local serve`, or check --endpoint-url and AWS_ENDPOINT_URL_SWF"
_HINT_UNREACHABLE: Final = "check the network, and --region or --endpoint-url"
_HINT_DOMAIN: Final = "check its name, and --region and --profile: a domain is known in one region of one account"
_HINT_CLOCK: Final = "check the secret key, the region, and that this machine's clock is right"
_HINT_CERTIFICATE: Final = (
    "if a private authority issued the certificate, as for a company's proxy, "
    "set AWS_CA_BUNDLE to a PEM file with the certificate of that authority"
)
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
# The fault codes of a request whose credentials AWS rejects: the error, and what to do about it.
_ACCESS_FAULTS: Final[dict[str, tuple[type[SwfError], str]]] = {
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException"), (CredentialsError, HINT_EXPIRED)),
    **dict.fromkeys(
        (
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidClientTokenId",
            "InvalidTokenException",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "NotAuthorized",
            "NotAuthorizedException",
            "OptInRequired",
            "SubscriptionRequiredException",
            "UnrecognizedClientException",
        ),
        (CredentialsError, HINT_CREDENTIALS),
    ),
    **dict.fromkeys(
        ("InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch"),
        (CredentialsError, _HINT_CLOCK),
    ),
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "OperationNotPermittedFault"), (AccessError, _HINT_POLICY)
    ),
}
# botocore's exceptions, by name, if a request can't be signed: the error, and what to do about it.
_UNSIGNED: Final[dict[str, tuple[type[SwfError], str]]] = {
    "NoCredentialsError": (CredentialsError, HINT_CREDENTIALS),
    "PartialCredentialsError": (CredentialsError, HINT_CREDENTIALS),
    "CredentialRetrievalError": (CredentialsError, HINT_CREDENTIALS),
    "MetadataRetrievalError": (CredentialsError, HINT_CREDENTIALS),
    "UnknownCredentialError": (CredentialsError, HINT_CREDENTIALS),
    "NoAuthTokenError": (CredentialsError, HINT_EXPIRED),
    "TokenRetrievalError": (CredentialsError, HINT_EXPIRED),
    "SSOError": (CredentialsError, HINT_EXPIRED),
    "LoginError": (CredentialsError, HINT_EXPIRED),
    "RefreshWithMFAUnsupportedError": (CredentialsError, HINT_EXPIRED),
    "NoRegionError": (AccessError, HINT_REGION),
    "InvalidConfigError": (ConfigurationError, HINT_SETTING),
    "MissingDependencyException": (CredentialsError, "install the package that this profile needs"),
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

_CONNECTION_FAILURES: Final = {
    "EndpointConnectionError": "could not connect to {}",
    "ConnectTimeoutError": "connect timeout: could not connect to {} in time",
    "ConnectionClosedError": "the connection was closed before a response came from {}",
    "ReadTimeoutError": "read timeout: {} did not respond in time",
}
"""What botocore's exceptions for connections mean, by name."""

_UNHANDLED: Final = "An HTTP Client raised an unhandled exception: "
"""How botocore begins the message of an error that it has no class for."""

_PROXY_LOGIN: Final = 407
"""The HTTP status of a proxy that asks for user name and password."""

_EXCERPT: Final = 200  # characters of a page
_MAX_RETRY_AFTER: Final = 60.0  # seconds


def record_attempt(operation: Any, response: Any = None, caught_exception: Exception | None = None, **_: Any) -> None:
    """Record whether SWF may have executed an attempt (botocore's `needs-retry` event).

    The error that ends a call says nothing of earlier attempts.

    Raise InvalidResponseError for a response that was cut short, which older botocores notice before `check_response`
    can.
    """
    error = caught_exception
    if error is not None:
        wrapped = getattr(error, "kwargs", {}).get("error")
        if any("IncompleteRead" in class_names(cause) for cause in getattr(wrapped, "args", ())):
            raise unusable(operation.name) from error
        attempt.possibly_executed |= _is_possibly_executed(error)
    elif response is not None:
        parsed = response[1] or {}
        attempt.possibly_executed |= _is_gateway_failure(parsed.get("Error", {}).get("Code"), response[0].status_code)


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


def class_names(error: BaseException) -> set[str]:
    """Return the names of an exception's class and of its bases: botocore is not imported to name them."""
    return {base.__name__ for base in type(error).__mro__}


def is_foreign(error: Exception) -> bool:
    """Return whether an exception comes from an event handler that somebody added to a client.

    It is neither botocore's nor raised in botocore's parsers, which take a response's shape for granted.
    """
    if any(base.__module__.partition(".")[0] == "botocore" for base in type(error).__mro__):
        return False
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__name__") == "botocore.parsers":
            return False
        traceback = traceback.tb_next
    return True


def translate(error: Exception) -> SwfError:
    """Return the SwfError for an exception that the current call raised."""
    wrapped = getattr(error, "kwargs", {}).get("error")
    if isinstance(wrapped, SwfError):  # raised below botocore
        return wrapped
    possibly_executed = attempt.possibly_executed or _is_possibly_executed(error)
    response = getattr(error, "response", None)
    if isinstance(response, dict) and "Error" in response:
        # What became of earlier attempts is only known of the sessions' own clients.
        was_retried = response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0
        possibly_executed |= was_retried and not attempt.is_tracked
        return _translate_fault(error, response, possibly_executed)
    names = class_names(error)
    message = describe(error)
    for name, (kind, hint) in _UNSIGNED.items():
        if name in names:
            return kind(message, hint=hint)
    if "ParamValidationError" in names:
        return InvalidRequest(message)
    if possibly_executed and isinstance(error, AttributeError | LookupError | TypeError | ValueError):
        # botocore's parser takes for granted that a response has the shape of SWF's model.
        if is_token(attempt.token):
            message = f"the response to the poll is malformed: {message}"
            return IncompleteTask(message, token=attempt.token, possibly_executed=True)
        return InvalidResponseError(f"the response is malformed: {message}", possibly_executed=True)
    advice = advise_connection(error) or _advise_unreachable(names)
    return NetworkError(message, possibly_executed=possibly_executed, hint=advice)


def describe(error: Exception) -> str:
    """Return an exception's message in one line."""
    if _is_not_http(error):
        return f"the response from {_bare(attempt.origin) or 'the endpoint'} is not HTTP"
    message = " ".join(str(error).split()).removeprefix(_UNHANDLED).rstrip(".")
    failure = describe_failure(error) or describe_silence(error) or _describe_connection(error)
    return failure or message or type(error).__name__


def _describe_connection(error: Exception) -> str | None:
    """Return why a connection failed; None for any other exception than botocore's for that."""
    values = getattr(error, "kwargs", {})
    words: str | None = _CONNECTION_FAILURES.get(type(error).__name__)
    if words is None or "endpoint_url" not in values:
        return None
    cause = getattr(values.get("error"), "__cause__", None)
    reason = getattr(cause, "strerror", None) if "EndpointConnectionError" in class_names(error) else None
    return words.format(_bare(values["endpoint_url"])) + (f": {reason}" if reason else "")


def _bare(url: str) -> str:
    """Return a URL without a query, which may be masked later with what follows, and without a slash at its end."""
    return url.partition("?")[0].rstrip("/")


def _advise_unreachable(names: set[str]) -> str | None:
    """Return what to do if SWF can't be connected to; None for any other failure."""
    if not attempt.is_signed or not names & {"EndpointConnectionError", "ConnectTimeoutError"}:
        return None
    from urllib.parse import urlsplit

    is_local = is_loopback(urlsplit(attempt.origin).hostname or "")
    return _HINT_LOCAL if is_local else _HINT_UNREACHABLE


def _is_not_http(error: Exception) -> bool:
    """Return whether an exception is botocore's for a response that does not begin as one of HTTP does."""
    causes = getattr(getattr(error, "kwargs", {}).get("error"), "args", ())
    names = [class_names(cause) for cause in causes if isinstance(cause, Exception)]
    return any("BadStatusLine" in it and "RemoteDisconnected" not in it for it in names)


def advise_connection(error: Exception) -> str | None:
    """Return what to do about a connection that failed; None if there is nothing to advise."""
    is_untrusted = re.search("CERTIFICATE_VERIFY_FAILED.*(self.signed|issuer)", str(error))
    return _HINT_CERTIFICATE if is_untrusted else advise(error)


def _translate_fault(error: Exception, response: dict[str, Any], possibly_executed: bool) -> SwfError:
    metadata = response.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", 0)
    code = str(response["Error"].get("Code", ""))
    message = str(response["Error"].get("Message") or "no message").strip()
    operation = getattr(error, "operation_name", "SWF")
    kind, hint, access = _FAULTS.get(code), None, _ACCESS_FAULTS.get(code)
    if access is not None:
        kind, hint = access[0], access[1].format(operation=operation)
    elif kind is UnknownResource and message.startswith("Unknown domain"):
        hint = _HINT_DOMAIN
    elif kind is InvalidRequest and message.lower().startswith("invalid token"):
        kind, message = TaskNotOpen, f"SWF does not know this token: {message}"
    elif code.isdigit():
        # From something between us and SWF, often a whole page.
        kind, message = ServiceError, " ".join(message.split())[:_EXCERPT]
        hint = advise_login() if status == _PROXY_LOGIN else None
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
