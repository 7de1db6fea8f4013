"""The externs of core.p4 and v1model.p4: what their functions and methods are in the IR."""

from __future__ import annotations

import re
from collections.abc import Callable

from p4compiler.diagnostics import Kind
from p4compiler.ir import expressions as ex
from p4compiler.ir import fold
from p4compiler.ir import objects as ob
from p4compiler.ir import statements as st
from p4compiler.ir.storage import Header
from p4compiler.ir.types import BOOLEAN, Bits, width_of
from p4compiler.lowering import values as v
from p4compiler.lowering.calls import CallLowering
from p4compiler.lowering.emitter import Body, StateEmitter
from p4compiler.lowering.instances import ExternInstance
from p4compiler.source import Span
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import ResolvedCall

_PLACE = re.compile(r"(?<!\\)\{")
"""Where a message takes a value; a backslash makes the brace text."""

_Function = Callable[["ExternLowering", ResolvedCall, ast.Call], None]


_MARKED_TO_DROP = ("egress_spec", "mcast_grp")
"""What mark_to_drop writes of the standard metadata."""


def _is_field(value: v.Value, field: ex.FieldValue) -> bool:
    """Whether a value is the very field of a header."""
    place = value.expression if isinstance(value, v.Scalar) else None
    return (
        isinstance(place, ex.FieldValue)
        and isinstance(place.header, ex.OneHeader)
        and isinstance(field.header, ex.OneHeader)
        and place.header.header is field.header.header
        and place.index == field.index
    )


class ExternLowering(CallLowering):
    """Every method gets the resolved call, whose arguments stand in the order of the parameters."""

    def extern_function(self, call: ResolvedCall, expression: ast.Call) -> v.Value:
        handler = _FUNCTIONS.get(call.method)
        if handler is None:
            return self._unknown(call, None, expression.span)
        handler(self, call, expression)
        return v.NoValue()

    def _unknown(self, call: ResolvedCall, instance: ob.ExternObject | None, span: Span) -> v.Value:
        """A function or method that v1model does not have; the back end says whether the target takes it."""
        if not isinstance(call.return_type, model.VoidType):
            what = call.method if instance is None else f"{instance.type_name}.{call.method}"
            raise self.session.refused(f"the target has no '{what}'", span)
        arguments: list[ex.Expression | ex.HeaderReference] = []
        for index, parameter in enumerate(call.parameters):
            argument = self._arg(call, index)
            writes = parameter.direction in (ast.Direction.OUT, ast.Direction.INOUT)
            value = self.place(argument) if writes else self.value(argument)
            if isinstance(value, v.HeaderPlace):
                arguments.append(value.reference)
            else:
                arguments += self._scalars(value, argument.span)
        self.emitter.emit(st.CallExtern(span, instance, call.method, tuple(arguments)))
        return v.NoValue()

    def extern_method(self, call: ResolvedCall, receiver: v.Value, expression: ast.Call) -> v.Value:
        if isinstance(receiver, v.PacketValue):
            return self._packet_method(call, expression)
        if isinstance(receiver, v.InstanceValue) and isinstance(receiver.instance, ExternInstance):
            instance = receiver.instance
            if isinstance(instance.object, ob.ExternObject):
                return self._unknown(call, instance.object, expression.span)
            self._object_method(call, instance, expression.span)
            return v.NoValue()
        raise self.session.refused(f"'{call.method}' is not supported here", expression.span)

    # -- arguments

    def _arg(self, call: ResolvedCall, index: int) -> ast.Expression:
        argument = call.arguments[index]
        if argument is None:
            argument = call.parameters[index].default
        assert argument is not None
        return argument

    def _type(self, call: ResolvedCall, index: int) -> model.Type:
        return self.types.resolve(model.substitute(call.parameter_types[index], self.scope.types))

    def _in(self, call: ResolvedCall, index: int) -> ex.Expression:
        """A scalar argument, as its parameter's type."""
        argument = self._arg(call, index)
        return self.as_scalar(self.convert(self.value(argument), self._type(call, index), argument.span), argument.span)

    def _out(self, call: ResolvedCall, index: int, write: Callable[[st.Target], None]) -> None:
        """Let `write` emit something that writes an `out` argument; a slice goes through a variable."""
        argument = call.arguments[index]
        type_ = self._type(call, index)
        span = argument.span if argument is not None else call.parameters[index].span
        place = self.place(argument) if argument is not None else None
        if isinstance(place, v.Scalar) and isinstance(place.expression, ex.VariableValue | ex.FieldValue):
            write(place.expression)
            return
        if self.types.scalar(type_) is None:
            raise self.session.refused(f"the target cannot write a result of type {type_}", span)
        temporary = self.temporary(type_, span)
        write(v.scalar_target(temporary))
        if place is not None:
            self.assign(place, temporary, span)

    def inputs(self, expression: ast.Expression) -> tuple[ex.Expression, ...]:
        """The scalars of a list, struct or single value, in order: what is hashed, digested, logged, summed up."""
        return tuple(self._scalars(self.value(expression), expression.span))

    def _scalars(self, value: v.Value, span: Span) -> list[ex.Expression]:
        match value:
            case v.Scalar(expression=expression):
                return [expression]
            case v.Structure(fields=fields):
                return [scalar for field in fields.values() for scalar in self._scalars(field, span)]
            case v.HeaderPlace(type=type_) | v.HeaderLiteral(type=type_):
                names = [name for name, _ in self.types.members(type_)]
                return [scalar for name in names for scalar in self._scalars(self.member(value, name, span), span)]
            case v.StackPlace(stack=stack):
                parts = [self.element(value, index, span) for index in range(len(stack.elements))]
                return [scalar for part in parts for scalar in self._scalars(part, span)]
        raise self.session.refused("this cannot be taken apart into fields", span)

    def _enum_member(self, call: ResolvedCall, index: int) -> str:
        """The name of an enum's member that must be known at compile time."""
        expression = self._in(call, index)
        type_ = self._type(call, index)
        if not isinstance(expression, ex.Constant) or not isinstance(type_, model.EnumType):
            raise self.session.refused("this must be a constant on this target", expression.span, Kind.EXPECTED)
        return type_.declaration.members[expression.value].name.text

    def _algorithm(self, call: ResolvedCall, index: int) -> st.HashAlgorithm:
        name = self._enum_member(call, index)
        try:
            return st.HashAlgorithm(name)
        except ValueError:
            raise self.session.refused(
                f"the target has no hash algorithm '{name}'", self._arg(call, index).span
            ) from None

    def _number(self, call: ResolvedCall, index: int) -> int:
        expression = self._in(call, index)
        if not isinstance(expression, ex.Constant):
            raise self.session.refused("this must be a constant on this target", expression.span, Kind.EXPECTED)
        return expression.value

    # -- packet_in and packet_out

    def _packet_method(self, call: ResolvedCall, expression: ast.Call) -> v.Value:
        span = expression.span
        match call.method:
            case "extract":
                self._extract(call, span)
            case "lookahead":
                type_ = model.substitute(call.return_type, self.scope.types)
                return self._lookahead(type_, 0, span)[0]
            case "advance":
                self.emitter.emit(st.Advance(span, self._in(call, 0)))
            case "emit":
                argument = self._arg(call, 0)
                self._emit(self.value(argument), argument.span)
            case _:
                raise self.session.refused(f"'{call.method}' is not supported on this target", span)
        return v.NoValue()

    def _extract(self, call: ResolvedCall, span: Span) -> None:
        argument = call.arguments[0]
        width = self._in(call, 1) if len(call.arguments) > 1 else None
        if argument is None or isinstance(argument, ast.DontCare):
            # `extract<T>(_)` skips a header.
            type_ = self._type(call, 0)
            self.emitter.emit(st.Advance(span, ex.Constant(span, self.types.width(type_), Bits(32))))
            return
        target = self.value(argument)
        if isinstance(target, v.StackPlace | v.UnionPlace | v.Structure):
            raise self.session.refused("only a header can be extracted", argument.span, Kind.TYPE_ERROR)
        assert isinstance(target, v.HeaderPlace)
        if isinstance(target.reference, ex.StackElement):
            self._extract_element(target.reference, width, span)
        else:
            self.emitter.emit(st.Extract(span, target.reference, width))

    def _extract_element(self, element: ex.StackElement, width: ex.Expression | None, span: Span) -> None:
        """`extract(stack[i])`: the target extracts only into what it knows by name, so there is a state for each element."""
        emitter = self.emitter
        assert isinstance(emitter, StateEmitter)
        if element.guard is not None:
            error = self.checked.errors.index("StackOutOfBounds")
            emitter.emit(st.Verify(span, element.guard, ex.Constant(span, error, Bits(32))))
        index = self.scalar_temporary(element.index.type, span, "index")
        emitter.emit(st.Assign(span, index, element.index))
        headers = element.stack.elements
        self.session.count_select_cases(len(headers), span)

        def extract(header: ex.HeaderReference) -> Body:
            return lambda: emitter.emit(st.Extract(span, header, width))

        largest = (1 << width_of(index.type)) - 1
        known = [ex.OneHeader(span, header) for header in headers if isinstance(header, Header)]
        emitter.choose(index, [extract(header) for header in known[: largest + 1]], span)

    def _lookahead(self, type_: model.Type, offset: int, span: Span) -> tuple[v.Value, int]:
        """The value at that offset in the packet, and the offset after it."""
        resolved = self.types.resolve(type_)
        scalar = self.types.scalar(resolved)
        if isinstance(scalar, Bits) or scalar == BOOLEAN:
            assert scalar is not None
            return v.Scalar(ex.Lookahead(span, offset, scalar)), offset + self.types.width(resolved)
        if isinstance(resolved, model.StackType) and not self.types.is_array(resolved):
            elements: list[v.Value] = []
            for _ in range(resolved.size):
                element, offset = self._lookahead(resolved.element, offset, span)
                elements.append(element)
            return v.StackLiteral(resolved, elements), offset
        if not isinstance(resolved, model.StructType | model.HeaderType | model.TupleType | model.StackType):
            raise self.session.refused(f"a lookahead of type {type_} is not supported", span)
        fields: dict[str, v.Value] = {}
        for name, member in self.types.members(resolved):
            fields[name], offset = self._lookahead(member, offset, span)
        if isinstance(resolved, model.HeaderType):
            return v.HeaderLiteral(resolved, fields), offset
        return v.Structure(resolved, fields), offset

    def _emit(self, value: v.Value, span: Span) -> None:
        """All headers of a value, in order."""
        match value:
            case v.HeaderPlace(reference=reference):
                self.emitter.emit(st.Emit(span, reference))
            case v.Structure(fields=fields):
                for field in fields.values():
                    self._emit(field, span)
            case v.UnionPlace(union=union):
                for member in union.members:
                    self.emitter.emit(st.Emit(span, ex.OneHeader(span, member)))
            case v.StackPlace(stack=stack):
                for index in range(len(stack.elements)):
                    self._emit(self.element(value, index, span), span)
            case _:
                raise self.session.refused("only headers, stacks and unions can be emitted", span)

    # -- methods of objects

    def _object_method(self, call: ResolvedCall, instance: ExternInstance, span: Span) -> None:
        match instance.object, call.method:
            case ob.Register() as register, "read":
                index = self._in(call, 1)
                self._out(
                    call,
                    0,
                    lambda target: self.emitter.emit(st.ReadRegister(span, target, register, self._unsigned(index))),
                )
            case ob.Register() as register, "write":
                position, value = self._in(call, 0), self._in(call, 1)
                self.emitter.emit(st.WriteRegister(span, register, self._unsigned(position), value))
            case ob.Counter() as counter, "count":
                self.emitter.emit(st.Count(span, counter, self._unsigned(self._in(call, 0))))
            case ob.DirectCounter() as direct_counter, "count":
                self.emitter.emit(st.CountDirect(span, direct_counter))
            case ob.Meter() as meter, "execute_meter":
                which = self._in(call, 0)
                self._out(
                    call,
                    1,
                    lambda target: self.emitter.emit(st.ExecuteMeter(span, meter, self._unsigned(which), target)),
                )
            case ob.DirectMeter() as direct_meter, "read":
                self._out(call, 0, lambda target: self.emitter.emit(st.ReadDirectMeter(span, direct_meter, target)))
            case _:
                name = instance.declaration.name.text
                raise self.session.refused(f"the target has no '{call.method}' of '{name}'", span)

    def _unsigned(self, expression: ex.Expression) -> ex.Expression:
        """An index as an unsigned number."""
        type_ = expression.type
        if isinstance(type_, Bits) and type_.signed:
            return fold.cast(expression, Bits(type_.width), expression.span)
        return expression

    # -- functions

    def _hash(self, call: ResolvedCall, expression: ast.Call) -> None:
        algorithm = self._algorithm(call, 1)
        base, inputs, maximum = self._in(call, 2), self.inputs(self._arg(call, 3)), self._in(call, 4)
        span = expression.span
        self._out(call, 0, lambda target: self.emitter.emit(st.Hash(span, target, algorithm, base, inputs, maximum)))

    def _random(self, call: ResolvedCall, expression: ast.Call) -> None:
        low, high = self._in(call, 1), self._in(call, 2)
        self._out(call, 0, lambda target: self.emitter.emit(st.Random(expression.span, target, low, high)))

    def _digest(self, call: ResolvedCall, expression: ast.Call) -> None:
        receiver = self._in(call, 0)
        type_ = model.substitute(call.parameter_types[1], self.scope.types)
        argument = self._arg(call, 1)
        name = self.digest_name(type_, expression)
        values = self._scalars(self.convert(self.value(argument), type_, argument.span), argument.span)
        self.emitter.emit(st.Digest(expression.span, name, receiver, tuple(values)))

    def digest_name(self, type_: model.Type, expression: ast.Call) -> str:
        """The control plane's name for what is sent: the type's, or a made up one."""
        data = self.types.data_type(type_)
        name = getattr(data, "name", None)
        if name is None:
            name = f"digest_{self.session.unnamed_digests}"
            self.session.unnamed_digests += 1
            self.session.diagnostics.warning(
                Kind.MISMATCH,
                f"what is sent here has no type name; the control plane knows it as '{name}'",
                expression.span,
            )
        if name not in self.session.digests:
            self.session.digests[name] = ob.DigestList(expression.span, name, (), False, data)
        return str(name)

    def _clone(self, call: ResolvedCall, expression: ast.Call) -> None:
        kind = st.CloneKind(self._enum_member(call, 0))
        ingress = kind is st.CloneKind.INGRESS_TO_EGRESS
        self._only_in("ingress" if ingress else "egress", f"{call.method} of kind {kind.value}", expression.span)
        session = self._in(call, 1)
        field_list = self._number(call, 2) if len(call.arguments) > 2 else None
        self.emitter.emit(st.Clone(expression.span, kind, session, field_list))

    def _resubmit(self, call: ResolvedCall, expression: ast.Call) -> None:
        self._only_in("ingress", call.method, expression.span)
        self.emitter.emit(st.Resubmit(expression.span, self._number(call, 0)))

    def _recirculate(self, call: ResolvedCall, expression: ast.Call) -> None:
        self._only_in("egress", call.method, expression.span)
        self.emitter.emit(st.Recirculate(expression.span, self._number(call, 0)))

    def _only_in(self, block: str, what: str, span: Span) -> None:
        """Refuse what the target would take and then not do, being called in another block."""
        if self.session.block != block:
            raise self.session.refused(f"on this target '{what}' can only be called in {block}", span)

    def _truncate(self, call: ResolvedCall, expression: ast.Call) -> None:
        self.emitter.emit(st.Truncate(expression.span, self._in(call, 0)))

    def _mark_to_drop(self, call: ResolvedCall, expression: ast.Call) -> None:
        if not call.parameters:
            raise self.session.refused("mark_to_drop needs the standard metadata as its argument", expression.span)
        span = expression.span
        given = self.place(self._arg(call, 0))
        if not isinstance(given, v.Structure):
            raise self.session.refused("mark_to_drop cannot take an element of an array on this target", span)
        pairs = [(given.fields[name], self._standard_metadata_field(name, span)) for name in _MARKED_TO_DROP]
        if all(_is_field(mine, actual) for mine, actual in pairs):
            self.emitter.emit(st.MarkToDrop(span))
            return
        # The target marks its own metadata: a copy takes over what it wrote there, and that is put back.
        before = [self.frozen(v.Scalar(actual), span) for _, actual in pairs]
        self.emitter.emit(st.MarkToDrop(span))
        for (mine, actual), old in zip(pairs, before, strict=True):
            self.assign(mine, v.Scalar(actual), span)
            self.assign(v.Scalar(actual), old, span)

    def _standard_metadata_field(self, name: str, span: Span) -> ex.FieldValue:
        header = next(header for header in self.session.storage.headers if header.name == "standard_metadata")
        index = next(index for index, field in enumerate(header.layout.fields) if field.name == name)
        return ex.FieldValue(span, ex.OneHeader(span, header), index)

    def _assert(self, call: ResolvedCall, expression: ast.Call) -> None:
        self.emitter.emit(st.Assert(expression.span, self._in(call, 0), call.method == "assume"))

    def _log(self, call: ResolvedCall, expression: ast.Call) -> None:
        text = self.scalar(self._arg(call, 0))
        if not isinstance(text, ex.TextConstant):
            raise self.session.refused("the format must be a constant", text.span, Kind.EXPECTED)
        values = self.inputs(self._arg(call, 1)) if len(call.arguments) > 1 else ()
        message = text.value
        places = len(_PLACE.findall(message))
        if places != len(values):
            self.session.diagnostics.warning(
                Kind.MISMATCH,
                f"the message has {places} place(s) for {len(values)} value(s); the target stops at such a call",
                expression.span,
            )
        if message.startswith("{"):
            message = f" {message}"  # BMv2 overlooks a place at the very beginning, and stops for want of it
        self.emitter.emit(st.LogMessage(expression.span, message, values))

    def _verify(self, call: ResolvedCall, expression: ast.Call) -> None:
        condition, error = self._in(call, 0), self._in(call, 1)
        if not (isinstance(condition, ex.BooleanConstant) and condition.value):
            self.emitter.emit(st.Verify(expression.span, condition, error))

    def _checksum(self, call: ResolvedCall, expression: ast.Call) -> None:
        condition = self._in(call, 0)
        inputs = self.inputs(self._arg(call, 1))
        target = self.place(self._arg(call, 2))
        if not v.is_place(target) or not isinstance(target, v.Scalar):
            raise self.session.refused("the checksum must be a field", self._arg(call, 2).span)
        self.emitter.emit(
            st.Checksum(
                expression.span,
                call.method.startswith("verify"),
                condition,
                inputs,
                v.scalar_target(target),
                self._algorithm(call, 3),
                call.method.endswith("_with_payload"),
            )
        )

    def _static_assert(self, call: ResolvedCall, expression: ast.Call) -> None:
        condition = self._in(call, 0)
        if isinstance(condition, ex.BooleanConstant) and not condition.value:
            raise self.session.refused("static_assert failed", expression.span, Kind.EXPECTED)


_FUNCTIONS: dict[str, _Function] = {
    "hash": ExternLowering._hash,
    "random": ExternLowering._random,
    "digest": ExternLowering._digest,
    "clone": ExternLowering._clone,
    "clone_preserving_field_list": ExternLowering._clone,
    "resubmit_preserving_field_list": ExternLowering._resubmit,
    "recirculate_preserving_field_list": ExternLowering._recirculate,
    "truncate": ExternLowering._truncate,
    "mark_to_drop": ExternLowering._mark_to_drop,
    "assert": ExternLowering._assert,
    "assume": ExternLowering._assert,
    "log_msg": ExternLowering._log,
    "verify": ExternLowering._verify,
    "verify_checksum": ExternLowering._checksum,
    "update_checksum": ExternLowering._checksum,
    "verify_checksum_with_payload": ExternLowering._checksum,
    "update_checksum_with_payload": ExternLowering._checksum,
    "static_assert": ExternLowering._static_assert,
}
