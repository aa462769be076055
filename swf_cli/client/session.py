"""Sessions: credentials, region, profile and endpoint, and the SWF clients made from them."""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import inf
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .._version import __version__
from ..addresses import check_endpoint_url, explain_bad_url
from ..errors import AccessError, ConfigurationError, CredentialsUnavailable, NetworkError, SwfError
from .attempt import attempt, record_signed
from .certificates import CABundle
from .credentials import CredentialSource, explain_configuration, explain_missing
from .faults import HINT_REGION, HINT_SETTING, class_names, record_attempt, translate
from .loader import use_fast_loader
from .proxies import Proxies
from .refresh import LOOKUP_INTERVAL
from .responses import check_response
from .variables import ignore_empty_variables

if TYPE_CHECKING:
    import botocore.client
    import botocore.session

    Client: TypeAlias = "botocore.client.BaseClient | SessionClient"
    """What calls take: a client of a caller's own, or one of a session."""

POLL_READ_TIMEOUT: Final = 70
"""Seconds. SWF holds a poll for up to 60 and may respond later; AWS asks for at least this. With the time to connect,
a poll is given up 75 seconds after it began."""

_CALL_READ_TIMEOUT: Final = 20
_CONNECT_TIMEOUT: Final = 5
_CALL_ATTEMPTS: Final = 3

_ISSUER_TIMEOUT: Final = 5  # seconds, of calls to STS and SSO
_ISSUER_ATTEMPTS: Final = 2

_log = logging.getLogger(__name__)


class Session:
    """Where and as whom SWF is called. Clients are created when first used, and may be shared by threads.

    Credentials, region, profile and endpoint are found as the `aws` command finds them; an argument wins over the
    environment. Creating a client raises AccessError if there is no region or there are no credentials, and
    ConfigurationError for a setting that can't be used.

    Args:
        poll_read_timeout: seconds to wait for the response to a poll
        call_read_timeout: seconds to wait for the response to any other call
        connections: how many connections a client keeps open
    """

    def __init__(
        self,
        *,
        profile: str | None = None,
        region: str | None = None,
        endpoint_url: str | None = None,
        poll_read_timeout: float = POLL_READ_TIMEOUT,
        call_read_timeout: float = _CALL_READ_TIMEOUT,
        connections: int = 10,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._profile = profile
        self._region = region
        self._endpoint_url = endpoint_url
        self._call_read_timeout = call_read_timeout
        self._connections = connections
        self._clock = clock
        self._lock = threading.RLock()
        self._renewing = threading.Lock()
        self._next_lookup = -inf
        self._failure: CredentialsUnavailable | None = None
        self._clients: dict[tuple[float, int], botocore.client.BaseClient] = {}
        self._loaded: _Found | None = None
        self._ca_bundle = CABundle()
        self._proxies = Proxies()
        self.generation = 0
        """How often the credentials were looked up again."""
        self.is_tracked = False
        """Whether its clients report how far a request got."""
        self.poll_client = SessionClient(self, poll_read_timeout, attempts=1)
        """Client for polls: it outlasts SWF's hold, and never retries."""
        self.client = SessionClient(self, call_read_timeout, attempts=_CALL_ATTEMPTS)
        """Client for every other call: it retries transient errors."""
        self.single_attempt_client = SessionClient(self, call_read_timeout, attempts=1)
        """Client for calls that their caller retries: one attempt each."""

    def with_timeout(self, seconds: float) -> "SessionClient":
        """Return a client that makes one attempt of each call, and waits for a response for at most this long.

        Fractions of a second do not count: at least 1 second, at most what the other clients wait.
        """
        whole = max(1, min(self._call_read_timeout, int(seconds)))
        return SessionClient(self, whole, attempts=1)

    def renew(self, generation: int) -> bool:
        """Look credentials up again, after those of a generation were rejected. Return whether there are others.

        Raise CredentialsUnavailable if what provides them failed. No thread looks them up within 5 s of the last
        lookup: what that one found may be rejected too.

        Until they are found, and clients are created with them, the session keeps those that it has: they may work
        for other calls, and again later.
        """
        with self._renewing:
            if self.generation != generation:
                return True  # another thread did it
            if self._loaded is None:
                return False  # they could not even be found
            if self._clock() >= self._next_lookup:
                self._failure = None
                try:
                    if self._replace(self._loaded):
                        return True
                except CredentialsUnavailable as error:
                    self._failure = error
                except SwfError as error:
                    _log.debug("found no other credentials: %s", error.message)
                finally:
                    self._next_lookup = self._clock() + LOOKUP_INTERVAL
            if self._failure is not None:
                raise self._failure
            return False

    def _replace(self, loaded: "_Found") -> bool:
        """Look credentials up, and change to them if there are others than those that were loaded."""
        rejected = loaded.source.current
        found = self._load(rejected.access_key)  # may take long: other threads go on with the clients they have
        if found.source.current == rejected:
            return False
        clients = {settings: self._create_client(found, *settings) for settings in tuple(self._clients)}
        with self._lock:
            self._loaded, self._clients = found, clients
            self.generation += 1
        return True

    def explain(self, error: Exception) -> SwfError:
        """Return the error to raise for one that was raised before a request was signed."""
        return self._found.source.explain(error)

    @property
    def profile(self) -> str | None:
        """The profile to pass to get the same credentials again; None for none.

        Named by AWS_PROFILE, a profile gives way to keys in the environment; named by an argument, it does not.
        """
        session = self._found.session
        if not self._profile and getattr(session.get_credentials(), "method", "") == "env":
            return None
        return session.profile

    def botocore_client(self, read_timeout: float, attempts: int) -> "botocore.client.BaseClient":
        """Return the botocore client with these settings; see the class for the errors of creating it."""
        client = self._clients.get((read_timeout, attempts))
        if client is None:
            with self._lock:
                client = self._clients.get((read_timeout, attempts))
                if client is None:
                    attempt.begin(is_tracked=True)  # what fails now is not this thread's last call
                    client = self._create_client(self._found, read_timeout, attempts)
                    self._clients[read_timeout, attempts] = client
        return client

    @property
    def _found(self) -> "_Found":
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _load(self, rejected_key: str | None = None) -> "_Found":
        # In this order, importing them takes 3 ms less.
        from . import transport  # noqa: F401, I001
        import botocore.session

        session = botocore.session.Session(profile=self._profile or None)
        try:
            return self._look_up(session, rejected_key)
        except SwfError:
            raise
        except Exception as error:
            raise _explain_setting(error, session) from error

    def _look_up(self, session: "botocore.session.Session", rejected_key: str | None) -> "_Found":
        from botocore.config import Config

        ignore_empty_variables(session)
        _share_role_cache(session, rejected_key)
        region = self._find_region(session)
        use_fast_loader(session, region)
        timeout = min(_ISSUER_TIMEOUT, self._call_read_timeout)
        # For STS and SSO: SWF's clients have settings of their own.
        session.set_default_client_config(
            Config(
                connect_timeout=timeout,
                read_timeout=timeout,
                retries={"mode": "standard", "total_max_attempts": _ISSUER_ATTEMPTS},
            )
        )
        # Set on the session, so that the calls to STS and SSO that a profile needs go to the same region.
        session.set_config_variable("region", region)
        self._ca_bundle.look_up(session)
        session.register("before-send", self._proxies.check)
        source = CredentialSource(session, self._ca_bundle, self._clock)
        source.load()
        return _Found(session, source)

    def _find_region(self, session: "botocore.session.Session") -> str:
        from botocore.exceptions import InvalidRegionError
        from botocore.utils import validate_region_name

        places = {
            "--region": self._region,
            **{name: os.environ.get(name) for name in ("AWS_REGION", "AWS_DEFAULT_REGION")},
            f"profile {session.profile or 'default'}": session.get_scoped_config().get("region"),
        }
        place, region = next(((place, region) for place, region in places.items() if region), ("", ""))
        if not region:
            raise AccessError(explain_missing("no region is set", session), hint=HINT_REGION)
        try:
            validate_region_name(region)
        except (InvalidRegionError, TypeError) as error:  # the latter for a group of settings
            message = f"{region!r}, from {place}, is not a region such as us-east-1"
            raise ConfigurationError(message) from error
        return str(region)

    def _create_client(self, found: "_Found", read_timeout: float, attempts: int) -> "botocore.client.BaseClient":
        from botocore.config import Config

        from .transport import track_requests

        session = found.session
        if not self._endpoint_url:
            _check_endpoint_variables(session)
        try:
            client = session.create_client(
                "swf",
                endpoint_url=self._endpoint_url,
                config=Config(
                    connect_timeout=min(_CONNECT_TIMEOUT, read_timeout),
                    read_timeout=read_timeout,
                    # Standard mode takes time even where nothing is retried.
                    retries={"mode": "standard" if attempts > 1 else "legacy", "total_max_attempts": attempts},
                    tcp_keepalive=True,
                    max_pool_connections=self._connections,
                    # Every argument was checked before, and to check it again would take a twentieth of the call.
                    parameter_validation=False,
                    disable_request_compression=True,  # SWF has none, and checking for it takes time
                    # botocore would build it anew for each call, a tenth of the cost of a call.
                    user_agent=session.user_agent(),
                    user_agent_extra=f"swf-cli/{__version__}",
                ),
            )
            check_endpoint_url(client.meta.endpoint_url)
        except SwfError:
            raise
        except Exception as error:
            raise _explain_setting(error, session) from error
        self.is_tracked = track_requests(client)
        client.meta.events.register("before-parse.swf", check_response)
        client.meta.events.register("before-send.swf", record_signed)
        # First: botocore's own handler raises the error of a last attempt.
        client.meta.events.register_first("needs-retry.swf", self._ca_bundle.check)
        client.meta.events.register_first("needs-retry.swf", record_attempt)
        return client


@dataclass(frozen=True, slots=True)
class _Found:
    """What a session found where it looked for credentials."""

    session: "botocore.session.Session"
    source: CredentialSource


class SessionClient:
    """A client of a session: it goes on with the session's new credentials after `Session.renew`."""

    def __init__(self, session: Session, read_timeout: float, *, attempts: int) -> None:
        self.session = session
        self._settings = read_timeout, attempts

    @property
    def botocore(self) -> "botocore.client.BaseClient":
        """The botocore client of the moment."""
        return self.session.botocore_client(*self._settings)

    @property
    def meta(self) -> Any:
        """The metadata of the botocore client: region, endpoint, configuration."""
        return self.botocore.meta


def _check_endpoint_variables(session: "botocore.session.Session") -> None:
    """Raise ConfigurationError if the environment variable that sets the endpoint is not a URL."""
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return
    for name in ("AWS_ENDPOINT_URL_SWF", "AWS_ENDPOINT_URL"):
        if url := os.environ.get(name):
            try:
                check_endpoint_url(url)
            except ValueError as error:
                raise ConfigurationError(f"{name}: {error}") from error
            return


def _explain_setting(error: Exception, session: "botocore.session.Session") -> SwfError:
    """Return the error to raise for a setting with which botocore can't make a session or a client."""
    if (found := explain_configuration(error, session)) is not None:
        return found
    _, is_endpoint, url = str(error).partition("Invalid endpoint: ")
    if is_endpoint:
        error.args = (explain_bad_url(url),)  # a traceback shows them
    if isinstance(error, OSError):
        message = f"cannot read the AWS configuration: {error.strerror}: {error.filename}"
        return AccessError(message, hint=HINT_SETTING)
    fault = translate(error)
    if isinstance(fault, NetworkError) and not class_names(error) & {"ConnectionError", "HTTPClientError"}:
        # Such as an endpoint that is not a URL, or a region that can't be part of a host name.
        return ConfigurationError(_find_mistake(error, session) or fault.message, hint=HINT_SETTING)
    return fault


def _find_mistake(error: Exception, session: "botocore.session.Session") -> str | None:
    """Return what is wrong with the settings if the error is Python's, which says nothing of them."""
    profile = session.get_config_variable("profile") or "default"
    if isinstance(error, AttributeError | TypeError | LookupError):
        services = session.get_scoped_config().get("services")
        section = f", or its section [services {services}]," if services else ""
        return f"profile {profile}{section} has a value where a group of settings is expected, or a group for a value"
    for setting, (key, names, _, _) in session.session_var_map.items():
        try:
            session.get_config_variable(setting)
        except Exception as mistake:
            if str(mistake) == str(error):
                variables = [names] if isinstance(names, str) else names or []
                variable = next((name for name in variables if name in os.environ), f"{key} of profile {profile}")
                return f"cannot use {variable}: {error}"
    return None


def _share_role_cache(session: "botocore.session.Session", rejected_key: str | None) -> None:
    """Keep a role's credentials where `aws` keeps them, so that one MFA code serves many commands.

    Those whose access key was rejected are not used again.
    """
    from botocore.utils import JSONFileCache

    class RoleCache(JSONFileCache):
        def __contains__(self, name: str) -> bool:
            is_rejected = False
            with suppress(KeyError, TypeError):  # the file is not there, or damaged
                is_rejected = self[name]["Credentials"]["AccessKeyId"] == rejected_key
            return not is_rejected and super().__contains__(name)

    home = os.path.expanduser("~")
    if home == "~":  # neither HOME nor an entry in the user database
        return
    cache = RoleCache(os.path.join(home, ".aws", "cli", "cache"))
    session.get_component("credential_provider").get_provider("assume-role").cache = cache


@cache
def default_session() -> Session:
    """Return the session that the functions of `swf_cli` use if they are given no client."""
    return Session()


# Processes that share a connection get each other's responses.
os.register_at_fork(after_in_child=default_session.cache_clear)
