"""A session: credentials, region, profile, and the clients made from them."""

import os
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final

from .._version import __version__
from ..errors import AccessError, ConfigurationError, NetworkError
from .faults import _HINT_CREDENTIALS, _HINT_EXPIRED, _UNSIGNED, _check_reply, _kinds, _note_attempt, _translate
from .loader import _use_fast_loader

if TYPE_CHECKING:
    import botocore.client
    import botocore.session

# SWF holds a poll for up to 60 s and needs some more to answer. Giving up before it does loses the task it answers.
POLL_READ_TIMEOUT: Final = 90
LEAST_POLL_READ_TIMEOUT: Final = 70
CALL_READ_TIMEOUT: Final = 20
CONNECT_TIMEOUT: Final = 5
CALL_ATTEMPTS: Final = 3
_HINT_SETTING = "look at the AWS_… variables and at the profile, in ~/.aws/config and ~/.aws/credentials"


class Session:
    """Where and as whom SWF is called: one botocore session, and two clients over it, made when first used.

    Credentials, region, profile and endpoint are found as the `aws` command finds them; an argument wins over
    the environment. Raises AccessError when there is no region or there are no credentials.
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
    def poll_client(self) -> "botocore.client.BaseClient":
        """The client to poll with: it outlasts SWF's hold, and never polls again by itself."""
        return self._create_client(self._poll_read_timeout, attempts=1)

    @cached_property
    def client(self) -> "botocore.client.BaseClient":
        """The client for every other call: it tries again what may pass."""
        return self._create_client(CALL_READ_TIMEOUT, attempts=CALL_ATTEMPTS)

    @cached_property
    def no_retry(self) -> "botocore.client.BaseClient":
        """The client for calls that their caller tries again: one try of each."""
        return self._create_client(CALL_READ_TIMEOUT, attempts=1)

    def with_timeout(self, seconds: float) -> "botocore.client.BaseClient":
        """Give a client for calls that are worth waiting for only so long, of some whole seconds: one try of each."""
        whole = max(1, min(CALL_READ_TIMEOUT, int(seconds)))
        client = self._quick.get(whole)  # another thread may `renew` meanwhile
        if client is None:
            client = self._quick[whole] = self._create_client(whole, attempts=1)
        return client

    def reset(self) -> None:
        """Forget the clients and credentials, so that the next ones are made from what is configured then."""
        for name in ("poll_client", "client", "no_retry", "_session"):
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
            raise AccessError("no region is set", hint=_UNSIGNED["NoRegionError"])
        # Set on the session, so that the calls to STS and SSO that a profile needs go to the same region.
        session.set_config_variable("region", region)
        credentials = session.get_credentials()
        if credentials is None:
            raise AccessError("no AWS credentials were found", hint=_HINT_CREDENTIALS)
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
            raise ConfigurationError(str(error).strip().rstrip("."), hint=_HINT_SETTING) from error
        except EOFError as error:
            raise AccessError("nobody typed the MFA code that the profile asks for", hint=_HINT_EXPIRED) from error
        except (BotoCoreError, ClientError) as error:
            fault = _translate(error, possibly_executed=False)
            if isinstance(fault, NetworkError) and not _kinds(error) & {"ConnectionError", "HTTPClientError"}:
                fault = ConfigurationError(fault.message, hint=_HINT_SETTING)
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
