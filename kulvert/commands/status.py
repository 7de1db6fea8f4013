"""`kulvert status`: how a node is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from kulvert.commands.options import controller_option, make_target, output_option, switch_options


@click.command(
    "status",
    short_help="What is programmed, what is not, and why.",
    epilog="""\b
Examples:
  kulvert status                        the controller of this machine
  kulvert status --output json          for a program
  kulvert status --switch 10.0.0.7:9559 without a controller: what the switch itself says

Exit status 0: everything that is wanted is in the switch; 1: something is not.""",
)
@controller_option
@switch_options
@output_option
def command(control_socket: Path | None, output: str, **switch: Any) -> None:
    """How this node is: the controller, its switch, how full the tables are, and every object that is not programmed.

    Asks the running controller; if there is none, the switch alone.
    """
    from kulvert.inspection.controller import find_controller
    from kulvert.inspection.status import controller_status, switch_status

    controller = find_controller(control_socket)
    if controller is None:
        sys.exit(switch_status(make_target(**switch), output))
    sys.exit(controller_status(controller, output))
