"""`kulvert trace`: what becomes of a connection, and which entry decides."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from kulvert.commands.options import controller_option, make_target, output_option, switch_options


@click.command(
    "trace",
    short_help="What becomes of a connection, and which entry decides.",
    epilog="""\b
Examples:
  kulvert trace pod/search/dashboard-0 svc/search/store:http
  kulvert trace pod/search/visitor pod/search/store-0:9200 --protocol tcp
  kulvert trace 10.244.1.5 10.96.0.10:53 --protocol udp     addresses need no controller
  kulvert trace 192.0.2.7 svc/search/dashboard:80 --port 501  from an uplink
  kulvert trace pod/search/visitor svc/search/store:9200 --output json

Exit status 0: the packet is forwarded; 1: it is refused or dropped.""",
)
@click.argument("source", metavar="FROM")
@click.argument("destination", metavar="TO")
@click.option("--protocol", type=click.Choice(["tcp", "udp", "sctp", "icmp"]),
              help="[default: that of the Service's or pod's port, else tcp]")  # fmt: skip
@click.option("--source-port", default=40000, show_default=True, type=click.IntRange(1, 65535),
              help="The client's port, or an echo request's identifier; the choice of endpoint depends on it.")  # fmt: skip
@click.option("--port", "ingress_port", type=click.IntRange(min=0), metavar="N",
              help="The switch port the packet comes in on.  [default: the source pod's]")  # fmt: skip
@controller_option
@switch_options
@output_option
def command(
    source: str,
    destination: str,
    protocol: str | None,
    source_port: int,
    ingress_port: int | None,
    control_socket: Path | None,
    output: str,
    **switch: Any,
) -> None:
    """Follow the first packet of a connection through the pipeline, by the program and the entries the switch has now.

    FROM and TO are pod/NAMESPACE/NAME, svc/NAMESPACE/NAME, node/NAME or an address; a port follows after a colon, by number or
    name. Says for each table which entry matched and which object made it, and what decided. Nothing is sent, and what the
    connection table holds does not count: the connection is a new one.
    """
    from kulvert.inspection.controller import find_controller
    from kulvert.inspection.report import print_traces
    from kulvert.inspection.switch import Switch
    from kulvert.inspection.trace import Question, find_place, trace

    controller = find_controller(control_socket)
    start, end = find_place(source, controller), find_place(destination, controller)
    chosen = protocol or end.protocol or "tcp"
    with Switch(make_target(**switch)) as running:
        traces = trace(running, controller, Question(start, end, chosen, source_port, ingress_port))
    sys.exit(print_traces(traces, output))
