"""The types of P4_16 as the checker sees them (specification, section 7): resolved, with widths known.

Structural types compare by value; declared types compare by their declaration (and type arguments), as the
specification asks.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4compiler.syntax import ast


@dataclass(frozen=True, slots=True)
class Type:
    pass


@dataclass(frozen=True, slots=True)
class BoolType(Type):
    def __str__(self) -> str:
        return "bool"


@dataclass(frozen=True, slots=True)
class BitsType(Type):
    """`bit<width>` or, signed, `int<width>`."""

    width: int
    signed: bool = False

    def __str__(self) -> str:
        return f"{'int' if self.signed else 'bit'}<{self.width}>"


@dataclass(frozen=True, slots=True)
class VarbitType(Type):
    max_width: int

    def __str__(self) -> str:
        return f"varbit<{self.max_width}>"


@dataclass(frozen=True, slots=True)
class InfIntType(Type):
    """The arbitrary-precision `int`: compile-time values only."""

    def __str__(self) -> str:
        return "int"


@dataclass(frozen=True, slots=True)
class StringType(Type):
    def __str__(self) -> str:
        return "string"


@dataclass(frozen=True, slots=True)
class VoidType(Type):
    def __str__(self) -> str:
        return "void"


@dataclass(frozen=True, slots=True)
class ErrorType(Type):
    def __str__(self) -> str:
        return "error"


@dataclass(frozen=True, slots=True)
class MatchKindType(Type):
    def __str__(self) -> str:
        return "match_kind"


@dataclass(frozen=True, slots=True)
class FieldType:
    """A field of a struct-like type, in order."""

    name: str
    type: Type
    declaration: ast.Field | None = None


@dataclass(frozen=True, slots=True)
class StructLikeType(Type):
    """Common to struct, header and header union. `arguments` are the type arguments of a generic one."""

    declaration: ast.Declaration
    arguments: tuple[Type, ...]

    @property
    def name(self) -> str:
        return self.declaration.name.text

    def __str__(self) -> str:
        return self.name + (f"<{', '.join(map(str, self.arguments))}>" if self.arguments else "")


@dataclass(frozen=True, slots=True)
class StructType(StructLikeType):
    pass


@dataclass(frozen=True, slots=True)
class HeaderType(StructLikeType):
    pass


@dataclass(frozen=True, slots=True)
class HeaderUnionType(StructLikeType):
    pass


@dataclass(frozen=True, slots=True)
class StackType(Type):
    """A header stack (or an array, where 1.2.5 allows one)."""

    element: Type
    size: int

    def __str__(self) -> str:
        return f"{self.element}[{self.size}]"


@dataclass(frozen=True, slots=True)
class TupleType(Type):
    elements: tuple[Type, ...]

    def __str__(self) -> str:
        return f"tuple<{', '.join(map(str, self.elements))}>"


@dataclass(frozen=True, slots=True)
class ListType(Type):
    element: Type

    def __str__(self) -> str:
        return f"list<{self.element}>"


@dataclass(frozen=True, slots=True)
class SetType(Type):
    """A keyset: `a &&& b`, `a .. b`, a value set."""

    element: Type

    def __str__(self) -> str:
        return f"set<{self.element}>"


@dataclass(frozen=True, slots=True)
class EnumType(Type):
    """`underlying` is None for an enum without representation."""

    declaration: ast.EnumDeclaration
    underlying: Type | None

    def __str__(self) -> str:
        return self.declaration.name.text


@dataclass(frozen=True, slots=True)
class NewType(Type):
    """`type T name`: distinct from T."""

    declaration: ast.Typedef
    underlying: Type

    def __str__(self) -> str:
        return self.declaration.name.text


@dataclass(frozen=True, slots=True)
class TypeVariable(Type):
    declaration: ast.TypeParameter

    def __str__(self) -> str:
        return self.declaration.name.text


@dataclass(frozen=True, slots=True)
class ObjectType(Type):
    """An extern, parser, control, package or table: `declaration` says which, `arguments` its type arguments."""

    declaration: ast.Declaration
    arguments: tuple[Type, ...] = ()

    @property
    def name(self) -> str:
        return self.declaration.name.text

    def __str__(self) -> str:
        return self.name + (f"<{', '.join(map(str, self.arguments))}>" if self.arguments else "")


@dataclass(frozen=True, slots=True)
class UnknownType(Type):
    """The type of what was already reported as wrong; everything is compatible with it."""

    def __str__(self) -> str:
        return "unknown"
