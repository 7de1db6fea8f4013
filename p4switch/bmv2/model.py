"""The program that a BMv2 JSON describes: frozen objects, every reference checked, every operand typed.

References between objects are by name; `Program` holds each kind by name. Widths are in bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

# -- places


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Where the P4 source of an object is, as the compiler wrote it."""

    filename: str
    line: int
    fragment: str


# -- headers


@dataclass(frozen=True, slots=True)
class FieldDecl:
    """A field of a header type. `width` is the maximum for a variable-length field."""

    name: str
    width: int
    signed: bool = False
    saturating: bool = False
    varlen: bool = False


@dataclass(frozen=True, slots=True)
class HeaderType:
    """The fields in order."""

    name: str
    fields: tuple[FieldDecl, ...]

    def field(self, name: str) -> FieldDecl | None:
        return next((field for field in self.fields if field.name == name), None)

    @property
    def fixed_bits(self) -> int:
        return sum(field.width for field in self.fields if not field.varlen)

    @property
    def varlen(self) -> FieldDecl | None:
        return next((field for field in self.fields if field.varlen), None)

    @property
    def varlen_position(self) -> int:
        """Bits in front of the variable-length field."""
        assert self.varlen is not None
        return sum(field.width for field in self.fields[: self.fields.index(self.varlen)])


@dataclass(frozen=True, slots=True)
class Header:
    """A header instance. `stack`/`index` place it in a stack; `union` names the union it is a member of."""

    name: str
    type: HeaderType
    metadata: bool
    stack: str | None = None
    index: int = 0
    union: str | None = None


@dataclass(frozen=True, slots=True)
class HeaderStack:
    name: str
    type: HeaderType
    headers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeaderUnion:
    name: str
    headers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnionStack:
    """A stack of header unions, by name; all unions are of one type."""

    name: str
    unions: tuple[str, ...]


# -- operands


@dataclass(frozen=True, slots=True)
class FieldRef:
    """A field of a header instance; `$valid$` is the one-bit validity of the header."""

    header: str
    decl: FieldDecl


@dataclass(frozen=True, slots=True)
class StackFieldRef:
    """A field of the last valid header of a stack."""

    stack: str
    decl: FieldDecl


@dataclass(frozen=True, slots=True)
class UnionStackFieldRef:
    """A field of one member of the last union of a stack; `headers` are that member in each element."""

    stack: str
    headers: tuple[str, ...]
    decl: FieldDecl


@dataclass(frozen=True, slots=True)
class Const:
    value: int
    width: int | None = None


@dataclass(frozen=True, slots=True)
class BoolConst:
    value: bool


@dataclass(frozen=True, slots=True)
class Param:
    """An action parameter, by its place in the action's runtime data."""

    index: int
    width: int


@dataclass(frozen=True, slots=True)
class HeaderRef:
    header: str


@dataclass(frozen=True, slots=True)
class StackRef:
    stack: str


@dataclass(frozen=True, slots=True)
class UnionRef:
    union: str


@dataclass(frozen=True, slots=True)
class UnionStackRef:
    """A stack of header unions."""

    stack: str


@dataclass(frozen=True, slots=True)
class StackElement:
    """`stack[index]`, with an index known only at run time."""

    stack: str
    index: Expr


@dataclass(frozen=True, slots=True)
class ElementField:
    """A field of `stack[index]`."""

    element: StackElement
    decl: FieldDecl


@dataclass(frozen=True, slots=True)
class RegisterRef:
    """A register cell read inside an expression."""

    register: str
    index: Expr


@dataclass(frozen=True, slots=True)
class Lookahead:
    """Bits of the packet that the parser has not consumed."""

    offset: int
    width: int


@dataclass(frozen=True, slots=True)
class Unary:
    op: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary:
    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Ternary:
    cond: Expr
    left: Expr
    right: Expr


Expr = (
    FieldRef
    | StackFieldRef
    | UnionStackFieldRef
    | Const
    | BoolConst
    | Param
    | HeaderRef
    | StackRef
    | UnionRef
    | UnionStackRef
    | StackElement
    | ElementField
    | RegisterRef
    | Lookahead
    | Unary
    | Binary
    | Ternary
)


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """A named extern object as a primitive's argument: `kind` is the JSON's type (`register_array`, …)."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Vector:
    values: tuple[Expr, ...]


Argument = Expr | ObjectRef | Text | Vector


# -- actions


@dataclass(frozen=True, slots=True)
class Primitive:
    op: str
    args: tuple[Argument, ...]
    source: SourceInfo | None = None


@dataclass(frozen=True, slots=True)
class ActionParam:
    name: str
    width: int


@dataclass(frozen=True, slots=True)
class Action:
    name: str
    id: int
    params: tuple[ActionParam, ...]
    body: tuple[Primitive, ...]
    source: SourceInfo | None = None


# -- parser


@dataclass(frozen=True, slots=True)
class Extract:
    header: str


@dataclass(frozen=True, slots=True)
class ExtractStack:
    stack: str


@dataclass(frozen=True, slots=True)
class ExtractUnionStack:
    """Extracts one member of the next union of a stack; `headers` are that member in each element.

    `bits` is the length of its variable-length field, if it has one.
    """

    stack: str
    headers: tuple[str, ...]
    bits: Expr | None = None


@dataclass(frozen=True, slots=True)
class ExtractVarlen:
    """`header` or, if `stack`, the next header of that stack; `bits` is the length of the variable field."""

    target: str
    stack: bool
    bits: Expr


@dataclass(frozen=True, slots=True)
class SetField:
    target: FieldRef
    value: Expr


@dataclass(frozen=True, slots=True)
class Verify:
    cond: Expr
    error: Expr


@dataclass(frozen=True, slots=True)
class Advance:
    bits: Expr


@dataclass(frozen=True, slots=True)
class Call:
    primitive: Primitive


ParserOp = Extract | ExtractStack | ExtractUnionStack | ExtractVarlen | SetField | Verify | Advance | Call


@dataclass(frozen=True, slots=True)
class Case:
    """A transition on a value, or on membership of a value set. Values are padded to bytes field by field."""

    next_state: str | None
    value: bytes = b""
    mask: bytes | None = None
    value_set: str | None = None


@dataclass(frozen=True, slots=True)
class ParseState:
    name: str
    ops: tuple[ParserOp, ...]
    key: tuple[Expr, ...]
    cases: tuple[Case, ...]
    default: str | None
    source: SourceInfo | None = None


@dataclass(frozen=True, slots=True)
class Parser:
    name: str
    init_state: str | None
    states: dict[str, ParseState]


@dataclass(frozen=True, slots=True)
class ValueSet:
    name: str
    width: int


# -- extern objects


@dataclass(frozen=True, slots=True)
class Payload:
    """All of the packet behind the parsed headers, as input of a calculation."""


@dataclass(frozen=True, slots=True)
class Calculation:
    name: str
    algorithm: str
    inputs: tuple[FieldRef | Const | HeaderRef | Payload, ...]


@dataclass(frozen=True, slots=True)
class Checksum:
    name: str
    target: FieldRef
    calculation: str
    update: bool
    verify: bool
    cond: Expr | None
    source: SourceInfo | None = None


@dataclass(frozen=True, slots=True)
class Register:
    name: str
    size: int
    width: int


@dataclass(frozen=True, slots=True)
class CounterArray:
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Meter:
    """`table` is the table of a direct meter, whose colour goes to `target` on a hit; else None."""

    name: str
    size: int
    rates: int
    per_byte: bool
    table: str | None = None
    target: FieldRef | None = None


@dataclass(frozen=True, slots=True)
class FieldList:
    """Fields kept for a clone, resubmit or recirculate."""

    id: int
    fields: tuple[FieldRef, ...]


@dataclass(frozen=True, slots=True)
class Digest:
    name: str
    id: int
    fields: tuple[FieldRef, ...]


# -- control


class MatchKind(Enum):
    EXACT = "exact"
    LPM = "lpm"
    TERNARY = "ternary"
    RANGE = "range"
    VALID = "valid"


@dataclass(frozen=True, slots=True)
class KeyField:
    """One component of a table's key; `mask` is the static mask, or None."""

    name: str
    kind: MatchKind
    target: FieldRef
    mask: int | None = None

    @property
    def width(self) -> int:
        return 8 if self.kind is MatchKind.VALID else self.target.decl.width


@dataclass(frozen=True, slots=True)
class Selector:
    algorithm: str
    inputs: tuple[FieldRef | Const | HeaderRef | Payload, ...]


@dataclass(frozen=True, slots=True)
class ActionProfile:
    name: str
    size: int
    selector: Selector | None


@dataclass(frozen=True, slots=True)
class ActionCallSpec:
    """An action with constant arguments, one number for each parameter."""

    action_id: int
    args: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ConstFieldMatch:
    """The match of one key field in a constant entry: value and mask, or low and high bound."""

    value: int
    mask: int


@dataclass(frozen=True, slots=True)
class ConstEntry:
    """`priority` is the JSON's: the lower number wins."""

    match: tuple[ConstFieldMatch, ...]
    call: ActionCallSpec
    priority: int
    source: SourceInfo | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A match-action table. `actions` are the ids, in the JSON's order.

    `next_by_action` maps action names; `next_hit_miss` replaces it where the program asks for hit or miss.
    """

    name: str
    kind: MatchKind
    key: tuple[KeyField, ...]
    size: int
    actions: tuple[int, ...]
    next_by_action: dict[str, str | None]
    next_hit_miss: tuple[str | None, str | None] | None
    default: ActionCallSpec | None
    default_const: bool
    default_action_const: bool
    default_next: str | None
    with_counters: bool
    profile: str | None
    meter: str | None
    support_timeout: bool
    entries: tuple[ConstEntry, ...]
    immutable: bool
    source: SourceInfo | None = None


@dataclass(frozen=True, slots=True)
class Conditional:
    name: str
    cond: Expr
    true_next: str | None
    false_next: str | None
    source: SourceInfo | None = None


@dataclass(frozen=True, slots=True)
class ActionCall:
    name: str
    action_id: int
    next: str | None


Node = Table | Conditional | ActionCall


@dataclass(frozen=True, slots=True)
class Pipeline:
    name: str
    init: str | None
    nodes: dict[str, Node]


@dataclass(frozen=True, slots=True)
class Program:
    """Everything a BMv2 JSON says, checked."""

    name: str
    headers: dict[str, Header]
    stacks: dict[str, HeaderStack]
    unions: dict[str, HeaderUnion]
    union_stacks: dict[str, UnionStack]
    parser: Parser
    value_sets: dict[str, ValueSet]
    deparser: tuple[str, ...]
    deparser_calls: tuple[Primitive, ...]
    actions: dict[int, Action]
    ingress: Pipeline
    egress: Pipeline
    profiles: dict[str, ActionProfile]
    calculations: dict[str, Calculation]
    checksums: tuple[Checksum, ...]
    registers: dict[str, Register]
    counters: dict[str, CounterArray]
    meters: dict[str, Meter]
    field_lists: dict[int, FieldList]
    digests: dict[int, Digest]
    errors: dict[str, int]
    aliases: dict[str, FieldRef]

    def tables(self) -> list[Table]:
        """Every table, ingress first, in the JSON's order."""
        return [
            node
            for pipeline in (self.ingress, self.egress)
            for node in pipeline.nodes.values()
            if isinstance(node, Table)
        ]

    def intrinsic(self, name: str) -> FieldRef | None:
        """The field that the target knows as `name` ("standard_metadata.egress_spec"), through the JSON's aliases."""
        found = self.aliases.get(name)
        if found is not None:
            return found
        header_name, _, field_name = name.partition(".")
        header = self.headers.get(header_name)
        decl = header.type.field(field_name) if header else None
        return FieldRef(header_name, decl) if decl else None
