"""A session, its two clients (one to poll, one for the rest), and the one way to call SWF.

This is the only room that knows botocore, and it loads botocore when the first client is needed.
"""

import os
import threading
import time
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final

from ._version import __version__
from .errors import (
    BrokenReply,
    InvalidRequest,
    InvalidSetting,
    LimitExceeded,
    NetworkError,
    NoAccess,
    ServiceFailure,
    SwfError,
    TaskNotOpen,
    Throttled,
    UnknownResource,
)

if TYPE_CHECKING:
    import botocore.client
    import botocore.session

# SWF holds a poll for up to 60 s and needs some more to answer. Giving up before it does loses the task it answers.
POLL_READ_TIMEOUT: Final = 90
LEAST_POLL_READ_TIMEOUT: Final = 70
CALL_READ_TIMEOUT: Final = 20
CONNECT_TIMEOUT: Final = 5
CALL_ATTEMPTS: Final = 3

_HINT_CREDENTIALS = "run `aws configure`, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_HINT_EXPIRED = "sign in again (`aws sso login`, or whatever gave you these credentials)"
_HINT_POLICY = "the README lists the least IAM policy that each command needs"

_FAULTS: Final[dict[str, type[SwfError]]] = {
    "UnknownResourceFault": UnknownResource,
    "LimitExceededFault": LimitExceeded,
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
        Throttled,
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
_HINT_SETTING = "look at the AWS_… variables and at the profile, in ~/.aws/config and ~/.aws/credentials"
# botocore's exceptions, by name, that are raised before a request has left.
_NEVER_SENT: Final = frozenset(
    {"ConnectTimeoutError", "EndpointConnectionError", "ParamValidationError", "ProxyConnectionError"}
)


class Session:
    """Where and as whom SWF is called: one botocore session, and two clients over it, made when first used.

    Credentials, region, profile and endpoint are found as the `aws` command finds them; an argument wins over
    the environment. Raises NoAccess when there is no region or there are no credentials.
    """

    def __init__(
        self,
        *,
        profile: str | None = None,
        region: str | None = None,
        endpoint_url: str | None = None,
        poll_read_timeout: float = POLL_READ_TIMEOUT,
        connections: int = 10,
    ) -> None:
        self._profile = profile
        self._region = region
        self._endpoint_url = endpoint_url
        self._poll_read_timeout = poll_read_timeout
        self._connections = connections
        self._quick: dict[int, botocore.client.BaseClient] = {}

    @cached_property
    def polling(self) -> "botocore.client.BaseClient":
        """The client to poll with: it outlasts SWF's hold, and never polls again by itself."""
        return self._create_client(self._poll_read_timeout, attempts=1)

    @cached_property
    def calls(self) -> "botocore.client.BaseClient":
        """The client for every other call: it tries again what may pass."""
        return self._create_client(CALL_READ_TIMEOUT, attempts=CALL_ATTEMPTS)

    @cached_property
    def once(self) -> "botocore.client.BaseClient":
        """The client for calls that their caller tries again: one try of each."""
        return self._create_client(CALL_READ_TIMEOUT, attempts=1)

    def quick(self, seconds: float) -> "botocore.client.BaseClient":
        """Give a client for calls that are worth waiting for only so long, of some whole seconds: one try of each."""
        whole = max(1, min(CALL_READ_TIMEOUT, int(seconds)))
        client = self._quick.get(whole)  # another thread may `renew` meanwhile
        if client is None:
            client = self._quick[whole] = self._create_client(whole, attempts=1)
        return client

    def renew(self) -> None:
        """Forget the clients and credentials, so that the next ones are made from what is configured then."""
        for name in ("polling", "calls", "once", "_session"):
            self.__dict__.pop(name, None)
        self._quick.clear()

    @property
    def profile(self) -> str | None:
        """The profile to ask for to come here again; None for none.

        Asked for by AWS_PROFILE, a profile gives way to keys in the environment; asked for by argument, it does not.
        """
        if not self._profile and getattr(self._session.get_credentials(), "method", "") == "env":
            return None
        return self._session.profile

    @cached_property
    def _session(self) -> "botocore.session.Session":
        import botocore.session

        session = botocore.session.Session(profile=self._profile or None)
        if not session.get_config_variable("profile"):
            # An empty AWS_PROFILE counts as none.
            session.get_component("config_store").set_config_variable("profile", None)
        _use_fast_loader(session)
        _share_role_cache(session)
        region = (
            self._region
            or os.environ.get("AWS_REGION")
            or os.environ.get("AWS_DEFAULT_REGION")
            or session.get_scoped_config().get("region")
        )
        if not region:
            raise NoAccess("no region is set", hint=_UNSIGNED["NoRegionError"])
        # Set on the session, so that the calls to STS and SSO that a profile needs go to the same region.
        session.set_config_variable("region", region)
        credentials = session.get_credentials()
        if credentials is None:
            raise NoAccess("no AWS credentials were found", hint=_HINT_CREDENTIALS)
        # A role's or SSO's are fetched here, so that a failure to get them is never taken for a failed call to SWF.
        credentials.get_frozen_credentials()
        return session

    def _create_client(self, read_timeout: float, attempts: int) -> "botocore.client.BaseClient":
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            client = self._session.create_client(
                "swf",
                endpoint_url=self._endpoint_url,
                config=Config(
                    connect_timeout=min(CONNECT_TIMEOUT, read_timeout),
                    read_timeout=read_timeout,
                    retries={"mode": "standard", "total_max_attempts": attempts},
                    tcp_keepalive=True,
                    max_pool_connections=self._connections,
                    # botocore would put it together anew for each call, which is a tenth of what a call costs.
                    user_agent=self._session.user_agent(),
                    user_agent_extra=f"swf-cli/{__version__}",
                ),
            )
            check_endpoint_url(client.meta.endpoint_url)
        except ValueError as error:
            # An endpoint that is no URL, or a region that is no part of a host's name.
            raise InvalidSetting(str(error).strip().rstrip("."), hint=_HINT_SETTING) from error
        except EOFError as error:
            raise NoAccess("nobody typed the MFA code that the profile asks for", hint=_HINT_EXPIRED) from error
        except (BotoCoreError, ClientError) as error:
            fault = _translate(error, may_have_acted=False)
            if isinstance(fault, NetworkError) and not _kinds(error) & {"ConnectionError", "HTTPClientError"}:
                fault = InvalidSetting(fault.message, hint=_HINT_SETTING)
            raise fault from error
        client.meta.events.register("before-parse.swf", _check_reply)
        client.meta.events.register("needs-retry.swf", _note_attempt)
        return client


def check_endpoint_url(url: str) -> None:
    """Refuse an address that is not http or https with a host. Raises ValueError."""
    import re
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isascii() or re.search(r"\s", url):
        raise ValueError(f"{url!r} is not a URL such as http://127.0.0.1:5000")


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
        fault = _translate(error, may_have_acted=_attempts.unclear or _may_have_acted(error))
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
        raise BrokenReply(f"the reply to {operation_model.name} is cut short or isn't SWF's", may_have_acted=True)


def _kinds(error: Exception) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _translate(error: Exception, *, may_have_acted: bool) -> SwfError:
    """Make an SwfError of an exception of botocore's."""
    response = getattr(error, "response", None)
    if isinstance(response, dict) and "Error" in response:
        return _translate_fault(error, response, may_have_acted)
    kinds = _kinds(error)
    message = str(error).strip().rstrip(".")
    for kind, hint in _UNSIGNED.items():
        if kind in kinds:
            return NoAccess(message, hint=hint)
    if "ParamValidationError" in kinds:
        return InvalidRequest(message)
    return NetworkError(message, may_have_acted=may_have_acted)


def _translate_fault(error: Exception, response: dict[str, Any], may_have_acted: bool) -> SwfError:
    metadata = response.get("ResponseMetadata", {})
    code = str(response["Error"].get("Code", ""))
    message = str(response["Error"].get("Message") or "no message").strip()
    operation = getattr(error, "operation_name", "SWF")
    kind = _FAULTS.get(code, ServiceFailure if metadata.get("HTTPStatusCode", 0) >= 500 else SwfError)
    hint = _NO_ACCESS.get(code)
    if hint is not None:
        kind = NoAccess
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
        may_have_acted=may_have_acted,
        hint=hint,
    )


def _use_fast_loader(session: "botocore.session.Session") -> None:
    """Find SWF's model without a search of every service's folder, which costs more than all else of a client.

    For swf only: profiles with roles or SSO call other services, and those go to botocore's own loader.
    """
    from botocore.loaders import Loader

    class SwfLoader(Loader):
        def list_available_services(self, type_name: str) -> list[str]:
            return ["swf"]

    class FastLoader:
        def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
            loader = swf if service_name == "swf" else stock
            return loader.load_service_model(service_name, type_name, api_version)

        def __getattr__(self, name: str) -> Any:
            return getattr(stock, name)

    stock = session.get_component("data_loader")
    swf = SwfLoader(extra_search_paths=list(stock.search_paths), include_default_search_paths=False)
    session.register_component("data_loader", FastLoader())


def _share_role_cache(session: "botocore.session.Session") -> None:
    """Keep a role's credentials where `aws` keeps them, so that an MFA code is asked for once, not at each call."""
    from pathlib import Path

    from botocore.utils import JSONFileCache

    cache = JSONFileCache(str(Path("~/.aws/cli/cache").expanduser()))
    session.get_component("credential_provider").get_provider("assume-role").cache = cache


@cache
def default_session() -> Session:
    """Give the session of the Python layer's functions when they are handed no client: one for the process."""
    return Session()
