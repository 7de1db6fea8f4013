"""How a variable's value divides into slots, the numbered bits of a `FlowState`.

A value of a base type has one slot. A struct, tuple or array has the slots of its parts, one after the other. A header or header
union has one slot more, its first, which stands for its validity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from p4compiler.types import model

MAX_SLOTS = 1 << 12
"""Of one value. A larger one is not followed: each step costs time in proportion to the slots."""


class Shape:
    """The slots of a type. Slots are numbered from 0; masks have one bit for each.

    Attributes:
        size: the number of slots.
        values: the slots that hold a value, which is missing until it is assigned.
        plain: those of `values` that are not inside of a header.
        headers: the slots that stand for validity.
        fields: of a struct, header, header union or tuple (whose fields are called "0", "1", …): offset and shape by name.
        element, count: of an array.
        is_header, is_union: of that kind itself.
    """

    __slots__ = ("count", "element", "fields", "headers", "is_header", "is_union", "plain", "size", "values")

    def __init__(
        self,
        size: int,
        values: int,
        plain: int,
        headers: int,
        fields: dict[str, tuple[int, Shape]] | None = None,
        element: Shape | None = None,
        count: int = 0,
        is_header: bool = False,
        is_union: bool = False,
    ) -> None:
        self.size, self.values, self.plain, self.headers = size, values, plain, headers
        self.fields, self.element, self.count = fields or {}, element, count
        self.is_header, self.is_union = is_header, is_union


class Place(NamedTuple):
    """Where a value is kept: the first slot, or the first slots of all candidates where an index is not known."""

    bases: tuple[int, ...]
    shape: Shape

    def mask(self, slots: int) -> int:
        """Slots of the shape as slots of the block."""
        mask = 0
        for base in self.bases:
            mask |= slots << base
        return mask

    def part(self, name: str) -> Place | None:
        found = self.shape.fields.get(name)
        if found is None:
            return None
        offset, shape = found
        return Place(tuple([base + offset for base in self.bases]), shape)

    def element(self, index: int) -> Place | None:
        shape = self.shape.element
        if shape is None or not 0 <= index < self.shape.count:
            return None
        return Place(tuple([base + index * shape.size for base in self.bases]), shape)

    def elements(self) -> Place | None:
        """Any element."""
        shape = self.shape.element
        if shape is None:
            return None
        return Place(tuple([base + i * shape.size for base in self.bases for i in range(self.shape.count)]), shape)


_VALUE = Shape(1, 1, 1, 0)
_SCALARS = (
    model.BitsType,
    model.BoolType,
    model.VarbitType,
    model.EnumType,
    model.ErrorType,
    model.NewType,
    model.TypeVariable,
)


class Shapes:
    """The shape of each type, made once."""

    def __init__(self, fields_of: Callable[[model.StructLikeType], tuple[model.FieldType, ...]]) -> None:
        self._fields_of = fields_of
        self._known: dict[model.Type, Shape | None] = {}

    def of(self, type_: model.Type) -> Shape | None:
        """None for what holds no value, such as an extern's instance, and for what is too large to follow."""
        if isinstance(type_, _SCALARS):
            return _VALUE
        if type_ not in self._known:
            self._known[type_] = self._make(type_)
        return self._known[type_]

    def _make(self, type_: model.Type) -> Shape | None:
        match type_:
            case model.StackType(element, count):
                return self._array(self.of(element), count)
            case model.TupleType(elements):
                return self._record([(str(index), element) for index, element in enumerate(elements)], 0)
            case model.StructType():
                return self._record([(field.name, field.type) for field in self._fields_of(type_)], 0)
            case model.HeaderType() | model.HeaderUnionType():
                shape = self._record([(field.name, field.type) for field in self._fields_of(type_)], 1)
                if shape is not None:
                    shape.is_header = isinstance(type_, model.HeaderType)
                    shape.is_union = not shape.is_header
                    shape.plain = 0
                return shape
        return None

    def _record(self, parts: list[tuple[str, model.Type]], first: int) -> Shape | None:
        """A value of several parts after `first` slots of validity."""
        size, values, plain, headers = first, 0, 0, (1 << first) - 1
        fields: dict[str, tuple[int, Shape]] = {}
        for name, type_ in parts:
            shape = self.of(type_)
            if shape is None or size + shape.size > MAX_SLOTS:
                return None
            fields[name] = (size, shape)
            values |= shape.values << size
            plain |= shape.plain << size
            headers |= shape.headers << size
            size += shape.size
        return Shape(size, values, plain, headers, fields)

    def _array(self, element: Shape | None, count: int) -> Shape | None:
        if element is None or element.size * count > MAX_SLOTS:
            return None
        each = 0
        for index in range(count):
            each |= 1 << (index * element.size)
        return Shape(
            element.size * count,
            element.values * each,
            element.plain * each,
            element.headers * each,
            element=element,
            count=count,
        )
