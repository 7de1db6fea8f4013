"""Connection tracking: life, translation kept, timeouts, full sets, stale endpoints (p4src/stages/connections.p4)."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

from kulvert.targets import TICK_SECONDS
from ptf_tests.base import POD_A, POD_B, POD_C, REMOTE, ROUTER, VIP, NodeTest
from ptf_tests.client import Entry
from ptf_tests.drop_reasons import DropReason
from ptf_tests.hashing import flow_digest, flows_of_one_set, flows_within_one_set, twin_by_address, twin_by_ports
from ptf_tests.packets import (
    FAMILIES,
    GATEWAY_MAC,
    PROTOCOL_NUMBER,
    Family,
    Protocol,
    Side,
    address_number,
    echo,
)

_LONGEST_WAIT = 16.0
_WAYS = 8


class ConnectionTest(NodeTest):
    """What the tests of connections share."""

    def serve(self, family: Family, protocol: Protocol) -> Side:
        """A Service at port 80 with POD_B:8080 behind it; its address and port."""
        vip = Side(VIP[family], 80)
        service_id = 10 * family + PROTOCOL_NUMBER[protocol]
        self.add_service(vip.address, 80, protocol, [Side(POD_B.address(family), 8080)], service_id)
        return vip

    def request(self, src: Side, vip: Side, protocol: Protocol, flags: str = "S", why: str = "") -> None:
        """A packet of POD_A's to the Service reaches POD_B."""
        endpoint = Side(POD_B.ipv6 if ":" in vip.address else POD_B.ipv4, 8080)
        wanted = self.delivered_to(POD_B, src, endpoint, protocol, flags=flags)
        self.pass_through(POD_A.port, self.sent_by(POD_A, src, vip, protocol, flags=flags), POD_B.port, wanted, why)

    def answer(self, src: Side, vip: Side, protocol: Protocol, flags: str = "SA", why: str = "") -> None:
        """POD_B's answer reaches POD_A as the Service's."""
        endpoint = Side(POD_B.ipv6 if ":" in vip.address else POD_B.ipv4, 8080)
        wanted = self.delivered_to(POD_A, vip, src, protocol, flags=flags)
        self.pass_through(
            POD_B.port, self.sent_by(POD_B, endpoint, src, protocol, flags=flags), POD_A.port, wanted, why
        )

    def withdraw(self, vip: Side, protocol: Protocol) -> None:
        """Take the Service's frontend away: only connections still lead to the endpoint."""
        self.client.delete(
            self.frontend_entry(vip.address, vip.port, protocol, "set_service", **self.service_params(0))
        )

    def is_forgotten(self, src: Side, vip: Side, protocol: Protocol, flags: str = "PA", why: str = "") -> None:
        """The next packet is not translated any more: without a frontend it takes the default route as it is."""
        wanted = self.delivered_to(ROUTER, src, vip, protocol, flags=flags)
        self.pass_through(POD_A.port, self.sent_by(POD_A, src, vip, protocol, flags=flags), ROUTER.port, wanted, why)

    def flows_of_one_set(self, protocol: Protocol) -> Iterator[tuple[Side, Side]]:
        """Flows from POD_A to POD_B that have to share one set of ways."""
        return flows_of_one_set(POD_A.ipv4, POD_B.ipv4, PROTOCOL_NUMBER[protocol], self.target.connections.set_bits)

    def sleep_for(self, timeout: float) -> None:
        """Wait until a timeout has surely passed, or skip the test if the target's is long."""
        if timeout > _LONGEST_WAIT:
            self.skipTest(f"a timeout of {timeout:g} s is too long to wait for; the profile `small` has short ones")
        ticks = math.ceil(timeout / TICK_SECONDS) + 1  # the tick that a packet comes in counts whole
        time.sleep(ticks * TICK_SECONDS + 0.1)

    def open(self, src: Side, dst: Side) -> tuple[Side, Side]:
        """A UDP packet from POD_A reaches POD_B; its two ends."""
        packet = self.sent_by(POD_A, src, dst, "udp")
        self.pass_through(POD_A.port, packet, POD_B.port, self.delivered_to(POD_B, src, dst, "udp"))
        return src, dst

    def be_answered(self, src: Side, dst: Side) -> None:
        """POD_B's answer reaches POD_A."""
        packet = self.sent_by(POD_B, dst, src, "udp")
        self.pass_through(POD_B.port, packet, POD_A.port, self.delivered_to(POD_A, dst, src, "udp"))


class TcpConnectionLives(ConnectionTest):
    """A whole TCP life through a Service whose frontend goes away after the SYN: every packet stays translated."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, vip = Side(POD_A.address(family), self.new_port()), self.serve(family, "tcp")
            self.request(src, vip, "tcp", "S")
            self.withdraw(vip, "tcp")
            self.answer(src, vip, "tcp", "SA")
            for flags in ("A", "PA"):
                self.request(src, vip, "tcp", flags)
                self.answer(src, vip, "tcp", flags)
            self.request(src, vip, "tcp", "FA", "half closed")
            self.answer(src, vip, "tcp", "PA", "still sending")
            self.answer(src, vip, "tcp", "FA")
            self.request(src, vip, "tcp", "A", "the last ACK")
        self.expect_quiet()


class SynWithEcnOpens(ConnectionTest):
    """A SYN that offers ECN opens a connection like any other."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, vip = Side(POD_A.address(family), self.new_port()), self.serve(family, "tcp")
            self.request(src, vip, "tcp", "SEC")
            self.answer(src, vip, "tcp", "SAE")


class EndpointStaysWithItsConnection(ConnectionTest):
    """Endpoints that come and go in the group do not move an established connection."""

    def runTest(self) -> None:
        for family in FAMILIES:
            service_id = 10 * family + 6
            src, vip = Side(POD_A.address(family), self.new_port()), self.serve(family, "tcp")
            self.request(src, vip, "tcp", "S")
            self.answer(src, vip, "tcp", "SA")
            self.client.insert_member(
                "endpoint_selector",
                service_id,
                "select_endpoint",
                addr=address_number(POD_C.address(family)),
                port=8080,
                endpoint_id=service_id,
            )
            self.client.modify_group("endpoint_selector", service_id, {service_id: 1}, max_size=1)
            self.request(src, vip, "tcp", "A", "established")
            self.answer(src, vip, "tcp", "A", "established")
            fresh = Side(src.address, self.new_port())
            wanted = self.delivered_to(POD_C, fresh, Side(POD_C.address(family), 8080), "tcp")
            self.pass_through(POD_A.port, self.sent_by(POD_A, fresh, vip, "tcp"), POD_C.port, wanted, "a new one")


class StrayTcpIsDropped(ConnectionTest):
    """Reset, FIN, SYN-ACK and a segment without ACK open nothing; a plain segment is picked up."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
            for flags in ("R", "RA", "FA", "F", "SA", "", "P", "SF", "SR"):
                packet = self.sent_by(POD_A, src, dst, "tcp", flags=flags)
                self.drop(POD_A.port, packet, DropReason.NOT_IN_CONNECTION, f"flags {flags!r}")
            packet = self.sent_by(POD_A, src, dst, "tcp", flags="PA")
            self.pass_through(POD_A.port, packet, POD_B.port, self.delivered_to(POD_B, src, dst, "tcp", flags="PA"))


class UnaskedEchoReplyIsDropped(ConnectionTest):
    """An echo reply passes once somebody asked, with that identifier, and only to him."""

    def runTest(self) -> None:
        for family in FAMILIES:
            a, b, c, identifier = POD_A.address(family), POD_B.address(family), POD_C.address(family), self.new_port()
            reply = echo(b, a, POD_B.mac, GATEWAY_MAC, identifier, reply=True)
            self.drop(POD_B.port, reply, DropReason.NOT_IN_CONNECTION)
            request = echo(a, b, POD_A.mac, GATEWAY_MAC, identifier)
            self.pass_through(POD_A.port, request, POD_B.port, echo(a, b, GATEWAY_MAC, POD_B.mac, identifier, ttl=63))
            other = echo(b, a, POD_B.mac, GATEWAY_MAC, identifier + 1, reply=True)
            self.drop(POD_B.port, other, DropReason.NOT_IN_CONNECTION, "another identifier")
            third = echo(c, a, POD_C.mac, GATEWAY_MAC, identifier, reply=True)
            self.drop(POD_C.port, third, DropReason.NOT_IN_CONNECTION, "another pod")
            wanted = echo(b, a, GATEWAY_MAC, POD_A.mac, identifier, reply=True, ttl=63)
            self.pass_through(POD_B.port, reply, POD_A.port, wanted)


class IdleUdpIsForgotten(ConnectionTest):
    """UDP ends after its timeout: sooner without an answer than with one; each packet, of either side, puts it off."""

    hurries = True

    def runTest(self) -> None:
        timeouts = self.target.timeouts
        lonely, answered = {}, {}
        for family in FAMILIES:
            vip = self.serve(family, "udp")
            lonely[family] = Side(POD_A.address(family), self.new_port())
            answered[family] = Side(POD_A.address(family), self.new_port())
            self.request(lonely[family], vip, "udp")
            self.request(answered[family], vip, "udp")
            self.answer(answered[family], vip, "udp")
            self.withdraw(vip, "udp")
        self.sleep_for(timeouts.udp_unreplied)
        for family in FAMILIES:
            vip = Side(VIP[family], 80)
            self.is_forgotten(lonely[family], vip, "udp", why="without an answer")
            self.answer(answered[family], vip, "udp", why="answered, kept alive by the answering side alone")
        self.sleep_for(timeouts.udp_unreplied)
        for family in FAMILIES:
            vip = Side(VIP[family], 80)
            self.request(answered[family], vip, "udp", why="answered, kept alive by the other side")
        self.sleep_for(timeouts.udp_replied)
        for family in FAMILIES:
            self.is_forgotten(answered[family], Side(VIP[family], 80), "udp", why="answered, then idle")


class TcpTimeoutsByState(ConnectionTest):
    """A half-open, a closing and a reset connection end after their own timeouts; an established one outlives them all."""

    hurries = True

    def runTest(self) -> None:
        timeouts = self.target.timeouts
        vip = self.serve(4, "tcp")
        half_open, half_closed, reset, established = (Side(POD_A.ipv4, self.new_port()) for _ in range(4))
        for src in (half_open, half_closed, reset, established):
            self.request(src, vip, "tcp", "S")
        for src in (half_closed, reset, established):
            self.answer(src, vip, "tcp", "SA")
            self.request(src, vip, "tcp", "A")
        self.withdraw(vip, "tcp")
        self.answer(half_closed, vip, "tcp", "FA")
        self.answer(reset, vip, "tcp", "RA")
        self.request(reset, vip, "tcp", "PA", "what is still on its way after a reset is translated")
        self.sleep_for(timeouts.tcp_closed)
        self.is_forgotten(reset, vip, "tcp", why="reset")
        self.sleep_for(max(timeouts.tcp_opening, timeouts.tcp_closing))
        self.is_forgotten(half_open, vip, "tcp", why="half open")
        self.is_forgotten(half_closed, vip, "tcp", why="half closed")
        self.request(established, vip, "tcp", "PA", "established")
        self.answer(established, vip, "tcp", "PA", "established")


class ClosedConnectionOpensAnew(ConnectionTest):
    """After FIN both ways or a reset, a SYN with the same ports is decided anew."""

    def runTest(self) -> None:
        for family in FAMILIES:
            vip = self.serve(family, "tcp")
            closed, reset = (Side(POD_A.address(family), self.new_port()) for _ in range(2))
            for src in (closed, reset):
                self.request(src, vip, "tcp", "S")
                self.answer(src, vip, "tcp", "SA")
                self.request(src, vip, "tcp", "A")
            self.request(closed, vip, "tcp", "FA")
            self.answer(closed, vip, "tcp", "FA")
            self.request(closed, vip, "tcp", "A")
            self.request(reset, vip, "tcp", "RA")
            for src in (closed, reset):
                self.request(src, vip, "tcp", "S", "with its frontend")
                self.answer(src, vip, "tcp", "RA", "refused by the endpoint")
            self.withdraw(vip, "tcp")
            for src in (closed, reset):
                self.is_forgotten(src, vip, "tcp", "S", "without")


class ForgedSegmentsMoveNoConnection(ConnectionTest):
    """A SYN within a connection opens nothing and leads nowhere else, and a reset takes nothing from who goes on talking."""

    def runTest(self) -> None:
        for family in FAMILIES:
            vip, src = self.serve(family, "tcp"), Side(POD_A.address(family), self.new_port())
            self.request(src, vip, "tcp", "S")
            self.answer(src, vip, "tcp", "SA")
            self.request(src, vip, "tcp", "A")
            self.withdraw(vip, "tcp")
            self.request(src, vip, "tcp", "S", "a SYN of the client's")
            self.answer(src, vip, "tcp", "S", "a SYN of the endpoint's")
            for flags in ("RA", "R"):
                self.answer(src, vip, "tcp", flags, "a reset")
                self.request(src, vip, "tcp", "A", "which the client did not believe")
                self.answer(src, vip, "tcp", "PA", "nor the endpoint")


class RepeatedSynIsDecidedAnew(ConnectionTest):
    """A SYN that nobody answered goes to another endpoint once its first one has left."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, vip = Side(POD_A.address(family), self.new_port()), self.serve(family, "tcp")
            self.request(src, vip, "tcp", "S")
            self.request(src, vip, "tcp", "S", "repeated")
            service_id = 10 * family + 6
            self.client.insert_member(
                "endpoint_selector",
                service_id,
                "select_endpoint",
                addr=address_number(POD_C.address(family)),
                port=8080,
                endpoint_id=service_id,
            )
            self.client.modify_group("endpoint_selector", service_id, {service_id: 1}, max_size=1)
            wanted = self.delivered_to(POD_C, src, Side(POD_C.address(family), 8080), "tcp")
            self.pass_through(POD_A.port, self.sent_by(POD_A, src, vip, "tcp"), POD_C.port, wanted)


class StaleUdpDies(ConnectionTest):
    """A UDP connection leaves its endpoint the moment that one is gone, without any flush; a late answer is dropped."""

    def runTest(self) -> None:
        for family in FAMILIES:
            service_id = 10 * family + 17
            src, vip = Side(POD_A.address(family), self.new_port()), self.serve(family, "udp")
            self.request(src, vip, "udp")
            self.answer(src, vip, "udp")
            self.client.insert_member(
                "endpoint_selector",
                service_id,
                "select_endpoint",
                addr=address_number(POD_C.address(family)),
                port=8080,
                endpoint_id=service_id,
            )
            self.client.insert(self.live_entry(service_id))
            self.client.modify_group("endpoint_selector", service_id, {service_id: 1}, max_size=1)
            self.request(src, vip, "udp", why="still alive, out of the group")
            self.client.delete(self.live_entry(service_id * 1000))
            late = self.sent_by(POD_B, Side(POD_B.address(family), 8080), src, "udp")
            self.drop(POD_B.port, late, DropReason.STALE_CONNECTION)
            wanted = self.delivered_to(POD_C, src, Side(POD_C.address(family), 8080), "udp")
            self.pass_through(POD_A.port, self.sent_by(POD_A, src, vip, "udp"), POD_C.port, wanted, "moved")


class TcpOutlivesItsEndpoint(ConnectionTest):
    """A TCP connection goes on when its endpoint is no longer listed: the endpoint may be terminating gracefully."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, vip = Side(POD_A.address(family), self.new_port()), self.serve(family, "tcp")
            self.request(src, vip, "tcp", "S")
            self.answer(src, vip, "tcp", "SA")
            self.client.delete(self.live_entry((10 * family + 6) * 1000))
            self.request(src, vip, "tcp", "A")
            self.answer(src, vip, "tcp", "PA")


class AmbiguousAnswersAreRefused(ConnectionTest):
    """One client port to one endpoint, directly and through a Service: the answers could not be told apart."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, vip = Side(POD_A.address(family), self.new_port()), self.serve(family, "tcp")
            endpoint = Side(POD_B.address(family), 8080)
            wanted = self.delivered_to(POD_B, src, endpoint, "tcp")
            self.pass_through(POD_A.port, self.sent_by(POD_A, src, endpoint, "tcp"), POD_B.port, wanted)
            self.drop(POD_A.port, self.sent_by(POD_A, src, vip, "tcp"), DropReason.CONNECTION_CONFLICT)
            answer = self.sent_by(POD_B, endpoint, src, "tcp", flags="SA")
            wanted = self.delivered_to(POD_A, endpoint, src, "tcp", flags="SA")
            self.pass_through(POD_B.port, answer, POD_A.port, wanted, "the first one is untouched")


class FullSetEvictsTheUnanswered(ConnectionTest):
    """In a full set the oldest connection without an answer makes room, and a connection with one never does."""

    def runTest(self) -> None:
        flows = self.flows_of_one_set("udp")
        held = [self.open(*next(flows)) for _ in range(_WAYS)]
        self.be_answered(*held[0])
        for _ in range(2 * _WAYS):  # all of them unanswered, so that each takes the way of one before it
            self.open(*next(flows))
        self.isolate(POD_B, ingress_policy=9)
        self.open(*held[0])
        self.drop(POD_A.port, self.sent_by(POD_A, *held[1], "udp"), DropReason.INGRESS_POLICY, "evicted")


class LastWayHoldsOneDirection(FullSetEvictsTheUnanswered):
    """Both directions of a new connection belong to a set that has room for one: it is refused, and takes no way of its own."""

    def runTest(self) -> None:
        set_bits = self.target.connections.set_bits
        new = next(flows_within_one_set(POD_A.ipv4, POD_B.ipv4, PROTOCOL_NUMBER["udp"], set_bits), None)
        if new is None:
            self.skipTest(f"none among two hosts' flows has both directions in one of 2^{set_bits} sets")
        flows = self.flows_of_one_set("udp")
        held = [self.open(*next(flows)) for _ in range(_WAYS)]
        for src, dst in held[1:]:
            self.be_answered(src, dst)
        for _ in range(2):
            self.drop(POD_A.port, self.sent_by(POD_A, *new, "udp"), DropReason.CONNECTIONS_FULL)
        self.isolate(POD_B, ingress_policy=9)
        for src, dst in held[1:]:
            self.open(src, dst)
        self.drop(POD_A.port, self.sent_by(POD_A, *new, "udp"), DropReason.INGRESS_POLICY, "nothing is left of it")


class FullSetOfAnsweredRefuses(FullSetEvictsTheUnanswered):
    """Nine answered connections do not fit into eight ways: the ninth is refused, and the eight go on."""

    def runTest(self) -> None:
        flows = self.flows_of_one_set("udp")
        held = [self.open(*next(flows)) for _ in range(_WAYS)]
        for src, dst in held:
            self.be_answered(src, dst)
        ninth = self.sent_by(POD_A, *next(flows), "udp")
        self.drop(POD_A.port, ninth, DropReason.CONNECTIONS_FULL)
        self.isolate(POD_B, ingress_policy=9)
        for src, dst in held:
            self.open(src, dst)


class KnownConnectionNeedsNoPolicy(ConnectionTest):
    """A live connection is not asked again when a policy comes; every field of the five-tuple counts."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
            self.open(src, dst)
            self.be_answered(src, dst)
            self.client.modify(self.destination_entry(POD_B, family, 9))
            self.open(src, dst)  # known
            others = [
                (POD_A, Side(src.address, self.new_port()), dst, "udp"),
                (POD_A, src, Side(dst.address, 81), "udp"),
                (POD_A, src, dst, "tcp"),
                (POD_C, Side(POD_C.address(family), src.port), dst, "udp"),
                (REMOTE, Side(REMOTE.address(family), src.port), dst, "udp"),
            ]
            for host, other_src, other_dst, protocol in others:
                other = self.sent_by(host, other_src, other_dst, protocol)  # type: ignore[arg-type]
                self.drop(host.port, other, DropReason.INGRESS_POLICY, f"{other_src} {other_dst} {protocol}")


class ConnectionsOutliveTheEntriesThatMadeThem(ConnectionTest):
    """A connection carries what it needs: with Service, group and members gone it still works."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, vip = Side(POD_A.address(family), self.new_port()), self.serve(family, "tcp")
            self.request(src, vip, "tcp", "S")
            self.answer(src, vip, "tcp", "SA")
            self.withdraw(vip, "tcp")
            service_id = 10 * family + 6
            self.client.delete(Entry("service_endpoint_table", {"set_id": service_id}, "select_endpoint", _NO_ENDPOINT))
            self.request(src, vip, "tcp", "A")
            self.answer(src, vip, "tcp", "PA")


class FingerprintCollisionLetsNobodyIn(ConnectionTest):
    """Another five-tuple with the same hash as a live connection is not that connection: policy decides, not luck."""

    def runTest(self) -> None:
        for family in FAMILIES:
            src, dst = Side(POD_A.address(family), self.new_port()), Side(POD_B.address(family), 80)
            self.open(src, dst)
            self.be_answered(src, dst)
            for twin_src, twin_dst in self._twins(src, dst, family):
                self._show_apart(twin_src, twin_dst, family)
            self.open(src, dst)  # the known one

    def _twins(self, src: Side, dst: Side, family: Family) -> Iterator[tuple[Side, Side]]:
        """Flows of the same set and fingerprint: other ports and source; and over IPv6, another address alone."""
        number, bits = PROTOCOL_NUMBER["udp"], self.target.connections.set_bits
        remote, wanted = REMOTE.address(family), flow_digest(src, dst, number)
        yield twin_by_ports(wanted, bits, remote, dst.address, number)
        if family == 6:
            yield twin_by_address(
                wanted, bits, remote, number, lambda address: (Side(address, src.port), dst), is_source=True
            )
            yield twin_by_address(
                wanted, bits, remote, number, lambda address: (src, Side(address, dst.port)), is_source=False
            )

    def _show_apart(self, src: Side, dst: Side, family: Family) -> None:
        """The twin has no room while it is allowed, and is denied when it is not."""
        leaves = src.address == POD_A.address(family)
        port = POD_A.port if leaves else ROUTER.port
        packet = self.sent_by(POD_A if leaves else ROUTER, src, dst, "udp")
        self.drop(port, packet, DropReason.CONNECTION_CONFLICT, f"{src} {dst} open, but no room beside its twin")
        if leaves:
            self.client.modify(self.source_entry(POD_A, family, 9))
            self.drop(port, packet, DropReason.EGRESS_POLICY, f"{src} {dst} closed")
            self.client.modify(self.source_entry(POD_A, family, 0))
        else:
            self.client.modify(self.destination_entry(POD_B, family, 9))
            self.drop(port, packet, DropReason.INGRESS_POLICY, f"{src} {dst} closed")
            self.client.modify(self.destination_entry(POD_B, family, 0))


class FinWithoutAnswerProtectsNothing(ConnectionTest):
    """SYN and FIN of nobody's connection fill no set for good: the next connection evicts one of them."""

    def runTest(self) -> None:
        flows = self.flows_of_one_set("tcp")
        for _ in range(_WAYS + 1):
            src, dst = next(flows)
            for flags in ("S", "FA"):
                packet = self.sent_by(POD_A, src, dst, "tcp", flags=flags)
                wanted = self.delivered_to(POD_B, src, dst, "tcp", flags=flags)
                self.pass_through(POD_A.port, packet, POD_B.port, wanted, f"{src} {dst} {flags}")


class FloodHarmsItsSenderAlone(ConnectionTest):
    """A pod with too many unanswered connections opens no more; others do, and what is answered does not count."""

    def runTest(self) -> None:
        limit = self.target.connections.unanswered_limit
        if limit > 200:
            self.skipTest(f"{limit} connections are many; the profile `small` allows few")
        endpoint = Side(POD_B.ipv4, 80)
        for _ in range(2 * limit):  # at most one window ends on the way
            src = Side(POD_A.ipv4, self.new_port())
            before = self.client.read_counters("drop_counter")
            self.send(POD_A.port, self.sent_by(POD_A, src, endpoint, "tcp"))
            if self.receive_unless_dropped(DropReason.UNANSWERED_LIMIT, before) is None:
                break
        else:
            self.fail("never too many")
        src = Side(POD_C.ipv4, self.new_port())
        packet, wanted = self.sent_by(POD_C, src, endpoint, "tcp"), self.delivered_to(POD_B, src, endpoint, "tcp")
        self.pass_through(POD_C.port, packet, POD_B.port, wanted, "another pod")
        for _ in range(limit + 8):
            src = Side(POD_C.ipv4, self.new_port())
            packet, wanted = self.sent_by(POD_C, src, endpoint, "udp"), self.delivered_to(POD_B, src, endpoint, "udp")
            self.pass_through(POD_C.port, packet, POD_B.port, wanted, "answered ones")
            answer = self.sent_by(POD_B, endpoint, src, "udp")
            self.pass_through(POD_B.port, answer, POD_C.port, self.delivered_to(POD_C, endpoint, src, "udp"))


_NO_ENDPOINT = {"addr": 0, "port": 0, "endpoint_id": 0}
