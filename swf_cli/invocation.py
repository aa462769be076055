"""The command line that this process was run with, as far as the commands that it suggests repeat it."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from .addresses import is_protected_url

WHERE: Final = ("--domain", "--profile", "--region", "--endpoint-url")
"""The options that say where, and as whom, SWF is called."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """Formats the commands that messages suggest, so that they work when pasted in the shell that ran this one.

    What the environment says holds there too; what was given as an option must be given again.
    """

    given: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The options of the command line by their long names, each with its values as they were typed."""

    def format(self, name: str, *arguments: str, repeat: Sequence[str] = WHERE) -> str:
        """Return a command line of `swf`: a command, the options to repeat if they were given, and arguments."""
        repeated = [word for option in repeat for value in self.given.get(option, ()) for word in (option, value)]
        return shlex.join(["swf", name, *repeated, *arguments])

    def format_held(self, name: str, key: str, endpoint: str, *arguments: str) -> str:
        """Return a command line about a held task, whose row has its domain, profile, region and endpoint.

        Only an endpoint to which tokens would be sent unencrypted must be confirmed, by naming it again.
        """
        is_confirmed = endpoint in self.given.get("--endpoint-url", ()) and not is_protected_url(endpoint)
        repeat = ("--endpoint-url",) if is_confirmed else ()
        return self.format(name, "--held", key, *arguments, repeat=repeat)
