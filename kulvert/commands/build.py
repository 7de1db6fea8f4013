"""`kulvert build`: the P4 pipeline of a target."""

from __future__ import annotations

from pathlib import Path

import click

from kulvert.failures import UserError, report


@click.command(
    "build",
    short_help="Build the node pipeline for a target.",
    epilog="""\b
Examples:
  kulvert build                          the native switch's pipeline, into build/native/
  kulvert build --target bmv2            for simple_switch_grpc
  kulvert build --compiler p4c           with p4c-bm2-ss from the PATH
  kulvert build --target ./my-node.toml  a target file of your own""",
)
@click.option(
    "--target",
    "-t",
    default="native",
    show_default=True,
    metavar="NAME|FILE",
    help="A target that comes with Kulvert (native, bmv2, small), or the path of a target file.",
)
@click.option(
    "--compiler",
    type=click.Choice(["auto", "kulvert", "p4c"]),
    default="auto",
    show_default=True,
    help="auto: the first of the target's compilers that is installed.",
)
@click.option(
    "--output-dir",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Where the JSON and the P4Info go.  [default: build/TARGET]",
)
@click.option("--quiet", "-q", is_flag=True, help="Print no table of what the pipeline holds.")
def command(target: str, compiler: str, output_dir: Path | None, quiet: bool) -> None:
    """Build the node pipeline for a target: fill in its sizes, compile, and say what it holds.

    Writes the BMv2 JSON and the P4Info, which any P4Runtime switch for v1model takes. Sizes, timeouts and the choice of
    compilers come from the target file (targets/NAME.toml).
    """
    build_and_print(target, compiler, output_dir, quiet=quiet)


def build_and_print(target: str, compiler: str, output_dir: Path | None, *, quiet: bool) -> None:
    """Build, and print the artifacts and the capacity.

    Raises:
        UserError: the pipeline could not be built; the compiler's diagnostics are on standard error.
    """
    from kulvert.build import BuildError, build, print_capacity
    from kulvert.resources import ResourceError
    from kulvert.targets import TargetError

    try:
        result = build(target, output_dir=output_dir, compiler=compiler)  # type: ignore[arg-type]  # checked by click
    except BuildError as error:
        if error.diagnostics:
            report(error.diagnostics.rstrip())
        raise UserError(str(error)) from error
    except (TargetError, ResourceError) as error:
        raise UserError(str(error)) from error
    if result.diagnostics:
        report(result.diagnostics.rstrip())
    if quiet:
        return
    from rich.console import Console

    console = Console(highlight=False)
    print_capacity(result, console)
    console.print(f"compiled by {result.compiler} in {result.seconds:.2f} s", soft_wrap=True)
    for artifact in (result.bmv2_json, result.p4info):
        console.print(str(artifact), soft_wrap=True)
