"""Expressions: syntax tree to values, in P4's order of evaluation.

Operands are evaluated from left to right. Expressions of the IR are free of effects and read their variables where they
stand, so a value is copied to a variable first whenever something that is evaluated after it may write.
"""

from __future__ import annotations

from collections.abc import Sequence

from p4compiler.diagnostics import Kind
from p4compiler.ir import expressions as ex
from p4compiler.ir import fold
from p4compiler.ir import statements as st
from p4compiler.ir.types import BOOLEAN, Bits
from p4compiler.lowering import values as v
from p4compiler.lowering.assignment import AssignmentLowering, index_within
from p4compiler.lowering.errors import Abandoned
from p4compiler.source import Span
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import CallKind

_BINARY = {
    operator: ex.BinaryOperator(operator.value)
    for operator in ast.BinaryOperator
    if operator.value in {member.value for member in ex.BinaryOperator}
}
_SHIFTS = frozenset({ex.BinaryOperator.SHL, ex.BinaryOperator.SHR})


class ExpressionLowering(AssignmentLowering):
    """Lowers expressions in a scope, emitting what they do on the way. Calls are for the subclasses."""

    def call(self, expression: ast.Call) -> v.Value:
        raise NotImplementedError

    def apply_for_result(self, call: ast.Call, member: str, span: Span) -> v.Value:
        raise NotImplementedError

    def global_value(self, declaration: ast.Node) -> v.Value | None:
        raise NotImplementedError

    def values(self, expressions: Sequence[ast.Expression]) -> list[v.Value]:
        """Several expressions in order, each unharmed by those after it."""
        result = []
        for index, expression in enumerate(expressions):
            value = self.value(expression)
            if any(self.has_effects(later) for later in expressions[index + 1 :]):
                value = self.frozen(value, expression.span)
            result.append(value)
        return result

    def scalar(self, expression: ast.Expression) -> ex.Expression:
        return self.as_scalar(self.value(expression), expression.span)

    def place(self, expression: ast.Expression, freeze: bool = False) -> v.Value:
        """What an expression on the left of an assignment stands for. `freeze`: keep the index of a stack as it is now."""
        if isinstance(expression, ast.Slice):
            base = self.place(expression.base, freeze)
            bounds = self._slice_bounds(expression)
            if bounds is None:
                raise self.session.refused("the bounds of a slice on the left must be constant", expression.span)
            return v.SliceTarget(base, *bounds)
        value = self._located(expression)
        return self._freeze_index(value, expression.span) if freeze else value

    def _freeze_index(self, value: v.Value, span: Span) -> v.Value:
        match value:
            case v.ArrayElement(index=index, elements=elements):
                frozen = self.as_scalar(self.frozen(v.Scalar(index), span), span)
                return v.ArrayElement(frozen, [self._freeze_index(element, span) for element in elements])
            case v.HeaderPlace(type=type_, reference=ex.StackElement() as element):
                return v.HeaderPlace(type_, self._frozen_element(element, span))
            case v.Scalar(expression=ex.FieldValue(header=ex.StackElement() as element, index=index)):
                return v.Scalar(ex.FieldValue(span, self._frozen_element(element, span), index))
            case v.UnionElement(type=union_type, members=members):
                reference = members[0].reference
                assert isinstance(reference, ex.StackElement)
                frozen_element = self._frozen_element(reference, span)
                return v.UnionElement(union_type, [_at(member, frozen_element) for member in members])
        return value

    def _frozen_element(self, element: ex.StackElement, span: Span) -> ex.StackElement:
        index = self.as_scalar(self.frozen(v.Scalar(element.index), span), span)
        guard = None if element.guard is None else self.as_scalar(self.frozen(v.Scalar(element.guard), span), span)
        return ex.StackElement(element.span, element.stack, index, guard)

    def _bounded(self, element: ex.StackElement) -> ex.StackElement:
        """An index beyond the stack reads its first element, and its guard keeps it from being written."""
        size, index, span = len(element.stack.elements), element.index, element.span
        inside = index_within(index, size, span)
        if isinstance(inside, ex.BooleanConstant):
            return element
        bounded = fold.conditional(inside, index, fold.constant(0, index.type, span), span)
        return ex.StackElement(span, element.stack, bounded, inside)

    def value(self, expression: ast.Expression) -> v.Value:
        return self.selected(self._located(expression), expression.span)

    def _located(self, expression: ast.Expression) -> v.Value:
        """The value; of an array's element by a computed index, where it lies."""
        known = self.checked.constant_of.get(expression)
        if known is not None:
            value = self.constant(known, self.type_of(expression), expression.span)
        else:
            value = self._evaluate(expression)
        target = self.checked.cast_of.get(expression)
        if target is not None:
            value = self.convert(value, model.substitute(target, self.scope.types), expression.span)
        return value

    def _evaluate(self, expression: ast.Expression) -> v.Value:
        span = expression.span
        match expression:
            case ast.PathExpression():
                return self._path(expression)
            case ast.Member():
                return self._member(expression)
            case ast.Index():
                return self._index(expression)
            case ast.Slice():
                return self._slice(expression)
            case ast.Unary(operator=operator, operand=operand):
                if operator is ast.UnaryOperator.PLUS:
                    return self.value(operand)
                return v.Scalar(fold.unary(ex.UnaryOperator(operator.value), self.scalar(operand), span))
            case ast.Binary():
                return self._binary(expression)
            case ast.Conditional():
                return self._conditional(expression)
            case ast.Cast(operand=operand):
                return self.convert(self.value(operand), self.type_of(expression), span)
            case ast.ListExpression(elements=elements) | ast.TupleSet(elements=elements):
                return self._list(elements, self.type_of(expression), span)
            case ast.StructExpression():
                return self._struct(expression)
            case ast.Call():
                return self.call(expression)
            case ast.InvalidHeader():
                return self._invalid(self.type_of(expression))
            case ast.DefaultLiteral() | ast.DontCare():
                return v.DefaultValue()
            case ast.IntegerLiteral(value=number):
                return self.constant(number, self.type_of(expression), span)
            case ast.BoolLiteral(value=flag):
                return v.Scalar(ex.BooleanConstant(span, flag))
            case ast.StringLiteral(value=text):
                return v.Scalar(ex.TextConstant(span, text))
        raise self.session.refused("this expression cannot stand here", span, Kind.UNSUPPORTED)

    def _path(self, expression: ast.PathExpression) -> v.Value:
        declaration = self.checked.declaration_of[expression]
        value = self.scope.lookup(declaration) or self.global_value(declaration)
        if value is None:
            if isinstance(declaration, ast.Variable | ast.Constant) and self.session.diagnostics.has_mistakes:
                raise Abandoned  # the declaration was given up, which has been reported
            raise self.session.refused(f"'{expression.name}' has no value here", expression.span, Kind.UNSUPPORTED)
        return value

    def _member(self, expression: ast.Member) -> v.Value:
        base, name = expression.base, expression.member.text
        if isinstance(base, ast.Call) and self.checked.call_of[base].kind is CallKind.TABLE_APPLY:
            return self.apply_for_result(base, name, expression.span)
        return self.member(self._located(base), name, expression.span)

    def _index(self, expression: ast.Index) -> v.Value:
        # The base is where the element lies, not what it holds: it is not read before the index is known.
        base = self._located(expression.base)
        index = self.scalar(expression.index)
        if isinstance(base, v.Structure | v.ArrayElement):
            return self._array_element(base, index, expression)
        if isinstance(base, v.StackLiteral) and isinstance(index, ex.Constant):
            return base.elements[index.value]
        if not isinstance(base, v.StackPlace):
            raise self.session.refused("only stacks and tuples have elements", expression.span, Kind.UNSUPPORTED)
        if isinstance(index, ex.Constant):
            return self.element(base, index.value, expression.span)
        element = self._bounded(ex.StackElement(expression.span, base.stack, index))
        match base.type.element:
            case model.HeaderUnionType() as union_type:
                return self._union_element(union_type, element)
            case model.HeaderType() as header_type:
                return v.HeaderPlace(header_type, element)
        raise self.session.refused("only headers and unions can be found by an index", expression.span)

    def _array_element(self, base: v.Structure | v.ArrayElement, index: ex.Expression, at: ast.Index) -> v.Value:
        if isinstance(base, v.ArrayElement):
            inner = []
            for element in base.elements:
                assert isinstance(element, v.Structure | v.ArrayElement)
                inner.append(self._array_element(element, index, at))
            return v.ArrayElement(base.index, inner)
        elements = list(base.fields.values())
        if isinstance(index, ex.Constant):
            if not 0 <= index.value < len(elements):
                message = f"index {index.value} is outside of the array's {len(elements)} elements"
                raise self.session.refused(message, at.span, Kind.OVERLIMIT)
            return elements[index.value]
        if not elements:
            raise self.session.refused("an array without elements cannot be indexed", at.span, Kind.OVERLIMIT)
        if self.types.holds_headers(base.type):
            raise self.session.refused("an array with headers in it needs constant indices on this target", at.span)
        self.storage.count_statements(len(elements), at.span)
        return v.ArrayElement(index, elements)

    def _union_element(self, type_: model.HeaderUnionType, element: ex.StackElement) -> v.UnionElement:
        members = []
        for number, (_, member) in enumerate(self.types.members(type_)):
            assert isinstance(member, model.HeaderType)
            stack = self.storage.stack_of_members(element.stack, number)
            reference = ex.StackElement(element.span, stack, element.index, element.guard)
            members.append(v.HeaderPlace(member, reference))
        return v.UnionElement(type_, members)

    def _slice_bounds(self, expression: ast.Slice) -> tuple[int, int] | None:
        """High and low, if they are constant."""
        high, low = self.scalar(expression.high), self.scalar(expression.low)
        if not isinstance(high, ex.Constant) or not isinstance(low, ex.Constant):
            return None
        if expression.plus:
            return low.value + high.value - 1, low.value
        return high.value, low.value

    def _slice(self, expression: ast.Slice) -> v.Value:
        base = self.scalar(expression.base)
        bounds = self._slice_bounds(expression)
        if bounds is not None:
            return v.Scalar(fold.slice_of(base, *bounds, expression.span))
        width = self.scalar(expression.high)
        low = self.scalar(expression.low)
        assert isinstance(width, ex.Constant) and expression.plus
        shifted = fold.binary(ex.BinaryOperator.SHR, base, low, expression.span)
        return v.Scalar(fold.slice_of(shifted, width.value - 1, 0, expression.span))

    def _binary(self, expression: ast.Binary) -> v.Value:
        operator, span = expression.operator, expression.span
        if operator in (ast.BinaryOperator.LOGICAL_AND, ast.BinaryOperator.LOGICAL_OR):
            return self._short_circuit(expression)
        left, right = self.values([expression.left, expression.right])
        if operator in (ast.BinaryOperator.EQ, ast.BinaryOperator.NE):
            equal = self.equal(left, right, span)
            return v.Scalar(
                equal if operator is ast.BinaryOperator.EQ else fold.unary(ex.UnaryOperator.NOT, equal, span)
            )
        return v.Scalar(self.operate(operator, self.as_scalar(left, span), self.as_scalar(right, span), span))

    def operate(
        self, operator: ast.BinaryOperator, left: ex.Expression, right: ex.Expression, span: Span
    ) -> ex.Expression:
        """A binary operation on scalars."""
        if operator is ast.BinaryOperator.CONCAT:
            return fold.concat(left, right, span)
        lowered = _BINARY.get(operator)
        if lowered is None:
            raise self.session.refused(
                f"'{operator.value}' makes a set, which cannot stand here", span, Kind.UNSUPPORTED
            )
        if lowered not in _SHIFTS:
            left, right = self.same_type(left, right)
        return fold.binary(lowered, left, right, span)

    def _short_circuit(self, expression: ast.Binary) -> v.Value:
        span = expression.span
        is_and = expression.operator is ast.BinaryOperator.LOGICAL_AND
        left = self.scalar(expression.left)
        if isinstance(left, ex.BooleanConstant):
            return v.Scalar(left) if left.value is not is_and else self.value(expression.right)
        if not self.has_effects(expression.right):
            return v.Scalar(fold.binary(_BINARY[expression.operator], left, self.scalar(expression.right), span))
        result = self.scalar_temporary(BOOLEAN, span)
        self.emitter.emit(st.Assign(span, result, left))

        def evaluate_right() -> None:
            self.emitter.emit(st.Assign(span, result, self.scalar(expression.right)))

        condition = result if is_and else fold.unary(ex.UnaryOperator.NOT, result, span)
        self.emitter.branch(condition, evaluate_right, lambda: None, span)
        return v.Scalar(result)

    def _conditional(self, expression: ast.Conditional) -> v.Value:
        span = expression.span
        condition = self.scalar(expression.condition)
        if isinstance(condition, ex.BooleanConstant):
            return self.value(expression.then if condition.value else expression.otherwise)
        if not self.has_effects(expression.then) and not self.has_effects(expression.otherwise):
            then, otherwise = self.value(expression.then), self.value(expression.otherwise)
            if isinstance(then, v.Scalar) and isinstance(otherwise, v.Scalar):
                pair = self.same_type(then.expression, otherwise.expression)
                return v.Scalar(fold.conditional(condition, *pair, span))
        result = self.temporary(self.type_of(expression), span)
        self.emitter.branch(
            condition,
            lambda: self.assign(result, self.value(expression.then), span),
            lambda: self.assign(result, self.value(expression.otherwise), span),
            span,
        )
        return result

    def _list(self, elements: Sequence[ast.Expression], type_: model.Type, span: Span) -> v.Value:
        rest = bool(elements) and isinstance(elements[-1], ast.DefaultLiteral)
        given = self.values(elements[:-1] if rest else elements)
        resolved = self.types.resolve(type_)
        match resolved:
            case model.StackType(element=element, size=size) if not self.types.is_array(resolved):
                converted = [self.convert(value, element, span) for value in given]
                converted += [self.default(element, span) for _ in range(size - len(given))]
                return v.StackLiteral(resolved, converted)
            case model.ListType(element=element):
                return v.Structure(
                    resolved, {str(i): self.convert(value, element, span) for i, value in enumerate(given)}
                )
            case model.StructLikeType() | model.TupleType() | model.StackType():
                return self._build(resolved, given, span)
        return v.Structure(resolved, {str(index): value for index, value in enumerate(given)})

    def _build(self, type_: model.Type, given: list[v.Value], span: Span) -> v.Value:
        """A struct, header, tuple or array of its members' values in order; those that are missing get their default."""
        fields: dict[str, v.Value] = {}
        for index, (name, member) in enumerate(self.types.members(type_)):
            value = given[index] if index < len(given) else v.DefaultValue()
            fields[name] = self.convert(value, member, span)
        if isinstance(type_, model.HeaderType):
            return v.HeaderLiteral(type_, fields)
        return v.Structure(type_, fields)

    def _struct(self, expression: ast.StructExpression) -> v.Value:
        type_ = self.types.resolve(self.type_of(expression))
        given = self.values([field.value for field in expression.fields])
        by_name = {field.name.text: value for field, value in zip(expression.fields, given, strict=True)}
        if isinstance(type_, model.AnonymousStructType):
            return v.Structure(type_, by_name)
        in_order = [by_name.get(name, v.DefaultValue()) for name, _ in self.types.members(type_)]
        return self._build(type_, in_order, expression.span)

    def convert(self, value: v.Value, target: model.Type, span: Span) -> v.Value:
        """The value as another type: a cast of scalars, a list or tuple as a struct or header, `...` as its default."""
        resolved = self.types.resolve(target)
        match value:
            case v.DefaultValue():
                return self.default(resolved, span)
            case v.Scalar(expression=expression):
                scalar = self.types.scalar(resolved)
                if scalar is None or isinstance(resolved, model.InfIntType):
                    # A structure of one field can be cast from what is in it; an `int` keeps its own width.
                    return value
                if isinstance(scalar, Bits) and isinstance(expression.type, Bits):
                    return v.Scalar(fold.cast(expression, scalar, span))
                return v.Scalar(fold.cast(expression, scalar, span)) if expression.type != scalar else value
            case v.Structure(type=type_, fields=fields) if type_ != resolved:
                return self._convert_structure(type_, fields, resolved, span)
        return value

    def _convert_structure(
        self, source: model.Type, fields: dict[str, v.Value], target: model.Type, span: Span
    ) -> v.Value:
        if isinstance(target, model.StackType) and not self.types.is_array(target):
            return v.StackLiteral(target, [self.convert(item, target.element, span) for item in fields.values()])
        if isinstance(target, model.ListType):
            return v.Structure(target, fields)
        if not isinstance(target, model.StructLikeType | model.TupleType | model.StackType):
            return v.Structure(source, fields)
        if isinstance(source, model.AnonymousStructType):
            in_order = [fields.get(name, v.DefaultValue()) for name, _ in self.types.members(target)]
        else:
            in_order = list(fields.values())
        return self._build(target, in_order, span)


def _at(member: v.HeaderPlace, element: ex.StackElement) -> v.HeaderPlace:
    """The member of a union, found by the index of another member."""
    reference = member.reference
    assert isinstance(reference, ex.StackElement)
    return v.HeaderPlace(member.type, ex.StackElement(reference.span, reference.stack, element.index, element.guard))
