"""Whether a response is SWF's, and whole: botocore reads others as empty ones."""

from collections.abc import Mapping
from typing import Any, Final

from ..errors import InvalidResponseError
from .attempt import attempt

_MAX_PAGE: Final = 3_200  # bytes of a page that is not SWF's


def check_response(response_dict: dict[str, Any], operation_model: Any, **_: Any) -> None:
    """Raise InvalidResponseError for a response that was cut short or is not SWF's (botocore's `before-parse` event).

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
        elif not isinstance(response, dict) or ("__type" in response and not _is_fault_name(response["__type"])):
            page = body[:_MAX_PAGE].decode("utf-8", "replace")
            response_dict["body"] = json.dumps({"__type": str(status), "message": page}).encode()
    elif not is_whole or not isinstance(response, dict) or not _is_swfs(operation_model, response, headers):
        raise unusable(operation_model.name)
    else:
        attempt.token = response.get("taskToken")


def _is_fault_name(kind: Any) -> bool:
    """Return whether a type, such as `com.amazonaws.swf.base.model#UnknownResourceFault`, names a fault."""
    return isinstance(kind, str) and bool(kind.rpartition("#")[2].partition(":")[0].strip())


def _is_swfs(operation_model: Any, response: dict[str, Any], headers: Mapping[str, str]) -> bool:
    """Return whether a JSON object may be SWF's response, by its headers or its keys: a captive portal has others.

    A fault is none, whatever its headers are.
    """
    shape = operation_model.output_shape
    if shape is not None and not shape.members.keys().isdisjoint(response):
        return True
    has_header = "x-amzn-requestid" in headers or "amz-json" in headers.get("content-type", "")
    return not response or (has_header and "__type" not in response)


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
        raise unusable("".join(word.capitalize() for word in operation.split("_")))


def _describe_address(location: str) -> str:
    """Return the host of a Location header, else its path: what precedes or follows may hold a secret."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(location)
    except ValueError:
        return "an address that is not valid"
    return parts.hostname or parts.path or "itself"


def unusable(operation: str) -> InvalidResponseError:
    """Return the error for a response to an operation that is not whole, or not SWF's."""
    message = f"the response to {operation} is cut short or is not SWF's"
    return InvalidResponseError(message, possibly_executed=True)
