"""How many parts a value of a type has: types that double at every level must be stopped before anybody walks over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from p4compiler.types import model

MAX_PARTS = 100_000
"""Of one type; a program that needs more is refused. (A stack of headers counts each element.)"""

FieldsOf = Callable[[model.StructLikeType], Iterable[model.FieldType]]


class TypeSizes:
    """Counts the parts of types; what was counted before is looked up, so that the time does not depend on the number."""

    def __init__(self, fields_of: FieldsOf) -> None:
        self._fields_of = fields_of
        # By identity: hashing a type is as much work as walking over it. The type is kept, so that its id stays its own.
        self._known: dict[int, tuple[model.Type, int]] = {}

    def parts(self, type_: model.Type) -> int:
        """The number of scalars in a value of that type, and of the structures around them."""
        match type_:
            case model.StructLikeType() | model.TupleType() | model.AnonymousStructType():
                pass
            case model.StackType(element=element, size=size):
                return 1 + size * self.parts(element)
            case model.ListType(element=element):
                return 1 + self.parts(element)
            case model.NewType(underlying=underlying):
                return self.parts(underlying)
            case _:
                return 1
        found = self._known.get(id(type_))
        if found is None:
            found = self._known[id(type_)] = (type_, 1 + sum(map(self.parts, self._members(type_))))
        return found[1]

    def _members(self, type_: model.Type) -> Iterable[model.Type]:
        match type_:
            case model.TupleType(elements=elements):
                return elements
            case model.AnonymousStructType(fields=fields):
                return [field.type for field in fields]
        assert isinstance(type_, model.StructLikeType)
        return [field.type for field in self._fields_of(type_)]
