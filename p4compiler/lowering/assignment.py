"""Assignment and comparison of values of any kind, and copies of them."""

from __future__ import annotations

from collections.abc import Callable

from p4compiler.diagnostics import Kind
from p4compiler.ir import expressions as ex
from p4compiler.ir import fold
from p4compiler.ir import statements as st
from p4compiler.ir.types import BOOLEAN, Bits, Varbit
from p4compiler.lowering import values as v
from p4compiler.lowering.places import PlaceLowering
from p4compiler.source import Span
from p4compiler.types import model


class AssignmentLowering(PlaceLowering):
    def same_type(self, left: ex.Expression, right: ex.Expression) -> tuple[ex.Expression, ex.Expression]:
        """A compile-time `int` takes the type of what it meets."""
        if left.type != right.type:
            if isinstance(right, ex.Constant):
                right = fold.cast(right, left.type, right.span)
            elif isinstance(left, ex.Constant):
                left = fold.cast(left, right.type, left.span)
        return left, right

    def frozen(self, value: v.Value, span: Span) -> v.Value:
        """The value as it is now, whatever is written later."""
        match value:
            case v.Scalar(expression=expression):
                if fold.is_constant(expression) or isinstance(expression, ex.ParameterValue):
                    return value
                place = self.scalar_temporary(expression.type, span)
                self.emitter.emit(st.Assign(span, place, expression))
                return v.Scalar(place)
            case v.Structure(type=type_, fields=fields):
                return v.Structure(type_, {name: self.frozen(field, span) for name, field in fields.items()})
            case v.HeaderLiteral(type=header_type, fields=literal) if literal is not None:
                return v.HeaderLiteral(header_type, {name: self.frozen(field, span) for name, field in literal.items()})
            case v.StackLiteral(type=stack_type, elements=elements):
                return v.StackLiteral(stack_type, [self.frozen(element, span) for element in elements])
            case v.HeaderPlace(type=header_type):
                return self._copy(value, header_type, span)
            case v.UnionPlace(type=union_type) | v.UnionElement(type=union_type):
                return self._copy(value, union_type, span)
            case v.StackPlace(type=stack_type):
                return self._copy(value, stack_type, span)
            case v.ArrayElement():
                return self.frozen(self.selected(value, span), span)
        return value

    # -- arrays

    def selected(self, value: v.Value, span: Span) -> v.Value:
        """What an element of an array by a computed index holds; any other value as it is."""
        if not isinstance(value, v.ArrayElement):
            return value
        index = value.index
        if not isinstance(index, ex.VariableValue | ex.FieldValue | ex.ParameterValue):
            index = self.as_scalar(self.frozen(v.Scalar(index), span), span)
        elements = [self.selected(element, span) for element in value.elements]
        inside = index_within(index, len(elements), span)
        return self._either(inside, self._choice(index, 0, elements, span), elements[0], span)

    def _choice(self, index: ex.Expression, first: int, elements: list[v.Value], span: Span) -> v.Value:
        """The element at the index, `elements` being those from `first` on: by halves, so that nothing nests deep."""
        if len(elements) == 1:
            return elements[0]
        half = len(elements) // 2
        below = index_below(index, first + half, span)
        then = self._choice(index, first, elements[:half], span)
        return self._either(below, then, self._choice(index, first + half, elements[half:], span), span)

    def _either(self, condition: ex.Expression, then: v.Value, otherwise: v.Value, span: Span) -> v.Value:
        """One of two values without headers, part by part."""
        if isinstance(then, v.Structure) and isinstance(otherwise, v.Structure):
            parts = zip(then.fields.items(), otherwise.fields.values(), strict=True)
            return v.Structure(then.type, {n: self._either(condition, one, two, span) for (n, one), two in parts})
        one, two = self.as_scalar(then, span), self.as_scalar(otherwise, span)
        if isinstance(one.type, Varbit):
            raise self.session.refused("an array with varbit in it needs constant indices on this target", span)
        return v.Scalar(fold.conditional(condition, one, two, span))

    def _assign_element(self, target: v.ArrayElement, write: Callable[[v.Value], None], span: Span) -> None:
        """Let `write` emit what writes the element at the index; beyond the last, nothing is written."""
        index = target.index

        def among(first: int, elements: list[v.Value]) -> None:
            if len(elements) == 1:
                write(elements[0])
                return
            half = len(elements) // 2
            self.emitter.branch(
                index_below(index, first + half, span),
                lambda: among(first, elements[:half]),
                lambda: among(first + half, elements[half:]),
                span,
            )

        inside = index_within(index, len(target.elements), span)
        self.emitter.branch(inside, lambda: among(0, target.elements), lambda: None, span)

    def _copy(self, value: v.Value, type_: model.Type, span: Span) -> v.Value:
        place = self.temporary(type_, span)
        self.assign(place, value, span)
        return place

    def equal(self, left: v.Value, right: v.Value, span: Span) -> ex.Expression:
        """`left == right` of any two values of one type."""
        if isinstance(left, v.Scalar) and isinstance(right, v.Scalar):
            a, b = self.same_type(left.expression, right.expression)
            return fold.binary(ex.BinaryOperator.EQ, a, b, span)
        if isinstance(left, v.HeaderPlace | v.HeaderLiteral) and isinstance(right, v.HeaderPlace | v.HeaderLiteral):
            return self._equal_headers(left, right, span)
        parts_left, parts_right = self._parts(left, right, span), self._parts(right, left, span)
        if parts_left is None or parts_right is None or len(parts_left) != len(parts_right):
            raise self.session.refused("these values cannot be compared on this target", span)
        pairs = zip(parts_left, parts_right, strict=True)
        return fold.conjunction([self.equal(a, b, span) for a, b in pairs], span)

    def _parts(self, value: v.Value, other: v.Value, span: Span) -> list[v.Value] | None:
        match value:
            case v.Structure(fields=fields):
                return list(fields.values())
            case v.StackPlace(stack=stack):
                return [self.element(value, index, span) for index in range(len(stack.elements))]
            case v.StackLiteral(elements=elements):
                return elements
            case v.UnionPlace(type=type_) | v.UnionElement(type=type_):
                return [self.member(value, name, span) for name, _ in self.types.members(type_)]
            case v.InvalidUnion(type=type_):
                headers = (member for _, member in self.types.members(type_))
                return [self._invalid(header) for header in headers]
            case v.DefaultValue() if isinstance(other, v.Structure):
                return [v.DefaultValue() for _ in other.fields]
        return None

    def _equal_headers(
        self, left: v.HeaderPlace | v.HeaderLiteral, right: v.HeaderPlace | v.HeaderLiteral, span: Span
    ) -> ex.Expression:
        """Both invalid, or both valid with equal fields."""
        valid_left, valid_right = self.validity(left, span), self.validity(right, span)
        fields = [
            self.equal(self.member(left, name, span), self.member(right, name, span), span)
            for name, _ in self.types.members(left.type)
        ]
        negate = ex.UnaryOperator.NOT
        both_invalid = fold.conjunction(
            [fold.unary(negate, valid_left, span), fold.unary(negate, valid_right, span)], span
        )
        both_equal = fold.conjunction([valid_left, valid_right, *fields], span)
        return fold.binary(ex.BinaryOperator.LOGICAL_OR, both_invalid, both_equal, span)

    def assign(self, target: v.Value, value: v.Value, span: Span) -> None:
        """Emit `target = value` for values of any kind."""
        if _has_parts(value) and _reads(value, target) and not _is_same(value, target):
            # `s = {s.b, s.a}`: all of the right side is read before anything is written.
            value = self.frozen(value, span)
        self._assign(target, value, span)

    def _assign(self, target: v.Value, value: v.Value, span: Span) -> None:
        if isinstance(value, v.DefaultValue):
            value = self.default(self._type_of_place(target), span)
        match target:
            case v.ArrayElement():
                self._assign_element(target, lambda element: self._assign(element, value, span), span)
            case v.SliceTarget():
                self._assign_slice(target, self.as_scalar(value, span), span)
            case v.Scalar():
                place = v.scalar_target(target)
                source = self.as_scalar(value, span)
                if source.type != place.type:
                    source = fold.cast(source, place.type, span)
                assignment = st.Assign(span, place, source)
                if isinstance(place, ex.FieldValue):
                    self.write(place.header, assignment)
                else:
                    self.emitter.emit(assignment)
            case v.Structure(fields=fields):
                self._assign_structure(fields, value, span)
            case v.HeaderPlace():
                self._assign_header(target, value, span)
            case v.UnionPlace() | v.UnionElement():
                self._assign_union(target, value, span)
            case v.StackPlace():
                self._assign_stack(target, value, span)
            case v.NoValue() | v.PacketValue():
                pass
            case _:
                raise self.session.refused("this cannot be assigned", span, Kind.TYPE_ERROR)

    def _type_of_place(self, target: v.Value) -> model.Type:
        match target:
            case v.Structure(type=type_) | v.HeaderPlace(type=type_) | v.UnionPlace(type=type_):
                return type_
            case v.UnionElement(type=type_):
                return type_
            case v.ArrayElement(elements=elements):
                return self._type_of_place(elements[0])
            case v.StackPlace(type=stack_type):
                return stack_type
            case v.Scalar(expression=expression):
                if expression.type == BOOLEAN:
                    return model.BOOL
                if isinstance(expression.type, Bits):
                    return model.BitsType(expression.type.width, expression.type.signed)
        return model.VOID

    def _assign_slice(self, target: v.SliceTarget, value: ex.Expression, span: Span) -> None:
        """`x[h:l] = v` as `x = x & ~mask | v << l`; of a slice of a slice, the outer bits of the inner one."""
        base, high, low = target.base, target.high, target.low
        while isinstance(base, v.SliceTarget):
            high, low, base = base.low + high, base.low + low, base.base
        if isinstance(base, v.ArrayElement):
            self._assign_element(
                base, lambda element: self._assign_slice(v.SliceTarget(element, high, low), value, span), span
            )
            return
        place = v.scalar_target(base)
        bits = place.type
        assert isinstance(bits, Bits)
        unsigned = Bits(bits.width)
        width = high - low + 1
        keep = fold.constant(~(((1 << width) - 1) << low), unsigned, span)
        kept = fold.binary(ex.BinaryOperator.AND, fold.cast(place, unsigned, span), keep, span)
        part = fold.cast(fold.cast(value, Bits(width), span), unsigned, span)
        shifted = fold.binary(ex.BinaryOperator.SHL, part, ex.Constant(span, low, Bits(32)), span)
        merged = fold.cast(fold.binary(ex.BinaryOperator.OR, kept, shifted, span), bits, span)
        assignment = st.Assign(span, place, merged)
        if isinstance(place, ex.FieldValue):
            self.write(place.header, assignment)
        else:
            self.emitter.emit(assignment)

    def _assign_structure(self, fields: dict[str, v.Value], value: v.Value, span: Span) -> None:
        if not isinstance(value, v.Structure):
            raise self.session.refused("a structure is needed here", span, Kind.TYPE_ERROR)
        if value.fields.keys() == fields.keys():
            for name, field in fields.items():
                self._assign(field, value.fields[name], span)
        else:
            for field, part in zip(fields.values(), value.fields.values(), strict=True):
                self._assign(field, part, span)

    def _assign_header(self, target: v.HeaderPlace, value: v.Value, span: Span) -> None:
        self.check_readable(target.reference, span)
        match value:
            case v.HeaderPlace(reference=source):
                self.check_readable(source, span)
                if not _same_header(target.reference, source):
                    self.write(target.reference, st.CopyHeader(span, target.reference, source))
            case v.HeaderLiteral(fields=fields):
                self.write(target.reference, st.SetValid(span, target.reference, fields is not None))
                for name, field in (fields or {}).items():
                    self._assign(self.member(target, name, span), field, span)
            case _:
                raise self.session.refused("a header is needed here", span, Kind.TYPE_ERROR)

    def _assign_union(self, target: v.UnionPlace | v.UnionElement, value: v.Value, span: Span) -> None:
        references = _members(target, span)
        match value:
            case v.UnionPlace() | v.UnionElement():
                # BMv2's assign_union copies no field that nothing else computes with: it is not used.
                for to_member, from_member in zip(references, _members(value, span), strict=True):
                    if not _same_header(to_member, from_member):
                        self.write(to_member, st.CopyHeader(span, to_member, from_member))
            case v.InvalidUnion():
                for member in references:
                    self.write(member, st.SetValid(span, member, False))
            case _:
                raise self.session.refused("a header union is needed here", span, Kind.TYPE_ERROR)

    def _assign_stack(self, target: v.StackPlace, value: v.Value, span: Span) -> None:
        match value:
            case v.StackPlace(stack=source):
                if source is not target.stack:
                    self.emitter.emit(st.CopyStack(span, target.stack, source))
            case v.StackLiteral(elements=elements):
                for index, element in enumerate(elements):
                    self._assign(self.element(target, index, span), element, span)
            case _:
                raise self.session.refused("a header stack is needed here", span, Kind.TYPE_ERROR)

    def write(self, header: ex.HeaderReference, statement: st.Statement) -> None:
        """Emit what writes a header, or a field of one, if the header is there."""
        if isinstance(header, ex.StackElement) and header.guard is not None:
            self.emitter.branch(header.guard, lambda: self.emitter.emit(statement), lambda: None, statement.span)
        else:
            self.emitter.emit(statement)

    def invalidate(self, value: v.Value, span: Span) -> None:
        """Make all headers in freshly declared storage invalid."""
        match value:
            case v.Structure(fields=fields):
                for field in fields.values():
                    self.invalidate(field, span)
            case v.HeaderPlace(reference=reference):
                self.emitter.emit(st.SetValid(span, reference, False))
            case v.UnionPlace(union=union):
                for member in union.members:
                    self.emitter.emit(st.SetValid(span, ex.OneHeader(span, member), False))
            case v.StackPlace(stack=stack):
                for index in range(len(stack.elements)):
                    self.invalidate(self.element(value, index, span), span)


def index_within(index: ex.Expression, size: int, span: Span) -> ex.Expression:
    """The index is one of an array's or stack's: not negative, and not beyond the last."""
    type_ = index.type
    assert isinstance(type_, Bits)
    tests: list[ex.Expression] = []
    if type_.signed:
        tests.append(fold.binary(ex.BinaryOperator.GE, index, fold.constant(0, type_, span), span))
    if largest_index(type_) >= size:
        tests.append(fold.binary(ex.BinaryOperator.LE, index, fold.constant(size - 1, type_, span), span))
    return fold.conjunction(tests, span)


def index_below(index: ex.Expression, bound: int, span: Span) -> ex.Expression:
    type_ = index.type
    assert isinstance(type_, Bits)
    if bound > largest_index(type_):
        return ex.BooleanConstant(span, True)
    return fold.binary(ex.BinaryOperator.LT, index, fold.constant(bound, type_, span), span)


def largest_index(type_: Bits) -> int:
    return (1 << type_.width - type_.signed) - 1


def _has_parts(value: v.Value) -> bool:
    """The value is assigned part by part, and its parts may lie anywhere."""
    if isinstance(value, v.Structure):
        return not value.is_stored
    return not isinstance(value, v.Scalar) and not v.is_place(value)


def _is_same(value: v.Value, target: v.Value) -> bool:
    """The two are variables and fields of named headers, one by one the same."""
    if not isinstance(value, v.Structure) or not isinstance(target, v.Structure):
        return False
    for one, other in zip(v.leaves(value), v.leaves(target), strict=False):
        match one, other:
            case ex.VariableValue(variable=left), ex.VariableValue(variable=right) if left is right:
                pass
            case (
                ex.FieldValue(header=ex.OneHeader(header=left_header), index=left_index),
                ex.FieldValue(header=ex.OneHeader(header=right_header), index=right_index),
            ) if left_header is right_header and left_index == right_index:
                pass
            case _:
                return False
    return True


def _reads(value: v.Value, target: v.Value) -> bool:
    return v.footprint_of(value).overlaps(v.footprint_of(target))


def _same_header(left: ex.HeaderReference, right: ex.HeaderReference) -> bool:
    return isinstance(left, ex.OneHeader) and isinstance(right, ex.OneHeader) and left.header is right.header


def _members(union: v.UnionPlace | v.UnionElement, span: Span) -> list[ex.HeaderReference]:
    if isinstance(union, v.UnionElement):
        return [member.reference for member in union.members]
    return [ex.OneHeader(span, member) for member in union.union.members]
