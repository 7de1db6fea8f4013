"""Addresses and packets of the tests. Every expected packet is built anew, so that scapy computes its checksums."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import Ether
from scapy.layers.sctp import (
    SCTP,
    SCTPChunkAbort,
    SCTPChunkData,
    SCTPChunkInit,
    SCTPChunkInitAck,
    SCTPChunkShutdown,
)
from scapy.packet import Packet, Raw

Family = Literal[4, 6]
FAMILIES: tuple[Family, ...] = (4, 6)

Protocol = Literal["tcp", "udp", "sctp"]
PROTOCOL_NUMBER: dict[Protocol, int] = {"tcp": 6, "udp": 17, "sctp": 132}
PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp", "sctp")

GATEWAY_MAC = "02:00:00:00:00:01"


def address_number(address: str) -> int:
    """An address as the tables hold it: 128 bits, IPv4 mapped into ::ffff:0:0/96."""
    parsed = ipaddress.ip_address(address)
    return int(parsed) if parsed.version == 6 else 0xFFFF00000000 | int(parsed)


def prefix_length(address: str, length: int) -> int:
    """A prefix length in the tables' terms."""
    return length if ":" in address else 96 + length


def mac_number(mac: str) -> int:
    """A MAC as a number of 48 bits."""
    return int(mac.replace(":", ""), 16)


@dataclass(frozen=True, slots=True)
class Host:
    """Something with addresses behind a port of the switch."""

    name: str
    port: int
    mac: str
    ipv4: str
    ipv6: str

    def address(self, family: Family) -> str:
        """Its address of one family."""
        return self.ipv4 if family == 4 else self.ipv6


@dataclass(frozen=True, slots=True)
class Side:
    """One end of a packet: address and port."""

    address: str
    port: int


def ip_layer(src: str, dst: str, ttl: int, **fields: Any) -> Packet:
    """IPv4 or IPv6, as the addresses say."""
    if ":" in src:
        return IPv6(src=src, dst=dst, hlim=ttl, **fields)
    return IP(src=src, dst=dst, ttl=ttl, **fields)


def segment(
    src: Side,
    dst: Side,
    protocol: Protocol,
    src_mac: str,
    dst_mac: str,
    *,
    ttl: int = 64,
    flags: str = "S",
    payload: bytes = b"kulvert",
    seq: int = 1000,
    ack: int = 0,
    ip_fields: dict[str, Any] | None = None,
) -> Packet:
    """A TCP, UDP or SCTP packet with correct checksums. SCTP takes `flags` for the chunk that they stand for."""
    ip = ip_layer(src.address, dst.address, ttl, **(ip_fields or {}))
    if protocol == "sctp":
        if ":" in src.address:
            ip.nh = PROTOCOL_NUMBER["sctp"]
        association = SCTP(sport=src.port, dport=dst.port, tag=seq) / _chunk(flags, payload)
        return Ether(src=src_mac, dst=dst_mac) / ip / association
    if protocol == "tcp":
        transport: Packet = TCP(sport=src.port, dport=dst.port, flags=flags, seq=seq, ack=ack)
    else:
        transport = UDP(sport=src.port, dport=dst.port)
    return Ether(src=src_mac, dst=dst_mac) / ip / transport / Raw(payload)


def _chunk(flags: str, payload: bytes) -> Packet:
    """The SCTP chunk that does what a TCP segment with these flags does; data, if there is nothing of the kind."""
    chunks: dict[str, Packet] = {
        "S": SCTPChunkInit(init_tag=1),
        "SA": SCTPChunkInitAck(init_tag=2),
        "FA": SCTPChunkShutdown(),
        "RA": SCTPChunkAbort(),
    }
    return chunks.get(flags, SCTPChunkData(data=payload))


def echo(
    src: str, dst: str, src_mac: str, dst_mac: str, identifier: int, *, reply: bool = False, ttl: int = 64
) -> Packet:
    """An ICMP or ICMPv6 echo request or reply."""
    if ":" in src:
        kind = ICMPv6EchoReply if reply else ICMPv6EchoRequest
        message: Packet = kind(id=identifier, seq=7, data=b"0123456789abcdef")
    else:
        message = ICMP(type=0 if reply else 8, id=identifier, seq=7) / Raw(b"0123456789abcdef")
    return Ether(src=src_mac, dst=dst_mac) / ip_layer(src, dst, ttl) / message


ERROR_KINDS = ("unreachable", "too big", "time exceeded", "parameter problem")


def icmp_error(kind: str, src: str, dst: str, quoted: bytes, src_mac: str, dst_mac: str, *, ttl: int = 64) -> Packet:
    """An ICMP or ICMPv6 error with what it quotes."""
    if ":" in src:
        message: Packet = {
            "unreachable": ICMPv6DestUnreach(code=4),
            "too big": ICMPv6PacketTooBig(mtu=1400),
            "time exceeded": ICMPv6TimeExceeded(code=0),
            "parameter problem": ICMPv6ParamProblem(code=1, ptr=6),
        }[kind]
    else:
        message = {
            "unreachable": ICMP(type=3, code=3),
            "too big": ICMP(type=3, code=4, nexthopmtu=1400),
            "time exceeded": ICMP(type=11, code=0),
            "parameter problem": ICMP(type=12, code=0, ptr=20),
        }[kind]
    return Ether(src=src_mac, dst=dst_mac) / ip_layer(src, dst, ttl) / message / Raw(quoted)


_PIECES = (0, 64, 200, 208)
"""Where the pieces of a datagram begin; the first has any transport header in it."""


def pieces(packet: Packet, identification: int, starts: Sequence[int] = _PIECES) -> list[Packet]:
    """A packet without options, cut into fragments whose IP payloads begin at `starts`, multiples of eight, in order."""
    frame = bytes(packet)
    ipv4 = packet.haslayer(IP)
    payload = frame[34:] if ipv4 else frame[54:]
    cut: list[Packet] = []
    for start, end in zip(starts, (*starts[1:], len(payload)), strict=True):
        more = int(end < len(payload))
        if ipv4:
            ip = packet[IP]
            header: Packet = IP(
                src=ip.src, dst=ip.dst, ttl=ip.ttl, id=identification, proto=frame[23], flags=more, frag=start // 8
            )
        else:
            ip = packet[IPv6]
            header = IPv6(src=ip.src, dst=ip.dst, hlim=ip.hlim) / IPv6ExtHdrFragment(
                nh=frame[20], offset=start // 8, m=more, id=identification
            )
        cut.append(Ether(src=packet[Ether].src, dst=packet[Ether].dst) / header / Raw(payload[start:end]))
    return cut
