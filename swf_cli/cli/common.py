"""The common options, which every command takes and which may stand before its name too.

Groups have them, so that every start of the command line loads this module: it imports little.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import click

from . import completers
from .command import AWS, OUTPUT, CommonOption
from .params import BoundedText, Choice, EndpointUrl, Query


def declare_common(*, domain_required: bool = False) -> list[Callable[[Any], Any]]:
    """Return decorators for the common options, which stand before or after a command's name."""
    common = partial(click.option, cls=CommonOption)
    return [
        common(
            "--domain",
            "-d",
            metavar="NAME",
            envvar="SWF_DOMAIN",
            section=AWS,
            required=domain_required,
            type=BoundedText("domain"),
            shell_complete=completers.domains,
            help="SWF domain.",
        ),
        common(
            "--profile",
            metavar="NAME",
            variable="AWS_PROFILE",
            section=AWS,
            shell_complete=completers.profiles,
            help="AWS profile.",
        ),
        common("--region", metavar="NAME", variable="AWS_REGION", section=AWS, help="AWS region."),
        common(
            "--endpoint-url",
            variable="AWS_ENDPOINT_URL_SWF",
            section=AWS,
            type=EndpointUrl(),
            help="Override the SWF endpoint URL.",
        ),
        common(
            "--output",
            "-o",
            envvar="SWF_OUTPUT",
            default_text="table on a terminal, else json",
            section=OUTPUT,
            type=Choice("table", "json", "text"),
            help="Output format.",
        ),
        common("--query", section=OUTPUT, type=Query(), help="Filter the JSON with a JMESPath expression."),
        common(
            "--color",
            section=OUTPUT,
            type=Choice("auto", "always", "never"),
            default="auto",
            help="When to use colour; auto means on a terminal, unless NO_COLOR is set.",
        ),
        common("--verbose", "-v", section=OUTPUT, is_flag=True, help="Log SWF calls to stderr."),
        common(
            "--debug",
            section=OUTPUT,
            is_flag=True,
            help="Like --verbose, plus botocore's log and tracebacks.",
        ),
    ]
