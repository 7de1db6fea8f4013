"""From the IR to a drawing: the entry point of this back end."""

from __future__ import annotations

from collections.abc import Iterable

from p4compiler.backends.graph.controls import draw_control
from p4compiler.backends.graph.dot import write_dot
from p4compiler.backends.graph.model import Cluster, Graph
from p4compiler.backends.graph.parsers import draw_parser
from p4compiler.ir.program import Program

PARTS = ("parser", "verify-checksum", "ingress", "egress", "compute-checksum", "deparser")
"""In the order in which a packet meets them."""
CONTROLS = PARTS[1:]


def generate_graph(program: Program, parts: Iterable[str] = PARTS, *, brief: bool = False) -> str:
    """The chosen parts of a program as one DOT digraph.

    Args:
        program: before the passes that make the program fit BMv2: it shall look like what was written. Control flow
            should be simplified.
        parts: names out of `PARTS`.
        brief: only tables, externs and the conditions around them.
    """
    chosen = set(parts)
    clusters = [_draw(program, part, brief) for part in PARTS if part in chosen]
    return write_dot(Graph(program.file, tuple(clusters)))


def _draw(program: Program, part: str, brief: bool) -> Cluster:
    if part == "parser":
        return draw_parser(program, f"parser {program.parser.name}")
    control = {
        "verify-checksum": program.verify_checksum,
        "ingress": program.ingress,
        "egress": program.egress,
        "compute-checksum": program.compute_checksum,
        "deparser": program.deparser,
    }[part]
    return draw_control(part.replace("-", "_"), f"{part.replace('-', ' ')} {control.name}", control, brief=brief)
