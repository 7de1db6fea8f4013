"""Names for the control plane: two objects of one kind cannot be given the same absolute name."""

from __future__ import annotations

from collections.abc import Iterator

from p4compiler.diagnostics import Diagnostics, Kind, Note
from p4compiler.syntax import ast
from p4compiler.types.checked import CheckedProgram


def check_control_plane_names(checked: CheckedProgram, diagnostics: Diagnostics) -> None:
    """Report actions and tables whose `@name(".x")` (or, at the top level, own name) another one has already."""
    seen: dict[tuple[type[ast.Declaration], str], ast.Declaration] = {}
    for declaration, top in _named(checked.program):
        name = _absolute_name(declaration, top)
        if name is None or name == "NoAction":
            continue
        key = (type(declaration), name)
        earlier = seen.setdefault(key, declaration)
        if earlier is not declaration:
            diagnostics.error(
                Kind.DUPLICATE,
                f"the control plane knows another one as '{name}'",
                declaration.name.span,
                [Note("the other one is here", earlier.name.span)],
            )


def _named(program: ast.Program) -> Iterator[tuple[ast.Declaration, bool]]:
    """Actions and tables, and whether they stand at the top level."""
    for declaration in program.declarations:
        if isinstance(declaration, ast.Action):
            yield declaration, True
        elif isinstance(declaration, ast.Control):
            for local in declaration.locals:
                if isinstance(local, ast.Action | ast.Table):
                    yield local, False


def _absolute_name(declaration: ast.Declaration, top: bool) -> str | None:
    for annotation in declaration.annotations:
        if annotation.name == "name" and annotation.tokens:
            text = "".join(token.text[1:-1] for token in annotation.tokens if token.is_string)
            return text.removeprefix(".") if top or text.startswith(".") else None
    return declaration.name.text if top else None
