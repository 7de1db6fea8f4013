"""`kulvert graph`: a drawing of a P4 program."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from kulvert.failures import UserError, report

_PARTS = ("parser", "verify-checksum", "ingress", "egress", "compute-checksum", "deparser")
_GROUPS = {"control": _PARTS[1:]}


@click.command(
    "graph",
    short_help="Draw a P4 program's parser and controls as DOT or SVG.",
    epilog="""\b
Examples:
  kulvert graph -o program.svg program.p4            everything, as a picture
  kulvert graph --only parser program.p4             the parser as DOT, on standard output
  kulvert graph --only ingress --only egress -o out.svg program.p4
  kulvert graph --brief --target native -o node.svg  Kulvert's own pipeline""",
)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Where to.  [default: stdout]")
@click.option(
    "--format",
    "-f",
    "format_",
    type=click.Choice(["dot", "svg"]),
    help="[default: by the output's name; dot on standard output]",
)
@click.option(
    "--only",
    "parts",
    type=click.Choice([*_PARTS, *_GROUPS]),
    multiple=True,
    help="Draw this part; may be given several times. `control`: all but the parser.",
)
@click.option("--brief", "-b", is_flag=True, help="Only tables, externs and the conditions around them.")
@click.option("--target", "-t", metavar="NAME|FILE", help="Draw Kulvert's pipeline as it is built for this target.")
@click.option("-I", "include_dirs", metavar="DIR", multiple=True, help="Search DIR for included files.")
@click.option("-D", "defines", metavar="NAME[=VALUE]", multiple=True, help="Define a macro.")
@click.option("-U", "undefines", metavar="NAME", multiple=True, help="Undefine a macro.")
def command(
    file: Path | None,
    output: Path | None,
    format_: str | None,
    parts: tuple[str, ...],
    brief: bool,
    target: str | None,
    include_dirs: tuple[str, ...],
    defines: tuple[str, ...],
    undefines: tuple[str, ...],
) -> None:
    """Draw the parser's states and the flow of the controls of FILE, a P4_16 program for v1model.

    Tables show their keys and actions, with the externs that an action calls; conditions have an edge for each outcome.
    Resting the mouse on a part of the SVG tells its place in the source. For the SVG, Graphviz's `dot` is used if it is
    installed, else the one that came with Kulvert.
    """
    if (file is None) == (target is None):
        raise click.UsageError("give either a program or --target")
    chosen = [name for part in parts or _PARTS for name in _GROUPS.get(part, (part,))]
    wanted = format_ or _format_of(output)
    if target is not None:
        dot = _draw_target(target, chosen, brief)
    else:
        dot = _draw(str(file), chosen, brief, include_dirs, defines, undefines)
    data = dot.encode()
    if wanted == "svg":
        from kulvert.graphviz import draw_svg

        data = draw_svg(dot)
    if output is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        try:
            output.write_bytes(data)
        except OSError as error:
            raise UserError(f"{output}: cannot be written: {error.strerror}") from None


def _format_of(output: Path | None) -> str:
    """Raises click.BadParameter: the name is of another format."""
    suffix = output.suffix.lower() if output is not None else ""
    if suffix not in ("", ".svg", ".dot", ".gv"):
        raise click.BadParameter(
            f"no drawing is made as {suffix}: name it .svg or .dot, or give --format", param_hint="--output"
        )
    return "svg" if suffix == ".svg" else "dot"


def _draw(
    path: str,
    parts: list[str],
    brief: bool,
    include_dirs: tuple[str, ...],
    defines: tuple[str, ...] = (),
    undefines: tuple[str, ...] = (),
) -> str:
    from p4compiler.backends.graph.generate import generate_graph
    from p4compiler.diagnostics import Diagnostics
    from p4compiler.elaborate import elaborate_file

    diagnostics = Diagnostics()
    program = elaborate_file(path, diagnostics, include_dirs, ["__TARGET_BMV2__", *defines], undefines)
    if program is None:
        report(diagnostics.render())
        raise UserError(f"{path} does not compile: {diagnostics.summary()}")
    return generate_graph(program, parts, brief=brief)


def _draw_target(target: str, parts: list[str], brief: bool) -> str:
    """Kulvert's pipeline with the sizes of a target."""
    from tempfile import TemporaryDirectory

    from kulvert.build import render_sizes
    from kulvert.resources import ResourceError, resource_dir
    from kulvert.targets import TargetError, load_target

    try:
        loaded = load_target(target)
        sources = resource_dir("p4src")
        with TemporaryDirectory(prefix="kulvert-graph-") as scratch:
            (Path(scratch) / "sizes.p4").write_text(render_sizes(loaded), encoding="utf-8")
            return _draw(str(sources / "programs" / loaded.program), parts, brief, (scratch, str(sources)))
    except (TargetError, ResourceError) as error:
        raise UserError(str(error)) from error
