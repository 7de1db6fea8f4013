"""A scenario through a switch in memory, every packet judged by the model."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from scapy.layers.inet import ICMP as ICMPv4
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether
from scapy.layers.sctp import SCTP
from scapy.packet import Packet as Frame

from p4switch.native.trace import PacketTrace
from ptf_tests.cluster import Cluster
from ptf_tests.memory import MemoryNode, memory_node
from ptf_tests.model.contract import (
    ECHO_REPLY,
    ECHO_REQUEST,
    ICMP,
    Answer,
    Complaint,
    Contract,
    Delivery,
    Drop,
    FlowKey,
    Outcome,
    Packet,
    Question,
)
from ptf_tests.model.objects import World
from ptf_tests.model.scenarios import Apply, Ask, Complain, Cut, Open, Remove, Reply, Scenario, Send, Step
from ptf_tests.packets import GATEWAY_MAC, Side, echo, icmp_error, pieces, segment

_TRACE_SECONDS = 5.0
_LAYERS = {"tcp": TCP, "udp": UDP, "sctp": SCTP}


class Disagreement(AssertionError):
    """The switch did what the contract does not allow.

    Attributes:
        step: number of the scenario's step.
        packet: what was sent.
        reason: the drop that was counted, "" if there was none.
    """

    def __init__(self, message: str, step: int, packet: Packet | Question | Complaint, reason: str) -> None:
        super().__init__(message)
        self.step = step
        self.packet = packet
        self.reason = reason


class Drive:
    """A scenario on its way through a switch. The entries are what the control plane derives from the scenario's objects."""

    def __init__(self, node: MemoryNode, scenario: Scenario) -> None:
        self._node = node
        self._scenario = scenario
        self._sent: dict[int, Packet] = {}
        target = node.target
        world = World(scenario.node_name, scenario.service_ranges)
        ports = (target.masquerade.first_port, target.masquerade.last_port)
        self.contract = Contract(world, scenario.wiring, ports, target.connections.pickup)
        self.last_frame: tuple[int, bytes] = (0, b"")
        self.packets = 0

    def run(self) -> None:
        """Every step in turn.

        Raises:
            Disagreement: at the first packet that fares otherwise than the contract allows.
        """
        self._node.forget()
        cluster = Cluster(self._node.client, objects=self._scenario.objects)
        try:
            self.contract.apply(self._scenario.objects)
            for number, step in enumerate(self._scenario.steps):
                self._take(step, number, cluster)
        finally:
            cluster.withdraw()

    def _take(self, step: Step, number: int, cluster: Cluster) -> None:
        if isinstance(step, Apply):
            cluster.apply(*step.values)
            self.contract.apply(step.values)
        elif isinstance(step, Remove):
            cluster.remove(*step.values)
            self.contract.remove(step.values)
        elif isinstance(step, Cut):
            self._cut(step, number)
        elif isinstance(step, Complain):
            self._complain(step, number)
        elif isinstance(step, Ask):
            self._ask(step.question, number)
        else:
            packet = self._packet(step)
            if packet is not None:
                self._judge(packet, number)

    def _packet(self, step: Open | Send | Reply) -> Packet | None:
        """The packet of a step; None for one of a flow that has not come so far."""
        if isinstance(step, Open):
            self._sent[step.flow] = step.packet
            return step.packet
        first = self._sent.get(step.flow)
        if first is None:
            return None
        if isinstance(step, Send):
            return Packet(
                first.port, first.src, first.dst, first.protocol, step.flags, first.src_mac, first.dst_mac, first.ttl
            )
        connection = self.contract.connection_of(first)
        if connection is None:
            return None
        src, dst, protocol = connection.reply if connection.original[0] == first.src else connection.original
        host = self._scenario.host_of(src.address)
        return Packet(host.port, src, dst, protocol, step.flags, host.mac, GATEWAY_MAC)

    def _judge(self, packet: Packet, step: int) -> None:
        allowed = self.contract.allowed(packet)
        before = self._node.drops()
        frame = bytes(build_frame(packet))
        self.last_frame = packet.port, frame
        self.packets += 1
        left = self._node.inject(packet.port, frame)
        reason = self._node.drop_of(before)
        for outcome in allowed:
            is_it, seen = self._is(outcome, packet, left, reason)
            if is_it:
                self.contract.saw(packet, outcome, seen)
                return
        raise Disagreement(_story(packet, allowed, left, reason), step, packet, reason)

    def _cut(self, step: Cut, number: int) -> None:
        """Send a packet in fragments, if nothing but its way is open: each must take it, and one of another datagram must not."""
        first = self._sent.get(step.flow)
        flags = "PA" if first is not None and first.protocol == "tcp" else ""
        packet = self._packet(Reply(step.flow, flags) if step.is_reply else Send(step.flow, flags))
        if packet is None or self.contract.connection_of(packet) is None:
            return
        allowed = self.contract.allowed(packet)
        outcome = allowed[0]
        if len(allowed) != 1 or not isinstance(outcome, Delivery) or outcome.src is None:
            return
        sent = pieces(_long_frame(packet), number)
        gateway = self.contract.wiring.gateway_mac
        arrived = Packet(
            outcome.port, outcome.src, outcome.dst, packet.protocol, flags, gateway, outcome.mac, packet.ttl - 1
        )
        wanted = pieces(_long_frame(arrived), number)
        stray = pieces(_long_frame(packet), number + 10_000)[1]
        self._follow(packet, [Drop.because("FRAGMENT_WITHOUT_FIRST")], stray, [], number)
        for place in step.order:
            self._follow(packet, allowed, sent[place], [(outcome.port, bytes(wanted[place]))], number)
        self.contract.saw(packet, outcome)

    def _follow(
        self, packet: Packet, allowed: Sequence[Outcome], frame: Frame, wanted: list[tuple[int, bytes]], number: int
    ) -> None:
        """Send a fragment of a packet; exactly this comes out, or else it is dropped for the reason that is allowed."""
        before = self._node.drops()
        self.last_frame = packet.port, bytes(frame)
        self.packets += 1
        left = self._node.inject(packet.port, bytes(frame))
        reason = self._node.drop_of(before)
        reasons = {reason for outcome in allowed if isinstance(outcome, Drop) for reason in outcome.reasons} or {""}
        if left != wanted or reason not in reasons:
            raise Disagreement(_story(packet, allowed, left, reason), number, packet, reason)

    def _complain(self, step: Complain, number: int) -> None:
        """Send an ICMP error, and judge byte by byte what comes of it."""
        first = self._sent.get(step.flow)
        connection = self.contract.connection_of(first) if first is not None else None
        if connection is None:
            return
        receiver, sender, protocol = connection.reply if step.is_reply else connection.original
        host = self._scenario.host_of(receiver.address)
        if step.is_crafted and protocol != ICMP:
            sender = Side(sender.address, sender.port ^ 1)
        is_routers = step.is_routers and host is self.contract.wiring.router
        src = host.address(6 if ":" in receiver.address else 4) if is_routers else receiver.address
        complaint = Complaint(host.port, host.mac, step.kind, src, (sender, receiver, protocol))
        outcome, sent = self.contract.complained(complaint)
        echo_kind = ECHO_REQUEST if step.is_reply else ECHO_REPLY
        gateway = self.contract.wiring.gateway_mac
        frame = icmp_error(step.kind, src, sender.address, _quote(complaint.received, echo_kind), host.mac, gateway)
        before = self._node.drops()
        self.last_frame = host.port, bytes(frame)
        self.packets += 1
        left = self._node.inject(host.port, bytes(frame))
        reason = self._node.drop_of(before)
        if isinstance(outcome, Delivery):
            assert outcome.src is not None
            ends = outcome.src.address, outcome.dst.address
            wanted = icmp_error(step.kind, *ends, _quote(sent, echo_kind), gateway, outcome.mac, ttl=63)
            is_right = left == [(outcome.port, bytes(wanted))] and not reason
        else:
            is_right = isinstance(outcome, Drop) and not left and reason in outcome.reasons
        if not is_right:
            raise Disagreement(_story(complaint, [outcome], left, reason), number, complaint, reason)

    def _ask(self, question: Question, step: int) -> None:
        """Put a question, and judge the answer byte by byte."""
        outcome = self.contract.asked(question)
        before = self._node.drops()
        request, reply = build_question(question, self.contract.wiring.gateway_mac)
        self.packets += 1
        left = self._node.inject(question.port, bytes(request))
        reason = self._node.drop_of(before)
        if isinstance(outcome, Answer):
            is_right = left == [(question.port, bytes(reply))] and not reason
        else:
            is_right = isinstance(outcome, Drop) and not left and reason in outcome.reasons
        if not is_right:
            raise Disagreement(_story(question, [outcome], left, reason), step, question, reason)

    def _is(
        self, outcome: Outcome, packet: Packet, left: Sequence[tuple[int, bytes]], reason: str
    ) -> tuple[bool, Side | None]:
        """Whether what came out is this outcome; and what a masqueraded packet left as."""
        if isinstance(outcome, Drop):
            return not left and reason in outcome.reasons, None
        if len(left) != 1:
            return False, None
        ((port, frame),) = left
        if isinstance(outcome, Answer):
            return port == packet.port and reason == outcome.reason and is_answer(frame, packet), None
        src = outcome.src
        if src is None:
            src = _source_of(frame, packet)
            if src is None or not self.contract.is_masquerade(packet, src, outcome.dst):
                return False, None
        wanted = build_frame(
            Packet(
                outcome.port,
                src,
                outcome.dst,
                packet.protocol,
                packet.flags,
                self.contract.wiring.gateway_mac,
                outcome.mac,
                packet.ttl - 1,
            )
        )
        return not reason and (port, frame) == (outcome.port, bytes(wanted)), src


def build_frame(packet: Packet) -> Frame:
    """The frame of a packet, with the content that all of the model's packets have."""
    if packet.protocol == ICMP:
        is_reply = packet.flags == "reply"
        number = packet.dst.port if is_reply else packet.src.port
        src, dst = packet.src.address, packet.dst.address
        return echo(src, dst, packet.src_mac, packet.dst_mac, number, reply=is_reply, ttl=packet.ttl)
    flags = packet.flags or "S"
    return segment(
        packet.src,
        packet.dst,
        packet.protocol,  # type: ignore[arg-type]
        packet.src_mac,
        packet.dst_mac,
        ttl=packet.ttl,
        flags=flags,
    )


def _long_frame(packet: Packet) -> Frame:
    """The frame of a TCP or UDP packet that is long enough for `pieces`."""
    macs = packet.src_mac, packet.dst_mac
    flags, payload = packet.flags or "S", bytes(range(250))
    return segment(packet.src, packet.dst, packet.protocol, *macs, ttl=packet.ttl, flags=flags, payload=payload)  # type: ignore[arg-type]


def _quote(flow: FlowKey, echo_kind: str) -> bytes:
    """What an error quotes of a packet: all of it; of SCTP no more than must be, since a router does not touch the checksum behind."""
    src, dst, protocol = flow
    flags = {ICMP: echo_kind, "udp": ""}.get(protocol, "A")
    packet = bytes(build_frame(Packet(0, src, dst, protocol, flags, GATEWAY_MAC, GATEWAY_MAC, 63)))[14:]
    return packet[: (48 if ":" in src.address else 28)] if protocol == "sctp" else packet


def build_question(question: Question, mac: str) -> tuple[Frame, Frame]:
    """An ARP request or a neighbour solicitation, and the answer that `mac` has the address (RFC 826, RFC 4861)."""
    if ":" not in question.target:
        broadcast = Ether(src=question.mac, dst="ff:ff:ff:ff:ff:ff")
        request = broadcast / ARP(op=1, hwsrc=question.mac, psrc=question.src, pdst=question.target)
        reply = ARP(op=2, hwsrc=mac, psrc=question.target, hwdst=question.mac, pdst=question.src)
        return request, Ether(src=mac, dst=question.mac) / reply
    packet = Ether(src=question.mac, dst="33:33:ff:00:00:01") / IPv6(src=question.src, dst="ff02::1:ff00:1", hlim=255)
    packet /= ICMPv6ND_NS(tgt=question.target) / ICMPv6NDOptSrcLLAddr(lladdr=question.mac)
    answer = IPv6(src=question.target, dst=question.src, hlim=255) / ICMPv6ND_NA(tgt=question.target, R=1, S=1, O=1)
    return packet, Ether(src=mac, dst=question.mac) / answer / ICMPv6NDOptDstLLAddr(lladdr=mac)


def is_answer(frame: bytes, packet: Packet) -> bool:
    """Whether a frame tells the sender of a packet that it was refused: from whom he asked, with correct checksums."""
    got = Ether(frame)
    ip = got[IPv6] if got.haslayer(IPv6) else got[IP]
    if got.dst != packet.src_mac or ip.dst != packet.src.address or not _has_right_checksums(got):
        return False
    if packet.ttl <= 1:
        return bool(got.haslayer(ICMPv6TimeExceeded) or (got.haslayer(ICMPv4) and got[ICMPv4].type == 11))
    if ip.src != packet.dst.address:
        return False
    if packet.protocol == "tcp":
        ports = got.haslayer(TCP) and (got[TCP].sport, got[TCP].dport) == (packet.dst.port, packet.src.port)
        return bool(ports and got[TCP].flags.R)
    if got.haslayer(ICMPv6DestUnreach):
        return bool(got[ICMPv6DestUnreach].code == 4)
    return bool(got.haslayer(ICMPv4) and (got[ICMPv4].type, got[ICMPv4].code) == (3, 3))


def _has_right_checksums(got: Frame) -> bool:
    again = got.copy()
    for layer in (IP, TCP, ICMPv4):
        if again.haslayer(layer):
            del again[layer].chksum
    if again.haslayer(ICMPv6DestUnreach):
        del again[ICMPv6DestUnreach].cksum
    return bool(bytes(again) == bytes(got))


def _source_of(frame: bytes, packet: Packet) -> Side | None:
    got = Ether(frame)
    layer = _LAYERS.get(packet.protocol)
    ip = IPv6 if got.haslayer(IPv6) else IP
    if layer is None or not got.haslayer(layer) or not got.haslayer(ip):
        return None
    return Side(got[ip].src, got[layer].sport)


# -- what went wrong


def _story(
    packet: Packet | Question | Complaint, allowed: Sequence[Outcome], left: Sequence[tuple[int, bytes]], reason: str
) -> str:
    lines = [f"sent    {packet}", "allowed " + "\n        ".join(map(str, allowed)), f"dropped {reason or 'not'}"]
    lines += [f"left    port {port}: {Ether(frame).summary()}\n        {frame.hex()}" for port, frame in left]
    return "\n".join(lines)


def smallest(node: MemoryNode, scenario: Scenario, found: Disagreement) -> tuple[Scenario, Disagreement]:
    """A scenario that is as small as leaving out steps and objects makes it, with the same packet dropped for the same reason."""
    last = scenario.steps[found.step]
    scenario = scenario.until(found.step)
    for flow in scenario.flows():
        if not isinstance(last, Apply | Remove) and flow != last.flow:
            scenario, found = _try(node, scenario, scenario.without_flow(flow), found)
    for step in scenario.steps[:-1]:
        scenario, found = _try(node, scenario, scenario.without_step(step), found)
    for value in scenario.objects:
        scenario, found = _try(node, scenario, scenario.without_object(value), found)
    return scenario, found


def _try(node: MemoryNode, scenario: Scenario, smaller: Scenario, found: Disagreement) -> tuple[Scenario, Disagreement]:
    try:
        Drive(node, smaller).run()
    except Disagreement as again:
        if (again.packet, again.reason) == (found.packet, found.reason):
            return smaller.until(again.step), again
    return scenario, found


def explain(node: MemoryNode, scenario: Scenario, found: Disagreement) -> str:
    """The whole story of a disagreement: the objects, the steps, what was allowed and seen, and the packet's way through the pipeline."""
    smaller, again = smallest(node, scenario, found)
    lines = [f"seed {scenario.seed}, reduced to:"]
    lines += [json.dumps(value) for value in smaller.objects]
    lines += [str(step) for step in smaller.steps]
    return "\n".join([*lines, str(again), trace_of(node, smaller)])


def trace_of(node: MemoryNode, scenario: Scenario) -> str:
    """What the last packet of a scenario meets in the pipeline."""
    traces: list[PacketTrace] = []
    with memory_node(node.pipeline, traces.append) as traced:
        drive = Drive(traced, scenario)
        with contextlib.suppress(Disagreement):
            drive.run()
        deadline = time.monotonic() + _TRACE_SECONDS
        while len(traces) < drive.packets and time.monotonic() < deadline:
            time.sleep(0.01)
    return _shortened(traces[-1]) if traces else "no trace"


def _shortened(trace: PacketTrace) -> str:
    """The tables that were asked and how it ended; the program's own steps in between say little."""
    kept = [step for step in trace.steps if step.what != "condition" and not step.name.startswith("tbl_")]
    return replace(trace, steps=tuple(kept)).to_text()


def every(node: MemoryNode, scenarios: Iterable[Scenario]) -> int:
    """Drive all the scenarios; how many flows they had.

    Raises:
        Disagreement: with the whole story of the first that goes wrong.
    """
    flows = 0
    for scenario in scenarios:
        try:
            Drive(node, scenario).run()
        except Disagreement as found:
            raise Disagreement(explain(node, scenario, found), found.step, found.packet, found.reason) from None
        flows += len(scenario.flows())
    return flows
