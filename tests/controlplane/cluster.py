"""Kubernetes objects, spelt short, as the API's JSON and as typed objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from controlplane.desired.derive import Derivation
from controlplane.desired.entities import Entity, TableEntry
from controlplane.desired.inputs import Settings
from controlplane.kube.decode import decode
from controlplane.kube.objects import RESOURCES, KubeObject, ObjectRef, reference

NODE_NAME = "node-a"


def typed(value: dict[str, Any]) -> KubeObject:
    return decode(value, RESOURCES[value["kind"]])


def service_value(
    name: str = "web",
    ips: Sequence[str] = ("10.96.0.10",),
    ports: Sequence[dict[str, Any]] = ({"port": 80},),
    labels: dict[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", "labels": labels or {}},
        "spec": {"clusterIP": ips[0] if ips else "", "clusterIPs": list(ips), "ports": list(ports), **spec},
    }


def slice_value(
    service: str = "web",
    endpoints: Sequence[str | dict[str, Any]] = ("10.1.0.1",),
    ports: Sequence[dict[str, Any]] = ({"port": 8080},),
    name: str | None = None,
    address_type: str = "IPv4",
) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name or f"{service}-{address_type.lower()}",
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": address_type,
        "endpoints": [
            {"addresses": [item], "conditions": {"ready": True}} if isinstance(item, str) else item
            for item in endpoints
        ],
        "ports": list(ports),
    }


def endpoint(address: str, ready: bool | None, serving: bool | None = None, terminating: bool | None = None) -> Any:
    return {"addresses": [address], "conditions": {"ready": ready, "serving": serving, "terminating": terminating}}


def pod_value(
    name: str,
    ip: str | Sequence[str],
    labels: dict[str, str] | None = None,
    namespace: str = "shop",
    port: int | None = None,
    node: str = NODE_NAME,
    ports: Sequence[dict[str, Any]] = (),
    **spec: Any,
) -> dict[str, Any]:
    ips = [ip] if isinstance(ip, str) else list(ip)
    annotations = (
        {} if port is None else {"kulvert.dev/port": str(port), "kulvert.dev/mac": f"02:00:00:00:00:{port:02x}"}
    )
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}, "annotations": annotations},
        "spec": {"nodeName": node, "containers": [{"name": "main", "ports": list(ports)}], **spec},
        "status": {"phase": "Running", "podIPs": [{"ip": item} for item in ips]},
    }


def namespace_value(name: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}}


def node_value(name: str, internal_ip: str, pod_cidr: str = "") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"podCIDRs": [pod_cidr]} if pod_cidr else {},
        "status": {"addresses": [{"type": "InternalIP", "address": internal_ip}]},
    }


def policy_value(name: str = "policy", namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {}, **spec},
    }


def cluster_policy_value(
    name: str = "cluster-policy",
    tier: str = "Admin",
    priority: int = 10,
    subject: dict[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": name},
        "spec": {"tier": tier, "priority": priority, "subject": subject or {"namespaces": {}}, **spec},
    }


def service_cidr_value(name: str = "kubernetes", *cidrs: str) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": name},
        "spec": {"cidrs": list(cidrs)},
    }


def derive(values: Iterable[dict[str, Any]], settings: Settings | None = None) -> Derivation:
    """A derivation that has worked through these objects."""
    derivation = Derivation(settings or Settings(NODE_NAME))
    for value in values:
        obj = typed(value)
        derivation.apply(reference(obj), obj)
    derivation.settle()
    return derivation


def ref_of(value: dict[str, Any]) -> ObjectRef:
    return reference(typed(value))


def entries_of(entities: Iterable[Entity], table: str) -> list[TableEntry]:
    return [entity for entity in entities if isinstance(entity, TableEntry) and entity.table == table]
