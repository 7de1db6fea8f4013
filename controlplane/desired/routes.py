"""`route_table`, `next_hop_table`, `tunnel_*`: other nodes and their pod ranges, this node itself, and the static routes.

Where there are several ways to one place they share the load, flow by flow; one whose port is down is not used. With tunnels, a
node's pods are reached through its InternalIP, whatever lies between.

Also the identity of this node's own addresses, which policy must never block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
from controlplane.desired.entities import (
    ActionCall,
    ActionProfileGroup,
    ActionProfileMember,
    Entity,
    Exact,
    GroupMember,
    GroupReference,
    Lpm,
    Param,
    TableEntry,
    entry,
)
from controlplane.desired.identities import identity_entries
from controlplane.desired.inputs import ATTACHMENTS, ATTACHMENTS_FILE, OBJECT, SETTINGS, Output, Problem, Settings
from controlplane.desired.node import HOST_ADDRESSES, LOCAL_NODE, LocalNode, pod_cidrs
from controlplane.desired.symbols import IDENTITY_LOCAL_NODE, Family, NextHop, NextHopsId
from controlplane.kube.objects import Node, ObjectRef

SELECTOR = "next_hop_selector"


def _route(prefix: Prefix, action: str, *params: Param) -> TableEntry:
    return entry("route_table", (Lpm("dst_addr", prefix.address, prefix.length),), action, *params)


def _hop_params(hop: NextHop) -> tuple[Param, ...]:
    return Param("port", hop.port), Param("src_mac", hop.src_mac), Param("dst_mac", hop.dst_mac)


def _routes(prefix: Prefix, hops: Iterable[NextHop], settings: Settings) -> list[Entity]:
    """The entries that lead to a range by one next hop or more."""
    ways = NextHopsId(tuple(sorted(set(hops))))
    if len(ways.hops) == 1:
        return [_route(part, "forward", *_hop_params(ways.hops[0])) for part in prefix.split()]
    entities: list[Entity] = [_route(part, "use_next_hops", Param("next_hops_id", ways)) for part in prefix.split()]
    return [*entities, *_way_set(ways, settings)]


def _way_set(ways: NextHopsId, settings: Settings) -> list[Entity]:
    """The entries of a set of next hops."""
    entities: list[Entity] = [
        ActionProfileMember(SELECTOR, hop, ActionCall("set_next_hop", _hop_params(hop))) for hop in ways.hops
    ]
    members = tuple(GroupMember(hop, watch_port=hop.port if settings.watch_ports else None) for hop in ways.hops)
    entities.append(ActionProfileGroup(SELECTOR, ways, members))
    entities.append(TableEntry("next_hop_table", (Exact("next_hops_id", ways),), GroupReference(ways)))
    return entities


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
    settings = view.read(SETTINGS, None)
    problems: list[Problem] = []
    if ref.name == settings.node_name:
        entities = _local(node, ref, attachments, settings, problems)
        if settings.tunnel_mode != "routed":
            entities += _tunnel_ends(node, ref, attachments)
    elif not attachments.uplinks:
        entities = []  # a node on its own; nothing is reached over a wire
    else:
        addresses = _addresses(node, ref, problems, ("InternalIP",))
        hops = {address: found for address in addresses if (found := attachments.next_hops(address))}
        entities = [
            entity for address, found in hops.items() for entity in _routes(host_prefix(address), found, settings)
        ]
        ranges = _pod_ranges(node, ref, problems)
        if settings.tunnel_mode == "routed":
            entities += _routed(ranges, ref, addresses, hops, settings, problems)
        else:
            local = view.get(LOCAL_NODE, None)
            entities += _tunnelled(ranges, ref, addresses, local, attachments, settings, problems)
    return Output(ref, tuple(entities), tuple(problems), precedence=2)


def _local(
    node: Node, ref: ObjectRef, attachments: Attachments, settings: Settings, problems: list[Problem]
) -> list[Entity]:
    addresses = dict.fromkeys(_addresses(node, ref, problems, HOST_ADDRESSES))
    port = attachments.node
    if port is not None:
        addresses |= dict.fromkeys(port.addresses)
    entities: list[Entity] = []
    for address in addresses:
        entities += identity_entries(host_prefix(address), IDENTITY_LOCAL_NODE)
        if attachments.uplinks:  # nobody out there is this node, also not within a connection that there is
            entities.append(entry("uplink_source_table", (Exact("src_addr", address),), "refuse_source"))
        if port is not None:
            entities += _routes(host_prefix(address), [NextHop(port.port, attachments.gateway_mac, port.mac)], settings)
    return entities


def _pod_ranges(node: Node, ref: ObjectRef, problems: list[Problem]) -> list[Prefix]:
    ranges = []
    for text in pod_cidrs(node):
        try:
            ranges.append(parse_prefix(text))
        except AddressError as error:
            problems.append(Problem(ref, f"spec.podCIDRs: {error}"))
    return ranges


def _routed(
    ranges: list[Prefix],
    ref: ObjectRef,
    addresses: list[int],
    hops: Mapping[int, tuple[NextHop, ...]],
    settings: Settings,
    problems: list[Problem],
) -> list[Entity]:
    entities: list[Entity] = []
    for prefix in ranges:
        # Only the next hop's MAC matters, so an IPv6 range can be behind an IPv4 address.
        usable = [address for address in hops if is_ipv4(address) == is_ipv4(prefix.address)] or list(hops)
        if not usable:
            problems.append(
                Problem(
                    ref,
                    f"pod range {prefix} cannot be reached: no uplink has its InternalIP ({_show(addresses)}) as a neighbour",
                )
            )
            continue
        entities += _routes(prefix, [hop for address in usable for hop in hops[address]], settings)
    return entities


def _show(addresses: list[int]) -> str:
    return ", ".join(format_address(address) for address in addresses) or "which it has not"


def _tunnel_ends(node: Node, ref: ObjectRef, attachments: Attachments) -> list[Entity]:
    """What comes for this node's InternalIPs, which is in a tunnel."""
    return [
        entry("tunnel_end_table", (Exact("dst_addr", address),), "end_tunnel", Param("mac", attachments.gateway_mac))
        for address in _addresses(node, ref, [], ("InternalIP",))
    ]


def _tunnelled(
    ranges: list[Prefix],
    ref: ObjectRef,
    addresses: list[int],
    local: LocalNode,
    attachments: Attachments,
    settings: Settings,
    problems: list[Problem],
) -> list[Entity]:
    """The tunnel to a node, the way through it to its pods, and leave to come through it from any of its addresses."""
    is_geneve = int(settings.tunnel_mode == "geneve")
    admitted = (Exact("is_geneve", is_geneve), Exact("vni", settings.tunnel_vni))
    entities: list[Entity] = [
        entry("tunnel_source_table", (Exact("src_addr", address), *admitted), "admit_tunnel") for address in addresses
    ]
    for remote in addresses:
        own = local.primary(Family.IPV4 if is_ipv4(remote) else Family.IPV6)
        ways = NextHopsId(tuple(sorted(set(attachments.ways(remote)))))
        if own is None or not ways.hops:
            continue
        entities.append(
            entry(
                "tunnel_table",
                (Exact("remote_addr", remote),),
                f"set_{settings.tunnel_mode}",
                Param("local_addr", own),
                Param("vni", settings.tunnel_vni),
                Param("mac", attachments.gateway_mac),
                Param("next_hops_id", ways),
            )
        )
        entities += _way_set(ways, settings)
        entities += [
            _route(part, "use_tunnel", Param("remote_addr", remote)) for prefix in ranges for part in prefix.split()
        ]
        return entities
    for prefix in ranges:
        reason = f"no tunnel leads to its InternalIP ({_show(addresses)}): no uplink or route does, or this node has no address of the family"
        problems.append(Problem(ref, f"pod range {prefix} cannot be reached: {reason}"))
    return entities


def _derive_static(view: View, key: None) -> Output:
    attachments = view.read(ATTACHMENTS, key)
    settings = view.read(SETTINGS, key)
    entities: list[Entity] = []
    for route in attachments.routes:
        hops = [hop for address in route.via for hop in attachments.next_hops(address)]
        if hops:
            entities += _routes(route.prefix, hops, settings)
    return Output(ATTACHMENTS_FILE, tuple(entities), precedence=1)


NODE: Rule[ObjectRef, Output] = Rule("node", _derive_node)
STATIC_ROUTES: Rule[None, Output] = Rule("static routes", _derive_static)
