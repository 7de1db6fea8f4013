"""ICMP errors that the pipeline makes (p4src/stages/report_error.p4); port unreachable is tested with the refusals."""

from __future__ import annotations

import time

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from ptf_tests.base import NODE, POD_A, POD_B, POD_C, REMOTE, ROUTER, NodeTest
from ptf_tests.client import Entry
from ptf_tests.drop_reasons import DropReason
from ptf_tests.packets import FAMILIES, GATEWAY_MAC, PROTOCOLS, Family, Host, Side, address_number, echo

_MTU = 1400


class ReportTest(NodeTest):
    """What the tests share: the node's own address as the source of errors."""

    def setUp(self) -> None:
        super().setUp()
        for family in FAMILIES:
            params = {"addr": address_number(NODE.address(family))}
            self.client.insert(Entry("error_source_table", {"is_ipv6": int(family == 6)}, "set_error_source", params))

    def set_mtu(self, port: int, mtu: int) -> None:
        """Limit what leaves on a port."""
        self.client.insert(Entry("mtu_table", {"egress_port": port}, "set_mtu", {"mtu": mtu}))

    def answered(self, host: Host, packet: Packet, answer: Packet, reason: DropReason, why: str = "") -> None:
        """The packet is answered so, on the port it came from, and counted as dropped for that reason."""
        before = self.client.read_counter("drop_counter", reason)[0]
        self.pass_through(host.port, packet, host.port, answer, why)
        after = self.wait_for(
            lambda: self.client.read_counter("drop_counter", reason)[0], lambda count: count > before, seconds=20
        )
        self.assertEqual(after, before + 1)


def time_exceeded(packet: Packet, family: Family) -> Packet:
    """What the sender of a packet whose TTL is used up gets."""
    return _error(packet, family, ICMP(type=11, code=0), ICMPv6TimeExceeded(code=0))


def too_big(packet: Packet, family: Family, mtu: int) -> Packet:
    """What the sender of a packet that does not fit gets."""
    return _error(packet, family, ICMP(type=3, code=4, nexthopmtu=mtu), ICMPv6PacketTooBig(mtu=mtu))


def _error(packet: Packet, family: Family, ipv4: Packet, ipv6: Packet) -> Packet:
    ethernet = Ether(src=GATEWAY_MAC, dst=packet[Ether].src)
    quoted = bytes(packet)[14:]
    if family == 4:
        return ethernet / IP(src=NODE.ipv4, dst=packet[IP].src, ttl=64, id=0, tos=0xC0) / ipv4 / Raw(quoted[:28])
    return ethernet / IPv6(src=NODE.ipv6, dst=packet[IPv6].src, hlim=64) / ipv6 / Raw(quoted[:48])


class TimeExceededIsTold(ReportTest):
    """TTL and hop limit 0 and 1 are told to the sender, whatever he sends: traceroute shows the node."""

    def runTest(self) -> None:
        for family in FAMILIES:
            for host, source in ((POD_A, POD_A), (ROUTER, REMOTE)):
                src, dst = Side(source.address(family), self.new_port()), Side(POD_B.address(family), 80)
                for ttl in (0, 1):
                    for protocol in PROTOCOLS:
                        packet = self.sent_by(host, src, dst, protocol, ttl=ttl)
                        answer = time_exceeded(packet, family)
                        self.answered(host, packet, answer, DropReason.TTL_EXCEEDED, f"{protocol} over IPv{family}")
                    packet = echo(src.address, dst.address, host.mac, GATEWAY_MAC, src.port, ttl=ttl)
                    self.answered(host, packet, time_exceeded(packet, family), DropReason.TTL_EXCEEDED, "echo")


class ForgedPacketsAreNotAnswered(ReportTest):
    """Whoever uses another's address hears nothing, and nor does the other one."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, dst = Side(POD_B.address(family), self.new_port()), Side(REMOTE.address(family), 80)
            self.drop(POD_A.port, self.sent_by(POD_A, src, dst, "udp", ttl=1), DropReason.SPOOFED_ADDRESS)


class TooBigIsTold(ReportTest):
    """What is longer than the MTU of the port that it would leave on is told so with the MTU, also without DF; what fits passes."""

    def runTest(self) -> None:
        self.set_mtu(ROUTER.port, _MTU)
        for family in FAMILIES:
            header = 20 if family == 4 else 40
            src, dst = Side(POD_A.address(family), self.new_port()), Side(REMOTE.address(family), 80)
            for length, fits in ((_MTU, True), (_MTU + 1, False), (3000, False)):
                for flags in ("DF", 0) if family == 4 else (None,):
                    fields = {"ip_fields": {"flags": flags}} if family == 4 else {}
                    packet = self.sent_by(POD_A, src, dst, "udp", payload=bytes(length - header - 8), **fields)
                    if fits:
                        wanted = self.delivered_to(
                            ROUTER, src, dst, "udp", payload=bytes(length - header - 8), **fields
                        )
                        self.pass_through(POD_A.port, packet, ROUTER.port, wanted, f"{length} bytes")
                    else:
                        self.answered(POD_A, packet, too_big(packet, family, _MTU), DropReason.TOO_BIG)


class LongestPacketIsTooBig(ReportTest):
    """An IPv6 packet that says that it is as long as can be does not pass for a short one."""

    def runTest(self) -> None:
        self.set_mtu(ROUTER.port, _MTU)
        packet = self.sent_by(POD_A, Side(POD_A.ipv6, self.new_port()), Side(REMOTE.ipv6, 80), "udp")
        packet[IPv6].plen = 65530
        self.answered(POD_A, packet, too_big(packet, 6, _MTU), DropReason.TOO_BIG)


class TooBigIsToldAsItWasSent(ReportTest):
    """The quote is the packet as the sender knows it, before any translation, so that he knows what to send in smaller pieces."""

    def runTest(self) -> None:
        self.set_mtu(ROUTER.port, _MTU)
        for family, protocol, src, vip, endpoint in self.each_service(REMOTE):
            packet = self.sent_by(POD_A, src, vip, protocol)
            self.pass_through(
                POD_A.port, packet, ROUTER.port, self.delivered_to(ROUTER, src, endpoint, protocol), "it fits"
            )
            packet = self.sent_by(POD_A, src, vip, protocol, flags="A", payload=bytes(1600))
            self.answered(POD_A, packet, too_big(packet, family, _MTU), DropReason.TOO_BIG)


class TooBigOpensNothing(ReportTest):
    """What does not fit opens no connection; what is forbidden as well is dropped for that, and nobody is told."""

    def runTest(self) -> None:
        self.set_mtu(ROUTER.port, _MTU)
        for family in FAMILIES:
            for protocol in ("tcp", "sctp"):
                src, dst = Side(POD_A.address(family), self.new_port()), Side(REMOTE.address(family), 80)
                # An INIT is never so long, but data may open an association that was there before the switch.
                packet = self.sent_by(
                    POD_A, src, dst, protocol, flags="S" if protocol == "tcp" else "A", payload=bytes(1600)
                )
                self.answered(POD_A, packet, too_big(packet, family, _MTU), DropReason.TOO_BIG)
                answer = self.sent_by(ROUTER, dst, src, protocol, flags="SA")
                self.drop(ROUTER.port, answer, DropReason.NOT_IN_CONNECTION, f"{protocol} over IPv{family}")
                self.isolate(POD_A, egress_policy=1)
                self.drop(POD_A.port, packet, DropReason.EGRESS_POLICY, f"{protocol} over IPv{family}")
                self.isolate(POD_A)


class OtherPortsHaveNoLimit(ReportTest):
    """An MTU counts on its own port, and a port without one takes everything."""

    def runTest(self) -> None:
        self.set_mtu(ROUTER.port, _MTU)
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
            packet = self.sent_by(POD_A, src, dst, "udp", payload=bytes(3000))
            wanted = self.delivered_to(POD_B, src, dst, "udp", payload=bytes(3000))
            self.pass_through(POD_A.port, packet, POD_B.port, wanted)


class ErrorsAreNotAnsweredByErrors(ReportTest):
    """An ICMP error that has nowhere to go is dropped in silence (RFC 1122, section 3.2.2), and so is what has options."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(REMOTE.address(family), 80)
            quoted = bytes(self.delivered_to(POD_A, dst, src, "udp"))[14:]
            packet = _error(self.sent_by(ROUTER, dst, src, "udp"), family, ICMP(type=3), ICMPv6TimeExceeded())
            packet[Ether].src, packet[Ether].dst = POD_A.mac, GATEWAY_MAC
            layer = packet[IP] if family == 4 else packet[IPv6]
            layer.src, layer.dst = src.address, dst.address
            if family == 4:
                layer.ttl = 1
            else:
                layer.hlim = 1
            packet[Raw].load = quoted
            self.drop(POD_A.port, packet, DropReason.TTL_EXCEEDED)
        options = IP(bytes(IP(ihl=6))[:20] + b"\x94\x04\x00\x00").options
        src, dst = Side(POD_A.ipv4, self.new_port()), Side(POD_B.ipv4, 80)
        packet = self.sent_by(POD_A, src, dst, "udp", ttl=1, ip_fields={"options": options})
        self.drop(POD_A.port, packet, DropReason.TTL_EXCEEDED, "options")


class ErrorsAreLimited(ReportTest):
    """A flood of packets to be complained of gets the target's number of errors in a tick, and another port still gets its own."""

    def runTest(self) -> None:
        limit = self.target.icmp.errors_per_port
        src, dst = Side(POD_A.ipv4, self.new_port()), Side(POD_B.ipv4, 80)
        packet = bytes(self.sent_by(POD_A, src, dst, "udp", ttl=1))
        before = self.client.read_counter("drop_counter", DropReason.TTL_EXCEEDED)[0]
        started = time.monotonic()
        got = sent = 0
        while got == sent and sent < 100 * limit:  # until some are not told
            for _ in range(16):  # no more at once than a slow switch and the test's own queue take in
                self.send(POD_A.port, packet)
            sent += 16
            self.wait_for(
                lambda: self.client.read_counter("drop_counter", DropReason.TTL_EXCEEDED)[0],
                lambda count, wanted=before + sent: count == wanted,  # type: ignore[misc]
                seconds=20,
            )
            got += len(self.drain(POD_A, POD_C))
        ticks = int((time.monotonic() - started) / 1.048576) + 2
        self.assertGreaterEqual(got, limit)
        self.assertLess(got, sent, "never too many")
        self.assertLessEqual(got, limit * ticks, f"within {ticks} ticks")
        src = Side(POD_B.ipv4, self.new_port())
        packet_of_b = self.sent_by(POD_B, src, Side(POD_A.ipv4, 80), "udp", ttl=1)
        self.answered(POD_B, packet_of_b, time_exceeded(packet_of_b, 4), DropReason.TTL_EXCEEDED, "another port")
