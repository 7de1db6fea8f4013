"""The contract's table of Services, row by row: Kubernetes objects through the control plane's derivation, packets through the pipeline."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.sctp import SCTP

from controlplane.addresses import parse_prefix
from ptf_tests.base import NODE, POD_A, POD_B, POD_C, REMOTE, ROUTER, VIP, NodeTest
from ptf_tests.cluster import NODE_NAME, REMOTE_PODS, ZONE, Cluster, endpoint, endpoint_slice, load_balancer, service
from ptf_tests.drop_reasons import DropReason
from ptf_tests.packets import FAMILIES, Family, Host, Protocol, Side

R1, R2, R3 = REMOTE_PODS
NODE_PORT = 30080
BALANCER = {4: "198.18.0.1", 6: "2001:db8:18::1"}
EXTERNAL = {4: "198.18.0.2", 6: "2001:db8:18::2"}
TARGET_PORT = 8080
_SECOND = {4: "192.0.2.77", 6: "2001:db8::77"}
"""More addresses of the node's."""
_ALL_PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp", "sctp")


class ContractTest(NodeTest):
    """What the tests of the contract share: a cluster, and Services with every kind of frontend."""

    installs_node: ClassVar[bool] = False
    node_addresses: ClassVar[Sequence[str]] = (NODE.ipv4, NODE.ipv6)
    settings: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        super().setUp()
        self.cluster = Cluster(self.client, self.node_addresses, **self.settings)

    def serve(
        self, endpoints: Sequence[Host | tuple[Host, dict[str, Any]]], *, protocol: Protocol = "tcp", **spec: Any
    ) -> None:
        """A Service "web" in both families with every kind of frontend at port 80, and these endpoints."""
        port = {"name": "p", "port": 80, "protocol": protocol.upper(), "nodePort": NODE_PORT}
        status = load_balancer(*BALANCER.values())
        options: dict[str, Any] = {"type": "LoadBalancer", "externalIPs": list(EXTERNAL.values())}
        self.cluster.apply(service(list(VIP.values()), [port], status=status, **(options | spec)))
        self.set_endpoints(endpoints, protocol=protocol)

    def set_endpoints(
        self, endpoints: Sequence[Host | tuple[Host, dict[str, Any]]], *, protocol: Protocol = "tcp"
    ) -> None:
        """Replace the endpoints."""
        pairs = [item if isinstance(item, tuple) else (item, {}) for item in endpoints]
        port = {"name": "p", "port": TARGET_PORT, "protocol": protocol.upper()}
        for family in FAMILIES:
            items = [endpoint(host, family, **options) for host, options in pairs]
            self.cluster.apply(endpoint_slice(family, items, [port]))

    def frontends(self, family: Family) -> dict[str, Side]:
        """Every kind of frontend."""
        return {"cluster": Side(VIP[family], 80)} | self.external_frontends(family)

    def external_frontends(self, family: Family) -> dict[str, Side]:
        """The frontends that externalTrafficPolicy is about."""
        return {
            "node port": Side(NODE.address(family), NODE_PORT),
            "load balancer": Side(BALANCER[family], 80),
            "external": Side(EXTERNAL[family], 80),
        }

    def reach(
        self,
        client: Host,
        vip: Side,
        endpoints: list[Host],
        *,
        masqueraded: bool,
        protocol: Protocol = "tcp",
        src: Side | None = None,
    ) -> Host:
        """A new connection of `client` to `vip` reaches one of the endpoints, and its answer comes back; which one.

        Every packet is compared byte by byte, but for the port that a masquerade chooses.
        """
        family: Family = 6 if ":" in vip.address else 4
        src = src or Side(client.address(family), self.new_port())
        self.send(client.port, self.sent_by(client, src, vip, protocol))
        got = self.receive()
        assert got is not None, f"nothing came out for {client.name} to {vip}\n{self._drops_text()}"
        packet = Ether(got[1])
        ip = packet[IPv6 if family == 6 else IP]
        found = [host for host in endpoints if host.address(family) == ip.dst]
        assert found, f"{client.name} to {vip} went to {ip.dst}"
        host, side = found[0], Side(found[0].address(family), TARGET_PORT)
        seen = src
        if masqueraded:
            layer = packet[{"tcp": TCP, "udp": UDP, "sctp": SCTP}[protocol]]
            seen = Side(NODE.address(family), layer.sport)
            self.assertTrue(self.target.masquerade.first_port <= seen.port <= self.target.masquerade.last_port, seen)
        wanted = self.delivered_to(host, seen, side, protocol)
        why = f"{client.name} to {vip} {protocol}, masqueraded: {masqueraded}"
        self.assertEqual((got[0], got[1].hex()), (host.port, bytes(wanted).hex()), why)
        answer = self.sent_by(host, side, seen, protocol, flags="SA")
        back = ROUTER if client is REMOTE else client
        self.pass_through(
            host.port, answer, back.port, self.delivered_to(back, vip, src, protocol, flags="SA"), f"{why}: answer"
        )
        return host

    def reached(
        self, client: Host, vip: Side, endpoints: list[Host], *, masqueraded: bool, tries: int = 12
    ) -> set[str]:
        """The endpoints that some connections reach."""
        return {self.reach(client, vip, endpoints, masqueraded=masqueraded).name for _ in range(tries)}

    def dropped(self, client: Host, vip: Side, reason: DropReason, protocol: Protocol = "tcp") -> None:
        """A new connection is dropped in silence."""
        family: Family = 6 if ":" in vip.address else 4
        src = Side(client.address(family), self.new_port())
        self.drop(client.port, self.sent_by(client, src, vip, protocol), reason, f"{client.name} to {vip}")

    def rejected(self, client: Host, vip: Side) -> None:
        """A new TCP connection is answered by a reset."""
        family: Family = 6 if ":" in vip.address else 4
        src = Side(client.address(family), self.new_port())
        self.send(client.port, self.sent_by(client, src, vip, "tcp"))
        got = self.receive()
        assert got is not None, f"no answer for {client.name} to {vip}"
        answer = Ether(got[1])
        self.assertEqual(got[0], client.port)
        self.assertEqual((answer[TCP].flags, answer[TCP].dport, answer[TCP].sport), ("RA", src.port, vip.port))

    def untouched(self, client: Host, dst: Side, out: Host) -> None:
        """A packet goes its way as it is."""
        family: Family = 6 if ":" in dst.address else 4
        src = Side(client.address(family), self.new_port())
        packet = self.sent_by(client, src, dst, "tcp")
        self.pass_through(client.port, packet, out.port, self.delivered_to(out, src, dst, "tcp"), f"{dst}")


class ClusterIpIsMasqueradedUnlessFromAPod(ContractTest):
    """ClusterIP: a pod keeps its address; this node and the world outside are masqueraded."""

    def runTest(self) -> None:
        for protocol in _ALL_PROTOCOLS:
            self.serve([POD_B, R1], protocol=protocol)
            for family in FAMILIES:
                vip = Side(VIP[family], 80)
                for client, masqueraded in ((POD_A, False), (R2, False), (NODE, True), (REMOTE, True)):
                    self.reach(client, vip, [POD_B, R1], masqueraded=masqueraded, protocol=protocol)


class TrafficPolicyCluster(ContractTest):
    """externalTrafficPolicy Cluster: every endpoint, always masqueraded, pods included, at every external frontend."""

    def runTest(self) -> None:
        for protocol in _ALL_PROTOCOLS:
            self.serve([POD_B, R1], protocol=protocol, externalTrafficPolicy="Cluster")
            for family in FAMILIES:
                for vip in self.external_frontends(family).values():
                    clients = (POD_A, REMOTE) if vip.address == NODE.address(family) else (POD_A, REMOTE, NODE)
                    for client in clients:
                        self.reach(client, vip, [POD_B, R1], masqueraded=True, protocol=protocol)
        vip = Side(BALANCER[4], 80)
        self.serve([POD_B, R1], externalTrafficPolicy="Cluster")
        self.assertEqual(self.reached(REMOTE, vip, [POD_B, R1], masqueraded=True), {"b", "r1"})


class TrafficPolicyLocal(ContractTest):
    """externalTrafficPolicy Local: outsiders get local endpoints and keep their address; pods get all; this node all, masqueraded."""

    def runTest(self) -> None:
        self.serve([POD_B, R1], externalTrafficPolicy="Local")
        for family in FAMILIES:
            for vip in self.external_frontends(family).values():
                self.assertEqual(self.reached(REMOTE, vip, [POD_B], masqueraded=False, tries=6), {"b"})
                self.assertEqual(self.reached(POD_A, vip, [POD_B, R1], masqueraded=False), {"b", "r1"})
            vip = Side(BALANCER[family], 80)
            self.assertEqual(self.reached(NODE, vip, [POD_B, R1], masqueraded=True), {"b", "r1"})
        self.set_endpoints([R1])
        for family in FAMILIES:
            for vip in self.external_frontends(family).values():
                self.dropped(REMOTE, vip, DropReason.NO_LOCAL_ENDPOINT)
                self.reach(POD_A, vip, [R1], masqueraded=False)
            self.reach(NODE, Side(BALANCER[family], 80), [R1], masqueraded=True)
            self.reach(REMOTE, Side(VIP[family], 80), [R1], masqueraded=True)  # a cluster IP is not concerned


class InternalTrafficPolicyLocal(ContractTest):
    """internalTrafficPolicy Local: of the cluster IP only; without a local endpoint it drops."""

    def runTest(self) -> None:
        self.serve([POD_B, R1], internalTrafficPolicy="Local")
        for family in FAMILIES:
            vip = Side(VIP[family], 80)
            self.assertEqual(self.reached(POD_A, vip, [POD_B], masqueraded=False, tries=8), {"b"})
            self.assertEqual(
                self.reached(POD_A, Side(BALANCER[family], 80), [POD_B, R1], masqueraded=True), {"b", "r1"}
            )
        self.set_endpoints([R1])
        for family in FAMILIES:
            for client in (POD_A, NODE, REMOTE):
                self.dropped(client, Side(VIP[family], 80), DropReason.NO_LOCAL_ENDPOINT)
            self.reach(POD_A, Side(BALANCER[family], 80), [R1], masqueraded=True)


class NoEndpointRejectsEverywhere(ContractTest):
    """No usable endpoint anywhere: every frontend rejects, whatever the traffic policies say."""

    def runTest(self) -> None:
        for policy in ("Cluster", "Local"):
            self.serve([(R1, {"ready": False})], externalTrafficPolicy=policy, internalTrafficPolicy=policy)
            for family in FAMILIES:
                for vip in self.frontends(family).values():
                    self.rejected(POD_A, vip)
                    self.rejected(REMOTE, vip)


class NodePortAddresses(ContractTest):
    """Node ports are open on the node's primary addresses alone, and at their own numbers."""

    node_addresses: ClassVar[Sequence[str]] = (NODE.ipv4, NODE.ipv6, *_SECOND.values())

    def runTest(self) -> None:
        self.serve([POD_B])
        for family in FAMILIES:
            self.show(family, NODE.address(family), _SECOND[family])

    def show(self, family: Family, opened: str, closed: str) -> None:
        """One of the node's addresses is open, the other one and another node's are not."""
        self.reach(REMOTE, Side(opened, NODE_PORT), [POD_B], masqueraded=True)
        self.untouched(REMOTE, Side(closed, NODE_PORT), NODE)
        self.untouched(REMOTE, Side(opened, NODE_PORT + 1), NODE)
        other_node = "192.0.2.2" if family == 4 else "2001:db8::2"
        self.untouched(POD_A, Side(other_node, NODE_PORT), ROUTER)


class NodePortRanges(NodePortAddresses):
    """Where ranges are configured, node ports are open on those of the node's addresses that are in them."""

    settings: ClassVar[dict[str, Any]] = {
        "nodeport_addresses": (parse_prefix("192.0.2.64/26"), parse_prefix("2001:db8::70/124"))
    }

    def runTest(self) -> None:
        self.serve([POD_B])
        for family in FAMILIES:
            self.show(family, _SECOND[family], NODE.address(family))


class LoadBalancerAddresses(ContractTest):
    """ipMode VIP or none gets an entry, Proxy none; other ports of the address are never touched."""

    def runTest(self) -> None:
        port = {"name": "p", "port": 80}
        for mode in (None, "VIP", "Proxy"):
            self.cluster.apply(service(list(VIP.values()), [port], status=load_balancer(*BALANCER.values(), mode=mode)))
            self.set_endpoints([POD_B])
            for family in FAMILIES:
                vip = Side(BALANCER[family], 80)
                if mode == "Proxy":
                    self.untouched(POD_A, vip, ROUTER)
                else:
                    self.reach(POD_A, vip, [POD_B], masqueraded=True)
                self.untouched(POD_A, Side(BALANCER[family], 81), ROUTER)
                self.untouched(POD_A, Side(EXTERNAL[family], 81), ROUTER)


class LoadBalancerSourceRanges(ContractTest):
    """Outside every range: dropped, at load balancer addresses only, and before a missing endpoint rejects."""

    def runTest(self) -> None:
        ranges = ["203.0.113.0/28", "2001:db8:9::/64", "10.1.0.0/24", "fd00:1::/64"]
        outside = Host("outside", ROUTER.port, ROUTER.mac, "203.0.113.99", "2001:db8:99::9")
        self.serve([POD_B], loadBalancerSourceRanges=ranges)
        for family in FAMILIES:
            self.reach(REMOTE, Side(BALANCER[family], 80), [POD_B], masqueraded=True)
            self.reach(POD_A, Side(BALANCER[family], 80), [POD_B], masqueraded=True)
            self.dropped(outside, Side(BALANCER[family], 80), DropReason.SOURCE_RANGE)
            self.dropped(NODE, Side(BALANCER[family], 80), DropReason.SOURCE_RANGE)
            for vip in (Side(NODE.address(family), NODE_PORT), Side(EXTERNAL[family], 80)):
                self.send(
                    outside.port, self.sent_by(outside, Side(outside.address(family), self.new_port()), vip, "tcp")
                )
                got = self.receive()
                assert got is not None and got[0] == POD_B.port, f"{vip}: {got}"
        self.set_endpoints([])
        for family in FAMILIES:
            self.dropped(outside, Side(BALANCER[family], 80), DropReason.SOURCE_RANGE)
            self.rejected(REMOTE, Side(BALANCER[family], 80))


class UnreadableSourceRangeAdmitsNobody(ContractTest):
    """A range that makes no sense is named and admits nobody; the rest of the Service works."""

    def runTest(self) -> None:
        self.serve([POD_B], loadBalancerSourceRanges=["10.1.0.300/24"])
        self.assertEqual(len(self.cluster.problems), 1, self.cluster.problems)
        self.assertIn("Service/shop/web", self.cluster.problems[0])
        for family in FAMILIES:
            self.dropped(POD_A, Side(BALANCER[family], 80), DropReason.SOURCE_RANGE)
            self.reach(POD_A, Side(VIP[family], 80), [POD_B], masqueraded=False)


class TerminatingEndpoints(ContractTest):
    """Ready ones first, else serving and terminating ones; decided separately for the cluster and for this node."""

    def runTest(self) -> None:
        leaving = {"ready": False, "serving": True, "terminating": True}
        self.serve([(POD_B, leaving), R1], externalTrafficPolicy="Local")
        for family in FAMILIES:
            vip = Side(BALANCER[family], 80)
            self.assertEqual(
                self.reached(REMOTE, vip, [POD_B], masqueraded=False, tries=4), {"b"}, "the only local one"
            )
            self.assertEqual(self.reached(POD_A, vip, [R1], masqueraded=False, tries=8), {"r1"}, "the only ready one")
        self.set_endpoints(
            [(POD_B, leaving), (R1, leaving), (R2, {"ready": False, "serving": False, "terminating": True})]
        )
        for family in FAMILIES:
            self.assertEqual(
                self.reached(POD_A, Side(BALANCER[family], 80), [POD_B, R1], masqueraded=False), {"b", "r1"}
            )


class TopologyHints(ContractTest):
    """By node, else by zone, else all; only if every ready endpoint carries the hint; local sets ignore hints."""

    def runTest(self) -> None:
        def node(name: str) -> dict[str, Any]:
            return {"hints": {"forNodes": [{"name": name}], "forZones": [{"name": "zone-9"}]}}

        def zone(name: str) -> dict[str, Any]:
            return {"hints": {"forZones": [{"name": name}]}}

        for family in FAMILIES:
            vip = Side(VIP[family], 80)
            self.serve([(POD_B, node("node-2")), (R1, node(NODE_NAME))])
            self.assertEqual(self.reached(POD_A, vip, [R1], masqueraded=False, tries=8), {"r1"}, "node")
            self.set_endpoints([(POD_B, zone("zone-2")), (R1, zone(ZONE))])
            self.assertEqual(self.reached(POD_A, vip, [R1], masqueraded=False, tries=8), {"r1"}, "zone")
            self.set_endpoints([(POD_B, {}), (R1, zone(ZONE))])
            self.assertEqual(self.reached(POD_A, vip, [POD_B, R1], masqueraded=False), {"b", "r1"}, "not all")
            self.set_endpoints([(POD_B, zone("zone-2")), (R1, zone("zone-3"))])
            self.assertEqual(self.reached(POD_A, vip, [POD_B, R1], masqueraded=False), {"b", "r1"}, "none for here")
            self.serve([(POD_B, node("node-2")), (R1, node(NODE_NAME))], externalTrafficPolicy="Local")
            self.reach(REMOTE, Side(BALANCER[family], 80), [POD_B], masqueraded=False)


class AffinityKeepsAClient(ContractTest):
    """sessionAffinity ClientIP: by client address, over every address of the Service and any client port."""

    def runTest(self) -> None:
        self.serve([POD_B, POD_C, R1, R2], sessionAffinity="ClientIP", externalTrafficPolicy="Local")
        everybody = [POD_B, POD_C, R1, R2]
        for family in FAMILIES:
            first = self.reach(POD_A, Side(VIP[family], 80), everybody, masqueraded=False)
            for vip in self.frontends(family).values():
                for _ in range(4):
                    self.assertIs(self.reach(POD_A, vip, everybody, masqueraded=False), first, f"{vip}")
            clients = [
                Host(f"x{number}", ROUTER.port, ROUTER.mac, f"10.2.0.{number}", f"fd00:2::{number:x}")
                for number in range(20, 32)
            ]
            shares = {
                self.reach(client, Side(VIP[family], 80), everybody, masqueraded=False).name for client in clients
            }
            self.assertGreater(len(shares), 1, "other clients have other endpoints")
            rest = [host for host in everybody if host is not first]
            self.set_endpoints(rest)
            second = self.reach(POD_A, Side(VIP[family], 80), rest, masqueraded=False)
            self.set_endpoints(everybody)
            for _ in range(4):
                self.assertIs(
                    self.reach(POD_A, Side(VIP[family], 80), everybody, masqueraded=False), second, "re-chosen"
                )


class AffinityStaysWithinTheSet(ContractTest):
    """The endpoint that a client has counts only where he may have it: an outsider's node port has local ones alone."""

    def runTest(self) -> None:
        self.serve([R1], sessionAffinity="ClientIP", externalTrafficPolicy="Local")
        for family in FAMILIES:
            self.reach(REMOTE, Side(VIP[family], 80), [R1], masqueraded=True)
        self.set_endpoints([R1, POD_B])
        for family in FAMILIES:
            self.reach(REMOTE, Side(BALANCER[family], 80), [POD_B], masqueraded=False)


class AffinityExpires(ContractTest):
    """A client is forgotten after the Service's time, which every new connection puts off."""

    def runTest(self) -> None:
        everybody = [POD_B, POD_C, R1, R2]
        config = {"clientIP": {"timeoutSeconds": 6}}
        self.serve(everybody, sessionAffinity="ClientIP", sessionAffinityConfig=config)
        vip = Side(VIP[4], 80)
        first = self.reach(POD_A, vip, everybody, masqueraded=False)
        for _ in range(7):  # longer than six seconds altogether
            time.sleep(1.2)
            self.assertIs(self.reach(POD_A, vip, everybody, masqueraded=False), first)
        seen = set()
        for _ in range(5):  # by chance the same one again: 1 in 4 each time
            time.sleep(8.5)
            seen.add(self.reach(POD_A, vip, everybody, masqueraded=False).name)
            if seen != {first.name}:
                return
        self.fail("never forgotten")


class MasqueradeNeverCollides(ContractTest):
    """One client port each of many clients at one endpoint: every masquerade has a port of its own, until there are none."""

    def runTest(self) -> None:
        self.serve([POD_B])
        ports = self.target.masquerade.last_port - self.target.masquerade.first_port + 1
        if ports > 256:
            self.skipTest(f"{ports} ports are too many to use up; the profile `small` has few")
        vip, seen, exhausted = Side(BALANCER[4], 80), dict[int, Side](), 0
        for number in range(3 * ports):
            src = Side(f"203.0.{113 + number // 200}.{1 + number % 200}", 4000)
            packet = self.sent_by(ROUTER, src, vip, "tcp")
            before = self.client.read_counters("drop_counter")
            self.send(ROUTER.port, packet)
            got = self.receive_unless_dropped(DropReason.MASQUERADE_EXHAUSTED, before)
            if got is None:
                exhausted += 1
                if exhausted == 4:
                    break
                continue
            port = Ether(got)[TCP].sport
            self.assertNotIn(port, seen, "given twice")
            seen[port] = src
        self.assertEqual(exhausted, 4, "never exhausted")
        self.assertGreater(len(seen), ports // 2)
        for port, src in seen.items():
            answer = self.sent_by(POD_B, Side(POD_B.ipv4, TARGET_PORT), Side(NODE.ipv4, port), "tcp", flags="SA")
            self.pass_through(
                POD_B.port,
                answer,
                ROUTER.port,
                self.delivered_to(ROUTER, vip, src, "tcp", flags="SA"),
                "its own answer",
            )


class NoAddressNoMasquerade(ContractTest):
    """A node without an address of the family masquerades nothing, and says so."""

    node_addresses: ClassVar[Sequence[str]] = (NODE.ipv4,)

    def runTest(self) -> None:
        self.serve([POD_B])
        self.reach(REMOTE, Side(VIP[4], 80), [POD_B], masqueraded=True)
        self.dropped(REMOTE, Side(VIP[6], 80), DropReason.NO_MASQUERADE_ADDRESS)


class HairpinThroughEveryFrontend(ContractTest):
    """A pod that is its own endpoint never sees its own address as a source."""

    def runTest(self) -> None:
        self.serve([POD_A])
        for family in FAMILIES:
            for vip in self.frontends(family).values():
                src, own = Side(POD_A.address(family), self.new_port()), Side(POD_A.address(family), TARGET_PORT)
                packet = self.sent_by(POD_A, src, vip, "tcp")
                seen = Side(vip.address, src.port)
                self.pass_through(POD_A.port, packet, POD_A.port, self.delivered_to(POD_A, seen, own, "tcp"))
                answer = self.sent_by(POD_A, own, seen, "tcp", flags="SA")
                wanted = self.delivered_to(POD_A, vip, src, "tcp", flags="SA")
                self.pass_through(POD_A.port, answer, POD_A.port, wanted)


class StaleUdpOnDeletion(ContractTest):
    """UDP flows die with their endpoint, at zero endpoints and with the Service; a Service that appears takes flows over."""

    def runTest(self) -> None:
        for family in FAMILIES:
            vip, src = Side(VIP[family], 80), Side(POD_A.address(family), self.new_port())
            self.serve([POD_B], protocol="udp")
            self.reach(POD_A, vip, [POD_B], masqueraded=False, protocol="udp", src=src)
            self.set_endpoints([], protocol="udp")
            self.send(POD_A.port, self.sent_by(POD_A, src, vip, "udp"))
            got = self.receive()
            assert got is not None and got[0] == POD_A.port, "zero endpoints: refused"
            self.set_endpoints([POD_C], protocol="udp")
            self.reach(POD_A, vip, [POD_C], masqueraded=False, protocol="udp", src=src)
            balancer = Side(BALANCER[family], 80)
            other = Side(POD_A.address(family), self.new_port())
            self.reach(POD_A, balancer, [POD_C], masqueraded=True, protocol="udp", src=other)
            self.cluster.remove(service(list(VIP.values()), []))
            self.pass_through(
                POD_A.port,
                self.sent_by(POD_A, other, balancer, "udp"),
                ROUTER.port,
                self.delivered_to(ROUTER, other, balancer, "udp"),
                "the Service is gone",
            )
            self.serve([POD_C], protocol="udp")
            time.sleep(1.2)
            self.reach(POD_A, balancer, [POD_C], masqueraded=True, protocol="udp", src=other)


class StaleUdpOfAnEndpointThatServesNoMore(ContractTest):
    """A UDP flow stays with an endpoint that terminates and still serves, and leaves one that does not; a late answer is dropped."""

    def runTest(self) -> None:
        leaving = {"ready": False, "serving": True, "terminating": True}
        for family in FAMILIES:
            vip, src = Side(VIP[family], 80), Side(POD_A.address(family), self.new_port())
            self.serve([POD_B], protocol="udp")
            self.reach(POD_A, vip, [POD_B], masqueraded=False, protocol="udp", src=src)
            self.set_endpoints([(POD_B, leaving), POD_C], protocol="udp")
            self.reach(POD_A, vip, [POD_B], masqueraded=False, protocol="udp", src=src)
            self.set_endpoints([(POD_B, leaving | {"serving": False}), POD_C], protocol="udp")
            late = self.sent_by(POD_B, Side(POD_B.address(family), TARGET_PORT), src, "udp")
            self.drop(POD_B.port, late, DropReason.STALE_CONNECTION)
            self.reach(POD_A, vip, [POD_C], masqueraded=False, protocol="udp", src=src)


class TcpOutlivesItsEndpoint(ContractTest):
    """TCP and SCTP connections go on when their endpoint has left the Service, and when the Service has gone."""

    def runTest(self) -> None:
        for protocol in ("tcp", "sctp"):
            for family in FAMILIES:
                vip, src = Side(VIP[family], 80), Side(POD_A.address(family), self.new_port())
                self.serve([POD_B], protocol=protocol)
                self.reach(POD_A, vip, [POD_B], masqueraded=False, protocol=protocol, src=src)
                self.set_endpoints([POD_C], protocol=protocol)
                self.goes_on(src, vip, protocol)
                self.cluster.remove(service(list(VIP.values()), []))
                self.goes_on(src, vip, protocol)

    def goes_on(self, src: Side, vip: Side, protocol: Protocol) -> None:
        """Data in both directions."""
        own = Side(POD_B.ipv6 if ":" in vip.address else POD_B.ipv4, TARGET_PORT)
        sent = self.sent_by(POD_A, src, vip, protocol, flags="PA")
        self.pass_through(POD_A.port, sent, POD_B.port, self.delivered_to(POD_B, src, own, protocol, flags="PA"))
        sent = self.sent_by(POD_B, own, src, protocol, flags="PA")
        self.pass_through(POD_B.port, sent, POD_A.port, self.delivered_to(POD_A, vip, src, protocol, flags="PA"))


class HeadlessAndExternalNameHaveNoEntries(ContractTest):
    """Neither headless Services nor ExternalName ones are anywhere, and the addresses of ranges are dropped."""

    def runTest(self) -> None:
        port = {"name": "p", "port": 80, "nodePort": NODE_PORT}
        for addresses, options in (
            (["None"], {"externalIPs": list(EXTERNAL.values())}),
            (list(VIP.values()), {"type": "ExternalName", "externalName": "example.org"}),
        ):
            self.cluster.apply(service(addresses, [port], status=load_balancer(*BALANCER.values()), **options))
            self.set_endpoints([POD_B])
            for family in FAMILIES:
                self.dropped(POD_A, Side(VIP[family], 80), DropReason.SERVICE_DROPPED)
                self.untouched(REMOTE, Side(NODE.address(family), NODE_PORT), NODE)
                self.untouched(POD_A, Side(EXTERNAL[family], 80), ROUTER)
                self.untouched(POD_A, Side(BALANCER[family], 80), ROUTER)


class WrongPortOfAClusterIp(ContractTest):
    """A live cluster IP rejects every port and protocol that it does not serve; equal numbers of other protocols are other frontends."""

    def runTest(self) -> None:
        self.serve([POD_B])
        for family in FAMILIES:
            for port in (79, 81, TARGET_PORT):
                self.rejected(POD_A, Side(VIP[family], port))
            src, vip = Side(POD_A.address(family), self.new_port()), Side(VIP[family], 80)
            self.send(POD_A.port, self.sent_by(POD_A, src, vip, "udp"))
            got = self.receive()
            assert got is not None and got[0] == POD_A.port, "UDP is refused by port unreachable"
        ports = [{"name": name, "port": 80, "protocol": name.upper()} for name in ("tcp", "udp")]
        targets = [{"name": "tcp", "port": TARGET_PORT}, {"name": "udp", "port": 53, "protocol": "UDP"}]
        self.cluster.apply(service(list(VIP.values()), ports))
        for family in FAMILIES:
            self.cluster.apply(endpoint_slice(family, [endpoint(POD_C, family)], targets))
            vip = Side(VIP[family], 80)
            self.reach(POD_A, vip, [POD_C], masqueraded=False)
            src = Side(POD_A.address(family), self.new_port())
            wanted = self.delivered_to(POD_C, src, Side(POD_C.address(family), 53), "udp")
            self.pass_through(POD_A.port, self.sent_by(POD_A, src, vip, "udp"), POD_C.port, wanted)


class AddressNobodyHolds(ContractTest):
    """An address of a Service range that no Service holds is dropped, also of a second range, and after its Service went."""

    def runTest(self) -> None:
        second = {4: "10.97.0.9", 6: "fd00:97::9"}
        self.serve([POD_B])
        for family in FAMILIES:
            unheld = "10.96.0.2" if family == 4 else "fd00:96::2"
            for client in (POD_A, NODE, REMOTE):
                self.dropped(client, Side(unheld, 80), DropReason.SERVICE_DROPPED)
            self.untouched(POD_A, Side(second[family], 80), ROUTER)
        cidr = {
            "kind": "ServiceCIDR",
            "metadata": {"name": "more"},
            "spec": {"cidrs": ["10.97.0.0/16", "fd00:97::/112"]},
        }
        self.cluster.apply(cidr)
        self.cluster.remove(service(list(VIP.values()), []))
        for family in FAMILIES:
            self.dropped(POD_A, Side(second[family], 80), DropReason.SERVICE_DROPPED)
            self.dropped(POD_A, Side(VIP[family], 80), DropReason.SERVICE_DROPPED)


class ServiceOfAnotherProxy(ContractTest):
    """A Service with the label service.kubernetes.io/service-proxy-name is ignored, everywhere."""

    def runTest(self) -> None:
        port = {"name": "p", "port": 80, "nodePort": NODE_PORT}
        value = service(
            list(VIP.values()), [port], status=load_balancer(*BALANCER.values()), externalIPs=list(EXTERNAL.values())
        )
        value["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "somebody-else"}
        self.cluster.apply(value)
        self.set_endpoints([POD_B])
        for family in FAMILIES:
            self.dropped(POD_A, Side(VIP[family], 80), DropReason.SERVICE_DROPPED)
            for vip in (BALANCER, EXTERNAL):
                self.untouched(POD_A, Side(vip[family], 80), ROUTER)
            self.untouched(REMOTE, Side(NODE.address(family), NODE_PORT), NODE)


class ConditionsOfTheSliceCount(ContractTest):
    """publishNotReadyAddresses is in the conditions already: they alone are read; unknown counts as ready."""

    def runTest(self) -> None:
        self.serve([(POD_B, {"ready": False}), R1], publishNotReadyAddresses=True)
        for family in FAMILIES:
            vip = Side(VIP[family], 80)
            self.assertEqual(self.reached(POD_A, vip, [R1], masqueraded=False, tries=6), {"r1"})
        for family in FAMILIES:
            unknown = endpoint(POD_B, family)
            del unknown["conditions"]
            self.cluster.apply(endpoint_slice(family, [unknown], [{"name": "p", "port": TARGET_PORT}]))
            self.reach(POD_A, Side(VIP[family], 80), [POD_B], masqueraded=False)


class FamiliesAreIndependent(ContractTest):
    """A Service that has endpoints in one family only rejects in the other, and one with one cluster IP is in that family alone."""

    def runTest(self) -> None:
        self.serve([POD_B])
        self.cluster.apply(endpoint_slice(6, [], [{"name": "p", "port": TARGET_PORT}]))
        self.reach(POD_A, Side(VIP[4], 80), [POD_B], masqueraded=False)
        self.rejected(POD_A, Side(VIP[6], 80))
        self.set_endpoints([POD_B])
        port = {"name": "p", "port": 80, "nodePort": NODE_PORT}
        options: dict[str, Any] = {"type": "LoadBalancer", "externalIPs": list(EXTERNAL.values())}
        self.cluster.apply(service([VIP[6]], [port], status=load_balancer(*BALANCER.values()), **options))
        self.dropped(POD_A, Side(VIP[4], 80), DropReason.SERVICE_DROPPED)
        self.untouched(REMOTE, Side(NODE.ipv4, NODE_PORT), NODE)
        self.untouched(POD_A, Side(BALANCER[4], 80), ROUTER)
        self.untouched(POD_A, Side(EXTERNAL[4], 80), ROUTER)
        for vip in self.external_frontends(6).values():
            self.reach(REMOTE, vip, [POD_B], masqueraded=True)


class OddAddresses(ContractTest):
    """Leading zeros are refused with the object's name, white space and IPv4-mapped IPv6 are read; the rest of the Service works."""

    def runTest(self) -> None:
        odd = ["198.18.0.010", " 198.18.0.7 ", "::ffff:198.18.0.8"]
        self.serve([POD_B], externalIPs=[*odd, EXTERNAL[4]])
        self.assertEqual(len(self.cluster.problems), 1, self.cluster.problems)
        self.assertIn("Service/shop/web", self.cluster.problems[0])
        for address in ("198.18.0.7", "198.18.0.8", EXTERNAL[4], VIP[4]):
            self.reach(POD_A, Side(address, 80), [POD_B], masqueraded=address != VIP[4])
        for address in ("198.18.0.8", "198.18.0.10"):
            self.untouched(POD_A, Side(address, 81), ROUTER)
        self.untouched(POD_A, Side("198.18.0.10", 80), ROUTER)
