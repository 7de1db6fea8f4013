"""`p4.v1.P4Data` of the types that registers and digests hold (specification, "Representation of Arbitrary P4 Types").

The data plane knows numbers: a scalar is one, a struct or a tuple is those of its members, in their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from p4base import bytestring
from p4base.messages import p4d, p4t
from p4switch.service import wire
from p4switch.service.errors import Code, P4Error, invalid

# Field numbers of p4.v1.P4Data.
_BITSTRING = 1
_BOOL = 3
_TUPLE = 4
_STRUCT = 5
_ENUM = 10
_ERROR = 11
_ENUM_VALUE = 12

_MAX_DEPTH = 32

T = TypeVar("T")


class Codec(Protocol):
    """A type.

    Attributes:
        widths: the bits of each number that a value consists of.
    """

    @property
    def widths(self) -> tuple[int, ...]: ...

    def decode(self, data: p4d.P4Data, what: str) -> list[int]:
        """The data plane's numbers.

        Raises:
            P4Error: INVALID_ARGUMENT, the data is of another type; OUT_OF_RANGE, a value does not fit.
        """

    def to_wire(self, values: Sequence[int]) -> bytes:
        """The P4Data message of the data plane's numbers."""


def split(sample: bytes, widths: Sequence[int]) -> list[int]:
    """The numbers in a digest's sample, where each is padded to bytes."""
    values, at = [], 0
    for width in widths:
        size = bytestring.byte_width(width)
        values.append(int.from_bytes(sample[at : at + size], "big"))
        at += size
    return values


def pack(values: Sequence[int], widths: Sequence[int]) -> int:
    """Numbers side by side in one, the first in the highest bits: how a register's cell holds a struct."""
    number = 0
    for value, width in zip(values, widths, strict=True):
        number = number << width | value
    return number


def unpack(number: int, widths: Sequence[int]) -> list[int]:
    """The reverse of `pack`."""
    values = []
    for width in reversed(widths):
        values.append(number & (1 << width) - 1)
        number >>= width
    return values[::-1]


class ScalarCodec(msgspec.Struct, frozen=True):
    """A scalar type.

    Attributes:
        member: the field of P4Data that holds it: "bitstring", "bool" or "enum_value".
        signed: the type is int<bitwidth>; the data plane's number is its two's complement.
    """

    member: str
    bitwidth: int
    signed: bool = False

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.bitwidth,)

    def decode(self, data: p4d.P4Data, what: str) -> list[int]:
        member = data.WhichOneof("data")
        if member != self.member:
            raise invalid(f"{what}: the data is {member or 'unset'}, expected {self.member}")
        if member == "bool":
            return [int(data.bool)]
        value = data.bitstring if member == "bitstring" else data.enum_value
        try:
            if self.signed:
                return [bytestring.decode_signed(value, self.bitwidth) & (1 << self.bitwidth) - 1]
            return [bytestring.decode(value, self.bitwidth)]
        except bytestring.BytestringError as error:
            raise P4Error(Code.OUT_OF_RANGE, f"{what}: {error}") from None

    def to_wire(self, values: Sequence[int]) -> bytes:
        (value,) = values
        if self.member == "bool":
            return wire.tag(_BOOL, wire.VARINT) + wire.varint(int(value != 0))
        if self.signed:
            sign = 1 << (self.bitwidth - 1)
            data = bytestring.encode_signed((value ^ sign) - sign)
        else:
            data = bytestring.encode(value)
        return wire.bytes_field(_BITSTRING if self.member == "bitstring" else _ENUM_VALUE, data)


class NamedCodec(msgspec.Struct, frozen=True):
    """An enum without values of its own, or `error`: the controller's names, the data plane's numbers in 32 bits."""

    member: str
    names: tuple[str, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        return (32,)

    def decode(self, data: p4d.P4Data, what: str) -> list[int]:
        member = data.WhichOneof("data")
        name = data.enum if member == "enum" else data.error
        if member != self.member:
            raise invalid(f"{what}: the data is {member or 'unset'}, expected {self.member}")
        if name not in self.names:
            raise invalid(f"{what}: {name!r} is not one of {', '.join(self.names)}")
        return [self.names.index(name)]

    def to_wire(self, values: Sequence[int]) -> bytes:
        (value,) = values
        name = self.names[value] if value < len(self.names) else ""
        return wire.bytes_field(_ENUM if self.member == "enum" else _ERROR, name.encode())


class CompoundCodec(msgspec.Struct, frozen=True):
    """A struct or a tuple.

    Attributes:
        member: "struct" or "tuple".
        name: of the type, for messages.
    """

    member: str
    name: str
    members: tuple[Codec, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(width for member in self.members for width in member.widths)

    def decode(self, data: p4d.P4Data, what: str) -> list[int]:
        member = data.WhichOneof("data")
        if member != self.member:
            raise invalid(f"{what}: the data is {member or 'unset'}, expected {self.member} ({self.name})")
        given = getattr(data, self.member).members
        if len(given) != len(self.members):
            raise invalid(f"{what}: {len(given)} members, expected the {len(self.members)} of {self.name}")
        return [
            value
            for i, (codec, item) in enumerate(zip(self.members, given, strict=True))
            for value in codec.decode(item, f"{what}: member {i}")
        ]

    def to_wire(self, values: Sequence[int]) -> bytes:
        parts, at = [], 0
        for codec in self.members:
            count = len(codec.widths)
            parts.append(wire.bytes_field(1, codec.to_wire(values[at : at + count])))
            at += count
        return wire.bytes_field(_STRUCT if self.member == "struct" else _TUPLE, b"".join(parts))


def make_codec(spec: p4t.P4DataTypeSpec, types: p4t.P4TypeInfo, depth: int = 0) -> Codec | None:
    """The codec of a type, or None if it is one that BMv2 cannot keep in a register or send in a digest."""
    if depth > _MAX_DEPTH:  # a type that contains itself
        return None
    match spec.WhichOneof("type_spec"):
        case "bitstring":
            return _bitstring(spec.bitstring)
        case "bool":
            return ScalarCodec("bool", 1)
        case "serializable_enum":
            enum = _lookup(types.serializable_enums, spec.serializable_enum.name)
            return None if enum is None else ScalarCodec("enum_value", enum.underlying_type.bitwidth)
        case "enum":
            plain = _lookup(types.enums, spec.enum.name)
            return None if plain is None else NamedCodec("enum", tuple(member.name for member in plain.members))
        case "error":
            return NamedCodec("error", tuple(types.error.members))
        case "new_type":
            return _new_type(spec, types, depth)
        case "struct":
            struct = _lookup(types.structs, spec.struct.name)
            if struct is None:
                return None
            specs = [member.type_spec for member in struct.members]
            return _compound("struct", spec.struct.name, specs, types, depth)
        case "tuple":
            return _compound("tuple", "the tuple", list(spec.tuple.members), types, depth)
        case _:
            return None


def _bitstring(bits: p4t.P4BitstringLikeTypeSpec) -> Codec | None:
    if bits.HasField("bit"):
        return ScalarCodec("bitstring", bits.bit.bitwidth)
    if bits.HasField("int"):
        return ScalarCodec("bitstring", bits.int.bitwidth, signed=True)
    return None


def _new_type(spec: p4t.P4DataTypeSpec, types: p4t.P4TypeInfo, depth: int) -> Codec | None:
    new_type = _lookup(types.new_types, spec.new_type.name)
    if new_type is None:
        return None
    if new_type.WhichOneof("representation") == "original_type":
        return make_codec(new_type.original_type, types, depth + 1)
    width = new_type.translated_type.sdn_bitwidth
    return ScalarCodec("bitstring", width) if width else None


def _compound(
    member: str, name: str, specs: Sequence[p4t.P4DataTypeSpec], types: p4t.P4TypeInfo, depth: int
) -> Codec | None:
    members = list(_members(specs, types, depth))
    if any(codec is None for codec in members):
        return None
    return CompoundCodec(member, name, tuple(codec for codec in members if codec is not None))


def _members(specs: Sequence[p4t.P4DataTypeSpec], types: p4t.P4TypeInfo, depth: int) -> Iterator[Codec | None]:
    for spec in specs:
        yield make_codec(spec, types, depth + 1)


def _lookup(by_name: Mapping[str, T], name: str) -> T | None:
    """`get` of a protobuf map creates nothing, unlike its index operator."""
    return by_name.get(name)
