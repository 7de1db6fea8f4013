"""Services: frontends, endpoint selection, rejects and drops (p4src/stages/service_lb.p4)."""

from __future__ import annotations

from collections import Counter

from ptf_tests.base import NODE, POD_A, POD_B, POD_C, REMOTE, ROUTER, SERVICE_RANGE, VIP, NodeTest
from ptf_tests.client import Entry, Lpm
from ptf_tests.drop_reasons import DropReason
from ptf_tests.hashing import affinity_twin
from ptf_tests.packets import FAMILIES, Family, Host, Protocol, Side, address_number, prefix_length

_FLOWS = 60


class ServiceTest(NodeTest):
    """What the tests of Services share."""

    def endpoint_of(
        self, client: Host, vip: Side, protocol: Protocol, endpoints: dict[Host, int], family: Family
    ) -> Host:
        """Send a first packet to `vip` and see, byte by byte, that it reached one of the endpoints; which one."""
        src = Side(client.address(family), self.new_port())
        self.send(client.port, self.sent_by(client, src, vip, protocol))
        got = self.receive()
        assert got is not None, f"nothing came out for {vip}"
        for host, port in endpoints.items():
            if got[0] == host.port:
                wanted = self.delivered_to(host, src, Side(host.address(family), port), protocol)
                self.assertEqual(got[1].hex(), bytes(wanted).hex())
                # A connection that nobody answers counts against the client's limit, which many would reach.
                answer = self.sent_by(host, Side(host.address(family), port), src, protocol)
                self.pass_through(
                    host.port, answer, client.port, self.delivered_to(client, vip, src, protocol), "answer"
                )
                return host
        raise AssertionError(f"{vip} came out on port {got[0]}")


class SpreadOverThreeEndpoints(ServiceTest):
    """New connections spread over all endpoints, each with its own target port; UDP and TCP, both families."""

    def runTest(self) -> None:
        endpoints = {POD_B: 8080, POD_C: 8081, ROUTER: 8082}
        service_id = 0
        for family in FAMILIES:
            for protocol in ("udp", "tcp"):
                service_id += 1
                vip = Side(VIP[family], 80)
                sides = [Side(host.address(family), port) for host, port in endpoints.items()]
                self.add_service(vip.address, vip.port, protocol, sides, service_id)
                shares = Counter(self.endpoint_of(POD_A, vip, protocol, endpoints, family).name for _ in range(_FLOWS))
                self.assertEqual(set(shares), {host.name for host in endpoints}, f"{protocol}{family}: {shares}")
                self.assertGreater(min(shares.values()), _FLOWS // 10, f"{protocol}{family}: {shares}")


class AffinityOfCollidingClients(ServiceTest):
    """Two clients whose addresses have one place in the table of session affinity do not have one another's endpoint."""

    def runTest(self) -> None:
        endpoints = {POD_B: 8080, POD_C: 8080}
        vip, set_id = Side(VIP[6], 80), 1
        sides = [Side(host.ipv6, port) for host, port in endpoints.items()]
        self.add_service(vip.address, 80, "tcp", sides, set_id, affinity_id=7, affinity_seconds=600)
        for member in (1000, 1001):
            match = {"set_id": set_id, "endpoint_id": member}
            self.client.insert(Entry("affinity_endpoint_table", match, "endpoint_is_usable"))
        pairs = []
        for number in range(10):
            client = f"2001:db8:7::{number + 1:x}"
            twin = affinity_twin(client, 7, self.target.affinity.set_bits, f"2001:db8:{8 + number:x}::")
            reached = [self._reached(client, vip, 40000 + number), self._reached(twin, vip, 41000 + number)]
            self.assertEqual(self._reached(twin, vip, 50000 + number), reached[1], "the later of them stays")
            pairs.append(reached)
        self.assertTrue(any(one != other for one, other in pairs), pairs)

    def _reached(self, client: str, vip: Side, port: int) -> int:
        """The port that a connection of a client outside comes out on."""
        self.send(ROUTER.port, self.sent_by(ROUTER, Side(client, port), vip, "tcp"))
        got = self.receive()
        assert got is not None, self._drops_text()
        return got[0]


class WeightsAreShares(ServiceTest):
    """A member's weight is its share of new connections."""

    def runTest(self) -> None:
        endpoints = {POD_B: 8080, POD_C: 8080}
        vip = Side(VIP[4], 80)
        self.add_service(vip.address, 80, "udp", [Side(POD_B.ipv4, 8080), Side(POD_C.ipv4, 8080)], weights=[9, 1])
        shares = Counter(self.endpoint_of(POD_A, vip, "udp", endpoints, 4).name for _ in range(_FLOWS))
        self.assertGreater(shares[POD_B.name], 3 * shares[POD_C.name], str(shares))
        self.client.modify_group("endpoint_selector", 1, {1001: 1}, max_size=10)
        shares = Counter(self.endpoint_of(POD_A, vip, "udp", endpoints, 4).name for _ in range(10))
        self.assertEqual(set(shares), {POD_C.name}, "after POD_B has left the group")


class ProtocolsAreSeparateFrontends(ServiceTest):
    """TCP and UDP on one port number are different Services, and so are two ports of one address."""

    def runTest(self) -> None:
        for family in FAMILIES:
            first = 10 * family
            self.add_service(VIP[family], 53, "tcp", [Side(POD_B.address(family), 5353)], first)
            self.add_service(VIP[family], 53, "udp", [Side(POD_C.address(family), 5354)], first + 1)
            self.add_service(VIP[family], 54, "udp", [Side(POD_B.address(family), 5355)], first + 2)
            cases: list[tuple[Protocol, int, Host, int]] = [
                ("tcp", 53, POD_B, 5353),
                ("udp", 53, POD_C, 5354),
                ("udp", 54, POD_B, 5355),
            ]
            for protocol, port, host, target_port in cases:
                vip = Side(VIP[family], port)
                self.assertEqual(self.endpoint_of(POD_A, vip, protocol, {host: target_port}, family), host)


class EveryKindOfPortReachesServices(ServiceTest):
    """The node and the outside world reach a Service as pods do."""

    def runTest(self) -> None:
        for family in FAMILIES:
            vip = Side(VIP[family], 80)
            self.add_service(vip.address, 80, "tcp", [Side(POD_B.address(family), 8080)], family)
            for client in (POD_A, NODE, REMOTE):
                self.assertEqual(self.endpoint_of(client, vip, "tcp", {POD_B: 8080}, family), POD_B, client.name)


class FrontendCountsItsConnections(ServiceTest):
    """The direct counter of a frontend counts first packets, not those of known connections."""

    def runTest(self) -> None:
        frontend = self.add_service(VIP[4], 80, "udp", [Side(POD_B.ipv4, 8080)])
        src = Side(POD_A.ipv4, self.new_port())
        for _ in range(3):
            packet = self.sent_by(POD_A, src, Side(VIP[4], 80), "udp")
            self.pass_through(
                POD_A.port, packet, POD_B.port, self.delivered_to(POD_B, src, Side(POD_B.ipv4, 8080), "udp")
            )
        packets, octets = self.wait_for(
            lambda: self.client.read_direct_counter(frontend), lambda value: value[0] > 0, seconds=20
        )
        self.assertEqual((packets, octets), (1, len(bytes(packet))))


class RangeIsDroppedAndAddressRejected(ServiceTest):
    """An address of the Service range that nobody holds is dropped; a live one at another port is refused."""

    def runTest(self) -> None:
        for family in FAMILIES:
            self.add_service(VIP[family], 80, "tcp", [Side(POD_B.address(family), 8080)], family)
            prefix, length = SERVICE_RANGE[family]
            bits = 32 if family == 4 else 128
            whole = Lpm(address_number(prefix), prefix_length(prefix, length))
            one = Lpm(address_number(VIP[family]), prefix_length(VIP[family], bits))
            self.client.insert(
                Entry("service_address_table", {"dst_addr": whole}, "drop_address"),
                Entry("service_address_table", {"dst_addr": one}, "reject_address"),
            )
            src = Side(POD_A.address(family), self.new_port())
            nobody = Side("10.96.7.7" if family == 4 else "fd00:96::777", 80)
            self.drop(POD_A.port, self.sent_by(POD_A, src, nobody, "tcp"), DropReason.SERVICE_DROPPED)
            self.assertEqual(self.endpoint_of(POD_A, Side(VIP[family], 80), "tcp", {POD_B: 8080}, family), POD_B)


class DropServiceIsSilent(ServiceTest):
    """`drop_service` drops without an answer."""

    def runTest(self) -> None:
        for family in FAMILIES:
            self.client.insert(self.frontend_entry(VIP[family], 80, "tcp", "drop_service"))
            src = Side(POD_A.address(family), self.new_port())
            self.drop(POD_A.port, self.sent_by(POD_A, src, Side(VIP[family], 80), "tcp"), DropReason.SERVICE_DROPPED)
