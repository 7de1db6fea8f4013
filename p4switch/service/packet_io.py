"""Packet-in and packet-out (specification, "Packet I/O"): metadata fields to and from the controller headers' bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from p4base import bytestring
from p4base.lookup import P4InfoIndex
from p4base.messages import p4i, p4r
from p4switch.service.errors import Code, P4Error, invalid
from p4switch.service.translation import StringMap

PACKET_IN = "packet_in"
PACKET_OUT = "packet_out"


class MetadataField(msgspec.Struct, frozen=True):
    """A field of a controller header: `bitwidth` bits, of which the lowest is `shift` bits from the header's end."""

    id: int
    name: str
    bitwidth: int
    shift: int
    padding: bool
    strings: StringMap | None = None

    def number(self, value: bytes) -> int:
        """The header's number of a client's value.

        Raises:
            P4Error, BytestringError: it is not one of this field.
        """
        if self.strings is not None:
            return self.strings.number(value, self.bitwidth)
        return bytestring.decode(value, self.bitwidth)

    def value(self, number: int) -> bytes:
        """The client's value of a header's number."""
        return bytestring.encode(number) if self.strings is None else self.strings.string(number)


class ControllerHeader:
    """The header that precedes a packet to or from the controller: its fields from the first bit on, without gaps.

    A program without the header has one of no fields and no bytes; so has a P4Info that describes a header which is not
    in the program, where nothing tells the widths of translated fields.
    """

    def __init__(
        self,
        metadata: Sequence[p4i.ControllerPacketMetadata.Metadata],
        widths: Sequence[int],
        strings: Mapping[str, StringMap],
    ) -> None:
        """`widths` are the device's bits of each field; `strings` belong to types by name."""
        bits = sum(widths)
        self.size = bytestring.byte_width(bits)
        shift = self.size * 8
        fields = []
        for item, width in zip(metadata, widths, strict=True):
            shift -= width
            padding = any(a.startswith("@padding") for a in item.annotations)
            fields.append(MetadataField(item.id, item.name, width, shift, padding, strings.get(item.type_name.name)))
        self.fields = tuple(fields)

    def encode(self, packet: p4r.PacketOut) -> bytes:
        """The frame as the pipeline's parser meets it: the header, then the payload.

        Raises:
            P4Error: INVALID_ARGUMENT; the metadata is not what the header declares.
        """
        given: dict[int, bytes] = {}
        for item in packet.metadata:
            if item.metadata_id in given:
                raise invalid(f"packet-out metadata {item.metadata_id} is given twice")
            given[item.metadata_id] = item.value
        header = 0
        for field in self.fields:
            value = given.pop(field.id, None)
            if value is None:
                if field.padding:
                    continue
                raise invalid(f"packet-out metadata {field.id} ({field.name}) is missing")
            try:
                header |= field.number(value) << field.shift
            except (P4Error, bytestring.BytestringError) as error:
                raise invalid(f"packet-out metadata {field.id} ({field.name}): {error}") from None
        if given:
            known = ", ".join(f"{field.id} ({field.name})" for field in self.fields) or "none"
            raise invalid(f"packet-out metadata {min(given)} is unknown; the header has {known}")
        return header.to_bytes(self.size, "big") + packet.payload

    def decode(self, frame: bytes) -> p4r.PacketIn:
        """The packet-in of a frame sent to the CPU port.

        Raises:
            P4Error: INTERNAL; the frame is shorter than the header, so the program does not emit it.
        """
        if len(frame) < self.size:
            raise P4Error(
                Code.INTERNAL, f"a packet to the controller of {len(frame)} bytes lacks its header of {self.size} bytes"
            )
        header = int.from_bytes(frame[: self.size], "big")
        packet = p4r.PacketIn(payload=frame[self.size :])
        for field in self.fields:
            value = header >> field.shift & (1 << field.bitwidth) - 1
            packet.metadata.add(metadata_id=field.id, value=field.value(value))
        return packet


def controller_header(
    index: P4InfoIndex, name: str, header_types: Mapping[str, Mapping[str, int]], strings: Mapping[str, StringMap]
) -> ControllerHeader:
    """The header `PACKET_IN` or `PACKET_OUT` of a P4Info.

    Args:
        header_types: the program's. A field of a translated type is as wide as the type of header with the same fields says.
            If there is no such type, the program neither emits nor extracts the header.
    """
    info = index.controller_headers.get(name)
    metadata = list(info.metadata) if info is not None else []
    names = [item.name for item in metadata]
    device = next((fields for fields in header_types.values() if list(fields) == names), None)
    widths = []
    for item in metadata:
        translated = item.HasField("type_name")
        if translated and device is None and not item.bitwidth:
            return ControllerHeader((), (), strings)
        widths.append(device[item.name] if translated and device is not None else item.bitwidth)
    return ControllerHeader(metadata, widths, strings)
