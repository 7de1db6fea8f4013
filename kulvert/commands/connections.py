"""`kulvert connections`: what the switch's connection table holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kulvert.commands.options import controller_option, make_target, output_option, switch_options


@click.command(
    "connections",
    short_help="The connections that the switch tracks.",
    epilog="""\b
Examples:
  kulvert connections                       all of them
  kulvert connections --address 10.244.1.5  only those of one pod, Service or client
  kulvert connections --output json""",
)
@click.option("--address", metavar="ADDRESS", help="Only connections that this address has a part in.")
@click.option("--limit", default=0, type=click.IntRange(min=0), metavar="N", help="At most N.  [default: all]")
@controller_option
@switch_options
@output_option
def command(address: str | None, limit: int, control_socket: Path | None, output: str, **switch: Any) -> None:
    """The connections in the data plane's own table: who talks to whom, translated to what, in which state.

    Reads the switch's registers, which BMv2's P4Runtime server does not offer. An entry whose time is up stays in
    the table until its place is needed; such entries are marked `expired` as far as the newest entry tells the time.
    """
    from kulvert.inspection.connections import print_connections

    print_connections(make_target(**switch), address, limit, output)
