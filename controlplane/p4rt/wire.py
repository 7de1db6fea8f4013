"""Protocol Buffers' wire format, as far as entities need it (protobuf.dev, "Encoding").

A node holds hundreds of thousands of entities. Making a message object for each, copying it into a request and serializing it takes
several times what writing its bytes takes; and read-back entities are compared as bytes, without making messages of them at all. Field
numbers come from the generated messages, and a property test compares the bytes with those that protobuf makes.
"""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5

_SMALL = tuple(bytes([number]) for number in range(128))


class WireError(ValueError):
    """The bytes are not a message."""


def varint(number: int) -> bytes:
    """A non-negative number, seven bits a byte, the lowest first."""
    if number < 128:
        return _SMALL[number]
    if 1 << 28 <= number < 1 << 35:  # what most numbers of 32 bits are
        return bytes(
            (
                number & 127 | 128,
                number >> 7 & 127 | 128,
                number >> 14 & 127 | 128,
                number >> 21 & 127 | 128,
                number >> 28,
            )
        )
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def delimited(tag: bytes, data: bytes) -> bytes:
    """A field that holds bytes or a message: its tag, its length, and it."""
    length = len(data)
    return tag + (_SMALL[length] if length < 128 else varint(length)) + data


def nested(tag: bytes, head: bytes, data: bytes) -> bytes:
    """A field that holds a message: its tag, and of the message all that comes before the length of its last field, and that field."""
    length = len(data)
    if length < 64 and len(head) < 32:
        return tag + _SMALL[len(head) + 1 + length] + head + _SMALL[length] + data
    return delimited(tag, delimited(head, data))


def tag(message: Descriptor, field: str, wire_type: int) -> bytes:
    """What a field of a message begins with."""
    return varint(message.fields_by_name[field].number << 3 | wire_type)


def split(message: bytes, number: int) -> Iterator[bytes]:
    """The values of the repeated length-delimited field `number`, in order; other fields are passed over.

    Raises:
        WireError
    """
    wanted = number << 3 | DELIMITED
    at, end = 0, len(message)
    while at < end:
        found, at = read_varint(message, at)
        if found & 7 == DELIMITED:
            length, at = read_varint(message, at)
            if at + length > end:
                raise WireError("a field is longer than its message")
            if found == wanted:
                yield message[at : at + length]
            at += length
        elif found & 7 == VARINT:
            _, at = read_varint(message, at)
        elif found & 7 in (FIXED32, FIXED64):
            at += 4 if found & 7 == FIXED32 else 8
            if at > end:
                raise WireError("a field is longer than its message")
        else:
            raise WireError(f"wire type {found & 7} is not known")


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A varint at an offset, and the offset after it."""
    try:
        byte = data[at]
        if byte < 128:
            return byte, at + 1
        number, shift = byte & 127, 7
        while True:
            at += 1
            byte = data[at]
            number |= (byte & 127) << shift
            if byte < 128:
                return number, at + 1
            shift += 7
            if shift > 63:
                raise WireError("a number has no end")
    except IndexError:
        raise WireError("the message ends in a number") from None
