"""Arithmetic on compile-time values, as the specification defines it (sections 8.5 to 8.8): pure functions."""

from __future__ import annotations

from p4compiler.diagnostics import Kind
from p4compiler.syntax.ast import BinaryOperator
from p4compiler.types import model
from p4compiler.types.checked import Value

MAX_BITS = 1 << 13
"""A constant `int` may grow to this many bits; beyond it somebody is playing with shifts."""


class EvaluationError(Exception):
    """The operation has no value: a division by zero, a number too large. The message and its kind are for the user."""

    def __init__(self, message: str, kind: Kind = Kind.EXPRESSION) -> None:
        super().__init__(message)
        self.kind = kind


def wrap(value: int, type_: model.Type) -> int:
    """`value` cut to the type's width: modulo 2**width, in two's complement if the type is signed."""
    if not isinstance(type_, model.BitsType):
        return value
    value &= (1 << type_.width) - 1
    if type_.signed and type_.width and value >> (type_.width - 1):
        value -= 1 << type_.width
    return value


def fits(value: int, type_: model.BitsType) -> bool:
    """`value` can be held without loss."""
    return wrap(value, type_) == value


def saturate(value: int, type_: model.Type) -> int:
    """`value` limited to what the type can hold."""
    assert isinstance(type_, model.BitsType)
    low, high = limits(type_)
    return min(max(value, low), high)


def limits(type_: model.BitsType) -> tuple[int, int]:
    """The least and the greatest value of the type."""
    if type_.signed:
        return (-(1 << (type_.width - 1)), (1 << (type_.width - 1)) - 1) if type_.width else (0, 0)
    return 0, (1 << type_.width) - 1


def binary(operator: BinaryOperator, left: Value, right: Value, type_: model.Type) -> Value | None:
    """The value of `left operator right`, where `type_` is the type of the (converted) operands, of the left for shifts.

    None if the operator is none that gives a plain value (masks, ranges, concatenation of numbers, see `concatenate`).

    Raises:
        EvaluationError: there is no such value.
    """
    match operator:
        case BinaryOperator.EQ:
            return left == right
        case BinaryOperator.NE:
            return left != right
        case BinaryOperator.LOGICAL_AND:
            return bool(left and right)
        case BinaryOperator.LOGICAL_OR:
            return bool(left or right)
    if isinstance(left, str) and isinstance(right, str) and operator is BinaryOperator.CONCAT:
        return left + right
    if isinstance(left, bool) or isinstance(right, bool) or not isinstance(left, int) or not isinstance(right, int):
        return None
    return _arithmetic(operator, left, right, type_)


def _arithmetic(operator: BinaryOperator, left: int, right: int, type_: model.Type) -> Value | None:
    match operator:
        case BinaryOperator.ADD:
            result = left + right
        case BinaryOperator.SUB:
            result = left - right
        case BinaryOperator.MUL:
            result = left * right
        case BinaryOperator.DIV | BinaryOperator.MOD:
            if right == 0:
                raise EvaluationError("division by zero", Kind.INVALID)
            if left < 0 or right < 0:
                raise EvaluationError("division is not defined for negative numbers", Kind.INVALID)
            result = left // right if operator is BinaryOperator.DIV else left % right
        case BinaryOperator.ADD_SAT:
            return saturate(left + right, type_)
        case BinaryOperator.SUB_SAT:
            return saturate(left - right, type_)
        case BinaryOperator.SHL | BinaryOperator.SHR:
            return _shift(operator, left, right, type_)
        case BinaryOperator.AND:
            result = left & right
        case BinaryOperator.OR:
            result = left | right
        case BinaryOperator.XOR:
            result = left ^ right
        case BinaryOperator.LT:
            return left < right
        case BinaryOperator.LE:
            return left <= right
        case BinaryOperator.GT:
            return left > right
        case BinaryOperator.GE:
            return left >= right
        case _:
            return None
    if result.bit_length() > MAX_BITS:
        raise EvaluationError(f"the value needs more than {MAX_BITS} bits")
    return wrap(result, type_)


def _shift(operator: BinaryOperator, left: int, right: int, type_: model.Type) -> int:
    if right < 0:
        raise EvaluationError(f"shift by a negative amount: {right}", Kind.INVALID)
    if isinstance(type_, model.BitsType):
        right = min(right, type_.width)
    elif right > MAX_BITS and operator is BinaryOperator.SHL:
        raise EvaluationError(f"shift by {right} is too large", Kind.UNSUPPORTED)
    if operator is BinaryOperator.SHR:
        return left >> min(right, left.bit_length() + 1)
    result = wrap(left << right, type_)
    if result.bit_length() > MAX_BITS:
        raise EvaluationError(f"the value needs more than {MAX_BITS} bits")
    return result


def concatenate(left: int, left_width: int, right: int, right_width: int, type_: model.BitsType) -> int:
    """The bits of `left` above those of `right`."""
    high = left & ((1 << left_width) - 1)
    low = right & ((1 << right_width) - 1)
    return wrap(high << right_width | low, type_)


def cast(value: Value, source: model.Type, target: model.Type) -> Value | None:
    """`(target)value`; None if the pair of types has no compile-time conversion here."""
    while isinstance(target, model.NewType):
        target = target.underlying
    if isinstance(target, model.BoolType):
        return bool(value) if isinstance(value, int) else None
    if isinstance(value, bool):
        return int(value) if isinstance(target, model.BitsType | model.InfIntType) else None
    if isinstance(value, int):
        return wrap(value, target) if isinstance(target, model.BitsType | model.InfIntType) else None
    return value if source == target else None


def slice_bits(value: int, high: int, low: int) -> int:
    """Bits `high` down to `low`."""
    return (value >> low) & ((1 << (high - low + 1)) - 1)
