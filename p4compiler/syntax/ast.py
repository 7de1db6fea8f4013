"""The abstract syntax tree: what the grammar of P4_16 1.2.5 (appendix G) says, and nothing that checking finds out.

Nodes are data only and never change; types, resolved names and constants are kept beside the tree by the checker
(`p4compiler.types.checked`), keyed by node. Every node carries the span of its text.
"""

from __future__ import annotations

from enum import Enum

from p4compiler.node import node
from p4compiler.source import Span


@node
class Node:
    span: Span


# -- names, annotations


@node
class Name(Node):
    """An identifier where it is declared or used as a member, field or label."""

    text: str


@node
class Annotation(Node):
    """`@name`, `@name(...)` (unstructured unless a body was asked for by kind) or `@name[...]` (structured).

    `tokens` holds the text of each token of an unstructured body, strings still quoted. `arguments` holds the
    structured body's expressions, `pairs` its key-value pairs; both are empty for an unstructured one.
    """

    name: str
    tokens: tuple[AnnotationToken, ...] | None
    arguments: tuple[Expression, ...] = ()
    pairs: tuple[KeyValue, ...] = ()
    structured: bool = False


@node
class AnnotationToken(Node):
    text: str
    is_string: bool = False


@node
class KeyValue(Node):
    """`name = expression`: in a structure-valued expression, a structured annotation or a named argument list."""

    name: Name
    value: Expression


# -- type references


@node
class TypeRef(Node):
    """A type as it is written."""


class BaseTypeKind(Enum):
    BOOL = "bool"
    ERROR = "error"
    MATCH_KIND = "match_kind"
    STRING = "string"
    VOID = "void"
    INT = "int"
    """the arbitrary-precision `int`"""
    DONT_CARE = "_"


@node
class BaseTypeRef(TypeRef):
    kind: BaseTypeKind


class BitsKind(Enum):
    BIT = "bit"
    INT = "int"
    VARBIT = "varbit"


@node
class BitsTypeRef(TypeRef):
    """`bit`, `bit<W>`, `int<W>`, `varbit<W>`; a bare `bit` has no width and means `bit<1>`."""

    kind: BitsKind
    width: Expression | None


@node
class NamedTypeRef(TypeRef):
    """A declared type or type variable. `absolute`: written with a leading dot."""

    name: str
    absolute: bool = False


@node
class SpecializedTypeRef(TypeRef):
    """`base<arguments>`."""

    base: NamedTypeRef
    arguments: tuple[TypeRef, ...]


@node
class StackTypeRef(TypeRef):
    """`element[size]`."""

    element: TypeRef
    size: Expression


@node
class TupleTypeRef(TypeRef):
    elements: tuple[TypeRef, ...]


@node
class ListTypeRef(TypeRef):
    """`list<element>`."""

    element: TypeRef


# -- expressions


@node
class Expression(Node):
    pass


@node
class IntegerLiteral(Expression):
    """`42`, `8w0xff` (width 8), `4s7` (width 4, signed). Width None: an `int` of any precision."""

    value: int
    width: int | None = None
    signed: bool = False
    base: int = 10


@node
class BoolLiteral(Expression):
    value: bool


@node
class StringLiteral(Expression):
    """`value` has its escapes resolved; adjacent literals are not joined."""

    value: str


@node
class PathExpression(Expression):
    """A name in expression position. `absolute`: written with a leading dot."""

    name: str
    absolute: bool = False


@node
class This(Expression):
    pass


@node
class DefaultLiteral(Expression):
    """`default` in a set, and `...` in a list or structure initialiser (`ellipsis`)."""

    ellipsis: bool = False


@node
class DontCare(Expression):
    """`_`"""


@node
class InvalidHeader(Expression):
    """`{#}`"""


@node
class Member(Expression):
    """`base.member`, also `error.NoError`, `E.A`, `T.method` where the base is a TypeNameExpression."""

    base: Expression
    member: Name


@node
class TypeNameExpression(Expression):
    """A type where an expression may stand: the left of `E.A`, `error.X`."""

    type: TypeRef


@node
class Index(Expression):
    base: Expression
    index: Expression


@node
class Slice(Expression):
    """`base[high:low]`; `plus`: `base[low +: width]`, where `high` holds the width (P4_16 1.2.5)."""

    base: Expression
    high: Expression
    low: Expression
    plus: bool = False


class UnaryOperator(Enum):
    NOT = "!"
    COMPLEMENT = "~"
    NEGATE = "-"
    PLUS = "+"


@node
class Unary(Expression):
    operator: UnaryOperator
    operand: Expression


class BinaryOperator(Enum):
    MUL = "*"
    DIV = "/"
    MOD = "%"
    ADD = "+"
    SUB = "-"
    ADD_SAT = "|+|"
    SUB_SAT = "|-|"
    SHL = "<<"
    SHR = ">>"
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    EQ = "=="
    NE = "!="
    AND = "&"
    XOR = "^"
    OR = "|"
    CONCAT = "++"
    LOGICAL_AND = "&&"
    LOGICAL_OR = "||"
    MASK = "&&&"
    RANGE = ".."


@node
class Binary(Expression):
    operator: BinaryOperator
    left: Expression
    right: Expression


@node
class Conditional(Expression):
    condition: Expression
    then: Expression
    otherwise: Expression


@node
class Cast(Expression):
    target: TypeRef
    operand: Expression


@node
class ListExpression(Expression):
    """`{ a, b, c }`; `type` when written with a prefix cast to a list/tuple type is a Cast around it instead."""

    elements: tuple[Expression, ...]


@node
class StructExpression(Expression):
    """`{ name = value, ... }`; `type` for `(T){...}` is a Cast around it. `rest`: a trailing `...`."""

    fields: tuple[KeyValue, ...]
    rest: DefaultLiteral | None = None


@node
class TupleSet(Expression):
    """`(a, b, c)` in set position: a keyset of a select case or of a table entry with several keys."""

    elements: tuple[Expression, ...]


@node
class Argument(Node):
    """An argument, perhaps named. A DontCare value (`_`) is an omitted `out` or optional argument."""

    name: Name | None
    value: Expression


@node
class Call(Expression):
    """`callee<type_arguments>(arguments)`: a function, action, method or table call, or a constructor (`T(...)`, where the
    callee is a TypeNameExpression)."""

    callee: Expression
    type_arguments: tuple[TypeRef, ...]
    arguments: tuple[Argument, ...]


# -- statements


@node
class Statement(Node):
    annotations: tuple[Annotation, ...]


@node
class Assignment(Statement):
    """`target = value`; `operator` for a compound one such as `+=` (P4_16 1.2.5)."""

    target: Expression
    value: Expression
    operator: BinaryOperator | None = None


@node
class CallStatement(Statement):
    call: Call


@node
class DirectApplication(Statement):
    """`T.apply(arguments)` or `T<A>.apply(arguments)` on a type: an anonymous instance."""

    type: TypeRef
    arguments: tuple[Argument, ...]


@node
class EmptyStatement(Statement):
    pass


@node
class Block(Statement):
    """`end` is the span of the closing brace."""

    body: tuple[Statement | Declaration, ...]
    end: Span


@node
class If(Statement):
    condition: Expression
    then: Statement
    otherwise: Statement | None


@node
class Return(Statement):
    value: Expression | None


@node
class Exit(Statement):
    pass


@node
class Break(Statement):
    pass


@node
class Continue(Statement):
    pass


@node
class SwitchCase(Node):
    """One label; `label` is DefaultLiteral for `default`. A body of None falls through to the next one."""

    label: Expression
    body: Block | None


@node
class Switch(Statement):
    selector: Expression
    cases: tuple[SwitchCase, ...]


@node
class For(Statement):
    """`for (init; condition; update) body`."""

    init: tuple[Statement | Declaration, ...]
    condition: Expression
    update: tuple[Statement, ...]
    body: Statement


@node
class ForIn(Statement):
    """`for (type name in collection) body`. The collection may be a RANGE Binary."""

    type: TypeRef
    name: Name
    collection: Expression
    body: Statement


# -- declarations


@node
class Declaration(Node):
    annotations: tuple[Annotation, ...]
    name: Name


class Direction(Enum):
    NONE = ""
    IN = "in"
    OUT = "out"
    INOUT = "inout"


@node
class Parameter(Declaration):
    direction: Direction
    type: TypeRef
    default: Expression | None


@node
class TypeParameter(Declaration):
    pass


@node
class Constant(Declaration):
    type: TypeRef
    value: Expression


@node
class Variable(Declaration):
    type: TypeRef
    initializer: Expression | None


@node
class Instantiation(Declaration):
    """`type(arguments) name = { body };` — the body holds the abstract methods of an extern, rarely used."""

    type: TypeRef
    arguments: tuple[Argument, ...]
    body: tuple[Declaration, ...] | None


@node
class Typedef(Declaration):
    """`typedef type name`, or with `distinct` `type type name` (a new type)."""

    type: TypeRef
    distinct: bool


@node
class Field(Declaration):
    type: TypeRef


@node
class StructDeclaration(Declaration):
    type_parameters: tuple[TypeParameter, ...]
    fields: tuple[Field, ...]


@node
class HeaderDeclaration(Declaration):
    type_parameters: tuple[TypeParameter, ...]
    fields: tuple[Field, ...]


@node
class HeaderUnionDeclaration(Declaration):
    type_parameters: tuple[TypeParameter, ...]
    fields: tuple[Field, ...]


@node
class EnumMember(Declaration):
    value: Expression | None


@node
class EnumDeclaration(Declaration):
    """`underlying` is set for a serializable enum, whose members all have values."""

    underlying: TypeRef | None
    members: tuple[EnumMember, ...]


@node
class ErrorDeclaration(Declaration):
    """`error { A, B }`; the name is `error`."""

    members: tuple[Name, ...]


@node
class MatchKindDeclaration(Declaration):
    members: tuple[Name, ...]


@node
class FunctionPrototype(Declaration):
    """An extern function, an extern's method, or the signature of a function."""

    return_type: TypeRef
    type_parameters: tuple[TypeParameter, ...]
    parameters: tuple[Parameter, ...]
    is_abstract: bool = False


@node
class ExternFunction(Declaration):
    prototype: FunctionPrototype


@node
class ExternDeclaration(Declaration):
    """Constructors are the prototypes in `constructors` (their return type is the extern itself)."""

    type_parameters: tuple[TypeParameter, ...]
    constructors: tuple[FunctionPrototype, ...]
    methods: tuple[FunctionPrototype, ...]


@node
class Function(Declaration):
    prototype: FunctionPrototype
    body: Block


@node
class ParserTypeDeclaration(Declaration):
    """`parser P<H>(...);`"""

    type_parameters: tuple[TypeParameter, ...]
    parameters: tuple[Parameter, ...]


@node
class ControlTypeDeclaration(Declaration):
    type_parameters: tuple[TypeParameter, ...]
    parameters: tuple[Parameter, ...]


@node
class PackageTypeDeclaration(Declaration):
    type_parameters: tuple[TypeParameter, ...]
    parameters: tuple[Parameter, ...]


@node
class SelectCase(Node):
    keyset: Expression
    target: Name


@node
class Select(Node):
    keys: tuple[Expression, ...]
    cases: tuple[SelectCase, ...]


@node
class ParserState(Declaration):
    """`transition` None: no transition was written, which means `reject`."""

    body: tuple[Statement | Declaration, ...]
    transition: Name | Select | None


@node
class ValueSet(Declaration):
    """`value_set<T>(size) name;`"""

    type: TypeRef
    size: Expression


@node
class Parser(Declaration):
    type_parameters: tuple[TypeParameter, ...]
    parameters: tuple[Parameter, ...]
    constructor_parameters: tuple[Parameter, ...]
    locals: tuple[Declaration, ...]
    states: tuple[ParserState, ...]


@node
class Action(Declaration):
    parameters: tuple[Parameter, ...]
    body: Block


@node
class TableKey(Node):
    annotations: tuple[Annotation, ...]
    expression: Expression
    match_kind: Name


@node
class ActionReference(Node):
    """An action in a table's list, with the arguments that are bound there (`call` for `a(x)`, else a PathExpression)."""

    annotations: tuple[Annotation, ...]
    action: PathExpression
    arguments: tuple[Argument, ...] | None


@node
class TableEntry(Node):
    """`const priority = p: keys : action(arguments) annotations;` — the priority is None where none is written."""

    annotations: tuple[Annotation, ...]
    is_const: bool
    priority: Expression | None
    keys: Expression
    action: ActionReference


@node
class TableProperty(Node):
    """`const name = value;` for every property but key, actions and entries."""

    annotations: tuple[Annotation, ...]
    name: Name
    value: Expression
    is_const: bool


@node
class Table(Declaration):
    keys: tuple[TableKey, ...] | None
    actions: tuple[ActionReference, ...]
    entries: tuple[TableEntry, ...] | None
    entries_const: bool
    properties: tuple[TableProperty, ...]


@node
class Control(Declaration):
    type_parameters: tuple[TypeParameter, ...]
    parameters: tuple[Parameter, ...]
    constructor_parameters: tuple[Parameter, ...]
    locals: tuple[Declaration, ...]
    body: Block


@node
class Program(Node):
    """Everything, in the order of the text, includes spliced in."""

    declarations: tuple[Declaration, ...]
