"""Protobuf's wire format, as far as building answers and taking requests apart needs it.

A read of 100,000 entries would spend most of its time in creating message objects; the service writes their bytes
itself. Tests hold every encoder here against the generated classes.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT = 0
BYTES = 2

_FIXED_SIZES = {1: 8, 5: 4}
_SMALL = [bytes([n]) for n in range(128)]


class WireError(ValueError):
    """The bytes are not a protobuf message."""


def varint(n: int) -> bytes:
    """`n`, taken modulo 2**64 (so that a negative int32/int64 is written as protobuf does), as a varint."""
    if 0 <= n < 128:
        return _SMALL[n]
    n &= (1 << 64) - 1
    out = bytearray()
    while n >= 128:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def tag(number: int, wire_type: int) -> bytes:
    """The tag of field `number`."""
    return varint(number << 3 | wire_type)


def bytes_field(number: int, payload: bytes) -> bytes:
    """A field of type bytes, string or message; written even if empty."""
    return tag(number, BYTES) + varint(len(payload)) + payload


def varint_field(number: int, value: int) -> bytes:
    """An integer, enum or bool field; nothing if it is 0, as proto3 has it."""
    return tag(number, VARINT) + varint(value) if value else b""


def bytes_prefixes(outer: bytes, number: int, max_length: int, *, enclosing: tuple[int, ...] = ()) -> list[bytes]:
    """For each length 0..`max_length` of a value, everything that precedes the value's bytes.

    The value is field `number` of a message whose other fields, `outer`, come before it; that message is enclosed in the
    messages whose field numbers `enclosing` lists, innermost first. An element of `enclosing` wraps all written so far.
    """
    prefixes = []
    for length in range(max_length + 1):
        prefix = outer + tag(number, BYTES) + varint(length)
        for enclosing_number in enclosing:
            prefix = tag(enclosing_number, BYTES) + varint(len(prefix) + length) + prefix
        prefixes.append(prefix)
    return prefixes


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message, as (number, value): an int for varints, bytes for everything else.

    Raises:
        WireError: `data` is not a message.
    """
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise WireError("field number 0")
        if wire_type == VARINT:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        if wire_type == BYTES:
            length, at = _read_varint(data, at)
        elif wire_type in _FIXED_SIZES:
            length = _FIXED_SIZES[wire_type]
        else:
            raise WireError(f"wire type {wire_type}")
        if at + length > len(data):
            raise WireError("truncated field")
        yield number, data[at : at + length]
        at += length


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        if at >= len(data):
            raise WireError("truncated varint")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise WireError("varint too long")
