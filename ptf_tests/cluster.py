"""A small cluster for the packet tests: Kubernetes objects in, the control plane's own entries in the switch.

`node-1` is the switch's node, with the base's pods a, b and c in zone-1; `node-2` is behind the uplink, with the pods of `REMOTE_PODS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.addresses import parse_address, parse_mac, parse_prefix
from controlplane.attachments import Attachments, NodeAttachment, PodAttachment, StaticRoute, Uplink
from controlplane.desired.derive import Derivation
from controlplane.desired.inputs import Settings
from controlplane.kube.decode import decode
from controlplane.kube.objects import RESOURCES, ObjectRef, reference
from controlplane.p4rt.allocate import Allocator
from controlplane.p4rt.codec import Codec
from controlplane.p4rt.sequence import Order, Update, UpdateType, sequence
from ptf_tests.base import GATEWAY, NODE, PODS, ROUTER, SERVICE_RANGE
from ptf_tests.client import Client
from ptf_tests.packets import FAMILIES, GATEWAY_MAC, Family, Host

NAMESPACE = "shop"
NODE_NAME = "node-1"
ZONE = "zone-1"
POD_RANGES: dict[str, dict[Family, str]] = {
    "node-1": {4: "10.1.0.0/24", 6: "fd00:1::/64"},
    "node-2": {4: "10.2.0.0/24", 6: "fd00:2::/64"},
}
REMOTE_PODS = tuple(
    Host(f"r{number}", ROUTER.port, ROUTER.mac, f"10.2.0.{number}", f"fd00:2::{number}") for number in (1, 2, 3)
)
"""Pods of node-2, reached through the router."""

Value = dict[str, Any]


def service(
    addresses: Sequence[str],
    ports: Sequence[Mapping[str, Any]],
    *,
    name: str = "web",
    status: Value | None = None,
    **spec: Any,
) -> Value:
    """A Service of NAMESPACE with these cluster IPs."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"clusterIP": addresses[0] if addresses else "", "clusterIPs": [*addresses], "ports": [*ports], **spec},
        "status": status or {},
    }


def load_balancer(*addresses: str, mode: str | None = None) -> Value:
    """A Service's status with load balancer addresses."""
    return {"loadBalancer": {"ingress": [{"ip": item} | ({"ipMode": mode} if mode else {}) for item in addresses]}}


def endpoint(host: Host, family: Family, *, hints: Value | None = None, **conditions: bool) -> Value:
    """An endpoint of a slice: ready unless the conditions say something else."""
    item: Value = {
        "addresses": [host.address(family)],
        "conditions": {"ready": True} | conditions,
        "nodeName": "node-2" if host in REMOTE_PODS else NODE_NAME,
    }
    return item | ({"hints": hints} if hints else {})


def endpoint_slice(
    family: Family, endpoints: Sequence[Value], ports: Sequence[Mapping[str, Any]], *, name: str = "web"
) -> Value:
    """The EndpointSlice of a Service in one family."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-v{family}",
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": f"IPv{family}",
        "ports": [*ports],
        "endpoints": [*endpoints],
    }


def network_policy(name: str, pods: Value, **spec: Any) -> Value:
    """A NetworkPolicy of NAMESPACE for the pods with these labels."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"podSelector": {"matchLabels": pods}, **spec},
    }


def node_value(
    name: str, addresses: Sequence[str], labels: Mapping[str, str] | None = None, external: Sequence[str] = ()
) -> Value:
    """A node of `POD_RANGES` with these InternalIPs and ExternalIPs."""
    ranges = POD_RANGES[name]
    zone = {"topology.kubernetes.io/zone": ZONE if name == NODE_NAME else "zone-2"}
    given = [{"type": "InternalIP", "address": address} for address in addresses]
    given += [{"type": "ExternalIP", "address": address} for address in external]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": zone | dict(labels or {})},
        "spec": {"podCIDR": ranges[4], "podCIDRs": list(ranges.values())},
        "status": {"addresses": given},
    }


def pod_value(
    host: Host,
    node: str,
    namespace: str = NAMESPACE,
    labels: Mapping[str, str] | None = None,
    ports: Sequence[Mapping[str, Any]] = (),
) -> Value:
    """A running pod with both its addresses; labelled with its name unless `labels` are given."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": host.name,
            "namespace": namespace,
            "labels": {"pod": host.name} if labels is None else {**labels},
        },
        "spec": {"nodeName": node, "containers": [{"name": "main", "ports": [*ports]}]},
        "status": {"phase": "Running", "podIPs": [{"ip": host.ipv4}, {"ip": host.ipv6}]},
    }


ROUTES = ("0.0.0.0/0", "2000::/3", "fd00::/8")
"""What the router takes; ::/0 would take 96 entries of a small table."""


def attachments_of(values: Sequence[Value]) -> Attachments:
    """The base's ports. `values`: the objects; the Pods among them with a name of `PODS` are behind the port of that name."""
    gateway_mac = parse_mac(GATEWAY_MAC)
    neighbors = tuple((parse_address(ROUTER.address(family)), parse_mac(ROUTER.mac)) for family in FAMILIES)
    hosts = {host.name: host for host in PODS}
    local = [value["metadata"] for value in values if value["kind"] == "Pod" and value["metadata"]["name"] in hosts]
    return Attachments(
        gateway_mac=gateway_mac,
        gateway_addresses=tuple(parse_address(GATEWAY[family]) for family in FAMILIES),
        node=NodeAttachment(NODE.port, parse_mac(NODE.mac)),
        uplinks=(Uplink(ROUTER.port, gateway_mac, neighbors),),
        routes=tuple(
            StaticRoute(parse_prefix(prefix), (parse_address(ROUTER.address(6 if ":" in prefix else 4)),))
            for prefix in ROUTES
        ),
        pods=tuple(
            (
                ObjectRef("Pod", meta["namespace"], meta["name"]),
                PodAttachment(hosts[meta["name"]].port, parse_mac(hosts[meta["name"]].mac)),
            )
            for meta in local
        ),
    )


def plain_objects(node_addresses: Sequence[str] = (NODE.ipv4, NODE.ipv6)) -> list[Value]:
    """Both nodes with all their pods, and nothing else."""
    pods = [*(pod_value(host, NODE_NAME) for host in PODS), *(pod_value(host, "node-2") for host in REMOTE_PODS)]
    return [node_value(NODE_NAME, node_addresses), node_value("node-2", (ROUTER.ipv4, ROUTER.ipv6)), *pods]


class Cluster:
    """Objects as they are now, and what the control plane makes of them, in the switch."""

    def __init__(
        self,
        client: Client,
        node_addresses: Sequence[str] = (NODE.ipv4, NODE.ipv6),
        *,
        objects: Sequence[Value] | None = None,
        **settings: Any,
    ) -> None:
        """Start with `objects`, or with `plain_objects`. `settings` are the derivation's."""
        values = plain_objects(node_addresses) if objects is None else objects
        self._client = client
        ranges = tuple(parse_prefix(f"{prefix}/{length}") for prefix, length in SERVICE_RANGE.values())
        self._derivation = Derivation(Settings(NODE_NAME, ranges, **settings))
        self._codec = Codec(client.index, Allocator())
        self._order = Order(client.index)
        self._derivation.set_attachments(attachments_of(values))
        self.apply(*values)

    def attach(self, attachments: Attachments) -> None:
        """Other ports than before."""
        self._derivation.set_attachments(attachments)
        self._write()

    @property
    def problems(self) -> list[str]:
        """What the control plane finds wrong with the objects."""
        return sorted(str(problem) for problem in self._derivation.problems)

    def apply(self, *values: Value) -> None:
        """Objects that are new or changed."""
        for value in values:
            typed = decode(value, RESOURCES[value["kind"]])
            self._derivation.apply(reference(typed), typed)
        self._write()

    def remove(self, *values: Value) -> None:
        """Objects that are gone."""
        for value in values:
            self._derivation.apply(reference(decode(value, RESOURCES[value["kind"]])), None)
        self._write()

    def withdraw(self) -> None:
        """Take every entry out of the switch again."""
        entities = list(self._derivation.ledger)
        self._send([Update(UpdateType.DELETE, self._codec.encode(entity), entity) for entity in entities])

    def _write(self) -> None:
        self._derivation.settle()
        updates: list[Update] = []
        for change in self._derivation.ledger.take_changes():
            if change.new is not None:
                kind = UpdateType.INSERT if change.old is None else UpdateType.MODIFY
                updates.append(Update(kind, self._codec.encode(change.new), change.new))
            elif change.old is not None:
                updates.append(Update(UpdateType.DELETE, self._codec.encode(change.old), change.old))
        self._send(updates)

    def _send(self, updates: Sequence[Update]) -> None:
        for batch in sequence(updates, self._order, 1000):
            self._client.write([(int(update.type), update.wire.message) for update in batch])
