"""Folding against Python's integers, and the shapes it leaves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from p4compiler.ir import expressions as ex
from p4compiler.ir import fold
from p4compiler.ir.types import Bits
from p4compiler.source import SourceFile, Span

SPAN = Span(SourceFile("test.p4", ""), 0, 0)
OPERATORS = {
    ex.BinaryOperator.ADD: lambda a, b: a + b,
    ex.BinaryOperator.SUB: lambda a, b: a - b,
    ex.BinaryOperator.MUL: lambda a, b: a * b,
    ex.BinaryOperator.AND: lambda a, b: a & b,
    ex.BinaryOperator.OR: lambda a, b: a | b,
    ex.BinaryOperator.XOR: lambda a, b: a ^ b,
}


def number(value: int, bits: Bits) -> ex.Constant:
    return ex.Constant(SPAN, fold.wrap(value, bits), bits)


@given(
    some.integers(1, 70),
    some.booleans(),
    some.integers(),
    some.integers(),
    some.sampled_from(sorted(OPERATORS, key=str)),
)
def test_arithmetic_wraps(width: int, signed: bool, left: int, right: int, operator: ex.BinaryOperator) -> None:
    bits = Bits(width, signed)
    a, b = number(left, bits), number(right, bits)
    folded = fold.binary(operator, a, b, SPAN)
    assert isinstance(folded, ex.Constant)
    exact = OPERATORS[operator](a.value, b.value)
    assert (folded.value - exact) % (1 << width) == 0
    assert folded.value == fold.wrap(folded.value, bits)


@given(some.integers(1, 70), some.booleans(), some.integers(), some.integers())
def test_saturation_stops_at_the_ends(width: int, signed: bool, left: int, right: int) -> None:
    bits = Bits(width, signed)
    a, b = number(left, bits), number(right, bits)
    low, high = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
    folded = fold.binary(ex.BinaryOperator.ADD_SAT, a, b, SPAN)
    assert isinstance(folded, ex.Constant) and folded.value == max(low, min(high, a.value + b.value))


@given(some.integers(1, 70), some.integers(0), some.data())
def test_slices_and_concatenation_are_inverse(width: int, value: int, data: some.DataObject) -> None:
    bits = Bits(width)
    whole = number(value, bits)
    if width == 1:
        return
    cut = data.draw(some.integers(1, width - 1))
    high, low = fold.slice_of(whole, width - 1, cut, SPAN), fold.slice_of(whole, cut - 1, 0, SPAN)
    joined = fold.concat(high, low, SPAN)
    assert isinstance(joined, ex.Constant) and joined.value == whole.value and joined.bits == bits


@given(some.integers(1, 70), some.booleans(), some.integers(1, 70), some.booleans(), some.integers())
def test_casts_keep_the_low_bits(width: int, signed: bool, to_width: int, to_signed: bool, value: int) -> None:
    source = number(value, Bits(width, signed))
    cast = fold.cast(source, Bits(to_width, to_signed), SPAN)
    assert isinstance(cast, ex.Constant)
    assert (cast.value - source.value) % (1 << to_width) == 0


def test_shifts_beyond_the_width() -> None:
    far = number(200, Bits(8))
    left = fold.binary(ex.BinaryOperator.SHL, number(255, Bits(8)), far, SPAN)
    right = fold.binary(ex.BinaryOperator.SHR, number(-1, Bits(8, True)), far, SPAN)
    assert isinstance(left, ex.Constant) and left.value == 0
    assert isinstance(right, ex.Constant) and right.value == -1


def test_division_by_zero_is_left_alone() -> None:
    division = fold.binary(ex.BinaryOperator.DIV, number(1, Bits(8)), number(0, Bits(8)), SPAN)
    assert isinstance(division, ex.Binary)
