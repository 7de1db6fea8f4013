"""ICMP errors about packets of a connection: passed and translated with it, or dropped (p4src/stages/icmp_errors.p4)."""

from __future__ import annotations

import time

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from ptf_tests.base import NODE, POD_A, POD_B, POD_C, REMOTE, ROUTER, VIP, NodeTest
from ptf_tests.client import Entry
from ptf_tests.drop_reasons import DropReason
from ptf_tests.packets import (
    ERROR_KINDS,
    FAMILIES,
    GATEWAY_MAC,
    PROTOCOLS,
    Family,
    Host,
    Protocol,
    Side,
    address_number,
    echo,
    icmp_error,
)

_LEAST = {4: 28, 6: 48}
"""What an error quotes at the least: the IP header and eight bytes."""


class ErrorTest(NodeTest):
    """What the tests of errors share."""

    def reported(
        self,
        sender: Host,
        receiver: Host,
        received: tuple[Side, Side],
        sent: tuple[Side, Side],
        protocol: Protocol,
        *,
        router: str = "",
        kinds: tuple[str, ...] = ERROR_KINDS,
        why: str = "",
        **fields: object,
    ) -> None:
        """`sender` complains of the packet `received` (source and destination); `receiver` hears of it as the one that he has `sent`.

        Args:
            router: the address that complains, if it is not the destination of the packet.
        """
        family: Family = 6 if ":" in received[0].address else 4
        header = bytes(self.delivered_to(sender, received[0], received[1], protocol, **fields))[14]
        least = 48 if family == 6 else (header & 15) * 4 + 8
        for kind in kinds:
            for length in (least, least + 10, 2000):
                quotes = [
                    bytes(self.delivered_to(sender, ends[0], ends[1], protocol, **fields))[14:][:length]
                    for ends in (received, sent)
                ]
                if protocol == "sctp":  # the CRC is beyond what is translated
                    quotes = [quote[:least] for quote in quotes]
                outside = router or received[1].address, received[0].address
                wanted = router or sent[1].address, sent[0].address
                self.pass_through(
                    sender.port,
                    icmp_error(kind, *outside, quotes[0], sender.mac, GATEWAY_MAC),
                    receiver.port,
                    icmp_error(kind, *wanted, quotes[1], GATEWAY_MAC, receiver.mac, ttl=63),
                    f"{why}: {protocol} over IPv{family}, {kind}, {length} bytes quoted",
                )

    def open(
        self, client: Host, server: Host, sent: tuple[Side, Side], wanted: tuple[Side, Side], kind: Protocol
    ) -> None:
        """Open a connection, so that it lasts: a packet there, one back and another one there."""
        packet = self.sent_by(client, *sent, kind)
        self.pass_through(client.port, packet, server.port, self.delivered_to(server, *wanted, kind), "opening")
        self.confirm(client, server, sent, wanted, kind)

    def confirm(
        self, client: Host, server: Host, sent: tuple[Side, Side], wanted: tuple[Side, Side], kind: Protocol
    ) -> None:
        """The server's answer to the first packet, and the client's to that."""
        answer = self.sent_by(server, wanted[1], wanted[0], kind, flags="SA")
        seen = self.delivered_to(client, sent[1], sent[0], kind, flags="SA")
        self.pass_through(server.port, answer, client.port, seen, "the answer")
        packet = self.sent_by(client, *sent, kind, flags="A")
        self.pass_through(
            client.port, packet, server.port, self.delivered_to(server, *wanted, kind, flags="A"), "confirmed"
        )


class ErrorOfTheEndpointComesFromTheService(ErrorTest):
    """The endpoint's complaint arrives as the Service's, about the packet that the client sent; every checksum is right."""

    def runTest(self) -> None:
        for _, protocol, src, vip, endpoint in self.each_service(POD_B):
            self.open(POD_A, POD_B, (src, vip), (src, endpoint), protocol)
            self.reported(POD_B, POD_A, (src, endpoint), (src, vip), protocol)
        self.expect_quiet()


class ErrorOfTheClientReachesTheEndpoint(ErrorTest):
    """The client's complaint about an answer, which it had from the Service, arrives as one about what the endpoint sent."""

    def runTest(self) -> None:
        for _, protocol, src, vip, endpoint in self.each_service(POD_B):
            self.open(POD_A, POD_B, (src, vip), (src, endpoint), protocol)
            self.reported(POD_A, POD_B, (vip, src), (endpoint, src), protocol)


class RouterStaysWhoItIs(ErrorTest):
    """An error of a router on the way keeps its source, so that traceroute shows the way; inside it is translated all the same."""

    def runTest(self) -> None:
        for family, protocol, src, vip, endpoint in self.each_service(REMOTE):
            self.open(POD_A, ROUTER, (src, vip), (src, endpoint), protocol)
            router = ROUTER.address(family)
            self.reported(ROUTER, POD_A, (src, endpoint), (src, vip), protocol, router=router)


class UntranslatedErrorsPass(ErrorTest):
    """Errors about connections that are not translated pass unchanged, in both directions, and whatever policy says of ICMP."""

    def runTest(self) -> None:
        for family in FAMILIES:
            for protocol in PROTOCOLS:
                src, dst = Side(POD_A.address(family), self.new_port()), Side(REMOTE.address(family), 443)
                self.open(POD_A, ROUTER, (src, dst), (src, dst), protocol)
                self.isolate(POD_A, egress_policy=1, ingress_policy=1)
                self.reported(ROUTER, POD_A, (src, dst), (src, dst), protocol, router=ROUTER.address(family))
                self.reported(ROUTER, POD_A, (src, dst), (src, dst), protocol)
                self.reported(POD_A, ROUTER, (dst, src), (dst, src), protocol)
                self.isolate(POD_A)


class ErrorAboutAnEchoPasses(ErrorTest):
    """A ping that does not arrive: the error finds it by its identifier."""

    def runTest(self) -> None:
        for family in FAMILIES:
            a, remote, identifier = POD_A.address(family), REMOTE.address(family), self.new_port()
            self.pass_through(
                POD_A.port,
                echo(a, remote, POD_A.mac, GATEWAY_MAC, identifier),
                ROUTER.port,
                quoted := echo(a, remote, GATEWAY_MAC, ROUTER.mac, identifier, ttl=63),
            )
            ends = ROUTER.address(family), a, bytes(quoted)[14:]
            self.pass_through(
                ROUTER.port,
                icmp_error("time exceeded", *ends, ROUTER.mac, GATEWAY_MAC),
                POD_A.port,
                icmp_error("time exceeded", *ends, GATEWAY_MAC, POD_A.mac, ttl=63),
            )
            other = echo(a, remote, GATEWAY_MAC, ROUTER.mac, identifier + 1, ttl=63)
            ends = ROUTER.address(family), a, bytes(other)[14:]
            packet = icmp_error("time exceeded", *ends, ROUTER.mac, GATEWAY_MAC)
            self.drop(ROUTER.port, packet, DropReason.UNRELATED_ERROR, "another identifier")


class MasqueradedConnectionsHearOfErrors(ErrorTest):
    """The complaint goes to the node's address and the port of the pipeline's choice; it arrives at the client, as the Service's."""

    def runTest(self) -> None:
        for family in FAMILIES:
            self.client.insert(
                Entry(
                    "masquerade_table",
                    {"is_ipv6": int(family == 6)},
                    "set_masquerade_address",
                    {"addr": address_number(NODE.address(family))},
                )
            )
        for family, protocol, src, vip, endpoint in self.each_service(POD_B, REMOTE, masquerade=7):
            self.send(ROUTER.port, self.sent_by(ROUTER, src, vip, protocol))
            got = self.receive()
            assert got is not None and got[0] == POD_B.port
            transport = 14 + (20 if family == 4 else 40)
            own = Side(NODE.address(family), int.from_bytes(got[1][transport : transport + 2], "big"))
            self.confirm(ROUTER, POD_B, (src, vip), (own, endpoint), protocol)
            self.reported(POD_B, ROUTER, (own, endpoint), (src, vip), protocol)


class HairpinHearsOfErrors(ErrorTest):
    """A pod that is its own endpoint complains to the Service's address, and hears it from there."""

    def runTest(self) -> None:
        for _, protocol, src, vip, endpoint in self.each_service(POD_A):
            received = Side(vip.address, src.port), endpoint
            self.open(POD_A, POD_A, (src, vip), received, protocol)
            self.reported(POD_A, POD_A, received, (src, vip), protocol)


class UdpWithoutChecksumIsQuotedSo(ErrorTest):
    """A quoted UDP checksum of 0 stays 0."""

    def runTest(self) -> None:
        vip, endpoint = Side(VIP[4], 53), Side(POD_B.ipv4, 5353)
        self.add_service(vip.address, 53, "udp", [endpoint])
        src = Side(POD_A.ipv4, self.new_port())
        self.open(POD_A, POD_B, (src, vip), (src, endpoint), "udp")
        quotes = []
        for ends in ((src, endpoint), (src, vip)):
            packet = self.delivered_to(POD_B, *ends, "udp")
            packet[UDP].chksum = 0
            quotes.append(bytes(packet)[14:])
        self.pass_through(
            POD_B.port,
            icmp_error("unreachable", endpoint.address, src.address, quotes[0], POD_B.mac, GATEWAY_MAC),
            POD_A.port,
            icmp_error("unreachable", vip.address, src.address, quotes[1], GATEWAY_MAC, POD_A.mac, ttl=63),
        )


class QuotedUdpChecksumIsNeverMadeZero(ErrorTest):
    """A quoted UDP checksum that comes out as 0 is 0xffff, as the sender has sent it."""

    def runTest(self) -> None:
        for family in FAMILIES:
            vip, endpoint = Side(VIP[family], 53), Side(POD_B.address(family), 5353)
            self.add_service(vip.address, 53, "udp", [endpoint], family)
            src = Side(POD_A.address(family), self.new_port())
            self.open(POD_A, POD_B, (src, vip), (src, endpoint), "udp")
            plain = bytes(self.delivered_to(POD_B, src, vip, "udp", payload=b"\0\0"))
            at = 14 + (20 if family == 4 else 40) + 6
            payload = plain[at : at + 2]  # what brings the sum to 0xffff, hence the checksum to 0
            sent = self.delivered_to(POD_B, src, vip, "udp", payload=payload)
            self.assertEqual(bytes(sent)[at : at + 2], b"\xff\xff", "the test's own packet")
            self.reported(POD_B, POD_A, (src, endpoint), (src, vip), "udp", payload=payload)


class QuotedOptionsAreLookedOver(ErrorTest):
    """The ports of a quoted packet with IPv4 options are behind them."""

    def runTest(self) -> None:
        vip, endpoint = Side(VIP[4], 53), Side(POD_B.ipv4, 5353)
        self.add_service(vip.address, 53, "udp", [endpoint])
        src = Side(POD_A.ipv4, self.new_port())
        self.open(POD_A, POD_B, (src, vip), (src, endpoint), "udp")
        for options in (b"\x94\x04\x00\x00", b"\x01" * 40):
            fields = {"options": list(IP(bytes(IP(ihl=5 + len(options) // 4))[:20] + options).options)}
            self.reported(POD_B, POD_A, (src, endpoint), (src, vip), "udp", ip_fields=fields, kinds=("unreachable",))


class CraftedErrorsAreDropped(ErrorTest):
    """An error that quotes nothing that went through here, or comes from where it cannot come from, reaches nobody."""

    def runTest(self) -> None:
        for family in FAMILIES:
            for protocol in PROTOCOLS:
                self._craft(family, protocol)

    def _craft(self, family: Family, protocol: Protocol) -> None:
        a, b, c = POD_A.address(family), POD_B.address(family), POD_C.address(family)
        src, dst = Side(a, self.new_port()), Side(b, 8080)
        self.open(POD_A, POD_B, (src, dst), (src, dst), protocol)
        far = Side(REMOTE.address(family), 443)
        self.open(POD_A, ROUTER, (src, far), (src, far), protocol)
        router = ROUTER.address(family)
        cases = [
            (ROUTER, router, a, (Side(a, 1), far), "a packet that was never sent"),
            (ROUTER, router, a, (src, Side(far.address, 444)), "another port of the connection's end"),
            (ROUTER, router, b, (src, far), "somebody else's packet"),
            (ROUTER, router, a, (src, dst), "one between two pods of this node, from outside"),
            (POD_C, c, a, (src, dst), "a packet to another pod"),
            (POD_C, c, a, (src, far), "a packet to the outside"),
        ]
        for host, source, target, ends, why in cases:
            quoted = bytes(self.delivered_to(host, *ends, protocol))[14:]
            packet = icmp_error("too big", source, target, quoted, host.mac, GATEWAY_MAC)
            self.drop(host.port, packet, DropReason.UNRELATED_ERROR, f"{protocol} over IPv{family}: {why}")
        quoted = bytes(self.delivered_to(POD_B, src, dst, protocol))[14:]
        packet = icmp_error("too big", b, a, quoted, POD_C.mac, GATEWAY_MAC)
        self.drop(POD_C.port, packet, DropReason.SPOOFED_ADDRESS, "a pod in another's name")
        packet = icmp_error("too big", router, a, quoted[: _LEAST[family] - 1], ROUTER.mac, GATEWAY_MAC)
        self.drop(ROUTER.port, packet, DropReason.MALFORMED, "less than eight bytes quoted")


class ErrorAboutALaterFragmentIsDropped(ErrorTest):
    """What has no ports belongs to no connection."""

    def runTest(self) -> None:
        src, dst = Side(POD_A.ipv4, self.new_port()), Side(REMOTE.ipv4, 443)
        self.open(POD_A, ROUTER, (src, dst), (src, dst), "udp")
        quoted = bytes(self.delivered_to(ROUTER, src, dst, "udp", ip_fields={"frag": 100}))[14:]
        packet = icmp_error("too big", ROUTER.ipv4, POD_A.ipv4, quoted, ROUTER.mac, GATEWAY_MAC)
        self.drop(ROUTER.port, packet, DropReason.UNRELATED_ERROR)


class RedirectsAreDropped(NodeTest):
    """There is no better way than through the pipeline, whoever says so."""

    def runTest(self) -> None:
        quoted = bytes(self.delivered_to(ROUTER, Side(POD_A.ipv4, 1000), Side(REMOTE.ipv4, 443), "udp"))[14:]
        packet = (
            Ether(src=ROUTER.mac, dst=GATEWAY_MAC)
            / IP(src=ROUTER.ipv4, dst=POD_A.ipv4)
            / ICMP(type=5, code=1, gw=POD_C.ipv4)
            / Raw(quoted)
        )
        self.drop(ROUTER.port, packet, DropReason.UNRELATED_ERROR)


class ErrorsDoNotProlongConnections(ErrorTest):
    """A connection ends in its time, however many errors there are about it."""

    hurries = True

    def runTest(self) -> None:
        src, dst = Side(POD_A.ipv4, self.new_port()), Side(REMOTE.ipv4, 443)
        opening = self.sent_by(POD_A, src, dst, "tcp")
        self.pass_through(POD_A.port, opening, ROUTER.port, self.delivered_to(ROUTER, src, dst, "tcp"))
        quoted = bytes(self.delivered_to(ROUTER, src, dst, "tcp"))[14:]
        packet = icmp_error("too big", ROUTER.ipv4, POD_A.ipv4, quoted, ROUTER.mac, GATEWAY_MAC)
        # Two ticks more, as it is counted in whole ones.
        end = time.monotonic() + self.target.timeouts.tcp_opening + 2.2
        self.send(ROUTER.port, packet)
        self.assertIsNotNone(self.receive(), "an error at once")
        while time.monotonic() < end:
            self.send(ROUTER.port, packet)
            time.sleep(0.2)
        self.drain(POD_A, POD_C)
        self.drop(ROUTER.port, packet, DropReason.UNRELATED_ERROR)
