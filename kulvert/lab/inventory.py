"""What the lab has to build, read from the manifests: the node, its pods, and the Services to try.

Reads only what it needs of each object and leaves judging the rest to the controller. A file or an object that it cannot
use is left out, with a warning; one bad manifest does not stop the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import yaml

from kulvert.failures import UserError

IpAddress = IPv4Address | IPv6Address

UPSTREAM_VARIABLE = "UPSTREAM_URL"
"""A container's environment variable with the URL that `GET /upstream` fetches."""

FIRST_POD_PORT = 1
NODE_PORT = 500
"""The switch port of the node's own stack. (Port 0 is where an untouched packet would go, so nobody gets it.)"""


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port a container serves: its number and `TCP` or `UDP`."""

    number: int
    protocol: str


@dataclass(frozen=True, slots=True)
class LabPod:
    """A pod that the lab makes a network namespace for, and its place on the switch.

    Attributes:
        app: its `app` label, or its name.
        port: the switch's port number.
        interface: the switch's end of its wire.
        mac: the pod's own MAC address.
    """

    namespace: str
    name: str
    app: str
    addresses: tuple[IpAddress, ...]
    ports: tuple[ContainerPort, ...]
    upstream: str
    port: int
    interface: str
    mac: str

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    def address(self, version: int) -> str | None:
        """The pod's address of IP version 4 or 6."""
        return next((str(address) for address in self.addresses if address.version == version), None)


@dataclass(frozen=True, slots=True)
class LabService:
    """A Service with cluster addresses: name, addresses, ports as (name, protocol, number), and the first port's node port, or 0."""

    namespace: str
    name: str
    addresses: tuple[IpAddress, ...]
    ports: tuple[tuple[str, str, int], ...]
    node_port: int = 0

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    def address(self, version: int) -> str | None:
        """The ClusterIP of IP version 4 or 6."""
        return next((str(address) for address in self.addresses if address.version == version), None)


@dataclass(frozen=True, slots=True)
class LabNode:
    """The node: its name, its addresses and its place on the switch."""

    name: str
    addresses: tuple[IpAddress, ...]
    port: int
    interface: str
    mac: str

    def address(self, version: int) -> str | None:
        """The InternalIP of IP version 4 or 6."""
        return next((str(address) for address in self.addresses if address.version == version), None)


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything the lab builds."""

    node: LabNode
    pods: tuple[LabPod, ...]
    services: tuple[LabService, ...]
    warnings: tuple[str, ...]

    def pods_of(self, app: str) -> tuple[LabPod, ...]:
        """The pods with the label `app`."""
        return tuple(pod for pod in self.pods if pod.app == app)

    def service(self, name: str) -> LabService:
        """The Service of that name. Raises UserError."""
        for service in self.services:
            if name in (service.name, service.key):
                return service
        raise UserError(f"the manifests have no Service {name!r}")


def read_inventory(folder: Path) -> Inventory:
    """Read every manifest under `folder`.

    Raises:
        UserError: there is no Node, or no pod on it.
    """
    warnings: list[str] = []
    node: LabNode | None = None
    raw_pods: list[tuple[str, Mapping[str, Any]]] = []
    services: list[LabService] = []
    for place, document in _documents(folder, warnings):
        try:
            match document.get("kind"):
                case "Node" if node is None:
                    node = _read_node(document)
                case "Node":
                    warnings.append(f"{place}: a second Node; the lab has one node and leaves it out")
                case "Pod":
                    raw_pods.append((place, document))
                case "Service":
                    service = _read_service(document)
                    if service.addresses:
                        services.append(service)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            warnings.append(f"{place}: {_name_of(document)}: left out of the lab: {_reason(error)}")
    if node is None:
        raise UserError(f"{folder}: no Node among the manifests; the lab needs one")
    pods: list[LabPod] = []
    for place, document in raw_pods:
        try:
            if document["spec"].get("nodeName") == node.name and not document["spec"].get("hostNetwork"):
                pods.append(_read_pod(document, FIRST_POD_PORT + len(pods)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            warnings.append(f"{place}: {_name_of(document)}: left out of the lab: {_reason(error)}")
    if not pods:
        raise UserError(f"{folder}: no Pod with an address has `nodeName: {node.name}`")
    return Inventory(node, tuple(pods), tuple(services), tuple(warnings))


def _documents(folder: Path, warnings: list[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".yaml", ".yml", ".json") and path.is_file())
    if not paths:
        raise UserError(f"{folder}: no manifests (*.yaml, *.yml, *.json)")
    for path in paths:
        try:
            documents = list(yaml.load_all(path.read_text(encoding="utf-8"), Loader=_Loader))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            warnings.append(f"{path}: left out of the lab: {' '.join(str(error).split())}")
            continue
        for document in documents:
            if isinstance(document, Mapping):
                items = document.get("items") if str(document.get("kind", "")).endswith("List") else [document]
                for item in items if isinstance(items, list) else []:
                    if isinstance(item, Mapping):
                        yield str(path), item


_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _name_of(document: Mapping[str, Any]) -> str:
    metadata = document.get("metadata")
    name = metadata.get("name", "?") if isinstance(metadata, Mapping) else "?"
    return f"{document.get('kind')} {name}"


def _reason(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)


def _read_node(document: Mapping[str, Any]) -> LabNode:
    addresses = tuple(
        ip_address(entry["address"]) for entry in document["status"]["addresses"] if entry["type"] == "InternalIP"
    )
    return LabNode(str(document["metadata"]["name"]), addresses, NODE_PORT, f"kvp{NODE_PORT}", mac_of(NODE_PORT))


def _read_pod(document: Mapping[str, Any], port: int) -> LabPod:
    metadata, spec, status = document["metadata"], document["spec"], document["status"]
    containers = spec.get("containers") or []
    ports = tuple(
        ContainerPort(int(entry["containerPort"]), str(entry.get("protocol", "TCP")))
        for container in containers
        for entry in container.get("ports") or []
    )
    upstreams = [
        str(variable["value"])
        for container in containers
        for variable in container.get("env") or []
        if variable["name"] == UPSTREAM_VARIABLE
    ]
    addresses = [entry["ip"] for entry in status.get("podIPs") or []] or [status["podIP"]]
    return LabPod(
        namespace=str(metadata.get("namespace", "default")),
        name=str(metadata["name"]),
        app=str((metadata.get("labels") or {}).get("app", metadata["name"])),
        addresses=tuple(ip_address(address) for address in addresses),
        ports=ports,
        upstream=upstreams[0] if upstreams else "",
        port=port,
        interface=f"kvp{port}",
        mac=mac_of(port),
    )


def _read_service(document: Mapping[str, Any]) -> LabService:
    metadata, spec = document["metadata"], document["spec"]
    cluster_ips = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    ports = tuple(
        (str(entry.get("name", "")), str(entry.get("protocol", "TCP")), int(entry["port"]))
        for entry in spec.get("ports") or []
    )
    addresses = tuple(ip_address(address) for address in cluster_ips if address != "None")
    node_port = int((spec.get("ports") or [{}])[0].get("nodePort", 0))
    return LabService(str(metadata.get("namespace", "default")), str(metadata["name"]), addresses, ports, node_port)


def mac_of(port: int) -> str:
    """The MAC address of the stack behind a switch port: locally administered, and readable."""
    return f"02:6b:76:00:{port >> 8:02x}:{port & 0xFF:02x}"
