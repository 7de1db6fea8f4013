"""This node as others see it, and who counts as a pod or as this node.

`source_class_table`, `masquerade_table`, `error_source_table`.
"""

from __future__ import annotations

import msgspec

from controlplane.addresses import AddressError, Prefix, host_prefix, is_ipv4, parse_address, parse_prefix
from controlplane.desired.engine import Rule, View
from controlplane.desired.entities import Entity, Exact, Lpm, Param, TableEntry, entry
from controlplane.desired.inputs import ATTACHMENTS, CONFIGURATION, OBJECT, SETTINGS, Output, Problem
from controlplane.desired.symbols import Family
from controlplane.kube.objects import Node, ObjectRef

ZONE_LABEL = "topology.kubernetes.io/zone"
HOST_ADDRESSES = ("InternalIP", "ExternalIP")


def pod_cidrs(node: Node) -> tuple[str, ...]:
    """The ranges of a node's pods, as its spec has them: both families', or the one of older clusters."""
    return node.spec.pod_cidrs or ((node.spec.pod_cidr,) if node.spec.pod_cidr else ())


class LocalNode(msgspec.Struct, frozen=True):
    """This node.

    Attributes:
        addresses: all of its own, the primary one of each family before the others.
    """

    name: str
    zone: str = ""
    addresses: tuple[int, ...] = ()

    def primary(self, family: Family) -> int | None:
        """The address that the node is known by in one family."""
        for address in self.addresses:
            if is_ipv4(address) == (family == Family.IPV4):
                return address
        return None


def _derive(view: View, key: None) -> LocalNode:
    name = view.read(SETTINGS, key).node_name
    node = view.read(OBJECT, ObjectRef("Node", "", name))
    found: dict[int, None] = {}
    zone = ""
    if isinstance(node, Node):
        zone = (node.metadata.labels or {}).get(ZONE_LABEL, "")
        for kind in HOST_ADDRESSES:
            for item in node.status.addresses or ():
                if item.type == kind:
                    try:
                        found[parse_address(item.address)] = None
                    except AddressError:
                        continue  # the node's own rule says so
    attachment = view.read(ATTACHMENTS, key).node
    if attachment is not None:
        found |= dict.fromkeys(attachment.addresses)
    return LocalNode(name, zone, tuple(found))


LOCAL_NODE: Rule[None, LocalNode] = Rule("local node", _derive)


def _source_class(prefix: Prefix, action: str) -> list[TableEntry]:
    return [
        entry("source_class_table", (Lpm("src_addr", part.address, part.length),), action) for part in prefix.split()
    ]


def _derive_local(view: View, key: None) -> Output:
    node = view.get(LOCAL_NODE, key)
    entities: list[Entity] = []
    for address in node.addresses:
        entities += _source_class(host_prefix(address), "set_node_source")
    for family in Family:
        primary = node.primary(family)
        if primary is not None:
            is_ipv6 = int(family == Family.IPV6)
            for table, action in (
                ("masquerade_table", "set_masquerade_address"),
                ("error_source_table", "set_error_source"),
            ):
                entities.append(entry(table, (Exact("is_ipv6", is_ipv6),), action, Param("addr", primary)))
    return Output(ObjectRef("Node", "", node.name), tuple(entities), precedence=2)


def _derive_cluster(view: View, key: None) -> Output:
    settings = view.read(SETTINGS, key)
    entities: list[Entity] = []
    for prefix in settings.cluster_cidrs if settings.detect_local_mode != "NodeCIDR" else ():
        entities += _source_class(prefix, "set_pod_source")
    return Output(CONFIGURATION, tuple(entities), precedence=1)


def _derive_pod_ranges(view: View, ref: ObjectRef) -> Output:
    node = view.read(OBJECT, ref)
    settings = view.read(SETTINGS, None)
    if not isinstance(node, Node) or settings.detect_local_mode == "ClusterCIDR":
        return Output(ref)
    ranges = pod_cidrs(node)
    if settings.detect_local_mode == "NodeCIDR":
        if ref.name != settings.node_name:
            return Output(ref)
        if not ranges:
            return Output(ref, (), (Problem(ref, "has no podCIDRs, which detect-local-mode NodeCIDR goes by"),))
    entities: list[Entity] = []
    for text in ranges:
        try:
            entities += _source_class(parse_prefix(text), "set_pod_source")
        except AddressError:
            continue  # the node's route says so
    return Output(ref, tuple(entities))


LOCAL_SOURCES: Rule[None, Output] = Rule("sources on this node", _derive_local)
CLUSTER_SOURCES: Rule[None, Output] = Rule("sources in the cluster's ranges", _derive_cluster)
NODE_SOURCES: Rule[ObjectRef, Output] = Rule("sources in a node's pod ranges", _derive_pod_ranges)
