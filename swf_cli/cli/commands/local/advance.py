"""`swf local advance`."""

import json
from email.utils import parsedate_to_datetime
from typing import Any

import click

from ....output import terminal
from ...command import command
from ...options import CommonOptions, common_options
from ...params import Duration
from .shared import check_loopback


@command(
    epilog="""\b
Example:
  swf local advance 10m
"""
)
@click.argument("duration", type=Duration())
@common_options()
def advance(common: CommonOptions, duration: int) -> None:
    """Advance the clock by DURATION.

    Timeouts and timers that become due happen before it returns, in order, each at its own time. Polls in flight are
    not affected.
    """
    from ....client.call import call
    from ....local.handler import ADVANCE_TARGET

    client = common.session().single_attempt_client
    check_loopback(client.meta.endpoint_url)

    def replace_target(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["X-Amz-Target"] = ADVANCE_TARGET
        params["body"] = json.dumps({"seconds": duration}).encode()

    client.meta.events.register("before-call.swf.ListDomains", replace_target)
    reply = call(client, "list_domains", registrationStatus="REGISTERED")
    now = parsedate_to_datetime(reply["ResponseMetadata"]["HTTPHeaders"]["date"])
    terminal.print_message(f"the clock of the local SWF now shows {now:%Y-%m-%dT%H:%M:%SZ}")
