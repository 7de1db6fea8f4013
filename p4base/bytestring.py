"""Canonical byte strings (P4Runtime specification, "Bytestrings").

A value is sent as the shortest big-endian byte string that holds it; zero is one zero byte. A receiver accepts
any leading zero bytes, but not the empty string and not a value wider than the field.

Three forms of one value meet here: a number (`encode`, `decode`), the canonical byte string (what travels), and the
packed byte string of ceil(width / 8) bytes (what a data plane holds; `pack`, `canonical`).
"""

from __future__ import annotations


class BytestringError(ValueError):
    """The byte string is empty or does not fit the declared width."""


def byte_width(bitwidth: int) -> int:
    """Bytes that a packed value of `bitwidth` bits takes."""
    return (bitwidth + 7) // 8


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
        raise BytestringError(f"0x{value:x} does not fit in {bitwidth} bits")
    return value


def pack(data: bytes, bitwidth: int) -> bytes:
    """`data`, with or without leading zeros, as the ceil(`bitwidth` / 8) bytes of a field of `bitwidth` bits.

    Raises:
        BytestringError: `data` is empty or its value needs more than `bitwidth` bits.
    """
    return decode(data, bitwidth).to_bytes(byte_width(bitwidth), "big")


def canonical(packed: bytes) -> bytes:
    """The canonical byte string of a packed value: its leading zero bytes removed, but never the last byte.

    The empty string, which is no value, stays empty.
    """
    return packed.lstrip(b"\0") or packed[-1:]


def encode_signed(value: int) -> bytes:
    """The canonical byte string of an `int<W>` value: the shortest two's complement form."""
    bits = (value if value >= 0 else ~value).bit_length() + 1
    return value.to_bytes((bits + 7) // 8, "big", signed=True)


def decode_signed(data: bytes, bitwidth: int) -> int:
    """The number in `data`, for a field of type `int<bitwidth>`, any sign extension accepted.

    Raises:
        BytestringError: `data` is empty or its value needs more than `bitwidth` bits.
    """
    if not data:
        raise BytestringError("empty byte string")
    value = int.from_bytes(data, "big", signed=True)
    if not -(1 << (bitwidth - 1)) <= value < 1 << (bitwidth - 1):
        raise BytestringError(f"{value} does not fit in a signed field of {bitwidth} bits")
    return value
