"""Finding AWS credentials, and saying which file, profile, process or endpoint failed if there are none.

No message holds a key, a secret or a token.
"""

import os
import re
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import AccessError, ConnectionSettingError, CredentialsError, CredentialsUnavailable, SwfError
from ..redaction import register_secrets
from .certificates import CABundle
from .faults import HINT_CREDENTIALS, HINT_EXPIRED, advise_connection, class_names, describe, is_transient, translate
from .masking import mask, mask_exceptions, mask_urls
from .proxies import explain_setting
from .refresh import BackgroundRefresh

if TYPE_CHECKING:
    import botocore.session

_HINT_FIX: Final = "correct that, or choose another profile with --profile"
_HINT_PROFILE: Final = "check --profile or AWS_PROFILE, and the profiles in ~/.aws/config and ~/.aws/credentials"

_METADATA_SERVICE: Final = "http://169.254.169.254/"
_TRANSIENT_KINDS: Final = frozenset({"ConnectionError", "HTTPClientError", "MetadataRetrievalError"})
"""botocore's exceptions, by name, if an endpoint that issues credentials can't be reached or fails."""

_RESPONSE_STATUS: Final = re.compile(r"non 200 response (\d+)")


class CredentialSource:
    """The credentials of one botocore session."""

    def __init__(self, session: "botocore.session.Session", ca_bundle: CABundle, clock: Callable[[], float]) -> None:
        self._session = session
        self._ca_bundle = ca_bundle
        self._clock = clock
        self._refresh: BackgroundRefresh | None = None
        self._method = ""
        """botocore's name of the provider that was tried last."""
        self._metadata_status: int | None = None
        """HTTP status of the instance metadata service's last response; None if it can't be reached."""

    @property
    def current(self) -> Any:
        """The credentials that were used last, frozen; None before they are loaded."""
        return self._refresh and self._refresh.current

    def load(self) -> None:
        """Find the credentials. Raise CredentialsError if there are none that can be used."""
        _register_container_secrets()
        for provider in self._session.get_component("credential_provider").providers:
            if provider.METHOD == "assume-role":
                provider._prompter = _ask_for_code
            elif provider.METHOD == "iam-role":
                self._watch_metadata_service(provider)
            provider.load = self._tracing(provider.METHOD, provider.load)
        try:
            credentials: Any = self._session.get_credentials()
            if credentials is None:
                raise self._explain_none()
            self._method = credentials.method
            self._refresh = BackgroundRefresh(credentials, lambda error: self.explain(error).message, self._clock)
            # Those of a role or of SSO are fetched here: a failure to get them is not a failed call to SWF.
            frozen = self._refresh.freeze()
        except SwfError:
            raise
        except Exception as error:
            raise self.explain(error) from error
        for name, value in (("access key ID", frozen.access_key), ("secret key", frozen.secret_key)):
            self._check(name, value)
        if frozen.token:
            self._check("session token", frozen.token)

    def _tracing(self, method: str, load: Callable[[], Any]) -> Callable[[], Any]:
        def traced() -> Any:
            self._method = method
            return load()

        return traced

    def _watch_metadata_service(self, provider: Any) -> None:
        """Record how the instance metadata service responds: botocore takes a failure for an instance without a role.

        It does so through an attribute that is not public. Without that, nothing is recorded.
        """
        http = getattr(getattr(provider, "_role_fetcher", None), "_session", None)
        if http is None:
            return

        def send(request: Any, original: Callable[[Any], Any] = http.send) -> Any:
            self._metadata_status = None
            try:
                response = original(request)
            except Exception as error:
                if "ReadTimeoutError" in class_names(error):
                    self._metadata_status = 504  # a service that hangs is one that fails
                raise
            self._metadata_status = response.status_code
            return response

        http.send = send

    def _explain_none(self) -> SwfError:
        """Return the error to raise if no provider has credentials."""
        status, start = self._metadata_status, f"cannot get credentials from {_METHODS['iam-role']}"
        if status == 200:
            return CredentialsError(f"{start}: it returned something other than credentials", hint=_HINT_FIX)
        if status is not None and is_transient(status):
            reason = "it did not respond" if status == 504 else f"it responded with status {status}"
            # A proxy may respond for it on a machine that has none.
            hint = f"unless this is an EC2 instance, {HINT_CREDENTIALS}"
            return CredentialsUnavailable(f"{start}: {reason}", hint=hint)
        what, hint = "no AWS credentials were found", HINT_CREDENTIALS
        if profile := self._session.profile:  # keys in the environment do not count if it was given as an argument
            what += f" for profile {profile}"
            configure = shlex.join(["aws", "configure", "--profile", profile])
            hint = f"run `{configure}`, or choose another profile with --profile"
        return CredentialsError(explain_missing(what, self._session), hint=hint)

    def _check(self, name: str, value: Any) -> None:
        source = f"from {self.describe()}"
        if self._method == "env":
            source = f"in the environment variable {_VARIABLES[name]}"
        if value is None or value == "":
            problem = "is missing"
        elif not isinstance(value, str):
            problem = "is not a string"
        elif not value.isascii() or not value.isprintable():
            problem = "contains a line break or another invalid character"
        else:
            return
        raise CredentialsError(f"the {name} {source} {problem}", hint=_HINT_FIX)

    def explain(self, error: Exception) -> SwfError:
        """Return the error to raise for one that was raised while the credentials were fetched or refreshed."""
        if isinstance(error, EOFError):
            return CredentialsError("no MFA code was entered", hint=HINT_EXPIRED)
        problem = self._ca_bundle.explain(error) or self._explain_proxy()
        if problem is not None:
            return problem
        # botocore wraps what an endpoint did in an error of its own.
        names = class_names(error) | class_names(error.__context__ or error)
        mask_exceptions(error)
        source = self.describe()
        reason = mask(_strip_prefix(describe(error)))
        if "ClientError" in names:
            fault = translate(error)
            message = f"cannot get credentials from {source}: {mask(fault.message)}"
            is_refused = isinstance(fault, AccessError) or type(fault) is SwfError
            kind = CredentialsError if is_refused else CredentialsUnavailable
            return kind(message, code=fault.code, request_id=fault.request_id, hint=HINT_EXPIRED)
        status = _RESPONSE_STATUS.search(reason)
        if status:  # what follows is the endpoint's reply
            reason = f"it responded with status {status[1]}"
            if not is_transient(int(status[1])):
                return CredentialsError(f"cannot get credentials from {source}: {reason}", hint=_HINT_FIX)
        if names & _TRANSIENT_KINDS:
            hint = advise_connection(error) or _HINT_FIX
            return CredentialsUnavailable(f"cannot get credentials from {source}: {reason}", hint=hint)
        if isinstance(error, OSError) and error.strerror:
            is_named = not error.filename or str(error.filename) in source
            reason = error.strerror if is_named else f"{error.strerror}: {error.filename}"
        else:
            reason = self._find_mistake(error) or reason
        is_expired = self._method in ("sso", "login") or reason == "they have expired"
        message = f"cannot get credentials from {source}: {reason or 'it failed'}"
        hint = HINT_EXPIRED if is_expired else HINT_CREDENTIALS if self._method == "env" else _HINT_FIX
        return CredentialsError(message, hint=hint)

    def _find_mistake(self, error: Exception) -> str | None:
        """Return what is wrong with the credentials or with how to get them; None if the error itself says it."""
        if "expired" in str(error):
            return "they have expired"
        if not isinstance(error, ValueError | TypeError | AttributeError | KeyError | IndexError):
            return None
        if self._method == "custom-process" and not self._program():
            return "its command line is empty, or a quotation mark in it is not closed"
        if self._method == "container-role" and type(error) is ValueError:  # botocore refuses to send the request
            reason = mask(describe(error))
            return "the URL has no host" if "host 'None'" in reason else reason
        # What a process, a file or an endpoint returned has another shape. It may hold a secret.
        return f"it returned something other than credentials ({type(error).__name__})"

    def _program(self) -> str:
        """Return the program of the profile's credential_process; empty if its command line can't be parsed."""
        try:
            words = shlex.split(self._session.get_scoped_config()["credential_process"])
        except ValueError:
            return ""
        return words[0] if words else ""

    def _explain_proxy(self) -> ConnectionSettingError | None:
        """Return the error to raise if the instance metadata service is called through a proxy that can't be used.

        botocore calls it without a client, whose requests would be checked.
        """
        if self._method != "iam-role":
            return None
        return explain_setting(
            self._session.get_config_variable("ec2_metadata_service_endpoint") or _METADATA_SERVICE
        )

    def describe(self) -> str:
        """Return where the credentials come from: a file, a profile, a process, an endpoint."""
        profile = self._session.get_config_variable("profile") or "default"
        with suppress(Exception):  # the configuration itself may be what is wrong
            config = self._session.get_scoped_config()
            if self._method == "custom-process":
                return self._describe_process(profile)
            described = _describe_profile(self._method, profile, config)
            if described:
                return described
        if self._method in ("shared-credentials-file", "config-file"):
            variable = "credentials_file" if self._method == "shared-credentials-file" else "config_file"
            return f"profile {profile} in {self._session.get_config_variable(variable)}"
        return _METHODS.get(self._method, self._method or "the AWS configuration")

    def _describe_process(self, profile: str) -> str:
        program = self._program()
        if program:
            return f"credential_process {program} of profile {profile}"
        from botocore.configloader import raw_config_parse

        path = self._session.get_config_variable("config_file")
        with suppress(Exception):  # that file need not exist
            credentials_file = self._session.get_config_variable("credentials_file")
            if "credential_process" in raw_config_parse(credentials_file).get(profile, {}):
                path = credentials_file  # it wins
        return f"credential_process of profile {profile} in {path}"


def _register_container_secrets() -> None:
    """Redact what authorizes requests to a container's endpoint: with --debug, urllib3 and botocore log it."""
    url = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    register_secrets(url.partition("?")[2], os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN"))
    file = Path(os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", ""))
    with suppress(OSError, ValueError):  # botocore says what is wrong with it
        if file.is_file():  # a pipe can be read only once
            register_secrets(file.read_text(), None)


def _ask_for_code(prompt: str) -> str:
    """Return the MFA code that was typed, or without a terminal the next line of stdin; EOFError if there is none.

    `getpass` would read stdin too, but warn of an echo that there can't be.
    """
    from getpass import getpass

    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        line = sys.stdin.readline()
        if not line:
            raise EOFError from None
        return line.rstrip("\n")
    return getpass(prompt)


def explain_missing(what: str, session: "botocore.session.Session") -> str:
    """Return that something was not found, and which of the files that may have it can't be read.

    botocore takes a file that it can't read for an empty one.
    """
    reasons: list[str] = []
    for name in ("credentials_file", "config_file"):
        path = session.get_config_variable(name)
        try:
            _read_start(os.path.expanduser(os.path.expandvars(path)))  # noqa: PTH111 - as botocore does it
        except FileNotFoundError:
            continue
        except OSError as error:
            reasons.append(f"cannot read {path}: {error.strerror}")
    return f"{what}: {'; '.join(reasons)}" if reasons else what


def _read_start(path: str) -> None:
    """Raise OSError if a file can't be read. Don't wait for data from a pipe or a device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.read(descriptor, 1)
    finally:
        os.close(descriptor)


def explain_configuration(error: Exception, session: "botocore.session.Session") -> SwfError | None:
    """Return the error to raise for a profile that does not exist, or a file of profiles that can't be parsed.

    None for any other exception.
    """
    names, values = class_names(error), getattr(error, "kwargs", {})
    if "ProfileNotFound" in names:
        message = explain_missing(f"profile {values.get('profile')} was not found", session)
        return CredentialsError(message, hint=_HINT_PROFILE)
    if "ConfigParseError" in names:
        where = _describe_mistake(values.get("error"))
        return CredentialsError(f"cannot parse {values.get('path')}{where}", hint="correct that file")
    return None


def _describe_mistake(error: Any) -> str:
    """Return where a file can't be parsed, without the line itself: it may hold a secret."""
    if isinstance(error, UnicodeDecodeError):
        return ": it is not valid UTF-8"
    mistakes = getattr(error, "errors", ())
    line = mistakes[0][0] if mistakes else getattr(error, "lineno", None)
    if line is None:
        return ""
    is_repeated = class_names(error) & {"DuplicateSectionError", "DuplicateOptionError"}
    return f": line {line} repeats a section or a setting" if is_repeated else f": line {line} is not valid"


_VARIABLES: Final = {
    "access key ID": "AWS_ACCESS_KEY_ID",
    "secret key": "AWS_SECRET_ACCESS_KEY",
    "session token": "AWS_SESSION_TOKEN",
}
_METHODS: Final = {
    "env": "the environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "iam-role": "the instance metadata service",
}


def _describe_profile(method: str, profile: str, config: dict[str, Any]) -> str | None:
    match method:
        case "assume-role":
            return f"role {config['role_arn']} of profile {profile}"
        case "assume-role-with-web-identity":
            path = os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") or config["web_identity_token_file"]
            return f"web identity token file {path}"
        case "sso" | "login":
            return f"the SSO sign-in of profile {profile}"
        case "container-role":
            url = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
            return (
                f"container endpoint {mask_urls(url or '') or os.environ['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI']}"
            )
    return None


def _strip_prefix(message: str) -> str:
    """Return botocore's message without the part that repeats that credentials could not be retrieved."""
    if message.startswith("Error when retrieving credentials from "):
        message = message.partition(": ")[2]
    return message.removeprefix("Error retrieving metadata: ")
