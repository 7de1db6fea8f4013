"""The contract's table of NetworkPolicy, row by row: Kubernetes objects through the control plane's derivation, packets through the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from scapy.layers.l2 import Ether

from ptf_tests.base import NODE, POD_A, POD_B, POD_C, PODS, REMOTE, ROUTER, VIP, NodeTest
from ptf_tests.client import Entry
from ptf_tests.cluster import (
    NODE_NAME,
    REMOTE_PODS,
    Cluster,
    Value,
    endpoint,
    endpoint_slice,
    network_policy,
    node_value,
    pod_value,
    service,
)
from ptf_tests.drop_reasons import DropReason
from ptf_tests.packets import FAMILIES, GATEWAY_MAC, Family, Host, Protocol, Side, echo

R1, R2, R3 = REMOTE_PODS
EGRESS, INGRESS = DropReason.EGRESS_POLICY, DropReason.INGRESS_POLICY
OTHER = "lab"
"""The namespace of pod c, with the label team=lab; the other pods are in `shop`."""


class NetworkPolicyTest(NodeTest):
    """Pods a and b of one namespace, c of another, all with their names as labels; a has the port `http` at 8080, b and c at 9090."""

    installs_node: ClassVar[bool] = False

    def setUp(self) -> None:
        super().setUp()
        namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OTHER, "labels": {"team": OTHER}}}]
        pods = [self.pod(POD_A), self.pod(POD_B, port=9090), self.pod(POD_C, OTHER, port=9090)]
        pods += [pod_value(host, "node-2") for host in REMOTE_PODS]
        nodes = [node_value(NODE_NAME, (NODE.ipv4, NODE.ipv6)), node_value("node-2", (ROUTER.ipv4, ROUTER.ipv6))]
        self.cluster = Cluster(self.client, objects=[*nodes, *namespaces, *pods])

    @staticmethod
    def pod(host: Host, namespace: str = "shop", port: int = 8080, protocol: str = "TCP") -> Value:
        """A local pod with the port `http`."""
        ports = [{"name": "http", "containerPort": port, "protocol": protocol}]
        return pod_value(host, NODE_NAME, namespace, {"pod": host.name}, ports)

    def allow(self, pods: Value, name: str = "policy", **spec: Any) -> Value:
        """Put a policy in force for the pods with these labels."""
        value = network_policy(name, pods, **spec)
        self.cluster.apply(value)
        return value

    def passes(
        self,
        client: Host,
        server: Host,
        port: int = 80,
        protocol: Protocol = "tcp",
        families: Sequence[Family] = FAMILIES,
    ) -> None:
        """A new connection gets through."""
        out = server if server in (*PODS, NODE) else ROUTER
        for family in families:
            src, dst = Side(client.address(family), self.new_port()), Side(server.address(family), port)
            wanted = self.delivered_to(out, src, dst, protocol)
            self.pass_through(
                client.port,
                self.sent_by(client, src, dst, protocol),
                out.port,
                wanted,
                f"{client.name} to {server.name}",
            )

    def blocked(
        self,
        client: Host,
        server: Host,
        reason: DropReason,
        port: int = 80,
        protocol: Protocol = "tcp",
        families: Sequence[Family] = FAMILIES,
    ) -> None:
        """A new connection is dropped at that end."""
        for family in families:
            src, dst = Side(client.address(family), self.new_port()), Side(server.address(family), port)
            packet = self.sent_by(client, src, dst, protocol)
            self.drop(client.port, packet, reason, f"{client.name} to {server.name}:{port}, IPv{family}")


def pods(name: str) -> Value:
    """A peer: the pod with this label."""
    return {"podSelector": {"matchLabels": {"pod": name}}}


class PoliciesAddUp(NetworkPolicyTest):
    """Policies are additive allows: what any of those that select a pod allows is allowed, in whatever order."""

    def runTest(self) -> None:
        self.allow({"pod": "b"}, "z-first", ingress=[{"from": [pods("a")], "ports": [{"port": 80}]}])
        self.blocked(POD_A, POD_B, INGRESS, port=81)
        self.allow({"pod": "b"}, "a-second", ingress=[{"from": [pods("a")], "ports": [{"port": 81}]}])
        self.allow({"pod": "b"}, "m-nothing", ingress=[])
        for port in (80, 81):
            self.passes(POD_A, POD_B, port)
        self.blocked(POD_A, POD_B, INGRESS, port=82)
        self.blocked(POD_C, POD_B, INGRESS, port=80)


class IsolationIsPerDirection(NetworkPolicyTest):
    """A pod is isolated in the directions of its policies alone; without policyTypes: ingress, and egress if there are egress rules."""

    def runTest(self) -> None:
        self.passes(POD_A, POD_B)
        value = self.allow({"pod": "b"})
        self.blocked(POD_A, POD_B, INGRESS)
        self.passes(POD_B, POD_A)
        self.allow({"pod": "b"}, egress=[{"to": [pods("c")]}])
        self.blocked(POD_A, POD_B, INGRESS)
        self.blocked(POD_B, POD_A, EGRESS)
        self.allow({"pod": "b"}, policyTypes=["Egress"])
        self.passes(POD_A, POD_B)
        self.blocked(POD_B, POD_A, EGRESS)
        self.cluster.remove(value)
        self.passes(POD_B, POD_A)


class EgressAndIngressMustAllow(NetworkPolicyTest):
    """A connection needs the source's egress and the destination's ingress."""

    def runTest(self) -> None:
        self.allow({"pod": "a"}, "out", policyTypes=["Egress"], egress=[{"to": [pods("b")]}])
        self.allow({"pod": "b"}, "in", ingress=[{"from": [pods("r1")]}])
        self.blocked(POD_A, POD_B, INGRESS)
        self.allow({"pod": "b"}, "in", ingress=[{"from": [pods("a")]}])
        self.passes(POD_A, POD_B)
        self.allow({"pod": "a"}, "out", policyTypes=["Egress"], egress=[])
        self.blocked(POD_A, POD_B, EGRESS)


class SelectorsOfPeers(NetworkPolicyTest):
    """podSelector alone: the policy's namespace; namespaceSelector alone: all its pods; both in a peer: and; two peers: or."""

    def runTest(self) -> None:
        lab = {"namespaceSelector": {"matchLabels": {"team": OTHER}}}
        self.allow({"pod": "b"}, ingress=[{"from": [{"podSelector": {}}]}])
        self.passes(POD_A, POD_B)
        self.passes(R1, POD_B)
        self.blocked(POD_C, POD_B, INGRESS)
        self.allow({"pod": "b"}, ingress=[{"from": [lab]}])
        self.passes(POD_C, POD_B)
        self.blocked(POD_A, POD_B, INGRESS)
        self.allow({"pod": "b"}, ingress=[{"from": [lab | pods("a")]}])
        self.blocked(POD_A, POD_B, INGRESS)
        self.blocked(POD_C, POD_B, INGRESS)
        self.allow({"pod": "b"}, ingress=[{"from": [lab | pods("c")]}])
        self.passes(POD_C, POD_B)
        self.allow({"pod": "b"}, ingress=[{"from": [lab, pods("a")]}])
        for client in (POD_A, POD_C):
            self.passes(client, POD_B)
        self.blocked(R1, POD_B, INGRESS)


class EmptyMeansAll(NetworkPolicyTest):
    """`{}` selects all; empty or absent peers or ports are any; an empty rule allows all; no rules deny."""

    def runTest(self) -> None:
        self.allow({}, ingress=[])
        for server in (POD_A, POD_B):
            self.blocked(REMOTE, server, INGRESS)
        self.passes(REMOTE, POD_C)  # of another namespace
        rules: Sequence[Value] = (
            {},
            {"from": [], "ports": []},
            {"ports": [{"port": 80}]},
            {"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]},
        )
        for rule in rules:
            self.allow({}, ingress=[rule])
            self.passes(REMOTE, POD_B, families=[4])
        self.allow({}, ingress=[{"from": [{"podSelector": {}}]}])
        self.passes(POD_A, POD_B, 4711, "udp")
        self.blocked(REMOTE, POD_B, INGRESS)


class IpBlockHoleIsItsPeersAlone(NetworkPolicyTest):
    """The hole of an ipBlock exists only in its own peer: another rule may allow the range again."""

    def runTest(self) -> None:
        blocks = [
            {"cidr": "203.0.113.0/24", "except": ["203.0.113.8/29"]},
            {"cidr": "2001:db8::/32", "except": ["2001:db8:9::/64"]},
        ]
        with_holes = {"from": [{"ipBlock": block} for block in blocks], "ports": [{"port": 80}]}
        again = {"from": [{"ipBlock": {"cidr": hole}} for block in blocks for hole in block["except"]]}
        outside = Host("outside", ROUTER.port, ROUTER.mac, "203.0.113.99", "2001:db8:99::9")
        self.allow({"pod": "b"}, ingress=[with_holes])
        self.passes(outside, POD_B)
        self.blocked(outside, POD_B, INGRESS, port=81)
        self.blocked(REMOTE, POD_B, INGRESS)
        self.allow({"pod": "b"}, ingress=[with_holes, again])
        self.passes(outside, POD_B)
        self.passes(REMOTE, POD_B)


class IpBlockIsMatchedAfterNat(NetworkPolicyTest):
    """A policy with ranges sees the endpoint, not the Service that was asked for."""

    def runTest(self) -> None:
        port = {"name": "p", "port": 80}
        self.cluster.apply(service(list(VIP.values()), [port]))
        for family in FAMILIES:
            items = [endpoint(POD_B, family)]
            self.cluster.apply(endpoint_slice(family, items, [{"name": "p", "port": 8080}]))
        for ranges, is_allowed in (
            (["10.1.0.11/32", "fd00:1::11/128"], True),
            (["10.96.0.0/16", "fd00:96::/112"], False),
        ):
            to = [{"ipBlock": {"cidr": text}} for text in ranges]
            self.allow({"pod": "a"}, policyTypes=["Egress"], egress=[{"to": to, "ports": [{"port": 8080}]}])
            for family in FAMILIES:
                src, vip = Side(POD_A.address(family), self.new_port()), Side(VIP[family], 80)
                packet = self.sent_by(POD_A, src, vip, "tcp")
                if is_allowed:
                    wanted = self.delivered_to(POD_B, src, Side(POD_B.address(family), 8080), "tcp")
                    self.pass_through(POD_A.port, packet, POD_B.port, wanted)
                else:
                    self.drop(POD_A.port, packet, EGRESS)


class OmittedPortAndProtocol(NetworkPolicyTest):
    """A port omitted: all ports of that protocol; a protocol omitted: TCP."""

    def runTest(self) -> None:
        self.allow({"pod": "b"}, ingress=[{"ports": [{"protocol": "UDP"}, {"port": 80}]}])
        for port in (1, 80, 65535):
            self.passes(POD_A, POD_B, port, "udp")
        self.passes(POD_A, POD_B, 80)
        self.blocked(POD_A, POD_B, INGRESS, 81)
        self.blocked(POD_A, POD_B, INGRESS, 80, "sctp")


class NamedPortIsEachPodsOwn(NetworkPolicyTest):
    """A named port is resolved for each destination pod, its protocol must match, and it never widens to all."""

    def runTest(self) -> None:
        self.allow({}, ingress=[{"ports": [{"port": "http"}]}])
        self.passes(POD_C, POD_A, 8080)
        self.passes(POD_C, POD_B, 9090)
        self.blocked(POD_C, POD_A, INGRESS, 9090)
        self.blocked(POD_C, POD_A, INGRESS, 8080, "udp")
        self.cluster.apply(self.pod(POD_A, port=8080, protocol="UDP"))
        self.blocked(POD_C, POD_A, INGRESS, 8080)
        self.blocked(POD_C, POD_A, INGRESS, 8080, "udp")  # the rule says TCP
        self.allow({}, ingress=[{"ports": [{"port": "nobody-has-it"}]}])
        for port in (8080, 9090):
            self.blocked(POD_C, POD_B, INGRESS, port)
        self.allow({}, policyTypes=["Egress"], egress=[{"ports": [{"port": "http"}]}])
        self.passes(POD_B, POD_C, 9090)
        self.blocked(POD_B, POD_C, EGRESS, 8080)
        self.blocked(POD_B, REMOTE, EGRESS, 9090)


class EndPortIsARange(NetworkPolicyTest):
    """port to endPort, both included."""

    def runTest(self) -> None:
        self.allow({"pod": "b"}, ingress=[{"ports": [{"port": 8000, "endPort": 8010}]}])
        for port in (8000, 8005, 8010):
            self.passes(POD_A, POD_B, port)
        for port in (7999, 8011):
            self.blocked(POD_A, POD_B, INGRESS, port)


class SctpRuleAdmitsNoTcp(NetworkPolicyTest):
    """An SCTP rule admits SCTP alone; the pod is isolated all the same."""

    def runTest(self) -> None:
        self.allow({"pod": "b"}, ingress=[{"ports": [{"protocol": "SCTP", "port": 80}]}])
        self.passes(POD_A, POD_B, 80, "sctp")
        self.blocked(POD_A, POD_B, INGRESS, 80)
        self.blocked(POD_A, POD_B, INGRESS, 80, "udp")


class RepliesNeedNoRule(NetworkPolicyTest):
    """The answers of an allowed connection pass, however isolated both pods are; the answerer opens nothing itself."""

    def runTest(self) -> None:
        self.allow({}, "all", policyTypes=["Ingress", "Egress"])
        self.allow({"pod": "a"}, "out", policyTypes=["Egress"], egress=[{"to": [pods("b")]}])
        self.allow({"pod": "b"}, "in", ingress=[{"from": [pods("a")]}])
        for family in FAMILIES:
            for protocol, flags in (("tcp", "SA"), ("udp", ""), ("sctp", "SA")):
                src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
                sent = self.sent_by(POD_A, src, dst, protocol)  # type: ignore[arg-type]
                wanted = self.delivered_to(POD_B, src, dst, protocol)  # type: ignore[arg-type]
                self.pass_through(POD_A.port, sent, POD_B.port, wanted)
                answer = self.sent_by(POD_B, dst, src, protocol, flags=flags)  # type: ignore[arg-type]
                wanted = self.delivered_to(POD_A, dst, src, protocol, flags=flags)  # type: ignore[arg-type]
                self.pass_through(POD_B.port, answer, POD_A.port, wanted, f"{protocol} answer")
        self.blocked(POD_B, POD_A, EGRESS)


class LiveConnectionOutlivesAPolicy(NetworkPolicyTest):
    """A policy that comes later is for new connections: those that are there go on, in both directions."""

    def runTest(self) -> None:
        sides = {
            family: (Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80))
            for family in FAMILIES
        }
        for src, dst in sides.values():
            self.pass_through(
                POD_A.port, self.sent_by(POD_A, src, dst, "tcp"), POD_B.port, self.delivered_to(POD_B, src, dst, "tcp")
            )
            self.answered(src, dst, "SA")
        self.allow({"pod": "b"}, ingress=[])
        self.blocked(POD_A, POD_B, INGRESS)
        for src, dst in sides.values():
            packet = self.sent_by(POD_A, src, dst, "tcp", flags="PA")
            self.pass_through(POD_A.port, packet, POD_B.port, self.delivered_to(POD_B, src, dst, "tcp", flags="PA"))
            self.answered(src, dst, "PA")

    def answered(self, src: Side, dst: Side, flags: str) -> None:
        """The other side's packet comes back."""
        wanted = self.delivered_to(POD_A, dst, src, "tcp", flags=flags)
        self.pass_through(POD_B.port, self.sent_by(POD_B, dst, src, "tcp", flags=flags), POD_A.port, wanted)


class RevalidationEndsConnections(NetworkPolicyTest):
    """With another generation of the policies, live connections that are allowed go on, and the others end: with the next packet, of
    whichever side, directly, through a Service and masqueraded; what has ended is gone for both sides.
    """

    def setUp(self) -> None:
        super().setUp()
        ports = [{"name": "p", "port": 80, "nodePort": 30080}, {"name": "u", "port": 80, "protocol": "UDP"}]
        self.cluster.apply(service(list(VIP.values()), ports, type="NodePort"))
        targets = [{"name": "p", "port": 8080}, {"name": "u", "port": 8080, "protocol": "UDP"}]
        for family in FAMILIES:
            self.cluster.apply(endpoint_slice(family, [endpoint(POD_B, family)], targets))
        self.generation = 0

    def runTest(self) -> None:
        may = {"from": [pods("a"), {"ipBlock": {"cidr": "203.0.113.0/24"}}, {"ipBlock": {"cidr": "2001:db8:9::/64"}}]}
        for protocol in ("tcp", "udp"):
            for family in FAMILIES:
                for answers_first in (False, True):
                    flows = [self.opened(client, family, protocol) for client in (POD_A, REMOTE)]
                    closed = self.opened(R1, family, protocol)
                    self.allow({"pod": "b"}, ingress=[may])
                    self.allow({"pod": "b"}, "egress", policyTypes=["Egress"])
                    self.another_generation()
                    for flow in flows:
                        self.goes_on(*flow, answers_first=answers_first)
                    self.has_ended(*closed, answers_first=answers_first)
                    for name in ("policy", "egress"):
                        self.cluster.remove(network_policy(name, {"pod": "b"}))
                    self.another_generation()
                    for flow in flows:
                        self.goes_on(*flow, answers_first=answers_first)
        self.ends_by_egress()

    def ends_by_egress(self) -> None:
        """A pod that is isolated itself: its requests end, and the answers to it."""
        for answers_first in (False, True):
            flow = self.opened(POD_A, 4, "tcp")
            self.allow({"pod": "a"}, policyTypes=["Egress"], egress=[{"to": [pods("c")]}])
            self.another_generation()
            self.has_ended(*flow, answers_first=answers_first, reason=EGRESS)
            self.cluster.remove(network_policy("policy", {"pod": "a"}))

    def another_generation(self) -> None:
        """What the controller does after a change."""
        self.generation += 1
        self.client.modify_default(
            Entry("policy_generation_table", {}, "set_policy_generation", {"generation": self.generation})
        )

    def opened(self, client: Host, family: Family, protocol: Protocol) -> tuple[Host, Side, Side, Side, Protocol]:
        """A connection to b through the Service: client, its end, the Service's, what b sees, protocol."""
        src, vip = Side(client.address(family), self.new_port()), Side(VIP[family], 80)
        self.send(client.port, self.sent_by(client, src, vip, protocol))
        got = self.receive()
        assert got is not None and got[0] == POD_B.port, f"{client.name}: {got}\n{self._drops_text()}"
        ip = Ether(got[1]).payload
        seen = Side(ip.src, ip.payload.sport)
        flow = client, src, vip, seen, protocol
        self.answer(*flow, "SA")
        self.ask(*flow, "A")
        return flow

    def ask(self, client: Host, src: Side, vip: Side, seen: Side, protocol: Protocol, flags: str) -> None:
        """The client's packet arrives."""
        own = Side(POD_B.ipv6 if ":" in vip.address else POD_B.ipv4, 8080)
        sent = self.sent_by(client, src, vip, protocol, flags=flags)
        wanted = self.delivered_to(POD_B, seen, own, protocol, flags=flags)
        self.pass_through(client.port, sent, POD_B.port, wanted, f"{client.name} asks")

    def answer(self, client: Host, src: Side, vip: Side, seen: Side, protocol: Protocol, flags: str) -> None:
        """B's packet arrives."""
        own = Side(POD_B.ipv6 if ":" in vip.address else POD_B.ipv4, 8080)
        out = client if client in PODS else ROUTER
        sent = self.sent_by(POD_B, own, seen, protocol, flags=flags)
        wanted = self.delivered_to(out, vip, src, protocol, flags=flags)
        self.pass_through(POD_B.port, sent, out.port, wanted, f"{client.name} is answered")

    def goes_on(
        self, client: Host, src: Side, vip: Side, seen: Side, protocol: Protocol, *, answers_first: bool
    ) -> None:
        """Data both ways."""
        steps = [self.answer, self.ask] if answers_first else [self.ask, self.answer]
        for step in (*steps, *steps):
            step(client, src, vip, seen, protocol, "PA")

    def has_ended(
        self,
        client: Host,
        src: Side,
        vip: Side,
        seen: Side,
        protocol: Protocol,
        *,
        answers_first: bool,
        reason: DropReason = INGRESS,
    ) -> None:
        """The first packet is dropped, and then those of the other side are nobody's."""
        own = Side(POD_B.ipv6 if ":" in vip.address else POD_B.ipv4, 8080)
        request = self.sent_by(client, src, vip, protocol, flags="PA")
        answer = self.sent_by(POD_B, own, seen, protocol, flags="SA")
        if answers_first:
            self.drop(POD_B.port, answer, reason)
            self.drop(client.port, request, reason, "as a new one")
        else:
            self.drop(client.port, request, reason)
            if protocol == "tcp":
                self.drop(POD_B.port, answer, DropReason.NOT_IN_CONNECTION)
            else:
                self.drop(POD_B.port, answer, EGRESS, "as a new one of b's")


class AnswererOfAnEndedConnectionOpensNothing(NetworkPolicyTest):
    """When a connection has ended, an opening of the side that had answered is a new connection of that side, and judged as one."""

    def runTest(self) -> None:
        self.allow({"pod": "b"}, policyTypes=["Ingress", "Egress"], ingress=[{}])
        for protocol in ("tcp", "sctp"):
            for family in FAMILIES:
                src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
                for is_answer, flags in ((False, "S"), (True, "SA"), (False, "A"), (False, "FA"), (True, "FA")):
                    host, other = (POD_B, POD_A) if is_answer else (POD_A, POD_B)
                    ends = (dst, src) if is_answer else (src, dst)
                    packet = self.sent_by(host, *ends, protocol, flags=flags)
                    wanted = self.delivered_to(other, *ends, protocol, flags=flags)
                    self.pass_through(host.port, packet, other.port, wanted, flags)
                self.drop(POD_B.port, self.sent_by(POD_B, dst, src, protocol), EGRESS)


class SelfAndOwnNodeAreNeverBlocked(NetworkPolicyTest):
    """A pod is not blocked from itself, through a Service, nor from its own node, in either direction."""

    def runTest(self) -> None:
        self.allow({}, policyTypes=["Ingress", "Egress"])
        self.passes(NODE, POD_A)
        self.passes(POD_A, NODE)
        self.blocked(POD_A, POD_B, EGRESS)
        self.blocked(REMOTE, POD_A, INGRESS)
        self.cluster.apply(service(list(VIP.values()), [{"name": "p", "port": 80}]))
        for family in FAMILIES:
            self.cluster.apply(endpoint_slice(family, [endpoint(POD_A, family)], [{"name": "p", "port": 8080}]))
            src, own = Side(POD_A.address(family), self.new_port()), Side(POD_A.address(family), 8080)
            wanted = self.delivered_to(POD_A, Side(VIP[family], src.port), own, "tcp")
            self.pass_through(POD_A.port, self.sent_by(POD_A, src, Side(VIP[family], 80), "tcp"), POD_A.port, wanted)


class HostNetworkPodIsItsNode(NetworkPolicyTest):
    """No selector selects a pod on the host's network: it is its node's address, and on this node never blocked."""

    def runTest(self) -> None:
        here = pod_value(Host("host-here", NODE.port, NODE.mac, NODE.ipv4, NODE.ipv6), NODE_NAME)
        there = pod_value(Host("host-there", ROUTER.port, ROUTER.mac, ROUTER.ipv4, ROUTER.ipv6), "node-2")
        for value in (here, there):
            value["spec"]["hostNetwork"] = True
            self.cluster.apply(value)
        self.allow({"pod": "b"}, ingress=[{"from": [pods("host-there")]}])
        self.allow({"pod": "host-here"}, "of-the-host", ingress=[])
        self.passes(NODE, POD_B)
        self.passes(POD_A, NODE)
        self.blocked(ROUTER, POD_B, INGRESS)
        node_range = [{"ipBlock": {"cidr": f"{ROUTER.ipv4}/32"}}, {"ipBlock": {"cidr": f"{ROUTER.ipv6}/128"}}]
        self.allow({"pod": "b"}, ingress=[{"from": node_range}])
        self.passes(ROUTER, POD_B)


class PingFollowsIsolation(NetworkPolicyTest):
    """Echo requests follow the isolation of the pod: a rule with ports does not admit them, one without does."""

    def runTest(self) -> None:
        self.allow({"pod": "b"}, ingress=[{"from": [pods("a")], "ports": [{"protocol": "TCP"}]}])
        for is_allowed in (False, True):
            for family in FAMILIES:
                src, dst, number = POD_A.address(family), POD_B.address(family), self.new_port()
                request = echo(src, dst, POD_A.mac, GATEWAY_MAC, number)
                if is_allowed:
                    wanted = echo(src, dst, GATEWAY_MAC, POD_B.mac, number, ttl=63)
                    self.pass_through(POD_A.port, request, POD_B.port, wanted)
                    answer = echo(dst, src, POD_B.mac, GATEWAY_MAC, number, reply=True)
                    wanted = echo(dst, src, GATEWAY_MAC, POD_A.mac, number, reply=True, ttl=63)
                    self.pass_through(POD_B.port, answer, POD_A.port, wanted)
                else:
                    self.drop(POD_A.port, request, INGRESS)
            self.allow({"pod": "b"}, ingress=[{"from": [pods("a")]}])


class MalformedPolicyFailsClosed(NetworkPolicyTest):
    """A policy with a field that makes no sense is named, and closes the pods that it selects; nothing else changes."""

    def runTest(self) -> None:
        wrong_rules: Sequence[Value] = (
            {"ports": [{"port": 90, "endPort": 80}]},
            {"ports": [{"port": 80, "protocol": "ICMP"}]},
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["192.0.2.0/24"]}}]},
            {"from": [{"ipBlock": {"cidr": "010.0.0.0/8"}}]},
            {"from": [{}]},
            {"from": [pods("a") | {"ipBlock": {"cidr": "0.0.0.0/0"}}]},
        )
        for rule in wrong_rules:
            self.allow({"pod": "b"}, ingress=[{}, rule])
            self.assertEqual(len(self.cluster.problems), 1, (rule, self.cluster.problems))
            self.assertIn("NetworkPolicy/shop/policy", self.cluster.problems[0])
            self.blocked(POD_A, POD_B, INGRESS, families=[4])
            self.passes(POD_B, POD_A, families=[4])
            self.passes(POD_B, POD_C, families=[6])
        self.allow({"pod": "b"}, "other", ingress=[{"ports": [{"port": 443}]}])
        self.passes(POD_A, POD_B, 443)  # what others allow stays allowed
        self.allow({"pod": "b"}, ingress=[{}])
        self.assertEqual(self.cluster.problems, [])
        self.passes(POD_A, POD_B)


class TiersOfClusterPolicies(NetworkPolicyTest):
    """Admin, then NetworkPolicy, then Baseline; a lower number first; Accept, Deny, Pass; the first rule that matches decides."""

    def rule(self, action: str, client: str = "a") -> Value:
        """A rule about one of the pods."""
        selector = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"pod": client}}}
        return {"action": action, "from": [{"pods": selector}]}

    def tier(self, name: str, tier: str, priority: int, *rules: Value) -> Value:
        """Put a ClusterNetworkPolicy for pod b in force."""
        subject = {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"pod": "b"}}}}
        value: Value = {
            "apiVersion": "policy.networking.k8s.io/v1alpha2",
            "kind": "ClusterNetworkPolicy",
            "metadata": {"name": name},
            "spec": {"tier": tier, "priority": priority, "subject": subject, "ingress": [*rules]},
        }
        self.cluster.apply(value)
        return value

    def runTest(self) -> None:
        baseline = self.tier("base", "Baseline", 0, self.rule("Deny"))
        self.blocked(POD_A, POD_B, INGRESS)
        self.passes(POD_C, POD_B)
        value = self.allow({"pod": "b"}, ingress=[{"from": [pods("a")]}])
        self.passes(POD_A, POD_B)  # the Baseline counts no more
        self.blocked(POD_C, POD_B, INGRESS)
        self.tier("admin-10", "Admin", 10, self.rule("Deny"), self.rule("Accept", "c"))
        self.blocked(POD_A, POD_B, INGRESS)
        self.passes(POD_C, POD_B)
        self.tier("z-admin-5", "Admin", 5, self.rule("Accept"), self.rule("Deny"))
        self.passes(POD_A, POD_B)
        self.tier("z-admin-5", "Admin", 5, self.rule("Pass"), self.rule("Pass", "c"))
        self.passes(POD_A, POD_B)  # NetworkPolicy allows it
        self.blocked(POD_C, POD_B, INGRESS)
        self.cluster.remove(value)
        self.blocked(POD_A, POD_B, INGRESS)  # the Baseline counts again
        self.passes(POD_C, POD_B)
        self.cluster.remove(baseline)
        self.passes(POD_A, POD_B)
