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
  kulvert connections                                      the first 100
  kulvert connections pod/search/visitor                   only a pod's
  kulvert connections svc/search/store:9200                only those to a Service's port
  kulvert connections pod/search/visitor svc/search/store  only those between the two
  kulvert connections 10.244.1.5:443 --limit 0             an address needs no controller; 0: all of them
  kulvert connections --output json""",
)
@click.argument("places", metavar="[PLACE]...", nargs=-1)
@click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(min=0), metavar="N", help="At most N; 0: all."
)
@controller_option
@switch_options
@output_option
def command(places: tuple[str, ...], limit: int, control_socket: Path | None, output: str, **switch: Any) -> None:
    """The connections in the data plane's own table: who talks to whom, translated to what, in which state.

    PLACE is pod/NAMESPACE/NAME, svc/NAMESPACE/NAME, node/NAME or an address; a port follows after a colon, by number or name. Only
    connections that every PLACE has a part in are shown, before or after translation.

    Reads the switch's registers, which BMv2's P4Runtime server does not offer. An entry whose time is up stays in the table until
    its place is needed: the smaller its seconds, the longer ago that may be.
    """
    from kulvert.inspection.connections import print_connections
    from kulvert.inspection.controller import find_controller
    from kulvert.inspection.trace import find_place

    controller = find_controller(control_socket)
    found = [find_place(text, controller, takes_only_port=False) for text in places]
    print_connections(make_target(**switch), found, limit, output)
