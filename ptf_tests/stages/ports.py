"""Kinds of ports, and what the controller wants to see itself (p4src/stages/ports.p4)."""

from __future__ import annotations

from ptf_tests.base import POD_A, POD_B, ROUTER, SPARE_PORT, NodeTest
from ptf_tests.client import Entry, Ternary, UnimplementedError
from ptf_tests.drop_reasons import DropReason
from ptf_tests.packets import FAMILIES, Side


class UnknownPortIsClosed(NodeTest):
    """A port without an entry lets nothing in, not even a question for the gateway."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
            self.drop(SPARE_PORT, self.sent_by(POD_A, src, dst, "udp"), DropReason.UNKNOWN_PORT)


class FrameForAnotherMacIsDropped(NodeTest):
    """A router forwards only what was sent to it."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
            packet = self.sent_by(POD_A, src, dst, "udp")
            packet.dst = POD_B.mac
            self.drop(POD_A.port, packet, DropReason.FOREIGN_MAC)


class TrapGoesToTheControllerOnly(NodeTest):
    """A trapped packet reaches the controller as it came, with port and reason, and goes no further."""

    def runTest(self) -> None:
        match = {"protocol": Ternary(17, 0xFF), "l4_dport": Ternary(53, 0xFFFF)}
        self.client.insert(Entry("trap_table", match, "trap", {"reason": 7}, priority=1))
        for family in FAMILIES:
            src = Side(POD_A.address(family), self.new_port())
            packet = self.sent_by(POD_A, src, Side(POD_B.address(family), 53), "udp")
            self.send(POD_A.port, packet)
            got = self.packet_in()
            self.assertEqual(dict(got.metadata), {"ingress_port": POD_A.port, "reason": 7})
            self.assertEqual(got.payload, bytes(packet))
            self.expect_quiet("a trapped packet")

            other = Side(POD_B.address(family), 54)
            wanted = self.delivered_to(POD_B, src, other, "udp")
            self.pass_through(POD_A.port, self.sent_by(POD_A, src, other, "udp"), POD_B.port, wanted, "another port")


class TrapByPriorityPortAndEtherType(NodeTest):
    """The higher priority decides, and each key field can choose."""

    def runTest(self) -> None:
        self.client.insert(
            Entry("trap_table", {"ether_type": Ternary(0x88CC, 0xFFFF)}, "trap", {"reason": 1}, priority=1),
            Entry("trap_table", {"ingress_port": Ternary(ROUTER.port, 0x1FF)}, "trap", {"reason": 2}, priority=2),
        )
        lldp = bytes.fromhex("0180c200000e" + "020000000601" + "88cc" + "0207040200000006010405")
        self.send(POD_A.port, lldp)
        self.assertEqual(dict(self.packet_in().metadata), {"ingress_port": POD_A.port, "reason": 1})
        self.send(ROUTER.port, lldp)
        got = self.packet_in()
        self.assertEqual(dict(got.metadata), {"ingress_port": ROUTER.port, "reason": 2})
        self.assertEqual(got.payload, lldp)


class CopyToCpuGoesOnAsWell(NodeTest):
    """A copied packet is forwarded, and the controller's copy is as it came in."""

    def runTest(self) -> None:
        try:
            self.client.set_clone_session(self.target.ports.copy_session, self.target.ports.cpu)
        except UnimplementedError:
            self.skipTest("this switch has no clone sessions")
        self.client.insert(
            Entry("trap_table", {"l4_dport": Ternary(9, 0xFFFF)}, "copy_to_cpu", {"reason": 99}, priority=1)
        )
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 9)
            packet = self.sent_by(POD_A, src, dst, "tcp")
            self.pass_through(POD_A.port, packet, POD_B.port, self.delivered_to(POD_B, src, dst, "tcp"))
            got = self.packet_in()
            self.assertEqual(dict(got.metadata), {"ingress_port": POD_A.port, "reason": 99})
            self.assertEqual(got.payload, bytes(packet))
