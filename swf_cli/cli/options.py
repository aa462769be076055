"""Options that commands share, and the values they lead to: a task, a text, where and as whom SWF is called.

Style of help, for every command:
- One imperative summary; an option's text is a phrase, not a sentence about its value.
- The command's own options come first, then the sections Task, AWS and Output (`command.Option` knows its section).
- A default reads "[default: ...]" and a variable "[env var: ...]"; `command.Option` writes both.
- An option that may be repeated ends with "Can be passed multiple times."
- Numbers have the metavar N; ID is in capitals. Verbs: retry, return, wait, skip, reject.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from ..addresses import is_protected_url
from ..errors import ConfigurationError
from ..invocation import Invocation
from ..models import TaskReference, max_length
from ..output.format import Output
from ..redaction import register_token
from . import completers
from .command import TASK, current_invocation, option
from .common import declare_common
from .inputs import FailureText, is_stdin, read_failure_text, read_task, read_text
from .params import BoundedText, Duration, FileName, Identifier
from .timing import Timing
from .usage import UsageError, long_name

if TYPE_CHECKING:
    from ..client.session import Session
    from ..ledger.records import HeldTask
    from ..ledger.store import Ledger
    from ..responding import Responder
    from ..retry import Retrier


CommandFunction = Callable[..., Any]
Decorator = Callable[[CommandFunction], CommandFunction]


_HINT_OTHER_WAY: Final = "name the task with --task or --token"


@dataclass(frozen=True, slots=True)
class CommonOptions:
    """The values of the options that every command takes."""

    domain: str
    """SWF domain; empty if a command that does not require it was run without."""

    profile: str | None
    region: str | None
    endpoint_url: str | None
    output: Output
    timing: Timing
    invocation: Invocation

    def session(self, **settings: Any) -> "Session":
        """Return a session for these options; `settings` are passed to `Session`."""
        from ..client.session import Session

        return Session(
            profile=self.profile,
            region=self.region,
            endpoint_url=self.endpoint_url,
            **self.timing.session,
            **settings,
        )

    @property
    def retrier(self) -> "Callable[..., Retrier]":
        """Creates Retriers."""
        from ..retry import Retrier

        return partial(Retrier, first=self.timing.first_delay)

    def responder(self, retry_for: float) -> "Responder":
        """Return a Responder that retries for this many seconds."""
        from ..responding import Responder

        session = self.session()
        # A service that hangs must be noticed in time for another attempt.
        client = session.with_timeout(retry_for) if retry_for else session.single_attempt_client
        return Responder(client, retry_for=retry_for, retrier=self.retrier)

    def for_held_task(self, held: "HeldTask") -> "CommonOptions":
        """Return the options with the profile, region and endpoint that a row of the ledger was recorded with.

        A profile on the command line wins: whoever is on call need not have the worker's. Raise ConfigurationError if
        that endpoint is neither on this machine nor encrypted, and was not configured: anybody who could write to the
        ledger would learn what is sent there.
        """
        configured = (self.endpoint_url, *map(os.environ.get, ("AWS_ENDPOINT_URL_SWF", "AWS_ENDPOINT_URL")))
        if not is_protected_url(held.endpoint) and held.endpoint not in configured:
            message = f"{held.key} was received from {held.endpoint}, which is not encrypted"
            raise ConfigurationError(message, hint="pass --endpoint-url to confirm that address")
        profile = self.profile if is_given("profile") else held.profile
        return replace(self, profile=profile, region=held.region, endpoint_url=held.endpoint)

    def ledger(self) -> "Ledger":
        """Return the ledger that the environment names; close it."""
        from ..ledger.store import Ledger

        return Ledger.from_env(os.environ)


def common_options(*, domain_required: bool = False) -> Decorator:
    """Add the common options; the command gets them as its first argument, a `CommonOptions`."""

    def decorate(command: CommandFunction) -> CommandFunction:
        @wraps(command)
        def with_common(**arguments: Any) -> Any:
            return command(_common(arguments), **arguments)

        return apply_options(declare_common(domain_required=domain_required), with_common)

    return decorate


def task_options(command: CommandFunction) -> CommandFunction:
    """Add the options that name a task, and the common ones; the command gets CommonOptions and a TaskReference."""
    options = [
        option(
            "--token",
            metavar="TOKEN",
            envvar="SWF_TASK_TOKEN",
            section=TASK,
            help="Task token.",
        ),
        option(
            "--task",
            "task_file",
            metavar="FILE",
            section=TASK,
            type=FileName(),
            help="Read the task from FILE, the JSON that `swf poll` prints; - reads stdin.",
        ),
        option(
            "--held",
            metavar="KEY",
            section=TASK,
            shell_complete=completers.held_keys,
            help="Key, or unique prefix of the key, of a task in `swf held`.",
        ),
    ]

    @wraps(command)
    def with_task(token: str | None, task_file: str | None, held: str | None, **arguments: Any) -> Any:
        common = _common(arguments)
        given = [f"--{name}" for name in ("token", "task_file", "held") if is_given(name)]
        if len(given) > 1:
            names = " and ".join(name.removesuffix("_file") for name in given)
            raise UsageError(f"{names} are mutually exclusive", hint="name the task with one of them")
        if held is not None:
            common, task = _find_held(common, held)
        elif task_file is not None:
            task = read_task(task_file)
        elif token is not None:
            task = TaskReference(_check_token(token))
        else:
            raise UsageError("no task given", hint="use --task, --token or --held, or set SWF_TASK_TOKEN")
        register_token(task.token)
        return command(common, task, **arguments)

    return apply_options([*options, *declare_common()], with_task)


def _check_token(token: str) -> str:
    """Return the value of --token without whitespace; it is checked only where no option names another task."""
    context = click.get_current_context()
    param = next(param for param in context.command.params if param.name == "token")
    return Identifier("token").convert(token, param, context)


def _common(arguments: dict[str, Any]) -> CommonOptions:
    """Take the common options out of a command's arguments, and set up logging for them."""
    verbose, debug = arguments.pop("verbose"), arguments.pop("debug")
    if verbose or debug:
        from ..output.log import set_verbosity

        set_verbosity(verbose=verbose, debug=debug)
    return CommonOptions(
        domain=arguments.pop("domain") or "",
        profile=arguments.pop("profile"),
        region=arguments.pop("region"),
        endpoint_url=arguments.pop("endpoint_url"),
        output=Output(arguments.pop("output"), arguments.pop("query"), arguments.pop("color")),
        timing=click.get_current_context().find_object(Timing) or Timing(),
        invocation=current_invocation(),
    )


def _find_held(common: CommonOptions, key: str) -> tuple[CommonOptions, TaskReference]:
    """Return the task of a row of the ledger, and options for the service that it came from."""
    try:
        with common.ledger() as ledger:
            if ledger.folder is None:
                raise _no_ledger()
            held = ledger.find_key(key)
        task = held.reference
    except ValueError as error:
        if not ledger.is_usable:
            raise UsageError("--held: the list of held tasks cannot be read", hint=_HINT_OTHER_WAY) from error
        raise UsageError(f"--held: {error}", hint="pass a key that `swf held` shows") from error
    if is_given("region") and common.region != held.region:
        raise UsageError(f"--region: {held.key} was received in {held.region}", hint="leave --region out")
    if is_given("endpoint_url"):
        held = replace(held, endpoint=common.endpoint_url or held.endpoint)
    return common.for_held_task(held), task


def _no_ledger() -> UsageError:
    """Return the error for a key where nothing is recorded: it is disabled, or there is no folder for it."""
    is_off = bool(os.environ.get("SWF_LEDGER"))
    action = "unset SWF_LEDGER" if is_off else "set SWF_STATE_DIR"
    why = "SWF_LEDGER is off" if is_off else "there is no home directory"
    return UsageError(f"--held: received tasks are not recorded: {why}", hint=f"{action}, or {_HINT_OTHER_WAY}")


def text_or_file(name: str, what: str) -> Decorator:
    """Add `--NAME TEXT` and `--NAME-file FILE`, which exclude each other; the command gets the text as `NAME`.

    `name` is a key of `LIMITS`. A result that is too long is an error; of details that are, the end is kept.
    """
    maximum = max_length(name)
    is_failure_text = name == "details"
    text_type = FailureText(name) if is_failure_text else BoundedText(name)
    options = [
        option(f"--{name}", type=text_type, help=f"{what}, up to {maximum:,} characters."),
        option(
            f"--{name}-file",
            metavar="FILE",
            type=FileName(),
            help=f"Read the {name} from FILE (UTF-8); - reads stdin.",
        ),
    ]

    def decorate(command: CommandFunction) -> CommandFunction:
        @wraps(command)
        def with_text(*positional: Any, **arguments: Any) -> Any:
            path = arguments.pop(f"{name}_file")
            if path is not None:
                if arguments[name] is not None:
                    raise UsageError(f"--{name} and --{name}-file are mutually exclusive")
                if is_stdin(path) and is_stdin(click.get_current_context().params.get("task_file") or ""):
                    raise UsageError(f"--task and --{name}-file cannot both read stdin")
                read = read_failure_text if is_failure_text else read_text
                arguments[name] = read(path, f"--{name}-file", name)
            return command(*positional, **arguments)

        return apply_options(options, with_text)

    return decorate


def apply_options(options: Sequence[Decorator], command: CommandFunction) -> CommandFunction:
    """Add options to a command, in this order."""
    for add in reversed(options):
        command = add(command)
    return command


def is_given(parameter: str) -> bool:
    """Return whether a parameter was given on the command line, not by its variable or default."""
    return click.get_current_context().get_parameter_source(parameter) is ParameterSource.COMMANDLINE


def option_name(parameter: str) -> str:
    """Return the option of the current command that sets a parameter."""
    return next(long_name(param) for param in click.get_current_context().command.params if param.name == parameter)


_declare_task_list: Final = partial(
    option,
    "--task-list",
    "-t",
    metavar="NAME",
    envvar="SWF_TASK_LIST",
    multiple=True,
    type=BoundedText("task list"),
    shell_complete=completers.task_lists,
)


def task_lists_option(help_text: str, *, required: bool = False) -> Decorator:
    """Add `--task-list`, which may be repeated; the command gets a tuple as `task_lists`."""
    return _declare_task_list("task_lists", required=required, help=f"{help_text} Can be passed multiple times.")


def _only_one(ctx: click.Context, param: click.Parameter, task_lists: tuple[str, ...]) -> str | None:
    """Return the one task list of those given. Raise BadParameter if they differ: a poll waits on one list."""
    if len(names := dict.fromkeys(task_lists)) > 1:
        raise click.BadParameter(f"only one task list can be polled, not {len(names)}", ctx, param)
    return next(iter(names), None)


task_list_option: Final = _declare_task_list(required=True, callback=_only_one, help="Task list to poll.")
"""Add `--task-list` for a command that polls one list; the command gets it as `task_list`."""


def identity_option(command: CommandFunction) -> CommandFunction:
    """Add `--identity`; the command always gets one."""
    add = option(
        "--identity",
        envvar="SWF_IDENTITY",
        default_text="HOST:PID",
        type=BoundedText("identity"),
        help="Worker identity recorded in the execution history.",
    )

    @wraps(command)
    def with_identity(*positional: Any, identity: str | None, **arguments: Any) -> Any:
        return command(*positional, identity=identity or default_identity(), **arguments)

    return add(with_identity)


retry_option: Final = option(
    "--retry-for",
    type=Duration(),
    default="60s",
    help="How long to retry transient errors and, if a response was lost, to check the history.",
)
"""Add `--retry-for`; the command gets it as `retry_for`, in seconds."""


def default_identity() -> str:
    """Return the default identity: HOST:PID, at most 256 characters."""
    from ..processes import host_name

    return f"{host_name()[:240]}:{os.getpid()}"
