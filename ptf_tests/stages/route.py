"""Routing to local pods and by the route table (p4src/stages/route.p4)."""

from __future__ import annotations

from ptf_tests.base import NODE, POD_A, POD_B, PODS, REMOTE, ROUTER, NodeTest
from ptf_tests.client import Entry, GroupRef, Lpm
from ptf_tests.drop_reasons import DropReason
from ptf_tests.packets import FAMILIES, GATEWAY_MAC, Host, Side, address_number, echo, mac_number, prefix_length


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


_SECOND = Host("second router", 4, "02:00:00:00:06:02", "198.51.100.2", "2001:db8:6::2")
_SELECTOR = "next_hop_selector"
_NEXT_HOPS = 7


class NextHopTest(NodeTest):
    """A second uplink, and both routers as the ways to everything else."""

    def setUp(self) -> None:
        super().setUp()
        gateway = mac_number(GATEWAY_MAC)
        self.client.insert(Entry("port_table", {"ingress_port": _SECOND.port}, "set_uplink_port", {"mac": gateway}))
        for member, hop in enumerate((ROUTER, _SECOND), start=1):
            params = {"port": hop.port, "src_mac": gateway, "dst_mac": mac_number(hop.mac)}
            self.client.insert_member(_SELECTOR, member, "set_next_hop", **params)
        self.client.insert_group(_SELECTOR, _NEXT_HOPS, {1: 1, 2: 1}, max_size=4)
        self.client.insert(Entry("next_hop_table", {"next_hops_id": _NEXT_HOPS}, GroupRef(_NEXT_HOPS)))
        for family in FAMILIES:
            prefix = "0.0.0.0" if family == 4 else "::"
            match = {"dst_addr": Lpm(address_number(prefix), prefix_length(prefix, 0))}
            self.client.modify(Entry("route_table", match, "use_next_hops", {"next_hops_id": _NEXT_HOPS}))

    def way_of(self, src: Side, dst: Side, flags: str) -> Host:
        """The router that a packet of the flow comes out at; the packet is as it must be."""
        self.send(POD_A.port, self.sent_by(POD_A, src, dst, "tcp", flags=flags))
        got = self.receive()
        assert got is not None, f"nothing came out for {src}"
        router = ROUTER if got[0] == ROUTER.port else _SECOND
        self.assertEqual(got, (router.port, bytes(self.delivered_to(router, src, dst, "tcp", flags=flags))))
        return router


class SeveralNextHopsShareTheLoad(NextHopTest):
    """Flows spread over the uplinks, and each keeps to its own; answers may come in by either."""

    def runTest(self) -> None:
        for family in FAMILIES:
            ways = []
            for _ in range(40):
                src, dst = Side(POD_A.address(family), self.new_port()), Side(REMOTE.address(family), 443)
                way = self.way_of(src, dst, "S")
                ways.append(way.name)
                for router in (ROUTER, _SECOND):
                    answer = self.sent_by(router, dst, src, "tcp", flags="SA")
                    wanted = self.delivered_to(POD_A, dst, src, "tcp", flags="SA")
                    self.pass_through(router.port, answer, POD_A.port, wanted, "answer")
                for _ in range(3):
                    self.assertEqual(self.way_of(src, dst, "A"), way)
            self.assertGreater(min(ways.count(ROUTER.name), ways.count(_SECOND.name)), 8, ways)


class NextHopThatGoesIsNotUsed(NextHopTest):
    """When one is taken out, every flow goes by the other; the flows that went there before stay where they were."""

    def runTest(self) -> None:
        for family in FAMILIES:
            flows = [
                (Side(POD_A.address(family), self.new_port()), Side(REMOTE.address(family), 443)) for _ in range(20)
            ]
            before = [self.way_of(src, dst, "S") for src, dst in flows]
            self.client.modify_group(_SELECTOR, _NEXT_HOPS, {2: 1}, max_size=4)
            for src, dst in flows:
                self.assertEqual(self.way_of(src, dst, "A"), _SECOND)
            self.client.modify_group(_SELECTOR, _NEXT_HOPS, {1: 1, 2: 1}, max_size=4)
            self.assertEqual([self.way_of(src, dst, "A") for src, dst in flows], before)


class NextHopWhosePortIsDownIsNotUsed(NextHopTest):
    """The switch itself passes over a next hop whose port is down, until it is up again; one that cannot loses no other flow meanwhile."""

    def runTest(self) -> None:
        watched = _NEXT_HOPS + 1
        ports = {1: ROUTER.port, 2: _SECOND.port} if self.watches_ports() else {}
        self.client.insert_group(_SELECTOR, watched, {1: 1, 2: 1}, 4, ports)
        self.client.insert(Entry("next_hop_table", {"next_hops_id": watched}, GroupRef(watched)))
        for family in FAMILIES:
            prefix = "0.0.0.0" if family == 4 else "::"
            match = {"dst_addr": Lpm(address_number(prefix), prefix_length(prefix, 0))}
            self.client.modify(Entry("route_table", match, "use_next_hops", {"next_hops_id": watched}))
        flows = [
            (Side(POD_A.address(family), self.new_port()), Side(REMOTE.address(family), 443))
            for family in FAMILIES
            for _ in range(12)
        ]
        before = [self.way_of(*flow, "S") for flow in flows]
        moved = flows[before.index(_SECOND)]
        packet = self.sent_by(POD_A, *moved, "tcp", flags="A")
        self.set_link(_SECOND.port, up=False)
        try:
            if self.watches_ports():
                wanted = self.delivered_to(ROUTER, *moved, "tcp", flags="A")
                self.wait_for_way(POD_A.port, packet, ROUTER.port, wanted)
                self.assertEqual({self.way_of(*flow, "A").name for flow in flows}, {ROUTER.name})
            else:
                for flow, way in zip(flows, before, strict=True):
                    if way == ROUTER:
                        self.assertEqual(self.way_of(*flow, "A"), ROUTER)
        finally:
            self.set_link(_SECOND.port, up=True)
        self.wait_for_way(POD_A.port, packet, _SECOND.port, self.delivered_to(_SECOND, *moved, "tcp", flags="A"))
        self.assertEqual([self.way_of(*flow, "A") for flow in flows], before)


class SetWithoutNextHopIsNoRoute(NextHopTest):
    """A route to a set of next hops that is not there leads nowhere."""

    def runTest(self) -> None:
        match = {"dst_addr": Lpm(address_number(REMOTE.ipv4), 128)}
        self.client.insert(Entry("route_table", match, "use_next_hops", {"next_hops_id": 99}))
        src, dst = Side(POD_A.ipv4, self.new_port()), Side(REMOTE.ipv4, 443)
        self.drop(POD_A.port, self.sent_by(POD_A, src, dst, "udp"), DropReason.NO_ROUTE)


_NOWHERE = {"port": 0, "src_mac": 0, "dst_mac": 0}
