"""ClusterIP Services: `service_frontend_table`, `service_address_table`, `service_endpoint_table` with its selector,
`live_endpoint_table`.
"""

from __future__ import annotations

from controlplane.addresses import AddressError, Prefix, host_prefix, is_ipv4, parse_address, parse_prefix
from controlplane.desired.endpoints import Backend, backends, usable
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
from controlplane.desired.inputs import CONFIGURATION, OBJECT, SETTINGS, SLICES, Output, Problem
from controlplane.desired.symbols import EndpointId, Family, Protocol, ServiceId
from controlplane.kube.objects import ObjectRef, Service, ServiceCIDR, ServicePort

PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
SELECTOR = "endpoint_selector"


def _derive(view: View, ref: ObjectRef) -> Output:
    service = view.read(OBJECT, ref)
    if not isinstance(service, Service) or not _is_ours(service):
        return Output(ref)
    problems: list[str] = []
    entities: dict[Entity, None] = {}
    frontends: dict[tuple[int, int], ServicePort] = {}
    for port in service.spec.ports or ():
        if (port.protocol or "TCP") not in Protocol.__members__:
            problems.append(
                f"port {port.port}: protocol {port.protocol!r} is none of {', '.join(Protocol.__members__)}"
            )
        elif not 1 <= port.port <= 65535:
            problems.append(f"{port.port} is not a port number")
        else:
            frontends.setdefault((port.port, int(Protocol[port.protocol or "TCP"])), port)
    addresses: dict[int, None] = {}
    for text in _cluster_ips(service):
        try:
            addresses[parse_address(text)] = None
        except AddressError as error:
            problems.append(f"spec.clusterIPs: {error}")
    slices = view.read(SLICES, (ref.namespace, ref.name)) if addresses else ()
    for address in addresses:
        family = Family.IPV4 if is_ipv4(address) else Family.IPV6
        entities[_service_address(host_prefix(address), "reject_address")] = None
        for (number, protocol), port in frontends.items():
            service_id = ServiceId(ref.namespace, ref.name, number, protocol, int(family))
            found = backends(slices, port.name or "", Protocol(protocol).name, family, problems)
            chosen = usable(found)
            match = (Exact("dst_addr", address), Exact("protocol", protocol), Exact("l4_dport", number))
            if chosen:
                frontend = entry("service_frontend_table", match, "set_service", Param("service_id", service_id))
            else:
                frontend = entry("service_frontend_table", match, "reject_service")
            entities[frontend] = None
            entities.update(dict.fromkeys(_endpoint_set(service_id, chosen)))
            if protocol != Protocol.TCP:  # only a connection without an end of its own is checked against these
                entities.update(
                    dict.fromkeys(
                        entry(
                            "live_endpoint_table",
                            (Exact("endpoint_id", EndpointId(service_id, backend.address, backend.port)),),
                            "endpoint_is_live",
                        )
                        for backend in found
                        if backend.serving
                    )
                )
    return Output(ref, tuple(entities), tuple(Problem(ref, text) for text in dict.fromkeys(problems)))


def _is_ours(service: Service) -> bool:
    if service.spec.type == "ExternalName":  # even if it carries a clusterIP
        return False
    return PROXY_NAME_LABEL not in (service.metadata.labels or {})


def _cluster_ips(service: Service) -> tuple[str, ...]:
    """The Service's addresses; none while it has none yet, and none if it is headless."""
    given = service.spec.cluster_ips or ((service.spec.cluster_ip,) if service.spec.cluster_ip else ())
    return () if "None" in given else tuple(text for text in given if text)


def _endpoint_set(service_id: ServiceId, chosen: list[Backend]) -> list[Entity]:
    """Members, their group, and the entry that leads to it. Nothing at all rather than an empty group."""
    if not chosen:
        return []
    entities: list[Entity] = []
    members: list[GroupMember] = []
    for backend in chosen:
        endpoint_id = EndpointId(service_id, backend.address, backend.port)
        params = (Param("addr", backend.address), Param("port", backend.port), Param("endpoint_id", endpoint_id))
        entities.append(ActionProfileMember(SELECTOR, endpoint_id, ActionCall("select_endpoint", params)))
        members.append(GroupMember(endpoint_id))
    entities.append(ActionProfileGroup(SELECTOR, service_id, tuple(members)))
    match = (Exact("service_id", service_id),)
    entities.append(TableEntry("service_endpoint_table", match, GroupReference(service_id)))
    return entities


def _service_address(prefix: Prefix, action: str) -> TableEntry:
    return entry("service_address_table", (Lpm("dst_addr", prefix.address, prefix.length),), action)


def _derive_ranges(view: View, key: None) -> Output:
    ranges = view.read(SETTINGS, key).service_cidrs
    return Output(
        CONFIGURATION,
        tuple(_service_address(part, "drop_address") for prefix in ranges for part in prefix.split()),
        precedence=-1,
    )


def _derive_cidr(view: View, ref: ObjectRef) -> Output:
    """A ServiceCIDR object: addresses in it that no Service holds are dropped."""
    obj = view.read(OBJECT, ref)
    entities: dict[Entity, None] = {}
    problems: list[Problem] = []
    for text in (obj.spec.cidrs or ()) if isinstance(obj, ServiceCIDR) else ():
        try:
            for part in parse_prefix(text).split():
                entities[_service_address(part, "drop_address")] = None
        except AddressError as error:
            problems.append(Problem(ref, f"spec.cidrs: {error}"))
    return Output(ref, tuple(entities), tuple(problems), precedence=-1)


SERVICE: Rule[ObjectRef, Output] = Rule("service", _derive)
SERVICE_RANGES: Rule[None, Output] = Rule("service ranges", _derive_ranges)
SERVICE_CIDR: Rule[ObjectRef, Output] = Rule("service CIDR", _derive_cidr)
