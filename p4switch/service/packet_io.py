"""Packet-in and packet-out (specification, "Packet I/O"): metadata fields to and from the controller headers' bits."""

from __future__ import annotations

from dataclasses import dataclass

from p4base import bytestring
from p4base.lookup import P4InfoIndex
from p4base.messages import p4i, p4r
from p4switch.service.errors import Code, P4Error, invalid

PACKET_IN = "packet_in"
PACKET_OUT = "packet_out"


@dataclass(frozen=True, slots=True)
class MetadataField:
    """A field of a controller header: `bitwidth` bits, of which the lowest is `shift` bits from the header's end."""

    id: int
    name: str
    bitwidth: int
    shift: int
    padding: bool


class ControllerHeader:
    """The header that precedes a packet to or from the controller: its fields from the first bit on, without gaps.

    A program without the header has one of no fields and no bytes.
    """

    def __init__(self, info: p4i.ControllerPacketMetadata | None) -> None:
        metadata = list(info.metadata) if info is not None else []
        bits = sum(item.bitwidth for item in metadata)
        self.size = bytestring.byte_width(bits)
        shift = self.size * 8
        fields = []
        for item in metadata:
            shift -= item.bitwidth
            padding = any(a.startswith("@padding") for a in item.annotations)
            fields.append(MetadataField(item.id, item.name, item.bitwidth, shift, padding))
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
                header |= bytestring.decode(value, field.bitwidth) << field.shift
            except bytestring.BytestringError as error:
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
            packet.metadata.add(metadata_id=field.id, value=bytestring.encode(value))
        return packet


def controller_header(index: P4InfoIndex, name: str) -> ControllerHeader:
    """The header `PACKET_IN` or `PACKET_OUT` of a P4Info."""
    return ControllerHeader(index.controller_headers.get(name))
