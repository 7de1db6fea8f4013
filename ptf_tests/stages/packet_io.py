"""Packets from the controller (p4src/stages/packet_io.p4); packets to it are in `ports`."""

from __future__ import annotations

from ptf_tests.base import POD_A, POD_B, ROUTER, NodeTest
from ptf_tests.packets import FAMILIES, Side


class PacketOutLeavesAsItIs(NodeTest):
    """A packet-out leaves on the port it names, untouched by every stage, whatever it is."""

    def runTest(self) -> None:
        for port in (POD_A.port, POD_B.port, ROUTER.port):
            for family in FAMILIES:
                src, dst = Side(POD_B.address(family), self.new_port()), Side(POD_A.address(family), 80)
                frame = bytes(self.delivered_to(POD_A, src, dst, "tcp", ttl=1))
                self.client.packet_out(frame, egress_port=port)
                self.expect(port, frame)
        frame = bytes.fromhex("ffffffffffff" + "020000000001" + "9999") + bytes(range(64))
        self.client.packet_out(frame, egress_port=POD_A.port)
        self.expect(POD_A.port, frame)
        self.expect_quiet()
