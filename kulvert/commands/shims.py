"""`kulvert shims`: Kulvert under the names of p4c's and BMv2's tools."""

from __future__ import annotations

from pathlib import Path

import click

from kulvert.failures import UserError


@click.command(
    short_help="Write simple_switch, simple_switch_CLI, … that start Kulvert's parts.",
    epilog="""\b
Example, p4c's own test runner on Kulvert's compiler and switch:
  kulvert shims /tmp/shims
  PATH=/tmp/shims:$PATH python3 p4c/backends/bmv2/run-bmv2-test.py p4c -bd /tmp/shims \\
      p4c/testdata/p4_16_samples/basic_routing-bmv2.p4""",
)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
def command(directory: Path) -> None:
    """Write executables named simple_switch, simple_switch_grpc, simple_switch_CLI and p4c-bm2-ss into DIR.

    They take the arguments of p4c's and BMv2's tools and start Kulvert's compiler and switch, so that scripts
    made for those find them on the PATH.
    """
    from kulvert.shims import ShimError, write_shims

    try:
        paths = write_shims(directory)
    except ShimError as error:
        raise UserError(str(error)) from None
    for path in paths:
        click.echo(str(path))
