"""The base of the packet tests: a node with three pods, its own stack and an uplink, freshly installed for each test.

    pods        ports 0, 1, 2     10.1.0.10-12, fd00:1::10-12
    spare pods  ports 3, 4        without entries
    node        port 5            192.0.2.1, 2001:db8::1
    uplink      port 6            everything else, through a router

The parameters of a run come from `ptf --test-params`: address, device_id, target_file, watch_ports, p4info, json, results, and hurried_json: the
pipeline with the timeouts of `target_file`, for tests that wait for them. `json` forgets nothing in a test's time.
"""

from __future__ import annotations

import itertools
import json
import queue
import time
import unittest
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

import ptf
from ptf import testutils
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from kulvert.targets import Target, load_target
from ptf_tests.client import Client, Entry, GroupRef, Lpm, PacketIn, Range, Ternary
from ptf_tests.drop_reasons import DropReason
from ptf_tests.packets import (
    FAMILIES,
    GATEWAY_MAC,
    PROTOCOL_NUMBER,
    PROTOCOLS,
    Family,
    Host,
    Protocol,
    Side,
    address_number,
    mac_number,
    prefix_length,
    segment,
)

POD_A = Host("a", 0, "02:00:00:00:01:0a", "10.1.0.10", "fd00:1::10")
POD_B = Host("b", 1, "02:00:00:00:01:0b", "10.1.0.11", "fd00:1::11")
POD_C = Host("c", 2, "02:00:00:00:01:0c", "10.1.0.12", "fd00:1::12")
PODS = (POD_A, POD_B, POD_C)
SPARE_PORT = 3
NODE = Host("node", 5, "02:00:00:00:05:01", "192.0.2.1", "2001:db8::1")
ROUTER = Host("router", 6, "02:00:00:00:06:01", "198.51.100.1", "2001:db8:6::1")
REMOTE = Host("remote", 6, "02:00:00:00:06:01", "203.0.113.9", "2001:db8:9::9")

VIP = {4: "10.96.0.1", 6: "fd00:96::1"}
SERVICE_RANGE = {4: ("10.96.0.0", 16), 6: ("fd00:96::", 112)}
GATEWAY = {4: "169.254.1.1", 6: "fe80::1"}

ANY_PROTOCOL = Ternary(0, 0)
ANY_IDENTITY = Ternary(0, 0)
ANY_PORT = Range(0, 0xFFFF)

_ANSWER_SECONDS = 20.0
_QUIET_SECONDS = 0.08

T = TypeVar("T")


class NodeTest(unittest.TestCase):
    """A test of the node pipeline. Subclasses define `runTest`."""

    installs_node: ClassVar[bool] = True
    """Whether setUp makes the node's entries; a test that has the controller make them says no."""

    hurries: ClassVar[bool] = False
    """Whether the test waits for what the pipeline forgets. All others have timeouts that no busy machine lets pass."""

    target: ClassVar[Target]
    client: Client
    _ports: Iterator[int]

    # -- life

    def setUp(self) -> None:
        self.dataplane = ptf.dataplane_instance
        # The same flows whatever tests have run before, and mostly other ones than theirs; none that a masquerade may choose.
        name = f"{type(self).__module__.rpartition('.')[2]}.{type(self).__name__}"
        self._ports = itertools.count(33000 + 16 * (zlib.crc32(name.encode()) % 1500))
        given = testutils.test_param_get("target")
        self.target = given or load_target(testutils.test_param_get("target_file"))  # type: ignore[misc]
        self.client = Client(
            testutils.test_param_get("address"),
            int(testutils.test_param_get("device_id")),
            Path(testutils.test_param_get("p4info")),
        )
        self.addCleanup(self.client.close)
        self.client.become_primary()
        self.start_anew()
        self.dataplane.flush()
        if self.installs_node:
            self.install_node()

    def start_anew(self) -> None:
        """Push the pipeline: no entries, no connections."""
        hurried = testutils.test_param_get("hurried_json") if self.hurries else None
        self.client.set_pipeline(Path(hurried or testutils.test_param_get("json")).read_bytes())

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Run, and leave a line with the outcome for the runner's table."""
        assert result is not None
        before = len(result.failures), len(result.errors), len(result.skipped)
        started = time.monotonic()
        outcome = super().run(result)
        seconds = time.monotonic() - started
        status, detail = "passed", ""
        if len(result.failures) > before[0]:
            status, detail = "failed", result.failures[-1][1]
        elif len(result.errors) > before[1]:
            status, detail = "error", result.errors[-1][1]
        elif len(result.skipped) > before[2]:
            status, detail = "skipped", result.skipped[-1][1]
        line = {
            "stage": type(self).__module__.rpartition(".")[2],
            "test": type(self).__name__,
            "about": (type(self).__doc__ or "").strip().split("\n")[0],
            "status": status,
            "seconds": seconds,
            "detail": detail,
        }
        with Path(testutils.test_param_get("results")).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return outcome

    # -- entries

    def install_node(self) -> None:
        """The ports, pods and routes that every test starts from; no Service and no policy."""
        gateway = mac_number(GATEWAY_MAC)
        for pod in PODS:
            self.client.insert(Entry("port_table", {"ingress_port": pod.port}, "set_pod_port", {"mac": gateway}))
            self.add_pod(pod)
        self.client.insert(
            Entry("port_table", {"ingress_port": NODE.port}, "set_node_port", {"mac": gateway}),
            Entry("port_table", {"ingress_port": ROUTER.port}, "set_uplink_port", {"mac": gateway}),
        )
        for family in FAMILIES:
            self.add_route(NODE.address(family), 32 if family == 4 else 128, NODE)
            self.add_route("0.0.0.0" if family == 4 else "::", 0, ROUTER)
            gateway_address = address_number(GATEWAY[family])
            self.client.insert(
                Entry("neighbor_table", {"target_addr": gateway_address}, "answer_neighbor", {"mac": gateway})
            )
            self.set_identity(NODE.address(family), 32 if family == 4 else 128, 1)

    def add_pod(self, pod: Host, egress_policy: int = 0, ingress_policy: int = 0) -> None:
        """Both families of a pod; policies 0 leave it open."""
        for family in FAMILIES:
            self.client.insert(
                self.source_entry(pod, family, egress_policy, ingress_policy),
                self.destination_entry(pod, family, ingress_policy, egress_policy),
            )
            self.client.insert(
                Entry("uplink_source_table", {"src_addr": address_number(pod.address(family))}, "refuse_source")
            )

    def source_entry(self, pod: Host, family: Family, egress_policy: int, ingress_policy: int = 0) -> Entry:
        """The entry that admits a pod as a source."""
        match = {"ingress_port": pod.port, "src_addr": address_number(pod.address(family))}
        params = {"mac": mac_number(pod.mac), "policy_id": egress_policy, "ingress_policy_id": ingress_policy}
        return Entry("source_pod_table", match, "admit_source_pod", params)

    def destination_entry(self, pod: Host, family: Family, ingress_policy: int, egress_policy: int = 0) -> Entry:
        """The entry that leads to a pod."""
        params = {
            "port": pod.port,
            "src_mac": mac_number(GATEWAY_MAC),
            "dst_mac": mac_number(pod.mac),
            "policy_id": ingress_policy,
            "egress_policy_id": egress_policy,
        }
        match = {"dst_addr": address_number(pod.address(family))}
        return Entry("destination_pod_table", match, "set_destination_pod", params)

    def isolate(self, pod: Host, egress_policy: int = 0, ingress_policy: int = 0) -> None:
        """Give a pod its policies, by one MODIFY a direction and family."""
        for family in FAMILIES:
            self.client.modify(self.source_entry(pod, family, egress_policy, ingress_policy))
            self.client.modify(self.destination_entry(pod, family, ingress_policy, egress_policy))

    def add_route(self, prefix: str, length: int, next_hop: Host) -> None:
        """A route to a prefix by a next hop."""
        params = {"port": next_hop.port, "src_mac": mac_number(GATEWAY_MAC), "dst_mac": mac_number(next_hop.mac)}
        match = {"dst_addr": Lpm(address_number(prefix), prefix_length(prefix, length))}
        self.client.insert(Entry("route_table", match, "forward", params))

    def set_identity(self, prefix: str, length: int, identity: int) -> None:
        """The identity of an address range, for both directions."""
        value = Lpm(address_number(prefix), prefix_length(prefix, length))
        self.client.insert(
            Entry("source_identity_table", {"src_addr": value}, "set_source_identity", {"identity": identity}),
            Entry(
                "destination_identity_table", {"dst_addr": value}, "set_destination_identity", {"identity": identity}
            ),
        )

    def set_pod_identities(self, *pods: Host) -> dict[str, int]:
        """An identity of its own for each pod: 100 and up."""
        identities = {}
        for number, pod in enumerate(pods, start=100):
            identities[pod.name] = number
            for family in FAMILIES:
                self.set_identity(pod.address(family), 32 if family == 4 else 128, number)
        return identities

    def add_service(
        self,
        vip: str,
        port: int,
        protocol: Protocol,
        endpoints: Sequence[Side],
        service_id: int = 1,
        weights: Sequence[int] = (),
        **options: int,
    ) -> Entry:
        """A Service port with its endpoints, ids from 1000 × service_id on, all alive; returns the frontend's entry.

        `options` are parameters of `set_service`, see `service_params`.
        """
        self.add_endpoint_set(endpoints, service_id, weights)
        frontend = self.frontend_entry(vip, port, protocol, "set_service", **self.service_params(service_id, **options))
        self.client.insert(frontend)
        return frontend

    def each_service(
        self, server: Host, client: Host = POD_A, protocols: Sequence[Protocol] = PROTOCOLS, **options: int
    ) -> Iterator[tuple[Family, Protocol, Side, Side, Side]]:
        """A Service of each family and protocol in turn, with `server` as its one endpoint.

        Yields family, protocol, a fresh port of the client, the Service's port 80 and the endpoint's port 8080. `options` as in `add_service`.
        """
        for family in FAMILIES:
            for protocol in protocols:
                vip, endpoint = Side(VIP[family], 80), Side(server.address(family), 8080)
                service_id = 10 * family + PROTOCOL_NUMBER[protocol]
                self.add_service(vip.address, vip.port, protocol, [endpoint], service_id, (), **options)
                yield family, protocol, Side(client.address(family), self.new_port()), vip, endpoint

    def add_endpoint_set(self, endpoints: Sequence[Side], set_id: int, weights: Sequence[int] = ()) -> None:
        """A set of endpoints, ids from 1000 × set_id on, all alive."""
        members = {}
        for number, endpoint in enumerate(endpoints):
            member_id = set_id * 1000 + number
            self.client.insert_member(
                "endpoint_selector",
                member_id,
                "select_endpoint",
                addr=address_number(endpoint.address),
                port=endpoint.port,
                endpoint_id=member_id,
            )
            self.client.insert(self.live_entry(member_id))
            members[member_id] = weights[number] if weights else 1
        self.client.insert_group("endpoint_selector", set_id, members, max_size=sum(members.values()))
        self.client.insert(Entry("service_endpoint_table", {"set_id": set_id}, GroupRef(set_id)))

    @staticmethod
    def service_params(set_id: int, **options: int) -> dict[str, int]:
        """The parameters of `set_service` for one set that everybody may use as he is; `options` override them."""
        params = {
            "internal_set_id": set_id,
            "external_set_id": set_id,
            "masquerade": 0,
            "source_ranges_id": 0,
            "affinity_id": set_id,
            "affinity_seconds": 0,
        }
        return params | options

    @staticmethod
    def live_entry(endpoint_id: int) -> Entry:
        """The entry that says that an endpoint is alive."""
        return Entry("live_endpoint_table", {"endpoint_id": endpoint_id}, "endpoint_is_live")

    @staticmethod
    def frontend_entry(vip: str, port: int, protocol: Protocol, action: str, **params: int) -> Entry:
        """A Service frontend."""
        match = {"dst_addr": address_number(vip), "protocol": PROTOCOL_NUMBER[protocol], "l4_dport": port}
        return Entry("service_frontend_table", match, action, params)

    @staticmethod
    def policy_entry(
        direction: str,
        policy_id: int,
        identity: int | Ternary = ANY_IDENTITY,
        protocol: Protocol | Ternary = ANY_PROTOCOL,
        ports: Range = ANY_PORT,
        *,
        allow: bool = True,
        priority: int = 10,
    ) -> Entry:
        """An entry of the egress or ingress policy table; what is left out matches everything."""
        match: dict[str, int | Lpm | Ternary | Range] = {"policy_id": policy_id}
        if isinstance(identity, int):
            match["identity"] = Ternary(identity, 0xFFFFFF)
        if isinstance(protocol, str):
            match["protocol"] = Ternary(PROTOCOL_NUMBER[protocol], 0xFF)
        if ports != ANY_PORT:
            match["l4_dport"] = ports
        verdict = "allow" if allow else "deny"
        return Entry(f"{direction}_policy_table", match, f"{verdict}_{direction}", priority=priority)

    # -- packets

    def new_port(self) -> int:
        """A client port that this test has not used yet."""
        return next(self._ports)

    def sent_by(self, host: Host, src: Side, dst: Side, protocol: Protocol, **fields: object) -> Packet:
        """A packet as `host` sends it, to its gateway."""
        return segment(src, dst, protocol, host.mac, GATEWAY_MAC, **fields)  # type: ignore[arg-type]

    def delivered_to(self, host: Host, src: Side, dst: Side, protocol: Protocol, **fields: object) -> Packet:
        """The same as `host` gets it: from the gateway's MAC, one hop later."""
        return segment(src, dst, protocol, GATEWAY_MAC, host.mac, **({"ttl": 63} | fields))  # type: ignore[arg-type]

    def send(self, port: int, packet: Packet | bytes) -> None:
        """Put a packet on a port's wire."""
        self.dataplane.send(0, port, bytes(packet))

    def receive(self, seconds: float = _ANSWER_SECONDS) -> tuple[int, bytes] | None:
        """The next packet that comes out on any port: port and frame; None if there is none in time."""
        result = self.dataplane.poll(device_number=0, timeout=seconds)
        if isinstance(result, self.dataplane.PollSuccess):
            return result.port, bytes(result.packet)
        return None

    def receive_unless_dropped(self, reason: DropReason, before: Sequence[int]) -> bytes | None:
        """The next frame that comes out on any port, or None as soon as a packet is counted as dropped for that reason.

        Args:
            before: the drop counters before the packet was sent.
        """
        deadline = time.monotonic() + _ANSWER_SECONDS
        while (got := self.receive(0.01)) is None:
            if self.client.read_counters("drop_counter")[reason] > before[reason]:
                return None
            if time.monotonic() > deadline:
                self.fail(f"nothing came out, and it was not dropped as {reason.name}; {self._drops_text()}")
        return got[1]

    def drain(self, host: Host, other: Host) -> list[bytes]:
        """What was still on its way to a pod, in order: frames up to one that another pod sends it now."""
        src, dst = Side(other.ipv4, self.new_port()), Side(host.ipv4, 9)
        self.send(other.port, self.sent_by(other, src, dst, "udp"))
        last = host.port, bytes(self.delivered_to(host, src, dst, "udp"))
        found = []
        while (got := self.receive()) != last:
            if got is None:
                self.fail(f"the last packet to {host.name} did not come; {self._drops_text()}")
            found.append(got[1])
        return found

    def expect(self, port: int, packet: Packet | bytes, why: str = "") -> None:
        """The next packet out is exactly this one, on this port."""
        wanted = bytes(packet)
        got = self.receive()
        if got is None:
            self.fail(f"{why}: nothing came out; wanted on port {port}:\n{_show(wanted)}\n{self._drops_text()}")
        if got != (port, wanted):
            self.fail(
                f"{why}: wanted on port {port}:\n{_show(wanted)}\nbut got on port {got[0]}:\n{_show(got[1])}\n"
                f"wanted {wanted.hex()}\ngot    {got[1].hex()}"
            )

    def expect_quiet(self, why: str = "") -> None:
        """Nothing comes out any more."""
        got = self.receive(_QUIET_SECONDS)
        if got is not None:
            self.fail(f"{why}: a packet came out on port {got[0]}:\n{_show(got[1])}")

    def pass_through(self, in_port: int, packet: Packet, out_port: int, wanted: Packet, why: str = "") -> None:
        """The packet comes out as wanted, and nothing else does."""
        self.send(in_port, packet)
        self.expect(out_port, wanted, why)

    def wait_for_way(self, in_port: int, packet: Packet, out_port: int, wanted: Packet) -> None:
        """Send a packet again and again until it comes out so: a switch looks at its links from time to time."""

        def try_once() -> tuple[int, bytes] | None:
            self.send(in_port, packet)
            return self.receive(0.2)

        came_out = self.wait_for(try_once, lambda got: got == (out_port, bytes(wanted)), seconds=20)
        self.assertEqual(came_out, (out_port, bytes(wanted)))
        while self.receive(1.0) is not None:  # those sent before that are late
            pass

    def drop(self, in_port: int, packet: Packet | bytes, reason: DropReason, why: str = "") -> None:
        """The packet is dropped and counted for that reason, once, and for no other."""
        before = self.client.read_counters("drop_counter")
        self.send(in_port, packet)
        after = self.wait_for(
            lambda: self.client.read_counters("drop_counter"), lambda cells: sum(cells) > sum(before), _ANSWER_SECONDS
        )
        counted = {
            DropReason(index).name: now - then
            for index, (then, now) in enumerate(zip(before, after, strict=True))
            if now != then
        }
        self.expect_quiet(f"{why or reason.name}, counted as {counted}")
        self.assertEqual(counted, {reason.name: 1}, why)

    def wait_for(self, read: Callable[[], T], is_done: Callable[[T], bool], seconds: float) -> T:
        """Read until done or out of time; the last value read."""
        deadline = time.monotonic() + seconds
        value = read()
        while not is_done(value) and time.monotonic() < deadline:
            time.sleep(0.01)
            value = read()
        return value

    @staticmethod
    def watches_ports() -> bool:
        """Whether the switch passes over a next hop whose port is down, if it is told the port (`capabilities.watch_ports`)."""
        return bool(int(testutils.test_param_get("watch_ports")))

    def set_link(self, port: int, *, up: bool) -> None:
        """Pull a port's cable or plug it in again: the wire's link goes down and up, and a socket is no port of the switch meanwhile."""
        if up:
            self.dataplane.port_up(0, port)
        else:
            self.dataplane.port_down(0, port)

    def packet_in(self) -> PacketIn:
        """The next packet that the controller gets."""
        try:
            return self.client.packets_in.get(timeout=_ANSWER_SECONDS)
        except queue.Empty:
            self.fail(f"no packet came to the controller\n{self._drops_text()}")

    def _drops_text(self) -> str:
        cells = self.client.read_counters("drop_counter")
        return "drops: " + str({DropReason(index).name: cell for index, cell in enumerate(cells) if cell})


def _show(frame: bytes) -> str:
    return str(Ether(frame).show(dump=True))
