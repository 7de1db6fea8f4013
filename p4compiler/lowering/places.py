"""Values by name and place: constants, defaults, members of structures, headers, stacks and unions; and the state that all
lowering of bodies works with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from p4compiler.diagnostics import Kind
from p4compiler.ir import expressions as ex
from p4compiler.ir import fold
from p4compiler.ir.storage import Header, HeaderUnion
from p4compiler.ir.types import TEXT, Bits, Type
from p4compiler.lowering import values as v
from p4compiler.lowering.effects import has_effects
from p4compiler.lowering.emitter import Emitter
from p4compiler.lowering.scope import Scope
from p4compiler.lowering.session import Session
from p4compiler.source import Span
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import Value as ConstantValue


class PlaceLowering:
    """A scope, an emitter, and what can be asked of values without evaluating anything."""

    def __init__(self, session: Session, scope: Scope, emitter: Emitter) -> None:
        self.session = session
        self.checked = session.checked
        self.types = session.types
        self.storage = session.storage
        self.scope = scope
        self.emitter = emitter

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

    def as_scalar(self, value: v.Value, span: Span) -> ex.Expression:
        if isinstance(value, v.Scalar):
            return value.expression
        raise self.session.refused("only a simple value can stand here on this target", span)

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
            case model.StackType(element=element) if isinstance(value, tuple) and not self.types.is_array(resolved):
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
            case model.StackType(element=element, size=size) if not self.types.is_array(resolved):
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

    def member(self, value: v.Value, name: str, span: Span) -> v.Value:
        """A field of a value, or `next`, `last`, `lastIndex`, `size` of a stack."""
        match value:
            case v.Structure(fields=fields):
                return fields[name]
            case v.ArrayElement(index=index, elements=elements):
                return v.ArrayElement(index, [self.member(element, name, span) for element in elements])
            case v.HeaderPlace():
                return self._header_field(value, name, span)
            case v.HeaderLiteral(type=type_, fields=literal):
                if literal is not None:
                    return literal[name]
                return self.default(dict(self.types.members(type_))[name], span)
            case v.UnionPlace(type=union_type, union=union):
                number = self._union_member(union_type, name)
                member_type = self.types.members(union_type)[number][1]
                assert isinstance(member_type, model.HeaderType)
                return v.HeaderPlace(member_type, ex.OneHeader(span, union.members[number]))
            case v.UnionElement(type=union_type, members=members):
                return members[self._union_member(union_type, name)]
            case v.UnionCursor(type=union_type, stack=stack, is_next=is_next):
                number = self._union_member(union_type, name)
                member_type = self.types.members(union_type)[number][1]
                assert isinstance(member_type, model.HeaderType)
                kind = ex.NextElement if is_next else ex.LastElement
                return v.HeaderPlace(member_type, kind(span, stack, number))
            case v.StackPlace():
                return self._stack_member(value, name, span)
        raise self.session.refused(f"no member '{name}' here", span, Kind.UNSUPPORTED)

    def _union_member(self, type_: model.HeaderUnionType, name: str) -> int:
        return next(index for index, (member, _) in enumerate(self.types.members(type_)) if member == name)

    def _header_field(self, value: v.HeaderPlace, name: str, span: Span) -> v.Value:
        self.check_readable(value.readable, span)
        index, type_ = self.types.field_offset(value.type, name)
        return self._field_at(value.readable, index, type_, span)

    def _field_at(self, header: ex.HeaderReference, index: int, type_: model.Type, span: Span) -> v.Value:
        resolved = self.types.resolve(type_)
        if isinstance(resolved, model.StructType | model.TupleType) or self.types.is_array(resolved):
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

    def check_readable(self, header: ex.HeaderReference, span: Span) -> None:
        """The next element of a stack is not there before it is extracted."""
        if isinstance(header, ex.NextElement):
            raise self.session.refused("the next element of a stack can only be extracted", span)

    def validity(self, value: v.HeaderPlace | v.HeaderLiteral, span: Span) -> ex.Expression:
        if isinstance(value, v.HeaderLiteral):
            return ex.BooleanConstant(span, value.fields is not None)
        self.check_readable(value.readable, span)
        return ex.Valid(span, value.readable)
