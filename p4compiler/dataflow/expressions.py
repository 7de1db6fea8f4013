"""Following expressions: which values they read, which headers they take for valid, and what assignments leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from p4compiler.dataflow.reports import Reports
from p4compiler.dataflow.shapes import Place, Shape, Shapes
from p4compiler.dataflow.state import FlowState
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import CheckedProgram

Validity = tuple[int, int]
"""Of a value's headers, as slots of its shape: those that may be valid, those that may be invalid."""
Passed = tuple[int, int, int]
"""What goes into and comes out of a call: a validity, and the headers that are excused."""
MAX_BLOCK_SLOTS = 1 << 15
"""Variables beyond this are not followed."""


class Expressions:
    """Follows expressions in evaluation order.

    Attributes:
        state: what holds where the analysis is.
        slots: the first slot and the shape of each variable and parameter of the block.
    """

    def __init__(self, checked: CheckedProgram, shapes: Shapes, reports: Reports) -> None:
        self.checked = checked
        self.shapes = shapes
        self.reports = reports
        self.state = FlowState()
        self.slots: dict[ast.Declaration, Place] = {}
        self._used_slots = 0
        self._writing = False  # the place that is looked for is written to

    def call(self, call: ast.Call) -> None:
        """Follow a call: its arguments, what is called, its results."""
        raise NotImplementedError

    # -- variables

    def place_of(self, declaration: ast.Declaration) -> Place | None:
        """The slots of a variable or parameter, which are given to it when it is first met."""
        place = self.slots.get(declaration)
        if place is None:
            shape = self.shapes.of(self.checked.resolved_type_of.get(declaration, model.UNKNOWN))
            if shape is None or self._used_slots + shape.size > MAX_BLOCK_SLOTS:
                return None
            place = self.slots[declaration] = Place((self._used_slots,), shape)
            self._used_slots += shape.size
        return place

    def begin(self, declaration: ast.Declaration, is_set: bool) -> Place | None:
        """A variable or parameter comes to life: with a value and its headers valid, or without and all invalid."""
        place = self.place_of(declaration)
        if place is not None:
            values, headers = place.mask(place.shape.values), place.mask(place.shape.headers)
            state = self.state
            state.excused &= ~headers
            if is_set:
                state.unset &= ~values
                state.valid |= headers
                state.invalid &= ~headers
            else:
                state.unset |= values
                state.valid &= ~headers
                state.invalid |= headers
        return place

    # -- reading

    def read(self, expression: ast.Expression) -> None:
        """The expression's value is used."""
        if expression in self.checked.constant_of:
            return
        reader = _READERS.get(expression.__class__)
        if reader is not None:
            reader(self, expression)

    def _read_place(self, expression: ast.Expression) -> None:
        place = self.find(expression)
        if place is None or self.state.dead:
            return
        shape = place.shape
        unset = self.state.unset
        if len(place.bases) == 1:
            missing = (unset >> place.bases[0]) & shape.values
        else:
            missing = 0
            for base in place.bases:
                missing |= (unset >> base) & shape.values
        if missing and not _is_set_enough(shape, missing):
            parts = [name for name, (offset, part) in shape.fields.items() if (missing >> offset) & part.values]
            self.reports.unset(expression, parts, self._root(expression))

    def _root(self, expression: ast.Expression) -> ast.Declaration | None:
        while isinstance(expression, ast.Member | ast.Index | ast.Slice):
            expression = expression.base
        return self.checked.declaration_of.get(expression)

    def find(self, expression: ast.Expression) -> Place | None:
        """Where the value of a name, field or element is kept; None if it is none of these or is not followed.

        Reads what is needed to get there: indices, results of calls. A field's header is looked at: it should be valid.
        """
        match expression:
            case ast.PathExpression():
                declaration = self.checked.declaration_of.get(expression)
                return None if declaration is None else self.slots.get(declaration)
            case ast.Member():
                return self._find_member(expression)
            case ast.Index():
                base = self.find(expression.base)
                index = self.checked.constant_of.get(expression.index)
                if index is None:
                    self.read(expression.index)
                    return None if base is None else base.elements()
                if base is None or not isinstance(index, int):
                    return None
                return base.element(index) or base.part(str(index))
        self.read(expression)
        return None

    def _find_member(self, expression: ast.Member) -> Place | None:
        if isinstance(expression.base, ast.TypeNameExpression):
            return None
        base = self.find(expression.base)
        if base is None:
            return None
        name = expression.member.text
        if base.shape.element is not None:
            if name == "next" and not self._writing and not self.state.dead:
                self.reports.next_element(expression)
            return base.elements() if name in ("next", "last") else None
        if base.shape.is_header:
            self._expect_valid(expression.base, base)
        return base.part(name)

    def _expect_valid(self, header: ast.Expression, place: Place) -> None:
        """A field of the header is used: a warning if it may be invalid. Of several candidates, one that is valid is enough."""
        state = self.state
        if state.dead:
            return
        maybe = False
        for base in place.bases:
            if not (state.invalid & ~state.excused) >> base & 1:
                return
            maybe = maybe or bool(state.valid >> base & 1)
        if place.bases:
            self.reports.invalid_header(header, surely=not maybe)

    def _read_binary(self, expression: ast.Binary) -> None:
        # Chains of operands are as deep to the left as they are long.
        rights: list[ast.Binary] = []
        left: ast.Expression = expression
        while isinstance(left, ast.Binary) and left not in self.checked.constant_of:
            rights.append(left)
            left = left.left
        self.read(left)
        for binary in reversed(rights):
            if binary.operator in _SHORT_CIRCUIT:
                if self.checked.constant_of.get(binary.left) is (binary.operator is ast.BinaryOperator.LOGICAL_OR):
                    continue  # the left side decides
                before = self.state.copy()
                self.read(binary.right)
                excused = self.state.excused
                self.state.join(before)
                self.state.excused |= excused
            else:
                self.read(binary.right)

    def _read_conditional(self, expression: ast.Conditional) -> None:
        known = self.checked.constant_of.get(expression.condition)
        if known is not None:
            self.read(expression.then if known else expression.otherwise)
            return
        self.read(expression.condition)
        before = self.state.copy()
        self.read(expression.then)
        then, self.state = self.state, before
        self.read(expression.otherwise)
        excused = self.state.excused | then.excused
        self.state.join(then)
        self.state.excused = excused

    def _read_slice(self, expression: ast.Slice) -> None:
        self.read(expression.base)
        self.read(expression.high)
        self.read(expression.low)

    def _read_unary(self, expression: ast.Unary) -> None:
        self.read(expression.operand)

    def _read_cast(self, expression: ast.Cast) -> None:
        self.read(expression.operand)

    def _read_list(self, expression: ast.ListExpression | ast.TupleSet) -> None:
        for element in expression.elements:
            self.read(element)

    def _read_struct(self, expression: ast.StructExpression) -> None:
        for item in expression.fields:
            self.read(item.value)

    def _read_call(self, expression: ast.Call) -> None:
        self.call(expression)

    # -- writing

    def validity(self, expression: ast.Expression, shape: Shape) -> Validity:
        """Which headers of the expression's value are valid; the expression was already read."""
        headers = shape.headers
        if not headers:
            return (0, 0)
        match expression:
            case ast.Cast():
                return self.validity(expression.operand, shape)
            case ast.InvalidHeader() | ast.DefaultLiteral():
                return (0, headers)
            case ast.Conditional():
                one, other = self.validity(expression.then, shape), self.validity(expression.otherwise, shape)
                return (one[0] | other[0], one[1] | other[1])
            case ast.StructExpression() if not shape.is_header:
                given = {item.name.text: item.value for item in expression.fields}
                return self._validity_of_parts([(given.get(name), *part) for name, part in shape.fields.items()])
            case ast.ListExpression() if shape.element is not None:
                size = shape.element.size
                parts = [(item, index * size, shape.element) for index, item in enumerate(expression.elements)]
                return self._validity_of_parts(parts)
            case ast.ListExpression() if not shape.is_header:
                values = zip(expression.elements, shape.fields.values(), strict=False)
                return self._validity_of_parts([(value, *part) for value, part in values])
            case ast.PathExpression() | ast.Member() | ast.Index():
                self.reports.quiet += 1
                place = self.find(expression)
                self.reports.quiet -= 1
                if place is not None and place.shape is shape:
                    return self.validity_at(place)
        return (headers, 0)

    def _validity_of_parts(self, parts: Sequence[tuple[ast.Expression | None, int, Shape]]) -> Validity:
        valid = invalid = 0
        for value, offset, shape in parts:
            one, other = (0, shape.headers) if value is None else self.validity(value, shape)
            valid |= one << offset
            invalid |= other << offset
        return (valid, invalid)

    def validity_at(self, place: Place) -> Validity:
        """Of the headers at a place, at this point."""
        state, headers = self.state, place.shape.headers
        valid, surely_invalid, invalid = 0, headers, 0
        for base in place.bases:
            valid |= (state.valid >> base) & headers
            invalid |= (state.invalid >> base) & headers
            surely_invalid &= state.invalid >> base
        # One candidate that is surely valid is enough, as when a field is read.
        return (valid, invalid & surely_invalid)

    def find_target(self, target: ast.Expression) -> Place | None:
        """As `find`, of what is written to."""
        self._writing = True
        place = self.find(target)
        self._writing = False
        return place

    def passed_at(self, place: Place) -> Passed:
        """The headers at a place as a call gets them or gives them back."""
        excused = -1
        for base in place.bases:
            excused &= self.state.excused >> base
        return (*self.validity_at(place), excused & place.shape.headers)

    def write(self, target: ast.Expression, validity: Validity | None) -> None:
        """The target gets a value with headers of that validity; None: all are valid."""
        if isinstance(target, ast.Slice):
            self.read(target)  # the other bits stay
            self.write(target.base, validity)
            return
        place = self.find_target(target)
        if place is None:
            return
        state, shape = self.state, place.shape
        state.unset &= ~place.mask(shape.values)
        if shape.headers:
            self.set_validity(target, place, validity or (shape.headers, 0))

    def set_validity(self, target: ast.Expression, place: Place, validity: Validity) -> None:
        """The headers at the place, which `target` names, become valid or invalid."""
        valid, invalid = validity
        if isinstance(target, ast.Member):
            self._leave_union(target, valid)
        changed = place.shape.headers
        if len(place.bases) != 1:
            # It is not known which one is meant: that another is invalid now is no reason to warn about all.
            changed &= valid & ~invalid
            valid, invalid = changed, 0
        self.set_headers(place, (valid, invalid), changed)

    def set_headers(self, place: Place, validity: Validity, changed: int = -1) -> None:
        """The headers at the place become valid or invalid; of the shape's headers, those in `changed`."""
        state = self.state
        mask = place.mask(place.shape.headers & changed)
        state.valid = (state.valid & ~mask) | place.mask(validity[0])
        state.invalid = (state.invalid & ~mask) | place.mask(validity[1])
        state.excused &= ~mask

    def _leave_union(self, target: ast.Member, valid: int) -> None:
        """Where a header of a union becomes valid or not, the others become invalid, and the union is as the header is."""
        self.reports.quiet += 1
        union = self.find(target.base)
        self.reports.quiet -= 1
        if union is None or not union.shape.is_union or len(union.bases) != 1:
            return
        mask, base = union.mask(union.shape.headers), union.bases[0]
        state = self.state
        state.excused &= ~mask
        state.valid &= ~mask
        state.invalid |= mask
        if valid & 1:
            state.valid |= 1 << base
            state.invalid &= ~(1 << base)

    def excuse(self, expression: ast.Expression) -> None:
        """Somebody asks whether the header is valid."""
        place = self.find(expression)
        if place is not None:
            shape = place.shape
            self.state.excused |= place.mask(shape.headers if shape.is_union else shape.headers & 1)

    def assume(self, condition: ast.Expression) -> None:
        """From here on the condition holds: headers that it asks for are valid."""
        match condition:
            case ast.Binary(operator=ast.BinaryOperator.LOGICAL_AND):
                self.assume(condition.left)
                self.assume(condition.right)
            case ast.Unary(operator=ast.UnaryOperator.NOT):
                self.assume_not(condition.operand)
            case ast.Call(callee=ast.Member() as member) if member.member.text == "isValid":
                self._assume_valid(member.base)

    def assume_not(self, condition: ast.Expression) -> None:
        """From here on the condition does not hold."""
        match condition:
            case ast.Binary(operator=ast.BinaryOperator.LOGICAL_OR):
                self.assume_not(condition.left)
                self.assume_not(condition.right)
            case ast.Unary(operator=ast.UnaryOperator.NOT):
                self.assume(condition.operand)

    def _assume_valid(self, header: ast.Expression) -> None:
        place = self.find(header)
        if place is not None and len(place.bases) == 1 and place.shape.is_header:
            bit = 1 << place.bases[0]
            self.state.valid |= bit
            self.state.invalid &= ~bit


def _is_set_enough(shape: Shape, missing: int) -> bool:
    """A union is as good as set if one of its headers is, and so is an array of unions where that holds for each."""
    if shape.is_union:
        return any(not (missing >> offset) & part.values for offset, part in shape.fields.values())
    if shape.element is not None and shape.element.is_union:
        size = shape.element.size
        return all(_is_set_enough(shape.element, missing >> (index * size)) for index in range(shape.count))
    return False


_SHORT_CIRCUIT = (ast.BinaryOperator.LOGICAL_AND, ast.BinaryOperator.LOGICAL_OR)
_READERS: dict[type[ast.Expression], Callable[[Any, Any], None]] = {
    ast.PathExpression: Expressions._read_place,
    ast.Member: Expressions._read_place,
    ast.Index: Expressions._read_place,
    ast.Slice: Expressions._read_slice,
    ast.Unary: Expressions._read_unary,
    ast.Binary: Expressions._read_binary,
    ast.Conditional: Expressions._read_conditional,
    ast.Cast: Expressions._read_cast,
    ast.ListExpression: Expressions._read_list,
    ast.TupleSet: Expressions._read_list,
    ast.StructExpression: Expressions._read_struct,
    ast.Call: Expressions._read_call,
}
