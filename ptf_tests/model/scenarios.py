"""Random clusters and flows. A scenario is data: the objects to begin with, and steps that send packets or change objects."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ptf_tests.base import GATEWAY, NODE, POD_A, PODS, REMOTE, ROUTER, SERVICE_RANGE, SPARE_PORT, VIP
from ptf_tests.cluster import (
    NODE_NAME,
    REMOTE_PODS,
    ROUTES,
    ZONE,
    Value,
    endpoint_slice,
    load_balancer,
    network_policy,
    node_value,
    pod_value,
    service,
)
from ptf_tests.model.contract import (
    ABORTS,
    ECHO_REPLY,
    ECHO_REQUEST,
    ENDS,
    ICMP,
    OPENS,
    PLAIN,
    Packet,
    Question,
    Wiring,
)
from ptf_tests.model.objects import key_of
from ptf_tests.packets import ERROR_KINDS, FAMILIES, GATEWAY_MAC, Family, Host, Side

SECOND_RANGE = {4: "10.97.0.0/16", 6: "fd00:97::/112"}
FLOWS = 40
"""Flows of a scenario."""

OUTSIDE = Host("outside", ROUTER.port, ROUTER.mac, "198.51.100.50", "2001:db8:50::50")
NAMESPACES = ("shop", "lab")
_APPS, _TIERS = ("web", "db", "log"), ("front", "back")
_NAMED = ("http", "dns", "admin")
_PORTS = (53, 80, 443)
_TARGETS = (53, 8080, 9090)
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_BLOCKS: dict[Family, tuple[str, ...]] = {
    4: ("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/24", "10.1.0.8/29", "10.2.0.0/24", "203.0.113.0/24", "203.0.113.9/32"),
    6: ("::/0", "fd00::/8", "fd00:1::/64", "fd00:1::10/127", "fd00:2::/64", "2001:db8::/32", "2001:db8:9::9/128"),
}


@dataclass(frozen=True, slots=True)
class Open:
    """The first packet of a flow."""

    flow: int
    packet: Packet


@dataclass(frozen=True, slots=True)
class Send:
    """Another packet of the side that opened the flow."""

    flow: int
    flags: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A packet of the other side, if the flow has reached one."""

    flow: int
    flags: str


@dataclass(frozen=True, slots=True)
class Cut:
    """A long packet of a flow that is known, in fragments.

    Attributes:
        is_reply: of the other side, not of the one that opened the flow.
        order: of its fragments; the first is always the first.
    """

    flow: int
    is_reply: bool
    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Complain:
    """An ICMP error about a packet of the flow, if it has reached the other side.

    Attributes:
        is_reply: about a packet of the side that opened the flow; if not, about one of the other side's.
        is_routers: from a router on the way, if the packet went to one.
        is_crafted: about a packet from another port, which was never sent.
    """

    flow: int
    kind: str
    is_reply: bool
    is_routers: bool
    is_crafted: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """A question for an address, by ARP or neighbour discovery: a flow of its own."""

    flow: int
    question: Question


@dataclass(frozen=True, slots=True)
class Apply:
    """Objects that are new or changed."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Remove:
    """Objects that are gone."""

    values: tuple[Value, ...]


Step = Open | Send | Reply | Cut | Complain | Ask | Apply | Remove

WIRING = Wiring(
    GATEWAY_MAC, {host.name: host for host in PODS}, NODE, ROUTER, ROUTES, tuple(GATEWAY[family] for family in FAMILIES)
)


@dataclass(frozen=True)
class Scenario:
    """A cluster, and what happens in it."""

    seed: int
    objects: tuple[Value, ...]
    steps: tuple[Step, ...]
    node_name: str = NODE_NAME
    wiring: Wiring = field(default=WIRING, repr=False)

    @property
    def service_ranges(self) -> tuple[str, ...]:
        return tuple(f"{prefix}/{length}" for prefix, length in SERVICE_RANGE.values())

    def host_of(self, address: str) -> Host:
        """Who has an address; everybody who is not on this node is behind the router."""
        for host in (*PODS, NODE):
            if address in (host.ipv4, host.ipv6):
                return host
        return ROUTER

    def flows(self) -> list[int]:
        """The flows, in the order of their first packets."""
        return [step.flow for step in self.steps if isinstance(step, Open | Ask)]

    def until(self, step: int) -> Scenario:
        """Without what comes after a step."""
        return replace(self, steps=self.steps[: step + 1])

    def without_flow(self, flow: int) -> Scenario:
        """Without a flow."""
        kept = [step for step in self.steps if isinstance(step, Apply | Remove) or step.flow != flow]
        return replace(self, steps=tuple(kept))

    def without_step(self, step: Step) -> Scenario:
        """Without a step."""
        return replace(self, steps=tuple(item for item in self.steps if item is not step))

    def without_object(self, value: Value) -> Scenario:
        """Without one of the objects to begin with."""
        return replace(self, objects=tuple(item for item in self.objects if item is not value))


def scenario(seed: int) -> Scenario:
    """The scenario of a seed."""
    return _Maker(seed).make()


class _Maker:
    """Draws one scenario."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rng = random.Random(seed)
        self._services: list[Value] = []
        self._slices: dict[str, list[Value]] = {}
        self._node_port = 30000
        self._taken: set[tuple[str, str, int]] = set()
        self._client_port = 20000

    def make(self) -> Scenario:
        rng = self._rng
        objects = self._nodes() + self._pods()
        for number in range(rng.randint(2, 6)):
            self._add_service(number)
        policies = [self._policy(number) for number in range(rng.choice((0, 1, 2, 3, 5)))]
        policies += [self._cluster_policy(number) for number in range(rng.choice((0, 0, 1, 2, 3)))]
        objects += self._services + [item for slices in self._slices.values() for item in slices] + policies
        if rng.random() < 0.3:
            objects.append(_service_cidr())
        steps = self._steps(policies)
        return Scenario(self._seed, tuple(objects), tuple(steps))

    def _some(self, chance: float) -> bool:
        return self._rng.random() < chance

    # -- objects

    def _nodes(self) -> list[Value]:
        rng = self._rng
        addresses = rng.choice(((NODE.ipv4, NODE.ipv6),) * 6 + ((NODE.ipv4,), (NODE.ipv6,)))
        labels = {"role": rng.choice(("worker", "edge"))}
        external = ["192.0.2.77"] if self._some(0.2) else []
        here = node_value(NODE_NAME, addresses, labels, external)
        return [here, node_value("node-2", (ROUTER.ipv4, ROUTER.ipv6), {"role": "worker"})]

    def _pods(self) -> list[Value]:
        rng = self._rng
        values: list[Value] = []
        for name in NAMESPACES:
            labels = {"team": rng.choice(("red", "blue"))}
            if self._some(0.8):
                meta = {"name": name, "labels": labels}
                values.append({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        for host in (*PODS, *REMOTE_PODS):
            labels = {"app": rng.choice(_APPS), "tier": rng.choice(_TIERS)}
            ports = [
                {"name": name, "containerPort": rng.choice(_TARGETS), "protocol": rng.choice(_PROTOCOLS)}
                for name in _NAMED
                if self._some(0.5)
            ]
            node = NODE_NAME if host in PODS else "node-2"
            values.append(pod_value(host, node, rng.choice(NAMESPACES), labels, ports))
        return values

    def _add_service(self, number: int) -> None:
        rng = self._rng
        name = f"s{number}"
        families: tuple[Family, ...] = rng.choice(((4, 6), (4, 6), (4,), (6,)))
        cluster = {4: f"10.96.0.{number + 1}", 6: f"fd00:96::{number + 1}"}
        if self._some(0.15):
            cluster = {4: f"10.97.0.{number + 1}", 6: f"fd00:97::{number + 1}"}
        kind = rng.choice(("ClusterIP", "ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer", "LoadBalancer"))
        spec: dict[str, Any] = {"type": kind}
        ports: list[dict[str, Any]] = []
        for index in range(rng.randint(1, 3)):
            port = {"name": f"p{index}", "port": rng.choice(_PORTS), "protocol": rng.choice(_PROTOCOLS)}
            if any((item["port"], item["protocol"]) == (port["port"], port["protocol"]) for item in ports):
                continue
            if kind != "ClusterIP" and self._some(0.8):
                self._node_port += 1
                port["nodePort"] = self._node_port
            ports.append(port)
        status: Value = {}
        if kind == "LoadBalancer":
            mode = rng.choice((None, None, "VIP", "Proxy"))
            shared = 1 if self._may_share(ports) else 10 + number
            status = load_balancer(f"198.18.0.{shared}", f"2001:db8:18::{shared}", mode=mode)
            if self._some(0.4):
                options = [*_BLOCKS[4], *_BLOCKS[6]]
                spec["loadBalancerSourceRanges"] = rng.sample(options, rng.randint(1, 3))
        if self._some(0.25):
            spec["externalIPs"] = [f"198.18.1.{number + 1}", f"2001:db8:19::{number + 1}"]
        if kind != "ClusterIP" or "externalIPs" in spec:
            spec["externalTrafficPolicy"] = rng.choice(("Cluster", "Local"))
        spec["internalTrafficPolicy"] = rng.choice(("Cluster", "Cluster", "Local"))
        if self._some(0.3):
            spec["sessionAffinity"] = "ClientIP"
            if self._some(0.5):
                spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": rng.randint(1000, 86400)}}
        addresses = [cluster[family] for family in families]
        odd = rng.random()
        if odd < 0.05:
            addresses = ["None"]
        elif odd < 0.1:
            spec["type"] = "ExternalName"
        value = service(addresses, ports, name=name, status=status, **spec)
        if 0.1 <= odd < 0.15:
            value["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "other"}
        self._services.append(value)
        self._slices[name] = self._endpoints(value)

    def _may_share(self, ports: Sequence[Value]) -> bool:
        """Whether the one load balancer address that Services share has these ports free; they are taken then."""
        wanted = {("shared", port["protocol"], port["port"]) for port in ports}
        if wanted & self._taken or self._some(0.5):
            return False
        self._taken |= wanted
        return True

    def _endpoints(self, value: Value) -> list[Value]:
        """The Service's slices, both families whatever the Service has."""
        rng = self._rng
        targets = [
            {"name": port["name"], "protocol": port["protocol"], "port": rng.choice(_TARGETS)}
            for port in value["spec"]["ports"]
        ]
        pool = (*PODS, *REMOTE_PODS, NODE, OUTSIDE)
        chosen = rng.sample(pool, rng.choice((0, 1, 1, 2, 3, 4)))
        hinted = rng.choice(("no", "no", "no", "node", "zone", "some"))
        slices = []
        for family in FAMILIES:
            items = [self._endpoint(host, family, hinted) for host in chosen]
            slices.append(endpoint_slice(family, items, targets, name=value["metadata"]["name"]))
        return slices

    def _endpoint(self, host: Host, family: Family, hinted: str) -> Value:
        rng = self._rng
        item: Value = {"addresses": [host.address(family)]}
        if host in (*PODS, NODE):
            item["nodeName"] = NODE_NAME
        elif host in REMOTE_PODS:
            item["nodeName"] = "node-2"
        state = rng.choice(("ready",) * 6 + ("unsaid", "not ready", "leaving", "leaving", "gone"))
        conditions = {
            "ready": {"ready": True, "serving": True, "terminating": False},
            "not ready": {"ready": False, "serving": False, "terminating": False},
            "leaving": {"ready": False, "serving": True, "terminating": True},
            "gone": {"ready": False, "serving": False, "terminating": True},
        }
        if state != "unsaid":
            item["conditions"] = conditions[state]
        if hinted == "node" or (hinted == "some" and self._some(0.5)):
            item["hints"] = {"forNodes": [{"name": rng.choice((NODE_NAME, "node-2"))}]}
        elif hinted == "zone":
            item["hints"] = {"forZones": [{"name": rng.choice((ZONE, ZONE, "zone-2"))}]}
        return item

    # -- policies

    def _selector(self) -> Value:
        rng = self._rng
        match rng.randint(0, 5):
            case 0:
                return {}
            case 1:
                return {"matchLabels": {"app": rng.choice(_APPS), "tier": rng.choice(_TIERS)}}
            case 2:
                values = rng.sample(_APPS, rng.randint(1, 2))
                return {"matchExpressions": [{"key": "app", "operator": rng.choice(("In", "NotIn")), "values": values}]}
            case 3:
                key = rng.choice(("app", "nothing"))
                return {"matchExpressions": [{"key": key, "operator": rng.choice(("Exists", "DoesNotExist"))}]}
            case _:
                return {"matchLabels": {"app": rng.choice(_APPS)}}

    def _namespaces(self) -> Value:
        return self._rng.choice(
            (
                {},
                {"matchLabels": {"team": "red"}},
                {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
                {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["red"]}]},
            )
        )

    def _peer(self) -> Value:
        match self._rng.randint(0, 4):
            case 0:
                return {"podSelector": self._selector()}
            case 1:
                return {"namespaceSelector": self._namespaces()}
            case 2:
                return {"podSelector": self._selector(), "namespaceSelector": self._namespaces()}
            case _:
                return {"ipBlock": self._block()}

    def _block(self) -> Value:
        rng = self._rng
        family = rng.choice(FAMILIES)
        outer = rng.randrange(3)
        block: Value = {"cidr": _BLOCKS[family][outer]}
        holes = [item for item in _BLOCKS[family][outer + 1 :] if outer == 0 or item.startswith(("10.1.", "fd00:1:"))]
        if outer == 2:
            holes = [_BLOCKS[family][3]]
        if self._some(0.5):
            block["except"] = rng.sample(holes, min(len(holes), rng.randint(1, 2)))
        return block

    def _port(self) -> Value:
        rng = self._rng
        port: Value = {}
        if self._some(0.8):
            port["protocol"] = rng.choice(_PROTOCOLS)
        match rng.randint(0, 4):
            case 0:
                pass
            case 1:
                port["port"] = rng.choice(_NAMED)
            case 2:
                port |= {"port": rng.choice((50, 8000)), "endPort": rng.choice((8079, 8080, 9090))}
                if port["port"] == 50:
                    port["endPort"] = 53
            case _:
                port["port"] = rng.choice(_TARGETS)
        if self._some(0.03):
            port |= {"port": 90, "endPort": 80}
        return port

    def _rule(self, field_name: str) -> Value:
        rng = self._rng
        rule: Value = {}
        if self._some(0.8):
            rule[field_name] = [self._peer() for _ in range(rng.choice((0, 1, 1, 2)))]
        if self._some(0.6):
            rule["ports"] = [self._port() for _ in range(rng.choice((0, 1, 1, 2)))]
        return rule

    def _policy(self, number: int) -> Value:
        rng = self._rng
        spec: Value = {}
        if self._some(0.7):
            spec["ingress"] = [self._rule("from") for _ in range(rng.randint(0, 2))]
        if self._some(0.5):
            spec["egress"] = [self._rule("to") for _ in range(rng.randint(0, 2))]
        if self._some(0.6):
            spec["policyTypes"] = rng.choice((["Ingress"], ["Egress"], ["Ingress", "Egress"]))
        value = network_policy(f"n{number}", {}, **spec)
        value["spec"]["podSelector"] = self._selector()
        value["metadata"]["namespace"] = rng.choice(NAMESPACES)
        return value

    def _cluster_policy(self, number: int) -> Value:
        rng = self._rng
        subject: Value = {"namespaces": self._namespaces()}
        if self._some(0.5):
            subject = {"pods": {"namespaceSelector": self._namespaces(), "podSelector": self._selector()}}
        spec: Value = {"tier": rng.choice(("Admin", "Baseline")), "priority": rng.randint(0, 3), "subject": subject}
        for direction, field_name in (("ingress", "from"), ("egress", "to")):
            if self._some(0.7):
                spec[direction] = [self._cluster_rule(field_name) for _ in range(rng.randint(1, 3))]
        return {
            "apiVersion": "policy.networking.k8s.io/v1alpha2",
            "kind": "ClusterNetworkPolicy",
            "metadata": {"name": f"c{number}"},
            "spec": spec,
        }

    def _cluster_rule(self, field_name: str) -> Value:
        rng = self._rng
        peers: list[Value] = []
        for _ in range(rng.randint(1, 2)):
            match rng.randint(0, 3 if field_name == "to" else 1):
                case 0:
                    peers.append({"namespaces": self._namespaces()})
                case 1:
                    pods = {"namespaceSelector": self._namespaces(), "podSelector": self._selector()}
                    peers.append({"pods": pods})
                case 2:
                    peers.append({"networks": rng.sample((*_BLOCKS[4], *_BLOCKS[6]), rng.randint(1, 2))})
                case _:
                    peers.append({"nodes": {"matchLabels": {"role": "worker"}}})
        rule: Value = {"action": rng.choice(("Accept", "Deny", "Pass")), field_name: peers}
        if self._some(0.5):
            rule["protocols"] = [self._cluster_port(peers) for _ in range(rng.randint(1, 2))]
        return rule

    def _cluster_port(self, peers: Sequence[Value]) -> Value:
        rng = self._rng
        only_pods = not any("networks" in peer or "nodes" in peer for peer in peers)
        if only_pods and self._some(0.3):
            return {"destinationNamedPort": rng.choice(_NAMED)}
        name = rng.choice(("tcp", "udp", "sctp"))
        match rng.randint(0, 2):
            case 0:
                return {name: {}}
            case 1:
                return {name: {"destinationPort": {"number": rng.choice(_TARGETS)}}}
            case _:
                return {name: {"destinationPort": {"range": {"start": 8000, "end": rng.choice((8079, 9090))}}}}

    # -- steps

    def _steps(self, policies: Sequence[Value]) -> list[Step]:
        rng = self._rng
        waiting = [self._flow(number) for number in range(FLOWS)]
        running: list[list[Step]] = []
        steps: list[Step] = []
        while waiting or running:
            if waiting and (len(running) < 6 or self._some(0.2)):
                running.append(waiting.pop(0))
            flow = rng.choice(running)
            steps.append(flow.pop(0))
            if not flow:
                running.remove(flow)
            if self._some(0.03):
                steps.append(self._change(policies))
        return steps

    def _change(self, policies: Sequence[Value]) -> Step:
        """Endpoints that come and go, a Service that goes, policies that change."""
        rng = self._rng
        choice = rng.random()
        if choice < 0.6 or not policies:
            value = rng.choice(self._services)
            if choice < 0.1:
                return Remove((value,))
            return Apply(tuple(self._endpoints(value)))
        value = rng.choice(policies)
        if choice < 0.8:
            return Remove((value,))
        kind, _, name = key_of(value)
        number = int(name[1:])
        if kind == "NetworkPolicy":
            fresh = self._policy(number)
            fresh["metadata"] = value["metadata"]
            return Apply((fresh,))
        return Apply((self._cluster_policy(number),))

    def _flow(self, number: int) -> list[Step]:
        rng = self._rng
        family = rng.choice(FAMILIES)
        client = rng.choice((*PODS, *PODS, NODE, REMOTE, REMOTE, OUTSIDE, *REMOTE_PODS))
        if self._some(0.04):
            target = rng.choice((GATEWAY, GATEWAY, VIP))[family] if self._some(0.7) else POD_A.address(family)
            port = SPARE_PORT if self._some(0.2) else client.port
            return [Ask(number, Question(port, client.mac, client.address(family), target))]
        protocol = rng.choice(("tcp", "tcp", "tcp", "udp", "udp", "sctp", ICMP))
        dst, wanted = self._destination(family)
        protocol = wanted or protocol
        self._client_port += 1
        src = Side(client.address(family), self._client_port)
        flags = {"udp": "", ICMP: ECHO_REQUEST}.get(protocol, OPENS)
        if protocol == ICMP:
            dst = Side(dst.address, 0)
        elif protocol != "udp" and self._some(0.08):
            flags = rng.choice((*PLAIN, ENDS, ABORTS, "SA"))
        if protocol == ICMP and self._some(0.1):
            flags, src, dst = ECHO_REPLY, Side(src.address, 0), Side(dst.address, src.port)
        packet = Packet(client.port, src, dst, protocol, flags, client.mac, GATEWAY_MAC)
        if self._some(0.08):
            packet = self._broken(packet, family)
        if flags == ECHO_REPLY:
            return [Open(number, packet)]
        steps = self._cut(number, protocol, self._conversation(number, protocol))
        return [Open(number, packet), *self._complained_of(number, steps)]

    def _broken(self, packet: Packet, family: Family) -> Packet:
        match self._rng.randint(0, 5):
            case 0:
                return replace(packet, src_mac="02:00:00:00:09:09")
            case 1:
                return replace(packet, dst_mac="02:00:00:00:09:09")
            case 2:
                return replace(packet, ttl=1)
            case 3:
                return replace(packet, port=SPARE_PORT)
            case 4:
                return replace(packet, dst=packet.src)
            case _:
                return replace(packet, src=Side(POD_A.address(family), packet.src.port))

    def _destination(self, family: Family) -> tuple[Side, str]:
        """Where to, and, if it matters, by which protocol."""
        rng = self._rng
        choice = rng.random()
        if choice < 0.65:
            found = [side for value in self._services for side in _frontends(value, family)]
            if found:
                side, protocol = rng.choice(found)
                return (Side(side.address, side.port + 1), "") if self._some(0.1) else (side, protocol)
        if choice < 0.7:
            nobody = ("10.96.200.1", "10.97.200.1") if family == 4 else ("fd00:96::c8", "fd00:97::c8")
            return Side(rng.choice(nobody), rng.choice(_PORTS)), ""
        if choice < 0.9:
            return Side(rng.choice((*PODS, *PODS, *REMOTE_PODS)).address(family), rng.choice(_TARGETS)), ""
        other = (NODE, REMOTE, OUTSIDE, ROUTER)
        address = rng.choice(other).address(family)
        return Side(address, rng.choice((*_TARGETS, 30001, 30002))), ""

    def _cut(self, flow: int, protocol: str, steps: list[Step]) -> list[Step]:
        """The steps of a conversation, and perhaps one more in fragments."""
        rng = self._rng
        if protocol in ("tcp", "udp") and self._some(0.3):
            later = rng.sample((1, 2, 3), 3)
            steps.insert(rng.randint(0, len(steps)), Cut(flow, self._some(0.5), (0, *later)))
        return steps

    def _complained_of(self, flow: int, steps: list[Step]) -> list[Step]:
        """The steps of a conversation, and perhaps ICMP errors among them."""
        rng = self._rng
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            complaint = Complain(flow, rng.choice(ERROR_KINDS), self._some(0.7), self._some(0.3), self._some(0.2))
            steps.insert(rng.randint(0, len(steps)), complaint)
        return steps

    def _conversation(self, flow: int, protocol: str) -> list[Step]:
        rng = self._rng
        if protocol == ICMP:
            steps: list[Step] = [Reply(flow, ECHO_REPLY), Send(flow, ECHO_REQUEST), Reply(flow, ECHO_REPLY)]
            return steps[: rng.randint(0, 3)]
        if protocol == "udp":
            return [rng.choice((Send(flow, ""), Reply(flow, ""))) for _ in range(rng.randint(0, 5))]
        usual: list[Step] = [Reply(flow, "SA"), Send(flow, "A"), Send(flow, "PA"), Reply(flow, "PA")]
        usual += [Send(flow, ENDS), Reply(flow, "A"), Reply(flow, ENDS), Send(flow, "A"), Send(flow, OPENS)]
        steps = usual[: rng.randint(0, len(usual))]
        if self._some(0.2):
            extra = rng.choice((Send(flow, OPENS), Send(flow, ABORTS), Reply(flow, ABORTS), Reply(flow, OPENS)))
            steps.insert(rng.randint(0, len(steps)), extra)
        return steps


def _frontends(value: Value, family: Family) -> list[tuple[Side, str]]:
    """Where a Service could be asked, whether it answers there or not."""
    spec = value["spec"]
    ingress = value["status"].get("loadBalancer", {}).get("ingress", [])
    addresses = [*spec["clusterIPs"], *(item["ip"] for item in ingress), *spec.get("externalIPs", [])]
    found = []
    for port in spec["ports"]:
        protocol = port["protocol"].lower()
        mine = [address for address in addresses if (":" in address) == (family == 6) and address != "None"]
        found += [(Side(address, port["port"]), protocol) for address in mine]
        if "nodePort" in port:
            found.append((Side(NODE.address(family), port["nodePort"]), protocol))
    return found


def _service_cidr() -> Value:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": "second"},
        "spec": {"cidrs": list(SECOND_RANGE.values())},
    }
