"""Refusals are answered: TCP by a reset, UDP and SCTP by "port unreachable" (p4src/stages/refuse.p4)."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from ptf_tests.base import POD_A, REMOTE, ROUTER, VIP, NodeTest
from ptf_tests.client import Entry, Lpm
from ptf_tests.drop_reasons import DropReason
from ptf_tests.packets import FAMILIES, GATEWAY_MAC, Family, Host, Side, address_number


class RefusalTest(NodeTest):
    """What the tests of refusals share: a Service without endpoints, and a look at the drop counter."""

    def refuse_service(self) -> None:
        """Port 80 of the Service address refuses, with both protocols and families."""
        for family in FAMILIES:
            for protocol in ("tcp", "udp", "sctp"):
                self.client.insert(self.frontend_entry(VIP[family], 80, protocol, "reject_service"))

    def refused(self, client: Host, packet: Packet, answer: Packet, reason: DropReason) -> None:
        """The packet is answered so, on the port it came from, and counted as dropped for that reason."""
        before = self.client.read_counter("drop_counter", reason)[0]
        self.pass_through(client.port, packet, client.port, answer)
        after = self.wait_for(
            lambda: self.client.read_counter("drop_counter", reason)[0], lambda count: count > before, seconds=20
        )
        self.assertEqual(after, before + 1)

    @staticmethod
    def reset(host: Host, src: Side, vip: Side, *, flags: str, seq: int, ack: int) -> Packet:
        """The reset that `host` gets from the Service address."""
        if ":" in vip.address:
            ip: Packet = IPv6(src=vip.address, dst=src.address, hlim=64)
        else:
            ip = IP(src=vip.address, dst=src.address, ttl=64, id=0, flags="DF")
        tcp = TCP(sport=vip.port, dport=src.port, flags=flags, seq=seq, ack=ack, window=0)
        return Ether(src=GATEWAY_MAC, dst=host.mac) / ip / tcp


class TcpIsReset(RefusalTest):
    """A SYN, with or without data and options, is answered by a reset with the right numbers (RFC 9293, 3.10.7.1)."""

    def runTest(self) -> None:
        self.refuse_service()
        for family in FAMILIES:
            for client in (POD_A, REMOTE):
                src, vip = Side(client.address(family), self.new_port()), Side(VIP[family], 80)
                for payload in (b"", b"early data"):
                    packet = self.sent_by(client, src, vip, "tcp", payload=payload, seq=0xFFFFFFFE)
                    answer = self.reset(client, src, vip, flags="RA", seq=0, ack=(0xFFFFFFFF + len(payload)) % 2**32)
                    self.refused(client, packet, answer, DropReason.SERVICE_REJECTED)
                packet = self.sent_by(client, src, vip, "tcp", payload=b"")
                packet[TCP].options = [
                    ("MSS", 1460),
                    ("SAckOK", b""),
                    ("Timestamp", (1, 0)),
                    ("NOP", None),
                    ("WScale", 7),
                ]
                answer = self.reset(client, src, vip, flags="RA", seq=0, ack=1001)
                self.refused(client, packet, answer, DropReason.SERVICE_REJECTED)
                packet = self.sent_by(client, src, vip, "tcp", flags="PA", seq=5, ack=77777)
                answer = self.reset(client, src, vip, flags="R", seq=77777, ack=0)
                self.refused(client, packet, answer, DropReason.SERVICE_REJECTED)


class ResetIsNotAnswered(RefusalTest):
    """A reset to a refused Service is dropped in silence, so that two refusals never answer each other."""

    def runTest(self) -> None:
        self.refuse_service()
        for family in FAMILIES:
            src, vip = Side(POD_A.address(family), self.new_port()), Side(VIP[family], 80)
            self.drop(POD_A.port, self.sent_by(POD_A, src, vip, "tcp", flags="R"), DropReason.NOT_IN_CONNECTION)


class UdpIsUnreachable(RefusalTest):
    """UDP is answered by ICMP or ICMPv6 port unreachable that quotes the packet's headers; checksums are valid."""

    def runTest(self) -> None:
        self.refuse_service()
        for family in FAMILIES:
            for payload in (b"", b"x", bytes(1400)):
                src, vip = Side(POD_A.address(family), self.new_port()), Side(VIP[family], 80)
                packet = self.sent_by(POD_A, src, vip, "udp", payload=payload)
                self.refused(POD_A, packet, _unreachable(packet, family), DropReason.SERVICE_REJECTED)


class SctpIsUnreachable(RefusalTest):
    """SCTP is answered by port unreachable as well, with the first eight bytes of its header."""

    def runTest(self) -> None:
        self.refuse_service()
        for family in FAMILIES:
            src, vip = Side(POD_A.address(family), self.new_port()), Side(VIP[family], 80)
            packet = self.sent_by(POD_A, src, vip, "sctp")
            self.refused(POD_A, packet, _unreachable(packet, family), DropReason.SERVICE_REJECTED)


class ServiceAddressRefusesOtherPorts(RefusalTest):
    """`reject_address`: a Service's address at a port it does not serve is refused; ICMP to it is dropped."""

    def runTest(self) -> None:
        for family in FAMILIES:
            address = Lpm(address_number(VIP[family]), 128)
            self.client.insert(Entry("service_address_table", {"dst_addr": address}, "reject_address"))
            src, vip = Side(POD_A.address(family), self.new_port()), Side(VIP[family], 81)
            packet = self.sent_by(POD_A, src, vip, "tcp", payload=b"")
            answer = self.reset(POD_A, src, vip, flags="RA", seq=0, ack=1001)
            self.refused(POD_A, packet, answer, DropReason.SERVICE_PORT_REJECTED)
            packet = self.sent_by(POD_A, src, vip, "udp")
            self.refused(POD_A, packet, _unreachable(packet, family), DropReason.SERVICE_PORT_REJECTED)


class ServiceWithoutGroupRefuses(RefusalTest):
    """A frontend whose Service has no entry of endpoints refuses too, and lets nothing through."""

    def runTest(self) -> None:
        for family in FAMILIES:
            self.client.insert(self.frontend_entry(VIP[family], 80, "tcp", "set_service", **self.service_params(77)))
            src, vip = Side(REMOTE.address(family), self.new_port()), Side(VIP[family], 80)
            packet = self.sent_by(REMOTE, src, vip, "tcp", payload=b"")
            self.refused(
                REMOTE, packet, self.reset(ROUTER, src, vip, flags="RA", seq=0, ack=1001), DropReason.SERVICE_REJECTED
            )


class RefusedWithOptionsIsSilent(RefusalTest):
    """A packet with IPv4 options is dropped without an answer."""

    def runTest(self) -> None:
        self.refuse_service()
        src, vip = Side(POD_A.ipv4, self.new_port()), Side(VIP[4], 80)
        options = IP(bytes(IP(ihl=6))[:20] + b"\x94\x04\x00\x00").options
        packet = self.sent_by(POD_A, src, vip, "udp", ip_fields={"options": options})
        self.drop(POD_A.port, packet, DropReason.SERVICE_REJECTED)


class RefusedInFragmentsIsSilent(RefusalTest):
    """A fragment of TCP does not say how long its segment is, so that no reset could be right."""

    def runTest(self) -> None:
        self.refuse_service()
        src, vip = Side(POD_A.ipv4, self.new_port()), Side(VIP[4], 80)
        packet = self.sent_by(POD_A, src, vip, "tcp", payload=bytes(44), ip_fields={"flags": "MF"})
        self.drop(POD_A.port, packet, DropReason.SERVICE_REJECTED)
        src, vip = Side(POD_A.ipv6, self.new_port()), Side(VIP[6], 80)
        whole = self.sent_by(POD_A, src, vip, "tcp", payload=bytes(44))
        fragment = IPv6ExtHdrFragment(nh=6, m=1, id=1) / Raw(bytes(whole)[54:])
        packet = whole[Ether].copy()
        packet[IPv6].remove_payload()
        packet[IPv6].nh = 44
        self.drop(POD_A.port, packet / fragment, DropReason.SERVICE_REJECTED)


def _unreachable(packet: Packet, family: Family) -> Packet:
    """The answer to a refused packet: its own headers behind those of the error."""
    ethernet = Ether(src=GATEWAY_MAC, dst=packet[Ether].src)
    quoted = bytes(packet)[14:]
    if family == 4:
        ip = IP(src=packet[IP].dst, dst=packet[IP].src, ttl=64, id=0, tos=0xC0)
        return ethernet / ip / ICMP(type=3, code=3) / Raw(quoted[:28])
    ipv6 = IPv6(src=packet[IPv6].dst, dst=packet[IPv6].src, hlim=64)
    return ethernet / ipv6 / ICMPv6DestUnreach(code=4) / Raw(quoted[:48])
