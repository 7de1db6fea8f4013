"""IR expressions to BMv2 expressions.

BMv2 computes with integers of any size and cuts a value only when it is written to a field, so every result that can leave
the range of its type is brought back at once: `& mask` for bit<W>, `two_comp_mod` for int<W>. Booleans are kept in
one-bit fields: reading one is a `d2b`, writing one a `b2d`.
"""

from __future__ import annotations

from collections.abc import Mapping

from p4compiler.backends.bmv2.values import (
    BooleanValue,
    Field,
    HeaderName,
    HexString,
    LookaheadValue,
    Operation,
    RuntimeData,
    StackField,
    StackName,
    StringValue,
    UnionName,
    UnionStackField,
    UnionStackName,
    Value,
)
from p4compiler.ir import expressions as ex
from p4compiler.ir.storage import HeaderStack, HeaderUnion
from p4compiler.ir.types import BOOLEAN, Bits, Type, Varbit, width_of

SCALARS = "scalars"
"""The metadata instance that holds all variables but varbits."""

VARBIT_FIELD = "field"
"""The only field of the instance that holds a varbit variable."""

VALID_FIELD = "$valid$"

MAX_SHIFT = 255
"""A shift by more would let BMv2 compute a huge number before it is cut."""

ParameterIndex = Mapping[ex.Parameter, int]


def stack_name(stack: HeaderStack) -> Value:
    return UnionStackName(stack.name) if stack.is_of_unions else StackName(stack.name)


def header_value(header: ex.HeaderReference, parameters: ParameterIndex) -> Value:
    """A whole header: by name, or an expression that finds it in a stack."""
    match header:
        case ex.OneHeader(header=instance):
            return HeaderName(instance.name)
        case ex.StackElement(stack=stack, index=index):
            return Operation("dereference_header_stack", StackName(stack.name), convert(index, parameters))
        case ex.LastElement(stack=stack):
            last = Operation("last_stack_index", None, stack_name(stack))
            return Operation("dereference_header_stack", StackName(stack.name), last)
    raise TypeError(f"{type(header).__name__} is no value")


def field_value(expression: ex.VariableValue | ex.FieldValue, parameters: ParameterIndex) -> Value:
    """The place of a scalar, without any conversion of booleans: a target, a key, an input."""
    if isinstance(expression, ex.VariableValue):
        variable = expression.variable
        if isinstance(variable.type, Varbit):
            return Field(variable.name, VARBIT_FIELD)
        return Field(SCALARS, variable.name)
    header, name = expression.header, expression.field.name
    match header:
        case ex.OneHeader(header=instance):
            return Field(instance.name, name)
        case ex.LastElement(stack=stack, member=member):
            element = stack.elements[0]
            if isinstance(element, HeaderUnion):
                return UnionStackField(stack.name, element.layout.members[member][0], name)
            return StackField(stack.name, name)
        case _:
            return Operation("access_field", header_value(header, parameters), expression.index)


def simple_value(expression: ex.Expression, parameters: ParameterIndex) -> Value | None:
    """What tables, keys, calculations and primitives take without computing: a field, a constant, a validity bit.

    Booleans are data here. None if the expression is anything else.
    """
    match expression:
        case ex.VariableValue() | ex.FieldValue():
            return field_value(expression, parameters)
        case ex.Constant(value=value, bits=bits):
            return _constant(value, bits)
        case ex.BooleanConstant(value=flag):
            return HexString(int(flag), 1)
        case ex.Valid(header=ex.OneHeader(header=instance)):
            return Field(instance.name, VALID_FIELD)
        case ex.ParameterValue(parameter=parameter):
            return RuntimeData(parameters[parameter])
        case ex.Lookahead(offset=offset, target=target):
            return LookaheadValue(offset, width_of(target))
        case ex.TextConstant(value=text):
            return StringValue(text)
    return None


def as_data(expression: ex.Expression, parameters: ParameterIndex) -> Value:
    """The value as a number: a boolean becomes 0 or 1."""
    if expression.type == BOOLEAN:
        simple = simple_value(expression, parameters)
        if simple is not None:
            return simple
        return Operation("b2d", None, convert(expression, parameters))
    return convert(expression, parameters)


def convert(expression: ex.Expression, parameters: ParameterIndex) -> Value:
    """The value of the expression; of a boolean one a BMv2 boolean."""
    match expression:
        case ex.BooleanConstant(value=flag):
            return BooleanValue(flag)
        case ex.VariableValue() | ex.FieldValue():
            return _read_field(expression, parameters)
        case ex.ParameterValue(parameter=parameter):
            value: Value = RuntimeData(parameters[parameter])
            # Runtime data is never negative: the sign has to be found again.
            return _wrap(value, expression.type) if _is_signed(expression.type) else _read(value, expression.type)
        case ex.Valid(header=ex.OneHeader(header=instance)):
            return Operation("d2b", None, Field(instance.name, VALID_FIELD))
        case ex.Valid(header=header):
            return Operation("valid", None, header_value(header, parameters))
        case ex.UnionValid(union=union):
            return Operation("valid_union", None, UnionName(union.name))
        case ex.LastIndex(stack=stack):
            return Operation("last_stack_index", None, stack_name(stack))
        case ex.Unary():
            return _unary(expression, parameters)
        case ex.Binary():
            return _binary(expression, parameters)
        case ex.Conditional(condition=condition, then=then, otherwise=otherwise):
            choice = Operation(
                "?", as_data(then, parameters), as_data(otherwise, parameters), convert(condition, parameters)
            )
            return _read(choice, expression.type)
        case ex.Slice(operand=operand, high=high, low=low):
            return _slice(convert(operand, parameters), high, low)
        case ex.Concat(left=left, right=right):
            return _concat(expression, left, right, parameters)
        case ex.Cast(target=target, operand=operand):
            return _cast(target, operand, parameters)
    simple = simple_value(expression, parameters)
    if simple is None:
        raise TypeError(f"{type(expression).__name__} is no value")
    return simple


# -- parts


def _is_signed(type_: Type) -> bool:
    return isinstance(type_, Bits) and type_.signed


def _constant(value: int, bits: Bits) -> HexString:
    return HexString(value, (bits.width + 7) // 8)


def _read(data: Value, type_: Type) -> Value:
    return Operation("d2b", None, data) if type_ == BOOLEAN else data


def _read_field(expression: ex.VariableValue | ex.FieldValue, parameters: ParameterIndex) -> Value:
    """A field's value; BMv2 has no signed fields of one bit, so that the sign must be found again."""
    place = field_value(expression, parameters)
    if expression.type == Bits(1, signed=True):
        return _wrap(place, expression.type)
    return _read(place, expression.type)


def _wrap(value: Value, type_: Type) -> Value:
    """Bring a number into the range of its type."""
    assert isinstance(type_, Bits)
    if type_.signed:
        return Operation("two_comp_mod", value, HexString(type_.width))
    return Operation("&", value, _mask(type_.width))


def _mask(width: int) -> HexString:
    return HexString((1 << width) - 1, (width + 7) // 8)


def _unary(expression: ex.Unary, parameters: ParameterIndex) -> Value:
    operand = convert(expression.operand, parameters)
    match expression.operator:
        case ex.UnaryOperator.NOT:
            return Operation("not", None, operand)
        case ex.UnaryOperator.COMPLEMENT:
            return _wrap(Operation("~", None, operand), expression.type)
        case ex.UnaryOperator.NEGATE:
            return _wrap(Operation("-", HexString(0), operand), expression.type)


_WORDS = {ex.BinaryOperator.LOGICAL_AND: "and", ex.BinaryOperator.LOGICAL_OR: "or"}
_CLOSED = frozenset({ex.BinaryOperator.AND, ex.BinaryOperator.OR, ex.BinaryOperator.XOR, ex.BinaryOperator.MOD})
"""Operators whose result cannot leave the range of their operands."""


def _binary(expression: ex.Binary, parameters: ParameterIndex) -> Value:
    operator = expression.operator
    if operator in ex.LOGICAL:
        return Operation(_WORDS[operator], convert(expression.left, parameters), convert(expression.right, parameters))
    left, right = as_data(expression.left, parameters), as_data(expression.right, parameters)
    if operator in ex.COMPARISONS:
        return Operation(operator.value, left, right)
    type_ = expression.type
    if operator in (ex.BinaryOperator.ADD_SAT, ex.BinaryOperator.SUB_SAT):
        assert isinstance(type_, Bits)
        exact = Operation("+" if operator is ex.BinaryOperator.ADD_SAT else "-", left, right)
        return Operation("sat_cast" if type_.signed else "usat_cast", exact, HexString(type_.width))
    if operator in (ex.BinaryOperator.SHL, ex.BinaryOperator.SHR):
        return _shift(expression, left, right)
    result = Operation(operator.value, left, right)
    return result if operator in _CLOSED else _wrap(result, type_)


def _shift(expression: ex.Binary, left: Value, right: Value) -> Value:
    amount = expression.right.type
    assert isinstance(amount, Bits) and isinstance(expression.type, Bits)
    shifted: Value
    if isinstance(expression.right, ex.Constant):
        bounded = HexString(min(expression.right.value, max(MAX_SHIFT, expression.type.width)))
        return _wrap(Operation(expression.operator.value, left, bounded), expression.type)
    if amount.width <= 8:
        return _wrap(Operation(expression.operator.value, left, right), expression.type)
    # Beyond the width the result does not change any more; stop there.
    limit = HexString(max(MAX_SHIFT, expression.type.width))
    bounded_amount = Operation("?", limit, right, Operation(">", right, limit))
    shifted = Operation(expression.operator.value, left, bounded_amount)
    return _wrap(shifted, expression.type)


def _slice(operand: Value, high: int, low: int) -> Value:
    shifted = Operation(">>", operand, HexString(low)) if low else operand
    return Operation("&", shifted, _mask(high - low + 1))


def _concat(expression: ex.Concat, left: ex.Expression, right: ex.Expression, parameters: ParameterIndex) -> Value:
    low_width = width_of(right.type)
    high = Operation("<<", convert(left, parameters), HexString(low_width))
    low = convert(right, parameters)
    if _is_signed(right.type):
        low = Operation("&", low, _mask(low_width))
    joined = Operation("|", high, low)
    return _wrap(joined, expression.type) if _is_signed(left.type) else joined


def _cast(target: Type, operand: ex.Expression, parameters: ParameterIndex) -> Value:
    source = operand.type
    if target == source:
        return convert(operand, parameters)
    if source == BOOLEAN:
        return as_data(operand, parameters)
    if target == BOOLEAN:
        return Operation("!=", convert(operand, parameters), HexString(0))
    assert isinstance(target, Bits) and isinstance(source, Bits)
    value = convert(operand, parameters)
    widens = target.width >= source.width and not (source.signed and not target.signed)
    if widens and not (target.signed and not source.signed and target.width == source.width):
        return value
    return _wrap(value, target)
