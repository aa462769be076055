"""What the commands of `swf local` share: they serve a local SWF, or decide on one."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

from ....errors import Signalled
from ...command import option
from ...options import CommonOptions
from ...params import Name, Number, check_name
from ...usage import UsageError

if TYPE_CHECKING:
    from ....local.decider import Decider
    from ....local.server import LocalServer


DEFAULT_DOMAIN = "local"


@contextmanager
def serving(domains: Sequence[str], *, speed: float = 1.0, **settings: Any) -> Iterator["LocalServer"]:
    """Serve a local SWF that has these domains. The settings are those of `LocalServer`."""
    from ....local.clock import Clock
    from ....local.server import LocalServer
    from ....signals import defer_stop_signals

    try:
        server = LocalServer(clock=Clock(speed=speed), **settings)
    except (OSError, OverflowError, TypeError, ValueError) as error:  # not only what can't be bound: any text
        where = f"{settings.get('host', '127.0.0.1')}:{settings.get('port', 0)}"
        message = f"cannot listen on {where}: {getattr(error, 'strerror', None) or error}"
        raise UsageError(message, hint="pass --host and --port of an address of this machine that is free") from error
    server.start()
    try:
        for domain in dict.fromkeys(domains):
            server.engine.call("RegisterDomain", {"name": domain, "workflowExecutionRetentionPeriodInDays": "1"})
        yield server
    finally:
        with defer_stop_signals():  # a terminal that closes sends more than one
            server.stop()


@contextmanager
def playground(domain: str, speed: float = 1.0) -> Iterator[tuple[Mapping[str, str], str]]:
    """Serve a local SWF; yield the environment of commands that use it, and a temporary folder.

    It accepts only a random access key ID, which is in that environment.
    """
    from ....local.access import new_access_key_id
    from ....local.environment import Endpoint, environment
    from ....local.handler import HttpOptions
    from ....signals import defer_stop_signals

    with ExitStack() as stack:
        with defer_stop_signals() as arrived:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="swf-local-"))
        if arrived:
            raise Signalled(arrived[0])
        options = HttpOptions(access_key_id=new_access_key_id())
        server = stack.enter_context(serving([domain], speed=speed, options=options))
        endpoint = Endpoint(server.url, domain, options.access_key_id or "")
        try:
            yield environment(endpoint, f"{folder}/state", os.environ), folder
        finally:
            with defer_stop_signals():
                stack.close()


def check_loopback(url: str) -> None:
    """Raise UsageError for a service that is not on loopback: it would be AWS, or somebody else's."""
    from urllib.parse import urlsplit

    from ....addresses import is_loopback

    if not is_loopback(urlsplit(url).hostname or ""):
        message = f"{url} is not on loopback: `swf local` only works with a local SWF there"
        raise UsageError(message, hint="start one with `swf local serve`, and set the variables that it prints")


def decider(common: CommonOptions) -> "Decider":
    """Return a decider for the domain that the options name."""
    from ....ledger.trust import state_folder
    from ....local.decider import Decider

    context = click.get_current_context()
    check_name(common.domain, next(each for each in context.command.params if each.name == "domain"), context)
    session = common.session()
    check_loopback(session.client.meta.endpoint_url)
    return Decider(session, common.domain, state_folder(os.environ))


def domain_option(*, multiple: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add `--domain`, the domain to register in a new local SWF."""
    return option(
        "--domain",
        "-d",
        "domains" if multiple else "domain",
        metavar="NAME",
        envvar="SWF_DOMAIN",
        multiple=multiple,
        type=Name("domain"),
        default=[DEFAULT_DOMAIN] if multiple else DEFAULT_DOMAIN,
        default_text=DEFAULT_DOMAIN,
        help="Domain to register." + (" Can be passed multiple times." if multiple else ""),
    )


def speed_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--speed`."""
    add = option(
        "--speed",
        type=Number(0.001, 1_000_000),
        default=1,
        help="Run the clock N times as fast as real time. Polls still wait for real seconds.",
    )
    return add(command)
