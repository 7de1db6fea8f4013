"""`kulvert tables`: the entries of a running switch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kulvert.commands.options import controller_option, make_target, output_option, switch_options


@click.command(
    "tables",
    short_help="The tables of a running switch, and their entries.",
    epilog="""\b
Examples:
  kulvert tables                                  which there are, and how full they are
  kulvert tables service_frontend_table           its entries, and the object that made each
  kulvert tables endpoint_selector -o json        an action selector's members and groups
  kulvert tables ingress_policy_table --grep web  only lines that have this in them""",
)
@click.argument("table", required=False)
@click.option("--grep", metavar="TEXT", help="Only entries whose line has TEXT in it.")
@click.option("--limit", default=0, type=click.IntRange(min=0), metavar="N", help="At most N entries.  [default: all]")
@controller_option
@switch_options
@output_option
def command(
    table: str | None, grep: str | None, limit: int, control_socket: Path | None, output: str, **switch: Any
) -> None:
    """The tables and action selectors that the switch has; with TABLE, its entries as the switch gives them back.

    A running controller adds the names: which object made an entry, and what its numbers stand for.
    """
    from kulvert.inspection.controller import find_controller
    from kulvert.inspection.tables import print_entries, print_tables

    target = make_target(**switch)
    if table is None:
        print_tables(target, output)
    else:
        print_entries(target, find_controller(control_socket), table, grep, limit, output)
