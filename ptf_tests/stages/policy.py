"""NetworkPolicy: isolated pods, both directions, identities, protocols, port ranges (p4src/stages/policy.p4)."""

from __future__ import annotations

from ptf_tests.base import NODE, POD_A, POD_B, POD_C, REMOTE, ROUTER, VIP, NodeTest
from ptf_tests.client import Range, Ternary
from ptf_tests.drop_reasons import DropReason
from ptf_tests.packets import FAMILIES, GATEWAY_MAC, Family, Host, Protocol, Side, echo

_ROUTED = {REMOTE.name: ROUTER}


class PolicyTest(NodeTest):
    """What the tests of policies share."""

    def connect(
        self, a: Host, b: Host, family: Family, protocol: Protocol = "tcp", port: int = 80, why: str = ""
    ) -> tuple[Side, Side]:
        """A first packet from `a` to `b` passes; the two ends."""
        src, dst = Side(a.address(family), self.new_port()), Side(b.address(family), port)
        out = _ROUTED.get(b.name, b)
        wanted = self.delivered_to(out, src, dst, protocol)
        self.pass_through(a.port, self.sent_by(a, src, dst, protocol), out.port, wanted, why)
        return src, dst

    def blocked(
        self,
        a: Host,
        b: Host,
        family: Family,
        reason: DropReason,
        protocol: Protocol = "tcp",
        port: int = 80,
        why: str = "",
    ) -> None:
        """A first packet from `a` to `b` is dropped for that reason."""
        src, dst = Side(a.address(family), self.new_port()), Side(b.address(family), port)
        self.drop(a.port, self.sent_by(a, src, dst, protocol), reason, why)


class IsolatedPodIsClosed(PolicyTest):
    """A policy without entries denies everything in its direction, and nothing in the other."""

    def runTest(self) -> None:
        self.isolate(POD_B, ingress_policy=5)
        for family in FAMILIES:
            for protocol in ("tcp", "udp"):
                for a in (POD_A, REMOTE):
                    self.blocked(a, POD_B, family, DropReason.INGRESS_POLICY, protocol)
                self.connect(POD_B, POD_A, family, protocol)
                self.connect(POD_A, POD_C, family, protocol)
        self.isolate(POD_B, egress_policy=5)
        for family in FAMILIES:
            for b in (POD_A, REMOTE):
                self.blocked(POD_B, b, family, DropReason.EGRESS_POLICY)
            self.connect(POD_A, POD_B, family)


class RepliesPass(PolicyTest):
    """The answers of an allowed connection pass, whatever the policies of their direction say; nothing else does."""

    def runTest(self) -> None:
        identities = self.set_pod_identities(POD_A, POD_B)
        self.isolate(POD_A, egress_policy=1, ingress_policy=2)
        self.isolate(POD_B, egress_policy=3, ingress_policy=4)
        self.client.insert(
            self.policy_entry("egress", 1, identities["b"], "tcp", Range(80, 80)),
            self.policy_entry("ingress", 4, identities["a"], "tcp", Range(80, 80)),
        )
        for family in FAMILIES:
            src, dst = self.connect(POD_A, POD_B, family)
            answer = self.sent_by(POD_B, dst, src, "tcp", flags="SA")
            self.pass_through(POD_B.port, answer, POD_A.port, self.delivered_to(POD_A, dst, src, "tcp", flags="SA"))
            self.blocked(POD_B, POD_A, family, DropReason.EGRESS_POLICY, why="a connection of its own")
            other = Side(src.address, self.new_port())
            self.drop(
                POD_B.port, self.sent_by(POD_B, dst, other, "tcp", flags="A"), DropReason.EGRESS_POLICY, "no answer"
            )
            self.drop(POD_B.port, self.sent_by(POD_B, dst, other, "tcp", flags="SA"), DropReason.NOT_IN_CONNECTION)


class BothEndsMustAllow(PolicyTest):
    """A connection needs the source's egress and the destination's ingress."""

    def runTest(self) -> None:
        identities = self.set_pod_identities(POD_A, POD_B)
        self.isolate(POD_A, egress_policy=1)
        self.isolate(POD_B, ingress_policy=2)
        egress = self.policy_entry("egress", 1, identities["b"])
        ingress = self.policy_entry("ingress", 2, identities["a"])
        for family in FAMILIES:
            self.blocked(POD_A, POD_B, family, DropReason.EGRESS_POLICY)
        self.client.insert(egress)
        for family in FAMILIES:
            self.blocked(POD_A, POD_B, family, DropReason.INGRESS_POLICY)
        self.client.insert(ingress)
        for family in FAMILIES:
            self.connect(POD_A, POD_B, family)
        self.client.delete(egress)
        for family in FAMILIES:
            self.blocked(POD_A, POD_B, family, DropReason.EGRESS_POLICY)


class IdentityProtocolAndPortsCount(PolicyTest):
    """An entry lets in exactly its identity, protocol and port range, its ends included."""

    def runTest(self) -> None:
        identities = self.set_pod_identities(POD_A, POD_C)
        self.isolate(POD_B, ingress_policy=9)
        self.client.insert(
            self.policy_entry("ingress", 9, identities["a"], "tcp", Range(8000, 8010)),
            self.policy_entry("ingress", 9, identities["c"], "udp"),
            self.policy_entry("ingress", 8, identities["a"]),
        )
        for family in FAMILIES:
            for port in (8000, 8005, 8010):
                self.connect(POD_A, POD_B, family, "tcp", port)
            for port in (7999, 8011, 80):
                self.blocked(POD_A, POD_B, family, DropReason.INGRESS_POLICY, "tcp", port)
            self.blocked(POD_A, POD_B, family, DropReason.INGRESS_POLICY, "udp", 8005)
            self.connect(POD_C, POD_B, family, "udp", 1)
            self.connect(POD_C, POD_B, family, "udp", 65535)
            self.blocked(POD_C, POD_B, family, DropReason.INGRESS_POLICY, "tcp", 8005)
            self.blocked(REMOTE, POD_B, family, DropReason.INGRESS_POLICY, "tcp", 8005)


class IpBlockWithException(PolicyTest):
    """A range with a hole: the longer prefix has an identity of its own; unknown addresses are identity 0."""

    def runTest(self) -> None:
        self.isolate(POD_A, egress_policy=1)
        self.set_identity("203.0.113.0", 24, 200)
        self.set_identity("2001:db8:9::", 48, 200)
        self.client.insert(self.policy_entry("egress", 1, 200))
        for family in FAMILIES:
            self.connect(POD_A, REMOTE, family)
        self.set_identity(REMOTE.ipv4, 32, 201)
        self.set_identity(REMOTE.ipv6, 128, 201)
        for family in FAMILIES:
            self.blocked(POD_A, REMOTE, family, DropReason.EGRESS_POLICY, why="in the hole")
        elsewhere = {4: "203.0.113.77", 6: "2001:db8:9::77"}
        unknown = {4: "198.51.100.77", 6: "2001:db8:77::1"}
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(elsewhere[family], 80)
            self.pass_through(
                POD_A.port,
                self.sent_by(POD_A, src, dst, "tcp"),
                ROUTER.port,
                self.delivered_to(ROUTER, src, dst, "tcp"),
            )
            packet = self.sent_by(POD_A, src, Side(unknown[family], 80), "tcp")
            self.drop(POD_A.port, packet, DropReason.EGRESS_POLICY, "unknown")
        self.client.insert(self.policy_entry("egress", 1, 0))
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(unknown[family], 80)
            self.pass_through(
                POD_A.port,
                self.sent_by(POD_A, src, dst, "tcp"),
                ROUTER.port,
                self.delivered_to(ROUTER, src, dst, "tcp"),
            )


class HigherPriorityDecides(PolicyTest):
    """A denial of higher priority beats an allowance, and the other way round."""

    def runTest(self) -> None:
        identities = self.set_pod_identities(POD_A)
        self.isolate(POD_B, ingress_policy=3)
        self.client.insert(
            self.policy_entry("ingress", 3, priority=10),
            self.policy_entry("ingress", 3, identities["a"], "tcp", allow=False, priority=20),
            self.policy_entry("ingress", 3, identities["a"], "tcp", Range(443, 443), priority=30),
        )
        for family in FAMILIES:
            self.connect(POD_C, POD_B, family)
            self.connect(POD_A, POD_B, family, "udp")
            self.blocked(POD_A, POD_B, family, DropReason.INGRESS_POLICY)
            self.connect(POD_A, POD_B, family, "tcp", 443)


class PolicyLooksAtTheEndpoint(PolicyTest):
    """Through a Service, policy sees the endpoint's address and port, not the Service's."""

    def runTest(self) -> None:
        identities = self.set_pod_identities(POD_A, POD_B)
        self.isolate(POD_A, egress_policy=1)
        self.isolate(POD_B, ingress_policy=2)
        self.client.insert(
            self.policy_entry("egress", 1, identities["b"], "tcp", Range(8080, 8080)),
            self.policy_entry("ingress", 2, identities["a"], "tcp", Range(8080, 8080)),
        )
        for family in FAMILIES:
            vip = Side(VIP[family], 80)
            self.add_service(vip.address, 80, "tcp", [Side(POD_B.address(family), 8080)], 10 + family)
            self.add_service(vip.address, 81, "tcp", [Side(POD_B.address(family), 9090)], 20 + family)
            src = Side(POD_A.address(family), self.new_port())
            wanted = self.delivered_to(POD_B, src, Side(POD_B.address(family), 8080), "tcp")
            self.pass_through(POD_A.port, self.sent_by(POD_A, src, vip, "tcp"), POD_B.port, wanted)
            packet = self.sent_by(POD_A, src, Side(VIP[family], 81), "tcp")
            self.drop(POD_A.port, packet, DropReason.EGRESS_POLICY)


class OwnNodeAndSelfAreNeverBlocked(PolicyTest):
    """An isolated pod and its own node reach each other, and the pod reaches itself through a Service."""

    def runTest(self) -> None:
        self.isolate(POD_A, egress_policy=1, ingress_policy=2)
        for family in FAMILIES:
            self.connect(NODE, POD_A, family)
            self.connect(POD_A, NODE, family)
            vip, own = Side(VIP[family], 80), POD_A.address(family)
            self.add_service(vip.address, 80, "tcp", [Side(own, 8080)], family)
            port = self.new_port()
            wanted = self.delivered_to(POD_A, Side(vip.address, port), Side(own, 8080), "tcp")
            self.pass_through(POD_A.port, self.sent_by(POD_A, Side(own, port), vip, "tcp"), POD_A.port, wanted)
            self.blocked(POD_B, POD_A, family, DropReason.INGRESS_POLICY)


class EchoFollowsIsolation(PolicyTest):
    """Ping to an isolated pod is dropped unless an entry for any protocol allows it."""

    def runTest(self) -> None:
        identities = self.set_pod_identities(POD_A, POD_C)
        self.isolate(POD_B, ingress_policy=3)
        self.client.insert(
            self.policy_entry("ingress", 3, identities["a"], "tcp"), self.policy_entry("ingress", 3, identities["c"])
        )
        for family in FAMILIES:
            a, b, c = POD_A.address(family), POD_B.address(family), POD_C.address(family)
            identifier = self.new_port()
            self.drop(POD_A.port, echo(a, b, POD_A.mac, GATEWAY_MAC, identifier), DropReason.INGRESS_POLICY)
            request = echo(c, b, POD_C.mac, GATEWAY_MAC, identifier)
            self.pass_through(POD_C.port, request, POD_B.port, echo(c, b, GATEWAY_MAC, POD_B.mac, identifier, ttl=63))


class PolicyChangeIsOneModify(PolicyTest):
    """A pod moves from one complete policy to another by one MODIFY; a denied connection leaves nothing behind."""

    def runTest(self) -> None:
        self.client.insert(self.policy_entry("ingress", 2, Ternary(0, 0)))
        self.isolate(POD_B, ingress_policy=1)
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
            packet = self.sent_by(POD_A, src, dst, "udp")
            for _ in range(2):
                self.drop(POD_A.port, packet, DropReason.INGRESS_POLICY)
            self.client.modify(self.destination_entry(POD_B, family, 2))
            self.pass_through(POD_A.port, packet, POD_B.port, self.delivered_to(POD_B, src, dst, "udp"))


class PolicyEntriesCount(PolicyTest):
    """The direct counter of a policy entry counts the connections it decided, not their later packets."""

    def runTest(self) -> None:
        self.isolate(POD_B, ingress_policy=1)
        self.isolate(POD_A, egress_policy=2)
        entries = (self.policy_entry("ingress", 1), self.policy_entry("egress", 2))
        self.client.insert(*entries)
        for _ in range(3):
            src, dst = self.connect(POD_A, POD_B, 4, "udp")
            packet = self.sent_by(POD_A, src, dst, "udp")
            self.pass_through(POD_A.port, packet, POD_B.port, self.delivered_to(POD_B, src, dst, "udp"))
        for entry in entries:
            packets, octets = self.wait_for(
                lambda entry=entry: self.client.read_direct_counter(entry),  # type: ignore[misc]
                lambda value: value[0] >= 3,
                seconds=20,
            )
            self.assertEqual((packets, octets), (3, 3 * len(bytes(packet))), entry.table)
