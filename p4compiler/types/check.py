"""Type checking: the entry point."""

from __future__ import annotations

from p4compiler.collector import without_collection
from p4compiler.diagnostics import Diagnostics, Kind
from p4compiler.nesting import room_for_nesting
from p4compiler.syntax import ast
from p4compiler.types.checked import CheckedProgram
from p4compiler.types.declarations import Declarations
from p4compiler.types.unused import heed_warning_annotations, warn_unused


@room_for_nesting()
def check_program(program: ast.Program, diagnostics: Diagnostics) -> CheckedProgram:
    """Check the whole program and find out everything that `CheckedProgram` holds.

    Every error goes to `diagnostics`; if it has errors afterwards the result is incomplete and must not be lowered.
    """
    checker = Declarations(program, diagnostics)
    heed_warning_annotations(program, diagnostics)
    with without_collection():
        for declaration in program.declarations:
            if diagnostics.full:
                break
            checker.declaration(declaration)
        checker.finish()
    if not diagnostics.has_mistakes:
        warn_unused(program, checker.used, diagnostics)
    if checker.checked.main is None and not diagnostics.has_mistakes:
        diagnostics.warning(Kind.MISSING, "the program has no 'main'", None)
    return checker.checked
