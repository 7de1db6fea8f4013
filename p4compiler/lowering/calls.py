"""Calls: functions, actions, parsers and controls are inlined where they are called; built-in methods.

Arguments are evaluated from left to right. `in` is copied in, `out` copied out, `inout` both — unless no one could tell the
difference, in which case the callee works on the caller's storage: the callee of a function, parser or control sees nothing
but its parameters, so it is enough that no two arguments overlap. An action also sees the control around it and always gets
copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p4compiler.diagnostics import Kind
from p4compiler.ir import expressions as ex
from p4compiler.ir import fold
from p4compiler.ir import statements as st
from p4compiler.lowering import values as v
from p4compiler.lowering.emitter import Emitter
from p4compiler.lowering.expressions import ExpressionLowering
from p4compiler.lowering.instances import ControlInstance
from p4compiler.lowering.scope import Scope
from p4compiler.lowering.session import Session
from p4compiler.source import Span
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import CallKind, ResolvedCall

_IN = frozenset({ast.Direction.IN, ast.Direction.NONE})
_OUT = frozenset({ast.Direction.OUT, ast.Direction.INOUT})


MAX_CALL_DEPTH = 200
MAX_INLINED = 20_000


@dataclass(slots=True)
class CopyOut:
    """To be assigned when the callee is done."""

    target: v.Value
    source: v.Value
    span: Span


@dataclass(slots=True)
class Frame:
    """A body that `return` can end: where to go, and where the result goes."""

    label: st.Label | None
    result: v.Value | None


class CallLowering(ExpressionLowering):
    def __init__(self, session: Session, scope: Scope, emitter: Emitter) -> None:
        super().__init__(session, scope, emitter)
        self.control: ControlInstance | None = None
        self.frames: list[Frame] = []
        self.pending: list[list[CopyOut]] = []
        """What an `exit` must still copy out, of every call that is under way."""
        self.loops: list[tuple[st.Label, st.Label | None]] = []
        self.action_depth = 0
        """Inside how many actions this is: those of tables, and those called directly."""

    # -- for subclasses

    def block(self, block: ast.Block) -> None:
        raise NotImplementedError

    def extern_function(self, call: ResolvedCall, expression: ast.Call) -> v.Value:
        raise NotImplementedError

    def extern_method(self, call: ResolvedCall, receiver: v.Value, expression: ast.Call) -> v.Value:
        raise NotImplementedError

    def apply_table(self, receiver: v.Value, span: Span) -> None:
        raise NotImplementedError

    def apply_control(self, receiver: v.Value, call: ResolvedCall, site: ast.Node) -> None:
        raise NotImplementedError

    def apply_parser(self, receiver: v.Value, call: ResolvedCall, span: Span) -> None:
        raise NotImplementedError

    def construct_anonymous(self, call: ResolvedCall, span: Span) -> v.Value:
        raise NotImplementedError

    def note_called_action(self, action: ast.Action) -> None:
        raise NotImplementedError

    # -- calls

    def call(self, expression: ast.Call) -> v.Value:
        call = self.checked.call_of[expression]
        span = expression.span
        match call.kind:
            case CallKind.FUNCTION:
                return self.inline_function(call, span)
            case CallKind.ACTION:
                self.inline_action(call, span)
            case CallKind.EXTERN_FUNCTION:
                return self.extern_function(call, expression)
            case CallKind.CONSTRUCTOR:
                return self.construct_anonymous(call, span)
            case CallKind.CALLEE_UNKNOWN:
                raise self.session.refused("this cannot be called", span, Kind.TYPE_ERROR)
            case _:
                return self._method(call, expression)
        return v.NoValue()

    def _method(self, call: ResolvedCall, expression: ast.Call) -> v.Value:
        callee, span = expression.callee, expression.span
        assert isinstance(callee, ast.Member)
        receiver = self.value(callee.base)
        match call.kind:
            case CallKind.BUILTIN_METHOD:
                return self._builtin(receiver, call, span)
            case CallKind.EXTERN_METHOD:
                return self.extern_method(call, receiver, expression)
            case CallKind.TABLE_APPLY:
                self.apply_table(receiver, span)
            case CallKind.CONTROL_APPLY:
                self.apply_control(receiver, call, expression)
            case CallKind.PARSER_APPLY:
                self.apply_parser(receiver, call, span)
        return v.NoValue()

    def _builtin(self, receiver: v.Value, call: ResolvedCall, span: Span) -> v.Value:
        match receiver, call.method:
            case v.HeaderPlace() | v.HeaderLiteral(), "isValid":
                return v.Scalar(self.validity(receiver, span))
            case v.UnionPlace(union=union), "isValid":
                return v.Scalar(ex.UnionValid(span, union))
            case v.UnionElement(members=members), "isValid":
                return v.Scalar(fold.disjunction([self.validity(member, span) for member in members], span))
            case v.HeaderPlace(reference=reference), "setValid" | "setInvalid":
                self.check_readable(reference, span)
                self.write(reference, st.SetValid(span, reference, call.method == "setValid"))
                return v.NoValue()
            case v.StackPlace(stack=stack), "push_front" | "pop_front":
                count = self.argument_scalar(call, 0)
                if not isinstance(count, ex.Constant):
                    raise self.session.refused(f"the count of {call.method} must be constant", span, Kind.EXPECTED)
                self.emitter.emit(st.ShiftStack(span, stack, count.value, call.method == "push_front"))
                return v.NoValue()
        raise self.session.refused(f"'{call.method}' is not supported here", span)

    def argument_scalar(self, call: ResolvedCall, index: int) -> ex.Expression:
        argument = call.arguments[index]
        assert argument is not None
        return self.scalar(argument)

    # -- functions and actions

    def inline_function(self, call: ResolvedCall, span: Span) -> v.Value:
        function = call.target
        assert isinstance(function, ast.Function)
        scope = Scope(f"{self.scope.name}.{function.name.text}")
        scope.types.update(self._type_bindings(function.prototype.type_parameters, call))
        self.count_call(function.name.text, span)
        copy_out = self.bind(call.parameters, call.parameter_types, call.arguments, scope, share=True, span=span)
        return_type = model.substitute(call.return_type, self.scope.types)
        return self.run(function.body, scope, return_type, copy_out, span)

    def count_call(self, name: str, span: Span) -> None:
        """Count a function, action, control or parser that is about to be inlined.

        Inlining must end: P4 has no recursion, and what is copied too often fits no target.
        """
        self.session.inlined += 1
        if len(self.frames) > MAX_CALL_DEPTH or self.action_depth > MAX_CALL_DEPTH:
            raise self.session.refused(f"'{name}' calls itself, or calls go too deep", span, Kind.UNSUPPORTED)
        if self.session.inlined > MAX_INLINED:
            raise self.session.refused(f"more than {MAX_INLINED} calls would have to be inlined", span, Kind.OVERLIMIT)

    def _type_bindings(
        self, parameters: tuple[ast.TypeParameter, ...], call: ResolvedCall
    ) -> dict[ast.TypeParameter, model.Type]:
        arguments = (model.substitute(argument, self.scope.types) for argument in call.type_arguments)
        return dict(zip(parameters, arguments, strict=False))

    def inline_action(self, call: ResolvedCall, span: Span) -> None:
        action = call.target
        assert isinstance(action, ast.Action)
        self.count_call(action.name.text, span)
        self.note_called_action(action)
        scope = Scope(f"{self.scope.name}.{action.name.text}", self.action_parent(action))
        copy_out = self.bind(call.parameters, call.parameter_types, call.arguments, scope, share=False, span=span)
        self.action_depth += 1
        try:
            self.run(action.body, scope, model.VOID, copy_out, span)
        finally:
            self.action_depth -= 1

    def action_parent(self, action: ast.Action) -> Scope | None:
        """The scope of the control that declares the action; None at the top level."""
        if self.control is not None and action in self.control.own_actions:
            return self.control.scope
        return None

    def run(
        self, body: ast.Block, scope: Scope, return_type: model.Type, copy_out: list[CopyOut], span: Span
    ) -> v.Value:
        """Inline a body: its statements, what it returns, then the copies out."""
        self.pending.append(copy_out)
        try:
            result = self._run_body(body, scope, return_type, span)
        finally:
            self.pending.pop()
        if copy_out and not isinstance(result, v.NoValue):
            result = self.frozen(result, span)
        self.copy_out(copy_out)
        return result

    def _run_body(self, body: ast.Block, scope: Scope, return_type: model.Type, span: Span) -> v.Value:
        last = body.body[-1] if body.body else None
        straight = not any(contains(statement, ast.Return) for statement in body.body[:-1])
        with self.within(scope):
            if straight and (last is None or isinstance(last, ast.Return) or not contains(last, ast.Return)):
                # Only the end returns: what it returns need not go through a variable.
                self.frames.append(Frame(None, None))
                try:
                    returned = last.value if isinstance(last, ast.Return) else None
                    self.statements(body.body[:-1] if isinstance(last, ast.Return) else body.body)
                    return self.value_as(returned, return_type) if returned is not None else v.NoValue()
                finally:
                    self.frames.pop()
            is_void = isinstance(return_type, model.VoidType)
            result = v.NoValue() if is_void else self.temporary(return_type, span, "result")

            def inside(label: st.Label) -> None:
                self.frames.append(Frame(label, result))
                try:
                    self.block(body)
                finally:
                    self.frames.pop()

            self.emitter.region("return", inside, span)
            return result

    def statements(self, statements: Sequence[ast.Statement | ast.Declaration]) -> None:
        raise NotImplementedError

    def value_as(self, expression: ast.Expression, type_: model.Type) -> v.Value:
        return self.convert(self.value(expression), type_, expression.span)

    def copy_out(self, copies: list[CopyOut]) -> None:
        for copy in copies:
            self.assign(copy.target, copy.source, copy.span)

    # -- arguments

    def bind(
        self,
        parameters: Sequence[ast.Parameter],
        parameter_types: Sequence[model.Type],
        arguments: Sequence[ast.Expression | None],
        scope: Scope,
        *,
        share: bool,
        span: Span,
        settle: bool = False,
    ) -> list[CopyOut]:
        """Bind the parameters in the callee's scope; what is to be copied out afterwards.

        Args:
            arguments: in the order of the parameters; None takes the default, or nothing (an `out` argument `_`).
            share: the callee sees nothing but its parameters.
            settle: the binding may be assigned again by a later application, so that even a constant needs a place.
        """
        values: list[v.Value | None] = []
        for index, (parameter, argument) in enumerate(zip(parameters, arguments, strict=True)):
            values.append(self.argument_of(parameter, argument, arguments[index + 1 :]))
        shared = self._shareable(parameters, values) if share else [False] * len(values)
        copies: list[CopyOut] = []
        for parameter, type_, value, is_shared in zip(parameters, parameter_types, values, shared, strict=True):
            declared = model.substitute(model.substitute(type_, scope.types), self.scope.types)
            bound = self._bind_one(
                parameter, declared, value, shared=is_shared, scope=scope, copies=copies, span=span, settle=settle
            )
            scope.bind(parameter, bound)
        return copies

    def argument_of(
        self, parameter: ast.Parameter, argument: ast.Expression | None, later: Sequence[ast.Expression | None]
    ) -> v.Value | None:
        if argument is None or isinstance(argument, ast.DontCare):
            return None if parameter.default is None else self.value(parameter.default)
        if parameter.direction in _OUT:
            return self.place(argument, freeze=True)
        value = self.value(argument)
        if any(expression is not None and self.has_effects(expression) for expression in later):
            value = self.frozen(value, argument.span)
        return value

    def _shareable(self, parameters: Sequence[ast.Parameter], values: Sequence[v.Value | None]) -> list[bool]:
        """Which arguments the callee can work on in place: those that overlap with none that is written."""
        if len(values) == 1 or all(parameter.direction in _IN for parameter in parameters):
            return [value is not None and not isinstance(value, v.SliceTarget | v.ArrayElement) for value in values]
        prints = [None if value is None else v.footprint_of(value) for value in values]
        result = []
        for index, (parameter, value, own) in enumerate(zip(parameters, values, prints, strict=True)):
            if own is None or isinstance(value, v.SliceTarget | v.ArrayElement):
                result.append(False)
                continue
            written = parameter.direction in _OUT
            result.append(
                not any(
                    other is not None
                    and other_index != index
                    and (written or p.direction in _OUT)
                    and own.overlaps(other)
                    for other_index, (p, other) in enumerate(zip(parameters, prints, strict=True))
                )
            )
        return result

    def _bind_one(
        self,
        parameter: ast.Parameter,
        type_: model.Type,
        value: v.Value | None,
        *,
        shared: bool,
        scope: Scope,
        copies: list[CopyOut],
        span: Span,
        settle: bool,
    ) -> v.Value:
        if isinstance(value, v.InstanceValue | v.PacketValue):
            return value
        if parameter.direction in _IN:
            if value is None:
                return v.DefaultValue()
            value = self.convert(value, type_, span)
            settled = _is_settled(value) and not (settle and parameter.direction is ast.Direction.IN)
            if settled or (shared and v.is_place(value) and not _has_dynamic_index(value)):
                return value
            return self._copy_in(parameter, type_, value, scope)
        if shared and isinstance(value, v.HeaderPlace) and isinstance(value.reference, ex.NextElement):
            # A parser that is to fill it extracts it, and finds it as the last one after that.
            next_one = value.reference
            return v.HeaderPlace(value.type, next_one, ex.LastElement(span, next_one.stack, next_one.member))
        if shared and value is not None and not _has_dynamic_index(value):
            if parameter.direction is ast.Direction.OUT:
                self.invalidate(value, span)
            return value
        place = self.storage.make(type_, f"{scope.name}.{parameter.name.text}", parameter.span)
        if parameter.direction is ast.Direction.INOUT and value is not None:
            self.assign(place, self.read(value, span), span)
        else:
            self.invalidate(place, span)
        if value is not None:
            copies.append(CopyOut(value, place, span))
        return place

    def _copy_in(self, parameter: ast.Parameter, type_: model.Type, value: v.Value, scope: Scope) -> v.Value:
        if isinstance(self.types.resolve(type_), model.InfIntType | model.StringType):
            return value
        place = self.storage.make(type_, f"{scope.name}.{parameter.name.text}", parameter.span)
        self.assign(place, value, parameter.span)
        return place

    def read(self, place: v.Value, span: Span) -> v.Value:
        """The value of a place that may be a slice or an array's element."""
        if not isinstance(place, v.SliceTarget):
            return self.selected(place, span)
        base = self.as_scalar(self.read(place.base, span), span)
        return v.Scalar(fold.slice_of(base, place.high, place.low, span))

    def return_from(self, value: v.Value | None, span: Span) -> None:
        """A `return` somewhere in a body."""
        frame = self.frames[-1]
        if value is not None and frame.result is not None and not isinstance(frame.result, v.NoValue):
            self.assign(frame.result, value, span)
        assert frame.label is not None, "a body with a return inside has a region"
        self.emitter.leave(frame.label, span)

    def exit(self, span: Span) -> None:
        """An `exit`: the copies out of every call under way still happen, the innermost first."""
        for copies in reversed(self.pending):
            self.copy_out(copies)
        self.emitter.emit(st.Exit(span))


def _is_settled(value: v.Value) -> bool:
    """Nothing that is written later can change it."""
    return all(
        isinstance(leaf, ex.Constant | ex.BooleanConstant | ex.TextConstant | ex.ParameterValue)
        for leaf in v.leaves(value)
    ) and not isinstance(value, v.HeaderLiteral | v.StackLiteral)


def _has_dynamic_index(value: v.Value) -> bool:
    if isinstance(value, v.Structure) and value.is_stored:
        return False
    for leaf in v.leaves(value):
        match leaf:
            case ex.StackElement() | ex.NextElement() | ex.LastElement():
                return True
            case ex.FieldValue(header=header) if not isinstance(header, ex.OneHeader):
                return True
    return False


def contains(node: ast.Statement | ast.Declaration | None, kind: type[ast.Statement]) -> bool:
    """Is there a statement of that kind in it, at any depth?"""
    if isinstance(node, kind):
        return True
    match node:
        case ast.Block(body=body):
            return any(contains(part, kind) for part in body)
        case ast.If(then=then, otherwise=otherwise):
            return contains(then, kind) or contains(otherwise, kind)
        case ast.Switch(cases=cases):
            return any(contains(case.body, kind) for case in cases)
        case ast.For(body=body_statement) | ast.ForIn(body=body_statement):
            return contains(body_statement, kind)
    return False
