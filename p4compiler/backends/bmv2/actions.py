"""Actions: IR statements to primitives. Control flow inside an action becomes `_jump` and `_jump_if_zero`."""

from __future__ import annotations

from p4compiler.backends.bmv2 import document as doc
from p4compiler.backends.bmv2.context import Context
from p4compiler.backends.bmv2.expressions import as_data, convert, field_value, header_value, simple_value, stack_name
from p4compiler.backends.bmv2.values import (
    CalculationName,
    CounterName,
    ExternName,
    HeaderName,
    HexString,
    Json,
    MeterName,
    ParametersVector,
    RegisterName,
    StringValue,
    Value,
)
from p4compiler.ir import expressions as ex
from p4compiler.ir import statements as st
from p4compiler.ir.objects import Action
from p4compiler.ir.types import BOOLEAN, Varbit, width_of
from p4compiler.source import Span

STANDARD_METADATA = "standard_metadata"
ID_BYTES = 4


def generate_action(context: Context, action: Action) -> None:
    """Add an action of the program, or a hidden one, to the document."""
    number = context.next_id("actions")
    context.action_ids[action] = number
    parameters = {parameter.value: index for index, parameter in enumerate(action.parameters)}
    body = _Body(context, parameters)
    body.block(action.body)
    context.document.actions.append(
        doc.Action(
            action.name,
            number,
            [doc.RuntimeParameter(p.name, width_of(p.value.type)) for p in action.parameters],
            body.finish(),
        )
    )


class _Body:
    """The primitives of one action, with the jumps that still wait for their target."""

    def __init__(self, context: Context, parameters: dict[ex.Parameter, int]) -> None:
        self._translator = PrimitiveTranslator(context, parameters)
        self._parameters = parameters
        self._primitives: list[doc.Primitive] = []
        self._open: dict[st.Label, list[doc.Primitive]] = {}
        self._end: list[doc.Primitive] = []

    def finish(self) -> list[doc.Primitive]:
        self._land(self._end)
        return self._primitives

    def block(self, block: st.Block) -> None:
        for statement in block:
            self._statement(statement)

    def _statement(self, statement: st.Statement) -> None:
        match statement:
            case st.If():
                self._if(statement)
            case st.Region(label=label, body=body):
                self._open[label] = []
                self.block(body)
                self._land(self._open.pop(label))
            case st.Loop(label=label, body=body):
                self._open[label] = []
                start = len(self._primitives)
                self.block(body)
                self._jump(statement.span).parameters.append(HexString(start).json())
                self._land(self._open.pop(label))
            case st.Leave(label=label):
                self._open[label].append(self._jump(statement.span))
            case st.Exit():
                self._primitives.append(doc.Primitive("exit", [], doc.SourceInfo.of(statement.span)))
                self._end.append(self._jump(statement.span))
            case _:
                primitive = self._translator.primitive(statement)
                if primitive is not None:
                    self._primitives.append(primitive)

    def _if(self, statement: st.If) -> None:
        condition = as_data(statement.condition, self._parameters)
        skip = doc.Primitive("_jump_if_zero", [condition.argument()], doc.SourceInfo.of(statement.span))
        self._primitives.append(skip)
        self.block(statement.then)
        if not statement.otherwise:
            self._land([skip])
            return
        over = self._jump(statement.span)
        self._land([skip])
        self.block(statement.otherwise)
        self._land([over])

    def _jump(self, span: Span) -> doc.Primitive:
        jump = doc.Primitive("_jump", [], doc.SourceInfo.of(span))
        self._primitives.append(jump)
        return jump

    def _land(self, jumps: list[doc.Primitive]) -> None:
        """The jumps go to the primitive that comes next."""
        for jump in jumps:
            jump.parameters.append(HexString(len(self._primitives)).json())


class PrimitiveTranslator:
    """Straight-line statements to primitives, in actions, parsers and deparsers."""

    def __init__(self, context: Context, parameters: dict[ex.Parameter, int]) -> None:
        self._context = context
        self._parameters = parameters

    def primitive(self, statement: st.Statement) -> doc.Primitive | None:
        """None for a statement that BMv2 does by itself."""
        match statement:
            case st.CountDirect() | st.ReadDirectMeter():
                return None
        name, arguments = self._call(statement)
        return doc.Primitive(name, arguments, doc.SourceInfo.of(statement.span))

    def _value(self, expression: ex.Expression) -> Json:
        return as_data(expression, self._parameters).argument()

    def _target(self, target: st.Target) -> Json:
        return field_value(target, self._parameters).argument()

    def _header(self, header: ex.HeaderReference) -> Json:
        return header_value(header, self._parameters).argument()

    def _call(self, statement: st.Statement) -> tuple[str, list[Json]]:
        match statement:
            case st.Assign(target=target, value=value):
                name = "assign_VL" if isinstance(target.type, Varbit) else "assign"
                return name, [self._target(target), self._value(value)]
            case st.CopyHeader(target=to_header, source=from_header):
                return "assign_header", [self._header(to_header), self._header(from_header)]
            case st.CopyStack(target=to_stack, source=from_stack):
                name = "assign_union_stack" if to_stack.is_of_unions else "assign_header_stack"
                return name, [stack_name(to_stack).argument(), stack_name(from_stack).argument()]
            case st.SetValid(header=header, valid=valid):
                return "add_header" if valid else "remove_header", [self._header(header)]
            case st.ShiftStack(stack=stack, count=count, push=push):
                return "push" if push else "pop", [stack_name(stack).argument(), HexString(count, 1).json()]
            case st.Truncate(length=length):
                return "truncate", [self._value(length)]
            case st.MarkToDrop():
                return "mark_to_drop", [HeaderName(STANDARD_METADATA).json()]
            case st.Assert(condition=condition, assumed=assumed):
                return "assume" if assumed else "assert", [self._value(condition)]
            case st.LogMessage(format=text, values=values):
                vector = ParametersVector([as_data(value, self._parameters) for value in values])
                return "log_msg", [StringValue(text).json(), vector.json()]
        return self._extern(statement)

    def _extern(self, statement: st.Statement) -> tuple[str, list[Json]]:
        match statement:
            case st.ReadRegister(target=target, register=register, index=index):
                return "register_read", [self._target(target), RegisterName(register.name).json(), self._value(index)]
            case st.WriteRegister(register=register, index=index, value=value):
                return "register_write", [RegisterName(register.name).json(), self._value(index), self._value(value)]
            case st.Count(counter=counter, index=index):
                return "count", [CounterName(counter.name).json(), self._value(index)]
            case st.ExecuteMeter(meter=meter, index=index, target=target):
                return "execute_meter", [MeterName(meter.name).json(), self._value(index), self._target(target)]
            case st.Hash(target=target, algorithm=algorithm, base=base, inputs=inputs, maximum=maximum):
                name = self._context.add_calculation(algorithm, inputs, self._parameters, statement.span)
                calculation = CalculationName(name).json()
                return "modify_field_with_hash_based_offset", [
                    self._target(target),
                    self._value(base),
                    calculation,
                    self._value(maximum),
                ]
            case st.Random(target=target, low=low, high=high):
                return "modify_field_rng_uniform", [self._target(target), self._value(low), self._value(high)]
            case st.Digest(name=name, receiver=receiver, inputs=inputs):
                learn_list = self._context.add_learn_list(name, inputs, statement.span)
                return "generate_digest", [self._value(receiver), HexString(learn_list, ID_BYTES).json()]
            case st.CallExtern():
                return self._unknown_extern(statement)
            case st.Clone(kind=kind, session=session, field_list=number):
                return self._clone(kind, session, number, statement.span)
            case st.Resubmit(field_list=number):
                return "resubmit", [self._list_id(number, statement.span)]
            case st.Recirculate(field_list=number):
                return "recirculate", [self._list_id(number, statement.span)]
        raise TypeError(f"{type(statement).__name__} is no primitive")

    def _clone(
        self, kind: st.CloneKind, session: ex.Expression, number: int | None, span: Span
    ) -> tuple[str, list[Json]]:
        ingress = kind is st.CloneKind.INGRESS_TO_EGRESS
        name = "clone_ingress_pkt_to_egress" if ingress else "clone_egress_pkt_to_egress"
        if number is None:
            list_id = HexString(self._context.empty_field_list(span), ID_BYTES).json()
        else:
            list_id = self._list_id(number, span)
        return name, [self._value(session), list_id]

    def _unknown_extern(self, statement: st.CallExtern) -> tuple[str, list[Json]]:
        owner = statement.object
        what = statement.name if owner is None else f"{owner.type_name}.{statement.name}"
        if not self._context.emit_externs:
            self._context.unsupported(
                f"the target has no '{what}' (--emit-externs takes it over as it is)", statement.span
            )
        arguments = [
            self._value(argument) if isinstance(argument, ex.Expression) else self._header(argument)
            for argument in statement.arguments
        ]
        if owner is None:
            return statement.name, arguments
        return f"_{owner.type_name}_{statement.name}", [ExternName(owner.name).json(), *arguments]

    def _list_id(self, number: int, span: Span) -> Json:
        return HexString(self._context.field_list(number, span), ID_BYTES).json()


def condition_value(condition: ex.Expression) -> Value:
    """A boolean expression outside actions."""
    assert condition.type == BOOLEAN
    return convert(condition, {})


def plain_value(expression: ex.Expression) -> Value:
    """A value outside actions that must be simple.

    Raises:
        AssertionError: a pass has left a computation where the target takes none.
    """
    value = simple_value(expression, {})
    assert value is not None, f"{expression} is not simple"
    return value
