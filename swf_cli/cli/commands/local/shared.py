"""What the commands of `swf local` share: starting a service, and deciding for an execution."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

from ....errors import Signalled
from ...options import GlobalOptions

if TYPE_CHECKING:
    from ....local.decider import Decider
    from ....local.server import LocalServer


DEFAULT_DOMAIN = "local"


@contextmanager
def serving(domains: Sequence[str], **settings: Any) -> Iterator["LocalServer"]:
    """Serve a local SWF with these domains; the settings are those of `LocalServer`."""
    from ....local.runner import signals_held
    from ....local.server import LocalServer

    try:
        server = LocalServer(**settings)
    except (OSError, OverflowError) as error:
        where = f"{settings.get('host', '127.0.0.1')}:{settings.get('port', 0)}"
        raise click.UsageError(f"can't listen on {where}: {getattr(error, 'strerror', None) or error}.") from error
    server.start()
    try:
        for domain in dict.fromkeys(domains):
            server.engine.call("RegisterDomain", {"name": domain, "workflowExecutionRetentionPeriodInDays": "1"})
        yield server
    finally:
        with signals_held():  # a terminal that closes sends more than one
            server.stop()


@contextmanager
def playground(domain: str) -> Iterator[tuple[Mapping[str, str], str]]:
    """Serve a local SWF; give the environment that leads a command to it, and a folder that goes with it."""
    from ....local.runner import environment, signals_held

    with ExitStack() as stack:
        with signals_held() as arrived:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="swf-local-"))
        if arrived:
            raise Signalled(arrived[0])
        server = stack.enter_context(serving([domain]))
        state = os.path.join(folder, "state")
        try:
            yield environment(server.url, domain, state, os.environ), folder
        finally:
            with signals_held():
                stack.close()


def decider(common: GlobalOptions) -> "Decider":
    """Give the decider of the domain that the options name."""
    from ....local.decider import Decider

    try:
        return Decider(common.session(), common.domain)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from error


def domain_option(*, multiple: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add `--domain`, for a service that has it from its start."""
    from ...params import BoundedText

    return click.option(
        "--domain",
        "-d",
        "domains" if multiple else "domain",
        envvar="SWF_DOMAIN",
        show_envvar=True,
        multiple=multiple,
        type=BoundedText("domain"),
        default=[DEFAULT_DOMAIN] if multiple else DEFAULT_DOMAIN,
        show_default=True,
        help="Domain to register" + ("; may be given several times." if multiple else "."),
    )
