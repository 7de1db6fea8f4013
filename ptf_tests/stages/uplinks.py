"""Ways to other nodes as the control plane makes them: Node objects and attachments in, packets out of the right uplink or tunnel."""

from __future__ import annotations

from typing import Any, ClassVar

from scapy.layers.l2 import Ether
from scapy.packet import Packet

from controlplane.addresses import parse_address, parse_mac
from controlplane.attachments import Attachments, Uplink
from ptf_tests.base import NODE, POD_A, POD_B, ROUTER, NodeTest
from ptf_tests.cluster import REMOTE_PODS, Cluster, attachments_of, plain_objects
from ptf_tests.drop_reasons import DropReason
from ptf_tests.packets import FAMILIES, GATEWAY_MAC, Family, Host, Side, segment
from ptf_tests.stages.report_error import too_big
from ptf_tests.stages.tunnel import FORMATS, Format, carried

SECOND = Host("second router", 4, "02:00:00:00:06:02", ROUTER.ipv4, ROUTER.ipv6)
"""node-2's place on a second uplink."""

R1 = REMOTE_PODS[0]
VNI = 77


class UplinksTest(NodeTest):
    """A cluster whose attachments a test chooses."""

    installs_node: ClassVar[bool] = False

    def cluster(self, change: Any = lambda attachments: attachments, **settings: Any) -> Cluster:
        """The plain cluster, with its attachments changed."""
        objects = plain_objects()
        made = Cluster(self.client, objects=objects, watch_ports=self.watches_ports(), **settings)
        made.attach(change(attachments_of(objects)))
        self.assertEqual(made.problems, [])
        return made

    def answered_by(self, src: Side, dst: Side) -> Host:
        """The router that a packet from pod a comes out at; the packet is as it must be."""
        self.send(POD_A.port, self.sent_by(POD_A, src, dst, "udp"))
        got = self.receive()
        assert got is not None, f"nothing came out for {src}\n{self._drops_text()}"
        router = ROUTER if got[0] == ROUTER.port else SECOND
        self.assertEqual(got, (router.port, bytes(self.delivered_to(router, src, dst, "udp"))))
        return router


def with_two_uplinks(attachments: Attachments) -> Attachments:
    """The router's addresses on a second wire as well."""
    neighbors = tuple((parse_address(SECOND.address(family)), parse_mac(SECOND.mac)) for family in FAMILIES)
    second = Uplink(SECOND.port, parse_mac(GATEWAY_MAC), neighbors)
    return replace_uplinks(attachments, (*attachments.uplinks, second))


def replace_uplinks(attachments: Attachments, uplinks: tuple[Uplink, ...]) -> Attachments:
    """The same attachments with other uplinks."""
    return Attachments(
        attachments.gateway_mac,
        attachments.gateway_addresses,
        attachments.node,
        uplinks,
        attachments.routes,
        attachments.pods,
    )


class PodsOfANodeOnTwoUplinks(UplinksTest):
    """Flows to a node on two wires spread over both; when one of them is gone, all take the other, without a new connection."""

    def runTest(self) -> None:
        cluster = self.cluster(with_two_uplinks)
        for family in FAMILIES:
            flows = [(Side(POD_A.address(family), self.new_port()), Side(R1.address(family), 80)) for _ in range(24)]
            ways = [self.answered_by(*flow).name for flow in flows]
            self.assertGreater(min(ways.count(ROUTER.name), ways.count(SECOND.name)), 3, ways)
            cluster.attach(attachments_of(plain_objects()))
            self.assertEqual({self.answered_by(*flow).name for flow in flows}, {ROUTER.name})
            cluster.attach(with_two_uplinks(attachments_of(plain_objects())))
            self.assertEqual([self.answered_by(*flow).name for flow in flows], ways)


class UplinkThatIsDownIsPassedOver(UplinksTest):
    """A wire that is down is used by no flow; the controller has to do something about it only where the switch cannot."""

    def runTest(self) -> None:
        cluster = self.cluster(with_two_uplinks)
        flows = [
            (Side(POD_A.address(family), self.new_port()), Side(R1.address(family), 80))
            for family in FAMILIES
            for _ in range(12)
        ]
        ways = [self.answered_by(*flow) for flow in flows]
        moved = flows[ways.index(SECOND)]
        packet = self.sent_by(POD_A, *moved, "udp")
        self.set_link(SECOND.port, up=False)
        try:
            if not self.watches_ports():
                cluster.attach(attachments_of(plain_objects()))
            self.wait_for_way(POD_A.port, packet, ROUTER.port, self.delivered_to(ROUTER, *moved, "udp"))
            self.assertEqual({self.answered_by(*flow).name for flow in flows}, {ROUTER.name})
        finally:
            self.set_link(SECOND.port, up=True)
        cluster.attach(with_two_uplinks(attachments_of(plain_objects())))
        self.wait_for_way(POD_A.port, packet, SECOND.port, self.delivered_to(SECOND, *moved, "udp"))
        self.assertEqual([self.answered_by(*flow) for flow in flows], ways)


class TunnelsFromNodeObjects(UplinksTest):
    """With a tunnel mode, node-2's pods are reached through its InternalIP, and come from there."""

    def runTest(self) -> None:
        for kind in FORMATS:
            self.start_anew()
            self.cluster(tunnel_mode=kind, tunnel_vni=VNI)
            for family in FAMILIES:
                self._talk(kind, family)

    def _talk(self, kind: Format, family: Family) -> None:
        here, there = Side(POD_A.address(family), self.new_port()), Side(R1.address(family), 80)
        self.send(POD_A.port, self.sent_by(POD_A, here, there, "udp"))
        got = self.receive()
        assert got is not None, self._drops_text()
        inside = segment(here, there, "udp", GATEWAY_MAC, GATEWAY_MAC, ttl=63)
        port = int.from_bytes(got[1][34:36], "big")
        wanted = carried(kind, NODE.ipv4, ROUTER.ipv4, inside, port, VNI)
        wanted[Ether].src, wanted[Ether].dst = GATEWAY_MAC, ROUTER.mac
        self.assertEqual(got, (ROUTER.port, bytes(wanted)))
        answer = segment(there, here, "udp", "02:00:00:00:88:01", GATEWAY_MAC)
        packet = self._from_node_2(kind, answer, VNI)
        self.pass_through(ROUTER.port, packet, POD_A.port, self.delivered_to(POD_A, there, here, "udp"), f"{kind}")
        self.drop(ROUTER.port, self._from_node_2(kind, answer, VNI + 1), DropReason.UNKNOWN_TUNNEL)
        stolen = segment(Side(POD_B.address(family), 1), here, "udp", "02:00:00:00:88:01", GATEWAY_MAC)
        self.drop(ROUTER.port, self._from_node_2(kind, stolen, VNI), DropReason.SPOOFED_ADDRESS)

    def _from_node_2(self, kind: Format, inside: Packet, vni: int) -> Packet:
        packet = carried(kind, ROUTER.ipv4, NODE.ipv4, inside, 50000, vni)
        packet[Ether].src, packet[Ether].dst = ROUTER.mac, GATEWAY_MAC
        return packet


class MtuOfAnUplink(UplinksTest):
    """An uplink's MTU comes from the attachments, and what is too big is told by the node's address."""

    def runTest(self) -> None:
        def narrow(attachments: Attachments) -> Attachments:
            (uplink,) = attachments.uplinks
            return replace_uplinks(
                attachments, (Uplink(uplink.port, uplink.mac, uplink.neighbors, uplink.addresses, 1400),)
            )

        self.cluster(narrow)
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(R1.address(family), 80)
            packet = self.sent_by(POD_A, src, dst, "udp", payload=bytes(1401))
            self.pass_through(POD_A.port, packet, POD_A.port, too_big(packet, family, 1400))
