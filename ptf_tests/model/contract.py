"""What may become of a packet: the contract as a whole, with the connections and the clients that it has to remember.

`Contract.allowed` says what may happen to a packet, `Contract.saw` takes note of what did. Time does not pass in the model: whoever drives it
must be done before the shortest timeout. Where the contract leaves a choice to the switch (which endpoint, which port a masquerade takes),
every choice is allowed, and the one seen is held against it from then on.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field

from ptf_tests.model.objects import Value, World, family_of, holds
from ptf_tests.model.policies import Attempt, Policies
from ptf_tests.model.services import Chosen, Discarded, Refused, ServicePort, Services, Source
from ptf_tests.packets import Host, Side

ICMP = "icmp"
OPENS = "S"
PLAIN = ("A", "PA")
"""Flags of segments that say nothing about the connection; data chunks of SCTP."""
ENDS = "FA"
ABORTS = "RA"
ECHO_REQUEST, ECHO_REPLY = "request", "reply"


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet as a sender puts it on a port's wire.

    Attributes:
        src: its port is the identifier of an echo request; of the answer's, `dst`'s is. The other one is 0.
        protocol: tcp, udp, sctp or icmp (ICMPv6 with IPv6 addresses).
        flags: of TCP; of SCTP the chunk that does what they do; of ICMP "request" or "reply"; of UDP "".
    """

    port: int
    src: Side
    dst: Side
    protocol: str
    flags: str
    src_mac: str
    dst_mac: str
    ttl: int = 64


@dataclass(frozen=True, slots=True)
class Question:
    """Who has an address: an ARP request for an IPv4 one, a neighbour solicitation for an IPv6 one."""

    port: int
    mac: str
    src: str
    target: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """It leaves on a port, to a MAC, with these addresses. `src` None: the node's own address, and any port of the masquerade's."""

    port: int
    mac: str
    src: Side | None
    dst: Side


@dataclass(frozen=True, slots=True)
class Answer:
    """The sender is told: by a reset or "port unreachable", or that the packet has come too far; or his question is answered.

    `reason` is the name of the drop that is counted for it, "" if none is.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Nothing comes out. Any of the reasons may be the one counted."""

    reasons: frozenset[str]

    @classmethod
    def because(cls, *reasons: str) -> Drop:
        return cls(frozenset(reasons))


Outcome = Delivery | Answer | Drop

FlowKey = tuple[Side, Side, str]


@dataclass(frozen=True, slots=True)
class Complaint:
    """An ICMP error as its sender puts it on a port's wire.

    Attributes:
        src: who complains: the receiver of the packet that it is about, or a router on the way to him.
        received: that packet, as it came to him.
    """

    port: int
    src_mac: str
    kind: str
    src: str
    received: FlowKey


@dataclass(slots=True)
class Connection:
    """A connection that was let in.

    Attributes:
        original: the five-tuple of the side that opened it, as it sends.
        reply: that of the other side, as it sends.
        service: the Service port that it came through, or None.
    """

    original: FlowKey
    reply: FlowKey
    service: ServicePort | None
    is_answered: bool = False
    ended: set[bool] = field(default_factory=set)
    is_aborted: bool = False

    @property
    def is_over(self) -> bool:
        return self.is_aborted or len(self.ended) == 2


@dataclass(frozen=True, slots=True)
class _Found:
    """What a new connection would become: where to, as whom, through what."""

    outcome: Outcome
    seen: Side | None = None
    endpoint: Side | None = None
    service: ServicePort | None = None
    affinity_seconds: int = 0


@dataclass(frozen=True)
class Wiring:
    """Which port leads where.

    Attributes:
        pods: local pods by name of the pod.
        routes: ranges that the router takes, beside the other nodes' addresses and pod ranges.
        neighbors: what ARP and neighbour discovery are answered for.
    """

    gateway_mac: str
    pods: dict[str, Host]
    node: Host
    router: Host
    routes: tuple[str, ...]
    neighbors: tuple[str, ...]


class Contract:
    """The contract for one node's data plane.

    Args:
        masquerade_ports: first and last port that a masquerade may take.
        picks_up: whether a plain TCP segment without a connection may open one.
    """

    def __init__(self, world: World, wiring: Wiring, masquerade_ports: tuple[int, int], picks_up: bool) -> None:
        self.world = world
        self.wiring = wiring
        self._masquerade_ports = masquerade_ports
        self._picks_up = picks_up
        self._routes = [ipaddress.ip_network(text) for text in wiring.routes]
        self._connections: dict[FlowKey, Connection] = {}
        self._clients: dict[tuple[str, ServicePort], Side] = {}
        self._read()

    def apply(self, values: Sequence[Value]) -> None:
        """Objects that are new or changed."""
        self.world.apply(values)
        self._read()

    def remove(self, values: Sequence[Value]) -> None:
        """Objects that are gone."""
        self.world.remove(values)
        self._read()

    def _read(self) -> None:
        self._services = Services(self.world)
        self._policies = Policies(self.world)

    def connection_of(self, packet: Packet) -> Connection | None:
        """The connection that a packet belongs to."""
        return self._connections.get(_key(packet))

    # -- what may happen

    def allowed(self, packet: Packet) -> list[Outcome]:
        """Everything that may become of a packet now."""
        refusals = self._admission(packet)
        if refusals:
            tired: list[Outcome] = [Answer("TTL_EXCEEDED")] if refusals == {"TTL_EXCEEDED"} else []
            return [Drop(frozenset(refusals)), *tired]
        connection = self._connections.get(_key(packet))
        if connection is None:
            return [found.outcome for found in self._new(packet)]
        is_reply = _key(packet) == connection.reply
        if packet.protocol in ("tcp", "sctp"):
            if packet.flags == OPENS and (connection.is_over or not (is_reply or connection.is_answered)):
                return [found.outcome for found in self._new(packet)]
            return [self._follow(connection, is_reply)]
        if connection.service is not None:
            other = connection.reply if not is_reply else connection.original
            endpoint = other[0] if not is_reply else packet.src
            if endpoint not in self._services.serving(connection.service):
                if is_reply:
                    return [Drop.because("STALE_CONNECTION")]
                return [found.outcome for found in self._new(packet)]
        elif packet.protocol == "udp" and not is_reply and not connection.is_answered:
            # Nobody has answered and no Service had a say: it may be decided anew, so that a new Service gets it.
            return [self._follow(connection, is_reply), *(found.outcome for found in self._new(packet))]
        return [self._follow(connection, is_reply)]

    def asked(self, question: Question) -> Outcome:
        """What becomes of a question: the pipeline answers for its own addresses, and passes none on."""
        pod, wiring = self._pod_behind(question.port), self.wiring
        is_attached = question.port in (wiring.node.port, wiring.router.port)
        if pod is not None:
            is_attached = any(wiring.pods.get(info.name) is pod for info in self.world.pods)
        if not is_attached:
            return Drop.because("UNKNOWN_PORT")
        return Answer("") if question.target in wiring.neighbors else Drop.because("NEIGHBOR_UNKNOWN")

    def complained(self, complaint: Complaint) -> tuple[Outcome, FlowKey]:
        """What becomes of an ICMP error, whatever policy says; and the packet that it is about, as its sender had sent it."""
        src, dst, protocol = complaint.received
        refusals = self._admission(
            Packet(
                complaint.port,
                Side(complaint.src, 0),
                Side(src.address, 0),
                ICMP,
                "",
                complaint.src_mac,
                self.wiring.gateway_mac,
            )
        )
        if refusals:
            return Drop(frozenset(refusals)), complaint.received
        connection = self._connections.get((dst, src, protocol))
        if connection is None:
            return Drop.because("UNRELATED_ERROR"), complaint.received
        sent = connection.original if (dst, src, protocol) == connection.reply else connection.reply
        seen = sent[1].address if complaint.src == dst.address else complaint.src
        return self._send(Side(seen, 0), sent[0]), sent

    def _admission(self, packet: Packet) -> set[str]:
        """Why a packet may not come in at all."""
        reasons: set[str] = set()
        wiring, here = self.wiring, self.world.here
        pod = self._pod_behind(packet.port)
        if pod is not None:
            known = next((info for info in self.world.pods if wiring.pods.get(info.name) is pod), None)
            if known is None:
                return {"UNKNOWN_PORT"}
            if packet.src.address not in known.addresses:
                reasons.add("SPOOFED_ADDRESS")
            if packet.src_mac != pod.mac:
                reasons.add("SPOOFED_MAC")
        elif packet.port == wiring.router.port:
            if self.world.local_pod_at(packet.src.address) or packet.src.address in here.addresses:
                reasons.add("SPOOFED_ADDRESS")
        elif packet.port != wiring.node.port:
            reasons.add("UNKNOWN_PORT")
        if packet.dst_mac != wiring.gateway_mac:
            reasons.add("FOREIGN_MAC")
        src, dst = ipaddress.ip_address(packet.src.address), ipaddress.ip_address(packet.dst.address)
        if src == dst or src.is_loopback or dst.is_loopback or src.is_multicast or src.is_unspecified:
            reasons.add("MARTIAN")
        if dst.is_multicast:
            reasons.add("MULTICAST")
        if packet.ttl <= 1:
            reasons.add("TTL_EXCEEDED")
        return reasons

    def _pod_behind(self, port: int) -> Host | None:
        return next((host for host in self.wiring.pods.values() if host.port == port), None)

    def _follow(self, connection: Connection, is_reply: bool) -> Outcome:
        """A packet of a connection takes its way, translated as the connection is: as the other side expects it."""
        other = connection.original if is_reply else connection.reply
        return self._send(other[1], other[0])

    def _send(self, src: Side | None, dst: Side) -> Outcome:
        hop = self._next_hop(dst.address)
        return Drop.because("NO_ROUTE") if hop is None else Delivery(hop.port, hop.mac, src, dst)

    def _next_hop(self, address: str) -> Host | None:
        pod = self.world.local_pod_at(address)
        if pod is not None:
            return self.wiring.pods[pod.name]
        if address in self.world.here.addresses:
            return self.wiring.node
        others = [node for node in self.world.nodes if node is not self.world.here]
        is_known = any(address in node.addresses or any(holds(r, address) for r in node.pod_ranges) for node in others)
        if is_known or any(holds(network, address) for network in self._routes):
            return self.wiring.router
        return None

    # -- new connections

    def _new(self, packet: Packet) -> list[_Found]:
        if packet.protocol == ICMP:
            if packet.flags != ECHO_REQUEST:
                return [_Found(Drop.because("NOT_IN_CONNECTION"))]
        elif packet.protocol != "udp" and packet.flags != OPENS and (packet.flags not in PLAIN or not self._picks_up):
            return [_Found(Drop.because("NOT_IN_CONNECTION"))]
        decision = self._services.decide(packet.src.address, self._source(packet), packet.dst, packet.protocol)
        if isinstance(decision, Refused):
            # Whether an echo request is told so, too, is nowhere said.
            silent = [_Found(Drop.because(decision.reason))] if packet.protocol == ICMP else []
            return [_Found(Answer(decision.reason)), *silent]
        if isinstance(decision, Discarded):
            return [_Found(Drop.because(decision.reason))]
        if not isinstance(decision, Chosen):
            return self._admit(packet, _Found(self._send(packet.src, packet.dst), packet.src, packet.dst))
        sides = decision.sides
        remembered = self._clients.get((packet.src.address, decision.port))
        if decision.affinity_seconds and remembered in sides and remembered is not None:
            sides = frozenset({remembered})
        found: list[_Found] = []
        for endpoint in sorted(sides, key=lambda side: (side.address, side.port)):
            found += self._admit(packet, self._translated(packet, endpoint, decision))
        return found

    def _source(self, packet: Packet) -> Source:
        if self._pod_behind(packet.port) is not None:
            return Source.POD
        if packet.src.address in self.world.here.addresses:
            return Source.NODE
        ranges = [network for node in self.world.nodes for network in node.pod_ranges]
        return Source.POD if any(holds(network, packet.src.address) for network in ranges) else Source.EXTERNAL

    def _translated(self, packet: Packet, endpoint: Side, decision: Chosen) -> _Found:
        seen: Side | None = packet.src
        if endpoint.address == packet.src.address:
            seen = Side(packet.dst.address, packet.src.port)  # hairpin: it hears from the address that it asked for
        elif decision.is_masqueraded:
            node = self.world.here.primary(family_of(endpoint.address))
            if node is None:
                return _Found(Drop.because("NO_MASQUERADE_ADDRESS"), None, endpoint)
            seen = packet.src if endpoint.address == node else None  # the node's own endpoint sees who comes
        outcome = self._send(seen, endpoint)
        return _Found(outcome, seen, endpoint, decision.port, decision.affinity_seconds)

    def _admit(self, packet: Packet, found: _Found) -> list[_Found]:
        """What policy makes of it, and other connections that would have the same answers."""
        if found.endpoint is None or found.outcome == Drop.because("NO_ROUTE"):
            return [found]
        protocol = packet.protocol.upper()
        is_from_pod = self._pod_behind(packet.port) is not None
        attempt = Attempt(packet.src.address, found.endpoint.address, protocol, found.endpoint.port, is_from_pod)
        refusal = self._policies.refusal(attempt)
        if refusal:
            return [_Found(Drop.because(refusal))]
        if found.seen is not None and (found.endpoint, found.seen, packet.protocol) in self._connections:
            return [found, _Found(Drop.because("CONNECTION_CONFLICT"))]
        return [found]

    # -- what did happen

    def saw(self, packet: Packet, outcome: Outcome, seen: Side | None = None) -> None:
        """One of the allowed outcomes has come about; `seen` is what a masqueraded packet left as."""
        if self._admission(packet):
            return
        key = _key(packet)
        connection = self._connections.get(key)
        is_new = connection is None or outcome != self._follow(connection, key == connection.reply)
        if connection is not None and (is_new or self._reopens(connection, packet)):
            self._connections.pop(connection.original, None)
            self._connections.pop(connection.reply, None)
            connection = None
        if not isinstance(outcome, Delivery):
            return
        if connection is None:
            source = outcome.src if outcome.src is not None else seen
            assert source is not None
            found = [item for item in self._new(packet) if item.outcome == outcome]
            self._open(packet, source, outcome.dst, found)
            return
        if packet.protocol in ("tcp", "sctp"):
            if packet.flags == ABORTS:
                connection.is_aborted = True
            elif packet.flags == ENDS and (connection.is_answered or key == connection.reply):
                connection.ended.add(key == connection.reply)
        if key == connection.reply:
            connection.is_answered = True

    def _reopens(self, connection: Connection, packet: Packet) -> bool:
        is_reply = _key(packet) == connection.reply
        unanswered = not (is_reply or connection.is_answered)
        return packet.protocol in ("tcp", "sctp") and packet.flags == OPENS and (connection.is_over or unanswered)

    def _open(self, packet: Packet, seen: Side, dst: Side, found: Sequence[_Found]) -> None:
        service = found[0].service if found else None
        connection = Connection(_key(packet), (dst, seen, packet.protocol), service)
        for key in (connection.original, connection.reply):
            older = self._connections.pop(key, None)
            if older is not None:
                self._connections.pop(older.original, None)
                self._connections.pop(older.reply, None)
        self._connections[connection.original] = self._connections[connection.reply] = connection
        if service is not None and found[0].affinity_seconds:
            self._clients[packet.src.address, service] = dst

    def is_masquerade(self, packet: Packet, seen: Side, endpoint: Side) -> bool:
        """Whether a packet to an endpoint may leave as `seen` when it is masqueraded: never as somebody else already does."""
        first, last = self._masquerade_ports
        other = self._connections.get((endpoint, seen, packet.protocol))
        if other is not None and other.original != _key(packet):
            return False
        return seen.address == self.world.here.primary(family_of(seen.address)) and first <= seen.port <= last


def _key(packet: Packet) -> FlowKey:
    return packet.src, packet.dst, packet.protocol
