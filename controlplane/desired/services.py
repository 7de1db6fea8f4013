"""Services: `service_frontend_table`, `service_address_table`, `service_source_range_table`, `service_endpoint_table` with its
selector, `affinity_endpoint_table`, `live_endpoint_table`.

A Service port has one set of endpoints for the whole cluster and, if a traffic policy says Local, one for this node. A frontend
names the set for pods and this node, and the set for everybody else.
"""

from __future__ import annotations

from typing import Final

import msgspec

from controlplane.addresses import AddressError, Prefix, host_prefix, is_ipv4, parse_prefix
from controlplane.desired.endpoints import Backend, Place, backends, usable, usable_here
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
from controlplane.desired.frontends import (
    Frontend,
    FrontendPort,
    affinity_seconds,
    frontends_of,
    is_local,
    read_addresses,
    read_ports,
    read_source_ranges,
)
from controlplane.desired.inputs import CONFIGURATION, OBJECT, SETTINGS, SLICES, Output, Problem
from controlplane.desired.node import LOCAL_NODE
from controlplane.desired.symbols import EndpointId, Family, Protocol, ServiceId, SourceRangesId, Value
from controlplane.kube.objects import ObjectRef, Service, ServiceCIDR

PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
SELECTOR = "endpoint_selector"

NO_SET: Final = 0
"""The set of endpoints of a source that is to be dropped because no endpoint is on this node."""

MASQUERADE_EXTERNAL: Final = 0b001
MASQUERADE_POD: Final = 0b010
MASQUERADE_NODE: Final = 0b100
"""Bits of `set_service`'s `masquerade`, one for each class of source."""


class Traits(msgspec.Struct, frozen=True):
    """What holds for all ports of a Service. `source_ranges` None: everybody may."""

    internal_local: bool
    external_local: bool
    masquerade_all: bool
    affinity_seconds: int
    source_ranges: tuple[Prefix, ...] | None


class EndpointSets(msgspec.Struct, frozen=True):
    """The usable endpoints of a Service port and family: all over the cluster, and on this node."""

    service_id: ServiceId
    cluster: list[Backend]
    local: list[Backend]

    @property
    def local_id(self) -> Value:
        return msgspec.structs.replace(self.service_id, scope="local") if self.local else NO_SET


def _derive(view: View, ref: ObjectRef) -> Output:
    service = view.read(OBJECT, ref)
    if not isinstance(service, Service) or not _is_ours(service):
        return Output(ref)
    settings = view.read(SETTINGS, None)
    problems: list[str] = []
    addresses = read_addresses(service, problems)
    if not addresses.cluster:
        return Output(ref, (), _problems(ref, problems))
    traits = Traits(
        is_local(service.spec.internal_traffic_policy, "spec.internalTrafficPolicy", problems),
        is_local(service.spec.external_traffic_policy, "spec.externalTrafficPolicy", problems),
        settings.masquerade_all,
        affinity_seconds(service, problems),
        read_source_ranges(service, problems),
    )
    node = view.get(LOCAL_NODE, None)
    place = Place(node.name, node.zone)
    slices = view.read(SLICES, (ref.namespace, ref.name))
    entities: dict[Entity, None] = dict.fromkeys(
        _service_address(host_prefix(address), "reject_address") for address in addresses.cluster
    )
    if addresses.load_balancer and traits.source_ranges is not None:
        entities.update(dict.fromkeys(_source_ranges(ref, traits.source_ranges)))
    for port in read_ports(service, problems):
        frontends = frontends_of(port, addresses, node, settings.nodeport_addresses)
        for family in Family:
            own = [item for item in frontends if is_ipv4(item.address) == (family == Family.IPV4)]
            if not own:
                continue
            service_id = ServiceId(ref.namespace, ref.name, port.number, int(port.protocol), int(family))
            found = backends(slices, port.name, port.protocol.name, family, problems)
            sets = EndpointSets(service_id, usable(found, place), usable_here(found, place))
            for frontend in own:
                entities[_frontend(frontend, port, sets, traits, ref)] = None
            entities.update(dict.fromkeys(_endpoint_sets(sets, own, traits)))
            if port.protocol == Protocol.UDP:  # only a connection without an end of its own is checked against these
                entities.update(dict.fromkeys(_live_endpoints(service_id, found)))
    return Output(ref, tuple(entities), _problems(ref, problems))


def _problems(ref: ObjectRef, texts: list[str]) -> tuple[Problem, ...]:
    return tuple(Problem(ref, text) for text in dict.fromkeys(texts))


def _is_ours(service: Service) -> bool:
    if service.spec.type == "ExternalName":  # even if it carries a clusterIP
        return False
    return PROXY_NAME_LABEL not in (service.metadata.labels or {})


# -- frontends


def _frontend(frontend: Frontend, port: FrontendPort, sets: EndpointSets, traits: Traits, ref: ObjectRef) -> TableEntry:
    match = (
        Exact("dst_addr", frontend.address),
        Exact("protocol", int(port.protocol)),
        Exact("l4_dport", frontend.port),
    )
    ranges_id = _ranges_id(frontend, traits, ref)
    if not sets.cluster and ranges_id is None:
        return entry("service_frontend_table", match, "reject_service")
    # With source ranges and no endpoint, the set is named all the same: the ranges drop first, the missing set rejects then.
    internal: Value = sets.service_id
    external: Value = sets.service_id
    if frontend.is_external:
        masquerade = MASQUERADE_EXTERNAL | MASQUERADE_POD | MASQUERADE_NODE
        if traits.external_local:
            masquerade = MASQUERADE_NODE
            external = sets.local_id if sets.cluster else external
    else:
        masquerade = MASQUERADE_EXTERNAL | MASQUERADE_NODE
        if traits.internal_local:
            internal = external = sets.local_id
    if traits.masquerade_all:
        masquerade = MASQUERADE_EXTERNAL | MASQUERADE_POD | MASQUERADE_NODE
    return entry(
        "service_frontend_table",
        match,
        "set_service",
        Param("internal_set_id", internal),
        Param("external_set_id", external),
        Param("masquerade", masquerade),
        Param("source_ranges_id", 0 if ranges_id is None else ranges_id),
        Param("affinity_id", sets.service_id),
        Param("affinity_seconds", traits.affinity_seconds),
    )


def _ranges_id(frontend: Frontend, traits: Traits, ref: ObjectRef) -> SourceRangesId | None:
    if not frontend.is_load_balancer or traits.source_ranges is None:
        return None
    return SourceRangesId(ref.namespace, ref.name)


def _source_ranges(ref: ObjectRef, ranges: tuple[Prefix, ...]) -> list[Entity]:
    ranges_id = SourceRangesId(ref.namespace, ref.name)
    return [
        entry(
            "service_source_range_table",
            (Exact("source_ranges_id", ranges_id), Lpm("src_addr", part.address, part.length)),
            "allow_source",
        )
        for prefix in ranges
        for part in prefix.split()
    ]


def _service_address(prefix: Prefix, action: str) -> TableEntry:
    return entry("service_address_table", (Lpm("dst_addr", prefix.address, prefix.length),), action)


# -- endpoints


def _endpoint_sets(sets: EndpointSets, frontends: list[Frontend], traits: Traits) -> list[Entity]:
    """The sets that the frontends name: members, groups and the entries that lead to them. Nothing rather than an empty group."""
    wanted: list[tuple[Value, list[Backend]]] = []
    is_external = {frontend.is_external for frontend in frontends}
    if sets.cluster and (True in is_external or not traits.internal_local):
        wanted.append((sets.service_id, sets.cluster))
    if sets.local and ((True in is_external and traits.external_local) or traits.internal_local):
        wanted.append((sets.local_id, sets.local))
    entities: dict[Entity, None] = {}
    for set_id, chosen in wanted:
        members: list[GroupMember] = []
        for backend in chosen:
            endpoint_id = EndpointId(sets.service_id, backend.address, backend.port)
            params = (Param("addr", backend.address), Param("port", backend.port), Param("endpoint_id", endpoint_id))
            entities[ActionProfileMember(SELECTOR, endpoint_id, ActionCall("select_endpoint", params))] = None
            members.append(GroupMember(endpoint_id))
            if traits.affinity_seconds:
                match = (Exact("set_id", set_id), Exact("endpoint_id", endpoint_id))
                entities[entry("affinity_endpoint_table", match, "endpoint_is_usable")] = None
        entities[ActionProfileGroup(SELECTOR, set_id, tuple(members))] = None
        entities[TableEntry("service_endpoint_table", (Exact("set_id", set_id),), GroupReference(set_id))] = None
    return list(entities)


def _live_endpoints(service_id: ServiceId, found: list[Backend]) -> list[Entity]:
    return [
        entry(
            "live_endpoint_table",
            (Exact("endpoint_id", EndpointId(service_id, backend.address, backend.port)),),
            "endpoint_is_live",
        )
        for backend in found
        if backend.serving
    ]


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
