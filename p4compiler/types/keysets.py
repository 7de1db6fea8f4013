"""Sets that select cases and table entries match with (specification, sections 8.15 and 13.6)."""

from __future__ import annotations

from collections.abc import Sequence

from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.statements import Statements

_SETS = (ast.BinaryOperator.MASK, ast.BinaryOperator.RANGE)


class Keysets(Statements):
    def match_keyset(self, keyset: ast.Expression, types: Sequence[model.Type], what: str) -> bool:
        """Check the set (or tuple of sets) against the types of the keys, converting it; True if it fits."""
        if isinstance(keyset, ast.DefaultLiteral | ast.DontCare):
            self.type_of[keyset] = model.DONT_CARE
            return True
        if isinstance(keyset, ast.TupleSet) or (isinstance(keyset, ast.ListExpression) and len(types) > 1):
            elements = keyset.elements
            if len(elements) != len(types):
                for element in elements:
                    self.expression(element)
                self.type_error(f"this set has {len(elements)} elements, but there are {len(types)} {what}(s)", keyset)
                return False
            fine = True
            for element, type_ in zip(elements, types, strict=True):
                fine = self._match_element(element, type_, what) and fine
            self.type_of[keyset] = model.TupleType(tuple(self.type_of[element] for element in elements))
            return fine
        if len(types) == 1:
            return self._match_element(keyset, types[0], what)
        actual = self.expression(keyset)
        if isinstance(actual, model.UnknownType):
            return False
        inner = actual.element if isinstance(actual, model.SetType) else actual
        if isinstance(inner, model.StructType):
            inner = model.TupleType(self._flat(inner))
        if isinstance(inner, model.TupleType) and len(inner.elements) == len(types):
            return self._components_agree(inner.elements, types, keyset, what)
        self.type_error(f"this set is for one value of type '{inner}', but there are {len(types)} {what}s", keyset)
        return False

    def _flat(self, struct: model.StructType) -> tuple[model.Type, ...]:
        """The types of a struct's fields, inner structs opened."""
        result: list[model.Type] = []
        for field in self.fields(struct):
            if isinstance(field.type, model.StructType):
                result.extend(self._flat(field.type))
            else:
                result.append(field.type)
        return tuple(result)

    def _components_agree(
        self, given: Sequence[model.Type], wanted: Sequence[model.Type], at: ast.Node, what: str
    ) -> bool:
        for one, other in zip(given, wanted, strict=True):
            if one != other and self._set_number(one) != self._set_number(other) and not self.has_unknown(other):
                self.type_error(f"this set holds values of type '{one}', but the {what} has type '{other}'", at)
                return False
        return True

    def _set_number(self, type_: model.Type) -> model.Type:
        return type_.underlying if isinstance(type_, model.EnumType) and type_.underlying is not None else type_

    def _match_element(self, element: ast.Expression, type_: model.Type, what: str) -> bool:
        if isinstance(element, ast.DefaultLiteral | ast.DontCare):
            self.type_of[element] = model.DONT_CARE
            return True
        actual = self.expression(element)
        if isinstance(actual, model.UnknownType) or isinstance(type_, model.UnknownType):
            return False
        if isinstance(element, ast.Binary) and element.operator in _SETS:
            return self._match_pair(element, type_, what)
        if isinstance(actual, model.SetType):
            inner = actual.element
            if isinstance(inner, model.StructType) and not isinstance(type_, model.StructType):
                flat = self._flat(inner)
                if len(flat) == 1:
                    inner = flat[0]
            elif isinstance(inner, model.TupleType) and len(inner.elements) == 1:
                inner = inner.elements[0]
            return self._components_agree([inner], [type_], element, what)
        if isinstance(actual, model.StructType) and not isinstance(type_, model.StructType):
            flat = self._flat(actual)
            if len(flat) == 1:
                return self._components_agree(flat, [type_], element, what)
        if (
            isinstance(element, ast.ListExpression)
            and len(element.elements) == 1
            and not isinstance(type_, model.TupleType | model.StructType)
        ):
            return self._match_element(element.elements[0], type_, what)
        number = self._set_number(type_)
        if actual != type_ and number is not type_:
            # A key of a serializable enum's type may also be matched with a plain number.
            if isinstance(actual, model.EnumType):
                self.type_error(f"the {what} has type '{type_}', this has type '{actual}'", element)
                return False
            type_ = number
        return self.coerce(element, type_, what)

    def _match_pair(self, element: ast.Binary, type_: model.Type, what: str) -> bool:
        """A mask or range."""
        number = self.underlying_of(self._set_number(type_))
        if isinstance(type_, model.NewType):
            self_type = self.type_of[element]
            if isinstance(self_type, model.SetType) and self_type.element == type_:
                return True
        if not isinstance(number, model.BitsType):
            word = "mask" if element.operator is ast.BinaryOperator.MASK else "range"
            self.type_error(f"a {word} cannot match a {what} of type '{type_}'", element)
            return False
        for part in (element.left, element.right):
            part_type = self.type_of[part]
            if isinstance(part_type, model.EnumType) and part_type.underlying == number:
                self.checked.cast_of[part] = number
            elif not self.coerce(part, number, what):
                return False
        self.type_of[element] = model.SetType(number)
        return True

    def is_compile_time_set(self, element: ast.Expression) -> bool:
        if isinstance(element, ast.DefaultLiteral | ast.DontCare):
            return True
        if isinstance(element, ast.TupleSet):
            return all(self.is_compile_time_set(inner) for inner in element.elements)
        return self.is_compile_time(element)
