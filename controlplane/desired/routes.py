"""`route_table`: other nodes and their pod ranges, this node itself, and the static routes.

Also the identity of this node's own addresses, which policy must never block.
"""

from __future__ import annotations

from controlplane.addresses import (
    AddressError,
    Prefix,
    format_address,
    host_prefix,
    is_ipv4,
    parse_address,
    parse_prefix,
)
from controlplane.attachments import Attachments
from controlplane.desired.engine import Rule, View
from controlplane.desired.entities import Entity, Lpm, Param, TableEntry, entry
from controlplane.desired.identities import identity_entries
from controlplane.desired.inputs import ATTACHMENTS, ATTACHMENTS_FILE, OBJECT, SETTINGS, Output, Problem
from controlplane.desired.symbols import IDENTITY_LOCAL_NODE
from controlplane.kube.objects import Node, ObjectRef

_HOST_ADDRESSES = ("InternalIP", "ExternalIP")


def _route(prefix: Prefix, port: int, src_mac: int, dst_mac: int) -> TableEntry:
    return entry(
        "route_table",
        (Lpm("dst_addr", prefix.address, prefix.length),),
        "forward",
        Param("port", port),
        Param("src_mac", src_mac),
        Param("dst_mac", dst_mac),
    )


def _addresses(node: Node, ref: ObjectRef, problems: list[Problem], kinds: tuple[str, ...]) -> list[int]:
    found: dict[int, None] = {}
    for address in node.status.addresses or ():
        if address.type in kinds:
            try:
                found[parse_address(address.address)] = None
            except AddressError as error:
                problems.append(Problem(ref, f"status.addresses: {error}"))
    return list(found)


def _derive_node(view: View, ref: ObjectRef) -> Output:
    node = view.read(OBJECT, ref)
    if not isinstance(node, Node):
        return Output(ref)
    attachments = view.read(ATTACHMENTS, None)
    problems: list[Problem] = []
    if ref.name == view.read(SETTINGS, None).node_name:
        entities = _local(node, ref, attachments, problems)
    else:
        entities = _remote(node, ref, attachments, problems)
    return Output(ref, tuple(entities), tuple(problems), precedence=2)


def _local(node: Node, ref: ObjectRef, attachments: Attachments, problems: list[Problem]) -> list[Entity]:
    addresses = dict.fromkeys(_addresses(node, ref, problems, _HOST_ADDRESSES))
    port = attachments.node
    if port is not None:
        addresses |= dict.fromkeys(port.addresses)
    entities: list[Entity] = []
    for address in addresses:
        entities += identity_entries(host_prefix(address), IDENTITY_LOCAL_NODE)
        if port is not None:
            entities.append(_route(host_prefix(address), port.port, attachments.gateway_mac, port.mac))
    return entities


def _remote(node: Node, ref: ObjectRef, attachments: Attachments, problems: list[Problem]) -> list[Entity]:
    addresses = _addresses(node, ref, problems, ("InternalIP",))
    if not attachments.uplinks:
        return []  # a node on its own; nothing is reached over a wire
    hops = {address: hop for address in addresses if (hop := attachments.next_hop(address)) is not None}
    entities: list[Entity] = []
    for address, (uplink, mac) in hops.items():
        entities.append(_route(host_prefix(address), uplink.port, uplink.mac, mac))
    for text in node.spec.pod_cidrs or ((node.spec.pod_cidr,) if node.spec.pod_cidr else ()):
        try:
            prefix = parse_prefix(text)
        except AddressError as error:
            problems.append(Problem(ref, f"spec.podCIDRs: {error}"))
            continue
        # Only the next hop's MAC matters, so an IPv6 range can be behind an IPv4 address.
        usable = [address for address in hops if is_ipv4(address) == is_ipv4(prefix.address)] or list(hops)
        if not usable:
            shown = ", ".join(format_address(address) for address in addresses) or "which it has not"
            problems.append(
                Problem(
                    ref, f"pod range {prefix} cannot be reached: no uplink has its InternalIP ({shown}) as a neighbour"
                )
            )
            continue
        uplink, mac = hops[usable[0]]
        entities += [_route(part, uplink.port, uplink.mac, mac) for part in prefix.split()]
    return entities


def _derive_static(view: View, key: None) -> Output:
    attachments = view.read(ATTACHMENTS, key)
    entities: list[Entity] = []
    for route in attachments.routes:
        hop = attachments.next_hop(route.via)
        if hop is not None:
            entities += [_route(part, hop[0].port, hop[0].mac, hop[1]) for part in route.prefix.split()]
    return Output(ATTACHMENTS_FILE, tuple(entities), precedence=1)


NODE: Rule[ObjectRef, Output] = Rule("node", _derive_node)
STATIC_ROUTES: Rule[None, Output] = Rule("static routes", _derive_static)
