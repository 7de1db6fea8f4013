"""Expressions: syntax tree to values, in P4's order of evaluation.

Operands are evaluated from left to right. Expressions of the IR are free of effects and read their variables where they
stand, so a value is copied to a variable first whenever something that is evaluated after it may write.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from p4compiler.diagnostics import Kind
from p4compiler.ir import expressions as ex
from p4compiler.ir import fold
from p4compiler.ir import statements as st
from p4compiler.ir.storage import Header, HeaderUnion
from p4compiler.ir.types import BOOLEAN, TEXT, Bits, Type
from p4compiler.lowering import values as v
from p4compiler.lowering.effects import has_effects
from p4compiler.lowering.emitter import Emitter
from p4compiler.lowering.scope import Scope
from p4compiler.lowering.session import Session
from p4compiler.source import Span
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import CallKind
from p4compiler.types.checked import Value as ConstantValue

_BINARY = {
    operator: ex.BinaryOperator(operator.value)
    for operator in ast.BinaryOperator
    if operator.value in {member.value for member in ex.BinaryOperator}
}
_SHIFTS = frozenset({ex.BinaryOperator.SHL, ex.BinaryOperator.SHR})


class ExpressionLowering:
    """Lowers expressions in a scope, emitting what they do on the way. Calls are for the subclasses."""

    def __init__(self, session: Session, scope: Scope, emitter: Emitter) -> None:
        self.session = session
        self.checked = session.checked
        self.types = session.types
        self.storage = session.storage
        self.scope = scope
        self.emitter = emitter

    # -- for subclasses

    def call(self, expression: ast.Call) -> v.Value:
        raise NotImplementedError

    def apply_for_result(self, call: ast.Call, member: str, span: Span) -> v.Value:
        raise NotImplementedError

    def global_value(self, declaration: ast.Node) -> v.Value | None:
        raise NotImplementedError

    # -- helpers

    @contextmanager
    def within(self, scope: Scope) -> Iterator[None]:
        outer, self.scope = self.scope, scope
        try:
            yield
        finally:
            self.scope = outer

    def type_of(self, expression: ast.Expression) -> model.Type:
        return model.substitute(self.checked.type_of[expression], self.scope.types)

    def resolved(self, node: ast.Node) -> model.Type:
        return model.substitute(self.checked.resolved_type_of[node], self.scope.types)

    def has_effects(self, expression: ast.Expression) -> bool:
        return has_effects(expression, self.checked, self.session.effects)

    def temporary(self, type_: model.Type, span: Span, name: str = "tmp") -> v.Value:
        """New storage, named after where it is used."""
        return self.storage.make(type_, f"{self.scope.name}.{name}", span)

    def scalar_temporary(self, type_: Type, span: Span, name: str = "tmp") -> ex.VariableValue:
        return self.storage.variable(f"{self.scope.name}.{name}", type_, span)

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
            case v.UnionPlace(type=union_type):
                return self._copy(value, union_type, span)
            case v.StackPlace(type=stack_type):
                return self._copy(value, stack_type, span)
        return value

    def _copy(self, value: v.Value, type_: model.Type, span: Span) -> v.Value:
        place = self.temporary(type_, span)
        self.assign(place, value, span)
        return place

    # -- entries

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

    def as_scalar(self, value: v.Value, span: Span) -> ex.Expression:
        if isinstance(value, v.Scalar):
            return value.expression
        raise self.session.refused("only a simple value can stand here on this target", span)

    def place(self, expression: ast.Expression, freeze: bool = False) -> v.Value:
        """What an expression on the left of an assignment stands for. `freeze`: keep the index of a stack as it is now."""
        if isinstance(expression, ast.Slice):
            base = self.place(expression.base, freeze)
            bounds = self._slice_bounds(expression)
            if bounds is None:
                raise self.session.refused("the bounds of a slice on the left must be constant", expression.span)
            return v.SliceTarget(base, *bounds)
        value = self.value(expression)
        return self._freeze_index(value, expression.span) if freeze else value

    def _freeze_index(self, value: v.Value, span: Span) -> v.Value:
        match value:
            case v.HeaderPlace(type=type_, reference=ex.StackElement() as element):
                return v.HeaderPlace(type_, self._frozen_element(element, span))
            case v.Scalar(expression=ex.FieldValue(header=ex.StackElement() as element, index=index)):
                return v.Scalar(ex.FieldValue(span, self._frozen_element(element, span), index))
        return value

    def _frozen_element(self, element: ex.StackElement, span: Span) -> ex.StackElement:
        index = self.as_scalar(self.frozen(v.Scalar(element.index), span), span)
        guard = None if element.guard is None else self.as_scalar(self.frozen(v.Scalar(element.guard), span), span)
        return ex.StackElement(element.span, element.stack, index, guard)

    def _bounded(self, element: ex.StackElement) -> ex.StackElement:
        """An index beyond the stack reads its first element, and its guard keeps it from being written."""
        size, index, span = len(element.stack.elements), element.index, element.span
        type_ = index.type
        assert isinstance(type_, Bits)
        if not type_.signed and 1 << type_.width <= size:
            return element
        highest = fold.constant(size - 1, type_, span)
        inside = fold.binary(ex.BinaryOperator.LE, index, highest, span)
        if type_.signed:
            positive = fold.binary(ex.BinaryOperator.GE, index, fold.constant(0, type_, span), span)
            inside = fold.conjunction([positive, inside], span)
        bounded = fold.conditional(inside, index, fold.constant(0, type_, span), span)
        return ex.StackElement(span, element.stack, bounded, inside)

    def write(self, header: ex.HeaderReference, statement: st.Statement) -> None:
        """Emit what writes a header, or a field of one, if the header is there."""
        if isinstance(header, ex.StackElement) and header.guard is not None:
            self.emitter.branch(header.guard, lambda: self.emitter.emit(statement), lambda: None, statement.span)
        else:
            self.emitter.emit(statement)

    def value(self, expression: ast.Expression) -> v.Value:
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

    # -- constants

    def constant(self, value: ConstantValue, type_: model.Type, span: Span) -> v.Value:
        """A compile-time value of the checker's."""
        resolved = self.types.resolve(type_)
        match resolved:
            case model.ErrorType() if isinstance(value, str):
                return v.Scalar(ex.Constant(span, self.checked.errors.index(value), Bits(32)))
            case model.EnumType() if isinstance(value, str):
                scalar = self.types.scalar(resolved)
                assert scalar is not None
                return v.Scalar(fold.constant(self.types.enum_value(resolved, value), scalar, span))
            case model.StackType(element=element) if isinstance(value, tuple):
                return v.StackLiteral(resolved, [self.constant(item, element, span) for item in value])
            case model.ListType(element=element) if isinstance(value, tuple):
                items = {str(i): self.constant(item, element, span) for i, item in enumerate(value)}
                return v.Structure(resolved, items)
        if isinstance(value, str):
            return v.Scalar(ex.TextConstant(span, value))
        if isinstance(value, dict | tuple):
            members = self.types.members(resolved)
            given = value if isinstance(value, dict) else dict(zip((name for name, _ in members), value, strict=True))
            fields = {
                name: self.constant(given[name], member, span) if name in given else v.DefaultValue()
                for name, member in members
            }
            if isinstance(resolved, model.HeaderType):
                return v.HeaderLiteral(resolved, fields)
            return v.Structure(resolved, fields)
        scalar = self.types.scalar(resolved)
        if scalar is None:
            raise self.session.refused(f"a constant of type {type_} cannot stand here", span, Kind.UNSUPPORTED)
        if isinstance(resolved, model.InfIntType):
            scalar = Bits(max(64, value.bit_length() + 1), signed=True)
        return v.Scalar(fold.constant(value, scalar, span))

    def default(self, type_: model.Type, span: Span) -> v.Value:
        """What `...` initialises with: zero, false, the first member, an invalid header."""
        resolved = self.types.resolve(type_)
        match resolved:
            case model.HeaderType():
                return v.HeaderLiteral(resolved, None)
            case model.HeaderUnionType():
                return v.InvalidUnion(resolved)
            case model.StackType(element=element, size=size):
                return v.StackLiteral(resolved, [self.default(element, span) for _ in range(size)])
            case model.EnumType(underlying=underlying) if underlying is not None:
                return self.default(underlying, span)
        scalar = self.types.scalar(resolved)
        if scalar is not None:
            return v.Scalar(ex.TextConstant(span, "") if scalar == TEXT else fold.constant(0, scalar, span))
        members = self.types.members(resolved)
        return v.Structure(resolved, {name: self.default(member, span) for name, member in members})

    def _invalid(self, type_: model.Type) -> v.Value:
        if isinstance(type_, model.HeaderUnionType):
            return v.InvalidUnion(type_)
        assert isinstance(type_, model.HeaderType)
        return v.HeaderLiteral(type_, None)

    # -- names and members

    def _path(self, expression: ast.PathExpression) -> v.Value:
        declaration = self.checked.declaration_of[expression]
        value = self.scope.lookup(declaration) or self.global_value(declaration)
        if value is None:
            raise self.session.refused(f"'{expression.name}' has no value here", expression.span, Kind.UNSUPPORTED)
        return value

    def _member(self, expression: ast.Member) -> v.Value:
        base, name = expression.base, expression.member.text
        if isinstance(base, ast.Call) and self.checked.call_of[base].kind is CallKind.TABLE_APPLY:
            return self.apply_for_result(base, name, expression.span)
        return self.member(self.value(base), name, expression.span)

    def member(self, value: v.Value, name: str, span: Span) -> v.Value:
        """A field of a value, or `next`, `last`, `lastIndex`, `size` of a stack."""
        match value:
            case v.Structure(fields=fields):
                return fields[name]
            case v.HeaderPlace():
                return self._header_field(value, name, span)
            case v.HeaderLiteral(type=type_, fields=literal):
                if literal is not None:
                    return literal[name]
                return self.default(dict(self.types.members(type_))[name], span)
            case v.UnionPlace(type=union_type, union=union):
                index = self._union_member(union_type, name)
                member_type = self.types.members(union_type)[index][1]
                assert isinstance(member_type, model.HeaderType)
                return v.HeaderPlace(member_type, ex.OneHeader(span, union.members[index]))
            case v.UnionCursor(type=union_type, stack=stack, is_next=is_next):
                index = self._union_member(union_type, name)
                member_type = self.types.members(union_type)[index][1]
                assert isinstance(member_type, model.HeaderType)
                kind = ex.NextElement if is_next else ex.LastElement
                return v.HeaderPlace(member_type, kind(span, stack, index))
            case v.StackPlace():
                return self._stack_member(value, name, span)
        raise self.session.refused(f"no member '{name}' here", span, Kind.UNSUPPORTED)

    def _union_member(self, type_: model.HeaderUnionType, name: str) -> int:
        return next(index for index, (member, _) in enumerate(self.types.members(type_)) if member == name)

    def _header_field(self, value: v.HeaderPlace, name: str, span: Span) -> v.Value:
        self.check_readable(value.reference, span)
        index, type_ = self.types.field_offset(value.type, name)
        return self._field_at(value.reference, index, type_, span)

    def _field_at(self, header: ex.HeaderReference, index: int, type_: model.Type, span: Span) -> v.Value:
        resolved = self.types.resolve(type_)
        if isinstance(resolved, model.StructType | model.TupleType):
            fields: dict[str, v.Value] = {}
            for name, member in self.types.members(resolved):
                fields[name] = self._field_at(header, index, member, span)
                index += self.types.scalar_count(member)
            return v.Structure(resolved, fields)
        return v.Scalar(ex.FieldValue(span, header, index))

    def _stack_member(self, value: v.StackPlace, name: str, span: Span) -> v.Value:
        stack, element = value.stack, value.type.element
        match name:
            case "size":
                return v.Scalar(ex.Constant(span, value.type.size, Bits(32)))
            case "lastIndex":
                return v.Scalar(ex.LastIndex(span, stack))
            case "next" | "last":
                if isinstance(element, model.HeaderUnionType):
                    return v.UnionCursor(element, stack, name == "next")
                assert isinstance(element, model.HeaderType)
                kind = ex.NextElement if name == "next" else ex.LastElement
                return v.HeaderPlace(element, kind(span, stack))
        raise self.session.refused(f"a stack has no member '{name}'", span, Kind.NOT_FOUND)

    def _index(self, expression: ast.Index) -> v.Value:
        # The base is where the element lies, not what it holds: it is not read before the index is known.
        base = self.value(expression.base)
        index = self.scalar(expression.index)
        if isinstance(base, v.Structure):
            assert isinstance(index, ex.Constant)
            return list(base.fields.values())[index.value]
        if isinstance(base, v.StackLiteral) and isinstance(index, ex.Constant):
            return base.elements[index.value]
        if not isinstance(base, v.StackPlace):
            raise self.session.refused("only stacks and tuples have elements", expression.span, Kind.UNSUPPORTED)
        if isinstance(index, ex.Constant):
            return self.element(base, index.value, expression.span)
        if base.stack.is_of_unions:
            raise self.session.refused("a stack of unions needs a constant index on this target", expression.span)
        element = base.type.element
        assert isinstance(element, model.HeaderType)
        return v.HeaderPlace(element, self._bounded(ex.StackElement(expression.span, base.stack, index)))

    def element(self, value: v.StackPlace, index: int, span: Span) -> v.Value:
        """The element of a stack at a constant index."""
        if not 0 <= index < len(value.stack.elements):
            raise self.session.refused(
                f"index {index} is outside of the stack's {len(value.stack.elements)} elements", span, Kind.OVERLIMIT
            )
        element = value.stack.elements[index]
        element_type = value.type.element
        if isinstance(element, HeaderUnion):
            assert isinstance(element_type, model.HeaderUnionType)
            return v.UnionPlace(element_type, element)
        assert isinstance(element, Header) and isinstance(element_type, model.HeaderType)
        return v.HeaderPlace(element_type, ex.OneHeader(span, element))

    # -- operators

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

    def same_type(self, left: ex.Expression, right: ex.Expression) -> tuple[ex.Expression, ex.Expression]:
        """A compile-time `int` takes the type of what it meets."""
        if left.type != right.type:
            if isinstance(right, ex.Constant):
                right = fold.cast(right, left.type, right.span)
            elif isinstance(left, ex.Constant):
                left = fold.cast(left, right.type, left.span)
        return left, right

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

    # -- structures

    def _list(self, elements: Sequence[ast.Expression], type_: model.Type, span: Span) -> v.Value:
        rest = bool(elements) and isinstance(elements[-1], ast.DefaultLiteral)
        given = self.values(elements[:-1] if rest else elements)
        resolved = self.types.resolve(type_)
        match resolved:
            case model.StackType(element=element, size=size):
                converted = [self.convert(value, element, span) for value in given]
                converted += [self.default(element, span) for _ in range(size - len(given))]
                return v.StackLiteral(resolved, converted)
            case model.ListType(element=element):
                return v.Structure(
                    resolved, {str(i): self.convert(value, element, span) for i, value in enumerate(given)}
                )
            case model.StructLikeType() | model.TupleType():
                return self._build(resolved, given, span)
        return v.Structure(resolved, {str(index): value for index, value in enumerate(given)})

    def _build(self, type_: model.Type, given: list[v.Value], span: Span) -> v.Value:
        """A struct, header or tuple of its members' values in order; those that are missing get their default."""
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
        if isinstance(target, model.StackType):
            return v.StackLiteral(target, [self.convert(item, target.element, span) for item in fields.values()])
        if isinstance(target, model.ListType):
            return v.Structure(target, fields)
        if not isinstance(target, model.StructLikeType | model.TupleType):
            return v.Structure(source, fields)
        if isinstance(source, model.AnonymousStructType):
            in_order = [fields.get(name, v.DefaultValue()) for name, _ in self.types.members(target)]
        else:
            in_order = list(fields.values())
        return self._build(target, in_order, span)

    # -- comparison

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
            case v.UnionPlace(type=type_):
                return [self.member(value, name, span) for name, _ in self.types.members(type_)]
            case v.InvalidUnion(type=type_):
                headers = (member for _, member in self.types.members(type_))
                return [self._invalid(header) for header in headers]
            case v.DefaultValue() if isinstance(other, v.Structure):
                return [v.DefaultValue() for _ in other.fields]
        return None

    def check_readable(self, header: ex.HeaderReference, span: Span) -> None:
        """The next element of a stack is not there before it is extracted."""
        if isinstance(header, ex.NextElement):
            raise self.session.refused("the next element of a stack can only be extracted", span)

    def validity(self, value: v.HeaderPlace | v.HeaderLiteral, span: Span) -> ex.Expression:
        if isinstance(value, v.HeaderLiteral):
            return ex.BooleanConstant(span, value.fields is not None)
        self.check_readable(value.reference, span)
        return ex.Valid(span, value.reference)

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

    # -- assignment

    def assign(self, target: v.Value, value: v.Value, span: Span) -> None:
        """Emit `target = value` for values of any kind."""
        if not isinstance(value, v.Scalar) and not v.is_place(value) and _reads(value, target):
            # `h = {h.b, h.a}`: all of the right side is read before anything is written.
            value = self.frozen(value, span)
        self._assign(target, value, span)

    def _assign(self, target: v.Value, value: v.Value, span: Span) -> None:
        if isinstance(value, v.DefaultValue):
            value = self.default(self._type_of_place(target), span)
        match target:
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
            case v.UnionPlace():
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

    def _assign_union(self, target: v.UnionPlace, value: v.Value, span: Span) -> None:
        match value:
            case v.UnionPlace(union=source):
                if source is not target.union:
                    self.emitter.emit(st.CopyUnion(span, target.union, source))
            case v.InvalidUnion():
                for member in target.union.members:
                    self.emitter.emit(st.SetValid(span, ex.OneHeader(span, member), False))
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


def _reads(value: v.Value, target: v.Value) -> bool:
    return v.Footprint(value).overlaps(v.Footprint(target))


def _same_header(left: ex.HeaderReference, right: ex.HeaderReference) -> bool:
    return isinstance(left, ex.OneHeader) and isinstance(right, ex.OneHeader) and left.header is right.header
