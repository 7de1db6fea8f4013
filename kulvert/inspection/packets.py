"""The first packet of a connection, as bytes: what `kulvert trace` sends through the program."""

from __future__ import annotations

import struct

from controlplane.addresses import is_ipv4
from kulvert.inspection.interpreter import internet_checksum

PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132, "icmp": 1}
_HOPS = 64


def first_packet(macs: tuple[int, int], addresses: tuple[int, int], protocol: str, ports: tuple[int, int]) -> bytes:
    """A TCP SYN, UDP datagram, SCTP INIT or ICMP echo request.

    Args:
        macs: source and destination.
        addresses: source and destination as 128-bit numbers, of one family.
        protocol: a key of PROTOCOLS.
        ports: source and destination; an echo request has the first as its identifier.
    """
    v4 = is_ipv4(addresses[0])
    number = 58 if protocol == "icmp" and not v4 else PROTOCOLS[protocol]
    size = 4 if v4 else 16
    source, destination = ((address & ((1 << 8 * size) - 1)).to_bytes(size, "big") for address in addresses)
    payload = _transport(protocol, number, ports, source, destination, v4)
    if v4:
        header = (
            struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, _HOPS, number, 0) + source + destination
        )
        header = header[:10] + internet_checksum(header).to_bytes(2, "big") + header[12:]
    else:
        header = struct.pack("!IHBB", 6 << 28, len(payload), number, _HOPS) + source + destination
    frame = macs[1].to_bytes(6, "big") + macs[0].to_bytes(6, "big") + (b"\x08\x00" if v4 else b"\x86\xdd")
    return frame + header + payload


def _transport(
    protocol: str, number: int, ports: tuple[int, int], source: bytes, destination: bytes, v4: bool
) -> bytes:
    pseudo_tail = struct.pack("!BBH", 0, number, 0) if v4 else struct.pack("!IBBBB", 0, 0, 0, 0, number)
    pseudo = source + destination + pseudo_tail

    def with_checksum(body: bytes, place: int, pseudo_header: bool) -> bytes:
        length = len(body)
        covered = (
            (
                pseudo[:-2] + struct.pack("!H", length)
                if v4
                else source + destination + struct.pack("!II", length, number)
            )
            if pseudo_header
            else b""
        )
        return body[:place] + internet_checksum(covered + body).to_bytes(2, "big") + body[place + 2 :]

    match protocol:
        case "tcp":
            return with_checksum(struct.pack("!HHIIBBHHH", *ports, 1, 0, 5 << 4, 2, 65535, 0, 0), 16, True)
        case "udp":
            return with_checksum(struct.pack("!HHHH", *ports, 8, 0), 6, True)
        case "sctp":
            body = struct.pack("!HHII", *ports, 0, 0) + struct.pack("!BBHIIHHI", 1, 0, 20, 1, 65535, 1, 1, 1)
            return body[:8] + _crc32c(body).to_bytes(4, "little") + body[12:]
        case _:
            return with_checksum(struct.pack("!BBHHH", 8 if v4 else 128, 0, 0, ports[0], 1), 2, not v4)


def _crc32c(data: bytes) -> int:
    """RFC 9260, appendix A: the checksum of SCTP."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
