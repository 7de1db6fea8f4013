"""The parser, its value sets, and the deparser."""

from __future__ import annotations

from p4compiler.backends.bmv2 import document as doc
from p4compiler.backends.bmv2.actions import PrimitiveTranslator, plain_value
from p4compiler.backends.bmv2.context import Context
from p4compiler.backends.bmv2.expressions import as_data, convert, field_value
from p4compiler.backends.bmv2.values import Field, Json, hex_string
from p4compiler.ir import expressions as ex
from p4compiler.ir import statements as st
from p4compiler.ir.program import ParserState, SelectCase, Transition, ValueSetCase
from p4compiler.ir.types import Varbit, width_of


def generate_parser(context: Context) -> None:
    parser = context.program.parser
    for value_set in context.program.objects.value_sets:
        context.document.parse_vsets.append(
            doc.ParseValueSet(value_set.name, context.next_id("parse_vsets"), value_set.width, value_set.size)
        )
    states = [_state(context, state) for state in parser.states]
    start = parser.states[0].name
    context.document.parsers.append(doc.Parser("parser", context.next_id("parsers"), start, states))


def _state(context: Context, state: ParserState) -> doc.ParseState:
    translator = PrimitiveTranslator(context, {})
    operations = []
    for statement in state.body:
        operation = _operation(translator, statement)
        if operation is not None:
            operations.append(operation)
    transition = state.transition
    return doc.ParseState(
        state.name,
        context.next_id("parse_states"),
        operations,
        _transitions(transition),
        [plain_value(key) for key in transition.keys],
    )


def _operation(translator: PrimitiveTranslator, statement: st.Statement) -> doc.ParserOperation | None:
    match statement:
        case st.Extract(header=header, varbit_width=width):
            target = _extract_target(header)
            if width is None:
                return doc.ParserOperation("extract", [target])
            expression = {"type": "expression", "value": convert(width, {}).json()}
            return doc.ParserOperation("extract_VL", [target, expression])
        case st.Advance(amount=amount):
            return doc.ParserOperation("advance", [convert(amount, {}).argument()])
        case st.Verify(condition=condition, error=error):
            return doc.ParserOperation("verify", [convert(condition, {}).json(), convert(error, {}).json()])
        case st.Assign(target=target_field, value=value) if not isinstance(target_field.type, Varbit):
            place = field_value(target_field, {})
            if isinstance(place, Field):
                return doc.ParserOperation("set", [place.json(), as_data(value, {}).argument()])
    primitive = translator.primitive(statement)
    return None if primitive is None else doc.ParserOperation("primitive", [primitive.json()])


def _extract_target(header: ex.HeaderReference) -> Json:
    match header:
        case ex.OneHeader(header=instance):
            return {"type": "regular", "value": instance.name}
        case ex.NextElement(stack=stack, member=member):
            if stack.is_of_unions:
                element = stack.elements[0].layout
                name = element.members[member][0]  # type: ignore[union-attr]
                return {"type": "union_stack", "value": [stack.name, name]}
            return {"type": "stack", "value": stack.name}
    raise TypeError(f"cannot extract into {type(header).__name__}")


def _transitions(transition: Transition) -> list[doc.ParserTransition]:
    result = [_transition(transition, case) for case in transition.cases]
    if not result or result[-1].type != "default":
        # No case matches: BMv2 raises no error, it accepts.
        result.append(doc.ParserTransition("default", None, None, None))
    return result


def _transition(transition: Transition, case: SelectCase | ValueSetCase) -> doc.ParserTransition:
    if isinstance(case, ValueSetCase):
        return doc.ParserTransition("parse_vset", case.value_set.name, None, case.target)
    value = mask = size = 0
    exact = True
    for key, pattern in zip(transition.keys, case.patterns, strict=True):
        width = width_of(key.type)
        padded = (width + 7) // 8
        all_ones = (1 << width) - 1
        key_mask = all_ones if pattern.mask is None else pattern.mask & all_ones
        exact = exact and key_mask == all_ones
        value = value << padded * 8 | (pattern.value & key_mask)
        mask = mask << padded * 8 | key_mask
        size += padded
    if mask == 0:
        return doc.ParserTransition("default", None, None, case.target)
    return doc.ParserTransition(
        "hexstr", hex_string(value, size), None if exact else hex_string(mask, size), case.target
    )


def generate_deparser(context: Context) -> None:
    control = context.program.deparser
    translator = PrimitiveTranslator(context, {})
    order: list[str] = []
    primitives: list[doc.Primitive] = []
    for statement in control.body:
        match statement:
            case st.Emit(header=ex.OneHeader(header=header)):
                order.append(header.name)
            case st.Assign() | st.LogMessage() | st.Assert():
                primitive = translator.primitive(statement)
                assert primitive is not None
                primitives.append(primitive)
            case _:
                context.unsupported("a deparser can only emit headers, assign and log on this target", statement.span)
    number = context.next_id("deparsers")
    context.document.deparsers.append(
        doc.Deparser("deparser", number, doc.SourceInfo.of(control.span), order, primitives)
    )
