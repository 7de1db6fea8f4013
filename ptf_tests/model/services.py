"""Services by the contract: which frontend a packet asks for, and which endpoints may serve it."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from ptf_tests.model.objects import Value, World, family_of, holds, parse_network
from ptf_tests.packets import Side

_NAME_LABEL = "kubernetes.io/service-name"
_PROXY_LABEL = "service.kubernetes.io/service-proxy-name"
_DEFAULT_AFFINITY_SECONDS = 10800


class Source(enum.Enum):
    """Where the sender stands."""

    EXTERNAL = "external"
    POD = "pod"
    NODE = "node"


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of a Service port, with its conditions as the API wants them read."""

    side: Side
    is_ready: bool
    is_serving: bool
    is_terminating: bool
    node: str
    node_hints: frozenset[str]
    zone_hints: frozenset[str]


@dataclass(frozen=True)
class ServicePort:
    """A port of a Service in one family; clients that have affinity have it to this."""

    namespace: str
    service: str
    port: int
    protocol: str
    family: int


@dataclass(frozen=True)
class Untouched:
    """No Service's business."""


@dataclass(frozen=True)
class Refused:
    """REJECT: the sender is told. `reason` is the name of the drop."""

    reason: str


@dataclass(frozen=True)
class Discarded:
    """DROP: the sender is not told."""

    reason: str


@dataclass(frozen=True)
class Chosen:
    """One of the endpoints serves it.

    Attributes:
        affinity_seconds: how long the client stays with the endpoint; 0 is not at all.
    """

    port: ServicePort
    sides: frozenset[Side]
    is_masqueraded: bool
    affinity_seconds: int


Decision = Untouched | Refused | Discarded | Chosen


@dataclass(frozen=True)
class _Frontend:
    service: Value
    port: ServicePort
    name: str
    is_external: bool
    is_load_balancer: bool


class Services:
    """What the Services of a world do on its node."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._frontends: dict[tuple[str, str, int], _Frontend] = {}
        self._cluster_ips: set[str] = set()
        self._slices: dict[tuple[str, str], list[Value]] = {}
        for value in world.of_kind("EndpointSlice"):
            owner = (value["metadata"].get("labels") or {}).get(_NAME_LABEL)
            if owner is not None:
                self._slices.setdefault((value["metadata"]["namespace"], owner), []).append(value)
        for value in world.of_kind("Service"):
            self._read(value)

    def _read(self, value: Value) -> None:
        spec, meta = value["spec"], value["metadata"]
        if spec.get("type") == "ExternalName" or _PROXY_LABEL in (meta.get("labels") or {}):
            return
        cluster = [text for text in spec.get("clusterIPs") or [spec.get("clusterIP", "")] if text]
        if not cluster or "None" in cluster:
            return
        families = {family_of(address) for address in cluster}
        self._cluster_ips.update(cluster)
        ingress = ((value.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        balancer = [item["ip"] for item in ingress if item.get("ip") and item.get("ipMode", "VIP") == "VIP"]
        for port in spec.get("ports") or ():
            protocol = port.get("protocol", "TCP").lower()
            number = port["port"]
            places = [(address, number, False, False) for address in cluster]
            places += [(address, number, True, True) for address in balancer]
            places += [(address, number, True, False) for address in spec.get("externalIPs") or ()]
            if port.get("nodePort"):
                primaries = [primary for family in (4, 6) if (primary := self._world.here.primary(family)) is not None]
                places += [(address, port["nodePort"], True, False) for address in primaries]
            for address, at, is_external, is_load_balancer in places:
                family = family_of(address)
                if family in families:
                    own = ServicePort(meta["namespace"], meta["name"], number, protocol, family)
                    frontend = _Frontend(value, own, port.get("name", ""), is_external, is_load_balancer)
                    self._frontends.setdefault((address, protocol, at), frontend)

    def decide(self, src: str, source: Source, dst: Side, protocol: str) -> Decision:
        """What a new connection of `src` to `dst` finds."""
        frontend = self._frontends.get((dst.address, protocol, dst.port))
        if frontend is None:
            if dst.address in self._cluster_ips:
                return Refused("SERVICE_PORT_REJECTED")
            if any(holds(network, dst.address) for network in self._world.service_ranges):
                return Discarded("SERVICE_DROPPED")
            return Untouched()
        spec = frontend.service["spec"]
        if frontend.is_load_balancer and spec.get("loadBalancerSourceRanges"):
            ranges = [parse_network(text) for text in spec["loadBalancerSourceRanges"]]
            if not any(holds(network, src) for network in ranges):
                return Discarded("SOURCE_RANGE")
        found = self.endpoints(frontend.port, frontend.name)
        everywhere, here = self._usable(found), self._usable_here(found)
        if not everywhere:
            return Refused("SERVICE_REJECTED")
        if frontend.is_external:
            local = spec.get("externalTrafficPolicy") == "Local"
            chosen = here if local and source is Source.EXTERNAL else everywhere
            masqueraded = source is Source.NODE if local else True
        else:
            chosen = here if spec.get("internalTrafficPolicy") == "Local" else everywhere
            masqueraded = source is not Source.POD
        if not chosen:
            return Discarded("NO_LOCAL_ENDPOINT")
        return Chosen(frontend.port, frozenset(item.side for item in chosen), masqueraded, _affinity_seconds(spec))

    # -- endpoints

    def endpoints(self, port: ServicePort, name: str) -> list[Endpoint]:
        """All endpoints of a Service port, whatever their conditions."""
        found: list[Endpoint] = []
        for value in self._slices.get((port.namespace, port.service), ()):
            if value["addressType"] != f"IPv{port.family}":
                continue
            for item in value.get("ports") or ():
                if item.get("name", "") == name and item.get("protocol", "TCP").lower() == port.protocol:
                    found += [_endpoint(one, item["port"]) for one in value.get("endpoints") or ()]
        return found

    def serving(self, port: ServicePort) -> set[Side]:
        """The endpoints of a Service port that still serve; none if the Service is gone."""
        names = {item.name for item in self._frontends.values() if item.port == port}
        return {item.side for name in names for item in self.endpoints(port, name) if item.is_serving}

    def _usable(self, found: Sequence[Endpoint]) -> list[Endpoint]:
        ready = [item for item in found if item.is_ready]
        if not ready:
            return _terminating(found)
        here = self._world.here
        for hints, place in (("node_hints", here.name), ("zone_hints", here.zone)):
            if place and all(getattr(item, hints) for item in ready):
                meant = [item for item in ready if place in getattr(item, hints)]
                if meant:
                    return meant
        return ready

    def _usable_here(self, found: Sequence[Endpoint]) -> list[Endpoint]:
        here = [item for item in found if item.node == self._world.here.name]
        return [item for item in here if item.is_ready] or _terminating(here)


def _terminating(found: Sequence[Endpoint]) -> list[Endpoint]:
    return [item for item in found if item.is_serving and item.is_terminating]


def _endpoint(value: Value, port: int) -> Endpoint:
    conditions, hints = value.get("conditions") or {}, value.get("hints") or {}
    ready = conditions.get("ready", True)
    return Endpoint(
        Side(value["addresses"][0], port),
        ready,
        conditions.get("serving", ready),
        conditions.get("terminating", False),
        value.get("nodeName", ""),
        frozenset(item["name"] for item in hints.get("forNodes") or ()),
        frozenset(item["name"] for item in hints.get("forZones") or ()),
    )


def _affinity_seconds(spec: Value) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return int(config.get("timeoutSeconds", _DEFAULT_AFFINITY_SECONDS))
