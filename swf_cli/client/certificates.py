"""The file of CA certificates that replaces botocore's own: which it is, and whether it can be used."""

import os
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConnectionSettingError, NetworkError
from .attempt import attempt
from .faults import class_names

if TYPE_CHECKING:
    import botocore.session

_HINT: Final = "name a PEM file of CA certificates there, or remove the setting"


class CABundle:
    """The file of CA certificates of one session. It is read by botocore, and here only if a connection failed."""

    def __init__(self) -> None:
        self._path = ""
        self._origin = ""
        self._has_worked = False

    def look_up(self, session: "botocore.session.Session") -> None:
        """Find the file as `aws` does, and have a botocore session use it. An empty setting counts as unset."""
        variables = os.environ
        profile = session.get_config_variable("profile") or "default"
        places = (
            (variables.get("AWS_CA_BUNDLE"), "AWS_CA_BUNDLE"),
            (session.get_scoped_config().get("ca_bundle"), f"ca_bundle of profile {profile}"),
            (variables.get("REQUESTS_CA_BUNDLE"), "REQUESTS_CA_BUNDLE"),
        )
        unset = ("", "")
        self._path, self._origin = next(((path, name) for path, name in places if path and path.strip()), unset)
        # botocore fails for an empty variable.
        session.get_component("config_store").set_config_variable("ca_bundle", self._path or True)

    def check(self, response: Any = None, caught_exception: Exception | None = None, **_: Any) -> None:
        """Raise an error for an attempt that failed because of the file (botocore's `needs-retry` event).

        A ConnectionSettingError; or a NetworkError, if the file could be used before: it may be about to be replaced.
        """
        if response is not None:
            self._has_worked = True
        elif caught_exception is not None and not attempt.possibly_executed:
            problem = self.explain(caught_exception)
            if problem is not None:
                raise problem from caught_exception

    def explain(self, error: Exception) -> ConnectionSettingError | NetworkError | None:
        """Return the error to raise for a connection that failed because of the file; None for any other failure."""
        if not self._path or "SSLError" not in class_names(error):
            return None
        reason = _find_problem(self._path)
        if reason is None:
            return None
        kind = NetworkError if self._has_worked else ConnectionSettingError
        return kind(f"cannot use the CA certificates in {self._path} (from {self._origin}): {reason}", hint=_HINT)


def _find_problem(path: str) -> str | None:
    """Return why a file of CA certificates can't be used; None if it can."""
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        return "it holds no certificates, or damaged ones"
    except OSError as error:
        return error.strerror or type(error).__name__
    except ValueError as error:
        return str(error)
    return None
