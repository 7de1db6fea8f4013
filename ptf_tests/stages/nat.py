"""Translation and its checksums (p4src/stages/nat.p4)."""

from __future__ import annotations

import random

from scapy.layers.inet import TCP, UDP
from scapy.packet import Packet

from ptf_tests.base import POD_A, POD_B, VIP, NodeTest
from ptf_tests.packets import FAMILIES, PROTOCOL_NUMBER, PROTOCOLS, Side


class ReplyComesFromTheService(NodeTest):
    """The endpoint's answer carries the Service's address and port; both directions have valid checksums."""

    def runTest(self) -> None:
        for family, protocol, src, vip, endpoint in self.each_service(POD_B):
            for payload in (b"", b"odd", bytes(range(256)) * 5):
                request = self.sent_by(POD_A, src, vip, protocol, payload=payload, flags="S")
                wanted = self.delivered_to(POD_B, src, endpoint, protocol, payload=payload, flags="S")
                self.pass_through(POD_A.port, request, POD_B.port, wanted, f"{protocol}{family} request")
                answer = self.sent_by(POD_B, endpoint, src, protocol, payload=payload, flags="SA")
                wanted = self.delivered_to(POD_A, vip, src, protocol, payload=payload, flags="SA")
                self.pass_through(POD_B.port, answer, POD_A.port, wanted, f"{protocol}{family} answer")
        self.expect_quiet()


class UdpWithoutChecksumStaysSo(NodeTest):
    """A UDP checksum of 0 over IPv4 means none, and is 0 after translation, in both directions."""

    def runTest(self) -> None:
        vip, endpoint = Side(VIP[4], 53), Side(POD_B.ipv4, 5353)
        self.add_service(vip.address, 53, "udp", [endpoint])
        src = Side(POD_A.ipv4, self.new_port())
        request, wanted = self.sent_by(POD_A, src, vip, "udp"), self.delivered_to(POD_B, src, endpoint, "udp")
        self.pass_through(POD_A.port, _bare(request), POD_B.port, _bare(wanted))
        answer, wanted = self.sent_by(POD_B, endpoint, src, "udp"), self.delivered_to(POD_A, vip, src, "udp")
        self.pass_through(POD_B.port, _bare(answer), POD_A.port, _bare(wanted))


class UdpChecksumIsNeverMadeZero(NodeTest):
    """A translated UDP checksum that comes out as 0 is sent as 0xffff, since 0 would mean none."""

    def runTest(self) -> None:
        for family in FAMILIES:
            vip, endpoint = Side(VIP[family], 53), Side(POD_B.address(family), 5353)
            self.add_service(vip.address, 53, "udp", [endpoint], family)
            src = Side(POD_A.address(family), self.new_port())
            plain = bytes(self.delivered_to(POD_B, src, endpoint, "udp", payload=b"\0\0"))
            at = 14 + (20 if family == 4 else 40) + 6
            payload = plain[at : at + 2]  # what brings the sum to 0xffff, hence the checksum to 0
            wanted = self.delivered_to(POD_B, src, endpoint, "udp", payload=payload)
            self.assertEqual(bytes(wanted)[at : at + 2], b"\xff\xff", "the test's own packet")
            packet = self.sent_by(POD_A, src, vip, "udp", payload=payload)
            self.pass_through(POD_A.port, packet, POD_B.port, wanted)


class TruncatedPayloadKeepsItsChecksum(NodeTest):
    """The checksum of a packet whose end is missing moves by the same difference: the payload is never looked at."""

    def runTest(self) -> None:
        for family, protocol, src, vip, endpoint in self.each_service(POD_B):
            packet = bytes(self.sent_by(POD_A, src, vip, protocol, payload=bytes(range(200))))
            wanted = bytes(self.delivered_to(POD_B, src, endpoint, protocol, payload=bytes(range(200))))
            self.send(POD_A.port, packet[:120])
            self.expect(POD_B.port, wanted[:120], f"{protocol}{family}")


class ManyFlowsKeepTheirChecksums(NodeTest):
    """Random addresses, ports and payloads, there and back: what comes out has the checksums that scapy computes."""

    def runTest(self) -> None:
        chance = random.Random(20250)
        for family in FAMILIES:
            vip = Side(VIP[family], chance.randrange(1, 65536))
            endpoint = Side(POD_B.address(family), chance.randrange(1, 65536))
            for protocol in PROTOCOLS:
                self.add_service(vip.address, vip.port, protocol, [endpoint], 10 * family + PROTOCOL_NUMBER[protocol])
                for _ in range(40):
                    src = Side(POD_A.address(family), chance.randrange(1, 65536))
                    payload = chance.randbytes(chance.randrange(0, 64))
                    seq = chance.randrange(2**32)
                    packet = self.sent_by(POD_A, src, vip, protocol, payload=payload, seq=seq)
                    wanted = self.delivered_to(POD_B, src, endpoint, protocol, payload=payload, seq=seq)
                    self.pass_through(POD_A.port, packet, POD_B.port, wanted, f"{protocol}{family} {src}")
                    answer = self.sent_by(POD_B, endpoint, src, protocol, payload=payload, seq=seq)
                    wanted = self.delivered_to(POD_A, vip, src, protocol, payload=payload, seq=seq)
                    self.pass_through(POD_B.port, answer, POD_A.port, wanted, f"{protocol}{family} to {src}")


class SctpChecksumAtEveryLength(NodeTest):
    """A CRC32c follows the ports over every length of packet: each bit of the length counts."""

    def runTest(self) -> None:
        for family in FAMILIES:
            vip, endpoint = Side(VIP[family], 7), Side(POD_B.address(family), 40001)
            self.add_service(vip.address, vip.port, "sctp", [endpoint], family)
            for length in (0, 1, 4, 12, 28, 60, 124, 252, 508, 1020, 1400, 2044, 3900):  # ptf receives 4096 bytes
                src = Side(POD_A.address(family), self.new_port())
                payload = bytes(number * 7 & 0xFF for number in range(length))
                packet = self.sent_by(POD_A, src, vip, "sctp", payload=payload, flags="PA")
                wanted = self.delivered_to(POD_B, src, endpoint, "sctp", payload=payload, flags="PA")
                self.pass_through(
                    POD_A.port, packet, POD_B.port, wanted, f"SCTP over IPv{family}, {length} bytes of data"
                )


class HairpinComesBackFromTheService(NodeTest):
    """A pod that is its own endpoint hears from the Service's address, answers to it, and gets the answer from it."""

    def runTest(self) -> None:
        for family, protocol, src, vip, endpoint in self.each_service(POD_A):
            seen = Side(vip.address, src.port)
            for flags, why in (("S", "request"), ("A", "again")):
                self.pass_through(
                    POD_A.port,
                    self.sent_by(POD_A, src, vip, protocol, flags=flags),
                    POD_A.port,
                    self.delivered_to(POD_A, seen, endpoint, protocol, flags=flags),
                    f"{protocol}{family} {why}",
                )
                self.pass_through(
                    POD_A.port,
                    self.sent_by(POD_A, endpoint, seen, protocol, flags="SA" if flags == "S" else "A"),
                    POD_A.port,
                    self.delivered_to(POD_A, vip, src, protocol, flags="SA" if flags == "S" else "A"),
                    f"{protocol}{family} answer to {why}",
                )


def _bare(packet: Packet) -> Packet:
    """The packet without a UDP checksum."""
    assert TCP not in packet
    packet[UDP].chksum = 0
    return packet
