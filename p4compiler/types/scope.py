"""Scopes: which declaration a name means at a place (specification, section 6.9)."""

from __future__ import annotations

from collections.abc import Iterator

from p4compiler.syntax import ast
from p4compiler.types.overloads import Overloads


class Scope:
    """The names declared in one block; `outer` is the enclosing one.

    Functions of one name but different parameters may stand in one scope: `names` then holds them all.
    """

    __slots__ = ("names", "outer")

    def __init__(self, outer: Scope | None = None) -> None:
        self.outer = outer
        self.names: dict[str, ast.Declaration | Overloads] = {}

    def find(self, name: str) -> ast.Declaration | Overloads | None:
        """What `name` means here, from the innermost scope outwards."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.names.get(name)
            if found is not None:
                return found
            scope = scope.outer
        return None

    def find_type(self, name: str) -> ast.Declaration | None:
        """The type that `name` means where only a type can stand: what is no type does not hide one."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.names.get(name)
            if isinstance(found, TYPE_DECLARATIONS):
                return found
            scope = scope.outer
        return None

    def all_names(self) -> Iterator[str]:
        scope: Scope | None = self
        while scope is not None:
            yield from scope.names
            scope = scope.outer


TYPE_DECLARATIONS = (
    ast.StructDeclaration,
    ast.HeaderDeclaration,
    ast.HeaderUnionDeclaration,
    ast.EnumDeclaration,
    ast.Typedef,
    ast.TypeParameter,
    ast.ExternDeclaration,
    ast.ParserTypeDeclaration,
    ast.ControlTypeDeclaration,
    ast.PackageTypeDeclaration,
    ast.Parser,
    ast.Control,
)
"""Declarations whose name is a type."""

FUNCTIONS = (ast.Function, ast.ExternFunction)


def first_of(found: ast.Declaration | Overloads) -> ast.Declaration:
    """What a name means, of several functions the first."""
    return found.declarations[0] if isinstance(found, Overloads) else found


def describe(declaration: ast.Declaration) -> str:
    """What the declaration is, in the words of a message."""
    return _WORDS.get(type(declaration), "declaration")


def a_or_an(words: str) -> str:
    """The words with their article."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


_WORDS: dict[type[ast.Declaration], str] = {
    ast.StructDeclaration: "struct",
    ast.HeaderDeclaration: "header",
    ast.HeaderUnionDeclaration: "header union",
    ast.EnumDeclaration: "enum",
    ast.Typedef: "type",
    ast.TypeParameter: "type parameter",
    ast.ExternDeclaration: "extern",
    ast.ParserTypeDeclaration: "parser type",
    ast.ControlTypeDeclaration: "control type",
    ast.PackageTypeDeclaration: "package",
    ast.Parser: "parser",
    ast.Control: "control",
    ast.Action: "action",
    ast.Table: "table",
    ast.Function: "function",
    ast.ExternFunction: "extern function",
    ast.Variable: "variable",
    ast.Constant: "constant",
    ast.Parameter: "parameter",
    ast.Instantiation: "instance",
    ast.ValueSet: "value set",
    ast.ParserState: "state",
    ast.ErrorDeclaration: "error",
    ast.MatchKindDeclaration: "match kind",
}
