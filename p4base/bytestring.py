"""Canonical byte strings (P4Runtime specification, "Bytestrings").

A value is sent as the shortest big-endian byte string that holds it; zero is one zero byte. A receiver accepts
any leading zero bytes, but not the empty string and not a value wider than the field.
"""

from __future__ import annotations


class BytestringError(ValueError):
    """The byte string is empty or does not fit the declared width."""


def encode(value: int) -> bytes:
    """The canonical byte string of a non-negative `value`.

    Raises:
        ValueError: `value` is negative.
    """
    if value < 0:
        raise ValueError(f"a P4Runtime value cannot be negative: {value}")
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def decode(data: bytes, bitwidth: int) -> int:
    """The number in `data`, for a field of `bitwidth` bits; a width of 0 (an SDN string) is not accepted here.

    Raises:
        BytestringError: `data` is empty or its value needs more than `bitwidth` bits.
    """
    if not data:
        raise BytestringError("empty byte string")
    value = int.from_bytes(data, "big")
    if value >> bitwidth:
        raise BytestringError(f"value 0x{value:x} does not fit in {bitwidth} bits")
    return value
