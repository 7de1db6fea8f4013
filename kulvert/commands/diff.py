"""`kulvert diff`: what the switch has and should not have, and the other way round."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from kulvert.commands.options import controller_option, make_target, output_option, switch_options


@click.command(
    "diff",
    short_help="What the switch should have and has not, or the other way round.",
    epilog="""\b
Examples:
  kulvert diff                 against the switch that the controller has
  kulvert diff --output json

Exit status 0: no difference; 1: there is one.""",
)
@controller_option
@switch_options
@output_option
def command(control_socket: Path | None, output: str, **switch: Any) -> None:
    """Read the switch back and compare it with what the running controller wants it to hold.

    `+` is missing in the switch, `-` should not be there, `!` is there with other contents. A change that is being
    written at this moment shows up as well.
    """
    from kulvert.failures import UserError
    from kulvert.inspection.controller import DEFAULT_SOCKET, find_controller
    from kulvert.inspection.diff import print_differences

    controller = find_controller(control_socket)
    if controller is None:
        raise UserError(
            f"only a running controller knows what is wanted: {DEFAULT_SOCKET} is not there (--control-socket)"
        )
    sys.exit(print_differences(make_target(**switch), controller, output))
