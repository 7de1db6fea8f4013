"""Canonical byte strings: the specification's examples, and round trips."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4base.bytestring import (
    BytestringError,
    byte_width,
    canonical,
    decode,
    decode_signed,
    encode,
    encode_signed,
    pack,
)


@pytest.mark.parametrize(
    ("data", "bitwidth", "value"),
    [
        (b"\x63", 8, 99),
        (b"\x00\x63", 16, 99),
        (b"\x30\x64", 16, 12388),
        (b"\x00\x30\x64", 16, 12388),
        (b"\x00\x63", 12, 99),
        (b"\x00\x00\x63", 12, 99),
    ],
)
def test_valid_examples_of_the_specification(data: bytes, bitwidth: int, value: int) -> None:
    assert decode(data, bitwidth) == value


@pytest.mark.parametrize(
    ("data", "bitwidth"),
    [
        (b"\x01\x63", 8),
        (b"", 8),
        (b"\x01\x00\x63", 16),
        (b"\x10\x63", 12),
        (b"\x01\x00\x63", 12),
        (b"\x00\x40\x63", 12),
    ],
)
def test_invalid_examples_of_the_specification(data: bytes, bitwidth: int) -> None:
    with pytest.raises(BytestringError):
        decode(data, bitwidth)
    with pytest.raises(BytestringError):
        pack(data, bitwidth)


@pytest.mark.parametrize(
    ("data", "bitwidth", "value", "shortest"),
    [
        (b"\x63", 8, 99, True),
        (b"\x9d", 8, -99, True),
        (b"\xff\x9d", 8, -99, False),
        (b"\xfd\x1d", 12, -739, True),
        (b"\x00\x00", 16, 0, False),
        (b"\x00", 16, 0, True),
    ],
)
def test_signed_examples_of_the_specification(data: bytes, bitwidth: int, value: int, shortest: bool) -> None:
    assert decode_signed(data, bitwidth) == value
    assert (encode_signed(value) == data) is shortest


@pytest.mark.parametrize(("data", "bitwidth"), [(b"\x00\x9d", 8), (b"\x8d\x1d", 12), (b"", 16)])
def test_invalid_signed_examples_of_the_specification(data: bytes, bitwidth: int) -> None:
    with pytest.raises(BytestringError):
        decode_signed(data, bitwidth)


@given(st.integers(0, 2**130 - 1), st.integers(0, 4))
def test_round_trip_with_any_leading_zeros(value: int, zeros: int) -> None:
    bitwidth = max(1, value.bit_length())
    data = encode(value)
    assert len(data) == 1 or data[0] != 0
    padded = b"\0" * zeros + data
    assert decode(padded, bitwidth) == value
    packed = pack(padded, bitwidth)
    assert len(packed) == byte_width(bitwidth)
    assert canonical(packed) == data
    if value:
        with pytest.raises(BytestringError):
            decode(padded, bitwidth - 1)


@given(st.integers(-(2**70), 2**70))
def test_signed_round_trip(value: int) -> None:
    data = encode_signed(value)
    assert decode_signed(data, 72) == value
    if len(data) > 1:
        assert int.from_bytes(data[1:], "big", signed=True) != value, "a shorter form exists"


def test_negative_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        encode(-1)
