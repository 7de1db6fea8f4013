"""Helpers of the front end's tests: programs as text, and places in them."""

from __future__ import annotations

from p4compiler.diagnostics import Diagnostics
from p4compiler.source import SourceFile
from p4compiler.syntax import ast
from p4compiler.syntax.parser import parse_tokens
from p4compiler.syntax.preprocessor import Preprocessor
from p4compiler.types.check import check_program
from p4compiler.types.checked import CheckedProgram

MARK = "§"
"""Stands in a test's program right before the place where an error is expected."""


def parse(text: str, diagnostics: Diagnostics | None = None) -> tuple[ast.Program, Diagnostics]:
    """The tree of a program given as text."""
    diagnostics = diagnostics or Diagnostics()
    tokens = Preprocessor([], diagnostics).run_text(SourceFile("test.p4", text))
    return parse_tokens(tokens, diagnostics), diagnostics


def check(text: str) -> tuple[CheckedProgram, Diagnostics]:
    """A program given as text, checked; not checked if it does not parse."""
    program, diagnostics = parse(text)
    if diagnostics.has_errors:
        return CheckedProgram(program), diagnostics
    return check_program(program, diagnostics), diagnostics


def accept(text: str) -> CheckedProgram:
    """The checked program, which must have no error."""
    checked, diagnostics = check(text)
    assert not diagnostics.has_errors, diagnostics.render()
    return checked


def places(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without its marks, and the line and column of each mark."""
    found = []
    lines = text.split("\n")
    for index in range(len(lines)):
        while (column := lines[index].find(MARK)) >= 0:
            found.append((index + 1, column + 1))
            lines[index] = lines[index].replace(MARK, "", 1)
    return "\n".join(lines), found


def error_places(diagnostics: Diagnostics) -> list[tuple[int, int]]:
    """Line and column of every error."""
    result = []
    for error in diagnostics.errors:
        assert error.span is not None, f"an error without a place: {error.message}"
        result.append((error.span.position.line, error.span.position.column))
    return result


def expect_errors(text: str, *kinds: str) -> Diagnostics:
    """Errors of these kinds must be at the marked places, in this order, and nowhere else."""
    clean, expected = places(text)
    _, diagnostics = check(clean)
    assert error_places(diagnostics) == expected, diagnostics.render()
    assert [error.kind.value for error in diagnostics.errors] == list(kinds), diagnostics.render()
    return diagnostics
