"""Routing to local pods and by the route table (p4src/stages/route.p4)."""

from __future__ import annotations

from ptf_tests.base import NODE, POD_A, POD_B, PODS, REMOTE, ROUTER, NodeTest
from ptf_tests.client import Entry, Lpm
from ptf_tests.drop_reasons import DropReason
from ptf_tests.packets import FAMILIES, Side, address_number, echo, prefix_length


class PodsReachEachOther(NodeTest):
    """Every pod reaches every other, with both families and protocols: MACs, TTL and checksums as they must be."""

    def runTest(self) -> None:
        for family in FAMILIES:
            for protocol in ("tcp", "udp"):
                for a in PODS:
                    for b in PODS:
                        if a is not b:
                            src, dst = Side(a.address(family), self.new_port()), Side(b.address(family), 8080)
                            self.pass_through(
                                a.port,
                                self.sent_by(a, src, dst, protocol),
                                b.port,
                                self.delivered_to(b, src, dst, protocol),
                                f"{a.name} to {b.name}",
                            )
        self.expect_quiet()


class EveryTtlKeepsTheChecksumRight(NodeTest):
    """The IPv4 checksum kept by difference is right for every TTL, and around its own 0 and 0xffff."""

    def runTest(self) -> None:
        src, dst = Side(POD_A.ipv4, self.new_port()), Side(POD_B.ipv4, 80)
        cases = [(ttl, 1) for ttl in range(2, 256, 11)]
        base = self.sent_by(POD_A, src, dst, "udp", ip_fields={"id": 0})
        checksum = int.from_bytes(bytes(base)[24:26], "big")
        cases += [
            (64, (checksum + near) % 0x10000) for near in (-0x101, -0x100, -0xFF, -1, 0, 1, 0xFE, 0xFF, 0x100, 0x101)
        ]
        for ttl, identification in cases:
            fields = {"id": identification}
            self.pass_through(
                POD_A.port,
                self.sent_by(POD_A, src, dst, "udp", ttl=ttl, ip_fields=fields),
                POD_B.port,
                self.delivered_to(POD_B, src, dst, "udp", ttl=ttl - 1, ip_fields=fields),
                f"TTL {ttl}, id {identification}",
            )


class EchoPasses(NodeTest):
    """Ping and its answer, both families."""

    def runTest(self) -> None:
        for family in FAMILIES:
            a, b, identifier = POD_A.address(family), POD_B.address(family), self.new_port()
            gateway = "02:00:00:00:00:01"
            request = echo(a, b, POD_A.mac, gateway, identifier)
            self.pass_through(POD_A.port, request, POD_B.port, echo(a, b, gateway, POD_B.mac, identifier, ttl=63))
            answer = echo(b, a, POD_B.mac, gateway, identifier, reply=True)
            wanted = echo(b, a, gateway, POD_A.mac, identifier, reply=True, ttl=63)
            self.pass_through(POD_B.port, answer, POD_A.port, wanted)


class RemoteAddressesTakeTheRoute(NodeTest):
    """Out by the uplink and back in, and to the node itself."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(REMOTE.address(family), 443)
            self.pass_through(
                POD_A.port,
                self.sent_by(POD_A, src, dst, "tcp"),
                ROUTER.port,
                self.delivered_to(ROUTER, src, dst, "tcp"),
            )
            answer = self.sent_by(ROUTER, dst, src, "tcp", flags="SA")
            self.pass_through(ROUTER.port, answer, POD_A.port, self.delivered_to(POD_A, dst, src, "tcp", flags="SA"))
            node = Side(NODE.address(family), 10250)
            src = Side(POD_A.address(family), self.new_port())
            self.pass_through(
                POD_A.port, self.sent_by(POD_A, src, node, "tcp"), NODE.port, self.delivered_to(NODE, src, node, "tcp")
            )


class LongestPrefixWins(NodeTest):
    """A longer route beats a shorter one, whatever was installed first."""

    def runTest(self) -> None:
        self.add_route("203.0.113.0", 24, NODE)
        self.add_route("2001:db8:9::", 48, NODE)
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(REMOTE.address(family), 443)
            self.pass_through(
                POD_A.port, self.sent_by(POD_A, src, dst, "udp"), NODE.port, self.delivered_to(NODE, src, dst, "udp")
            )
        self.add_route(REMOTE.ipv4, 32, ROUTER)
        self.add_route(REMOTE.ipv6, 128, ROUTER)
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(REMOTE.address(family), 443)
            self.pass_through(
                POD_A.port,
                self.sent_by(POD_A, src, dst, "udp"),
                ROUTER.port,
                self.delivered_to(ROUTER, src, dst, "udp"),
            )


class NoRouteIsDropped(NodeTest):
    """Without a route, dropped; an IPv4 default route is none for IPv6."""

    def runTest(self) -> None:
        self.client.delete(Entry("route_table", {"dst_addr": Lpm(0, 0)}, "forward", _NOWHERE))
        src, dst = Side(POD_A.ipv6, self.new_port()), Side(REMOTE.ipv6, 443)
        self.drop(POD_A.port, self.sent_by(POD_A, src, dst, "udp"), DropReason.NO_ROUTE)
        src, dst = Side(POD_A.ipv4, self.new_port()), Side(REMOTE.ipv4, 443)
        self.pass_through(
            POD_A.port, self.sent_by(POD_A, src, dst, "udp"), ROUTER.port, self.delivered_to(ROUTER, src, dst, "udp")
        )
        match = {"dst_addr": Lpm(address_number("0.0.0.0"), prefix_length("0.0.0.0", 0))}
        self.client.delete(Entry("route_table", match, "forward", _NOWHERE))
        src = Side(POD_A.ipv4, self.new_port())
        self.drop(POD_A.port, self.sent_by(POD_A, src, dst, "udp"), DropReason.NO_ROUTE)


_NOWHERE = {"port": 0, "src_mac": 0, "dst_mac": 0}
