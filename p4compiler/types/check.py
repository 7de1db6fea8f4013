"""Type checking: the entry point."""

from __future__ import annotations

from p4compiler.diagnostics import Diagnostics
from p4compiler.syntax import ast
from p4compiler.types.checked import CheckedProgram


def check_program(program: ast.Program, diagnostics: Diagnostics) -> CheckedProgram:
    """Check the whole program and find out everything that `CheckedProgram` holds.

    Every error goes to `diagnostics`; if it has errors afterwards the result is incomplete and must not be lowered.
    """
    raise NotImplementedError
