"""The exact range of an expression's value, in unbounded integers as BMv2 computes, so that C types can be chosen."""

from __future__ import annotations

from p4switch.bmv2 import model
from p4switch.codegen.errors import UnsupportedError

MAX_PRECISION = 16384

Range = tuple[int, int]


def unsigned(width: int) -> Range:
    return 0, (1 << width) - 1


def signed(width: int) -> Range:
    return -(1 << (width - 1)), (1 << (width - 1)) - 1


def signed_bits(bounds: Range) -> int:
    """Bits of the two's complement type that holds every value in `bounds`."""
    low, high = bounds
    return max((~low if low < 0 else low).bit_length(), (~high if high < 0 else high).bit_length()) + 1


def range_of(expr: model.Expr) -> Range:
    """Least and greatest value that `expr` can have."""
    match expr:
        case (
            model.FieldRef(_, decl)
            | model.StackFieldRef(_, decl)
            | model.ElementField(_, decl)
            | model.UnionStackFieldRef(_, _, decl)
        ):
            return signed(decl.width) if decl.signed else unsigned(decl.width)
        case model.Const(value, _):
            return value, value
        case model.Param(_, width) | model.Lookahead(_, width):
            return unsigned(width)
        case model.RegisterRef():
            return unsigned(64)
        case model.Unary("b2d", _):
            return 0, 1
        case model.Unary("~", operand):
            low, high = range_of(operand)
            return ~high, ~low
        case model.Unary("last_stack_index", _):
            return unsigned(64)
        case model.Unary("size_stack", _):
            return unsigned(32)
        case model.Ternary(_, left, right):
            (low1, high1), (low2, high2) = range_of(left), range_of(right)
            return min(low1, low2), max(high1, high2)
        case model.Binary(op, left, right):
            return _binary(op, range_of(left), range_of(right))
    raise AssertionError(f"no range: {expr}")


def _binary(op: str, left: Range, right: Range) -> Range:
    low, high = left
    match op:
        case "+":
            return low + right[0], high + right[1]
        case "-":
            return low - right[1], high - right[0]
        case "*":
            corners = [a * b for a in left for b in right]
            return min(corners), max(corners)
        case "/":
            if low >= 0 and right[0] >= 0:
                return 0, high
            most = max(-low, high, 0)
            return -most, most
        case "%":
            if low >= 0 and right[0] >= 0:
                return 0, max(min(high, right[1] - 1), 0)
            return min(low, 0), max(high, 0)
        case "&":
            if low >= 0 and right[0] >= 0:
                return 0, min(high, right[1])
            if low >= 0 or right[0] >= 0:
                return 0, high if low >= 0 else right[1]
            return signed(max(signed_bits(left), signed_bits(right)))
        case "|" | "^":
            if low >= 0 and right[0] >= 0:
                return 0, (1 << max(high.bit_length(), right[1].bit_length())) - 1
            return signed(max(signed_bits(left), signed_bits(right)))
        case "<<":
            most, least = min(max(right[1], 0), MAX_PRECISION), max(min(right[0], MAX_PRECISION), 0)
            corners = [low << most, low << least, high << most, high << least]
            return min(corners), max(corners)
        case ">>":
            most, least = min(max(right[1], 0), MAX_PRECISION), max(min(right[0], MAX_PRECISION), 0)
            corners = [low >> most, low >> least, high >> most, high >> least]
            return min(corners), max(corners)
        case "two_comp_mod":
            least, most = signed(_width(right))
            return left if low >= least and high <= most else (least, most)
        case "sat_cast":
            least, most = signed(_width(right))
            return min(max(low, least), most), max(min(high, most), least)
        case "usat_cast":
            most = (1 << _width(right)) - 1
            return min(max(low, 0), most), max(min(high, most), 0)
    raise AssertionError(f"no range: {op}")


def _width(bounds: Range) -> int:
    if bounds[0] != bounds[1] or not 0 < bounds[0] <= MAX_PRECISION:
        raise UnsupportedError("expression", "a cast needs a constant width")
    return bounds[0]
