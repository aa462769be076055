"""Completion of values: profiles from AWS's files, domains from SWF, programs, the rest from the ledger.

Nothing is printed on failure.
"""

import os
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click
    from click.shell_completion import CompletionItem

    from ..ledger.records import HeldTask


_DOMAINS_WITHIN: Final = 2.0  # seconds
_STDERR: Final = 2  # discarded meanwhile: the shell is showing the command line


def profiles(ctx: "click.Context", param: "click.Parameter", incomplete: str) -> list[str]:
    """Return the names of the AWS profiles in the config and credentials files."""
    import configparser
    from pathlib import Path

    names: set[str] = set()
    for variable, default, prefix in (
        ("AWS_CONFIG_FILE", "~/.aws/config", "profile "),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", ""),
    ):
        parser = configparser.RawConfigParser(strict=False, default_section="\0")
        try:
            parser.read(Path(os.environ.get(variable) or default).expanduser(), encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError, RuntimeError):  # the last without a home folder
            continue
        names.update(_profile(section) if prefix else section for section in parser.sections())
    return sorted(name for name in names if name and name.startswith(incomplete))


def _profile(section: str) -> str:
    """Return the profile that a section of the config file is about, as botocore reads it; empty if it is none."""
    import shlex

    try:
        words = shlex.split(section)
    except ValueError:
        return ""
    return words[-1] if section == "default" or (words[:1] == ["profile"] and len(words) == 2) else ""


def domains(ctx: "click.Context", param: "click.Parameter", incomplete: str) -> list[str]:
    """Return the registered domains of the account (ListDomains), if SWF responds within two seconds.

    The process ends after that time.
    """
    import getpass
    import threading

    def refuse(*args: Any, **kwargs: Any) -> str:
        raise EOFError("completion does not ask for an MFA code")

    # Before anything binds this function.
    getpass.getpass = refuse
    # A thread can end the process during a DNS lookup or a credential process; a signal handler cannot.
    limit = threading.Timer(_DOMAINS_WITHIN, os._exit, [0])
    limit.daemon = True
    limit.start()
    from ..output.terminal import discard

    discard(_STDERR)
    from ..client.call import call
    from ..client.session import Session

    try:
        options = ctx.params
        session = Session(
            profile=options.get("profile"), region=options.get("region"), endpoint_url=options.get("endpoint_url")
        )
        reply = call(session.client, "list_domains", registrationStatus="REGISTERED")
        return [info["name"] for info in reply["domainInfos"] if info["name"].startswith(incomplete)]
    except Exception:
        return []


def task_lists(ctx: "click.Context", param: "click.Parameter", incomplete: str) -> list[str]:
    """Return the task lists that the ledger has rows of, in the domain of the command line if that names one."""
    domain = ctx.params.get("domain")
    names = {held.task_list for held in _list_held() if domain in (None, "", held.domain)}
    return sorted(name for name in names if name.startswith(incomplete))


def held_keys(ctx: "click.Context", param: "click.Parameter", incomplete: str) -> "list[CompletionItem]":
    """Return the keys of the tasks in the ledger, and what each is about."""
    from click.shell_completion import CompletionItem

    def describe(held: "HeldTask") -> str:
        workflow = f" of {held.execution.id}" if held.execution else ""
        return f"{held.name}{workflow}, on {held.task_list}"

    return [
        CompletionItem(held.key, help=describe(held))
        for held in _list_held()
        if held.token is not None and held.key.startswith(incomplete)
    ]


def _list_held() -> "list[HeldTask]":
    from ..ledger.store import Ledger
    from ..output.terminal import discard

    discard(_STDERR)
    with Ledger.from_env(os.environ) as ledger:
        return ledger.list_held()


def programs(ctx: "click.Context", param: "click.Parameter", incomplete: str) -> "list[CompletionItem]":
    """Return the programs on the PATH; for a path, or behind a program, files."""
    from click.shell_completion import CompletionItem

    if ctx.params.get(param.name or "") or os.sep in incomplete:
        return [CompletionItem(incomplete, type="file")]
    return [CompletionItem(name) for name in sorted(set(_programs())) if name.startswith(incomplete)]


def _programs() -> "Iterator[str]":
    for folder in os.get_exec_path():
        try:
            with os.scandir(folder) as entries:
                yield from (entry.name for entry in entries if entry.is_file() and os.access(entry.path, os.X_OK))
        except OSError:  # not a folder, or not readable
            continue
