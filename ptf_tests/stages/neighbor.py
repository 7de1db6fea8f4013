"""ARP and neighbour discovery answered in the pipeline (p4src/stages/neighbor.p4)."""

from __future__ import annotations

from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from ptf_tests.base import GATEWAY, POD_A, POD_B, PODS, NodeTest
from ptf_tests.drop_reasons import DropReason
from ptf_tests.packets import GATEWAY_MAC

_SOLICITED_NODE = "ff02::1:ff00:1"
_SOLICITED_NODE_MAC = "33:33:ff:00:00:01"


def _solicitation(src: str, src_mac: str, target: str, *, hop_limit: int = 255, options: bytes | None = None) -> Packet:
    packet = Ether(src=src_mac, dst=_SOLICITED_NODE_MAC) / IPv6(src=src, dst=_SOLICITED_NODE, hlim=hop_limit)
    packet /= ICMPv6ND_NS(tgt=target)
    if options is not None:
        return packet / Raw(options)
    return packet / ICMPv6NDOptSrcLLAddr(lladdr=src_mac)


class ArpRequestIsAnswered(NodeTest):
    """The gateway's MAC comes back, byte by byte as RFC 826 has it, on the port that asked; padding stays."""

    def runTest(self) -> None:
        for pod in PODS:
            request = Ether(src=pod.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(
                op=1, hwsrc=pod.mac, psrc=pod.ipv4, hwdst="00:00:00:00:00:00", pdst=GATEWAY[4]
            )
            reply = Ether(src=GATEWAY_MAC, dst=pod.mac) / ARP(
                op=2, hwsrc=GATEWAY_MAC, psrc=GATEWAY[4], hwdst=pod.mac, pdst=pod.ipv4
            )
            self.pass_through(pod.port, request, pod.port, reply, pod.name)
            padding = Raw(bytes(18))
            self.pass_through(pod.port, request / padding, pod.port, reply / padding, "padded to 60 bytes")
        self.expect_quiet()


class ArpInAnothersNameReachesNobodyElse(NodeTest):
    """A question in another pod's name is answered where it was asked, and the other one hears nothing."""

    def runTest(self) -> None:
        question = Ether(src=POD_A.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(
            op=1, hwsrc=POD_B.mac, psrc=POD_B.ipv4, pdst=GATEWAY[4]
        )
        answer = Ether(src=GATEWAY_MAC, dst=POD_B.mac) / ARP(
            op=2, hwsrc=GATEWAY_MAC, psrc=GATEWAY[4], hwdst=POD_B.mac, pdst=POD_B.ipv4
        )
        self.pass_through(POD_A.port, question, POD_A.port, answer)
        self.expect_quiet()


class ArpForOthersIsDropped(NodeTest):
    """Questions for anybody else, replies and announcements are never forwarded."""

    def runTest(self) -> None:
        broadcast = Ether(src=POD_A.mac, dst="ff:ff:ff:ff:ff:ff")
        request = ARP(op=1, hwsrc=POD_A.mac, psrc=POD_A.ipv4, pdst=POD_B.ipv4)
        self.drop(POD_A.port, broadcast / request, DropReason.NEIGHBOR_UNKNOWN)
        announcement = ARP(op=1, hwsrc=POD_A.mac, psrc=GATEWAY[4], pdst=POD_A.ipv4)
        self.drop(POD_A.port, broadcast / announcement, DropReason.NEIGHBOR_UNKNOWN)
        reply = ARP(op=2, hwsrc=POD_A.mac, psrc=GATEWAY[4], hwdst=POD_B.mac, pdst=POD_B.ipv4)
        self.drop(POD_A.port, Ether(src=POD_A.mac, dst=POD_B.mac) / reply, DropReason.NEIGHBOR_UNSUPPORTED)
        other = ARP(op=1, hwtype=6, hwsrc=POD_A.mac, psrc=POD_A.ipv4, pdst=GATEWAY[4])
        self.drop(POD_A.port, broadcast / other, DropReason.NEIGHBOR_UNSUPPORTED, "not Ethernet")


class SolicitationIsAnswered(NodeTest):
    """The advertisement is that of RFC 4861: router, solicited, override, target link-layer option, valid checksum."""

    def runTest(self) -> None:
        for src in (POD_A.ipv6, "fe80::a"):
            wanted = (
                Ether(src=GATEWAY_MAC, dst=POD_A.mac)
                / IPv6(src=GATEWAY[6], dst=src, hlim=255)
                / ICMPv6ND_NA(tgt=GATEWAY[6], R=1, S=1, O=1)
                / ICMPv6NDOptDstLLAddr(lladdr=GATEWAY_MAC)
            )
            for options in (None, b"", bytes.fromhex("01010200000001 0a 0e01112233445566")):
                question = _solicitation(src, POD_A.mac, GATEWAY[6], options=options)
                self.pass_through(POD_A.port, question, POD_A.port, wanted, f"options {options!r}")
        self.expect_quiet()


class DuplicateAddressDetectionIsAnswered(NodeTest):
    """Who asks without an address yet is answered at all nodes, unsolicited (RFC 4861, section 7.2.4)."""

    def runTest(self) -> None:
        wanted = (
            Ether(src=GATEWAY_MAC, dst="33:33:00:00:00:01")
            / IPv6(src=GATEWAY[6], dst="ff02::1", hlim=255)
            / ICMPv6ND_NA(tgt=GATEWAY[6], R=1, S=0, O=1)
            / ICMPv6NDOptDstLLAddr(lladdr=GATEWAY_MAC)
        )
        question = _solicitation("::", POD_A.mac, GATEWAY[6], options=b"")
        self.pass_through(POD_A.port, question, POD_A.port, wanted)


class DiscoveryForOthersIsDropped(NodeTest):
    """Other targets, routed solicitations and every other kind of discovery are dropped."""

    def runTest(self) -> None:
        self.drop(POD_A.port, _solicitation(POD_A.ipv6, POD_A.mac, POD_B.ipv6), DropReason.NEIGHBOR_UNKNOWN)
        routed = _solicitation(POD_A.ipv6, POD_A.mac, GATEWAY[6], hop_limit=254)
        self.drop(POD_A.port, routed, DropReason.MALFORMED, "hop limit 254")
        advertisement = (
            Ether(src=POD_A.mac, dst=POD_B.mac)
            / IPv6(src=POD_A.ipv6, dst=POD_B.ipv6, hlim=255)
            / ICMPv6ND_NA(tgt=GATEWAY[6], R=1, S=1, O=1)
            / ICMPv6NDOptDstLLAddr(lladdr=POD_A.mac)
        )
        self.drop(POD_A.port, advertisement, DropReason.NEIGHBOR_UNSUPPORTED)
        solicitation = Ether(src=POD_A.mac, dst="33:33:00:00:00:02") / IPv6(src="fe80::a", dst="ff02::2", hlim=255)
        self.drop(POD_A.port, solicitation / ICMPv6ND_RS(), DropReason.NEIGHBOR_UNSUPPORTED)
