"""Fragments follow the first of their datagram (p4src/stages/fragments.p4)."""

from __future__ import annotations

import time

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from ptf_tests.base import POD_A, POD_B, POD_C, REMOTE, ROUTER, VIP, NodeTest
from ptf_tests.drop_reasons import DropReason
from ptf_tests.packets import (
    FAMILIES,
    GATEWAY_MAC,
    PROTOCOL_NUMBER,
    Family,
    Host,
    Protocol,
    Side,
    icmp_error,
    ip_layer,
    pieces,
)
from ptf_tests.stages.report_error import ReportTest, too_big


class FragmentTest(NodeTest):
    """What the tests of fragments share."""

    def cut_up(
        self, host: Host, src: Side, dst: Side, protocol: Protocol, identification: int, **fields: object
    ) -> list[Packet]:
        """A datagram as `host` sends it in fragments."""
        return pieces(self.sent_by(host, src, dst, protocol, payload=bytes(range(250)), **fields), identification)

    def cut_up_for(
        self, host: Host, src: Side, dst: Side, protocol: Protocol, identification: int, **fields: object
    ) -> list[Packet]:
        """The same as `host` gets it."""
        return pieces(self.delivered_to(host, src, dst, protocol, payload=bytes(range(250)), **fields), identification)

    def pass_all(self, host: Host, sent: list[Packet], receiver: Host, wanted: list[Packet], why: str) -> None:
        """Every fragment comes out as wanted."""
        for number, (packet, result) in enumerate(zip(sent, wanted, strict=True)):
            self.pass_through(host.port, packet, receiver.port, result, f"{why}, fragment {number}")


class FragmentsFollowTheFirst(FragmentTest):
    """All fragments of a datagram pass, from pod to pod and to and from the outside."""

    def runTest(self) -> None:
        for family in FAMILIES:
            for number, protocol in enumerate(PROTOCOL_NUMBER):
                for host, source, receiver, target in (
                    (POD_A, POD_A, POD_B, POD_B),
                    (POD_A, POD_A, ROUTER, REMOTE),
                    (ROUTER, REMOTE, POD_A, POD_A),
                ):
                    src, dst = Side(source.address(family), self.new_port()), Side(target.address(family), 80)
                    flags = "A" if protocol == "sctp" else "S"  # data: an INIT is too short to be cut
                    sent = self.cut_up(host, src, dst, protocol, 100 + number, flags=flags)
                    wanted = self.cut_up_for(receiver, src, dst, protocol, 100 + number, flags=flags)
                    self.pass_all(host, sent, receiver, wanted, f"{protocol} over IPv{family}")
        self.expect_quiet()


class FragmentsAreTranslatedWithTheFirst(FragmentTest):
    """Through a Service, question and answer: the later fragments have no ports and go to the same endpoint all the same."""

    def runTest(self) -> None:
        for family in FAMILIES:
            for protocol in ("tcp", "udp"):
                vip, endpoints = Side(VIP[family], 80), [Side(pod.address(family), 8080) for pod in (POD_B, POD_C)]
                self.add_service(vip.address, 80, protocol, endpoints, 10 * family + PROTOCOL_NUMBER[protocol])
                for attempt in range(6):  # both endpoints get some
                    src = Side(POD_A.address(family), self.new_port())
                    sent = self.cut_up(POD_A, src, vip, protocol, attempt, flags="S")
                    self.send(POD_A.port, sent[0])
                    got = self.receive()
                    assert got is not None, "the first fragment did not come out"
                    server = POD_B if got[0] == POD_B.port else POD_C
                    endpoint = Side(server.address(family), 8080)
                    wanted = self.cut_up_for(server, src, endpoint, protocol, attempt, flags="S")
                    self.assertEqual(got, (server.port, bytes(wanted[0])))
                    self.pass_all(POD_A, sent[1:], server, wanted[1:], "question")
                    answer = self.cut_up(server, endpoint, src, protocol, 77, flags="SA")
                    wanted = self.cut_up_for(POD_A, vip, src, protocol, 77, flags="SA")
                    self.pass_all(server, answer, POD_A, wanted, "answer")


class LargePingsPass(FragmentTest):
    """An echo request in fragments, and its answer."""

    def runTest(self) -> None:
        for family in FAMILIES:
            a, b, identifier = POD_A.address(family), POD_B.address(family), self.new_port()

            def ping(src: str, dst: str, src_mac: str, dst_mac: str, ttl: int, identifier: int = identifier) -> Packet:
                message: Packet = (
                    ICMPv6EchoRequest(id=identifier, data=bytes(250))
                    if ":" in src
                    else ICMP(type=8, id=identifier) / Raw(bytes(250))
                )
                return Ether(src=src_mac, dst=dst_mac) / ip_layer(src, dst, ttl) / message

            sent = pieces(ping(a, b, POD_A.mac, GATEWAY_MAC, 64), 5)
            self.pass_all(POD_A, sent, POD_B, pieces(ping(a, b, GATEWAY_MAC, POD_B.mac, 63), 5), "ping")


class SctpInFragmentsIsNotTranslated(FragmentTest):
    """SCTP's checksum cannot follow other ports without the length of the whole; with the ports as they are, fragments pass."""

    def runTest(self) -> None:
        for family in FAMILIES:
            same, other = Side(VIP[family], 8080), Side(VIP[family], 80)
            endpoint = Side(POD_B.address(family), 8080)
            for set_id, vip in enumerate((same, other), 10 * family):
                self.add_service(vip.address, vip.port, "sctp", [endpoint], set_id)
            src = Side(POD_A.address(family), self.new_port())
            opening = self.sent_by(POD_A, src, same, "sctp")
            self.pass_through(POD_A.port, opening, POD_B.port, self.delivered_to(POD_B, src, endpoint, "sctp"))
            sent = self.cut_up(POD_A, src, same, "sctp", 1, flags="A")
            wanted = self.cut_up_for(POD_B, src, endpoint, "sctp", 1, flags="A")
            self.pass_all(POD_A, sent, POD_B, wanted, "the same port")
            src = Side(POD_A.address(family), self.new_port())
            opening = self.sent_by(POD_A, src, other, "sctp")
            self.pass_through(POD_A.port, opening, POD_B.port, self.delivered_to(POD_B, src, endpoint, "sctp"))
            sent = self.cut_up(POD_A, src, other, "sctp", 2, flags="A")
            self.drop(POD_A.port, sent[0], DropReason.FRAGMENT)
            self.drop(POD_A.port, sent[1], DropReason.FRAGMENT_WITHOUT_FIRST)


class FragmentWithoutFirstIsDropped(FragmentTest):
    """Nobody gets in without ports: not before the first, not for another datagram, not when the first was refused or is long gone."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
            sent = self.cut_up(POD_A, src, dst, "udp", 7)
            for packet in sent[1:]:
                self.drop(POD_A.port, packet, DropReason.FRAGMENT_WITHOUT_FIRST, "before the first")
            wanted = self.cut_up_for(POD_B, src, dst, "udp", 7)
            self.pass_through(POD_A.port, sent[0], POD_B.port, wanted[0])
            other = self.cut_up(POD_A, src, dst, "udp", 8)
            self.drop(POD_A.port, other[1], DropReason.FRAGMENT_WITHOUT_FIRST, "another identification")
            other = self.cut_up(POD_A, src, Side(POD_C.address(family), 80), "udp", 7)
            self.drop(POD_A.port, other[1], DropReason.FRAGMENT_WITHOUT_FIRST, "another destination")
            other = self.cut_up(POD_A, src, dst, "tcp", 7)
            self.drop(POD_A.port, other[1], DropReason.FRAGMENT_WITHOUT_FIRST, "another protocol")
            self.drop(POD_C.port, sent[1], DropReason.SPOOFED_ADDRESS, "from another port")
            self.pass_all(POD_A, sent[1:], POD_B, wanted[1:], "the real ones")
            self.drop(POD_A.port, sent[3], DropReason.FRAGMENT_WITHOUT_FIRST, "the datagram was complete")


class ProtocolWithoutPortsNeedsTheFirstAsWell(FragmentTest):
    """Where there are no ports to be known, a connection alone lets no fragment in."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, dst = POD_A.address(family), POD_B.address(family)

            def datagram(size: int, src_mac: str, dst_mac: str, ttl: int, src: str = src, dst: str = dst) -> Packet:
                field = "nh" if ":" in src else "proto"
                return Ether(src=src_mac, dst=dst_mac) / ip_layer(src, dst, ttl, **{field: 47}) / Raw(bytes(size))

            sent, wanted = (POD_A.mac, GATEWAY_MAC, 64), (GATEWAY_MAC, POD_B.mac, 63)
            self.pass_through(POD_A.port, datagram(40, *sent), POD_B.port, datagram(40, *wanted))
            fragments = [pieces(datagram(250, *macs), 7) for macs in (sent, wanted)]
            self.drop(POD_A.port, fragments[0][1], DropReason.FRAGMENT_WITHOUT_FIRST)
            self.pass_all(POD_A, fragments[0], POD_B, fragments[1], f"over IPv{family}")


class RefusedFirstRefusesAll(FragmentTest):
    """What policy says of the first fragment goes for the others."""

    def runTest(self) -> None:
        self.isolate(POD_B, ingress_policy=1)
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
            sent = self.cut_up(POD_A, src, dst, "udp", 7)
            self.drop(POD_A.port, sent[0], DropReason.INGRESS_POLICY)
            for packet in sent[1:]:
                self.drop(POD_A.port, packet, DropReason.FRAGMENT_WITHOUT_FIRST)


class DatagramsAreForgotten(FragmentTest):
    """Fragments that come after the target's time are dropped, though their connection is there."""

    hurries = True

    def runTest(self) -> None:
        sent, wanted = [], []
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
            sent.append(self.cut_up(POD_A, src, dst, "udp", 7))
            wanted.append(self.cut_up_for(POD_B, src, dst, "udp", 7))
            self.pass_through(POD_A.port, sent[-1][0], POD_B.port, wanted[-1][0])
            answer = self.sent_by(POD_B, dst, src, "udp")  # so that the connection lives on
            self.pass_through(POD_B.port, answer, POD_A.port, self.delivered_to(POD_A, dst, src, "udp"))
        time.sleep(self.target.timeouts.fragment + 2.2)  # two ticks more: it is counted in whole ones
        for packets in sent:
            self.drop(POD_A.port, packets[1], DropReason.FRAGMENT_WITHOUT_FIRST)


class LaterFragmentsKeepNothingAlive(FragmentTest):
    """Fragments behind the first do not put off the end of their connection."""

    hurries = True

    def runTest(self) -> None:
        src, dst = Side(POD_A.ipv4, self.new_port()), Side(POD_B.ipv4, 80)
        whole = self.sent_by(POD_A, src, dst, "tcp", payload=bytes(800))
        sent = pieces(whole, 7, range(0, 800, 40))
        wanted = pieces(self.delivered_to(POD_B, src, dst, "tcp", payload=bytes(800)), 7, range(0, 800, 40))
        started = time.monotonic()
        self.pass_all(POD_A, sent[:2], POD_B, wanted[:2], "at once")
        for packet in sent[2:-1]:
            self.send(POD_A.port, packet)
            time.sleep(self.target.timeouts.tcp_opening / len(sent))
        # Two ticks more, as it is counted in whole ones.
        time.sleep(max(0.0, started + self.target.timeouts.tcp_opening + 2.2 - time.monotonic()))
        self.drain(POD_B, POD_C)
        answer = self.sent_by(POD_B, dst, src, "tcp", flags="SA")
        self.drop(POD_B.port, answer, DropReason.NOT_IN_CONNECTION)


class OverlappingFragmentsAreDropped(FragmentTest):
    """Who begins within what has gone through is dropped, and the datagram's real fragments pass nevertheless."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
            whole = self.sent_by(POD_A, src, dst, "tcp", payload=bytes(range(250)))
            sent, wanted = pieces(whole, 9), self.cut_up_for(POD_B, src, dst, "tcp", 9)
            self.pass_through(POD_A.port, sent[0], POD_B.port, wanted[0])
            for start in (8, 16, 56):
                evil = pieces(whole, 9, (0, start, 200))[1]
                self.drop(POD_A.port, evil, DropReason.FRAGMENT_OVERLAP, f"over the first, from byte {start}")
            self.pass_through(POD_A.port, sent[1], POD_B.port, wanted[1])
            for start in (64, 192):
                evil = pieces(whole, 9, (0, start, 208))[1]
                self.drop(POD_A.port, evil, DropReason.FRAGMENT_OVERLAP, f"over the second, from byte {start}")
            self.pass_all(POD_A, sent[2:], POD_B, wanted[2:], "the real ones")


class OrderAfterTheFirstIsFree(FragmentTest):
    """The fragments behind the first may overtake each other."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
            sent, wanted = self.cut_up(POD_A, src, dst, "udp", 9), self.cut_up_for(POD_B, src, dst, "udp", 9)
            for number in (0, 3, 2, 1):
                self.pass_through(POD_A.port, sent[number], POD_B.port, wanted[number], f"fragment {number}")


class BrokenFragmentsAreDropped(FragmentTest):
    """Not in eights of bytes, beyond the end of any datagram, or without a byte."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, dst = POD_A.address(family), POD_B.address(family)
            for payload, offset, more, why in (
                (bytes(67), 0, 1, "67 bytes and more to come"),
                (bytes(67), 8, 1, "67 bytes and more to come, later"),
                (bytes(80), 8183, 0, "beyond 65,535 bytes"),
                (b"", 8, 0, "empty"),
            ):
                header: Packet = (
                    IP(src=src, dst=dst, proto=17, flags=more, frag=offset)
                    if family == 4
                    else IPv6(src=src, dst=dst) / IPv6ExtHdrFragment(nh=17, offset=offset, m=more, id=3)
                )
                packet = Ether(src=POD_A.mac, dst=GATEWAY_MAC) / header / Raw(payload)
                self.drop(POD_A.port, packet, DropReason.MALFORMED, f"IPv{family}: {why}")
            self._lie(family)

    def _lie(self, family: Family) -> None:
        """First fragments that end before the frame does, so that what looks like their transport header is none."""
        for protocol, length in (("tcp", 8), ("tcp", 16), ("sctp", 8), ("udp", 0), ("tcp", -8)):
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
            whole = self.sent_by(POD_A, src, dst, protocol, flags="A", payload=bytes(64))  # type: ignore[arg-type]
            packet = pieces(whole, 9, (0, 32))[0]
            if family == 4:
                packet[IP].len = 20 + length
            else:
                packet[IPv6].plen = max(0, 8 + length)
            self.drop(POD_A.port, packet, DropReason.MALFORMED, f"IPv{family}: {length} bytes of {protocol}")


class NeighborDiscoveryInFragmentsIsDropped(NodeTest):
    """RFC 6980: it must not be fragmented."""

    def runTest(self) -> None:
        packet = (
            Ether(src=POD_A.mac, dst=GATEWAY_MAC)
            / IPv6(src=POD_A.ipv6, dst="fe80::1", hlim=255)
            / IPv6ExtHdrFragment(nh=58, offset=0, m=0, id=1)
            / ICMPv6ND_NS(tgt="fe80::1")
        )
        self.drop(POD_A.port, packet, DropReason.MALFORMED)


class ExtensionHeadersInFragmentsAreDropped(NodeTest):
    """Ports cannot be hidden behind a fragment header either."""

    def runTest(self) -> None:
        ipv6 = Ether(src=POD_A.mac, dst=GATEWAY_MAC) / IPv6(src=POD_A.ipv6, dst=POD_B.ipv6)
        for offset in (0, 8):
            packet = ipv6 / IPv6ExtHdrFragment(nh=60, offset=offset, m=1, id=1) / IPv6ExtHdrDestOpt() / Raw(bytes(64))
            self.drop(POD_A.port, packet, DropReason.EXTENSION_HEADER)
        twice = ipv6 / IPv6ExtHdrFragment(nh=44, id=1) / IPv6ExtHdrFragment(nh=17, id=2) / Raw(bytes(64))
        self.drop(POD_A.port, twice, DropReason.EXTENSION_HEADER, "a fragment in a fragment")


class FloodOfFragmentsHarmsItsSender(FragmentTest):
    """A pod that begins datagrams without end forgets its own; another's are kept."""

    def runTest(self) -> None:
        ways = self.target.fragments.ways_of_a_port
        for family in FAMILIES:
            dst = Side(POD_B.address(family), 80)
            kept = Side(POD_C.address(family), self.new_port())
            sent, wanted = self.cut_up(POD_C, kept, dst, "udp", 1), self.cut_up_for(POD_B, kept, dst, "udp", 1)
            evil = Side(POD_A.address(family), self.new_port())
            flood = [self.cut_up(POD_A, evil, dst, "udp", number) for number in range(20 * ways)]
            firsts = [
                bytes(packets[0]) for packets in flood
            ]  # made before, since the other pod's datagram is not kept for long
            self.pass_through(POD_C.port, sent[0], POD_B.port, wanted[0])
            for first in firsts:
                self.send(POD_A.port, first)
                assert self.receive() is not None
            self.pass_all(POD_C, sent[1:], POD_B, wanted[1:], "the other pod's datagram")
            forgotten = 0
            for packets in flood:
                before = self.client.read_counters("drop_counter")
                self.send(POD_A.port, packets[1])
                forgotten += self.receive_unless_dropped(DropReason.FRAGMENT_WITHOUT_FIRST, before) is None
            self.assertGreaterEqual(forgotten, 19 * ways)


class ErrorsAboutFragmentsFindTheirConnection(FragmentTest):
    """An ICMPv6 error that quotes a first fragment behind its fragment header is translated; IPv4's as any other."""

    def runTest(self) -> None:
        for _, _, src, vip, endpoint in self.each_service(POD_B, protocols=("udp",)):
            first = self.cut_up(POD_A, src, vip, "udp", 3)[0]
            received = self.cut_up_for(POD_B, src, endpoint, "udp", 3)[0]
            self.pass_through(POD_A.port, first, POD_B.port, received)
            told = self.cut_up_for(POD_B, src, vip, "udp", 3)[0]
            quotes = [bytes(packet)[14 : 14 + 56] for packet in (received, told)]
            self.pass_through(
                POD_B.port,
                icmp_error("time exceeded", endpoint.address, src.address, quotes[0], POD_B.mac, GATEWAY_MAC),
                POD_A.port,
                icmp_error("time exceeded", vip.address, src.address, quotes[1], GATEWAY_MAC, POD_A.mac, ttl=63),
            )


class TooBigFragmentsAreTold(ReportTest):
    """A first fragment that does not fit is told of, with its fragment header in the quote; without the first, the others are dropped."""

    def runTest(self) -> None:
        self.set_mtu(ROUTER.port, 1280)
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(REMOTE.address(family), 80)
            small = self.sent_by(POD_A, src, dst, "udp")
            self.pass_through(
                POD_A.port, small, ROUTER.port, self.delivered_to(ROUTER, src, dst, "udp"), "a connection"
            )
            whole = self.sent_by(POD_A, src, dst, "udp", payload=bytes(1500))
            first, second = pieces(whole, 3, (0, 1400))
            answer = too_big(first, family, 1280)
            if family == 6:
                answer[Raw].load = bytes(first)[14 : 14 + 56]
            self.answered(POD_A, first, answer, DropReason.TOO_BIG, f"IPv{family}")
            self.drop(POD_A.port, second, DropReason.FRAGMENT_WITHOUT_FIRST)
