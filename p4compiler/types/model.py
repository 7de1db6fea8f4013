"""The types of P4_16 as the checker sees them (specification, section 7): resolved, with widths known.

Structural types compare by value; declared types compare by their declaration (and type arguments), as the
specification asks.
"""

from __future__ import annotations

from p4compiler.node import value
from p4compiler.syntax import ast


@value
class Type:
    pass


@value
class BoolType(Type):
    def __str__(self) -> str:
        return "bool"


@value
class BitsType(Type):
    """`bit<width>` or, signed, `int<width>`."""

    width: int
    signed: bool = False

    def __str__(self) -> str:
        return f"{'int' if self.signed else 'bit'}<{self.width}>"


@value
class VarbitType(Type):
    max_width: int

    def __str__(self) -> str:
        return f"varbit<{self.max_width}>"


@value
class InfIntType(Type):
    """The arbitrary-precision `int`: compile-time values only."""

    def __str__(self) -> str:
        return "int"


@value
class StringType(Type):
    def __str__(self) -> str:
        return "string"


@value
class VoidType(Type):
    def __str__(self) -> str:
        return "void"


@value
class ErrorType(Type):
    def __str__(self) -> str:
        return "error"


@value
class MatchKindType(Type):
    def __str__(self) -> str:
        return "match_kind"


@value
class FieldType:
    """A field of a struct-like type, in order."""

    name: str
    type: Type
    declaration: ast.Field | None = None


@value
class StructLikeType(Type):
    """Common to struct, header and header union. `arguments` are the type arguments of a generic one."""

    declaration: ast.Declaration
    arguments: tuple[Type, ...]

    @property
    def name(self) -> str:
        return self.declaration.name.text

    def __str__(self) -> str:
        return self.name + (f"<{', '.join(map(str, self.arguments))}>" if self.arguments else "")


@value
class StructType(StructLikeType):
    pass


@value
class HeaderType(StructLikeType):
    pass


@value
class HeaderUnionType(StructLikeType):
    pass


@value
class StackType(Type):
    """A header stack (or an array, where 1.2.5 allows one)."""

    element: Type
    size: int

    def __str__(self) -> str:
        return f"{self.element}[{self.size}]"


@value
class TupleType(Type):
    elements: tuple[Type, ...]

    def __str__(self) -> str:
        return f"tuple<{', '.join(map(str, self.elements))}>"


@value
class ListType(Type):
    element: Type

    def __str__(self) -> str:
        return f"list<{self.element}>"


@value
class SetType(Type):
    """A keyset: `a &&& b`, `a .. b`, a value set."""

    element: Type

    def __str__(self) -> str:
        return f"set<{self.element}>"


@value
class EnumType(Type):
    """`underlying` is None for an enum without representation."""

    declaration: ast.EnumDeclaration
    underlying: Type | None

    def __str__(self) -> str:
        return self.declaration.name.text


@value
class NewType(Type):
    """`type T name`: distinct from T."""

    declaration: ast.Typedef
    underlying: Type

    def __str__(self) -> str:
        return self.declaration.name.text


@value
class TypeVariable(Type):
    declaration: ast.TypeParameter

    def __str__(self) -> str:
        return self.declaration.name.text


@value
class ObjectType(Type):
    """An extern, parser, control, package or table: `declaration` says which, `arguments` its type arguments."""

    declaration: ast.Declaration
    arguments: tuple[Type, ...] = ()

    @property
    def name(self) -> str:
        return self.declaration.name.text

    def __str__(self) -> str:
        return self.name + (f"<{', '.join(map(str, self.arguments))}>" if self.arguments else "")


@value
class UnknownType(Type):
    """The type of what was already reported as wrong; everything is compatible with it."""

    def __str__(self) -> str:
        return "unknown"


@value
class ApplyResultType(Type):
    """What `table.apply()` gives: the members `hit`, `miss` (bool) and `action_run` (an ActionRunType)."""

    table: ast.Table

    def __str__(self) -> str:
        return f"apply_result({self.table.name.text})"


@value
class ActionRunType(Type):
    """What a switch on `table.apply().action_run` selects by: the table's actions."""

    table: ast.Table

    def __str__(self) -> str:
        return f"action_list({self.table.name.text})"


@value
class AnonymousStructType(Type):
    """Of a structure-valued expression as long as no context gave it a declared type."""

    fields: tuple[FieldType, ...]

    def __str__(self) -> str:
        return "{" + ", ".join(f"{f.name}: {f.type}" for f in self.fields) + "}"


@value
class DontCareType(Type):
    """`_` as a type argument: to be inferred. Also of a `_` argument and of `...`: whatever is asked for."""

    def __str__(self) -> str:
        return "_"


BOOL = BoolType()
INT = InfIntType()
STRING = StringType()
VOID = VoidType()
ERROR = ErrorType()
MATCH_KIND = MatchKindType()
UNKNOWN = UnknownType()
DONT_CARE = DontCareType()

_BITS: dict[tuple[int, bool], BitsType] = {}


def bits(width: int, signed: bool = False) -> BitsType:
    """`bit<width>` or `int<width>`, one object for each."""
    found = _BITS.get((width, signed))
    if found is None:
        found = _BITS[width, signed] = BitsType(width, signed)
    return found


BIT32 = bits(32)

Bindings = dict[ast.TypeParameter, Type]
"""What type parameters stand for."""


def substitute(type_: Type, bindings: Bindings) -> Type:
    """`type_` with its type variables replaced; those without a binding stay."""
    if not bindings:
        return type_
    match type_:
        case TypeVariable(declaration):
            return bindings.get(declaration, type_)
        case StructLikeType(declaration, arguments) | ObjectType(declaration, arguments) if arguments:
            return type(type_)(declaration, tuple(substitute(a, bindings) for a in arguments))
        case TupleType(elements):
            return TupleType(tuple(substitute(e, bindings) for e in elements))
        case ListType(element):
            return ListType(substitute(element, bindings))
        case SetType(element):
            return SetType(substitute(element, bindings))
        case StackType(element, size):
            return StackType(substitute(element, bindings), size)
        case AnonymousStructType(fields):
            return AnonymousStructType(tuple(FieldType(f.name, substitute(f.type, bindings)) for f in fields))
    return type_


def mentions_variables(type_: Type, variables: Bindings | set[ast.TypeParameter]) -> bool:
    """One of `variables` occurs in `type_`."""
    match type_:
        case TypeVariable(declaration):
            return declaration in variables
        case StructLikeType(_, arguments) | ObjectType(_, arguments) | TupleType(arguments):
            return any(mentions_variables(a, variables) for a in arguments)
        case ListType(element) | SetType(element) | StackType(element, _):
            return mentions_variables(element, variables)
    return False
