"""A session, its two clients (one to poll, one for the rest), and the one way to call SWF.

This is the only room that knows botocore, and it loads botocore when the first client is needed.
"""

import threading
from typing import TYPE_CHECKING, Any, Final

from ..errors import (
    AccessError,
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

if TYPE_CHECKING:
    pass

_HINT_CREDENTIALS = "run `aws configure`, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_HINT_EXPIRED = "sign in again (`aws sso login`, or whatever gave you these credentials)"
_HINT_POLICY = "the README lists the least IAM policy that each command needs"

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
# What AWS calls a request whose credentials it does not take, and what to do about each.
_NO_ACCESS: Final = {
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException"), _HINT_EXPIRED),
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
        _HINT_CREDENTIALS,
    ),
    **dict.fromkeys(
        ("InvalidSignatureException", "RequestExpired", "SignatureDoesNotMatch"),
        "check the secret key, the region, and that this machine's clock is right",
    ),
    **dict.fromkeys(("AccessDenied", "AccessDeniedException", "OperationNotPermittedFault"), _HINT_POLICY),
}
# botocore's exceptions, by name, that mean that there is no way to sign a request.
_UNSIGNED: Final = {
    "NoCredentialsError": _HINT_CREDENTIALS,
    "PartialCredentialsError": _HINT_CREDENTIALS,
    "CredentialRetrievalError": _HINT_CREDENTIALS,
    "MetadataRetrievalError": _HINT_CREDENTIALS,
    "UnknownCredentialError": _HINT_CREDENTIALS,
    "NoAuthTokenError": _HINT_EXPIRED,
    "TokenRetrievalError": _HINT_EXPIRED,
    "SSOError": _HINT_EXPIRED,
    "LoginError": _HINT_EXPIRED,
    "RefreshWithMFAUnsupportedError": _HINT_EXPIRED,
    "NoRegionError": "pass --region, or set AWS_REGION, or the profile's region",
    "InvalidConfigError": "look at ~/.aws/config",
    "MissingDependencyException": "this profile needs the package that the message names",
}
# botocore's exceptions, by name, that are raised before a request has left.
_NEVER_SENT: Final = frozenset(
    {"ConnectTimeoutError", "EndpointConnectionError", "ParamValidationError", "ProxyConnectionError"}
)


class _Attempts(threading.local):
    """What is known of the tries of the call that this thread is making."""

    unclear = False
    """Whether one of them may have reached SWF although its answer is lost."""


_attempts = _Attempts()


def _note_attempt(response: Any = None, caught_exception: Exception | None = None, **_: Any) -> None:
    """Hear of each single try (botocore's `needs-retry`), since the error of the last says nothing of the others."""
    if caught_exception is not None:
        _attempts.unclear |= _may_have_acted(caught_exception)
    elif response is not None:
        _attempts.unclear |= response[0].status_code >= 500


def _may_have_acted(error: Exception) -> bool:
    """Tell whether SWF may have done what was asked, going by the error alone."""
    # botocore's network errors have a `response` too: None.
    response = getattr(error, "response", None) or {}
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if status is not None:
        return bool(status >= 500)
    kinds = _kinds(error)
    if "SSLError" in kinds:
        return "CERTIFICATE_VERIFY_FAILED" not in str(error)
    return not kinds & (_NEVER_SENT | _UNSIGNED.keys())


def _check_reply(response_dict: dict[str, Any], operation_model: Any, **_: Any) -> None:
    """Refuse a reply that was cut short or isn't JSON (botocore's `before-parse`).

    botocore takes both for an empty reply, and an empty reply to a poll reads as "no task". A refusal that isn't
    JSON is none of SWF's but of something in between: it is put in words that botocore reads.
    """
    import json

    body, status = response_dict["body"], response_dict["status_code"]
    length = response_dict["headers"].get("content-length")
    whole = length is None or not length.isdigit() or len(body) >= int(length)
    try:
        reply = json.loads(body.decode()) if body or operation_model.output_shape is not None else {}
    except ValueError:
        reply = None
    if status >= 300:
        if not isinstance(reply, dict) or not isinstance(reply.get("__type", ""), str):
            page = body.decode("utf-8", "replace")
            response_dict["body"] = json.dumps({"__type": str(status), "message": page}).encode()
    elif not whole or not isinstance(reply, dict):
        raise InvalidResponseError(
            f"the reply to {operation_model.name} is cut short or isn't SWF's", possibly_executed=True
        )


def _kinds(error: Exception) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _translate(error: Exception, *, possibly_executed: bool) -> SwfError:
    """Make an SwfError of an exception of botocore's."""
    response = getattr(error, "response", None)
    if isinstance(response, dict) and "Error" in response:
        return _translate_fault(error, response, possibly_executed)
    kinds = _kinds(error)
    message = str(error).strip().rstrip(".")
    for kind, hint in _UNSIGNED.items():
        if kind in kinds:
            return AccessError(message, hint=hint)
    if "ParamValidationError" in kinds:
        return InvalidRequest(message)
    return NetworkError(message, possibly_executed=possibly_executed)


def _translate_fault(error: Exception, response: dict[str, Any], possibly_executed: bool) -> SwfError:
    metadata = response.get("ResponseMetadata", {})
    code = str(response["Error"].get("Code", ""))
    message = str(response["Error"].get("Message") or "no message").strip()
    operation = getattr(error, "operation_name", "SWF")
    kind = _FAULTS.get(code, ServiceError if metadata.get("HTTPStatusCode", 0) >= 500 else SwfError)
    hint = _NO_ACCESS.get(code)
    if hint is not None:
        kind = AccessError
    elif kind is InvalidRequest and message.lower().startswith("invalid token"):
        kind, message = TaskNotOpen, f"SWF does not know this token: {message}"
    elif code.isdigit():
        # Not SWF's words but those of something in between, often a whole page.
        message = " ".join(message.split())[:200]
    return kind(
        f"{operation}: {message} ({code})",
        code=code,
        request_id=metadata.get("RequestId"),
        retry_attempts=metadata.get("RetryAttempts", 0),
        possibly_executed=possibly_executed,
        hint=hint,
    )
