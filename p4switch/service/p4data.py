"""`p4.v1.P4Data` of the types that a BMv2 register can hold (specification, "Representation of Arbitrary P4 Types").

BMv2 keeps a register's cell as one number of a fixed width, so that only the scalar types occur.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4base import bytestring
from p4base.messages import p4d, p4t
from p4switch.service import wire
from p4switch.service.errors import Code, P4Error, invalid

# Field numbers of p4.v1.P4Data.
_BITSTRING = 1
_BOOL = 3
_ENUM_VALUE = 12


@dataclass(frozen=True, slots=True)
class ScalarCodec:
    """One scalar type.

    Attributes:
        member: the field of P4Data that holds it: "bitstring", "bool" or "enum_value".
        signed: the type is int<bitwidth>; the data plane's number is its two's complement.
    """

    member: str
    bitwidth: int
    signed: bool = False

    def decode(self, data: p4d.P4Data, what: str) -> int:
        """The data plane's number.

        Raises:
            P4Error: INVALID_ARGUMENT, the data is of another type; OUT_OF_RANGE, the value does not fit.
        """
        member = data.WhichOneof("data")
        if member != self.member:
            raise invalid(f"{what}: the data is {member or 'unset'}, expected {self.member}")
        if member == "bool":
            return int(data.bool)
        value = data.bitstring if member == "bitstring" else data.enum_value
        try:
            if self.signed:
                return bytestring.decode_signed(value, self.bitwidth) & (1 << self.bitwidth) - 1
            return bytestring.decode(value, self.bitwidth)
        except bytestring.BytestringError as error:
            raise P4Error(Code.OUT_OF_RANGE, f"{what}: {error}") from None

    def to_wire(self, value: int) -> bytes:
        """The P4Data message of the data plane's number."""
        if self.member == "bool":
            return wire.tag(_BOOL, wire.VARINT) + wire.varint(int(value != 0))
        if self.signed:
            sign = 1 << (self.bitwidth - 1)
            data = bytestring.encode_signed((value ^ sign) - sign)
        else:
            data = bytestring.encode(value)
        return wire.bytes_field(_BITSTRING if self.member == "bitstring" else _ENUM_VALUE, data)


def scalar_codec(spec: p4t.P4DataTypeSpec, types: p4t.P4TypeInfo) -> ScalarCodec | None:
    """The codec of a type, or None if it is not a scalar (a struct, tuple, header, ...)."""
    match spec.WhichOneof("type_spec"):
        case "bitstring":
            bits = spec.bitstring
            if bits.HasField("bit"):
                return ScalarCodec("bitstring", bits.bit.bitwidth)
            if bits.HasField("int"):
                return ScalarCodec("bitstring", bits.int.bitwidth, signed=True)
            return None
        case "bool":
            return ScalarCodec("bool", 1)
        case "serializable_enum":
            enum = types.serializable_enums.get(spec.serializable_enum.name)
            return None if enum is None else ScalarCodec("enum_value", enum.underlying_type.bitwidth)
        case "new_type":
            new_type = types.new_types.get(spec.new_type.name)
            if new_type is None:
                return None
            if new_type.WhichOneof("representation") == "original_type":
                return scalar_codec(new_type.original_type, types)
            width = new_type.translated_type.sdn_bitwidth
            return ScalarCodec("bitstring", width) if width else None
        case _:
            return None
