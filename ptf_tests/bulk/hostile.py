"""A hostile sender harms only itself: spoofed sources, floods, collisions, fragments, and a table that is full."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

from scapy.layers.inet import IP, fragment
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw

from kulvert.targets import Target, load_target
from ptf_tests.base import POD_A, POD_B, POD_C, REMOTE, ROUTER, VIP
from ptf_tests.bulk.base import BulkTest, Stream
from ptf_tests.client import Entry
from ptf_tests.cluster import endpoint, endpoint_slice, network_policy, service
from ptf_tests.hashing import flows_of_one_set
from ptf_tests.packets import FAMILIES, PROTOCOL_NUMBER, Family, Host, Protocol, Side

_WAYS = 8


class HostileTest(BulkTest):
    """Pod a is hostile; b and c talk to one another, and to a Service of theirs."""

    def serve(self) -> None:
        """A Service at port 80 with c behind it."""
        self.cluster.apply(service(list(VIP.values()), [{"name": "p", "port": 80}]))
        for family in FAMILIES:
            target = {"name": "p", "port": 8080}
            self.cluster.apply(endpoint_slice(family, [endpoint(POD_C, family)], [target]))

    def opens(self, client: Host, server: Host, src: Side, dst: Side, protocol: Protocol = "tcp") -> None:
        """A connection opens, is answered and carries data, every packet as it must be."""
        for is_answer, flags in ((False, "S"), (True, "SA"), (False, "A"), (True, "PA")):
            sender, receiver = (server, client) if is_answer else (client, server)
            ends = (dst, src) if is_answer else (src, dst)
            sent = self.sent_by(sender, *ends, protocol, flags=flags)
            wanted = self.delivered_to(receiver, *ends, protocol, flags=flags)
            self.assertEqual(self.only(sender.port, bytes(sent)), (receiver.port, bytes(wanted)), flags)

    def goes_on(self, client: Host, server: Host, src: Side, dst: Side) -> None:
        """An established connection carries data both ways."""
        for sender, receiver, ends in ((client, server, (src, dst)), (server, client, (dst, src))):
            sent = self.sent_by(sender, *ends, "tcp", flags="PA")
            wanted = self.delivered_to(receiver, *ends, "tcp", flags="PA")
            self.assertEqual(self.only(sender.port, bytes(sent)), (receiver.port, bytes(wanted)))


class SpoofedSourcesLeaveNothingBehind(HostileTest):
    """10,000 packets with made-up sources: all dropped, and no connection, client or place is taken by any of them."""

    def runTest(self) -> None:
        self.serve()
        rng = random.Random(5)
        before = self.node.drops()
        count = 0
        for family in FAMILIES:
            for number in range(50):
                victim = POD_B.address(family) if number == 0 else _made_up(rng, family)
                stream = Stream(self, POD_A, victim, Side(VIP[family], 80), "tcp")
                for sport in rng.sample(range(1, 65536), 100):
                    self.assertEqual(self.inject(POD_A.port, stream.frame(sport)), [])
                    count += 1
        self.assertEqual(self.drops_since(before), {"SPOOFED_ADDRESS": count})
        self.assertEqual(self.connections_held(), 0)
        src, dst = Side(POD_A.ipv4, 4000), Side(POD_C.ipv4, 80)
        wrong_mac = self.sent_by(replace(POD_A, mac=POD_B.mac), src, dst, "tcp")
        before = self.node.drops()
        self.assertEqual(self.inject(POD_A.port, bytes(wrong_mac)), [])
        self.assertEqual(self.drops_since(before), {"SPOOFED_MAC": 1})


class SynFloodFillsItsOwnShare(HostileTest):
    """A pod that floods has its share of unanswered connections and no more; others' new connections and its own old ones live."""

    def runTest(self) -> None:
        self.serve()
        mine = Side(POD_A.ipv4, 1000), Side(POD_B.ipv4, 80)
        self.opens(POD_A, POD_B, *mine)
        old = [(Side(POD_B.ipv4, 30000 + number), Side(POD_C.ipv4, 80)) for number in range(100)]
        for flow in old:
            self.opens(POD_B, POD_C, *flow)
        before = self.node.drops()
        passed = 0
        limit = self.target.connections.unanswered_limit
        for dport in (80, 81):
            stream = Stream(self, POD_A, POD_A.ipv4, Side(POD_C.ipv4, dport), "tcp")
            for sport in range(1024, 1024 + 3 * limit):
                passed += len(self.inject(POD_A.port, stream.frame(sport)))
        self.assertLessEqual(passed, 2 * limit)
        dropped = self.drops_since(before)
        self.assertEqual(set(dropped) - {"CONNECTIONS_FULL"}, {"UNANSWERED_LIMIT"}, dropped)
        self.assertGreater(dropped["UNANSWERED_LIMIT"], 3 * limit)
        for family in FAMILIES:
            for number in range(100):
                src = Side(POD_B.address(family), 20000 + number)
                self.opens(POD_B, POD_C, src, Side(POD_C.address(family), 80))
        for flow in old:
            self.goes_on(POD_B, POD_C, *flow)
        self.goes_on(POD_A, POD_B, *mine)


class CollidingConnectionsEvictNobodyAnswered(HostileTest):
    """Who knew the hash's key could fill one set with unanswered connections: answered ones stay, new ones take the flood's places."""

    def runTest(self) -> None:
        bits = self.target.connections.set_bits
        flows = list(_some(flows_of_one_set(POD_B.ipv4, POD_C.ipv4, PROTOCOL_NUMBER["tcp"], bits), 3))
        flood = list(_some(flows_of_one_set(POD_A.ipv4, POD_C.ipv4, PROTOCOL_NUMBER["tcp"], bits), 40))
        self.opens(POD_B, POD_C, *flows[0])
        self.flood(flood)
        self.goes_on(POD_B, POD_C, *flows[0])
        for flow in flows[1:]:
            self.opens(POD_B, POD_C, *flow)
            self.flood(flood)
        for flow in flows:
            self.goes_on(POD_B, POD_C, *flow)

    def flood(self, flood: list[tuple[Side, Side]]) -> int:
        """Open all of them; how many passed."""
        return sum(len(self.inject(POD_A.port, bytes(self.sent_by(POD_A, *flow, "tcp")))) for flow in flood)


class CollisionsAreGoneWithTheKey(HostileTest):
    """The same flood, answered, fills a set under the key that it was made for, and nothing under another: nobody can choose whom to meet."""

    def runTest(self) -> None:
        bits = self.target.connections.set_bits
        flood = list(_some(flows_of_one_set(POD_A.ipv4, POD_B.ipv4, PROTOCOL_NUMBER["tcp"], bits), 40))
        self.assertLessEqual(self.answered(flood), _WAYS)
        self.node.forget()
        rng = random.Random(9)
        words = {f"word_{number}": rng.getrandbits(64) for number in range(10)}
        self.set_key(words | {"start": rng.getrandbits(64)})
        self.assertEqual(self.answered(flood), len(flood))

    def answered(self, flood: list[tuple[Side, Side]]) -> int:
        """Open, answer and confirm all of them; how many are let in."""
        found = 0
        for src, dst in flood:
            if self.inject(POD_A.port, bytes(self.sent_by(POD_A, src, dst, "tcp"))):
                found += 1
                self.only(POD_B.port, bytes(self.sent_by(POD_B, dst, src, "tcp", flags="SA")))
                self.only(POD_A.port, bytes(self.sent_by(POD_A, src, dst, "tcp", flags="A")))
        return found

    def set_key(self, words: dict[str, int]) -> None:
        """Give the switch another secret."""
        self.client.modify_default(Entry("hash_key_table", {}, "set_hash_key", words))


class FragmentsHideNothing(HostileTest):
    """Fragments that overlap or leave the ports out of the first one bring no forbidden packet to an isolated pod."""

    def runTest(self) -> None:
        allowed, forbidden = 80, 22
        self.cluster.apply(network_policy("only-80", {"pod": "b"}, ingress=[{"ports": [{"port": allowed}]}]))
        source = Side(POD_A.ipv4, 5000)
        whole = self.sent_by(POD_A, source, Side(POD_B.ipv4, forbidden), "tcp", payload=bytes(64))
        head = whole.copy()
        head[IP].remove_payload()
        transport = bytes(whole[IP].payload)
        harmless = bytes(self.sent_by(POD_A, source, Side(POD_B.ipv4, allowed), "tcp", payload=bytes(64))[IP].payload)

        def piece(offset: int, content: bytes, more: bool) -> bytes:
            packet = head / Raw(content)
            packet[IP].id, packet[IP].frag, packet[IP].flags = 77, offset, "MF" if more else 0
            del packet[IP].len, packet[IP].chksum
            return bytes(packet)

        attacks = {
            "the ports of the first are overwritten": [piece(0, harmless[:24], True), piece(0, transport[:24], True)],
            "a tiny first one": [piece(0, transport[:8], True), piece(1, transport[8:], False)],
            "the second overlaps the first's end": [piece(0, harmless[:24], True), piece(1, transport[8:], False)],
            "the later one comes first": [piece(3, transport[24:], False), piece(0, transport[:24], True)],
        }
        for name, frames in attacks.items():
            for frame in frames:
                for port, out in self.inject(POD_A.port, frame):
                    got = IP(out[14:])
                    starts = got.frag == 0
                    dport = int.from_bytes(bytes(got.payload)[2:4], "big")
                    self.assertFalse(port == POD_B.port and starts and dport == forbidden, name)
        for item in _pieces(self.sent_by(POD_A, source, Side(POD_B.ipv4, forbidden), "udp", payload=bytes(3000))):
            for port, _ in self.inject(POD_A.port, bytes(item)):
                self.assertNotEqual(port, POD_B.port, "nothing of a forbidden datagram")
        packet = self.sent_by(POD_A, Side(POD_A.ipv6, 5000), Side(POD_B.ipv6, forbidden), "tcp")
        packet[IPv6].nh = 44
        self.assertNotIn(POD_B.port, [port for port, _ in self.inject(POD_A.port, bytes(packet))])


@dataclass
class _Flow:
    """A flow of the churn, and whether policy lets it in."""

    client: Host
    server: Host
    src: Side
    dst: Side
    is_allowed: bool


class FullTableUnderChurn(HostileTest):
    """A table that is always full, with connections that come and go: nothing forbidden passes, no answered connection is lost,
    and what is turned away is turned away for want of room alone.
    """

    rounds: ClassVar[int] = 4000

    @classmethod
    def profile(cls) -> Target:
        return replace(load_target("small"), timeouts=load_target("native").timeouts)

    def runTest(self) -> None:
        self.cluster.apply(network_policy("c", {"pod": "c"}, ingress=[{"ports": [{"port": 80}]}]))
        rng = random.Random(3)
        live: list[_Flow] = []
        told: Counter[str] = Counter()
        for number in range(self.rounds):
            if live and rng.random() < 0.5:
                self.use(rng.choice(live), live, rng, told)
            else:
                self.open(self.new_flow(rng, number), live, told)
        self.assertGreater(told["full"], self.rounds // 20, f"the table was never full: {told}")
        self.assertGreater(told["forbidden"], self.rounds // 20, told)
        self.assertGreater(told["used"], self.rounds // 10, told)

    def new_flow(self, rng: random.Random, number: int) -> _Flow:
        family = rng.choice(FAMILIES)
        client, server = rng.choice(((POD_A, POD_C), (POD_B, POD_C), (REMOTE, POD_C), (POD_A, POD_B)))
        port = rng.choice((80, 80, 22))
        src = Side(client.address(family), 1024 + number % 64000)
        return _Flow(client, server, src, Side(server.address(family), port), server is not POD_C or port == 80)

    def open(self, flow: _Flow, live: list[_Flow], told: Counter[str]) -> None:
        """The first packet, and the answer to it."""
        before = self.node.drops()
        left = self.inject(flow.client.port, bytes(self.sent_by(flow.client, flow.src, flow.dst, "tcp")))
        dropped = set(self.drops_since(before))
        if not flow.is_allowed:
            self.assertEqual((left, dropped), ([], {"INGRESS_POLICY"}), f"{flow}")
            told["forbidden"] += 1
        elif left:
            wanted = self.delivered_to(flow.server, flow.src, flow.dst, "tcp")
            self.assertEqual(left, [(flow.server.port, bytes(wanted))])
            self.answer(flow, "SA")
            live.append(flow)
            self.send_data(flow, "A")
        else:
            self.assertIn(dropped, ({"CONNECTIONS_FULL"}, {"CONNECTION_CONFLICT"}, {"UNANSWERED_LIMIT"}), f"{flow}")
            told["full"] += 1

    def use(self, flow: _Flow, live: list[_Flow], rng: random.Random, told: Counter[str]) -> None:
        """Data of an answered connection, or its end."""
        ends = rng.random() < 0.3
        self.send_data(flow, "RA" if ends else "PA")
        told["used"] += 1
        if ends:
            live.remove(flow)
        elif rng.random() < 0.5:
            self.answer(flow, "PA")

    def send_data(self, flow: _Flow, flags: str) -> None:
        """A packet of the client's arrives."""
        packet = self.sent_by(flow.client, flow.src, flow.dst, "tcp", flags=flags)
        wanted = self.delivered_to(flow.server, flow.src, flow.dst, "tcp", flags=flags)
        self.assertEqual(self.inject(flow.client.port, bytes(packet)), [(flow.server.port, bytes(wanted))], f"{flow}")

    def answer(self, flow: _Flow, flags: str) -> None:
        """The other side's packet comes back."""
        client = ROUTER if flow.client is REMOTE else flow.client
        packet = self.sent_by(flow.server, flow.dst, flow.src, "tcp", flags=flags)
        wanted = self.delivered_to(client, flow.dst, flow.src, "tcp", flags=flags)
        self.assertEqual(self.inject(flow.server.port, bytes(packet)), [(client.port, bytes(wanted))], f"{flow}")


def _pieces(packet: Packet) -> list[Packet]:
    """The fragments of a packet."""
    return list(fragment(packet))  # type: ignore[no-untyped-call]


def _made_up(rng: random.Random, family: Family) -> str:
    if family == 4:
        return f"198.51.{rng.randrange(256)}.{rng.randrange(1, 255)}"
    return f"2001:db8:{rng.randrange(1, 65536):x}::{rng.randrange(1, 65536):x}"


def _some(flows: object, count: int) -> list[tuple[Side, Side]]:
    return [flow for flow, _ in zip(flows, range(count), strict=False)]  # type: ignore[call-overload]
