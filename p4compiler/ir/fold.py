"""Constructors of expressions that compute what is known at once.

Used wherever an expression is made, so that constants meet constants as early as possible. Arithmetic is P4's: wrapping for
bit<W> and int<W>, saturating where asked for, shifts beyond the width.
"""

from __future__ import annotations

from p4compiler.ir import expressions as ex
from p4compiler.ir.types import BOOLEAN, Bits, Boolean, Type
from p4compiler.source import Span


def wrap(value: int, bits: Bits) -> int:
    """The number of that type that is equal to `value` modulo 2**width."""
    value &= (1 << bits.width) - 1
    if bits.signed and value >> (bits.width - 1) & 1:
        value -= 1 << bits.width
    return value


def saturate(value: int, bits: Bits) -> int:
    """The number of that type that is closest to `value`."""
    low, high = (-(1 << (bits.width - 1)), (1 << (bits.width - 1)) - 1) if bits.signed else (0, (1 << bits.width) - 1)
    return max(low, min(high, value))


def constant(value: int | bool, type_: Type, span: Span) -> ex.Expression:
    """A constant of a scalar type."""
    if isinstance(type_, Boolean):
        return ex.BooleanConstant(span, bool(value))
    assert isinstance(type_, Bits)
    return ex.Constant(span, wrap(int(value), type_), type_)


def is_constant(expression: ex.Expression) -> bool:
    return isinstance(expression, ex.Constant | ex.BooleanConstant | ex.TextConstant)


def unary(operator: ex.UnaryOperator, operand: ex.Expression, span: Span) -> ex.Expression:
    match operand:
        case ex.BooleanConstant(value=flag) if operator is ex.UnaryOperator.NOT:
            return ex.BooleanConstant(span, not flag)
        case ex.Unary(operator=ex.UnaryOperator.NOT, operand=inner) if operator is ex.UnaryOperator.NOT:
            return inner
        case ex.Constant(value=value, bits=bits):
            return ex.Constant(span, wrap(~value if operator is ex.UnaryOperator.COMPLEMENT else -value, bits), bits)
    return ex.Unary(span, operator, operand)


def binary(operator: ex.BinaryOperator, left: ex.Expression, right: ex.Expression, span: Span) -> ex.Expression:
    if operator in ex.LOGICAL:
        return _logical(operator, left, right, span)
    if isinstance(left, ex.Constant) and isinstance(right, ex.Constant):
        folded = _arithmetic(operator, left.value, right.value, left.bits)
        if folded is not None:
            if isinstance(folded, bool):
                return ex.BooleanConstant(span, folded)
            return ex.Constant(span, folded, left.bits)
    if isinstance(left, ex.BooleanConstant) and isinstance(right, ex.BooleanConstant):
        equal = left.value == right.value
        return ex.BooleanConstant(span, equal if operator is ex.BinaryOperator.EQ else not equal)
    return _identity(operator, left, right) or ex.Binary(span, operator, left, right)


def _logical(operator: ex.BinaryOperator, left: ex.Expression, right: ex.Expression, span: Span) -> ex.Expression:
    decisive = operator is ex.BinaryOperator.LOGICAL_OR
    if isinstance(left, ex.BooleanConstant):
        return left if left.value is decisive else right
    if isinstance(right, ex.BooleanConstant):
        # The left side has no effects: it may go.
        return right if right.value is decisive else left
    return ex.Binary(span, operator, left, right)


def _identity(operator: ex.BinaryOperator, left: ex.Expression, right: ex.Expression) -> ex.Expression | None:
    """`x & ones`, `x | 0`, `x + 0`, `x << 0` and the like."""
    op = ex.BinaryOperator
    if isinstance(right, ex.Constant):
        if right.value == 0 and operator in (op.ADD, op.SUB, op.OR, op.XOR, op.SHL, op.SHR):
            return left
        if right.value == 1 and operator in (op.MUL, op.DIV):
            return left
        if operator is op.AND and right.value == wrap(-1, right.bits):
            return left
        if operator is op.AND and right.value == 0:
            return right
    if isinstance(left, ex.Constant):
        if left.value == 0 and operator in (op.ADD, op.OR, op.XOR):
            return right
        if operator is op.AND and left.value == wrap(-1, left.bits):
            return right
    return None


def _arithmetic(operator: ex.BinaryOperator, left: int, right: int, bits: Bits) -> int | bool | None:
    """None where the result is not defined (division by zero)."""
    op = ex.BinaryOperator
    result: int
    match operator:
        case op.EQ:
            return left == right
        case op.NE:
            return left != right
        case op.LT:
            return left < right
        case op.LE:
            return left <= right
        case op.GT:
            return left > right
        case op.GE:
            return left >= right
        case op.ADD_SAT:
            return saturate(left + right, bits)
        case op.SUB_SAT:
            return saturate(left - right, bits)
        case op.DIV | op.MOD:
            if right == 0 or left < 0 or right < 0:
                return None
            result = left // right if operator is op.DIV else left % right
        case op.SHL:
            result = 0 if right >= bits.width else left << right
        case op.SHR:
            result = left >> min(right, bits.width)
        case op.ADD:
            result = left + right
        case op.SUB:
            result = left - right
        case op.MUL:
            result = left * right
        case op.AND:
            result = left & right
        case op.OR:
            result = left | right
        case op.XOR:
            result = left ^ right
        case _:
            return None
    return wrap(result, bits)


def conjunction(parts: list[ex.Expression], span: Span) -> ex.Expression:
    """All of the parts; true if there is none."""
    result: ex.Expression = ex.BooleanConstant(span, True)
    for part in parts:
        result = binary(ex.BinaryOperator.LOGICAL_AND, result, part, span)
    return result


def disjunction(parts: list[ex.Expression], span: Span) -> ex.Expression:
    """Any of the parts; false if there is none."""
    result: ex.Expression = ex.BooleanConstant(span, False)
    for part in parts:
        result = binary(ex.BinaryOperator.LOGICAL_OR, result, part, span)
    return result


def conditional(condition: ex.Expression, then: ex.Expression, otherwise: ex.Expression, span: Span) -> ex.Expression:
    if isinstance(condition, ex.BooleanConstant):
        return then if condition.value else otherwise
    return ex.Conditional(span, condition, then, otherwise)


def slice_of(operand: ex.Expression, high: int, low: int, span: Span) -> ex.Expression:
    """`operand[high:low]`"""
    if isinstance(operand, ex.Constant):
        bits = Bits(high - low + 1)
        return ex.Constant(span, wrap(operand.value >> low, bits), bits)
    type_ = operand.type
    assert isinstance(type_, Bits)
    if isinstance(operand, ex.Slice):
        return ex.Slice(span, operand.operand, operand.low + high, operand.low + low)
    if low == 0 and high == type_.width - 1:
        return cast(operand, Bits(type_.width), span)
    return ex.Slice(span, operand, high, low)


def concat(left: ex.Expression, right: ex.Expression, span: Span) -> ex.Expression:
    if isinstance(left, ex.Constant) and isinstance(right, ex.Constant):
        bits = Bits(left.bits.width + right.bits.width, left.bits.signed)
        low = right.value & ((1 << right.bits.width) - 1)
        return ex.Constant(span, wrap(left.value << right.bits.width | low, bits), bits)
    return ex.Concat(span, left, right)


def cast(operand: ex.Expression, target: Type, span: Span) -> ex.Expression:
    """To another scalar type, as P4 casts."""
    if operand.type == target:
        return operand
    match operand:
        case ex.Constant(value=value):
            if target == BOOLEAN:
                return ex.BooleanConstant(span, value != 0)
            return constant(value, target, span)
        case ex.BooleanConstant(value=flag):
            return constant(flag, target, span)
    return ex.Cast(span, target, operand)
