"""What may not enter: broken packets, addresses out of place, spoofed sources (p4src/stages/admission.p4)."""

from __future__ import annotations

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from ptf_tests.base import NODE, POD_A, POD_B, REMOTE, ROUTER, NodeTest
from ptf_tests.drop_reasons import DropReason
from ptf_tests.packets import FAMILIES, GATEWAY_MAC, Host, Side


class BrokenPacketsAreDropped(NodeTest):
    """Too short for its own headers, wrong version, wrong header length."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
            whole = bytes(self.sent_by(POD_A, src, dst, "tcp", payload=b""))
            network = 20 if family == 4 else 40
            self.drop(POD_A.port, whole[: 14 + network - 1], DropReason.MALFORMED, "cut in the IP header")
            self.drop(POD_A.port, whole[: 14 + network + 19], DropReason.MALFORMED, "cut in the TCP header")
            self.drop(POD_A.port, whole[:14] + b"\x55" + whole[15:], DropReason.MALFORMED, "version 5")
        short = bytes(self.sent_by(POD_A, Side(POD_A.ipv4, 1), Side(POD_B.ipv4, 2), "udp"))
        self.drop(POD_A.port, short[:14] + b"\x44" + short[15:], DropReason.MALFORMED, "IPv4 header of 16 bytes")


class WrongIpv4ChecksumIsDropped(NodeTest):
    """The IPv4 header's checksum is verified, with options and without."""

    def runTest(self) -> None:
        src, dst = Side(POD_A.ipv4, self.new_port()), Side(POD_B.ipv4, 80)
        for options in (b"", b"\x94\x04\x00\x00"):
            packet = bytes(self.sent_by(POD_A, src, dst, "udp", ip_fields={"options": _options(options)}))
            broken = packet[:24] + bytes([packet[24] ^ 0x40]) + packet[25:]
            self.drop(POD_A.port, broken, DropReason.BAD_IPV4_CHECKSUM, f"options {options.hex()}")


class Ipv4OptionsAreKept(NodeTest):
    """A packet with options passes with them, its checksum right."""

    def runTest(self) -> None:
        for options in (b"\x94\x04\x00\x00", b"\x01" * 40):
            src, dst = Side(POD_A.ipv4, self.new_port()), Side(POD_B.ipv4, 80)
            fields = {"options": _options(options)}
            packet = self.sent_by(POD_A, src, dst, "tcp", ip_fields=fields)
            self.pass_through(
                POD_A.port,
                packet,
                POD_B.port,
                self.delivered_to(POD_B, src, dst, "tcp", ip_fields=fields),
                options.hex(),
            )


class MartiansAreDropped(NodeTest):
    """Addresses that must not be on the wire, from any port."""

    def runTest(self) -> None:
        pairs = [
            ("0.0.0.0", POD_B.ipv4),
            ("0.1.2.3", POD_B.ipv4),
            ("127.0.0.1", POD_B.ipv4),
            ("224.0.0.5", POD_B.ipv4),
            ("240.0.0.1", POD_B.ipv4),
            ("255.255.255.255", POD_B.ipv4),
            (REMOTE.ipv4, "127.0.0.1"),
            (REMOTE.ipv4, "0.0.0.0"),
            (REMOTE.ipv4, "240.0.0.1"),
            (POD_B.ipv4, POD_B.ipv4),
            ("::", POD_B.ipv6),
            ("::1", POD_B.ipv6),
            ("ff02::1", POD_B.ipv6),
            ("::ffff:203.0.113.9", POD_B.ipv6),
            (REMOTE.ipv6, "::1"),
            (REMOTE.ipv6, "::"),
            (REMOTE.ipv6, f"::ffff:{POD_B.ipv4}"),
            (POD_B.ipv6, POD_B.ipv6),
        ]
        for src, dst in pairs:
            packet = self.sent_by(ROUTER, Side(src, 1000), Side(dst, 80), "udp")
            self.drop(ROUTER.port, packet, DropReason.MARTIAN, f"{src} -> {dst}")


class MulticastIsDropped(NodeTest):
    """Multicast and broadcast are not forwarded."""

    def runTest(self) -> None:
        for dst in ("224.0.0.1", "239.1.2.3", "255.255.255.255"):
            packet = self.sent_by(POD_A, Side(POD_A.ipv4, 1000), Side(dst, 80), "udp")
            self.drop(POD_A.port, packet, DropReason.MULTICAST, dst)
        packet = self.sent_by(POD_A, Side(POD_A.ipv6, 1000), Side("ff02::2", 80), "udp")
        self.drop(POD_A.port, packet, DropReason.MULTICAST)


class UnsupportedEtherTypesAreDropped(NodeTest):
    """Whatever is neither ARP nor IP, VLAN tags included."""

    def runTest(self) -> None:
        tagged = (
            Ether(src=POD_A.mac, dst=GATEWAY_MAC)
            / Dot1Q(vlan=5)
            / IP(src=POD_A.ipv4, dst=POD_B.ipv4)
            / UDP()
            / Raw(b"x")
        )
        self.drop(POD_A.port, tagged, DropReason.UNSUPPORTED_ETHER_TYPE, "VLAN")
        other = Ether(src=POD_A.mac, dst=GATEWAY_MAC, type=0x88CC) / Raw(bytes(46))
        self.drop(POD_A.port, other, DropReason.UNSUPPORTED_ETHER_TYPE)


class ExtensionHeadersAreDropped(NodeTest):
    """Ports cannot be hidden behind IPv6 extension headers."""

    def runTest(self) -> None:
        ipv6 = Ether(src=POD_A.mac, dst=GATEWAY_MAC) / IPv6(src=POD_A.ipv6, dst=POD_B.ipv6)
        for header in (IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt(), IPv6ExtHdrRouting(addresses=[POD_B.ipv6])):
            packet = ipv6 / header / UDP(sport=1, dport=2) / Raw(b"x")
            self.drop(POD_A.port, packet, DropReason.EXTENSION_HEADER, type(header).__name__)


class LastHopIsDropped(NodeTest):
    """TTL and hop limit 0 and 1 end here, 2 passes as 1."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
            for ttl in (0, 1):
                self.drop(
                    POD_A.port, self.sent_by(POD_A, src, dst, "udp", ttl=ttl), DropReason.TTL_EXCEEDED, f"TTL {ttl}"
                )
            for ttl in (2, 64, 255):
                packet = self.sent_by(POD_A, src, dst, "udp", ttl=ttl)
                wanted = self.delivered_to(POD_B, src, dst, "udp", ttl=ttl - 1)
                self.pass_through(POD_A.port, packet, POD_B.port, wanted, f"TTL {ttl}")


class SpoofedAddressIsDropped(NodeTest):
    """A pod sends from its own addresses only, be the other one local, remote or nobody's."""

    def runTest(self) -> None:
        for family in FAMILIES:
            for other in (POD_B, REMOTE, NODE):
                packet = self._packet(POD_A, other.address(family), POD_B.address(family) if other != POD_B else "")
                self.drop(POD_A.port, packet, DropReason.SPOOFED_ADDRESS, f"as {other.name}")

    def _packet(self, host: Host, src: str, dst: str) -> Packet:
        dst = dst or (REMOTE.ipv6 if ":" in src else REMOTE.ipv4)
        return self.sent_by(host, Side(src, self.new_port()), Side(dst, 80), "udp")


class SpoofedMacIsDropped(NodeTest):
    """A pod's address counts only with its MAC."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
            packet = self.sent_by(POD_A, src, dst, "udp")
            packet.src = POD_B.mac
            self.drop(POD_A.port, packet, DropReason.SPOOFED_MAC)


class LocalPodDoesNotComeFromOutside(NodeTest):
    """The uplink does not bring packets of local pods, nor of the node itself; the node's port does."""

    def runTest(self) -> None:
        for family in FAMILIES:
            dst = Side(POD_B.address(family), 80)
            for host in (POD_A, NODE):
                src = Side(host.address(family), self.new_port())
                self.drop(ROUTER.port, self.sent_by(ROUTER, src, dst, "udp"), DropReason.SPOOFED_ADDRESS, host.name)
            src = Side(NODE.address(family), self.new_port())
            packet = self.sent_by(NODE, src, dst, "udp")
            self.pass_through(NODE.port, packet, POD_B.port, self.delivered_to(POD_B, src, dst, "udp"), "the node")


class SpoofingDoesNotRideOnAConnection(NodeTest):
    """A known five-tuple from the wrong port is still spoofed."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
            packet = self.sent_by(POD_A, src, dst, "udp")
            self.pass_through(POD_A.port, packet, POD_B.port, self.delivered_to(POD_B, src, dst, "udp"))
            for port in (POD_B.port, ROUTER.port):
                self.drop(port, packet, DropReason.SPOOFED_ADDRESS)


def _options(options: bytes) -> list[Packet]:
    """Raw bytes as scapy's list of IPv4 options."""
    return list(IP(bytes(IP(ihl=5 + len(options) // 4))[:20] + options).options) if options else []
