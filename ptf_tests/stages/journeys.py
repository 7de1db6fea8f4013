"""Whole ways through the pipeline: client, Service, endpoint and back, under policy, with everything in place."""

from __future__ import annotations

from ptf_tests.base import NODE, POD_A, POD_B, POD_C, REMOTE, ROUTER, SERVICE_RANGE, VIP, NodeTest
from ptf_tests.client import Entry, Lpm, Range
from ptf_tests.drop_reasons import DropReason
from ptf_tests.packets import FAMILIES, Family, Host, Side, address_number, prefix_length


class ThreeTierApplication(NodeTest):
    """Dashboard (a) asks the search store (b) through its Service; ingest (c) may not; the world sees the dashboard only."""

    def runTest(self) -> None:
        identities = self.set_pod_identities(POD_A, POD_B, POD_C)
        self.isolate(POD_B, egress_policy=1, ingress_policy=2)
        self.client.insert(self.policy_entry("ingress", 2, identities["a"], "tcp", Range(9200, 9200)))
        for family in FAMILIES:
            store, dashboard = Side(VIP[family], 9200), Side(VIP[family], 443)
            self.add_service(store.address, store.port, "tcp", [Side(POD_B.address(family), 9200)], 10 + family)
            self.add_service(dashboard.address, dashboard.port, "tcp", [Side(POD_A.address(family), 8443)], 20 + family)
            prefix, length = SERVICE_RANGE[family]
            whole = Lpm(address_number(prefix), prefix_length(prefix, length))
            self.client.insert(Entry("service_address_table", {"dst_addr": whole}, "drop_address"))

            self._conversation(POD_A, POD_A, POD_B, store, Side(POD_B.address(family), 9200), family)
            self._conversation(REMOTE, ROUTER, POD_A, dashboard, Side(POD_A.address(family), 8443), family)
            self._conversation(NODE, NODE, POD_B, store, Side(POD_B.address(family), 9200), family)

            ingest = Side(POD_C.address(family), self.new_port())
            self.drop(
                POD_C.port, self.sent_by(POD_C, ingest, store, "tcp"), DropReason.INGRESS_POLICY, "through the Service"
            )
            direct = Side(POD_B.address(family), 9200)
            self.drop(POD_C.port, self.sent_by(POD_C, ingest, direct, "tcp"), DropReason.INGRESS_POLICY, "directly")
            out = Side(POD_B.address(family), self.new_port())
            packet = self.sent_by(POD_B, out, Side(REMOTE.address(family), 443), "tcp")
            self.drop(POD_B.port, packet, DropReason.EGRESS_POLICY, "the store calls out")
            nobody = Side("10.96.200.200" if family == 4 else "fd00:96::c8", 80)
            self.drop(
                POD_A.port,
                self.sent_by(POD_A, Side(POD_A.address(family), self.new_port()), nobody, "tcp"),
                DropReason.SERVICE_DROPPED,
            )

    def _conversation(self, client: Host, back: Host, server: Host, vip: Side, endpoint: Side, family: Family) -> None:
        """Handshake, question, answer, end: every packet as it must be on both sides."""
        src = Side(client.address(family), self.new_port())
        exchange = [
            (True, "S", b""),
            (False, "SA", b""),
            (True, "A", b""),
            (True, "PA", b"GET / HTTP/1.1\r\nHost: store\r\n\r\n"),
            (False, "A", b""),
            (False, "PA", b"HTTP/1.1 200 OK\r\nContent-Length: 1200\r\n\r\n" + bytes(1200)),
            (True, "FA", b""),
            (False, "FA", b""),
            (True, "A", b""),
        ]
        seq = {True: 100, False: 5_000_000}
        for asks, flags, payload in exchange:
            fields = {"flags": flags, "payload": payload, "seq": seq[asks], "ack": seq[not asks] if "A" in flags else 0}
            if asks:
                sent = self.sent_by(client, src, vip, "tcp", **fields)
                wanted = self.delivered_to(server, src, endpoint, "tcp", **fields)
                self.pass_through(client.port, sent, server.port, wanted, f"{client.name} asks {vip}: {flags}")
            else:
                sent = self.sent_by(server, endpoint, src, "tcp", **fields)
                wanted = self.delivered_to(back, vip, src, "tcp", **fields)
                self.pass_through(server.port, sent, back.port, wanted, f"{vip} answers {client.name}: {flags}")
            seq[asks] += len(payload) + ("S" in flags) + ("F" in flags)
        self.expect_quiet()


class EndpointOnAnotherNode(NodeTest):
    """A Service whose endpoint is behind the uplink, and an endpoint here for a client there."""

    def runTest(self) -> None:
        for family in FAMILIES:
            vip, endpoint = Side(VIP[family], 80), Side(REMOTE.address(family), 8080)
            self.add_service(vip.address, 80, "udp", [endpoint], family)
            src = Side(POD_A.address(family), self.new_port())
            wanted = self.delivered_to(ROUTER, src, endpoint, "udp")
            self.pass_through(POD_A.port, self.sent_by(POD_A, src, vip, "udp"), ROUTER.port, wanted)
            wanted = self.delivered_to(POD_A, vip, src, "udp")
            self.pass_through(ROUTER.port, self.sent_by(ROUTER, endpoint, src, "udp"), POD_A.port, wanted)


class DropReasonsHaveNamesAndNumbers(NodeTest):
    """The drop counter has a cell for every reason, and a node that has seen no traffic has dropped nothing."""

    def runTest(self) -> None:
        cells = self.client.read_counters("drop_counter")
        self.assertGreater(len(cells), max(DropReason))
        self.assertEqual(sum(cells), 0)
