"""What names mean while a body is lowered."""

from __future__ import annotations

from p4compiler.lowering.values import Value
from p4compiler.syntax import ast
from p4compiler.types import model


class Scope:
    """Declarations and their values, by identity of the declaration.

    A scope belongs to one instance of a parser or control, or to one inlined call; its parent is that of the control around an
    action. Types carry the arguments of the type parameters in force.
    """

    __slots__ = ("bindings", "name", "parent", "types")

    def __init__(self, name: str, parent: Scope | None = None) -> None:
        self.name = name
        """For the names of variables: `Control` or `Control.action`."""
        self.parent = parent
        self.bindings: dict[ast.Node, Value] = {}
        self.types: dict[ast.TypeParameter, model.Type] = dict(parent.types) if parent is not None else {}

    def bind(self, declaration: ast.Node, value: Value) -> None:
        self.bindings[declaration] = value

    def lookup(self, declaration: ast.Node) -> Value | None:
        scope: Scope | None = self
        while scope is not None:
            found = scope.bindings.get(declaration)
            if found is not None:
                return found
            scope = scope.parent
        return None
