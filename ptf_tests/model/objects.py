"""The cluster as its documents describe it: nodes, pods, namespaces, label selectors."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Value = dict[str, Any]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

Key = tuple[str, str, str]
"""Kind, namespace and name of an object."""


class MalformedError(ValueError):
    """A field that the API would not have let through, or that cannot be offered."""


def key_of(value: Value) -> Key:
    """Which object a document is."""
    meta = value["metadata"]
    return value["kind"], meta.get("namespace", ""), meta["name"]


def family_of(address: str) -> int:
    """4 or 6."""
    return 6 if ":" in address else 4


def parse_network(text: object) -> Network:
    """A range in CIDR notation. Raises MalformedError."""
    try:
        if not isinstance(text, str) or "/" not in text:
            raise ValueError
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise MalformedError(f"{text!r} is no address range") from None


def holds(network: Network, address: str) -> bool:
    """Whether an address is in a range; those of the other family never are."""
    parsed = ipaddress.ip_address(address)
    return parsed.version == network.version and parsed in network


def selects(selector: Value | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects; `{}` and none select everything. Raises MalformedError."""
    selector = selector or {}
    for label, wanted in (selector.get("matchLabels") or {}).items():
        if labels.get(label) != wanted:
            return False
    for item in selector.get("matchExpressions") or ():
        label, values = item["key"], item.get("values") or ()
        match item["operator"]:
            case "In" if values:
                if labels.get(label) not in values:
                    return False
            case "NotIn" if values:
                if labels.get(label) in values:
                    return False
            case "Exists" if not values:
                if label not in labels:
                    return False
            case "DoesNotExist" if not values:
                if label in labels:
                    return False
            case operator:
                raise MalformedError(f"operator {operator!r} with values {values!r}")
    return True


@dataclass(frozen=True)
class NamedPort:
    """A container port with a name."""

    name: str
    protocol: str
    port: int


@dataclass(frozen=True)
class PodInfo:
    """A pod that has addresses of its own: neither on the host's network nor finished."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    node: str
    addresses: tuple[str, ...]
    ports: tuple[NamedPort, ...]


@dataclass(frozen=True)
class NodeInfo:
    """A node: its addresses with the InternalIPs first, and the ranges of its pods."""

    name: str
    labels: Mapping[str, str]
    addresses: tuple[str, ...]
    pod_ranges: tuple[Network, ...]

    @property
    def zone(self) -> str:
        return self.labels.get("topology.kubernetes.io/zone", "")

    def primary(self, family: int) -> str | None:
        """The address that it is known by in a family."""
        return next((address for address in self.addresses if family_of(address) == family), None)


class World:
    """The objects as they are now, seen from one node.

    Args:
        node_name: whose data plane is asked about.
        service_ranges: the cluster's ranges of Service addresses, beside those of ServiceCIDR objects.
    """

    def __init__(self, node_name: str, service_ranges: Sequence[str]) -> None:
        self.node_name = node_name
        self._ranges = [parse_network(text) for text in service_ranges]
        self._objects: dict[Key, Value] = {}
        self._read()

    def apply(self, values: Iterable[Value]) -> None:
        """Objects that are new or changed."""
        for value in values:
            self._objects[key_of(value)] = value
        self._read()

    def remove(self, values: Iterable[Value]) -> None:
        """Objects that are gone."""
        for value in values:
            self._objects.pop(key_of(value), None)
        self._read()

    def of_kind(self, kind: str) -> list[Value]:
        """All objects of a kind, by namespace and name."""
        return [self._objects[key] for key in sorted(self._objects) if key[0] == kind]

    def _read(self) -> None:
        self.nodes = [_node(value) for value in self.of_kind("Node")]
        self.pods = [pod for value in self.of_kind("Pod") if (pod := _pod(value)) is not None]
        self._pod_of = {address: pod for pod in self.pods for address in pod.addresses}
        self._labels = {
            value["metadata"]["name"]: value["metadata"].get("labels") or {} for value in self.of_kind("Namespace")
        }
        self.service_ranges = list(self._ranges)
        for value in self.of_kind("ServiceCIDR"):
            self.service_ranges += [parse_network(text) for text in value["spec"].get("cidrs") or ()]

    @property
    def here(self) -> NodeInfo:
        """This node."""
        return next((node for node in self.nodes if node.name == self.node_name), NodeInfo(self.node_name, {}, (), ()))

    def pod_at(self, address: str) -> PodInfo | None:
        """The pod that has an address, wherever it runs."""
        return self._pod_of.get(address)

    def local_pod_at(self, address: str) -> PodInfo | None:
        """The same, if it runs on this node."""
        pod = self._pod_of.get(address)
        return pod if pod is not None and pod.node == self.node_name else None

    def namespace_labels(self, name: str) -> Mapping[str, str]:
        """A namespace's labels; the one with its own name is always there."""
        return {**self._labels.get(name, {}), "kubernetes.io/metadata.name": name}


def _node(value: Value) -> NodeInfo:
    spec, status = value.get("spec") or {}, value.get("status") or {}
    given = status.get("addresses") or ()
    addresses = [item["address"] for kind in ("InternalIP", "ExternalIP") for item in given if item.get("type") == kind]
    ranges = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
    return NodeInfo(
        value["metadata"]["name"],
        value["metadata"].get("labels") or {},
        tuple(dict.fromkeys(addresses)),
        tuple(parse_network(text) for text in ranges),
    )


def _pod(value: Value) -> PodInfo | None:
    spec, status = value.get("spec") or {}, value.get("status") or {}
    if spec.get("hostNetwork") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    ports = [
        NamedPort(port["name"], port.get("protocol", "TCP"), port["containerPort"])
        for container in spec.get("containers") or ()
        for port in container.get("ports") or ()
        if port.get("name")
    ]
    return PodInfo(
        value["metadata"]["namespace"],
        value["metadata"]["name"],
        value["metadata"].get("labels") or {},
        spec.get("nodeName", ""),
        tuple(item["ip"] for item in status.get("podIPs") or ()),
        tuple(ports),
    )
