"""What an expression is while it is lowered: scalars as IR expressions, and everything structured as a tree over them.

A value that is a *place* can be assigned: a scalar whose expression is a variable or field, a header, union or stack, and a
structure of places.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from p4compiler.ir import expressions as ex
from p4compiler.ir import statements as st
from p4compiler.ir.storage import Header, HeaderStack, HeaderUnion, Variable
from p4compiler.types import model

if TYPE_CHECKING:
    from p4compiler.lowering.instances import Instance


@dataclass(slots=True)
class Value:
    pass


@dataclass(slots=True)
class Scalar(Value):
    expression: ex.Expression


@dataclass(slots=True)
class Structure(Value):
    """A struct, tuple or array of anything but headers; the fields of the latter two are named `0`, `1`, …

    `is_stored`: storage made as a whole, all of it variables and headers with a name.
    """

    type: model.Type
    fields: dict[str, Value]
    is_stored: bool = False
    footprint: Footprint | None = field(default=None, compare=False, repr=False)
    """Of what is stored, kept when it was asked for."""


@dataclass(slots=True)
class HeaderPlace(Value):
    """`extracted`: where it is to be found once it has been extracted, if that is another reference."""

    type: model.HeaderType
    reference: ex.HeaderReference
    extracted: ex.HeaderReference | None = None

    @property
    def readable(self) -> ex.HeaderReference:
        return self.extracted or self.reference


@dataclass(slots=True)
class HeaderLiteral(Value):
    """A header made from the values of its fields; `fields` None is an invalid header."""

    type: model.HeaderType
    fields: dict[str, Value] | None


@dataclass(slots=True)
class UnionPlace(Value):
    type: model.HeaderUnionType
    union: HeaderUnion


@dataclass(slots=True)
class UnionElement(Value):
    """A union of a stack by an index that is computed at run time; its members are elements of stacks of their own."""

    type: model.HeaderUnionType
    members: list[HeaderPlace]


@dataclass(slots=True)
class InvalidUnion(Value):
    """`{#}` as a header union."""

    type: model.HeaderUnionType


@dataclass(slots=True)
class StackPlace(Value):
    type: model.StackType
    stack: HeaderStack


@dataclass(slots=True)
class StackLiteral(Value):
    """A stack made from its elements."""

    type: model.StackType
    elements: list[Value]


@dataclass(slots=True)
class UnionCursor(Value):
    """`stack.next` or `stack.last` of a stack of unions, which waits for the member."""

    type: model.HeaderUnionType
    stack: HeaderStack
    is_next: bool


@dataclass(slots=True)
class ArrayElement(Value):
    """The element of an array by an index that is computed at run time, as a place: one of `elements`, which are places.

    No headers are in them. An index beyond the last writes nothing, and reads the first.
    """

    index: ex.Expression
    elements: list[Value]


@dataclass(slots=True)
class SliceTarget(Value):
    """`base[high:low]` as a target."""

    base: Value
    high: int
    low: int


@dataclass(slots=True)
class InstanceValue(Value):
    """An extern, parser, control or table."""

    instance: Instance


@dataclass(slots=True)
class PacketValue(Value):
    """The `packet_in` of a parser or the `packet_out` of a deparser."""


@dataclass(slots=True)
class NoValue(Value):
    """What a call of type void gives."""


@dataclass(slots=True)
class DefaultValue(Value):
    """`...` as an initialiser: zero, false, invalid."""


StorageObject = Variable | Header | HeaderStack | HeaderUnion | tuple[Header, int]
"""The smallest thing that can be written: a variable, a field of a header, a whole header, stack or union."""


def is_place(value: Value) -> bool:
    match value:
        case Scalar(expression=expression):
            return isinstance(expression, ex.VariableValue | ex.FieldValue)
        case Structure(fields=fields, is_stored=is_stored):
            return is_stored or all(is_place(part) for part in fields.values())
        case HeaderPlace() | UnionPlace() | UnionElement() | StackPlace() | SliceTarget() | ArrayElement():
            return True
    return False


def scalar_target(value: Value) -> st.Target:
    """The target of a scalar place.

    Raises:
        TypeError: the value cannot be assigned; the checker lets no such program through.
    """
    if isinstance(value, Scalar) and isinstance(value.expression, ex.VariableValue | ex.FieldValue):
        return value.expression
    raise TypeError(f"{type(value).__name__} cannot be assigned")


def leaves(value: Value) -> Iterator[ex.Expression | ex.HeaderReference | HeaderStack | HeaderUnion]:
    """All scalars and whole headers, stacks and unions of a value, in order."""
    match value:
        case Scalar(expression=expression):
            yield expression
        case Structure(fields=fields):
            for field in fields.values():
                yield from leaves(field)
        case HeaderPlace(reference=reference):
            yield reference
        case HeaderLiteral(fields=literal_fields):
            for field in (literal_fields or {}).values():
                yield from leaves(field)
        case StackLiteral(elements=elements):
            for element in elements:
                yield from leaves(element)
        case ArrayElement(index=index, elements=elements):
            yield index
            for element in elements:
                yield from leaves(element)
        case UnionPlace(union=union):
            yield union
        case UnionElement(members=members):
            for member in members:
                yield member.reference
        case StackPlace(stack=stack):
            yield stack
        case SliceTarget(base=base):
            yield from leaves(base)


def footprint_of(value: Value) -> Footprint:
    """The footprint of a value; that of a stored structure is made once."""
    if not isinstance(value, Structure) or not value.is_stored:
        return Footprint(value)
    if value.footprint is None:
        value.footprint = Footprint(value)
    return value.footprint


class Footprint:
    """The storage that a value reads or is: which variables and which headers (a field counts as its header's)."""

    __slots__ = ("fields", "whole")

    def __init__(self, value: Value) -> None:
        self.whole: set[object] = set()
        self.fields: set[tuple[object, int]] = set()
        for leaf in leaves(value):
            self._add(leaf)

    def _add(self, leaf: ex.Expression | ex.HeaderReference | HeaderStack | HeaderUnion) -> None:
        match leaf:
            case HeaderStack(elements=elements):
                self.whole.add(leaf)
                for element in elements:
                    if isinstance(element, HeaderUnion):
                        self._add(element)
                    else:
                        self.whole.add(element)
            case HeaderUnion(members=members):
                self.whole.add(leaf)
                self.whole.update(members)
            case ex.HeaderReference():
                self._header(leaf)
            case _:
                self._expression(leaf)

    def _header(self, reference: ex.HeaderReference) -> None:
        match reference:
            case ex.OneHeader(header=header):
                self.whole.add(header)
            case ex.StackElement(stack=stack, index=index):
                self._add(stack)
                self._expression(index)
            case ex.NextElement(stack=stack) | ex.LastElement(stack=stack):
                self._add(stack)

    def _expression(self, expression: ex.Expression) -> None:
        from p4compiler.ir.walk import subexpressions_of

        for part in subexpressions_of(expression):
            match part:
                case ex.VariableValue(variable=variable):
                    self.whole.add(variable)
                case ex.FieldValue(header=ex.OneHeader(header=header), index=index):
                    self.fields.add((header, index))
                case ex.FieldValue(header=reference) | ex.Valid(header=reference):
                    self._header(reference)
                case ex.UnionValid(union=union):
                    self._add(union)
                case ex.LastIndex(stack=stack):
                    self._add(stack)

    def overlaps(self, other: Footprint) -> bool:
        if self.whole & other.whole or self.fields & other.fields:
            return True
        return any(header in other.whole for header, _ in self.fields) or any(
            header in self.whole for header, _ in other.fields
        )
