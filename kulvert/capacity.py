"""What a target's pipeline holds, and whether such a profile can work at all.

Capacity is derived from the same target file that sizes the P4, so that what is promised is what is compiled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kulvert.targets import CONNECTION_WAYS, Target

_PORT_NUMBERS = 511
_POLICY_IDS = 1 << 16
_FAMILIES = 2
_RECORD_BYTES = 64
_TAG_BYTES = 8


@dataclass(frozen=True, slots=True)
class Capacity:
    """One line of what the pipeline holds.

    Attributes:
        what: in the words of a Kubernetes user.
        number: how many.
        limited_by: the key of the target file that says so.
    """

    what: str
    number: int
    limited_by: str


def capacity_of(target: Target) -> tuple[Capacity, ...]:
    """What the pipeline of `target` holds."""
    sizes = target.sizes
    return (
        Capacity("ports: pods, node, uplinks", sizes.port_table, "sizes.port_table"),
        Capacity(
            "pod addresses on this node",
            min(sizes.source_pod_table, sizes.destination_pod_table, sizes.uplink_source_table),
            "sizes.source_pod_table, destination_pod_table, uplink_source_table",
        ),
        Capacity(
            "Service frontends (address, protocol, port)", sizes.service_frontend_table, "sizes.service_frontend_table"
        ),
        Capacity("Service ports with endpoints", sizes.service_endpoint_table, "sizes.service_endpoint_table"),
        Capacity("Service addresses and ranges", sizes.service_address_table, "sizes.service_address_table"),
        Capacity(
            "endpoints",
            min(sizes.endpoint_selector, sizes.live_endpoint_table),
            "sizes.endpoint_selector, live_endpoint_table",
        ),
        Capacity(
            "source ranges of load balancers", sizes.service_source_range_table, "sizes.service_source_range_table"
        ),
        Capacity("clients with session affinity", target.affinity.ways, "affinity.set_bits"),
        Capacity("datagrams in fragments, from one port", target.fragments.ways_of_a_port, "fragments.set_bits"),
        Capacity(
            "masqueraded connections to one endpoint",
            target.masquerade.last_port - target.masquerade.first_port + 1,
            "masquerade.first_port, last_port",
        ),
        Capacity(
            "address ranges classified for policy",
            min(sizes.source_identity_table, sizes.destination_identity_table),
            "sizes.source_identity_table, destination_identity_table",
        ),
        Capacity("egress policy entries", sizes.egress_policy_table, "sizes.egress_policy_table"),
        Capacity("ingress policy entries", sizes.ingress_policy_table, "sizes.ingress_policy_table"),
        Capacity("routes", sizes.route_table, "sizes.route_table"),
        Capacity(
            "sets of next hops that share the load",
            min(sizes.next_hop_table, sizes.next_hop_selector // 2),
            "sizes.next_hop_table, next_hop_selector",
        ),
        Capacity(
            "nodes that tunnels lead to",
            min(sizes.tunnel_table, sizes.tunnel_source_table),
            "sizes.tunnel_table, tunnel_source_table",
        ),
        Capacity("connections (at half the ways)", target.connections.capacity, "connections.set_bits"),
    )


def connection_memory(target: Target) -> int:
    """Bytes of the connection registers on a switch that packs them (BMv2 takes several times as much)."""
    return target.connections.ways * (_TAG_BYTES + _RECORD_BYTES)


def find_contradictions(target: Target) -> Iterator[str]:
    """Why the profile cannot work: one sentence for each reason, naming the keys; nothing if it can."""
    sizes = target.sizes
    if sizes.port_table > _PORT_NUMBERS:
        yield f"sizes.port_table is {sizes.port_table}, but v1model has only {_PORT_NUMBERS} port numbers"
    for name in ("source_pod_table", "destination_pod_table"):
        if getattr(sizes, name) < sizes.port_table:
            yield (
                f"sizes.{name} is {getattr(sizes, name)}, less than sizes.port_table ({sizes.port_table}): "
                f"every port may be a pod with at least one address"
            )
    if sizes.uplink_source_table < sizes.source_pod_table:
        yield (
            f"sizes.uplink_source_table is {sizes.uplink_source_table}, less than sizes.source_pod_table "
            f"({sizes.source_pod_table}): the addresses that do not fit could be spoofed from outside"
        )
    if sizes.service_frontend_table < sizes.service_endpoint_table:
        yield (
            f"sizes.service_frontend_table is {sizes.service_frontend_table}, less than sizes.service_endpoint_table "
            f"({sizes.service_endpoint_table}): a Service port needs at least one frontend"
        )
    if sizes.endpoint_selector < sizes.service_endpoint_table:
        yield (
            f"sizes.endpoint_selector is {sizes.endpoint_selector}, less than sizes.service_endpoint_table "
            f"({sizes.service_endpoint_table}): a Service port needs at least one endpoint"
        )
    if target.tunnel.vxlan_port == target.tunnel.geneve_port:
        yield f"tunnel.vxlan_port and tunnel.geneve_port are both {target.tunnel.vxlan_port}: they are told apart by it"
    if sizes.next_hop_selector < 2 * sizes.next_hop_table:
        yield (
            f"sizes.next_hop_selector is {sizes.next_hop_selector}, less than twice sizes.next_hop_table "
            f"({sizes.next_hop_table}): a set of next hops has at least two"
        )
    if sizes.live_endpoint_table < sizes.endpoint_selector // 2:
        yield (
            f"sizes.live_endpoint_table is {sizes.live_endpoint_table}, less than half of sizes.endpoint_selector "
            f"({sizes.endpoint_selector}): UDP connections to endpoints that are not in it die at once"
        )
    for name in ("egress_policy_table", "ingress_policy_table"):
        if getattr(sizes, name) > _POLICY_IDS * 64:
            yield f"sizes.{name} is {getattr(sizes, name)}, more than {_POLICY_IDS} policies can use"
    for name in ("masquerade_table", "error_source_table"):
        if getattr(sizes, name) < _FAMILIES:
            yield f"sizes.{name} is {getattr(sizes, name)}, but each of the two address families needs an entry"
    if sizes.mtu_table < sizes.port_table:
        yield (
            f"sizes.mtu_table is {sizes.mtu_table}, less than sizes.port_table ({sizes.port_table}): "
            f"every port may have an MTU"
        )
    ports = target.masquerade
    if ports.last_port < ports.first_port:
        yield (
            f"masquerade.last_port is {ports.last_port}, below masquerade.first_port ({ports.first_port}): "
            f"no connection could be masqueraded"
        )
    timeouts = target.timeouts
    if timeouts.tcp_established <= timeouts.tcp_closing:
        yield (
            f"timeouts.tcp_established ({timeouts.tcp_established:g} s) must be longer than timeouts.tcp_closing "
            f"({timeouts.tcp_closing:g} s): an idle connection would end before one that is being closed"
        )
    if timeouts.udp_replied < timeouts.udp_unreplied:
        yield (
            f"timeouts.udp_replied ({timeouts.udp_replied:g} s) must not be shorter than timeouts.udp_unreplied "
            f"({timeouts.udp_unreplied:g} s): an answer would shorten its connection's life"
        )
    most = 2 * target.connections.unanswered_limit  # the end of one window and the beginning of the next
    if most > target.connections.capacity:
        yield (
            f"connections.unanswered_limit is {target.connections.unanswered_limit}: one pod could open {most} connections without "
            f"an answer, more than the {target.connections.capacity} that connections.set_bits gives the whole node"
        )
    if target.connections.ways < CONNECTION_WAYS * 2:
        yield "connections.set_bits leaves no room for both directions of a connection"
