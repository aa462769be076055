"""What the commands share: their options, the values these take, and how a task or a text is named."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from ..models import LIMITS, TaskReference, check_text
from ..output.format import Output
from ..output.terminal import print_stderr
from . import completers
from .params import BoundedText, Duration, EndpointUrl, Query

if TYPE_CHECKING:
    from ..client.session import Session
    from ..ledger.records import HeldTask
    from ..ledger.store import Ledger


Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

_MOST_BYTES_A_CHARACTER: Final = 4
_TASK_FILE_LIMIT: Final = 1_048_576  # SWF's own limit on a request, and so on all that a task may hold


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """What the options that every command takes were set to."""

    domain: str
    """SWF domain; only the commands that require it may rely on it."""

    profile: str | None
    region: str | None
    endpoint_url: str | None
    output: Output

    def session(self, **settings: Any) -> "Session":
        """Give the session that these options name; the settings are further ones of `Session`."""
        from ..client.session import Session

        return Session(profile=self.profile, region=self.region, endpoint_url=self.endpoint_url, **settings)

    def of(self, held: "HeldTask") -> "GlobalOptions":
        """Go where a row of the ledger came from: its profile, region and endpoint."""
        return replace(self, profile=held.profile, region=held.region, endpoint_url=held.endpoint)

    def ledger(self) -> "Ledger":
        """Give the ledger that the environment names."""
        from ..ledger.store import Ledger

        return Ledger.from_env(os.environ, lambda warning: print_stderr(f"swf: warning: {warning}"))


def common_options(*, domain_required: bool = False) -> Decorator:
    """Add the options that every command takes; the command gets them as its first argument, a `GlobalOptions`."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def with_common(**arguments: Any) -> Any:
            return command(_common(arguments), **arguments)

        return _apply(_common_options(domain_required), with_common)

    return decorate


def task_options(command: Command) -> Command:
    """Add the options that name a task, and the global ones; it gets `GlobalOptions` and a `TaskReference`."""
    options = [
        click.option(
            "--token",
            envvar="SWF_TASK_TOKEN",
            show_envvar=True,
            type=BoundedText("token"),
            help="Token of the task.",
        ),
        click.option(
            "--task",
            "task_file",
            type=click.Path(),
            help="File that holds what `swf poll` printed (JSON); - is stdin.",
        ),
        click.option("--held", metavar="KEY", help="Key of the task in `swf held`; its beginning is enough."),
    ]

    @wraps(command)
    def with_task(token: str | None, task_file: str | None, held: str | None, **arguments: Any) -> Any:
        common = _common(arguments)
        given = [f"--{name}" for name in ("token", "task_file", "held") if is_given(name)]
        if len(given) > 1:
            names = " and ".join(name.removesuffix("_file") for name in given)
            raise click.UsageError(f"{names} both name a task: give one of them.")
        if held is not None:
            common, task = _find_held(common, held)
        elif task_file is not None:
            task = _read_task(task_file)
        elif token is not None:
            task = TaskReference(token)
        else:
            raise click.UsageError("no task is named: give --token, --task or --held, or set SWF_TASK_TOKEN.")
        return command(common, task, **arguments)

    return _apply([*options, *_common_options(False)], with_task)


def _common_options(domain_required: bool) -> list[Decorator]:
    return [
        click.option(
            "--domain",
            "-d",
            envvar="SWF_DOMAIN",
            show_envvar=True,
            required=domain_required,
            type=BoundedText("domain"),
            shell_complete=completers.domains,
            help="SWF domain.",
        ),
        click.option(
            "--profile",
            shell_complete=completers.profiles,
            help="AWS profile.  [env var: AWS_PROFILE]",
        ),
        click.option("--region", help="AWS region.  [env var: AWS_REGION]"),
        click.option(
            "--endpoint-url",
            type=EndpointUrl(),
            help="Address of the service, in place of AWS's own.  [env var: AWS_ENDPOINT_URL_SWF]",
        ),
        click.option(
            "--output",
            "-o",
            envvar="SWF_OUTPUT",
            show_envvar=True,
            type=click.Choice(["table", "json", "text"]),
            help="Form of the data; without it a table on a terminal, else JSON.",
        ),
        click.option("--query", type=Query(), help="JMESPath expression to apply to the JSON."),
        click.option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            default="auto",
            help="Colour; auto is on a terminal, unless NO_COLOR is set.  [env var: NO_COLOR]",
        ),
        click.option("--verbose", "-v", is_flag=True, help="Say on stderr what is called."),
        click.option("--debug", is_flag=True, help="As --verbose; and show where an error comes from."),
    ]


def _common(arguments: dict[str, Any]) -> GlobalOptions:
    """Take the common options out of a command's arguments."""
    verbose, debug = arguments.pop("verbose"), arguments.pop("debug")
    if verbose or debug:
        _log_to_stderr(debug)
    return GlobalOptions(
        domain=arguments.pop("domain") or "",
        profile=arguments.pop("profile"),
        region=arguments.pop("region"),
        endpoint_url=arguments.pop("endpoint_url"),
        output=Output(arguments.pop("output"), arguments.pop("query"), arguments.pop("color")),
    )


def _find_held(common: GlobalOptions, key: str) -> tuple[GlobalOptions, TaskReference]:
    """Find a task in the ledger."""
    try:
        held = common.ledger().find_key(key)
        task = held.reference
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--held") from error
    return common.of(held), task


def text_or_file(name: str, kind: str, what: str) -> Decorator:
    """Add `--NAME TEXT` and `--NAME-file FILE`, of which one may be given; the command gets the text as `NAME`."""
    _, most = LIMITS[kind]
    options = [
        click.option(f"--{name}", type=BoundedText(kind), help=f"{what}, at most {most:,} characters."),
        click.option(f"--{name}-file", type=click.Path(), help=f"File that holds the {name} (UTF-8); - is stdin."),
    ]

    def decorate(command: Command) -> Command:
        @wraps(command)
        def with_text(*positional: Any, **arguments: Any) -> Any:
            path = arguments.pop(f"{name}_file")
            if path is not None:
                if arguments[name] is not None:
                    raise click.UsageError(f"--{name} and --{name}-file both give the {name}: give one of them.")
                if path == "-" and click.get_current_context().params.get("task_file") == "-":
                    raise click.UsageError(f"--task and --{name}-file can't both read stdin.")
                arguments[name] = _read_text(path, f"--{name}-file", kind)
            return command(*positional, **arguments)

        return _apply(options, with_text)

    return decorate


def _apply(options: Sequence[Decorator], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def _read_task(path: str) -> TaskReference:
    import json

    text = _decode(_read(path, "--task", _TASK_FILE_LIMIT, "a task"), "--task")
    try:
        task = TaskReference.from_json(json.loads(text))
    except (json.JSONDecodeError, RecursionError) as error:
        raise click.BadParameter("what it names is not JSON.", param_hint="--task") from error
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--task") from error
    _check(task.token, "--task", "token")
    return task


def _read_text(path: str, option: str, kind: str) -> str:
    _, most = LIMITS[kind]
    data = _read(path, option, most * _MOST_BYTES_A_CHARACTER, f"SWF's {most:,} characters")
    return _check(_decode(data, option), option, kind)


def _read(path: str, option: str, limit: int, most: str) -> bytes:
    """Read a file, or stdin for `-`; no more bytes of it than `most`, in words, can have."""
    try:
        if path == "-":
            data = sys.stdin.buffer.read(limit + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise click.BadParameter(f"can't read {path}: {reason}.", param_hint=option) from error
    if len(data) > limit:
        raise click.BadParameter(f"{path} is longer than {most}.", param_hint=option)
    return data


def _decode(data: bytes, option: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise click.BadParameter("what it names is not UTF-8 text.", param_hint=option) from error


def _check(text: str, option: str, kind: str) -> str:
    try:
        check_text(kind, text)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint=option) from error
    return text


def _log_to_stderr(debug: bool) -> None:
    """Say each call to SWF on stderr, and with `debug` what botocore does up to it; never what a call carries."""
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("swf: %(message)s"))
    names = ["swf_cli"]
    if debug:
        names += [
            "botocore.credentials",
            "botocore.configprovider",
            "botocore.retries",
            "urllib3.connectionpool",
        ]
    for name in names:
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)


def is_given(parameter: str) -> bool:
    """Tell whether a parameter of the command was given as an option, not by its variable or default."""
    return click.get_current_context().get_parameter_source(parameter) is ParameterSource.COMMANDLINE


def poller_options(command: Command) -> Command:
    """Add `--task-list` and `--identity`, for who takes tasks; the command gets an identity always."""
    options = [
        click.option(
            "--task-list",
            "-t",
            envvar="SWF_TASK_LIST",
            show_envvar=True,
            required=True,
            type=BoundedText("task list"),
            help="Task list to take from.",
        ),
        click.option(
            "--identity",
            envvar="SWF_IDENTITY",
            show_envvar=True,
            type=BoundedText("identity"),
            help="Who takes, for the execution's history; HOST:PID unless given.",
        ),
    ]

    @wraps(command)
    def with_identity(*positional: Any, identity: str | None, **arguments: Any) -> Any:
        return command(*positional, identity=identity or default_identity(), **arguments)

    return _apply(options, with_identity)


def retry_option(command: Command) -> Command:
    """Add `--retry-for`; the command gets it as `retry_for`, in seconds."""
    option = click.option(
        "--retry-for",
        type=Duration(),
        default="60s",
        show_default=True,
        help="Try again for so long what may pass, and ask history so long what became of it.",
    )
    return option(command)


def tell(line: str) -> None:
    """Say on stderr what goes on."""
    print_stderr(f"swf: {line}")


def default_identity() -> str:
    """Give the identity of this process: HOST:PID, at most 256 characters."""
    import socket

    return f"{socket.gethostname()[:240]}:{os.getpid()}"
