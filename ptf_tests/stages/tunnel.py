"""Tunnels between nodes, VXLAN and Geneve (p4src/stages/tunnel.p4)."""

from __future__ import annotations

from typing import Literal

from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6PacketTooBig, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from ptf_tests.base import NODE, POD_A, POD_B, REMOTE, ROUTER, VIP, NodeTest
from ptf_tests.client import Entry, GroupRef, Lpm
from ptf_tests.drop_reasons import DropReason
from ptf_tests.packets import (
    FAMILIES,
    GATEWAY_MAC,
    Family,
    Host,
    Side,
    address_number,
    ip_layer,
    mac_number,
    pieces,
    segment,
)

Format = Literal["vxlan", "geneve"]
FORMATS: tuple[Format, ...] = ("vxlan", "geneve")

PEER = Host("peer", ROUTER.port, ROUTER.mac, "198.51.100.20", "2001:db8:6::20")
"""The other node: beyond the router, with the pods of `FAR`."""
FAR = Host("far", ROUTER.port, ROUTER.mac, "10.2.0.7", "fd00:2::7")
FRAME_MAC = "02:00:00:00:77:01"
"""Whom the frames inside are for, at both ends."""
VNI = 4242
_NEXT_HOPS = 5
_OVERHEAD = {4: 50, 6: 70}


def carried(
    kind: Format, src: str, dst: str, frame: Packet, port: int, vni: int, *, ttl: int = 64, **fields: object
) -> Packet:
    """A frame in a tunnel's packet as the pipeline makes it, from UDP port `port`, MACs to be set; `fields` are the IP header's."""
    if ":" not in src:
        fields = {"id": 0, "flags": "DF"} | fields
    ip = ip_layer(src, dst, ttl, **fields)
    udp = UDP(sport=port, dport=4789 if kind == "vxlan" else 6081, chksum=0)
    shim = VXLAN(vni=vni, flags=8) if kind == "vxlan" else GENEVE(vni=vni, proto=0x6558)
    return Ether() / ip / udp / shim / bytes(frame)


class TunnelTest(NodeTest):
    """A tunnel to another node, over each family in turn."""

    def dig(self, outer: Family, kind: Format) -> None:
        """Make the tunnel, and lead the far pods' addresses through it."""
        own, peer = address_number(NODE.address(outer)), address_number(PEER.address(outer))
        hop = {"port": ROUTER.port, "src_mac": mac_number(GATEWAY_MAC), "dst_mac": mac_number(ROUTER.mac)}
        self.client.insert_member("next_hop_selector", 1, "set_next_hop", **hop)
        self.client.insert_group("next_hop_selector", _NEXT_HOPS, {1: 1}, max_size=1)
        self.client.insert(Entry("next_hop_table", {"next_hops_id": _NEXT_HOPS}, GroupRef(_NEXT_HOPS)))
        params = {"local_addr": own, "vni": VNI, "mac": mac_number(FRAME_MAC), "next_hops_id": _NEXT_HOPS}
        self.client.insert(
            Entry("tunnel_table", {"remote_addr": peer}, f"set_{kind}", params),
            Entry("tunnel_end_table", {"dst_addr": own}, "end_tunnel", {"mac": mac_number(FRAME_MAC)}),
            Entry(
                "tunnel_source_table",
                {"src_addr": peer, "is_geneve": int(kind == "geneve"), "vni": VNI},
                "admit_tunnel",
            ),
        )
        for family in FAMILIES:
            match = {"dst_addr": Lpm(address_number(FAR.address(family)), 128)}
            self.client.insert(Entry("route_table", match, "use_tunnel", {"remote_addr": peer}))

    def fill_in(self) -> None:
        """Begin again, for the next kind of tunnel."""
        self.start_anew()
        self.install_node()

    def frame_from_afar(
        self, outer: Family, kind: Format, packet: Packet, *, vni: int = VNI, source: str = "", tos: int = 0
    ) -> Packet:
        """A frame as the peer sends it to this node, through the router."""
        src, dst = source or PEER.address(outer), NODE.address(outer)
        fields = {"tc": tos} if outer == 6 else {"tos": tos}
        frame = carried(kind, src, dst, packet, 55555, vni, ttl=61, **fields)
        frame[Ether].src, frame[Ether].dst = ROUTER.mac, GATEWAY_MAC
        return frame

    def inner(self, src: Side, dst: Side, protocol: str = "udp", **fields: object) -> Packet:
        """A frame inside, as the other end sends it."""
        return segment(src, dst, protocol, "02:00:00:00:88:01", FRAME_MAC, **fields)  # type: ignore[arg-type]

    def expect_tunnelled(self, outer: Family, kind: Format, wanted: Packet, *, why: str = "", tos: int = 0) -> int:
        """A packet comes out at the router, for the peer, with exactly this frame inside; returns the source port outside."""
        got = self.receive()
        if got is None:
            self.fail(f"{why}: nothing came out\n{self._drops_text()}")
        self.assertEqual(got[0], ROUTER.port, why)
        header = 34 if outer == 4 else 54
        port = int.from_bytes(got[1][header : header + 2], "big")
        self.assertGreaterEqual(port, 49152, why)
        fields = {"tos": tos} if outer == 4 else {"tc": tos}
        packet = carried(kind, NODE.address(outer), PEER.address(outer), wanted, port, VNI, **fields)
        packet[Ether].src, packet[Ether].dst = GATEWAY_MAC, ROUTER.mac
        if got[1] != bytes(packet):
            self.fail(f"{why}: wanted\n{packet.show(dump=True)}\ngot\n{Ether(got[1]).show(dump=True)}")
        return port


class PodsTalkThroughATunnel(TunnelTest):
    """A conversation between a pod here and one there: each frame as it must be, outside and inside, for every pair of families."""

    def runTest(self) -> None:
        for outer in FAMILIES:
            for kind in FORMATS:
                self.dig(outer, kind)
                for family in FAMILIES:
                    for protocol in ("tcp", "udp"):
                        why = f"{protocol} over IPv{family} in {kind} over IPv{outer}"
                        here = Side(POD_A.address(family), self.new_port())
                        there = Side(FAR.address(family), 80)
                        self.send(POD_A.port, self.sent_by(POD_A, here, there, protocol))
                        wanted = self.inner(here, there, protocol, ttl=63)
                        wanted[Ether].src = GATEWAY_MAC
                        self.expect_tunnelled(outer, kind, wanted, why=why)
                        answer = self.inner(there, here, protocol, flags="SA")
                        self.pass_through(
                            ROUTER.port,
                            self.frame_from_afar(outer, kind, answer),
                            POD_A.port,
                            self.delivered_to(POD_A, there, here, protocol, flags="SA"),
                            why,
                        )
                self.fill_in()


class ServicesWorkThroughTunnels(TunnelTest):
    """An endpoint on the other node, and a client there of an endpoint here; policy sees the addresses inside."""

    def runTest(self) -> None:
        for kind in FORMATS:
            self.dig(4, kind)
            for family in FAMILIES:
                vip, there = Side(VIP[family], 80), Side(FAR.address(family), 8080)
                self.add_service(vip.address, 80, "tcp", [there], 10 * family)
                here = Side(POD_A.address(family), self.new_port())
                self.send(POD_A.port, self.sent_by(POD_A, here, vip, "tcp"))
                wanted = self.inner(here, there, "tcp", ttl=63)
                wanted[Ether].src = GATEWAY_MAC
                self.expect_tunnelled(4, kind, wanted)
                answer = self.frame_from_afar(4, kind, self.inner(there, here, "tcp", flags="SA"))
                self.pass_through(
                    ROUTER.port, answer, POD_A.port, self.delivered_to(POD_A, vip, here, "tcp", flags="SA")
                )
                endpoint = Side(POD_B.address(family), 8080)
                self.add_service(VIP[family], 81, "udp", [endpoint], 10 * family + 1)
                client = Side(FAR.address(family), self.new_port())
                packet = self.frame_from_afar(4, kind, self.inner(client, Side(VIP[family], 81)))
                self.pass_through(ROUTER.port, packet, POD_B.port, self.delivered_to(POD_B, client, endpoint, "udp"))
            self.isolate(POD_B, ingress_policy=1)
            client, endpoint = Side(FAR.ipv4, self.new_port()), Side(POD_B.ipv4, 9)
            self.drop(
                ROUTER.port, self.frame_from_afar(4, kind, self.inner(client, endpoint)), DropReason.INGRESS_POLICY
            )
            self.fill_in()


class RefusalsGoBackThroughTheTunnel(TunnelTest):
    """A reset and a port unreachable for a client on the other node, and what is too big or has come too far."""

    def runTest(self) -> None:
        for outer in FAMILIES:
            for kind in FORMATS:
                self.dig(outer, kind)
                self._refuse(outer, kind)
                self.fill_in()

    def _refuse(self, outer: Family, kind: Format) -> None:
        vip = Side(VIP[4], 80)
        for protocol in ("tcp", "udp"):
            self.client.insert(self.frontend_entry(VIP[4], 80, protocol, "reject_service"))
        self.client.insert(
            Entry("error_source_table", {"is_ipv6": 0}, "set_error_source", {"addr": address_number(NODE.ipv4)}),
            Entry("error_source_table", {"is_ipv6": 1}, "set_error_source", {"addr": address_number(NODE.ipv6)}),
        )
        client = Side(FAR.ipv4, self.new_port())
        frame = Ether(src=FRAME_MAC, dst="02:00:00:00:88:01")
        packet = self.inner(client, vip, "tcp", payload=bytes(100))
        self.send(ROUTER.port, self.frame_from_afar(outer, kind, packet))
        reset = TCP(sport=80, dport=client.port, flags="RA", seq=0, ack=1101, window=0)
        ip = IP(src=vip.address, dst=client.address, ttl=64, id=0, flags="DF")
        self.expect_tunnelled(outer, kind, frame / ip / reset, why="reset")
        packet = self.inner(client, vip, "udp", payload=bytes(100))
        self.send(ROUTER.port, self.frame_from_afar(outer, kind, packet))
        ip = IP(src=vip.address, dst=client.address, ttl=64, id=0, tos=0xC0)
        error = ip / ICMP(type=3, code=3) / Raw(bytes(packet)[14:42])
        self.expect_tunnelled(outer, kind, frame / error, why="port unreachable", tos=0xC0)
        packet = self.inner(client, Side(POD_A.ipv4, 80), "udp", ttl=1)
        self.send(ROUTER.port, self.frame_from_afar(outer, kind, packet))
        error = (
            IP(src=NODE.ipv4, dst=client.address, ttl=64, id=0, tos=0xC0) / ICMP(type=11) / Raw(bytes(packet)[14:42])
        )
        self.expect_tunnelled(outer, kind, frame / error, why="time exceeded", tos=0xC0)
        self.client.insert(Entry("mtu_table", {"egress_port": POD_A.port}, "set_mtu", {"mtu": 1400}))
        client = Side(FAR.ipv6, client.port)
        packet = self.inner(client, Side(POD_A.ipv6, 80), "udp", payload=bytes(1500))
        self.send(ROUTER.port, self.frame_from_afar(outer, kind, packet))
        message = ICMPv6PacketTooBig(mtu=1400) / Raw(bytes(packet)[14:62])
        self.expect_tunnelled(
            outer, kind, frame / IPv6(src=NODE.ipv6, dst=client.address, hlim=64) / message, why="too big"
        )


class TunnelTakesFromTheMtu(TunnelTest):
    """What fits with everything around it passes; one byte more is told, with the MTU that is left."""

    def runTest(self) -> None:
        for outer in FAMILIES:
            for mtu in (1500, 1280):
                self.dig(outer, "vxlan")
                self.client.insert(
                    Entry("mtu_table", {"egress_port": ROUTER.port}, "set_mtu", {"mtu": mtu}),
                    Entry(
                        "error_source_table", {"is_ipv6": 0}, "set_error_source", {"addr": address_number(NODE.ipv4)}
                    ),
                )
                self._fill(outer, mtu - _OVERHEAD[outer])
                self.fill_in()

    def _fill(self, outer: Family, left: int) -> None:
        here, there = Side(POD_A.ipv4, self.new_port()), Side(FAR.ipv4, 80)
        payload = bytes(left - 28)
        self.send(POD_A.port, self.sent_by(POD_A, here, there, "udp", payload=payload))
        wanted = self.inner(here, there, "udp", ttl=63, payload=payload)
        wanted[Ether].src = GATEWAY_MAC
        self.expect_tunnelled(outer, "vxlan", wanted)
        packet = self.sent_by(POD_A, here, there, "udp", payload=bytes(left - 27))
        error = (
            Ether(src=GATEWAY_MAC, dst=POD_A.mac)
            / IP(src=NODE.ipv4, dst=POD_A.ipv4, ttl=64, id=0, tos=0xC0)
            / ICMP(type=3, code=4, nexthopmtu=left)
            / Raw(bytes(packet)[14:42])
        )
        self.pass_through(POD_A.port, packet, POD_A.port, error)


class StrangersDoNotComeThroughTunnels(TunnelTest):
    """Not from an unknown address, with another VNI or format, broken, or with a source inside that does not belong outside."""

    def runTest(self) -> None:
        for outer in FAMILIES:
            for kind in FORMATS:
                self.dig(outer, kind)
                self._try(outer, kind)
                self.fill_in()

    def _try(self, outer: Family, kind: Format) -> None:
        good = self.inner(Side(FAR.ipv4, 1000), Side(POD_A.ipv4, 80))
        other: Format = "geneve" if kind == "vxlan" else "vxlan"
        for packet, why in (
            (self.frame_from_afar(outer, kind, good, source=REMOTE.address(outer)), "an unknown node"),
            (self.frame_from_afar(outer, kind, good, vni=VNI + 1), "another VNI"),
            (self.frame_from_afar(outer, other, good), "another format"),
        ):
            self.drop(ROUTER.port, packet, DropReason.UNKNOWN_TUNNEL, why)
        bad = self.frame_from_afar(outer, kind, good)
        if kind == "vxlan":
            bad[VXLAN].flags = 0
        else:
            bad[GENEVE].critical = 1
        self.drop(ROUTER.port, bad, DropReason.MALFORMED, "without a VNI, or with a critical option")
        if kind == "geneve":
            for field, value, what in (
                ("oam", 1, "a control message"),
                ("version", 1, "another version"),
                ("proto", 0x0800, "no frame, but a packet"),
                ("optionlen", 63, "options longer than all that there is"),
            ):
                bad = self.frame_from_afar(outer, kind, good)
                setattr(bad[GENEVE], field, value)
                self.drop(ROUTER.port, bad, DropReason.MALFORMED, what)
        first = pieces(self.frame_from_afar(outer, kind, good), 5, (0, 64))[0]
        self.drop(ROUTER.port, first, DropReason.MALFORMED, "a fragment")
        spoofed = self.inner(Side(POD_B.ipv4, 1000), Side(POD_A.ipv4, 80))
        self.drop(ROUTER.port, self.frame_from_afar(outer, kind, spoofed), DropReason.SPOOFED_ADDRESS, "a pod of ours")
        spoofed = self.inner(Side(NODE.ipv4, 1000), Side(POD_A.ipv4, 80))
        self.drop(ROUTER.port, self.frame_from_afar(outer, kind, spoofed), DropReason.SPOOFED_ADDRESS, "this node")
        foreign = self.inner(Side(FAR.ipv4, 1000), Side(POD_A.ipv4, 80))
        foreign[Ether].dst = GATEWAY_MAC
        self.drop(ROUTER.port, self.frame_from_afar(outer, kind, foreign), DropReason.FOREIGN_MAC, "for another MAC")
        arp = Ether(src=FRAME_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(pdst="169.254.1.1")
        self.drop(ROUTER.port, self.frame_from_afar(outer, kind, arp), DropReason.UNSUPPORTED_ETHER_TYPE, "ARP")
        solicitation = Ether(dst=FRAME_MAC) / IPv6(src=FAR.ipv6, dst="fe80::1", hlim=255) / ICMPv6ND_NS(tgt="fe80::1")
        packet = self.frame_from_afar(outer, kind, solicitation)
        self.drop(ROUTER.port, packet, DropReason.NEIGHBOR_UNSUPPORTED, "neighbour discovery")
        twice = self.inner(Side(FAR.ipv4, 1000), Side(POD_A.ipv4, 80), ttl=1)
        self.drop(ROUTER.port, self.frame_from_afar(outer, kind, twice), DropReason.TTL_EXCEEDED, "TTL inside")


class NobodyBorrowsTheNodesNameInATunnel(TunnelTest):
    """A Service whose endpoint is another node's end of a tunnel gets no frame in there: its clients do not become the node."""

    def runTest(self) -> None:
        self.dig(4, "vxlan")
        for family in FAMILIES:
            params = {"addr": address_number(NODE.address(family))}
            match = {"is_ipv6": int(family == 6)}
            self.client.insert(Entry("masquerade_table", match, "set_masquerade_address", params))
            for number, port in enumerate((4789, 6081)):
                vip, end = Side(VIP[family], 80 + number), Side(PEER.address(family), port)
                for protocol, masquerade in (("udp", 7), ("sctp", 7)):
                    set_id = 100 * family + 10 * number + (protocol == "udp")
                    self.add_service(vip.address, vip.port, protocol, [end], set_id, masquerade=masquerade)  # type: ignore[arg-type]
                src = Side(POD_A.address(family), self.new_port())
                packet = self.sent_by(POD_A, src, vip, "udp", payload=b"\x08" + bytes(60))
                self.drop(POD_A.port, packet, DropReason.UNKNOWN_TUNNEL, f"port {port} over IPv{family}")
                self.send(POD_A.port, self.sent_by(POD_A, src, vip, "sctp"))
                got = self.receive()
                self.assertTrue(got is not None and got[0] == ROUTER.port, "the same port of SCTP")


class TunnelInATunnelStaysShut(TunnelTest):
    """A tunnel's packet that comes by a tunnel is one to the node as any other, so that nobody can make the pipeline go round and round."""

    def runTest(self) -> None:
        for outer in FAMILIES:
            for kind in FORMATS:
                self.dig(outer, kind)
                inmost = self.inner(Side(FAR.ipv4, self.new_port()), Side(POD_A.ipv4, 80))
                inside = self.frame_from_afar(outer, kind, inmost)
                inside[Ether].src, inside[Ether].dst = "02:00:00:00:88:01", FRAME_MAC
                wanted = carried(kind, PEER.address(outer), NODE.address(outer), inmost, 55555, VNI, ttl=60)
                wanted[Ether].src, wanted[Ether].dst = GATEWAY_MAC, NODE.mac
                packet = self.frame_from_afar(outer, kind, inside)
                self.pass_through(ROUTER.port, packet, NODE.port, wanted, f"{kind} over IPv{outer}")
                self.fill_in()


class OptionsOfGeneveAreSkipped(TunnelTest):
    """Options that are not critical are not ours to understand (RFC 8926, section 3.5)."""

    def runTest(self) -> None:
        self.dig(4, "geneve")
        src, dst = Side(FAR.ipv4, self.new_port()), Side(POD_A.ipv4, 80)
        packet = self.frame_from_afar(4, "geneve", self.inner(src, dst))
        packet[GENEVE].options = [GeneveOptions(classid=0x102, type=1, data=b"kulvert!")]
        self.pass_through(ROUTER.port, packet, POD_A.port, self.delivered_to(POD_A, src, dst, "udp"))


class PodsUseTheTunnelsPortsAsAny(TunnelTest):
    """UDP to and from the tunnels' ports that is not for this node's end is forwarded as it is, whatever it carries."""

    def runTest(self) -> None:
        self.dig(4, "vxlan")
        for family in FAMILIES:
            for port in (4789, 6081):
                for payload in (b"", b"short", b"\x08" + bytes(60), b"\xff" * 60):
                    for protocol_port in (Side(REMOTE.address(family), port), Side(NODE.address(family), port)):
                        src = Side(POD_A.address(family), self.new_port())
                        host = ROUTER if protocol_port.address == REMOTE.address(family) else NODE
                        packet = self.sent_by(POD_A, src, protocol_port, "udp", payload=payload)
                        wanted = self.delivered_to(host, src, protocol_port, "udp", payload=payload)
                        self.pass_through(POD_A.port, packet, host.port, wanted, f"port {port}, {len(payload)} bytes")
            src, dst = Side(REMOTE.address(family), self.new_port()), Side(POD_A.address(family), 4789)
            packet = self.sent_by(ROUTER, src, dst, "udp", payload=b"\x08" + bytes(60))
            wanted = self.delivered_to(POD_A, src, dst, "udp", payload=b"\x08" + bytes(60))
            self.pass_through(ROUTER.port, packet, POD_A.port, wanted, "to a pod, from outside")


class CongestionMarksAreHandedOn(TunnelTest):
    """RFC 6040: the mark inside goes outside on the way in, and on the way out the stronger one counts."""

    def runTest(self) -> None:
        for outer in FAMILIES:
            self.dig(outer, "vxlan")
            self._mark(outer)
            self.fill_in()

    def _mark(self, outer: Family) -> None:
        for family in FAMILIES:
            field = "tos" if family == 4 else "tc"
            for tos in (0, 1, 2, 3, 0xB8, 0xBB):
                here, there = Side(POD_A.address(family), self.new_port()), Side(FAR.address(family), 80)
                self.send(POD_A.port, self.sent_by(POD_A, here, there, "udp", ip_fields={field: tos}))
                wanted = self.inner(here, there, "udp", ttl=63, ip_fields={field: tos})
                wanted[Ether].src = GATEWAY_MAC
                self.expect_tunnelled(outer, "vxlan", wanted, why=f"mark {tos}", tos=tos)
            for inside in range(4):
                for outside in range(4):
                    here, there = Side(POD_A.address(family), 80), Side(FAR.address(family), self.new_port())
                    packet = self.inner(there, here, ip_fields={field: 0x28 | inside})
                    packet = self.frame_from_afar(outer, "vxlan", packet, tos=0xB8 | outside)
                    if inside == 0 and outside == 3:
                        self.drop(ROUTER.port, packet, DropReason.CONGESTED)
                        continue
                    mark = 3 if 3 in (inside, outside) else 1 if (inside, outside) == (2, 1) else inside
                    wanted = self.delivered_to(POD_A, there, here, "udp", ip_fields={field: 0x28 | mark})
                    self.pass_through(ROUTER.port, packet, POD_A.port, wanted, f"{inside} inside, {outside} outside")


class FlowsSpreadOverSourcePorts(TunnelTest):
    """Each flow has a source port outside of its own, so that what lies between can share the load, and keeps it."""

    def runTest(self) -> None:
        self.dig(4, "vxlan")
        ports = set()
        for _ in range(20):
            here, there = Side(POD_A.ipv4, self.new_port()), Side(FAR.ipv4, 80)
            seen = set()
            for _ in range(3):
                self.send(POD_A.port, self.sent_by(POD_A, here, there, "udp"))
                wanted = self.inner(here, there, "udp", ttl=63)
                wanted[Ether].src = GATEWAY_MAC
                seen.add(self.expect_tunnelled(4, "vxlan", wanted))
            self.assertEqual(len(seen), 1)
            ports |= seen
        self.assertGreater(len(ports), 15)


class NoTunnelNoWay(TunnelTest):
    """A route to a tunnel that is not there leads nowhere."""

    def runTest(self) -> None:
        match = {"dst_addr": Lpm(address_number(FAR.ipv4), 128)}
        self.client.insert(Entry("route_table", match, "use_tunnel", {"remote_addr": address_number(PEER.ipv4)}))
        packet = self.sent_by(POD_A, Side(POD_A.ipv4, self.new_port()), Side(FAR.ipv4, 80), "udp")
        self.drop(POD_A.port, packet, DropReason.NO_ROUTE)
