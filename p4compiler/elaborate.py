"""From a file to the IR, for tools beside the compiler that want to look at a program."""

from __future__ import annotations

from collections.abc import Sequence

from p4compiler.collector import without_collection
from p4compiler.diagnostics import Diagnostics, Kind
from p4compiler.ir.program import Program
from p4compiler.lowering.program import lower_program
from p4compiler.nesting import room_for_nesting
from p4compiler.passes.simplify_control_flow import simplify_control_flow
from p4compiler.syntax import parse_file
from p4compiler.types.check import check_program


def elaborate_file(
    path: str,
    diagnostics: Diagnostics,
    include_dirs: Sequence[str] = (),
    defines: Sequence[str] = (),
    undefines: Sequence[str] = (),
) -> Program | None:
    """The program with everything instantiated and inlined, and what is never reached taken out.

    Nothing is done yet that only BMv2 needs, and what only BMv2 cannot do is no error.

    Returns:
        None if there are errors, which `diagnostics` holds.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        with without_collection(), room_for_nesting():
            tree = parse_file(path, list(include_dirs), list(defines), diagnostics, list(undefines))
            if diagnostics.has_errors:
                return None
            checked = check_program(tree, diagnostics)
            if diagnostics.has_errors:
                return None
            program = lower_program(checked, path, diagnostics)
            if program is None or any(error.kind is not Kind.UNSUPPORTED_ON_TARGET for error in diagnostics.errors):
                return None
            return simplify_control_flow(program)
    except RecursionError:
        diagnostics.error(Kind.OVERLIMIT, "the program is nested too deeply", None)
        return None
