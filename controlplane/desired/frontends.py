"""Where a Service listens: its addresses and ports of each kind, with what is particular to the kind."""

from __future__ import annotations

import msgspec

from controlplane.addresses import AddressError, Prefix, is_ipv4, parse_address, parse_prefix
from controlplane.desired.node import LocalNode
from controlplane.desired.symbols import Family, Protocol
from controlplane.kube.objects import Service

DEFAULT_AFFINITY_SECONDS = 10800
MAX_AFFINITY_SECONDS = 86400
_PROXY = "Proxy"


class Frontend(msgspec.Struct, frozen=True, gc=False):
    """An address and port of a Service port.

    Attributes:
        is_external: governed by externalTrafficPolicy, not by internalTrafficPolicy.
        is_load_balancer: governed by loadBalancerSourceRanges.
    """

    address: int
    port: int
    is_external: bool = False
    is_load_balancer: bool = False


class FrontendPort(msgspec.Struct, frozen=True, gc=False):
    """A port of a Service, checked."""

    number: int
    protocol: Protocol
    name: str
    node_port: int


class Addresses(msgspec.Struct, frozen=True):
    """The addresses that a Service has by itself. An address is in the first of the lists that it belongs to."""

    cluster: tuple[int, ...] = ()
    load_balancer: tuple[int, ...] = ()
    external: tuple[int, ...] = ()


def read_ports(service: Service, problems: list[str]) -> list[FrontendPort]:
    """The Service's ports; of two with one number and protocol the first."""
    found: dict[tuple[int, int], FrontendPort] = {}
    for port in service.spec.ports or ():
        name = port.protocol or "TCP"
        if name not in Protocol.__members__:
            problems.append(f"port {port.port}: protocol {name!r} is none of {', '.join(Protocol.__members__)}")
            continue
        if not 1 <= port.port <= 65535:
            problems.append(f"{port.port} is not a port number")
            continue
        node_port = port.node_port or 0
        if not 0 <= node_port <= 65535:
            problems.append(f"port {port.port}: nodePort {node_port} is not a port number")
            node_port = 0
        protocol = Protocol[name]
        found.setdefault((port.port, protocol), FrontendPort(port.port, protocol, port.name or "", node_port))
    return list(found.values())


def read_addresses(service: Service, problems: list[str]) -> Addresses:
    """The Service's addresses; none at all while it has no cluster IP yet, or if it is headless."""
    given = service.spec.cluster_ips or ((service.spec.cluster_ip,) if service.spec.cluster_ip else ())
    if "None" in given:
        return Addresses()
    cluster = _parse(tuple(text for text in given if text), "spec.clusterIPs", problems)
    families = {is_ipv4(address) for address in cluster}
    ingress = service.status.load_balancer.ingress or ()
    balancer = _parse(
        tuple(item.ip for item in ingress if item.ip and item.ip_mode != _PROXY),
        "status.loadBalancer.ingress",
        problems,
    )
    external = _parse(service.spec.external_ips or (), "spec.externalIPs", problems)
    taken = set(cluster)
    balancer = tuple(address for address in balancer if is_ipv4(address) in families and address not in taken)
    taken |= set(balancer)
    external = tuple(address for address in external if is_ipv4(address) in families and address not in taken)
    return Addresses(cluster, balancer, external)


def frontends_of(
    port: FrontendPort, addresses: Addresses, node: LocalNode, node_port_ranges: tuple[Prefix, ...] | None
) -> list[Frontend]:
    """Every place where one port of the Service listens on this node."""
    found = [Frontend(address, port.number) for address in addresses.cluster]
    found += [Frontend(address, port.number, True, True) for address in addresses.load_balancer]
    found += [Frontend(address, port.number, True) for address in addresses.external]
    if port.node_port:
        families = {is_ipv4(address) for address in addresses.cluster}
        found += [
            Frontend(address, port.node_port, True)
            for address in node_port_addresses(node, node_port_ranges)
            if is_ipv4(address) in families
        ]
    return found


def node_port_addresses(node: LocalNode, ranges: tuple[Prefix, ...] | None) -> list[int]:
    """The node's addresses that node ports are open on: those in `ranges`, or its primary ones if that is None."""
    if ranges is not None:
        return [address for address in node.addresses if any(prefix.contains(address) for prefix in ranges)]
    return [address for family in Family if (address := node.primary(family)) is not None]


def read_source_ranges(service: Service, problems: list[str]) -> tuple[Prefix, ...] | None:
    """loadBalancerSourceRanges; None if everybody may. One that cannot be read admits nobody."""
    if not service.spec.load_balancer_source_ranges:
        return None
    found: dict[Prefix, None] = {}
    for text in service.spec.load_balancer_source_ranges:
        try:
            found[parse_prefix(text)] = None
        except AddressError as error:
            problems.append(f"spec.loadBalancerSourceRanges: {error}")
    return tuple(found)


def affinity_seconds(service: Service, problems: list[str]) -> int:
    """How long a client stays with its endpoint; 0 is no session affinity."""
    affinity = service.spec.session_affinity or "None"
    if affinity == "None":
        return 0
    if affinity != "ClientIP":
        problems.append(f"spec.sessionAffinity {affinity!r} is neither None nor ClientIP")
        return 0
    config = service.spec.session_affinity_config
    client = None if config is None else config.client_ip
    seconds = None if client is None else client.timeout_seconds
    if seconds is None:
        return DEFAULT_AFFINITY_SECONDS
    if not 1 <= seconds <= MAX_AFFINITY_SECONDS:
        problems.append(f"spec.sessionAffinityConfig: {seconds} is not between 1 and {MAX_AFFINITY_SECONDS} seconds")
        return DEFAULT_AFFINITY_SECONDS
    return seconds


def is_local(policy: str | None, field: str, problems: list[str]) -> bool:
    """Whether a traffic policy says Local."""
    if policy not in (None, "", "Cluster", "Local"):
        problems.append(f"{field} {policy!r} is neither Cluster nor Local")
    return policy == "Local"


def _parse(texts: tuple[str, ...], field: str, problems: list[str]) -> tuple[int, ...]:
    found: dict[int, None] = {}
    for text in texts:
        try:
            found[parse_address(text)] = None
        except AddressError as error:
            problems.append(f"{field}: {error}")
    return tuple(found)
